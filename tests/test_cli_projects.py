"""Indexes that move: of projects, of documents that went elsewhere, under other names, and away."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from pathlib import Path

import pytest
from conftest import Program


def hit(program: Program, *arguments: str | Path, cwd: Path | None = None) -> dict[str, str]:
    done = program.run("query", "vacation in March", "-k", "1", "--json", *arguments, cwd=cwd or program.home)
    found: dict[str, str] = json.loads(done.stdout)["hits"][0]
    return found


def folder(program: Program, name: str) -> Path:
    made = program.home / name
    (made / "sub").mkdir(parents=True)
    (made / "sub" / "notes.txt").write_text("Unused vacation moves to March.\n")
    return made


def test_a_projects_index_goes_where_its_folder_goes(program: Program) -> None:
    project = folder(program, "project")
    before = {one: one.read_bytes() for one in project.rglob("*") if one.is_file()}
    assert program.run("index", "--here", "--model", "bundled", cwd=project).returncode == 0
    after = {one: one.read_bytes() for one in project.rglob("*") if one.is_file() and ".kosearch" not in one.parts}
    assert after == before
    assert hit(program, cwd=project / "sub")["absolute_path"] == str(project / "sub" / "notes.txt")
    moved = program.home / "elsewhere" / "project"
    moved.parent.mkdir()
    shutil.move(project, moved)
    copied = program.home / "copied"
    shutil.copytree(moved, copied)
    for place in (moved, copied):
        found = hit(program, cwd=place / "sub")
        assert found["absolute_path"] == str(place / "sub" / "notes.txt")
        assert found["index"] == str(place / ".kosearch")
        assert found["state"] == "current"
        again = program.run("index", cwd=place)
        assert "0 files added, 0 changed, 0 removed, 1 unchanged" in again.stderr
    assert program.run("query", "x", cwd=program.home).returncode == 4  # no project, and no index of one's own
    assert "leave out paths" in program.run("index", "--here", moved, cwd=moved).stderr


def test_an_index_that_cannot_follow_its_folder_says_which_places_it_names(program: Program) -> None:
    project = folder(program, "project")
    assert program.run("index", "--here", "--model", "bundled", cwd=project).returncode == 0
    mount = program.home / "mount"
    mount.mkdir()
    for options in (["--bind", str(project)], ["-o", "remount,bind,ro"]):
        if subprocess.run(["mount", *options, mount], check=False, capture_output=True).returncode:
            pytest.skip("mounting is not allowed here")
    try:
        asked = program.run("query", "vacation in March", "--mode", "lexical", cwd=mount)
    finally:
        subprocess.run(["umount", "--lazy", mount], check=True)
    line = f"hits are named as if they still lay in {project}: the index cannot follow them to {mount}/"
    assert asked.stderr.count(line.rstrip("/")) == 1
    assert "project/sub/notes.txt" in asked.stdout
    assert "hits are named" not in program.run("query", "vacation", "--mode", "lexical", cwd=project).stderr


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
