"""Flipped bytes, cut files, missing files: noticed, and answered from SQLite where that is possible."""

from __future__ import annotations

import json
import os
import random
import shutil
import sqlite3
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from index_making import QUERY, TERMS, answers, document, make, put, quick_folder, source

from kosearch.errors import IndexDamaged, IndexStateError, UsageError
from kosearch.index import SqliteStore, files, lexical, vectors


@pytest.fixture
def folder() -> Iterator[Path]:
    with quick_folder() as place:
        yield place


def flip(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 0x10
    path.write_bytes(data)


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def empty(path: Path) -> None:
    path.write_bytes(b"")


def become_a_folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


BREAKS: list[Callable[[Path], None]] = [flip, cut, empty, Path.unlink, become_a_folder]


@pytest.mark.parametrize("breaking", BREAKS, ids=lambda one: one.__name__)
def test_any_derived_file_may_break(
    folder: Path, breaking: Callable[[Path], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(vectors, "MIN_ROWS", 4)
    whole = folder / "whole"
    index = make(whole, "abcdefgh")
    with index.writer() as writer:  # a second part, and something deleted
        put(writer, "i")
        writer.remove([source("a").path_bytes])
        writer.publish()
    expected = answers(index, warm=True)
    index.close()
    place = whole / "generation-2"
    names = [path.relative_to(place) for path in place.rglob("*") if path.is_file() and path.suffix != ".lock"]
    names = [name for name in names if name.name != files.VERIFIED]  # what readers note, and do without
    assert {"graph-1.usearch", "graph-2.usearch"} & {str(name) for name in names}
    assert len(names) > 10
    for number, name in enumerate(names):
        directory = folder / str(number)
        shutil.copytree(whole, directory)
        breaking(directory / "generation-2" / name)
        index = SqliteStore(directory)
        assert answers(index, warm=True) == expected, name
        with index.snapshot(warm=True) as snapshot:
            assert len(snapshot.warnings) == 1, name
            assert "kosearch" in snapshot.warnings[0]
        assert len(index.check()) >= 1
        with index.writer() as writer:
            assert writer.publish() == 3, name  # nothing new, but something to mend
        assert answers(index, warm=True) == expected, name
        assert index.check() == [], name
        with index.snapshot(warm=True) as snapshot:
            assert snapshot.warnings == ()
        index.close()


@pytest.fixture
def read(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The derived files that were read as a whole; what is written is settled at once."""
    names: list[str] = []
    measure = files.measure
    monkeypatch.setattr(files, "_SAME_TICK", 0.0)
    monkeypatch.setattr(files, "measure", lambda path, size=None: names.append(path.name) or measure(path, size))
    return names


def seen_anew(directory: Path) -> tuple[Any, tuple[str, ...]]:
    """What a new process is answered, and warned of."""
    index = SqliteStore(directory)
    with index.snapshot() as snapshot:
        warnings = snapshot.warnings
    found = answers(index)
    index.close()
    return found, warnings


def test_a_file_is_read_as_a_whole_once_and_when_it_was_written_to(folder: Path, read: list[str]) -> None:
    make(folder, "abc").close()
    read.clear()
    expected = seen_anew(folder)
    assert {"rows.i64", "vectors-1.f32", "meta.json"} <= {*read}
    read.clear()
    assert seen_anew(folder) == expected
    assert read == []
    vectors_file = folder / "generation-1" / "vectors-1.f32"
    time_ns = vectors_file.stat().st_mtime_ns
    flip(vectors_file)
    os.utime(vectors_file, ns=(time_ns, time_ns))  # as a restored file would have it
    found, (warning,) = seen_anew(folder)
    assert found == expected[0]
    assert "vector files are missing or damaged" in warning
    assert {*read} == {"vectors-1.f32"}


def test_a_byte_that_was_lost_without_writing_is_noticed_within_a_day(
    folder: Path, read: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    make(folder, "abc").close()
    expected = seen_anew(folder)
    damaged = folder / "generation-1" / "rows.i64"
    flip(damaged)
    note, found = folder / "generation-1" / files.VERIFIED, damaged.stat()
    noted = json.loads(note.read_text())
    noted["rows.i64"][1:4] = [found.st_ctime_ns, found.st_mtime_ns, found.st_ino]
    note.write_text(json.dumps(noted))  # as if nobody had written to it
    read.clear()
    assert SqliteStore(folder).check()
    monkeypatch.setattr(files, "_VERIFIED_SECONDS", 0.0)
    found_later, (warning,) = seen_anew(folder)
    assert found_later == expected[0]
    assert "vector files are missing or damaged" in warning


@pytest.mark.parametrize("note", ["", "{", "[]", "null", "[" * 100_000, '{"rows.i64": 1}', '{"rows.i64": ["a"]}', "ㅋ"])
def test_a_note_that_makes_no_sense_is_none(folder: Path, read: list[str], note: str) -> None:
    make(folder, "ab").close()
    expected = seen_anew(folder)
    (folder / "generation-1" / files.VERIFIED).write_text(note, encoding="utf-8")
    read.clear()
    assert seen_anew(folder) == expected
    assert "vectors-1.f32" in read
    assert (folder / "generation-1" / files.VERIFIED).stat().st_mode & 0o077 == 0


def test_the_whole_folder_may_vanish(folder: Path) -> None:
    index = make(folder, "abc")
    expected = answers(index)
    index.close()
    shutil.rmtree(folder / "generation-1")
    assert answers(index) == expected
    with index.writer() as writer:
        put(writer, "d")
        writer.publish()
        writer.remove([source("d").path_bytes])
        writer.publish()
    assert answers(index) == expected
    assert index.check() == []


def test_a_panic_in_tantivy_is_damage(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    index = make(folder, "abc")
    expected = answers(index)

    class PanicException(BaseException):
        """As pyo3 raises it: no Exception."""

    class Searcher:
        num_docs = 12

        def doc_freq(self, *_: Any) -> int:
            return 1

        def search(self, *_: Any, **__: Any) -> Any:
            raise PanicException("index out of bounds")

    with index.snapshot() as snapshot:
        assert snapshot._derived
        assert snapshot._derived.lexical
        snapshot._derived.lexical._searcher = Searcher()  # type: ignore[assignment]
        found = snapshot.lexical(TERMS, 100)
        assert len(snapshot.stored(found)) == len(expected["lexical"])
        assert "lexical" in snapshot.warnings[0]
    assert answers(index) == expected

    def panic(*_: Any) -> None:
        raise PanicException("no")

    index.close()
    monkeypatch.setattr(lexical, "_schema", panic)
    assert answers(index) == expected
    monkeypatch.undo()


def test_usearch_may_be_missing(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(vectors, "MIN_ROWS", 4)
    index = make(folder, "abcdef")
    expected = answers(index, warm=True)
    index.close()
    monkeypatch.setattr(vectors, "available", lambda: False)
    assert answers(index, warm=True) == expected
    with index.snapshot(warm=True) as snapshot:
        assert snapshot.warnings == ()
    with index.writer() as writer:
        put(writer, "g")
        assert writer.publish() == 2
    assert not list((folder / "generation-2").glob("*.usearch"))
    assert index.check() == []


def everything(index: SqliteStore) -> Any:
    with index.snapshot() as snapshot:
        problems = index.problems()
        return answers(index), snapshot.find_documents(kinds=["text"]).tolist(), problems  # type: ignore[union-attr]


@pytest.mark.parametrize("seed", range(4))
def test_a_flipped_byte_in_sqlite_is_never_silent(folder: Path, seed: int) -> None:
    """Seeded corruptions of the database: an error of ours, or the same answer."""
    generator = random.Random(seed)
    whole = folder / "whole"
    make(whole, [f"f{number}" for number in range(40)]).close()
    expected = everything(index := SqliteStore(whole))
    index.close()
    original = (whole / "index.sqlite").read_bytes()
    noticed = 0
    for _ in range(40):
        data = bytearray(original)
        at = generator.randrange(len(data))
        data[at] ^= 1 << generator.randrange(8)
        kind = generator.random()
        if kind < 0.2:
            data[at - at % 8192 : at - at % 8192 + 8192] = bytes(8192)
        elif kind < 0.3:
            del data[at:]
        (whole / "index.sqlite").write_bytes(data)
        for suffix in ("-wal", "-shm"):
            (whole / f"index.sqlite{suffix}").unlink(missing_ok=True)
        # Without the derived files every answer comes from the rows.
        if generator.random() < 0.5 and (whole / "generation-1").exists():
            (whole / "generation-1").rename(whole / "aside")
        try:
            index = SqliteStore(whole)
            try:
                assert everything(index) == expected, f"byte {at}"
            finally:
                index.close()
        except IndexStateError:
            noticed += 1
        if (whole / "aside").exists():
            (whole / "aside").rename(whole / "generation-1")
    assert noticed > 5


def damage_rows(directory: Path, *statements: str) -> None:
    connection = sqlite3.connect(directory / "index.sqlite", isolation_level=None)
    connection.create_function("flip", 1, lambda data: bytes([*data[:-1], data[-1] ^ 1]))
    for statement in statements:
        connection.execute(statement)
    connection.close()


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE passage SET vector = flip(vector) WHERE id = 3",
        "UPDATE passage SET terms = flip(terms) WHERE id = 3",
        "UPDATE passage SET place = '[0, 0, 1, 1, 1, null, \"\", []]' WHERE id = 3",
        "UPDATE passage SET document_id = 2 WHERE id = 3",
        "UPDATE text SET body = flip(body) WHERE document_id = 1",
        "UPDATE text SET part = 1 WHERE document_id = 1 AND part = 0",
        "UPDATE document SET title = 'x' WHERE id = 1",
        "UPDATE document SET published = 0 WHERE id = 1",
        "UPDATE document SET retired = 1 WHERE id = 1",
        "UPDATE document SET text_hash = 'x' WHERE id = 1",
        "DELETE FROM document WHERE id = 1",
        "DELETE FROM passage WHERE id = 4",
        "UPDATE passage SET vector = (SELECT vector FROM passage WHERE id = 5) WHERE id = 3",
        "UPDATE passage SET vector = 'text' WHERE id = 3",
        "UPDATE file SET raw = flip(raw) WHERE id = 1",
        "UPDATE file SET raw = CAST(raw AS TEXT) WHERE id = 2",
    ],
)
def test_damaged_rows_are_noticed_and_given_up(folder: Path, statement: str) -> None:
    index = make(folder, "abc")
    index.close()
    damage_rows(folder, statement)
    assert index.check()
    lost = index.repair()
    assert index.check() == []
    with index.writer() as writer:
        # What the next run does: whatever is not known any more is read again.
        for name in "abc":
            known = writer.files().get(source(name).path_bytes)
            if not known or not known.hash:
                put(writer, name)
        writer.publish()
    assert answers(index) == answers(make(folder / "fresh", "abc"))
    assert set(lost) <= {"/문서/a.txt", "/문서/b.txt"}


def test_a_damaged_name_of_an_indexed_folder_is_damage(folder: Path) -> None:
    make(folder, "abc").close()
    damage_rows(folder, "INSERT OR REPLACE INTO root (raw, globs) VALUES ('text', '{}')")
    with pytest.raises(IndexDamaged, match="indexed folder"):
        SqliteStore(folder).roots()


def test_what_a_lost_database_leaves_is_in_nobodys_way(folder: Path) -> None:
    """Its log, which SQLite would play into the next one, and what was derived from it; but no files of the user's."""
    index = make(folder / "first", ["a", "b"])
    with index.snapshot(), index.writer() as writer:  # while somebody reads, the log cannot come home
        put(writer, "c")
        writer.publish()
        shutil.copytree(folder / "first", folder / "second")
    index.close()
    (folder / "second/index.sqlite").unlink()
    assert (folder / "second/index.sqlite-wal").stat().st_size
    index = make(folder / "second", ["d"])
    assert (index.status().documents, index.check()) == (1, [])
    index.close()

    (folder / "second/index.sqlite").unlink()
    (folder / "second/generation-7").mkdir()
    with pytest.raises(UsageError, match="generation-7"):
        make(folder / "second")
    assert (folder / "second/generation-7").is_dir()


def test_rows_of_counts_that_are_out_of_order_are_made_anew(folder: Path) -> None:
    """A flipped bit in the number of a row: it is found by nobody who looks for it."""
    index = make(folder / "index", [f"f{number}" for number in range(20)])
    expected = answers(index)
    index.close()
    path = folder / "index/index.sqlite"
    whole = path.read_bytes()
    row = bytes([0x8B, 0x2F])  # 1455, as SQLite writes it
    place = whole.find(row)
    while True:
        assert place > 0, "no row has this number"
        path.write_bytes(whole[: place + 1] + bytes([0x3F]) + whole[place + 2 :])
        index = SqliteStore(folder / "index")
        if any("out of order" in one for one in index.check()):
            break
        index.close()
        place = whole.find(row, place + 1)
    assert index.repair() == []
    assert index.check() == []
    assert answers(index) == expected
    index.close()


@pytest.mark.parametrize(("name", "flipped"), [("hash TEXT", "hasi TEXT"), ("documents INTEGER", "documentr INTEGER")])
def test_a_column_of_another_name_is_damage(folder: Path, name: str, flipped: str) -> None:
    make(folder / "index", ["a", "b"]).close()
    path = folder / "index/index.sqlite"
    whole = path.read_bytes()
    assert whole.count(name.encode()) >= 1
    path.write_bytes(whole.replace(name.encode(), flipped.encode()))
    for look in (SqliteStore.check, SqliteStore.repair):
        with pytest.raises(IndexStateError):
            look(SqliteStore(folder / "index"))


@pytest.mark.parametrize("place", ["the map of pages", "the number of free pages", "the list of free pages"])
def test_what_sqlite_knows_of_its_pages_is_made_anew(folder: Path, place: str) -> None:
    """No row tells of these, and making the indexes anew does not mend them."""
    index = make(folder / "index", [f"f{number}" for number in range(20)])
    expected = answers(index)
    index.close()
    path = folder / "index/index.sqlite"
    connection = sqlite3.connect(path)
    connection.executescript("CREATE TABLE large (x); INSERT INTO large VALUES (zeroblob(50000)); DROP TABLE large")
    connection.close()
    data = bytearray(path.read_bytes())
    size, trunk = (int.from_bytes(data[at : at + length]) for at, length in ((16, 2), (32, 4)))
    assert trunk > 2, "no page is free"
    flipped = {
        "the map of pages": size + 5 * 6 + 4,
        "the number of free pages": 39,
        "the list of free pages": (trunk - 1) * size + 7,
    }
    data[flipped[place]] ^= 1
    path.write_bytes(data)
    index = SqliteStore(folder / "index")
    assert [one for one in index.check() if one.startswith("SQLite: ")]
    assert index.repair() == []
    assert index.check() == []
    assert answers(index) == expected
    index.close()


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE term SET counts = flip(counts) WHERE bucket % 3 = 0",
        "DELETE FROM term WHERE bucket > 2000",
    ],
)
def test_damaged_counts_are_noticed_and_counted_again(folder: Path, statement: str) -> None:
    index = make(folder, "abc")
    expected = answers(index)
    index.close()
    damage_rows(folder, statement)
    with pytest.raises(IndexDamaged, match="term counts"):
        answers(index)
    assert index.repair() == []
    assert answers(index) == expected


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE document SET published = 0 WHERE id = 1",
        "UPDATE document SET title = 'x', published = 0 WHERE id = 4",
        "UPDATE passage SET vector = flip(vector) WHERE document_id = 4",
        "DELETE FROM passage WHERE id = 14",
        "UPDATE meta SET value = replace(value, '1', '2') WHERE key = 'state'",
    ],
)
def test_damage_is_not_published(folder: Path, statement: str) -> None:
    """A publication writes checksums anew: it must not do so for rows that are wrong."""
    index = make(folder, "abc")
    with index.writer() as writer:
        put(writer, "d")
    index.close()
    damage_rows(folder, statement)
    with pytest.raises(IndexDamaged), index.writer() as writer:
        writer.publish()


def test_a_lost_database_of_counts_does_not_answer(folder: Path) -> None:
    index = make(folder, "ab")
    index.close()
    damage_rows(folder, "UPDATE meta SET value = '{}' WHERE key = 'identity'")
    with pytest.raises(IndexDamaged, match="identity") as caught:
        SqliteStore(folder)
    assert "kosearch" in caught.value.hint


def test_vectors_survive_exactly(folder: Path) -> None:
    """From the files and from the rows, the same bits."""
    index = make(folder, "abcdef")
    with index.snapshot() as snapshot:
        ids, cosines = snapshot.dense(QUERY, 100)
    index.close()
    shutil.rmtree(folder / "generation-1")
    with index.snapshot() as snapshot:
        other_ids, other_cosines = snapshot.dense(QUERY, 100)
        assert np.array_equal(ids, other_ids)
        assert np.array_equal(cosines, other_cosines)
        assert np.array_equal(snapshot.cosines(QUERY, ids), cosines)
    assert len(document("a").passages) * 6 == len(ids)
