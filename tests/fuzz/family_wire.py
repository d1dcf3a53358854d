"""What a stranger could say to the warm process, and what one that is none could answer."""

from __future__ import annotations

import os
import socket
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Any

from fuzz.frame import Family, Input
from kosearch import __version__, config
from kosearch import resident as client
from kosearch.cli.query import printed
from kosearch.errors import IndexMissing
from kosearch.resident import protocol, server

REPLY = {"version": __version__, "stdout": b"{}\n", "stderr": b"", "code": 0}


def _environ(pid: int) -> dict[str, str]:
    """What decides which process a question is for; `pid` is the fuzzer's, so that each has its own."""
    own = {name: value for name, value in os.environ.items() if name in ("HOME", "KOSEARCH_CACHE_DIR")}
    runtime = f"/tmp/ks-fuzz-{os.geteuid()}-{pid}"
    Path(runtime).mkdir(mode=0o700, exist_ok=True)
    return {**own, "XDG_RUNTIME_DIR": runtime, "KOSEARCH_DATA_DIR": f"{runtime}/data"}


def attempt(one: Input) -> str:
    """A request is answered by messages or by hanging up, and the next one is served; a reply is one, or an error."""
    data = one.data[: 1 << 16]
    if one.name.startswith("reply"):
        return _reply(data if one.name == "reply-frame" else len(data).to_bytes(protocol.HEAD, "big") + data)
    if one.name == "request-frame":
        return _served(data)
    _followed(data)
    return _served(len(data).to_bytes(protocol.HEAD, "big") + data)


def _followed(body: bytes) -> None:
    """Run the command in this thread, where the lines that it reaches are seen. The server bears whatever it raises."""
    with suppress(Exception, SystemExit):
        request = protocol.message(body)
        _, commands, _ = _serving()
        if request["do"] == "run" and commands.accepts(request["argv"], request["environ"]):
            terminal, questions = request["terminal"], request["questions"]
            commands.run(request["argv"], request["cwd"], request["environ"], terminal=terminal, questions=questions)


def _served(data: bytes) -> str:
    path, _, thread = _serving()
    with protocol.connect(path, 5.0) as connection:
        with suppress(BrokenPipeError, ConnectionResetError):
            connection.sendall(data)
            connection.shutdown(socket.SHUT_WR)
        with suppress(ConnectionResetError):
            while head := connection.recv(protocol.HEAD, socket.MSG_WAITALL):
                reply = protocol.message(connection.recv(protocol.length(head, protocol.MAX_REPLY), socket.MSG_WAITALL))
                if reply.get("version") != __version__:
                    return f"a reply without a version: {reply}"
    if _may_end(data):
        path.unlink(missing_ok=True)  # so that it ends now
        thread.join(10.0)
        _serving.cache_clear()
        return ""
    with protocol.connect(path, 5.0) as connection:
        state = protocol.exchange(connection, {"do": "status"}, 5.0)
    return "" if state.get("pid") == os.getpid() else f"it does not say what it is: {state}"


def _may_end(data: bytes) -> bool:
    """Whether it was told to end, or asked by another version."""
    with suppress(ValueError):
        length = protocol.length(data[: protocol.HEAD], protocol.MAX_REQUEST)
        request = protocol.message(data[protocol.HEAD :][:length])
        return request.get("do") not in ("run", "status") or request.get("version") != __version__
    return False


def _reply(data: bytes) -> str:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        theirs.sendall(data)
        theirs.shutdown(socket.SHUT_WR)
        try:
            stdout, stderr, code = client.printed(protocol.receive(ours, 5.0))
        except (OSError, ValueError):  # those that `client.run` expects
            return ""
    is_output = isinstance(stdout, bytes) and isinstance(stderr, bytes) and isinstance(code, int)
    return "" if is_output else f"what was printed is no output: {stdout!r}, {stderr!r}, {code!r}"


class _Nothing:
    """A warm process that holds nothing, and has no index to ask."""

    indexes: Sequence[str] = ()
    watchers: Sequence[Any] = ()

    def answers(self, directories: Sequence[str], queries: Sequence[Any], refresh: float = 0.0) -> list[Any]:
        raise IndexMissing(f"there is no index {directories}")

    def indexing(self, settings: Any) -> Iterator[Any]:
        raise IndexMissing("there is no index")

    def consulted(self, directory: str, refresh: float = 0.0) -> Any:
        raise IndexMissing(f"there is no index {directory!r}")

    def watch(self, directory: str) -> None:
        raise IndexMissing(f"there is no index {directory!r}")

    def settle(self) -> None: ...

    def rest(self) -> None: ...

    def drop_gone(self) -> bool:
        return False


@cache
def _serving() -> tuple[Path, server.Commands, threading.Thread]:
    """The socket of a server in a thread, and its commands, which are the real ones."""
    os.environ.update(_environ(os.getppid()))
    path = protocol.socket_path(config.load({}))
    listener, holdings = protocol.listen(path), _Nothing()
    commands: Any = server.Commands(path, holdings, printed)
    thread = threading.Thread(target=server.serve, args=(listener, path, holdings, 600.0, commands), daemon=True)
    thread.start()
    ends = time.monotonic() + 10.0
    while time.monotonic() < ends:
        with suppress(OSError), protocol.connect(path, 1.0):
            return path, commands, thread
    raise AssertionError("it does not listen")


def _seeds() -> Iterator[Input]:
    run = {"version": __version__, "do": "run", "seconds": 5, "cwd": "/", "environ": _environ(os.getpid())}
    run |= {"argv": ["query", "휴가", "--json"], "terminal": False, "questions": None}
    requests: list[Mapping[str, Any]] = [
        run,
        {**run, "argv": ["query", "--batch", "-"], "questions": ["가", "나"]},
        {**run, "argv": ["query", "x", "-i", "./here", "--type", "PDF", "--after", "2024", "-C", "3", "--group"]},
        {**run, "argv": ["query", "--help"]},
        {**run, "argv": ["index", "/"]},
        {"do": "status", "seconds": 1, "version": __version__},
        {"do": "stop", "seconds": 1, "version": __version__},
    ]
    for request in requests:
        framed = protocol.frame(request, protocol.MAX_REQUEST)
        yield from (Input("request-frame", framed), Input("request", framed[protocol.HEAD :]))
    for reply in (REPLY, {"version": __version__, "cannot": "why"}, {"version": __version__, "accepted": True}):
        framed = protocol.frame(reply, protocol.MAX_REPLY)
        yield from (Input("reply-frame", framed), Input("reply", framed[protocol.HEAD :]))


FAMILY = Family(
    _seeds,
    attempt,
    words=(
        *(b"\0\0\0\0030:}", b"\0\0\0\0030:]", b"\xff\xff\xff\xff", b"3:0:]]" * 100, b'1:a"' * 100, b"0:~"),
        *(b"5:1e999^", b"3:nan^", b"2:-1#", b"4:true!", b"-1:", b"999999999:", b'3:\xed\xa0\x80"', b'1:\0"'),
        *(b'2:do"', b'3:run"', b'4:argv"', b'7:environ"', b'15:KOSEARCH_CONFIG"10:/dev/stdin"', b'7:seconds"1:x"'),
        *(b'7:--index"', b'1:~"', b'5:query"', b'13:--no-resident"', b'9:--version"', b'2:-k"1:1"'),
    ),
)
