"""Which reader a file needs: content decides where it can, the suffix where content leaves a choice."""

from __future__ import annotations

import re
from collections.abc import Callable
from importlib import import_module
from posixpath import splitext

from kosearch.records import Extraction

Reader = Callable[[bytes, str], Extraction]

READERS = {
    "code": "code:read",
    "csv": "text:read_csv",
    "html": "web:read",
    "json": "text:read_json",
    "markdown": "markup:read_markdown",
    "pdf": "pdf:read",
    "rst": "markup:read_rst",
    "text": "text:read",
}
"""Every kind of document and the function in this package that reads it; the only list of its sort."""

_SUFFIXES = {
    "code": "bash c cc clj cpp cs css cxx dart el erl ex exs fs go gradle groovy h hh hpp hrl hs hxx java jl"
    " js jsx kt kts less lisp lua m mjs ml mm pas php pl pm proto ps1 py pyi pyx r rb rkt rs sass scala scm"
    " scss sh sql swift tcl ts tsx v vb vue zig zsh",
    "csv": "csv tsv tab",
    "html": "htm html shtml xhtml xht",
    "json": "json jsonl ndjson geojson",
    "markdown": "markdown md mdown mdx mkd qmd rmd",
    "pdf": "pdf",
    "rst": "rest rst",
}
KIND_OF_SUFFIX = {f".{suffix}": kind for kind, names in _SUFFIXES.items() for suffix in names.split()}

_HTML_START = re.compile(
    rb"\A(?:\xef\xbb\xbf)?\s*(?:<\?xml[^>]*>\s*)?(?:<!--.*?-->\s*)*<(?:!doctype\s+html|html)\b",
    re.IGNORECASE | re.DOTALL,
)


def detect(data: bytes, path: str) -> str:
    """The kind of document in `data`, one of READERS."""
    head = data[:2048]
    if b"%PDF-" in head[:1024]:
        return "pdf"
    named = KIND_OF_SUFFIX.get(splitext(path)[1].lower(), "text")
    if named == "text" and _HTML_START.match(head):
        return "html"
    return named


def reader(kind: str) -> Reader:
    """The function that reads documents of this kind, imported now and not before."""
    module, _, function = READERS[kind].partition(":")
    found: Reader = getattr(import_module(f"kosearch.extract.{module}"), function)
    return found
