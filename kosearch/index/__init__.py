"""What an index is kept in. In a directory: SQLite as the truth, and files derived from it, generation by generation.

    index.sqlite       documents, passages, vectors, terms, and the name of the published generation
    lock               held by the one writer
    generation-<N>/    the derived files (see files.py)

Only this package contains SQL. What a server keeps is in `postgres`.
"""

from __future__ import annotations

import os
import shutil
import sqlite3
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, replace
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np

from kosearch.config import IndexPlace
from kosearch.errors import IndexDamaged, IndexMissing, IndexStateError, UsageError
from kosearch.index import database, files
from kosearch.index.contract import (
    FileState,
    FullDocument,
    Globs,
    Identity,
    Kind,
    NewDocument,
    NewPassage,
    Reanalysis,
    Snapshot,
    Status,
    Store,
    StoredDocument,
    StoredFile,
    StoredPassage,
    UnanalysedDocument,
    Vectors,
    Writer,
)
from kosearch.index.database import BUCKETS, read_meta, read_optional_meta, transaction, write_meta
from kosearch.index.files import Damaged, exclusive, held_since
from kosearch.index.lexical import FOLDER, Counts, Lexical, decode_lines
from kosearch.index.names import folder_around, note
from kosearch.index.snapshot import Derived, SqliteSnapshot
from kosearch.index.tables import PUBLISHED, State, Tables, is_sealed, mend_owner, seal_owner
from kosearch.index.vectors import Dense, available, decode_vectors
from kosearch.index.writer import SqliteWriter, change_vectors, name_from, publish, write_counts
from kosearch.records import Skipped
from kosearch.system import make_private

__all__ = [
    "FileState",
    "FullDocument",
    "Globs",
    "Identity",
    "Kind",
    "NewDocument",
    "NewPassage",
    "Reanalysis",
    "Snapshot",
    "SqliteStore",
    "Status",
    "Store",
    "StoredDocument",
    "StoredFile",
    "StoredPassage",
    "UnanalysedDocument",
    "Writer",
    "kind_of",
    "user_secret",
]

LOCK = "lock"
"""The file that a writer locks."""
_READ_ONLY = "the index cannot be written where it lies: it is read as it is, and nothing new will come into it"


