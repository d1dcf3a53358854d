"""What an index offers, whatever it is kept in: its records, a store, its snapshots, and its one writer.

The rooms above are typed by this, and know no store: `kosearch.index.kind_of` says which kind a place asks for. What
stands here, `tests/contract/test_store.py` holds every kind to. A folder, `kosearch.index.SqliteStore`, is the first.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any, Protocol, Self, TypeVar

import numpy as np
from numpy.typing import NDArray

from kosearch.records import Extracted, Heading, PageStart, Passage, Reason, Skipped, SourceFile, Statistics
from kosearch.scoring import Occurrences

Ids = NDArray[np.int64]
Vectors = NDArray[np.float32]
Globs = Mapping[str, tuple[str, ...]]
"""What limits a root: `include` and `exclude`, each with its patterns."""


@dataclass(frozen=True, slots=True)
class Identity:
    """What made an index. Two indexes answer alike only when all of this is the same."""

    model: str
    """The model's name: a hub name, a directory, or the bundled model's."""
    fingerprint: str
    """The model's weights, pooling, prompts and length, hashed."""
    revision: str
    """The hub's commit the weights came from; empty where there is none."""
    dimensions: int
    passage_rules: str
    """Name and version of the rules that cut passages."""
    passage_tokens: int
    overlap: int
    term_rules: str
    """Name and version of the rules that make terms."""
    fields: tuple[str, ...]
    """The fields that terms belong to, in the order they are stored."""
    endpoint: Mapping[str, Any] | None = None
    """What finds a model that answers over HTTP again, its URL first of all; None for one on this machine."""
    storage: str = "float16"
    """What the numbers of vectors are kept in: float16 or int8."""
    words: tuple[str, ...] = ()
    """Words that were taken for such beside those of the dictionary; `term_rules` names them."""


@dataclass(frozen=True, slots=True)
class FileState:
    """What the index knows of a file since the last run that looked at it."""

    path_bytes: bytes
    root: bytes
    size: int
    mtime_ns: int
    hash: str
    """The content's hash; empty where the content could not be read."""
    reason: Reason | None = None
    """Why the file as it is now is not searchable; None where it is."""
    detail: str = ""
    documents: int = 0
    """How many documents the file has in the index; of an earlier content, where there is a reason."""
    ctime_ns: int = 0
    inode: int = 0
    """As in SourceFile; 0 where an earlier version stored the file, and in file systems that have none."""
    reader: str = ""
    """What read the content, or refused it, with versions: "pdf/3", "mail/2 pdf/3". Empty where that is not known."""
    limits: str = ""
    """Those that reading was under when it took too long, too much memory, or ended a worker; empty otherwise."""


@dataclass(frozen=True, slots=True)
class NewPassage:
    """A passage to store. `vector` has the shape (d,); any length but 0 will do."""

    passage: Passage
    input_hash: bytes
    """The hash of the text that the model saw: equal hashes share a vector."""
    vector: NDArray[np.float32]
    terms: Mapping[str, Sequence[str]]
    """The terms of each field in order; a term has no white space in it."""


@dataclass(frozen=True, slots=True)
class NewDocument:
    """A document to store, with its passages in order."""

    extracted: Extracted
    passages: Sequence[NewPassage]


@dataclass(frozen=True, slots=True)
class StoredDocument:
    """A published document and the file it was made from, as that file was then."""

    id: int
    path_bytes: bytes
    path: str
    member: str
    kind: str
    title: str
    metadata: Mapping[str, str]
    text_hash: str
    """SHA-256 of the text in UTF-8, in hexadecimal."""
    length: int
    """Code points of text."""
    passages: int
    size: int
    """Bytes of the file."""
    mtime_ns: int
    source: str = ""
    """Whose file it is, where a store is shared by several machines: the other one's name; empty for this one's."""


@dataclass(frozen=True, slots=True)
class FullDocument:
    """A published document with all of its text."""

    stored: StoredDocument
    text: str
    passages: tuple[Passage, ...]
    headings: tuple[Heading, ...]
    pages: tuple[PageStart, ...]
    """Both are empty where an earlier version of kosearch stored the document, which did not keep them."""
    state: str
    """current, changed, gone, or elsewhere (on another machine): the file now, against the file that was indexed."""


@dataclass(frozen=True, slots=True)
class StoredFile:
    """A file and all that its content gave, so that it need not be read again."""

    path: str
    """For people."""
    state: FileState
    read_as: tuple[int, int]
    """Size and time of the file when its documents were read, which may have been an earlier content."""
    documents: tuple[Extracted, ...]
    partial: tuple[Skipped, ...]
    """Its parts that gave no document."""


