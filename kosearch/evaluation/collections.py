"""Test collections: documents, questions, and which document answers which question.

Two layouts are read; what a file holds decides which, not its name.

BEIR (Thakur et al. 2021): a folder with `corpus.jsonl` (`_id` or `id`, `title`, `text`), `queries.jsonl`
(`_id` or `id`, `text`) and `qrels.tsv` or `qrels/test.tsv` (question, document, grade; perhaps a header).

TREC: topics (`<top>` blocks, or `id<TAB>text` lines) and qrels of four columns (question, iteration,
document, grade), beside the same `corpus.jsonl`.

A user's own questions ask an index that stands already: which document, or which page of it, answers each.
`questions.jsonl` holds one object a line:

    {"question": "휴가는 며칠까지 이월하나요?", "expected": "규정/취업규칙.hwp"}
    {"question": "…", "expected": "report.pdf", "page": 12}
    {"question": "…", "expected": ["a.md", {"path": "b.pdf", "page": 3}], "id": "q7"}

`expected` is as much of the path as tells the file from the others: whole components from the end, compared
in NFC; a path that begins with `/` is compared whole. With several, each is an answer. Without `id` a
question is known by its line. TREC topics and qrels can ask the same of an index when their document ids
are such paths.

A grade of 1 or more means relevant. Every fault is a `UsageError` with the file, the line and the reason.

Runs: for each question the documents found, best first, each with its score.

A run file has TREC's six columns: question, `Q0`, document, rank, score, system. White space and `%` inside
an id are written as `%20` and the like, since other tools split at white space.
"""

from __future__ import annotations

import json
import re
import unicodedata
from collections.abc import Container, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path, PurePosixPath

from kosearch.errors import UsageError
from kosearch.filters import LONGEST_QUESTION

Qrels = Mapping[str, Mapping[str, int]]
"""Question id → document id → grade."""

CORPUS_FILE = "corpus.jsonl"
QUERY_FILES = ("queries.jsonl", "topics.txt", "topics.tsv", "topics.xml", "topics", "queries.tsv")
QRELS_FILES = ("qrels.tsv", "qrels/test.tsv", "qrels.txt", "qrels.trec", "qrels")

