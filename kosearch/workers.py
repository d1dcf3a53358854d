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
from itertools import islice
from queue import SimpleQueue
from types import TracebackType
from typing import IO, Generic, Literal, Self, TypeVar

from kosearch import system
from kosearch.errors import KosearchError, ResourcesError

Item = TypeVar("Item")
Result = TypeVar("Result")

MEMORY_LIMIT = 2 * 1024**3
"""The most bytes a worker may allocate, unless told otherwise."""
_AHEAD = 64
_AHEAD_BYTES = 256 * 1024**2
_START_SECONDS = 120.0
"""Of processor time, until a worker has loaded its task and what that needs."""
_ASLEEP = 5.0
"""An item may wait so many times its deadline without working: for a slow disk, or for a share that never answers."""
_AWAKE_SHARE = 0.01
"""Who uses less than this share of a processor is asleep; on a crowded machine who works gets more."""
_LOOK_SECONDS = 0.05
_WINDOW_SECONDS = 0.5
_LENGTH = struct.Struct("!Q")
_LONGEST_MESSAGE = 4 * 1024**3
_VALUE, _MEMORY, _ERROR = b"v", b"m", b"e"
_OUT_OF_TIME = -int(getattr(signal, "SIGPROF", 0))
"""How a process ends whose processor time is used up."""


@dataclass(frozen=True, slots=True)
class Failure:
    """What came of an item instead of a result; `detail` is a line for a person."""

    kind: Literal["timeout", "memory", "crashed", "error"]
    detail: str


def limits(deadline: float, memory_limit: int = MEMORY_LIMIT) -> str:
    """What an item may take, in words; one that failed under these may succeed under others."""
    return f"{deadline:g} s a part, {memory_limit // 1024**2} MiB"


class Pool(Generic[Item, Result]):
    """`count` processes that run `task`. Use it as a context manager: leaving it ends them at once.

    `task`, items and results are pickled. `task` is loaded once in each worker, when there is a first item for it; its
    method `warm`, if it has one, then loads what it needs, before the time of an item begins. `deadline` is an item's
    processor time in seconds: a crowded machine takes nothing from it. One that only waits has five times as long.
    `memory_limit` is the most bytes a worker may allocate (Linux only).

    An item whose worker crashes is tried once more, in a fresh one: it may have been another's fault.
    """

    def __init__(
        self,
        task: Callable[[Item], Result],
        count: int,
        *,
        deadline: float,
        memory_limit: int = MEMORY_LIMIT,
    ) -> None:
        self.limits = limits(deadline, memory_limit)
        pickled = pickle.dumps(task)
        self._workers = [_Worker(pickled, deadline, memory_limit) for _ in range(count)]
        self._jobs: SimpleQueue[_Job | None] = SimpleQueue()
        self._run = _Run()
        self._closed = threading.Event()
        self._threads = [threading.Thread(target=self._attend, args=(one,), daemon=True) for one in self._workers]
        self._threads.append(threading.Thread(target=self._watch, daemon=True))
        for thread in self._threads:
            thread.start()

    def map(self, items: Iterable[Item], *, ordered: bool = True) -> Iterator[tuple[Item, Result | Failure]]:
        """Each item with what came of it, in the items' order or, if not `ordered`, as they get ready.

        `items` is read in the caller's thread, at most 64 ahead, and nothing is begun while 256 MiB of results wait to
        be taken. A pool runs one `map` at a time: a new one ends the one before. Raises ResourcesError where
        workers cannot be started at all.
        """
        self._run.end()
        self._run = run = _Run()
        numbered = enumerate(items)
        pending: dict[int, Item] = {}
        try:
            while not self._closed.is_set():
                for number, item in islice(numbered, _AHEAD - len(pending)):
                    pending[number] = item
                    self._jobs.put(_Job(number, pickle.dumps(item), run))
                if not pending:
                    return
                number, outcome = run.take(next(iter(pending)) if ordered else None)
                if isinstance(outcome, KosearchError):
                    raise outcome
                yield pending.pop(number), pickle.loads(outcome) if isinstance(outcome, bytes) else outcome
        finally:
            run.end()

    def close(self) -> None:
        """End all workers, whatever they are doing, and wait until they are gone."""
        self._closed.set()
        self._run.end()
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
        while (job := self._jobs.get()) is not None:
            if job.run.wait_for_room(job.number):
                job.run.put(job.number, self._outcome(worker, job.item))
        worker.stop()

    def _outcome(self, worker: _Worker, item: bytes) -> _Outcome:
        try:
            return worker.run(item)
        except Exception as error:  # noqa: BLE001 - a thread that ends in silence would leave `map` waiting for ever
            return KosearchError(f"worker processes cannot be used: {error}")

    def _watch(self) -> None:
        while not self._closed.wait(_LOOK_SECONDS):
            for worker in self._workers:
                worker.look()


