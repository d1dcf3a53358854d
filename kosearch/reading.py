"""A file's bytes → its documents, in a process of its own, and what is told of a file on its way into the index.

What only reads starts in a third of the time of what also cuts and analyses (`processing`), since it imports neither
models nor indexes.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Self, TypeVar

from kosearch.errors import FilesSkipped
from kosearch.extract import ExtractError, extract, member, version
from kosearch.naming import display_path
from kosearch.ocr import (
    AtOnce,
    Engine,
    Found,
    Missing,
    Noted,
    Nothing,
    Picture,
    Pictures,
    Unreadable,
    find,
    pixel_hash,
    recognised,
)
from kosearch.ocr import version as version_of
from kosearch.records import Extracted, Extraction, Passage, Reason, Skipped, SourceFile
from kosearch.sources import ReadError, read
from kosearch.workers import Failure, Pool, own_time

if TYPE_CHECKING:
    from kosearch.config import Settings

Result = TypeVar("Result")
FAILURES = {
    "timeout": Reason.TIMEOUT,
    "memory": Reason.MEMORY,
    "crashed": Reason.CRASHED,
    "error": Reason.BROKEN,
}
"""What a worker's failure says of the file that it was reading."""
_UNKNOWN = frozenset({Reason.UNSUPPORTED, Reason.BINARY, Reason.ENCODING})
"""The reasons of files that no reader knows."""


@dataclass(frozen=True, slots=True)
class Job:
    """A file that may have changed."""

    source: SourceFile
    known_hash: str | None
    """The content's hash when it was last indexed, if it was."""
    searchable: bool = False
    """Whether documents of it are in the index: an archive that was read once is read again."""
    found: tuple[Found, ...] = ()
    """What is known of the pictures in it, in their order."""


@dataclass(frozen=True, slots=True)
class ProcessedPassage:
    """A passage, the text its model sees, that text's hash, and its terms by field."""

    passage: Passage
    model_text: str
    input_hash: bytes
    terms: Mapping[str, Sequence[str]]


@dataclass(frozen=True, slots=True)
class ProcessedDocument:
    """One document of a file, cut and analysed."""

    extracted: Extracted
    passages: tuple[ProcessedPassage, ...]


@dataclass(frozen=True, slots=True)
class Processed:
    """All that a worker found in a file. `documents` is None where the content has not changed."""

    source: SourceFile
    content_hash: str
    documents: tuple[ProcessedDocument, ...] | None
    skipped: tuple[Skipped, ...]
    reader: str = ""
    """What read the content, or refused it, with versions."""
    limits: str = ""
    """Those under which reading failed, where it was too slow, too large or ended the worker."""
    pictures: int = 0
    """How many pictures are in it, where some wait to be read."""
    archives: bool = False
    """Whether archives in it were opened: the pictures in them count."""


@dataclass(frozen=True, slots=True)
class Extracts:
    """What a file holds, not yet cut."""

    source: SourceFile
    content_hash: str
    extraction: Extraction
    pictures: int = 0
    archives: bool = False
    """Both as in `Processed`."""


@dataclass(frozen=True, slots=True)
class FileExtractor:
    """The worker's task where another process cuts and analyses: read and extract, for which nothing is loaded."""

    max_bytes: int
    archives: bool
    """Whether the documents in archives are read too."""
    ocr: OcrUse

    def __call__(self, job: Job) -> Extracts | Processed:
        """All that is in a file, or why there is nothing new. One that cannot be read is a result, not an error."""
        source = job.source
        try:
            content = read(source.path_bytes, self.max_bytes)
        except ReadError as error:
            return Processed(source, "", (), (Skipped(source.path, error.reason, error.detail),))
        source = replace(
            source, size=content.size, mtime_ns=content.mtime_ns, ctime_ns=content.ctime_ns, inode=content.inode
        )
        if content.sha256 == job.known_hash:
            return Processed(source, content.sha256, None, ())
        pictures = self.ocr.noted(job.found)
        archives = self.archives or job.searchable
        try:
            extraction = extract(content.data, path=source.path, archives=archives, pictures=pictures)
        except ExtractError as error:
            skipped = (Skipped(source.path, error.reason, error.detail),)
            reader = named_readers(error.readers, skipped)
            waits = waiting(pictures)
            return Processed(source, content.sha256, (), skipped, reader, pictures=waits, archives=archives)
        return Extracts(source, content.sha256, extraction, waiting(pictures), archives)


def named_readers(readers: Sequence[str], skipped: Sequence[Skipped]) -> str:
    """By what a file was read; where no reader knew it, or a file in it, a new one might."""
    unknown = not readers or any(one.reason in _UNKNOWN for one in skipped)
    return " ".join(sorted({*readers, version("")} if unknown else readers))


