"""The records every room shares: frozen, slotted, and free of behaviour beyond what their fields say.

All offsets are code points in a document's extracted text (LF line ends, NFC). Lines and pages count from 1.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:  # a process that computes nothing imports no numpy
    import numpy as np
    from numpy.typing import NDArray

    Vectors = NDArray[np.float32]
    """A vector in each row, (n, dimensions); or such numbers in another shape, where it is said."""

MAX_TITLE = 500
"""Code points of a title or a heading. What is longer is no title, and would stand with every passage below it."""

TokenOffsets = Callable[[str], Sequence[tuple[int, int]]]
"""Text → the [start, end) spans of a model's tokens: code points, ascending, no special tokens."""
TokenCounter = Callable[[Sequence[str]], Sequence[int]]
"""Texts → into how many tokens of a model each falls, special tokens not counted: a usual word is one."""


class Reason(StrEnum):
    """Why a file, or a part of one, is not searchable. The codes are part of the JSON output."""

    UNREADABLE = "unreadable"
    VANISHED = "vanished"
    CHANGED = "changed-while-read"
    TOO_LARGE = "too-large"
    NOT_A_FILE = "not-a-file"
    EMPTY = "empty"
    BINARY = "binary"
    UNSUPPORTED = "unsupported"
    ENCODING = "encoding"
    ENCRYPTED = "encrypted"
    DRM = "drm"
    SCANNED = "scanned"
    NO_TEXT = "no-text"
    BROKEN = "broken"
    PARTIAL = "partial"
    """Searchable, but not all of it: pages without text, characters that could not be decoded."""
    TIMEOUT = "timeout"
    MEMORY = "memory"
    CRASHED = "crashed"


@dataclass(frozen=True, slots=True)
class SourceFile:
    """A file found under a root: opened by `path_bytes`, shown and matched by `path`."""

    path_bytes: bytes
    """The absolute path in the file system's own bytes."""
    path: str
    """The same path for people: NFC, with undecodable bytes as U+FFFD."""
    root: bytes
    """The root it was found under, as `path_bytes` is."""
    size: int
    mtime_ns: int
    """Any integer: file systems know times before 1677 and after 2262, which 64 bits of nanoseconds do not."""
    ctime_ns: int = 0
    """When content, name or rights were changed last, which no program can set; 0 where that is not known."""
    inode: int = 0
    """The file's number in its file system; 0 where there is none."""


@dataclass(frozen=True, slots=True)
class Skipped:
    """A file, or one member of it, that could not be made searchable, and why."""

    path: str
    reason: Reason
    detail: str
    """One line for a person: what happened and, where there is one, the way out."""
    member: str = ""
    path_bytes: bytes = b""
    """The path in the file system's own bytes, where the walk itself turned the file away."""


@dataclass(frozen=True, slots=True)
class Heading:
    """A section's title; the section runs to the next heading of the same or a lower level number."""

    start: int
    level: int
    title: str


@dataclass(frozen=True, slots=True)
class PageStart:
    """Where a page, slide or sheet begins in the text."""

    start: int
    number: int
    label: str = ""
    """What the document itself calls the page ("iv", a sheet's name), where that differs from the number."""


@dataclass(frozen=True, slots=True)
class OcrSpan:
    """A part [start:end] of a text that was read in a picture."""

    start: int
    end: int
    confidence: float
    """How sure the engine was of its characters, 0 to 1."""


@dataclass(frozen=True, slots=True)
class Extracted:
    """One document's text and structure, as an extractor read it."""

    text: str
    kind: str
    """The family of the format: text, markdown, rst, html, code, pdf, …; `--type` filters by it."""
    title: str = ""
    member: str = ""
    """The document's path inside its file (an attachment, an archive member); empty for the file itself."""
    headings: tuple[Heading, ...] = ()
    pages: tuple[PageStart, ...] = ()
    metadata: Mapping[str, str] = field(default_factory=dict)
    """author, created, modified (ISO 8601), language: only those that the format states."""
    warnings: tuple[str, ...] = ()
    ocr: tuple[OcrSpan, ...] = ()
    """The parts that were read in pictures, ascending."""


