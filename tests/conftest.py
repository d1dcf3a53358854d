"""What all tests share: a home of their own, no network, and the installed program."""

from __future__ import annotations

import fcntl
import json
import os
import pty
import socket
import struct
import subprocess
import sys
import termios
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from crash.promises import PROMISES, TALLY
from postgres_making import TestServer, running

if TYPE_CHECKING:
    from ui_making import Server

DATA = Path(__file__).parent / "data"
CORPUS = DATA / "corpus"
SHARED = Path(__file__).resolve().parents[2] / "shared"
PROGRAM = Path(sys.executable).with_name("kosearch")
COUNTS = os.environ.get(TALLY)
"""Read before tests lose the environment's settings of kosearch."""


@pytest.fixture(scope="session")
def cache_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One cache for the session: the bundled model is converted once."""
    return tmp_path_factory.mktemp("cache")


@pytest.fixture(autouse=True)
def _own_home(tmp_path: Path, cache_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.startswith("KOSEARCH_")]:
        monkeypatch.delenv(name)
    for name, value in _environment(tmp_path, cache_dir).items():
        monkeypatch.setenv(name, value)


def _environment(home: Path, cache_dir: Path) -> dict[str, str]:
    return {
        "HOME": str(home),
        "XDG_CONFIG_HOME": str(home / ".config"),
        "XDG_DATA_HOME": str(home / ".local/share"),
        "KOSEARCH_CACHE_DIR": str(cache_dir),
        "HF_HUB_OFFLINE": "1",
        "HF_HOME": str(home / "hub"),
        "NO_COLOR": "1",
        "KOSEARCH_RESIDENT": "off",
    }


@pytest.fixture(autouse=True)
def _no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    """Connections leave neither the machine nor the test: only Unix sockets and loopback are let through."""
    connect = socket.socket.connect

    def guarded(self: socket.socket, address: object) -> None:
        if self.family != socket.AF_UNIX and not (isinstance(address, tuple) and address[0] in _LOOPBACK):
            raise AssertionError(f"a test tried to reach {address!r}")
        connect(self, address)  # type: ignore[arg-type]

    monkeypatch.setattr(socket.socket, "connect", guarded)


_LOOPBACK = {"127.0.0.1", "::1", "localhost"}


class Tally:
    """How often a test tried to break a promise, for the table of `python -m tests.crash`."""

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()

    def tried(self, promise: str, times: int = 1) -> None:
        """Count attempts, by the promise's name in crash/promises.py."""
        assert promise in PROMISES
        self.counts[promise] += times


@pytest.fixture
def tally() -> Iterator[Tally]:
    """The counts are kept where the test fails after them, too: the attempts were made."""
    counted = Tally()
    yield counted
    if COUNTS:
        with open(COUNTS, "a", encoding="utf-8") as stream:
            stream.write(json.dumps(counted.counts) + "\n")


@dataclass(frozen=True)
class Program:
    """The installed `kosearch`, run as a user runs it."""

    home: Path
    environment: Mapping[str, str] = field(default_factory=dict)

    def run(
        self, *arguments: str | os.PathLike[str], stdin: str = "", cwd: Path | None = None, timeout: float = 120
    ) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [PROGRAM, *arguments],
            input=stdin,
            capture_output=True,
            text=True,
            encoding="utf-8",
            cwd=cwd or self.home,
            env=self.environment,
            timeout=timeout,
            check=False,
        )

    def on_terminal(
        self, *arguments: str | os.PathLike[str], colour: bool = False, cwd: Path = CORPUS, columns: int = 80
    ) -> tuple[int, str]:
        """The exit code, and all that stdout and stderr wrote to a terminal that both share."""
        environment = {**self.environment, "TERM": "xterm-256color"}
        if colour:
            del environment["NO_COLOR"]
        ours, theirs = pty.openpty()
        fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 40, columns, 0, 0))
        process = subprocess.Popen(
            [PROGRAM, *arguments], stdin=theirs, stdout=theirs, stderr=theirs, env=environment, cwd=cwd
        )
        os.close(theirs)
        seen = b""
        try:
            while chunk := os.read(ours, 65536):
                seen += chunk
        except OSError:
            pass  # Linux reports the closed terminal so
        os.close(ours)
        return process.wait(60), seen.decode("utf-8").replace("\r\n", "\n")

    def shell(self, script: str, *, cwd: Path | None = None, timeout: float = 240) -> subprocess.CompletedProcess[str]:
        """A bash script in which `kosearch` is the installed program."""
        return subprocess.run(
            ["bash", "-euo", "pipefail", "-c", script],
            capture_output=True,
            text=True,
            encoding="utf-8",
            cwd=cwd or self.home,
            env=self.environment,
            timeout=timeout,
            check=False,
        )


def make_program(home: Path, cache_dir: Path) -> Program:
    environment = {
        **{name: value for name, value in os.environ.items() if not name.startswith(("KOSEARCH_", "PYTHONUNBUFFERED"))},
        **_environment(home, cache_dir),
        "PATH": f"{PROGRAM.parent}{os.pathsep}{os.environ['PATH']}",
        "LC_ALL": "C.UTF-8",
    }
    return Program(home, environment)


@pytest.fixture(scope="session")
def postgres() -> Iterator[TestServer]:
    """A PostgreSQL server with pgvector. Tests give their indexes names of their own."""
    with running() as server:
        yield server


@pytest.fixture
def program(tmp_path: Path, cache_dir: Path) -> Program:
    """The installed program in an empty home."""
    return make_program(tmp_path, cache_dir)


@pytest.fixture(scope="session")
def indexed(tmp_path_factory: pytest.TempPathFactory, cache_dir: Path) -> Program:
    """The installed program in a home where the small corpus is indexed with the bundled model. Only for reading."""
    home = tmp_path_factory.mktemp("indexed")
    program = make_program(home, cache_dir)
    (home / "docs").symlink_to(CORPUS, target_is_directory=True)
    result = program.run("index", CORPUS, timeout=600)
    assert result.returncode == 0, result.stderr
    return program


@pytest.fixture(scope="session")
def shelf(tmp_path_factory: pytest.TempPathFactory, cache_dir: Path) -> Program:
    """The installed program in a home whose documents `kosearch ui` shows. Only for reading."""
    from ui_making import make_shelf

    program = make_program(tmp_path_factory.mktemp("shelf"), cache_dir)
    make_shelf(program)
    return program


@pytest.fixture(scope="session")
def server(shelf: Program) -> Iterator[Server]:
    """The page of the shelf. Only for reading."""
    from ui_making import served

    with served(shelf) as running:
        yield running


def until(true: Callable[[], bool], seconds: float = 10.0) -> bool:
    """Whether it becomes true in time."""
    ends = time.monotonic() + seconds
    while not true():
        if time.monotonic() > ends:
            return False
        time.sleep(0.05)
    return True
