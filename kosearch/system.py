"""What the operating system gives this process, and what processes of kosearch's own begin with.

Cores, memory, streams, private folders, and files replaced whole; and for a process that is started, nothing of whoever
started it but what it needs.
"""

from __future__ import annotations

import errno
import io
import os
import select
import signal
import sys
from collections.abc import Collection, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, TextIO

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer, WriteableBuffer

_GROUPS = Path("/sys/fs/cgroup")
_OWN_GROUPS = Path("/proc/self/cgroup")


def usable_cores() -> int:
    """The cores that this process may use: its affinity, and no more than its control groups' quotas; 1 or more."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, min([cores, *_quotas()]))


def available_memory() -> int | None:
    """Bytes that this process can still get; None where the system does not tell."""
    found = [left for left in (_left_in_the_system(), *_left_in_the_groups(), address_space()) if left is not None]
    return min(found, default=None)


_SHORT_OF = {
    "let it open more files (ulimit -n 256), then run it again": (
        os.strerror(errno.EMFILE),
        os.strerror(errno.ENFILE),
    ),
    "end what else takes memory, or let it have more (ulimit -v unlimited), then run it again": (
        os.strerror(errno.ENOMEM),
        "failed to map segment",  # of a library, as ld.so says it
        MemoryError.__name__,
        "not enough memory",
    ),
}
"""What to do where the system has no more to give → how it says so."""


def shortage(error: BaseException | None) -> str | None:
    """What to do about an error that came, at its end or its beginning, of too few open files or too little memory.

    What reads files for us may pass on only what the system said, and no number.
    """
    while error is not None:
        number = error.errno if isinstance(error, OSError) else None
        said = f"{type(error).__name__} {error} {os.strerror(number) if number else ''}"
        for what_to_do, signs in _SHORT_OF.items():
            if any(sign in said for sign in signs):
                return what_to_do
        error = error.__cause__
    return None


def address_space() -> int | None:
    """Bytes that `ulimit -v` leaves this process; None where it sets no limit."""
    with suppress(ImportError, OSError, ValueError):
        import resource

        limit, _ = resource.getrlimit(resource.RLIMIT_AS)
        if limit != resource.RLIM_INFINITY:
            pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[0])
            return max(0, limit - pages * resource.getpagesize())
    return None


def is_short_of_memory() -> bool:
    """Whether `ulimit` (-v, -d) says how much memory this process may have."""
    with suppress(ImportError):
        import resource

        kinds = (resource.RLIMIT_AS, resource.RLIMIT_DATA)
        return any(resource.getrlimit(kind)[0] != resource.RLIM_INFINITY for kind in kinds)
    return False


@contextmanager
def blas_on_one_core() -> Iterator[None]:
    """Keep OpenBLAS from sharing tiny products among cores: when another program keeps one of them busy, a
    product of .2 ms takes 48 ms. Where numpy has another library, nothing happens.
    """
    import ctypes

    import numpy as np

    for path in (Path(np.__file__).parents[1] / "numpy.libs").glob("libscipy_openblas*"):
        library = ctypes.CDLL(str(path))  # numpy has loaded it: this only finds it again
        before = library.scipy_openblas_get_num_threads64_()
        library.scipy_openblas_set_num_threads64_(1)
        try:
            yield
        finally:
            library.scipy_openblas_set_num_threads64_(before)
        return
    yield


def make_private(folder: Path) -> None:
    """Make a folder, and those above it that are missing, for their user alone whatever the umask says.

    Who could write to one of them could put another folder in its place. Raises OSError.
    """
    missing = [one for one in (folder, *folder.parents) if not one.exists()]
    for one in reversed(missing):
        with suppress(FileExistsError):  # somebody was faster
            one.mkdir(mode=0o700)


@contextmanager
def replacing(path: Path) -> Iterator[BinaryIO]:
    """A new file that takes the place of `path` when the block ends, whole and on the disk; after an error, none does.

    Readers see the old file or the new one. The folder must be there. Raises OSError.
    """
    scratch = path.with_name(f".kosearch-{os.getpid()}-{os.urandom(6).hex()}")
    try:
        with scratch.open("xb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        scratch.replace(path)
    except BaseException:
        scratch.unlink(missing_ok=True)
        raise


class _Waiting(io.RawIOBase):
    """An open file that may be non-blocking, and is waited for all the same.

    The flag is not taken back: it belongs to whoever shares the file, too.
    """

    def __init__(self, number: int, *, is_output: bool) -> None:
        self._number = number
        self._is_output = is_output

    def readable(self) -> bool:
        return not self._is_output

    def writable(self) -> bool:
        return self._is_output

    def fileno(self) -> int:
        return self._number

    def isatty(self) -> bool:
        return os.isatty(self._number)

    def write(self, data: ReadableBuffer, /) -> int:
        while True:
            with suppress(BlockingIOError):
                return os.write(self._number, data)
            select.select([], [self._number], [])

    def readinto(self, buffer: WriteableBuffer, /) -> int:
        while True:
            with suppress(BlockingIOError):
                return os.readv(self._number, [buffer])
            select.select([self._number], [], [])


def waiting(stream: TextIO) -> TextIO:
    """A standard stream of this process, by another object that waits where the file is not ready."""
    is_output = stream.writable()
    raw = _Waiting(stream.fileno(), is_output=is_output)
    return io.TextIOWrapper(
        io.BufferedWriter(raw) if is_output else io.BufferedReader(raw),
        encoding=stream.encoding,
        errors=stream.errors,
        line_buffering=is_output and getattr(stream, "line_buffering", False),
    )


def _quotas() -> Iterator[int]:
    """Whole cores that control groups allow, by version 2 and 1."""
    for group in _groups("cpu"):
        with suppress(OSError, ValueError):
            quota, period = (group / "cpu.max").read_text(encoding="ascii").split()
            yield int(quota) // int(period)
        with suppress(OSError, ValueError):
            quota = (group / "cpu.cfs_quota_us").read_text(encoding="ascii")
            if int(quota) > 0:  # -1 says none
                yield int(quota) // int((group / "cpu.cfs_period_us").read_text(encoding="ascii"))


def _left_in_the_system() -> int | None:
    with suppress(OSError, ValueError, IndexError):
        for line in Path("/proc/meminfo").read_text(encoding="ascii").splitlines():
            if line.startswith("MemAvailable:"):
                return int(line.split()[1]) * 1024
    return None


def _left_in_the_groups() -> Iterator[int]:
    """What control groups' limits leave, by version 2 and 1; their caches of files can be given up."""
    for group in _groups("memory"):
        for limit, used, cached in (
            ("memory.max", "memory.current", "inactive_file "),
            ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file "),
        ):
            with suppress(OSError, ValueError, StopIteration):
                left = int((group / limit).read_text(encoding="ascii"))
                left -= int((group / used).read_text(encoding="ascii"))
                lines = (group / "memory.stat").read_text(encoding="ascii").splitlines()
                yield max(0, left + next(int(line.split()[1]) for line in lines if line.startswith(cached)))


