"""The database of an index: its tables and their versions, how it is opened, how rows are checked, and backups."""

from __future__ import annotations

import json
import os
import re
import sqlite3
import struct
import zlib
from bisect import bisect_left
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager, suppress
from dataclasses import asdict
from itertools import compress
from pathlib import Path
from typing import Any
from weakref import WeakSet

import numpy as np
from numpy.typing import NDArray

from kosearch.errors import IndexBusy, IndexDamaged, IndexMismatch, IndexMissing, IndexStateError, UsageError
from kosearch.index.contract import Identity
from kosearch.index.files import step, sync_folder

NAME = "index.sqlite"
BESIDE = ("synonyms.txt", "words.txt")
"""What a user may write and put beside it: `terms.dictionaries` reads them, and a backup takes them along."""
APPLICATION = 0x6B6F7365
"""SQLite's application id of an index: "kose"."""
BUSY_SECONDS = 30.0
_NO_ROOM = frozenset({sqlite3.SQLITE_FULL, sqlite3.SQLITE_IOERR, sqlite3.SQLITE_CANTOPEN})
_NO_RIGHT = frozenset({sqlite3.SQLITE_READONLY, sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_IOERR, sqlite3.SQLITE_PERM})

MIGRATIONS: tuple[tuple[str, ...], ...] = (
    (
        "CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL, checksum INTEGER NOT NULL)",
        "CREATE TABLE root (raw BLOB PRIMARY KEY, globs TEXT NOT NULL) WITHOUT ROWID",
        # The work state: what the next run compares files with. Answers never depend on it.
        (
            "CREATE TABLE file (id INTEGER PRIMARY KEY, raw BLOB NOT NULL UNIQUE, path TEXT NOT NULL,"
            " root BLOB NOT NULL, size INTEGER NOT NULL, mtime_ns INTEGER NOT NULL, hash TEXT NOT NULL,"
            " documents INTEGER NOT NULL DEFAULT 0, moved INTEGER NOT NULL DEFAULT 0)"
        ),
        "CREATE INDEX file_moved ON file (id) WHERE moved = 1",
        (
            "CREATE TABLE problem (file_id INTEGER NOT NULL REFERENCES file (id) ON DELETE CASCADE,"
            " whole INTEGER NOT NULL, member TEXT NOT NULL, reason TEXT NOT NULL, detail TEXT NOT NULL)"
        ),
        "CREATE INDEX problem_file ON problem (file_id)",
        # A document has its own copy of its file's name and times: readers see those of its generation.
        (
            "CREATE TABLE document (id INTEGER PRIMARY KEY AUTOINCREMENT,"
            " file_id INTEGER REFERENCES file (id) ON DELETE SET NULL, raw BLOB NOT NULL, path TEXT NOT NULL,"
            " member TEXT NOT NULL, kind TEXT NOT NULL, title TEXT NOT NULL, metadata TEXT NOT NULL,"
            " text_hash TEXT NOT NULL, length INTEGER NOT NULL, passages INTEGER NOT NULL, size INTEGER NOT NULL,"
            " mtime_ns INTEGER NOT NULL, published INTEGER NOT NULL DEFAULT 0,"
            " retired INTEGER NOT NULL DEFAULT 0, checksum INTEGER NOT NULL)"
        ),
        "CREATE INDEX document_file ON document (file_id)",
        "CREATE INDEX document_hash ON document (text_hash)",
        "CREATE INDEX document_pending ON document (id) WHERE published = 0",
        "CREATE INDEX document_retired ON document (id) WHERE retired = 1",
        # Text in parts of equal length, so that showing a passage of a long book does not read the book.
        (
            "CREATE TABLE text (document_id INTEGER NOT NULL REFERENCES document (id) ON DELETE CASCADE,"
            " part INTEGER NOT NULL, body BLOB NOT NULL)"
        ),
        "CREATE UNIQUE INDEX text_part ON text (document_id, part)",
        (
            "CREATE TABLE passage (id INTEGER PRIMARY KEY AUTOINCREMENT,"
            " document_id INTEGER NOT NULL REFERENCES document (id) ON DELETE CASCADE, place TEXT NOT NULL,"
            " checksum INTEGER NOT NULL, input_hash BLOB NOT NULL, vector BLOB NOT NULL, terms BLOB NOT NULL)"
        ),
        "CREATE INDEX passage_document ON passage (document_id)",
        "CREATE INDEX passage_input ON passage (input_hash)",
        # Term counts by the hash of their names: a row that must exist says so when a term does not.
        "CREATE TABLE term (bucket INTEGER PRIMARY KEY, counts BLOB NOT NULL)",
    ),
    (
        # More of the work state. Of files that the first format knew, none of this is known until they are read again.
        "ALTER TABLE file ADD COLUMN ctime_ns INTEGER NOT NULL DEFAULT 0",
        "ALTER TABLE file ADD COLUMN inode INTEGER NOT NULL DEFAULT 0",
        "ALTER TABLE file ADD COLUMN reader TEXT NOT NULL DEFAULT ''",
        "ALTER TABLE file ADD COLUMN limits TEXT NOT NULL DEFAULT ''",
        # Headings stand once: passages of the first format hold theirs, later ones name them by number.
        (
            "CREATE TABLE heading (document_id INTEGER NOT NULL REFERENCES document (id) ON DELETE CASCADE,"
            " number INTEGER NOT NULL, title BLOB NOT NULL, PRIMARY KEY (document_id, number)) WITHOUT ROWID"
        ),
        # Terms by new rules, until there are those of every passage.
        (
            "CREATE TABLE new_terms (passage_id INTEGER PRIMARY KEY REFERENCES passage (id) ON DELETE CASCADE,"
            " terms BLOB NOT NULL)"
        ),
    ),
    # Names of an index that moves with a folder are stored from there (`names`). The tables stay what they are.
    (),
)
VERSION = len(MIGRATIONS)
WORK_STATE, MOVING_NAMES = 2, 3
"""The formats that brought them."""


