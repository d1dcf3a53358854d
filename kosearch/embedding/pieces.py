"""Lengths of texts where the model's tokenizer is not at hand: pieces that stand in for tokens.

A piece is two syllables of Hangul, two digits, four Latin letters, or one other character. On the five collections of
the README a text of 320 pieces has 1.1 to 1.2 tokens of XLM-RoBERTa's tokenizer a piece in Korean, .8 in English, and
1.51 at most (`python -m tests.benchmarks.pieces`).
"""

from __future__ import annotations

import re
from collections.abc import Sequence

TOKENS_A_PIECE = 1.6
"""The bound for tokenizers made for many languages, which those of Korean models stay below too."""

_PIECE = re.compile(r"[가-힣]{1,2}|[0-9]{1,2}|[A-Za-z]{1,4}|\S")


def offsets(text: str) -> Sequence[tuple[int, int]]:
    """The span of each piece, in order."""
    return [piece.span() for piece in _PIECE.finditer(text)]


def count(text: str) -> int:
    """How many pieces a text has."""
    return sum(1 for _ in _PIECE.finditer(text))


def cut(text: str, most: int) -> str:
    """The text up to the end of its last piece that is allowed."""
    for number, piece in enumerate(_PIECE.finditer(text), 1):
        if number == most:
            return text[: piece.end()]
    return text
