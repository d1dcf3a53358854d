"""What an index directory keeps and answers."""

from __future__ import annotations

import os
import stat
import unicodedata
from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from index_making import DIMENSIONS, IDENTITY, QUERY, TERMS, answers, document, make, put, source, vector

from kosearch.errors import IndexBusy, IndexDamaged, IndexMismatch, IndexMissing, IndexStateError, UsageError
from kosearch.index import FileState, NewDocument, NewPassage, SqliteStore, Writer, files
from kosearch.index import database as tables
from kosearch.index.tables import Tables
from kosearch.records import Extracted, Passage, Reason, Skipped


def test_an_empty_index_answers_nothing(tmp_path: Path) -> None:
    index = SqliteStore.create(tmp_path / "new" / "index", IDENTITY)
    with index.snapshot() as snapshot:
        assert (snapshot.generation, snapshot.passages, snapshot.warnings) == (0, 0, ())
        assert snapshot.dense(QUERY, 10)[0].size == 0
        assert snapshot.lexical(TERMS, 10).size == 0
        assert snapshot.statistics({"body": ["가"]}).frequencies == {"body": {"가": 0}}
        assert list(snapshot.documents()) == []
    with index.writer() as writer:
        assert writer.publish() == 0
    assert index.check() == []
    assert SqliteStore(tmp_path / "new" / "index").identity == IDENTITY


def test_everything_is_private(tmp_path: Path) -> None:
    directory = tmp_path / "index"
    with (index := make(directory, "ab")).snapshot():
        for parent, _, names in os.walk(directory):
            assert stat.S_IMODE(os.stat(parent).st_mode) == 0o700
            for name in names:
                assert stat.S_IMODE(os.stat(os.path.join(parent, name)).st_mode) == 0o600, name
    index.close()


def test_a_passage_comes_back_as_it_was_put(tmp_path: Path) -> None:
    index = make(tmp_path, "abc")
    new = document("b")
    with index.snapshot() as snapshot:
        ids, cosines = snapshot.dense(new.passages[2].vector, 1)
        (stored,) = snapshot.stored(ids)
        assert cosines[0] == pytest.approx(1, abs=1e-6)
        assert stored.passage == new.passages[2].passage
        assert stored.text == new.extracted.text.split("\n")[2]
        assert (stored.ordinal, stored.document.path, stored.document.path_bytes) == (
            2,
            "/문서/b.txt",
            source("b").path_bytes,
        )
        assert stored.document.metadata == new.extracted.metadata
        assert snapshot.terms(ids) == [{"body": list(new.passages[2].terms["body"]), "heading": ["제목"]}]
        assert snapshot.document_text(stored.document.id) == new.extracted.text
        assert [one.id for one in snapshot.with_hash(stored.document.text_hash)] == [stored.document.id]


def test_cosines_are_those_of_the_vectors(tmp_path: Path) -> None:
    index = make(tmp_path, "abcdef")
    with index.snapshot() as snapshot:
        ids, cosines = snapshot.dense(QUERY, 100)
        expected = [
            float(v @ QUERY / np.linalg.norm(v) / np.linalg.norm(QUERY))
            for v in (vector(stored.text) for stored in snapshot.stored(ids))
        ]
        assert cosines == pytest.approx(expected, abs=1e-3)  # float16
        assert (np.diff(cosines) <= 0).all()
        assert len(ids) == snapshot.passages == 24
        assert np.array_equal(snapshot.dense(QUERY, 3)[0], ids[:3])


def test_statistics_are_exact(tmp_path: Path) -> None:
    index = make(tmp_path, "abcd")
    passages = [one for name in "abcd" for one in document(name).passages]
    with index.snapshot() as snapshot:
        counts = snapshot.statistics({"body": ["취약점", "가", "nowhere"], "heading": ["제목"]})
    assert counts.passages == len(passages)
    assert counts.totals == {"body": sum(len(one.terms["body"]) for one in passages), "heading": len(passages)}
    for term in ("취약점", "가", "nowhere"):
        assert counts.frequencies["body"][term] == sum(term in one.terms["body"] for one in passages)
    assert counts.frequencies["heading"] == {"제목": len(passages)}


NAMES = st.text(st.characters(exclude_characters="\n", codec="utf-8"), min_size=1)


