"""A picture of a page → its lines in the order of reading, with what the engine thinks of them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import groupby, pairwise
from statistics import median

import numpy as np

from kosearch.ocr import layout
from kosearch.ocr.engine import Budget, Engine, Word
from kosearch.ocr.latin import read_again
from kosearch.ocr.layout import Block, Box, Grey
from kosearch.records import Recognised, RecognisedLine

LEAST_CONFIDENCE = 0.5
"""Below it a picture is turned; what is no better in any direction is no text."""
_PAPER = 255
_MARGIN = 12
"""White around a block, in pixels: the engine loses lines that touch an edge."""
_TALLEST = 8_000
"""Blocks are read together on a sheet that is no higher, in pixels: Tesseract has an end at 32,767, enlarged."""
_SMALL, _RIGHT_HEIGHT = 24, 32
"""Lines of fewer pixels are enlarged to this height."""
_WIDE_GAP = 1.2
_ASKEW = 2.0
"""Degrees from which on the engine reads lines worse than when the page is straightened."""
_BELIEVED, _RIGHT = 0.45, 0.9
"""A line that the engine is so much less sure of than of the page's better ones, or of right ones, is a picture."""
_DEGREES = (0, 90, 180, 270)
_KNOWN, _STRANGE = 0.85, 0.3
"""So sure the engine is of a word that it knows, and of Hanja so little…"""
_PART, _BETWEEN = 0.2, 0.35
"""…where a line has so much of both, in parts of its characters, and no more in between: wear makes much unsure…"""
_MOSTLY = 0.5
"""…and where so many of the lines with words that it knows are such."""


