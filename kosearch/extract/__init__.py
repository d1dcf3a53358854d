"""A file's bytes become text with structure: one door, `extract`, and one reader a family of formats.

Readers are pure: bytes and a name in, records out; no network, no temporary files, nothing printed. They run
in a worker process with a time and a memory limit, so they may be slow on odd input, but must end.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import replace
from importlib import import_module
from importlib.util import find_spec
from posixpath import splitext
from typing import NamedTuple

from kosearch.extract import containers
from kosearch.extract.containers import Package
from kosearch.extract.pictures import ASKED, Asked
from kosearch.extract.text import ExtractError, Inside
from kosearch.filters import KIND_OF_SUFFIX
from kosearch.ocr import Nothing, Pictures
from kosearch.records import Extracted, Extraction, Reason, Skipped

__all__ = [
    "READERS",
    "ExtractError",
    "Inside",
    "detect",
    "every_version",
    "extract",
    "member",
    "outdated",
    "version",
]

# Which reader a file needs: content decides where it can, the suffix where content leaves a choice.


class Reader(NamedTuple):
    """The function of this package that reads a kind of file."""

    module: str
    function: str
    version: int = 1
    """Raised whenever the reader gives other text than before: what an older one has read is read again."""
    engines: tuple[str, ...] = ()
    """Optional packages that the reader makes use of: where one is installed or leaves, it is another reader."""


READERS = {
    "asciidoc": Reader("plain", "read_asciidoc"),
    "calendar": Reader("mail", "read_calendar"),
    "code": Reader("plain", "read_code", 2),
    "compressed": Reader("containers", "read_compressed"),
    "csv": Reader("plain", "read_csv", 2),
    "doc": Reader("dochan_model", "read_doc", 3),
    "docx": Reader("docx", "read", 3),
    "epub": Reader("html", "read_epub", 3),
    "html": Reader("html", "read_html", 3),
    "hwp": Reader("hwp", "read", 3),
    "hwpml": Reader("hwp", "read_hwpml", 2),
    "image": Reader("pdf", "read_image", engines=("PIL", "pi_heif", "pillow_heif")),
    "json": Reader("plain", "read_json", 2),
    "latex": Reader("plain", "read_latex"),
    "mail": Reader("mail", "read", 3),
    "markdown": Reader("plain", "read_markdown", 2),
    "mbox": Reader("mail", "read_mbox", 3),
    "mhtml": Reader("mail", "read_mhtml", 3),
    "msg": Reader("mail", "read_msg", 2),
    "notebook": Reader("plain", "read_notebook"),
    "office-xml": Reader("html", "read_office", 2),
    "odf": Reader("opendocument", "read", 2),
    "org": Reader("plain", "read_org"),
    "pdf": Reader("pdf", "read", 3),
    "ppt": Reader("dochan_model", "read_ppt", 2),
    "pptx": Reader("drawing", "read_pptx", 2),
    "rst": Reader("plain", "read_rst"),
    "rtf": Reader("rtf", "read", 3),
    "subtitles": Reader("html", "read_subtitles"),
    "tar": Reader("containers", "read_tar"),
    "text": Reader("plain", "read_text", 2),
    "tnef": Reader("mail", "read_tnef"),
    "vcard": Reader("mail", "read_vcard"),
    "vsdx": Reader("drawing", "read_vsdx"),
    "xls": Reader("xls", "read", 2),
    "xlsx": Reader("xlsx", "read", 4),
    "xml": Reader("html", "read_xml"),
    "xps": Reader("drawing", "read_xps"),
    "zip": Reader("containers", "read_zip"),
}
"""Every kind of file and the function in this package that reads it; the only list of its sort."""

DETECTION = 3
"""Raised when kinds come that were not read before: files that were of no kind are looked at again."""

ARCHIVES = frozenset(("compressed", "tar", "zip"))
"""Kinds that are opened only when asked, one level deep."""
_HOLDING_FILES = ARCHIVES | {"mail", "mbox", "msg", "pdf", "tnef"}
"""Kinds whose readers take a third argument, which reads the files inside theirs."""

_IMAGE_START = re.compile(
    rb"\x89PNG\r\n|\xff\xd8\xff|GIF8|II\*\0|MM\0\*|II\+\0|MM\0\+|RIFF.{4}WEBP|.{4}ftyp(?:he[iv][cxms]|mi[fa]1|msf1|avi[fs])",
    re.DOTALL,
)
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
# A mailbox parts its messages by lines that a day and a time of day are written in; Thunderbird leaves them out.
MESSAGE_START = re.compile(
    rb"(?:\A|(?<=\n\n)|(?<=\n\r\n))From (?:[^\n]{0,300}\d\d:\d\d[^\n]{0,60}\d{4}[^\n]{0,20}|-?[ \t]*)\r?\n"
    rb"(?=(?:[!-9;-~]+:[^\n]*\r?\n(?:[ \t][^\n]*\n)*){0,30}?"
    rb"(?:From|To|Date|Subject|Received|Return-Path|Message-ID|MIME-Version|Content-Type|X-Mozilla-Status|Delivered-To):)",
    re.IGNORECASE,
)
_SUBTITLES_START = re.compile(rb"\A(?:\xef\xbb\xbf)?\s*(?:WEBVTT\b|<sami\b|1\r?\n\d\d:\d\d:\d\d,\d)", re.IGNORECASE)
_TNEF_START = b"\x78\x9f\x3e\x22"
# What is told by its first bytes and not read here: the reason, and the way out.
_IMAGE = (Reason.UNSUPPORTED, "a picture of a kind that is not read: save it as PNG, JPEG or TIFF")
_MEDIA = (Reason.BINARY, "sound or film: a transcript beside it (.srt, .txt) is read")
_ARCHIVE = (Reason.UNSUPPORTED, "an archive of a kind that is not opened: unpack it, or make it a ZIP")
_REFUSED = (
    (0, b"\0\0\0\x0cjP  ", _IMAGE),
    (0, b"8BPS", _IMAGE),
    (0, b"7z\xbc\xaf\x27\x1c", _ARCHIVE),
    (0, b"Rar!\x1a\x07", _ARCHIVE),
    (0, b"ALZ\x01", _ARCHIVE),
    (0, b"EGGA", _ARCHIVE),
    (0, b"MSCF", _ARCHIVE),
    (0, b"\x28\xb5\x2f\xfd", _ARCHIVE),
    (0, b"\x04\x22\x4d\x18", _ARCHIVE),
    (2, b"-lh", _ARCHIVE),
    (0, b"AT&TFORM", (Reason.UNSUPPORTED, "a DjVu book: export it as PDF")),
    (0, b"!BDN", (Reason.UNSUPPORTED, "an Outlook data file: export its mail as .eml, .msg or mbox")),
    (
        0,
        b"// <!-- <mdb:mork",
        (Reason.UNSUPPORTED, "Thunderbird's list of a folder; the mail is in the file beside it"),
    ),
    (0, b"ID3", _MEDIA),
    (0, b"\xff\xfb", _MEDIA),
    (0, b"OggS", _MEDIA),
    (0, b"fLaC", _MEDIA),
    (8, b"WAVE", _MEDIA),
    (8, b"AVI ", _MEDIA),
    (4, b"ftyp", _MEDIA),
    (0, b"\x1aE\xdf\xa3", _MEDIA),
    (0, b"\x30\x26\xb2\x75\x8e\x66\xcf\x11", _MEDIA),
)
_TEXT_STARTS = {
    "mbox": MESSAGE_START,
    "calendar": re.compile(rb"\A(?:\xef\xbb\xbf)?\s*BEGIN:VCALENDAR\r?\n", re.IGNORECASE),
    "vcard": re.compile(rb"\A(?:\xef\xbb\xbf)?\s*BEGIN:VCARD\r?\n", re.IGNORECASE),
    "subtitles": _SUBTITLES_START,
    "xml": re.compile(rb"\A(?:\xef\xbb\xbf)?\s*<\?xml\s"),
}
# Members that only this kind of package has.
_PACKAGE_MARKS = {
    "word/document.xml": "docx",
    "ppt/presentation.xml": "pptx",
    "xl/workbook.xml": "xlsx",
    "xl/workbook.bin": "xlsx",
    "Contents/header.xml": "hwp",
    "Contents/section0.xml": "hwp",
    "META-INF/container.xml": "epub",
    "visio/document.xml": "vsdx",
}
# Streams that only this kind of compound file has, the outermost first: documents may hold each other.
_COMPOUND_MARKS = {
    "__properties_version1.0": "msg",
    "FileHeader": "hwp",
    "WordDocument": "doc",
    "PowerPoint Document": "ppt",
    "Workbook": "xls",
    "Book": "xls",
}


_HANCOM = {
    ".show": "a presentation of Hancom Show: save it as .pptx or PDF",
    ".hpt": "a presentation of Hancom Show: save it as .pptx or PDF",
    ".cell": "a workbook of Hancom Cell: save it as .xlsx",
    ".nxl": "a workbook of Hancom Cell: save it as .xlsx",
    ".hwt": "a template of an old Hangul: save it as HWPX or PDF",
}
"""What is told of files of Hancom's programs whose content is none of the kinds that are read."""


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
        return _compound_kind(data, suffix)
    if head.startswith(b"HWP Document File V"):
        return "hwp"
    if start.startswith(b"{\\rtf"):
        return "rtf"
    if _HWPML_START.match(head):
        return "hwpml"
    if start.startswith((b"<", b"\xef\xbb\xbf<")) and _OFFICE_XML_START.match(data[:_XML_HEAD]):
        return "office-xml"
    if head.startswith(_TNEF_START):
        return "tnef"
    if containers.packing(head):
        return "tar" if containers.is_tar(data) else "compressed"
    if containers.is_tar(head):
        return "tar"
    if _IMAGE_START.match(head) or (head.startswith(b"BM") and suffix == ".bmp"):
        return "image"
    _refuse(head)
    if suffix in _HANCOM and b"\0" in head:
        raise ExtractError(Reason.UNSUPPORTED, _HANCOM[suffix])
    named = KIND_OF_SUFFIX.get(suffix, "text")
    return _text_kind(head) if named == "text" or (named == "pdf" and b"%PDF-" not in head) else named


