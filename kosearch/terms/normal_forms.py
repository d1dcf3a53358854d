"""One form for what is written in many ways: dates, amounts, numbers with units, codes, versions, articles, fractions,
times.

A form stands beside the written words, never in their place. Each begins with a letter for its kind, so that 2024-03
as a month is not 2024-03 as a code. Passages and questions go through the same rules.

What might be something else has no form: a version 2024.3.5 is no date, 1-2-3 is no code.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Iterator
from datetime import date
from decimal import Decimal

Placed = tuple[str, int, int]
"""A form, and the span of the text in which it is written."""

_DIGITS = {c: n for n, c in enumerate("영일이삼사오육칠팔구")}
_SMALL = {"십": 10, "백": 100, "천": 1000}
_LARGE = {"만": 10**4, "억": 10**8, "조": 10**12}
_SINO = "영일이삼사오육칠팔구십백천만억조"

_AS_WRITTEN = str.maketrans(
    "〇零一壹二貳三參四五六七八九十拾百千萬万億年月日時分第條項號章圓‐‑‒–º˚",
    "영영일일이이삼삼사오육칠팔구십십백천만만억년월일시분제조항호장원----°°",
)
"""Hanja of numbers and dates as they are read, and every hyphen: one character for one."""

_UNITS = {
    "원": ("원", "원정", "KRW", "won", "₩", "￦"),
    "달러": ("달러", "불", "USD", "dollars", "dollar", "$"),
    "유로": ("유로", "EUR", "euros", "euro", "€"),
    "엔": ("엔", "JPY", "¥"),
    "%p": ("%p", "%P", "%포인트", "퍼센트포인트", "퍼센트 포인트", "percentage points"),
    "%": ("%", "퍼센트", "프로", "percent", "per cent", "pct"),
    "pt": ("pt", "pts", "포인트", "points"),
    "℃": ("°C", "℃", "도씨", "도", "degrees Celsius", "degrees"),
    "km": ("km", "킬로미터"),
    "km2": ("km2", "km²", "제곱킬로미터", "평방킬로미터"),
    "m3": ("m3", "m³", "세제곱미터", "입방미터"),
    "m2": ("m2", "m²", "제곱미터", "평방미터"),
    "cm": ("cm", "센티미터"),
    "mm": ("mm", "밀리미터"),
    "m": ("m", "미터"),
    "kg": ("kg", "킬로그램"),
    "mg": ("mg", "밀리그램"),
    "g": ("g", "그램"),
    "t": ("t", "톤"),
    "mL": ("mL", "ml", "밀리리터"),
    "L": ("L", "l", "리터"),
    "ha": ("ha", "헥타르"),
    "평": ("평",),
    "V": ("V", "볼트"),
    "kW": ("kW", "킬로와트"),
    "W": ("W", "와트"),
    "kHz": ("kHz", "킬로헤르츠"),
    "MHz": ("MHz", "메가헤르츠"),
    "GHz": ("GHz", "기가헤르츠"),
    "Hz": ("Hz", "헤르츠"),
    "KB": ("KB", "킬로바이트"),
    "MB": ("MB", "메가바이트", "메가"),
    "GB": ("GB", "기가바이트", "기가"),
    "TB": ("TB", "테라바이트", "테라"),
    "kcal": ("kcal", "킬로칼로리"),
    "dB": ("dB", "데시벨"),
    "inch": ("inch", "inches", "인치"),
    "명": ("명", "인"),
}
_UNIT_OF = {
    cased: unit
    for unit, all_of_it in _UNITS.items()
    for written in all_of_it
    for cased in ((written, written.upper(), written.lower(), written.capitalize()) if len(written) > 1 else (written,))
}
"""80KG and 16gb too; a single letter is not the same in capitals: 5G is no weight."""
_WORDS = sorted((one for one in _UNIT_OF if one[0] not in "₩￦$€¥"), key=len, reverse=True)
_UNIT = "|".join(
    re.escape(one) + (r"(?![A-Za-z])" if one[-1].isascii() and one[-1].isalpha() else "") for one in _WORDS
)
_SPOKEN = "|".join(
    one for one in _WORDS if len(one) > 1 and "가" <= one[0] <= "힣" and one not in ("기가", "메가", "테라")
)
"""Behind a number in words: 팔십 킬로그램. Some would make other words of it: 백인, 백엔드, 만 기가 (the term does)."""
_COUNTERS = "개월|개년|개소|개|건|회|호|번|주|일|년|월|세|살|시간|분|초|가구|세대|여|부|장|권|대|석|좌|주년|차례|곳|배"
"""What else may follow an amount; anything else in Hangul may make another word of it: 3만큼, 5천안."""
_MONTH_NAMES = (
    "jan january|feb february|mar march|apr april|may|jun june|jul july|aug august|sep sept september|oct october|"
    "nov november|dec december"
)
_MONTHS = {name: month for month, names in enumerate(_MONTH_NAMES.split("|"), 1) for name in names.split()}
_COUNTING = (
    "a an the in on of to at by for from and or no as is are was were than over under about with until since page pages"
    " top first last next up all any per within between through during before after nearly around some only fig table"
    " ch sec vol nos art"
)
_NO_CODES = _MONTHS.keys() | set(_COUNTING.split())
"""Words before a number that are no part of a code."""

_WORTH_A_LOOK = re.compile(
    rf"[\d½¼¾⅐-⅞]|분의|[{_SINO}]\s?(?:원|달러|불|유로|엔|퍼센트|프로|도|명)|제\s?[{_SINO}]|[{_SINO}]조\s[{_SINO}]{{1,3}}항|[{_SINO}유시]월|[십백천만억]"
    r"|[한두세네섯곱덟홉열]\s?시|[AaPp][Mm]\b|정오|자정|noon|midnight|[상하]반기|[일이삼사]\s?사?분기|제\s?[IVX]"
)

_YEAR = r"(?:19|20)\d\d"
_VERSION = re.compile(r"(?:\b(?:v|ver|version|release|build)\.?|버전|판본|릴리스|빌드)\s*\Z", re.IGNORECASE)
_NAMED = re.compile(r"([A-Za-z]+)\s\Z")
_DATING = "on from since until by to dated date of at as and in before after updated created"
_BEFORE_DATES = frozenset(_DATING.split())

_PARTED = re.compile(
    rf"(?<![\d.,/A-Za-z-])(?P<y>{_YEAR})\s?(?P<s>[./_-])\s?(?P<m>\d{{1,2}})\s?(?P=s)\s?(?P<d>\d{{1,2}})"
    r"(?![./_-]?\d|[A-SU-Za-z])"
)
_SHORT = re.compile(
    r"(?<![\d.,/A-Za-z-])(?:['’‘](?P<y>\d\d)\s?\.\s?(?P<m>\d{1,2})\s?\.\s?(?P<d>\d{1,2})"
    r"|(?P<y2>\d\d)(?P<s>[./_-])(?P<m2>\d\d)(?P=s)(?P<d2>\d\d)"
    r"|(?P<y3>\d\d)\. (?P<m3>\d{1,2})\. (?P<d3>\d{1,2})(?=\.)"
    r"|(?P<y4>\d\d)\.(?P<m4>\d{1,2})\.(?P<d4>\d{1,2}))(?![./_-]?\d|[A-Za-z])"
)
_KOREAN = re.compile(
    rf"(?<!\d)(?<!\d\.)(?:(?P<y>\d{{4}}|['’‘]?\d\d)\s?년도?|(?P<y2>{_YEAR}|['’‘]\d\d)\.)\s?"
    rf"(?P<m>\d{{1,2}}|[{_SINO[1:11]}유시]{{1,2}})\s?월(?:\s?(?P<d>\d{{1,2}})\s?일)?(?!\d)"
)
_SPELLED = re.compile(
    rf"(?<![가-힣])(?P<y>이천[{_SINO[1:11]}]{{0,4}}|천구백[{_SINO[1:11]}]{{0,4}}|이[영공][{_SINO[:10]}]{{2}})\s?년\s?"
    rf"(?P<m>[{_SINO[1:11]}유시]{{1,2}})\s?월"
    rf"(?:\s?(?P<d>[{_SINO[1:11]}]{{1,3}})일)?"
)
_COMPACT = re.compile(
    rf"(?<![\d.,])(?P<y>{_YEAR})(?P<m>0[1-9]|1[0-2])(?P<d>0[1-9]|[12]\d|3[01])(?![.,]?\d|\s?(?:원|달러|명|개|건))"
)
_COMPACT_SHORT = re.compile(
    r"(?:(?<![\w.,])|(?<=_))(?<![A-Za-z0-9]-)(?P<y>\d\d)(?P<m>0[1-9]|1[0-2])(?P<d>0[1-9]|[12]\d|3[01])"
    r"(?![\d%]|[.,-]\d|\s?(?:(?:원|달러|불|명|개|건|회|호|번|주|톤|평|세대)(?:[을를이은는의에과와로도만](?![가-힣])|(?![가-힣]))"
    r"|[A-Za-z]{1,3}\b))"
)
_ENGLISH = re.compile(
    r"\b(?:(?P<d>\d{1,2})(?:st|nd|rd|th)?[\s-](?:of\s)?)?(?P<m>[A-Z][A-Za-z]{2,8})\.?"
    rf"(?:\s(?P<d2>\d{{1,2}})(?:st|nd|rd|th)?)?(?:,\s?|[\s-])(?P<y>{_YEAR})\b"
    rf"|(?<![\d-])(?P<y2>{_YEAR})(?P<s>[\s-])(?P<m2>[A-Z][A-Za-z]{{2,8}})(?P=s)(?P<d3>\d{{1,2}})(?![\w-])"
)
_AMERICAN = re.compile(rf"(?<![\d./-])(?P<m>\d{{1,2}})/(?P<d>\d{{1,2}})/(?P<y>{_YEAR})(?![\d/])")
_BRITISH = re.compile(rf"(?<![\d./-])(?P<d>\d{{1,2}})/(?P<m>\d{{1,2}})/(?P<y>{_YEAR})(?![\d/])")
_COMPACT_MONTH = re.compile(
    rf"(?:(?<![\w.,-])|(?<=_)|(?<=[가-힣]))(?P<y>{_YEAR})(?P<m>0[1-9]|1[0-2])"
    r"(?![\dA-Za-z%]|[.,-]\d|\s?(?:원|달러|불|명|개|건|회|호|번|주|톤|평|세대))"
)
_MONTH = re.compile(
    rf"(?<![\d.,/A-Za-z-])(?P<y>{_YEAR})(?:(?P<s>[-/_])(?P<m>0?[1-9]|1[0-2])|\.(?P<m2>0[1-9]|1[0-2])"
    r"|\. (?P<m3>[1-9]|1[0-2])(?=\.))(?!\s?[./-]?\s?\d|\s?[호번]|[A-Za-z])"
)
_YEAR_ALONE = re.compile(rf"(?<!\d)(?P<y>{_YEAR}|['’‘]\d\d)\s?년(?!\s?[간차])")
_PART_OF_YEAR = re.compile(
    rf"(?:(?<!\d)(?<!\d\.)(?:(?P<y>{_YEAR}|['’‘]?\d\d)\s?년도?|(?P<y2>{_YEAR}|['’‘]\d\d)\.?)\s?|(?<![\d./가-힣]))"
    r"(?:(?P<q>[1-4일이삼사])\s?(?:/\s?4|사)?\s?분기|(?P<h>[상하])반기)"
    rf"|(?<![A-Za-z0-9])(?:(?P<y3>{_YEAR}|['’‘]\d\d)[\s._-]?)?(?:Q(?P<q2>[1-4])(?!\d)|(?P<q3>[1-4])Q)"
    rf"(?:\s?['’]?(?P<y4>{_YEAR}|\d\d))?(?![A-Za-z0-9])"
)
_DAY = re.compile(r"(?<!\d)(?P<m>\d{1,2})\s?월\s?(?P<d>\d{1,2})\s?일(?!\d)")
_DAY_SPELLED = re.compile(rf"(?<![가-힣])(?P<m>십[일이]?|[일이삼사오칠팔구유시])월\s?(?P<d>[{_SINO[1:11]}]{{1,3}})일")

_MONTH_OF = re.compile(r"d\d{4}-(\d\d)(?:-\d\d)?|d--(\d\d)-\d\d")
_MONTH_ALONE = re.compile(r"(?<![\d.,/])(?<!년)(?<!년 )(?P<m>\d{1,2})\s?월(?!요일|[급세]|\s?\d{1,2}\s?일)")
_WEEKDAY = r"\s?\((?:[월화수목금토일]|[월화수목금토일]요일)\)"
_DAY_OF_WEEK = re.compile(
    rf"(?<![\d./,-])(?P<m>\d{{1,2}})\s?(?:/\s?(?P<d>\d{{1,2}})(?={_WEEKDAY})"
    rf"|\.\s?(?P<d2>\d{{1,2}})(?=\.{_WEEKDAY}|\s?\([화수목금토]\)))"  # 3.5(일) may be as many days
)
_RANGE_END = re.compile(
    rf"\.?(?:{_WEEKDAY})?(?:\s?(?:[~∼〜]|-(?=\s))\s?|부터\s?)(?:(?P<m>\d{{1,2}})\s?[./월-]\s?)?"
    r"(?P<d>\d{1,2})(?:\s?일|(?![\d년월시:%]|\s?[./-]\s?\d|\s?[가-힣]))"
)
"""Behind a day the last one of several, where month and year are those of the first: 2024. 3. 17.(일) ~ 3. 20."""

_MONTH_NAME = "|".join(sorted((name.capitalize() for name in _MONTHS), key=len, reverse=True))
_DAY_ENGLISH = re.compile(
    rf"\b(?:(?P<d>\d{{1,2}})(?:st|nd|rd|th)?\s(?:of\s)?(?P<m>{_MONTH_NAME})\b"
    rf"|(?P<m2>{_MONTH_NAME})\.?\s(?P<d2>\d{{1,2}})(?:st|nd|rd|th)?\b)(?![,.]?\s?\d)"
)

_PHONE = re.compile(
    r"(?<![\d+])(?:(?:\(?\+\s?82\)?[\s.-]?|(?<![\w-])(?:00)?82-)(?:\(0\)|0)?(?P<area>[1-9]\d?)"
    r"|\(?(?P<zero>0\d{1,2})\))[\s.-]?(?P<a>\d{3,4})[\s.-]?(?P<b>\d{4})(?!\d)"
    r"|(?<![\d+-])(?<!\d\.)(?P<plain>0\d{1,2})(?P<s>\s?[ .-]\s?)(?P<a2>\d{3,4})(?P=s)(?P<b2>\d{4})(?![\d-])"
)
_SERVICE = re.compile(r"(?<![\d.,-])(?P<a>1[568]\d\d)[ .-](?P<b>\d{4})(?![\d.,-])")
"""1588-1234: a telephone's number without an area."""
_LONG_NUMBER = re.compile(r"(?<![A-Za-z0-9_.,-])\d+(?:-\d+){0,7}(?![A-Za-z0-9_]|[.,-]\d|\s?(?:원|달러|년))")
_CODE = re.compile(
    r"(?<![A-Za-z0-9])(?<!\d[.,:])(?!(?<=\d )[ck]?m[23](?![A-Za-z0-9]))"
    r"[A-Za-z0-9]+(?:[_-][A-Za-z0-9]+){0,7}"
)
_CURRENCY = re.compile(r"(?:USD|KRW|EUR|JPY)\d")
_CODE_APART = re.compile(
    r"(?<![A-Za-z0-9_-])(?P<a>(?:[A-Z]{2,5} (?=[A-Z] ))?[A-Za-z]{1,5}) (?P<b>\d{2,})(?![\w%°]|[.,:/-]\d)"
)

