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
# Korean ending in front and the next sentence right behind, as the web and PDF often have it. A run of marks is looked
# at once, from its beginning, and given back to none (++): a line of a million dots would take for ever.
_MARK = re.compile(
    rf"(?:[。！？｡][。！？｡…]*[{_CLOSERS}]*"
    rf"|(?<![.!?…‥])[.!?…‥]++[{_CLOSERS}]*+(?=\s|\Z)"
    rf"|(?<=[다요까죠])[.!?]++[{_CLOSERS}]*+(?=[가-힣“‘「『]))"
    r"(?=(?P<gap>\s*))"
)
_ABBREVIATION = re.compile(
    r"al|approx|art|ca|cf|ch|col|dept|dr|eds|eqs?|figs?|gen|gov|hon|jr|messrs|mrs?|ms|mt|nos?|op|par|pp|prof"
    r"|rep|rev|sec|sen|sr|st|tab|vols?|vs",
    re.IGNORECASE,
)
_WORD = re.compile(r"[^\W_]+\Z")
_QUOTED_ON = re.compile(r"(?:이?라(?:고|는|며|면서)|하고|하며|하는|고|며)(?![가-힣])|했|말했|밝혔|전했|と|って")
_CLAUSE_NUMBER = re.compile(r"제\s?\d+\s?(?:조|항|호|목|장|절|편|관|부)(?:의\s?\d+)?\Z")
_LONGEST_WORD = 24
"""How far back a mark looks for what it might belong to."""


def sentence_ends(text: str) -> Iterator[int]:
    """The offsets behind each sentence's last character, ascending; the text's end only after a mark."""
    for mark in _MARK.finditer(text):
        if _is_end(text, mark):
            yield mark.end()


def _is_end(text: str, mark: re.Match[str]) -> bool:
    start, end = mark.span()
    gap = mark["gap"]
    ahead = text[end + len(gap) : end + len(gap) + 1]
    goes_on = ahead.isascii() and ahead.islower()
    closed = text[end - 1] not in ".!?…‥。！？｡"
    if (closed or not gap) and _QUOTED_ON.match(text, end + len(gap)):
        return False  # “갔다.” 라고 말했다: the sentence goes on behind its quotation.
    if mark.group() != ".":
        return not goes_on or (text[start] != "." and not closed)
    behind = text[max(0, start - _LONGEST_WORD) : start]
    word = _WORD.search(behind)
    if word is None:
        # A dot at a line's start is a list's mark; one alone ends a sentence whatever follows it.
        return bool(behind) and not behind.endswith("\n") and (not goes_on or behind[-1].isspace())
    before = behind[: word.start()]
    return not (
        goes_on
        or _is_number(before, word.group(), gap, ahead)
        or _is_short_form(before, word.group())
        or _CLAUSE_NUMBER.search(behind)
    )


def _is_number(before: str, word: str, gap: str, ahead: str) -> bool:
    """3. at a line's start, 2024. 2. 15. and the like: numbering and dates, no ends."""
    before = before.rstrip(" ")
    opens = not before or before[-1] == "\n"
    if not word.isdigit() or ("\n" in gap and not opens):
        return False
    return ahead.isdigit() or (len(word) <= 3 and (opens or before[-1] in "([.:-"))


def _is_short_form(before: str, word: str) -> bool:
    """Initials, 가. 나. 다., and abbreviations."""
    if before and not before[-1].isspace() and before[-1] not in "(.[“\"'":
        return False
    return (len(word) == 1 and word.isalpha()) or _ABBREVIATION.fullmatch(word) is not None