class SqliteStore:
    """An index directory. Readers and one writer may use it at the same time, from any process and thread."""

    def __init__(self, directory: Path, secret: bytes | None = None) -> None:
        """Open an index, and bring one of an older format up to date.

        With the user's secret on this machine it is known whether the index is this user's own. Raises IndexMissing,
        IndexMismatch, IndexDamaged, and IndexBusy where an older one is being written.
        """
        self.directory = directory
        self.identity: Identity
        self.ann = "auto"
        self._secret = secret
        self._database = (0, 0)
        self._derived: Derived | None = None
        self._idle: list[database.Connection] = []
        self._lock = threading.Lock()
        _ours(directory)
        self._around = folder_around(directory)
        self._opened = database.file_of(directory)
        self._upgrade()
        with self._reading():
            pass

    @staticmethod
    def names_with(directory: Path) -> list[str]:
        """Its own name: a folder holds one index."""
        return [str(directory)]

    @classmethod
    def open(cls, directory: Path, secret: bytes | None = None) -> SqliteStore:
        """The index in a folder; as the class itself."""
        return cls(directory, secret)

    @classmethod
    def create(cls, directory: Path, identity: Identity, secret: bytes | None = None) -> SqliteStore:
        """Make an empty index in a folder that is empty or not there.

        Raises IndexStateError where there is one already, IndexBusy where somebody else is making one, and
        UsageError where the folder holds something else.
        """
        with cls._making(directory):
            sealed = None if secret is None else lambda connection: seal_owner(Tables(connection), secret)
            database.create(directory, identity, sealed)
        return cls(directory, secret)

    @classmethod
    def upgrade(cls, directory: Path, secret: bytes | None = None) -> bool:
        """Bring one of an older format up to date, as opening it does; whether it was older."""
        with database.translated(directory):
            connection = database.connect(directory, write=False)
            is_older = not database.is_current(connection)
            connection.close()
        cls(directory, secret).close()
        return is_older

    @classmethod
    def restore(cls, directory: Path, source: Path, secret: bytes | None = None) -> SqliteStore:
        """Make an index of what `backup` wrote, in a folder that is empty or not there, and publish it.

        Raises as `create` does, and UsageError, IndexMismatch and IndexDamaged for a file that cannot be taken.
        """
        database.check_backup(source)
        with cls._making(directory):
            database.restore_backup(source, directory)
        index = cls(directory, secret)
        with index.writer() as writer:
            writer.publish()
        return index

    @classmethod
    def derive(
        cls,
        directory: Path,
        source: SqliteStore,
        identity: Identity,
        change: Callable[[Vectors], Vectors],
        secret: bytes | None = None,
    ) -> SqliteStore:
        """Make an index of all that another one holds, with its vectors changed, and publish it.

        Texts, passages and terms are those of the other; `identity` says what the vectors are by now. Raises as
        `create` does.
        """

        def changed(connection: database.Connection) -> None:
            note(connection, source._around)
            tables = Tables(connection, folder_around(directory))
            change_vectors(tables, identity, change)
            if secret is not None:
                seal_owner(tables, secret)

        with cls._making(directory), source._reading() as tables:
            tables.connection.execute("BEGIN")
            files.link_terms(source.directory, directory, tables.state().generation, FOLDER)
            database.derive(tables.connection, directory, changed)
        index = cls(directory, secret)
        with index.writer() as writer:
            writer.publish(graph=False)  # one over a hundred thousand takes longer than all else
        return index

    @staticmethod
    @contextmanager
    def _making(directory: Path) -> Iterator[None]:
        """A folder for a new index, and its lock."""
        _refuse_second(directory)
        try:
            make_private(directory)
            _ours(directory)
            found = os.listdir(directory)
        except OSError as error:
            raise _no_place(directory, error) from error
        # What a database that is lost has left is worth nothing without it.
        lost = [one for one in files.generations(directory) if LOCK in found and (one / files.MANIFEST).is_file()]
        known = {LOCK, *database.BESIDE, *(one.name for one in lost)}
        strange = [name for name in found if name not in known and not name.startswith(database.NAME)]
        if strange:
            raise UsageError(
                f"{directory} holds other files ({strange[0]}), and no index",
                "choose a new folder for the index",
            )
        try:
            directory.chmod(0o700)
        except OSError as error:
            raise _no_place(directory, error) from error
        with exclusive(directory / LOCK, wait=False):
            _refuse_second(directory)
            for one in lost:
                shutil.rmtree(one)
            for ending in ("-wal", "-shm"):  # SQLite would play the log of the lost database into the new one
                (directory / f"{database.NAME}{ending}").unlink(missing_ok=True)
            yield

    @staticmethod
    def exists(directory: Path) -> bool:
        """Whether there is something that can be opened, or that says why it cannot."""
        return database.exists(directory)

    @staticmethod
    def delete(directory: Path, *, wait: bool = False) -> None:
        """Remove an index with all it holds, so that another may be made in its place. Raises IndexBusy."""
        if not database.exists(directory):
            return
        with exclusive(directory / LOCK, wait=wait):
            for path in (*files.generations(directory), *directory.glob(f"{database.NAME}*")):
                shutil.rmtree(path) if path.is_dir() else path.unlink()
            (directory / LOCK).unlink()
        with suppress(OSError):  # a user's words.txt, say, stays, and so does its folder
            directory.rmdir()

    @contextmanager
    def snapshot(self, *, warm: bool = False) -> Iterator[SqliteSnapshot]:
        """The current generation, which stays the same inside, whatever a writer publishes.

        `warm` is for a process that asks often: the graph over many vectors is loaded and used.
        """
        with self._reading() as tables:
            tried = -1
            while True:
                tables.connection.execute("BEGIN")
                state = tables.state()
                derived = self._open(tables, state, warm)
                # What is missing may have been swept while it was being opened: then there is a newer generation.
                if derived is None or not derived.warnings or state.generation == tried:
                    break
                tried = state.generation
                tables.connection.execute("COMMIT")
            warnings = () if tables.connection.is_writable else (_READ_ONLY,)
            yield SqliteSnapshot(tables, state, derived, warnings)

    @contextmanager
    def writer(self, *, wait: bool = False, brief: bool = False) -> Iterator[SqliteWriter]:
        """The one writer. Raises IndexBusy, naming the other one, unless `wait` says to wait for it.

        One that writes `brief`ly, for some seconds, is waited for by others.

        What was committed inside stays when it is left by an error; `publish` makes it searchable, now or in
        the next run.
        """
        with self._writing(wait=wait, brief=brief) as tables:
            yield SqliteWriter(self.directory, tables, self._secret, self.ann)
            self.identity = tables.identity  # its terms may be by other rules now

    def is_own(self) -> bool:
        """Whether it has the seal of the user's secret, which was made or adopted by this user on this machine."""
        if self._secret is None:
            return False
        with self._reading() as tables:
            tables.connection.execute("BEGIN")
            tables.state()
            return is_sealed(tables, self._secret)

    def adopt(self) -> None:
        """Make the index this user's own on this machine. Raises IndexBusy."""
        if self._secret is not None:
            with self._writing(wait=False) as tables:
                seal_owner(tables, self._secret)

    def backup(self, target: Path) -> None:
        """Write the index as it is at this moment into one new file, beside any writer. Raises UsageError."""
        with self._reading() as tables:
            tables.connection.execute("BEGIN")
            tables.state()
            beside = database.read_beside(self.directory)

            def finish(copy: sqlite3.Connection) -> None:
                note(copy, self._around)
                database.write_beside(copy, beside)

            database.write_backup(tables.connection, target, finish)

    def is_there(self) -> bool:
        """Whether what was opened still lies at its place, and no other in its stead."""
        with suppress(IndexMissing):
            return database.file_of(self.directory) == self._opened
        return False

    def status(self) -> Status:
        """What the index holds."""
        with self._reading() as tables:
            tables.connection.execute("BEGIN")
            state = tables.state()
            held = tables.status(state, files.total_size(self.directory))
        graph = None
        with suppress(Damaged):  # `check` says what is
            graph = files.read_manifest(files.folder(self.directory, state.generation), state.manifest).graph
        if graph is None or not graph.is_used or self.ann == "exact" or not available():
            return held
        return replace(held, graph={"width": graph.ef, "recall": graph.recall})

    def written_since(self) -> datetime | None:
        """When the writer that is at work began; None where there is none."""
        return held_since(self.directory / LOCK)

    def check(self) -> list[str]:
        """Verify everything, file by file and row by row; a sentence for each thing that is wrong."""
        with self._reading() as tables:
            tables.connection.execute("BEGIN")
            return list(_check(self.directory, tables))

    @staticmethod
    def set_aside_strange_log(directory: Path, *, wait: bool = False) -> None:
        """Before an index is repaired: keep its database without a log that belongs to another. Raises IndexBusy."""
        with exclusive(directory / LOCK, wait=wait), database.translated(directory):
            database.set_aside_strange_log(directory)

    def repair(self, *, wait: bool = False) -> list[str]:
        """Make everything anew that can be made from whole rows, and publish.

        Returns the paths of files of which a document had to be given up: the next run reads them again.
        Raises IndexBusy, and IndexDamaged where the database itself cannot be read.
        """
        with self._writing(wait=wait) as tables:
            return _repair(self.directory, tables, self.ann)

    def roots(self) -> dict[bytes, Globs]:
        """The roots that `index` without a path goes through, and the globs they were indexed with."""
        with self._reading() as tables:
            return tables.roots()

    def stored_files(self) -> Iterator[StoredFile]:
        """Every file that was looked at, with all that its content gave, as they are together at one moment."""
        with self._reading() as tables:
            tables.connection.execute("BEGIN")
            for number, path, state in list(tables.files()):
                yield tables.stored_file(number, path, state)

    def files(self) -> dict[bytes, FileState]:
        """Every file that a run has looked at, by its raw path."""
        with self._reading() as tables:
            return {state.path_bytes: state for _, _, state in tables.files()}

    def problems(self) -> list[Skipped]:
        """Files and parts of files that are not searchable, by path."""
        with self._reading() as tables:
            return tables.problems()

    def recognised(self, picture: bytes) -> str | None:
        """What an engine has found in a picture, by the hash of its pixels."""
        with self._reading() as tables:
            return tables.recognised(picture)

    def close(self) -> None:
        """Close what is kept open between snapshots."""
        with self._lock:
            self._drop()

    def _open(self, tables: Tables, state: State, warm: bool) -> Derived | None:
        """The derived files of a generation: those at hand, or opened now and kept for the next snapshot."""
        if not state.generation:
            return None
        with self._lock:
            earlier = self._derived
            if earlier and (earlier.generation, earlier.manifest) == (state.generation, state.manifest):
                derived = earlier
            else:
                derived = Derived(self.directory, state, tables.identity.fields)
                self._derived = derived
        if warm and self.ann != "exact":
            derived.warm(earlier)
        return derived

    def _upgrade(self) -> None:
        with database.translated(self.directory):
            connection, _ = self._take_connection()
            # What cannot be written is read in the format that it has.
            needs_migration = not database.is_current(connection) and connection.is_writable
            if connection.is_shared:
                self._idle.append(connection)
            else:
                connection.close()
            if needs_migration:
                with exclusive(self.directory / LOCK, wait=False):
                    connection = database.connect(self.directory, write=True)
                    try:
                        self._migrate(connection)
                    finally:
                        connection.close()

    def _migrate(self, connection: database.Connection) -> None:
        with transaction(connection):
            tables, secret = Tables(connection, self._around), self._secret
            earlier = database.format_of(connection)
            own = secret is not None and is_sealed(tables, secret)  # the seal is over the names of roots
            database.migrate(connection)
            if self._around is None or earlier >= database.MOVING_NAMES or not name_from(tables, self._around):
                return
            if secret is not None and own:
                seal_owner(tables, secret)

    @contextmanager
    def _reading(self) -> Iterator[Tables]:
        """A connection for reading, kept for the next time."""
        with database.translated(self.directory):
            connection, file = self._take_connection()
            try:
                database.refuse_newer(connection, self.directory)  # since this process opened it
                tables = Tables(connection, self._around)
                self.identity = tables.identity
                yield tables
                self.identity = tables.identity
                if connection.in_transaction:
                    connection.execute("COMMIT")
                database.refuse_changed(connection, self.directory)
            except BaseException:
                connection.close()
                raise
            with self._lock:
                if file == self._database and connection.is_shared:
                    self._idle.append(connection)
                else:
                    connection.close()

    def _take_connection(self) -> tuple[database.Connection, tuple[int, int]]:
        """A connection to the database that has the index's name now, which may be another than before."""
        file = database.file_of(self.directory)
        with self._lock:
            if file != self._database:
                self._drop()
                self._database = file
            connection = self._idle.pop() if self._idle else None
        return connection or database.connect(self.directory, write=False), file

    def _drop(self) -> None:
        for connection in self._idle:
            connection.close()
        self._idle.clear()
        self._derived = None

    @contextmanager
    def _writing(self, *, wait: bool, brief: bool = False) -> Iterator[Tables]:
        """The one connection for writing, under the lock."""
        with exclusive(self.directory / LOCK, wait=wait, brief=brief), database.translated(self.directory):
            connection = database.connect(self.directory, write=True)
            try:
                note(connection, self._around)
                tables = Tables(connection, self._around)
                files.sweep(self.directory, keep=tables.state().generation)
                yield tables
            finally:
                connection.close()


