"""Half an hour of adds, changes, removals and questions against one resident, all through the installed program.

    python -m tests.crash.soak [--minutes 30] [--documents 200] [--seed 1] [--out FILE.json]

A folder of made-up documents changes a little, is indexed, and is asked, again and again. Every answer must come from
the documents as they are: a hit whose text is not in its file is a ghost. In between, memory and open files of the
resident and the size of the index are noted. At the end the answers must be those of a fresh index of the same files,
and after most documents have left, the index must be about as small as a fresh one.

Growth is judged between the second quarter, when everything is warm, and the last one, by medians.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from itertools import zip_longest
from pathlib import Path
from typing import Any

PROGRAM = Path(sys.executable).with_name("kosearch")
CORPUS = Path(__file__).resolve().parents[1] / "data" / "corpus"
MIB = 1 << 20
GROWTH_MIB = 16
"""What the resident's memory may move between two quarters: the allocator's own breathing."""
GROWTH_FILES = 4
SHRUNK = 1.5
"""Times the size of a fresh index that the index may have after most documents have left it…"""
SHRUNK_FLOOR = MIB
"""…and bytes on top: SQLite's smallest files."""
MODES = ("hybrid", "dense", "lexical")
NEAR_COSINE = 1e-3
NEAR_SCORE = 0.02
"""A hybrid score is scaled within its candidates: a thousandth of a cosine is more there."""
QUESTIONS_A_ROUND = 8
QUESTIONS_AT_THE_END = 30
KEPT_AT_THE_END = 10
"""Documents that stay when space has to be given back."""


@dataclass(frozen=True, slots=True)
class Sample:
    """The resident and the index at one moment."""

    seconds: float
    rss: int
    """Resident set of the warm process, in bytes."""
    files: int
    """Its open files."""
    disk: int
    """Bytes of the index directory, each file counted once."""
    documents: int


@dataclass(slots=True)
class Soak:
    """What was done, what was seen, what was wrong."""

    minutes: float
    seed: int
    added: int = 0
    changed: int = 0
    removed: int = 0
    runs: int = 0
    questions: int = 0
    compared: int = 0
    """Answers held against those of a fresh index."""
    residents: int = 0
    """How many processes answered; one unless it died."""
    samples: list[Sample] = field(default_factory=list)
    bytes_full: int = 0
    bytes_shrunk: int = 0
    bytes_fresh: int = 0
    generations: int = 1
    """Folders of generations that are left at the end."""
    faults: list[str] = field(default_factory=list)

    def quarter(self, number: int, what: str) -> float:
        """The median of a figure in a quarter of the time, counted from 1."""
        last = self.samples[-1].seconds
        inside = [one for one in self.samples if (number - 1) * last <= 4 * one.seconds <= number * last]
        return statistics.median(getattr(one, what) for one in inside or self.samples)


