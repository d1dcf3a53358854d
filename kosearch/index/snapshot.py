"""One generation as it was published: what a snapshot answers from, whatever a writer does meanwhile."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path

import numpy as np

from kosearch import filters
from kosearch.filters import Globs, selector
from kosearch.index import files
from kosearch.index.contract import Alternatives, FileState, Identity, Ids, StoredDocument, StoredPassage, Vectors
from kosearch.index.database import REPAIR, damaged, decoding
from kosearch.index.files import Damaged
from kosearch.index.kept_passages import KeptPassages
from kosearch.index.kept_terms import KeptTerms
from kosearch.index.lexical import Lexical, decode_lines
from kosearch.index.tables import PUBLISHED, Description, State, Tables
from kosearch.index.vectors import Dense, best, cosines, decode_vectors, mapped, unit
from kosearch.records import Heading, PageStart, Passage, Statistics
from kosearch.scoring import Occurrences

_AT_ONCE = 1 << 13
"""Vectors that are multiplied together: they are in float64 by then."""
_MOST_COUNTS = 1 << 16
"""So many counts of terms are kept, some 10 MB; then it begins anew."""


class Derived:
    """The derived files of one generation, checked and open, as far as they are whole; shared by snapshots."""

    def __init__(self, directory: Path, state: State, fields: Sequence[str]) -> None:
        self.generation = state.generation
        self.manifest = state.manifest
        self.dense: Dense | None = None
        self.lexical: Lexical | None = None
        self.descriptions: Sequence[Description] | None = None
        self.vocabularies: dict[tuple[str, ...], list[Mapping[str, int]]] = {}
        self.terms = KeptTerms()
        self.counts: dict[str, int] = {}
        """Of terms that were asked for: what reads a question and what ranks by it ask for the same."""
        self.warnings: list[str] = []
        place = files.folder(directory, state.generation)
        try:
            manifest = files.read_manifest(place, state.manifest)
        except Damaged as error:
            self.warn("search files", error)
            return
        check = files.Verified(place, manifest).check
        try:
            self.dense = Dense(place, manifest, check)
        except Damaged as error:
            self.warn("vector files", error)
        if self.dense:
            try:
                self.dense.load_codes()
            except Damaged as error:
                self.warn("codes of vectors", error)
        try:
            self.lexical = Lexical(place, manifest, fields, check)
        except Damaged as error:
            self.warn("lexical files", error)

    def warn(self, what: str, error: Exception) -> None:
        """Note that SQLite has to stand in."""
        self.warnings.append(
            f"the index's {what} are missing or damaged ({error}); searching goes on without them, slowly:"
            f" run `kosearch index` or `{REPAIR}`"
        )

    def warm(self, earlier: Derived | None) -> None:
        """Load the graph, where there is one."""
        if self.dense:
            try:
                self.dense.load_graph(earlier.dense if earlier else None)
            except Damaged as error:
                self.warn("graph file", error)


class SqliteSnapshot:
    """What readers may ask. Made by `SqliteStore.snapshot`, and good until that context ends."""

    def __init__(self, tables: Tables, state: State, derived: Derived | None, warnings: tuple[str, ...] = ()) -> None:
        self._tables = tables
        self._warnings = warnings
        self._state = state
        self._derived = derived
        self._kept = KeptPassages(tables.stored)

    @property
    def generation(self) -> int:
        """The generation that answers; 0 before anything was published."""
        return self._state.generation

    @property
    def passages(self) -> int:
        """How many there are."""
        return self._state.passages

    @property
    def identity(self) -> Identity:
        """What made the index."""
        return self._tables.identity

    @property
    def warnings(self) -> tuple[str, ...]:
        """What a reader should know: answers are right all the same."""
        return (*self._warnings, *(self._derived.warnings if self._derived else ()))

    def dense(self, query: Vectors, k: int, documents: Ids | None = None) -> tuple[Ids, Vectors]:
        """The k passages nearest to a query vector (d,): ids and cosines, best first, ties by path and position.

        Exact, except where the snapshot is warm and the graph finds the candidates; cosines are exact always.
        """
        if k < 1:
            return np.zeros(0, np.int64), np.zeros(0, np.float32)
        query, wanted = unit(query), k + 1
        while True:
            ids, scores = self._nearest(query, min(wanted, self.passages), documents)
            if len(ids) < wanted or scores[-1] < scores[k - 1]:
                break
            wanted *= 8
        return nearest_first(ids, scores, k, self._first_by_path)

    def _nearest(self, query: Vectors, k: int, documents: Ids | None) -> tuple[Ids, Vectors]:
        if self._derived and self._derived.dense:
            near = self._derived.dense.search_graph(query, k) if documents is None else None
            return near or self._derived.dense.search(query, k, documents)
        return self._scan_vectors(query, k, documents)

    def vectors(self) -> tuple[Ids, Vectors]:
        """The ids of all passages (n,), ascending, and their vectors (n, d) of unit length, read only and mapped."""
        if self._derived and self._derived.dense:
            return self._derived.dense.mapped()
        return mapped(self._vectors_scanned(), self.identity.dimensions)

    def cosines(self, query: Vectors, ids: Ids) -> Vectors:
        """The exact cosines of passages with a query vector (d,), in their order."""
        query = unit(query)
        if self._derived and self._derived.dense:
            with suppress(Damaged):
                return self._derived.dense.cosines(query, ids)
        return cosines(self._tables.vectors(ids.tolist()), query)

    def lexical(
        self,
        points: Mapping[str, Mapping[str, int]],
        k: int,
        documents: Ids | None = None,
        required: Sequence[Alternatives] = (),
        nearest_to: Vectors | None = None,
    ) -> Ids:
        """The k passages with the most points for terms that they have (field → term → points), ascending ids.

        Those without any are none of them; ties by their cosines with `nearest_to`, a vector (d,), if there is one,
        and then by path and position. A passage fits where it has, of each of
        `required`, all terms of one alternative in their field.
        """
        found = None
        if self._derived and self._derived.lexical:
            try:
                found = self._derived.lexical.search(points, k, documents, required)
            except Damaged as error:
                self._derived.lexical = None
                self._derived.warn("lexical files", error)
        sure, tied = found or self._scan_terms(points, k, documents, required)
        near = None if nearest_to is None else partial(self.cosines, nearest_to)
        return most_points_first(sure, tied, k, near, self._first_by_path)

    def _first_by_path(self, ids: Ids, count: int) -> Ids:
        """The first `count` of some passages, given ascending, by their documents' paths and their own positions."""
        if len(ids) <= count:
            return ids
        owners = self.owners(ids)
        of = np.array([owners[number] for number in ids.tolist()], dtype=np.int64)
        documents = np.unique(of)
        by_path = np.array(self._tables.by_path(documents.tolist()), dtype=np.int64)
        if not np.array_equal(np.sort(by_path), documents):
            raise damaged("the row of a document")  # a file beside SQLite names one that there is not
        ranks = np.argsort(by_path)  # of the documents, ascending: where each stands in the order of paths
        return ids[np.lexsort((ids, ranks[np.searchsorted(documents, of)]))[:count]]

    def statistics(self, terms: Mapping[str, Sequence[str]]) -> Statistics:
        """Exact counts for terms by field, as if the index had only ever held what it holds now."""
        known = self._derived.counts if self._derived else {}
        if len(known) > _MOST_COUNTS:
            known.clear()
        return self._tables.statistics(self._state, terms, known)

    def vocabulary(self, fields: Sequence[str]) -> list[Mapping[str, int]]:
        """All terms of fields with the number of passages that have them.

        It reads the whole table of counts, once a generation: that takes longer than all else of a warm question.
        """
        kept = self._derived.vocabularies if self._derived else {}
        if tuple(fields) not in kept:
            kept[tuple(fields)] = self._tables.vocabulary(fields)
        return kept[tuple(fields)]

    def terms(self, ids: Ids) -> list[Mapping[str, list[str]]]:
        """The terms of passages by field, in the passages' order."""
        return self._tables.terms(ids.tolist())

    def occurrences(self, ids: Ids, terms: Mapping[str, Sequence[str]]) -> dict[str, Occurrences]:
        """Where these terms (field → terms) stand in passages, by field; rows are in the passages' order."""
        kept = self._derived.terms if self._derived else KeptTerms()
        return kept.occurrences(ids.tolist(), terms, self.identity.fields, self._tables.lines)

    def stored(self, ids: Ids) -> list[StoredPassage]:
        """Passages with text and document, in the order asked for."""
        return self._kept.stored(ids.tolist())

    def owners(self, ids: Ids) -> dict[int, int]:
        """Passage id → document id, without reading the passages."""
        if self._derived and self._derived.dense:
            rows = self._derived.dense.rows(ids)
            if (rows >= 0).all():
                return dict(zip(ids.tolist(), self._derived.dense.documents[rows].tolist(), strict=True))
        return self._tables.owners(ids.tolist())

    def documents(self) -> Iterator[StoredDocument]:
        """All documents by id."""
        return self._tables.documents()

    def with_hash(self, beginning: str) -> list[StoredDocument]:
        """The documents whose text has a hash that begins so, by id."""
        return self._tables.documents_with_hash(beginning)

    def documents_of(self, ids: Ids) -> list[StoredDocument]:
        """Those documents of these that are there, by id."""
        return self._tables.documents_of(ids.tolist())

    def file_of(self, document_id: int) -> FileState | None:
        """The file of a document as it was when a run last looked at it; None where a later one is to take its place.

        It may be ahead of this snapshot's documents: where it has a reason they are of an earlier content.
        """
        return self._tables.file_of(document_id)

    def passages_of(self, document: StoredDocument) -> tuple[Passage, ...]:
        """Where a document's passages stand, in order."""
        return self._tables.passages_of(document)

    def document_text(self, document_id: int, start: int = 0, end: int | None = None) -> str:
        """The text of a document, or its slice [start:end] in code points."""
        found = self._tables.documents_of([document_id])
        if not found:
            raise damaged(f"document {document_id}")
        return self._tables.document_text(found[0], start, end)

    def structure(self, document_id: int) -> tuple[tuple[Heading, ...], tuple[PageStart, ...]] | None:
        """A document's headings and page starts; None where an earlier version of kosearch stored it without."""
        return self._tables.structure(document_id)

    def find_documents(
        self,
        paths: Sequence[str] = (),
        kinds: Sequence[str] = (),
        after: str | None = None,
        before: str | None = None,
    ) -> Ids | None:
        """The ids of documents that fit all filters, ascending; None where there is no filter.

        A path fits where one of the globs, written as in .gitignore and at any depth unless it begins with /,
        matches it or the member's name below it. `kinds` are names of types, as `filters.selector` reads them. A
        document's date is what it says of its last change, or else of its making, or else the file's time, as a day
        here; `after` and `before` are what `filters.days` reads, and include the days that they name. A document that
        states a month only may be of any day of it.
        """
        if not (paths or kinds or after or before):
            return None
        return fitting(self._descriptions(), paths, kinds, after, before)

    def _descriptions(self) -> Sequence[Description]:
        """What filters look at, read once a generation: ten microseconds a document."""
        if self._derived and self._derived.descriptions is not None:
            return self._derived.descriptions
        descriptions = list(self._tables.descriptions())
        if len(descriptions) != self._state.documents:
            raise damaged("the table of documents")
        if self._derived:
            self._derived.descriptions = descriptions
        return descriptions

    def _scan_vectors(self, query: Vectors, k: int, documents: Ids | None) -> tuple[Ids, Vectors]:
        ids, scores, count = np.zeros(0, np.int64), np.zeros(0, np.float32), 0
        for numbers, owners, blobs in self._tables.scan("vector", PUBLISHED):
            count += len(numbers)
            wanted = np.full(len(numbers), True) if documents is None else np.isin(owners, documents)
            new = cosines(decode_vectors(blobs, self.identity.dimensions, self.identity.storage), query)
            ids, scores = best(np.concatenate([ids, numbers[wanted]]), np.concatenate([scores, new[wanted]]), k)
        self._complete(count)
        return ids, scores

    def _vectors_scanned(self) -> Iterator[tuple[Ids, Vectors]]:
        for numbers, _, blobs in self._tables.scan("vector", PUBLISHED):
            yield numbers, decode_vectors(blobs, self.identity.dimensions, self.identity.storage)

    def _scan_terms(
        self,
        points: Mapping[str, Mapping[str, int]],
        k: int,
        documents: Ids | None,
        required: Sequence[Alternatives],
    ) -> tuple[Ids, Ids]:
        """As `Lexical.search` does, by reading all terms."""
        fields = self.identity.fields
        wanted = [points.get(field, {}) for field in fields]
        needed = [[(fields.index(field), frozenset(terms)) for field, terms in one] for one in required]
        ids, scores, count = np.zeros(0, np.int64), np.zeros(0, np.float64), 0
        for numbers, owners, blobs in self._tables.scan("terms", PUBLISHED):
            count += len(numbers)
            new = np.array([_overlap(wanted, needed, decode_lines(blob)) for blob in blobs], dtype=np.float64)
            fits = new >= 0 if documents is None else (new >= 0) & np.isin(owners, documents)
            ids, scores = np.concatenate([ids, numbers[fits]]), np.concatenate([scores, new[fits]])
            if len(ids) > k:
                near = scores >= np.partition(scores, -k)[-k]
                ids, scores = ids[near], scores[near]
        self._complete(count)
        last = np.sort(scores)[-min(k, len(scores))] if len(scores) else 0.0
        return ids[scores > last], ids[scores == last]

    def _complete(self, count: int) -> None:
        if count != self.passages:
            raise damaged("the table of passages")


