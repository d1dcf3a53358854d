"""Documents that are another document once more: copies, versions, parts and translations, in groups.

Three signals, each with what it is for:

- Shingles: three words without digits in a row, as in Broder 1997, "On the Resemblance and Containment of Documents".
  Which share of a document's shingles stands in another one too finds copies in other formats, excerpts and versions,
  wherever passages were cut; forms and specifications that share boilerplate only stay far below `SHARED`.
- Passages: those near in meaning (their cosine, less the mean of their language) that also share their words. They find
  what was reworded or reordered, which breaks shingles.
- Languages: documents of two languages that are each other's nearest are likely translations.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from itertools import combinations

import numpy as np
from numpy.typing import NDArray

from kosearch import filters
from kosearch.analysis.corpus import LANGUAGES, NONE, Corpus, Numbers, Progress, Vectors, place_of
from kosearch.analysis.neighbours import mutual_nearest, near_pairs
from kosearch.index import Snapshot, StoredDocument, StoredPassage
from kosearch.searching.ranking import without_layout

NEAR = 0.60
"""The least cosine, less the mean of their language, of two passages whose words are compared. Those that are the same
by their words lie above (the lowest of 151 had .64), so that the last digits of vectors, which differ by engine and
batch, decide nothing."""
ALIKE = 0.60
"""The least Jaccard similarity of the words without digits of two passages that are the same."""
FEW = 30
"""Among fewer passages of a language there is no mean to speak of, and the words of all pairs are compared."""
SHARED = 0.5
"""The least share of the smaller document that has to stand in the other."""
SAME = 0.9
"""From this share on it is all of it, but for a word here and there."""
TRANSLATED, AHEAD = 0.40, 0.12
"""The least that the cosine of documents that are each other's nearest across languages, each less the mean of its
language, comes to together with how far the next nearest is behind, which counts up to `AHEAD`: a translation is near,
or it is nearer than all else. Fitted on 26 pairs and tried on 18 others: likely, not sure
(`python -m tests.benchmarks duplicates`)."""
_LEAST = 12
"""Shingles that a document has at least where its shingles alone decide: a shorter one stands in many by chance. Words
that a translation has."""
_WINDOW = 8
"""A shingle of many documents relates each of them to so many of the next ones, not to all."""
_NUMBER = re.compile(r"[−+]?\d+(?:[.,·]\d+)*")
_AT_ONCE = 4096
_LARGE = 4
"""A translation has at most so many times as many words."""


class Kind(StrEnum):
    """What a document is to another one, the most alike first."""

    EXACT = "exact"
    """The same text, whatever its layout and format."""
    COPY = "copy"
    """All of either stands in the other, but for a word here and there."""
    VERSION = "version"
    """Half of either or more stands in the other."""
    CONTAINED = "contained"
    """All of the one stands in the other, which has much more."""
    PART = "part"
    """A large part of the one stands in the other."""
    TRANSLATION = "translation"
    """Likely the same in another language."""


_TEXTS = (Kind.EXACT, Kind.COPY, Kind.VERSION)
"""Kinds that make one group together: drafts, copies and formats of one document."""


@dataclass(frozen=True, slots=True)
class Duplicate:
    """A document of a group, and what it is to another one of it."""

    document: StoredDocument
    date: str
    """The day that the document states as that of its last change or making, or else its file's."""
    kind: Kind | None = None
    """What it is to `of`; None of the first."""
    of: StoredDocument | None = None
    """The document of the group that it is compared with: the newest, or the one that it is most alike."""
    share: float | None = None
    """How much of the one stands in the other, from 0 to 1; None of the first, and of translations."""
    only_numbers: bool = False
    """Whether the two texts differ in numbers and in nothing else: two filled forms are two documents."""


@dataclass(frozen=True, slots=True)
class DuplicateGroup:
    """Documents that belong together, newest first."""

    kind: Kind
    """The least alike that is among them."""
    members: tuple[Duplicate, ...]

    @property
    def spare(self) -> tuple[Duplicate, ...]:
        """All but the newest where each is an exact copy of it; none in other groups."""
        return self.members[1:] if self.kind is Kind.EXACT else ()


