"""`python -m tests.fuzz [FAMILY …] --seconds N`: try changed inputs on every reader of bytes from outside.

The corpus grows in the folder that `--corpus` names, from run to run; findings lie in `FAMILY/findings` there, and are
printed. Ends with 1 where there is one. A finding that was mended goes to `tests/data/fuzz/FAMILY`, where every later
run tries it first.
"""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from fuzz.frame import families, fuzz


def main() -> int:
    known = families()
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="FAMILY", help=f"of: {', '.join(known)}")
    parser.add_argument("--seconds", type=float, default=30, help="for each family (30)")
    parser.add_argument("--corpus", type=Path, help="a folder that the corpus grows in; without one it is forgotten")
    parser.add_argument("--seed", type=int, default=int(time.time()), help="of chance; the time unless given")
    arguments = parser.parse_args()
    if unknown := set(arguments.names) - set(known):
        parser.error(f"there is no family {unknown.pop()!r}")
    print(f"seed {arguments.seed}\n| family | tried | grown by | lines reached | findings |\n|---|---|---|---|---|")
    found = 0
    for name in arguments.names or known:
        result = fuzz(name, known[name], arguments.seconds, arguments.corpus, arguments.seed)
        found += len(result.findings)
        print(f"| {name} | {result.tried:,} | {result.grown:,} | {result.lines:,} | {len(result.findings)} |")
        for problem, file in result.findings.items():
            print(f"  {problem}\n    {file}", flush=True)
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
