"""What every store of an index promises: see kosearch/index/contract.py."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from index_making import IDENTITY, QUERY, TERMS, document, quick_folder, source
from postgres_making import TestServer

from kosearch.config import IndexPlace, database
from kosearch.errors import IndexBusy, IndexMissing, IndexStateError, UsageError
from kosearch.index import Kind, Snapshot, Store, Writer, kind_of
from kosearch.index.merged import MergedSnapshot
from kosearch.records import Reason, Skipped

Make = Callable[[], Store]
"""Makes an empty store, or opens the one that was made."""
SECRET = b"s" * 32


Named = Callable[[str], IndexPlace]
"""Makes another place beside it."""
NUMBERS = itertools.count()


@pytest.fixture(params=["folder", "postgres"])
def named(request: pytest.FixtureRequest) -> Iterator[Named]:
    """Where stores may be. One that comes later has a place of its own added here."""
    if request.param == "folder":
        with quick_folder() as folder:
            yield lambda name: folder / name
    else:
        server: TestServer = request.getfixturevalue("postgres")
        number = next(NUMBERS)
        yield lambda name: database(server.url(f"contract_{number}_{name}"))


@pytest.fixture
def place(named: Named) -> IndexPlace:
    return named("index")


@pytest.fixture
def is_folder(place: IndexPlace) -> bool:
    """Whether commits wait for `publish`, one writer has it at a time, and copies are kosearch's own to make."""
    return isinstance(place, Path)


@pytest.fixture
def kind(place: IndexPlace) -> Kind[Any]:
    return kind_of(place)


@pytest.fixture
def make(kind: Kind[Any], place: IndexPlace) -> Make:
    return lambda: kind.open(place, SECRET) if kind.exists(place) else kind.create(place, IDENTITY, SECRET)


def put(writer: Writer, name: str, version: int = 0) -> None:
    writer.put(source(name), f"{name}-{version}", [document(name, version)], reader="text/1")


def filled(make: Make, names: str = "abc") -> Store:
    store = make()
    with store.writer() as writer:
        with writer.transaction():
            for name in names:
                put(writer, name)
        writer.publish()
    return store


def test_an_empty_one_answers_nothing(make: Make) -> None:
    store = make()
    assert (store.identity, store.is_own(), store.check()) == (IDENTITY, True, [])
    with store.snapshot() as snapshot:
        assert (snapshot.generation, snapshot.passages, list(snapshot.documents())) == (0, 0, [])
        assert snapshot.dense(QUERY, 5)[0].size == snapshot.lexical({"body": {"가": 1}}, 5).size == 0


def test_a_snapshot_stays_and_the_next_has_all_that_was_published(make: Make) -> None:
    store = filled(make)
    with store.snapshot() as before, store.writer() as writer:
        put(writer, "a", 1)
        writer.remove([source("b").path_bytes])
        writer.move(source("c").path_bytes, source("moved", 3))
        assert writer.publish() > before.generation
        assert sorted(one.title for one in before.documents()) == ["a v0", "b v0", "c v0"]
        assert before.statistics({"heading": ["제목"]}).frequencies == {"heading": {"제목": 12}}
    with make().snapshot() as after:
        assert sorted((one.path, one.title) for one in after.documents()) == [
            ("/문서/a.txt", "a v1"),
            ("/문서/moved.txt", "c v0"),
        ]
        assert after.statistics({"heading": ["제목"]}).passages == after.passages == 8


