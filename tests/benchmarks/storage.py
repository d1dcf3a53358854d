"""What smaller vectors lose, and what they save: `python -m tests.benchmarks storage [COLLECTION …]`.

Each collection (by default autorag_ko_embed and welfare_ko below `shared/eval` beside the repository, or a folder in
BEIR form) is embedded once with the bundled model. The passages' vectors are then rounded as an index stores them,
or cut off and rounded, and the questions asked again by an exact scan, without the lexical side.
Disk is what an index takes for a passage's vector: in SQLite, and in the files that are scanned.
"""

from __future__ import annotations

import sys
import tempfile
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from kosearch.config import load
from kosearch.evaluation import CollectionProcessor
from kosearch.evaluation.collections import Collection, read_collection
from kosearch.evaluation.measures import Family, evaluate
from kosearch.index.vectors import quantise, vectors_of
from kosearch.library import Index

EVAL = Path(__file__).resolve().parents[3] / "shared" / "eval"
DEFAULTS = ("autorag_ko_embed", "welfare_ko")
STORAGES = ("float32", "float16", "int8")
MEASURES = ("Recall@1", "nDCG@10")
_SCANNED = {"float32": 4, "float16": 4, "int8": 1}
_KEPT = {"float32": 4, "float16": 2, "int8": 1}

Vectors = NDArray[np.float32]


def main(arguments: list[str]) -> None:
    places = [Path(one) for one in arguments] or [EVAL / name for name in DEFAULTS]
    print(f"{'collection':<18} {'dimensions':>10} {'storage':>8} {'bytes':>6}" + "".join(f"{m:>10}" for m in MEASURES))
    for place in places:
        collection = read_collection(place)
        passages, questions, owners = embedded(collection)
        full = passages.shape[1]
        for dimensions in (full, *(size for size in (256, 128) if size < full)):
            for storage in STORAGES:
                size = dimensions * (_KEPT[storage] + _SCANNED[storage])
                figures = measured(collection, stored(passages, dimensions, storage), questions[:, :dimensions], owners)
                shown = "".join(f"{figures[measure]:>10.4f}" for measure in MEASURES)
                print(f"{collection.name:<18} {dimensions:>10} {storage:>8} {size:>6}{shown}", flush=True)


def stored(vectors: Vectors, dimensions: int, storage: str) -> Vectors:
    """The first numbers of vectors as an index gives them back."""
    beginning = vectors[:, :dimensions]
    if storage == "float32":
        return unit(beginning)
    return vectors_of(quantise(beginning, storage))


def unit(vectors: Vectors) -> Vectors:
    """Rows of length 1."""
    result: Vectors = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    return result


def embedded(collection: Collection) -> tuple[Vectors, Vectors, list[str]]:
    """The vectors of all passages before anything rounds them, those of the questions, and each passage's document."""
    with tempfile.TemporaryDirectory() as folder:
        library = Index(replace(load({}), index=f"{folder}/index", model="bundled"))
        library.prepare()
        texts: list[str] = []
        owners: list[str] = []
        with library.pool(CollectionProcessor(library.processor)) as pool:
            for document, processed in pool.map(collection.documents):
                for passage in processed.documents[0].passages:
                    texts.append(passage.model_text)
                    owners.append(document.id)
        passages = library.embed_passages(texts)
        questions = library.embed_queries([query.text for query in collection.queries])
    return passages, questions, owners


def measured(collection: Collection, passages: Vectors, questions: Vectors, owners: list[str]) -> dict[str, float]:
    """The measures of a dense search by exact scan: a document counts by its best passage."""
    found = {}
    for query, vector in zip(collection.queries, unit(questions), strict=True):
        scores = passages @ vector
        best: dict[str, float] = {}
        for row in np.argsort(-scores, kind="stable")[:400].tolist():
            best.setdefault(owners[row], float(scores[row]))
        found[query.id] = list(best.items())[:100]
    return dict(evaluate(found, collection.qrels, system="dense").means[Family.INFORMATION_RETRIEVAL])


if __name__ == "__main__":
    main(sys.argv[1:])
