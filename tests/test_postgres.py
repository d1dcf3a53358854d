"""An index that a PostgreSQL server keeps: the answers of one in a folder, and what servers and people do to it.

What it promises as a store is held by `tests/contract/test_store.py`.
"""

from __future__ import annotations

import itertools
import json
import os
import random
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import asdict, replace
from pathlib import Path

import numpy as np
import pytest
from conftest import CORPUS, until
from hypothesis import given, settings
from hypothesis import strategies as st
from index_making import IDENTITY, QUERY, WORDS, answers, document, make, put, source, without_processes
from numpy.typing import NDArray
from postgres_making import TestServer, running

import kosearch
from kosearch.cli import main
from kosearch.config import Database, database
from kosearch.errors import (
    IndexDamaged,
    IndexMismatch,
    IndexMissing,
    IndexStateError,
    KosearchError,
    ResourcesError,
    UsageError,
)
from kosearch.index import Identity, kind_of
from kosearch.index.postgres import PostgresStore, postings, rows, segments
from kosearch.index.postgres import server as connections
from kosearch.index.postgres import snapshot as snapshots
from kosearch.index.postgres.server import Session
from kosearch.library import Index
from kosearch.records import Answer

NUMBERS = itertools.count()
DOCS = Path(kosearch.__file__).parent / "docs"
PASSWORD = "sësame-0pen"
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=9),
    lambda inner: (
        st.lists(inner, max_size=9)
        | st.dictionaries(st.sampled_from(["dimensions", "fields", "words", "ended", "seconds", "x"]), inner)
    ),
    max_leaves=12,
)
"""What a row may have where JSON is expected."""


@pytest.fixture
def url(postgres: TestServer) -> str:
    """The name of an index that is not there yet."""
    return postgres.url(f"test_{next(NUMBERS)}")


@pytest.fixture
def place(url: str) -> Database:
    return database(url)


def store_of(place: Database, names: Iterable[str] = "") -> PostgresStore:
    store = PostgresStore.create(place, IDENTITY, b"s" * 32)
    with store.writer() as writer, writer.transaction():
        for name in names:
            put(writer, name)
    return store


def said(argv: Sequence[str], capsys: pytest.CaptureFixture[str]) -> tuple[int, str, str]:
    capsys.readouterr()
    code = main(list(argv))
    return code, *capsys.readouterr()


# The same answers.


@pytest.mark.parametrize(
    "history", [[("abcdef", 0)], [("abc", 0), ("abd", 1), ("ef", 0), ("c", 0), ("ab", 0), ("d", 0)]]
)
def test_it_answers_as_a_folder_does(place: Database, tmp_path: Path, history: list[tuple[str, int]]) -> None:
    store = store_of(place)
    with store.writer() as writer:
        for names, version in history:
            for name in names:
                put(writer, name, version)
        put(writer, "gone")
        writer.remove([source("gone").path_bytes])
    found, expected = answers(store), answers(make(tmp_path / "folder", "abcdef"))
    for one in (found, expected):  # ids are in the order of putting, and decide between equals
        one["dense"] = sorted(one["dense"], key=lambda row: (-row[1], row[0][0], row[0][3]))
        one["filtered"] = sorted(one["filtered"], key=repr)
    assert found == expected


def test_int8_and_vectors_of_nothing_are_kept_to_the_bit(place: Database, tmp_path: Path) -> None:
    identity = replace(IDENTITY, storage="int8")
    both = [PostgresStore.create(place, identity), kind_of(tmp_path / "folder").create(tmp_path / "folder", identity)]
    for store in both:
        with store.writer() as writer:
            new = document("a")
            passages = [replace(new.passages[0], vector=np.zeros(16, np.float32)), *new.passages[1:]]
            writer.put(source("a"), "", [replace(new, passages=passages)])
            writer.publish()
    with both[0].snapshot() as mine, both[1].snapshot() as theirs:
        for one, other in zip(mine.dense(QUERY, 9), theirs.dense(QUERY, 9), strict=True):
            assert one.tolist() == other.tolist()
        assert mine.vectors()[1].tolist() == theirs.vectors()[1].tolist()


def test_text_that_postgresql_cannot_hold(place: Database) -> None:
    store = store_of(place)
    new = document("a")
    odd = replace(new.extracted, text=new.extracted.text + "\0\ud800", title="\0\ud800", metadata={"author": "\0"})
    with store.writer() as writer:
        writer.put(source("a"), "", [replace(new, extracted=odd)])
    with store.snapshot() as snapshot:
        (found,) = snapshot.documents()
        assert snapshot.document_text(found.id)[-2:] == "\0\ufffd"
        assert (found.title, found.metadata) == ("\ufffd\ufffd", {"author": "\ufffd"})
    assert store.check() == []


