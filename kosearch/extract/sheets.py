"""Sheets of every spreadsheet format as text, and the numbers in them as they are shown."""

from __future__ import annotations

import math
import re
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from fractions import Fraction
from functools import lru_cache

from kosearch.extract import drawing
from kosearch.extract.containers import Parts, attribute, local, relation
from kosearch.extract.text import LINE, TextBuilder, table_lines

# Sheets of every spreadsheet format as text: a page a sheet, a line a row, each value after the names of its column.
#
# Readers hand over the cells that are there; nothing depends on how far apart they lie.

MOST_CELLS = 3_000_000
MOST_CHARACTERS = 128 << 20
"""In a workbook; what lies beyond either is named in a warning."""
_WORD = re.compile(r"[^\W\d]")
_CODES = re.compile(r'&(?:"[^"]*"|\d+|K[0-9A-F+-]{6,8}|[PNDTFAZGBIUESXYHOLCR&])')
_AMOUNT = re.compile(r"[\d,.\s]+(?:원|%|명|개)?$")
_LONGEST_NAME = 40
_LONGEST_SPAN = 60
"""Characters; a longer text in merged cells stands in the first of their rows only."""
_MOST_SPANS = 20_000
_MOST_HEADER_ROWS = 4

Row = dict[int, str]
Span = tuple[int, int, int, int]
"""First row, last row, first column, last column, all counted from 0."""


@dataclass(slots=True)
class Sheet:
    """The cells of a sheet that hold something."""

    name: str
    rows: dict[int, Row] = field(default_factory=dict)
    spans: list[Span] = field(default_factory=list)
    notes: dict[int, list[str]] = field(default_factory=lambda: defaultdict(list))
    """What is noted at the cells of a row."""
    header: list[str] = field(default_factory=list)
    """What stands at the head and at the foot of its printed pages."""
    after: list[str] = field(default_factory=list)
    """The texts of boxes and charts on it, each a paragraph."""


class Room:
    """How much of a workbook may still be read."""

    def __init__(self) -> None:
        self._cells = MOST_CELLS
        self._characters = MOST_CHARACTERS

    def take(self, row: Row) -> bool:
        """Whether there is room for a row and for more behind it."""
        self._cells -= len(row)
        self._characters -= sum(map(len, row.values()))
        return self._cells > 0 and self._characters > 0

    def warning(self, name: str) -> str:
        return f"only a part of sheet {name} is read: the workbook is too large"


def write(builder: TextBuilder, sheet: Sheet, number: int) -> None:
    """Add a sheet as the page of this number."""
    builder.page(number, sheet.name)
    for text in dict.fromkeys(sheet.header):
        builder.add(text)
    lines = _lines(sheet)
    if lines:
        builder.add("\n".join(lines))
    for place in sorted(set(sheet.notes) - set(sheet.rows)):
        for note in sheet.notes[place]:
            builder.add(note, gap=LINE)
    for text in sheet.after:
        builder.add(text)


def _lines(sheet: Sheet) -> list[str]:
    rows, spans = sheet.rows, sheet.spans[:_MOST_SPANS]
    _fill_down(rows, spans)
    starting: defaultdict[int, list[Span]] = defaultdict(list)
    for span in spans:
        starting[span[0]].append(span)
    order = sorted(rows)
    lines: list[str] = []
    names: Mapping[int, str] = {}
    at = 0
    found = False
    while at < len(order):
        place = order[at]
        row = rows[place]
        begins = not found or (at > 0 and place > order[at - 1] + 1)
        depth = _header_rows(rows, order, at, starting, first=not found) if begins else 0
        if depth:
            found = True
            here = order[at : at + depth]
            names = _names(rows, here, [span for first in here for span in starting.get(first, ())])
            lines.append(" | ".join(_without_repeats(names)))
            at += depth
        else:
            alone = begins and len(row) == 1  # far from the table whose columns it shares
            lines.append(_line(row, {} if alone else names))
            at += 1
        for header in order[at - (depth or 1) : at]:
            lines += sheet.notes.get(header, ())
    return [line for line in lines if line]


def _line(row: Row, names: Mapping[int, str]) -> str:
    parts = []
    for column in row if len(row) < 2 else sorted(row):
        name = names.get(column)
        parts.append(f"{name}: {row[column]}" if name and name != row[column] else row[column])
    return " | ".join(parts)


