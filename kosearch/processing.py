"""A file → passages with terms, ready to be embedded: the part of indexing that runs in worker processes."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from functools import cached_property
from itertools import chain
from pathlib import Path
from typing import Protocol, Self

from kosearch import kiwi
from kosearch.embedding import AnyModel, token_offsets
from kosearch.index import StoredFile, UnanalysedDocument
from kosearch.passages import CONTEXT, chunk, context
from kosearch.reading import Extracts, FileExtractor, Job, Processed, ProcessedDocument, ProcessedPassage, named_readers
from kosearch.records import MAX_TITLE, Extracted, Passage, Reason, Skipped, SourceFile, TokenOffsets
from kosearch.terms import Analyzer, is_korean
from kosearch.workers import Failure, Pool, off_the_clock, time_again

_TEXT = 250_000
"""Code points of text that may take as long as a whole file: at 60 s five to ten times what they take."""


@dataclass(frozen=True, slots=True)
class PassageRules:
    """How text becomes passages; an index is made with one set of them."""

    size: int
    """The most tokens a passage has, without prompt and context."""
    overlap: int
    """Tokens repeated from the passage before."""
    context: int = CONTEXT
    """The most code points of title and headings in front of it, for a model that reads too little for the usual."""


class FilePool(Protocol):
    """What reads, cuts and analyses files: worker processes, or the warm one with one of them."""

    limits: str
    """Those that a file is read under."""

    def map(self, items: Iterable[Job]) -> Iterator[tuple[Job, Processed | Failure]]:
        """Each file with what came of it, in their order."""
        ...


class DocumentProcessor:
    """Cuts and analyses documents. Made in the parent, pickled once, and loaded in each worker on first use."""

    def __init__(self, model: AnyModel, rules: PassageRules, words: tuple[str, ...] = ()) -> None:
        self._model = model
        self._rules = rules
        self.words = words

    def sharing(self, analyzer: Analyzer, tokens: TokenOffsets) -> Self:
        """Itself, with an analyzer by these words and the model's tokens that others use too, in one process."""
        self._analyzer, self._tokens = analyzer, tokens
        return self

    def warm(self) -> None:
        """Load what every document needs, before the time of the first one begins."""
        self._tokens("warm")

    def process(self, document: Extracted, name: str) -> ProcessedDocument:
        """The document's passages and their terms; `name` is its path."""
        if is_korean(document.text):
            with off_the_clock():  # it takes seconds, once, and is not this document's fault
                self._analyzer.load()
        with time_again(1 + len(document.text) / _TEXT):  # what is long and sound is no fault either
            passages = chunk(document, self._tokens, size=self._rules.size, overlap=self._rules.overlap)
            return ProcessedDocument(document, tuple(self._passage(document, one, name) for one in passages))

    def _passage(self, document: Extracted, passage: Passage, name: str) -> ProcessedPassage:
        text = document.text[passage.start : passage.end]
        model_text = context(document.title, passage, text, limit=self._rules.context) + text
        terms = _terms(self._analyzer, document.title, passage, text, name)
        return ProcessedPassage(passage, model_text, input_hash(model_text), terms)

    @cached_property
    def _tokens(self) -> TokenOffsets:
        return token_offsets(self._model)

    @cached_property
    def _analyzer(self) -> Analyzer:
        return Analyzer(self.words)


@dataclass(frozen=True, slots=True)
class FileProcessor:
    """The worker's task for files: read, extract, cut and analyse."""

    processor: DocumentProcessor
    extractor: FileExtractor

    def warm(self) -> None:
        """Load what every document needs."""
        self.processor.warm()

    def __call__(self, job: Job) -> Processed:
        """All that is in a file."""
        return self.cut(self.extractor(job))

    def cut(self, found: Extracts | Processed) -> Processed:
        """The second half: what a file holds, cut and analysed."""
        if isinstance(found, Processed):
            return found
        source, extraction = found.source, found.extraction
        documents = tuple(self.processor.process(one, one.member or source.path) for one in extraction.documents)
        partial = [
            Skipped(source.path, Reason.PARTIAL, warning, one.member)
            for one in extraction.documents
            for warning in one.warnings
        ]
        reader = named_readers(extraction.readers, extraction.skipped)
        skipped = (*extraction.skipped, *partial)
        return Processed(
            source,
            found.content_hash,
            documents,
            skipped,
            reader,
            pictures=found.pictures,
            archives=found.archives,
        )


class CuttingPool:
    """Takes files from the process that reads them, and cuts and analyses them here."""

    def __init__(self, pool: Pool[Job, Extracts | Processed], processor: FileProcessor) -> None:
        self.limits = pool.limits
        self._pool = pool
        self._processor = processor

    def map(self, items: Iterable[Job]) -> Iterator[tuple[Job, Processed | Failure]]:
        """As `Pool.map`."""
        for job, found in self._pool.map(items):
            yield job, found if isinstance(found, Failure) else self.cut(found)

    def cut(self, found: Extracts | Processed) -> Processed | Failure:
        """The second half of reading a file, here."""
        try:
            return self._processor.cut(found)
        except Exception as error:  # noqa: BLE001 - as in a worker: one file must not end the run
            return Failure("error", f"{type(error).__name__}: {error}")


