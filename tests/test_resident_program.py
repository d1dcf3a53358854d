"""The installed program and a real resident: the same answers, at once, and never an error more."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import PROGRAM, Program, make_program, until

from kosearch import config, embedding, terms
from kosearch.cli import main
from kosearch.library import Index
from kosearch.records import Query
from kosearch.resident import launcher, protocol, server

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
            with suppress(OSError), protocol.connect(path, 5) as connection:
                return protocol.exchange(connection, {"do": "status"}, 5)
        return None

    @property
    def pid(self) -> int:
        state = self.state
        assert state is not None, "no resident runs"
        return int(state["pid"])

    def ask(self, *flags: str) -> str:
        """What is printed for a question that needs neither Kiwi nor the model; nothing on stderr."""
        done = self.program.run("query", "rotate keys", "--mode", "lexical", *flags)
        assert (done.returncode, done.stderr) == (0, "")
        return done.stdout

    def stop(self) -> None:
        for path in (self.runtime / "kosearch").glob("*.sock"):
            launcher.stop(path)


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
def own(indexed: Program) -> Iterator[Resident]:
    """The same index with a runtime directory that is the test's."""
    runtime = Path(tempfile.mkdtemp(prefix="ks-", dir="/tmp"))
    one = _resident(indexed, runtime)
    yield one
    one.stop()
    shutil.rmtree(runtime)


@pytest.fixture
def changing(tmp_path: Path, cache_dir: Path) -> Iterator[Resident]:
    """An index that the test may change."""
    runtime = Path(tempfile.mkdtemp(prefix="ks-", dir="/tmp"))
    one = _resident(make_program(tmp_path, cache_dir), runtime)
    yield one
    one.stop()
    shutil.rmtree(runtime)


class NoModel:
    """Vectors that mean nothing, at once."""

    def embed_passages(self, texts: Sequence[str], _progress: object = None) -> Any:
        return np.eye(384, dtype=np.float32)[: len(texts)]


def index(folder: Path) -> None:
    library = Index(config.load({}))
    library.embedder = NoModel()  # type: ignore[assignment]
    for _ in library.update([os.fsencode(folder)]):
        pass


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
    ["휴가", "--no-resident", "--mode", "lexical"],
    ["휴가", "--index", "./here", "--mode", "lexical"],
    ["휴가", "--index", "~", "--mode", "lexical"],
    ["--help"],
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
    monkeypatch.setattr(terms, "Analyzer", lambda *_: analyzer)  # Kiwi is loaded once for all
    capfdbinary.readouterr()
    code = main(["query", "--no-resident", *arguments])
    assert (done.returncode, done.stdout, done.stderr) == (code, *capfdbinary.readouterr())
    assert asked is not None
    assert answered is not None
    by_itself = {"none", "어제", "~", "./here", "--no-resident", "--help"} & set(arguments)
    if not by_itself and not {"--json", "--jsonl"} <= set(arguments):
        assert answered["requests"] == asked["requests"] + 1


@pytest.mark.parametrize(
    ("arguments", "more", "columns"),
    [
        (["휴가는 어떻게 이월하나요?", "-k", "2"], {}, 80),
        (["rotate keys", "--mode", "lexical", "--explain"], {"FORCE_COLOR": "1"}, 41),
        (["rotate keys", "--mode", "lexical"], {"COLUMNS": "60"}, 80),
        (["rotate keys", "--mode", "lexical", "--paths"], {}, 80),
        (["rotate keys", "--mode", "lexical", "-C", "1"], {"NO_COLOR": "1"}, 100),
        (["zzzqqq"], {}, 80),
    ],
)
def test_what_a_terminal_shows_is_what_one_process_shows(
    resident: Resident, arguments: Sequence[str], more: dict[str, str], columns: int
) -> None:
    program = replace(resident.program, environment={**resident.program.environment, **more})
    before = resident.state
    colour = "NO_COLOR" not in more
    seen = program.on_terminal("query", *arguments, colour=colour, columns=columns)
    after = resident.state
    assert before is not None
    assert after is not None
    assert after["requests"] == before["requests"] + 1
    assert seen == program.on_terminal("query", "--no-resident", *arguments, colour=colour, columns=columns)


