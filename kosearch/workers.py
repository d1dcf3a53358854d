"""A pool of worker processes in which one item can hang, crash or eat memory at the cost of that item alone.

Each worker is a Python of its own, started fresh and not forked: torch's threads do not survive a fork, and the user's
`__main__` is not imported again. In this process a thread for each worker sends it one item at a time and waits.
"""

from __future__ import annotations

import contextlib
import os
import pickle
import signal
import struct
import subprocess
import sys
import threading
import time
import traceback
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from queue import SimpleQueue
from types import TracebackType
from typing import BinaryIO, Generic, Literal, Self, TypeVar

from kosearch.errors import KosearchError

Item = TypeVar("Item")
Result = TypeVar("Result")

_AHEAD = 64
_AHEAD_BYTES = 256 * 1024**2
_START_SECONDS = 60.0
_LENGTH = struct.Struct("!Q")
_LONGEST_MESSAGE = 4 * 1024**3
_VALUE, _MEMORY, _ERROR = b"v", b"m", b"e"


@dataclass(frozen=True, slots=True)
class Failure:
    """What came of an item instead of a result; `detail` is a line for a person."""

    kind: Literal["timeout", "memory", "crashed", "error"]
    detail: str


class Pool(Generic[Item, Result]):
    """`count` processes that run `task`. Use it as a context manager: leaving it ends them at once.

    `task`, items and results are pickled; `task` is loaded once in each worker, when there is a first item for it.
    `deadline` is the time for an item in seconds, `memory_limit` the most bytes a worker may allocate (Linux only).
    """

    def __init__(
        self,
        task: Callable[[Item], Result],
        count: int,
        *,
        deadline: float,
        memory_limit: int = 2 * 1024**3,
    ) -> None:
        self._jobs: SimpleQueue[_Job | None] = SimpleQueue()
        self._closed = threading.Event()
        setup = pickle.dumps((memory_limit, pickle.dumps(task)))
        self._workers = [_Worker(setup, deadline) for _ in range(count)]
        self._threads = [threading.Thread(target=self._attend, args=(one,), daemon=True) for one in self._workers]
        self._threads.append(threading.Thread(target=self._watch, daemon=True))
        for thread in self._threads:
            thread.start()

    def map(self, items: Iterable[Item], *, ordered: bool = True) -> Iterator[tuple[Item, Result | Failure]]:
        """Each item with what came of it, in the items' order or, if not `ordered`, as they get ready.

        `items` is read in the caller's thread, at most 64 items ahead, and fewer while 256 MiB of results wait to be
        taken. Raises KosearchError where workers cannot be started at all.
        """
        source = enumerate(items)
        done: SimpleQueue[tuple[int, _Outcome]] = SimpleQueue()
        pending: dict[int, Item] = {}
        ready: dict[int, _Outcome] = {}
        exhausted = False
        while True:
            while not done.empty():
                ready.update([done.get()])
            while not exhausted and len(pending) < _AHEAD and _weight(ready) < _AHEAD_BYTES:
                if (numbered := next(source, None)) is None:
                    exhausted = True
                else:
                    number, item = numbered
                    pending[number] = item
                    self._jobs.put(_Job(number, pickle.dumps(item), done))
            if not pending:
                return
            while (number := next(iter(pending if ordered else ready), -1)) not in ready:
                ready.update([done.get()])
            outcome = ready.pop(number)
            if isinstance(outcome, KosearchError):
                raise outcome
            yield pending.pop(number), pickle.loads(outcome) if isinstance(outcome, bytes) else outcome

    def close(self) -> None:
        """End all workers, whatever they are doing, and wait until they are gone."""
        self._closed.set()
        for worker in self._workers:
            self._jobs.put(None)
            worker.close()
        for thread in self._threads:
            thread.join()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self.close()

    def _attend(self, worker: _Worker) -> None:
        while (job := self._jobs.get()) is not None and not self._closed.is_set():
            job.done.put((job.number, worker.run(job.item)))

    def _watch(self) -> None:
        while not self._closed.wait(0.05):
            for worker in self._workers:
                worker.check_time()


_Outcome = bytes | Failure | KosearchError
"""A result, still pickled so that its size is known; or why there is none."""


@dataclass(frozen=True, slots=True)
class _Job:
    number: int
    item: bytes
    done: SimpleQueue[tuple[int, _Outcome]]


def _weight(outcomes: dict[int, _Outcome]) -> int:
    return sum(len(outcome) for outcome in outcomes.values() if isinstance(outcome, bytes))


class _Worker:
    """One process, started when it is needed and again after it was lost. The parent's side."""

    def __init__(self, setup: bytes, deadline: float) -> None:
        self._setup = setup
        self._deadline = deadline
        self._process: subprocess.Popen[bytes] | None = None
        self._lock = threading.Lock()
        """Held where the process comes or goes, and where the time runs out."""
        self._ends = float("inf")
        self._overdue = False
        self._closed = False

    def run(self, item: bytes) -> _Outcome:
        """Called by one thread only."""
        if self._process is None:
            try:
                self._start()
            except OSError as error:
                return KosearchError(f"worker processes cannot be started: {error}")
            if problem := self._exchange(self._setup, _START_SECONDS):
                return KosearchError(f"worker processes cannot be started: {problem.decode()}")

        ...
