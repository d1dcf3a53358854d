"""`kosearch show`: a passage in its surroundings."""

from __future__ import annotations

from typing import Annotated

import typer

from kosearch.cli import options, render, schema
from kosearch.errors import OK


def command(
    context: typer.Context,
    hit: Annotated[
        str,
        typer.Argument(metavar="HIT", help="A hit's `id` from --json, or a document's hash for all of it."),
    ],
    lines: Annotated[int, typer.Option("--context", "-C", min=0, metavar="N", help="Lines before and after.")] = 5,
    index: options.Index = None,
    json: options.Json = False,
) -> int:
    """Print a passage with the lines around it.

    The text is what was read when the document was indexed.
    """
    from kosearch.library import Index

    output = options.output_of(context)
    shown = Index(options.settings(index=index)).show(hit, lines)
    if json:
        output.json(
            {
                "schema": "kosearch.show/1",
                "id": hit,
                "path": render.shown_path(shown.path, output.cwd),
                **schema.file_name(shown.raw),
                "member": shown.member or None,
                "title": shown.title or None,
                "before": shown.before,
                "text": shown.text,
                "after": shown.after,
                "state": shown.state,
            }
        )
    else:
        output.shown(shown)
    return OK
