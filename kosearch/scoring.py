"""Scores as plain functions: BM25 from exact counts, scaling to 0..1, and the convex sum of two sides."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import log

import numpy as np
from numpy.typing import NDArray

K1 = 1.2
B = 0.75

Floats = NDArray[np.float64]
Weights = Mapping[str, Mapping[str, float]]
"""Field → term → what a full match of the term is worth."""


@dataclass(frozen=True, slots=True)
class Statistics:
    """What BM25 knows of the whole index; `lengths` are sums over all passages, by field."""

    passages: int
    lengths: Mapping[str, int]
    document_frequency: Mapping[tuple[str, str], int]
    """(field, term) → in how many passages it stands; at least the question's terms."""


def bm25(question: Weights, passage: Mapping[str, Sequence[str]], statistics: Statistics) -> float:
    """A passage's score: 0 where it shares no term with the question. `passage` is field → terms, as stored.

    Each field is scored by itself (Robertson and Zaragoza 2009, "The Probabilistic Relevance Framework: BM25
    and Beyond", eq. 3.15), with the idf of Lucene, which is never negative; the fields' scores are added up.
    """
    return sum(
        _field(weights, passage.get(name, ()), name, statistics) for name, weights in question.items() if weights
    )


def _field(weights: Mapping[str, float], terms: Sequence[str], name: str, statistics: Statistics) -> float:
    counts = Counter(term for term in terms if term in weights)
    if not counts:
        return 0.0
    mean = statistics.lengths[name] / statistics.passages
    damping = K1 * (1 - B + B * len(terms) / mean)
    return sum(
        weights[term]
        * idf(statistics.document_frequency[name, term], statistics.passages)
        * count
        * (K1 + 1)
        / (count + damping)
        for term, count in counts.items()
    )


def idf(document_frequency: int, passages: int) -> float:
    """How much it says that a passage has a term: log(1 + (N - n + ½) / (n + ½))."""
    return log(1 + (passages - document_frequency + 0.5) / (document_frequency + 0.5))


def scale(scores: Floats) -> Floats:
    """Scores, shape (n,), brought to 0..1 between the lowest and the highest; all equal scale to 1."""
    if not len(scores):
        return scores
    low, high = scores.min(), scores.max()
    if low == high:
        return np.ones_like(scores)
    scaled: Floats = (scores - low) / (high - low)
    return scaled


def fuse(dense: Floats, lexical: Floats, weight: float) -> Floats:
    """The convex sum of scaled scores, shape (n,): `weight` is dense's share.

    Bruch, Gai and Ingber 2023, "An Analysis of Fusion Functions for Hybrid Retrieval".
    """
    return weight * dense + (1 - weight) * lexical
