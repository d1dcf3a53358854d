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

_NAMES = ("HOME", "TMPDIR")
_PREFIXES = ("KOSEARCH_", "XDG_")
"""What of the environment decides about settings and places."""


def run(argv: Sequence[str], environ: Mapping[str, str] = os.environ) -> int | None:
    """Print what the command prints and return its exit code; None where this process must run it by itself."""
    if not _may_be_forwarded(argv, environ):
        return None
    kept = {name: value for name, value in environ.items() if name in _NAMES or name.startswith(_PREFIXES)}
    reply = _reply({"do": "run", "argv": list(argv), "cwd": os.getcwd(), "environ": kept}, environ)
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
    """Questions whose answer goes to a pipe or a file. What a terminal shows depends on the terminal."""
    wanted = environ.get("KOSEARCH_RESIDENT", "").lower() != "off" and "--no-resident" not in argv
    asked = argv[:1] == ["query"] and not environ.get("KOSEARCH_DEBUG")
    return wanted and asked and sys.stdout is not None and sys.stderr is not None and not sys.stdout.isatty()


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
