"""Random input at every door: names, ignore files, text, documents, questions, evaluation files, messages.

The number of examples is hypothesis's own by default; `KOSEARCH_FUZZ=5000` sets another, and then seeds differ from run
to run. Damaged documents go through a worker, as in indexing; `KOSEARCH_DAMAGED` sets their number, and
`KOSEARCH_DAMAGED_SEED` which ones.
"""

from __future__ import annotations

import json
import os
import re
import tempfile
import unicodedata
from contextlib import suppress
from pathlib import Path

import pytest
from conftest import Tally
from crash.mutations import attempt, broken_promise, damaged
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from kosearch.cli import render
from kosearch.errors import UsageError
from kosearch.evaluation.collections import (
    locate,
    read_collection,
    read_corpus,
    read_qrels,
    read_queries,
    read_questions,
)
from kosearch.extract import ExtractError, extract
from kosearch.extract.text import decode, normalise
from kosearch.filters import Globs
from kosearch.passages import chunk
from kosearch.records import Extracted, Heading, PageStart, Skipped, SourceFile
from kosearch.resident import protocol
from kosearch.searching import shared_spans, snippet
from kosearch.sources import Unseen, WalkRules, find
from kosearch.terms import Analyzer, matches
from kosearch.workers import Failure, Pool

EXAMPLES = int(os.environ.get("KOSEARCH_FUZZ", "60"))
DAMAGED = int(os.environ.get("KOSEARCH_DAMAGED", "100"))
SEED = int(os.environ.get("KOSEARCH_DAMAGED_SEED", "1"))
fuzz = settings(
    max_examples=EXAMPLES,
    derandomize="KOSEARCH_FUZZ" not in os.environ,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow, HealthCheck.data_too_large],
)
ODD = st.sampled_from(
    [
        "\x1b[31m",
        "\u202e",
        "\u2028",
        "\x00",
        "\r\n",
        "\x85",
        "\u200b",
        "\ufeff",
        "�",
        "é",
        "한",
        "한글",
        "제8조",
        "3.5%",
        "...",
        '"',
        "+",
        "-",
        "\\",
        "[",
        "]",
        "*",
        "**",
        "?",
        "{",
        "!",
        "#",
        " ",
        "\n",
        "🎉",
        "ㅋ",
    ]
)
TEXT = st.lists(ODD | st.text(max_size=8), max_size=30).map("".join)
CLEAN = TEXT.map(normalise)
BYTES = st.binary(max_size=300) | TEXT.map(lambda text: text.encode("utf-8", "surrogatepass"))
NAME = st.binary(min_size=1, max_size=40).map(lambda raw: raw.replace(b"/", b"_").replace(b"\0", b"_"))
ODD_NAME = st.sampled_from(
    [b"\n", b"\x1b[2J", b"\xff\xfe", "\u202ecod.exe".encode(), "한글".encode(), b"-rf", b" ", b"~", b"%00", b"*", b"\\"]
)


@pytest.fixture(scope="module")
def analyzer() -> Analyzer:
    return Analyzer()


def tokens(text: str) -> list[tuple[int, int]]:
    """A tokenizer in small: pieces of words, and every mark."""
    return [match.span() for match in re.finditer(r"\w{1,3}|[^\w\s]", text)]


