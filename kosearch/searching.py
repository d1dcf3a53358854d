"""A question → ranked passages: candidates from both sides, exact scores for all of them, one convex sum."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kosearch.excerpts import best_part
from kosearch.index import Snapshot, StoredPassage
from kosearch.records import Answer, Hit, Score
from kosearch.scoring import bm25, fuse, scale
from kosearch.terms import Analyzer, Question, matches

CANDIDATES = 200
"""Passages each side brings in; measured on the five collections, more changes nothing."""
SAME = 0.9
"""Passages that share this much of their terms (Jaccard) are shown once."""
EXCERPT = 400
"""Characters of the part shown first: about six lines of Korean at 80 columns."""

Ids = NDArray[np.int64]
Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Query:
    """A question and what its hits must satisfy."""

    text: str
    k: int = 10
    mode: str = "hybrid"
    """hybrid, dense or lexical."""
    weight: float = 0.5
    """Dense's share of a hybrid score; lexical has the rest."""
    min_score: float | None = None
    """The least raw cosine a hit may have."""
    paths: tuple[str, ...] = ()
    kinds: tuple[str, ...] = ()
    after: str | None = None
    before: str | None = None
    group: bool = False
    """Only the best passage of each document."""


@dataclass(frozen=True, slots=True)
class Candidates:
    """Passages in question with both sides' scores; row i of each array belongs to ids[i]."""

    ids: Ids
    scores: Floats
    dense: list[Score] | None
    lexical: list[Score] | None
    terms: list[Mapping[str, list[str]]]


def answer(
    query: Query,
    snapshot: Snapshot,
    analyzer: Analyzer,
    embed: Callable[[Sequence[str]], NDArray[np.float32]],
) -> Answer:
    """The best passages of one generation for a question.

    Scores depend on the documents only: which passages are candidates is the engines' choice, but each
    candidate is scored from SQLite's own vectors, terms and counts.
    """
    question = analyzer.question(query.text)
    warnings = [*snapshot.warnings, *question.notes]
    documents = snapshot.find_documents(query.paths, query.kinds, query.after, query.before)
    vector = embed([question.text])[0] if query.mode != "lexical" else None
    candidates = _candidates(query, question, snapshot, vector, documents)
    order = _order(candidates, snapshot)
    kept = _collapse(order, candidates, snapshot, query)
    ...
