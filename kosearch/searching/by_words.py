"""What passages have by words: BM25 of a question's terms, in other words and other letters too, and by their names.

    question, where its terms stand in passages, counts → a score each, and how much of the question it covers

Nothing here knows of meaning, nor of the other candidates: a passage's figures are its own.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from kosearch.index import Snapshot
from kosearch.records import Statistics
from kosearch.scoring import (
    FULL_MATCH,
    K1,
    NAMING,
    NEIGHBOURS,
    Occurrences,
    as_of_more,
    bm25,
    full_match,
    idf,
    proximity,
)
from kosearch.terms import CONTEXT, FORMS, MORPHEMES, NAME_TERMS, Question, is_of_name
from kosearch.terms.dictionaries import NEAR, SAME
from kosearch.terms.loanwords import spellings
from kosearch.terms.scripts import is_hanja

Floats = NDArray[np.float64]

BESIDE = 0.5
"""What the same word in other letters counts in passages without the question's, where others have that; a word that is
only near counts for nothing there: meaning finds it."""
NAMED = K1 + 1 + NEIGHBOURS
"""What a file whose name has all of the question's words gets, as a share of what the question is worth: the most that
a text can get which has its words over and over and side by side. Who asks for what a file is called wants that file,
and not another that speaks of it."""


@dataclass(frozen=True, slots=True)
class Matches:
    """What a question's words found among the candidates, scores (n,), and how much that is to be trusted."""

    scores: Floats
    covers: Floats | None
    """Each candidate's BM25 of morphemes as a share of what all the question's are worth; None where it has none."""
    full: float = FULL_MATCH
    """How many words weigh as much as a perfect cosine."""
    tells: Floats | None = None
    """The same as `covers` where that tells nothing, (n,): by the counts of more passages than this index has."""

    @property
    def covered(self) -> float:
        """How much of the question the best candidate covers."""
        return 1.0 if self.covers is None else float(self.covers.max(initial=0.0))


def in_hangul(question: Question, snapshot: Snapshot) -> Question:
    """The question with the Hangul that passages may have for its words of Latin letters, where none has those."""
    known = {part for asked in question.others for part in asked}
    stems = [stem for stem in question.latin if stem not in known]
    if not stems:
        return question
    counts = snapshot.statistics({MORPHEMES: stems, CONTEXT: stems}).frequencies
    tried = {
        stem: spellings(question.latin[stem].lower())
        for stem in stems
        if not counts[MORPHEMES][stem] and not counts[CONTEXT][stem]
    }
    if not tried:
        return question
    found = snapshot.statistics({MORPHEMES: [one for each in tried.values() for one in each]}).frequencies[MORPHEMES]
    first = {stem: next(filter(found.__getitem__, each), "") for stem, each in tried.items()}
    others: dict[tuple[str, ...], Mapping[tuple[str, ...], float]] = {
        (stem,): {(hangul,): NEAR} for stem, hangul in first.items() if hangul
    }
    return replace(question, others={**question.others, **others})


def with_others(question: Question) -> Mapping[str, Mapping[str, float]]:
    """A question's terms, and those of what else might be said for them, which are worth so much less."""
    words = dict(question.terms[MORPHEMES])
    for others in question.others.values():
        for other, weight in others.items():
            for part in other:
                words.setdefault(part, BESIDE * weight / len(other))
    forms = dict(question.terms.get(FORMS, {}))
    for same, written in question.written.items():  # a passage with one of these has them all, whatever it writes
        forms |= {form: forms.get(form, 0.0) + sum(words.get(word, 0.0) for word in written) for form in same}
    names = {term: BESIDE * NAME_TERMS for each in question.called for way in each for term in way}
    return {**question.terms, MORPHEMES: words, FORMS: forms, CONTEXT: names | dict(question.terms.get(CONTEXT, {}))}


def matched(question: Question, passages: Mapping[str, Occurrences], statistics: Statistics) -> Matches:
    """BM25, and more where words that are neighbours in the question are neighbours in the passage.

    `passages` is field → where the terms `with_others` stand.
    """
    asked = question.terms[MORPHEMES]
    words, frequencies = list(asked), statistics.frequencies[MORPHEMES]
    idfs = {word: idf(frequencies[word], statistics.passages) for word in words}
    rest = {name: weights for name, weights in question.terms.items() if name != MORPHEMES}
    found = _by_words(question, passages, statistics)
    others = bm25(rest, passages, statistics) + NEIGHBOURS * proximity(words, passages[MORPHEMES], idfs)
    above, forms = statistics.frequencies[CONTEXT], statistics.frequencies[FORMS]
    called = _called(question, passages[CONTEXT], above)
    pairs = (above[term] for term in question.terms[CONTEXT] if is_of_name(term) and not term.isascii())
    named = called.any() or any(0 < count <= NAMING for count in (*forms.values(), *pairs))
    covers, tells = _covers(question, passages, statistics, found, called), None
    more = as_of_more(statistics)
    if more is not statistics:
        tells = _covers(question, passages, more, _by_words(question, passages, more), called)
    whole = sum(weight * idfs[word] for word, weight in asked.items())
    return Matches(
        found + NAMED * whole * called + others,
        covers,
        full_match(
            [_frequency(word, question, statistics) for word in words if not is_hanja(word)],
            alone=question.alone,
            named=bool(named),
        ),
        tells,
    )


