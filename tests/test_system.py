"""Cores and memory by limits of the system, and files that are replaced whole."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from kosearch import system


@pytest.fixture
def groups(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty tree of control groups, and a process with 16 cores in its /jobs/one."""
    monkeypatch.setattr(system, "_GROUPS", tmp_path / "groups")
    monkeypatch.setattr(system, "_OWN_GROUPS", tmp_path / "own")
    monkeypatch.setattr(system.os, "sched_getaffinity", lambda _: set(range(16)), raising=False)
    (tmp_path / "own").write_text("7:memory:/jobs/one\n4:cpu,cpuacct:/jobs/one\n1:name=systemd:/else\n0::/jobs/one\n")
    return tmp_path / "groups"


def write(path: Path, content: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content)


@pytest.mark.parametrize("group", ["", "jobs", "jobs/one"])
@pytest.mark.parametrize(
    ("quota", "cores"), [("max 100000", 16), ("400000 100000", 4), ("50000 100000", 1), ("9000000 100000", 16)]
)
def test_cores_respect_the_control_group_and_those_above(groups: Path, group: str, quota: str, cores: int) -> None:
    write(groups / group / "cpu.max", quota)
    assert system.usable_cores() == cores


@pytest.mark.parametrize(("quota", "cores"), [("-1", 16), ("300000", 3), ("50000", 1)])
def test_cores_respect_control_groups_of_version_1(groups: Path, quota: str, cores: int) -> None:
    write(groups / "cpu/jobs/cpu.cfs_quota_us", quota)
    write(groups / "cpu/jobs/cpu.cfs_period_us", "100000")
    assert system.usable_cores() == cores


def test_the_least_quota_counts(groups: Path) -> None:
    write(groups / "cpu.max", "800000 100000")
    write(groups / "jobs/one/cpu.max", "200000 100000")
    assert system.usable_cores() == 2


@pytest.mark.parametrize(
    ("limit", "used", "cached", "folder"),
    [
        ("memory.max", "memory.current", "inactive_file", "jobs/one"),
        ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file", "memory/jobs/one"),
    ],
)
def test_memory_respects_the_control_group(groups: Path, limit: str, used: str, cached: str, folder: str) -> None:
    write(groups / folder / limit, "5000")
    write(groups / folder / used, "4000")
    write(groups / folder / "memory.stat", f"anon 3000\n{cached} 700\n")
    assert system.available_memory() == 1700


def test_a_file_is_replaced_whole_or_not_at_all(tmp_path: Path) -> None:
    path = tmp_path / "a"
    with system.replacing(path) as file:
        file.write(b"old")
    assert path.stat().st_mode & 0o777 == 0o666 & ~_umask()
    with pytest.raises(TypeError), system.replacing(path) as file:
        file.writelines([b"new", None])  # type: ignore[list-item]
    assert path.read_bytes() == b"old"
    with system.replacing(path) as file:
        file.write(b"new")
        assert path.read_bytes() == b"old"
    assert path.read_bytes() == b"new"
    assert os.listdir(tmp_path) == ["a"]


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


def test_what_is_short_is_seen_through_whatever_passed_it_on() -> None:
    said = f"cannot open: {os.strerror(errno.EMFILE)} (os error {errno.EMFILE})"
    files = [OSError(errno.EMFILE, "x"), OSError(errno.ENFILE, "x"), ValueError(said)]
    memory = [
        OSError(errno.ENOMEM, "x"),
        MemoryError(),
        ImportError("x.so: failed to map segment from shared object"),
    ]
    for kind, name in ((files, "ulimit -n"), (memory, "ulimit -v")):
        passed_on = RuntimeError("the files cannot be written")
        passed_on.__cause__ = kind[0]
        assert all(name in (system.shortage(one) or "") for one in (*kind, passed_on))
    assert [system.shortage(one) for one in (OSError(errno.ENOSPC, "x"), OSError("x"), None)] == [None] * 3
