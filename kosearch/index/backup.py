"""One file that holds an index, made beside a running writer, and an index made of such a file.

The file is a database like the index's own, without what is derived from it: that is built anew.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from kosearch.errors import IndexDamaged, IndexMismatch, UsageError
from kosearch.index import schema
from kosearch.index.files import sync_folder
from kosearch.index.steps import step


def write(connection: sqlite3.Connection, target: Path) -> None:
    """Write what the connection's transaction sees into a new file: whole, or not at all. Raises UsageError."""
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
            copy.execute("PRAGMA journal_mode = DELETE")  # one file, without a log beside it
        finally:
            copy.close()
        _sync(scratch)
        step("backup written")
        os.link(scratch, target)  # unlike a renamed file it takes nobody's place
        _sync(target.parent)
    except OSError as error:
        raise UsageError(f"{target} cannot be written: {error}", "name a file where there is room") from error
    finally:
        for leftover in (scratch, Path(f"{scratch}-journal"), Path(f"{scratch}-wal"), Path(f"{scratch}-shm")):
            leftover.unlink(missing_ok=True)


def check(source: Path) -> None:
    """See that a file is what `write` wrote. Raises UsageError, IndexMismatch, IndexDamaged."""
    if not source.is_file():
        raise UsageError(f"there is no file {source}", "kosearch indexes backup FILE makes one")
    with _reading(source) as backup:
        if backup.execute("PRAGMA application_id").fetchone()[0] != schema.APPLICATION:
            raise UsageError(f"{source} is no backup of an index", "kosearch indexes backup FILE makes one")
        version = backup.execute("PRAGMA user_version").fetchone()[0]
        if version > schema.VERSION:
            raise IndexMismatch(
                f"{source} has format {version}, and this kosearch knows {schema.VERSION}",
                "pip install --upgrade kosearch",
            )
        finding = backup.execute("PRAGMA quick_check(1)").fetchone()[0]
        if finding != "ok":
            raise IndexDamaged(f"{source} is damaged: {finding}", "take another backup")


def restore(source: Path, directory: Path) -> None:
    """Make the database of an index of what `write` wrote: whole, or not at all. The caller holds the lock."""
    path = directory / f"{schema.NAME}.new"
    for leftover in directory.glob(f"{path.name}*"):
        leftover.unlink()
    os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))
    with _reading(source) as backup, closing(sqlite3.connect(path, isolation_level=None)) as connection:
        backup.backup(connection)
        connection.execute("PRAGMA journal_mode = WAL")
    _sync(path)
    step("restored database made")
    path.rename(directory / schema.NAME)
    step("restored database named")
    sync_folder(directory)


@contextmanager
def _reading(source: Path) -> Iterator[sqlite3.Connection]:
    try:
        with closing(sqlite3.connect(f"{source.absolute().as_uri()}?mode=ro&immutable=1", uri=True)) as backup:
            yield backup
    except sqlite3.DatabaseError as error:
        raise IndexDamaged(f"{source} is damaged: {error}", "take another backup") from error


def _sync(path: Path) -> None:
    if os.name == "nt" and path.is_dir():
        return
    descriptor = os.open(path, os.O_RDWR if os.name == "nt" else os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