@dataclass(frozen=True, slots=True)
class StoredPassage:
    """A published passage, its text and its document."""

    id: int
    ordinal: int
    """Its place among the document's passages, from 0."""
    passage: Passage
    text: str
    document: StoredDocument


@dataclass(frozen=True, slots=True)
class UnanalysedDocument:
    """A document whose passages want terms by other rules."""

    id: int
    title: str
    name: str
    """The path that it is found by; empty for one of a collection, which has none."""
    ids: tuple[int, ...]
    passages: tuple[Passage, ...]
    texts: tuple[str, ...]
    """Ids, places and texts of its passages, in order."""

    @classmethod
    def of(
        cls,
        number: int,
        title: str,
        path: str,
        member: str,
        root: bytes,
        passages: Iterable[tuple[int, Passage]],
        text: str,
    ) -> Self:
        """The document with its passages' ids and places, in order; a collection's has no root."""
        ids, places = tuple(zip(*passages, strict=True)) or ((), ())
        name = (member or path) if root else member
        return cls(number, title, name, ids, places, tuple(text[one.start : one.end] for one in places))


@dataclass(frozen=True, slots=True)
class Status:
    """What an index holds."""

    identity: Identity
    generation: int
    documents: int
    passages: int
    files: int
    pending: int
    """Documents stored and not published yet."""
    bytes: int
    """On disk, everything in the index directory."""
    last_run: Mapping[str, Any] | None
    problems: Mapping[str, int]
    """reason → files and parts of files that are not searchable because of it."""
    ocr: Mapping[str, int] = field(default_factory=dict)
    """Of files with pictures how many are `read` by OCR, `waiting` and `unread`; `pictures` that are kept, and how many
    of them are `unsure`: recognised with a confidence below 0.7. Empty where no file has any."""
    graph: Mapping[str, int | float] | None = None
    """The graph by which those who ask often find the nearest: the `width` at which it is searched, and the `recall`
    that it had when it was written (0 where that is not known). None where vectors are scanned, or a server decides."""


Terms = Mapping[str, Sequence[str]]
"""The terms of a passage: field → terms."""
Alternatives = Sequence[tuple[str, Sequence[str]]]
"""Fields with terms: a passage has one of these where it has all of its terms in that field."""


# What a kind of store offers.


class Snapshot(Protocol):
    """One generation, which stays the same whatever a writer publishes."""

    @property
    def identity(self) -> Identity:
        """What made the index."""

    @property
    def generation(self) -> int:
        """The generation that answers: 0 before anything was published, and another whenever an answer may be."""

    @property
    def passages(self) -> int:
        """How many there are."""

    @property
    def warnings(self) -> tuple[str, ...]:
        """What a reader should know: answers are right all the same."""

    def find_documents(
        self,
        paths: Sequence[str] = (),
        kinds: Sequence[str] = (),
        after: str | None = None,
        before: str | None = None,
    ) -> Ids | None:
        """The ids of documents that fit all filters, ascending; None where there is no filter."""

    def dense(self, query: Vectors, k: int, documents: Ids | None = None) -> tuple[Ids, Vectors]:
        """The k passages nearest to a query vector (d,): ids and cosines, best first, ties by path and position."""

    def lexical(
        self,
        points: Mapping[str, Mapping[str, int]],
        k: int,
        documents: Ids | None = None,
        required: Sequence[Alternatives] = (),
        nearest_to: Vectors | None = None,
    ) -> Ids:
        """The k passages with the most points for the terms they have (field → term → points), ids ascending.

        Ties by their cosines with `nearest_to` (d,), then by path and position. Of each of `required` a passage has
        all terms of one alternative in their field.
        """

    def cosines(self, query: Vectors, ids: Ids) -> Vectors:
        """The exact cosines of passages with a query vector (d,), in their order."""

    def vectors(self) -> tuple[Ids, Vectors]:
        """All passages' ids (n,), ascending, and unit vectors (n, d)."""

    def statistics(self, terms: Mapping[str, Sequence[str]]) -> Statistics:
        """Exact counts for terms by field, as if the index had only ever held what it holds now."""

    def vocabulary(self, fields: Sequence[str]) -> list[Mapping[str, int]]:
        """All terms of these fields, and in how many passages each stands."""

    def terms(self, ids: Ids) -> list[Mapping[str, list[str]]]:
        """The terms of passages by field, in the passages' order."""

    def occurrences(self, ids: Ids, terms: Mapping[str, Sequence[str]]) -> Mapping[str, Occurrences]:
        """Where these terms (field → terms) stand in passages, by field; rows are in the passages' order."""

    def stored(self, ids: Ids) -> list[StoredPassage]:
        """Passages with text and document, in the order asked for."""

    def owners(self, ids: Ids) -> dict[int, int]:
        """Passage id → document id."""

    def documents(self) -> Iterator[StoredDocument]:
        """All documents by id."""

    def with_hash(self, beginning: str) -> list[StoredDocument]:
        """The documents whose text has a hash that begins so, by id."""

    def documents_of(self, ids: Ids) -> list[StoredDocument]:
        """Those documents of these that are there, by id."""

    def file_of(self, document_id: int) -> FileState | None:
        """The file of a document as a run last saw it; None where a later document is to take its place."""

    def passages_of(self, document: StoredDocument) -> tuple[Passage, ...]:
        """Where a document's passages stand, in order."""

    def document_text(self, document_id: int, start: int = 0, end: int | None = None) -> str:
        """The text of a document, or its slice [start:end] in code points."""

    def structure(self, document_id: int) -> tuple[tuple[Heading, ...], tuple[PageStart, ...]] | None:
        """A document's headings and page starts; None where an earlier version stored it, which did not keep them."""