def _groups(controller: str) -> Iterator[Path]:
    """The folders of the control groups that this process is in for a controller, each with all above it.

    In a container the name of the group may be that of the host while the folder is the container's own: what is not
    there is left out by whoever reads it.
    """
    try:
        lines = _OWN_GROUPS.read_text(encoding="utf-8").splitlines()
    except OSError:
        return
    for line in lines:
        _, controllers, name = line.split(":", 2)
        if controllers and controller not in controllers.split(","):
            continue
        root = _GROUPS / controller if controllers else _GROUPS
        group = root / name.lstrip("/")
        yield from (one for one in (group, *group.parents) if one.is_relative_to(root))


_NAMES = frozenset(
    [
        *("HOME", "PATH", "USER", "LOGNAME", "LANG", "LANGUAGE", "TZ", "TMPDIR", "TEMP", "TMP", "VIRTUAL_ENV"),
        *("LD_LIBRARY_PATH", "LD_PRELOAD", "DYLD_LIBRARY_PATH", "DYLD_FALLBACK_LIBRARY_PATH", "SYSTEMROOT"),
        *("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"),
    ]
)
_PREFIXES = (
    *("KOSEARCH_", "XDG_", "LC_", "PYTHON", "SSL_"),
    *("HF_", "HUGGINGFACE_", "TRANSFORMERS_", "TOKENIZERS_", "TORCH", "PYTORCH_"),
    *("CUDA_", "NVIDIA_", "HIP_", "ROCR_", "OMP_", "KMP_", "GOMP_", "MKL_", "OPENBLAS_", "VECLIB_", "MALLOC_"),
)
_SUFFIXES = ("_proxy", "_PROXY")
_SECRET = ("_KEY", "_TOKEN", "_SECRET", "_PASSWORD")