def _refuse(head: bytes) -> None:
    """Turn away what is known not to be read here, with the way out."""
    for place, mark, (reason, detail) in _REFUSED:
        if head.startswith(mark, place):
            raise ExtractError(reason, detail)


def _text_kind(head: bytes) -> str:
    """What a file is whose name does not say it: systems also save pages and mail under the names of documents."""
    if _HTML_START.match(head):
        return "html"
    if _MAIL_START.match(head) and b"\nMIME-Version:" in b"\n" + head:
        return "mhtml" if b"multipart/related" in head else "mail"
    for kind, start in _TEXT_STARTS.items():
        if start.match(head):
            return kind
    return "text"


def _package_kind(data: bytes, suffix: str) -> str:
    package = Package(data)
    for member, kind in _PACKAGE_MARKS.items():
        if member in package:
            return kind
    if stated := containers.kind_of(package):
        return stated
    if "mimetype" in package and package.read("mimetype").startswith(b"application/vnd.oasis.opendocument."):
        return "odf"
    if containers.is_xps(package):
        return "xps"
    if any(name.startswith("Index/") and name.endswith(".iwa") for name in package) or "Index.zip" in package:
        raise ExtractError(Reason.UNSUPPORTED, "a document of Apple's iWork: export it as PDF or for Office")
    if suffix in ("", ".zip"):
        return "zip"
    raise ExtractError(Reason.UNSUPPORTED, _HANCOM.get(suffix, "a package of a kind that is not read here"))


