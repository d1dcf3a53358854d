"""Measuring a search: collections in, measures and comparisons out. Nothing here prints.

__init__.py     the door: a collection indexed like files, its questions asked of one or more systems
collections.py  BEIR and TREC files, runs, and a user's own questions, checked line by line
measures.py     two families of measures and the paired test; means, comparisons, failures, JSON, and a plot
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from kosearch.config import Settings
from kosearch.errors import UsageError
from kosearch.evaluation.collections import (
    Collection,
    CollectionDocument,
    Qrels,
    Question,
    judgements,
    locate,
    ranked_places,
    read_collection,
    read_questions,
    read_trec_questions,
)
from kosearch.evaluation.measures import DEPTH
from kosearch.index import Snapshot
from kosearch.indexing import Run
from kosearch.library import Index
from kosearch.opening import check_terms
from kosearch.processing import DocumentProcessor
from kosearch.reading import Processed
from kosearch.records import Extracted, IndexProgress, Query, SourceFile
from kosearch.scoring import RRF
from kosearch.searching.answering import Read, embed_questions
from kosearch.searching.ranking import Embed, Ranking, Rescore, rank, rerank
from kosearch.terms import Question as Asking
from kosearch.workers import Failure, Pool

Ranked = Sequence[tuple[str, float]]
SYSTEMS = ("dense", "lexical", "hybrid", "rrf", "rerank")
"""Ways to search that can be compared; `rrf` is hybrid by reciprocal rank fusion, for reference, and `rerank` is
hybrid with the best scored again by all of the model's heads."""
RERANK = 50
"""How many those are."""
_EMBEDDED_AT_ONCE = 64


@dataclass(frozen=True, slots=True)
class Task:
    """Questions, what answers them, and how a ranking of passages becomes one of what is judged."""

    name: str
    texts: Mapping[str, str]
    qrels: Qrels
    judged: Callable[[str, Ranking], Ranked]


@dataclass(frozen=True, slots=True)
class Asked:
    """How many questions were asked, of how many."""

    done: int
    total: int


@dataclass(frozen=True, slots=True)
class Findings:
    """A task, and each system's run for it."""

    task: Task
    runs: Mapping[str, Mapping[str, Ranked]]


def check_systems(collection: Path, names: Sequence[str]) -> tuple[str, ...]:
    """The names that are models and no ways to search; raises UsageError where they cannot be compared."""
    models = tuple(name for name in names if name not in SYSTEMS)
    if not collection.exists():
        raise UsageError(f"{collection}: there is no such file or folder", "check the path")
    if models and len(models) < len(names):
        raise UsageError(f"--compare {','.join(names)} mixes models and modes", f"modes are {', '.join(SYSTEMS)}")
    if models and not collection.is_dir():
        raise UsageError(
            "an index has one model",
            "compare models on a collection, or make another index: kosearch index --into NAME --model MODEL",
        )
    if len(set(names)) < len(names):
        raise UsageError(f"--compare {','.join(names)} names one twice", "name each once")
    return models


def experiment(
    settings: Settings, collection: Path, names: Sequence[str], *, qrels: Path | None = None, kept: bool = False
) -> Generator[IndexProgress | Asked, None, Findings]:
    """Ask every question of every system, and tell how it goes on: notes, indexing, asking.

    `names` are ways to search, or models; `settings` have the way that models search. A folder is a collection and is
    indexed first, into a temporary index unless the one of the settings is to be `kept`; a file holds questions about
    the settings' index, or TREC topics where there are `qrels`.
    """
    models = check_systems(collection, names)
    runs: dict[str, dict[str, Ranked]] = {}
    first: Index | None = None
    with ExitStack() as open_until_all_are_asked:
        for name in models or (settings.model,):
            theirs = replace(settings, model=name)
            library = open_until_all_are_asked.enter_context(_library(theirs, collection, kept=kept and not models))
            if collection.is_dir() and not _holds(library, collection):
                yield from library.take_over(first) if first else _index(library, collection)
            if collection.is_dir():
                yield from _renewed(library)
            first = first or library
            with library.store.snapshot(warm=not library.is_foreign) as snapshot, library.kept_vectors() as known:
                check_terms(snapshot.identity, library.settings)
                task = _task(collection, qrels, snapshot)
                systems = (settings.mode,) if models else tuple(names)
                asked = (library.reader(snapshot), known.embed_queries, library.rescore)
                total = len(task.texts) * len(systems)
                results = ask(task, systems, settings.weight, snapshot, *asked)
                for done, (question, system, ranked) in enumerate(results, 1):
                    runs.setdefault(name if models and name else system, {})[question] = ranked
                    yield Asked(done, total)
    return Findings(task, runs)


@contextmanager
def _library(settings: Settings, collection: Path, *, kept: bool) -> Iterator[Index]:
    """The index that is asked: the user's own for questions, else one made for the collection."""
    if kept or not collection.is_dir():
        yield Index(settings)
        return
    with tempfile.TemporaryDirectory(prefix="kosearch-eval-") as folder:
        yield Index(replace(settings, index=f"{folder}/index"))


def _holds(library: Index, folder: Path) -> bool:
    """Whether the index has the whole collection; of a part that an interrupted run left, the rest is to be indexed.

    Raises UsageError for an index of something else: what it lacks would count as not found.
    """
    if not library.exists:
        return False
    wanted = {document.id for document in read_collection(folder).documents}
    with library.store.snapshot() as snapshot:
        held = {document.path for document in snapshot.documents()}
    if wanted <= held:
        return True
    if held - wanted or library.roots():
        name = library.settings.index
        raise UsageError(
            f"the index {name!r} is one of something else: it has {len(wanted & held):,} of the {len(wanted):,}"
            f" documents of {folder}",
            "name another one with --index, which is made then",
        )
    return False