@dataclass(frozen=True, slots=True)
class Extraction:
    """All that one file gave: its documents, and the parts of it that gave none."""

    documents: tuple[Extracted, ...]
    skipped: tuple[Skipped, ...] = ()

    @property
    def text(self) -> str:
        """The texts of all documents, an empty line between them."""
        return "\n\n".join(one.text for one in self.documents)

    readers: tuple[str, ...] = ()
    """The readers that had a part in it, with their versions ("docx/3"): see extract.outdated."""


@dataclass(frozen=True, slots=True)
class RecognisedLine:
    """A line that was read in a picture; lengths in the picture's pixels, from its upper left."""

    text: str
    left: int
    right: int
    base: int
    height: int
    block: int
    """Lines of one column or table have the same number."""
    row: bool
    """Whether it is a table's row, or wide gaps part it."""
    confidence: float
    """The engine's own view of it, 0 to 1."""


@dataclass(frozen=True, slots=True)
class Recognised:
    """The text of a picture, in the order of reading."""

    lines: tuple[RecognisedLine, ...]
    confidence: float
    """The mean over all characters, 0 to 1; 0.0 where nothing was found."""
    turned: int = 0
    """By how many degrees, counterclockwise, the picture was turned to be read."""
    width: int = 0
    """Of the picture as it was read, in pixels."""
    height: int = 0
    hanja: bool = False
    """Whether much of it looks like Hanja, which the model does not have."""


@dataclass(frozen=True, slots=True)
class Passage:
    """A slice [start:end] of a document's text."""

    start: int
    end: int
    line_start: int
    line_end: int
    page: int | None = None
    page_label: str = ""
    headings: tuple[str, ...] = ()
    """The path of headings above the passage's first character, outermost first."""
    page_end: int | None = None
    """The page that the passage's last character stands on; None where there are no pages, or where an earlier
    version stored the passage."""
    ocr: float | None = None
    """How sure the engine was of what is read in pictures here, 0 to 1; None where nothing is."""


@dataclass(frozen=True, slots=True)
class Score:
    """One side's view of a hit: its raw score (cosine, BM25), the same scaled to 0..1, and its rank there."""

    value: float
    scaled: float
    rank: int


@dataclass(frozen=True, slots=True)
class Place:
    """Where a part of a document stands, as one would cite it."""

    line_start: int
    line_end: int
    page: int | None = None
    page_label: str = ""
    headings: tuple[str, ...] = ()
    """The path of headings above it, outermost first."""


WEAK = 0.5
"""A hit whose confidence is less is weak: shown as such."""


@dataclass(frozen=True, slots=True)
class Hit:
    """A passage that answers a question."""

    rank: int
    score: float
    """Relative to the other candidates': it orders them, and the best has one however poor it is."""
    confidence: float
    """How sure it is to be an answer at all, from 0 to 1, calibrated on questions without an answer."""
    dense: Score | None
    lexical: Score | None
    document_id: int
    document_hash: str
    path: str
    path_bytes: bytes
    member: str
    kind: str
    title: str
    metadata: Mapping[str, str]
    passage: Passage
    text: str
    best: tuple[int, int]
    """The part of the passage that answers best, as [start:end] in the document's text."""
    cited: Place
    """Where that part stands: its lines, and page and headings of the sentence in it that answers best. A passage may
    begin pages before."""
    state: str
    """current, changed, gone, or elsewhere (on another machine): the file now, against the file that was indexed."""
    also: tuple[str, ...] = ()
    """Paths of other documents that hold the same passage, nearly word for word."""
    more: int = 0
    """With grouping: how many other passages of the document matched."""
    before: str = ""
    """Lines of the document right before the passage, when asked for."""
    after: str = ""
    sparse: Score | None = None
    """The model's sparse score, where the passage was scored again…"""
    multi_vector: Score | None = None
    """…and its multi-vector score."""
    index: str = ""
    """The name of the index that it stands in, as that was asked for."""

    @property
    def weak(self) -> bool:
        """Whether it is likelier no answer than one."""
        return self.confidence < WEAK

    @property
    def page(self) -> int | None:
        """The page, slide or sheet of the part that answers best, from 1; None where there are none."""
        return self.cited.page

    @property
    def lines(self) -> tuple[int, int]:
        """That part's first and last line in the document's text, from 1."""
        return self.cited.line_start, self.cited.line_end

    @property
    def headings(self) -> tuple[str, ...]:
        """The headings above that part, outermost first."""
        return self.cited.headings

    @property
    def ocr(self) -> bool:
        """Whether it was read, at least in part, in a picture."""
        return self.passage.ocr is not None

    @property
    def id(self) -> str:
        """Document hash, start and end: what `kosearch show` takes."""
        return f"{self.document_hash}:{self.passage.start}:{self.passage.end}"


