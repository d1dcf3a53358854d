"""Hostile files with sound ones between them, on a busy machine: no sound one is lost to another's doing."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import time
import unicodedata
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest
from conftest import CORPUS, PROGRAM, Program, Tally
from making import CHEAP, HOSTILE

from kosearch.extract.text import nfc

MEMORY = 3 << 30
"""Bytes that any process of ours may have had: a worker's limit, and the interpreter with its libraries."""
MEASURE = """
import resource, subprocess, sys
done = subprocess.run(sys.argv[2:])
with open(sys.argv[1], "w") as file:
    file.write(str(resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss))
sys.exit(done.returncode)
"""


@contextmanager
def busy(count: int) -> Iterator[None]:
    """So many other processes that never rest."""
    others = [subprocess.Popen([sys.executable, "-S", "-c", "while True: pass"]) for _ in range(count)]
    try:
        yield
    finally:
        for one in others:
            one.kill()
            one.wait()


@contextmanager
def growing(file: Path) -> Iterator[None]:
    """A file that is longer whenever somebody looks; a short one in the end, since a long sound text takes its time."""
    over = threading.Event()

    def grow() -> None:
        with file.open("ab") as stream:
            while not over.wait(0.001):
                stream.write(b"Seoul\n" * 100)
                stream.flush()

    thread = threading.Thread(target=grow)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()
        os.truncate(file, 6)


def beyond_path_max(folder: Path) -> None:
    """Folders in folders until no path names the file in the last one any more."""
    here = os.open(folder, os.O_RDONLY)
    for _ in range(30):
        os.mkdir("d" * 200, dir_fd=here)
        inner = os.open("d" * 200, os.O_RDONLY, dir_fd=here)
        os.close(here)
        here = inner
    os.close(os.open("unreachable.txt", os.O_CREAT | os.O_WRONLY, dir_fd=here))
    os.close(here)


def plant(folder: Path, hostile: Mapping[str, Callable[[], bytes]]) -> set[str]:
    """Write them, a sound file after each, and what only a folder can hold; returns the paths of the sound ones."""
    folder.mkdir()
    sound = set()
    for number, (name, make) in enumerate(hostile.items()):
        (folder / f"{number:03} {name}").write_bytes(make())
        file = folder / f"{number:03} ~sound.md"
        file.write_text(
            f"# Number {number}\n\nThe lighthouse keeper of pier {number} writes a letter. 등대지기의 편지 {number}\n"
        )
        sound.add(str(file))
    with (folder / "sparse.txt").open("wb") as stream:
        stream.truncate(1 << 40)
    beyond_path_max(folder)
    return sound


def run_measured(
    program: Program, peak: Path, *arguments: str | os.PathLike[str], timeout: float
) -> tuple[subprocess.CompletedProcess[str], int]:
    """A run of the program, and the bytes that the largest of its processes had.

    Begun by a small process: to Linux, one that pytest begins itself has had whatever pytest ever had, since until it
    is a program of its own it shares that memory.
    """
    done = subprocess.run(
        [sys.executable, "-S", "-c", MEASURE, peak, PROGRAM, *arguments],
        capture_output=True,
        text=True,
        encoding="utf-8",
        env=program.environment,
        timeout=timeout,
        check=False,
    )
    return done, int(peak.read_text(encoding="ascii")) * 1024


