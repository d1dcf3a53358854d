"""What documents come in, opened with limits: ZIP packages and their parts, XML that nobody vouches for, archives."""

from __future__ import annotations

import bz2
import io
import lzma
import posixpath
import struct
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from posixpath import basename, splitext
from typing import IO, TypeVar
from urllib.parse import unquote
from xml.etree.ElementTree import Element, TreeBuilder, tostring
from xml.parsers import expat

from kosearch import filters
from kosearch.extract.text import ExtractError, Inside, decode, normalise
from kosearch.records import Extracted, Extraction, Reason, Skipped

# What documents come in, opened with limits: ZIP packages, XML that nobody vouches for, and stated properties.

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
        with self._opened(name, self._readable(name)) as member:
            while chunk := member.read(_CHUNK):
                yield chunk

    def read(self, name: str) -> bytes:
        """A member's content."""
        info = self._readable(name)
        room = min(LARGEST_MEMBER, LARGEST_TOTAL - self._total)
        if info.file_size > room:
            raise ExtractError(Reason.TOO_LARGE, f"{name} unpacks to {info.file_size} bytes")
        with self._opened(name, info) as member:
            data = member.read(info.file_size + 1)
        self._total += len(data)
        return data

    @contextmanager
    def _opened(self, name: str, info: zipfile.ZipInfo) -> Iterator[IO[bytes]]:
        try:
            with self._zip.open(info) as member:
                yield member
        except _DAMAGE as error:
            raise ExtractError(Reason.BROKEN, f"{name} in the container is damaged: {error}") from error
        except RuntimeError as error:  # zipfile's word for a password
            raise ExtractError(Reason.ENCRYPTED, "encrypted: opening it needs a password") from error

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
        stated = filters.iso_date(plain) if name in ("created", "modified") else plain
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


# The parts of an Office package and how they name each other (ECMA-376 part 2), zipped or as one flat XML file.

_KINDS = {"wordprocessingml": "docx", "presentationml": "pptx", "spreadsheetml": "xlsx", "ms-excel": "xlsx"} | {
    "ms-word": "docx", "ms-powerpoint": "pptx"
}  # fmt: skip
_MAIN = {"docx": "word/document.xml", "pptx": "ppt/presentation.xml", "xlsx": "xl/workbook.xml"}


class Parts:
    """The parts of an Office document as XML, by name, and their relationships."""

    def __init__(self, package: Package | None, flat: Element | None = None) -> None:
        self.package = package
        self._flat = dict(_flat_parts(flat)) if flat is not None else {}
        self._related: dict[str, dict[str, tuple[str, str]]] = {}

    @classmethod
    def of_flat(cls, root: Element) -> Parts:
        """The parts of a flat OPC document."""
        return cls(None, root)

    def __contains__(self, name: str) -> bool:
        return name in self._flat or (self.package is not None and name in self.package)

    def xml(self, name: str) -> Element | None:
        """A part's root element; None where the package lacks it."""
        if name in self._flat:
            return self._flat[name]
        return parse_xml(self.package.read(name)) if self.package is not None and name in self.package else None

    def chunks(self, name: str) -> Iterator[bytes]:
        """A part's bytes piece by piece, for a part too large to be held as a tree."""
        if self.package is not None and name not in self._flat:
            return self.package.chunks(name)
        return iter((tostring(self._flat[name], encoding="utf-8"),))

    def whole(self, name: str) -> Element:
        """A part's root element, for a part that must be there."""
        root = self.xml(name)
        if root is None:
            raise ExtractError(Reason.BROKEN, f"{name} is missing in the container")
        return root

    def data(self, name: str) -> bytes:
        """A part that is no XML, a picture say; b"" where there is none or it is damaged."""
        try:
            return self.package.read(name) if self.package is not None and name in self.package else b""
        except ExtractError:
            return b""

    def optional(self, name: str) -> Element | None:
        """A part's root element; None where it is missing or damaged, as what it adds is not worth the document."""
        try:
            return self.xml(name)
        except ExtractError:
            return None

    def main(self, kind: str) -> str:
        """The name of the part that the package begins with."""
        for target in self.targets("", "officeDocument"):
            if target in self:
                return target
        return _MAIN[kind]

    def related(self, part: str) -> dict[str, tuple[str, str]]:
        """A part's relationships: their identifiers → the last word of their type, and the part they point to."""
        if part not in self._related:
            folder, _, name = part.rpartition("/")
            root = self.optional(f"{folder}/_rels/{name}.rels".lstrip("/"))
            self._related[part] = dict(_relationships(folder, root)) if root is not None else {}
        return self._related[part]

    def target(self, part: str, identifier: str) -> str:
        """The part that a relationship points to, "" where there is none."""
        return self.related(part).get(identifier, ("", ""))[1]

    def targets(self, part: str, kind: str) -> list[str]:
        """The parts that a part's relationships of this type point to."""
        return [target for found, target in self.related(part).values() if found == kind]


