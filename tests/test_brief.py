"""What `query --brief` prints: whole hits within so many bytes, and where to go on."""

from __future__ import annotations

import json
from dataclasses import replace

import json_schema
import pytest

from kosearch.agents import brief
from kosearch.records import Answer, Hit, Passage, Place, Score

TEXT = "제1조 (목적) 휴가를 정한다. 연차는 다음 해로 이월할 수 있다. 그 밖의 일은 따로 정한다. " * 8


def hit(rank: int) -> Hit:
    return Hit(
        rank=rank,
        score=1 / rank,
        confidence=0.9,
        dense=Score(0.8, 1.0, rank),
        lexical=None,
        document_id=rank,
        document_hash="0123456789abcdef" * 4,
        path="/docs/규정/휴가.md",
        path_bytes=b"",
        member="",
        kind="markdown",
        title="휴가",
        metadata={},
        passage=Passage(10, 10 + len(TEXT), 3, 9),
        text=TEXT,
        best=(10, 10 + len(TEXT)),
        cited=Place(4, 5, headings=("휴가", "제8조")),
        state="current",
    )


ANSWER = Answer("연차 이월", "hybrid", tuple(map(hit, range(1, 21))), 7, searched="연차 이월")


def made(*found: Answer, offset: int = 0, k: int = 20, most: int = brief.BYTES) -> dict[str, object]:
    return brief.answers(found, offset, k, most, "/docs", many=len(found) > 1)


def test_a_hit_is_where_it_stands_how_good_it_is_and_what_it_says() -> None:
    value = made(ANSWER)
    assert not json_schema.problems(value, json_schema.BRIEF)
    [first, *_] = value["hits"]  # type: ignore[misc]
    excerpt = first.pop("excerpt")
    assert first == {
        "rank": 1,
        "id": f"0123456789ab:10:{10 + len(TEXT)}",
        "path": "규정/휴가.md",
        "lines": [4, 5],
        "heading": "제8조",
        "score": 1.0,
    }
    assert "연차는 다음 해로 이월할 수 있다." in excerpt
    assert len(excerpt) <= 182
    assert excerpt.endswith("…")


def test_what_is_not_as_usual_is_said() -> None:
    odd = replace(hit(1), member="a.eml", confidence=0.1, state="changed", cited=Place(1, 1, 3, "iii"))
    odd = replace(odd, passage=replace(odd.passage, ocr=0.8))
    [value] = made(replace(ANSWER, hits=(odd,), searched="연차", warnings=("!",)))["hits"]  # type: ignore[misc]
    told = {name: value[name] for name in ("member", "page", "page_label", "weak", "ocr", "state")}
    assert told == {
        "member": "a.eml",
        "page": 3,
        "page_label": "iii",
        "weak": True,
        "ocr": True,
        "state": "changed",
    }
    assert "lines" not in value
    miss = made(replace(ANSWER, hits=(), terms=(("연차", 0),)))
    assert (miss["hits"], miss["terms"], miss["next"]) == ([], {"연차": 0}, None)


@pytest.mark.parametrize("most", [1, 700, 2_000, 5_000, 100_000])
def test_parts_within_any_limit_are_the_whole(most: int) -> None:
    offset: object = 0
    ranks: list[int] = []
    while offset is not None:
        value = made(ANSWER, ANSWER, offset=offset, k=20, most=most)  # type: ignore[arg-type]
        assert not json_schema.problems(value, json_schema.BRIEFS)
        first, second = value["answers"]  # type: ignore[misc]
        assert first == second
        assert len(json.dumps(value, ensure_ascii=False).encode()) <= most or len(first["hits"]) == 1
        ranks += [one["rank"] for one in first["hits"]]
        offset = value["next"]
    assert ranks == list(range(1, 21))


def test_where_as_many_as_were_asked_for_are_given_there_may_be_more() -> None:
    assert made(ANSWER, k=20)["next"] == 20
    assert made(ANSWER, k=21)["next"] is None