def kind_of(place: IndexPlace) -> Kind[Any]:
    """The kind of store that a place asks for: the only choice between stores there is.

    Raises UsageError where it takes a package that is not installed.
    """
    if isinstance(place, Path):
        return SqliteStore
    try:
        from kosearch.index.postgres import PostgresStore
    except ImportError as error:
        raise UsageError(
            f"an index in PostgreSQL needs psycopg: {error}", "pip install 'kosearch[postgres]'"
        ) from error
    return PostgresStore


def _refuse_second(directory: Path) -> None:
    if database.exists(directory):
        raise IndexStateError(f"there is an index in {directory} already", "name another one: --index NAME")


def _no_place(directory: Path, error: OSError) -> IndexStateError:
    return IndexStateError(
        f"no index can be made in {directory}: {error.strerror}", "choose another folder: --index NAME_OR_DIR"
    )


def _ours(directory: Path) -> None:
    """See that nobody else could have written the index."""
    if sys.platform == "win32":
        return
    try:
        owner = directory.stat().st_uid
    except OSError:
        return
    if owner not in {os.geteuid(), 0} and not os.statvfs(directory).f_flag & os.ST_RDONLY:  # nobody writes on a CD
        raise IndexStateError(f"{directory} belongs to another user", "choose an index of your own with --index")


