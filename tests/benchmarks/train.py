"""What `kosearch train` gives on collections, what it costs others, and that it is not fooled.

    python -m tests.benchmarks train INDEXES FOLDER FOLDER … [--layers N] [--on NAME …] [--shuffled N] [--seed N]
    python -m tests.benchmarks train --passages 100000

Each folder is a collection in BEIR form; its index stands in INDEXES under the folder's name, where
`kosearch eval FOLDER --index INDEXES/NAME` leaves it. Of each collection, or of those that `--on` names, is learnt: a
head, or with `--layers` that many of the model's last layers. Printed as nDCG@10 before → after with the difference and
its 95% interval (paired bootstrap by document): five folds by document, by meaning alone and hybrid, with the processor
time that they took; what has learnt from all questions on every other collection and on kosearch's manual; and of how
many permutations of the answers (`--shuffled`) it would be taken.

`--passages` makes an index of so many passages with random vectors, and an index of it by a head.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from kosearch import embedding
from kosearch.config import Settings, load
from kosearch.embedding import Head, Model
from kosearch.index import Identity, NewDocument, NewPassage, SqliteStore
from kosearch.library import Index
from kosearch.records import Extracted, Passage, Query, SourceFile
from kosearch.training import HeadLearner, LayerLearner, Learner, measured, refusal
from kosearch.training.examples import Example, read_examples
from kosearch.training.gains import Bench, Floats, gain
from kosearch.training.manual import Manual

SIDES = ("meaning", "hybrid")


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks train")
    parser.add_argument("indexes", type=Path, nargs="?")
    parser.add_argument("collections", type=Path, nargs="*")
    parser.add_argument("--layers", type=int, default=0)
    parser.add_argument("--on", nargs="*", default=())
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


@dataclass(frozen=True)
class Collection:
    """Questions about an index, ranked as it is."""

    bench: Bench
    examples: Sequence[Example]
    model: Model
    settings: Settings

    def learner(self, layers: int, seed: int, place: Path) -> Learner:
        """What learns from the questions."""
        if not layers:
            return HeadLearner(self.bench, self.model, seed)
        device = self.settings.device
        return LayerLearner(self.model, layers, self.bench, self.examples, seed, place, device, lambda *_: None)

    def shuffled(self, seed: int) -> Collection:
        """The same with every question's answers for another one."""
        order = np.random.default_rng(seed).permutation(len(self.examples)).tolist()
        pairs = zip(self.examples, order, strict=True)
        examples = [replace(one, answers=self.examples[other].answers) for one, other in pairs]
        return replace(self, bench=self.bench.with_answers(examples), examples=examples)

    def by(self, model: Model) -> tuple[Floats, Floats]:
        """nDCG@10 of all questions before, and by another model: (n, 2) each.

        By what is no head behind the index's model, passages near to any question are embedded, and no others.
        """
        every = np.arange(len(self.examples))
        if self.model.fingerprint in model.bases:
            return self.bench.before, self.bench.after(embedding.load_head(model.layers), every)
        near, embedder = self.bench.within(self.bench.nearby(), self.examples), embedding.load(model)
        asked = embedder.embed_queries([one.text for one in self.examples])
        return near.before, near.measured(embedder.embed_passages(near.texts()), asked, every)


def trained(arguments: argparse.Namespace, stack: ExitStack) -> None:
    found, manual = {}, None
    for folder in arguments.collections:
        index = stack.enter_context(Index(load({"index": str(arguments.indexes / folder.name)})))
        found[folder.name] = collection(index, folder, stack)
        with index.kept_vectors() as kept:
            manual = manual or Manual(kept)
    assert manual is not None
    for name in arguments.on or found:
        with tempfile.TemporaryDirectory() as place:
            learnt(name, found, manual, arguments, Path(place))


def collection(index: Index, folder: Path, stack: ExitStack) -> Collection:
    """A folder's questions, and the index of its documents."""
    snapshot = stack.enter_context(index.store.snapshot())
    read = index.reader(snapshot)
    given = read_examples(folder, snapshot).examples
    questions = [read(Query(one.text)) for one in given]
    examples = [replace(one, text=as_read.meant) for one, as_read in zip(given, questions, strict=True)]
    with index.kept_vectors() as kept:
        asked = kept.embed_queries([one.text for one in examples])
    with spent() as seconds:
        bench = Bench(snapshot, questions, examples, asked, index.settings.weight, lambda _: None)
    print(
        f"{folder.name}: {len(examples)} questions, {len(bench.pairs().questions)} pairs, ranked", seconds, flush=True
    )
    assert isinstance(index.model, Model)
    return Collection(bench, examples, index.model, index.settings)


def learnt(
    name: str, all_of_them: Mapping[str, Collection], manual: Manual, arguments: argparse.Namespace, place: Path
) -> None:
    """What learning from one collection gives there, and what it costs the others."""
    one, seed, layers = all_of_them[name], arguments.seed, arguments.layers
    learner = one.learner(layers, seed, place)
    with spent() as seconds:
        gains = measured(learner, seed, lambda *_: None)
    print(f"{name}: {f'{layers} layers' if layers else 'a head'}, folds", seconds)
    for side, each in zip(SIDES, gains, strict=True):
        print(f"  folds, {side:<8} {each}", flush=True)
    with spent() as seconds:
        learner.whole()
    print("  all questions", seconds)
    learner.write(place / "model", "")
    model = embedding.resolve(str(place / "model"), cache_dir=place)
    for other, theirs in all_of_them.items():
        if other != name:
            before, after = theirs.by(model)
            for side, what in enumerate(SIDES):
                print(f"  {other}, {what:<8} {gain(before[:, side], after[:, side], theirs.bench.groups)}", flush=True)
    print(f"  manual, meaning  {learner.manual(manual)}", flush=True)
    if arguments.shuffled:
        taken = 0
        for number in range(arguments.shuffled):
            other_answers = one.shuffled(number)
            learner = other_answers.learner(layers, number, place)
            taken += not refusal(measured(learner, number, lambda *_: None)[1], len(one.examples))
        print(f"  shuffled answers: taken {taken} of {arguments.shuffled} times", flush=True)


class Spent:
    """Processor seconds, once they are spent."""

    seconds = 0.0

    def __str__(self) -> str:
        return f"in {self.seconds:.1f} s of processor time"


@contextmanager
def spent() -> Iterator[Spent]:
    found, begun = Spent(), time.process_time()
    yield found
    found.seconds = time.process_time() - begun


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