@dataclass(frozen=True, slots=True)
class _Link:
    """What two documents, the first before the second, are to each other."""

    kind: Kind
    first: int
    second: int
    shares: tuple[float, float]
    """Of the first in the second, and of the second in the first."""
    only_numbers: bool = False

    def other(self, document: int) -> int:
        return self.second if document == self.first else self.first


def duplicates(
    snapshot: Snapshot, kinds: Sequence[str] = (), paths: Sequence[str] = (), progress: Progress | None = None
) -> list[DuplicateGroup]:
    """The groups of documents of these kinds, or of all: by kind, then by the path of the newest."""
    corpus = Corpus(snapshot, paths, progress)
    wanted = frozenset(map(Kind, kinds)) or frozenset(Kind)
    alike = _alike_passages(corpus, progress) if wanted != {Kind.EXACT} else []
    links = list(_text_links(corpus, alike))
    if Kind.TRANSLATION in wanted:
        links += _translations(corpus, links, progress)
    return _groups(corpus, [link for link in links if link.kind in wanted])


def repeated_passages(
    snapshot: Snapshot, paths: Sequence[str] = (), progress: Progress | None = None
) -> list[tuple[StoredPassage, ...]]:
    """Passages that stand in several documents, in groups; the largest groups first."""
    corpus = Corpus(snapshot, paths, progress)
    joined = _Joined(len(corpus))
    for first, second, _ in _alike_passages(corpus, progress):
        joined.join(first, second)
    groups = [rows for rows in joined.groups() if len({corpus.of[row] for row in rows}) > 1]
    groups.sort(key=lambda rows: (-len(rows), rows))
    return [tuple(corpus.stored(rows)) for rows in groups]


def _alike_passages(corpus: Corpus, progress: Progress | None) -> list[tuple[int, int, float]]:
    """Pairs of passages of two documents that say the same in the same words, and the Jaccard similarity of those."""
    words = corpus.words
    plain = np.flatnonzero(words.digits)
    sets: dict[int, NDArray[np.int32]] = {}

    def known(passage: int) -> NDArray[np.int32]:
        if passage not in sets:
            found = np.unique(words.of(passage))
            sets[passage] = found[~np.isin(found, plain, assume_unique=True)] if len(plain) else found
        return sets[passage]

    found = []
    for first, second in _near_passages(corpus, progress):
        if corpus.of[first] != corpus.of[second]:
            mine, other = known(first), known(second)
            shared = len(np.intersect1d(mine, other, assume_unique=True))
            union = len(mine) + len(other) - shared
            if union and shared >= ALIKE * union:
                found.append((first, second, shared / union))
    return found


def _near_passages(corpus: Corpus, progress: Progress | None) -> Iterator[tuple[int, int]]:
    """Pairs of passages of one language that are near in meaning; those with equal vectors in a chain."""
    told = progress or (lambda _what, _done, _total: None)
    for language in LANGUAGES:
        chosen = np.flatnonzero(corpus.languages == language)
        if not len(chosen):
            continue
        rows = corpus.centred(chosen)
        _, firsts, inverse = np.unique(_hashes(rows), return_index=True, return_inverse=True)
        leaders = firsts[inverse]
        for row in np.flatnonzero(leaders != np.arange(len(rows))).tolist():
            yield int(chosen[leaders[row]]), int(chosen[row])
        distinct = np.sort(firsts)
        rows = rows[distinct] if len(distinct) < len(rows) else rows
        least = NEAR if len(chosen) >= FEW else -1.0
        for first, second, _ in near_pairs(rows, least, lambda done, total: told("passages compared", done, total)):
            yield from zip(chosen[distinct[first]].tolist(), chosen[distinct[second]].tolist(), strict=True)


def _hashes(rows: Vectors) -> NDArray[np.uint64]:
    """Of each row (n, d) a number that only equal ones have, as good as sure."""
    words = rows.view(np.uint32)
    factors = np.random.default_rng(1).integers(1, 1 << 62, rows.shape[1], dtype=np.uint64) | np.uint64(1)
    parts = [
        (words[start : start + _AT_ONCE].astype(np.uint64) * factors).sum(axis=1, dtype=np.uint64)
        for start in range(0, len(rows), _AT_ONCE)
    ]
    return np.concatenate([*parts, np.zeros(0, np.uint64)])