_DOTTED = r"\d{1,4}(?:\.\d{1,4}){1,4}"
_VERSION_FORM = re.compile(
    rf"(?<![A-Za-z0-9.,])(?:(?:v|ver\.?|version|버전)\s?|v\.)(?P<n>{_DOTTED}|(?<!v )\d{{1,3}})(?![A-Za-z0-9]|[.,]\d)"
    # Without its name two points are wanted, and no groups of three digits: 3.148.979 is an amount elsewhere.
    r"|(?<![A-Za-z0-9.,:-])(?P<n2>(?!\d{1,3}(?:\.\d{3})+(?![\d.]))\d{1,4}(?:\.\d{1,3}){2,4}"
    rf"|{_DOTTED}(?=\s?(?:버전|version\b)))(?![A-Za-z0-9]|[.,:]\d)",
    re.IGNORECASE,
)

_ARTICLE = re.compile(
    rf"(?:(?P<ordinal>제)\s?(?P<n>\d{{1,5}}|[{_SINO[1:14]}]{{1,6}}|[IVX]{{1,5}})|(?<![\d.,가-힣])(?P<bare>\d{{1,4}})"
    rf"|(?<![\d가-힣])(?P<said>[{_SINO[1:12]}]{{1,6}}(?=[가-힣])))\s?"
    rf"(?P<kind>조|항|호|장|절|편|관)(?:\s?의\s?(?P<branch>\d{{1,3}})(?!\d)"
    rf"|의(?P<spelled>[{_SINO[1:11]}]{{1,3}})(?![가-힣]))?(?:(?:\s?제?\s?(?P<part>\d{{1,3}})|(?:\s?제\s?|\s(?!사))(?P<whole>[{_SINO[1:11]}]{{1,3}}))\s?항)?"
    r"(?P<after>\s?[가-힣\d]?)"
)
_PARTICLES = tuple("은는이가을를의에와과도로만및")
_TRILLIONS = re.compile(rf"\s?\d[\d,.]*\s?[십백천]?억|\s?[{_SINO[:13]}]+억")
_ENGLISH_ARTICLE = re.compile(
    r"(?:\b[Aa]rt(?:icle|\.)|§)\s?(?P<n>\d{1,4})\b(?:\s?\((?P<part>\d{1,2})\)|,?\s[Pp]ara(?:graph|\.)\s?(?P<part2>\d{1,2})\b)?"
)
_ATTACHED = re.compile(
    r"(?P<kind>별표|별지|별첨|붙임|첨부|부록)\s?(?:제\s?)?(?P<n>\d{1,3})(?:\s?의\s?(?P<branch>\d{1,2}))?(?!\d|\s?[호조항]|[.,]\d)"
)
_OF_A_FORM = re.compile(r"(?:별지|별표|서식)\s?\Z")
_A_FORM = re.compile(r"\s?서식")
_ROMAN = {"I": 1, "V": 5, "X": 10}

