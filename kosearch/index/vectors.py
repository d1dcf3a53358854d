"""Vectors beside SQLite: flat files scanned exactly, and an HNSW graph once there are many.

A vector is written once and linked from generation to generation. What is new comes as another part, small
parts are merged as they grow, and dead rows are dropped when a quarter is dead: a small change costs little
in a large index.
"""

from __future__ import annotations

import errno
import os
import tempfile
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from kosearch.index import codes
from kosearch.index.codes import Codes
from kosearch.index.contract import Ids, Vectors
from kosearch.index.files import CODES, GRAPH_SUFFIX, MAX_DEAD, Damaged, Entry, Graph, Manifest, link, measure
from kosearch.system import usable_cores

ROWS = "rows.i64"
_ERROR = 1e-5
"""More than float32 sums over unit vectors of some thousand dimensions err."""
_MARGIN = 64
"""So many items beyond k are asked of the graph, and scored again."""
_FEW = 32
"""So many times fewer rows than there are get copied together; more are scanned with all the others."""
_CHUNK = 8192
_SPARSE = 64
"""Documents' ids that reach so many times higher than there are rows are compared, not looked up in a table."""


@dataclass(frozen=True, slots=True)
class Added:
    """Passages that a generation brings."""

    count: int
    rows: Iterable[tuple[Ids, Ids, Vectors]]
    """Passage ids, document ids and vectors, ascending."""


