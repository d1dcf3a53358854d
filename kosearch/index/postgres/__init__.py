"""An index that a PostgreSQL server keeps, with pgvector: many write and ask at once, and every commit is searchable.

Alone knows the package `psycopg`, and is imported only where an index is named by a URL.
"""

from __future__ import annotations

import hashlib
import hmac
import shlex
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any, NoReturn

from kosearch.config import INDEX_NAME, Database
from kosearch.errors import IndexDamaged, IndexMismatch, IndexMissing, IndexStateError, UsageError
from kosearch.index.contract import FileState, Globs, Identity, Status, StoredDocument, StoredFile
from kosearch.index.lexical import Counts
from kosearch.index.postgres import schema
from kosearch.index.postgres.rows import (
    DOCUMENT,
    FILE,
    document_of,
    file_state,
    identity_of,
    lines_of,
    placed,
    reason_of,
    run_of,
)
from kosearch.index.postgres.schema import State, hashes_in, lock_out, read_meta, read_state
from kosearch.index.postgres.segments import drop_segments, wrong_segments
from kosearch.index.postgres.server import Server, Session
from kosearch.index.postgres.snapshot import Kept, PostgresSnapshot
from kosearch.index.postgres.writer import (
    Owner,
    PostgresWriter,
    count_anew,
    known_files,
    roots_of,
    text_of,
)
from kosearch.records import Extracted, Skipped

_ROWS = 4096
_UNKNOWN = -1
"""As size and time: no file is like it, so the next run looks again."""


