"""`kosearch query`: ranked passages for a question."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer

from kosearch import filters
from kosearch.cli import options, render, schema
from kosearch.cli.output import Caller, Elsewhere, Output
from kosearch.config import Settings
from kosearch.errors import NO_HIT, OK, UsageError
from kosearch.records import Answer, Query

_AT_ONCE = 64
"""Questions of a file that are embedded together: by themselves they take twice as long."""


def command(
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
    path: Annotated[
        list[str] | None,
        typer.Option("--path", metavar="GLOB", help="Only documents whose path matches.", show_default=False),
    ] = None,
    kind: Annotated[
        list[str] | None,
        typer.Option("--type", metavar="TYPE", help="Only this type: pdf, markdown, …", show_default=False),
    ] = None,
    after: Annotated[
        str | None,
        typer.Option(metavar="DATE", help="Only documents dated then or later.", show_default=False),
    ] = None,
    before: Annotated[
        str | None, typer.Option(metavar="DATE", help="Only documents dated then or earlier.", show_default=False)
    ] = None,
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
    context_lines: Annotated[
        int, typer.Option("--context", "-C", min=0, metavar="N", help="Show N lines around each passage.")
    ] = 0,
    explain: Annotated[bool, typer.Option("--explain", help="Show each side's score and rank.")] = False,
    json: options.Json = False,
    jsonl: Annotated[bool, typer.Option("--jsonl", help="Print one JSON object a hit, one a line.")] = False,
    paths: Annotated[bool, typer.Option("--paths", help="Print each hit's file name, once.")] = False,
    null: Annotated[bool, typer.Option("-0", help="End file names with NUL, for xargs -0.")] = False,
    batch: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Ask every line of FILE; the model loads once.", show_default=False),
    ] = None,
    index: options.Index = None,
    device: options.Device = None,
    no_resident: Annotated[
        bool, typer.Option("--no-resident", help="Answer in this process, and start no warm one.")
    ] = False,
    quiet: options.Quiet = False,
) -> int:
    """Find the passages that answer a question, best first.

    Ends with 0 when there are hits, with 1 when there are none.
    """
    if sum((json, jsonl, paths)) > 1:
        raise UsageError("--json, --jsonl and --paths each print something else", "choose one of them")
    if null and not paths:
        raise UsageError("-0 goes with --paths", "kosearch query TEXT --paths -0 | xargs -0 …")
    caller: Caller = context.obj
    output = options.output_of(context, quiet=quiet)
    settings = options.settings(
        caller.environ,
        index=index,
        device=device,
        mode=mode,
        weight=weight,
        k=k,
        resident="off" if no_resident else None,
    )
    many = batch is not None or not text or text == ["-"]
    if many and caller.ask and caller.questions is None:
        raise Elsewhere("its questions come from a file or its input")
    filtered = bool(path or kind or after or before or min_score is not None)
    query = Query(
        text="",
        k=settings.k,
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
        code = _run_by_resident(settings, caller, questions if many else None)
        if code is not None:
            return code
    queries = [replace(query, text=question) for question in questions]
    found: list[Answer] = []
    for one in _answers(queries, settings, caller):
        found.append(one)
        _messages(output, one, filtered=filtered)
        if jsonl:
            for hit in one.hits:
                output.json(schema.hit_line(hit, one.question, output.cwd))
            output.flush()
        elif not json and not paths:
            output.answer(one, explain=explain, numbered=many)
    if json:
        output.json(schema.batch(found, output.cwd) if many else schema.answer(found[0], output.cwd))
    if paths:
        names = dict.fromkeys(hit.raw for one in found for hit in one.hits)
        output.names(names, b"\0" if null else b"\n")
    return OK if any(one.hits for one in found) else NO_HIT


def _run_by_resident(settings: Settings, caller: Caller, questions: Sequence[str] | None) -> int | None:
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


def _answers(queries: Sequence[Query], settings: Settings, caller: Caller) -> Iterable[Answer]:
    """The answers of a process that runs this command for another, or of this one."""
    if caller.ask:
        return caller.ask(settings, queries)
    from kosearch.library import Index

    library = Index(settings, questions=len(queries))
    parts = (queries[start : start + _AT_ONCE] for start in range(0, len(queries), _AT_ONCE))
    return (answer for part in parts for answer in library.answers(part))


def _questions(text: list[str] | None, batch: Path | None) -> list[str]:
    """One question from the arguments, or a question a line; at least one, none empty."""
    if text and text != ["-"]:
        if batch is not None:
            raise UsageError("TEXT and --batch both ask", "leave one of them out")
        question = " ".join(text).strip()
        filters.check_text(question)
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