def _text_links(corpus: Corpus, alike: Sequence[tuple[int, int, float]]) -> Iterator[_Link]:
    """What documents of one language are to each other."""
    leaders, exact = _same_texts(corpus)
    yield from exact
    passages = _shares_by_passage(corpus, alike)
    shingles = _Shingles(corpus, leaders)
    pairs = {(leaders[first], leaders[second]) for first, second in {*passages, *shingles.candidates()}}
    texts = _Texts(corpus)
    for first, second in sorted((min(pair), max(pair)) for pair in pairs if pair[0] != pair[1]):
        mine, other = shingles.shares(first, second)
        by_passage = passages.get((first, second), (0.0, 0.0))
        shares = max(mine, by_passage[0]), max(other, by_passage[1])
        if link := _text_link(first, second, shares, texts):
            yield link


def _text_link(first: int, second: int, shares: tuple[float, float], texts: _Texts) -> _Link | None:
    more, less = max(shares), min(shares)
    if more < SHARED:
        return None
    only_numbers = False
    if less >= SAME:
        if texts.plain(first) == texts.plain(second):
            return _Link(Kind.EXACT, first, second, (1.0, 1.0))
        only_numbers = texts.without_numbers(first) == texts.without_numbers(second)
    if less >= SAME and not only_numbers:
        kind = Kind.COPY
    elif more >= SAME and less < SAME * SAME:
        kind = Kind.CONTAINED
    elif less >= SHARED:
        kind = Kind.VERSION
    else:
        kind = Kind.PART
    return _Link(kind, first, second, shares, only_numbers)


def _same_texts(corpus: Corpus) -> tuple[NDArray[np.int64], list[_Link]]:
    """Of each document the first with its very text, and a link to it of all others."""
    seen: dict[str, int] = {}
    leaders = np.fromiter(
        (seen.setdefault(one.text_hash, place) for place, one in enumerate(corpus.documents)),
        np.int64,
        len(corpus.documents),
    )
    others = np.flatnonzero(leaders != np.arange(len(leaders))).tolist()
    return leaders, [_Link(Kind.EXACT, int(leaders[one]), one, (1.0, 1.0)) for one in others]


def _shares_by_passage(
    corpus: Corpus, alike: Sequence[tuple[int, int, float]]
) -> dict[tuple[int, int], tuple[float, float]]:
    """Of each pair of documents, which share of either's words stands in passages that the other has too.

    As of shingles, what many documents have weighs less.
    """
    weights = np.diff(corpus.words.starts) / np.sqrt(np.maximum(_others_with(corpus, alike), 1))
    totals = np.add.reduceat(weights, corpus.starts[:-1]) if len(corpus) else weights
    best: dict[tuple[int, int], tuple[dict[int, float], dict[int, float]]] = defaultdict(lambda: ({}, {}))
    for first, second, similarity in alike:
        mine, other = best[int(corpus.of[first]), int(corpus.of[second])]
        mine[first] = max(mine.get(first, 0.0), similarity)
        other[second] = max(other.get(second, 0.0), similarity)

    def share(found: Mapping[int, float], document: int) -> float:
        return float(sum(weights[one] * value for one, value in sorted(found.items())) / max(totals[document], 1e-9))

    return {pair: (share(found[0], pair[0]), share(found[1], pair[1])) for pair, found in best.items()}


def _others_with(corpus: Corpus, alike: Sequence[tuple[int, int, float]]) -> Numbers:
    """How many other documents have a passage like each; 0 of those that are alone."""
    joined = _Joined(len(corpus))
    for first, second, _ in alike:
        joined.join(first, second)
    counts = np.zeros(len(corpus), np.int64)
    for rows in joined.groups():
        counts[rows] = len(np.unique(corpus.of[rows])) - 1
    return counts


