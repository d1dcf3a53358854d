"""A Ray cluster for tests: its nodes are processes of this machine, each with a store of its own, and files for it."""

from __future__ import annotations

import os
import random
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from unittest.mock import patch

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


RAY = Path(sys.executable).with_name("ray")
NOT_NICE = {"RAY_worker_niceness": "0"}
"""Else Ray's workers let everybody else go first, and on a busy machine there is no end of a test."""


@contextmanager
def cluster(nodes: int) -> Iterator[Any]:
    """A head without processors, and nodes with one each."""
    cluster_utils = pytest.importorskip("ray.cluster_utils")
    found = cluster_utils.Cluster()
    with patch.dict(os.environ, NOT_NICE):
        try:
            found.add_node(num_cpus=0, include_dashboard=False)
            for _ in range(nodes):
                found.add_node(num_cpus=1)
            found.wait_for_nodes()
            yield found
        finally:
            found.shutdown()


@contextmanager
def with_tokens(home: Path) -> Iterator[tuple[str, dict[str, str]]]:
    """A node of a cluster that lets in who has its token: its address, and the environment of who lives in this home.

    It is begun as `kosearch docs server` says.
    """
    pytest.importorskip("ray")
    from ray._private.services import get_node_ip_address

    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"{get_node_ip_address()}:{free.getsockname()[1]}"
    environ = {name: value for name, value in os.environ.items() if not name.startswith("RAY_")} | NOT_NICE
    environ |= {"HOME": str(home), "RAY_AUTH_MODE": "token", "RAY_USAGE_STATS_ENABLED": "0"}
    options = ["--head", "--disable-usage-stats", "--include-dashboard=false", "--num-cpus=1", "--block"]
    subprocess.run([RAY, "get-auth-token", "--generate"], env=environ, capture_output=True, check=True)
    with (home / "log").open("wb") as log:
        node = subprocess.Popen(
            [RAY, "start", *options, f"--port={address.rpartition(':')[2]}"], env=environ, stdout=log, stderr=log
        )
    try:
        yield address, environ
    finally:
        node.terminate()  # what it has begun ends with it
        node.wait(60)
