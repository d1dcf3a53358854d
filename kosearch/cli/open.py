"""`kosearch open`: from a hit of this terminal's last question to the place where it stands."""

from __future__ import annotations

import base64
import json
import os
import shlex
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from kosearch import viewers
from kosearch.cli import clicks, options, render
from kosearch.errors import OK, UsageError

if TYPE_CHECKING:
    from kosearch.cli.output import Output
    from kosearch.config import Settings
    from kosearch.records import Hit

_LAST = "last-questions"
_MOST = 64
"""Terminals whose last hits are kept."""


def remember(question: str, hits: Sequence[Hit], settings: Settings, environ: Mapping[str, str]) -> None:
    """Keep where the hits stand for `kosearch open`, and what was asked where what is opened is to be kept.

    Whatever goes wrong, a question is answered all the same.
    """
    with suppress(OSError, ValueError):
        from kosearch.system import make_private

        file = _file(settings, environ)
        make_private(file.parent)
        for old in sorted(file.parent.iterdir(), key=lambda one: one.stat().st_mtime)[:-_MOST]:
            old.unlink(missing_ok=True)
        asked = {"question": question} if settings.log else {}
        rows = [{**_place_of(hit), **asked} for hit in hits]
        handle = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(handle, "w") as stream:
            json.dump(rows, stream)


def open_hit(
    context: typer.Context,
    number: Annotated[int, typer.Argument(metavar="[N]", min=1, help="Which hit of the last question.")] = 1,
    show: Annotated[bool, typer.Option("--print", help="Print the command instead of running it.")] = False,
    quiet: options.Quiet = False,
) -> int:
    """Open a hit of this terminal's last question at its place.

    That is its page or line, where the viewer can go to one. A file in a mail or an archive is taken out into a private
    folder, and is read only there.
    """
    output = options.output_of(context, quiet=quiet)
    settings = options.settings()
    place = _last(settings, number)
    code = _open(output, settings, place, show=show)
    if place.get("question") and not show:
        clicks.keep(settings, place["question"], [(place["shown"], place["page"])], "open")
    return code


def open_place(output: Output, settings: Settings, hit: Hit) -> int:
    """Open a hit at its page or line. Raises as the command does."""
    return _open(output, settings, _place_of(hit))


def _place_of(hit: Hit) -> dict[str, Any]:
    return {
        "path": base64.b64encode(hit.path_bytes).decode(),
        "shown": hit.path,
        "member": hit.member,
        "kind": hit.kind,
        "line": hit.cited.line_start,
        "page": hit.page,
        "state": hit.state,
    }


def _open(output: Output, settings: Settings, place: Mapping[str, Any], *, show: bool = False) -> int:
    path = os.fsdecode(base64.b64decode(place["path"]))
    if place.get("state") == "elsewhere":
        raise UsageError(f"{path} lies on another machine", "kosearch show HIT prints what was indexed")
    if not os.path.exists(path):
        raise UsageError(f"{path} is not there any more", "kosearch index brings the index up to date")
    if place["member"]:
        path, inside = viewers.taken_out(path, place["member"])
        if not inside:
            output.note(f"{place['member']} has no file of its own: this opens the file that it stands in")
    command = viewers.viewer(settings, {**place, "path": path})
    if show:
        output.line(shlex.join(command))
        return OK
    output.flush()
    return viewers.run(command)


def _file(settings: Settings, environ: Mapping[str, str]) -> Path:
    session = environ.get("KOSEARCH_SESSION") or str(os.getsid(0))
    return settings.cache_dir / _LAST / f"{int(session)}.json"


def _last(settings: Settings, number: int) -> dict[str, Any]:
    try:
        rows: list[dict[str, Any]] = json.loads(_file(settings, os.environ).read_text())
    except (OSError, ValueError) as error:
        raise UsageError("no question was asked in this terminal yet", "kosearch query TEXT") from error
    if number > len(rows):
        raise UsageError(f"the last question had {render.counted(len(rows), 'hit')}", "kosearch open 1")
    return rows[number - 1]
