"""The measures, one question at a time, and the test that compares two systems.

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
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Collection, Mapping, Sequence
from collections.abc import Set as AbstractSet
from math import log2

import numpy as np
import numpy.typing as npt

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
