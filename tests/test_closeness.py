"""How close together a question stands in passages, and what that adds to scores."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kosearch.records import Passage
from kosearch.searching.closeness import CLOSENESS, LOOKED_AT, WHOLE, WITHIN, Closeness, pairs, together

QUESTION = "부양의무자가 있는 가구는 생계급여를 언제까지 신청해야 합니까"
SYLLABLES = st.text("가나다라마바 .\n", max_size=200)


class Texts:
    """Passages by their texts, as a snapshot gives them: number n is the n-th text."""

    def __init__(self, *texts: str) -> None:
        self.texts = texts
        self.asked: list[int] = []

    def stored(self, ids: np.ndarray) -> list[SimpleNamespace]:
        self.asked += ids.tolist()
        nowhere = Passage(0, 0, 1, 1)
        return [
            SimpleNamespace(id=one, text=self.texts[one], passage=nowhere, document=SimpleNamespace(title=""))
            for one in ids.tolist()
        ]


def added(question: str, texts: list[str], scores: list[float]) -> list[float]:
    closeness = Closeness(question, Texts(*texts))  # type: ignore[arg-type]
    return [float(one) for one in closeness.added(np.arange(len(texts)), np.array(scores))]


def test_of_two_with_the_same_words_the_one_with_them_in_a_sentence_comes_first() -> None:
    words = QUESTION.split()
    apart = f" {'다른 이야기가 길게 이어진다. ' * 8}".join(words)
    first, second = added(QUESTION, [apart, f"{QUESTION}? {'다른 이야기. ' * 50}"], [0.6, 0.6])
    assert first < second == pytest.approx((1 - CLOSENESS) * 0.6 + CLOSENESS)


@given(SYLLABLES, SYLLABLES)
def test_there_are_never_more_pairs_than_the_question_has_nor_fewer_than_a_text_without_layout(
    question: str, text: str
) -> None:
    wanted = pairs(question)
    found = together(wanted, text)
    assert 0 <= found <= len(wanted)
    assert together(wanted, text.replace("\n", "  -- ").replace(" ", "\n· ")) == found
    assert together(wanted, f"{text} {question}"[-WITHIN:]) <= together(wanted, f"{text} {question}")


@given(SYLLABLES, st.lists(st.tuples(SYLLABLES, st.floats(0, 1)), max_size=LOOKED_AT + 10))
def test_scores_stay_within_0_and_1_and_what_is_not_looked_at_stays_in_order_and_behind(
    question: str, passages: list[tuple[str, float]]
) -> None:
    passages.sort(key=lambda one: -one[1])
    texts, scores = [text for text, _ in passages], [score for _, score in passages]
    found = added(question, texts, scores)
    assert all(0 <= one <= 1 for one in found)
    looked_at = sum(score >= scores[LOOKED_AT - 1] for score in scores) if len(scores) > LOOKED_AT else len(scores)
    first, rest = found[:looked_at], found[looked_at:]
    assert rest == sorted(rest, reverse=True)
    assert not rest or max(rest) <= min(first) + 1e-12


@pytest.mark.parametrize("question", ["", "?", "휴", "How many days of leave?", "商法", "ㅇㅊ"])
def test_a_question_without_two_syllables_changes_nothing_and_reads_nothing(question: str) -> None:
    texts = Texts("연차 휴가는 15일이다.")
    scores = np.array([0.7])
    assert Closeness(question, texts).added(np.array([0]), scores).tolist() == [0.7]  # type: ignore[arg-type]
    assert not texts.asked


def test_of_a_short_question_it_counts_little() -> None:
    assert pairs("오후 3시 30분") == ["오후"]
    assert added("오후 3시 30분", ["오후 3시에 연다.", "15:30"], [0.5, 0.5]) == pytest.approx(
        [0.5 + CLOSENESS / WHOLE / 2, 0.5 - CLOSENESS / WHOLE / 2]
    )


def test_passages_with_equal_scores_are_all_looked_at_and_each_is_read_once() -> None:
    texts = Texts(*["연차 휴가는 신청한다."] * (LOOKED_AT + 5))
    closeness = Closeness("연차 휴가는 신청한다", texts)  # type: ignore[arg-type]
    ids = np.arange(LOOKED_AT + 5)
    for _ in range(2):
        assert len(set(closeness.added(ids, np.full(LOOKED_AT + 5, 0.4)).tolist())) == 1
    assert texts.asked == ids.tolist()