def test_the_client_imports_nothing_heavy(resident: Resident) -> None:
    script = (
        "import sys\n"
        "from kosearch.cli import main\n"
        "code = main(['query', '휴가 이월', '--jsonl', '-k', '3', '--weight', '0.5', '--type', 'markdown'])\n"
        "heavy = {'torch', 'transformers', 'rich', 'numpy', 'kiwipiepy', 'sqlite3', 'pydantic'}\n"
        "assert not heavy & set(sys.modules), heavy & set(sys.modules)\n"
        "others = {name for name in sys.modules if name.startswith('kosearch.cli.')}\n"
        "assert not {'kosearch.cli.index', 'kosearch.cli.models'} & others, others\n"
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


def test_a_question_in_a_pipe_imports_next_to_nothing(resident: Resident) -> None:
    script = (
        "import sys\n"
        "before = set(sys.modules)\n"
        "from kosearch import resident as client\n"
        "code = client.run(['query', '휴가 이월', '--jsonl', '-k', '3'])\n"
        "much = {'typer', 'dataclasses', 'json', 're', 'enum', 'socket', 'kosearch.config', 'kosearch.records'}\n"
        "assert not much & set(sys.modules), much & set(sys.modules)\n"
        "assert len(set(sys.modules) - before) < 10, sorted(set(sys.modules) - before)\n"
        "sys.exit(code)"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], env=resident.program.environment, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert len(done.stdout.splitlines()) == 3


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


def test_whoever_waits_for_what_its_beginner_holds_waits_no_longer_than_for_that(own: Resident) -> None:
    ask = "kosearch query 'rotate keys' --mode lexical --paths -k 1"
    script = f"""
        flock job.lock {ask}
        flock --nonblock job.lock echo free
        out=$( {{ {ask} >/dev/null; echo told >&3; }} 3>&1 )
        echo "$out"
        exec 5>more.lock 200>another.lock; flock 5; flock 200
        kosearch serve --stop; {ask}; exec 5>&- 200>&-
        flock --nonblock more.lock flock --nonblock another.lock echo both are free
    """
    done = own.program.shell(script, cwd=own.runtime, timeout=60)
    lines = [line for line in done.stdout.splitlines() if "rotate_keys" not in line]
    assert lines == ["free", "told", "both are free"]
    assert own.state is not None


def test_it_has_no_limits_signals_and_secrets_of_its_beginner(own: Resident) -> None:
    if not Path("/proc").is_dir():
        pytest.skip("processes are only laid open on Linux")
    secrets = {"SOMETHING_ELSE": "secret-1", "AWS_SECRET_ACCESS_KEY": "secret-2", "OPENAI_API_KEY": "key-of-the-first"}
    limited = replace(own, program=replace(own.program, environment={**own.program.environment, **secrets}))
    script = """
        trap '' HUP INT USR1
        ulimit -S -n 200; ulimit -S -t 1000; ulimit -S -f 100000; ulimit -S -v 16000000
        python -c 'import os, signal, sys
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM, signal.SIGALRM})
        os.execvp("kosearch", ["kosearch", "query", "rotate keys", "--mode", "lexical", "--paths", "-k", "1"])'
    """
    assert "rotate_keys" in limited.program.shell("\n".join(map(str.strip, script.splitlines()))).stdout
    proc = Path(f"/proc/{own.pid}")
    status = dict(line.split(":\t", 1) for line in (proc / "status").read_text().splitlines() if ":\t" in line)
    assert int(status["SigBlk"], 16) == 0
    ignored = {one for one in signal.Signals if int(status["SigIgn"], 16) >> (one - 1) & 1}
    assert ignored <= {signal.SIGPIPE, signal.SIGXFSZ}
    limits = (proc / "limits").read_text().splitlines()
    for name in ("Max cpu time", "Max file size", "Max address space"):
        assert next(line for line in limits if line.startswith(name)).split()[-3:-1] == ["unlimited"] * 2
    files = next(line for line in limits if line.startswith("Max open files")).split()
    assert files[3] == files[4]
    environment = (proc / "environ").read_bytes()
    assert b"secret-" not in environment
    assert b"key-of-the-first" in environment
    own.stop()


def test_one_who_is_limited_for_good_starts_none(own: Resident) -> None:
    done = own.program.shell("ulimit -t 1000; kosearch query 'rotate keys' --mode lexical --paths -k 1")
    assert "rotate_keys" in done.stdout
    assert own.state is None


def test_one_begun_by_nice_is_as_fast_as_any_or_not_there(own: Resident) -> None:
    """It would stay slow for everybody who asks later."""
    done = own.program.shell("nice -n 3 kosearch query 'rotate keys' --mode lexical --paths -k 1")
    assert "rotate_keys" in done.stdout
    assert own.state is None or os.getpriority(os.PRIO_PROCESS, own.pid) == 0
    assert (own.state is not None) >= (os.geteuid() == 0)


def test_those_of_other_homes_are_left_alone(own: Resident) -> None:
    own.ask()
    elsewhere = replace(own.program, environment={**own.program.environment, "HOME": "/home/of/kim"})
    assert elsewhere.run("serve", "--status").returncode == 1
    assert elsewhere.run("serve", "--stop").stderr == "none is running\n"
    assert own.program.run("serve", "--status").returncode == 0


def test_those_of_other_installations_are_left_alone(own: Resident) -> None:
    other = own.runtime / "kosearch" / "00000000-00000000.sock"
    with protocol.listen(other) as listener:
        for arguments, code in ((["--status"], 1), (["--status", "--json"], 1), (["--stop"], 0)):
            done = own.program.run("serve", *arguments)
            assert (done.returncode, str(other) in done.stdout + done.stderr) == (code, False)
        assert own.program.run("query", "rotate keys", "--mode", "lexical").returncode == 0
        assert "ended process" in own.program.run("serve", "--stop").stderr
        listener.settimeout(0.1)
        with pytest.raises(TimeoutError):
            listener.accept()  # nobody has even asked
        assert other.exists()


def test_an_index_in_a_folder_and_questions_from_an_input_are_for_it_too(own: Resident) -> None:
    data = Path(own.program.environment["XDG_DATA_HOME"]) / "kosearch/indexes"
    ask = ("query", "rotate keys", "--mode", "lexical", "--paths", "-k", "1")
    inside = data / "default"
    for folder, name in ((data, "./default"), (inside, "."), (inside, "../default"), (data, str(inside))):
        done = own.program.run(*ask, "--index", name, cwd=folder)
        assert (done.returncode, "rotate_keys" in done.stdout) == (0, True)
    state = own.state
    assert state is not None
    assert (state["requests"], state["indexes"]) == (4, [str(inside)])
    loud = {**own.program.environment, "KOSEARCH_DEBUG": "1"}
    for questions in ("rotate\nvinegar\n", "rotate\n" * 33):
        done = replace(own.program, environment=loud).run("query", "--jsonl", "--mode", "lexical", stdin=questions)
        assert done.returncode == 0
        assert done.stderr == ""
    state = own.state
    assert state is not None
    assert state["requests"] == 6


def test_many_questions_are_embedded_in_bulk(
    tmp_path: Path, analyzer: terms.Analyzer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Above a hundred by the model as it is loaded for many texts, once, whatever index they are asked of."""
    asked: dict[str, list[int]] = {"one by one": [], "in bulk": []}

    class Embedder:
        def __init__(self, way: str) -> None:
            self.way = way

        def embed_queries(self, texts: Sequence[str]) -> Any:
            asked[self.way].append(len(texts))
            return np.ones((len(texts), 384), dtype=np.float32)

    (tmp_path / "docs").mkdir()
    (tmp_path / "docs" / "a.md").write_text("Keep the beans in a jar.\n", encoding="utf-8")
    index(tmp_path / "docs")
    monkeypatch.setattr(terms, "Analyzer", lambda *_: analyzer)
    monkeypatch.setattr(embedding, "load_for_queries", lambda *_: Embedder("one by one"))
    monkeypatch.setattr(embedding, "load", lambda *_: Embedder("in bulk"))
    warm = server.Warm(config.load({}))
    for count in (1, 100, 101, 150):
        answers = warm.answers([str(Index(config.load({})).directory)], [Query(f"beans {n}") for n in range(count)])
        assert all(answer.hits for answer in answers)
    assert asked == {"one by one": [1, 100], "in bulk": [101, 150]}


def test_an_index_that_changes_goes_and_comes_again(changing: Resident) -> None:
    program, document = changing.program, changing.program.home / "docs" / "a.md"
    document.parent.mkdir()
    document.write_text("# Coffee\n\nKeep the beans in a jar.\n", encoding="utf-8")
    index(document.parent)

    def ask(word: str) -> tuple[int, list[str]]:
        done = program.run("query", word, "--mode", "lexical", "--jsonl")
        assert "Traceback" not in done.stderr
        return done.returncode, [json.loads(line)["state"] for line in done.stdout.splitlines()]

    assert ask("jar") == (0, ["current"])
    pid = changing.pid
    document.write_text("# Tea\n\nKeep the leaves in a tin.\n", encoding="utf-8")
    assert ask("jar") == (0, ["changed"])  # a file's state is that of now
    document.rename(document.with_name("b.md"))
    assert ask("jar") == (0, ["gone"])

    index(document.parent)
    assert ask("jar") == (1, [])
    assert ask("tin") == (0, ["current"])
    assert changing.pid == pid  # a new generation needs no new process

    folder = program.home / ".local/share/kosearch/indexes/default"
    shutil.rmtree(folder)
    document.with_name("b.md").write_text("# Milk\n\nKeep it in the fridge.\n", encoding="utf-8")
    index(document.parent)
    assert ask("tin") == (1, [])
    assert ask("fridge") == (0, ["current"])

    shutil.rmtree(folder)
    assert ask("fridge") == (4, [])
    assert until(lambda: changing.state is None)  # without an index there is nothing to do


def test_one_that_was_killed_or_hangs_is_replaced(own: Resident, monkeypatch: pytest.MonkeyPatch) -> None:
    expected = own.ask("--json")
    first = own.pid
    os.kill(first, signal.SIGKILL)
    assert until(lambda: own.state is None)
    assert own.ask("--json") == expected
    second = own.pid
    assert second != first

    os.kill(second, signal.SIGSTOP)
    (path,) = (own.runtime / "kosearch").glob("*.sock")
    os.utime(path, (0, 0))  # it is not just starting
    for name, value in own.program.environment.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(launcher.Unavailable, match="Timeout"):
        launcher.run(config.load({}), ["query", "keys"], os.environ, terminal=False, patience=0.5)
    assert not path.exists()
    os.kill(second, signal.SIGCONT)
    assert until(lambda: not _runs(second))


def test_several_first_questions_at_once_start_one(own: Resident) -> None:
    command = [PROGRAM, "query", "rotate keys", "--mode", "lexical", "--jsonl"]
    asking = [subprocess.Popen(command, env=own.program.environment, stdout=subprocess.PIPE) for _ in range(4)]
    printed = {one.communicate(timeout=60)[0] for one in asking}
    assert len(printed) == 1
    assert b"rotate_keys" in printed.pop()
    state = own.state
    assert state is not None
    assert state["requests"] == 4


def test_serve(own: Resident) -> None:
    def serve(*arguments: str) -> tuple[int, str]:
        done = own.program.run("serve", *arguments)
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
    assert serve("--json")[0] == 2


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_serve_in_the_foreground(own: Resident, number: int, code: int) -> None:
    environment = {**own.program.environment, "KOSEARCH_INDEX": "none"}  # it then loads nothing ahead
    with subprocess.Popen(
        [PROGRAM, "serve"], env=environment, stderr=subprocess.PIPE, text=True, encoding="utf-8"
    ) as serving:
        assert serving.stderr is not None
        assert "ready for questions" in serving.stderr.readline()
        assert "rotate_keys" in own.ask()
        state = own.state
        assert state is not None
        assert (state["pid"], state["requests"]) == (serving.pid, 1)
        serving.send_signal(number)
        assert serving.wait(10) == code
        assert serving.stderr.read() == ""
    assert own.state is None
    assert not list((own.runtime / "kosearch").iterdir())


def test_it_is_switched_off(own: Resident) -> None:
    off = replace(
        own, program=replace(own.program, environment={**own.program.environment, "KOSEARCH_RESIDENT": "off"})
    )
    assert "rotate_keys" in off.ask()
    assert "rotate_keys" in own.ask("--no-resident")
    assert not list(own.runtime.iterdir())


def test_without_a_place_for_a_socket_a_question_is_answered_all_the_same(own: Resident) -> None:
    (own.runtime / "kosearch").mkdir(mode=0o755)
    assert "rotate_keys" in own.ask()
    environment = {**own.program.environment, "KOSEARCH_DEBUG": "1"}
    loud = replace(own.program, environment=environment).run("query", "rotate keys", "--mode", "lexical")
    assert "answered in this process" in loud.stderr
    detached = own.program.run("serve", "--detach")
    assert (detached.returncode, "XDG_RUNTIME_DIR" in detached.stderr) == (70, True)


def _runs(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    stat = Path(f"/proc/{pid}/stat")
    return not stat.exists() or stat.read_text(encoding="utf-8").rpartition(")")[2].split()[0] != "Z"
