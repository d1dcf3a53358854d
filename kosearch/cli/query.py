"""Asking: `query`, `show`, and the warm process that answers at once, `serve`."""

from __future__ import annotations

import errno
import os
import signal
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from io import BytesIO, TextIOWrapper
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from kosearch.cli import options, render
from kosearch.cli.output import Caller, Output
from kosearch.config import Database, Settings, address_of, index_names, index_place, named_indexes
from kosearch.errors import INTERRUPTED, NO_HIT, OK, TERMINATED, KosearchError, UsageError
from kosearch.naming import shown_path
from kosearch.resident import PASSWORD, Elsewhere

if TYPE_CHECKING:
    from kosearch.records import Answer, Query
    from kosearch.resident.server import Ask, Consult, Open


_AT_ONCE = 64
"""Questions of a file that are embedded together: by themselves they take twice as long."""


def query(
    context: typer.Context,
    text: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="TEXT",
            help='The question. "a phrase", +must and -not narrow it. Without it, questions are read from '
            "standard input, one a line.",
            show_default=False,
        ),
    ] = None,
    k: Annotated[
        int | None, typer.Option("-k", metavar="N", min=1, help="How many hits.  [default: 10]", show_default=False)
    ] = None,
    path: options.Globs = None,
    kind: options.Types = None,
    after: options.After = None,
    before: options.Before = None,
    mode: options.Mode = None,
    weight: options.Weight = None,
    min_score: Annotated[
        float | None, typer.Option(metavar="COSINE", help="Only hits with at least this cosine.", show_default=False)
    ] = None,
    rerank: Annotated[
        int,
        typer.Option(
            metavar="N", min=0, max=1000, help="Score the N best again by the model's further heads (BGE-M3)."
        ),
    ] = 0,
    exact: Annotated[
        bool, typer.Option("--exact", help="The words as typed: no other forms, no synonyms, no corrections.")
    ] = False,
    group: Annotated[bool, typer.Option("--group", help="Only each document's best passage.")] = False,
    context_lines: options.Lines = 0,
    explain: options.Explain = False,
    json: options.Json = False,
    jsonl: options.HitLines = False,
    brief: Annotated[
        bool, typer.Option("--brief", help="Print one JSON object with excerpts only, for agents.")
    ] = False,
    max_bytes: Annotated[
        int | None,
        typer.Option(metavar="N", min=1, help="The most that --brief prints.  [default: 12000]", show_default=False),
    ] = None,
    offset: Annotated[
        int, typer.Option(metavar="N", min=0, max=100_000, help="Leave out the first N hits, with --brief.")
    ] = 0,
    paths: options.Paths = False,
    template: Annotated[
        str | None,
        typer.Option(
            "--format",
            metavar="TEXT",
            help="Print each hit so: '{path}:{line}: {excerpt}'; --format help lists the fields.",
            show_default=False,
        ),
    ] = None,
    vimgrep: Annotated[
        bool, typer.Option("--vimgrep", help="Print path:line:column:text, for editors' lists of places.")
    ] = False,
    null: options.Null = False,
    batch: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Ask every line of FILE; the model loads once.", show_default=False),
    ] = None,
    refresh: Annotated[
        str | None,
        typer.Option(
            metavar="[=SECONDS]",
            help="Index what changed before, if it takes at most so long; 0: never.  [default: 5 in a warm process]",
            show_default=False,
        ),
    ] = None,
    log: Annotated[
        bool, typer.Option("--log", help="Keep which hits `kosearch open` opens, for `kosearch train`.")
    ] = False,
    index: options.Indexes = None,
    everywhere: Annotated[bool, typer.Option("--all", help="Ask all of your indexes as one.")] = False,
    device: options.Device = None,
    no_resident: options.NoResident = False,
    quiet: options.Quiet = False,
) -> int:
    """Find the passages that answer a question, best first.

    Ends with 0 when there are hits, with 1 when there are none.
    """
    from kosearch import filters
    from kosearch.records import Query

    template = render.VIMGREP if vimgrep and template is None else template
    _check_forms(template, json, jsonl, brief, paths, vimgrep or template is not None)
    _check_goes_with(brief, offset > 0 or max_bytes is not None, paths, null)
    caller: Caller = context.obj
    output = options.output_of(context, quiet=quiet)
    settings = options.settings(
        caller.environ,
        output.cwd,
        index=index[0] if index else None,
        device=device,
        mode=mode,
        weight=weight,
        k=k,
        refresh=refresh,
        resident="off" if no_resident else None,
        log="on" if log else None,
    )
    asked = _indexes(settings, index or (), everywhere=everywhere)
    many = batch is not None or not text or text == ["-"]
    if many and caller.ask and caller.questions is None:
        raise Elsewhere("its questions come from a file or its input")
    filtered = bool(path or kind or after or before or min_score is not None)
    query = Query(
        text="",
        k=offset + settings.k,
        mode=settings.mode,
        weight=settings.weight,
        min_score=min_score,
        paths=tuple(filters.glob(options.glob(one), output.cwd) for one in path or ()),
        kinds=tuple(kind or ()),
        after=after,
        before=before,
        group=group,
        context=context_lines,
        rerank=rerank,
        exact=exact,
    )
    filters.check(query, "--")
    questions = caller.questions or _questions(text, batch)
    if settings.resident and not caller.ask:
        code = run_by_resident(asked[0], caller, questions if many else None)
        if code is not None:
            return code
    queries = [replace(query, text=question) for question in questions]
    found: list[Answer] = []
    for one in _answers(queries, asked, caller):
        found.append(one)
        _messages(output, one, filtered=filtered)
        if jsonl or template is not None:
            _hit_by_hit(output, one, template)
        elif not json and not brief and not paths:
            named = render.told_apart([one.index for one in asked]) if len(asked) > 1 else None
            output.answer(one, explain=explain, numbered=many, named=named)
    if json:
        output.json(render.batch_as_json(found, output.cwd) if many else render.answer_as_json(found[0], output.cwd))
    elif brief:
        from kosearch.agents.brief import BYTES, answers

        most = BYTES if max_bytes is None else max_bytes
        output.json(answers(found, offset, settings.k, most, output.cwd, many=many, named=len(asked) > 1))
    elif paths:
        names = dict.fromkeys(hit.path_bytes for one in found for hit in one.hits)
        output.names(names, b"\0" if null else b"\n")
    if not many and output.stdout.isatty():
        from kosearch.cli.open import remember

        remember(found[0].question, found[0].hits, settings, caller.environ)
    return OK if any(one.hits[offset:] for one in found) else NO_HIT