class Connection(sqlite3.Connection):
    """How a database was opened."""

    is_shared = True
    """Whether others may use the database at the same time; else the connection is to be closed after use."""
    is_writable = True
    """Whether the index could be written by somebody who wants to."""
    frozen: Mapping[Path, tuple[int, int] | None] | None = None
    """Where nothing can be written, not even what readers share: the files that are read, as they were."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        _open_ones.add(self)


_open_ones: WeakSet[Connection] = WeakSet()


def close_all() -> None:
    """Close what this process has open, as its usual end would: SQLite then folds its log into the file."""
    for connection in list(_open_ones):
        with suppress(sqlite3.Error):
            connection.close()


@contextmanager
def translated(directory: Path) -> Iterator[None]:
    """Turn SQLite's errors into ours."""
    try:
        yield
    except sqlite3.DatabaseError as error:
        code = getattr(error, "sqlite_errorcode", 0) & 0xFF
        # Text that is no UTF-8 any more is an error of Python's own, without a code.
        # A table or column that is not named as we name it: its definition has a flipped byte.
        renamed = code == sqlite3.SQLITE_ERROR and ("no such table" in str(error) or "column" in str(error))
        if renamed or code in {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB} or "decode" in str(error):
            raise IndexDamaged(f"the index in {directory} is damaged: {error}", REPAIR) from error
        if code in {
            sqlite3.SQLITE_FULL,
            sqlite3.SQLITE_IOERR,
            sqlite3.SQLITE_READONLY,
            sqlite3.SQLITE_CANTOPEN,
            sqlite3.SQLITE_BUSY,
            sqlite3.SQLITE_PROTOCOL,  # locks that do not do what locks do
        }:
            raise IndexStateError(
                f"the index in {directory} cannot be read or written: {error}",
                "look at the disk's space and the folder's permissions, then run the command again",
            ) from error
        raise


def exists(directory: Path) -> bool:
    """Whether a folder has a database."""
    return os.path.exists(directory / NAME)


def file_of(directory: Path) -> tuple[int, int]:
    """Device and inode of the database of an index. Raises IndexMissing."""
    try:
        status = os.stat(directory / NAME)
    except OSError as error:
        raise IndexMissing(f"there is no index in {directory}", "kosearch index PATH") from error
    return status.st_dev, status.st_ino


