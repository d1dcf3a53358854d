"""What is asked of the database by readers: published rows only, and every row checked."""

from __future__ import annotations

import hashlib
import hmac
import json
import os
from collections.abc import Collection, Iterator, Mapping, MutableMapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import numpy as np

from kosearch.errors import IndexDamaged, IndexMismatch
from kosearch.index.contract import (
    FileState,
    Globs,
    Ids,
    Status,
    StoredDocument,
    StoredFile,
    StoredPassage,
    UnanalysedDocument,
    Vectors,
)
from kosearch.index.database import (
    BUCKETS,
    WORK_STATE,
    Connection,
    bucket,
    checksum,
    count_of,
    damaged,
    decode_counts,
    format_of,
    integer_of,
    read_identity,
    read_meta,
    read_optional_meta,
    transaction,
    unseal,
    write_meta,
)
from kosearch.index.lexical import decode_lines, encoded_lines
from kosearch.index.names import names_of
from kosearch.index.vectors import decode_vectors
from kosearch.records import Extracted, Heading, OcrSpan, PageStart, Passage, Reason, Skipped, Statistics

Description = tuple[int, str, str, str, str, int]
"""A document's id, path, member, kind, metadata in JSON, and time in nanoseconds."""
ROWS = 4096
"""Rows read at a time."""
PART = 16384
"""Code points of a row of the table `text`."""
HAS_RECOGNISED = "SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = 'recognised'"
"""Whether a run has kept what it found in pictures."""
STRUCTURE = -1
"""The part that holds a document's headings and page starts, in JSON: what cutting its text anew takes."""

DOCUMENT = (
    "id, raw, path, member, kind, title, metadata, text_hash, length, passages, size, mtime_ns, published, retired"
)
"""The columns that a document's checksum covers, in its order."""

PUBLISHED = "d.published = 1"
PENDING = "d.published = 0"
RETIRED = "d.retired = 1"
NEXT = "d.retired = 0"
MOVED = "d.file_id IN (SELECT id FROM file WHERE moved = 1)"
"""Which documents: those that readers see; those that the next generation brings, takes away, consists of;
those whose file has another name or time."""


@dataclass(frozen=True, slots=True)
class State:
    """The published generation, as the database names it."""

    generation: int
    manifest: str
    """The checksum of the manifest of its derived files; empty where it has none."""
    documents: int
    passages: int
    totals: Mapping[str, int]


