"""A run against the judgements: means, comparisons, failures, all as records and as JSON."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from enum import StrEnum

import numpy as np
import numpy.typing as npt

from kosearch.errors import UsageError
from kosearch.evaluation.collections import Qrels
from kosearch.evaluation.metrics import (
    MAP_CUTOFF,
    autorag,
    graded_ndcg,
    information_retrieval,
    paired_permutation_test,
    relevant_ranks,
)
from kosearch.evaluation.runs import Run

SCHEMA = "kosearch.eval/1"
DEPTH = MAP_CUTOFF
"""How deep a ranked list is looked at."""


class Family(StrEnum):
    """Which source a measure follows."""

    INFORMATION_RETRIEVAL = "information-retrieval"
    AUTORAG = "autorag"


Values = Mapping[Family, Mapping[str, npt.NDArray[np.float64]]]

COMPARED = tuple(
    (Family.INFORMATION_RETRIEVAL, measure) for measure in ("Accuracy@1", "Accuracy@5", "Recall@5", "nDCG@10")
)


@dataclass(frozen=True, slots=True)
class Report:
    """What one system's run is worth; tuples and values are in the order of `questions`."""

    system: str
    questions: tuple[str, ...]
    relevant: tuple[int, ...]
    """How many documents answer the question."""
    ranks: tuple[tuple[int, ...], ...]
    """At which ranks, from 1 to `DEPTH`, documents that answer the question were found."""
    values: Values
    means: Mapping[Family, Mapping[str, float]]


@dataclass(frozen=True, slots=True)
class Comparison:
    """One measure of two systems on the same questions."""

    family: Family
    measure: str
    baseline: str
    system: str
    baseline_mean: float
    mean: float
    difference: float
    """`mean - baseline_mean`."""
    better: int
    """On how many questions the system is better, and `worse`, on how many worse."""
    worse: int
    p_value: float


@dataclass(frozen=True, slots=True)
class Expected:
    document: str
    rank: int | None
    """From 1; None where it is not among the first `DEPTH`."""


@dataclass(frozen=True, slots=True)
class Found:
    document: str
    rank: int
    score: float
    relevant: bool


@dataclass(frozen=True, slots=True)
class Failure:
    """A question whose answer is not among the first k, and what was found instead."""

    question: str
    text: str
    expected: tuple[Expected, ...]
    found: tuple[Found, ...]


def evaluate(run: Run, qrels: Qrels, *, system: str = "") -> Report:
    """Measure a run on every question that has a relevant document; a question the run lacks found nothing.

    For AutoRAG's measures each relevant document is a ground truth of its own. Where some grade is above 1,
    information retrieval has "graded nDCG@10" too.
    """
    relevant = {question: _relevant(grades) for question, grades in qrels.items()}
    relevant = {question: documents for question, documents in relevant.items() if documents}
    if not relevant:
        raise UsageError("The judgements call no document relevant to any question.")
    graded = any(grade > 1 for grades in qrels.values() for grade in grades.values())
    ranks: list[tuple[int, ...]] = []
    rows: dict[Family, list[dict[str, float]]] = {family: [] for family in Family}
    for question, documents in relevant.items():
        ranked = _ranked(run, question)
        ranks.append(relevant_ranks(documents, ranked))
        row = information_retrieval(ranks[-1], len(documents))
        if graded:
            row["graded nDCG@10"] = graded_ndcg(qrels[question], ranked)
        rows[Family.INFORMATION_RETRIEVAL].append(row)
        rows[Family.AUTORAG].append(autorag([{document} for document in documents], ranked))
    values: Values = {
        family: {measure: np.array([row[measure] for row in found]) for measure in found[0]}
        for family, found in rows.items()
    }
    means = {
        family: {measure: float(column.mean()) for measure, column in columns.items()}
        for family, columns in values.items()
    }
    counts = tuple(len(documents) for documents in relevant.values())
    return Report(system, tuple(relevant), counts, tuple(ranks), values, means)


