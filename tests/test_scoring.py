"""Scoring: BM25 by hand and by its properties, scaling, fusion."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import log
from random import Random

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from kosearch.records import Statistics
from kosearch.scoring import (
    ALONE_MATCH,
    FEW,
    FULL_MATCH,
    K1,
    MOST_LIFT,
    NAMED_MATCH,
    NAMING,
    RARITY,
    REACH,
    B,
    Occurrences,
    bm25,
    confidence,
    dense_weight,
    full_match,
    fuse,
    idf,
    max_idf,
    max_normalise,
    min_max,
    plain_idf,
    proximity,
    scale_both,
)

WORDS = [f"w{i}" for i in range(6)]
ONE_FIELD = {"morphemes": {"w0": 1.0, "w1": 0.5}}
STATISTICS = Statistics(
    passages=10,
    totals={"morphemes": 50, "bigrams": 80},
    frequencies={
        "morphemes": {word: 1 + i for i, word in enumerate(WORDS)},
        "bigrams": {word: 2 + i for i, word in enumerate(WORDS)},
    },
)
passages = st.lists(st.sampled_from([*WORDS, "other", "else"]), max_size=30)
scores = arrays.arrays(
    np.float64, st.integers(1, 40), elements=st.floats(-1e6, 1e6, allow_subnormal=False).map(lambda x: round(x, 6))
)


def where(asked: Sequence[str], terms: Sequence[Sequence[str]]) -> Occurrences:
    """Where the terms that are asked for stand in passages, given as their terms."""
    found = [
        (row, place, asked.index(term))
        for row, each in enumerate(terms)
        for place, term in enumerate(each)
        if term in asked
    ]
    rows, places, which = np.array(found, dtype=np.int64).reshape(-1, 3).T
    return Occurrences.of(asked, np.array(list(map(len, terms)), dtype=np.int64), rows, places, which)


def scored(question: Mapping[str, Mapping[str, float]], terms: Sequence[Mapping[str, Sequence[str]]]) -> list[float]:
    found = {name: where(list(weights), [one.get(name, ()) for one in terms]) for name, weights in question.items()}
    given: list[float] = bm25(question, found, STATISTICS).tolist()
    return given


def one(terms: list[str]) -> float:
    return scored(ONE_FIELD, [{"morphemes": terms}])[0]


def side_by_side(words: Sequence[str], passage: Sequence[str], idfs: Mapping[str, float]) -> float:
    return float(proximity(words, where([*words, "y"], [["가"], passage]), idfs)[1])


def test_bm25_by_hand() -> None:
    # Ten passages of five terms each on the average; this one has four; w0 stands in one passage, w1 in two.
    damping = K1 * (1 - B + B * 4 / 5)
    rare, rarer = log(1 + 8.5 / 2.5), log(1 + 9.5 / 1.5)
    expected = 1.0 * rarer * 2 * (K1 + 1) / (2 + damping)
    expected += 0.5 * rarer * (rare / rarer) ** RARITY * 1 * (K1 + 1) / (1 + damping)
    assert one(["w0", "w1", "w0", "other"]) == pytest.approx(expected)


def test_fields_are_scored_by_themselves_and_added_up() -> None:
    question = {"morphemes": {"w0": 1.0}, "bigrams": {"w0": 0.4}}
    passage = {"morphemes": ["w0"], "bigrams": ["w0", "w1"]}
    parts = [scored({name: weights}, [passage])[0] for name, weights in question.items()]
    assert scored(question, [passage]) == pytest.approx([sum(parts)])


def test_a_passage_without_the_field_or_a_question_without_terms_scores_zero() -> None:
    assert scored(ONE_FIELD, [{}, {"morphemes": []}]) == [0, 0]
    assert scored({"morphemes": {}}, [{"morphemes": ["w0"]}]) == [0]
    assert scored(ONE_FIELD, []) == []


@given(st.lists(passages, max_size=5))
def test_passages_get_what_each_gets_alone_to_the_last_bit(several: list[list[str]]) -> None:
    question = {"morphemes": {"w0": 1.0, "w1": 0.5}, "bigrams": {"w2": 0.3}}
    given = [{"morphemes": terms, "bigrams": terms[::2]} for terms in several]
    assert scored(question, given) == [scored(question, [one])[0] for one in given]


@given(passages)
def test_bm25_is_zero_exactly_where_no_term_is_shared(terms: list[str]) -> None:
    assert (one(terms) > 0) == (not {"w0", "w1"}.isdisjoint(terms))
    assert one(terms) >= 0


@given(passages, st.randoms(use_true_random=False))
def test_the_order_of_terms_does_not_count(terms: list[str], random: Random) -> None:
    shuffled = sorted(terms, key=lambda _: random.random())
    assert one(shuffled) == pytest.approx(one(terms))


@given(passages, st.integers(0, 29))
def test_one_more_of_a_term_in_place_of_another_word_never_hurts(terms: list[str], place: int) -> None:
    if place < len(terms) and terms[place] not in ONE_FIELD["morphemes"]:
        assert one([*terms[:place], "w0", *terms[place + 1 :]]) > one(terms)


@given(passages)
def test_another_word_in_front_never_helps(terms: list[str]) -> None:
    assert one(["other", *terms]) <= one(terms)


@given(passages)
def test_a_term_is_worth_at_most_its_weight_and_idf(terms: list[str]) -> None:
    most = sum(w * idf(STATISTICS.frequencies["morphemes"][t], 10) for t, w in ONE_FIELD["morphemes"].items())
    assert one(terms) <= most * (K1 + 1)


@given(st.integers(0, 1000), st.integers(0, 1000))
def test_idf_is_positive_and_falls_with_frequency(a: int, b: int) -> None:
    low, high = sorted((a, b))
    assert plain_idf(low, 1000) >= plain_idf(high, 1000) > 0
    assert idf(low, 1000) >= idf(high, 1000) > 0


@pytest.mark.parametrize("passages", [0, 1, 2])
def test_statistics_of_hardly_any_passages_are_real_positive_and_in_order(passages: int) -> None:
    idfs = [idf(count, passages) for count in range(passages + 1)]
    assert all(isinstance(one, float) and one > 0 for one in (*idfs, max_idf(passages)))
    assert idfs == sorted(idfs, reverse=True)


@given(st.integers(0, 2), st.lists(st.tuples(st.floats(-1, 1), st.floats(0, 500)), max_size=2))
def test_hardly_any_passages_are_scaled_like_many(passages: int, pairs: list[tuple[float, float]]) -> None:
    cosines, lexical = (np.array([pair[side] for pair in pairs]) for side in (0, 1))
    for side in scale_both(cosines, lexical, passages):
        assert side.dtype == np.float64
        assert ((side >= 0) & (side <= 1)).all()


def test_a_word_of_one_passage_is_worth_its_idf_and_others_less() -> None:
    assert idf(1, 1000) == pytest.approx(plain_idf(1, 1000))
    assert idf(30, 1000) < plain_idf(30, 1000)


ASKED = ["가", "나", "다", "라"]
IDFS = {"가": 1.0, "나": 2.0, "다": 4.0, "라": 8.0}


@pytest.mark.parametrize(
    ("passage", "expected"),
    [
        ("가 나", 1.5),
        ("나 가", 1.5),
        ("가 x 나", 1.5),
        ("가 x x 나", 0),
        ("가 다", 0),
        ("가 다 나", 1.5 + 3),
        ("가 나 다 x 가 나", 1.5 + 3),
        ("라 x x 가 나 x x 라 다", 1.5 + 6),
        ("가 가", 0),
        ("x", 0),
        ("", 0),
    ],
)
def test_words_side_by_side(passage: str, expected: float) -> None:
    assert side_by_side(ASKED, passage.split(), IDFS) == pytest.approx(expected)
    assert side_by_side([], passage.split(), {}) == 0


@given(st.lists(st.sampled_from([*ASKED, "x", "y"]), max_size=20))
def test_side_by_side_is_symmetric_and_bounded(passage: list[str]) -> None:
    found = side_by_side(ASKED, passage, IDFS)
    assert found == side_by_side(ASKED, passage[::-1], IDFS) == side_by_side(ASKED[::-1], passage, IDFS)
    assert 0 <= found <= sum(IDFS.values())
    spread = [word for term in passage for word in (term, *["x"] * REACH)]
    assert side_by_side(ASKED, spread, IDFS) == 0


texts = st.lists(st.sampled_from([*ASKED, "x", "y"]), max_size=12)


@given(st.lists(texts, max_size=5), st.lists(st.sampled_from(ASKED), min_size=1, max_size=3))
def test_passages_have_what_stands_in_them_side_by_side(passages: list[list[str]], expression: list[str]) -> None:
    wanted = f" {' '.join(expression)} "
    assert where(ASKED, passages).have(expression).tolist() == [wanted in f" {' '.join(one)} " for one in passages]


@given(st.lists(texts, max_size=5))
def test_pairs_side_by_side_are_those_that_one_sees(passages: list[list[str]]) -> None:
    near = [
        {
            min(ASKED.index(a), ASKED.index(b))
            for place, a in enumerate(one)
            for b in one[place + 1 : place + 1 + REACH]
            if a in ASKED and b in ASKED and abs(ASKED.index(a) - ASKED.index(b)) == 1
        }
        for one in passages
    ]
    expected = [sum((IDFS[ASKED[rank]] + IDFS[ASKED[rank + 1]]) / 2 for rank in each) for each in near]
    assert proximity(ASKED, where([*ASKED, "x"], passages), IDFS).tolist() == pytest.approx(expected)


@given(scores)
def test_scaled_scores_reach_from_zero_to_one_in_the_same_order(
    raw: np.ndarray[tuple[int], np.dtype[np.float64]],
) -> None:
    scaled = min_max(raw)
    assert scaled.shape == raw.shape
    assert scaled.min() >= 0
    assert scaled.max() == 1
    order = np.argsort(raw, kind="stable")
    assert (np.diff(scaled[order]) >= 0).all()


@given(scores, st.floats(0.5, 100), st.floats(-100, 100))
def test_scaling_forgets_unit_and_origin(
    raw: np.ndarray[tuple[int], np.dtype[np.float64]], factor: float, shift: float
) -> None:
    np.testing.assert_allclose(min_max(raw * factor + shift), min_max(raw), atol=1e-6)


def test_equal_scores_scale_to_one_and_none_to_none() -> None:
    assert min_max(np.array([0.3, 0.3])).tolist() == [1, 1]
    assert min_max(np.zeros(0)).tolist() == []


@given(st.floats(0, 1), st.lists(st.tuples(st.floats(0, 1), st.floats(0, 1)), min_size=1))
def test_a_fused_score_lies_between_the_two_sides(weight: float, pairs: list[tuple[float, float]]) -> None:
    dense, lexical = np.array(pairs).T
    fused = fuse(dense, lexical, weight)
    assert (fused >= np.minimum(dense, lexical) - 1e-12).all()
    assert (fused <= np.maximum(dense, lexical) + 1e-12).all()


def test_the_weight_is_the_share_of_dense() -> None:
    dense, lexical = np.array([1.0, 0.0]), np.array([0.0, 1.0])
    assert fuse(dense, lexical, 1).tolist() == dense.tolist()
    assert fuse(dense, lexical, 0).tolist() == lexical.tolist()
    assert fuse(dense, lexical, 0.25).tolist() == [0.25, 0.75]


PASSAGES = 1000
FULL = FULL_MATCH * plain_idf(1, PASSAGES)


def test_a_weak_best_match_does_not_scale_to_one() -> None:
    dense, lexical = scale_both(np.array([0.8, 1.0, 0.9]), np.array([0.0, FULL / 4, FULL / 2]), PASSAGES)
    assert dense == pytest.approx([0, 1, 0.5])
    assert lexical == pytest.approx([0, 0.25, 0.5])


def test_the_best_of_either_side_reaches_one() -> None:
    dense, lexical = scale_both(np.array([0.8, 0.9, 0.85]), np.array([0.0, FULL, 2 * FULL]), PASSAGES)
    assert dense == pytest.approx([0, 0.25, 0.125])
    assert lexical == pytest.approx([0, 0.5, 1])
    dense, lexical = scale_both(np.array([0.8, 0.9, 0.85]), np.array([0.0, FULL / 8, FULL / 4]), PASSAGES)
    assert dense == pytest.approx([0, 1, 0.5])
    assert lexical == pytest.approx([0, 0.25, 0.5])


def test_both_scales_of_equal_scores_and_of_none() -> None:
    dense, lexical = scale_both(np.array([0.5, 0.5]), np.array([FULL / 4, FULL / 4]), PASSAGES)
    assert dense.tolist() == [1, 1]
    assert lexical == pytest.approx([0.25, 0.25])
    assert [side.tolist() for side in scale_both(np.array([]), np.array([]), PASSAGES)] == [[], []]


@given(st.lists(st.floats(0, 500), min_size=1), st.floats(0, 500))
def test_a_lexical_score_does_not_depend_on_what_else_was_found(scores: list[float], other: float) -> None:
    """Beside no better one. Which of the worst are found depends on the index's history."""
    alone, beside = max_normalise(np.array(scores)), max_normalise(np.array([*scores, min(other, max(scores))]))
    assert alone.tolist() == beside[:-1].tolist()
    assert alone.max() in (0, 1)


