"""What a question claims, and whether a passage says so or the opposite: that a thing is allowed or not, who is what.

Words and vectors hardly tell 허용한다 from 허용하지 않는다, nor two contracts with the parties in each other's place.
So what a question claims is compared with what a passage says of the same, by rules that know little and are silent
where they are not sure. A question that asks whether something is so claims nothing, nor does a long story.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import chain

from kosearch.searching import best_sentences

AGREES, SILENT, DENIES = 1, 0, -1

_OPPOSITES = (
    (
        r"허용|허가(?!증|서)|허락|가능|수\s?(?:가|는|도)?\s?있",
        r"금지|금(?=[하한함])|불가|불허|수\s?(?:가|는|도)?\s?없|(?:[면서]는?\s?(?:안|아니)|[이은]\s안)\s?[되된됨됩돼]",
    ),
    (r"포함", r"제외"),
    (r"개방|개관", r"폐쇄|폐관|휴관"),
    (r"승인|가결|채택", r"거부|부결|반려(?!동)"),
    (
        r"\b(?:allow(?:s|ed)?|permit(?:s|ted)?|permissible|may|can)\b",
        r"\b(?:prohibit(?:s|ed)?|forbid(?:s|den)?|banned|cannot|can't)\b|\bno(?=\s\w+ing\b)",
    ),
    (r"\binclud(?:es?|ed|ing)\b", r"\bexclud(?:es?|ed|ing)\b"),
)
"""What says yes to a thing, and what says no to it."""
_PATTERNS = tuple((re.compile(yes, re.IGNORECASE), re.compile(no, re.IGNORECASE)) for yes, no in _OPPOSITES)
_DENIED_BEHIND = re.compile(
    r"(?:을|를|이|가|은|는|도)?\s?(?:(?:하|되|시키|(?:되어|돼)\s?있)?[지치](?:는|도|를)?\s?(?:않|아니|못|말)|[하되할될]\s?수\s?(?:가|는|도)?\s?없"
    r"|안\s?[하한함해되된됨됩]|불가|금지|\s?(?:not|n't)\b)"
)
_DENIED_BEFORE = re.compile(
    r"(?:(?<![가-힣])[미불비]|\bnot\s(?:be\s)?|n't\s(?:be\s)?|\bnever\s(?:be\s)?|(?<![가-힣])안\s)$"
)
_WHETHER_BEHIND = re.compile(
    r"\S{0,4}?(?:나요|까요?|가요|냐|니\?|는지|은지|한지|된지|는가|은가|한가|습니까|\s?여부|\?)"
)
_WHETHER = re.compile(
    r"^\s*(?:is|are|was|were|can|may|do|does|did|could|should|will)\b|(?:[나까가지]요|까|[는은인한][가지]|[?？])\s*$",
    re.IGNORECASE,
)
"""What asks is mostly about what, when or how, and says that something can be so in passing."""
_LONGEST = 80

_ROLES = r"""
갑 을 병 정 임대인 임차인 매도인 매수인 양도인 양수인 도급인 수급인 발주자 수주자 위탁자 수탁자 위임인 수임인
증여자 수증자 채권자 채무자 대주 차주 원고 피고 신청인 피신청인 공급자 구매자 판매자 사용자 근로자 발신인 수신인
발신자 수신자 발신 수신 발주처 시공사 판매인 구매인 공급받는자 제공자 수령자 인계자 인수자 인계인 인수인 고소인 피고소인
신고인 피신고인 보낸\s?사람 받는\s?사람 가해자 피해자 상속인 피상속인 보험자 피보험자 고용주 고용인 작성자 검토자 승인자
lessor lessee landlord tenant seller buyer plaintiff defendant licensor licensee employer employee lender borrower
assignor assignee grantor grantee sender recipient supplier customer vendor purchaser debtor creditor guarantor
"""
ROLES = frozenset(_ROLES.replace(r"\s?", "").split())
_ROLE = rf"(?<![^\W_])(?P<role>{'|'.join(sorted(_ROLES.split(), key=len, reverse=True))})"
_NAME = r"(?P<name>[가-힣A-Za-z0-9]{2,}?)"
_COMPANY = r"(?:(?:주식회사|㈜|\(주\))\s?)?"
_ROLE_FIRST = rf"{_ROLE}(?:은|는|이|가)?(?:\W{{0,4}}\s|\s?[:：]\s?)(?:is\s)?{_COMPANY}{_NAME}"
_NAME_FIRST = rf"{_NAME}(?:이|가|은|는|을|를)\s{_ROLE}"
_NAME_DEFINED = rf"{_NAME}\s?{_COMPANY}[(（\[]\s?(?:이하|hereinafter)?\W{{0,3}}(?:the\s)?{_ROLE}(?![^\W_])"
_WHOLE = r"(?![^\W_])"
_ASKED = tuple(re.compile(one, re.IGNORECASE) for one in (_ROLE_FIRST + _WHOLE, _NAME_FIRST + r"(?:인|이|(?=\s|$))"))
_SAID = (_ROLE_FIRST, _NAME_FIRST + "(?:인|이[다며고]|으로|로)", _NAME_DEFINED)
_ENDINGS = re.compile("(?<=[가-힣]{2})(?:이인|인|이|가|은|는|을|를|의|과|와)$")


@dataclass(frozen=True, slots=True)
class Claims:
    """What a question says of the world: which opposites it takes which side of, and who is what."""

    question: str
    sides: tuple[tuple[int, int], ...]
    """The place of a pair of `_OPPOSITES`, and AGREES for its first or DENIES for its second."""
    parties: tuple[tuple[str, str], ...]
    """Role and name."""

    def is_made_by(self, word: str) -> bool:
        """Whether a word of the question, as the index has it, is one by which this is claimed."""
        return any(one.search(word) for place, _ in self.sides for one in _PATTERNS[place])

    def judged(self, passage: str) -> int:
        """AGREES, SILENT or DENIES: what a passage has to say to them; one denial outweighs what it agrees to."""
        sentences = best_sentences(passage, self.question) if self.sides else ()
        found = next((sides for one in sentences if (sides := dict(_sides(one)))), {})
        said = [side * found[place] for place, side in self.sides if place in found]
        said += [_binds(passage, role, name) for role, name in self.parties]
        return DENIES if DENIES in said else AGREES if AGREES in said else SILENT


def claims(question: str) -> Claims | None:
    """What a question claims; None where that is nothing."""
    if len(question) > _LONGEST:
        return None
    sides = () if _WHETHER.search(question) else tuple(_sides(question, asked=True))
    parties = tuple(dict.fromkeys(_parties(question)))
    return Claims(question, sides, parties) if sides or parties else None


def _sides(text: str, *, asked: bool = False) -> Iterator[tuple[int, int]]:
    """Of each pair of opposites the side that a text takes, if it takes one only."""
    for place, patterns in enumerate(_PATTERNS):
        taken = set()
        for side, pattern in zip((AGREES, DENIES), patterns, strict=True):
            for found in pattern.finditer(text):
                if asked and _WHETHER_BEHIND.match(text, found.end()):
                    return
                denied = _DENIED_BEHIND.match(text, found.end()) or _DENIED_BEFORE.search(text, 0, found.start())
                taken.add(-side if denied else side)
        if len(taken) == 1:
            yield place, taken.pop()


def _parties(question: str) -> Iterator[tuple[str, str]]:
    for found in chain.from_iterable(pattern.finditer(question) for pattern in _ASKED):
        if found["name"] not in ROLES:
            yield _role(found), found["name"]


def _binds(passage: str, role: str, name: str) -> int:
    """Whether a passage says that the one is the other; it denies that by giving the name another role."""
    names = [one for one in (name, _ENDINGS.sub("", name)) if one in passage]
    if not names:
        return SILENT
    named = _NAME.partition("[")[0] + f"{re.escape(names[0])})"
    patterns = (pattern.replace(_NAME, named) for pattern in _SAID)
    roles = {_role(found) for pattern in patterns for found in re.finditer(pattern, passage, re.IGNORECASE)}
    return AGREES if role in roles else DENIES if roles else SILENT


def _role(found: re.Match[str]) -> str:
    return "".join(found["role"].split()).casefold()
