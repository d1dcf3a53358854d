"""One writer at a time: a file lock that the kernel gives back when its process ends, however it ends."""

from __future__ import annotations

import fcntl
import json
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

from kosearch.errors import IndexBusy

_held: set[int] = set()


def _close_in_child() -> None:
    """A forked worker shares its parent's lock: were it to outlive the parent, the lock would seem held."""
    for descriptor in _held:
        os.close(descriptor)
    _held.clear()


os.register_at_fork(after_in_child=_close_in_child)


@contextmanager
def exclusive(path: Path, *, wait: bool) -> Iterator[None]:
    """Hold the lock file `path`; what a dead process left in it does not matter.

    Raises IndexBusy, naming the holder, unless `wait` says to wait for it.
    """
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    owner = os.getpid()
    _held.add(descriptor)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if not wait:
                raise _busy(descriptor, path.parent) from None
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        record = {
            "pid": owner,
            "host": socket.gethostname(),
            "since": datetime.now(UTC).isoformat("T", "seconds"),
        }
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, json.dumps(record).encode(), 0)
        yield
        os.ftruncate(descriptor, 0)
    finally:
        if descriptor in _held and os.getpid() == owner:
            _held.discard(descriptor)
            os.close(descriptor)


def _busy(descriptor: int, directory: Path) -> IndexBusy:
    try:
        holder = json.loads(os.pread(descriptor, 4096, 0))
        who = f"process {holder['pid']} on {holder['host']}, since {holder['since']}"
    except (ValueError, KeyError, TypeError):
        who = "a process that has only just begun"
    return IndexBusy(f"the index in {directory} is being written by {who}", "try again later, or add --wait")
