"""Unlucky days: a short machine, a closed terminal, a synced folder. Each ends with its code and a line that is true,
and every sound file that was searchable still is."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import pytest
from conftest import CORPUS, PROGRAM, Program, until

linux = pytest.mark.skipif(sys.platform != "linux", reason="needs Linux")
NEW = "The observatory opens at night.\n"


@dataclass(frozen=True, slots=True)
class Day:
    """How the program is begun, and how it may end."""

    script: str
    """Of bash; "$@" is the program with its arguments, `$folder` is empty and there for it."""
    codes: tuple[int, ...] = (0,)
    line: str = "4 documents with"
    """What stands in stderr."""


DAYS = {
    "no HOME": Day('unset HOME XDG_CONFIG_HOME; exec "$@"'),
    "HOME is nowhere": Day('HOME=/nonexistent XDG_CONFIG_HOME=/nonexistent/.config exec "$@"'),
    "sixteen open files": Day('ulimit -n 16; exec "$@"', (7,), "Too many open files"),
    "1.5 GB of address space": Day('ulimit -v 1500000; exec "$@"', (0, 3, 7), ""),
    "no processes": Day('ulimit -u 1; exec "$@"', (0, 7), ""),  # root may have as many as it likes
    "no file may grow": Day('ulimit -f 8; exec "$@"', (4, 70), "kosearch: "),
    "no /proc": Day('exec unshare -m sh -c \'mount -t tmpfs none /proc && exec "$@"\' sh "$@"'),
    "a full TMPDIR": Day(
        'exec unshare -m sh -c \'mount -t tmpfs -o size=4k none "$folder" && head -c 4096 /dev/zero >"$folder/x";'
        ' TMPDIR="$folder" exec "$@"\' sh "$@"'
    ),
    "no /dev/null": Day(
        'exec unshare -m sh -c \'mount -t tmpfs none /dev && exec "$@"\' sh "$@"',
        (7,),
        "such file or directory: '/dev/null'",
    ),
    "no TMPDIR": Day('TMPDIR=/nonexistent exec "$@"'),
    "the current folder is deleted": Day(
        'cd "$folder" && rmdir "$folder" && exec "$@"', (2,), "the current folder is no longer there"
    ),
    "half of /proc": Day(
        'exec unshare -mpf --mount-proc sh -c \'mount -o remount,hidepid=2 /proc && exec "$@"\' sh "$@"'
    ),
    "stdin, stdout and stderr closed": Day('exec "$@" <&- >&- 2>&-', line=""),
}
QUICK = ("sixteen open files", "no HOME", "the current folder is deleted")


def changed(program: Program, tmp_path: Path) -> Path:
    """A folder with three files that are searchable, and a fourth that is not yet."""
    folder = tmp_path / "in"
    folder.mkdir()
    for name in ("manuals/espresso-machine.md", "규정/휴가규정.md", "notes/backup-diary.rst"):
        shutil.copy(CORPUS / name, folder)
    done = program.run("index", folder)
    assert done.returncode == 0, done.stderr
    (folder / "new.txt").write_text(NEW)
    return folder


def check(program: Program) -> None:
    """What was searchable is, and what is new becomes so in the next run."""
    for question, name in (("descaling boiler", "espresso-machine.md"), ("연차 이월", "휴가규정.md")):
        found = program.run("query", question, "--mode", "lexical", "--paths", "-k", "1")
        assert found.stdout.endswith(f"{name}\n"), found.stderr
    again = program.run("index")
    assert (again.returncode, "4 documents with" in again.stderr) == (0, True), again.stderr
    assert program.run("query", "observatory", "--mode", "lexical", "--paths").stdout.endswith("new.txt\n")


@linux
@pytest.mark.parametrize("name", [one if one in QUICK else pytest.param(one, marks=pytest.mark.slow) for one in DAYS])
def test_a_short_machine(program: Program, tmp_path: Path, name: str) -> None:
    day = DAYS[name]
    if "unshare" in day.script and subprocess.run(["unshare", "-m", "true"], check=False).returncode:
        pytest.skip("no mount of one's own is allowed here")
    changed(program, tmp_path)
    (tmp_path / "empty").mkdir()
    environment = {**program.environment, "folder": str(tmp_path / "empty")}
    command = ["bash", "-c", day.script, "bash", PROGRAM, "index"]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=600, check=False)
    assert done.returncode in day.codes, done.stderr
    assert day.line in done.stderr
    assert "Traceback" not in done.stderr
    check(program)


@linux
@pytest.mark.parametrize(
    ("kilobytes", "code", "line"),
    [(1_500_000, 0, ""), (500_000, 7, "not enough memory: reading Korean takes")],
)
def test_a_question_where_memory_is_short(indexed: Program, kilobytes: int, code: int, line: str) -> None:
    """What reads Korean would end the process without a line."""
    done = indexed.shell(f"ulimit -v {kilobytes}; kosearch query '연차 이월' --paths -k 1")
    assert done.returncode == code, done.stderr
    assert line in done.stderr
    assert done.stdout.endswith("휴가규정.md\n") == (code == 0)


@contextmanager
def group(processor: float, memory: int) -> Iterator[list[Path]]:
    """Control groups with a share of a processor and so many bytes, by version 1 or 2: the files to write a pid to."""
    root, name = Path("/sys/fs/cgroup"), f"kosearch-test-{os.getpid()}"
    settings = {
        "cpu": {"cpu.cfs_period_us": "100000", "cpu.cfs_quota_us": str(int(processor * 100_000))},
        "memory": {"memory.limit_in_bytes": str(memory)},
        "": {"cpu.max": f"{int(processor * 100_000)} 100000", "memory.max": str(memory)},
    }
    folders = [root / one / name for one in ("cpu", "memory") if (root / one / "cgroup.procs").exists()]
    folders = folders or [root / name]
    try:
        for folder in folders:
            folder.mkdir()
            for file, value in settings["" if folder.parent == root else folder.parent.name].items():
                (folder / file).write_text(value)
    except OSError as error:
        for folder in folders:
            with suppress(OSError):
                folder.rmdir()
        pytest.skip(f"no control group can be made here: {error}")
    yield [folder / "cgroup.procs" for folder in folders]
    for folder in folders:
        assert until(lambda folder=folder: not (folder / "cgroup.procs").read_text())  # type: ignore[misc]
        folder.rmdir()


@linux
@pytest.mark.slow
def test_half_a_processor_and_a_gibibyte(program: Program, tmp_path: Path) -> None:
    changed(program, tmp_path)
    with group(0.5, 1 << 30) as files:
        script = "".join(f"echo $$ > {file}; " for file in files) + 'exec "$@"'
        command = ["bash", "-c", script, "bash", PROGRAM, "index"]
        done = subprocess.run(
            command, env=program.environment, capture_output=True, text=True, timeout=900, check=False
        )
    assert done.returncode == 0, done.stderr
    check(program)


@pytest.mark.parametrize(
    ("number", "code"),
    [
        (signal.SIGHUP, 129),
        pytest.param(signal.SIGTSTP, 0, marks=pytest.mark.slow),
        pytest.param(signal.SIGINT, 130, marks=pytest.mark.slow),
    ],
)
def test_signals(program: Program, tmp_path: Path, number: signal.Signals, code: int) -> None:
    """The terminal is closed; the run is stopped by Ctrl-Z and goes on; Ctrl-C ends it within seconds."""
    folder = changed(program, tmp_path)
    text = (CORPUS / "manuals/espresso-machine.md").read_text(encoding="utf-8")
    for name in range(20):
        (folder / f"more{name}.md").write_text(
            f"{name}\n\n" + "\n\n".join(f"{name}.{part} {text}" for part in range(10))
        )
    # In a session of its own no process stands for the terminal: there Ctrl-Z would do nothing.
    process = subprocess.Popen([PROGRAM, "index", folder], env=program.environment, stderr=subprocess.PIPE, text=True)
    time.sleep(3)
    process.send_signal(number)
    begun = time.monotonic()
    if number == signal.SIGTSTP:
        time.sleep(2)
        process.send_signal(signal.SIGCONT)
    _, errors = process.communicate(timeout=600)
    assert process.returncode == code, errors
    if code:
        assert time.monotonic() - begun < 10  # two seconds on a machine that is not crowded
        assert "Traceback" not in errors
    for name in range(20):
        (folder / f"more{name}.md").unlink()
    check(program)


def test_a_synced_folder_with_its_conflict_copies(program: Program, tmp_path: Path) -> None:
    """Both sides of a conflict are found, copies are one hit, and what programs leave beside a file is left out."""
    folder = changed(program, tmp_path)
    for name in ("(conflicted copy 2024-05-01)", "(사본)", "sync-conflict-20240501-120000-ABCDEFG"):
        (folder / f"new {name}.txt").write_text(NEW)
    (folder / "new (Kim's conflicted copy).txt").write_text("The observatory opens at noon, says Kim.\n")
    (folder / "~$new.docx").write_bytes(b"\x03Kim" + bytes(158))
    (folder / ".new.txt.swp").write_bytes(b"b0VIM 8.2")
    (folder / ".~lock.new.odt#").write_text("Kim")
    done = json.loads(program.run("index", folder, "--json").stdout)
    assert (done["added"], done["skipped"]) == (5, [])
    found = json.loads(program.run("query", "observatory opens", "--mode", "lexical", "--json").stdout)["hits"]
    paths = [{hit["path"], *hit["also"]} for hit in found]
    # A name with a date of its own may be another edition, which is shown by itself.
    assert (sum(map(len, paths)), len(set().union(*paths)), len(paths) < 5) == (5, 5, True)
