"""What documents come in, opened with limits: ZIP packages, XML that nobody vouches for, and stated properties."""

from __future__ import annotations

import io
import struct
import zipfile
import zlib
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from xml.etree.ElementTree import Element, TreeBuilder
from xml.parsers import expat

from kosearch import dates
from kosearch.extract.contract import ExtractError
from kosearch.extract.decoding import normalise
from kosearch.records import Reason

MOST_MEMBERS = 20_000
LARGEST_MEMBER = 64 << 20
LARGEST_TOTAL = 256 << 20
HIGHEST_RATIO = 200
"""Text packs to a tenth, at best to a hundredth; what swells more than this is made to fill memory."""
ALWAYS_FINE = 1 << 20
_CHUNK = 1 << 18
_DAMAGE = (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, OSError, ValueError)


class Package:
    """A ZIP file in memory; reading what is missing, encrypted or too large raises ExtractError."""

    def __init__(self, data: bytes) -> None:
        try:
            self._zip = zipfile.ZipFile(io.BytesIO(data))
            self._members = {info.filename: info for info in self._zip.infolist() if not info.is_dir()}
        except _DAMAGE as error:
            raise ExtractError(Reason.BROKEN, f"a broken ZIP container: {error}") from error
        if len(self._members) > MOST_MEMBERS:
            raise ExtractError(Reason.TOO_LARGE, f"{len(self._members)} members; the limit is {MOST_MEMBERS}")
        self._total = 0

    def __contains__(self, name: str) -> bool:
        return name in self._members

    def __iter__(self) -> Iterator[str]:
        return iter(self._members)

    def size(self, folder: str) -> int:
        """What the members in a folder say they unpack to, in bytes."""
        return sum(info.file_size for name, info in self._members.items() if name.startswith(folder))

    def chunks(self, name: str) -> Iterator[bytes]:
        """A member's content piece by piece, however large it is, as long as it does not swell."""
        info = self._readable(name)
        try:
            with self._zip.open(info) as member:
                while chunk := member.read(_CHUNK):
                    yield chunk
        except _DAMAGE as error:
            raise ExtractError(Reason.BROKEN, f"{name} in the container is damaged: {error}") from error
        except RuntimeError as error:  # zipfile's word for a password
            raise ExtractError(Reason.ENCRYPTED, "encrypted: opening it needs a password") from error

    def read(self, name: str) -> bytes:
        """A member's content."""
        info = self._readable(name)
        room = min(LARGEST_MEMBER, LARGEST_TOTAL - self._total)
        if info.file_size > room:
            raise ExtractError(Reason.TOO_LARGE, f"{name} unpacks to {info.file_size} bytes")
        try:
            with self._zip.open(info) as member:
                data = member.read(info.file_size + 1)
        except _DAMAGE as error:
            raise ExtractError(Reason.BROKEN, f"{name} in the container is damaged: {error}") from error
        except RuntimeError as error:  # zipfile's word for a password
            raise ExtractError(Reason.ENCRYPTED, "encrypted: opening it needs a password") from error
        self._total += len(data)
        return data

    def _readable(self, name: str) -> zipfile.ZipInfo:
        """The member, unless it is missing, encrypted or made to fill memory."""
        info = self._members.get(name)
        if info is None:
            raise ExtractError(Reason.BROKEN, f"{name} is missing in the container")
        if info.flag_bits & 1:
            raise ExtractError(Reason.ENCRYPTED, "encrypted: opening it needs a password")
        if info.file_size > max(ALWAYS_FINE, HIGHEST_RATIO * info.compress_size):
            raise ExtractError(
                Reason.TOO_LARGE, f"{name} unpacks to {info.file_size // info.compress_size} times its size"
            )
        return info


_DEEPEST = 400


def parse_xml(data: bytes) -> Element:
    """The root element, names as "{namespace}local"; raises ExtractError for broken or unsafe XML."""
    parser = expat.ParserCreate(namespace_separator="}")
    builder = TreeBuilder()
    depth = 0

    def start(name: str, attributes: dict[str, str]) -> None:
        nonlocal depth
        depth += 1
        if depth > _DEEPEST:
            raise ExtractError(Reason.BROKEN, "XML is nested too deeply")
        builder.start(_clark(name), {_clark(key): value for key, value in attributes.items()})

    def end(name: str) -> None:
        nonlocal depth
        depth -= 1
        builder.end(_clark(name))

    parser.StartElementHandler = start
    parser.EndElementHandler = end
    parser.CharacterDataHandler = builder.data
    parser.EntityDeclHandler = _refuse
    parser.UnparsedEntityDeclHandler = _refuse
    parser.ExternalEntityRefHandler = lambda *_: 1  # left out
    try:
        parser.Parse(data, True)
    except expat.ExpatError as error:
        raise ExtractError(Reason.BROKEN, f"broken XML: {error}") from error
    return builder.close()


def local(element: Element) -> str:
    """The element's name without its namespace."""
    return element.tag.rpartition("}")[2]


def attribute(element: Element, name: str) -> str:
    """An attribute by its name without namespace, "" when it is not there."""
    for key, value in element.attrib.items():
        if key.rpartition("}")[2] == name:
            return value
    return ""


def _clark(name: str) -> str:
    return f"{{{name}" if "}" in name else name


def _refuse(*_: object) -> None:
    raise ExtractError(Reason.BROKEN, "XML with entities of its own, which are not expanded")


_FIELDS = {
    "author": "author",
    "authors": "author",
    "creator": "author",
    "date": "created",
    "created": "created",
    "published": "created",
    "modified": "modified",
    "updated": "modified",
    "lastmod": "modified",
    "last_modified": "modified",
    "lang": "language",
    "language": "language",
}


def standard(found: Mapping[str, str]) -> dict[str, str]:
    """The fields under their standard names; dates that cannot be understood are left out."""
    result: dict[str, str] = {}
    for key, value in found.items():
        name = _FIELDS.get(key.strip().lower())
        plain = " ".join(normalise(value).split())
        stated = dates.iso(plain) if name in ("created", "modified") else plain
        if name and stated:
            result.setdefault(name, stated)
    return result


_PARTS = ("docProps/core.xml", "meta.xml", "Contents/content.hpf")
"""OOXML (ECMA-376 part 2, 11), OpenDocument (1.3 part 2, 4.3) and HWPX, whose metadata part is an OPF package."""
_ELEMENTS = {
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


def package_properties(package: Package) -> tuple[str, dict[str, str]]:
    """The title and standard fields of a ZIP package."""
    for part in _PARTS:
        if part in package:
            try:
                return element_properties(parse_xml(package.read(part)))
            except ExtractError:
                break
    return "", {}


def element_properties(root: Element) -> tuple[str, dict[str, str]]:
    """The title and standard fields among these XML elements."""
    found: dict[str, str] = {}
    for element in root.iter():
        stated = attribute(element, "name") or attribute(element, "property") if local(element) == "meta" else ""
        name = _ELEMENTS.get(stated.rpartition(":")[2] or local(element))
        text = (element.text or "").strip()
        if name and text:
            found.setdefault(name, text)
    return _titled(found)


def compound_properties(data: bytes) -> tuple[str, dict[str, str]]:
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
