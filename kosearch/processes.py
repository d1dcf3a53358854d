"""What processes of kosearch's own begin with: nothing of whoever started them but what they need."""

from __future__ import annotations

import os
import signal
from collections.abc import Collection
from contextlib import suppress

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
