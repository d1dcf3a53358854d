"""Publishing: the next generation's derived files first, then one commit that makes it the current one.

Whatever happens before that commit leaves a folder that nothing names, and the next writer sweeps it away.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import asdict, replace
from pathlib import Path

from kosearch.index import files
from kosearch.index.codec import by_bucket, damaged, decode_lines, decode_vectors, encode_counts, seal
from kosearch.index.dense import Added, Dense, write_graph, write_vectors
from kosearch.index.files import Damaged, Manifest
from kosearch.index.lexical import FOLDER, Lexical, write_lexical
from kosearch.index.records import Ids, Vectors
from kosearch.index.schema import transaction, write_meta
from kosearch.index.steps import step
from kosearch.index.store import DOCUMENT, NEXT, PENDING, RETIRED, State, Store

_FREE_SHARE = 0.25
"""Free pages among all of the database before they are given back to the disk."""


class Counts:
    """Term counts: what a generation adds to the one before."""

    def __init__(self, fields: Sequence[str]) -> None:
        self._fields = fields
        self.passages = 0
        self.totals = dict.fromkeys(fields, 0)
        self.frequencies: Counter[str] = Counter()
        """Field number, blank, term → passages."""

    def add(self, lines: Sequence[str], sign: int) -> None:
        """Count the terms of a passage in (1) or out (-1)."""
        self.passages += sign
        for number, (field, line) in enumerate(zip(self._fields, lines, strict=True)):
            terms = line.split()
            self.totals[field] += sign * len(terms)
            for term in set(terms):
                self.frequencies[f"{number} {term}"] += sign


def publish(directory: Path, store: Store) -> int:
    """Make what was written since the last generation the next one; returns the current generation.

    Nothing is done where nothing changed and the derived files are whole.
    """
    state = store.state()
    dense, lexical = _whole(directory, store, state)
    if not store.changed() and (state.generation == 0 or (dense and lexical)):
        return state.generation
    generation = state.generation + 1
    target = files.folder(directory, generation)
    files.remove(target)
    target.mkdir(mode=0o700)
    step("folder made")
    dead = store.passage_ids(RETIRED)
    manifest = _write_dense(store, dense, target, Manifest(generation, store.identity.dimensions), dead)
    step("vectors written")
    write_lexical(
        files.folder(directory, state.generation) if lexical else None,
        target,
        store.identity.fields,
        dead,
        _lines(store, PENDING if lexical else NEXT),
    )
    step("terms written")
    manifest = replace(manifest, files=manifest.files | files.measure_all(target, FOLDER))
    checksum = files.write_manifest(target, manifest)
    step("manifest written")
    counts = _counts(store)
    _commit(store, state, generation, checksum, counts)
    step("generation committed")
    files.sweep(directory, keep=generation)
    step("old generations swept")
    _give_back(store)
    return generation


def _whole(directory: Path, store: Store, state: State) -> tuple[Dense | None, Lexical | None]:
    """The derived files of the current generation, as far as they are what was written."""
    dense, lexical = None, None
    place = files.folder(directory, state.generation)
    try:
        manifest = files.read_manifest(place, state.manifest)
        with suppress(Damaged):
            dense = Dense(place, manifest)
            dense.check_graph()
        with suppress(Damaged):
            lexical = Lexical(place, manifest, store.identity.fields)
    except Damaged:
        pass
    return dense, lexical


def _write_dense(store: Store, old: Dense | None, target: Path, manifest: Manifest, dead: Ids) -> Manifest:
    which = PENDING if old else NEXT
    count = store.count_passages(which)
    manifest = write_vectors(old, target, manifest, dead, Added(count, _vectors(store, which)))
    step("flat vectors written")
    return write_graph(old, Dense(target, manifest))


def _vectors(store: Store, which: str) -> Iterator[tuple[Ids, Ids, Vectors]]:
    for ids, documents, blobs in store.scan("vector", which):
        yield ids, documents, decode_vectors(blobs, store.identity.dimensions)


def _lines(store: Store, which: str) -> Iterator[tuple[int, int, list[str]]]:
    for ids, documents, blobs in store.scan("terms", which):
        for number, document, blob in zip(ids.tolist(), documents.tolist(), blobs, strict=True):
            yield number, document, decode_lines(blob)


def _counts(store: Store) -> Counts:
    counts = Counts(store.identity.fields)
    for which, sign in ((PENDING, 1), (RETIRED, -1)):
        for _, _, lines in _lines(store, which):
            counts.add(lines, sign)
    return counts


def _commit(store: Store, state: State, generation: int, manifest: str, counts: Counts) -> None:
    """Make the generation the current one: the only moment that readers notice."""
    connection = store.connection
    with transaction(connection):
        for number, names in by_bucket(counts.frequencies).items():
            row = store.counts(number)
            for name in names:
                row[name] = row.get(name, 0) + counts.frequencies[name]
            if min(row.values()) < 0:
                raise damaged("a term count")
            data = encode_counts({name: count for name, count in row.items() if count})
            connection.execute("UPDATE term SET counts = ? WHERE bucket = ?", (seal(data, number), number))
        step("term counts written")
        connection.execute("DELETE FROM document WHERE retired = 1")
        step("retired rows deleted")
        columns = DOCUMENT.replace("published", "1")
        connection.execute(
            f"UPDATE document SET published = 1, checksum = row_checksum({columns}) WHERE published = 0"
        )
        # The times of a file that cannot be read are not those of the text that it had.
        connection.execute(
            "UPDATE document SET raw = file.raw, path = file.path,"
            " size = iif(broken, document.size, file.size), mtime_ns = iif(broken, document.mtime_ns, file.mtime_ns)"
            " FROM (SELECT *, EXISTS (SELECT 1 FROM problem WHERE file_id = file.id AND member = '') AS broken"
            " FROM file WHERE moved = 1) AS file WHERE file_id = file.id"
        )
        connection.execute(
            f"UPDATE document SET checksum = row_checksum({DOCUMENT})"
            " WHERE file_id IN (SELECT id FROM file WHERE moved = 1)"
        )
        connection.execute("UPDATE file SET moved = 0 WHERE moved = 1")
        (documents,) = connection.execute("SELECT count(*) FROM document").fetchone()
        totals = {field: state.totals[field] + counts.totals[field] for field in store.identity.fields}
        new = State(generation, manifest, documents, state.passages + counts.passages, totals)
        write_meta(connection, "state", asdict(new))
        step("state written")


def _give_back(store: Store) -> None:
    """Give free pages back to the disk when there are many."""
    (free,) = store.connection.execute("PRAGMA freelist_count").fetchone()
    (pages,) = store.connection.execute("PRAGMA page_count").fetchone()
    if free > _FREE_SHARE * pages:
        store.connection.execute("PRAGMA incremental_vacuum").fetchall()