class Dense:
    """The vectors of one generation, memory-mapped."""

    def __init__(self, directory: Path, manifest: Manifest, check: Callable[[str], None] | None = None) -> None:
        """Raises Damaged where a file is not what was written, as `check` says or else all of its bytes."""
        self._check = check or partial(manifest.check, directory)
        self._check("rows")
        self._check("vectors")
        self.directory = directory
        self.manifest = manifest
        try:
            self._parts = [_mapped_part(directory / name, rows, manifest) for name, rows in manifest.parts]
            table = np.fromfile(directory / ROWS, np.int64).reshape(-1, 2)
        except (OSError, ValueError, OverflowError) as error:
            raise Damaged(f"the vectors cannot be read: {error}") from error
        self._starts = np.cumsum([0, *(rows for _, rows in manifest.parts)])
        if self._starts[-1] != len(table) or (np.diff(np.abs(table[:, 0]), prepend=0) <= 0).any():
            raise Damaged(f"{ROWS} makes no sense")
        self.live: NDArray[np.bool_] = table[:, 0] > 0
        self.ids: Ids = np.abs(table[:, 0])
        self.documents: Ids = np.ascontiguousarray(table[:, 1])
        self._codes: list[Codes | None] = [None for _ in self._parts]
        self._graph: HnswGraph | None = None
        self._graph_wanted = True
        self._lock = threading.Lock()

    @property
    def live_ids(self) -> Ids:
        """The passages of the generation, ascending."""
        return self.ids[self.live]

    def search(self, query: Vectors, k: int, documents: Ids | None = None) -> tuple[Ids, Vectors]:
        """The k best passages by exact scan, with cosines; of some documents only, if given."""
        rows = np.flatnonzero(self.live if documents is None else self.live & self._of(documents))
        if _FEW * len(rows) < len(self.ids):
            near = _nearest(rows, self.take(rows) @ query, k, _ERROR)
        else:
            scores, error = self._scan(query)
            near = _nearest(rows, scores if len(rows) == len(scores) else scores[rows], k, error)
            near = self._nearer(near, query, k)
        return self._best(near, query, k)

    def search_graph(self, query: Vectors, k: int) -> tuple[Ids, Vectors] | None:
        """The k best passages by the graph and a scan of what it lacks; None where it cannot say."""
        if self._graph is None or self.manifest.graph is None:
            return None
        near = self.rows(self._graph.search(query, k + _MARGIN, self.manifest.graph.ef))
        near = near[near >= 0]
        start = int(np.searchsorted(self.ids, self.manifest.graph.last, side="right"))
        lacking = np.flatnonzero(self.live[start:])
        scores, error = self._scan(query, start)
        lacking = _nearest(lacking + start, scores[lacking], k, error)
        rows = np.concatenate([near[self.live[near]], lacking])
        if len(rows) < k and len(rows) < np.count_nonzero(self.live):
            return None
        return self._best(rows, query, k)

    def _nearer(self, rows: Ids, query: Vectors, k: int) -> Ids:
        """Of rows that may be among the k best those that still may, looked at more closely than by a scan."""
        if not any(self._codes) or not 0 < k < len(rows):
            return rows
        scores, errors = np.zeros(len(rows), np.float32), np.full(len(rows), _ERROR, np.float32)
        for number, mine, places in self._by_part(rows):
            if (coded := self._codes[number]) is None:
                scores[mine] = _products(self._parts[number][places], query)
            else:
                scores[mine], doubts = coded.closer(places, query)
                errors[mine] += doubts
        near: Ids = rows[scores + errors >= np.partition(scores - errors, -k)[-k]]
        return near

    def _best(self, rows: Ids, query: Vectors, k: int) -> tuple[Ids, Vectors]:
        """The k best of these rows, exactly; of equals, however many, those with the lowest ids."""
        ids, scores = np.zeros(0, np.int64), np.zeros(0, np.float32)
        for start in range(0, len(rows), _CHUNK):
            part = rows[start : start + _CHUNK]
            new = cosines(self.take(part), query)
            ids, scores = best(np.concatenate([ids, self.ids[part]]), np.concatenate([scores, new]), k)
        return ids, scores

    def mapped(self) -> tuple[Ids, Vectors]:
        """The ids of live passages (n,), ascending, and vectors (n, d): their own file where it has no others."""
        if len(self._parts) == 1 and self.live.all() and self.manifest.storage != "int8":
            ids = self.ids.view()
            ids.flags.writeable = False
            return ids, self._parts[0]
        chunks = ((ids, vectors) for ids, _, vectors in self.chunks(np.flatnonzero(self.live)))
        return mapped(chunks, self.manifest.dimensions)

    def cosines(self, query: Vectors, ids: Ids) -> Vectors:
        """The cosines of these passages, in their order. Raises Damaged for one that is not there."""
        rows = self.rows(ids)
        if (rows < 0).any():
            raise Damaged("a passage has no vector")
        return cosines(self.take(rows), query)

    def load_codes(self) -> None:
        """Scan by codes from now on, where there are some. Raises Damaged."""
        if not codes.available():
            return
        self._check(CODES)
        for number, (part, _) in enumerate(self.manifest.parts):
            if (name := codes.name_for(part)) in self.manifest.files:
                self._codes[number] = Codes(self.directory / name, self._parts[number])

    def load_graph(self, earlier: Dense | None) -> None:
        """Load the graph, where there is one, or take it over from a generation that has the same.

        Whoever asks while it is being loaded goes on without it. Raises Damaged.
        """
        graph = self.manifest.graph
        if graph is None or not graph.is_used or not self._graph_wanted:
            return
        if not self._lock.acquire(blocking=False):
            return
        try:
            self._graph_wanted = False
            if earlier is not None and earlier.manifest.graph == graph:
                self._graph = earlier._graph
            if self._graph is None and available():
                self._check(graph.name)
                self._graph = HnswGraph.load(self.directory / graph.name, self.manifest.dimensions)
        finally:
            self._lock.release()

    def rows(self, ids: Ids) -> Ids:
        """The rows of passages; -1 for those that are not there."""
        if not len(self.ids):
            return np.full(len(ids), -1)
        rows = np.minimum(np.searchsorted(self.ids, ids), len(self.ids) - 1)
        return np.where(self.ids[rows] == ids, rows, -1)

    def _of(self, documents: Ids) -> NDArray[np.bool_]:
        """Which rows belong to these documents."""
        highest = int(max(self.documents.max(initial=0), documents.max(initial=0)))
        if self.documents.min(initial=0) < 0 or highest > _SPARSE * (len(self.ids) + _CHUNK):
            return np.isin(self.documents, documents)
        wanted = np.zeros(highest + 1, np.bool_)
        wanted[documents] = True
        return wanted[self.documents]

    def take(self, rows: Ids) -> Vectors:
        """Copies of rows, (n, d)."""
        taken = np.empty((len(rows), self.manifest.dimensions), np.float32)
        decode = vectors_of if self.manifest.storage == "int8" else np.asarray
        for number, mine, places in self._by_part(rows):
            taken[mine] = decode(self._parts[number][places])
        return taken

    def _by_part(self, rows: Ids) -> Iterator[tuple[int, NDArray[np.bool_], Ids]]:
        """Each part that has some of the rows: its number, which they are, (n,), and their places in it."""
        parts = np.searchsorted(self._starts, rows, side="right") - 1
        for number in np.flatnonzero(np.bincount(parts)).tolist():
            mine = parts == number
            yield number, mine, rows[mine] - self._starts[number]

    def exact(self, queries: Vectors, k: int) -> Ids:
        """The ids of the k nearest passages of each query, (queries, k), in no order; there are as many."""
        ids, scores = np.zeros((len(queries), 0), np.int64), np.zeros((len(queries), 0), np.float32)
        for start in range(0, len(self.ids), _CHUNK):
            rows = np.flatnonzero(self.live[start : start + _CHUNK]) + start
            new = queries @ self.take(rows).T
            ids, scores = _best_of_each(
                np.concatenate([ids, np.broadcast_to(self.ids[rows], new.shape)], axis=1),
                np.concatenate([scores, new], axis=1),
                k,
            )
        return ids

    def _scan(self, query: Vectors, start: int = 0) -> tuple[Vectors, float]:
        """About the products of all rows from `start` on with a query, and how far any is from the exact one at most.

        By codes where a part has them and is looked at as a whole: else as near as float32 can say.
        """
        found, error = [np.zeros(0, np.float32)], 0.0
        for first, part, coded in zip(self._starts, self._parts, self._codes, strict=False):
            if coded is None or start > first:
                found.append(_products(part[max(start - first, 0) :], query))
            else:
                products, doubt = coded.products(query)
                found.append(products)
                error = max(error, doubt)
        return np.concatenate(found), error + _ERROR

    def chunks(self, rows: Ids) -> Iterator[tuple[Ids, Ids, Vectors]]:
        """Passage ids, document ids and vectors of rows, some thousands at a time."""
        for start in range(0, len(rows), _CHUNK):
            part = rows[start : start + _CHUNK]
            yield self.ids[part], self.documents[part], self.take(part)


