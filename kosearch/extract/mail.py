"""Mail and what goes with it: messages, mailboxes, saved pages, Outlook's .msg and TNEF, calendars, address cards."""

from __future__ import annotations

import binascii
import quopri
import re
import struct
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from email import message_from_bytes
from email.errors import HeaderParseError
from email.header import decode_header
from email.message import Message
from email.utils import collapse_rfc2231_value, parsedate_to_datetime
from mimetypes import guess_extension
from typing import Any, NamedTuple

from kosearch.extract import MESSAGE_START, html
from kosearch.extract.containers import standard
from kosearch.extract.pictures import add_pictures
from kosearch.extract.text import LINE, ExtractError, Inside, TextBuilder, decode
from kosearch.records import Extracted, Extraction, Reason, Skipped

# Mail as Thunderbird shows it: a message is a document, its attachments are documents inside it; mailboxes too.

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
        html.page(_payload(part), declared=_charset(part), pictures=True)
        for part in _leaves(message)
        if part.get_content_type() in ("text/html", "application/xhtml+xml")
    ]
    if not pages:
        raise ExtractError(Reason.NO_TEXT, "a saved web page without a page")
    builder = TextBuilder()
    for page in pages:
        builder.append(page)
    add_pictures(builder, _pictures(message))
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
    warnings = _write(builder, parts, pictures=True)
    add_pictures(builder, _pictures(message))
    metadata = standard({"author": _header(message, "From"), "created": _date(message)})
    return replace(builder.document("mail", title=subject, metadata=metadata, warnings=warnings), member=member)


def _pictures(message: Message) -> Iterator[bytes]:
    """The pictures that a message shows; those that are attached are documents."""
    for part in _leaves(message):
        if part.get_content_maintype() == "image" and not _is_attachment(part):
            yield _payload(part)


def _write(builder: TextBuilder, parts: Iterable[Message], *, pictures: bool = False) -> list[str]:
    """Add what these parts show; returns what was uncertain about it."""
    warnings: list[str] = []
    for part in parts:
        payload, declared = _payload(part), _charset(part)
        try:
            if part.get_content_type() in ("text/html", "application/xhtml+xml"):
                page = html.page(payload, declared=declared, pictures=pictures)
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


# Outlook's own files: messages (.msg, [MS-OXMSG]) and what it packs into winmail.dat (TNEF, [MS-OXTNEF]).

# Properties by their numbers ([MS-OXPROPS]).
_SUBJECT, _BODY, _HTML, _RTF = 0x0037, 0x1000, 0x1013, 0x1009
_SENDER, _SENDER_ADDRESS, _SENT_AS, _SENT_AS_ADDRESS = 0x0C1A, 0x0C1F, 0x0042, 0x0065
_TO, _CC, _SUBMITTED, _DELIVERED, _CREATED = 0x0E04, 0x0E03, 0x0039, 0x0E06, 0x3007
_DATA, _LONG_NAME, _NAME, _SHOWN_NAME, _HIDDEN = 0x3701, 0x3707, 0x3704, 0x3001, 0x7FFE
_CODE_PAGE, _STRING8 = 0x3FFD, 0x001E
_INTEGER, _BOOLEAN, _OBJECT, _TIME, _UNICODE, _BINARY = 0x0003, 0x000B, 0x000D, 0x0040, 0x001F, 0x0102
_SIZES = {2: 2, 3: 4, 4: 4, 5: 8, 6: 8, 7: 8, 10: 4, 11: 2, 20: 8, 64: 8, 72: 16}
"""Bytes of a value, by its type."""
_EPOCH = datetime(1601, 1, 1, tzinfo=UTC)
_MESSAGE_HEADER, _INNER_HEADER, _ATTACHMENT_HEADER = 32, 24, 8
"""Bytes before the values of a fixed size."""
_LARGEST_RTF = 64 << 20

Value = str | bytes | int


@dataclass(slots=True)
class _Item:
    """A message or an attachment: its properties, and for a message what is attached to it."""

    values: dict[int, Value] = field(default_factory=dict)
    attached: list[_Item] = field(default_factory=list)
    message: _Item | None = None
    """An attachment that is a message itself."""
    code_page: str = ""

    def text(self, *numbers: int) -> str:
        for number in numbers:
            value = self.values.get(number)
            if isinstance(value, bytes):
                value = decode(value.rstrip(b"\0"), declared=self.code_page).text if value.strip(b"\0") else ""
            if isinstance(value, str) and value.strip("\0 "):
                return value.rstrip("\0")
        return ""

    def content(self, number: int) -> bytes:
        value = self.values.get(number)
        return value if isinstance(value, bytes) else b""


