"""Publishing: the next generation's derived files first, then one commit that makes it the current one.

Whatever happens before that commit leaves a folder that nothing names, and the next writer sweeps it away.
"""

from __future__ import annotations

import errno
import shutil
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, replace
from pathlib import Path

from kosearch.errors import IndexStateError, ResourcesError
from kosearch.index import files
from kosearch.index.codec import BUCKETS, bucket, damaged, decode_lines, decode_vectors, encode_counts, seal
from kosearch.index.dense import Added, Dense, write_graph, write_vectors
from kosearch.index.files import Damaged, Manifest
from kosearch.index.lexical import FOLDER, Lexical, write_lexical
from kosearch.index.records import Identity, Ids, Vectors
from kosearch.index.schema import BUSY_SECONDS, transaction, write_meta
from kosearch.index.steps import step
from kosearch.index.store import DOCUMENT, MOVED, NEXT, PENDING, PUBLISHED, RETIRED, State, Store

_FREE_SHARE = 0.25
"""Free pages among all of the database before they are given back to the disk."""


class Counts:
    """Passages, and how many of them have which term: what a generation adds to the one before."""

    def __init__(self, fields: Sequence[str]) -> None:
        self._fields = fields
        self._by_field: list[Counter[str]] = [Counter() for _ in fields]
        self.passages = 0
        self.totals = dict.fromkeys(fields, 0)

    def add(self, lines: Sequence[str]) -> None:
        """Count the terms of a passage in."""
        self._count(lines, 1, Counter.update)

    def subtract(self, lines: Sequence[str]) -> None:
        """Count the terms of a passage out."""
        self._count(lines, -1, Counter.subtract)

    def by_bucket(self) -> dict[int, dict[str, int]]:
        """Row of the table of term counts → field number, blank, term → passages.

        Hands the counts over: a large corpus has millions of terms, and they are not held twice.
        """
        rows: dict[int, dict[str, int]] = {}
        for number, counts in enumerate(self._by_field):
            while counts:
                term, count = counts.popitem()
                if count:
                    name = f"{number} {term}"
                    rows.setdefault(bucket(name), {})[name] = count
        return rows

    def _count(self, lines: Sequence[str], sign: int, change: Callable[[Counter[str], set[str]], None]) -> None:
        self.passages += sign
        for field, counts, line in zip(self._fields, self._by_field, lines, strict=True):
            terms = line.split()
            self.totals[field] += sign * len(terms)
            change(counts, set(terms))


def publish(directory: Path, store: Store, anew: Identity | None = None) -> int:
    """Make what was written since the last generation the next one; returns the current generation.

    `anew` is what the index is from then on, where every passage has terms by other rules that wait for that. Else
    nothing is done where nothing changed and the derived files are whole. Raises IndexStateError where the files
    cannot be written, ResourcesError where so many may not be open, and IndexDamaged.
    """
    state = store.state()
    old = _Old(directory, store, state)
    if old.whole and not store.changed() and not anew:
        return state.generation
    _verify(store, state)
    generation = state.generation + 1
    target = files.folder(directory, generation)
    try:
        files.remove(target)
        target.mkdir(mode=0o700)
        step("folder made")
        manifest = _build(store, old, target, generation, anew)
        _commit(store, state, generation, manifest, anew)
        store.identity = anew or store.identity
    except BaseException as error:
        if store.state().generation != generation:
            shutil.rmtree(target, ignore_errors=True)
        if isinstance(error, OSError | Damaged):
            if _errno(error) in (errno.EMFILE, errno.ENFILE):
                raise ResourcesError(
                    f"the files of the index in {directory} cannot be written: {error}",
                    "let it open more files (ulimit -n 256), then run `kosearch index` again: nothing is lost",
                ) from error
            raise IndexStateError(
                f"the files of the index in {directory} cannot be written: {error}",
                "make room on the disk, then run `kosearch index` again: nothing that was stored is lost",
            ) from error
        raise
    step("generation committed")
    files.sweep(directory, keep=generation)
    step("old generations swept")
    _tidy(store)
    return generation


def _errno(error: BaseException) -> int | None:
    """What the system said, to us or to what reads files for us."""
    cause = error if isinstance(error, OSError) else error.__cause__
    return cause.errno if isinstance(cause, OSError) else None


class _Old:
    """The derived files of the current generation, as far as they are what was written."""

    def __init__(self, directory: Path, store: Store, state: State) -> None:
        self.directory = files.folder(directory, state.generation)
        self.dense: Dense | None = None
        self.lexical: Lexical | None = None
        self.whole = state.generation == 0
        if self.whole:
            return
        try:
            manifest = files.read_manifest(self.directory, state.manifest)
        except Damaged:
            return
        graph_whole = manifest.graph_whole(self.directory)
        with suppress(Damaged):
            self.dense = Dense(self.directory, manifest if graph_whole else replace(manifest, graph=None))
        with suppress(Damaged):
            self.lexical = Lexical(self.directory, manifest, store.identity.fields)
        self.whole = bool(graph_whole and self.dense and self.lexical)


