"""Whose socket it is: nobody else's is used, and nobody else can use ours."""

from __future__ import annotations

import _socket
import errno
import os
import shutil
import stat
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from kosearch import config
from kosearch.resident import protocol


@pytest.fixture
def folder() -> Iterator[Path]:
    """A private folder with a short name."""
    path = Path(tempfile.mkdtemp(prefix="ks-", dir="/tmp"))
    yield path
    shutil.rmtree(path)


class TestThePath:
    def test_it_is_one_for_each_way_to_embed_and_not_for_each_index(self, folder: Path) -> None:
        environ = {"XDG_RUNTIME_DIR": str(folder)}
        settings = config.load({})
        path = protocol.socket_path(settings, environ)
        assert path.parent == folder / "kosearch"
        assert protocol.socket_path(replace(settings, index="other", k=3), environ) == path
        others = [
            replace(settings, model="a/b"),
            replace(settings, device="cpu"),
            replace(settings, cache_dir=folder),
        ]
        assert len({path, *(protocol.socket_path(one, environ) for one in others)}) == 4

    def test_each_home_has_its_own(self, folder: Path) -> None:
        homes = [{"XDG_RUNTIME_DIR": str(folder), name: "/home/of/kim"} for name in ("HOME", "XDG_DATA_HOME")]
        (folder / "kosearch").mkdir(mode=0o700)
        paths = [protocol.socket_path(config.load({}), environ) for environ in homes]
        for path in paths:
            path.touch()
        assert [list(protocol.sockets(environ)) for environ in homes] == [[str(path)] for path in paths]

    def test_a_long_name_gives_way_to_a_shorter_one(self, folder: Path) -> None:
        long = folder / ("x" * 80)
        long.mkdir()
        environ = {"XDG_RUNTIME_DIR": str(long), "TMPDIR": str(long)}
        path = protocol.socket_path(config.load({}), environ)
        assert path.parent == Path(f"/tmp/kosearch-{os.geteuid()}")
        assert len(os.fsencode(path)) <= 103

    def test_it_may_be_that_no_name_is_short_enough(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(protocol, "_LONGEST_PATH", 10)
        with pytest.raises(OSError, match="short enough"):
            protocol.socket_path(config.load({}), {"XDG_RUNTIME_DIR": str(folder)})

    def test_a_runtime_directory_that_is_not_ours_is_not_used(
        self, folder: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        stranger = os.geteuid() + 1
        monkeypatch.setattr(os, "geteuid", lambda: stranger)
        found = protocol.folders({"XDG_RUNTIME_DIR": str(folder), "TMPDIR": "relative"})
        assert found == [f"/tmp/kosearch-{stranger}"]
        assert protocol.folders({"XDG_RUNTIME_DIR": "relative"})[0] == f"/tmp/kosearch-{stranger}"


class TestTheFolder:
    def test_it_is_made_for_its_user_alone(self, folder: Path) -> None:
        protocol.secure(folder / "kosearch")
        assert stat.S_IMODE((folder / "kosearch").stat().st_mode) == 0o700
        protocol.secure(folder / "kosearch")

    def test_one_that_others_can_enter_is_refused(self, folder: Path) -> None:
        folder.chmod(0o711)
        with pytest.raises(PermissionError):
            protocol.secure(folder)

    def test_one_of_somebody_else_is_refused(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        stranger = os.geteuid() + 1
        monkeypatch.setattr(os, "geteuid", lambda: stranger)
        with pytest.raises(PermissionError):
            protocol.secure(folder)

    def test_a_link_and_a_file_are_refused(self, folder: Path) -> None:
        (folder / "real").mkdir(mode=0o700)
        (folder / "link").symlink_to("real")
        (folder / "file").touch(mode=0o700)
        for name in ("link", "file"):
            with pytest.raises(OSError, match=name):
                protocol.secure(folder / name)


class TestTheSocket:
    def test_only_its_user_can_connect(self, folder: Path) -> None:
        path = folder / "a.sock"
        with protocol.listen(path), protocol.connect(path, 1) as connection:
            assert stat.S_IMODE(path.stat().st_mode) == 0o600
            assert protocol.peer_uid(connection) == os.geteuid()
            assert protocol.peer_pid(connection) in {os.getpid(), None}

    def test_where_somebody_listens_there_is_no_place(self, folder: Path) -> None:
        with protocol.listen(folder / "a.sock"):
            with pytest.raises(OSError, match="in use") as caught:
                protocol.listen(folder / "a.sock")
            assert caught.value.errno == errno.EADDRINUSE

    def test_what_a_killed_process_left_is_replaced(self, folder: Path) -> None:
        path = folder / "a.sock"
        protocol.listen(path).close()
        with pytest.raises(ConnectionRefusedError):
            protocol.connect(path, 1)
        with protocol.listen(path), protocol.connect(path, 1):
            pass

    @pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")
    def test_a_server_of_another_user_is_refused(self, folder: Path) -> None:
        path = folder / "a.sock"
        script = (
            "import os, socket, sys\n"
            "listener = socket.socket(socket.AF_UNIX); listener.bind(sys.argv[1])\n"
            "os.setgid(65534); os.setuid(65534); listener.listen(); print(flush=True); sys.stdin.read()"
        )
        command = [sys.executable, "-c", script, str(path)]
        with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as other:
            assert other.stdout is not None
            other.stdout.readline()
            with pytest.raises(PermissionError, match="another user"):
                protocol.connect(path, 1)
            with pytest.raises(OSError, match="in use"):
                protocol.listen(path)

    def test_a_system_that_does_not_say_who_it_is(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        for name in ("SO_PEERCRED", "LOCAL_PEERCRED"):
            monkeypatch.delattr(_socket, name, raising=False)
        with protocol.listen(folder / "a.sock"), pytest.raises(OSError, match="does not say"):
            protocol.connect(folder / "a.sock", 1)