@given(names=st.lists(NAME | ODD_NAME, max_size=8, unique=True), rules=BYTES, own=BYTES)
@fuzz
def test_walking(names: list[bytes], rules: bytes, own: bytes, tally: Tally) -> None:
    """Whatever files and folders are called, and whatever ignore files hold, each is found once or left out."""
    tally.tried("fuzz")
    with tempfile.TemporaryDirectory() as folder:
        root = os.fsencode(folder)
        for number, name in enumerate(names):
            with suppress(OSError):  # ".", and what is a folder already
                if number % 3 == 2:
                    os.mkdir(os.path.join(root, name))
                    Path(os.fsdecode(os.path.join(root, name, b"inner.txt"))).write_text("x")
                else:
                    Path(os.fsdecode(os.path.join(root, name))).write_text("x")
        for name, content in ((".gitignore", rules), (".kosearchignore", own)):
            with suppress(IsADirectoryError):  # one of the names above
                Path(folder, name).write_bytes(content)
        found = list(find({root: WalkRules()}))
        assert all(isinstance(one, SourceFile | Skipped | Unseen) for one in found)
        raws = [one.path_bytes for one in found if isinstance(one, SourceFile)]
        assert len(raws) == len(set(raws))
        assert all(os.path.isfile(raw) for raw in raws)
        for one in found:
            path = one.path if isinstance(one, SourceFile | Skipped) else one.problem.path
            assert unicodedata.is_normalized("NFC", path)
            path.encode()


@given(globs=st.lists(TEXT, max_size=4), path=TEXT)
@fuzz
def test_globs(globs: list[str], path: str, tally: Tally) -> None:
    tally.tried("fuzz")
    assert Globs(globs, 0).verdict(path, path.rpartition("/")[2], False) in (True, False, None)


@given(
    data=BYTES,
    declared=st.sampled_from(["", "utf-8", "euc-kr", "nonsense", "base64", "idna", "zlib", "utf-16", "rot13", "\0"]),
)
@fuzz
def test_decoding(data: bytes, declared: str, tally: Tally) -> None:
    tally.tried("fuzz")
    with suppress(ExtractError):
        text = normalise(decode(data, declared=declared).text)
        assert unicodedata.is_normalized("NFC", text)
        assert re.search("[\0-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff]", text) is None


SUFFIXES = (
    "txt",
    "md",
    "rst",
    "html",
    "eml",
    "mbox",
    "mht",
    "json",
    "ipynb",
    "csv",
    "py",
    "c",
    "sql",
    "sh",
    "rtf",
    "hml",
)
HEADS = (
    "",
    "---\n",
    "+++\n",
    "<html>",
    "<?xml version='1.0'?><HWPML>",
    "{\\rtf1 ",
    "From: a\nMIME-Version: 1.0\n",
    "{",
    "From a\n",
)


@given(suffix=st.sampled_from(SUFFIXES), head=st.sampled_from(HEADS), data=BYTES)
@fuzz
def test_text_formats(suffix: str, head: str, data: bytes, tally: Tally) -> None:
    tally.tried("fuzz")
    with suppress(ExtractError):
        for document in extract(head.encode() + data, path=f"a.{suffix}", archives=True).documents:
            assert broken_promise(document) == ""


def test_damaged_documents(tally: Tally) -> None:
    """Nothing but a result or ExtractError, within a worker's limits."""
    with Pool(attempt, 1, deadline=30) as pool:
        for copy, found in pool.map(damaged(DAMAGED, SEED)):
            tally.tried("documents")
            assert not isinstance(found, Failure), (copy.number, copy.name, found)
            assert found == "", (copy.number, copy.name)


@given(
    text=CLEAN,
    headings=st.lists(st.tuples(st.floats(0, 0.99), st.integers(1, 9), CLEAN), max_size=5),
    pages=st.lists(st.floats(0, 0.99), max_size=5),
    size=st.integers(16, 60),
    overlap=st.integers(0, 15),
)
@fuzz
def test_passages(
    text: str,
    headings: list[tuple[float, int, str]],
    pages: list[float],
    size: int,
    overlap: int,
    tally: Tally,
) -> None:
    """Every character that is not white space lies in a passage, and passages follow each other."""
    tally.tried("fuzz")
    document = Extracted(
        text,
        "text",
        headings=tuple(
            sorted((Heading(int(at * len(text)), level, title) for at, level, title in headings), key=_start)
        ),
        pages=tuple(sorted((PageStart(int(at * len(text)), n + 1) for n, at in enumerate(pages)), key=_start)),
    )
    passages = chunk(document, tokens, size=size, overlap=overlap)
    covered = bytearray(len(text))
    for one in passages:
        assert 0 <= one.start < one.end <= len(text)
        covered[one.start : one.end] = b"\1" * (one.end - one.start)
    assert all(covered[place] or character.isspace() for place, character in enumerate(text))
    assert [one.start for one in passages] == sorted(one.start for one in passages)


