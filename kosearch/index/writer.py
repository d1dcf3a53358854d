"""What the one writer of an index does to the database, document by document, before it is published.

New documents wait as pending, replaced and removed ones are marked retired: readers go on seeing what the
last generation had, until `publish` ends the one and begins the other in a single commit.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import stat
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, suppress
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kosearch.errors import IndexStateError, ResourcesError
from kosearch.index import files
from kosearch.index.contract import FileState, Globs, Identity, Ids, NewDocument, Terms, UnanalysedDocument, Vectors
from kosearch.index.database import (
    BUCKETS,
    BUSY_SECONDS,
    changed_counts,
    checksum,
    damaged,
    encode_counts,
    read_meta,
    read_optional_meta,
    seal,
    storable,
    storable_integer,
    transaction,
    unseal,
    write_identity,
    write_meta,
)
from kosearch.index.files import CODES, GRAPH, Damaged, Manifest, step
from kosearch.index.lexical import FOLDER, Counts, Lexical, decode_lines, encode_terms, write_lexical
from kosearch.index.names import Names
from kosearch.index.tables import (
    DOCUMENT,
    HAS_RECOGNISED,
    MOVED,
    NEXT,
    PART,
    PENDING,
    PUBLISHED,
    RETIRED,
    ROWS,
    STRUCTURE,
    State,
    Tables,
    is_sealed,
    seal_owner,
)
from kosearch.index.vectors import Added, Dense, decode_vectors, encode_vectors, is_wanted, write_graph, write_vectors
from kosearch.records import MAX_TITLE, Reason, Skipped, SourceFile
from kosearch.system import shortage

LEAVES = frozenset({Reason.EMPTY, Reason.VANISHED})
"""With these a file's documents leave. With any other reason the file may be back tomorrow: they stay."""
_VARIABLES = 500
_SEEN = "path, root, size, mtime_ns, ctime_ns, inode"
"""What a run sees of a file without reading it."""


_RECOGNISED = (
    "CREATE TABLE IF NOT EXISTS recognised (picture BLOB PRIMARY KEY, engine TEXT NOT NULL, body TEXT NOT NULL,"
    " checksum INTEGER NOT NULL) WITHOUT ROWID"
)
"""A cache, and no part of the format: indexes without scans have no such table, and no answer depends on it."""


