"""A question → ranked passages: candidates from both sides, exact scores for all of them, one convex sum.

    dense, lexical → candidates → cosine and BM25 of each → scaled to 0..1 → weight · dense + (1 - weight) · lexical

Which passages become candidates is the engines' choice. Their scores are computed here from the vectors, terms and
counts that SQLite holds, so they depend on the documents and on nothing that happened to the index. Of the first ones
a part is how close together the question stands in their texts (closeness.py), but where a model reads them again.

Of the ranked passages each is shown once, however many copies of it there are. A copy says the same in the same order,
whatever its layout: one word less, a number or a name more, and it says something else. Texts that were cut at other
places are copies where each goes on as the other does.
"""

from __future__ import annotations

import os
import re
import unicodedata
from collections.abc import Callable, Iterator, Mapping, Sequence
from copy import copy
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from kosearch.index import Snapshot, StoredDocument, StoredPassage
from kosearch.passages import context
from kosearch.records import Hit, Passage, Query, Reason, Score, Statistics
from kosearch.scoring import (
    CANDIDATES,
    FULL_MATCH,
    combine_heads,
    confidence,
    dense_weight,
    fuse,
    idf,
    max_normalise,
    min_max,
    points,
    scale_both,
)
from kosearch.searching.by_words import Floats, Matches, in_hangul, matched, with_others
from kosearch.searching.claims import AGREES, DENIES, Claims, claims
from kosearch.searching.closeness import Closeness
from kosearch.sources import ReadError, read
from kosearch.terms import MORPHEMES, Question, Wanted
from kosearch.terms.normal_forms import normal_forms

Ids = NDArray[np.int64]
Vectors = NDArray[np.float32]
Embed = Callable[[Sequence[str]], Vectors]
Rescore = Callable[[str, Sequence[str]], Vectors]
"""A question and passages as the model sees them → (n, 3): dense, sparse and multi-vector scores."""

JUDGED = 20
"""So many of the first passages are looked at for what they say to a question's claims."""
MOSTLY = 0.5
"""One is about the same as the question if it has so much of what its other words are worth."""
FAR_WORSE = 0.5
"""One that scores less than this share of the best is no better answer for saying what the question does, unless it has
all of those words."""
_HAIR = 1e-3
SHARED = 0.5
"""Passages that were cut differently are shown once where so much of the shorter one is in both."""
_LEAST = 80
"""So many characters at least: a sentence that two documents share makes no copies of them."""
_ANCHOR = 32
_MOST_COMPARED = 64 << 20
"""Bytes of a file that are read while somebody waits for an answer."""

_BETWEEN_DIGITS = re.compile(r"(?<=\d)\W+(?=\d)")
_MINUS = re.compile(r"(?<!\w)[-−](?=\d)")
_SIGNS = "$€£¥₩%‰°+<>=±×÷−?≥≤≠≈≒←↑↓☑☒✗✘"
"""What says something itself."""
_LAYOUT = re.compile(rf"(?<!\d)[^\w{_SIGNS}]+|[^\w{_SIGNS}]+(?!\d)|_+")
_BELOW_ZERO = re.compile(r"[△▲](?=\d)")
"""As accounts have it; elsewhere it is a bullet."""
_BOXES = (("□", "■"), ("○", "●"), ("☆", "★"))
"""Filled and empty ones side by side say something, as in a form; of one kind alone they are bullets."""
_DATED = re.compile(
    r"(?<!\d)(?:19|20)\d\d(?!\d)|\d+\s?(?=월|분기|반기|차(?![가-힣])|회(?![가-힣])|호(?![가-힣])|주차|학기)"
)


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
    matches: Matches | None = None
    """The lexical side before it was scaled, in the order of the candidates."""
    confidence: Floats = field(default_factory=lambda: np.zeros(0))
    """How sure each is to be an answer at all, from 0 to 1."""

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
            matches=self.matches,
            confidence=self.confidence[rows],
        )


