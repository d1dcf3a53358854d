"""One writer at a time: a file lock that the kernel gives back when its process ends, however it ends."""

from __future__ import annotations

import json
import os
import socket
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path

from kosearch.errors import IndexBusy, IndexStateError

if sys.platform == "win32":
    import msvcrt

    def _try_to_lock(descriptor: int) -> bool:
        os.lseek(descriptor, 1 << 20, os.SEEK_SET)  # a locked byte cannot be read, so not one of the note's
        try:
            msvcrt.locking(descriptor, msvcrt.LK_NBLCK, 1)
        except OSError:
            return False
        return True

else:
    import fcntl

    def _try_to_lock(descriptor: int) -> bool:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        except OSError as error:  # as on some network storage
            raise IndexStateError(
                f"the index lies where files cannot be locked ({error.strerror}), and two writers would destroy it",
                "choose a folder on a disk of this machine with --index",
            ) from error
        return True


_POLL_SECONDS = 0.2
_held: set[int] = set()


def _close_in_child() -> None:
    """A forked worker shares its parent's lock: were it to outlive the parent, the lock would seem held."""
    for descriptor in _held:
        os.close(descriptor)
    _held.clear()


if sys.platform != "win32":
    os.register_at_fork(after_in_child=_close_in_child)


@contextmanager
def exclusive(path: Path, *, wait: bool) -> Iterator[None]:
    """Hold the lock file `path`; what a dead process left in it does not matter.

    Raises IndexBusy, naming the holder, unless `wait` says to wait for it.
    """
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    except OSError as error:
        raise IndexStateError(f"the index in {path.parent} cannot be written: {error}", "kosearch status") from error
    owner = os.getpid()
    _held.add(descriptor)
    try:
        while not _try_to_lock(descriptor):
            if not wait:
                raise _busy(descriptor, path.parent)
            time.sleep(_POLL_SECONDS)
        record = {
            "pid": owner,
            "host": socket.gethostname(),
            "since": datetime.now(UTC).isoformat("T", "seconds"),
        }
        _note(descriptor, json.dumps(record).encode())
        yield
        _note(descriptor, b"")
    finally:
        if descriptor in _held and os.getpid() == owner:
            _held.discard(descriptor)
            os.close(descriptor)


def held_since(path: Path) -> datetime | None:
    """When the process that holds the lock file `path` took it; None where none does, as far as its note tells.

    Nothing is locked for this: it must not turn a writer away.
    """
    try:
        holder = json.loads(path.read_bytes())
        if holder["host"] == socket.gethostname() and not _is_alive(int(holder["pid"])):
            return None
        return datetime.fromisoformat(holder["since"])
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except OSError:
        pass  # another user's
    return True


def _note(descriptor: int, text: bytes) -> None:
    with suppress(OSError):  # on a full disk the lock holds all the same
        os.ftruncate(descriptor, 0)
        os.lseek(descriptor, 0, os.SEEK_SET)
        os.write(descriptor, text)


def _busy(descriptor: int, directory: Path) -> IndexBusy:
    try:
        os.lseek(descriptor, 0, os.SEEK_SET)
        holder = json.loads(os.read(descriptor, 4096))
        who = f"process {holder['pid']} on {holder['host']}, since {holder['since']}"
    except (ValueError, KeyError, TypeError):
        who = "a process that has only just begun"
    return IndexBusy(f"the index in {directory} is being written by {who}", "try again later, or add --wait")