def relation(element: Element) -> str:
    """The identifier of the relationship by which an element names a part."""
    for key, value in element.attrib.items():
        if key.rpartition("}")[2] in ("id", "dm") and key.startswith("{"):
            return value
    return attribute(element, "id")


def kind_of(package: Package) -> str:
    """Which kind of Office document a package says it is: docx, pptx, xlsx or ""."""
    if "[Content_Types].xml" not in package:
        return ""
    try:
        parts = Parts(package)
        mains = {f"/{target}" for target in parts.targets("", "officeDocument")}
        for stated in parts.whole("[Content_Types].xml"):
            if attribute(stated, "PartName") in mains:
                content = attribute(stated, "ContentType")
                return next((kind for mark, kind in _KINDS.items() if mark in content), "")
    except ExtractError:
        return ""
    return ""


def _relationships(folder: str, root: Element) -> Iterator[tuple[str, tuple[str, str]]]:
    for element in root:
        if local(element) == "Relationship" and attribute(element, "TargetMode") != "External":
            target = unquote(attribute(element, "Target"))
            whole = target.lstrip("/") if target.startswith("/") else posixpath.normpath(posixpath.join(folder, target))
            kind = attribute(element, "Type").rpartition("/")[2]
            yield attribute(element, "Id"), (kind, whole)


def _flat_parts(root: Element) -> Iterator[tuple[str, Element]]:
    for part in root:
        for data in part:
            if local(data) == "xmlData" and len(data):
                yield attribute(part, "name").lstrip("/"), data[0]


def is_xps(package: Package) -> bool:
    """Whether a package holds fixed pages."""
    return any(name.lower().endswith((".fpage", ".fdseq", ".fdseq/[0].piece")) for name in package)


# Archives, opened when asked: each member a document inside the archive. What swells beyond its limits is a bomb.

Member = TypeVar("Member")

_MOST_DOCUMENTS = 2000
_STEP = 1 << 20
_TAR_MAGIC = slice(257, 262)
_NAMES = {".tgz": ".tar", ".tbz": ".tar", ".tbz2": ".tar", ".txz": ".tar", ".svgz": ".svg"}


def read_zip(data: bytes, path: str, inside: Inside) -> Extraction:
    """The members of a ZIP archive."""
    package = Package(data)
    return _members(((_zip_name(stored), stored) for stored in package), package.read, path, inside)


def read_tar(data: bytes, path: str, inside: Inside) -> Extraction:
    """The members of a tar archive, packed or not; links and devices are no documents."""
    unpacked = unpack(data) if packing(data) else data
    try:
        archive = tarfile.TarFile(fileobj=io.BytesIO(unpacked), errorlevel=0, ignore_zeros=False)
        names = list(_tar_members(archive))
    except (tarfile.TarError, OSError, ValueError, EOFError, OverflowError) as error:
        raise ExtractError(Reason.BROKEN, f"a broken tar archive: {error}") from error

    def content(member: tarfile.TarInfo) -> bytes:
        if member.size > LARGEST_MEMBER:
            raise ExtractError(Reason.TOO_LARGE, f"{member.name} has {member.size} bytes")
        try:
            stream = archive.extractfile(member)
            return stream.read() if stream else b""
        except (tarfile.TarError, OSError, ValueError, EOFError) as error:
            raise ExtractError(Reason.BROKEN, f"{member.name} in the archive is damaged: {error}") from error

    return _members(((_tar_name(member.name), member) for member in names), content, path, inside)


def read_compressed(data: bytes, path: str, inside: Inside) -> Extraction:
    """The one file that gzip, bzip2 or xz packed."""
    content = unpack(data)
    stem, suffix = splitext(basename(path))
    suffix = suffix.lower()
    name = stem + _NAMES[suffix] if suffix in _NAMES else stem if suffix in (".gz", ".bz2", ".xz") else basename(path)
    return inside(_gzip_name(data) or name or "content", content)


