"""A backup is one moment of an index, whole or not there; what it gives back is that moment."""

from __future__ import annotations

import os
import shutil
import signal
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from threading import Event, Thread

import pytest
from index_making import IDENTITY, answers, make, put, quick_folder, source

from kosearch.errors import IndexDamaged, IndexMismatch, IndexStateError, UsageError
from kosearch.index import SqliteStore, database, files

pytestmark = pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")


@pytest.fixture
def folder() -> Iterator[Path]:
    with quick_folder() as place:
        yield place


def test_a_backup_beside_a_writer_is_one_moment(folder: Path) -> None:
    index = make(folder / "index", "a")
    done = Event()

    def write() -> None:
        number = 0
        while not done.is_set():
            number += 1
            with index.writer() as writer:
                with writer.transaction():  # else a backup may have the first of the two, and not the second
                    put(writer, "a", number)
                    put(writer, f"n{number}", number)
                writer.publish()

    thread = Thread(target=write)
    thread.start()
    try:
        for number in range(8):
            index.backup(folder / f"{number}.backup")
    finally:
        done.set()
        thread.join()
    for number in range(8):
        restored = SqliteStore.restore(folder / str(number), folder / f"{number}.backup")
        with restored.snapshot() as snapshot:
            versions = {one.path: int(one.title.rpartition("v")[2]) for one in snapshot.documents()}
        last = versions.pop("/문서/a.txt")
        assert versions == {f"/문서/n{one}.txt": one for one in range(1, last + 1)}
        assert restored.check() == []


def test_what_was_not_published_comes_along(folder: Path) -> None:
    index = make(folder / "index", "ab")
    with index.writer() as writer:
        put(writer, "c")
        writer.remove([source("a").path_bytes])
        writer.add_root("/문서".encode())
        index.backup(folder / "backup")
    restored = SqliteStore.restore(folder / "new" / "index", folder / "backup")
    assert answers(restored) == answers(make(folder / "fresh", "bc"))
    assert restored.roots() == {"/문서".encode(): {}}
    assert restored.identity == IDENTITY
    assert list((folder / "new").iterdir()) == [folder / "new/index"]
    assert sorted(path.name for path in folder.iterdir()) == ["backup", "fresh", "index", "new"]


def test_the_words_beside_an_index_come_along(folder: Path) -> None:
    index = make(folder / "index", "a")
    (folder / "index" / "words.txt").write_text("한걸음센터\n", encoding="utf-8")
    (folder / "index" / "synonyms.txt").write_text("법카 = 법인카드\n", encoding="utf-8")
    index.backup(folder / "backup")
    (folder / "new").mkdir()
    (folder / "new" / "synonyms.txt").write_text("차 = 자동차\n", encoding="utf-8")  # what is there already stays
    restored = SqliteStore.restore(folder / "new", folder / "backup")
    assert (folder / "new" / "words.txt").read_text(encoding="utf-8") == "한걸음센터\n"
    assert (folder / "new" / "synonyms.txt").read_text(encoding="utf-8") == "차 = 자동차\n"
    assert restored.check() == []
    (folder / "new" / "words.txt").unlink()
    restored.backup(folder / "second")
    assert not (SqliteStore.restore(folder / "third", folder / "second").directory / "words.txt").exists()


@pytest.mark.parametrize("beside", [5, {"../words.txt": "가나"}, {"words.txt": 5}, ["words.txt"]])
def test_a_crafted_backup_writes_no_other_files(folder: Path, beside: object) -> None:
    make(folder / "index", "a").backup(folder / "backup")
    with sqlite3.connect(folder / "backup") as connection:
        database.write_meta(connection, "beside", beside)
    with pytest.raises(IndexDamaged, match="words beside"):
        SqliteStore.restore(folder / "new", folder / "backup")
    assert not (folder / "words.txt").exists()