def _mapped_part(path: Path, rows: int, manifest: Manifest) -> Quantised:
    kind = np.int8 if manifest.storage == "int8" else np.float32
    return np.memmap(path, kind, "r", shape=(rows, manifest.dimensions))


def _products(part: Quantised, query: Vectors) -> Vectors:
    """Products of a part's vectors (n, d) with a query (d,), as exact as float32 is."""
    if part.dtype != np.int8:
        scores: Vectors = part @ query
        return scores
    chunks: list[Vectors] = [np.zeros(0, np.float32)]
    for start in range(0, len(part), _CHUNK):
        rows = part[start : start + _CHUNK].astype(np.float32)
        lengths = np.sqrt(np.einsum("ij,ij->i", rows, rows))
        chunks.append((rows @ query / np.where(lengths > 0, lengths, 1)).astype(np.float32))
    return np.concatenate(chunks)


def mapped(chunks: Iterable[tuple[Ids, Vectors]], dimensions: int) -> tuple[Ids, Vectors]:
    """Ids (n,) and vectors (n, d), read only, mapped from a file without a name: they take no memory of their own."""
    ids = [np.zeros(0, np.int64)]
    with tempfile.TemporaryFile(prefix="kosearch-") as file:
        for numbers, vectors in chunks:
            ids.append(numbers)
            file.write(np.ascontiguousarray(vectors, np.float32).data)
        file.flush()
        found = np.concatenate(ids)
        table = (
            np.memmap(file, np.float32, "r", shape=(len(found), dimensions))
            if len(found)
            else np.zeros((0, dimensions), np.float32)
        )
    for one in (found, table):
        one.flags.writeable = False
    return found, table


def cosines(vectors: Vectors, query: Vectors) -> Vectors:
    """Products of unit vectors (n, d) with a unit query (d,), rounded from float64: no order of sums shows."""
    scores: Vectors = (vectors.astype(np.float64) @ query.astype(np.float64)).astype(np.float32)
    return scores


