"""What client and resident say: a length of four bytes, big-endian, and as many bytes of JSON, in both directions.

Request: version, do (run, status or stop), seconds (patience); to run also argv, cwd, environ, terminal (whether stdout
is one) and questions (those from a file or an input, else null).
Reply: version, and cannot (why not), or what `status` tells. To run there are two: accepted or cannot, at once, and
then stdout, stderr and code, or elsewhere (why only the asking process can run it), or cannot.

Nothing is lost on the way: bytes are text with surrogates. The asking process waits for this module's import.
"""

from __future__ import annotations

import json
import socket
import struct
import time
from collections.abc import Mapping

from kosearch import __version__

TYPE_CHECKING = False  # type checkers know the name; see `sockets` for why it is not imported
if TYPE_CHECKING:
    from typing import Any

MAX_REQUEST = 1 << 20
MAX_REPLY = 16 << 20
HEAD = struct.Struct(">I")


class TooLong(ValueError):
    """A message beyond its bound."""


def frame(message: Mapping[str, Any], most: int) -> bytes:
    """A message as it is sent. Raises TooLong."""
    body = json.dumps(message, ensure_ascii=False, default=_plain, check_circular=False).encode(
        "utf-8", "surrogatepass"
    )
    if len(body) > most:
        raise TooLong(f"a message of {len(body)} bytes")
    return HEAD.pack(len(body)) + body


def length(head: bytes, most: int) -> int:
    """How many bytes follow the head. Raises TooLong."""
    (count,) = HEAD.unpack(head)
    if count > most:
        raise TooLong(f"a message of {count} bytes")
    return int(count)


def message(body: bytes) -> dict[str, Any]:
    """What was sent. Raises ValueError for what is no JSON object."""
    try:
        found = json.loads(body.decode("utf-8", "surrogatepass"))
    except RecursionError as error:
        raise ValueError("nested too deep") from error
    if not isinstance(found, dict):
        raise ValueError("not an object")
    return found


def exchange(connection: socket.socket, request: Mapping[str, Any], seconds: float) -> dict[str, Any]:
    """Send a request and wait for the reply. Raises OSError, TimeoutError among them, and ValueError."""
    connection.settimeout(seconds)
    connection.sendall(frame({"version": __version__, "seconds": seconds, **request}, MAX_REQUEST))
    return receive(connection, seconds)


def receive(connection: socket.socket, seconds: float) -> dict[str, Any]:
    """Wait for a reply. Raises OSError, TimeoutError among them, and ValueError."""
    ends = time.monotonic() + seconds
    head = _bytes(connection, HEAD.size, ends)
    return message(_bytes(connection, length(head, MAX_REPLY), ends))


def _bytes(connection: socket.socket, count: int, ends: float) -> bytes:
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


def _plain(value: object) -> object:
    """Bytes as text: what `json` does not know by itself."""
    if isinstance(value, bytes):
        return value.decode("utf-8", "surrogateescape")
    raise TypeError(f"{type(value).__name__} cannot be sent")