def connect(directory: Path, *, write: bool) -> Connection:
    """Open the database of an index and see that it is one, and of a version we know: ours, or an older one.

    Raises IndexMissing, IndexMismatch, IndexDamaged.
    """
    path = directory / NAME
    file_of(directory)
    try:
        connection = _open(path, write=write)
    except sqlite3.OperationalError as error:
        code = getattr(error, "sqlite_errorcode", 0) & 0xFF
        if not write and code in _NO_RIGHT and not _is_writable(directory):
            connection = _open_frozen(path)
        elif not write and code in _NO_ROOM:
            # To share with others, the first reader needs 32 kB on the disk: on a full one it reads alone.
            connection = _open(path, write=False, alone=True)
        else:
            raise
    try:
        connection.is_writable = _is_writable(directory)
        application, _ = _versions(connection)
        if not path.stat().st_size:
            raise damaged(NAME)
        if application != APPLICATION:
            raise IndexMismatch(f"{path} is not an index of kosearch", "kosearch query --index NAME_OR_DIR")
        refuse_newer(connection, directory)
    except BaseException:
        connection.close()
        raise
    return connection


def refuse_changed(connection: Connection, directory: Path) -> None:
    """See that files that are read without a lock stayed as they were. Raises IndexBusy.

    Nobody can write on a CD, but where only this machine cannot, another one may.
    """
    if connection.frozen is not None and connection.frozen != _states(directory / NAME):
        raise IndexBusy(f"the index in {directory} was changed from elsewhere while it was read", "ask again")


def refuse_newer(connection: sqlite3.Connection, directory: Path) -> None:
    """See that no newer version brought the tables to its format. Raises IndexMismatch."""
    _, version = _versions(connection)
    if version > VERSION:
        raise IndexMismatch(
            f"the index in {directory} has format {version}, and this kosearch knows {VERSION}",
            "pip install --upgrade kosearch",
        )


def is_current(connection: sqlite3.Connection) -> bool:
    """Whether the database has the tables of this version."""
    return _versions(connection)[1] == VERSION


def format_of(connection: sqlite3.Connection) -> int:
    """The format that the database's tables have."""
    return _versions(connection)[1]


def set_aside_strange_log(directory: Path) -> None:
    """Keep the database without its log where it is whole alone and not with it. The caller holds the lock.

    A backup copied over an index whose last run was killed meets that run's log. SQLite plays any log whose own
    checksums are right, and would write it into the database for good.
    """
    path = directory / NAME
    log = _log(path)
    if not _has_log(path) or _is_sound(path) or not _is_sound(path, "&immutable=1"):
        return
    log.replace(log.with_name(f"{log.name}.set-aside"))
    path.with_name(f"{NAME}-shm").unlink(missing_ok=True)
    sync_folder(directory)


def _is_sound(path: Path, options: str = "") -> bool:
    """Whether SQLite finds its own structure in order. Reads all of the database, and writes nothing."""
    try:
        connection = _open(path, write=False, options=options)
        try:
            return connection.execute("PRAGMA quick_check(1)").fetchall() == [("ok",)]
        finally:
            connection.close()
    except sqlite3.DatabaseError:
        return False


def create(directory: Path, identity: Identity, seal: Callable[[Connection], None] | None = None) -> None:
    """Make the database of an empty index, and seal it: whole, or not at all. The caller holds the lock."""
    path = directory / f"{NAME}.new"
    for leftover in directory.glob(f"{path.name}*"):
        leftover.unlink()
    os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))
    with translated(directory):
        connection = _open(path, write=True)
        try:
            # Both must be set before the first page is written.
            connection.execute("PRAGMA page_size = 8192")
            connection.execute("PRAGMA auto_vacuum = INCREMENTAL")
            migrate(connection, identity)
            if seal is not None:
                seal(connection)
            connection.execute("PRAGMA journal_mode = WAL")
        finally:
            connection.close()
    step("database made")
    path.rename(directory / NAME)
    step("database named")
    sync_folder(directory)