def best(ids: Ids, scores: Vectors, k: int) -> tuple[Ids, Vectors]:
    """The k best, best first, ties by id."""
    order = np.lexsort((ids, -scores))[:k]
    return ids[order], scores[order]


def _nearest(rows: Ids, scores: Vectors, k: int, error: float) -> Ids:
    """Those rows, of which these are the scores but for an error, that may be among the k best."""
    if not 0 < k < len(rows):
        return rows
    near: Ids = rows[scores >= np.partition(scores, -k)[-k] - np.float32(2 * error)]
    return near


def _best_of_each(ids: Ids, scores: Vectors, k: int) -> tuple[Ids, Vectors]:
    """The k best of each row of (n, m), in no order."""
    if scores.shape[1] <= k:
        return ids, scores
    places = np.argpartition(scores, -k, axis=1)[:, -k:]
    return np.take_along_axis(ids, places, axis=1), np.take_along_axis(scores, places, axis=1)


def unit(query: Vectors) -> Vectors:
    """The query at length 1."""
    wide = query.astype(np.float64)
    length = float(np.sqrt(wide @ wide))
    return (wide / length).astype(np.float32) if length else query.astype(np.float32)


def write_vectors(old: Dense | None, target: Path, manifest: Manifest, dead: Ids, added: Added) -> Manifest:
    """Write a generation's vectors into the folder `target`: the old ones less `dead`, and the added.

    Returns the manifest with them; `manifest` names generation and dimensions.
    """
    live = old.live & ~np.isin(old.ids, dead) if old else np.zeros(0, np.bool_)
    parts = old.manifest.parts if old else ()
    rewrite = live.sum() < (1 - MAX_DEAD) * len(live)
    kept, fresh = len(parts), added.count
    while kept and (rewrite or parts[kept - 1][1] < 2 * fresh):
        kept -= 1
        fresh += parts[kept][1]
    parts = parts[:kept]
    start = sum(rows for _, rows in parts)
    name = f"vectors-{manifest.generation}.{'i8' if manifest.storage == 'int8' else 'f32'}"
    with (target / name).open("wb") as stream:
        merged = _append(stream, old.chunks(np.flatnonzero(live[start:]) + start), manifest) if old else []
        new = _append(stream, added.rows, manifest)
    if old:
        kept_rows = np.stack([np.where(live, old.ids, -old.ids), old.documents], axis=1)[:start]
        merged.insert(0, kept_rows)
    table = np.concatenate([np.zeros((0, 2), np.int64), *merged, *new])
    (target / ROWS).write_bytes(table.tobytes())
    files = {ROWS: measure(target / ROWS)}
    if old:
        for part, _ in parts:
            link(old.directory / part, target / part)
            files[part] = old.manifest.files[part]
    if len(table) > start:
        parts = (*parts, (name, len(table) - start))
        files[name] = measure(target / name)
    else:
        (target / name).unlink()
    files |= _write_codes(old, target, manifest, parts)
    return replace(manifest, parts=parts, files=manifest.files | files)


def _write_codes(
    old: Dense | None, target: Path, manifest: Manifest, parts: Sequence[tuple[str, int]]
) -> dict[str, Entry]:
    """See that each large part of a generation has its codes: those that the old one had, or new ones."""
    entries = {}
    for part, rows in parts:
        name = codes.name_for(part)
        if old and name in old.manifest.files:
            link(old.directory / name, target / name)
            entries[name] = old.manifest.files[name]
        elif rows >= codes.MIN_ROWS and codes.available():
            codes.write(target / name, _mapped_part(target / part, rows, manifest))
            entries[name] = measure(target / name)
    return entries


