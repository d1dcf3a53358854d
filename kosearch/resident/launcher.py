"""Starts, lists and ends residents, and has a command run by one that is started for it. Nothing heavy is imported.

The one who finds no resident makes its socket, starts a process that inherits it, and connects at once: the
question waits in the socket until the process takes it, and if that fails to start the connection just ends.
"""

from __future__ import annotations

import errno
import os
import signal
import socket
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

from kosearch import __version__, kiwi, resident, system
from kosearch.config import Settings, address_of, index_place
from kosearch.resident import protocol

_PROGRAM = """\
import sys
if sys.argv[2:]:
    from kosearch import kiwi, system
    system.lift_limits()
    kiwi.start()
from kosearch.cli.query import reside
reside()"""
"""What the process is: it runs commands, which are above this room."""
_KOREAN = "korean"
"""Its second argument, where the first question has Hangul."""
MAX_QUESTIONS = 1000
"""More would keep others waiting for minutes."""
SECONDS_A_QUESTION = 0.5
"""So much longer than for one an answer may take, for each question of a batch."""


class Reply(NamedTuple):
    """What a command printed, and its exit code."""

    stdout: bytes
    stderr: bytes
    code: int


class Unavailable(Exception):
    """There is no answer to be had from a resident; why."""


def run(
    settings: Settings,
    argv: Sequence[str],
    environ: Mapping[str, str],
    *,
    terminal: bool,
    questions: Sequence[str] | None = None,
    patience: float = protocol.PATIENCE,
) -> Reply:
    """What a question's command prints, run by the resident with these settings, and its exit code.

    Starts a resident where there is none. Raises Unavailable for whatever goes wrong, an error in the question
    too: the asking process then does the work, and meets the error itself.
    """
    if questions is not None and len(questions) > MAX_QUESTIONS:
        raise Unavailable("there are too many questions")
    try:
        place = index_place(settings.index, settings)
        if isinstance(place, Path) and not place.is_dir():
            raise Unavailable("there is no index")
        if not isinstance(place, Path) and "PGPASSWORD" in environ:
            raise Unavailable("the password in the environment stays in this process")
        told = {**environ, **_decisive(settings), "KOSEARCH_DATA_DIR": str(settings.data_dir)}
        if environ.get("KOSEARCH_CONFIG"):
            told["KOSEARCH_CONFIG"] = str(settings.config_file)
        request = resident.request(argv, told, terminal=terminal, questions=questions)
        patience += SECONDS_A_QUESTION * len(questions or ())
        reply = _ask(protocol.socket_path(settings), settings, request, patience, [*argv[1:], *(questions or ())])
        if reply.get("version") != __version__:
            raise Unavailable(f"the resident is of version {reply.get('version')}")
        for reason in ("cannot", "elsewhere"):
            if reason in reply:
                raise Unavailable(str(reply[reason]))
        return Reply(*resident.printed(reply))
    except (OSError, ValueError, TypeError) as error:
        raise Unavailable(f"{type(error).__name__}: {error}") from error


def start(settings: Settings) -> dict[str, Any]:
    """Start a resident where there is none of this version; what it says of itself. Raises OSError, ValueError."""
    path = protocol.socket_path(settings)
    with _connected(path, settings) as connection:
        state = protocol.exchange(connection, {"do": "status"}, protocol.STARTING)
    if state.get("version") == __version__:
        return state
    stop(path)
    with _connected(path, settings) as connection:
        return protocol.exchange(connection, {"do": "status"}, protocol.STARTING)


def watch(settings: Settings) -> dict[str, Any]:
    """Have the resident, which is started if need be, keep the index up to date; what it says, or why it cannot.

    Raises OSError, ValueError.
    """
    start(settings)
    with _connected(protocol.socket_path(settings), settings) as connection:
        request = {"do": "watch", "index": address_of(index_place(settings.index, settings))}
        return protocol.exchange(connection, request, protocol.STARTING)


def residents(
    settings: Settings, *, patience: float = protocol.PATIENCE
) -> Iterator[tuple[Path, dict[str, Any] | None]]:
    """The sockets of this home's and installation's residents in the runtime directory, whatever their settings.

    With what each says of itself, and None for one that does not answer. Raises OSError.
    """
    folder = protocol.socket_path(settings).parent
    for path in map(Path, protocol.sockets_in(folder) if folder.exists() else ()):
        try:
            with protocol.connect(path, patience) as connection:
                yield path, protocol.exchange(connection, {"do": "status"}, patience)
        except (ConnectionRefusedError, FileNotFoundError, PermissionError):
            continue
        except (OSError, ValueError):
            yield path, None


