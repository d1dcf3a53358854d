"""The commands, put together."""

from __future__ import annotations

import os
from typing import Annotated

import typer
from typer.exceptions import TyperException

from kosearch import __version__
from kosearch.cli import check, evaluate, extract, index, query, remove, serve, show, status
from kosearch.cli.output import Output
from kosearch.errors import UsageError

app = typer.Typer(
    name="kosearch",
    add_completion="_KOSEARCH_COMPLETE" in os.environ,  # only when a shell asks: it adds two options
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.command("index")(index.command)
app.command("query")(query.command)
app.command("show")(show.command)
app.command("status")(status.command)
app.command("remove")(remove.command)
app.command("extract")(extract.command)
app.command("eval")(evaluate.command)
app.command("serve")(serve.command)
app.command("check")(check.check)
app.command("repair")(check.repair)


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"kosearch {__version__}")
        raise typer.Exit


@app.callback()
def _top(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version and exit.")
    ] = False,
) -> None:
    """Search your own documents, Korean and English, by meaning and by word. Nothing leaves this machine."""


def invoke(argv: list[str], output: Output) -> int:
    """Run one command line; returns the command's exit code, raises what it raises."""
    try:
        result = typer.main.get_command(app).main(args=argv, prog_name="kosearch", standalone_mode=False, obj=output)
    except TyperException as problem:
        raise _usage_error(problem) from problem
    return result if isinstance(result, int) else 0


def _usage_error(problem: TyperException) -> UsageError:
    context = getattr(problem, "ctx", None)
    name = context.command_path if context else "kosearch"
    hint = f"{name} --help lists what there is"
    if name == "kosearch query" and hasattr(problem, "option_name"):
        hint += "; a question that begins with - comes after --"
    return UsageError(problem.format_message(), hint)
