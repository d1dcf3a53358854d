"""`kosearch serve`: the warm process that answers questions at once."""

from __future__ import annotations

import errno
import signal
from datetime import datetime
from typing import TYPE_CHECKING, Annotated, Any

import typer

from kosearch.cli import options, render
from kosearch.cli.output import Output
from kosearch.errors import INTERRUPTED, NO_HIT, OK, TERMINATED, KosearchError, UsageError

if TYPE_CHECKING:
    from kosearch.config import Settings

STATUS = "kosearch.residents/1"


def command(
    context: typer.Context,
    detach: Annotated[bool, typer.Option("--detach", "-d", help="Start it in the background, and return.")] = False,
    stop: Annotated[bool, typer.Option("--stop", help="End those that run.")] = False,
    status: Annotated[bool, typer.Option("--status", help="List those that run; ends with 1 when none does.")] = False,
    idle: Annotated[
        float | None,
        typer.Option(
            metavar="SECONDS",
            help="End after so long without a question.  [default: 900]",
            show_default=False,
        ),
    ] = None,
    index: options.Index = None,
    device: options.Device = None,
    json: options.Json = False,
    quiet: options.Quiet = False,
) -> int:
    """Keep models and indexes loaded, so that answers come at once.

    The first question starts such a process by itself, unless that is switched off. It ends when nobody asks.
    """
    if detach + stop + status > 1:
        raise UsageError("--detach, --stop and --status each do something else", "choose one of them")
    if json and not status:
        raise UsageError("--json goes with --status", "kosearch serve --status --json")
    output = options.output_of(context, quiet=quiet)
    settings = options.settings(index=index, device=device, resident_idle=idle)
    if status:
        return _status(settings, output, json=json)
    if stop:
        return _stop(settings, output)
    return _detach(settings, output) if detach else _serve(settings, output)


def _serve(settings: Settings, output: Output) -> int:
    from kosearch.cli.resident import Commands
    from kosearch.library import Index
    from kosearch.resident import protocol, server
    from kosearch.resident.server import Warm

    try:
        path = protocol.socket_path(settings)
        listener = protocol.listen(path)
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            raise UsageError("one is running already", "kosearch serve --stop ends it") from error
        raise _no_socket(error) from error
    with listener:
        library = Index(settings)
        warm = Warm(settings)
        if library.exists:
            warm.load(str(library.directory))
        output.note(f"ready for questions ({path}); Ctrl-C ends it")
        ended_by = server.serve(listener, path, warm, settings.resident_idle, Commands(path, warm))
    if ended_by is not None:
        return TERMINATED if ended_by == signal.SIGTERM else INTERRUPTED
    output.note("ended")
    return OK


def _detach(settings: Settings, output: Output) -> int:
    from kosearch.resident import launcher

    try:
        state = launcher.start(settings)
    except (OSError, ValueError) as error:
        raise _no_socket(error) from error
    output.note(f"process {state['pid']} answers questions; kosearch serve --stop ends it")
    return OK


def _stop(settings: Settings, output: Output) -> int:
    from kosearch.resident import launcher

    count = 0
    for path, state in launcher.residents(settings):
        if not launcher.stop(path):
            raise KosearchError(
                f"the process that listens at {path} does not end", "end it with the system's own means, and ask again"
            )
        count += 1
        output.note(f"ended process {state['pid']}" if state else "ended one that did not answer")
    if not count:
        output.note("none is running")
    return OK


def _status(settings: Settings, output: Output, *, json: bool) -> int:
    from kosearch.resident import launcher

    found = list(launcher.residents(settings))
    if json:
        rows = [{"socket": str(path), "answers": state is not None, **(state or {})} for path, state in found]
        output.json({"schema": STATUS, "residents": rows})
    else:
        for path, state in found:
            output.line(render.table(_rows(str(path), state)))
        if not found:
            output.note("none is running")
    return OK if found else NO_HIT


def _rows(path: str, state: dict[str, Any] | None) -> list[tuple[str, str]]:
    if state is None:
        return [("socket", path), ("state", "does not answer; kosearch serve --stop ends it")]
    return [
        ("process", f"{state['pid']}, version {state['version']}"),
        ("socket", path),
        ("since", datetime.fromtimestamp(state["since"]).astimezone().isoformat(" ", "seconds")),
        ("questions", str(state["requests"])),
        ("ends after", f"{render.duration_of(state['idle'])} without one"),
        *(("index", directory) for directory in state["indexes"]),
    ]


def _no_socket(error: Exception) -> KosearchError:
    return KosearchError(f"it cannot be started: {error}", "set XDG_RUNTIME_DIR to a folder that only you can enter")
