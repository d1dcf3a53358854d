"""The measures: by hand, by definition, against ir_measures, and against the published table."""

from __future__ import annotations

from fractions import Fraction
from itertools import product
from math import log2

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kosearch.evaluation.measures import (
    AUTORAG_CUTOFFS,
    autorag,
    graded_ndcg,
    information_retrieval,
    paired_permutation_test,
    relevant_ranks,
)

documents = st.integers(0, 70).map(str)
ranked_lists = st.lists(documents, unique=True, max_size=60)
groups_of_ids = st.lists(st.frozensets(documents, min_size=1, max_size=4), min_size=1, max_size=4)


def test_information_retrieval_by_hand() -> None:
    # Three documents are relevant; two are found, at ranks 2 and 7.
    values = information_retrieval((2, 7), 3)
    assert values == pytest.approx(
        {
            "Accuracy@1": 0,
            "Accuracy@3": 1,
            "Accuracy@5": 1,
            "Accuracy@10": 1,
            "Precision@1": 0,
            "Precision@3": 1 / 3,
            "Precision@5": 1 / 5,
            "Precision@10": 2 / 10,
            "Recall@1": 0,
            "Recall@3": 1 / 3,
            "Recall@5": 1 / 3,
            "Recall@10": 2 / 3,
            "nDCG@10": (1 / log2(3) + 1 / log2(8)) / (1 + 1 / log2(3) + 1 / log2(4)),
            "MRR@10": 1 / 2,
            "MAP@100": (1 / 2 + 2 / 7) / 3,
        }
    )


def test_ranks_beyond_a_cutoff_do_not_count() -> None:
    assert not any(value for name, value in information_retrieval((11,), 1).items() if name != "MAP@100")
    assert information_retrieval((11,), 1)["MAP@100"] == 1 / 11
    assert not any(information_retrieval((101,), 1).values())
    assert information_retrieval(range(1, 101), 200)["MAP@100"] == pytest.approx(1)


def test_autorag_by_hand() -> None:
    # The example of AutoRAG's documentation: one of test-1 and test-2, and test-3, are wanted.
    values = autorag([{"test-1", "test-2"}, {"test-3"}], ["test-1", "pred-1", "test-2", "pred-3"])
    for k in (5, 10, 50):  # four were found, so that deeper cutoffs say the same
        assert values[f"Precision@{k}"] == 2 / 4
        assert values[f"Recall@{k}"] == 1 / 2
        assert values[f"F1@{k}"] == 1 / 2
        assert values[f"mRR@{k}"] == (1 / 1 + 0) / 2
        assert values[f"mAP@{k}"] == pytest.approx(((1 / 1 + 2 / 3) / 2 + 0) / 2)
        assert values[f"nDCG@{k}"] == pytest.approx((1 + 1 / log2(4)) / (1 + 1 / log2(3) + 1 / log2(4)))
    assert values["Precision@3"] == 2 / 3
    assert values["mAP@1"] == values["mRR@1"] == values["Recall@1"] == 1 / 2
    assert values["nDCG@1"] == 1


def autorag_by_definition(groups: list[frozenset[str]], ranked: list[str]) -> dict[str, float]:
    """AutoRAG's definitions spelt out over labels of 0 and 1, with no thought for speed."""
    values: dict[str, float] = {}
    for k in AUTORAG_CUTOFFS:
        top = ranked[:k]
        correct = [int(any(document in group for group in groups)) for document in top]
        reached = [int(any(document in group for document in top)) for group in groups]
        precision = sum(correct) / len(top) if top else 0
        recall = sum(reached) / len(groups)
        ideal = sorted([1] * sum(map(len, groups)) + [0] * len(top), reverse=True)[: len(top)]
        gain = [label / log2(place + 2) for place, label in enumerate(correct)]
        best = [label / log2(place + 2) for place, label in enumerate(ideal)]
        reciprocal, average = [], []
        for group in groups:
            labels = [int(document in group) for document in top]
            reciprocal.append(1 / (labels.index(1) + 1) if 1 in labels else 0)
            precisions = [sum(labels[: i + 1]) / (i + 1) for i, label in enumerate(labels) if label]
            average.append(sum(precisions) / len(precisions) if precisions else 0)
        values |= {
            f"F1@{k}": 2 * precision * recall / (precision + recall) if precision + recall else 0,
            f"Recall@{k}": recall,
            f"Precision@{k}": precision,
            f"mAP@{k}": sum(average) / len(groups),
            f"mRR@{k}": sum(reciprocal) / len(groups),
            f"nDCG@{k}": sum(gain) / sum(best) if best else 0,
        }
    return values


