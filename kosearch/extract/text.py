"""Files that are text already: plain text, tables with separators, JSON."""

from __future__ import annotations

import csv
import re
from io import StringIO

from kosearch.extract.decoding import decode, normalise
from kosearch.extract.tables import table_lines
from kosearch.records import Extracted, Extraction

_DELIMITERS = ",\t;|"
_SAMPLE = 4096
_LONGEST_CELL = 50
"""Lines in one cell; more mean that a quotation mark was never closed."""
_ESCAPES = re.compile(r"(?:\\u[0-9a-fA-F]{4})+")


def read(data: bytes, path: str) -> Extraction:
    """Plain text, as it is."""
    decoded = decode(data)
    return Extraction((Extracted(text=normalise(decoded.text), kind="text", warnings=decoded.warnings),))


def read_csv(data: bytes, path: str) -> Extraction:
    """A table with separators: a line a row, each value with the name of its column; plain lines if it is no table."""
    decoded = decode(data)
    text = normalise(decoded.text)
    rows = _rows(text)
    table = "\n".join(table_lines(rows, named_columns=True)) if rows else text
    return Extraction((Extracted(text=table, kind="csv", warnings=decoded.warnings),))


def read_json(data: bytes, path: str) -> Extraction:
    """JSON or JSON Lines as written, but with \\uXXXX escapes read: Korean text is often stored so."""
    decoded = decode(data)
    text = _ESCAPES.sub(_unescaped, decoded.text)
    return Extraction((Extracted(text=normalise(text), kind="json", warnings=decoded.warnings),))


def _rows(text: str) -> list[list[str]]:
    """The rows of a table with separators; none where quotation marks or lengths say that it is not one."""
    delimiter = max(_DELIMITERS, key=text[:_SAMPLE].count)
    try:
        rows = list(csv.reader(StringIO(text), delimiter=delimiter))
    except csv.Error:
        return []
    open_quotes = any(cell.count("\n") > _LONGEST_CELL for row in rows for cell in row)
    return [] if open_quotes or max(map(len, rows), default=0) < 2 else rows


def _unescaped(match: re.Match[str]) -> str:
    units = bytes.fromhex(match.group().replace("\\u", ""))
    text = units.decode("utf-16-be", errors="replace")
    # A quotation mark or a control character has to stay escaped, or the line is no JSON any more.
    return text if all(character >= "\xa0" for character in text) else match.group()
