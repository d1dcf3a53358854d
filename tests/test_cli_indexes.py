"""Indexes as a user keeps them: listed, backed up, restored, taken over; somebody else's decides nothing."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from conftest import CORPUS, Program
from endpoint_making import Server

from kosearch.index import SqliteStore, database, tables


@pytest.fixture
def server() -> Iterator[Server]:
    one = Server()
    yield one
    one.stop()


def elsewhere(program: Program) -> Program:
    """The same user on another machine, or another one, with a key of his own."""
    home = program.home / "elsewhere"
    home.mkdir(exist_ok=True)
    environment = {name: value for name, value in program.environment.items() if not name.startswith("XDG_")}
    return replace(program, environment={**environment, "HOME": str(home), "OPENAI_API_KEY": "sk-of-the-victim"})


def test_somebody_elses_index_sends_nothing_and_reads_no_folder(program: Program, server: Server) -> None:
    docs, place = program.home / "docs", program.home / "unpacked"
    docs.mkdir()
    (docs / "vacation.txt").write_text("Up to ten days of vacation are carried over to the next year.\n")
    made = program.run("index", docs, "--index", f"{place}/", "--model", "openai:small", "--endpoint", server.url)
    assert made.returncode == 0, made.stderr
    (docs / "secret.txt").write_text("What the victim keeps in the folder that stands in the index.\n")
    victim = elsewhere(program)
    connections = len(server.asked)

    found = victim.run("query", "vacation days", "--index", f"{place}/", "--json")
    assert found.returncode == 0, found.stderr
    answer = json.loads(found.stdout)
    assert (answer["mode"], len(answer["hits"])) == ("lexical", 1)
    assert found.stderr.count("not made by you on this machine") == 1
    assert "kosearch indexes adopt" in found.stderr
    for command in (
        ["query", "vacation days", "--mode", "dense", "--index", f"{place}/"],
        ["index", "--index", f"{place}/"],
        ["index", docs, "--index", f"{place}/"],
        ["index", "--into", "mine", "--index", f"{place}/", "--model", "bundled"],
    ):
        refused = victim.run(*command)
        assert refused.returncode == 4, (command, refused.stderr)
        assert "kosearch indexes adopt" in refused.stderr
    for command in (["status"], ["check"], ["status", "--problems"]):
        assert victim.run(*command, "--index", f"{place}/").returncode == 0
    assert len(server.asked) == connections, "nothing was sent"

    adopted = victim.run("indexes", "adopt", f"{place}/")
    assert adopted.returncode == 0, adopted.stderr
    assert server.url in adopted.stderr
    assert str(docs) in adopted.stderr
    assert victim.run("query", "vacation days", "--index", f"{place}/").returncode == 0
    assert len(server.asked) > connections
    assert "1 file added" in victim.run("index", "--index", f"{place}/").stderr
    assert "not made by you" in program.run("query", "vacation", "--index", f"{place}/").stderr


def test_an_index_that_was_changed_elsewhere_is_no_longer_ones_own(program: Program, server: Server) -> None:
    """Lent and given back with another URL, or with another folder, under the seal that it had."""
    docs = program.home / "docs"
    docs.mkdir()
    (docs / "vacation.txt").write_text("Ten days of vacation.\n")
    place = program.home / "mine"
    assert program.run("index", docs, "--index", f"{place}/", "--model", "bundled").returncode == 0
    assert "not made by you" not in program.run("query", "vacation", "--mode", "lexical", "--index", f"{place}/").stderr
    with SqliteStore(place).writer() as writer:
        writer.add_root(b"/etc")
    assert program.run("index", "--index", f"{place}/").returncode == 4
    assert "not made by you" in program.run("query", "vacation", "--mode", "lexical", "--index", f"{place}/").stderr


def test_indexes_from_before_there_were_seals_are_adopted_once(program: Program) -> None:
    """Those among the user's data are; a folder anywhere else, or one that comes later, is not."""
    docs = program.home / "docs"
    docs.mkdir()
    (docs / "vacation.txt").write_text("Ten days of vacation.\n")
    assert program.run("index", docs, "--model", "bundled").returncode == 0
    data = program.home / ".local/share/kosearch"
    (data / "index-secret").unlink()
    mine, outside, later = data / "indexes/default", program.home / "outside", data / "indexes/later"
    connection = database.connect(mine, write=True)
    connection.execute("DELETE FROM meta WHERE key LIKE 'owner%'")
    connection.close()
    shutil.copytree(mine, outside)
    assert "not made by you" not in program.run("query", "vacation", "--mode", "lexical").stderr
    shutil.copytree(outside, later)
    for name in ("later", f"{outside}/"):
        assert "not made by you" in program.run("query", "vacation", "--mode", "lexical", "--index", name).stderr
    assert program.run("index").returncode == 0
    rows = json.loads(program.run("indexes", "--json").stdout)["indexes"]
    assert [(row["name"], row["documents"], row["own"]) for row in rows] == [("default", 1, True), ("later", 1, False)]


