"""Test collections: documents, questions, and which document answers which question.

Two layouts are read; what a file holds decides which, not its name.

BEIR (Thakur et al. 2021): a folder with `corpus.jsonl` (`_id` or `id`, `title`, `text`), `queries.jsonl`
(`_id` or `id`, `text`) and `qrels.tsv` or `qrels/test.tsv` (question, document, grade; perhaps a header).

TREC: topics (`<top>` blocks, or `id<TAB>text` lines) and qrels of four columns (question, iteration,
document, grade), beside the same `corpus.jsonl`.

A grade of 1 or more means relevant. Every fault is a `UsageError` with the file, the line and the reason.
"""

from __future__ import annotations

import json
import re
from collections.abc import Container, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from kosearch.errors import UsageError

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
