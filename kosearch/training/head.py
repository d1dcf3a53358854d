"""A linear head on frozen vectors: both sides' vectors x become x·Wᵀ + b, of unit length, with W near the identity.

Trained by the softmax over the other answers of a batch (van den Oord et al. 2018; sentence-transformers calls it
MultipleNegativesRankingLoss), by AdamW (Loshchilov and Hutter 2019) with gradients written out: numpy is all it takes.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kosearch.embedding import Head

Vectors = NDArray[np.float32]
Rows = NDArray[np.intp]

SCALE = 20.0
"""What cosines are multiplied with before the softmax, sentence-transformers' own."""
STEPS = 60
BATCH = 64
"""Pairs of a step."""
RATE = 1e-3
"""How far a step goes at most in each number…"""
DECAY = 0.05
"""…and how strongly W is drawn back to the identity: so much of the way, for a rate of 1."""
SHARE = 0.5
"""How far from the identity towards what was learnt (Wortsman et al. 2022, "Robust fine-tuning of zero-shot models").

All of the way finds no more of what it was learnt from, and costs texts of another kind: after law, hybrid nDCG@10 of
English answers about health falls by .017 [.002, .033], and half of the way by .004 [-.007, .017].
"""
_FIRST, _SECOND, _TINY = 0.9, 0.999, 1e-8
"""Adam's usual means and its guard against zero."""


class NotFinite(ArithmeticError):
    """What was learnt is no number any more."""


@dataclass(frozen=True, slots=True)
class Pairs:
    """What is learnt from: a row is a question and a passage that answers it.

    They are vectors (n, d), or the numbers (n,) by which they are kept elsewhere. `documents` (n,) are those of the
    passages, and `answers` (n, most) all that answer each question, filled up with -1: a passage of one of them is no
    counterexample.
    """

    questions: NDArray[Any]
    passages: NDArray[Any]
    documents: Rows
    answers: Rows

    @classmethod
    def of(
        cls, questions: NDArray[Any], passages: NDArray[Any], documents: Rows, answers: Sequence[Collection[int]]
    ) -> Pairs:
        """Pairs whose questions are answered by so many documents each."""
        filled = np.full((len(answers), max(map(len, answers), default=0)), -1, np.intp)
        for row, each in enumerate(answers):
            filled[row, : len(each)] = list(each)
        return cls(questions, passages, documents, filled)

    def taken(self, rows: Rows) -> Pairs:
        """Some of the pairs."""
        return Pairs(self.questions[rows], self.passages[rows], self.documents[rows], self.answers[rows])

    def others(self) -> NDArray[np.bool_]:
        """Of which rows the passage is neither answer nor counterexample to a row's question: (n, n)."""
        found: NDArray[np.bool_] = (self.answers[:, :, None] == self.documents[None, None, :]).any(axis=1)
        np.fill_diagonal(found, False)
        return found


def fit(pairs: Pairs, seed: int = 0) -> Head:
    """The head that tells these answers from each other. Raises NotFinite.

    The same pairs and seed give the same head.
    """
    width = pairs.questions.shape[1]
    state = np.zeros((3, width, width + 1), np.float64)  # what is added to the identity, and Adam's two means
    change, mean, square = state
    for step, rows in enumerate(batches(len(pairs.questions), BATCH, STEPS, seed), 1):
        gradient = _gradient(pairs.taken(rows), _head(change))
        mean += (1 - _FIRST) * (gradient - mean)
        square += (1 - _SECOND) * (gradient**2 - square)
        towards = (mean / (1 - _FIRST**step)) / (np.sqrt(square / (1 - _SECOND**step)) + _TINY)
        change -= RATE * (towards + DECAY * change)
        if not np.isfinite(change).all():
            raise NotFinite(f"step {step} of {STEPS}")
    return _head(SHARE * change)


def _head(change: NDArray[np.float64]) -> Head:
    width = len(change)
    return Head((np.eye(width) + change[:, :width]).astype(np.float32), change[:, width].astype(np.float32))


def batches(count: int, size: int, steps: int, seed: int) -> Iterator[Rows]:
    """Rows of each step, so many or all there are: all pairs in a new order, over and over."""
    random = np.random.default_rng(seed)
    size, waiting = min(size, count), np.zeros(0, np.intp)
    for _ in range(steps):
        if len(waiting) < size:
            waiting = random.permutation(count)
        yield waiting[:size]
        waiting = waiting[size:]


def _gradient(pairs: Pairs, head: Head) -> NDArray[np.float32]:
    """Of the mean loss, (d, d + 1): by the weight, and in the last column by the bias."""
    asked, asked_length = _unit(pairs.questions @ head.weight.T + head.bias)
    given, given_length = _unit(pairs.passages @ head.weight.T + head.bias)
    by_asked, by_given = by_vectors(asked, given, pairs.others())
    by_asked = _before_unit(by_asked, asked, asked_length)
    by_given = _before_unit(by_given, given, given_length)
    by_weight = by_asked.T @ pairs.questions + by_given.T @ pairs.passages
    return np.column_stack([by_weight, by_asked.sum(axis=0) + by_given.sum(axis=0)])


def by_vectors(asked: Vectors, given: Vectors, others: NDArray[np.bool_]) -> tuple[Vectors, Vectors]:
    """The gradients of the mean loss by the unit vectors of questions and passages, (n, d) each.

    Row i belongs to row i; `others` (n, n) are no counterexamples.
    """
    logits = SCALE * asked @ given.T
    logits[others] = -np.inf
    logits -= logits.max(axis=1, keepdims=True)
    shares = np.exp(logits)
    shares /= shares.sum(axis=1, keepdims=True)
    shares[np.diag_indices(len(shares))] -= 1
    shares *= SCALE / len(shares)
    return shares @ given, shares.T @ asked


def _unit(vectors: Vectors) -> tuple[Vectors, Vectors]:
    """Vectors of length 1, and the lengths that they had."""
    length = np.maximum(np.linalg.norm(vectors, axis=-1, keepdims=True), 1e-12)
    unit: Vectors = vectors / length
    return unit, length


def _before_unit(gradient: Vectors, unit: Vectors, length: Vectors) -> Vectors:
    """A gradient by unit vectors as one by those that they were made of."""
    found: Vectors = (gradient - (gradient * unit).sum(axis=1, keepdims=True) * unit) / length
    return found
