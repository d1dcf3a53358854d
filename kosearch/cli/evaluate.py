"""`kosearch eval`: how well the search answers, on a collection or on your own questions."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from kosearch.cli import options
from kosearch.cli.output import Output
from kosearch.errors import OK, UsageError

if TYPE_CHECKING:
    from kosearch.evaluation.experiment import Asked, Findings
    from kosearch.records import IndexProgress


def command(
    context: typer.Context,
    collection: Annotated[
        Path,
        typer.Argument(
            metavar="COLLECTION",
            help="A folder in BEIR or TREC form, which is indexed for this; or your questions.jsonl, "
            "which are asked of an index of yours.",
        ),
    ],
    compare: Annotated[
        str | None,
        typer.Option(
            metavar="A,B,…",
            help="Side by side, the first as the baseline: dense, lexical, hybrid, rrf, rerank, or models.",
            show_default=False,
        ),
    ] = None,
    mode: options.Mode = None,
    weight: options.Weight = None,
    failures: Annotated[int, typer.Option(metavar="N", min=0, help="Show N questions whose first hit is wrong.")] = 0,
    qrels: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="COLLECTION is TREC topics, judged by FILE.", show_default=False),
    ] = None,
    run: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Write what was found as a TREC run.", show_default=False)
    ] = None,
    plot: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Draw recall against k, as SVG.", show_default=False)
    ] = None,
    model: options.Model = None,
    endpoint: options.Endpoint = None,
    device: options.Device = None,
    passage_tokens: Annotated[
        int | None, typer.Option(metavar="N", min=16, help="The most tokens of a passage.", show_default=False)
    ] = None,
    index: options.Index = None,
    json: options.Json = False,
    quiet: options.Quiet = False,
) -> int:
    """Measure how well the search answers known questions.

    Prints Accuracy, Recall, nDCG, MRR and MAP, and on request the questions that went wrong.

    A collection is indexed into a temporary index, or with --index into one that is kept and used again.
    """
    from kosearch.evaluation import reports, runs
    from kosearch.evaluation.experiment import check_systems, experiment
    from kosearch.evaluation.plot import SUFFIX, write_plot

    output = options.output_of(context, quiet=quiet)
    settings = options.settings(
        index=index,
        model=model,
        endpoint=endpoint,
        device=device,
        mode=mode,
        weight=weight,
        passage_tokens=passage_tokens,
    )
    names = tuple(compare.split(",")) if compare else (settings.mode,)
    check_systems(collection, names)
    if plot is not None and plot.suffix.lower() != SUFFIX:
        raise UsageError(f"{plot}: plots are SVG", f"name a file that ends in {SUFFIX}; browsers print it as anything")
    found = _followed(experiment(settings, collection, names, qrels=qrels, kept=index is not None), output)
    task = found.task
    measured = [reports.evaluate(ranked, task.qrels, system=system) for system, ranked in found.runs.items()]
    compared = reports.compare(measured) if len(measured) > 1 else ()
    failed = {
        system: reports.failures(ranked, task.qrels, task.texts)[:failures] for system, ranked in found.runs.items()
    }
    if run is not None:
        for system, ranked in found.runs.items():
            alone = len(found.runs) == 1
            runs.write_run(
                run if alone else run.with_name(f"{run.stem}.{system.replace('/', '_')}{run.suffix}"), ranked, system
            )
    if plot is not None:
        write_plot(plot, measured, task.name)
    if json:
        output.json(reports.as_json(task.name, measured, compared, failed if failures else None))
    else:
        output.evaluation(task.name, measured, compared, failed)
    return OK


def _followed(steps: Generator[IndexProgress | Asked, None, Findings], output: Output) -> Findings:
    """Run an experiment to its end, showing how it goes on."""
    from kosearch.evaluation.experiment import Asked

    progress, counter = None, None
    with ExitStack() as shown:
        while True:
            try:
                step = next(steps)
            except StopIteration as end:
                findings: Findings = end.value
                return findings
            if isinstance(step, Asked):
                if counter is None:
                    shown.close()
                    counter = shown.enter_context(output.counter("questions", step.total))
                counter.advance()
                if step.done == step.total:
                    shown.close()
                    progress, counter = None, None
            elif step.note:
                output.note(step.note)
            else:
                progress = progress or shown.enter_context(output.progress())
                progress.update(step)
