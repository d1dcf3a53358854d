"""What `kosearch train` gives on collections, what it costs others, and that it is not fooled.

    python -m tests.benchmarks train INDEXES FOLDER FOLDER … [--shuffled N] [--seed N]
    python -m tests.benchmarks train --passages 100000

Each folder is a collection in BEIR form; its index stands in INDEXES under the folder's name, where
`kosearch eval FOLDER --index INDEXES/NAME` leaves it. Printed for each collection, as nDCG@10 before → after with the
difference and its 95% interval (paired bootstrap by document): five folds by document, by meaning alone and hybrid; the
head of all questions, with the processor time that it took, on every other collection and on kosearch's manual; and of
how many permutations of the answers (`--shuffled`) the head would be taken.

`--passages` makes an index of so many passages with random vectors, and an index of it by a head.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

import numpy as np

from kosearch.config import load
from kosearch.embedding import Head, Model
from kosearch.index import Identity, NewDocument, NewPassage, SqliteStore
from kosearch.library import Index
from kosearch.records import Extracted, Passage, Query, SourceFile
from kosearch.training import gains, refusal
from kosearch.training.examples import Example, read_examples
from kosearch.training.gains import Bench, folded, gain
from kosearch.training.head import fit
from kosearch.training.manual import Manual

SIDES = ("meaning", "hybrid")


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks train")
    parser.add_argument("indexes", type=Path, nargs="?")
    parser.add_argument("collections", type=Path, nargs="*")
    parser.add_argument("--shuffled", type=int, default=0)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--passages", type=int)
    arguments = parser.parse_args()
    if arguments.passages:
        derived(arguments.passages)
    if arguments.indexes:
        with ExitStack() as stack:
            trained(arguments, stack)
    return 0


def trained(arguments: argparse.Namespace, stack: ExitStack) -> None:
    benches, examples, manual = {}, {}, None
    for folder in arguments.collections:
        index = stack.enter_context(Index(load({"index": str(arguments.indexes / folder.name)})))
        snapshot = stack.enter_context(index.store.snapshot())
        read = index.reader(snapshot)
        given = read_examples(folder, snapshot).examples
        questions = [read(Query(one.text)) for one in given]
        examples[folder.name] = [
            replace(one, text=as_read.meant) for one, as_read in zip(given, questions, strict=True)
        ]
        asked = questions_of(index, folder.name, examples[folder.name])
        begun = time.process_time()
        bench = Bench(snapshot, questions, examples[folder.name], asked, 0.5, lambda _: None)
        seconds = time.process_time() - begun
        benches[folder.name] = bench
        assert isinstance(index.model, Model)
        manual = manual or Manual(
            index.embed_queries, index.embed_passages, index.model.fingerprint, index.settings.cache_dir
        )
        print(f"{folder.name}: {len(asked)} questions, {len(bench.pairs().questions)} pairs, ranked in {seconds:.1f} s")
        measured = folds(bench, arguments.seed)
        for side, found in zip(SIDES, measured, strict=True):
            print(f"  folds, {side:<8} {found}", flush=True)
    for name, bench in benches.items():
        begun = time.process_time()
        head = fit(bench.pairs(), arguments.seed)
        print(f"{name}: head of {len(bench.pairs().questions)} pairs in {time.process_time() - begun:.1f} s, then on")
        for other, theirs in benches.items():
            if other != name:
                after = theirs.after(head, np.arange(len(theirs.before)))
                for side, what in enumerate(SIDES):
                    print(f"  {other}, {what:<8} {gain(theirs.before[:, side], after[:, side], theirs.groups)}")
        assert manual is not None
        print(f"  manual, meaning  {manual.after(head)}", flush=True)
        taken = sum(
            not refusal(folds(bench.with_answers(shuffled(examples[name], seed)), seed)[1], len(examples[name]))
            for seed in range(arguments.shuffled)
        )
        if arguments.shuffled:
            print(f"  shuffled answers: taken {taken} of {arguments.shuffled} times", flush=True)


def questions_of(index: Index, name: str, examples: Sequence[Example]) -> np.ndarray:
    """Vectors of questions, kept beside the index for the next time."""
    file = index.directory.with_name(f"{name}.questions.npy")
    if not file.exists():
        np.save(file, np.concatenate([index.embed_queries([one.text]) for one in examples]))
    return np.load(file)


def folds(bench: Bench, seed: int) -> tuple[gains.Gain, gains.Gain]:
    numbers = folded(bench.groups, seed)
    after = np.zeros_like(bench.before)
    for fold in range(gains.FOLDS):
        held = np.flatnonzero(numbers == fold)
        after[held] = bench.after(fit(bench.pairs(np.flatnonzero(numbers != fold)), seed), held)
    dense, hybrid = (gain(bench.before[:, side], after[:, side], bench.groups, seed) for side in (0, 1))
    return dense, hybrid


def shuffled(examples: tuple[Example, ...], seed: int) -> list[Example]:
    """Every question with the answers of another one."""
    order = np.random.default_rng(seed).permutation(len(examples))
    return [replace(one, answers=examples[other].answers) for one, other in zip(examples, order.tolist(), strict=True)]


def derived(count: int, width: int = 384, of_a_document: int = 20) -> None:
    """An index of so many passages, and one of it by a head."""
    random = np.random.default_rng(0)
    words = ["".join(random.choice(list("가나다라마바사아자차카타파하"), 2)) for _ in range(5000)]
    identity = Identity("base", "base", "", width, "1", 320, 32, "1", ("morphemes",))
    with tempfile.TemporaryDirectory() as place:
        store = SqliteStore.create(Path(place) / "base", identity)
        with store.writer() as writer, writer.transaction():
            for number in range(count // of_a_document):
                chosen = random.choice(words, (of_a_document, 40))
                text = "\n".join(" ".join(row) for row in chosen)
                passages = []
                for row, terms in enumerate(chosen):
                    length = len(" ".join(terms))
                    place_of = Passage(row * (length + 1), row * (length + 1) + length, row + 1, row + 1)
                    vector = random.normal(size=width).astype(np.float32)
                    key = f"{number} {row}".encode().ljust(32)
                    passages.append(NewPassage(place_of, key, vector, {"morphemes": terms.tolist()}))
                path = f"/documents/{number}.txt"
                source = SourceFile(path.encode(), path, b"/documents", len(text), 0)
                writer.put(source, str(number), [NewDocument(Extracted(text=text, kind="text"), passages)])
        with store.writer() as writer:
            writer.publish()
        head = Head(
            (np.eye(width) + random.normal(size=(width, width)) * 0.01).astype(np.float32), np.zeros(width, np.float32)
        )
        begun, wall = time.process_time(), time.perf_counter()
        other = SqliteStore.derive(
            Path(place) / "head", store, replace(identity, model="head", fingerprint="head"), head
        )
        seconds, wall = time.process_time() - begun, time.perf_counter() - wall
        with store.snapshot() as before, other.snapshot() as after:
            worst = np.abs(head(before.vectors()[1]) - after.vectors()[1]).max()
        print(json.dumps({"passages": count, "cpu": round(seconds, 2), "wall": round(wall, 2), "worst": float(worst)}))


if __name__ == "__main__":
    raise SystemExit(main())
