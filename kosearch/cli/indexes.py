"""`kosearch indexes`: which there are and whose, backing up, restoring, and taking over."""

from __future__ import annotations

import os
import shlex
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any

import typer

from kosearch.cli import options, render
from kosearch.errors import OK, KosearchError

LIST = "kosearch.indexes/1"

app = typer.Typer(rich_markup_mode=None, context_settings={"help_option_names": ["-h", "--help"]})

File = Annotated[Path, typer.Argument(metavar="FILE", help="The one file that a backup is.", show_default=False)]


@app.callback(invoke_without_command=True)
def listing(context: typer.Context, json: options.Json = False) -> int:
    """List your indexes, or back up, restore, or take over one.

    Without a command: name, documents, size on disk, and whether it was made by you on this machine.
    """
    if context.invoked_subcommand is not None:
        return OK
    output = options.output_of(context)
    rows = _rows()
    if json:
        output.json({"schema": LIST, "indexes": rows})
    elif rows:
        output.line(render.table([_line(row) for row in rows]))
    else:
        output.note("there is no index yet: kosearch index PATH")
    return OK


@app.command("backup")
def backup(context: typer.Context, file: File, index: options.Index = None, quiet: options.Quiet = False) -> int:
    """Write an index into one new file, beside any run of indexing.

    It holds texts, vectors and settings; what is derived from them is built anew by restore.
    """
    from kosearch.library import Index

    output = options.output_of(context, quiet=quiet)
    library = Index(options.settings(index=index))
    library.backup(file)
    output.note(f"{render.one_line(str(file))}: {render.size_of(file.stat().st_size)}")
    return OK


@app.command("restore")
def restore(context: typer.Context, file: File, index: options.Index = None, quiet: options.Quiet = False) -> int:
    """Make an index of a backup, under a name that is free.

    A backup from elsewhere stays somebody else's until `indexes adopt`.
    """
    from kosearch.library import Index

    output = options.output_of(context, quiet=quiet)
    library = Index(options.settings(index=index))
    library.restore(file)
    state = library.status()
    output.note(
        f"{render.counted(state.documents, 'document')} with {render.counted(state.passages, 'passage')} restored"
    )
    if library.is_foreign:
        name = shlex.quote(library.settings.index)
        output.note(f"it was not made by you on this machine; to take it over: kosearch indexes adopt {name}")
    return OK


@app.command("adopt")
def adopt(
    context: typer.Context,
    name: Annotated[str, typer.Argument(metavar="NAME_OR_DIR", help="The index, as after --index.")],
    quiet: options.Quiet = False,
) -> int:
    """Take over an index that was made elsewhere.

    From then on its folders are read by `kosearch index`, and its model's URL, if it has one, is asked.
    """
    from kosearch.library import Index

    output = options.output_of(context, quiet=quiet)
    library = Index(options.settings(index=name))
    library.adopt()
    identity = library.store.identity
    if identity.endpoint is not None:
        output.note(f"questions and texts go to {render.one_line(str(identity.endpoint.get('url', '')))} from now on")
    for raw in library.roots():
        output.note(f"kosearch index reads {render.one_line(os.fsdecode(raw))}")
    output.note(f"{render.one_line(name)} is yours now")
    return OK


def _rows() -> list[dict[str, Any]]:
    """What there is under the user's data, by name."""
    from kosearch.config import index_names
    from kosearch.library import Index

    settings = options.settings()
    rows = []
    for name in index_names(settings):
        row: dict[str, Any] = {"name": name, "documents": None, "passages": None, "bytes": None, "own": None}
        library = Index(replace(settings, index=name))
        row["directory"] = str(library.directory)
        try:
            state = library.status()
            row |= {"documents": state.documents, "passages": state.passages, "bytes": state.bytes}
            row["own"] = not library.is_foreign
            row["error"] = None
        except KosearchError as error:
            row["error"] = error.message
        rows.append(row)
    return rows


def _line(row: dict[str, Any]) -> tuple[str, str]:
    if row["error"] is not None:
        return render.one_line(row["name"]), render.one_line(row["error"])
    whose = "yours" if row["own"] else "somebody else's"
    documents = render.counted(row["documents"], "document")
    return render.one_line(row["name"]), f"{documents}, {render.size_of(row['bytes'])}, {whose}"
