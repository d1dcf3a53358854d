"""The process that a client starts: `python -m kosearch.cli.resident PATH`, with the socket that listens as its input.

Besides answers it gives whole commands: it runs `kosearch query` as the asking process would, and returns what that
would have printed.
"""

from __future__ import annotations

import os
import socket
import sys
from collections.abc import Mapping, Sequence
from io import BytesIO, TextIOWrapper
from pathlib import Path
from typing import Any

from kosearch import config
from kosearch.cli.app import invoke
from kosearch.cli.output import Caller, Output
from kosearch.config import Settings
from kosearch.records import Answer, Query
from kosearch.resident import place
from kosearch.resident.server import Answers, serve
from kosearch.resident.warm import Warm

_PLACES = ("HOME", "XDG_CONFIG_HOME", "XDG_DATA_HOME", "XDG_CACHE_HOME")
"""What decides where a user's files lie, and is read from this process's own environment."""
_FOLDERS = ("KOSEARCH_CONFIG", "KOSEARCH_DATA_DIR", "KOSEARCH_CACHE_DIR")


class Elsewhere(Exception):
    """Only the asking process itself can run the command; why."""


class _Stream(TextIOWrapper):
    """What is printed, as the bytes that the asking process's stream would get."""

    def __init__(self, terminal: bool = False) -> None:
        self._bytes, self._terminal = BytesIO(), terminal
        super().__init__(self._bytes, "utf-8", "replace", newline="\n", write_through=True)

    def isatty(self) -> bool:
        return self._terminal

    def written(self) -> bytes:
        self.flush()
        return self._bytes.getvalue()


class Commands:
    """Runs questions' command lines for other processes of the same user. May be called from any thread."""

    def __init__(self, path: Path, answers: Answers) -> None:
        self._path = path
        self._answers = answers

    def __call__(self, argv: Sequence[str], cwd: str, environ: Mapping[str, str], *, terminal: bool) -> dict[str, Any]:
        """What the command prints, as bytes, and its exit code. Raises Elsewhere, and whatever the command raises."""
        if any(environ.get(name) != os.environ.get(name) for name in _PLACES):
            raise Elsewhere("it has another home")
        if any(name in environ and not os.path.isabs(environ[name]) for name in _FOLDERS):
            raise Elsewhere("its folders depend on where it runs")
        stdout, stderr = _Stream(terminal), _Stream()
        asked: list[Query] = []

        def ask(settings: Settings, queries: Sequence[Query]) -> list[Answer]:
            asked.extend(queries)
            return self._asked(settings, queries, environ)

        code = invoke(list(argv), Caller(Output(stdout, stderr, cwd=cwd, environ=environ), environ, ask))
        if not asked:
            raise Elsewhere("it asks nothing")  # but for help, which went to this process's own output
        return {"stdout": stdout.written(), "stderr": stderr.written(), "code": code}

    def _asked(self, settings: Settings, queries: Sequence[Query], environ: Mapping[str, str]) -> list[Answer]:
        if not queries:
            raise Elsewhere("its questions come from a file or its input")
        if not settings.resident or place.socket_path(settings, environ) != self._path:
            raise Elsewhere("its settings are for another process")
        name = os.path.expanduser(settings.index)
        if not os.path.isabs(name) and (os.sep in name or name.startswith(".")):
            raise Elsewhere("the index's folder depends on where it runs")
        directory = config.index_directory(name, settings)
        if not directory.is_dir():
            raise Elsewhere("there is no index")
        return self._answers.answers(str(directory), queries)


def main(path: str) -> None:
    """Serve until it is time to end, apart from whoever began it."""
    os.setsid()
    os.chdir("/")
    os.umask(0o077)
    settings = config.load({})
    warm = Warm(settings)
    serve(socket.socket(fileno=0), Path(path), warm, settings.resident_idle, Commands(Path(path), warm))


if __name__ == "__main__":
    try:
        main(*sys.argv[1:])
    finally:
        os._exit(0)  # nothing waits for a thread that hangs
