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
from functools import cached_property
from typing import TYPE_CHECKING, Any

from kosearch.config import Settings
from kosearch.errors import ResourcesError
from kosearch.resident import launcher, protocol

if TYPE_CHECKING:
    from kosearch.agents.here import Here

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
    """What is asked of one index, or of several as one."""

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

    def begin(self) -> None:
        """Have the warm process started, and the index loaded there, while this one does something else."""
        self._threads.submit(self._warmed_up)

    def _warmed_up(self) -> None:
        if self._settings.resident:
            with suppress(launcher.Unavailable):
                self._by_warm_process([self._settings.index], Wish(["가"], k=1), protocol.STARTING)

    def answers(self, indexes: Sequence[str], wish: Wish) -> dict[str, Any]:
        """The answers to all questions, within LONGEST. Raises KosearchError."""
        began = time.monotonic()
        asked = self._threads.submit(self._by_meaning, indexes, wish)
        if _is_done([asked], began + PREPARING):
            return asked.result()
        words = self._threads.submit(self._by_words, indexes, wish)
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

    def _by_meaning(self, indexes: Sequence[str], wish: Wish) -> dict[str, Any]:
        if self._settings.resident:
            with suppress(launcher.Unavailable):  # errors in the question too: this process then meets them itself
                return self._by_warm_process(indexes, wish, LONGEST)
        return self._here.by_meaning(indexes, wish)

    def _by_words(self, indexes: Sequence[str], wish: Wish) -> dict[str, Any]:
        return self._here.by_words(indexes, wish)

    @cached_property
    def _here(self) -> Here:
        """Answers in this process. Imported when first wanted, for the warm process is to be started before."""
        from kosearch.agents.here import Here

        return Here(self._settings, self._cwd, _MOST)

    def _by_warm_process(self, indexes: Sequence[str], wish: Wish, patience: float) -> dict[str, Any]:
        settings = replace(self._settings, index=indexes[0])
        argv = ["query", "--brief", f"--max-bytes={_MOST}", *(f"--index={one}" for one in indexes)]
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


def _is_done(futures: Sequence[Future[Any]], ends: float) -> bool:
    """Wait for the first of them until that time; whether there is one."""
    return bool(wait(futures, max(0.0, ends - time.monotonic()), FIRST_COMPLETED).done)


def _with_warning(found: Mapping[str, Any], text: str) -> dict[str, Any]:
    answers = [{**one, "warnings": [text, *one.get("warnings", ())]} for one in found["answers"]]
    return {**found, "answers": answers}
