"""How much better the search answers by other vectors, on questions that these were not learnt from.

Folds are by document: questions that share an answer, and those that these share another with, stay together, so that
no document that a question is measured by was learnt from. Intervals are those of the paired bootstrap over the same
groups (Efron and Tibshirani 1993; Sakai 2006 for retrieval), since questions about one document are not independent.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from copy import copy
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from kosearch.embedding import Head
from kosearch.evaluation.measures import NDCG_CUTOFF, information_retrieval
from kosearch.index import Snapshot
from kosearch.passages import context
from kosearch.scoring import CANDIDATES
from kosearch.searching.ranking import Words
from kosearch.terms import Question
from kosearch.training.examples import Example
from kosearch.training.head import Pairs

Ids = NDArray[np.int64]
Rows = NDArray[np.intp]
Vectors = NDArray[np.float32]
Floats = NDArray[np.float64]

FOLDS = 5
SAMPLES = 10_000
"""Of the bootstrap."""
NEAR = 30
"""So many passages that either side ranks first, for any question, are embedded anew where a whole index would take
too long."""
_AT_ONCE = 64
"""Questions whose cosines with all passages are in memory together."""


@dataclass(frozen=True, slots=True)
class Gain:
    """nDCG@10 before and after, means over the questions, and the 95% interval of what is between them."""

    before: float
    after: float
    low: float
    high: float

    @property
    def mean(self) -> float:
        """After less before."""
        return self.after - self.before

    def __str__(self) -> str:
        return f"{self.before:.4f} → {self.after:.4f}  {self.mean:+.4f} [{self.low:+.4f}, {self.high:+.4f}]"


def gain(before: Floats, after: Floats, groups: NDArray[np.intp], seed: int = 0) -> Gain:
    """Of questions' values, (n,) each; `groups` (n,) numbers what is drawn together, from 0."""
    count = int(groups.max()) + 1
    sums = np.bincount(groups, after - before, count)
    sizes = np.bincount(groups, minlength=count)
    drawn = np.random.default_rng(seed).integers(0, count, size=(SAMPLES, count))
    means = sums[drawn].sum(axis=1) / sizes[drawn].sum(axis=1)
    low, high = np.quantile(means, (0.025, 0.975))
    return Gain(float(before.mean()), float(after.mean()), float(low), float(high))


def grouped(answers: Sequence[Iterable[int]]) -> NDArray[np.intp]:
    """The group of each question, from 0: those that share an answer are in one, and so on."""
    owner: dict[int, int] = {}

    def first(one: int) -> int:
        while owner.setdefault(one, one) != one:
            owner[one] = one = owner[owner[one]]
        return one

    documents = [[-1 - document for document in each] for each in answers]  # below 0, where questions are not
    for question, each in enumerate(documents):
        for document in each:
            owner[first(document)] = first(question)
    return np.unique([first(question) for question in range(len(answers))], return_inverse=True)[1]


def folded(groups: NDArray[np.intp], seed: int) -> NDArray[np.intp]:
    """The fold of each question: whole groups, the larger ones first, each to where the fewest are."""
    sizes = np.bincount(groups)
    order = np.random.default_rng(seed).permutation(len(sizes))
    order = order[np.argsort(-sizes[order], kind="stable")]
    filled, fold_of = np.zeros(FOLDS, np.int64), np.zeros(len(sizes), np.intp)
    for group in order:
        fold_of[group] = int(np.argmin(filled))
        filled[fold_of[group]] += sizes[group]
    return fold_of[groups]