class World:
    """A home, a folder of documents, and the program that indexes and asks them."""

    def __init__(self, home: Path, runtime: Path, chance: random.Random) -> None:
        self.folder = home / "documents"
        self.folder.mkdir()
        self.index = home / "index"
        self.texts: dict[str, str] = {}
        self._runtime = runtime
        self.chance = chance
        self._count = 0
        words = [word for file in CORPUS.rglob("*.*") if file.suffix != ".pdf" for word in _words(file)]
        self._words = sorted(set(words))
        self._environment = {
            **{name: value for name, value in os.environ.items() if not name.startswith("KOSEARCH_")},
            "HOME": str(home),
            "XDG_CONFIG_HOME": str(home / ".config"),
            "KOSEARCH_CACHE_DIR": os.environ.get("KOSEARCH_CACHE_DIR") or str(home / "cache"),
            "KOSEARCH_INDEX": str(self.index),
            "KOSEARCH_RESIDENT_IDLE": "86400",
            "KOSEARCH_WORKERS": "1",
            "KOSEARCH_TIMEOUT": "600",
            "XDG_RUNTIME_DIR": str(runtime),
            "HF_HUB_OFFLINE": "1",
            "OMP_NUM_THREADS": "1",
            "LC_ALL": "C.UTF-8",
        }

    def run(self, *arguments: str, **more: str) -> subprocess.CompletedProcess[str]:
        environment = {**self._environment, **more}
        command = [PROGRAM, *arguments]
        return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=3600, check=False)

    def add(self) -> None:
        self._count += 1
        self._write(f"{self._count}.md")

    def change(self) -> None:
        self._write(self.chance.choice(sorted(self.texts)))

    def remove(self) -> None:
        name = self.chance.choice(sorted(self.texts))
        del self.texts[name]
        (self.folder / name).unlink()

    def question(self) -> str:
        """A few words in a row out of some document, or words that may be in none."""
        if self.chance.random() < 0.2:
            return " ".join(self.chance.sample(self._words, 3))
        words = self.texts[self.chance.choice(sorted(self.texts))].split()
        start = self.chance.randrange(len(words) - 4)
        return " ".join(words[start : start + 4])

    def ask(self, questions: Sequence[str], mode: str, **more: str) -> list[list[dict[str, Any]]] | None:
        """Each question's hits, or None where the program failed.

        The first is an argument, so that the resident runs the whole command, and the others stand in a file.
        """
        batch = self.index.with_name("questions.txt")
        batch.write_text("\n".join(questions[1:]) + "\n", encoding="utf-8")
        found: list[dict[str, Any]] = []
        for asked in [("--", questions[0]), *([("--batch", str(batch))] if questions[1:] else [])]:
            done = self.run("query", "--mode", mode, "-k", "5", "--json", *asked, **more)
            if done.returncode not in (0, 1):
                return None
            answer = json.loads(done.stdout)
            found += answer.get("answers", [answer])
        return [one["hits"] for one in found]

    def residents(self) -> list[int]:
        """The pids of the warm processes."""
        done = self.run("serve", "--status", "--json")
        return [one["pid"] for one in json.loads(done.stdout)["residents"] if one["answers"]]

    def _write(self, name: str) -> None:
        chance = self.chance
        paragraphs = [" ".join(chance.choices(self._words, k=chance.randrange(20, 120))) for _ in range(3)]
        text = f"# {' '.join(chance.choices(self._words, k=3))}\n\n" + "\n\n".join(paragraphs) + "\n"
        file = self.folder / name
        before = file.stat().st_mtime_ns if file.exists() else 0
        file.write_text(text, encoding="utf-8")
        if file.stat().st_mtime_ns <= before:
            os.utime(file, ns=(before + 1, before + 1))
        self.texts[name] = text


def soak(minutes: float, documents: int, seed: int, note: bool = False) -> Soak:
    """Change, index and ask for so long; `note` tells on stderr how far it is."""
    with _places() as (home, runtime):
        world, outcome = World(home, runtime, random.Random(seed)), Soak(minutes, seed)
        try:
            _work(world, outcome, documents, note)
            _compare(world, outcome)
            _shrink(world, outcome)
        finally:
            world.run("serve", "--stop")
    judge(outcome)
    return outcome


def _work(world: World, outcome: Soak, documents: int, note: bool) -> None:
    chance = world.chance
    for _ in range(documents):
        world.add()
    _index(world, outcome)
    for mode in MODES:  # Kiwi and the model are loaded before anything is noted
        world.ask([world.question()], mode)
    begun, seen = time.monotonic(), set[int]()
    while (seconds := time.monotonic() - begun) < outcome.minutes * 60:
        for _ in range(chance.randrange(1, 12)):
            _step(world, outcome, documents)
        _index(world, outcome)
        _ask(world, outcome)
        for pid in world.residents():
            seen.add(pid)
            outcome.samples.append(
                Sample(seconds, _rss(pid), len(os.listdir(f"/proc/{pid}/fd")), _size(world.index), len(world.texts))
            )
            if note:
                last = outcome.samples[-1]
                print(f"{seconds:6.0f} s  {last.rss / MIB:.0f} MiB  {last.files} files", file=sys.stderr, flush=True)
    outcome.residents = len(seen)