def write_graph(old: Dense | None, new: Dense, ann: str = "auto") -> Manifest:
    """Bring the graph up to date with the vectors of `new`, if it pays or `ann` says so; returns the manifest with it.

    The old one, which is whole, is linked while it lacks little, and gets what is new until too much of it
    is deleted: an index does not lose its graph by a few deletions at the size from which one is built. At what size
    none paid, stands in the manifest of `new`.
    """
    manifest, ids = new.manifest, new.live_ids
    if ann == "exact" or not available():
        return manifest
    known = old.manifest.graph if old else None
    if old and known:
        lacking = ids[ids > known.last]
        deleted = known.items - (len(ids) - len(lacking))
        if len(lacking) + deleted <= lag(known.items):
            link(old.directory / known.name, new.directory / known.name)
            files = manifest.files | {known.name: old.manifest.files[known.name]}
            return replace(manifest, graph=known, declined=0, files=files)
        if deleted <= MAX_DELETED * known.items:
            graph = HnswGraph.load(old.directory / known.name, manifest.dimensions, write=True)
            graph.delete(np.setdiff1d(graph.ids(), ids, assume_unique=True))
            return _save_graph(graph, new, lacking, ann)
    if not is_wanted(len(ids), manifest.declined, ann):
        return manifest
    if ann == "auto" and len(ids) > TRIAL and not _would_pay(new):
        return replace(manifest, declined=len(ids))
    return _save_graph(HnswGraph(manifest.dimensions), new, ids, ann)


def is_wanted(rows: int, declined: int, ann: str) -> bool:
    """Whether so many passages are to have a graph, if it pays, where they have none."""
    least = {"hnsw": LEAST_ROWS, "auto": max(MIN_ROWS, 2 * declined)}.get(ann)
    return least is not None and rows >= least and available()


def _save_graph(graph: HnswGraph, new: Dense, missing: Ids, ann: str) -> Manifest:
    for ids, _, vectors in new.chunks(new.rows(missing)):
        graph.add(ids, vectors)
    queries = _like_questions(new, np.flatnonzero(new.live))
    widest = _WIDEST if ann == "hnsw" else graph.worth
    ef, recall = graph.measured_ef(queries, new.exact(queries, min(NEAREST, len(new.live_ids))), widest)
    if recall < RECALL and ann != "hnsw":
        return replace(new.manifest, declined=len(new.live_ids))
    name = f"graph-{new.manifest.generation}{GRAPH_SUFFIX}"
    graph.save(new.directory / name)
    files = new.manifest.files | {name: measure(new.directory / name)}
    return replace(new.manifest, graph=Graph(name, len(graph), int(new.ids[-1]), ef, recall), declined=0, files=files)


def _would_pay(new: Dense) -> bool:
    """Whether a graph of some of the passages does: one of a million takes half an hour to build.

    The width that is needed, as a share of the items, hardly depends on how many they are.
    """
    chance = np.random.default_rng(new.manifest.generation)
    rows = np.sort(chance.choice(np.flatnonzero(new.live), TRIAL, replace=False))
    vectors, ids = new.take(rows), new.ids[rows]
    graph = HnswGraph(new.manifest.dimensions)
    graph.add(ids, vectors)
    queries = _like_questions(new, rows)
    nearest = np.argpartition(-(queries @ vectors.T), NEAREST, axis=1)[:, :NEAREST]
    return graph.measured_ef(queries, ids[nearest], graph.worth)[1] >= RECALL


def _like_questions(new: Dense, rows: Ids) -> Vectors:
    """Queries by which it is measured how wide a graph of these rows has to be searched to find what a scan finds.

    They lean to a passage as questions do (.6 of what sets it apart, and for the rest a mixture of
    what sets sixteen others apart): passages themselves, or means of two, are found in half the width.
    """
    chance = np.random.default_rng(new.manifest.generation)
    drawn = new.take(chance.choice(rows, SAMPLE * 17)).reshape(SAMPLE, 17, -1)
    common = drawn.mean(axis=(0, 1))
    weights = np.array([3, *[1] * 16], np.float32) / 5
    return np.stack([unit(common + weights @ (one - common)) for one in drawn])


def _append(stream: BinaryIO, rows: Iterable[tuple[Ids, Ids, Vectors]], manifest: Manifest) -> list[Ids]:
    """Append vectors to a file; returns tables of their passage and document ids."""
    tables = []
    for ids, documents, vectors in rows:
        stored = quantise(vectors, "int8") if manifest.storage == "int8" else vectors
        stream.write(np.ascontiguousarray(stored).data)
        tables.append(np.stack([ids, documents], axis=1))
    return tables