class PostgresStore:
    """An index in a schema of a database. One object may be used by several threads."""

    def __init__(self, place: Database, secret: bytes | None = None) -> None:
        """Open an index. Raises IndexMissing, IndexMismatch, and IndexStateError where the server does not answer."""
        self.ann = "auto"
        self.place = place
        self.server = Server(place)
        self._made: tuple[object, ...] = ()
        """Which index it is, and what its vectors are of, as it was opened…"""
        self._identity: Identity | None = None
        """…and what the latest transaction saw of its rules."""
        self._secret = secret
        self._lock = threading.Lock()
        self._kept = Kept("")
        self._own = False
        """Whether it was seen to be this user's: it stays so as long as it is there."""
        try:
            version = _older_version(self.server)
            if version is not None:
                raise IndexMismatch(
                    f"the index in {place} has format {version}, and this kosearch knows {schema.VERSION}",
                    f"whoever owns it brings it up to date for all: kosearch indexes upgrade {shlex.quote(str(place))}",
                )
            with suppress(IndexDamaged), self._reading():  # whoever reads it next is told, or mends it
                pass
        except BaseException:
            self.server.close()
            raise

    @classmethod
    def open(cls, place: Database, secret: bytes | None = None) -> PostgresStore:
        """The index there; as the class itself."""
        return cls(place, secret)

    @classmethod
    def create(cls, place: Database, identity: Identity, secret: bytes | None = None) -> PostgresStore:
        """Make an empty index. Raises IndexStateError where there is one, or the server does not allow it."""
        server = Server(place)
        try:
            server.install_extension()
            with server.writing() as session:
                session.run("SELECT pg_advisory_xact_lock(hashtextextended(%s, 0))", place.schema)
                if _is_there(session, place):
                    raise IndexStateError(f"there is an index in {place} already", "name another one: ?index=NAME")
                session.run(f'CREATE SCHEMA IF NOT EXISTS "{place.schema}"')
                schema.create(session, identity)
        finally:
            server.close()
        store = cls(place, secret)
        store.adopt()
        return store

    @classmethod
    def restore(cls, place: Database, source: Path, secret: bytes | None = None) -> PostgresStore:
        """Refused: the server's own tools do it."""
        _refuse(
            f"a backup of a folder cannot be restored into {place}",
            f"pg_restore, of what pg_dump -n {place.schema} wrote",
        )

    @classmethod
    def upgrade(cls, place: Database, secret: bytes | None = None) -> bool:
        """Bring the tables of an older version to this one's, as only their owner may; whether they were older.

        Nothing else does: kosearch of the older version, which others may have, does not open them any more.
        """
        server = Server(place)
        try:
            is_older = _older_version(server) is not None
            if is_older:
                server.again(schema.upgrade)
        finally:
            server.close()
        cls(place, secret).close()
        return is_older

    @staticmethod
    def exists(place: Database) -> bool:
        """Whether there is something that can be opened. Raises IndexStateError where the server does not say."""
        server = Server(place)
        try:
            with server.reading() as session:
                return _is_there(session, place)
        finally:
            server.close()

    @staticmethod
    def names_with(place: Database) -> list[str]:
        """The URLs of the indexes in that database, whether this user may open them or not, sorted.

        Raises IndexStateError where the server does not say.
        """
        sql = (
            "SELECT substr(nspname, 10) FROM pg_namespace n JOIN pg_class c ON c.relnamespace = n.oid"
            " WHERE c.relname = 'meta' AND nspname ~ %s ORDER BY nspname COLLATE \"C\""
        )
        server = Server(place)
        try:
            with server.reading() as session:
                found = session.rows(sql, f"^kosearch_{INDEX_NAME.pattern}$")
            return [str(replace(place, index=name)) for (name,) in found]
        finally:
            server.close()

    @staticmethod
    def delete(place: Database, *, wait: bool = False) -> None:
        """Remove an index with all it holds; a transaction that writes is waited for."""
        server = Server(place)
        try:
            with server.writing() as session:
                lock_out(session)
                session.run(f'DROP SCHEMA "{place.schema}" CASCADE')
        finally:
            server.close()

    @staticmethod
    def set_aside_strange_log(place: Database, *, wait: bool = False) -> None:
        """Nothing: a server looks after its own log."""

    @property
    def identity(self) -> Identity:
        """What made it, as it was seen latest: asked for amid a snapshot, it takes no second connection."""
        if self._identity is None:
            with self._reading() as (_, state):
                return state.identity
        return self._identity

    @contextmanager
    def snapshot(self, *, warm: bool = False) -> Iterator[PostgresSnapshot]:
        """The index as it is now, which stays the same inside, whatever others commit."""
        with self._reading() as (session, state):
            with self._lock:
                if self._kept.mark != state.mark:
                    self._kept = Kept(state.mark)
                kept = self._kept
            yield PostgresSnapshot(session, state, self.place.source, kept)

    @contextmanager
    def writer(self, *, wait: bool = False, brief: bool = False) -> Iterator[PostgresWriter]:
        """A writer, beside any others."""
        state = self.server.again(self._state, reading=True)
        yield PostgresWriter(self.server, state, self._secret)

    def is_own(self) -> bool:
        """Whether what it says may be followed here: nothing but a URL could send anything anywhere.

        Roots are each user's own in any case.
        """
        if not self._own and self._secret is not None:
            with self._reading() as (session, state):
                owner = Owner(state.id, self._secret)
                row = session.row("SELECT seal FROM owner WHERE id = %s", owner.id)
                sealed = row is not None and hmac.compare_digest(row[0].encode(), _seal(owner, state).encode())
                self._own = sealed or state.identity.endpoint is None
        return self._own

    def adopt(self) -> None:
        """Follow from now on, on this machine, what the index says as it is."""
        if self._secret is None:
            return
        with self._reading() as (_, state):
            pass
        owner = Owner(state.id, self._secret)
        sql = "INSERT INTO owner VALUES (%s, %s) ON CONFLICT (id) DO UPDATE SET seal = excluded.seal"
        self.server.again(lambda session: session.run(sql, owner.id, _seal(owner, state)))

    def is_there(self) -> bool:
        """Whether what was opened is still there, and no other in its stead."""
        try:
            with self._reading():
                return True
        except IndexMissing:
            return False

    def status(self) -> Status:
        """What it holds."""
        with self._reading() as (session, state):
            (files,) = session.row("SELECT count(*) FROM file")
            problems = dict(session.rows("SELECT reason, count(*) FROM problem GROUP BY reason ORDER BY reason"))
            (size,) = session.row(
                "SELECT coalesce(sum(pg_total_relation_size(oid)), 0)::bigint FROM pg_class"
                " WHERE relnamespace = current_schema()::regnamespace AND relkind = 'r'"
            )
            return Status(
                state.identity,
                state.generation,
                state.documents,
                state.passages,
                files,
                0,
                size,
                run_of(read_meta(session, "run")),
                problems,
                _ocr(session),
            )

    def written_since(self) -> datetime | None:
        """None: whoever writes is not waited for."""
        return None

    def roots(self) -> dict[bytes, Globs]:
        """The roots that this user named on this machine."""
        with self._reading() as (session, state):
            return roots_of(session, Owner(state.id, self._secret) if self._secret is not None else None)

    def files(self) -> dict[bytes, FileState]:
        """Every file of this machine that a run has looked at, by its raw path."""
        with self._reading() as (session, _):
            return {state.path_bytes: state for _, state in known_files(session, self.place.source)}

    def problems(self) -> list[Skipped]:
        """Files and parts of files that are not searchable, by path."""
        sql = "SELECT f.path, p.reason, p.detail, p.member FROM problem p JOIN file f ON f.id = p.file"
        with self._reading() as (session, _):
            found = [
                Skipped(path, reason_of(reason), detail, member) for path, reason, detail, member in session.rows(sql)
            ]
        return sorted(found, key=lambda one: (one.path, one.member))

    def recognised(self, picture: bytes) -> str | None:
        """What an engine has found in a picture, by the hash of its pixels."""
        with self._reading() as (session, _):
            row = session.row("SELECT body FROM recognised WHERE picture = %s ORDER BY engine LIMIT 1", picture)
            return None if row is None else str(row[0])

    def stored_files(self) -> Iterator[StoredFile]:
        """Every file that was looked at, of any machine, with all that its content gave."""
        sql = f"SELECT {FILE} FROM file f LEFT JOIN problem p ON p.file = f.id AND p.whole ORDER BY f.id"
        with self._reading() as (session, state):
            for row in session.rows(sql):
                yield _stored_file(PostgresSnapshot(session, state, self.place.source, Kept("")), session, row)

    def check(self) -> list[str]:
        """Verify everything that was written; a sentence for each thing that is wrong."""
        with self._reading() as (session, state):
            broken = [f"{path}: {what}" for _, path, what in (*_unreadable_files(session), *_broken(session, state))]
            broken += [what for _, what in _unreadable_meta(session)]
            if broken or not (wrong := [*_wrong_counts(session, state), *wrong_segments(session, state)]):
                return broken
            self._refuse_where_hidden(
                session, "whether the counts are right cannot be told by whom rows are hidden from"
            )
            return wrong

    def repair(self, *, wait: bool = False) -> list[str]:
        """Count anew, and give up what is not what was written; the paths of files to be read again."""
        lost: list[str] = []

        def work(session: Session) -> None:
            lock_out(session)
            self._refuse_where_hidden(session, "what is hidden would not be counted")
            _mend_meta(session, self.place)
            state = read_state(session, self.place)
            unreadable = list(_unreadable_files(session))
            _forget_files(session, [number for number, _, _ in unreadable])
            broken = list(_broken(session, state))
            lost[:] = sorted({path for _, path, _ in (*unreadable, *broken)})
            numbers = [number for number, _, _ in broken]
            session.run("UPDATE file SET hash = '' WHERE id IN (SELECT file FROM document WHERE id = ANY(%s))", numbers)
            session.run("DELETE FROM document WHERE id = ANY(%s)", numbers)
            if numbers or any(_wrong_counts(session, state)):
                count_anew(session, state.identity.fields)
            if any(wrong_segments(session, state)):
                drop_segments(session)

        self.server.again(work)
        with self.writer() as writer:
            writer.publish()
        return lost

    def backup(self, target: Path) -> None:
        """Refused: the server's own tools do it."""
        _refuse(f"{self.place} is backed up by its server's tools", f"pg_dump -n {self.place.schema} DATABASE")

    def close(self) -> None:
        """Close the connections that are kept."""
        self.server.close()

    @contextmanager
    def _reading(self) -> Iterator[tuple[Session, State]]:
        """A transaction, and what it sees of the index that was opened. Raises IndexMissing where that is gone."""
        with self.server.reading() as session:
            yield session, self._state(session)

    def _refuse_where_hidden(self, session: Session, why: str) -> None:
        """See that no policy of the server's may hide a row. Raises IndexStateError."""
        sql = (
            "SELECT bool_or(row_security_active(oid)) FROM pg_class WHERE relnamespace = current_schema()::regnamespace"
            " AND relname IN ('file', 'document', 'passage', 'lexicon', 'text')"
        )
        if session.row(sql)[0]:
            raise IndexStateError(f"policies hide rows of the index in {self.place}: {why}", "its owner sees all")

    def _state(self, session: Session) -> State:
        state = read_state(session, self.place)
        identity = state.identity
        made = (state.id, identity.model, identity.fingerprint, repr(identity.endpoint))
        if made != (self._made or made):
            raise IndexMissing(f"the index in {self.place} was removed, and another made", "run the command again")
        self._made, self._identity = made, identity
        return state