def _step(world: World, outcome: Soak, documents: int) -> None:
    """One change to the folder; the number of documents stays about what it was."""
    kind = world.chance.random() - (len(world.texts) - documents) / documents
    if kind < 1 / 3:
        world.remove()
        outcome.removed += 1
    elif kind < 2 / 3:
        world.change()
        outcome.changed += 1
    else:
        world.add()
        outcome.added += 1


def _index(world: World, outcome: Soak) -> None:
    outcome.runs += 1
    done = world.run("index", "-q", "--json", str(world.folder))
    report = json.loads(done.stdout) if done.returncode == 0 else {}
    if report.get("documents") != len(world.texts):
        outcome.faults.append(
            f"index ended with {done.returncode}, {report.get('documents')} documents where there are "
            f"{len(world.texts)}, skipped {report.get('skipped')}: {done.stderr}"
        )


def _ask(world: World, outcome: Soak) -> None:
    questions = [world.question() for _ in range(QUESTIONS_A_ROUND)]
    outcome.questions += len(questions)
    answers = world.ask(questions, world.chance.choice(MODES))
    if answers is None:
        outcome.faults.append(f"the questions {questions} failed")
    for question, hits in zip(questions, answers or (), strict=False):
        for hit in hits:
            text = world.texts.get(Path(hit["absolute_path"]).name)
            if text is None or hit["text"] not in text or hit["state"] != "current":
                outcome.faults.append(f"a ghost: {hit['absolute_path']} for {question!r}")


def _compare(world: World, outcome: Soak) -> None:
    """The answers of the index that has lived, and of a fresh one."""
    outcome.bytes_full = _size(world.index)
    fresh = str(world.index.with_name("fresh"))
    world.run("index", "-q", str(world.folder), KOSEARCH_INDEX=fresh)
    questions = [world.question() for _ in range(QUESTIONS_AT_THE_END)]
    for mode in MODES:
        old = world.ask(questions, mode) or []
        new = world.ask(questions, mode, KOSEARCH_INDEX=fresh) or []
        outcome.compared += len(new)
        outcome.faults += [
            f"not what a fresh index answers to {question!r} ({mode})"
            for question, ours, its in zip_longest(questions, old, new)
            if ours is None or not agree(ours, its, mode)
        ]


def agree(ours: Sequence[Mapping[str, Any]], its: Sequence[Mapping[str, Any]], mode: str) -> bool:
    """Whether two lists of hits are the same answer.

    By words they are equal to the last digit. A vector depends a little on the texts that were embedded beside it
    (bfloat16, where the processor has it), and so may the order of near hits.
    """
    ours, its = ([{**one, "index": ""} for one in hits] for hits in (ours, its))  # which of the two it is of
    if mode == "lexical" or not ours or not its:
        return ours == its
    pairs = zip(ours, its, strict=False)
    if len(ours) != len(its) or any(abs(one["score"] - other["score"]) > NEAR_SCORE for one, other in pairs):
        return False
    found = {one["id"]: one["scores"] for one in its}
    return all(
        abs(one["scores"]["dense"] - found[one["id"]]["dense"]) <= NEAR_COSINE
        and one["scores"]["lexical"] == found[one["id"]]["lexical"]
        if one["id"] in found
        else one["score"] <= its[-1]["score"] + NEAR_SCORE
        for one in ours
    )


def _shrink(world: World, outcome: Soak) -> None:
    """Most documents leave: is the space given back?"""
    while len(world.texts) > KEPT_AT_THE_END:
        world.remove()
    _index(world, outcome)
    _ask(world, outcome)
    outcome.bytes_shrunk = _size(world.index)
    outcome.generations = len(list(world.index.glob("generation-*")))
    fresh = world.index.with_name("small")
    world.run("index", "-q", str(world.folder), KOSEARCH_INDEX=str(fresh))
    outcome.bytes_fresh = _size(fresh)