def _check_forms(template: str | None, *forms: bool) -> None:
    """See that one form of output is asked for, and a template names what there is. Raises UsageError."""
    if template is not None:
        render.check_template(template)
    if sum(forms) > 1:
        raise UsageError(
            "--json, --jsonl, --brief, --paths, --format and --vimgrep each print something else", "choose one of them"
        )


def _check_goes_with(brief: bool, limited: bool, paths: bool, null: bool) -> None:
    """See that options stand beside those that they belong to. Raises UsageError."""
    if limited and not brief:
        raise UsageError("--offset and --max-bytes go with --brief", "kosearch query TEXT --brief --offset 10")
    if null and not paths:
        raise UsageError("-0 goes with --paths", "kosearch query TEXT --paths -0 | xargs -0 …")


def _hit_by_hit(output: Output, answer: Answer, template: str | None) -> None:
    """A line a hit: as the template says, else as JSON."""
    for hit in answer.hits:
        if template is None:
            output.json(render.hit_line_as_json(hit, answer.question, output.cwd))
        else:
            output.line(render.by_template(template, hit, answer.question, output.cwd))
    output.flush()


def run_by_resident(settings: Settings, caller: Caller, questions: Sequence[str] | None) -> int | None:
    """Print what a warm process makes of this command, and return its exit code; None where there is no such."""
    from kosearch.resident import launcher

    terminal = caller.output.stdout.isatty()
    try:
        reply = launcher.run(settings, caller.argv, caller.environ, terminal=terminal, questions=questions)
    except launcher.Unavailable as reason:
        if os.environ.get("KOSEARCH_DEBUG"):
            caller.output.warning(f"answered in this process: {render.one_line(str(reason))}")
        return None
    caller.output.as_printed(reply.stdout, reply.stderr)
    return reply.code


