"""The soak as a test: half an hour, or `KOSEARCH_SOAK_MINUTES`; and what it would notice."""

from __future__ import annotations

import os

import pytest
from conftest import Tally

from crash.folders import SEED
from crash.soak import MIB, Sample, Soak, judge, soak

MINUTES = float(os.environ.get("KOSEARCH_SOAK_MINUTES", "30"))


@pytest.mark.crash
def test_half_an_hour_of_changes_and_questions(tally: Tally) -> None:
    outcome = soak(MINUTES, 200, SEED, note=True)
    tally.tried("soak", outcome.added + outcome.changed + outcome.removed + outcome.questions + outcome.compared)
    assert outcome.faults == []


@pytest.mark.crash
def test_a_short_soak() -> None:
    assert soak(0.5, 40, 2).faults == []


@pytest.mark.parametrize(
    ("name", "change", "fault"),
    [
        ("calm", {}, None),
        ("memory", {"rss": 2 * MIB}, "the resident grew"),
        ("files", {"files": 1}, "more files open"),
    ],
)
def test_growth_is_noticed(name: str, change: dict[str, int], fault: str | None) -> None:
    """Samples of a process that takes so much more at every step."""
    outcome = Soak(minutes=1, seed=0, residents=1)
    for number in range(40):
        grown = {what: number * more for what, more in change.items()}
        outcome.samples.append(Sample(number, 500 * MIB + grown.get("rss", 0), 13 + grown.get("files", 0), MIB, 50))
    judge(outcome)
    assert len(outcome.faults) == (fault is not None)
    assert fault is None or fault in outcome.faults[0]
