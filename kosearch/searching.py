"""A question → ranked passages: candidates from both sides, exact scores for all of them, one convex sum.

    dense, lexical → candidates → cosine and BM25 of each → scaled to 0..1 → weight · dense + (1 - weight) · lexical

Which passages become candidates is the engines' choice. Their scores are computed here from the vectors, terms and
counts that SQLite holds, so they depend on the documents and on nothing that happened to the index.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from kosearch.excerpts import best_part
from kosearch.index import Snapshot, StoredDocument, StoredPassage
from kosearch.passages import context
from kosearch.records import Answer, Hit, Query, Score
from kosearch.scoring import NEIGHBOURS, bm25, combine_heads, fuse, scale, scale_both, share, side_by_side, worth
from kosearch.terms import CONTEXT, FIELDS, MORPHEMES, Analyzer, Question, matches

CANDIDATES = 200
"""Passages that each side brings in."""
SAME = 0.9
"""Passages of which this share of the terms agrees (Jaccard) are shown once."""
EXCERPT = 240
"""Characters of the part of a passage that is shown first: about six lines of Korean at 80 columns."""

Ids = NDArray[np.int64]
Vectors = NDArray[np.float32]
Floats = NDArray[np.float64]
Terms = Mapping[str, Sequence[str]]
Embed = Callable[[Sequence[str]], Vectors]
Rescore = Callable[[str, Sequence[str]], Vectors]
"""A question and passages as the model sees them → (n, 3): dense, sparse and multi-vector scores."""


@dataclass(frozen=True, slots=True)
class Side:
    """What one side thinks of passages, (n,) each: its raw scores, the same brought to 0..1, and ranks from 1.

    A rank tells how many are better. Among equals there is no order but that of their numbers, which follow from the
    index's history.
    """

    values: Floats
    scaled: Floats
    ranks: Ids

    @classmethod
    def of(cls, values: Floats, scaled: Floats) -> Side:
        """The side whose raw scores these are; the higher, the better, and equal ones share a rank."""
        ranks = len(values) + 1 - np.searchsorted(np.sort(values), values, side="right")
        return cls(values, scaled, ranks)

    def taken(self, rows: NDArray[np.intp]) -> Side:
        """The same of these rows."""
        return Side(self.values[rows], self.scaled[rows], self.ranks[rows])

    def score(self, row: int) -> Score:
        """Of one passage."""
        return Score(float(self.values[row]), float(self.scaled[row]), int(self.ranks[row]))


@dataclass(frozen=True, slots=True)
class Ranking:
    """Passages in the order of their scores, and what each side thinks of them; row i belongs to ids[i]."""

    ids: Ids
    scores: Floats
    dense: Side | None
    lexical: Side | None
    sparse: Side | None = None
    multi_vector: Side | None = None
    """By the model's further heads: of the first passages only, those that were scored again."""

    def reordered(self, scores: Sequence[float] | Floats) -> Ranking:
        """The same passages by other scores, which are given in the order of these; ties keep their order."""
        given = np.array(scores, dtype=np.float64)
        order = np.argsort(-given, kind="stable")
        return replace(self.taken(order), scores=given[order])

    def taken(self, order: Sequence[int] | NDArray[np.intp]) -> Ranking:
        """The same passages in another order, given as rows."""
        rows = np.array(order, dtype=np.intp)
        return Ranking(
            self.ids[rows],
            self.scores[rows],
            self.dense and self.dense.taken(rows),
            self.lexical and self.lexical.taken(rows),
        )


def answers(
    queries: Sequence[Query], snapshot: Snapshot, analyzer: Analyzer, embed: Embed, rescore: Rescore
) -> list[Answer]:
    """The best passages of one generation for each question."""
    questions = [analyzer.question(query.text) for query in queries]
    vectors = embed_questions(queries, questions, embed)
    found = []
    for query, question, vector in zip(queries, questions, vectors, strict=True):
        ranking = rank(query, question, vector, snapshot)
        if query.rerank:
            ranking = rerank(query, question, ranking, snapshot, rescore)
        found.append(_answer(query, question, ranking, snapshot))
    return found


