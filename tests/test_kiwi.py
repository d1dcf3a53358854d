"""Kiwi in a process beside this one reads what it reads here, and is nobody's loss when it ends."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from kosearch import kiwi, system
from kosearch.kiwi import Reader
from kosearch.terms import Analyzer

TEXTS = (
    "연차는 며칠까지 이월할 수 있나요",
    "",
    " \n\t",
    "가",
    "시·도지사가 정한 바에 따른다 1억 2천만원",
    "한글과 𝟘 😀 섞어 쓰기\x00끝",
    "보안취약점 점검표를 2024년 3월 5일까지 " * 400,
)


@pytest.fixture
def beside(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    kiwi.end()
    monkeypatch.setattr(system, "usable_cores", lambda: 2)
    monkeypatch.setattr(system, "is_short_of_memory", lambda: False)
    assert kiwi.start()
    yield
    kiwi.end()


def pid() -> int:
    assert kiwi._beside is not None
    return kiwi._beside._process.pid


def read(reader: Reader, text: str) -> list[tuple[int, int, str, str, float]]:
    return [(one.start, one.end, one.form, one.tag, one.score) for one in reader(text)]


def test_it_reads_what_is_read_here(beside: None) -> None:
    there, too, here = Reader(()), Reader(()), Reader(())
    here._kiwi = kiwi._loaded(())
    assert there.is_coming
    for text in TEXTS:
        assert read(there, text) == read(here, text) == read(too, text)
    assert not there.is_coming
    assert there._kiwi is None


def test_words_of_the_users_own_are_known_there_too(beside: None) -> None:
    words = ("통합프레임워크", "쿠버네티스")
    there, here, other = Reader(words), Reader(words), Reader(())
    here._kiwi = kiwi._loaded(words)
    text = "통합프레임워크와 쿠버네티스의 설정"
    assert read(there, text) == read(here, text)
    assert "통합프레임워크" in {form for _, _, form, _, _ in read(there, text)}
    assert "통합프레임워크" not in {form for _, _, form, _, _ in read(other, text)}, "others have a Kiwi of their own"


def test_an_interrupted_answer_is_nobody_elses(beside: None, monkeypatch: pytest.MonkeyPatch) -> None:
    reader, load = Reader(()), kiwi.marshal.load

    def interrupted(_: Any) -> Any:
        raise KeyboardInterrupt

    monkeypatch.setattr(kiwi.marshal, "load", interrupted)
    with pytest.raises(KeyboardInterrupt):
        reader("출산 지원금")
    monkeypatch.setattr(kiwi.marshal, "load", load)
    assert [one.form for one in reader("육아 휴직")] == ["육아", "휴직"]


def test_threads_and_forks_have_their_own_answers(beside: None) -> None:
    texts = [f"{word} {number}호" for number, word in enumerate(["연차", "휴직", "출산", "보안"] * 30)]
    alone = kiwi._loaded(())
    expected = [[one.form for one in alone.tokenize(text)] for text in texts]
    shared = Reader(())
    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(lambda text: [one.form for one in shared(text)], texts)) == expected
    child = os.fork()
    if not child:
        found = [[one.form for one in shared(text)] for text in texts]
        os._exit(0 if found == expected and shared._kiwi is not None else 1)
    assert [[one.form for one in shared(text)] for text in texts] == expected
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


def test_what_is_sent_ahead_is_read_as_ever(beside: None) -> None:
    texts = [f"{word} {number}호" for number, word in enumerate(["연차", "휴직", "출산", "보안"] * 5)]
    here, there = kiwi._loaded(()), Reader(())

    def same(text: str) -> bool:
        return [one.form for one in there(text)] == [one.form for one in here.tokenize(text)]

    for text, coming in pairwise(texts):
        there.ahead(coming)
        assert same(text)
    for text in texts:  # more than it takes, some asked for never, and in another order
        there.ahead(text)
    there.ahead("휴가 " * 10_000)
    assert all(map(same, reversed(texts)))
    assert not there.is_coming
    assert there._kiwi is None
    assert kiwi._beside is not None
    assert len(kiwi._beside._sent) + len(kiwi._beside._ahead) <= 2 * kiwi._SENT_AHEAD


def test_what_was_sent_ahead_to_one_that_ends_is_read_here(beside: None) -> None:
    reader = Reader(())
    reader("연차")
    reader.ahead("육아 휴직")
    os.kill(pid(), signal.SIGKILL)
    for _ in range(50):
        reader.ahead("출산 지원금")
    assert [one.form for one in reader("육아 휴직")] == ["육아", "휴직"]


def test_questions_in_turn_are_those_one_by_one(beside: None) -> None:
    texts = ["연차 이월", "what is leave?", "", "연차 이월", '"출산 지원금" -휴가', "ㅇㅊ", "商法 제3조", "육아휴직"]
    alone, together = Analyzer(), Analyzer()
    alone._kiwi = Reader(())
    alone._kiwi._kiwi = kiwi._loaded(())
    for text in together.in_turn(texts):
        assert together.question(text) == alone.question(text)
    assert list(together.in_turn([])) == []


def test_what_ends_it_is_not_read_here_by_who_is_careful(beside: None) -> None:
    careful = Reader((), is_careful=True)
    careful("연차")
    os.kill(pid(), signal.SIGKILL)
    for _ in range(2):
        with pytest.raises(kiwi.EndedError):
            careful("휴직")
    assert careful._kiwi is None


@pytest.mark.parametrize("when", ["before it has loaded", "after an answer"])
def test_where_it_is_killed_kiwi_is_loaded_here(beside: None, when: str) -> None:
    analyzer = Analyzer()
    if when == "after an answer":
        analyzer.question("출산 지원금")
    os.kill(pid(), signal.SIGKILL)
    assert list(analyzer.question("연차를 이월할 수 있나요").terms["morphemes"]) == ["연차", "이월"]
    assert list(analyzer.question("육아 휴직").terms["morphemes"]) == ["육아", "휴직"]


def test_it_is_started_where_it_gains_something(monkeypatch: pytest.MonkeyPatch) -> None:
    kiwi.end()
    monkeypatch.setattr(system, "is_short_of_memory", lambda: False)
    monkeypatch.setattr(system, "usable_cores", lambda: 1)
    assert not kiwi.start()
    monkeypatch.setattr(system, "usable_cores", lambda: 2)
    monkeypatch.setattr(system, "is_short_of_memory", lambda: True)
    assert not kiwi.start()
    assert kiwi._beside is None


def test_what_was_ended_may_be_started_again(beside: None) -> None:
    first = pid()
    assert not kiwi.start(), "there is one"
    kiwi.end()
    assert kiwi._beside is None
    assert kiwi.start()
    assert pid() != first


@pytest.mark.parametrize(
    "ending", ["os.kill(os.getpid(), 9)", "os._exit(0)", "time.sleep(1.5); os.kill(os.getpid(), 9)"]
)
def test_it_ends_with_the_process_that_started_it(ending: str) -> None:
    program = (
        "import os, time\nfrom kosearch import kiwi, system\nsystem.usable_cores = lambda: 2\nkiwi.start()\n"
        f"print(kiwi._beside._process.pid, flush=True)\n{ending}"
    )
    # Its output is a pipe, whose end this waits for: what runs on must not hold it.
    began = time.monotonic()
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert time.monotonic() - began < 10
    number = int(done.stdout)
    ends = time.monotonic() + 20
    while time.monotonic() < ends and _runs(number):
        time.sleep(0.05)
    assert not _runs(number)


def _runs(number: int) -> bool:
    try:
        return Path(f"/proc/{number}/stat").read_text().rsplit(")", 1)[1].split()[0] != "Z"
    except FileNotFoundError:
        return False
