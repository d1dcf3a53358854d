"""Terms as hashes: what is found by them is what stands there, however the passages are hashed together."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kosearch.index import kept_terms
from kosearch.index.kept_terms import KeptTerms

FIELDS = ("body", "above", "forms")
words = st.text(st.characters(codec="utf-8", exclude_categories=["Z", "C"]), min_size=1, max_size=5) | st.sampled_from(
    ["가", "가나", "나가", "a", "aa", "ab", "ba"]
)
passages = st.lists(st.fixed_dictionaries({field: st.lists(words, max_size=6) for field in FIELDS}), max_size=6)


@given(passages, st.lists(words, max_size=4, unique=True), st.integers(1, 60))
def test_terms_are_found_where_they_stand(given_: list[dict[str, list[str]]], others: list[str], at_once: int) -> None:
    asked = {
        field: list(dict.fromkeys([*others, *(word for one in given_[:2] for word in one[field])]))
        for field in FIELDS[1::-1]
    }

    def read(ids: Sequence[int]) -> list[bytes]:
        return ["\n".join(" ".join(given_[number][field]) for field in FIELDS).encode() for number in ids]

    kept = KeptTerms()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(kept_terms, "_AT_ONCE", at_once)
        kept.occurrences(range(len(given_) // 2), asked, FIELDS, read)
        order = list(range(len(given_)))[::-1]
        found = kept.occurrences(order, asked, FIELDS, read)
    assert list(found) == list(asked)
    for field, terms in asked.items():
        lines = [given_[number][field] for number in order]
        assert found[field].lengths.tolist() == list(map(len, lines))
        assert found[field].counts.tolist() == [list(map(line.count, terms)) for line in lines]
        met = zip(found[field].rows, found[field].places, found[field].which, strict=True)
        assert [(row, place, terms[column]) for row, place, column in met] == [
            (row, place, term) for row, line in enumerate(lines) for place, term in enumerate(line) if term in terms
        ]
