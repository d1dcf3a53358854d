"""Indexes that move: of projects, of documents that went elsewhere, under other names, and away."""

from __future__ import annotations

import json
import os
import shutil
import sys
from pathlib import Path

import pytest
from conftest import CORPUS, Program
from format_making import unpack
from index_making import mounted_read_only

from kosearch.index import SqliteStore


def hit(program: Program, *arguments: str | Path, cwd: Path | None = None) -> dict[str, str]:
    done = program.run("query", "vacation in March", "-k", "1", "--json", *arguments, cwd=cwd or program.home)
    found: dict[str, str] = json.loads(done.stdout)["hits"][0]
    return found


def folder(program: Program, name: str) -> Path:
    made = program.home / name
    (made / "sub").mkdir(parents=True)
    (made / "sub" / "notes.txt").write_text("Unused vacation moves to March.\n")
    return made


def made_here(program: Program, name: str = "project") -> Path:
    project = folder(program, name)
    assert program.run("index", "--here", "--model", "bundled", cwd=project).returncode == 0
    return project


def contents(place: Path) -> dict[str, bytes]:
    """All files, but those that readers of a database share, and their note of when they last read all of a file."""
    theirs = ("-shm", "-wal", "verified.json")
    files = (one for one in place.rglob("*") if one.is_file() and not one.name.endswith(theirs))
    return {str(one.relative_to(place)): one.read_bytes() for one in files}


def test_a_projects_index_goes_where_its_folder_goes(program: Program) -> None:
    """Moved, copied and named by a link: each names its own places at once, and nothing is written for it."""
    project = made_here(program)
    assert [name for name in contents(project) if not name.startswith(".kosearch/")] == ["sub/notes.txt"]
    assert os.fsencode(project) not in contents(project)[".kosearch/index.sqlite"]
    assert hit(program, cwd=project / "sub")["absolute_path"] == str(project / "sub" / "notes.txt")
    moved, copied = program.home / "elsewhere" / "project", program.home / "copied"
    moved.parent.mkdir()
    shutil.move(project, moved)
    shutil.copytree(moved, copied)
    before = contents(moved)
    for place in (moved, copied):
        found = hit(program, "--path", place / "sub", cwd=place)
        assert found["absolute_path"] == str(place / "sub" / "notes.txt")
        assert (found["index"], found["state"]) == (str(place / ".kosearch"), "current")
    both = program.run("query", "vacation", "-i", moved / ".kosearch", "-i", copied / ".kosearch", "--json")
    (found,) = json.loads(both.stdout)["hits"]
    assert {found["path"], *found["also"]} == {"elsewhere/project/sub/notes.txt", "copied/sub/notes.txt"}
    assert contents(moved) == contents(copied) == before
    link = program.home / "link"
    link.symlink_to(copied)
    assert hit(program, "-i", link / ".kosearch")["absolute_path"] == str(copied / "sub" / "notes.txt")
    assert "0 files added, 0 changed, 0 removed, 1 unchanged" in program.run("index", cwd=copied).stderr
    assert program.run("remove", "sub", cwd=copied).returncode == 0
    assert hit(program, cwd=moved)["state"] == "current"
    assert program.run("query", "x", cwd=program.home).returncode == 4  # no project, and no index of one's own
    assert "leave out paths" in program.run("index", "--here", moved, cwd=moved).stderr


@pytest.mark.skipif(sys.platform != "linux" or os.geteuid() != 0, reason="needs mounts")
def test_where_nothing_can_be_written_a_projects_index_names_its_places(program: Program) -> None:
    project = made_here(program)
    before = contents(project)
    with mounted_read_only(project) as mount:
        found = hit(program, "--mode", "lexical", cwd=mount)
        assert (found["absolute_path"], found["state"]) == (str(mount / "sub" / "notes.txt"), "current")
        assert hit(program, "--mode", "lexical", cwd=project)["absolute_path"] == str(project / "sub" / "notes.txt")
    assert contents(project) == before