def _indexes(settings: Settings, names: Sequence[str], *, everywhere: bool) -> list[Settings]:
    """The settings of each index that is asked; the first one's are those of the command."""
    if everywhere and names:
        raise UsageError("--all asks all indexes, and --index some", "leave one of them out")
    if everywhere:
        names = index_names(settings)
        if not names:
            raise UsageError("there is no index yet", "kosearch index PATH")
    named = [one for name in names or (settings.index,) for one in named_indexes(name)]
    return [replace(settings, index=name) for name in named]


def _answers(queries: Sequence[Query], asked: Sequence[Settings], caller: Caller) -> Iterable[Answer]:
    """The answers of a process that runs this command for another, or of this one."""
    if caller.ask:
        return caller.ask(asked, queries)
    from kosearch.joined import join
    from kosearch.library import Index, behind_by

    indexes = [Index(one, questions=len(queries)) for one in asked]
    library = indexes[0] if len(indexes) == 1 else join(*indexes)
    behind = sum(one.refresh(one.settings.refresh) for one in indexes if one.settings.refresh and one.exists)
    parts = (queries[start : start + _AT_ONCE] for start in range(0, len(queries), _AT_ONCE))
    return (answer for part in parts for answer in behind_by(behind, library.answers(part)))


def _questions(text: list[str] | None, batch: Path | None) -> list[str]:
    """One question from the arguments, or a question a line; at least one, none empty."""
    if text and text != ["-"]:
        if batch is not None:
            raise UsageError("TEXT and --batch both ask", "leave one of them out")
        from kosearch.filters import check_text

        question = " ".join(text).strip()
        check_text(question)
        return [question]
    if batch is None or str(batch) == "-":
        if sys.stdin.isatty():
            raise UsageError("no question", "kosearch query TEXT, or questions on standard input")
        lines = sys.stdin.buffer.read()
    else:
        try:
            lines = batch.read_bytes()
        except OSError as error:
            raise UsageError(f"cannot read {batch}: {error.strerror}", "give --batch a file of questions") from error
    try:
        questions = [line.strip() for line in lines.decode("utf-8-sig").splitlines() if line.strip()]
    except UnicodeDecodeError as error:
        raise UsageError(f"the questions are not UTF-8: {error.reason} at byte {error.start}") from error
    if not questions:
        raise UsageError("no question: the input has no line with text", "one question a line")
    return questions


def _messages(output: Output, answer: Answer, *, filtered: bool) -> None:
    for warning in answer.warnings:
        output.warning(render.one_line(warning))
    if not answer.hits and (answer.terms or not answer.warnings):  # a warning has said why
        where = " that the filters let through" if filtered else ""
        output.note(f"kosearch: {render.missing_terms(answer, where)}")


def show(
    context: typer.Context,
    hit: Annotated[
        str,
        typer.Argument(metavar="HIT", help="A hit's `id` from --json, or a document's hash for all of it."),
    ],
    lines: Annotated[int, typer.Option("--context", "-C", min=0, metavar="N", help="Lines before and after.")] = 5,
    index: options.Index = None,
    json: options.Json = False,
) -> int:
    """Print a passage with the lines around it.

    The text is what was read when the document was indexed.
    """
    from kosearch.library import Index

    output = options.output_of(context)
    shown = Index(options.settings(index=index)).show(hit, lines)
    if json:
        output.json(
            {
                "schema": "kosearch.show/1",
                "id": hit,
                "path": shown_path(shown.path, output.cwd),
                **render.file_name(shown.path_bytes),
                "member": shown.member or None,
                "title": shown.title or None,
                "before": shown.before,
                "text": shown.text,
                "after": shown.after,
                "state": shown.state,
            }
        )
    else:
        output.shown(shown)
    return OK


