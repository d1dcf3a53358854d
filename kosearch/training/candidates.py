"""Questions for who has none: passages of an index, each with words that might ask for it, for a person to correct.

A candidate is made of the heading above the passage and of its rarest words. It is no question yet: it shows what
stands there, and where. What is corrected is a measure of the search (`kosearch eval`) and something to learn from.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from kosearch.errors import UsageError
from kosearch.index import Snapshot, StoredPassage
from kosearch.library import Index
from kosearch.scoring import plain_idf
from kosearch.terms import MORPHEMES

WORDS = 3
"""Rare words of a candidate."""
_SHORTEST = 40
"""Characters of a passage that is worth a question."""
_WORD = re.compile(r"[^\W\d_]{2,}")


@dataclass(frozen=True, slots=True)
class Candidate:
    """Words that might ask for a passage, and where it stands."""

    question: str
    path: str
    page: int | None
    passage: str
    """Its text on one line."""


def candidate_questions(index: Index, sample: int = 200, *, seed: int = 0) -> list[Candidate]:
    """So many passages of an index with words that might ask for each, from as many documents as there are.

    The same index and seed give the same. Raises UsageError where no passage is worth a question.
    """
    with index.store.snapshot() as snapshot:
        stored = _sampled(snapshot, sample, np.random.default_rng(seed))
        if not stored:
            raise UsageError("the index has no passage that is worth a question", "kosearch index PATH")
        counts = snapshot.vocabulary((MORPHEMES,))[0]
        terms = snapshot.terms(np.array([one.id for one in stored], dtype=np.int64))
        found = [
            Candidate(
                _words(one, words[MORPHEMES], counts, snapshot.passages),
                one.document.path,
                one.passage.page,
                _line(one.text),
            )
            for one, words in zip(stored, terms, strict=True)
        ]
    return sorted(found, key=lambda one: one.path)


def _sampled(snapshot: Snapshot, sample: int, random: np.random.Generator) -> list[StoredPassage]:
    """Passages in an order by chance, each document's first, then each one's second, until there are so many."""
    ids = random.permutation(snapshot.vectors()[0])
    owners, turns = snapshot.owners(np.sort(ids)), dict[int, int]()
    turn = np.zeros(len(ids), np.int64)
    for row, number in enumerate(ids.tolist()):
        owner = owners[number]
        turn[row] = turns[owner] = turns.get(owner, -1) + 1
    ids = ids[np.argsort(turn, kind="stable")]
    found: list[StoredPassage] = []
    for start in range(0, len(ids), sample):
        part = snapshot.stored(ids[start : start + sample])
        found += [one for one in part if len(_line(one.text)) >= _SHORTEST and one.document.path.isprintable()]
        if len(found) >= sample:
            break
    return found[:sample]


def _words(stored: StoredPassage, terms: Sequence[str], counts: Mapping[str, int], passages: int) -> str:
    """The last heading, or the title, and the passage's rarest words that stand in it as such, in their order."""
    text = stored.text.casefold()
    above = _line(stored.passage.headings[-1] if stored.passage.headings else stored.document.title)
    own = [
        word for word in dict.fromkeys(terms) if _WORD.fullmatch(word) and word in text and word not in above.casefold()
    ]
    rare = sorted(own, key=lambda word: -plain_idf(counts.get(word, 1), passages))[:WORDS]
    return " ".join(filter(None, (above, *(word for word in own if word in rare))))


def _line(text: str) -> str:
    return " ".join(text.split())
