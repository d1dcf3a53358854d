"""A warm process for questions, so that model, Kiwi and indexes are loaded once and not for each of them.

    __init__.py    the door: a whole command line, run by one that is there; imports next to nothing
    protocol.py    where it listens, and whose socket that is; what is said: a request and its replies
    launcher.py    starts, lists and ends residents, and has a command run by one that is started for it
    server.py      what it holds ready, and how it takes requests until it is time to end
    fresh.py       how it keeps indexes up to date before questions
    watching.py    how it does so while files change, and service.py what has the system start it

Commands are run by `kosearch.cli`, which is above this room and hands a function down that does it.

One resident serves a user's questions to all indexes, of whatever model. Another runs beside it only for another
installation, home, cache, device or forced model (see `protocol.socket_path`). It ends when nobody has asked for a
while, when the last index that it served goes away, when its socket does, and when kosearch is replaced by another
version. Without it, or when it does not answer in time, a question is answered in the asking process.

Which resident a command is for depends on settings that would take longer to read than it takes to answer. So every
one of this home and installation is asked, and says at once whether it is the one.
"""

from __future__ import annotations

import os
import sys

from kosearch import __version__
from kosearch.resident import protocol

TYPE_CHECKING = False  # type checkers know the name; see `protocol` for why it is not imported
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Any, TypedDict

    class Request(TypedDict):
        """A command line, as a resident is told to run it."""

        do: str
        argv: list[str]
        cwd: str
        environ: dict[str, str]
        terminal: bool
        questions: Sequence[str] | None


_PREFIX, _SECRET = "KOSEARCH_", "_KEY"
_LIBPQ = frozenset(
    (
        "PGHOST",
        "PGHOSTADDR",
        "PGPORT",
        "PGDATABASE",
        "PGUSER",
        "PGPASSFILE",
        "PGSERVICE",
        "PGSERVICEFILE",
        "PGSYSCONFDIR",
        "PGOPTIONS",
        "PGAPPNAME",
        "PGCLIENTENCODING",
        "PGCONNECT_TIMEOUT",
        "PGTARGETSESSIONATTRS",
        "PGLOADBALANCEHOSTS",
        "PGREQUIREAUTH",
        "PGREQUIREPEER",
        "PGCHANNELBINDING",
        "PGSSLMODE",
        "PGSSLNEGOTIATION",
        "PGSSLCERT",
        "PGSSLKEY",
        "PGSSLCERTMODE",
        "PGSSLROOTCERT",
        "PGSSLCRL",
        "PGSSLCRLDIR",
        "PGSSLSNI",
        "PGSSLMINPROTOCOLVERSION",
        "PGSSLMAXPROTOCOLVERSION",
        "PGGSSENCMODE",
        "PGKRBSRVNAME",
        "PGGSSLIB",
        "PGGSSDELEGATION",
    )
)
"""By these libpq is told how to reach a server that keeps an index, and as whom
(https://www.postgresql.org/docs/18/libpq-envars.html); others that begin so are other programs', who may keep a
password in one."""
PASSWORD = "PGPASSWORD"
"""What no other process is told."""
_SOCKETS = ("TMPDIR", "XDG_RUNTIME_DIR")
_TERMINAL = ("TERM", "COLORTERM", "COLUMNS", "LINES", "NO_COLOR", "FORCE_COLOR", "TTY_COMPATIBLE", "TTY_INTERACTIVE")
_LINKS = ("DOMTERM", "KITTY_WINDOW_ID", "KONSOLE_VERSION", "TERM_PROGRAM", "VTE_VERSION", "WT_SESSION")
_TOLD = frozenset((*protocol.HOMES, *_SOCKETS, *_TERMINAL, *_LINKS, *_LIBPQ, PASSWORD))
"""What of the environment decides about settings and places, and how a terminal is written to."""
_OWN = ("--no-resident", "--device", "--batch", "--help", "-h")
"""Options with which a command is not for the resident, or not for the one that it is asked for."""
_PLAIN = ("-i", "--index", "--json", "-q", "--quiet")
_INDEXING = 60.0
"""Seconds that one waits for some files to be indexed."""
_AT_ONCE = 1.0
"""Seconds in which a resident that can answer says so. One that only starts, or hangs, is `launcher`'s to wait for."""


class NoAnswerError(Exception):
    """A resident took the command, and could not answer it."""


