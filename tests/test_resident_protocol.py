"""What client and resident say to each other: nothing is lost, and nothing is unbounded."""

from __future__ import annotations

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kosearch import resident as client
from kosearch.resident import protocol

TEXT = st.text(st.characters(), max_size=20) | st.sampled_from(["한글 \u202e\x1b[31m", "\ud800\udc80", "\udcff", "\0"])
REQUESTS = st.fixed_dictionaries(
    {
        "argv": st.lists(TEXT, max_size=4),
        "environ": st.dictionaries(TEXT, TEXT, max_size=3),
        "terminal": st.booleans(),
        "questions": st.none() | st.lists(TEXT, max_size=3),
        "seconds": st.floats(allow_nan=False, allow_infinity=False) | st.integers(0, 2**62),
    }
)


def sent(message: dict[str, object]) -> dict[str, object]:
    """The message as the other side reads it."""
    framed = protocol.frame(message, protocol.MAX_REPLY)
    head, body = framed[: protocol.HEAD], framed[protocol.HEAD :]
    assert protocol.length(head, protocol.MAX_REPLY) == len(body)
    return protocol.message(body)


@given(REQUESTS)
def test_a_request_arrives_as_it_was(request: dict[str, object]) -> None:
    received = sent(request)
    assert received == request
    assert repr(received) == repr(request)  # 1 is not 1.0


@given(st.binary(max_size=200))
def test_what_was_printed_arrives_byte_by_byte(printed: bytes) -> None:
    assert client.printed(sent({"stdout": printed, "stderr": b"", "code": 1})) == (printed, b"", 1)


@pytest.mark.parametrize("reply", [{}, {"stdout": b"", "stderr": b""}, {"stdout": "", "stderr": b"", "code": 0}])
def test_what_nothing_printed_is_no_output(reply: dict[str, object]) -> None:
    with pytest.raises(ValueError, match="no command's output"):
        client.printed(reply)


def test_what_is_too_long_is_not_sent_and_not_received() -> None:
    with pytest.raises(protocol.TooLong):
        protocol.frame({"text": "x" * 100}, 50)
    with pytest.raises(protocol.TooLong):
        protocol.length(b"\xff\xff\xff\xff", protocol.MAX_REPLY)


NONSENSE = [
    b"",
    b"0:]",
    b"1:1#",
    b"0:",
    b"-1:}",
    b"\xff\xfe",
    b"9:0:}",
    b"0:}0:}",
    b'4:1:a"}',  # a name without a value
    b"6:0:]0:~}",  # one that is no text
    b'8:1:a"1:a?}',  # of no kind that there is
    b'8:1:a"1:x#}',
    b'9:1:a"2:\xff\xfe"}',
    b'12:1:a"5:false~}',
    b"3:0:]]" * 100_000,
]


@pytest.mark.parametrize("body", NONSENSE)
def test_nonsense_is_one_kind_of_error(body: bytes) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 - whatever it says
        protocol.message(body)


@given(st.binary(max_size=200))
def test_any_bytes_are_an_object_or_that_error(body: bytes) -> None:
    with suppress(ValueError):
        assert isinstance(protocol.message(body), dict)


def test_what_is_no_record_is_not_sent() -> None:
    with pytest.raises(TypeError, match="object"):
        protocol.frame({"thing": object()}, 1000)


def test_what_is_nested_too_deep_is_not_read() -> None:
    body = b"0:]"
    for _ in range(10_000):
        body = b"%d:%b]" % (len(body), body)
    with pytest.raises(ValueError, match="too deep"):
        protocol.message(b'%d:1:a"%b}' % (len(body) + 4, body))
