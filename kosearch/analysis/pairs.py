"""Pairs of texts: how alike they are by a model's vectors, and how well that agrees with what people say (STS)."""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from kosearch.errors import UsageError

_COLUMNS = {"sentence1": 0, "sentence2": 1, "score": 2}
"""Their names in the collections of STS, where a file has a header; without one they stand in this order."""
_HINT = "a line is text, tab, text, and for eval a tab and a grade; a header names sentence1, sentence2 and score"


@dataclass(frozen=True, slots=True)
class Pair:
    """Two texts, and how alike people find them, on whatever scale; None where nobody was asked."""

    first: str
    second: str
    grade: float | None = None


def read_pairs(path: Path) -> list[Pair]:
    """The pairs of a file with tabs between its columns. Raises UsageError with the file, the line and the reason."""
    try:
        text = path.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise UsageError(f"cannot read {path}: {error.strerror}", "check the path") from error
    except UnicodeDecodeError as error:
        raise UsageError(f"{path} is not UTF-8: {error.reason} at byte {error.start}") from error
    rows = csv.reader(text.splitlines(), delimiter="\t", quoting=csv.QUOTE_NONE)
    lines = [(number, row) for number, row in enumerate(rows, 1) if any(map(str.strip, row))]
    columns = _COLUMNS
    if lines and "sentence1" in lines[0][1]:
        columns = {name: place for place, name in enumerate(lines.pop(0)[1])}
        if missing := _COLUMNS.keys() - {"score"} - columns.keys():
            raise UsageError(f"{path}: its header has no {missing.pop()}", _HINT)
    if not lines:
        raise UsageError(f"{path} has no pair", _HINT)
    return [_pair(row, columns, f"{path}, line {number}") for number, row in lines]


def _pair(row: Sequence[str], columns: Mapping[str, int], where: str) -> Pair:
    cells = {name: row[columns[name]].strip() for name in _COLUMNS if columns.get(name, len(row)) < len(row)}
    if not cells.get("sentence1") or not cells.get("sentence2"):
        raise UsageError(f"{where}: there are no two texts", _HINT)
    try:
        grade = float(cells["score"]) if cells.get("score") else None
    except ValueError:
        raise UsageError(f"{where}: {cells['score']!r} is no grade", _HINT) from None
    return Pair(cells["sentence1"], cells["sentence2"], grade)


def correlations(cosines: Sequence[float] | NDArray[np.float64], grades: Sequence[float]) -> tuple[float, float]:
    """Pearson's and Spearman's correlation of cosines with grades. Raises UsageError where either are all equal."""
    first, second = np.asarray(cosines, np.float64), np.asarray(grades, np.float64)
    if len(first) < 2 or not np.ptp(first) or not np.ptp(second) or not np.isfinite(second).all():
        raise UsageError("two grades or more have to differ, and be numbers", _HINT)
    return _pearson(first, second), _pearson(_ranks(first), _ranks(second))


def _pearson(first: NDArray[np.float64], second: NDArray[np.float64]) -> float:
    return float(np.corrcoef(first, second)[0, 1])


def _ranks(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Ranks from 1; equal values share the mean of theirs."""
    _, inverse, counts = np.unique(values, return_inverse=True, return_counts=True)
    ends = np.cumsum(counts)
    ranks: NDArray[np.float64] = (ends - (counts - 1) / 2)[inverse]
    return ranks
