"""`kosearch train --layers` is killed, and goes on to what it would have come to."""

from __future__ import annotations

import json
import shutil
import subprocess
import time
from pathlib import Path

import pytest
from conftest import PROGRAM, Program
from embedding_making import write_small

from crash.folders import chance

TIMES = 20
COUNT = 30
FORMS = ("about item{}?", "which one is item{}", "item{} please")
"""Questions without a word of what answers them, so that what is learnt decides, and is taken."""


@pytest.mark.crash
def test_killed_while_it_learns_layers(program: Program, tmp_path: Path) -> None:
    model = write_small(tmp_path / "base", width=32, length=128, layers=3)
    documents = tmp_path / "documents"
    documents.mkdir()
    rows = []
    for number in range(COUNT):
        (documents / f"{number}.md").write_text(f"# {number}x\n\n{number}x\n", encoding="utf-8")
        rows += [{"question": form.format(number), "expected": f"{number}.md"} for form in FORMS]
    questions = tmp_path / "questions.jsonl"
    questions.write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")
    index = tmp_path / "index"
    assert program.run("index", documents, "--index", index, "--model", model, "-q").returncode == 0
    out = tmp_path / "out"
    arguments = ["train", "--from", questions, "--out", out, "--layers", "2", "--index", index, "--json", "-q"]
    begun = time.monotonic()
    whole = program.run(*arguments, timeout=600)
    took = time.monotonic() - begun
    assert whole.returncode == 0, whole.stdout + whole.stderr
    weights = (out / "model.safetensors").read_bytes()
    assert weights != (model / "model.safetensors").read_bytes()
    generator, killed = chance("train"), 0
    while killed < TIMES:
        shutil.rmtree(out, ignore_errors=True)
        process = subprocess.Popen([PROGRAM, *arguments], env=program.environment, stdout=subprocess.PIPE, text=True)
        try:
            process.communicate(timeout=took * (0.5 + generator.random() / 2))
        except subprocess.TimeoutExpired:
            process.kill()
            process.communicate()
            killed += 1
        assert not list(tmp_path.glob(".kosearch-*"))
    shutil.rmtree(out, ignore_errors=True)
    again = program.run(*arguments, timeout=600)
    assert (again.returncode, again.stdout) == (0, whole.stdout)
    assert (out / "model.safetensors").read_bytes() == weights
