"""What Word and Hangul draw and keep nowhere in a paragraph's text: its number, symbols, what a field shows."""

from __future__ import annotations

import re
import struct
import zlib
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any
from xml.etree.ElementTree import Element

from kosearch.extract.containers import Package, attribute, local, parse_xml

# How word processors write a count: 1, 가, ①, iv, 第一 …, by the names that WordprocessingML gives the formats.

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


# The numbers that Word draws in front of paragraphs and keeps nowhere in their text: 제1장, 1.1, 가., ①.
#
# Definitions come from WordprocessingML's numbering part, from a binary file or from RTF; counting is the same for all
# (ECMA-376 part 1, 17.9).

_LEVELS = 9
_MOST_LISTS = 20_000


@dataclass(frozen=True, slots=True)
class Level:
    """How one level of a list is numbered."""

    style: str = "decimal"
    text: str = ""
    """What stands in front, with %1 to %9 for the numbers of the levels."""
    start: int = 1
    legal: bool = False
    """All numbers in it as plain digits."""
    gap: str = " "
    restart: int | None = None
    """The level (from 1) whose paragraphs make this one begin again; 0 for none; None for each above it."""
    paragraph_style: str = ""
    hidden: bool = False


@dataclass(frozen=True, slots=True)
class List:
    """A list as paragraphs name it: its definition's levels, which definition they count in, where they begin."""

    counter: str
    levels: Mapping[int, Level]
    starts: Mapping[int, int] = field(default_factory=dict)
    """Levels that begin anew, with their first number, where this list is used for the first time."""


class Counter:
    """Counts through a document, paragraph by paragraph."""

    def __init__(self, lists: Mapping[str, List]) -> None:
        self.lists = lists
        self._counts: dict[str, dict[int, int]] = {}
        self._begun: set[tuple[str, int]] = set()

    def restart(self, name: str, level: int, number: int) -> None:
        """Let the next paragraph of this list and level have this number."""
        if name in self.lists:
            self._counts.setdefault(self.lists[name].counter, {})[level] = number - 1

    def label(self, name: str, level: int) -> str:
        """The next number of this list at this level (from 0) with what follows it; "" where it has none."""
        numbered = self.lists.get(name)
        if numbered is None or level not in numbered.levels:
            return ""
        counts = self._counts.setdefault(numbered.counter, {})
        if level in numbered.starts and (name, level) not in self._begun:
            self._begun.add((name, level))
            counts[level] = numbered.starts[level]
        else:
            counts[level] = counts[level] + 1 if level in counts else numbered.levels[level].start
        for deeper in [deeper for deeper in counts if deeper > level]:
            restart = numbered.levels[deeper].restart if deeper in numbered.levels else None
            if restart is None or level < restart:
                del counts[deeper]
        return _label(numbered, level, counts)


def _label(numbered: List, level: int, counts: Mapping[int, int]) -> str:
    here = numbered.levels[level]
    if here.hidden:
        return ""
    if here.style == "bullet":
        return here.text + here.gap if here.text else ""

    def number(found: re.Match[str]) -> str:
        place = int(found[1]) - 1
        one = numbered.levels.get(place, Level())
        style = "decimal" if here.legal and one.style != "none" else one.style
        return written(counts.get(place, one.start), style)

    text = re.sub(r"%([1-9])", number, here.text)
    return text + here.gap if text.strip() else ""


# --- WordprocessingML ---------------------------------------------------------------------------------------------


def of_part(root: Element) -> dict[str, List]:
    """The lists of a numbering part, by the numbers by which paragraphs name them."""
    definitions: dict[str, dict[int, Level]] = {}
    links: dict[str, str] = {}
    styled: dict[str, str] = {}
    lists: dict[str, List] = {}
    for element in root:
        if local(element) == "abstractNum":
            name = attribute(element, "abstractNumId")
            definitions[name] = _levels(element)
            for child in element:
                if local(child) == "numStyleLink":
                    links[name] = attribute(child, "val")
                elif local(child) == "styleLink":
                    styled[attribute(child, "val")] = name
    for element in root:
        if local(element) == "num" and len(lists) < _MOST_LISTS:
            counter = next((attribute(child, "val") for child in element if local(child) == "abstractNumId"), "")
            counter = styled.get(links.get(counter, ""), counter)
            lists[attribute(element, "numId")] = _overridden(element, counter, definitions.get(counter, {}))
    return lists


