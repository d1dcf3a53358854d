"""Snapshots of several indexes as one: what a single index of all their documents would answer.

Passages and documents are numbered anew: `number * count + place`, so that order within an index stays. Statistics are
added up, candidates of all are weighed against each other by the same rules, and everything else is asked of whom it
belongs to. A file that stands in two of the indexes counts twice.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import chain
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from kosearch.index.contract import (
    Alternatives,
    FileState,
    Identity,
    Ids,
    Snapshot,
    StoredDocument,
    StoredPassage,
    Vectors,
)
from kosearch.records import Heading, PageStart, Passage, Statistics
from kosearch.scoring import Occurrences

Found = TypeVar("Found")
Floats = NDArray[np.floating[Any]]


class MergedSnapshot:
    """As `contract.Snapshot`, of indexes with vectors of one model."""

    def __init__(self, parts: Sequence[Snapshot]) -> None:
        """Raises ValueError where there is none."""
        if not parts:
            raise ValueError("no snapshot to merge")
        self._parts = parts

    @property
    def identity(self) -> Identity:
        """What made the first of them."""
        return self._parts[0].identity

    @property
    def generation(self) -> int:
        """The highest of theirs."""
        return max(part.generation for part in self._parts)

    @property
    def passages(self) -> int:
        """How many there are."""
        return sum(part.passages for part in self._parts)

    @property
    def warnings(self) -> tuple[str, ...]:
        """Those of all."""
        return tuple(dict.fromkeys(chain.from_iterable(part.warnings for part in self._parts)))

    def place_of(self, document_id: int) -> int:
        """Which of the indexes a document is in, from 0."""
        return document_id % len(self._parts)

    def find_documents(
        self,
        paths: Sequence[str] = (),
        kinds: Sequence[str] = (),
        after: str | None = None,
        before: str | None = None,
    ) -> Ids | None:
        """The ids of documents that fit all filters, ascending; None where there is no filter."""
        found = [part.find_documents(paths, kinds, after, before) for part in self._parts]
        known = [self._numbered(place, ids) for place, ids in enumerate(found) if ids is not None]
        return np.sort(np.concatenate(known)) if known else None

    def dense(self, query: Vectors, k: int, documents: Ids | None = None) -> tuple[Ids, Vectors]:
        """The k passages nearest to a query vector (d,): ids and cosines, best first, ties by path and position."""
        found = [
            (self._numbered(place, ids), cosines)
            for place, part in enumerate(self._parts)
            for ids, cosines in [part.dense(query, k, self._filter(place, documents))]
        ]
        ids, cosines = np.concatenate([one for one, _ in found]), np.concatenate([one for _, one in found])
        order = self._best(ids, cosines, k)
        return ids[order], cosines[order]

    def lexical(
        self,
        points: Mapping[str, Mapping[str, int]],
        k: int,
        documents: Ids | None = None,
        required: Sequence[Alternatives] = (),
        nearest_to: Vectors | None = None,
    ) -> Ids:
        """The k passages with the most points for the terms they have, ids ascending.

        Ties by their cosines with `nearest_to` (d,), then by path and position.
        """
        found = [
            self._numbered(place, part.lexical(points, k, self._filter(place, documents), required, nearest_to))
            for place, part in enumerate(self._parts)
        ]
        ids = np.concatenate(found)
        if len(ids) > k:
            have = np.zeros(len(ids))
            for field, found_there in self.occurrences(
                ids, {field: list(worth) for field, worth in points.items()}
            ).items():
                have += (found_there.counts > 0) @ np.array(list(points[field].values()), np.float64)
            near = np.zeros(len(ids)) if nearest_to is None else self.cosines(nearest_to, ids)
            ids = ids[self._best(ids, have, k, near)]
        return np.sort(ids)

    def cosines(self, query: Vectors, ids: Ids) -> Vectors:
        """The exact cosines of passages with a query vector (d,), in their order."""
        found = np.zeros(len(ids), np.float32)
        for place, part in enumerate(self._parts):
            rows = np.flatnonzero(ids % len(self._parts) == place)
            if len(rows):
                found[rows] = part.cosines(query, ids[rows] // len(self._parts))
        return found

    def vectors(self) -> tuple[Ids, Vectors]:
        """All passages' ids (n,), ascending, and unit vectors (n, d): a copy."""
        found = [part.vectors() for part in self._parts]
        ids = np.concatenate([self._numbered(place, one) for place, (one, _) in enumerate(found)])
        order = np.argsort(ids)
        return ids[order], np.concatenate([one for _, one in found])[order]

    def statistics(self, terms: Mapping[str, Sequence[str]]) -> Statistics:
        """The counts of all, added up."""
        found = [part.statistics(terms) for part in self._parts]
        return Statistics(
            sum(one.passages for one in found),
            _added([one.totals for one in found]),
            {field: _added([one.frequencies.get(field, {}) for one in found]) for field in found[0].frequencies},
        )

    def vocabulary(self, fields: Sequence[str]) -> list[Mapping[str, int]]:
        """All terms of these fields, and in how many passages each stands."""
        return [_added(counts) for counts in zip(*(part.vocabulary(fields) for part in self._parts), strict=True)]

    def terms(self, ids: Ids) -> list[Mapping[str, list[str]]]:
        """The terms of passages by field, in the passages' order."""
        return self._in_order(ids, lambda part, own: part.terms(own))

    def occurrences(self, ids: Ids, terms: Mapping[str, Sequence[str]]) -> dict[str, Occurrences]:
        """Where these terms stand in passages, by field; rows are in the passages' order."""
        rows = [np.flatnonzero(ids % len(self._parts) == place) for place in range(len(self._parts))]
        found = [
            part.occurrences(ids[own] // len(self._parts), terms) for part, own in zip(self._parts, rows, strict=True)
        ]
        return {field: _one(wanted, rows, [one[field] for one in found]) for field, wanted in terms.items()}

    def stored(self, ids: Ids) -> list[StoredPassage]:
        """Passages with text and document, in the order asked for."""
        found = self._in_order(ids, lambda part, own: part.stored(own))
        places = (ids % len(self._parts)).tolist()
        return [
            replace(one, id=number, document=self._renumbered(place, one.document))
            for one, number, place in zip(found, ids.tolist(), places, strict=True)
        ]

    def owners(self, ids: Ids) -> dict[int, int]:
        """Passage id → document id."""
        count, found = len(self._parts), {}
        for place, part in enumerate(self._parts):
            own = part.owners(self._own(place, ids))
            found.update({passage * count + place: document * count + place for passage, document in own.items()})
        return found

    def documents(self) -> Iterator[StoredDocument]:
        """All documents, index by index."""
        for place, part in enumerate(self._parts):
            yield from (self._renumbered(place, one) for one in part.documents())

    def with_hash(self, beginning: str) -> list[StoredDocument]:
        """The documents whose text has a hash that begins so, index by index."""
        return [self._renumbered(at, one) for at, part in enumerate(self._parts) for one in part.with_hash(beginning)]

    def documents_of(self, ids: Ids) -> list[StoredDocument]:
        """Those documents of these that are there, index by index."""
        return [
            self._renumbered(place, one)
            for place, part in enumerate(self._parts)
            for one in part.documents_of(self._own(place, ids))
        ]

    def file_of(self, document_id: int) -> FileState | None:
        """The file of a document as a run last saw it; None where a later document is to take its place."""
        part, own = self._part(document_id)
        return part.file_of(own)

    def passages_of(self, document: StoredDocument) -> tuple[Passage, ...]:
        """Where a document's passages stand, in order."""
        part, own = self._part(document.id)
        return part.passages_of(replace(document, id=own))

    def document_text(self, document_id: int, start: int = 0, end: int | None = None) -> str:
        """The text of a document, or its slice [start:end] in code points."""
        part, own = self._part(document_id)
        return part.document_text(own, start, end)

    def structure(self, document_id: int) -> tuple[tuple[Heading, ...], tuple[PageStart, ...]] | None:
        """A document's headings and page starts; None where an earlier version stored it, which did not keep them."""
        part, own = self._part(document_id)
        return part.structure(own)

    def _part(self, number: int) -> tuple[Snapshot, int]:
        return self._parts[number % len(self._parts)], number // len(self._parts)

    def _numbered(self, place: int, ids: Ids) -> Ids:
        return ids * len(self._parts) + place

    def _own(self, place: int, ids: Ids) -> Ids:
        """Those of an index, by its own numbers."""
        own: Ids = ids[ids % len(self._parts) == place] // len(self._parts)
        return own

    def _filter(self, place: int, documents: Ids | None) -> Ids | None:
        return None if documents is None else self._own(place, documents)

    def _renumbered(self, place: int, document: StoredDocument) -> StoredDocument:
        return replace(document, id=document.id * len(self._parts) + place)

    def _in_order(self, ids: Ids, asked: Callable[[Snapshot, Ids], Sequence[Found]]) -> list[Found]:
        """What each index says of its own, in the order of all."""
        found: dict[int, Found] = {}
        for place, part in enumerate(self._parts):
            mine = ids[ids % len(self._parts) == place]
            found.update(zip(mine.tolist(), asked(part, mine // len(self._parts)), strict=True))
        return [found[number] for number in ids.tolist()]

    def _best(self, ids: Ids, values: Floats, k: int, others: Floats | None = None) -> NDArray[np.intp]:
        """The rows of the k highest values, best first, ties by the highest of others, then by path and position."""
        seconds = np.zeros(len(values)) if others is None else others
        order = np.lexsort((-seconds, -values))
        equal = np.flatnonzero((np.diff(values[order]) == 0) & (np.diff(seconds[order]) == 0))
        tied = order[np.union1d(equal, equal + 1)]
        places = {
            row: (one.document.path_bytes, one.document.member, one.ordinal)
            for row, one in zip(tied.tolist(), self.stored(ids[tied]), strict=True)
        }
        settled = sorted(order.tolist(), key=lambda row: (-values[row], -seconds[row], places.get(row, ())))
        best: NDArray[np.intp] = np.array(settled[:k], dtype=np.intp)
        return best


def _one(terms: Sequence[str], rows: Sequence[NDArray[np.intp]], parts: Sequence[Occurrences]) -> Occurrences:
    """Occurrences in parts of some passages, each given with its rows among all, as those in all."""
    lengths = np.zeros(sum(map(len, rows)), np.int64)
    for own, part in zip(rows, parts, strict=True):
        lengths[own] = part.lengths
    row = np.concatenate([own[part.rows] for own, part in zip(rows, parts, strict=True)])
    order = np.argsort(row, kind="stable")  # each passage is in one part, in the order of its places
    places = np.concatenate([part.places for part in parts])
    which = np.concatenate([part.which for part in parts])
    return Occurrences.of(terms, lengths, row[order], places[order], which[order])


def _added(counts: Sequence[Mapping[str, int]]) -> dict[str, int]:
    total: Counter[str] = Counter()
    for one in counts:
        total.update(one)
    return dict(total)
