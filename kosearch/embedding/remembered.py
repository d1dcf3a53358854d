"""Small facts about big files, computed once for each state of a file."""

from __future__ import annotations

import contextlib
import hashlib
import os
import tempfile
from collections.abc import Callable
from pathlib import Path

from kosearch.system import make_private


def remembered(kind: str, path: Path, cache_dir: Path, compute: Callable[[Path], str]) -> str:
    """`compute(path)`, kept in `cache_dir` until the file's size or modification time changes.

    A query must not read 400 MB of weights to learn that they are still the same. A cache that can't be
    written costs time, never the answer.
    """
    real = path.resolve()
    state = real.stat()
    key = f"{kind}\0{real}\0{state.st_size}\0{state.st_mtime_ns}"
    note = cache_dir / "facts" / hashlib.sha256(key.encode("utf-8", "surrogateescape")).hexdigest()
    with contextlib.suppress(OSError):
        return note.read_text(encoding="utf-8")
    fact = compute(real)
    with contextlib.suppress(OSError):
        make_private(note.parent)
        handle, scratch = tempfile.mkstemp(dir=note.parent)
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(fact)
        Path(scratch).replace(note)
    return fact


def sha256(path: Path) -> str:
    """The file's content hash, in hexadecimal digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