_FRACTION = re.compile(
    rf"(?<![\d{_SINO}])(?P<b>\d+|[{_SINO}]{{1,6}})\s?분의\s?(?P<a>\d+|[{_SINO}]{{1,6}})"
    r"|(?P<sign>[½¼¾⅐-⅞])|(?<![\d/.,])(?P<a2>\d{1,3})\s?/\s?(?P<b2>\d{1,3})(?![\d/])"
)
_HOUR_NAMES = "한 두 세 네 다섯 여섯 일곱 여덟 아홉 열 열한 열두"
_HOURS = {name: hour for hour, name in enumerate(_HOUR_NAMES.split(), 1)}
_HOUR = "|".join(sorted(_HOURS, key=len, reverse=True))
_TIME = re.compile(
    r"(?:(?P<half>오전|오후|상오|하오|새벽|아침|낮|저녁|밤|[AaPp][Mm])\s?)?(?:(?<![\d:])(?P<h>\d{1,2})"
    r"(?::(?P<m>[0-5]\d)(?::[0-5]\d)?(?![\d:])|\s?시(?!간|[도군장민])|(?=\s?[AaPp]\.?[Mm]\b))"
    rf"|(?<![가-힣])(?P<hour>{_HOUR})\s?시(?![가-힣])|(?<![가-힣])(?P<hour2>{_HOUR})\s?시(?=에|부터|까지|반))"
    r"(?:\s?(?P<m2>[0-5]?\d|[일이삼사오육칠팔구십]{1,3})\s?분|\s?(?P<r>반)(?![가-힣])|\s?(?P<after>[AaPp])\.?[Mm]\b)?"
)
_NOON = re.compile(
    r"(?<![가-힣])(?:정오|(?P<night>자정))(?:(?![가-힣])|(?=에|까지|부터|이[전후]|[을를]))|\b(?:noon|(?P<night2>midnight))\b"
)