def _without_repeats(names: Mapping[int, str]) -> list[str]:
    columns = sorted(names)
    return [names[one] for at, one in enumerate(columns) if not at or names[one] != names[columns[at - 1]]]


def _fill_down(rows: dict[int, Row], spans: Sequence[Span]) -> None:
    """Put a text in merged cells into each of their rows that has other cells."""
    for first, last, column, _ in spans:
        text = rows.get(first, {}).get(column, "")
        if last > first and text and len(text) <= _LONGEST_SPAN:
            places = (
                range(first + 1, last + 1) if last - first < len(rows) else [one for one in rows if first < one <= last]
            )
            for place in places:
                if place in rows:
                    rows[place].setdefault(column, text)


def _header_rows(
    rows: dict[int, Row], order: Sequence[int], at: int, starting: Mapping[int, Sequence[Span]], *, first: bool
) -> int:
    """How many rows from here on name the columns of a table; 0 where none does.

    The first table of a sheet may begin with any row of names that has rows below it; a later one only with a row
    above numbers, for otherwise a table with an empty row in it would lose its names there.
    """
    row = rows[order[at]]
    if len(row) < 2:
        return 0
    here = order[at]
    wide = any(right > left for _, _, left, right in starting.get(here, ()))
    depth = 1
    if wide:
        # Names over several columns go on with the names of each below them.
        end = max([here + 1, *(last for _, last, _, _ in starting[here])])
        depth = sum(1 for place in order[at : at + _MOST_HEADER_ROWS] if place <= end)
    below = order[at + depth : at + depth + 2]
    if len(below) < (2 if depth == 1 else 1):
        return 0
    if not all(_is_name(text) for place in order[at : at + depth] for text in rows[place].values()):
        return _header_rows(rows, order, at, {}, first=first) if depth > 1 else 0
    if depth == 1 and len(set(row.values())) != len(row):
        return 0
    if not first and not any(map(_AMOUNT.match, rows[below[0]].values())):
        return 0
    return depth


def _is_name(text: str) -> bool:
    return len(text) <= _LONGEST_NAME and bool(_WORD.search(text)) and not _AMOUNT.match(text)


def _names(rows: dict[int, Row], places: Sequence[int], spans: Sequence[Span]) -> dict[int, str]:
    """The path of names over each column, outermost first."""
    paths: defaultdict[int, list[str]] = defaultdict(list)
    columns = {column for place in places for column in rows[place]}
    for place in places:
        row = dict(rows[place])
        for first, last, left, right in spans:
            text = rows.get(first, {}).get(left, "")
            if first <= place <= last and right > left and text:
                for column in columns:
                    if left <= column <= right:
                        row.setdefault(column, text)
        for column, text in row.items():
            if text not in paths[column]:
                paths[column].append(text)
    return {column: " ".join(path) for column, path in paths.items()}


def furniture(text: str) -> str:
    """A header or footer of printed pages without the codes that lay it out; "" where no word is left."""
    shown = " ".join(_CODES.sub(lambda found: "&" if found[0] == "&&" else " ", text).split())
    return shown if _WORD.search(shown) else ""


def drawn(parts: Parts, part: str) -> Iterator[str]:
    """The texts of boxes, pictures and charts on a sheet."""
    root = parts.optional(part)
    for element in root.iter() if root is not None else ():
        kind = local(element)
        if kind == "txBody":
            yield "\n".join(drawing.drawn_text(one) for one in element if local(one) == "p")
        elif kind == "cNvPr":
            yield drawing.description(attribute(element, "descr"))
        elif kind in ("chart", "relIds"):
            target = parts.optional(parts.target(part, relation(element)))
            if target is not None and kind == "chart":
                caption, rows = drawing.chart(target)
                yield caption
                yield "\n".join(table_lines([row for row in rows if any(row)], named_columns=False))
            elif target is not None:
                yield from drawing.diagram(target)


# Numbers as a spreadsheet shows them, by their format codes: 0001, 10.0%, 1,200원, 3월 1일 (ECMA-376, 18.8.31).

Format = Callable[[float], str]

