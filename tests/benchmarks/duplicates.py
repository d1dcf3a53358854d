"""How well `kosearch duplicates` finds what was planted, and how long it takes.

    python -m tests.benchmarks duplicates COLLECTION… [--each 300] [--seed 0] [--show]
    python -m tests.benchmarks duplicates --sizes 30000,200000 [--graph 60000]

The first form draws documents from folders, in BEIR form or of text files, plants altered copies of some among them
(each of `CHANGES` six times) and the translations of tests/data/analysis, indexes all by the bundled model, and
prints which plants were found, and how many of the pairs that were not planted are real (`--show` prints those that
are not, with the beginnings of both texts).

Whether a pair is real is decided by `is_real`, which knows nothing of passages, words or vectors: half of the letters
of the shorter text, without digits, signs and spaces, stand in runs of `RUN` bytes that the longer one has too. That is
what the page says of the kind `part`, and of the versions and copies that have more in common.

Of translations half were fitted on (all of `FITTED`, and every other one of `PARALLEL`), and the others are held out.
With them come texts of both languages on like subjects that are translations of nothing; any other pair across
languages counts as wrong.

The second form makes an index of synthetic passages, a fifth of them in another language and one document in fifty the
one before it once more, and prints seconds, CPU seconds and the most memory for as many of them as each size says;
with `--graph` also what it takes to make a graph of so many passages and ask it for neighbours in the place of the
matrix product, and how many of the near pairs it finds so.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import random
import re
import resource
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from itertools import combinations, islice
from pathlib import Path

import numpy as np
import pytest

import kosearch
from kosearch.analysis import corpus as analysed
from kosearch.analysis.duplicates import NEAR
from kosearch.analysis.neighbours import near_pairs
from kosearch.evaluation.collections import read_corpus
from kosearch.index import NewDocument, SqliteStore, vectors
from kosearch.terms import is_korean
from tests.benchmarks._synthetic import IDENTITY, PER_DOCUMENT, Corpus

FITTED = Path(__file__).parents[1] / "data/analysis/translations.jsonl"
PARALLEL = FITTED.with_name("parallel.jsonl")
RUN = 24
"""Bytes of UTF-8: eight syllables, or some five English words."""
SAME_LANGUAGE_EACH = 6
SAMPLE, NEIGHBOURS, EF = 500, 17, 128
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


def misspelt(text: str, chance: random.Random, _other: str) -> str:
    """One word of fifteen has two letters in each other's place, or one too few."""

    def slipped(word: str) -> str:
        if len(word) < 3 or chance.random() >= 1 / 15:
            return word
        place = chance.randrange(len(word) - 1)
        kept = word[place + 1] + word[place] if chance.random() < 0.5 else word[place]
        return word[:place] + kept + word[place + 2 :]

    return " ".join(map(slipped, text.split()))


