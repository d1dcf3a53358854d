"""One index and all that using it takes: the facade that the command line, the evaluation and Python programs share.

Everything heavy is made on first use: asking for the status of an index loads no model.
"""

from __future__ import annotations

import os
import shlex
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from functools import cached_property
from typing import TYPE_CHECKING, TypeVar

from kosearch import embedding, rules
from kosearch.config import Settings, index_directory
from kosearch.errors import IndexDamaged, IndexMismatch, IndexMissing, UsageError
from kosearch.index import Identity, Index, Status
from kosearch.passages import CONTEXT
from kosearch.records import Answer, IndexProgress, IndexReport, Query, Reason, Shown, Skipped
from kosearch.sources import WalkRules, canonical, display_path, lies_under
from kosearch.system import usable_cores

if TYPE_CHECKING:
    from kosearch.preparing import Preparer
    from kosearch.records import Vectors
    from kosearch.terms import Analyzer
    from kosearch.workers import Pool

Item = TypeVar("Item")
Result = TypeVar("Result")


class Library:
    """An index directory, and what was used with it so far."""

    def __init__(self, settings: Settings, *, questions: int | None = None, trust_remote_code: bool = False) -> None:
        """`questions` says how many will be asked, where that is known: a few are answered soonest without torch.

        `trust_remote_code` lets a model run Python code of its authors, now and whenever it is loaded later.
        """
        self.settings = settings
        self.directory = index_directory(settings.index, settings)
        self._questions = questions
        self._trusting = trust_remote_code

    @property
    def exists(self) -> bool:
        """Whether anything was indexed here."""
        return Index.exists(self.directory)

    @cached_property
    def index(self) -> Index:
        """The index as it is; raises IndexMissing where there is none."""
        if not self.exists:
            flag = "" if self.settings.index == "default" else f" --index {shlex.quote(self.settings.index)}"
            raise IndexMissing(f"there is no index {self.settings.index!r}", f"make it: kosearch index PATH{flag}")
        return Index(self.directory)

    @cached_property
    def model(self) -> embedding.AnyModel:
        """The model that made the index; raises IndexMismatch where it is another one now.

        Whether an endpoint still gives the same vectors is seen when it is first asked.
        """
        identity = self.index.identity
        name = self.settings.model or identity.model
        is_other = name != identity.model and (embedding.is_remote(name) or identity.endpoint is not None)
        model = None if is_other else self._found(name)
        if model is None or model.fingerprint != identity.fingerprint:
            raise IndexMismatch(
                f"the index {self.settings.index!r} was made by {identity.model}, and {name} gives other vectors",
                "leave --model out, or make another index: kosearch index --index NAME --model MODEL PATH",
            )
        return model

    @cached_property
    def embedder(self) -> embedding.Embedder:
        """The model, loaded."""
        return embedding.load(self.model, self.settings.device)

    @cached_property
    def _first_embedder(self) -> embedding.FewEmbedder | None:
        """What embeds passages while they are few; None afterwards."""
        return embedding.load_for_few(self.model, self.settings.device)

    @cached_property
    def query_embedder(self) -> embedding.QueryEmbedder:
        """The model, loaded for questions."""
        if self._questions is None:
            return self.embedder
        return embedding.load_for_queries(self.model, self.settings.device, self._questions)

    @cached_property
    def rescorer(self) -> embedding.Rescorer:
        """The model with all its heads, loaded."""
        return embedding.load_rescorer(self.model, self.settings.device)

    @cached_property
    def analyzer(self) -> Analyzer:
        """What turns text into terms."""
        from kosearch.terms import Analyzer

        return Analyzer()

    def update(
        self,
        roots: Sequence[bytes],
        *,
        globs: Mapping[str, tuple[str, ...]] | None = None,
        archives: bool = False,
        pull: bool = False,
        wait: bool = False,
    ) -> Generator[IndexProgress | str, None, IndexReport]:
        """Bring the roots, or all known ones, up to date; makes the index where there is none.

        `globs` (include, exclude) limit the named roots from now on; without, they keep those they had. Yields how
        far it is, and first a line that says which model the index uses and why.
        """
        from kosearch.indexing import Run
        from kosearch.preparing import FilePreparer

        named = [canonical(root) for root in roots]
        if not self.exists and not any(map(os.path.lexists, named)):
            raise UsageError(f"{display_path(named[0])}: there is no such file or folder", "check the path")
        self.prepare(pull=pull)
        yield from self._notes()
        yield from self._renew_terms(wait=wait)
        max_size = self.settings.max_file_size
        preparer = FilePreparer(self.preparer, max_size, archives)
        retry = frozenset({Reason.UNSUPPORTED}) if archives else frozenset()
        with self.index.writer(wait=wait) as writer, self.pool(preparer) as pool:
            for root in filter(os.path.lexists, named):
                writer.add_root(root, globs)
            known = writer.roots()
            # A root inside a named one may be hidden from its walk: it is brought up to date as a root of its own.
            inside = [one for one in known if any(lies_under(one, root) for root in named)]
            wanted = {root: WalkRules(**known.get(root, {}), max_size=max_size) for root in [*named, *inside] or known}
            return (yield from Run(writer, self.embed_passages).over(wanted, pool, retry))

    def take_over(
        self, source: Library, *, pull: bool = False, wait: bool = False
    ) -> Generator[IndexProgress | str, None, IndexReport]:
        """Make this index of what `source` holds, without reading a file: its texts are cut and embedded anew.

        Goes on with what an interrupted run began. Yields as `update` does.
        """
        from kosearch.indexing import Run
        from kosearch.preparing import StoredPreparer

        total, roots = source.status().files, source.roots()
        self._check_new(source, self._planned(pull=pull))
        self.prepare()
        yield from self._notes()
        with self.index.writer(wait=wait) as writer, self.pool(StoredPreparer(self.preparer)) as pool:
            run = Run(writer, self.embed_passages)
            return (yield from run.from_stored(source.index.stored_files(), total, roots, pool))

    def prepare(self, *, pull: bool = False) -> None:
        """Make the index where there is none, and see that model and rules are those that made it."""
        if not self.exists:
            Index.create(self.directory, self._planned(pull=pull))
        rules.check(self.index.identity, self.settings)

    @property
    def preparer(self) -> Preparer:
        """Cuts and analyses documents by the index's rules; for worker processes."""
        from kosearch.preparing import PassageRules, Preparer

        identity = self.index.identity
        context = CONTEXT * rules.context_tokens(self.model) // rules.CONTEXT_TOKENS
        return Preparer(self.model, PassageRules(identity.passage_tokens, identity.overlap, context))

    def pool(self, task: Callable[[Item], Result]) -> Pool[Item, Result]:
        """Worker processes for a task: half the cores, since embedding wants the others."""
        from kosearch.workers import Pool

        count = self.settings.workers or max(1, usable_cores() // 2)
        return Pool(task, count, deadline=self.settings.timeout)

    def answer(self, query: Query) -> Answer:
        """The best passages for a question."""
        return self.answers([query])[0]

    def answers(self, queries: Sequence[Query], *, warm: bool = False) -> list[Answer]:
        """The best passages for each question, all from one generation.

        `warm` is for a process that asks often: graph search is loaded and used where it pays.
        """
        from kosearch.searching.answering import answers

        with self.index.snapshot(warm=warm) as snapshot:
            if any(one.mode != "dense" for one in queries):
                rules.check_terms(snapshot.identity, self.settings)
            if not snapshot.passages:
                why = (self._why_empty(),)
                return [Answer(one.text, one.mode, (), snapshot.generation, why) for one in queries]
            return answers(queries, snapshot, self.analyzer, self.embed_queries, self.rescore)

    def show(self, hit: str, lines: int) -> Shown:
        """A passage by its hit's id, or a whole document by its hash, with `lines` lines before and after."""
        from kosearch.searching.answering import file_state, surroundings

        text_hash, start, end = _parsed(hit)
        with self.index.snapshot() as snapshot:
            document = next(iter(snapshot.with_hash(text_hash)), None)
            if document is None:
                raise UsageError(
                    f"{hit}: the index has no such passage (any more)",
                    "ask again: kosearch query TEXT --json",
                )
            text = snapshot.document_text(document.id)
        start, end = (start, end) if end is not None else (0, len(text))
        if not 0 <= start < end <= len(text):
            raise UsageError(f"{hit}: the document has no such passage", "ask again: kosearch query TEXT --json")
        first, last = surroundings(text, start, end, lines)
        return Shown(
            path=document.path,
            raw=document.raw,
            member=document.member,
            title=document.title,
            before=text[first:start],
            text=text[start:end],
            after=text[end:last],
            line_start=text.count("\n", 0, first) + 1,
            state=file_state(document),
        )

    def remove(self, raws: Sequence[bytes], *, wait: bool = False) -> int:
        """Forget files, and all that lies below folders; roots are forgotten too. Returns how many files left."""
        names = [canonical(raw) for raw in raws]
        with self.index.writer(wait=wait) as writer:
            gone = [raw for raw in writer.files() if any(lies_under(raw, name) for name in names)]
            for root in writer.roots():
                if any(lies_under(root, name) for name in names):
                    writer.forget_root(root)
            removed = writer.remove(gone)
            writer.publish()
        return removed

    def repair(self, *, wait: bool = False) -> list[str]:
        """Make the index whole again; returns the paths of files to be read again.

        Raises IndexDamaged, saying how to begin anew, where nothing in it can be read.
        """
        try:
            return self.index.repair(wait=wait)
        except IndexDamaged as error:
            anew = f"it is beyond repair: move {self.directory} away, then kosearch index PATH"
            raise IndexDamaged(error.message, anew) from error

    def status(self) -> Status:
        """What the index holds; loads no model."""
        return self.index.status()

    def roots(self) -> Mapping[bytes, Mapping[str, tuple[str, ...]]]:
        """What `index` without a path brings up to date, and the globs that limit each root."""
        return self.index.roots()

    def problems(self) -> list[Skipped]:
        """Files and parts of files that are not searchable, by path."""
        return self.index.problems()

    def embed_passages(self, texts: Sequence[str], progress: Callable[[int], None] | None = None) -> Vectors:
        """Vectors of unit length for what the model sees of passages: (n, d). A few are embedded without torch."""
        if "embedder" not in vars(self):
            if self._first_embedder is not None and self._first_embedder.accept(texts):
                return self._first_embedder.embed_passages(texts, progress)
            self._first_embedder = None
        return self.embedder.embed_passages(texts, progress)

    def embed_queries(self, texts: Sequence[str]) -> Vectors:
        """The same for questions."""
        return self.query_embedder.embed_queries(texts)

    def rescore(self, question: str, texts: Sequence[str]) -> Vectors:
        """Dense, sparse and multi-vector scores of what the model sees of passages: (n, 3)."""
        return self.rescorer.scores(question, texts)

    def _why_empty(self) -> str:
        """Why no question can have an answer, and what to do about it."""
        since = self.index.written_since()
        if since is not None:
            seconds = max(0, round((datetime.now(UTC) - since).total_seconds()))
            return f"nothing is searchable yet: indexing began {seconds} s ago"
        state = self.status()
        if state.pending:
            return "nothing is searchable yet: indexing was interrupted; `kosearch index` goes on with it"
        if state.problems:
            reasons = ", ".join(f"{count} {reason}" for reason, count in state.problems.items())
            which = "the only file was" if state.files == 1 else f"all {state.files} files were"
            return f"nothing is searchable: {which} skipped ({reasons}): kosearch status --problems"
        return "nothing is searchable: no files are indexed; kosearch index PATH"

    def _found(self, name: str) -> embedding.AnyModel:
        """The model of that name that made the index, or may have."""
        identity = self.index.identity
        if identity.endpoint is None:
            model = self._resolve(name)
            return embedding.truncated(model, min(identity.dimensions, model.dimensions))
        return embedding.connect(
            name, kept=identity.endpoint, dimensions=identity.dimensions, url=self.settings.endpoint
        )

    def _new_model(self, *, pull: bool) -> embedding.AnyModel:
        """The model for a new index."""
        settings = self.settings
        name = settings.model or embedding.default_model(settings.device)
        if not embedding.is_remote(name):
            return embedding.truncated(self._resolve(name, pull=pull), settings.dimensions)
        return embedding.connect(
            name,
            url=settings.endpoint,
            dimensions=settings.dimensions,
            prompts=embedding.Prompts(settings.query_prompt, settings.passage_prompt),
            tokens=settings.passage_tokens and settings.passage_tokens + rules.CONTEXT_TOKENS,
        )

    def _resolve(self, name: str, *, pull: bool = False) -> embedding.Model:
        return embedding.resolve(
            name,
            cache_dir=self.settings.cache_dir,
            device=self.settings.device,
            pull=pull,
            trust_remote_code=self._trusting,
        )

    def _planned(self, *, pull: bool = False) -> Identity:
        """What a new index would be."""
        return rules.plan(self.settings, self._new_model(pull=pull))

    def _check_new(self, source: Library, planned: Identity) -> None:
        """See that this would be another index than its source, and is not a third one."""
        name = self.settings.index
        if self.directory == source.directory or planned == source.index.identity:
            raise UsageError(
                f"--into {name}: that would be the index {source.settings.index!r} once more",
                "name another index, and what it has another of: --model, --dimensions, --storage or --passage-tokens",
            )
        if self.exists and (self.index.identity != planned or self.index.roots()):
            raise UsageError(
                f"there is an index {name!r} already",
                f"choose another name, or bring it up to date: kosearch index --index {shlex.quote(name)}",
            )

    def _renew_terms(self, *, wait: bool) -> Iterator[IndexProgress | str]:
        """Bring the terms to the rules of this version, where an earlier one made them. Reads no file."""
        from kosearch.indexing import renew_terms
        from kosearch.preparing import TermPreparer
        from kosearch.terms import FIELDS, RULES

        identity = self.index.identity
        if (identity.term_rules, identity.fields) == (RULES, FIELDS):
            return
        with self.index.writer(wait=wait) as writer, self.pool(TermPreparer()) as pool:
            reanalysis = writer.reanalysis(RULES, FIELDS)
            yield (
                f"words were taken apart by rules {identity.term_rules}, and now are by {RULES}: the stored texts of"
                f" {len(reanalysis):,} documents are gone through, no file is read"
            )
            yield from renew_terms(reanalysis, pool)

    def _notes(self) -> Iterator[str]:
        """What the user should know before anything is read.

        Raises ModelError where the model has no room, or does not answer.
        """
        model = self.model
        if isinstance(model, embedding.Model):
            embedding.require_memory(model, self.settings.device)
        yield f"model: {model.why}"
        if not isinstance(model, embedding.Model):
            self.embedder  # noqa: B018 - asked now: one that is down or has changed is known before a file is read
        elif self.settings.dimensions and model.dimensions < self._resolve(model.name).dimensions:
            known = embedding.known(model.name)
            if not (known and known.matryoshka):
                yield (
                    f"{model.name} is not known to be trained for {model.dimensions} dimensions and may find less with"
                    " them; measure it: kosearch eval QUESTIONS"
                )


def _parsed(hit: str) -> tuple[str, int, int | None]:
    """A hit's id, or a document's hash alone."""
    text_hash, *place = hit.split(":")
    try:
        start, end = map(int, place) if place else (0, None)
    except ValueError:
        raise UsageError(f"{hit!r} is not a hit's id", "ids stand in the JSON: kosearch query TEXT --json") from None
    return text_hash, start, end