def test_a_flipped_bit_makes_no_index_somebody_elses(program: Program) -> None:
    docs = program.home / "docs"
    docs.mkdir()
    (docs / "vacation.txt").write_text("Ten days of vacation.\n")
    assert program.run("index", docs, "--model", "bundled").returncode == 0
    mine = program.home / ".local/share/kosearch/indexes/default"
    connection = database.connect(mine, write=True)
    connection.execute("UPDATE meta SET value = value || 'x' WHERE key = ?", (tables.OWNER,))
    connection.close()
    assert program.run("check").returncode == 4
    assert program.run("repair").returncode == 0
    assert program.run("check").returncode == 0
    assert program.run("index").returncode == 0


def test_a_backup_comes_back_under_another_name(program: Program) -> None:
    assert program.run("index", CORPUS, "--model", "bundled", "--quiet").returncode == 0
    question = ("query", "연차를 다음 해로 넘길 수 있나요?", "--json")
    expected = json.loads(program.run(*question).stdout)["hits"]
    file = program.home / "notes.backup"
    backed = program.run("indexes", "backup", file)
    assert backed.returncode == 0, backed.stderr
    assert file.stat().st_mode & 0o777 == 0o600
    again = program.run("indexes", "backup", file)
    assert (again.returncode, "is there already" in again.stderr) == (2, True)
    for command in ("indexes adopt", "status --index"):
        taken = program.run(*command.split(), file)
        assert (taken.returncode, f"kosearch indexes restore {file}\n" in taken.stderr) == (4, True)
    onto = program.run("indexes", "restore", file)
    assert onto.returncode == 4
    assert onto.stderr.splitlines()[1:] == ["  name another one: --index NAME"]
    restored = program.run("indexes", "restore", file, "--index", "second")
    assert restored.returncode == 0, restored.stderr
    assert restored.stderr == "8 documents with 9 passages restored\n"
    hits = json.loads(program.run(*question, "--index", "second").stdout)["hits"]
    assert hits == [{**one, "index": "second"} for one in expected]
    assert program.run("indexes", "restore", file).returncode == 4  # there is one of that name
    there = elsewhere(program).run("indexes", "restore", file, "--index", "third")
    assert "kosearch indexes adopt third" in there.stderr
    listed = program.run("indexes").stdout.splitlines()
    assert [line.split()[0] for line in listed] == ["default", "second"]
    assert all("8 documents" in line and "yours" in line for line in listed)


@pytest.mark.parametrize("place", ["/dev/null", "/dev/null/in"])
def test_where_no_folder_can_be_no_index_is_made(program: Program, place: str) -> None:
    made = program.run("index", CORPUS, "--index", place)
    assert (made.returncode, f"no index can be made in {place}: " in made.stderr) == (4, True), made.stderr


def test_no_index_is_said(program: Program) -> None:
    result = program.run("indexes")
    assert (result.returncode, result.stdout) == (0, "")
    assert "there is no index yet" in result.stderr
    missing = Path(program.home / "nowhere.backup")
    assert program.run("indexes", "restore", missing).returncode == 2
    assert not (program.home / ".local/share/kosearch/indexes").exists()
