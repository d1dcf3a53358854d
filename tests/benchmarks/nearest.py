"""What it takes to find the nearest passages: by a scan of vectors, by a scan of codes, by a graph.

    python -m tests.benchmarks nearest [--rows 100000,1000000]
    python -m tests.benchmarks nearest INDEX=COLLECTION …

Made vectors (tests/benchmarks/_synthetic.py), or all real ones of some indexes together, as `kosearch eval COLLECTION
--index INDEX` leaves them, with up to 150 questions of each. The scans look for the nearest 200, and must find the
same: printed are CPU milliseconds a question. Of real vectors, and of up to 100,000 made ones, a graph is
built, and recall of the nearest 10 and 200 is printed by width.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np

import kosearch
from kosearch.evaluation.collections import read_collection
from kosearch.index import codes
from kosearch.index.files import Entry, Manifest
from kosearch.index.vectors import Dense, HnswGraph
from tests.benchmarks._synthetic import Corpus, Floats

QUESTIONS = 150
K = 200
WIDTHS = (264, 400, 800, 1600)
MOST_FOR_A_GRAPH = 100_000


def main(arguments: Sequence[str]) -> None:
    parser = argparse.ArgumentParser(prog="nearest", description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("indexes", nargs="*", help="INDEX=COLLECTION")
    parser.add_argument("--rows", default="100000")
    options = parser.parse_args(arguments)
    if options.indexes:
        pairs = [real(*one.split("=")) for one in options.indexes]
        report("real", *map(np.concatenate, zip(*pairs, strict=True)))
        return
    for rows in map(int, options.rows.split(",")):
        corpus = Corpus(rows)
        report("made", corpus.vectors(), np.stack([one.vector for one in corpus.questions(QUESTIONS)]))


def real(place: str, collection: str) -> tuple[Floats, Floats]:
    """The vectors of an index, and those of its collection's first questions."""
    index = kosearch.open(place)
    with index.store.snapshot() as snapshot:
        vectors = np.array(snapshot.vectors()[1])
    texts = [query.text for query in read_collection(Path(collection)).queries[:QUESTIONS]]
    return vectors, index.embed_queries(texts)


def report(kind: str, vectors: Floats, queries: Floats) -> None:
    print(f"{len(vectors):,} {kind} vectors, {len(queries)} questions")
    with tempfile.TemporaryDirectory() as folder:
        plain, coded = stored(Path(folder), vectors, coded=False), stored(Path(folder), vectors, coded=True)
        spent, found = {}, []
        for name, dense in (("vectors", plain), ("codes", coded)):  # not in turn: NumPy's threads wait for work awhile
            time.sleep(0.5)
            begun = time.process_time()
            found.append([dense.search(query, K) for query in queries])
            spent[name] = 1000 * (time.process_time() - begun) / len(queries)
        for one, other in zip(*found, strict=True):
            assert all(np.array_equal(a, b) for a, b in zip(one, other, strict=True))
        ratio = spent["vectors"] / spent["codes"]
        print(f"scan, CPU ms: vectors {spent['vectors']:.1f}, codes {spent['codes']:.1f}: {ratio:.1f} times less")
    if kind == "real" or len(vectors) <= MOST_FOR_A_GRAPH:
        by_graph(vectors, queries)


def stored(folder: Path, vectors: Floats, *, coded: bool) -> Dense:
    """The vectors as an index holds them, in one part."""
    name = "vectors-1.f32"
    entries = {}
    if coded:
        codes.write(folder / codes.name_for(name), vectors)
        entries = {codes.name_for(name): Entry(0, 0)}
    vectors.tofile(folder / name)
    numbers = np.arange(1, len(vectors) + 1)
    np.stack([numbers, numbers], axis=1).tofile(folder / "rows.i64")
    manifest = Manifest(1, vectors.shape[1], parts=((name, len(vectors)),), files=entries)
    dense = Dense(folder, manifest, lambda _: None)
    dense.load_codes()
    return dense


def by_graph(vectors: Floats, queries: Floats) -> None:
    """Recall and CPU time by width."""
    graph, begun = HnswGraph(vectors.shape[1]), time.process_time()
    graph.add(np.arange(1, len(vectors) + 1), vectors)
    print(f"graph: built in {time.process_time() - begun:.0f} s CPU")
    order = np.argsort(-(queries @ vectors.T), axis=1)[:, :K] + 1
    for width in WIDTHS:
        begun = time.process_time()
        found = [graph.search(query, K + 64, width) for query in queries]
        spent = 1000 * (time.process_time() - begun) / len(queries)
        recalls = [
            np.mean([np.isin(near[:k], some).mean() for near, some in zip(order, found, strict=True)]) for k in (10, K)
        ]
        print(f"graph, {width} wide: recall@10 {recalls[0]:.4f}, @{K} {recalls[1]:.4f}, {spent:.2f} ms CPU")


if __name__ == "__main__":
    main(sys.argv[1:])
