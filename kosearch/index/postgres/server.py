"""A PostgreSQL server: connections that are kept, transactions, and its errors in one line each.

Nothing here needs a session of its own: settings and locks end with their transaction, and nothing is prepared, so
that pgbouncer may stand between in transaction mode. Passwords come from libpq's own places; no text of ours has one.
"""

from __future__ import annotations

import shlex
import threading
import time
import weakref
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, TypeVar

import psycopg
from psycopg import Connection, Cursor
from psycopg.adapt import Dumper
from psycopg.errors import UndefinedTable
from psycopg.pq import Format

from kosearch.config import Database
from kosearch.errors import (
    IndexBusy,
    IndexDamaged,
    IndexMismatch,
    IndexMissing,
    IndexStateError,
    KosearchError,
    ResourcesError,
    UsageError,
)
from kosearch.index.database import REPAIR

Result = TypeVar("Result")

OLDEST_SERVER, OLDEST_VECTOR = 14, (0, 8)
"""The versions of PostgreSQL and pgvector that are needed: iterative scans came with pgvector 0.8."""
CONNECT_SECONDS = 10
RETRY_SECONDS = 30.0
"""So long a server that restarts or fails over is waited for by whoever writes."""
_KEPT = 4
"""Idle connections that are kept for the next time."""
_CUT = ("57P01", "57P02", "57P03", "08000", "08003", "08006")
"""The server ended the connection, or does not take any just now."""
_MET = ("40001", "40P01")
"""Two writers met, and one has to do it again."""


class Bigints(bytes):
    """A bigint[] in its binary form: of a list psycopg goes through the numbers one by one, and writes them as text."""


class _BigintsDumper(Dumper):
    format, oid = Format.BINARY, 1016  # of pg_type.dat

    def dump(self, obj: Bigints) -> Bigints:
        return obj


class Session:
    """One transaction of one connection."""

    def __init__(self, connection: Connection[Any]) -> None:
        self.connection = connection
        self._cursor: Cursor[Any] = connection.cursor(binary=True)

    def rows(self, sql: str, *parameters: object) -> list[Any]:
        """All rows of a query."""
        return self._cursor.execute(sql.encode(), parameters or None).fetchall()

    def row(self, sql: str, *parameters: object) -> Any:
        """The first row of a query; None where there is none."""
        return self._cursor.execute(sql.encode(), parameters or None).fetchone()

    def run(self, sql: str, *parameters: object) -> int:
        """Change something; how many rows it was."""
        return self._cursor.execute(sql.encode(), parameters or None).rowcount

    def run_many(self, sql: str, rows: Sequence[Sequence[object]]) -> None:
        """The same statement for each row of parameters."""
        if rows:
            self._cursor.executemany(sql.encode(), rows)

    def copy(self, table: str, data: bytes) -> None:
        """Add rows in PostgreSQL's binary form."""
        with self._cursor.copy(f"COPY {table} FROM STDIN (FORMAT BINARY)".encode()) as copy:
            copy.write(data)

    def stream(self, sql: str, size: int, *parameters: object) -> Iterator[list[Any]]:
        """The rows of a query, `size` at a time: the server keeps the rest."""
        with self.connection.cursor("kosearch", binary=True) as cursor:
            cursor.execute(sql.encode(), parameters or None)
            while rows := cursor.fetchmany(size):
                yield rows


