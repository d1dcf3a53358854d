"""An index that cannot be written where it lies (a CD, a share, files without the right) is asked without writing."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from format_making import unpack
from index_making import answers, make, mounted_read_only, put, quick_folder, source

from kosearch.cli import main
from kosearch.errors import IndexBusy, IndexStateError
from kosearch.index import SqliteStore, database

pytestmark = [
    pytest.mark.skipif(sys.platform != "linux" or os.geteuid() != 0, reason="needs mounts, or users"),
    pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning"),
]
NOBODY = 65534


@pytest.fixture
def folder() -> Iterator[Path]:
    with quick_folder() as place:
        yield place


def leave_a_log(directory: Path, *, shared: bool) -> None:
    """What a killed writer leaves: the log, and perhaps the file that readers share."""
    child = os.fork()
    if child == 0:
        with SqliteStore(directory).writer() as writer:
            put(writer, "c")
            writer.remove([source("b").path_bytes])
            writer.publish()
            put(writer, "pending")
            os._exit(0)
    os.waitpid(child, 0)
    assert (directory / "index.sqlite-wal").stat().st_size > 0
    if not shared:
        (directory / "index.sqlite-shm").unlink()


def left_clean(directory: Path) -> None:
    with SqliteStore(directory).writer() as writer:
        put(writer, "c")
        writer.remove([source("b").path_bytes])
        writer.publish()


STATES: dict[str, Callable[[Path], None]] = {
    "clean": left_clean,
    "log": lambda directory: leave_a_log(directory, shared=False),
    "log and its index": lambda directory: leave_a_log(directory, shared=True),
}


@pytest.mark.parametrize("state", STATES)
def test_a_read_only_mount_answers_and_says_so(folder: Path, state: str) -> None:
    expected = answers(make(folder / "fresh", "ac"))
    make(folder / "index", "ab").close()
    STATES[state](folder / "index")
    before = {path: path.read_bytes() for path in (folder / "index").rglob("*") if path.is_file()}
    with mounted_read_only(folder / "index") as place:
        index = SqliteStore(place)
        assert answers(index) == expected
        with index.snapshot() as snapshot:
            assert len(snapshot.warnings) == 1
            assert "cannot be written where it lies" in snapshot.warnings[0]
        assert index.check() == []
        assert index.status().documents == 2
        with pytest.raises(IndexStateError, match="cannot be written"), index.writer():
            pass
        index.close()
    assert before == {path: path.read_bytes() for path in (folder / "index").rglob("*") if path.is_file()}


@pytest.mark.parametrize("state", STATES)
def test_files_without_the_right_to_write_are_asked(folder: Path, state: str) -> None:
    expected = answers(make(folder / "fresh", "ac"))
    make(folder / "index", "ab").close()
    STATES[state](folder / "index")
    folder.chmod(0o755)
    for path in [folder / "index", *(folder / "index").rglob("*")]:
        path.chmod(0o555 if path.is_dir() else 0o444)
        os.chown(path, NOBODY, NOBODY)
    child = os.fork()
    if child == 0:
        os.setuid(NOBODY)
        try:
            os._exit(0 if answers(SqliteStore(folder / "index")) == expected else 1)
        finally:
            os._exit(2)
    assert os.waitpid(child, 0)[1] == 0


def test_an_older_format_is_read_as_it_is(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    unpack(1, folder)
    with mounted_read_only(folder / "index") as place:
        assert SqliteStore(place).check() == []
        with SqliteStore(place)._reading() as store:
            assert len(list(store.files())) > 5
        assert main(["query", "보안취약점", "--mode", "dense", "--index", str(place)]) == 0
        assert capsys.readouterr().err.count("cannot be written where it lies") == 1
        with pytest.raises(IndexStateError, match="Read-only file system"), SqliteStore(place).writer():
            pass
    connection = database.connect(folder / "index", write=False)
    assert not database.is_current(connection)


def test_what_changes_from_elsewhere_while_it_is_read_is_no_answer(folder: Path) -> None:
    make(folder / "index", "ab").close()
    with ExitStack() as mounts:
        index = SqliteStore(mounts.enter_context(mounted_read_only(folder / "index")))
        with pytest.raises(IndexBusy, match="changed from elsewhere"), index.snapshot():
            left_clean(folder / "index")
        assert answers(index) == answers(make(folder / "fresh", "ac"))
        index.close()


def test_a_copy_is_never_made(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """However large the index: nothing is copied to where there may be no room."""
    make(folder / "index", "ab").close()
    leave_a_log(folder / "index", shared=False)

    def fail(*_: Any) -> None:
        raise AssertionError

    monkeypatch.setattr(shutil, "copyfile", fail)
    with mounted_read_only(folder / "index") as place:
        assert SqliteStore(place).status().documents == 2
