"""Rare exact words asked alone: how often the one document that has them comes first.

    python -m tests.benchmarks ids INDEX

Numbers, decimals, codes and Hangul words that stand in one of an index's documents are drawn with a seed, 25 of each,
and asked alone and with 문서 번호 or 찾아줘 around them, by meaning and words and by words alone. Printed: how many had
their document first.
"""

from __future__ import annotations

import random
import re
import sys
from collections.abc import Mapping, Sequence

from kosearch.config import load
from kosearch.library import Index
from kosearch.records import Query

KINDS = {
    "number": r"(?<![\w.,/-])\d{3,8}(?![\w.,/-])",
    "decimal": r"(?<![\w.,/-])\d{1,4}\.\d{1,4}(?![\w.,/%-])",
    "code": r"(?<![\w-])[A-Za-z]{1,5}-?\d{2,6}[A-Za-z]?(?![\w-])",
    "hangul": r"(?<![가-힣\w])[가-힣]{3,5}(?=[\s,.)])",
}
AROUND = ("{}", "문서 번호 {}", "{} 찾아줘")
EACH = 25


def main(arguments: Sequence[str]) -> int:
    if len(arguments) != 1:
        sys.stderr.write(f"{__doc__}\n")
        return 2
    with Index(load({"index": arguments[0], "resident": "off"})) as index:
        texts = texts_of(index)
        for kind, pattern in KINDS.items():
            words = rare_words(texts, pattern)
            for form in AROUND:
                for mode in ("hybrid", "lexical"):
                    queries = [Query(form.format(word), mode=mode, k=1) for word in words]
                    answers = zip(words.values(), index.answers(queries), strict=True)
                    right = sum(any(path in (hit.path, *hit.also) for hit in answer.hits) for path, answer in answers)
                    sys.stdout.write(f"{kind:8} {form.format('…'):12} {mode:8} {right} of {len(words)}\n")
                    sys.stdout.flush()
    return 0


def texts_of(index: Index) -> dict[str, str]:
    """Path → all text of its documents."""
    texts: dict[str, str] = {}
    with index.store.snapshot() as snapshot:
        for document in list(snapshot.documents()):
            texts[document.path] = f"{texts.get(document.path, '')}\n{snapshot.document_text(document.id)}"
    return texts


def rare_words(texts: Mapping[str, str], pattern: str) -> dict[str, str]:
    """Words that nothing but one document has, not even within another word → that document."""
    owners: dict[str, set[str]] = {}
    for path, text in texts.items():
        for word in re.findall(pattern, text):
            owners.setdefault(word, set()).add(path)
    alone = sorted(word for word, paths in owners.items() if len(paths) == 1)
    random.Random(15).shuffle(alone)
    found: dict[str, str] = {}
    for word in alone:
        (path,) = owners[word]
        if len(found) < EACH and not any(word in text for other, text in texts.items() if other != path):
            found[word] = path
    return found


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
