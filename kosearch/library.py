"""The public API: one index and all that using it takes, and what needs none.

The command line, the evaluation and the warm process stand on it as other programs do. Everything heavy is made on
first use: asking for the status of an index loads no model.
"""

from __future__ import annotations

import os
import re
import shlex
import time
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import date
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Literal, Self, TypedDict, TypeVar, Unpack, overload

from kosearch import filters
from kosearch.analysis.asking import Analysed
from kosearch.config import (
    REFRESH_SECONDS,
    Database,
    Settings,
    database,
    index_directory,
    index_names,
    is_database,
    load,
    named_indexes,
)
from kosearch.embedding import AnyModel, Head, head_behind
from kosearch.errors import IndexBusy, IndexDamaged, KosearchError, UsageError
from kosearch.index import FullDocument, Identity, SqliteStore, Status, StoredDocument, StoredPassage, kind_of
from kosearch.naming import canonical, display_path, lies_under
from kosearch.opening import are_few, check_terms, embedder_for, plan
from kosearch.records import (
    Answer,
    Changes,
    Extraction,
    IndexProgress,
    IndexReport,
    Query,
    Reason,
    Recognised,
    Shown,
    Skipped,
)
from kosearch.sources import WHOLE, Part, WalkRules

if TYPE_CHECKING:
    from kosearch.index import Snapshot
    from kosearch.index.contract import Globs, Ids
    from kosearch.records import Vectors
    from kosearch.searching.answering import Read

StrPath = str | bytes | os.PathLike[str]
Item = TypeVar("Item")
Result = TypeVar("Result")
_SECONDS_FOR_A_FILE = 0.03
_SECONDS_FOR_A_PASSAGE = 0.08
"""What indexing takes on one core of 2020, with all loaded…"""
_PASSAGES_IN_A_BYTE = 1 / 600
"""…and, for an index without any yet, how many passages plain Korean text has."""


class SearchOptions(TypedDict, total=False):
    """What `Index.search` takes beside the question, for type checkers; its docstring says what each does."""

    k: int | None
    mode: str | None
    weight: float | None
    min_score: float | None
    path: str | Sequence[str]
    type: str | Sequence[str]
    after: str | date | None
    before: str | date | None
    group: bool
    context: int
    rerank: int
    exact: bool


def open(
    name: str | os.PathLike[str] | None = None,
    *,
    model: str | None = None,
    endpoint: str | None = None,
    dimensions: int | None = None,
    storage: str | None = None,
    passage_tokens: int | None = None,
    passage_overlap: int | None = None,
    device: str | None = None,
) -> Index:
    """The index of that name, or in that folder; it is made when something is first indexed.

    A string without a separator is the name of an index among the user's data, as after `kosearch --index`; a path
    is a folder. Without a name it is the one that the settings name, `default` unless they say otherwise.
    `model` is "bundled", a hub name, a folder, or openai:NAME with its `endpoint`, a URL; `dimensions` is the length of
    vectors, `storage` float16 or int8; `passage_tokens` and `passage_overlap` count the model's tokens. All of these
    are for an index that is made; of one that is there, they must be what it was made with. `device` is auto, cpu,
    cuda, cuda:N or mps. What is not given comes from the environment and the user's settings, as for the command.

    Raises UsageError for a name or a value that makes no sense. Nothing is read or loaded yet.
    """
    given = {
        "index": name if name is None or isinstance(name, str) else os.path.abspath(name),
        "model": model,
        "endpoint": endpoint,
        "dimensions": dimensions,
        "storage": storage,
        "passage_tokens": passage_tokens,
        "passage_overlap": passage_overlap,
        "device": device,
    }
    return Index(load(given), questions=1)


def read(
    file: StrPath,
    *,
    archives: bool = False,
    max_file_size: int | str | None = None,
    timeout: float | None = None,
    ocr: str | None = None,
) -> Extraction:
    """What kosearch reads in a file: its documents with text and structure, and the parts of it that gave none.

    Most files are one document; a mail has its attachments, and with `archives` a ZIP its members. `max_file_size` is
    in bytes, or text such as "64M"; `timeout` in seconds. `ocr` is auto, off or force: whether scanned pages and
    pictures are read, and pages that have a text as well. The file is read in a process of its own, so that one that
    crashes or eats memory costs nothing else. Raises FilesSkipped, which says why, where nothing can be read.
    """
    from kosearch.reading import FileReader, OcrUse

    settings = load({"max_file_size": max_file_size, "timeout": timeout, "ocr": ocr})
    return _read_by(FileReader(settings.max_file_size, archives, OcrUse.of(settings)), file, settings)


