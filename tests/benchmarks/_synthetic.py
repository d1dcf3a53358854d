"""A made corpus of any size: documents with vectors, Korean-looking terms, and questions about them.

Vectors (384 dimensions) are a common part, a topic and noise of their own, each with a spectrum that falls like a
power, all turned by a random rotation; topics have Zipf sizes, one for every 50 passages, and a document keeps to one.
The constants are those at which 2,304 of the made vectors look like the bundled model's over as many passages of
msmarco_ko: cosine of a random pair .777 ± .026 (the model's .773 ± .026), of a passage and its nearest .858 (.864),
its 10th .841 (.837), its 100th .815 (.811), local intrinsic dimension 32 (35), participation ratio of the spectrum 115
(131). A question leans to one passage (cosine .91, as the model's questions do to their best) and is noise otherwise.

Words have three syllables of 600 and Zipf frequencies among 400,000; a passage has 60, and their 120 pairs of
syllables, so the number of distinct terms grows with the corpus as it does in text.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from kosearch.index import Identity, NewDocument, NewPassage
from kosearch.records import Extracted, Passage, SourceFile
from kosearch.terms import BIGRAMS, CONTEXT, FIELD_WEIGHTS, FIELDS, MORPHEMES, RULES, Question

DIMENSIONS = 384
PER_DOCUMENT = 8
IDENTITY = Identity("synthetic", "synthetic", "", DIMENSIONS, "1", 320, 0, RULES, FIELDS)

_COMMON = 0.88
_TOPIC = 0.22
_OWN = float(np.sqrt(1 - _COMMON**2 - _TOPIC**2))
_LEAN = 0.6
_PER_TOPIC = 50
_WORDS = 60
_VOCABULARY = 400_000
_SYLLABLES = 600
BLOCK = 1000
"""Documents made at a time."""
_ASKED_BLOCKS = 10

Floats = NDArray[np.float32]
Numbers = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Asked:
    """A question as the search takes it, without Kiwi and without a model."""

    vector: Floats
    question: Question


class Corpus:
    """`passages` passages in documents of eight; the same in every run."""

    def __init__(self, passages: int) -> None:
        self.documents = passages // PER_DOCUMENT
        chance = np.random.default_rng(0)
        falling = np.arange(3, DIMENSIONS + 3) ** -0.35
        self._spectrum = (falling / np.linalg.norm(falling)).astype(np.float32)
        self._rotation = np.linalg.qr(chance.standard_normal((DIMENSIONS, DIMENSIONS)))[0].astype(np.float32)
        common = chance.standard_normal(DIMENSIONS)
        self._common = (_COMMON * common / np.linalg.norm(common)).astype(np.float32)
        topics = max(10, passages // _PER_TOPIC)
        self._topics = _TOPIC * self._noise(chance, topics)
        self._topic_shares = _shares(topics, 0.8)
        self._word_shares = _shares(_VOCABULARY, 1.0)

    def make(self, numbers: Numbers, version: int = 0) -> Iterator[tuple[SourceFile, NewDocument]]:
        """These documents, as they are in a version."""
        for start in range(0, len(numbers), BLOCK):
            part = numbers[start : start + BLOCK]
            vectors, words = self._block(np.random.default_rng([1, version, int(part[0])]), len(part))
            for place, number in enumerate(part.tolist()):
                rows = slice(place * PER_DOCUMENT, (place + 1) * PER_DOCUMENT)
                yield source(number, version), _document(vectors[rows], words[rows], (number, version))

    def vectors(self) -> Floats:
        """The vectors of all passages, (n, d), as they are in the first version."""
        starts = range(0, self.documents, BLOCK)
        sizes = [min(BLOCK, self.documents - start) for start in starts]
        blocks = zip(starts, sizes, strict=True)
        return np.concatenate([self._block(np.random.default_rng([1, 0, start]), size)[0] for start, size in blocks])

    def questions(self, count: int) -> list[Asked]:
        """Questions about passages of the first version: a vector near one, six of its words."""
        chance = np.random.default_rng(2)
        blocks = -(-self.documents // BLOCK)
        asked = []
        for number in chance.choice(blocks, min(blocks, _ASKED_BLOCKS), replace=False).tolist():
            documents = min(BLOCK, self.documents - number * BLOCK)
            vectors, words = self._block(np.random.default_rng([1, 0, number * BLOCK]), documents)
            for row in chance.integers(len(vectors), size=-(-count // min(blocks, _ASKED_BLOCKS))).tolist():
                away = np.sqrt(1 - _COMMON**2) * self._noise(chance, 1)[0] @ self._rotation
                vector = self._common + _LEAN * (vectors[row] - self._common) + np.sqrt(1 - _LEAN**2) * away
                chosen = words[row][chance.permutation(_WORDS)[:6]]
                asked.append(Asked((vector / np.linalg.norm(vector)).astype(np.float32), _question(chosen)))
        return asked[:count]

    def _block(self, chance: np.random.Generator, documents: int) -> tuple[Floats, Numbers]:
        """Vectors (n, d) and the code points of words (n, words, 3) of so many documents."""
        topics = np.searchsorted(self._topic_shares, chance.random(documents)).repeat(PER_DOCUMENT)
        rows = self._topics[topics] + _OWN * self._noise(chance, len(topics))
        vectors = rows @ self._rotation + self._common
        vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
        ranks = np.searchsorted(self._word_shares, chance.random((len(topics), _WORDS)))
        return vectors, _spelled(ranks)

    def _noise(self, chance: np.random.Generator, rows: int) -> Floats:
        return chance.standard_normal((rows, DIMENSIONS), dtype=np.float32) * self._spectrum


def source(number: int, version: int = 0) -> SourceFile:
    """The file of a document."""
    path = f"/made/{number // 1000:04}/{number:07}.txt"
    return SourceFile(path.encode(), path, b"/made", 1000, version + 1)


def _shares(count: int, exponent: float) -> NDArray[np.float64]:
    """Cumulative Zipf frequencies."""
    shares = np.arange(1, count + 1) ** -exponent
    return np.cumsum(shares / shares.sum())


def _spelled(ranks: Numbers) -> Numbers:
    """Each rank as three syllables, frequent ones not alike."""
    mixed = ranks.astype(np.int64) * 97_000_003 % _SYLLABLES**3
    digits = np.stack([mixed // _SYLLABLES**2, mixed // _SYLLABLES % _SYLLABLES, mixed % _SYLLABLES], axis=-1)
    return (0xAC00 + digits * 18).astype("<u4")


def _strings(points: Numbers) -> list[str]:
    """Code points (n, length) → n strings."""
    made: list[str] = np.ascontiguousarray(points).view(f"<U{points.shape[-1]}").ravel().tolist()
    return made


def _pairs(words: Numbers) -> list[str]:
    return _strings(np.stack([words[:, :2], words[:, 1:]], axis=1).reshape(-1, 2))


def _document(vectors: Floats, words: Numbers, name: Sequence[int]) -> NewDocument:
    texts = [" ".join(_strings(one)) for one in words]
    title = _strings(words[0, :3])
    passages, start = [], 0
    for line, (text, vector, one) in enumerate(zip(texts, vectors, words, strict=True), 1):
        terms = {MORPHEMES: text.split(" "), BIGRAMS: _pairs(one), CONTEXT: title}
        place = Passage(start, start + len(text), line, line)
        passages.append(NewPassage(place, np.array([*name, line, 0], "<i4").tobytes(), vector, terms))
        start += len(text) + 1
    return NewDocument(Extracted("\n".join(texts), "text", title=" ".join(title)), passages)


def _question(words: Numbers) -> Question:
    terms = {
        MORPHEMES: dict.fromkeys(_strings(words), FIELD_WEIGHTS[MORPHEMES]),
        BIGRAMS: dict.fromkeys(_pairs(words), FIELD_WEIGHTS[BIGRAMS]),
        CONTEXT: dict.fromkeys(_strings(words), FIELD_WEIGHTS[CONTEXT]),
    }
    return Question(" ".join(_strings(words)), terms)