def _is_there(session: Session, place: Database) -> bool:
    return session.row("SELECT to_regclass(%s) IS NOT NULL", f'"{place.schema}".meta')[0] is True


def _older_version(server: Server) -> int | None:
    """The version that made the tables; None where that is this one, or none that is known here."""
    with server.reading() as session:
        version = schema.read_version(session)
    return version if version is not None and 0 < version < schema.VERSION else None


def _seal(owner: Owner, state: State) -> str:
    return owner.seal(state.identity.model, repr(state.identity.endpoint))


def _refuse(what: str, instead: str) -> NoReturn:
    raise UsageError(what, instead)


def _ocr(session: Session) -> dict[str, int]:
    """What came of the pictures in files."""
    waiting, unread = "reader LIKE '%ocr/waiting%'", "(reader LIKE '%ocr/none%' OR reader LIKE '%ocr/off%')"
    files, waits, not_read = session.row(
        f"SELECT count(*), count(*) FILTER (WHERE {waiting}), count(*) FILTER (WHERE {unread})"
        " FROM file WHERE reader LIKE '%ocr/%'"
    )
    if not files:
        return {}
    unsure = "body LIKE '{%' AND (body::json ->> 'confidence')::float < 0.7"
    pictures, doubtful = session.row(f"SELECT count(*), count(*) FILTER (WHERE {unsure}) FROM recognised")
    counts = {"waiting": waits, "unread": not_read, "pictures": pictures, "unsure": doubtful}
    return {"read": files - waits - not_read, **counts}


