"""Fits and checks the weights that decide whether a line broke at a space (`extract/pdf_layout.py`).

Paragraphs of the shared collections are wrapped at every n-th character, as programs wrap Korean, and the
joiner has to say which wraps were spaces. Weights are fitted on all collections; each collection's accuracy
is with weights fitted on the others.

    python -m tests.benchmarks.line_joins
"""

from __future__ import annotations

import json
from itertools import islice, pairwise
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from kosearch.extract import pdf_layout

SHARED = Path(__file__).resolve().parents[3] / "shared" / "eval"
COLLECTIONS = ("korquad1_dev", "welfare_ko", "autorag_ko_embed")
WIDTHS = (29, 40)
PARAGRAPHS_A_DOCUMENT = 8
DOCUMENTS = 60

Matrix = NDArray[np.float64]


def examples(collection: str) -> tuple[Matrix, Matrix]:
    """Features of wraps (n, features) and whether a space was there (n)."""
    features: list[list[float]] = []
    spaces: list[bool] = []
    with (SHARED / collection / "corpus.jsonl").open(encoding="utf-8") as lines:
        texts = [" ".join(json.loads(line)["text"].split()) for line in islice(lines, DOCUMENTS * 8)]
    for start in range(0, len(texts), PARAGRAPHS_A_DOCUMENT):
        for width in WIDTHS:
            wrapped = [
                [text[at : at + width] for at in range(0, len(text), width)]
                for text in texts[start : start + PARAGRAPHS_A_DOCUMENT]
            ]
            joiner = pdf_layout.Joiner(line for paragraph in wrapped for line in paragraph)
            for paragraph in wrapped:
                for left, right in pairwise(paragraph):
                    last, first = left.rstrip(), right.lstrip()
                    if pdf_layout.undecided(last, first) and pdf_layout.korean(last, first):
                        features.append(joiner.features(last, first))
                        spaces.append(last != left or first != right)
    return np.array(features), np.array(spaces, dtype=np.float64)


def fit(features: Matrix, spaces: Matrix, *, ridge: float = 1.0) -> Matrix:
    """Logistic regression by Newton's method."""
    weights = np.zeros(features.shape[1])
    for _ in range(30):
        chance = 1 / (1 + np.exp(-features @ weights))
        gradient = features.T @ (chance - spaces) + ridge * weights
        curvature = (features.T * (chance * (1 - chance))) @ features + ridge * np.eye(len(weights))
        weights -= np.linalg.solve(curvature, gradient)
    return weights


def main() -> None:
    data = {name: examples(name) for name in COLLECTIONS}
    for name, (features, spaces) in data.items():
        others = [data[other] for other in COLLECTIONS if other != name]
        weights = fit(np.vstack([x for x, _ in others]), np.concatenate([y for _, y in others]))
        right = ((features @ weights > 0) == (spaces > 0.5)).mean()
        print(f"{name:18} {len(spaces):6} wraps, {spaces.mean():.2f} at a space, accuracy {right:.4f}")
    weights = fit(np.vstack([x for x, _ in data.values()]), np.concatenate([y for _, y in data.values()]))
    rate = np.concatenate([y for _, y in data.values()]).mean()
    print(f"BASE_RATE = {rate:.2f}")
    print("WEIGHTS = (" + ", ".join(f"{weight:.2f}" for weight in weights) + ")")


if __name__ == "__main__":
    main()
