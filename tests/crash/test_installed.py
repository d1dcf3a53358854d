"""The installed program, with its bundled model and workers, killed at 200 random moments, or `KOSEARCH_KILLS`."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from pathlib import Path

import pytest
from conftest import PROGRAM, Program, Tally
from index_making import quick_folder

from crash.folders import AFTER, BEFORE, QUESTIONS, answers_in, chance, documents_in, lay, litter

TIMES = int(os.environ.get("KOSEARCH_KILLS", "200"))


def query(program: Program, index: Path) -> tuple[set[tuple[str, str]], list[list[float]]]:
    """The documents of an index, and the scores by word of each question's hits; hits by meaning must come, too.

    The model rounds otherwise when it reads a passage beside others, and equal scores stand in the order in which
    their documents came: both are left out here, and compared in test_kill.py.
    """
    for mode in ("hybrid", "lexical"):
        asked = program.run("query", "--json", "-q", "--mode", mode, "--index", index, stdin="\n".join(QUESTIONS))
        assert asked.returncode == 0, asked.stderr
        assert "damaged" not in asked.stdout
    answers = answers_in(asked.stdout).values()
    return documents_in(index), [[hit["scores"]["lexical"] for hit in answer["hits"]] for answer in answers]


@pytest.mark.crash
@pytest.mark.parametrize("times", [TIMES])
def test_the_installed_program_is_killed(program: Program, times: int, tally: Tally) -> None:
    """Back and forth between two states of a folder; each run but every second is killed, workers last."""
    with quick_folder() as folder:
        docs, index = folder / "docs", folder / "index"
        states, expected = (AFTER, BEFORE), []
        for number, state in enumerate(states):
            lay(docs, state)
            fresh = folder / f"fresh-{number}"
            assert program.run("index", docs, "--passage-tokens", "64", "--index", fresh).returncode == 0
            expected.append(query(program, fresh))
        assert program.run("index", docs, "--passage-tokens", "64", "--index", index).returncode == 0
        generator = chance(times)
        took = 0.0
        for number in range(times):
            goal, start = expected[number % 2], expected[1 - number % 2]
            lay(docs, states[number % 2])
            begun = time.monotonic()
            process = subprocess.Popen(
                [PROGRAM, "index", "-q", "--index", index], env=program.environment, stderr=subprocess.PIPE
            )
            try:
                process.wait(took * generator.random() if took else None)
            except subprocess.TimeoutExpired:
                os.kill(process.pid, signal.SIGKILL)
            process.communicate()
            took = took or time.monotonic() - begun
            tally.tried("installed")
            assert query(program, index) in ((goal,) if process.returncode == 0 else (start, goal))
            again = program.run("index", "-q", "--index", index)
            assert again.returncode == 0, again.stderr
            assert query(program, index) == goal
            assert litter(index) == []
