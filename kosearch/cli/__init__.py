"""The command line: turns arguments into calls, and what comes back into output and an exit code."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Sequence
from types import FrameType

from kosearch import errors
from kosearch.cli.output import Caller, ClosedPipe, Output, discard, standard
from kosearch.system import shortage


class Terminated(BaseException):
    """SIGTERM, or SIGHUP where the terminal goes: like Ctrl-C, keep what is committed and go."""

    def __init__(self, number: int) -> None:
        super().__init__(number)
        self.exit_code = 128 + number


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code; the only place where an error becomes text and a number."""
    from kosearch.cli.app import invoke

    output = standard()
    previous = {number: signal.signal(number, _terminate) for number in _endings()}
    try:
        argv = list(sys.argv[1:] if argv is None else argv)
        code = invoke(argv, Caller(output, argv))
        output.flush()
    except ClosedPipe:
        discard(sys.stdout)
        return errors.OK
    except errors.KosearchError as error:
        return _told(output, error)
    except KeyboardInterrupt:
        return errors.INTERRUPTED
    except Terminated as ended:
        return ended.exit_code
    except Exception as error:  # noqa: BLE001 - the boundary: whatever is left is our own mistake
        return _unexpected(output, error)
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)
    return code


def _told(output: Output, error: errors.KosearchError) -> int:
    """Print an error; whatever it is about, what counts is that it came of too few open files or too little memory."""
    if not isinstance(error, errors.ResourcesError) and (what_to_do := shortage(error)):
        error = errors.ResourcesError(error.message, what_to_do)
    output.error(error)
    return error.exit_code


def _endings() -> list[int]:
    """The signals that end a command in order; who has SIGHUP ignored (nohup) wants it ignored."""
    hangup: int | None = getattr(signal, "SIGHUP", None)
    if hangup is None or signal.getsignal(hangup) is signal.SIG_IGN:
        return [signal.SIGTERM]
    return [signal.SIGTERM, hangup]


def _terminate(signum: int, _frame: FrameType | None) -> None:
    raise Terminated(signum)


def _unexpected(output: Output, error: Exception) -> int:
    import traceback

    if os.environ.get("KOSEARCH_DEBUG"):
        output.warning("".join(traceback.format_exception(error)))
    what = "not enough memory" if isinstance(error, MemoryError) else f"unexpected {type(error).__name__}"
    return _told(
        output,
        errors.KosearchError(
            f"{what}: {error}".rstrip(": "),
            "this is a mistake in kosearch; KOSEARCH_DEBUG=1 shows where",
        ),
    )