def judge(outcome: Soak) -> None:
    """Note what must not be, by the figures."""
    faults = outcome.faults
    if outcome.residents != 1:
        faults.append(f"{outcome.residents} residents answered where one should live on")
    if (grown := outcome.quarter(4, "rss") - outcome.quarter(2, "rss")) > GROWTH_MIB * MIB:
        faults.append(f"the resident grew by {grown / MIB:.1f} MiB")
    if (more := outcome.quarter(4, "files") - outcome.quarter(2, "files")) > GROWTH_FILES:
        faults.append(f"the resident holds {more:.0f} more files open")
    if outcome.bytes_shrunk > SHRUNK * outcome.bytes_fresh + SHRUNK_FLOOR:
        faults.append(f"{outcome.bytes_shrunk} bytes stay where a fresh index takes {outcome.bytes_fresh}")
    if outcome.generations != 1:
        faults.append(f"{outcome.generations} generations are left")


def figures(outcome: Soak) -> Mapping[str, str]:
    """Names and values for the table."""
    return {
        "minutes": f"{outcome.minutes:g}",
        "documents added, changed, removed": f"{outcome.added}, {outcome.changed}, {outcome.removed}",
        "runs of index, questions, answers held against a fresh index": (
            f"{outcome.runs}, {outcome.questions}, {outcome.compared}"
        ),
        "resident's memory, second and last quarter": " → ".join(
            f"{outcome.quarter(number, 'rss') / MIB:.1f} MiB" for number in (2, 4)
        ),
        "resident's open files, second and last quarter": " → ".join(
            f"{outcome.quarter(number, 'files'):.0f}" for number in (2, 4)
        ),
        "index on disk, second and last quarter": " → ".join(
            f"{outcome.quarter(number, 'disk') / MIB:.2f} MiB" for number in (2, 4)
        ),
        "index, when most documents left, fresh": (
            f"{outcome.bytes_full / MIB:.2f}, {outcome.bytes_shrunk / MIB:.2f}, {outcome.bytes_fresh / MIB:.2f} MiB"
        ),
        "faults": str(len(outcome.faults)),
    }


@contextmanager
def _places() -> Iterator[tuple[Path, Path]]:
    """A home, and a runtime directory with a name short enough for sockets."""
    runtime = Path(tempfile.mkdtemp(prefix="ks-", dir="/tmp"))
    try:
        with tempfile.TemporaryDirectory(prefix="kosearch-soak-") as home:
            yield Path(home), runtime
    finally:
        shutil.rmtree(runtime, ignore_errors=True)


def _words(file: Path) -> list[str]:
    return [word for word in file.read_text(encoding="utf-8", errors="ignore").split() if word.isalpha()]


def _rss(pid: int) -> int:
    """The resident set of a process, from proc(5): the second field of statm, in pages."""
    return int(Path(f"/proc/{pid}/statm").read_text(encoding="ascii").split()[1]) * os.sysconf("SC_PAGE_SIZE")


def _size(directory: Path) -> int:
    """Bytes that a folder takes on disk, hard links once; a file that goes meanwhile counts nothing."""
    found: dict[int, int] = {}
    for parent, _, names in os.walk(directory):
        for name in names:
            try:
                status = os.lstat(os.path.join(parent, name))
            except FileNotFoundError:
                continue
            found[status.st_ino] = status.st_blocks * 512
    return sum(found.values())


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.crash.soak", description=__doc__.split("\n", 1)[0])
    parser.add_argument("--minutes", type=float, default=30)
    parser.add_argument("--documents", type=int, default=200)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--out", type=Path, help="write all samples there, as JSON")
    chosen = parser.parse_args(arguments)
    outcome = soak(chosen.minutes, chosen.documents, chosen.seed, note=True)
    if chosen.out:
        chosen.out.write_text(json.dumps(asdict(outcome), indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    for name, value in figures(outcome).items():
        print(f"{name:<62} {value}")
    for fault in outcome.faults[:20]:
        print(f"fault: {fault}")
    return 1 if outcome.faults else 0


if __name__ == "__main__":
    sys.exit(main())
