"""The resident and its client without a model: what is asked here answers whatever it is told to."""

from __future__ import annotations

import functools
import os
import shutil
import socket
import struct
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest
from conftest import until
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import kosearch
from kosearch import config
from kosearch import resident as client
from kosearch.errors import UsageError
from kosearch.resident import launcher, protocol, server

PRINTED = {"version": kosearch.__version__, "stdout": b"", "stderr": b"", "code": 0}
DEEP = functools.reduce(lambda inner, _: b"%d:%b]" % (len(inner), inner), range(1_000), b"0:]")


@dataclass
class Fake:
    """Prints every command's arguments and questions, after `seconds`, or raises an error."""

    seconds: float = 0.0
    error: Exception | None = None
    long: int = 0
    gone: bool = False
    indexes: list[str] = field(default_factory=list)
    settled: int = 0
    accepting: bool = True
    terminals: list[str | None] = field(default_factory=list)
    watchers: list[Any] = field(default_factory=list)

    def rest(self) -> None:
        pass

    def run(
        self,
        argv: Sequence[str],
        cwd: str,
        environ: Mapping[str, str],
        *,
        terminal: bool,
        questions: Sequence[str] | None,
    ) -> dict[str, Any]:
        self.terminals.append(environ["COLUMNS"] if terminal else None)
        time.sleep(self.seconds)
        if self.error is not None:
            raise self.error
        if "elsewhere" in argv:
            return {"elsewhere": "it needs its own folder"}
        text = " ".join([*argv, *(questions or ())]) + "x" * self.long
        return {"stdout": text.encode() + b"\xff\n", "stderr": environ.get("KOSEARCH_NOTE", "").encode(), "code": 3}

    def accepts(self, argv: Sequence[str], environ: Mapping[str, str]) -> bool:
        return self.accepting

    def settle(self) -> None:
        self.settled += 1

    def drop_gone(self) -> bool:
        return self.gone


@dataclass
class Running:
    """A resident in a thread."""

    path: Path
    fake: Fake
    thread: threading.Thread

    def ask(self, *argv: str, **more: Any) -> dict[str, Any]:
        """What comes of a question, after it was accepted."""
        request = {"do": "run", "argv": ["query", *argv], "cwd": "/", "environ": {}, "terminal": False}
        with self.connect() as connection:
            first = protocol.exchange(connection, {**request, "questions": None, **more}, 5.0)
            return protocol.receive(connection, 5.0) if "accepted" in first else first

    def exchange(self, request: dict[str, Any], seconds: float = 5.0) -> dict[str, Any]:
        with self.connect() as connection:
            return protocol.exchange(connection, request, seconds)

    def connect(self) -> protocol.Connection:
        return protocol.connect(self.path, 5.0)

    def works(self) -> bool:
        with suppress(OSError):  # where too many ask, some are turned away
            return "code" in self.ask()
        return False

    def ended(self) -> bool:
        self.thread.join(5.0)
        return not self.thread.is_alive()


Start = Callable[..., Running]


