"""Picking: keys that a person presses, and what comes of them."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from kosearch.cli import main
from kosearch.cli.pick import Picker
from kosearch.errors import UsageError

pytest.importorskip("prompt_toolkit")


def hit(name: str) -> Any:
    cited = SimpleNamespace(page_label="", page=None, line_start=1, line_end=1, headings=())
    return SimpleNamespace(
        id=name, path_bytes=name.encode(), path=name, member="", kind="text", title="", text=f"text of {name}\x1b[31m",
        state="current", cited=cited, page=None, ocr=False,
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
            for key in keys:
                await asyncio.sleep(0.4)
                typed.send_text(key)
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


def test_errors_are_said_and_nothing_is_chosen() -> None:
    def search(text: str) -> list[Any]:
        raise UsageError("the question is empty")

    assert picked(["?", "\r"], search) == ([], True)


def test_it_needs_a_terminal(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert main(["pick"]) == 2
    assert "needs a terminal" in capsys.readouterr().err