def rank(query: Query, question: Question, vector: Vectors | None, snapshot: Snapshot) -> Ranking:
    """All candidates for a question, best first; ties by document and position."""
    documents = snapshot.find_documents(query.paths, query.kinds, query.after, query.before)
    if question.by_word:
        vector = None
    question = in_hangul(question, snapshot)
    wanted = with_others(question)
    statistics = snapshot.statistics(_listed(wanted))
    ids = _candidates(
        question, vector, statistics, snapshot, documents, lexical=query.mode != "dense" or vector is None
    )
    cosines = None if vector is None else snapshot.cosines(vector, ids).astype(np.float64)
    fits = np.full(len(ids), True)
    if cosines is not None and query.min_score is not None:
        fits &= cosines >= query.min_score
    kept = np.flatnonzero(fits)
    kept = kept[_fitting(question, ids[kept], snapshot)]
    ids, cosines = ids[kept], None if cosines is None else cosines[kept]
    if query.mode == "dense" and cosines is not None:
        return _ties_settled(_ordered(ids, cosines, None, query.weight, snapshot.passages), snapshot)
    lexical = matched(question, snapshot.occurrences(ids, _listed(wanted)), statistics)
    ranking = _ordered(ids, cosines, lexical, query.weight, snapshot.passages)
    if not query.exact:
        ranking = _by_closeness(ranking, Closeness(question.text, snapshot))
        ranking = _by_claims(ranking, question, snapshot)
    return _ties_settled(ranking, snapshot)


def _listed(wanted: Mapping[str, Mapping[str, float]]) -> dict[str, list[str]]:
    return {name: list(weights) for name, weights in wanted.items()}


def _fitting(question: Question, ids: Ids, snapshot: Snapshot) -> NDArray[np.bool_]:
    """Which passages, (n,), satisfy the question's operators."""
    if not (question.must or question.must_not or question.phrases):
        return np.full(len(ids), True)
    terms: dict[str, list[str]] = {}
    for wanted in (*question.must, *question.must_not, *question.phrases):
        for name, words in wanted.alternatives:
            terms[name] = list(dict.fromkeys((*terms.get(name, ()), *words)))
    found = snapshot.occurrences(ids, terms)

    def have(wanted: Wanted) -> NDArray[np.bool_]:
        those: NDArray[np.bool_] = np.any([found[name].have(words) for name, words in wanted.alternatives], axis=0)
        return those

    fits = np.full(len(ids), True)
    for wanted in (*question.must, *question.phrases):
        fits &= have(wanted)
    for unwanted in question.must_not:
        fits &= ~have(unwanted)
    return fits


def _by_closeness(ranking: Ranking, closeness: Closeness) -> Ranking:
    """Where both sides have a say, the first passages by how close the question's words stand in them, too."""
    if ranking.dense is None or ranking.lexical is None:
        return ranking
    return ranking.reordered(closeness.added(ranking.ids, ranking.scores))


def _by_claims(ranking: Ranking, question: Question, snapshot: Snapshot) -> Ranking:
    """Of the first passages those that deny what the question claims right behind the best that says it, if that one
    is about the same and no far worse answer; one that has all of the question takes the place of the first of them."""
    if not (claimed := claims(question.text)):
        return ranking
    firsts = ranking.ids[:JUDGED]
    said = np.array([claimed.judged(one.text) for one in snapshot.stored(firsts)], dtype=np.int64)
    scores = ranking.scores[: len(firsts)]
    agreeing, denying = np.flatnonzero(said == AGREES), np.flatnonzero(said == DENIES)
    same = _about_the_same(question, claimed, firsts[agreeing], snapshot)
    near = FAR_WORSE * scores[:1] <= scores[agreeing]
    saying = agreeing[(same > 1 - _HAIR) | ((same >= MOSTLY) & near)]
    if not len(saying) or not len(denying) or denying[0] > saying[0]:
        return ranking
    first, level = saying[0], scores[saying[0]]
    if same[agreeing == first][0] > 1 - _HAIR:
        level = scores[denying[0]]  # what is silent does not come between
    settled = ranking.scores.copy()
    settled[first] = level
    settled[denying] *= (1 - _HAIR) * level / scores[denying[0]]
    return ranking.reordered(settled)


def _about_the_same(question: Question, claimed: Claims, ids: Ids, snapshot: Snapshot) -> Floats:
    """The share, (n,), that passages have of what the words of a question are worth beside those that make its claim.

    A word may be said in another way: who comes in (들어오다) has 출입. Where the claim is who is what, whoever says so
    has named both, and has all.
    """
    asked = [word for word in question.terms[MORPHEMES] if not claimed.is_made_by(word)]
    frequencies = snapshot.statistics({MORPHEMES: asked}).frequencies[MORPHEMES]
    words = [word for word in asked if frequencies[word]]
    if claimed.parties or not words:
        return np.ones(len(ids))
    worth = np.array([idf(frequencies[word], snapshot.passages) for word in words])
    ways = {word: [(word,), *question.others.get((word,), ())] for word in words}
    parts = list(dict.fromkeys(part for each in ways.values() for way in each for part in way))
    found = snapshot.occurrences(ids, {MORPHEMES: parts})[MORPHEMES]
    has = np.array([np.any([found.have(way) for way in ways[word]], axis=0) for word in words])
    shares: Floats = has.T @ worth / worth.sum()
    return shares


