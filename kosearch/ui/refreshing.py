"""Runs of indexing that the page begins, one at a time, and how far they are: a page that comes later sees the same."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from contextlib import suppress
from typing import Any

from kosearch.errors import IndexBusy, KosearchError
from kosearch.library import Index
from kosearch.records import IndexProgress, IndexReport


class Refresher:
    """Runs `Index.indexing` in a thread. May be called from any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None
        self.state: dict[str, Any] = {"is": "idle"}
        """idle; running, with counts; done, with the report's; failed, with why."""

    def start(self, index: Index, paths: Sequence[str] = ()) -> None:
        """Begin a run: of these paths, or of all that were indexed. Raises IndexBusy where one is going on."""
        with self._lock:
            if self._thread is not None and self._thread.is_alive():
                raise IndexBusy("this page is indexing already", "wait for it to end")
            self.state = {"is": "running", "done": 0, "total": 0, "walking": True}
            self._thread = threading.Thread(target=self._run, args=(index, paths), name="refresh", daemon=True)
            self._thread.start()

    def _run(self, shown: Index, paths: Sequence[str]) -> None:
        index = Index(shown.settings)  # what it loads to embed many passages goes with it
        try:
            run = index.indexing(*paths)
            for step in run:
                self.state = _running(step)
            self.state = _done(run.report)
        except KosearchError as error:
            self.state = {"is": "failed", "error": error.message, "hint": error.hint}
        except Exception as error:  # noqa: BLE001 - whatever it is, the page is told, and the server goes on
            self.state = {"is": "failed", "error": f"unexpected {type(error).__name__}", "hint": "kosearch index"}
        finally:
            with suppress(Exception):
                index.close()


def _running(step: IndexProgress) -> dict[str, Any]:
    return {
        "is": "running",
        "done": step.files_done,
        "total": step.files_total,
        "passages": step.passages,
        "embedded": step.embedded + step.reused,
        "pictures_done": step.pictures_done,
        "pictures_total": step.pictures_total,
        "walking": step.walking,
        "note": step.note,
    }


def _done(report: IndexReport) -> dict[str, Any]:
    return {
        "is": "done",
        "added": report.added,
        "changed": report.changed,
        "removed": report.removed,
        "unchanged": report.unchanged,
        "skipped": len(report.skipped),
    }
