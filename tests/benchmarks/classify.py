"""How many examples a label it takes to classify documents by their vectors, as `kosearch docs classify` does.

    python -m tests.benchmarks classify --keep FOLDER

FOLDER is what `python -m tests.benchmarks topics COLLECTION… --keep FOLDER` leaves: an index, and labels of its files;
the first draw of them is taken. Printed: balanced accuracy on the documents that were no examples, mean
of 20 draws of examples, by examples a label.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import numpy as np
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import balanced_accuracy_score

import kosearch

DRAWS = 20


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks classify")
    parser.add_argument("--keep", type=Path, required=True)
    folder = parser.parse_args().keep
    names = json.loads((folder / "labels.json").read_text(encoding="utf-8"))
    rows: dict[str, list[object]] = {}
    drawn = json.loads((folder / "draws.json").read_text(encoding="utf-8"))[0]
    for passage, vector in kosearch.open(folder / "index").passage_vectors(path=drawn):
        rows.setdefault(Path(passage.document.path).name, []).append(vector)
    vectors = np.array([np.mean(found, axis=0) for found in rows.values()])
    vectors -= vectors.mean(axis=0)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    labels = np.array([names[name] for name in rows])
    for count in (1, 3, 5, 10, 20):
        scores = []
        for seed in range(DRAWS):
            chance = np.random.default_rng(seed)
            known = np.concatenate(
                [chance.permutation(np.flatnonzero(labels == one))[:count] for one in set(names.values())]
            )
            rest = np.setdiff1d(np.arange(len(labels)), known)
            model = LogisticRegression(C=100, max_iter=1000).fit(vectors[known], labels[known])
            scores.append(balanced_accuracy_score(labels[rest], model.predict(vectors[rest])))
        print(f"{count} examples a label: balanced accuracy {np.mean(scores):.3f}")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
