"""Which reader a file needs: content decides where it can, the suffix where content leaves a choice."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from importlib import import_module
from importlib.util import find_spec
from posixpath import splitext
from typing import NamedTuple

from kosearch.extract import opc
from kosearch.extract.containers import Package
from kosearch.extract.contract import ExtractError, Inside
from kosearch.records import Extraction, Reason


class Reader(NamedTuple):
    """The function of this package that reads a kind of file."""

    module: str
    function: str
    version: int = 1
    """Raised whenever the reader gives other text than before: what an older one has read is read again."""
    engines: tuple[str, ...] = ()
    """Optional packages that the reader makes use of: where one is installed or leaves, it is another reader."""


READERS = {
    "code": Reader("plain", "read_code"),
    "csv": Reader("plain", "read_csv"),
    "doc": Reader("office", "read_doc", 2),
    "docx": Reader("docx", "read", 2),
    "epub": Reader("html", "read_epub"),
    "html": Reader("html", "read_html"),
    "hwp": Reader("hwp", "read", 2),
    "hwpml": Reader("hwpml", "read", 2),
    "json": Reader("plain", "read_json"),
    "mail": Reader("mail", "read"),
    "markdown": Reader("markup", "read_markdown"),
    "mbox": Reader("mail", "read_mbox"),
    "mhtml": Reader("mail", "read_mhtml"),
    "notebook": Reader("plain", "read_notebook"),
    "office-xml": Reader("office", "read_xml"),
    "odf": Reader("opendocument", "read", 2),
    "pdf": Reader("pdf", "read"),
    "ppt": Reader("office", "read_ppt", 2),
    "pptx": Reader("pptx", "read", 2),
    "rst": Reader("markup", "read_rst"),
    "rtf": Reader("rtf", "read", 2),
    "text": Reader("plain", "read_text"),
    "xls": Reader("xls", "read", 2),
    "xlsx": Reader("xlsx", "read", 2),
    "zip": Reader("archives", "read_zip"),
}
"""Every kind of file and the function in this package that reads it; the only list of its sort."""

DETECTION = 1
"""Raised when kinds come that were not read before: files that were of no kind are looked at again."""

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

_XML_HEAD = 8192
"""A root element of OpenDocument names thirty namespaces."""
_HTML_START = re.compile(
    rb"\A(?:\xef\xbb\xbf)?\s*(?:<\?xml[^>]*>\s*)?(?:<!--(?:(?!-->).)*-->\s*)*<(?:!doctype\s+html|html|head|meta|body|table)\b",
    re.IGNORECASE | re.DOTALL,
)
_OFFICE_XML_START = re.compile(
    rb"\A(?:\xef\xbb\xbf)?\s*(?:<[?!][^>]*>\s*)*<(?:\w+:)?(?:wordDocument|package|document|Workbook)\s[^>]*?"
    rb"=[\"'](?:http://schemas\.microsoft\.com/office/(?:word/2003/wordml|2006/xmlPackage)"
    rb"|urn:schemas-microsoft-com:office:spreadsheet|urn:oasis:names:tc:opendocument:xmlns:office:1\.0)[\"']",
    re.DOTALL,
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
    if start.startswith((b"<", b"\xef\xbb\xbf<")) and _OFFICE_XML_START.match(data[:_XML_HEAD]):
        return "office-xml"
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
    if stated := opc.kind_of(package):
        return stated
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
    reader = READERS[kind]
    function: Callable[..., Extraction] = getattr(import_module(f"kosearch.extract.{reader.module}"), reader.function)
    return function(data, path, inside) if kind in _HOLDING_FILES else function(data, path)


def version(kind: str) -> str:
    """What is kept of the reader that a file needed, "docx/3" or "pdf/2+ocr"; "detection/2" for a file of no kind."""
    if not kind:
        return f"detection/{DETECTION}"
    reader = READERS[kind]
    return "+".join((f"{kind}/{reader.version}", *(name for name in reader.engines if find_spec(name))))


def every_version() -> tuple[str, ...]:
    """The version of every reader: kept of a file of which it is not known which one would read it."""
    return tuple(version(kind) for kind in ("", *READERS))


def outdated(versions: Iterable[str]) -> list[str]:
    """Of a file that these readers read, the kinds that another version of one would read today."""
    return sorted(one.partition("/")[0] for one in set(versions).difference(every_version()))
