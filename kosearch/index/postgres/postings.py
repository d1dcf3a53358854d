"""Which passages have a term, as lists of places: what a question's words are looked up in.

By the GIN index the server reads, joins and counts a row for each term of a question and each passage that has it:
53,000 for a made question among 20,000 passages, 41 ms of processor time. Here it hands out some rows of bytes, which
NumPy adds up: 5 ms, and the same passages to the last.

A segment is made of what was committed (segments.py), and never changed: it covers the passages with ids above its
`low` up to its `high`. Newer ones, the tail, are read with their terms. Passages that have left since stay in its
lists: it is looked which of the best are still there. The table `posting` holds a segment's terms in the order of their
hashes, as many in a row as fit; a row has those from its `first` on.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from kosearch.index.contract import Alternatives, Ids
from kosearch.index.database import damaged
from kosearch.index.kept_terms import found_among
from kosearch.index.postgres.schema import Segment, hash_of, hashes_of
from kosearch.index.postgres.server import Session

MOST_TAIL = 1 << 12
"""Of more passages without a segment the GIN index is asked: somebody writes very much, or may make no segments."""
_ROW = 1800
"""Bytes that a row of `posting` has, about: it stays in its page, four to one."""
_HEAD = np.dtype([("hash", "<i8"), ("end", "<u4")])
"""Of a term: where its places end among those of its row."""

_LIST = "a list of who has a term"

Hashes = NDArray[np.int64]
Places = NDArray[np.uint16]
Numbers = NDArray[np.int32]
Live = Callable[[Ids], Ids]
"""Passages' ids → those of them that are there."""


@dataclass(frozen=True, slots=True)
class Tail:
    """The passages that no segment covers: their ids (n,), ascending, and the hashes of their terms, one by one."""

    ids: Ids
    rows: Ids
    """Whose each hash is, (m,)."""
    hashes: Hashes


def read_tail(session: Session, begin: int) -> Tail | None:
    """The passages with ids above one; None where they are too many to be read."""
    sql = "SELECT passage, array_send(hashed) FROM lexicon WHERE passage > %s ORDER BY passage LIMIT %s"
    read = session.rows(sql, begin, MOST_TAIL + 1)
    if len(read) > MOST_TAIL:
        return None
    hashes, counts = hashes_of([terms for _, terms in read])
    ids = np.array([number for number, _ in read], np.int64)
    return Tail(ids, np.repeat(np.arange(len(ids)), counts), hashes)


class Lists:
    """The lists of some terms in all segments, and in the tail. A passage is known by its place among all of these."""

    def __init__(self, session: Session, segments: Sequence[Segment], tail: Tail, hashes: Sequence[int]) -> None:
        """Reads them. `hashes` are the terms'."""
        segments = segments or (Segment(0, 0, 0),)
        self._lows = np.array([one.low for one in segments], np.int64)
        self._spans = np.array([one.high - one.low for one in segments], np.int64)
        self._begins = np.cumsum(self._spans) - self._spans
        self._tail, self._before_tail = tail, int(self._spans.sum())
        self.size = self._before_tail + len(tail.ids)
        self._lists: dict[int, list[tuple[int, int, bytes]]] = {one: [] for one in hashes}
        self._in_tail: dict[int, Ids] = {}
        asked = np.array(hashes, np.int64)
        at, which = found_among(tail.hashes.view(np.uint64), asked.view(np.uint64))
        for number, one in enumerate(hashes):
            self._in_tail[one] = tail.rows[at[which == number]]
        spans = zip(self._begins.tolist(), self._spans.tolist(), strict=True)
        where = {one.low: span for one, span in zip(segments, spans, strict=True)}
        sql = (
            "SELECT s.low, q.hash, p.body FROM unnest(%s::bigint[]) AS s(low), unnest(%s::bigint[]) AS q(hash), LATERAL"
            " (SELECT body FROM posting WHERE segment = s.low AND first <= q.hash ORDER BY first DESC LIMIT 1) p"
        )
        for low, one, body in session.rows(sql, self._lows.tolist(), list(hashes)):
            if places := _places(body, one):
                self._lists[one].append((*where[low], places))

    def add(self, hash_: int, value: int, sums: Numbers) -> None:
        """Add a value to the sums, (size,), of all that have a term."""
        for begin, span, places in self._lists[hash_]:
            if len(places) == _bitmap_bytes(span):
                sums[begin : begin + span] += np.int32(value) * _bits(places, span)
            else:
                sums[begin + _decoded(places, span)] += value
        sums[self._before_tail + self._in_tail[hash_]] += value

    def having(self, required: Sequence[Alternatives]) -> NDArray[np.bool_]:
        """Which, (size,), have of each of these all terms of one alternative."""
        fit = np.ones(self.size, dtype=bool)
        for alternatives in required:
            one_of = np.zeros(self.size, dtype=bool)
            for name, terms in alternatives:
                counts, wanted = np.zeros(self.size, np.int32), {hash_of(name, term) for term in terms}
                for one in wanted:
                    self.add(one, 1, counts)
                one_of |= counts == len(wanted)
            fit &= one_of
        return fit

    def among(self, ids: Ids) -> NDArray[np.bool_]:
        """Which, (size,), are one of these passages, given ascending."""
        fit = np.zeros(self.size, dtype=bool)
        segment = np.searchsorted(self._lows, ids) - 1
        place = ids - self._lows[segment] - 1
        covered = (segment >= 0) & (place < self._spans[segment])
        fit[(self._begins[segment] + place)[covered]] = True
        fit[self._before_tail :] = np.isin(self._tail.ids, ids)
        return fit

    def ids(self, places: Ids) -> Ids:
        """The ids of passages, by their places."""
        segment = np.searchsorted(self._begins, places, side="right") - 1
        found = self._lows[segment] + 1 + places - self._begins[segment]
        in_tail = places >= self._before_tail
        found[in_tail] = self._tail.ids[places[in_tail] - self._before_tail]
        return found