def _start(one: Heading | PageStart) -> int:
    return one.start


@given(text=CLEAN, question=TEXT)
@fuzz
def test_terms_and_questions(text: str, question: str, analyzer: Analyzer, tally: Tally) -> None:
    tally.tried("fuzz")
    terms = analyzer.passage_terms(text, ("제목", text))
    for operators in (True, False):
        parsed = analyzer.question(question, operators=operators)
        assert matches(parsed, terms) in (True, False)


@given(text=CLEAN, question=TEXT, size=st.integers(1, 300))
@fuzz
def test_excerpts(text: str, question: str, size: int, tally: Tally) -> None:
    tally.tried("fuzz")
    start, end = snippet(text, question, size)
    assert 0 <= start <= end <= len(text)
    assert all(0 <= one < other <= len(text) for one, other in shared_spans(text, question))


@given(text=TEXT)
@example(text="\udcff\ud800 \x9b2J \u202e \u2028 \x85 \x7f \x1b]0;x\x07")
@fuzz
def test_what_is_printed(text: str, tally: Tally) -> None:
    tally.tried("fuzz")
    plain = re.compile("[\0-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069\ud800-\udfff]")
    assert plain.search(render.block(text)) is None
    assert plain.search(render.one_line(text)) is None
    assert "\n" not in render.one_line(text)
    written = render.json_line(json.dumps({"a": text}, ensure_ascii=False))
    assert plain.search(written) is None
    assert len(written.splitlines()) == 1
    assert json.loads(written) == {"a": re.sub("[\ud800-\udfff]", "\ufffd", text)}


VALUE = st.recursive(
    st.none() | st.booleans() | st.floats() | st.integers() | TEXT,
    lambda inner: st.lists(inner) | st.dictionaries(TEXT, inner),
    max_leaves=5,
)
RECORD = st.dictionaries(
    st.sampled_from(["_id", "id", "text", "title", "question", "expected", "page", "path"]), VALUE, max_size=5
)
JSONL = st.lists(RECORD.map(json.dumps) | TEXT, max_size=5).map(
    lambda lines: "\n".join(lines).encode("utf-8", "replace")
)
COLUMNS = st.lists(st.lists(TEXT | st.sampled_from(["q1", "d1", "0", "1", "-1", "9" * 30]), max_size=6), max_size=5)
TABLE = COLUMNS.map(lambda rows: "\n".join("\t".join(row) for row in rows).encode("utf-8", "replace"))


@given(data=JSONL | TABLE | BYTES, rest=JSONL | TABLE)
@fuzz
def test_evaluation_files(data: bytes, rest: bytes, tally: Tally) -> None:
    """A file that makes no sense is a UsageError that names it, and nothing else."""
    tally.tried("fuzz")
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, "file")
        file.write_bytes(data)
        for name in ("corpus.jsonl", "queries.jsonl", "qrels.tsv"):
            Path(folder, name).write_bytes(rest if name != "corpus.jsonl" else data)
        with suppress(UsageError):
            read_corpus(file)
        with suppress(UsageError):
            read_queries(file)
        with suppress(UsageError):
            read_qrels(file, questions={"q1"}, documents={"d1"})
        with suppress(UsageError):
            locate(read_questions(file), ["/a/d1", "/b/q1"])
        with suppress(UsageError):
            read_collection(Path(folder))


@given(body=BYTES)
@fuzz
def test_messages(body: bytes, tally: Tally) -> None:
    tally.tried("fuzz")
    with suppress(ValueError):
        protocol.length(body[:4].ljust(4, b"\0"), protocol.MAX_REQUEST)
        protocol.message(body)
