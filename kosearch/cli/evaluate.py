"""`kosearch eval`: how well the search answers, on a collection or on your own questions."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from kosearch.cli import options
from kosearch.cli.output import Output
from kosearch.config import Settings
from kosearch.errors import OK, UsageError

if TYPE_CHECKING:
    from kosearch.evaluation.experiment import Ranked, Task
    from kosearch.index import Snapshot
    from kosearch.library import Library


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
        Path | None, typer.Option(metavar="FILE", help="Draw recall against k, as .svg or .png.", show_default=False)
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
    from kosearch.evaluation.drawing import FORMATS
    from kosearch.evaluation.experiment import SYSTEMS
    from kosearch.evaluation.plot import write_plot

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
    if not collection.exists():
        raise UsageError(f"{collection}: there is no such file or folder", "check the path")
    if plot is not None and plot.suffix.lower() not in FORMATS:
        raise UsageError(f"{plot}: plots are SVG or PNG", "name a file that ends in .svg or .png")
    wanted = compare.split(",") if compare else [settings.mode]
    models = [name for name in wanted if name not in SYSTEMS]
    if models and len(models) < len(wanted):
        raise UsageError(f"--compare {compare} mixes models and modes", f"modes are {', '.join(SYSTEMS)}")
    if models and not collection.is_dir():
        raise UsageError(
            "an index has one model",
            "compare models on a collection, or make another index: kosearch index --into NAME --model MODEL",
        )
    if len(set(wanted)) < len(wanted):
        raise UsageError(f"--compare {compare} names one twice", "name each once")

    found: dict[str, dict[str, Ranked]] = {}
    first: Library | None = None
    with ExitStack() as open_until_all_are_asked:
        for name in (*models,) or (settings.model,):
            systems = [settings.mode] if models else wanted
            kept = index is not None and not models
            library = open_until_all_are_asked.enter_context(
                _library(replace(settings, model=name), collection, kept=kept)
            )
            if collection.is_dir() and not library.exists:
                _index(library, collection, first, output)
            first = first or library
            task = _ask(library, collection, qrels, systems, output, found, name if models else None)
    measured = [reports.evaluate(ranked, task.qrels, system=system) for system, ranked in found.items()]
    compared = reports.compare(measured) if len(measured) > 1 else ()
    failed = {system: reports.failures(ranked, task.qrels, task.texts)[:failures] for system, ranked in found.items()}
    if run is not None:
        for system, ranked in found.items():
            target = run if len(found) == 1 else run.with_name(f"{run.stem}.{system.replace('/', '_')}{run.suffix}")
            runs.write_run(target, ranked, system)
    if plot is not None:
        write_plot(plot, measured, task.name)
    if json:
        output.json(reports.as_json(task.name, measured, compared, failed if failures else None))
    else:
        output.evaluation(task.name, measured, compared, failed)
    return OK


@contextmanager
def _library(settings: Settings, collection: Path, *, kept: bool) -> Iterator[Library]:
    """The index that is asked: the user's own for questions, else one made for the collection."""
    from kosearch.library import Library

    if kept or not collection.is_dir():
        yield Library(settings)
        return
    with tempfile.TemporaryDirectory(prefix="kosearch-eval-") as folder:
        yield Library(replace(settings, index=f"{folder}/index"))


def _ask(
    library: Library,
    collection: Path,
    qrels: Path | None,
    systems: list[str],
    output: Output,
    found: dict[str, dict[str, Ranked]],
    label: str | None,
) -> Task:
    from kosearch.evaluation.experiment import ask

    with library.index.snapshot(warm=True) as snapshot:
        task = _task(collection, qrels, snapshot)
        asked = (library.analyzer, library.embed_queries, library.rescore)
        results = ask(task, systems, library.settings.weight, snapshot, *asked)
        with output.counter("questions", len(task.texts) * len(systems)) as count:
            for question, system, ranked in results:
                found.setdefault(label or system, {})[question] = ranked
                count.advance()
    return task


def _index(library: Library, folder: Path, first: Library | None, output: Output) -> None:
    """Index a collection: from its files, or for a further model from the first one's index."""
    if first is not None:
        with output.progress() as progress:
            for done in library.take_over(first):
                if isinstance(done, str):
                    output.note(done)
                else:
                    progress.update(done)
        return
    from kosearch.evaluation.collections import read_collection
    from kosearch.evaluation.experiment import DocumentPreparer, index_collection
    from kosearch.indexing import Run

    collection = read_collection(folder)
    library.prepare()
    output.note(f"model: {library.model.why}")
    with (
        library.index.writer() as writer,
        library.pool(DocumentPreparer(library.preparer)) as pool,
        output.progress() as progress,
    ):
        for state in index_collection(collection, Run(writer, library.embed_passages), pool):
            progress.update(replace(state, files_total=len(collection.documents)))


def _task(collection: Path, qrels: Path | None, snapshot: Snapshot) -> Task:
    from kosearch.evaluation.collections import locate, read_collection, read_questions, read_trec_questions
    from kosearch.evaluation.experiment import collection_task, questions_task

    if collection.is_dir():
        return collection_task(read_collection(collection), snapshot)
    questions = read_questions(collection) if qrels is None else read_trec_questions(collection, qrels)
    paths = [document.path for document in snapshot.documents()]
    return questions_task(collection.name, locate(questions, paths), snapshot)
