"""Where text stands in a picture of a page: how it is turned, its tables and their cells, its columns.

Everything is found in a mask of the ink, by projections; lengths are in its pixels unless they say otherwise.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

Mask = NDArray[np.bool_]
Grey = NDArray[np.uint8]

_PAPER = 255
_WINDOW = 48
"""Ink is darker than what lies around it, in a square so wide."""
_DARKER = 0.82
_ANGLES, _STEEP = np.arange(-3.0, 3.01, 0.2), np.arange(-15.0, 15.01, 0.5)
"""Degrees that a page lies askew: as a rule, and at most…"""
_SURE = 2.0
"""…where its lines are by so much sharper than as it lies."""
_POINTS = 60_000
_LEAST_ANGLE = 0.25
_RULE_WIDTH, _RULE_HEIGHT = 0.06, 0.03
"""A rule is so long, in parts of the page's width…"""
_LARGEST = 0.08
"""…and longer than letters are high, which are no higher than that."""
_THICKEST = 6
_TOUCH = 5
"""…and ends so near another that it meets."""
_GUTTER = 1.2
"""Between columns lies so much white, in heights of a line…"""
_SPARSE = 0.004
"""…with ink on no more than this share of it."""
_NARROWEST = 0.15
"""A column's width, in parts of the page's."""
_FEWEST_LINES, _SHORTEST = 4, 8
"""A column of text has so many lines, and some that are so many times as long as they are high."""
_FULL, _MOSTLY = 0.6, 0.5
"""So many lines of a column are so full; what is less so is a table without rules, or a list."""
_BAR = 0.25
"""What is dark without a break over so much of a page's height is no text: a book's fold, a frame, an edge."""
_USUAL_HEIGHT = 20
_STRIPS = 24
_SPECK = 5
_CELL = 32
"""The light is measured in squares so wide…"""
_AROUND = 5
"""…of which so many on each side share it: what is dark in a narrower band is meant to be."""
_EVEN = 0.97
"""A page whose paper is everywhere so near the lightest there is, lies in an even light."""
_FINE, _GRAINY, _BLUR = 0.01, 0.06, 1.15
"""Grain in parts of the paper's light: so little is none, and so much is blurred by so many pixels."""
_MOST_GRAIN = 0.3
_QUARTILE = 0.674
"""In deviations."""
_LIGHT_CELLS = 0.02
"""Where no more of a page than that is lighter than the middle between its darkest and its lightest, light is ink."""
_SOLID, _BESIDE = 8, 0.6
"""What lies beside the paper is dark in whole squares of so many pixels."""


class Box(NamedTuple):
    """A part of the picture: [left, right) and [top, bottom)."""

    left: int
    top: int
    right: int
    bottom: int


@dataclass(frozen=True, slots=True)
class Block:
    """What is read together: a block of lines, or a table's cells, each of the row that it begins in."""

    box: Box
    rows: tuple[tuple[Box, ...], ...] = ()


def evened(picture: Grey) -> Grey:
    """The picture as if it lay in an even light: its paper white, with little grain and nothing beside it.

    A page that is so already is returned itself; one of light letters on dark is turned into its opposite.
    """
    if _is_negative(picture):
        picture = _PAPER - picture
    paper, white, grain = _light(picture)
    if grain > _GRAINY:
        picture = _blurred(picture)
        paper, white, grain = _light(picture)
    even = paper.min() >= _EVEN * _PAPER
    if even and grain < _FINE and white > _EVEN:
        return picture
    result = np.minimum(picture / paper * np.float32(_PAPER / white), _PAPER).astype(np.uint8)
    if not even:
        result[_beside(result)] = _PAPER
    return result


def _is_negative(picture: Grey) -> bool:
    """Whether the letters are lighter than the paper. A page on a dark table has paper of its own, in whole squares."""
    darkest, lightest = np.percentile(picture[::3, ::3], (0.5, 99.5))
    return (
        bool((_levels(picture) > (darkest + lightest) / 2).mean() <= _LIGHT_CELLS) and lightest - darkest > _PAPER / 4
    )


def _light(picture: Grey) -> tuple[NDArray[np.float32], float, float]:
    """How light the paper is at each place; from what share of that on all is white; and how grainy it is.

    Lighter than paper is nothing: its median is paper, and what is a quarter darker tells its grain's deviation.
    """
    paper = _paper(picture)
    sample = picture[::3, ::3] / paper[::3, ::3]
    middle = min(float(np.median(sample)), 1.0)
    light = sample[sample > middle / 2]
    grain = (middle - float(np.percentile(light, 25))) / _QUARTILE if light.size else 0.0
    return paper, middle - min(grain, _MOST_GRAIN), grain