# The HNSW graph over many vectors (Malkov and Yashunin 2016), through usearch where that is installed.
#
# The graph holds vectors as int8: it takes a third of the memory and of the time that float32 takes, and what it finds
# is scored again with the exact ones (`python -m tests.benchmarks graph_parameters`).

MIN_ROWS = 100_000
"""A graph may be built from so many rows on; below, a scan by codes takes less than 8 ms of one core."""
LEAST_ROWS = 1000
"""Below, not even a user who wants one gets a graph."""
TRIAL = 30_000
"""So many of them are tried first: half a minute, and on vectors for which a graph pays not at all (each has 32
dimensions of its own: tests/benchmarks/speed.md) the whole would take half an hour for a million."""
LAG = 0.1
MOST_LAG = 25_000
"""Rows that the graph lacks, or has for nothing, before it is brought up to date: a share of it, or so many, which
a question scans in some milliseconds."""
MAX_DELETED = 0.3
"""Deleted items as a share of the graph before it is built anew."""
SAMPLE = 200
NEAREST = 10
"""Queries, and the nearest of each, by which a graph is judged when it is written…"""
RECALL = 0.995
"""…and the share of them that it has to find: an answer should have 99%, and a sample may flatter."""
_M = 16
_EF_CONSTRUCTION = 200
_EF = 400
"""The least width of search; also the most that is asked for at once."""
_FIRST = 4_000
"""So many items are added by one thread: two that link to the same item lose one of the links, and in a small graph
that is often the only way to an item (of 200, two threads leave up to two that no search finds; of 20,000, twelve
without this, two with it)."""
_WIDEST = 10_000
"""The most for a user who wants a graph, whatever it costs: some 30 ms a question."""
_WIDER = 1.25
"""So many times wider it is searched while too little is found…"""
_WORTH = 100
"""…up to this part of the items, where it takes half of a scan's time at most: 2 to 5 µs for each step of width
(`python -m tests.benchmarks graph_parameters`), and .07 for each row that is scanned by its codes."""
_DEVIATIONS = 8
"""A number of a unit vector is cut off, in int8, beyond so many times the root of the mean square of all."""


def lag(items: int) -> int:
    """How many rows a graph of so many items may lack."""
    return int(min(LAG * items, MOST_LAG))


def available() -> bool:
    """Whether usearch is installed: it has no wheel for every machine, and searching goes on without it."""
    return find_spec("usearch") is not None