class FewHere(AbstractContextManager["FewHere"]):
    """Files, read in other processes: cut and analysed here while they are few, by workers where they are more.

    A worker that does all of it has to load what this process loads anyway. So a few files go through one that reads
    alone, which is there at once, and Kiwi is loaded beside both. What goes wrong here, or is longer than it should be
    where no time is limited, is for a worker, which can say what it was.
    """

    def __init__(
        self,
        processor: FileProcessor,
        workers: Pool[Job, Processed],
        reader: Pool[Job, Extracts | Processed],
        meanwhile: Callable[[], object],
    ) -> None:
        """`meanwhile` is called once, while Kiwi is loaded."""
        self.limits = workers.limits
        self._workers = workers
        self._reader = reader
        self._here = CuttingPool(reader, processor)
        self._meanwhile: Callable[[], object] | None = meanwhile
        self._started = False
        """Whether Kiwi is beside this process for these files."""

    def __exit__(self, *_: object) -> None:
        self._reader.close()
        self._workers.close()
        self._end_kiwi()

    def map(self, items: Iterable[Job]) -> Iterator[tuple[Job, Processed | Failure]]:
        """As `Pool.map`."""
        jobs = iter(items)
        few, size = list[Job](), 0
        for job in jobs:
            if not few:
                self._started = kiwi.start() or self._started
            few.append(job)
            size += job.source.size
            if len(few) > _FEW or size > _FEW_BYTES:
                self._end_kiwi()
                yield from self._workers.map(chain(few, jobs))
                return
        left = _FEW_CHARACTERS
        for job, found in self._reader.map(few):
            if self._meanwhile is not None and isinstance(found, Extracts):
                self._meanwhile()
                self._meanwhile = None
            if isinstance(found, Failure):
                yield job, found
                continue
            if isinstance(found, Extracts):
                left -= _length(found)
            cut = self._here.cut(found) if left >= 0 else None
            if isinstance(cut, Processed):
                yield job, cut
            else:
                yield from self._workers.map([job])

    def _end_kiwi(self) -> None:
        if self._started:
            kiwi.end()
            self._started = False


_FEW = 8
"""Files that are cut and analysed in this process: so many are done before a worker has started."""
_FEW_BYTES = 1 << 20
"""The most bytes of them…"""
_FEW_CHARACTERS = 100_000
"""…and characters: what is packed may be of any length."""


def _length(found: Extracts) -> int:
    return sum(len(one.text) for one in found.extraction.documents)


@dataclass(frozen=True, slots=True)
class StoredFileProcessor:
    """The worker's task for what another index holds: cut and analyse, without the file."""

    processor: DocumentProcessor

    def warm(self) -> None:
        """Load what every document needs."""
        self.processor.warm()

    def __call__(self, stored: StoredFile) -> Processed:
        """The file's documents. One that never was on disk, of a collection, has no name to be found by."""
        state = stored.state
        size, mtime_ns = (state.size, state.mtime_ns) if state.reason is None else stored.read_as
        source = SourceFile(state.path_bytes, stored.path, state.root, size, mtime_ns, state.ctime_ns, state.inode)
        name = stored.path if state.root else ""
        documents = tuple(self.processor.process(one, one.member or name) for one in stored.documents)
        return Processed(source, state.hash, documents, stored.partial, state.reader)


class TermProcessor:
    """The worker's task for documents whose terms are to be made by the rules of this version, and by these words."""

    def __init__(self, words: tuple[str, ...]) -> None:
        self._words = words

    def __call__(self, document: UnanalysedDocument) -> list[Mapping[str, Sequence[str]]]:
        """The terms of each passage, by field."""
        with time_again(1 + sum(map(len, document.texts)) / _TEXT):
            return [
                _terms(self._analyzer, document.title, passage, text, document.name)
                for passage, text in zip(document.passages, document.texts, strict=True)
            ]

    @cached_property
    def _analyzer(self) -> Analyzer:
        return Analyzer(self._words)


def _terms(analyzer: Analyzer, title: str, passage: Passage, text: str, name: str) -> Mapping[str, Sequence[str]]:
    """A passage's terms, with those of title, headings and the file's name."""
    return analyzer.passage_terms(text, (title[:MAX_TITLE], *passage.headings), Path(name).stem)


def input_hash(model_text: str) -> bytes:
    """What a vector is known by within an index: the text that its model saw. 16 bytes."""
    return hashlib.blake2b(model_text.encode("utf-8", "surrogatepass"), digest_size=16).digest()
