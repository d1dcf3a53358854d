"""A scan by codes: what it finds is what a scan of the vectors finds, to the bit."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from index_making import QUERY, answers, make, put, quick_folder
from numpy.typing import NDArray

from kosearch.index import SqliteStore, codes
from kosearch.index.contract import Vectors
from kosearch.index.files import Damaged, Manifest
from kosearch.index.vectors import Dense, quantise, unit, vectors_of

KINDS = st.sampled_from(["any", "alike", "one number", "clusters"])


def rows_of(kind: str, chance: np.random.Generator, count: int, dimensions: int) -> Vectors:
    """Vectors of length 1, or 0: without any order, nearly equal, along the axes, and about some centres."""
    rows = chance.standard_normal((count, dimensions))
    if kind == "alike":
        rows = 1 + 1e-4 * rows
    elif kind == "one number":
        rows = np.eye(dimensions)[chance.integers(dimensions, size=count)]
    elif kind == "clusters":
        rows = 5 * chance.standard_normal((3, dimensions))[chance.integers(3, size=count)] + 0.3 * rows
    rows[chance.random(count) < 0.05] = 0
    lengths = np.linalg.norm(rows, axis=1, keepdims=True)
    return (rows / np.where(lengths > 0, lengths, 1)).astype(np.float32)


def stored(folder: Path, rows: Vectors, storage: str, split: int, *, coded: bool) -> Dense:
    """These rows in two parts, the first of which has codes if so."""
    held: NDArray[Any] = quantise(rows, storage) if storage == "int8" else rows
    kind = "i8" if storage == "int8" else "f32"
    parts = ((f"vectors-1.{kind}", split), (f"vectors-2.{kind}", len(rows) - split))
    for (name, _), part in zip(parts, (held[:split], held[split:]), strict=True):
        part.tofile(folder / name)
    numbers = np.arange(1, len(rows) + 1)
    numbers[::7] *= -1  # dead
    np.stack([numbers, numbers], axis=1).tofile(folder / "rows.i64")
    codes.write(folder / "codes-1.i8", held[:split])
    entries = {"codes-1.i8": None} if coded else {}
    dense = Dense(folder, Manifest(2, rows.shape[1], storage, parts, files=entries), lambda _: None)  # type: ignore[arg-type]
    dense.load_codes()
    return dense


@given(
    KINDS, st.sampled_from(["float16", "int8"]), st.integers(1, 120), st.integers(1, 40), st.integers(0), st.integers(1)
)
def test_the_nearest_are_those_of_the_vectors(
    kind: str, storage: str, count: int, dimensions: int, seed: int, k: int
) -> None:
    chance = np.random.default_rng(seed)
    rows = rows_of(kind, chance, count + 1, dimensions)
    query = unit(rows_of(kind, chance, 1, dimensions)[0] + rows[0])
    with quick_folder() as folder:
        split = count - count // 4
        plain = stored(folder, rows, storage, split, coded=False)
        coded = stored(folder, rows, storage, split, coded=True)
        for documents in (None, plain.live_ids[::2]):
            expected, found = plain.search(query, k % 20 + 1, documents), coded.search(query, k % 20 + 1, documents)
            assert np.array_equal(found[0], expected[0])
            assert np.array_equal(found[1], expected[1])


@given(KINDS, st.sampled_from(["float16", "int8"]), st.integers(1, 60), st.integers(1, 40), st.integers(0))
def test_no_product_is_further_off_than_is_said(
    kind: str, storage: str, count: int, dimensions: int, seed: int
) -> None:
    chance = np.random.default_rng(seed)
    rows = rows_of(kind, chance, count, dimensions)
    query = unit(rows_of("any", chance, 1, dimensions)[0])
    held: NDArray[Any] = quantise(rows, storage) if storage == "int8" else rows
    exact = (vectors_of(held) if storage == "int8" else rows).astype(np.float64) @ query
    with quick_folder() as folder:
        codes.write(folder / "codes-1.i8", held)
        made = codes.Codes(folder / "codes-1.i8", held)
        products, bound = made.products(query)
        assert (np.abs(products - exact) <= bound + 1e-5).all()
        some = np.append(np.flatnonzero(chance.random(count) < 0.5), 0)
        closer, bounds = made.closer(some, query)
        assert (np.abs(closer - exact[some]) <= bounds + 1e-5).all()


@pytest.fixture
def folder(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """For an index whose parts have codes from fifty passages on."""
    monkeypatch.setattr(codes, "MIN_ROWS", 50)
    with quick_folder() as folder:
        yield folder


def test_large_parts_have_codes_and_keep_them(folder: Path) -> None:
    index = make(folder, [f"{number}.txt" for number in range(40)])
    first = folder / "generation-1" / "codes-1.i8"
    written = first.stat().st_ino
    with index.writer() as writer:
        with writer.transaction():
            put(writer, "new.txt")
        writer.publish()
    linked = folder / "generation-2" / "codes-1.i8"
    assert linked.stat().st_ino == written
    assert not (folder / "generation-2" / "codes-2.i8").exists()  # few rows are scanned as they are
    with index.snapshot() as snapshot:
        assert not snapshot.warnings


def test_an_index_without_codes_gets_them_with_its_next_change(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(codes, "MIN_ROWS", 1000)
    index = make(folder, [f"{number}.txt" for number in range(40)])
    assert not list(folder.glob("*/codes-*"))
    monkeypatch.setattr(codes, "MIN_ROWS", 50)
    with index.writer() as writer:
        with writer.transaction():
            put(writer, "new.txt")
        writer.publish()
    assert (folder / "generation-2" / "codes-1.i8").exists()


def test_damaged_codes_are_said_and_made_anew(folder: Path) -> None:
    index = make(folder, [f"{number}.txt" for number in range(40)])
    expected = answers(index)
    index.close()
    path = folder / "generation-1" / "codes-1.i8"
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)
    index = SqliteStore(folder)
    with index.snapshot() as snapshot:
        (warning,) = snapshot.warnings
        assert "codes of vectors are missing or damaged" in warning
    assert answers(index) == expected
    with index.writer() as writer:
        writer.publish()
    with index.snapshot() as snapshot:
        assert not snapshot.warnings
    assert answers(index) == expected
    assert (folder / "generation-2" / "codes-1.i8").exists()


def test_without_numkong_vectors_are_scanned_as_they_are(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    index = make(folder, [f"{number}.txt" for number in range(40)])
    expected = answers(index)
    monkeypatch.setattr(codes, "available", lambda: False)
    other = SqliteStore(folder)
    assert answers(other) == expected
    with other.snapshot() as snapshot:
        assert not snapshot.warnings
        assert len(snapshot.dense(QUERY, 5)[0]) == 5


def test_what_are_no_codes_is_damage(tmp_path: Path) -> None:
    rows = rows_of("any", np.random.default_rng(0), 20, 8)
    path = tmp_path / "codes-1.i8"
    codes.write(path, rows)
    whole = path.read_bytes()
    for data in (b"", whole[:-1], whole + b"\0", b"\xff" * len(whole)):
        path.write_bytes(data)
        with pytest.raises(Damaged, match=r"codes-1\.i8"):
            codes.Codes(path, rows)