@given(groups=groups_of_ids, ranked=ranked_lists)
def test_autorag_is_what_its_definitions_say(groups: list[frozenset[str]], ranked: list[str]) -> None:
    assert autorag(groups, ranked) == pytest.approx(autorag_by_definition(groups, ranked), abs=1e-12)


@given(relevant=st.frozensets(documents, min_size=1, max_size=20), ranked=ranked_lists)
def test_measures_lie_between_0_and_1_and_do_not_fall_with_k_where_they_may_not(
    relevant: frozenset[str], ranked: list[str]
) -> None:
    first = information_retrieval(relevant_ranks(relevant, ranked), len(relevant))
    second = autorag([{document} for document in relevant], ranked)
    assert all(0 <= value <= 1 + 1e-12 for values in (first, second) for value in values.values())
    for values, cutoffs in ((first, (1, 3, 5, 10)), (second, AUTORAG_CUTOFFS)):
        recalls = [values[f"Recall@{k}"] for k in cutoffs]
        assert recalls == sorted(recalls)
    # With one document to a group, both families mean the same by recall.
    assert all(first[f"Recall@{k}"] == pytest.approx(second[f"Recall@{k}"]) for k in (1, 3, 5, 10))


@given(groups=groups_of_ids, ranked=ranked_lists, data=st.data())
def test_the_order_within_the_first_k_matters_only_to_rank_aware_measures(
    groups: list[frozenset[str]], ranked: list[str], data: st.DataObject
) -> None:
    k = data.draw(st.sampled_from(AUTORAG_CUTOFFS))
    shuffled = data.draw(st.permutations(ranked[:k])) + ranked[k:]
    before, after = autorag(groups, ranked), autorag(data.draw(st.permutations(groups)), shuffled)
    for measure in ("F1", "Recall", "Precision"):
        assert before[f"{measure}@{k}"] == pytest.approx(after[f"{measure}@{k}"])
    relevant = frozenset().union(*groups)
    first, second = (
        information_retrieval(relevant_ranks(relevant, some), len(relevant)) for some in (ranked, shuffled)
    )
    for measure in ("Accuracy", "Precision", "Recall") if k != 50 else ():
        assert first[f"{measure}@{k}"] == second[f"{measure}@{k}"]


@given(relevant=st.frozensets(documents, min_size=1, max_size=5), ranked=ranked_lists)
def test_moving_a_relevant_document_up_never_lowers_a_measure(relevant: frozenset[str], ranked: list[str]) -> None:
    ranks = relevant_ranks(relevant, ranked)
    if not ranks or ranks[-1] == len(ranks):
        return
    last = ranks[-1]
    better = [*ranked[: last - 2], ranked[last - 1], ranked[last - 2], *ranked[last:]]
    before = information_retrieval(ranks, len(relevant)) | autorag([relevant], ranked)
    after = information_retrieval(relevant_ranks(relevant, better), len(relevant)) | autorag([relevant], better)
    # AutoRAG's mAP divides by the hits within k, so that one more hit may lower it.
    assert all(after[name] >= before[name] - 1e-12 for name in before if not name.startswith("mAP"))


@given(
    qrels=st.dictionaries(documents, st.integers(-1, 4), min_size=1, max_size=30).filter(
        lambda grades: max(grades.values()) > 0
    ),
    ranked=ranked_lists.filter(bool),
)
@settings(max_examples=60, deadline=None)
def test_ir_measures_agrees(qrels: dict[str, int], ranked: list[str]) -> None:
    ir = pytest.importorskip("ir_measures")
    ours = {
        **{f"Accuracy@{k}": ir.Success @ k for k in (1, 3, 5, 10)},
        **{f"Precision@{k}": ir.P @ k for k in (1, 3, 5, 10)},
        **{f"Recall@{k}": ir.R @ k for k in (1, 3, 5, 10)},
        "MRR@10": ir.RR @ 10,
        "MAP@100": ir.AP @ 100,
    }
    run = {"q": {document: float(-rank) for rank, document in enumerate(ranked)}}
    relevant = {document for document, grade in qrels.items() if grade > 0}
    values = information_retrieval(relevant_ranks(relevant, ranked), len(relevant))
    theirs = ir.calc_aggregate([*ours.values(), ir.nDCG @ 10], {"q": qrels}, run)
    binary = {document: int(grade > 0) for document, grade in qrels.items()}
    assert {name: values[name] for name in ours} == pytest.approx(
        {name: theirs[measure] for name, measure in ours.items()}, abs=1e-9
    )
    assert graded_ndcg(qrels, ranked) == pytest.approx(theirs[ir.nDCG @ 10], abs=1e-9)
    assert values["nDCG@10"] == pytest.approx(
        ir.calc_aggregate([ir.nDCG @ 10], {"q": binary}, run)[ir.nDCG @ 10], abs=1e-9
    )


