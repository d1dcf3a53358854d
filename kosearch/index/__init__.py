"""An index directory: SQLite as the truth, vectors and terms derived from it, generation by generation.

    index.sqlite       documents, passages, vectors, terms, and the name of the published generation
    lock               held by the one writer
    generation-<N>/    the derived files (see files.py)

Only this package contains SQL.
"""

from __future__ import annotations

import os
import shutil
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path

from kosearch.errors import IndexStateError, UsageError
from kosearch.index import backup, checking, files, ownership, schema
from kosearch.index.lock import exclusive, held_since
from kosearch.index.reanalysis import Reanalysis
from kosearch.index.records import (
    FileState,
    Globs,
    Identity,
    NewDocument,
    NewPassage,
    Status,
    StoredDocument,
    StoredFile,
    StoredPassage,
    UnanalysedDocument,
)
from kosearch.index.snapshot import Derived, Snapshot
from kosearch.index.store import State, Store
from kosearch.index.writer import Writer
from kosearch.records import Skipped
from kosearch.system import make_private

__all__ = [
    "FileState",
    "Globs",
    "Identity",
    "Index",
    "NewDocument",
    "NewPassage",
    "Reanalysis",
    "Snapshot",
    "Status",
    "StoredDocument",
    "StoredFile",
    "StoredPassage",
    "UnanalysedDocument",
    "Writer",
]

LOCK = "lock"
_READ_ONLY = "the index cannot be written where it lies: it is read as it is, and nothing new will come into it"


