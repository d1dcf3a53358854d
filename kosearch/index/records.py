"""The records that cross the index's door, besides those of kosearch.records."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kosearch.records import Extracted, Passage, Reason, Skipped

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


@dataclass(frozen=True, slots=True)
class FileState:
    """What the index knows of a file since the last run that looked at it."""

    raw: bytes
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
    raw: bytes
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
