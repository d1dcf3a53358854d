"""Which files enter and leave an index, run by run; passages are a file's lines, and vectors follow from the text."""

from __future__ import annotations

import hashlib
import os
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
from index_making import IDENTITY, vector

from kosearch import sources
from kosearch.extract import READERS, outdated, version
from kosearch.index import SqliteStore, Writer
from kosearch.indexing import BATCH, Again, Run
from kosearch.processing import input_hash
from kosearch.reading import Job, Processed, ProcessedDocument, ProcessedPassage
from kosearch.records import Extracted, IndexReport, Passage, Reason, Skipped, SourceFile
from kosearch.searching import ranking
from kosearch.sources import WHOLE, Part, WalkRules
from kosearch.workers import Failure

if TYPE_CHECKING:
    from kosearch.records import Vectors


def prepare(job: Job) -> Processed:
    data = Path(os.fsdecode(job.source.path_bytes)).read_bytes()
    content_hash = hashlib.sha256(data).hexdigest()
    if content_hash == job.known_hash:
        return Processed(job.source, content_hash, None, ())
    text = data.decode()
    passages = []
    start = 0
    for number, line in enumerate(text.splitlines(), 1):
        place = Passage(start, start + len(line), number, number)
        passages.append(ProcessedPassage(place, line, input_hash(line), {"body": line.split(), "heading": []}))
        start += len(line) + 1
    document = ProcessedDocument(Extracted(text, "text"), tuple(passages))
    return Processed(job.source, content_hash, (document,), (), version("text"))


class Workers:
    """The pool's interface, in this process."""

    def __init__(self) -> None:
        self.limits = "60 s"
        self.failing: dict[str, Failure] = {}
        self.read: list[str] = []

    def map(self, jobs: Iterable[Job]) -> Iterator[tuple[Job, Processed | Failure]]:
        for job in jobs:
            name = job.source.path.rpartition("/")[2]
            self.read.append(name)
            yield job, self.failing.get(name) or prepare(job)


class Library:
    """An index, and what its embedder was asked."""

    def __init__(self, folder: Path) -> None:
        self.index = SqliteStore.create(folder, IDENTITY)
        self.embedded: list[str] = []
        self.failing: Exception | None = None
        self.workers = Workers()

    def embed(self, texts: Sequence[str], progress: Callable[[int], None]) -> Vectors:
        if self.failing:
            raise self.failing
        self.embedded += texts
        progress(len(texts))
        return np.stack([vector(text) for text in texts])

    def run(self, *roots: Path, again: Again | None = None, part: Part = WHOLE) -> IndexReport:
        self.embedded.clear()
        self.workers.read.clear()
        rules = {os.fsencode(root): WalkRules() for root in roots}
        with self.index.writer() as writer:
            for root in rules:
                writer.add_root(root)
            run = Run(writer, self.embed, part=part).over(rules, self.workers, again)  # type: ignore[arg-type]
            while True:
                try:
                    next(run)
                except StopIteration as end:
                    report: IndexReport = end.value
                    return report

    def names(self) -> set[str]:
        with self.index.snapshot() as snapshot:
            return {document.path.rpartition("/")[2] for document in snapshot.documents()}


@pytest.fixture
def docs(tmp_path: Path) -> Path:
    folder = tmp_path / "docs"
    folder.mkdir()
    (folder / "a.txt").write_text("first line\nsecond line\n")
    (folder / "b.txt").write_text("another line\n")
    return folder


@pytest.fixture
def library(tmp_path: Path) -> Library:
    return Library(tmp_path / "index")


def test_what_has_not_changed_is_not_embedded_again(library: Library, docs: Path) -> None:
    assert library.run(docs).added == 2
    assert sorted(library.embedded) == ["another line", "first line", "second line"]
    report = library.run(docs)
    assert (report.unchanged, report.added, library.embedded) == (2, 0, [])


def test_only_changed_lines_of_a_changed_file_are_embedded(library: Library, docs: Path) -> None:
    library.run(docs)
    (docs / "a.txt").write_text("first line\nsecond line, changed\n")
    assert (library.run(docs).changed, library.embedded) == (1, ["second line, changed"])


def test_a_moved_file_keeps_its_vectors(library: Library, docs: Path) -> None:
    library.run(docs)
    (docs / "a.txt").rename(docs / "c.txt")
    report = library.run(docs)
    assert (report.added, report.removed, library.embedded) == (1, 1, [])
    assert library.names() == {"b.txt", "c.txt"}


def test_a_missing_or_emptied_root_keeps_its_documents(library: Library, docs: Path) -> None:
    library.run(docs)
    away = docs.rename(docs.with_name("away"))
    assert [problem.reason for problem in library.run(docs).failed_roots] == ["vanished"]
    docs.mkdir()
    assert [problem.reason for problem in library.run(docs).failed_roots] == ["empty"]
    assert library.names() == {"a.txt", "b.txt"}
    docs.rmdir()
    away.rename(docs)
    assert library.run(docs).failed_roots == ()


