"""A real resident that everybody is unkind to: it answers on, as itself, and is no larger afterwards."""

from __future__ import annotations

import json
import os
import random
import shutil
import socket
import struct
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from dataclasses import dataclass, replace
from functools import reduce
from pathlib import Path
from typing import Any

import pytest
from conftest import Program, Tally, until

from kosearch import __version__
from kosearch.resident import launcher, protocol

pytestmark = pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="needs /proc")

FLOOD = 500
SLOW = 40
RANDOM = 200
GROWTH = 48 << 20
"""Bytes of memory that the allocator may keep after all that."""
NOBODY = 65534


@dataclass(frozen=True)
class Resident:
    """A program and the warm process that its first question started."""

    program: Program
    path: Path
    pid: int

    def ask(self) -> str:
        done = self.program.run("query", "rotate keys", "--mode", "lexical", "--jsonl")
        assert (done.returncode, done.stderr) == (0, "")
        return done.stdout

    def connect(self) -> socket.socket:
        connection = socket.socket(socket.AF_UNIX)
        try:
            connection.connect(str(self.path))  # without a timeout it waits for room in the backlog
            connection.settimeout(5)
        except OSError:
            connection.close()
            raise
        return connection

    def say(self, data: bytes) -> None:
        """Send, wait until it hangs up or answers, and go."""
        with suppress(OSError), self.connect() as connection:
            connection.sendall(data)
            connection.shutdown(socket.SHUT_WR)
            connection.recv(1 << 16)

    @property
    def files(self) -> int:
        return len(os.listdir(f"/proc/{self.pid}/fd"))

    @property
    def threads(self) -> int:
        return len(os.listdir(f"/proc/{self.pid}/task"))

    @property
    def memory(self) -> int:
        return int(Path(f"/proc/{self.pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


@pytest.fixture
def resident(indexed: Program) -> Iterator[Resident]:
    runtime = Path(tempfile.mkdtemp(prefix="ks-", dir="/tmp"))
    environment = {**indexed.environment, "KOSEARCH_RESIDENT": "on", "XDG_RUNTIME_DIR": str(runtime)}
    program = replace(indexed, environment=environment)
    assert program.run("query", "rotate keys", "--mode", "lexical").returncode == 0
    (path,) = (runtime / "kosearch").glob("*.sock")
    with protocol.connect(path, 5) as connection:
        pid = protocol.exchange(connection, {"do": "status"}, 5)["pid"]
    yield Resident(program, path, pid)
    launcher.stop(path)
    shutil.rmtree(runtime)


def request(**more: Any) -> bytes:
    query = {"text": "keys", "paths": [], "kinds": [], "mode": "lexical"}
    message = {"version": __version__, "do": "answer", "index": "/none", "queries": [query], "seconds": 2, **more}
    return protocol.frame(message, protocol.MAX_REQUEST)


def framed(body: bytes) -> bytes:
    return struct.pack(">I", len(body)) + body


UNKIND = {
    "nothing": [b""] * 20,
    "half a head": [b"\0\0"] * 20,
    "half a message": [struct.pack(">I", 1000) + b"900:" * 100] * 20,
    "four gigabytes announced": [b"\xff\xff\xff\xff" + b"x" * 100_000] * 20,
    "a byte too many": [struct.pack(">I", protocol.MAX_REQUEST + 1)] * 5,
    "a megabyte of lists": [framed(b"900000:" + b"0:]" * 300_000 + b"]")] * 5,
    "lists in lists": [framed(reduce(lambda inner, _: b"%d:%b]" % (len(inner), inner), range(5_000), b"0:]"))] * 5,
    "a megabyte of digits": [framed(b"9" * 1_000_000 + b":}"), framed(b'1000014:2:do"1000000:' + b"9" * 10**6 + b"#}")],
    "not a number": [request(seconds=float("nan")), request(seconds=float("inf")), request(seconds=-1)],
    "odd indexes": [request(index=name) for name in ("", "\0", "/etc", "/dev/zero", "/" * 5000, "../..", "\udcff")],
    "odd queries": [request(queries=[{"text": "?" * 900_000, "paths": [], "kinds": []}])]
    + [
        request(queries=[{"text": "keys", "paths": ["[" * 5000], "kinds": [], "mode": "lexical", **more}])
        for more in ({}, {"k": -1}, {"k": 10**30}, {"k": "x"}, {"mode": "\x1b"}, {"after": "\udcff"}, {"context": -5})
    ],
    "a thousand questions": [request(queries=[{"text": "x", "paths": [], "kinds": []}] * 5000)],
}


def test_it_lives_through_all_of_it_and_does_not_grow(resident: Resident, tally: Tally) -> None:
    expected = resident.ask()
    before = resident.memory, resident.files, resident.threads

    with ExitStack() as stack:
        for _ in range(FLOOD):
            with suppress(OSError):  # it may well turn some away
                stack.enter_context(resident.connect())
        # 64 are kept. One that is turned away is closed five turns of the event loop after it was accepted, and each
        # turn accepts as many as the backlog holds, 64 again.
        most = before[1] + 64 + 5 * protocol.BACKLOG
        assert not until(lambda: resident.files > most, seconds=1.0)
        assert resident.ask() == expected  # in the resident or, where that is full, in the asking process
    tally.tried("flood", FLOOD)

    for messages in UNKIND.values():
        together = [threading.Thread(target=resident.say, args=(message,)) for message in messages]
        for thread in together:
            thread.start()
        for thread in together:
            thread.join()
        tally.tried("flood", len(messages))
    chance = random.Random(1)
    for _ in range(RANDOM):
        data = chance.randbytes(chance.randrange(1, 200))
        resident.say(data if chance.random() < 0.3 else framed(data))
    tally.tried("flood", RANDOM)

    hung_up: list[bool] = []
    dripping = [threading.Thread(target=lambda: hung_up.append(drip(resident))) for _ in range(SLOW)]
    for thread in dripping:
        thread.start()
    begun = time.monotonic()
    assert resident.ask() == expected
    assert time.monotonic() - begun < 30
    for thread in dripping:
        thread.join()
    assert hung_up == [True] * SLOW
    tally.tried("flood", SLOW)

    assert until(lambda: resident.files <= before[1] + 2, seconds=20.0)
    assert resident.memory < before[0] + GROWTH
    assert resident.threads <= before[2] + 4  # its pool of answering threads fills once
    assert resident.ask() == expected
    with protocol.connect(resident.path, 5) as connection:
        assert protocol.exchange(connection, {"do": "status"}, 5)["pid"] == resident.pid


def drip(resident: Resident, seconds: int = 20) -> bool:
    """Send a byte a second; whether it hangs up in time."""
    with suppress(ConnectionError), resident.connect() as connection:
        for byte in request()[:seconds]:
            connection.sendall(bytes([byte]))
            connection.settimeout(1)
            with suppress(TimeoutError):
                if not connection.recv(1):
                    return True
        return False
    return True


SPEAK = """
import os, socket, sys
os.setgid(65534); os.setuid(65534)
connection = socket.socket(socket.AF_UNIX)
connection.settimeout(20)
try:
    connection.connect(sys.argv[1])
except PermissionError:
    sys.exit("no entry")
try:
    connection.sendall(bytes.fromhex(sys.argv[2]))
    sys.exit("an answer" if connection.recv(100) else "hung up")
except OSError:
    sys.exit("hung up")
"""


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")
def test_it_serves_nobody_else(resident: Resident, tally: Tally) -> None:
    def speak() -> str:
        message = protocol.frame({"version": __version__, "do": "status"}, protocol.MAX_REQUEST).hex()
        command = [sys.executable, "-S", "-c", SPEAK, str(resident.path), message]
        return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False).stderr.strip()

    assert speak() == "no entry"
    for folder in (resident.path.parent.parent, resident.path.parent):
        folder.chmod(0o711)
    resident.path.chmod(0o666)
    assert speak() == "hung up"
    for folder in (resident.path.parent.parent, resident.path.parent):
        folder.chmod(0o700)
    assert resident.ask()
    tally.tried("private", 2)


@pytest.mark.parametrize("kind", ["a link", "open to others", "of somebody else", "a file"])
def test_a_place_that_is_not_ours_alone_is_not_used(indexed: Program, kind: str, tally: Tally) -> None:
    """Without a safe place for its socket, a question is answered all the same, and nothing is put there."""
    if kind == "of somebody else" and os.geteuid() != 0:
        pytest.skip("only root makes folders of other users")
    runtime = Path(tempfile.mkdtemp(prefix="ks-", dir="/tmp"))
    target = runtime / "target"
    target.mkdir(mode=0o700)
    ours = runtime / "kosearch"
    if kind == "a link":
        ours.symlink_to(target)
    elif kind == "a file":
        ours.touch(mode=0o700)
    else:
        ours.mkdir(mode=0o700)
    if kind == "open to others":
        ours.chmod(0o770)
    elif kind == "of somebody else":
        os.chown(ours, NOBODY, NOBODY)
    environment = {**indexed.environment, "KOSEARCH_RESIDENT": "on", "XDG_RUNTIME_DIR": str(runtime)}
    done = replace(indexed, environment=environment).run("query", "rotate keys", "--mode", "lexical", "--json")
    assert (done.returncode, done.stderr) == (0, "")
    assert json.loads(done.stdout)["hits"]
    assert list(runtime.rglob("*.sock")) == []
    shutil.rmtree(runtime)
    tally.tried("private")
