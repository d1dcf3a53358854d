from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kosearch.passages import sentence_ends


def sentences(text: str) -> list[str]:
    ends = [*sentence_ends(text), len(text)]
    starts = [0, *ends]
    return [part for start, end in zip(starts, ends, strict=False) if (part := text[start:end].strip())]


@pytest.mark.parametrize(
    "expected",
    [
        ["물가가 내렸다.", "금리는 그대로다."],
        ["그래요?", "네, 맞아요!", "그럼 됐습니다…", "끝."],
        ["(괄호 안의 말이다.)", "다음 말이다."],
        ["검토를 요함.", "추후 보고할 것임."],
        ["the wing in a slipstream .", "an experimental study was made ."],
        ["Really?!", "Yes.", "No."],
        ["今日は晴れです。", "明日は雨です。"],
        ["他说：“走吧。”", "我们走。"],
        ["We bought pens, paper, etc.", "They were cheap."],
        ["그해는 1999.", "이듬해는 2000."],
    ],
)
def test_sentences_end_at_their_mark(expected: list[str]) -> None:
    joint = "" if "。" in expected[0] else " "
    assert sentences(joint.join(expected)) == expected


@pytest.mark.parametrize(
    "whole",
    [
        "금리를 3.5%로, 물가를 2.0%로 본다.",
        "제1조. 이 법은 2024. 2. 15. 시행한다.",
        "제2조의2. 이 조는 삭제한다.",
        "1. 서론을 쓴다.",
        "가. 첫째를 나. 둘째와 다. 셋째보다 먼저 한다.",
        "“그는 갔다.” 라고 말했다.",
        "그는 “갔다.”고 말했다.",
        "왜 이러세요?라고 물었다.",
        "「行く。」と言った。",
        "Mr. Smith met Dr. Kim, e.g. at 3 p.m. on Monday.",
        "See Fig. 3 and No. 5 in J. R. Smith et al. for more.",
        '"Why?" he asked.',
        "In the U.S. economy it grew.",
        "www.example.com 에서 v1.2.3 을 받는다.",
    ],
)
def test_numbers_abbreviations_and_quotations_do_not_end_a_sentence(whole: str) -> None:
    assert sentences(whole) == [whole]
    assert sentences(f"{whole} 다음 문장이다.") == [whole, "다음 문장이다."]


def test_a_sentence_ends_without_a_space_behind_a_korean_ending() -> None:
    assert sentences("물가가 올랐다.그러나 금리는 그대로다.") == ["물가가 올랐다.", "그러나 금리는 그대로다."]


def test_numbering_at_the_start_of_a_line_stays_with_its_text() -> None:
    assert sentences("다음과 같다.\n1. 서론이다.\n2. 본론이다.") == ["다음과 같다.", "1. 서론이다.", "2. 본론이다."]
    assert sentences("모두 3.\n그 밖에 없다.") == ["모두 3.", "그 밖에 없다."]


def test_a_sentence_runs_over_the_end_of_a_line() -> None:
    assert sentences("이 법은 국민의\n권리를 지킨다. 끝이다.") == ["이 법은 국민의\n권리를 지킨다.", "끝이다."]


@given(st.text(alphabet="가다요. 1a.?!…。”)\n", max_size=80))
def test_ends_ascend_and_stand_behind_a_character_of_the_text(text: str) -> None:
    ends = list(sentence_ends(text))
    assert ends == sorted(set(ends))
    assert all(0 < end <= len(text) and not text[end - 1].isspace() for end in ends)
