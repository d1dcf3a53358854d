"""`python -m kosearch` and the installed command."""

from __future__ import annotations

import sys


def run() -> None:
    """Run the command line: in a resident if one can, which spares most imports, else here."""
    from kosearch.resident import forwarding

    try:
        code = forwarding.run(sys.argv[1:])
    except KeyboardInterrupt:
        sys.exit(130)
    if code is None:
        from kosearch.cli import main

        code = main()
    sys.exit(code)


if __name__ == "__main__":
    run()
