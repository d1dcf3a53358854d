"""`kosearch extract`: what kosearch reads in a file."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

import kosearch
from kosearch.cli import options
from kosearch.errors import OK


def command(
    context: typer.Context,
    file: Annotated[Path, typer.Argument(metavar="FILE", help="The file to read.")],
    archives: Annotated[bool, typer.Option("--archives", help="Read the documents in an archive.")] = False,
    json: options.Json = False,
) -> int:
    """Print a file's text as kosearch reads it.

    Offsets in hits count in this text.
    """
    output = options.output_of(context)
    for document in kosearch.read(file, archives=archives).documents:
        if json:
            output.json(
                {
                    "schema": "kosearch.extract/1",
                    "member": document.member or None,
                    "type": document.kind,
                    "title": document.title or None,
                    "metadata": dict(document.metadata),
                    "headings": [
                        {"start": one.start, "level": one.level, "title": one.title} for one in document.headings
                    ],
                    "pages": [
                        {"start": one.start, "number": one.number, "label": one.label or None} for one in document.pages
                    ],
                    "warnings": list(document.warnings),
                    "text": document.text,
                }
            )
        else:
            output.text(document.text)
    return OK
