"""How the warm process keeps indexes up to date: it has Kiwi and the model, so that one changed file costs little.

A file is read in a process of its own, as always, which a bad one may crash; it is cut, analysed and embedded here.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from kosearch.processing import CuttingPool, FileProcessor
from kosearch.reading import Extracts, FileExtractor, Job, Processed
from kosearch.workers import Pool

LOOKS = 2.0
"""Seconds between two walks for questions."""
_REST = 10.0
"""Times as long as a walk took, until the next one: very many files cost a question no more than few."""
_WALK = 1.0
"""Seconds that a question waits for a walk."""
_KEPT = 60.0
"""Seconds that the process which reads is kept after its last file."""


Refresh = Callable[[float, Callable[[int], None]], int]
"""`Index.refresh`."""


class Reader:
    """The process that reads files for all indexes, started for the first one. May be used from any thread."""

    def __init__(self, deadline: float) -> None:
        self._deadline = deadline
        self._lock = threading.Lock()
        self._extractor: FileExtractor | None = None
        self._pool: Pool[Job, Extracts | Processed] | None = None
        self._used = 0.0

    @contextmanager
    def pool(self, processor: FileProcessor) -> Iterator[CuttingPool]:
        """For one run at a time: another one meanwhile has a process of its own."""
        if not self._lock.acquire(blocking=False):
            with Pool(processor.extractor, 1, deadline=self._deadline) as pool:
                yield CuttingPool(pool, processor)
            return
        try:
            if self._pool is None or self._extractor != processor.extractor:
                self._close()
                self._extractor = processor.extractor
                self._pool = Pool(processor.extractor, 1, deadline=self._deadline)
            yield CuttingPool(self._pool, processor)
        finally:
            self._used = time.monotonic()
            self._lock.release()

    def rest(self) -> None:
        """End the process where it was not used for a while."""
        if self._pool is not None and self._lock.acquire(blocking=False):
            try:
                if time.monotonic() - self._used > _KEPT:
                    self._close()
            finally:
                self._lock.release()

    def _close(self) -> None:
        if self._pool is not None:
            self._pool.close()
        self._pool = None


class Freshness:
    """How far one index is behind its files, as it was last seen. May be used from any thread."""

    def __init__(self, refresh: Refresh) -> None:
        self._refresh = refresh
        self._looking = threading.Lock()
        self._next = float("-inf")
        """When a question looks again."""
        self.behind = 0
        """Files that changed since."""

    def looked(self, seconds: float) -> int:
        """Bring the index up to date where that takes no longer, unless it was just done; how far it is behind.

        Nobody is held up by whoever does it already, by a walk of very many files, or by a file that takes long after
        all: then it goes on beside the answer.
        """
        if self._looking.acquire(blocking=False):
            if time.monotonic() < self._next:
                self._looking.release()
            else:
                walked, ended = threading.Event(), threading.Event()
                threading.Thread(target=self._beside, args=(seconds, walked, ended), daemon=True).start()
                if walked.wait(_WALK):
                    ended.wait(seconds + 1)
        return self.behind

    def updated(self, seconds: float) -> int:
        """The same whenever it is called, and to its end: for who knows that something has changed."""
        with self._looking:
            self._look(seconds, threading.Event())
        return self.behind

    @contextmanager
    def paused(self) -> Iterator[None]:
        """While somebody else writes to the index; the next question looks again."""
        with self._looking:
            yield
            self._next, self.behind = float("-inf"), 0

    def _beside(self, seconds: float, walked: threading.Event, ended: threading.Event) -> None:
        try:
            self._look(seconds, walked)
        finally:
            self._looking.release()
            walked.set()
            ended.set()

    def _look(self, seconds: float, walked: threading.Event) -> None:
        began = time.monotonic()

        def seen(count: int) -> None:
            self.behind = count
            self._next = time.monotonic() + max(LOOKS, _REST * (time.monotonic() - began))
            walked.set()

        try:
            self.behind = self._refresh(seconds, seen)
        except Exception:  # noqa: BLE001 - what is wrong with the index is for the question to say
            self._next = time.monotonic() + LOOKS