_Outcome = bytes | Failure | KosearchError
"""A result, still pickled so that its size is known; or why there is none."""


class _Run:
    """One `map`: what came of its items and was not taken yet."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._outcomes: dict[int, _Outcome] = {}
        self._bytes = 0
        self._wanted: int | None = None
        self._over = False

    def wait_for_room(self, number: int) -> bool:
        """Before an item is begun; False if it is no longer wanted. What the caller waits for needs no room."""
        with self._changed:
            self._changed.wait_for(lambda: self._over or self._bytes < _AHEAD_BYTES or number == self._wanted)
            return not self._over

    def put(self, number: int, outcome: _Outcome) -> None:
        with self._changed:
            self._outcomes[number] = outcome
            self._bytes += _size(outcome)
            self._changed.notify_all()

    def take(self, wanted: int | None) -> tuple[int, _Outcome]:
        """The outcome of this item, or of any; waits for it."""
        with self._changed:
            self._wanted = wanted
            self._changed.notify_all()
            self._changed.wait_for(
                lambda: self._over or (self._outcomes if wanted is None else wanted in self._outcomes)
            )
            if self._over:
                raise KosearchError("the pool of workers was closed while it was used")
            number = next(iter(self._outcomes)) if wanted is None else wanted
            outcome = self._outcomes.pop(number)
            self._bytes -= _size(outcome)
            return number, outcome

    def end(self) -> None:
        with self._changed:
            self._over = True
            self._outcomes.clear()
            self._changed.notify_all()


def _size(outcome: _Outcome) -> int:
    return len(outcome) if isinstance(outcome, bytes) else 0


@dataclass(frozen=True, slots=True)
class _Job:
    number: int
    item: bytes
    run: _Run


class _Worker:
    """One process, started when it is needed and again after it was lost. The parent's side."""

    def __init__(self, task: bytes, deadline: float, memory_limit: int) -> None:
        self._setup = pickle.dumps((memory_limit, deadline, task))
        self._deadline = deadline
        self._memory_limit = memory_limit
        self._process: subprocess.Popen[bytes] | None = None
        self._lock = threading.Lock()
        """Held where the process comes or goes, and where the time runs out."""
        self._sleep: _Sleep | None = None
        """While an answer is awaited."""
        self._overslept = False
        self._closed = False

    def run(self, item: bytes) -> _Outcome:
        """What comes of an item. Called by one thread only, as `stop` is."""
        outcome = self._try(item)
        crashed = isinstance(outcome, Failure) and outcome.kind == "crashed"
        return self._try(item) if crashed and not self._closed else outcome

    def _try(self, item: bytes) -> _Outcome:
        if self._process is None and (problem := self._start()):
            return problem
        answer = self._exchange(item, self._deadline * _ASLEEP)
        overslept = self._overslept  # it may be so even with an answer, given at the last moment
        kind = answer[:1] if answer is not None else None
        status = self.stop() if overslept or kind in (None, _MEMORY) else 0
        if answer is None:
            if overslept:
                detail = f"the process that read it waited for {self._deadline * _ASLEEP:g} seconds without working"
                return Failure("timeout", detail)
            if status == _OUT_OF_TIME:
                return Failure("timeout", f"it took longer than {self._deadline:g} seconds of processor time")
            return Failure("crashed", f"the process that read it {_ended(status)}")
        if kind == _MEMORY:
            limit = self._memory_limit / 1024**2
            return Failure("memory", f"it needs more than the {limit:,.0f} MiB of memory that a file may take")
        return answer[1:] if kind == _VALUE else Failure("error", answer[1:].decode())

    def look(self) -> None:
        """Kill the process if it has slept for too long."""
        with self._lock:
            if self._process is not None and self._sleep is not None and self._sleep.is_too_long():
                self._overslept = True
                _kill(self._process)

    def close(self) -> None:
        """Kill the process, and let none follow it."""
        with self._lock:
            self._closed = True
            if self._process is not None:
                _kill(self._process)

    def stop(self) -> int:
        """End the process, if there is one, and return its exit status."""
        with self._lock:
            process, self._process = self._process, None
        if process is None:
            return 0
        _kill(process)
        for stream in (process.stdin, process.stdout):
            if stream is not None:
                with contextlib.suppress(OSError):
                    stream.close()
        return process.wait()

    def _start(self) -> KosearchError | None:
        """Start the process and see that it is warm; one that is killed meanwhile is started once more."""
        for is_last in (False, True):
            try:
                with self._lock:
                    if self._closed:
                        return KosearchError("the pool of workers is closed")
                    self._overslept = False
                    self._process = _new_process()
            except OSError as error:
                return _unstartable(str(error))
            answer = self._exchange(self._setup, _START_SECONDS * _ASLEEP)
            if answer == b"":
                return None
            status = self.stop()
            if answer is not None:
                return _unstartable(answer.decode())
            if is_last:
                return _unstartable(f"one after the other {_ended(status)} while it was starting")
        return None

    def _exchange(self, message: bytes, sleep: float) -> bytes | None:
        """The process's answer; None if it ends without one, by itself or after so many seconds asleep."""
        process = self._process
        assert process is not None
        assert process.stdin is not None
        assert process.stdout is not None
        with self._lock:
            self._sleep = _Sleep(process.pid, sleep)
        try:
            _send(process.stdin, message)
            return _receive(process.stdout)
        except OSError:
            return None
        finally:
            with self._lock:
                self._sleep = None