def environment(secrets: Collection[str] = ()) -> dict[str, str]:
    """What of this process's environment finds files, libraries, devices and proxies; and these secrets, no others."""
    return {
        name: value
        for name, value in os.environ.items()
        if name in secrets
        or ((name in _NAMES or name.startswith(_PREFIXES) or name.endswith(_SUFFIXES)) and not name.endswith(_SECRET))
    }


def inheritable_files() -> list[int]:
    """The open files beyond the three streams that a program started from here would hold open as well."""
    try:
        numbers = sorted(map(int, os.listdir("/dev/fd")))
    except OSError:
        numbers = list(range(1024))
    found = []
    for number in numbers:
        with suppress(OSError):  # it was open for the listing alone
            if number > 2 and os.get_inheritable(number):
                found.append(number)
    return found


def default_signals() -> set[int]:
    """All signals that can be given their default meaning."""
    return {int(one) for one in signal.valid_signals()} - {signal.SIGKILL, signal.SIGSTOP}


def reset_signals() -> None:
    """Let every signal come, and mean what it means by default, where the starting process blocked or ignored some.

    Python's own choices stay: it ignores a closed pipe and a full file, and meets them as errors.
    """
    signal.pthread_sigmask(signal.SIG_SETMASK, ())
    for number in default_signals() - {signal.SIGPIPE, signal.SIGXFSZ}:
        if signal.getsignal(number) == signal.SIG_IGN:
            signal.signal(number, signal.SIG_DFL)


def is_limited() -> bool:
    """Whether this process has limits of time, memory, size or priority that one started from here could not lift."""
    import resource

    kinds = (resource.RLIMIT_CPU, resource.RLIMIT_AS, resource.RLIMIT_DATA, resource.RLIMIT_FSIZE)
    least_files = 256
    return (
        any(resource.getrlimit(kind)[1] != resource.RLIM_INFINITY for kind in kinds)
        or 0 <= resource.getrlimit(resource.RLIMIT_NOFILE)[1] < least_files
        or not _may_be_as_fast_as_others()
    )


def _may_be_as_fast_as_others() -> bool:
    """Whether a process that was begun by `nice` may give itself the usual priority. See setrlimit(2)."""
    import resource

    if os.nice(0) <= 0 or os.geteuid() == 0:
        return True
    usual = 20
    return hasattr(resource, "RLIMIT_NICE") and not 0 <= resource.getrlimit(resource.RLIMIT_NICE)[0] < usual


def limit_memory(most: int) -> None:
    """Let this process allocate so many bytes at most, and none of its memory be dumped (Linux)."""
    if sys.platform != "linux":
        return
    import resource

    # What is allocated, not what is mapped: threads reserve address space that they never use.
    _, hard = resource.getrlimit(resource.RLIMIT_DATA)
    resource.setrlimit(resource.RLIMIT_DATA, (most if hard == resource.RLIM_INFINITY else min(most, hard), hard))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def lift_limits() -> None:
    """Take back what whoever started this process set for itself; no memory is ever dumped."""
    import resource

    for kind in (resource.RLIMIT_CPU, resource.RLIMIT_AS, resource.RLIMIT_DATA, resource.RLIMIT_FSIZE):
        _, hard = resource.getrlimit(kind)
        resource.setrlimit(kind, (hard, hard))
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    with suppress(ValueError, OSError):  # macOS allows less than it says
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    if os.nice(0) > 0:
        with suppress(OSError):
            os.setpriority(os.PRIO_PROCESS, 0, 0)