def _overridden(num: Element, counter: str, levels: dict[int, Level]) -> List:
    starts: dict[int, int] = {}
    levels = dict(levels)
    for override in num:
        if local(override) == "lvlOverride":
            place = _int(attribute(override, "ilvl"), 0)
            own = _levels(override)
            levels |= own
            for child in override:
                if local(child) == "startOverride":
                    starts[place] = _int(attribute(child, "val"), 1)
            if place in own:
                starts.setdefault(place, own[place].start)
    return List(counter, levels, starts)


def _levels(parent: Element) -> dict[int, Level]:
    return {_int(attribute(child, "ilvl"), 0): _level(child) for child in parent if local(child) == "lvl"}


def _level(element: Element) -> Level:
    level = Level(start=0)  # a level that states no start begins with 0
    font = ""
    for child in element.iter():
        name, value = local(child), attribute(child, "val")
        if name == "start":
            level = replace(level, start=_int(value, 0))
        elif name == "numFmt":
            style = attribute(child, "format") if value == "custom" else value
            level = replace(level, style="decimalZero" if style.startswith("01") else style)
        elif name == "lvlText":
            level = replace(level, text=value)
        elif name == "isLgl":
            level = replace(level, legal=value not in ("0", "false", "off"))
        elif name == "suff":
            level = replace(level, gap="" if value.lower() == "nothing" else " ")
        elif name == "lvlRestart":
            level = replace(level, restart=_int(value, 0))
        elif name == "pStyle":
            level = replace(level, paragraph_style=value)
        elif name == "vanish":
            level = replace(level, hidden=value not in ("0", "false", "off"))
        elif name == "rFonts":
            font = attribute(child, "hAnsi") or attribute(child, "ascii")
    return replace(level, text=bullet(level.text, font)) if level.style == "bullet" else level


def bullet(text: str, font: str) -> str:
    """A bullet as a character that means something outside its font."""
    shown = symbols(text, font) or "•"  # without a character it is a picture
    return "".join("•" if "\ue000" <= character <= "\uf8ff" else character for character in shown)


def _int(text: str, otherwise: int = 0) -> int:
    return int(text) if text.lstrip("-").isdigit() and len(text) < 10 else otherwise


# The numbers and bullets that Hangul draws in front of paragraphs and keeps nowhere in their text.
#
# Numbers are counted here as Hangul counts them (HWP 5.0 format, revision 1.3: 4.2.8 to 4.2.10), from the definitions
# in an HWP file's DocInfo stream or a HWPX file's header.

_NONE, _OUTLINE, _NUMBER, _BULLET = range(4)
_KINDS = {"NONE": _NONE, "OUTLINE": _OUTLINE, "NUMBER": _NUMBER, "BULLET": _BULLET}
_HWP_LEVELS = 10
_HEADS_IN_A_NUMBERING = 7
_TAG_NUMBERING, _TAG_BULLET, _TAG_PARA_SHAPE = 23, 24, 25
_TAG_CONTROL = 71
_COMPRESSED, _DISTRIBUTION = 1, 4
_LARGEST_STREAM = 64 << 20


@dataclass(frozen=True, slots=True)
class _HwpLevel:
    template: str = ""
    """What stands in front, with ^1 to ^9 for the numbers of the levels."""
    style: str = "DIGIT"
    start: int = 1


@dataclass(frozen=True, slots=True)
class Definitions:
    """How paragraphs are numbered: by shape of paragraph, by numbering, by bullet; numbers of shapes count from 0."""

    shapes: Mapping[int, tuple[int, int, int]] = field(default_factory=dict)
    """Kind, level (from 0) and number of the numbering or bullet."""
    numberings: Mapping[int, Sequence[_HwpLevel]] = field(default_factory=dict)
    bullets: Mapping[int, str] = field(default_factory=dict)
    outlines: Sequence[int] = ()
    """The numbering of each section's outline paragraphs."""


