"""A document's text, block by block, so that the offsets of headings and pages are exact; tables as lines of it."""

from __future__ import annotations

import importlib.util
import json
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from itertools import pairwise, zip_longest
from pathlib import Path

from kosearch.extract.decoding import normalise
from kosearch.records import MAX_TITLE, Extracted, Heading, PageStart

PARAGRAPH = "\n\n"
LINE = "\n"


class TextBuilder:
    """Collects normalised blocks; headings and pages begin where the next block begins."""

    def __init__(self) -> None:
        self._parts: list[str] = []
        self._length = 0
        self._headings: list[Heading] = []
        self._pages: list[PageStart] = []
        self._waiting: list[tuple[int, str]] = []

    def add(self, text: str, *, gap: str = PARAGRAPH) -> int:
        """Append a block after `gap`, nothing when it is blank; returns where it starts."""
        text = normalise(text).strip("\n").rstrip()
        if not text.strip():
            return self._length
        if self._parts:
            self._push(gap)
        self._pages += [PageStart(self._length, number, label) for number, label in self._waiting]
        self._waiting.clear()
        start = self._length
        self._push(text)
        return start

    def heading(self, title: str, level: int, *, gap: str = PARAGRAPH) -> None:
        """Append a heading as a block of its own."""
        title = " ".join(normalise(title).split())
        if title:
            self._headings.append(Heading(self.add(title, gap=gap), level, _limited(title)))

    def mark(self, headings: Sequence[Heading]) -> None:
        """Note headings whose text is already there."""
        self._headings += [Heading(one.start, one.level, _limited(one.title)) for one in headings]

    def page(self, number: int, label: str = "") -> None:
        """The next block begins this page; a page without text has no place in the text."""
        self._waiting = [(number, label)]

    def append(self, document: Extracted) -> int:
        """Append a document as a part of this one, with its headings; returns where it starts."""
        start = self.add(document.text)
        self._headings += [Heading(start + part.start, part.level, part.title) for part in document.headings]
        return start

    @property
    def text(self) -> str:
        return "".join(self._parts)

    @property
    def length(self) -> int:
        return self._length

    def document(
        self,
        kind: str,
        *,
        title: str = "",
        metadata: Mapping[str, str] | None = None,
        warnings: Sequence[str] = (),
    ) -> Extracted:
        """The finished record; the title is the first heading unless the document states one."""
        title = _limited(" ".join(normalise(title).split()))
        return Extracted(
            text=self.text,
            kind=kind,
            title=title or (self._headings[0].title if self._headings else ""),
            headings=tuple(self._headings),
            pages=tuple(self._pages),
            metadata={key: value for key, value in (metadata or {}).items() if value},
            warnings=tuple(warnings),
        )

    def _push(self, text: str) -> None:
        self._parts.append(text)
        self._length += len(text)


def _limited(title: str) -> str:
    return title if len(title) <= MAX_TITLE else title[: MAX_TITLE - 1].rstrip() + "…"


_WORD = re.compile(r"[^\W\d]")
_AMOUNT = re.compile(r"[\d,.]+(?:원|%|명|개)?$")
# 업 체 명, 성 명 (인): labels are stretched to the width of their cell.
_STRETCHED = re.compile(r"\A(?:[가-힣] ){1,9}[가-힣](?=\Z| ?[(:（：])")
_ONE_WORD = -1.0
"""Mean logarithm of the odds of a space between two syllables: below it they are one word."""
_TABLE_PRIOR = 0.25
_LONGEST_NAME = 40
_ROWS_TO_A_HEADER = 15


def row_line(cells: Sequence[str]) -> str:
    """A row: its cells that hold something, labels without the spaces that stretch them (업 체 명)."""
    return " | ".join(label for cell in cells if (label := together(" ".join(cell.split()))))


def together(text: str) -> str:
    """A label written one syllable at a time as one word, if it is one (표 셀 둘 is none); any other text as it is."""
    found = _STRETCHED.match(text)
    if not found:
        return text
    word = found[0].replace(" ", "")
    likely = sum(math.log(space_odds(last, first)) for last, first in pairwise(word)) / (len(word) - 1)
    return word + text[found.end() :] if likely < _ONE_WORD else text


def table_lines(rows: Sequence[Sequence[str]], *, named_columns: bool) -> Iterator[str]:
    """A line a row; with names of columns, each value after its column's, else the header again every few rows."""
    header = _header(rows)
    names = rows[header] if header is not None else ()
    for number, row in enumerate(rows):
        if header is None or number < header or (named_columns and number == header):
            yield row_line(row)
        elif named_columns:
            cells = [" ".join(cell.split()) for cell in row]
            columns = zip_longest(map(together, names), cells, fillvalue="")
            yield " | ".join(f"{name}: {cell}" if name else cell for name, cell in columns if cell)
        else:
            if number > header and not (number - header) % _ROWS_TO_A_HEADER:
                yield row_line(names)
            yield row_line(row)


def _header(rows: Sequence[Sequence[str]]) -> int | None:
    """The row that names the columns: the first with more than one cell, if all of it are short words."""
    for number, row in enumerate(rows):
        names = [cell for cell in row if cell]
        if len(names) < 2:
            continue
        words = all(len(name) <= _LONGEST_NAME and _WORD.search(name) for name in names)
        distinct = len(set(names)) == len(names)
        return number if words and distinct and len(rows) - number > 2 and not any(map(_AMOUNT.match, names)) else None
    return None


@cache
def _spacing() -> dict[str, dict[str, float]]:
    """dochan's table of Korean spacing: how often a space follows, by pair, last and first syllable."""
    package = importlib.util.find_spec("dochan")
    places = package.submodule_search_locations if package else None
    if not places:
        return {}
    table = Path(places[0], "pdf", "korean_spacing.json").read_text(encoding="utf-8")
    return {name: values for name, values in json.loads(table).items() if isinstance(values, dict)}


def space_odds(last: str, first: str) -> float:
    """The odds of a space between two characters; of the pair, else of each as if independent."""
    table = _spacing()
    if (pair := table.get("pairs", {}).get(last + first)) is not None:
        return odds_of(pair)
    before = odds_of(table.get("last", {}).get(last, _TABLE_PRIOR))
    after = odds_of(table.get("first", {}).get(first, _TABLE_PRIOR))
    return before * after / odds_of(_TABLE_PRIOR)


def odds_of(probability: float) -> float:
    bounded = min(max(probability, 0.005), 0.995)
    return bounded / (1 - bounded)