def attachment(file: StrPath, member: str) -> bytes | None:
    """The bytes of a file inside another one: a hit's `member` of its `path`. None where it is no file of its own.

    It is read as `read` does, and raises as it does.
    """
    from kosearch.reading import MemberReader

    settings = load({})
    return _read_by(MemberReader(settings.max_file_size, member), file, settings)


def _read_by(task: Callable[[bytes], Result | Skipped], file: StrPath, settings: Settings) -> Result:
    """What a worker finds in one file. Raises FilesSkipped, which says why, where it finds nothing."""
    from kosearch.reading import read_alone

    shown = display_path(os.fsencode(file))
    return read_alone(task, canonical(_file_name(file)), settings.timeout, shown=shown)


def embed(
    texts: Sequence[str],
    *,
    kind: Literal["passage", "query"] = "passage",
    model: str | None = None,
    device: str | None = None,
) -> Vectors:
    """Vectors of texts, float32 of shape (len(texts), d) and of unit length: their dot product is the cosine.

    `kind` says which prompt the model wants before them. `model` and `device` are as for `open`; the model stays loaded
    for the next call. A text longer than the model reads is cut off at its end.
    Raises ModelError where the model is missing or broken, UsageError for what are no texts.
    """
    if isinstance(texts, str) or kind not in ("passage", "query"):
        raise UsageError("embed takes a list of texts, and their kind: passage or query")
    embedder = embedder_for(load({"model": model, "device": device}), not are_few(texts))
    return embedder.embed_queries(texts) if kind == "query" else embedder.embed_passages(texts)


def similarity(
    first: Sequence[str], second: Sequence[str], *, model: str | None = None, device: str | None = None
) -> Vectors:
    """The cosines of texts with others, pair by pair, float32 of shape (n,).

    Both are taken as questions are: where a model knows prompts, that is the one for texts that are compared.
    `model`, `device` and errors are as for `embed`.
    """
    if isinstance(first, str) or isinstance(second, str) or len(first) != len(second):
        raise UsageError("similarity takes two lists of texts of one length")
    vectors = embed([*first, *second], kind="query", model=model, device=device)
    found: Vectors = (vectors[: len(first)] * vectors[len(first) :]).sum(axis=1)
    return found


def all_indexes(settings: Settings) -> list[str]:
    """The names of the user's indexes, and after them the URLs of all in each database that the settings name.

    A database that does not say what it has stands there as the settings name it: whoever opens that is told why.
    """
    names = index_names(settings)
    for name in filter(is_database, named_indexes(settings.index)):
        place = database(name)
        try:
            names += kind_of(place).names_with(place)
        except KosearchError:
            names.append(str(place))
    return list(dict.fromkeys(names))


