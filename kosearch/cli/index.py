"""Making files searchable, and looking after the index: `index`, `remove`, `status`, `check`, `repair`, `indexes`, and
`extract`, which shows what is read in a file."""

from __future__ import annotations

import os
import shlex
from collections.abc import Sequence, Set
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from kosearch.cli import options, render
from kosearch.cli.output import Caller, Output, Progress
from kosearch.config import PROJECT, REFRESH_SECONDS, Settings, address_of
from kosearch.errors import NO_HIT, OK, FilesSkipped, IndexStateError, KosearchError, UsageError
from kosearch.resident import Elsewhere

if TYPE_CHECKING:
    from kosearch.index import Status
    from kosearch.library import Index, IndexRun
    from kosearch.records import IndexReport, Skipped
    from kosearch.resident.server import Open


def index(
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
    index: options.Index = None,
    here: Annotated[
        bool,
        typer.Option("--here", help="Index this folder into .kosearch in it: both move, and are found, together."),
    ] = False,
    retry: Annotated[bool, typer.Option("--retry", help="Try again what could not be read.")] = False,
    reread: Annotated[bool, typer.Option("--reread", help="Read every file again, changed or not.")] = False,
    part: Annotated[
        str | None,
        typer.Option(
            metavar="N/OF",
            help="Only one of OF parts of the files: several machines take one each.",
            show_default=False,
        ),
    ] = None,
    ray: Annotated[
        str | None,
        typer.Option(
            metavar="ADDRESS",
            help="Have the nodes of this Ray cluster do it: HOST:PORT, or auto on one of them.",
            show_default=False,
        ),
    ] = None,
    ocr: options.Ocr = None,
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
    wait: options.Wait = False,
    json: options.Json = False,
    quiet: options.Quiet = False,
) -> int:
    """Make files and folders searchable. Only what changed is read again.

    To begin, name a folder and nothing else. A file that cannot be read is skipped and named; the rest goes on.
    """
    caller: Caller = context.obj
    output = options.output_of(context, quiet=quiet)
    if here:
        if paths or index or into:
            raise UsageError("--here indexes the folder that you are in", "leave out paths, --index and --into")
        paths, index = ["."], os.path.join(os.getcwd(), PROJECT)
    settings = options.settings(
        caller.environ,
        output.cwd,
        index=index,
        model=model,
        endpoint=endpoint,
        dimensions=dimensions,
        device=device,
        max_file_size=max_file_size,
        ocr=ocr,
        passage_tokens=passage_tokens,
        passage_overlap=passage_overlap,
        storage=storage,
    )
    roots = [options.file_name(path, output.cwd) for path in paths or ()]
    if caller.opened:
        return _warm(caller.opened, settings, roots, output, json=json)
    with output.progress() as progress:  # drawn at once: what is imported now takes seconds on a busy machine
        from kosearch.library import Index

        library = Index(settings, trust_remote_code=trust_remote_code)
        if into is not None:
            if roots or include or exclude or archives or retry or reread or part or ray:
                raise UsageError(
                    "--into reads no files: it takes what the index holds",
                    "leave out paths, globs, --archives, --retry, --reread, --part and --ray",
                )
            source = library
            model = settings.model or source.store.identity.model
            library = Index(replace(settings, index=into, model=model))
            run = library.take_over(source, pull=pull, wait=wait)
        else:
            if endpoint is not None:
                _check_has_endpoint(library)
            globs = {
                name: tuple(map(options.glob, given or ()))
                for name, given in (("include", include), ("exclude", exclude))
            }
            if ray is not None:
                from kosearch.over_ray import Work, indexing

                if part is not None:
                    raise UsageError("--ray makes the parts itself", "leave out --part")
                work = Work(settings, roots, globs, archives, retry, reread)
                run = indexing(library, ray, work, pull=pull)
            else:
                run = library.indexing(
                    *roots,
                    include=globs["include"],
                    exclude=globs["exclude"],
                    archives=archives,
                    retry=retry,
                    reread=reread,
                    part=part,
                    pull=pull,
                    wait=wait,
                )
        _follow(run, output, progress)
    return _told(run.report, library.status(), library.settings.index, roots, output, json=json, strict=strict)