@given(st.dictionaries(NAMES, st.integers(1, 2**30)), st.dictionaries(NAMES, st.integers(-3, 2**30)), st.data())
def test_counts_are_changed_as_they_are_encoded(
    counts: dict[str, int], changes: dict[str, int], data: st.DataObject
) -> None:
    gone = data.draw(st.lists(st.sampled_from(sorted(counts)), unique=True) if counts else st.just([]))
    changes |= {name: -counts[name] for name in gone}
    changed = Counter(counts)
    changed.update(changes)
    encoded = tables.encode_counts(counts)
    if min(changed.values(), default=0) < 0:
        with pytest.raises(ValueError, match="below 0"):
            tables.changed_counts(encoded, changes)
    else:
        kept = {name: count for name, count in changed.items() if count}
        assert tables.changed_counts(encoded, changes) == tables.encode_counts(kept)


@given(st.dictionaries(NAMES, st.integers(1, 2**32 - 1)))
def test_one_count_is_found_without_decoding_all(counts: dict[str, int]) -> None:
    data = tables.encode_counts(counts)
    assert tables.decode_counts(data) == counts
    assert {name: tables.count_of(data, name) for name in counts} == counts
    others = {"a", "\0", "1", *(name[:-1] for name in counts), *(f"{name}a" for name in counts)} - {"", *counts}
    assert not any(tables.count_of(data, name) for name in others)


def test_the_vocabulary_is_read_once_a_generation(tmp_path: Path) -> None:
    index = make(tmp_path, "ab")
    with index.snapshot() as snapshot:
        (before,) = snapshot.vocabulary(("body",))
        assert before == snapshot.statistics({"body": list(before)}).frequencies["body"]
    with index.snapshot() as snapshot:
        assert snapshot.vocabulary(("body",))[0] is before
    with index.writer() as writer:
        put(writer, "c")
        writer.publish()
    with index.snapshot() as snapshot:
        (after,) = snapshot.vocabulary(("body",))
        assert sum(after.values()) > sum(before.values())
        assert after == snapshot.statistics({"body": list(after)}).frequencies["body"]


