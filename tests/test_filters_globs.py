"""Patterns one by one. That whole trees come out as git has them is in test_sources."""

from __future__ import annotations

import time
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kosearch.filters import Globs


def verdict(pattern: str, path: str) -> bool | None:
    """What one pattern says about a path below its folder; a `/` at the end makes the path a folder."""
    name = path.rstrip("/").rpartition("/")[2]
    return Globs([pattern], 0).verdict(path.rstrip("/"), name, path.endswith("/"))


@pytest.mark.parametrize(
    ("pattern", "matching", "others"),
    [
        ("a", ["a", "x/a", "a/"], ["ab", "A", "a/b"]),
        ("/a", ["a"], ["x/a"]),
        ("a/b", ["a/b"], ["x/a/b", "a/b/c", "b"]),
        ("a/", ["a/", "x/a/"], ["a"]),
        ("*.txt", ["a.txt", "x/.txt"], ["a.txt.gz", "txt"]),
        ("a?c", ["abc", "a한c"], ["ac", "abbc"]),
        ("a/*", ["a/b"], ["a/b/c", "a"]),
        ("a/**", ["a/b", "a/b/c"], ["a", "x/a/b"]),
        ("**/a", ["a", "x/a", "x/y/a"], ["xa"]),
        ("a/**/b", ["a/b", "a/x/b", "a/x/y/b"], ["ab", "a/b/c"]),
        ("a/**/b*c/**/d", ["a/bxc/d", "a/x/bc/y/d"], ["a/b/c/d"]),
        ("**", ["a", "a/b"], []),
        ("[a-c]x", ["ax", "cx"], ["dx", "x", "-x"]),
        ("[!a-c]x", ["dx", "-x"], ["ax", "x"]),
        ("[^a]", ["b"], ["a"]),
        ("[]a]", ["]", "a"], ["b"]),
        ("[a-]", ["a", "-"], ["b"]),
        ("[z-a]", ["z"], ["a", "m"]),
        ("[[:digit:][:upper:]]", ["1", "A"], ["a", "[", ":"]),
        ("x[a/]y", ["xay"], ["x/y", "a/xay"]),
        (r"\!a", ["!a"], ["a"]),
        (r"\#a", ["#a"], ["a"]),
        ("#a", [], ["#a", "a"]),
        (r"a\*", ["a*"], ["ab"]),
        (r"a\ ", ["a "], ["a"]),
        ("a  ", ["a"], ["a  "]),
        ("a\r", ["a"], ["a\r"]),
        ("[a", [], ["a", "[a"]),
        ("[[:nothing:]]", [], ["n", "a"]),
        ("a\\", [], ["a", "a\\"]),
        ("", [], ["a"]),
        ("/", [], ["a", "a/"]),
        ("보고서*", ["보고서.txt", "x/보고서 2"], ["보고"]),
    ],
)
def test_patterns_mean_what_git_says(pattern: str, matching: list[str], others: list[str]) -> None:
    assert [path for path in matching if not verdict(pattern, path)] == []
    assert [path for path in others if verdict(pattern, path)] == []


def test_the_last_pattern_that_matches_decides() -> None:
    globs = Globs(["*.log", "!keep.log", "/keep.log"], 0)
    assert globs.verdict("a.log", "a.log", False) is True
    assert globs.verdict("x/keep.log", "keep.log", False) is False
    assert globs.verdict("keep.log", "keep.log", False) is True
    assert globs.verdict("a.txt", "a.txt", False) is None


def test_patterns_in_either_form_match_names_in_nfc() -> None:
    assert verdict(unicodedata.normalize("NFD", "한글?"), "한글들")


@pytest.mark.parametrize(
    ("pattern", "path"),
    [
        ("*a" * 30 + "b", "a" * 255),
        ("*?" * 60 + "b", "a" * 255),
        ("*[a-z]" * 60 + "B", "a" * 255),
        ("**/a/" * 30 + "b", "a/" * 2000 + "c"),
        ("x/" + "*a" * 100 + "/**" * 50 + "/c", "x/" + "a" * 255 + "/a" * 1900),
        ("[" * 4000, "a"),
        ("[:" * 2000, "a"),
        ("a" * 1_000_000, "a"),
    ],
)
def test_no_pattern_takes_long(pattern: str, path: str) -> None:
    begun = time.process_time()
    verdict(pattern, path)
    assert time.process_time() - begun < 1  # a matcher that goes back takes minutes to centuries


@given(
    st.lists(st.text(alphabet="ab/*?[]!^-\\: .한" + "\N{COMBINING ACUTE ACCENT}", max_size=12)), st.text(max_size=12)
)
def test_no_pattern_is_an_error(patterns: list[str], path: str) -> None:
    Globs(patterns, 0).verdict(path, path.rpartition("/")[2], False)


@given(st.text(alphabet="ab*?[]!^-\\한", min_size=1, max_size=8))
def test_an_escaped_name_matches_itself_only(name: str) -> None:
    pattern = "".join(f"\\{character}" for character in name)
    assert verdict(pattern, name)
    assert not verdict(pattern, name + "x")
