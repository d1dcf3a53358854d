"""`python -m kosearch` and the installed command."""

from __future__ import annotations

import os
import sys

from kosearch import resident

TYPE_CHECKING = False  # type checkers know the name; what is not imported here, no answer of a warm process waits for
if TYPE_CHECKING:
    from types import FrameType


def run() -> None:
    """Run the command line: in a resident if one can, which spares most imports, else here."""
    _open_streams()
    _stand_somewhere()
    try:
        code = resident.run(sys.argv[1:])
    except resident.NoAnswerError:
        os.environ["KOSEARCH_RESIDENT"] = "off"  # it was asked, and waited for: not once more
        code = None
    except KeyboardInterrupt:
        sys.exit(130)
    except OSError as error:
        from kosearch.cli.output import standard, unwritable

        standard().error(unwritable(error))
        code = unwritable(error).exit_code
    if code is None:
        code = _run_here()
    _let_go()
    os._exit(code)  # all is said and done: what Python tidies up at its end takes up to a tenth of a second


def _run_here() -> int:
    """Run the command line in this process; its exit code."""
    import signal

    signal.signal(signal.SIGTERM, _terminated)
    trains = sys.argv[1:2] == ["train"]
    if trains or resident.is_question_for_here(sys.argv[1:], os.environ):
        from kosearch import kiwi

        if trains or any(map(kiwi.has_hangul, sys.argv[2:])):
            kiwi.start()  # all else is imported meanwhile
    from kosearch.cli import main

    try:
        return main()
    finally:
        if (begun := sys.modules.get("kosearch.kiwi")) is not None:
            begun.end()
        if (database := sys.modules.get("kosearch.index.database")) is not None:
            database.close_all()


def _let_go() -> None:
    """Print what is left. Of output that found no room the loss was said."""
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except (OSError, ValueError):
            continue


def _open_streams() -> None:
    """Let streams that the caller closed read nothing and lead nowhere, before a file that is opened takes their place.

    Such a caller wants the exit code, which must be that of the command. And streams that somebody made non-blocking
    are waited for: as they are, Python would lose what a full pipe does not take, without an error.
    """
    for number, (name, mode) in enumerate((("stdin", "r"), ("stdout", "w"), ("stderr", "w"))):
        if (stream := getattr(sys, name)) is not None:
            if not os.get_blocking(number):
                from kosearch.system import waiting

                setattr(sys, name, waiting(stream))
        else:
            os.dup2(os.open(os.devnull, os.O_RDWR), number)
            os.set_inheritable(number, True)
            setattr(sys, name, os.fdopen(number, mode, encoding="utf-8", closefd=False))


def _stand_somewhere() -> None:
    """End where the current folder has been deleted: what names are relative to, nobody can say."""
    try:
        os.getcwd()
    except OSError:
        os.chdir(os.sep)
        from kosearch.cli.output import standard
        from kosearch.errors import UsageError

        gone = UsageError("the current folder is no longer there", "cd to one that is, then run it again")
        standard().error(gone)
        sys.exit(gone.exit_code)


def _terminated(_signum: int, _frame: FrameType | None) -> None:
    sys.exit(143)  # as the shell says it; the numbers are those of kosearch.errors, which takes time to import


if __name__ == "__main__":
    run()
