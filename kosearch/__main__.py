"""`python -m kosearch` and the installed command."""

from __future__ import annotations

import sys


def run() -> None:
    from kosearch.cli import main

    sys.exit(main())


if __name__ == "__main__":
    run()
