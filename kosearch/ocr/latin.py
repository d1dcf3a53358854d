"""Words in Latin letters, read a second time by a model of English.

The model of the Korean script takes English words among Korean ones for figures and syllables; that of English takes
Korean ones for letters. Each is sure of its own words, so both read the lines that may have some, and for each word
the one that is sure is believed.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import groupby
from typing import TYPE_CHECKING

import numpy as np

from kosearch.ocr.engine import Budget, Engine, Word

if TYPE_CHECKING:
    from kosearch.ocr.engine import Grey

_PAPER = 255
_SURE, _SURE_OF_FEW = 0.85, 0.9
"""So sure the model of English is of what is English; of one or two letters it has to be surer."""
_FEW = 2
_SURE_ALONE = 0.8
"""What stands by itself, without the Korean words beside it, needs less."""
_MOST_PARTS, _TALLEST = 100, 16_000
"""So many are read, on a picture that is no higher: lines of a page on its side seem to be as high as the page."""
_EDGE = 2
_DOUBTED = 0.6
"""A word that the Korean model is less sure of may be an English one…"""
_KOREAN = 0.8
"""…and its syllables are no others where it is so sure of them."""
_MOSTLY = 0.2
"""A line with fewer such syllables, in parts of its characters, is English as a whole."""
_STICKS_OUT = 0.4
"""A word that reaches further beside another, in parts of the line's height, is not the same one."""
_HANGUL = re.compile(r"[\uac00-\ud7a3]")
_SAID = re.compile(r"\w")
_CAPITAL = re.compile(r"[A-Z]")
_LETTER = re.compile(r"[A-Za-z]")
_LATIN = re.compile(r"[!-~\u00a0-\u00ff\u2010-\u2027]+")


def read_again(sheet: Grey, words: Sequence[Word], latin: Engine, budget: Budget) -> list[Word]:
    """The words of a sheet, those in Latin letters as a model of English reads them. Raises TooSlow."""
    lines = [list(line) for _, line in groupby(words, lambda word: word.line)]
    doubted = [line for line in lines if any(map(_may_be_latin, line))]
    if not doubted:
        return list(words)
    shown = np.full_like(sheet, _PAPER)
    for line in doubted:
        top, bottom = min(word.top for word in line), max(word.bottom for word in line)
        margin = (bottom - top) // 4
        rows = np.s_[max(top - margin, 0) : bottom + margin]
        shown[rows] = sheet[rows]
    found = [list(line) for _, line in groupby(latin.words(shown, budget), lambda word: word.line)]
    merged = [_merged(line, [word for other in found for word in other if _beside(word, line)]) for line in lines]
    return _parts_again(sheet, merged, latin, budget)