class Bench:
    """An index and questions about it: ranked by the vectors of the index, and by what a head makes of them."""

    def __init__(
        self,
        snapshot: Snapshot,
        questions: Sequence[Question],
        examples: Sequence[Example],
        asked: Vectors,
        weight: float,
        progress: Callable[[int], object],
    ) -> None:
        """`questions` are the examples' as the index's `reader` reads them, and `asked` (n, d) their vectors;
        `progress` is told how many are ranked."""
        self._snapshot = snapshot
        self._weight = weight
        self._asked = asked
        self._ids, self._vectors = snapshot.vectors()
        self._numbers, self._documents = _documents(snapshot, self._ids)
        self._words = [Words(question, vector, snapshot) for question, vector in zip(questions, asked, strict=True)]
        self._judge(examples, progress)

    def nearby(self) -> Rows:
        """Rows of the passages that are learnt from, or among the best NEAR of either side for any question."""
        return np.unique([*(row for _, row in self._positives), *(row for rows in self._near for row in rows.tolist())])

    def within(self, rows: Rows, examples: Sequence[Example]) -> Bench:
        """The same questions, asked of these passages alone."""
        other = copy(self)
        other._ids, other._vectors, other._documents = self._ids[rows], self._vectors[rows], self._documents[rows]
        other._words = [one.within(other._ids) for one in self._words]
        other._judge(examples, lambda _: None)
        return other

    def texts(self) -> list[str]:
        """What a model reads of the passages, without its prompt, in the order of their rows."""
        stored = self._snapshot.stored(self._ids)
        return [context(one.document.title, one.passage, one.text) + one.text for one in stored]

    def with_answers(self, examples: Sequence[Example]) -> Bench:
        """The same questions with other answers."""
        other = copy(self)
        other._judge(examples, lambda _: None)
        return other

    def _judge(self, examples: Sequence[Example], progress: Callable[[int], object]) -> None:
        """Rank every question by the vectors of the index; the answers' best passages are what is learnt from."""
        self.answers = [frozenset(self._numbers[path] for path in one.answers) for one in examples]
        self.groups = grouped(self.answers)
        self.before = np.zeros((len(examples), 2))
        """nDCG@10 of each question by meaning alone and by hybrid, (n, 2)."""
        self._positives: list[tuple[int, int]] = []
        self._near: list[Rows] = []
        for number, cosines in self._cosines(range(len(examples)), self._asked, self._vectors):
            ranked = self._ranked(number, cosines)
            self.before[number] = self._measured(number, *ranked)
            self._near.append(np.concatenate([rows[:NEAR] for rows in ranked]))
            self._positives += self._best(number, examples[number], ranked[1], cosines)
            progress(number + 1)

    def _best(self, number: int, example: Example, ranked: Rows, cosines: Vectors) -> Iterator[tuple[int, int]]:
        """The question with the best passage of each document that answers it: by hybrid, else by meaning."""
        places = {int(row): place for place, row in enumerate(ranked)}
        for path, pages in example.answers.items():
            rows = np.flatnonzero(self._documents == self._numbers[path])
            if None not in pages:
                stored = self._snapshot.stored(self._ids[rows])
                rows = rows[[one.passage.page in pages for one in stored]]
            if len(rows):
                yield number, int(min(rows, key=lambda row: (places.get(int(row), len(places)), -cosines[row])))

    def pairs(self, questions: Rows | None = None) -> Pairs:
        """What these questions, or all, have to learn from."""
        found = self.numbers(questions)
        return replace(found, questions=self._asked[found.questions], passages=self._vectors[found.passages])

    def numbers(self, questions: Rows | None = None) -> Pairs:
        """The same by numbers: of questions, and the rows of passages."""
        wanted = set(range(len(self.answers)) if questions is None else questions.tolist())
        chosen = np.array([pair for pair in self._positives if pair[0] in wanted], dtype=np.intp).reshape(-1, 2)
        asked, rows = chosen.T
        return Pairs.of(asked, rows, self._documents[rows], [self.answers[number] for number in asked.tolist()])

    def after(self, head: Head, questions: Rows) -> Floats:
        """The same of some questions, by what a head makes of all vectors: (len(questions), 2)."""
        return self.measured(head(self._vectors), head(self._asked[questions]), questions)

    def measured(self, vectors: Vectors, asked: Vectors, questions: Rows) -> Floats:
        """nDCG@10 of some questions by other vectors of all passages and of these questions: (len(questions), 2)."""
        found = self._cosines(questions.tolist(), asked, vectors)
        return np.array([self._measured(number, *self._ranked(number, cosines)) for number, cosines in found])

    def _cosines(self, questions: Sequence[int], asked: Vectors, vectors: Vectors) -> Iterator[tuple[int, Vectors]]:
        for start in range(0, len(questions), _AT_ONCE):
            part = asked[start : start + _AT_ONCE] @ vectors.T
            yield from zip(questions[start : start + _AT_ONCE], part, strict=False)

    def _ranked(self, number: int, cosines: Vectors) -> tuple[Rows, Rows]:
        """Rows of the passages, best first, by meaning and by hybrid."""
        count = min(CANDIDATES, len(cosines))
        nearest = np.argpartition(-cosines, count - 1)[:count]
        nearest = nearest[np.argsort(-cosines[nearest], kind="stable")]
        ranking = self._words[number].rank(
            np.sort(self._ids[nearest]),
            lambda ids: cosines[np.searchsorted(self._ids, ids)].astype(np.float64),
            self._weight,
        )
        return nearest, np.searchsorted(self._ids, ranking.ids)

    def _measured(self, number: int, *ranked: Rows) -> list[float]:
        answers, values = self.answers[number], []
        for rows in ranked:
            found = dict.fromkeys(self._documents[rows].tolist())
            ranks = [rank for rank, document in enumerate(found, 1) if document in answers]
            values.append(information_retrieval(ranks, len(answers))[f"nDCG@{NDCG_CUTOFF}"])
        return values


def _documents(snapshot: Snapshot, ids: Ids) -> tuple[dict[str, int], Rows]:
    """All paths, each with a number, and that of each passage."""
    owners = snapshot.owners(ids)
    path_of = {document.id: document.path for document in snapshot.documents()}
    numbers = {path: number for number, path in enumerate(dict.fromkeys(path_of.values()))}
    return numbers, np.array([numbers[path_of[owners[one]]] for one in ids.tolist()], dtype=np.intp)
