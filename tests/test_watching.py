"""Watching folders: whatever happens in them leads to one look, soon; and where nothing tells, there is a timer."""

from __future__ import annotations

import os
import plistlib
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from conftest import Program, until

pytest.importorskip("watchfiles")

from kosearch.resident import service, watching
from kosearch.resident.watching import Watcher, file_system


class Looks:
    """Counts looks, and says how many files are left afterwards."""

    def __init__(self, left: int = 0) -> None:
        self.count = 0
        self.left = left

    def __call__(self) -> int:
        self.count += 1
        return self.left


@pytest.fixture
def watched(tmp_path: Path) -> Iterator[Callable[..., tuple[Watcher, Looks]]]:
    """Begins to watch paths, and waits until that is so."""
    watchers: list[Watcher] = []

    def begin(*paths: Path, own: tuple[str, ...] = ()) -> tuple[Watcher, Looks]:
        looks = Looks()
        watcher = Watcher("an index", lambda: [os.fsencode(path) for path in paths], looks, own)
        watchers.append(watcher)
        assert until(lambda: looks.count >= 1)
        time.sleep(0.3)  # the system's own watching begins
        return watcher, looks

    yield begin
    for one in watchers:
        one.stop()


def seen(looks: Looks, change: Callable[[], object], seconds: float = 10) -> bool:
    """Whether there is a look after a change."""
    before = looks.count
    change()
    return until(lambda: looks.count > before, seconds)


def test_what_happens_to_files_is_seen(watched: Callable[..., tuple[Watcher, Looks]], tmp_path: Path) -> None:
    folder, elsewhere = tmp_path / "docs", tmp_path / "elsewhere"
    (elsewhere / "deep").mkdir(parents=True)
    (elsewhere / "deep/inside.md").write_text("inside")
    folder.mkdir()
    watcher, looks = watched(folder)
    file = folder / "a.md"

    def save_by_renaming() -> None:  # as Vim, and most editors, do
        file.rename(folder / "a.md~")
        (folder / ".a.md.new").write_text("three")
        (folder / ".a.md.new").rename(file)

    for change in (
        lambda: file.write_text("one"),
        lambda: file.write_text("two"),
        save_by_renaming,
        lambda: (elsewhere / "deep").rename(folder / "deep"),
        lambda: (folder / "deep/inside.md").write_text("changed"),
        lambda: shutil.rmtree(folder / "deep"),
        file.unlink,
    ):
        assert seen(looks, change)
        assert until(lambda: watcher.state["behind"] == 0)
        time.sleep(0.6)  # the same change may be several events
    assert watcher.state["how"] == "by events"
    assert watcher.has_events


def test_many_changes_are_few_looks(watched: Callable[..., tuple[Watcher, Looks]], tmp_path: Path) -> None:
    _, looks = watched(tmp_path)

    def check_out() -> None:
        for number in range(2000):
            (tmp_path / f"{number}.md").write_text("text")

    assert seen(looks, check_out)
    time.sleep(1)
    assert looks.count < 10


def test_a_file_that_was_named_is_watched_through_its_folder(
    watched: Callable[..., tuple[Watcher, Looks]], tmp_path: Path
) -> None:
    file = tmp_path / "a.md"
    file.write_text("one")
    _, looks = watched(file)

    def save_by_renaming() -> None:
        (tmp_path / "new").write_text("two")
        (tmp_path / "new").rename(file)

    assert seen(looks, save_by_renaming)
    time.sleep(0.6)
    before = looks.count
    (tmp_path / "other.md").write_text("nobody named it")
    time.sleep(0.6)
    assert looks.count == before
    assert seen(looks, save_by_renaming)


