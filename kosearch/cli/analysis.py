"""`kosearch duplicates` and its like: what an index holds, looked at as a whole."""

from __future__ import annotations

import os
import pathlib
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from json import dumps
from typing import TYPE_CHECKING, Annotated, Any

import typer

from kosearch import filters
from kosearch.cli import options, render
from kosearch.cli.output import Caller, Output
from kosearch.cli.query import run_by_resident
from kosearch.config import Settings
from kosearch.errors import NO_HIT, OK, UsageError
from kosearch.naming import display_path, shown_path
from kosearch.resident import Elsewhere

if TYPE_CHECKING:
    from kosearch.analysis.duplicates import Duplicate, DuplicateGroup
    from kosearch.analysis.pairs import Pair
    from kosearch.analysis.topics import Topic
    from kosearch.index import StoredDocument, StoredPassage
    from kosearch.library import Index
    from kosearch.records import Vectors

SIMILAR = "kosearch.similar/1"
DUPLICATES = "kosearch.duplicates/1"
PASSAGES = "kosearch.repeated-passages/1"
TOPICS = "kosearch.topics/1"
VECTOR = "kosearch.vector/1"
SIMILARITY = "kosearch.similarity/1"
GRADED = "kosearch.graded-pairs/1"
_EMBEDDED_AT_ONCE = 256
_EXCERPT = 160

JsonLines = Annotated[bool, typer.Option("--jsonl", help="Print one JSON object a group, one a line.")]


def similar(
    context: typer.Context,
    thing: Annotated[
        str,
        typer.Argument(
            metavar="FILE|FILE:PAGE|HIT|-",
            help="A file, in the index or not, a page of it, a hit's `id` from --json, or - for standard input.",
        ),
    ],
    k: Annotated[
        int | None, typer.Option("-k", metavar="N", min=1, help="How many.  [default: 10]", show_default=False)
    ] = None,
    path: options.Globs = None,
    kind: options.Types = None,
    after: options.After = None,
    before: options.Before = None,
    copies: Annotated[bool, typer.Option("--copies", help="Show copies of it too.")] = False,
    context_lines: options.Lines = 0,
    explain: options.Explain = False,
    json: options.Json = False,
    jsonl: options.HitLines = False,
    paths: options.Paths = False,
    null: options.Null = False,
    index: options.Index = None,
    device: options.Device = None,
    no_resident: options.NoResident = False,
    quiet: options.Quiet = False,
) -> int:
    """Find the documents most like a file, a page, a passage or a text.

    Each with the passage that is most like it. It itself and its copies are left out. Ends with 1 when there are none.
    """
    if sum((json, jsonl, paths)) > 1:
        raise UsageError("--json, --jsonl and --paths each print something else", "choose one of them")
    if null and not paths:
        raise UsageError("-0 goes with --paths", "kosearch similar FILE --paths -0 | xargs -0 …")
    caller: Caller = context.obj
    output = options.output_of(context, quiet=quiet)
    settings = options.settings(
        caller.environ, output.cwd, index=index, device=device, k=k, resident="off" if no_resident else None
    )
    text = _text(caller) if thing == "-" else None
    if settings.resident and not caller.consulted:
        code = run_by_resident(settings, caller, None if text is None else [text])
        if code is not None:
            return code
    with _consulted(settings, caller) as (library, behind):
        answer = library.similar(
            _place_typed(thing, caller) if text is None else None,
            text=text,
            path=_globs(path, output),
            type=kind or (),
            after=after,
            before=before,
            context=context_lines,
            copies=copies,
            k=settings.k,
        )
    hits = tuple(replace(hit, index=settings.index) for hit in answer.hits)
    from kosearch.library import behind_by

    (found,) = behind_by(behind, [replace(answer, hits=hits)])
    for warning in found.warnings:
        output.warning(render.one_line(warning))
    if json:
        output.json(
            {
                "schema": SIMILAR,
                "thing": "" if text is not None else display_path(os.fsencode(thing)),
                "generation": found.generation,
                "warnings": list(found.warnings),
                "hits": [render.hit_as_json(one, output.cwd) for one in found],
            }
        )
    elif jsonl:
        for one in found:
            output.json(render.hit_line_as_json(one, thing if text is None else "", output.cwd))
    elif paths:
        output.names(dict.fromkeys(one.path_bytes for one in found), b"\0" if null else b"\n")
    else:
        output.answer(found, explain=explain, numbered=False)
    if not found.hits:
        output.note("kosearch: no document is like it")
    if output.stdout.isatty():
        from kosearch.cli.open import remember

        remember("", found.hits, settings, caller.environ)  # a document is no question to learn from
    return OK if found.hits else NO_HIT