class Tables:
    """The database of one index, through one connection."""

    def __init__(self, connection: Connection, around: bytes | None = None) -> None:
        """`around` is the folder that the index moves with, if there is one."""
        self.connection = connection
        self.identity = read_identity(connection)
        self.names = names_of(connection, around)

    def state(self) -> State:
        """The published generation. The first read of a transaction: it fixes what the rest of it sees."""
        state = State(**read_meta(self.connection, "state"))
        self.identity = read_identity(self.connection)  # a writer may have changed the rules of its terms
        return state

    def rows(self, sql: str, *parameters: Any) -> Iterator[Any]:
        """The rows of a query, some thousands at a time."""
        cursor = self.connection.execute(sql, parameters)
        while rows := cursor.fetchmany(ROWS):
            yield from rows

    def documents(self, which: str = PUBLISHED) -> Iterator[StoredDocument]:
        """Documents by id."""
        return map(self._document, self._document_rows(which))

    def descriptions(self) -> Iterator[Description]:
        """What filters look at, of published documents."""
        for row in self._document_rows(PUBLISHED):
            yield row[0], self.names.shown(row[1], row[2]), row[3], row[4], row[6], integer_of(row[11])

    def documents_of(self, ids: Sequence[int]) -> list[StoredDocument]:
        """Those documents of these that are published, by id."""
        sql = (
            f"SELECT {DOCUMENT}, checksum FROM document d WHERE {PUBLISHED}"
            " AND id IN (SELECT value FROM json_each(?)) ORDER BY id"
        )
        return [self._document(_checked(row)) for row in self.rows(sql, json.dumps(ids))]

    def documents_with_hash(self, beginning: str) -> list[StoredDocument]:
        """Published documents whose text's hash begins so, by id."""
        sql = f"SELECT {DOCUMENT}, checksum FROM document d WHERE {PUBLISHED} AND text_hash BETWEEN ? AND ? ORDER BY id"
        return [
            self._document(_checked(row)) for row in self.rows(sql, beginning, f"{beginning}g")
        ]  # "g" follows all digits

    def by_path(self, ids: Sequence[int]) -> list[int]:
        """Documents in the order of their paths' bytes, then of their members."""
        sql = "SELECT raw, member, id FROM document WHERE id IN (SELECT value FROM json_each(?))"
        found = ((self.names.here(raw), member, number) for raw, member, number in self.rows(sql, json.dumps(ids)))
        return [number for _, _, number in sorted(found)]

    def document_text(self, document: StoredDocument, start: int = 0, end: int | None = None) -> str:
        """The text of a document, or its slice [start:end] in code points."""
        end = document.length if end is None else min(end, document.length)
        first, last = start // PART, max(end - 1, start) // PART
        sql = "SELECT part, body FROM text WHERE document_id = ? AND part BETWEEN ? AND ? ORDER BY part"
        parts = [
            unseal(body, "text", document.id, part).decode() for part, body in self.rows(sql, document.id, first, last)
        ]
        text = "".join(parts)[start - first * PART : end - first * PART]
        if len(text) != max(end - start, 0):
            raise damaged(f"the text of {document.path}")
        return text

    def passages_of(self, document: StoredDocument) -> tuple[Passage, ...]:
        """Where a document's passages stand, in order."""
        sql = "SELECT id, document_id, place, checksum FROM passage WHERE document_id = ? ORDER BY id"
        return tuple(self._place(*row)[1] for row in self.rows(sql, document.id))

    def extracted(self, document: StoredDocument) -> Extracted:
        """The document as it was when it was read.

        Raises IndexMismatch where an earlier version stored it, which did not keep headings and page starts.
        """
        structure = self.structure(document.id)
        if structure is None:
            raise IndexMismatch(
                f"an earlier version of kosearch indexed {document.path}, and did not keep its headings and pages",
                "make the other index from the files: kosearch index --index NAME --model MODEL PATH",
            )
        headings, pages = structure
        return Extracted(
            text=self.document_text(document),
            kind=document.kind,
            title=document.title,
            member=document.member,
            headings=headings,
            pages=pages,
            metadata=document.metadata,
            ocr=self._recognised(document.id),
        )

    def structure(self, document_id: int) -> tuple[tuple[Heading, ...], tuple[PageStart, ...]] | None:
        """A document's headings and page starts; None where an earlier version stored it, which did not keep them."""
        headings, pages, *_ = self._structure(document_id) or (None, None)
        if headings is None or pages is None:
            return None
        return tuple(Heading(*one) for one in headings), tuple(PageStart(*one) for one in pages)

    def _recognised(self, document_id: int) -> tuple[OcrSpan, ...]:
        """The parts of a document that were read in pictures."""
        _, _, *later = self._structure(document_id) or ([], [])
        return tuple(OcrSpan(*one) for one in (later[0] if later else ()))

    def _structure(self, document_id: int) -> list[Any] | None:
        sql = "SELECT body FROM text WHERE document_id = ? AND part = ?"
        row = self.connection.execute(sql, (document_id, STRUCTURE)).fetchone()
        found: list[Any] | None = json.loads(unseal(row[0], "structure", document_id, STRUCTURE)) if row else None
        return found

    def files(self) -> Iterator[tuple[int, str, FileState]]:
        """Every file that a run has looked at, with its row's number and its path for people."""
        return self._files("TRUE")

    def file_of(self, document_id: int) -> FileState | None:
        """The file of a document, as it was when a run last looked at it; None where the document is to leave."""
        which = "file.id = (SELECT file_id FROM document WHERE id = ? AND retired = 0)"
        return next((state for _, _, state in self._files(which, document_id)), None)

    def stored_file(self, number: int, path: str, state: FileState) -> StoredFile:
        """All that there is of a file, published or not yet."""
        documents = [self._document(row) for row in self._document_rows(f"{NEXT} AND file_id = {number}")]
        partial = self.rows("SELECT reason, detail, member FROM problem WHERE file_id = ? AND NOT whole", number)
        return StoredFile(
            path,
            state,
            next(((one.size, one.mtime_ns) for one in documents), (state.size, state.mtime_ns)),
            tuple(map(self.extracted, documents)),
            tuple(Skipped(path, Reason(reason), detail, member) for reason, detail, member in partial),
        )

    def stored(self, ids: Sequence[int]) -> list[StoredPassage]:
        """Published passages with their text and documents, in the order asked for."""
        found = {
            row[0]: row
            for row in self.rows(
                "SELECT id, document_id, place, checksum FROM passage WHERE id IN (SELECT value FROM json_each(?))",
                json.dumps(ids),
            )
        }
        documents = {one.id: one for one in self.documents_of(sorted({row[1] for row in found.values()}))}
        passages = []
        for number in ids:
            row = found.get(number)
            if row is None or row[1] not in documents:
                raise damaged(f"passage {number}")
            document = documents[row[1]]
            ordinal, passage = self._place(*row)
            text = self.document_text(document, passage.start, passage.end)
            passages.append(StoredPassage(number, ordinal, passage, text, document))
        return passages

    def unanalysed(self, document: StoredDocument) -> UnanalysedDocument:
        """What it takes to make the terms of a document, published or not yet, anew."""
        sql = "SELECT id, document_id, place, checksum FROM passage WHERE document_id = ? ORDER BY id"
        passages = [(row[0], self._place(*row)[1]) for row in self.rows(sql, document.id)]
        text = self.document_text(document)
        sql = "SELECT f.root FROM document d JOIN file f ON f.id = d.file_id WHERE d.id = ?"
        (root,) = self.connection.execute(sql, (document.id,)).fetchone() or (b"",)
        return UnanalysedDocument.of(document.id, document.title, document.path, document.member, root, passages, text)

    def owners(self, ids: Sequence[int]) -> dict[int, int]:
        """Passage id → document id."""
        sql = "SELECT id, document_id, place, checksum FROM passage WHERE id IN (SELECT value FROM json_each(?))"
        found = {}
        for number, document_id, place, check in self.rows(sql, json.dumps(ids)):
            _checked_place(number, document_id, place, check)
            found[number] = document_id
        return found

    def vectors(self, ids: Sequence[int]) -> Vectors:
        """The vectors of passages, (n, d), in the order asked for."""
        return decode_vectors(self._blobs("vector", ids), self.identity.dimensions, self.identity.storage)

    def terms(self, ids: Sequence[int]) -> list[Mapping[str, list[str]]]:
        """The terms of passages by field, in the order asked for."""
        fields = self.identity.fields
        return [
            {field: line.split(" ") if line else [] for field, line in zip(fields, decode_lines(blob), strict=True)}
            for blob in self._blobs("terms", ids)
        ]

    def lines(self, ids: Sequence[int]) -> list[bytes]:
        """The same as bytes, a line a field."""
        return list(map(encoded_lines, self._blobs("terms", ids)))

    def scan(self, column: str, which: str, *, anew: bool = False) -> Iterator[tuple[Ids, Ids, list[bytes]]]:
        """Blobs of passages (`column`: vector or terms) in ascending order: passage ids, document ids, blobs.

        `anew` takes the terms by new rules, which wait for their generation.

        A document's passages are written right after it, so both kinds of id ascend together, and the order
        asked for is the order in which the rows are met: nothing is sorted.
        """
        missing = self.count_passages(which)
        source = "CROSS JOIN new_terms n ON n.passage_id = p.id" if anew else ""
        cursor = self.connection.execute(
            f"SELECT p.id, d.id, {'n' if anew else 'p'}.{column} FROM document d CROSS JOIN passage p"
            f" ON p.document_id = d.id {source} WHERE {which} ORDER BY d.id, p.id"
        )
        while rows := cursor.fetchmany(ROWS):
            ids = np.array([row[0] for row in rows], dtype=np.int64)
            documents = np.array([row[1] for row in rows], dtype=np.int64)
            yield ids, documents, [unseal(blob, column, number) for number, _, blob in rows]
            missing -= len(rows)
        if missing:
            raise damaged("the table of passages")

    def passage_ids(self, which: str) -> Ids:
        """The ids of passages, ascending."""
        sql = (
            "SELECT p.id FROM document d CROSS JOIN passage p ON p.document_id = d.id"
            f" WHERE {which} ORDER BY d.id, p.id"
        )
        return np.fromiter((number for (number,) in self.rows(sql)), dtype=np.int64)

    def count_passages(self, which: str) -> int:
        """How many passages there are."""
        return int(self.connection.execute(f"SELECT total(passages) FROM document d WHERE {which}").fetchone()[0])

    def count_documents(self, which: str) -> int:
        """How many documents there are."""
        return int(self.connection.execute(f"SELECT count(*) FROM document d WHERE {which}").fetchone()[0])

    def changed(self) -> bool:
        """Whether anything was written that readers do not see yet."""
        sql = (
            f"SELECT EXISTS (SELECT 1 FROM document d WHERE {PENDING}) OR EXISTS (SELECT 1 FROM document d"
            f" WHERE {RETIRED}) OR EXISTS (SELECT 1 FROM file WHERE moved = 1)"
        )
        return bool(self.connection.execute(sql).fetchone()[0])

    def statistics(
        self, state: State, terms: Mapping[str, Sequence[str]], known: MutableMapping[str, int]
    ) -> Statistics:
        """Exact counts for the terms of a question, by field. `known` are counts of this generation; it gets these."""
        names = {
            f"{self.identity.fields.index(field)} {term}": (field, term)
            for field, wanted in terms.items()
            for term in wanted
        }
        buckets = {name: bucket(name) for name in names if name not in known}
        rows = self.encoded_counts(set(buckets.values()))
        known.update((name, count_of(rows[number], name)) for name, number in buckets.items())
        frequencies: dict[str, dict[str, int]] = {field: {} for field in terms}
        for name, (field, term) in names.items():
            frequencies[field][term] = known[name]
        return Statistics(state.passages, state.totals, frequencies)

    def counts(self, number: int) -> dict[str, int]:
        """One row of the table of term counts: field number, blank, term → passages."""
        return decode_counts(self.encoded_counts({number})[number])

    def encoded_counts(self, numbers: Collection[int]) -> dict[int, bytes]:
        """These rows by their numbers, as `encode_counts` made them."""
        sql = "SELECT bucket, counts FROM term WHERE bucket IN (SELECT value FROM json_each(?))"
        found = dict(self.rows(sql, json.dumps(list(numbers)))) if numbers else {}
        for number in numbers:
            if number not in found:
                raise damaged(f"row {number} of its term counts")
        return {number: unseal(row, "term counts", number) for number, row in found.items()}

    def vocabulary(self, fields: Sequence[str]) -> list[Mapping[str, int]]:
        """All terms of fields, and how many passages have each."""
        numbers = {str(self.identity.fields.index(field)): place for place, field in enumerate(fields)}
        found: list[dict[str, int]] = [{} for _ in fields]
        for number in range(BUCKETS):
            for name, count in self.counts(number).items():
                field, _, term = name.partition(" ")
                if field in numbers:
                    found[numbers[field]][term] = count
        return list(found)

    def verify(self, document_id: int) -> None:
        """See that everything of a document, published or not, is what was written. Raises IndexDamaged."""
        sql = f"SELECT {DOCUMENT}, checksum FROM document d WHERE id = ?"
        document = self._document(_checked(next(self.rows(sql, document_id))))
        text = self.document_text(document)
        if hashlib.sha256(text.encode()).hexdigest() != document.text_hash:
            raise damaged(f"the text of {document.path}")
        sql = "SELECT body FROM text WHERE document_id = ? AND part = ?"
        for (body,) in self.rows(sql, document_id, STRUCTURE):
            unseal(body, "structure", document_id, STRUCTURE)
        sql = "SELECT id, document_id, place, checksum, vector, terms FROM passage WHERE document_id = ? ORDER BY id"
        ordinals = []
        for number, owner, place, check, vector, terms in self.rows(sql, document_id):
            ordinal, passage = self._place(number, owner, place, check)
            decode_vectors([unseal(vector, "vector", number)], self.identity.dimensions, self.identity.storage)
            decode_lines(unseal(terms, "terms", number))
            if not 0 <= passage.start <= passage.end <= document.length:
                raise damaged(f"passage {number}")
            ordinals.append(ordinal)
        if ordinals != list(range(document.passages)):
            raise damaged(f"the passages of {document.path}")

    def roots(self) -> dict[bytes, Globs]:
        """The roots that `index` without a path goes through, and the globs they were indexed with."""
        found = sorted((self.names.here(raw), globs) for raw, globs in self.stored_roots())
        return {root: {name: tuple(globs) for name, globs in json.loads(value).items()} for root, value in found}

    def stored_roots(self) -> Iterator[tuple[bytes, str]]:
        """The roots' names as they are stored, and their globs as JSON. Raises IndexDamaged."""
        for raw, globs in self.rows("SELECT raw, globs FROM root"):
            if not isinstance(raw, bytes) or not isinstance(globs, str):
                raise damaged("the name of an indexed folder")
            yield raw, globs

    def problems(self) -> list[Skipped]:
        """Files and parts of files that are not searchable, by path."""
        found = [
            Skipped(self.names.shown(raw, path), Reason(reason), detail, member)
            for raw, path, reason, detail, member in self.rows(
                "SELECT raw, path, reason, detail, member FROM problem JOIN file ON file.id = file_id"
                " ORDER BY problem.rowid"
            )
        ]
        return sorted(found, key=lambda one: one.path)

    def _ocr(self) -> dict[str, int]:
        """What came of the pictures in files."""
        if format_of(self.connection) < WORK_STATE:
            return {}
        waiting, unread = "reader LIKE '%ocr/waiting%'", "(reader LIKE '%ocr/none%' OR reader LIKE '%ocr/off%')"
        sql = f"SELECT count(*), sum({waiting}), sum({unread}) FROM file WHERE reader LIKE '%ocr/%'"
        files, waits, not_read = self.connection.execute(sql).fetchone()
        if not files:
            return {}
        pictures, unsure = 0, 0
        if self.connection.execute(HAS_RECOGNISED).fetchone():
            sure = "json_type(body) = 'object' AND json_extract(body, '$.confidence') < 0.7"
            sql = f"SELECT count(*), coalesce(sum({sure}), 0) FROM recognised"
            pictures, unsure = self.connection.execute(sql).fetchone()
        counts = {"waiting": waits, "unread": not_read, "pictures": pictures, "unsure": unsure}
        return {"read": files - waits - not_read, **counts}

    def recognised(self, picture: bytes) -> str | None:
        """What an engine has found in a picture, by the hash of its pixels; None where nothing sound is kept."""
        if self.connection.execute(HAS_RECOGNISED).fetchone():
            sql = "SELECT engine, body, checksum FROM recognised WHERE picture = ?"
            for engine, body, check in self.rows(sql, picture):
                return str(body) if check == checksum(picture, engine, body) else None
        return None

    def status(self, state: State, size: int) -> Status:
        """What the index holds; `size` is its bytes on disk."""
        (files,) = self.connection.execute("SELECT count(*) FROM file").fetchone()
        pending = self.count_documents(PENDING)
        problems = dict(self.rows("SELECT reason, count(*) FROM problem GROUP BY reason ORDER BY reason"))
        run = read_meta(self.connection, "run")
        return Status(
            self.identity,
            state.generation,
            state.documents,
            state.passages,
            files,
            pending,
            size,
            run,
            problems,
            self._ocr(),
        )

    def _place(self, number: int, document_id: int, place: str, check: int) -> tuple[int, Passage]:
        """A passage's ordinal and position."""
        ordinal, start, end, line_start, line_end, page, label, headings, *later = json.loads(
            _checked_place(number, document_id, place, check)
        )
        path = tuple(self._heading(document_id, one) for one in headings)
        return ordinal, Passage(start, end, line_start, line_end, page, label, path, *later)

    def _heading(self, document_id: int, heading: int | str) -> str:
        """A heading by its number in its document; passages of the first format have the heading itself."""
        if isinstance(heading, str):
            return heading
        sql = "SELECT title FROM heading WHERE document_id = ? AND number = ?"
        row = self.connection.execute(sql, (document_id, heading)).fetchone()
        if row is None:
            raise damaged(f"heading {heading} of document {document_id}")
        return unseal(row[0], "heading", document_id, heading).decode()

    def _files(self, which: str, *parameters: int) -> Iterator[tuple[int, str, FileState]]:
        later = "ctime_ns, inode, reader, limits" if format_of(self.connection) >= WORK_STATE else "0, 0, '', ''"
        sql = (
            f"SELECT id, path, raw, root, size, mtime_ns, hash, reason, detail, documents, {later}"
            f" FROM file LEFT JOIN problem ON file_id = file.id AND whole WHERE {which} ORDER BY file.id"
        )
        shared: dict[Any, Any] = {}  # roots, readers and limits: each is one object, however many files have it
        for row in self.rows(sql, *parameters):
            number, path, path_bytes, root, size, mtime_ns, content_hash, reason, detail, documents, *rest = row
            ctime_ns, inode, reader, limits = rest
            state = FileState(
                self.names.here(path_bytes),
                shared.setdefault(root, self.names.here(root)),
                integer_of(size),
                integer_of(mtime_ns),
                content_hash,
                Reason(reason) if reason else None,
                detail or "",
                documents,
                integer_of(ctime_ns),
                integer_of(inode),
                shared.setdefault(reader, reader),
                shared.setdefault(limits, limits),
            )
            yield number, self.names.shown(path_bytes, path), state

    def _document_rows(self, which: str) -> Iterator[Sequence[Any]]:
        return map(
            _checked,
            self.rows(f"SELECT {DOCUMENT}, checksum FROM document d WHERE {which} ORDER BY id"),
        )

    def _document(self, row: Sequence[Any]) -> StoredDocument:
        number, raw, path, member, kind, title, metadata, text_hash, length, passages, size, mtime_ns = row[:12]
        return StoredDocument(
            number,
            self.names.here(raw),
            self.names.shown(raw, path),
            member,
            kind,
            title,
            json.loads(metadata),
            text_hash,
            length,
            passages,
            integer_of(size),
            integer_of(mtime_ns),
        )

    def _blobs(self, column: str, ids: Sequence[int]) -> list[bytes]:
        sql = f"SELECT id, {column} FROM passage WHERE id IN (SELECT value FROM json_each(?))"
        found = {number: unseal(blob, column, number) for number, blob in self.rows(sql, json.dumps(list(ids)))}
        if len(found) != len(set(ids)):
            raise damaged(f"passage {next(number for number in ids if number not in found)}")
        return [found[number] for number in ids]