def test_a_disk_that_goes_away_is_watched_again_when_it_returns(
    watched: Callable[..., tuple[Watcher, Looks]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watching, "_TICK", 0.2)
    monkeypatch.setattr(watching, "TIMER", 0.2)
    disk = tmp_path / "disk"
    disk.mkdir()
    _, looks = watched(disk)
    assert seen(looks, lambda: disk.rename(tmp_path / "away"))
    assert seen(looks, lambda: (tmp_path / "away").rename(disk))
    time.sleep(1)
    assert seen(looks, lambda: (disk / "a.md").write_text("one"))


def test_where_kosearch_writes_itself_nothing_has_happened(
    watched: Callable[..., tuple[Watcher, Looks]], tmp_path: Path
) -> None:
    own = tmp_path / ".local/share/kosearch"
    own.mkdir(parents=True)
    _, looks = watched(tmp_path, own=(str(own),))
    (own / "index.sqlite").write_text("…")
    time.sleep(1)
    assert looks.count == 1
    assert seen(looks, lambda: (tmp_path / "a.md").write_text("one"))


def test_network_disks_are_looked_at_on_a_timer(
    watched: Callable[..., tuple[Watcher, Looks]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watching, "file_system", lambda _: "nfs4")
    monkeypatch.setattr(watching, "TIMER", 0.2)
    watcher, looks = watched(tmp_path)
    assert until(lambda: looks.count > 3)
    assert watcher.state["how"] == "every 0 s: nfs4 tells of no changes"
    assert not watcher.has_events  # so questions look for themselves


def test_without_room_to_watch_there_is_a_timer_and_the_way_out(
    watched: Callable[..., tuple[Watcher, Looks]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import watchfiles

    def fail(*_: object, **__: object) -> Iterator[None]:
        raise OSError(28, 'OS file watch limit reached. about ["/docs"]')
        yield

    monkeypatch.setattr(watchfiles, "watch", fail)
    monkeypatch.setattr(watching, "TIMER", 0.2)
    watcher, looks = watched(tmp_path)
    assert until(lambda: looks.count > 3)
    assert until(lambda: "sysctl fs.inotify.max_user_watches" in watcher.state["how"])


@pytest.mark.skipif(os.geteuid() != 0, reason="needs another user")
def test_a_folder_that_may_not_be_read_is_said() -> None:
    """The package would tell of nothing at all then, and say nothing of that."""
    with tempfile.TemporaryDirectory() as folder:
        os.chmod(folder, 0o755)
        os.mkdir(os.path.join(folder, "closed"), 0o700)
        child = os.fork()
        if child == 0:
            os.setuid(65534)
            watcher = Watcher("an index", lambda: [os.fsencode(folder)], Looks())
            said = until(lambda: "ermission denied" in watcher.state["how"], 60)
            os._exit(0 if said and not watcher.has_events else 1)
        assert os.waitpid(child, 0)[1] == 0


def test_what_is_much_is_given_to_a_process_of_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    commands: list[list[str]] = []

    class Process:
        def __init__(self, command: list[str], **_: object) -> None:
            commands.append(command)

        def wait(self) -> None:
            looks.left = 0

    monkeypatch.setattr(subprocess, "Popen", Process)
    looks = Looks(2000)
    watcher = Watcher("/an/index", lambda: [os.fsencode(tmp_path)], looks)
    assert until(lambda: looks.count == 2)
    watcher.stop()
    [command] = commands
    assert command[-6:] == ["kosearch", "index", "--index", "/an/index", "--quiet", "--wait"]
    assert until(lambda: watcher.behind == 0)


def test_the_kind_of_file_system_is_that_of_the_innermost_mount(tmp_path: Path) -> None:
    mounts = tmp_path / "mountinfo"
    mounts.write_text(
        "22 1 8:1 / / rw,relatime shared:1 - ext4 /dev/sda1 rw\n"
        "40 22 0:50 / /mnt/my\\040share rw shared:20 - nfs4 server:/ rw\n"
        "41 22 0:51 / /mnt rw - tmpfs tmpfs rw\n"
    )
    for path, kind in {"/home/me": "ext4", "/mnt": "tmpfs", "/mnt/my share/a": "nfs4", "/mnt2": "ext4"}.items():
        assert file_system(path.encode(), str(mounts)) == kind
    assert file_system(b"/", str(tmp_path / "nothing")) == ""


def test_the_service_is_a_unit_that_systemd_reads(program: Program) -> None:
    others = {"PGHOST": "db.example", "PGADMIN_DEFAULT_PASSWORD": "hunter2", "KOSEARCH_OPENAI_API_KEY": "hunter3"}
    program.environment.update(others)
    result = program.run("serve", "--install", "--index", 'my "50%" notes')
    assert result.returncode == 0, result.stderr
    unit = program.home / ".config/systemd/user/kosearch.service"
    assert unit.stat().st_mode & 0o777 == 0o600
    assert str(unit) in result.stderr
    assert "systemctl --user daemon-reload && systemctl --user enable --now kosearch" in result.stderr
    text = unit.read_text()
    assert 'Environment="PGHOST=db.example"\n' in text
    assert "hunter" not in text
    assert '"-m" "kosearch" "serve" "--watch" "--index" "my \\"50%%\\" notes"\n' in text
    assert f'Environment="KOSEARCH_CACHE_DIR={program.environment["KOSEARCH_CACHE_DIR"]}"\n' in text
    if shutil.which("systemd-analyze"):
        checked = subprocess.run(
            ["systemd-analyze", "verify", "--user", unit], capture_output=True, text=True, check=False
        )
        assert "kosearch.service:" not in checked.stderr


def test_a_unit_says_what_was_said() -> None:
    """systemd reads $ in commands alone, and a line feed would begin a line of its own."""
    text = service.unit(["/opt/a$b%c", "two\nlines"], {"KOSEARCH_INDEX": "no$tes\nExecStart=x"})
    assert 'ExecStart="/opt/a$$b%%c" "two\\nlines"\n' in text
    assert 'Environment="KOSEARCH_INDEX=no$tes\\nExecStart=x"\n' in text


def test_an_agent_of_launchd_is_a_property_list() -> None:
    read = plistlib.loads(service.agent(["python", "-m", "kosearch"], {"KOSEARCH_INDEX": "notes"}))
    assert read["ProgramArguments"] == ["python", "-m", "kosearch"]
    assert read["EnvironmentVariables"] == {"KOSEARCH_INDEX": "notes"}


def test_a_saved_file_is_found_while_it_watches(program: Program) -> None:
    """By words, of the installed program; no question looks for changed files itself."""
    environment = {**program.environment, "KOSEARCH_RESIDENT": "on", "KOSEARCH_REFRESH": "0"}
    warm = Program(program.home, environment)
    folder = program.home / "docs"
    folder.mkdir()
    (folder / "boiler.md").write_text("The boiler is serviced in May.\n")
    assert program.run("index", folder, "--model", "bundled").returncode == 0
    try:
        assert until(lambda: warm.run("serve", "--watch", "-d").returncode == 0, 60)

        def found(word: str) -> str:
            return warm.run("query", word, "--mode", "lexical", "--paths").stdout

        (folder / "new").mkdir()
        (folder / "new/walrus.md").write_text("A walrus sleeps on the ice.\n")
        assert until(lambda: found("walrus") == f"{folder}/new/walrus.md\n", 60)
        saved = folder / ".boiler.md~"  # as editors do: beside it, then over it
        saved.write_text("The furnace is serviced in May.\n")
        saved.replace(folder / "boiler.md")
        assert until(lambda: found("furnace") == f"{folder}/boiler.md\n", 60)
        (folder / "new/walrus.md").unlink()
        assert until(lambda: found("walrus") == "", 60)
        assert "watching" in warm.run("serve", "--status").stdout
    finally:
        warm.run("serve", "--stop")