def _stored_file(snapshot: PostgresSnapshot, session: Session, row: Any) -> StoredFile:
    number, path, state = row[0], row[1], file_state(row)
    rows = session.rows(f"SELECT {DOCUMENT} FROM document d WHERE d.file = %s ORDER BY d.id", number)
    documents = [document_of(one, "") for one in rows]
    partial = session.rows("SELECT reason, detail, member FROM problem WHERE file = %s AND NOT whole", number)
    extracted = []
    for one in documents:
        headings, pages, ocr = snapshot.whole_structure(one.id)
        extracted.append(
            Extracted(
                text=text_of(session, one.id),
                kind=one.kind,
                title=one.title,
                member=one.member,
                headings=headings,
                pages=pages,
                metadata=one.metadata,
                ocr=ocr,
            )
        )
    return StoredFile(
        path,
        state,
        next(((one.size, one.mtime_ns) for one in documents), (state.size, state.mtime_ns)),
        tuple(extracted),
        tuple(Skipped(path, reason_of(reason), detail, member) for reason, detail, member in partial),
    )


def _mend_meta(session: Session, place: Database) -> None:
    """Give up what can be done without, or made anew of the passages, where it cannot be read.

    Raises IndexDamaged where it is what made the index: of that there is nothing else.
    """
    for key, _ in list(_unreadable_meta(session)):
        schema.write_meta(session, key, None)
    try:
        read_state(session, place)
    except IndexDamaged:
        fields = identity_of(read_meta(session, "identity")).fields
        counts = "(greatest(generation, 0), 0, 0, %s::bigint[])"
        session.run(f"UPDATE slot SET (generation, documents, passages, totals) = {counts}", [0] * len(fields))
        drop_segments(session)


