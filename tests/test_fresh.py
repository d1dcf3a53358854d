"""Answers from files as they are now: what changed is seen, and indexed before a question where that is little work."""

from __future__ import annotations

import json
import os
import shutil
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from threading import Event

import pytest
from conftest import Program, until

import kosearch
from kosearch import config
from kosearch.cli import main
from kosearch.index import FileState
from kosearch.indexing import survey
from kosearch.records import Changes, Reason
from kosearch.resident import fresh
from kosearch.resident.fresh import LOOKS, Freshness
from kosearch.sources import WalkRules, find

LIMITS = "60 s, 2048 MiB"


def known_of(folder: Path, **changed: object) -> dict[bytes, FileState]:
    """All files of a folder, as an index knows them."""
    states = {}
    for one in find({os.fsencode(folder): WalkRules(max_size=10**9)}):
        look = (one.size, one.mtime_ns)
        state = FileState(one.path_bytes, one.root, *look, "hash", documents=1, ctime_ns=one.ctime_ns, inode=one.inode)
        states[one.path_bytes] = state
    return states


class TestSurvey:
    @pytest.fixture
    def folder(self, tmp_path: Path) -> Path:
        folder = tmp_path / "docs"
        folder.mkdir()
        for name in ("a.md", "b.md", "c.md"):
            (folder / name).write_text("0123456789")
        return folder

    @staticmethod
    def seen(folder: Path, known: Mapping[bytes, FileState]) -> Changes:
        return survey(known, {os.fsencode(folder): WalkRules(max_size=10**9)}, LIMITS)

    def test_nothing(self, folder: Path) -> None:
        found = self.seen(folder, known_of(folder))
        assert (found.count, found.bytes, found.known_bytes) == (0, 0, 30)

    def test_new_changed_and_gone_files(self, folder: Path) -> None:
        known = known_of(folder)
        (folder / "new.md").write_text("12345")
        (folder / "a.md").write_text("9876543210")
        (folder / "b.md").unlink()
        found = self.seen(folder, known)
        assert (found.files, found.gone, found.bytes) == (2, 1, 15)

    def test_what_could_not_be_read_is_not_new_every_time(self, folder: Path) -> None:
        known = known_of(folder)
        raw = os.fsencode(folder / "a.md")
        unreadable = {"hash": "", "reason": Reason.UNREADABLE, "documents": 0}
        for more, count in (
            (unreadable, 0),
            ({**unreadable, "reason": Reason.TIMEOUT, "limits": LIMITS}, 0),
            ({**unreadable, "reason": Reason.TIMEOUT, "limits": "1 s a part, 2048 MiB"}, 1),
            ({"reader": "markdown/0"}, 1),
        ):
            state = {name: getattr(known[raw], name) for name in FileState.__slots__}
            assert self.seen(folder, {**known, raw: FileState(**{**state, **more})}).count == count  # type: ignore[arg-type]

    def test_a_folder_without_any_file_is_perhaps_a_disk_that_went_away(self, folder: Path) -> None:
        known = known_of(folder)
        shutil.rmtree(folder)
        assert self.seen(folder, known).count == 0  # it is not there: nothing is known of its files
        folder.mkdir()  # as where a disk was mounted
        assert self.seen(folder, known).count == 0


