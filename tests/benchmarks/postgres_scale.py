"""An index that a PostgreSQL server keeps as it grows, against one in a folder: a made corpus, as `scale` has it.

    python -m tests.benchmarks postgres_scale [--passages 20000,200000] [--questions N] [--alone] [--plot FILE]

Printed for each size: seconds of building, by the clock and of processors (the server's included); bytes a passage;
for how many hybrid questions the first ten are identical, in order and place, comparing all vectors in both; and what
a question takes, median, the folder's and the server's in turn: where each opens its index for it (`one-shot`), and
where it is kept open (`kept`), with processor time beside. Then the server builds the graph of `kosearch docs server`:
of the 10 and the 200 nearest what part it finds, and the same two again with it, while the folder compares all.
With `--alone` there is no folder, and nothing is compared: a million passages, say, written 4,096 in a transaction, and
what a question takes where all vectors are compared and by the graph. `--plot` draws how the server's costs grow, those
of questions in processor time, as SVG.
"""

from __future__ import annotations

import argparse
import os
import re
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
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
from kosearch.searching.answering import Read as Questions
from kosearch.searching.answering import answers
from tests.benchmarks._growth import growth_plot
from tests.benchmarks._synthetic import IDENTITY, Asked, Corpus
from tests.benchmarks.postgres import DEPTHS, PAGE
from tests.benchmarks.scale import BATCH, Read, unasked, write

sys.path.insert(0, str(Path(__file__).parents[1]))
from postgres_making import TestServer, running

TICKS = os.sysconf("SC_CLK_TCK")
MANY = 512
"""Documents of a transaction, where the server is alone."""