QUESTIONS = 114


@pytest.mark.parametrize(
    ("recall1", "recall3", "ndcg3", "map3"),
    [
        pytest.param(".6930", ".8772", ".4757", ".3406", id="KoE5"),
        pytest.param(".6579", ".8421", ".4743", ".3509", id="Upstage"),
        pytest.param(".7193", ".8860", ".4778", ".3406", id="KU-HIAI-ONTHEIT-large-v1.1"),
    ],
)
def test_the_published_table_was_computed_on_lists_sorted_worst_first(
    recall1: str, recall3: str, ndcg3: str, map3: str
) -> None:
    """AutoRAG's Korean benchmark: 114 questions with one ground truth each.

    Recall@1 and Recall@3 say how many answers stand first, and how many second or third. However the latter
    are split, lists best first cannot give the published nDCG@3 and mAP@3; worst first, exactly one split
    gives both.
    """
    first, within = (round(float(recall) * QUESTIONS) for recall in (recall1, recall3))

    def means(second: int, *, worst_first: bool) -> tuple[str, str]:
        counts = {1: first, 2: second, 3: within - first - second}
        sums = {"nDCG@3": 0.0, "mAP@3": 0.0}
        for rank, count in counts.items():
            ranked = ["x", "y", "z"]
            ranked[rank - 1] = "answer"
            values = autorag([{"answer"}], ranked[::-1] if worst_first else ranked)
            assert values["mAP@3"] == values["mRR@3"]
            for measure in sums:
                sums[measure] += count * values[measure]
        return tuple(f"{total / QUESTIONS:.4f}".lstrip("0") for total in sums.values())  # type: ignore[return-value]

    splits = range(within - first + 1)
    assert [(ndcg3, map3) for second in splits if means(second, worst_first=False) == (ndcg3, map3)] == []
    assert len([second for second in splits if means(second, worst_first=True) == (ndcg3, map3)]) == 1
    # And no list best first comes near: an answer that stands first gains 1.
    assert min(means(second, worst_first=False) for second in splits)[0] > recall1


def test_the_permutation_test_agrees_with_every_permutation() -> None:
    first = np.array([0.9, 0.4, 1.0, 0.5, 0.3, 0.8, 0.6, 0.2])
    second = np.array([0.5, 0.5, 0.7, 0.5, 0.1, 0.4, 0.6, 0.3])
    differences = [Fraction(str(a)) - Fraction(str(b)) for a, b in zip(first, second, strict=True)]
    sums = [
        abs(sum(s * d for s, d in zip(signs, differences, strict=True)))
        for signs in product((1, -1), repeat=len(differences))
    ]
    exact = sum(total >= abs(sum(differences)) for total in sums) / len(sums)
    assert paired_permutation_test(first, second) == pytest.approx(exact, abs=0.015)


def test_the_permutation_test_is_sane() -> None:
    generator = np.random.default_rng(1)
    first = generator.random(500)
    worse = first - generator.random(500) * 0.1
    assert paired_permutation_test(first, first) == 1
    assert paired_permutation_test(first, worse) == 1 / 10_001
    assert paired_permutation_test(first, worse) == paired_permutation_test(worse, first)
    assert paired_permutation_test(np.array([1.0]), np.array([0.0])) == 1
    noise = [paired_permutation_test(generator.random(60), generator.random(60), samples=500) for _ in range(200)]
    # Alike systems differ "significantly" about as often as the level says.
    assert 0.01 <= float(np.mean(np.array(noise) < 0.05)) <= 0.1
