"""A model that learns from a user's questions, and says no where it would not help. Nothing here prints.

__init__.py  the door: `train`
examples.py  questions and what answers them, from what a user has
head.py      the linear head, learnt by numpy alone
layers.py    the last layers, learnt by torch, kept after each epoch
whole.py     all layers, learnt by sentence-transformers as the published model was
gains.py     folds by document, before and after, intervals
candidates.py  questions for who has none, for a person to correct
manual.py    a small collection that comes with kosearch: what becomes of everything else
folder.py    the result as an ordinary folder of sentence-transformers
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from kosearch import __version__
from kosearch.embedding import AnyModel, Embedder, Endpoint, Model, resolve
from kosearch.errors import ModelError, UsageError
from kosearch.index import Snapshot
from kosearch.library import Index
from kosearch.opening import check_terms
from kosearch.records import Query
from kosearch.system import blas_on_one_core
from kosearch.training.candidates import Candidate, candidate_questions
from kosearch.training.examples import Example, Examples, read_examples
from kosearch.training.folder import check_base, check_target, scratch_beside, write_head, write_model
from kosearch.training.gains import FOLDS, Bench, Floats, Gain, Rows, folded, gain
from kosearch.training.head import BATCH, DECAY, RATE, SCALE, SHARE, STEPS, NotFinite, fit
from kosearch.training.layers import LayerLearner
from kosearch.training.manual import Manual
from kosearch.training.whole import Reckoning, WholeLearner, reckoned

__all__ = ["Candidate", "Gain", "Reckoning", "Training", "candidate_questions", "reckon", "refusal", "train"]

LEAST = 60
"""Questions; of fewer nothing can be said with any certainty."""
LEAST_FOUND = 0.1
"""nDCG@10 of hybrid search before: below, answers are not those of their questions, or no search for them is possible
yet; that a head near the identity seems to help then is chance."""
_EMBEDDED_AT_ONCE = 64
Progress = Callable[[str, int, int], object]
Vectors = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Training:
    """What came of learning from questions."""

    taken: bool
    """Whether the model is better for questions it has not learnt from; only then it was written."""
    why: str
    """One line for a person: why it was taken, or what would be needed."""
    base: str
    """The model that it was learnt on."""
    questions: int
    documents: int
    """How many answer them."""
    seed: int
    pairs: int = 0
    """Of a question and a passage, that it was learnt from."""
    dense: Gain | None = None
    hybrid: Gain | None = None
    """nDCG@10 by meaning alone and as searched by default, measured on folds by document; None where it was not."""
    manual: Gain | None = None
    """By meaning alone, on sentences of kosearch's own manual: what becomes of everything else."""
    folder: Path | None = None
    layers: int = 0
    """How many of the base's last layers were learnt; 0 for a head, and for all."""
    recipe: str = ""
    """"seed" where all layers were learnt."""
    notes: tuple[str, ...] = ()
    """Lines that a person should know of the questions."""


def train(
    index: Index,
    questions: str | os.PathLike[str],
    out: str | os.PathLike[str],
    *,
    qrels: str | os.PathLike[str] | None = None,
    layers: int = 0,
    recipe: Literal["", "seed"] = "",
    seed: int = 0,
    progress: Progress | None = None,
) -> Training:
    """Learn a linear head for an index's model from questions and what answers them, and write it as a model's folder.

    With `layers`, so many of the model's last layers are learnt instead, in minutes; with the recipe "seed" all of it,
    as dragonkue/bge-m3-ko was of BGE-M3, for which a GPU is wanted. Both go on where they were interrupted.

    `questions` is what `kosearch eval` takes (a folder in BEIR or TREC form, a `questions.jsonl`, topics with `qrels`),
    the table of `kosearch questions`, or pairs of texts with tabs between them. It is measured by five folds whose
    documents are apart; with a recipe by one, which is not learnt from. Only where hybrid search answers better, and
    the 95% interval of that lies above 0, the folder `out` is written: an ordinary one of sentence-transformers, or a
    head alone where the index's model answers over HTTP; `--model` takes either. Files and index stay as they are.
    `progress` is told what is done, how much of it, and of how much.

    Raises UsageError for questions that cannot be read or whose answers are not in the index, with the line, where
    `out` is there already, and where the recipe's extra is missing; ModelError where the index's model is not one that
    can be learnt from.
    """
    if layers and recipe:
        raise UsageError("a recipe learns all layers, and not some", "leave out --layers or --recipe")
    told = progress or (lambda _what, _done, _total: None)
    target = Path(os.path.abspath(os.path.expanduser(os.fspath(out))))
    check_target(target)
    with scratch_beside(target):
        pass
    model = _with_files(index) if layers or recipe else _trainable(index)
    with blas_on_one_core(), index.kept_vectors() as kept, index.store.snapshot() as snapshot:
        found = _examples(index, snapshot, questions, qrels)
        documents = {path for one in found.examples for path in one.answers}
        count = len(found.examples)
        result = Training(
            False, "", model.name, count, len(documents), seed, layers=layers, recipe=recipe, notes=found.notes
        )
        if count < LEAST:
            return replace(result, why=f"{count} question{'s' * (count != 1)}; at least {LEAST} are needed")
        bench, examples = _bench(index, kept, snapshot, found.examples, told)
        if len(set(bench.groups.tolist())) < FOLDS:
            why = f"the answers stand in too few documents: {FOLDS} groups of questions that share none are needed"
            return replace(result, why=why)
        manual = Manual(kept)
        place, device = index.settings.cache_dir / "training", index.settings.device
        learner: Learner
        if isinstance(model, Endpoint) or not (layers or recipe):
            learner = HeadLearner(bench, model, seed)
        elif recipe:
            learner = WholeLearner(model, bench, examples, seed, place, device, told)
        else:
            learner = LayerLearner(model, layers, bench, examples, seed, place, device, told)
        result = replace(result, pairs=len(bench.numbers().questions))
        return _judged(learner, manual, result, model, target, told)