def migrate(connection: sqlite3.Connection, identity: Identity | None = None) -> None:
    """Bring the tables to this version in one transaction; with an identity, fill a new database."""
    with transaction(connection):
        for number in range(_versions(connection)[1], VERSION):
            for statement in MIGRATIONS[number]:
                connection.execute(statement)
            step(f"format {number + 1} made")
        connection.execute(f"PRAGMA application_id = {APPLICATION}")
        connection.execute(f"PRAGMA user_version = {VERSION}")
        if identity:
            empty = encode_counts({})
            connection.executemany(
                "INSERT INTO term VALUES (?, ?)", ((number, seal(empty, number)) for number in range(BUCKETS))
            )
            write_identity(connection, identity)
            write_meta(connection, "run", None)
            state = {"generation": 0, "manifest": "", "documents": 0, "passages": 0}
            write_meta(connection, "state", state | {"totals": dict.fromkeys(identity.fields, 0)})


@contextmanager
def transaction(connection: sqlite3.Connection) -> Iterator[None]:
    """All that is written inside is committed together, or not at all. May be nested."""
    if connection.in_transaction:
        yield
        return
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield
        step("before commit")
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise
    step("after commit")


def read_meta(connection: sqlite3.Connection, key: str) -> Any:
    """A value of the table `meta`. Raises IndexDamaged."""
    row = connection.execute("SELECT value, checksum FROM meta WHERE key = ?", (key,)).fetchone()
    if row is None or row[1] != checksum(key, row[0]):
        raise damaged(f"its {key}")
    return json.loads(row[0])


def read_optional_meta(connection: sqlite3.Connection, key: str) -> Any:
    """The same, where there may be none: None."""
    known = connection.execute("SELECT 1 FROM meta WHERE key = ?", (key,)).fetchone()
    return read_meta(connection, key) if known else None


def write_meta(connection: sqlite3.Connection, key: str, value: Any) -> None:
    """Set a value of the table `meta`."""
    text = json.dumps(value, ensure_ascii=False)
    connection.execute("INSERT OR REPLACE INTO meta VALUES (?, ?, ?)", (key, text, checksum(key, text)))


def read_identity(connection: sqlite3.Connection) -> Identity:
    """What made the index. Raises IndexDamaged."""
    stored = read_meta(connection, "identity")
    words = words_of(read_optional_meta(connection, "words") or [])
    return Identity(**stored | {"fields": tuple(stored["fields"]), "words": words})


def words_of(stored: Any) -> tuple[str, ...]:
    """A user's own words as they were kept. An index may come from anybody, and these are loaded into the analyser."""
    if not isinstance(stored, list) or not all(isinstance(one, str) and one.isprintable() and one for one in stored):
        raise damaged("its words")
    return tuple(stored)


def write_identity(connection: sqlite3.Connection, identity: Identity) -> None:
    """Set what made the index. Words stand by themselves: versions that know none read the rest."""
    stored = asdict(identity)
    write_meta(connection, "words", stored.pop("words"))
    write_meta(connection, "identity", stored)


def _open(path: Path, *, write: bool, alone: bool = False, options: str = "") -> Connection:
    """Autocommit: every transaction in this package is begun by name. `alone` keeps everybody else out.

    Whoever may write and closes last brings the log home. A reader does so only where it found none: a log that was
    left may be one that does not belong to the database.
    """
    mode = "rw" if write or (os.access(path, os.W_OK) and not _has_log(path)) else "ro"
    connection: Connection = sqlite3.connect(
        f"{path.absolute().as_uri()}?mode={mode}{options}",
        uri=True,
        timeout=BUSY_SECONDS,
        isolation_level=None,
        check_same_thread=False,
        factory=Connection,
    )
    try:
        if alone:
            connection.execute("PRAGMA locking_mode = EXCLUSIVE")
            connection.is_shared = False
        connection.execute("PRAGMA foreign_keys = ON")
        connection.execute("PRAGMA synchronous = FULL")
        connection.execute("PRAGMA temp_store = MEMORY")
        # The hashes of passages come in no order: without their index in memory each insertion reads a page.
        connection.execute(f"PRAGMA cache_size = {-65536 if write else -8192}")
        if not write:
            connection.execute("PRAGMA query_only = ON")
        connection.create_function("row_checksum", -1, checksum, deterministic=True)
    except BaseException:
        connection.close()
        raise
    return connection


