"""Every error a user can meet, its exit code, and what to do next.

    KosearchError
    ├── UsageError            2   wrong options, a named path that is not there
    │   └── ConfigError       2   a settings file or environment variable that makes no sense
    ├── ModelError            3   a model that is missing, broken, or does not fit
    ├── IndexStateError       4   an index that is missing, damaged, or made by another model or version
    │   ├── IndexMissing
    │   ├── IndexMismatch
    │   └── IndexDamaged
    ├── IndexBusy             5   another process is writing to the index
    ├── FilesSkipped          6   `--strict`, and some files could not be made searchable
    └── ResourcesError        7   the system gives no process, no memory or no more open files

0 is success (for `query`: hits), 1 is "no hit". 129, 130 and 143 follow SIGHUP, SIGINT and SIGTERM, 70 is
an error of our own.
"""

from __future__ import annotations

from typing import ClassVar

OK = 0
NO_HIT = 1
INTERNAL = 70
HUNG_UP = 129
INTERRUPTED = 130
TERMINATED = 143


class KosearchError(Exception):
    """An error with a sentence for the user and, where there is one, a hint: what to run next."""

    exit_code: ClassVar[int] = INTERNAL

    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint


class UsageError(KosearchError):
    exit_code = 2


class ConfigError(UsageError):
    pass


class ModelError(KosearchError):
    exit_code = 3


class IndexStateError(KosearchError):
    exit_code = 4


class IndexMissing(IndexStateError):
    pass


class IndexMismatch(IndexStateError):
    pass


class IndexDamaged(IndexStateError):
    pass


class IndexBusy(KosearchError):
    exit_code = 5


class FilesSkipped(KosearchError):
    exit_code = 6


class ResourcesError(KosearchError):
    exit_code = 7
