"""Outlook's own files: messages (.msg, [MS-OXMSG]) and what it packs into winmail.dat (TNEF, [MS-OXTNEF])."""

from __future__ import annotations

import re
import struct
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any

from kosearch.extract import html
from kosearch.extract.builder import LINE, TextBuilder
from kosearch.extract.containers import standard
from kosearch.extract.contract import ExtractError, Inside
from kosearch.extract.decoding import decode
from kosearch.records import Extracted, Extraction, Reason, Skipped

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
_MOST_ATTACHMENTS = 200
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
    body = replace(_body(item), member=member)
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


def _dated(attached: Extracted, body: Extracted) -> Extracted:
    date = body.metadata.get("created")
    if not date or {"created", "modified"} & set(attached.metadata):
        return attached
    return replace(attached, metadata={**attached.metadata, "created": date})


def _body(item: _Item) -> Extracted:
    builder = TextBuilder()
    subject = item.text(_SUBJECT)
    builder.heading(subject, 1)
    sender = item.text(_SENT_AS, _SENDER)
    address = item.text(_SENT_AS_ADDRESS, _SENDER_ADDRESS)
    author = f"{sender} <{address}>" if sender and "@" in address and address != sender else sender or address
    date = next((one for number in (_SUBMITTED, _DELIVERED, _CREATED) if (one := _moment(item.values.get(number)))), "")
    for name, value in (("From", author), ("To", item.text(_TO)), ("Cc", item.text(_CC)), ("Date", date)):
        if value:
            builder.add(f"{name}: {value}", gap=LINE)
    warnings: tuple[str, ...] = ()
    if page := _page(item):
        builder.append(page)
        warnings = page.warnings
    else:
        builder.add(item.text(_BODY))
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


def _moment(value: Value | None) -> str:
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
    return dict(_properties(data, item))


def _properties(data: bytes, item: _Item) -> Iterator[tuple[int, Value]]:
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