def _open_frozen(path: Path) -> Connection:
    """Open a database beside which nothing can be written: a read-only mount, a CD, files without the right to write.

    Readers share an index of the log in a file. Without one it is made in memory by whoever reads alone and needs no
    lock; where there is no log, there is none to be made.
    """
    states = _states(path)
    log = states[_log(path)]
    alone = log is not None and log[0] > 0
    connection = _open(path, write=False, alone=alone, options="&vfs=unix-none" if alone else "&immutable=1")
    connection.frozen = states
    connection.is_shared = False
    return connection


def _states(path: Path) -> dict[Path, tuple[int, int] | None]:
    """Size and time of a database and its log; None for one that is not there."""
    states: dict[Path, tuple[int, int] | None] = {}
    for one in (path, _log(path)):
        try:
            status = os.stat(one)
            states[one] = (status.st_size, status.st_mtime_ns)
        except OSError:
            states[one] = None
    return states


def _log(path: Path) -> Path:
    return path.with_name(f"{path.name}-wal")


def _has_log(path: Path) -> bool:
    """Whether something was committed that is not in the database itself yet."""
    try:
        return _log(path).stat().st_size > 0
    except OSError:
        return False


def _is_writable(directory: Path) -> bool:
    """Whether an index can be written: its folder, and the files in it that there are."""
    names = (directory, *(directory / f"{NAME}{end}" for end in ("", "-wal", "-shm")))
    return all(os.access(one, os.W_OK) for one in names if os.path.exists(one))


def _versions(connection: sqlite3.Connection) -> tuple[int, int]:
    """Application id and format version."""
    application = connection.execute("PRAGMA application_id").fetchone()[0]
    return application, connection.execute("PRAGMA user_version").fetchone()[0]


# How rows are checked, and how term counts become blobs.
#
# SQLite's own checks miss most flipped bits inside a row, so every row that an answer depends on carries a CRC-32 over
# its values and its key. A wrong one raises IndexDamaged.

REPAIR = "kosearch repair"
BUCKETS = 4096
"""Rows of the table of term counts: at two million terms, a question's 30 terms read 300 kB."""
_SEAL = 4
_SURROGATES = re.compile("[\ud800-\udfff]")


def damaged(what: str) -> IndexDamaged:
    """The error for a row that is not what was written."""
    return IndexDamaged(f"the index is damaged: {what} is not what was written", REPAIR)


_UNREADABLE = (ValueError, TypeError, LookupError, AttributeError, ArithmeticError, RecursionError, zlib.error)
"""What decoding raises of bytes that nobody encoded, and of values that are not of the kind that was meant."""


@contextmanager
def decoding(what: str) -> Iterator[None]:
    """Turn what goes wrong while a row's values are decoded into IndexDamaged."""
    try:
        yield
    except _UNREADABLE as error:
        raise damaged(what) from error


def storable(text: str) -> str:
    """The text with lone surrogates, which UTF-8 cannot hold, as U+FFFD: no offset changes."""
    return text if text.isascii() else _SURROGATES.sub("\ufffd", text)


def storable_integer(number: int) -> int | bytes:
    """An integer as SQLite can hold it: itself within 64 bits, else its decimal digits as a blob."""
    return number if -(1 << 63) <= number < 1 << 63 else str(number).encode()


def integer_of(stored: int | bytes) -> int:
    """What `storable_integer` was given. Raises IndexDamaged."""
    try:
        return int(stored)
    except (TypeError, ValueError) as error:
        raise damaged("a size or a time") from error


def checksum(*values: str | bytes | int | None) -> int:
    """CRC-32 of a row's values."""
    plain = [value.hex() if isinstance(value, bytes) else str(value) for value in values]
    return zlib.crc32("\0".join(plain).encode())


def seal(data: bytes, *key: int) -> bytes:
    """A blob that `unseal` accepts only whole, and only under the same key."""
    return _crc(data, key) + data


def unseal(blob: bytes, what: str, *key: int) -> bytes:
    """The data that was sealed.

    Raises IndexDamaged, naming `what` and the key.
    """
    # Where a flipped bit changed the type of the value, it is not even bytes.
    if not isinstance(blob, bytes) or _crc(blob[_SEAL:], key) != blob[:_SEAL]:
        raise damaged(f"{what} {' '.join(map(str, key))}")
    return blob[_SEAL:]


