"""Vectors of questions that are asked run after run: none is made twice, and nothing wrong is ever taken for one."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from conftest import CORPUS, Program
from embedding_making import write_small
from index_making import without_processes

import kosearch
from kosearch import embedding
from kosearch.cli import main
from kosearch.embedding import Model, kept
from kosearch.embedding.kept import KeptVectors
from kosearch.library import Index


class Counting:
    """An embedder that makes a vector of a text, and remembers what it was asked."""

    def __init__(self, model: Model) -> None:
        self.model = model
        self.asked: list[str] = []

    def embed_queries(self, texts: Sequence[str]) -> np.ndarray:
        self.asked += texts
        rows = [np.random.default_rng([*text.encode()]).normal(size=self.model.dimensions) for text in texts]
        return np.array(rows, np.float32).reshape(-1, self.model.dimensions)

    def embed_passages(self, texts: Sequence[str], progress: Callable[[int], None] | None = None) -> np.ndarray:
        return -self.embed_queries(texts)


@pytest.fixture
def model(tmp_path: Path) -> Model:
    return embedding.resolve(str(write_small(tmp_path / "small", width=16)), cache_dir=tmp_path / "cache")


@pytest.fixture
def cache(tmp_path: Path) -> Path:
    return tmp_path / "cache"


def asked(embedder: Counting, cache: Path, *texts: str) -> np.ndarray:
    """The vectors of a run that asks for these texts; it sees what others made of them."""
    run = KeptVectors(embedder, cache)
    found = run.embed_queries(texts)
    run.keep()
    assert np.array_equal(found, Counting(embedder.model).embed_queries(texts))
    return found


def file_of(embedder: Counting, cache: Path) -> Path:
    return cache / "kept-vectors" / f"{embedder.model.fingerprint}.vectors"


def test_what_one_run_embedded_another_one_has(model: Model, cache: Path) -> None:
    embedder = Counting(model)
    asked(embedder, cache, "가", "나", "가")
    assert embedder.asked == ["가", "나"]
    asked(embedder, cache, "나", "다", "가")
    assert embedder.asked == ["가", "나", "다"]
    run = KeptVectors(embedder, cache)
    assert np.array_equal(run.embed_passages(["가"]), -run.embed_queries(["가"]))
    assert embedder.asked == ["가", "나", "다", "가"]
    assert run.embed_queries([]).shape == (0, 16)


def test_it_is_private_and_holds_no_text(model: Model, cache: Path) -> None:
    embedder = Counting(model)
    asked(embedder, cache, "what nobody else may read")
    file = file_of(embedder, cache)
    assert b"nobody" not in file.read_bytes()
    assert file.parent.stat().st_mode & 0o077 == 0
    assert os.listdir(file.parent) == [file.name]


def test_another_model_has_its_own(model: Model, cache: Path) -> None:
    """Its fingerprint holds weights, prompts and length; fewer dimensions are another model's, too."""
    asked(Counting(model), cache, "가")
    for other in (replace(model, fingerprint="f" * 64), embedding.truncated(model, 8)):
        embedder = Counting(other)
        asked(embedder, cache, "가")
        assert embedder.asked == ["가"]


def test_what_is_not_as_it_was_written_is_made_anew(model: Model, cache: Path) -> None:
    embedder = Counting(model)
    asked(embedder, cache, "가", "나")
    file = file_of(embedder, cache)
    whole = file.read_bytes()
    damaged = [whole[:place] + bytes([whole[place] ^ 1]) + whole[place + 1 :] for place in range(0, len(whole), 5)]
    cut = [whole[:size] for size in (0, 1, 31, 32, 33, len(whole) - 1)]
    for content in (*damaged, *cut, whole + b"\0", os.urandom(4096)):
        file.write_bytes(content)
        embedder.asked.clear()
        asked(embedder, cache, "가", "나")
        assert embedder.asked == ["가", "나"]
        assert file.read_bytes() == whole


