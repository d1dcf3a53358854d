"""Scores as plain functions: BM25 from exact counts, scaling to 0..1, and the convex sum of two sides."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from math import log

import numpy as np
from numpy.typing import NDArray

from kosearch.records import Statistics

K1 = 0.3
B = 0.5
"""Far less than the customary 1.2 and .75: beside vectors, that a word of the question stands in a passage counts, and
how often hardly (the vectors know what a passage is about). Measured on five collections, Korean and English; K1 from
.2 to .5 and B from .4 to .75 do as well."""
FULL_MATCH = 4.5
"""So many words, each in one passage only and found there once, weigh as much as the whole spread of cosines."""

HEADS = (1.0, 0.3, 1.0)
"""What BGE-M3's dense, sparse and multi-vector scores count: Chen et al. 2024, "M3-Embedding", section 4.2."""

Floats = NDArray[np.float64]
Weights = Mapping[str, Mapping[str, float]]
"""Field → term → what the term is worth, as a factor."""


def bm25(question: Weights, passage: Mapping[str, Sequence[str]], statistics: Statistics) -> float:
    """A passage's score: 0 where it shares no term with the question. `passage` is field → terms, as stored.

    Each field is scored by itself (Robertson and Zaragoza 2009, "The Probabilistic Relevance Framework: BM25 and
    Beyond", eq. 3.15) and the fields' scores are added up.
    """
    return sum(_field(name, weights, passage.get(name, ()), statistics) for name, weights in question.items())


def _field(name: str, weights: Mapping[str, float], terms: Sequence[str], statistics: Statistics) -> float:
    counts = Counter(term for term in terms if term in weights)
    if not counts:
        return 0.0
    mean_length = statistics.totals[name] / statistics.passages
    damping = K1 * (1 - B + B * len(terms) / mean_length)
    return sum(
        weights[term]
        * idf(statistics.frequencies[name][term], statistics.passages)
        * (K1 + 1)
        * count
        / (count + damping)
        for term, count in counts.items()
    )


def idf(document_frequency: int, passages: int) -> float:
    """How much it says that a passage has a term, as Lucene computes it: log(1 + (N - n + ½) / (n + ½)), above 0."""
    return log(1 + (passages - document_frequency + 0.5) / (document_frequency + 0.5))


def scale(scores: Floats) -> Floats:
    """Scores of shape (n,) brought to 0..1 between the lowest and the highest; all equal scale to 1."""
    if not len(scores) or scores.min() == scores.max():
        return np.ones_like(scores)
    scaled: Floats = (scores - scores.min()) / (scores.max() - scores.min())
    return scaled


def scale_both(cosines: Floats, bm25s: Floats, passages: int) -> tuple[Floats, Floats]:
    """Both sides' scores of the same candidates, shape (n,) each, brought to 0..1 by one measure.

    `passages` is how many the index has. Cosines mean something only against each other, so they are measured by
    their spread. BM25 is not: it tells how much of the question was found, and a weak best match must not
    count as much as a strong one. So it is measured by `FULL_MATCH`, and the wider side reaches 1. Against scaling
    each side by its own spread (Bruch, Gai and Ingber 2023) this gave better figures on all five collections.
    """
    spread = float(np.ptp(bm25s)) if len(bm25s) else 0.0
    reach = spread / (FULL_MATCH * idf(1, passages)) or 1.0
    widest = max(reach, 1.0)
    return scale(cosines) / widest, scale(bm25s) * (reach / widest)


def fuse(dense: Floats, lexical: Floats, weight: float) -> Floats:
    """The convex sum of scaled scores, shape (n,): `weight` is dense's share.

    Bruch, Gai and Ingber 2023, "An Analysis of Fusion Functions for Hybrid Retrieval".
    """
    return weight * dense + (1 - weight) * lexical


def combine_heads(scores: Floats) -> Floats:
    """BGE-M3's dense, sparse and multi-vector scores, shape (n, 3), as one each, shape (n,): their mean by `HEADS`."""
    combined: Floats = scores @ np.array(HEADS) / sum(HEADS)
    return combined