def test_terms_are_read_once_a_generation(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    index = make(tmp_path, ["a", "b"])
    read: list[int] = []
    lines = Tables.lines
    monkeypatch.setattr(Tables, "lines", lambda tables, ids: read.extend(ids) or lines(tables, ids))
    words = {"body": ["a-1-0", "b-3-0", "a-1-1", "b-3-1"]}
    with index.snapshot() as snapshot:
        ids = snapshot.lexical(TERMS, 8)
        first = snapshot.occurrences(ids, words)["body"].counts
        assert snapshot.occurrences(ids[::-1], words)["body"].counts.tolist() == first[::-1].tolist()
        assert first.any(axis=0).tolist() == [True, True, False, False]
        assert read == ids.tolist()
    with index.writer() as writer:
        put(writer, "a", version=1)
        put(writer, "b", version=1)
        writer.publish()
    with index.snapshot() as snapshot:
        again = snapshot.occurrences(snapshot.lexical(TERMS, 8), words)["body"].counts
    assert again.any(axis=0).tolist() == [False, False, True, True]


def test_the_terms_that_are_kept_are_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("kosearch.index.kept_terms._KEPT", 3)
    index, words = make(tmp_path, "a"), {field: list(terms) for field, terms in TERMS.items()}
    with index.snapshot() as snapshot:
        ids = snapshot.lexical(TERMS, 4)
        whole = snapshot.occurrences(ids, words)["body"].counts.tolist()
        found = [snapshot.occurrences(ids[[row]], words)["body"].counts.tolist()[0] for row in (0, 1, 2, 3, 0)]
        assert found == [*whole, whole[0]]
        assert snapshot._derived
        assert list(snapshot._derived.terms._kept) == ids[[2, 3, 0]].tolist()


def test_lexical_finds_the_passages_that_have_a_term(tmp_path: Path) -> None:
    index = make(tmp_path, "abcdefgh")
    with index.snapshot() as snapshot:
        ids = snapshot.lexical({"body": {"bge-m3": 1.0}}, 100)
        assert [stored.text for stored in snapshot.stored(ids)] == [
            line for name in "abcdefgh" for line in document(name).extracted.text.split("\n") if "bge-m3" in line
        ]
        assert snapshot.lexical({"body": {"제목": 1.0}}, 100).size == 0
        assert snapshot.lexical({"heading": {"제목": 1.0}}, 5).size == 5
        assert snapshot.lexical({"body": {}}, 5).size == 0


def test_terms_may_hold_anything_but_white_space(tmp_path: Path) -> None:
    index = SqliteStore.create(tmp_path, IDENTITY)
    odd = ["a:b", '"', "\\", "*", "OR", "Ａ", "ﬁ", "\x00", "e\u0301", "🙂", "\ud800", "x" * 3000]
    passage = NewPassage(Passage(0, 1, 1, 1), b"h" * 16, vector("x"), {"body": odd})
    with index.writer() as writer:
        writer.put(source("a"), "", [NewDocument(Extracted("x", "text"), [passage])])
        writer.publish()
        for term in ("a b", "", "a\u3000b", "a\n"):
            broken = replace(passage, terms={"body": [term]})
            with pytest.raises(ValueError, match="white space"):
                writer.put(source("b"), "", [NewDocument(Extracted("x", "text"), [broken])])
    with index.snapshot() as snapshot:
        for term in odd:
            kept = term.replace("\ud800", "\ufffd")
            assert snapshot.lexical({"body": {kept: 1.0}}, 5).size == 1, term
            assert snapshot.statistics({"body": [kept]}).frequencies["body"][kept] == 1
    assert index.check() == []


def test_filters(tmp_path: Path) -> None:
    index = make(tmp_path, {"a": 0, "b": 1, "c": 2})
    with index.writer() as writer:
        markdown = Extracted("# 글", "markdown", member="첨부/글.md")
        writer.put(replace(source("메일"), mtime_ns=1_600_000_000 * 10**9), "", [NewDocument(markdown, [])])
        writer.publish()

    with index.snapshot() as snapshot:
        names = {one.id: Path(one.path).stem for one in snapshot.documents()}

        def found(*arguments: object, **filters: object) -> set[str]:
            ids = snapshot.find_documents(*arguments, **filters)  # type: ignore[arg-type]
            assert ids is not None
            return {names[number] for number in ids.tolist()}

        assert snapshot.find_documents() is None
        assert found(["a.txt", "b.*"]) == {"a", "b"}
        assert found([unicodedata.normalize("NFD", "문서/*")]) == {"a", "b", "c", "메일"}
        assert found(["/문서/c.txt"]) == {"c"}
        assert found(["/c.txt"]) == set()
        assert found(["*.md"]) == {"메일"}
        assert found(kinds=["markdown"]) == {"메일"}
        assert found(after="2011") == {"b", "c", "메일"}
        assert found(after="2011-01-01", before="2011") == {"b"}
        assert found(after="2020-09-13", before="2020-09-13") == {"메일"}
        documents = snapshot.find_documents(["b.txt"])
        ids, _ = snapshot.dense(QUERY, 100, documents)
        assert {stored.document.path for stored in snapshot.stored(ids)} == {"/문서/b.txt"}
        assert np.array_equal(snapshot.lexical({"heading": {"제목": 1.0}}, 100, documents), np.sort(ids))
        assert snapshot.dense(QUERY, 100, np.zeros(0, np.int64))[0].size == 0
        assert snapshot.lexical(TERMS, 100, np.zeros(0, np.int64)).size == 0


def test_a_long_text_is_read_in_parts(tmp_path: Path) -> None:
    text = "".join(chr(0xAC00 + number % 11172) for number in range(50_000)) + "🙂끝"
    slices = [(0, 5), (16380, 16390), (16384, 32768), (49_990, len(text)), (100, 45_000), (7, 7)]
    passages = [NewPassage(Passage(*span, 1, 1), b"h" * 16, vector("x"), {}) for span in slices]
    index = SqliteStore.create(tmp_path, IDENTITY)
    with index.writer() as writer:
        writer.put(source("a"), "", [NewDocument(Extracted(text, "text"), passages)])
        writer.publish()
    with index.snapshot() as snapshot:
        stored = snapshot.stored(np.sort(snapshot.dense(QUERY, 10)[0]))
        assert [one.text for one in stored] == [text[start:end] for start, end in slices]
        assert snapshot.document_text(stored[0].document.id, 16_000, 17_000) == text[16_000:17_000]


def test_readers_see_nothing_of_what_is_not_published(tmp_path: Path) -> None:
    index = make(tmp_path, "abc")
    before = answers(index)
    with index.writer() as writer:
        put(writer, "a", 1, mtime_ns=2)
        put(writer, "d")
        writer.remove([source("b").path_bytes])
        writer.move(source("c").path_bytes, source("moved", 3))
        assert answers(index) == before
        assert index.status().pending == 2
        with index.snapshot() as old:
            assert writer.publish() == 2
            assert old.generation == 1
            assert {one.path for one in old.documents()} == {"/문서/a.txt", "/문서/b.txt", "/문서/c.txt"}
    assert answers(index) == answers(make_after(tmp_path / "fresh"))


def make_after(directory: Path) -> SqliteStore:
    index = SqliteStore.create(directory, IDENTITY)
    with index.writer() as writer:
        put(writer, "a", 1, mtime_ns=2)
        put(writer, "d")
        writer.put(source("moved", 3), "", [document("c")])
        writer.publish()
    return index


def test_publishing_nothing_changes_nothing(tmp_path: Path) -> None:
    index = make(tmp_path, "ab")
    files = sorted((path, path.stat().st_mtime_ns) for path in (tmp_path / "generation-1").rglob("*"))
    with index.writer() as writer:
        assert writer.publish() == 1
    assert sorted((path, path.stat().st_mtime_ns) for path in (tmp_path / "generation-1").rglob("*")) == files


def test_vectors_are_found_by_what_the_model_saw(tmp_path: Path) -> None:
    index = make(tmp_path, "ab")
    hashes = [one.input_hash for one in document("a", 1).passages]
    with index.writer() as writer:
        found = writer.vectors([*hashes, *hashes])
        assert set(found) == {hashes[0], hashes[2]}  # the other two changed
        expected = vector(document("a").extracted.text.split("\n")[0])
        assert found[hashes[0]] == pytest.approx(expected / np.linalg.norm(expected), abs=1e-3)
        writer.remove([source("a").path_bytes])
        assert set(writer.vectors(hashes)) == {hashes[0], hashes[2]}  # retired, and still good
        put(writer, "c")
        assert len(writer.vectors([one.input_hash for one in document("c").passages])) == 4
        assert writer.vectors([]) == {}


def test_a_vector_stored_again_is_the_same(tmp_path: Path) -> None:
    index = make(tmp_path, "a")
    new = document("a")
    with index.writer() as writer:
        found = writer.vectors([one.input_hash for one in new.passages])
        passages = [replace(one, vector=found[one.input_hash]) for one in new.passages]
        before = answers(index)["nearest"]
        writer.put(source("a"), "x", [replace(new, passages=passages)])
        writer.publish()
        assert answers(index)["nearest"] == before
        again = writer.vectors([one.input_hash for one in new.passages])
        assert all(np.array_equal(found[key], again[key]) for key in found)


def test_a_file_that_breaks_keeps_what_it_had(tmp_path: Path) -> None:
    index = make(tmp_path, "abc")
    before = answers(index)
    problem = Skipped("/문서/a.txt", Reason.BROKEN, "no end of file")
    with index.writer() as writer:
        writer.skip(source("a", 5), problem, "newer")
        assert writer.publish() == 1
        state = writer.files()[source("a").path_bytes]
        assert state == FileState(
            *(source("a").path_bytes, source("a").root, 100, 5, "newer"), Reason.BROKEN, "no end of file", 1
        )
        writer.touch(source("a", 6))
        writer.publish()
    assert answers(index) == before  # its times are those of the text that is shown
    assert index.problems() == [problem]
    assert index.status().problems == {"broken": 1}
    for reason in (Reason.EMPTY, Reason.VANISHED):
        with index.writer() as writer:
            writer.skip(source("a", 7), Skipped("/문서/a.txt", reason, "nothing there"))
            writer.publish()
            assert writer.files()[source("a").path_bytes].documents == 0
        assert answers(index) == answers(make(tmp_path / f"fresh-{reason}", "bc"))
        with index.writer() as writer:
            put(writer, "a", mtime_ns=1)
            writer.publish()
        assert index.problems() == []
        assert answers(index) == answers(make(tmp_path / f"whole-{reason}", "abc"))


def test_parts_of_a_file_may_have_problems(tmp_path: Path) -> None:
    index = SqliteStore.create(tmp_path, IDENTITY)
    problems = [
        Skipped("/문서/a.txt", Reason.ENCRYPTED, "needs a password", member="secret.pdf"),
        Skipped("/문서/a.txt", Reason.SCANNED, "3 of 7 pages have no text"),
    ]
    with index.writer() as writer:
        writer.put(source("a"), "h", [document("a")], problems)
        writer.publish()
        assert writer.files()[source("a").path_bytes].reason is None
        writer.touch(source("a", 5))
        writer.publish()
    assert index.problems() == problems
    with index.snapshot() as snapshot:
        assert [one.mtime_ns for one in snapshot.documents()] == [5]
    with index.writer() as writer:
        writer.remove([source("a").path_bytes])
    assert index.problems() == []


def test_a_move_onto_a_known_file_replaces_it(tmp_path: Path) -> None:
    index = make(tmp_path, "ab")
    with index.writer() as writer:
        writer.move(source("a").path_bytes, source("b", 9))
        writer.publish()
        assert set(writer.files()) == {source("b").path_bytes}
    with index.snapshot() as snapshot:
        (only,) = snapshot.documents()
    assert (only.path, only.title, only.mtime_ns) == ("/문서/b.txt", "a v0", 9)
    assert index.check() == []


def interrupted(writer: Writer) -> None:
    with writer.transaction():
        put(writer, "b")
        writer.remove([source("a").path_bytes])
        raise KeyboardInterrupt


def test_a_failed_transaction_leaves_nothing(tmp_path: Path) -> None:
    index = make(tmp_path, "a")
    with index.writer() as writer:
        with pytest.raises(KeyboardInterrupt):
            interrupted(writer)
        assert set(writer.files()) == {source("a").path_bytes}
        assert writer.publish() == 1


def test_roots_and_runs(tmp_path: Path) -> None:
    index = SqliteStore.create(tmp_path, IDENTITY)
    with index.writer() as writer:
        writer.add_root(b"/b\xff")
        writer.add_root(b"/a", {"include": ("*.md",), "exclude": ()})
        writer.add_root(b"/a")
        assert writer.roots()[b"/a"] == {"include": ("*.md",), "exclude": ()}
        assert list(writer.roots()) == [b"/a", b"/b\xff"]
        writer.forget_root(b"/a")
        assert list(writer.roots()) == [b"/b\xff"]
        assert index.status().last_run is None
        writer.record_run({"added": 3, "what": "글"})
    assert index.status().last_run == {"added": 3, "what": "글"}


def test_names_of_any_bytes(tmp_path: Path) -> None:
    index = SqliteStore.create(tmp_path, IDENTITY)
    odd = replace(source("a"), path_bytes=b"/x/\xff\n.txt", path="/x/\ufffd\n.txt")
    with index.writer() as writer:
        writer.put(odd, "h", [document("a")])
        writer.publish()
        assert set(writer.files()) == {odd.path_bytes}
    with index.snapshot() as snapshot:
        assert [(one.path_bytes, one.path) for one in snapshot.documents()] == [(odd.path_bytes, odd.path)]


def test_status(tmp_path: Path) -> None:
    index = make(tmp_path, "abc")
    status = index.status()
    assert (status.generation, status.documents, status.passages, status.files) == (1, 3, 12, 3)
    assert status.identity == IDENTITY
    assert 0 < status.bytes < 5_000_000


def test_opening_says_what_is_wrong(tmp_path: Path) -> None:
    with pytest.raises(IndexMissing, match="no index"):
        SqliteStore(tmp_path / "nowhere")
    empty = tmp_path / "empty"
    empty.mkdir()
    with pytest.raises(IndexMissing):
        SqliteStore(empty)
    (empty / "index.sqlite.new").write_bytes(b"left by one that was killed while it was made")
    assert not SqliteStore.exists(empty)
    SqliteStore.create(empty, IDENTITY)
    with pytest.raises(IndexStateError, match="already"):
        SqliteStore.create(empty, IDENTITY)

    full = tmp_path / "full"
    full.mkdir()
    (full / "thesis.txt").touch()
    with pytest.raises(UsageError, match=r"thesis\.txt"):
        SqliteStore.create(full, IDENTITY)


@pytest.mark.parametrize(
    ("pragma", "error", "words"),
    [
        (f"user_version = {tables.VERSION + 1}", IndexMismatch, "format"),
        ("application_id = 77", IndexMismatch, "not an index of kosearch"),
    ],
)
def test_other_databases_are_refused(tmp_path: Path, pragma: str, error: type[Exception], words: str) -> None:
    import sqlite3

    make(tmp_path, "a").close()
    connection = sqlite3.connect(tmp_path / "index.sqlite")
    connection.execute(f"PRAGMA {pragma}")
    connection.close()
    with pytest.raises(error, match=words):
        SqliteStore(tmp_path)


def test_a_file_that_is_no_database_is_damage(tmp_path: Path) -> None:
    for content in (b"hello" * 1000, b""):
        (tmp_path / "index.sqlite").write_bytes(content)
        with pytest.raises(IndexDamaged):
            SqliteStore(tmp_path)


def test_an_index_of_another_user_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make(tmp_path, "a").close()
    if os.stat(tmp_path).st_uid == 0:
        os.chown(tmp_path, 12345, -1)
    else:
        monkeypatch.setattr(os, "geteuid", lambda: 12345)
    with pytest.raises(IndexStateError, match="another user"):
        SqliteStore(tmp_path)


def test_delete_makes_room_for_another(tmp_path: Path) -> None:
    index = make(tmp_path, "ab")
    with index.writer(), pytest.raises(IndexBusy):
        SqliteStore.delete(tmp_path)
    answers(index)
    SqliteStore.delete(tmp_path)
    with pytest.raises(IndexMissing), index.snapshot():
        pass
    other = replace(IDENTITY, model="other")
    assert SqliteStore.create(tmp_path, other).identity == other
    with SqliteStore(tmp_path).writer() as writer:
        put(writer, "z")
        assert writer.publish() == 1
    # What was open all along sees the new one.
    assert [one[0] for one in answers(index)["documents"]] == ["/문서/z.txt"]
    assert index.identity == other


def test_a_wrong_vector_is_an_error_of_the_program(tmp_path: Path) -> None:
    index = SqliteStore.create(tmp_path, IDENTITY)
    wrong = replace(document("a").passages[0], vector=np.zeros(DIMENSIONS + 1, np.float32))
    with index.writer() as writer, pytest.raises(ValueError, match="dimensions"):
        writer.put(source("a"), "", [NewDocument(Extracted("x", "text"), [wrong])])
    unfinished = replace(wrong, vector=np.full(DIMENSIONS, np.nan, np.float32))
    with index.writer() as writer, pytest.raises(ValueError, match="finite"):
        writer.put(source("a"), "", [NewDocument(Extracted("x", "text"), [unfinished])])


def test_an_older_format_is_migrated_or_left_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    index = make(tmp_path, "ab")
    expected = answers(index)
    index.close()
    newer = (*tables.MIGRATIONS, ("ALTER TABLE root ADD COLUMN label TEXT NOT NULL DEFAULT ''",))
    monkeypatch.setattr(tables, "MIGRATIONS", newer)
    monkeypatch.setattr(tables, "VERSION", len(newer))

    def killed(name: str) -> None:
        raise KeyboardInterrupt(name)

    with monkeypatch.context() as patch:
        patch.setattr(files, "hooks", [killed])
        with pytest.raises(KeyboardInterrupt):
            SqliteStore(tmp_path)
    connection = tables.connect(tmp_path, write=False)
    assert not tables.is_current(connection)
    connection.close()
    index = SqliteStore(tmp_path)
    assert answers(index) == expected
    connection = tables.connect(tmp_path, write=False)
    assert tables.is_current(connection)
    assert connection.execute("SELECT count(label) FROM root").fetchone() == (0,)
    connection.close()


def test_free_space_is_given_back(tmp_path: Path) -> None:
    index = make(tmp_path, [f"f{number}" for number in range(300)])
    index.close()
    before = (tmp_path / "index.sqlite").stat().st_size
    with index.writer() as writer:
        writer.remove([source(f"f{number}").path_bytes for number in range(290)])
        writer.publish()
    index.close()
    assert (tmp_path / "index.sqlite").stat().st_size < before / 2
