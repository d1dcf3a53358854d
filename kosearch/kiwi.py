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
from collections.abc import Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, NamedTuple

from kosearch import system

if TYPE_CHECKING:
    from kiwipiepy import Kiwi

_BYTES = 640 << 20
"""What loading takes and what is left for reading, with some more for either."""
_RESERVE = "MIMALLOC_ARENA_RESERVE"
"""See https://microsoft.github.io/mimalloc/environment.html."""
# Neither the user's site nor the working folder: its path is that of the process that starts it.
_BOOTSTRAP = "import sys; sys.path[:] = sys.argv[1:]; from kosearch.kiwi import serve; serve()"


class Morpheme(NamedTuple):
    """What is read of Kiwi's tokens (https://github.com/bab2min/kiwipiepy#품사-태그)."""

    start: int
    end: int
    form: str
    tag: str = "NNG"
    score: float = 0.0


class Reader:
    """Takes texts apart, with words of the user's own. Threads may share it.

    What was started beside this process serves the first who asks; Kiwi is loaded here where there is nothing, and
    where that ends.
    """

    def __init__(self, words: Sequence[str]) -> None:
        self._words = words
        self._lock = threading.Lock()
        self._beside = _unasked()
        self._kiwi: Kiwi | None = None

    @property
    def is_coming(self) -> bool:
        """Whether Kiwi is being loaded beside this process, which may do something else meanwhile."""
        return self._beside is not None and not self._beside.has_answered

    def __call__(self, text: str) -> Sequence[Morpheme]:
        """The morphemes of a text. Raises MemoryError where Kiwi finds no room."""
        with self._lock:
            if self._beside is not None:
                try:
                    return self._beside.read(self._words, text)
                except (OSError, EOFError, ValueError, TypeError):  # it was ended, or has no room
                    self._beside.end()
                    self._beside = None
            if self._kiwi is None:
                self._kiwi = _loaded(self._words)
        found: Sequence[Morpheme] = self._kiwi.tokenize(text)
        return found


class _Beside:
    """The process that loads Kiwi. It ends with its input, and so with this process."""

    def __init__(self) -> None:
        self.is_asked = self.has_answered = False
        self._process = subprocess.Popen(
            [sys.executable, "-I", "-S", "-c", _BOOTSTRAP, *map(os.path.abspath, sys.path)],
            cwd=os.sep,
            env=system.environment(),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            process_group=0 if os.name == "posix" else None,  # Ctrl-C is this process's to handle
        )

    def read(self, words: Sequence[str], text: str) -> list[Morpheme]:
        """Raises OSError, EOFError, ValueError, TypeError where it has come to an end."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        if not self.has_answered:
            marshal.dump(tuple(words), self._process.stdin)
        marshal.dump(text, self._process.stdin)
        self._process.stdin.flush()
        found = [Morpheme(*one) for one in marshal.load(self._process.stdout)]
        self.has_answered = True
        return found

    def end(self, *, wait: bool = True) -> None:
        """Kill it. Where this process ends too, nothing is waited for."""
        self._process.kill()
        if wait:
            self._process.communicate()


_beside: _Beside | None = None
"""The one that was started."""


def is_korean(text: str) -> bool:
    """Whether there is Hangul in it, without which nobody needs Kiwi."""
    return any("가" <= letter <= "힣" for letter in text)


def start() -> None:
    """Have Kiwi loaded beside this process, for the first `Reader` that is made.

    Nothing is done on a single core, where it would gain nothing, and where this process may not take more memory.
    """
    global _beside  # noqa: PLW0603 - it belongs to the process, which has not imported those who will ask yet
    if _beside is None and system.usable_cores() > 1 and system.address_space() is None:
        with suppress(OSError):  # it is loaded here, then
            _beside = _Beside()


def end() -> None:
    """End what was started, whether it has loaded Kiwi or not: this process is about to end."""
    if _beside is not None:
        _beside.end(wait=False)


def end_unasked() -> None:
    """End what was started, if nobody has asked it: no `Reader` here will be wanted after all."""
    global _beside  # noqa: PLW0603 - see above
    if _beside is not None and not _beside.is_asked:
        _beside.end()
        _beside = None


def _unasked() -> _Beside | None:
    """What was started, for the first who asks."""
    if _beside is None or _beside.is_asked:
        return None
    _beside.is_asked = True
    return _beside


def serve() -> None:
    """The side of the process beside: read until the other one is gone. Nothing printed here reaches that one."""
    requests, answers = os.fdopen(os.dup(0), "rb"), os.fdopen(os.dup(1), "wb")
    null = os.open(os.devnull, os.O_RDWR)
    os.dup2(null, 0)
    os.dup2(null, 1)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
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
