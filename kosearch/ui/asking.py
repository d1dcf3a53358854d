"""Questions of the page: the warm process answers them, which has the model loaded; without one, this process does."""

from __future__ import annotations

import json
import os
import re
import threading
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any

from kosearch.config import Settings
from kosearch.errors import KosearchError, UsageError
from kosearch.joined import Joined, join
from kosearch.library import Index
from kosearch.records import Answer
from kosearch.resident import launcher, protocol
from kosearch.searching import shared_spans

MOST_HITS = 200
_LONGEST_EXCERPT = 320
_HEADING = re.compile(r"^#{1,6}[ \t]+", re.MULTILINE)
_SPECIAL = re.compile(r"([*?\[\\])")

AsJson = Callable[[Answer], dict[str, Any]]
"""An answer as `kosearch query --json` prints it."""


@dataclass(frozen=True, slots=True)
class Wish:
    """What the page asks."""

    question: str
    mode: str | None = None
    """hybrid, dense or lexical; None is what the settings say."""
    k: int = 30
    types: tuple[str, ...] = ()
    folder: str = ""
    """As a hit names it."""
    year: str = ""
    group: bool = False

    @property
    def paths(self) -> tuple[str, ...]:
        """The folder as a glob that fits all below it and nothing else."""
        return (_SPECIAL.sub(r"\\\1", self.folder.rstrip("/")) + "/**",) if self.folder else ()


class Asker:
    """Answers questions to one index, or to several as one. May be called from any thread."""

    def __init__(self, indexes: Mapping[str, Index], as_json: AsJson) -> None:
        self._indexes = tuple(indexes.values())
        self._settings: Settings = self._indexes[0].settings
        self._as_json = as_json
        self._lock = threading.Lock()
        self._library: Index | Joined | None = None

    def begin(self) -> None:
        """Have the warm process started and the index loaded there, in a thread of its own."""
        threading.Thread(target=self._warmed_up, name="warm up", daemon=True).start()

    def _warmed_up(self) -> None:
        with suppress(KosearchError, launcher.Unavailable):
            if self._settings.resident and all(one.exists for one in self._indexes):
                self._by_warm_process(Wish("가", k=1), protocol.STARTING)

    def answer(self, wish: Wish) -> dict[str, Any]:
        """The answer as `query --json` has it. Raises KosearchError."""
        if self._settings.resident:
            with suppress(launcher.Unavailable):  # errors in the question too: this process then meets them itself
                return self._by_warm_process(wish, protocol.PATIENCE)
        return self._as_json(self._here(wish))

    def _here(self, wish: Wish) -> Answer:
        with self._lock:
            if self._library is None:
                self._library = self._indexes[0] if len(self._indexes) == 1 else join(*self._indexes)
        return self._library.search(
            wish.question,
            k=wish.k,
            mode=wish.mode,
            path=wish.paths,
            type=wish.types,
            after=wish.year or None,
            before=wish.year or None,
            group=wish.group,
        )

    def _by_warm_process(self, wish: Wish, patience: float) -> dict[str, Any]:
        argv = ["query", "--json", "--refresh=0", f"-k{wish.k}"]  # the page refreshes when it is told to
        argv += [f"--index={one.settings.index}" for one in self._indexes]
        argv += [f"--mode={wish.mode}"] if wish.mode else []
        argv += [f"--path={one}" for one in wish.paths] + [f"--type={one}" for one in wish.types]
        argv += [f"--after={wish.year}", f"--before={wish.year}"] if wish.year else []
        argv += ["--group"] if wish.group else []
        reply = launcher.run(
            self._settings, argv, os.environ, terminal=False, questions=[wish.question], patience=patience
        )
        try:
            found: dict[str, Any] = json.loads(reply.stdout)["answers"][0]
        except (ValueError, LookupError) as error:
            raise launcher.Unavailable(str(error)) from error
        return found


def wish_of(parameters: Mapping[str, str], types: Sequence[str]) -> Wish:
    """What a request's parameters ask. Raises UsageError."""
    mode, k = parameters.get("mode") or None, parameters.get("k", "30")
    if mode not in (None, "lexical", "hybrid", "dense"):
        raise UsageError(f"there is no mode {mode!r}", "lexical, hybrid or dense")
    if not re.fullmatch(r"[1-9]\d{0,2}", k) or int(k) > MOST_HITS:
        raise UsageError(f"k is a number up to {MOST_HITS}")
    year = parameters.get("year", "")
    if year and not re.fullmatch(r"\d{4}", year):
        raise UsageError("a year has four digits")
    question = parameters.get("q", "").strip()
    if not question:
        raise UsageError("there is no question")
    return replace(
        Wish(question),
        mode=mode,
        k=int(k),
        types=tuple(types),
        folder=parameters.get("folder", ""),
        year=year,
        group=parameters.get("group") == "1",
    )


def excerpt(hit: Mapping[str, Any], question: str) -> list[tuple[str, bool]]:
    """The part of a hit that answers best, as runs of text and whether the question has them too."""
    first = hit["best"][0] - hit["start"]
    part = hit["text"][first : hit["best"][1] - hit["start"]]
    plain = _HEADING.sub("", part) if hit["type"] == "markdown" else part
    body = " ".join(plain.split())[:_LONGEST_EXCERPT]
    runs: list[tuple[str, bool]] = []
    place = 0
    for start, end in shared_spans(body, question):
        runs += [(body[place:start], False), (body[start:end], True)]
        place = end
    runs.append((body[place:], False))
    return [("… ", False)] * (first > 0) + [run for run in runs if run[0]]
