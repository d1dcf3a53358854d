"""Ctrl-C and SIGTERM while an index is made: what is committed stays, and the next run goes on from there."""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import time
from pathlib import Path
from typing import Any

from conftest import CORPUS, PROGRAM, Program

FILES = 14


def test_an_interrupted_run_keeps_what_it_committed(program: Program, tmp_path: Path) -> None:
    folder = tmp_path / "in"
    folder.mkdir()
    words = (CORPUS / "manuals/espresso-machine.md").read_text(encoding="utf-8").replace("#", "").split()
    chosen = random.Random(3)
    for number in range(FILES):
        lines = [f"Line {number} {line}: {' '.join(chosen.choices(words, k=14))}." for line in range(60)]
        (folder / f"{number:02}.txt").write_text("\n\n".join(lines))

    environment = {**program.environment, "KOSEARCH_PASSAGE_TOKENS": "24", "KOSEARCH_PASSAGE_OVERLAP": "0"}
    program = Program(program.home, environment)
    first = interrupted(program, folder, signal.SIGINT, 0)
    second = interrupted(program, folder, signal.SIGTERM, first["documents"])
    assert 0 < first["documents"] < second["documents"] < FILES
    assert program.run("query", "espresso", "--mode", "lexical").returncode == 0

    last = json.loads(program.run("index", folder, "--json").stdout)
    assert (last["documents"], last["unchanged"]) == (FILES, second["documents"])
    assert last["added"] == FILES - second["documents"]


def interrupted(program: Program, folder: Path, number: signal.Signals, before: int) -> dict[str, Any]:
    """Start indexing, send the signal when something new is committed, and return the status after the end."""
    process = subprocess.Popen(
        [PROGRAM, "index", folder],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=program.environment,
        start_new_session=True,
    )
    end = time.monotonic() + 300
    while process.poll() is None:
        assert time.monotonic() < end
        state = program.run("status", "--json")
        if state.returncode == 0 and (now := json.loads(state.stdout))["pending"] + now["documents"] > before:
            break
    busy = program.run("index", folder)
    assert busy.returncode == 5
    assert str(process.pid) in busy.stderr
    # A terminal sends Ctrl-C to the whole group, workers included; a service manager ends the program alone.
    (os.killpg if number == signal.SIGINT else os.kill)(process.pid, number)
    stdout, stderr = process.communicate(timeout=120)
    assert (process.returncode, stdout) == (128 + number, "")
    assert "Traceback" not in stderr
    state = json.loads(program.run("status", "--json").stdout)
    assert state["pending"] == 0
    return state
