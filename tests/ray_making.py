"""A Ray cluster for tests: its nodes are processes of this machine, each with a store of its own, and files for it."""

from __future__ import annotations

import random
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

LINES = (
    "항만 하역 작업은 기상 악화로 이틀 동안 중단되었다가 오늘 아침 다시 시작되었으며 화물선 세 척이 부두에 접안했다",
    "the crane on the northern quay was inspected after the storm and ships may unload timber there again today",
)


def write_files(folder: Path, count: int, words: int = 0) -> Path:
    """Files that have a line each, half of them Korean, and so many words more, in folders of fifty."""
    chance = random.Random(1)
    for number in range(count):
        place = folder / f"{number // 50:02}"
        place.mkdir(parents=True, exist_ok=True)
        text = f"Report {number} of the harbour" if number % 2 else f"{number}번 항만 보고서"
        if words:
            text += "\n" + " ".join(chance.choices(LINES[number % 2].split(), k=words))
        (place / f"{number}.txt").write_text(text, encoding="utf-8")
    return folder


@contextmanager
def cluster(nodes: int) -> Iterator[Any]:
    """A head without processors, and nodes with one each."""
    cluster_utils = pytest.importorskip("ray.cluster_utils")
    found = cluster_utils.Cluster()
    try:
        found.add_node(num_cpus=0, include_dashboard=False)
        for _ in range(nodes):
            found.add_node(num_cpus=1)
        found.wait_for_nodes()
        yield found
    finally:
        found.shutdown()
