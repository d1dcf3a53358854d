"""What rows hold, decoded.

The server has its own checksums against damage of a disk. But whoever may write to a shared index may have written
anything: what cannot be read as it was meant raises IndexDamaged here, and nowhere else anything else.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from typing import Any

from kosearch.filters import local_time
from kosearch.index.contract import FileState, Identity, StoredDocument
from kosearch.index.database import decoding, words_of
from kosearch.index.lexical import decode_lines
from kosearch.records import Heading, OcrSpan, PageStart, Passage, Reason

Structure = tuple[tuple[Heading, ...], tuple[PageStart, ...], tuple[OcrSpan, ...]]
"""A document's headings and page starts, and the parts that were read in pictures."""

DOCUMENT = (
    "d.id, d.source, d.raw, d.path, d.member, d.kind, d.title, d.metadata, d.text_hash, d.length, d.passages, d.size,"
    " d.mtime_ns"
)
FILE = (
    "f.id, f.path, f.raw, f.root, f.size, f.mtime_ns, f.hash, p.reason, p.detail,"
    " (SELECT count(*) FROM document WHERE document.file = f.id), f.ctime_ns, f.inode, f.reader, f.limits"
)
_NUMBER = (int, float)
_IN_IDENTITY: Mapping[str, type | tuple[type, ...]] = {
    **dict.fromkeys(("dimensions", "passage_tokens", "overlap"), int),
    **dict.fromkeys(("fields", "words"), list),
    "endpoint": (dict, type(None)),
}
"""The types of those values of an identity that are no text."""


def identity_of(stored: Any) -> Identity:
    """What made an index, of the value that `meta` has."""
    with decoding("its identity"):
        if not all(isinstance(value, _IN_IDENTITY.get(name, str)) for name, value in stored.items()):
            raise TypeError
        identity = Identity(
            **stored | {"fields": tuple(map(_text, stored["fields"])), "words": words_of(stored["words"])}
        )
        if identity.dimensions < 1:
            raise ValueError
        return identity


def run_of(stored: Any) -> Mapping[str, Any] | None:
    """What the last run did, of the value that `meta` has."""
    if stored is None:
        return None
    with decoding("its run"):
        run = dict(stored)
        local_time(run["ended"])
        if not all(math.isfinite(run.get(name, 0)) for name in ("seconds", "publishing")) or "seconds" not in run:
            raise ValueError
        return run


def document_of(row: Any, source: str) -> StoredDocument:
    """A row of the columns DOCUMENT, as one sees it whose files are those of `source`."""
    number, whose, raw, path, member, kind, title, metadata, text_hash, length, passages, size, mtime_ns = row
    with decoding(f"document {number}"):
        return StoredDocument(
            number,
            bytes(raw),
            path,
            member,
            kind,
            title,
            {name: _text(value) for name, value in json.loads(metadata).items()},
            text_hash,
            length,
            passages,
            int(size),
            int(mtime_ns),
            "" if whose == source else whose,
        )


def file_state(row: Any) -> FileState:
    """A row of the columns FILE."""
    _, path, raw, root, size, mtime_ns, content_hash, reason, detail, documents, ctime_ns, inode, reader, limits = row
    with decoding(f"what is known of the file {path}"):
        return FileState(
            bytes(raw),
            bytes(root),
            int(size),
            int(mtime_ns),
            content_hash,
            Reason(reason) if reason else None,
            detail or "",
            documents,
            int(ctime_ns),
            int(inode),
            reader,
            limits,
        )


def reason_of(reason: str) -> Reason:
    """Why a file, or a part of it, is not searchable."""
    with decoding("a problem of a file"):
        return Reason(reason)


def placed(place: str) -> tuple[int, Passage]:
    """A passage's ordinal and position, of the column `place`."""
    with decoding("the place of a passage"):
        match json.loads(place):
            case [int(ordinal), int(start), int(end), int(line), int(line_end), page, str(label), [*headings], *later]:
                if len(later) > 2 or not all(one is None or isinstance(one, _NUMBER) for one in (page, *later)):
                    raise TypeError
                return ordinal, Passage(start, end, line, line_end, page, label, tuple(map(_text, headings)), *later)
        raise ValueError


def structure_of(body: bytes) -> Structure:
    """A document's structure, of the part of its text that holds it."""
    with decoding("the structure of a document"):
        headings, pages, *later = json.loads(body)
        (ocr,) = later or ([],)
        return (
            tuple(Heading(*_typed(one, int, int, str)) for one in headings),
            tuple(PageStart(*_typed(one, int, int, str)) for one in pages),
            tuple(OcrSpan(*_typed(one, int, int, _NUMBER)) for one in ocr),
        )


def text_in(parts: Sequence[bytes]) -> str:
    """Parts of a document's text, each of whole characters, one after the other."""
    with decoding("the text of a document"):
        return b"".join(parts).decode()


def lines_of(blob: bytes, fields: Sequence[str]) -> list[str]:
    """A passage's terms: a line for each field."""
    with decoding("the terms of a passage"):
        lines = decode_lines(blob)
        if len(lines) != len(fields):
            raise ValueError
        return lines


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError
    return value


def _typed(values: Sequence[Any], *types: Any) -> Sequence[Any]:
    """The values, if there are as many as types and each is of its own."""
    if len(values) != len(types) or not all(map(isinstance, values, types)):
        raise TypeError
    return values
