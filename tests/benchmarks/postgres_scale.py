"""An index that a PostgreSQL server keeps as it grows, against one in a folder: a made corpus, as `scale` has it.

    python -m tests.benchmarks postgres_scale [--passages 20000,200000] [--questions N] [--alone] [--kept FOLDER]
                                              [--plot FILE]

Printed for each size: seconds of building, by the clock and of processors (the server's included); bytes a passage;
for how many hybrid questions the first ten are identical, in order and place, comparing all vectors in both; and what
a question takes, median, the folder's and the server's in turn: where each opens its index for it (`one-shot`), and
where it is kept open (`kept`), with processor time beside. Then the server builds the graph of `kosearch docs server`:
of the 10 and the 200 nearest what part it finds, and the same two again with it, while the folder compares all.
With `--alone` there is no folder, and nothing is compared: a million passages, say, written 4,096 in a transaction by a
process for each core, as several machines would, and what a question takes where all vectors are compared and by the
graph. `--kept` keeps the server's database in a folder (with a short path: it holds the socket), so that the same
questions can be asked again without building. `--plot` draws how the server's costs grow, those of questions in
processor time, as SVG.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import re
import resource
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from statistics import mean, median
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kosearch.config import Database, database
from kosearch.index import SqliteStore, Store
from kosearch.index.postgres import PostgresStore
from kosearch.index.postgres import snapshot as snapshots
from kosearch.records import Answer, Query
from kosearch.searching.answering import Read as Questions
from kosearch.searching.answering import answers
from tests.benchmarks._growth import growth_plot
from tests.benchmarks._synthetic import BLOCK, IDENTITY, Asked, Corpus
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
    parser.add_argument("--kept", type=Path, help="the folder of the server's database, which is left there")
    parser.add_argument("--plot", type=Path, help="draw how the server's costs grow into this SVG file")
    options = parser.parse_args(arguments)
    sizes = [int(size) for size in options.passages.split(",")]
    costs: dict[str, list[float]] = defaultdict(list)
    with running("shared_buffers=4GB", "maintenance_work_mem=4GB", "max_wal_size=16GB", kept=options.kept) as server:
        for size in sizes:
            with tempfile.TemporaryDirectory() as folder:
                beside = None if options.alone else Path(folder, "index")
                for name, cost in measure(server, beside, Corpus(size), options.questions, size).items():
                    costs[name].append(cost)
            if not options.kept:
                server.sql(f"DROP SCHEMA kosearch_made_{size} CASCADE")
    if options.plot:
        title = "Costs of an index on a server, as multiples of those of the smallest"
        options.plot.write_text(growth_plot(sizes, costs, title), encoding="utf-8")


def measure(server: TestServer, folder: Path | None, corpus: Corpus, questions: int, size: int) -> dict[str, float]:
    """Print what one size costs; the server's costs by name."""
    place = database(server.url(f"made_{size}"))
    stores: dict[str, Store] = {} if folder is None else {"folder": SqliteStore.create(folder, IDENTITY)}
    is_kept = PostgresStore.exists(place)
    stores["server"] = PostgresStore(place) if is_kept else PostgresStore.create(place, IDENTITY)
    costs: dict[str, float] = {}
    print(f"{size:,} passages, {questions} questions", flush=True)
    for name, store in stores.items():
        if name == "server" and is_kept:
            continue
        clock, processors = time.perf_counter(), spent(server)
        if folder is None:
            write_by_several(place, size)
        else:
            put(store, corpus, np.arange(corpus.documents), BATCH)
        costs["building, CPU"], costs["bytes on disk"] = spent(server) - processors, store.status().bytes
        took = f"{time.perf_counter() - clock:.0f} s, {costs['building, CPU']:.0f} s CPU"
        print(f"  {name:7} built in {took}; {costs['bytes on disk'] / size:.0f} bytes a passage", flush=True)
    if is_kept:  # the earlier run may have been ended as it built
        print(f"  server  has {stores['server'].status().passages:,} of an earlier run", flush=True)
    server.sql("VACUUM ANALYZE")
    asked = corpus.questions(questions)
    opened: dict[str, Callable[[], Store]] = {"server": partial(PostgresStore, place)}
    if folder is not None:
        opened["folder"] = partial(SqliteStore, folder)
    one_shot = {name: partial(anew, open_) for name, open_ in opened.items()}
    kept = {name: partial(hybrid, store) for name, store in stores.items()}
    with graph_from(sys.maxsize):
        compare(server, one_shot, asked[: questions // 4], "one-shot")
        costs["a question, CPU"] = compare(server, kept, asked, "kept")
        exact = nearest(stores["server"], asked)
    build_graph(server, place)
    with graph_from(0):
        print(f"  graph    {recall(exact, nearest(stores['server'], asked))}", flush=True)
        compare(server, one_shot, asked[: questions // 4], "one-shot by the graph")
        costs["a question by the graph, CPU"] = compare(server, kept, asked, "kept by the graph")
    for store in stores.values():
        store.close()
    return costs


def put(store: Store, corpus: Corpus, numbers: NDArray[np.int64], at_once: int) -> None:
    with store.writer() as writer:
        write(writer, corpus, numbers, at_once=at_once)
        writer.publish()


def write_by_several(place: Database, size: int) -> None:
    """Every document, by a process for each core: of each thousand one writes all, since they are made at once."""
    writers = os.cpu_count() or 1
    writer = np.arange(Corpus(size).documents) // BLOCK % writers
    with ProcessPoolExecutor(writers, multiprocessing.get_context("spawn")) as pool:
        for part in [pool.submit(write_part, place, size, np.flatnonzero(writer == own)) for own in range(writers)]:
            part.result()


def write_part(place: Database, size: int, numbers: NDArray[np.int64]) -> None:
    store = PostgresStore(place)
    try:
        put(store, Corpus(size), numbers, MANY)
    finally:
        store.close()


def spent(server: TestServer) -> float:
    """CPU seconds of this process, of those it waited for, and of the server's."""
    waited = resource.getrusage(resource.RUSAGE_CHILDREN)
    own = time.process_time() + waited.ru_utime + waited.ru_stime
    return own + (below(server.process.pid) if server.process else 0.0)


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
def graph_from(rows: int) -> Iterator[None]:
    """The server's graph, where there is one, is used from so many passages on."""
    kept, snapshots.GRAPH_ROWS = snapshots.GRAPH_ROWS, rows
    try:
        yield
    finally:
        snapshots.GRAPH_ROWS = kept


def build_graph(server: TestServer, place: Database) -> None:
    """Build the graph of the page, where an earlier run has not, and say what it cost."""
    statement = re.search(r"^CREATE INDEX .*?;", PAGE.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)
    assert statement is not None
    begun, processors = time.perf_counter(), spent(server)
    named = statement[0].replace("kosearch_handbook", place.schema)
    server.sql(named.replace("passage_vector", "IF NOT EXISTS passage_vector"))
    took, cpu = time.perf_counter() - begun, spent(server) - processors
    (size,) = server.sql(f"SELECT pg_relation_size('{place.schema}.passage_vector')").split()
    print(f"  graph    built in {took:.0f} s, {cpu:.0f} s CPU; {int(size):,} bytes", flush=True)


def nearest(store: Store, asked: Sequence[Asked]) -> list[NDArray[np.int64]]:
    """The 200 nearest of each question, the nearest first."""
    with store.snapshot() as snapshot:
        return [snapshot.dense(one.vector, max(DEPTHS))[0] for one in asked]


def recall(exact: Sequence[NDArray[np.int64]], found: Sequence[NDArray[np.int64]]) -> str:
    """What part of the nearest is among those found, by depth."""
    pairs = list(zip(exact, found, strict=True))
    shares = {depth: mean(len(np.intersect1d(a[:depth], b[:depth])) / depth for a, b in pairs) for depth in DEPTHS}
    return ", ".join(f"recall@{depth} {share:.4f}" for depth, share in shares.items())


if __name__ == "__main__":
    from tests.benchmarks import postgres_scale  # by this name other processes find its functions

    postgres_scale.main(sys.argv[1:])