_BEIR_COLUMNS = 3
_TREC_COLUMNS = 4
_QRELS_HINT = (
    "A line is question, document, grade (BEIR), or question, iteration, document, grade (TREC); "
    "ids with spaces need tabs between the columns."
)
_TOPIC = re.compile(r"<top>(.*?)(</top>|(?=<top>)|\Z)", re.DOTALL | re.IGNORECASE)
_TOPIC_NUMBER = re.compile(r"<num>\s*(?:Number:)?\s*([^\s<]+)", re.IGNORECASE)
_TOPIC_TITLE = re.compile(r"<title>\s*(?:Topic:)?(.*?)(?=</?[a-z]+>|\Z)", re.DOTALL | re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class CollectionDocument:
    id: str
    title: str
    text: str


@dataclass(frozen=True, slots=True)
class Query:
    id: str
    text: str


@dataclass(frozen=True, slots=True)
class Collection:
    """`queries` are those that some document answers, in file order; the others cannot be measured."""

    name: str
    documents: tuple[CollectionDocument, ...]
    queries: tuple[Query, ...]
    qrels: Qrels


def read_collection(folder: Path) -> Collection:
    """The collection in a folder, in either layout."""
    if not folder.is_dir():
        raise UsageError(f"{folder} is not a folder.", f"A collection is a folder with {CORPUS_FILE}.")
    documents = read_corpus(folder / CORPUS_FILE)
    queries = read_queries(_first_file(folder, QUERY_FILES))
    qrels_file = _first_file(folder, QRELS_FILES)
    document_ids = {document.id for document in documents}
    qrels = read_qrels(qrels_file, questions={query.id for query in queries}, documents=document_ids)
    asked = tuple(query for query in queries if any(grade > 0 for grade in qrels.get(query.id, {}).values()))
    if not asked:
        raise UsageError(f"{qrels_file} calls no document relevant to any question.")
    return Collection(folder.resolve().name, documents, asked, qrels)


def read_corpus(path: Path) -> tuple[CollectionDocument, ...]:
    """The documents of a BEIR `corpus.jsonl`; a missing title is empty."""
    documents: dict[str, CollectionDocument] = {}
    lines: dict[tuple[str, ...], int] = {}
    for line, record in json_records(path):
        identity = _identity(record, path, line)
        _once(lines, path, line, identity)
        title = "" if record.get("title") is None else text_field(record, "title", path, line)
        documents[identity] = CollectionDocument(identity, title, text_field(record, "text", path, line))
    if not documents:
        raise UsageError(f"{path} holds no document.")
    return tuple(documents.values())


def read_queries(path: Path) -> tuple[Query, ...]:
    """Questions: BEIR's JSON lines, TREC's `<top>` blocks (their titles), or lines of id, tab, text."""
    start = next((text for _, text in text_lines(path)), "")
    if start.startswith("{"):
        found = [
            (line, _identity(record, path, line), text_field(record, "text", path, line))
            for line, record in json_records(path)
        ]
    elif start.startswith("<"):
        found = list(_topics(path))
    else:
        found = [(line, *_id_and_text(text, path, line)) for line, text in text_lines(path)]
    lines: dict[tuple[str, ...], int] = {}
    for line, identity, text in found:
        _once(lines, path, line, identity)
        if not text.strip():
            raise fault(path, line, f"question {identity!r} is empty")
        check_length(text, path, line)
    if not found:
        raise UsageError(f"{path} holds no question.")
    return tuple(Query(identity, text) for _, identity, text in found)


def read_qrels(path: Path, *, questions: Container[str], documents: Container[str] | None) -> Qrels:
    """Judgements in three columns (BEIR) or four (TREC), by tabs where a line has one, else by white space.

    `documents` None leaves document ids unchecked, for judgements that name files of an index.
    """
    qrels: dict[str, dict[str, int]] = {}
    lines: dict[tuple[str, ...], int] = {}
    for number, (line, text) in enumerate(text_lines(path)):
        columns = [column.strip() for column in (text.split("\t") if "\t" in text else text.split())]
        if len(columns) == _TREC_COLUMNS:
            del columns[1]
        if len(columns) != _BEIR_COLUMNS or "" in columns:
            why = "an empty column" if "" in columns else f"{len(columns)} columns where 3 or 4 belong"
            raise fault(path, line, why, _QRELS_HINT)
        question, document, written = columns
        grade = _integer(written)
        if grade is None:
            if number == 0 and question not in questions:
                continue  # the header
            raise fault(path, line, f"the grade {written!r} is not a whole number")
        if question not in questions:
            raise fault(path, line, f"no question has the id {question!r}")
        if documents is not None and document not in documents:
            raise fault(path, line, f"no document has the id {document!r}")
        _once(lines, path, line, question, document)
        qrels.setdefault(question, {})[document] = grade
    if not qrels:
        raise UsageError(f"{path} holds no judgement.")
    return qrels


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
    """The questions of a `questions.jsonl` or of a `kosearch questions` table, their expected paths as written."""
    if holds_table(path):
        return _read_table(path)
    questions: dict[str, Question] = {}
    for line, record in json_records(path):
        text = text_field(record, "question", path, line)
        if not text.strip():
            raise fault(path, line, "the question is empty")
        check_length(text, path, line)
        identity = text_field(record, "id", path, line) if "id" in record else str(line)
        if identity in questions:
            raise fault(path, line, f"the id {identity!r} stands on line {questions[identity].line} already")
        expected = tuple((place, 1) for place in _expected(record, path, line))
        questions[identity] = Question(identity, text, expected, path, line)
    if not questions:
        raise UsageError(f"{path} holds no question.")
    return tuple(questions.values())


TABLE = ("question", "path", "page", "passage")
"""The columns of the table that `kosearch questions` writes, with tabs between them; its first line names them."""
_QUOTED_CELL = re.compile(r'"((?:[^"]|"")*)"')


def table_row(cells: Iterable[str]) -> str:
    """A line of such a table: cells with quotes in them stand in quotes, as spreadsheets read and write them."""
    return "\t".join('"' + one.replace('"', '""') + '"' if '"' in one else one for one in cells)


def _cells(line: str) -> list[str]:
    """The cells of a line, whether or not it went through a spreadsheet."""
    return [
        quoted[1].replace('""', '"') if (quoted := _QUOTED_CELL.fullmatch(cell)) else cell for cell in line.split("\t")
    ]


def holds_table(path: Path) -> bool:
    """Whether a file is such a table, by its first line; what a person added stands right of its columns."""
    return tuple(_cells(next((text for _, text in text_lines(path)), "")))[: len(TABLE)] == TABLE


def _read_table(path: Path) -> tuple[Question, ...]:
    """Lines whose question was taken out ask nothing."""
    questions: list[Question] = []
    for line, text in islice(text_lines(path), 1, None):
        columns = _cells(text)
        if len(columns) < len(TABLE):
            raise fault(path, line, f"{len(columns)} columns where {len(TABLE)} belong", "Keep the tabs as they were.")
        question, written, page = columns[:3]
        if question.strip():
            check_length(question, path, line)
            record = {"path": written, "page": _integer(page) if page else None}
            if page and record["page"] is None:
                raise fault(path, line, f"the page {page!r} is not a whole number")
            questions.append(Question(str(line), question.strip(), ((_place(record, path, line), 1),), path, line))
    if not questions:
        raise UsageError(f"{path} holds no question.")
    return tuple(questions)


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


def check_length(question: str, path: Path, line: int) -> None:
    """See that a search would take the question. Raises UsageError."""
    if len(question) > LONGEST_QUESTION:
        raise fault(path, line, f"the question has {len(question):,} characters; it may have {LONGEST_QUESTION:,}")


def fault(path: Path, line: int, why: str, hint: str = "") -> UsageError:
    """What is wrong with one line of a file."""
    return UsageError(f"{path}, line {line}: {why}.", hint)


def text_lines(path: Path) -> Iterator[tuple[int, str]]:
    """The lines that hold something, stripped of white space at their ends, numbered from 1."""
    # Lines are split as bytes: str.splitlines would also break at U+2028, which JSON allows inside a text.
    try:
        with path.open("rb") as file:
            for line, raw in enumerate(file, 1):
                try:
                    text = raw.decode("utf-8-sig" if line == 1 else "utf-8")
                except UnicodeDecodeError as error:
                    raise fault(path, line, "not UTF-8", "Save the file as UTF-8.") from error
                if stripped := text.strip(" \r\n"):
                    yield line, stripped
    except OSError as error:
        raise UsageError(f"{path} cannot be read: {error.strerror}.") from error


def json_records(path: Path) -> Iterator[tuple[int, Mapping[str, object]]]:
    """The JSON objects of a file that holds one a line."""
    for line, text in text_lines(path):
        try:
            record = json.loads(text)
        except (ValueError, RecursionError) as error:
            raise fault(path, line, f"not JSON ({error})", "The file holds one JSON object a line.") from error
        if not isinstance(record, dict):
            raise fault(path, line, "not a JSON object")
        yield line, record


def text_field(record: Mapping[str, object], name: str, path: Path, line: int) -> str:
    """A field that must be there and be text."""
    value = record.get(name)
    if value is None:
        raise fault(path, line, f'no "{name}"')
    if not isinstance(value, str):
        raise fault(path, line, f'"{name}" is not text')
    try:
        value.encode()
    except UnicodeEncodeError as error:
        raise fault(path, line, f'"{name}" holds half of a surrogate pair') from error
    return value


def _identity(record: Mapping[str, object], path: Path, line: int) -> str:
    key = "_id" if "_id" in record else "id"
    value = record.get(key)
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    identity = text_field(record, key, path, line)
    if not identity:
        raise fault(path, line, f'"{key}" is empty')
    return identity


def _once(lines: dict[tuple[str, ...], int], path: Path, line: int, *key: str) -> None:
    if (earlier := lines.setdefault(key, line)) != line:
        raise fault(path, line, f"{' with '.join(map(repr, key))} stands on line {earlier} already")


def _topics(path: Path) -> Iterator[tuple[int, str, str]]:
    lines: list[str] = []
    for line, text in text_lines(path):
        lines.extend([""] * (line - 1 - len(lines)))
        lines.append(text)
    whole = "\n".join(lines)
    for topic in _TOPIC.finditer(whole):
        line = whole.count("\n", 0, topic.start()) + 1
        body, end = topic.groups()
        number, title = _TOPIC_NUMBER.search(body), _TOPIC_TITLE.search(body)
        if not end or number is None or title is None:
            missing = "</top>" if not end else "<num>" if number is None else "<title>"
            raise fault(path, line, f"a <top> without {missing}")
        yield line, number[1], " ".join(title[1].split())


def _id_and_text(text: str, path: Path, line: int) -> tuple[str, str]:
    identity, tab, question = text.partition("\t")
    if not tab:
        raise fault(path, line, "no tab between the question's id and its text")
    return identity.strip(), question.strip()


def _integer(written: str) -> int | None:
    try:
        return int(written)
    except ValueError:
        return None


def _first_file(folder: Path, names: tuple[str, ...]) -> Path:
    for name in names:
        if (folder / name).is_file():
            return folder / name
    raise UsageError(f"{folder} has none of {', '.join(names)}.")


Run = Mapping[str, Sequence[tuple[str, float]]]
"""Question id → (document id, score), best first."""


def run_lines(run: Run, system: str) -> Iterable[str]:
    """The lines of a TREC run file, without line ends."""
    for question, found in run.items():
        for rank, (document, score) in enumerate(found, 1):
            yield f"{_escape(question)} Q0 {_escape(document)} {rank} {float(score)!r} {_escape(system)}"


def write_run(path: Path, run: Run, system: str) -> None:
    """Write a TREC run file; scores keep every digit."""
    try:
        with path.open("w", encoding="utf-8", newline="\n") as file:
            file.writelines(line + "\n" for line in run_lines(run, system))
    except OSError as error:
        raise UsageError(f"{path} cannot be written: {error.strerror}.") from error


def _escape(identity: str) -> str:
    return re.sub(r"[\s%]", lambda found: f"%{ord(found[0]):02X}", identity, flags=re.ASCII)
