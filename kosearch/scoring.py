"""Scores as plain functions: BM25 from exact counts, words side by side, scaling to 0..1, a convex sum of sides."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from itertools import pairwise
from math import floor, log, log2

import numpy as np
from numpy.typing import NDArray

from kosearch.records import Statistics

K1 = 0.3
B = 0.5
"""Far less than the customary 1.2 and .75: beside vectors, that a word of the question stands in a passage counts, and
how often hardly (the vectors know what a passage is about). Measured on five collections, Korean and English; K1 from
.2 to .5 and B from .4 to .75 do as well."""
RARITY = 1.25
"""The power of idf, 1 being the custom: rare words count for a little more. 1.25 to 1.5 do as well."""
UNMEASURED = frozenset(("forms",))
"""Fields in which a passage's length says nothing: most passages have no term there."""
NEIGHBOURS = 0.6
"""What two neighbouring words of the question add where they are neighbours in the passage too, as a share of the
idf of one; .4 to .8 do as well."""
REACH = 2
"""Neighbours in a passage are so many terms apart at most: an adverb or a unit may stand between them."""
FULL_MATCH = 8.5
"""So many words, each in one passage only and found there once, weigh as much as a perfect cosine; 8 to 10 do as
well."""
NAMING = 2
"""A question names something where it is one word, or has a word that so many passages have at most: a number, a code,
a name. Its words are what is looked for, however few they are."""
NAMED_MATCH = 1.5
"""Then so many words for each of the question's weigh as much as a perfect cosine, and never more than `FULL_MATCH`.
The same for every short question loses: it makes msmarco_ko's Recall@1 .006 worse."""
ALONE_MATCH = 1.0
"""The same for a question of one word: there is nothing else in it that meaning could add to."""
COVERED, LIFT, MOST_LIFT = 0.6, 0.8, 0.4
"""Meaning weighs `LIFT` more for each share of the question by which the words of the best candidate fall short of
`COVERED`, up to `MOST_LIFT`."""

FEW = 20
"""Among fewer passages than these the lowest cosine is not that of unrelated texts, and tells nothing; nor does it tell
that a word is rare or in all of them."""
_BY_BOTH, _BY_MEANING, _BY_WORDS = (21.0, 8.0, -13.0), (26.0, 0.0, -11.0), (0.0, 10.0, -4.7)
"""Logits of a right first hit against the first hit of a question without an answer: of how far its cosine stands above
the lowest, of how much of the question it covers, and a constant. `python -m tests.benchmarks confidence` says
how well they part the two."""

HEADS = (1.0, 0.3, 1.0)
"""What BGE-M3's dense, sparse and multi-vector scores count: Chen et al. 2024, "M3-Embedding", section 4.2."""

CANDIDATES = 200
"""Passages that each side brings in; see `points`."""
_MOST_POINTS = 1 << 24
"""Float32 holds whole numbers up to here: below, no order of a sum shows in it."""

Floats = NDArray[np.float64]
Ids = NDArray[np.int64]
Weights = Mapping[str, Mapping[str, float]]
"""Field → term → what the term is worth, as a factor."""

RRF = 60
"""Cormack, Clarke and Büttcher 2009, "Reciprocal Rank Fusion Outperforms Condorcet and Individual Rank Learning"."""


@dataclass(frozen=True, slots=True)
class Occurrences:
    """Where some terms stand in one field of n passages: arrays instead of strings, for hundreds of passages at once.

    `rows`, `places` and `which` (m,) are of one occurrence each, by row and then place: the passage's row, the place
    among its terms, and the term, as a column. No row's figures depend on another row, to the last bit.
    """

    columns: Mapping[str, int]
    """Term → its number from 0, for all that were asked for."""
    lengths: Ids
    """How many terms each passage has in the field, (n,)."""
    rows: Ids
    places: Ids
    which: Ids
    counts: Ids
    """How often each passage has each term, (n, terms)."""

    @classmethod
    def of(cls, terms: Sequence[str], lengths: Ids, rows: Ids, places: Ids, which: Ids) -> Occurrences:
        """These, counted."""
        shape = len(lengths), len(terms)
        counts = np.bincount(rows * shape[1] + which, minlength=shape[0] * shape[1]).reshape(shape)
        return cls({term: column for column, term in enumerate(terms)}, lengths, rows, places, which, counts)

    def counted(self, terms: Iterable[str]) -> Ids:
        """How often each passage has each of these, (n, terms): they were asked for."""
        # Not [:, columns]: its rows would lie apart, and a sum over them be another by a bit.
        return np.take(self.counts, [self.columns[term] for term in terms], axis=1)

    def have(self, expression: Sequence[str]) -> NDArray[np.bool_]:
        """Which passages, (n,), have these terms side by side."""
        if len(expression) == 1:
            return self.counts[:, self.columns[expression[0]]] > 0
        first, *others = (self.columns[term] for term in expression)
        begins = np.flatnonzero(self.which == first)
        for step, column in enumerate(others, 1):
            begins = begins[begins + step < len(self.which)]
            after = begins + step
            follows = (self.rows[after] == self.rows[begins]) & (self.places[after] == self.places[begins] + step)
            begins = begins[follows & (self.which[after] == column)]
        found = np.zeros(len(self.lengths), dtype=bool)
        found[self.rows[begins]] = True
        return found


