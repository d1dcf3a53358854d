"""Small indexes with contents that follow from a name and a version, for the tests of the index."""

from __future__ import annotations

import functools
import hashlib
import os
import random
import subprocess
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from kosearch.index import Identity, NewDocument, NewPassage, SqliteStore, Store, Writer, database
from kosearch.library import Index
from kosearch.records import Extracted, Passage, SourceFile
from kosearch.terms import Analyzer

DIMENSIONS = 16
WORDS = [*"가나다라마바사아자차카타파하", "취약점", "보안", "휴가", "이월", "bge-m3", "3.5%"]
IDENTITY = Identity("model", "fingerprint", "", DIMENSIONS, "passages-1", 320, 64, "terms-1", ("body", "heading"))
QUERY = np.random.default_rng(7).normal(size=DIMENSIONS).astype(np.float32)
TERMS = {"body": {"취약점": 4, "가": 2, "bge-m3": 1}, "heading": {"제목": 2}}


def source(name: str, mtime_ns: int = 1) -> SourceFile:
    path = f"/문서/{name}.txt"
    return SourceFile(path.encode(), path, "/문서".encode(), 100, mtime_ns)


def document(name: str, version: int = 0, passages: int = 4) -> NewDocument:
    """A document whose passages are lines; half of them are the same in the next version."""
    lines = []
    for number in range(passages):
        seed = f"{name} {number} {version if number % 2 else 0}"
        words = random.Random(seed).choices(WORDS, k=8)
        lines.append(" ".join([*words, f"{name}-{number}-{version if number % 2 else 0}"]))
    text = "\n".join(lines)
    return NewDocument(
        Extracted(text, "text", title=f"{name} v{version}", metadata={"created": f"20{10 + version}-01-01"}),
        [_passage(text, line, number) for number, line in enumerate(lines)],
    )


def vector(text: str) -> Any:
    digest = hashlib.blake2b(text.encode(), digest_size=8).digest()
    return np.random.default_rng(int.from_bytes(digest, "little")).normal(size=DIMENSIONS).astype(np.float32)


def _passage(text: str, line: str, number: int) -> NewPassage:
    start = text.index(line)
    return NewPassage(
        Passage(start, start + len(line), number + 1, number + 1, 1, "i", ("제목", f"절 {number}")),
        hashlib.blake2b(line.encode(), digest_size=16).digest(),
        vector(line),
        {"body": line.split(), "heading": ["제목"]},
    )


@contextmanager
def quick_folder() -> Iterator[Path]:
    """An empty folder, in memory where that can be had: there fsync costs nothing."""
    memory = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None
    with tempfile.TemporaryDirectory(dir=memory) as folder:
        yield Path(folder)


def put(writer: Writer, name: str, version: int = 0, passages: int = 4, mtime_ns: int = 1) -> None:
    writer.put(source(name, mtime_ns), f"hash-{name}-{version}", [document(name, version, passages)])


def make(directory: Path, names: Iterable[str] | Mapping[str, int] = ()) -> SqliteStore:
    """A published index of these names, each with its version."""
    index = SqliteStore.create(directory, IDENTITY)
    versions = names if isinstance(names, Mapping) else dict.fromkeys(names, 0)
    with index.writer() as writer:
        with writer.transaction():
            for name, version in versions.items():
                put(writer, name, version)
        writer.publish()
    return index


def answers(index: Store, *, warm: bool = False) -> dict[str, Any]:
    """All that an index answers, without the ids that its history gave."""
    with index.snapshot(warm=warm) as snapshot:
        ids, cosines = snapshot.dense(QUERY, 10_000)
        nearest, _ = snapshot.dense(QUERY, 5)
        some = snapshot.find_documents(kinds=["text"], after="2011")
        filtered, _ = snapshot.dense(QUERY, 10_000, some)
        found = snapshot.lexical(TERMS, 10_000)
        found_filtered = snapshot.lexical(TERMS, 10_000, some)
        assert np.array_equal(snapshot.cosines(QUERY, ids), cosines)
        assert snapshot.owners(ids) == {one.id: one.document.id for one in snapshot.stored(ids)}

        def name(which: Any) -> list[tuple[Any, ...]]:
            return [
                (one.document.path, one.document.mtime_ns, one.document.title, one.ordinal, one.text, one.passage)
                for one in snapshot.stored(which)
            ]

        return {
            "dense": list(zip(name(ids), cosines.tolist(), strict=True)),
            "nearest": name(nearest),
            "filtered": name(filtered),
            "lexical": sorted(name(found), key=repr),
            "lexical filtered": sorted(name(found_filtered), key=repr),
            "terms": sorted(repr(one) for one in snapshot.terms(found)),
            "statistics": snapshot.statistics({"body": WORDS, "heading": ["제목", "nothing"]}),
            "documents": sorted(
                (one.path, one.text_hash, one.size, one.mtime_ns, snapshot.document_text(one.id))
                for one in snapshot.documents()
            ),
        }


@contextmanager
def mounted_read_only(directory: Path) -> Iterator[Path]:
    """The folder where nothing can be written."""
    place = directory.with_name(f"{directory.name}-read-only")
    place.mkdir()
    for options in (["--bind", directory, place], ["-o", "remount,bind,ro", place]):
        if subprocess.run(["mount", *options], check=False, capture_output=True).returncode:
            pytest.skip("this system mounts nothing")
    try:
        yield place
    finally:
        subprocess.run(["umount", "--lazy", place], check=True)


class Here:
    """A pool without processes: what those do has tests of its own, and they take seconds to start."""

    limits = "none"

    def __init__(self, task: Callable[[Any], Any]) -> None:
        self._task = task

    def __enter__(self) -> Here:
        return self

    def __exit__(self, *_: object) -> None:
        pass

    def map(self, items: Iterable[Any]) -> Iterator[tuple[Any, Any]]:
        return ((item, self._task(item)) for item in items)


ANALYZER = functools.cache(Analyzer)


def without_processes(monkeypatch: pytest.MonkeyPatch) -> None:
    """Files are cut and analysed in this process, by an analyzer that stays loaded."""
    for name in ("pool", "file_pool"):
        monkeypatch.setattr(Index, name, lambda _self, task: Here(task))
    monkeypatch.setattr("kosearch.processing.Analyzer", ANALYZER)


def set_identity(directory: Path, **changes: str) -> None:
    """Make an index one of another version: by other rules, say."""
    connection = database.connect(directory, write=True)
    database.write_meta(connection, "identity", asdict(replace(SqliteStore(directory).identity, **changes)))
    connection.close()