def compare(reports: Sequence[Report], measures: Sequence[tuple[Family, str]] = COMPARED) -> tuple[Comparison, ...]:
    """Every report after the first against the first, measure by measure, with the paired test's p-value.

    The p-values are each for itself: who picks the best of many should ask for a smaller one.
    """
    if not reports:
        return ()
    baseline, *others = reports
    return tuple(_comparison(baseline, other, family, measure) for other in others for family, measure in measures)


def failures(run: Run, qrels: Qrels, texts: Mapping[str, str], *, k: int = 1, show: int = 3) -> tuple[Failure, ...]:
    """Questions with no relevant document among the first `k`, worst first, with their first `show` hits."""
    failed: list[tuple[int, Failure]] = []
    for question, grades in qrels.items():
        relevant = _relevant(grades)
        ranks = {document: rank for rank, document in enumerate(_ranked(run, question), 1)}
        first = min((ranks[document] for document in relevant if document in ranks), default=DEPTH + 1)
        if relevant and first > k:
            expected = tuple(Expected(document, ranks.get(document)) for document in sorted(relevant))
            found = tuple(
                Found(document, rank, score, document in relevant)
                for rank, (document, score) in enumerate(run.get(question, ())[:show], 1)
            )
            failed.append((first, Failure(question, texts[question], expected, found)))
    return tuple(failure for _, failure in sorted(failed, key=lambda item: -item[0]))


def as_json(
    collection: str,
    reports: Sequence[Report],
    comparisons: Sequence[Comparison] = (),
    failed: Mapping[str, Sequence[Failure]] | None = None,
) -> dict[str, object]:
    """Everything as one JSON-ready object; `failed` is by system.

    {"schema": "kosearch.eval/1", "collection": …, "questions": n, "depth": 100,
     "systems": [{"system", "measures": {family: {measure: mean}},
                  "questions": [{"id", "relevant", "ranks"}]}],
     "comparisons": [the fields of Comparison], "failures": {system: [the fields of Failure]}}
    """
    return {
        "schema": SCHEMA,
        "collection": collection,
        "questions": len(reports[0].questions) if reports else 0,
        "depth": DEPTH,
        "systems": [_system_json(report) for report in reports],
        "comparisons": [asdict(comparison) for comparison in comparisons],
        "failures": {system: [asdict(failure) for failure in found] for system, found in (failed or {}).items()},
    }


def recall_curve(report: Report) -> npt.NDArray[np.float64]:
    """Recall@k for k = 1 … `DEPTH`, the mean over the questions: shape (DEPTH,)."""
    found = np.zeros(DEPTH)
    for ranks, relevant in zip(report.ranks, report.relevant, strict=True):
        found[np.array(ranks, dtype=np.intp) - 1] += 1 / relevant
    return np.asarray(np.cumsum(found) / len(report.questions))


def _relevant(grades: Mapping[str, int]) -> frozenset[str]:
    return frozenset(document for document, grade in grades.items() if grade > 0)


def _ranked(run: Run, question: str) -> list[str]:
    ranked = [document for document, _ in run.get(question, ())[:DEPTH]]
    if len(set(ranked)) < len(ranked):
        raise UsageError(f"The run lists a document twice for question {question!r}.")
    return ranked


def _comparison(baseline: Report, other: Report, family: Family, measure: str) -> Comparison:
    if baseline.questions != other.questions:
        raise UsageError(f"{baseline.system} and {other.system} were not asked the same questions.")
    first, second = baseline.values[family][measure], other.values[family][measure]
    before, after = baseline.means[family][measure], other.means[family][measure]
    return Comparison(
        family,
        measure,
        baseline.system,
        other.system,
        baseline_mean=before,
        mean=after,
        difference=after - before,
        better=int(np.count_nonzero(second > first)),
        worse=int(np.count_nonzero(second < first)),
        p_value=paired_permutation_test(second, first),
    )


def _system_json(report: Report) -> dict[str, object]:
    return {
        "system": report.system,
        "measures": {family.value: dict(means) for family, means in report.means.items()},
        "questions": [
            {"id": question, "relevant": relevant, "ranks": list(ranks)}
            for question, relevant, ranks in zip(report.questions, report.relevant, report.ranks, strict=True)
        ],
    }