class SqliteWriter:
    """The writer of an index, while it holds the lock."""

    def __init__(self, directory: Path, tables: Tables, secret: bytes | None = None, ann: str = "auto") -> None:
        """With the user's secret an index that is this user's own stays so when its roots change.

        `ann` is the store's.
        """
        self._directory = directory
        self._ann = ann
        self._tables = tables
        self._secret = secret if secret is not None and is_sealed(tables, secret) else None
        self._connection = tables.connection
        self._names = tables.names

    def transaction(self) -> AbstractContextManager[None]:
        """All that is written inside is committed together, or not at all. May be nested."""
        return transaction(self._connection)

    def files(self) -> dict[bytes, FileState]:
        """Every file that a run has looked at, by its raw path."""
        return {state.path_bytes: state for _, _, state in self._tables.files()}

    def vectors(self, input_hashes: Sequence[bytes]) -> dict[bytes, NDArray[np.float32]]:
        """Vectors (d,) that are stored for these inputs, published, pending or retired."""
        wanted = list(dict.fromkeys(input_hashes))
        found: dict[bytes, bytes] = {}
        for start in range(0, len(wanted), _VARIABLES):
            part = wanted[start : start + _VARIABLES]
            marks = ",".join("?" * len(part))
            sql = f"SELECT input_hash, vector, id FROM passage WHERE input_hash IN ({marks})"
            found |= {key: unseal(blob, "vector", number) for key, blob, number in self._tables.rows(sql, *part)}
        vectors = decode_vectors(list(found.values()), self._tables.identity.dimensions, self._tables.identity.storage)
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
        source = self._names.of(source)
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
        source = self._names.of(source)
        with self.transaction():
            number = self._file(source, content_hash, reader, limits)
            if skipped.reason in LEAVES:
                self._retire(number)
            self._note(number, [skipped], whole=True)

    def touch(self, source: SourceFile) -> None:
        """The file has the content that the index knows, and perhaps other times or another root."""
        source = self._names.of(source)
        self._relocate(source.path_bytes, source)

    def move(self, old_raw: bytes, source: SourceFile) -> None:
        """A file that is known has another name now, and all that it had."""
        old, source = self._names.stored(old_raw), self._names.of(source)
        with self.transaction():
            known = self._connection.execute("SELECT 1 FROM file WHERE raw = ?", (old,)).fetchone()
            if known and old != source.path_bytes:
                self._remove(source.path_bytes)
            self._relocate(old, source)

    def remove(self, raws: Sequence[bytes]) -> int:
        """Forget files and their documents; returns how many there were."""
        with self.transaction():
            return sum(self._remove(self._names.stored(one)) for one in raws)

    def recognised(self, engine: str) -> dict[bytes, str]:
        """What this engine has found in pictures, by the hash of their pixels; what is damaged is not there."""
        if not self._connection.execute(HAS_RECOGNISED).fetchone():
            return {}
        rows = self._tables.rows("SELECT picture, body, checksum FROM recognised WHERE engine = ?", engine)
        return {picture: body for picture, body, check in rows if check == checksum(picture, engine, body)}

    def keep_recognised(self, engine: str, picture: bytes, found: str) -> None:
        """Keep what an engine has found in a picture; what others found is dropped."""
        with self.transaction():
            self._connection.execute(_RECOGNISED)
            self._connection.execute("DELETE FROM recognised WHERE engine <> ?", (engine,))
            self._connection.execute(
                "INSERT OR REPLACE INTO recognised VALUES (?, ?, ?, ?)",
                (picture, engine, found, checksum(picture, engine, found)),
            )

    def roots(self) -> dict[bytes, Globs]:
        """The roots that `index` without a path goes through, and the globs they were indexed with."""
        return self._tables.roots()

    def add_root(self, path_bytes: bytes, globs: Globs | None = None) -> None:
        """Remember a root, and its globs where some are given; without, those it had stay."""
        raw = self._names.stored(path_bytes)
        with self.transaction():
            verb = "INSERT OR IGNORE" if globs is None else "INSERT OR REPLACE"
            self._connection.execute(f"{verb} INTO root VALUES (?, ?)", (raw, json.dumps(globs or {})))
            self._seal()

    def forget_root(self, path_bytes: bytes) -> None:
        """Forget a root; its files stay until they are removed."""
        with self.transaction():
            self._connection.execute("DELETE FROM root WHERE raw = ?", (self._names.stored(path_bytes),))
            self._seal()

    def last_run(self) -> Mapping[str, Any] | None:
        """What `record_run` kept."""
        run: Mapping[str, Any] | None = read_meta(self._connection, "run")
        return run

    def record_run(self, run: Mapping[str, Any]) -> None:
        """Keep what a run did, for `status`."""
        with self.transaction():
            write_meta(self._connection, "run", run)

    def reanalysis(self, rules: str, fields: tuple[str, ...], words: tuple[str, ...] = ()) -> SqliteReanalysis:
        """Begin to give the passages terms by other rules, or go on with it; the rules' name tells the words, too."""
        return SqliteReanalysis(self._directory, self._tables, rules, fields, words, self._ann)

    def publish(self, *, graph: bool = True) -> int:
        """Make all that was written searchable, in one commit; returns the generation that answers now.

        Without `graph` that takes seconds, however many passages there are: vectors are scanned until the next time.

        Does nothing where nothing changed and the derived files are whole. Raises IndexStateError where the
        disk is full: what was written stays, and the next run publishes it.
        """
        return publish(self._directory, self._tables, ann=self._ann if graph else None)

    def _seal(self) -> None:
        if self._secret is not None:
            seal_owner(self._tables, self._secret)

    def _file(self, source: SourceFile, content_hash: str, reader: str, limits: str = "") -> int:
        """The file's row, brought up to date, its problems forgotten."""
        values = (*_seen(source), content_hash, reader, limits)
        row = self._connection.execute(
            f"INSERT INTO file (raw, {_SEEN}, hash, reader, limits) VALUES ({','.join('?' * 10)})"
            f" ON CONFLICT (raw) DO UPDATE SET ({_SEEN}, hash, reader, limits) = ({','.join('?' * 9)})"
            " RETURNING id",
            (source.path_bytes, *values, *values),
        ).fetchone()
        self._connection.execute("DELETE FROM problem WHERE file_id = ?", row)
        return int(row[0])

    def _note(self, file_id: int, problems: Sequence[Skipped], *, whole: bool) -> None:
        """Keep the problems of a whole file, or of parts of it."""
        self._connection.executemany(
            "INSERT INTO problem VALUES (?, ?, ?, ?, ?)",
            [(file_id, whole, storable(one.member), one.reason, storable(one.detail)) for one in problems],
        )

    def _relocate(self, path_bytes: bytes, source: SourceFile) -> None:
        """Readers see a document's name, size and time: only where those change is there something to publish."""
        path, root, size, mtime_ns, ctime_ns, inode = _seen(source)
        now = source.path_bytes
        with self.transaction():
            self._connection.execute(
                f"UPDATE file SET moved = moved OR (raw, path, size, mtime_ns) <> (?, ?, ?, ?), (raw, {_SEEN})"
                " = (?, ?, ?, ?, ?, ?, ?) WHERE raw = ?",
                (now, path, size, mtime_ns, now, path, root, size, mtime_ns, ctime_ns, inode, path_bytes),
            )

    def _remove(self, raw: bytes) -> bool:
        """Forget a file; whether it was known."""
        row = self._connection.execute("SELECT id FROM file WHERE raw = ?", (raw,)).fetchone()
        if row:
            self._retire(row[0])
            self._connection.execute("DELETE FROM file WHERE id = ?", row)
        return row is not None

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
            source.path_bytes,
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
        ocr = [(one.start, one.end, one.confidence) for one in extracted.ocr]
        structure = json.dumps([headings, pages, *([ocr] if ocr else [])], ensure_ascii=False).encode()
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
        identity = self._tables.identity
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
                    *([] if passage.ocr is None else [passage.ocr]),
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


