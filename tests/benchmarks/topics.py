"""How well `kosearch topics` finds what a mix of collections is made of, and how long it takes.

    python -m tests.benchmarks topics COLLECTION… [--each 139] [--of 100] [--draws 5] [--keep FOLDER]
    python -m tests.benchmarks topics --size 10000 [--keep FOLDER]

The first form draws documents from folders in BEIR form, as often as it is told, each draw with a seed of its own
(`--of`: from so many of each label, which lie as far apart as they can), indexes them by the bundled model (an index
that is kept in FOLDER is used again), and compares the topics of each draw with where the documents come from: a
collection is a label, and of ids such as "law - FILE - PAGE" the word before the dash. Printed: normalised mutual
information and the adjusted Rand index; of the first draw also whether two runs are equal byte by byte, the most words
that two siblings share, the agreement of nine tenths of the documents with all, and how many of a point's five
neighbours on the map have its label. The second times so many synthetic documents; what `duplicates --sizes` keeps in
FOLDER serves it too.
"""

from __future__ import annotations

import argparse
import json
import random
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from itertools import combinations
from pathlib import Path

import numpy as np
from sklearn.metrics import adjusted_rand_score, normalized_mutual_info_score

import kosearch
from kosearch.analysis.map import places
from kosearch.evaluation.collections import read_corpus
from tests.benchmarks import duplicates
from tests.benchmarks._synthetic import PER_DOCUMENT

LEAST = 80
"""Characters of a document that is drawn."""


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks topics")
    parser.add_argument("collections", nargs="*", type=Path)
    parser.add_argument("--each", type=int, default=139)
    parser.add_argument("--of", type=int)
    parser.add_argument("--draws", type=int, default=5)
    parser.add_argument("--size", type=int)
    parser.add_argument("--keep", type=Path, help="a folder to work in, which is kept")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as made:
        folder = arguments.keep or Path(made)
        if arguments.size:
            return timed(folder / "index", arguments.size)
        if not (folder / "draws.json").exists():
            draw(folder, arguments.collections, arguments.each, arguments.of, arguments.draws)
        return compared(folder)


def draw(folder: Path, collections: Sequence[Path], each: int, of: int | None, draws: int) -> None:
    """Files in one folder, their labels and the draws that they are of beside it, and an index of them."""
    (folder / "files").mkdir(parents=True)
    groups: dict[str, list[tuple[str, str]]] = {}
    for collection in collections:
        for one in read_corpus(collection / "corpus.jsonl"):
            label = one.id.split(" - ")[0] if " - " in one.id else collection.name
            if len(one.text) >= LEAST:
                groups.setdefault(label, []).append((one.title.strip(), one.text))
    if of:
        groups = {label: spread(documents, of) for label, documents in groups.items()}
    files: dict[tuple[str, int], str] = {}
    found = []
    for seed in range(draws):
        chance = random.Random(seed)
        drawn = [
            (label, number)
            for label, documents in sorted(groups.items())
            for number in chance.sample(range(len(documents)), min(each, len(documents)))
        ]
        chance.shuffle(drawn)
        found.append([files.setdefault(one, f"{len(files):04}.md") for one in drawn])
    for (label, number), name in files.items():
        title, text = groups[label][number]
        (folder / "files" / name).write_text(f"# {title}\n\n{text}" if title else text, encoding="utf-8")
    with kosearch.open(folder / "index") as index:
        index.index(folder / "files")
    (folder / "labels.json").write_text(json.dumps({name: one[0] for one, name in files.items()}), encoding="utf-8")
    (folder / "draws.json").write_text(json.dumps(found), encoding="utf-8")


def spread(documents: Sequence[tuple[str, str]], count: int) -> list[tuple[str, str]]:
    """So many of them, as far apart as they can lie."""
    count = min(count, len(documents))
    return [documents[place * len(documents) // count] for place in range(count)]


def compared(folder: Path) -> int:
    labels = json.loads((folder / "labels.json").read_text(encoding="utf-8"))
    draws = json.loads((folder / "draws.json").read_text(encoding="utf-8"))
    index = kosearch.open(folder / "index")
    figures = [agreement(index, names, labels) for names in draws]
    for number, (mutual, rand) in enumerate(figures):
        print(f"draw {number}: {len(draws[number])} documents, NMI {mutual:.3f}, ARI {rand:.3f}")
    mutual, rand = np.mean(figures, axis=0)
    print(f"mean of {len(draws)} draws: NMI {mutual:.3f}, ARI {rand:.3f}")
    count = len({labels[name] for name in draws[0]})
    found = index.topics(count, path=draws[0])
    print(f"a second run is {'equal' if repr(index.topics(count, path=draws[0])) == repr(found) else 'another'}")
    print(f"siblings share at most {max(shared(found.topics))} words")
    for fine in (count, 20):
        agreeing = np.mean(list(stability(index, fine, draws[0])))
        print(f"{fine} topics: ARI of 90% of the documents with all {agreeing:.3f}")
    laid, truth = places(found.vectors), np.array([labels[Path(one.path).name] for one in found.documents])
    near = np.argsort(((laid[:, None] - laid[None]) ** 2).sum(axis=2), axis=1)[:, 1:6]
    print(f"of five neighbours on the map {np.mean(truth[near] == truth[:, None]):.3f} have the same label")
    return 0


def agreement(index: kosearch.Index, names: Sequence[str], labels: Mapping[str, str]) -> tuple[float, float]:
    """How well the topics of some documents agree with their labels: NMI and ARI."""
    found = index.topics(len({labels[name] for name in names}), depth=1, path=names)
    truth = [labels[Path(one.path).name] for one in found.documents]
    given = assigned(found)
    return float(normalized_mutual_info_score(truth, given)), float(adjusted_rand_score(truth, given))


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


def stability(index: kosearch.Index, count: int, names: Sequence[str]) -> Iterator[float]:
    whole = index.topics(count, depth=1, path=names)
    of = dict(zip((Path(one.path).name for one in whole.documents), assigned(whole), strict=True))
    for seed in range(5):
        kept = random.Random(seed).sample(sorted(of), len(of) * 9 // 10)
        part = index.topics(count, depth=1, path=kept)
        yield adjusted_rand_score([of[Path(one.path).name] for one in part.documents], assigned(part))


def timed(folder: Path, size: int) -> int:
    """Seconds for so many documents of an index of synthetic ones."""
    if not folder.exists():
        duplicates.made(folder, size * PER_DOCUMENT)
    index = kosearch.open(folder)
    begun, spent = time.perf_counter(), time.process_time()
    found = index.topics(path=duplicates.folders(size * PER_DOCUMENT))
    took, spent = time.perf_counter() - begun, time.process_time() - spent
    print(f"{len(found.documents)} documents: {len(found.topics)} topics in {took:.1f} s, {spent:.1f} s of CPU")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
