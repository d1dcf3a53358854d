"""What an index costs as it grows: a made corpus of a thousand passages to a million.

    python -m tests.benchmarks scale [--passages 1000,10000,100000,1000000] [--plot FILE] [--folder FOLDER]

Vectors and terms are made (tests/benchmarks/_synthetic.py says how), so no model is loaded; all else is the product:
its writer in transactions of 256 passages, `publish`, snapshots, and the whole search but Kiwi and the embedding of
the question. For each size, each in a process of its own:

    build      the documents are written and published, part by part; peak memory
    one-shot   the index is opened, a question is answered exactly, as `kosearch query --no-resident` does
    resident   the graph is loaded, 200 questions are answered; recall@10 of its nearest against the exact scan
    changes    1% of the documents change, 1% leave, then as many change as the graph gets brought up to date for

Ends with 1 where recall@10 is below .99. A million take 5.1 GB of disk, and more while they change; all sizes took
a quarter of an hour on two cores that had little else to do. `--plot` draws how each cost grows, as SVG.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import platform
import resource
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from importlib.metadata import version
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np

from kosearch.index import SqliteStore, Writer, files, vectors
from kosearch.records import Query
from kosearch.searching.answering import Read as Questions
from kosearch.searching.answering import answers
from kosearch.searching.ranking import CANDIDATES
from tests.benchmarks import _synthetic
from tests.benchmarks._growth import growth_plot
from tests.benchmarks._synthetic import IDENTITY, PER_DOCUMENT, Asked, Corpus

QUESTIONS = 200
WARMING = 20
ONE_SHOTS = 3
BATCH = 256 // PER_DOCUMENT
TARGET = 0.99
PARTS = {
    "folder made": "check",
    "vectors written": "flat file",
    "graph written": "HNSW",
    "terms written": "Tantivy",
    "manifest written": "to disk",
}
"""What `publish` has done when it says that it has come so far; all that follows is the commit."""
Figures = dict[str, float]


def main(arguments: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(prog="scale", description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--passages", default="1000,10000,100000,1000000", help="sizes, between commas")
    parser.add_argument("--plot", type=Path, help="draw how the costs grow into this SVG file")
    parser.add_argument("--folder", type=Path, help="where the indexes are made (default: the system's for such)")
    options = parser.parse_args(arguments)
    describe()
    sizes = [int(size) for size in options.passages.split(",")]
    columns = []
    for size in sizes:
        with tempfile.TemporaryDirectory(dir=options.folder) as folder:
            columns.append(measure(Path(folder) / "index", size))
        report(sizes[: len(columns)], columns)
    if options.plot:
        options.plot.write_text(growth_plot(sizes, curves(columns)), encoding="utf-8")
    return int(min(column[name] for column in columns for name in column if name.startswith("recall")) < TARGET)


def measure(folder: Path, size: int) -> Figures:
    """All figures of one size, each step in a fresh process."""
    figures = alone(build, folder, size)
    shots = [alone(one_shot, folder, size) for _ in range(ONE_SHOTS)]
    figures |= {name: float(np.median([shot[name] for shot in shots])) for name in shots[0]}
    figures |= alone(resident, folder, size)
    figures |= alone(changes, folder, size)
    return figures


def alone(step: Callable[[Path, int], Figures], folder: Path, size: int) -> Figures:
    """Run a step in a process of its own, so that its memory is its own; what it found is said at once."""
    print(f"{size} passages: {step.__name__}", file=sys.stderr, flush=True)
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as pool:
        figures = pool.submit(step, folder, size).result()
    print("; ".join(f"{name}: {shown(name, value)}" for name, value in figures.items()), file=sys.stderr, flush=True)
    return figures


def build(folder: Path, size: int) -> Figures:
    """Write all documents and publish them; seconds by part, disk by part, peak memory."""
    corpus, figures = Corpus(size), {}
    with SqliteStore.create(folder, IDENTITY).writer() as writer:
        figures["build: SQLite, s"] = write(writer, corpus, np.arange(corpus.documents))
        for part, seconds in published(writer).items():
            figures[f"build: {part}, s"] = seconds
    figures["build: all, s"] = sum(figures.values())
    figures |= disk(folder)
    figures["memory: build, peak MB"] = peak()
    return figures


def write(
    writer: Writer, corpus: Corpus, numbers: _synthetic.Numbers, version: int = 0, *, at_once: int = BATCH
) -> float:
    """Put documents, a transaction for so many, 256 passages; the seconds that it took, without making them."""
    spent = 0.0
    made = corpus.make(numbers, version)
    while batch := list(islice(made, at_once)):
        begun = time.perf_counter()
        writer.vectors([one.input_hash for _, document in batch for one in document.passages])
        with writer.transaction():
            for source, document in batch:
                writer.put(source, str(version), [document])
        spent += time.perf_counter() - begun
    return spent


def published(writer: Writer) -> Figures:
    """Publish; seconds by part."""
    parts, since = dict.fromkeys([*PARTS.values(), "commit"], 0.0), time.perf_counter()

    def done(name: str) -> None:
        nonlocal since
        now = time.perf_counter()
        parts[PARTS.get(name, "commit")] += now - since
        since = now

    files.hooks.append(done)
    try:
        writer.publish()
        done("swept")
    finally:
        files.hooks.remove(done)
    return parts


def disk(folder: Path) -> Figures:
    """Megabytes by part."""
    kinds = {"SQLite": "index.sqlite*", "flat file": "*/[crv]*", "HNSW": "*/*.usearch", "Tantivy": "*/lexical/*"}
    sizes = {
        f"disk: {kind}, MB": sum(path.stat().st_size for path in folder.glob(p)) / 1e6 for kind, p in kinds.items()
    }
    return sizes | {"disk: all, MB": sum(sizes.values())}


def one_shot(folder: Path, size: int) -> Figures:
    """Open the index and answer a question, once."""
    asked = Corpus(size).questions(1)
    before, begun = anonymous(), time.perf_counter()
    index = SqliteStore(folder)
    with index.snapshot() as snapshot:
        opened = time.perf_counter()
        snapshot.dense(asked[0].vector, CANDIDATES)
        scanned = time.perf_counter()
    hybrid(index, asked[0], warm=False)
    return {
        "one-shot: open and check, ms": 1000 * (opened - begun),
        "one-shot: exact scan, ms": 1000 * (scanned - opened),
        "one-shot: hybrid answer, ms": 1000 * (time.perf_counter() - scanned),
        "memory: one-shot, own MB": anonymous() - before,
    }


def resident(folder: Path, size: int) -> Figures:
    """Load everything and answer questions."""
    asked = Corpus(size).questions(QUESTIONS + WARMING)
    before, begun = anonymous(), time.perf_counter()
    index = SqliteStore(folder)
    with index.snapshot(warm=True):
        pass
    figures = {"resident: load, s": time.perf_counter() - begun}
    figures |= {f"resident: {name}": value for name, value in asking(index, asked).items()}
    figures |= nearest(folder, index, asked[WARMING:], "")
    figures |= the_graph(folder, "")
    figures["memory: resident, own MB"] = anonymous() - before
    return figures


def asking(index: SqliteStore, asked: Sequence[Asked]) -> Figures:
    """Milliseconds a hybrid question takes, the first few left out."""
    for one in asked[:WARMING]:
        hybrid(index, one, warm=True)
    before = time.process_time()
    times = [hybrid(index, one, warm=True) for one in asked[WARMING:]]
    cpu = 1000 * (time.process_time() - before) / len(times)
    middle, worst = np.percentile(times, [50, 99])
    return {"hybrid p50, ms": float(middle), "hybrid p99, ms": float(worst), "hybrid CPU, ms": cpu}


def hybrid(index: SqliteStore, asked: Asked, *, warm: bool) -> float:
    """Answer a question by both sides, as the product does; milliseconds."""
    analyzer: Any = Read(asked)
    begun = time.perf_counter()
    with index.snapshot(warm=warm) as snapshot:
        read = Questions(snapshot, analyzer)
        (answer,) = answers([Query(asked.question.text)], snapshot, read, lambda _: asked.vector[None], unasked)
    assert answer.hits
    assert not answer.warnings, answer.warnings
    return 1000 * (time.perf_counter() - begun)


def unasked(question: str, texts: Sequence[str]) -> Any:
    raise AssertionError("nothing is reranked")


class Read:
    """Stands in for the analyzer, which would take the made words for names."""

    def __init__(self, asked: Asked) -> None:
        self._asked = asked

    def question(self, text: str, **_: Any) -> Any:
        return self._asked.question

    def words_of(self, text: str) -> list[list[str]]:
        return [[] for _ in text.split()]  # a made word that no passage has any more is no slip

    in_turn = staticmethod(iter)


def nearest(folder: Path, index: SqliteStore, asked: Sequence[Asked], when: str) -> Figures:
    """Recall@10 of what the resident finds, and what it takes, beside the exact scan."""
    found, truth, times = [], [], []
    with index.snapshot(warm=True) as warm, SqliteStore(folder).snapshot() as exact:
        for one in asked:
            begun = time.perf_counter()
            found.append(warm.dense(one.vector, CANDIDATES)[0])
            between = time.perf_counter()
            truth.append(exact.dense(one.vector, CANDIDATES)[0])
            times.append((between - begun, time.perf_counter() - between))
    middle, worst = 1000 * np.percentile(times, [50, 99], axis=0)
    figures = {
        f"dense: answer p50{when}, ms": middle[0],
        f"dense: answer p99{when}, ms": worst[0],
        f"dense: exact scan p50{when}, ms": middle[1],
    }
    for k in (10, CANDIDATES):
        shares = [len(np.intersect1d(a[:k], b[:k])) / k for a, b in zip(found, truth, strict=True)]
        name = "recall" if k == 10 else "share of the exact"
        figures[f"{name}@{k}{when}"] = float(np.mean(shares))
    return figures


def changes(folder: Path, size: int) -> Figures:
    """Change 1% of the documents, remove 1%, then change as many as bring the graph up to date."""
    corpus, index = Corpus(size), SqliteStore(folder)
    order = np.random.default_rng(3).permutation(corpus.documents)
    few = max(1, corpus.documents // 100)
    changed, removed = np.sort(order[:few]), np.sort(order[few : 2 * few])
    many = vectors.lag(size) // PER_DOCUMENT + 1
    figures: Figures = {}
    asked = corpus.questions(QUESTIONS + WARMING)
    with changing(index, figures, "1% changed") as writer:
        write(writer, corpus, changed, version=1)
    figures |= the_graph(folder, " after 1% changed")
    with changing(index, figures, "1% removed") as writer:
        writer.remove([_synthetic.source(number).path_bytes for number in removed.tolist()])
    figures |= {f"after both: {name}": value for name, value in asking(index, asked).items()}
    figures |= nearest(folder, index, asked[WARMING:], " after both")
    if size >= vectors.MIN_ROWS:
        with changing(index, figures, "past the lag") as writer:
            write(writer, corpus, np.sort(order[2 * few : 2 * few + many]), version=2)
        figures |= nearest(folder, index, asked[WARMING:], " past the lag")
        figures |= the_graph(folder, " past the lag")
    figures["memory: changes, peak MB"] = peak()
    index.close()
    return figures


def the_graph(folder: Path, when: str) -> Figures:
    """What the manifest says of the graph: where it has all items it had and more, it was extended."""
    (manifest,) = folder.glob("*/manifest.json")
    found = json.loads(manifest.read_bytes())["graph"]
    return {f"graph{when}: {name}": found[name] for name in ("items", "ef")} if found else {}


@contextmanager
def changing(index: SqliteStore, figures: Figures, what: str) -> Iterator[Writer]:
    """Note what a change costs, and what became of the graph."""
    begun = time.perf_counter()
    with index.writer() as writer:
        yield writer
        figures[f"{what}: SQLite, s"] = time.perf_counter() - begun
        parts = published(writer)
    figures[f"{what}: publish, s"] = sum(parts.values())
    figures[f"{what}: of that HNSW, s"] = parts["HNSW"]


def peak() -> float:
    """Megabytes of memory that this process ever had at once, mapped files included."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (1e6 if sys.platform == "darwin" else 1e3)


