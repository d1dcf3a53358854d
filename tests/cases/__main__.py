"""`python -m tests.cases [FAMILY …]`: a row a case, with what is right and whether it is what comes."""

from __future__ import annotations

import sys
from collections import Counter

from rich.console import Console
from rich.table import Table

from . import FAMILIES, cases, outcomes


def main(families: list[str]) -> int:
    if unknown := set(families) - set(FAMILIES):
        sys.exit(f"no family {', '.join(sorted(unknown))}; there are {', '.join(FAMILIES)}")
    table = Table("family", "case", "right", "outcome", box=None)
    counts: Counter[str] = Counter()
    for one, outcome in outcomes(cases(*families)):
        counts[outcome if outcome in ("passed", "absent") else "wrong"] += 1
        table.add_row(*map(_plain, (one.family, one.name, one.right, outcome)))
    Console(width=None if sys.stdout.isatty() else 200, highlight=False).print(table)
    print(", ".join(f"{count} {outcome}" for outcome, count in counts.items()))
    return 1 if counts["wrong"] else 0


def _plain(text: str) -> str:
    return text.replace("[", "\\[")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
