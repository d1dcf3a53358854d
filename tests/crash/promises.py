"""What kosearch promises, the tests that try to break each promise, and changes that do break it.

The one registry behind the table of `python -m tests.crash`. A test counts its attempts by the promise's name:
`tally.tried("kill")`. To add a promise, add an entry here, and a test that counts.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

TALLY = "KOSEARCH_TALLY"
"""The environment variable that names the file in which tests count."""


@dataclass(frozen=True, slots=True)
class Break:
    """A change of the program that breaks a promise on purpose."""

    test: str
    """The test that notices, as pytest takes it."""
    file: str
    """Below the folder kosearch/."""
    old: str
    """Stands in the file exactly once."""
    new: str


@dataclass(frozen=True, slots=True)
class Promise:
    """A row of the table."""

    tried: str
    """What is done to the program, in a few words."""
    tests: tuple[str, ...]
    """Files or tests, as pytest takes them."""
    breaks: Mapping[str, Break] = field(default_factory=dict)
    """What is done on purpose, in a few words → the change."""


_FORMATS = "tests/test_index_formats.py"

PROMISES: dict[str, Promise] = {
    "format": Promise(
        "migration killed before every statement",
        (_FORMATS,),
        {
            "statements committed one by one": Break(
                f"{_FORMATS}::test_a_migration_is_whole_or_was_not",
                "index/schema.py",
                "    with transaction(connection):\n        for number in range",
                "    for _ in range(1):\n        for number in range",
            ),
            "a newer format is opened": Break(
                f"{_FORMATS}::test_a_newer_format_is_refused",
                "index/schema.py",
                "if version > VERSION:",
                "if version < 0:",
            ),
            "terms by other rules are asked": Break(
                f"{_FORMATS}::test_other_rules_are_an_error_that_says_what_to_run",
                "library.py",
                "if (identity.term_rules, identity.fields) != (RULES, FIELDS)",
                "if not (RULES and FIELDS)",
            ),
        },
    ),
}
