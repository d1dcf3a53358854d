"""Documents like another one, a page, a passage or a text: the nearest pair of passages, and the words that they share.

What is asked about is a set of passages with vectors and terms, as an index holds them. Each document counts by its
best pair with one of them: a document is like another one where a part of it is. No question is embedded where the
thing itself is in the index.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from kosearch.analysis.corpus import language_of, unit
from kosearch.errors import UsageError
from kosearch.index import Snapshot, StoredDocument, StoredPassage
from kosearch.records import Answer, Extracted, PageStart, Query, Statistics
from kosearch.scoring import bm25, fuse, idf, max_normalise, points
from kosearch.searching.answering import answer
from kosearch.searching.by_words import Floats
from kosearch.searching.ranking import Ids, Ranking, Side, Vectors
from kosearch.terms import BIGRAMS, FIELD_WEIGHTS, MORPHEMES, Question

WEIGHT = 0.5
"""Meaning's share of a score; .4 to .6 do as well (`python -m tests.benchmarks similar`)."""
WORDS = 200
"""So many words of a text, those that tell most, are looked for: with 40 fewer pages of one document find each other,
and with all of them no more."""
_SATURATION = 1.2
"""How soon it stops to count that the text repeats a word, as BM25's k1."""
_HIT = re.compile(r"[0-9a-f]{8,64}:\d+:\d+")
_CANDIDATES = 200
_AT_ONCE = 8192
_NOTHING = 1e-12
"""The least square of a vector's distance from the mean."""
_SAME = 0.9
"""From this share of either's runs of words on, one is a copy of the other."""


@dataclass(frozen=True, slots=True)
class Subject:
    """What others are to be like."""

    vectors: Vectors
    """Of its passages, (m, d), of length 1."""
    terms: Sequence[Mapping[str, Sequence[str]]]
    """Of its passages, by field."""
    passages: frozenset[int] = field(default_factory=frozenset)
    """The ids of those that are in the index: they are no hits."""
    hashes: frozenset[str] = field(default_factory=frozenset)
    """Of the texts of whole documents that it is: those with the same are copies."""


def is_hit(name: str) -> bool:
    """Whether it is written as a hit's id is."""
    return _HIT.fullmatch(name) is not None


def of_hit(name: str, snapshot: Snapshot) -> Subject:
    """A passage by its hit's id. Raises UsageError where the index has no such passage."""
    text_hash, start, end = name.split(":")
    for document in snapshot.with_hash(text_hash):
        found = [
            one
            for one in _passages([document], snapshot)
            if one.passage.start < int(end) and one.passage.end > int(start)
        ]
        if found:
            return _stored(found, frozenset(), snapshot)
    raise UsageError(
        f"{name}: the index has no such passage (any more)", "ids stand in the JSON: kosearch query TEXT --json"
    )


def of_file(path_bytes: bytes, page: int | None, snapshot: Snapshot) -> Subject | None:
    """A file of the index, or a page of it; None where it is not there. Raises UsageError for a page that is not."""
    documents = [one for one in snapshot.documents() if one.path_bytes == path_bytes]
    found = _passages(documents, snapshot)
    if not found:
        return None
    if page is None:
        return _stored(found, frozenset(one.text_hash for one in documents), snapshot)
    on_it = [one for one in found if (one.passage.page or 0) <= page <= (one.passage.page_end or one.passage.page or 0)]
    if not on_it:
        raise UsageError(f"{documents[0].path} has no text on a page {page}")
    return _stored(on_it, frozenset(), snapshot)


def page_of(document: Extracted, number: int) -> Extracted:
    """A page of a document that was read now. Raises UsageError where there is none."""
    starts = [*document.pages, PageStart(len(document.text), -1)]
    for page, after in pairwise(starts):
        if page.number == number:
            return Extracted(document.text[page.start : after.start], document.kind, document.title)
    raise UsageError(f"the document has no page {number}")


def _passages(documents: Sequence[StoredDocument], snapshot: Snapshot) -> list[StoredPassage]:
    ids, _ = snapshot.vectors()
    wanted = {one.id for one in documents}
    owners = snapshot.owners(ids) if wanted else {}
    chosen = np.array([number for number, owner in owners.items() if owner in wanted], np.int64)
    return snapshot.stored(np.sort(chosen))


def _stored(passages: Sequence[StoredPassage], hashes: frozenset[str], snapshot: Snapshot) -> Subject:
    ids, vectors = snapshot.vectors()
    numbers = np.array([one.id for one in passages], np.int64)
    return Subject(
        np.array(vectors[np.searchsorted(ids, numbers)]),
        snapshot.terms(numbers),
        frozenset(numbers.tolist()),
        hashes,
    )


