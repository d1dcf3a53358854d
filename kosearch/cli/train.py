"""Questions to measure and to learn by, and a model that learns from them: `questions` and `train`."""

from __future__ import annotations

import shlex
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from kosearch.cli import options, render
from kosearch.errors import NO_HIT, OK, UsageError

if TYPE_CHECKING:
    from kosearch.cli.output import Output
    from kosearch.training import Reckoning, Training

TRAIN, RECKONING = "kosearch.train/1", "kosearch.train-dry-run/1"


def train(
    context: typer.Context,
    questions: Annotated[
        Path,
        typer.Option(
            "--from",
            metavar="QUESTIONS",
            help="What eval takes: questions.jsonl, a folder in BEIR or TREC form; or pairs.tsv: question, tab, text.",
            show_default=False,
        ),
    ],
    out: Annotated[
        Path, typer.Option(metavar="FOLDER", help="Where the model is written, if it is better.", show_default=False)
    ],
    qrels: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="QUESTIONS is TREC topics, judged by FILE.", show_default=False),
    ] = None,
    layers: Annotated[
        int | None,
        typer.Option(
            metavar="N", min=1, help="Learn the model's last N layers instead of a head: 2 or 4; takes minutes."
        ),
    ] = None,
    recipe: Annotated[
        Literal["seed"] | None,
        typer.Option(help="Learn all layers, as the model was from which kosearch grew: hours on a GPU."),
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Say what the recipe would take here, and learn nothing.")
    ] = False,
    seed: Annotated[int, typer.Option(metavar="N", min=0, help="For folds, batches and intervals.")] = 0,
    index: options.Index = None,
    device: options.Device = None,
    json: options.Json = False,
    quiet: options.Quiet = False,
) -> int:
    """Make the model of an index better at your own questions.

    Learns from questions and the documents that answer them, and measures on others. Writes a model only where that
    finds more; ends with 1 where it does not.
    """
    from kosearch.library import Index
    from kosearch.training import reckon
    from kosearch.training import train as run

    output = options.output_of(context, quiet=quiet)
    settings = options.settings(index=index, device=device)
    if dry_run:
        if recipe is None:
            what = "only a recipe takes so long that it is reckoned first"
            raise UsageError(what, "kosearch train --recipe seed --dry-run …")
        with Index(settings) as library, output.steps() as steps:
            _tell(reckon(library, questions, qrels=qrels, progress=steps), output, json=json)
        return OK
    with Index(settings) as library, output.steps() as steps:
        found = run(
            library,
            questions,
            out,
            qrels=qrels,
            layers=layers or 0,
            recipe=recipe or "",
            seed=seed,
            progress=steps,
        )
    for note in found.notes:
        output.note(render.one_line(note))
    if json:
        output.json({"schema": TRAIN, **_as_json(found)})
    else:
        _show(found, output, questions.name)
    if found.taken and not json:
        output.note(
            f"to search by it: kosearch index --index {shlex.quote(settings.index)}"
            f" --model {shlex.quote(str(out))} --into NAME"
        )
    return OK if found.taken else NO_HIT


def questions(
    context: typer.Context,
    sample: Annotated[int, typer.Option(metavar="N", min=1, help="How many passages.")] = 200,
    seed: Annotated[int, typer.Option(metavar="N", min=0, help="Which ones.")] = 0,
    writer: Annotated[
        str | None,
        typer.Option(
            metavar="openai:NAME",
            help="A model that writes the questions: these passages are sent to it, at OpenAI or --endpoint.",
            show_default=False,
        ),
    ] = None,
    endpoint: Annotated[
        str | None, typer.Option(metavar="URL", help="Where --writer answers.", show_default=False)
    ] = None,
    index: options.Index = None,
    quiet: options.Quiet = False,
) -> int:
    """Print passages and words that might ask for each, for a person to correct.

    A table with tabs: question, path, page, passage. Write real questions in the first column, and empty it where none
    makes sense: `eval` measures by the table, `train` learns from it.
    """
    from kosearch.evaluation.collections import TABLE, table_row
    from kosearch.library import Index
    from kosearch.training import candidate_questions

    output = options.output_of(context, quiet=quiet)
    if endpoint is not None and writer is None:
        raise UsageError("--endpoint says where --writer answers", f"--writer openai:NAME --endpoint {endpoint}")
    if writer is not None:
        where = "OpenAI" if endpoint is None else render.one_line(endpoint)
        output.note(f"{render.counted(sample, 'passage')} at most are sent to {where}, for {render.one_line(writer)}")
    with Index(options.settings(index=index)) as library, output.steps() as steps:
        found = candidate_questions(
            library,
            sample,
            seed=seed,
            writer=writer,
            endpoint=endpoint,
            progress=lambda done: steps("questions written", done, sample),
        )
    output.line(table_row(TABLE))
    for one in found:
        page = "" if one.page is None else str(one.page)
        output.line(table_row((render.one_line(one.question), one.path, page, render.one_line(one.passage))))
    what = "write a question into the first column of each line"
    if writer is not None:
        what = f"{render.one_line(writer)} wrote the questions: correct them, and empty what nobody would ask"
    output.note(f"{render.counted(len(found), 'passage')}: {what}")
    return OK


def _as_json(found: Training) -> dict[str, Any]:
    return {**asdict(found), "folder": None if found.folder is None else str(found.folder)}


def _tell(found: Reckoning, output: Output, *, json: bool) -> None:
    if json:
        output.json({"schema": RECKONING, **asdict(found)})
        return
    steps = f"{render.counted(found.steps, 'step')} of {render.counted(found.batch, 'pair')}"
    output.line(f"{render.counted(found.pairs, 'pair')} to learn from: {steps}")
    output.line(
        f"about {render.duration_of(found.seconds)} and {render.size_of(found.memory)} of memory on this machine"
    )


def _show(found: Training, output: Output, name: str) -> None:
    documents = render.counted(found.documents, "document")
    output.line(f"{name}: {render.counted(found.questions, 'question')}, answered by {documents}")
    rows = [("meaning alone", found.dense), ("hybrid", found.hybrid), ("kosearch's manual", found.manual)]
    measured = [(what, gain) for what, gain in rows if gain is not None]
    if measured:
        output.line(f"{'nDCG@10':<19}{'before':>7}{'after':>8}{'change':>9}  95% interval")
    for what, gain in measured:
        interval = f"[{gain.low:+.4f}, {gain.high:+.4f}]"
        output.line(f"{what:<19}{gain.before:>7.4f}{gain.after:>8.4f}{gain.mean:>+9.4f}  {interval}")
    output.line(f"taken: {found.why}" if found.taken else f"refused: {found.why}")
