"""`python -m kosearch` and the installed command."""

from __future__ import annotations

import os
import signal
import sys
from types import FrameType

from kosearch.resident import forwarding


def run() -> None:
    """Run the command line: in a resident if one can, which spares most imports, else here."""
    signal.signal(signal.SIGTERM, _terminated)
    try:
        code = forwarding.run(sys.argv[1:])
    except forwarding.NoAnswerError:
        os.environ["KOSEARCH_RESIDENT"] = "off"  # it was asked, and waited for: not once more
        code = None
    except KeyboardInterrupt:
        sys.exit(130)
    except OSError as error:
        from kosearch.cli.output import standard, unwritable

        standard().error(unwritable(error))
        code = unwritable(error).exit_code
    if code is None:
        from kosearch.cli import main

        code = main()
    sys.exit(code)


def _terminated(_signum: int, _frame: FrameType | None) -> None:
    sys.exit(143)  # as the shell says it; the numbers are those of kosearch.errors, which takes time to import


if __name__ == "__main__":
    run()
