"""What a user's or a stranger's text files say: settings, ignore files, test collections, questions, runs."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

from fuzz.frame import Family, Input
from kosearch.config import load
from kosearch.errors import UsageError
from kosearch.evaluation.collections import (
    locate,
    read_collection,
    read_corpus,
    read_qrels,
    read_queries,
    read_questions,
)
from kosearch.filters import Globs, TooManyGlobs
from kosearch.records import Skipped, SourceFile
from kosearch.sources import Unseen, WalkRules, find

CONFIG = b"""index = "notes"
k = 5
weight = .25
max_file_size = "1.5G"
passage_tokens = "auto"
device = "cuda:0,cuda:1"
resident = "off"
"""
IGNORE = "*.log\n!keep.log\n/build/\n**/a/**/*.txt\n[a-z!]?\\*\nname\\ \n# a comment\n한글*/\n".encode()
CORPUS = b'{"_id": "d1", "title": "t", "text": "one"}\n{"id": 2, "text": "two", "metadata": {}}\n'
QUERIES = b'{"_id": "q1", "text": "a question"}\n'
TOPICS = b"<top><num> Number: 301<title> a title\n<desc> more</top>\n"
QRELS = b"query-id\tcorpus-id\tscore\nq1\td1\t1\nq1 0 d2 -1\n"
QUESTIONS = b'{"question": "what?", "expected": "d1", "page": 3}\n{"question": "x", "expected": ["a", "b"]}\n'


def attempt(one: Input) -> str:
    """A file that makes no sense is a UsageError of one line that names it; an ignore file is no error at all."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, one.name)
        file.write_bytes(one.data)
        try:
            READERS[one.name](file)
        except UsageError as error:
            if "\n" in error.message.strip() or not error.message:
                return f"an error that is no line: {error.message!r}"
            if one.name not in error.message and folder not in error.message:
                return f"an error that names no file: {error.message!r}"
    return ""


def _config(file: Path) -> None:
    load({}, {"KOSEARCH_CONFIG": str(file), "HOME": str(file.parent)})


def _ignore(file: Path) -> None:
    root = file.parent
    for name in ("a.log", "keep.log", "build/x.txt", "a/b/c.txt", "한글/x", "[x]"):
        path = root / name
        path.parent.mkdir(exist_ok=True, parents=True)
        path.touch()
    found = list(find({os.fsencode(root): WalkRules()}))
    assert all(isinstance(one, SourceFile | Skipped | Unseen) for one in found)
    with suppress(TooManyGlobs):
        Globs(file.read_bytes().decode("utf-8", "replace").split("\n"), 0).verdict("a/b/c.txt", "c.txt", False)


def _collection(file: Path) -> None:
    for name, content in (("corpus.jsonl", CORPUS), ("queries.jsonl", QUERIES), ("qrels.tsv", QRELS)):
        if not (file.parent / name).exists():
            (file.parent / name).write_bytes(content)
    read_collection(file.parent)


def _corpus(file: Path) -> None:
    read_corpus(file)


def _topics(file: Path) -> None:
    read_queries(file)


def _qrels(file: Path) -> None:
    with suppress(UsageError):
        _collection(file)
    read_qrels(file, questions={"q1"}, documents={"d1"})


def _questions(file: Path) -> None:
    locate(read_questions(file), ["/a/d1", "/b/q1"])


READERS: dict[str, Callable[[Path], None]] = {
    "config.toml": _config,
    ".gitignore": _ignore,
    ".kosearchignore": _ignore,
    "corpus.jsonl": _corpus,
    "queries.jsonl": _collection,
    "topics.xml": _topics,
    "qrels.tsv": _qrels,
    "questions.jsonl": _questions,
}


def _seeds() -> Iterator[Input]:
    contents = (CONFIG, IGNORE, IGNORE, CORPUS, QUERIES, TOPICS, QRELS, QUESTIONS)
    for name, content in zip(READERS, contents, strict=True):
        yield Input(name, content)


FAMILY = Family(
    _seeds,
    attempt,
    words=(
        *(
            b'"',
            b"\\",
            b"[" * 50,
            b"{" * 50,
            b"\n",
            b"\t",
            b"\x00",
            b"\xff",
            b"9" * 400,
            b"1e999",
            b"NaN",
            b"-1",
            b"null",
        ),
        *(b"**/", b"*", b"[[:alpha:]]", b"!", b"\\ud800", b"<top>", b"<num>", b'"_id": ', b"[[table]]\n", b"a.b=1\n"),
    ),
)
