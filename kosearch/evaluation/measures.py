"""A run against the judgements: measures, means, comparisons, failures, and recall against k as SVG.

The measures, one question at a time, and the test that compares two systems.

Two families, each named and computed as its source does:

- Information retrieval, as `InformationRetrievalEvaluator` of sentence-transformers 6.2: Accuracy,
  Precision and Recall@1, 3, 5, 10, nDCG@10, MRR@10, MAP@100. A document is relevant or not; precision
  divides by k however few were found; MAP divides by the number of relevant documents, or by 100 if less.
- AutoRAG's retrieval metrics (Marker-Inc-Korea/AutoRAG, `autorag/evaluation/metric/retrieval.py`): F1,
  Recall, Precision, mAP, mRR, nDCG at top-k 1, 3, 5, 10, 50. A question has groups of ids, and one of each
  group is wanted; precision divides by the number found; mRR and mAP are means over the groups, and a
  group's average precision divides by its hits, not by its size.

Both take every grade from 1 as 1. `graded_ndcg` is nDCG with linear gain, the grade itself (Järvelin and
Kekäläinen 2002; trec_eval's `ndcg_cut`).

No library computes the second family. ir_measures computes the first (but divides MAP by more than 100 where
more are relevant) at the price of scipy and a C extension, so the tests check against it and users need not
install it.

Recall against k for one or more systems, drawn as SVG, which every browser and editor shows and turns into others.

k runs on a logarithmic scale, because the first few ranks matter most. Systems differ by dash, and by colour
(Okabe and Ito's, which people with any colour vision can tell apart). Points have (0, 0) at the top left, y grows
downwards.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Collection, Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import asdict, dataclass
from enum import StrEnum
from math import floor, log, log2
from pathlib import Path
from typing import Literal
from unicodedata import east_asian_width
from xml.sax.saxutils import escape

import numpy as np
import numpy.typing as npt

from kosearch.errors import UsageError
from kosearch.evaluation.collections import Qrels, Run

CUTOFFS = (1, 3, 5, 10)
AUTORAG_CUTOFFS = (1, 3, 5, 10, 50)
NDCG_CUTOFF = 10
MRR_CUTOFF = 10
MAP_CUTOFF = 100

_SAMPLES_AT_ONCE = 500


def relevant_ranks(relevant: Collection[str], ranked: Sequence[str]) -> tuple[int, ...]:
    """Where the relevant documents stand in a ranked list, from 1, ascending."""
    return tuple(rank for rank, document in enumerate(ranked, 1) if document in relevant)


def information_retrieval(ranks: Sequence[int], relevant: int) -> dict[str, float]:
    """sentence-transformers' measures for one question.

    `ranks` are where its relevant documents were found (`relevant_ranks`), `relevant` is their
    number, at least 1.
    """
    values: dict[str, float] = {}
    for k in CUTOFFS:
        found = bisect_right(ranks, k)
        values[f"Accuracy@{k}"] = float(found > 0)
        values[f"Precision@{k}"] = found / k
        values[f"Recall@{k}"] = found / relevant
    values[f"nDCG@{NDCG_CUTOFF}"] = _dcg(_within(ranks, NDCG_CUTOFF)) / _ideal_dcg(min(relevant, NDCG_CUTOFF))
    values[f"MRR@{MRR_CUTOFF}"] = 1 / ranks[0] if _within(ranks, MRR_CUTOFF) else 0.0
    values[f"MAP@{MAP_CUTOFF}"] = _precisions(_within(ranks, MAP_CUTOFF)) / min(relevant, MAP_CUTOFF)
    return values


def autorag(groups: Sequence[AbstractSet[str]], ranked: Sequence[str]) -> dict[str, float]:
    """AutoRAG's measures for one question and one ranked list without repeats.

    `groups` is AutoRAG's `retrieval_gt`: at least one group, none empty, and of each one document is enough.
    """
    deepest = ranked[: max(AUTORAG_CUTOFFS)]
    hits = relevant_ranks(frozenset().union(*groups), deepest)
    group_hits = [relevant_ranks(group, deepest) for group in groups]
    wanted = sum(len(group) for group in groups)
    values: dict[str, float] = {}
    for k in AUTORAG_CUTOFFS:
        found, top = min(k, len(deepest)), _within(hits, k)
        tops = [_within(ranks, k) for ranks in group_hits]
        recall = sum(bool(ranks) for ranks in tops) / len(groups)
        precision = len(top) / found if found else 0.0
        values[f"F1@{k}"] = 2 * recall * precision / (recall + precision) if top else 0.0
        values[f"Recall@{k}"] = recall
        values[f"Precision@{k}"] = precision
        values[f"mAP@{k}"] = sum(_precisions(ranks) / len(ranks) for ranks in tops if ranks) / len(groups)
        values[f"mRR@{k}"] = sum(1 / ranks[0] for ranks in tops if ranks) / len(groups)
        values[f"nDCG@{k}"] = _dcg(top) / _ideal_dcg(min(wanted, found)) if found else 0.0
    return values


def graded_ndcg(grades: Mapping[str, int], ranked: Sequence[str], k: int = NDCG_CUTOFF) -> float:
    """nDCG@k whose gain is the grade; at least one grade is 1 or more, and grades below 0 count as 0."""
    gains = [max(0, grades.get(document, 0)) for document in ranked[:k]]
    ideal = sorted((grade for grade in grades.values() if grade > 0), reverse=True)[:k]
    return _discounted(gains) / _discounted(ideal)


def paired_permutation_test(
    first: npt.NDArray[np.float64],
    second: npt.NDArray[np.float64],
    *,
    samples: int = 10_000,
    seed: int = 0,
) -> float:
    """The two-sided p-value of the mean difference of two systems on the same n questions, arrays of (n,).

    If the systems were alike, each question's difference might as well have the other sign (Smucker, Allan
    and Carterette 2007, "A Comparison of Statistical Significance Tests for Information Retrieval
    Evaluation"). The observed signs count as one of the samples, so that p is never 0 (Phipson and Smyth
    2010).
    """
    differences = first - second
    differences = differences[differences != 0]
    # Sums that differ only by rounding are equal.
    observed = abs(differences.sum()) - 1e-9 * np.abs(differences).sum()
    generator = np.random.default_rng(seed)
    as_extreme = 0
    for start in range(0, samples, _SAMPLES_AT_ONCE):
        rows = min(_SAMPLES_AT_ONCE, samples - start)
        signs = generator.integers(0, 2, size=(rows, len(differences)), dtype=np.int8) * 2.0 - 1.0
        as_extreme += int(np.count_nonzero(np.abs(signs @ differences) >= observed))
    return (as_extreme + 1) / (samples + 1)


def _within(ranks: Sequence[int], k: int) -> Sequence[int]:
    return ranks[: bisect_right(ranks, k)]


def _precisions(ranks: Sequence[int]) -> float:
    """The sum of the precisions at each hit."""
    return sum(count / rank for count, rank in enumerate(ranks, 1))


def _dcg(ranks: Sequence[int]) -> float:
    """Discounted cumulative gain of hits that gain 1 each."""
    return sum(1 / log2(rank + 1) for rank in ranks)


def _ideal_dcg(hits: int) -> float:
    return _dcg(range(1, hits + 1))


def _discounted(gains: Sequence[int]) -> float:
    return sum(gain / log2(rank + 1) for rank, gain in enumerate(gains, 1))


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


SUFFIX = ".svg"

_FONTS = "'Noto Sans', 'Apple SD Gothic Neo', 'Malgun Gothic', 'Noto Sans CJK KR', 'NanumGothic', sans-serif"
_INK = "#222222"
_NARROW, _WIDE = 0.56, 1.0
"""About the widths of a Latin and a Hangul character, in units of the font's size."""
_WIDTH, _HEIGHT = 720, 440
_LEFT, _RIGHT, _TOP, _BOTTOM = 64, 24, 52, 56
_TICKS = (1, 2, 3, 5, 10, 20, 50, 100)
_COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
_DASHES: tuple[tuple[int, ...], ...] = ((), (8, 4), (2, 3), (10, 3, 2, 3))
_PALE = "#dddddd"
_LEGEND_SIZE, _LEGEND_ROW = 13, 20