FirstByPath = Callable[[Ids, int], Ids]
"""The first of some passages, given ascending, by their documents' paths and their own positions."""


def nearest_first(ids: Ids, scores: Vectors, k: int, first: FirstByPath) -> tuple[Ids, Vectors]:
    """The first k of passages that are given best first, with all that are as near as the k-th: those by path."""
    if len(ids) <= k:
        return ids, scores
    sure, tied = scores > scores[k - 1], np.sort(ids[scores == scores[k - 1]])
    chosen = first(tied, k - int(sure.sum()))
    return np.concatenate([ids[sure], chosen]), scores[:k]


def most_points_first(sure: Ids, tied: Ids, k: int, near: Callable[[Ids], Vectors] | None, first: FirstByPath) -> Ids:
    """Those with more points than the k-th, and of those with as many, ascending, the nearest, then by path; ascending.

    `near` gives the cosines of passages, where the question has a vector.
    """
    room = k - len(sure)
    if near is not None and 0 < room < len(tied):
        parts = (tied[start : start + _AT_ONCE] for start in range(0, len(tied), _AT_ONCE))
        scores = np.concatenate([near(part) for part in parts])
        last = np.partition(scores, -room)[-room]
        sure, tied = np.concatenate([sure, tied[scores > last]]), tied[scores == last]
    return np.sort(np.concatenate([sure, first(tied, k - len(sure))]))


