"""A question → ranked passages. `answering` is the door; what prints a hit needs no more than stands here.

The part of a passage that answers a question best, and the words in it that the question shares.

This only chooses what a person is shown first; ranking never depends on it.
"""

from __future__ import annotations

import re
import unicodedata
from bisect import bisect_left
from collections.abc import Sequence
from functools import lru_cache

# Hangul, other CJK and everything else are matched differently, so a run never mixes them.
_RUNS = re.compile(r"[가-힣]+|[一-鿿㐀-䶿]+|[ぁ-ヿ]+|[^\W_ㄱ-ㆎ가-힣一-鿿㐀-䶿ぁ-ヿ]+")
_WHOLE = re.compile(
    r"(?<![가-힣])[가-힣](?![가-힣])|(?<![一-鿿㐀-䶿])[一-鿿㐀-䶿](?![一-鿿㐀-䶿])|[ぁ-ヿ]+|[^\W_ㄱ-ㆎ가-힣一-鿿㐀-䶿ぁ-ヿ]+"
)
"""Those runs of which no part is looked for: a lone character too."""
_MARKS = r"[.!?。！？…]++[\"'”’)\]」』]*+"
_PIECE = re.compile(rf"[.!?。！？…]*+(?:[^\n.!?。！？…]++|{_MARKS}(?!\s))*(?:{_MARKS}|\n|\Z)")
"""A sentence or a line: up to marks that white space follows, wherever it does not begin with them. Possessive are sets
alone: a possessive group loses text before Python 3.11.5 (https://github.com/python/cpython/issues/106052)."""
_STEM = 2
"""Two syllables of a Korean word are enough to recognise it with any particle behind."""
Spans = list[tuple[int, int]]


def shared_spans(text: str, question: str) -> Spans:
    """The spans of `text` that stand in `question` too: whole words, and for Hangul and Hanja every run of
    two or more characters that both contain (so particles and compounds do not hide a word)."""
    words, grams = _shapes(question)
    whole = (run for run in _WHOLE.finditer(text) if run.group().casefold() in words) if words else ()
    return sorted((*(run.span() for run in whole), *_gram_spans(text, grams)))


def snippet(text: str, question: str, size: int, same: Sequence[tuple[str, int, int]] = ()) -> tuple[int, int]:
    """The span of whole sentences, at most `size` characters long where sentences allow, that shares most
    with the question; the passage's beginning when nothing is shared.

    `same` are things that the text writes in another way than the question: a name for each, and its span.
    """
    pieces = [match.span() for match in _PIECE.finditer(text) if match.group().strip()]
    if not pieces:
        return 0, len(text)
    overlaps = [sum(both) for both in zip(_shares(text, pieces, question), _overlaps(pieces, same), strict=True)]
    best = max(
        ((sum(overlaps[first:last]), -first, first, last) for first, last in _windows(pieces, size)),
        key=lambda window: window[:2],
    )
    start, end = pieces[best[2]][0], pieces[best[3] - 1][1]
    while start < end and text[start].isspace():
        start += 1
    while end > start and text[end - 1].isspace():
        end -= 1
    return start, min(end, start + max(size, 1))


def best_sentences(text: str, question: str) -> list[str]:
    """The sentences that share most with the question, in their order; the first alone where nothing is shared."""
    pieces = [match.span() for match in _PIECE.finditer(text) if match.group().strip()] or [(0, len(text))]
    shares = _shares(text, pieces, question)
    most = max(shares)
    chosen = [piece for piece, share in zip(pieces, shares, strict=True) if share == most] if most else pieces[:1]
    return [text[start:end] for start, end in chosen]


@lru_cache(maxsize=16)
def _shapes(question: str) -> tuple[set[str], set[str]]:
    """A question's words that are looked for as a whole, and the pairs of characters of its others."""
    words = {run.group().casefold() for run in _RUNS.finditer(unicodedata.normalize("NFC", question))}
    parted = {word for word in words if len(word) >= _STEM and _is_cjk(word[0])}
    return words - parted, {word[i : i + _STEM] for word in parted for i in range(len(word) - _STEM + 1)}


def _is_cjk(character: str) -> bool:
    return "가" <= character <= "힣" or "㐀" <= character <= "鿿"


def _gram_spans(text: str, grams: set[str]) -> Spans:
    """Where a text has these pairs, those that meet as one."""
    places = []
    for gram in grams:
        place = text.find(gram)
        while place >= 0:
            places.append(place)
            place = text.find(gram, place + 1)
    spans: Spans = []
    for place in sorted(places):
        if spans and (spans[-1][1] > place or (spans[-1][1] == place and _is_one_run(text, place))):
            spans[-1] = (spans[-1][0], place + _STEM)
        else:
            spans.append((place, place + _STEM))
    return spans


def _is_one_run(text: str, place: int) -> bool:
    """Whether what stands before a place and at it are both Hangul, or both Hanja."""
    return (text[place - 1] < "가") == (text[place] < "가")


def _shares(text: str, pieces: Spans, question: str) -> list[int]:
    """How much of a question each sentence of a text holds."""
    shared = [(text[start:end].casefold(), start, end) for start, end in shared_spans(text, question)]
    return _overlaps(pieces, shared)


def _overlaps(pieces: Spans, shared: Sequence[tuple[str, int, int]]) -> list[int]:
    """How much of what is shared each sentence holds, each thing once, so that repeating one word does not win."""
    placed = sorted((first, last, name) for name, first, last in shared)
    starts = [first for first, _, _ in placed]
    overlaps = []
    for start, end in pieces:
        within = placed[bisect_left(starts, start) : bisect_left(starts, end)]
        overlaps.append(sum(map(len, {name for _, last, name in within if last <= end})))
    return overlaps


def _windows(pieces: Sequence[tuple[int, int]], size: int) -> list[tuple[int, int]]:
    windows = []
    for first in range(len(pieces)):
        last = first + 1
        while last < len(pieces) and pieces[last][1] - pieces[first][0] <= size:
            last += 1
        windows.append((first, last))
    return windows
