"""An extracted text as a person reads it: headings, paragraphs, tables, and the passage marked in it.

A text is cut into runs, each with its mark: 0 for what surrounds the passage, 1 for the passage, 2 for the part of it
that answers best. The page makes text nodes of them, whatever stands in them.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import Any

from kosearch.index import FullDocument

_AROUND = 6000
"""Characters before and after a passage that are shown at once."""
_MOST = 60_000
_MOST_ROWS = 60
"""Rows of a sheet before and after the passage."""
_CELL = " | "
_SHEETS = frozenset(("csv", "ods", "xls", "xlsx"))
_PLAIN = frozenset(("code", "json", "latex", "subtitles", "text", "xml"))

Run = tuple[str, int]
Span = tuple[int, int]


def window(text: str, start: int, end: int, around: int = _AROUND) -> Span:
    """The whole lines around [start:end] that are shown."""
    first = text.rfind("\n", 0, max(start - around, 0)) + 1 if start > around else 0
    last = text.find("\n", min(end + around, len(text)))
    last = len(text) if last < 0 else last
    return (first, min(last, max(end, first + _MOST)))


def blocks(document: FullDocument, part: Span, passage: Span, best: Span) -> list[dict[str, Any]]:
    """The part [start:end] of a text, block by block: heading, page, text (or code), table."""
    kind = document.stored.kind
    levels = {one.start: one.level for one in document.headings}
    pages = {one.start: one.label or str(one.number) for one in document.pages}
    marks = (passage, best)
    found: list[dict[str, Any]] = []
    for place, line in _lines(document.text, *part):
        if place in pages:
            found.append({"is": "page", "label": pages[place]})
        if not line.strip():
            found.append({"is": "gap"})
        elif place in levels and len(line) <= _LONGEST_HEADING:
            signs = len(line) - len(line.lstrip("# ")) if kind == "markdown" else 0
            shown = _without(runs(line, place, marks), signs)
            found.append({"is": "heading", "level": min(levels[place], 6), "runs": shown})
        elif _CELL in line and kind not in _PLAIN:
            _append(found, "table", list(_cells(line, place, marks)))
        else:
            _append(found, "code" if kind in _PLAIN else "text", runs(line, place, marks))
    if kind in _SHEETS:
        found = [_grid(one) if one["is"] == "table" else one for one in found]
    return [one for one in found if one["is"] != "gap"]


_LONGEST_HEADING = 600


def runs(text: str, offset: int, marks: Sequence[Span]) -> list[Run]:
    """A text that begins at `offset`, cut where a mark begins or ends; the last of `marks` counts that covers a run."""
    ends = {0, len(text)}
    for start, end in marks:
        ends |= {min(max(start - offset, 0), len(text)), min(max(end - offset, 0), len(text))}
    edges = sorted(ends)
    found: list[Run] = []
    for first, last in pairwise(edges):
        level = max((n for n, (start, end) in enumerate(marks, 1) if start <= offset + first < end), default=0)
        found.append((text[first:last], level))
    return found


def _lines(text: str, start: int, end: int) -> Iterator[tuple[int, str]]:
    place = start
    for line in text[start:end].split("\n"):
        yield place, line
        place += len(line) + 1


def _append(found: list[dict[str, Any]], what: str, line: list[Any]) -> None:
    """Add a line to the block before it, where that is of its kind."""
    if not found or found[-1]["is"] != what:
        found.append({"is": what, "rows" if what == "table" else "lines": []})
    found[-1]["rows" if what == "table" else "lines"].append(line)


def _cells(line: str, offset: int, marks: Sequence[Span]) -> Iterator[list[Run]]:
    place = offset
    for cell in line.split(_CELL):
        yield runs(cell, place, marks)
        place += len(cell) + len(_CELL)


def _grid(table: dict[str, Any]) -> dict[str, Any]:
    """A sheet's lines, "column: value | …", as rows of columns; the rows around the passage where there are many."""
    names = ["".join(text for text, _ in cell) for cell in table["rows"][0]]
    rows = [_in_columns(row, names) for row in table["rows"][1:]]
    if any(row is None for row in rows):
        return table
    marked = [number for number, row in enumerate(rows) if row and any(mark for cell in row for _, mark in cell)]
    first = max((marked[0] if marked else 0) - _MOST_ROWS, 0)
    last = (marked[-1] if marked else 0) + _MOST_ROWS + 1
    return {"is": "grid", "names": names, "rows": rows[first:last], "left_out": len(rows) - len(rows[first:last])}


def _in_columns(row: Sequence[list[Run]], names: Sequence[str]) -> list[list[Run]] | None:
    """The cells of a row under the names of their columns; None where one says no column's name."""
    filled: dict[int, list[Run]] = {}
    at = 0
    for cell in row:
        text = "".join(part for part, _ in cell)
        column = next((n for n in range(at, len(names)) if text.startswith(f"{names[n]}: ")), None)
        if column is None:
            return None
        filled[column] = _without(cell, len(names[column]) + 2)
        at = column + 1
    return [filled.get(column, []) for column in range(len(names))]


def _without(cell: list[Run], count: int) -> list[Run]:
    """Runs without their first characters."""
    left: list[Run] = []
    for text, mark in cell:
        left.append((text[count:], mark))
        count = max(count - len(text), 0)
    return [run for run in left if run[0]]


def page_of(document: FullDocument, place: int) -> int | None:
    """The number of the page on which an offset lies; None where there are no pages."""
    return next((one.number for one in reversed(document.pages) if one.start <= place), None)


def on_page(document: FullDocument, number: int, passage: Span, best: Span) -> tuple[str, Span]:
    """The passage's text on a page, and the part of that which answers best; "" where it does not stand there.

    A document that an earlier version stored has no pages: then it is sought on all of them.
    """
    start, end = 0, len(document.text)
    if document.pages:
        numbers = [one.number for one in document.pages]
        if number not in numbers:
            return "", (0, 0)
        place = numbers.index(number)
        start = document.pages[place].start
        end = document.pages[place + 1].start if place + 1 < len(numbers) else end
    first, last = max(start, passage[0]), min(end, passage[1])
    if first >= last:
        return "", (0, 0)
    inside = (min(max(best[0], first), last) - first, min(max(best[1], first), last) - first)
    return document.text[first:last], inside
