"""What every way of finding the nearest passages promises: flat files, the graph, and SQLite alone."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from index_making import IDENTITY, QUERY, quick_folder, source
from numpy.typing import NDArray

from kosearch.index import NewDocument, NewPassage, Snapshot, SqliteStore, vectors
from kosearch.records import Extracted, Passage

ROWS = 400
D = IDENTITY.dimensions

Vectors = NDArray[np.float32]


def fill(folder: Path, vectors: Vectors, storage: str = "float16", *, per_document: int = 10) -> SqliteStore:
    """An index whose passage n has vectors[n], and then loses the first document."""
    index = SqliteStore.create(folder, replace(IDENTITY, storage=storage))
    with index.writer() as writer:
        for start in range(0, len(vectors), per_document):
            part = vectors[start : start + per_document]
            passages = [NewPassage(Passage(0, 1, 1, 1), bytes(16), vector, {}) for vector in part]
            writer.put(source(str(start)), "", [NewDocument(Extracted("x", "text"), passages)])
            if start == 200:
                writer.publish()
        writer.publish()
        writer.remove([source("0").path_bytes])
        writer.publish()
    return index


@pytest.fixture(params=["float16", "int8"])
def storage(request: pytest.FixtureRequest) -> str:
    """What vectors are kept in."""
    return str(request.param)


@pytest.fixture(params=["flat", "graph", "sqlite"])
def way(
    request: pytest.FixtureRequest, storage: str, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Callable[[Vectors], Snapshot]]:
    """A function from vectors to a snapshot that holds them."""
    monkeypatch.setattr(vectors, "MIN_ROWS", 100 if request.param == "graph" else 10**9)
    monkeypatch.setattr(vectors, "RECALL", 0.0)  # it is kept whatever the vectors: among equals it finds others
    with quick_folder() as folder:

        def open_snapshot(vectors: Vectors) -> Snapshot:
            index = fill(folder, vectors, storage)
            if request.param == "sqlite":
                index.close()
                shutil.rmtree(folder / "generation-3")
            context = index.snapshot(warm=request.param == "graph")
            snapshot = context.__enter__()
            request.addfinalizer(lambda: context.__exit__(None, None, None))
            assert bool(list(folder.glob("generation-3/*.usearch"))) == (request.param == "graph")
            return snapshot

        yield open_snapshot


def random_vectors(rows: int = ROWS, seed: int = 0) -> Vectors:
    return np.random.default_rng(seed).normal(size=(rows, D)).astype(np.float32)


def expected(vectors: Vectors, query: Vectors) -> tuple[list[int], list[float]]:
    """Passage ids and cosines by the definition, in float64; the first ten are gone."""
    wide = vectors.astype(np.float64)
    wide /= np.linalg.norm(wide, axis=1, keepdims=True)
    scores = wide @ (query / np.linalg.norm(query.astype(np.float64)))
    order = np.argsort(-scores, kind="stable")
    order = order[order >= 10]
    return (order + 1).tolist(), scores[order].tolist()


def test_the_nearest_come_first(way: Callable[[Vectors], Snapshot], storage: str) -> None:
    vectors = random_vectors()
    snapshot = way(vectors)
    for seed in range(5):
        query = random_vectors(1, 100 + seed)[0]
        ids, cosines = expected(vectors, query)
        found, scores = snapshot.dense(query, 50)
        assert found.dtype == np.int64
        assert scores.dtype == np.float32
        assert scores.tolist() == pytest.approx(cosines[:50], abs=2e-3 if storage == "float16" else 1e-2)
        # Rounding may swap neighbours.
        assert len(set(ids[:50]) & set(found.tolist())) >= (48 if storage == "float16" else 46)


def test_scores_are_exact_for_what_is_stored(way: Callable[[Vectors], Snapshot]) -> None:
    snapshot = way(random_vectors())
    found, scores = snapshot.dense(QUERY, 100)
    assert np.array_equal(snapshot.cosines(QUERY, found), scores)
    assert np.array_equal(snapshot.cosines(QUERY, found[::-1]), scores[::-1])
    assert np.array_equal(snapshot.dense(QUERY, 7)[0], found[:7])


def test_the_length_of_a_query_does_not_matter(way: Callable[[Vectors], Snapshot]) -> None:
    snapshot = way(random_vectors())
    found, scores = snapshot.dense(QUERY, 10)
    for factor in (1e-3, 1e3):
        other, other_scores = snapshot.dense((QUERY * np.float32(factor)).astype(np.float32), 10)
        assert np.array_equal(found, other)
        assert other_scores == pytest.approx(scores, abs=1e-6)


def test_ties_are_broken_by_path_where_not_all_have_room(way: Callable[[Vectors], Snapshot]) -> None:
    snapshot = way(np.tile(random_vectors(4, 3), (100, 1)))
    everything, all_scores = snapshot.dense(QUERY, 1000)  # more than a graph is asked for
    found, scores = snapshot.dense(QUERY, 150)
    last = scores == scores[-1]
    for score in set(scores[~last].tolist()):
        assert (np.diff(found[scores == score]) > 0).all()
    names = [(one.document.path, one.ordinal) for one in snapshot.stored(found[last])]
    assert names == sorted(names)
    if not snapshot._derived or not snapshot._derived.dense or snapshot._derived.dense._graph is None:
        tied = snapshot.stored(everything[all_scores == scores[-1]])  # which of equals a graph finds is its own choice
        assert names == sorted((one.document.path, one.ordinal) for one in tied)[: len(names)]


def test_k_is_capped(way: Callable[[Vectors], Snapshot]) -> None:
    snapshot = way(random_vectors())
    found, _ = snapshot.dense(QUERY, 10_000)
    assert sorted(found.tolist()) == list(range(11, ROWS + 1))
    assert snapshot.dense(QUERY, 0)[0].size == 0


def test_only_some_documents(way: Callable[[Vectors], Snapshot]) -> None:
    snapshot = way(random_vectors())
    for documents in ([3], [2, 5, 30], list(range(2, 41))):
        found, scores = snapshot.dense(QUERY, 1000, np.array(documents))
        assert sorted(found.tolist()) == [number for one in documents for number in range(10 * one - 9, 10 * one + 1)]
        assert (np.diff(scores) <= 0).all()
    assert snapshot.dense(QUERY, 10, np.array([1]))[0].size == 0
    assert snapshot.dense(QUERY, 10, np.array([10**9]))[0].size == 0
    assert snapshot.dense(QUERY, 10, np.zeros(0, np.int64))[0].size == 0


def test_vectors_and_queries_of_nothing(way: Callable[[Vectors], Snapshot]) -> None:
    vectors = random_vectors()
    vectors[50] = 0
    vectors[51] *= 1e30  # beyond float16 until it is scaled
    snapshot = way(vectors)
    scores = snapshot.cosines(vectors[51] / np.float32(1e30), np.array([51, 52]))
    assert scores.tolist() == pytest.approx([0, 1], abs=1e-3)
    assert snapshot.dense(np.zeros(D, np.float32), 5)[1].tolist() == [0] * 5


def test_a_graph_goes_unused_when_it_cannot_say(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A graph may find fewer than were asked for; then the scan answers."""
    monkeypatch.setattr(vectors, "MIN_ROWS", 100)
    index = fill(tmp_path, random_vectors())
    with index.snapshot() as snapshot:
        found = snapshot.dense(QUERY, 20)[0].tolist()

    with index.snapshot(warm=True) as snapshot:
        assert snapshot._derived
        assert snapshot._derived.dense
        loaded = snapshot._derived.dense._graph
        assert loaded

        class Failing:
            def __len__(self) -> int:
                return 400

            def search(self, *_: object, **__: object) -> Any:
                return SimpleNamespace(keys=np.arange(1, 4))

        monkeypatch.setattr(loaded, "_index", Failing())
        assert snapshot.dense(QUERY, 20)[0].tolist() == found
        assert len(snapshot.dense(QUERY, 390)[0]) == 390  # more than a graph is asked for