def similar(subject: Subject, query: Query, snapshot: Snapshot, *, copies: bool = False) -> Answer:
    """The `query.k` documents most like the subject, each with its passage that is most like it; best first.

    The subject itself is left out, and so are its copies unless they are wanted. `query` has the filters.
    """
    ids, vectors = snapshot.vectors()
    documents = snapshot.find_documents(query.paths, query.kinds, query.after, query.before)
    owners = snapshot.owners(ids)
    of = np.fromiter((owners[number] for number in ids.tolist()), np.int64, len(ids))
    rows = np.flatnonzero(~np.isin(ids, list(subject.passages)) & (documents is None or np.isin(of, documents)))
    question, statistics = _question(subject, snapshot)
    if not len(rows):
        none = np.zeros(0)
        return answer(query, question, Ranking(ids[rows], none, None, None), snapshot)
    cosines = _best_cosines(vectors, rows, subject.vectors)
    near = np.argsort(-cosines, kind="stable")[:_CANDIDATES]
    worded = np.isin(ids[rows], snapshot.lexical(points(question.terms, statistics), _CANDIDATES, documents))
    candidates = np.union1d(near, np.flatnonzero(worded))
    words = snapshot.terms(ids[rows[candidates]])
    asked = {name: list(weights) for name, weights in question.terms.items()}
    lexical = bm25(question.terms, snapshot.occurrences(ids[rows[candidates]], asked), statistics)
    foreign = np.array([language_of(one[MORPHEMES]) for one in words]) != language_of(_words(subject.terms))
    ranking = _ranking(ids[rows[candidates]], cosines[candidates], lexical, foreign, float(np.median(cosines)))
    if not copies:
        ranking = ranking.taken(_no_copies(subject, ranking, query.k, of, ids, snapshot))
    return answer(replace(query, group=True), question, ranking, snapshot)


def _best_cosines(vectors: Vectors, rows: Ids, asked: Vectors) -> Floats:
    """Of each of the rows the highest cosine with a vector asked about, all less the mean of all vectors.

    What the mean takes off is worked out from products with it, so that the vectors are read as they lie there.
    """
    mean = vectors.mean(axis=0, dtype=np.float64)
    sides = np.vstack([unit(asked - mean.astype(np.float32)), mean.astype(np.float32)]).astype(np.float32)
    products = np.concatenate(
        [vectors[start : start + _AT_ONCE] @ sides.T for start in range(0, len(vectors), _AT_ONCE)]
    )
    products = products[rows].astype(np.float64)
    lengths = np.sqrt(np.maximum(1 - 2 * products[:, -1] + mean @ mean, _NOTHING))
    best: Floats = (products[:, :-1] - sides[:-1].astype(np.float64) @ mean).max(axis=1) / lengths
    return best


def _question(subject: Subject, snapshot: Snapshot) -> tuple[Question, Statistics]:
    """The words of the subject that tell most, as a question, and what is known of them."""
    counts = {name: Counter(_words(subject.terms, name)) for name in (MORPHEMES, BIGRAMS)}
    statistics = snapshot.statistics({name: list(found) for name, found in counts.items()})
    terms: dict[str, dict[str, float]] = {}
    for name, found in counts.items():
        known = statistics.frequencies[name]
        weights = {term: count / (count + _SATURATION) for term, count in found.items() if known[term]}
        most = sorted(weights, key=lambda term: (-weights[term] * idf(known[term], snapshot.passages), term))
        terms[name] = {term: FIELD_WEIGHTS[name] * weights[term] for term in most[:WORDS]}
    return Question(text=" ".join(terms[MORPHEMES]), terms=terms), statistics


def _ranking(ids: Ids, cosines: Floats, lexical: Floats, foreign: NDArray[np.bool_], middle: float) -> Ranking:
    """Candidates by both sides; by meaning alone where they are of another language. `middle` is what is far away."""
    dense = np.maximum(cosines - middle, 0) / max(float(cosines.max()) - middle, 1e-9)
    scores = np.where(foreign, dense, fuse(dense, max_normalise(lexical), WEIGHT))
    order = np.lexsort((ids, -scores))
    sides = Side.of(cosines, dense).taken(order), Side.of(lexical, max_normalise(lexical)).taken(order)
    return Ranking(ids[order], scores[order], *sides, confidence=np.ones(len(ids)))


def _no_copies(subject: Subject, ranking: Ranking, k: int, of: Ids, ids: Ids, snapshot: Snapshot) -> list[int]:
    """The rows of a ranking whose documents are no copies of the subject; only as many as are looked at."""
    mine = _runs(subject.terms)
    owners = snapshot.owners(ranking.ids)
    copies: dict[int, bool] = {}
    kept = []
    for row, number in enumerate(ranking.ids.tolist()):
        document = owners[number]
        if document not in copies:
            if sum(not one for one in copies.values()) > 2 * k:
                break
            others = _runs(snapshot.terms(ids[of == document]))
            shared = len(mine & others)
            copies[document] = shared >= _SAME * max(len(mine), len(others), 1)
        if not copies[document]:
            kept.append(row)
    hashes = {one.document.id for one in snapshot.stored(ranking.ids[kept]) if one.document.text_hash in subject.hashes}
    return [row for row in kept if owners[int(ranking.ids[row])] not in hashes]


def _runs(terms: Sequence[Mapping[str, Sequence[str]]]) -> frozenset[tuple[str, ...]]:
    """Three words in a row, and of a text that is shorter the words."""
    words = _words(terms)
    return frozenset(zip(words, words[1:], words[2:], strict=False)) or frozenset([tuple(words)])


def _words(terms: Sequence[Mapping[str, Sequence[str]]], field: str = MORPHEMES) -> list[str]:
    return [word for one in terms for word in one.get(field, ())]
