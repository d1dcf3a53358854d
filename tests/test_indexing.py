"""Which files enter and leave an index, run by run; passages are a file's lines, and vectors follow from the text."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest
from index_making import IDENTITY, vector

from kosearch.index import Index, Writer
from kosearch.indexing import BATCH, Run
from kosearch.preparing import Job, Prepared, PreparedDocument, PreparedPassage, input_hash
from kosearch.records import Extracted, IndexReport, Passage
from kosearch.sources import WalkRules

if TYPE_CHECKING:
    from kosearch.records import Vectors


def prepare(job: Job) -> Prepared:
    data = Path(os.fsdecode(job.source.raw)).read_bytes()
    content_hash = hashlib.sha256(data).hexdigest()
    if content_hash == job.known_hash:
        return Prepared(job.source, content_hash, None, ())
    text = data.decode()
    passages = []
    start = 0
    for number, line in enumerate(text.splitlines(), 1):
        place = Passage(start, start + len(line), number, number)
        passages.append(PreparedPassage(place, line, input_hash(line), {"body": line.split(), "heading": []}))
        start += len(line) + 1
    return Prepared(job.source, content_hash, (PreparedDocument(Extracted(text, "text"), tuple(passages)),), ())


class Workers:
    """The pool's interface, in this process."""

    def map(self, jobs: Iterable[Job]) -> Iterator[tuple[Job, Prepared]]:
        return ((job, prepare(job)) for job in jobs)


class Library:
    """An index, and what its embedder was asked."""

    def __init__(self, folder: Path) -> None:
        self.index = Index.create(folder, IDENTITY)
        self.embedded: list[str] = []
        self.failing: Exception | None = None

    def embed(self, texts: Sequence[str], progress: Callable[[int], None]) -> Vectors:
        if self.failing:
            raise self.failing
        self.embedded += texts
        progress(len(texts))
        return np.stack([vector(text) for text in texts])

    def run(self, *roots: Path) -> IndexReport:
        self.embedded.clear()
        rules = {os.fsencode(root): WalkRules() for root in roots}
        with self.index.writer() as writer:
            for root in rules:
                writer.add_root(root)
            run = Run(writer, self.embed).over(rules, Workers())  # type: ignore[arg-type]
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
