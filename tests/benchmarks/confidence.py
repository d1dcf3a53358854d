"""How well `confidence` tells questions that an index answers from those that it cannot.

    python -m tests.benchmarks confidence INDEXES FOLDER FOLDER …

Each folder is a collection in BEIR form; its index stands in INDEXES under the folder's name, where
`kosearch eval FOLDER --index INDEXES/NAME` leaves it. Every collection's questions (200, drawn with a seed) are asked
of its own index, where a right first hit counts as answered, and of those of the other collections in its language,
where nothing is an answer. Printed: the area under the ROC curve of the first hit's confidence, how many of either kind
are shown as weak, and points of the curve.
"""

from __future__ import annotations

import random
import re
import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from kosearch.config import load
from kosearch.evaluation import collection_task
from kosearch.evaluation.collections import Collection, read_collection
from kosearch.library import Index
from kosearch.records import WEAK, Query
from kosearch.searching.ranking import Ranking, rank

QUESTIONS = 200
RATES = (0.01, 0.02, 0.05, 0.1)
"""Shares of questions without an answer that are taken for answered."""


def main(arguments: Sequence[str]) -> int:
    if len(arguments) < 3:
        sys.stderr.write(f"{__doc__}\n")
        return 2
    indexes, *folders = map(Path, arguments)
    collections = [read_collection(folder) for folder in folders]
    rows = [row for collection in collections for row in asked(collection, collections, indexes)]
    right, wrong, none = (np.array([sure for kind, sure in rows if kind == wanted]) for wanted in KINDS)
    sys.stdout.write(f"area under the curve, right against none: {area(right, none):.4f}\n")
    for kind, sure in zip(KINDS, (right, wrong, none), strict=True):
        sys.stdout.write(f"{kind:6} {len(sure):5} questions, shown as weak {np.mean(sure < WEAK):.3f}\n")
    for rate in RATES:
        least = float(np.quantile(none, 1 - rate))
        sys.stdout.write(
            f"confidence {least:.3f}: {rate:.0%} of none and {np.mean(right > least):.3f} of right above\n"
        )
    return 0


KINDS = ("right", "wrong", "none")


def asked(collection: Collection, others: Sequence[Collection], indexes: Path) -> list[tuple[str, float]]:
    """(kind, confidence of the first hit) of every question asked of this collection's index."""
    library = Index(load({"index": str(indexes / collection.name)}))
    rows: list[tuple[str, float]] = []
    with library.store.snapshot(warm=True) as snapshot:
        judged = collection_task(collection, snapshot).judged
        for asking in others:
            if korean(asking) != korean(collection):
                continue
            drawn = random.Random(0).sample(asking.queries, min(QUESTIONS, len(asking.queries)))
            questions = [library.analyzer.question(query.text, operators=False) for query in drawn]
            vectors = library.embed_queries([question.text for question in questions])
            none = []
            for query, question, vector in zip(drawn, questions, vectors, strict=True):
                ranking = rank(Query(text=query.text), question, vector, snapshot)
                if asking is collection:
                    best = judged(query.id, ranking)[0][0]
                    rows.append(("right" if collection.qrels[query.id].get(best, 0) > 0 else "wrong", first(ranking)))
                else:
                    none.append(first(ranking))
            rows += [("none", sure) for sure in none]
            if none:
                weak = np.mean(np.array(none) < WEAK)
                sys.stdout.write(f"{asking.name} asked of {collection.name}: weak {weak:.3f} of {len(none)}\n")
    return rows


def first(ranking: Ranking) -> float:
    return float(ranking.confidence[0]) if len(ranking.ids) else 0.0


def korean(collection: Collection) -> bool:
    return bool(re.search("[가-힣]", "".join(query.text for query in collection.queries[:50])))


def area(higher: NDArray[np.float64], lower: NDArray[np.float64]) -> float:
    """The share of pairs in which the first is higher, ties counting half: the area under the ROC curve."""
    below = np.searchsorted(np.sort(lower), higher, side="left")
    upto = np.searchsorted(np.sort(lower), higher, side="right")
    return float(np.mean((below + upto) / 2) / len(lower))


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
