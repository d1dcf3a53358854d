"""How well `confidence` tells questions that an index answers from those that it cannot.

    python -m tests.benchmarks confidence INDEXES FOLDER FOLDER …

Each folder is a collection in BEIR form; its index stands in INDEXES under the folder's name, where
`kosearch eval FOLDER --index INDEXES/NAME` leaves it. Every collection's questions (200, drawn with a seed) are asked
of its own index, where a right first hit counts as answered, and of those of the other collections in its language,
where nothing is an answer. Printed: the area under the ROC curve of the first hit's confidence, how many of either kind
are shown as weak, and points of the curve. Then for each collection the area by logits fitted without it, neither its
index nor its questions, beside that of the ones that the program has.
"""

from __future__ import annotations

import random
import re
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from kosearch.config import load
from kosearch.evaluation import collection_task
from kosearch.evaluation.collections import Collection, read_collection
from kosearch.library import Index
from kosearch.records import WEAK, Query
from kosearch.searching.answering import embed_questions
from kosearch.searching.ranking import Ranking, rank

QUESTIONS = 200
RATES = (0.01, 0.02, 0.05, 0.1)
"""Shares of questions without an answer that are taken for answered."""


@dataclass(frozen=True)
class First:
    """The first hit of a question: whose index, whose question, right, wrong or none, and what it is judged by."""

    index: str
    asking: str
    kind: str
    sure: float
    spread: float
    """How far its cosine stands above the candidates' lowest, of 1 minus that."""
    covered: float


def main(arguments: Sequence[str]) -> int:
    if len(arguments) < 3:
        sys.stderr.write(f"{__doc__}\n")
        return 2
    indexes, *folders = map(Path, arguments)
    collections = [read_collection(folder) for folder in folders]
    firsts = [first for collection in collections for first in asked(collection, collections, indexes)]
    right, wrong, none = (np.array([one.sure for one in firsts if one.kind == wanted]) for wanted in KINDS)
    sys.stdout.write(f"area under the curve, right against none: {area(right, none):.4f}\n")
    for kind, sure in zip(KINDS, (right, wrong, none), strict=True):
        sys.stdout.write(f"{kind:6} {len(sure):5} questions, shown as weak {np.mean(sure < WEAK):.3f}\n")
    for rate in RATES:
        least = float(np.quantile(none, 1 - rate))
        sys.stdout.write(
            f"confidence {least:.3f}: {rate:.0%} of none and {np.mean(right > least):.3f} of right above\n"
        )
    for name in sorted({one.index for one in firsts}):
        held_out(name, firsts)
    return 0


KINDS = ("right", "wrong", "none")


def held_out(name: str, firsts: Sequence[First]) -> None:
    """Fit on what has nothing to do with one collection, neither its index nor its questions, and read on the rest."""
    fitted = [one for one in firsts if name not in (one.index, one.asking) and one.kind != "wrong"]
    rest = [one for one in firsts if name in (one.index, one.asking) and one.kind != "wrong"]
    if not all({"right", "none"} <= {one.kind for one in part} for part in (fitted, rest)):
        return
    weights = logistic(inputs(fitted), np.array([one.kind == "right" for one in fitted], dtype=float))
    by_fit, is_right = inputs(rest) @ weights, np.array([one.kind == "right" for one in rest])
    ours = np.array([one.sure for one in rest])
    areas = [area(scores[is_right], scores[~is_right]) for scores in (by_fit, ours)]
    sys.stdout.write(
        f"held out {name}: fitted on {len(fitted)}, area over {len(rest)} {areas[0]:.4f}, as shipped {areas[1]:.4f};"
        f" logits {weights.round(1).tolist()}\n"
    )


def inputs(firsts: Sequence[First]) -> NDArray[np.float64]:
    return np.array([[one.spread, one.covered, 1.0] for one in firsts])


def logistic(given: NDArray[np.float64], right: NDArray[np.float64]) -> NDArray[np.float64]:
    """Weights (3,) of a logistic regression, either answer counting half in all, by Newton's method."""
    share = np.where(right > 0, 0.5 / right.sum(), 0.5 / (len(right) - right.sum()))
    weights = np.zeros(given.shape[1])
    for _ in range(30):
        sure = 1 / (1 + np.exp(-given @ weights))
        slope = given.T @ (share * (right - sure)) - 1e-4 * weights
        curve = (given * (share * sure * (1 - sure))[:, None]).T @ given + 1e-4 * np.eye(len(weights))
        weights = weights + np.linalg.solve(curve, slope)
    return weights


def asked(collection: Collection, others: Sequence[Collection], indexes: Path) -> list[First]:
    """The first hits of every question asked of this collection's index."""
    library = Index(load({"index": str(indexes / collection.name)}))
    firsts: list[First] = []
    with library.store.snapshot(warm=True) as snapshot:
        judged, read = collection_task(collection, snapshot).judged, library.reader(snapshot)
        for asking in others:
            if korean(asking) != korean(collection):
                continue
            drawn = random.Random(0).sample(asking.queries, min(QUESTIONS, len(asking.queries)))
            queries = [Query(text=query.text) for query in drawn]
            questions = [read(query) for query in queries]
            vectors = embed_questions(queries, questions, library.embed_queries)
            for query, wanted, question, vector in zip(drawn, queries, questions, vectors, strict=True):
                ranking = rank(wanted, question, vector, snapshot)
                kind = "none"
                if asking is collection:
                    best = next((document for document, _ in judged(query.id, ranking)), "")
                    kind = "right" if collection.qrels[query.id].get(best, 0) > 0 else "wrong"
                firsts.append(First(collection.name, asking.name, kind, *first(ranking)))
            none = [one.sure for one in firsts if one.asking == asking.name and asking is not collection]
            if none:
                weak = np.mean(np.array(none) < WEAK)
                sys.stdout.write(f"{asking.name} asked of {collection.name}: weak {weak:.3f} of {len(none)}\n")
    return firsts


def first(ranking: Ranking) -> tuple[float, float, float]:
    """The first hit's confidence, and what that is made of."""
    if not len(ranking.ids) or ranking.dense is None:
        return 0.0, 0.0, 0.0
    cosines, covers = ranking.dense.values, None if ranking.matches is None else ranking.matches.covers
    spread = (cosines[0] - cosines.min()) / max(1.0 - cosines.min(), 1e-9)
    covered = 0.0 if covers is None else float(covers[np.searchsorted(np.sort(ranking.ids), ranking.ids[0])])
    return float(ranking.confidence[0]), float(spread), covered


def korean(collection: Collection) -> bool:
    return bool(re.search("[가-힣]", "".join(query.text for query in collection.queries[:50])))


def area(higher: NDArray[np.float64], lower: NDArray[np.float64]) -> float:
    """The share of pairs in which the first is higher, ties counting half: the area under the ROC curve."""
    below = np.searchsorted(np.sort(lower), higher, side="left")
    upto = np.searchsorted(np.sort(lower), higher, side="right")
    return float(np.mean((below + upto) / 2) / len(lower))


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