def embed_questions(queries: Sequence[Query], questions: Sequence[Question], embed: Embed) -> list[Vectors | None]:
    """A vector for each question that needs one; the model is not loaded when none does."""
    asked = [question.text for query, question in zip(queries, questions, strict=True) if query.mode != "lexical"]
    vectors = iter(embed(asked) if asked else ())
    return [None if query.mode == "lexical" else next(vectors) for query in queries]


def rank(query: Query, question: Question, vector: Vectors | None, snapshot: Snapshot) -> Ranking:
    """All candidates for a question, best first; ties by document and position."""
    documents = snapshot.find_documents(query.paths, query.kinds, query.after, query.before)
    ids = _candidates(question, vector, snapshot, documents, lexical=query.mode != "dense")
    cosines = None if vector is None else snapshot.cosines(vector, ids).astype(np.float64)
    fits = np.full(len(ids), True)
    if cosines is not None and query.min_score is not None:
        fits &= cosines >= query.min_score
    terms: Sequence[Terms] = ()
    # Reading terms is most of a question's cost, and meaning alone needs none.
    if query.mode != "dense" or question.must or question.must_not or question.phrases:
        terms = snapshot.terms(ids)
        fits &= np.array([matches(question, one) for one in terms], dtype=bool)
    kept = np.flatnonzero(fits)
    ids, cosines = ids[kept], None if cosines is None else cosines[kept]
    if query.mode == "dense":
        return _ties_settled(_ordered(ids, cosines, None, query.weight, snapshot.passages), snapshot)
    lexical = _lexical_scores(question, [terms[i] for i in kept.tolist()], snapshot)
    return _ties_settled(_ordered(ids, cosines, lexical, query.weight, snapshot.passages), snapshot)


def _ties_settled(ranking: Ranking, snapshot: Snapshot) -> Ranking:
    """Equal scores in the order of path and position: a passage's number tells when it was indexed, not where it is."""
    equal = np.flatnonzero(np.diff(ranking.scores) == 0)
    tied = np.union1d(equal, equal + 1)
    if not len(tied):
        return ranking
    stored = snapshot.stored(ranking.ids[tied])
    places = {
        row: (one.document.raw, one.document.member, one.ordinal)
        for row, one in zip(tied.tolist(), stored, strict=True)
    }
    rows = sorted(range(len(ranking.ids)), key=lambda row: (-ranking.scores[row], places.get(row, ())))
    return ranking.taken(rows)


def _candidates(
    question: Question, vector: Vectors | None, snapshot: Snapshot, documents: Ids | None, *, lexical: bool
) -> Ids:
    """The union of what each side finds, ascending. What a question demands is looked for by the lexical side
    even where meaning alone decides, for else nothing that satisfies it might be among the nearest."""
    found = [np.zeros(0, np.int64)]
    if vector is not None:
        found.append(snapshot.dense(vector, CANDIDATES, documents)[0])
    demanded = _demanded(question)
    if demanded:
        found.append(snapshot.lexical(demanded, CANDIDATES, documents))
    if lexical:
        found.append(snapshot.lexical(question.terms, CANDIDATES, documents))
    return np.unique(np.concatenate(found))


def _demanded(question: Question) -> dict[str, dict[str, float]]:
    terms: dict[str, dict[str, float]] = {}
    for wanted in (*question.must, *question.phrases):
        for name, words in wanted.terms.items():
            terms.setdefault(name, {}).update(dict.fromkeys(words, 1.0))
    return terms


def _lexical_scores(question: Question, terms: Sequence[Terms], snapshot: Snapshot) -> Floats:
    """BM25, and more where words that are neighbours in the question are neighbours in the passage."""
    statistics = snapshot.statistics({name: list(weights) for name, weights in question.terms.items()})
    words = list(question.terms[MORPHEMES])
    frequencies = statistics.frequencies[MORPHEMES]
    worths = {word: worth(frequencies[word], statistics.passages) for word in words}
    return np.array(
        [
            bm25(question.terms, one, statistics) + NEIGHBOURS * side_by_side(words, one[MORPHEMES], worths)
            for one in terms
        ],
        dtype=np.float64,
    )