CHANGES: tuple[Callable[[str, random.Random, str], str], ...] = (
    layout,
    spaced,
    thinned,
    renumbered,
    reworded,
    misspelt,
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
    parser.add_argument("--sizes", help="between commas")
    parser.add_argument("--graph", type=int)
    parser.add_argument("--show", action="store_true")
    parser.add_argument("--keep", type=Path, help="a folder to work in, which is kept")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as made:
        folder = arguments.keep or Path(made)
        if arguments.sizes:
            timed(folder / "index", [int(size) for size in arguments.sizes.split(",")])
            if arguments.graph:
                print(by_graph(folder / "index", arguments.graph))
            return 0
        chance = random.Random(arguments.seed)
        texts = drawn(arguments.collections, arguments.each, chance)
        return found(folder, texts, chance, show=arguments.show)


def found(folder: Path, texts: Sequence[str], chance: random.Random, *, show: bool) -> int:
    planted, translated = plant(folder / "files", texts, chance)
    index = kosearch.open(folder / "index")
    print(index.index(folder / "files"))
    begun = time.process_time()
    groups = index.duplicates()
    print(f"{time.process_time() - begun:.1f} s of CPU, {index.status().passages} passages")
    pairs: dict[frozenset[str], str] = {}
    for group in groups:
        if group.kind in ("exact", "copy", "version"):
            names = [Path(member.document.path).name for member in group.members]
            pairs |= {frozenset(pair): group.kind for pair in combinations(names, 2)}
        for member in group.members:  # what stands in one document, or is part of it, has nothing to do with the others
            if member.of:
                pairs[frozenset((Path(member.of.path).name, Path(member.document.path).name))] = group.kind
    for name in sorted(set(planted.values())):
        of = [pair for pair, change in planted.items() if change == name]
        kinds = [str(pairs.get(pair, "-")) for pair in of]
        print(f"{name:12} {sum(pair in pairs for pair in of)} of {len(of)}  {' '.join(kinds)}")
    hits = sum(pair in pairs for pair in planted)
    others = {pair: kind for pair, kind in pairs.items() if pair not in planted and pair not in translated}
    texts = {pair: kind for pair, kind in others.items() if kind != "translation"}
    wrong = [pair for pair in texts if not is_real(*(plain(folder / "files" / name) for name in sorted(pair)))]
    right = hits + len(texts) - len(wrong)
    print(f"same language: recall {hits / len(planted):.3f}; {len(texts)} pairs were not planted, of which", end=" ")
    print(f"{len(texts) - len(wrong)} are real: precision {right / max(hits + len(texts), 1):.3f}")
    for name in ("fitted", "held out"):
        of = [pair for pair, one in translated.items() if one == name]
        print(f"translations, {name}: {sum(pairs.get(pair) == 'translation' for pair in of)} of {len(of)}")
    print(f"other pairs across languages: {len(others) - len(texts)}")
    if show:
        shown(folder / "files", wrong + [pair for pair, kind in others.items() if kind == "translation"], pairs)
    return 0


def shown(folder: Path, found: list[frozenset[str]], kinds: Mapping[frozenset[str], str]) -> None:
    for pair in found:
        print(kinds[pair], *sorted(pair))
        for name in sorted(pair):
            print("   ", " ".join((folder / name).read_text(encoding="utf-8").split())[:160])


def plain(file: Path) -> bytes:
    """The letters of a text, and nothing else."""
    return "".join(one for one in file.read_text(encoding="utf-8").casefold() if one.isalpha()).encode()


def is_real(first: bytes, second: bytes) -> bool:
    """Whether half of the shorter text stands in the other, in runs that are long enough to be no chance."""
    shorter, longer = sorted((first, second), key=len)
    runs = {longer[place : place + RUN] for place in range(len(longer) - RUN + 1)}
    covered = np.zeros(len(shorter), bool)
    for place in range(len(shorter) - RUN + 1):
        if shorter[place : place + RUN] in runs:
            covered[place : place + RUN] = True
    return bool(covered.sum() * 2 >= len(shorter))


def drawn(collections: Sequence[Path], each: int, chance: random.Random) -> list[str]:
    """So many texts of each collection."""
    texts: list[str] = []
    for collection in collections:
        documents = [text for text in read(collection) if text.strip()]
        texts += chance.sample(documents, min(each, len(documents)))
    return texts


def plant(
    folder: Path, texts: Sequence[str], chance: random.Random
) -> tuple[Mapping[frozenset[str], str], Mapping[frozenset[str], str]]:
    """Files of documents and of plants; the pairs that were planted, with their change, and the translations."""
    folder.mkdir(parents=True)
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
    return planted, dict(_translated(folder))


def read(collection: Path) -> list[str]:
    """The texts of a collection in BEIR form, or of a folder of text files."""
    if (collection / "corpus.jsonl").exists():
        found = read_corpus(collection / "corpus.jsonl")
        return [f"# {one.title.strip()}\n\n{one.text}" if one.title.strip() else one.text for one in found]
    return [path.read_text(encoding="utf-8") for path in sorted(collection.iterdir())]


def _translated(folder: Path) -> Iterator[tuple[frozenset[str], str]]:
    for file in (FITTED, PARALLEL):
        for number, line in enumerate(file.read_text(encoding="utf-8").splitlines()):
            name = "held out" if file == PARALLEL and number % 2 else "fitted"
            made = [(f"{file.stem}-{number}-{one}.md", text) for one, text in json.loads(line).items()]
            for path, text in made:
                (folder / path).write_text(text, encoding="utf-8")
            if len(made) == 2:
                yield frozenset(path for path, _ in made), name


def timed(folder: Path, sizes: Sequence[int]) -> int:
    """Seconds and memory for so many passages of one index of synthetic ones."""
    if not folder.exists():
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(vectors, "available", lambda: False)  # the index's graph would take longer than all else
            made(folder, max(sizes))
    for size in sizes:
        with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as alone:  # memory is of one process
            print(alone.submit(asked, folder, size).result(), flush=True)
    return 0


def made(folder: Path, size: int) -> None:
    corpus = Corpus(size)
    with SqliteStore.create(folder, IDENTITY).writer() as writer:
        before: NewDocument | None = None
        for numbers in np.array_split(np.arange(corpus.documents), max(1, corpus.documents // 32)):
            with writer.transaction():
                for number, (source, document) in zip(numbers.tolist(), corpus.make(numbers), strict=True):
                    planted = before is not None and number % 50 == 1
                    before = before if planted else in_latin(document) if number % 5 == 0 else document
                    writer.put(source, "0", [before])
        writer.publish()


def asked(folder: Path, size: int) -> str:
    index = kosearch.open(folder)
    begun, spent = time.perf_counter(), time.process_time()
    groups = index.duplicates(path=folders(size))
    took, spent = time.perf_counter() - begun, time.process_time() - spent
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss >> 10
    return f"{size} passages: {len(groups)} groups in {took:.1f} s, {spent:.1f} s of CPU, at most {memory} MiB"


def folders(passages: int) -> list[str]:
    """Those of the first synthetic documents that have so many passages."""
    return [f"/made/{number:04}/" for number in range(-(-passages // PER_DOCUMENT // 1000))]


def by_graph(folder: Path, size: int) -> str:
    """What it takes to make a graph of as many passages and ask it for all neighbours, by a sample of near pairs."""
    with SqliteStore(folder).snapshot() as snapshot:
        corpus = analysed.Corpus(snapshot, folders(size))
        rows = corpus.centred(np.arange(len(corpus)))
    begun = time.process_time()
    pairs = [pair for first, second, _ in near_pairs(rows, NEAR) for pair in zip(first, second, strict=True)]
    multiplied = time.process_time() - begun
    begun = time.process_time()
    graph = vectors.HnswGraph(corpus.dimensions)
    graph.add(np.arange(len(rows)) + 1, rows)
    built = time.process_time() - begun
    chosen = random.Random(0).sample(pairs, min(SAMPLE, len(pairs)))
    begun = time.process_time()
    found = [graph.search(rows[one], NEIGHBOURS, EF) for one, _ in chosen]
    searched = (time.process_time() - begun) / len(chosen) * len(rows)
    hits = sum(other + 1 in ids for (_, other), ids in zip(chosen, found, strict=True))
    return (
        f"{len(rows)} passages, {len(pairs)} near pairs: multiplied in {multiplied:.0f} s of CPU; a graph is made in "
        f"{built:.0f} s and asked in {searched:.0f} s, and has {hits} of {len(chosen)} near pairs"
    )


def in_latin(document: NewDocument) -> NewDocument:
    """The same in another language, as far as its words tell."""
    passages = [
        replace(one, terms={name: [f"x{word.encode().hex()}" for word in words] for name, words in one.terms.items()})
        for one in document.passages
    ]
    return replace(document, passages=passages)


if __name__ == "__main__":
    from tests.benchmarks import duplicates  # by its own name, which the process can find

    raise SystemExit(duplicates.main())