class _Shingles:
    """The shingles of documents, one of each text."""

    def __init__(self, corpus: Corpus, leaders: NDArray[np.int64]) -> None:
        words = corpus.words
        chance = np.random.default_rng(0)
        keys = chance.integers(1, 1 << 62, (3, len(words.names)), dtype=np.uint64)
        plain = ~words.digits
        self._of: list[NDArray[np.uint64]] = []
        for document in range(len(corpus.documents)):
            if leaders[document] != document:
                self._of.append(np.zeros(0, np.uint64))
                continue
            numbers = words.numbers[words.starts[corpus.starts[document]] : words.starts[corpus.starts[document + 1]]]
            numbers = numbers[plain[numbers]]
            self._of.append(np.unique(keys[0][numbers[:-2]] + keys[1][numbers[1:-1]] * 3 + keys[2][numbers[2:]] * 5))
        values, counts = np.unique(np.concatenate([*self._of, np.zeros(0, np.uint64)]), return_counts=True)
        weights = 1 / np.sqrt(np.maximum(counts - 1, 1))
        self._weights = [weights[np.searchsorted(values, one)] for one in self._of]

    def shares(self, first: int, second: int) -> tuple[float, float]:
        """Which share of either's shingles the other has; 0 of documents that have too few to tell.

        What many documents have tells little: it weighs less, by the root of how many others have it.
        """
        mine, other = self._of[first], self._of[second]
        if min(len(mine), len(other)) < _LEAST:
            return 0.0, 0.0
        _, here, _ = np.intersect1d(mine, other, assume_unique=True, return_indices=True)
        shared = self._weights[first][here].sum()
        return float(shared / self._weights[first].sum()), float(shared / self._weights[second].sum())

    def candidates(self) -> Iterator[tuple[int, int]]:
        """Pairs of documents that may share as much as `SHARED` of the smaller one's."""
        sizes = np.array([len(one) for one in self._of], np.int64)
        values = np.concatenate([*self._of, np.zeros(0, np.uint64)])
        of = np.repeat(np.arange(len(sizes)), sizes)
        order = np.argsort(values, kind="stable")
        values, of = values[order], of[order]
        pairs: list[Numbers] = []
        for step in range(1, _WINDOW + 1):
            same = np.flatnonzero(values[step:] == values[:-step]) if len(values) > step else np.zeros(0, np.int64)
            pairs.append(of[same] * len(sizes) + of[same + step])
        found, counts = np.unique(np.concatenate(pairs), return_counts=True)
        first, second = np.divmod(found, max(len(sizes), 1))
        least = SHARED / 2 * np.minimum(sizes[first], sizes[second])
        yield from zip(first[counts >= least].tolist(), second[counts >= least].tolist(), strict=True)


class _Texts:
    """Texts as they are compared, each read once."""

    def __init__(self, corpus: Corpus) -> None:
        self._corpus = corpus
        self._plain: dict[int, str] = {}

    def plain(self, document: int) -> str:
        """Without layout."""
        if document not in self._plain:
            self._plain[document] = without_layout(self._corpus.text(document))
        return self._plain[document]

    def without_numbers(self, document: int) -> str:
        """The same without any number."""
        return _NUMBER.sub("", self.plain(document))


def _translations(corpus: Corpus, links: Sequence[_Link], progress: Progress | None) -> Iterator[_Link]:
    """Documents of two languages that are each other's nearest across the two, clearly, and half of their passages too.

    Where both have numerals, a translation has some of them. Of documents that are linked already, as copies and
    versions are, only the first is compared.
    """
    told = progress or (lambda _what, _done, _total: None)
    joined = _Joined(len(corpus.documents))
    for link in links:
        joined.join(link.first, link.second)
    first_ones = np.array([joined.root(row) == row for row in range(len(corpus.documents))], dtype=bool)
    spoken = [language for language in LANGUAGES if language != NONE]
    rows = {language: np.flatnonzero(first_ones & (corpus.spoken == language)) for language in spoken}
    for language, other in combinations(spoken, 2):
        found = mutual_nearest(
            corpus.means[rows[language]],
            corpus.means[rows[other]],
            lambda done, total: told("documents compared across languages", done, total),
        )
        for i, j, cosine, ahead in zip(*(column.tolist() for column in found), strict=True):
            first, second = sorted((int(rows[language][i]), int(rows[other][j])))
            parts = sorted((corpus.passages_of(first), corpus.passages_of(second)), key=len)
            few, many = sorted((corpus.words_in(first), corpus.words_in(second)))
            if cosine + min(ahead, AHEAD) >= TRANSLATED and few >= _LEAST and many <= _LARGE * few:
                shorter, longer = (corpus.centred(np.arange(part.start, part.stop)) for part in parts)
                best = (shorter @ longer.T).max(axis=1)
                mine, others = corpus.numerals(first), corpus.numerals(second)
                if np.mean(best >= TRANSLATED - AHEAD) >= SHARED and not (mine and others and mine.isdisjoint(others)):
                    yield _Link(Kind.TRANSLATION, first, second, (0.0, 0.0))