def test_a_file_that_is_a_root_of_its_own_leaves_with_its_folders_word(library: Library, docs: Path) -> None:
    library.run(docs, docs / "a.txt")
    (docs / "a.txt").unlink()
    report = library.run(docs, docs / "a.txt")
    assert (report.removed, report.failed_roots, library.names()) == (1, (), {"b.txt"})
    assert list(library.index.roots()) == [os.fsencode(docs)]


def test_a_file_root_without_a_folder_root_stays(library: Library, docs: Path) -> None:
    library.run(docs / "a.txt")
    (docs / "a.txt").unlink()
    report = library.run(docs / "a.txt")
    assert (len(report.failed_roots), library.names()) == (1, {"a.txt"})


def test_lines_that_several_batches_share_are_embedded_once(library: Library, docs: Path) -> None:
    """The batch before may hold them still, not stored yet."""
    for number in range(4):
        own = "".join(f"line {number} {line}\n" for line in range(BATCH))
        (docs / f"c{number}.txt").write_text(f"the same line\n{own}")
    report = library.run(docs)
    assert len(library.embedded) == len(set(library.embedded)) == report.embedded == 4 + 4 * BATCH
    assert report.reused == 3
    with library.index.snapshot() as snapshot:
        assert len(list(snapshot.documents())) == 6


def test_files_without_passages_are_committed_in_batches_too(library: Library, docs: Path) -> None:
    for number in range(2 * BATCH):
        (docs / f"{number}.txt").touch()
    assert library.run(docs).added == 2 * BATCH + 2
    for path in docs.iterdir():
        os.utime(path, (1, 1))
    assert library.run(docs).unchanged == 2 * BATCH + 2


def test_what_is_committed_before_the_embedder_fails_is_published(library: Library, docs: Path) -> None:
    library.run(docs / "a.txt")
    (docs / "c.txt").write_text("one line more\n")
    library.failing = OSError("no such device")
    with pytest.raises(OSError, match="no such device"):
        library.run(docs)
    assert library.names() == {"a.txt"}
    library.failing = None
    assert library.run(docs).added == 2
    assert library.names() == {"a.txt", "b.txt", "c.txt"}


