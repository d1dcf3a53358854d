"""How the parameters of the HNSW graph were chosen: build time, size, and what it takes to find 99%.

    python -m tests.benchmarks graph_parameters [--rows 100000] [--try 16:100,16:200,24:200,32:200]

For each M:efConstruction a graph over made vectors (tests/benchmarks/_synthetic.py) is built by one thread. Then 200
questions are asked at growing ef, until recall@10 against the exact scan is .99: that ef, and the milliseconds a
question then takes, beside those of the exact scan. Times are CPU times, so a busy machine shows
little in them; OMP_NUM_THREADS=1 makes those of the scan comparable.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Sequence

import hnswlib
import numpy as np

from tests.benchmarks._synthetic import DIMENSIONS, Corpus, Floats, Numbers

QUESTIONS = 200
K = 10
EFS = (100, 200, 400, 600, 800, 1200, 1600, 2400, 3200, 4800, 6400, 9600, 12800)


def main(arguments: Sequence[str]) -> None:
    parser = argparse.ArgumentParser(prog="graph_parameters", description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--rows", type=int, default=100_000)
    parser.add_argument("--try", dest="tried", default="16:100,16:200,24:200,32:200", help="M:efConstruction, …")
    options = parser.parse_args(arguments)
    corpus = Corpus(options.rows)
    vectors = corpus.vectors()
    queries = np.stack([one.vector for one in corpus.questions(QUESTIONS)])
    nearest, milliseconds = exact(vectors, queries)
    print(f"{len(vectors)} rows; an exact scan takes {milliseconds:.1f} ms\n")
    print("| M | efConstruction | build, s | MB | recall@10 by ef | ef for .99 | ms |")
    print("|---:|---:|---:|---:|---|---:|---:|")
    for pair in options.tried.split(","):
        m, construction = map(int, pair.split(":"))
        print(row(m, construction, vectors, queries, nearest), flush=True)


def exact(vectors: Floats, queries: Floats) -> tuple[Numbers, float]:
    """The nearest of each query, and milliseconds a query."""
    begun = time.process_time()
    found = [np.argpartition(vectors @ query, -K)[-K:] for query in queries]
    return np.stack(found), 1000 * (time.process_time() - begun) / len(queries)


def row(m: int, construction: int, vectors: Floats, queries: Floats, nearest: Numbers) -> str:
    graph = hnswlib.Index(space="ip", dim=DIMENSIONS)
    graph.init_index(len(vectors), M=m, ef_construction=construction)
    begun = time.process_time()
    graph.add_items(vectors, num_threads=1)
    built = time.process_time() - begun
    recalls = []
    for ef in EFS:
        graph.set_ef(ef)
        begun = time.process_time()
        found = [graph.knn_query(query, k=K, num_threads=1)[0][0] for query in queries]
        milliseconds = 1000 * (time.process_time() - begun) / len(queries)
        recall = np.mean([len(np.intersect1d(a, b)) / K for a, b in zip(found, nearest, strict=True)])
        recalls.append(f"{ef}: {recall:.3f}")
        if recall >= 0.99:
            break
    size = graph.index_file_size() / 1e6
    shown = ", ".join(recalls[-4:])
    return f"| {m} | {construction} | {built:.0f} | {size:.0f} | {shown} | {ef} | {milliseconds:.1f} |"


if __name__ == "__main__":
    main(sys.argv[1:])
