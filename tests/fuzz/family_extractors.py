"""Files of every format, through the one door of `extract`, and on into passages."""

from __future__ import annotations

import re
from collections.abc import Iterator

from crash.mutations import Damaged, broken_promise, seeds
from crash.mutations import attempt as read_damaged

from fuzz.frame import LARGEST, Family, Input
from kosearch.extract import ExtractError, extract
from kosearch.passages import chunk


def attempt(one: Input) -> str:
    """What every reader owes a damaged file, and that its text can be cut."""
    problem = read_damaged(Damaged(one.name, 0, one.data))
    if problem:
        return problem
    try:
        documents = extract(one.data, path=one.name, archives=True).documents
    except ExtractError:
        return ""
    for document in documents:
        tokens = [match.span() for match in re.finditer(r"\w{1,4}|[^\w\s]", document.text)]
        if any(broken_promise(document) for document in documents):
            return "another text when it is read again"
        passages = chunk(document, lambda _, tokens=tokens: tokens, size=320, overlap=32)  # type: ignore[misc]
        if not all(0 <= passage.start < passage.end <= len(document.text) for passage in passages):
            return "a passage outside its document"
    return ""


def _seeds() -> Iterator[Input]:
    for file in seeds():
        if file.stat().st_size <= LARGEST:
            yield Input(file.name, file.read_bytes())


FAMILY = Family(
    _seeds,
    attempt,
    words=(
        b"<!DOCTYPE x [<!ENTITY a 'b'>]>",
        b"&a;",
        b"<![CDATA[",
        b"\\par ",
        b"{\\*\\",
        b"\\u-1 ",
        b"/Kids[1 0 R]",
        b"stream\n",
        b"endobj",
        b"\r\n\r\n",
        b"--b\r\n",
        b"Content-Type: message/rfc822\r\n",
        b"Content-Transfer-Encoding: base64\r\n",
        b"=?utf-7?q?+AGE-?=",
        b"PK\x03\x04",
        b"PK\x05\x06",
        b"\xff\xfe",
        b"[",
        b"<table><tr><td rowspan=99999 colspan=99999>",
        "한\u0301".encode(),
    ),
)
