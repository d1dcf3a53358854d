"""Sheets of every spreadsheet format as text: a page a sheet, a line a row, each value after the names of its column.

Readers hand over the cells that are there; nothing depends on how far apart they lie.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from kosearch.extract import drawing
from kosearch.extract.builder import LINE, TextBuilder, table_lines
from kosearch.extract.containers import attribute, local
from kosearch.extract.opc import Parts, relation

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
