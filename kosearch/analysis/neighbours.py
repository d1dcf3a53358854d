"""Which vectors are near each other, found exactly and without comparing all of them in full.

Vectors are turned so that their first few numbers hold most of what tells them apart, and what the rest could add to
a product is known from its length (Cauchy and Schwarz): where the first numbers and those lengths together stay below
what is asked for, the full product does too. So nothing is missed, at a fraction of the multiplications, where a graph
may miss some. 200,000 passages take 140 s of processor time (`python -m tests.benchmarks duplicates --sizes 200000`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
from numpy.typing import NDArray

Vectors = NDArray[np.float32]
Numbers = NDArray[np.int64]
Told = Callable[[int, int], object]

_KEPT = 160
"""Numbers of a turned vector that are multiplied for every pair."""
_ROWS, _COLUMNS = 1024, 8192
_PARTNERS = 16
"""The most partners of a vector that are told within a block: of a thousand equal ones each is joined with some."""
_ROUNDING = 1e-4
_VERIFIED = 65536


def near_pairs(
    rows: Vectors, least: float, told: Told = lambda _done, _total: None
) -> Iterator[tuple[Numbers, Numbers, Vectors]]:
    """All pairs of rows (n, d), each of length 1 or 0, whose product is at least `least`: first, second, product.

    The first comes before the second. Of a row with many partners only the best in each block are told.
    """
    bounded = _bounded(rows)
    for top in range(0, len(rows), _ROWS):
        told(top, len(rows))
        for left in range(top - top % _COLUMNS, len(rows), _COLUMNS):
            first, second = _above(bounded[top : top + _ROWS], bounded[left : left + _COLUMNS], least)
            first, second = first + top, second + left
            ahead = second > first
            first, second = first[ahead], second[ahead]
            products = _products(rows, first, rows, second)
            near = np.flatnonzero(products >= least)
            near = near[np.lexsort((second[near], -products[near], first[near]))]
            kept = near[_place_in_run(first[near]) < _PARTNERS]
            if len(kept):
                yield first[kept], second[kept], products[kept]


def mutual_nearest(
    first: Vectors, second: Vectors, told: Told = lambda _done, _total: None
) -> tuple[Numbers, Numbers, Vectors, Vectors]:
    """Rows of two sets, (n, d) and (m, d), that are each other's nearest, their products, and by how much.

    The last is how far the next nearest of either is behind: 2 where there is none.
    """
    if not len(first) or not len(second):
        return np.zeros(0, np.int64), np.zeros(0, np.int64), np.zeros(0, np.float32), np.zeros(0, np.float32)
    there, back = _Nearest(len(first)), _Nearest(len(second))
    for top in range(0, len(first), _ROWS):
        told(top, len(first))
        for left in range(0, len(second), _COLUMNS):
            products = first[top : top + _ROWS] @ second[left : left + _COLUMNS].T
            there.meet(slice(top, top + _ROWS), products, left)
            back.meet(slice(left, left + _COLUMNS), products.T, top)
    rows = np.flatnonzero(back.place[there.place] == np.arange(len(first)))
    others = there.place[rows]
    margin = there.best[rows] - np.maximum(there.next[rows], back.next[others])
    return rows, others, there.best[rows], np.minimum(margin, 2)


class _Nearest:
    """Of each row the nearest that it has met, and how near that and the next are."""

    def __init__(self, count: int) -> None:
        self.place = np.zeros(count, np.int64)
        self.best = np.full(count, -9, np.float32)
        self.next = np.full(count, -9, np.float32)

    def meet(self, rows: slice, products: Vectors, offset: int) -> None:
        """Products of these rows with others, whose places begin at `offset`."""
        found = products.argmax(axis=1)
        new = products[np.arange(len(found)), found]
        best, after = self.best[rows], self.next[rows]
        better = new > best
        rest = np.partition(products, -2, axis=1)[:, -2] if products.shape[1] > 1 else np.full_like(new, -9)
        after[:] = np.maximum.reduce([after, np.minimum(best, new), rest])
        self.place[rows][better] = found[better] + offset
        best[better] = new[better]


def _bounded(rows: Vectors) -> Vectors:
    """Rows (n, _KEPT + 1) whose products are never less than those of the rows given."""
    if rows.shape[1] <= _KEPT:
        return rows
    _, axes = np.linalg.eigh((rows.T @ rows).astype(np.float64))
    turned = rows @ axes[:, ::-1][:, :_KEPT].astype(np.float32)
    lengths = np.einsum("ij,ij->i", rows, rows, dtype=np.float64) - np.einsum(
        "ij,ij->i", turned, turned, dtype=np.float64
    )
    return np.column_stack([turned, np.sqrt(np.maximum(lengths, 0)).astype(np.float32)])


def _above(first: Vectors, second: Vectors, least: float) -> tuple[Numbers, Numbers]:
    found = np.flatnonzero(first @ second.T >= least - _ROUNDING)
    rows, columns = np.divmod(found, len(second))
    return rows, columns


def _products(first: Vectors, i: Numbers, second: Vectors, j: Numbers) -> Vectors:
    parts = [
        np.einsum("ij,ij->i", first[i[start : start + _VERIFIED]], second[j[start : start + _VERIFIED]])
        for start in range(0, len(i), _VERIFIED)
    ]
    return np.concatenate(parts) if parts else np.zeros(0, np.float32)


def _place_in_run(values: Numbers) -> Numbers:
    """Of sorted values, the place of each among its equals, from 0."""
    starts = np.flatnonzero(np.diff(values, prepend=-1))
    return np.arange(len(values)) - np.repeat(starts, np.diff(np.append(starts, len(values))))
