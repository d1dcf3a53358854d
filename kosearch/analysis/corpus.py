"""What an index holds, as analysis looks at it: documents and passages in the order of paths, terms as numbers.

A passage's number in an index follows from the history of that index; here passages are numbered from 0 by their
documents' paths and their own positions, so that no result depends on it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from importlib import import_module
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kosearch.errors import UsageError
from kosearch.index import Snapshot, StoredDocument, StoredPassage
from kosearch.terms import MORPHEMES

Numbers = NDArray[np.int64]
Vectors = NDArray[np.float32]
Progress = Callable[[str, int, int], object]
"""Told what is being done, how much of it is done, and of how much."""

KOREAN, LATIN, IDEOGRAPHS, NONE = 0, 1, 2, 3
"""Languages, as far as letters tell them; NONE has no letters, or none of these."""
LANGUAGES = (KOREAN, LATIN, IDEOGRAPHS, NONE)
LANGUAGE = 0.3
"""The part of a language's mean that is taken off what a document is about (`python -m tests.benchmarks topics`)."""
_PRIOR = 5
"""A language's mean counts as much as the mean of all passages where it is made of so many."""
_AT_ONCE = 2048
_DIGITS = re.compile(r"\d+")
_HANGUL = re.compile("[가-힣]")
_IDEOGRAPH = re.compile("[\u3041-\u30ff\u3400-\u9fff\uf900-\ufaff]")


@dataclass(frozen=True, slots=True)
class Words:
    """The morphemes of passages in their order: those of passage i are `numbers[starts[i]:starts[i + 1]]`."""

    numbers: NDArray[np.int32]
    """Each an index of `names`."""
    starts: Numbers
    names: Sequence[str]
    digits: NDArray[np.bool_]
    """Of each name, whether it has a digit."""
    languages: NDArray[np.int8]
    """Of each name, the language of its letters."""

    def of(self, passage: int) -> NDArray[np.int32]:
        """The words of a passage."""
        return self.numbers[self.starts[passage] : self.starts[passage + 1]]