def main(arguments: Sequence[str]) -> None:
    parser = argparse.ArgumentParser(prog="postgres_scale", description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--passages", default="20000,200000", help="sizes, between commas")
    parser.add_argument("--questions", type=int, default=100)
    parser.add_argument("--alone", action="store_true", help="the server alone, without a folder to compare with")
    parser.add_argument("--plot", type=Path, help="draw how the server's costs grow into this SVG file")
    options = parser.parse_args(arguments)
    sizes = [int(size) for size in options.passages.split(",")]
    costs: dict[str, list[float]] = defaultdict(list)
    with running("shared_buffers=1GB", "maintenance_work_mem=1GB", "max_wal_size=4GB") as server:
        for size in sizes:
            with tempfile.TemporaryDirectory() as folder:
                beside = None if options.alone else Path(folder, "index")
                for name, cost in measure(server, beside, Corpus(size), options.questions, size).items():
                    costs[name].append(cost)
            server.sql(f"DROP SCHEMA kosearch_made_{size} CASCADE")
    if options.plot:
        title = "Costs of an index on a server, as multiples of those of the smallest"
        options.plot.write_text(growth_plot(sizes, costs, title), encoding="utf-8")


def measure(server: TestServer, folder: Path | None, corpus: Corpus, questions: int, size: int) -> dict[str, float]:
    """Print what one size costs; the server's costs by name."""
    place = database(server.url(f"made_{size}"))
    stores: dict[str, Store] = {} if folder is None else {"folder": SqliteStore.create(folder, IDENTITY)}
    stores["server"] = PostgresStore.create(place, IDENTITY)
    costs: dict[str, float] = {}
    print(f"{size:,} passages, {questions} questions")
    for name, store in stores.items():
        clock, processors = time.perf_counter(), spent(server)
        with store.writer() as writer:
            write(writer, corpus, np.arange(corpus.documents), at_once=BATCH if folder else MANY)
            writer.publish()
        costs["building, CPU"], costs["bytes on disk"] = spent(server) - processors, store.status().bytes
        took = f"{time.perf_counter() - clock:.0f} s, {costs['building, CPU']:.0f} s CPU"
        print(f"  {name:7} built in {took}; {costs['bytes on disk'] / size:.0f} bytes a passage", flush=True)
    server.sql("VACUUM ANALYZE")
    asked = corpus.questions(questions)
    opened: dict[str, Callable[[], Store]] = {"server": partial(PostgresStore, place)}
    if folder is not None:
        opened["folder"] = partial(SqliteStore, folder)
    one_shot = {name: partial(anew, open_) for name, open_ in opened.items()}
    kept = {name: partial(hybrid, store) for name, store in stores.items()}
    compare(server, one_shot, asked[: questions // 4], "one-shot")
    costs["a question, CPU"] = compare(server, kept, asked, "kept")
    with graph(server, stores["server"], place, asked):
        compare(server, one_shot, asked[: questions // 4], "one-shot by the graph")
        costs["a question by the graph, CPU"] = compare(server, kept, asked, "kept by the graph")
    for store in stores.values():
        store.close()
    return costs


def spent(server: TestServer) -> float:
    """CPU seconds of this process and of the server's."""
    return time.process_time() + (below(server.process.pid) if server.process else 0.0)


def below(process: int) -> float:
    """CPU seconds of a process, of all that it waited for, and of its children, as far as they run."""
    found = 0.0
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = stat.read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()
        except OSError:  # it has ended
            continue
        if process in (int(stat.parent.name), int(fields[1])):
            found += sum(map(int, fields[11:15])) / TICKS  # see proc(5): utime, stime, cutime, cstime
    return found


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
        read = Questions(snapshot, analyzer)
        return answers([Query(asked.question.text)], snapshot, read, lambda _: asked.vector[None], unasked)[0]


def compare(
    server: TestServer, ways: dict[str, Callable[[Asked], Answer]], asked: Sequence[Asked], which: str
) -> float:
    """The same questions both ways in turn, the first few left out of the times; the server's mean CPU milliseconds."""
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
        first, *others = ([(hit.path, hit.passage.start) for hit in found[name].hits] for name in sorted(ways))
        if others == [first]:
            identical += 1
            pairs = zip(found["folder"].hits, found["server"].hits, strict=True)
            furthest = max([furthest, *(abs(a.score - b.score) for a, b in pairs)])
    times = {name: 1000 * median(each) for name, each in seconds.items()}
    used = {name: 1000 * each / len(seconds[name]) for name, each in processors.items()}
    told = ", ".join(f"{name} {times[name]:.1f} ms ({used[name]:.1f} CPU)" for name in sorted(ways))
    if len(ways) > 1:
        same = f"{identical} of {len(asked)} identical, scores within {furthest:.1e}"
        ratio = f"{times['server'] / times['folder']:.2f} ({used['server'] / used['folder']:.2f} CPU)"
        told = f"{same}; {told}; server/folder {ratio}"
    print(f"  {which:21} {told}", flush=True)
    return used["server"]


@contextmanager
def graph(server: TestServer, store: Store, place: Database, asked: Sequence[Asked]) -> Iterator[None]:
    """Build the graph of the page, say what it finds, and use it, however few the passages are."""
    with store.snapshot() as snapshot:
        exact = [snapshot.dense(one.vector, max(DEPTHS))[0] for one in asked]
    statement = re.search(r"^CREATE INDEX .*?;", PAGE.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)
    assert statement is not None
    begun, processors = time.perf_counter(), spent(server)
    server.sql(statement[0].replace("kosearch_handbook", place.schema))
    took, cpu, kept = time.perf_counter() - begun, spent(server) - processors, snapshots.GRAPH_ROWS
    snapshots.GRAPH_ROWS = 0
    try:
        with store.snapshot() as snapshot:
            found = [snapshot.dense(one.vector, max(DEPTHS))[0] for one in asked]
        shares = {
            depth: mean(len(np.intersect1d(a[:depth], b[:depth])) / depth for a, b in zip(exact, found, strict=True))
            for depth in DEPTHS
        }
        (size,) = server.sql(f"SELECT pg_relation_size('{place.schema}.passage_vector')").split()
        told = ", ".join(f"recall@{depth} {share:.4f}" for depth, share in shares.items())
        print(f"  graph    built in {took:.0f} s, {cpu:.0f} s CPU; {int(size):,} bytes; {told}", flush=True)
        yield
    finally:
        snapshots.GRAPH_ROWS = kept


if __name__ == "__main__":
    main(sys.argv[1:])