class Index(Analysed):
    """An index, by `kosearch.open`: files that are searchable, and all that asking for them takes.

    Opened models, indexes and files are kept until `close`, or the end of a `with` block. One object may be used by
    several threads at once: questions are answered side by side, each from one state of the index, and readers never
    wait for whoever is indexing. A second one who indexes at the same time gets IndexBusy.

    Methods raise IndexMissing before anything was indexed, IndexMismatch where the index was made by another model or
    by rules of another version, and IndexDamaged where something in it is not what was written.
    """

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"<kosearch.Index {self.settings.index!r} in {self.place}>"

    def index(
        self,
        *paths: StrPath,
        progress: Callable[[IndexProgress], object] | None = None,
        include: Sequence[str] = (),
        exclude: Sequence[str] = (),
        archives: bool = False,
        retry: bool = False,
        reread: bool = False,
        part: str | None = None,
        pull: bool = False,
        wait: bool = False,
    ) -> IndexReport:
        """Make files and folders searchable, or bring them up to date: only what changed is read again.

        Without paths, all that were indexed before are brought up to date. `include` and `exclude` are globs as in
        .gitignore; the named folders keep them for later runs. `archives` reads the documents in ZIP files, `retry`
        tries again what could not be read, `reread` reads every file again, changed or not. `part`, such as "2/8",
        takes one of eight parts that the files fall into by their paths. `pull` downloads a model
        that is not here, `wait` waits for another writer. `progress` is called several times a second with how far it
        is. A file that cannot be read is skipped and stands in the report.
        Raises UsageError where there is nothing to index, ModelError where the model cannot be used, and IndexBusy
        where another process is writing. What was committed until an error stays.
        """
        run = self.indexing(
            *paths,
            include=include,
            exclude=exclude,
            archives=archives,
            retry=retry,
            reread=reread,
            part=part,
            pull=pull,
            wait=wait,
        )
        for state in run:
            if progress is not None:
                progress(state)
        return run.report

    def indexing(
        self,
        *paths: StrPath,
        include: Sequence[str] = (),
        exclude: Sequence[str] = (),
        archives: bool = False,
        retry: bool = False,
        reread: bool = False,
        part: str | None = None,
        pull: bool = False,
        wait: bool = False,
    ) -> IndexRun:
        """The same step by step, for a bar of your own: iterating does the work and tells how far it is."""
        if not paths and not self.exists:
            raise UsageError("nothing is indexed yet", "kosearch index PATH")
        globs = {"include": tuple(include), "exclude": tuple(exclude)} if include or exclude else None
        roots = [_file_name(path) for path in paths]
        return IndexRun(
            self.update(
                roots, globs=globs, archives=archives, retry=retry, reread=reread, part=part, pull=pull, wait=wait
            )
        )

    @overload
    def search(self, question: str, **options: Unpack[SearchOptions]) -> Answer: ...  # type: ignore[overload-overlap]

    @overload
    def search(self, question: Sequence[str], **options: Unpack[SearchOptions]) -> list[Answer]: ...

    def search(self, question: str | Sequence[str], **options: Unpack[SearchOptions]) -> Answer | list[Answer]:
        """The k best passages for a question, best first; for a list of questions a list of answers, in their order.

        A question is a sentence or words; `"a phrase"`, `+must` and `-not` narrow it. `mode` is hybrid, dense (meaning)
        or lexical (words); `weight`, from 0 to 1, is meaning's share of a hybrid score; `min_score` the least raw
        cosine. `path` are globs as in .gitignore, `type` kinds of files, `after` and `before` dates (2024, 2024-02,
        2024-02-01, 3d or a `date`), both included. `group` gives only the best passage of each document, `context` so
        many lines around each, `exact` takes the words as typed, and `rerank` scores so many of the best again by all
        heads of a model that has them. What is not given comes from the user's settings.

        Scores lie between 0 and 1, and compare hits of one question. Offsets count code points in the document's text.
        An answer is a sequence of its hits; without any, its `warnings` and `terms` tell why.
        Raises UsageError for a question or a filter that makes no sense, ModelError where the model cannot be used.
        """
        answers = self.answers(queries_of(self.settings, question, **options))
        return answers[0] if isinstance(question, str) else answers

    def vectors(self) -> tuple[Ids, Vectors]:
        """The ids of all passages, int64 (n,), ascending, and their vectors, float32 (n, d) of unit length.

        Both are read only; the vectors are mapped into memory, not read, and stay as they are whatever happens to the
        index. `passages` gives what belongs to ids.
        """
        with self.store.snapshot() as snapshot:
            return snapshot.vectors()

    def passages(self, ids: Sequence[int] | Ids) -> list[StoredPassage]:
        """Passages with text and document, in the order of their ids. Raises IndexDamaged for one that is not there."""
        import numpy as np

        with self.store.snapshot() as snapshot:
            return snapshot.stored(np.asarray(ids, dtype=np.int64))

    def backup(self, file: Path) -> None:
        """Write the index as it is at this moment into one new file, beside any writer. Raises UsageError."""
        self.store.backup(file)

    def restore(self, file: Path) -> None:
        """Make the index of a backup. Raises IndexStateError where there is one, UsageError for what is no backup."""
        kind_of(self.place).restore(self.place, file, self._secret)

    def upgrade(self) -> bool:
        """Bring an index that an earlier version made to this one's format; whether there was anything to do.

        One in a folder is brought to it when it is opened. One that a server keeps for several is by this alone, by its
        owner: kosearch of the earlier version does not open it any more. Raises IndexStateError for others.
        """
        return kind_of(self.place).upgrade(self.place, self._secret)

    def adopt(self) -> None:
        """Take over an index that was made elsewhere: from now on what it says counts."""
        if self._secret is None:
            raise UsageError(
                f"nothing can be kept in {self.settings.data_dir}", "set KOSEARCH_DATA_DIR to a folder of your own"
            )
        self.store.adopt()

    def update(
        self,
        roots: Sequence[bytes],
        *,
        globs: Mapping[str, tuple[str, ...]] | None = None,
        archives: bool = False,
        retry: bool = False,
        reread: bool = False,
        part: str | None = None,
        pull: bool = False,
        wait: bool = False,
        brief: bool = False,
    ) -> Generator[IndexProgress | str, None, IndexReport]:
        """Bring the roots, or all known ones, up to date; makes the index where there is none.

        `globs` (include, exclude) limit the named roots from now on; without, they keep those they had. `retry` tries
        again what could not be read, `reread` reads every file again. Yields how far it is, and first lines for the
        user: which model the index uses and why, and which files are read again since their readers have changed.

        Raises UsageError where nothing of what is named is there, or ever was.
        """
        from kosearch.indexing import Again, Run
        from kosearch.processing import FileProcessor
        from kosearch.reading import FileExtractor, OcrUse

        named = [canonical(root) for root in roots]
        if named and not any(os.path.lexists(one) or self._knows(one) for one in named):
            raise UsageError(f"{display_path(named[0])}: there is no such file or folder", "check the path")
        if self.exists:
            self._refuse_foreign("the folders that stand in it are not read")
        self.prepare(pull=pull)
        yield from self._notes()
        yield from self.renew_terms(wait=wait)
        max_size = self.settings.max_file_size
        ocr = OcrUse.of(self.settings)
        processor = FileProcessor(self.processor, FileExtractor(max_size, archives, ocr))
        reasons = frozenset(Reason) if retry else frozenset({Reason.UNSUPPORTED}) if archives else frozenset()
        with self.store.writer(wait=wait, brief=brief) as writer, self.file_pool(processor) as pool:
            for root in filter(os.path.lexists, named):
                writer.add_root(root, globs)
            wanted = self._walks(named, writer.roots())
            engine = "" if brief else ocr.version  # recognising a page takes seconds
            run = Run(writer, self.embed_passages, engine, _part_of(part))
            count, kinds = run.outdated(wanted)
            if count and not reread:
                yield _outdated_line(count, kinds)
            scans = partial(self.picture_pool, max_size, ocr) if engine else None
            return (yield from run.over(wanted, pool, Again(reasons, reread), scans))

    def _walks(self, named: Sequence[bytes], known: Mapping[bytes, Globs]) -> dict[bytes, WalkRules]:
        """What is walked for the named roots, or for all known ones, and by which rules."""
        # A root inside a named one may be hidden from its walk: it is brought up to date as a root of its own.
        inside = [one for one in known if any(lies_under(one, root) for root in named)]
        limit = self.settings.max_file_size
        return {root: WalkRules(**known.get(root, {}), max_size=limit) for root in [*named, *inside] or known}

    def changes(self, *paths: StrPath) -> Changes:
        """What has changed below these paths, or all that were indexed, since they were; no file is opened."""
        from kosearch.indexing import survey
        from kosearch.workers import limits

        named = [canonical(_file_name(path)) for path in paths]
        return survey(self.store.files(), self._walks(named, self.roots()), limits(self.settings.timeout))

    def seconds_for(self, changes: Changes) -> float:
        """About how long indexing them takes, going by how much text the files of this index have."""
        known = changes.known_bytes
        passages = changes.bytes * (self.status().passages / known if known else _PASSAGES_IN_A_BYTE)
        return changes.count * _SECONDS_FOR_A_FILE + passages * _SECONDS_FOR_A_PASSAGE

    def refresh(self, seconds: float = REFRESH_SECONDS, seen: Callable[[int], object] | None = None) -> int:
        """Bring the index up to date if that takes at most about so long; how many changed files are left.

        `seen` is told how many there are, before any is read.
        For before a question: it waits for no writer that may take long, and where the index is somebody else's, or
        was made by other rules, it is left as it is. Raises what `index` raises but IndexBusy.
        """
        if self.is_foreign or not self.roots() or not self._are_terms_current():
            return 0
        found = self.changes()
        if seen is not None:
            seen(found.count)
        if not found.count or self.seconds_for(found) > seconds:
            return found.count
        ends = (
            time.process_time() + 2 * seconds
        )  # what was foreseen may take longer; a busy machine takes nothing from it
        run = IndexRun(self.update((), brief=True))
        try:
            for _ in run:
                if time.process_time() > ends:
                    run.close()
                    return self.changes().count
        except IndexBusy:
            return found.count
        return 0

    def _knows(self, path_bytes: bytes) -> bool:
        """Whether it is a root, or holds one, or lies under one."""
        return self.exists and any(
            lies_under(path_bytes, root) or lies_under(root, path_bytes) for root in self.roots()
        )

    def take_over(self, source: Index, *, pull: bool = False, wait: bool = False) -> IndexRun:
        """Make this index of what `source` holds, without reading a file: its texts are cut and embedded anew.

        Goes on with what an interrupted run began.
        """
        return IndexRun(self._taken_over(source, pull=pull, wait=wait))

    def _taken_over(
        self, source: Index, *, pull: bool, wait: bool
    ) -> Generator[IndexProgress | str, None, IndexReport]:
        from kosearch.indexing import Run
        from kosearch.processing import StoredFileProcessor

        source._refuse_foreign("its texts are given to no model")
        total, roots = source.status().files, source.roots()
        model = self._model_over(source, pull=pull)
        planned = plan(self.settings, model, self._words())
        self._check_new(source, planned)
        held, found = source.store, self._head_over(source, model, planned)
        if found is not None and isinstance(held, SqliteStore) and isinstance(self.place, Path) and not self.exists:
            return (yield from self._derived(held, *found))
        self.prepare(planned=planned)
        yield from self._notes()
        with self.store.writer(wait=wait) as writer, self.pool(StoredFileProcessor(self.processor)) as pool:
            run = Run(writer, self.embed_passages)
            return (yield from run.from_stored(source.store.stored_files(), total, roots, pool))

    def _head_over(self, source: Index, model: AnyModel, planned: Identity) -> tuple[Identity, Head] | None:
        """Where this index's model is no more than a head behind the other's: the head, and what the index will be.

        Its passages are then the other's, unless others were asked for.
        """
        known = source.store.identity
        if known.fingerprint not in model.bases or not source._are_terms_current():
            return None
        if self.settings.passage_tokens is None:
            planned = replace(planned, passage_tokens=known.passage_tokens, overlap=known.overlap)
        expected = replace(
            known,
            model=planned.model,
            fingerprint=planned.fingerprint,
            revision=planned.revision,
            endpoint=planned.endpoint,
            storage=planned.storage,
            words=planned.words,
        )
        return (planned, head_behind(model)) if planned == expected else None

    def _derived(
        self, store: SqliteStore, planned: Identity, head: Head
    ) -> Generator[IndexProgress | str, None, IndexReport]:
        """Take over an index whose vectors need one product to be this one's: no text is cut or embedded."""
        begun, held = time.monotonic(), store.status()
        name = self.settings.model or planned.model
        yield f"{name} is a head behind {store.identity.model}: stored vectors are turned into its own"
        yield IndexProgress(held.files, 0, held.passages, 0, walking=False)
        SqliteStore.derive(self.directory, store, planned, head, self._secret).close()
        yield IndexProgress(held.files, held.files, held.passages, 0, walking=False)
        return IndexReport(
            added=held.files,
            changed=0,
            unchanged=0,
            removed=0,
            skipped=(),
            warnings=(),
            failed_roots=(),
            embedded=0,
            reused=held.passages,
            seconds=time.monotonic() - begun,
        )

    def answer(self, query: Query) -> Answer:
        """The best passages for a question."""
        return self.answers([query])[0]

    def answers(self, queries: Sequence[Query], *, warm: bool = False) -> list[Answer]:
        """The best passages for each question, all from one generation.

        `warm` is for a process that asks often: graph search is loaded and used where it pays.
        """
        from kosearch.searching.answering import answers

        warnings: tuple[str, ...] = ()
        if self.is_foreign:  # usearch, which maps graphs, trusts what they say
            queries, warnings, warm = *self._as_a_guest(queries), False
        with self.store.snapshot(warm=warm) as snapshot:
            if any(one.mode != "dense" for one in queries):
                check_terms(snapshot.identity, self.settings)
                warnings = (*warnings, *self.changed_words(snapshot.identity))
            if not snapshot.passages:
                why = (*warnings, self.why_empty())
                return [Answer(one.text, one.mode, (), snapshot.generation, why) for one in queries]
            self._load_meanwhile(queries, snapshot.identity)
            found = answers(queries, snapshot, self.reader(snapshot), self.embed_queries, self.rescore)
            return [self._named(one, warnings) for one in found]

    def _load_meanwhile(self, queries: Sequence[Query], identity: Identity) -> None:
        """Load the model while Kiwi is loaded in another process, by a first text; what it makes of it is not kept."""
        texts = [one.text for one in queries if one.mode != "lexical"]
        if texts and are_few(texts) and identity.endpoint is None and self.analyzer_by(identity.words).is_coming:
            self.embed_queries(texts[:1])

    def reader(self, snapshot: Snapshot, dictionaries: Iterable[Path] | None = None) -> Read:
        """What reads questions as they are asked of this snapshot: corrected, and with the synonyms of these folders,
        which are the index's own unless others are named. Raises UsageError for a wrong line there."""
        from kosearch.searching.answering import Read
        from kosearch.terms.dictionaries import read_synonyms

        return Read(
            snapshot,
            self.analyzer_by(snapshot.identity.words),
            read_synonyms(self.dictionaries if dictionaries is None else dictionaries),
            self.token_count,
        )

    def _named(self, answer: Answer, warnings: Sequence[str]) -> Answer:
        hits = tuple(replace(hit, index=self.settings.index) for hit in answer.hits)
        return replace(answer, hits=hits, warnings=(*warnings, *answer.warnings))

    def changed_words(self, identity: Identity) -> tuple[str, ...]:
        """The line that says that the user's own words are others than the index was made with.

        One that a server keeps for several users stays by those.
        """
        if isinstance(self.place, Database):
            return ()
        try:
            if self.is_foreign or self._words() == identity.words:
                return ()
        except UsageError as error:
            return (f"{error.message}: until it is mended, the words that the index was made with hold",)
        again = f"kosearch index --index {shlex.quote(self.settings.index)}"
        return (f"words.txt has changed since the index took it up: {again} does, without reading a file",)

    @property
    def whose(self) -> str:
        """The line that says of somebody else's index that it is."""
        return (
            f"the index {self.settings.index!r} was not made by you on this machine; to take it over:"
            f" kosearch indexes adopt {shlex.quote(self.settings.index)}"
        )

    def _as_a_guest(self, queries: Sequence[Query]) -> tuple[list[Query], tuple[str, ...]]:
        """Questions to somebody else's index, as they may be asked, and the line that says so."""
        whose = self.whose
        if self.store.identity.endpoint is None:
            return list(queries), (whose,)
        if any(one.mode == "dense" for one in queries):
            self._refuse_foreign("nothing is sent to the URL that stands in it, so it is asked by words only")
        asked = [replace(one, mode="lexical", rerank=0) for one in queries]
        return asked, (f"{whose} (nothing is sent to the URL that stands in it: words only)",)

    def show(self, hit: str, context: int = 5) -> Shown:
        """A passage by its hit's id, or a whole document by its hash, with `context` lines before and after.

        Of a hash the first eight digits will do. The text is what was read when the document was indexed. Raises
        UsageError where there is no such passage.
        """
        from kosearch.searching.answering import surroundings
        from kosearch.searching.ranking import file_state

        text_hash, start, end = _parsed(hit)
        with self.store.snapshot() as snapshot:
            document = _only(snapshot.with_hash(text_hash), hit)
            text, state = snapshot.document_text(document.id), file_state(document, snapshot)
        start, end = (start, end) if end is not None else (0, len(text))
        if not 0 <= start < end <= len(text):
            raise UsageError(f"{hit}: the document has no such passage", _ASK_AGAIN)
        first, last = surroundings(text, start, end, context)
        return Shown(
            path=document.path,
            path_bytes=document.path_bytes,
            member=document.member,
            title=document.title,
            before=text[first:start],
            text=text[start:end],
            after=text[end:last],
            line_start=text.count("\n", 0, first) + 1,
            state=state,
        )

    def documents(
        self,
        *,
        path: str | Sequence[str] = (),
        type: str | Sequence[str] = (),
        after: str | date | None = None,
        before: str | date | None = None,
    ) -> list[StoredDocument]:
        """The documents that are searchable, by path; filters are those of `search`, and raise as there."""
        query = Query(
            text="",
            paths=tuple(map(filters.glob, _several(path))),
            kinds=_several(type),
            after=None if after is None else str(after),
            before=None if before is None else str(before),
        )
        filters.check(query)
        with self.store.snapshot() as snapshot:
            ids = snapshot.find_documents(query.paths, query.kinds, query.after, query.before)
            found = snapshot.documents() if ids is None else snapshot.documents_of(ids)
            return sorted(found, key=lambda one: (one.path_bytes, one.member, one.id))

    def document(self, id: str) -> FullDocument:
        """A document with all of its text, by its hash or that of a hit's id; the first eight digits will do.

        Of documents with the same text it is the first. Raises UsageError where there is none.
        """
        from kosearch.searching.ranking import file_state

        with self.store.snapshot() as snapshot:
            stored = _only(snapshot.with_hash(_parsed(id)[0]), id)
            headings, pages = snapshot.structure(stored.id) or ((), ())
            text = snapshot.document_text(stored.id)
            state = file_state(stored, snapshot)
            return FullDocument(stored, text, snapshot.passages_of(stored), headings, pages, state)

    def documents_with(self, id: str) -> list[StoredDocument]:
        """All documents with the text of a hit's id or a document's hash, by id; none where there is no such text."""
        with self.store.snapshot() as snapshot:
            return snapshot.with_hash(_parsed(id)[0])

    def recognised(self, picture: bytes) -> Recognised | None:
        """The lines that were read in a picture when it was indexed, by the hash of its pixels (`ocr.pixel_hash`)."""
        from kosearch.ocr import decoded

        kept = self.store.recognised(picture)
        found = decoded(kept) if kept is not None else None
        return None if isinstance(found, str) else found

    def remove(self, *paths: StrPath, wait: bool = False) -> int:
        """Forget files, and all that lies below folders; they stay on disk. Returns how many files left the index.

        Raises IndexBusy where another process is writing, unless `wait` says to wait for it.
        """
        names = [canonical(_file_name(path)) for path in paths]
        with self.store.writer(wait=wait) as writer:
            gone = [path_bytes for path_bytes in writer.files() if any(lies_under(path_bytes, name) for name in names)]
            for root in writer.roots():
                if any(lies_under(root, name) for name in names):
                    writer.forget_root(root)
            removed = writer.remove(gone)
            writer.publish()
        return removed

    def move(self, old: StrPath, new: StrPath, *, wait: bool = False) -> int:
        """Documents went elsewhere: what was indexed below `old` lies below `new` now. Returns how many files.

        No file is read; `index` finds what changed besides. Raises UsageError where nothing was indexed there, and
        IndexBusy where another process is writing.
        """
        from kosearch.indexing import relocate

        self._refuse_foreign("its folders stay what they are")
        before, after = canonical(_file_name(old)), canonical(_file_name(new))
        if lies_under(before, after) or lies_under(after, before):
            raise UsageError(f"{display_path(after)} and {display_path(before)} lie in each other", "index the new one")
        if not any(lies_under(one, before) for one in self.roots()) and not self._knows(before):
            raise UsageError(f"nothing was indexed in {display_path(before)}", "kosearch status names the folders")
        with self.store.writer(wait=wait) as writer:
            count = relocate(writer, before, after)
            writer.publish()
        return count

    def rename(self, name: str) -> Index:
        """Give the index another name; returns it under that. Raises UsageError where there is one of that name."""
        here, place = self.directory, index_directory(name, self.settings)
        if place.exists():
            raise UsageError(f"there is an index {name!r} already", "choose another name")
        self._let_go()
        try:
            here.rename(place)
        except OSError as error:
            raise UsageError(
                f"{here} cannot become {place}: {error.strerror}", "kosearch indexes backup, and restore it"
            ) from error
        return Index(replace(self.settings, index=name))

    def delete(self) -> None:
        """Remove the index from the disk, and nothing else that lies in its folder; documents stay where they are.

        Raises IndexMissing, and IndexBusy where another process is writing.
        """
        self._let_go()
        kind_of(self.place).delete(self.place)

    def _let_go(self) -> None:
        """See that nobody is writing, and close what is open."""
        with self.store.writer():
            pass
        self.close()

    def check(self) -> list[str]:
        """Verify every row and file of the index; a sentence for each thing that is wrong."""
        return self.store.check()

    def repair(self, *, wait: bool = False) -> list[str]:
        """Make the index whole again; returns the paths of files to be read again.

        Raises IndexDamaged, saying how to begin anew, where nothing in it can be read.
        """
        if self.exists:
            kind_of(self.place).set_aside_strange_log(self.place, wait=wait)
        try:
            return self.store.repair(wait=wait)
        except IndexDamaged as error:
            anew = f"it is beyond repair: move {self.place} away, then kosearch index PATH"
            raise IndexDamaged(error.message, anew) from error

    def status(self) -> Status:
        """What the index holds; loads no model."""
        return self.store.status()

    def roots(self) -> Mapping[bytes, Mapping[str, tuple[str, ...]]]:
        """What `index` without a path brings up to date, and the globs that limit each root."""
        return self.store.roots()

    def problems(self) -> list[Skipped]:
        """Files and parts of files that are not searchable, by path."""
        return self.store.problems()

    def _check_new(self, source: Index, planned: Identity) -> None:
        """See that this would be another index than its source, and is not a third one."""
        name = self.settings.index
        if self.place == source.place or planned == source.store.identity:
            raise UsageError(
                f"--into {name}: that would be the index {source.settings.index!r} once more",
                "name another index, and what it has another of: --model, --dimensions, --storage or --passage-tokens",
            )
        if self.exists and (self.store.identity != planned or self.store.roots()):
            raise UsageError(
                f"there is an index {name!r} already",
                f"choose another name, or bring it up to date: kosearch index --index {shlex.quote(name)}",
            )

    def _are_terms_current(self) -> bool:
        """Whether they are by the rules of this version, and by the words that the user has now."""
        from kosearch.terms import FIELDS, rules_with

        identity = self.store.identity
        return (identity.term_rules, identity.fields) == (rules_with(self._words()), FIELDS)

    def renew_terms(self, *, wait: bool) -> Iterator[IndexProgress | str]:
        """Bring the terms to the rules of this version, where an earlier one made them. Reads no file."""
        from kosearch.indexing import renew_terms
        from kosearch.processing import TermProcessor
        from kosearch.terms import FIELDS, RULES, rules_with

        if self._are_terms_current():
            return
        identity, words = self.store.identity, self._words()
        wanted = rules_with(words)
        why = "without what words.txt says now"
        if (identity.term_rules, identity.fields) != (rules_with(identity.words), FIELDS):
            why = f"by rules {identity.term_rules.partition('+')[0]}, and now are by {RULES}"
        with self.store.writer(wait=wait) as writer, self.pool(TermProcessor(words)) as pool:
            reanalysis = writer.reanalysis(wanted, FIELDS, words)
            yield (
                f"words were taken apart {why}: the stored texts of {len(reanalysis):,} documents are gone through,"
                " no file is read"
            )
            yield from renew_terms(reanalysis, pool)