_SCALES = {"thousand": 10**3, "million": 10**6, "billion": 10**9, "trillion": 10**12}
_SCALES |= {"K": 10**3, "M": 10**6, "B": 10**9}
_AMOUNT = re.compile(
    r"(?P<sign>(?<![\w)\]])[-−]|영하\s?|마이너스\s?|minus\s)?(?P<currency>[$₩￦€¥]\s?|(?<![A-Za-z])(?:USD|KRW|EUR|JPY)\s?)?"
    r"(?<![\d.,])(?P<n>\d[\d,]*(?:\.\d+)?(?:\s?[십백천만억조]+(?:\s?\d[\d,]*(?:\.\d+)?)?){0,5})"
    r"(?:\s(?P<scale>thousand|million|billion|trillion)\b|(?(currency)(?P<letter>[KMB])(?![A-Za-z])|(?!)))?"
    rf"(?:\s?(?P<unit>{_UNIT})|(?=\s?[~∼〜]\s?[-−]?\d[\d,.]*\s?(?P<later>{_UNIT}))|(?=\s?(?:{_COUNTERS}))"
    r"|(?(currency)(?!,?\d)|(?![가-힣]|[.,]?\d)))"  # ₩45,000이다: of 45,000 not the 45 alone
)
_SPELLED_AMOUNT = re.compile(
    rf"(?<![가-힣\d])(?:일?금\s?)?(?P<sign>영하\s?)?(?P<n>[{_SINO}]+(?:\s[{_SINO}]*[십백천만억조])*)\s?"
    rf"(?:(?P<unit>원|달러|(?:불|유로|엔)(?![가-힣])|프로|도|명|{_SPOKEN})|(?=개|건|년|세|시간|호|가구))"
)


