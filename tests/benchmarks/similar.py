"""How well `kosearch similar` finds the other pages of a document, and how long it takes.

    python -m tests.benchmarks similar INDEX [--pages N]

INDEX is the folder of an index of the AutoRAG pages, as `kosearch eval FOLDER --index INDEX` leaves it: each page is a
document, named "FILE - PAGE". Every page of a PDF of several pages (or N of them, drawn with a seed) is asked about;
the other pages of its PDF are right. Printed: P@5, MRR, how many of the hits are copies, and seconds a page, warm.
"""

from __future__ import annotations

import argparse
import random
import time
from collections import Counter
from pathlib import Path

import numpy as np

import kosearch


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks similar")
    parser.add_argument("index", type=Path)
    parser.add_argument("--pages", type=int)
    arguments = parser.parse_args()
    index = kosearch.open(arguments.index)
    documents = index.documents()
    pages = Counter(pdf(one.path) for one in documents)
    asked = [one for one in documents if pages[pdf(one.path)] > 1]
    if arguments.pages:
        asked = random.Random(0).sample(asked, arguments.pages)
    precision, reciprocal, copies, seconds = [], [], 0, []
    for document in asked:
        id = f"{document.text_hash}:0:{document.length}"
        begun = time.perf_counter()
        hits = index.similar(id, k=50)
        seconds.append(time.perf_counter() - begun)
        right = [pdf(hit.path) == pdf(document.path) for hit in hits]
        precision.append(sum(right[:5]) / 5)
        reciprocal.append(1 / (1 + right.index(True)) if True in right else 0.0)
        copies += sum(hit.document_hash == document.text_hash for hit in hits)
    print(
        f"{len(asked)} pages: P@5 {np.mean(precision):.3f}, MRR {np.mean(reciprocal):.3f}, {copies} copies among hits"
    )
    print(f"{np.median(seconds):.3f} s a page in the median, {np.quantile(seconds, 0.95):.3f} s at most for 95%")
    return 0


def pdf(name: str) -> str:
    return name.rpartition(" - ")[0]


if __name__ == "__main__":
    raise SystemExit(main())
