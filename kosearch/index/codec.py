"""How rows are checked, and how vectors, terms and counts become blobs.

SQLite's own checks miss most flipped bits inside a row, so every row that an answer depends on carries a
CRC-32 over its values and its key. A wrong one raises IndexDamaged.
"""

from __future__ import annotations

import re
import struct
import zlib
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kosearch.errors import IndexDamaged
from kosearch.index.records import Vectors

Codes = NDArray[Any]
"""(n, d): vectors in the numbers they are stored in."""
REPAIR = "kosearch repair"
BUCKETS = 4096
"""Rows of the table of term counts: at two million terms, a question's 30 terms read 300 kB."""
_SEAL = 4
_COMPRESSION = 1
"""zlib's fastest: 25 µs and 45% of the size for a Korean passage; level 6 takes 3 times as long for 40%."""
_SURROGATES = re.compile("[\ud800-\udfff]")


def damaged(what: str) -> IndexDamaged:
    """The error for a row that is not what was written."""
    return IndexDamaged(f"the index is damaged: {what} is not what was written", REPAIR)


def storable(text: str) -> str:
    """The text with lone surrogates, which UTF-8 cannot hold, as U+FFFD: no offset changes."""
    return text if text.isascii() else _SURROGATES.sub("\ufffd", text)


def storable_integer(number: int) -> int | bytes:
    """An integer as SQLite can hold it: itself within 64 bits, else its decimal digits as a blob."""
    return number if -(1 << 63) <= number < 1 << 63 else str(number).encode()


def integer_of(stored: int | bytes) -> int:
    """What `storable_integer` was given. Raises IndexDamaged."""
    try:
        return int(stored)
    except (TypeError, ValueError) as error:
        raise damaged("a size or a time") from error


def checksum(*values: str | bytes | int | None) -> int:
    """CRC-32 of a row's values."""
    plain = [value.hex() if isinstance(value, bytes) else str(value) for value in values]
    return zlib.crc32("\0".join(plain).encode())


def seal(data: bytes, *key: int) -> bytes:
    """A blob that `unseal` accepts only whole, and only under the same key."""
    return _crc(data, key) + data


def unseal(blob: bytes, what: str, *key: int) -> bytes:
    """The data that was sealed.

    Raises IndexDamaged, naming `what` and the key.
    """
    # Where a flipped bit changed the type of the value, it is not even bytes.
    if not isinstance(blob, bytes) or _crc(blob[_SEAL:], key) != blob[:_SEAL]:
        raise damaged(f"{what} {' '.join(map(str, key))}")
    return blob[_SEAL:]


def encode_vectors(vectors: Vectors, storage: str) -> list[bytes]:
    """Rows of (n, d) → n blobs, little-endian."""
    return [row.tobytes() for row in codes(vectors, storage)]


def codes(vectors: Vectors, storage: str) -> Codes:
    """Rows of (n, d), of any length but 0, in the numbers they are stored in.

    float16 holds them at length 1, so that nothing overflows. int8 holds each row scaled so that its largest number
    is 127; the scale need not be kept, for all vectors have length 1 when they are read.
    """
    rows = _unit(vectors.astype(np.float64))
    if storage == "int8":
        largest = np.abs(rows).max(axis=1, initial=0)
        return np.rint(rows * (127 / np.where(largest > 0, largest, 1))[:, None]).astype(np.int8)
    return rows.astype("<f2")


def decode_vectors(blobs: Sequence[bytes], dimensions: int, storage: str) -> Vectors:
    """n blobs → (n, d) float32 rows of length 1."""
    kind = np.int8 if storage == "int8" else "<f2"
    return vectors_of(np.frombuffer(b"".join(blobs), dtype=kind).reshape(len(blobs), dimensions))


def vectors_of(stored: Codes) -> Vectors:
    """Rows in the numbers they are stored in → float32, of length 1.

    The length is taken in float64: float32 sums would depend on how a library orders them, and a vector must
    be the same bit by bit wherever it is read from.
    """
    return _unit(stored.astype(np.float64)).astype(np.float32)


def _unit(rows: NDArray[np.float64]) -> NDArray[np.float64]:
    length = np.sqrt(np.einsum("ij,ij->i", rows, rows))
    rows /= np.where(length > 0, length, 1)[:, None]
    return rows


def encode_terms(fields: Sequence[str], terms: Mapping[str, Sequence[str]]) -> bytes:
    """The terms of a passage → a compressed line for each field, terms between blanks."""
    lines = []
    for field in fields:
        line = storable(" ".join(terms.get(field, ())))
        if " ".join(line.split()) != line or len(line.split()) != len(terms.get(field, ())):
            raise ValueError(f"a term of the field {field!r} is empty or has white space in it")
        lines.append(line)
    return zlib.compress("\n".join(lines).encode(), _COMPRESSION)


def decode_lines(data: bytes) -> list[str]:
    """What `encode_terms` made → a line for each field."""
    return zlib.decompress(data).decode().split("\n")


def encode_counts(counts: Mapping[str, int]) -> bytes:
    """Names with positive counts → names on lines, then as many uint32."""
    names = sorted(counts)
    text = "\n".join(names).encode()
    return struct.pack("<I", len(text)) + text + np.array([counts[name] for name in names], dtype="<u4").tobytes()


def decode_counts(data: bytes) -> dict[str, int]:
    """What `encode_counts` made."""
    (size,) = struct.unpack_from("<I", data)
    if not size:
        return {}
    numbers: NDArray[np.uint32] = np.frombuffer(data, dtype="<u4", offset=4 + size)
    return dict(zip(data[4 : 4 + size].decode().split("\n"), numbers.tolist(), strict=True))


def bucket(name: str) -> int:
    """The row of the table of term counts that holds this name."""
    return zlib.crc32(name.encode()) % BUCKETS


def _crc(data: bytes, key: tuple[int, ...]) -> bytes:
    return zlib.crc32(data, zlib.crc32(struct.pack(f"<{len(key)}q", *key))).to_bytes(_SEAL, "little")