@contextmanager
def _consulted(settings: Settings, caller: Caller) -> Iterator[tuple[Index, int]]:
    """The index of a process that runs this command for another, or of this one, and how many files it is behind."""
    if caller.consulted:
        with caller.consulted(settings) as found:
            yield found
        return
    from kosearch.library import Index

    with Index(settings, questions=1) as library:
        yield library, library.refresh(settings.refresh) if settings.refresh and library.exists else 0


def _place_typed(thing: str, caller: Caller) -> str:
    """A file or a hit as it was typed; a file for another process is in that one's folder."""
    from kosearch.analysis.similar import is_hit

    return (
        os.path.join(caller.output.cwd, os.path.expanduser(thing)) if caller.consulted and not is_hit(thing) else thing
    )


def _text(caller: Caller) -> str:
    """What comes on the standard input of whoever asks. Raises Elsewhere where only that process can read it."""
    if caller.questions is not None:
        return caller.questions[0]
    if caller.consulted:
        raise Elsewhere("its text comes from its input")
    return _standard_input()


def _standard_input() -> str:
    try:
        return sys.stdin.buffer.read().decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise UsageError(f"the text is not UTF-8: {error.reason} at byte {error.start}") from error


def duplicates(
    context: typer.Context,
    kind: Annotated[
        list[str] | None,
        typer.Option(
            metavar="exact|copy|version|contained|part|translation",
            help="Only groups of this kind.",
            show_default=False,
        ),
    ] = None,
    path: options.Globs = None,
    passages: Annotated[bool, typer.Option("--passages", help="Passages that stand in several documents.")] = False,
    diff: Annotated[bool, typer.Option("--diff", help="Show how each differs, word by word.")] = False,
    json: options.Json = False,
    jsonl: JsonLines = False,
    paths: Annotated[
        bool, typer.Option("--paths", help="Print the file names of exact copies: all but the newest of each group.")
    ] = False,
    null: options.Null = False,
    index: options.Index = None,
    quiet: options.Quiet = False,
) -> int:
    """List documents that are copies, versions, parts or translations of each other.

    Groups, each with the newest first. Nothing is removed. Ends with 1 when there are none.
    """
    from kosearch.analysis.duplicates import Kind

    if sum((json, jsonl, paths, diff)) > 1:
        raise UsageError("--json, --jsonl, --paths and --diff each print something else", "choose one of them")
    if null and not paths:
        raise UsageError("-0 goes with --paths", "kosearch duplicates --paths -0 | xargs -0 …")
    if paths and kind not in (None, [], [Kind.EXACT]):
        raise UsageError("--paths names exact copies only", "leave --kind out")
    if passages and (kind or paths or diff):
        raise UsageError("--passages is about passages, and --kind, --paths and --diff about documents", "choose one")
    output = options.output_of(context, quiet=quiet)
    with _opened(index) as library, output.steps() as steps:
        globs = _globs(path, output)
        if passages:
            return _repeated(library.repeated_passages(path=globs, progress=steps), output, json=json, jsonl=jsonl)
        groups = library.duplicates(kind=[Kind.EXACT] if paths else kind or (), path=globs, progress=steps)
        steps.clear()
        if paths:
            kept = {group.members[0].document.path_bytes for group in groups}
            spare = [one.document for group in groups for one in group.spare]
            names = dict.fromkeys(one.path_bytes for one in spare if not one.member and one.path_bytes not in kept)
            output.names(names, b"\0" if null else b"\n")
        elif json:
            output.json({"schema": DUPLICATES, "groups": [_group(one, output.cwd) for one in groups]})
        elif jsonl:
            for one in groups:
                output.json({"schema": DUPLICATES, **_group(one, output.cwd)})
        else:
            for one in groups:
                _draw_group(one, output, library if diff else None)
        if not groups:
            output.note(f"kosearch: no duplicates among {render.counted(library.status().documents, 'document')}")
    return OK if groups else NO_HIT


