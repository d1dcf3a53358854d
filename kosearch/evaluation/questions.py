"""A user's own questions about an existing index: which document, or which page of it, answers each.

`questions.jsonl` holds one object a line:

    {"question": "휴가는 며칠까지 이월하나요?", "expected": "규정/취업규칙.hwp"}
    {"question": "…", "expected": "report.pdf", "page": 12}
    {"question": "…", "expected": ["a.md", {"path": "b.pdf", "page": 3}], "id": "q7"}

`expected` is as much of the path as tells the file from the others: whole components from the end, compared
in NFC; a path that begins with `/` is compared whole. With several, each is an answer. Without `id` a
question is known by its line. TREC topics and qrels can ask the same of an index when their document ids
are such paths.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath

from kosearch.errors import UsageError
from kosearch.evaluation.collections import Qrels, fault, json_records, read_qrels, read_queries, text_field


@dataclass(frozen=True, slots=True)
class Place:
    """Where an answer stands: a document, or one page of it."""

    path: str
    page: int | None = None

    @property
    def id(self) -> str:
        """One string for runs and judgements, with the page as PDF links write it (RFC 8118)."""
        return self.path if self.page is None else f"{self.path}#page={self.page}"


@dataclass(frozen=True, slots=True)
class Question:
    id: str
    text: str
    expected: tuple[tuple[Place, int], ...]
    """Each place with its grade: 1 unless TREC judgements gave another."""
    source: Path
    line: int
    """0 where the question was put together from two TREC files."""


def read_questions(path: Path) -> tuple[Question, ...]:
    """The questions of a `questions.jsonl`, their expected paths as written."""
    questions: dict[str, Question] = {}
    for line, record in json_records(path):
        text = text_field(record, "question", path, line)
        if not text.strip():
            raise fault(path, line, "the question is empty")
        identity = text_field(record, "id", path, line) if "id" in record else str(line)
        if identity in questions:
            raise fault(path, line, f"the id {identity!r} stands on line {questions[identity].line} already")
        expected = tuple((place, 1) for place in _expected(record, path, line))
        questions[identity] = Question(identity, text, expected, path, line)
    if not questions:
        raise UsageError(f"{path} holds no question.")
    return tuple(questions.values())


def read_trec_questions(topics: Path, qrels: Path) -> tuple[Question, ...]:
    """TREC topics over an index whose files the judgements name by path; unanswered topics are left out."""
    queries = read_queries(topics)
    judged = read_qrels(qrels, questions={query.id for query in queries}, documents=None)
    expected = {
        question: tuple((Place(_normal(path)), grade) for path, grade in grades.items() if grade > 0)
        for question, grades in judged.items()
    }
    questions = tuple(
        Question(query.id, query.text, answers, qrels, 0) for query in queries if (answers := expected.get(query.id))
    )
    if not questions:
        raise UsageError(f"{qrels} calls no document relevant to any topic.")
    return questions


def locate(questions: Sequence[Question], paths: Iterable[str]) -> tuple[Question, ...]:
    """The same questions with every expected path made that of a document in the index.

    A path that fits no document, or more than one, is a `UsageError`: a mistyped expectation would
    otherwise count against the search.
    """
    by_name: dict[tuple[str, ...], list[tuple[tuple[str, ...], str]]] = {}
    for path in paths:
        parts = _parts(path)
        by_name.setdefault(parts[-1:], []).append((parts, path))

    def located(question: Question, place: Place) -> Place:
        wanted = _parts(place.path)
        fits = [path for parts, path in by_name.get(wanted[-1:], ()) if parts[-len(wanted) :] == wanted]
        if not fits:
            hint = "`kosearch status` says what is indexed."
            raise _about(question, f"no document of the index fits {place.path!r}", hint)
        if len(fits) > 1:
            why = f"{place.path!r} fits {len(fits)} documents ({fits[0]}, {fits[1]}, …)"
            raise _about(question, why, "Write more of the path.")
        return replace(place, path=fits[0])

    def answered(question: Question) -> Question:
        expected = tuple((located(question, place), grade) for place, grade in question.expected)
        places = {place for place, _ in expected}
        whole = {place.path for place in places if place.page is None}
        if len(places) < len(expected) or any(place.page and place.path in whole for place in places):
            raise _about(question, "one document is expected twice")
        return replace(question, expected=expected)

    return tuple(answered(question) for question in questions)


def judgements(questions: Iterable[Question]) -> Qrels:
    """Located questions as judgements over `Place.id`."""
    return {question.id: {place.id: grade for place, grade in question.expected} for question in questions}


def ranked_places(question: Question, hits: Iterable[tuple[str, int | None, float]]) -> tuple[tuple[str, float], ...]:
    """Hits (path, page, score; best first) as a ranked list of places, each at its best hit.

    Pages are told apart only where the question expects a page, so that two passages of one page, or of one
    document where a document was asked for, count once.
    """
    whole = {place.path for place, _ in question.expected if place.page is None}
    paged = any(place.page is not None for place, _ in question.expected)
    best: dict[str, float] = {}
    for path, page, score in hits:
        best.setdefault(Place(path, page if paged and path not in whole else None).id, score)
    return tuple(best.items())


def _about(question: Question, why: str, hint: str = "") -> UsageError:
    if question.line:
        return fault(question.source, question.line, why, hint)
    return UsageError(f"{question.source}, topic {question.id}: {why}.", hint)


def _expected(record: Mapping[str, object], path: Path, line: int) -> tuple[Place, ...]:
    given = record.get("expected")
    entries = given if isinstance(given, list) else [given]
    if "page" in record:
        if len(entries) != 1 or not isinstance(entries[0], str):
            raise fault(path, line, '"page" beside several expected paths', 'Write {"path": …, "page": …} for each.')
        entries = [{"path": entries[0], "page": record["page"]}]
    places = tuple(_place(entry, path, line) for entry in entries)
    if not places:
        raise fault(path, line, '"expected" is empty')
    return places


def _place(entry: object, path: Path, line: int) -> Place:
    fields: Mapping[str, object] = entry if isinstance(entry, dict) else {"path": entry}
    if fields.get("path") is None:
        raise fault(path, line, 'no "expected" path')
    written, page = text_field(fields, "path", path, line), fields.get("page")
    if not _parts(written):
        raise fault(path, line, '"expected" names no file')
    if page is not None and (isinstance(page, bool) or not isinstance(page, int) or page < 1):
        raise fault(path, line, f'"page" is {page!r}, not a whole number from 1')
    return Place(_normal(written), page)


def _normal(path: str) -> str:
    return unicodedata.normalize("NFC", path)


def _parts(path: str) -> tuple[str, ...]:
    return PurePosixPath(_normal(path)).parts