# Looking at everything an index holds, and mending what can be mended without reading the files again.

_RENAMED = "document d JOIN file f ON f.id = d.file_id WHERE d.retired = 0 AND f.moved = 0 AND d.raw <> f.raw"
"""Documents that carry another name than their file, which has no checksum and is the one that is wrong."""
_LEFT = "(SELECT count(*) FROM document WHERE file_id = file.id AND retired = 0)"


def _check(directory: Path, tables: Tables) -> Iterator[str]:
    """Verify all that SQLite and the derived files hold; yields a sentence for each thing that is wrong.

    Call it inside a read transaction.
    """
    with _lenient(tables):
        yield from _findings(directory, tables)


def _findings(directory: Path, tables: Tables) -> Iterator[str]:
    state = tables.state()
    yield from (f"SQLite: {finding}" for finding in _damage_of_sqlite(tables))
    for table, *_ in tables.rows("PRAGMA foreign_key_check"):
        yield f"SQLite: a row of the table {table} belongs to nothing"
    for (key,) in list(tables.rows("SELECT key FROM meta ORDER BY key")):
        try:
            read_meta(tables.connection, key)
        except IndexDamaged as error:
            yield error.message
    broken = _broken_documents(tables)
    yield from (f"{path}: {finding}" for path, finding in broken.values())
    for path in _incomplete_files(tables):
        yield f"{path}: it had more documents"
    if not broken:
        counts = _count(tables)
        if _counted(tables, counts, state) != state:
            yield "the totals are not those of the passages"
        yield from _wrong_counts(tables, counts)
        yield from _wrong_files(directory, tables, state)


