"""How much of a question stands close together in a passage, by the pairs of syllables in which both are written.

    question, passages → the share of the question's pairs that some `WITHIN` characters of a passage have

Terms are words without their endings, wherever in a passage they stand: a long one has the words of many questions,
here one and there another. What answers a question mostly has them in one sentence, and with the same endings. Latin
letters have no pairs: as every word is made of the same few, theirs say nothing.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from kosearch.index import Snapshot
from kosearch.scoring import fuse

CLOSENESS = 0.13
"""Closeness's share of a score. Chosen on three collections, confirmed on three others (`tests/benchmarks/fusion.md`,
ninth round); .09 to .17 do as well."""
WHOLE = 16
"""So many pairs at least make a whole question: of fewer, closeness counts the less, for it says but yes or no of a
word or two, which may be those that matter least (오후 3시 30분). 8 does as well, 32 a little worse."""
WITHIN = 80
"""Characters, where words stand one space apart: some twenty words. 60 and 100 give a little less."""
LOOKED_AT = 10
"""So many of the first passages are read for it: it settles which of the good ones comes first. 20 find no more."""

_WORD = re.compile(r"[^\W_]+")
_SYLLABLES = re.compile("[가-힣]{2,}")


class Closeness:
    """Of one question; what was found of a passage is kept, as a question may be ranked by many vectors."""

    def __init__(self, question: str, snapshot: Snapshot) -> None:
        """`question` as it is searched for, without operators."""
        self._pairs = pairs(question)
        self._snapshot = snapshot
        self._shares: dict[int, float] = {}

    def added(self, ids: NDArray[np.int64], scores: NDArray[np.float64]) -> NDArray[np.float64]:
        """Scores from 0 to 1, shape (n,), of passages given best first, with that of the first ones added.

        The others stay in their order and behind these. A question without a word of two syllables changes nothing.
        """
        if not self._pairs or not len(ids):
            return scores
        last = scores[min(LOOKED_AT, len(ids)) - 1]
        first = ids[scores >= last].tolist()  # equal ones have no order yet
        new = np.array([number for number in first if number not in self._shares], dtype=np.int64)
        for one in self._snapshot.stored(new) if len(new) else ():
            above = "\n".join((one.document.title, *one.passage.headings))
            most = max(together(self._pairs, text) for text in (one.text, above))
            self._shares[one.id] = most / len(self._pairs)
        shares = np.zeros(len(ids))
        shares[: len(first)] = [self._shares[number] for number in first]
        return fuse(shares, scores, CLOSENESS * min(1.0, len(self._pairs) / WHOLE))


def pairs(question: str) -> list[str]:
    """The pairs of neighbouring syllables in a question's words, each once."""
    runs = _SYLLABLES.findall(question)
    return list(dict.fromkeys(run[place : place + 2] for run in runs for place in range(len(run) - 1)))


def together(wanted: Sequence[str], text: str) -> int:
    """How many of these pairs stand within `WITHIN` characters of a text at most, whatever stands between its words."""
    words, found = _words(text), []
    for number, pair in enumerate(wanted):
        place = words.find(pair)
        while place >= 0:
            found.append((place, number))
            place = words.find(pair, place + 1)
    found.sort()
    counts = [0] * len(wanted)
    most = present = first = 0
    for place, number in found:
        present += not counts[number]
        counts[number] += 1
        while place - found[first][0] >= WITHIN:
            counts[found[first][1]] -= 1
            present -= not counts[found[first][1]]
            first += 1
        most = max(most, present)
    return most


@lru_cache(maxsize=1 << 10)  # many questions find the same passages
def _words(text: str) -> str:
    return " ".join(_WORD.findall(text))
