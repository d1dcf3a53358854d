"""Picking: keys that a person presses, and what comes of them."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from conftest import CORPUS, PROGRAM, Program, until
from postgres_making import TestServer

import kosearch
from kosearch.cli import main
from kosearch.cli.pick import Picker
from kosearch.errors import UsageError

pytest.importorskip("prompt_toolkit")

ROOT = CORPUS.parents[2]


def hit(name: str) -> Any:
    cited = SimpleNamespace(page_label="", page=None, line_start=1, line_end=1, headings=())
    return SimpleNamespace(
        id=name, path_bytes=name.encode(), path=name, member="", kind="text", title="", text=f"text of {name}\x1b[31m",
        state="current", cited=cited, page=None, ocr=False, best=(0, 1), passage=SimpleNamespace(start=0),
    )  # fmt: skip


def picked(keys: list[str], search: Any) -> tuple[list[str], bool]:
    """What is chosen when these are typed, one after the other, each when the screen has settled."""
    import asyncio

    from prompt_toolkit.application import create_app_session
    from prompt_toolkit.input import create_pipe_input
    from prompt_toolkit.output import DummyOutput

    with create_pipe_input() as typed, create_app_session(input=typed, output=DummyOutput()):
        picker = Picker(search, "/", input=typed, output=DummyOutput())

        async def run() -> list[Any]:
            application = asyncio.ensure_future(picker._application().run_async())
            before = picker._said
            for key in keys:
                await asyncio.sleep(0.4)
                typed.send_text(key)
                if key == keys[0]:  # an answer takes as long as the machine has other things to do
                    while not picker._hits and picker._said == before:
                        await asyncio.sleep(0.05)
            return await asyncio.wait_for(application, 20)

        chosen = asyncio.run(run())
    return [one.id for one in chosen], picker.opens


def test_enter_opens_the_hit_that_is_looked_at() -> None:
    asked: list[str] = []

    def search(text: str) -> list[Any]:
        asked.append(text)
        return [hit("a"), hit("b")]

    assert picked(["vac", "\x1b[B", "\r"], search) == (["b"], True)
    assert asked == ["vac"]


def test_what_is_marked_is_printed_in_that_order() -> None:
    keys = ["x", "\x1b[B", "\t", "\x1b[A", "\x1b[A", "\t", "\r"]
    assert picked(keys, lambda _: [hit("a"), hit("b"), hit("c")]) == (["b", "a"], False)


def test_an_index_on_a_server_is_picked_from(postgres: TestServer) -> None:
    with kosearch.open(postgres.url("picked")) as index:
        index.index(CORPUS)
        chosen, opens = picked(["휴가", "\r"], lambda text: index.search(text, k=8).hits)
        assert opens
        assert Path(index.show(chosen[0]).path).name == "휴가규정.md"


def test_errors_are_said_and_nothing_is_chosen() -> None:
    def search(text: str) -> list[Any]:
        raise UsageError("the question is empty")

    assert picked(["?", "\r"], search) == ([], True)


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("tmux") is None, reason="needs tmux")
def test_the_screen_is_the_one_that_the_page_shows(indexed: Program) -> None:
    """80 columns, 24 lines: typed, marked, and printed to where stdout leads."""
    page = (Path(kosearch.__file__).parent / "docs" / "use.md").read_text(encoding="utf-8")
    [expected] = re.findall(r"```text\n(> .*?)```", page, re.DOTALL)
    place, printed = indexed.home / "tmux", indexed.home / "picked"
    environment = {**indexed.environment, "KOSEARCH_MODE": "lexical", "TERM": "screen-256color"}

    def tmux(*arguments: str) -> str:
        command = ["tmux", "-S", str(place), *arguments]
        return subprocess.run(command, env=environment, cwd=ROOT, capture_output=True, text=True, check=True).stdout

    def screen() -> str:
        return "\n".join(line.rstrip() for line in tmux("capture-pane", "-p").splitlines()).rstrip() + "\n"

    command = f"{shlex.quote(str(PROGRAM))} pick > {shlex.quote(str(printed))}"
    tmux("-f", os.devnull, "new-session", "-d", "-x", "80", "-y", "24", f"{command}; sleep 600")
    try:
        tmux("set", "-g", "status", "off")
        assert until(lambda: "type a question" in screen(), 120)
        tmux("send-keys", "-l", "휴가 이월")
        assert until(lambda: "휴가규정.md" in screen(), 120), screen()
        tmux("send-keys", "Tab")
        assert until(lambda: "\n* tests" in screen(), 30), screen()
        assert screen() == expected
        tmux("send-keys", "Enter")
        assert until(lambda: printed.read_text() == f"{CORPUS}/규정/휴가규정.md\n", 30)
    finally:
        tmux("kill-server")


def test_it_needs_a_terminal(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert main(["pick"]) == 2
    assert "needs a terminal" in capsys.readouterr().err
