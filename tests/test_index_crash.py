"""A writer may be killed, or fail, at any moment: readers go on, and the next run ends where it would have."""

from __future__ import annotations

import errno
import os
import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from index_making import IDENTITY, answers, document, make, put, quick_folder, source

from kosearch.errors import IndexMissing, IndexStateError
from kosearch.index import SqliteStore, Writer
from kosearch.index.files import hooks

pytestmark = pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")


@pytest.fixture
def folder() -> Iterator[Path]:
    with quick_folder() as place:
        yield place


@pytest.fixture(autouse=True)
def _no_hooks_left() -> Iterator[None]:
    yield
    hooks.clear()


def change(writer: Writer) -> None:
    """What the killed run was about to do; doing it twice ends in the same."""
    with writer.transaction():
        put(writer, "a", 1, mtime_ns=2)
        writer.remove([source("b").path_bytes])
    put(writer, "d")
    writer.move(source("c").path_bytes, source("e", 3))
    writer.publish()


def fresh(directory: Path) -> SqliteStore:
    index = SqliteStore.create(directory, IDENTITY)
    with index.writer() as writer:
        put(writer, "a", 1, mtime_ns=2)
        put(writer, "d")
        writer.put(source("e", 3), "", [document("c")])
        writer.publish()
    return index


def killed(work: Callable[[], None], at: int | None) -> tuple[int, list[str]]:
    """Run in a child that kills itself at its step number `at`; returns wait status and the steps it came by."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        count = 0

        def note(name: str) -> None:
            nonlocal count
            os.write(writing, f"{name}\n".encode())
            if count == at:
                os.kill(os.getpid(), signal.SIGKILL)
            count += 1

        hooks.append(note)
        try:
            work()
            os._exit(0)
        finally:
            os._exit(70)
    os.close(writing)
    with os.fdopen(reading) as stream:
        names = stream.read().split("\n")[:-1]
    return os.waitpid(child, 0)[1], names


def test_killed_at_every_step(folder: Path) -> None:
    def work(directory: Path) -> Callable[[], None]:
        def run() -> None:
            with SqliteStore(directory).writer() as writer:
                change(writer)

        return run

    after = answers(fresh(folder / "fresh"))
    make(folder / "whole", "abc").close()
    status, steps = killed(work(folder / "whole"), None)
    assert status == 0
    assert len(set(steps)) >= 10
    for number, name in enumerate(steps):
        directory = folder / str(number)
        before = answers(index := make(directory, "abc"))
        status, passed = killed(work(directory), number)
        assert (os.WTERMSIG(status), passed[-1]) == (signal.SIGKILL, name)
        # The reader that was open all along, and one that opens now.
        committed = "state written" in passed and passed[-1] not in {"state written", "before commit"}
        assert answers(index) == answers(SqliteStore(directory)) == (after if committed else before), name
        with index.writer() as writer:
            if "after commit" in passed:  # what was stored is not embedded again
                hashes = [one.input_hash for one in document("a", 1).passages]
                assert len(writer.vectors(hashes)) == len(hashes)
            change(writer)
        assert answers(index) == after, name
        assert index.check() == [], name
        assert [path.name for path in directory.glob("generation-*")] == [f"generation-{index.status().generation}"], (
            name
        )
        index.close()


def test_killed_while_it_is_made(folder: Path) -> None:
    def work(directory: Path) -> Callable[[], None]:
        return lambda: SqliteStore.create(directory, IDENTITY).close()

    _, steps = killed(work(folder / "whole"), None)
    for number, name in enumerate(steps):
        directory = folder / str(number)
        status, _ = killed(work(directory), number)
        assert os.WTERMSIG(status) == signal.SIGKILL
        if name == "database named":
            index = SqliteStore(directory)
        else:
            with pytest.raises(IndexMissing):
                SqliteStore(directory)
            index = SqliteStore.create(directory, IDENTITY)
        with index.writer() as writer:
            put(writer, "a")
            assert writer.publish() == 1
        assert sorted(path.name.split("-")[0] for path in directory.iterdir() if "." not in path.name) == [
            "generation",
            "lock",
        ]
        assert not list(directory.glob("*.new*"))
        index.close()


@pytest.mark.parametrize("error", [OSError(errno.ENOSPC, "No space left on device"), KeyboardInterrupt()])
def test_failing_at_every_step(folder: Path, error: BaseException) -> None:
    steps: list[str] = []
    hooks.append(steps.append)
    after = answers(fresh(folder / "fresh"))
    make(folder / "whole", "abc")
    steps.clear()
    with SqliteStore(folder / "whole").writer() as writer:
        change(writer)
    hooks.clear()
    for number in range(len(steps)):
        count = 0

        def fail(_: str, at: int = number) -> None:
            nonlocal count
            count += 1
            if count == at + 1:
                raise error

        directory = folder / str(number)
        before = answers(index := make(directory, "abc"))
        hooks.append(fail)
        with pytest.raises((type(error), IndexStateError)), index.writer() as writer:
            change(writer)
        hooks.clear()
        generation = index.status().generation
        assert answers(index) == (before if generation == 1 else after)
        assert [path.name for path in directory.glob("generation-*") if path.name > f"generation-{generation}"] == []
        with index.writer() as writer:
            change(writer)
        assert answers(index) == after
        assert index.check() == []
        index.close()


def test_a_full_disk_is_an_error_with_a_way_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    index = make(tmp_path, "abc")
    before = answers(index)

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with index.writer() as writer:
        put(writer, "d")
        monkeypatch.setattr(os, "fsync", full)
        with pytest.raises(IndexStateError, match="No space left") as caught:
            writer.publish()
        assert "nothing that was stored is lost" in caught.value.hint
        monkeypatch.undo()
        assert answers(index) == before
        assert writer.publish() == 2
    assert answers(index) == answers(make(tmp_path / "fresh", "abcd"))


def test_a_database_that_cannot_grow_is_an_error_with_a_way_out(tmp_path: Path) -> None:
    index = make(tmp_path, "abc")

    def fill() -> None:
        with index.writer() as writer, writer.transaction():
            connection = writer._connection
            (pages,) = connection.execute("PRAGMA page_count").fetchone()
            connection.execute(f"PRAGMA max_page_count = {pages}")
            for number in range(100):
                put(writer, f"f{number}")

    with pytest.raises(IndexStateError, match="full"):
        fill()
    assert index.check() == []
