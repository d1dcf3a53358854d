"""Mail as Thunderbird shows it: a message is a document, its attachments are documents inside it; mailboxes too."""

from __future__ import annotations

import binascii
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from email import message_from_bytes
from email.errors import HeaderParseError
from email.header import decode_header
from email.message import Message
from email.utils import collapse_rfc2231_value, parsedate_to_datetime
from mimetypes import guess_extension

from kosearch.extract import html
from kosearch.extract.builder import LINE, TextBuilder
from kosearch.extract.containers import standard
from kosearch.extract.contract import ExtractError, Inside
from kosearch.extract.decoding import decode
from kosearch.extract.formats import MESSAGE_START
from kosearch.records import Extracted, Extraction, Reason, Skipped

_SHOWN = ("From", "To", "Cc", "Date")
_QUOTED_FROM = re.compile(rb"^>(>*From )", re.MULTILINE)
_APPLE_SIZE = re.compile(rb"\A(\d{1,10})[ \t]*\r?\n")
_MOST_ATTACHMENTS = 200
_MOST_PARTS = 1000
_LONGEST_HEADER = 20_000
"""Characters: RFC 5322 has 998 a line; the time that encoded words take grows with their number's square."""
_SIGNATURES = frozenset(("application/pkcs7-signature", "application/x-pkcs7-signature", "application/pgp-signature"))
_DOCUMENTS = frozenset(("text/calendar", "text/csv", "text/vcard", "text/x-vcard", "application/ms-tnef"))
_TWIN = 0.9
"""A plain text that has this share of the page's words says what the page says."""


def read(data: bytes, path: str, inside: Inside) -> Extraction:
    """One message (RFC 5322); Apple Mail writes its size in front of it."""
    if size := _APPLE_SIZE.match(data):
        data = data[size.end() :][: int(size[1])]
    return _message(data, inside, "")


def read_mbox(data: bytes, path: str, inside: Inside) -> Extraction:
    """A mailbox (RFC 4155): every message a document."""
    starts = list(MESSAGE_START.finditer(data))
    if not starts:
        raise ExtractError(Reason.BROKEN, "a mailbox without a message")
    ends = [*(found.start() for found in starts[1:]), len(data)]
    found = [
        _message(_QUOTED_FROM.sub(rb"\1", data[start.end() : end]), inside, f"message {number}")
        for number, (start, end) in enumerate(zip(starts, ends, strict=True), 1)
    ]
    return Extraction(
        tuple(document for one in found for document in one.documents),
        tuple(skipped for one in found for skipped in one.skipped),
    )


def read_mhtml(data: bytes, path: str) -> Extraction:
    """A web page saved as one file (RFC 2557), with its frames."""
    message = message_from_bytes(data)
    pages = [
        html.page(_payload(part), declared=_charset(part))
        for part in _leaves(message)
        if part.get_content_type() in ("text/html", "application/xhtml+xml")
    ]
    if not pages:
        raise ExtractError(Reason.NO_TEXT, "a saved web page without a page")
    builder = TextBuilder()
    for page in pages:
        builder.append(page)
    title = next((page.title for page in pages if page.title), "") or _header(message, "Subject")
    metadata = {"created": _date(message), **pages[0].metadata}
    warnings = [warning for page in pages for warning in page.warnings]
    return Extraction((builder.document("html", title=title, metadata=metadata, warnings=warnings),))


@dataclass(slots=True)
class _Parts:
    """The parts of a message: what is shown of it, and what is attached."""

    shown: list[Message] = field(default_factory=list)
    attached: list[Message] = field(default_factory=list)
    left: int = _MOST_PARTS

    def add(self, part: Message) -> None:
        """Sort a part and the parts in it."""
        self.left -= 1
        kind = part.get_content_type()
        if self.left < 0 or kind in _SIGNATURES:
            return
        if _is_attachment(part):
            self.attached.append(part)
        elif kind == "multipart/alternative":
            self._alternative(part)
        elif part.is_multipart() and part.get_content_maintype() == "multipart":
            for inner in _inner(part):
                self.add(inner)
        else:
            self.shown.append(part)

    def _alternative(self, part: Message) -> None:
        """One of several forms of one text is shown; what is attached to any of them counts."""
        forms = []
        for inner in _inner(part):
            form = _Parts(left=self.left)
            form.add(inner)
            self.left = form.left
            self.attached += form.attached
            forms.append(form.shown)
        self.shown += _best_form(forms)


def _best_form(forms: Sequence[list[Message]]) -> list[Message]:
    """The page, unless the plain text says all that it says; the last of each counts, as RFC 2046 has it."""
    plain, page = (
        next((form for form in reversed(forms) if any(one.get_content_type() == kind for one in form)), [])
        for kind in ("text/plain", "text/html")
    )
    plain_text, page_text = (_text_of(form) for form in (plain, page))
    if not page_text or not plain_text:
        return (page if page_text else plain) or next(iter(forms), [])
    said, words = set(re.findall(r"\w+", plain_text)), re.findall(r"\w+", page_text)
    return plain if sum(word in said for word in words) >= _TWIN * len(words) else page


def _text_of(parts: Iterable[Message]) -> str:
    builder = TextBuilder()
    _write(builder, parts)
    return builder.text


def _message(data: bytes, inside: Inside, member: str) -> Extraction:
    message = message_from_bytes(data)
    parts = _Parts()
    parts.add(message)
    body = _body(message, parts.shown, member)
    documents: list[Extracted] = []
    skipped: list[Skipped] = []
    for number, part in enumerate(parts.attached[:_MOST_ATTACHMENTS], 1):
        name = "/".join(filter(None, (member, _name(part) or _unnamed(part, number))))
        found = inside(name, _payload(part))
        documents += (_dated(one, body) for one in found.documents)
        skipped += found.skipped
    return Extraction((body, *documents), tuple(skipped))