def _covers(
    question: Question, passages: Mapping[str, Occurrences], statistics: Statistics, found: Floats, called: Floats
) -> Floats | None:
    """What passages have by words, `found`, as a share of what all of the question's are worth; None where it has none.

    A file's name covers a question as well, by all of it or by a word that hardly another name or heading has.
    """
    asked, frequencies = question.terms[MORPHEMES], statistics.frequencies
    worth = {word: weight * idf(frequencies[MORPHEMES][word], statistics.passages) for word, weight in asked.items()}
    whole = sum(worth.values())
    if not whole:
        return None
    in_forms = bm25({FORMS: question.terms.get(FORMS, {})}, passages, statistics)
    covers: Floats = np.minimum((found + in_forms) / whole, 1.0)  # 3만원 is covered by 30,000원
    covers = np.maximum(covers, called)
    above = frequencies[CONTEXT]
    in_name = {term: weight for term, weight in question.terms[CONTEXT].items() if is_of_name(term)}
    rare = {word: weight for word, weight in asked.items() if 0 < above.get(word, 0) <= NAMING}
    part = sum(worth[word] for word in rare) / whole
    for weights, share in ((in_name, 1.0), (rare, part)):
        if any(map(above.get, weights)):
            most = sum(weight * idf(above[term], statistics.passages) for term, weight in weights.items())
            covers = np.maximum(covers, share * bm25({CONTEXT: weights}, passages, statistics) / most)
    return covers


def _by_words(question: Question, passages: Mapping[str, Occurrences], statistics: Statistics) -> Floats:
    """BM25 of the question's words, (n,), however a passage writes them."""
    found = bm25({MORPHEMES: question.terms[MORPHEMES]}, passages, statistics)
    return found + _by_others(question, passages[MORPHEMES], statistics) + _by_forms(question, passages, statistics)


def _by_others(question: Question, words: Occurrences, statistics: Statistics) -> Floats:
    """What passages get, shape (n,), that have other words for the question's, and not the question's own."""
    frequencies, found = statistics.frequencies[MORPHEMES], np.zeros(len(words.lengths))
    for asked, others in question.others.items():
        most = sum(idf(frequencies[part], statistics.passages) for part in asked)
        # Where no passage has the word, there is none that another word for it could outrank.
        stands = all(frequencies[part] or statistics.frequencies[CONTEXT].get(part) for part in asked)
        worth = {
            other: (BESIDE if stands else 1.0)
            * weight
            * min(most, sum(idf(frequencies[part], statistics.passages) for part in other))
            for other, weight in others.items()
            if all(frequencies[part] for part in other) and (weight == SAME or not stands)
        }
        if worth:
            best = np.max([value * words.have(other) for other, value in worth.items()], axis=0)
            found += np.where(words.have(asked), 0.0, best)
    return found


def _by_forms(question: Question, passages: Mapping[str, Occurrences], statistics: Statistics) -> Floats:
    """What passages get, shape (n,), that write a date or an amount in another way, for the words that write it here.

    What has the form has those words: it gets those that it lacks, as if they stood there side by side.
    """
    words, frequencies = passages[MORPHEMES], statistics.frequencies[MORPHEMES]
    asked, found = question.terms[MORPHEMES], np.zeros(len(words.lengths))
    for forms, all_written in question.written.items():
        written = [word for word in all_written if word in asked]  # 3rd of May: not `of`
        weights = {word: asked[word] for word in sorted(written)}
        if not weights or not any(statistics.frequencies[FORMS].get(form) for form in forms):
            continue
        idfs = {word: idf(frequencies[word], statistics.passages) for word in weights}
        whole = sum((idfs[word] + idfs[after]) / 2 for word, after in pairwise(written))
        lacks = words.counted(weights) == 0
        instead = (lacks * [weights[word] * idfs[word] for word in weights]).sum(axis=1)
        instead += NEIGHBOURS * (whole - proximity(written, words, idfs))
        has_form = passages[FORMS].counted(forms).any(axis=1)
        found += np.where(lacks.any(axis=1) & has_form, instead, 0.0)
    return found


def _called(question: Question, names: Occurrences, above: Mapping[str, int]) -> Floats:
    """Whether a passage's file is called as the question, (n,): 1 where its name has all of the words as they were
    typed, less where it has others for some, and 0 where it has not all."""
    known = [{way: worth for way, worth in each.items() if all(map(above.get, way))} for each in question.called]
    if not known or not all(known):
        return np.zeros(len(names.lengths))
    words = np.array(
        [np.max([worth * names.counted(way).all(axis=1) for way, worth in each.items()], axis=0) for each in known]
    )
    found: Floats = np.where((words > 0).all(axis=0), words.sum(axis=0) / len(known), 0.0)
    return found


def _frequency(word: str, question: Question, statistics: Statistics) -> int:
    """In how many passages a word stands, or else above how many, or the first of its others that stands in any."""
    frequencies, above = statistics.frequencies[MORPHEMES], statistics.frequencies[CONTEXT]
    others = (other for asked, others in question.others.items() if word in asked for other in others)
    counts = (min(map(frequencies.__getitem__, other)) for other in others)
    return frequencies[word] or above.get(word, 0) or next(filter(None, counts), 0)