class Writer(Protocol):
    """What a writer commits stays.

    In a folder there is one at a time, and what it committed becomes searchable as a whole by `publish`. A server takes
    several at once, each of whose commits is searchable as it is.
    """

    def transaction(self) -> AbstractContextManager[None]:
        """All that is written inside is committed together, or not at all. May be nested."""

    def files(self) -> dict[bytes, FileState]:
        """Every file of this machine that a run has looked at, by its raw path."""

    def vectors(self, input_hashes: Sequence[bytes]) -> dict[bytes, NDArray[np.float32]]:
        """Vectors (d,) that are stored for these inputs."""

    def put(
        self,
        source: SourceFile,
        content_hash: str,
        documents: Sequence[NewDocument],
        skipped: Sequence[Skipped] = (),
        *,
        reader: str = "",
    ) -> None:
        """Replace what the file had by these documents, and note the parts that gave none."""

    def skip(
        self, source: SourceFile, skipped: Skipped, content_hash: str = "", *, reader: str = "", limits: str = ""
    ) -> None:
        """Note that the file as it is now cannot be searched; what it had stays, unless it is empty or gone."""

    def touch(self, source: SourceFile) -> None:
        """The file has the content that the index knows, and perhaps other times or another root."""

    def move(self, old_raw: bytes, source: SourceFile) -> None:
        """A file that is known has another name now, and all that it had."""

    def remove(self, raws: Sequence[bytes]) -> int:
        """Forget files and their documents; returns how many there were."""

    def recognised(self, engine: str) -> dict[bytes, str]:
        """What this engine has found in pictures, by the hash of their pixels, as `keep_recognised` took it."""

    def keep_recognised(self, engine: str, picture: bytes, found: str) -> None:
        """Keep what an engine has found in a picture; what others found is dropped."""

    def roots(self) -> dict[bytes, Globs]:
        """The roots that `index` without a path goes through, and the globs they were indexed with."""

    def add_root(self, path_bytes: bytes, globs: Globs | None = None) -> None:
        """Remember a root, and its globs where some are given; without, those it had stay."""

    def forget_root(self, path_bytes: bytes) -> None:
        """Forget a root; its files stay until they are removed."""

    def last_run(self) -> Mapping[str, Any] | None:
        """What `record_run` kept."""

    def record_run(self, run: Mapping[str, Any]) -> None:
        """Keep what a run did, for `status`."""

    def reanalysis(self, rules: str, fields: tuple[str, ...], words: tuple[str, ...] = ()) -> Reanalysis:
        """Begin to give the passages terms by other rules, or go on with it; the rules' name tells the words, too."""

    def publish(self) -> int:
        """Make all that was written searchable, where it is not yet; returns the generation that answers now."""


