"""Each family of readers for a few seconds, by the same chance every time, after all that was ever found in it."""

from __future__ import annotations

import random
from dataclasses import replace
from pathlib import Path

import pytest

from fuzz.frame import KEPT, Family, Input, families, fuzz, kept, replay

FAMILIES = families()
SECONDS = 3.0
SEEDS = 20


@pytest.mark.parametrize("name", FAMILIES)
def test_no_input_breaks_a_promise(name: str, tmp_path: Path) -> None:
    assert replay(FAMILIES[name], kept(KEPT / name)) == {}
    chosen = list(FAMILIES[name].seeds())
    random.Random(1).shuffle(chosen)
    result = fuzz(name, replace(FAMILIES[name], seeds=lambda: chosen[:SEEDS]), SECONDS, tmp_path, seed=1)
    assert result.findings == {}
    assert result.tried > 0


def _read(one: Input) -> str:
    """A reader with three faults."""
    if one.data.startswith(b"%"):
        if b"loop" in one.data:
            while True:
                pass
        if b"raise" in one.data:
            raise KeyError(one.data)
    return "a lie" if one.data == b"lie" else ""


def test_the_fuzzer_finds_keeps_and_shrinks(tmp_path: Path) -> None:
    seeds = [Input("a", b"%1234loop"), Input("b", b"% 1 2 3 raise 4 5 6"), Input("c", b"lie")]
    result = fuzz("faulty", Family(lambda: seeds, _read, deadline=0.2), 0.5, tmp_path, seed=1)
    found = {problem.partition(" ")[0]: file.read_bytes() for problem, file in result.findings.items()}
    assert found.keys() == {"timeout:", "KeyError", "a"}
    assert (found["timeout:"], found["KeyError"]) == (b"%loop", b"%raise")


def test_a_corpus_grows_and_is_read_again(tmp_path: Path) -> None:
    family = FAMILIES["settings"]
    first = fuzz("settings", family, 1, tmp_path, seed=1)
    files = kept(tmp_path / "settings")
    assert len(files) == first.grown > 0
    again = fuzz("settings", family, 1, tmp_path, seed=2)
    assert again.lines >= first.lines