class Numbers:
    """Counts through a document, paragraph by paragraph."""

    def __init__(self, definitions: Definitions) -> None:
        self._known = definitions
        self._outline = 1
        self._counts: defaultdict[int, list[int]] = defaultdict(lambda: [0] * _HWP_LEVELS)

    def section(self, place: int) -> None:
        """Go on with this section, counted from 0."""
        self._outline = self._known.outlines[place] if place < len(self._known.outlines) else self._outline

    def numbered(self, paragraph: Any, text: str) -> str:
        """The paragraph's text with its number or bullet in front."""
        label = self._label(paragraph.para_shape_id) if text.strip() else ""
        return f"{label} {text}" if label else text

    def _label(self, shape: int) -> str:
        kind, level, number = self._known.shapes.get(shape, (_NONE, 0, 0))
        if kind == _BULLET:
            bullet = self._known.bullets.get(number, "")
            return bullet if bullet.isprintable() and not "\ue000" <= bullet <= "\uf8ff" else "-"
        if kind == _NONE or level >= _HWP_LEVELS:
            return ""
        number = self._outline if kind == _OUTLINE else number
        levels = self._known.numberings.get(number, ())
        if level >= len(levels):
            return ""
        counts = self._counts[number]
        counts[level] = counts[level] + 1 if counts[level] else levels[level].start
        counts[level + 1 :] = [0] * (_HWP_LEVELS - level - 1)
        return _filled(levels, level, counts)


def _filled(levels: Sequence[_HwpLevel], level: int, counts: Sequence[int]) -> str:
    written = [numeral(max(count, 1), one.style) for one, count in zip(levels, counts, strict=False)]
    path = ".".join(written[: level + 1])
    text = levels[level].template.replace("^n", path).replace("^N", f"{path}.")
    return re.sub(r"\^(\d)", lambda found: written[int(found[1]) - 1] if int(found[1]) <= len(written) else "", text)


_HWP_STYLES = {
    "DIGIT": "decimal", "CIRCLED_DIGIT": "decimalEnclosedCircle", "ROMAN_CAPITAL": "upperRoman",
    "ROMAN_SMALL": "lowerRoman", "LATIN_CAPITAL": "upperLetter", "LATIN_SMALL": "lowerLetter",
    "CIRCLED_LATIN_CAPITAL": "circledUpperLetter", "CIRCLED_LATIN_SMALL": "circledLowerLetter",
    "HANGUL_SYLLABLE": "ganada", "CIRCLED_HANGUL_SYLLABLE": "circledGanada", "HANGUL_JAMO": "chosung",
    "CIRCLED_HANGUL_JAMO": "circledChosung", "HANGUL_PHONETIC": "koreanCounting", "IDEOGRAPH": "japaneseCounting",
}  # fmt: skip
"""The formats of numbers (table 41) by their names in HWPX, in the order of their codes in HWP 5."""
_CODES = list(_HWP_STYLES)
_ROUNDS = {"LATIN_CAPITAL": 26, "LATIN_SMALL": 26, "HANGUL_SYLLABLE": 14, "HANGUL_JAMO": 14}


def numeral(count: int, style: str) -> str:
    """A number in a format of Hangul's, whose letters begin again after the last; a rare one as plain digits."""
    round_ = _ROUNDS.get(style)
    return written((count - 1) % round_ + 1 if round_ and count > 0 else count, _HWP_STYLES.get(style, "decimal"))


def coded(count: int, code: int) -> str:
    """A number in the format of this code (table 41)."""
    return numeral(count, _CODES[code] if code < len(_CODES) else "DIGIT")


# --- HWPX ---------------------------------------------------------------------------------------------------------

_SECTION = re.compile(r"Contents/section\d+\.xml")