def anonymous() -> float:
    """Megabytes of this process's own, without mapped files; not a number where the system has no /proc."""
    try:
        lines = Path("/proc/self/status").read_text(encoding="utf-8").splitlines()
    except OSError:
        return float("nan")
    return next(int(line.split()[1]) / 1e3 for line in lines if line.startswith("RssAnon"))


def describe() -> None:
    """Machine and versions."""
    packages = ", ".join(f"{name} {version(name)}" for name in ("kosearch", "numpy", "usearch", "tantivy"))
    print(f"machine    {platform.machine()}, {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f} at the start")
    print(f"versions   Python {platform.python_version()}, {packages}, NumPy's BLAS on its own threads")


def report(sizes: Sequence[int], columns: Sequence[Figures]) -> None:
    """A table, a column for each size."""
    names = list(dict.fromkeys(name for column in columns for name in column))
    print(f"\n| passages | {' | '.join(f'{size:,}' for size in sizes)} |\n|---|{'---:|' * len(sizes)}")
    for name in names:
        cells = [shown(name, column[name]) if name in column else "" for column in columns]
        print(f"| {name} | {' | '.join(cells)} |")
    sys.stdout.flush()


def shown(name: str, value: float) -> str:
    return f"{value:.4f}" if "@" in name else f"{value:.2f}" if value < 10 else f"{value:,.0f}"


def curves(columns: Sequence[Figures]) -> dict[str, list[float]]:
    """What the plot shows."""
    sums = {
        "index: time, embedding left out": ("build: all, s",),
        "index: disk": ("disk: all, MB",),
        "index: memory": ("memory: build, peak MB",),
        "1% changed: time": ("1% changed: SQLite, s", "1% changed: publish, s"),
        "cold question: opening and answering": ("one-shot: open and check, ms", "one-shot: hybrid answer, ms"),
        "warm question": ("resident: hybrid p50, ms",),
    }
    return {name: [sum(column[part] for part in parts) for column in columns] for name, parts in sums.items()}


if __name__ == "__main__":
    from tests.benchmarks import scale  # by its own name, which the processes can find

    raise SystemExit(scale.main(sys.argv[1:]))