def behind_by(count: int, found: Sequence[Answer]) -> list[Answer]:
    """Answers that say how many files changed since."""
    if not count:
        return list(found)
    files = "1 file" if count == 1 else f"{count:,} files"
    note = f"{files} changed since the index was brought up to date: kosearch index"
    return [replace(one, behind=count, warnings=(*one.warnings, note)) for one in found]


class IndexRun:
    """A run of indexing, step by step: iterating over it does the work and tells how far it is.

    Left early, what was committed until then stays and is searchable.
    """

    def __init__(self, steps: Generator[IndexProgress | str, None, IndexReport]) -> None:
        self._steps = steps
        self._last = IndexProgress(0, 0, 0, 0, walking=True)
        self._report: IndexReport | None = None

    @property
    def report(self) -> IndexReport:
        """What the run did. Raises UsageError before it has ended."""
        if self._report is None:
            raise UsageError("the run has not ended: iterate over it first")
        return self._report

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> IndexProgress:
        try:
            step = next(self._steps)
        except StopIteration as end:
            self._report = self._report or end.value
            raise
        if isinstance(step, str):
            return replace(self._last, note=step)
        self._last = step
        return step

    def close(self) -> None:
        """End the run now."""
        self._steps.close()


def queries_of(
    settings: Settings,
    question: str | Sequence[str],
    *,
    k: int | None = None,
    mode: str | None = None,
    weight: float | None = None,
    min_score: float | None = None,
    path: str | Sequence[str] = (),
    type: str | Sequence[str] = (),
    after: str | date | None = None,
    before: str | date | None = None,
    group: bool = False,
    context: int = 0,
    rerank: int = 0,
    exact: bool = False,
) -> list[Query]:
    """What `search` asks with these options, see there. Raises UsageError where they make no sense."""
    query = Query(
        text="",
        k=settings.k if k is None else k,
        mode=mode or settings.mode,
        weight=settings.weight if weight is None else weight,
        min_score=min_score,
        paths=tuple(map(filters.glob, _several(path))),
        kinds=_several(type),
        after=None if after is None else str(after),
        before=None if before is None else str(before),
        group=group,
        context=context,
        rerank=rerank,
        exact=exact,
    )
    queries = [replace(query, text=text) for text in ([question] if isinstance(question, str) else question)]
    filters.check(query)
    for one in queries:
        filters.check_text(one.text)
    return queries


