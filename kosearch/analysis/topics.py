"""What an index is about: documents in one tree of topics, named by the words that tell them from their siblings.

Ward's tree over the mean vectors of documents, less what all have in common, says where topics lie, for every number
of them. A join of it is never taken back, so documents between two topics may stand in the farther one: each then goes
to the topic whose centre is nearest, on a finer level among those that divide its topic; and where two topics are one
and another is two, that is put right. Both raise the adjusted Rand index with labels (`python -m tests.benchmarks
topics`), and the same documents give the same topics and names.
"""

from __future__ import annotations

import heapq
import os
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from kosearch.analysis.corpus import KOREAN, LATIN, Corpus, Numbers, Progress, Vectors, extra, unit
from kosearch.errors import UsageError
from kosearch.index import Snapshot, StoredDocument
from kosearch.terms import MORPHEMES, Analyzer

TOPICS, DEPTH = 8, 2
"""How many topics there are on the first level, and how many levels."""
BRANCH = 4
"""A level has so many times as many topics as the one above it…"""
_LEAST = 4
"""…but none has fewer documents than so many in the mean."""
WARD = 8000
"""Above so many documents, whose distances take 256 MB, the tree is made of centres of theirs (k-means)."""
_CENTRES = 1000
WORDS = 5
SHARED = 2
"""So many words of a name its siblings' names may have too."""
_READ = 12
"""Texts of a topic, the most central ones, that are read for the forms in which its words are written."""
_CANDIDATES = 40
_ROUNDS = 20
"""So often documents go to the nearest topic, whose centre moves with them; mostly none moves long before."""
_TRIED = 8
"""So many of the widest topics are divided for a try."""
_BETTER = 1.0001
"""Documents have to come nearer to their centres by so much."""
_NOTHING = 1e-5
"""Documents that are nearer to each other are not told apart."""
_LATIN_WORD = re.compile(r"[^\W\d_]{3,}")
_ENGLISH = """
a about above after again all also although among an and any are around as at be became because been before being
between both but by called can case com could did do does during each either etc even every few first for found from
general get given had has have having he hence her here him his how however html http https if in including into is it
its just known large last less like made make many may mean means method more most much must near new no non nor not
now number obtained of often on one only onto or org other others our out over own part per presented problem provide
provided range results said same second see several shall she should show shown shows since small so some such than
that the their them then there therefore these they thing this those three through thus time to too two under until up
upon use used uses using various very was way we well were what when where whether which while who why will with
within without would www year years yet you your
"""
_KOREAN = """
가능 가지 각각 결과 경우 계속 관계 관련 구분 그것 기준 기타 나머지 내용 년도 다양 다음 당시 대부분 대상
대한 덕분 동안 때문 또는 마지막 마찬가지 무엇 문제 바탕 방법 방식 번째 부분 분야 사람 사실 사용 사이 사항
상태 상황 생각 설명 수준 시간 시기 시작 아래 앞쪽 여기 여러 예상 예정 오늘 우리 위치 위하 의미 이것 이곳
이날 이때 이번 이상 이용 이유 이전 이하 이후 일반 일부 자기 자리 자신 자체 전체 정도 제공 종류 주요 중심
지금 지속 지역 진행 차이 처음 최근 통하 특정 특히 포함 필요 하나 해당 현재 활용
"""
_STOP_WORDS = frozenset(f"{_ENGLISH} {_KOREAN}".split())
"""Words that name nothing: they would name every topic of a language that few documents have."""


@dataclass(frozen=True, slots=True)
class Topic:
    """Documents about one thing."""

    words: tuple[str, ...]
    """What tells it from its siblings, as it is written in the documents; the most telling first."""
    title: str
    """Of its most central document."""
    documents: tuple[StoredDocument, ...]
    """The most central first."""
    topics: tuple[Topic, ...] = ()
    """The topics that it divides into, the largest first; none on the last level."""


@dataclass(frozen=True, slots=True)
class Topics:
    """The topics of an index, the largest first, and all their documents with a vector each, for a map."""

    topics: tuple[Topic, ...]
    documents: tuple[StoredDocument, ...]
    """In the order of paths."""
    vectors: Vectors
    """Of the documents, (n, d), centred and of length 1."""


