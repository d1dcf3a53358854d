"""Runs for tests of the measures: of vectors, and read back from TREC run files."""

from __future__ import annotations

import re
from collections.abc import Sequence
from enum import StrEnum
from pathlib import Path

import numpy as np
import numpy.typing as npt

from kosearch.evaluation.collections import Run, fault, text_lines

_COLUMNS = 6
_ROWS_AT_ONCE = 256
_SMALLEST_NORM = 1e-12  # what torch.nn.functional.normalize divides a zero vector by


class Similarity(StrEnum):
    COSINE = "cosine"
    DOT = "dot"


def vector_run(
    question_ids: Sequence[str],
    questions: npt.NDArray[np.float32],
    document_ids: Sequence[str],
    documents: npt.NDArray[np.float32],
    *,
    similarity: Similarity = Similarity.COSINE,
    depth: int = 100,
) -> Run:
    """Each question's `depth` nearest documents among vectors of shape (n, d) and (m, d).

    Equal scores order by document id, as sentence-transformers' InformationRetrievalEvaluator orders them.
    """
    if similarity is Similarity.COSINE:
        questions, documents = _unit(questions), _unit(documents)
    order = sorted(range(len(document_ids)), key=document_ids.__getitem__)
    ids = [document_ids[row] for row in order]
    columns = documents[order].T
    depth = min(depth, len(ids))
    run: dict[str, Sequence[tuple[str, float]]] = {}
    for start in range(0, len(question_ids), _ROWS_AT_ONCE):
        scores = questions[start : start + _ROWS_AT_ONCE] @ columns
        for question, row in zip(question_ids[start:], scores, strict=False):
            least = np.partition(row, len(ids) - depth)[len(ids) - depth]
            near = np.flatnonzero(row >= least)
            best = near[np.argsort(-row[near], kind="stable")][:depth]
            run[question] = [(ids[column], float(row[column])) for column in best]
    return run


def read_run(path: Path) -> Run:
    """A TREC run file, each question's documents by their rank column."""
    ranked: dict[str, dict[str, tuple[int, float]]] = {}
    for line, text in text_lines(path):
        columns = re.split(r"\s+", text, flags=re.ASCII)
        if len(columns) != _COLUMNS:
            raise fault(path, line, f"{len(columns)} columns where {_COLUMNS} belong")
        question, document = _unescape(columns[0]), _unescape(columns[2])
        try:
            place = int(columns[3]), float(columns[4])
        except ValueError as error:
            raise fault(path, line, "the rank or the score is not a number") from error
        if ranked.setdefault(question, {}).setdefault(document, place) is not place:
            raise fault(path, line, f"{document!r} was found for {question!r} on an earlier line already")
    run: dict[str, Sequence[tuple[str, float]]] = {}
    for question, found in ranked.items():
        by_rank = sorted(found.items(), key=lambda item: item[1][0])
        run[question] = [(document, score) for document, (_, score) in by_rank]
    return run


def _unit(vectors: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
    norms: npt.NDArray[np.float32] = np.linalg.norm(vectors, axis=1, keepdims=True)
    return np.divide(vectors, np.maximum(norms, np.float32(_SMALLEST_NORM)))


def _unescape(written: str) -> str:
    return re.sub(r"%(09|0[A-D]|20|25)", lambda found: chr(int(found[1], 16)), written)
