"""Vectors of an index in files that other programs read: numpy's, and Parquet."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from kosearch.analysis.corpus import Corpus, Vectors, extra
from kosearch.index import Snapshot, StoredPassage
from kosearch.system import replacing

_AT_ONCE = 1024

Row = tuple[StoredPassage, Vectors]
"""A passage, and its vector (d,) of length 1."""


def rows(snapshot: Snapshot, paths: Sequence[str] = ()) -> Iterator[Row]:
    """All passages of documents that match a glob, where there are any, in the order of paths."""
    corpus = Corpus(snapshot, paths)
    for start in range(0, len(corpus), _AT_ONCE):
        part = np.arange(start, min(start + _AT_ONCE, len(corpus)))
        yield from zip(corpus.stored(part), corpus.vectors_of(part), strict=True)


def place(stored: StoredPassage) -> dict[str, Any]:
    """Where a passage stands, and the id by which `kosearch show` knows it."""
    document, passage = stored.document, stored.passage
    return {
        "id": f"{document.text_hash}:{passage.start}:{passage.end}",
        "path": document.path,
        "member": document.member or None,
        "title": document.title or None,
        "page": passage.page,
        "line_start": passage.line_start,
        "line_end": passage.line_end,
        "start": passage.start,
        "end": passage.end,
    }


def write_npy(found: Sequence[Row], file: Path) -> None:
    """The vectors as float32 (n, d), for numpy.load."""
    with replacing(file) as stream:
        np.save(stream, np.stack([vector for _, vector in found]), allow_pickle=False)


def write_parquet(found: Sequence[Row], file: Path) -> None:
    """Places and vectors as columns, with the passages' texts. Raises UsageError where pyarrow is missing."""
    arrow, parquet = extra("pyarrow", "--parquet"), extra("pyarrow.parquet", "--parquet")
    places = [{**place(stored), "text": stored.text} for stored, _ in found]
    table = {name: [one[name] for one in places] for name in places[0]}
    width = len(found[0][1])
    flat = arrow.array(np.concatenate([vector for _, vector in found]), type=arrow.float32())
    columns = arrow.table(table).append_column("vector", arrow.FixedSizeListArray.from_arrays(flat, width))
    with replacing(file) as stream:
        parquet.write_table(columns, stream)
