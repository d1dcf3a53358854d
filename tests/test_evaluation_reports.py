"""Runs against judgements: reports, comparisons, failures, JSON."""

from __future__ import annotations

import json

import numpy as np
import pytest

from kosearch.errors import UsageError
from kosearch.evaluation.measures import (
    DEPTH,
    Expected,
    Failure,
    Family,
    Found,
    as_json,
    autorag,
    compare,
    evaluate,
    failures,
    information_retrieval,
    recall_curve,
)

IR = Family.INFORMATION_RETRIEVAL
QRELS = {"q1": {"a": 1, "b": 1}, "q2": {"c": 1, "d": 0}, "q3": {"e": 1}, "q4": {"a": 0}}
RUN = {"q1": [("x", 0.9), ("b", 0.8), ("a", 0.7)], "q2": [("c", 0.5), ("d", 0.4)], "unjudged": [("a", 1.0)]}


def test_a_report_averages_over_the_questions_that_have_an_answer() -> None:
    report = evaluate(RUN, QRELS, system="hybrid")
    assert report.system == "hybrid"
    assert report.questions == ("q1", "q2", "q3")
    assert report.relevant == (2, 1, 1)
    assert report.ranks == ((2, 3), (1,), ())
    rows = [information_retrieval(*pair) for pair in zip(report.ranks, report.relevant, strict=True)]
    assert report.means[IR] == pytest.approx({name: sum(row[name] for row in rows) / 3 for name in rows[0]})
    rows = [
        autorag([{"a"}, {"b"}], ["x", "b", "a"]),
        autorag([{"c"}], ["c", "d"]),
        autorag([{"e"}], []),
    ]
    assert report.means[Family.AUTORAG] == pytest.approx({name: sum(row[name] for row in rows) / 3 for name in rows[0]})
    assert report.values[IR]["Accuracy@1"].tolist() == [0, 1, 0]


def test_grades_add_a_graded_ndcg_and_leave_the_families_alone() -> None:
    graded = {"q1": {"a": 3, "b": 1}}
    means = evaluate(RUN, graded).means
    assert means[IR].pop("graded nDCG@10") == pytest.approx((1 / np.log2(3) + 3 / np.log2(4)) / (3 + 1 / np.log2(3)))
    assert means == evaluate(RUN, {"q1": {"a": 1, "b": 1}}).means


def test_only_the_first_hundred_count() -> None:
    run = {"q": [(str(rank), -float(rank)) for rank in range(1, 200)]}
    report = evaluate(run, {"q": {"100": 1, "101": 1}})
    assert report.ranks == ((100,),)
    curve = recall_curve(report)
    assert curve.shape == (DEPTH,)
    assert curve.tolist() == [0.0] * 99 + [0.5]


def test_the_recall_curve_is_recall() -> None:
    report = evaluate(RUN, QRELS)
    curve = recall_curve(report)
    for k in (1, 3, 5, 10):
        assert curve[k - 1] == pytest.approx(report.means[IR][f"Recall@{k}"])
    assert curve[-1] == pytest.approx(2 / 3)


def test_faulty_runs_and_judgements_are_usage_errors() -> None:
    with pytest.raises(UsageError, match="twice for question 'q1'"):
        evaluate({"q1": [("a", 1.0), ("a", 0.5)]}, QRELS)
    with pytest.raises(UsageError, match="no document relevant"):
        evaluate(RUN, {"q4": {"a": 0}})


def test_systems_are_compared_question_by_question() -> None:
    qrels = {str(number): {"a": 1} for number in range(40)}
    good = {question: [("a", 1.0)] for question in qrels}
    bad = {question: [("b", 1.0), ("a", 0.5)] for question in qrels} | {"0": [("a", 1.0)]}
    baseline, other = evaluate(bad, qrels, system="dense"), evaluate(good, qrels, system="hybrid")
    (found,) = compare([baseline, other], [(IR, "MRR@10")])
    assert (found.baseline, found.system, found.measure) == ("dense", "hybrid", "MRR@10")
    assert (found.better, found.worse) == (39, 0)
    assert found.baseline_mean == pytest.approx((1 + 39 / 2) / 40)
    assert found.difference == pytest.approx(1 - (1 + 39 / 2) / 40)
    assert found.p_value == 1 / 10_001
    assert compare([baseline]) == () == compare([])
    assert len(compare([baseline, other, baseline])) == 2 * len(compare([baseline, other]))
    with pytest.raises(UsageError, match="the same questions"):
        compare([baseline, evaluate(RUN, QRELS)])


def test_failures_say_what_was_expected_and_found_worst_first() -> None:
    texts = {"q1": "첫째?", "q2": "둘째?", "q3": "셋째?", "q4": "넷째?"}
    assert failures(RUN, QRELS, texts, show=2) == (
        Failure("q3", "셋째?", (Expected("e", None),), ()),
        Failure(
            "q1",
            "첫째?",
            (Expected("a", 3), Expected("b", 2)),
            (Found("x", 1, 0.9, False), Found("b", 2, 0.8, True)),
        ),
    )
    assert [failure.question for failure in failures(RUN, QRELS, texts, k=3)] == ["q3"]


def test_json_holds_everything_and_says_its_version() -> None:
    first, second = evaluate(RUN, QRELS, system="dense"), evaluate(RUN, QRELS, system="hybrid")
    texts = dict.fromkeys(QRELS, "?")
    written = as_json("mini", [first, second], compare([first, second]), {"dense": failures(RUN, QRELS, texts)})
    read = json.loads(json.dumps(written, allow_nan=False))
    assert (read["schema"], read["collection"]) == ("kosearch.eval/1", "mini")
    assert (read["questions"], read["depth"]) == (3, 100)
    assert read["systems"][0]["measures"]["information-retrieval"]["Accuracy@1"] == pytest.approx(1 / 3)
    assert set(read["systems"][0]["measures"]) == {"information-retrieval", "autorag"}
    assert read["systems"][1]["questions"][0] == {"id": "q1", "relevant": 2, "ranks": [2, 3]}
    assert read["comparisons"][0]["p_value"] == 1
    assert read["failures"]["dense"][0]["expected"] == [{"document": "e", "rank": None}]
