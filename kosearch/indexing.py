"""From files to a published generation. Yields how far it is, prints nothing."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, wait
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from itertools import islice
from queue import SimpleQueue
from typing import TYPE_CHECKING

from kosearch.errors import IndexDamaged, KosearchError
from kosearch.extract import every_version, outdated
from kosearch.index import (
    FileState,
    Globs,
    NewDocument,
    NewPassage,
    Reanalysis,
    StoredFile,
    UnanalysedDocument,
    Writer,
)
from kosearch.naming import display_path, lies_under
from kosearch.ocr import Found, decoded, encoded
from kosearch.processing import FilePool
from kosearch.reading import FAILURES, Job, PictureFound, PictureJob, Processed, ProcessedDocument
from kosearch.records import Changes, IndexProgress, IndexReport, Reason, Skipped, SourceFile
from kosearch.sources import WHOLE, Part, Unseen, WalkRules, find
from kosearch.workers import Failure, Pool

if TYPE_CHECKING:
    from kosearch.records import Vectors

Embed = Callable[[Sequence[str], Callable[[int], None]], "Vectors"]
"""Texts → (n, d); the function that goes with them is told how many more are done, and may raise to end it."""
_Coming = Future[Sequence["Vectors"]]

PicturePool = Callable[[frozenset[bytes]], "Pool[PictureJob, PictureFound | None]"]
"""Workers that read pictures; those with these hashes are known."""
BATCH = 256
"""Passages, or files without any, that are committed together: enough to sort by length, little to lose."""
FIRST_BATCH = 16
"""The first passages go early, so that the model is loaded while others are made; fewer may do without it."""
SIGN_OF_LIFE = 0.1
"""Seconds between two reports of progress while nothing else is to be done."""
PUBLISH_SECONDS = 60.0
"""While a long run goes on, what is committed becomes searchable about this often…"""
PUBLISH_SHARE = 0.1
"""…unless publishing takes more than this share of the time since the last one."""

PATIENCE = 0.5
"""Seconds that a run which was interrupted waits for what is being embedded: one step may take many."""

PARTIAL_SECONDS = 60.0
"""While the pictures of a long scan are read, what there is of it becomes searchable about this often…"""
PARTIAL_SHARE = 0.1
"""…unless that takes more than this share of the time since the last one: all its pages are cut and analysed anew."""

UNKNOWN = -1
"""As size and time: no file is like it, so the next run looks again."""


@dataclass(slots=True)
class _Counts:
    total: int = 0
    done: int = 0
    bytes_total: int = 0
    bytes_done: int = 0
    added: int = 0
    changed: int = 0
    unchanged: int = 0
    removed: int = 0
    passages: int = 0
    embedded: int = 0
    reused: int = 0
    pictures_total: int = 0
    pictures_done: int = 0


class _Thread:
    """A thread that does one thing after another, and need not be waited for: it does not keep a program alive."""

    def __init__(self, name: str) -> None:
        self._tasks: SimpleQueue[Callable[[], None] | None] = SimpleQueue()
        self._thread = threading.Thread(target=self._work, name=name, daemon=True)
        self._thread.start()

    def submit(self, function: Callable[[Sequence[str]], Sequence[Vectors]], texts: Sequence[str]) -> _Coming:
        """What the function will have made of the texts."""
        coming: _Coming = Future()

        def task() -> None:
            try:
                coming.set_result(function(texts))
            except BaseException as error:  # noqa: BLE001 - it is raised where the result is asked for
                coming.set_exception(error)

        self._tasks.put(task)
        return coming

    def end(self, seconds: float) -> None:
        """Do nothing more; wait at most so long for what is being done."""
        self._tasks.put(None)
        self._thread.join(seconds)

    def _work(self) -> None:
        while (task := self._tasks.get()) is not None:
            task()


class _Ended(Exception):
    """The run is over before its time."""


@dataclass(slots=True)
class _Batch:
    """Files that are committed together, and where the vectors of their passages come from, by input hash."""

    files: Sequence[Processed]
    stored: Mapping[bytes, Vectors]
    shared: Sequence[bytes]
    """These are stored when the batch before is."""
    missing: Sequence[bytes]
    coming: _Coming
    """The vectors of those that are missing."""


def survey(known: Mapping[bytes, FileState], roots: Mapping[bytes, WalkRules], limits: str) -> Changes:
    """Look at all files under the roots, and open none; `limits` are those that workers would read them under."""
    missing, unseen = dict.fromkeys(known), []
    old = {reader for reader in {one.reader for one in known.values()} if reader and outdated(reader.split())}
    files = size = 0
    for found in find(roots):
        if isinstance(found, Unseen):
            unseen.append(found.path_bytes)
            continue
        missing.pop(found.path_bytes, None)
        before = known.get(found.path_bytes)
        if isinstance(found, Skipped):
            is_known = before is not None and (before.reason, before.detail) == (found.reason, found.detail)
            files += bool(found.path_bytes) and not is_known
        elif (
            before is None
            or _look(before) != _look(found)
            or (before.limits and before.limits != limits)
            or (before.reader in old and before.hash)
        ):
            files += 1
            size += found.size
    inside = [path_bytes for path_bytes in missing if any(lies_under(path_bytes, root) for root in roots)]
    gone = [path_bytes for path_bytes in inside if not any(lies_under(path_bytes, one) for one in unseen)]
    return Changes(files, len(gone), size, sum(one.size for one in known.values() if one.documents))


@dataclass(frozen=True, slots=True)
class Again:
    """Which files are read again although nothing about them has changed."""

    reasons: frozenset[Reason] = frozenset()
    """Those that could not be read, for one of these."""
    every: bool = False


class Run:
    """One run over some roots. Whatever ends it, what was committed until then is published.

    Three things go on at once: workers read and cut files, one thread embeds a batch of passages, and the caller's
    thread gathers the next batch and commits the one before. Only the caller's thread speaks to the index.
    """

    def __init__(self, writer: Writer, embed: Embed, ocr: str = "", part: Part = WHOLE) -> None:
        """`ocr` is what reads pictures; without, those that were read stay as they are.

        Files that are not of `part` are left to others.
        """
        self._ocr = ocr
        self._writer = writer
        self._embed = embed
        self._counts = _Counts()
        self._part = part
        known = writer.files()
        self._known: Mapping[bytes, FileState] = {path: one for path, one in known.items() if path in part}
        self._missing = set(self._known)
        """Files that were known before and have not been met."""
        self._refused: list[Processed] = []
        self._unseen: list[Unseen] = []
        self._skipped: list[Skipped] = []
        self._warnings: list[Skipped] = []
        self._again = Again()
        self._limits = ""
        self._scans: list[Processed] = []
        """Files with pictures that wait to be read."""
        self._at_once = False
        """Whether the next file is committed without others: one that grows while its pictures are read."""
        self._stored: set[bytes] = set()
        """Files of this run that were stored: a scan may be stored more than once…"""
        self._searchable: set[bytes] = set()
        """…and is counted when there is text of it."""
        self._readers: dict[str, Sequence[str] | None] = {}
        """What `_outdated` found."""
        self._walking = True
        self._ending = False
        self._begun = self._published = time.monotonic()
        self._publishing_took = float((writer.last_run() or {}).get("publishing", 0))

    def over(
        self,
        roots: Mapping[bytes, WalkRules],
        pool: FilePool,
        again: Again | None = None,
        scans: PicturePool | None = None,
    ) -> Generator[IndexProgress, None, IndexReport]:
        """Bring everything under the roots up to date.

        A file leaves the index only when its folder was read in this run and no longer has it. Unchanged files are
        left alone, but for those that `again` names or whose reader is another now; one that failed under the limits
        of the workers is tried again under others. Pictures are read last, by `scans`, when everything else is
        searchable.
        """
        self._again, self._limits = again or Again(), pool.limits
        try:
            yield from self._take(self._processed(roots, pool))
            self._remove_vanished(roots)
            if self._scans and scans is not None:
                self._publish()
                yield from self._take(self._with_pictures(pool, scans))
        except BaseException as error:
            self._publish_before_the_end(error)
            raise
        self._publish()
        report = self._report()
        self._record(report)
        return report

    def outdated(self, roots: Iterable[bytes]) -> tuple[int, list[str]]:
        """How many files of these roots are to be read again, and the kinds that are read otherwise now."""
        folders = list(roots)
        old = [
            self._outdated(one)
            for path_bytes, one in self._known.items()
            if self._outdated(one) is not None and any(lies_under(path_bytes, folder) for folder in folders)
        ]
        return len(old), sorted({kind for kinds in old for kind in kinds or ()} - {"detection", "ocr"})

    def _outdated(self, known: FileState) -> Sequence[str] | None:
        """The kinds that another reader would read now; None where the file was read, or tried, as it would be now."""
        if not known.hash and not known.limits:
            return None
        if known.reader not in self._readers:  # a hundred thousand files have a few dozen
            kinds = outdated(known.reader.split(), self._ocr)
            self._readers[known.reader] = kinds if kinds or not known.reader else None
        return self._readers[known.reader]

    def take(self, processed: Iterable[Processed]) -> Iterator[IndexProgress]:
        """Index what is no file on disk, processed elsewhere."""
        try:
            yield from self._take(processed)
        except BaseException as error:
            self._publish_before_the_end(error)
            raise
        self._publish()

    def from_stored(
        self, files: Iterable[StoredFile], total: int, roots: Mapping[bytes, Globs], pool: Pool[StoredFile, Processed]
    ) -> Generator[IndexProgress, None, IndexReport]:
        """Take over what another index holds of its files, cut and embedded anew. What is here already stays.

        The roots come last: an index without them is one that this has not finished.
        """
        self._walking, self._counts.total = False, total
        try:
            yield from self._take(self._restored(files, pool))
            with self._writer.transaction():
                for root, globs in roots.items():
                    self._writer.add_root(root, globs)
        except BaseException as error:
            self._publish_before_the_end(error)
            raise
        self._publish()
        report = self._report()
        self._record(report)
        return report

    def _restored(self, files: Iterable[StoredFile], pool: Pool[StoredFile, Processed]) -> Iterator[Processed]:
        def new() -> Iterator[StoredFile]:
            for stored in files:
                if self._known.get(stored.state.path_bytes) == stored.state:
                    self._counts.done += 1
                    self._counts.unchanged += 1
                else:
                    yield stored

        for stored, result in pool.map(new()):
            state = stored.state
            if isinstance(result, Failure):
                raise IndexDamaged(f"{stored.path} cannot be taken over: {result.detail}", "kosearch check")
            if result.documents:
                yield result
            if state.reason is not None:
                source = SourceFile(
                    state.path_bytes, stored.path, state.root, state.size, state.mtime_ns, state.ctime_ns, state.inode
                )
                problem = Skipped(stored.path, state.reason, state.detail)
                yield Processed(source, state.hash, (), (problem,), state.reader, state.limits)

    def _take(self, processed: Iterable[Processed | IndexProgress]) -> Iterator[IndexProgress]:
        thread = _Thread("embedding")
        self._ending = False
        try:
            before: _Batch | None = None
            for files in self._batches(processed):
                if isinstance(files, IndexProgress):
                    yield files
                    if before and self._counts.pictures_total and before.coming.done():
                        yield from self._commit(before)  # the next batch may be a minute away
                        before = None
                    continue
                batch = self._begin(files, before, thread)
                if before:
                    yield from self._commit(before)
                before = batch
            if before:
                yield from self._commit(before)
        finally:
            self._ending = True
            thread.end(PATIENCE)

    def _batches(self, processed: Iterable[Processed | IndexProgress]) -> Iterator[IndexProgress | list[Processed]]:
        """Files that belong together, and between them how far it is."""
        files: list[Processed] = []
        passages, enough = 0, FIRST_BATCH
        for one in processed:
            if isinstance(one, IndexProgress):
                yield one
                continue
            files.append(one)
            passages += _passages_in(one)
            self._counts.done += 1
            self._counts.bytes_done += max(one.source.size, 0)  # below 0 where it is not known
            self._counts.passages += _passages_in(one)
            if passages >= enough or len(files) >= BATCH or self._at_once:
                self._at_once = False
                yield files
                files, passages, enough = [], 0, BATCH
            yield self._progress(one.source.path)
        if files:
            yield files

    def _processed(self, roots: Mapping[bytes, WalkRules], pool: FilePool) -> Iterator[Processed]:
        """The files that are new or may have changed, read and cut by the workers, in the order found."""
        for job, result in pool.map(self._jobs(roots)):
            if isinstance(result, Failure):
                yield self._failed(job.source, result)
            elif self._waits(result):
                self._counts.done += 1
            else:
                yield result
            yield from self._turned_away()
        yield from self._turned_away()

    def _waits(self, processed: Processed) -> bool:
        """Whether a file's pictures are all that is to be done for it: what it had stays until then."""
        if not processed.pictures:
            return False
        self._scans.append(processed)
        known = self._known.get(processed.source.path_bytes)
        return known is not None and known.documents > 0 and known.hash == processed.content_hash

    def _with_pictures(self, pool: FilePool, scans: PicturePool) -> Iterator[Processed | IndexProgress]:
        """The files with pictures that wait, with what is found in them; a long one also in between.

        What is found in a picture is kept at once: a run that is interrupted there goes on with the next one.
        """
        kept = self._writer.recognised(self._ocr)
        counts = self._counts
        counts.pictures_total = sum(one.pictures for one in self._scans)
        with scans(frozenset(kept)) as readers:
            jobs = (
                PictureJob(one.source, one.content_hash, at, one.archives)
                for one in self._scans
                for at in range(one.pictures)
            )
            results = readers.map(jobs)
            for file in self._scans:
                found: list[Found] = []
                shown, took = time.monotonic(), 0.0
                for _, result in islice(results, file.pictures):
                    counts.pictures_done += 1
                    yield self._progress(file.source.path)
                    if result is None:  # the next run sees what became of the file
                        found = []
                        continue
                    found.append(self._kept(result, kept))
                    begun = time.monotonic()
                    if begun - shown > max(PARTIAL_SECONDS, took / PARTIAL_SHARE) and len(found) < file.pictures:
                        self._at_once = True
                        yield from self._again_with(file, found, pool)
                        shown = time.monotonic()
                        took = shown - begun
                if len(found) == file.pictures:
                    yield from self._again_with(file, found, pool)

    def _kept(self, result: PictureFound | Failure, kept: dict[bytes, str]) -> Found:
        """What came of a picture, now or in an earlier run."""
        if isinstance(result, Failure):
            return result.detail
        if result.found is None:
            return decoded(kept[result.picture])
        if result.picture:
            kept[result.picture] = encoded(result.found)
            self._writer.keep_recognised(self._ocr, result.picture, kept[result.picture])
        return result.found

    def _again_with(self, file: Processed, found: Sequence[Found], pool: FilePool) -> Iterator[Processed]:
        """A file, read with what was found in its pictures."""
        for job, result in pool.map([Job(file.source, None, file.archives, tuple(found))]):
            again = self._failed(job.source, result) if isinstance(result, Failure) else result
            self._counts.total += 1
            yield again

    def _failed(self, source: SourceFile, failure: Failure) -> Processed:
        """It is left alone as long as it, the limits and the readers are what they were."""
        detail = f"{failure.detail}; kosearch index --retry tries it again"
        problem = Skipped(source.path, FAILURES[failure.kind], detail)
        return Processed(source, "", (), (problem,), " ".join(every_version()), self._limits)

    def _turned_away(self) -> Iterator[Processed]:
        """The files that the walk has refused since the last look."""
        refused, self._refused = self._refused, []
        yield from refused

    def _jobs(self, roots: Mapping[bytes, WalkRules]) -> Iterator[Job]:
        for found in find(roots):
            if isinstance(found, Unseen):
                self._unseen.append(found)
                if not found.is_root:
                    self._skipped.append(found.problem)
            elif found.path_bytes not in self._part:
                pass  # somebody else's
            elif isinstance(found, Skipped):
                self._refuse(found, roots)
            else:
                self._missing.discard(found.path_bytes)
                self._counts.total += 1
                if (job := self._job(found)) is not None:
                    self._counts.bytes_total += found.size
                    yield job
        self._walking = False

    def _refuse(self, problem: Skipped, roots: Iterable[bytes]) -> None:
        """A file that the walk turned away: what it had before stays, and `status` names it."""
        root = next((root for root in roots if problem.path_bytes and lies_under(problem.path_bytes, root)), None)
        known = self._known.get(problem.path_bytes)
        if root is None or (known and (known.reason, known.detail) == (problem.reason, problem.detail)):
            self._skipped.append(problem)
        else:
            self._counts.total += 1
            source = SourceFile(problem.path_bytes, problem.path, root, UNKNOWN, UNKNOWN)
            self._refused.append(Processed(source, "", (), (problem,)))
        if root is not None:
            self._missing.discard(problem.path_bytes)

    def _job(self, source: SourceFile) -> Job | None:
        """What there is to do for a file; nothing when it looks as it did when it was indexed.

        Where it does not look so, but has the bytes that are known, they are hashed and no more.
        """
        known = self._known.get(source.path_bytes)
        if known is None:
            return Job(source, None)
        searchable = known.documents > 0
        if known.reason in self._again.reasons or self._again.every or self._outdated(known) is not None:
            return Job(source, None, searchable)
        if not known.hash and known.limits != self._limits:  # what could not even be opened has none: it may be now
            return Job(source, None, searchable)
        if _look(known) != _look(source):
            return Job(source, known.hash or None, searchable)
        self._counts.done += 1
        self._leave(source, known)
        return None

    def _leave(self, source: SourceFile, known: FileState) -> None:
        self._counts.unchanged += 1
        if known.reason is not None:
            self._skipped.append(Skipped(source.path, known.reason, known.detail))

    def _begin(self, files: Sequence[Processed], before: _Batch | None, thread: _Thread) -> _Batch:
        """See which vectors these files need, and have those made that there are none of."""
        texts = {
            one.input_hash: one.model_text
            for processed in files
            for document in processed.documents or ()
            for one in document.passages
        }
        stored = self._writer.vectors(list(texts))
        earlier = set(before.missing) if before else set()
        shared = [key for key in texts if key in earlier]
        missing = [key for key in texts if key not in stored and key not in earlier]
        self._counts.reused += len(stored) + len(shared)
        coming = thread.submit(self._embedded, [texts[key] for key in missing])
        return _Batch(files, stored, shared, missing, coming)

    def _embedded(self, texts: Sequence[str]) -> Sequence[Vectors]:
        """The texts' vectors, (d,) each. For the embedding thread."""
        return list(self._embed(texts, self._one_more_step)) if texts else []

    def _one_more_step(self, count: int) -> None:
        """So many more passages are embedded. Raises _Ended where nobody waits for the rest."""
        if self._ending:
            raise _Ended
        self._counts.embedded += count

    def _commit(self, batch: _Batch) -> Iterator[IndexProgress]:
        """Store these files in one transaction, as soon as their vectors are there."""
        while not wait([batch.coming], SIGN_OF_LIFE).done:
            yield self._progress(batch.files[-1].source.path)
        made = dict(zip(batch.missing, batch.coming.result(), strict=True))
        vectors = {**batch.stored, **made, **self._writer.vectors(batch.shared)}
        with self._writer.transaction():
            for processed in batch.files:
                self._store(processed, vectors)
        self._publish_when_due()

    def _store(self, processed: Processed, vectors: Mapping[bytes, Vectors]) -> None:
        source, counts = processed.source, self._counts
        known = self._known.get(source.path_bytes)
        if source.path_bytes in self._stored:  # with more of its pictures than before
            self._warnings = [one for one in self._warnings if one.path != source.path]
            self._skipped = [one for one in self._skipped if one.path != source.path]
        self._stored.add(source.path_bytes)
        if processed.documents is None:
            assert known is not None
            self._writer.touch(source)
            self._leave(source, known)
        elif processed.documents:
            documents = [_new_document(document, vectors) for document in processed.documents]
            self._writer.put(source, processed.content_hash, documents, processed.skipped, reader=processed.reader)
            self._warnings += processed.skipped
            as_before = known is not None and (known.reason, known.hash) == (None, processed.content_hash)
            first = source.path_bytes not in self._searchable
            self._searchable.add(source.path_bytes)
            counts.added += first and known is None
            counts.unchanged += first and as_before
            counts.changed += first and known is not None and not as_before
        else:
            self._skipped += processed.skipped
            self._writer.skip(
                source,
                processed.skipped[0],
                processed.content_hash,
                reader=processed.reader,
                limits=processed.limits,
            )

    def _remove_vanished(self, roots: Iterable[bytes]) -> None:
        """Forget the files that their folders, read in this run, no longer have."""
        for one in [one for one in self._unseen if self._left_its_folder(one, roots)]:
            self._unseen.remove(one)
            self._writer.forget_root(one.path_bytes)
        kept = [one.path_bytes for one in self._unseen]
        gone = [
            path_bytes
            for path_bytes in self._missing
            if any(lies_under(path_bytes, root) for root in roots)
            and not any(lies_under(path_bytes, one) for one in kept)
        ]
        self._counts.removed = self._writer.remove(gone)

    def _left_its_folder(self, unseen: Unseen, roots: Iterable[bytes]) -> bool:
        """Whether it is a file that was named as a root of its own, and is missing from another root's folder."""
        gone = unseen.is_root and unseen.problem.reason is Reason.VANISHED and unseen.path_bytes in self._known
        return gone and any(root != unseen.path_bytes and lies_under(unseen.path_bytes, root) for root in roots)

    def _publish_when_due(self) -> None:
        since = time.monotonic() - self._published
        if since > max(PUBLISH_SECONDS, self._publishing_took / PUBLISH_SHARE):
            self._publish()

    def _publish(self) -> None:
        begun = time.monotonic()
        self._writer.publish()
        self._published = time.monotonic()
        self._publishing_took = self._published - begun

    def _publish_before_the_end(self, error: BaseException) -> None:
        """After an error, what is committed becomes searchable; who presses Ctrl-C may not want to wait for that.

        What is not published here is published by the next run. The error is what the user hears of.
        """
        if isinstance(error, Exception) or self._publishing_took < PATIENCE:
            with suppress(KosearchError, OSError):
                self._writer.publish()

    def _record(self, report: IndexReport) -> None:
        took = round(self._publishing_took, 1)
        run = {"ended": _now(), "seconds": round(report.seconds, 1), "embedded": report.embedded, "publishing": took}
        self._writer.record_run(run)

    def _progress(self, path: str) -> IndexProgress:
        counts = self._counts
        return IndexProgress(
            counts.total,
            counts.done,
            counts.passages,
            counts.embedded,
            self._walking,
            path,
            reused=counts.reused,
            bytes_total=max(counts.bytes_total, counts.bytes_done),
            bytes_done=counts.bytes_done,
            pictures_total=counts.pictures_total,
            pictures_done=counts.pictures_done,
        )

    def _report(self) -> IndexReport:
        counts = self._counts
        return IndexReport(
            added=counts.added,
            changed=counts.changed,
            unchanged=counts.unchanged,
            removed=counts.removed,
            skipped=tuple(self._skipped),
            warnings=tuple(self._warnings),
            embedded=counts.embedded,
            reused=counts.reused,
            seconds=time.monotonic() - self._begun,
            failed_roots=tuple(one.problem for one in self._unseen if one.is_root),
        )


