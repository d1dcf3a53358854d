"""Mail: a message is a document, its attachments are documents inside it; mailboxes and saved web pages too."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from email import message_from_bytes
from email.errors import HeaderParseError
from email.header import decode_header
from email.message import Message
from email.utils import collapse_rfc2231_value, parsedate_to_datetime

from kosearch.extract import ExtractError, Inside, html
from kosearch.extract.builder import LINE, TextBuilder
from kosearch.extract.containers import standard
from kosearch.extract.decoding import decode
from kosearch.records import Extracted, Extraction, Reason, Skipped

_SHOWN = ("From", "To", "Cc", "Date")
_MESSAGE_START = re.compile(rb"^From [^\n]{0,300}\n(?=[\w-]+:)", re.MULTILINE)
_MOST_ATTACHMENTS = 200
_MOST_PARTS = 1000
_LONGEST_HEADER = 20_000
"""Characters: RFC 5322 has 998 a line; the time that encoded words take grows with their number's square."""


def read(data: bytes, path: str, inside: Inside) -> Extraction:
    """One message (RFC 5322)."""
    return _message(data, inside, "")


def read_mbox(data: bytes, path: str, inside: Inside) -> Extraction:
    """A mailbox (RFC 4155): every message a document."""
    starts = [match.start() for match in _MESSAGE_START.finditer(data)]
    if not starts:
        raise ExtractError(Reason.BROKEN, "a mailbox without a message")
    found = []
    for number, (start, end) in enumerate(zip(starts, [*starts[1:], len(data)], strict=True), 1):
        message = data[start:end].partition(b"\n")[2].replace(b"\n>From ", b"\nFrom ")
        found.append(_message(message, inside, f"message {number}"))
    return Extraction(
        tuple(document for one in found for document in one.documents),
        tuple(skipped for one in found for skipped in one.skipped),
    )


def read_mhtml(data: bytes, path: str) -> Extraction:
    """A web page saved as one file (RFC 2557)."""
    for part in _parts(message_from_bytes(data)):
        if part.get_content_type() == "text/html":
            return Extraction((html.page(_payload(part), declared=part.get_content_charset() or ""),))
    raise ExtractError(Reason.NO_TEXT, "a saved web page without a page")


def _message(data: bytes, inside: Inside, member: str) -> Extraction:
    message = message_from_bytes(data)
    parts = list(_parts(message))
    attachments = [part for part in parts if _is_attachment(part)][:_MOST_ATTACHMENTS]
    documents = [_body(message, [part for part in parts if not _is_attachment(part)], member)]
    skipped: list[Skipped] = []
    for number, part in enumerate(attachments, 1):
        name = "/".join(filter(None, (member, _name(part) or f"attachment {number}")))
        found = inside(name, _payload(part))
        documents += found.documents
        skipped += found.skipped
    return Extraction(tuple(documents), tuple(skipped))


def _body(message: Message, parts: list[Message], member: str) -> Extracted:
    builder = TextBuilder()
    subject = _header(message, "Subject")
    builder.heading(subject, 1)
    for name in _SHOWN:
        if value := _header(message, name):
            builder.add(f"{name}: {value}", gap=LINE)
    warnings: tuple[str, ...] = ()
    plain = [part for part in parts if part.get_content_type() == "text/plain" and _payload(part).strip()]
    for part in plain:
        decoded = decode(_payload(part), declared=part.get_content_charset() or "")
        warnings += decoded.warnings
        builder.add(decoded.text)
    for part in () if plain else parts:
        if part.get_content_type() == "text/html":
            builder.append(html.page(_payload(part), declared=part.get_content_charset() or ""))
    metadata = standard({"author": _header(message, "From"), "created": _date(message)})
    return replace(builder.document("mail", title=subject, metadata=metadata, warnings=warnings), member=member)


def _parts(message: Message) -> Iterator[Message]:
    """The parts that hold something, messages inside the message whole."""
    waiting = [message]
    for _ in range(_MOST_PARTS):
        if not waiting:
            return
        part = waiting.pop(0)
        if part.is_multipart() and part.get_content_type() != "message/rfc822":
            waiting[:0] = [inner for inner in part.get_payload() if isinstance(inner, Message)]
        else:
            yield part


def _is_attachment(part: Message) -> bool:
    if part.get_content_type() == "message/rfc822" or part.get_content_disposition() == "attachment":
        return True
    text = part.get_content_maintype() == "text"
    return bool(part.get_filename()) and not (text or part.get_content_maintype() == "image")


def _payload(part: Message) -> bytes:
    if part.is_multipart():  # a message inside the message
        inner = part.get_payload()
        return b"".join(one.as_bytes() for one in inner if isinstance(one, Message))
    payload = part.get_payload(decode=True)
    return payload if isinstance(payload, bytes) else b""


def _name(part: Message) -> str:
    name = part.get_filename()
    if name is None:
        return _header(part.get_payload(0), "Subject") + ".eml" if part.is_multipart() else ""  # type: ignore[arg-type]
    return _words(collapse_rfc2231_value(name)).replace("/", "_")


def _header(message: Message, name: str) -> str:
    for key, value in message.raw_items():
        if key.lower() == name.lower():
            return _words(str(value)[:_LONGEST_HEADER])
    return ""


def _words(value: str) -> str:
    """A header's text: encoded words (RFC 2047) decoded, and bare 8-bit text of old programs too."""
    if not value.isascii():
        value = _header_text(value.encode("utf-8", "surrogateescape"))
    try:
        words = decode_header(value)
    except HeaderParseError:
        words = [(value, None)]
    parts = []
    for text, encoding in words:
        parts.append(text if isinstance(text, str) else _header_text(text, encoding or ""))
    return " ".join("".join(parts).split())


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