@given(st.lists(st.tuples(st.floats(-1, 1), st.floats(0, 500)), min_size=1), st.integers(1, 10**7))
def test_both_sides_lie_in_zero_to_one_and_keep_their_order(pairs: list[tuple[float, float]], passages: int) -> None:
    sides = np.array(pairs).T
    assert max(side.max() for side in scale_both(sides[0], sides[1], passages)) == 1
    for raw, scaled in zip(sides, scale_both(sides[0], sides[1], passages), strict=True):
        assert ((scaled >= 0) & (scaled <= 1)).all()
        assert (np.diff(scaled[np.argsort(raw, kind="stable")]) >= 0).all()


@given(st.lists(st.tuples(st.floats(0.5, 1), st.floats(0, 500)), min_size=1), st.randoms(use_true_random=False))
def test_the_order_of_candidates_does_not_count(pairs: list[tuple[float, float]], random: Random) -> None:
    shuffled = list(range(len(pairs)))
    random.shuffle(shuffled)
    sides = np.array(pairs).T
    for side, again in zip(
        scale_both(sides[0], sides[1], PASSAGES),
        scale_both(sides[0][shuffled], sides[1][shuffled], PASSAGES),
        strict=True,
    ):
        np.testing.assert_array_equal(side[shuffled], again)


