"""A few files are cut in this process; what is long, many or goes wrong is for workers."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import pytest

from kosearch import kiwi
from kosearch.processing import FewHere
from kosearch.reading import Extracts, Job, Processed
from kosearch.records import Extracted, Extraction, SourceFile
from kosearch.workers import Failure


def job(number: int, size: int = 10) -> Job:
    path = f"/d/{number}.txt"
    return Job(SourceFile(path.encode(), path, b"/d", size, 1), None)


def processed(one: Job, by: str) -> Processed:
    return Processed(one.source, by, (), ())


class Workers:
    limits = "60 s a part, 2048 MiB"

    def map(self, items: Iterable[Job]) -> Iterator[tuple[Job, Processed]]:
        for one in items:
            yield one, processed(one, "worker")

    def close(self) -> None:
        self.limits = "closed"


class Reader(Workers):
    """Files whose size is that of their text; one of no size cannot be read."""

    def map(self, items: Iterable[Job]) -> Iterator[tuple[Job, Any]]:
        for one in items:
            text = "가" * one.source.size
            found = Extraction((Extracted(text, "text"),), (), ("text 2",))
            yield one, Extracts(one.source, "", found) if text else Failure("crashed", "the process was ended")


class Processor:
    def cut(self, found: Extracts) -> Processed:
        if found.source.size == 13:
            raise MemoryError
        return Processed(found.source, "here", (), ())


@pytest.fixture
def few(monkeypatch: pytest.MonkeyPatch) -> Iterator[FewHere]:
    monkeypatch.setattr(kiwi, "start", lambda: False)
    told: list[int] = []
    with FewHere(Processor(), Workers(), Reader(), lambda: told.append(1)) as pool:  # type: ignore[arg-type]
        yield pool
    assert len(told) <= 1


def by(pool: FewHere, jobs: Iterable[Job]) -> list[str]:
    return [found.kind if isinstance(found, Failure) else found.content_hash for _, found in pool.map(jobs)]


def test_few_are_cut_here_in_their_order(few: FewHere) -> None:
    jobs = [job(number) for number in range(8)]
    assert by(few, jobs) == ["here"] * 8
    assert [one for one, _ in few.map(jobs)] == jobs
    assert by(few, []) == []


def test_many_are_for_workers_and_so_are_large_ones(few: FewHere) -> None:
    asked: list[int] = []

    def jobs() -> Iterator[Job]:
        for number in range(1000):
            asked.append(number)
            yield job(number)

    found = few.map(jobs())
    assert [next(found)[1] for _ in range(2)] == [processed(job(number), "worker") for number in range(2)]
    assert len(asked) < 20, "nobody waits for the end of a walk"
    assert by(few, [job(1, 1 << 21)]) == ["worker"]


def test_long_texts_are_for_workers_however_small_their_file(few: FewHere) -> None:
    assert by(few, [job(1, 60_000), job(2, 60_000), job(3)]) == ["here", "worker", "worker"]


def test_what_goes_wrong_here_is_tried_by_a_worker(few: FewHere) -> None:
    assert by(few, [job(1, 13), job(2, 0), job(3)]) == ["worker", "crashed", "here"]