def _warm(opened: Open, settings: Settings, roots: Sequence[bytes], output: Output, *, json: bool) -> int:
    """The same in a warm process, where it is little work. Raises Elsewhere where it is not."""
    from kosearch.library import IndexRun
    from kosearch.reading import OcrUse

    with opened(settings) as library:
        limits = (library.settings.max_file_size, library.settings.timeout)
        if limits != (settings.max_file_size, settings.timeout):
            raise Elsewhere("files are read under other limits")
        if not all(map(os.path.lexists, roots)) or library.seconds_for(library.changes(*roots)) > REFRESH_SECONDS:
            raise Elsewhere("that is more than a little work")
        run = IndexRun(library.update(roots, brief=True))
        with output.progress() as progress:
            _follow(run, output, progress)
        state = library.status()
        if state.ocr.get("waiting") or (state.ocr.get("unread") and OcrUse.of(settings).version):
            raise Elsewhere("pictures wait to be read")
        return _told(run.report, state, settings.index, roots, output, json=json, strict=False)


def _follow(run: IndexRun, output: Output, progress: Progress) -> None:
    """Go through a run, and say what it says."""
    for step in run:
        if step.note:
            progress.clear()
            output.note(step.note)
        else:
            progress.update(step)


def _told(
    report: IndexReport,
    state: Status,
    name: str,
    roots: Sequence[bytes],
    output: Output,
    *,
    json: bool,
    strict: bool,
) -> int:
    """Say what a run did, and return the exit code."""
    from kosearch.naming import canonical

    if json:
        output.json(render.report_as_json(report, state, name))
    _problems(output, report)
    named = {canonical(root) for root in roots}
    if not named or named - {problem.path_bytes for problem in report.failed_roots}:
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
    """A line a reason: the file where there is one, else how many, with the first."""
    for what, problems in (("skipped", (*report.failed_roots, *report.skipped)), ("partly read", report.warnings)):
        by_reason: dict[str, list[Skipped]] = {}
        for problem in problems:
            by_reason.setdefault(problem.reason, []).append(problem)
        for reason, alike in by_reason.items():
            if len(alike) == 1:
                output.note(f"{what} {_line(alike[0])}")
            else:
                output.note(f"{what} {len(alike)} files [{reason}], the first: {_line(alike[0])}")
        if len(problems) > len(by_reason):
            output.note("kosearch status --problems lists them all")


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
    if any(problem.path_bytes in named for problem in report.failed_roots):
        return UsageError.exit_code
    if strict and report.skipped:
        return FilesSkipped.exit_code
    return OK


