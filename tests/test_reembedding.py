"""`kosearch index --into`: another index of the same documents, whose files are not read again."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import CORPUS, Program
from embedding_making import write_hole, write_small
from index_making import without_processes
from postgres_making import TestServer

import kosearch
from kosearch import embedding
from kosearch.cli import main
from kosearch.config import load
from kosearch.errors import IndexMismatch
from kosearch.index import Snapshot
from kosearch.index import SqliteStore as Store
from kosearch.library import Index


@pytest.fixture(autouse=True)
def _no_processes(monkeypatch: pytest.MonkeyPatch) -> None:
    without_processes(monkeypatch)


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Two models that read 128 tokens, and one that reads more."""
    place = tmp_path_factory.mktemp("models")
    sizes = {"one": (128, 1), "two": (128, 2), "long": (512, 3)}
    return {name: str(write_small(place / name, length=size, seed=seed)) for name, (size, seed) in sizes.items()}


@pytest.fixture
def corpus(tmp_path: Path) -> Path:
    """Documents, one with pages and headings, and a file that cannot be read."""
    folder = tmp_path / "corpus"
    for name in ("manuals/소방안전.pdf", "manuals/espresso-machine.md", "규정/출장비.html", "notes/backup-diary.rst"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(CORPUS / name, folder / name)
    (folder / "broken.pdf").write_bytes(b"%PDF-1.4 cut off")
    return folder


def holdings(name: str) -> list[object]:
    """What an index holds, without the numbers that its history gave."""
    index = Index(load({"index": name})).store
    with index.snapshot() as snapshot:
        found = sorted(map(repr, _passages(snapshot)))
    files = sorted(repr(state) for state in _files(index))
    return [found, files, index.roots(), sorted(map(repr, index.problems()))]


def _passages(snapshot: Snapshot) -> Iterator[tuple[object, ...]]:
    for document in snapshot.documents():
        yield (document.path, document.size, document.mtime_ns, document.text_hash, document.metadata, document.title)
    ids, _ = snapshot.dense(np.ones(snapshot.identity.dimensions, np.float32), 10_000)
    for one, terms in zip(snapshot.stored(ids), snapshot.terms(ids), strict=True):
        yield (one.document.path, one.ordinal, one.passage, one.text, terms)


def similar(first: str, second: str) -> bool:
    """Whether two indexes of the same passages have the same vectors, but for how they were put together in steps."""
    found = []
    for name in (first, second):
        with Index(load({"index": name})).store.snapshot() as snapshot:
            ids, _ = snapshot.dense(np.ones(snapshot.identity.dimensions, np.float32), 10_000)
            by_place = {(one.document.path, one.ordinal): one.id for one in snapshot.stored(ids)}
            found.append(snapshot._tables.vectors([by_place[place] for place in sorted(by_place)]))
    return bool(np.allclose(*found, atol=5e-3))


def _files(index: Store) -> Iterator[object]:
    for stored in index.stored_files():
        yield stored.state, stored.partial


def test_is_what_indexing_the_files_would_have_made(small: dict[str, str], corpus: Path, tmp_path: Path) -> None:
    assert main(["index", str(corpus), "--exclude", "*.tmp", "--model", small["long"], "-q"]) == 0
    assert main(["index", str(corpus), "--exclude", "*.tmp", "--model", small["one"], "--index", "direct", "-q"]) == 0
    corpus.rename(tmp_path / "away")  # nothing is read
    assert main(["index", "--model", small["one"], "--into", "taken", "-q"]) == 0
    assert holdings("taken") == holdings("direct")
    assert similar("taken", "direct")
    assert Index(load({"index": "taken"})).store.check() == []
    (tmp_path / "away").rename(corpus)


def test_the_files_are_unchanged_for_the_next_run(
    small: dict[str, str], corpus: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["index", str(corpus), "--model", small["one"], "-q"]) == 0
    assert main(["index", "--model", small["two"], "--into", "taken", "-q", "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert (report["index"], report["added"], len(report["skipped"])) == ("taken", 4, 1)
    assert report["embedded"] == report["passages"] > 4
    assert main(["index", "--index", "taken", "-q", "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert (report["unchanged"], report["added"], report["changed"], report["embedded"]) == (5, 0, 0, 0)


def test_a_server_keeps_one_of_them(small: dict[str, str], corpus: Path, postgres: TestServer) -> None:
    """Or both: passages and vectors are those of the files, and files are unchanged for the next run."""
    url = partial(postgres.url, source="here")
    assert main(["index", str(corpus), "--model", small["one"], "-q"]) == 0
    assert main(["index", str(corpus), "--model", small["one"], "-q", "--index", url("into_one")]) == 0
    assert main(["index", str(corpus), "--model", small["two"], "-q", "--index", "direct"]) == 0
    found = []
    for source, made in (("default", url("into_in")), (url("into_one"), "out"), (url("into_one"), url("into_other"))):
        assert main(["index", "--index", source, "--model", small["two"], "--into", made, "-q"]) == 0
        with kosearch.open(made) as index, kosearch.open("direct") as direct:
            assert index.check() == []
            assert sorted(map(repr, index.problems())) == sorted(map(repr, direct.problems()))
            ask = partial(Index.search, question="소화기 사용법", mode="dense", k=1000)
            found += [sorted((hit.path, hit.text, round(hit.score, 2)) for hit in ask(one)) for one in (index, direct)]
            report = index.index()
            assert (report.unchanged, report.added, report.changed, report.embedded) == (5, 0, 0, 0)
    assert all(one == found[0] and one for one in found)


def test_passages_fit_a_model_that_reads_little(small: dict[str, str], corpus: Path) -> None:
    assert main(["index", str(corpus), "--model", small["long"], "-q"]) == 0
    assert main(["index", "--model", small["one"], "--into", "short", "-q"]) == 0
    made = Index(load({"index": "short"}))
    assert made.store.identity.passage_tokens == 64
    tokens = embedding.token_offsets(made.model)
    processor = made.processor
    for stored in made.store.stored_files():
        for document in stored.documents:
            for passage in processor.process(document, stored.path).passages:
                assert len(tokens(made.model.prompts.passage + passage.model_text)) < made.model.max_tokens


def test_goes_on_after_an_interruption(
    small: dict[str, str], corpus: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["index", str(corpus), "--model", small["one"], "-q"]) == 0
    assert main(["index", "--model", small["two"], "--into", "whole", "-q"]) == 0
    plain, calls = Index.embed_passages, 0

    def once(self: Index, texts: list[str], *rest: Any) -> embedding.Vectors:
        nonlocal calls
        calls += 1
        if calls > 1:
            raise KeyboardInterrupt
        return plain(self, texts, *rest)

    with monkeypatch.context() as patch:
        patch.setattr("kosearch.indexing.BATCH", 1)
        patch.setattr(Index, "embed_passages", once)
        assert main(["index", "--model", small["two"], "--into", "halves", "-q"]) == 130
    assert Index(load({"index": "halves"})).status().documents == 1
    assert main(["index", "--model", small["two"], "--into", "halves", "-q", "--json"]) == 0
    report = json.loads(capsys.readouterr().out)
    assert (report["unchanged"], report["added"]) == (2, 3)  # the broken file counts
    assert holdings("halves") == holdings("whole")
    assert similar("halves", "whole")


def test_what_a_file_held_before_it_broke_is_taken_too(small: dict[str, str], corpus: Path) -> None:
    assert main(["index", str(corpus), "--model", small["one"], "-q"]) == 0
    (corpus / "manuals/소방안전.pdf").write_bytes(b"%PDF-1.4 cut off too")
    assert main(["index", "--model", small["one"], "-q"]) == 0
    before = Index(load({})).status()
    assert main(["index", "--model", small["two"], "--into", "taken", "-q"]) == 0
    after = Index(load({"index": "taken"})).status()
    assert (after.documents, after.problems) == (before.documents, before.problems) == (4, {"broken": 2})


def test_documents_without_their_structure_say_what_to_run(small: dict[str, str], corpus: Path) -> None:
    """As versions before this one stored them."""
    assert main(["index", str(corpus), "--model", small["one"], "-q"]) == 0
    index = Index(load({})).store
    with index.writer() as writer:
        writer._connection.execute("DELETE FROM text WHERE part < 0")
    assert index.check() == []
    with pytest.raises(IndexMismatch, match="did not keep its headings"):
        list(index.stored_files())


MISTAKES = [
    (["--into", "default"], "would be the index 'default' once more", "--model"),
    (["--into", "other"], "would be the index 'default' once more", "--dimensions"),
    (["--into", "other", ".", "--model", "two"], "--into reads no files", "leave out paths"),
    (["--into", "there", "--model", "two"], "there is an index 'there' already", "kosearch index --index there"),
    (["--into", "other", "--index", "none", "--model", "two"], "there is no index 'none'", "kosearch index PATH"),
    (["--into", "other", "--model", "./nowhere"], "there is no such directory", "check the path"),
    (["--into", "other", "--dimensions", "9"], "gives 8 dimensions, fewer than 9", "--dimensions 8 is the most"),
]


@pytest.mark.parametrize(("arguments", "message", "hint"), MISTAKES, ids=[" ".join(one[0]) for one in MISTAKES])
def test_mistakes(
    arguments: list[str],
    message: str,
    hint: str,
    small: dict[str, str],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    (tmp_path / "note.txt").write_text("A note about ferries.")
    assert main(["index", str(tmp_path / "note.txt"), "--model", small["one"], "-q"]) == 0
    if "there" in arguments:
        assert main(["index", "--into", "there", "--model", small["two"], "-q"]) == 0
    assert main(["index", *(small.get(one, one) for one in arguments), "-q"]) in (2, 3, 4)
    first, *rest = capsys.readouterr().err.splitlines()
    assert message in first
    assert hint in "".join(rest)
    assert not Store.exists(Index(load({"index": "other"})).directory)


class TestDimensions:
    """Matryoshka truncation: the first numbers of a vector, at length 1."""

    def test_vectors_are_the_beginnings_of_the_whole_ones(self, small: dict[str, str], cache_dir: Path) -> None:
        model = embedding.resolve(small["one"], cache_dir=cache_dir)
        short = embedding.truncated(model, 4)
        assert (short.dimensions, short.fingerprint == model.fingerprint) == (4, False)
        assert embedding.truncated(model, 8) is model
        texts = ["A ferry leaves.", "짧다"]
        whole = embedding.load(model, "cpu", precision="float32").embed_queries(texts)[:, :4]
        whole /= np.linalg.norm(whole, axis=1, keepdims=True)
        found = embedding.load(short, "cpu", precision="float32").embed_queries(texts)
        np.testing.assert_allclose(found, whole, atol=1e-6)
        np.testing.assert_allclose(embedding.load_for_queries(short).embed_queries(texts), whole, atol=1e-5)

    def test_an_index_keeps_them(self, small: dict[str, str], corpus: Path, capsys: pytest.CaptureFixture[str]) -> None:
        where = [str(corpus), "--model", small["one"]]
        assert main(["index", *where, "--dimensions", "4"]) == 0
        assert "is not known to be trained for 4 dimensions" in capsys.readouterr().err
        assert Index(load({})).store.identity.dimensions == 4
        assert main(["index", "-q"]) == 0
        assert main(["query", "descaling", "--mode", "dense"]) == 0
        assert main(["index", "--dimensions", "6", "-q"]) == 4
        assert "kosearch index --into NAME --dimensions 6" in capsys.readouterr().err
        assert main(["query", "descaling", "--mode", "dense", "--index", "default"]) == 0

    def test_the_matryoshka_models_are_taken_at_their_word(self) -> None:
        assert embedding.known("Alibaba-NLP/gte-multilingual-base").matryoshka  # type: ignore[union-attr]
        assert not embedding.known("bundled").matryoshka  # type: ignore[union-attr]


def test_too_little_memory_is_said_before_a_file_is_read(
    program: Program, tmp_path: Path, small: dict[str, str]
) -> None:
    """A model of 600 million weights, in a file with a hole in it, under a limit of 2 GB."""
    big = tmp_path / "big"
    shutil.copytree(small["one"], big)
    write_hole(big / "model.safetensors", {"embeddings.word_embeddings.weight": (300, 8), "x": (600_000_000,)})
    (tmp_path / "note.txt").write_text("A note about ferries.")
    result = program.shell(f"ulimit -v 2000000; kosearch index {tmp_path}/note.txt --model {big} || echo $?")
    assert result.stdout == "3\n"
    first, hint = result.stderr.splitlines()
    assert "needs 2.2 GiB of memory, and 1." in first
    assert "--model bundled" in hint
    assert program.run("status").returncode == 4, "no empty index is left that only this model fits"
    assert program.run("index", tmp_path / "note.txt", "--model", small["one"]).returncode == 0


def test_the_model_of_the_source_is_not_needed(small: dict[str, str], corpus: Path, tmp_path: Path) -> None:
    """The model that made the index may be gone."""
    gone = tmp_path / "gone"
    shutil.copytree(small["one"], gone)
    assert main(["index", str(corpus), "--model", str(gone), "-q"]) == 0
    shutil.rmtree(gone)
    assert main(["index", "--model", small["two"], "--into", "taken", "-q"]) == 0
    assert Index(load({"index": "taken"})).status().documents == 4
