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

MIN_ROWS = 50_000
"""Fewer rows are scanned in less time than a graph takes to load."""
LAG = 0.1
"""Rows that the graph lacks, or has for nothing, as a share of it before it is brought up to date."""
MAX_DELETED = 0.3
"""Deleted items as a share of the graph before it is built anew."""
_M = 16
_EF_CONSTRUCTION = 200
_EF = 400
"""Also the most that is asked for at once."""
_CHUNK = 10_000


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
        graph._index.set_ef(_EF)
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
                vectors[start : start + _CHUNK], ids[start : start + _CHUNK], num_threads=os.cpu_count() or 1
            )

    def save(self, path: Path) -> None:
        """Write the graph to its file. Raises OSError where the disk is full, which hnswlib does not see."""
        self._index.save_index(str(path))
        if path.stat().st_size != self._index.index_file_size():
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path))

    def ids(self) -> Ids:
        """All ids in it, deleted ones too."""
        return np.array(self._index.get_ids_list(), dtype=np.int64)

    def search(self, query: Vectors, k: int) -> Ids:
        """About the k nearest; none where the graph cannot say (hnswlib raises when it finds fewer)."""
        if k > _EF:
            return np.zeros(0, np.int64)
        try:
            labels, _ = self._index.knn_query(query, k=min(k, len(self)), num_threads=1)
        except RuntimeError:
            return np.zeros(0, np.int64)
        return np.asarray(labels[0]).astype(np.int64)