def _verify(store: Store, state: State) -> None:
    """See that the rows whose checksums are about to be written anew are what was written.

    Raises IndexDamaged.
    """
    for which in (PENDING, RETIRED, MOVED):
        for _ in store.documents(which):
            pass
    if store.count_documents(PUBLISHED) != state.documents:
        raise damaged("the table of documents")


def _build(store: Store, old: _Old, target: Path, generation: int, anew: Identity | None) -> str:
    """Write the derived files of a generation; returns the checksum of their manifest."""
    dead = store.passage_ids(RETIRED)
    which = PENDING if old.dense else NEXT
    added = Added(store.count_passages(which), _vectors(store, which))
    manifest = Manifest(generation, store.identity.dimensions, store.identity.storage)
    manifest = write_vectors(old.dense, target, manifest, dead, added)
    step("vectors written")
    manifest = write_graph(old.dense, Dense(target, manifest))
    step("graph written")
    keep = old.lexical is not None and not old.lexical.worn(len(dead)) and not anew
    lines = _lines(store, PENDING if keep else NEXT, anew=anew is not None)
    write_lexical(old.directory if keep else None, target, (anew or store.identity).fields, dead, lines)
    step("terms written")
    manifest = replace(manifest, files=manifest.files | files.measure_all(target, FOLDER))
    checksum = files.write_manifest(target, manifest)
    step("manifest written")
    return checksum


def _vectors(store: Store, which: str) -> Iterator[tuple[Ids, Ids, Vectors]]:
    for ids, documents, blobs in store.scan("vector", which):
        yield ids, documents, decode_vectors(blobs, store.identity.dimensions, store.identity.storage)


def _lines(store: Store, which: str, *, anew: bool = False) -> Iterator[tuple[int, int, list[str]]]:
    for ids, documents, blobs in store.scan("terms", which, anew=anew):
        for number, document, blob in zip(ids.tolist(), documents.tolist(), blobs, strict=True):
            yield number, document, decode_lines(blob)


def _update_counts(store: Store, state: State) -> State:
    """Bring the term counts to what the next generation has; returns the state with its passages and totals."""
    counts = Counts(store.identity.fields)
    for _, _, lines in _lines(store, PENDING):
        counts.add(lines)
    for _, _, lines in _lines(store, RETIRED):
        counts.subtract(lines)
    totals = {field: state.totals[field] + counts.totals[field] for field in store.identity.fields}
    for number, changes in counts.by_bucket().items():
        row = store.counts(number)
        for name, change in changes.items():
            row[name] = row.get(name, 0) + change
        if min(row.values()) < 0:
            raise damaged(f"row {number} of its term counts")
        write_counts(store, number, {name: count for name, count in row.items() if count})
    return replace(state, passages=state.passages + counts.passages, totals=totals)


def _take_new_terms(store: Store, state: State, identity: Identity) -> State:
    """Make the new terms those of the passages, and count them; returns the state with passages and totals."""
    counts = Counts(identity.fields)
    for _, _, lines in _lines(store, NEXT, anew=True):
        counts.add(lines)
    totals, rows = counts.totals, counts.by_bucket()
    for number in range(BUCKETS):
        write_counts(store, number, rows.get(number, {}))
    connection = store.connection
    connection.execute("UPDATE passage SET terms = n.terms FROM new_terms n WHERE n.passage_id = passage.id")
    connection.execute("DELETE FROM new_terms")
    write_meta(connection, "new terms", None)
    write_meta(connection, "identity", asdict(identity))
    return replace(state, passages=counts.passages, totals=totals)


def write_counts(store: Store, number: int, counts: Mapping[str, int]) -> None:
    """Write a row of the table of term counts."""
    sealed = seal(encode_counts(counts), number)
    store.connection.execute("INSERT OR REPLACE INTO term VALUES (?, ?)", (number, sealed))


def _commit(store: Store, state: State, generation: int, manifest: str, anew: Identity | None) -> None:
    """Make the generation the current one: the only moment that readers notice."""
    connection = store.connection
    with transaction(connection):
        counted = _take_new_terms(store, state, anew) if anew else _update_counts(store, state)
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


def _tidy(store: Store) -> None:
    """Give free pages back to the disk when there are many, and bring the log home unless a reader needs it."""
    (free,) = store.connection.execute("PRAGMA freelist_count").fetchone()
    (pages,) = store.connection.execute("PRAGMA page_count").fetchone()
    if free > _FREE_SHARE * pages:
        # A page for each step, and only executescript() steps to the end of a statement without columns.
        store.connection.executescript("PRAGMA incremental_vacuum")
    store.connection.execute("PRAGMA busy_timeout = 0")
    store.connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()
    store.connection.execute(f"PRAGMA busy_timeout = {BUSY_SECONDS * 1000:.0f}")