def fitting(
    descriptions: Iterable[Description],
    paths: Sequence[str],
    kinds: Sequence[str],
    after: str | None,
    before: str | None,
) -> Ids:
    """The ids of those documents that fit all filters, in their order: see `SqliteSnapshot.find_documents`."""
    globs = Globs([one if one.startswith("/") else f"**/{one}" for one in paths], start=1)
    is_wanted = selector(kinds)
    first = filters.days(after) if after else None
    last = filters.days(before) if before else None
    found = []
    for number, path, member, kind, metadata, mtime_ns in descriptions:
        if (kinds and not is_wanted(kind, path, member)) or (
            paths and not _matches(globs, f"{path}/{member}" if member else path)
        ):
            continue
        if (first or last) and not _dated_between(metadata, mtime_ns, first, last):
            continue
        found.append(number)
    return np.array(found, dtype=np.int64)


def _matches(globs: Globs, path: str) -> bool:
    """Whether a glob matches the path or a folder above it."""
    ends = [i for i, character in enumerate(path) if character == "/" and i]
    folders = (globs.verdict(path[:end], path[:end].rpartition("/")[2], True) for end in ends)
    return any(folders) or bool(globs.verdict(path, path.rpartition("/")[2], False))


def _overlap(
    wanted: Sequence[Mapping[str, int]],
    needed: Sequence[Sequence[tuple[int, frozenset[str]]]],
    lines: Sequence[str],
) -> float:
    """The points of a passage's terms; below 0 where it is no candidate."""
    terms = [set(line.split()) for line in lines]
    if not all(any(words <= terms[field] for field, words in alternatives) for alternatives in needed):
        return -1.0
    total = sum(values[term] for values, found in zip(wanted, terms, strict=True) for term in values.keys() & found)
    return float(total) if total or needed else -1.0


def _dated_between(metadata: str, mtime_ns: int, first: filters.Days | None, last: filters.Days | None) -> bool:
    """Whether a document's date, or a day of those it may be, lies between the first's beginning and the last's end."""
    with decoding("the metadata of a document"):
        values = dict(json.loads(metadata))
    stated = values.get("modified") or values.get("created")
    days = filters.local_days(str(stated)) if stated else None
    if days is None:
        day = filters.day_of(mtime_ns / 1e9)
        days = (day, day) if day else None
    return days is not None and (not first or days[1] >= first[0]) and (not last or days[0] <= last[1])
