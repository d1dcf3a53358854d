"""`python -m tests.crash [NAME …]`: try to break every promise, and print what was tried, how often, what was lost.

`--fast` runs the small numbers of the default test suite. What is tried at random follows from `--seed`: a large number
can be reached in parts, over days. `--breaks` shows that the tests would notice: it breaks each promise on purpose in a
copy of the program, and prints the line at which a test fails.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

from tests.crash.promises import PROMISES, TALLY, Break, Promise

ROOT = Path(__file__).resolve().parents[2]
FAST = "not slow and not gpu and not crash"
FULL = "not gpu"
NO_TESTS = 5
"""pytest's exit code where no test has the marks."""


def run_tests(tests: Sequence[str], marks: str, environment: Mapping[str, str]) -> subprocess.CompletedProcess[str]:
    """pytest, in a process of its own."""
    return subprocess.run(
        [sys.executable, "-P", "-m", "pytest", "-q", "-x", "--tb=short", "-p", "no:cacheprovider", "-m", marks, *tests],
        cwd=ROOT,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        check=False,
    )


def try_to_break(name: str, promise: Promise, marks: str, seed: int) -> bool:
    """Run a promise's tests and print its row; whether it held, and was tried if more than the small numbers were."""
    with tempfile.TemporaryDirectory() as folder:
        counts = Path(folder, "counts")
        counts.touch()
        begun = time.monotonic()
        result = run_tests(promise.tests, marks, {TALLY: str(counts), "KOSEARCH_SEED": str(seed)})
        tried: Counter[str] = Counter()
        for line in counts.read_text(encoding="utf-8").splitlines():
            tried.update(json.loads(line))
    held = result.returncode in {0, NO_TESTS}
    lost = first_failure(result.stdout) if not held else "nothing" if tried[name] else "not tried"
    print(f"| {name} | {promise.tried} | {tried[name]:,} | {lost} | {time.monotonic() - begun:.0f} s |", flush=True)
    return held and (marks == FAST or tried[name] > 0)


def break_on_purpose(name: str, what: str, change: Break) -> bool:
    """Run a test against a copy of the program with a change, and print a row; whether it failed."""
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder, "kosearch")
        shutil.copytree(ROOT / "kosearch", copy, ignore=shutil.ignore_patterns("__pycache__"))
        file = copy / change.file
        source = file.read_text(encoding="utf-8")
        if source.count(change.old) != 1:
            raise SystemExit(
                f"{name}: {change.file} has changed: {change.old!r} stands there {source.count(change.old)} times"
            )
        changed = source.replace(change.old, change.new)
        compile(changed, change.file, "exec")  # a program that does not even start breaks no promise
        file.write_text(changed, encoding="utf-8")
        result = run_tests([change.test], FULL, {"PYTHONPATH": folder})
    noticed = result.returncode == 1
    failure = first_failure(result.stdout) if noticed else f"NOT NOTICED (pytest ended with {result.returncode})"
    print(f"| {name} | {what} | {failure} |", flush=True)
    return noticed


def first_failure(output: str) -> str:
    """Where a test failed, and with what."""
    where = re.findall(r"^(tests/\S+\.py:\d+): in \w+$", output, re.MULTILINE)
    why = re.findall(r"^E +(assert .+)", output, re.MULTILINE) or re.findall(r"^E +(.+)", output, re.MULTILINE)
    place = where[-1] if where else " ".join(output[-200:].split())
    return f"{place} {why[0][:100] if why else ''}".replace("|", "/")


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.crash", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"one of: {', '.join(PROMISES)}")
    parser.add_argument("--fast", action="store_true", help="only the small numbers of the default test suite")
    parser.add_argument("--seed", type=int, default=1, help="of chance (1)")
    parser.add_argument("--breaks", action="store_true", help="break the promises on purpose")
    arguments = parser.parse_args()
    if unknown := set(arguments.names) - set(PROMISES):
        parser.error(f"there is no promise {unknown.pop()!r}")
    chosen = {name: PROMISES[name] for name in arguments.names or PROMISES}
    if arguments.breaks:
        print("| promise | broken on purpose | the line that fails |\n|---|---|---|")
        held = [
            break_on_purpose(name, what, change)
            for name, promise in chosen.items()
            for what, change in promise.breaks.items()
        ]
    else:
        print("| promise | tried | times | lost | took |\n|---|---|---|---|---|")
        marks = FAST if arguments.fast else FULL
        held = [try_to_break(name, promise, marks, arguments.seed) for name, promise in chosen.items()]
    return 0 if all(held) else 1


if __name__ == "__main__":
    sys.exit(main())
