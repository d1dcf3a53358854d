"""Jupyter notebooks: the cells in their order, with the text that code printed."""

from __future__ import annotations

import json
from typing import Any

from kosearch.extract import ExtractError
from kosearch.extract.blocks import TextBuilder
from kosearch.extract.decoding import decode
from kosearch.extract.markup import markdown_headings
from kosearch.records import Extraction, Heading, Reason

_LONGEST_OUTPUT = 2000
"""Characters of what a cell printed: enough for a result, too little for a log or a dump of data."""


def read(data: bytes, path: str) -> Extraction:
    """A notebook of format 3 or 4."""
    decoded = decode(data)
    try:
        notebook = json.loads(decoded.text)
    except ValueError as error:
        raise ExtractError(Reason.BROKEN, f"a broken notebook: {error}") from error
    sheets = notebook.get("worksheets") or [notebook]
    builder = TextBuilder()
    for cell in (cell for sheet in sheets for cell in sheet.get("cells", ())):
        source = _text(cell.get("source", cell.get("input", "")))
        start = builder.add(source)
        if cell.get("cell_type") == "markdown":
            written = builder.text[start:]
            builder.mark([Heading(start + h.start, h.level, h.title) for h in markdown_headings(written)])
        for output in cell.get("outputs", ()):
            builder.add(_printed(output))
    return Extraction((builder.document("notebook", warnings=decoded.warnings),))


def _printed(output: dict[str, Any]) -> str:
    text = output.get("text") or output.get("data", {}).get("text/plain", "")
    return _text(text)[:_LONGEST_OUTPUT]


def _text(lines: Any) -> str:
    return "".join(lines) if isinstance(lines, list) else str(lines)
