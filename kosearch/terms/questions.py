"""What in a question is not looked for: its operators, and the words that only ask.

Operators are "a phrase", +must and -not, where a person would mean them.

A sign or a quotation mark is more often a part of the text: -18℃, +82, a list, a sentence that somebody said. What is
not clearly an operator demands nothing.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

# Words that ask and name nothing: a question's lexical side passes them over. A passage that has them is no better
# answer: in a long question they outvote the words that name something. They stay in passages and in what is quoted or
# demanded, and a question of nothing else keeps them. Measured in `tests/benchmarks/fusion.md`: a longer Korean list
# (의미, 내용, 필요, 받다 …) loses.
_INTERROGATIVES = "무엇 뭐 무슨 어느 어떤 어떻게 어떻다 어떠하다 어찌 왜 누구 언제 어디 얼마"
_REQUESTS = "알리다 가르치다 설명 설명하다 말하다 찾다 알다 궁금 궁금하다"
_AROUND = "방법 경우 대하다 관하다 하다 되다 있다"

ASKING_KOREAN = frozenset(f"{_INTERROGATIVES} {_REQUESTS} {_AROUND}".split())
"""Dictionary forms: verbs and adjectives with their 다."""

_ENGLISH = """
what which who whom whose when where why how
is are was were be been am do does did done can could should would will shall might must has have had
the a an this that these those there some any such other
of in on at to for from by with and or if as into about than then so not
i you he she it we they me him her us them my your his its our their
tell explain describe find show know please
"""

ASKING_ENGLISH = frozenset(_ENGLISH.split())
"""Passed over only in questions without Hangul, and not in capitals: IT, US and WHO are names."""

_OPERATOR = re.compile(r'(?<!\S)(?:(?P<sign>[+-]?)"(?P<phrase>[^"]*)"|(?P<mark>[+-])(?P<word>\w[^\s"]*))')
_YEAR = re.compile(r"(?:19|20)\d\d")
_COUNTED = re.compile(r"\d[\d.,]*(?:년|월|일|분기|반기|조|항|호|차|회|장|절|학년|기|층|동|반|과|팀|개|명|건|번)\S*")
_SAID = re.compile(r"\s?(?:이?라|하)?(?:고|며|는|면서)(?![가-힣])|\s?(?:이?라|하)(?:고|며|는|면서|지|던)")
_LONG = 200
"""Code points from which on a question is a text that was pasted."""
_WORDS = 6
"""So many words beside its quotations make a question a sentence that quotes somebody."""


@dataclass(frozen=True, slots=True)
class Demand:
    """A word or phrase that a passage must have (+, or none for a phrase) or must not (-), as it was written."""

    sign: str
    words: str
    written: str


@dataclass(frozen=True, slots=True)
class Parsed:
    """A question without its operators, and what they demand."""

    plain: str
    demands: tuple[Demand, ...] = ()
    notes: tuple[str, ...] = ()


def parse(text: str) -> Parsed:
    """Take a question apart. What must not be there is no part of `plain`; what must is."""
    found = list(_OPERATOR.finditer(text))
    if sum(map(bool, map(str.strip, text.splitlines()))) > 1 or len(text) > _LONG:
        notes = ("the question is a longer text: its signs and quotation marks demand nothing",) if found else ()
        return Parsed(_plain(text), notes=notes)
    demands: list[Demand] = []
    said = len(re.sub(r'"[^"]*"', " ", text).split()) >= _WORDS
    plain, end, kept = "", 0, 0
    for operator in found:
        sign, words = operator["sign"] or operator["mark"] or "", operator["phrase"] or operator["word"] or ""
        is_said = not sign and (said or _SAID.match(text, operator.end()) is not None)
        kept += is_said
        if is_said or (operator["word"] and not _is_operator(sign, words, operator.start())):
            continue
        plain += text[end : operator.start()] + ("" if sign == "-" else words)
        end = operator.end()
        if words.strip():
            demands.append(Demand(sign, words, operator.group()))
    plain += text[end:]
    notes = ()
    if kept:
        notes = ('the quotation marks are read as a part of the sentence; +"…" demands a phrase',)
    elif plain.count('"') % 2:
        notes = ("a quotation mark is not closed: the words behind it are no phrase",)
    return Parsed(_plain(plain), tuple(demands), notes)


def _is_operator(sign: str, word: str, start: int) -> bool:
    """-18℃ and +82 are numbers with a sign; 3월 has none, and a year behind other words is wanted, or not."""
    if not word[0].isdigit() or _COUNTED.fullmatch(word):
        return True
    return start > 0 and _YEAR.fullmatch(word) is not None


def _plain(text: str) -> str:
    return " ".join(text.replace('"', " ").split())
