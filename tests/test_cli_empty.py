"""An index in which nothing is searchable: no error, but no hit and the reason."""

from __future__ import annotations

import json
import os
import re
import socket
import subprocess
from datetime import UTC, datetime
from pathlib import Path

import pytest
from conftest import Program

from kosearch import config
from kosearch.cli import main
from kosearch.index.files import held_since
from kosearch.library import Index
from kosearch.records import Query

MODES = ("hybrid", "dense", "lexical")


@pytest.mark.parametrize("mode", MODES)
def test_all_files_were_skipped(program: Program, mode: str) -> None:
    docs = program.home / "docs"
    docs.mkdir()
    (docs / "empty.txt").touch()
    (docs / "broken.pdf").write_bytes(b"%PDF-1.4 cut off")
    assert program.run("index", docs).returncode == 0
    said = "nothing is searchable: all 2 files were skipped (1 broken, 1 empty): kosearch status --problems"
    done = program.run("query", "휴가 이월", "--mode", mode)
    assert (done.returncode, done.stdout, done.stderr) == (1, "", f"kosearch: {said}\n")
    done = program.run("query", "휴가 +이월", "--mode", mode, "--json", "-q")
    answer = json.loads(done.stdout)
    assert (done.returncode, answer["hits"], answer["warnings"]) == (1, [], [said])


def test_nothing_was_found_or_all_was_removed(program: Program) -> None:
    note = program.home / "docs" / "note.txt"
    note.parent.mkdir()
    note.write_text("휴가는 이월한다", encoding="utf-8")
    assert program.run("index", note.parent).returncode == 0
    assert program.run("query", "휴가", "--mode", "lexical").returncode == 0
    assert program.run("remove", note.parent).returncode == 0
    done = program.run("query", "휴가")
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == "kosearch: nothing is searchable: no files are indexed; kosearch index PATH\n"


@pytest.mark.parametrize("on_server", [False, True])
@pytest.mark.parametrize(
    "command",
    [
        "questions",
        "topics",
        "duplicates",
        "similar empty.txt",
        "vectors --jsonl",
        "train --from questions.jsonl --out better",
        "eval questions.jsonl",
    ],
)
def test_there_is_nothing_to_look_at(
    command: str,
    on_server: bool,
    request: pytest.FixtureRequest,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Each command says so, in whatever the index is kept."""
    monkeypatch.chdir(tmp_path)
    name = str(tmp_path / "index")
    if on_server:
        name = request.getfixturevalue("postgres").url(f"empty_{command.partition(' ')[0]}")
    library = Index(config.load({"index": name}))
    library.prepare()
    library.close()
    (tmp_path / "empty.txt").touch()
    (tmp_path / "questions.jsonl").write_text('{"question": "휴가", "expected": "empty.txt"}\n', encoding="utf-8")
    assert main([*command.split(), "--index", name]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert re.match("kosearch: (nothing is searchable: |questions.jsonl, line 1: .*no document of the index )", err)


def test_before_the_first_run_has_published(tmp_path: Path) -> None:
    library = Index(config.load({"index": str(tmp_path / "index")}))
    library.prepare()
    with library.store.writer():
        [answer] = library.answers([Query("휴가 이월")])
        assert answer.hits == ()
        assert answer.warnings[0].startswith("nothing is searchable yet: indexing began ")
        assert int(answer.warnings[0].removesuffix(" s ago").rpartition(" ")[2]) < 60
        [answer] = Index(library.settings).answers([Query("휴가", mode="lexical")])
        assert answer.warnings[0].endswith(" s ago")
    [answer] = library.answers([Query("휴가")])
    assert answer.warnings == ("nothing is searchable: no files are indexed; kosearch index PATH",)


def test_the_note_of_a_writer_that_was_killed_does_not_count(tmp_path: Path) -> None:
    lock, here = tmp_path / "lock", socket.gethostname()
    ended = subprocess.Popen(["true"])
    ended.wait()
    since = datetime(2026, 11, 29, 12, tzinfo=UTC)
    for pid, host, expected in ((os.getpid(), here, since), (ended.pid, here, None), (ended.pid, "another", since)):
        lock.write_text(json.dumps({"pid": pid, "host": host, "since": since.isoformat()}))
        assert held_since(lock) == expected
    lock.write_text("")
    assert held_since(lock) is None
