"""Token spans for cutting passages."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from embedding_making import write_model
from hypothesis import given
from hypothesis import strategies as st

from kosearch.embedding import resolve, token_offsets
from kosearch.errors import ModelError
from kosearch.records import TokenOffsets


@pytest.fixture(scope="module")
def offsets(cache_dir: Path) -> TokenOffsets:
    return token_offsets(resolve("bundled", cache_dir=cache_dir))


def test_spans_are_code_points_without_special_tokens(offsets: TokenOffsets) -> None:
    text = "보안🎉취약점은 CVE입니다."
    spans = offsets(text)
    assert "".join(text[start:end] for start, end in spans).replace(" ", "") == text.replace(" ", "")
    assert all(end > start for start, end in spans if (start, end) != (0, 0))


def test_nothing_is_cut_off(offsets: TokenOffsets) -> None:
    assert len(offsets("긴 글 " * 3000)) >= 6000


def test_no_text_has_no_tokens_of_its_own(offsets: TokenOffsets) -> None:
    assert all(start == end for start, end in offsets(""))


@given(text=st.text(st.characters(exclude_categories=[]), max_size=60))
def test_spans_lie_in_the_text_in_order(text: str, offsets: TokenOffsets) -> None:
    spans = offsets(text)  # lone surrogates, which no encoding has, included
    assert all(0 <= start <= end <= len(text) for start, end in spans)
    assert [start for start, _ in spans] == sorted(start for start, _ in spans)


def test_a_broken_tokenizer(tmp_path: Path, cache_dir: Path) -> None:
    content = {"added_tokens": [], "model": {"type": "Nonsense", "vocab": {"a": 0}}}
    model = resolve(str(write_model(tmp_path, {"tokenizer.json": json.dumps(content)})), cache_dir=cache_dir)
    with pytest.raises(ModelError, match=r"tokenizer\.json can't be read"):
        token_offsets(model)("a")