def bm25(question: Weights, passages: Mapping[str, Occurrences], statistics: Statistics) -> Floats:
    """Passages' scores, (n,): 0 where one shares no term with the question.

    `passages` is field → where its terms stand. Each field is scored by itself (Robertson and Zaragoza 2009, "The
    Probabilistic Relevance Framework: BM25 and Beyond", eq. 3.15) and the fields' scores are added up.
    """
    found = (_of_field(name, weights, passages[name], statistics) for name, weights in question.items())
    return sum(found, np.zeros(len(next(iter(passages.values())).lengths)))


def _of_field(name: str, weights: Mapping[str, float], found: Occurrences, statistics: Statistics) -> Floats:
    if not weights or not len(found.rows):
        return np.zeros(len(found.lengths))
    frequencies, counts = statistics.frequencies[name], found.counted(weights)
    gains = [weight * idf(frequencies[term], statistics.passages) * (K1 + 1) for term, weight in weights.items()]
    damping = np.full(len(counts), K1)
    if name not in UNMEASURED:
        mean_length = statistics.totals[name] / statistics.passages
        damping = K1 * (1 - B + B * found.lengths / mean_length)
    scores: Floats = (counts / (counts + damping[:, None]) * gains).sum(axis=1)
    return scores


def plain_idf(document_frequency: int, passages: int) -> float:
    """How much it says that a passage has a term, as Lucene computes it: log(1 + (N - n + ½) / (n + ½)), above 0."""
    return log(1 + (passages - document_frequency + 0.5) / (document_frequency + 0.5))


@lru_cache(maxsize=4096)  # asked for over and over
def idf(document_frequency: int, passages: int) -> float:
    """Lucene's idf to the power `RARITY`, in units that leave a word of one passage only what Lucene gives it."""
    most = max_idf(passages)
    return float(most * (plain_idf(document_frequency, passages) / most) ** RARITY)


def max_idf(passages: int) -> float:
    """The idf of a word that one passage has. Where there are no passages, none has it: idf is above 0 up to n = N."""
    return plain_idf(min(1, passages), passages)