@dataclass(frozen=True, slots=True)
class Box:
    x: float
    y: float
    width: float
    height: float
    fill: str = "#ffffff"
    stroke: str = "none"


@dataclass(frozen=True, slots=True)
class Line:
    points: Sequence[tuple[float, float]]
    colour: str = _INK
    width: float = 1.0
    dashes: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class Label:
    """Text on a baseline that goes through (x, y); `upwards` turns it to read from bottom to top."""

    x: float
    y: float
    text: str
    anchor: Literal["start", "middle", "end"] = "start"
    size: int = 13
    bold: bool = False
    upwards: bool = False


@dataclass(frozen=True, slots=True)
class Drawing:
    """`shapes` lie upon each other in their order."""

    title: str
    width: int
    height: int
    shapes: Sequence[Box | Line | Label]


def text_width(text: str, size: int) -> float:
    """About how wide a label is."""
    return size * sum(_WIDE if east_asian_width(character) in "WF" else _NARROW for character in text)


def write_plot(path: Path, reports: Sequence[Report], title: str) -> None:
    """Draw into an SVG file."""
    try:
        path.write_bytes(svg(recall_plot(reports, title)))
    except OSError as error:
        raise UsageError(f"{path} cannot be written: {error.strerror}.") from error


def recall_plot(reports: Sequence[Report], title: str) -> Drawing:
    """The reports are drawn, and listed in the legend, in their order."""
    curves = [recall_curve(report) for report in reports]
    # Round down to a tenth and leave room, so that the lowest curve does not lie on the axis.
    lowest = max(0.0, floor(min((curve[0] for curve in curves), default=0.0) * 10 - 0.5) / 10)
    lines = [
        _curve([(_x(k), _y(recall, lowest)) for k, recall in enumerate(curve, 1)], number)
        for number, curve in enumerate(curves)
    ]
    background = Box(0, 0, _WIDTH, _HEIGHT)
    heading = Label(_LEFT, 30, title, size=16, bold=True)
    legend = _legend([report.system for report in reports])
    return Drawing(title, _WIDTH, _HEIGHT, (background, heading, *_axes(lowest), *lines, *legend))


