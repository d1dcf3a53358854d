"""The program is ended at any moment of a run: what was committed answers, and the next run ends as if nothing was."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest
from conftest import Tally

from crash.conftest import Place
from crash.folders import chance, documents_in, litter
from crash.forked import BROKEN, FULL, KILL, TORN, Ended, Fault
from kosearch.index import SqliteStore

PUBLISHED = "generation committed"


def look(place: Place, run: Ended) -> None:
    """What must be true after a run that was ended, whatever ended it."""
    found = place.answers()
    if PUBLISHED in run.steps and run.code in (0, -signal.SIGKILL):
        assert found == place.after
    elif run.code == -signal.SIGKILL:
        assert found == place.before or (found == place.after and "state written" in run.steps)
    else:  # on its way out a run publishes what it has committed: whole documents
        assert documents_in(place.index) <= place.documents
    again = place.forked.run("index", index=place.index)
    assert again.code == 0, again.stderr
    assert place.answers() == place.after
    assert litter(place.index) == []
    index = SqliteStore(place.index)
    assert index.check() == []
    index.close()


def run(place: Place, fault: Fault) -> Ended:
    place.reset()
    return place.forked.run("index", index=place.index, fault=fault)


def operations(place: Place) -> int:
    """How many operations on its files a run that is left alone makes."""
    whole = run(place, Fault())
    assert whole.code == 0, whole.stderr
    assert place.answers() == place.after
    return whole.operations


@pytest.mark.parametrize("times", [3, pytest.param(200, marks=pytest.mark.crash)])
def test_killed_at_a_random_operation(place: Place, times: int, tally: Tally) -> None:
    last = operations(place)
    generator = chance(times)
    for number in range(times):
        fault = Fault((KILL, TORN)[number % 2], generator.randint(1, last))
        ended = run(place, fault)
        tally.tried("kill")
        assert ended.code == -signal.SIGKILL, fault
        look(place, ended)


@pytest.mark.parametrize("every", [10, pytest.param(1, marks=pytest.mark.crash)])
def test_killed_at_every_step(place: Place, every: int, tally: Tally) -> None:
    place.reset()
    steps = place.forked.run("index", index=place.index).steps
    assert {"folder made", "vectors written", "graph written", "terms written", "manifest written"} < set(steps)
    for number in range(0, len(steps), every):
        ended = run(place, Fault(step=number))
        tally.tried("steps")
        assert (ended.code, ended.steps) == (-signal.SIGKILL, steps[: number + 1])
        look(place, ended)


@pytest.mark.parametrize("mode", [FULL, BROKEN], ids=["disk full", "input/output error"])
@pytest.mark.parametrize("times", [1, pytest.param(100, marks=pytest.mark.crash)])
def test_an_operation_that_fails(place: Place, mode: str, times: int, tally: Tally) -> None:
    """Once, or from then on, as on a disk that stays full. The program says so, and goes on or ends with 4."""
    last = operations(place)
    generator = chance(f"{mode} {times}")
    for number in range(times):
        ended = run(place, Fault(mode, generator.randint(1, last), more=bool(number % 2)))
        tally.tried("disk")
        assert ended.code in (0, 4), ended.stderr
        assert "Traceback" not in ended.stderr
        assert ended.code == 0 or f"index in {place.index} cannot be" in ended.stderr
        look(place, ended)


@pytest.mark.parametrize("times", [2, pytest.param(40, marks=pytest.mark.crash)])
def test_files_may_not_grow(place: Place, times: int, tally: Tally) -> None:
    """A limit that the system holds, so that mapped memory and calls of its own are no way around."""
    place.reset()
    most = max(path.stat().st_size for path in place.index.rglob("*"))
    for number in range(times):
        ended = run(place, Fault(largest=1024 + number * most // times))
        tally.tried("disk")
        assert ended.code in (0, 4), ended.stderr
        look(place, ended)


@contextmanager
def small_disk(folder: Path) -> Iterator[Callable[[int], object]]:
    """A disk of its own at `folder`, and what sets its size in KiB."""

    def mount(options: str) -> int:
        return subprocess.run(["mount", "-t", "tmpfs", "-o", options, "tmpfs", folder], check=False).returncode

    folder.mkdir()
    if os.geteuid() != 0 or mount("size=64m") != 0:
        pytest.skip("needs the right to mount")
    try:
        yield lambda size: mount(f"remount,size={size}k")
    finally:
        subprocess.run(["umount", "-l", folder], check=True)


@pytest.mark.crash
@pytest.mark.parametrize("times", [40])
def test_a_small_disk(place: Place, times: int, tally: Tally, tmp_path: Path) -> None:
    """A disk that is really full, from no room at all to enough for the run; then there is room again."""
    with small_disk(tmp_path / "disk") as set_size:
        there = replace(place, index=tmp_path / "disk/index")
        used = 4 * (3 + sum(-(-path.stat().st_size // 4096) for path in place.base.rglob("*")))
        for number in range(times):
            set_size(64_000)
            there.reset()
            set_size(used + 20 * number)
            ended = there.forked.run("index", index=there.index)
            tally.tried("disk")
            assert ended.code in (0, 4), ended.stderr
            assert there.query().code == 0  # also while the disk is full
            set_size(64_000)
            look(there, ended)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("every", [14, pytest.param(1, marks=pytest.mark.crash)])
def test_interrupted_at_every_step(place: Place, number: signal.Signals, every: int, tally: Tally) -> None:
    """The exit code is the signal's, nothing is printed, and what was committed is published on the way out."""
    place.reset()
    steps = place.forked.run("index", index=place.index).steps
    for at in range(0, len(steps) - 1, every):
        ended = run(place, Fault(signals={str(at): number}))
        tally.tried("signals")
        assert (ended.code, ended.stdout) == (128 + number, ""), (steps[at], ended.stderr)
        assert "Traceback" not in ended.stderr
        assert ended.seconds < 30
        if "folder made" not in steps[: at + 1]:
            index = SqliteStore(place.index)
            assert index.status().pending == 0
            index.close()
        look(place, ended)


@pytest.mark.parametrize("times", [2, pytest.param(50, marks=pytest.mark.crash)])
def test_the_clock_goes_backwards(place: Place, times: int, tally: Tally) -> None:
    """An hour whenever it is looked at, in a run that is killed, and in one that is not."""
    last = operations(place)
    generator = chance(times)
    for number in range(times):
        fault = Fault(KILL, generator.randint(1, last) if number % 2 else 0, clock=3600)
        ended = run(place, fault)
        tally.tried("clock")
        assert ended.code == (-signal.SIGKILL if fault.at else 0)
        look(place, ended)
