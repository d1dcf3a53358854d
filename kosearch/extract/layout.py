"""From the lines of pages to paragraphs: which line goes on in the next."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from itertools import pairwise
from statistics import median

_ITEM = re.compile(
    r"\s*(?:[-–—•·▪■□◆◇○●▶▷※*☞ㅇ❍]\s"
    r"|\((?:\d{1,3}|[가-하])\)|[①-⑳㉠-㉻ⅰ-ⅹⅠ-Ⅹ]|【|제\s?\d+\s?[조장절관항][(\s])"
)
# These may also end a sentence ("...입니|다. ") or a sum: an item only where a sentence ended before.
_ITEM_OR_END = re.compile(r"\s*(?:\d{1,3}|[가-하]|[a-zA-Z])[.)]\s")
_SENTENCE_END = re.compile(r"[.!?。:;]['\"”’)\]]*$")
# Dots that lead to a page number in a table of contents.
_LEADER = re.compile(r" ?[.·․‥…∙⋯](?: ?[.·․‥…∙⋯]){3,} ?")
_PAGE_NUMBER = re.compile(r"[\divxlIVXL -]+$")
# Steps between lines of one paragraph: at most so many heights, and so much more than the usual step.
_FARTHEST, _LOOSE = 3.0, 1.25
# A line that ends this far from the edge, in parts of its width, may still be a full one.
_RAGGED = 0.2
# A block of fewer lines is no column, and its last line goes on nowhere.
_COLUMN_LINES = 3


@dataclass(frozen=True, slots=True)
class Line:
    """A line as the page draws it, seen in the direction of its writing; all lengths in points."""

    text: str
    left: float
    right: float
    base: float
    """How high its base line stands on the page."""
    height: float
    row: bool = False
    """Whether wide gaps part it into cells."""


class Before(Enum):
    """What stands between a paragraph and the one before it."""

    SPACE = "space"
    LINE_END = "line end"
    NOTHING = "nothing: a column or page ended amid the paragraph"


@dataclass(frozen=True, slots=True)
class Paragraph:
    """Lines that belong together."""

    lines: tuple[str, ...]
    before: Before


def paragraphs(pages: Sequence[Sequence[Line]]) -> list[list[Paragraph]]:
    """The paragraphs of every page, in the order of its lines."""
    previous: list[Line] = []
    result = []
    for lines in pages:
        found: list[Paragraph] = []
        for block in _blocks(lines):
            before = Before.NOTHING if _column_goes_on(previous, block) else Before.SPACE
            found += _split(block, before)
            previous = block
        result.append(found)
    return result


def without_leaders(text: str) -> str:
    """The line without the dots that lead to a page number; dots that end a thought become one character."""
    return _LEADER.sub(lambda found: " " if _PAGE_NUMBER.match(text, found.end()) else "… ", text)


def _split(block: Sequence[Line], before: Before) -> Iterator[Paragraph]:
    edge = max(line.right for line in block)
    together: list[str] = []
    for line, following in zip(block, [*block[1:], None], strict=True):
        together.append(line.text)
        if following is None or not _goes_on(line, following, edge):
            yield Paragraph(tuple(together), before)
            before = Before.SPACE if _SENTENCE_END.search(line.text.rstrip()) else Before.LINE_END
            together = []


def _blocks(lines: Sequence[Line]) -> Iterator[list[Line]]:
    """Runs of lines below each other, of one height and evenly spaced."""
    usual = _usual_steps(lines)
    block: list[Line] = []
    for line in lines:
        if block and not _below(block[-1], line, usual):
            yield block
            block = []
        block.append(line)
    if block:
        yield block


def _usual_steps(lines: Sequence[Line]) -> dict[int, float]:
    """From one line to the next, by height of the line: the median of what occurs."""
    steps: defaultdict[int, list[float]] = defaultdict(list)
    for line, following in pairwise(lines):
        if 0 < line.base - following.base < _FARTHEST * line.height:
            steps[round(line.height)].append(line.base - following.base)
    return {height: median(found) for height, found in steps.items()}


def _below(line: Line, following: Line, usual: Mapping[int, float]) -> bool:
    step = line.base - following.base
    return (
        0 <= step <= _LOOSE * usual.get(round(line.height), 0.0)
        and _alike(line.height, following.height, _LOOSE)
        and following.left < line.right
        and following.right > line.left
    )


def _column_goes_on(column: Sequence[Line], following: Sequence[Line]) -> bool:
    """Whether a paragraph at a column's or page's end runs on in the next one, which begins higher up."""
    if min(len(column), len(following)) < _COLUMN_LINES:
        return False
    last, first = column[-1], following[0]
    left, edge = min(line.left for line in column), max(line.right for line in column)
    next_width = max(line.right for line in following) - min(line.left for line in following)
    return (
        first.base > last.base
        and _alike(last.height, first.height, 1.1)
        and _alike(edge - left, next_width, 1.1)
        and not _SENTENCE_END.search(last.text.rstrip())
        and _goes_on(last, first, edge)
    )


def _alike(one: float, other: float, factor: float) -> bool:
    return other < one * factor and one < other * factor


def _goes_on(line: Line, following: Line, edge: float) -> bool:
    """Whether a paragraph runs on: nothing new begins, and this line had no room for the next word."""
    ended = _SENTENCE_END.search(line.text.rstrip())
    if (
        line.row
        or following.row
        or _ITEM.match(following.text)
        or (ended and _ITEM_OR_END.match(following.text))
        or _LEADER.search(line.text)
    ):
        return False
    text = following.text.strip()
    advance = (following.right - following.left) / len(text)
    room = edge - line.right
    if room < advance * max(len(text.split(maxsplit=1)[0]) + 1, 1.5):
        return True
    # Lines of a fixed number of characters end unevenly, since Latin letters are narrower.
    return room < (edge - line.left) * _RAGGED and not ended