@pytest.fixture
def folder(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A runtime directory with a short name, which settings lead to."""
    path = Path(tempfile.mkdtemp(prefix="ks-", dir="/tmp"))
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(path))
    yield path
    shutil.rmtree(path)


@pytest.fixture
def start(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Start]:
    """Starts residents, and ends them after the test."""
    monkeypatch.setattr(server, "TICK", 0.02)
    monkeypatch.setattr(server, "SENDING", 0.3)
    monkeypatch.setattr(server, "TAKING", 0.5)
    running: list[Running] = []

    def begin(idle: float = 60.0, **fake: Any) -> Running:
        path = protocol.socket_path(config.load({}))
        answers, listener = Fake(**fake), protocol.listen(path)
        thread = threading.Thread(target=server.serve, args=(listener, path, answers, idle, answers))
        thread.start()
        running.append(Running(path, answers, thread))
        return running[-1]

    yield begin
    for one in running:
        one.fake.gone = True
        assert one.ended()


@pytest.fixture
def index(tmp_path: Path) -> config.Settings:
    """Settings that name an index directory that is there."""
    (tmp_path / "index").mkdir()
    return config.load({"index": str(tmp_path / "index")})


class TestTheServer:
    def test_a_command_is_run_with_the_questions_that_were_read(self, start: Start) -> None:
        resident = start()
        reply = resident.ask("-k", "3", questions=["가", "나", "가"])
        assert (reply["stdout"], reply["code"]) == ("query -k 3 가 나 가".encode() + b"\xff\n", 3)
        assert reply["version"] == kosearch.__version__

    def test_what_pays_later_is_done_after_the_answer(self, start: Start) -> None:
        resident = start()
        resident.ask()
        assert until(lambda: resident.fake.settled == 1, seconds=5.0)

    def test_it_says_what_it_does(self, start: Start) -> None:
        resident = start(indexes=["/a", "/b"], idle=77.0)
        resident.ask()
        state = resident.exchange({"do": "status"})
        assert (state["pid"], state["requests"], state["idle"]) == (os.getpid(), 1, 77.0)
        assert state["indexes"] == ["/a", "/b"]

    @pytest.mark.parametrize("error", [UsageError("a date that is none"), RuntimeError("panic"), MemoryError()])
    def test_an_error_is_the_clients_to_find(self, start: Start, error: Exception) -> None:
        resident = start(error=error)
        assert type(error).__name__ in resident.ask()["cannot"]
        resident.fake.error = None
        assert resident.works()

    def test_an_answer_that_takes_too_long_is_given_up(self, start: Start) -> None:
        resident = start(seconds=0.6)
        begun = time.monotonic()
        assert "TimeoutError" in resident.ask(seconds=0.1)["cannot"]
        assert time.monotonic() - begun < 0.5
        resident.fake.seconds = 0
        assert resident.works()

    def test_questions_are_answered_side_by_side(self, start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(os, "cpu_count", lambda: 4)
        resident = start(seconds=0.4)
        threads = [threading.Thread(target=resident.ask) for _ in range(4)]
        begun = time.monotonic()
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert time.monotonic() - begun < 1.2

    def test_an_answer_beyond_all_bounds_is_not_sent(self, start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(protocol, "MAX_REPLY", 10_000)
        resident = start(long=20_000)
        assert "TooLong" in resident.ask()["cannot"]


class TestWhoDoesNotBehave:
    @pytest.mark.parametrize(
        "message",
        [
            pytest.param(b"", id="nothing"),
            pytest.param(b"\0\0", id="half a head"),
            pytest.param(struct.pack(">I", 100) + b"12:", id="half a message"),
            pytest.param(struct.pack(">I", protocol.MAX_REQUEST + 1), id="too long"),
            pytest.param(b"GET / HTTP/1.1\r\n\r\n", id="another protocol"),
            pytest.param(struct.pack(">I", 3) + b"0:]", id="a list"),
            pytest.param(struct.pack(">I", 3) + b"0:}", id="an empty one"),
            pytest.param(struct.pack(">I", 5) + b"\xff" * 5, id="no text"),
            pytest.param(struct.pack(">I", len(DEEP)) + DEEP, id="deep"),
        ],
    )
    def test_is_left_without_an_answer(self, start: Start, message: bytes) -> None:
        resident = start()
        with resident.connect() as connection:
            connection.sendall(message)
            assert connection.recv(1) == b""  # it hangs up, at the latest when its patience ends
        assert resident.works()

    @pytest.mark.parametrize(
        "request_",
        [
            {"do": "run"},
            {"do": "run", "argv": ["query", "?"]},
            {"do": "dance"},
            {"do": "dance", "argv": ["query"], "cwd": "/", "environ": {}, "terminal": False, "questions": None},
        ],
    )
    def test_is_told_that_it_cannot_be(self, start: Start, request_: dict[str, Any]) -> None:
        resident = start()
        assert "cannot" in resident.exchange(request_)
        assert resident.works()

    @given(body=st.binary(max_size=100) | st.dictionaries(st.text(), st.integers()).map(protocol.packed))
    @settings(max_examples=50, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
    def test_does_not_stop_it_whatever_it_says(self, start: Start, body: bytes) -> None:
        resident = _one(start)
        with resident.connect() as connection:
            connection.sendall(struct.pack(">I", len(body)) + body)
            connection.recv(1000)
        assert resident.works()

    def test_does_not_slow_others_by_sending_slowly(self, start: Start) -> None:
        resident = start()
        with ExitStack() as stack:
            for _ in range(20):
                stack.enter_context(resident.connect()).sendall(b"\0\0")
            begun = time.monotonic()
            assert resident.works()
            assert time.monotonic() - begun < 0.25

    def test_does_not_keep_it_by_not_reading(self, start: Start) -> None:
        resident = start(long=4_000_000)
        with resident.connect() as connection:
            request = {"version": kosearch.__version__, "do": "run", "argv": ["query"], "cwd": "/", "seconds": 5}
            more = {"environ": {}, "terminal": False, "questions": None}
            connection.sendall(protocol.frame({**request, **more}, protocol.MAX_REQUEST))
            time.sleep(1.0)
            received = 0
            with suppress(ConnectionResetError):
                while part := connection.recv(1 << 20):
                    received += len(part)
            assert received < 4_000_000
        resident.fake.long = 0
        assert resident.works()

    def test_does_not_make_it_grow_by_their_number(self, start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(server, "CONNECTIONS", 8)
        resident = start()
        resident.ask()
        before, threads = len(os.listdir("/dev/fd")), threading.active_count()
        for _ in range(5):
            with ExitStack() as stack:
                for _ in range(60):
                    with suppress(OSError):
                        stack.enter_context(resident.connect())
                assert until(lambda: len(os.listdir("/dev/fd")) <= before + 60 + 9, seconds=5.0)
        assert until(lambda: len(os.listdir("/dev/fd")) <= before, seconds=5.0)
        assert until(resident.works, seconds=5.0)
        assert until(lambda: threading.active_count() <= threads + server.CONNECTIONS, seconds=5.0)

    def test_is_refused_as_another_user(self, start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
        resident = start()
        monkeypatch.setattr(protocol, "peer_uid", lambda _: os.geteuid() + 1)
        with protocol.Connection(socket.AF_UNIX) as connection:
            connection.settimeout(5.0)
            connection.connect(os.fspath(resident.path))  # `protocol.connect` looks at the peer, too
            with pytest.raises((ConnectionError, OSError)):
                protocol.exchange(connection, {"do": "status"}, 2.0)
        monkeypatch.undo()


class TestItsEnd:
    def test_when_nobody_asks(self, start: Start) -> None:
        resident = start(idle=0.3)
        assert resident.works()
        assert resident.ended()
        assert not resident.path.exists()

    def test_not_while_somebody_asks(self, start: Start) -> None:
        resident = start(idle=0.3, seconds=0.8)
        assert resident.works()
        assert resident.ended()

    def test_when_the_last_index_is_gone(self, start: Start) -> None:
        resident = start()
        resident.fake.gone = True
        assert resident.ended()
        assert not resident.path.exists()

    def test_when_it_is_told_to(self, start: Start) -> None:
        resident = start()
        assert launcher.stop(resident.path)
        assert resident.ended()
        assert not resident.path.exists()

    def test_when_its_socket_is_gone(self, start: Start) -> None:
        resident = start()
        assert resident.works()
        resident.path.unlink()
        assert resident.ended()

    def test_when_another_one_took_its_place_which_stays(self, start: Start) -> None:
        resident = start()
        assert resident.works()
        resident.path.unlink()
        with protocol.listen(resident.path):
            assert resident.ended()
            assert resident.path.exists()

    def test_when_another_one_took_its_place_with_the_number_that_its_file_had(self, start: Start) -> None:
        """A file system gives numbers anew; when the socket was made tells them apart."""
        resident = start()
        assert resident.works()
        os.utime(resident.path, ns=(1, 1))
        assert resident.ended()
        assert resident.path.exists()

    def test_when_somebody_has_another_version(self, start: Start) -> None:
        resident = start()
        assert "version" in resident.ask(version="0.0.1")["cannot"]
        assert resident.ended()

    def test_when_the_program_is_replaced(self, start: Start, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        installed = tmp_path / "__init__.py"
        installed.touch()
        monkeypatch.setattr(kosearch, "__file__", str(installed))
        resident = start()
        assert resident.works()
        (tmp_path / "new").touch()
        (tmp_path / "new").replace(installed)
        assert resident.ended()

    def test_who_asked_before_still_gets_an_answer(self, start: Start) -> None:
        resident = start(seconds=0.3)
        replies: list[dict[str, Any]] = []
        asking = threading.Thread(target=lambda: replies.append(resident.ask()))
        asking.start()
        time.sleep(0.1)
        launcher.stop(resident.path)
        asking.join()
        assert "code" in replies[0]


class TestForwarding:
    """A whole command, run by a resident that is there."""

    @pytest.fixture
    def environ(self, folder: Path) -> dict[str, str]:
        home = {name: os.environ[name] for name in protocol.HOMES if name in os.environ}
        return {**home, "XDG_RUNTIME_DIR": str(folder), "KOSEARCH_NOTE": "주의\n", "KOSEARCH_RESIDENT": "on"}

    def test_prints_what_comes_back_byte_by_byte(
        self, start: Start, environ: dict[str, str], capfdbinary: pytest.CaptureFixture[bytes]
    ) -> None:
        resident = start()
        assert client.run(["query", "무엇?"], environ) == 3
        assert capfdbinary.readouterr() == ("query 무엇?".encode() + b"\xff\n", "주의\n".encode())
        assert until(lambda: resident.fake.settled == 1, seconds=5.0)

    @pytest.mark.parametrize(
        ("argv", "more"),
        [
            ([], {}),
            (["status", "query"], {}),
            (["index", "query", "--wait"], {}),
            (["query", "?", "--no-resident"], {}),
            (["query", "?", "--help"], {}),
            (["query", "--device=cpu", "?"], {}),
            (["query", "--batch", "questions.txt"], {}),
            (["query", "?"], {"KOSEARCH_RESIDENT": "OFF"}),
            (["query", "?"], {"KOSEARCH_DEBUG": "1"}),
        ],
    )
    def test_is_not_for_everything(
        self, start: Start, environ: dict[str, str], argv: list[str], more: dict[str, str]
    ) -> None:
        resident = start()
        assert client.run(argv, environ | more) is None
        assert resident.exchange({"do": "status"})["requests"] == 0

    def test_a_terminal_is_told_of(
        self, start: Start, environ: dict[str, str], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        resident = start()
        assert client.run(["query", "?"], environ) == 3
        assert resident.fake.terminals == [None]
        monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
        monkeypatch.setattr(os, "get_terminal_size", lambda _: os.terminal_size((57, 20)))
        assert client.run(["query", "?"], environ) == 3
        assert client.run(["query", "?"], environ | {"COLUMNS": "33"}) == 3
        assert resident.fake.terminals == [None, "57", "33"]

    def test_what_is_not_for_it_is_for_this_process(
        self, start: Start, environ: dict[str, str], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        assert client.run(["query", "?"], environ) is None
        resident = start(accepting=False, idle=0.5)
        assert client.run(["query", "?"], environ) is None
        assert client.run(["query", "?"], environ) is None
        assert resident.ended()  # it was asked by nobody whose settings it has
        resident = start()
        assert client.run(["query", "elsewhere"], environ) is None
        assert resident.works()

    def test_after_an_error_nobody_is_asked_again(self, start: Start, environ: dict[str, str]) -> None:
        start(error=UsageError("no such date"))
        with pytest.raises(client.NoAnswerError):
            client.run(["query", "?"], environ)

    def test_nor_after_too_long_a_time(
        self, start: Start, environ: dict[str, str], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(protocol, "PATIENCE", 0.3)
        resident = start(seconds=0.6)
        with pytest.raises(client.NoAnswerError):
            client.run(["query", "?"], environ)
        resident.fake.seconds = 0.0

    def test_one_that_ends_the_program_is_an_error_like_others(self, start: Start, environ: dict[str, str]) -> None:
        resident = start(error=SystemExit(1))
        with pytest.raises(client.NoAnswerError):
            client.run(["query", "?"], environ)
        resident.fake.error = None
        assert resident.works()

    def test_the_right_one_of_several_is_found(
        self, start: Start, environ: dict[str, str], capfdbinary: pytest.CaptureFixture[bytes]
    ) -> None:
        folder, name = protocol.socket_path(config.load({})).parent, protocol.socket_path(config.load({})).name
        start()
        for other in ("00000000", "zzzzzzzz"):
            with protocol.listen(folder / f"{name[:8]}-{other}.sock"):
                pass  # its process was killed
        (folder / f"{name[:8]}-11111111.sock").write_text("not even a socket")
        assert client.run(["query", "?"], environ) == 3
        assert capfdbinary.readouterr().out == b"query ?\xff\n"

    def test_those_of_another_installation_and_in_open_folders_are_not_asked(
        self, folder: Path, start: Start, environ: dict[str, str], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        resident = start()
        monkeypatch.setattr(protocol, "__file__", "/somewhere/else/kosearch/resident/protocol.py")
        assert client.run(["query", "?"], environ) is None
        monkeypatch.undo()
        (folder / "kosearch").chmod(0o755)
        assert client.run(["query", "?"], environ) is None
        (folder / "kosearch").chmod(0o700)
        assert resident.exchange({"do": "status"})["requests"] == 0

    def test_one_that_hangs_is_for_others_to_wait_for(
        self, folder: Path, environ: dict[str, str], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(client, "_AT_ONCE", 0.2)
        path = protocol.socket_path(config.load({}))
        with protocol.listen(path):
            os.utime(path, (0, 0))
            assert client.run(["query", "?"], environ) is None
            assert path.exists()

    def test_no_key_is_sent(self, environ: dict[str, str]) -> None:
        kept = client._kept(environ | {"KOSEARCH_API_KEY": "secret", "OPENAI_API_KEY": "secret"}, terminal=False)
        assert "secret" not in kept.values()
        assert kept["KOSEARCH_RESIDENT"] == "on"

    def test_a_closed_pipe_ends_it_without_a_word(self, start: Start, environ: dict[str, str]) -> None:
        start()
        call = f"client.run(['query', '?'], {environ})"
        script = f"from kosearch import resident as client; raise SystemExit({call})"
        reading, writing = os.pipe()
        os.close(reading)
        done = subprocess.run([sys.executable, "-c", script], stdout=writing, stderr=subprocess.PIPE, check=False)
        os.close(writing)
        assert (done.returncode, done.stderr) == (0, "주의\n".encode())


class TestTheClient:
    def test_it_gets_the_answers(self, start: Start, index: config.Settings) -> None:
        start()
        reply = _run(index, "가", "나")
        assert reply == launcher.Reply("query 가 나".encode() + b"\xff\n", b"", 3)

    def test_it_starts_nothing_without_an_index(self, folder: Path, index: config.Settings) -> None:
        with pytest.raises(launcher.Unavailable, match="no index"):
            _run(replace(index, index=str(folder / "none")), "?")
        assert not list(folder.iterdir())

    def test_many_questions_are_for_the_asking_process(self, folder: Path, index: config.Settings) -> None:
        with pytest.raises(launcher.Unavailable, match="too many"):
            _run(index, questions=["?"] * (launcher.MAX_QUESTIONS + 1))
        assert not list(folder.iterdir())

    def test_a_question_beyond_all_bounds_is_not_sent(self, start: Start, index: config.Settings) -> None:
        resident = start()
        with pytest.raises(launcher.Unavailable, match="TooLong"):
            _run(index, "x" * protocol.MAX_REQUEST)
        assert resident.works()

    def test_an_error_is_told_as_a_reason(self, start: Start, index: config.Settings) -> None:
        start(error=UsageError("no such date"))
        with pytest.raises(launcher.Unavailable, match="no such date"):
            _run(index, "?")

    def test_one_that_cannot_be_started(
        self, folder: Path, index: config.Settings, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(sys, "executable", shutil.which("false"))
        begun = time.monotonic()
        with pytest.raises(launcher.Unavailable, match="Connection"):
            _run(index, "?")
        assert time.monotonic() - begun < 5
        monkeypatch.setattr(sys, "executable", str(folder / "none"))
        with pytest.raises(launcher.Unavailable, match="FileNotFoundError"):
            _run(index, "?")

    def test_a_folder_that_others_can_enter(self, folder: Path, index: config.Settings) -> None:
        (folder / "kosearch").mkdir(mode=0o755)
        with pytest.raises(launcher.Unavailable, match="PermissionError"):
            _run(index, "?")

    @pytest.mark.parametrize(
        "reply",
        [
            pytest.param(b"", id="hangs up"),
            pytest.param(b"\0\0", id="hangs up early"),
            pytest.param(struct.pack(">I", 9) + b"0:}", id="hangs up in the middle"),
            pytest.param(struct.pack(">I", protocol.MAX_REPLY + 1), id="too long"),
            pytest.param(struct.pack(">I", 3) + b"0:]", id="a list"),
            pytest.param(struct.pack(">I", 3) + b"0:}", id="no version"),
            pytest.param(protocol.frame({"version": "0.0.1", "code": 0}, 100), id="another version"),
            pytest.param(protocol.frame({"version": kosearch.__version__}, 100), id="nothing printed"),
            pytest.param(protocol.frame({"version": kosearch.__version__, "code": 0}, 100), id="half a reply"),
            pytest.param(protocol.frame({**PRINTED, "stdout": 1}, 100), id="no text"),
            pytest.param(protocol.frame({**PRINTED, "code": "x"}, 100), id="no code"),
        ],
    )
    def test_one_that_answers_nonsense(self, folder: Path, index: config.Settings, reply: bytes) -> None:
        with protocol.listen(protocol.socket_path(index)) as listener:
            thread = threading.Thread(target=_reply, args=(listener, reply))
            thread.start()
            with pytest.raises(launcher.Unavailable):
                _run(index, "?")
            thread.join()

    def test_one_that_hangs_costs_its_patience_once(
        self, folder: Path, index: config.Settings, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        path = protocol.socket_path(index)
        with protocol.listen(path):
            os.utime(path, (0, 0))  # it is not just starting
            begun = time.monotonic()
            with pytest.raises(launcher.Unavailable, match="TimeoutError"):
                _run(index, "?", patience=0.3)
            assert 0.3 <= time.monotonic() - begun < 2
            assert not path.exists()

    def test_one_that_starts_has_more_time(
        self, folder: Path, index: config.Settings, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(protocol, "STARTING", 1.0)
        path = protocol.socket_path(index)
        with protocol.listen(path):
            begun = time.monotonic()
            with pytest.raises(launcher.Unavailable, match="TimeoutError"):
                _run(index, "?", patience=0.1)
            assert time.monotonic() - begun > 0.5
            assert path.exists()

    def test_a_hung_one_is_ended_by_force(self, folder: Path, index: config.Settings) -> None:
        path = protocol.socket_path(index)
        path.parent.mkdir(mode=0o700)
        child = os.fork()
        if not child:  # it listens, and never answers
            with protocol.listen(path):
                time.sleep(60)
            os._exit(0)
        assert until(lambda: [(path, None)] == list(launcher.residents(index, patience=0.2)), seconds=5.0)
        assert launcher.stop(path, patience=0.2)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == -9
        assert not path.exists()

    def test_all_that_run_are_known(self, start: Start, index: config.Settings) -> None:
        resident = start()
        (path, state), *others = launcher.residents(replace(index, device="cpu"))
        assert (path, others) == (resident.path, [])
        assert state is not None
        assert state["pid"] == os.getpid()


def _run(settings: config.Settings, *words: str, **more: Any) -> launcher.Reply:
    return launcher.run(settings, ["query", *words], {}, terminal=False, **more)


def _one(start: Start, running: list[Running] = []) -> Running:  # noqa: B006 - one for all examples
    if not running or not running[0].path.exists():
        running[:] = [start()]
    return running[0]


def _reply(listener: socket.socket, reply: bytes) -> None:
    connection, _ = listener.accept()
    with connection:
        connection.recv(1 << 16)
        connection.sendall(reply)