class Corpus:
    """Documents and passages of one generation, in the order of paths."""

    def __init__(self, snapshot: Snapshot, paths: Sequence[str] = (), progress: Progress | None = None) -> None:
        """`paths` are globs: only documents that match one, where there are any."""
        self.snapshot = snapshot
        self._tell = progress or (lambda _what, _done, _total: None)
        wanted = snapshot.find_documents(paths)
        chosen = None if wanted is None else frozenset(wanted.tolist())
        found = (one for one in snapshot.documents() if one.passages and (chosen is None or one.id in chosen))
        self.documents = sorted(found, key=lambda one: (one.path_bytes, one.member, one.id))
        all_ids, all_vectors = snapshot.vectors()
        owners = snapshot.owners(all_ids)
        ranks = {one.id: rank for rank, one in enumerate(self.documents)}
        of = np.fromiter((ranks.get(owners[number], -1) for number in all_ids.tolist()), np.int64, len(all_ids))
        rows = np.lexsort((all_ids, of))
        rows = rows[np.searchsorted(of[rows], 0) :]
        self.of = of[rows]
        """The document of each passage, as a place in `documents`."""
        self.ids = all_ids[rows]
        """The numbers of passages in the index."""
        self.dimensions = all_vectors.shape[1]
        self._vectors, self._rows = all_vectors, rows
        self.starts = np.searchsorted(self.of, np.arange(len(self.documents) + 1))
        """The passages of document i are those from starts[i] to starts[i + 1]."""

    def __len__(self) -> int:
        return len(self.ids)

    @cached_property
    def words(self) -> Words:
        """The morphemes of all passages."""
        known: dict[str, int] = {}
        parts: list[NDArray[np.int32]] = []
        lengths = np.zeros(len(self.ids) + 1, np.int64)
        for start in range(0, len(self.ids), _AT_ONCE):
            self._tell("passages read", start, len(self.ids))
            for place, terms in enumerate(self.snapshot.terms(self.ids[start : start + _AT_ONCE]), start + 1):
                found = terms[MORPHEMES]
                parts.append(np.array([known.setdefault(one, len(known)) for one in found], np.int32))
                lengths[place] = len(found)
        names = list(known)
        return Words(
            np.concatenate(parts) if parts else np.zeros(0, np.int32),
            np.cumsum(lengths),
            names,
            np.fromiter((_DIGITS.search(one) is not None for one in names), np.bool_, len(names)),
            np.fromiter(map(_language, names), np.int8, len(names)),
        )

    @cached_property
    def languages(self) -> NDArray[np.int8]:
        """The language of each passage: that of most of its words."""
        words = self.words
        counts = np.zeros((len(self), len(LANGUAGES)), np.int64)
        of = np.repeat(np.arange(len(self)), np.diff(words.starts))
        np.add.at(counts, (of, words.languages[words.numbers]), 1)
        counts[:, NONE] = 0
        return np.where(counts.any(axis=1), counts.argmax(axis=1), NONE).astype(np.int8)

    def vectors_of(self, passages: Numbers) -> Vectors:
        """Copies of these passages' vectors (n, d), of length 1."""
        return np.asarray(self._vectors[self._rows[passages]])

    def centred(self, passages: Numbers) -> Vectors:
        """Vectors (n, d) of these passages less the mean of their language, of length 1.

        All vectors of a model lie in one direction, and those of a language in another one besides; without both,
        a cosine tells what two passages share beyond that they are text.
        """
        made = np.empty((len(passages), self.dimensions), np.float32)
        for start in range(0, len(passages), _AT_ONCE):
            part = passages[start : start + _AT_ONCE]
            made[start : start + _AT_ONCE] = unit(self.vectors_of(part) - self._language_means[self.languages[part]])
        return made

    @cached_property
    def _language_means(self) -> Vectors:
        """Of each language the mean of its passages, (languages, d); it leans to that of all where they are few."""
        sums, counts = np.zeros((len(LANGUAGES), self.dimensions)), np.zeros(len(LANGUAGES))
        for start in range(0, len(self), _AT_ONCE):
            part = np.arange(start, min(start + _AT_ONCE, len(self)))
            rows, languages = self.vectors_of(part), self.languages[part]
            for language in LANGUAGES:
                sums[language] += rows[languages == language].sum(axis=0, dtype=np.float64)
                counts[language] += np.count_nonzero(languages == language)
        mean = sums.sum(axis=0) / max(len(self), 1)
        means: Vectors = ((sums + _PRIOR * mean) / (counts[:, None] + _PRIOR)).astype(np.float32)
        return means

    @cached_property
    def spoken(self) -> NDArray[np.int8]:
        """The language of each document: that of most of its passages."""
        counts = np.zeros((len(self.documents), len(LANGUAGES)), np.int64)
        np.add.at(counts, (self.of, self.languages), 1)
        counts[:, NONE] = 0
        return np.where(counts.any(axis=1), counts.argmax(axis=1), NONE).astype(np.int8)

    @cached_property
    def means(self) -> Vectors:
        """The mean of each document's centred vectors, (documents, d), of length 1."""
        return unit(self._sums(self.centred))

    @cached_property
    def subjects(self) -> Vectors:
        """The mean of each document's vectors less that of all, and less a part of its language's, of length 1.

        Documents of one language have more in common than their language: who takes all of it off mixes what people
        keep apart, who leaves it all has a topic for each language.
        """
        rows = self._sums(self.vectors_of) / np.maximum(np.diff(self.starts), 1)[:, None]
        rows -= LANGUAGE * self._language_means[self.spoken]
        return unit(rows - rows.mean(axis=0, dtype=np.float64).astype(np.float32))

    def _sums(self, rows: Callable[[Numbers], Vectors]) -> Vectors:
        """The sum of what each document's passages have, (documents, d)."""
        sums = np.zeros((len(self.documents), self.dimensions), np.float32)
        for first in range(0, len(self.documents), _AT_ONCE):
            starts = self.starts[first : first + _AT_ONCE + 1]
            passages = np.arange(starts[0], starts[-1])
            sums[first : first + _AT_ONCE] = np.add.reduceat(rows(passages), starts[:-1] - starts[0], axis=0)
        return sums

    def stored(self, passages: Sequence[int] | Numbers) -> list[StoredPassage]:
        """Passages with text and document."""
        return self.snapshot.stored(self.ids[np.asarray(passages, np.int64)])

    def text(self, document: int) -> str:
        """The text of a document."""
        return self.snapshot.document_text(self.documents[document].id)

    def words_in(self, document: int) -> int:
        """How many words a document has."""
        return int(self.words.starts[self.starts[document + 1]] - self.words.starts[self.starts[document]])

    def numerals(self, document: int) -> frozenset[str]:
        """The runs of digits in a document's words."""
        words = self.words
        found = words.numbers[words.starts[self.starts[document]] : words.starts[self.starts[document + 1]]]
        numerals = (words.names[one] for one in found[words.digits[found]].tolist())
        return frozenset(run for one in numerals for run in _DIGITS.findall(one))

    def passages_of(self, document: int) -> range:
        """The passages of a document."""
        return range(int(self.starts[document]), int(self.starts[document + 1]))


def unit(rows: Vectors) -> Vectors:
    """Rows (n, d) of length 1; those of length 0 stay."""
    lengths = np.sqrt(np.einsum("ij,ij->i", rows, rows, dtype=np.float64))
    return (rows / np.where(lengths > 0, lengths, 1)[:, None]).astype(np.float32)


def extra(module: str, what: str) -> Any:
    """A module that comes with kosearch[analysis]. Raises UsageError, which names the extra, where it is missing."""
    try:
        return import_module(module)
    except ModuleNotFoundError:
        name = module.partition(".")[0]
        raise UsageError(f"{what} needs {name}, which is not installed", "pip install 'kosearch[analysis]'") from None


def place_of(document: StoredDocument) -> tuple[str, str]:
    """Path and member: what tells documents apart."""
    return document.path, document.member


def language_of(words: Sequence[str]) -> int:
    """The language of most of the words."""
    counts = np.bincount([_language(one) for one in words], minlength=len(LANGUAGES))[:NONE]
    return int(counts.argmax()) if counts.any() else NONE


@lru_cache(maxsize=1 << 16)
def _language(name: str) -> int:
    if _HANGUL.search(name):
        return KOREAN
    if _IDEOGRAPH.search(name):
        return IDEOGRAPHS
    return LATIN if any(map(str.isalpha, name)) else NONE