def read_msg(data: bytes, path: str, inside: Inside) -> Extraction:
    """A message that Outlook saved."""
    from dochan import cfb

    try:
        compound = cfb.OleFileIO(data)
        return _extraction(_stored(compound, (), _MESSAGE_HEADER), inside, "")
    except (OSError, ValueError, LookupError, struct.error) as error:
        raise ExtractError(Reason.BROKEN, f"a broken Outlook message: {error}") from error


def read_tnef(data: bytes, path: str, inside: Inside) -> Extraction:
    """What Outlook could not say in a plain mail: the body and the attachments of winmail.dat."""
    try:
        return _extraction(_packed(data), inside, "")
    except struct.error as error:
        raise ExtractError(Reason.BROKEN, "a winmail.dat that ends too early") from error


def _extraction(item: _Item, inside: Inside, member: str) -> Extraction:
    """The message as a document, and the documents in what is attached."""
    body = replace(_item_body(item), member=member)
    documents: list[Extracted] = [body] if body.text.strip() else []
    skipped: list[Skipped] = []
    for number, one in enumerate(item.attached[:_MOST_ATTACHMENTS], 1):
        if one.values.get(_HIDDEN):
            continue  # pictures that the page itself shows
        name = one.text(_LONG_NAME, _NAME, _SHOWN_NAME).replace("/", "_").replace("\\", "_") or f"attachment {number}"
        if one.message:
            inner = one.message.text(_SUBJECT) or name
            found = _extraction(one.message, inside, "/".join(filter(None, (member, f"{inner}.msg".replace("/", "_")))))
        else:
            found = inside("/".join(filter(None, (member, name))), one.content(_DATA))
        documents += (_dated(document, body) for document in found.documents)
        skipped += found.skipped
    return Extraction(tuple(documents), tuple(skipped))


def _item_body(item: _Item) -> Extracted:
    builder = TextBuilder()
    subject = item.text(_SUBJECT)
    builder.heading(subject, 1)
    sender = item.text(_SENT_AS, _SENDER)
    address = item.text(_SENT_AS_ADDRESS, _SENDER_ADDRESS)
    author = f"{sender} <{address}>" if sender and "@" in address and address != sender else sender or address
    date = next((one for number in (_SUBMITTED, _DELIVERED, _CREATED) if (one := _filed(item.values.get(number)))), "")
    for name, value in (("From", author), ("To", item.text(_TO)), ("Cc", item.text(_CC)), ("Date", date)):
        if value:
            builder.add(f"{name}: {value}", gap=LINE)
    warnings: tuple[str, ...] = ()
    if page := _page(item):
        builder.append(page)
        warnings = page.warnings
    else:
        builder.add(item.text(_BODY))
    add_pictures(builder, (one.content(_DATA) for one in item.attached if one.values.get(_HIDDEN)))
    metadata = standard({"author": author, "created": date})
    return builder.document("mail", title=subject, metadata=metadata, warnings=warnings)


def _page(item: _Item) -> Extracted | None:
    """The body that has the message's form: its page, or its RTF, where there is no plain text that says the same."""
    plain = item.text(_BODY)
    markup = item.values.get(_HTML)
    if isinstance(markup, str):
        markup = markup.encode()
    if isinstance(markup, bytes) and markup.strip(b"\0"):
        page = html.page(markup.rstrip(b"\0"), declared=item.code_page if item.code_page != "utf-16-le" else "")
        return None if plain and _says(plain, page.text) else page
    rich = item.content(_RTF)
    if plain or not rich:
        return None
    try:
        return _rich(uncompressed_rtf(rich))
    except (ExtractError, ValueError, IndexError, struct.error):
        return None


def _says(plain: str, shown: str) -> bool:
    """Whether the plain text has all words of the page."""
    words = set(re.findall(r"\w+", plain))
    return all(word in words for word in re.findall(r"\w+", shown))


def _rich(rtf: bytes) -> Extracted | None:
    """The text of RTF; of a page that it holds ([MS-OXRTFEX]) the words, without its tags."""
    from kosearch.extract.rtf import read

    documents = read(rtf, "body.rtf").documents
    return documents[0] if documents else None


