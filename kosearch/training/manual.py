"""A small collection that comes with kosearch, to see what becomes of everything else: its own manual.

A paragraph's first sentence asks for the rest of it (the inverse cloze task: Lee, Chang and Toutanova 2019), in Korean
and in English. What a model has learnt from a user's documents should not cost it that.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from importlib.resources import files

import numpy as np
from numpy.typing import NDArray

from kosearch.embedding import Embedder, Head
from kosearch.training.gains import Gain, gain

Vectors = NDArray[np.float32]

MOST = 100
"""Paragraphs of a language."""
_LONGEST = 400
"""Characters of what is looked for…"""
_SHORTEST = 80
"""…and so many at least."""
_FIRST = re.compile(r"(.{20,160}?[.:?])\s+(?=\S)", re.DOTALL)
_MARKS = re.compile(r"^```[\s\S]*?^```$|^\|.*$|^#.*$|[*`\[\]]|\((?:https?:|\w+\.md|#)[^)]*\)", re.MULTILINE)


def paragraphs() -> list[tuple[str, str]]:
    """First sentences, and what they ask for."""
    pages = files("kosearch") / "docs"
    found: list[tuple[str, str]] = []
    for folder in (pages, pages / "ko"):
        texts = [
            one.read_text(encoding="utf-8")
            for one in sorted(folder.iterdir(), key=lambda one: one.name)
            if one.name.endswith(".md")
        ]
        some = [pair for text in texts for pair in _pairs(text)]
        found += some[:: max(1, len(some) // MOST)][:MOST]
    return found


def _pairs(page: str) -> Iterator[tuple[str, str]]:
    for paragraph in re.split(r"\n\s*\n|\n(?=[-*] )", _MARKS.sub("", page)):
        text = " ".join(paragraph.lstrip("- ").split())
        first = _FIRST.match(text)
        if first and len(text) - first.end() >= _SHORTEST:
            yield first[1], text[first.end() :][:_LONGEST]


class Manual:
    """The manual's vectors by a model, and how well its sentences find their paragraphs."""

    def __init__(self, embedder: Embedder) -> None:
        asked, given = zip(*paragraphs(), strict=True)
        self.texts: tuple[Sequence[str], Sequence[str]] = (asked, given)
        """First sentences, and the rest of their paragraphs."""
        self._vectors: Vectors = np.stack([embedder.embed_queries(asked), embedder.embed_passages(given)])

    def after(self, head: Head) -> Gain:
        """nDCG@10 by meaning alone, before and after a head."""
        return self.gain(*map(head, self._vectors))

    def gain(self, asked: Vectors, given: Vectors) -> Gain:
        """The same before, and by other vectors."""
        before, after = _ndcg(self._vectors[0] @ self._vectors[1].T), _ndcg(asked @ given.T)
        return gain(before, after, np.arange(len(asked)))


def _ndcg(cosines: Vectors) -> NDArray[np.float64]:
    """nDCG@10 of each row, whose answer stands in its own column: 1 / log2(1 + rank)."""
    ranks = 1 + (cosines > np.diag(cosines)[:, None]).sum(axis=1)
    found: NDArray[np.float64] = np.where(ranks <= 10, 1 / np.log2(1 + ranks), 0.0)
    return found