# Publishing: the next generation's derived files first, then one commit that makes it the current one.
#
# Whatever happens before that commit leaves a folder that nothing names, and the next writer sweeps it away.

_AT_ONCE = 256
"""Rows of term counts in memory: a few MB of a million passages'."""
_FREE_SHARE = 0.25
"""Free pages among all of the database before they are given back to the disk."""


def publish(directory: Path, tables: Tables, anew: Identity | None = None, *, ann: str | None) -> int:
    """Make what was written since the last generation the next one; returns the current generation.

    `ann` is the store's; None leaves vectors to be scanned until the generation after it, however many there are.

    `anew` is what the index is from then on, where every passage has terms by other rules that wait for that. Else
    nothing is done where nothing changed and the derived files are whole. Raises IndexStateError where the files
    cannot be written, ResourcesError where so many may not be open, and IndexDamaged.
    """
    state = tables.state()
    old = _Old(directory, tables, state)
    if old.whole and not tables.changed() and not anew and old.suits(state.passages, ann):
        return state.generation
    _verify(tables, state)
    generation = state.generation + 1
    target = files.folder(directory, generation)
    try:
        files.remove(target)
        target.mkdir(mode=0o700)
        step("folder made")
        manifest = _build(tables, old, target, generation, anew, ann)
        _commit(tables, state, generation, manifest, anew)
        tables.identity = anew or tables.identity
    except BaseException as error:
        if tables.state().generation != generation:
            shutil.rmtree(target, ignore_errors=True)
        if isinstance(error, OSError | Damaged):
            if what_to_do := shortage(error):
                raise ResourcesError(
                    f"the files of the index in {directory} cannot be written: {error}",
                    f"{what_to_do}: nothing is lost",
                ) from error
            raise IndexStateError(
                f"the files of the index in {directory} cannot be written: {error}",
                "make room on the disk, then run `kosearch index` again: nothing that was stored is lost",
            ) from error
        raise
    step("generation committed")
    files.sweep(directory, keep=generation)
    step("old generations swept")
    _tidy(tables)
    return generation