def _dated(attached: Extracted, body: Extracted) -> Extracted:
    """An attachment that states no date came on its mail's."""
    date = body.metadata.get("created")
    if not date or {"created", "modified"} & set(attached.metadata):
        return attached
    return replace(attached, metadata={**attached.metadata, "created": date})


def _body(message: Message, parts: Sequence[Message], member: str) -> Extracted:
    builder = TextBuilder()
    subject = _header(message, "Subject")
    builder.heading(subject, 1)
    for name in _SHOWN:
        if value := _header(message, name):
            builder.add(f"{name}: {value}", gap=LINE)
    warnings = _write(builder, parts)
    metadata = standard({"author": _header(message, "From"), "created": _date(message)})
    return replace(builder.document("mail", title=subject, metadata=metadata, warnings=warnings), member=member)


def _write(builder: TextBuilder, parts: Iterable[Message]) -> list[str]:
    """Add what these parts show; returns what was uncertain about it."""
    warnings: list[str] = []
    for part in parts:
        payload, declared = _payload(part), _charset(part)
        try:
            if part.get_content_type() in ("text/html", "application/xhtml+xml"):
                page = html.page(payload, declared=declared)
                builder.append(page)
                warnings += page.warnings
            elif part.get_content_maintype() in ("text", "message"):
                decoded = decode(payload, declared=declared)
                builder.add(decoded.text)
                warnings += decoded.warnings
        except ExtractError as error:  # the other parts may be read all the same
            warnings.append(f"a part is not read: {error.detail}")
    return warnings


def _leaves(message: Message) -> Iterator[Message]:
    """The parts that hold something, messages inside the message whole."""
    waiting = [message]
    for _ in range(_MOST_PARTS):
        if not waiting:
            return
        part = waiting.pop(0)
        if part.is_multipart() and part.get_content_type() != "message/rfc822":
            waiting[:0] = _inner(part)
        else:
            yield part


def _inner(part: Message) -> list[Message]:
    payload = part.get_payload()
    return [one for one in payload if isinstance(one, Message)] if isinstance(payload, list) else []


def _is_attachment(part: Message) -> bool:
    """Whether a part is a document of its own: not the pictures of a page, nor what stands in the message itself."""
    kind, main = part.get_content_type(), part.get_content_maintype()
    if main == "multipart":
        return False
    if kind == "message/rfc822" or part.get_content_disposition() == "attachment":
        return True
    if main == "image":
        return False
    return bool(_name(part)) or kind in (
        "text/calendar",
        "text/csv",
        "text/vcard",
        "text/x-vcard",
        "application/ms-tnef",
    )


def _unnamed(part: Message, number: int) -> str:
    suffix = {"text/calendar": ".ics", "application/ms-tnef": ".dat"}.get(part.get_content_type())
    return f"attachment {number}{suffix or guess_extension(part.get_content_type()) or ''}"


def _payload(part: Message) -> bytes:
    if not part.is_multipart():
        payload = part.get_payload(decode=True)
        return payload if isinstance(payload, bytes) else b""
    inner = _inner(part)
    packed = str(part.get("Content-Transfer-Encoding", "")).strip().lower() == "base64"
    if packed and len(inner) == 1 and not inner[0].keys():  # no program may do so, and many do
        text = inner[0].get_payload()
        try:
            return binascii.a2b_base64(text) if isinstance(text, str) else b""
        except ValueError:
            return b""
    return b"\n".join(one.as_bytes() for one in inner)


def _charset(part: Message) -> str:
    return part.get_content_charset() or ""


def _name(part: Message) -> str:
    """The file name of a part, however its program wrote it; that of a message is its subject."""
    for header, parameter in (("Content-Disposition", "filename"), ("Content-Type", "name")):
        raw = next((str(value) for key, value in part.raw_items() if key.lower() == header.lower()), "")
        readable = Message()
        readable[header] = " ".join((raw if raw.isascii() else _raw_text(raw)).split())
        name = readable.get_param(parameter, header=header)
        if name:
            return " ".join(_words(collapse_rfc2231_value(name)).replace("/", "_").split())
    if part.get_content_type() == "message/rfc822" and (inner := _inner(part)):
        return (_header(inner[0], "Subject") or "message") + ".eml"
    return ""


def _header(message: Message, name: str) -> str:
    for key, value in message.raw_items():
        if key.lower() == name.lower():
            return _words(str(value)[:_LONGEST_HEADER])
    return ""


def _words(value: str) -> str:
    """A header's text: encoded words (RFC 2047) decoded, and bare text of old programs too."""
    value = _raw_text(value)
    try:
        words = decode_header(value)
    except (HeaderParseError, ValueError):
        words = [(value, None)]
    parts = []
    for text, encoding in words:
        parts.append(text if isinstance(text, str) else _header_text(text, encoding or ""))
    return " ".join("".join(parts).split())


def _raw_text(value: str) -> str:
    """A header as it came, its bytes of no stated encoding read; with escapes (ISO 2022) they are ASCII, too."""
    if value.isascii() and "\x1b" not in value:
        return value
    return _header_text(value.encode("utf-8", "surrogateescape"))


def _header_text(raw: bytes, declared: str = "") -> str:
    """A header's bytes as text: control characters or letters of no known encoding do not cost the message."""
    try:
        return decode(raw, declared=declared).text
    except ExtractError:
        return raw.decode("utf-8", "replace")


def _date(message: Message) -> str:
    try:
        return parsedate_to_datetime(_header(message, "Date")).isoformat()
    except ValueError:
        return ""