class Server:
    """The server that keeps an index. One object may be used by several threads."""

    def __init__(self, place: Database) -> None:
        self.place = place
        self._idle: list[Connection[Any]] = []
        self._lock = threading.Lock()
        self._extension = ""
        """The schema that pgvector's types are in; empty before it was asked for."""
        self._was_waited_for = False
        """In vain, and it has not answered since: it is asked once, and not waited for again."""
        weakref.finalize(self, _close, self._idle)

    @contextmanager
    def reading(self) -> Iterator[Session]:
        """A transaction that sees one state of the database, whatever is committed meanwhile, and changes nothing.

        The planner takes few rows for soon read, and knows nothing of arrays that lie outside of them: a table is gone
        through only where no index would do.
        """
        with self._begun("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY; SET LOCAL enable_seqscan = off") as session:
            yield session

    @contextmanager
    def writing(self) -> Iterator[Session]:
        """A transaction that is committed at its end, or leaves nothing."""
        with self._begun("BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE") as session:
            yield session

    def again(self, work: Callable[[Session], Result], *, reading: bool = False) -> Result:
        """What `work` returns of a transaction of its own, which is begun anew where the server went away meanwhile.

        It must be right to do it twice: whether a commit that was cut off took place, nobody can say.
        """
        begun = self.reading if reading else self.writing
        ends, pause = time.monotonic() + (0 if self._was_waited_for else RETRY_SECONDS), 0.05
        while True:
            try:
                with begun() as session:
                    result = work(session)
                self._was_waited_for = False
                return result
            except KosearchError as error:
                if not _passes(error.__cause__):
                    raise
                if time.monotonic() > ends:
                    self._was_waited_for = True
                    raise
            time.sleep(pause)
            pause = min(2 * pause, 2.0)

    def close(self) -> None:
        """Close what is kept."""
        with self._lock:
            _close(self._idle)

    @contextmanager
    def translated(self) -> Iterator[None]:
        """Turn psycopg's errors into ours."""
        try:
            yield
        except psycopg.Error as error:
            raise _ours(error, self.place) from error

    @contextmanager
    def _begun(self, begin: str) -> Iterator[Session]:
        with self.translated():
            connection = self._opened(begin)
            try:
                yield Session(connection)
                connection.execute(b"COMMIT")
            except BaseException as error:
                _end(connection)
                if isinstance(error, UndefinedTable) and not connection.closed and self._has_index(connection):
                    text = error.diag.message_primary
                    raise IndexDamaged(f"the index in {self.place} is damaged: {text}", REPAIR) from error
                raise
            finally:
                self._keep(connection)

    def _has_index(self, connection: Connection[Any]) -> bool:
        """Whether there is an index, though a table of its own is not there."""
        return connection.execute(b"SELECT to_regclass(%s)", [f'"{self.place.schema}".meta']).fetchone() != (None,)

    def _opened(self, begin: str) -> Connection[Any]:
        """A connection in whose transaction the index's tables are known by their own names."""
        with self._lock:
            kept = self._idle.pop() if self._idle else None
        if kept is not None:
            try:
                kept.execute(self._beginning(begin))
                return kept
            except psycopg.OperationalError:  # the server was restarted since, say: another one is opened
                kept.close()
                self.close()
            except BaseException:
                kept.close()
                raise
        connection = self._connect()
        try:
            connection.execute(self._beginning(begin))
        except BaseException:
            connection.close()
            raise
        return connection

    def _beginning(self, begin: str) -> bytes:
        path = ", ".join(f'"{one}"' for one in (self.place.schema, self._extension or "public"))
        return f"{begin}; SET LOCAL search_path = {path}; SET LOCAL jit = off".encode()

    def _connect(self) -> Connection[Any]:
        try:
            connection = psycopg.connect(
                self.place.url,
                autocommit=True,
                prepare_threshold=None,
                connect_timeout=CONNECT_SECONDS,
                application_name="kosearch",
            )
        except psycopg.ProgrammingError as error:  # libpq reads it before it asks any server
            raise UsageError(f"the URL of the index makes no sense: {error}", "kosearch docs server") from error
        connection.adapters.register_dumper(Bigints, _BigintsDumper)
        try:
            if connection.info.server_version < OLDEST_SERVER * 10_000:
                raise IndexMismatch(
                    f"the server of {self.place} is PostgreSQL {connection.info.server_version // 10_000}",
                    f"kosearch needs {OLDEST_SERVER} or later",
                )
            if not self._extension:
                self._extension = _extension(connection, self.place) or ""
        except BaseException:
            connection.close()
            raise
        return connection

    def _keep(self, connection: Connection[Any]) -> None:
        with self._lock:
            if not connection.closed and len(self._idle) < _KEPT:
                self._idle.append(connection)
                return
        connection.close()

    def install_extension(self) -> None:
        """Bring pgvector into the database, where it is not. Raises IndexStateError."""
        with self.translated():
            connection = self._connect()
            try:
                if not self._extension:
                    # IF NOT EXISTS alone fails where two do it at once.
                    lock = b"SELECT pg_advisory_xact_lock(hashtextextended('kosearch', 0))"
                    connection.execute(lock + b"; CREATE EXTENSION IF NOT EXISTS vector")
                    self._extension = _extension(connection, self.place) or ""
            finally:
                connection.close()


def _extension(connection: Connection[Any], place: Database) -> str | None:
    """The schema of pgvector; None where the database has none. Raises IndexMismatch for one that is too old."""
    found = connection.execute(
        b"SELECT n.nspname, e.extversion FROM pg_extension e JOIN pg_namespace n ON n.oid = e.extnamespace"
        b" WHERE e.extname = 'vector'"
    ).fetchone()
    if found is None:
        return None
    if tuple(int(part) for part in found[1].split(".")[:2]) < OLDEST_VECTOR:
        raise IndexMismatch(
            f"the database of {place} has pgvector {found[1]}, and kosearch needs 0.8 or later",
            "its owner says: ALTER EXTENSION vector UPDATE",
        )
    return str(found[0])


