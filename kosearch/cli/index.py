"""`kosearch index`: make files searchable, or bring them up to date."""

from __future__ import annotations

from collections import Counter
from collections.abc import Set
from dataclasses import replace
from typing import TYPE_CHECKING, Annotated

import typer

from kosearch.cli import options, render, schema
from kosearch.cli.output import Output
from kosearch.errors import OK, FilesSkipped, UsageError
from kosearch.records import IndexReport, Skipped
from kosearch.sources import canonical

if TYPE_CHECKING:
    from kosearch.index import Status
    from kosearch.library import Index

_SHOWN = 10
"""Skipped files listed one by one; the rest are counted, and `status --problems` has them all."""


def command(
    context: typer.Context,
    paths: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="PATH",
            help="Files and folders. Without any, all that were indexed before are brought up to date.",
            show_default=False,
        ),
    ] = None,
    include: Annotated[
        list[str] | None,
        typer.Option(metavar="GLOB", help="Only files that match, in this run and later ones.", show_default=False),
    ] = None,
    exclude: Annotated[
        list[str] | None,
        typer.Option(metavar="GLOB", help="No files that match, in this run and later ones.", show_default=False),
    ] = None,
    archives: Annotated[
        bool, typer.Option("--archives", help="Read the documents in archives too (.zip, .tar, .gz, …).")
    ] = False,
    retry: Annotated[bool, typer.Option("--retry", help="Try again what could not be read.")] = False,
    reread: Annotated[bool, typer.Option("--reread", help="Read every file again, changed or not.")] = False,
    max_file_size: Annotated[
        str | None,
        typer.Option(metavar="SIZE", help="Skip larger files.  [default: 64M]", show_default=False),
    ] = None,
    passage_tokens: Annotated[
        int | None,
        typer.Option(
            metavar="N",
            min=16,
            help="The most tokens of a passage; set when an index is made.",
            show_default=False,
        ),
    ] = None,
    passage_overlap: Annotated[
        int | None,
        typer.Option(metavar="N", min=0, help="Tokens repeated from the passage before.", show_default=False),
    ] = None,
    model: options.Model = None,
    endpoint: options.Endpoint = None,
    dimensions: options.Dimensions = None,
    device: options.Device = None,
    storage: Annotated[
        str | None,
        typer.Option(
            metavar="float16|int8",
            help="What vectors are kept in; set when an index is made.  [default: float16]",
            show_default=False,
        ),
    ] = None,
    into: Annotated[
        str | None,
        typer.Option(
            metavar="NAME_OR_DIR",
            help="Make another index of what this one holds, without reading files: with --model, say.",
            show_default=False,
        ),
    ] = None,
    pull: Annotated[bool, typer.Option("--pull", help="Download the model named by --model.")] = False,
    trust_remote_code: options.TrustRemoteCode = False,
    strict: Annotated[bool, typer.Option("--strict", help="End with 6 when a file was skipped.")] = False,
    wait: Annotated[bool, typer.Option("--wait", help="Wait for another writer instead of ending.")] = False,
    index: options.Index = None,
    json: options.Json = False,
    quiet: options.Quiet = False,
) -> int:
    """Make files and folders searchable. Only what changed is read again.

    A file that cannot be read is skipped and named; the rest goes on.
    """
    from kosearch.library import Index

    output = options.output_of(context, quiet=quiet)
    settings = options.settings(
        index=index,
        model=model,
        endpoint=endpoint,
        dimensions=dimensions,
        device=device,
        max_file_size=max_file_size,
        passage_tokens=passage_tokens,
        passage_overlap=passage_overlap,
        storage=storage,
    )
    library = Index(settings, trust_remote_code=trust_remote_code)
    roots = [options.file_name(path) for path in paths or ()]
    if into is not None:
        if roots or include or exclude or archives or retry or reread:
            raise UsageError(
                "--into reads no files: it takes what the index holds",
                "leave out paths, globs, --archives, --retry and --reread",
            )
        source = library
        model = settings.model or source.store.identity.model
        library = Index(replace(settings, index=into, model=model))
        run = library.take_over(source, pull=pull, wait=wait)
    else:
        if endpoint is not None:
            _check_has_endpoint(library)
        run = library.indexing(
            *roots,
            include=[options.glob(one) for one in include or ()],
            exclude=[options.glob(one) for one in exclude or ()],
            archives=archives,
            retry=retry,
            reread=reread,
            pull=pull,
            wait=wait,
        )
    with output.progress() as progress:
        for step in run:
            if step.note:
                output.note(step.note)
            else:
                progress.update(step)
    report, state = run.report, library.status()
    if json:
        output.json(schema.report(report, state, library.settings.index))
    _problems(output, report)
    named = {canonical(root) for root in roots}
    if not named or named - {problem.raw for problem in report.failed_roots}:
        _summary(output, report, state)
    return _code(report, named, strict=strict)


def _check_has_endpoint(library: Index) -> None:
    from kosearch.embedding import is_remote

    name = library.store.identity.model if library.exists else library.settings.model
    if name is None or not is_remote(name):
        raise UsageError(
            f"--endpoint says where a model answers over HTTP, and {name or 'the default model'} does not",
            "add --model openai:NAME",
        )


def _problems(output: Output, report: IndexReport) -> None:
    problems = [*report.failed_roots, *report.skipped]
    for problem in problems[:_SHOWN]:
        output.note(f"skipped {_line(problem)}")
    for warning in report.warnings[:_SHOWN]:
        output.note(f"partly read {_line(warning)}")
    if len(problems) > _SHOWN:
        reasons = Counter(str(problem.reason) for problem in problems)
        counts = ", ".join(f"{count} {reason}" for reason, count in reasons.most_common())
        output.note(f"{len(problems)} skipped in all ({counts}); kosearch status --problems lists them")


def _summary(output: Output, report: IndexReport, state: Status) -> None:
    """What the run did; not said where none of the paths that were named could be seen."""
    output.note(
        f"{render.counted(report.added, 'file')} added, {report.changed} changed, {report.removed} removed, "
        f"{report.unchanged} unchanged in {render.duration_of(report.seconds)}"
    )
    output.note(
        f"{render.counted(report.embedded, 'passage')} embedded, {report.reused} reused; "
        f"{render.counted(state.documents, 'document')} with {render.counted(state.passages, 'passage')} "
        f"{'is' if state.documents == 1 else 'are'} searchable"
    )


def _line(problem: Skipped) -> str:
    member = f" » {problem.member}" if problem.member else ""
    return render.one_line(f"{problem.path}{member}: {problem.detail} [{problem.reason}]")


def _code(report: IndexReport, named: Set[bytes], *, strict: bool) -> int:
    if any(problem.raw in named for problem in report.failed_roots):
        return UsageError.exit_code
    if strict and report.skipped:
        return FilesSkipped.exit_code
    return OK
