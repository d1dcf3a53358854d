"""Which passages are shown: the best, each once however many near copies it has."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from kosearch.index import Snapshot, StoredPassage
from kosearch.records import Query
from kosearch.searching.ranking import Ranking, Terms
from kosearch.terms import CONTEXT

SAME = 0.9
"""Passages of which this share of the terms agrees (Jaccard) are shown once."""


@dataclass(slots=True)
class Chosen:
    """A passage that will be shown, and what was left out for its sake."""

    row: int
    stored: StoredPassage
    words: frozenset[tuple[str, str]]
    also: list[str] = field(default_factory=list)
    more: int = 0


def chosen_passages(query: Query, ranking: Ranking, snapshot: Snapshot) -> list[Chosen]:
    """The k best passages, each once however many near copies it has; with grouping, one a document."""
    chosen: list[Chosen] = []
    for row, stored, terms in _in_turn(ranking, snapshot):
        words = frozenset((name, term) for name in terms if name != CONTEXT for term in terms[name])
        copied = next((one for one in chosen if _nearly_same(one.words, words)), None)
        document = next((one for one in chosen if one.stored.document.id == stored.document.id), None)
        if copied is not None and copied is not document:
            copied.also.append(stored.document.path)
        elif document is not None and (query.group or copied is document):
            document.more += query.group
        elif len(chosen) < query.k:
            chosen.append(Chosen(row, stored, words))
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
