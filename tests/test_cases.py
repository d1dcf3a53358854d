"""Every case of tests/cases; those over shared files where these are present."""

from __future__ import annotations

import pytest
from cases import Case, cases


def _marked(one: Case) -> object:
    marks = [pytest.mark.slow] if one.slow else []
    return pytest.param(one, id=f"{one.family}-{one.name.replace(' ', '-')}", marks=marks)


@pytest.mark.parametrize("case", [_marked(one) for one in cases()])
def test_case(case: Case) -> None:
    if not case.present:
        pytest.skip("the shared file is absent")
    case.check()