def _compound_kind(data: bytes, suffix: str) -> str:
    from dochan import cfb

    try:
        compound = cfb.OleFileIO(data)
        if compound.exists("EncryptedPackage"):
            raise ExtractError(Reason.ENCRYPTED, "encrypted: opening it needs a password")
        for stream, kind in _COMPOUND_MARKS.items():
            if compound.exists(stream):
                return kind
    except (OSError, ValueError, LookupError) as error:
        raise ExtractError(Reason.BROKEN, f"a broken compound file: {error}") from error
    raise ExtractError(Reason.UNSUPPORTED, _HANCOM.get(suffix, "a compound file of an unknown kind"))


def read(kind: str, data: bytes, path: str, inside: Inside) -> Extraction:
    """Read a file as this kind; the reader is imported now and not before."""
    reader = READERS[kind]
    function: Callable[..., Extraction] = getattr(import_module(f"kosearch.extract.{reader.module}"), reader.function)
    return function(data, path, inside) if kind in _HOLDING_FILES else function(data, path)


def version(kind: str) -> str:
    """What is kept of the reader that a file needed, "docx/3" or "pdf/2+ocr"; "detection/3" for a file of no kind."""
    if not kind:
        return f"detection/{DETECTION}"
    reader = READERS[kind]
    return "+".join((f"{kind}/{reader.version}", *(name for name in reader.engines if find_spec(name))))


def every_version() -> tuple[str, ...]:
    """The version of every reader: kept of a file of which it is not known which one would read it."""
    return tuple(version(kind) for kind in ("", *READERS))


