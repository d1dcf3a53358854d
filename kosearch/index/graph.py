"""The HNSW graph over many vectors (Malkov and Yashunin 2016), through hnswlib where that is installed."""

from __future__ import annotations

import errno
import os
from contextlib import suppress
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np

from kosearch.index.records import Ids, Vectors
from kosearch.system import usable_cores

MIN_ROWS = 100_000
"""A graph may be built from so many rows on; below, a scan takes less than 18 ms of one core."""
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
_WIDER = 1.25
"""So many times wider it is searched while too little is found…"""
_WORTH = 50
"""…up to this part of the items, where it takes half of a scan's time: 4 to 5 µs for each step of width, and .17 to .2
for each row (`python -m tests.benchmarks graph_parameters`)."""
_CHUNK = 10_000


def lag(items: int) -> int:
    """How many rows a graph of so many items may lack."""
    return int(min(LAG * items, MOST_LAG))


def available() -> bool:
    """Whether hnswlib is installed: it has to be compiled, and searching goes on without it."""
    return find_spec("hnswlib") is not None


class HnswGraph:
    """A graph in memory; its labels are passage ids."""

    def __init__(self, dimensions: int) -> None:
        """Raises ImportError where hnswlib is not installed."""
        import hnswlib

        self._dimensions = dimensions
        self._index: Any = hnswlib.Index(space="ip", dim=dimensions)

    @classmethod
    def create(cls, dimensions: int, capacity: int) -> HnswGraph:
        """An empty graph."""
        graph = cls(dimensions)
        graph._index.init_index(capacity, M=_M, ef_construction=_EF_CONSTRUCTION)
        return graph

    @classmethod
    def load(cls, path: Path, dimensions: int, *, more: int = 0) -> HnswGraph:
        """A graph from its file, with room for `more` items. hnswlib checks nothing: the caller has."""
        graph = cls(dimensions)
        graph._index.load_index(str(path))
        if more:
            graph._index.resize_index(graph._index.get_current_count() + more)
        return graph

    def __len__(self) -> int:
        return int(self._index.get_current_count())

    def delete(self, ids: Ids) -> None:
        """Mark items as deleted, where they are not yet."""
        for number in ids.tolist():
            with suppress(RuntimeError):
                self._index.mark_deleted(number)

    def add(self, ids: Ids, vectors: Vectors) -> None:
        """Add items: ids (n,), vectors (n, d)."""
        for start in range(0, len(ids), _CHUNK):
            self._index.add_items(
                vectors[start : start + _CHUNK], ids[start : start + _CHUNK], num_threads=usable_cores()
            )

    def save(self, path: Path) -> None:
        """Write the graph to its file. Raises OSError where the disk is full, which hnswlib does not see."""
        self._index.save_index(str(path))
        if path.stat().st_size != self._index.index_file_size():
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path))

    def ids(self) -> Ids:
        """All ids in it, deleted ones too."""
        return np.array(self._index.get_ids_list(), dtype=np.int64)

    def search(self, query: Vectors, k: int, ef: int) -> Ids:
        """About the k nearest; none where the graph cannot say (hnswlib raises when it finds fewer)."""
        if k > _EF:
            return np.zeros(0, np.int64)
        try:
            self._index.set_ef(ef)
            labels, _ = self._index.knn_query(query, k=min(k, len(self)), num_threads=1)
        except RuntimeError:
            return np.zeros(0, np.int64)
        return np.asarray(labels[0]).astype(np.int64)

    def measured_ef(self, queries: Vectors, nearest: Ids) -> int:
        """The least width at which the graph finds RECALL of the nearest (queries, k); 0 where none does."""
        ef = _EF
        while ef <= max(_EF, len(self) / _WORTH):
            found = [self.search(query, nearest.shape[1], ef) for query in queries]
            hits = sum(np.isin(one, ids).sum() for one, ids in zip(nearest, found, strict=True))
            if hits >= RECALL * nearest.size:
                return ef
            ef = round(ef * _WIDER)
        return 0
