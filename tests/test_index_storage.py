"""Storage as it may be: without locks, full and then freed, written by machines whose clocks disagree."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from conftest import Program
from index_making import answers, make, put, quick_folder

from kosearch.errors import IndexStateError
from kosearch.index import SqliteStore

NO_LOCKS = r"""
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>

int flock(int fd, int operation) {
    if (strchr(getenv("NO_LOCKS"), 'f') == NULL) {
        int (*plain)(int, int) = dlsym(RTLD_NEXT, "flock");
        return plain(fd, operation);
    }
    errno = ENOLCK;
    return -1;
}

static int control(const char *name, int fd, int command, void *argument) {
    int is_lock = command == F_SETLK || command == F_SETLKW || command == F_GETLK;
    if (is_lock && strchr(getenv("NO_LOCKS"), 'r') != NULL) {
        errno = strchr(getenv("NO_LOCKS"), 'o') ? EOPNOTSUPP : ENOLCK;
        return -1;
    }
    int (*plain)(int, int, ...) = dlsym(RTLD_NEXT, name);
    return plain(fd, command, argument);
}

int fcntl(int fd, int command, ...) {
    va_list rest;
    va_start(rest, command);
    void *argument = va_arg(rest, void *);
    va_end(rest);
    return control("fcntl", fd, command, argument);
}

int fcntl64(int fd, int command, ...) {
    va_list rest;
    va_start(rest, command);
    void *argument = va_arg(rest, void *);
    va_end(rest);
    return control("fcntl64", fd, command, argument);
}
"""
"""Locks that fail as on storage without them: f for flock, r for ranges (SQLite's), o for another error."""


@pytest.fixture(scope="module")
def no_locks(tmp_path_factory: pytest.TempPathFactory) -> Path:
    compiler = shutil.which("cc")
    if compiler is None or sys.platform != "linux":
        pytest.skip("needs Linux and a C compiler (cc)")
    folder = tmp_path_factory.mktemp("no-locks")
    (folder / "locks.c").write_text(NO_LOCKS)
    command = [compiler, "-shared", "-fPIC", "-o", folder / "locks.so", folder / "locks.c", "-ldl"]
    subprocess.run(command, check=True, capture_output=True)
    return folder / "locks.so"


@pytest.mark.parametrize(
    "missing",
    ["f", *(pytest.param(one, marks=pytest.mark.slow) for one in ("r", "fr", "fro"))],  # SQLite tries for 30 s
)
def test_storage_without_locks_is_refused_and_nothing_is_lost(program: Program, no_locks: Path, missing: str) -> None:
    place = program.home / "index"
    expected = answers(make(place, "ab"))
    environment = {**program.environment, "LD_PRELOAD": str(no_locks), "NO_LOCKS": missing}
    there = Program(program.home, environment)
    assert there.run("indexes", "adopt", f"{place}/").returncode == 4
    for command in (["remove", "/문서"], ["repair"], ["status"], ["query", "보안", "--mode", "lexical"]):
        result = there.run(*command, "--index", f"{place}/")
        writes = command[0] in {"remove", "repair"}
        if writes or "r" in missing:
            assert result.returncode == 4, (command, result.stderr)
            assert len(result.stderr.strip().splitlines()) <= 3, result.stderr
        else:
            assert result.returncode in {0, 4}, (command, result.stderr)
    assert answers(SqliteStore(place)) == expected
    assert SqliteStore(place).check() == []


@contextmanager
def small_disk(place: Path, size: str) -> Iterator[Path]:
    place.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", place], check=False)
    if mounted.returncode:
        pytest.skip("this system mounts nothing")
    try:
        yield place
    finally:
        subprocess.run(["umount", "--lazy", place], check=True)


@pytest.mark.skipif(sys.platform != "linux" or os.geteuid() != 0, reason="needs mounts")
def test_a_disk_that_fills_and_is_freed_has_lost_nothing(tmp_path: Path) -> None:
    with small_disk(tmp_path / "disk", "4m") as disk:
        filler = disk / "filler"
        filler.write_bytes(b"x" * 1_500_000)
        index = make(disk / "index", "ab")
        stored = ["a", "b"]
        with pytest.raises(IndexStateError, match="cannot be"), index.writer() as writer:  # noqa: PT012
            for number in range(10_000):
                put(writer, f"n{number}", passages=40)
                stored.append(f"n{number}")
                writer.publish()
        assert len(stored) > 3
        with index.snapshot() as snapshot:  # readers go on
            assert snapshot.passages > 0
        filler.unlink()
        with index.writer() as writer:
            writer.publish()
            known = {raw.decode().rpartition("/")[2].removesuffix(".txt") for raw in writer.files()}
        assert set(stored) <= known, "what was committed stays"
        assert index.check() == []
        index.close()


@pytest.mark.skipif(sys.platform != "linux", reason="times of before 1970 in memory")
def test_clocks_that_disagree_change_no_answer(program: Program) -> None:
    """A file of 1601, one of 2500, an index whose last run ended in 2099, and a lock note of tomorrow."""
    with quick_folder() as folder:
        docs, place = folder / "docs", folder / "index"
        docs.mkdir()
        times = {"old.txt": -11_644_473_600, "new.txt": 16_725_225_600, "now.txt": 1_700_000_000}
        for name, seconds in times.items():
            (docs / name).write_text(f"The lamp of {name} is green.\n")
            os.utime(docs / name, (seconds, seconds))
        first = program.run("index", docs, "--model", "bundled", "--index", f"{place}/")
        assert first.returncode == 0, first.stderr
        assert "3 files added" in first.stderr
        index = SqliteStore(place)
        with index.snapshot() as snapshot:
            found = {Path(one.path).name: one.mtime_ns for one in snapshot.documents()}
        assert found == {name: seconds * 10**9 for name, seconds in times.items()}
        secret = (program.home / ".local/share/kosearch/index-secret").read_bytes()
        with SqliteStore(place, secret).writer() as writer:
            writer.record_run({"ended": "2099-01-01T00:00:00+00:00", "seconds": 1.0, "embedded": 3})
        note = {"pid": 1, "host": "elsewhere", "since": "2099-01-01T00:00:00+00:00"}
        (place / "lock").write_text(json.dumps(note))
        again = program.run("index", "--index", f"{place}/")
        assert (again.returncode, "3 unchanged" in again.stderr) == (0, True), again.stderr
        assert program.run("status", "--index", f"{place}/").returncode == 0
        later = program.run("query", "green lamp", "--after", "2400", "--paths", "--index", f"{place}/")
        assert later.stdout == f"{docs / 'new.txt'}\n"
        earlier = program.run("query", "green lamp", "--before", "1700", "--paths", "--index", f"{place}/")
        assert earlier.stdout == f"{docs / 'old.txt'}\n"