def reckon(
    index: Index,
    questions: str | os.PathLike[str],
    *,
    qrels: str | os.PathLike[str] | None = None,
    progress: Progress | None = None,
) -> Reckoning:
    """What the recipe "seed" would take with these questions on this machine, from a step that is measured here.

    Raises UsageError and ModelError as `train` does.
    """
    told = progress or (lambda _what, _done, _total: None)
    model = _with_files(index)
    with index.kept_vectors() as kept, index.store.snapshot() as snapshot:
        found = _examples(index, snapshot, questions, qrels)
        bench, examples = _bench(index, kept, snapshot, found.examples, told)
        return reckoned(model, bench, examples, index.settings.device)


def _trainable(index: Index) -> AnyModel:
    """The index's model, behind which a head can stand. Raises ModelError."""
    model = index.model
    if isinstance(model, Model):
        check_base(model, resolve(model.name, cache_dir=index.settings.cache_dir).dimensions)
    elif model.head:
        raise ModelError(f"{model.name} has a head behind it already", "train on the index that this one was made of")
    return model


def _with_files(index: Index) -> Model:
    """The same, where layers of it can be learnt."""
    model = _trainable(index)
    if isinstance(model, Endpoint):
        raise ModelError(
            f"{model.name} answers over HTTP, and its layers are not here",
            "leave out --layers and --recipe: a head stands behind any model",
        )
    return model


def _examples(
    index: Index, snapshot: Snapshot, questions: str | os.PathLike[str], qrels: str | os.PathLike[str] | None
) -> Examples:
    check_terms(snapshot.identity, index.settings)
    return read_examples(Path(questions), snapshot, None if qrels is None else Path(qrels))


def _bench(
    index: Index, embedder: Embedder, snapshot: Snapshot, given: Sequence[Example], told: Progress
) -> tuple[Bench, Sequence[Example]]:
    """What measures, and the examples as a search takes their questions: corrected, and without operators."""
    count = len(given)
    questions = index.reader(snapshot).all([Query(one.text) for one in given])
    examples = [replace(one, text=question.meant) for one, question in zip(given, questions, strict=True)]
    asked, weight = _embedded(embedder, examples, told), index.settings.weight
    bench = Bench(snapshot, questions, examples, asked, weight, lambda done: told("questions ranked", done, count))
    return bench, examples


class Learner(Protocol):
    """What learns from the questions of a bench."""

    bench: Bench
    """By which it is measured."""
    recipe: str
    """What it does, for the model's card."""
    folds: int
    """On how many of FOLDS it is measured."""

    def fold(self, number: int, learnt: Rows, held: Rows) -> Floats:
        """nDCG@10 of the questions `held` by what is learnt from the others: (len(held), 2)."""
        ...

    def whole(self) -> None:
        """Learn from all questions."""
        ...

    def manual(self, manual: Manual) -> Gain:
        """What becomes of kosearch's manual."""
        ...

    def write(self, target: Path, card: str) -> None:
        """What was learnt, as a model's folder."""
        ...

    def forget(self) -> None:
        """Drop what was kept for a run that goes on."""
        ...


