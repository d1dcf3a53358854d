"""A question → ranked passages. `answering` is the door; what prints a hit needs no more than stands here.

The part of a passage that answers a question best, and the words in it that the question shares.

This only chooses what a person is shown first; ranking never depends on it.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from functools import lru_cache

# Hangul, other CJK and everything else are matched differently, so a run never mixes them.
_RUNS = re.compile(r"[가-힣]+|[一-鿿㐀-䶿]+|[ぁ-ヿ]+|[^\W_ㄱ-ㆎ가-힣一-鿿㐀-䶿ぁ-ヿ]+")
_PIECE = re.compile(r".+?(?:(?<![.!?。！？…])[.!?。！？…]++[\"'”’)\]」』]*+(?=\s)|\n|$)", re.DOTALL)
_STEM = 2
"""Two syllables of a Korean word are enough to recognise it with any particle behind."""


def shared_spans(text: str, question: str) -> list[tuple[int, int]]:
    """The spans of `text` that stand in `question` too: whole words, and for Hangul and Hanja every run of
    two or more characters that both contain (so particles and compounds do not hide a word)."""
    return _spans(text, *_shapes(question))


def _spans(text: str, words: set[str], grams: set[str]) -> list[tuple[int, int]]:
    spans: list[tuple[int, int]] = []
    for run in _RUNS.finditer(text):
        word = run.group().casefold()
        if word in words:
            spans.append(run.span())
        elif _is_cjk(word[0]):
            spans.extend(_gram_spans(word, grams, run.start()))
    return spans


def snippet(text: str, question: str, size: int, same: Sequence[tuple[str, int, int]] = ()) -> tuple[int, int]:
    """The span of whole sentences, at most `size` characters long where sentences allow, that shares most
    with the question; the passage's beginning when nothing is shared.

    `same` are things that the text writes in another way than the question: a name for each, and its span.
    """
    pieces = [match.span() for match in _PIECE.finditer(text) if match.group().strip()]
    if not pieces:
        return 0, len(text)
    overlaps = [
        _overlap(text[start:end], question)
        + sum(map(len, {name for name, first, last in same if start <= first and last <= end}))
        for start, end in pieces
    ]
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


def best_sentence(text: str, question: str) -> str:
    """The sentence that shares most with the question; the first where nothing is shared."""
    start, _ = snippet(text, question, 1)
    found = _PIECE.match(text, start)
    return found.group() if found else ""


@lru_cache(maxsize=16)
def _shapes(question: str) -> tuple[set[str], set[str]]:
    words = {run.group().casefold() for run in _RUNS.finditer(unicodedata.normalize("NFC", question))}
    grams = {word[i : i + _STEM] for word in words if _is_cjk(word[0]) for i in range(len(word) - _STEM + 1)}
    return words, grams


def _is_cjk(character: str) -> bool:
    return "가" <= character <= "힣" or "㐀" <= character <= "鿿"


def _gram_spans(word: str, grams: set[str], offset: int) -> list[tuple[int, int]]:
    spans: list[tuple[int, int]] = []
    for i in range(len(word) - _STEM + 1):
        if word[i : i + _STEM] not in grams:
            continue
        start, end = offset + i, offset + i + _STEM
        if spans and spans[-1][1] >= start:
            spans[-1] = (spans[-1][0], end)
        else:
            spans.append((start, end))
    return spans


@lru_cache(maxsize=1024)  # a hit's sentences are compared for its excerpt, and some of them for its page
def _overlap(piece: str, question: str) -> float:
    """How much of the question a sentence holds: distinct shared text, so that repeating one word does not win."""
    spans = _spans(piece, *_shapes(question))
    return float(sum(len(shared) for shared in {piece[a:b].casefold() for a, b in spans}))


def _windows(pieces: Sequence[tuple[int, int]], size: int) -> list[tuple[int, int]]:
    windows = []
    for first in range(len(pieces)):
        last = first + 1
        while last < len(pieces) and pieces[last][1] - pieces[first][0] <= size:
            last += 1
        windows.append((first, last))
    return windows