class HnswGraph:
    """A graph whose keys are passage ids."""

    def __init__(self, dimensions: int) -> None:
        """An empty graph. Raises ImportError where usearch is not installed."""
        # usearch opens numkong's library to all, and onnxruntime (1.24 to 1.32, Linux), if it comes after that, takes
        # C++'s standard library from there, which ends the process.
        with suppress(ImportError):
            import onnxruntime  # noqa: F401
        from usearch.index import Index as Graph

        self._dimensions = dimensions
        self._index: Any = Graph(
            ndim=dimensions, metric="ip", dtype="i8", connectivity=_M, expansion_add=_EF_CONSTRUCTION
        )

    @classmethod
    def load(cls, path: Path, dimensions: int, *, write: bool = False) -> HnswGraph:
        """A graph from its file: mapped, so that it takes no memory of its own, or read, to be written to.

        Raises Damaged where the file is no graph over vectors of so many dimensions; else it is the caller who has seen
        that it is what was written.
        """
        graph = cls(dimensions)
        try:
            (graph._index.load if write else graph._index.view)(str(path))
        except (RuntimeError, ValueError) as error:
            raise Damaged(f"{path.name} cannot be read: {error}") from error
        if graph._index.ndim != dimensions:
            raise Damaged(f"{path.name} has vectors of {graph._index.ndim} dimensions")
        return graph

    def __len__(self) -> int:
        """All items in it, deleted ones too."""
        return int(self._index.stats.nodes)

    def delete(self, ids: Ids) -> None:
        """Take items out; those that come next take their places."""
        self._index.remove(ids)

    def add(self, ids: Ids, vectors: Vectors) -> None:
        """Add items: ids (n,), unit vectors (n, d)."""
        for start in range(0, len(ids), _CHUNK):
            part = slice(start, start + _CHUNK)
            threads = usable_cores() if len(self) >= _FIRST else 1
            self._index.add(ids[part], self._rounded(vectors[part]), threads=threads)

    def save(self, path: Path) -> None:
        """Write the graph to its file. Raises OSError where the disk is full."""
        try:
            self._index.save(str(path))
        except RuntimeError as error:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path)) from error
        if path.stat().st_size != self._index.serialized_length:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path))

    def ids(self) -> Ids:
        """The ids in it, without those that were deleted."""
        return np.array(list(self._index.keys), dtype=np.int64)

    def search(self, query: Vectors, k: int, ef: int) -> Ids:
        """About the k nearest, searched for as wide as `ef`; fewer where it does not find so many."""
        if k > _EF or not len(self._index):
            return np.zeros(0, np.int64)
        self._index.expansion_search = ef
        return np.asarray(self._index.search(self._rounded(query), k, threads=1).keys).astype(np.int64)

    @property
    def worth(self) -> int:
        """How wide it may be searched and still be sooner than a scan."""
        return max(_EF, len(self) // _WORTH)

    def measured_ef(self, queries: Vectors, nearest: Ids, widest: int) -> tuple[int, float]:
        """The least width at which the graph finds RECALL of the nearest (queries, k), and what it finds.

        They are found where they are among those that are scored again. Where no width up to `widest` finds so many, it
        is the last that was tried.
        """
        ef, last, recall = _EF, _EF, 0.0
        while ef <= max(_EF, widest):
            found = [self.search(query, nearest.shape[1] + _MARGIN, ef) for query in queries]
            hits = sum(np.isin(one, ids).sum() for one, ids in zip(nearest, found, strict=True))
            last, recall = ef, float(hits / nearest.size)
            if recall >= RECALL:
                break
            ef = round(ef * _WIDER)
        return last, recall

    def _rounded(self, vectors: Vectors) -> NDArray[np.int8]:
        """Unit vectors in int8, all by one scale, so that their products keep their order."""
        scale = np.float32(127 * np.sqrt(self._dimensions) / _DEVIATIONS)
        rounded: NDArray[np.int8] = np.rint(vectors * scale).clip(-127, 127).astype(np.int8)
        return rounded


# Vectors in the numbers they are stored in.

Quantised = NDArray[Any]
"""(n, d): vectors in the numbers they are stored in."""


def encode_vectors(vectors: Vectors, storage: str) -> list[bytes]:
    """Rows of (n, d) → n blobs, little-endian."""
    return [row.tobytes() for row in quantise(vectors, storage)]


def quantise(vectors: Vectors, storage: str) -> Quantised:
    """Rows of (n, d), of any length but 0, in the numbers they are stored in.

    float16 holds them at length 1, so that nothing overflows. int8 holds each row scaled so that its largest number
    is 127; the scale need not be kept, for all vectors have length 1 when they are read.
    """
    rows = _unit(vectors.astype(np.float64))
    if storage == "int8":
        largest = np.abs(rows).max(axis=1, initial=0)
        return np.rint(rows * (127 / np.where(largest > 0, largest, 1))[:, None]).astype(np.int8)
    return rows.astype("<f2")


def decode_vectors(blobs: Sequence[bytes], dimensions: int, storage: str) -> Vectors:
    """n blobs → (n, d) float32 rows of length 1."""
    kind = np.int8 if storage == "int8" else "<f2"
    return vectors_of(np.frombuffer(b"".join(blobs), dtype=kind).reshape(len(blobs), dimensions))


def vectors_of(stored: Quantised) -> Vectors:
    """Rows in the numbers they are stored in → float32, of length 1.

    The length is taken in float64: float32 sums would depend on how a library orders them, and a vector must
    be the same bit by bit wherever it is read from.
    """
    return _unit(stored.astype(np.float64)).astype(np.float32)


def _unit(rows: NDArray[np.float64]) -> NDArray[np.float64]:
    length = np.sqrt(np.einsum("ij,ij->i", rows, rows))
    rows /= np.where(length > 0, length, 1)[:, None]
    return rows