def topics(
    snapshot: Snapshot,
    n: int = TOPICS,
    depth: int = DEPTH,
    paths: Sequence[str] = (),
    progress: Progress | None = None,
) -> Topics:
    """The documents of a snapshot in `n` topics, and those in topics of their own, `depth` levels in all.

    Raises UsageError where there are fewer than two documents, and where the extra that makes trees is missing.
    """
    hierarchy = extra("scipy.cluster.hierarchy", "topics")
    corpus = Corpus(snapshot, paths, progress)
    if len(corpus.documents) < 2:
        raise UsageError(f"{len(corpus.documents)} document has no topics to be told apart", "index more documents")
    tree = _Tree(corpus.subjects, hierarchy, progress)
    if progress:
        progress("topics named", 0, len(corpus.documents))
    namer = _Namer(corpus)
    most = max(2, len(corpus.documents) // _LEAST)
    sizes = [min(n * BRANCH**level, max(n, most), len(corpus.documents)) for level in range(depth)]
    levels = _levels(corpus.subjects, tree, [tree.cut(size) for size in sizes])
    made = _divided(corpus, namer, levels, np.arange(len(corpus.documents)))
    return Topics(made, tuple(corpus.documents), corpus.subjects)


def _levels(subjects: Vectors, tree: _Tree, cuts: Sequence[Sequence[int]]) -> list[Numbers]:
    """Of each level, which nodes of the tree begin, the topic of each document; it lies in one of the level above."""
    found: list[Numbers] = []
    above = np.zeros(len(subjects), np.int64)
    for nodes in cuts:
        members = [tree.documents(node) for node in nodes]
        centres = unit(np.stack([subjects[one].sum(axis=0) for one in members]))
        within = np.array([np.bincount(above[one]).argmax() for one in members])
        of = len(nodes) + above  # what no node lies in stays whole
        for place in np.unique(within).tolist():
            rows, below = np.flatnonzero(above == place), np.flatnonzero(within == place)
            of[rows] = below[_rearranged(subjects[rows], _settled(subjects[rows], centres[below]))]
        found.append(of)
        above = of
    return found


def _rearranged(rows: Vectors, of: Numbers) -> Numbers:
    """As many topics of the rows (n, d), whose places are given, after joining the nearest two and dividing another.

    As long as that brings documents nearer to their centres: a cut of Ward's tree may divide one topic and leave two in
    one, and from there k-means finds no way (Kaukoranta, Franti and Nevalainen 1998, "Iterative split-and-merge
    algorithm for vector quantization codebook generation").
    """
    nearness = _nearness(rows, of)
    for _ in range(_ROUNDS):
        places = np.unique(of)
        if len(places) < 3:
            break
        sums = np.stack([rows[of == place].sum(axis=0, dtype=np.float64) for place in places])
        kept, joined = places[_nearest_two(sums)].tolist()
        loose = np.array([np.count_nonzero(of == place) for place in places]) - np.linalg.norm(sums, axis=1)
        widest = [place for place in places[np.argsort(-loose.round(6), kind="stable")] if place not in (kept, joined)]
        halves = {place: _halves(rows[of == place]) for place in widest[:_TRIED]}
        gains = {
            place: _nearness(rows[of == place], two) - _nearness(rows[of == place]) for place, two in halves.items()
        }
        divided = max(gains, key=lambda place: round(gains[place], 6))
        made = np.where(of == joined, kept, of)
        made[np.flatnonzero(of == divided)[halves[divided] == 1]] = joined
        present = np.unique(made)
        made = present[_settled(rows, unit(np.stack([rows[made == place].sum(axis=0) for place in present])))]
        if _nearness(rows, made) <= nearness * _BETTER:
            break
        of, nearness = made, _nearness(rows, made)
    return of


def _nearness(rows: Vectors, of: Numbers | None = None) -> float:
    """The sum of each row's cosine with the centre of its place, of one place where none are given."""
    if of is None:
        return float(np.linalg.norm(rows.sum(axis=0, dtype=np.float64)))
    return sum(_nearness(rows[of == place]) for place in np.unique(of).tolist())


def _nearest_two(sums: NDArray[np.float64]) -> Numbers:
    """Which two of the topics, by the sums of their rows (k, d), lose least when they are one."""
    products = sums @ sums.T
    squares = np.diag(products)
    lengths = np.sqrt(squares)
    together = np.sqrt(np.maximum(squares[:, None] + squares + 2 * products, 0.0))
    lost = lengths[:, None] + lengths - together
    lost[np.tril_indices(len(sums))] = np.inf
    return np.array(np.unravel_index(lost.round(6).argmin(), lost.shape))


def _halves(rows: Vectors) -> Numbers:
    """0 or 1 for each row (n, d): by where it lies along the direction in which they differ most, then by centres."""
    apart = rows - rows.mean(axis=0)
    direction = apart[np.linalg.norm(apart, axis=1).round(6).argmax()]
    for _ in range(_ROUNDS):  # power iteration
        direction = unit((apart.T @ (apart @ direction))[None])[0]
    along = apart @ direction > 0
    if along.all() or not along.any():
        return np.zeros(len(rows), np.int64)
    return _settled(rows, unit(np.stack([rows[~along].sum(axis=0), rows[along].sum(axis=0)])))


def _settled(rows: Vectors, centres: Vectors) -> Numbers:
    """Of each row (n, d) the place of its nearest centre, when these have moved until no row changes (k-means)."""
    of = np.full(len(rows), -1)
    for _ in range(_ROUNDS):
        nearest = np.round(rows @ centres.T, 6).argmax(axis=1)
        if np.array_equal(nearest, of):
            break
        of = nearest
        centres = centres.copy()
        for place in np.unique(of).tolist():
            centres[place] = unit(rows[of == place].sum(axis=0, keepdims=True))[0]
    return of


def _divided(corpus: Corpus, namer: _Namer, levels: Sequence[Numbers], rows: Numbers) -> tuple[Topic, ...]:
    """The topics of the first of these levels that some documents, ascending, are in."""
    if not levels:
        return ()
    of = levels[0][rows]
    members = [rows[of == place] for place in np.unique(of)]
    members.sort(key=lambda one: (-len(one), int(one[0])))
    central = [_by_centre(corpus.subjects, one) for one in members]
    made = []
    for one, ordered, words in zip(members, central, namer.names(central), strict=True):
        below = _divided(corpus, namer, levels[1:], one)
        documents = tuple(corpus.documents[row] for row in ordered.tolist())
        made.append(Topic(words, title_of(documents[0]), documents, below if len(below) > 1 else ()))
    return tuple(made)


def title_of(document: StoredDocument) -> str:
    """What a person calls it: its title, or its file's name."""
    title = " ".join(document.title.split())
    return title or os.path.basename(document.member or document.path)


def _by_centre(means: Vectors, rows: Numbers) -> Numbers:
    """Documents by their nearness to the centre of all of them, as far as it does not hang on the last digits."""
    centre = unit(means[rows].sum(axis=0, keepdims=True))[0]
    return rows[np.lexsort((rows, -np.round(means[rows] @ centre, 4)))]


class _Tree:
    """Ward's tree: nodes below `leaves` are documents or groups of them, the others join two nodes each."""

    def __init__(self, means: Vectors, hierarchy: object, progress: Progress | None) -> None:
        rows = means.astype(np.float64)
        self._groups = _grouped(means, progress) if len(means) > WARD else np.arange(len(means))
        self.leaves = int(self._groups.max()) + 1
        counts = np.bincount(self._groups, minlength=self.leaves)
        centres = np.zeros((self.leaves, rows.shape[1]))
        np.add.at(centres, self._groups, rows)
        centres /= counts[:, None]
        joins = hierarchy.ward(centres) if self.leaves > 1 else np.zeros((0, 4))  # type: ignore[attr-defined]
        self._children = joins[:, :2].astype(np.int64)
        self._heights = joins[:, 2]
        self.root = self.leaves + len(joins) - 1
        self._spans, self._leaf_at = self._order()

    def _order(self) -> tuple[list[tuple[int, int]], Numbers]:
        """Of each node the span of its leaves in an order in which they lie side by side, and that order."""
        spans = [(0, 0)] * (self.root + 1)
        order = np.zeros(self.leaves, np.int64)
        sizes = [1] * self.leaves
        for left, right in self._children.tolist():
            sizes.append(sizes[left] + sizes[right])
        stack = [(self.root, 0)]
        while stack:
            node, start = stack.pop()
            spans[node] = (start, start + sizes[node])
            if node < self.leaves:
                order[start] = node
            else:
                left, right = self._children[node - self.leaves].tolist()
                stack += [(left, start), (right, start + sizes[left])]
        return spans, order

    def cut(self, count: int) -> list[int]:
        """The nodes of `count` topics; fewer, where there are not so many that differ."""
        done: list[int] = []
        waiting = [(-self._height(self.root), self.root)]
        while waiting and len(waiting) + len(done) < count:
            height, node = heapq.heappop(waiting)
            if -height <= _NOTHING:
                done.append(node)
                continue
            for child in self._children[node - self.leaves].tolist():
                heapq.heappush(waiting, (-self._height(child), child))
        return sorted([*done, *(node for _, node in waiting)])

    def _height(self, node: int) -> float:
        return 0.0 if node < self.leaves else float(self._heights[node - self.leaves])

    def documents(self, node: int) -> Numbers:
        """The documents of a node, ascending."""
        leaves = self._leaf_at[slice(*self._spans[node])]
        return np.flatnonzero(np.isin(self._groups, leaves))


def _grouped(means: Vectors, progress: Progress | None) -> Numbers:
    """Of each document the number of its group: k-means from a fixed beginning."""
    cluster = extra("sklearn.cluster", "topics")
    if progress:
        progress("documents grouped", 0, len(means))
    fitted = cluster.KMeans(_CENTRES, n_init=1, init="random", max_iter=20, random_state=0).fit(means)
    _, groups = np.unique(fitted.labels_, return_inverse=True)
    return groups.astype(np.int64)


class _Namer:
    """Gives topics the words that tell them from their siblings."""

    def __init__(self, corpus: Corpus) -> None:
        self._corpus = corpus
        self._analyzer = Analyzer()
        words = corpus.words
        stems = frozenset(self._stems(_ENGLISH.split()))
        self._fit = np.fromiter(
            (
                not digit and _names_something(name, language, stems)
                for name, language, digit in zip(
                    words.names, words.languages.tolist(), words.digits.tolist(), strict=True
                )
            ),
            np.bool_,
            len(words.names),
        )

    def names(self, topics: Sequence[Numbers]) -> list[tuple[str, ...]]:
        """Of each of these siblings, given by its documents, the most central first, up to five words."""
        counts = [self._counts(rows) for rows in topics]
        sizes = np.array([len(rows) for rows in topics], np.float64)
        total = np.sum(counts, axis=0)
        ranked = []
        for count, size in zip(counts, sizes, strict=True):
            here = count / size
            elsewhere = (total - count + 0.5) / max(sizes.sum() - size, 1)
            scores = np.where(self._fit & (count > min(1, size - 1)), here * np.log1p(here / elsewhere), 0)
            best = np.argsort(-np.round(scores, 9), kind="stable")[:_CANDIDATES]
            ranked.append([int(one) for one in best if scores[one] > 0])
        return self._chosen(ranked, topics)

    def _chosen(self, ranked: Sequence[Sequence[int]], topics: Sequence[Numbers]) -> list[tuple[str, ...]]:
        """Names that share at most `SHARED` words with any sibling's."""
        found: list[tuple[str, ...]] = []
        for terms, rows in zip(ranked, topics, strict=True):
            forms = self._forms(rows, terms)
            name: list[str] = []
            for term in terms:
                word = forms.get(term, "")
                if not word or any(
                    word.casefold() in one.casefold() or one.casefold() in word.casefold() for one in name
                ):
                    continue
                if all(len({*name, word} & {*other}) <= SHARED for other in found):
                    name.append(word)
                if len(name) == WORDS:
                    break
            found.append(tuple(name))
        return found

    def _counts(self, rows: Numbers) -> NDArray[np.float64]:
        """In how many of these documents each word stands."""
        counts = np.zeros(len(self._corpus.words.names))
        for row in rows.tolist():
            counts[self._of[row]] += 1
        return counts

    @cached_property
    def _of(self) -> list[NDArray[np.int32]]:
        """The words of each document, each once."""
        corpus, words = self._corpus, self._corpus.words
        bounds = words.starts[corpus.starts]
        return [np.unique(words.numbers[start:end]) for start, end in pairwise(bounds)]

    def _forms(self, rows: Numbers, terms: Sequence[int]) -> dict[int, str]:
        """Words as they are written: a Korean noun is itself, of an English stem the form that is met most."""
        words = self._corpus.words
        wanted = {words.names[term]: term for term in terms if words.languages[term] == LATIN}
        forms = {term: words.names[term] for term in terms if words.languages[term] == KOREAN}
        if wanted:
            met: Counter[str] = Counter()
            for row in rows[:_READ].tolist():
                met.update(_LATIN_WORD.findall(self._corpus.text(row)))
            plain: Counter[str] = Counter()
            for word, count in met.items():
                plain[word if word.isupper() else word.casefold()] += count
            for word in sorted(plain, key=lambda one: (-plain[one], one)):
                for stem in self._stems([word]):
                    if stem in wanted:
                        forms.setdefault(wanted[stem], word)
        return forms

    def _stems(self, words: Iterable[str]) -> list[str]:
        return [stem for word in words for stem in self._analyzer.passage_terms(word, ())[MORPHEMES]]


def _names_something(name: str, language: int, stop_stems: frozenset[str]) -> bool:
    """Whether a term may name a topic: a noun of two syllables or more, or a word of three letters or more."""
    if language == KOREAN:
        return len(name) > 1 and not name.endswith("다") and name not in _STOP_WORDS
    return language == LATIN and len(name) > 2 and name.isalpha() and name not in stop_stems