class _Old:
    """The derived files of the current generation, as far as they are what was written."""

    def __init__(self, directory: Path, tables: Tables, state: State) -> None:
        self.directory = files.folder(directory, state.generation)
        self.dense: Dense | None = None
        self.lexical: Lexical | None = None
        self.declined = 0
        """How many passages there were when a graph of them would not have paid; true of them whatever is lost."""
        self.whole = state.generation == 0
        if self.whole:
            return
        try:
            manifest = files.read_manifest(self.directory, state.manifest)
        except Damaged:
            return
        self.declined = manifest.declined
        lost = [prefix for prefix in (GRAPH, CODES) if not manifest.whole(self.directory, prefix)]
        for prefix in lost:
            manifest = manifest.without(prefix)
        with suppress(Damaged):
            self.dense = Dense(self.directory, manifest)
        with suppress(Damaged):
            self.lexical = Lexical(self.directory, manifest, tables.identity.fields)
        self.whole = bool(not lost and self.dense and self.lexical)

    def suits(self, passages: int, ann: str | None) -> bool:
        """Whether there is a graph where the user wants one, and none where he wants none."""
        if self.dense and self.dense.manifest.graph:
            return ann != "exact"
        return ann is None or not is_wanted(passages, self.declined, ann)


def _verify(tables: Tables, state: State) -> None:
    """See that the rows whose checksums are about to be written anew are what was written.

    Raises IndexDamaged.
    """
    for which in (PENDING, RETIRED, MOVED):
        for _ in tables.documents(which):
            pass
    if tables.count_documents(PUBLISHED) != state.documents:
        raise damaged("the table of documents")


def _build(tables: Tables, old: _Old, target: Path, generation: int, anew: Identity | None, ann: str | None) -> str:
    """Write the derived files of a generation; returns the checksum of their manifest."""
    dead = tables.passage_ids(RETIRED)
    which = PENDING if old.dense else NEXT
    added = Added(tables.count_passages(which), _vectors(tables, which))
    manifest = Manifest(generation, tables.identity.dimensions, tables.identity.storage, declined=old.declined)
    manifest = write_vectors(old.dense, target, manifest, dead, added)
    step("vectors written")
    if ann:
        manifest = write_graph(old.dense, Dense(target, manifest, _as_written), ann)
    step("graph written")
    keep = old.lexical is not None and not old.lexical.worn(len(dead)) and not anew
    lines = _lines(tables, PENDING if keep else NEXT, anew=anew is not None)
    write_lexical(old.directory if keep else None, target, (anew or tables.identity).fields, dead, lines)
    step("terms written")
    linked = old.lexical.linked if keep and old.lexical else {}
    manifest = replace(manifest, files=manifest.files | files.measure_all(target, FOLDER, linked))
    checksum = files.write_manifest(target, manifest)
    step("manifest written")
    return checksum


def _as_written(_prefix: str) -> None:
    """No file that this process has just written, or linked because it was whole, is read again to see that it is."""


def change_vectors(tables: Tables, identity: Identity, change: Callable[[Vectors], Vectors]) -> None:
    """Change the vectors of all passages, in a database that nobody reads yet, and what made them."""
    old, last = tables.identity, 0
    with transaction(tables.connection):
        while rows := list(tables.rows("SELECT id, vector FROM passage WHERE id > ? ORDER BY id LIMIT ?", last, ROWS)):
            ids = [number for number, _ in rows]
            blobs = [unseal(blob, "vector", number) for number, blob in rows]
            made = encode_vectors(change(decode_vectors(blobs, old.dimensions, old.storage)), identity.storage)
            tables.connection.executemany(
                "UPDATE passage SET vector = ? WHERE id = ?",
                [(seal(blob, number), number) for number, blob in zip(ids, made, strict=True)],
            )
            last = ids[-1]
        write_identity(tables.connection, identity)
    tables.identity = identity


def _vectors(tables: Tables, which: str) -> Iterator[tuple[Ids, Ids, Vectors]]:
    for ids, documents, blobs in tables.scan("vector", which):
        yield ids, documents, decode_vectors(blobs, tables.identity.dimensions, tables.identity.storage)


def _lines(tables: Tables, which: str, *, anew: bool = False) -> Iterator[tuple[int, int, list[str]]]:
    for ids, documents, blobs in tables.scan("terms", which, anew=anew):
        for number, document, blob in zip(ids.tolist(), documents.tolist(), blobs, strict=True):
            yield number, document, decode_lines(blob)


