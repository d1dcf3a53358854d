"""Options that several commands share, and what completes them in a shell."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import replace
from typing import Annotated

import typer

from kosearch.cli.output import Caller, Output
from kosearch.config import DEFAULT_INDEX, Settings, index_names, index_place, load, project_index


def _index_names(incomplete: str) -> list[str]:
    return [name for name in index_names(load({})) if name.startswith(incomplete)]


def _model_names(incomplete: str) -> list[str]:
    from kosearch.embedding import names_here

    return [name for name in names_here() if name.startswith(incomplete)]


HELP = {"help_option_names": ["-h", "--help"]}
"""What every command's context is made with."""


def group() -> typer.Typer:
    """A command that has commands of its own."""
    return typer.Typer(rich_markup_mode=None, context_settings=HELP)


Index = Annotated[
    str | None,
    typer.Option(
        "--index",
        "-i",
        metavar="NAME_OR_DIR",
        help="Which index: a name, a folder or a server's URL.  [default: default; env: KOSEARCH_INDEX]",
        show_default=False,
        autocompletion=_index_names,
    ),
]
Indexes = Annotated[
    list[str] | None,
    typer.Option(
        "--index",
        "-i",
        metavar="NAME_OR_DIR",
        help="Which index: a name, a folder or a server's URL; several are asked as one.  "
        "[default: default; env: KOSEARCH_INDEX]",
        show_default=False,
        autocompletion=_index_names,
    ),
]
Model = Annotated[
    str | None,
    typer.Option(
        "--model",
        "-m",
        metavar="NAME_OR_DIR",
        help="The embedding model: bundled, a hub name, a folder, or openai:NAME.  [default: chosen by the machine]",
        show_default=False,
        autocompletion=_model_names,
    ),
]
Endpoint = Annotated[
    str | None,
    typer.Option(metavar="URL", help="Where a model such as openai:NAME answers.", show_default=False),
]
Dimensions = Annotated[
    int | None,
    typer.Option(metavar="N", min=1, help="Only the first N numbers of vectors.", show_default=False),
]
TrustRemoteCode = Annotated[
    bool,
    typer.Option("--trust-remote-code", help="Run the Python code that the model's architecture needs, from now on."),
]
Device = Annotated[
    str | None,
    typer.Option(
        "--device",
        metavar="auto|cpu|cuda|mps",
        help="Where to embed; on several GPUs: cuda:0,cuda:1.  [default: auto]",
        show_default=False,
    ),
]
Ocr = Annotated[
    str | None,
    typer.Option(
        "--ocr",
        metavar="auto|off|force",
        help="Read scanned pages and pictures; force: every page.  [default: auto, where an engine is installed]",
        show_default=False,
    ),
]
Mode = Annotated[
    str | None,
    typer.Option(metavar="hybrid|dense|lexical", help="What decides.  [default: hybrid]", show_default=False),
]
Weight = Annotated[
    float | None,
    typer.Option(
        metavar="SHARE",
        min=0.0,
        max=1.0,
        help="Meaning's share of a hybrid score.  [default: 0.5]",
        show_default=False,
    ),
]
Globs = Annotated[
    list[str] | None,
    typer.Option("--path", metavar="GLOB", help="Only documents whose path matches.", show_default=False),
]
Types = Annotated[
    list[str] | None,
    typer.Option("--type", metavar="TYPE", help="Only this type: pdf, markdown, …", show_default=False),
]
After = Annotated[
    str | None,
    typer.Option(metavar="DATE", help="Only documents dated then or later.", show_default=False),
]
Before = Annotated[
    str | None, typer.Option(metavar="DATE", help="Only documents dated then or earlier.", show_default=False)
]
Lines = Annotated[int, typer.Option("--context", "-C", min=0, metavar="N", help="Show N lines around each passage.")]
Explain = Annotated[bool, typer.Option("--explain", help="Show each side's score and rank.")]
HitLines = Annotated[bool, typer.Option("--jsonl", help="Print one JSON object a hit, one a line.")]
Paths = Annotated[bool, typer.Option("--paths", help="Print each hit's file name, once.")]
Null = Annotated[bool, typer.Option("-0", help="End file names with NUL, for xargs -0.")]
Wait = Annotated[bool, typer.Option("--wait", help="Wait for another writer instead of ending.")]
IndexName = Annotated[str, typer.Argument(metavar="NAME_OR_DIR", help="The index, as after --index.")]
NoResident = Annotated[bool, typer.Option("--no-resident", help="Answer in this process, and start no warm one.")]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON object.")]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="Print no progress and no notes.")]


def settings(environ: Mapping[str, str] = os.environ, cwd: str | None = None, **flags: object) -> Settings:
    """Flags that were given, over environment, settings file and defaults.

    Where none of them names an index, that of the project is taken which the working folder is in.
    """
    given = {name: value for name, value in flags.items() if value is not None}
    found = load(given, environ)
    if found.index == DEFAULT_INDEX and "index" not in given and not environ.get("KOSEARCH_INDEX"):
        project = project_index(cwd or os.getcwd())
        return replace(found, index=project) if project else found
    return found


def of_one_index(settings: Settings) -> Settings:
    """The same settings. Raises UsageError where they name no index, or several."""
    index_place(settings.index, settings)
    return settings


def file_name(path: str, cwd: str = "") -> bytes:
    """A path typed by a person in a folder, by default the current one: absolute, in the file system's own bytes."""
    return os.fsencode(os.path.abspath(os.path.join(cwd, os.path.expanduser(path))))


def glob(pattern: str) -> str:
    """A pattern typed by a person, as names are shown and matched: bytes that are not UTF-8 are U+FFFD."""
    return os.fsencode(pattern).decode("utf-8", "replace")


def output_of(context: typer.Context, *, quiet: bool = False) -> Output:
    """The streams that the command prints to."""
    caller: Caller = context.obj
    caller.output.quiet = quiet
    return caller.output
