"""CPU seconds of a batch of questions: asked by one process, and through a warm one.

    python -m tests.benchmarks batch INDEX QUESTIONS

QUESTIONS has a question a line. The warm process is one of its own, and was asked once before. Printed is the time of
the process that asks and of the warm one, and whether the output is another; the second time all is loaded.
"""

from __future__ import annotations

import os
import resource
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

PROGRAM = [sys.executable, "-m", "kosearch"]


def main(arguments: Sequence[str]) -> int:
    if len(arguments) != 2:
        sys.stderr.write(f"{__doc__}\n")
        return 2
    index, questions = (os.path.abspath(one) for one in arguments)
    with tempfile.TemporaryDirectory(prefix="ks-", dir="/tmp") as runtime:
        environment = {**os.environ, "XDG_RUNTIME_DIR": runtime, "KOSEARCH_RESIDENT": "on"}
        ask = [*PROGRAM, "query", "--index", index, "--jsonl"]
        alone, printed = run([*ask, "--no-resident", "--batch", questions], environment)
        sys.stdout.write(f"one process: {alone:.1f} s\n")
        try:
            run([*ask, "가"], environment)
            for _ in range(2):
                before = warm(runtime)
                asking, same = run([*ask, "--batch", questions], environment)
                sys.stdout.write(
                    f"through a warm one: {asking:.1f} + {warm(runtime) - before:.1f} s"
                    f"{'' if same == printed else ', and other output'}\n"
                )
        finally:
            run([*PROGRAM, "serve", "--stop"], environment)
    return 0


def run(command: Sequence[str], environment: Mapping[str, str]) -> tuple[float, str]:
    """Its processor time in seconds, and what it printed."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime, done.stdout


def warm(runtime: str) -> float:
    """The processor time of the process that serves below this folder; Linux only."""
    for process in Path("/proc").glob("[0-9]*"):
        try:
            if runtime in (process / "cmdline").read_text() and "reside" in (process / "cmdline").read_text():
                used = (process / "stat").read_text().rpartition(")")[2].split()
                return (int(used[11]) + int(used[12])) / os.sysconf("SC_CLK_TCK")
        except OSError:
            continue
    return 0.0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
