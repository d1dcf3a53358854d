"""Files that are text already: plain text, tables with separators, JSON, source code, notebooks."""

from __future__ import annotations

import csv
import json
import re
from io import StringIO
from posixpath import splitext
from typing import Any

from kosearch.extract.builder import TextBuilder, table_lines
from kosearch.extract.contract import ExtractError
from kosearch.extract.decoding import decode, normalise
from kosearch.extract.markup import markdown_headings
from kosearch.records import Extracted, Extraction, Heading, Reason

_DELIMITERS = ",\t;|"
_SAMPLE = 4096
_LONGEST_CELL = 50
"""Lines in one cell; more mean that a quotation mark was never closed."""
_ESCAPES = re.compile(r"(?:\\u[0-9a-fA-F]{4})+")


def read_text(data: bytes, path: str) -> Extraction:
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
    """JSON or JSON Lines as written, but with \\uXXXX escapes read_text: Korean text is often stored so."""
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


_MODIFIERS = (
    r"(?:(?:public|private|protected|internal|static|final|abstract|sealed|async|export|default|override|open|virtual"
    r"|inline|extern|unsafe|const|pub(?:\([^)]*\))?|partial|data|suspend|declare)\s+)*"
)
_NAMED = re.compile(
    rf"^([ \t]*){_MODIFIERS}"
    r"(class|interface|enum|struct|trait|impl|namespace|module|object|record|protocol|extension|function|func|fun|fn|def"
    r"|defmodule|defp|sub|proc)\b\*?\s+((?:\([^)]*\)\s*)?[\w$.:<>?!]+)",
    re.MULTILINE,
)
# A function in C, C++, Java or C#: a type, a name, an argument list, and no semicolon behind it.
_TYPED = re.compile(
    rf"^([ \t]*){_MODIFIERS}(?!(?:return|else|new|throw|case|typedef|using|if|while|for|switch)\b)"
    r"[\w:<>,\[\]]+[ \t*&]+(?!(?:if|while|for|switch)\b)(~?[\w:]+)[ \t]*\([^;{}()]*\)[^;{}()=]*\{",
    re.MULTILINE,
)
_OTHERS = {
    ".sql": re.compile(
        r"^([ \t]*)create\s+(?:or\s+replace\s+)?(?:\w+\s+)?(table|view|function|procedure|trigger|index)\s+"
        r"(?:if\s+not\s+exists\s+)?([\w.\"`\[\]]+)",
        re.MULTILINE | re.IGNORECASE,
    ),
    ".r": re.compile(r"^([ \t]*)()([\w.]+)[ \t]*(?:<-|=)[ \t]*function\b", re.MULTILINE),
}
_SHELL = re.compile(r"^([ \t]*)(?:function[ \t]+)?()([\w:-]+)[ \t]*\(\)", re.MULTILINE)
_OTHERS |= dict.fromkeys((".sh", ".bash", ".zsh"), _SHELL)
_TYPED_SUFFIXES = frozenset(str.split(".c .cc .cpp .cxx .h .hh .hpp .hxx .java .cs .m .mm .dart"))
_NOT_CODE_STRUCTURE = frozenset((".css", ".scss", ".sass", ".less"))
_INDENT = 4


def read_code(data: bytes, path: str) -> Extraction:
    """Source code; a nested definition's level is its depth of indentation."""
    decoded = decode(data)
    text = normalise(decoded.text)
    headings = _definitions(text, splitext(path)[1].lower())
    return Extraction((Extracted(text, "code", headings=headings, warnings=decoded.warnings),))


def _definitions(text: str, suffix: str) -> tuple[Heading, ...]:
    if suffix in _NOT_CODE_STRUCTURE:
        return ()
    found: dict[int, Heading] = {}
    for match in _OTHERS.get(suffix, _NAMED).finditer(text):
        found[match.start()] = _heading(match.start(), match[1], f"{match[2]} {match[3]}".rstrip(":"))
    if suffix in _TYPED_SUFFIXES:
        for match in _TYPED.finditer(text):
            found.setdefault(match.start(), _heading(match.start(), match[1], match[2]))
    return tuple(found[start] for start in sorted(found))


def _heading(start: int, indent: str, title: str) -> Heading:
    depth = len(indent.expandtabs(_INDENT)) // _INDENT
    return Heading(start, depth + 1, " ".join(title.split()))


_LONGEST_OUTPUT = 2000
"""Characters of what a cell printed: enough for a result, too little for a log or a dump of data."""


def read_notebook(data: bytes, path: str) -> Extraction:
    """A notebook of format 3 or 4."""
    decoded = decode(data)
    try:
        notebook = json.loads(decoded.text)
    except ValueError as error:
        raise ExtractError(Reason.BROKEN, f"a broken notebook: {error}") from error
    sheets = notebook.get("worksheets") or [notebook]
    builder = TextBuilder()
    for cell in (cell for sheet in sheets for cell in sheet.get("cells", ())):
        source = _joined(cell.get("source", cell.get("input", "")))
        start = builder.add(source)
        if cell.get("cell_type") == "markdown":
            written = builder.text[start:]
            builder.mark([Heading(start + h.start, h.level, h.title) for h in markdown_headings(written)])
        for output in cell.get("outputs", ()):
            builder.add(_printed(output))
    return Extraction((builder.document("notebook", warnings=decoded.warnings),))


def _printed(output: dict[str, Any]) -> str:
    text = output.get("text") or output.get("data", {}).get("text/plain", "")
    return _joined(text)[:_LONGEST_OUTPUT]


def _joined(lines: Any) -> str:
    return "".join(lines) if isinstance(lines, list) else str(lines)