def test_outside_of_its_folder_a_projects_index_names_the_places_that_it_had(program: Program) -> None:
    """A backup, and an index that got a name; in another project's folder it belongs to that."""
    project, other = made_here(program), folder(program, "other")
    notes = str(project / "sub" / "notes.txt")
    kept = program.home / "kept.backup"
    assert program.run("indexes", "backup", kept, cwd=project).returncode == 0
    assert program.run("indexes", "restore", kept, "-i", "kept").returncode == 0
    assert hit(program, "-i", "kept")["absolute_path"] == notes
    assert "1 unchanged" in program.run("index", "-i", "kept").stderr
    assert program.run("indexes", "restore", kept, "-i", other / ".kosearch").returncode == 0
    assert hit(program, cwd=other)["absolute_path"] == str(other / "sub" / "notes.txt")
    assert program.run("indexes", "rename", project / ".kosearch", "named").returncode == 0
    assert hit(program, "-i", "named")["absolute_path"] == notes
    assert program.run("indexes", "move", project, other, "-i", "named").returncode == 0
    assert hit(program, "-i", "named")["absolute_path"] == str(other / "sub" / "notes.txt")


@pytest.mark.parametrize("version", [1, 2])
def test_a_projects_index_of_an_earlier_format_is_named_from_its_folder(version: int, tmp_path: Path) -> None:
    """It named its files absolutely, and was moved since; one of another folder stays what it is."""
    for name in ("project", "empty"):
        unpack(version, tmp_path)
        (tmp_path / name).mkdir()
        (tmp_path / "index").rename(tmp_path / name / ".kosearch")
    shutil.copytree(CORPUS, tmp_path / "project", dirs_exist_ok=True)
    moved, stays = (SqliteStore(tmp_path / name / ".kosearch") for name in ("project", "empty"))
    assert list(moved.roots()) == [os.fsencode(tmp_path / "project")]
    assert (moved.check(), stays.check()) == ([], [])
    assert not any(os.fsencode(tmp_path) in path for path in (*stays.roots(), *stays.files()))
    with moved.snapshot() as one, stays.snapshot() as other:
        (root,) = stays.roots()
        expected = [path.path_bytes.replace(root, os.fsencode(tmp_path / "project")) for path in other.documents()]
        assert [document.path_bytes for document in one.documents()] == expected


def test_an_index_of_another_folder_stays_where_that_is(program: Program) -> None:
    docs, place = folder(program, "docs"), program.home / "place" / ".kosearch"
    assert program.run("index", docs, "-i", place, "--model", "bundled").returncode == 0
    assert hit(program, "-i", place)["absolute_path"] == str(docs / "sub" / "notes.txt")
    alone = program.home / "alone" / ".kosearch"
    assert program.run("index", docs / "sub" / "notes.txt", "-i", alone, "--model", "bundled").returncode == 0
    assert hit(program, "-i", alone)["absolute_path"] == str(docs / "sub" / "notes.txt")


def test_documents_that_went_elsewhere_are_not_read_again(program: Program) -> None:
    old = folder(program, "old")
    assert program.run("index", old, "--model", "bundled").returncode == 0
    new = program.home / "new"
    old.rename(new)
    (new / "sub" / "notes.txt").chmod(0)  # nobody can read it, but for root
    assert "lies in" in program.run("indexes", "move", old, new).stderr
    assert hit(program)["absolute_path"] == str(new / "sub" / "notes.txt")
    status = json.loads(program.run("status", "--json").stdout)
    assert [root["absolute_path"] for root in status["roots"]] == [str(new)]
    (new / "sub" / "notes.txt").chmod(0o600)
    assert "1 unchanged" in program.run("index").stderr
    assert program.run("indexes", "move", old, new).returncode == 2
    assert program.run("indexes", "move", new, new / "sub").returncode == 2


def test_names_change_and_indexes_go(program: Program) -> None:
    assert program.run("index", folder(program, "docs"), "-i", "one", "--model", "bundled").returncode == 0
    assert program.run("indexes", "rename", "one", "two").returncode == 0
    assert program.run("indexes", "rename", "nothing", "three").returncode == 4
    assert hit(program, "-i", "two")["index"] == "two"
    kept = program.run("indexes", "remove", "two")
    assert (kept.returncode, "--yes two" in kept.stderr) == (2, True)
    assert program.run("indexes", "remove", "two", "--yes").returncode == 0
    assert json.loads(program.run("indexes", "--json").stdout)["indexes"] == []
    assert os.listdir(program.home / "docs") == ["sub"]
