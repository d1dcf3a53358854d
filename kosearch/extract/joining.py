"""Whether a space stood where a line was wrapped: Korean is wrapped inside words as well as between them.

Every wrap gets a probability from a logistic regression over what the document's own words say and how often
Korean puts a space between two syllables (the table that dochan carries). How often this document wraps at
spaces at all is then estimated from all its wraps together (expectation maximisation of one prior), so that a
document that wraps between words only, or that keeps its spaces at the ends of lines, is read as such.
"""

from __future__ import annotations

import importlib.util
import json
import math
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from functools import cache
from itertools import pairwise
from pathlib import Path

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
_TABLE_PRIOR = 0.25
_ROUNDS = 10
_LEAST, _MOST = 0.02, 0.98


class Joiner:
    """Joins wrapped lines; learns the document's words from the insides of its lines."""

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
            factor = _odds(rate) / _odds(BASE_RATE)
            rate = sum(odd * factor / (1 + odd * factor) for odd in odds) / len(odds)
            rate = min(max(rate, _LEAST), _MOST)
        self._odds = _odds(rate) / _odds(BASE_RATE)

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
            math.log(_space_odds(last, first)),
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


@cache
def _spacing() -> dict[str, dict[str, float]]:
    """dochan's table of Korean spacing: how often a space follows, by pair, last and first syllable."""
    package = importlib.util.find_spec("dochan")
    places = package.submodule_search_locations if package else None
    if not places:
        return {}
    table = Path(places[0], "pdf", "korean_spacing.json").read_text(encoding="utf-8")
    return {name: values for name, values in json.loads(table).items() if isinstance(values, dict)}


def _space_odds(last: str, first: str) -> float:
    """The odds of a space between two characters; of the pair, else of each as if independent."""
    table = _spacing()
    if (pair := table.get("pairs", {}).get(last + first)) is not None:
        return _odds(pair)
    before = _odds(table.get("last", {}).get(last, _TABLE_PRIOR))
    after = _odds(table.get("first", {}).get(first, _TABLE_PRIOR))
    return before * after / _odds(_TABLE_PRIOR)


def _odds(probability: float) -> float:
    bounded = min(max(probability, 0.005), 0.995)
    return bounded / (1 - bounded)
