"""What an index is made of: its model, and the rules by which text becomes passages and terms.

Each part is opened when it is first asked for, and kept. What makes an index is settled when it is made (`plan`), and
one that exists is checked against it (`check`, `check_terms`).
"""

from __future__ import annotations

import base64
import os
import shlex
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import replace
from datetime import UTC, datetime
from functools import cached_property, lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from kosearch import embedding
from kosearch.config import Settings, index_directory, index_names, index_place
from kosearch.errors import IndexMismatch, IndexMissing, IndexStateError, KosearchError, ModelError, UsageError
from kosearch.index import Identity, Store, kind_of, user_secret
from kosearch.passages import CONTEXT
from kosearch.records import TokenCounter
from kosearch.system import is_short_of_memory, usable_cores

if TYPE_CHECKING:
    from kosearch.embedding.kept import KeptVectors
    from kosearch.processing import DocumentProcessor, FilePool, FileProcessor
    from kosearch.reading import OcrUse, PictureFound, PictureJob
    from kosearch.records import Vectors
    from kosearch.terms import Analyzer
    from kosearch.workers import Pool

Item = TypeVar("Item")
Result = TypeVar("Result")
_MANY = 100
"""More questions at once are worth loading torch for."""
PASSAGE_TOKENS = 320
"""Well under the bundled model's 512: on 720 Korean pages dense Recall@1 rises from .61 (whole pages) to .72."""
CONTEXT_TOKENS = 96
"""Room for the prompt, special tokens, and title and headings in front of a passage (at most 120 characters)."""
LEAST_TOKENS = 16
PASSAGE_RULES = "1"
"""Changes whenever a text may be cut otherwise than before, or other headings stand in front of a passage."""


def plan(settings: Settings, model: embedding.AnyModel, words: tuple[str, ...]) -> Identity:
    """What an index would be that were made now, with words of the user's own.

    Raises UsageError for passages that the model cannot read, ModelError for one that reads too little.
    """
    from kosearch.terms import FIELDS, rules_with

    return Identity(
        model=model.name,
        fingerprint=model.fingerprint,
        revision=model.revision,
        dimensions=model.dimensions,
        passage_rules=PASSAGE_RULES,
        passage_tokens=_passage_tokens(settings, model),
        overlap=settings.passage_overlap,
        term_rules=rules_with(words),
        fields=FIELDS,
        endpoint=model.kept() if isinstance(model, embedding.Endpoint) else None,
        storage=settings.storage,
        words=words,
    )


