"""Where a resident listens: a socket of mode 0600 in a folder that only its user can enter.

The asking process waits for this module's import, so it does without `pathlib` and `typing`:
they take a fifth of its time.
"""

from __future__ import annotations

import errno
import json
import os
import socket
import stat
import struct
import zlib
from collections.abc import Iterator, Mapping
from contextlib import suppress

TYPE_CHECKING = False  # type checkers know the name
if TYPE_CHECKING:
    from pathlib import Path

    from kosearch.config import Settings

    StrPath = str | os.PathLike[str]

BACKLOG = 64
"""Connections that wait to be accepted; a client beyond them answers by itself."""
PATIENCE = 10.0
"""Seconds that a client waits for an answer before it finds one itself."""
STARTING = 30.0
"""Seconds from its beginning that a resident may take for its first answer."""
_LONGEST_PATH = 103
"""Bytes that macOS allows a socket's path; Linux allows 107."""


def socket_path(settings: Settings, environ: Mapping[str, str] = os.environ) -> Path:
    """The socket of the resident for these settings.

    It is one for each installation, cache, forced model, endpoint and device: what decides which vectors a question
    gets, apart from the index, which every request names. Raises OSError where no folder's name is short enough.
    """
    from pathlib import Path

    decisive = [str(settings.cache_dir), settings.model, settings.endpoint, settings.device]
    name = f"{_installation()}-{zlib.crc32(json.dumps(decisive).encode()):08x}.sock"
    for folder in folders(environ):
        path = Path(folder, name)
        if len(os.fsencode(path)) <= _LONGEST_PATH:
            return path
    raise OSError(errno.ENAMETOOLONG, "no folder for sockets has a name that is short enough")


def folders(environ: Mapping[str, str] = os.environ) -> list[str]:
    """Where sockets may lie, best first: the user's runtime directory, else one below the temporary directory."""
    temporary = f"kosearch-{os.geteuid()}"
    found = [os.path.join(environ.get("TMPDIR") or "/tmp", temporary), os.path.join("/tmp", temporary)]
    runtime = environ.get("XDG_RUNTIME_DIR", "")
    with suppress(OSError):
        if os.path.isabs(runtime) and os.stat(runtime).st_uid == os.geteuid():
            found.insert(0, os.path.join(runtime, "kosearch"))
    return [folder for folder in found if os.path.isabs(folder)]


def sockets(environ: Mapping[str, str] = os.environ) -> Iterator[str]:
    """Where residents of this user and installation may listen; whether they do is for `connect` to find out."""
    for folder in folders(environ):
        with suppress(OSError):
            if _is_private(folder):
                yield from sockets_in(folder)


def sockets_in(folder: StrPath) -> list[str]:
    """The sockets of this installation in a folder, sorted. Raises OSError where it cannot be read."""
    mine = f"{_installation()}-"
    names = sorted(os.listdir(folder))
    return [os.path.join(folder, name) for name in names if name.startswith(mine) and name.endswith(".sock")]


def _installation() -> str:
    return f"{zlib.crc32(os.fsencode(os.path.dirname(os.path.dirname(__file__)))):08x}"


def _is_private(folder: StrPath) -> bool:
    """Whether only its user can enter it. Raises OSError where it is missing."""
    found = os.lstat(folder)
    return stat.S_ISDIR(found.st_mode) and found.st_uid == os.geteuid() and not found.st_mode & 0o077


def secure(folder: StrPath) -> None:
    """Make the folder, and see that nobody else can enter it. Raises OSError, PermissionError where somebody can."""
    with suppress(FileExistsError):
        os.mkdir(folder, 0o700)
    if not _is_private(folder):
        raise PermissionError(f"{folder} is not a folder of this user alone")


def listen(path: StrPath) -> socket.socket:
    """A socket at a path where nobody listens. Raises OSError: EADDRINUSE where somebody does."""
    secure(os.path.dirname(path))
    try:
        return _bound(path)
    except OSError as error:
        if error.errno != errno.EADDRINUSE or not _abandoned(path):
            raise
    with suppress(FileNotFoundError):
        os.unlink(path)
    return _bound(path)


def _bound(path: StrPath) -> socket.socket:
    listener = socket.socket(socket.AF_UNIX)
    umask = os.umask(0o177)
    try:
        listener.bind(os.fspath(path))
        listener.listen(BACKLOG)
    except OSError:
        listener.close()
        raise
    finally:
        os.umask(umask)
    return listener


def _abandoned(path: StrPath) -> bool:
    """Whether a socket was left by a process that was killed."""
    try:
        connect(path, 1.0).close()
    except ConnectionRefusedError:
        return True
    except OSError:
        pass
    return False


def connect(path: StrPath, seconds: float) -> socket.socket:
    """A connection to whoever listens there, if that is the same user; waits at most so long for each step.

    Raises OSError: FileNotFoundError and ConnectionRefusedError where nobody does.
    """
    secure(os.path.dirname(path))
    connection = socket.socket(socket.AF_UNIX)
    try:
        connection.settimeout(seconds)
        connection.connect(os.fspath(path))
        if peer_uid(connection) != os.geteuid():
            raise PermissionError(f"{path} belongs to another user")
    except OSError:
        connection.close()
        raise
    return connection


def peer_uid(connection: socket.socket) -> int:
    """The user at the other end. Raises OSError where the system cannot say."""
    if hasattr(socket, "SO_PEERCRED"):  # unix(7): pid, uid, gid
        record = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12)
        return int(struct.unpack("3i", record)[1])
    if hasattr(socket, "LOCAL_PEERCRED"):  # BSD and macOS, <sys/ucred.h>: version, uid, and groups
        record = connection.getsockopt(0, socket.LOCAL_PEERCRED, 76)
        return int(struct.unpack_from("2I", record)[1])
    raise OSError(errno.ENOTSUP, "this system does not say who is at the other end of a socket")


def peer_pid(connection: socket.socket) -> int | None:
    """The process that listens at the other end, where the system says."""
    if not hasattr(socket, "SO_PEERCRED"):
        return None
    return int(struct.unpack("3i", connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, 12))[0])