@pytest.mark.parametrize("parts", [["abc"], ["b", "ac"], ["abc", ""]])
def test_what_answers_agrees_with_itself(kind: Kind[Any], named: Named, parts: list[str]) -> None:
    """One snapshot, or those of several stores as one."""
    with ExitStack() as opened:
        snapshots: list[Snapshot] = []
        for names in parts:
            make = partial(kind.create, named(f"index_{names}"), IDENTITY, SECRET)
            snapshots.append(opened.enter_context(filled(make, names).snapshot()))
        snapshot = snapshots[0] if len(parts) == 1 else MergedSnapshot(snapshots)
        ids, cosines = snapshot.dense(QUERY, 100)
        assert len(ids) == 12
        assert (np.diff(cosines) <= 0).all()
        assert np.array_equal(snapshot.cosines(QUERY, ids), cosines)
        everything, vectors = snapshot.vectors()
        assert np.array_equal(everything, np.sort(ids))
        assert np.allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-6)
        some = snapshot.find_documents(["b.txt"])
        assert some is not None
        assert {snapshot.owners(ids)[one] for one in snapshot.dense(QUERY, 100, some)[0].tolist()} == set(some.tolist())
        points = {field: dict.fromkeys(terms, 1) for field, terms in TERMS.items()}
        found = snapshot.lexical(points, 100)
        assert (np.diff(found) > 0).all()
        wanted = {field: set(terms) for field, terms in TERMS.items()}
        having = [
            number
            for number, terms in zip(everything.tolist(), snapshot.terms(everything), strict=True)
            if any(wanted[field] & set(terms[field]) for field in wanted)
        ]
        assert found.tolist() == having
        some_rows = everything[::-2]
        where = snapshot.occurrences(some_rows, {field: [*terms, "nowhere"] for field, terms in TERMS.items()})
        for field, terms in TERMS.items():
            lines = [one[field] for one in snapshot.terms(some_rows)]
            assert where[field].lengths.tolist() == list(map(len, lines))
            assert where[field].counts.tolist() == [[*map(line.count, terms), 0] for line in lines]
            met = zip(where[field].rows, where[field].places, where[field].which, strict=True)
            assert [(row, place, list(terms)[column]) for row, place, column in met] == [
                (row, place, term) for row, line in enumerate(lines) for place, term in enumerate(line) if term in terms
            ]
        everywhere = {"heading": {"제목": 1}}
        assert snapshot.lexical(everywhere, 5, nearest_to=QUERY).tolist() == np.sort(ids[:5]).tolist()
        places = sorted((one.document.path, one.ordinal, one.id) for one in snapshot.stored(everything))
        assert snapshot.lexical(everywhere, 5).tolist() == sorted(number for _, _, number in places[:5])
        for stored in snapshot.stored(ids):
            text = snapshot.document_text(stored.document.id)
            assert text[stored.passage.start : stored.passage.end] == stored.text
            assert stored.document in snapshot.with_hash(stored.document.text_hash)
            assert snapshot.structure(stored.document.id) == ((), ())
            assert snapshot.passages_of(stored.document)[stored.ordinal] == stored.passage
            assert snapshot.owners(np.array([stored.id])) == {stored.id: stored.document.id}
            known = snapshot.file_of(stored.document.id)
            assert known is not None
            assert known.hash == f"{Path(stored.document.path).stem}-0"
        documents = list(snapshot.documents())
        assert {one.id for one in documents} == {one.document.id for one in snapshot.stored(ids)}
        assert snapshot.documents_of(np.array([documents[1].id])) == [documents[1]]


def test_a_failed_transaction_leaves_nothing(make: Make) -> None:
    store = filled(make, "a")

    def interrupted(writer: Writer) -> None:
        with writer.transaction():
            put(writer, "b")
            raise KeyboardInterrupt

    with store.writer() as writer:
        with pytest.raises(KeyboardInterrupt):
            interrupted(writer)
        assert writer.publish() == 1
        assert set(writer.files()) == {source("a").path_bytes}


def test_what_was_committed_and_not_published_waits_in_a_folder(make: Make, is_folder: bool) -> None:
    with filled(make, "a").writer() as writer:
        put(writer, "b")
    store = make()
    assert (store.status().documents, store.status().pending) == ((1, 1) if is_folder else (2, 0))
    with store.writer() as writer:
        assert len(writer.vectors([one.input_hash for one in document("b").passages])) == 4
        assert writer.publish() == 2
    assert store.status().documents == 2


def test_the_work_state_is_kept(make: Make) -> None:
    seen = replace(source("a", -(10**20)), ctime_ns=5, inode=2**64 - 1)
    problem = Skipped("/문서/a.txt", Reason.MEMORY, "too much")
    run = {"ended": "2024-03-05T08:00:00+00:00", "seconds": 1}
    store = filled(make, "a")
    with store.writer() as writer:
        writer.skip(seen, problem, reader="pdf/3", limits="60 s")
        writer.add_root(b"/root", {"include": ("*.md",), "exclude": ()})
        writer.add_root(b"/other")
        writer.forget_root(b"/other")
        writer.record_run(run)
        writer.publish()
    (state,) = (one.state for one in make().stored_files())
    assert (state.mtime_ns, state.ctime_ns, state.inode) == (-(10**20), 5, 2**64 - 1)
    assert (state.reason, state.reader, state.limits, state.documents) == (Reason.MEMORY, "pdf/3", "60 s", 1)
    assert (store.problems(), store.roots()) == ([problem], {b"/root": {"include": ("*.md",), "exclude": ()}})
    assert (make().status().last_run, make().is_own()) == (run, True)
    with store.writer() as writer:
        writer.touch(replace(seen, inode=7))
        assert writer.files()[seen.path_bytes].inode == 7


