"""`kosearch status`: what an index holds, and which files are not searchable."""

from __future__ import annotations

from typing import Annotated

import typer

from kosearch.cli import options, render, schema
from kosearch.errors import OK


def command(
    context: typer.Context,
    problems: Annotated[
        bool, typer.Option("--problems", help="List every file that is not searchable, with the reason.")
    ] = False,
    index: options.Index = None,
    json: options.Json = False,
) -> int:
    """Print documents, passages, model, size on disk and the last run."""
    from kosearch.library import Index

    output = options.output_of(context)
    settings = options.settings(index=index)
    library = Index(settings)
    state = library.status()
    unsearchable = library.problems() if problems else ()
    if json:
        value = schema.status(state, library.roots(), settings.index, str(library.directory))
        if problems:
            value["problems"] = [schema.skipped(one) for one in unsearchable]
        output.json(value)
    elif problems:
        for one in unsearchable:
            member = f" » {one.member}" if one.member else ""
            fields = (one.reason, f"{one.path}{member}", one.detail)
            output.line("\t".join(render.one_line(field) for field in fields))
        output.note(f"{len(unsearchable)} not searchable")
    else:
        output.line(render.table(render.status_rows(state, library.roots(), settings.index, str(library.directory))))
    return OK
