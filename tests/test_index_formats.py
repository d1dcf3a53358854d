"""An index outlives the version that made it: opened, migrated whole, or refused with what to run."""

from __future__ import annotations

import json
import os
import signal
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from conftest import CORPUS, Program, Tally
from format_making import FORMATS, QUESTIONS, holdings, packed, unpack
from index_making import answers, make, quick_folder, set_identity

from kosearch import opening, terms
from kosearch.cli import main
from kosearch.embedding import resolve
from kosearch.errors import IndexMismatch
from kosearch.index import SqliteStore, database, files

pytestmark = pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
VERSIONS = range(1, database.VERSION + 1)
NEXT = (
    "ALTER TABLE root ADD COLUMN label TEXT NOT NULL DEFAULT ''",
    "CREATE TABLE language (document_id INTEGER PRIMARY KEY, code TEXT NOT NULL)",
    "INSERT INTO language SELECT id, 'ko' FROM document",
)
"""What a next version might do to the tables."""


@pytest.fixture(params=VERSIONS)
def kept(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[int, Path]:
    """The index that was kept of a format."""
    unpack(request.param, tmp_path)
    return request.param, tmp_path / "index"


def test_every_format_has_an_index_to_open() -> None:
    """A new migration without one: run `python tests/format_making.py`."""
    assert sorted(path.name for path in FORMATS.glob("*.tar.xz")) == [packed(version).name for version in VERSIONS]


def test_an_index_of_any_format_is_whole(kept: tuple[int, Path]) -> None:
    version, directory = kept
    assert SqliteStore.upgrade(directory) == (version < database.VERSION)
    assert not SqliteStore.upgrade(directory)
    index = SqliteStore(directory)
    assert index.check() == []
    assert holdings(index) == json.loads((FORMATS / f"{version}.json").read_text(encoding="utf-8"))
    with index.writer() as writer:
        assert writer.publish() == 3  # what an interrupted run of that version had stored
    assert index.check() == []
    assert index.status().pending == 0


def test_an_index_of_any_format_answers_and_goes_on(kept: tuple[int, Path], program: Program, tmp_path: Path) -> None:
    _, directory = kept
    questions = tmp_path / "questions.txt"
    assert program.run("indexes", "adopt", directory).returncode == 0  # it comes from another machine
    questions.write_text("\n".join(QUESTIONS), encoding="utf-8")
    result = program.run("query", "--batch", questions, "--json", "-k", "1", "--index", directory)
    identity = SqliteStore(directory).identity
    model = resolve("bundled", cache_dir=tmp_path)
    if identity.fingerprint != model.fingerprint:
        assert result.returncode == 4
        assert "kosearch index --index NAME" in result.stderr
        return
    if identity.term_rules != terms.RULES:
        assert result.returncode == 4
        assert f"kosearch index --index {directory}" in result.stderr
        result = program.run("index", "--index", directory)
        assert "no file is read" in result.stderr
        result = program.run("query", "--batch", questions, "--json", "-k", "1", "--index", directory)
    assert result.returncode == 0, result.stderr
    found = [Path(one["hits"][0]["path"]).name for one in json.loads(result.stdout)["answers"]]
    assert found == list(QUESTIONS.values())
    if identity.passage_rules == opening.PASSAGE_RULES:
        result = program.run("index", CORPUS, "--index", directory, "--json")
        report = json.loads(result.stdout)
        assert (report["embedded"], report["reused"]) == (0, 9)  # the vectors of then are good today


def test_a_newer_format_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    index = make(tmp_path / "index", "ab")
    connection = sqlite3.connect(tmp_path / "index/index.sqlite")
    connection.execute(f"PRAGMA user_version = {database.VERSION + 1}")
    connection.close()
    with pytest.raises(IndexMismatch, match="format"), index.snapshot():  # it was open all along
        pass
    for command in (["query", "가"], ["index"], ["status"], ["check"], ["repair"]):
        assert main([*command, "--index", str(tmp_path / "index")]) == 4
        error = capsys.readouterr().err
        assert f"has format {database.VERSION + 1}" in error
        assert "pip install --upgrade kosearch" in error


def killed_opening(directory: Path, at: int | None) -> tuple[int, list[str]]:
    """Open an index in a child that kills itself before statement, or at step, number `at`.

    Returns the wait status and the statements and steps it came to.
    """
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

        def connect(path: Path, *, write: bool, plain: Any = database._open) -> sqlite3.Connection:
            connection: sqlite3.Connection = plain(path, write=write)
            connection.set_trace_callback(note if write else None)
            return connection

        files.hooks.append(note)
        database._open = connect
        try:
            SqliteStore(directory)
            os._exit(0)
        finally:
            os._exit(70)
    os.close(writing)
    with os.fdopen(reading) as stream:
        passed = stream.read().split("\n")[:-1]
    return os.waitpid(child, 0)[1], passed


@pytest.fixture
def folder() -> Iterator[Path]:
    with quick_folder() as place:
        yield place


def test_a_migration_is_whole_or_was_not(folder: Path, monkeypatch: pytest.MonkeyPatch, tally: Tally) -> None:
    """Killed before every statement and at every step, with a reader that has the index open."""

    def older(name: str) -> Path:
        with monkeypatch.context() as patch:
            patch.setattr(database, "MIGRATIONS", database.MIGRATIONS[:-1])
            patch.setattr(database, "VERSION", database.VERSION - 1)
            make(folder / name, "ab").close()
        return folder / name

    monkeypatch.setattr(database, "MIGRATIONS", (*database.MIGRATIONS, NEXT))
    monkeypatch.setattr(database, "VERSION", database.VERSION + 1)
    status, passed = killed_opening(older("whole"), None)
    assert status == 0
    assert set(NEXT) < set(passed)
    expected = answers(SqliteStore(folder / "whole"))
    for number, name in enumerate(passed):
        directory = older(str(number))
        tally.tried("format")
        status, came_to = killed_opening(directory, number)
        assert (os.WTERMSIG(status), came_to[-1]) == (signal.SIGKILL, name)
        connection = database.connect(directory, write=False)
        assert database.is_current(connection) == ("after commit" in came_to), name
        connection.close()
        index = SqliteStore(directory)
        assert answers(index) == expected, name
        assert index.check() == [], name
        index.close()
        connection = database.connect(directory, write=False)
        assert database.is_current(connection)
        assert connection.execute("SELECT count(*) FROM language").fetchone() == (2,)
        connection.close()


def test_a_migration_that_fails_leaves_the_older_format(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    index = make(tmp_path, "ab")
    expected = answers(index)
    index.close()
    with monkeypatch.context() as patch:
        patch.setattr(database, "MIGRATIONS", (*database.MIGRATIONS, (*NEXT, "SELECT no_such_function()")))
        patch.setattr(database, "VERSION", database.VERSION + 1)
        with pytest.raises(sqlite3.OperationalError, match="no_such_function"):
            SqliteStore(tmp_path)
    assert answers(SqliteStore(tmp_path)) == expected


@pytest.mark.parametrize("kept", VERSIONS[-1:], indirect=True)
def test_other_rules_are_an_error_that_says_what_to_run(
    kept: tuple[int, Path], capsys: pytest.CaptureFixture[str]
) -> None:
    _, directory = kept
    where = ["--index", str(directory)]
    assert main(["indexes", "adopt", str(directory)]) == 0
    assert main(["index", *where]) == 0  # its terms are by the rules of now
    set_identity(directory, passage_rules="0")
    assert main(["query", "보안취약점", "--mode", "lexical", *where]) == 0  # its passages are what they are
    assert main(["index", *where]) == 4
    assert "passages by rules 0" in capsys.readouterr().err
    set_identity(directory, term_rules="0")
    assert main(["query", "보안취약점", "--mode", "dense", *where]) == 0
    capsys.readouterr()
    assert main(["query", "보안취약점", "--mode", "lexical", *where]) == 4
    error = capsys.readouterr().err
    assert "terms by rules 0" in error
    assert f"kosearch index --index {directory} makes them anew" in error
    assert main(["status", *where]) == 0