def _blurred(picture: Grey) -> Grey:
    """Strokes that grain broke into dots are whole again; a median would take dots and thin strokes away."""
    from PIL import Image, ImageFilter

    return np.asarray(Image.fromarray(picture).filter(ImageFilter.GaussianBlur(_BLUR)))


def _paper(picture: Grey) -> NDArray[np.float32]:
    """How light the paper is at each place."""
    lightest = _most(_most(_levels(picture), _AROUND, 0), _AROUND, 1)
    smooth = np.maximum(_mean(lightest, _AROUND // 2), 1.0)
    return _enlarged(smooth, picture.shape)


def _levels(picture: Grey) -> NDArray[np.float32]:
    """The median of each square."""
    height, width = picture.shape
    rows, columns = -(-height // _CELL), -(-width // _CELL)
    padded = np.pad(picture, ((0, rows * _CELL - height), (0, columns * _CELL - width)), mode="edge")
    cells = padded.reshape(rows, _CELL, columns, _CELL)[:, ::3, :, ::3]
    levels: NDArray[np.float32] = np.median(cells, axis=(1, 3)).astype(np.float32)
    return levels


def _most(values: NDArray[np.float32], reach: int, axis: int) -> NDArray[np.float32]:
    """Of each place the largest value that is no further away on an axis."""
    windows = np.lib.stride_tricks.sliding_window_view(
        np.pad(values, [(reach, reach) if one == axis else (0, 0) for one in (0, 1)], mode="edge"), 2 * reach + 1, axis
    )
    return np.asarray(windows.max(axis=-1), np.float32)


def _enlarged(cells: NDArray[np.float32], shape: tuple[int, int]) -> NDArray[np.float32]:
    """Values at the middles of cells, and between them what lies between."""
    for axis, length in enumerate(shape):
        places = np.clip((np.arange(length) + 0.5) / _CELL - 0.5, 0, cells.shape[axis] - 1)
        first = np.minimum(places.astype(np.intp), max(cells.shape[axis] - 2, 0))
        part = (places - first).astype(np.float32)
        part = part[:, None] if axis == 0 else part[None, :]
        second = np.minimum(first + 1, cells.shape[axis] - 1)
        cells = np.take(cells, first, axis) * (1 - part) + np.take(cells, second, axis) * part
    return cells


def _beside(picture: Grey) -> Mask:
    """What is dark in whole squares from the picture's edge on: a table that a page lies on, a scanner's lid."""
    height, width = picture.shape
    half = _SOLID // 2
    rows, columns = height // _SOLID, width // _SOLID
    fine = picture[: rows * _SOLID, : columns * _SOLID].reshape(2 * rows, half, 2 * columns, half).mean(axis=(1, 3))
    solid = fine.reshape(rows, 2, columns, 2).max(axis=(1, 3), initial=0) < _BESIDE * _PAPER
    reached = np.zeros_like(solid)
    reached[[0, -1]] = solid[[0, -1]]
    reached[:, [0, -1]] = solid[:, [0, -1]]
    for _ in range(rows + columns):
        grown = wider(reached, 1) & solid
        if (grown == reached).all():
            break
        reached = grown
    near = np.repeat(np.repeat(wider(reached, 1), _SOLID, axis=0), _SOLID, axis=1)
    near = np.pad(near, ((0, height - near.shape[0]), (0, width - near.shape[1])), mode="edge")
    return np.asarray(near & (picture < _EVEN * _PAPER), np.bool_)


def ink(picture: Grey) -> Mask:
    """What is dark against its surroundings, whatever the light."""
    bounds = np.ceil(np.minimum(np.arange(_PAPER + 1) * _DARKER, _PAPER - 30)).astype(np.uint8)
    dark = picture < bounds[_box_mean(picture, _WINDOW)]
    # A speck of noise stands alone.
    return np.asarray(dark & (_box_mean(dark, 1) > 2.5 / 9 * _PAPER), np.bool_)


def angle_of(mask: Mask) -> float:
    """How many degrees the lines rise to the left; 0.0 where they lie straight, or there are none."""
    rows, columns = np.nonzero(mask)
    if len(rows) < 500:
        return 0.0
    if len(rows) > _POINTS:  # by chance: every other one would lie on lines of its own
        some = np.random.default_rng(0).choice(len(rows), _POINTS, replace=False)
        rows, columns = rows[some], columns[some]

    def sharpness(angle: float) -> float:
        along = rows - columns * np.tan(np.radians(angle))
        counts = np.bincount((along - along.min()).astype(np.intp)).astype(np.float64)
        return float(np.square(np.diff(counts)).sum())

    steep = float(max(_STEEP, key=sharpness))
    if abs(steep) > _ANGLES[-1] and sharpness(steep) > _SURE * sharpness(0.0):
        return float(max(steep + np.arange(-0.4, 0.41, 0.2), key=sharpness))
    found = float(max(_ANGLES, key=sharpness))
    return found if abs(found) >= _LEAST_ANGLE else 0.0


def blocks(mask: Mask) -> tuple[list[Block], Mask]:
    """The blocks of a page in the order in which they are read; and the rules, which are no text."""
    across, down = _rules(mask)
    rules = across | down | _long(mask.T, max(1, round(_BAR * mask.shape[0]))).T
    tables = list(_tables(across, down))
    text = mask & ~wider(rules, 1)
    for table in tables:
        text[table.box.top : table.box.bottom, table.box.left : table.box.right] = False
    height = line_height(text)
    width = mask.shape[1]
    found: list[Block] = []
    edges = sorted({0, mask.shape[0], *(place for one in tables for place in (one.box.top, one.box.bottom))})
    for top, bottom in pairwise(edges):
        found += (one for one in tables if one.box.top == top)
        found += (Block(box) for box in _columns(text, Box(0, top, width, bottom), height, width))
    return found, rules


def line_height(mask: Mask) -> int:
    """The usual height of a line, seen in strips so narrow that a line that rises is as high as another."""
    strips = np.array_split(mask, _STRIPS, axis=1)
    heights = [end - start for strip in strips for start, end in _runs(strip.any(axis=1)) if end - start > _SPECK]
    return int(np.median(heights)) if heights else _USUAL_HEIGHT


def _mean(values: NDArray[np.float32], reach: int) -> NDArray[np.float32]:
    """Of each place the mean of the square around it that reaches so far, within the picture."""
    height, width = values.shape
    total = np.zeros((height + 1, width + 1), np.float64)
    np.cumsum(np.cumsum(values, axis=0, dtype=np.float64), axis=1, out=total[1:, 1:])
    top, bottom = np.maximum(np.arange(height) - reach, 0), np.minimum(np.arange(height) + reach + 1, height)
    left, right = np.maximum(np.arange(width) - reach, 0), np.minimum(np.arange(width) + reach + 1, width)
    sums = total[bottom][:, right] - total[top][:, right] - total[bottom][:, left] + total[top][:, left]
    area = (bottom - top)[:, None] * (right - left)[None, :]
    return np.asarray(sums / area, np.float32)


def _box_mean(values: Grey | Mask, reach: int) -> Grey:
    """The same for a whole page, rounded; true is 255."""
    from PIL import Image, ImageFilter

    levels = values * np.uint8(_PAPER) if values.dtype == np.bool_ else values
    return np.asarray(Image.fromarray(levels).filter(ImageFilter.BoxBlur(reach)))


def wider(mask: Mask, reach: int) -> Mask:
    return np.asarray(_box_mean(mask, reach) > 0, np.bool_) if mask.size else mask


def _runs(values: ArrayLike) -> list[tuple[int, int]]:
    """Where values are true, as [start, end)."""
    changes = np.flatnonzero(np.diff(np.asarray(values, np.int8), prepend=0, append=0))
    return [(int(start), int(end)) for start, end in zip(changes[::2], changes[1::2], strict=True)]


# --- rules and tables ---------------------------------------------------------------------------------------------


def _rules(mask: Mask) -> tuple[Mask, Mask]:
    """Lines that are drawn across and down: long, straight, thin, and no strokes of large letters."""
    width = mask.shape[1]
    letter = min(line_height(mask), round(_LARGEST * width))
    across = _thin(_long(mask, max(40, round(_RULE_WIDTH * width), 3 * letter)).T).T
    down = _thin(_long(mask.T, max(30, round(_RULE_HEIGHT * width), letter)).T)
    drawn = list(_segments(across))
    result = np.zeros_like(mask)
    for top, left, bottom, right in _segments(down.T):
        one = Box(left, top, right, bottom)
        if bottom - top >= 4 * letter or any(_meet(one, other) for other in drawn):
            result[top:bottom, left:right] = down[top:bottom, left:right]
    return across, result


def _long(mask: Mask, least: int) -> Mask:
    """The runs in rows that are at least so long."""
    result = np.zeros_like(mask)
    padded = np.zeros((mask.shape[0], mask.shape[1] + 2), np.int8)
    padded[:, 1:-1] = mask
    change = np.diff(padded, axis=1)
    starts, ends = np.nonzero(change == 1), np.nonzero(change == -1)
    for row, start, end in zip(starts[0], starts[1], ends[1], strict=True):
        if end - start >= least:
            result[row, start:end] = True
    return result


def _thin(rules: Mask) -> Mask:
    """The rules without what is thick across: pictures and bars, not lines."""
    return rules & ~_long(rules, _THICKEST + 1)


def _tables(across: Mask, down: Mask) -> Iterator[Block]:
    """Rules that meet in a grid, with the cells that they part."""
    for box in _grids(across, down):
        part = np.s_[box.top : box.bottom, box.left : box.right]
        rows, columns = _places(across[part].sum(axis=1)), _places(down[part].sum(axis=0))
        if len(rows) < 2 or len(columns) < 2 or len(rows) + len(columns) < 5:
            continue
        yield Block(box, _cells(across, down, [box.top + one for one in rows], [box.left + one for one in columns]))


def _grids(across: Mask, down: Mask) -> Iterator[Box]:
    """The outlines of rules that meet each other, both ways."""
    segments = [*_segments(across), *(Box(one.top, one.left, one.bottom, one.right) for one in _segments(down.T))]
    groups: list[tuple[Box, list[Box]]] = []
    for segment in segments:
        box, inside = segment, [segment]
        rest = []
        for other, members in groups:
            if any(_meet(segment, one) for one in members):
                inside += members
                box = Box(*map(min, box[:2], other[:2]), *map(max, box[2:], other[2:]))
            else:
                rest.append((other, members))
        groups = [*rest, (box, inside)]
    return (box for box, members in groups if len(members) >= 4)


def _segments(across: Mask) -> Iterator[Box]:
    """Rules across, those of neighbouring rows as one."""
    open_: list[Box] = []
    for row in np.flatnonzero(across.any(axis=1)):
        here = _runs(across[row])
        still = []
        for one in open_:
            touching = [run for run in here if run[0] < one.right + _TOUCH and one.left < run[1] + _TOUCH]
            if row - one.bottom > 1 or not touching:
                yield one
                continue
            here = [run for run in here if run not in touching]
            left, right = min(start for start, _ in touching), max(end for _, end in touching)
            still.append(Box(min(one.left, left), one.top, max(one.right, right), int(row) + 1))
        open_ = [*still, *(Box(start, int(row), end, int(row) + 1) for start, end in here)]
    yield from open_


def _meet(one: Box, other: Box) -> bool:
    return (
        one.left <= other.right + _TOUCH
        and other.left <= one.right + _TOUCH
        and one.top <= other.bottom + _TOUCH
        and other.top <= one.bottom + _TOUCH
    )


def _places(lengths: NDArray[np.int_]) -> list[int]:
    """Where rules lie, double ones and thick ones once."""
    places: list[tuple[int, int]] = []
    for start, end in _runs(lengths > 0):
        if places and start - places[-1][1] <= _TOUCH + 3:
            places[-1] = places[-1][0], end
        else:
            places.append((start, end))
    return [(start + end) // 2 for start, end in places]


def _cells(across: Mask, down: Mask, rows: Sequence[int], columns: Sequence[int]) -> tuple[tuple[Box, ...], ...]:
    """The cells of a grid; those that no rule parts are one."""
    height, width = len(rows) - 1, len(columns) - 1
    owner = np.arange(height * width).reshape(height, width)

    def join(one: int, other: int) -> None:
        owner[owner == max(one, other)] = min(one, other)

    for row in range(height):
        for column in range(width):
            top, bottom, left, right = rows[row], rows[row + 1], columns[column], columns[column + 1]
            if column + 1 < width and not _parted(down[top:bottom, right - _TOUCH : right + _TOUCH + 1].T):
                join(owner[row, column], owner[row, column + 1])
            if row + 1 < height and not _parted(across[bottom - _TOUCH : bottom + _TOUCH + 1, left:right]):
                join(owner[row, column], owner[row + 1, column])
    found: list[list[Box]] = [[] for _ in range(height)]
    for cell in dict.fromkeys(owner.ravel().tolist()):
        inside = np.argwhere(owner == cell)
        (top, left), (bottom, right) = inside.min(axis=0), inside.max(axis=0)
        found[top].append(Box(columns[left], rows[top], columns[right + 1], rows[bottom + 1]))
    return tuple(tuple(sorted(row)) for row in found if row)


def _parted(strip: Mask) -> bool:
    """Whether a rule lies along the strip, for the most part of it."""
    return bool(strip.any(axis=0).mean() > 0.5) if strip.size else False


# --- columns ------------------------------------------------------------------------------------------------------


def _columns(mask: Mask, box: Box, height: int, width: int) -> Iterator[Box]:
    """The columns of text in a part of the page, from left to right; bands across the page apart."""
    plain: list[Box] = []
    for band, gutter in _grouped(mask, box, height, width):
        if gutter is None:
            plain.append(band)
            continue
        if plain:
            yield _around(plain)
            plain = []
        start, end = gutter
        middle = (start + end) // 2
        yield from _columns(mask, band._replace(right=middle), height, width)
        yield from _columns(mask, band._replace(left=middle), height, width)
    if plain:
        yield _around(plain)


def _around(boxes: Sequence[Box]) -> Box:
    return Box(
        min(one.left for one in boxes), boxes[0].top, max(one.right for one in boxes), max(one.bottom for one in boxes)
    )


def _grouped(mask: Mask, box: Box, height: int, width: int) -> Iterator[tuple[Box, tuple[int, int] | None]]:
    """Bands one below the other: such that one gutter parts, and those that none does."""
    group: list[Box] = []
    gutter: tuple[int, int] | None = None
    for band in _bands(mask, box, height):
        here = _gutters(mask, band, height, width)
        shared = gutter and next((one for one in (_overlap(gutter, other) for other in here) if one), None)
        if shared and shared[1] - shared[0] >= _GUTTER * height:
            group, gutter = [*group, band], shared
            continue
        yield from _closed(mask, group, gutter, height)
        group, gutter = [band], max(here, key=lambda one: one[1] - one[0], default=None)
    yield from _closed(mask, group, gutter, height)


def _closed(
    mask: Mask, group: Sequence[Box], gutter: tuple[int, int] | None, height: int
) -> Iterator[tuple[Box, tuple[int, int] | None]]:
    if not group:
        return
    whole = _around(group)
    if gutter is not None and _is_text(mask, whole, gutter, height):
        yield whole, gutter
    else:
        yield from ((band, None) for band in group)


def _overlap(one: tuple[int, int], other: tuple[int, int]) -> tuple[int, int] | None:
    start, end = max(one[0], other[0]), min(one[1], other[1])
    return (start, end) if start < end else None


def _bands(mask: Mask, box: Box, height: int) -> Iterator[Box]:
    """Parts one below the other with white of a line's height between them."""
    rows = mask[box.top : box.bottom, box.left : box.right].any(axis=1)
    runs = _runs(rows)
    start = 0
    for place, (_, end) in enumerate(runs):
        if place + 1 == len(runs) or runs[place + 1][0] - end >= height:
            yield Box(box.left, box.top + runs[start][0], box.right, box.top + end)
            start = place + 1


def _gutters(mask: Mask, band: Box, height: int, width: int) -> list[tuple[int, int]]:
    """White from top to bottom of a band, with room for a column on both sides of it; its edges may be white too."""
    part = mask[band.top : band.bottom, band.left : band.right]
    white = part.mean(axis=0) <= _SPARSE
    least = _NARROWEST * width
    found = []
    for first, last in _runs(white):
        start, end = max(first, round(least)), min(last, part.shape[1] - round(least))
        if end - start >= _GUTTER * height:
            found.append((band.left + start, band.left + end))
    return found


def _is_text(mask: Mask, box: Box, gutter: tuple[int, int], height: int) -> bool:
    """Whether both sides of a gutter are columns of running text."""
    for left, right in ((box.left, gutter[0]), (gutter[1], box.right)):
        part = mask[box.top : box.bottom, left:right]
        lines = [run for run in _runs(part.any(axis=1)) if run[1] - run[0] > height / 3]
        if len(lines) < _FEWEST_LINES:
            return False
        extents = [np.flatnonzero(part[start:end].any(axis=0)) for start, end in lines]
        lengths = [int(one[-1] - one[0]) for one in extents]
        longest = max(lengths)
        full = sum(length >= _FULL * longest for length in lengths)
        if longest < _SHORTEST * height or full < _MOSTLY * len(lines):
            return False
    return True