def _ordered(
    ids: Ids,
    cosines: Floats | None,
    bm25s: Floats | None,
    weight: float,
    passages: int,
) -> Ranking:
    """Candidates by their fused score. A passage that shares no word with the question is a lexical miss, and
    where the question has no word that the index knows, meaning decides alone."""
    if bm25s is not None and cosines is not None and not bm25s.any():
        bm25s = None
    sides: tuple[Floats | None, Floats | None]
    if cosines is not None and bm25s is not None:
        sides = dense_scaled, lexical_scaled = scale_both(cosines, bm25s, passages)
        scores = fuse(dense_scaled, lexical_scaled, weight)
    else:
        sides = None if cosines is None else scale(cosines), None if bm25s is None else share(bm25s)
        scores = next((side for side in sides if side is not None), np.zeros(len(ids)))
    rows = np.flatnonzero(bm25s > 0) if cosines is None and bm25s is not None else np.arange(len(ids))
    order = rows[np.lexsort((ids[rows], -scores[rows]))]
    dense, lexical = (
        None if raw is None or scaled is None else Side.of(raw, scaled).taken(order)
        for raw, scaled in zip((cosines, bm25s), sides, strict=True)
    )
    return Ranking(ids[order], scores[order], dense, lexical)


def rerank(query: Query, question: Question, ranking: Ranking, snapshot: Snapshot, rescore: Rescore) -> Ranking:
    """The best `query.rerank` passages by the model's combined score in the cosine's place; the others follow them."""
    again = snapshot.stored(ranking.ids[: query.rerank])
    if not again:
        return ranking
    texts = [context(one.document.title, one.passage, one.text) + one.text for one in again]
    scores = rescore(question.text, texts).astype(np.float64)
    model = combine_heads(scores)
    if ranking.lexical:
        bm25s = ranking.lexical.values[: len(again)]
        fused = fuse(*scale_both(model, bm25s, snapshot.passages), query.weight)
    else:
        fused = scale(model)
    order = np.argsort(-fused, kind="stable")
    behind = ranking.scores[len(again) :] * fused.min()
    sparse, multi_vector = (Side.of(column, scale(column)).taken(order) for column in scores.T[1:])
    return replace(ranking.reordered([*fused, *behind]), sparse=sparse, multi_vector=multi_vector)


def _answer(query: Query, question: Question, ranking: Ranking, snapshot: Snapshot) -> Answer:
    chosen = _chosen(query, ranking, snapshot)
    hits = tuple(_hit(place, one, query, ranking, snapshot) for place, one in enumerate(chosen, 1))
    return Answer(
        question=query.text,
        mode=query.mode,
        hits=hits,
        generation=snapshot.generation,
        warnings=(*snapshot.warnings, *question.notes, *_unknown(query, question, ranking)),
        terms=() if hits else _counts(question, snapshot),
    )


def _unknown(query: Query, question: Question, ranking: Ranking) -> tuple[str, ...]:
    if query.mode == "hybrid" and ranking.lexical is None and len(ranking.ids):
        return ("no passage has a word of the question: these hits are by meaning alone",)
    return ()


def _counts(question: Question, snapshot: Snapshot) -> tuple[tuple[str, int], ...]:
    """The question's words and in how many passages each stands."""
    words = {name: list(question.terms.get(name, ())) for name in FIELDS if name != CONTEXT}
    frequencies = snapshot.statistics(words).frequencies
    counts: dict[str, int] = {}
    for name, terms in words.items():
        for term in terms:
            counts.setdefault(term, frequencies[name][term])
    return tuple(counts.items())