def topics(
    context: typer.Context,
    n: Annotated[int, typer.Option("-n", metavar="N", min=1, help="How many topics on the first level.")] = 8,
    depth: Annotated[int, typer.Option(metavar="N", min=1, max=5, help="How many levels.")] = 2,
    path: options.Globs = None,
    map_file: Annotated[
        pathlib.Path | None,
        typer.Option("--map", metavar="FILE", help="Draw a map, as .svg or .html.", show_default=False),
    ] = None,
    json: options.Json = False,
    index: options.Index = None,
    quiet: options.Quiet = False,
) -> int:
    """Show what the documents are about, as a tree of topics with the words that tell each from its siblings.

    A finer level only divides the topics above it, and the same documents give the same tree.
    """
    output = options.output_of(context, quiet=quiet)
    with _opened(index) as library, output.steps() as steps:
        found = library.topics(n, depth=depth, path=_globs(path, output), progress=steps)
        if map_file is not None:
            from kosearch.analysis.map import draw

            steps("map drawn", 0, len(found.documents))
            _written(map_file, draw(found, map_file.suffix.lower()).encode())
    count = render.counted(len(found.documents), "document")
    if json:
        output.json({"schema": TOPICS, "documents": len(found.documents), "topics": _topics(found.topics, output.cwd)})
        return OK
    output.paragraph(f"{count} in {render.counted(len(found.topics), 'topic')}", style="bold")
    _draw_topics(found.topics, output, "", len(str(len(found.documents))))
    if any(topic.topics for topic in found.topics):
        output.note("Broad topics stay when documents come and go; finer ones shift more easily.")
    return OK


def _draw_topics(found: Sequence[Topic], output: Output, before: str, width: int) -> None:
    for topic in found:
        last = topic is found[-1]
        count = f"{before}{'└─' if last else '├─'} {len(topic.documents):>{width}}  "
        output.row(count, ", ".join(topic.words) or topic.title, f"“{topic.title}”" if topic.words else "")
        _draw_topics(topic.topics, output, before + ("   " if last else "│  "), width)


def _topics(found: Sequence[Topic], cwd: str) -> list[dict[str, Any]]:
    return [
        {
            "words": list(topic.words),
            "title": topic.title,
            "count": len(topic.documents),
            "documents": [_document(one, cwd) for one in topic.documents] if not topic.topics else [],
            "topics": _topics(topic.topics, cwd),
        }
        for topic in found
    ]


def vectors(
    context: typer.Context,
    npy: Annotated[
        pathlib.Path | None,
        typer.Option(metavar="FILE", help="Write the vectors for numpy, and FILE.jsonl beside.", show_default=False),
    ] = None,
    parquet: Annotated[
        pathlib.Path | None,
        typer.Option(metavar="FILE", help="Write places, texts and vectors as Parquet.", show_default=False),
    ] = None,
    jsonl: Annotated[bool, typer.Option("--jsonl", help="Print one JSON object a passage, one a line.")] = False,
    path: options.Globs = None,
    index: options.Index = None,
    quiet: options.Quiet = False,
) -> int:
    """Write the vectors of all passages, with ids, paths and places, for other programs."""
    from kosearch.analysis import exporting

    if (npy is not None) + (parquet is not None) + jsonl != 1:
        raise UsageError("vectors are written in one form", "give --npy FILE, --parquet FILE or --jsonl")
    output = options.output_of(context, quiet=quiet)
    with _opened(index) as library:
        if jsonl:
            for stored, vector in library.passage_vectors(path=_globs(path, output)):
                value = {"schema": VECTOR, **exporting.place(stored), "vector": vector.tolist()}
                output.json(value)
            return OK
        count = library.status().passages
        rows: list[tuple[StoredPassage, Vectors]] = []
        with output.steps() as steps:
            for row in library.passage_vectors(path=_globs(path, output)):
                steps("vectors read", len(rows), count)
                rows.append(row)
    if not rows:
        output.note("kosearch: no passage matches")
        return NO_HIT
    try:
        if parquet is not None:
            exporting.write_parquet(rows, parquet)
        elif npy is not None:
            exporting.write_npy(rows, npy)
    except OSError as error:
        raise _unwritable(npy or parquet, error) from error
    if npy is not None:
        lines = (dumps(exporting.place(stored), ensure_ascii=False) for stored, _ in rows)
        _written(npy.with_name(f"{npy.name}.jsonl"), "".join(f"{line}\n" for line in lines).encode())
    output.note(f"{render.counted(len(rows), 'vector')} of {len(rows[0][1])} dimensions")
    return OK


