"""What an index is asked as a whole: the part of the public API that stands on this room."""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import date
from typing import TYPE_CHECKING

from kosearch import filters
from kosearch.errors import UsageError
from kosearch.index import Snapshot, StoredDocument, StoredPassage
from kosearch.naming import canonical, display_path
from kosearch.opening import Opened, check_terms
from kosearch.records import Answer, Extracted, Query

if TYPE_CHECKING:
    from kosearch.analysis.duplicates import DuplicateGroup
    from kosearch.analysis.similar import Subject
    from kosearch.analysis.topics import Topics
    from kosearch.records import Vectors

StrPath = str | bytes | os.PathLike[str]
Progress = Callable[[str, int, int], object]
_PAGE = re.compile(r"(.+):(\d{1,6})", re.DOTALL)


class Analysed(Opened):
    """An index, asked what belongs together in it. No file of it is read for that, and no model loaded."""

    def similar(
        self,
        thing: StrPath | None = None,
        *,
        text: str | None = None,
        k: int | None = None,
        path: str | Sequence[str] = (),
        type: str | Sequence[str] = (),
        after: str | date | None = None,
        before: str | date | None = None,
        context: int = 0,
        copies: bool = False,
    ) -> Answer:
        """The k documents most like a thing, each with the passage that is most like it; best first.

        `thing` is a file, a page of it (`report.pdf:12`), or a hit's id; a file that is not in the index is read.
        `text` is asked about in its place. The thing itself is left out, and so are its copies, unless `copies` says
        otherwise. Filters are as for `search`.
        Raises UsageError for what is not there, FilesSkipped for a file that cannot be read.
        """
        from kosearch.analysis.similar import similar

        query = Query(
            text="" if thing is None else display_path(os.fsencode(thing)),
            k=self.settings.k if k is None else k,
            paths=_globs(path),
            kinds=(type,) if isinstance(type, str) else tuple(type),
            after=None if after is None else str(after),
            before=None if before is None else str(before),
            context=context,
        )
        filters.check(query)
        if (thing is None) == (text is None):
            raise UsageError("similar takes a thing or a text", "one of the two")
        with self._analysed() as snapshot:
            if thing is not None:
                return similar(self._subject(thing, snapshot), query, snapshot, copies=copies)
            filters.check_text(text or "")
            return similar(self._read_now([Extracted(text or "", "text")], ""), query, snapshot, copies=copies)

    def duplicates(
        self, *, kind: str | Sequence[str] = (), path: str | Sequence[str] = (), progress: Progress | None = None
    ) -> list[DuplicateGroup]:
        """Documents that are copies, versions, parts or translations of each other, in groups, the newest first.

        `kind` is exact, copy, version, contained, part or translation, `path` are globs as in .gitignore: both narrow.
        `progress` is told what is done, how much of it, and of how much. Nothing is removed or merged.
        Raises UsageError for a kind that there is not.
        """
        from kosearch.analysis.duplicates import Kind, duplicates

        kinds = (kind,) if isinstance(kind, str) else tuple(kind)
        for one in kinds:
            if one not in tuple(Kind):
                raise UsageError(f"there is no kind {one!r} of duplicates", f"kinds are {', '.join(Kind)}")
        with self._analysed() as snapshot:
            return duplicates(snapshot, kinds, _globs(path), progress)

    def repeated_passages(
        self, *, path: str | Sequence[str] = (), progress: Progress | None = None
    ) -> list[tuple[StoredPassage, ...]]:
        """Passages that stand in several documents, nearly word for word, in groups; the largest first."""
        from kosearch.analysis.duplicates import repeated_passages

        with self._analysed() as snapshot:
            return repeated_passages(snapshot, _globs(path), progress)

    def difference(self, old: StoredDocument, new: StoredDocument) -> list[tuple[str, str]]:
        """How the texts of two documents of the index differ: `same`, `gone` or `new`, each with its words."""
        from kosearch.analysis.difference import changes

        with self.store.snapshot() as snapshot:
            return list(changes(snapshot.document_text(old.id), snapshot.document_text(new.id)))

    def topics(
        self, n: int = 8, *, depth: int = 2, path: str | Sequence[str] = (), progress: Progress | None = None
    ) -> Topics:
        """The documents in `n` topics, and those in finer ones of their own, `depth` levels in all.

        `path` and `progress` are as for `duplicates`. The same documents give the same topics.
        Raises UsageError where there are fewer than two documents, or kosearch[analysis] is not installed.
        """
        from kosearch.analysis.topics import topics

        if n < 1 or depth < 1:
            raise UsageError("n and depth are at least 1")
        with self._analysed() as snapshot:
            return topics(snapshot, n, depth, _globs(path), progress)

    def passage_vectors(self, *, path: str | Sequence[str] = ()) -> Iterator[tuple[StoredPassage, Vectors]]:
        """All passages with their vectors, float32 (d,) of length 1, in the order of paths; `path` are globs."""
        from kosearch.analysis.exporting import rows

        with self._analysed() as snapshot:
            yield from rows(snapshot, _globs(path))

    @contextmanager
    def _analysed(self) -> Iterator[Snapshot]:
        """A snapshot whose terms are those of this version. Raises UsageError for an empty one."""
        with self.store.snapshot() as snapshot:
            check_terms(snapshot.identity, self.settings)
            if not snapshot.passages:
                raise UsageError(self.why_empty())
            yield snapshot

    def _subject(self, thing: StrPath, snapshot: Snapshot) -> Subject:
        """What is asked about: from the index where it is there, else read now."""
        from kosearch.analysis import similar
        from kosearch.reading import FileReader, OcrUse, read_alone

        name = os.fsdecode(thing)
        if similar.is_hit(name):
            return similar.of_hit(name, snapshot)
        path_bytes, page = _canonical(name), None
        found = similar.of_file(path_bytes, None, snapshot)
        if not found and not os.path.exists(path_bytes) and (paged := _PAGE.fullmatch(name)):
            path_bytes, page = _canonical(paged[1]), int(paged[2])
            found = similar.of_file(path_bytes, page, snapshot)
        if found:
            return found
        reader = FileReader(self.settings.max_file_size, False, OcrUse.of(self.settings))
        documents = read_alone(reader, path_bytes, self.settings.timeout, shown=name).documents
        if page is not None:
            documents = tuple(similar.page_of(one, page) for one in documents[:1])
        return self._read_now(documents, display_path(path_bytes))

    def _read_now(self, documents: Sequence[Extracted], name: str) -> Subject:
        from kosearch.analysis.similar import Subject

        processed = [self.processor.process(one, one.member or name) for one in documents]
        passages = [passage for one in processed for passage in one.passages]
        if not passages:
            raise UsageError(f"{name or 'the text'}: there is no text in it")
        return Subject(
            self.embed_passages([one.model_text for one in passages]),
            [one.terms for one in passages],
            hashes=frozenset(hashlib.sha256(one.text.encode()).hexdigest() for one in documents),
        )


def _canonical(name: str) -> bytes:
    return canonical(os.fsencode(os.path.abspath(os.path.expanduser(name))))


def _globs(path: str | Sequence[str]) -> tuple[str, ...]:
    return tuple(map(filters.glob, (path,) if isinstance(path, str) else path))