def encode_counts(counts: Mapping[str, int]) -> bytes:
    """Names with positive counts → names on lines, then as many uint32."""
    names = sorted(counts)
    text = "\n".join(names).encode()
    return struct.pack("<I", len(text)) + text + np.array([counts[name] for name in names], dtype="<u4").tobytes()


def decode_counts(data: bytes) -> dict[str, int]:
    """What `encode_counts` made."""
    (size,) = struct.unpack_from("<I", data)
    if not size:
        return {}
    numbers: NDArray[np.uint32] = np.frombuffer(data, dtype="<u4", offset=4 + size)
    return dict(zip(data[4 : 4 + size].decode().split("\n"), numbers.tolist(), strict=True))


def changed_counts(data: bytes, changes: Mapping[str, int]) -> bytes:
    """What `encode_counts` makes of the counts that it made this of, with changes added: they are not all decoded.

    Raises ValueError where one would be below 0.
    """
    (size,) = struct.unpack_from("<I", data)
    names = data[4 : 4 + size].split(b"\n") if size else []
    counts = list(struct.unpack_from(f"<{len(names)}I", data, 4 + size))
    for name, change in changes.items():
        key = name.encode()
        place = bisect_left(names, key)  # in the order of code points, as strings are
        if place == len(names) or names[place] != key:
            names.insert(place, key)
            counts.insert(place, 0)
        counts[place] += change
    if min(counts, default=0) < 0:
        raise ValueError("a count below 0")
    if not all(counts):
        names, counts = list(compress(names, counts)), list(filter(None, counts))
    text = b"\n".join(names)
    return struct.pack("<I", len(text)) + text + struct.pack(f"<{len(counts)}I", *counts)


def count_of(data: bytes, name: str) -> int:
    """One of the counts that `encode_counts` took, 0 where it is not there: sooner than decoding them all."""
    (size,) = struct.unpack_from("<I", data)
    names = b"\n%b\n" % data[4 : 4 + size]
    place = names.find(b"\n%b\n" % name.encode())
    if place < 0:
        return 0
    (count,) = struct.unpack_from("<I", data, 4 + size + 4 * names.count(b"\n", 0, place))
    return int(count)


def bucket(name: str) -> int:
    """The row of the table of term counts that holds this name."""
    return zlib.crc32(name.encode()) % BUCKETS


def _crc(data: bytes, key: tuple[int, ...]) -> bytes:
    return zlib.crc32(data, zlib.crc32(struct.pack(f"<{len(key)}q", *key))).to_bytes(_SEAL, "little")


# One file that holds an index, made beside a running writer, and an index made of such a file.
#
# The file is a database like the index's own, without what is derived from it: that is built anew.


def read_beside(directory: Path) -> dict[str, str]:
    """The files of the user's own words that stand in an index's folder: name → text. Raises UsageError."""
    found = {}
    for name in BESIDE:
        try:
            found[name] = (directory / name).read_text(encoding="utf-8")
        except FileNotFoundError:
            continue
        except (OSError, UnicodeDecodeError) as error:
            raise UsageError(f"cannot read {directory / name}: {error}", "it is a text file in UTF-8") from error
    return found


def write_beside(copy: sqlite3.Connection, beside: Mapping[str, str]) -> None:
    """Put what `read_beside` found into a backup."""
    if beside:
        write_meta(copy, "beside", beside)


