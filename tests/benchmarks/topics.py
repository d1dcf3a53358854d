"""How well `kosearch topics` finds what a mix of collections is made of, and how long it takes.

    python -m tests.benchmarks topics COLLECTION… [--each 139] [--seed 0] [--keep FOLDER]
    python -m tests.benchmarks topics --size 10000

The first form draws documents from folders in BEIR form, indexes them by the bundled model (an index that is kept in
FOLDER is used again), and compares the topics with where the documents come from: a collection is a label, and of ids
such as "law - FILE - PAGE" the word before the dash. Printed: normalised mutual information and the adjusted Rand
index, whether two runs are equal byte by byte, the most words that two siblings share, the agreement of nine tenths of
the documents with all, and how many of a point's five neighbours on the map have its label. The second times an index
of so many synthetic documents.
"""

from __future__ import annotations

import argparse
import json
import random
import tempfile
import time
from collections.abc import Iterator, Sequence
from itertools import combinations
from pathlib import Path

import numpy as np
from sklearn.metrics import adjusted_rand_score, normalized_mutual_info_score

import kosearch
from kosearch.analysis.map import places
from kosearch.evaluation.collections import read_corpus
from kosearch.index import SqliteStore
from tests.benchmarks import _synthetic
from tests.benchmarks._synthetic import IDENTITY

LEAST = 80
"""Characters of a document that is drawn."""


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks topics")
    parser.add_argument("collections", nargs="*", type=Path)
    parser.add_argument("--each", type=int, default=139)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--size", type=int)
    parser.add_argument("--keep", type=Path, help="a folder to work in, which is kept")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as made:
        folder = arguments.keep or Path(made)
        if arguments.size:
            return timed(folder / "index", arguments.size)
        if not (folder / "labels.json").exists():
            draw(folder, arguments.collections, arguments.each, arguments.seed)
        return compared(folder)


def draw(folder: Path, collections: Sequence[Path], each: int, seed: int) -> None:
    """Files in one folder, their labels beside it, and an index of them."""
    (folder / "files").mkdir(parents=True)
    groups: dict[str, list[tuple[str, str]]] = {}
    for collection in collections:
        for one in read_corpus(collection / "corpus.jsonl"):
            label = one.id.split(" - ")[0] if " - " in one.id else collection.name
            if len(one.text) >= LEAST:
                groups.setdefault(label, []).append((one.title.strip(), one.text))
    chance = random.Random(seed)
    drawn = [
        (label, *document)
        for label, documents in sorted(groups.items())
        for document in chance.sample(documents, min(each, len(documents)))
    ]
    chance.shuffle(drawn)
    labels = {}
    for number, (label, title, text) in enumerate(drawn):
        name = f"{number:04}.md"
        labels[name] = label
        (folder / "files" / name).write_text(f"# {title}\n\n{text}" if title else text, encoding="utf-8")
    with kosearch.open(folder / "index") as index:
        index.index(folder / "files")
    (folder / "labels.json").write_text(json.dumps(labels), encoding="utf-8")


def compared(folder: Path) -> int:
    labels = json.loads((folder / "labels.json").read_text(encoding="utf-8"))
    index = kosearch.open(folder / "index")
    count = len(set(labels.values()))
    found = index.topics(count)
    truth = [labels[Path(one.path).name] for one in found.documents]
    given = assigned(found)
    print(f"{len(truth)} documents of {count} labels in {len(found.topics)} topics", end=": ")
    print(f"NMI {normalized_mutual_info_score(truth, given):.3f}, ARI {adjusted_rand_score(truth, given):.3f}")
    print(f"a second run is {'equal' if repr(index.topics(count)) == repr(found) else 'another'}")
    print(f"siblings share at most {max(shared(found.topics))} words")
    for fine in (count, 20):
        print(f"{fine} topics: ARI of 90% of the documents with all {np.mean(list(stability(index, fine))):.3f}")
    laid = places(found.vectors)
    near = np.argsort(((laid[:, None] - laid[None]) ** 2).sum(axis=2), axis=1)[:, 1:6]
    agreeing = np.mean(np.array(truth)[near] == np.array(truth)[:, None])
    print(f"of five neighbours on the map {agreeing:.3f} have the same label")
    return 0


def assigned(found: kosearch.Topics) -> list[int]:
    """The topic of each document, in their order."""
    of = {one.id: place for place, topic in enumerate(found.topics) for one in topic.documents}
    return [of[one.id] for one in found.documents]


def shared(found: Sequence[kosearch.Topic]) -> Iterator[int]:
    """How many words each two siblings share, on all levels."""
    yield 0
    for one, other in combinations(found, 2):
        yield len({*one.words} & {*other.words})
    for topic in found:
        yield from shared(topic.topics)


def stability(index: kosearch.Index, count: int) -> Iterator[float]:
    whole = index.topics(count, depth=1)
    of = dict(zip((one.path for one in whole.documents), assigned(whole), strict=True))
    for seed in range(5):
        kept = random.Random(seed).sample(sorted(of), len(of) * 9 // 10)
        part = index.topics(count, depth=1, path=kept)
        yield adjusted_rand_score([of[one.path] for one in part.documents], assigned(part))


def timed(folder: Path, size: int) -> int:
    """Seconds for an index of so many synthetic documents."""
    corpus = _synthetic.Corpus(size * _synthetic.PER_DOCUMENT)
    with SqliteStore.create(folder, IDENTITY).writer() as writer:
        for numbers in np.array_split(np.arange(size), max(1, size // 32)):
            with writer.transaction():
                for source, document in corpus.make(numbers):
                    writer.put(source, "0", [document])
        writer.publish()
    index = kosearch.open(folder)
    begun, spent = time.perf_counter(), time.process_time()
    found = index.topics()
    passages = index.status().passages
    print(f"{size} documents, {passages} passages: {len(found.topics)} topics", end=" ")
    print(f"in {time.perf_counter() - begun:.1f} s, {time.process_time() - spent:.1f} s of CPU")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