class _Sleep:
    """How long a process has been asleep, without a turn of its own or a wish for one.

    Only time that this process sees pass counts: while it is stopped itself, or the machine is, nobody can answer.
    """

    def __init__(self, pid: int, most: float) -> None:
        self._pid = pid
        self._left = most
        self._seen = time.monotonic()
        self._window = 0.0
        self._used = _processor_time(pid)

    def is_too_long(self) -> bool:
        """To be asked every few hundredths of a second."""
        now = time.monotonic()
        self._window += min(now - self._seen, 4 * _LOOK_SECONDS)
        self._seen = now
        if self._window >= _WINDOW_SECONDS:
            used = _processor_time(self._pid)
            if used is None or self._used is None or used - self._used < self._window * _AWAKE_SHARE:
                self._left -= self._window
            self._used, self._window = used, 0.0
        return self._left <= 0


def _processor_time(pid: int) -> float | None:
    """Seconds of processor time that a process has used; None where the system has no such clock."""
    if sys.platform != "linux":
        return None
    try:
        return time.clock_gettime((~pid << 3) | 2)  # what clock_getcpuclockid(3) makes of a process
    except OSError:
        return None


def _new_process() -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [sys.executable, "-c", _BOOTSTRAP, *map(os.path.abspath, sys.path)],
        cwd=os.sep,
        env=system.environment(),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        process_group=0 if os.name == "posix" else None,  # Ctrl-C is the parent's to handle
    )


def _unstartable(reason: str) -> ResourcesError:
    return ResourcesError(
        f"worker processes cannot be started: {reason}",
        "see that there is memory and room for processes (ulimit -a), then run the command again",
    )


def _kill(process: subprocess.Popen[bytes]) -> None:
    with contextlib.suppress(OSError):
        if os.name == "posix" and process.returncode is None:
            os.killpg(process.pid, signal.SIGKILL)  # and what it has started itself
    process.kill()


def _ended(status: int) -> str:
    if status >= 0:
        return f"ended with status {status}"
    try:
        name = signal.Signals(-status).name
    except ValueError:
        name = f"signal {-status}"
    return f"was ended by {name}"


def _send(stream: IO[bytes], message: bytes) -> None:
    stream.write(_LENGTH.pack(len(message)))
    stream.write(message)
    stream.flush()


def _receive(stream: IO[bytes]) -> bytes | None:
    """None at the end of the stream, in the middle of a message too."""
    head = stream.read(_LENGTH.size)
    if len(head) < _LENGTH.size:
        return None
    (length,) = _LENGTH.unpack(head)
    if length > _LONGEST_MESSAGE:
        return None
    message = stream.read(length)
    return message if len(message) == length else None