def _look(one: FileState | SourceFile) -> tuple[bytes, int, int, int, int]:
    return one.root, one.size, one.mtime_ns, one.ctime_ns, one.inode


def renew_terms(
    reanalysis: Reanalysis, pool: Pool[UnanalysedDocument, list[Mapping[str, Sequence[str]]]]
) -> Iterator[IndexProgress]:
    """Give every passage terms by the rules of this version, from the stored texts, and publish."""
    total, passages = len(reanalysis), 0
    batch: list[tuple[UnanalysedDocument, Sequence[Mapping[str, Sequence[str]]]]] = []
    waiting = 0
    for done, (document, result) in enumerate(pool.map(reanalysis.documents()), 1):
        if isinstance(result, Failure):
            reanalysis.give_up(document)
        else:
            batch.append((document, result))
        waiting += len(document.ids)
        passages += len(document.ids)
        if waiting >= BATCH:
            reanalysis.put(batch)
            batch, waiting = [], 0
        yield IndexProgress(total, done, passages, 0, False, document.name)
    reanalysis.put(batch)
    reanalysis.finish()


def _now() -> str:
    return datetime.now().astimezone().isoformat(timespec="seconds")


def _passages_in(processed: Processed) -> int:
    return sum(len(document.passages) for document in processed.documents or ())


