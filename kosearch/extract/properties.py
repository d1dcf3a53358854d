"""Title, author, dates and language as documents state them beside their text."""

from __future__ import annotations

import struct
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from xml.etree.ElementTree import Element

from kosearch.extract import ExtractError
from kosearch.extract.metadata import standard
from kosearch.extract.packages import Package
from kosearch.extract.safexml import attribute, local, parse_xml

_PARTS = ("docProps/core.xml", "meta.xml", "Contents/content.hpf")
"""OOXML (ECMA-376 part 2, 11), OpenDocument (1.3 part 2, 4.3) and HWPX, whose metadata part is an OPF package."""
_NAMES = {
    "title": "title",
    "creator": "author",
    "initial-creator": "author",
    "created": "created",
    "creation-date": "created",
    "CreatedDate": "created",
    "modified": "modified",
    "date": "modified",
    "ModifiedDate": "modified",
    "language": "language",
}
# Identifiers of [MS-OLEPS] 2.25.1, which HWP's own summary stream shares.
_TITLE, _AUTHOR, _CREATED, _SAVED = 2, 4, 12, 13
_SUMMARIES = ("\x05HwpSummaryInformation", "\x05SummaryInformation")
_CODE_PAGE = 1
_VT_I2, _VT_LPSTR, _VT_LPWSTR, _VT_FILETIME = 2, 30, 31, 64
_MOST_PROPERTIES = 200
_EPOCH = datetime(1601, 1, 1, tzinfo=UTC)


def of_package(package: Package) -> tuple[str, dict[str, str]]:
    """The title and standard fields of a ZIP package."""
    for part in _PARTS:
        if part in package:
            try:
                return of_elements(parse_xml(package.read(part)))
            except ExtractError:
                break
    return "", {}


def of_elements(root: Element) -> tuple[str, dict[str, str]]:
    """The title and standard fields among these XML elements."""
    found: dict[str, str] = {}
    for element in root.iter():
        stated = attribute(element, "name") or attribute(element, "property") if local(element) == "meta" else ""
        name = _NAMES.get(stated.rpartition(":")[2] or local(element))
        text = (element.text or "").strip()
        if name and text:
            found.setdefault(name, text)
    return _titled(found)


def of_compound(data: bytes) -> tuple[str, dict[str, str]]:
    """The title and standard fields of an OLE compound file, "" and nothing when its summary cannot be read."""
    from dochan import cfb

    try:
        compound = cfb.OleFileIO(data)
    except Exception:  # noqa: BLE001 - dochan raises errors of many kinds on damaged files
        return "", {}
    for name in _SUMMARIES:
        try:
            if compound.exists(name):
                return _titled(_property_set(compound.openstream(name).read()))
        except Exception:  # noqa: BLE001
            continue
    return "", {}


def _titled(found: Mapping[str, str]) -> tuple[str, dict[str, str]]:
    return " ".join(found.get("title", "").split()), standard(found)


def _property_set(data: bytes) -> dict[str, str]:
    """The first section of a property set ([MS-OLEPS] 2.21)."""
    (base,) = struct.unpack_from("<I", data, 44)
    (count,) = struct.unpack_from("<I", data, base + 4)
    places = dict(struct.unpack_from("<II", data, base + 8 + 8 * row) for row in range(min(count, _MOST_PROPERTIES)))
    encoding = "cp949"
    if _CODE_PAGE in places:
        (page,) = struct.unpack_from("<H", data, base + places[_CODE_PAGE] + 4)
        encoding = {1200: "utf-16-le", 65001: "utf-8"}.get(page, f"cp{page}")
    values = {
        key: _value(data, base + places[key], encoding) for key in (_TITLE, _AUTHOR, _CREATED, _SAVED) if key in places
    }
    return {
        name: values[key]
        for key, name in ((_TITLE, "title"), (_AUTHOR, "author"), (_CREATED, "created"), (_SAVED, "modified"))
        if values.get(key)
    }


def _value(data: bytes, place: int, encoding: str) -> str:
    kind, size = struct.unpack_from("<II", data, place)
    if kind == _VT_LPWSTR:
        return data[place + 8 : place + 8 + 2 * size].decode("utf-16-le", "replace").rstrip("\0")
    if kind == _VT_LPSTR:
        return data[place + 8 : place + 8 + size].decode(encoding, "replace").rstrip("\0")
    if kind == _VT_FILETIME:
        (ticks,) = struct.unpack_from("<Q", data, place + 4)
        return (_EPOCH + timedelta(microseconds=ticks // 10)).isoformat(timespec="seconds") if ticks else ""
    return ""
