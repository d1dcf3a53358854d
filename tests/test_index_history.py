"""Whatever happened to an index, it answers as a fresh one of the same files would."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from index_making import IDENTITY, answers, document, put, quick_folder, source

from kosearch.index import SqliteStore, Writer, vectors
from kosearch.records import Reason, Skipped

NAMES = "abcde"
names = st.sampled_from(NAMES)
steps = st.one_of(
    st.tuples(st.just("put"), names, st.integers(0, 3)),
    st.tuples(st.just("remove"), names),
    st.tuples(st.just("touch"), names),
    st.tuples(st.just("move"), names, names),
    st.tuples(st.just("break"), names),
    st.tuples(st.just("empty"), names),
    st.tuples(st.just("fail"), names),
    st.tuples(st.just("publish")),
    st.tuples(st.just("reopen")),
)


def fail(writer: Writer, name: str) -> None:
    with writer.transaction():
        put(writer, name, 9)
        writer.remove([source(name).path_bytes])
        raise OSError("gone")


class Model:
    """What should be searchable: name → title name, version, time."""

    def __init__(self) -> None:
        self.files: dict[str, tuple[str, int, int]] = {}
        self.broken: set[str] = set()
        self.clock = 1

    def apply(self, writer: Writer, step: tuple[object, ...]) -> None:
        kind, name, *rest = (*map(str, step), "")
        self.clock += 1
        at = source(name, self.clock)
        if kind == "put":
            writer.put(at, "h", [document(name, int(rest[0]))])
            self.files[name] = (name, int(rest[0]), self.clock)
            self.broken.discard(name)
        elif kind == "remove":
            writer.remove([at.path_bytes])
            self.files.pop(name, None)
            self.broken.discard(name)
        elif kind == "touch":
            writer.touch(at)
            if name in self.files and name not in self.broken:
                self.files[name] = (*self.files[name][:2], self.clock)
        elif kind == "move" and name in self.files and rest[0] != name:
            writer.move(at.path_bytes, source(rest[0], self.clock))
            moved = self.files.pop(name)
            self.broken.discard(rest[0])
            if name in self.broken:
                self.broken.remove(name)
                self.broken.add(rest[0])
                self.files[rest[0]] = moved
            else:
                self.files[rest[0]] = (*moved[:2], self.clock)
        elif kind in {"break", "empty"}:
            reason = Reason.BROKEN if kind == "break" else Reason.EMPTY
            writer.skip(at, Skipped(at.path, reason, "why"))
            self.broken.add(name)
            if kind == "empty":
                self.files.pop(name, None)
        elif kind == "fail":
            with pytest.raises(OSError, match="gone"):
                fail(writer, name)

    def fresh(self, directory: Path) -> SqliteStore:
        index = SqliteStore.create(directory, IDENTITY)
        with index.writer() as writer:
            for name, (title, version, mtime_ns) in self.files.items():
                writer.put(source(name, mtime_ns), "h", [document(title, version)])
            writer.publish()
        return index


def check_history(history: list[tuple[object, ...]], *, warm: bool = False) -> None:
    with quick_folder() as folder:
        model = Model()
        index = SqliteStore.create(folder / "index", IDENTITY)
        context = index.writer()
        writer = context.__enter__()
        seen = answers(index)
        for number, step in enumerate([*history, ("publish",)]):
            if step[0] == "publish":
                writer.publish()
                fresh = model.fresh(folder / f"fresh-{number}")
                seen = answers(fresh)
                fresh.close()
                assert index.check() == []
                assert len(list(index.directory.glob("generation-*"))) <= 1
            elif step[0] == "reopen":
                context.__exit__(None, None, None)
                index.close()
                index = SqliteStore(index.directory)
                context = index.writer()
                writer = context.__enter__()
            else:
                model.apply(writer, step)
            assert answers(index, warm=warm) == seen
        context.__exit__(None, None, None)
        index.close()


@settings(max_examples=60, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(steps, max_size=12))
def test_answers_do_not_depend_on_history(history: list[tuple[object, ...]]) -> None:
    check_history(history)


def test_nor_does_a_graph(monkeypatch: pytest.MonkeyPatch) -> None:
    """With a graph from the first rows on, answers are those of the exact scan on so few."""
    monkeypatch.setattr(vectors, "MIN_ROWS", 4)
    puts = [("put", name, version) for version in range(3) for name in NAMES]
    check_history(
        [
            *puts[:3], ("publish",), puts[3], ("publish",), ("remove", "a"), ("publish",), *puts[4:8],
            ("publish",), ("reopen",), *puts[8:], ("remove", "b"), ("publish",), ("move", "c", "b"), ("publish",),
            *(("remove", name) for name in "bde"), ("publish",), *puts, ("publish",),
        ],
        warm=True,
    )  # fmt: skip


@pytest.mark.slow
@settings(max_examples=400, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(steps, max_size=40))
def test_answers_do_not_depend_on_long_histories(history: list[tuple[object, ...]]) -> None:
    check_history(history)


def test_parts_are_merged_and_dead_rows_dropped() -> None:
    """Many small publications leave few files, and rows that left leave the files in the end."""
    with quick_folder() as folder, (index := SqliteStore.create(folder, IDENTITY)).writer() as writer:
        for number in range(30):
            put(writer, f"f{number}")
            writer.publish()
        parts = list((folder / "generation-30").glob("vectors-*"))
        assert len(parts) <= 6  # about log2(30)
        for number in range(20):
            writer.remove([source(f"f{number}").path_bytes])
            writer.publish()
        rows = sum(path.stat().st_size for path in (folder / "generation-50").glob("vectors-*")) // 64
        assert 40 <= rows <= 54  # 40 live ones, and at most a quarter of all dead
        assert index.check() == []


def test_deleted_terms_leave_the_files() -> None:
    """Tantivy only marks what is deleted; when a quarter is, the terms are written anew."""
    with quick_folder() as folder, (index := SqliteStore.create(folder, IDENTITY)).writer() as writer:
        for number in range(100):
            put(writer, f"f{number}")
        writer.publish()
        (before,) = {path.name for path in (folder / "generation-1/lexical").glob("*.term")}
        writer.remove([source(f"f{number}").path_bytes for number in range(20)])
        writer.publish()
        assert {path.name for path in (folder / "generation-2/lexical").glob("*.term")} == {before}
        writer.remove([source(f"f{number}").path_bytes for number in range(20, 30)])
        writer.publish()
        (after,) = {path.name for path in (folder / "generation-3/lexical").glob("*.term")}
        assert after != before
        assert index.check() == []


def test_a_publication_brings_the_log_home(tmp_path: Path) -> None:
    index = SqliteStore.create(tmp_path, IDENTITY)
    with index.writer() as writer:
        put(writer, "a")
        writer.publish()
        assert (tmp_path / "index.sqlite-wal").stat().st_size == 0
        put(writer, "b")
        with index.snapshot():  # a reader needs the log: nobody waits for it
            writer.publish()
    assert len(answers(index)["documents"]) == 2


def test_a_moved_root_is_remembered(tmp_path: Path) -> None:
    index = SqliteStore.create(tmp_path, IDENTITY)
    with index.writer() as writer:
        put(writer, "a")
        writer.touch(replace(source("a", 4), root=b"/other"))
        assert writer.files()[source("a").path_bytes].root == b"/other"
