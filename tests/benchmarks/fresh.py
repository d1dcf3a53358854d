"""How fresh answers are, and what that costs.

    python -m tests.benchmarks fresh [questions] [one] [saves] [idle] [--files 10000] [--saves 200] [--seconds 60]

Without a part, all of them, through the installed program and its warm process, over so many small files with vectors
from a stub.

questions   Warm questions with --refresh=0 and with --refresh, in turn, none of the files changed: wall time of both,
            and CPU time of the warm process. Before each one that looks, two seconds pass: it looks at all files. The
            target is .25 s more.
one         `kosearch index` of one changed file where the warm process runs. The target is .5 s.
saves       `kosearch serve --watch`: a file is saved with a new word in it, and that word is asked for until it is
            found. Median and 99th percentile; the targets are 1 s and 3 s.
idle        CPU time of the watching process while nothing happens, as a share of one core. The target is 1%.
"""

from __future__ import annotations

import argparse
import os
import random
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from kosearch import config
from kosearch.library import Index
from kosearch.resident import launcher
from tests.benchmarks.pipeline import PROGRAM, Stub, put
from tests.benchmarks.queries import cpu_name, cpu_of

PARTS = ("questions", "one", "saves", "idle")
ROUNDS = 15


def main(arguments: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(prog="fresh", description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("parts", nargs="*", metavar="PART", help=", ".join(PARTS))
    parser.add_argument("--files", type=int, default=10_000)
    parser.add_argument("--saves", type=int, default=200)
    parser.add_argument("--seconds", type=float, default=60)
    options = parser.parse_args(arguments)
    if unknown := set(options.parts) - set(PARTS):
        parser.error(f"there is no part {unknown.pop()!r}; parts are {', '.join(PARTS)}")
    parts = options.parts or PARTS
    print(f"machine    {cpu_name()}, {len(os.sched_getaffinity(0))} cores, load {os.getloadavg()[0]:.1f} at the start")
    with tempfile.TemporaryDirectory() as name:
        work = Path(name)
        os.environ |= {"KOSEARCH_DATA_DIR": str(work / "data"), "XDG_RUNTIME_DIR": name, "TMPDIR": name}
        folder = _indexed(work / "files", options.files)
        print(f"           {options.files} files")
        try:
            if "questions" in parts or "one" in parts:
                run("serve", "--detach")
                ask("word1")
                if "questions" in parts:
                    questions()
                if "one" in parts:
                    one(folder)
                run("serve", "--stop")
            if "saves" in parts or "idle" in parts:
                run("serve", "--detach", "--watch")
                ask("word1")
                if "saves" in parts:
                    saves(folder, options.saves)
                if "idle" in parts:
                    idle(options.seconds)
        finally:
            run("serve", "--stop")
        shutil.rmtree(work / "data")
    print(f"load       {os.getloadavg()[0]:.1f} at the end")
    return 0


def _indexed(folder: Path, count: int) -> Path:
    """Small files of English words, which take no Kiwi, and the default index of them."""
    words = random.Random(1)
    for number in range(count):
        text = " ".join(f"word{words.randrange(5000)}" for _ in range(20))
        put(folder, number, "note.txt", text.encode())
    library = Index(config.load({}))
    library.prepare()
    library.embedder = Stub(library.model)
    for _ in library.update([os.fsencode(folder)]):
        pass
    library.close()
    return folder


def run(*arguments: str) -> float:
    """Seconds that the program takes."""
    began = time.perf_counter()
    subprocess.run([PROGRAM, *arguments], check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    return time.perf_counter() - began


def ask(word: str, *options: str) -> tuple[float, bool]:
    """Seconds from a question to the warm process's answer, and whether there is a hit."""
    settings = config.load({})
    argv = ["query", word, "--mode=lexical", "--paths", *options]
    began = time.perf_counter()
    reply = launcher.run(settings, argv, os.environ, terminal=False)
    return time.perf_counter() - began, reply.code == 0


def resident_cpu() -> float:
    """CPU seconds of the warm process until now."""
    [(_, state)] = launcher.residents(config.load({}))
    assert state is not None
    return cpu_of(state["pid"])


def questions() -> None:
    """Unchanged files, looked at or not."""
    ways: dict[str, Callable[[], tuple[float, bool]]] = {
        "--refresh=0": lambda: ask("word1", "--refresh=0"),
        "--refresh": lambda: ask("word1", "--refresh"),
    }
    wall: dict[str, list[float]] = {name: [] for name in ways}
    cpu = dict.fromkeys(ways, 0.0)
    for _ in range(ROUNDS):
        time.sleep(2.1)
        for name, way in ways.items():
            before = resident_cpu()
            wall[name].append(way()[0])
            cpu[name] += resident_cpu() - before
    print(f"\n{'questions':<22} {'p50 ms':>8} {'p99 ms':>8} {'CPU ms':>8}")
    for name, times in wall.items():
        p50, p99 = np.percentile(times, [50, 99]) * 1000
        print(f"{name:<22} {p50:>8.0f} {p99:>8.0f} {cpu[name] / ROUNDS * 1000:>8.0f}")
    later = np.median(wall["--refresh"]) - np.median(wall["--refresh=0"])
    print(f"{'later by (target .25)':<22} {later:>8.3f} s")


def one(folder: Path) -> None:
    """One changed file, by the program, in the warm process."""
    times, before = [], 0.0
    for number in range(ROUNDS + 1):
        before = resident_cpu() if number == 1 else before
        (folder / "one.md").write_text(f"The boiler number {number} is serviced in May.\n")
        times.append(run("index", "--quiet"))
    p50, p99 = np.percentile(times[1:], [50, 99])
    cpu = (resident_cpu() - before) / ROUNDS
    figures = f"p50 {p50:.2f} s, p99 {p99:.2f} s, CPU {cpu:.2f} s (first {times[0]:.2f} s)"
    print(f"\none        one changed file: {figures}; target .5 s")


def saves(folder: Path, count: int) -> None:
    """From a save to the first answer that has it."""
    delays = []
    for number in range(count):
        word = f"zebra{number}q{os.getpid()}"
        (folder / f"saved-{number % 20}.md").write_text(f"The {word} sleeps in the barn.\n")
        began = time.perf_counter()
        while not ask(word, "--exact")[1]:
            time.sleep(0.05)
        delays.append(time.perf_counter() - began)
        time.sleep(0.05 * (number % 7))
    p50, p99 = np.percentile(delays, [50, 99])
    figures = f"p50 {p50:.2f} s, p99 {p99:.2f} s, most {max(delays):.2f} s"
    print(f"\nsaves      {count}, from save to hit: {figures}; targets 1 and 3 s")


def idle(seconds: float) -> None:
    """Nothing happens."""
    time.sleep(5)
    before = resident_cpu()
    time.sleep(seconds)
    used = resident_cpu() - before
    print(f"\nidle       {used:.2f} s of CPU in {seconds:.0f} s: {used / seconds:.2%} of a core; target 1%")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