def _axes(lowest: float) -> Iterator[Line | Label]:
    right, bottom = _WIDTH - _RIGHT, _HEIGHT - _BOTTOM
    for tenth in range(round(lowest * 10), 11):
        y = _y(tenth / 10, lowest)
        yield Line(((_LEFT, y), (right, y)), _PALE)
        yield Label(_LEFT - 8, y + 4, f"{tenth / 10:.1f}", "end")
    for k in _TICKS:
        yield Line(((_x(k), bottom), (_x(k), bottom + 5)))
        yield Label(_x(k), bottom + 20, str(k), "middle")
    yield Line(((_LEFT, bottom), (right, bottom)))
    yield Label((_LEFT + right) / 2, _HEIGHT - 12, "k", "middle")
    yield Label(22, (_TOP + bottom) / 2, "Recall@k", "middle", upwards=True)


def _legend(systems: Sequence[str]) -> Iterator[Box | Line | Label]:
    """In the lower right corner, which rising curves leave free."""
    width = 52 + max((text_width(system, _LEGEND_SIZE) for system in systems), default=0)
    height = _LEGEND_ROW * len(systems) + 8
    left, top = _WIDTH - _RIGHT - width - 10, _HEIGHT - _BOTTOM - height - 10
    yield Box(left, top, width, height, stroke=_PALE)
    for number, system in enumerate(systems):
        y = top + _LEGEND_ROW * number + 14
        yield _curve(((left + 8, y), (left + 36, y)), number)
        yield Label(left + 42, y + 4, system, size=_LEGEND_SIZE)


def _curve(points: Sequence[tuple[float, float]], number: int) -> Line:
    return Line(points, _COLOURS[number % len(_COLOURS)], 2.5, _DASHES[number % len(_DASHES)])


def _x(k: int) -> float:
    return _LEFT + (_WIDTH - _LEFT - _RIGHT) * log(k) / log(DEPTH)


def _y(recall: float, lowest: float) -> float:
    bottom = _HEIGHT - _BOTTOM
    return bottom - (bottom - _TOP) * (recall - lowest) / (1 - lowest)


def svg(drawing: Drawing) -> bytes:
    """The drawing as an SVG file."""
    head = (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {drawing.width} {drawing.height}" '
        f'width="{drawing.width}" height="{drawing.height}" role="img" font-family="{_FONTS}" fill="{_INK}">'
    )
    parts = [
        head,
        f"<title>{escape(_printable(drawing.title))}</title>",
        *map(_svg_shape, drawing.shapes),
        "</svg>",
        "",
    ]
    return "\n".join(parts).encode()


def _svg_shape(shape: Box | Line | Label) -> str:
    if isinstance(shape, Box):
        place = f'x="{shape.x:.1f}" y="{shape.y:.1f}" width="{shape.width:.1f}" height="{shape.height:.1f}"'
        return f'<rect {place} fill="{shape.fill}" stroke="{shape.stroke}"/>'
    if isinstance(shape, Line):
        points = " ".join(f"{x:.1f},{y:.1f}" for x, y in shape.points)
        dashes = " ".join(map(str, shape.dashes)) or "none"
        style = f'stroke="{shape.colour}" stroke-width="{shape.width}" stroke-dasharray="{dashes}"'
        return f'<polyline points="{points}" fill="none" {style} stroke-linejoin="round"/>'
    turned = f' transform="rotate(-90 {shape.x:.1f} {shape.y:.1f})"' if shape.upwards else ""
    bold = ' font-weight="bold"' if shape.bold else ""
    place = f'x="{shape.x:.1f}" y="{shape.y:.1f}" text-anchor="{shape.anchor}" font-size="{shape.size}"'
    return f"<text {place}{bold}{turned}>{escape(_printable(shape.text))}</text>"


def _printable(text: str) -> str:
    """Control characters, which XML forbids, become spaces."""
    return "".join(character if character.isprintable() else " " for character in text)
