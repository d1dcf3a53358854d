"""From the lines of PDF pages to paragraphs: which line goes on in the next, and whether a space stood there."""

from __future__ import annotations

import math
import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from itertools import groupby, pairwise
from statistics import median
from typing import NamedTuple

from kosearch.extract.text import odds_of, space_odds

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
# Rows of columns: so many at least, so full, of so many letters and words each.
_FEWEST_ROWS, _FULL, _FEWEST_LETTERS, _FEWEST_PARTS = 4, 0.7, 9, 3
_LISTED = re.compile(r"\s*[^\W\d_]{2,}(?=\s)")
# A block of fewer lines is no column, and its last line goes on nowhere.
_COLUMN_LINES = 3


class Cell(NamedTuple):
    """A part of a line, from one wide gap to the next."""

    text: str
    left: float
    right: float


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
    cells: tuple[Cell, ...] = ()
    """Its parts between them, where the first is long enough for a line of a column."""


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
            found += _split(block, before, listed=_is_list(block))
            previous = block
        result.append(found)
    return result


def of_a_column(text: str) -> bool:
    """Whether a part of a line is long enough for a line of a column of text."""
    words = text.split()
    return len(words) >= _FEWEST_PARTS and sum(map(len, words)) >= _FEWEST_LETTERS


def in_columns(lines: Sequence[Line]) -> list[Line]:
    """The lines, where columns of text were drawn row by row, one column after the other."""
    result: list[Line] = []
    for woven, run in groupby(lines, lambda line: len(line.cells)):
        rows = list(run)
        result += _unwoven(rows) if woven > 1 and _are_columns(rows) else rows
    return result


def _are_columns(rows: Sequence[Line]) -> bool:
    """Whether rows are lines of columns and not a table's: enough of them, each part running text as wide as its
    column, which no part leaves."""
    if len(rows) < _FEWEST_ROWS:
        return False
    columns = list(zip(*(row.cells for row in rows), strict=True))
    edges = [(min(cell.left for cell in column), max(cell.right for cell in column)) for column in columns]
    if any(right >= left for (_, right), (left, _) in pairwise(edges)):
        return False
    for column, (left, right) in zip(columns, edges, strict=True):
        texts = [cell.text for cell in column]
        full = sum(cell.right - left >= _FULL * (right - left) for cell in column)
        letters = sum(len("".join(text.split())) for text in texts)
        words = sum(len(text.split()) for text in texts)
        if full < _FULL * len(rows) or letters < _FEWEST_LETTERS * len(rows) or words < _FEWEST_PARTS * len(rows):
            return False
    return True


def _unwoven(rows: Sequence[Line]) -> Iterator[Line]:
    for column in range(len(rows[0].cells)):
        for row in rows:
            text, left, right = row.cells[column]
            yield Line(text, left, right, row.base, row.height)


def without_leaders(text: str) -> str:
    """The line without the dots that lead to a page number; dots that end a thought become one character."""
    return _LEADER.sub(lambda found: " " if _PAGE_NUMBER.match(text, found.end()) else "… ", text)


def _is_list(block: Sequence[Line]) -> bool:
    """Whether each line is by itself: all begin with one word."""
    words = {_first_word(line.text) for line in block}
    return len(block) > 1 and len(words) == 1 and words != {""}


def _split(block: Sequence[Line], before: Before, *, listed: bool) -> Iterator[Paragraph]:
    edge = max(line.right for line in block)
    together: list[str] = []
    for line, following in zip(block, [*block[1:], None], strict=True):
        together.append(line.text)
        if following is None or listed or not _goes_on(line, following, edge):
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


def _first_word(text: str) -> str:
    """The word that a line begins with; rows of a list begin alike, lines of a paragraph hardly ever."""
    found = _LISTED.match(text)
    return found[0] if found else ""


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


# Fitted by tests/benchmarks/line_joins.py; one weight a feature of `features`, the intercept last.
WEIGHTS = (
    0.59,
    -0.65,
    0.60,
    0.98,
    -0.43,
    0.47,
    0.21,
    -1.49,
    -1.56,
    -1.35,
    -1.13,
    0.40,
    -0.59,
    2.69,
    1.15,
    2.67,
    0.59,
    0.76,
)
BASE_RATE = 0.45
"""The share of wraps at a space in the texts that the weights were fitted on."""

_HANGUL = re.compile(r"[\uac00-\ud7a3]")
_NO_SPACES = re.compile(r"[\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\u3001\u3002]")
_LAST_WORD = re.compile(r"[^\W_]+$")
_FIRST_WORD = re.compile(r"[^\W_]+")
_OPENING = frozenset("([{<‘“「『《〈【〔/")
_CLOSING = frozenset(")]}>’”」』》〉】〕,.!?;:%·…/")
_STOPS = frozenset(".,!?;:。")
_HYPHENS = "-\xad\u2010\x02\ufffe"
_PARTICLES = frozenset(
    str.split(
        "은 는 이 가 을 를 의 에 도 로 와 과 만 나 라 다 요 며 면 지 고 게 서 에서 으로 까지 부터 에게"
        " 이라고 라고 하고 하여 하며 하는 한 할 합니다 했다 한다 된다 되는 됩니다 되어 습니다 니다 입니다"
        " 이다 이며 처럼 보다 에는 에도 에서는 으로는 으로도 로서 로써 로부터 이나 이라는 라는 인 들 들은"
        " 들이 들을 들의 적 적인 적으로 년 월 일 명 개 원"
    )
)
_ROUNDS = 10
_LEAST, _MOST = 0.02, 0.98