def test_a_file_that_is_turned_away_is_noted_once(
    library: Library, docs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (docs / "nowhere.txt").symlink_to("no-such-file")
    assert [problem.reason for problem in library.run(docs).skipped] == ["not-a-file"]
    monkeypatch.delattr(Writer, "skip")
    assert [problem.reason for problem in library.run(docs).skipped] == ["not-a-file"]
    assert [problem.reason for problem in library.index.problems()] == ["not-a-file"]


FAILURES = [Failure("timeout", "slow"), Failure("memory", "large"), Failure("crashed", "gone"), Failure("error", "odd")]


@pytest.mark.parametrize("failure", FAILURES)
def test_a_file_that_failed_is_left_alone_until_something_changes(
    library: Library, docs: Path, failure: Failure, monkeypatch: pytest.MonkeyPatch
) -> None:
    library.workers.failing = {"a.txt": failure}

    def read(*, again: Again | None = None) -> list[str]:
        report = library.run(docs, again=again)
        assert [one.path.rpartition("/")[2] for one in report.skipped] == ["a.txt"]
        assert report.skipped[0].detail == f"{failure.detail}; kosearch index --retry tries it again"
        return list(library.workers.read)

    assert read() == ["a.txt", "b.txt"]
    assert read() == []
    assert read(again=Again(frozenset(Reason))) == ["a.txt"]
    library.workers.limits = "120 s"
    assert (read(), read()) == (["a.txt"], [])
    (docs / "a.txt").write_text("another text\n")
    assert (read(), read()) == (["a.txt"], [])
    os.utime(docs / "a.txt", ns=(1, 1))
    assert (read(), read()) == (["a.txt"], [])
    monkeypatch.setitem(READERS, "pdf", READERS["pdf"]._replace(version=99))
    assert (read(), read()) == (["a.txt"], [])
    library.workers.failing.clear()
    assert library.run(docs, again=Again(frozenset(Reason))).added == 0
    assert library.names() == {"a.txt", "b.txt"}


def test_what_another_version_of_a_reader_read_is_read_again(
    library: Library, docs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    library.run(docs)
    monkeypatch.setitem(READERS, "text", READERS["text"]._replace(version=99))
    with library.index.writer() as writer:
        assert Run(writer, library.embed).outdated([os.fsencode(docs)]) == (2, ["text"])
        assert Run(writer, library.embed).outdated([b"/elsewhere"]) == (0, [])
    report = library.run(docs)
    assert library.workers.read == ["a.txt", "b.txt"]
    assert (report.unchanged, report.changed, report.embedded) == (2, 0, 0)
    library.run(docs)
    assert library.workers.read == []


def test_an_engine_that_is_installed_makes_another_reader(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(READERS, "pdf", READERS["pdf"]._replace(engines=("an_engine_for_tests",)))
    before = version("pdf")
    assert outdated([before]) == []
    (tmp_path / "an_engine_for_tests.py").touch()
    monkeypatch.syspath_prepend(tmp_path)
    assert outdated([before, version("text")]) == ["pdf"]


def test_the_same_size_and_time_hide_no_change(library: Library, docs: Path) -> None:
    """By inode or time of change it shows; what is the same all the same is hashed and no more."""
    library.run(docs)
    status = (docs / "a.txt").stat()
    text = (docs / "a.txt").read_text().replace("first", "FIRST")
    (docs / "a.txt").write_text(text)
    os.utime(docs / "a.txt", ns=(status.st_atime_ns, status.st_mtime_ns))
    assert (library.run(docs).changed, library.embedded) == (1, ["FIRST line"])

    (docs / "new").write_text("another LINE\n")
    os.utime(docs / "new", ns=(1, 1))
    os.utime(docs / "b.txt", ns=(1, 1))
    library.run(docs)
    (docs / "new").rename(docs / "b.txt")
    assert (library.run(docs).changed, library.embedded) == (1, [])

    (docs / "a.txt").chmod(0o600)
    report = library.run(docs)
    assert (library.workers.read, report.unchanged) == (["a.txt"], 2)
    assert library.run(docs).unchanged == 2
    assert library.workers.read == []


def test_before_the_next_run_too_the_same_size_and_time_hide_no_change(
    library: Library, docs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What a hit says of its file. Bytes are read only where inode or time of change are others."""
    read: list[bytes] = []

    def noted(raw: bytes, most: int) -> sources.Content:
        read.append(raw)
        return sources.read(raw, most)

    monkeypatch.setattr(ranking, "read", noted)
    os.utime(docs / "a.txt", ns=(1, 1))
    time.sleep(0.03)  # a tick of the clock: see sources.Content
    library.run(docs)

    def state() -> tuple[str, int]:
        read.clear()
        with library.index.snapshot() as snapshot:
            [document] = [one for one in snapshot.documents() if one.path.endswith("a.txt")]
            return ranking.file_state(document, snapshot), len(read)

    assert state() == ("current", 0)
    (docs / "a.txt").chmod(0o600)
    assert state() == ("current", 1)
    text = (docs / "a.txt").read_text()
    (docs / "a.txt").write_text(text.replace("first", "FIRST"))
    os.utime(docs / "a.txt", ns=(1, 1))
    assert state() == ("changed", 1)
    (docs / "new").write_text(text)
    os.utime(docs / "new", ns=(1, 1))
    (docs / "new").rename(docs / "a.txt")
    assert state() == ("current", 1)
    library.run(docs)
    assert state() == ("current", 0)
    with library.index.writer() as writer:
        [file] = [one for raw, one in writer.files().items() if raw.endswith(b"a.txt")]
        seen = SourceFile(file.path_bytes, str(docs / "a.txt"), file.root, file.size, 1, file.ctime_ns, file.inode)
        writer.skip(seen, Skipped(seen.path, Reason.BINARY, "a binary file"), "hash of it")
    assert state() == ("changed", 0)
    (docs / "a.txt").write_text(text)
    assert state() == ("changed", 0)  # by its time
    (docs / "a.txt").unlink()
    assert state() == ("gone", 0)


def test_every_file_can_be_read_again(library: Library, docs: Path) -> None:
    library.run(docs)
    report = library.run(docs, again=Again(every=True))
    assert (library.workers.read, report.unchanged, library.embedded) == (["a.txt", "b.txt"], 2, [])


def test_parts_are_the_whole_and_leave_each_others_files_alone(docs: Path, library: Library) -> None:
    for number in range(20):
        (docs / f"{number}.txt").write_text(f"{number} in {docs}")
    parts = [Part(number, 3) for number in (1, 2, 3)]
    added = [library.run(docs, part=part).added for part in parts]
    assert sum(added) == 22
    assert min(added) > 0
    assert library.names() == {path.name for path in docs.iterdir()}
    gone = docs / "7.txt"
    gone.unlink()
    reports = [library.run(docs, part=part) for part in (*parts, *parts)]
    assert [report.removed for report in reports] == [os.fsencode(gone) in part for part in parts] + [0, 0, 0]
    assert sum(report.unchanged for report in reports) == 2 * 21
    assert library.names() == {path.name for path in docs.iterdir()}
