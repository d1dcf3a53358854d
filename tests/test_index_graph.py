"""When a graph is built, brought up to date, and used."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from index_making import DIMENSIONS, QUERY, make, put, quick_folder, source

from kosearch.index import Snapshot, SqliteStore, files, vectors
from kosearch.index.contract import Ids, Vectors
from kosearch.index.files import Damaged, Graph, Manifest
from kosearch.index.vectors import Dense, HnswGraph, unit


@pytest.fixture
def folder(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """For an index of 200 passages, of which a hundred are enough for a graph."""
    monkeypatch.setattr(vectors, "MIN_ROWS", 100)
    with quick_folder() as folder:
        yield folder


def dense_of(snapshot: Snapshot) -> Dense:
    assert snapshot._derived
    assert snapshot._derived.dense
    return snapshot._derived.dense


def additions(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many items are added to a graph at a time, from now on."""
    sizes: list[int] = []
    add = HnswGraph.add

    def noted(graph: HnswGraph, ids: Ids, rows: Vectors) -> None:
        sizes.append(len(ids))
        add(graph, ids, rows)

    monkeypatch.setattr(HnswGraph, "add", noted)
    return sizes


def graph_of(index: SqliteStore) -> Graph:
    with index.snapshot() as snapshot:
        found = dense_of(snapshot).manifest.graph
    assert found
    return found


def test_a_graph_lacks_a_tenth_at_most_and_never_many_rows() -> None:
    assert vectors.lag(1000) == 100
    assert vectors.lag(100_000) == 10_000
    assert vectors.lag(1_000_000) == 25_000


