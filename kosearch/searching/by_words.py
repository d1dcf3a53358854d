"""What passages have by words: BM25 of a question's terms, in other words and other letters too, and by their names.

    question, terms of passages, counts → a score each, and how much of the question it covers

Nothing here knows of meaning, nor of the other candidates: a passage's figures are its own.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from kosearch.index import Snapshot
from kosearch.records import Statistics
from kosearch.scoring import (
    FULL_MATCH,
    K1,
    NAMING,
    NEIGHBOURS,
    as_of_more,
    bm25_by,
    full_match,
    idf,
    proximity,
)
from kosearch.terms import CONTEXT, FORMS, MORPHEMES, NAME_TERMS, Question, is_of_name
from kosearch.terms.dictionaries import NEAR, SAME
from kosearch.terms.loanwords import spellings
from kosearch.terms.scripts import is_hanja

Floats = NDArray[np.float64]
Terms = Mapping[str, Sequence[str]]

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


def matched(question: Question, terms: Sequence[Terms], statistics: Statistics) -> Matches:
    """BM25, and more where words that are neighbours in the question are neighbours in the passage."""
    asked = question.terms[MORPHEMES]
    words, frequencies = list(asked), statistics.frequencies[MORPHEMES]
    idfs = {word: idf(frequencies[word], statistics.passages) for word in words}
    rest = {name: weights for name, weights in question.terms.items() if name != MORPHEMES}
    found = _by_words(question, terms, statistics)
    of_rest = bm25_by(rest, statistics)
    others = [of_rest(one) + NEIGHBOURS * proximity(words, one[MORPHEMES], idfs) for one in terms]
    above, forms = statistics.frequencies[CONTEXT], statistics.frequencies[FORMS]
    called = _called(question, terms, above)
    pairs = (above[term] for term in question.terms[CONTEXT] if is_of_name(term) and not term.isascii())
    named = called.any() or any(0 < count <= NAMING for count in (*forms.values(), *pairs))
    covers, tells = _covers(question, terms, statistics, found, called), None
    more = as_of_more(statistics)
    if more is not statistics:
        tells = _covers(question, terms, more, _by_words(question, terms, more), called)
    whole = sum(weight * idfs[word] for word, weight in asked.items())
    return Matches(
        found + NAMED * whole * called + np.array(others, dtype=np.float64),
        covers,
        full_match(
            [_frequency(word, question, statistics) for word in words if not is_hanja(word)],
            alone=question.alone,
            named=bool(named),
        ),
        tells,
    )


def _covers(
    question: Question, terms: Sequence[Terms], statistics: Statistics, found: Floats, called: Floats
) -> Floats | None:
    """What passages have by words, `found`, as a share of what all of the question's are worth; None where it has none.

    A file's name covers a question as well, by all of it or by a word that hardly another name or heading has.
    """
    asked, frequencies = question.terms[MORPHEMES], statistics.frequencies
    worth = {word: weight * idf(frequencies[MORPHEMES][word], statistics.passages) for word, weight in asked.items()}
    whole = sum(worth.values())
    if not whole:
        return None
    in_forms = np.array(list(map(bm25_by({FORMS: question.terms.get(FORMS, {})}, statistics), terms)), dtype=np.float64)
    covers: Floats = np.minimum((found + in_forms) / whole, 1.0)  # 3만원 is covered by 30,000원
    covers = np.maximum(covers, called)
    above = frequencies[CONTEXT]
    in_name = {term: weight for term, weight in question.terms[CONTEXT].items() if is_of_name(term)}
    rare = {word: weight for word, weight in asked.items() if 0 < above.get(word, 0) <= NAMING}
    part = sum(worth[word] for word in rare) / whole
    for weights, share in ((in_name, 1.0), (rare, part)):
        if any(map(above.get, weights)):
            most = sum(weight * idf(above[term], statistics.passages) for term, weight in weights.items())
            names = np.array(list(map(bm25_by({CONTEXT: weights}, statistics), terms)), dtype=np.float64)
            covers = np.maximum(covers, share * names / most)
    return covers


def _by_words(question: Question, terms: Sequence[Terms], statistics: Statistics) -> Floats:
    """BM25 of the question's words, (n,), however a passage writes them."""
    asked = {MORPHEMES: question.terms[MORPHEMES]}
    found = np.array(list(map(bm25_by(asked, statistics), terms)), dtype=np.float64)
    return found + _by_others(question, terms, statistics) + _by_forms(question, terms, statistics)


def _by_others(question: Question, terms: Sequence[Terms], statistics: Statistics) -> Floats:
    """What passages get, shape (n,), that have other words for the question's, and not the question's own."""
    frequencies, found = statistics.frequencies[MORPHEMES], np.zeros(len(terms))
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
            for row, passage in enumerate(terms):
                words = passage[MORPHEMES]
                if not stands_in(asked, words):
                    found[row] += max((value for other, value in worth.items() if stands_in(other, words)), default=0)
    return found


def _by_forms(question: Question, terms: Sequence[Terms], statistics: Statistics) -> Floats:
    """What passages get, shape (n,), that write a date or an amount in another way, for the words that write it here.

    What has the form has those words: it gets those that it lacks, as if they stood there side by side.
    """
    frequencies, found = statistics.frequencies[MORPHEMES], np.zeros(len(terms))
    asked = question.terms[MORPHEMES]
    for forms, written in question.written.items():
        weights = {word: asked[word] for word in written if word in asked}
        if not weights or not any(statistics.frequencies[FORMS].get(form) for form in forms):
            continue
        idfs = {word: idf(frequencies[word], statistics.passages) for word in weights}
        whole = proximity(written, written, idfs)
        for row, passage in enumerate(terms):
            lacks = weights.keys() - passage[MORPHEMES]
            if lacks and any(form in passage[FORMS] for form in forms):
                found[row] += sum(weights[word] * idfs[word] for word in sorted(lacks))
                found[row] += NEIGHBOURS * (whole - proximity(written, passage[MORPHEMES], idfs))
    return found


def _called(question: Question, terms: Sequence[Terms], above: Mapping[str, int]) -> Floats:
    """Whether a passage's file is called as the question, (n,): 1 where its name has all of the words as they were
    typed, less where it has others for some, and 0 where it has not all."""
    known = [{way: worth for way, worth in each.items() if all(map(above.get, way))} for each in question.called]
    found = np.zeros(len(terms))
    if not known or not all(known):
        return found
    for row, passage in enumerate(terms):
        name = frozenset(filter(is_of_name, passage[CONTEXT]))
        if name:
            words = [max((worth for way, worth in each.items() if way <= name), default=0.0) for each in known]
            found[row] = all(words) and sum(words) / len(words)
    return found


def _frequency(word: str, question: Question, statistics: Statistics) -> int:
    """In how many passages a word stands, or else above how many, or the first of its others that stands in any."""
    frequencies, above = statistics.frequencies[MORPHEMES], statistics.frequencies[CONTEXT]
    others = (other for asked, others in question.others.items() if word in asked for other in others)
    counts = (min(map(frequencies.__getitem__, other)) for other in others)
    return frequencies[word] or above.get(word, 0) or next(filter(None, counts), 0)


def stands_in(expression: tuple[str, ...], words: Sequence[str]) -> bool:
    """Whether its parts stand side by side."""
    if len(expression) == 1:
        return expression[0] in words
    return f" {' '.join(expression)} " in f" {' '.join(words)} "