def _unreadable_meta(session: Session) -> Iterator[tuple[str, str]]:
    """What no answer depends on, and cannot be read: its key, what."""
    for key, read in (("run", run_of), ("new terms", bool)):
        try:
            read(read_meta(session, key))
        except IndexDamaged as error:
            yield key, error.message


def _unreadable_files(session: Session) -> Iterator[tuple[int, str, str]]:
    """Files of which what a run has seen of them cannot be read: number, path, what."""
    sql = f"SELECT {FILE} FROM file f LEFT JOIN problem p ON p.file = f.id ORDER BY f.id"
    for row in session.rows(sql):
        try:
            file_state(row)
        except IndexDamaged as error:
            yield row[0], row[1], error.message


def _forget_files(session: Session, numbers: Sequence[int]) -> None:
    """The next run reads these files again; what they have stays searchable until then."""
    session.run("DELETE FROM problem WHERE file = ANY(%s)", numbers)
    nothing = ("", _UNKNOWN, _UNKNOWN, _UNKNOWN, _UNKNOWN)
    sql = "UPDATE file SET (hash, size, mtime_ns, ctime_ns, inode) = (%s, %s, %s, %s, %s) WHERE id = ANY(%s)"
    session.run(sql, *nothing, numbers)


def _broken(session: Session, state: State) -> Iterator[tuple[int, str, str]]:
    """Documents of which something is not what was written: number, path, what."""
    snapshot = PostgresSnapshot(session, state, "", Kept(""))
    for row in session.rows(f"SELECT {DOCUMENT} FROM document d ORDER BY d.id"):
        try:
            what = _wrong(session, snapshot, document_of(row, ""))
        except IndexDamaged as error:
            what = error.message
        if what:
            yield row[0], row[3], what


def _wrong(session: Session, snapshot: PostgresSnapshot, document: StoredDocument) -> str:
    """What about a document is not what was written; empty where all is. Raises IndexDamaged."""
    fields = snapshot.identity.fields
    snapshot.structure(document.id)
    text = text_of(session, document.id)
    rows = session.rows(
        "SELECT p.place, l.document, l.terms, l.hashed FROM passage p LEFT JOIN lexicon l ON l.passage = p.id"
        " WHERE p.document = %s ORDER BY p.id",
        document.id,
    )
    places = [placed(place) for place, *_ in rows]
    if len(text) != document.length or hashlib.sha256(text.encode()).hexdigest() != document.text_hash:
        return "its text is not what was written"
    if [ordinal for ordinal, _ in places] != list(range(document.passages)):
        return "its passages are not those that were written"
    if not all(0 <= one.start <= one.end <= document.length for _, one in places):
        return "a passage lies outside of it"
    if not all(
        of == document.id and hashed == hashes_in(fields, lines_of(terms, fields)) for _, of, terms, hashed in rows
    ):
        return "the words of a passage are not those that were written"
    return ""


def _wrong_counts(session: Session, state: State) -> Iterator[str]:
    fields = state.identity.fields
    counts = Counts(fields)
    for rows in session.stream("SELECT terms FROM lexicon ORDER BY passage", _ROWS):
        for (blob,) in rows:
            counts.add(lines_of(blob, fields))
    (documents,) = session.row("SELECT count(*) FROM document")
    if (counts.passages, counts.totals, documents) != (state.passages, dict(state.totals), state.documents):
        yield "the totals are not those of the passages"
    expected = {name: count for row in counts.by_bucket().values() for name, count in row.items()}
    sql = "SELECT min(field), min(term), sum(count)::bigint FROM frequency GROUP BY hash HAVING sum(count) <> 0"
    if {f"{field} {term}": count for field, term, count in session.rows(sql)} != expected:
        yield "the counts of terms are not those of the passages"
