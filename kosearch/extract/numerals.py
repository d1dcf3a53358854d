"""How word processors write a count: 1, 가, ①, iv, 第一 …, by the names that WordprocessingML gives the formats."""

from __future__ import annotations

from collections.abc import Callable

_GANADA = "가나다라마바사아자차카타파하"
_CHOSUNG = "ㄱㄴㄷㄹㅁㅂㅅㅇㅈㅊㅋㅌㅍㅎ"
_LATIN = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
_RUSSIAN = "АБВГДЕЖЗИКЛМНОПРСТУФХЦЧШЩЫЭЮЯ"
_AIUEO = "アイウエオカキクケコサシスセソタチツテトナニヌネノハヒフヘホマミムメモヤユヨラリルレロワヲン"
_IROHA = "イロハニホヘトチリヌルヲワカヨタレソツネナラムウヰノオクヤマケフコエテアサキユメミシヱヒモセス"
_STEMS = "甲乙丙丁戊己庚辛壬癸"
_BRANCHES = "子丑寅卯辰巳午未申酉戌亥"
_ROMAN = (
    (1000, "M"), (900, "CM"), (500, "D"), (400, "CD"), (100, "C"), (90, "XC"), (50, "L"), (40, "XL"), (10, "X"),
    (9, "IX"), (5, "V"), (4, "IV"), (1, "I"),
)  # fmt: skip
_NATIVE_ONES = ("", "하나", "둘", "셋", "넷", "다섯", "여섯", "일곱", "여덟", "아홉")
_NATIVE_TENS = ("", "열", "스물", "서른", "마흔", "쉰", "예순", "일흔", "여든", "아흔")
_ONES = str.split(
    "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen"
    " seventeen eighteen nineteen"
)
_TENS = str.split("zero ten twenty thirty forty fifty sixty seventy eighty ninety")
_ORDINALS = {
    "one": "first", "two": "second", "three": "third", "five": "fifth", "eight": "eighth", "nine": "ninth",
    "twelve": "twelfth",
}  # fmt: skip


def written(count: int, style: str) -> str:
    """The count in this format; "" for "none", and plain digits for a format that is not known or too small for it."""
    if style == "none":
        return ""
    return (_STYLES[style](count) if count > 0 and style in _STYLES else "") or str(count)