def _new_document(document: ProcessedDocument, vectors: Mapping[bytes, Vectors]) -> NewDocument:
    passages = [
        NewPassage(one.passage, one.input_hash, vectors[one.input_hash], one.terms) for one in document.passages
    ]
    return NewDocument(document.extracted, passages)


def relocate(writer: Writer, before: bytes, after: bytes) -> int:
    """What lay below `before` lies below `after` now, folders and files alike; returns how many files. Reads none.

    A file that is there with the size and time that are known counts as unchanged from then on.
    """

    def there(path_bytes: bytes) -> bytes:
        return after + path_bytes[len(before) :]

    count = 0
    with writer.transaction():
        roots = {root: globs for root, globs in writer.roots().items() if lies_under(root, before)}
        for root, globs in roots.items():
            writer.add_root(there(root), globs)
        for path_bytes, known in writer.files().items():
            if lies_under(path_bytes, before):
                root = there(known.root) if known.root in roots else known.root
                writer.move(path_bytes, _as_it_is(known, there(path_bytes), root))
                count += 1
        for root in roots:
            writer.forget_root(root)
    return count


def _as_it_is(known: FileState, path_bytes: bytes, root: bytes) -> SourceFile:
    """A file under its new name, with what only the file system there knows of it."""
    ctime_ns, inode = known.ctime_ns, known.inode
    with suppress(OSError):
        now = os.stat(path_bytes)
        if (now.st_size, now.st_mtime_ns) == (known.size, known.mtime_ns):
            ctime_ns, inode = now.st_ctime_ns, now.st_ino
    return SourceFile(path_bytes, display_path(path_bytes), root, known.size, known.mtime_ns, ctime_ns, inode)
