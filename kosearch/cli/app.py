"""The commands, put together."""

from __future__ import annotations

from typing import Annotated

import typer
from typer.exceptions import TyperException as UsageProblem

from kosearch import __version__
from kosearch.cli import evaluate, extract, index, query, remove, show, status
from kosearch.cli.output import Output

__all__ = ["UsageProblem", "app", "invoke"]

app = typer.Typer(
    name="kosearch",
    no_args_is_help=True,
    add_completion=False,
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
    result = typer.main.get_command(app).main(args=argv, prog_name="kosearch", standalone_mode=False, obj=output)
    return result if isinstance(result, int) else 0
