"""Calendars and address cards: what people read of them, without the machinery around it."""

from __future__ import annotations

import quopri
import re
from collections.abc import Iterator
from typing import NamedTuple

from kosearch.extract.builder import LINE, TextBuilder
from kosearch.extract.containers import standard
from kosearch.extract.decoding import decode
from kosearch.records import Extraction

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
        created = created or _moment(_raw(entry, "CREATED") or _raw(entry, "DTSTAMP"))
        times = [_moment(_raw(entry, name)) for name in ("DTSTART", "DTEND", "DUE")]
        builder.add(" – ".join(dict.fromkeys(time for time in times if time)), gap=LINE)
        _write(builder, entry, _EVENT_LINES)
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
            _write(builder, card, _CARD_LINES)
    return Extraction((builder.document("vcard", warnings=decoded.warnings),))


def _write(builder: TextBuilder, entry: list[Property], names: list[str]) -> None:
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
    for one in _properties(text):
        if one.name == "BEGIN":
            open_.append((one.value.strip().upper(), []))
        elif one.name == "END" and open_:
            yield open_.pop()
        elif open_:
            open_[-1][1].append(one)
    yield from reversed(open_)


def _properties(text: str) -> Iterator[Property]:
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


def _moment(value: str) -> str:
    found = _MOMENT.match(value)
    if not found:
        return ""
    year, month, day, hour, minute = found.groups()
    return f"{year}-{month}-{day}" + (f" {hour}:{minute}" if hour else "")
