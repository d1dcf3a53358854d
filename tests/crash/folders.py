"""A folder in one of two states, and what must be true of an index of it."""

from __future__ import annotations

import json
import os
import random
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from kosearch.index import SqliteStore
from kosearch.index.files import VERIFIED

Answers = Mapping[str, Any]
SEED = int(os.environ.get("KOSEARCH_SEED", "1"))
"""Of all chance here: `python -m tests.crash --seed N`. Another one is another run of the same size."""
QUESTIONS = (
    "harbour crane wind",
    "휴가 이월",
    "ferry timetable october",
    "소화기 점검",
    "old keys",
    "nowhere to be found",
)
_WORDS = [
    "harbour",
    "crane",
    "wind",
    "ferry",
    "timetable",
    "october",
    "keys",
    "rotate",
    "valid",
    "boiler",
    "descale",
    "lamp",
    "tide",
    "buoy",
    "anchor",
    "rope",
    "deck",
    "휴가",
    "이월",
    "연차",
    "소화기",
    "점검",
    "보안",
    "취약점",
    "회의록",
    "출장비",
    "정산",
    "규정",
    "안내",
    "부서장",
    "승인",
]
_TIME = 1_700_000_000


def chance(what: object) -> random.Random:
    """What is tried at random, the same in every run with one seed."""
    return random.Random(f"{SEED} {what}")


def _text(name: str, version: int) -> str:
    """About four passages, of which every second is the same in each version."""
    lines = [f"# {name} {version}"]
    for number in range(4):
        seed = f"{name} {number} {version if number % 2 else 0}"
        lines.append(" ".join(random.Random(seed).choices(_WORDS, k=45)) + f" {name}{number}")
    text = "\n\n".join(lines)
    return text + " " * (4000 - len(text.encode())) + "\n"  # versions of a file do not differ in size


BEFORE = {f"{name}.md": (_text(name, 0), _TIME) for name in ("alpha", "bravo", "charlie", "delta", "echo", "휴가")}
AFTER = {
    **{name: BEFORE[name] for name in ("alpha.md", "휴가.md")},
    "bravo.md": (_text("bravo", 1), _TIME - 86_400),  # a file may well be older than what it replaces
    "sub/charlie.md": BEFORE["charlie.md"],
    "delta.md": (BEFORE["delta.md"][0], _TIME + 5),
    "foxtrot.md": (_text("foxtrot", 1), _TIME),
    "golf.txt": (_text("golf", 1), _TIME),
    "empty.txt": ("", _TIME),
}
"""Path → text and time. One file stays, one changes, one moves, one is only touched, one leaves, some come."""


def lay(folder: Path, files: Mapping[str, tuple[str, int]]) -> None:
    """Make the folder hold these files and nothing else."""
    shutil.rmtree(folder, ignore_errors=True)
    for name, (text, time) in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
        os.utime(path, (time, time))


def answers_in(output: str) -> Answers:
    """What `query --batch --json` printed, less which index it was, when that was made, and what the files are now."""
    found = json.loads(output)["answers"]
    for answer in found:
        del answer["generation"], answer["behind"]
        for hit in answer["hits"]:
            del hit["state"], hit["index"]
    return {answer["question"]: answer for answer in found}


def documents_in(directory: Path) -> set[tuple[str, str]]:
    """Path and text's hash of every document that is searchable."""
    index = SqliteStore(directory)
    with index.snapshot() as snapshot:
        found = {(one.path, one.text_hash) for one in snapshot.documents()}
    index.close()
    return found


def litter(directory: Path) -> list[str]:
    """What lies in an index directory and is no part of the index."""
    index = SqliteStore(directory)
    generation = f"generation-{index.status().generation}"
    index.close()
    parts = {"index.sqlite", "index.sqlite-wal", "index.sqlite-shm", "lock", generation}
    strange = [name for name in os.listdir(directory) if name not in parts]
    manifest = json.loads((directory / generation / "manifest.json").read_bytes())
    for path in (directory / generation).rglob("*"):
        name = path.relative_to(directory / generation).as_posix()
        # A reader notes which files it has seen whole, once they are some seconds old.
        if path.is_file() and name not in {*manifest["files"], "manifest.json", VERIFIED} and path.suffix != ".lock":
            strange.append(f"{generation}/{name}")
    return strange
