"""Where a resident listens, and what is said there.

It listens at a socket of mode 0600 in a folder that only its user can enter. Both sides say a length of four bytes,
big-endian, and as many bytes of one value by name, packed (see `packed`).

Request: version, do (run, status or stop), seconds (patience); to run also argv, cwd, environ, terminal (whether stdout
is one) and questions (those from a file or an input, else null).
Reply: version, and cannot (why not), or what `status` tells. To run there are two: accepted or cannot, at once, and
then stdout, stderr and code, or elsewhere (why only the asking process can run it), or cannot.

Nothing is lost on the way. The asking process waits for this module's import, so it does with what Python has loaded
anyway: `socket` and `json` take as long as Python itself, by the enumerations that they make, `pathlib` and `typing`
a fifth of it.
"""

from __future__ import annotations

import _socket  # what `socket` stands on
import errno
import os
import stat
import sys
import time
import zlib

from kosearch import __version__

TYPE_CHECKING = False  # type checkers know the name
if TYPE_CHECKING:
    import socket
    from collections.abc import Iterator, Mapping
    from pathlib import Path
    from typing import Any, Self

    from kosearch.config import Settings

    StrPath = str | os.PathLike[str]

BACKLOG = 64
"""Connections that wait to be accepted; a client beyond them answers by itself."""
PATIENCE = 10.0
"""Seconds that a client waits for an answer before it finds one itself."""
STARTING = 30.0
"""Seconds from its beginning that a resident may take for its first answer."""
HOMES = ("HOME", "XDG_CACHE_HOME", "XDG_CONFIG_HOME", "XDG_DATA_HOME")
"""What of the environment decides where a user's files lie: a resident is for those who have the same."""
_LONGEST_PATH = 103
"""Bytes that macOS allows a socket's path; Linux allows 107."""


def socket_path(settings: Settings, environ: Mapping[str, str] = os.environ) -> Path:
    """The socket of the resident for these settings.

    It is one for each installation, home, cache, forced model, endpoint, device and way to find the nearest: what
    decides which vectors a question gets and which are near, apart from the index, which every request names. Raises
    OSError where no folder's name is short enough.
    """
    from pathlib import Path

    decisive = [str(settings.cache_dir), settings.model, settings.endpoint, settings.device, settings.ann]
    name = f"{_owner(environ)}-{zlib.crc32(packed(decisive)):08x}.sock"
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
    if os.path.isabs(runtime) and _is_mine(runtime):
        found.insert(0, os.path.join(runtime, "kosearch"))
    return [folder for folder in found if os.path.isabs(folder)]


def _is_mine(folder: str) -> bool:
    try:
        return os.stat(folder).st_uid == os.geteuid()
    except OSError:
        return False


def sockets(environ: Mapping[str, str] = os.environ) -> Iterator[str]:
    """Where residents of this user and installation may listen; whether they do is for `connect` to find out."""
    for folder in folders(environ):
        try:
            found = sockets_in(folder, environ) if _is_private(folder) else []
        except OSError:
            continue
        yield from found


def sockets_in(folder: StrPath, environ: Mapping[str, str] = os.environ) -> list[str]:
    """The sockets of this installation and home in a folder, sorted. Raises OSError where it cannot be read."""
    mine = f"{_owner(environ)}-"
    names = sorted(os.listdir(folder))
    return [os.path.join(folder, name) for name in names if name.startswith(mine) and name.endswith(".sock")]


def _owner(environ: Mapping[str, str]) -> str:
    """Whose residents they are: a user may have several installations, and several homes."""
    decisive = [os.path.dirname(os.path.dirname(__file__)), *map(environ.get, HOMES)]
    return f"{zlib.crc32(packed(decisive)):08x}"


def _is_private(folder: StrPath) -> bool:
    """Whether only its user can enter it. Raises OSError where it is missing."""
    found = os.lstat(folder)
    return stat.S_ISDIR(found.st_mode) and found.st_uid == os.geteuid() and not found.st_mode & 0o077


def secure(folder: StrPath) -> None:
    """Make the folder, and see that nobody else can enter it. Raises OSError, PermissionError where somebody can."""
    if not os.path.lexists(folder):
        from contextlib import suppress

        with suppress(FileExistsError):
            os.mkdir(folder, 0o700)
    if not _is_private(folder):
        raise PermissionError(f"{folder} is not a folder of this user alone")


def listen(path: StrPath) -> socket.socket:
    """A socket at a path where nobody listens. Raises OSError: EADDRINUSE where somebody does."""
    from contextlib import suppress

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
    import socket

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
    """Whether a socket was left by a process that was killed.

    One that has its name and does not listen yet refuses too: it is asked again.
    """
    for pause in (0.05, 0.0):
        try:
            connect(path, 1.0).close()
        except ConnectionRefusedError:
            time.sleep(pause)
            continue
        except OSError:
            pass
        return False
    return True