class TestFreshness:
    def test_it_looks_at_most_every_two_seconds(self) -> None:
        looks: list[float] = []

        def refresh(seconds: float, seen: Callable[[int], None]) -> int:
            looks.append(seconds)
            seen(0)
            return len(looks)

        freshness = Freshness(refresh)
        assert [freshness.looked(5.0), freshness.looked(5.0)] == [1, 1]
        freshness._next -= LOOKS
        assert freshness.looked(3.0) == 2
        assert looks == [5.0, 3.0]
        assert freshness.updated(1.0) == 3  # who knows that something changed does not wait

    def test_what_goes_wrong_is_not_the_questions_concern(self) -> None:
        def refresh(_: float, seen: Callable[[int], None]) -> int:
            raise kosearch.IndexBusy("busy")

        assert Freshness(refresh).looked(5.0) == 0

    def test_nobody_waits_while_somebody_else_writes(self) -> None:
        freshness = Freshness(lambda *_: 1)
        with freshness.paused():
            assert freshness.looked(5.0) == 0
        assert freshness.looked(5.0) == 1

    def test_what_takes_long_after_all_goes_on_beside_the_answer(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(fresh, "_WALK", 0.1)
        goes_on = Event()

        def long_walk(_: float, seen: Callable[[int], None]) -> int:
            goes_on.wait()
            return 0

        def long_file(_: float, seen: Callable[[int], None]) -> int:
            seen(3)
            goes_on.wait()
            return 0

        for refresh, behind in ((long_walk, 0), (long_file, 3)):
            goes_on.clear()
            freshness = Freshness(refresh)
            began = time.monotonic()
            assert freshness.looked(-0.5) == behind
            assert freshness.looked(-0.5) == behind  # nor does the next one wait
            assert time.monotonic() - began < 3
            goes_on.set()
            with freshness.paused():
                assert freshness.behind == 0


@pytest.fixture(scope="module")
def notes(tmp_path_factory: pytest.TempPathFactory, cache_dir: Path) -> Iterator[tuple[kosearch.Index, Path]]:
    """An index of two files, and their folder."""
    home = tmp_path_factory.mktemp("notes")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("KOSEARCH_CACHE_DIR", str(cache_dir))
        patch.setenv("KOSEARCH_DATA_DIR", str(home / "data"))
        folder = home / "docs"
        folder.mkdir()
        (folder / "a.md").write_text("The boiler is serviced in May.\n")
        (folder / "b.md").write_text("The garden gate is painted green.\n")
        with kosearch.open() as index:
            index.index(folder)
            yield index, folder


class TestRefresh:
    def test_a_changed_file_answers(self, notes: tuple[kosearch.Index, Path]) -> None:
        index, folder = notes
        assert index.refresh(600) == 0
        (folder / "a.md").write_text("The chimney is swept in June.\n")
        assert index.changes().count == 1
        assert index.refresh(600) == 0
        assert "chimney" in index.search("When is the chimney swept?", k=1)[0].text

    def test_what_takes_too_long_is_left(self, notes: tuple[kosearch.Index, Path]) -> None:
        index, folder = notes
        for number in range(37):
            (folder / f"{number}.md").write_text("The same.\n")
        assert index.refresh(0.5) == 37
        assert index.changes().count == 37
        for number in range(37):
            (folder / f"{number}.md").unlink()

    def test_beside_another_writer_the_question_goes_on(self, notes: tuple[kosearch.Index, Path]) -> None:
        index, folder = notes
        (folder / "c.md").write_text("The attic is dry.\n")
        with index.store.writer():
            began = time.monotonic()
            assert index.refresh() == 1
            assert time.monotonic() - began < 5
        assert index.refresh(600) == 0

    def test_a_brief_writer_is_waited_for(self, notes: tuple[kosearch.Index, Path]) -> None:
        from threading import Thread

        index, _ = notes
        held = Thread(target=lambda: _hold(index, 3.0))
        held.start()
        assert until(lambda: index.store.written_since() is not None)
        with index.store.writer():
            assert not held.is_alive() or not held.join()
        held.join()

    def test_a_disk_that_went_away_takes_nothing_from_the_index(self, notes: tuple[kosearch.Index, Path]) -> None:
        index, folder = notes
        before = index.status().documents
        folder.rename(folder.with_name("away"))
        folder.mkdir()
        assert index.refresh(600) == 0
        assert index.status().documents == before
        folder.rmdir()
        assert index.refresh(600) == 0
        folder.with_name("away").rename(folder)
        assert index.refresh(600) == 0
        assert index.status().documents == before


def _hold(index: kosearch.Index, seconds: float) -> None:
    with index.store.writer(brief=True):
        time.sleep(seconds)


def test_the_setting(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    assert config.load({}).refresh is None
    monkeypatch.setenv("KOSEARCH_REFRESH", "0")
    assert config.load({}).refresh == 0
    assert config.load({"refresh": "2.5"}).refresh == 2.5
    assert main(["query", "--refresh=soon", "휴가"]) == 2
    assert "--refresh" in capsys.readouterr().err
    assert main(["query", "휴가", "--refresh"]) == 4  # it takes no value of what stands beside it
    assert "there is no index" in capsys.readouterr().err


def test_a_warm_process_answers_from_files_as_they_are(program: Program) -> None:
    environment = {**program.environment, "KOSEARCH_RESIDENT": "on", "KOSEARCH_RESIDENT_IDLE": "120"}
    warm = Program(program.home, environment)
    folder = program.home / "docs"
    folder.mkdir()
    (folder / "a.md").write_text("The boiler is serviced in May.\n")
    assert program.run("index", folder).returncode == 0
    try:
        assert until(lambda: warm.run("serve", "-d").returncode == 0, 60)
        assert warm.run("query", "boiler", "--paths").stdout == f"{folder}/a.md\n"
        (folder / "b.md").write_text("A walrus sleeps on the ice.\n")
        assert until(lambda: f"{folder}/b.md\n" in warm.run("query", "walrus", "--paths").stdout, 60)
        (folder / "b.md").write_text("A penguin sleeps on the ice.\n")
        assert "docs/b.md" not in warm.run("query", "penguin", "--mode", "lexical", "--refresh=0", "--paths").stdout
        done = json.loads(warm.run("index", "docs", "--json").stdout)
        assert (done["changed"], done["unchanged"]) == (1, 1)
        assert f"{folder}/b.md\n" in warm.run("query", "penguin", "--mode", "lexical", "--paths").stdout
        status = json.loads(warm.run("serve", "--status", "--json").stdout)
        assert status["residents"][0]["requests"] >= 5  # `index` was one of them
        missing = warm.run("index", "docs/nothing")
        assert missing.returncode == 2
    finally:
        warm.run("serve", "--stop")
