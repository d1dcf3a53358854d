"""`kosearch ui`: the page where people look."""

from __future__ import annotations

import html
import os
import secrets
from collections.abc import Sequence
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from kosearch.cli import options, render
from kosearch.config import Settings, index_names, named_indexes
from kosearch.errors import OK, UsageError

if TYPE_CHECKING:
    from kosearch.cli.output import Output

_PACKAGES = ("PIL", "starlette", "uvicorn")


def command(
    context: typer.Context,
    index: options.Indexes = None,
    everywhere: Annotated[bool, typer.Option("--all", help="Show all of your indexes as one.")] = False,
    port: Annotated[
        int,
        typer.Option(metavar="N", min=0, max=65535, help="The port on this machine's loopback; 0: a free one."),
    ] = 0,
    no_browser: Annotated[bool, typer.Option("--no-browser", help="Print the address, open nothing.")] = False,
    device: options.Device = None,
) -> int:
    """Search on a page in your browser, and see where it stands.

    Only this machine can reach the page, and only with the address that is printed. Ends with Ctrl-C, or when the page
    has not been open for a while.
    """
    output = options.output_of(context)
    if any(find_spec(name) is None for name in _PACKAGES):
        raise UsageError("the page needs packages of its own", "pip install 'kosearch[ui]'")
    settings = options.settings(index=index[0] if index else None, device=device)
    shown = [options.of_one_index(one) for one in _shown(settings, index or (), everywhere=everywhere)]
    from kosearch.ui import server

    listener = server.listen(port)
    token = secrets.token_urlsafe(32)
    url = server.url_of(listener.getsockname()[1], token)

    def ready() -> None:
        output.line(url)
        output.flush()
        output.note("Ctrl-C ends it")
        if not no_browser:
            _browse(settings, output, url)

    server.serve(shown, lambda answer: render.answer_as_json(answer, output.cwd), listener, token, ready=ready)
    output.note("ended")
    return OK


def _shown(settings: Settings, names: Sequence[str], *, everywhere: bool) -> list[Settings]:
    """The settings of each index that is shown."""
    if everywhere and names:
        raise UsageError("--all shows all indexes, and --index some", "leave one of them out")
    named = index_names(settings) if everywhere else names or (settings.index,)
    chosen = dict.fromkeys(one for name in named for one in named_indexes(name))
    return [replace(settings, index=name) for name in chosen] or [settings]


def _browse(settings: Settings, output: Output, url: str) -> None:
    """Open the page in the user's browser.

    By a file for the user alone that leads there: what a program is started with, all users of the machine can see.
    """
    import webbrowser

    from kosearch.system import make_private, replacing

    file = Path(settings.cache_dir, "ui.html")
    target = html.escape(url)
    text = f'<!doctype html><meta http-equiv="refresh" content="0;url={target}"><a href="{target}">kosearch</a>\n'
    try:
        make_private(file.parent)
        with replacing(file) as stream:
            os.fchmod(stream.fileno(), 0o600)
            stream.write(text.encode())
        opened = webbrowser.open(file.as_uri())
    except OSError:
        opened = False
    if not opened:
        output.note("no browser could be started: open the address above in one")