def test_changes_extend_a_graph(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Few are scanned beside it, more are added to it, and it is built once."""
    added = additions(monkeypatch)
    index = make(folder, [f"f{number}" for number in range(50)])
    first = graph_of(index)
    assert (first.items, first.ef) == (200, 400)
    with index.writer() as writer:
        put(writer, "f0", version=1)  # four passages leave, four come
        writer.publish()
        assert graph_of(index).name == first.name
        for number in range(1, 5):
            put(writer, f"f{number}", version=1)
        writer.publish()
    later = graph_of(index)
    assert later.items == first.items  # new ones take the places of those that left
    assert added == [200, 20]
    with index.snapshot() as scanned, index.snapshot(warm=True) as warm:
        assert np.array_equal(warm.dense(QUERY, 20), scanned.dense(QUERY, 20))
    assert index.check() == []


def test_a_graph_is_kept_below_the_size_from_which_one_is_built(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    index = make(folder, [f"f{number}" for number in range(50)])
    first = graph_of(index)
    monkeypatch.setattr(vectors, "MIN_ROWS", first.items)
    with index.writer() as writer:
        writer.remove([source("f0").path_bytes])
        writer.publish()
        assert graph_of(index).name == first.name
        writer.remove([source(f"f{number}").path_bytes for number in range(1, 20)])
        writer.publish()
    with index.snapshot() as snapshot:
        assert dense_of(snapshot).manifest.graph is None


def test_what_a_graph_lacks_is_found_beside_it(folder: Path) -> None:
    index = make(folder, [f"f{number}" for number in range(50)])
    with index.writer() as writer:
        put(writer, "new")
        writer.publish()
    with index.snapshot(warm=True) as snapshot:
        dense = dense_of(snapshot)
        last = dense.live_ids[-4:]
        assert graph_of(index).last < last[0]
        for number in last:
            (vector,) = dense.take(dense.rows(np.array([number])))
            found = dense.search_graph(vector, 5)
            assert found
            assert found[0][0] == number


@pytest.mark.parametrize("trial", [60, 10**6])
def test_a_graph_that_would_find_too_little_is_not_kept(
    folder: Path, monkeypatch: pytest.MonkeyPatch, trial: int
) -> None:
    """Found out by a few of the passages, where there are more; and again when there are twice as many."""
    built = additions(monkeypatch)
    monkeypatch.setattr(vectors, "TRIAL", trial)
    monkeypatch.setattr(vectors, "RECALL", 1.1)
    index = make(folder, [f"f{number}" for number in range(50)])
    with index.snapshot(warm=True) as snapshot:
        manifest = dense_of(snapshot).manifest
        assert (manifest.graph, manifest.declined) == (None, 200)
        assert dense_of(snapshot).search_graph(QUERY, 5) is None
        assert len(snapshot.dense(QUERY, 5)[0]) == 5
    assert built == [min(trial, 200)]
    monkeypatch.setattr(vectors, "RECALL", 0.9)
    with index.writer() as writer:
        put(writer, "more")
        writer.publish()
        assert built == [min(trial, 200)]
        for number in range(50):
            put(writer, f"g{number}")
        writer.publish()
    assert graph_of(index).items == 404
    assert built[1:] == [one for one in (trial, 404) if one <= 404]
    assert index.check() == []


def test_one_product_away_a_graph_waits_for_the_next_change(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    index = make(folder, [f"f{number}" for number in range(50)])
    added = additions(monkeypatch)
    other = SqliteStore.derive(
        tmp_path / "head", index, replace(index.identity, fingerprint="head"), lambda rows: -rows
    )
    with other.snapshot(warm=True) as snapshot:
        assert dense_of(snapshot).manifest.graph is None
        assert len(snapshot.dense(QUERY, 5)[0]) == 5
    assert added == []
    with other.writer() as writer:
        put(writer, "new")
        writer.publish()
    assert graph_of(other).items == 204
    assert other.check() == []


def test_where_none_paid_none_is_tried_one_product_away(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(vectors, "RECALL", 1.1)
    index = make(folder, [f"f{number}" for number in range(50)])
    added = additions(monkeypatch)
    other = SqliteStore.derive(
        tmp_path / "head", index, replace(index.identity, fingerprint="head"), lambda rows: -rows
    )
    with other.writer() as writer:
        put(writer, "new")
        writer.publish()
    assert added == []


def test_a_graph_of_an_earlier_version_that_finds_too_little_goes_unused(tmp_path: Path) -> None:
    np.array([[1, 1], [2, 1], [3, 1]], np.int64).tofile(tmp_path / "rows.i64")
    np.eye(3, 4, dtype=np.float32).tofile(tmp_path / "vectors-1.f32")
    dense = Dense(tmp_path, Manifest(1, 4, parts=(("vectors-1.f32", 3),), graph=Graph("graph-1.usearch", 3, 3, ef=0)))
    dense.load_graph(None)
    assert dense.search_graph(np.ones(4, np.float32), 1) is None


def test_a_graph_of_another_library_is_built_anew(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Earlier versions wrote hnswlib's; until the next run indexes, a scan answers, and nobody is bothered."""
    names = [f"f{number}" for number in range(50)]
    with monkeypatch.context() as patch:
        patch.setattr(files, "GRAPH_SUFFIX", ".hnsw")
        patch.setattr(vectors, "GRAPH_SUFFIX", ".hnsw")
        patch.setattr(HnswGraph, "save", lambda _, path: path.write_bytes(b"hnswlib's"))
        index = make(folder, names)
    assert graph_of(index).name == "graph-1.hnsw"
    with index.snapshot(warm=True) as snapshot:
        assert snapshot.warnings == ()
        assert dense_of(snapshot).search_graph(QUERY, 5) is None
        found = snapshot.dense(QUERY, 5)
    assert index.check() == []
    with index.writer() as writer:
        assert writer.publish() == 2
        assert writer.publish() == 2
    assert graph_of(index).name == "graph-2.usearch"
    with index.snapshot(warm=True) as snapshot:
        assert np.array_equal(snapshot.dense(QUERY, 5), found)


def test_a_graph_is_made_and_left_as_the_user_says(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing changed: the setting alone has the next run make one, however few passages there are, or drop it."""
    monkeypatch.setattr(vectors, "MIN_ROWS", 10_000)
    monkeypatch.setattr(vectors, "LEAST_ROWS", 100)
    index = make(folder, [f"{number}.txt" for number in range(50)])
    assert index.status().graph is None
    for ann, has_one in (("hnsw", True), ("auto", True), ("exact", False), ("auto", False)):
        index.ann = ann
        with index.writer() as writer:
            generation = writer.publish()
            assert writer.publish() == generation
        graph = index.status().graph
        assert bool(graph) == has_one
        if graph:
            assert graph["width"] == graph_of(index).ef
            assert graph["recall"] >= vectors.RECALL
    index.ann = "hnsw"
    with index.writer() as writer:
        writer.publish()
    monkeypatch.setattr(vectors, "MIN_ROWS", 100)
    index.ann = "exact"
    with index.writer() as writer:
        writer.publish()
    index.ann = "auto"
    with index.writer() as writer:
        writer.publish()
    assert index.status().graph
    index.ann = "exact"
    assert index.status().graph is None  # there is one, which is not used
    with index.snapshot(warm=True) as snapshot:
        assert dense_of(snapshot).search_graph(QUERY, 5) is None


def test_a_graph_that_a_user_wants_is_kept_whatever_it_finds(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """And where none can be had, each run is not another try."""
    monkeypatch.setattr(vectors, "MIN_ROWS", 10_000)
    monkeypatch.setattr(vectors, "LEAST_ROWS", 100)
    monkeypatch.setattr(vectors, "RECALL", 1.1)
    index = make(folder / "one", [f"{number}.txt" for number in range(50)])
    index.ann = "hnsw"
    for _ in range(2):
        with index.writer() as writer:
            assert writer.publish() == 2
    graph = index.status().graph
    assert graph
    assert vectors._WIDEST / vectors._WIDER < graph["width"] <= vectors._WIDEST
    monkeypatch.setattr(vectors, "available", lambda: False)
    monkeypatch.setattr("kosearch.index.available", lambda: False)
    assert index.status().graph is None
    other = make(folder / "other", [f"{number}.txt" for number in range(50)])
    other.ann = "hnsw"
    for _ in range(2):
        with other.writer() as writer:
            assert writer.publish() == 1


def test_what_is_no_graph_is_damage(tmp_path: Path) -> None:
    """Where a file was cut, is something else, or has other vectors, whoever would map or read it says so."""
    graph = HnswGraph(DIMENSIONS)
    graph.add(np.arange(1, 201), np.random.default_rng(0).standard_normal((200, DIMENSIONS)).astype(np.float32))
    graph.save(tmp_path / "whole.usearch")
    whole = (tmp_path / "whole.usearch").read_bytes()
    assert len(HnswGraph.load(tmp_path / "whole.usearch", DIMENSIONS)) == 200
    for number, data in enumerate((b"", whole[:10], whole[:-1], whole[: len(whole) // 2], bytes(len(whole)))):
        path = tmp_path / f"{number}.usearch"
        path.write_bytes(data)
        for write in (False, True):
            with pytest.raises(Damaged, match=path.name):
                HnswGraph.load(path, DIMENSIONS, write=write)
    with pytest.raises(Damaged, match="dimensions"):
        HnswGraph.load(tmp_path / "whole.usearch", DIMENSIONS + 1)


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no disk is full here")
def test_a_graph_that_finds_no_room_says_so() -> None:
    graph = HnswGraph(DIMENSIONS)
    graph.add(np.arange(1, 11), np.eye(10, DIMENSIONS, dtype=np.float32))
    with pytest.raises(OSError, match="No space left"):
        graph.save(Path("/dev/full"))


def test_a_graph_is_searched_as_wide_as_it_takes(monkeypatch: pytest.MonkeyPatch) -> None:
    """Vectors without any order, and a graph that is too thin for them."""
    monkeypatch.setattr(vectors, "_M", 4)
    monkeypatch.setattr(vectors, "_EF", 15)
    monkeypatch.setattr(vectors, "_MARGIN", 5)
    monkeypatch.setattr(vectors, "_WORTH", 1)
    chance = np.random.default_rng(0)
    rows = np.stack([unit(one) for one in chance.standard_normal((500, DIMENSIONS)).astype(np.float32)])
    ids = np.arange(1, 501)
    thin = HnswGraph(DIMENSIONS)
    thin.add(ids, rows)
    queries = np.stack([unit(one) for one in chance.standard_normal((20, DIMENSIONS)).astype(np.float32)])
    nearest = ids[np.argsort(-queries @ rows.T, axis=1)[:, :10]]

    def recall(ef: int) -> Any:
        return np.mean([np.isin(one, thin.search(query, 15, ef)) for query, one in zip(queries, nearest, strict=True)])

    ef, found = thin.measured_ef(queries, nearest, thin.worth)
    assert found >= vectors.RECALL
    assert ef > 15
    assert recall(15) < vectors.RECALL <= recall(ef)


def test_what_embeds_questions_may_come_after_a_graph() -> None:
    """As in a program that asks for what is similar to a passage, and then a question."""
    program = "from kosearch.index.vectors import HnswGraph; HnswGraph(8); import onnxruntime"
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0


def test_the_exact_nearest_of_many_queries(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Part by part, some rows at a time, without the dead."""
    monkeypatch.setattr("kosearch.index.vectors._CHUNK", 7)
    chance = np.random.default_rng(0)
    vectors = chance.standard_normal((50, 4)).astype(np.float32)
    ids = np.where(np.arange(50) % 5, np.arange(1, 51), -np.arange(1, 51))
    np.stack([ids, ids], axis=1).tofile(tmp_path / "rows.i64")
    vectors[:30].tofile(tmp_path / "vectors-1.f32")
    vectors[30:].tofile(tmp_path / "vectors-2.f32")
    dense = Dense(tmp_path, Manifest(2, 4, parts=(("vectors-1.f32", 30), ("vectors-2.f32", 20))))
    queries = chance.standard_normal((3, 4)).astype(np.float32)
    scores = np.where(ids > 0, queries @ vectors.T, -np.inf)
    expected = np.sort(np.abs(ids)[np.argsort(-scores, axis=1)[:, :6]], axis=1)
    assert np.array_equal(np.sort(dense.exact(queries, 6), axis=1), expected)
