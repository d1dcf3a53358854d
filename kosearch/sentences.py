"""Where sentences end, in Korean, English and what stands between them.

The rules follow Unicode's sentence borders (UAX #29: a mark, its closing brackets, then white space) and
add what that standard leaves to a language: abbreviations, numbering, dates, and Korean quotations that go
on after the mark.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

_CLOSERS = "\"'”’»」』》〉）)\\]】"
# Marks of a script without spaces end a sentence anywhere; the others need white space behind them, or a
# Korean ending in front and the next sentence right behind, as the web and PDF often have it.
_MARK = re.compile(
    rf"[。！？｡][。！？｡…]*[{_CLOSERS}]*"
    rf"|[.!?…‥]+[{_CLOSERS}]*(?=\s|\Z)"
    rf"|(?<=[다요까죠])[.!?]+[{_CLOSERS}]*(?=[가-힣“‘「『])"
)
_ABBREVIATION = re.compile(
    r"al|approx|art|ca|cf|ch|col|dept|dr|eds|eqs?|figs?|gen|gov|hon|jr|messrs|mrs?|ms|mt|nos?|op|par|pp|prof"
    r"|rep|rev|sec|sen|sr|st|tab|vols?|vs",
    re.IGNORECASE,
)
_WORD = re.compile(r"[^\W_]+\Z")
_NEXT = re.compile(r"\s+")
_QUOTED_ON = re.compile(r"(?:이?라(?:고|는|며|면서)|하고|하며|하는|고|며)(?![가-힣])|했|말했|밝혔|전했")
_CLAUSE_NUMBER = re.compile(r"제\s?\d+\s?(?:조|항|호|목|장|절|편|관|부)(?:의\s?\d+)?\Z")
_LONGEST_WORD = 24
"""How far back a mark looks for what it might belong to."""


def sentence_ends(text: str) -> Iterator[int]:
    """The offsets behind each sentence's last character, ascending; the text's end only after a mark."""
    for mark in _MARK.finditer(text):
        if mark.group()[0] != "." or _is_full_stop(text, mark):
            yield mark.end()


def _is_full_stop(text: str, mark: re.Match[str]) -> bool:
    start, end = mark.span()
    after = _NEXT.match(text, end)
    following = after.end() if after else end
    ahead = text[following : following + 1]
    if end > start + 1 and text[end - 1] != "." and _QUOTED_ON.match(text, following):
        return False  # “갔다.” 라고 말했다: the sentence goes on behind its quotation.
    if mark.group() != ".":
        return not (ahead.isascii() and ahead.islower())
    behind = text[max(0, start - _LONGEST_WORD) : start]
    word = _WORD.search(behind)
    if word is None and (not behind or behind.endswith("\n")):
        return False  # A dot at a line's start is a list's mark.
    if word is None:
        return not (ahead.isascii() and ahead.islower()) or behind[-1:].isspace()
    return not (
        _is_number(text, start - len(word.group()), word.group(), ahead, after)
        or _CLAUSE_NUMBER.search(behind)
        or _is_short_form(behind[: word.start()], word.group(), ahead)
    )


def _is_number(text: str, start: int, word: str, ahead: str, after: re.Match[str] | None) -> bool:
    """3. at a line's start, 2024. 2. 15., No. 3. 5: numbering and dates, not ends."""
    if not word.isdigit() or (after and "\n" in after.group() and start and text[start - 1] != "\n"):
        return False
    before = text[max(0, start - 2) : start].rstrip(" ")
    return ahead.isdigit() or (len(word) <= 3 and (not before or before[-1] in "\n([.:-"))


def _is_short_form(before: str, word: str, ahead: str) -> bool:
    """Initials, 가. 나. 다., abbreviations, and anything that an English sentence goes on behind."""
    if ahead.isascii() and ahead.islower():
        return True
    alone = not before or before[-1].isspace() or before[-1] in "(.[“\"'"
    if len(word) == 1 and word.isalpha():
        return alone
    return alone and _ABBREVIATION.fullmatch(word) is not None
