"""An index's own files: damaged, where every checksum tells, and crafted, where somebody made the checksums agree.

Damaged files give the answers of the whole index, or an error; crafted ones any answer, or an error. Neither gives
anything else. A graph is never crafted: that of somebody else's index is not loaded.
"""

from __future__ import annotations

import atexit
import json
import os
import shutil
import tempfile
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

from index_making import QUERY, TERMS, answers, make, put

from fuzz.frame import Family, Input
from kosearch.errors import IndexBusy, IndexStateError
from kosearch.index import SqliteStore, database, files, vectors

CRAFTED = "crafted"
_DATABASE = database.NAME


def attempt(one: Input) -> str:
    """The index with this file in the place of its own, asked and checked."""
    how, name = one.name.split("~", 1)
    with tempfile.TemporaryDirectory(dir=_memory()) as folder:
        directory = Path(folder, "index")
        shutil.copytree(_base()[0], directory)
        path = directory / name.replace("@", "/")
        path.write_bytes(one.data)
        if how == CRAFTED and not _made_to_agree(directory, path):
            return ""
        try:
            index = SqliteStore(directory)
            found = _asked(index) if how == CRAFTED else answers(index, warm=True)
            index.check()
            list(index.stored_files())
        except (IndexStateError, IndexBusy) as error:
            return "" if error.message and "\n" not in error.message.strip() else f"no line: {error.message!r}"
        if how != CRAFTED and found != _base()[1]:
            return "other answers"
        index.close()
    return ""


def _asked(index: SqliteStore) -> None:
    """Questions whose answers may be anything."""
    with index.snapshot() as snapshot:
        some = snapshot.find_documents(kinds=["text"], after="2011")
        for documents in (None, some):
            ids, _ = snapshot.dense(QUERY, 10, documents)
            found = snapshot.lexical(TERMS, 10, documents)
            snapshot.cosines(QUERY, ids)
            snapshot.owners(ids)
            snapshot.stored(found)
            snapshot.stored(ids)


def _made_to_agree(directory: Path, path: Path) -> bool:
    """Write the checksums that the changed file wants, as somebody would who knows them."""
    connection = database.connect(directory, write=True)
    try:
        state = database.read_meta(connection, "state")
        place = files.folder(directory, state["generation"])
        manifest = place / files.MANIFEST
        if path != manifest:
            try:
                value = json.loads(manifest.read_bytes())
                entry = files.measure(path)
                value["files"][path.relative_to(place).as_posix()] = {"size": entry.size, "crc32": entry.crc32}
                manifest.write_bytes(json.dumps(value).encode())
            except (ValueError, KeyError):
                return False
        database.write_meta(connection, "state", state | {"manifest": files._checksum(manifest.read_bytes())})
    finally:
        connection.close()
    return True


@cache
def _base() -> tuple[Path, dict[str, Any]]:
    """A small index with all that a generation may have, and its answers."""
    folder = tempfile.mkdtemp(dir=_memory(), prefix="kosearch-fuzz-")
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    least, vectors.MIN_ROWS = vectors.MIN_ROWS, 4
    try:
        index = make(Path(folder, "index"), "abc")
        with index.writer() as writer:
            put(writer, "a", 1)
            put(writer, "d")
            writer.publish()
        found = answers(index, warm=True)
        index.close()
    finally:
        vectors.MIN_ROWS = least
    return index.directory, found


def _memory() -> str | None:
    return "/dev/shm" if os.access("/dev/shm", os.W_OK) else None


def _seeds() -> Iterator[Input]:
    directory = _base()[0]
    for path in sorted(one for one in directory.rglob("*") if one.is_file() and one.suffix != ".lock"):
        name = path.relative_to(directory).as_posix().replace("/", "@")
        if name == "lock" or name.endswith("-shm"):
            continue
        yield Input(f"damaged~{name}", path.read_bytes())
        if not name.startswith(_DATABASE) and ".usearch" not in name:
            yield Input(f"{CRAFTED}~{name}", path.read_bytes())


FAMILY = Family(
    _seeds,
    attempt,
    words=(
        *(b'"../../index.sqlite"', b'"/etc/passwd"', b"-1", b"9" * 40, b"1e999", b"NaN", b"null", b"[]", b"{}", b'""'),
        *(b'"parts": ', b'"graph": ', b'"files": ', b'"rows.i64"', b"[" * 500, b"\xff" * 8, b"\x00" * 8, b"\x7f" * 8),
    ),
    deadline=60.0,
)
