"""How well `kosearch duplicates` finds what was planted, and how long it takes.

    python -m tests.benchmarks duplicates COLLECTION… [--each 300] [--seed 0] [--show]
    python -m tests.benchmarks duplicates --size 30000

The first form draws documents from folders, in BEIR form or of text files, plants altered copies of some among them
(each of `CHANGES` six times) and the translations of tests/data/analysis, indexes all by the bundled model, and
prints which plants were found, and every pair that was not planted (`--show` with the beginnings of both texts): some
of those are real. The second makes an index of so many synthetic passages, a fifth of them in another language and
one document in fifty the one before it once more, and prints seconds, CPU seconds and the most memory.
"""

from __future__ import annotations

import argparse
import json
import random
import re
import resource
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from itertools import combinations, islice
from pathlib import Path

import numpy as np

import kosearch
from kosearch.evaluation.collections import read_corpus
from kosearch.index import NewDocument, SqliteStore
from kosearch.terms import is_korean
from tests.benchmarks._synthetic import IDENTITY, Corpus

TRANSLATIONS = Path(__file__).parents[1] / "data/analysis/translations.jsonl"
SAME_LANGUAGE_EACH = 6
LEAST = 200
"""Characters of a document that is planted."""


def layout(text: str, chance: random.Random, _other: str) -> str:
    """Wrapped elsewhere, with bullets."""
    words = text.split()
    return "\n".join(" • " + " ".join(words[i : i + 9]) for i in range(0, len(words), 9))


def spaced(text: str, chance: random.Random, _other: str) -> str:
    """Spaces lost and added, as text that was read from a page."""
    text = re.sub(" ", lambda _: "" if chance.random() < 0.04 else " ", text)
    return re.sub(r"(?<=[가-힣])(?=[가-힣])", lambda _: " " if chance.random() < 0.01 else "", text)


def thinned(text: str, chance: random.Random, _other: str) -> str:
    """One word of twenty is gone."""
    return " ".join(word for word in text.split() if chance.random() >= 0.05)


def renumbered(text: str, chance: random.Random, _other: str) -> str:
    """Every digit is another one, and one number is added."""
    return re.sub(r"\d", lambda _: str(chance.randrange(10)), text) + f" {chance.randrange(1000)}"


def reworded(text: str, chance: random.Random, other: str) -> str:
    """One word of twelve is one of another document."""
    others = other.split()
    return " ".join(chance.choice(others) if chance.random() < 1 / 12 else word for word in text.split())


def reordered(text: str, chance: random.Random, _other: str) -> str:
    """Sentences in another order."""
    sentences = re.split(r"(?<=[.!?다])\s+", text)
    chance.shuffle(sentences)
    return " ".join(sentences)


