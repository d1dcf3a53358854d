"""Vectors in a quarter of their bytes, beside them: a scan of these says which of them may be the nearest.

A row is its file's mean and a difference. Kept of the difference are whole numbers from -127 to 127, its codes, by a
scale of its own. The products of codes with those of a query are exact, and how far they are from the products of the
vectors themselves is bounded: with codes c, scale s and rest r of a row, and codes d, scale t and rest f of the query,

    row · query = mean · query + s t (c · d) + s c · f + r · query,  |s c · f + r · query| <= |s c| |f| + |r| |query|

(Cauchy and Schwarz). So nothing is lost: what the bound leaves in doubt is scored by the vectors themselves. Vectors
that are stored in int8 are their own codes.

A file of codes begins with the mean (d,), the longest |s c|, the scales s (n,) and the lengths |r| (n,), in float32.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kosearch.index.contract import Ids, Vectors
from kosearch.index.files import CODES, Damaged
from kosearch.system import usable_cores

MIN_ROWS = 50_000
"""From so many rows on a file has codes: below, a scan takes less than 10 ms of one core."""
_CHUNK = 8192
_A_THREAD = 1 << 16
"""Rows that are worth a thread."""
_LARGEST = 127
_NARROWER = np.array([1.0, 0.9, 0.8, 0.7, 0.6, 0.5, 0.4])
"""Shares of a query's largest number that its codes may reach up to: one that stands out is cut off where the others
gain more by it."""


def available() -> bool:
    """Whether products of whole numbers can be had: numkong has no wheel for every machine."""
    return find_spec("numkong") is not None


def name_for(vectors: str) -> str:
    """The name of the codes of a file of vectors: codes-3.i8 belongs to vectors-3.f32."""
    return f"{CODES}{vectors.removeprefix('vectors').rpartition('.')[0]}.i8"


class Codes:
    """The codes of one file of vectors, memory-mapped."""

    def __init__(self, path: Path, vectors: NDArray[Any]) -> None:
        """Of these vectors (n, d), float32 or int8. Raises Damaged where the file is of others."""
        rows, dimensions = vectors.shape
        head = dimensions + 1 + 2 * rows
        own = rows * dimensions if vectors.dtype != np.int8 else 0
        try:
            numbers = np.memmap(path, np.float32, "r", shape=(head,))
            self._codes: NDArray[np.int8] = vectors
            if own:
                self._codes = np.memmap(path, np.int8, "r", offset=4 * head, shape=(rows, dimensions))
            if path.stat().st_size != 4 * head + own:
                raise ValueError("another size")
        except (OSError, ValueError) as error:
            raise Damaged(f"{path.name} cannot be read: {error}") from error
        self._mean, self._longest = numbers[:dimensions], float(numbers[dimensions])
        self._scales, self._rests = numbers[dimensions + 1 :].reshape(2, rows)
        self._rest = float(self._rests.max(initial=0))
        if not (np.isfinite(numbers).all() and min(self._longest, self._rests.min(initial=0)) >= 0):
            raise Damaged(f"{path.name} makes no sense")

    def products(self, query: Vectors) -> tuple[Vectors, float]:
        """About the products (n,) of all rows with a unit query (d,), and how far any is from its row's at most.

        That is more than float32 sums err besides.
        """
        codes, scale, lost = _rounded(query)
        products = _all_products(self._codes, codes)
        products *= self._scales * np.float32(scale)
        products += np.float32(self._mean @ query)
        return products, self._longest * lost + self._rest

    def closer(self, rows: Ids, query: Vectors) -> tuple[Vectors, Vectors]:
        """The same of some rows, with codes of what the query's first codes leave, and a bound for each, (m,) both."""
        first, wide, _ = _rounded(query)
        second, narrow, lost = _rounded(query - first * np.float32(wide))
        taken = self._codes[rows]
        products = _products(taken, first) * np.float32(wide) + _products(taken, second) * np.float32(narrow)
        products = products * self._scales[rows] + np.float32(self._mean @ query)
        return products, self._rests[rows] + np.float32(self._longest * lost)


def write(path: Path, vectors: NDArray[Any]) -> None:
    """Write the codes of vectors (n, d), float32 or int8, of which the latter are their own."""
    rows, dimensions = vectors.shape
    mean = np.zeros(dimensions, np.float32)
    if vectors.dtype != np.int8 and rows:
        mean = vectors.mean(axis=0, dtype=np.float64).astype(np.float32)
    scales, rests = np.zeros((2, rows), np.float32)
    longest = 0.0
    with path.open("wb") as stream:
        stream.seek(4 * (dimensions + 1 + 2 * rows))
        for start in range(0, rows, _CHUNK):
            part = slice(start, start + _CHUNK)
            if vectors.dtype == np.int8:
                scales[part] = 1 / np.maximum(_lengths(vectors[part]), 1)
                longest = 1.0
                continue
            differences = vectors[part] - mean
            scales[part] = np.abs(differences).max(axis=1) / _LARGEST
            codes = np.rint(differences / np.where(scales[part] > 0, scales[part], 1)[:, None])
            stream.write(codes.astype(np.int8).data)
            kept = codes * scales[part, None]
            rests[part] = _lengths(differences - kept)
            longest = max(longest, float(_lengths(kept).max()))
        stream.seek(0)
        stream.write(np.concatenate([mean, np.array([longest], np.float32), scales, rests]).tobytes())


def _lengths(rows: NDArray[Any]) -> NDArray[np.float64]:
    """The lengths of rows, and a little more: what they bound may be rounded."""
    lengths: NDArray[np.float64] = np.linalg.norm(rows.astype(np.float64), axis=1) * (1 + 1e-6)
    return lengths


def _rounded(query: Vectors) -> tuple[NDArray[np.int8], float, float]:
    """The codes of a query (d,), their scale, and the length of what they leave: the least of some scales."""
    wide = query.astype(np.float64)
    scales = (np.abs(wide).max(initial=0) or 1.0) * _NARROWER / _LARGEST
    codes = np.rint(wide / scales[:, None]).clip(-_LARGEST, _LARGEST)
    lost = np.linalg.norm(wide - codes * scales[:, None], axis=1)
    best = int(lost.argmin())
    return codes[best].astype(np.int8), float(scales[best]), float(lost[best])


def _all_products(codes: NDArray[np.int8], query: NDArray[np.int8]) -> Vectors:
    """The products (n,) of codes (n, d) with a query's: whole numbers, up to 1,024 dimensions exact in float32."""
    threads = min(usable_cores(), len(codes) // _A_THREAD)
    if threads < 2:
        return _products(codes, query)
    with ThreadPoolExecutor(threads, thread_name_prefix="codes") as pool:
        parts = np.array_split(codes, threads)
        return np.concatenate(list(pool.map(lambda part: _products(part, query), parts)))


def _products(codes: NDArray[np.int8], query: NDArray[np.int8]) -> Vectors:
    import numkong

    products: Vectors = np.asarray(numkong.cdist(query[None], codes, "dot"))[0].astype(np.float32)
    return products
