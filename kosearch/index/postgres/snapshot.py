"""What readers ask of an index in PostgreSQL: one transaction sees one state, whatever others commit meanwhile.

The server finds candidates; cosines and points are the same numbers as those of an index in a folder, to the bit.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import numpy as np

from kosearch.index.contract import Alternatives, FileState, Identity, Ids, StoredDocument, StoredPassage, Vectors
from kosearch.index.database import damaged, decoding
from kosearch.index.kept_passages import KeptPassages
from kosearch.index.kept_terms import KeptTerms
from kosearch.index.lexical import encoded_lines
from kosearch.index.postgres.postings import MOST_TAIL, Lists, Tail, most_points, read_tail
from kosearch.index.postgres.rows import (
    DOCUMENT,
    FILE,
    Structure,
    document_of,
    file_state,
    lines_of,
    placed,
    structure_of,
    text_in,
)
from kosearch.index.postgres.schema import State, from_half_vectors, hash_of, in_text
from kosearch.index.postgres.server import Session
from kosearch.index.snapshot import fitting, most_points_first, nearest_first
from kosearch.index.tables import PART, STRUCTURE, Description
from kosearch.index.vectors import cosines, mapped, unit
from kosearch.records import Heading, PageStart, Passage, Statistics
from kosearch.scoring import Occurrences

_ROWS = 4096
"""Rows fetched at a time."""
_ERROR = 1e-5
"""More than pgvector's float32 sums err."""
GRAPH_ROWS = 20_000
"""Fewer passages are compared one by one, though there is a graph."""
_LEAST_WIDTH, _MOST_WIDTH = 400, 1000
"""How wide a graph is searched; the second is pgvector's most."""
_MARGIN = 64
"""So many passages beyond those asked for are scored again exactly."""
_MOST_KEPT = 1 << 14
"""So many vectors, or counts of terms, that a question asked for are kept for what it asks next."""


@dataclass(slots=True)
class Kept:
    """What was read of one state of the index, for the snapshots that come of it."""

    mark: str
    """The state's."""
    descriptions: Sequence[Description] | None = None
    vocabularies: dict[tuple[str, ...], list[Mapping[str, int]]] = field(default_factory=dict)
    terms: KeptTerms = field(default_factory=KeptTerms)
    tails: dict[int, Tail | None] = field(default_factory=dict)
    """By where it begins, what was read of the passages that no segment covers."""


