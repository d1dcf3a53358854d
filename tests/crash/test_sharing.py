"""One writer at a time, who is named; and readers who never wait, fail, or see half of a change."""

from __future__ import annotations

import os
import random
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest
from conftest import Tally
from index_making import quick_folder

from crash.conftest import Place
from crash.folders import chance, litter
from crash.forked import HERE, Ended, Fault, Forked
from crash.test_kill import look
from kosearch.cli import main


@pytest.fixture(autouse=True)
def _one_user(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    """What runs in this process is the user whose index it is."""
    monkeypatch.setenv("XDG_DATA_HOME", place.forked.environment["XDG_DATA_HOME"])


@contextmanager
def stopped_writer(place: Place) -> Iterator[int]:
    """An `index` that stands still in the middle of its work, and goes on in the end."""
    place.reset()
    pid = place.forked.start("index", index=place.index, fault=Fault(signals={"2": signal.SIGSTOP}))
    try:
        while Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "T":
            time.sleep(0.01)
        yield pid
    finally:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGCONT)


def test_a_second_index_is_told_of_the_first(place: Place, capsys: pytest.CaptureFixture[str], tally: Tally) -> None:
    with stopped_writer(place) as pid:
        begun = time.monotonic()
        for command in (["index"], ["repair"], ["remove", str(place.docs)]):
            tally.tried("writers")
            assert main([*command, "--index", str(place.index)]) == 5
            error = capsys.readouterr().err
            for part in (f"process {pid} on {socket.gethostname()}, since 20", "--wait"):
                assert part in error
        assert time.monotonic() - begun < 30
    assert place.forked.wait().code == 0
    assert place.answers() == place.after


def test_a_second_index_waits_if_asked(place: Place, tally: Tally) -> None:
    with stopped_writer(place) as pid:
        threading.Timer(1, os.kill, [pid, signal.SIGCONT]).start()
        begun = time.monotonic()
        tally.tried("writers")
        assert main(["index", "--wait", "--quiet", "--index", str(place.index)]) == 0
        assert time.monotonic() - begun >= 1
    assert place.forked.wait().code == 0
    assert place.answers() == place.after


def test_the_lock_of_a_dead_process_is_nobodys(place: Place, tally: Tally) -> None:
    with stopped_writer(place) as pid:
        os.kill(pid, signal.SIGKILL)
    tally.tried("writers")
    ended = place.forked.wait()
    assert ended.code == -signal.SIGKILL
    assert str(pid) in (place.index / "lock").read_text()
    look(place, ended)


class Pairs:
    """A folder in which documents come, change and go two by two."""

    def __init__(self, folder: Path, pairs: int) -> None:
        self.folder = folder
        self.pairs = pairs
        self.versions: dict[int, int] = {}
        self.changes = 0
        folder.mkdir()

    def change(self, version: int, generator: random.Random, documents: int) -> None:
        """Add, change or remove so many documents."""
        for pair in generator.sample(range(self.pairs), documents // 2):
            names = [self.folder / f"{pair}-{side}.txt" for side in ("left", "right")]
            gone = pair in self.versions and generator.random() < 0.5
            for name in names:
                if gone:
                    name.unlink()
                else:
                    name.write_text(f"pair{pair} version{version} of the {name.stem}\n")
                    os.utime(name, (version, version))
            self.changes += 2
            if gone:
                del self.versions[pair]
            else:
                self.versions[pair] = version


@pytest.mark.parametrize(("documents", "rounds"), [(90, 3), pytest.param(5000, 20, marks=pytest.mark.crash)])
def test_readers_see_one_generation(
    forked: Forked, cache_dir: Path, documents: int, rounds: int, tally: Tally, tmp_path: Path
) -> None:
    with quick_folder() as folder:
        pairs = Pairs(folder / "docs", documents // rounds)
        generator = chance(documents)

        def write(version: int) -> Ended:
            pairs.change(version, generator, documents // rounds)
            return forked.run("index", pairs.folder, "--quiet", index=folder / "index")

        assert write(0).code == 0
        stop = folder / "stop"
        arguments = [str(folder / "index"), str(pairs.pairs), "8", str(stop), str(folder / "out")]
        reading = subprocess.Popen(
            [sys.executable, HERE / "reading.py", *arguments],
            env={
                **forked.environment,
                "OMP_NUM_THREADS": "1",
                "PYTHONPATH": str(HERE.parent),
            },
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        try:
            assert reading.stdout
            assert reading.stdout.readline() == "reading\n"
            for version in range(1, rounds):
                ended = write(version)
                assert ended.code == 0, ended.stderr
        finally:
            stop.touch()
            _, errors = reading.communicate(timeout=120)
        assert (reading.returncode, errors) == (0, "")
        seen: dict[tuple[str, str], str] = {}
        generations = set()
        for number in range(8):
            lines = (folder / f"out-{number}").read_text().splitlines()
            assert lines
            for line in lines:
                tally.tried("readers")
                generation, pair, hits, *versions = line.split()
                assert (hits, len(versions), len(set(versions))) in (("0", 0, 0), ("2", 2, 1)), line
                assert seen.setdefault((generation, pair), line) == line  # every reader's answer is that of all
                generations.add(generation)
        assert pairs.changes >= documents - documents // rounds
        assert len(generations) > 1
        assert litter(folder / "index") == []
