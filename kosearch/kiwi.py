"""Kiwi, which takes Korean apart: in this process, or in one beside it that was started in time.

Loading it takes a second of a cold question, half of all, and holds the interpreter's lock for as long, so that nothing
goes on beside it in a thread. Who knows from the first line that Kiwi will be wanted starts another process, which
loads it while this one is imported, opens the index and loads the model. What it answers is the same.
"""

from __future__ import annotations

import marshal
import os
import signal
import subprocess
import sys
import threading
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, NamedTuple

from kosearch import system

if TYPE_CHECKING:
    from kiwipiepy import Kiwi

_BYTES = 640 << 20
"""What loading takes and what is left for reading, with some more for either."""
_MOST_BYTES = 2 << 30
"""The most that the process beside may allocate, as a worker may."""
_RESERVE = "MIMALLOC_ARENA_RESERVE"
"""See https://microsoft.github.io/mimalloc/environment.html."""
# Neither the user's site nor the working folder: its path is that of the process that starts it.
_BOOTSTRAP = "import sys; sys.path[:] = sys.argv[1:]; from kosearch.kiwi import serve; serve()"
_GONE = (OSError, EOFError, ValueError, TypeError, MemoryError)
"""What comes of reading from a process that has ended."""
_MOST_AHEAD = 1 << 10
"""Characters of a text that is sent before its answer is wanted…"""
_SENT_AHEAD = 2
"""…and how many such: pipes hold them and what comes back, so that neither side waits for the other to read."""
_ENDED = "the process that takes Korean apart has ended"


class Morpheme(NamedTuple):
    """What is read of Kiwi's tokens (https://github.com/bab2min/kiwipiepy#품사-태그)."""

    start: int
    end: int
    form: str
    tag: str = "NNG"
    score: float = 0.0


class EndedError(Exception):
    """The process beside ended while it read a text."""


class Reader:
    """Takes texts apart, with words of the user's own. Threads may share it.

    By the process beside this one where there is one, and no other words are known there; Kiwi is loaded here where
    there is none, and where that ends before it has answered.
    """

    def __init__(self, words: Sequence[str], *, is_careful: bool = False) -> None:
        """One that is careful reads what others wrote: what has ended the process beside is not read here."""
        self._words = tuple(words)
        self._is_careful = is_careful
        self._has_ended = False
        self._loading = threading.Lock()
        self._kiwi: Kiwi | None = None

    @property
    def is_coming(self) -> bool:
        """Whether Kiwi is being loaded beside this process, which may do something else meanwhile."""
        return (beside := self._beside()) is not None and not beside.has_answered

    @property
    def is_beside(self) -> bool:
        """Whether a process beside this one reads, which may begin with a text that comes next."""
        return self._beside() is not None

    def _beside(self) -> _Beside | None:
        """The process beside, if texts are read there."""
        beside = _beside  # another thread may end it
        return beside if self._kiwi is None and beside is not None and beside.knows(self._words) else None

    def __call__(self, text: str) -> Sequence[Morpheme]:
        """The morphemes of a text. Raises MemoryError where Kiwi finds no room, and EndedError if it is careful."""
        if self._has_ended:
            raise EndedError(_ENDED)
        if (beside := self._beside()) is not None:
            answered = beside.has_answered
            try:
                return beside.read(self._words, text)
            except _GONE as error:
                if answered and self._is_careful:
                    self._has_ended = True
                    raise EndedError(_ENDED) from error
        with self._loading:
            if self._kiwi is None:
                self._kiwi = _loaded(self._words)
        found: Sequence[Morpheme] = self._kiwi.tokenize(text)
        return found

    def ahead(self, text: str) -> None:
        """Have the process beside begin with a text that comes next, if there is one; it is asked for as any other."""
        if (beside := self._beside()) is not None and len(text) <= _MOST_AHEAD:
            with suppress(*_GONE):  # who asks for the text finds it out
                beside.send(self._words, text)