class Words:
    """A question's words, gone through once, so that it can be ranked by the vectors of one model after another."""

    def __init__(self, question: Question, vector: Vectors, snapshot: Snapshot) -> None:
        """`vector` (d,) is the question's by the index's model, which settles ties among the lexical candidates."""
        self._question = question = in_hangul(question, snapshot)
        self._snapshot = snapshot
        wanted = with_others(question)
        self._wanted = _listed(wanted)
        self._statistics = snapshot.statistics(self._wanted)
        self.candidates = snapshot.lexical(
            points(wanted, self._statistics),
            CANDIDATES,
            required=_required(question),
            nearest_to=None if question.by_word else vector,
        )
        self._closeness = Closeness(question.text, snapshot)
        self._found: dict[int, tuple[float, float | None]] = {}
        self._full = FULL_MATCH

    def within(self, ids: Ids) -> Words:
        """The same question where there are no candidates but these, given ascending."""
        other = copy(self)
        other.candidates = self.candidates[np.isin(self.candidates, ids)]
        return other

    def rank(self, nearest: Ids, cosines: Callable[[Ids], Floats], weight: float) -> Ranking:
        """What `rank` gives for a hybrid query without filters, by other vectors.

        `nearest` are the dense candidates by these, and `cosines` gives what passages have with the question.
        """
        question, snapshot = self._question, self._snapshot
        ids = self.candidates if question.by_word else _union(nearest, self.candidates)
        ids = ids[_fitting(question, ids, snapshot)]
        by_meaning = None if question.by_word else cosines(ids)
        ranking = _ordered(ids, by_meaning, self._matches(ids), weight, snapshot.passages)
        ranking = _by_closeness(ranking, self._closeness)
        return _ties_settled(_by_claims(ranking, question, snapshot), snapshot)

    def _matches(self, ids: Ids) -> Matches:
        new = np.array([one for one in ids.tolist() if one not in self._found], dtype=np.int64)
        if len(new):
            passages = self._snapshot.occurrences(new, self._wanted)
            matches = matched(self._question, passages, self._statistics)
            covers = [None] * len(new) if matches.covers is None else matches.covers.tolist()
            self._found.update(zip(new.tolist(), zip(matches.scores.tolist(), covers, strict=True), strict=True))
            self._full = matches.full
        found = [self._found[one] for one in ids.tolist()]
        covers = [cover for _, cover in found if cover is not None]
        scores = np.array([score for score, _ in found], dtype=np.float64)
        return Matches(scores, np.array(covers, dtype=np.float64) if covers else None, self._full)


def _ties_settled(ranking: Ranking, snapshot: Snapshot) -> Ranking:
    """Equal scores in the order of path and position: a passage's number tells when it was indexed, not where it is."""
    equal = np.flatnonzero(np.diff(ranking.scores) == 0)
    tied = _union(equal, equal + 1)
    if not len(tied):
        return ranking
    stored = snapshot.stored(ranking.ids[tied])
    places = {
        row: (one.document.path_bytes, one.document.member, one.ordinal)
        for row, one in zip(tied.tolist(), stored, strict=True)
    }
    rows = sorted(range(len(ranking.ids)), key=lambda row: (-ranking.scores[row], places.get(row, ())))
    return ranking.taken(rows)


def _candidates(
    question: Question,
    vector: Vectors | None,
    statistics: Statistics,
    snapshot: Snapshot,
    documents: Ids | None,
    *,
    lexical: bool,
) -> Ids:
    """The union of what each side finds, ascending. What a question demands is looked for by the lexical side
    even where meaning alone decides, for else nothing that satisfies it might be among the nearest."""
    found = [np.zeros(0, np.int64)]
    if vector is not None:
        found.append(snapshot.dense(vector, CANDIDATES, documents)[0])
    required = _required(question)
    if lexical or required:
        most = points(with_others(question), statistics)
        found.append(snapshot.lexical(most, CANDIDATES, documents, required, nearest_to=vector))
    return _union(*found)


def _union(*ids: Ids) -> Ids:
    """What is in any of them, ascending: as np.unique, which imports numpy.ma, a thirtieth of a cold question."""
    return np.array(sorted({number for each in ids for number in each.tolist()}), dtype=np.int64)