def _damage_of_sqlite(tables: Tables) -> list[str]:
    """What SQLite itself finds wrong with the form of its file."""
    return [finding for (finding,) in tables.rows("PRAGMA integrity_check") if finding != "ok"]


def _repair(directory: Path, tables: Tables, ann: str) -> list[str]:
    """Make the index whole again; returns the paths of files to be read again.

    Derived files and counts are made anew from the passages. A document with a damaged row is given up, and
    the next `index` reads its file again. Raises IndexDamaged where the database itself cannot be read.
    """
    connection = tables.connection
    with transaction(connection), _lenient(tables):
        connection.execute("REINDEX")
        _mend_meta(tables)
        broken = _broken_documents(tables)
        connection.execute(f"DELETE FROM file WHERE id IN (SELECT f.id FROM {_RENAMED})")
        for number in broken:
            connection.execute("DELETE FROM document WHERE id = ?", (number,))
        paths = {path for path, _ in broken.values()} | set(_incomplete_files(tables))
        # Without a hash the next run takes the file for unread.
        connection.execute(f"UPDATE file SET hash = '', documents = {_LEFT} WHERE documents <> {_LEFT}")
        for table in ("passage", "text", "heading"):
            connection.execute(f"DELETE FROM {table} WHERE document_id NOT IN (SELECT id FROM document)")
        counts = _count(tables)
        rows = counts.by_bucket()
        connection.execute("DELETE FROM term")  # as a whole: rows that are out of order are not found one by one
        for number in range(BUCKETS):
            write_counts(tables, number, rows.get(number, {}))
        # Without a manifest nothing derived is used: it may hold what has just been given up.
        write_meta(connection, "state", asdict(replace(_counted(tables, counts, tables.state()), manifest="")))
    if any(_damage_of_sqlite(tables)):  # its map of pages, its list of free ones: what no row has
        connection.execute("VACUUM")
    publish(directory, tables, ann=ann)
    if left := _damage_of_sqlite(tables):  # rows that are out of order, say, are copied as they are
        raise IndexDamaged(f"the index in {directory} is damaged: {left[0].splitlines()[-1]}", database.REPAIR)
    return sorted(paths)


