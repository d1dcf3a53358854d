"""completions/ is what the commands say, and works in the shells that are installed."""

from __future__ import annotations

import os
import pty
import select
import shutil
import subprocess
import sys
import time
from pathlib import Path

import pytest
from completion_making import FOLDER, SCRIPTS, all_of, commands
from conftest import PROGRAM, Program

from kosearch import filters
from kosearch.cli import main
from kosearch.records import Query

needs_fish = pytest.mark.skipif(shutil.which("fish") is None, reason="fish is not installed")
needs_zsh = pytest.mark.skipif(shutil.which("zsh") is None, reason="zsh is not installed")


@pytest.mark.parametrize("name", SCRIPTS)
def test_scripts_are_current(name: str) -> None:
    written = (FOLDER / name).read_text(encoding="utf-8")
    assert written == SCRIPTS[name](), "make it again: python tests/completion_making.py"


@pytest.fixture
def named(program: Program) -> Program:
    """A home with two index names; an index's files are not looked at."""
    for name in ("default", "회의 기록"):
        (program.home / ".local/share/kosearch/indexes" / name).mkdir(parents=True)
    return program


BASH = r"""
source "$1"
shift
COMP_WORDS=("$@")
COMP_CWORD=$((${#COMP_WORDS[@]} - 1))
_kosearch kosearch "${COMP_WORDS[COMP_CWORD]}" "${COMP_WORDS[COMP_CWORD-1]}"
((${#COMPREPLY[@]} == 0)) || printf '%s\n' "${COMPREPLY[@]}"
"""


def bash(program: Program, *words: str) -> list[str]:
    result = subprocess.run(
        ["bash", "-c", BASH, "bash", FOLDER / "kosearch.bash", "kosearch", *words],
        capture_output=True,
        text=True,
        env=program.environment,
        timeout=60,
        check=False,
    )
    assert (result.returncode, result.stderr) == (0, "")
    return result.stdout.splitlines()


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["qu"], ["query", "questions"]),
        (["status", "--pro"], ["--problems"]),
        (["query", "--mode", ""], ["hybrid", "dense", "lexical"]),
        (["query", "--mode", "=", "l"], ["lexical"]),
        (["index", "--device", "c"], ["cpu", "cuda"]),
        (["query", "--type", "mark"], ["markdown"]),
        (["index", ""], []),  # nothing of ours: the shell goes on with files
        (["query", "--batch", ""], []),
    ],
)
def test_bash_completes_commands_options_and_values(program: Program, words: list[str], expected: list[str]) -> None:
    assert bash(program, *words) == expected


def test_bash_completes_every_command_and_option(program: Program) -> None:
    _top, *rest = commands()
    assert bash(program, "") == [command.name for command in rest]
    for command in all_of(rest):
        flags = {flag for option in command.options for flag in option.flags}
        assert set(bash(program, *command.name.split(), "-")) == flags
        assert not command.within or bash(program, command.name, "") == [one.last for one in command.within]


@pytest.mark.parametrize(
    ("shell", "name"), [("bash", "kosearch.bash"), ("zsh", "_kosearch"), ("fish", "kosearch.fish")]
)
def test_they_are_printed(shell: str, name: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["completions", shell]) == 0
    assert capsys.readouterr().out == (FOLDER / name).read_text(encoding="utf-8")


def test_every_type_that_is_offered_is_taken() -> None:
    query = next(command for command in commands() if command.name == "query")
    offered = next(option.value for option in query.options if "--type" in option.flags)
    filters.check(Query("a question", kinds=tuple(offered.split("|"))))


def test_bash_completes_names_of_indexes_and_models(named: Program) -> None:
    assert bash(named, "query", "--index", "") == ["default", r"회의\ 기록"]
    assert bash(named, "status", "-i", "de") == ["default"]
    snapshot = named.home / "hub/hub/models--someone--small-ko/snapshots/1"
    snapshot.mkdir(parents=True)
    for name in ("config.json", "modules.json"):
        (snapshot / name).write_text("{}")
    (snapshot.parents[1] / "refs").mkdir()
    (snapshot.parents[1] / "refs/main").write_text("1")
    assert bash(named, "index", "-m", "") == ["bundled", "someone/small-ko"]
    assert bash(named, "models", "check", "some") == ["someone/small-ko"]


def test_names_are_completed_without_torch_and_at_once(named: Program) -> None:
    environment = {**named.environment, "_KOSEARCH_COMPLETE": "complete_bash", "COMP_CWORD": "3"}
    script = (
        "import os, sys, time; begun = time.process_time()\n"
        "from kosearch.cli import main\n"
        "try: main([])\n"
        "except SystemExit as end: assert not end.code, end.code\n"
        "assert not {'torch', 'transformers', 'numpy', 'tokenizers'} & set(sys.modules)\n"
        "assert time.process_time() - begun < 1.0, time.process_time() - begun\n"
    )
    for option, expected in (("--model", "bundled"), ("--index", "default")):
        result = subprocess.run(
            [sys.executable, "-c", script],
            capture_output=True,
            text=True,
            env={**environment, "COMP_WORDS": f"kosearch index {option} "},
            timeout=60,
            check=False,
        )
        assert result.returncode == 0, result.stderr
        assert expected in result.stdout.split()


@needs_fish
def test_fish_completes(named: Program) -> None:
    def fish(line: str) -> list[str]:
        script = f"source {FOLDER}/kosearch.fish; complete -C {line!r}"
        result = subprocess.run(
            ["fish", "--no-config", "-c", script],
            capture_output=True,
            text=True,
            env=named.environment,
            timeout=60,
            check=True,
        )
        return [one.split("\t")[0] for one in result.stdout.splitlines()]

    assert fish("kosearch quer") == ["query"]
    assert "--problems" in fish("kosearch status --")
    assert set(fish("kosearch query --mode ")) == {"hybrid", "dense", "lexical"}
    assert {"default", "회의 기록"} <= set(fish("kosearch query --index "))
    assert "bundled" in fish("kosearch index --model ")


@needs_zsh
@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("kosearch que", "kosearch query"),
        ("kosearch query --mode=hy", "--mode=hybrid"),
        ("kosearch query -i de", "default"),
    ],
)
def test_zsh_completes(named: Program, tmp_path: Path, line: str, expected: str) -> None:
    child, terminal = pty.fork()
    if child == 0:  # pragma: no cover - it becomes the shell
        os.execvpe(
            "zsh", ["zsh", "-f"], {**named.environment, "TERM": "dumb", "PATH": f"{PROGRAM.parent}:/usr/bin:/bin"}
        )
    try:
        setting_up = f"fpath=({FOLDER} $fpath); autoload -Uz compinit && compinit -u -d {tmp_path}/dump; echo rea''dy\n"
        os.write(terminal, setting_up.encode())
        _until(terminal, "ready")
        os.write(terminal, f"{line}\t".encode())
        _until(terminal, expected)
    finally:
        os.write(terminal, b"\x15exit\n")
        os.close(terminal)
        os.waitpid(child, 0)


def _until(terminal: int, expected: str, seconds: float = 30) -> None:
    """Read until the text has come."""
    seen = ""
    end = time.monotonic() + seconds
    while expected not in seen:
        assert time.monotonic() < end, seen
        if select.select([terminal], [], [], 0.1)[0]:
            seen += os.read(terminal, 65536).decode("utf-8", "replace")
