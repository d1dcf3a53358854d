"""Nobody else reads or writes an index, and no folder that is indexed has a say in how."""

from __future__ import annotations

import json
import os
import stat
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from conftest import Program, Tally

from kosearch.system import make_private

NOBODY = 65534
needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root makes files of other users")


def modes(folder: Path) -> dict[str, int]:
    """The permissions of a folder and all below it."""
    return {str(path): stat.S_IMODE(path.lstat().st_mode) for path in (folder, *folder.rglob("*"))}


def test_all_of_an_index_is_its_users_alone(program: Program, tally: Tally) -> None:
    docs = program.home / "docs"
    docs.mkdir()
    (docs / "lamp.txt").write_text("The lighthouse lamp turns all night.\n")
    data = program.home / "data"
    own = replace(program, environment={**program.environment, "KOSEARCH_DATA_DIR": str(data)})
    script = (
        "umask 000; kosearch index docs; kosearch query lamp --mode lexical; "
        "echo 'The ferry leaves at nine.' > docs/ferry.txt; kosearch index; kosearch check; kosearch repair"
    )
    done = own.shell(script)
    assert done.returncode == 0, done.stderr
    found = modes(data)
    assert len(found) > 10
    loose = {name: oct(mode) for name, mode in found.items() if mode & 0o077}
    assert loose == {}
    tally.tried("private", len(found))


def test_missing_folders_are_made_private_and_others_left(tmp_path: Path) -> None:
    (tmp_path / "there").mkdir(mode=0o755)
    before = os.umask(0)
    try:
        make_private(tmp_path / "there/a/b")
        make_private(tmp_path / "there/a/b")
    finally:
        os.umask(before)
    assert [stat.S_IMODE((tmp_path / name).stat().st_mode) for name in ("there", "there/a", "there/a/b")] == [
        0o755,
        0o700,
        0o700,
    ]


@needs_root
@pytest.mark.parametrize("command", [["query", "lamp"], ["status"], ["index", "docs"], ["check"], ["remove", "docs"]])
def test_an_index_of_another_user_is_refused(program: Program, command: list[str], tally: Tally) -> None:
    (program.home / "docs").mkdir()
    place = program.home / "index"
    place.mkdir()
    (place / "index.sqlite").write_bytes(b"SQLite format 3\0")
    os.chown(place, NOBODY, NOBODY)
    result = program.run(*command, "--index", f"{place}/")
    assert result.returncode == 4, result.stderr
    assert "belongs to another user" in result.stderr
    tally.tried("private")


BAIT_MODULES = ("json", "typer", "kosearch", "sitecustomize", "usercustomize", "sqlite3", "site", "numpy")
SETTINGS = 'index = "hijacked"\nmodel = "evil/model"\nmode = "dense"\nk = 1\nresident_idle = 1\nmax_file_size = 1\n'


def test_a_folders_own_files_decide_nothing(program: Program, tally: Tally) -> None:
    """Settings under every likely name, Python modules, front matter: all lie in the folder and where it is run."""
    docs = program.home / "docs"
    docs.mkdir()
    for name in ("config.toml", "kosearch.toml", ".kosearch.toml", "pyproject.toml", "settings.toml", ".kosearchrc"):
        text = f"[tool.kosearch]\n{SETTINGS}" if name == "pyproject.toml" else SETTINGS
        (docs / name).write_text(text)
    for folder in (".kosearch", ".config/kosearch", "kosearch"):
        (docs / folder).mkdir(parents=True)
        (docs / folder / "config.toml").write_text(SETTINGS)
    variables = "KOSEARCH_MODEL=evil/model\nKOSEARCH_INDEX=hijacked\nKOSEARCH_K=1\nHF_ENDPOINT=http://evil\n"
    for name in (".env", ".envrc", ".kosearch.env"):
        (docs / name).write_text(variables)
    (docs / ".kosearchignore").write_text("model = evil/model\n--index hijacked\n!*.md\n")
    for name in BAIT_MODULES:
        (docs / f"{name}.py").write_text(f"open({str(program.home / 'sprung')!r}, 'w').close()\n")
    (docs / "notes.md").write_text(
        "---\nmodel: evil/model\nkosearch: {model: evil/model, index: hijacked}\nindex: hijacked\nk: 1\n---\n\n"
        "The lighthouse lamp turns all night.\n"
    )
    for number in range(3):
        (docs / f"{number}.md").write_text(f"The lighthouse number {number} " + f"word{number} " * 20 + "\n")

    assert program.run("index", ".", cwd=docs).returncode == 0
    found = json.loads(program.run("query", "lighthouse", "--json", cwd=docs).stdout)
    assert found["mode"] == "hybrid"
    assert len(found["hits"]) > 1
    state = json.loads(program.run("status", "--json", cwd=docs).stdout)
    assert (state["index"], state["model"]["name"]) == ("default", "bundled")
    assert os.listdir(program.home / ".local/share/kosearch/indexes") == ["default"]
    assert not (program.home / "sprung").exists()
    tally.tried("own-files", 9 + 3 + 1 + len(BAIT_MODULES) + 1)


@needs_root
@pytest.mark.skipif(sys.platform == "darwin", reason="no devices can be made there")
def test_what_is_no_file_is_skipped_with_a_reason(program: Program, tally: Tally) -> None:
    """A pipe, a socket, devices, a gigabyte of nothing and a line of a million characters, in a real run."""
    import socket

    docs = program.home / "d"
    docs.mkdir()
    os.mkfifo(docs / "pipe.txt")
    os.mknod(docs / "zero.txt", 0o666 | stat.S_IFCHR, os.makedev(1, 5))
    os.mknod(docs / "block.txt", 0o666 | stat.S_IFBLK, os.makedev(7, 250))
    place = os.open(docs, os.O_RDONLY)
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(f"/proc/self/fd/{place}/socket.txt")
    os.close(place)
    with (docs / "sparse.txt").open("wb") as sparse:
        sparse.truncate(1 << 30)
    with (docs / "sparse.small.txt").open("wb") as sparse:
        sparse.truncate(60 << 20)
    (docs / "line.txt").write_text("lighthouse " * 100_000)
    (docs / "loop").symlink_to("loop")
    (docs / "device").symlink_to("/dev/zero")
    (docs / "lamp.txt").write_text("The lighthouse lamp turns all night.\n")
    expected = {
        "pipe.txt": "not-a-file",
        "zero.txt": "not-a-file",
        "block.txt": "not-a-file",
        "socket.txt": "not-a-file",
        "loop": "not-a-file",
        "device": "not-a-file",
        "sparse.txt": "too-large",
        "sparse.small.txt": "binary",
    }
    patient = replace(program, environment={**program.environment, "KOSEARCH_TIMEOUT": "500"})
    result = patient.run("index", docs, "--json", timeout=600)
    assert result.returncode == 0, result.stderr
    report = json.loads(result.stdout)
    assert {Path(one["path"]).name: one["reason"] for one in report["skipped"]} == expected
    assert report["documents"] == 2
    for name in (*expected, "nothing.txt"):
        shown = program.run("extract", docs / name)
        assert (shown.returncode, shown.stdout) == (6, ""), name
    tally.tried("odd-files", 2 * len(expected) + 2)