def of_package(package: Package) -> Definitions:
    """The definitions in a HWPX file."""
    root = parse_xml(package.read("Contents/header.xml"))
    shapes: dict[int, tuple[int, int, int]] = {}
    numberings: dict[int, Sequence[_HwpLevel]] = {}
    bullets: dict[int, str] = {}
    outlines = []
    for name in sorted((name for name in package if _SECTION.fullmatch(name)), key=lambda name: (len(name), name)):
        found = re.search(rb'outlineShapeIDRef="(\d+)"', package.read(name))
        outlines.append(int(found[1]) if found else 1)
    for element in root.iter():
        name = local(element)
        if name == "numbering":
            numberings[_int(attribute(element, "id"))] = [
                _HwpLevel(
                    head.text or "",
                    attribute(head, "numFormat"),
                    _int(attribute(head, "start"), 1),
                )
                for head in element
                if local(head) == "paraHead"
            ]
        elif name == "bullet":
            bullets[_int(attribute(element, "id"))] = attribute(element, "char")
        elif name == "paraPr":
            for heading in element.iter():
                if local(heading) == "heading":
                    kind = _KINDS.get(attribute(heading, "type"), _NONE)
                    place = _int(attribute(heading, "level")), _int(attribute(heading, "idRef"))
                    shapes[_int(attribute(element, "id"))] = (kind, *place)
    return Definitions(shapes, numberings, bullets, outlines)


# --- HWP 5 --------------------------------------------------------------------------------------------------------


def of_compound(data: bytes) -> Definitions:
    """The definitions in an HWP 5 file; none where its streams cannot be read."""
    from dochan import cfb
    from dochan.hwp.distdoc import decode_distribution_section

    try:
        compound = cfb.OleFileIO(data)
        properties = compound.openstream("FileHeader").read()[36]
        packed, distributed = bool(properties & _COMPRESSED), bool(properties & _DISTRIBUTION)
        info = _unpacked(compound.openstream("DocInfo").read(), packed)
        names = ["/".join(name) for name in compound.listdir()]
        folder = "ViewText/Section" if distributed else "BodyText/Section"
        sections = sorted((int(name[len(folder) :]), name) for name in names if re.fullmatch(rf"{folder}\d+", name))
        bodies = (compound.openstream(name).read() for _, name in sections)
        if distributed:
            bodies = (decode_distribution_section(body, max_size=_LARGEST_STREAM) for body in bodies)
        return _definitions(info, [_outline(_unpacked(body, packed)) for body in bodies])
    except (OSError, ValueError, LookupError, struct.error, zlib.error):
        return Definitions()


def _unpacked(data: bytes, packed: bool) -> bytes:
    return zlib.decompressobj(-zlib.MAX_WBITS).decompress(data, _LARGEST_STREAM) if packed else data


def _outline(section: bytes) -> int:
    """The numbering of outlines, from the section's definition (table 129)."""
    for tag, record in _records(section):
        if tag == _TAG_CONTROL and record.startswith(b"dces"):
            return int(struct.unpack_from("<H", record, 18)[0])
    return 1


def _definitions(info: bytes, outlines: Sequence[int]) -> Definitions:
    shapes: dict[int, tuple[int, int, int]] = {}
    numberings: dict[int, Sequence[_HwpLevel]] = {}
    bullets: dict[int, str] = {}
    for tag, record in _records(info):
        if tag == _TAG_PARA_SHAPE:
            (properties,) = struct.unpack_from("<I", record, 0)
            (number,) = struct.unpack_from("<H", record, 30)
            shapes[len(shapes)] = ((properties >> 23) & 3, (properties >> 25) & 7, number)
        elif tag == _TAG_NUMBERING:
            numberings[len(numberings) + 1] = _hwp_levels(record)
        elif tag == _TAG_BULLET:
            bullets[len(bullets) + 1] = record[12:14].decode("utf-16-le", "replace")
    return Definitions(shapes, numberings, bullets, outlines)