def _close(connections: list[Connection[Any]]) -> None:
    while connections:
        connections.pop().close()


def _end(connection: Connection[Any]) -> None:
    """Leave a transaction that failed; a connection that is of no use any more is closed."""
    try:
        connection.execute(b"ROLLBACK")
    except psycopg.Error:
        connection.close()


def _passes(error: BaseException | None) -> bool:
    """Whether what failed may go well a little later."""
    if not isinstance(error, psycopg.Error):
        return False
    return error.sqlstate in (*_CUT, *_MET) or (error.sqlstate is None and isinstance(error, psycopg.OperationalError))


_HINTS = {
    "28P01": (
        "the password is taken from ~/.pgpass (or the file that PGPASSFILE names), a service file, or PGPASSWORD"
    ),
    "28000": "pg_hba.conf on the server says who may come from where, and whether with TLS",
    "no role": "whoever runs the server makes it: CREATE ROLE NAME LOGIN; or name another USER in the URL",
    "3D000": "make it first: createdb DATABASE",
    "42501": "its owner may GRANT what is missing; kosearch docs server says what each role needs",
    "53100": "make room on the server's disk, then run the command again: nothing that was committed is lost",
    "53300": "put pgbouncer in between, or raise max_connections",
    "25006": "name the server that is written to; with several hosts: target_session_attrs=read-write",
    "0A000": "install pgvector on the server: https://github.com/pgvector/pgvector",
    "58P01": "install pgvector on the server: https://github.com/pgvector/pgvector",
}
_DENIED = {
    "must be owner": "only its owner may do that: name that role as USER in the URL",
    "create extension": "the database's owner, or a superuser, says: CREATE EXTENSION vector",
}
"""What no GRANT of the index's owner would help with, by the server's words."""
_ABSENT = ("42P01", "3F000", "42704")
_FULL = ("53100", "53200", "53300")


def _refused(text: str, place: Database) -> KosearchError:
    """The error of a connection that the server does not take: psycopg has no code for it, only the server's words."""
    if "too many" in text or "slots" in text:
        return ResourcesError(f"the server of {place} has no room: {text}", _HINTS["53300"])
    codes = {"password": "28P01", "pg_hba": "28000", "database": "3D000", "role": "no role"}
    code = next((code for word, code in codes.items() if word in text), "")
    return IndexStateError(f"the server of {place} refuses: {text}", _HINTS.get(code, "the server's log says more"))


def _ours(error: psycopg.Error, place: Database) -> KosearchError:
    """The error that a user sees: one line, and what to do."""
    code = error.sqlstate or ""
    said = error.diag.message_primary or str(error) or type(error).__name__
    text = " ".join(said.partition("\n")[0].split())  # libpq's advice, and what else it has tried, stand below
    if code in _ABSENT:
        return IndexMissing(f"there is no index in {place}: {text}", "make it: kosearch index PATH --index URL")
    if code in _MET or code == "55P03":
        return IndexBusy(f"others are writing to {place}: {text}", "run the command again")
    if code in _FULL:
        return ResourcesError(f"the server of {place} has no room: {text}", _HINTS.get(code, "try again later"))
    if code == "0A000" and "recovery" in text:  # of a standby, which has no code of its own for it
        return IndexStateError(f"the server of {place} says: {text}", _HINTS["25006"])
    if code == "0A000" and "row-level security" in text:
        return IndexStateError(f"the server of {place} says: {text}", _HINTS["42501"])
    if not code and "FATAL: " in said:
        return _refused(said.rpartition("FATAL: ")[2].partition("\n")[0].strip(), place)
    if code in _CUT or (not code and isinstance(error, psycopg.OperationalError)):
        hint = f"is the server running, and is it reached from here? psql {shlex.quote(place.url)}"
        if "password" in said:
            hint = _HINTS["28P01"]
        elif "certificate" in said:
            hint = "its certificate is for another name, or not by whoever sslrootcert names: do not go on without"
        return IndexStateError(f"the server of {place} does not answer: {text}", hint)
    denied = (hint for words, hint in _DENIED.items() if code == "42501" and words in text)
    hint = next(denied, _HINTS.get(code, "the server's log says more"))
    return IndexStateError(f"the server of {place} says: {text}", hint)