def uncompressed_rtf(data: bytes) -> bytes:
    """RTF as [MS-OXRTFCP] packs it; raises ValueError where it is none."""
    _, size, kind = struct.unpack_from("<III", data)
    if kind == 0x414C454D:
        return data[16:]
    if kind != 0x75465A4C or size > _LARGEST_RTF:
        raise ValueError("no packed RTF")
    window = bytearray(_RTF_DICTIONARY.ljust(4096, b"\0"))
    place, write, out = 16, len(_RTF_DICTIONARY), bytearray()
    while place < len(data) and len(out) < size:
        control, place = data[place], place + 1
        for bit in range(8):
            if control >> bit & 1:
                (pair,) = struct.unpack_from(">H", data, place)
                place += 2
                start, length = pair >> 4, (pair & 15) + 2
                if start == write:
                    return bytes(out)
                copied = [0] * length
                for step in range(length):
                    copied[step] = window[(start + step) % 4096]
                    window[write] = copied[step]
                    write = (write + 1) % 4096
                out += bytes(copied)
            elif place < len(data):
                out.append(data[place])
                window[write] = data[place]
                write, place = (write + 1) % 4096, place + 1
    return bytes(out)


_RTF_DICTIONARY = (
    b"{\\rtf1\\ansi\\mac\\deff0\\deftab720{\\fonttbl;}{\\f0\\fnil \\froman \\fswiss \\fmodern \\fscript \\fdecor "
    b"MS Sans SerifSymbolArialTimes New RomanCourier{\\colortbl\\red0\\green0\\blue0\r\n\\par "
    b"\\pard\\plain\\f0\\fs20\\b\\i\\u\\tab\\tx"
)


def _stored(compound: Any, folder: tuple[str, ...], header: int, depth: int = 0) -> _Item:
    """The item whose streams lie in this folder of a compound file."""
    item = _Item()
    names = [entry for entry in compound.listdir(streams=True, storages=True) if tuple(entry[: len(folder)]) == folder]
    here = {entry[len(folder)] for entry in names if len(entry) > len(folder)}
    _fixed_values(
        item, _stream(compound, (*folder, "__properties_version1.0")), 32 if not folder else 24 if depth else 8
    )
    for name in here:
        found = re.fullmatch(r"__substg1\.0_([0-9A-Fa-f]{4})([0-9A-Fa-f]{4})", name)
        if not found:
            continue
        number, kind = int(found[1], 16), int(found[2], 16)
        if kind == _UNICODE:
            item.values[number] = _stream(compound, (*folder, name)).decode("utf-16-le", "replace")
        elif kind in (_STRING8, _BINARY):
            item.values[number] = _stream(compound, (*folder, name))
        elif kind == _OBJECT and depth < 4 and compound.exists([*folder, name, "__properties_version1.0"]):
            item.message = _stored(compound, (*folder, name), _INNER_HEADER, depth + 1)
    for name in sorted(one for one in here if one.startswith("__attach_version1.0_"))[:_MOST_ATTACHMENTS]:
        item.attached.append(_stored(compound, (*folder, name), _ATTACHMENT_HEADER, depth))
    _set_code_page(item)
    return item


def _stream(compound: Any, place: tuple[str, ...]) -> bytes:
    return bytes(compound.openstream(list(place)).read()) if compound.exists(list(place)) else b""


def _fixed_values(item: _Item, data: bytes, header: int) -> None:
    """The values of a fixed size, which stand in one stream."""
    for place in range(header, len(data) - 15, 16):
        kind, number, _, value = struct.unpack_from("<HHIQ", data, place)
        if kind in (_INTEGER, _BOOLEAN, _TIME):
            item.values[number] = value if kind == _TIME else value & 0xFFFFFFFF


def _set_code_page(item: _Item) -> None:
    page = item.values.get(_CODE_PAGE)
    if isinstance(page, int):
        item.code_page = {1200: "utf-16-le", 65001: "utf-8", 51949: "cp949"}.get(page, f"cp{page}")


