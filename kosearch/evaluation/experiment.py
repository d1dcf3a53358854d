"""The search itself under evaluation: a collection indexed like files, and its questions asked like any other."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from kosearch.errors import UsageError
from kosearch.evaluation.collections import Collection, CollectionDocument, Qrels, Question, judgements, ranked_places
from kosearch.evaluation.reports import DEPTH
from kosearch.index import Snapshot
from kosearch.indexing import Run
from kosearch.preparing import Prepared, Preparer
from kosearch.records import Extracted, IndexProgress, Query, SourceFile
from kosearch.searching.ranking import Embed, Ranking, Rescore, rank, rerank
from kosearch.terms import Analyzer
from kosearch.workers import Failure, Pool

Ranked = Sequence[tuple[str, float]]
SYSTEMS = ("dense", "lexical", "hybrid", "rrf", "rerank")
"""Ways to search that can be compared; `rrf` is hybrid by reciprocal rank fusion, for reference, and `rerank` is
hybrid with the best scored again by all of the model's heads."""
RERANK = 50
"""How many those are."""
RRF = 60
"""Cormack, Clarke and Büttcher 2009, "Reciprocal Rank Fusion Outperforms Condorcet and Individual Rank Learning"."""


@dataclass(frozen=True, slots=True)
class Task:
    """Questions, what answers them, and how a ranking of passages becomes one of what is judged."""

    name: str
    texts: Mapping[str, str]
    qrels: Qrels
    judged: Callable[[str, Ranking], Ranked]


@dataclass(frozen=True, slots=True)
class DocumentPreparer:
    """The worker's task for a collection's documents: cut and analyse."""

    preparer: Preparer

    def __call__(self, document: CollectionDocument) -> Prepared:
        """One document as if it were a file of its own, named by its id."""
        extracted = Extracted(text=document.text, kind="text", title=document.title)
        source = SourceFile(document.id.encode(), document.id, b"", len(document.text), 0)
        return Prepared(source, "", (self.preparer.prepare(extracted, ""),), ())


def index_collection(
    collection: Collection, run: Run, pool: Pool[CollectionDocument, Prepared]
) -> Iterator[IndexProgress]:
    """Index every document of a collection. One without text has no passage, and so is never found."""

    def prepared() -> Iterator[Prepared]:
        for document, result in pool.map(collection.documents):
            if isinstance(result, Failure):
                hint = "KOSEARCH_TIMEOUT gives it more seconds" if result.kind == "timeout" else ""
                raise UsageError(f"document {document.id} of {collection.name}: {result.detail}", hint)
            yield result

    yield from run.take(prepared())


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
    task: Task,
    systems: Sequence[str],
    weight: float,
    snapshot: Snapshot,
    analyzer: Analyzer,
    embed: Embed,
    rescore: Rescore,
) -> Iterator[tuple[str, str, Ranked]]:
    """Question, system and what it found, question by question; each is analysed and embedded once."""
    for question, text in task.texts.items():
        read = analyzer.question(text, operators=False)
        vector = embed([read.text])[0] if set(systems) != {"lexical"} else None
        rankings: dict[str, Ranking] = {}
        for system in systems:
            mode = system if system in ("dense", "lexical") else "hybrid"
            query = Query(text=text, mode=mode, weight=weight, rerank=RERANK)
            if mode not in rankings:
                rankings[mode] = rank(query, read, None if mode == "lexical" else vector, snapshot)
            ranking = rankings[mode]
            if system == "rrf":
                ranking = by_ranks(ranking)
            elif system == "rerank":
                ranking = rerank(query, read, ranking, snapshot, rescore)
            yield question, system, task.judged(question, ranking)


def by_ranks(ranking: Ranking) -> Ranking:
    """The same candidates by reciprocal rank fusion: 1 / (60 + rank), summed over both sides."""
    sides = [side for side in (ranking.dense, ranking.lexical) if side is not None]
    return ranking.reordered(np.sum([1 / (RRF + side.ranks) for side in sides], axis=0))
