"""Files that are text already: plain text, tables with separators, JSON."""

from __future__ import annotations

import re

from kosearch.extract.decoding import decode, normalise
from kosearch.records import Extracted, Extraction

_ESCAPES = re.compile(r"(?:\\u[0-9a-fA-F]{4})+")


def read(data: bytes, path: str) -> Extraction:
    """Plain text, as it is."""
    return _plain(data, "text")


def read_csv(data: bytes, path: str) -> Extraction:
    """A table with separators: a row is a line."""
    return _plain(data, "csv")


def read_json(data: bytes, path: str) -> Extraction:
    """JSON or JSON Lines as written, but with \\uXXXX escapes read: Korean text is often stored so."""
    decoded = decode(data)
    text = _ESCAPES.sub(_unescaped, decoded.text)
    return Extraction((Extracted(text=normalise(text), kind="json", warnings=decoded.warnings),))


def _plain(data: bytes, kind: str) -> Extraction:
    decoded = decode(data)
    return Extraction((Extracted(text=normalise(decoded.text), kind=kind, warnings=decoded.warnings),))


def _unescaped(match: re.Match[str]) -> str:
    units = bytes.fromhex(match.group().replace("\\u", ""))
    text = units.decode("utf-16-be", errors="replace")
    # A quotation mark or a control character has to stay escaped, or the line is no JSON any more.
    return text if all(character >= "\xa0" for character in text) else match.group()