class Joiner:
    """Joins wrapped lines: Korean is wrapped inside words as well as between them.

    Every wrap gets a probability from a logistic regression over what the document's own words say (learnt from the
    insides of its lines) and how often Korean puts a space between two syllables (the table that dochan carries). How
    often this document wraps at spaces at all is then estimated from all its wraps together (expectation maximisation
    of one prior), so that a document that wraps between words only, or that keeps its spaces at the ends of lines, is
    read as such.
    """

    def __init__(self, lines: Iterable[str]) -> None:
        self.words: Counter[str] = Counter()
        for line in lines:
            self.words.update(word for token in line.split()[1:-1] if (word := _word(token)))
        self.begins: Counter[str] = Counter()
        self.ends: Counter[str] = Counter()
        self.inside: Counter[str] = Counter()
        for word, count in self.words.items():
            for size in range(1, min(len(word), 5) + 1):
                self.begins[word[:size]] += count
                self.ends[word[-size:]] += count
            for first, second in pairwise(word):
                self.inside[first + second] += count
        self._odds = 1.0

    def learn(self, wraps: Sequence[tuple[str, str]]) -> None:
        """Estimate how often this document wraps at a space from all its wraps without a visible one."""
        odds = [self._raw_odds(left, right) for left, right in wraps if undecided(left, right)]
        rate = BASE_RATE
        for _ in range(_ROUNDS if odds else 0):
            factor = odds_of(rate) / odds_of(BASE_RATE)
            rate = sum(odd * factor / (1 + odd * factor) for odd in odds) / len(odds)
            rate = min(max(rate, _LEAST), _MOST)
        self._odds = odds_of(rate) / odds_of(BASE_RATE)

    def join(self, left: str, right: str) -> str:
        """The two lines as one."""
        last, first = left.rstrip(), right.lstrip()
        if not last or not first:
            return last or first
        if len(last) < len(left) or len(first) < len(right):
            return f"{last} {first}"
        if last[-1] in _HYPHENS and last[-2:-1].isalpha() and first[0].islower():
            return last[:-1] + first
        return last + self.gap(last, first) + first

    def gap(self, left: str, right: str) -> str:
        """What stands between these two parts of a text: a space or nothing."""
        return " " if not left or not right or self._spaced(left, right) else ""

    def _spaced(self, left: str, right: str) -> bool:
        if left[-1] in _OPENING or right[0] in _CLOSING:
            return False
        if _NO_SPACES.match(left[-1]) and _NO_SPACES.match(right[0]):
            return False
        return not undecided(left, right) or self._raw_odds(left, right) * self._odds > 1

    def features(self, left: str, right: str) -> list[float]:
        """What speaks for and against a space, in the order of WEIGHTS."""
        before = found[0] if (found := _LAST_WORD.search(left)) else ""
        after = found[0] if (found := _FIRST_WORD.match(right)) else ""
        last, first = left[-1], right[0]
        hangul = bool(_HANGUL.match(last)), bool(_HANGUL.match(first))
        return [
            math.log(space_odds(last, first)),
            math.log1p(self.words[before + after]),
            math.log1p(self.words[before]),
            math.log1p(self.words[after]),
            math.log1p(self.begins[before + after[:1]]),
            math.log1p(self.begins[after[:2]] if len(after) > 1 else 0),
            math.log1p(self.ends[before[-2:]] if len(before) > 1 else 0),
            math.log1p(self.inside[last + first]),
            after in _PARTICLES,
            len(before) == 1,
            len(after) == 1,
            len(before) > 4,
            last.isdigit(),
            first.isdigit(),
            not hangul[0] and last.isalpha(),
            not hangul[1] and first.isalpha(),
            not last.isalnum(),
            1.0,
        ]

    def _raw_odds(self, left: str, right: str) -> float:
        if not korean(left, right):
            joined = _LAST_WORD.findall(left) + _FIRST_WORD.findall(right)[:1]
            return 0.1 if self.words["".join(joined)] else 9.0
        score = sum(w * x for w, x in zip(WEIGHTS, self.features(left, right), strict=True))
        return math.exp(min(max(score, -20.0), 20.0))


def undecided(left: str, right: str) -> bool:
    """Whether only the words can tell: letters or digits on both sides, or Hangul on one."""
    last, first = left[-1:], right[:1]
    if not last or not first or last.isspace() or first.isspace():
        return False
    if last in _STOPS or last in _OPENING or first in _CLOSING or (_NO_SPACES.match(last) and _NO_SPACES.match(first)):
        return False
    return (last.isalnum() and first.isalnum()) or korean(left, right)


def korean(left: str, right: str) -> bool:
    """Whether Hangul stands on one side at least."""
    return bool(_HANGUL.match(left[-1]) or _HANGUL.match(right[0]))


def _word(token: str) -> str:
    found = _FIRST_WORD.search(token)
    return found[0] if found else ""
