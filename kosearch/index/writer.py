"""What the one writer of an index does to the database, document by document, before it is published.

New documents wait as pending, replaced and removed ones are marked retired: readers go on seeing what the
last generation had, until `publish` ends the one and begins the other in a single commit.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kosearch.index import ownership, publishing
from kosearch.index.codec import (
    checksum,
    decode_vectors,
    encode_terms,
    encode_vectors,
    seal,
    storable,
    storable_integer,
    unseal,
)
from kosearch.index.reanalysis import Reanalysis
from kosearch.index.records import FileState, Globs, NewDocument
from kosearch.index.schema import read_meta, transaction, write_meta
from kosearch.index.store import DOCUMENT, PART, STRUCTURE, Store
from kosearch.records import MAX_TITLE, Reason, Skipped, SourceFile

LEAVES = frozenset({Reason.EMPTY, Reason.VANISHED})
"""With these a file's documents leave. With any other reason the file may be back tomorrow: they stay."""
_VARIABLES = 500
_SEEN = "path, root, size, mtime_ns, ctime_ns, inode"
"""What a run sees of a file without reading it."""


class Writer:
    """The writer of an index, while it holds the lock."""

    def __init__(self, directory: Path, store: Store, secret: bytes | None = None) -> None:
        """With the user's secret an index that is this user's own stays so when its roots change."""
        self._directory = directory
        self._store = store
        self._secret = secret if secret is not None and ownership.is_sealed(store, secret) else None
        self._connection = store.connection

    def transaction(self) -> AbstractContextManager[None]:
        """All that is written inside is committed together, or not at all. May be nested."""
        return transaction(self._connection)

    def files(self) -> dict[bytes, FileState]:
        """Every file that a run has looked at, by its raw path."""
        return {state.raw: state for _, _, state in self._store.files()}

    def vectors(self, input_hashes: Sequence[bytes]) -> dict[bytes, NDArray[np.float32]]:
        """Vectors (d,) that are stored for these inputs, published, pending or retired."""
        wanted = list(dict.fromkeys(input_hashes))
        found: dict[bytes, bytes] = {}
        for start in range(0, len(wanted), _VARIABLES):
            part = wanted[start : start + _VARIABLES]
            marks = ",".join("?" * len(part))
            sql = f"SELECT input_hash, vector, id FROM passage WHERE input_hash IN ({marks})"
            found |= {key: unseal(blob, "vector", number) for key, blob, number in self._store.rows(sql, *part)}
        vectors = decode_vectors(list(found.values()), self._store.identity.dimensions, self._store.identity.storage)
        return dict(zip(found, vectors, strict=True))

    def put(
        self,
        source: SourceFile,
        content_hash: str,
        documents: Sequence[NewDocument],
        skipped: Sequence[Skipped] = (),
        *,
        reader: str = "",
    ) -> None:
        """Replace what the file had by these documents, and note the parts that gave none.

        `reader` is what read the content, with its version.
        """
        with self.transaction():
            number = self._file(source, content_hash, reader)
            self._retire(number)
            for document in documents:
                self._insert(number, source, document)
            self._connection.execute("UPDATE file SET documents = ? WHERE id = ?", (len(documents), number))
            self._note(number, skipped, whole=False)

    def skip(
        self, source: SourceFile, skipped: Skipped, content_hash: str = "", *, reader: str = "", limits: str = ""
    ) -> None:
        """Note that the file as it is now cannot be searched.

        What it had stays searchable, unless the file is empty or gone. `reader` is what refused the content, with
        its version, and `limits` those under which reading failed: with others it may be tried again.
        """
        with self.transaction():
            number = self._file(source, content_hash, reader, limits)
            if skipped.reason in LEAVES:
                self._retire(number)
            self._note(number, [skipped], whole=True)

    def touch(self, source: SourceFile) -> None:
        """The file has the content that the index knows, and perhaps other times or another root."""
        self._relocate(source.raw, source)

    def move(self, old_raw: bytes, source: SourceFile) -> None:
        """A file that is known has another name now, and all that it had."""
        with self.transaction():
            known = self._connection.execute("SELECT 1 FROM file WHERE raw = ?", (old_raw,)).fetchone()
            if known and old_raw != source.raw:
                self.remove([source.raw])
            self._relocate(old_raw, source)

    def remove(self, raws: Sequence[bytes]) -> int:
        """Forget files and their documents; returns how many there were."""
        removed = 0
        with self.transaction():
            for raw in raws:
                row = self._connection.execute("SELECT id FROM file WHERE raw = ?", (raw,)).fetchone()
                if row:
                    self._retire(row[0])
                    self._connection.execute("DELETE FROM file WHERE id = ?", row)
                    removed += 1
        return removed

    def roots(self) -> dict[bytes, Globs]:
        """The roots that `index` without a path goes through, and the globs they were indexed with."""
        return self._store.roots()

    def add_root(self, raw: bytes, globs: Globs | None = None) -> None:
        """Remember a root, and its globs where some are given; without, those it had stay."""
        with self.transaction():
            verb = "INSERT OR IGNORE" if globs is None else "INSERT OR REPLACE"
            self._connection.execute(f"{verb} INTO root VALUES (?, ?)", (raw, json.dumps(globs or {})))
            self._seal()

    def forget_root(self, raw: bytes) -> None:
        """Forget a root; its files stay until they are removed."""
        with self.transaction():
            self._connection.execute("DELETE FROM root WHERE raw = ?", (raw,))
            self._seal()

    def last_run(self) -> Mapping[str, Any] | None:
        """What `record_run` kept."""
        run: Mapping[str, Any] | None = read_meta(self._connection, "run")
        return run

    def record_run(self, run: Mapping[str, Any]) -> None:
        """Keep what a run did, for `status`."""
        with self.transaction():
            write_meta(self._connection, "run", run)

    def reanalysis(self, rules: str, fields: tuple[str, ...]) -> Reanalysis:
        """Begin to give the passages terms by other rules, or go on with it."""
        return Reanalysis(self._directory, self._store, rules, fields)

    def publish(self) -> int:
        """Make all that was written searchable, in one commit; returns the generation that answers now.

        Does nothing where nothing changed and the derived files are whole. Raises IndexStateError where the
        disk is full: what was written stays, and the next run publishes it.
        """
        return publishing.publish(self._directory, self._store)

    def _seal(self) -> None:
        if self._secret is not None:
            ownership.seal(self._store, self._secret)

    def _file(self, source: SourceFile, content_hash: str, reader: str, limits: str = "") -> int:
        """The file's row, brought up to date, its problems forgotten."""
        values = (*_seen(source), content_hash, reader, limits)
        row = self._connection.execute(
            f"INSERT INTO file (raw, {_SEEN}, hash, reader, limits) VALUES ({','.join('?' * 10)})"
            f" ON CONFLICT (raw) DO UPDATE SET ({_SEEN}, hash, reader, limits) = ({','.join('?' * 9)})"
            " RETURNING id",
            (source.raw, *values, *values),
        ).fetchone()
        self._connection.execute("DELETE FROM problem WHERE file_id = ?", row)
        return int(row[0])

    def _note(self, file_id: int, problems: Sequence[Skipped], *, whole: bool) -> None:
        """Keep the problems of a whole file, or of parts of it."""
        self._connection.executemany(
            "INSERT INTO problem VALUES (?, ?, ?, ?, ?)",
            [(file_id, whole, storable(one.member), one.reason, storable(one.detail)) for one in problems],
        )

    def _relocate(self, raw: bytes, source: SourceFile) -> None:
        """Readers see a document's name, size and time: only where those change is there something to publish."""
        path, root, size, mtime_ns, ctime_ns, inode = _seen(source)
        with self.transaction():
            self._connection.execute(
                f"UPDATE file SET moved = moved OR (raw, path, size, mtime_ns) <> (?, ?, ?, ?), (raw, {_SEEN})"
                " = (?, ?, ?, ?, ?, ?, ?) WHERE raw = ?",
                (source.raw, path, size, mtime_ns, source.raw, path, root, size, mtime_ns, ctime_ns, inode, raw),
            )

    def _retire(self, file_id: int) -> None:
        """Published documents wait for the next generation to leave; pending ones were never seen."""
        self._connection.execute("DELETE FROM document WHERE file_id = ? AND published = 0", (file_id,))
        self._connection.execute(
            "UPDATE document SET retired = 1, checksum = row_checksum"
            f"({DOCUMENT.replace('retired', '1')}) WHERE file_id = ? AND retired = 0",
            (file_id,),
        )
        self._connection.execute("UPDATE file SET documents = 0 WHERE id = ?", (file_id,))

    def _insert(self, file_id: int, source: SourceFile, document: NewDocument) -> None:
        extracted = document.extracted
        text = storable(extracted.text)
        metadata = {key: storable(value) for key, value in extracted.metadata.items()}
        values: tuple[Any, ...] = (
            source.raw,
            source.path,
            storable(extracted.member),
            extracted.kind,
            _title(extracted.title),
            json.dumps(metadata, ensure_ascii=False),
            hashlib.sha256(text.encode()).hexdigest(),
            len(text),
            len(document.passages),
            storable_integer(source.size),
            storable_integer(source.mtime_ns),
        )
        (number,) = self._connection.execute(
            "INSERT INTO document (file_id, raw, path, member, kind, title, metadata, text_hash, length,"
            f" passages, size, mtime_ns, checksum) VALUES ({','.join('?' * 13)}) RETURNING id",
            (file_id, *values, 0),
        ).fetchone()
        self._connection.execute(
            "UPDATE document SET checksum = ? WHERE id = ?", (checksum(number, *values, 0, 0), number)
        )
        self._connection.executemany(
            "INSERT INTO text VALUES (?, ?, ?)",
            (
                (number, part, seal(text[part * PART : (part + 1) * PART].encode(), number, part))
                for part in range(-(-len(text) // PART))
            ),
        )
        headings = [(one.start, one.level, _title(one.title)) for one in extracted.headings]
        pages = [(one.start, one.number, storable(one.label)) for one in extracted.pages]
        structure = json.dumps([headings, pages], ensure_ascii=False).encode()
        self._connection.execute(
            "INSERT INTO text VALUES (?, ?, ?)", (number, STRUCTURE, seal(structure, number, STRUCTURE))
        )
        self._insert_passages(number, document)

    def _insert_headings(self, document_id: int, document: NewDocument) -> dict[str, int]:
        """Store the headings above the document's passages, each once: heading → its number."""
        found = (heading for one in document.passages for heading in one.passage.headings)
        numbers = {heading: number for number, heading in enumerate(dict.fromkeys(found))}
        self._connection.executemany(
            "INSERT INTO heading VALUES (?, ?, ?)",
            (
                (document_id, number, seal(_title(heading).encode(), document_id, number))
                for heading, number in numbers.items()
            ),
        )
        return numbers

    def _insert_passages(self, document_id: int, document: NewDocument) -> None:
        if not document.passages:
            return
        (last,) = self._connection.execute("SELECT seq FROM sqlite_sequence WHERE name = 'passage'").fetchone() or (0,)
        identity = self._store.identity
        stacked = np.stack([one.vector for one in document.passages])
        if stacked.shape[1:] != (identity.dimensions,):
            raise ValueError(f"a vector has {stacked.shape[1:]} dimensions, the index has {identity.dimensions}")
        if not np.isfinite(stacked).all():
            raise ValueError("a vector is not finite")
        vectors = encode_vectors(stacked, identity.storage)
        numbers = self._insert_headings(document_id, document)
        rows = []
        for ordinal, (one, vector) in enumerate(zip(document.passages, vectors, strict=True)):
            number = last + 1 + ordinal
            passage = one.passage
            place = json.dumps(
                [
                    ordinal,
                    passage.start,
                    passage.end,
                    passage.line_start,
                    passage.line_end,
                    passage.page,
                    storable(passage.page_label),
                    [numbers[heading] for heading in passage.headings],
                    passage.page_end,
                ],
                ensure_ascii=False,
            )
            terms = encode_terms(identity.fields, one.terms)
            rows.append(
                (
                    number,
                    document_id,
                    place,
                    checksum(number, document_id, place),
                    one.input_hash,
                    seal(vector, number),
                    seal(terms, number),
                )
            )
        self._connection.executemany("INSERT INTO passage VALUES (?, ?, ?, ?, ?, ?, ?)", rows)


def _seen(source: SourceFile) -> tuple[str | bytes | int, ...]:
    """The values of the columns _SEEN."""
    integers = (source.size, source.mtime_ns, source.ctime_ns, source.inode)
    return (source.path, source.root, *map(storable_integer, integers))


def _title(text: str) -> str:
    """A title or heading as it is stored: however long a document says it is, it stands in every hit."""
    return storable(text)[:MAX_TITLE]