def normal_forms(text: str) -> list[str]:
    """The forms of everything in a text (NFC, compatibility forms resolved), each once, in the order of their kinds."""
    return list(dict.fromkeys(form for form, _, _ in placed_forms(text)))


def asked_forms(text: str) -> list[str]:
    """The same of a question: a month of any year is asked for only where neither its year nor its day is said."""
    forms = normal_forms(text)
    exact = {f"d--{found[1] or found[2]}" for form in forms if (found := _MONTH_OF.fullmatch(form))}
    return [form for form in forms if form not in exact]


def placed_forms(text: str) -> list[Placed]:
    """The same with the span in which each is written, as often as it is; of one span the most exact form first."""
    text = text.translate(_AS_WRITTEN)
    if not _WORTH_A_LOOK.search(text):
        return []
    taken = bytearray(len(text))
    return [placed for rule in _RULES for placed in rule(text, taken)]


def number(text: str) -> Decimal | None:
    """The value of a number in figures, Korean words, or both: 30,000, 3만, 삼만, 1만3천, 3억 2천만."""
    total, section, current = Decimal(0), Decimal(0), None
    for part in re.findall(rf"\d[\d,]*(?:\.\d+)?|[{_SINO}]", text):
        if part[0].isdigit():
            if "," in part and not re.fullmatch(r"\d{1,3}(?:,\d{3})+(?:\.\d+)?", part):
                return None
            current = Decimal(part.replace(",", ""))
        elif part in _DIGITS:
            current = (current or Decimal(0)) * 10 + _DIGITS[part]
        elif part in _SMALL:
            section, current = section + (1 if current is None else current) * _SMALL[part], None
        else:
            section += current or 0
            total, section, current = total + (section or 1) * _LARGE[part], Decimal(0), None
    return total + section + (current or 0)