def _update_counts(tables: Tables, state: State) -> State:
    """Bring the term counts to what the next generation has; returns the state with its passages and totals."""
    counts = Counts(tables.identity.fields)
    for _, _, lines in _lines(tables, PENDING):
        counts.add(lines)
    for _, _, lines in _lines(tables, RETIRED):
        counts.subtract(lines)
    totals = {field: state.totals[field] + counts.totals[field] for field in tables.identity.fields}
    changes = counts.by_bucket()
    numbers = sorted(changes)
    for start in range(0, len(numbers), _AT_ONCE):
        for number, row in tables.encoded_counts(numbers[start : start + _AT_ONCE]).items():
            try:
                _write_row(tables, number, changed_counts(row, changes[number]))
            except ValueError as error:
                raise damaged(f"row {number} of its term counts") from error
    return replace(state, passages=state.passages + counts.passages, totals=totals)


def _take_new_terms(tables: Tables, state: State, identity: Identity) -> State:
    """Make the new terms those of the passages, and count them; returns the state with passages and totals."""
    counts = Counts(identity.fields)
    for _, _, lines in _lines(tables, NEXT, anew=True):
        counts.add(lines)
    totals, rows = counts.totals, counts.by_bucket()
    for number in range(BUCKETS):
        write_counts(tables, number, rows.get(number, {}))
    connection = tables.connection
    connection.execute("UPDATE passage SET terms = n.terms FROM new_terms n WHERE n.passage_id = passage.id")
    connection.execute("DELETE FROM new_terms")
    write_meta(connection, "new terms", None)
    write_identity(connection, identity)
    return replace(state, passages=counts.passages, totals=totals)


def write_counts(tables: Tables, number: int, counts: Mapping[str, int]) -> None:
    """Write a row of the table of term counts."""
    _write_row(tables, number, encode_counts(counts))


def _write_row(tables: Tables, number: int, counts: bytes) -> None:
    tables.connection.execute("INSERT OR REPLACE INTO term VALUES (?, ?)", (number, seal(counts, number)))


def _commit(tables: Tables, state: State, generation: int, manifest: str, anew: Identity | None) -> None:
    """Make the generation the current one: the only moment that readers notice."""
    connection = tables.connection
    with transaction(connection):
        counted = _take_new_terms(tables, state, anew) if anew else _update_counts(tables, state)
        step("term counts written")
        connection.execute("DELETE FROM document WHERE retired = 1")
        step("retired rows deleted")
        columns = DOCUMENT.replace("published", "1")
        connection.execute(f"UPDATE document SET published = 1, checksum = row_checksum({columns}) WHERE published = 0")
        # The times of a file that cannot be read are not those of the text that it had.
        connection.execute(
            "UPDATE document SET raw = f.raw, path = f.path, size = iif(f.broken, document.size, f.size),"
            " mtime_ns = iif(f.broken, document.mtime_ns, f.mtime_ns)"
            " FROM (SELECT *, EXISTS (SELECT 1 FROM problem WHERE file_id = file.id AND whole)"
            " AS broken FROM file WHERE moved = 1) AS f WHERE file_id = f.id"
        )
        connection.execute(f"UPDATE document AS d SET checksum = row_checksum({DOCUMENT}) WHERE {MOVED}")
        connection.execute("UPDATE file SET moved = 0 WHERE moved = 1")
        (documents,) = connection.execute("SELECT count(*) FROM document").fetchone()
        new = replace(counted, generation=generation, manifest=manifest, documents=documents)
        write_meta(connection, "state", asdict(new))
        step("state written")


def _tidy(tables: Tables) -> None:
    """Give free pages back to the disk when there are many, and bring the log home unless a reader needs it."""
    (free,) = tables.connection.execute("PRAGMA freelist_count").fetchone()
    (pages,) = tables.connection.execute("PRAGMA page_count").fetchone()
    if free > _FREE_SHARE * pages:
        # A page for each step, and only executescript() steps to the end of a statement without columns.
        tables.connection.executescript("PRAGMA incremental_vacuum")
    tables.connection.execute("PRAGMA busy_timeout = 0")
    tables.connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
    tables.connection.execute(f"PRAGMA busy_timeout = {BUSY_SECONDS * 1000:.0f}")


# Terms by other rules than those that an index was made with, from its stored texts: no file is read.
#
# New terms wait in a table of their own, document by document, and whoever is interrupted goes on where he was. Readers
# see the old ones until the last commit, which is that of the generation that is built from the new.