BUILT_IN = {
    0: "General", 1: "0", 2: "0.00", 3: "#,##0", 4: "#,##0.00", 5: "₩#,##0;-₩#,##0", 6: "₩#,##0;-₩#,##0",
    7: "₩#,##0.00;-₩#,##0.00", 8: "₩#,##0.00;-₩#,##0.00", 9: "0%", 10: "0.00%", 11: "0.00E+00", 12: "# ?/?",
    13: "# ??/??", 14: "yyyy-mm-dd", 15: "d-mmm-yy", 16: "d-mmm", 17: "mmm-yy", 18: "h:mm AM/PM", 19: "h:mm:ss AM/PM",
    20: "h:mm", 21: "h:mm:ss", 22: "yyyy-mm-dd h:mm", 27: 'yyyy"年" mm"月" dd"日"', 28: "mm-dd", 29: "mm-dd",
    30: "mm-dd-yy", 31: 'yyyy"년" mm"월" dd"일"', 32: 'h"시" mm"분"', 33: 'h"시" mm"분" ss"초"', 34: "yyyy-mm-dd",
    35: "yyyy-mm-dd", 36: 'yyyy"年" mm"月" dd"日"', 37: "#,##0;-#,##0", 38: "#,##0;-#,##0", 39: "#,##0.00;-#,##0.00",
    40: "#,##0.00;-#,##0.00", 41: "#,##0;-#,##0;-", 42: "₩#,##0;-₩#,##0;₩-", 43: "#,##0.00;-#,##0.00;-",
    44: "₩#,##0.00;-₩#,##0.00;₩-", 45: "mm:ss", 46: "[h]:mm:ss", 47: "mm:ss.0", 48: "##0.0E+0", 49: "@",
    50: 'yyyy"年" mm"月" dd"日"', 51: "mm-dd", 52: "yyyy-mm-dd", 53: "yyyy-mm-dd", 54: "mm-dd", 55: "yyyy-mm-dd",
    56: "yyyy-mm-dd", 57: 'yyyy"年" mm"月" dd"日"', 58: "mm-dd",
}  # fmt: skip
"""What the numbers of built-in formats stand for in Korean Excel."""

_TOKEN = re.compile(
    r'"(?P<quoted>[^"]*)"?|[\\!](?P<escaped>.)|_(?P<space>.)|\*(?P<fill>.)|\[(?P<bracket>[^\]]*)\]'
    r"|(?P<general>General|G/표준)|(?P<half>AM/PM|A/P|오전/오후)|(?P<exponent>[eE][+-])"
    r"|(?P<date>y+|m+|d+|h+|s+|a{3,4}|e+|g+)|(?P<number>[0#?]+|[.,%/])|(?P<text>@)|(?P<other>.)",
    re.IGNORECASE | re.DOTALL,
)
_CONDITION = re.compile(r"([<>=]{1,2})\s*(-?\d+(?:\.\d+)?)$")
_COMPARE: dict[str, Callable[[float, float], bool]] = {
    "<": lambda a, b: a < b, "<=": lambda a, b: a <= b, ">": lambda a, b: a > b, ">=": lambda a, b: a >= b,
    "=": lambda a, b: a == b, "<>": lambda a, b: a != b,
}  # fmt: skip
_DAYS = "월화수목금토일"
_DAY_NAMES = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
_MONTHS = str.split("January February March April May June July August September October November December")
_LONGEST_CODE = 300
_LATEST = 2958466
"""The day after the last that a spreadsheet knows, 9999-12-31."""
# So much more, in parts of a number, rounds a half away from zero as spreadsheets do, and shows in no 15th digit.
_NUDGE = 1 + 2e-15


def general(value: float) -> str:
    """A number without a format."""
    if not math.isfinite(value):
        return ""
    if value == int(value) and abs(value) < 1e15:
        return str(int(value))
    mantissa, _, power = f"{value:.15g}".partition("e")
    return f"{mantissa}E{int(power):+03d}" if power else mantissa


@lru_cache(1024)
def compiled(code: str, from_1904: bool = False) -> Format:
    """The function that shows a number in this format; days count from 1904 in files of old Macintosh programs."""
    if code.lower() in ("", "general", "@") or len(code) > _LONGEST_CODE:
        return general
    sections = [_parsed(part) for part in _sections(code)]
    shown = [_section(one, from_1904) for one in sections]
    if any(one.condition for one in sections):
        return _conditional(sections, shown)
    if len(shown) == 1 or sections[1].is_text:
        first, dated = shown[0], sections[0].is_date
        return lambda value: first(value) if value >= 0 or dated else _negative(first(-value))
    below = shown[1]
    zero = shown[2] if len(shown) > 2 and not sections[2].is_text else shown[0]
    return lambda value: below(-value) if value < 0 else (shown[0] if value > 0 else zero)(value)


