"""What client and resident say to each other: nothing is lost, and nothing is unbounded."""

from __future__ import annotations

import json
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kosearch.records import Answer, Hit, Passage, Query, Score
from kosearch.resident import wire

TEXT = st.text(st.characters(), max_size=20) | st.sampled_from(["한글 \u202e\x1b[31m", "\ud800\udc80", "\udcff", "\0"])
NUMBER = st.integers(0, 2**62)
SCORES = st.builds(
    Score,
    value=st.floats(allow_nan=False),
    scaled=st.floats(0, 1),
    rank=st.integers(1, 1000),
)
PASSAGES = st.builds(
    Passage,
    start=NUMBER,
    end=NUMBER,
    line_start=NUMBER,
    line_end=NUMBER,
    page=st.none() | NUMBER,
    page_label=TEXT,
    headings=st.lists(TEXT, max_size=3).map(tuple),
)
HITS = st.builds(
    Hit,
    rank=NUMBER,
    score=st.floats(allow_nan=False),
    dense=st.none() | SCORES,
    lexical=st.none() | SCORES,
    document_id=NUMBER,
    document_hash=TEXT,
    path=TEXT,
    raw=st.binary(max_size=20),
    member=TEXT,
    kind=TEXT,
    title=TEXT,
    metadata=st.dictionaries(TEXT, TEXT, max_size=3),
    passage=PASSAGES,
    text=TEXT,
    best=st.tuples(NUMBER, NUMBER),
    state=st.sampled_from(["current", "changed", "gone"]),
    also=st.lists(TEXT, max_size=3).map(tuple),
    more=NUMBER,
    before=TEXT,
    after=TEXT,
)
ANSWERS = st.builds(
    Answer,
    question=TEXT,
    mode=TEXT,
    hits=st.lists(HITS, max_size=2).map(tuple),
    generation=NUMBER,
    warnings=st.lists(TEXT, max_size=2).map(tuple),
    terms=st.lists(st.tuples(TEXT, NUMBER), max_size=3).map(tuple),
)
QUERIES = st.builds(
    Query,
    text=TEXT,
    k=NUMBER,
    mode=TEXT,
    weight=st.floats(0, 1),
    min_score=st.none() | st.floats(-1, 1),
    paths=st.lists(TEXT, max_size=3).map(tuple),
    kinds=st.lists(TEXT, max_size=3).map(tuple),
    after=st.none() | TEXT,
    before=st.none() | TEXT,
    group=st.booleans(),
    context=NUMBER,
)


def sent(message: dict[str, object]) -> dict[str, object]:
    """The message as the other side reads it."""
    framed = wire.frame(message, wire.MAX_REPLY)
    head, body = framed[: wire.HEAD.size], framed[wire.HEAD.size :]
    assert wire.length(head, wire.MAX_REPLY) == len(body)
    return wire.message(body)


@given(ANSWERS)
def test_an_answer_arrives_as_it_was(answer: Answer) -> None:
    received = wire.answer(sent({"answers": [answer]})["answers"][0])  # type: ignore[index]
    assert received == answer
    assert repr(received) == repr(answer)  # 1 is not 1.0, and a list no tuple


@given(QUERIES)
def test_a_query_arrives_as_it_was(query: Query) -> None:
    received = wire.query(sent({"queries": [query]})["queries"][0])  # type: ignore[index]
    assert repr(received) == repr(query)


def test_a_record_with_another_field_is_refused() -> None:
    with pytest.raises(TypeError):
        wire.query({"text": "", "paths": [], "kinds": [], "colour": "red"})


def test_what_is_too_long_is_not_sent_and_not_received() -> None:
    with pytest.raises(wire.TooLong):
        wire.frame({"text": "x" * 100}, 50)
    with pytest.raises(wire.TooLong):
        wire.length(b"\xff\xff\xff\xff", wire.MAX_REPLY)


@pytest.mark.parametrize("body", [b"", b"[]", b"1", b"{", b"\xff\xfe", b'{"a": ' * 3, b"[" * 100_000])
def test_nonsense_is_one_kind_of_error(body: bytes) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 - whatever it says
        wire.message(body)


@given(st.binary(max_size=200))
def test_any_bytes_are_an_object_or_that_error(body: bytes) -> None:
    with suppress(ValueError):
        assert isinstance(wire.message(body), dict)


def test_what_is_no_record_is_not_sent() -> None:
    with pytest.raises(TypeError, match="object"):
        wire.frame({"thing": object()}, 1000)
    assert json.loads(wire.frame({"a": 1}, 100)[4:]) == {"a": 1}
