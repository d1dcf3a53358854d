"""Which reader a file needs: content decides where it can, the suffix where content leaves a choice."""

from __future__ import annotations

import re
from collections.abc import Callable
from importlib import import_module
from posixpath import splitext

from kosearch.extract import ExtractError, Inside
from kosearch.extract.containers import Package
from kosearch.records import Extraction, Reason

READERS = {
    "code": "plain:read_code",
    "csv": "plain:read_csv",
    "doc": "office:read_doc",
    "docx": "office:read_docx",
    "epub": "html:read_epub",
    "html": "html:read_html",
    "hwp": "hwp:read",
    "hwpml": "hwpml:read",
    "json": "plain:read_json",
    "mail": "mail:read",
    "markdown": "markup:read_markdown",
    "mbox": "mail:read_mbox",
    "mhtml": "mail:read_mhtml",
    "notebook": "plain:read_notebook",
    "odf": "opendocument:read",
    "pdf": "pdf:read",
    "ppt": "office:read_ppt",
    "pptx": "office:read_pptx",
    "rst": "markup:read_rst",
    "rtf": "rtf:read",
    "text": "plain:read_text",
    "xls": "office:read_xls",
    "xlsx": "office:read_xlsx",
    "zip": "archives:read_zip",
}
"""Every kind of file and the function in this package that reads it; the only list of its sort."""

_HOLDING_FILES = frozenset(("mail", "mbox", "zip"))
"""Kinds whose readers take a third argument, which reads the files inside theirs."""

_SUFFIXES = {
    "code": "bash c cc clj cpp cs css cxx dart el erl ex exs fs go gradle groovy h hh hpp hrl hs hxx java jl"
    " js jsx kt kts less lisp lua m mjs ml mm pas php pl pm proto ps1 py pyi pyx r rb rkt rs sass scala scm"
    " scss sh sql swift tcl ts tsx v vb vue zig zsh",
    "csv": "csv tsv tab",
    "html": "htm html shtml xhtml xht",
    "hwpml": "hml",
    "json": "json jsonl ndjson geojson",
    "mail": "eml",
    "markdown": "markdown md mdown mdx mkd qmd rmd",
    "mbox": "mbox",
    "mhtml": "mht mhtml",
    "notebook": "ipynb",
    "pdf": "pdf",
    "rst": "rest rst",
}
KIND_OF_SUFFIX = {f".{suffix}": kind for kind, names in _SUFFIXES.items() for suffix in names.split()}

_HTML_START = re.compile(
    rb"\A(?:\xef\xbb\xbf)?\s*(?:<\?xml[^>]*>\s*)?(?:<!--(?:(?!-->).)*-->\s*)*<(?:!doctype\s+html|html|head|meta|body|table)\b",
    re.IGNORECASE | re.DOTALL,
)
_HWPML_START = re.compile(rb"\A(?:\xef\xbb\xbf)?\s*<\?xml[^>]*>.{0,1000}?<HWPML\b", re.DOTALL)
_MAIL_START = re.compile(
    rb"\A(?:Return-Path|Received|Delivered-To|Message-ID|MIME-Version|From|Date|Subject|X-[\w-]+): "
)
# Members that only this kind of package has.
_PACKAGE_MARKS = {
    "word/document.xml": "docx",
    "ppt/presentation.xml": "pptx",
    "xl/workbook.xml": "xlsx",
    "xl/workbook.bin": "xlsx",
    "Contents/header.xml": "hwp",
    "Contents/section0.xml": "hwp",
    "META-INF/container.xml": "epub",
}
# Streams that only this kind of compound file has, the outermost first: documents may hold each other.
_COMPOUND_MARKS = {
    "FileHeader": "hwp",
    "WordDocument": "doc",
    "PowerPoint Document": "ppt",
    "Workbook": "xls",
    "Book": "xls",
}


def detect(data: bytes, path: str) -> str:
    """The kind of file that `data` is, one of READERS; raises ExtractError for what none of them reads."""
    head = data[:2048]
    start = head.lstrip()
    suffix = splitext(path)[1].lower()
    if start.startswith(b"%PDF-"):
        return "pdf"
    if head.startswith((b"PK\x03\x04", b"PK\x05\x06")):
        return _package_kind(data, suffix)
    if head.startswith(b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1"):
        return _compound_kind(data)
    if head.startswith(b"HWP Document File V"):
        return "hwp"
    if start.startswith(b"{\\rtf"):
        return "rtf"
    if _HWPML_START.match(head):
        return "hwpml"
    named = KIND_OF_SUFFIX.get(suffix, "text")
    return _text_kind(head) if named == "text" or (named == "pdf" and b"%PDF-" not in head) else named


def _text_kind(head: bytes) -> str:
    """What a file is whose name does not say it: systems also save pages and mail under the names of documents."""
    if _HTML_START.match(head):
        return "html"
    if _MAIL_START.match(head) and b"\nMIME-Version:" in b"\n" + head:
        return "mhtml" if b"multipart/related" in head else "mail"
    return "text"


def _package_kind(data: bytes, suffix: str) -> str:
    package = Package(data)
    for member, kind in _PACKAGE_MARKS.items():
        if member in package:
            return kind
    if "mimetype" in package and package.read("mimetype").startswith(b"application/vnd.oasis.opendocument."):
        return "odf"
    if suffix in ("", ".zip"):
        return "zip"
    raise ExtractError(Reason.UNSUPPORTED, "a package of a kind that is not read here")


def _compound_kind(data: bytes) -> str:
    from dochan import cfb

    try:
        compound = cfb.OleFileIO(data)
        if compound.exists("EncryptedPackage"):
            raise ExtractError(Reason.ENCRYPTED, "encrypted: opening it needs a password")
        if compound.exists("__properties_version1.0"):
            raise ExtractError(Reason.UNSUPPORTED, "an Outlook message: save it as .eml")
        for stream, kind in _COMPOUND_MARKS.items():
            if compound.exists(stream):
                return kind
    except (OSError, ValueError, LookupError) as error:
        raise ExtractError(Reason.BROKEN, f"a broken compound file: {error}") from error
    raise ExtractError(Reason.UNSUPPORTED, "a compound file of an unknown kind")


def read(kind: str, data: bytes, path: str, inside: Inside) -> Extraction:
    """Read a file as this kind; the reader is imported now and not before."""
    module, _, function = READERS[kind].partition(":")
    reader: Callable[..., Extraction] = getattr(import_module(f"kosearch.extract.{module}"), function)
    return reader(data, path, inside) if kind in _HOLDING_FILES else reader(data, path)