def _required(question: Question) -> list[tuple[tuple[str, tuple[str, ...]], ...]]:
    """What a candidate must have, the alternatives of each thing."""
    return [wanted.alternatives for wanted in (*question.must, *question.phrases)]


def _ordered(
    ids: Ids,
    cosines: Floats | None,
    matches: Matches | None,
    weight: float,
    passages: int,
) -> Ranking:
    """Candidates by their fused score. A passage that shares no word with the question is a lexical miss, and
    where the question has no word that the index knows, meaning decides alone."""
    told = None if matches is None else matches.covers if matches.tells is None else matches.tells
    sure = confidence(cosines, told)
    if matches is not None and cosines is not None and not matches.scores.any():
        matches = None
    bm25s = None if matches is None else matches.scores
    sides: tuple[Floats | None, Floats | None]
    if cosines is not None and matches is not None:
        sides = dense_scaled, lexical_scaled = scale_both(cosines, matches.scores, passages, matches.full)
        scores = fuse(dense_scaled, lexical_scaled, dense_weight(weight, matches.covered))
    else:
        sides = None if cosines is None else min_max(cosines), None if bm25s is None else max_normalise(bm25s)
        scores = next((side for side in sides if side is not None), np.zeros(len(ids)))
    rows = np.flatnonzero(bm25s > 0) if cosines is None and bm25s is not None else np.arange(len(ids))
    order = rows[np.lexsort((ids[rows], -scores[rows]))]
    dense, lexical = (
        None if raw is None or scaled is None else Side.of(raw, scaled).taken(order)
        for raw, scaled in zip((cosines, bm25s), sides, strict=True)
    )
    return Ranking(ids[order], scores[order], dense, lexical, matches=matches, confidence=sure[order])


def rerank(query: Query, question: Question, ranking: Ranking, snapshot: Snapshot, rescore: Rescore) -> Ranking:
    """The best `query.rerank` passages by the model's combined score in the cosine's place; the others follow them."""
    again = snapshot.stored(ranking.ids[: query.rerank])
    if not again:
        return ranking
    texts = [context(one.document.title, one.passage, one.text) + one.text for one in again]
    scores = rescore(question.text, texts).astype(np.float64)
    model = combine_heads(scores)
    if ranking.lexical and ranking.matches:
        bm25s, matches = ranking.lexical.values[: len(again)], ranking.matches
        sides = scale_both(model, bm25s, snapshot.passages, matches.full)
        fused = fuse(*sides, dense_weight(query.weight, matches.covered))
    else:
        fused = min_max(model)
    order = np.argsort(-fused, kind="stable")
    behind = ranking.scores[len(again) :] * fused.min()
    sparse, multi_vector = (Side.of(column, min_max(column)).taken(order) for column in scores.T[1:])
    return replace(ranking.reordered([*fused, *behind]), sparse=sparse, multi_vector=multi_vector)


@dataclass(slots=True)
class Chosen:
    """A passage that will be shown, and what was left out for its sake."""

    row: int
    stored: StoredPassage
    words: str
    """What it says, without layout."""
    copies: list[tuple[int, StoredPassage]] = field(default_factory=list)
    more: int = 0

    @property
    def also(self) -> list[str]:
        """The paths of the other documents that say the same."""
        own = _file(self.stored.document)  # may stand in another of several indexes, too
        return [stored.document.path for _, stored in self.copies if _file(stored.document) != own]

    def show_living(self) -> None:
        """Show a copy whose file is there instead of one whose file is gone."""
        if self.copies and _is_gone(self.stored.document):
            living = (one for one in self.copies if not _is_gone(one[1].document))
            if (found := next(living, None)) is not None:
                self.copies[self.copies.index(found)] = (self.row, self.stored)
                self.row, self.stored = found


def chosen_passages(query: Query, ranking: Ranking, snapshot: Snapshot) -> list[Chosen]:
    """The k best passages, each once however many copies it has; with grouping, one a document."""
    chosen: list[Chosen] = []
    for row, stored in _in_turn(ranking, snapshot):
        words = without_layout(stored.text)
        copied = next((one for one in chosen if _is_copy(one, stored, words)), None)
        document = next((one for one in chosen if _file(one.stored.document) == _file(stored.document)), None)
        if copied is not None and copied is not document:
            copied.copies.append((row, stored))
        elif document is not None and (query.group or copied is document):
            document.more += query.group and document.stored.document.id == stored.document.id
        elif len(chosen) < query.k:
            chosen.append(Chosen(row, stored, words))
        elif not query.group:
            break
    for one in chosen:
        one.show_living()
    return chosen