class _Beside:
    """The process that loads Kiwi. It ends with its input, and so with this process."""

    def __init__(self) -> None:
        self.has_answered = False
        self._owner = os.getpid()
        self._words: tuple[str, ...] | None = None
        self._asking = threading.Lock()
        self._sent = deque[str]()
        """What it has not answered yet, in order…"""
        self._ahead: dict[str, list[Morpheme]] = {}
        """…and answers that nobody has asked for yet."""
        self._process = subprocess.Popen(
            [sys.executable, "-I", "-S", "-c", _BOOTSTRAP, *map(os.path.abspath, sys.path)],
            cwd=os.sep,
            env=system.environment(),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            process_group=0 if os.name == "posix" else None,  # Ctrl-C is this process's to handle
        )

    def knows(self, words: tuple[str, ...]) -> bool:
        """Whether it reads by these words: by those of the first who asks it. Not in a process that was forked."""
        return self._owner == os.getpid() and self._words in (None, words)

    def send(self, words: tuple[str, ...], text: str) -> None:
        """Let it read a text that will be asked for; raises as `read` does."""
        with self._asking, self._ended_by_failure():
            if len(self._sent) < _SENT_AHEAD:
                self._send(words, text)

    def read(self, words: tuple[str, ...], text: str) -> list[Morpheme]:
        """Raises one of `_GONE` where it has come to an end, or is asked with other words by now."""
        with self._asking:
            if not self.knows(words):
                raise ValueError(words)
            if (found := self._ahead.pop(text, None)) is not None:
                return found
            with self._ended_by_failure():
                if text not in self._sent:
                    self._send(words, text)
                while (answered := self._received())[0] != text:
                    self._keep(*answered)
            self.has_answered = True
            return answered[1]

    @contextmanager
    def _ended_by_failure(self) -> Iterator[None]:
        try:
            yield
        except BaseException:  # whatever it was, what comes next would be the answer to something else
            self.end()
            raise

    def _send(self, words: tuple[str, ...], text: str) -> None:
        assert self._process.stdin is not None
        if self._words is None:
            marshal.dump(words, self._process.stdin)
            self._words = words
        marshal.dump(text, self._process.stdin)
        self._process.stdin.flush()
        self._sent.append(text)

    def _received(self) -> tuple[str, list[Morpheme]]:
        """The next answer, and to what."""
        assert self._process.stdout is not None
        found = [Morpheme(*one) for one in marshal.load(self._process.stdout)]
        return self._sent.popleft(), found

    def _keep(self, text: str, found: list[Morpheme]) -> None:
        self._ahead[text] = found
        for one in list(self._ahead)[:-_SENT_AHEAD]:
            del self._ahead[one]

    def end(self) -> None:
        """Kill it. Nobody waits until it is gone."""
        _forget(self)
        self._process.kill()
        threading.Thread(target=self._clear, daemon=True).start()

    def _clear(self) -> None:
        with suppress(OSError, ValueError):
            self._process.communicate()


_beside: _Beside | None = None
"""The one that was started…"""
_starting = threading.Lock()
"""…and who may change that."""


def has_hangul(text: str) -> bool:
    """Whether a question needs Kiwi; see `terms.is_korean` for texts."""
    return any("가" <= letter <= "힣" for letter in text)


def start() -> bool:
    """Have Kiwi loaded beside this process; whether that was not so before.

    Nothing is done on a single core, where it would gain nothing, and where this process may not take more memory.
    """
    global _beside  # noqa: PLW0603 - it belongs to the process, which has not imported those who will ask yet
    with _starting:
        if _beside is not None or system.usable_cores() == 1 or system.is_short_of_memory():
            return False
        with suppress(OSError):  # it is loaded here, then
            _beside = _Beside()
            return True
        return False


def end() -> None:
    """End what was started, whether it has loaded Kiwi or not."""
    if (beside := _beside) is not None:
        beside.end()


def _forget(beside: _Beside) -> None:
    global _beside  # noqa: PLW0603 - see above
    with _starting:
        if _beside is beside:
            _beside = None


def _forked() -> None:
    global _beside, _starting
    _beside, _starting = None, threading.Lock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forked)


def serve() -> None:
    """The side of the process beside: read until the other one is gone. Nothing printed here reaches that one."""
    requests, answers = os.fdopen(os.dup(0), "rb"), os.fdopen(os.dup(1), "wb")
    null = os.open(os.devnull, os.O_RDWR)
    os.dup2(null, 0)
    os.dup2(null, 1)
    system.reset_signals()
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    system.limit_memory(_MOST_BYTES)
    kiwi = _loaded(())
    kiwi.tokenize("가")
    try:
        for word in marshal.load(requests):
            kiwi.add_user_word(word)
        while True:
            tokens = kiwi.tokenize(marshal.load(requests))
            marshal.dump([(one.start, one.end, one.form, one.tag, one.score) for one in tokens], answers)
            answers.flush()
    except (EOFError, OSError):
        os._exit(0)  # nobody waits for what Python tidies up


def _loaded(words: Sequence[str]) -> Kiwi:
    """Kiwi, with no more address space than it needs. Raises MemoryError, where it would end the process."""
    left = system.address_space()
    if left is not None and left < _BYTES:
        raise MemoryError(f"reading Korean takes {_BYTES >> 20} MB of address space")
    before = os.environ.get(_RESERVE)
    os.environ[_RESERVE] = "64M"  # or its allocator reserves a GiB, half of what a worker may have
    try:
        from kiwipiepy import Kiwi

        # The dictionary of foreign names takes two seconds more to load, and no figure was better for it.
        kiwi = Kiwi(num_workers=1, load_multi_dict=False)
    finally:
        if before is None:
            del os.environ[_RESERVE]
        else:
            os.environ[_RESERVE] = before
    for word in words:
        kiwi.add_user_word(word)
    return kiwi