def is_date(code: str) -> bool:
    """Whether a format shows a number as a day or a time."""
    return any(_parsed(part).is_date for part in _sections(code)[:1])


def _negative(text: str) -> str:
    return f"-{text}" if re.search(r"[1-9]", text) else text


def _conditional(sections: Sequence[_Section], shown: Sequence[Format]) -> Format:
    def show(value: float) -> str:
        for number, (section, one) in enumerate(zip(sections, shown, strict=True)):
            if section.condition:
                operator, bound = section.condition
                if _COMPARE[operator](value, bound):
                    return one(abs(value)) if bound <= 0 and value < 0 and operator[0] == "<" else _signed(one, value)
            elif not section.is_text and (number > 0 or len(sections) == 1):
                return _signed(one, value)
        return general(value)

    return show


def _signed(show: Format, value: float) -> str:
    return show(value) if value >= 0 else _negative(show(-value))


def _sections(code: str) -> list[str]:
    parts = [""]
    for token in _TOKEN.finditer(code):
        if token["other"] == ";":
            parts.append("")
        else:
            parts[-1] += token[0]
    return parts[:4]


@dataclass(slots=True)
class _Section:
    tokens: list[tuple[str, str]] = field(default_factory=list)
    condition: tuple[str, float] | None = None
    korean: bool = False
    is_date: bool = False
    is_text: bool = False


def _parsed(code: str) -> _Section:
    section = _Section()
    for token in _TOKEN.finditer(code):
        kind = token.lastgroup or "other"
        text = token[kind]
        if kind == "bracket":
            _bracket(section, text)
        elif kind in ("quoted", "escaped", "other"):
            section.tokens.append(("literal", text))
        elif kind == "space":
            section.tokens.append(("literal", " "))
        elif kind != "fill":
            section.tokens.append((kind, text.lower() if kind == "date" else text))
    kinds = {kind for kind, _ in section.tokens}
    section.is_date = bool(kinds & {"date", "elapsed", "half"})
    section.is_text = "text" in kinds
    return section


def _bracket(section: _Section, text: str) -> None:
    if text.startswith("$"):
        sign, _, place = text[1:].partition("-")
        section.korean = section.korean or place.lower().removeprefix("x-sysdate,").endswith(("412", "ko-kr"))
        if sign:
            section.tokens.append(("literal", sign))
    elif found := _CONDITION.match(text):
        if found[1] in _COMPARE:
            section.condition = (found[1], float(found[2]))
    elif re.fullmatch(r"h+|m+|s+", text, re.IGNORECASE):
        section.tokens.append(("elapsed", text.lower()))


def _section(section: _Section, from_1904: bool) -> Format:
    if section.is_date:
        return _date(section, from_1904)
    kinds = [kind for kind, _ in section.tokens]
    if "general" in kinds or section.is_text:
        literals = [text if kind == "literal" else None for kind, text in section.tokens]
        return lambda value: _tidy("".join(general(value) if text is None else text for text in literals))
    numbers = [text for kind, text in section.tokens if kind == "number"]
    if not numbers:
        fixed = _tidy("".join(text for _, text in section.tokens))
        return lambda value: fixed
    if "/" in numbers:
        return _fraction(section)
    return _number(section)


def _tidy(text: str) -> str:
    return " ".join(text.split())


# --- numbers --------------------------------------------------------------------------------------------------------


def _number(section: _Section) -> Format:
    """Digits, with separators, percent, an exponent, and literals before, behind and between."""
    tokens = section.tokens
    places = [at for at, (kind, text) in enumerate(tokens) if kind == "number" and text[0] in "0#?"]
    if not places:
        fixed = _tidy("".join(text for kind, text in tokens if kind == "literal" or text == "%"))
        return lambda value: fixed
    point = next((at for at, (_, text) in enumerate(tokens) if text == "." and tokens[at][0] == "number"), len(tokens))
    whole = [at for at in places if at < point]
    decimals = "".join(tokens[at][1] for at in places if at > point) if "exponent" not in dict(tokens) else ""
    commas = [at for at, (kind, text) in enumerate(tokens) if kind == "number" and text == ","]
    end = whole[-1] if whole else -1
    grouped = any(at < end for at in commas)
    scale = 100.0 ** sum(text == "%" and kind == "number" for kind, text in tokens)
    scale /= 1000.0 ** sum(end < at < point and whole != [] for at in commas)
    least = sum(tokens[at][1].count("0") for at in whole)
    if "exponent" in dict(tokens):
        return _exponent(section, scale)
    first, last = places[0], max(places)
    before = "".join(_literal(token) for token in tokens[: min(first, point)])
    after = "".join(_literal(token) for token in tokens[last + 1 :])
    between = any(kind == "literal" for kind, _ in tokens[first:last])
    optional = len(decimals) - len(decimals.rstrip("#?"))
    digits = len(decimals)
    if between:
        return _spread(section, whole, decimals, scale)
    form = f"{{:{',' if grouped else ''}.{digits}f}}".format

    def show(value: float) -> str:
        text = form(value * scale * _NUDGE)
        if optional:
            head, tail = text[:-optional], text[-optional:].rstrip("0")
            text = (head + tail).removesuffix(".")
        if least > 1:
            head, dot, tail = text.partition(".")
            text = head.rjust(least, "0") + dot + tail
        elif not least and text.startswith("0."):
            text = text[1:]
        elif not least and text == "0":
            text = ""
        return _tidy(f"{before}{text}{after}")

    return show


