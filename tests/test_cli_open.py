"""From a hit to its place: what is kept of the last question, viewers, attachments, and templates."""

from __future__ import annotations

import base64
import json
import os
import re
import shutil
import stat
import subprocess
from email.message import EmailMessage
from pathlib import Path
from urllib.parse import unquote

import pytest
from conftest import Program, until

import kosearch
from kosearch import config, library
from kosearch.cli.open import remember
from kosearch.viewers import taken_out, viewer

TWO_PAGES = Path(__file__).parent / "data" / "extract" / "two_pages.pdf"


def hit(kind: str, **more: object) -> dict[str, object]:
    return {"path": "/docs/a b; rm -rf '.x", "kind": kind, "line": 12, "page": None, **more}


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder that is all of PATH."""
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("VISUAL", raising=False)
    return tmp_path


def add(folder: Path, *names: str) -> None:
    for name in names:
        (folder / name).write_text("#!/bin/sh\n")
        (folder / name).chmod(0o755)


def test_viewers_go_to_the_page_or_line(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = config.load({})
    with pytest.raises(kosearch.UsageError, match="no program"):
        viewer(settings, hit("pdf", page=3))
    add(here, "xdg-open", "less", "zathura", "vim", "code")
    assert viewer(settings, hit("pdf", page=3)) == [str(here / "zathura"), "--page=3", "/docs/a b; rm -rf '.x"]
    assert viewer(settings, hit("markdown")) == ["less", "+12", "/docs/a b; rm -rf '.x"]
    monkeypatch.setenv("EDITOR", "vim -R")
    assert viewer(settings, hit("code")) == ["vim", "-R", "+12", "/docs/a b; rm -rf '.x"]
    monkeypatch.setenv("VISUAL", "code")
    assert viewer(settings, hit("text")) == ["code", "--goto", "/docs/a b; rm -rf '.x:12"]
    assert viewer(settings, hit("hwp")) == [str(here / "xdg-open"), "/docs/a b; rm -rf '.x"]


def test_on_a_mac_skim_goes_to_the_page(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    add(here, "open")
    monkeypatch.setattr("sys.platform", "darwin")
    monkeypatch.setattr("kosearch.viewers._APPLICATIONS", (str(here),))
    settings, path = config.load({}), "/docs/a b; rm -rf '.x"
    assert viewer(settings, hit("pdf", page=3)) == [str(here / "open"), path]  # Preview opens it, at its beginning
    (here / "Skim.app").mkdir()
    command = viewer(settings, hit("pdf", page=3))
    assert (command[0], command[-2:]) == ("/usr/bin/osascript", [path, "3"])  # data for the script, and no part of it
    assert "tell document 1 to go to page ((item 2 of argv) as integer)" in command


@pytest.mark.slow
@pytest.mark.skipif(not all(map(shutil.which, ("Xvfb", "xdotool", "zathura"))), reason="needs a viewer and a screen")
@pytest.mark.parametrize("page", [1, 2])
def test_a_window_shows_the_page(program: Program, page: int) -> None:
    """A real viewer on a screen of its own; its title says which page it shows."""
    only = program.home / "bin"  # of viewers it finds this one
    only.mkdir()
    (only / "zathura").symlink_to(str(shutil.which("zathura")))
    (program.home / ".config" / "zathura").mkdir(parents=True)
    (program.home / ".config" / "zathura" / "zathurarc").write_text("set window-title-page true\n")
    place = {"path": base64.b64encode(os.fsencode(TWO_PAGES)).decode(), "member": "", "kind": "pdf", "line": 1}
    last = Path(program.environment["KOSEARCH_CACHE_DIR"]) / "last-questions" / "4242.json"
    last.parent.mkdir(mode=0o700, exist_ok=True)
    last.write_text(json.dumps([{**place, "page": page}]))
    reading, writing = os.pipe()
    screen = subprocess.Popen(["Xvfb", "-displayfd", str(writing)], pass_fds=[writing], stderr=subprocess.DEVNULL)
    try:
        os.close(writing)
        with open(reading, encoding="ascii") as pipe:  # up to the line's end: it is killed where nobody reads that
            display = f":{pipe.readline().strip()}"
        environment = {**program.environment, "PATH": str(only), "DISPLAY": display, "KOSEARCH_SESSION": "4242"}
        assert Program(program.home, environment).run("open").returncode == 0

        def shown() -> str:
            command = ["xdotool", "search", "--name", "two_pages", "getwindowname"]
            asked = subprocess.run(
                command, env={**os.environ, "DISPLAY": display}, capture_output=True, text=True, check=False
            )
            return asked.stdout.strip()

        assert until(lambda: shown().endswith(f"({page}/2)]"), 300), shown()
    finally:
        screen.terminate()  # and with it the viewer
        screen.wait(30)


def test_the_settings_name_viewers_by_type(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KOSEARCH_VIEWERS", "pdf=my pdf --at {page} {path}; hwp=hwpview; other=show '{path}#{line}'")
    settings = config.load({})
    assert viewer(settings, hit("pdf", page=7)) == ["my", "pdf", "--at", "7", "/docs/a b; rm -rf '.x"]
    assert viewer(settings, hit("docx")) == ["show", "/docs/a b; rm -rf '.x#12"]
    assert viewer(settings, hit("hwp")) == ["hwpview", "/docs/a b; rm -rf '.x"]
    monkeypatch.setenv("KOSEARCH_VIEWERS", "pdf")
    with pytest.raises(kosearch.ConfigError, match="commands by type"):
        config.load({})


def test_a_hit_is_opened_where_it_stands(program: Program) -> None:
    docs = program.home / "docs"
    docs.mkdir()
    (docs / "notes.txt").write_text("First line.\n\nUnused vacation moves to March.\n")
    mail = EmailMessage()
    mail["Subject"], mail["From"] = "Report", "a@example.org"
    mail.set_content("See attachment.")
    mail.add_attachment("The quarterly zebra report.\n", filename="zebra.txt")
    (docs / "mail.eml").write_bytes(bytes(mail))
    assert program.run("index", docs, "--model", "bundled").returncode == 0

    program = Program(program.home, {**program.environment, "KOSEARCH_VIEWERS": "other=show {path}"})
    assert "moves to" in program.on_terminal("query", "vacation in March", "-k", "1")[1]
    assert f"{docs}/notes.txt" in program.on_terminal("open", "--print")[1]
    assert "had 1 hit" in program.on_terminal("open", "2")[1]

    program.on_terminal("query", "zebra", "-k", "1")[1]
    taken = Path(program.on_terminal("open", "--print")[1].split()[-1])
    assert (taken.name, taken.read_text()) == ("zebra.txt", "The quarterly zebra report.\n")
    assert stat.S_IMODE(taken.stat().st_mode) == 0o400
    assert stat.S_IMODE(taken.parent.stat().st_mode) == 0o700
    assert kosearch.attachment(docs / "mail.eml", "zebra.txt") == taken.read_bytes()
    assert kosearch.attachment(docs / "mail.eml", "other.txt") is None

    lines = program.run("query", "vacation", "-k", "1", "--vimgrep").stdout.splitlines()
    assert lines[0].startswith("docs/notes.txt:1:1:")
    made = program.run("query", "vacation", "-k", "1", "--format", "{rank}\\t{type} {index}").stdout
    assert made == "1\ttext default\n"
    assert "there is no field {nothing}" in program.run("query", "x", "--format", "{nothing}").stderr
    assert "choose one" in program.run("query", "x", "--vimgrep", "--json").stderr


def test_links_where_a_terminal_follows_them(indexed: Program) -> None:
    plain = indexed.on_terminal("query", "연차 이월", "-k", "1")[1]
    assert "\x1b]8;" not in plain
    follows = Program(indexed.home, {**indexed.environment, "VTE_VERSION": "7000"})
    linked = follows.on_terminal("query", "연차 이월", "-k", "1")[1]
    targets = re.findall(r"\x1b\]8;[^;]*;([^\x1b\x07]*)(?:\x1b\\|\x07)", linked)
    assert targets[0].startswith("file://")
    assert unquote(targets[0]).endswith(".md")
    assert targets[1::2] == [""] * (len(targets) // 2)  # each is ended before the next, and before the prompt
    assert len(targets) % 2 == 0


def test_names_of_members_and_of_sessions_may_be_anything(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(library, "attachment", lambda *_: b"text")
    for member in ("가" * 150 + ".txt", "a/" + "b" * 300 + ".txt", "..", "nul\0.txt", "-rf.txt"):
        path, inside = taken_out("mail.eml", member)
        assert (Path(path).read_bytes(), inside) == (b"text", True)
        assert path.endswith(".txt") or member == ".."
    remember("", [], config.load({}), {"KOSEARCH_SESSION": "no number"})
