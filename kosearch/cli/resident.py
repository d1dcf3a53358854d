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

from kosearch import config, processes, resident
from kosearch.cli.app import invoke
from kosearch.cli.output import Caller, Elsewhere, Output
from kosearch.config import Settings
from kosearch.errors import KosearchError
from kosearch.records import Answer, Query
from kosearch.resident import protocol
from kosearch.resident.server import Warm, serve

_FOLDERS = ("KOSEARCH_CONFIG", "KOSEARCH_DATA_DIR", "KOSEARCH_CACHE_DIR")


class Commands:
    """Runs questions' command lines for other processes of the same user. May be called from any thread."""

    def __init__(self, path: Path, answers: Warm) -> None:
        self._path = path
        self._answers = answers

    def accepts(self, argv: Sequence[str], environ: Mapping[str, str]) -> bool:
        """Whether it is a question, asked with the settings that this process was started for."""
        file = environ.get("KOSEARCH_CONFIG")
        if (
            not resident.is_question(argv)
            or any(environ.get(name) != os.environ.get(name) for name in resident.HOMES)
            or any(environ.get(name) and not os.path.isabs(environ[name]) for name in _FOLDERS)
            or (file and not os.path.isfile(file))  # a pipe is the asking process's to read
        ):
            return False
        try:
            return self._is_for_me(config.load({}, environ), environ)
        except KosearchError:
            return False

    def run(
        self,
        argv: Sequence[str],
        cwd: str,
        environ: Mapping[str, str],
        *,
        terminal: bool,
        questions: Sequence[str] | None,
    ) -> dict[str, Any]:
        """What the command prints, as bytes, and its exit code. Raises what the command raises."""
        stdout, stderr = _Stream(terminal), _Stream()

        def ask(settings: Settings, queries: Sequence[Query]) -> list[Answer]:
            return self._asked(settings, queries, environ, cwd)

        caller = Caller(Output(stdout, stderr, cwd=cwd, environ=environ), argv, environ, ask, questions)
        try:
            code = invoke(list(argv), caller)
        except Elsewhere as reason:
            return {"elsewhere": str(reason)}
        return {"stdout": stdout.written(), "stderr": stderr.written(), "code": code}

    def _asked(
        self, settings: Settings, queries: Sequence[Query], environ: Mapping[str, str], cwd: str
    ) -> list[Answer]:
        name = os.path.expanduser(settings.index)
        if os.sep in name or name.startswith("."):
            name = os.path.join(cwd, name)
        directory = config.index_directory(name, settings)
        if not self._is_for_me(settings, environ) or not directory.is_dir():
            raise Elsewhere("it is for another process, or there is no index")
        return self._answers.answers(os.path.realpath(directory), queries)

    def _is_for_me(self, settings: Settings, environ: Mapping[str, str]) -> bool:
        return settings.resident and protocol.socket_path(settings, environ) == self._path


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


def main(path: str) -> None:
    """Serve until it is time to end, apart from whoever began it."""
    os.setsid()
    os.chdir("/")
    os.umask(0o077)
    processes.lift_limits()
    settings = config.load({})
    warm = Warm(settings)
    serve(socket.socket(fileno=0), Path(path), warm, settings.resident_idle, Commands(Path(path), warm))


if __name__ == "__main__":
    try:
        main(*sys.argv[1:])
    finally:
        os._exit(0)  # nothing waits for a thread that hangs