@dataclass(slots=True)
class _Chosen:
    """A passage that will be shown, and what was left out for its sake."""

    row: int
    stored: StoredPassage
    words: frozenset[tuple[str, str]]
    also: list[str] = field(default_factory=list)
    more: int = 0


def _chosen(query: Query, ranking: Ranking, snapshot: Snapshot) -> list[_Chosen]:
    """The k best passages, each once however many near copies it has; with grouping, one a document."""
    chosen: list[_Chosen] = []
    for row, stored, terms in _in_turn(ranking, snapshot):
        words = frozenset((name, term) for name in terms if name != CONTEXT for term in terms[name])
        copied = next((one for one in chosen if _nearly_same(one.words, words)), None)
        document = next((one for one in chosen if one.stored.document.id == stored.document.id), None)
        if copied is not None and copied is not document:
            copied.also.append(stored.document.path)
        elif document is not None and (query.group or copied is document):
            document.more += query.group
        elif len(chosen) < query.k:
            chosen.append(_Chosen(row, stored, words))
        elif not query.group:
            break
    return chosen


def _in_turn(ranking: Ranking, snapshot: Snapshot, step: int = 20) -> Iterator[tuple[int, StoredPassage, Terms]]:
    for start in range(0, len(ranking.ids), step):
        ids = ranking.ids[start : start + step]
        for place, (stored, terms) in enumerate(zip(snapshot.stored(ids), snapshot.terms(ids), strict=True)):
            yield start + place, stored, terms


def _nearly_same(first: frozenset[tuple[str, str]], second: frozenset[tuple[str, str]]) -> bool:
    """Forms that differ by a year or a number are not the same, however much else agrees."""
    same = bool(first) and len(first & second) >= SAME * len(first | second)
    return same and not any(character.isdigit() for _, term in first ^ second for character in term)


def _hit(place: int, chosen: _Chosen, query: Query, ranking: Ranking, snapshot: Snapshot) -> Hit:
    stored, row = chosen.stored, chosen.row
    document, passage = stored.document, stored.passage
    start, end = best_part(stored.text, query.text, EXCERPT)
    before, after = "", ""
    if query.context:
        text = snapshot.document_text(document.id)
        first, last = surroundings(text, passage.start, passage.end, query.context)
        before, after = text[first : passage.start], text[passage.end : last]
    return Hit(
        rank=place,
        score=float(ranking.scores[row]),
        dense=_score(ranking.dense, row),
        lexical=_score(ranking.lexical, row),
        sparse=_score(ranking.sparse, row),
        multi_vector=_score(ranking.multi_vector, row),
        document_id=document.id,
        document_hash=document.text_hash,
        path=document.path,
        raw=document.raw,
        member=document.member,
        kind=document.kind,
        title=document.title,
        metadata=document.metadata,
        passage=passage,
        text=stored.text,
        best=(passage.start + start, passage.start + end),
        state=file_state(document),
        also=tuple(dict.fromkeys(chosen.also)),
        more=chosen.more,
        before=before,
        after=after,
    )


def _score(side: Side | None, row: int) -> Score | None:
    return side.score(row) if side and row < len(side.values) else None


def surroundings(text: str, start: int, end: int, lines: int) -> tuple[int, int]:
    """The span from `lines` lines before `start` to as many after `end`, whole lines at both sides."""
    first, last = start, end - 1
    for _ in range(lines + 1):
        first = text.rfind("\n", 0, first) if first > 0 else -1
    for _ in range(lines + 1):
        last = text.find("\n", last + 1) if last < len(text) else len(text)
        last = len(text) if last < 0 else last
    return first + 1, last


def file_state(document: StoredDocument) -> str:
    """current, changed or gone: the file as it is now, against the file that was indexed."""
    try:
        now = os.stat(document.raw)
    except OSError:
        return "gone"
    # A file that was read right after it was written has no time to compare: see sources.Content.
    same = now.st_size == document.size and document.mtime_ns in (-1, now.st_mtime_ns)
    return "current" if same else "changed"
