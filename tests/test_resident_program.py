"""The installed program and a real resident: the same answers, at once, and never an error more."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
from conftest import PROGRAM, Program, make_program

from kosearch import config, terms
from kosearch.cli import main
from kosearch.resident import client, place

pytestmark = pytest.mark.filterwarnings("ignore")  # those of other people's imports


@dataclass(frozen=True)
class Resident:
    """A program whose questions go to its resident."""

    program: Program
    runtime: Path

    @property
    def state(self) -> dict[str, Any] | None:
        """What its resident says of itself; None where there is none."""
        for path in (self.runtime / "kosearch").glob("*.sock"):
            with suppress(OSError), place.connect(path, 5) as connection:
                return client.exchange(connection, {"do": "status"}, 5)
        return None

    @property
    def pid(self) -> int:
        state = self.state
        assert state is not None, "no resident runs"
        return int(state["pid"])

    def stop(self) -> None:
        for path in (self.runtime / "kosearch").glob("*.sock"):
            client.stop(path)


def _resident(program: Program, runtime: Path) -> Resident:
    environment = {**program.environment, "KOSEARCH_RESIDENT": "on", "XDG_RUNTIME_DIR": str(runtime)}
    return Resident(replace(program, environment=environment), runtime)


@pytest.fixture(scope="module")
def runtime() -> Iterator[Path]:
    path = Path(tempfile.mkdtemp(prefix="ks-", dir="/tmp"))
    yield path
    shutil.rmtree(path)


@pytest.fixture(scope="module")
def resident(indexed: Program, runtime: Path) -> Iterator[Resident]:
    """One resident for the module, which the first question started."""
    one = _resident(indexed, runtime)
    assert one.state is None
    first = one.program.run("query", "휴가 이월", "--jsonl")
    assert (first.returncode, first.stderr) == (0, "")
    assert one.state is not None
    yield one
    one.stop()


@pytest.fixture
def own(tmp_path: Path, cache_dir: Path) -> Iterator[Resident]:
    """A program with an index and a resident that the test may change, end and kill."""
    runtime = Path(tempfile.mkdtemp(prefix="ks-", dir="/tmp"))
    program = make_program(tmp_path, cache_dir)
    (tmp_path / "docs").mkdir()
    (tmp_path / "docs" / "a.md").write_text("# 커피\n\n원두는 밀폐 용기에 보관한다.\n", encoding="utf-8")
    assert program.run("index", tmp_path / "docs").returncode == 0
    one = _resident(program, runtime)
    yield one
    one.stop()
    shutil.rmtree(runtime)


@pytest.fixture(scope="module")
def analyzer() -> terms.Analyzer:
    return terms.Analyzer()


QUESTIONS = [
    ["휴가는 어떻게 이월하나요?", "--json"],
    ["휴가는 어떻게 이월하나요?", "--jsonl"],
    ["보안 취약점", "--paths"],
    ["보안 취약점", "--paths", "-0"],
    ["출장비 정산", "--explain"],
    ["출장비 정산", "-C", "2", "-k", "3"],
    ["출장비 정산", "--group", "--json", "-k", "2"],
    ["rotate keys", "--mode", "lexical", "--json"],
    ["에스프레소 머신 청소", "--mode", "dense", "--min-score", "0.8", "--json"],
    ["회의", "--path", "*.md", "--type", "markdown", "--weight", "0.7", "--json"],
    ["zzzqqq", "--mode", "lexical"],
    ["zzzqqq 휴가 +없는낱말"],
    ['휴가 "닫히지 않은', "--json"],
    ["휴가", "--after", "어제"],
    ["휴가", "--index", "none"],
    ["휴가", "--json", "--jsonl"],
    ["--batch", "questions.txt", "--json"],
    ["--batch", "questions.txt"],
]


@pytest.mark.parametrize("arguments", QUESTIONS, ids=" ".join)
def test_what_it_prints_is_what_one_process_prints(
    resident: Resident,
    analyzer: terms.Analyzer,
    arguments: Sequence[str],
    capfdbinary: pytest.CaptureFixture[bytes],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    home = resident.program.home
    (home / "questions.txt").write_text("휴가\n\n취약점은\n", encoding="utf-8")
    asked = resident.state
    done = subprocess.run(
        [PROGRAM, "query", *arguments], cwd=home, env=resident.program.environment, capture_output=True, check=False
    )
    answered = resident.state
    for name, value in resident.program.environment.items():
        monkeypatch.setenv(name, value)
    monkeypatch.chdir(home)
    monkeypatch.setattr(terms, "Analyzer", lambda: analyzer)  # Kiwi is loaded once for all
    capfdbinary.readouterr()
    code = main(["query", "--no-resident", *arguments])
    assert (done.returncode, done.stdout, done.stderr) == (code, *capfdbinary.readouterr())
    assert asked is not None
    assert answered is not None
    by_itself = "none" in arguments or ("--json" in arguments and "--jsonl" in arguments)
    assert answered["requests"] == asked["requests"] + (not by_itself)


def test_the_client_imports_nothing_heavy(resident: Resident) -> None:
    script = (
        "import sys\n"
        "from kosearch.cli import main\n"
        "code = main(['query', '휴가 이월', '--jsonl'])\n"
        "heavy = {'torch', 'transformers', 'rich', 'numpy', 'tokenizers', 'kiwipiepy', 'tantivy', 'sqlite3'}\n"
        "assert not heavy & set(sys.modules), heavy & set(sys.modules)\n"
        "sys.exit(code)"
    )
    before = resident.state
    done = subprocess.run(
        [sys.executable, "-c", script], env=resident.program.environment, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")
    after = resident.state
    assert before is not None
    assert after is not None
    assert after["requests"] == before["requests"] + 1


def test_a_loop_over_questions_reads_them_all(resident: Resident) -> None:
    pid = resident.pid
    done = resident.program.shell(
        "printf '휴가\\n취약점\\n출장비\\n' | while read -r q; do kosearch query \"$q\" --paths -k 1; done"
    )
    assert (len(done.stdout.splitlines()), done.stderr) == (3, "")
    assert resident.pid == pid


def test_it_holds_nothing_of_the_process_that_began_it(resident: Resident) -> None:
    if not Path("/proc").is_dir():
        pytest.skip("open files are only listed on Linux")
    pid = resident.pid
    streams = [os.readlink(f"/proc/{pid}/fd/{number}") for number in (0, 1, 2)]
    assert streams[0].startswith("socket:")
    assert streams[1:] == [os.devnull, os.devnull]
    assert os.readlink(f"/proc/{pid}/cwd") == "/"
    assert os.getsid(pid) == pid
    command = Path(f"/proc/{pid}/cmdline").read_bytes()
    assert "휴가".encode() not in command


def test_a_files_state_is_that_of_now(own: Resident) -> None:
    def states() -> list[str]:
        found = own.program.run("query", "원두 보관", "--jsonl").stdout
        return [state for state in ("current", "changed", "gone") if f'"state": "{state}"' in found]

    document = own.program.home / "docs" / "a.md"
    assert states() == ["current"]
    document.write_text("# 다른 글\n\n전혀 다르다.\n", encoding="utf-8")
    assert states() == ["changed"]
    document.unlink()
    assert states() == ["gone"]


def test_an_index_that_changes_goes_or_comes_again(own: Resident) -> None:
    program, docs = own.program, own.program.home / "docs"
    assert "밀폐" in program.run("query", "원두 보관").stdout
    pid = own.pid

    (docs / "b.md").write_text("# 서버\n\n백업은 매일 새벽에 한다.\n", encoding="utf-8")
    assert program.run("index").returncode == 0
    assert "새벽" in program.run("query", "백업은 언제", "-k", "1").stdout
    assert own.pid == pid  # a new generation needs no new process

    folder = program.home / ".local/share/kosearch/indexes/default"
    shutil.rmtree(folder)
    (docs / "a.md").unlink()
    assert program.run("index", docs).returncode == 0
    again = program.run("query", "원두 보관")
    assert "밀폐" not in again.stdout
    assert "새벽" in again.stdout

    shutil.rmtree(folder)
    missing = program.run("query", "원두 보관")
    assert (missing.returncode, "no index" in missing.stderr) == (4, True)
    assert until(lambda: own.state is None)  # without an index there is nothing to do


def test_one_that_was_killed_or_hangs_is_replaced(own: Resident, monkeypatch: pytest.MonkeyPatch) -> None:
    program = own.program
    expected = program.run("query", "원두 보관", "--json").stdout
    first = own.pid
    os.kill(first, signal.SIGKILL)
    assert until(lambda: own.state is None)
    again = program.run("query", "원두 보관", "--json")
    assert (again.stdout, again.stderr) == (expected, "")
    second = own.pid
    assert second != first

    os.kill(second, signal.SIGSTOP)
    (path,) = (own.runtime / "kosearch").glob("*.sock")
    os.utime(path, (0, 0))
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(own.runtime))
    settings = config.load({"cache_dir": None, "index": str(program.home / ".local/share/kosearch/indexes/default")})
    with pytest.raises(client.Unavailable, match="Timeout"):
        client.ask(settings, [client.Query("원두")], patience=0.5)
    assert not path.exists()
    os.kill(second, signal.SIGCONT)
    assert until(lambda: not _runs(second))


def test_serve(own: Resident) -> None:
    program = own.program

    def serve(*arguments: str) -> tuple[int, str]:
        done = program.run("serve", *arguments)
        return done.returncode, done.stdout + done.stderr

    assert serve("--status") == (1, "none is running\n")
    assert serve("--stop") == (0, "none is running\n")
    code, text = serve("--detach", "--idle", "60")
    assert (code, "answers questions" in text) == (0, True)
    pid = own.pid
    assert serve("-d")[1].startswith(f"process {pid} ")
    code, text = serve()
    assert (code, "one is running already" in text) == (2, True)
    code, text = serve("--status")
    assert (code, f"{pid}, version" in text, "1 min 0 s without one" in text) == (0, True, True)
    assert f'"pid": {pid}' in serve("--status", "--json")[1]
    assert serve("--stop") == (0, f"ended process {pid}\n")
    assert until(lambda: not _runs(pid))
    assert serve("--detach", "--stop")[0] == 2


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_serve_in_the_foreground(own: Resident, number: int, code: int) -> None:
    with subprocess.Popen(
        [PROGRAM, "serve"], env=own.program.environment, stderr=subprocess.PIPE, text=True, encoding="utf-8"
    ) as serving:
        assert serving.stderr is not None
        assert "ready for questions" in serving.stderr.readline()
        assert "밀폐" in own.program.run("query", "원두 보관").stdout
        state = own.state
        assert state is not None
        assert (state["pid"], state["requests"]) == (serving.pid, 1)
        serving.send_signal(number)
        assert serving.wait(10) == code
        assert serving.stderr.read() == ""
    assert own.state is None
    assert not list((own.runtime / "kosearch").iterdir())


def test_it_is_switched_off(own: Resident) -> None:
    program = own.program
    off = replace(program, environment={**program.environment, "KOSEARCH_RESIDENT": "off"})
    assert off.run("query", "원두").returncode == 0
    assert program.run("query", "원두", "--no-resident").returncode == 0
    assert not list(own.runtime.iterdir())


def test_without_a_place_for_a_socket_a_question_is_answered_all_the_same(own: Resident) -> None:
    (own.runtime / "kosearch").mkdir(mode=0o755)
    done = own.program.run("query", "원두 보관")
    assert ("밀폐" in done.stdout, done.stderr) == (True, "")
    loud = replace(own.program, environment={**own.program.environment, "KOSEARCH_DEBUG": "1"})
    assert "answered in this process" in loud.run("query", "원두 보관").stderr
    assert own.program.run("serve", "--detach").returncode != 0


def _runs(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    stat = Path(f"/proc/{pid}/stat")
    return not stat.exists() or stat.read_text(encoding="utf-8").rpartition(")")[2].split()[0] != "Z"


def until(true: Callable[[], bool], seconds: float = 10.0) -> bool:
    """Whether it becomes true in time."""
    ends = time.monotonic() + seconds
    while not true():
        if time.monotonic() > ends:
            return False
        time.sleep(0.05)
    return True
