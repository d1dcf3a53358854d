"""Takes requests, bounded in number, size and time, until it is time to end."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any, Protocol, TypeVar

import kosearch
from kosearch.resident import protocol, sockets
from kosearch.system import usable_cores

CONNECTIONS = 64
"""Open at the same time; those beyond are closed at once."""
SENDING = 2.0
"""Seconds that a client has for its request…"""
TAKING = 10.0
"""…and for taking the reply."""
LONGEST = 600.0
"""Seconds for an answer, however patient the client."""
ENDING = 2.0
"""Seconds that those who have asked have left when it ends."""
WORKERS = 4
"""Questions answered side by side, on as many cores."""
TICK = 1.0
"""Seconds between looks at whether it is time to end."""

Result = TypeVar("Result")


class Holdings(Protocol):
    """What is held ready; `Warm`, and in tests whatever answers."""

    @property
    def indexes(self) -> Sequence[str]: ...

    def settle(self) -> None: ...

    def drop_gone(self) -> bool: ...


class Commands(Protocol):
    """What runs whole commands, given their arguments, working folder and environment."""

    def accepts(self, argv: Sequence[str], environ: Mapping[str, str]) -> bool:
        """Whether such a command is for this process. Asked in the loop that serves all: it takes no time."""
        ...

    def run(
        self,
        argv: Sequence[str],
        cwd: str,
        environ: Mapping[str, str],
        *,
        terminal: bool,
        questions: Sequence[str] | None,
    ) -> Mapping[str, Any]:
        """stdout, stderr and code, or elsewhere: why only the asking process can run it. May raise anything."""
        ...


def serve(listener: socket.socket, path: Path, holdings: Holdings, idle: float, commands: Commands) -> int | None:
    """Answer whoever connects, until nobody does for `idle` seconds, or for another of the reasons to end.

    The socket at `path` is removed at the end, unless another one lies there by then. Returns the signal that asked
    for the end (SIGINT, SIGTERM), if one did.
    """
    own = _identity(path)

    def is_in_place() -> bool:
        return own is not None and _identity(path) == own

    try:
        return asyncio.run(_Server(holdings, idle, commands).run(listener, is_in_place))
    finally:
        listener.close()
        if is_in_place():
            path.unlink(missing_ok=True)


class _Server:
    def __init__(self, holdings: Holdings, idle: float, commands: Commands) -> None:
        self._holdings = holdings
        self._commands = commands
        self._idle = idle
        self._began = time.time()
        self._last = time.monotonic()
        self._asked = 0
        self._open = 0
        self._busy = 0
        self._told_to_end = asyncio.Event()
        self._signal: int | None = None
        self._pool = ThreadPoolExecutor(min(WORKERS, usable_cores()), "answer")

    async def run(self, listener: socket.socket, is_in_place: Callable[[], bool]) -> int | None:
        listener.setblocking(False)
        for number in (signal.SIGINT, signal.SIGTERM):
            with suppress(ValueError, RuntimeError):  # only the main thread hears them
                asyncio.get_running_loop().add_signal_handler(number, self._heard, number)
        program = _identity(Path(kosearch.__file__))
        server = await asyncio.start_unix_server(self._serve, sock=listener, backlog=sockets.BACKLOG)
        while not self._told_to_end.is_set():
            with suppress(TimeoutError):
                await asyncio.wait_for(self._told_to_end.wait(), TICK)
            if not self._busy and time.monotonic() - self._last > self._idle:
                break
            if not is_in_place() or _identity(Path(kosearch.__file__)) != program:
                break
            if self._holdings.drop_gone():
                break
        server.close()
        ends = time.monotonic() + ENDING
        while self._open and time.monotonic() < ends:
            await asyncio.sleep(0.01)
        self._pool.shutdown(wait=False, cancel_futures=True)
        return self._signal

    def _heard(self, number: int) -> None:
        self._signal = number
        self._told_to_end.set()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        transport = writer.transport
        self._open += 1
        try:
            if self._open > CONNECTIONS or sockets.peer_uid(writer.get_extra_info("socket")) != os.geteuid():
                return
            async with asyncio.timeout(SENDING):
                head = await reader.readexactly(protocol.HEAD.size)
                body = await reader.readexactly(protocol.length(head, protocol.MAX_REQUEST))
            request = protocol.message(body)
            transport.set_write_buffer_limits(0)
            if request["do"] == "run":
                if not self._accepts(request):
                    writer.write(_framed({"cannot": "it is for another process"}))
                    await writer.drain()
                    return
                writer.write(_framed({"accepted": True}))
            reply = await self._reply(request)
            writer.write(reply)
            async with asyncio.timeout(TAKING):
                await writer.drain()
            if request["do"] == "run":
                await self._work(self._holdings.settle)
        except Exception:  # noqa: BLE001 - a client that says nothing, or nonsense, or has gone
            pass
        finally:
            transport.abort()
            self._open -= 1

    def _accepts(self, request: Mapping[str, Any]) -> bool:
        try:
            return self._commands.accepts(request["argv"], request["environ"])
        except (KeyError, TypeError, AttributeError):  # no command at all
            return False

    async def _reply(self, request: dict[str, Any]) -> bytes:
        if request["do"] == "status":
            return _framed(self._status())
        if request["do"] == "stop":
            self._told_to_end.set()
            return _framed({})
        if request["version"] != kosearch.__version__:
            self._told_to_end.set()
            return _framed({"cannot": "the resident is of another version, and ends"})
        if request["do"] != "run":
            return _framed({"cannot": "there is no such request"})
        self._busy += 1
        try:
            ends = time.monotonic() + min(LONGEST, float(request["seconds"]))
            async with asyncio.timeout(ends - time.monotonic()):
                reply = await self._work(self._run_command, request, ends)
            self._asked += 1
            return reply
        except Exception as error:  # noqa: BLE001 - the client finds out by itself what is wrong
            return _framed({"cannot": f"{type(error).__name__}: {error}"})
        finally:
            self._last, self._busy = time.monotonic(), self._busy - 1

    def _run_command(self, request: Mapping[str, Any], ends: float) -> bytes:
        if time.monotonic() > ends:
            raise TimeoutError("the question waited too long")
        argv, cwd, environ = request["argv"], request["cwd"], request["environ"]
        terminal, questions = request["terminal"], request["questions"]
        try:
            return _framed(self._commands.run(argv, cwd, environ, terminal=terminal, questions=questions))
        except SystemExit as end:  # a command's, not this process's
            raise RuntimeError("it ended") from end

    def _status(self) -> dict[str, Any]:
        return {
            "pid": os.getpid(),
            "since": self._began,
            "idle": self._idle,
            "requests": self._asked,
            "indexes": list(self._holdings.indexes),
        }

    async def _work(self, task: Callable[..., Result], *arguments: Any) -> Result:
        return await asyncio.get_running_loop().run_in_executor(self._pool, task, *arguments)


def _framed(reply: Mapping[str, Any]) -> bytes:
    return protocol.frame({"version": kosearch.__version__, **reply}, protocol.MAX_REPLY)


def _identity(path: Path) -> tuple[int, int] | None:
    with suppress(OSError):
        found = path.stat()
        return found.st_dev, found.st_ino
    return None
