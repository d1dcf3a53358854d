"""Questions of agents: the warm process answers, which loads the model once for all of them.

An agent waits for no model: where there is no answer after some seconds, there is one by words alone.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from kosearch.config import Settings
from kosearch.errors import ResourcesError
from kosearch.resident import launcher, protocol

if TYPE_CHECKING:
    from kosearch.library import Index

PREPARING = 2.5
"""Seconds without an answer after which one by words alone is sought as well…"""
WORDS_ONLY = 5.0
"""…after which that is taken…"""
LONGEST = 9.5
"""…and after which there is none."""
_INDEXING = 60.0
"""Seconds that some files may take to be indexed."""
_MOST = 64_000
"""Bytes of an answer before it is cut for the agent."""


@dataclass(frozen=True, slots=True)
class Wish:
    """What is asked of an index."""

    questions: Sequence[str]
    k: int = 8
    offset: int = 0
    mode: str | None = None
    path: Sequence[str] = ()
    type: Sequence[str] = ()
    after: str | None = None
    before: str | None = None


class Asker:
    """Answers as `brief.answers` makes them. May be called from any thread."""

    def __init__(self, settings: Settings, cwd: str) -> None:
        self._settings = settings
        self._cwd = cwd
        self._threads = ThreadPoolExecutor(8, "ask")
        self._indexes: dict[str, Index] = {}

    def begin(self) -> None:
        """Have the warm process started, and the index loaded there, while this one does something else."""
        self._threads.submit(self._warmed_up)

    def _warmed_up(self) -> None:
        if self._settings.resident:
            with suppress(launcher.Unavailable):
                self._by_warm_process(self._settings, Wish(["가"], k=1), protocol.STARTING)

    def answers(self, index: str, wish: Wish) -> dict[str, Any]:
        """The answers to all questions, within LONGEST. Raises KosearchError."""
        began = time.monotonic()
        settings = replace(self._settings, index=index)
        asked = self._threads.submit(self._by_meaning, settings, wish)
        if _is_done([asked], began + PREPARING):
            return asked.result()
        words = self._threads.submit(self._here, settings, replace(wish, mode="lexical"))
        if _is_done([asked], began + WORDS_ONLY):
            return asked.result()
        _is_done([asked, words], began + LONGEST)
        if asked.done():
            return asked.result()
        if words.done():
            return _with_warning(words.result(), "the model is still being loaded: hits by words only; ask again")
        raise ResourcesError(f"no answer within {LONGEST:.0f} s: the machine is busy", "ask again in a moment")

    def refreshed(self, index: str) -> dict[str, Any] | None:
        """What the warm process did to bring an index up to date; None where that is much, or there is none."""
        settings = replace(self._settings, index=index)
        if settings.resident:
            with suppress(launcher.Unavailable, ValueError):
                argv = ["index", "--json", "--quiet", f"--index={index}"]
                reply = launcher.run(settings, argv, os.environ, terminal=False, patience=_INDEXING)
                found: dict[str, Any] = json.loads(reply.stdout)
                return found
        return None

    def _by_meaning(self, settings: Settings, wish: Wish) -> dict[str, Any]:
        if settings.resident:
            with suppress(launcher.Unavailable):  # errors in the question too: this process then meets them itself
                return self._by_warm_process(settings, wish, LONGEST)
        return self._here(settings, wish)

    def _by_warm_process(self, settings: Settings, wish: Wish, patience: float) -> dict[str, Any]:
        argv = ["query", "--brief", f"--max-bytes={_MOST}", f"--index={settings.index}"]
        argv += [f"-k{wish.k}", f"--offset={wish.offset}"]
        for name in ("mode", "after", "before"):
            if (value := getattr(wish, name)) is not None:
                argv.append(f"--{name}={value}")
        argv += [f"--path={one}" for one in wish.path] + [f"--type={one}" for one in wish.type]
        reply = launcher.run(
            settings, argv, os.environ, terminal=False, questions=list(wish.questions), patience=patience
        )
        try:
            found: dict[str, Any] = json.loads(reply.stdout)
        except ValueError as error:
            raise launcher.Unavailable(str(error)) from error
        return found

    def _here(self, settings: Settings, wish: Wish) -> dict[str, Any]:
        from kosearch.agents import brief
        from kosearch.library import Index

        index = self._indexes.setdefault(settings.index, Index(settings, questions=len(wish.questions)))
        try:
            found = index.search(
                list(wish.questions),
                k=wish.offset + wish.k,
                mode=wish.mode,
                path=wish.path,
                type=wish.type,
                after=wish.after,
                before=wish.before,
            )
        except Exception:
            index.close()  # whatever it was, the next question opens it anew
            raise
        return brief.answers(found, wish.offset, wish.k, _MOST, self._cwd, many=True)


def _is_done(futures: Sequence[Future[Any]], ends: float) -> bool:
    """Wait for the first of them until that time; whether there is one."""
    return bool(wait(futures, max(0.0, ends - time.monotonic()), FIRST_COMPLETED).done)


def _with_warning(found: Mapping[str, Any], text: str) -> dict[str, Any]:
    answers = [{**one, "warnings": [text, *one.get("warnings", ())]} for one in found["answers"]]
    return {**found, "answers": answers}
