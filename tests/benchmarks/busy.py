"""The same day on a quiet machine and on one with eight busy loops: is a sound file lost, does anything read otherwise?

    python -m tests.benchmarks busy [--loops 8] [--documents FOLDER]

A day is what a user does who has just installed kosearch: the commands of the README's examples in their order, and
`kosearch index` of a folder of real documents (../shared/documents). The warm process is on, as it is by default. A
file is sound if the quiet day makes it searchable. Ends with 1 where the busy day skips one of those, or where an
example prints other than the README shows.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from conftest import CORPUS, Program, make_program
from test_documentation import README, ROOT, blocks, examples, stable

DOCUMENTS = ROOT.parent / "shared/documents"
INSTALLED = "pip install . && "
"""What stands before the first example's commands in the README: the program is installed already."""


@dataclass(frozen=True, slots=True)
class Day:
    """What one day took and gave."""

    seconds: float
    processor: float
    """Seconds of processor time of the commands, without the warm process."""
    load: float
    """The machine's load in the last minute of it."""
    files: int
    skipped: Mapping[str, str]
    """Path → reason."""
    other: tuple[str, ...]
    """Examples that print other than the README shows."""


@contextmanager
def busy(loops: int) -> Iterator[None]:
    """So many processes that never rest."""
    with ExitStack() as stack:
        for _ in range(loops):
            one = subprocess.Popen([sys.executable, "-S", "-c", "while True: pass"])
            stack.callback(one.wait)
            stack.callback(one.kill)
        yield


@contextmanager
def home() -> Iterator[Program]:
    """The program as it is after installation, in a home with a clone; its warm process ends with it."""
    with (
        tempfile.TemporaryDirectory(prefix="kosearch-busy-") as folder,
        tempfile.TemporaryDirectory(prefix="ks-", dir="/tmp") as runtime,  # a short name, for sockets
    ):
        place = Path(folder)
        shutil.copytree(CORPUS, place / "tests/data/corpus")
        program = make_program(place, place / "cache")
        environment = {**program.environment, "XDG_RUNTIME_DIR": runtime, "KOSEARCH_RESIDENT": "on"}
        program = Program(place, environment)
        try:
            yield program
        finally:
            program.run("serve", "--stop")


def run(program: Program, script: str) -> str:
    """What a script prints on a terminal that shows both streams, however long it takes."""
    done = subprocess.run(
        ["bash", "-c", script],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        stdin=subprocess.DEVNULL,
        text=True,
        cwd=program.home,
        env=program.environment,
        check=False,
    )
    return done.stdout


def spend(documents: Path, loops: int) -> Day:
    """A day in a new home beside so many busy loops."""
    with busy(loops), home() as program:
        begun, before = time.monotonic(), _processor()
        pairs = [(blocks(README, "text")[0], run(program, blocks(README, "sh")[0].split(INSTALLED, 1)[1]))]
        for block in blocks(README, "console"):
            pairs += [(shown, run(program, command)) for command, shown in examples(block)]
        done = program.run("index", "--index", "papers", documents, "--json", timeout=3600)
        if done.returncode:
            sys.exit(done.stderr)
        report = json.loads(done.stdout)
        return Day(
            time.monotonic() - begun,
            _processor() - before,
            os.getloadavg()[0],
            report["added"] + len(report["skipped"]),
            {one["path"]: one["reason"] for one in report["skipped"]},
            tuple(printed for shown, printed in pairs if stable(shown) != stable(printed)),
        )


def _processor() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks busy", description=__doc__)
    parser.add_argument("--loops", type=int, default=8)
    parser.add_argument("--documents", type=Path, default=DOCUMENTS)
    chosen = parser.parse_args()
    print("| busy loops | load | seconds | processor | files | skipped | examples that differ |")
    print(f"|{'---|' * 7}")
    days = []
    for loops in (0, chosen.loops):
        day = spend(chosen.documents, loops)
        days.append(day)
        print(
            f"| {loops} | {day.load:.1f} | {day.seconds:.0f} | {day.processor:.0f} | {day.files} | {len(day.skipped)}"
            f" | {len(day.other)} |",
            flush=True,
        )
    quiet, other = days
    lost = {path: reason for path, reason in other.skipped.items() if quiet.skipped.get(path) != reason}
    for path, reason in lost.items():
        print(f"skipped on the busy day: {path}: {reason} (quiet: {quiet.skipped.get(path, 'searchable')})")
    for printed in (*quiet.other, *other.other):
        print(f"not what the README shows:\n{printed}")
    return 1 if lost or quiet.other or other.other else 0


if __name__ == "__main__":
    sys.exit(main())