def roman(count: int) -> str:
    """Roman numerals, in capitals."""
    text = ""
    for value, numeral in _ROMAN:
        text += numeral * (count // value)
        count %= value
    return text


def _repeated(letters: str) -> Callable[[int], str]:
    """a … z, then aa, bb …: the letter is repeated once for each time round."""
    return lambda count: letters[(count - 1) % len(letters)] * ((count - 1) // len(letters) + 1)


def _cycled(letters: str) -> Callable[[int], str]:
    return lambda count: letters[(count - 1) % len(letters)]


def _enclosed(first: str, most: int, then: str = "") -> Callable[[int], str]:
    """Characters in a row of Unicode; nothing behind the last of them, or `then` for 21 to 35 as circles go on."""

    def write(count: int) -> str:
        if count <= most:
            return chr(ord(first) + count - 1)
        return chr(ord(then) + count - most - 1) if then and count - most <= 15 else ""

    return write


def _digits(digits: str) -> Callable[[int], str]:
    return lambda count: "".join(digits[int(digit)] for digit in str(count))


def _counting(digits: str, units: str, *, ones: bool = False) -> Callable[[int], str]:
    """Sino-Korean counting: 이십삼; a one before a unit is left out unless `ones`."""

    def write(count: int) -> str:
        if count >= 10**4:
            return ""
        text = ""
        for place, digit in zip(range(len(str(count)) - 1, -1, -1), str(count), strict=True):
            if digit != "0":
                text += ("" if digit == "1" and place and not ones else digits[int(digit)]) + units[place].strip()
        return text

    return write


def _native(count: int) -> str:
    return _NATIVE_TENS[count // 10] + _NATIVE_ONES[count % 10] if count < 100 else ""


def _cardinal(count: int) -> str:
    if count >= 100:
        return ""
    return (
        _ONES[count] if count < 20 else _TENS[count // 10] + (f"-{_ONES[count % 10]}" if count % 10 else "")
    ).capitalize()


def _ordinal_words(count: int) -> str:
    head, dash, last = _cardinal(count).lower().rpartition("-")
    last = _ORDINALS.get(last) or (last.removesuffix("y") + "ieth" if last.endswith("y") else f"{last}th" * bool(last))
    return (head + dash + last).capitalize()


def _ordinal(count: int) -> str:
    teens = count % 100 // 10 == 1
    return str(count) + ("th" if teens else {1: "st", 2: "nd", 3: "rd"}.get(count % 10, "th"))


_HANJA = _counting("零一二三四五六七八九", " 十百千")
_STYLES: dict[str, Callable[[int], str]] = {
    "decimal": str,
    "decimalZero": lambda count: f"{count:02}",
    "decimalFullWidth": _digits("０１２３４５６７８９"),
    "decimalFullWidth2": _digits("０１２３４５６７８９"),
    "decimalEnclosedCircle": _enclosed("①", 20, "㉑"),
    "decimalEnclosedCircleChinese": _enclosed("①", 20, "㉑"),
    "decimalEnclosedFullstop": _enclosed("⒈", 20),
    "decimalEnclosedParen": _enclosed("⑴", 20),
    "upperRoman": roman,
    "lowerRoman": lambda count: roman(count).lower(),
    "upperLetter": _repeated(_LATIN),
    "lowerLetter": _repeated(_LATIN.lower()),
    "circledUpperLetter": _enclosed("Ⓐ", 26),
    "circledLowerLetter": _enclosed("ⓐ", 26),
    "russianUpper": _repeated(_RUSSIAN),
    "russianLower": _repeated(_RUSSIAN.lower()),
    "ordinal": _ordinal,
    "cardinalText": _cardinal,
    "ordinalText": _ordinal_words,
    "hex": lambda count: f"{count:X}",
    "numberInDash": lambda count: f"- {count} -",
    "chicago": _repeated("*†‡§"),
    "ganada": _repeated(_GANADA),
    "chosung": _repeated(_CHOSUNG),
    "circledGanada": _cycled("".join(chr(0x326E + place) for place in range(14))),
    "circledChosung": _cycled("".join(chr(0x3260 + place) for place in range(14))),
    "koreanDigital": _digits("영일이삼사오육칠팔구"),
    "koreanCounting": _counting("영일이삼사오육칠팔구", " 십백천"),
    "koreanLegal": _native,
    "koreanDigital2": _digits("零一二三四五六七八九"),
    "ideographDigital": _digits("〇一二三四五六七八九"),
    "japaneseDigitalTenThousand": _digits("〇一二三四五六七八九"),
    "taiwaneseDigital": _digits("○一二三四五六七八九"),
    "japaneseCounting": _HANJA,
    "chineseCounting": _HANJA,
    "chineseCountingThousand": _HANJA,
    "taiwaneseCounting": _HANJA,
    "taiwaneseCountingThousand": _HANJA,
    "ideographLegalTraditional": _counting("零壹貳參肆伍陸柒捌玖", " 拾佰仟", ones=True),
    "chineseLegalSimplified": _counting("零壹贰叁肆伍陆柒捌玖", " 拾佰仟", ones=True),
    "japaneseLegal": _counting("零壱弐参四伍六七八九", " 拾百阡", ones=True),
    "ideographEnclosedCircle": _enclosed("㊀", 10),
    "ideographTraditional": _cycled(_STEMS),
    "ideographZodiac": _cycled(_BRANCHES),
    "ideographZodiacTraditional": lambda count: _cycled(_STEMS)(count) + _cycled(_BRANCHES)(count),
    "aiueo": _repeated(_AIUEO),
    "aiueoFullWidth": _repeated(_AIUEO),
    "iroha": _repeated(_IROHA),
    "irohaFullWidth": _repeated(_IROHA),
}

BY_CODE = str.split(
    "decimal upperRoman lowerRoman upperLetter lowerLetter ordinal cardinalText ordinalText hex chicago"
    " ideographDigital japaneseCounting aiueo iroha decimalFullWidth decimalHalfWidth japaneseLegal"
    " japaneseDigitalTenThousand decimalEnclosedCircle decimalFullWidth2 aiueoFullWidth irohaFullWidth decimalZero"
    " bullet ganada chosung decimalEnclosedFullstop decimalEnclosedParen decimalEnclosedCircleChinese"
    " ideographEnclosedCircle ideographTraditional ideographZodiac ideographZodiacTraditional taiwaneseCounting"
    " ideographLegalTraditional taiwaneseCountingThousand taiwaneseDigital chineseCounting chineseLegalSimplified"
    " chineseCountingThousand decimal koreanDigital koreanCounting koreanLegal koreanDigital2"
)
"""The formats in the order of their codes in Word's binary files and in RTF ([MS-OSHARED] 2.2.1.3)."""
