"""What a snapshot keeps of the passages that it has read: the same passages, each read once."""

from __future__ import annotations

from collections.abc import Sequence
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from index_making import without_processes

import kosearch
from kosearch.index import kept_passages
from kosearch.index.kept_passages import KeptPassages
from kosearch.index.tables import Tables
from kosearch.opening import Opened
from kosearch.searching.closeness import LOOKED_AT


@given(st.lists(st.lists(st.integers(0, 30), max_size=20)))
def test_passages_come_in_the_order_asked_for_however_many_are_kept(asked: list[list[int]]) -> None:
    read: list[int] = []

    def stored(ids: Sequence[int]) -> list[Any]:
        read.extend(ids)
        return [SimpleNamespace(id=number) for number in ids]

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(kept_passages, "MOST", 12)
        kept = KeptPassages(stored)
        for ids in asked:
            read.clear()
            assert [one.id for one in kept.stored(ids)] == ids
            assert sorted(set(read)) == sorted(read)
            read.clear()
            assert [one.id for one in kept.stored(ids)] == ids
            assert not read or len(set(ids)) > 12
            assert len(kept._kept) <= 12


def test_a_question_reads_each_passage_once(tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ranking looks at the first ones, and showing at those and the next."""
    without_processes(monkeypatch)
    monkeypatch.setattr(Opened, "embed_passages", lambda _self, texts, _progress=None: np.eye(384)[: len(texts)])
    monkeypatch.setattr(Opened, "embed_queries", lambda _self, texts: np.eye(384, dtype=np.float32)[: len(texts)])
    for number in range(2 * LOOKED_AT):
        text = f"부양의무자가 있는 가구의 생계급여 신청, {number}번째 안내입니다."
        (tmp_path / f"{number}.md").write_text(text, encoding="utf-8")
    index = kosearch.open()
    index.index(tmp_path)
    read: list[int] = []
    stored = Tables.stored
    monkeypatch.setattr(Tables, "stored", lambda self, ids: (read.extend(ids), stored(self, ids))[1])
    assert len(index.search("부양의무자가 있는 가구의 생계급여", k=5).hits) == 5
    assert len(read) > LOOKED_AT
    assert len(set(read)) == len(read)
