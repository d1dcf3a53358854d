"""What Tantivy finds is exactly the passages with the most points, however few of the terms are looked at first."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kosearch.index import lexical
from kosearch.index.files import Manifest
from kosearch.index.lexical import Lexical, write_lexical

FIELDS = ("body", "heading")
PASSAGES = 3000


@pytest.fixture(scope="module")
def texts() -> list[tuple[list[str], list[str]]]:
    """Words of Zipf's frequencies, the commonest in nearly all passages."""
    chance = np.random.default_rng(3)
    shares = 1 / np.arange(1, 400)
    words = chance.choice(399, (PASSAGES, 12), p=shares / shares.sum())
    return [([f"w{one}" for one in row[:10]], [f"w{one}" for one in row[10:]]) for row in words.tolist()]


@pytest.fixture(scope="module")
def index(texts: list[tuple[list[str], list[str]]], tmp_path_factory: pytest.TempPathFactory) -> Lexical:
    folder = tmp_path_factory.mktemp("lexical")
    rows = ((number, number // 3, list(map(" ".join, lines))) for number, lines in enumerate(texts))
    write_lexical(None, folder, FIELDS, np.zeros(0, np.int64), rows)
    return Lexical(folder, Manifest({}, 4), FIELDS, check=lambda _: None)


questions = st.dictionaries(
    st.sampled_from(FIELDS),
    st.dictionaries(st.integers(0, 420).map(lambda number: f"w{number}"), st.integers(1, 9999), min_size=1, max_size=9),
    min_size=1,
)


@settings(max_examples=300, deadline=None)
@given(points=questions, k=st.integers(1, 60), ordered=st.booleans())
def test_the_best_are_found(
    texts: list[tuple[list[str], list[str]]],
    index: Lexical,
    points: Mapping[str, Mapping[str, int]],
    k: int,
    ordered: bool,
) -> None:
    if ordered:  # as questions are: the rarer, the more it counts
        points = {field: {term: 50 + 20 * int(term[1:]) for term in terms} for field, terms in points.items()}
    scores = np.array(
        [
            sum(
                value
                for field, stored in zip(FIELDS, lines, strict=True)
                for term, value in points.get(field, {}).items()
                if term in stored
            )
            for lines in texts
        ]
    )
    having = np.sort(scores[scores > 0])[::-1]
    above, equal = index.search(points, k)
    last = having[min(k, len(having)) - 1] if len(having) else 0
    assert above.tolist() == np.flatnonzero(scores > last).tolist()
    assert equal.tolist() == (np.flatnonzero(scores == last).tolist() if last else [])


def test_frequent_terms_are_left_out_of_the_first_look(index: Lexical, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[int] = []
    query = Lexical._query

    def counted(self: Lexical, terms: list[lexical._Term], rare: int, *narrowing: object) -> object:
        asked.append(rare)
        return query(self, terms, rare, *narrowing)  # type: ignore[arg-type]

    monkeypatch.setattr(Lexical, "_query", counted)
    index.search({"body": {"w1": 1, "w2": 2, "w40": 100, "w50": 100, "w60": 100}}, 3)
    assert asked[0] == 1, "w60 is in sixty passages and more"
    assert max(asked[1:]) <= 3, "what has neither w40, w50 nor w60 has no more than 3 points"


def test_a_question_of_thousands_of_words_is_answered(index: Lexical) -> None:
    """A pasted page: one query in another for each word took seconds, and ended the process from a thousand on."""
    points = {
        "body": {f"w{number}": 1 for number in range(5000)},
        "heading": {f"w{number}": 1 for number in range(400)},
    }
    above, equal = index.search(points, 1)
    assert len(above) == 0
    assert len(equal) > 0
