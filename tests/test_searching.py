"""Rankings: what one side thinks of passages depends on their scores, and not on their numbers."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from kosearch.searching.ranking import Side

scores = st.lists(st.sampled_from([0.0, 0.5, 1.0, 2.5]), max_size=30)


@given(scores)
def test_a_rank_tells_how_many_are_better(values: list[float]) -> None:
    side = Side.of(np.array(values), np.array(values))
    assert side.ranks.tolist() == [1 + sum(other > value for other in values) for value in values]


@given(scores.flatmap(lambda values: st.tuples(st.just(values), st.permutations(range(len(values))))))
def test_the_order_in_which_passages_were_numbered_does_not_count(given_: tuple[list[float], list[int]]) -> None:
    values, order = given_
    side, rows = Side.of(np.array(values), np.array(values)), np.array(order, dtype=np.intp)
    shuffled = Side.of(side.values[rows], side.scaled[rows])
    assert shuffled.ranks.tolist() == side.taken(rows).ranks.tolist()
    assert all(shuffled.score(row) == side.score(place) for row, place in enumerate(order))