def _parts_again(sheet: Grey, lines: Sequence[Sequence[Word]], latin: Engine, budget: Budget) -> list[Word]:
    """The words of lines; those that stand close to Korean ones, as LPG in LPG차 does, are read by themselves."""
    parts = [(at, start, end) for at, line in enumerate(lines) for start, end in _doubted_parts(line)][:_MOST_PARTS]
    highest = max((_height(lines[at]) for at, _, _ in parts), default=1)
    parts = parts[: _TALLEST // (2 * highest)]
    result = [list(line) for line in lines]
    if parts:
        shown, step = _one_below_the_other(sheet, [lines[at] for at, _, _ in parts], [one[1:] for one in parts])
        read: list[list[Word]] = [[] for _ in parts]
        for word in latin.words(shown, budget):
            row = ((word.top + word.bottom) // 2 - step // 4) // step
            read[min(max(row, 0), len(parts) - 1)].append(word)
        # The last first, for places count from the start of a line.
        for (at, start, end), words in reversed(list(zip(parts, read, strict=True))):
            if words and all(_is_latin(word, _SURE_ALONE) for word in words):
                text = " ".join(word.text for word in words)
                first, last = lines[at][start], lines[at][end - 1]
                result[at][start:end] = [replace(first, text=text, right=last.right, confidence=_mean(words))]
    return [word for line in result for word in line]


def _one_below_the_other(
    sheet: Grey, lines: Sequence[Sequence[Word]], parts: Sequence[tuple[int, int]]
) -> tuple[Grey, int]:
    """A picture of parts of lines, and how far each stands below the one before."""
    rows = [(min(word.top for word in line), max(word.bottom for word in line)) for line in lines]
    sides = [
        (max(line[start].left - _EDGE, 0), line[end - 1].right + _EDGE)
        for line, (start, end) in zip(lines, parts, strict=True)
    ]
    step = 2 * max(bottom - top for top, bottom in rows)
    width = max(right - left for left, right in sides) + step
    shown = np.full((step * len(parts) + step // 2, width), _PAPER, np.uint8)
    for number, ((top, bottom), (left, right)) in enumerate(zip(rows, sides, strict=True)):
        cut = sheet[top:bottom, left:right]
        place = step * number + step // 2
        shown[place : place + cut.shape[0], step // 2 : step // 2 + cut.shape[1]] = cut
    return shown, step


def _height(line: Sequence[Word]) -> int:
    return max(1, max(word.bottom for word in line) - min(word.top for word in line))


def _doubted_parts(line: Sequence[Word]) -> Iterator[tuple[int, int]]:
    """Where words stand that are no Korean ones and that nobody is sure of: from a place to another."""
    start = 0
    for plain, group in groupby(line, lambda word: not _HANGUL.search(word.text)):
        words = list(group)
        if plain and any(word.confidence < _DOUBTED and _SAID.search(word.text) for word in words):
            yield start, start + len(words)
        start += len(words)


def _may_be_latin(word: Word) -> bool:
    return bool(_LETTER.search(word.text)) or (word.confidence < _DOUBTED)


def _beside(word: Word, line: Sequence[Word]) -> bool:
    middle = (word.top + word.bottom) / 2
    return min(one.top for one in line) <= middle <= max(one.bottom for one in line)


def _merged(line: Sequence[Word], others: Sequence[Word]) -> list[Word]:
    """A line as both models read it."""
    number = line[0].line
    others = [replace(word, line=number) for word in others]
    korean = sum(len(_HANGUL.findall(word.text)) for word in line if word.confidence >= _KOREAN)
    length = sum(len(word.text) for word in line)
    if others and korean <= _MOSTLY * length and _mean(others) > max(_mean(line), _KOREAN):
        return others
    result = list(line)
    for other in filter(_is_latin, others):
        places = _covered(result, other)
        if places and not any(_is_korean(result[place], other) for place in places):
            result[places[0] : places[-1] + 1] = [other]
    return result


def _is_latin(word: Word, least: float = _SURE) -> bool:
    letters = len(_LETTER.findall(word.text))
    sure = least if letters > _FEW else max(least, _SURE_OF_FEW)
    return word.confidence >= sure and 2 * letters >= len(word.text) and bool(_LATIN.fullmatch(word.text))


def _is_korean(word: Word, other: Word) -> bool:
    """Whether a word is no Latin one, which another is said to be: syllables come out as capitals, if as letters."""
    capitals = 2 * len(_CAPITAL.findall(other.text)) > len(_LETTER.findall(other.text))
    return bool(_HANGUL.search(word.text)) and (word.confidence >= _KOREAN or capitals)


def _covered(line: Sequence[Word], other: Word) -> list[int]:
    """The places of the words that stand where another does; none where one of them is more than that."""
    most = _STICKS_OUT * (other.bottom - other.top)
    places = [at for at, word in enumerate(line) if other.left <= (word.left + word.right) / 2 <= other.right]
    inside = all(line[at].left >= other.left - most and line[at].right <= other.right + most for at in places)
    return places if inside else []


def _mean(words: Sequence[Word]) -> float:
    return sum(word.confidence * len(word.text) for word in words) / sum(len(word.text) for word in words)