def _placed(form: str, found: re.Match[str]) -> Placed:
    return form, *found.span()


def _free(pattern: re.Pattern[str], text: str, taken: bytearray) -> Iterator[re.Match[str]]:
    """The matches none of whose characters belongs to another form; whoever uses one takes it."""
    for found in pattern.finditer(text):
        if not any(taken[found.start() : found.end()]):
            yield found


def _take(found: re.Match[str], taken: bytearray) -> None:
    taken[found.start() : found.end()] = b"\x01" * (found.end() - found.start())


def _dates(text: str, taken: bytearray) -> Iterator[Placed]:
    yield from _parts_of_years(text, taken)
    for pattern in _DATES:
        for found in _free(pattern, text, taken):
            parts = {name.rstrip("234"): value for name, value in found.groupdict().items() if value}
            forms = _date_forms(parts.get("y", ""), parts.get("m", ""), parts.get("d", ""))
            if forms and not (parts.get("s", ".") == "." and pattern in _BY_DOTS and _is_version(text, found.start())):
                if pattern not in _DIGITS_ALONE:  # digits alone may be a code as well
                    _take(found, taken)
                yield from (_placed(form, found) for form in forms)
                if parts.get("d") and pattern not in _DIGITS_ALONE:
                    yield from _last_day(text, found.end(), parts["y"], parts["m"], taken)
    for found in _free(_YEAR_ALONE, text, taken):
        yield _placed(f"d{_year(found['y'])}", found)
    for pattern in (_DAY, _DAY_SPELLED, _DAY_ENGLISH, _DAY_OF_WEEK):
        for found in _free(pattern, text, taken):
            parts = {name.rstrip("2"): value for name, value in found.groupdict().items() if value}
            if forms := _day_forms(_calendar_number(parts["m"]), _calendar_number(parts["d"])):
                _take(found, taken)
                yield from (_placed(form, found) for form in forms)
                yield from _last_day(text, found.end(), "", parts["m"], taken)
    for found in _free(_MONTH_ALONE, text, taken):
        if 1 <= int(found["m"]) <= 12:
            yield _placed(f"d--{int(found['m']):02}", found)


def _last_day(text: str, start: int, year: str, month: str, taken: bytearray) -> Iterator[Placed]:
    """The forms of the last of several days, of which the first ends at `start`."""
    found = _RANGE_END.match(text, start)
    if not found or any(taken[found.start("d") : found.end("d")]):
        return
    written, place = found["m"] or month, (found.start("m") if found["m"] else found.start("d"), found.end())
    first, last = _calendar_number(month), _calendar_number(written)
    forms = _day_forms(last, int(found["d"]))
    if year and forms:
        forms = _date_forms(str(_year(year) + (last < first)), written, found["d"])
    if forms:
        taken[slice(*place)] = b"\x01" * (place[1] - place[0])
    yield from ((form, *place) for form in forms)


def _day_forms(month: int, day: int) -> list[str]:
    """Of a day without its year."""
    return [f"d--{month:02}-{day:02}", f"d--{month:02}"] if _is_day(2024, month, day) else []


_DATES = (
    *(_PARTED, _SHORT, _KOREAN, _SPELLED, _COMPACT, _COMPACT_SHORT, _COMPACT_MONTH),
    *(_ENGLISH, _AMERICAN, _BRITISH, _MONTH),
)
_DIGITS_ALONE = frozenset((_COMPACT, _COMPACT_SHORT, _COMPACT_MONTH))
_BY_DOTS = frozenset((_PARTED, _SHORT, _MONTH))
"""What dots alone make a date: a version may look the same."""


def _is_version(text: str, start: int) -> bool:
    before = text[max(0, start - 24) : start]
    named = _NAMED.search(before)
    return bool(_VERSION.search(before)) or bool(named and named[1].casefold() not in _BEFORE_DATES)


