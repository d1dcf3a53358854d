"""Keeping an index up to date while its files change: an event means only that there is something to look for.

A folder that is moved in is one event without its files, and an editor that saves by renaming is several. So whatever
happens, all folders are walked, as `kosearch index` does. Where there are no events, on network disks or when the
system has no more room to watch, they are walked on a timer, and that is said.
"""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import suppress
from typing import Any

TIMER = 30.0
"""Seconds between walks where there are no events."""
_TICK = 5.0
"""Seconds between looks at whether the folders are still those that are watched."""
_BEGINNING = 1.0
"""Seconds after which watching has begun, if it has not failed."""
_STEP, _DEBOUNCE = 100, 400
"""Milliseconds that nothing may happen before what has happened is looked at, and the most that this is put off."""
_REST = 1.0
"""Times the processor time that a look took, nothing is looked at: a log that grows all the time costs half a core."""
_NETWORK = frozenset(
    [
        *("nfs", "nfs4", "cifs", "smb3", "smbfs", "9p", "afs", "ceph", "glusterfs", "lustre", "ncpfs", "vboxsf"),
        *("virtiofs", "fuse.sshfs", "fuse.rclone", "fuse.gvfsd-fuse", "fuse.davfs", "fuse.s3fs", "davfs"),
    ]
)
"""File systems whose files change elsewhere, without an event here."""
_MOUNTS = "/proc/self/mountinfo"

Roots = Callable[[], Collection[bytes]]
"""The files and folders of the index, as they are named now."""
Update = Callable[[], int]
"""Brings the index up to date as far as that is little work; how many changed files are left. May raise anything."""