def _hwp_levels(record: bytes) -> list[_HwpLevel]:
    levels, place = [], 0
    for _ in range(_HEADS_IN_A_NUMBERING):
        (properties,) = struct.unpack_from("<I", record, place)
        (length,) = struct.unpack_from("<H", record, place + 12)
        template = record[place + 14 : place + 14 + 2 * length].decode("utf-16-le", "replace")
        levels.append(_HwpLevel(template, _CODES[min((properties >> 5) & 15, len(_CODES) - 1)]))
        place += 14 + 2 * length
    return levels


def _records(stream: bytes) -> Iterator[tuple[int, bytes]]:
    """Tag and content of each record (4.1)."""
    place = 0
    while place + 4 <= len(stream):
        (head,) = struct.unpack_from("<I", stream, place)
        size, place = head >> 20, place + 4
        if size == 0xFFF:
            (size,) = struct.unpack_from("<I", stream, place)
            place += 4
        yield head & 0x3FF, stream[place : place + size]
        place += size


# What Word draws for symbol fonts, and for fields that keep no result: symbols, formulas, readings of characters.
#
# ECMA-376 part 1, 17.16.5: SYMBOL; EQ is Word's older form of ruby, circled characters and fractions.

_SYMBOL = re.compile(r'\s*SYMBOL\s+(?:"(?P<sign>.)"|(?P<number>0x[0-9a-f]{1,6}|\d{1,7}))(?P<switches>.*)', re.I | re.S)
_FONT = re.compile(r'\\f\s*(?:"([^"]*)"|(\S+))', re.IGNORECASE)
_FORMULA = re.compile(r"\s*EQ\s(.*)", re.IGNORECASE | re.DOTALL)
_FORMATS = re.compile(r'\\\*\s*(?:"[^"]*"|[^\s\\]+)\s?')
_CONTROLS = re.compile(r"[\x00-\x1f]")
_SWITCH = re.compile(r"\\([a-z]{1,2})\s*(\d*)\s*", re.IGNORECASE)
_BRACKET = re.compile(r"\\[blr]c\\(.)\s*", re.IGNORECASE)
_RINGS = frozenset("○◯〇□△▽◇◎●")
_SIGNS = {"su": "∑", "pr": "∏"}
_LARGEST = 0x10FFFF
_DEEPEST = 20
_LONGEST = 2000
_WINGDINGS = {
    0x21: "✏", 0x28: "☎", 0x2A: "✉", 0x36: "⌛", 0x41: "✌", 0x46: "☞", 0x4A: "☺", 0x6C: "●", 0x6D: "❍", 0x6E: "■",
    0x6F: "□", 0x70: "□", 0x71: "❑", 0x72: "❒", 0x74: "◆", 0x75: "◆", 0x76: "❖", 0x77: "◆", 0x78: "☒", 0x9F: "•",
    0xA0: "•", 0xA1: "○", 0xA4: "◉", 0xA7: "▪", 0xA8: "□", 0xAB: "★", 0xAC: "★", 0xD8: "➢", 0xDF: "←", 0xE0: "→",
    0xE1: "↑", 0xE2: "↓", 0xE8: "➔", 0xEF: "⇦", 0xF0: "⇨", 0xF1: "⇧", 0xF2: "⇩", 0xFB: "✗", 0xFC: "✓", 0xFD: "☒",
    0xFE: "☑",
} | {0x80 + number: (chr(0x245F + number) if number else "⓪") for number in range(11)} | {
    0x8B + number: (chr(0x2775 + number) if number else "⓿") for number in range(11)
}  # fmt: skip
_WINGDINGS_2 = {0x50: "✓", 0x51: "☒", 0x52: "☑", 0x53: "☒", 0x54: "☒", 0x97: "●", 0xA2: "■", 0xA3: "□"}
PRIVATE = range(0xF020, 0xF100)
"""Where symbol fonts have their characters."""