def _parts_of_years(text: str, taken: bytearray) -> Iterator[Placed]:
    """Quarters and halves: 2024년 1분기, 1/4분기, Q1 2024, 24년 상반기; a half only where its year is named."""
    for found in _free(_PART_OF_YEAR, text, taken):
        parts = {name.rstrip("234"): value for name, value in found.groupdict().items() if value}
        quarter = number(parts["q"]) if "q" in parts else None
        name, year = (f"q{quarter}" if quarter else "h" + "12"["상하".index(parts["h"])]), parts.get("y", "")
        if year:
            _take(found, taken)
            yield _placed(f"d{_year(year)}-{name}", found)
            yield _placed(f"d{_year(year)}", found)
        if quarter:
            yield _placed(name, found)


def _date_forms(year: str, month: str, day: str) -> list[str]:
    y, m = _year(year), _calendar_number(month)
    d = _calendar_number(day) if day else 0
    if not (1900 <= y < 2100 and _is_day(y, m, d or 1)):
        return []
    whole = [f"d{y}-{m:02}-{d:02}", f"d--{m:02}-{d:02}"] if d else []
    return [*whole, f"d{y}-{m:02}", f"d--{m:02}", f"d{y}"]


def _year(text: str) -> int:
    text = text.strip("'’‘")
    if not text.isdigit():
        return int(number(text) or 0)
    return int(text) + (0 if len(text) > 2 else 2000 if int(text) < 50 else 1900)


def _calendar_number(text: str) -> int:
    if text.isdigit():
        return int(text)
    name = _MONTHS.get(text.casefold())
    return name or {"유": 6, "시": 10}.get(text) or int(number(text) or 0)


def _is_day(year: int, month: int, day: int) -> bool:
    try:
        date(year, month, day)
    except ValueError:
        return False
    return True


def _versions(text: str, taken: bytearray) -> Iterator[Placed]:
    for found in _free(_VERSION_FORM, text, taken):
        written = found["n"] or found["n2"]
        if "." in written:  # v10 may be a code as well
            _take(found, taken)
        yield _placed(f"v{written}", found)


def _codes(text: str, taken: bytearray) -> Iterator[Placed]:
    for found in _free(_PHONE, text, taken):
        area = f"0{found['area']}" if found["area"] else found["zero"] or found["plain"]
        _take(found, taken)
        yield _placed(f"c{area}{found['a'] or found['a2']}{found['b'] or found['b2']}", found)
    for found in _free(_SERVICE, text, taken):
        yield _placed(f"c{found['a']}{found['b']}", found)
    for found in _free(_LONG_NUMBER, text, taken):
        digits = found.group().replace("-", "")
        if 8 <= len(digits) <= 32:
            if "-" in found.group():
                _take(found, taken)
            yield _placed(f"c{digits}", found)
    for found in _free(_CODE, text, taken):
        joined = found.group().replace("-", "").replace("_", "")
        if len(joined) <= 40 and not joined.isalpha() and not joined.isdigit():
            if joined[0].isalpha() and not _CURRENCY.match(joined):  # 1234 of AB-1234 is no amount, 3 of 3kg is
                _take(found, taken)
            yield _placed(f"c{joined.casefold()}", found)
    for found in _free(_CODE_APART, text, taken):
        letters = found["a"].casefold()
        if letters not in _NO_CODES:
            yield _placed(f"c{letters.replace(' ', '')}{found['b']}", found)


def _articles(text: str, taken: bytearray) -> Iterator[Placed]:
    for found in _free(_ARTICLE, text, taken):
        kind, written = found["kind"], found["n"] or found["bare"] or found["said"]
        after = (found["after"] or "").strip()
        if not found["ordinal"] and after in tuple("원달유엔억만천개명건"):
            continue
        if found["bare"] and kind not in "조항" and not (kind == "호" and _names_a_form(found)):
            continue
        if found["said"] and not _says_article(found):
            continue
        if (
            kind == "조" and not found["ordinal"] and _TRILLIONS.match(text, found.start("after"))
        ):  # 1조 5천억 is an amount
            continue
        value = _roman(written) if written[0] in _ROMAN else written if written.isdigit() else str(number(written))
        branch = found["branch"] or number(found["spelled"] or "")
        name = f"a{int(Decimal(value))}{kind}" + (f"의{int(branch)}" if branch else "")
        taken[found.start() : found.start("after")] = b"\x01" * (found.start("after") - found.start())
        place = found.start(), found.start("after")
        if part := found["part"] or number(found["whole"] or ""):
            yield f"{name}{int(part)}항", *place
        yield name, *place
    for found in _free(_ATTACHED, text, taken):
        _take(found, taken)
        branch = f"의{int(found['branch'])}" if found["branch"] else ""
        yield _placed(f"a{found['kind']}{int(found['n'])}{branch}", found)
    for found in _free(_ENGLISH_ARTICLE, text, taken):
        if part := found["part"] or found["part2"]:
            yield _placed(f"a{int(found['n'])}조{int(part)}항", found)
        yield _placed(f"a{int(found['n'])}조", found)