def _mend_meta(tables: Tables) -> None:
    """Give up what can be done without: what the last run did, and how far new terms had come."""
    mend_owner(tables)
    for key in ("run", "new terms"):
        try:
            read_optional_meta(tables.connection, key)
        except IndexDamaged:
            write_meta(tables.connection, key, None)


@contextmanager
def _lenient(tables: Tables) -> Iterator[None]:
    """Text that is no UTF-8 any more ends no look at the rest: its checksum tells that it is not what was written."""
    tables.connection.text_factory = lambda data: data.decode(errors="replace")
    try:
        yield
    finally:
        tables.connection.text_factory = str


def _incomplete_files(tables: Tables) -> list[str]:
    """The paths of files of which fewer documents are left than were put, or more."""
    found = tables.rows(f"SELECT raw, path FROM file WHERE documents <> {_LEFT} ORDER BY path")
    return [tables.names.shown(raw, path) for raw, path in found]


def _broken_documents(tables: Tables) -> dict[int, tuple[str, str]]:
    """Documents of which something is not what was written: id → path, finding."""
    broken = {}
    for number, raw, path in tables.rows("SELECT id, raw, path FROM document ORDER BY id"):
        try:
            tables.verify(number)
        except IndexDamaged as error:
            broken[number] = (str(tables.names.shown(raw, path)), error.message)
    for number, raw, path in tables.rows(f"SELECT d.id, d.raw, d.path FROM {_RENAMED}"):
        broken[number] = (str(tables.names.shown(raw, path)), "the name of its file is not what was written")
    return broken


def _count(tables: Tables) -> Counts:
    """The published passages and their terms, counted anew."""
    counts = Counts(tables.identity.fields)
    for _, _, blobs in tables.scan("terms", PUBLISHED):
        for blob in blobs:
            counts.add(decode_lines(blob))
    return counts


def _counted(tables: Tables, counts: Counts, state: State) -> State:
    documents = tables.count_documents(PUBLISHED)
    return replace(state, documents=documents, passages=counts.passages, totals=counts.totals)


def _wrong_counts(tables: Tables, counts: Counts) -> Iterator[str]:
    rows = counts.by_bucket()
    for number in range(BUCKETS):
        try:
            if tables.counts(number) != rows.get(number, {}):
                yield f"row {number} of the term counts is not that of the passages"
        except IndexDamaged as error:
            yield error.message


def _wrong_files(directory: Path, tables: Tables, state: State) -> Iterator[str]:
    if not state.generation:
        return
    place = files.folder(directory, state.generation)
    try:
        manifest = files.read_manifest(place, state.manifest)
        manifest.check(place, "")
        dense = Dense(place, manifest)
        if not np.array_equal(dense.live_ids, tables.passage_ids(PUBLISHED)):
            yield "the vector files are not of this generation"
            return
        for ids, _, blobs in tables.scan("vector", PUBLISHED):
            if not np.array_equal(
                dense.take(dense.rows(ids)), decode_vectors(blobs, manifest.dimensions, tables.identity.storage)
            ):
                yield "the vector files differ from SQLite"
                return
        if Lexical(place, manifest, tables.identity.fields).passages != state.passages:
            yield "the lexical files are not of this generation"
    except Damaged as error:
        yield f"{place.name}: {error}"


# What this user's indexes on this machine are known by.

_SECRET = "index-secret"
_BYTES = 32


def user_secret(data_dir: Path) -> tuple[bytes | None, bool]:
    """This user's secret on this machine, and whether it was made only now; None where none can be kept."""
    path = data_dir / _SECRET
    with suppress(OSError):
        return (found, False) if len(found := path.read_bytes()) == _BYTES else (None, False)
    try:
        make_private(data_dir)
        scratch = path.with_name(f"{_SECRET}.{os.getpid()}-{os.urandom(4).hex()}")
        descriptor = os.open(scratch, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with open(descriptor, "wb") as file:
            file.write(os.urandom(_BYTES))
            file.flush()
            os.fsync(descriptor)
        try:
            os.link(scratch, path)  # whoever is first
            made = True
        except FileExistsError:
            made = False
        finally:
            scratch.unlink()
        return path.read_bytes(), made
    except OSError:
        return None, False