def embed(
    context: typer.Context,
    text: Annotated[
        list[str] | None, typer.Argument(metavar="TEXT", help="Texts. Without any, each line of standard input is one.")
    ] = None,
    query: Annotated[bool, typer.Option("--query", help="As questions, where the model tells them apart.")] = False,
    model: options.Model = None,
    device: options.Device = None,
    quiet: options.Quiet = False,
) -> int:
    """Print the vector of each text, as a JSON array a line."""
    from kosearch.library import embed as embedded

    output = options.output_of(context, quiet=quiet)
    texts = text or [line for line in _standard_input().splitlines() if line.strip()]
    if not texts:
        raise UsageError("no text: the input has no line with text", "one text a line")
    with output.counter("texts", len(texts)) as counter:
        for start in range(0, len(texts), _EMBEDDED_AT_ONCE):
            some = texts[start : start + _EMBEDDED_AT_ONCE]
            for row in embedded(some, kind="query" if query else "passage", model=model, device=device):
                output.line("[" + ", ".join(f"{number:.7g}" for number in row.tolist()) + "]")
                counter.advance()
            output.flush()
    return OK


def similarity(
    context: typer.Context,
    first: Annotated[str | None, typer.Argument(metavar="[A", help="A text,", show_default=False)] = None,
    second: Annotated[str | None, typer.Argument(metavar="B]", help="and another one.", show_default=False)] = None,
    pairs: Annotated[
        pathlib.Path | None,
        typer.Option(metavar="FILE", help="Pairs, one a line, with a tab between.", show_default=False),
    ] = None,
    model: options.Model = None,
    device: options.Device = None,
    json: options.Json = False,
    quiet: options.Quiet = False,
) -> int:
    """Print how alike two texts are, as the cosine of their vectors.

    From -1 to 1; with most models unrelated texts have far more than 0, so compare cosines of one model only.
    """
    from kosearch.analysis.pairs import Pair, read_pairs

    output = options.output_of(context, quiet=quiet)
    if (pairs is None) == (first is None or second is None):
        raise UsageError("similarity takes two texts, or --pairs FILE", 'kosearch similarity "one text" "another one"')
    found = read_pairs(pairs) if pairs is not None else [Pair(first or "", second or "")]
    rows = list(zip(found, _cosines(found, output, model, device), strict=True))
    if json:
        values = [{"first": one.first, "second": one.second, "cosine": round(cosine, 6)} for one, cosine in rows]
        output.json({"schema": SIMILARITY, "pairs": values})
    elif pairs is None:
        output.line(f"{rows[0][1]:.4f}")
    else:
        for one, cosine in rows:
            output.line(render.one_line(f"{cosine:.4f}  {one.first} | {one.second}"))
    return OK


def graded(file: pathlib.Path, output: Output, *, model: str | None, device: str | None, json: bool) -> int:
    """`kosearch eval` for pairs with grades: how well a model's cosines agree with them."""
    from kosearch.analysis.pairs import correlations, read_pairs

    found = read_pairs(file)
    grades = [one.grade for one in found if one.grade is not None]
    if len(grades) < len(found):
        raise UsageError(f"{file}: a pair has no grade", "a line is text, tab, text, tab, grade")
    pearson, spearman = correlations(_cosines(found, output, model, device), grades)
    if json:
        value = {
            "collection": file.name,
            "pairs": len(found),
            "Pearson": round(pearson, 6),
            "Spearman": round(spearman, 6),
        }
        output.json({"schema": GRADED, **value})
    else:
        output.line(f"{render.one_line(file.name)}: {render.counted(len(found), 'pair')}")
        output.line(render.table([("Pearson", f"{pearson:.4f}"), ("Spearman", f"{spearman:.4f}")]))
    return OK


def _cosines(found: Sequence[Pair], output: Output, model: str | None, device: str | None) -> list[float]:
    from kosearch.library import similarity as cosines_of

    cosines: list[float] = []
    with output.counter("pairs", len(found)) as counter:
        for start in range(0, len(found), _EMBEDDED_AT_ONCE):
            some = found[start : start + _EMBEDDED_AT_ONCE]
            pairs = [one.first for one in some], [one.second for one in some]
            for cosine in cosines_of(*pairs, model=model, device=device).tolist():
                cosines.append(cosine)
                counter.advance()
    return cosines


