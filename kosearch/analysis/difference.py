"""How two texts differ, word by word: words that stand once in each anchor the rest (patience diff), so that long texts
take no longer than reading them."""

from __future__ import annotations

import re
from bisect import bisect_left
from collections import Counter
from collections.abc import Iterator, Sequence
from difflib import SequenceMatcher

Change = tuple[str, str]
"""`same`, `gone` or `new`, and the words."""
_WORD = re.compile(r"\S+")
_RUN = 3
"""So many words in a row make an anchor."""
_MOST = 1500
"""Words between two anchors that are compared with each other; longer stretches are taken as replaced."""


def changes(old: str, new: str) -> Iterator[Change]:
    """The words of both texts in order: what is the same, what only the old one has, what only the new one has."""
    first, second = _WORD.findall(old), _WORD.findall(new)
    i = j = 0
    for i_end, j_end in [*_anchors(first, second), (len(first), len(second))]:
        yield from _between(first[i:i_end], second[j:j_end])
        i, j = i_end, j_end


def _between(first: Sequence[str], second: Sequence[str]) -> Iterator[Change]:
    head = 0
    while head < min(len(first), len(second)) and first[head] == second[head]:
        head += 1
    if head:
        yield "same", " ".join(first[:head])
    first, second = first[head:], second[head:]
    if max(len(first), len(second)) > _MOST:
        first, second = [" ".join(first)], [" ".join(second)]
    for kind, i, i_end, j, j_end in SequenceMatcher(None, first, second, autojunk=False).get_opcodes():
        if kind == "equal":
            yield "same", " ".join(first[i:i_end])
            continue
        if i < i_end:
            yield "gone", " ".join(first[i:i_end])
        if j < j_end:
            yield "new", " ".join(second[j:j_end])


def _anchors(first: Sequence[str], second: Sequence[str]) -> list[tuple[int, int]]:
    """Places of runs that both texts have once, ascending in both."""
    mine, others = _unique_runs(first), _unique_runs(second)
    pairs = [(place, others[run]) for run, place in mine.items() if run in others]
    # The longest sequence that ascends in both: patience sorting.
    piles: list[int] = []
    tops: list[int] = []
    before: list[int] = []
    for number, (_, place) in enumerate(pairs):
        pile = bisect_left(piles, place)
        before.append(tops[pile - 1] if pile else -1)
        piles[pile : pile + 1], tops[pile : pile + 1] = [place], [number]
    chosen = []
    number = tops[-1] if tops else -1
    while number >= 0:
        chosen.append(pairs[number])
        number = before[number]
    return chosen[::-1]


def _unique_runs(words: Sequence[str]) -> dict[tuple[str, ...], int]:
    runs = [tuple(words[i : i + _RUN]) for i in range(len(words) - _RUN + 1)]
    counts = Counter(runs)
    return {run: place for place, run in enumerate(runs) if counts[run] == 1}