def _renewed(library: Index) -> Iterator[IndexProgress]:
    """Bring the terms of an index that was kept of a collection to this version's rules; not of one of the user's
    folders, or of somebody else's, which is not ours to change here."""
    if library.roots() or library.is_foreign:
        return
    for step in library.renew_terms(wait=False):
        yield step if isinstance(step, IndexProgress) else IndexProgress(0, 0, 0, 0, walking=False, note=step)


def _index(library: Index, folder: Path) -> Iterator[IndexProgress]:
    """Index a collection from its files."""
    collection = read_collection(folder)
    library.prepare()
    yield IndexProgress(0, 0, 0, 0, walking=False, note=f"model: {library.model.why}")
    with library.store.writer() as writer, library.pool(CollectionProcessor(library.processor)) as pool:
        for state in index_collection(collection, Run(writer, library.embed_passages), pool):
            yield replace(state, files_total=len(collection.documents))


def _task(collection: Path, qrels: Path | None, snapshot: Snapshot) -> Task:
    if collection.is_dir():
        return collection_task(read_collection(collection), snapshot)
    questions = read_questions(collection) if qrels is None else read_trec_questions(collection, qrels)
    paths = [document.path for document in snapshot.documents()]
    return questions_task(collection.name, locate(questions, paths), snapshot)


@dataclass(frozen=True, slots=True)
class CollectionProcessor:
    """The worker's task for a collection's documents: cut and analyse."""

    processor: DocumentProcessor

    def __call__(self, document: CollectionDocument) -> Processed:
        """One document as if it were a file of its own, named by its id."""
        extracted = Extracted(text=document.text, kind="text", title=document.title)
        source = SourceFile(document.id.encode(), document.id, b"", len(document.text), 0)
        return Processed(source, "", (self.processor.process(extracted, ""),), ())


def index_collection(
    collection: Collection, run: Run, pool: Pool[CollectionDocument, Processed]
) -> Iterator[IndexProgress]:
    """Index every document of a collection. One without text has no passage, and so is never found."""

    def processed() -> Iterator[Processed]:
        for document, result in pool.map(collection.documents):
            if isinstance(result, Failure):
                hint = "KOSEARCH_TIMEOUT gives it more seconds" if result.kind == "timeout" else ""
                raise UsageError(f"document {document.id} of {collection.name}: {result.detail}", hint)
            yield result

    yield from run.take(processed())


def collection_task(collection: Collection, snapshot: Snapshot) -> Task:
    """A collection that was indexed: documents are judged, each by its best passage."""
    names = {document.id: document.path for document in snapshot.documents()}

    def documents(_question: str, ranking: Ranking) -> Ranked:
        owners = snapshot.owners(ranking.ids)
        best: dict[str, float] = {}
        for number, score in zip(ranking.ids.tolist(), ranking.scores.tolist(), strict=True):
            best.setdefault(names[owners[number]], score)
        return list(best.items())[:DEPTH]

    texts = {query.id: query.text for query in collection.queries}
    return Task(collection.name, texts, collection.qrels, documents)


def questions_task(name: str, questions: Sequence[Question], snapshot: Snapshot) -> Task:
    """A user's own questions about an index: paths are judged, or pages where a question names one."""
    by_id = {question.id: question for question in questions}

    def places(question: str, ranking: Ranking) -> Ranked:
        stored = snapshot.stored(ranking.ids)
        hits = [
            (one.document.path, one.passage.page, score)
            for one, score in zip(stored, ranking.scores.tolist(), strict=True)
        ]
        return ranked_places(by_id[question], hits)[:DEPTH]

    return Task(name, {one.id: one.text for one in questions}, judgements(questions), places)


def ask(
    task: Task, systems: Sequence[str], weight: float, snapshot: Snapshot, read: Read, embed: Embed, rescore: Rescore
) -> Iterator[tuple[str, str, Ranked]]:
    """Question, system and what it found, question by question; each is read as a user's is, and embedded once."""
    by_words = set(systems) == {"lexical"}
    for name, query, question, vector in _asked(task.texts, "lexical" if by_words else "hybrid", read, embed):
        rankings: dict[str, Ranking] = {}
        for system in systems:
            mode = system if system in ("dense", "lexical") else "hybrid"
            wanted = replace(query, mode=mode, weight=weight, rerank=RERANK)
            if mode not in rankings:
                rankings[mode] = rank(wanted, question, None if mode == "lexical" else vector, snapshot)
            ranking = rankings[mode]
            if system == "rrf":
                ranking = by_ranks(ranking)
            elif system == "rerank":
                ranking = rerank(wanted, question, ranking, snapshot, rescore)
            yield name, system, task.judged(name, ranking)


def _asked(
    texts: Mapping[str, str], mode: str, read: Read, embed: Embed
) -> Iterator[tuple[str, Query, Asking, NDArray[np.float32] | None]]:
    """Questions as both sides take them; many are embedded at once, which costs half of one by one."""
    rest = iter(texts.items())
    while some := dict(islice(rest, _EMBEDDED_AT_ONCE)):
        queries = [Query(text=text, mode=mode) for text in some.values()]
        questions = read.all(queries)
        vectors = embed_questions(queries, questions, embed)
        yield from zip(some, queries, questions, vectors, strict=True)


def by_ranks(ranking: Ranking) -> Ranking:
    """The same candidates by reciprocal rank fusion: 1 / (60 + rank), summed over both sides."""
    sides = [side for side in (ranking.dense, ranking.lexical) if side is not None]
    return ranking.reordered(np.sum([1 / (RRF + side.ranks) for side in sides], axis=0))