def _filed(value: Value | None) -> str:
    if not isinstance(value, int) or not value:
        return ""
    try:
        return (_EPOCH + timedelta(microseconds=value // 10)).isoformat(timespec="seconds")
    except OverflowError:
        return ""


# TNEF: attributes of a message (level 1) and of its attachments (level 2), each with a checksum behind it.
_SIGNATURE = b"\x78\x9f\x3e\x22"
_MAPI_PROPERTIES, _ATTACHMENT_PROPERTIES, _RENDERING = 0x9003, 0x9005, 0x9002
_PLAIN = {0x8004: _SUBJECT, 0x800C: _BODY}
_ATTACHED = {0x8010: _SHOWN_NAME, 0x800F: _DATA}


def _packed(data: bytes) -> _Item:
    """The message in a TNEF stream."""
    if not data.startswith(_SIGNATURE):
        raise ExtractError(Reason.BROKEN, "not TNEF")
    item, place = _Item(), 6
    attachment: _Item | None = None
    while place + 9 <= len(data):
        level, attribute, size = struct.unpack_from("<BII", data, place)
        value, place = data[place + 9 : place + 9 + size], place + size + 11
        number = attribute & 0xFFFF
        if level == 1 and number == 0x9007 and len(value) >= 4:
            item.code_page = f"cp{struct.unpack_from('<I', value)[0]}"
        elif level == 1 and number in _PLAIN:
            item.values.setdefault(_PLAIN[number], value)
        elif level == 1 and number == _MAPI_PROPERTIES:
            item.values |= _mapi(value, item)
        elif level == 2 and number == _RENDERING:
            item.attached.append(attachment := _Item(code_page=item.code_page))
        elif level == 2:
            if attachment is None:
                item.attached.append(attachment := _Item(code_page=item.code_page))
            if number in _ATTACHED:
                attachment.values[_ATTACHED[number]] = value
            elif number == _ATTACHMENT_PROPERTIES:
                attachment.values |= _mapi(value, attachment)
    return item


def _mapi(data: bytes, item: _Item) -> Mapping[int, Value]:
    """The properties that an attribute packs."""
    return dict(_tnef_properties(data, item))


def _tnef_properties(data: bytes, item: _Item) -> Iterator[tuple[int, Value]]:
    (count,) = struct.unpack_from("<I", data)
    place = 4
    for _ in range(min(count, 10_000)):
        kind, number = struct.unpack_from("<HH", data, place)
        place += 4
        if number >= 0x8000:  # named: a GUID, and a number or a name
            (by_name,) = struct.unpack_from("<I", data, place + 16)
            (size,) = struct.unpack_from("<I", data, place + 20)
            place += 24 + (_padded(size) if by_name else 0)
        several, kind = bool(kind & 0x1000), kind & 0xEFFF
        if not several and kind in _SIZES:
            size = _SIZES[kind]
            value = int.from_bytes(data[place : place + size], "little")
            place += max(4, size)
            yield number, value
            continue
        values, sized = 1, kind in (_STRING8, _UNICODE, _BINARY, _OBJECT)
        if several or sized:
            (values,) = struct.unpack_from("<I", data, place)
            place += 4
        for _ in range(min(values, 10_000)):
            size = _SIZES.get(kind, 4)
            if sized:
                (size,) = struct.unpack_from("<I", data, place)
                place += 4
            raw = data[place : place + size]
            place += _padded(size)
            if kind == _UNICODE:
                yield number, raw.decode("utf-16-le", "replace")
            elif kind == _OBJECT:  # an interface's name, then a message in the same form
                if raw[16:20] == _SIGNATURE:
                    item.message = _packed(raw[16:])
                else:
                    yield number, raw[16:]
            elif sized:
                yield number, raw


def _padded(size: int) -> int:
    return (size + 3) & ~3


# Calendars and address cards: what people read of them, without the machinery around it.

_FOLD = re.compile(r"\r?\n[ \t]")
_SOFT_BREAK = re.compile(r"=\r?\n[ \t]?")
_PROPERTY = re.compile(r"(?:[\w-]+\.)?([A-Za-z0-9-]+)((?:;(?:[^\":;]|\"[^\"]*\")*)*):(.*)", re.DOTALL)
_ESCAPED = re.compile(r"\\([nN\\,;:])")
_MOMENT = re.compile(r"(\d{4})-?(\d\d)-?(\d\d)(?:T(\d\d):?(\d\d))?")
_ENTRIES = frozenset(("VEVENT", "VTODO", "VJOURNAL"))
_EVENT_LINES = str.split("LOCATION ORGANIZER ATTENDEE CATEGORIES STATUS DESCRIPTION COMMENT CONTACT RESOURCES URL")
_CARD_LINES = str.split("NICKNAME ORG TITLE ROLE TEL EMAIL ADR BDAY ANNIVERSARY NOTE URL CATEGORIES")


class Property(NamedTuple):
    """A line of a card or calendar: its name, its parameters in capitals, its value as written."""

    name: str
    parameters: str
    value: str


def read_calendar(data: bytes, path: str) -> Extraction:
    """iCalendar (RFC 5545) and vCalendar: each entry's title, time, place and text."""
    decoded = decode(data)
    builder = TextBuilder()
    title, created = "", ""
    for kind, entry in _components(decoded.text):
        if kind == "VCALENDAR":
            title = title or _text(entry, "X-WR-CALNAME")
        if kind not in _ENTRIES:
            continue
        builder.heading(_text(entry, "SUMMARY"), 1)
        created = created or _stamp(_raw(entry, "CREATED") or _raw(entry, "DTSTAMP"))
        times = [_stamp(_raw(entry, name)) for name in ("DTSTART", "DTEND", "DUE")]
        builder.add(" – ".join(dict.fromkeys(time for time in times if time)), gap=LINE)
        _write_entry(builder, entry, _EVENT_LINES)
    metadata = standard({"created": created.replace(" ", "T")})
    return Extraction((builder.document("calendar", title=title, metadata=metadata, warnings=decoded.warnings),))


def read_vcard(data: bytes, path: str) -> Extraction:
    """Address cards (RFC 6350 and older): a name and what is known of it."""
    decoded = decode(data)
    builder = TextBuilder()
    for kind, card in _components(decoded.text):
        if kind == "VCARD":
            name = _text(card, "FN") or " ".join(part for part in _text(card, "N").split(";") if part)
            builder.heading(name or _text(card, "ORG"), 1)
            _write_entry(builder, card, _CARD_LINES)
    return Extraction((builder.document("vcard", warnings=decoded.warnings),))


def _write_entry(builder: TextBuilder, entry: list[Property], names: list[str]) -> None:
    for name in names:
        for one in entry:
            if one.name == name:
                value = _value(one)
                if name in ("ADR", "ORG"):
                    value = " ".join(part.strip() for part in value.split(";") if part.strip())
                elif name in ("ATTENDEE", "ORGANIZER"):
                    known = re.search(r";CN=(\"[^\"]*\"|[^;:]*)", one.parameters, re.IGNORECASE)
                    value = f"{known[1].strip(chr(34))} <{_address(value)}>" if known else _address(value)
                builder.add(value, gap=LINE)


def _address(value: str) -> str:
    return re.sub(r"(?i)\Amailto:", "", value)


def _components(text: str) -> Iterator[tuple[str, list[Property]]]:
    """Each component with its own lines, when it ends; what an entry holds (alarms) is not the entry's."""
    open_: list[tuple[str, list[Property]]] = []
    for one in _content_lines(text):
        if one.name == "BEGIN":
            open_.append((one.value.strip().upper(), []))
        elif one.name == "END" and open_:
            yield open_.pop()
        elif open_:
            open_[-1][1].append(one)
    yield from reversed(open_)


def _content_lines(text: str) -> Iterator[Property]:
    text = text.replace("\r\n", "\n")
    lines = _FOLD.sub("", text).split("\n")
    waiting = ""
    for part in lines:
        line = waiting + part
        found = _PROPERTY.fullmatch(line)
        quoted = found is not None and "QUOTED-PRINTABLE" in found[2].upper()
        if quoted and line.endswith("="):  # a soft break of the older formats
            waiting = line[:-1]
            continue
        waiting = ""
        if found:
            yield Property(found[1].upper(), found[2], found[3])


def _raw(entry: list[Property], name: str) -> str:
    return next((one.value for one in entry if one.name == name), "")


def _text(entry: list[Property], name: str) -> str:
    return next((value for one in entry if one.name == name and (value := _value(one).strip())), "")


def _value(one: Property) -> str:
    parameters = one.parameters.upper()
    value = one.value
    if "QUOTED-PRINTABLE" in parameters:
        charset = re.search(r"CHARSET=\"?([\w.:-]+)", parameters)
        raw = quopri.decodestring(value.encode("utf-8", "surrogatepass"))
        value = decode(raw, declared=charset[1] if charset else "").text if raw.strip() else ""
    elif "ENCODING=B" in parameters or "VALUE=BINARY" in parameters:
        return ""
    return _ESCAPED.sub(lambda found: "\n" if found[1] in "nN" else found[1], value)


def _stamp(value: str) -> str:
    found = _MOMENT.match(value)
    if not found:
        return ""
    year, month, day, hour, minute = found.groups()
    return f"{year}-{month}-{day}" + (f" {hour}:{minute}" if hour else "")
