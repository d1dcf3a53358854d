"""Archives, opened when asked: each member a document inside the archive. What swells beyond its limits is a bomb."""

from __future__ import annotations

import bz2
import io
import lzma
import struct
import tarfile
import zlib
from collections.abc import Callable, Iterable, Iterator
from posixpath import basename, splitext
from typing import TypeVar

from kosearch.extract.containers import (
    ALWAYS_FINE,
    HIGHEST_RATIO,
    LARGEST_MEMBER,
    LARGEST_TOTAL,
    MOST_MEMBERS,
    Package,
)
from kosearch.extract.contract import ExtractError, Inside
from kosearch.extract.decoding import decode
from kosearch.records import Extracted, Extraction, Reason, Skipped

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