def test_what_is_no_backup_is_not_taken(folder: Path) -> None:
    make(folder / "index", "ab").backup(folder / "backup")
    whole = (folder / "backup").read_bytes()
    (folder / "other").write_bytes(b"something else\n" * 1000)
    (folder / "empty").touch()
    (folder / "cut").write_bytes(whole[: len(whole) // 2])
    (folder / "zeros").write_bytes(whole[:16384] + bytes(16384) + whole[32768:])
    sqlite3.connect(folder / "database").execute("CREATE TABLE t (a)").connection.close()
    connection = sqlite3.connect(folder / "backup")
    connection.execute(f"PRAGMA user_version = {database.VERSION + 1}")
    connection.close()
    (folder / "backup").rename(folder / "newer")
    for name, error in {
        "other": IndexDamaged,
        "empty": UsageError,
        "cut": IndexDamaged,
        "zeros": IndexDamaged,
        "database": UsageError,
        "newer": IndexMismatch,
        "missing": UsageError,
    }.items():
        with pytest.raises(error):
            SqliteStore.restore(folder / "new", folder / name)
        assert not SqliteStore.exists(folder / "new"), name
    (folder / "backup").write_bytes(whole)
    with pytest.raises(IndexStateError, match="already"):
        SqliteStore.restore(folder / "index", folder / "backup")
    assert answers(SqliteStore.restore(folder / "new", folder / "backup")) == answers(SqliteStore(folder / "index"))


@pytest.mark.parametrize("what", ["backup", "restore"])
def test_a_kill_at_any_step_leaves_a_whole_one_or_none(folder: Path, what: str) -> None:
    index = make(folder / "index", "ab")
    expected = answers(index)
    index.backup(folder / "good")
    index.close()
    at = 0
    while True:
        target = folder / f"{what}-{at}"
        child = os.fork()
        if child == 0:
            count = 0

            def kill(_name: str, at: int = at) -> None:
                nonlocal count
                if count == at:
                    os.kill(os.getpid(), signal.SIGKILL)
                count += 1

            files.hooks.append(kill)
            if what == "backup":
                SqliteStore(folder / "index").backup(target)
            else:
                SqliteStore.restore(target, folder / "good")
            os._exit(0)
        _, status = os.waitpid(child, 0)
        if what == "backup":
            if target.exists():
                assert answers(SqliteStore.restore(folder / f"of-{at}", target)) == expected
        elif SqliteStore.exists(target):
            with SqliteStore(target).writer() as writer:
                writer.publish()
            assert answers(SqliteStore(target)) == expected
        else:
            assert answers(SqliteStore.restore(target, folder / "good")) == expected
        if status == 0:
            break
        at += 1
    assert at >= 1


def test_a_database_copied_over_an_index_meets_the_log_of_a_killed_run(folder: Path) -> None:
    index = make(folder / "index", "abc")
    index.close()
    file = folder / "index" / database.NAME
    copied = file.read_bytes()
    with index.writer() as writer:
        for number in range(60):
            put(writer, f"m{number}", number)
        writer.publish()
    with index.writer() as writer:
        for number in range(60):
            put(writer, f"n{number}", number)
        writer.remove(["/문서/b.txt".encode()])
        shutil.copytree(folder / "index", folder / "killed")  # as a killed run leaves it
    killed = folder / "killed"
    (killed / f"{database.NAME}-shm").unlink(missing_ok=True)
    (killed / database.NAME).write_bytes(copied)
    for _ in range(2):
        with pytest.raises(IndexDamaged):
            SqliteStore(killed).check()
        assert (killed / database.NAME).read_bytes() == copied, "who only reads does not write the strange log into it"
    SqliteStore.set_aside_strange_log(killed)
    mended = SqliteStore(killed)
    assert mended.repair() == []
    assert mended.check() == []
    with mended.snapshot() as snapshot:
        assert {one.path for one in snapshot.documents()} == {f"/문서/{name}.txt" for name in "abc"}
