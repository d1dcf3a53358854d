"""Which passages are shown: the best, each once however many copies of it there are.

A copy says the same in the same order, whatever its layout: one word less, a number or a name more, and it says
something else. Texts that were cut at other places are copies where each goes on as the other does.
"""

from __future__ import annotations

import os
import re
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass, field

from kosearch.index import Snapshot, StoredDocument, StoredPassage
from kosearch.records import Query
from kosearch.searching.ranking import Ranking
from kosearch.terms import normal_forms

SHARED = 0.5
"""Passages that were cut differently are shown once where so much of the shorter one is in both."""
_LEAST = 80
"""So many characters at least: a sentence that two documents share makes no copies of them."""
_ANCHOR = 32

_BETWEEN_DIGITS = re.compile(r"(?<=\d)\W+(?=\d)")
_MINUS = re.compile(r"(?<!\w)[-−](?=\d)")
_LAYOUT = re.compile(r"(?<!\d)[^\w$€£¥₩%‰°+<>=±×÷−?]+|[^\w$€£¥₩%‰°+<>=±×÷−?]+(?!\d)|_+")
_DATED = re.compile(
    r"(?<!\d)(?:19|20)\d\d(?!\d)|\d+\s?(?=월|분기|반기|차(?![가-힣])|회(?![가-힣])|호(?![가-힣])|주차|학기)"
)


@dataclass(slots=True)
class Chosen:
    """A passage that will be shown, and what was left out for its sake."""

    row: int
    stored: StoredPassage
    words: str
    """What it says, without layout."""
    copies: list[tuple[int, StoredPassage]] = field(default_factory=list)
    more: int = 0

    @property
    def also(self) -> list[str]:
        """The paths of the other documents that say the same."""
        return [stored.document.path for _, stored in self.copies]

    def show_living(self) -> None:
        """Show a copy whose file is there instead of one whose file is gone."""
        if self.copies and file_state(self.stored.document) == "gone":
            living = (one for one in self.copies if file_state(one[1].document) != "gone")
            if (found := next(living, None)) is not None:
                self.copies[self.copies.index(found)] = (self.row, self.stored)
                self.row, self.stored = found


def chosen_passages(query: Query, ranking: Ranking, snapshot: Snapshot) -> list[Chosen]:
    """The k best passages, each once however many copies it has; with grouping, one a document."""
    chosen: list[Chosen] = []
    for row, stored in _in_turn(ranking, snapshot):
        words = without_layout(stored.text)
        copied = next((one for one in chosen if _is_copy(one, stored, words)), None)
        document = next((one for one in chosen if one.stored.document.id == stored.document.id), None)
        if copied is not None and copied is not document:
            copied.copies.append((row, stored))
        elif document is not None and (query.group or copied is document):
            document.more += query.group
        elif len(chosen) < query.k:
            chosen.append(Chosen(row, stored, words))
        elif not query.group:
            break
    for one in chosen:
        one.show_living()
    return chosen


def _in_turn(ranking: Ranking, snapshot: Snapshot, step: int = 20) -> Iterator[tuple[int, StoredPassage]]:
    for start in range(0, len(ranking.ids), step):
        for place, stored in enumerate(snapshot.stored(ranking.ids[start : start + step])):
            yield start + place, stored


def without_layout(text: str) -> str:
    """What a text says: letters, digits and signs in their order, without spaces, line ends, bullets and most marks."""
    text = unicodedata.normalize("NFKC", text).casefold()
    text = _BETWEEN_DIGITS.sub(lambda found: "".join(found.group().split()) or "·", text)
    return _LAYOUT.sub("", _MINUS.sub("−", text))


def same_text(first: str, second: str) -> bool:
    """Whether two texts without layout are one, or were cut from one text at different places."""
    if first == second:
        return True
    short, long = sorted((first, second), key=len)
    least = max(_LEAST, SHARED * len(short))
    if len(short) < least:
        return False
    if short in long:
        return True
    return _goes_on(first, second, least) or _goes_on(second, first, least)


def _goes_on(first: str, second: str, least: float) -> bool:
    """Whether an end of `first`, `least` long or longer, is the beginning of `second`."""
    place = first.find(second[:_ANCHOR])
    while 0 <= place <= len(first) - least:
        if second.startswith(first[place:]):
            return True
        place = first.find(second[:_ANCHOR], place + 1)
    return False


def _is_copy(one: Chosen, stored: StoredPassage, words: str) -> bool:
    if not same_text(one.words, words):
        return False
    mine, other = (_dated(passage.document) for passage in (one.stored, stored))
    if mine and other and mine != other:
        return False  # two years' forms, two months' minutes
    headings = one.stored.passage.headings, stored.passage.headings
    return len(words) >= _LEAST or not all(headings) or headings[0][-1] == headings[1][-1]


def _dated(document: StoredDocument) -> frozenset[str]:
    """The dates and numbers by which a document's name or title tells it from its like."""
    names = f"{os.path.basename(document.member or document.path)}\n{document.title}"
    forms = (form for form in normal_forms(names) if form.startswith("d"))
    return frozenset((*forms, *(found.strip() for found in _DATED.findall(names))))


def file_state(document: StoredDocument) -> str:
    """current, changed or gone: the file as it is now, against the file that was indexed."""
    try:
        now = os.stat(document.raw)
    except OSError:
        return "gone"
    # A file that was read right after it was written has no time to compare: see sources.Content.
    same = now.st_size == document.size and document.mtime_ns in (-1, now.st_mtime_ns)
    return "current" if same else "changed"
