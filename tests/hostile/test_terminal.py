"""What documents, names and questions hold never reaches a terminal as anything but text, and JSON stays JSON."""

from __future__ import annotations

import json
import os
import re
import shutil
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from conftest import DATA, Program, Tally, make_program

pytestmark = pytest.mark.skipif(sys.platform == "darwin", reason="its file system takes only UTF-8 names")

EVIL = (
    "\x1b]0;owned\x07\x1b[2J\x1b[5;35mRED\x9b5m\x85\x7f\u202egpj\u202c"
    " [red]mark[/red] [link=file:///x]up[/link] :smile:"
)
NAME = b"lamp\x1b]0;owned\x07\xc2\x9b5m[red]\xe2\x80\xaegpj\n\x1b[2J\xff.md"
FILLER = "The lighthouse keeper writes the log every night and cleans the lamp before dawn. "
OWN_ESCAPES = re.compile(r"\x1b\[(?:(?:[0-4]|2[2-4]|3[0-79])(?:;|(?=m)))*m|\x1b\[K|\r")
"""Weight, slant and plain colours, the end of a line cleared, and a line drawn anew: what kosearch itself writes."""
FORBIDDEN = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069\ud800-\udfff]")


@pytest.fixture(scope="module")
def evil(tmp_path_factory: pytest.TempPathFactory, cache_dir: Path) -> Program:
    """An index of documents whose names, titles, metadata, text and member names try to speak to the terminal."""
    home = tmp_path_factory.mktemp("evil")
    folder = home / "docs"
    folder.mkdir()
    named = Path(os.fsdecode(os.path.join(os.fsencode(folder), NAME)))
    named.write_text(f"# {EVIL}\n\n{FILLER}{longer('name')}{EVIL}\n")
    (folder / "page.html").write_text(
        f"<html><head><title>T {EVIL}&#27;[2J&#x9b;5m</title></head>"
        f"<body><h1>{EVIL}</h1><p>{FILLER}{longer('page')}&#27;]0;x&#7;</p>"
    )
    (folder / "front.md").write_text(f'---\ntitle: "F {EVIL}"\nauthor: "A {EVIL}"\n---\n{FILLER}{longer("front")}\n')
    (folder / "a.eml").write_bytes(
        b"From: =?utf-8?q?=1B[2J=1B]0;owned=07?= <a@b.c>\nSubject: =?utf-8?q?=1B]0;owned=07=C2=9B5m lamp?=\n"
        b"MIME-Version: 1.0\nContent-Type: multipart/mixed; boundary=b\n\n--b\nContent-Type: text/plain\n\n"
        + f"{FILLER}{longer('mail')}".encode()
        + b'\n--b\nContent-Disposition: attachment; filename="x\x1b[2J.txt"\nContent-Type: text/plain\n\n'
        + f"{FILLER}{longer('attached')}".encode()
        + b"\n--b\nContent-Disposition: attachment; filename*=utf-8''%1B%5B2J%0A.pdf\n\n%PDF-1.4 no\n--b--\n"
    )
    (folder / "cells.ipynb").write_text(
        json.dumps({"cells": [{"cell_type": "code", "source": FILLER + longer("cell"), "outputs": [{"text": EVIL}]}]})
    )
    Path(os.fsdecode(os.path.join(os.fsencode(folder), b"no\x1b[2J\xff\n.pdf"))).write_bytes(b"%PDF-1.4 \x1b[2J")
    (folder / ".gitignore").write_bytes(b"\xff\x00\x1b[2J*.log\n")
    program = make_program(home, cache_dir)
    result = program.run("index", folder)
    assert result.returncode == 0, result.stderr
    assert_plain(result.stderr)
    (home / "questions.txt").write_text(f"lighthouse {EVIL.replace(chr(0x85), '')}\n", encoding="utf-8")
    (home / "questions.jsonl").write_text(
        json.dumps({"question": f"zzz lamp {EVIL}", "expected": "front.md", "id": f"q{EVIL}"}) + "\n"
    )
    (home / "broken.jsonl").write_text(json.dumps({"question": EVIL, "expected": EVIL}) + "\n")
    return program


def longer(word: str) -> str:
    """Text that no other document has: near copies would be shown as one."""
    return " ".join(f"{word}{number}" for number in range(40)) + ". "


def assert_plain(text: str) -> None:
    """Nothing is left that a terminal would take for more than text."""
    rest = OWN_ESCAPES.sub("", text)
    found = FORBIDDEN.search(rest)
    assert found is None, rest[max(0, found.start() - 60) : found.end() + 60]


