"""How library and parameters of the HNSW graph were chosen: build, size, and what it takes to find 99%.

    python -m tests.benchmarks graph_parameters [--rows 100000] [--try usearch:16:200,usearch-f32:16:200,hnswlib:16:200]

For each library:M:efConstruction a graph over made vectors (tests/benchmarks/_synthetic.py) is built by one thread.
Then 200 questions are asked at growing ef, until recall@10 against the exact scan is .99: that ef, and the milliseconds
a question then takes, beside those of the exact scan. `usearch` is what kosearch does: int8, of whose answers some more
than ten are scored again exactly. `hnswlib` is any module of that name: pip install hnswlib (needs a compiler), or
chroma-hnswlib (has wheels up to Python 3.12). Times are CPU times, so a busy machine shows little in them;
OMP_NUM_THREADS=1 makes those of the scan comparable.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from kosearch.index.vectors import HnswGraph
from tests.benchmarks._synthetic import DIMENSIONS, Corpus, Floats, Numbers

QUESTIONS = 200
K = 10
MORE = 64
"""Items beyond ten that are scored again."""
EFS = (100, 200, 400, 600, 800, 1200, 1600, 2400, 3200, 4800, 6400, 9600, 12800)
Search = Callable[[Floats, int], Numbers]


def main(arguments: Sequence[str]) -> None:
    parser = argparse.ArgumentParser(prog="graph_parameters", description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--rows", type=int, default=100_000)
    tried = "usearch:16:100,usearch:16:200,usearch:24:200,usearch-f32:16:200"
    parser.add_argument("--try", dest="tried", default=tried, help="library:M:efConstruction, …")
    options = parser.parse_args(arguments)
    corpus = Corpus(options.rows)
    vectors = corpus.vectors()
    queries = np.stack([one.vector for one in corpus.questions(QUESTIONS)])
    nearest, milliseconds = exact(vectors, queries)
    print(f"{len(vectors)} rows; an exact scan takes {milliseconds:.1f} ms\n")
    print("| library | M | efConstruction | build, s | MB | load, s | recall@10 by ef | ef for .99 | ms |")
    print("|---|---:|---:|---:|---:|---:|---|---:|---:|")
    for one in options.tried.split(","):
        library, m, construction = one.split(":")
        print(row(library, int(m), int(construction), vectors, queries, nearest), flush=True)


def exact(vectors: Floats, queries: Floats) -> tuple[Numbers, float]:
    """The nearest of each query, and milliseconds a query."""
    begun = time.process_time()
    found = [np.argpartition(vectors @ query, -K)[-K:] for query in queries]
    return np.stack(found), 1000 * (time.process_time() - begun) / len(queries)


def row(library: str, m: int, construction: int, vectors: Floats, queries: Floats, nearest: Numbers) -> str:
    begun = time.process_time()
    search, save, load = LIBRARIES[library](m, construction, vectors)
    built = time.process_time() - begun
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "graph")
        save(str(path))
        size = path.stat().st_size / 1e6
        begun = time.process_time()
        load(str(path))
        loaded = time.process_time() - begun
    recalls = []
    for ef in EFS:
        begun = time.process_time()
        found = [search(query, ef) for query in queries]
        milliseconds = 1000 * (time.process_time() - begun) / len(queries)
        recall = np.mean([len(np.intersect1d(a, b)) / K for a, b in zip(found, nearest, strict=True)])
        recalls.append(f"{ef}: {recall:.3f}")
        if recall >= 0.99:
            break
    shown = ", ".join(recalls[-4:])
    return (
        f"| {library} | {m} | {construction} | {built:.0f} | {size:.0f} | {loaded:.3f} | {shown} | {ef} "
        f"| {milliseconds:.2f} |"
    )


def with_usearch(m: int, construction: int, vectors: Floats) -> tuple[Search, Any, Any]:
    from usearch.index import Index

    def empty() -> Any:
        return Index(ndim=DIMENSIONS, metric="ip", dtype="i8", connectivity=m, expansion_add=construction)

    rounded = HnswGraph(DIMENSIONS)._rounded
    graph = empty()
    graph.add(np.arange(len(vectors)), rounded(vectors), threads=1)

    def search(query: Floats, ef: int) -> Numbers:
        graph.expansion_search = ef
        found = np.asarray(graph.search(rounded(query), K + MORE, threads=1).keys).astype(np.int64)
        best: Numbers = found[np.argsort(-(vectors[found].astype(np.float64) @ query.astype(np.float64)))[:K]]
        return best

    return search, graph.save, lambda path: empty().view(path)


def with_usearch_in_float32(m: int, construction: int, vectors: Floats) -> tuple[Search, Any, Any]:
    from usearch.index import Index

    def empty() -> Any:
        return Index(ndim=DIMENSIONS, metric="ip", dtype="f32", connectivity=m, expansion_add=construction)

    graph = empty()
    graph.add(np.arange(len(vectors)), vectors, threads=1)

    def search(query: Floats, ef: int) -> Numbers:
        graph.expansion_search = ef
        return np.asarray(graph.search(query, K, threads=1).keys).astype(np.int64)

    return search, graph.save, lambda path: empty().view(path)


def with_hnswlib(m: int, construction: int, vectors: Floats) -> tuple[Search, Any, Any]:
    import hnswlib  # type: ignore[import-not-found, unused-ignore]

    graph = hnswlib.Index(space="ip", dim=DIMENSIONS)
    graph.init_index(len(vectors), M=m, ef_construction=construction)
    graph.add_items(vectors, num_threads=1)

    def search(query: Floats, ef: int) -> Numbers:
        graph.set_ef(ef)
        return np.asarray(graph.knn_query(query, k=K, num_threads=1)[0][0]).astype(np.int64)

    return search, graph.save_index, hnswlib.Index(space="ip", dim=DIMENSIONS).load_index


LIBRARIES = {"usearch": with_usearch, "usearch-f32": with_usearch_in_float32, "hnswlib": with_hnswlib}


if __name__ == "__main__":
    main(sys.argv[1:])