class Reanalysis(Protocol):
    """Terms by other rules than those that an index was made with; readers see the old ones until it is finished."""

    def __len__(self) -> int:
        """How many documents are left to be analysed."""

    def documents(self) -> Iterator[UnanalysedDocument]:
        """The documents that are left. Those that get terms meanwhile do not disturb."""

    def put(self, analysed: Iterable[tuple[UnanalysedDocument, Sequence[Terms]]]) -> None:
        """Keep the terms of these documents' passages, in their order, in one transaction."""

    def give_up(self, document: UnanalysedDocument) -> None:
        """The document has no terms, and the next run reads its file again."""

    def finish(self) -> int:
        """Make the new terms those of the index, and publish; returns the generation that answers now."""


class Store(Protocol):
    """An index. Readers and writers may use it at the same time, from any process and thread."""

    ann: str
    """How the nearest of very many passages are found: `auto`, by a graph where it is sooner; `hnsw`, by one from a
    thousand passages on; `exact`, by a scan. Of a server's index its owner decides."""

    @property
    def identity(self) -> Identity:
        """What made it."""

    def snapshot(self, *, warm: bool = False) -> AbstractContextManager[Snapshot]:
        """The current generation; `warm` is for a process that asks often."""

    def writer(self, *, wait: bool = False, brief: bool = False) -> AbstractContextManager[Writer]:
        """A writer. Of a folder it is the only one: raises IndexBusy, naming the other one, unless `wait` says to wait.

        One that writes `brief`ly, for some seconds, is waited for by others.
        """

    def is_there(self) -> bool:
        """Whether what was opened still lies at its place, and no other in its stead."""

    def status(self) -> Status:
        """What it holds."""

    def written_since(self) -> datetime | None:
        """When the writer that is at work began; None where there is none."""

    def roots(self) -> dict[bytes, Globs]:
        """As the writer's."""

    def files(self) -> dict[bytes, FileState]:
        """Every file that a run has looked at, by its raw path."""

    def problems(self) -> list[Skipped]:
        """Files and parts of files that are not searchable, by path."""

    def recognised(self, picture: bytes) -> str | None:
        """What an engine has found in a picture, by the hash of its pixels, as `keep_recognised` took it."""

    def stored_files(self) -> Iterator[StoredFile]:
        """All that it holds, so that another store can be made of it without reading a file."""

    def check(self) -> list[str]:
        """Verify everything; a sentence for each thing that is wrong."""

    def repair(self, *, wait: bool = False) -> list[str]:
        """Make it whole again; the paths of files that have to be read again."""

    def backup(self, target: Path) -> None:
        """Write it as it is at this moment into one new file, beside any writer."""

    def is_own(self) -> bool:
        """Whether it was made or adopted by this user on this machine."""

    def adopt(self) -> None:
        """Make it this user's own on this machine."""

    def close(self) -> None:
        """Let go of what is kept open between snapshots."""


Place_contra = TypeVar("Place_contra", contravariant=True)
"""Where stores of a kind are kept."""


class Kind(Protocol[Place_contra]):
    """A kind of store: how one comes to be at a place, and is found there.

    With the user's secret on this machine it is known whether a store is this user's own.
    """

    def exists(self, place: Place_contra) -> bool:
        """Whether there is something that can be opened, or that says why it cannot."""

    def names_with(self, place: Place_contra) -> Sequence[str]:
        """How the stores of the same database are named, whether they may be opened or not; of a folder its own name.

        Raises IndexStateError where the server does not say.
        """

    def open(self, place: Place_contra, secret: bytes | None = None) -> Store:
        """The store there.

        One of an older format is brought up to date where it is this user's alone. Raises IndexMissing, IndexMismatch,
        IndexDamaged, and IndexBusy where an older one is being written.
        """

    def upgrade(self, place: Place_contra, secret: bytes | None = None) -> bool:
        """Bring a store of an older format up to date, for all who use it; whether it was older. Raises as `open`."""

    def create(self, place: Place_contra, identity: Identity, secret: bytes | None = None) -> Store:
        """An empty store.

        Raises IndexStateError where there is one, IndexBusy where somebody else makes one, UsageError where the place
        holds something else.
        """

    def restore(self, place: Place_contra, source: Path, secret: bytes | None = None) -> Store:
        """A store of what `Store.backup` wrote, published. Raises as `create`, and UsageError for what is no backup."""

    def delete(self, place: Place_contra, *, wait: bool = False) -> None:
        """Remove what is stored there, and the place itself where nothing else lies in it. Raises IndexBusy."""

    def set_aside_strange_log(self, place: Place_contra, *, wait: bool = False) -> None:
        """Before a store is repaired, while it may not even open: keep it without what belongs to another."""
