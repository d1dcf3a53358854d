"""What there is to learn from: questions with the documents that answer them, read from what a user has.

Whatever `kosearch eval` takes is taken: a folder in BEIR or TREC form whose documents are indexed, `questions.jsonl`,
the table of `kosearch questions`, and TREC topics with their judgements. Beside these, pairs of texts (`pairs.tsv`: a
question, a tab, a text that stands in an indexed document and answers it), and clicks: questions with the hits that
were opened for them, as `kosearch query --log` has them kept.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from kosearch.errors import UsageError
from kosearch.evaluation.collections import (
    Place,
    Question,
    check_length,
    fault,
    holds_table,
    locate,
    read_collection,
    read_questions,
    read_trec_questions,
    text_lines,
)
from kosearch.index import Snapshot

CLICK = "click"
"""The field of a question that says that it is a click, and which."""
_FORMS = "A file holds JSON lines, or question, tab, text, as UTF-8: `kosearch docs train`."
AnswersOf = Mapping[str, frozenset[int | None]]
"""Path → the pages of it that answer, None for any."""


@dataclass(frozen=True, slots=True)
class Example:
    """A question, and the documents of the index that answer it, by path."""

    text: str
    answers: AnswersOf


@dataclass(frozen=True, slots=True)
class Examples:
    """All that a file gives, each question once, and a line for each thing that a person should know of it."""

    examples: tuple[Example, ...]
    notes: tuple[str, ...]


def read_examples(source: Path, snapshot: Snapshot, qrels: Path | None = None) -> Examples:
    """The examples in a file or folder, for the documents of an index.

    Raises UsageError, with the line, for what cannot be read and for answers that the index does not have. Of clicks,
    those on documents that are gone are left out, and of all, those with a page where no passage begins.
    """
    if not source.exists():
        raise UsageError(f"{source}: there is no such file or folder", "check the path")
    return _answered(_read(source, snapshot, qrels), snapshot)


def _read(source: Path, snapshot: Snapshot, qrels: Path | None) -> Examples:
    paths = [document.path for document in snapshot.documents()]
    if source.is_dir():
        return _merged(_of_collection(source, frozenset(paths)))
    if qrels is not None:
        return _merged(_located(read_trec_questions(source, qrels), paths))
    first = next((text for _, text in text_lines(source)), "")
    if not (first.startswith("{") or holds_table(source)):
        return _merged(_of_pairs(source, snapshot))
    questions = read_questions(source)
    if f'"{CLICK}":' not in first:
        return _merged(_located(questions, paths))
    there = frozenset(paths)
    kept = [one for one in questions if all(place.path in there for place, _ in one.expected)]
    gone = len(questions) - len(kept)
    notes = (f"{gone} of {len(questions)} clicks are left out: their documents are not in the index",) if gone else ()
    return _merged(_located(kept, paths), notes)


def _answered(found: Examples, snapshot: Snapshot) -> Examples:
    """The same without answers on pages where no passage begins."""
    paged = {path for one in found.examples for path, pages in one.answers.items() if None not in pages}
    begun = {
        document.path: {passage.page for passage in snapshot.passages_of(document)}
        for document in snapshot.documents()
        if document.path in paged
    }
    answered = [
        Example(one.text, {path: pages for path, pages in one.answers.items() if pages & begun.get(path, pages)})
        for one in found.examples
    ]
    kept = tuple(one for one in answered if one.answers)
    gone = len(answered) - len(kept)
    if not gone:
        return Examples(kept, found.notes)
    note = f"{gone} of {len(answered)} questions are left out: no passage begins on the page they name"
    return Examples(kept, (*found.notes, note))


def _located(questions: Sequence[Question], paths: Iterable[str]) -> Iterator[Example]:
    for question in locate(questions, paths):
        yield _example(question.text, (place for place, grade in question.expected if grade > 0))


def _example(text: str, places: Iterable[Place]) -> Example:
    pages: dict[str, frozenset[int | None]] = {}
    for place in places:
        pages[place.path] = pages.get(place.path, frozenset()) | {place.page}
    return Example(text, pages)


def _of_collection(folder: Path, paths: frozenset[str]) -> Iterator[Example]:
    collection = read_collection(folder)
    for query in collection.queries:
        relevant = [document for document, grade in collection.qrels[query.id].items() if grade > 0]
        for document in relevant:
            if document not in paths:
                raise UsageError(
                    f"document {document} of {folder}, which answers question {query.id}, is not in the index",
                    f"kosearch eval {folder} --index NAME indexes a collection",
                )
        yield _example(query.text, map(Place, relevant))


def _of_pairs(file: Path, snapshot: Snapshot) -> Iterator[Example]:
    """Pairs of texts: what answers is any document that has the second text, white space aside."""
    texts = [(document.path, _plain(snapshot.document_text(document.id))) for document in snapshot.documents()]
    for line, row in text_lines(file):
        question, tab, rest = row.partition("\t")
        answer, _, grade = rest.partition("\t")
        if not (tab and question.strip() and answer.strip()):
            raise fault(file, line, "no question and text with a tab between them", _FORMS)
        check_length(question, file, line)
        if grade and _number(grade, file, line) <= 0:
            continue
        wanted = _plain(answer)
        found = [path for path, text in texts if wanted in text]
        if not found:
            raise fault(file, line, "no document of the index has this text", "kosearch index PATH makes it searchable")
        yield _example(question, map(Place, found))


def _number(written: str, file: Path, line: int) -> float:
    with suppress(ValueError):
        if not math.isnan(found := float(written)):
            return found
    raise fault(file, line, f"the grade {written!r} is not a number")


def _plain(text: str) -> str:
    return " ".join(text.split())


def _merged(examples: Iterable[Example], notes: tuple[str, ...] = ()) -> Examples:
    """Each question once, with all that answers it."""
    found: dict[str, Example] = {}
    every = list(examples)
    for one in every:
        key = _plain(one.text)
        pages = dict(found[key].answers) if key in found else {}
        for path, some in one.answers.items():
            pages[path] = pages.get(path, frozenset()) | some
        found[key] = Example(key, pages)
    twice = len(every) - len(found)
    if twice:
        notes = (*notes, f"{twice} of {len(every)} lines ask what another one asks: each question counts once")
    return Examples(tuple(found.values()), notes)