def outdated(versions: Iterable[str], ocr: str = "") -> list[str]:
    """Of a file that these readers read, the kinds that another version of one would read today.

    `ocr` is what reads pictures; without, those that were read stay as they are.
    """
    today = {*every_version(), *(one for one in versions if one.startswith("ocr/") and ocr in ("", one[4:]))}
    return sorted(one.partition("/")[0] for one in set(versions).difference(today))


_DEEPEST = 3
"""A mail in a mail in a mail."""


def extract(data: bytes, *, path: str, archives: bool = False, pictures: Pictures | None = None) -> Extraction:
    """The documents in a file of this content; `path` is its NFC name, used where content leaves a choice.

    With `archives`, archives are opened, one level deep. `pictures` answers for the text of scanned pages and other
    pictures. Raises ExtractError when no document in the file has any text, and nothing else for any input.
    """
    readers: set[str] = set()
    asked = Asked(pictures or Nothing("text in pictures was not asked for"))
    token = ASKED.set(asked)
    try:
        found = _extract(data, path, archives, 1, readers)
    except ExtractError as error:
        error.readers = _readers(readers, asked)
        raise
    finally:
        ASKED.reset(token)
    return replace(found, readers=_readers(readers, asked))


def _readers(readers: set[str], asked: Asked) -> tuple[str, ...]:
    return tuple(sorted({*readers, f"ocr/{asked.pictures.version}"} if asked.any else readers))


def _extract(data: bytes, path: str, archives: bool, depth: int, readers: set[str]) -> Extraction:
    """The documents in a file; `readers` gathers the versions of all that have a part in it."""
    if not data:
        raise ExtractError(Reason.EMPTY, "the file is empty")
    kind = ""
    try:
        try:
            kind = detect(data, path)
        finally:
            readers.add(version(kind))
        if kind in ARCHIVES and not archives:
            raise ExtractError(Reason.UNSUPPORTED, "an archive; with --archives the documents in it are read")

        def inside(name: str, content: bytes) -> Extraction:
            return _member(content, path, name, archives and kind not in ARCHIVES, depth + 1, readers)

        return _with_text(read(kind, data, path, inside))
    except (ExtractError, MemoryError):
        raise
    except RecursionError as error:
        raise ExtractError(Reason.BROKEN, "nested too deeply to be read") from error
    except Exception as error:  # a parser met input nobody foresaw: that costs this file, not the run
        detail = " ".join(f"cannot be read as {kind or 'a document'}: {type(error).__name__}: {error}".split())
        raise ExtractError(Reason.BROKEN, detail) from error


def member(data: bytes, path: str, name: str) -> bytes | None:
    """The content of the file that a document with this `member` was read from; None where it is no file of its own.

    Raises ExtractError where the outer file cannot be read any more.
    """
    found: list[bytes] = []

    def inside(above: str) -> Callable[[str, bytes], Extraction]:
        def take(own: str, content: bytes) -> Extraction:
            here = _joined(above, own) if above else own
            if here == name:
                found.append(content)
            elif name.startswith(f"{here}/"):
                with suppress(ExtractError):
                    read(detect(content, own), content, own, inside(here))
            return Extraction((), ())

        return take

    try:
        read(detect(data, path), data, path, inside(""))
    except ExtractError:
        raise
    except Exception as error:
        raise ExtractError(Reason.BROKEN, f"cannot be read: {type(error).__name__}: {error}") from error
    return found[0] if found else None


def _member(data: bytes, path: str, member: str, archives: bool, depth: int, readers: set[str]) -> Extraction:
    """The documents in a file inside the file at `path`, under names that say where they are."""
    try:
        if depth > _DEEPEST:
            raise ExtractError(Reason.UNSUPPORTED, "a file in a file in a file: too deep")
        found = _extract(data, member, archives, depth, readers)
    except ExtractError as error:
        return Extraction((), (Skipped(path, error.reason, error.detail, member),))
    return Extraction(
        tuple(replace(one, member=_joined(member, one.member)) for one in found.documents),
        tuple(replace(one, path=path, member=_joined(member, one.member)) for one in found.skipped),
    )


def _joined(outer: str, inner: str) -> str:
    return f"{outer}/{inner}" if inner else outer


def _with_text(extraction: Extraction) -> Extraction:
    documents = tuple(_sorted(document) for document in extraction.documents if document.text.strip())
    if documents or extraction.skipped:
        return replace(extraction, documents=documents)
    raise ExtractError(Reason.NO_TEXT, "holds no text")


def _sorted(document: Extracted) -> Extracted:
    return replace(
        document,
        headings=tuple(sorted(document.headings, key=lambda heading: heading.start)),
        pages=tuple(sorted(document.pages, key=lambda page: page.start)),
    )