COMMANDS = [
    ("query", "lighthouse keeper lamp", "--mode", "lexical"),
    ("query", "lighthouse keeper lamp", "--mode", "lexical", "--explain", "-C", "2"),
    ("query", "lighthouse keeper lamp", "--mode", "lexical", "--json"),
    ("query", "lighthouse keeper lamp", "--mode", "lexical", "--jsonl", "--group"),
    ("query", "lighthouse keeper lamp", "--mode", "lexical", "--paths"),
    ("query", "lighthouse keeper lamp", "--mode", "lexical", "--paths", "-0"),
    ("query", "--batch", "questions.txt", "--mode", "lexical"),
    ("query", f"{EVIL}", "--mode", "lexical", "--path", "nothing"),
    ("query", "x", "--path", f"[{EVIL}", "--after", EVIL),
    ("query", "x", "--type", EVIL),
    ("query", "x", "--index", EVIL),
    ("query", "x", "--index", f"./{EVIL}"),
    ("query", "x", "--batch", EVIL),
    ("query", "x", f"--{EVIL}"),
    ("show", EVIL),
    ("status",),
    ("status", "--problems"),
    ("status", "--problems", "--json"),
    ("remove", EVIL),
    ("extract", EVIL),
    ("extract", "docs/page.html"),
    ("extract", "docs/a.eml"),
    ("extract", "docs/a.eml", "--json"),
    ("extract", "docs/front.md", "--json"),
    ("extract", "docs/cells.ipynb"),
    ("eval", "questions.jsonl", "--mode", "lexical", "--failures", "3"),
    ("eval", "questions.jsonl", "--mode", "lexical", "--failures", "3", "--json"),
    ("eval", "broken.jsonl", "--mode", "lexical"),
    ("eval", EVIL),
    ("index", EVIL),
    ("index", "docs", "--model", f"./{EVIL}"),
    ("check",),
    (EVIL,),
]


@pytest.mark.parametrize("arguments", COMMANDS, ids=lambda one: " ".join(one)[:60].encode("unicode_escape").decode())
def test_on_a_terminal(evil: Program, arguments: tuple[str, ...], tally: Tally) -> None:
    tally.tried("terminal")
    code, text = evil.on_terminal(*arguments, colour=True, cwd=evil.home)
    assert code != 70, text
    assert text.strip()
    assert_plain(text)
    if "--json" in arguments or "--jsonl" in arguments:
        lines = [line.rpartition("\x1b[K")[2] for line in text.split("\n")]  # what stands when a counter was wiped away
        objects = [line for line in lines if line.startswith("{")]
        assert objects
        assert all(isinstance(json.loads(line), dict) for line in objects)


def test_progress_and_problems_of_a_run(evil: Program, tmp_path: Path) -> None:
    shutil.copytree(evil.home / "docs", tmp_path / "docs")
    other = replace(evil, environment={**evil.environment, "KOSEARCH_INDEX": str(tmp_path / "index")})
    code, text = other.on_terminal("index", tmp_path / "docs", colour=True)
    assert code == 0
    assert "skipped" in text
    assert_plain(text)


def test_a_passage_in_its_surroundings(evil: Program) -> None:
    found = evil.run("query", "lighthouse keeper lamp", "--mode", "lexical", "--jsonl")
    hits = [json.loads(line) for line in found.stdout.splitlines()]
    assert len(hits) >= 3
    for hit in hits:
        for flags in ((), ("--json",)):
            code, text = evil.on_terminal("show", hit["id"], *flags, colour=True)
            assert code == 0
            assert_plain(text)


def test_markup_means_nothing(evil: Program) -> None:
    code, text = evil.on_terminal("query", "lighthouse keeper lamp front", "--mode", "lexical", "-k", "9", colour=True)
    assert code == 0
    shown = OWN_ESCAPES.sub("", text).replace("\n", "")
    for written in ("[red]mark[/red]", "[link=file:///x]up[/link]", ":smile:"):
        assert written in re.sub(" +", "", shown)


def test_json_holds_all_of_it_and_nothing_raw(evil: Program) -> None:
    for arguments in (
        ("query", f"lighthouse {EVIL}", "--mode", "lexical", "--json"),
        ("query", "lighthouse", "--mode", "lexical", "--jsonl"),
        ("status", "--problems", "--json"),
        ("index", "--json"),
        ("extract", DATA / "extract/two_pages.pdf", "--json"),
    ):
        result = evil.run(*arguments)
        assert result.returncode == 0, result.stderr
        lines = result.stdout.split("\n")
        assert lines.pop() == ""
        assert all(isinstance(json.loads(line), dict) for line in lines)
        assert FORBIDDEN.search(result.stdout.replace("\n", "")) is None
        assert len(result.stdout.splitlines()) == len(lines)  # no line end but "\n"
    asked = json.loads(evil.run("query", f"lamp {EVIL}", "--mode", "lexical", "--json").stdout)["question"]
    assert asked == f"lamp {EVIL}"
    problems = json.loads(evil.run("status", "--problems", "--json").stdout)["problems"]
    assert any("\x1b[2J" in one["path"] for one in problems)


def test_settings_that_speak_to_the_terminal(evil: Program, tmp_path: Path) -> None:
    for variable in ("KOSEARCH_MODE", "KOSEARCH_DEVICE", "KOSEARCH_K", "KOSEARCH_CONFIG", "KOSEARCH_INDEX"):
        loud = replace(evil, environment={**evil.environment, variable: EVIL})
        code, text = loud.on_terminal("query", "x", colour=True)
        assert code in (2, 4)
        assert_plain(text)
    (tmp_path / "config.toml").write_text('mode = "\\u001b[2J"\n')
    loud = replace(evil, environment={**evil.environment, "KOSEARCH_CONFIG": str(tmp_path / "config.toml")})
    code, text = loud.on_terminal("status", colour=True)
    assert code == 2
    assert_plain(text)


def test_a_file_name_arrives_whole_in_a_pipe(evil: Program) -> None:
    script = "kosearch query 'lighthouse keeper lamp' --mode lexical --paths -0 | xargs -0 -n 1 test -f"
    assert evil.shell(script).returncode == 0