class Watcher:
    """Watches one index's folders in a thread of its own, until it is stopped."""

    def __init__(self, directory: str, roots: Roots, update: Update, own: Collection[str] = ()) -> None:
        """`own` are folders in which kosearch itself writes: what changes there is no event."""
        self.directory = directory
        self._roots = roots
        self._update = update
        self._own = tuple(os.path.join(one, "") for one in own)
        self._stopped = threading.Event()
        self._why_no_events = ""
        self.behind = 0
        """Changed files that are not searchable yet, as they were last seen."""
        self._looked = 0.0
        self._larger: subprocess.Popen[bytes] | None = None
        self._thread = threading.Thread(target=self._work, name="watch", daemon=True)
        self._thread.start()

    @property
    def has_events(self) -> bool:
        """Whether changes come by themselves: then no question need look for any."""
        return self._looked > 0 and not self._why_no_events

    @property
    def state(self) -> dict[str, Any]:
        """What a person wants to know: by what it watches, how far behind it is, and when it last looked."""
        how = f"every {TIMER:.0f} s: {self._why_no_events}" if self._why_no_events else "by events"
        return {"index": self.directory, "how": how, "behind": self.behind, "looked": self._looked}

    def stop(self) -> None:
        """Watch no longer."""
        self._stopped.set()
        if self._larger is not None:
            with suppress(OSError):
                self._larger.terminate()

    def _work(self) -> None:
        while not self._stopped.is_set():
            try:
                self._watch()
            except Exception as error:  # noqa: BLE001 - whatever it is, there is still the timer
                self._why_no_events = _reason(error)
                self._stopped.wait(TIMER)  # the next attempt begins with a look

    def _watch(self) -> None:
        """Look now, and after each event, as long as the folders are the same ones."""
        roots = list(self._roots())
        known = _identities(roots)
        remote = [kind for root in roots if (kind := file_system(root)) in _NETWORK]
        if remote:
            self._why_no_events = f"{remote[0]} tells of no changes"
        for has_changed in self._timer() if remote else self._events(roots):
            if has_changed:
                self._look()
            if self._stopped.is_set() or _identities(list(self._roots())) != known:
                return

    def _timer(self) -> Iterator[bool]:
        while True:
            yield True
            self._stopped.wait(TIMER)

    def _events(self, roots: Sequence[bytes]) -> Iterator[bool]:
        """Whether something has changed, now and then; True first, since it may have before anybody watched."""
        folders = [root for root in roots if os.path.isdir(root)]
        files = [root for root in roots if os.path.isfile(root)]
        happened = threading.Event()
        failures: list[Exception] = []
        ended = threading.Event()
        watches = [(folders, True, self._is_foreign), ({os.path.dirname(one) for one in files}, False, _one_of(files))]
        for paths, recursive, wanted in watches:
            if paths:
                arguments = (sorted(map(os.fsdecode, paths)), recursive, wanted, happened, ended, failures)
                threading.Thread(target=_listen, args=arguments, name="events", daemon=True).start()
        try:
            yield True
            pause = _BEGINNING
            while True:
                has_changed = happened.wait(pause)
                happened.clear()
                if failures:
                    raise failures[0]
                self._why_no_events, pause = "", _TICK
                yield has_changed
        finally:
            ended.set()

    def _is_foreign(self, path: str) -> bool:
        return not path.startswith(self._own) if self._own else True

    def _look(self) -> None:
        began = time.thread_time()
        try:
            self.behind = self._update()
            if self.behind and not self._stopped.is_set():
                self._index_much()
                self.behind = self._update()
        except Exception:  # noqa: BLE001 - what is wrong with the index is for a question to say
            pass
        self._looked = time.time()
        self._stopped.wait(min(_REST * (time.thread_time() - began), TIMER))

    def _index_much(self) -> None:
        """What is more than a little work is done by a process of its own, with workers and all."""
        command = [sys.executable, "-P", "-m", "kosearch", "index", "--index", self.directory, "--quiet", "--wait"]
        self._larger = subprocess.Popen(
            command,
            cwd=os.sep,
            env={**os.environ, "KOSEARCH_RESIDENT": "off"},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        self._larger.wait()
        self._larger = None


def _listen(
    paths: Sequence[str],
    recursive: bool,
    wanted: Callable[[str], bool],
    happened: threading.Event,
    ended: threading.Event,
    failures: list[Exception],
) -> None:
    from watchfiles import watch

    try:
        for _ in watch(
            *paths,
            watch_filter=lambda _, path: wanted(path),
            debounce=_DEBOUNCE,
            step=_STEP,
            stop_event=ended,
            rust_timeout=int(_TICK * 1000),
            recursive=recursive,
            raise_interrupt=False,
            # Else it is silent about a folder that it may not read, and about a limit too, and tells of nothing.
            ignore_permission_denied=False,
        ):
            happened.set()
    except Exception as error:  # noqa: BLE001 - said by whoever waits for events
        failures.append(error)
        happened.set()


def file_system(path: bytes, mounts: str = _MOUNTS) -> str:
    """The kind of file system that a path lies on, such as ext4 or nfs4; empty where the system does not tell."""
    best, kind = b"", ""
    try:
        with open(mounts, "rb") as file:
            for line in file:
                fields = line.split()  # see proc_pid_mountinfo(5)
                place = fields[4].replace(b"\\040", b" ")
                inside = path == place or path.startswith(place.rstrip(b"/") + b"/")
                if inside and len(place) >= len(best):
                    best, kind = place, fields[fields.index(b"-") + 1].decode()
    except (OSError, ValueError, IndexError):
        return ""
    return kind


def _identities(roots: Sequence[bytes]) -> list[tuple[bytes, object]]:
    """The roots and what lies there: a disk that comes back is another folder, and wants to be watched anew."""
    found: list[tuple[bytes, object]] = []
    for root in sorted(roots):
        identity: object = None
        with suppress(OSError):
            status = os.stat(root)
            # A file that an editor replaced is the same root: its folder is watched.
            identity = (status.st_dev, status.st_ino) if os.path.isdir(root) else True
        found.append((root, identity))
    return found


def _one_of(files: Sequence[bytes]) -> Callable[[str], bool]:
    names = set(map(os.fsdecode, files))
    return lambda path: path in names


def _reason(error: Exception) -> str:
    text = " ".join(str(error).split()) or type(error).__name__
    if "limit" in text.lower() or getattr(error, "errno", None) in (24, 28):  # EMFILE, ENOSPC: see inotify(7)
        return f"{text} (sysctl fs.inotify.max_user_watches and max_user_instances raise it)"
    return text