@dataclass(frozen=True, slots=True)
class OcrUse:
    """Whether pictures are read, and where else a model for that may lie."""

    mode: str
    """auto, off or force."""
    models: Path

    @classmethod
    def of(cls, settings: Settings) -> Self:
        """As the settings have it."""
        return cls(settings.ocr, settings.data_dir / "ocr")

    def engine(self) -> Engine | Missing:
        """What reads pictures, or why they are not read."""
        if self.mode == "off":
            return Missing("OCR is off", "kosearch index --ocr auto", "off")
        return find(self.models)

    @property
    def version(self) -> str:
        """By what pictures are read; "" where they are not."""
        engine = self.engine()
        return "" if isinstance(engine, Missing) else version_of(engine)

    def noted(self, found: Sequence[Found]) -> Pictures:
        """What answers by what was found before; the rest waits."""
        engine = self.engine()
        if isinstance(engine, Missing):
            return Nothing(str(engine), engine.version)
        return Noted(version_of(engine), found, self.mode == "force")

    def at_once(self) -> Pictures:
        """What answers for pictures where somebody waits for them."""
        engine = self.engine()
        if isinstance(engine, Missing):
            return Nothing(str(engine), engine.version)
        return AtOnce(engine, own_time, self.mode == "force")


def waiting(pictures: Pictures) -> int:
    """How many pictures were asked about, where some of them wait to be read."""
    return len(pictures.asked) if isinstance(pictures, Noted) and pictures.waiting > 0 else 0


@dataclass(frozen=True, slots=True)
class PictureJob:
    """A picture in a file, by its number in the order in which the file's reader asks."""

    source: SourceFile
    content_hash: str
    number: int
    archives: bool
    """As in `Processed`."""


@dataclass(frozen=True, slots=True)
class PictureFound:
    """A picture's hash, and what an engine found in it; None where that is known already."""

    picture: bytes
    found: Found | None


class PictureReader:
    """The worker's task for pictures: draw or decode one, and have its text recognised.

    A file is read once for all its pictures that come one after the other.
    """

    def __init__(self, max_bytes: int, ocr: OcrUse, known: frozenset[bytes]) -> None:
        self._max_bytes = max_bytes
        self._ocr = ocr
        self._known = set(known)
        self._open: tuple[bytes, str] = (b"", "")
        self._pictures: Sequence[Picture] = ()

    def __call__(self, job: PictureJob) -> PictureFound | None:
        """What is in the picture; None where the file is another by now."""
        if self._open != (job.source.path_bytes, job.content_hash):
            self._pictures = self._asked(job)
            self._open = job.source.path_bytes, job.content_hash
        if job.number >= len(self._pictures):
            return None
        engine = self._ocr.engine()
        assert not isinstance(engine, Missing)
        try:
            picture = self._pictures[job.number]()
            key = pixel_hash(picture)
            if key in self._known:
                return PictureFound(key, None)
            found: Found = recognised(picture, engine)
        except Unreadable as error:
            return PictureFound(b"", str(error))
        self._known.add(key)
        return PictureFound(key, found)

    def _asked(self, job: PictureJob) -> Sequence[Picture]:
        pictures = Noted("", (), self._ocr.mode == "force")
        with suppress(ReadError, ExtractError):
            content = read(job.source.path_bytes, self._max_bytes)
            if content.sha256 == job.content_hash:
                extract(content.data, path=job.source.path, archives=job.archives, pictures=pictures)
        return pictures.asked


@dataclass(frozen=True, slots=True)
class FileReader:
    """The worker's task for a file that somebody wants to see: read and extract."""

    max_bytes: int
    archives: bool
    ocr: OcrUse

    def __call__(self, path_bytes: bytes) -> Extraction | Skipped:
        """All that is in a file, or why there is nothing."""
        path = display_path(path_bytes)
        try:
            data = read(path_bytes, self.max_bytes).data
            return extract(data, path=path, archives=self.archives, pictures=self.ocr.at_once())
        except (ReadError, ExtractError) as error:
            return Skipped(path, error.reason, error.detail)


def read_alone(task: Callable[[bytes], Result | Skipped], path_bytes: bytes, seconds: float, *, shown: str) -> Result:
    """What a task finds in one file, in a process of its own.

    Raises FilesSkipped, which says why there is nothing, with the name that is `shown`: the file's as it was given.
    """
    if not os.path.exists(path_bytes):
        raise FilesSkipped(f"cannot read {shown}: No such file or directory")
    with Pool(task, 1, deadline=seconds) as pool:
        [(_, found)] = pool.map([path_bytes])
    if isinstance(found, Failure):
        raise FilesSkipped(f"{shown}: {found.detail} [{FAILURES[found.kind]}]")
    if isinstance(found, Skipped):
        raise FilesSkipped(f"{shown}: {found.detail} [{found.reason}]")
    return found


@dataclass(frozen=True, slots=True)
class MemberReader:
    """The worker's task for a file inside another one: its bytes."""

    max_bytes: int
    member: str

    def __call__(self, path_bytes: bytes) -> bytes | Skipped | None:
        """None where it is no file of its own."""
        path = display_path(path_bytes)
        try:
            return member(read(path_bytes, self.max_bytes).data, path, self.member)
        except (ReadError, ExtractError) as error:
            return Skipped(path, error.reason, error.detail)
