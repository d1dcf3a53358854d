"""Looking at everything an index holds, and mending what can be mended without reading the files again."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np

from kosearch.errors import IndexDamaged
from kosearch.index import files, ownership
from kosearch.index.codec import BUCKETS, decode_lines, decode_vectors
from kosearch.index.dense import Dense
from kosearch.index.files import Damaged
from kosearch.index.lexical import Lexical
from kosearch.index.publishing import Counts, publish, write_counts
from kosearch.index.schema import read_meta, read_optional_meta, transaction, write_meta
from kosearch.index.store import PUBLISHED, State, Store

_RENAMED = "document d JOIN file f ON f.id = d.file_id WHERE d.retired = 0 AND f.moved = 0 AND d.raw <> f.raw"
"""Documents that carry another name than their file, which has no checksum and is the one that is wrong."""
_LEFT = "(SELECT count(*) FROM document WHERE file_id = file.id AND retired = 0)"


def check(directory: Path, store: Store) -> Iterator[str]:
    """Verify all that SQLite and the derived files hold; yields a sentence for each thing that is wrong.

    Call it inside a read transaction.
    """
    with _lenient(store):
        yield from _findings(directory, store)


def _findings(directory: Path, store: Store) -> Iterator[str]:
    state = store.state()
    for (finding,) in store.rows("PRAGMA integrity_check"):
        if finding != "ok":
            yield f"SQLite: {finding}"
    for table, *_ in store.rows("PRAGMA foreign_key_check"):
        yield f"SQLite: a row of the table {table} belongs to nothing"
    for (key,) in list(store.rows("SELECT key FROM meta ORDER BY key")):
        try:
            read_meta(store.connection, key)
        except IndexDamaged as error:
            yield error.message
    broken = _broken_documents(store)
    yield from (f"{path}: {finding}" for path, finding in broken.values())
    for path in _incomplete_files(store):
        yield f"{path}: it had more documents"
    if not broken:
        counts = _count(store)
        if _counted(store, counts, state) != state:
            yield "the totals are not those of the passages"
        yield from _wrong_counts(store, counts)
        yield from _wrong_files(directory, store, state)


def repair(directory: Path, store: Store) -> list[str]:
    """Make the index whole again; returns the paths of files to be read again.

    Derived files and counts are made anew from the passages. A document with a damaged row is given up, and
    the next `index` reads its file again. Raises IndexDamaged where the database itself cannot be read.
    """
    connection = store.connection
    with transaction(connection), _lenient(store):
        connection.execute("REINDEX")
        _mend_meta(store)
        broken = _broken_documents(store)
        connection.execute(f"DELETE FROM file WHERE id IN (SELECT f.id FROM {_RENAMED})")
        for number in broken:
            connection.execute("DELETE FROM document WHERE id = ?", (number,))
        paths = {path for path, _ in broken.values()} | set(_incomplete_files(store))
        # Without a hash the next run takes the file for unread.
        connection.execute(f"UPDATE file SET hash = '', documents = {_LEFT} WHERE documents <> {_LEFT}")
        for table in ("passage", "text", "heading"):
            connection.execute(f"DELETE FROM {table} WHERE document_id NOT IN (SELECT id FROM document)")
        counts = _count(store)
        rows = counts.by_bucket()
        for number in range(BUCKETS):
            write_counts(store, number, rows.get(number, {}))
        # Without a manifest nothing derived is used: it may hold what has just been given up.
        write_meta(connection, "state", asdict(replace(_counted(store, counts, store.state()), manifest="")))
    publish(directory, store)
    return sorted(paths)


def _mend_meta(store: Store) -> None:
    """Give up what can be done without: what the last run did, and how far new terms had come."""
    ownership.mend(store)
    for key in ("run", "new terms"):
        try:
            read_optional_meta(store.connection, key)
        except IndexDamaged:
            write_meta(store.connection, key, None)


@contextmanager
def _lenient(store: Store) -> Iterator[None]:
    """Text that is no UTF-8 any more ends no look at the rest: its checksum tells that it is not what was written."""
    store.connection.text_factory = lambda data: data.decode(errors="replace")
    try:
        yield
    finally:
        store.connection.text_factory = str


def _incomplete_files(store: Store) -> list[str]:
    """The paths of files of which fewer documents are left than were put, or more."""
    return [path for (path,) in store.rows(f"SELECT path FROM file WHERE documents <> {_LEFT} ORDER BY path")]


def _broken_documents(store: Store) -> dict[int, tuple[str, str]]:
    """Documents of which something is not what was written: id → path, finding."""
    broken = {}
    for number, path in store.rows("SELECT id, path FROM document ORDER BY id"):
        try:
            store.verify(number)
        except IndexDamaged as error:
            broken[number] = (str(path), error.message)
    for number, path in store.rows(f"SELECT d.id, d.path FROM {_RENAMED}"):
        broken[number] = (str(path), "the name of its file is not what was written")
    return broken


def _count(store: Store) -> Counts:
    """The published passages and their terms, counted anew."""
    counts = Counts(store.identity.fields)
    for _, _, blobs in store.scan("terms", PUBLISHED):
        for blob in blobs:
            counts.add(decode_lines(blob))
    return counts


def _counted(store: Store, counts: Counts, state: State) -> State:
    documents = store.count_documents(PUBLISHED)
    return replace(state, documents=documents, passages=counts.passages, totals=counts.totals)


def _wrong_counts(store: Store, counts: Counts) -> Iterator[str]:
    rows = counts.by_bucket()
    for number in range(BUCKETS):
        try:
            if store.counts(number) != rows.get(number, {}):
                yield f"row {number} of the term counts is not that of the passages"
        except IndexDamaged as error:
            yield error.message


def _wrong_files(directory: Path, store: Store, state: State) -> Iterator[str]:
    if not state.generation:
        return
    place = files.folder(directory, state.generation)
    try:
        manifest = files.read_manifest(place, state.manifest)
        manifest.check(place, "")
        dense = Dense(place, manifest)
        if not np.array_equal(dense.live_ids, store.passage_ids(PUBLISHED)):
            yield "the vector files are not of this generation"
            return
        for ids, _, blobs in store.scan("vector", PUBLISHED):
            if not np.array_equal(
                dense.take(dense.rows(ids)), decode_vectors(blobs, manifest.dimensions, store.identity.storage)
            ):
                yield "the vector files differ from SQLite"
                return
        if Lexical(place, manifest, store.identity.fields).passages != state.passages:
            yield "the lexical files are not of this generation"
    except Damaged as error:
        yield f"{place.name}: {error}"