def _checked_place(number: int, document_id: int, place: str, check: int) -> str:
    """A passage's row without its blobs."""
    if check != checksum(number, document_id, place):
        raise damaged(f"passage {number}")
    return place


def _checked(row: Sequence[Any]) -> Sequence[Any]:
    """A row of the columns DOCUMENT and its checksum."""
    if row[-1] != checksum(*row[:-1]):
        raise damaged(f"document {row[0]}")
    return row


# Whose an index is: made by this user on this machine, or somebody else's.
#
# What an index says decides where questions go and which folders are read. So an index carries a seal over its own
# number, its model with the endpoint, and its roots: HMAC-SHA256 by a secret that lies outside of it. An index without
# the seal that this machine would give it was made elsewhere, or changed by somebody else.

OWNER = "owner"
COPIES = ("owner, again",)
"""Where an index keeps its number and its seal_owner: twice, for a flipped bit must not make it somebody else's."""


def is_sealed(tables: Tables, key: bytes) -> bool:
    """Whether the index has the seal_owner that this secret gives it as it is."""
    owner = _owner(tables)
    return owner is not None and hmac.compare_digest(owner["seal_owner"], _owner_seal(tables, key, owner["id"]))


def seal_owner(tables: Tables, key: bytes) -> None:
    """Give the index the seal_owner of this secret, for as it is now."""
    with transaction(tables.connection):
        number = (_owner(tables) or {"id": os.urandom(16).hex()})["id"]
        _write_owner(tables, {"id": number, "seal_owner": _owner_seal(tables, key, number)})


def mend_owner(tables: Tables) -> None:
    """Make the damaged one of both records anew from the whole one; where neither is whole, the index is nobody's."""
    _write_owner(tables, _owner(tables))


def _owner(tables: Tables) -> dict[str, str] | None:
    """The number and the seal_owner, from whichever record of them is whole."""
    for name in (OWNER, *COPIES):
        with suppress(IndexDamaged):
            value = read_optional_meta(tables.connection, name)
            if isinstance(value, dict) and all(isinstance(value.get(key), str) for key in ("id", "seal_owner")):
                return value
    return None


def _write_owner(tables: Tables, owner: dict[str, str] | None) -> None:
    for name in (OWNER, *COPIES):
        write_meta(tables.connection, name, owner)


def _owner_seal(tables: Tables, key: bytes, number: str) -> str:
    identity = tables.identity
    roots = sorted(raw.hex() for raw, _ in tables.stored_roots())
    sealed = json.dumps([number, identity.model, identity.endpoint, roots], sort_keys=True)
    return hmac.digest(key, sealed.encode(), "sha256").hex()