def _literal(token: tuple[str, str]) -> str:
    kind, text = token
    return text if kind == "literal" or text == "%" else ""


def _spread(section: _Section, whole: Sequence[int], decimals: str, scale: float) -> Format:
    """Literals between the digits, as in telephone numbers: digits are laid out from the right."""
    room = sum(len(section.tokens[at][1]) for at in whole)

    def show(value: float) -> str:
        text = f"{value * scale * _NUDGE:.{len(decimals)}f}"
        digits, _, fraction = text.partition(".")
        extra = max(len(digits) - room, 0)
        digits = digits.rjust(room, "\0")
        place, parts = 0, []
        for at, (kind, pattern) in enumerate(section.tokens):
            if at in whole:
                taken = digits[place : place + len(pattern) + (extra if not place else 0)]
                place += len(taken)
                marks = pattern.rjust(len(taken), "0")
                parts.append("".join(("0" if mark == "0" else "") if digit == "\0" else digit
                                     for digit, mark in zip(taken, marks, strict=True)))  # fmt: skip
            elif kind == "number" and pattern == ".":
                parts.append("." + fraction)
            elif kind == "literal" or pattern == "%":
                parts.append(pattern)
        return _tidy("".join(parts))

    return show


def _exponent(section: _Section, scale: float) -> Format:
    at = next(at for at, (kind, _) in enumerate(section.tokens) if kind == "exponent")
    mantissa = "".join(text for kind, text in section.tokens[:at] if kind == "number")
    digits = len(mantissa.partition(".")[2])
    width = len("".join(text for kind, text in section.tokens[at:] if kind == "number"))

    def show(value: float) -> str:
        head, _, power = f"{value * scale:.{digits}E}".partition("E")
        return f"{head}E{'-' if power[0] == '-' else '+'}{power[1:].lstrip('0').rjust(width, '0')}"

    return show