def stop(path: Path, *, patience: float = protocol.PATIENCE) -> bool:
    """End the resident at a socket and wait until it is gone, or end it by force; False where even that fails."""
    try:
        with protocol.connect(path, patience) as connection:
            pid = protocol.peer_pid(connection)
            with suppress(OSError, ValueError):
                protocol.exchange(connection, {"do": "stop"}, patience)
                ends = time.monotonic() + patience
                while path.exists() and time.monotonic() < ends:
                    time.sleep(0.02)
                return True
    except OSError:
        return not path.exists()
    if pid is None:
        return False
    with suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)
    path.unlink(missing_ok=True)
    return True


def _ask(
    path: Path, settings: Settings, request: Mapping[str, Any], patience: float, texts: Sequence[str]
) -> dict[str, Any]:
    with _connected(path, settings, texts) as connection:
        age = time.time() - path.stat().st_mtime
        patience = max(patience, protocol.STARTING - age)
        try:
            reply = protocol.exchange(connection, {"seconds": patience, **request}, patience)
            return protocol.receive(connection, patience) if "accepted" in reply else reply
        except TimeoutError:
            # One that hangs must not cost every question so much: without its socket it is none, and knows it.
            if age > protocol.STARTING:
                path.unlink(missing_ok=True)
            raise


def _connected(path: Path, settings: Settings, texts: Sequence[str] = ()) -> protocol.Connection:
    """A connection to the resident, which is started if need be; these texts are what it will be asked first."""
    try:
        return protocol.connect(path, protocol.PATIENCE)
    except (FileNotFoundError, ConnectionRefusedError):
        pass
    try:
        with protocol.listen(path) as listener:
            _spawn(listener, path, settings, is_korean=any(map(kiwi.has_hangul, texts)))
    except OSError as error:
        if error.errno != errno.EADDRINUSE:  # else somebody was faster
            raise
    return protocol.connect(path, protocol.PATIENCE)


def _spawn(listener: socket.socket, path: Path, settings: Settings, *, is_korean: bool) -> None:
    """Start a resident that takes over the listening socket, and nothing else of this process.

    One that will be asked in Korean has that loaded while it starts.

    Raises OSError, where this process is limited too: a resident works for others, and would be as limited.
    """
    if system.is_limited():
        raise OSError(errno.EPERM, "this process is limited (ulimit, nice), and so would be one that it starts")
    listener.set_inheritable(True)
    files = [
        (os.POSIX_SPAWN_DUP2, listener.fileno(), 0),
        (os.POSIX_SPAWN_OPEN, 1, os.devnull, os.O_WRONLY, 0),
        (os.POSIX_SPAWN_OPEN, 2, os.devnull, os.O_WRONLY, 0),
        *((os.POSIX_SPAWN_CLOSE, number) for number in system.inheritable_files()),
    ]
    # -P: the working folder, which may be anybody's, is no place for modules.
    os.posix_spawn(
        sys.executable,
        [sys.executable, "-P", "-c", _PROGRAM, str(path), *([_KOREAN] if is_korean else [])],
        _environment(settings),
        file_actions=files,
        setsigmask=(),
        setsigdef=system.default_signals(),
    )


def _environment(settings: Settings) -> dict[str, str]:
    """What a resident needs of this process's environment, and the settings, wherever they were given."""
    from kosearch.embedding.models import KEY, PROVIDERS

    return {
        # Sharing small products among cores costs more than it brings, and a multiple when one of them is busy.
        "OPENBLAS_NUM_THREADS": "1",
        **system.environment({KEY, *(one.key for one in PROVIDERS.values())}),
        **resident.ways_to_servers(os.environ),
        **_decisive(settings),
        "KOSEARCH_RESIDENT_IDLE": str(settings.resident_idle),
    }


def _decisive(settings: Settings) -> dict[str, str]:
    """The settings that a resident is for, wherever they were given: see `protocol.socket_path`."""
    return {
        "KOSEARCH_CACHE_DIR": str(settings.cache_dir),
        "KOSEARCH_MODEL": settings.model or "auto",
        "KOSEARCH_ENDPOINT": settings.endpoint or "auto",
        "KOSEARCH_DEVICE": settings.device,
        "KOSEARCH_ANN": settings.ann,
    }
