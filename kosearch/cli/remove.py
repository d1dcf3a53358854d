"""`kosearch remove`: forget files, folders and roots."""

from __future__ import annotations

from typing import Annotated

import typer

from kosearch.cli import options, render
from kosearch.errors import NO_HIT, OK


def command(
    context: typer.Context,
    paths: Annotated[list[str], typer.Argument(metavar="PATH", help="Files and folders to forget.")],
    index: options.Index = None,
    wait: Annotated[bool, typer.Option("--wait", help="Wait for another writer instead of ending.")] = False,
    quiet: options.Quiet = False,
) -> int:
    """Take files and folders out of the index.

    They stay on disk. Ends with 1 when none of them was in the index.
    """
    from kosearch.library import Index

    output = options.output_of(context, quiet=quiet)
    removed = Index(options.settings(index=index)).remove(*paths, wait=wait)
    output.note(f"{render.counted(removed, 'file')} removed from the index")
    return OK if removed else NO_HIT