STATUS = "kosearch.residents/1"


def serve(
    context: typer.Context,
    detach: Annotated[bool, typer.Option("--detach", "-d", help="Start it in the background, and return.")] = False,
    stop: Annotated[bool, typer.Option("--stop", help="End those that run.")] = False,
    status: Annotated[bool, typer.Option("--status", help="List those that run; ends with 1 when none does.")] = False,
    watch: Annotated[
        bool, typer.Option("--watch", help="Keep the index up to date while files change; ends only when told to.")
    ] = False,
    install: Annotated[
        bool, typer.Option("--install", help="Have the system start one that watches when you log in.")
    ] = False,
    idle: Annotated[
        float | None,
        typer.Option(
            metavar="SECONDS",
            help="End after so long without a question.  [default: 900]",
            show_default=False,
        ),
    ] = None,
    index: options.Index = None,
    device: options.Device = None,
    json: options.Json = False,
    quiet: options.Quiet = False,
) -> int:
    """Keep models and indexes loaded, so that answers come at once.

    The first question starts such a process by itself, unless that is switched off. It ends when nobody asks.
    """
    if detach + stop + status + install > 1:
        raise UsageError("--detach, --stop, --status and --install each do something else", "choose one of them")
    if json and not status:
        raise UsageError("--json goes with --status", "kosearch serve --status --json")
    output = options.output_of(context, quiet=quiet)
    settings = options.settings(index=index, device=device, resident_idle=idle)
    if status:
        return _status(settings, output, json=json)
    if stop:
        return _stop(settings, output)
    _can_be_asked(settings)
    if install:
        return _install(settings, output)
    return _detach(settings, output, watch=watch) if detach else _serve(settings, output, watch=watch)


def _can_be_asked(settings: Settings) -> None:
    """See that a warm process can answer from the index. Raises UsageError."""
    if isinstance(index_place(settings.index, settings), Database) and PASSWORD in os.environ:
        raise UsageError(
            f"a process that answers for others is told no {PASSWORD}",
            "put it into ~/.pgpass, or the file that PGPASSFILE names",
        )


def _install(settings: Settings, output: Output) -> int:
    from kosearch.resident import service

    try:
        place, then = service.install(["serve", "--watch", "--index", settings.index])
    except OSError as error:
        raise KosearchError(f"the service cannot be written: {error}", "kosearch serve --watch runs it here") from error
    output.note(f"written to {place}; now run:\n{then}")
    return OK


def _serve(settings: Settings, output: Output, *, watch: bool) -> int:
    from kosearch.library import Index
    from kosearch.resident import launcher, protocol, server

    try:
        path = protocol.socket_path(settings)
        if watch and path.exists():
            launcher.stop(path)  # one that was started for a question has no more to it than this one
        listener = protocol.listen(path)
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            raise UsageError("one is running already", "kosearch serve --stop ends it") from error
        raise _no_socket(error) from error
    with listener:
        library, address = Index(settings), address_of(index_place(settings.index, settings))
        warm = server.Warm(settings)
        if library.exists:
            warm.load(address)
        if watch:
            warm.watch(address)
            output.note(f"watching the folders of {settings.index}")
        output.note(f"ready for questions ({path}); Ctrl-C ends it")
        ended_by = server.serve(listener, path, warm, settings.resident_idle, server.Commands(path, warm, printed))
    if ended_by is not None:
        return TERMINATED if ended_by == signal.SIGTERM else INTERRUPTED
    output.note("ended")
    return OK


