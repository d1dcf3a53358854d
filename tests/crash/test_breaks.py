"""Each promise can still be broken on purpose: the line that is changed is there, and so is the test that notices."""

from __future__ import annotations

from pathlib import Path

import pytest

from crash.promises import PROMISES, Break

ROOT = Path(__file__).resolve().parents[2]
BREAKS = [pytest.param(one, id=what) for promise in PROMISES.values() for what, one in promise.breaks.items()]


@pytest.mark.parametrize("one", BREAKS)
def test_the_line_and_the_test_are_there(one: Break) -> None:
    assert (ROOT / "kosearch" / one.file).read_text(encoding="utf-8").count(one.old) == 1
    file, _, name = one.test.partition("::")
    assert f"def {name.partition('[')[0]}(" in (ROOT / file).read_text(encoding="utf-8")
