"""How many tokens a piece of the token estimate (`kosearch.embedding.models`) stands for.

    python -m tests.benchmarks.pieces FOLDER...

For each collection (a folder with `corpus.jsonl`): tokens of the bundled model's tokenizer, XLM-RoBERTa's, in texts of
320 pieces. Takes a minute.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np

from kosearch.config import load
from kosearch.embedding import BUNDLED, resolve, token_offsets
from kosearch.embedding.models import estimated_offsets

SIZE = 320
TEXTS = 2000


def main() -> None:
    tokens = token_offsets(resolve(BUNDLED, cache_dir=load({}).cache_dir))
    print(f"{'collection':<20}{'texts':>7}{'median':>8}{'99 %':>8}{'most':>8}   tokens a piece")
    for folder in map(Path, sys.argv[1:]):
        lines = (folder / "corpus.jsonl").read_text(encoding="utf-8").splitlines()[:TEXTS]
        rates = []
        for text in (json.loads(line)["text"] for line in lines):
            spans = estimated_offsets(text)
            for start in range(0, len(spans), SIZE):
                part = spans[start : start + SIZE]
                if len(part) >= SIZE // 3:
                    rates.append(len(tokens(text[part[0][0] : part[-1][1]])) / len(part))
        low, high, most = np.quantile(rates, [0.5, 0.99, 1])
        print(f"{folder.name:<20}{len(rates):>7}{low:>8.2f}{high:>8.2f}{most:>8.2f}")


if __name__ == "__main__":
    main()