class Index:
    """An index directory. Readers and one writer may use it at the same time, from any process and thread."""

    def __init__(self, directory: Path, secret: bytes | None = None) -> None:
        """Open an index, and bring one of an older format up to date.

        With the user's secret on this machine it is known whether the index is this user's own. Raises IndexMissing,
        IndexMismatch, IndexDamaged, and IndexBusy where an older one is being written.
        """
        self.directory = directory
        self.identity: Identity
        self._secret = secret
        self._database = (0, 0)
        self._derived: Derived | None = None
        self._idle: list[schema.Connection] = []
        self._lock = threading.Lock()
        _ours(directory)
        self._upgrade()
        with self._reading():
            pass

    @classmethod
    def create(cls, directory: Path, identity: Identity, secret: bytes | None = None) -> Index:
        """Make an empty index in a folder that is empty or not there.

        Raises IndexStateError where there is one already, IndexBusy where somebody else is making one, and
        UsageError where the folder holds something else.
        """
        with cls._making(directory):
            sealed = None if secret is None else lambda connection: ownership.seal(Store(connection), secret)
            schema.create(directory, identity, sealed)
        return cls(directory, secret)

    @classmethod
    def restore(cls, directory: Path, source: Path, secret: bytes | None = None) -> Index:
        """Make an index of what `backup` wrote, in a folder that is empty or not there, and publish it.

        Raises as `create` does, and UsageError, IndexMismatch and IndexDamaged for a file that cannot be taken.
        """
        backup.check(source)
        with cls._making(directory):
            backup.restore(source, directory)
        index = cls(directory, secret)
        with index.writer() as writer:
            writer.publish()
        return index

    @staticmethod
    @contextmanager
    def _making(directory: Path) -> Iterator[None]:
        """A folder for a new index, and its lock."""
        _refuse_second(directory)
        make_private(directory)
        _ours(directory)
        strange = [name for name in os.listdir(directory) if name != LOCK and not name.startswith(schema.NAME)]
        if strange:
            raise UsageError(
                f"{directory} holds other files ({strange[0]}), and no index",
                "choose a new folder for the index",
            )
        directory.chmod(0o700)
        with exclusive(directory / LOCK, wait=False):
            _refuse_second(directory)
            yield

    @staticmethod
    def exists(directory: Path) -> bool:
        """Whether there is something that can be opened, or that says why it cannot."""
        return schema.exists(directory)

    @staticmethod
    def delete(directory: Path, *, wait: bool = False) -> None:
        """Remove an index with all it holds, so that another may be made in its place. Raises IndexBusy."""
        if not schema.exists(directory):
            return
        with exclusive(directory / LOCK, wait=wait):
            for path in (*files.generations(directory), *directory.glob(f"{schema.NAME}*")):
                shutil.rmtree(path) if path.is_dir() else path.unlink()

    @contextmanager
    def snapshot(self, *, warm: bool = False) -> Iterator[Snapshot]:
        """The current generation, which stays the same inside, whatever a writer publishes.

        `warm` is for a process that asks often: the graph over many vectors is loaded and used.
        """
        with self._reading() as store:
            tried = -1
            while True:
                store.connection.execute("BEGIN")
                state = store.state()
                derived = self._open(store, state, warm)
                # What is missing may have been swept while it was being opened: then there is a newer generation.
                if derived is None or not derived.warnings or state.generation == tried:
                    break
                tried = state.generation
                store.connection.execute("COMMIT")
            warnings = () if store.connection.is_writable else (_READ_ONLY,)
            yield Snapshot(store, state, derived, warnings)

    @contextmanager
    def writer(self, *, wait: bool = False) -> Iterator[Writer]:
        """The one writer. Raises IndexBusy, naming the other one, unless `wait` says to wait for it.

        What was committed inside stays when it is left by an error; `publish` makes it searchable, now or in
        the next run.
        """
        with self._writing(wait=wait) as store:
            yield Writer(self.directory, store, self._secret)

    def is_own(self) -> bool:
        """Whether it has the seal of the user's secret, which was made or adopted by this user on this machine."""
        if self._secret is None:
            return False
        with self._reading() as store:
            store.connection.execute("BEGIN")
            store.state()
            return ownership.is_sealed(store, self._secret)

    def adopt(self) -> None:
        """Make the index this user's own on this machine. Raises IndexBusy."""
        if self._secret is not None:
            with self._writing(wait=False) as store:
                ownership.seal(store, self._secret)

    def backup(self, target: Path) -> None:
        """Write the index as it is at this moment into one new file, beside any writer. Raises UsageError."""
        with self._reading() as store:
            store.connection.execute("BEGIN")
            store.state()
            backup.write(store.connection, target)

    def status(self) -> Status:
        """What the index holds."""
        with self._reading() as store:
            store.connection.execute("BEGIN")
            state = store.state()
            return store.status(state, files.total_size(self.directory))

    def written_since(self) -> datetime | None:
        """When the writer that is at work began; None where there is none."""
        return held_since(self.directory / LOCK)

    def check(self) -> list[str]:
        """Verify everything, file by file and row by row; a sentence for each thing that is wrong."""
        with self._reading() as store:
            store.connection.execute("BEGIN")
            return list(checking.check(self.directory, store))

    @staticmethod
    def set_aside_strange_log(directory: Path, *, wait: bool = False) -> None:
        """Before an index is repaired: keep its database without a log that belongs to another. Raises IndexBusy."""
        with exclusive(directory / LOCK, wait=wait), schema.translated(directory):
            schema.set_aside_strange_log(directory)

    def repair(self, *, wait: bool = False) -> list[str]:
        """Make everything anew that can be made from whole rows, and publish.

        Returns the paths of files of which a document had to be given up: the next run reads them again.
        Raises IndexBusy, and IndexDamaged where the database itself cannot be read.
        """
        with self._writing(wait=wait) as store:
            return checking.repair(self.directory, store)

    def roots(self) -> dict[bytes, Globs]:
        """The roots that `index` without a path goes through, and the globs they were indexed with."""
        with self._reading() as store:
            return store.roots()

    def stored_files(self) -> Iterator[StoredFile]:
        """Every file that was looked at, with all that its content gave, as they are together at one moment."""
        with self._reading() as store:
            store.connection.execute("BEGIN")
            for number, path, state in list(store.files()):
                yield store.stored_file(number, path, state)

    def problems(self) -> list[Skipped]:
        """Files and parts of files that are not searchable, by path."""
        with self._reading() as store:
            return store.problems()

    def close(self) -> None:
        """Close what is kept open between snapshots."""
        with self._lock:
            self._drop()

    def _open(self, store: Store, state: State, warm: bool) -> Derived | None:
        """The derived files of a generation: those at hand, or opened now and kept for the next snapshot."""
        if not state.generation:
            return None
        with self._lock:
            earlier = self._derived
            if earlier and (earlier.generation, earlier.manifest) == (state.generation, state.manifest):
                derived = earlier
            else:
                derived = Derived(self.directory, state, store.identity.fields)
                self._derived = derived
        if warm:
            derived.warm(earlier)
        return derived

    def _upgrade(self) -> None:
        with schema.translated(self.directory):
            connection, _ = self._take_connection()
            # What cannot be written is read in the format that it has.
            needs_migration = not schema.is_current(connection) and connection.is_writable
            if connection.is_shared:
                self._idle.append(connection)
            else:
                connection.close()
            if needs_migration:
                with exclusive(self.directory / LOCK, wait=False):
                    connection = schema.connect(self.directory, write=True)
                    try:
                        schema.migrate(connection)
                    finally:
                        connection.close()

    @contextmanager
    def _reading(self) -> Iterator[Store]:
        """A connection for reading, kept for the next time."""
        with schema.translated(self.directory):
            connection, database = self._take_connection()
            try:
                schema.refuse_newer(connection, self.directory)  # since this process opened it
                store = Store(connection)
                self.identity = store.identity
                yield store
                self.identity = store.identity
                if connection.in_transaction:
                    connection.execute("COMMIT")
                schema.refuse_changed(connection, self.directory)
            except BaseException:
                connection.close()
                raise
            with self._lock:
                if database == self._database and connection.is_shared:
                    self._idle.append(connection)
                else:
                    connection.close()

    def _take_connection(self) -> tuple[schema.Connection, tuple[int, int]]:
        """A connection to the database that has the index's name now, which may be another than before."""
        database = schema.file_of(self.directory)
        with self._lock:
            if database != self._database:
                self._drop()
                self._database = database
            connection = self._idle.pop() if self._idle else None
        return connection or schema.connect(self.directory, write=False), database

    def _drop(self) -> None:
        for connection in self._idle:
            connection.close()
        self._idle.clear()
        self._derived = None

    @contextmanager
    def _writing(self, *, wait: bool) -> Iterator[Store]:
        """The one connection for writing, under the lock."""
        with exclusive(self.directory / LOCK, wait=wait), schema.translated(self.directory):
            connection = schema.connect(self.directory, write=True)
            try:
                store = Store(connection)
                files.sweep(self.directory, keep=store.state().generation)
                yield store
            finally:
                connection.close()


def _refuse_second(directory: Path) -> None:
    if schema.exists(directory):
        raise IndexStateError(f"there is an index in {directory} already", "name another one: --index NAME")


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
