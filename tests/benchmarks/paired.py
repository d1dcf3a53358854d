"""What became of a collection's questions between two versions: means, and the 95% interval of their difference.

    python -m tests.benchmarks paired FOLDER BEFORE AFTER

FOLDER is a collection in BEIR form, BEFORE and AFTER are what `kosearch eval FOLDER --run FILE` wrote by either. A
question for which a run has no line found nothing. Printed for nDCG@10 and Recall@1: before → after, their difference
with the interval of the paired bootstrap over questions, and how many questions are better and worse.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from urllib.parse import unquote

import numpy as np

from kosearch.evaluation.collections import read_collection
from kosearch.evaluation.measures import Family, evaluate
from kosearch.training.gains import gain

MEASURES = ("nDCG@10", "Recall@1")


def main(arguments: Sequence[str]) -> int:
    if len(arguments) != 3:
        sys.stderr.write(f"{__doc__}\n")
        return 2
    folder, *files = map(Path, arguments)
    collection = read_collection(folder)
    reports = [evaluate(read_run(file), collection.qrels) for file in files]
    count = len(reports[0].questions)
    sys.stdout.write(f"{collection.name}, {count} questions\n")
    for measure in MEASURES:
        first, second = (np.array(report.values[Family.INFORMATION_RETRIEVAL][measure]) for report in reports)
        found = gain(first, second, np.arange(count))
        better, worse = np.count_nonzero(second > first), np.count_nonzero(second < first)
        sys.stdout.write(f"  {measure:8} {found}; {better} better, {worse} worse\n")
    return 0


def read_run(file: Path) -> dict[str, list[tuple[str, float]]]:
    """Question → documents and scores, as a run file has them."""
    found: dict[str, list[tuple[str, float]]] = {}
    for line in file.read_text(encoding="utf-8").splitlines():
        question, _, document, _, score, _ = line.split()
        found.setdefault(unquote(question), []).append((unquote(document), float(score)))
    return found


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