def _names_a_form(found: re.Match[str]) -> bool:
    """Whether a number without 제 is that of a form to fill in: 별지 3호, 3호서식."""
    text, end = found.string, found.start("after")
    return bool(_OF_A_FORM.search(text[max(0, found.start() - 4) : found.start()]) or _A_FORM.match(text, end))


def _roman(written: str) -> str:
    """IV → 4."""
    values = [_ROMAN[one] for one in written]
    return str(sum(-one if one < after else one for one, after in zip(values, [*values[1:], 0], strict=True)))


def _says_article(found: re.Match[str]) -> bool:
    """Whether Korean words without 제 before them name an article: 오십일조, 십칠호, 삼조 이항.

    구조, 백호 and 십일조, the tithe, are words of their own, and so is what goes on otherwise than with a particle.
    """
    if found["kind"] == "조" and (found["part"] or found["whole"]):
        return True
    if found["kind"] not in "조항호장절" or len(found["said"]) < 2 or not _means_number(found["said"]):
        return False
    named, after = found["said"] + found["kind"], found["after"]
    return named != "십일조" and (not after or after[0].isspace() or after in _PARTICLES)


def _fractions(text: str, taken: bytearray) -> Iterator[Placed]:
    for found in _free(_FRACTION, text, taken):
        if found["sign"]:
            yield _placed(f"f{unicodedata.normalize('NFKC', found['sign']).replace('⁄', '/')}", found)
            continue
        above, below = number(found["a"] or found["a2"]), number(found["b"] or found["b2"])
        _take(found, taken)
        yield _placed(f"f{above}/{below}", found)


def _times(text: str, taken: bytearray) -> Iterator[Placed]:
    for found in _free(_TIME, text, taken):
        hour = int(found["h"] or _HOURS[found["hour"] or found["hour2"]])
        minute = 30 if found["r"] else int(number(found["m"] or found["m2"] or "") or 0)
        if half := found["half"] or found["after"]:
            hour = hour % 12 + 12 * _is_late(half, hour)
        if hour <= 24:
            _take(found, taken)
            hours = (hour,) if minute else _MIDNIGHT.get(hour, (hour,))
            yield from (_placed(f"t{one}:{minute:02}", found) for one in hours)
    for found in _free(_NOON, text, taken):
        hours = _MIDNIGHT[0] if found["night"] or found["night2"] else (12,)
        yield from (_placed(f"t{one}:00", found) for one in hours)


_MIDNIGHT = {0: (0, 24), 24: (24, 0)}


def _is_late(half: str, hour: int) -> bool:
    """Whether an hour of a clock of twelve is one after noon: 밤 11시 is, 밤 1시 is not."""
    return (
        half in ("오후", "하오", "저녁")
        or half[0] in "Pp"
        or (half == "낮" and (hour < 7 or hour == 12))
        or (half == "밤" and 5 < hour < 12)
    )


def _amounts(text: str, taken: bytearray) -> Iterator[Placed]:
    for pattern in (_AMOUNT, _SPELLED_AMOUNT):
        for found in _free(pattern, text, taken):
            written, parts = found["n"].strip(), found.groupdict()
            unit = _UNIT_OF.get((parts.get("currency") or parts["unit"] or parts.get("later") or "").strip(), "")
            if not unit and (written.endswith("조") or written[0] == "0"):
                continue
            if not unit and (round_sum := _ROUND_SUM.fullmatch(written)):
                written += "만" if round_sum[1] == "억" else "억"
            value = number(written)
            if value is None or (pattern is _SPELLED_AMOUNT and not _means_number(written)):
                continue
            value *= _SCALES.get(parts.get("scale") or parts.get("letter") or "", 1)
            sign = "-" if parts["sign"] and unit in ("℃", "%", "%p") else ""
            if unit:
                yield _placed(f"n{sign}{_plain(value)}{unit}", found)
            if value >= 1000:
                yield _placed(f"n{sign}{_plain(value)}", found)


_ROUND_SUM = re.compile(r".*([억조])\s?[\d,.일이삼사오육칠팔구]*[천백]")
"""1억 2천 is what people say for 1억 2천만."""


def _means_number(written: str) -> bool:
    """이사 is a director before it is 24: only what has tens, hundreds, thousands is taken for a number."""
    return any(one in _SMALL or one in _LARGE for one in written)


def _plain(value: Decimal) -> str:
    """Without zeros that say nothing."""
    return f"{value.normalize():f}"


_RULES: tuple[Callable[[str, bytearray], Iterator[Placed]], ...] = (
    _dates,
    _versions,
    _codes,
    _articles,
    _fractions,
    _times,
    _amounts,
)
"""In this order: what an earlier one takes is no part of a later one's."""