def as_of_more(statistics: Statistics) -> Statistics:
    """The counts by which it is told how much of a question a passage covers: those of `FEW` passages at least.

    In an index of one passage all of its words stand in every passage, and a word of the question that it lacks would
    be worth seven of those that it has.
    """
    if statistics.passages >= FEW or not statistics.passages:
        return statistics
    totals = {name: total * FEW // statistics.passages for name, total in statistics.totals.items()}
    return replace(statistics, passages=FEW, totals=totals)


def points(question: Weights, statistics: Statistics) -> dict[str, dict[str, int]]:
    """Field → term → what having the term counts when a question's candidates are chosen, a whole number above 0.

    The rule, for whatever engine finds them: the lexical candidates are the `CANDIDATES` passages with the most
    points, those of each term that the passage has in that field, once; the dense ones are those with the highest
    cosines, rounded to float32. Of equal lexical ones the nearest come first where the question has a vector, and of
    equal ones of either kind those that come first by the bytes of their documents' paths, by member and position.
    A term's points are its weight times its idf, in units that keep the sum of all exact in float32; a term that
    no passage has has none.
    """
    exact = {
        name: {
            term: weight * idf(count, statistics.passages)
            for term, weight in weights.items()
            if weight > 0 and (count := statistics.frequencies[name][term])
        }
        for name, weights in question.items()
    }
    most = sum(value for values in exact.values() for value in values.values())
    unit = 2.0 ** min(10, floor(log2(_MOST_POINTS / 2 / most))) if most else 1.0
    return {
        name: {term: max(1, round(value * unit)) for term, value in values.items()} for name, values in exact.items()
    }


def proximity(words: Sequence[str], passages: Occurrences, idfs: Mapping[str, float]) -> Floats:
    """What neighbouring words of a question add where passages, (n,), have them at most `REACH` apart, in either order.

    `words` are the question's, each once and in its order, and were asked for; `idfs` are those of the words. Each pair
    counts once, for the mean of its two words' idf. Metzler and Croft 2005, "A Markov Random
    Field Model for Term Dependencies": its sequential dependence, with the parts' idf in place of the pair's
    own counts, which nobody keeps.
    """
    near = np.zeros((len(passages.lengths), max(len(words) - 1, 0)), dtype=bool)
    ranks = np.full(len(passages.columns), -1)
    ranks[[passages.columns[word] for word in words]] = np.arange(len(words))
    asked = np.flatnonzero(ranks[passages.which] >= 0)
    rows, places, met = passages.rows[asked], passages.places[asked], ranks[passages.which[asked]]
    for step in range(1, REACH + 1):  # each place has one term: a neighbour within reach is one of the next so many
        close = (rows[step:] == rows[:-step]) & (places[step:] - places[:-step] <= REACH)
        pairs = np.flatnonzero(close & (np.abs(met[step:] - met[:-step]) == 1))
        near[rows[pairs], np.minimum(met[pairs], met[pairs + step])] = True
    worth = [(idfs[word] + idfs[after]) / 2 for word, after in pairwise(words)]
    added: Floats = (near * worth).sum(axis=1)
    return added


def min_max(scores: Floats) -> Floats:
    """Scores of shape (n,) brought to 0..1 between the lowest and the highest; all equal scale to 1."""
    if not len(scores) or scores.min() == scores.max():
        return np.ones_like(scores)
    scaled: Floats = (scores - scores.min()) / (scores.max() - scores.min())
    return scaled


def max_normalise(scores: Floats) -> Floats:
    """Scores from 0 up, shape (n,), as shares of the highest. Nothing in them depends on what else was found."""
    return scores / (scores.max(initial=0.0) or 1.0)


def full_match(frequencies: Sequence[int], *, alone: bool = False, named: bool = False) -> float:
    """How many words weigh as much as a perfect cosine, for a question whose words stand in so many passages each.

    `alone` says that it was written as one word, whatever parts that has, and `named` that it names something else
    than by a word: a date, a file.
    """
    found = [count for count in frequencies if count]
    if alone:
        return min(FULL_MATCH, ALONE_MATCH * max(len(frequencies), 1))
    if named or len(frequencies) == 1 or (found and min(found) <= NAMING):
        return min(FULL_MATCH, NAMED_MATCH * max(len(frequencies), 1))
    return FULL_MATCH


def dense_weight(weight: float, covered: float) -> float:
    """The share of meaning, `weight` where the best candidate has the question's words, and more where it has few.

    `covered` is that candidate's BM25 as a share of what all of the question's words are worth. Who asks for one side
    alone, by a weight of 0 or 1, has it.
    """
    lift = min(max(LIFT * (COVERED - covered), 0.0), MOST_LIFT)
    return min(weight + 4 * weight * (1 - weight) * lift, 1.0)


def confidence(cosines: Floats | None, covered: Floats | None) -> Floats:
    """How sure each candidate is to be an answer at all, shape (n,), from 0 to 1, by what each side gives, (n,) each.

    `covered` is a passage's BM25 of morphemes as a share of what all of the question's are worth, None where the
    question has none or only meaning was asked for; `cosines` None where only words were. A score is relative to the
    other candidates' and so has a best even where the index holds no answer: this has not.
    """
    given = next((side for side in (cosines, covered) if side is not None), np.zeros(0))
    spread, share_found = np.zeros(len(given)), np.zeros(len(given))
    far = _BY_WORDS
    if covered is not None:
        share_found = np.minimum(covered, 1.0)
    if cosines is not None and (covered is None or len(cosines) >= FEW):
        far = _BY_MEANING if covered is None else _BY_BOTH
        spread = (cosines - cosines.min(initial=1.0)) / max(1.0 - cosines.min(initial=1.0), 1e-9)
    logits = far[0] * spread + far[1] * share_found + far[2]
    sure: Floats = 1 / (1 + np.exp(-logits))
    return sure


def scale_both(cosines: Floats, lexical: Floats, passages: int, full: float = FULL_MATCH) -> tuple[Floats, Floats]:
    """Both sides' scores of the same candidates, shape (n,) each, brought to 0..1 by measures of their own.

    `passages` is how many the index has, and `full` the question's `full_match`. Neither side is measured by its best
    candidate, for then a weak best match would count as much as a strong one. A cosine is measured from the
    candidates' lowest, which is about what unrelated texts have with this model, to 1, a perfect match; the lexical
    score, which tells how much of the question was found, from 0 to `full`. Then both are divided by one number, so
    that the best of either reaches 1.
    Against scaling each side by its own spread (Bruch, Gai and Ingber 2023) this gave better figures on all five
    collections, and with a model, too, whose cosines spread five times as wide as the bundled one's.
    """
    dense, found = min_max(cosines), lexical / (full * max_idf(passages))
    if len(cosines) and np.ptp(cosines):
        dense = dense * (np.ptp(cosines) / max(1.0 - cosines.min(), np.ptp(cosines)))
    best = max(dense.max(initial=0.0), found.max(initial=0.0)) or 1.0
    return dense / best, found / best


def fuse(dense: Floats, lexical: Floats, weight: float) -> Floats:
    """The convex sum of scaled scores, shape (n,): `weight` is dense's share.

    Bruch, Gai and Ingber 2023, "An Analysis of Fusion Functions for Hybrid Retrieval".
    """
    return weight * dense + (1 - weight) * lexical


def combine_heads(scores: Floats) -> Floats:
    """BGE-M3's dense, sparse and multi-vector scores, shape (n, 3), as one each, shape (n,): their mean by `HEADS`."""
    combined: Floats = scores @ np.array(HEADS) / sum(HEADS)
    return combined
