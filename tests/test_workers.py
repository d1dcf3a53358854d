"""Real processes that hang, crash, eat memory and lose their parent."""

from __future__ import annotations

import ctypes
import os
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from kosearch.errors import KosearchError, ResourcesError
from kosearch.workers import Failure, Pool, off_the_clock, time_again

if not Path("/proc/self/fd").is_dir():
    pytest.skip("these tests look at processes through /proc", allow_module_level=True)

MIB = 1024 * 1024


def _raise() -> None:
    raise RuntimeError("this task cannot be loaded")


class Unloadable:
    """A task that can be pickled and not loaded."""

    def __reduce__(self) -> tuple[object, ...]:
        return _raise, ()

    def __call__(self, item: int) -> int:
        return item


class Marking:
    """Gives 24 MiB for each item, and leaves a file for it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def __call__(self, item: int) -> bytes:
        (self.folder / str(item)).touch()
        return bytes(24 * MIB)


class SlowToLoad:
    """Loads for longer than an item may take, before the first and with the second."""

    def warm(self) -> None:
        _use_processor(0.6)

    def __call__(self, item: int) -> int:
        with off_the_clock():
            _use_processor(0.6 if item == 1 else 0)
        _use_processor(0.2)
        return item


class Unlucky:
    """Its process ends with the first items, so often, through no fault of theirs."""

    def __init__(self, folder: Path, action: str, times: int) -> None:
        self.folder, self.action, self.times = folder, action, times

    def __call__(self, item: int) -> int:
        if len(list(self.folder.iterdir())) < self.times:
            (self.folder / str(os.getpid())).touch()
            os._exit(3) if self.action == "exit" else os.kill(os.getpid(), signal.SIGKILL)
        return item


class KilledWhileStarting(Unlucky):
    def __init__(self, folder: Path, times: int) -> None:
        super().__init__(folder, "kill", times)

    def warm(self) -> None:
        super().__call__(0)

    def __call__(self, item: int) -> int:
        return item


class Growing:
    """Works for so many tenths of a second, and has a second more for every ten of them, but not before or after."""

    def __call__(self, item: int) -> int:
        with time_again(1 + item // 10):
            _use_processor(0.1 * item)
        _use_processor(1000 if item == 10 else 0)
        return item


def _use_processor(seconds: float) -> None:
    ends = time.process_time() + seconds
    while time.process_time() < ends:
        pass


def _half_asleep() -> str:
    for _ in range(30):
        time.sleep(0.1)
        _use_processor(0.01)
    return "awake"


def work(item: str) -> object:
    action = ACTIONS.get(item)
    return item.upper() if action is None else action()


def _sleep() -> None:
    time.sleep(1000)


def _hold_the_interpreter() -> None:
    """C code that neither returns nor lets another thread run."""
    ctypes.PyDLL(None).sleep(1000)


def _print() -> str:
    sys.stdout.write("from Python")
    sys.stderr.write("from Python")
    os.system("echo from a child; echo from a child >&2")
    return "printed"


def _leave_a_child() -> int:
    return subprocess.Popen(["sleep", "1000"], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL).pid


def _unprintable() -> None:
    raise ValueError("a line\nand \x1b[31m\udc80")


def _inherited() -> dict[str, object]:
    """What a process may have from whoever started it."""
    files = [int(name) for name in os.listdir("/proc/self/fd")]
    lines = Path("/proc/self/status").read_text().splitlines()
    status = {name: value.strip() for name, value in (line.split(":", 1) for line in lines if ":" in line)}
    own = {os.readlink(f"/proc/self/fd/{one}") for one in files if one > 2 and os.path.exists(f"/proc/self/fd/{one}")}
    return {
        "files": own,
        "folder": os.getcwd(),
        "environment": sorted(os.environ),
        "blocked": int(status["SigBlk"], 16),
        "ignored": {one for one in signal.Signals if int(status["SigIgn"], 16) >> (one - 1) & 1},
    }


ACTIONS: dict[str, Callable[[], object]] = {
    "hang": _sleep,
    "work": lambda: _use_processor(1000),
    "half asleep": _half_asleep,
    "hang in C": _hold_the_interpreter,
    "exit": lambda: os._exit(3),
    "sys.exit": lambda: sys.exit(4),
    "segfault": lambda: ctypes.string_at(0),
    "abort": os.abort,
    "eat": lambda: len(bytearray(512 * MIB)),
    "eat slowly": lambda: len([bytearray(MIB) for _ in range(512)]),
    "raise": _unprintable,
    "lambda": lambda: lambda: None,
    "print": _print,
    "pid": os.getpid,
    "inherited": _inherited,
    "interrupt": lambda: os.kill(os.getpid(), signal.SIGINT),
    "leave a child": _leave_a_child,
}


def slow_if_even(item: int) -> int:
    time.sleep(0.2 if item % 2 == 0 else 0)
    return item


@pytest.fixture
def pool() -> Iterator[Pool[str, object]]:
    with Pool(work, 1, deadline=20, memory_limit=256 * MIB) as pool:
        yield pool


def outcome(pool: Pool[str, object], item: str) -> object:
    [(_, result)] = pool.map([item])
    return result


@pytest.mark.parametrize(
    ("item", "kind", "detail"),
    [
        ("exit", "crashed", "ended with status 3"),
        ("segfault", "crashed", "ended by SIGSEGV"),
        ("abort", "crashed", "ended by SIGABRT"),
        ("sys.exit", "error", "SystemExit: 4"),
        ("raise", "error", "ValueError: a line and"),
        ("lambda", "error", "pickle"),
        ("eat", "memory", "256 MiB"),
        ("eat slowly", "memory", "256 MiB"),
    ],
)
def test_an_item_that_goes_wrong_costs_only_itself(pool: Pool[str, object], item: str, kind: str, detail: str) -> None:
    before, failure, after = (result for _, result in pool.map(["a", item, "b"]))
    assert (before, after) == ("A", "B")
    assert isinstance(failure, Failure)
    assert failure.kind == kind
    assert detail in failure.detail
    assert "\n" not in failure.detail
    failure.detail.encode()


@pytest.mark.parametrize("item", ["hang", "hang in C"])
def test_an_item_that_takes_too_long_is_given_up(item: str) -> None:
    with Pool(work, 1, deadline=0.5) as pool:
        outcome(pool, "a")
        begun = time.monotonic()
        results = [result for _, result in pool.map([item, "b"])]
    waited = "the process that read it waited for 2.5 seconds without working"
    assert results == [Failure("timeout", waited), "B"]
    assert 2.5 <= time.monotonic() - begun < 10


def test_time_is_that_of_the_processor() -> None:
    """On a crowded machine a file takes long and is no worse for it."""
    with Pool(work, 1, deadline=0.5) as pool:
        results = [result for _, result in pool.map(["work", "half asleep", "b"])]
    assert results == [Failure("timeout", "it took longer than 0.5 seconds of processor time"), "awake", "B"]


def test_what_a_task_loads_is_nobodys_time() -> None:
    with Pool(SlowToLoad(), 1, deadline=0.4) as pool:
        assert [result for _, result in pool.map(range(3))] == [0, 1, 2]


def test_what_grows_with_what_is_found_has_time_of_its_own() -> None:
    with time_again(5):  # nothing is limited here, and nothing becomes so
        assert signal.getitimer(signal.ITIMER_PROF) == (0, 0)
    with Pool(Growing(), 1, deadline=1) as pool:
        kinds = [one.kind if isinstance(one, Failure) else one for _, one in pool.map([12, 10, 1])]
    assert kinds == [12, "timeout", 1]


@pytest.mark.parametrize("action", ["exit", "kill"])
def test_an_item_whose_worker_crashes_is_tried_once_more(action: str, tmp_path: Path) -> None:
    with Pool(Unlucky(tmp_path, action, 1), 1, deadline=20) as pool:
        assert [result for _, result in pool.map(range(3))] == [0, 1, 2]
    again = tmp_path / "again"
    again.mkdir()
    with Pool(Unlucky(again, action, 2), 1, deadline=20) as pool:
        failure, *rest = (result for _, result in pool.map(range(3)))
    assert isinstance(failure, Failure)
    assert (failure.kind, rest) == ("crashed", [1, 2])


def test_a_worker_that_is_killed_while_it_starts_is_started_once_more(tmp_path: Path) -> None:
    with Pool(KilledWhileStarting(tmp_path, 1), 1, deadline=20) as pool:
        assert [result for _, result in pool.map(range(3))] == [0, 1, 2]
    again = tmp_path / "again"
    again.mkdir()
    with (
        Pool(KilledWhileStarting(again, 2), 1, deadline=20) as pool,
        pytest.raises(ResourcesError, match="one after the other was ended by SIGKILL while it was starting"),
    ):
        list(pool.map(range(3)))


def test_results_come_in_order_unless_told_otherwise() -> None:
    with Pool(slow_if_even, 2, deadline=20) as pool:
        assert list(pool.map(range(7))) == [(n, n) for n in range(7)]
        by_readiness = [item for item, _ in pool.map([0, 1, 3, 5], ordered=False)]
    assert sorted(by_readiness) == [0, 1, 3, 5]
    assert by_readiness[-1] == 0


def test_items_are_read_a_bounded_way_ahead_and_by_the_callers_thread(pool: Pool[str, object]) -> None:
    read = 0

    def items() -> Iterator[str]:
        nonlocal read
        for _ in range(10_000):
            read += 1
            yield "a"

    for taken, _ in zip(range(200), pool.map(items()), strict=False):
        assert read - taken <= 65


def test_large_results_that_nobody_takes_hold_the_workers_back(tmp_path: Path) -> None:
    with Pool(Marking(tmp_path), 2, deadline=20) as pool:
        results = pool.map(range(20))
        next(results)
        _wait_until(lambda: len(list(tmp_path.iterdir())) >= 11)
        time.sleep(0.3)
        begun = len(list(tmp_path.iterdir()))
        assert [item for item, _ in results] == list(range(1, 20))
    assert begun <= 14  # 11 results of 24 MiB are more than 256 MiB; one was taken, two were under way
    assert len(list(tmp_path.iterdir())) == 20


def test_nothing_that_a_worker_prints_reaches_us(capfd: pytest.CaptureFixture[str], pool: Pool[str, object]) -> None:
    assert outcome(pool, "print") == "printed"
    assert capfd.readouterr() == ("", "")


def test_a_worker_inherits_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "secret")
    monkeypatch.setenv("SOMETHING_ELSE", "secret")
    monkeypatch.chdir(tmp_path)
    ignored = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGTERM, signal.SIGUSR1])
    try:
        with (
            (tmp_path / "lock").open("w") as lock,
            Pool(work, 1, deadline=20) as pool,
        ):
            os.set_inheritable(lock.fileno(), True)
            found = outcome(pool, "inherited")
    finally:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGTERM, signal.SIGUSR1])
        signal.signal(signal.SIGHUP, ignored)
    assert isinstance(found, dict)
    assert not [name for name in found["files"] if not name.startswith("pipe:") and name != os.devnull]
    assert (found["folder"], found["blocked"]) == ("/", 0)
    assert found["ignored"] == {signal.SIGINT, signal.SIGPIPE, signal.SIGXFSZ}
    assert {"HOME", "PATH"} <= set(found["environment"])
    assert not {"OPENAI_API_KEY", "SOMETHING_ELSE"} & set(found["environment"])


def test_workers_start_when_needed_stay_and_leave_nothing() -> None:
    files, others = len(os.listdir("/proc/self/fd")), _children()
    with Pool(work, 3, deadline=20) as pool:
        assert not _children() - others
        first, second = outcome(pool, "pid"), outcome(pool, "pid")
        assert len(_children() - others) <= 2
        assert {first, second} <= _children()
        assert [result for _, result in pool.map(["a"] * 10)] == ["A"] * 10
    assert not _children() - others
    assert len(os.listdir("/proc/self/fd")) == files


def test_a_map_left_early_does_not_disturb_the_next(pool: Pool[str, object]) -> None:
    for _ in pool.map(["a"] * 1000):
        break
    assert outcome(pool, "b") == "B"


def test_a_busy_pool_closes_at_once() -> None:
    others = _children()
    with Pool(work, 2, deadline=20) as pool:
        results = pool.map(["a", "hang", "hang", "hang"])
        assert next(results) == ("a", "A")
        begun = time.monotonic()
    assert time.monotonic() - begun < 2
    assert not _children() - others
    assert list(results) == []


def test_what_a_worker_started_ends_with_it(pool: Pool[str, object]) -> None:
    child = outcome(pool, "leave a child")
    assert isinstance(child, int)
    pool.close()
    _wait_until(lambda: not _lives(child))


def test_a_worker_does_not_mind_ctrl_c(pool: Pool[str, object]) -> None:
    assert outcome(pool, "interrupt") is None
    assert outcome(pool, "a") == "A"


def test_a_task_that_cannot_be_loaded_is_an_error_that_says_why() -> None:
    with Pool(Unloadable(), 1, deadline=20) as pool, pytest.raises(KosearchError, match="this task cannot be loaded"):
        list(pool.map([1]))


def test_a_python_that_cannot_be_started_is_an_error(pool: Pool[str, object], monkeypatch: pytest.MonkeyPatch) -> None:
    for executable in ("/nonexistent/python", "/dev/null", "a\0b"):
        monkeypatch.setattr(sys, "executable", executable)
        with pytest.raises(KosearchError, match="worker processes cannot be"):
            outcome(pool, "a")


def test_an_error_while_items_are_made_reaches_the_caller(pool: Pool[str, object]) -> None:
    def items() -> Iterator[str]:
        yield "a"
        raise OSError("no more")

    with pytest.raises(OSError, match="no more"):
        list(pool.map(items()))
    assert outcome(pool, "b") == "B"


@pytest.mark.parametrize("item", ["hang", "hang in C", "a"])
def test_workers_die_with_a_parent_that_is_killed(item: str, tmp_path: Path) -> None:
    parent = _start_script(
        f"""
        with Pool(test_workers.work, 2, deadline=1000) as pool:
            for _, pid in pool.map(["pid", "pid"]):
                print(pid, flush=True)
            for _ in pool.map([{item!r}] * 2):
                pass
            print("idle", flush=True)
            time.sleep(1000)
        """,
        tmp_path,
    )
    assert parent.stdout is not None
    with parent, parent.stdout:
        workers = {int(parent.stdout.readline()) for _ in range(2)}
        if item == "a":
            assert parent.stdout.readline() == "idle\n"
        time.sleep(0.3)
        assert all(_lives(pid) for pid in workers)
        parent.kill()
        _wait_until(lambda: not any(_lives(pid) for pid in workers))


def test_a_pool_that_nobody_closes_ends_with_the_program(tmp_path: Path) -> None:
    program = _start_script(
        """
        results = Pool(test_workers.work, 1, deadline=1000).map(["pid", "hang"])
        print(next(results)[1], flush=True)
        """,
        tmp_path,
    )
    output, _ = program.communicate(timeout=20)
    assert program.returncode == 0
    _wait_until(lambda: not _lives(int(output)))


def test_ctrl_c_ends_a_busy_pool_at_once(tmp_path: Path) -> None:
    parent = _start_script(
        """
        try:
            with Pool(test_workers.work, 2, deadline=1000) as pool:
                print("ready", flush=True)
                list(pool.map(["hang", "hang"]))
        except KeyboardInterrupt:
            print("interrupted", flush=True)
        """,
        tmp_path,
    )
    assert parent.stdout is not None
    with parent, parent.stdout:
        assert parent.stdout.readline() == "ready\n"
        time.sleep(0.5)
        parent.send_signal(signal.SIGINT)
        assert parent.stdout.readline() == "interrupted\n"
        assert parent.wait(5) == 0


def _start_script(body: str, folder: Path) -> subprocess.Popen[str]:
    """A program without an `if __name__ == "__main__"`, which workers must not run again."""
    script = folder / "script.py"
    head = f"import sys, time; sys.path.insert(0, {str(Path(__file__).parent)!r})\n"
    head += "import test_workers; from kosearch.workers import Pool\n"
    script.write_text(head + textwrap.dedent(body))
    return subprocess.Popen([sys.executable, "-W", "error", script], stdout=subprocess.PIPE, text=True)


def _children() -> set[int]:
    text = "".join(path.read_text() for path in Path("/proc/self/task").glob("*/children"))
    return {int(pid) for pid in text.split()}


def _lives(pid: int) -> bool:
    try:
        return "\nState:\tZ" not in Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return False


def _wait_until(condition: Callable[[], bool]) -> None:
    ends = time.monotonic() + 5
    while not condition():
        assert time.monotonic() < ends
        time.sleep(0.02)