def _groups(corpus: Corpus, links: Sequence[_Link]) -> list[DuplicateGroup]:
    """The groups that links make. Copies and versions of one document are one for what else is related to it."""
    joined = _Joined(len(corpus.documents))
    for link in links:
        if link.kind in _TEXTS:
            joined.join(link.first, link.second)
    groups = _connected(corpus, [link for link in links if link.kind in _TEXTS])
    for kind in (Kind.CONTAINED, Kind.PART, Kind.TRANSLATION):
        best: dict[tuple[int, int], _Link] = {}
        for link in links:
            roots = joined.root(link.first), joined.root(link.second)
            if link.kind is kind and roots[0] != roots[1]:
                key = min(roots), max(roots)
                best[key] = max(best.get(key, link), link, key=lambda one: max(one.shares))
        groups += _connected(corpus, list(best.values()))
    order = list(Kind)
    return sorted(groups, key=lambda group: (order.index(group.kind), place_of(group.members[0].document)))


def _connected(corpus: Corpus, links: Sequence[_Link]) -> list[DuplicateGroup]:
    """Groups of the documents that these links connect."""
    joined, equal = _Joined(len(corpus.documents)), _Joined(len(corpus.documents))
    of: dict[int, list[_Link]] = defaultdict(list)
    for link in links:
        joined.join(link.first, link.second)
        if link.kind is Kind.EXACT:  # all copies of one text are each other's, whichever two were compared
            equal.join(link.first, link.second)
        of[link.first].append(link)
        of[link.second].append(link)
    order = list(Kind)
    groups = []
    for rows in joined.groups():
        rows.sort(key=lambda row: _age(corpus.documents[row]))
        members = [Duplicate(corpus.documents[rows[0]], _day(corpus.documents[rows[0]]))]
        for row in rows[1:]:
            link = min(
                of[row],
                key=lambda one: (one.other(row) != rows[0], order.index(one.kind), -max(one.shares), one.other(row)),
            )
            if equal.root(row) == equal.root(rows[0]):
                link = _Link(Kind.EXACT, min(rows[0], row), max(rows[0], row), (1.0, 1.0))
            other = corpus.documents[link.other(row)]
            document = corpus.documents[row]
            share = None if link.kind is Kind.TRANSLATION else max(link.shares)
            members.append(Duplicate(document, _day(document), link.kind, other, share, link.only_numbers))
        kinds = [member.kind for member in members[1:] if member.kind]
        groups.append(DuplicateGroup(max(kinds, key=order.index), tuple(members)))
    return groups


def _day(document: StoredDocument) -> str:
    stated = document.metadata.get("modified") or document.metadata.get("created")
    days = filters.local_days(str(stated)) if stated else None
    day = days[1] if days else filters.day_of(document.mtime_ns / 1e9)
    return day.isoformat() if day else ""


def _age(document: StoredDocument) -> tuple[int, int, tuple[str, str]]:
    """What newest documents are first by: day, time of the file, path."""
    day = _day(document)
    return -int(day.replace("-", "") or 0), -document.mtime_ns, place_of(document)


class _Joined:
    """Sets that are joined one by one (union-find)."""

    def __init__(self, count: int) -> None:
        self._up = list(range(count))

    def root(self, one: int) -> int:
        while self._up[one] != one:
            self._up[one] = self._up[self._up[one]]
            one = self._up[one]
        return one

    def join(self, one: int, two: int) -> None:
        first, second = sorted((self.root(one), self.root(two)))
        self._up[second] = first

    def groups(self) -> list[list[int]]:
        """Those with more than one, ascending."""
        found: dict[int, list[int]] = defaultdict(list)
        for one in range(len(self._up)):
            found[self.root(one)].append(one)
        return [rows for rows in found.values() if len(rows) > 1]
