"""Streams that are closed, full or of the wrong kind, and arguments that are no text."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest
from conftest import CORPUS, PROGRAM, Program

CLOSED = ["<&-", ">&-", "2>&-", "<&- >&- 2>&-"]
UNUSABLE = ["2>/dev/full", "2> >(true)"]
NO_TEXT = "휴가\udcb0\udca1"
BAD = os.fsdecode(b"caf\xe9.txt")


@pytest.mark.parametrize("closed", [*CLOSED, *UNUSABLE])
def test_the_exit_code_is_that_of_the_command(indexed: Program, closed: str) -> None:
    commands = {
        "query 'rotate keys' --mode lexical": 0,
        "query zzqqx --mode lexical": 1,
        "query x --type pfd": 2,
        "query x --index none": 4,
        "status --index none": 4,
        f"extract {CORPUS}/no-such-file": 6,
        "--help": 0,
    }
    # The file that is read is the index: none of its files may have taken a stream's place.
    script = "".join(f"code=0; kosearch {one} {closed} || code=$?; echo $code >&9\n" for one in commands)
    done = indexed.shell(f"exec 9>&1 >/dev/null 2>&1\n{script}")
    assert [int(code) for code in done.stdout.split()] == list(commands.values())


def test_a_resident_answers_them_too(indexed: Program) -> None:
    runtime = Path(tempfile.mkdtemp(prefix="ks-", dir="/tmp"))
    environment = {**indexed.environment, "KOSEARCH_RESIDENT": "on", "XDG_RUNTIME_DIR": str(runtime)}
    program = replace(indexed, environment=environment)
    script = "".join(
        f"code=0; kosearch query {text} --mode lexical {closed} || code=$?; echo $code >&9\n"
        for closed in CLOSED
        for text in ("rotate", "zzqqx", "rotate --index none")
    )
    try:
        done = program.shell(f"exec 9>&1 >/dev/null 2>&1\n{script}")
        assert done.stdout.split() == ["0", "1", "4"] * len(CLOSED)
        assert program.run("serve", "--status").returncode == 0
    finally:
        program.run("serve", "--stop")
        shutil.rmtree(runtime)


@pytest.mark.parametrize("arguments", ["--help", "query --help", "--version", "models"])
def test_a_full_disk_is_named(program: Program, arguments: str) -> None:
    done = program.shell(f"code=0; kosearch {arguments} >/dev/full || code=$?; echo $code")
    assert done.stdout == "70\n"
    assert done.stderr.startswith("kosearch: the output cannot be written: No space left on device\n")


@pytest.mark.parametrize("arguments", ["--help", "query --help", "models"])
def test_a_reader_that_has_gone_is_no_error(program: Program, arguments: str) -> None:
    done = program.shell(f"(sleep 0.3; code=0; kosearch {arguments} || code=$?; echo $code >&2) | true")
    assert done.stderr == "0\n"


def test_a_pipe_that_does_not_block_gets_and_gives_all(indexed: Program) -> None:
    """Whoever begins the program may have made it so for itself: Node.js does, and ssh."""
    text = "The lighthouse keeper writes a letter. " * 20_000
    (indexed.home / "long.txt").write_text(text)
    with _slow_pipe(reads=True) as (ours, theirs):
        process = subprocess.Popen([PROGRAM, "extract", "long.txt"], stdout=theirs, cwd=indexed.home)
        os.close(theirs)
        time.sleep(0.5)
        with os.fdopen(ours, "rb", closefd=False) as stream:
            assert stream.read().decode().strip() == text.strip()
        assert process.wait() == 0
    with _slow_pipe(reads=False) as (ours, theirs):
        process = subprocess.Popen(
            [PROGRAM, "query", "--batch", "-", "--json", "--mode", "lexical"],
            stdin=theirs,
            stdout=subprocess.PIPE,
            env=indexed.environment,
        )
        os.close(theirs)
        for question in ("descaling", "rotate keys"):
            time.sleep(1)
            os.write(ours, f"{question}\n".encode())
        os.close(ours)
        answers, _ = process.communicate()
        assert process.returncode == 0
        assert [one["question"] for one in json.loads(answers)["answers"]] == ["descaling", "rotate keys"]


@contextmanager
def _slow_pipe(*, reads: bool) -> Iterator[tuple[int, int]]:
    """Our end, and the program's, which is non-blocking."""
    out, into = os.pipe()
    ours, theirs = (out, into) if reads else (into, out)
    os.set_blocking(theirs, False)
    yield ours, theirs
    if reads:
        os.close(ours)


@pytest.mark.parametrize(
    ("arguments", "name"),
    [
        (["query", NO_TEXT], "TEXT"),
        (["query", "휴가", NO_TEXT], "TEXT"),
        (["query", "휴가", "--type", NO_TEXT], "--type"),
        (["query", "휴가", "--after", NO_TEXT], "--after"),
        (["query", "휴가", "--mode", NO_TEXT], "--mode"),
        (["query", "휴가", "-k", NO_TEXT], "-k"),
        (["show", NO_TEXT], "HIT"),
        (["eval", str(CORPUS), "--compare", NO_TEXT], "--compare"),
        (["index", ".", "--endpoint", NO_TEXT], "--endpoint"),
        (["index", ".", "--max-file-size", NO_TEXT], "--max-file-size"),
        (["models", "pull", NO_TEXT], "NAME"),
        (["models", "rm", NO_TEXT], "NAME"),
        (["models", "export", NO_TEXT, "file"], "NAME"),
    ],
)
def test_arguments_that_are_no_text(indexed: Program, arguments: list[str], name: str) -> None:
    done = subprocess.run(
        [PROGRAM, *map(os.fsencode, arguments)], capture_output=True, text=True, env=indexed.environment, check=False
    )
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == f"kosearch: {name} is not UTF-8: byte 0xb0 at character 3\n"


@pytest.fixture
def named(program: Program) -> Program:
    """A program with an indexed folder in which a file's name is not UTF-8."""
    folder = program.home / "docs"
    folder.mkdir()
    try:
        (folder / BAD).write_text("vinegar removes lime", encoding="utf-8")
    except OSError:
        pytest.skip("file names are text here")
    (folder / "other.txt").write_text("vinegar and oil", encoding="utf-8")
    assert program.run("index", folder).returncode == 0
    return program


def test_file_names_need_not_be_text(named: Program) -> None:
    path = os.fsencode(named.home / "docs" / BAD)

    def run(*arguments: bytes | str) -> subprocess.CompletedProcess[bytes]:
        return subprocess.run([PROGRAM, *arguments], capture_output=True, env=named.environment, check=False)

    found = run("query", "vinegar", "--mode", "lexical", "--paths", "-0", "--path", os.fsencode(BAD))
    assert (found.returncode, found.stdout) == (0, path + b"\0")
    assert run("extract", path).stdout == b"vinegar removes lime\n"
    assert run("index", path, "-q").returncode == 0
    for command in ("index", "status"):
        done = run(command, "--index", path + b".d")
        assert (done.returncode, len(done.stderr.splitlines())) == (2, 1)
        assert b"whose name is not UTF-8" in done.stderr
    assert run("remove", path).returncode == 0
    assert run("query", "lime", "--mode", "lexical").returncode == 1
