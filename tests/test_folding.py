"""Copies are shown once: the same text in another layout, or cut at other places, and nothing else."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kosearch.searching.ranking import same_text, without_layout

CONTRACT = (
    "제3조(대금) 갑은 을에게 매월 말일까지 대금 30,000원을 지급한다. 을은 갑에게 물품을 2024. 3. 5.까지 납품한다. "
    "납품이 늦어지면 을은 하루에 대금의 1.5%를 갑에게 물어 준다. 다투는 일이 생기면 서울의 법원에서 다툰다."
)


@pytest.mark.parametrize(
    ("here", "there"),
    [
        ("지급한다", "지급하지 않는다"),
        ("갑은 을에게 매월", "을은 갑에게 매월"),
        ("2024. 3. 5.", "2024. 5. 3."),
        ("2024. 3. 5.", "2024. 35."),
        ("30,000원", "3,0000원"),
        ("1.5%", "15%"),
        ("1.5%", "-1.5%"),
        ("서울", "부산"),
        ("물어 준다", "물어 준다?"),
        ("을은 갑에게 물품을 2024. 3. 5.까지 납품한다. ", ""),
        ("늦어지면", "늦어지지 아니하면"),
    ],
)
def test_what_says_something_else_is_no_copy(here: str, there: str) -> None:
    assert here in CONTRACT
    other = CONTRACT.replace(here, there)
    assert not same_text(without_layout(CONTRACT), without_layout(other))


@pytest.mark.parametrize(
    ("here", "there"),
    [
        ("잔액 △500", "잔액 500"),
        ("이자 ▲3.5%", "이자 3.5%"),
        ("기준 ≥5", "기준 ≤5"),
        ("기준 5 ≠ 6", "기준 5 ≒ 6"),
        ("실적 5%↑", "실적 5%↓"),
        ("☑ 동의 ☐ 비동의", "☐ 동의 ☑ 비동의"),
        ("■ 동의\n□ 비동의", "□ 동의\n■ 비동의"),
        ("만족 ★★★", "만족 ★★☆"),
        ("참석 | ○ | ● |", "참석 | ● | ○ |"),
    ],
)
def test_marks_that_say_something_are_no_layout(here: str, there: str) -> None:
    assert not same_text(without_layout(f"{here} {CONTRACT}"), without_layout(f"{there} {CONTRACT}"))


@pytest.mark.parametrize("bullet", ["□", "■", "○", "●", "▲", "△", "★", "✓", "※", "ㆍ", "- ", "→"])
def test_a_bullet_is_layout(bullet: str) -> None:
    assert same_text(without_layout(CONTRACT), without_layout(f"{bullet} {CONTRACT}"))


@pytest.mark.parametrize(
    "other",
    [
        CONTRACT.replace(" ", "\n"),
        CONTRACT.replace("한다. ", "한다.\n\n• "),
        CONTRACT.replace("2024. 3. 5.", "2024.3.5."),
        f"  {CONTRACT}\n",
        CONTRACT.replace("(대금)", "【대금】"),
        CONTRACT.replace(" ", ""),
    ],
)
def test_layout_does_not_count(other: str) -> None:
    assert same_text(without_layout(CONTRACT), without_layout(other))


@given(st.integers(0, 35), st.integers(0, 35))  # more, and what both have is too little
def test_cut_elsewhere_is_a_copy_as_far_as_both_go(start: int, end: int) -> None:
    whole = f"{CONTRACT} 계약의 기간은 한 해로 하며, 끝나기 한 달 전까지 알리지 않으면 한 해를 더한다. 부록을 둔다."
    here, there = whole[: len(whole) - end], whole[start:]
    assert same_text(without_layout(here), without_layout(there))


def test_cut_elsewhere_and_different_is_no_copy() -> None:
    first, second = without_layout(CONTRACT), without_layout(CONTRACT.replace("지급한다", "지급하지 않는다"))
    for place in range(10, 60, 10):
        assert not same_text(first[:-place], second[place // 2 :]) or "지급" not in second[place // 2 :]


def test_short_texts_are_no_copies_of_what_contains_them() -> None:
    assert not same_text(without_layout("해당 없음"), without_layout(f"{CONTRACT} 해당 없음"))