def _detach(settings: Settings, output: Output, *, watch: bool) -> int:
    from kosearch.resident import launcher

    try:
        state = launcher.watch(settings) if watch else launcher.start(settings)
        if "cannot" in state:
            raise UsageError(state["cannot"], state.get("hint", ""))
    except (OSError, ValueError) as error:
        raise _no_socket(error) from error
    output.note(f"process {state['pid']} answers questions; kosearch serve --stop ends it")
    return OK


def _stop(settings: Settings, output: Output) -> int:
    from kosearch.resident import launcher

    count = 0
    for path, state in launcher.residents(settings):
        if not launcher.stop(path):
            raise KosearchError(
                f"the process that listens at {path} does not end", "end it with the system's own means, and ask again"
            )
        count += 1
        output.note(f"ended process {state['pid']}" if state else "ended one that did not answer")
    if not count:
        output.note("none is running")
    return OK


def _status(settings: Settings, output: Output, *, json: bool) -> int:
    from kosearch.resident import launcher

    found = list(launcher.residents(settings))
    if json:
        rows = [{"socket": str(path), "answers": state is not None, **(state or {})} for path, state in found]
        output.json({"schema": STATUS, "residents": rows})
    else:
        for path, state in found:
            output.line(render.table(_rows(str(path), state)))
        if not found:
            output.note("none is running")
    return OK if found else NO_HIT


def _rows(path: str, state: dict[str, Any] | None) -> list[tuple[str, str]]:
    if state is None:
        return [("socket", path), ("state", "does not answer; kosearch serve --stop ends it")]
    return [
        ("process", f"{state['pid']}, version {state['version']}"),
        ("socket", path),
        ("since", datetime.fromtimestamp(state["since"]).astimezone().isoformat(" ", "seconds")),
        ("questions", str(state["requests"])),
        (
            "ends after",
            "never, while it watches" if state["watching"] else f"{render.duration_of(state['idle'])} without one",
        ),
        *(("index", directory) for directory in state["indexes"]),
        *(("watching", f"{one['index']}, {render.watched(one)}") for one in state["watching"]),
    ]


def _no_socket(error: Exception) -> KosearchError:
    return KosearchError(f"it cannot be started: {error}", "set XDG_RUNTIME_DIR to a folder that only you can enter")


def printed(
    argv: Sequence[str],
    cwd: str,
    environ: Mapping[str, str],
    terminal: bool,
    questions: Sequence[str] | None,
    ask: Ask,
    opened: Open,
    consulted: Consult,
) -> dict[str, Any]:
    """stdout and stderr, as bytes, and code of a command that a warm process runs for another one.

    `terminal` says whether the other one's stdout is one; `questions` are those from its input, `ask` answers them,
    `opened` is what its files may be put into, and `consulted` what it may ask for more.
    Raises Elsewhere, and what the command raises.
    """
    from kosearch.cli.app import invoke

    stdout, stderr = _Stream(terminal), _Stream()
    output = Output(stdout, stderr, cwd=cwd, environ=environ)
    code = invoke(list(argv), Caller(output, argv, environ, ask, opened, consulted, questions))
    return {"stdout": stdout.written(), "stderr": stderr.written(), "code": code}


def reside() -> None:
    """Be the warm process that `launcher` starts; the socket that listens is its input, the path its only argument."""
    from kosearch.resident import server

    server.main(sys.argv[1], printed)


class _Stream(TextIOWrapper):
    """What is printed, as the bytes that the asking process's stream would get."""

    def __init__(self, terminal: bool = False) -> None:
        self._bytes, self._terminal = BytesIO(), terminal
        super().__init__(self._bytes, "utf-8", "replace", newline="\n", write_through=True)

    def isatty(self) -> bool:
        return self._terminal

    def written(self) -> bytes:
        self.flush()
        return self._bytes.getvalue()