def write_backup(
    connection: sqlite3.Connection, target: Path, finish: Callable[[sqlite3.Connection], None] | None = None
) -> None:
    """Write what the connection's transaction sees into a new file: whole, or not at all; `finish` adds to the copy.

    Raises UsageError.
    """
    if os.path.lexists(target):
        raise UsageError(f"{target} is there already", "name a new file: no backup is written over")
    if not target.parent.is_dir():
        raise UsageError(f"{target.parent} is no folder", "name a file in one that is there")
    scratch = target.with_name(f".{target.name}-{os.getpid()}.new")
    try:
        os.close(os.open(scratch, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600))
        copy = sqlite3.connect(scratch, isolation_level=None)
        try:
            connection.backup(copy)
            if finish is not None:
                finish(copy)
            copy.execute("PRAGMA journal_mode = DELETE")  # one file, without a log beside it
        finally:
            copy.close()
        _sync_backup(scratch)
        step("backup written")
        os.link(scratch, target)  # unlike a renamed file it takes nobody's place
        _sync_backup(target.parent)
    except OSError as error:
        raise UsageError(f"{target} cannot be written: {error}", "name a file where there is room") from error
    finally:
        for leftover in (scratch, Path(f"{scratch}-journal"), Path(f"{scratch}-wal"), Path(f"{scratch}-shm")):
            leftover.unlink(missing_ok=True)


def check_backup(source: Path) -> None:
    """See that a file is what `write_backup` wrote. Raises UsageError, IndexMismatch, IndexDamaged."""
    if not source.is_file():
        raise UsageError(f"there is no file {source}", "kosearch indexes backup FILE makes one")
    with _backup_opened(source) as backup:
        if backup.execute("PRAGMA application_id").fetchone()[0] != APPLICATION:
            raise UsageError(f"{source} is no backup of an index", "kosearch indexes backup FILE makes one")
        version = backup.execute("PRAGMA user_version").fetchone()[0]
        if version > VERSION:
            raise IndexMismatch(
                f"{source} has format {version}, and this kosearch knows {VERSION}",
                "pip install --upgrade kosearch",
            )
        finding = backup.execute("PRAGMA quick_check(1)").fetchone()[0]
        if finding != "ok":
            raise IndexDamaged(f"{source} is damaged: {finding}", "take another backup")


def restore_backup(source: Path, directory: Path) -> None:
    """Make the database of an index of what `write_backup` wrote: whole, or not at all. The caller holds the lock."""
    path = directory / f"{NAME}.new"
    for leftover in directory.glob(f"{path.name}*"):
        leftover.unlink()
    os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))
    with _backup_opened(source) as backup, closing(sqlite3.connect(path, isolation_level=None)) as connection:
        backup.backup(connection)
        beside = read_optional_meta(connection, "beside") or {}
        connection.execute("DELETE FROM meta WHERE key = 'beside'")
        connection.execute("PRAGMA journal_mode = WAL")
    if not isinstance(beside, dict) or not all(name in BESIDE and isinstance(beside[name], str) for name in beside):
        raise damaged("the words beside it")  # a backup may come from anybody, and these are names of files
    for name, text in beside.items():
        if not os.path.lexists(directory / name):
            (directory / name).write_text(text, encoding="utf-8")
    _sync_backup(path)
    step("restored database made")
    path.rename(directory / NAME)
    step("restored database named")
    sync_folder(directory)


def derive(connection: sqlite3.Connection, directory: Path, change: Callable[[Connection], None]) -> None:
    """Make the database of an index of what the connection's transaction sees, changed: whole, or not at all.

    The caller holds the lock.
    """
    path = directory / f"{NAME}.new"
    for leftover in directory.glob(f"{path.name}*"):
        leftover.unlink()
    os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))
    with translated(directory), closing(_open(path, write=True)) as copy:
        connection.backup(copy)
        for setting in ("journal_mode = OFF", "synchronous = OFF"):  # nobody sees it before it is whole
            copy.execute(f"PRAGMA {setting}")
        change(copy)
        copy.execute("PRAGMA journal_mode = WAL")
    _sync_backup(path)
    step("derived database made")
    path.rename(directory / NAME)
    step("derived database named")
    sync_folder(directory)


@contextmanager
def _backup_opened(source: Path) -> Iterator[sqlite3.Connection]:
    try:
        with closing(sqlite3.connect(f"{source.absolute().as_uri()}?mode=ro&immutable=1", uri=True)) as backup:
            yield backup
    except sqlite3.DatabaseError as error:
        raise IndexDamaged(f"{source} is damaged: {error}", "take another backup") from error


def _sync_backup(path: Path) -> None:
    if os.name == "nt" and path.is_dir():
        return
    descriptor = os.open(path, os.O_RDWR if os.name == "nt" else os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