class Elsewhere(Exception):
    """Only the asking process itself can run the command; why."""


def run(argv: Sequence[str], environ: Mapping[str, str] = os.environ) -> int | None:
    """Print what the command prints and return its exit code; None where this process must run it by itself.

    Raises NoAnswerError where asking again makes no sense, and OSError where nothing can be printed.
    """
    wanted = environ.get("KOSEARCH_RESIDENT", "").lower() != "off" and not environ.get("KOSEARCH_DEBUG")
    if not wanted or not may_run(argv) or any(one.startswith(_OWN) for one in argv):
        return None
    patience = _INDEXING if argv[0] == "index" else protocol.PATIENCE
    reply = _reply(request(argv, environ, terminal=sys.stdout.isatty()), environ, patience)
    if reply is None:
        return None
    stdout, stderr, code = reply
    sys.stderr.buffer.write(stderr)
    sys.stderr.flush()
    try:
        sys.stdout.buffer.write(stdout)
        sys.stdout.flush()
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # or the interpreter complains at exit
        return 0
    return code


def is_question_for_here(argv: Sequence[str], environ: Mapping[str, str]) -> bool:
    """Whether it is a question that this process answers by itself, as far as that can be told without settings."""
    off = environ.get("KOSEARCH_RESIDENT", "").lower() == "off"
    return argv[:1] == ["query"] and (off or "--no-resident" in argv)


def may_run(argv: Sequence[str]) -> bool:
    """Whether it is a command that a resident may run: one that asks, or a plain `index`, which may be of few files."""
    options = (one for one in argv[1:] if one.startswith("-"))
    return argv[:1] in (["query"], ["similar"]) or (
        argv[:1] == ["index"] and all(one in _PLAIN or one.startswith("--index=") for one in options)
    )


def request(
    argv: Sequence[str], environ: Mapping[str, str], *, terminal: bool, questions: Sequence[str] | None = None
) -> Request:
    """What a resident is told to run."""
    return {
        "do": "run",
        "argv": list(argv),
        "cwd": os.getcwd(),
        "environ": _kept(environ, terminal),
        "terminal": terminal,
        "questions": questions,
    }


def _kept(environ: Mapping[str, str], terminal: bool) -> dict[str, str]:
    """What the resident is told of the environment: no keys, and of a password only that there is one."""
    kept = {
        name: value if name != PASSWORD else ""
        for name, value in environ.items()
        if name in _TOLD or (name.startswith(_PREFIX) and not name.endswith(_SECRET))
    }
    if terminal and not kept.get("COLUMNS", "").isdigit():
        kept["COLUMNS"] = _columns()
    if terminal:
        kept["KOSEARCH_SESSION"] = str(os.getsid(0))  # whose last hits `kosearch open` opens
    return kept


def ways_to_servers(environ: Mapping[str, str]) -> dict[str, str]:
    """What of the environment tells libpq how to reach a server, but for a password."""
    return {name: value for name, value in environ.items() if name in _LIBPQ}


def _columns() -> str:
    """The width of this process's terminal."""
    for stream in range(3):
        try:
            return str(os.get_terminal_size(stream).columns)
        except OSError:
            continue
    return "80"


def _reply(request: Request, environ: Mapping[str, str], patience: float) -> tuple[bytes, bytes, int] | None:
    """What a resident that has run it printed; None where none wants to."""
    for path in protocol.sockets(environ):
        try:
            connection = protocol.connect(path, _AT_ONCE)
        except OSError:
            continue
        with connection:
            try:
                first = protocol.exchange(connection, {"seconds": patience, **request}, _AT_ONCE)
            except (OSError, ValueError):
                continue
            if first.get("version") == __version__ and "accepted" in first:
                return _result(connection, patience)
    return None


def _result(connection: protocol.Connection, patience: float) -> tuple[bytes, bytes, int] | None:
    try:
        reply = protocol.receive(connection, patience)
        return None if "elsewhere" in reply else printed(reply)
    except (OSError, ValueError) as error:
        raise NoAnswerError from error


def printed(reply: Mapping[str, Any]) -> tuple[bytes, bytes, int]:
    """stdout, stderr and exit code of a command that was run. Raises ValueError where it was not."""
    match reply:
        case {"stdout": bytes(stdout), "stderr": bytes(stderr), "code": int(code)}:
            return stdout, stderr, code
    raise ValueError("no command's output")
