"""A whole command line, run by a resident that is there already: the asking process imports next to nothing.

Which resident it is for depends on settings that would take longer to read than it takes to answer. So every one that
this user has is asked, and one that was started for other settings says that it cannot.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping, Sequence

from kosearch import __version__
from kosearch.resident import place

_PREFIXES = ("KOSEARCH_", "XDG_")
_NAMES = ("HOME", "TMPDIR", "TERM", "COLORTERM", "COLUMNS", "LINES", "NO_COLOR", "FORCE_COLOR", "TTY_COMPATIBLE")
"""What of the environment decides about settings and places, and how a terminal is written to."""


def run(argv: Sequence[str], environ: Mapping[str, str] = os.environ) -> int | None:
    """Print what the command prints and return its exit code; None where this process must run it by itself."""
    if not _may_be_forwarded(argv, environ):
        return None
    terminal = sys.stdout.isatty()
    kept = {name: value for name, value in environ.items() if name in _NAMES or name.startswith(_PREFIXES)}
    if terminal and not kept.get("COLUMNS", "").isdigit():
        kept["COLUMNS"] = _columns()
    request = {"do": "run", "argv": list(argv), "cwd": os.getcwd(), "environ": kept, "terminal": terminal}
    reply = _reply(request, environ)
    if reply is None:
        return None
    sys.stderr.buffer.write(_bytes(reply["stderr"]))
    sys.stderr.flush()
    try:
        sys.stdout.buffer.write(_bytes(reply["stdout"]))
        sys.stdout.flush()
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # or the interpreter complains at exit
        return 0
    return int(reply["code"])


def _may_be_forwarded(argv: Sequence[str], environ: Mapping[str, str]) -> bool:
    """Questions, unless this process is told to answer itself."""
    wanted = environ.get("KOSEARCH_RESIDENT", "").lower() != "off" and "--no-resident" not in argv
    asked = argv[:1] == ["query"] and not environ.get("KOSEARCH_DEBUG")
    return wanted and asked and sys.stdout is not None and sys.stderr is not None


def _columns() -> str:
    """The width of this process's terminal."""
    for stream in range(3):
        try:
            return str(os.get_terminal_size(stream).columns)
        except OSError:
            continue
    return "80"


def _reply(request: Mapping[str, object], environ: Mapping[str, str]) -> dict[str, str] | None:
    for path in place.sockets(environ):
        try:
            with place.connect(path, place.PATIENCE) as connection:
                reply = place.ask(connection, path, request, place.PATIENCE)
        except (OSError, ValueError):
            continue
        if reply.get("version") == __version__ and "code" in reply:
            return reply
    return None


def _bytes(text: str) -> bytes:
    return text.encode("utf-8", "surrogateescape")