def check(program: Program, folder: Path, hostile: Mapping[str, Callable[[], bytes]], seconds: float) -> None:
    sound = plant(folder, hostile)
    (folder / "grows.txt").touch()
    environment = {**program.environment, "KOSEARCH_TIMEOUT": str(seconds), "KOSEARCH_WORKERS": "2"}
    program = replace(program, environment=environment)
    with busy(4), growing(folder / "grows.txt"):
        first, peak = run_measured(
            program, folder.with_name("peak"), "index", folder, "--archives", "--json", timeout=3600
        )
        assert first.returncode == 0, first.stderr
    skipped = {one["path"]: one["reason"] for one in json.loads(first.stdout)["skipped"]}
    assert skipped.keys() & sound == set()
    assert skipped[str(folder / "sparse.txt")] == "too-large"
    assert any(reason == "unreadable" and "dddd" in path for path, reason in skipped.items())
    found = program.run("query", "lighthouse keeper", "--mode", "lexical", "--paths", "-k", "1000")
    assert sound <= set(found.stdout.splitlines())
    assert peak < MEMORY
    begun = time.monotonic()
    again = json.loads(program.run("index", "--archives", "--json", timeout=600).stdout)
    assert again["unchanged"] >= len(sound)
    assert time.monotonic() - begun < 120  # those that failed by time are not tried again


def test_sound_files_among_hostile_ones(program: Program, tmp_path: Path, tally: Tally) -> None:
    check(program, tmp_path / "in", {name: HOSTILE[name] for name in CHEAP}, 5)
    tally.tried("bombs", len(CHEAP))


def test_marks_without_end_cost_little_and_stay() -> None:
    """Python orders a run of them in quadratic time: a million took an hour."""
    marks = "\u0301\u0323\uff9e"
    for few in ("cafe\u0301", "e" + "\u0301\u0323" * 15, "가나다", "─" * 100 + "e\u0301", "ｶ\uff9e" * 100):
        assert nfc(few) == unicodedata.normalize("NFC", few)
    begun = time.process_time()
    many = nfc("e" + marks * 200_000)
    assert unicodedata.normalize("NFKC", many)
    assert time.process_time() - begun < 5
    assert Counter(unicodedata.normalize("NFD", many).replace("\u034f", "")) == Counter("e" + marks * 200_000)
    assert nfc(many) == many


@pytest.mark.slow
def test_sound_files_among_the_whole_set(program: Program, tmp_path: Path, tally: Tally) -> None:
    assert len(HOSTILE) > 97
    check(program, tmp_path / "in", HOSTILE, 10)
    tally.tried("bombs", len(HOSTILE))


@pytest.mark.slow
def test_two_hundred_megabytes_on_one_line(program: Program, tmp_path: Path) -> None:
    folder = tmp_path / "in"
    folder.mkdir()
    (folder / "a.txt").write_bytes(b"lighthouse " * 20_000_000)
    (folder / "b.txt").write_text("The lighthouse keeper writes.\n")
    environment = {**program.environment, "KOSEARCH_TIMEOUT": "20"}
    done = replace(program, environment=environment).run(
        "index", folder, "--max-file-size", "1G", "--json", timeout=1200
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["skipped"][0]["reason"] in ("timeout", "memory")
    assert program.run("query", "keeper", "--mode", "lexical", "--paths").stdout == f"{folder / 'b.txt'}\n"


@pytest.mark.slow
def test_what_is_long_and_sound_is_read_whatever_time_it_takes(program: Program, tmp_path: Path) -> None:
    """More text than is read in a minute; and a word of a million syllables, the slowest that can be written."""
    folder = tmp_path / "in"
    folder.mkdir()
    text = (CORPUS / "규정/휴가규정.md").read_text(encoding="utf-8")
    (folder / "long.txt").write_text("\n\n".join(f"{n}. {text}" for n in range(3_000_000 // len(text))))
    (folder / "slow.txt").write_text("가" * 1_000_000)
    done = program.run("index", folder, "--json", timeout=7200)
    assert (done.returncode, json.loads(done.stdout)["skipped"]) == (0, []), done.stderr


@pytest.mark.slow
def test_a_hundred_thousand_files_in_one_folder(program: Program, tmp_path: Path) -> None:
    """Empty ones, for their number is what is tried."""
    folder = tmp_path / "in"
    folder.mkdir()
    for number in range(100_000):
        (folder / f"{number}.txt").touch()
    (folder / "50000 ~.txt").write_text("The lighthouse keeper writes.\n")
    done = program.run("index", folder, "--json", timeout=1800)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["documents"] == 1