def test_a_question_that_names_something_wants_its_words_only() -> None:
    assert full_match([NAMING]) == full_match([400]) == NAMED_MATCH
    assert full_match([50, NAMING, 900]) == 3 * NAMED_MATCH
    assert full_match([50, 60], named=True) == 2 * NAMED_MATCH
    assert full_match([50, 60], alone=True) == 2 * ALONE_MATCH
    assert full_match([50, NAMING + 1, 0]) == FULL_MATCH  # a word that no passage has names nothing here
    assert full_match([1] * 20) == FULL_MATCH
    assert full_match([], alone=True) == ALONE_MATCH


@given(st.floats(0, 1), st.floats(0, 2))
def test_meaning_weighs_more_where_words_cover_little(weight: float, covered: float) -> None:
    lifted = dense_weight(weight, covered)
    assert weight <= lifted <= min(1, weight + MOST_LIFT)
    assert lifted >= dense_weight(weight, covered + 0.1)


def test_the_weight_stays_where_words_cover_the_question_or_one_side_was_asked_for() -> None:
    assert dense_weight(0.5, 0.9) == 0.5
    assert dense_weight(0.5, 0.35) == pytest.approx(0.7)
    assert (dense_weight(0.0, 0.0), dense_weight(1.0, 0.0)) == (0.0, 1.0)


