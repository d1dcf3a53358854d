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


_KILL = "tests/crash/test_kill.py"
_DAMAGE = "tests/crash/test_damage.py"
_SHARING = "tests/crash/test_sharing.py"
_FORMATS = "tests/test_index_formats.py"

PROMISES: dict[str, Promise] = {
    "kill": Promise(
        "SIGKILL before, or in the middle of, a random operation on the index's files",
        (f"{_KILL}::test_killed_at_a_random_operation",),
        {},
    ),
    "steps": Promise(
        "SIGKILL at every named step",
        (f"{_KILL}::test_killed_at_every_step",),
        {},
    ),
    "signals": Promise(
        "SIGINT and SIGTERM at every named step",
        (f"{_KILL}::test_interrupted_at_every_step",),
        {},
    ),
    "disk": Promise(
        "a random operation fails: disk full (once, or from then on), input/output error",
        (f"{_KILL}::test_an_operation_that_fails",),
        {},
    ),
    "clock": Promise(
        "the clock goes back an hour at every look, half of the runs killed",
        (f"{_KILL}::test_the_clock_goes_backwards",),
        {},
    ),
    "power": Promise(
        "the power fails: any part of what had not reached the disk is lost",
        ("tests/crash/test_power.py",),
        {},
    ),
    "damage": Promise(
        "a byte flipped, a file cut, emptied, removed or sealed, a page of zeros",
        (_DAMAGE,),
        {},
    ),
    "writers": Promise(
        "a second writer beside a first that works, stands still, is dead",
        tuple(
            f"{_SHARING}::test_{name}"
            for name in (
                "a_second_index_is_told_of_the_first",
                "a_second_index_waits_if_asked",
                "the_lock_of_a_dead_process_is_nobodys",
            )
        ),
        {},
    ),
    "readers": Promise(
        "questions of 8 readers while a writer adds, changes and removes 5,000 documents",
        (f"{_SHARING}::test_readers_see_one_generation",),
        {},
    ),
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