def _file_name(path: StrPath) -> bytes:
    """A path as a person or a program names it, absolute and in the file system's own bytes."""
    return os.fsencode(os.path.abspath(os.path.expanduser(os.fspath(path))))


def _several(value: str | Sequence[str]) -> tuple[str, ...]:
    return (value,) if isinstance(value, str) else tuple(value)


def _part_of(text: str | None) -> Part:
    """The part that is meant: "2/8". Raises UsageError."""
    if text is None:
        return WHOLE
    number, _, of = text.partition("/")
    if not (number.isascii() and number.isdigit() and of.isascii() and of.isdigit() and 1 <= int(number) <= int(of)):
        raise UsageError(f"{text!r} is no part", "the second of eight: --part 2/8")
    return Part(int(number), int(of))


def _outdated_line(count: int, kinds: Sequence[str]) -> str:
    """For a person, of `Run.outdated`."""
    files = "1 file is" if count == 1 else f"{count:,} files are"
    return f"{files} read again: kosearch reads {', '.join(kinds) if kinds else 'such files'} otherwise than before"


_ASK_AGAIN = "ask again: kosearch query TEXT --json"
_HASH = re.compile(r"[0-9a-f]{8,64}")


def _parsed(hit: str) -> tuple[str, int, int | None]:
    """A hit's id, or a document's hash alone: the hash or its first digits, and the place."""
    text_hash, *place = hit.split(":")
    try:
        start, end = map(int, place) if place else (0, None)
        if not _HASH.fullmatch(text_hash):
            raise ValueError
    except ValueError:
        raise UsageError(f"{hit!r} is not a hit's id", "ids stand in the JSON: kosearch query TEXT --json") from None
    return text_hash, start, end


def _only(found: Sequence[StoredDocument], hit: str) -> StoredDocument:
    """The document that an id names: all that it names have the same text."""
    if not found:
        raise UsageError(f"{hit}: the index has no such passage (any more)", _ASK_AGAIN)
    if len({one.text_hash for one in found}) > 1:
        raise UsageError(f"{hit}: several documents' hashes begin so", "give more of its digits")
    return found[0]