def _written(file: pathlib.Path, data: bytes) -> None:
    from kosearch.system import replacing

    try:
        with replacing(file) as stream:
            stream.write(data)
    except OSError as error:
        raise _unwritable(file, error) from error


def _unwritable(file: pathlib.Path | None, error: OSError) -> UsageError:
    return UsageError(f"cannot write {file}: {error.strerror}", "name a file in a folder where you may write")


def _draw_group(group: DuplicateGroup, output: Output, library: Index | None) -> None:
    output.paragraph(f"{group.kind}: {render.counted(len(group.members), 'document')}", style="bold")
    first = group.members[0].document
    for member in group.members:
        name = _name(member.document, output.cwd)
        output.paragraph(
            f"{member.date:<10}  {_relation(member):<15} {name}", indent=2, style="" if member.of else "bold cyan"
        )
        if member.of and member.of.id != first.id:
            output.paragraph(f"of {_name(member.of, output.cwd)}", indent=30, style="dim")
        if library and member.of:
            output.changes(library.difference(member.of, member.document), indent=4)
    output.paragraph("")


def _relation(member: Duplicate) -> str:
    if member.kind is None:
        return "newest"
    if member.only_numbers:
        return "other numbers"
    if member.share is None or member.kind == "exact":
        return member.kind
    return f"{member.kind} {member.share:.0%}"


def _group(group: DuplicateGroup, cwd: str) -> dict[str, Any]:
    return {"kind": group.kind, "documents": [_member(one, cwd) for one in group.members]}


def _member(member: Duplicate, cwd: str) -> dict[str, Any]:
    return {
        **_document(member.document, cwd),
        "date": member.date or None,
        "kind": member.kind,
        "of": None if member.of is None else _name(member.of, cwd),
        "share": None if member.share is None else round(member.share, 4),
        "only_numbers": member.only_numbers,
    }


def _document(document: StoredDocument, cwd: str) -> dict[str, Any]:
    return {
        "path": shown_path(document.path, cwd),
        **render.file_name(document.path_bytes),
        "member": document.member or None,
        "type": document.kind,
        "title": document.title or None,
        "document_hash": document.text_hash,
    }


def _repeated(groups: list[tuple[StoredPassage, ...]], output: Output, *, json: bool, jsonl: bool) -> int:
    values = ({"passages": [_passage(one, output.cwd) for one in group]} for group in groups)
    if json:
        output.json({"schema": PASSAGES, "groups": list(values)})
    elif jsonl:
        for value in values:
            output.json({"schema": PASSAGES, **value})
    else:
        for group in groups:
            output.paragraph(f"{len(group)} passages", style="bold")
            for one in group:
                output.paragraph(f"{_name(one.document, output.cwd)}{_place(one)}", indent=2, style="cyan")
            text = " ".join(group[0].text.split())
            output.paragraph(render.one_line(text[:_EXCERPT] + " …" * (len(text) > _EXCERPT)), indent=4)
            output.paragraph("")
    if not groups:
        output.note("kosearch: no passage stands in several documents")
    return OK if groups else NO_HIT


def _passage(stored: StoredPassage, cwd: str) -> dict[str, Any]:
    place = stored.passage
    return {
        "id": f"{stored.document.text_hash}:{place.start}:{place.end}",
        **_document(stored.document, cwd),
        **render.place_as_json(place),
        "text": stored.text,
    }


def _place(stored: StoredPassage) -> str:
    place = stored.passage
    if place.page is not None:
        return f" p. {place.page_label or place.page}"
    return f":{place.line_start}-{place.line_end}"


def _name(document: StoredDocument, cwd: str) -> str:
    member = f" » {document.member}" if document.member else ""
    return render.one_line(shown_path(document.path, cwd) + member)


def _opened(index: str | None, device: str | None = None) -> Index:
    from kosearch.library import Index

    return Index(options.settings(index=index, device=device), questions=1)


def _globs(path: list[str] | None, output: Output) -> list[str]:
    return [filters.glob(options.glob(one), output.cwd) for one in path or ()]