def most_points(
    lists: Lists,
    worth: Mapping[int, int],
    k: int,
    required: Sequence[Alternatives],
    among: Ids | None,
    live: Live,
) -> tuple[Ids, Ids]:
    """The k passages with the most points by the hashes of terms, and all that have as many as the last: ids, points.

    `required` and `among` narrow, as in `contract.Snapshot.lexical`; `among` are passages. Raises IndexDamaged.
    """
    sums = np.zeros(lists.size, np.int32)
    for one, value in worth.items():
        lists.add(one, value, sums)
    if required:
        sums += 1  # who has what is required is found without a point, too
        sums[~lists.having(required)] = 0
    if among is not None:
        sums[~lists.among(among)] = 0
    wanted = k
    while True:
        last = max(_highest(sums, wanted), 1)
        places = np.flatnonzero(sums >= last)
        ids = lists.ids(places)
        there = np.isin(ids, live(ids))
        ids, points = ids[there], sums[places[there]].astype(np.int64)
        if len(ids) >= k or last == 1:
            break
        wanted *= 8  # many have left since
    if len(ids) > k:
        least = np.partition(points, -k)[-k]
        ids, points = ids[points >= least], points[points >= least]
    return ids, points - bool(required)


_BLOCK = 64


def _highest(sums: Numbers, k: int) -> int:
    """The k-th highest, or 0 where there are fewer: of a million by the highest of each 64, a tenth of the time."""
    if len(sums) <= k:
        return 0
    whole = len(sums) - len(sums) % _BLOCK
    if whole // _BLOCK > k:
        tops = sums[:whole].reshape(-1, _BLOCK).max(axis=1)
        sums = sums[sums >= max(np.partition(tops, -k)[-k], 1)]  # k blocks have one that is as high
    return int(np.partition(sums, -k)[-k]) if len(sums) >= k else 0


def _bitmap_bytes(span: int) -> int:
    return -(-span // 8)


def _places(body: bytes, hash_: int) -> bytes:
    """A term's places of a row; empty where the row has none."""
    head = _head(body)
    at = int(np.searchsorted(head["hash"], hash_))
    if at == len(head) or head["hash"][at] != hash_:
        return b""
    begin = 4 + head.nbytes
    return body[begin + (int(head["end"][at - 1]) if at else 0) : begin + int(head["end"][at])]


def _head(body: bytes) -> NDArray[np.void]:
    count = int.from_bytes(body[:4], "little")
    if 4 + count * _HEAD.itemsize >= len(body):
        raise damaged(_LIST)
    return np.frombuffer(body, _HEAD, count, 4)


def rows_of(hashes: Hashes, places: Places, span: int) -> Iterator[tuple[int, bytes]]:
    """A segment's rows, `first` and `body`, of what each term, (m,), stands in, (m,), ascending for each term."""
    if not len(hashes):
        return
    order = np.argsort(hashes, kind="stable")
    hashes, places = hashes[order], places[order].astype("<u2")
    starts = np.flatnonzero(np.diff(hashes, prepend=hashes[:1] - 1))
    ends = np.append(starts[1:], len(hashes))
    most = _bitmap_bytes(span)
    sizes = np.minimum(2 * (ends - starts), most)  # so many bytes mean a bit for each passage instead of places
    row = (np.cumsum(sizes + _HEAD.itemsize) - sizes - _HEAD.itemsize) // _ROW
    firsts = np.flatnonzero(np.diff(row, prepend=-1))
    for first, stop in zip(firsts.tolist(), [*firsts[1:].tolist(), len(starts)], strict=True):
        own = slice(first, stop)
        head = np.empty(stop - first, _HEAD)
        head["hash"], head["end"] = hashes[starts[own]], np.cumsum(sizes[own])
        if (sizes[own] < most).all():
            data = places[starts[first] : ends[stop - 1]].tobytes()
        else:
            data = b"".join(_encoded(places[starts[one] : ends[one]], span) for one in range(first, stop))
        yield int(head["hash"][0]), len(head).to_bytes(4, "little") + head.tobytes() + data


def terms_of(bodies: Sequence[bytes], span: int) -> tuple[Hashes, Places]:
    """What `rows_of` was given, by hash and place, from its rows' bodies."""
    hashes, places = [np.zeros(0, np.int64)], [np.zeros(0, np.uint16)]
    for body in bodies:
        head = _head(body)
        begin = 4 + head.nbytes
        for one, start, end in zip(
            head["hash"].tolist(), [0, *head["end"].tolist()], head["end"].tolist(), strict=False
        ):
            places.append(_decoded(body[begin + start : begin + end], span).astype(np.uint16))
            hashes.append(np.full(len(places[-1]), one, np.int64))
    return np.concatenate(hashes), np.concatenate(places)


def _decoded(places: bytes, span: int) -> Ids:
    if len(places) == _bitmap_bytes(span):
        return np.flatnonzero(_bits(places, span))
    found = np.frombuffer(places, "<u2", len(places) // 2).astype(np.int64)
    if found.max(initial=0) >= span:
        raise damaged(_LIST)
    return found


def _bits(places: bytes, span: int) -> NDArray[np.uint8]:
    return np.unpackbits(np.frombuffer(places, np.uint8), count=span, bitorder="little")


def _encoded(places: Places, span: int) -> bytes:
    if 2 * len(places) < _bitmap_bytes(span):
        return places.tobytes()
    bits = np.zeros(span, np.uint8)
    bits[places] = 1
    return np.packbits(bits, bitorder="little").tobytes()