def symbols(text: str, font: str) -> str:
    """Text in a symbol font as the characters that it shows; what is not known stays."""
    from dochan.office_binary.symbol_fonts import _SYMBOL_UNICODE

    named = font.lower()
    known: dict[int, str]
    if named == "symbol":
        known = {code: chr(shown) for code, shown in _SYMBOL_UNICODE.items()}
    elif named == "wingdings 2":
        known = _WINGDINGS_2
    elif named.startswith("wingdings") or any(ord(character) in PRIVATE for character in text):
        known = _WINGDINGS
    else:
        return text
    private = {0xF000 + code: shown for code, shown in known.items()}
    return text.translate(private | known if named.startswith(("symbol", "wingdings")) else private)


def shown(code: str) -> str:
    """What a field with this code shows, where its code alone says it; "" for every other field."""
    code = _CONTROLS.sub("", code[:_LONGEST])
    if found := _SYMBOL.match(code):
        return _symbol(found)
    if formula := _FORMULA.match(code):
        return " ".join(_Formula(_FORMATS.sub("", formula[1])).text().split())
    return ""


def _symbol(found: re.Match[str]) -> str:
    if found["sign"]:
        return found["sign"]
    number = int(found["number"], 0) if found["number"][:2].lower() == "0x" else int(found["number"])
    switches = found["switches"].lower()
    font = _FONT.search(found["switches"])
    named = (font[1] or font[2] or "") if font else ""
    if named.lower().startswith(("symbol", "wingdings")) and (number < 256 or 0xF000 <= number < 0xF100):
        sign = symbols(chr(0xF000 | number), named)
        return sign if not "\ue000" <= sign <= "\uf8ff" else chr(number & 255)
    if number > _LARGEST or number < 32 or 0xD800 <= number < 0xE000:
        return ""
    if number < 256 and "\\u" not in switches:
        return bytes([number]).decode("cp1252", "ignore")
    return chr(number)


class _Formula:
    """A formula's code, read from the left."""

    def __init__(self, code: str) -> None:
        self._code = code
        self._place = 0

    def text(self, depth: int = 0) -> str:
        """What stands up to the end of an argument."""
        parts = []
        while self._place < len(self._code):
            sign = self._code[self._place]
            if depth and sign in ",;)":
                break
            if sign == "\\" and (switch := _SWITCH.match(self._code, self._place)) and depth < _DEEPEST:
                self._place = switch.end()
                parts.append(self._drawn(switch[1].lower(), depth + 1))
                continue
            self._place += 1
            if sign == "\\":  # the next character as it is
                sign = self._code[self._place : self._place + 1]
                self._place += 1
            parts.append(sign)
        return "".join(parts)

    def _drawn(self, name: str, depth: int) -> str:
        raised = name == "s"
        while option := _BRACKET.match(self._code, self._place) or _SWITCH.match(self._code, self._place):
            if option.re is _SWITCH:
                name = option[1].lower() if name == "i" and option[1].lower() in _SIGNS else name
            self._place = option.end()
        arguments: list[str] = []
        above: list[str] = []
        while self._place < len(self._code) and self._code[self._place] in ("(" if not arguments + above else ",;"):
            self._place += 1
            is_raised = re.match(r"\s*\\s\\up", self._code[self._place :], re.IGNORECASE)
            argument = self.text(depth).strip()
            (above if name == "o" and is_raised else arguments).append(argument)
        if self._code[self._place : self._place + 1] == ")" and arguments + above:
            self._place += 1
        return arguments[0] if raised and arguments else _joined(name, arguments, above)


def _joined(name: str, arguments: Sequence[str], above: Sequence[str]) -> str:
    if name == "o":
        kept = [one for one in arguments if one not in _RINGS] or arguments
        reading = "".join(above)
        return "".join(kept) + (f"({reading})" if reading and kept else reading)
    if name == "f" and len(arguments) == 2:
        return f"{arguments[0]}/{arguments[1]}"
    if name == "r":
        return f"{arguments[0]}√{arguments[1]}" if len(arguments) == 2 else f"√{''.join(arguments)}"
    if name == "b":
        return f"({''.join(arguments)})"
    if name in ("i", *_SIGNS):
        return " ".join((_SIGNS.get(name, "∫"), *arguments))
    return (", " if name == "l" else " ").join(arguments)