def test_what_is_no_number_is_not_kept(model: Model, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    embedder = Counting(model)
    with monkeypatch.context() as broken:
        broken.setattr(embedder, "embed_queries", lambda texts: np.full((len(texts), 16), np.nan, np.float32))
        run = KeptVectors(embedder, cache)
        run.embed_queries(["가"])
        run.keep()
    asked(embedder, cache, "가")
    assert embedder.asked == ["가"]


def test_there_is_an_end_to_it(model: Model, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kept, "MOST_BYTES", 10 * (32 + 4 * 16))
    monkeypatch.setattr(kept, "MOST_FILES", 3)
    embedder = Counting(model)
    texts = [str(number) for number in range(25)]
    for text in texts:
        asked(embedder, cache, text)
    assert file_of(embedder, cache).stat().st_size == 32 + 10 * (32 + 4 * 16)
    embedder.asked.clear()
    asked(embedder, cache, *texts)
    assert embedder.asked == texts[:15]
    for number in range(5):
        asked(Counting(replace(model, fingerprint=str(number))), cache, "가")
    assert sorted(os.listdir(cache / "kept-vectors")) == ["2.vectors", "3.vectors", "4.vectors"]


def test_a_cache_that_cannot_be_written_costs_no_more_than_time(model: Model, cache: Path) -> None:
    cache.mkdir(exist_ok=True)
    (cache / "kept-vectors").write_text("a file where the folder belongs", encoding="utf-8")
    embedder = Counting(model)
    for _ in range(2):
        asked(embedder, cache, "가")
    assert embedder.asked == ["가", "가"]


def test_two_at_once_leave_a_whole_file(model: Model, cache: Path) -> None:
    def run(first: int) -> None:
        for number in range(first, first + 20):
            asked(Counting(model), cache, str(number), "shared")

    threads = [threading.Thread(target=run, args=(start,)) for start in (0, 100, 200)]
    for one in threads:
        one.start()
    for one in threads:
        one.join()
    embedder = Counting(model)
    asked(embedder, cache, "shared")
    assert embedder.asked == []


@pytest.fixture
def questions(tmp_path: Path) -> Path:
    file = tmp_path / "questions.jsonl"
    rows = [("연차를 다음 해로 넘길 수 있나요?", "휴가규정.md"), ("숙박비 상한은 얼마인가요?", "출장비.html")]
    file.write_text("".join(json.dumps({"question": q, "expected": e}) + "\n" for q, e in rows), encoding="utf-8")
    return file


def test_a_second_eval_loads_no_model(
    questions: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("KOSEARCH_CACHE_DIR", str(tmp_path / "cache"))
    monkeypatch.setenv("KOSEARCH_MODEL", str(write_small(tmp_path / "small", width=16)))
    without_processes(monkeypatch)
    kosearch.open().index(CORPUS)
    assert main(["eval", str(questions), "-q", "--json"]) == 0
    first = capsys.readouterr().out

    def refuse(self: Index) -> None:
        raise AssertionError("the model was loaded")

    monkeypatch.setattr(Index, "query_embedder", property(refuse))
    monkeypatch.setattr(Index, "embedder", property(refuse))
    assert main(["eval", str(questions), "-q", "--json"]) == 0
    assert capsys.readouterr().out == first


def test_a_second_eval_imports_neither_torch_nor_a_tokenizer(program: Program, questions: Path) -> None:
    program.run("index", CORPUS, "-q")
    code = (
        "import sys; from kosearch.cli import main; main(sys.argv[1:]);"
        "print(sorted({'torch', 'onnxruntime', 'tokenizers', 'transformers'} & set(sys.modules)), file=sys.stderr)"
    )
    command = [sys.executable, "-c", code, "eval", str(questions), "-q"]
    first, again = (
        subprocess.run(command, env=program.environment, capture_output=True, text=True, check=True) for _ in range(2)
    )
    assert again.stdout == first.stdout
    assert again.stderr.splitlines()[-1] == "[]"