def excerpt(text: str, chance: random.Random, _other: str) -> str:
    """Two thirds of it."""
    words = text.split()
    start = chance.randrange(len(words) // 3 + 1)
    return " ".join(words[start : start + len(words) * 2 // 3])


def continued(text: str, chance: random.Random, other: str) -> str:
    """More is added, a half as long."""
    return text + "\n\n" + " ".join(other.split()[: len(text.split()) // 2])


def replaced(text: str, chance: random.Random, other: str) -> str:
    """The last quarter is another document's."""
    words = text.split()
    kept = len(words) * 3 // 4
    return " ".join(words[:kept] + other.split()[: len(words) - kept])


CHANGES: tuple[Callable[[str, random.Random, str], str], ...] = (
    layout,
    spaced,
    thinned,
    renumbered,
    reworded,
    reordered,
    excerpt,
    continued,
    replaced,
)


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks duplicates")
    parser.add_argument("collections", nargs="*", type=Path)
    parser.add_argument("--each", type=int, default=300)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--size", type=int)
    parser.add_argument("--show", action="store_true")
    parser.add_argument("--keep", type=Path, help="a folder to work in, which is kept")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as made:
        folder = arguments.keep or Path(made)
        if arguments.size:
            return timed(folder / "index", arguments.size)
        return found(folder, arguments.collections, arguments.each, arguments.seed, show=arguments.show)


def found(folder: Path, collections: list[Path], each: int, seed: int, *, show: bool) -> int:
    planted, translated = plant(folder / "files", collections, each, seed)
    index = kosearch.open(folder / "index")
    print(index.index(folder / "files"))
    begun = time.process_time()
    groups = index.duplicates()
    print(f"{time.process_time() - begun:.1f} s of CPU, {index.status().passages} passages")
    pairs: dict[frozenset[str], str] = {}
    for group in groups:
        names = [Path(member.document.path).name for member in group.members]
        pairs |= {frozenset(pair): group.kind for pair in combinations(names, 2)}
    for name in sorted(set(planted.values())):
        of = [pair for pair, change in planted.items() if change == name]
        kinds = [str(pairs.get(pair, "-")) for pair in of]
        print(f"{name:12} {sum(pair in pairs for pair in of)} of {len(of)}  {' '.join(kinds)}")
    others = {pair: kind for pair, kind in pairs.items() if pair not in planted and pair not in translated}
    texts = {pair: kind for pair, kind in others.items() if kind != "translation"}
    hits = sum(pair in pairs for pair in planted)
    print(f"same language: recall {hits / len(planted):.3f}; {len(texts)} pairs were not planted,", end=" ")
    print(f"precision {hits / max(hits + len(texts), 1):.3f} if none of them is real")
    right = sum(pairs.get(pair) == "translation" for pair in translated)
    print(f"translations: {right} of {len(translated)}, {len(others) - len(texts)} others")
    if show:
        for pair, kind in others.items():
            print(kind, *sorted(pair))
            for name in sorted(pair):
                print("   ", " ".join((folder / "files" / name).read_text(encoding="utf-8").split())[:160])
    return 0


def plant(
    folder: Path, collections: list[Path], each: int, seed: int
) -> tuple[Mapping[frozenset[str], str], set[frozenset[str]]]:
    """Files of documents and of plants; the pairs that were planted, with their change, and those of translations."""
    chance = random.Random(seed)
    folder.mkdir(parents=True)
    texts: list[str] = []
    for collection in collections:
        documents = [text for text in read(collection) if text.strip()]
        texts += chance.sample(documents, min(each, len(documents)))
    for number, text in enumerate(texts):
        (folder / f"{number:05}.md").write_text(text, encoding="utf-8")
    sources = [number for number, text in enumerate(texts) if len(text) >= LEAST]
    chosen = iter(chance.sample(sources, len(CHANGES) * SAME_LANGUAGE_EACH))
    planted: dict[frozenset[str], str] = {}
    for change in CHANGES:
        for number in islice(chosen, SAME_LANGUAGE_EACH):
            name = f"plant-{change.__name__}-{number:05}.md"
            others = [one for one in sources if is_korean(texts[one]) == is_korean(texts[number])]
            (folder / name).write_text(change(texts[number], chance, texts[chance.choice(others)]), encoding="utf-8")
            planted[frozenset((name, f"{number:05}.md"))] = change.__name__
    return planted, set(_translated(folder))


def read(collection: Path) -> list[str]:
    """The texts of a collection in BEIR form, or of a folder of text files."""
    if (collection / "corpus.jsonl").exists():
        return [one.text for one in read_corpus(collection / "corpus.jsonl")]
    return [path.read_text(encoding="utf-8") for path in sorted(collection.iterdir())]


def _translated(folder: Path) -> Iterator[frozenset[str]]:
    for number, line in enumerate(TRANSLATIONS.read_text(encoding="utf-8").splitlines()):
        names = []
        for language, text in json.loads(line).items():
            names.append(f"translation-{number}-{language}.md")
            (folder / names[-1]).write_text(text, encoding="utf-8")
        yield frozenset(names)


def timed(folder: Path, size: int) -> int:
    """Seconds and memory for an index of so many synthetic passages."""
    corpus = Corpus(size)
    with SqliteStore.create(folder, IDENTITY).writer() as writer:
        before: NewDocument | None = None
        for numbers in np.array_split(np.arange(corpus.documents), max(1, corpus.documents // 32)):
            with writer.transaction():
                for number, (source, made) in zip(numbers.tolist(), corpus.make(numbers), strict=True):
                    planted = before is not None and number % 50 == 1
                    before = before if planted else in_latin(made) if number % 5 == 0 else made
                    writer.put(source, "0", [before])
        writer.publish()
    index = kosearch.open(folder)
    begun, spent = time.perf_counter(), time.process_time()
    groups = index.duplicates()
    print(f"{size} passages: {len(groups)} groups in {time.perf_counter() - begun:.1f} s,", end=" ")
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss >> 10
    print(f"{time.process_time() - spent:.1f} s of CPU, at most {memory} MiB")
    return 0


def in_latin(document: NewDocument) -> NewDocument:
    """The same in another language, as far as its words tell."""
    passages = [
        replace(one, terms={name: [f"x{word.encode().hex()}" for word in words] for name, words in one.terms.items()})
        for one in document.passages
    ]
    return replace(document, passages=passages)


if __name__ == "__main__":
    raise SystemExit(main())