_BOOTSTRAP = "import sys; sys.path[:] = sys.argv[1:]; from kosearch.workers import serve; serve()"


def serve() -> None:
    """The worker's side: answer items until the parent is gone. Nothing printed here reaches the parent's streams."""
    requests, answers = os.fdopen(os.dup(0), "rb"), os.fdopen(os.dup(1), "wb")
    try:
        null = os.open(os.devnull, os.O_RDWR)
    except OSError as error:  # a container without it: what libraries print has nowhere to go
        _send(answers, _line(error))
        return
    os.dup2(null, 0)
    os.dup2(null, 1)
    system.reset_signals()
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    if hasattr(signal, "SIGPROF"):
        signal.signal(signal.SIGPROF, signal.SIG_DFL)  # the parent may ignore it, which is inherited
    _die_with_parent()
    inbox: SimpleQueue[bytes] = SimpleQueue()
    threading.Thread(target=_read_ahead, args=(requests, inbox), daemon=True).start()
    try:
        memory_limit, deadline, pickled_task = pickle.loads(inbox.get())
        system.limit_memory(memory_limit)
        with _limited_time(_START_SECONDS):
            task = pickle.loads(pickled_task)
            getattr(task, "warm", _nothing)()
    except Exception as error:  # noqa: BLE001 - whatever it is, the parent says it
        _send(answers, _line(error))
        return
    _send(answers, b"")
    os.dup2(null, 2)
    global _deadline  # noqa: PLW0603 - one process, one deadline
    _deadline = deadline
    while True:
        item = inbox.get()
        with _limited_time(deadline):
            answer = _answer(task, item)
        _send(answers, answer)


def _nothing() -> None:
    pass


@contextlib.contextmanager
def _limited_time(seconds: float) -> Iterator[None]:
    """The kernel ends this process after so much processor time of all its threads, whatever code they are in."""
    if hasattr(signal, "setitimer"):
        signal.setitimer(signal.ITIMER_PROF, seconds)
    yield
    if hasattr(signal, "setitimer"):
        signal.setitimer(signal.ITIMER_PROF, 0)


def off_the_clock() -> contextlib.AbstractContextManager[None]:
    """For a task: what goes on inside is loaded once for many items, and none of them pays for it."""
    return own_time(0.0) if _deadline else contextlib.nullcontext()


@contextlib.contextmanager
def own_time(seconds: float) -> Iterator[None]:
    """For a task: what goes on inside has so many seconds of processor time beside the item's; 0.0 is no limit."""
    if not hasattr(signal, "setitimer"):
        yield
        return
    left, _ = signal.setitimer(signal.ITIMER_PROF, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_PROF, left)


def time_again(times: float) -> contextlib.AbstractContextManager[None]:
    """For a task: what goes on inside has so many times an item's time for itself, beside the item's.

    For work that grows with what was found in an item. Where no time is limited, outside workers, none is here.
    """
    return own_time(times * _deadline) if _deadline else contextlib.nullcontext()


_deadline = 0.0
"""In a worker, an item's seconds; else 0."""


def _read_ahead(requests: IO[bytes], inbox: SimpleQueue[bytes]) -> None:
    """In a thread of its own, so that the end of the parent ends a worker that is busy too."""
    while (message := _receive(requests)) is not None:
        inbox.put(message)
    os._exit(0)


def _answer(task: Callable[[object], object], item: bytes) -> bytes:
    try:
        return _VALUE + pickle.dumps(task(pickle.loads(item)))
    except MemoryError:
        return _MEMORY
    except (Exception, SystemExit) as error:  # noqa: BLE001 - a file must not end the run, whatever a parser does
        return _ERROR + _line(error)


def _line(error: BaseException) -> bytes:
    text = " ".join(traceback.format_exception_only(error)[-1].split())
    return text[:500].encode("utf-8", "backslashreplace")


def _die_with_parent() -> None:
    """Linux ends even a worker that hangs in C code and holds the interpreter.

    To Linux the parent is the thread that started the process: each has one that outlives it.
    """
    if sys.platform == "linux":
        import ctypes

        set_death_signal = 1  # PR_SET_PDEATHSIG in <sys/prctl.h>
        ctypes.CDLL(None).prctl(set_death_signal, signal.SIGKILL)