def _fraction(section: _Section) -> Format:
    numbers = [text for kind, text in section.tokens if kind == "number"]
    slash = numbers.index("/")
    fixed = re.match(r"[1-9]\d*", "".join(text for kind, text in section.tokens if kind in ("number", "literal"))
                     .partition("/")[2].strip())  # fmt: skip
    most = 10 ** len(numbers[slash + 1]) - 1 if slash + 1 < len(numbers) else 9
    mixed = slash > 1

    def show(value: float) -> str:
        if fixed:
            part = Fraction(round(value * int(fixed[0])), int(fixed[0]))
        else:
            part = Fraction(value).limit_denominator(max(most, 1))
        whole, rest = divmod(part.numerator, part.denominator) if mixed else (0, part.numerator)
        below = int(fixed[0]) if fixed else part.denominator
        rest = rest * (below // part.denominator)
        return f"{whole or ''} {rest}/{below}".strip() if rest else str(whole)

    return show


# --- days and times -------------------------------------------------------------------------------------------------


def _date(section: _Section, from_1904: bool) -> Format:
    tokens = _with_minutes(section.tokens)
    halves = any(kind == "half" for kind, _ in tokens)
    fractions = max((len(text) for kind, text in tokens if kind == "fraction"), default=0)
    unit = 10**fractions
    writers = [_writer(kind, text, halves, section.korean, fractions) for kind, text in tokens]

    def show(value: float) -> str:
        if not 0 <= value + 1462 * from_1904 < _LATEST:
            return general(value)
        ticks = round(value * 86400 * unit)
        moment = _moment(ticks // unit, from_1904)
        return _tidy("".join([write(moment, ticks) for write in writers]))

    return show


def _writer(kind: str, text: str, halves: bool, korean: bool, fractions: int) -> Callable[[datetime, int], str]:
    """What a token of a date writes, from the moment and from the ticks since the beginning."""
    unit = 10**fractions
    if kind == "elapsed":
        seconds = unit * {"h": 3600, "m": 60, "s": 1}[text[0]]
        return lambda _, ticks: str(ticks // seconds).rjust(len(text), "0")
    if kind == "fraction":
        return lambda _, ticks: f".{ticks % unit:0{fractions}d}"
    if kind == "half":
        names = ("오전", "오후") if korean or text.startswith("오전") else ("AM", "PM")
        return lambda moment, _: names[moment.hour >= 12][: 1 if len(text) == 3 else 2]
    if kind not in ("date", "minute"):
        return lambda *_: text
    if text[0] == "h" and halves:
        width = len(text)
        return lambda moment, _: str((moment.hour - 1) % 12 + 1).rjust(width, "0")
    write = _KOREAN_PARTS.get(text) if korean else None
    part = write or _PARTS.get(text, lambda _: "")
    return lambda moment, _: part(moment)


def _moment(seconds: float, from_1904: bool) -> datetime:
    if from_1904:
        return datetime(1904, 1, 1) + timedelta(seconds=seconds)
    # Day 60 is 29 February 1900, which never was: days before it count from one day later.
    base = datetime(1899, 12, 30) if seconds >= 60 * 86400 else datetime(1899, 12, 31)
    return base + timedelta(seconds=seconds)


def _with_minutes(tokens: Sequence[tuple[str, str]]) -> list[tuple[str, str]]:
    """The tokens of a date, m beside hours or seconds told from months, and zeros behind a point from numbers."""
    result: list[tuple[str, str]] = []
    before = ""
    for at, token in enumerate(tokens):
        kind, text = token
        if kind == "number":
            behind_point = at and tokens[at - 1][1] == "." and text[0] == "0"
            follows = at + 1 < len(tokens) and text == "." and tokens[at + 1][1][0] == "0"
            if behind_point:
                result.append(("fraction", text))
            elif not follows:
                result.append(("literal", text))
            continue
        if kind == "date" and text[0] == "m" and len(text) <= 2:
            after = next((one[0] for kind, one in tokens[at + 1 :] if kind in ("date", "elapsed")), "")
            if before in ("h", "s") or after == "s":
                kind, text = "minute", f"min{text}"
        if kind in ("date", "elapsed", "minute"):
            before = text[0] if kind != "minute" else "m"
        result.append((kind, text))
    return result


_PARTS: dict[str, Callable[[datetime], str]] = {
    "yyyy": lambda moment: f"{moment.year:04}",
    "yyy": lambda moment: f"{moment.year:04}",
    "yy": lambda moment: f"{moment.year % 100:02}",
    "y": lambda moment: f"{moment.year % 100:02}",
    "e": lambda moment: str(moment.year),
    "mmmmm": lambda moment: _MONTHS[moment.month - 1][0],
    "mmmm": lambda moment: _MONTHS[moment.month - 1],
    "mmm": lambda moment: _MONTHS[moment.month - 1][:3],
    "mm": lambda moment: f"{moment.month:02}",
    "m": lambda moment: str(moment.month),
    "dddd": lambda moment: _DAY_NAMES[moment.weekday()],
    "ddd": lambda moment: _DAY_NAMES[moment.weekday()][:3],
    "dd": lambda moment: f"{moment.day:02}",
    "d": lambda moment: str(moment.day),
    "aaaa": lambda moment: f"{_DAYS[moment.weekday()]}요일",
    "aaa": lambda moment: _DAYS[moment.weekday()],
    "hh": lambda moment: f"{moment.hour:02}",
    "h": lambda moment: str(moment.hour),
    "minmm": lambda moment: f"{moment.minute:02}",
    "minm": lambda moment: str(moment.minute),
    "ss": lambda moment: f"{moment.second:02}",
    "s": lambda moment: str(moment.second),
}
_KOREAN_PARTS: dict[str, Callable[[datetime], str]] = {
    "mmmm": lambda moment: f"{moment.month}월",
    "mmm": lambda moment: str(moment.month),
    "dddd": _PARTS["aaaa"],
    "ddd": _PARTS["aaa"],
}
