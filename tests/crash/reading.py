"""Readers of an index, in processes of their own: `reading.py INDEX PAIRS READERS STOP OUT`.

Each asks for one pair of documents after another until the file STOP is there, and writes to OUT-<number>, for every
answer: generation, pair, how many of the two there are, and their versions.
"""

from __future__ import annotations

import os
import random
import sys
from collections.abc import Callable
from pathlib import Path

from crash.forked import load
from kosearch.config import load as load_settings
from kosearch.library import Index
from kosearch.records import Query


def read(index: str, pairs: int, number: int, stopped: Callable[[], bool], out: Path) -> None:
    """Every second reader keeps warm, as the resident does."""
    library = Index(load_settings({"index": index}))
    generator = random.Random(number)
    with out.open("w", encoding="utf-8") as stream:
        while not stopped():
            pair = generator.randrange(pairs)
            (answer,) = library.answers([Query(f"+pair{pair}", k=10)], warm=bool(number % 2))
            versions = sorted(word for hit in answer.hits for word in hit.text.split() if word.startswith("version"))
            assert not (answer.hits and answer.warnings), answer.warnings  # a miss says what was demanded
            stream.write(f"{answer.generation} {pair} {len(answer.hits)} {' '.join(versions)}\n")


def main(index: str, pairs: str, readers: str, stop: str, out: str) -> int:
    """Fork the readers; the exit code is that of the first that failed."""
    load()
    children = []
    for number in range(int(readers)):
        child = os.fork()
        if child == 0:
            try:
                read(index, int(pairs), number, Path(stop).exists, Path(f"{out}-{number}"))
                os._exit(0)
            except BaseException:  # noqa: BLE001 - a child that came back would fork on
                sys.excepthook(*sys.exc_info())
                os._exit(1)
        children.append(child)
    print("reading", flush=True)
    return max(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) for child in children)


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
