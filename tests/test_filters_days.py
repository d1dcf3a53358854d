"""Days as people write them, and the day on which an instant falls here."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from datetime import date

import pytest

from kosearch import filters


@pytest.fixture
def seoul(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("TZ", "Asia/Seoul")
    time.tzset()
    yield
    monkeypatch.undo()
    os.environ.pop("TZ", None)
    time.tzset()


@pytest.mark.parametrize(
    ("text", "first", "last"),
    [
        ("2024", "2024-01-01", "2024-12-31"),
        ("2024-02", "2024-02-01", "2024-02-29"),
        ("2024/1/1", "2024-01-01", "2024-01-01"),
        ("2024-1-1", "2024-01-01", "2024-01-01"),
        ("2024.3.5", "2024-03-05", "2024-03-05"),
        ("2024. 3. 5.", "2024-03-05", "2024-03-05"),
        ("20240305", "2024-03-05", "2024-03-05"),
        ("2024년 3월", "2024-03-01", "2024-03-31"),
        ("2024년도", "2024-01-01", "2024-12-31"),
        ("5th of March 2024", "2024-03-05", "2024-03-05"),
        ("5 Mar 2024", "2024-03-05", "2024-03-05"),
        ("March 5, 2024", "2024-03-05", "2024-03-05"),
        ("Mar 2024", "2024-03-01", "2024-03-31"),
        ("3d", "2024-03-02", "2024-03-02"),
        ("2w", "2024-02-20", "2024-02-20"),
        ("1m", "2024-02-05", "2024-02-05"),
        ("3일 전", "2024-03-02", "2024-03-02"),
        ("2주 전", "2024-02-20", "2024-02-20"),
        ("1개월 전", "2024-02-05", "2024-02-05"),
        ("3 days ago", "2024-03-02", "2024-03-02"),
        ("그저께", "2024-03-03", "2024-03-03"),
        ("2024년 3월 5일(화)", "2024-03-05", "2024-03-05"),
        ("2024. 3. 5.(화)", "2024-03-05", "2024-03-05"),
        ("2024年 3月 5日", "2024-03-05", "2024-03-05"),
        ("'24.3.5", "2024-03-05", "2024-03-05"),
        ("202403", "2024-03-01", "2024-03-31"),
        ("5-Mar-2024", "2024-03-05", "2024-03-05"),
        ("5 Mar, 2024", "2024-03-05", "2024-03-05"),
        ("2024 Mar 5", "2024-03-05", "2024-03-05"),
        ("2024-03-05T09:00", "2024-03-05", "2024-03-05"),
        ("2024-03-05 09:00", "2024-03-05", "2024-03-05"),
        ("today", "2024-03-05", "2024-03-05"),
    ],
)
def test_a_text_names_days(text: str, first: str, last: str) -> None:
    found = filters.days(text, date(2024, 3, 5))
    assert found is not None
    assert [day.isoformat() for day in found] == [first, last]


@pytest.mark.parametrize(
    "text",
    [
        *("2024-02-30", "2024-13", "soon", "", "5 Foo 2024", "2024-03-05 1", "99999d", "3"),
        *("Mayday 2024", "240305", "3일", "2024-02-30T09:00", "209913", "1:2"),
        *("2024-00", "2024-00-00", "2024-03-00", "20240300", "202400", "2024년 0월", "0 March 2024"),
    ],
)
def test_what_is_no_day_names_none(text: str) -> None:
    assert filters.days(text, date(2024, 3, 5)) is None


@pytest.mark.usefixtures("seoul")
def test_an_instant_is_a_day_of_this_clock() -> None:
    assert filters.local_days("2024-03-04T23:00:00Z") == (date(2024, 3, 5), date(2024, 3, 5))
    assert filters.local_days("2024-03-05T08:00:00+09:00") == (date(2024, 3, 5), date(2024, 3, 5))
    assert filters.local_days("2024-03-05T08:00:00") == (date(2024, 3, 5), date(2024, 3, 5))
    assert filters.days("2024-03-04T23:00:00Z") == (date(2024, 3, 5), date(2024, 3, 5))
    assert filters.local_days("2024-03") == (date(2024, 3, 1), date(2024, 3, 31))
    assert filters.day_of(1_709_593_200) == date(2024, 3, 5)  # 2024-03-04T23:00Z, eight in the morning in Seoul
    assert filters.local_time("2024-03-04T23:00:00Z") == "2024-03-05 08:00:00"


@pytest.mark.parametrize(
    ("text", "stated"),
    [
        ("2024", "2024"),
        ("2024-02-30", ""),
        ("5 Mar 2024", "2024-03-05"),
        ("2024년 3월 5일 (화)", "2024-03-05"),
        ("2024.3", "2024-03"),
        ("2024-03-05T08:00:00Z", "2024-03-05T08:00:00+00:00"),
        ("no date", ""),
    ],
)
def test_what_documents_state_is_kept_as_iso(text: str, stated: str) -> None:
    assert filters.iso_date(text) == stated