def remove(
    context: typer.Context,
    paths: Annotated[list[str], typer.Argument(metavar="PATH", help="Files and folders to forget.")],
    index: options.Index = None,
    wait: options.Wait = False,
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


def status(
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
    unsearchable = library.problems()
    watching = None if problems else _watching(settings, address_of(library.place))
    if json:
        value = render.status_as_json(state, library.roots(), settings.index, str(library.place))
        value["watched"] = watching
        if problems:
            value["problems"] = [render.skipped_as_json(one) for one in unsearchable]
        output.json(value)
    elif problems:
        for one in unsearchable:
            member = f" » {one.member}" if one.member else ""
            fields = (one.reason, f"{one.path}{member}", one.detail)
            output.line("\t".join(render.one_line(field) for field in fields))
        output.note(f"{len(unsearchable)} not searchable")
    else:
        rows = render.status_rows(state, unsearchable, library.roots(), settings.index, str(library.place))
        output.line(render.table([*rows, ("watched", render.watched(watching))] if watching else rows))
    return OK


def _watching(settings: Settings, address: str) -> dict[str, Any] | None:
    """What the warm process that keeps this index up to date says of it, where there is one."""
    from kosearch.resident import launcher

    with suppress(OSError):
        for _, said in launcher.residents(settings, patience=1.0):
            for one in said["watching"] if said else ():
                if one["index"] == address:
                    return {name: one[name] for name in ("how", "behind", "looked")}
    return None


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
    wait: options.Wait = False,
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


LIST = "kosearch.indexes/1"

indexes = options.group()

File = Annotated[Path, typer.Argument(metavar="FILE", help="The one file that a backup is.", show_default=False)]


@indexes.callback(invoke_without_command=True)
def listing(context: typer.Context, json: options.Json = False) -> int:
    """List your indexes, or keep, move or remove one.

    Without a command: name, documents, size on disk, and whether it was made by you on this machine. Where
    KOSEARCH_INDEX is a server's URL, those of its database as well.
    """
    if context.invoked_subcommand is not None:
        return OK
    output = options.output_of(context)
    rows = _rows()
    if json:
        output.json({"schema": LIST, "indexes": rows})
    elif rows:
        output.line(render.table([_row_line(row) for row in rows]))
    else:
        output.note("there is no index yet: kosearch index PATH")
    return OK


@indexes.command("backup")
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


@indexes.command("restore")
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


@indexes.command("adopt")
def adopt(
    context: typer.Context,
    name: options.IndexName,
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
    for path_bytes in library.roots():
        output.note(f"kosearch index reads {render.one_line(os.fsdecode(path_bytes))}")
    output.note(f"{render.one_line(name)} is yours now")
    return OK


@indexes.command("upgrade")
def upgrade(
    context: typer.Context,
    name: options.IndexName,
    quiet: options.Quiet = False,
) -> int:
    """Bring an index that an earlier version made to this one's format.

    One in a folder is brought to it when it is first used, one that a server keeps only by this, by its owner. An
    earlier kosearch does not open it any more.
    """
    from kosearch.library import Index

    output = options.output_of(context, quiet=quiet)
    was_older = Index(options.settings(index=name)).upgrade()
    output.note(f"{render.one_line(name)} {'is brought to' if was_older else 'has'} the format of this version")
    return OK


@indexes.command("rename")
def rename(
    context: typer.Context,
    name: Annotated[str, typer.Argument(metavar="NAME", help="The index.")],
    new: Annotated[str, typer.Argument(metavar="NEW", help="Its name from now on.")],
    quiet: options.Quiet = False,
) -> int:
    """Give an index another name."""
    from kosearch.library import Index

    output = options.output_of(context, quiet=quiet)
    renamed = Index(options.settings(index=name)).rename(new)
    output.note(f"{render.one_line(name)} is {render.one_line(new)} now ({render.one_line(str(renamed.directory))})")
    return OK


@indexes.command("remove")
def delete(
    context: typer.Context,
    name: options.IndexName,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    quiet: options.Quiet = False,
) -> int:
    """Remove an index from the disk, after a question. The documents stay where they are."""
    from kosearch.library import Index

    output = options.output_of(context, quiet=quiet)
    library = Index(options.settings(index=name))
    state = library.status()
    what = f"{render.one_line(name)} ({render.counted(state.documents, 'document')}, {render.size_of(state.bytes)})"
    if not yes and not output.confirmed(f"remove the index {what}?"):
        raise UsageError(f"the index {name!r} stays", f"kosearch indexes remove --yes {shlex.quote(name)}")
    library.delete()
    output.note(f"{what} is removed")
    return OK


@indexes.command("move")
def move(
    context: typer.Context,
    old: Annotated[str, typer.Argument(metavar="PATH", help="Where the documents were when they were indexed.")],
    new: Annotated[str, typer.Argument(metavar="PATH", help="Where they are now.")],
    index: options.Index = None,
    wait: options.Wait = False,
    quiet: options.Quiet = False,
) -> int:
    """Tell an index that documents went elsewhere. No file is read again."""
    from kosearch.library import Index

    output = options.output_of(context, quiet=quiet)
    count = Index(options.settings(index=index)).move(old, new, wait=wait)
    lie = "lies" if count == 1 else "lie"
    output.note(f"{render.counted(count, 'file')} of the index {lie} in {render.one_line(new)} now")
    return OK


def _rows() -> list[dict[str, Any]]:
    """What there is under the user's data, and in the databases that are named, by name."""
    from kosearch.library import Index, all_indexes

    settings = options.settings()
    rows = []
    for name in all_indexes(settings):
        row: dict[str, Any] = {"name": name, "documents": None, "passages": None, "bytes": None, "own": None}
        library = Index(replace(settings, index=name))
        row["directory"] = str(library.place)
        try:
            state = library.status()
            row |= {"documents": state.documents, "passages": state.passages, "bytes": state.bytes}
            row["own"] = not library.is_foreign
            row["error"] = None
        except KosearchError as error:
            row["error"] = error.message
        rows.append(row)
    return rows


def _row_line(row: dict[str, Any]) -> tuple[str, str]:
    if row["error"] is not None:
        return render.one_line(row["name"]), render.one_line(row["error"])
    whose = "yours" if row["own"] else "somebody else's"
    documents = render.counted(row["documents"], "document")
    return render.one_line(row["name"]), f"{documents}, {render.size_of(row['bytes'])}, {whose}"


def extract(
    context: typer.Context,
    file: Annotated[Path, typer.Argument(metavar="FILE", help="The file to read.")],
    archives: Annotated[bool, typer.Option("--archives", help="Read the documents in an archive.")] = False,
    ocr: options.Ocr = None,
    json: options.Json = False,
) -> int:
    """Print a file's text as kosearch reads it.

    Offsets in hits count in this text.
    """
    from kosearch.library import read

    output = options.output_of(context)
    for document in read(file, archives=archives, ocr=ocr).documents:
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
                    "ocr": [{"start": one.start, "end": one.end, "confidence": one.confidence} for one in document.ocr],
                    "warnings": list(document.warnings),
                    "text": document.text,
                }
            )
        else:
            output.text(document.text)
    return OK
