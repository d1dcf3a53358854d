"""What a person sees: on a terminal of 80 columns, and in a pipe. Golden files hold both."""

from __future__ import annotations

import io
import os
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from conftest import CORPUS, DATA, Program
from rich.cells import cell_len

from kosearch.cli.output import Progress
from kosearch.records import IndexProgress

GOLDEN = DATA / "golden"
QUESTION = "연차를 다음 해로 넘길 수 있나요?"
COLUMNS = 80
ESCAPES = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")


def golden(name: str, text: str) -> None:
    """Compare with a golden file; KOSEARCH_GOLDEN=write makes it anew."""
    file = GOLDEN / name
    if WRITE:
        file.parent.mkdir(exist_ok=True)
        file.write_text(text, encoding="utf-8")
    assert text == file.read_text(encoding="utf-8"), "see the difference, then run with KOSEARCH_GOLDEN=write"


WRITE = os.environ.get("KOSEARCH_GOLDEN") == "write"


def without_scores(text: str) -> str:
    """Scores come from floating point, which differs from machine to machine in its last digits; near ranks too."""
    return re.sub(r"\b\d+\.\d{3,4}\b", "0.###", re.sub(r"#\d+, scaled \d\.\d\d", "##, scaled #", text))


def test_hits_in_a_pipe(indexed: Program) -> None:
    result = indexed.run("query", QUESTION, "-k", "3", "--explain", cwd=CORPUS)
    assert (result.returncode, result.stderr) == (0, "")
    golden("query.txt", without_scores(result.stdout))


def test_hits_on_a_terminal(indexed: Program) -> None:
    code, coloured = indexed.on_terminal("query", QUESTION, "-k", "2", colour=True)
    assert code == 0
    assert "\x1b[1;33m연차" in coloured  # what the question and the passage share
    text = ESCAPES.sub("", coloured)
    assert max(map(cell_len, text.split("\n"))) <= COLUMNS
    golden("query-80-columns.txt", without_scores(text))


def test_show_on_a_terminal(indexed: Program) -> None:
    found = indexed.run("query", "vinegar", "--mode", "lexical", "--jsonl")
    hit = re.search(r'"id": "([^"]+)"', found.stdout)
    assert hit
    code, text = indexed.on_terminal("show", hit[1])
    assert code == 0
    golden("show-80-columns.txt", ESCAPES.sub("", text))


@pytest.mark.parametrize("arguments", [["query", "vinegar", "--mode", "lexical"], ["status"], ["--help"]])
def test_no_colour_when_it_is_not_wanted(indexed: Program, arguments: list[str]) -> None:
    plain = indexed.on_terminal(*arguments)[1]
    assert not re.search(r"\x1b\[[0-9;]*[349][0-9]", plain)  # weight and slant are no colours
    colours = replace(indexed, environment={**indexed.environment, "FORCE_COLOR": "", "TERM": "xterm-256color"})
    del colours.environment["NO_COLOR"]  # type: ignore[attr-defined]
    assert "\x1b" not in colours.run(*arguments).stdout


def test_progress_is_for_terminals(program: Program, tmp_path: Path) -> None:
    folder = tmp_path / "in"
    folder.mkdir()
    for number in range(3):
        (folder / f"등대 \x1b[2J{number}.txt").write_text(f"The lighthouse keeper writes log number {number}.\n")
    code, text = program.on_terminal("index", folder, colour=True)
    assert code == 0
    assert re.search(r"\d/3 files, \d+ B of \d+ B", text)
    assert "\x1b[2J" not in text
    assert ESCAPES.sub("", text.split("\r")[-1]).startswith("3 files added, 0 changed")
    (folder / "other.txt").write_text("The ferry leaves at nine.\n")
    code, quiet = program.on_terminal("index", folder, "-q")
    assert (code, quiet) == (0, "")
    piped = program.run("index", folder)
    assert "\r" not in piped.stderr
    assert " files, " not in piped.stderr

    code, text = program.on_terminal("query", "lighthouse keeper", "--mode", "lexical", "--explain")
    assert code == 0
    assert "\x1b[2J" not in text
    assert "␛[2J0.txt" in text


@pytest.mark.parametrize("pace", [lambda _: 10, lambda done: 10 if done < 300 else 2, lambda done: 2 + done / 50])
def test_the_time_left_never_rises_and_does_not_promise_too_much(pace: Callable[[float], float]) -> None:
    """Of 1000 passages in 1000 bytes, at a steady pace, one that slows down, and one that picks up after a start."""
    times, done = [0.0], 0
    while done < 1000:
        times.append(times[-1] + 1 / pace(done))
        done += 1
    progress = Progress(io.StringIO(), shown=False)
    progress._begun = 0
    said = []
    for done in range(1, 1000):
        state = IndexProgress(2, 1, done, done, False, "a.txt", bytes_done=done, bytes_total=1000)
        found = re.search(r", (over )?(?:(\d+) min )?([\d.]+) s left", progress._line(state, times[done]))
        assert found is not None
        said.append(60 * int(found[2] or 0) + float(found[3]))
        at_this_pace = times[done] / done * (1000 - done)
        assert found[1] or said[-1] >= at_this_pace / 1.25 - 0.5
    assert said == sorted(said, reverse=True)


def test_control_characters_of_a_text_are_shown_as_pictures(program: Program, tmp_path: Path) -> None:
    file = tmp_path / "a.txt"
    file.write_text("Plain, \u202eback\u202c and forth.\n", encoding="utf-8")
    code, text = program.on_terminal("extract", file)
    assert (code, text) == (0, "Plain, \ufffdback\ufffd and forth.\n\n")
    code, text = program.on_terminal("extract", f"{tmp_path}/no\x1b[31m\x07file")
    assert code == 6
    assert "\x1b" not in text
    assert "no␛[31m␇file" in text
    code, text = program.on_terminal("query", "x", "--index", "\x1b]0;owned\x07")
    assert code in (2, 4)
    assert "\x1b" not in text