def recognise(picture: Grey, engine: Engine, seconds: float) -> Recognised:
    """The lines of a picture, (height, width) grey values; raises TooSlow after so many seconds of processor time.

    A picture that lies on its side or on its head is turned; `turned` says how far.
    """
    budget = Budget(seconds)
    best = Recognised((), 0.0)
    for degrees in _DEGREES:
        found = _read(np.rot90(picture, degrees // 90), engine, budget)
        if found.confidence > best.confidence:
            best = Recognised(found.lines, found.confidence, degrees, *_size(picture, degrees), found.hanja)
        if best.confidence >= LEAST_CONFIDENCE or not (found.lines or degrees):
            break
    if best.lines and best.confidence < LEAST_CONFIDENCE and not best.hanja:
        return replace(best, hanja=engine.script(layout.evened(picture), budget) == "Han")
    return best


def _size(picture: Grey, degrees: int) -> tuple[int, int]:
    height, width = picture.shape
    return (height, width) if degrees % 180 else (width, height)


def _read(picture: Grey, engine: Engine, budget: Budget) -> Recognised:
    size = picture.shape
    picture, mask, found, rules, angle = _parted(layout.evened(np.ascontiguousarray(picture)))
    clean = np.where(layout.wider(rules, 1), np.uint8(_PAPER), picture) if rules.any() else picture
    lines: list[RecognisedLine] = []
    running: list[list[Word]] = []
    for number, block in enumerate(found):
        if block.rows:
            lines += _table(clean, mask & ~rules, block, number, engine, budget)
        else:
            here = _words(clean, [_trimmed(mask, block.box)], engine, budget)[0]
            running += here
            lines += (_line(words, number) for words in here)
    lines = [_turned_back(line, angle, picture.shape, size) for line in _believed(lines)]
    total = sum(len(line.text) for line in lines)
    sure = sum(line.confidence * len(line.text) for line in lines)
    return Recognised(tuple(lines), sure / total if total else 0.0, hanja=_has_hanja(running))


def _believed(lines: Sequence[RecognisedLine]) -> list[RecognisedLine]:
    """Without what is seen in photos and ornaments."""
    if not lines:
        return []
    usual = float(np.quantile([line.confidence for line in lines], 0.75))
    return [line for line in lines if line.confidence >= _BELIEVED * min(usual, _RIGHT)]


def _turned_back(
    line: RecognisedLine, angle: float, size: tuple[int, ...], original: tuple[int, ...]
) -> RecognisedLine:
    """A line of a page that was straightened, in the pixels of the page as it lay: its middle is where it was."""
    if not angle:
        return line
    sine, cosine = np.sin(np.radians(angle)), np.cos(np.radians(angle))
    across = (line.left + line.right) / 2 - size[1] / 2
    below = line.base - line.height / 2 - size[0] / 2
    middle = cosine * across - sine * below + original[1] / 2
    base = sine * across + cosine * below + original[0] / 2 + line.height / 2
    half = (line.right - line.left) / 2
    return replace(line, left=round(middle - half), right=round(middle + half), base=round(base))


def _has_hanja(lines: Sequence[Sequence[Word]]) -> bool:
    """Whether Hanja seem to stand between Korean words: those it knows, and the others come out as anything."""
    shares = [_shares(line) for line in lines]
    known = [(sure, strange) for sure, strange in shares if sure >= _PART]
    both = sum(strange >= _PART and sure + strange >= 1 - _BETWEEN for sure, strange in known)
    return len(known) > 1 and both >= _MOSTLY * len(known)


def _shares(line: Sequence[Word]) -> tuple[float, float]:
    """The parts of a line's characters that the engine knows, and those that are strange to it."""
    total = sum(len(word.text) for word in line)
    known = sum(len(word.text) for word in line if word.confidence >= _KNOWN)
    strange = sum(len(word.text) for word in line if word.confidence < _STRANGE)
    return known / total, strange / total


def _parted(picture: Grey) -> tuple[Grey, layout.Mask, list[Block], layout.Mask, float]:
    """The picture, its ink, its blocks and its rules, and by how many degrees it was straightened.

    Lines that lie a little askew are no hindrance to the engine, but to finding columns and tables: a page that has
    some is straightened.
    """
    mask = layout.ink(picture)
    if angle := layout.angle_of(mask):
        straight = _straightened(picture, angle)
        straight_mask = layout.ink(straight)
        found, rules = layout.blocks(straight_mask)
        if abs(angle) >= _ASKEW or len(found) > 1 or any(one.rows for one in found):
            return straight, straight_mask, found, rules, angle
        return picture, mask, [Block(Box(0, 0, mask.shape[1], mask.shape[0]))], np.zeros_like(mask), 0.0
    return picture, mask, *layout.blocks(mask), 0.0


def _straightened(picture: Grey, angle: float) -> Grey:
    from PIL import Image

    turned = Image.fromarray(picture).rotate(angle, Image.Resampling.BICUBIC, expand=True, fillcolor=_PAPER)
    return np.asarray(turned)


def _trimmed(mask: layout.Mask, box: Box) -> Box | None:
    """The part of a box that has ink; None where there is none."""
    part = mask[box.top : box.bottom, box.left : box.right]
    rows, columns = np.flatnonzero(part.any(axis=1)), np.flatnonzero(part.any(axis=0))
    if not len(rows):
        return None
    return Box(
        box.left + int(columns[0]),
        box.top + int(rows[0]),
        box.left + int(columns[-1]) + 1,
        box.top + int(rows[-1]) + 1,
    )


def _table(
    picture: Grey, mask: layout.Mask, block: Block, number: int, engine: Engine, budget: Budget
) -> Iterator[RecognisedLine]:
    """A table's rows, each cell's lines joined."""
    inner = [[_trimmed(mask, _within(cell)) for cell in row] for row in block.rows]
    read = iter(_words(picture, [cell for row in inner for cell in row], engine, budget))
    for row, boxes in zip(inner, block.rows, strict=True):
        cells = [[word for line in next(read) for word in line] for _ in row]
        words = [word for cell in cells for word in cell]
        if words:
            text = " ".join(_text(cell) for cell in cells if cell)
            left, right = min(box.left for box in boxes), max(box.right for box in boxes)
            bottom = max(word.bottom for word in words)
            yield RecognisedLine(text, left, right, bottom, _height(words), number, True, _confidence(words))


def _within(cell: Box) -> Box:
    edge = 3
    return Box(cell.left + edge, cell.top + edge, max(cell.right - edge, 0), max(cell.bottom - edge, 0))


def _words(picture: Grey, boxes: Sequence[Box | None], engine: Engine, budget: Budget) -> list[list[list[Word]]]:
    """For each box the words of its lines."""
    sheets: list[list[Box]] = []
    filled = _TALLEST
    for box in filter(None, boxes):
        if filled + box.bottom - box.top + _MARGIN > _TALLEST:
            sheets.append([])
            filled = 0
        sheets[-1].append(box)
        filled += box.bottom - box.top + _MARGIN
    result = iter([words for sheet in sheets for words in _sheet(picture, sheet, engine, budget)])
    return [next(result) if box is not None else [] for box in boxes]


def _sheet(picture: Grey, shown: Sequence[Box], engine: Engine, budget: Budget) -> list[list[list[Word]]]:
    """For each box the words of its lines: the boxes are set one below the other and read at once."""
    width = max(box.right - box.left for box in shown) + 2 * _MARGIN
    heights = [box.bottom - box.top + _MARGIN for box in shown]
    sheet = np.full((sum(heights) + _MARGIN, width), _PAPER, np.uint8)
    tops, top = [], _MARGIN
    for box, height in zip(shown, heights, strict=True):
        sheet[top : top + box.bottom - box.top, _MARGIN : _MARGIN + box.right - box.left] = picture[
            box.top : box.bottom, box.left : box.right
        ]
        tops.append(top)
        top += height
    scale = _scale(sheet)
    sheet = _scaled(sheet, scale)
    found = engine.words(sheet, budget)
    if engine.latin is not None:
        found = read_again(sheet, found, engine.latin, budget)
    of_box: list[list[list[Word]]] = [[] for _ in shown]
    for _, line in groupby(found, lambda word: word.line):
        words = list(line)
        middle = sum(word.top + word.bottom for word in words) / len(words) / 2 / scale
        place = max((at for at, one in enumerate(tops) if one - _MARGIN / 2 <= middle), default=0)
        across, down = shown[place].left - _MARGIN, shown[place].top - tops[place]
        of_box[place].append([_moved(word, scale, across, down) for word in words])
    return of_box


def _moved(word: Word, scale: float, across: int, down: int) -> Word:
    left, top, right, bottom = (round(value / scale) for value in (word.left, word.top, word.right, word.bottom))
    return replace(word, left=left + across, top=top + down, right=right + across, bottom=bottom + down)


def _scale(sheet: Grey) -> float:
    height = layout.line_height(layout.ink(sheet))
    return _RIGHT_HEIGHT / height if height < _SMALL else 1.0


def _scaled(sheet: Grey, scale: float) -> Grey:
    if scale == 1.0:
        return sheet
    from PIL import Image

    height, width = sheet.shape
    size = round(width * scale), round(height * scale)
    return np.asarray(Image.fromarray(sheet).resize(size, Image.Resampling.BICUBIC))


def _line(words: Sequence[Word], block: int) -> RecognisedLine:
    height = _height(words)
    gaps = [after.left - before.right for before, after in pairwise(words)]
    row = any(gap > _WIDE_GAP * height for gap in gaps)
    base = round(median(word.bottom for word in words))
    return RecognisedLine(_text(words), words[0].left, words[-1].right, base, height, block, row, _confidence(words))


def _text(words: Sequence[Word]) -> str:
    return "".join(f" {word.text}" if word.spaced and number else word.text for number, word in enumerate(words))


def _height(words: Sequence[Word]) -> int:
    return round(median(word.bottom - word.top for word in words))


def _confidence(words: Sequence[Word]) -> float:
    total = sum(len(word.text) for word in words)
    return sum(word.confidence * len(word.text) for word in words) / total