def packing(data: bytes) -> str:
    """What packed these bytes: gzip, bzip2, xz, or ""."""
    if data.startswith(b"\x1f\x8b\x08"):
        return "gzip"
    if data.startswith(b"BZh") and data[4:10] in (b"1AY&SY", b"\x17rE8P\x90"):
        return "bzip2"
    return "xz" if data.startswith(b"\xfd7zXZ\0") else ""


def is_tar(data: bytes) -> bool:
    """Whether a tar archive begins here, packed or not."""
    if packing(data):
        try:
            data = b"".join(_chunks(data, 512))[:512]
        except ExtractError:
            return False
    return data[_TAR_MAGIC] == b"ustar"


def unpack(data: bytes) -> bytes:
    """What gzip, bzip2 or xz packed, within the limits of every container."""
    size, chunks = 0, []
    room = min(LARGEST_TOTAL, max(ALWAYS_FINE, HIGHEST_RATIO * len(data)))
    for chunk in _chunks(data, _STEP):
        size += len(chunk)
        if size > room:
            raise ExtractError(Reason.TOO_LARGE, f"unpacks to more than {room} bytes")
        chunks.append(chunk)
    return b"".join(chunks)


def _chunks(data: bytes, step: int) -> Iterator[bytes]:
    """The unpacked bytes, at most `step` at once, so that no bomb fills memory; packed parts may follow each other."""
    kind = packing(data)
    try:
        while data:
            if kind == "gzip":
                stream = zlib.decompressobj(31)
                chunk = stream.decompress(data, step)
                while chunk or stream.unconsumed_tail:
                    yield chunk
                    chunk = stream.decompress(stream.unconsumed_tail, step)
                finished, data = stream.eof, stream.unused_data.lstrip(b"\0")
            else:
                other = bz2.BZ2Decompressor() if kind == "bzip2" else lzma.LZMADecompressor(memlimit=LARGEST_TOTAL)
                chunk = other.decompress(data, step)
                while chunk or not (other.eof or other.needs_input):
                    yield chunk
                    chunk = b"" if other.eof else other.decompress(b"", step)
                finished, data = other.eof, other.unused_data.lstrip(b"\0")
            if not finished:
                raise ExtractError(Reason.BROKEN, f"cut off: the {kind} file ends too early")
            if packing(data) != kind:
                return
    except (zlib.error, OSError, lzma.LZMAError, EOFError, ValueError) as error:
        raise ExtractError(Reason.BROKEN, f"a broken {kind} file: {error}") from error


def _tar_members(archive: tarfile.TarFile) -> Iterator[tarfile.TarInfo]:
    for number, member in enumerate(archive):
        if number >= MOST_MEMBERS:
            raise ExtractError(Reason.TOO_LARGE, f"more than {MOST_MEMBERS} members")
        if member.isreg() and not member.sparse:
            yield member


def _members(
    names: Iterable[tuple[str, Member]], content: Callable[[Member], bytes], path: str, inside: Inside
) -> Extraction:
    """The documents in an archive's members, without hidden files and what macOS adds."""
    documents: list[Extracted] = []
    skipped: list[Skipped] = []
    for number, (name, member) in enumerate(names):
        if any(part.startswith((".", "__MACOSX")) and part not in (".", "..") for part in name.split("/")):
            continue
        if number >= _MOST_DOCUMENTS:
            skipped.append(Skipped(path, Reason.TOO_LARGE, f"more than {_MOST_DOCUMENTS} members", name))
            break
        try:
            data = content(member)
        except ExtractError as error:
            skipped.append(Skipped(path, error.reason, error.detail, name))
            continue
        found = inside(name, data)
        documents += found.documents
        skipped += found.skipped
    return Extraction(tuple(documents), tuple(skipped))


def _zip_name(stored: str) -> str:
    """Old programs store names in the system's encoding, which zipfile reads as that of DOS."""
    try:
        raw = stored.encode("cp437")
    except UnicodeEncodeError:
        return stored
    return stored if stored.isascii() else decode(raw).text


def _tar_name(stored: str) -> str:
    name = stored.removeprefix("./")
    return name if name.isascii() else decode(name.encode("utf-8", "surrogateescape")).text


def _gzip_name(data: bytes) -> str:
    """The name that gzip keeps of the file it packed (RFC 1952), "" where it keeps none."""
    if not data.startswith(b"\x1f\x8b\x08") or not data[3] & 8:
        return ""
    place = 10
    if data[3] & 4:
        place += 2 + struct.unpack_from("<H", data, place)[0]
    return basename(decode(data[place : data.find(b"\0", place)][:255]).text)
