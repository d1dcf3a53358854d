"""Vectors of texts that are asked for in one run after another, such as the questions of an evaluation.

    text → the vector that an earlier run has of it, else the embedder's, which the next run has

A file for each model, in the cache: the SHA-256 of all that follows, and then a row a text, the SHA-256 of its kind
and itself (32 bytes) and its vector (d numbers, float32). One that is not what was written is passed over, and written
anew. It is replaced whole; of two that write at once one may have to embed something again. No text is kept.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from kosearch.embedding import AnyModel, Embedder
from kosearch.system import make_private, replacing

Vectors = NDArray[np.float32]

MOST_BYTES = 32 << 20
"""Of a file: some 21,000 texts of the bundled model. Those that were asked for last stay."""
MOST_FILES = 8
"""Those that were written last stay."""
_SUFFIX = ".vectors"
_DIGEST = hashlib.sha256().digest_size


class KeptVectors:
    """An embedder that asks another one only for texts that it has not met, in this process or an earlier one."""

    def __init__(self, embedder: Embedder, cache_dir: Path) -> None:
        """Nothing is read, and no model looked at, before the first text."""
        self._embedder = embedder
        self._folder = cache_dir / "kept-vectors"
        self._known: dict[bytes, Vectors] | None = None
        self._asked: dict[bytes, Vectors] = {}
        self._has_more = False

    @property
    def model(self) -> AnyModel:
        """Whose vectors they are."""
        return self._embedder.model

    def embed_queries(self, texts: Sequence[str]) -> Vectors:
        """float32, (len(texts), model.dimensions)."""
        return self._found("query", texts, self._embedder.embed_queries)

    def embed_passages(self, texts: Sequence[str], progress: Callable[[int], None] | None = None) -> Vectors:
        """The same for passages; `progress` is told of those that are embedded."""
        return self._found("passage", texts, lambda new: self._embedder.embed_passages(new, progress))

    def keep(self) -> None:
        """Write what is new. Where the cache cannot be written, nothing is kept."""
        if not self._has_more:
            return
        row = _row(self.model.dimensions)
        asked = {key: one for key, one in self._asked.items() if np.isfinite(one).all()}
        others = {key: one for key, one in self._read().items() if key not in asked}
        rows = np.array([(list(key), one) for key, one in (others | asked).items()], row)
        content = rows[-(MOST_BYTES // row.itemsize) :].tobytes()
        with suppress(OSError):
            make_private(self._folder)
            with replacing(self._file) as stream:
                stream.write(hashlib.sha256(content).digest() + content)
            self._has_more = False
            latest_first = sorted(self._folder.glob(f"*{_SUFFIX}"), key=lambda one: -one.stat().st_mtime_ns)
            for old in latest_first[MOST_FILES:]:
                old.unlink()

    def _found(self, kind: str, texts: Sequence[str], embed: Callable[[Sequence[str]], Vectors]) -> Vectors:
        if self._known is None:
            self._known = self._read()
        keys = [hashlib.sha256(f"{kind} {text}".encode("utf-8", "surrogatepass")).digest() for text in texts]
        new = {key: text for key, text in zip(keys, texts, strict=True) if key not in self._known}
        if new:
            self._known.update(zip(new, embed(list(new.values())), strict=True))
            self._has_more = True
        self._asked |= {key: self._known[key] for key in keys}
        return np.array([self._known[key] for key in keys], np.float32).reshape(-1, self.model.dimensions)

    @property
    def _file(self) -> Path:
        return self._folder / f"{self.model.fingerprint}{_SUFFIX}"

    def _read(self) -> dict[bytes, Vectors]:
        """Key → vector (d,), the latest last; none where the file is not there, or not what was written."""
        try:
            with self._file.open("rb") as stream:
                data = stream.read(_DIGEST + MOST_BYTES + 1)
        except OSError:
            return {}
        content, row = data[_DIGEST:], _row(self.model.dimensions)
        if hashlib.sha256(content).digest() != data[:_DIGEST] or len(content) % row.itemsize:
            return {}
        rows = np.frombuffer(content, row)
        return {key.tobytes(): vector for key, vector in zip(rows["key"], rows["vector"], strict=True)}


def _row(dimensions: int) -> np.dtype[np.void]:
    return np.dtype([("key", np.uint8, (_DIGEST,)), ("vector", "<f4", (dimensions,))])
