"""`kosearch mcp`: the server that agents start."""

from __future__ import annotations

import os
import signal
import sys
from importlib.util import find_spec
from types import FrameType

import typer

from kosearch.cli import options
from kosearch.errors import OK, UsageError


def command(context: typer.Context, index: options.Index = None, device: options.Device = None) -> int:
    """Let agents search: an MCP server on stdin and stdout.

    An agent's program starts it; `kosearch docs agents` says how.
    """
    output = options.output_of(context)
    settings = options.of_one_index(options.settings(index=index, device=device))
    if find_spec("mcp") is None:
        raise UsageError("the server for agents needs the package mcp", "pip install 'kosearch[mcp]'")
    if sys.stdin.isatty():
        output.note("kosearch: waiting for an agent's requests; kosearch docs agents says how to start this from one")
    # From here on the wire is ours alone: whatever prints meets stderr, whatever reads meets the end.
    output.flush()
    reading, writing = os.dup(0), os.dup(1)
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    os.dup2(2, 1)
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, _end)

    from kosearch.agents.asking import Asker

    asker = Asker(settings, output.cwd)
    asker.begin()  # while the package that speaks the protocol is imported, which takes a while

    from kosearch.agents.server import serve

    serve(settings, asker, reading, writing, output.cwd)
    os._exit(OK)


def _end(number: int, _frame: FrameType | None) -> None:
    os._exit(128 + number)  # at once: there is nothing to keep, and no thread that reads or works is waited for