class HeadLearner:
    """Learns a head from the questions of a bench: a second, whatever fold it is."""

    recipe = f"""a linear head behind the base, which is unchanged: a vector is one of the base's, times a matrix near
the identity, plus a bias. Softmax over the other answers of a batch of {BATCH}, scale {SCALE:g}, AdamW with rate
{RATE:g} and decay {DECAY:g} towards the identity, {STEPS} steps, and {SHARE:g} of the way from the identity taken"""
    folds = FOLDS

    def __init__(self, bench: Bench, base: AnyModel, seed: int) -> None:
        self.bench, self._base, self._seed = bench, base, seed

    def fold(self, number: int, learnt: Rows, held: Rows) -> Floats:
        return self.bench.after(fit(self.bench.pairs(learnt), self._seed), held)

    def whole(self) -> None:
        self._head = fit(self.bench.pairs(), self._seed)

    def manual(self, manual: Manual) -> Gain:
        return manual.after(self._head)

    def write(self, target: Path, card: str) -> None:
        if isinstance(self._base, Endpoint):
            write_head(target, self._base, card, self._head)
        else:
            write_model(target, self._base, card, head=self._head)

    def forget(self) -> None:
        pass


def _judged(
    learner: Learner, manual: Manual, result: Training, model: AnyModel, target: Path, told: Progress
) -> Training:
    """Measured, and written where it is taken."""
    try:
        dense, hybrid = measured(learner, result.seed, told)
        learner.whole()
    except NotFinite as error:
        why = f"training gave no numbers any more at {error}"
        raise ModelError(why, "see whether the index is whole: kosearch check") from None
    result = replace(result, dense=dense, hybrid=hybrid, manual=learner.manual(manual))
    if why := refusal(hybrid, result.questions):
        learner.forget()
        return replace(result, why=why)
    why = f"hybrid nDCG@10 rises by {hybrid.mean:.4f}, with 95% confidence by more than {hybrid.low:.4f}"
    result = replace(result, taken=True, why=why, folder=target)
    learner.write(target, _card(result, model, learner))
    learner.forget()
    return result


def _embedded(embedder: Embedder, examples: Sequence[Example], told: Progress) -> Vectors:
    texts = [one.text for one in examples]
    parts = []
    for start in range(0, len(texts), _EMBEDDED_AT_ONCE):
        parts.append(embedder.embed_queries(texts[start : start + _EMBEDDED_AT_ONCE]))
        told("questions embedded", min(start + _EMBEDDED_AT_ONCE, len(texts)), len(texts))
    return np.concatenate(parts)


def measured(learner: Learner, seed: int, told: Progress) -> tuple[Gain, Gain]:
    """The gains of those of each fold's others on the fold."""
    bench = learner.bench
    folds = folded(bench.groups, seed)
    after = np.zeros_like(bench.before)
    for fold in range(learner.folds):
        held, learnt = np.flatnonzero(folds == fold), np.flatnonzero(folds != fold)
        after[held] = learner.fold(fold, learnt, held)
        told("folds", fold + 1, learner.folds)
    asked = np.flatnonzero(folds < learner.folds)
    groups = np.unique(bench.groups[asked], return_inverse=True)[1]
    dense, hybrid = (gain(bench.before[asked, side], after[asked, side], groups, seed) for side in (0, 1))
    return dense, hybrid


def refusal(hybrid: Gain, count: int) -> str:
    """Why a head with this gain on so many questions is not taken, and what is needed; empty where it is taken.

    An interval narrows with the square root of the questions.
    """
    if hybrid.before < LEAST_FOUND:
        found = f"hybrid search finds hardly any of the answers (nDCG@10 {hybrid.before:.4f})"
        return f"{found}: see whether they belong to the questions: kosearch eval QUESTIONS --failures 10"
    if hybrid.low > 0:
        return ""
    if hybrid.mean <= 0:
        return "hybrid search answers no better with it: other questions, closer to what is asked, may help"
    wanted = int(np.ceil(count * ((hybrid.mean - hybrid.low) / hybrid.mean) ** 2 / 10) * 10)
    return (
        f"the gain of hybrid search, {hybrid.mean:+.4f}, may be chance (its interval begins at {hybrid.low:+.4f});"
        f" if it is none, about {wanted:,} questions would show it"
    )


def _card(found: Training, model: AnyModel, learner: Learner) -> str:
    """The model card: where the model comes from, and how much better it was."""
    rows = (
        ("meaning alone", found.dense),
        ("hybrid", found.hybrid),
        ("kosearch's manual, meaning alone", found.manual),
    )
    table = "\n".join(f"| {name} | {one} |" for name, one in rows)
    return f"""---
tags: [sentence-transformers, sentence-similarity, feature-extraction]
base_model: {model.name}
---
# A model that learnt from questions

`kosearch train` (kosearch {__version__}) made it of {model.name} (fingerprint {model.fingerprint}): {learner.recipe},
seed {found.seed}.

Learnt from {found.questions} questions and {found.documents} documents: {found.pairs} pairs, each the best passage of a
document that answers a question. No text of them is in this folder.

nDCG@10 before → after, difference [95% interval, paired bootstrap by document], on {learner.folds} of {FOLDS} folds by
document:

| | |
|---|---|
{table}
"""
