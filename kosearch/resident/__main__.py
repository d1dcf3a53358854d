"""The process that a client starts: `python -m kosearch.resident PATH`, with the socket that listens as its input."""

from __future__ import annotations

import os
import socket
import sys
from pathlib import Path

from kosearch import config
from kosearch.resident.server import serve
from kosearch.resident.warm import Warm


def main(path: str) -> None:
    """Serve until it is time to end, apart from whoever began it."""
    os.setsid()
    os.chdir("/")
    os.umask(0o077)
    settings = config.load({})
    serve(socket.socket(fileno=0), Path(path), Warm(settings), settings.resident_idle)


if __name__ == "__main__":
    try:
        main(*sys.argv[1:])
    finally:
        os._exit(0)  # nothing waits for a thread that hangs