_LACKING = (
    f"{NEXT} AND EXISTS (SELECT 1 FROM passage p WHERE p.document_id = d.id"
    " AND NOT EXISTS (SELECT 1 FROM new_terms n WHERE n.passage_id = p.id))"
)
"""Documents of the next generation of which a passage has no new terms."""


class SqliteReanalysis:
    """Begun, or gone on with, by whoever makes one; `finish` makes the new terms those of the index."""

    def __init__(
        self,
        directory: Path,
        tables: Tables,
        rules: str,
        fields: tuple[str, ...],
        words: tuple[str, ...],
        ann: str,
    ) -> None:
        self._directory = directory
        self._ann = ann
        self._tables = tables
        self._identity: Identity = replace(tables.identity, term_rules=rules, fields=fields, words=words)
        made_by = {"rules": rules, "fields": list(fields)}
        if read_optional_meta(tables.connection, "new terms") != made_by:
            with transaction(tables.connection):
                tables.connection.execute("DELETE FROM new_terms")
                write_meta(tables.connection, "new terms", made_by)

    def __len__(self) -> int:
        """How many documents are left to be analysed."""
        return self._tables.count_documents(_LACKING)

    def documents(self) -> Iterator[UnanalysedDocument]:
        """The documents that are left. Those that get terms meanwhile do not disturb."""
        for document in list(self._tables.documents(_LACKING)):
            yield self._tables.unanalysed(document)

    def put(self, analysed: Iterable[tuple[UnanalysedDocument, Sequence[Terms]]]) -> None:
        """Keep the terms of these documents' passages, in their order, in one transaction."""
        with transaction(self._tables.connection):
            for document, rows in analysed:
                self._tables.connection.executemany(
                    "INSERT OR REPLACE INTO new_terms VALUES (?, ?)",
                    (
                        (number, seal(encode_terms(self._identity.fields, one), number))
                        for number, one in zip(document.ids, rows, strict=True)
                    ),
                )

    def give_up(self, document: UnanalysedDocument) -> None:
        """The document has no terms, and the next run reads its file again."""
        with transaction(self._tables.connection):
            self.put([(document, [{} for _ in document.ids])])
            sql = "UPDATE file SET hash = '' WHERE id = (SELECT file_id FROM document WHERE id = ?)"
            self._tables.connection.execute(sql, (document.id,))

    def finish(self) -> int:
        """Make the new terms those of the index, and publish. Returns the generation that answers now."""
        return publish(self._directory, self._tables, anew=self._identity, ann=self._ann)


# Names of an index of an earlier format: all were absolute.


def name_from(tables: Tables, around: bytes) -> bool:
    """Name the files of a folder from there, where the index lies in it (see `names`); whether it does.

    It may have been moved since it was indexed: then it is known by a file that is there, with the size that it had.
    An index of another folder may lie in one of that name, too, and stays as it is.
    """
    connection = tables.connection
    roots = [raw for (raw,) in connection.execute("SELECT raw FROM root")]
    if len(roots) != 1:
        return False
    before, now = Names(roots[0]), Names(around)
    known = connection.execute("SELECT raw, size FROM file WHERE documents")
    if roots[0] != around and not any(_is_there(now.here(before.stored(raw)), size) for raw, size in known):
        return False
    connection.create_function("stored_name", 1, before.stored, deterministic=True)
    connection.create_function("stored_path", 2, before.stored_path, deterministic=True)
    connection.execute("UPDATE root SET raw = stored_name(raw)")
    names = "stored_name(raw), stored_path(raw, path)"
    connection.execute(f"UPDATE file SET (raw, path, root) = ({names}, stored_name(root))")
    renamed = DOCUMENT.replace("raw, path", names)
    connection.execute(  # what was damaged before stays so
        f"UPDATE document SET (raw, path, checksum) = ({names},"
        f" iif(checksum = row_checksum({DOCUMENT}), row_checksum({renamed}), -1))"
    )
    return True


def _is_there(path_bytes: bytes, size: int) -> bool:
    with suppress(OSError):
        found = os.stat(path_bytes)
        return stat.S_ISREG(found.st_mode) and found.st_size == size
    return False
