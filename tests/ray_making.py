"""A Ray cluster for tests: its nodes are processes of this machine, each with a store of its own, and files for it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest


def write_files(folder: Path, count: int) -> Path:
    """Files that have a few words each, half of them Korean, in folders of fifty."""
    for number in range(count):
        place = folder / f"{number // 50:02}"
        place.mkdir(parents=True, exist_ok=True)
        text = f"Report {number} of the harbour" if number % 2 else f"{number}번 항만 보고서"
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