def test_one_writer_at_a_time_in_a_folder_and_several_on_a_server(make: Make, is_folder: bool) -> None:
    store, other = filled(make, "a"), make()
    with store.writer() as writer, other.snapshot() as snapshot:
        assert snapshot.passages == 4
        if is_folder:
            with pytest.raises(IndexBusy), other.writer():
                pass
            return
        with other.writer() as another:
            put(another, "b")
            put(writer, "a", 1)
            put(another, "a", 2)
            put(writer, "c")
    with make().snapshot() as after:
        assert sorted(one.title for one in after.documents()) == ["a v2", "b v0", "c v0"]
    assert make().check() == []


def test_it_is_whole_and_stays_so_by_repair(make: Make, tmp_path: Path, is_folder: bool) -> None:
    store = filled(make)
    assert (store.check(), store.repair(), store.check()) == ([], [], [])
    if not is_folder:
        with pytest.raises(UsageError, match="its server's tools"):
            store.backup(tmp_path / "backup")
        return
    store.backup(tmp_path / "backup")
    with pytest.raises(UsageError, match="already"):
        store.backup(tmp_path / "backup")


def test_there_is_one_store_at_a_place(kind: Kind[Any], place: IndexPlace) -> None:
    assert not kind.exists(place)
    for get in (kind.open, kind.upgrade):
        with pytest.raises(IndexMissing):
            get(place)
    store = kind.create(place, IDENTITY, SECRET)
    assert kind.exists(place)
    assert not kind.upgrade(place, SECRET)
    assert store.is_there()
    with pytest.raises(IndexStateError, match="already"):
        kind.create(place, IDENTITY, SECRET)
    kind.delete(place)
    assert not store.is_there()
    kind.create(place, IDENTITY, SECRET)
    assert not store.is_there()  # another one is


@pytest.mark.parametrize("endpoint", [None, {"url": "http://localhost:1/v1"}])
def test_what_it_says_is_followed_by_whoever_made_it(
    kind: Kind[Any], place: IndexPlace, is_folder: bool, endpoint: dict[str, str] | None
) -> None:
    """A folder is one user's; on a server each has roots of their own, and only a URL could lead anywhere."""
    store = kind.create(place, replace(IDENTITY, endpoint=endpoint), SECRET)
    with store.writer() as writer:
        writer.add_root(b"/root")
    other = kind.open(place, b"o" * 32)
    assert (store.is_own(), kind.open(place, SECRET).is_own()) == (True, True)
    assert other.is_own() == (not is_folder and endpoint is None)
    assert list(other.roots()) == ([b"/root"] if is_folder else [])
    other.adopt()
    assert other.is_own()


def test_what_an_engine_found_in_a_picture_is_kept(make: Make) -> None:
    nul = ("연차 \0휴가", "연차 \ufffd휴가")  # a server's text has none
    with filled(make, "a").writer() as writer:
        for picture, found in ((b"p", "연차"), (b"p", nul[0]), (b"q", "")):
            writer.keep_recognised("engine", picture * 32, found)
    with make().writer() as writer:
        kept = writer.recognised("engine")
        assert (kept.keys(), writer.recognised("other")) == ({b"p" * 32, b"q" * 32}, {})
    found = [make().recognised(picture * 32) for picture in (b"p", b"q", b"r")]
    assert found[0] in nul
    assert (found[0], *found[1:]) == (kept[b"p" * 32], kept[b"q" * 32], None)
    assert kept[b"q" * 32] == ""


def test_a_backup_becomes_the_same_store_elsewhere(
    make: Make, kind: Kind[Any], named: Named, tmp_path: Path, is_folder: bool
) -> None:
    if not is_folder:
        pytest.skip("a server has tools of its own for that")
    store = filled(make)
    store.backup(tmp_path / "backup")
    other = kind.restore(named("other"), tmp_path / "backup", SECRET)
    with store.snapshot() as before, other.snapshot() as after:
        assert list(before.documents()) == list(after.documents())
        assert before.dense(QUERY, 5)[0].tolist() == after.dense(QUERY, 5)[0].tolist()
    assert list(store.stored_files()) == list(other.stored_files())


def test_terms_by_other_rules_are_there_when_they_are_finished(make: Make) -> None:
    store = filled(make, "a")
    with store.writer() as writer:
        renewed = writer.reanalysis("other", ("body",))
        assert len(renewed) == 1
        renewed.put([(one, [{"body": ["새"]} for _ in one.ids]) for one in renewed.documents()])
        with store.snapshot() as before:
            assert before.identity.term_rules == IDENTITY.term_rules
        assert renewed.finish() > before.generation
    with make().snapshot() as after:
        assert (after.identity.term_rules, after.identity.fields) == ("other", ("body",))
        assert after.statistics({"body": ["새"]}).frequencies == {"body": {"새": 4}}
