"""`kosearch extract`: what kosearch reads in a file."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import typer

from kosearch.cli import options
from kosearch.errors import OK, FilesSkipped
from kosearch.records import Extraction, Skipped


def command(
    context: typer.Context,
    file: Annotated[Path, typer.Argument(metavar="FILE", help="The file to read.")],
    archives: Annotated[bool, typer.Option("--archives", help="Read the documents in a ZIP archive.")] = False,
    json: options.Json = False,
) -> int:
    """Print a file's text as kosearch reads it.

    Offsets in hits count in this text.
    """
    output = options.output_of(context)
    settings = options.settings()
    extraction = _read(file, settings.max_file_size, settings.timeout, archives=archives)
    for document in extraction.documents:
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


def _read(file: Path, max_bytes: int, seconds: float, *, archives: bool) -> Extraction:
    """What is in a file, read as indexing does: in a process of its own, within its limits. Raises FilesSkipped."""
    from kosearch.preparing import FAILURES, FileReader
    from kosearch.sources import canonical
    from kosearch.workers import Failure, Pool

    if not file.exists():
        raise FilesSkipped(f"cannot read {file}: No such file or directory")
    with Pool(FileReader(max_bytes, archives), 1, deadline=seconds) as pool:
        [(_, found)] = pool.map([canonical(os.fsencode(file))])
    if isinstance(found, Failure):
        raise FilesSkipped(f"{file}: {found.detail} [{FAILURES[found.kind]}]")
    if isinstance(found, Skipped):
        raise FilesSkipped(f"{file}: {found.detail} [{found.reason}]")
    return found
