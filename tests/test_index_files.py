"""What the index remembers of files, and how little a strange document can make of it."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
from index_making import IDENTITY, answers, document, make, put, source, vector

from kosearch.index import NewDocument, NewPassage, SqliteStore, database
from kosearch.passages import chunk
from kosearch.records import MAX_TITLE, Extracted, Heading, PageStart, Passage, Reason, Skipped

BEFORE_1677, AFTER_2262 = -11_644_473_600 * 10**9, 30_000_000_000 * 10**9
"""NTFS's zero time, in 1601, and a time in 2920: neither fits 64 bits of nanoseconds."""


@pytest.mark.parametrize("mtime_ns", [BEFORE_1677, AFTER_2262, -1, 0, 2**63 - 1, 2**63, -(2**63) - 1])
def test_any_time_is_kept_exactly(tmp_path: Path, mtime_ns: int) -> None:
    index = make(tmp_path)
    with index.writer() as writer:
        put(writer, "a", mtime_ns=mtime_ns)
        put(writer, "b")
        writer.publish()
        writer.touch(replace(source("b"), mtime_ns=mtime_ns, ctime_ns=mtime_ns, inode=2**64 - 1))
        writer.publish()
        assert {state.mtime_ns for state in writer.files().values()} == {mtime_ns}
        state = writer.files()[source("b").path_bytes]
        assert (state.ctime_ns, state.inode) == (mtime_ns, 2**64 - 1)
    with index.snapshot() as snapshot:
        assert [one.mtime_ns for one in snapshot.documents()] == [mtime_ns, mtime_ns]
        assert snapshot.find_documents(after="0001") is not None
    assert index.check() == []
    assert index.repair() == []


def test_a_failure_is_remembered_with_its_limits_until_the_file_is_read(tmp_path: Path) -> None:
    index = make(tmp_path, "a")
    slow = Skipped("/문서/slow.txt", Reason.TIMEOUT, "took longer than 60 s")
    with index.writer() as writer:
        writer.skip(replace(source("slow"), ctime_ns=5, inode=7), slow, reader="pdf/3", limits="60 s, 2 GiB")
        state = writer.files()[source("slow").path_bytes]
        assert (state.reason, state.limits, state.reader) == (Reason.TIMEOUT, "60 s, 2 GiB", "pdf/3")
        assert (state.size, state.mtime_ns, state.ctime_ns, state.inode) == (100, 1, 5, 7)
    (stored,) = (one for one in index.stored_files() if one.state.reason)
    assert stored.state == state
    with index.writer() as writer:
        writer.put(source("slow"), "hash", [document("slow")], reader="pdf/4")
        state = writer.files()[source("slow").path_bytes]
        assert (state.reason, state.limits, state.reader) == (None, "", "pdf/4")


def test_what_readers_do_not_see_is_not_published(tmp_path: Path) -> None:
    """Another inode or change time: the next run must know them, and no generation is made for it."""
    index = make(tmp_path, "a")
    with index.writer() as writer:
        writer.touch(replace(source("a"), root=b"/", ctime_ns=5, inode=7))
        assert writer.publish() == 1
        state = writer.files()[source("a").path_bytes]
        assert (state.root, state.ctime_ns, state.inode) == (b"/", 5, 7)
        writer.touch(source("a", 9))
        assert writer.publish() == 2


def test_headings_stand_once_however_many_passages_lie_below(tmp_path: Path) -> None:
    """A heading of 480 KB above 2,000 passages, in 300 levels: once 46 MB, and more with the terms."""
    lines = [f"문장 {number}입니다." for number in range(2000)]
    text = "\n".join(lines)
    headings = tuple(Heading(0, level, f"{level} " + "제목" * 240_000) for level in range(1, 300))
    extracted = Extracted(text, "html", title="제" * 480_000, headings=headings, pages=(PageStart(0, 1),))
    passages = chunk(extracted, lambda part: [(at, at + 1) for at in range(len(part))], size=12, overlap=0)
    assert len(passages) > 1000
    hashes = [number.to_bytes(16, "little") for number in range(len(passages))]
    new = [NewPassage(one, key, vector("x"), {}) for one, key in zip(passages, hashes, strict=True)]
    index = SqliteStore.create(tmp_path / "index", IDENTITY)
    with index.writer() as writer:
        writer.put(source("a"), "h", [NewDocument(extracted, new)])
        writer.publish()
    assert index.status().bytes < 2_000_000
    with index.snapshot() as snapshot:
        stored = snapshot.stored(snapshot.dense(vector("x"), 3)[0])
        assert [one.passage for one in stored] == passages[:3]
        assert {len(one.passage.headings) for one in stored} == {16}
        assert max(map(len, stored[0].passage.headings)) == len(stored[0].document.title) == MAX_TITLE
    assert index.check() == []


def test_a_passage_knows_the_pages_it_begins_and_ends_on(tmp_path: Path) -> None:
    extracted = Extracted("one two", "pdf", pages=(PageStart(0, 1), PageStart(4, 2)))
    (passage,) = chunk(extracted, lambda part: [(at, at + 1) for at in range(len(part))], size=20, overlap=0)
    assert (passage.page, passage.page_end) == (1, 2)
    index = SqliteStore.create(tmp_path / "index", IDENTITY)
    with index.writer() as writer:
        writer.put(source("a"), "h", [NewDocument(extracted, [NewPassage(passage, bytes(16), vector("x"), {})])])
        writer.publish()
    with index.snapshot() as snapshot:
        assert snapshot.stored(snapshot.dense(vector("x"), 1)[0])[0].passage == passage


@pytest.mark.parametrize("change", ["CAST(title || x'ff' AS BLOB)", "title || x'ff'"])
def test_a_damaged_heading_costs_its_document_and_no_other(tmp_path: Path, change: str) -> None:
    """Also where a flipped bit made text of the bytes, which is no UTF-8."""
    index = make(tmp_path, "ab")
    connection = database.connect(tmp_path, write=True)
    (number,) = connection.execute("SELECT min(document_id) FROM heading").fetchone()
    connection.execute(f"UPDATE heading SET title = {change} WHERE document_id = ? AND number = 0", (number,))
    connection.close()
    assert len(index.check()) == 1
    assert index.repair() == ["/문서/a.txt"]
    assert answers(index) == answers(make(tmp_path / "fresh", "b"))


def test_places_of_the_first_format_are_read_as_they_are(tmp_path: Path) -> None:
    index = make(tmp_path, "ab")
    before = answers(index)
    connection = database.connect(tmp_path, write=True)
    with database.transaction(connection):
        for number, place in connection.execute("SELECT id, place FROM passage").fetchall():
            old = [*json.loads(place)[:7], ["제목", f"절 {json.loads(place)[0]}"]]
            connection.execute(
                "UPDATE passage SET place = ?1, checksum = row_checksum(id, document_id, ?1) WHERE id = ?2",
                (json.dumps(old, ensure_ascii=False), number),
            )
        connection.execute("DELETE FROM heading")
    connection.close()
    assert answers(index) == before
    assert index.check() == []


def test_a_passage_without_pages_has_none() -> None:
    (passage,) = chunk(Extracted("one", "text"), lambda part: [(0, len(part))], size=20, overlap=0)
    assert passage == Passage(0, 3, 1, 1)