class Connection(_socket.socket):
    """A socket that the end of a `with` block closes."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def connect(path: StrPath, seconds: float) -> Connection:
    """A connection to whoever listens there, if that is the same user; waits at most so long for each step.

    Raises OSError: FileNotFoundError and ConnectionRefusedError where nobody does.
    """
    secure(os.path.dirname(path))
    connection = Connection(_socket.AF_UNIX)
    try:
        connection.settimeout(seconds)
        connection.connect(os.fspath(path))
        if peer_uid(connection) != os.geteuid():
            raise PermissionError(f"{path} belongs to another user")
    except OSError:
        connection.close()
        raise
    return connection


def peer_uid(connection: _socket.socket) -> int:
    """The user at the other end. Raises OSError where the system cannot say."""
    if hasattr(_socket, "SO_PEERCRED"):  # unix(7): pid, uid, gid
        record = connection.getsockopt(_socket.SOL_SOCKET, _socket.SO_PEERCRED, 12)
    elif hasattr(_socket, "LOCAL_PEERCRED"):  # BSD and macOS, <sys/ucred.h>: version, uid, and groups
        record = connection.getsockopt(0, _socket.LOCAL_PEERCRED, 76)
    else:
        raise OSError(errno.ENOTSUP, "this system does not say who is at the other end of a socket")
    return int.from_bytes(record[4:8], sys.byteorder)


def peer_pid(connection: _socket.socket) -> int | None:
    """The process that listens at the other end, where the system says."""
    if not hasattr(_socket, "SO_PEERCRED"):
        return None
    record = connection.getsockopt(_socket.SOL_SOCKET, _socket.SO_PEERCRED, 12)
    return int.from_bytes(record[:4], sys.byteorder)


MAX_REQUEST = 1 << 20
MAX_REPLY = 64 << 20
"""A thousand questions with ten hits each are some 30 MB."""
HEAD = 4
"""Bytes that tell the length of a message."""
_DEEPEST = 8
"""Lists and names within each other; `status` has three."""


class TooLong(ValueError):
    """A message beyond its bound."""


def frame(message: Mapping[str, Any], most: int) -> bytes:
    """A message as it is sent. Raises TooLong."""
    body = packed(dict(message))
    if len(body) > most:
        raise TooLong(f"a message of {len(body)} bytes")
    return len(body).to_bytes(HEAD, "big") + body


def length(head: bytes, most: int) -> int:
    """How many bytes follow the head. Raises TooLong."""
    count = int.from_bytes(head, "big")
    if count > most:
        raise TooLong(f"a message of {count} bytes")
    return count


def message(body: bytes) -> dict[str, Any]:
    """What was sent. Raises ValueError for what is no message."""
    found, end = _unpacked(body, 0, len(body), _DEEPEST)
    if not isinstance(found, dict) or end < len(body):
        raise ValueError("no message")
    return found


def packed(value: object) -> bytes:
    """A value as bytes: the length of what it is, a colon, what it is, and a character for its kind.

    So do tagged netstrings (tnetstrings.info), which have no text but bytes: that is the kind `"` here. Raises
    TypeError for what is neither None, a truth value, a number, text, bytes, a list, a tuple, nor a dict of these.
    """
    match value:
        case None:
            kind, data = b"~", b""
        case bool():
            kind, data = b"!", b"true" if value else b"false"
        case int():
            kind, data = b"#", b"%d" % value
        case float():
            kind, data = b"^", repr(value).encode()
        case str():
            kind, data = b'"', value.encode("utf-8", "surrogatepass")
        case bytes():
            kind, data = b",", value
        case list() | tuple():
            kind, data = b"]", b"".join([packed(one) for one in value])
        case dict():
            kind, data = b"}", b"".join([packed(one) for pair in value.items() for one in pair])
        case _:
            raise TypeError(f"{type(value).__name__} cannot be sent")
    return b"%d:%b%b" % (len(data), data, kind)


def _unpacked(data: bytes, start: int, end: int, deepest: int) -> tuple[Any, int]:
    """The value that begins at `start`, and where it ends, before `end`. Raises ValueError."""
    colon = data.index(b":", start, end)
    size = data[start:colon]
    first, last = colon + 1, colon + 1 + int(size)
    if not size.isdigit() or last >= end or deepest < 0:
        raise ValueError("cut off, or nested too deep")
    kind = data[last : last + 1]
    if kind in b"]}":
        values = []
        while first < last:
            one, first = _unpacked(data, first, last, deepest - 1)
            values.append(one)
        return values if kind == b"]" else _named(values), last + 1
    return _plain(kind, data[first:last]), last + 1


def _named(values: list[Any]) -> dict[str, Any]:
    """Values by name, of a list in which each follows its name. Raises ValueError."""
    names = values[::2]
    if not all(isinstance(name, str) for name in names):
        raise ValueError("a name that is no text")
    return dict(zip(names, values[1::2], strict=True))


def _plain(kind: bytes, data: bytes) -> object:
    """A value that has no others in it. Raises ValueError."""
    match kind:
        case b'"':
            return data.decode("utf-8", "surrogatepass")
        case b",":
            return data
        case b"#":
            return int(data)
        case b"^":
            return float(data)
    try:
        return _CONSTANTS[kind + data]
    except KeyError as error:
        raise ValueError("there is no such kind of value") from error


_CONSTANTS = {b"!true": True, b"!false": False, b"~": None}


def exchange(connection: _socket.socket, request: Mapping[str, Any], seconds: float) -> dict[str, Any]:
    """Send a request and wait for the reply. Raises OSError, TimeoutError among them, and ValueError."""
    connection.settimeout(seconds)
    connection.sendall(frame({"version": __version__, "seconds": seconds, **request}, MAX_REQUEST))
    return receive(connection, seconds)


def receive(connection: _socket.socket, seconds: float) -> dict[str, Any]:
    """Wait for a reply. Raises OSError, TimeoutError among them, and ValueError."""
    ends = time.monotonic() + seconds
    head = _bytes(connection, HEAD, ends)
    return message(_bytes(connection, length(head, MAX_REPLY), ends))


def _bytes(connection: _socket.socket, count: int, ends: float) -> bytes:
    """So many bytes, before that time. Raises ConnectionResetError where fewer come, and TimeoutError."""
    received = bytearray()
    while len(received) < count:
        left = ends - time.monotonic()
        if left <= 0:
            raise TimeoutError("no answer in time")
        connection.settimeout(left)
        part = connection.recv(min(count - len(received), 1 << 16))
        if not part:
            raise ConnectionResetError("the resident ended")
        received += part
    return bytes(received)
