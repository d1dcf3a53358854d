"""The terms of the passages that were candidates latest, as arrays of hashes.

A question asks where its terms stand in hundreds of passages, mostly those of others before it. Reading these anew,
unpacked and checked, takes a tenth of a question's time, and as strings three times as long. In one generation they
never change.

A hash has 64 bits, of field and term: sum of byte[i] · FACTOR^i, modulo 2^64 (Karp and Rabin 1987, "Efficient
randomized pattern-matching algorithms"), so that one running sum over the bytes of many passages gives those of all
their terms. FACTOR is odd and has an inverse, by which each is brought to its term's own beginning.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cache
from itertools import islice

import numpy as np
from numpy.typing import NDArray

from kosearch.index.database import damaged
from kosearch.scoring import Occurrences

_KEPT = 1 << 14
"""Passages whose terms are kept, each some 2 KB."""
_FACTOR = 0x9E3779B97F4A7C15
_AT_ONCE = 1 << 17
"""Bytes that are hashed together: eight times as much stays near the core."""
_LINE_END, _BLANK = ord("\n"), ord(" ")

Hashes = NDArray[np.uint64]
Ids = NDArray[np.int64]
Read = Callable[[Sequence[int]], Sequence[bytes]]
"""Passages' ids → for each its terms, a blank between them and a line a field, in UTF-8."""


class KeptTerms:
    """Terms of passages, read once and kept as far as there is room."""

    def __init__(self) -> None:
        self._kept: dict[int, tuple[Hashes, Ids]] = {}
        """Passage → the hashes of all of its terms, field after field, and how many each field has."""
        self._changing = threading.Lock()

    def occurrences(
        self, ids: Sequence[int], terms: Mapping[str, Sequence[str]], fields: Sequence[str], read: Read
    ) -> dict[str, Occurrences]:
        """Where terms (field → terms) stand in passages, by field; rows are in the passages' order.

        `fields` are those of the index, in its order.
        """
        hashes, counts = self._hashes(ids, len(fields), read)
        places = [fields.index(field) for field in terms]
        lines = "\n".join(" ".join(terms.get(field, ())) for field in fields)
        ((asked, _),) = _hashed([lines.encode()], len(fields))
        at, met = found_among(np.concatenate([asked[:0], *hashes]), asked)
        lengths = np.array(counts, dtype=np.int64).reshape(-1, len(fields))
        row = np.repeat(np.arange(len(ids)), lengths.sum(axis=1))[at]
        starts = (np.cumsum(lengths) - lengths.ravel()).reshape(lengths.shape)
        # The terms asked for are numbered field after field, in the order of the index's.
        first = np.cumsum([0, *(len(terms.get(field, ())) for field in fields)])
        of_field = [np.flatnonzero((first[place] <= met) & (met < first[place + 1])) for place in places]
        return {
            field: Occurrences.of(
                terms[field],
                lengths[:, place],
                row[own],
                at[own] - starts[row[own], place],
                met[own] - first[place],
            )
            for field, place, own in zip(terms, places, of_field, strict=True)
        }

    def _hashes(self, ids: Sequence[int], fields: int, read: Read) -> tuple[list[Hashes], list[Ids]]:
        with self._changing:
            found = {number: self._kept.pop(number) for number in ids if number in self._kept}
        missing = [number for number in ids if number not in found]
        passages = read(missing) if missing else ()
        if any(lines.count(b"\n") != fields - 1 for lines in passages):
            raise damaged("the terms of a passage")
        found.update(zip(missing, _hashed(passages, fields), strict=True))
        with self._changing:
            self._kept.update(found)
            for number in list(islice(self._kept, max(0, len(self._kept) - _KEPT))):
                del self._kept[number]
        kept = [found[number] for number in ids]
        return [hashes for hashes, _ in kept], [counts for _, counts in kept]


def found_among(hashes: Hashes, asked: Hashes) -> tuple[Ids, Ids]:
    """Where those that are asked for stand among many, and which of them each is, by its place."""
    if not len(asked):
        return np.zeros(0, np.int64), np.zeros(0, np.int64)
    may_be = np.zeros(1 << 16, dtype=bool)  # by their first 16 bits: nearly all are of no word of the question
    may_be[_top(asked)] = True
    at = np.flatnonzero(may_be[_top(hashes)])
    order = np.argsort(asked)
    place = np.minimum(np.searchsorted(asked[order], hashes[at]), len(asked) - 1)
    same = asked[order[place]] == hashes[at]
    return at[same], order[place[same]]


def _top(hashes: Hashes) -> Ids:
    """The first 16 bits, in the type of indices: others are converted first, which takes longer than all the rest."""
    return (hashes >> np.uint64(48)).view(np.int64)


def _hashed(passages: Sequence[bytes], fields: int) -> Iterator[tuple[Hashes, Ids]]:
    """Each passage's terms, given as `Read` gives them, as hashes, and how many each field has, (fields,)."""
    begin = 0
    while begin < len(passages):
        end, size = begin + 1, len(passages[begin])
        while end < len(passages) and size + len(passages[end]) < _AT_ONCE:
            size += len(passages[end])
            end += 1
        yield from _hashed_together(b"\n".join([*passages[begin:end], b""]), fields)
        begin = end


def _hashed_together(lines: bytes, fields: int) -> Iterator[tuple[Hashes, Ids]]:
    """The same of the passages whose lines are given one after the other."""
    characters = np.frombuffer(lines, np.uint8)
    up, down = _powers(max(_AT_ONCE, 1 << len(lines).bit_length()))
    sums = np.zeros(len(characters) + 1, np.uint64)
    np.multiply(characters, up[: len(characters)], out=sums[1:])
    np.cumsum(sums, out=sums)
    ends = np.flatnonzero((characters == _BLANK) | (characters == _LINE_END))
    begins = np.concatenate([[0], ends[:-1] + 1])
    line_ends = characters[ends] == _LINE_END
    line = np.cumsum(line_ends) - line_ends
    words = ends > begins  # an empty line has none
    begins, ends, line = begins[words], ends[words], line[words]
    hashes = (sums[ends] - sums[begins]) * down[begins] ^ up[1 + line % fields]
    counts = np.bincount(line, minlength=int(line_ends.sum())).reshape(-1, fields)
    stops = np.cumsum(counts.sum(axis=1)).tolist()
    for start, stop, each in zip([0, *stops], stops, counts, strict=False):
        yield hashes[start:stop].copy(), each  # a copy, or all would be kept for one


@cache
def _powers(count: int) -> tuple[Hashes, Hashes]:
    """FACTOR^i and its inverse, for i from 0, modulo 2^64."""
    factors = np.array([[_FACTOR], [pow(_FACTOR, -1, 1 << 64)]], dtype=np.uint64).repeat(count, axis=1)
    factors[:, 0] = 1
    up, down = np.multiply.accumulate(factors, axis=1)
    return up, down