def test_a_graph_finds_the_nearest_and_their_cosines_are_exact(
    place: Database, postgres: TestServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By the SQL of `kosearch docs server`; among few, and until there is one, each vector is compared."""
    store = store_of(place, (chr(number) for number in range(0xAC00, 0xAC00 + 150)))
    queries = np.random.default_rng(3).normal(size=(20, 16)).astype(np.float32)
    some = np.array([3, 5, 8])
    with store.snapshot() as snapshot:
        exact = [snapshot.dense(query, 50) for query in queries]
        among = [snapshot.dense(query, 9, some)[0].tolist() for query in queries]
    found = re.search(r"^CREATE INDEX .*?;", (DOCS / "server.md").read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)
    assert found is not None
    postgres.sql(found[0].replace("kosearch_handbook", place.schema))
    for least, used in ((10**9, False), (1, True)):
        monkeypatch.setattr(snapshots, "GRAPH_ROWS", least)
        with store.snapshot() as snapshot:
            asked: list[str] = []
            monkeypatch.setattr(snapshot, "_session", Overheard(snapshot._session, asked))
            hits = 0
            for query, (ids, cosines), narrowed in zip(queries, exact, among, strict=True):
                near, scores = snapshot.dense(query, 50)
                hits += len(set(near.tolist()) & set(ids.tolist()))
                known = dict(zip(ids.tolist(), cosines.tolist(), strict=True))
                for number, score in zip(near.tolist(), scores.tolist(), strict=True):
                    assert known.get(number, score) == score
                assert snapshot.dense(query, 9, some)[0].tolist() == narrowed
            assert hits >= 0.99 * 50 * len(queries)
            assert any("hnsw" in one for one in asked) == used


class Overheard:
    """A session whose queries are noted."""

    def __init__(self, session: Session, asked: list[str]) -> None:
        self._session = session
        self._asked = asked

    def __getattr__(self, name: str) -> Callable[..., object]:
        def call(sql: str, *parameters: object) -> object:
            self._asked.append(sql)
            return getattr(self._session, name)(sql, *parameters)

        return call


QUESTIONS = [
    "How do I index a folder?",
    "where are the settings kept",
    "색인은 어디에 저장되나요?",
    "질문이 다른 컴퓨터로 나가나요?",
    "exit codes",
    "종료 코드",
    "scanned pages OCR",
    '"kosearch query" +index',
    "+pdf -hwp pages",
    "모델을 바꾸려면",
    "cosine BM25 weight",
    "중복 문서 찾기",
    "KOSEARCH_INDEX",
    "MCP 서버",
    "recall of HNSW graph",
    "정규화된 날짜 2024년 3월 5일",
]


@pytest.fixture(scope="module")
def embedded(request: pytest.FixtureRequest) -> Iterator[None]:
    """Each text is embedded once, by the real model, whichever store it is for."""
    patched = pytest.MonkeyPatch()
    without_processes(patched)
    known: dict[str, NDArray[np.float32]] = {}
    embed = Index.embed_passages

    def embed_new(
        self: Index, texts: Sequence[str], progress: Callable[[int], None] | None = None
    ) -> NDArray[np.float32]:
        new = [text for text in dict.fromkeys(texts) if text not in known]
        if new:
            known.update(zip(new, embed(self, new, progress), strict=True))
        return np.stack([known[text] for text in texts])

    patched.setattr(Index, "embed_passages", embed_new)
    yield
    patched.undo()


@pytest.mark.usefixtures("embedded")
def test_real_questions_have_the_answers_of_a_folder(tmp_path: Path, postgres: TestServer) -> None:
    """Pages of the manual, some five hundred passages, by the bundled model: hits, their order and scores."""
    pages = tmp_path / "pages"
    shutil.copytree(DOCS / "ko", pages / "ko")
    for name in ("agents", "files", "models", "use"):
        shutil.copy(DOCS / f"{name}.md", pages)
    folder = kosearch.open(tmp_path / "folder", passage_tokens=128)
    server = kosearch.open(postgres.url(f"parity_{next(NUMBERS)}"), passage_tokens=128)
    parts = [kosearch.open(postgres.url(f"parity_{next(NUMBERS)}"), passage_tokens=128) for _ in range(3)]
    for index in (folder, server):
        index.index(pages)
    for part, wanted in zip(parts, ("ko/", "/[a-f]*.md", "/[m-z]*.md"), strict=True):
        part.index(pages, include=[wanted])
    assert sum(part.status().documents for part in parts) == folder.status().documents
    assert 400 < server.status().passages == folder.status().passages
    assert server.check() == []
    several = kosearch.join(*parts)
    ways: list[dict[str, object]] = [
        {},
        {"mode": "dense"},
        {"mode": "lexical"},
        {"path": "ko/*"},
        {"type": "markdown", "group": True, "exact": True},
        {"k": 300},
    ]
    for way in ways:
        expected = folder.search(QUESTIONS, **way)  # type: ignore[arg-type]
        assert any(len(one) for one in expected)
        for found in (server.search(QUESTIONS, **way), several.search(QUESTIONS, **way)):  # type: ignore[arg-type]
            for one, other in zip(found, expected, strict=True):
                assert ranked(one) == ranked(other)
                scores = [hit.score for hit in one], [hit.score for hit in other]
                assert scores[0] == pytest.approx(scores[1], abs=1e-6)
    shown = server.show(f"{expected[0].hits[0].document_hash}")
    assert shown.state == "current"
    for each in (folder, server, *parts):
        each.close()


@pytest.mark.usefixtures("embedded")
def test_several_urls_are_one_index(postgres: TestServer, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    """Three servers' worth, in one option or in the environment, have the hits and scores of one."""
    whole, *parts = (postgres.url(f"part_{next(NUMBERS)}") for _ in range(4))
    assert said(["index", str(CORPUS), "-q", "--index", whole], capsys)[0] == 0
    for number, part in enumerate(parts, 1):
        assert said(["index", str(CORPUS), "-q", "--index", part, "--part", f"{number}/3"], capsys)[0] == 0
    found = []
    for named in (whole, " ".join(parts)):
        code, out, _ = said(
            ["query", "연차를 다음 해로 넘길 수 있나요?", "-k", "20", "--json", "--index", named], capsys
        )
        assert code == 0
        found.append([(hit["path"], hit["score"]) for hit in json.loads(out)["hits"]])
    assert len(found[0]) > 3
    assert [path for path, _ in found[1]] == [path for path, _ in found[0]]
    assert [score for _, score in found[1]] == pytest.approx([score for _, score in found[0]], abs=1e-6)
    out = said(["query", "연차를 다음 해로 넘길 수 있나요?", "--index", " ".join(parts)], capsys)[1]
    assert {f"[{database(part).index}]" for part in parts} >= set(re.findall(r"\[part_[0-9]+\]", out)) != set()
    assert "postgresql://" not in out
    assert said(["status", "--index", whole], capsys)[1].count("postgresql://") == 1
    code, out, err = said(["status", "--index", " ".join(parts)], capsys)
    assert (code, out, err.splitlines()[0]) == (2, "", "kosearch: that is for one index, and several are named")
    code, _, err = said(["query", "a", "--index", f"{whole} postgresql://me:{PASSWORD}@localhost/db"], capsys)
    assert (code, PASSWORD in err) == (2, False)


def ranked(answer: Answer) -> list[tuple[str, int, int]]:
    """What an answer shows; of equals it does not matter which comes first, which the order of indexing decides."""
    order = sorted(answer.hits, key=lambda hit: (-round(hit.score, 7), hit.path, hit.passage.start))
    return [(hit.path, hit.passage.start, hit.passage.end) for hit in order]


# The commands.


@pytest.mark.usefixtures("embedded")
def test_the_commands_work_on_it_or_say_that_they_do_not(
    url: str, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    def run(*argv: str) -> tuple[int, str, str]:
        return said([argv[0], *argv[1:], "--index", url], capsys)

    assert run("query", "휴가")[0] == 4
    assert run("index", str(CORPUS), "--quiet")[0] == 0
    code, out, _ = run("query", "연차를 다음 해로 넘길 수 있나요?", "--json")
    assert code == 0
    hit = json.loads(out)["hits"][0]
    assert (Path(hit["path"]).name, hit["state"]) == ("휴가규정.md", "current")
    assert json.loads(run("status", "--json")[1])["documents"] == 8
    assert "이월" in run("show", hit["id"])[1]
    for command in (["check"], ["repair"], ["index", "--quiet"], ["topics"], ["similar", hit["path"]]):
        assert run(*command)[0] == 0
    for number in (1, 2, 3):
        assert run("index", "--quiet", "--part", f"{number}/3")[0] == 0
    assert run("index", "--part", "4/3")[0] == 2
    assert run("duplicates")[0] == 1  # it looked, and there are none
    assert run("remove", str(CORPUS / "notes"))[0] == 0
    assert json.loads(run("status", "--json")[1])["documents"] < 8
    moved = tmp_path / "moved"
    for old, new in ((CORPUS, moved), (moved, CORPUS)):
        assert run("indexes", "move", str(old), str(new))[0] == 0
    assert said(["indexes", "adopt", url], capsys)[0] == 0
    code, table, _ = run("questions", "--sample", "5")
    assert code == 0
    asked = tmp_path / "questions.tsv"
    asked.write_text(table, encoding="utf-8")
    code, out, _ = run("eval", str(asked))
    assert (code, "nDCG@10" in out) == (0, True)
    vectors = tmp_path / "vectors.npy"
    assert run("vectors", "--npy", str(vectors))[0] == 0
    assert np.load(vectors).shape == (json.loads(run("status", "--json")[1])["passages"], 384)
    assert run("indexes", "remove", url, "--yes")[0] == 2  # its name is its argument
    assert said(["indexes", "remove", url, "--yes"], capsys)[0] == 0
    assert run("status")[0] == 4


def test_the_indexes_of_a_database_are_listed_with_ones_own(
    postgres: TestServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Those that may not be opened as well, and nothing else that is called alike; where no server answers, why."""
    postgres.sql("CREATE DATABASE listed")
    url = postgres.url("absent", "listed")
    for name in ("b", "a_2"):
        store_of(database(postgres.url(name, "listed")), "ab").close()
    postgres.sql("CREATE SCHEMA kosearch_empty; CREATE SCHEMA kosearch; CREATE TABLE kosearch.meta ()", "listed")
    make(tmp_path / ".local/share/kosearch/indexes/mine", "a").close()
    monkeypatch.setenv("KOSEARCH_INDEX", f"{url} {url}")
    rows = json.loads(said(["indexes", "--json"], capsys)[1])["indexes"]
    urls = [str(database(postgres.url(name, "listed"))) for name in ("a_2", "b")]
    assert [(row["name"], row["documents"]) for row in rows] == [("mine", 1), *((one, 2) for one in urls)]
    assert [row["directory"] for row in rows[1:]] == urls
    postgres.sql("CREATE ROLE stranger LOGIN")
    monkeypatch.setenv("KOSEARCH_INDEX", postgres.url("b", "listed", "stranger"))
    code, out, _ = said(["indexes"], capsys)
    assert (code, out.count("permission denied for schema")) == (0, 2)
    monkeypatch.setenv("KOSEARCH_INDEX", "postgresql://localhost:1/db")
    code, out, err = said(["indexes"], capsys)
    assert (code, err, out.count("does not answer")) == (0, "", 1)
    assert out.splitlines()[0].startswith("mine ")


@pytest.mark.usefixtures("embedded")
def test_several_may_make_it_at_once(postgres: TestServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever finds that another has made it meanwhile, and brought pgvector into the database, goes on with that."""
    postgres.sql("CREATE DATABASE at_once")
    url = postgres.url("at_once", database="at_once", source="nas")
    planned, together = Index._planned, threading.Barrier(3, timeout=60)

    def met(self: Index, *, pull: bool = False) -> Identity:
        found = planned(self, pull=pull)
        together.wait()  # none of them has seen an index
        return found

    monkeypatch.setattr(Index, "_planned", met)
    indexes = [kosearch.open(url) for _ in range(3)]
    with ThreadPoolExecutor(3) as pool:
        runs = [pool.submit(one.index, CORPUS, part=f"{number}/3") for number, one in enumerate(indexes, 1)]
        assert sum(run.result().added for run in runs) == 8
    assert indexes[0].status().documents == 8
    assert indexes[0].check() == []
    for one in indexes:
        one.close()


@pytest.mark.parametrize(
    ("command", "instead"),
    [
        (["indexes", "backup", "--index", "URL", "/nowhere/file"], "pg_dump -n kosearch_"),
        (["indexes", "restore", "--index", "URL", "/nowhere/file"], "pg_restore"),
        (["indexes", "rename", "URL", "other"], "name another: --index NAME"),
    ],
)
def test_what_the_server_does_itself_is_refused(
    url: str, command: list[str], instead: str, capsys: pytest.CaptureFixture[str]
) -> None:
    store_of(database(url), "a").close()
    code, out, err = said([url if word == "URL" else word for word in command], capsys)
    assert (code, out, len(err.splitlines())) == (2, "", 2)
    assert instead in err


def test_files_of_another_machine_are_elsewhere(postgres: TestServer, tmp_path: Path) -> None:
    """Its paths mean nothing here: they are neither looked for nor taken for gone."""
    name = f"test_{next(NUMBERS)}"
    store_of(database(postgres.url(name, source="nas")), "ab")
    here = PostgresStore(database(postgres.url(name, source="laptop")), b"s" * 32)
    with here.writer() as writer:
        assert writer.files() == {}
        put(writer, "a", 1)
        writer.remove([source("b").path_bytes])
    from kosearch.searching.ranking import file_state

    with here.snapshot() as snapshot:
        states = sorted((one.title, file_state(one, snapshot)) for one in snapshot.documents())
    assert states == [("a v0", "elsewhere"), ("a v1", "gone"), ("b v0", "elsewhere")]


@pytest.mark.usefixtures("small_segments")
def test_the_roles_of_the_page_may_what_they_are_for(postgres: TestServer, capsys: pytest.CaptureFixture[str]) -> None:
    """The SQL of `kosearch docs server`, as it stands there."""
    found = re.search(r"```sql\n(.*?)```", (DOCS / "server.md").read_text(encoding="utf-8"), re.DOTALL)
    assert found is not None
    identity = replace(IDENTITY, endpoint={"url": "http://localhost:1/v1"})
    place = database(postgres.url("handbook"))
    PostgresStore.create(place, identity, b"s" * 32).close()
    postgres.sql(
        f"{found[1]} CREATE ROLE asks LOGIN IN ROLE kosearch_reader; CREATE ROLE writes LOGIN IN ROLE kosearch_writer"
    )
    writer = PostgresStore(database(postgres.url("handbook", user="writes")), b"w" * 32)
    with writer.writer() as one:
        one.add_root(b"/root")
        for name in "abcd":
            put(one, name)
        put(one, "a", 1)
        one.remove([source("b").path_bytes])
        one.publish()
    reader = PostgresStore(database(postgres.url("handbook", user="asks")), b"r" * 32)
    assert answers(reader)["documents"] == answers(writer)["documents"]
    counted_alike(reader, random.Random(2), 3)
    assert reader.check() == []
    assert not reader.is_own()
    for _ in range(2):
        reader.adopt()
        assert reader.is_own()
    with reader.writer() as one, pytest.raises(IndexStateError, match="permission denied") as denied:
        put(one, "c")
    assert "GRANT what is missing" in denied.value.hint
    with pytest.raises(IndexStateError, match="must be owner") as denied:
        PostgresStore.delete(writer.place)
    assert "only its owner may" in denied.value.hint


# Lists of who has a term.


@pytest.fixture
def small_segments(monkeypatch: pytest.MonkeyPatch) -> None:
    """Segments are made soon, and made anew often."""
    for name, value in {"TAIL": 9, "FEW": 5, "SPAN": 50}.items():
        monkeypatch.setattr(segments, name, value)


def counted_alike(store: PostgresStore, chance: random.Random, rounds: int = 30) -> None:
    """By segments and by the GIN index the same passages have the most points."""
    terms = {"body": [*WORDS, "nowhere", "a-1-0"], "heading": ["제목", "nothing"]}
    with store.snapshot() as snapshot:
        assert snapshot._state.segments
        documents = np.array([one.id for one in snapshot.documents()])
        for number in range(rounds):
            points = {
                name: {one: chance.randint(1, 9) for one in chance.sample(words, chance.randint(0, len(words)))}
                for name, words in terms.items()
            }
            some = np.sort(chance.sample(documents.tolist(), 3)) if number % 3 == 1 else None
            required = [[("body", chance.sample(WORDS, 2)), ("body", [chance.choice(WORDS)])]] if number % 5 > 2 else []
            asked = points, chance.choice([1, 3, 10, 1000]), some, required
            by_lists = snapshot.lexical(*asked, nearest_to=QUERY)
            with pytest.MonkeyPatch.context() as patched:
                patched.setattr(type(snapshot), "_tail", lambda _: None)
                assert snapshot.lexical(*asked, nearest_to=QUERY).tolist() == by_lists.tolist()


@pytest.mark.usefixtures("small_segments")
@pytest.mark.parametrize("seed", range(3))
def test_words_are_found_by_lists_as_by_the_index_of_the_server(place: Database, seed: int) -> None:
    """Whatever came and left, and whoever wrote."""
    chance, stores = random.Random(seed), [store_of(place, "ab"), PostgresStore(place)]
    names = [chr(0xAC00 + number) for number in range(12)]
    for version in range(12):
        with stores[version % 2].writer() as writer:
            with writer.transaction():
                for name in chance.sample(names, 5):
                    put(writer, name, version, passages=chance.randint(1, 6))
            writer.remove([source(name).path_bytes for name in chance.sample(names, 2)])
            if version % 3 == 2:
                writer.publish()
        if version > 4:
            counted_alike(stores[0], chance, 10)
    with stores[0].writer() as writer:
        writer.publish()
    counted_alike(stores[1], chance)
    with stores[1].snapshot() as snapshot:
        made = snapshot._state.segments
        assert all(one.high - one.low <= 50 for one in made)
        assert sum(one.passages for one in made) <= 2 * snapshot.passages
    assert stores[0].check() == []
    for store in stores:
        store.close()


@pytest.mark.usefixtures("small_segments")
def test_lists_that_are_not_what_was_written_are_made_anew(place: Database, postgres: TestServer) -> None:
    store = store_of(place, "abcdefgh")
    expected = answers(store)
    for change in (
        "DELETE FROM {0}.posting WHERE first = (SELECT max(first) FROM {0}.posting)",
        "UPDATE {0}.posting SET body = set_byte(body, 8, 1 + get_byte(body, 8) % 200)",
    ):
        with store.writer() as writer:
            writer.publish()
        assert store.check() == []
        counted_alike(store, random.Random(1), 3)
        postgres.sql(change.format(place.schema))
        (said,) = store.check()
        assert "lists" in said
        assert store.repair() == []
        assert store.check() == []
        assert answers(store) == expected
    store.close()


@settings(deadline=None)
@given(st.lists(st.lists(st.integers(-3, 3) | st.integers(-(2**63), 2**63 - 1), unique=True, max_size=40), max_size=90))
def test_lists_hold_what_they_were_made_of(terms: list[list[int]]) -> None:
    """Few passages of a term as their places, many as bits."""
    places = np.repeat(np.arange(len(terms)), list(map(len, terms))).astype(np.uint16)
    hashes = np.array([one for each in terms for one in each], np.int64)
    rows = list(postings.rows_of(hashes, places, max(len(terms), 1)))
    assert [first for first, _ in rows] == sorted(first for first, _ in rows)
    found, at = postings.terms_of([body for _, body in rows], max(len(terms), 1))
    expected = sorted(zip(hashes.tolist(), places.tolist(), strict=True))
    assert list(zip(found.tolist(), at.tolist(), strict=True)) == expected


@settings(deadline=None)
@given(st.binary(max_size=90), st.integers(1, 300), st.integers(0, 4))
def test_lists_that_somebody_else_wrote_are_read_or_refused(body: bytes, span: int, count: int) -> None:
    for one in (body, count.to_bytes(4, "little") + body):
        with suppress(IndexDamaged):
            _, places = postings.terms_of([one], span)
            assert places.max(initial=0) < span


# Secrets.


@pytest.mark.parametrize(
    "secret",
    [
        f"postgresql://me:{PASSWORD}@localhost/db",
        f"postgres://me:{PASSWORD}/x@localhost/db",
        f"postgresql://localhost/db?password={PASSWORD}",
        f"postgresql://localhost/db?pass%77ord={PASSWORD}",
        f"postgresql://localhost/db?sslpassword={PASSWORD}",
    ],
)
@pytest.mark.parametrize("way", ["option", "environment", "settings"])
def test_a_password_in_a_url_is_refused_and_shown_nowhere(
    secret: str, way: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    if way == "environment":
        monkeypatch.setenv("KOSEARCH_INDEX", secret)
    elif way == "settings":
        config = tmp_path / "config.toml"
        config.write_text(f"index = {json.dumps(secret)}\n", encoding="utf-8")
        monkeypatch.setenv("KOSEARCH_CONFIG", str(config))
    code, out, err = said(["status", *(["--index", secret] if way == "option" else [])], capsys)
    assert (code, out) == (2, "")
    assert err.startswith("kosearch: there is a password in the URL of the index")
    assert PASSWORD not in err
    assert "PGPASSFILE" in err


@pytest.mark.parametrize(
    "wrong", ["postgresql://h/a/b", "postgresql://h:x/", "postgresql://h/db?index=A", "postgresql://a b/"]
)
def test_a_url_that_makes_no_sense(wrong: str) -> None:
    with pytest.raises(UsageError):
        database(wrong)


@pytest.mark.parametrize(
    "strange",
    [
        f"mysql://me:{PASSWORD}@localhost/db",
        f"postgresql+psycopg://me:{PASSWORD}@localhost/db",
        f"jdbc:postgresql://localhost/db?password={PASSWORD}",
        f"jdbc:oracle:me/{PASSWORD}@localhost",
        f"postgres:/me:{PASSWORD}@localhost/db",
        f"notes postgresql://me:{PASSWORD}@localhost/db",
        f"Postgresql://me:{PASSWORD}@localhost/db",
        f" postgresql://me:{PASSWORD}@localhost/db",
    ],
)
def test_no_other_url_is_taken_for_a_folder(
    strange: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Nor one with a password, however its scheme is written: neither is it shown, nor is anything made."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "one.md").write_text("A crane", encoding="utf-8")
    make(tmp_path / ".local/share/kosearch/indexes/default", "a").close()
    commands = (
        ["status", "--index", strange],
        ["index", "one.md", "--index", strange],
        ["index", "--into", strange],
        ["query", "a", "--index", "default", "--index", strange],
        ["indexes", "rename", "default", strange],
        ["indexes", "remove", strange],
    )
    for command in commands:
        code, out, err = said(command, capsys)
        assert (code, out, len(err.splitlines())) == (2, "", 2)
        assert PASSWORD not in err
    assert [one.name for one in tmp_path.iterdir() if one.suffix != ".md" and not one.name.startswith(".")] == []
    with pytest.raises(UsageError, match=r"is a URL, and none of PostgreSQL's|password"):
        kosearch.open(strange)


def test_what_stands_in_a_url_reaches_libpq_as_it_stands(postgres: TestServer) -> None:
    """A space is %20 to it, and + is +; blanks around the URL and capitals in its scheme mean nothing."""
    from psycopg.conninfo import conninfo_to_dict

    wanted = {"options": "-c statement_timeout=5000", "sslrootcert": "/my certs/a+b,c%.pem"}
    written = "options=-c%20statement_timeout%3D5000&sslrootcert=/my%20certs/a+b,c%25.pem"
    for scheme in ("postgresql", "postgres", " PostgreSQL"):
        found = database(f"{scheme}://me@h/db?{written}&index=x&source=a+b%20c ")
        assert conninfo_to_dict(found.url) == {"user": "me", "host": "h", "dbname": "db", **wanted}
        assert (found.index, found.source) == ("x", "a+b c")
        assert database(found.address) == found
    place = database(postgres.url(f"test_{next(NUMBERS)}", options="-c%20statement_timeout%3D5000"))
    with store_of(place).server.reading() as session:
        assert session.row("SHOW statement_timeout") == ("5s",)


def test_passwords_come_from_libpqs_own_places_and_stay_there(
    postgres: TestServer, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    name = f"test_{next(NUMBERS)}"
    store_of(database(postgres.url(name)), "a")
    postgres.sql(
        f"CREATE ROLE secret LOGIN PASSWORD '{PASSWORD}'; GRANT USAGE ON SCHEMA kosearch_{name} TO secret;"
        f" GRANT SELECT ON ALL TABLES IN SCHEMA kosearch_{name} TO secret"
    )
    rules = postgres.data / "pg_hba.conf"
    trusting = rules.read_text()
    rules.write_text(f"local all secret scram-sha-256\n{trusting}")
    postgres.sql("SELECT pg_reload_conf()")
    url = postgres.url(name, user="secret")
    service = f"postgresql:///?service=search&index={name}"
    known = f"[search]\nhost={postgres.folder}\ndbname=postgres\nuser=secret\n"
    places: list[tuple[str, Callable[[str], None]]] = [
        (url, lambda password: monkeypatch.setenv("PGPASSWORD", password)),
        (url, lambda password: in_file(monkeypatch, "PGPASSFILE", tmp_path, f"*:*:*:secret:{password}\n")),
        (service, lambda password: in_file(monkeypatch, "PGSERVICEFILE", tmp_path, f"{known}password={password}\n")),
    ]
    try:
        for url, set_password in places:
            set_password("wrong-" + PASSWORD)
            code, out, err = said(["status", "--index", url], capsys)
            assert (code, out, len(err.splitlines())) == (4, "", 2)
            assert PASSWORD not in err
            set_password(PASSWORD)
            code, out, err = said(["status", "--index", url], capsys)
            assert code == 0
            assert PASSWORD not in out + err
            code, _, err = said(["repair", "--index", url], capsys)  # a reader changes nothing
            assert (code, PASSWORD in err, "denied" in err) == (4, False, True)
            for variable in ("PGPASSWORD", "PGPASSFILE"):
                monkeypatch.delenv(variable, raising=False)
    finally:
        rules.write_text(trusting)
        postgres.sql("SELECT pg_reload_conf()")
    assert PASSWORD not in (postgres.folder / "log").read_text()


def in_file(monkeypatch: pytest.MonkeyPatch, variable: str, folder: Path, text: str) -> None:
    file = folder / variable
    file.write_text(text, encoding="utf-8")
    file.chmod(0o600)
    monkeypatch.setenv(variable, str(file))


# The server.


def test_what_is_wrong_with_the_server_is_one_line(postgres: TestServer, capsys: pytest.CaptureFixture[str]) -> None:
    postgres.sql("CREATE ROLE nobody_much LOGIN")
    postgres.sql("CREATE DATABASE bare")
    wrong = {
        "postgresql://localhost:1/db?index=a": (
            "does not answer: ",
            "is the server running, and is it reached from here? psql postgresql://localhost:1/db",
        ),
        postgres.url(database="missing"): ("does not exist", "createdb"),
        postgres.url(user="missing"): ("does not exist", "CREATE ROLE"),
        postgres.url(database="bare", index="none"): ("there is no index", "make it"),
    }
    for url, (what, hint) in wrong.items():
        code, out, err = said(["status", "--index", url], capsys)
        assert (code, out) == (4, "")
        message, advice = err.splitlines()
        assert what in message
        assert hint in advice
        assert "Is the server running" not in err
    with pytest.raises(IndexStateError, match="permission denied") as denied:
        PostgresStore.create(database(postgres.url(database="bare", user="nobody_much")), IDENTITY)
    assert "CREATE EXTENSION vector" in denied.value.hint
    code, out, err = said(["status", "--index", "postgresql://localhost/db?no_such=1"], capsys)
    assert (code, out, len(err.splitlines())) == (2, "", 2)
    assert 'invalid URI query parameter: "no_such"' in err


def test_old_versions_are_refused(place: Database, monkeypatch: pytest.MonkeyPatch, postgres: TestServer) -> None:
    store_of(place).close()
    monkeypatch.setattr(connections, "OLDEST_SERVER", 99)
    with pytest.raises(IndexMismatch, match="PostgreSQL 18"):
        PostgresStore(place)
    monkeypatch.setattr(connections, "OLDEST_SERVER", 14)
    monkeypatch.setattr(connections, "OLDEST_VECTOR", (9, 0))
    with pytest.raises(IndexMismatch, match=r"pgvector 0\.8"):
        PostgresStore(place)
    monkeypatch.undo()
    for version, hint in (("99", "pip install --upgrade kosearch"), ("0", "index the documents into another")):
        postgres.sql(f"UPDATE {place.schema}.meta SET value = '{version}' WHERE key = 'format'")
        with pytest.raises(IndexMismatch, match=f"format {version},") as raised:
            PostgresStore(place)
        assert (raised.value.hint or "").startswith(hint)


def test_tables_of_an_older_version_are_brought_up_to_date_by_their_owner(
    url: str, place: Database, postgres: TestServer, capsys: pytest.CaptureFixture[str]
) -> None:
    """By a command of its own: until then nobody's kosearch is shut out, and afterwards those that are older."""
    store = store_of(place, "abc")
    expected = answers(store)
    store.close()
    postgres.sql(f"DROP TABLE {place.schema}.segment, {place.schema}.posting")
    postgres.sql(f"ALTER INDEX {place.schema}.lexicon_hashed SET (fastupdate = on)")
    postgres.sql(f"UPDATE {place.schema}.meta SET value = '1' WHERE key = 'format'")
    postgres.sql(
        f"CREATE ROLE older LOGIN; GRANT USAGE ON SCHEMA {place.schema} TO older;"
        f" GRANT SELECT ON ALL TABLES IN SCHEMA {place.schema} TO older"
    )
    theirs = postgres.url(place.index, user="older")
    for one in (url, theirs):
        for command in ("status", "index", "repair"):
            code, out, err = said([command, "--index", one], capsys)
            assert (code, out, len(err.splitlines())) == (4, "", 2)
            assert "has format 1" in err
            assert f"whoever owns it brings it up to date for all: kosearch indexes upgrade '{database(one)}'" in err
    for one, expected_code in ((theirs, 4), (url, 0)):
        code, out, err = said(["indexes", "upgrade", one], capsys)
        assert (code, out) == (expected_code, "")
    assert "is brought to the format" in err
    assert "has the format" in said(["indexes", "upgrade", url], capsys)[2]
    store = PostgresStore(place)
    assert answers(store) == expected
    store.close()
    options = f"SELECT reloptions FROM pg_class WHERE oid = '{place.schema}.lexicon_hashed'::regclass"
    assert postgres.sql(options).strip() == "{fastupdate=on,gin_pending_list_limit=1024}"
    PostgresStore(database(theirs)).close()


def test_too_many_connections(place: Database, postgres: TestServer) -> None:
    store_of(place).close()
    postgres.sql("CREATE ROLE crowd LOGIN SUPERUSER CONNECTION LIMIT 0; ALTER ROLE crowd NOSUPERUSER")
    with pytest.raises(ResourcesError):
        PostgresStore(database(place.url.replace("//postgres@", "//crowd@") + f"&index={place.index}"))


DEBIAN = Path("/usr/lib/postgresql/15/bin")


@pytest.mark.skipif(not (DEBIAN / "postgres").exists() or not shutil.which("openssl"), reason="no server with TLS here")
def test_tls_is_verified_in_full(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """By Debian's server, for the wheel's has no TLS: it has no pgvector, so that there is no index in it."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    folder = Path(tempfile.mkdtemp(prefix="kosearch-pg-"))
    try:
        server = TestServer(folder, DEBIAN, port)
        for name in ("ours", "other"):
            openssl(folder, f"req -x509 -newkey rsa:2048 -nodes -keyout {name}.key -out {name}.crt -subj /CN={name}")
        openssl(folder, "req -newkey rsa:2048 -nodes -keyout server.key -out server.csr -subj /CN=localhost")
        openssl(folder, "x509 -req -in server.csr -CA ours.crt -CAkey ours.key -CAcreateserial -out server.crt")
        for name in ("server.key", "server.crt"):
            shutil.chown(folder / name, server.data.owner())
        (folder / "server.key").chmod(0o600)
        files = [f"ssl_{kind}_file={folder / f'server.{suffix}'}" for kind, suffix in (("cert", "crt"), ("key", "key"))]
        server.start("listen_addresses=127.0.0.1", "ssl=on", *files)
        try:
            for host, by, what in (
                ("localhost", "ours", "there is no index"),
                ("127.0.0.1", "ours", "does not match host name"),
                ("localhost", "other", "certificate verify failed"),
            ):
                url = f"postgresql://postgres@{host}:{port}/postgres?sslmode=verify-full&sslrootcert={folder}/{by}.crt"
                code, out, err = said(["status", "--index", url], capsys)
                assert (code, out, len(err.splitlines())) == (4, "", 2)
                assert what in err
        finally:
            server.end()
    finally:
        shutil.rmtree(folder)


def openssl(folder: Path, arguments: str) -> None:
    subprocess.run(["openssl", *arguments.split()], cwd=folder, capture_output=True, check=True)


def test_whom_rows_are_hidden_from_finds_the_nearest_of_the_others(
    place: Database, postgres: TestServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Policies of the server's hold for the graph and for words, and as many are found as there are."""
    store = store_of(place, (chr(number) for number in range(0xAC00, 0xAC00 + 150)))
    schema = place.schema
    postgres.sql(
        f"CREATE INDEX passage_vector ON {schema}.passage USING hnsw (vector public.halfvec_cosine_ops)"
        " WITH (m = 16, ef_construction = 128); CREATE ROLE limited LOGIN;"
        f" GRANT USAGE ON SCHEMA {schema} TO limited; GRANT SELECT ON ALL TABLES IN SCHEMA {schema} TO limited;"
        f" ALTER TABLE {schema}.document ENABLE ROW LEVEL SECURITY;"
        f" CREATE POLICY seen ON {schema}.document FOR SELECT TO limited USING (path ~ '[각-갯]');"
        + "".join(
            f" ALTER TABLE {schema}.{table} ENABLE ROW LEVEL SECURITY;"
            f" CREATE POLICY seen ON {schema}.{table} FOR SELECT TO limited"
            f" USING (document IN (SELECT id FROM {schema}.document));"
            for table in ("passage", "lexicon", "text")
        )
    )
    with store.writer() as writer:
        writer.publish()
    with store.snapshot() as snapshot:
        assert snapshot._state.segments
        every = snapshot.dense(QUERY, 600)[0]
        seen = [one.id for one in snapshot.stored(every) if re.search("[각-갯]", one.document.path)]
        assert 100 < len(seen) < 300
    monkeypatch.setattr(snapshots, "GRAPH_ROWS", 1)
    with PostgresStore(database(postgres.url(place.index, user="limited"))).snapshot() as snapshot:
        found = snapshot.dense(QUERY, 50)[0]
        assert len(set(found.tolist()) & set(seen[:50])) >= 49
        words = snapshot.lexical({"heading": {"제목": 1}}, 600)
        assert sorted(words.tolist()) == sorted(seen)
        assert len(snapshot.stored(words)) == len(seen)
        assert len(list(snapshot.documents())) == len(seen) // 4
    hidden = (
        f"SET ROLE limited; SELECT (SELECT count(*) FROM {schema}.segment), (SELECT count(*) FROM {schema}.posting)"
    )
    assert postgres.sql(hidden).split()[-1] == "0|0"  # the words of what they may not read
    store.close()


@pytest.mark.usefixtures("quick_vectors")
@pytest.mark.parametrize("page", ["server.md", "ko/server.md"])
def test_by_the_policies_of_the_page_nothing_of_what_is_hidden_is_seen(
    page: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """All commands answer from the rest, and no table tells a hidden path or text."""
    roles, policies = re.findall(r"```sql\n(CREATE ROLE.*?|DO .*?)```", (DOCS / page).read_text("utf-8"), re.DOTALL)
    handbook = tmp_path / "handbook"
    for name in ("board", "all"):
        (handbook / name).mkdir(parents=True)
        for number in range(3):
            text = f"# Page {number}\n\nThe {name} has a crane in the harbour, {name} {number}"
            (handbook / name / f"{name}-{number}.md").write_text(text, encoding="utf-8")
        (handbook / name / f"{name}.pdf").write_bytes(b"%PDF-1.7 broken")
    with running() as server:
        owners, url, writers = (server.url("handbook", user=one) for one in ("postgres", "asks", "indexer"))
        assert said(["index", str(handbook), "-q", "--index", owners], capsys)[0] == 0
        login = "CREATE ROLE asks LOGIN IN ROLE kosearch_reader; CREATE ROLE indexer LOGIN IN ROLE kosearch_writer"
        server.sql(f"{roles}; {login}; {policies.replace('/handbook/board', str(handbook / 'board'))}")
        server.sql("INSERT INTO kosearch_handbook.recognised VALUES ('x', 'engine', 'board')")
        for argv in (["index", str(handbook), "--reread", "-q"], ["check"], ["repair"], ["check"]):
            assert said([*argv, "--index", writers], capsys)[0] == 0, argv
        seen = str(handbook / "all" / "all-0.md")
        commands: list[tuple[int, list[str]]] = [
            *((0, ["query", "harbour", "--mode", mode, "-k", "9"]) for mode in ("dense", "lexical", "hybrid")),
            (0, ["status", "--problems"]),
            (0, ["topics", "-n", "2"]),
            (0, ["questions", "--sample", "2"]),
            (0, ["similar", seen]),
            (0, ["duplicates"]),
            (0, ["vectors", "--npy", str(tmp_path / "vectors.npy")]),
            (4, ["check"]),
            (4, ["repair"]),
        ]
        for expected, argv in commands:
            code, out, err = said([*argv, "--index", url], capsys)
            assert (code, "board" in out + err) == (expected, False), (argv, out, err)
            assert code == 0 or (len(err.splitlines()), "policies hide rows" in err) == (2, True)
        assert np.load(tmp_path / "vectors.npy").shape == (3, 384)
        tables = server.sql(
            "SELECT relname FROM pg_class WHERE relnamespace = 'kosearch_handbook'::regnamespace AND relkind = 'r'"
        )
        for table in set(tables.split()) - {"frequency"}:
            rows_of = server.sql(f"SET ROLE asks; SELECT one::text FROM kosearch_handbook.{table} one")
            assert "board" not in rows_of, table
            assert b"board".hex() not in rows_of, table
        assert said(["check", "--index", owners], capsys)[0] == 0


def test_clocks_that_disagree_decide_nothing(place: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    """What was committed last is there, though its writer's clock, and its file's time, are a year behind."""
    stores = store_of(place, "ab"), PostgresStore(place)
    year, now, generations = 365 * 86400, time.time(), []
    for number in range(6):
        ahead = number % 2 == 0
        moved = now + (year if ahead else -year)
        monkeypatch.setattr(time, "time", lambda moved=moved: moved)
        with stores[number % 2].writer() as writer:
            put(writer, "a", number, mtime_ns=int(moved * 1e9))
            writer.record_run({"ended": "2024-03-05T08:00:00+00:00", "seconds": moved})
            generations.append(writer.publish())
        with stores[0].snapshot() as mine, stores[1].snapshot() as theirs:
            for snapshot in (mine, theirs):
                assert sorted(one.title for one in snapshot.documents()) == [f"a v{number}", "b v0"]
    assert generations == sorted(set(generations))
    assert stores[0].check() == []
    for store in stores:
        store.close()


def test_a_standby_answers_and_is_not_written_to(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    (tmp_path / "new.md").write_text("# New", encoding="utf-8")
    with running() as server:
        url = server.url("standby")
        store = store_of(database(url), "ab")
        expected = answers(store)
        store.close()
        server.end()
        (server.data / "standby.signal").touch()
        server.start()
        store = PostgresStore(database(url))
        assert answers(store) == expected
        with store.writer() as writer, pytest.raises(IndexStateError) as raised:
            put(writer, "c")
        store.close()
        assert "recovery" in raised.value.message
        assert "target_session_attrs=read-write" in (raised.value.hint or "")
        code, out, err = said(["repair", "--index", url], capsys)
        assert (code, out, len(err.splitlines())) == (4, "", 2)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can mount a small file system")
def test_a_full_disk_is_said_and_what_was_committed_stays(tmp_path: Path) -> None:
    with running() as server, small_disk(server, "20M"):
        server.sql(f"CREATE TABLESPACE small LOCATION '{server.folder / 'small'}'")
        server.sql("CREATE DATABASE small TABLESPACE small")
        store = store_of(database(server.url("full", database="small")), "ab")
        before = store.status()
        filling = server.folder / "small" / "filling"
        with filling.open("wb", buffering=0) as file, suppress(OSError):
            while True:
                file.write(bytes(4096))
        with store.writer() as writer, pytest.raises(ResourcesError, match="no room") as raised:
            put(writer, "c", passages=20_000)
        assert "make room on the server's disk" in (raised.value.hint or "")
        assert store.check() == []
        assert store.status().documents >= before.documents
        filling.unlink()
        with store.writer() as writer:
            put(writer, "d", passages=50)
        assert store.check() == []
        store.close()


@contextmanager
def small_disk(server: TestServer, size: str) -> Iterator[None]:
    """The server's folder `small` is a file system of this size, in memory."""
    folder, owner = server.folder / "small", server.folder.stat()
    folder.mkdir()
    options = f"size={size},uid={owner.st_uid},gid={owner.st_gid},mode=700"
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", options, "none", folder], capture_output=True, check=False)
    if mounted.returncode:
        pytest.skip("nothing can be mounted here")
    try:
        yield
    finally:
        server.end()
        subprocess.run(["umount", folder], check=True)


@contextmanager
def pooled(server: TestServer, connections: int) -> Iterator[None]:
    """pgbouncer at port 6543, in transaction mode: each transaction may be another backend's."""
    program = shutil.which("pgbouncer", path="/usr/sbin:/usr/bin")
    if program is None:
        pytest.skip("pgbouncer is not installed")
    settings = server.folder / "pgbouncer.ini"
    settings.write_text(
        f"[databases]\npostgres = host={server.folder} port=5432 user=postgres\n"
        "[pgbouncer]\nlisten_port = 6543\nlisten_addr =\n"
        f"unix_socket_dir = {server.folder}\nauth_type = any\npool_mode = transaction\n"
        f"default_pool_size = {connections}\nquery_wait_timeout = 20\nlogfile = {server.folder / 'pgbouncer.log'}\n"
    )
    bouncer = subprocess.Popen(
        [program, "-q", settings], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, cwd="/", **server._as
    )
    try:
        ends = time.monotonic() + 20
        while not (server.folder / ".s.PGSQL.6543").exists():
            assert time.monotonic() < ends
            time.sleep(0.05)
        yield
    finally:
        bouncer.terminate()
        bouncer.wait(10)


def test_through_pgbouncer_in_transaction_mode(place: Database, postgres: TestServer) -> None:
    """Nothing may be left in a session."""
    with pooled(postgres, 2):
        through = database(place.url.replace("postgres@/", "postgres@:6543/") + f"&index={place.index}")
        store = store_of(through, "abc")
        others = [PostgresStore(through) for _ in range(3)]
        found = [answers(one)["dense"] for one in (store, *others)]
        assert found.count(found[0]) == 4
        assert store.check() == []
        for one in (store, *others):
            one.close()


@pytest.mark.usefixtures("embedded")
def test_nothing_waits_for_a_second_connection(
    url: str, postgres: TestServer, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    """As many as ask at once may have all that there are."""
    asked = tmp_path / "questions.jsonl"
    asked.write_text(json.dumps({"question": "연차 이월", "expected": str(CORPUS / "규정/휴가규정.md")}) + "\n")
    with pooled(postgres, 1):
        through = url.replace("postgres@/", "postgres@:6543/")
        for command in (
            ["index", str(CORPUS), "--quiet"],
            ["query", "연차를 다음 해로 넘길 수 있나요?"],
            ["query", "휴가", "--mode", "lexical"],
            ["similar", str(CORPUS / "규정/휴가규정.md")],
            ["eval", str(asked)],
            ["topics"],
            ["status"],
            ["check"],
            ["index", "--quiet", "--reread"],
        ):
            code, _, problem = said([*command, "--index", through], capsys)
            assert code == 0, (command, problem)


def test_what_somebody_else_makes_of_it_is_not_followed(place: Database, postgres: TestServer) -> None:
    """Whoever may write there could name a URL of their own: who has it open would send questions there."""
    store = store_of(place, "a")
    assert store.is_own()
    endpoint = {"url": "http://127.0.0.1:9/v1", "model": "theirs"}
    theirs = json.dumps(asdict(replace(IDENTITY, model="openai:theirs", endpoint=endpoint)))
    postgres.sql(f"UPDATE {place.schema}.meta SET value = $${theirs}$$ WHERE key = 'identity'")
    with pytest.raises(IndexMissing, match="another made"), store.snapshot():
        pass
    assert not store.is_there()
    assert store.identity.endpoint is None
    store.close()
    anew = PostgresStore(place, b"s" * 32)
    assert not anew.is_own()
    anew.close()


# What somebody else wrote, or what is damaged.


@pytest.fixture
def quick_vectors(monkeypatch: pytest.MonkeyPatch) -> None:
    """No model is loaded: a text's vector follows from its length."""

    def embed(self: Index, texts: Sequence[str], progress: object = None) -> NDArray[np.float32]:
        return np.stack([np.eye(384, dtype=np.float32)[len(text) % 384] for text in texts])

    without_processes(monkeypatch)
    monkeypatch.setattr(Index, "embed_passages", embed)
    monkeypatch.setattr(Index, "embed_queries", embed)


@pytest.fixture
def harbour(tmp_path: Path) -> Path:
    """Two files, and one that cannot be read."""
    docs = tmp_path / "harbour"
    docs.mkdir()
    (docs / "one.md").write_text("# Cranes\n\nA crane in the harbour", encoding="utf-8")
    (docs / "two.txt").write_text("Ships in the harbour", encoding="utf-8")
    (docs / "three.pdf").write_bytes(b"%PDF-1.7 broken")
    return docs


META = "UPDATE meta SET value = '{0}' WHERE key = '{1}'"
IDENTITY_WITH = "UPDATE meta SET value = jsonb_set(value::jsonb, '{{{0}}}', '{1}')::text WHERE key = 'identity'"
LOST = [
    "DELETE FROM meta",
    "DELETE FROM meta WHERE key = 'id'",
    META.format("x", "format"),
    META.format("{}", "identity"),
    META.format("[]", "identity"),
    IDENTITY_WITH.format("dimensions", '"384); DROP TABLE text"'),
    IDENTITY_WITH.format("fields", "[1]"),
    IDENTITY_WITH.format("words", '[""]'),
    IDENTITY_WITH.format("model", "null"),
    "DROP TABLE text",
]
"""Nothing can make these whole."""
MENDED = [
    META.format("[1, 2]", "run"),
    META.format('{"ended": "yesterday", "seconds": 1}', "run"),
    "INSERT INTO meta VALUES ('new terms', 'x')",
    "INSERT INTO slot VALUES (99, 1, 0, 0, '{1}')",
    "UPDATE slot SET totals = totals || NULL::bigint",
    "UPDATE slot SET passages = -7",
    "UPDATE frequency SET count = -3",
    "UPDATE frequency SET count = 1000",
    "INSERT INTO segment VALUES (9, 3, 1, (SELECT value::json ->> 'term_rules' FROM meta WHERE key = 'identity'))",
    "UPDATE passage SET place = 'x'",
    'UPDATE passage SET place = \'[0, 0, "5", 1, 1, null, "", [], null]\'',
    "UPDATE passage SET place = '[0, -5, 3, 1, 1, null, \"\", [], null]'",
    "UPDATE lexicon SET terms = '\\xff'",
    "UPDATE lexicon SET terms = '\\x789c030000000001'",
    "UPDATE lexicon SET hashed = '{}'",
    "UPDATE lexicon SET hashed = '{{1, 2}, {3, 4}}'",
    "UPDATE lexicon SET hashed = hashed || NULL::bigint",
    "UPDATE lexicon SET document = 0",
    "UPDATE text SET body = '\\xff' WHERE part >= 0",
    "UPDATE text SET body = 'x' WHERE part < 0",
    "UPDATE text SET body = '[[[1, 2]], []]' WHERE part < 0",
    "DELETE FROM text WHERE part < 0",
    "UPDATE document SET metadata = 'x'",
    "UPDATE document SET metadata = '[1]'",
    "UPDATE document SET metadata = '{\"author\": 1}'",
    "UPDATE document SET mtime_ns = 'NaN'",
    "UPDATE problem SET reason = 'bogus'",
    "UPDATE file SET size = 'NaN', mtime_ns = 'Infinity'",
]


@pytest.mark.usefixtures("quick_vectors")
@pytest.mark.parametrize(("change", "is_lost"), [*((one, True) for one in LOST), *((one, False) for one in MENDED)])
def test_what_cannot_be_read_is_said_in_a_line_and_mended_where_it_can_be(
    url: str, postgres: TestServer, harbour: Path, change: str, is_lost: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    def run(*argv: str) -> int:
        code, out, err = said([*argv, "--index", url], capsys)
        assert code in (0, 4) or err.startswith("kosearch: no hit"), (argv, err)
        assert code != 4 or out or len(err.splitlines()) == 2, (argv, err)
        return code

    assert run("index", str(harbour), "-q") == 0
    postgres.sql(f"SET search_path = {database(url).schema}, public; {change}")
    commands = [
        ["query", "harbour", "--mode", "lexical"],
        ["query", "harbour", "--mode", "dense", "--after", "2001", "--json"],
        ["status", "--problems"],
        ["check"],
    ]
    codes = [run(*argv) for argv in commands]
    assert codes[-1] == 4
    run("index", str(harbour), "-q")
    if is_lost:
        assert run("repair") == 4
        return
    assert run("repair") == 0
    assert run("index", str(harbour), "-q") == 0
    assert [run(*argv) for argv in commands] == [0, 0, 0, 0]
    with kosearch.open(url) as index:
        assert {Path(hit.path).name for hit in index.search("harbour", mode="lexical").hits} == {"one.md", "two.txt"}
        assert [one.reason for one in index.problems()] == ["broken"]


@pytest.mark.usefixtures("quick_vectors")
def test_a_seal_that_nobody_made_is_none(url: str, postgres: TestServer, harbour: Path) -> None:
    with kosearch.open(url) as index:
        index.index(harbour)
        assert len(index.roots()) == 1
        schema = database(url).schema
        postgres.sql(f"UPDATE {schema}.root SET seal = 'é'; UPDATE {schema}.owner SET seal = 'é'")
        assert index.roots() == {}
    with kosearch.open(url) as index:
        assert not index.is_foreign  # it names no URL that anything could be sent to


@settings(deadline=None)
@given(JSON, st.binary(max_size=60))
def test_rows_that_somebody_else_wrote_are_read_or_refused(value: object, data: bytes) -> None:
    text = json.dumps(value)
    for read in (
        lambda: rows.identity_of(value),
        lambda: rows.run_of(value),
        lambda: rows.placed(text),
        lambda: rows.structure_of(text.encode()),
        lambda: rows.structure_of(data),
        lambda: rows.lines_of(data, ["body"]),
        lambda: rows.text_in([data]),
        lambda: rows.reason_of(text),
        lambda: rows.document_of((1, "", b"", "", "", "", "", text, "", 0, 0, 0, 0), ""),
    ):
        with suppress(IndexDamaged):
            read()


# Several at once, and what is killed.


@pytest.mark.usefixtures("small_segments")
@pytest.mark.parametrize(
    ("seconds", "readers"), [(4, 4), pytest.param(60, 8, marks=[pytest.mark.crash, pytest.mark.timeout(600)])]
)
def test_writers_and_readers_at_once(place: Database, seconds: float, readers: int) -> None:
    """Two write the same files over and over while others ask: nobody sees half of anything, and no count is off."""
    store_of(place, "abcd").close()
    ends = time.monotonic() + seconds
    wrong: list[str] = []

    def write(seed: int) -> None:
        chance, store = random.Random(seed), PostgresStore(place)
        with store.writer() as writer:
            while time.monotonic() < ends:
                with writer.transaction():
                    for name in chance.sample("abcd", 3):
                        put(writer, name, chance.randrange(3))
        store.close()

    def read() -> None:
        store = PostgresStore(place)
        while time.monotonic() < ends:
            with store.snapshot() as snapshot:
                ids = snapshot.dense(QUERY, 100)[0]
                counts = snapshot.statistics({"heading": ["제목"]})
                documents = list(snapshot.documents())
                if not (
                    len(ids) == snapshot.passages == counts.passages == counts.frequencies["heading"]["제목"] == 16
                ):
                    wrong.append(f"{len(ids)} passages, {counts}")
                if [one.title[0] for one in sorted(documents, key=lambda one: one.title)] != list("abcd"):
                    wrong.append(str(documents))
                if len(snapshot.lexical({"heading": {"제목": 1}}, 100)) != 16:
                    wrong.append("lexical")
        store.close()

    failed: list[BaseException] = []

    def kept(work: Callable[[], None]) -> None:
        try:
            work()
        except BaseException as error:  # noqa: BLE001 - it is raised below
            failed.append(error)

    threads = [threading.Thread(target=kept, args=(lambda seed=seed: write(seed),)) for seed in range(2)]
    threads += [threading.Thread(target=kept, args=(read,)) for _ in range(readers)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(seconds + 60)
    assert (failed, wrong) == ([], [])
    store = PostgresStore(place)
    assert store.check() == []
    store.close()


WRITING = """
import itertools, random, sys
from index_making import put
from kosearch.config import database
from kosearch.index.postgres import PostgresStore, segments
segments.TAIL, segments.SPAN = 9, 90  # segments are made amid it, too
chance, store = random.Random(int(sys.argv[2])), PostgresStore(database(sys.argv[1]))
print("writing", flush=True)
with store.writer() as writer:
    for version in itertools.count(int(sys.argv[3])):
        with writer.transaction():
            names = chance.sample("abcdefgh", 3)
            for name in names:
                put(writer, name, version, passages=6)
        print(version, *names, flush=True)
"""


def kill_and_look(server: TestServer, place: Database, number: int, committed: dict[str, int]) -> None:
    """Kill the writer, its backend or the server amid its work.

    Documents are whole and each is there once, counts are exact, and nothing is older than what was `committed`: by
    name, the version that its writer was told is there.
    """
    url = f"{place.url}&index={place.index}"
    chance, said = random.Random(number), list[str]()
    writer = subprocess.Popen(
        [sys.executable, "-c", WRITING, url, str(number), str(max(committed.values()) + 1)],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        cwd=Path(__file__).parent,
    )
    try:
        assert writer.stdout is not None
        assert writer.stdout.readline() == "writing\n"
        said = [writer.stdout.readline() for _ in range(number % 4)]  # at least so much is committed
        time.sleep(chance.uniform(0.0, 0.2))
        victim = ("client", "backend", "server")[number % 3]
        if victim == "client":
            writer.kill()
        elif victim == "backend":
            for backend in server.backends():
                if chance.random() < 0.5:
                    server.sql(f"SELECT pg_terminate_backend({backend})")
                else:
                    os.kill(backend, signal.SIGKILL)
        else:
            server.end(signal.SIGQUIT)
            server.start()
        time.sleep(0.3)
        if victim != "client":
            assert writer.poll() is None  # it waits, and goes on
    finally:
        writer.kill()
        said += writer.communicate(timeout=10)[0].splitlines()
    for version, *names in (line.split() for line in said if line.count(" ") == 3):
        committed.update(dict.fromkeys(names, int(version)))
    ends = time.monotonic() + 30
    while True:
        try:
            store = PostgresStore(place)
            found = store.check()
            with store.snapshot() as snapshot:
                titles = sorted(one.title.split(" v") for one in snapshot.documents())
            break
        except KosearchError:  # it recovers
            assert time.monotonic() < ends
            time.sleep(0.1)
    store.close()
    assert found == []
    assert [name for name, _ in titles] == sorted(committed)
    for name, version in titles:
        assert int(version) >= committed[name]
        committed[name] = int(version)


def test_whatever_is_killed_documents_are_whole_and_counts_exact() -> None:
    with running() as server:
        place = database(server.url("killed"))
        store_of(place, "abcdefgh").close()
        committed = dict.fromkeys("abcdefgh", 0)
        for number in range(10):
            kill_and_look(server, place, number, committed)
        assert max(committed.values()) > 10


@pytest.mark.crash
@pytest.mark.timeout(3600)
def test_a_hundred_kills_of_each() -> None:
    with running() as server:
        place = database(server.url("killed"))
        store_of(place, "abcdefgh").close()
        committed = dict.fromkeys("abcdefgh", 0)
        for number in range(10, 310):
            kill_and_look(server, place, number, committed)


def test_a_server_that_comes_back_is_asked_again() -> None:
    with running() as server:
        store = store_of(database(server.url("restarted")), "a")
        expected = answers(store)
        server.end()
        with pytest.raises(IndexStateError, match="does not answer"):
            store.status()
        server.start()
        assert answers(store) == expected
        server.end(signal.SIGQUIT)
        server.start()
        with store.writer() as writer:  # nothing of the connections that were kept is of use
            put(writer, "b")
        assert store.status().documents == 2
        store.close()


@pytest.mark.parametrize("reading", [False, True])
def test_what_the_server_cuts_off_is_done_again(place: Database, postgres: TestServer, reading: bool) -> None:
    store, done = store_of(place, "a"), list[int]()

    def work(session: Session) -> int:
        (backend,) = session.row("SELECT pg_backend_pid()")
        done.append(backend)
        if len(done) < 3:
            postgres.sql(f"SELECT pg_terminate_backend({backend})")
        return int(session.row("SELECT count(*) FROM document")[0])

    assert store.server.again(work, reading=reading) == 1
    assert len(set(done)) == 3
    store.close()


@pytest.mark.usefixtures("quick_vectors")
def test_a_run_waits_for_the_server_whatever_it_was_about_to_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is gone between two steps, again and again; and who waited in vain does not wait once more to tidy up."""
    from kosearch import indexing

    monkeypatch.setattr(indexing, "BATCH", 16)
    docs = tmp_path / "docs"
    docs.mkdir()
    for number in range(64):
        (docs / f"{number}.txt").write_text(f"harbour {number}", encoding="utf-8")
    with running() as server, kosearch.open(server.url("run")) as index:
        coming: threading.Timer | None = None
        for number, step in enumerate(index.indexing(docs)):
            if step.files_done and number % 15 == 0 and not (coming and coming.is_alive()):
                server.end()
                coming = threading.Timer(0.3, server.start, ["fsync=off"])
                coming.start()
        assert coming is not None
        coming.join()
        assert index.status().documents == 64
        assert index.check() == []
        monkeypatch.setattr(connections, "RETRY_SECONDS", 2.0)
        run = index.indexing(docs, reread=True)
        assert any(step.files_done for step in run)
        server.end()
        begun = time.monotonic()
        with pytest.raises(IndexStateError, match="does not answer"):
            list(run)
        assert 2 < time.monotonic() - begun < 6  # it waits up to 2 s longer between its last looks
        server.start("fsync=off")
        index.index(docs, reread=True)
        assert index.status().documents == 64


def test_nothing_is_kept_over_a_restored_backup(place: Database, postgres: TestServer) -> None:
    """Though there have been as many commits as before."""
    store, connected = store_of(place, "a"), ("-h", postgres.folder, "-U", "postgres")
    backup = postgres.folder / f"{place.schema}.backup"
    postgres.run("pg_dump", *connected, "-Fc", "-n", place.schema, "-f", backup, "postgres")
    seen = []
    for name in "bc":
        with store.writer() as writer:
            put(writer, name)
        with store.snapshot() as snapshot:
            terms = snapshot.vocabulary(["body"])[0]
            documents = snapshot.find_documents(paths=[f"{source(name).path}"])
            assert documents is not None
            seen.append((snapshot.generation, f"{name}-0-0" in terms, len(documents)))
        postgres.sql(f"DROP SCHEMA {place.schema} CASCADE")
        postgres.run("pg_restore", *connected, "-d", "postgres", backup)
    assert seen == [(seen[0][0], True, 1)] * 2
    store.close()


def test_a_warm_process_answers_from_what_was_committed_last(tmp_path: Path) -> None:
    """It asks the server with each question, notices one that went and came back, and is told no password."""
    from kosearch import config, resident
    from kosearch.cli.query import printed
    from kosearch.resident import protocol, server

    docs = tmp_path / "docs"
    docs.mkdir()
    (docs / "one.md").write_text("A crane in the harbour", encoding="utf-8")
    environ = {name: value for name, value in os.environ.items() if name in protocol.HOMES or name[:9] == "KOSEARCH_"}
    environ["KOSEARCH_RESIDENT"] = "on"
    settings = config.load({}, environ)
    path = protocol.socket_path(settings, environ)
    warm = server.Warm(settings)
    with running() as postgres:
        url = postgres.url("warm")
        commands = server.Commands(path, warm, printed)

        def asked(environ: dict[str, str]) -> tuple[object, list[str]]:
            argv = ["query", "harbour", "--mode", "lexical", "--index", url, "--paths"]
            found = commands.run(argv, str(tmp_path), environ, terminal=False, questions=None)
            return found.get("code"), [os.path.basename(one).decode() for one in found.get("stdout", b"").split()]

        with kosearch.open(url) as index:
            index.index(docs)
            assert asked(environ) == (0, ["one.md"])
            (docs / "two.md").write_text("Ships in the harbour", encoding="utf-8")
            assert asked(environ) == (0, ["one.md"])  # what a server keeps is brought up to date by `index` alone
            index.index(docs)
            assert sorted(asked(environ)[1]) == ["one.md", "two.md"]
        postgres.end()
        with pytest.raises(IndexStateError, match="does not answer"):
            asked(environ)
        assert not warm.drop_gone()
        postgres.start()
        assert sorted(asked(environ)[1]) == ["one.md", "two.md"]
        told = resident.request(["query"], {**environ, "PGPASSWORD": PASSWORD}, terminal=False)
        assert PASSWORD not in json.dumps(told)
        assert asked(told["environ"])[0] is None
        for library in list(warm._indexes.values()):
            library.close()


# The doors that stay open: the warm process, the page, and the server for agents.


@pytest.fixture
def shared(postgres: TestServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """An index of two machines' files, as one of them sees it: theirs.md of the other, ours.md of this one."""
    name, folder = f"test_{next(NUMBERS)}", tmp_path / "shared"
    for whose in ("theirs", "ours"):
        monkeypatch.setenv("KOSEARCH_DATA_DIR", str(tmp_path / "data" / whose))
        (folder / whose).mkdir(parents=True)
        (folder / whose / f"{whose}.md").write_text(f"# {whose}\n\nA crane in the harbour, {whose}", encoding="utf-8")
        with kosearch.open(postgres.url(name, source=whose)) as index:
            index.index(folder / whose)
    return postgres.url(name, source="ours")


def test_serve_holds_it_and_is_told_no_password(
    shared: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    from kosearch import config
    from kosearch.resident import launcher, server, service

    held: list[tuple[list[str], dict[str, object]]] = []

    def served(*given: object) -> None:
        _, _, warm, _, commands = given
        assert isinstance(warm, server.Warm)
        assert isinstance(commands, server.Commands)
        argv = ["query", "harbour", "--mode", "lexical", "--paths", "--index", shared]
        found = commands.run(argv, "/", dict(os.environ), terminal=False, questions=None)
        held.append((warm.indexes, found))
        for one in warm._indexes.values():
            one.close()

    monkeypatch.setattr(server, "serve", served)
    monkeypatch.setenv("KOSEARCH_RESIDENT", "on")
    code, out, err = said(["serve", "--index", shared], capsys)
    assert (code, out) == (0, "")
    assert "ready for questions" in err
    [(indexes, found)] = held
    assert indexes == [database(shared).address]
    assert found["code"] == 0
    printed = found["stdout"]
    assert isinstance(printed, bytes)
    assert sorted(os.path.basename(one) for one in printed.split()) == [b"ours.md", b"theirs.md"]
    monkeypatch.setenv("PGSSLMODE", "prefer")
    monkeypatch.setenv("PGPASSWORD", PASSWORD)
    environ = launcher._environment(config.load({}))
    assert (environ["PGSSLMODE"], "PGPASSWORD" in environ) == ("prefer", False)
    file, _ = service.install(["serve", "--watch", "--index", shared])
    assert ("PGSSLMODE=prefer" in file.read_text(), PASSWORD in file.read_text()) == (True, False)
    for argv in (["serve"], ["serve", "--detach"], ["serve", "--install"], ["serve", "--watch"]):
        code, out, err = said([*argv, "--index", shared], capsys)
        assert (code, out, PASSWORD in err) == (2, "", False)
        assert "is told no PGPASSWORD" in err
        assert "~/.pgpass" in err


def test_what_is_saved_while_serve_watches_is_found(postgres: TestServer, tmp_path: Path) -> None:
    from kosearch import config
    from kosearch.resident import server

    pytest.importorskip("watchfiles")
    docs = tmp_path / "docs"
    docs.mkdir()
    (docs / "one.md").write_text("A crane in the harbour", encoding="utf-8")
    place = database(postgres.url(f"test_{next(NUMBERS)}"))
    with kosearch.open(place.address) as index:
        index.index(docs)
        warm = server.Warm(config.load({}))
        warm.watch(place.address)
        try:
            assert until(lambda: warm.watchers[0].has_events, 30)
            (docs / "two.md").write_text("Ships in the harbour", encoding="utf-8")
            assert until(lambda: index.status().documents == 2, 30)
        finally:
            warm.watchers[0].stop()
            for library in list(warm._indexes.values()):
                library.close()


def test_the_page_shows_it_and_opens_nothing_of_another_machine(shared: str, tmp_path: Path) -> None:
    """What lies under the same path here is another file: its pages are not drawn, and no program is run for it."""
    httpx = pytest.importorskip("httpx")
    pytest.importorskip("starlette")
    import asyncio

    from starlette.applications import Starlette

    from kosearch import config
    from kosearch.cli import render
    from kosearch.ui.server import Page

    page = Page([config.load({"index": shared})], lambda answer: render.answer_as_json(answer, str(tmp_path)))

    async def asked() -> None:
        transport = httpx.ASGITransport(Starlette(routes=page.routes()))
        async with httpx.AsyncClient(transport=transport, base_url="http://page") as client:
            state = (await client.get("/api/status")).json()["indexes"][0]
            assert (state["documents"], state["name"], len(state["roots"])) == (2, shared, 1)
            hits = (await client.get("/api/search", params={"q": "harbour", "mode": "lexical"})).json()["hits"]
            states = {hit["name"]: hit["state"] for hit in hits}
            assert states == {"ours.md": "current", "theirs.md": "elsewhere"}
            for hit in hits:
                named = {name: hit[name] for name in ("index", "id", "key")}
                shown = (await client.get("/api/document", params=named)).json()
                assert (shown["state"], shown["view"]) == (hit["state"], "text")
                if hit["state"] == "elsewhere":
                    for answer in (
                        await client.post("/api/open", json={**named, "at": "0"}),
                        await client.get("/api/page", params={**named, "n": 1, "width": 800}),
                    ):
                        assert answer.status_code == 400
                        assert answer.json()["error"] == "the file lies on another machine"

    try:
        asyncio.run(asked())
    finally:
        page.close()


def test_agents_search_and_read_it(shared: str, tmp_path: Path) -> None:
    pytest.importorskip("mcp")
    from threading import Event

    from kosearch import config
    from kosearch.agents.asking import Asker
    from kosearch.agents.tools import ListFiles, Read, Refresh, Search, Status, Tools

    settings = config.load({"index": shared})
    tools = Tools(settings, Asker(settings, str(tmp_path)), str(tmp_path))
    found = tools.search(Search(questions=["harbour"], mode="lexical", path=[], type=[]))
    assert "ours.md" in found
    assert re.search(r"theirs\.md.* elsewhere", found)
    listed = {
        line.rpartition("/")[2][:4]: line.split()[0]
        for line in tools.list_files(ListFiles(path=[], type=[])).splitlines()
    }
    assert "(on another machine)" in tools.read(Read(id=listed["thei"]))
    assert "A crane in the harbour, ours" in tools.read(Read(id=listed["ours"]))
    assert "documents: 2 in 2 files" in tools.status(Status())
    assert "1 unchanged" in tools.refresh(Refresh(), lambda *_: None, Event())


def test_several_urls_are_shown_as_one_index(url: str) -> None:
    from kosearch import config
    from kosearch.cli import ui

    for named in ((f"{url} {url}2",), (url, f"{url}2")):
        found = ui._shown(config.load({"index": named[0]}), named, everywhere=False)
        assert [one.index for one in found] == [url, f"{url}2"]


@pytest.mark.parametrize("command", ["serve", "ui", "mcp", "query"])
def test_a_password_in_a_url_is_refused_by_whoever_takes_one(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    argv = [command, *(["a"] if command == "query" else []), "--index", f"postgresql://me:{PASSWORD}@localhost/db"]
    code, out, err = said(argv, capsys)
    assert (code, out, PASSWORD in err) == (2, "", False)
    assert err.startswith("kosearch: there is a password in the URL of the index")


def test_psycopg_is_imported_only_for_a_url() -> None:
    script = "import sys; from kosearch.cli import main; main(['status']); print('psycopg' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
