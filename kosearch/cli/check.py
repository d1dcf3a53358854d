"""`kosearch check` and `kosearch repair`: is the index whole, and make it so."""

from __future__ import annotations

from typing import Annotated

import typer

from kosearch.cli import options, render
from kosearch.errors import OK, IndexStateError


def check(context: typer.Context, index: options.Index = None, quiet: options.Quiet = False) -> int:
    """Verify every row and file of an index. Ends with 4 when something is damaged."""
    from kosearch.library import Index

    output = options.output_of(context, quiet=quiet)
    found = Index(options.settings(index=index)).check()
    for problem in found:
        output.line(render.one_line(problem))
    if found:
        return IndexStateError.exit_code
    output.note("the index is whole")
    return OK


def repair(
    context: typer.Context,
    index: options.Index = None,
    wait: Annotated[bool, typer.Option("--wait", help="Wait for another writer instead of ending.")] = False,
    quiet: options.Quiet = False,
) -> int:
    """Make a damaged index whole again.

    Derived files are made anew from what is whole; files that have to be read again are named.
    """
    from kosearch.library import Index

    output = options.output_of(context, quiet=quiet)
    lost = Index(options.settings(index=index)).repair(wait=wait)
    for path in lost:
        output.line(render.one_line(path))
    output.note(
        f"repaired; {render.counted(len(lost), 'file')} to be read again: kosearch index"
        if lost
        else "repaired; nothing is lost"
    )
    return OK
