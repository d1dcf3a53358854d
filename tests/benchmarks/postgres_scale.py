"""An index that a PostgreSQL server keeps as it grows, against one in a folder: a made corpus, as `scale` has it.

    python -m tests.benchmarks postgres_scale [--passages 20000,200000] [--questions N]

Printed for each size: seconds of building, by the clock and of processors (the server's included); bytes a passage;
for how many hybrid questions the first ten are identical, in order and place, comparing all vectors in both; and what
a question takes, median, the folder's and the server's in turn: where each opens its index for it (`one-shot`), and
where it is kept open (`kept`), with processor time beside. Then the server builds the graph of `kosearch docs server`:
of the 10 and the 200 nearest what part it finds, and what a question takes by it.
"""

from __future__ import annotations

import argparse
import re
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from statistics import mean, median
from typing import Any

import numpy as np

from kosearch.config import Database, database
from kosearch.index import SqliteStore, Store
from kosearch.index.postgres import PostgresStore
from kosearch.index.postgres import snapshot as snapshots
from kosearch.records import Answer, Query
from kosearch.searching.answering import answers, read_question
from tests.benchmarks._synthetic import IDENTITY, Asked, Corpus
from tests.benchmarks.postgres import DEPTHS, PAGE
from tests.benchmarks.scale import Read, unasked, write

sys.path.insert(0, str(Path(__file__).parents[1]))
from postgres_making import TestServer, running

from tests.benchmarks.over_ray import below


def main(arguments: Sequence[str]) -> None:
    parser = argparse.ArgumentParser(prog="postgres_scale", description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--passages", default="20000,200000", help="sizes, between commas")
    parser.add_argument("--questions", type=int, default=100)
    options = parser.parse_args(arguments)
    with running("shared_buffers=1GB", "maintenance_work_mem=1GB", "max_wal_size=4GB") as server:
        for size in map(int, options.passages.split(",")):
            with tempfile.TemporaryDirectory() as folder:
                measure(server, Path(folder, "index"), Corpus(size), options.questions, size)


def measure(server: TestServer, folder: Path, corpus: Corpus, questions: int, size: int) -> None:
    place = database(server.url(f"made_{size}"))
    stores = {"folder": SqliteStore.create(folder, IDENTITY), "server": PostgresStore.create(place, IDENTITY)}
    print(f"{size:,} passages, {questions} questions")
    for name, store in stores.items():
        clock, processors = time.perf_counter(), spent(server)
        with store.writer() as writer:
            write(writer, corpus, np.arange(corpus.documents))
            writer.publish()
        took = f"{time.perf_counter() - clock:.0f} s, {spent(server) - processors:.0f} s CPU"
        print(f"  {name:7} built in {took}; {store.status().bytes / size:.0f} bytes a passage", flush=True)
    server.sql("VACUUM ANALYZE")
    asked = corpus.questions(questions)
    opened = {"folder": partial(SqliteStore, folder), "server": partial(PostgresStore, place)}
    compare(server, {name: partial(anew, open_) for name, open_ in opened.items()}, asked[: questions // 4], "one-shot")
    compare(server, {name: partial(hybrid, store) for name, store in stores.items()}, asked, "kept")
    use_graph(server, stores["server"], place, asked)
    for store in stores.values():
        store.close()


def spent(server: TestServer) -> float:
    """CPU seconds of this process and of the server's."""
    return time.process_time() + (below(server.process.pid) if server.process else 0.0)


def anew(open_store: Callable[[], Store], asked: Asked) -> Answer:
    store = open_store()
    try:
        return hybrid(store, asked)
    finally:
        store.close()


def hybrid(store: Store, asked: Asked) -> Answer:
    """The best ten by both sides, as the product finds them, by comparing all vectors."""
    analyzer: Any = Read(asked)
    with store.snapshot() as snapshot:
        read = partial(read_question, snapshot=snapshot, analyzer=analyzer)
        return answers([Query(asked.question.text)], snapshot, read, lambda _: asked.vector[None], unasked)[0]


def compare(server: TestServer, ways: dict[str, Callable[[Asked], Answer]], asked: Sequence[Asked], which: str) -> None:
    """The same questions both ways in turn, the first few left out of the times."""
    identical, furthest = 0, 0.0
    seconds: dict[str, list[float]] = defaultdict(list)
    processors: dict[str, float] = defaultdict(float)
    for number, one in enumerate(asked):
        found: dict[str, Answer] = {}
        for name in sorted(ways, reverse=number % 2 == 0):
            begun, before = time.perf_counter(), spent(server)
            found[name] = ways[name](one)
            if number >= min(5, len(asked) // 2):
                seconds[name].append(time.perf_counter() - begun)
                processors[name] += spent(server) - before
        first, other = ([(hit.path, hit.passage.start) for hit in found[name].hits] for name in sorted(ways))
        identical += first == other
        pairs = zip(found["folder"].hits, found["server"].hits, strict=True) if first == other else ()
        furthest = max([furthest, *(abs(a.score - b.score) for a, b in pairs)])
    times = {name: 1000 * median(each) for name, each in seconds.items()}
    used = {name: 1000 * each / len(seconds[name]) for name, each in processors.items()}
    told = ", ".join(f"{name} {times[name]:.1f} ms ({used[name]:.1f} CPU)" for name in sorted(ways))
    print(
        f"  {which:8} {identical} of {len(asked)} identical, scores within {furthest:.1e}; {told}; server/folder"
        f" {times['server'] / times['folder']:.2f} ({used['server'] / used['folder']:.2f} CPU)",
        flush=True,
    )


def use_graph(server: TestServer, store: Store, place: Database, asked: Sequence[Asked]) -> None:
    with store.snapshot() as snapshot:
        exact = [snapshot.dense(one.vector, max(DEPTHS))[0] for one in asked]
    statement = re.search(r"^CREATE INDEX .*?;", PAGE.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)
    assert statement is not None
    begun = time.perf_counter()
    server.sql(statement[0].replace("kosearch_handbook", place.schema))
    took, kept = time.perf_counter() - begun, snapshots.GRAPH_ROWS
    snapshots.GRAPH_ROWS = 0
    try:
        with store.snapshot() as snapshot:
            found = [snapshot.dense(one.vector, max(DEPTHS))[0] for one in asked]
        times = []
        for one in asked:
            clock = time.perf_counter()
            hybrid(store, one)
            times.append(time.perf_counter() - clock)
    finally:
        snapshots.GRAPH_ROWS = kept
    shares = {
        depth: mean(len(np.intersect1d(a[:depth], b[:depth])) / depth for a, b in zip(exact, found, strict=True))
        for depth in DEPTHS
    }
    told = ", ".join(f"recall@{depth} {share:.4f}" for depth, share in shares.items())
    print(f"  graph    built in {took:.0f} s; {told}; {1000 * median(times):.1f} ms a question", flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