@dataclass(frozen=True, slots=True)
class Query:
    """A question and what its hits must satisfy."""

    text: str
    k: int = 10
    mode: str = "hybrid"
    """hybrid, dense or lexical."""
    weight: float = 0.5
    """Dense's share of a hybrid score; lexical has the rest."""
    min_score: float | None = None
    """The least raw cosine a hit may have."""
    paths: tuple[str, ...] = ()
    kinds: tuple[str, ...] = ()
    after: str | None = None
    before: str | None = None
    group: bool = False
    """Only the best passage of each document."""
    context: int = 0
    """Lines to give before and after each passage."""
    rerank: int = 0
    """So many of the best are scored again, by all of the model's heads."""
    exact: bool = False
    """The words as typed: no other forms of dates and numbers, no synonyms, nothing corrected."""


@dataclass(frozen=True, slots=True)
class Answer:
    """A question's hits, best first, with what a reader should know about them."""

    question: str
    mode: str
    hits: tuple[Hit, ...]
    generation: int
    warnings: tuple[str, ...] = ()
    terms: tuple[tuple[str, int], ...] = ()
    """The question's words and in how many passages each stands."""
    behind: int = 0
    """Files that changed since what answers was indexed, as far as somebody has looked."""
    searched: str = ""
    """The words that were searched for: the question without what must not be there, corrected where it had to be."""

    def __len__(self) -> int:
        return len(self.hits)

    def __iter__(self) -> Iterator[Hit]:
        return iter(self.hits)

    def __getitem__(self, place: int) -> Hit:
        return self.hits[place]


@dataclass(frozen=True, slots=True)
class Shown:
    """A passage in its surroundings: `before`, `text` and `after` follow each other in the document."""

    path: str
    path_bytes: bytes
    member: str
    title: str
    before: str
    text: str
    after: str
    line_start: int
    """The line that `before` begins with."""
    state: str


@dataclass(frozen=True, slots=True)
class IndexProgress:
    """How far a run of indexing is; `files_total` grows while folders are still being read."""

    files_total: int
    files_done: int
    passages: int
    embedded: int
    walking: bool
    path: str = ""
    note: str = ""
    """Something to know before the work begins, such as the model and why it is that one."""
    reused: int = 0
    """Passages whose vectors were there already."""
    bytes_total: int = 0
    """Of the files that are new or may have changed; it grows as `files_total` does."""
    bytes_done: int = 0
    """Of those that were read."""
    pictures_total: int = 0
    """Scanned pages and other pictures that are read last, when all files without are searchable…"""
    pictures_done: int = 0
    """…and how many have been."""


@dataclass(frozen=True, slots=True)
class Changes:
    """What a walk sees that an index does not know yet."""

    files: int
    """Those that are new, look or are read otherwise than they were, or are turned away for another reason…"""
    gone: int
    """…and those that their folders no longer have."""
    bytes: int
    """Of the first, together."""
    known_bytes: int
    """Of the files of which documents are searchable."""

    @property
    def count(self) -> int:
        return self.files + self.gone


@dataclass(frozen=True, slots=True)
class IndexReport:
    """What a run of indexing did."""

    added: int
    changed: int
    unchanged: int
    removed: int
    skipped: tuple[Skipped, ...]
    warnings: tuple[Skipped, ...]
    """Parts of searchable files that are not: pages without text, attachments that could not be read."""
    failed_roots: tuple[Skipped, ...]
    embedded: int
    """Passages whose vectors were computed in this run…"""
    reused: int
    """…and those of new and changed files whose vectors were there."""
    seconds: float


@dataclass(frozen=True, slots=True)
class Statistics:
    """Exact counts over the published passages, as BM25 wants them."""

    passages: int
    totals: Mapping[str, int]
    """All terms of all passages, by field."""
    frequencies: Mapping[str, Mapping[str, int]]
    """field → term → passages that have the term in that field; 0 for unknown ones."""