class PostgresSnapshot:
    """As `contract.Snapshot`. Made by `PostgresStore.snapshot`, and good until that context ends."""

    def __init__(self, session: Session, state: State, source: str, kept: Kept) -> None:
        """`source` is whose files lie on this machine."""
        self._session = session
        self._state = state
        self._source = source
        self._kept = kept
        # Each statement is a way to the server and back: a question asks for most things more than once.
        self._vectors: dict[int, bytes] = {}
        self._counts: dict[int, int] = {}
        self._passages = KeptPassages(self._stored)
        self._shown: list[int] = []
        """Documents whose passages were asked for last: of one of them more is asked, and soon of all."""
        self._structures: dict[int, bytes] = {}
        self._files: dict[int, FileState] = {}

    @property
    def identity(self) -> Identity:
        """What made the index."""
        return self._state.identity

    @property
    def generation(self) -> int:
        """How many commits there have been that changed an answer."""
        return self._state.generation

    @property
    def passages(self) -> int:
        """How many there are."""
        return self._state.passages

    @property
    def warnings(self) -> tuple[str, ...]:
        """None."""
        return ()

    def find_documents(
        self,
        paths: Sequence[str] = (),
        kinds: Sequence[str] = (),
        after: str | None = None,
        before: str | None = None,
    ) -> Ids | None:
        """The ids of documents that fit all filters, ascending; None where there is no filter."""
        if not (paths or kinds or after or before):
            return None
        if self._kept.descriptions is None:
            sql = "SELECT id, path, member, kind, metadata, mtime_ns FROM document ORDER BY id"
            with decoding("the time of a document"):
                self._kept.descriptions = [(*row[:5], int(row[5])) for row in self._session.rows(sql)]
        return fitting(self._kept.descriptions, paths, kinds, after, before)

    def dense(self, query: Vectors, k: int, documents: Ids | None = None) -> tuple[Ids, Vectors]:
        """The k passages nearest to a query vector (d,): ids and cosines, best first, ties by path and position."""
        if k < 1 or not self.passages:
            return np.zeros(0, np.int64), np.zeros(0, np.float32)
        ids = self._near(query, k, documents)
        scores = self.cosines(query, ids)
        order = np.lexsort((ids, -scores))
        return nearest_first(ids[order], scores[order], k, self._first_by_path)

    def _near(self, query: Vectors, k: int, documents: Ids | None) -> Ids:
        """Passages among which the k nearest are, and all that are as near as the last of them.

        With a graph nearly all of the nearest are, and as many as there are of those that fit.
        """
        if self._state.has_graph and self.passages >= GRAPH_ROWS:
            return self._near_by_graph(query, k, documents)
        narrowed = "" if documents is None else "WHERE document = ANY(%s)"
        # A vector of nothing has no direction: its distance is NaN, and its cosine is 0. Vectors are sent of those that
        # are near alone: named beside the sorting they would be made ready of all, for twice the time of comparing.
        sql = (
            "SELECT id, distance, halfvec_send(vector) FROM"
            " (SELECT id, coalesce(nullif(vector <=> %s::halfvec, 'NaN'), 1) AS distance"
            f" FROM passage {narrowed} ORDER BY distance LIMIT %s) near JOIN passage USING (id) ORDER BY distance"
        )
        # In 16 bits, like the vectors, it is compared in two thirds of the time, and is a little another.
        rounded = unit(query).astype(np.float16).astype(np.float32)
        error = _ERROR + 2 * float(np.linalg.norm(unit(rounded) - unit(query)))
        wanted = k + _MARGIN
        while True:
            rows = self._session.rows(
                sql, in_text(rounded), *([] if documents is None else [documents.tolist()]), wanted
            )
            ids, distances = np.array([row[0] for row in rows], np.int64), np.array([row[1] for row in rows])
            self._vectors.update((number, vector) for number, _, vector in rows)
            if len(ids) <= k:
                return ids
            last = distances[k - 1] + error
            if len(ids) < wanted or distances[-1] > last:
                near: Ids = ids[distances <= last]
                return near
            wanted *= 8

    def _near_by_graph(self, query: Vectors, k: int, documents: Ids | None) -> Ids:
        narrowed = "" if documents is None else "WHERE document = ANY(%s)"
        width = min(max(_LEAST_WIDTH, 4 * k), _MOST_WIDTH)
        sql = "SELECT set_config('hnsw.iterative_scan', 'relaxed_order', true), set_config('hnsw.ef_search', %s, true)"
        self._session.row(sql, str(width))
        dimensions = self.identity.dimensions
        sql = (
            f"SELECT id, halfvec_send(vector) FROM passage {narrowed}"
            f" ORDER BY vector <=> %s::halfvec({dimensions}) LIMIT %s"
        )
        given = [*([] if documents is None else [documents.tolist()]), in_text(unit(query)), k + _MARGIN]
        rows = self._session.rows(sql, *given)
        self._vectors.update(rows)
        return np.array([number for number, _ in rows], np.int64)

    def lexical(
        self,
        points: Mapping[str, Mapping[str, int]],
        k: int,
        documents: Ids | None = None,
        required: Sequence[Alternatives] = (),
        nearest_to: Vectors | None = None,
    ) -> Ids:
        """The k passages with the most points for the terms they have (field → term → points), ids ascending.

        Ties by their cosines with `nearest_to` (d,), then by path and position. Of each of `required` a passage has
        all terms of one alternative in their field.
        """
        if k < 1 or not (required or any(points.values())):
            return np.zeros(0, np.int64)
        worth = {hash_of(name, term): value for name, values in points.items() for term, value in values.items()}
        tail = self._tail()
        if tail is None:
            ids, scores = self._counted(worth, k, documents, required)
        else:
            wanted = [hash_of(name, term) for each in required for name, terms in each for term in terms]
            lists = Lists(self._session, self._state.segments, tail, list({*worth, *wanted}))
            among = None if documents is None else self._passages_of(documents)
            ids, scores = most_points(lists, worth, k, required, among, self._live)
        last = np.sort(scores)[-min(k, len(scores))] if len(scores) else 0
        near = None if nearest_to is None else partial(self.cosines, nearest_to)
        return most_points_first(ids[scores > last], np.sort(ids[scores == last]), k, near, self._first_by_path)

    def _tail(self) -> Tail | None:
        """The passages that no segment covers; None where the GIN index is to be asked."""
        segments, tails = self._state.segments, self._kept.tails
        begin = segments[-1].high if segments else 0
        if not segments and self.passages > MOST_TAIL:
            return None
        if begin not in tails:
            tails[begin] = read_tail(self._session, begin)
        return tails[begin]

    def _passages_of(self, documents: Ids) -> Ids:
        rows = self._session.rows("SELECT id FROM passage WHERE document = ANY(%s) ORDER BY id", documents.tolist())
        return np.array([number for (number,) in rows], np.int64)

    def _live(self, ids: Ids) -> Ids:
        rows = self._session.rows("SELECT passage FROM lexicon WHERE passage = ANY(%s)", ids.tolist())
        return np.array([number for (number,) in rows], np.int64)

    def _counted(
        self, worth: Mapping[int, int], k: int, documents: Ids | None, required: Sequence[Alternatives]
    ) -> tuple[Ids, Ids]:
        """The k passages with the most points, and all that have as many as the last of them, by the GIN index."""
        given: list[object] = [list(worth), list(worth.values())]
        of_terms = (
            "SELECT l.passage, sum(q.points)::bigint AS points"
            " FROM unnest(%s::bigint[], %s::bigint[]) AS q(term, points)"
            " JOIN lexicon l ON l.hashed @> ARRAY[q.term]"
        )
        if documents is not None and not required:
            of_terms += " WHERE l.document = ANY(%s)"
            given.append(documents.tolist())
        of_terms += " GROUP BY l.passage"
        if required:
            conditions = []
            for alternatives in required:
                conditions.append(" OR ".join(["l.hashed @> %s::bigint[]"] * len(alternatives)) or "false")
                given += [[hash_of(name, term) for term in terms] for name, terms in alternatives]
            if documents is not None:
                conditions.append("l.document = ANY(%s)")
                given.append(documents.tolist())
            of_terms = (
                "SELECT l.passage, coalesce(s.points, 0) AS points FROM lexicon l"
                f" LEFT JOIN ({of_terms}) s USING (passage)"
                f" WHERE {' AND '.join(f'({one})' for one in conditions)}"
            )
        sql = (
            "SELECT passage, points FROM (SELECT passage, points, rank() OVER (ORDER BY points DESC) AS place"
            f" FROM ({of_terms}) found) ranked WHERE place <= %s"
        )
        rows = self._session.rows(sql, *given, k)
        return np.array([row[0] for row in rows], np.int64), np.array([row[1] for row in rows], np.int64)

    def _first_by_path(self, ids: Ids, count: int) -> Ids:
        """The first `count` of some passages, given ascending, by their documents' paths and their own positions."""
        if len(ids) <= count:
            return ids
        sql = (
            "SELECT d.raw, d.member, d.source, p.id FROM passage p JOIN document d ON d.id = p.document"
            " WHERE p.id = ANY(%s)"
        )
        rows = sorted(self._session.rows(sql, ids.tolist()))
        return np.array([row[-1] for row in rows[:count]], np.int64)

    def cosines(self, query: Vectors, ids: Ids) -> Vectors:
        """The exact cosines of passages with a query vector (d,), in their order."""
        sql = "SELECT id, halfvec_send(vector) FROM passage WHERE id = ANY(%s)"
        known = self._remembered(self._vectors, ids.tolist(), sql)
        self._complete(ids.tolist(), known)
        blobs = [known[number] for number in ids.tolist()]
        return cosines(from_half_vectors(blobs, self.identity.dimensions), unit(query))

    def vectors(self) -> tuple[Ids, Vectors]:
        """The ids of all passages (n,), ascending, and their vectors (n, d) of unit length, read only: a copy."""
        dimensions = self.identity.dimensions
        chunks = (
            (np.array([row[0] for row in rows], np.int64), from_half_vectors([row[1] for row in rows], dimensions))
            for rows in self._session.stream("SELECT id, halfvec_send(vector) FROM passage ORDER BY id", _ROWS)
        )
        return mapped(chunks, dimensions)

    def statistics(self, terms: Mapping[str, Sequence[str]]) -> Statistics:
        """Exact counts for terms by field, as if the index had only ever held what it holds now."""
        hashes = {(name, term): hash_of(name, term) for name, wanted in terms.items() for term in wanted}
        sql = "SELECT hash, sum(count)::bigint FROM frequency WHERE hash = ANY(%s::bigint[]) GROUP BY hash"
        found = self._remembered(self._counts, hashes.values(), sql)
        found.update({number: 0 for number in hashes.values() if number not in found})
        if not all(0 <= found[number] <= self.passages for number in hashes.values()):
            raise damaged("the table of counts of terms")
        frequencies = {name: {term: found[hashes[name, term]] for term in wanted} for name, wanted in terms.items()}
        return Statistics(self.passages, self._state.totals, frequencies)

    def vocabulary(self, fields: Sequence[str]) -> list[Mapping[str, int]]:
        """All terms of these fields, and in how many passages each stands. It reads the whole table of counts."""
        known = self._kept.vocabularies
        if tuple(fields) not in known:
            sql = (
                "SELECT min(term), sum(count)::bigint FROM frequency WHERE field = %s"
                " GROUP BY hash HAVING sum(count) > 0"
            )
            known[tuple(fields)] = [dict(self._session.rows(sql, self.identity.fields.index(name))) for name in fields]
        return known[tuple(fields)]

    def terms(self, ids: Ids) -> list[Mapping[str, list[str]]]:
        """The terms of passages by field, in the passages' order."""
        fields = self.identity.fields
        return [
            {name: line.split(" ") if line else [] for name, line in zip(fields, lines_of(blob, fields), strict=True)}
            for blob in self._encoded_terms(ids.tolist())
        ]

    def occurrences(self, ids: Ids, terms: Mapping[str, Sequence[str]]) -> dict[str, Occurrences]:
        """Where these terms (field → terms) stand in passages, by field; rows are in the passages' order."""
        return self._kept.terms.occurrences(ids.tolist(), terms, self.identity.fields, self._lines)

    def _lines(self, ids: Sequence[int]) -> list[bytes]:
        with decoding("the terms of a passage"):
            return list(map(encoded_lines, self._encoded_terms(ids)))

    def _encoded_terms(self, ids: Sequence[int]) -> list[bytes]:
        return self._of_passages("SELECT passage, terms FROM lexicon WHERE passage = ANY(%s)", ids)

    def stored(self, ids: Ids) -> list[StoredPassage]:
        """Passages with text and document, in the order asked for."""
        found = self._passages.stored(ids.tolist())
        self._shown = list(dict.fromkeys(one.document.id for one in found))
        return found

    def _stored(self, ids: Sequence[int]) -> list[StoredPassage]:
        sql = (
            f"SELECT p.id, p.place, {DOCUMENT} FROM passage p JOIN document d ON d.id = p.document WHERE p.id = ANY(%s)"
        )
        found = {row[0]: (*placed(row[1]), self._document(row[2:])) for row in self._session.rows(sql, list(ids))}
        self._complete(ids, found)
        texts = self._slices([(one.id, place.start, place.end) for _, place, one in found.values()])
        return [
            StoredPassage(number, ordinal, place, texts[document.id, place.start, place.end], document)
            for number, (ordinal, place, document) in ((number, found[number]) for number in ids)
        ]

    def owners(self, ids: Ids) -> dict[int, int]:
        """Passage id → document id."""
        found = dict(self._session.rows("SELECT id, document FROM passage WHERE id = ANY(%s)", ids.tolist()))
        self._complete(ids.tolist(), found)
        return found

    def documents(self) -> Iterator[StoredDocument]:
        """All documents by id."""
        for rows in self._session.stream(f"SELECT {DOCUMENT} FROM document d ORDER BY d.id", _ROWS):
            yield from map(self._document, rows)

    def with_hash(self, beginning: str) -> list[StoredDocument]:
        """The documents whose text has a hash that begins so, by id."""
        sql = f"SELECT {DOCUMENT} FROM document d WHERE d.text_hash >= %s AND d.text_hash <= %s ORDER BY d.id"
        return [self._document(row) for row in self._session.rows(sql, beginning, f"{beginning}g")]  # after all digits

    def documents_of(self, ids: Ids) -> list[StoredDocument]:
        """Those documents of these that are there, by id."""
        sql = f"SELECT {DOCUMENT} FROM document d WHERE d.id = ANY(%s) ORDER BY d.id"
        return [self._document(row) for row in self._session.rows(sql, ids.tolist())]

    def file_of(self, document_id: int) -> FileState | None:
        """The file of a document as a run last saw it."""
        if document_id not in self._files:
            sql = (
                f"SELECT d.id, {FILE} FROM document d JOIN file f ON f.id = d.file"
                " LEFT JOIN problem p ON p.file = f.id AND p.whole WHERE d.id = ANY(%s)"
            )
            rows = self._session.rows(sql, [document_id, *self._shown])
            self._files = {number: file_state(row) for number, *row in rows}
        return self._files.get(document_id)

    def passages_of(self, document: StoredDocument) -> tuple[Passage, ...]:
        """Where a document's passages stand, in order."""
        sql = "SELECT place FROM passage WHERE document = %s ORDER BY id"
        return tuple(placed(place)[1] for (place,) in self._session.rows(sql, document.id))

    def document_text(self, document_id: int, start: int = 0, end: int | None = None) -> str:
        """The text of a document, or its slice [start:end] in code points."""
        row = self._session.row("SELECT length FROM document WHERE id = %s", document_id)
        if row is None:
            raise damaged(f"document {document_id}")
        end = row[0] if end is None else min(end, row[0])
        return self._slices([(document_id, start, end)])[document_id, start, end]

    def structure(self, document_id: int) -> tuple[tuple[Heading, ...], tuple[PageStart, ...]] | None:
        """A document's headings and page starts."""
        headings, pages, _ = self.whole_structure(document_id)
        return headings, pages

    def whole_structure(self, document_id: int) -> Structure:
        """The same, and the parts that were read in pictures."""
        if document_id not in self._structures:
            sql = "SELECT document, body FROM text WHERE document = ANY(%s) AND part = %s"
            self._structures = dict(self._session.rows(sql, [document_id, *self._shown], STRUCTURE))
        if document_id not in self._structures:
            raise damaged(f"the structure of document {document_id}")
        return structure_of(self._structures[document_id])

    def _slices(self, wanted: Sequence[tuple[int, int, int]]) -> dict[tuple[int, int, int], str]:
        """Parts of documents' texts: (document, start, end) → text. Raises IndexDamaged where one is not all there."""
        firsts = [start // PART for _, start, _ in wanted]
        lasts = [max(end - 1, start) // PART for _, start, end in wanted]
        sql = (
            "SELECT DISTINCT t.document, t.part, t.body FROM unnest(%s::bigint[], %s::int[], %s::int[])"
            " AS w(document, first, last) JOIN text t ON t.document = w.document AND t.part BETWEEN w.first AND w.last"
        )
        rows = self._session.rows(sql, [one for one, _, _ in wanted], firsts, lasts)
        parts = {(document, part): text_in([body]) for document, part, body in rows}
        found = {}
        for (document, start, end), first, last in zip(wanted, firsts, lasts, strict=True):
            text = "".join(parts.get((document, part), "") for part in range(first, last + 1))
            found[document, start, end] = text[start - first * PART : end - first * PART]
            if len(found[document, start, end]) != max(end - start, 0):
                raise damaged(f"the text of document {document}")
        return found

    def _of_passages(self, sql: str, ids: Sequence[int]) -> list[bytes]:
        """A value of each passage, in the order asked for."""
        found = dict(self._session.rows(sql, ids))
        self._complete(ids, found)
        return [found[number] for number in ids]

    def _remembered(self, known: dict[int, Any], wanted: Collection[int], sql: str) -> dict[int, Any]:
        """What is known, with what the server has of those that are wanted. Where it has grown large it begins anew."""
        if len(known) > _MOST_KEPT:
            known.clear()
        if new := [number for number in wanted if number not in known]:
            known.update(self._session.rows(sql, new))
        return known

    def _complete(self, ids: Sequence[int], found: Mapping[int, object]) -> None:
        for number in ids:
            if number not in found:
                raise damaged(f"passage {number}")

    def _document(self, row: Any) -> StoredDocument:
        return document_of(row, self._source)