@given(st.integers(FEW, 60).flatmap(lambda n: st.tuples(*[st.lists(st.floats(0, 1), min_size=n, max_size=n)] * 2)))
def test_confidence_grows_with_either_side(sides: tuple[list[float], list[float]]) -> None:
    cosines, covered = map(np.array, sides)
    sure = confidence(cosines, covered)
    assert ((sure >= 0) & (sure <= 1)).all()
    assert (confidence(cosines, np.minimum(covered + 0.1, 1)) >= sure).all()
    assert (np.diff(confidence(np.sort(cosines), np.full(len(cosines), 0.5))) >= 0).all()


def test_confidence_without_a_side_and_among_few() -> None:
    near, far = np.array([0.95, *[0.8] * FEW]), np.array([0.82, *[0.8] * FEW])
    nothing = np.zeros(FEW + 1)
    assert confidence(near, None)[0] > 0.5 > confidence(far, None)[0]
    assert confidence(far, nothing)[0] < 0.05  # by meaning alone, and not near
    assert confidence(None, np.array([1.0, 0.1])).round(2).tolist() == [1.0, 0.02]
    # Of a handful of passages the farthest may be about the same thing: the words decide.
    assert confidence(np.array([0.8]), np.array([0.9]))[0] > 0.5
    assert confidence(None, None).tolist() == []