def context_tokens(model: embedding.AnyModel) -> int:
    """The room in front of a passage: less than usual in a model that reads little."""
    return min(CONTEXT_TOKENS, model.max_tokens // 2)


def check(identity: Identity, settings: Settings) -> None:
    """See that what this version and these settings would do is what the index was made with.

    Raises IndexMismatch. Whether the model is the same is another question, and terms can be made anew.
    """
    if identity.passage_rules != PASSAGE_RULES:
        raise IndexMismatch(
            f"the index {settings.index!r} has passages by rules {identity.passage_rules}, and this version of kosearch"
            f" makes them by rules {PASSAGE_RULES}",
            f"cut its texts anew into another index: kosearch index --index {shlex.quote(settings.index)} --into NAME",
        )
    if settings.dimensions not in (None, identity.dimensions):
        raise IndexMismatch(
            f"the index {settings.index!r} has vectors of {identity.dimensions} dimensions",
            "leave --dimensions out, or make another index of it: kosearch index --into NAME "
            f"--dimensions {settings.dimensions}",
        )
    if settings.passage_tokens not in (None, identity.passage_tokens):
        raise IndexMismatch(
            f"the index {settings.index!r} has passages of {identity.passage_tokens} tokens",
            f"leave --passage-tokens out, or make another index: kosearch index --index NAME "
            f"--passage-tokens {settings.passage_tokens} PATH",
        )


def check_terms(identity: Identity, settings: Settings) -> None:
    """See that questions are taken apart as the passages were: otherwise words would miss in silence."""
    from kosearch.terms import FIELDS, RULES, rules_with

    if (identity.term_rules, identity.fields) != (rules_with(identity.words), FIELDS):
        raise IndexMismatch(
            f"the index {settings.index!r} has terms by rules {identity.term_rules}, and this version of kosearch"
            f" makes them by rules {RULES}",
            f"kosearch index --index {shlex.quote(settings.index)} makes them anew, without reading a file;"
            " --mode dense asks without them",
        )


def _passage_tokens(settings: Settings, model: embedding.AnyModel) -> int:
    """The size of passages; prompt and context must fit beside them."""
    room = model.max_tokens - context_tokens(model)
    wanted = settings.passage_tokens
    if room < LEAST_TOKENS:
        raise ModelError(f"{model.name} reads {model.max_tokens} tokens, too few for passages", "name another model")
    if wanted is not None and wanted > room:
        raise UsageError(
            f"{model.name} reads {model.max_tokens} tokens: passages of {wanted} do not fit beside their context",
            f"--passage-tokens {room} is the most",
        )
    return wanted or min(PASSAGE_TOKENS, room)


class _Once(cached_property[Result]):
    """Computed when it is first asked for, by one thread while others wait."""

    def __get__(self, instance: Any, owner: type[Any] | None = None) -> Any:
        if instance is None:
            return self
        with instance._loading:
            return super().__get__(instance, owner)


_once = cached_property if TYPE_CHECKING else _Once


class Opened:
    """The parts of an index: where it lies, what is stored, its model in its forms, and what analyses text."""

    def __init__(self, settings: Settings, *, questions: int | None = None, trust_remote_code: bool = False) -> None:
        """Programs call `kosearch.open`, which settles the settings.

        `questions` says how many will be asked, where that is known: a few are answered soonest without torch.
        `trust_remote_code` lets a model run Python code of its authors, now and whenever it is loaded later.
        """
        self.settings = settings
        self.place = index_place(settings.index, settings)
        self._questions = questions
        self._trusting = trust_remote_code
        self._loading = threading.RLock()
        self._latest_analyzer: Analyzer | None = None

    def close(self) -> None:
        """Let go of files and models. The object may be used again, and then opens them anew."""
        with self._loading:
            if "store" in vars(self):
                self.store.close()
            for name in ("store", "model", "embedder", "_first_embedder", "query_embedder", "rescorer"):
                vars(self).pop(name, None)
            self._latest_analyzer = None

    @property
    def directory(self) -> Path:
        """The folder that the index lies in. Raises UsageError where a server keeps it."""
        return self.place if isinstance(self.place, Path) else index_directory(self.settings.index, self.settings)

    @property
    def exists(self) -> bool:
        """Whether anything was indexed here."""
        return kind_of(self.place).exists(self.place)

    @_once
    def store(self) -> Store:
        """The index as it is; raises IndexMissing where there is none."""
        if not self.exists:
            name = self.settings.index
            flag = "" if name == "default" else f" --index {shlex.quote(name)}"
            hint = f"make it: kosearch index PATH{flag}"
            if os.path.isfile(name):
                hint = f"a file is none; of a backup one is made by kosearch indexes restore {shlex.quote(name)}"
            raise IndexMissing(f"there is no index {name!r}", hint)
        store: Store = kind_of(self.place).open(self.place, self._secret)
        store.ann = self.settings.ann
        return store

    @property
    def is_foreign(self) -> bool:
        """Whether the index was not made by this user on this machine: what it says then decides nothing.

        Where no secret can be kept, nobody can say; then one whose model is here is taken for the user's own.
        """
        if self._secret is None:
            return self.store.identity.endpoint is not None
        return not self.store.is_own()

    @_once
    def _secret(self) -> bytes | None:
        """What this user's indexes on this machine are known by."""
        secret, is_new = user_secret(self.settings.data_dir)
        if is_new:  # those that are there already were made before there were secrets
            for name in index_names(self.settings):
                with suppress(KosearchError, OSError):
                    place = index_directory(name, self.settings)
                    kind_of(place).open(place, secret).adopt()
        return secret

    def _refuse_foreign(self, what: str) -> None:
        """See that the index is this user's own. Raises IndexStateError."""
        if self.is_foreign:
            raise IndexStateError(
                f"the index {self.settings.index!r} was not made by you on this machine: {what}",
                f"to take it over: kosearch indexes adopt {shlex.quote(self.settings.index)}",
            )

    @_once
    def model(self) -> embedding.AnyModel:
        """The model that made the index; raises IndexMismatch where it is another one now.

        Whether an endpoint still gives the same vectors is seen when it is first asked.
        """
        identity = self.store.identity
        if identity.endpoint is not None:
            self._refuse_foreign("nothing is sent to the URL that stands in it")
        name = self.settings.model or identity.model
        if self._is_own_head(name):
            name = identity.model
        is_other = name != identity.model and (embedding.is_remote(name) or identity.endpoint is not None)
        model = None if is_other else self._found(name)
        if model is None or model.fingerprint != identity.fingerprint:
            raise IndexMismatch(
                f"the index {self.settings.index!r} was made by {identity.model}, and {name} gives other vectors",
                "leave --model out, or make another index: kosearch index --index NAME --model MODEL PATH",
            )
        return model

    @_once
    def embedder(self) -> embedding.Embedder:
        """The model, loaded."""
        return embedding.load(self.model, self.settings.device)

    @_once
    def _first_embedder(self) -> embedding.FewEmbedder | None:
        """What embeds passages while they are few; None afterwards."""
        return embedding.load_for_few(self.model, self.settings.device)

    @_once
    def query_embedder(self) -> embedding.QueryEmbedder:
        """The model, loaded for questions."""
        if self._questions is None:
            return self.embedder
        return embedding.load_for_queries(self.model, self.settings.device, self._questions)

    @_once
    def rescorer(self) -> embedding.Rescorer:
        """The model with all its heads, loaded."""
        return embedding.load_rescorer(self.model, self.settings.device)

    @property
    def analyzer(self) -> Analyzer:
        """What turns text into terms, by the words that the index was made with."""
        return self.analyzer_by(self.store.identity.words)

    def analyzer_by(self, words: tuple[str, ...]) -> Analyzer:
        """What takes texts and questions apart, with these words of the user's own. The last one is kept."""
        with self._loading:
            if self._latest_analyzer is None or self._latest_analyzer.words != words:
                self._latest_analyzer = self._new_analyzer(words)
            return self._latest_analyzer

    def _new_analyzer(self, words: tuple[str, ...]) -> Analyzer:
        from kosearch.terms import Analyzer

        return Analyzer(words)

    @property
    def dictionaries(self) -> tuple[Path, ...]:
        """The folders in which a user says what words there are and what they mean."""
        own = self.settings.config_file.parent
        return (own, self.place) if isinstance(self.place, Path) else (own,)

    def _words(self) -> tuple[str, ...]:
        """The user's own words as they are now. Raises UsageError.

        Of an index that a server keeps for several users they are those that it was made with.
        """
        from kosearch.terms.dictionaries import read_words

        if not isinstance(self.place, Path) and self.exists:
            return self.store.identity.words
        return read_words(self.dictionaries)

    def _is_own_head(self, name: str) -> bool:
        """Whether the name is that of the folder whose head, behind an endpoint, made the index."""
        kept = (self.store.identity.endpoint or {}).get("head")
        found = embedding.load_head_alone(name) if kept else None
        return found is not None and base64.b64encode(found.head.packed()).decode() == kept

    def prepare(self, *, pull: bool = False, planned: Identity | None = None) -> None:
        """Make the index where there is none, and see that model and rules are those that made it.

        What it will be is `planned`, where that is known already.
        """
        if not self.exists:
            planned = planned or self._planned(pull=pull)
            try:
                kind_of(self.place).create(self.place, planned, self._secret)
            except IndexStateError:
                if not self.exists:  # else another has made it meanwhile
                    raise
        check(self.store.identity, self.settings)

    @property
    def processor(self) -> DocumentProcessor:
        """Cuts and analyses documents by the index's rules; for worker processes."""
        from kosearch.processing import DocumentProcessor, PassageRules

        identity = self.store.identity
        context = CONTEXT * context_tokens(self.model) // CONTEXT_TOKENS
        passages = PassageRules(identity.passage_tokens, identity.overlap, context)
        return DocumentProcessor(self.model, passages, identity.words)

    def file_pool(self, processor: FileProcessor) -> AbstractContextManager[FilePool]:
        """What reads, cuts and analyses files, each at nobody else's cost."""
        from kosearch.processing import FewHere
        from kosearch.terms import Analyzer
        from kosearch.workers import Pool

        if is_short_of_memory():  # a worker has room for what this process, with its model, has none
            return self.pool(processor)
        analyzer = Analyzer(self.store.identity.words, is_careful=True)
        here = self.processor.sharing(analyzer, embedding.token_offsets(self.model))
        reader = Pool(processor.extractor, 1, deadline=self.settings.timeout)

        def meanwhile() -> None:
            if analyzer.is_coming:
                self._load_first_embedder()

        return FewHere(replace(processor, processor=here), self.pool(processor), reader, meanwhile)

    def _load_first_embedder(self) -> None:
        """Load what embeds a few texts, if that is a model of this machine."""
        if self._first_embedder is not None and "embedder" not in vars(self):
            self._first_embedder.embed_passages(["."])

    def pool(self, task: Callable[[Item], Result]) -> Pool[Item, Result]:
        """Worker processes for a task: half the cores, since embedding wants the others."""
        from kosearch.workers import Pool

        count = self.settings.workers or max(1, usable_cores() // 2)
        return Pool(task, count, deadline=self.settings.timeout)

    def picture_pool(
        self, max_size: int, ocr: OcrUse, known: frozenset[bytes]
    ) -> Pool[PictureJob, PictureFound | None]:
        """Worker processes that read pictures, each page with a time of its own; those that are known are not read."""
        from kosearch.ocr import PAGE_SECONDS
        from kosearch.reading import PictureReader
        from kosearch.workers import Pool

        count = self.settings.workers or usable_cores()
        return Pool(PictureReader(max_size, ocr, known), count, deadline=self.settings.timeout + 2 * PAGE_SECONDS)

    def embed_passages(self, texts: Sequence[str], progress: Callable[[int], None] | None = None) -> Vectors:
        """Vectors of unit length for what the model sees of passages: (n, d). A few are embedded without torch."""
        if "embedder" not in vars(self):
            if self._first_embedder is not None and self._first_embedder.accept(texts):
                return self._first_embedder.embed_passages(texts, progress)
            self._first_embedder = None
        return self.embedder.embed_passages(texts, progress)

    def token_count(self, texts: Sequence[str]) -> Sequence[int]:
        """Into how many tokens of the model each of a few short texts falls."""
        return self._token_counter(texts)

    @cached_property
    def _token_counter(self) -> TokenCounter:
        return embedding.token_counter(self.model)

    def embed_queries(self, texts: Sequence[str]) -> Vectors:
        """The same for questions."""
        return (self.query_embedder if are_few(texts) else self.embedder).embed_queries(texts)

    @contextmanager
    def kept_vectors(self) -> Iterator[KeptVectors]:
        """What embeds texts that are asked for run after run: those that an earlier run has embedded need no model."""
        from kosearch.embedding.kept import KeptVectors

        kept = KeptVectors(self, self.settings.cache_dir)
        try:
            yield kept
        finally:
            kept.keep()

    def rescore(self, question: str, texts: Sequence[str]) -> Vectors:
        """Dense, sparse and multi-vector scores of what the model sees of passages: (n, 3)."""
        return self.rescorer.scores(question, texts)

    def why_empty(self) -> str:
        """Why no question can have an answer, and what to do about it."""
        since = self.store.written_since()
        if since is not None:
            seconds = max(0, round((datetime.now(UTC) - since).total_seconds()))
            return f"nothing is searchable yet: indexing began {seconds} s ago"
        state = self.store.status()
        if state.pending:
            return "nothing is searchable yet: indexing was interrupted; `kosearch index` goes on with it"
        if state.problems:
            reasons = ", ".join(f"{count} {reason}" for reason, count in state.problems.items())
            which = "the only file was" if state.files == 1 else f"all {state.files} files were"
            return f"nothing is searchable: {which} skipped ({reasons}): kosearch status --problems"
        return "nothing is searchable: no files are indexed; kosearch index PATH"

    def _found(self, name: str) -> embedding.AnyModel:
        """The model of that name that made the index, or may have."""
        identity = self.store.identity
        if identity.endpoint is None:
            model = self._resolve(name)
            return embedding.truncated(model, min(identity.dimensions, model.dimensions))
        return embedding.connect(
            name,
            kept=identity.endpoint,
            own=not self.is_foreign,
            dimensions=identity.dimensions,
            url=self.settings.endpoint,
        )

    def _resolve(self, name: str) -> embedding.Model:
        return _resolve(name, self.settings, trusting=self._trusting)

    def _planned(self, *, pull: bool = False) -> Identity:
        """What a new index would be."""
        return plan(self.settings, model_for(self.settings, pull=pull, trusting=self._trusting), self._words())

    def _model_over(self, source: Opened, *, pull: bool = False) -> embedding.AnyModel:
        """The model for a new index of what another one holds: behind that one's endpoint there may be a head."""
        found = embedding.load_head_alone(self.settings.model or "")
        if found is None:
            return model_for(self.settings, pull=pull, trusting=self._trusting)
        known = source.store.identity
        base = source._found(known.model) if known.fingerprint == found.fingerprint else None
        if not isinstance(base, embedding.Endpoint) or self.settings.dimensions not in (None, base.dimensions):
            raise _of_a_head_alone(self.settings.model or "", found)
        return embedding.with_head(base, found.head)

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


@lru_cache(maxsize=4)
def embedder_for(settings: Settings, many: bool) -> embedding.Embedder:
    """The model for new indexes, loaded: for a few texts without torch, where it can do without."""
    model = model_for(settings)
    return (None if many else embedding.load_for_few(model, settings.device)) or embedding.load(model, settings.device)


def model_for(settings: Settings, *, pull: bool = False, trusting: bool = False) -> embedding.AnyModel:
    """The model for a new index."""
    name = settings.model or embedding.default_model(settings.device)
    if (alone := embedding.load_head_alone(name)) is not None:
        raise _of_a_head_alone(name, alone)
    if not embedding.is_remote(name):
        model = _resolve(name, settings, pull=pull, trusting=trusting)
        embedding.require_memory(model, settings.device)  # or an empty index would be left, bound to this model
        return embedding.truncated(model, settings.dimensions)
    return embedding.connect(
        name,
        url=settings.endpoint,
        dimensions=settings.dimensions,
        prompts=embedding.Prompts(settings.query_prompt, settings.passage_prompt),
        tokens=settings.passage_tokens and settings.passage_tokens + CONTEXT_TOKENS,
    )


def _of_a_head_alone(name: str, found: embedding.HeadAlone) -> ModelError:
    return ModelError(
        f"{name} is a head for the vectors of an index by {found.base}, and of no other",
        f"kosearch index --index THAT_INDEX --model {shlex.quote(name)} --into NAME",
    )


def _resolve(name: str, settings: Settings, *, pull: bool = False, trusting: bool = False) -> embedding.Model:
    return embedding.resolve(
        name, cache_dir=settings.cache_dir, device=settings.device, pull=pull, trust_remote_code=trusting
    )


def are_few(texts: Sequence[str]) -> bool:
    return len(texts) <= _MANY
