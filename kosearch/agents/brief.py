"""An answer as agents want it: of each hit where it stands, how good it is, and the sentences that answer best."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from kosearch.naming import shown_path
from kosearch.records import Answer, Hit
from kosearch.searching import snippet

BRIEF = "kosearch.brief/1"
BRIEFS = "kosearch.briefs/1"
BYTES = 12_000
"""The most that an answer takes, unless another limit is given."""
_EXCERPT = 180
"""Characters of the part of a passage that is shown."""
_DIGITS = 12
"""Of a document's hash: two among a million documents begin alike once in five hundred indexes, which is noticed."""


def answers(
    found: Sequence[Answer], offset: int, k: int, most: int, cwd: str, *, many: bool, named: bool = False
) -> dict[str, Any]:
    """Answers to questions that were asked for `offset` + `k` hits, as JSON in at most `most` bytes of UTF-8.

    Where several indexes were asked, hits are `named` by theirs.

    What does not fit is left out at whole hits, at least one of them and of all questions as many; `next` is the
    offset to go on with, and null where all hits are given.
    """
    shown = [[hit(one, answer, cwd, named=named) for one in answer.hits[offset : offset + k]] for answer in found]
    heads = [_head(answer) for answer in found]
    left = most - len(_bytes(_whole(heads, [[] for _ in found], 0, many=many)))
    count, longest = 0, max(map(len, shown), default=0)
    while count < longest:
        left -= sum(len(_bytes(hits[count])) + len(", ") for hits in shown if count < len(hits))
        if left < 0 and count:
            break
        count += 1
    more = count < longest or any(len(hits) == k for hits in shown)
    return _whole(heads, [hits[:count] for hits in shown], offset + count if more else None, many=many)


def hit(found: Hit, answer: Answer, cwd: str, *, named: bool = False) -> dict[str, Any]:
    """A hit's fields. What says nothing is left out: `heading` and pages where there are none, `state` when current."""
    place = found.cited
    value: dict[str, Any] = {
        "rank": found.rank,
        "id": short_id(found.document_hash, found.passage.start, found.passage.end),
        **({"index": found.index} if named else {}),
        "path": shown_path(found.path, cwd),
    }
    if found.member:
        value["member"] = found.member
    if place.page is not None:
        value["page"] = place.page
        if place.page_label:
            value["page_label"] = place.page_label
    else:
        value["lines"] = [place.line_start, place.line_end]
    if place.headings:
        value["heading"] = place.headings[-1]
    value["score"] = round(found.score, 2)
    if found.weak:
        value["weak"] = True
    if found.ocr:
        value["ocr"] = True
    if found.state != "current":
        value["state"] = found.state
    value["excerpt"] = excerpt(found, answer.searched or answer.question)
    return value


def short_id(text_hash: str, start: int, end: int) -> str:
    """What `show` and the tool `read` take for a passage."""
    return f"{text_hash[:_DIGITS]}:{start}:{end}"


def short_hash(text_hash: str) -> str:
    """What they take for a whole document."""
    return text_hash[:_DIGITS]


def excerpt(found: Hit, question: str) -> str:
    """The sentences of a hit that answer best, on one line, with … where they were cut."""
    first = found.best[0] - found.passage.start
    part = found.text[first : found.best[1] - found.passage.start]
    start, end = snippet(part, question, _EXCERPT)
    body = " ".join(part[start:end].split())
    return f"{'…' if first + start > 0 else ''}{body}{'…' if first + end < len(found.text) else ''}"


def _head(answer: Answer) -> dict[str, Any]:
    head: dict[str, Any] = {"question": answer.question}
    if answer.searched != answer.question:
        head["searched"] = answer.searched
    if answer.warnings:
        head["warnings"] = list(answer.warnings)
    if answer.terms:
        head["terms"] = dict(answer.terms)
    return head


def _whole(
    heads: Sequence[dict[str, Any]], hits: Sequence[list[dict[str, Any]]], go_on: int | None, *, many: bool
) -> dict[str, Any]:
    parts = [{**head, "hits": some} for head, some in zip(heads, hits, strict=True)]
    return {"schema": BRIEFS, "answers": parts, "next": go_on} if many else {"schema": BRIEF, **parts[0], "next": go_on}


def _bytes(value: object) -> bytes:
    return json.dumps(value, ensure_ascii=False).encode("utf-8", "replace")