def _in_turn(ranking: Ranking, snapshot: Snapshot, step: int = 20) -> Iterator[tuple[int, StoredPassage]]:
    for start in range(0, len(ranking.ids), step):
        for place, stored in enumerate(snapshot.stored(ranking.ids[start : start + step])):
            yield start + place, stored


def without_layout(text: str) -> str:
    """What a text says: letters, digits and signs in their order, without spaces, line ends, bullets and most marks."""
    text = _BELOW_ZERO.sub("−", unicodedata.normalize("NFKC", text).casefold())
    for empty, filled in _BOXES:
        if empty in text and filled in text:
            text = text.replace(filled, "☑").replace(empty, "☒")
    text = _BETWEEN_DIGITS.sub(lambda found: "".join(found.group().split()) or "·", text)
    return _LAYOUT.sub("", _MINUS.sub("−", text))


def same_text(first: str, second: str) -> bool:
    """Whether two texts without layout are one, or were cut from one text at different places."""
    if first == second:
        return True
    short, long = sorted((first, second), key=len)
    least = max(_LEAST, SHARED * len(short))
    if len(short) < least:
        return False
    if short in long:
        return True
    return _goes_on(first, second, least) or _goes_on(second, first, least)


def _goes_on(first: str, second: str, least: float) -> bool:
    """Whether an end of `first`, `least` long or longer, is the beginning of `second`."""
    place = first.find(second[:_ANCHOR])
    while 0 <= place <= len(first) - least:
        if second.startswith(first[place:]):
            return True
        place = first.find(second[:_ANCHOR], place + 1)
    return False


def _is_copy(one: Chosen, stored: StoredPassage, words: str) -> bool:
    passages = (one.stored.passage, stored.passage)
    return are_copies((one.words, words), (one.stored.document, stored.document), passages)


def are_copies(
    words: tuple[str, str],
    documents: tuple[StoredDocument | Hit, StoredDocument | Hit],
    passages: tuple[Passage, Passage],
) -> bool:
    """Whether two passages, given what they say `without_layout`, need not both be shown."""
    if not same_text(*words):
        return False
    mine, other = map(_dated, documents)
    if mine and other and mine != other:
        return False  # two years' forms, two months' minutes
    headings = [passage.headings for passage in passages]
    return len(words[1]) >= _LEAST or not all(headings) or headings[0][-1] == headings[1][-1]


def _file(document: StoredDocument) -> tuple[bytes, str, str]:
    """What a document is, whichever index it stands in."""
    return document.path_bytes, document.member, document.source


def _dated(document: StoredDocument | Hit) -> frozenset[str]:
    """The dates and numbers by which a document's name or title tells it from its like."""
    names = f"{os.path.basename(document.member or document.path)}\n{document.title}"
    forms = (form for form in normal_forms(names) if form.startswith("d"))
    return frozenset((*forms, *(found.strip() for found in _DATED.findall(names))))


def file_state(document: StoredDocument, snapshot: Snapshot) -> str:
    """current, changed, gone or elsewhere: the file as it is now, against the file that was indexed.

    Size and time show most changes. Where they are the same and inode or time of change are not, as after a restored
    backup or where somebody hides a change, the bytes are read; a file too large for that is called changed.
    """
    if document.source:
        return "elsewhere"
    try:
        now = os.stat(document.path_bytes)
    except (OSError, ValueError):  # the second of a name that no file can have
        return "gone"
    # An earlier version stored no time of a file that was read right after it was written.
    if now.st_size != document.size or document.mtime_ns not in (-1, now.st_mtime_ns):
        return "changed"
    known = snapshot.file_of(document.id)
    if known is None or not known.hash or (known.size, known.mtime_ns) != (document.size, document.mtime_ns):
        return "current"  # nothing else is known of the content that the document was made from
    if known.reason is not None:
        return "changed"  # the document is of an earlier content
    if (known.ctime_ns, known.inode) == (now.st_ctime_ns, now.st_ino):
        return "current"
    try:
        return "current" if read(document.path_bytes, _MOST_COMPARED).sha256 == known.hash else "changed"
    except ReadError as error:
        return "gone" if error.reason is Reason.VANISHED else "changed"


def _is_gone(document: StoredDocument) -> bool:
    return not document.source and not os.path.exists(document.path_bytes)
