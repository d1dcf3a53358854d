"""What words mean here: a file of words that stand for each other, asked at question time only.

법카 = 법인카드 = corporate card      # each of them finds the others
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from kosearch.errors import UsageError

FILE = "synonyms.txt"
_LONGEST = 100


@dataclass(frozen=True, slots=True)
class Synonyms:
    """Groups of expressions of one meaning."""

    groups: tuple[tuple[str, ...], ...] = ()

    def others(self, question: str) -> list[str]:
        """What a question might have said as well: the other expressions of each group that it has one of."""
        found: dict[str, None] = {}
        for group in self.groups:
            if any(_stands_in(one, question) for one in group):
                found.update(dict.fromkeys(one for one in group if not _stands_in(one, question)))
        return list(found)


def read(places: Iterable[Path]) -> Synonyms:
    """The synonyms of all these folders that have a file of them. Raises UsageError, with the line that is wrong."""
    groups: list[tuple[str, ...]] = []
    for place in places:
        path = place / FILE
        try:
            lines = path.read_text(encoding="utf-8-sig").splitlines()
        except FileNotFoundError:
            continue
        except (OSError, UnicodeDecodeError) as error:
            raise UsageError(f"cannot read {path}: {error}", "it is a text file in UTF-8") from error
        groups += parse(lines, str(path))
    return Synonyms(tuple(groups))


def parse(lines: Sequence[str], name: str) -> list[tuple[str, ...]]:
    """The groups in a file's lines: expressions with = between them, and # before what is no part of it."""
    groups = []
    for number, line in enumerate(lines, 1):
        content = line.partition("#")[0].strip()
        if not content:
            continue
        group = tuple(" ".join(one.split()) for one in content.split("="))
        if len(group) < 2 or not all(any(map(str.isalnum, one)) and len(one) <= _LONGEST for one in group):
            raise UsageError(f"{name}, line {number}: {content!r} names no synonyms", "a line is: 법카 = 법인카드")
        groups.append(group)
    return groups


def _stands_in(expression: str, question: str) -> bool:
    """Whether it begins a word there; Hangul may go on, with a particle, Latin letters may not."""
    pattern = r"\s?".join(map(re.escape, expression.split()))
    end = r"(?![^\W_가-힣])" if expression[-1].isascii() else ""
    return re.search(rf"(?<!\w){pattern}{end}", question, re.IGNORECASE) is not None
