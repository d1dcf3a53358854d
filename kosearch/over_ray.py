"""One run of indexing by the nodes of a Ray cluster: each takes parts of the files, and this process alone reports.

A part is what `--part` takes: what was committed of it is not done again, so one whose node died goes to another. Each
node is taken whole, one embedder a GPU where it has some, and one where it has none. Nodes that join are used as well.
Alone knows the package `ray`, and only where its cluster is named.
"""

from __future__ import annotations

import logging
import os
import time
from collections import deque
from collections.abc import Generator, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, fields, replace
from typing import TYPE_CHECKING, Any

from kosearch.config import Database, Settings
from kosearch.errors import KosearchError, ResourcesError, UsageError
from kosearch.index.contract import Globs
from kosearch.library import Index, IndexRun
from kosearch.records import IndexProgress, IndexReport, Skipped

if TYPE_CHECKING:
    from kosearch.processing import FilePool, FileProcessor

PARTS = 4
"""Parts for each embedder: the last of them are short, and so is what a node that died has begun."""
TRIES = 5
"""So many embedders may die of one part before it is given up: a file in it may be what they die of."""
REST_SECONDS = 5.0
"""After an embedder died its node is left alone for so long: the cluster notices only then whether it is there."""
PATIENCE = 60.0
"""So long a node is waited for while there is none."""
STEP_SECONDS = 0.5
"""A node says how far it is about this often."""

Step = IndexProgress | IndexReport | KosearchError | str


@dataclass(frozen=True, slots=True)
class Work:
    """What all nodes do, each with parts of the files."""

    settings: Settings
    roots: Sequence[bytes]
    globs: Globs
    archives: bool
    retry: bool
    reread: bool


def indexing(index: Index, address: str, work: Work, *, pull: bool = False) -> IndexRun:
    """Bring the roots up to date by the cluster at `address`: HOST:PORT, or "auto" on one of its nodes.

    Raises UsageError where there is no such cluster, and where the index is in a folder or no roots are named;
    ResourcesError where no node is left; and what the nodes raise.
    """
    return IndexRun(_steps(index, address, work, pull=pull))


def _steps(index: Index, address: str, work: Work, *, pull: bool) -> Generator[IndexProgress | str, None, IndexReport]:
    if not isinstance(index.place, Database):
        raise UsageError(
            "--ray is for an index that a server keeps: all nodes write to it",
            "kosearch index PATH --ray ADDRESS --index postgresql://USER@HOST/DATABASE",
        )
    if not work.roots:
        raise UsageError("--ray wants to know which folders to index", "kosearch index PATH --ray ADDRESS")
    begun = time.monotonic()
    ray = _connected(address)
    try:
        index.prepare(pull=pull)
        yield from index.renew_terms(wait=True)
        # By one name wherever they are seen from: all nodes see the same folders.
        nodes = _Nodes(ray, replace(work, settings=replace(work.settings, index=index.place.address)))
        report = yield from nodes.run()
    finally:
        ray.shutdown()
    return replace(report, seconds=time.monotonic() - begun)


def _connected(address: str) -> Any:
    """The package, with a cluster. Raises UsageError."""
    # Nothing is sent to Ray's makers; and the visible GPUs are as the node has them.
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")
    if "://" in address or address == "local":
        raise UsageError(f"{address} is no address of a Ray cluster", "name it HOST:PORT, or auto on one of its nodes")
    try:
        import ray
    except ImportError:
        raise UsageError("--ray needs Ray", "pip install 'kosearch[ray]'") from None
    try:
        ray.init(address=address, log_to_driver=False, logging_level=logging.ERROR, configure_logging=False)
    except ray.exceptions.AuthenticationError as error:
        raise UsageError(
            f"the Ray cluster at {address} wants its token, and what is here is none, or another",
            "copy it from a node: ~/.ray/auth_token, or set RAY_AUTH_TOKEN; ray get-auth-token prints it there",
        ) from error
    except (ConnectionError, RuntimeError, ValueError) as error:
        said = (str(error) or type(error).__name__).splitlines()[0]
        raise UsageError(
            f"there is no Ray cluster at {address}: {said}",
            "ray start --head on one machine, ray start --address HOST:6379 on the others; where it has a token,"
            " RAY_AUTH_MODE=token and ~/.ray/auth_token as on its nodes",
        ) from error
    return ray


class _NodesIndex(Index):
    """An index whose workers stay from one part to the next: each of them has loaded Kiwi and a tokenizer."""

    _files: FilePool | None = None

    def file_pool(self, processor: FileProcessor) -> AbstractContextManager[FilePool]:
        """The first part's: all that a node does in a run is by the same rules."""
        if self._files is None:
            self._files = super().file_pool(processor).__enter__()  # their end is the actor's process's: see workers.py
        return nullcontext(self._files)


class Embedder:
    """What Ray makes an actor of: an index, opened on a node, with its model."""

    def __init__(self, settings: Settings) -> None:
        self._index = _NodesIndex(settings)

    def run(self, work: Work, part: str) -> Iterator[Step]:
        """Do a part: how far it is, from time to time; at last what it did, or the error that ended it."""
        run = self._index.indexing(
            *work.roots,
            include=work.globs.get("include", ()),
            exclude=work.globs.get("exclude", ()),
            archives=work.archives,
            retry=work.retry,
            reread=work.reread,
            part=part,
        )
        said, unsaid = 0.0, None
        try:
            for state in run:
                if state.note:
                    yield state.note
                elif time.monotonic() - said > STEP_SECONDS:
                    said, unsaid = time.monotonic(), None
                    yield state
                else:
                    unsaid = state
            if unsaid is not None:  # else a part that is done counts as what was said of it last
                yield unsaid
            yield run.report
        except KosearchError as error:
            yield error


@dataclass(slots=True)
class _Doing:
    """A part that an embedder does."""

    actor: Any
    node: str
    part: str
    begun: bool = False


class _Nodes:
    """The embedders of a cluster, and which part each does."""

    def __init__(self, ray: Any, work: Work) -> None:
        self._ray = ray
        self._work = ray.put(work)
        self._settings = work.settings
        self._idle: list[tuple[Any, str]] = []
        self._busy: dict[Any, _Doing] = {}
        """By the stream of what it says."""
        self._resting: dict[str, float] = {}
        """Nodes of which an embedder died, and when."""
        self._died: dict[str, int] = {}
        """How many embedders died of a part."""
        self._progress: dict[str, IndexProgress] = {}
        self._reports: list[IndexReport] = []
        self._said: set[str] = set()

    def run(self) -> Generator[IndexProgress | str, None, IndexReport]:
        """Do all parts."""
        waiting: deque[str] = deque()
        alone = time.monotonic()
        self._start()
        count = PARTS * max(1, len(self._idle))
        waiting.extend(f"{number}/{count}" for number in range(1, count + 1))
        while waiting or self._busy:
            self._start()
            while waiting and self._idle:
                self._give(waiting.popleft())
            if self._busy:
                alone = time.monotonic()
            elif time.monotonic() - alone > PATIENCE:
                raise ResourcesError(
                    "no node of the Ray cluster is left", "run the command again: it goes on with what was committed"
                )
            yield from self._listen(waiting)
        return _together(self._reports)

    def _start(self) -> None:
        """Have an embedder on each node, one for each of its GPUs, where there is none yet."""
        used = {node for _, node in self._idle} | {one.node for one in self._busy.values()}
        now = time.monotonic()
        for node in self._ray.nodes():
            name, has = node["NodeID"], node["Resources"]
            if not node["Alive"] or name in used or now - self._resting.get(name, -REST_SECONDS) < REST_SECONDS:
                continue
            cores, gpus = has.get("CPU", 0), int(has.get("GPU", 0))
            for _ in range(gpus or min(1, int(cores))):  # a head that only looks after the others has no cores
                # All cores, for Ray tells the libraries in an actor to use as many as it asked for.
                needs = {"num_cpus": cores / max(1, gpus), "num_gpus": 1 if gpus else 0}
                there = self._ray.util.scheduling_strategies.NodeAffinitySchedulingStrategy(name, soft=False)
                made = self._ray.remote(Embedder).options(scheduling_strategy=there, **needs)
                self._idle.append((made.remote(self._settings), name))

    def _give(self, part: str) -> None:
        actor, node = self._idle.pop(0)
        stream = actor.run.options(num_returns="streaming").remote(self._work, part)
        self._busy[stream] = _Doing(actor, node, part)

    def _listen(self, waiting: deque[str]) -> Iterator[IndexProgress | str]:
        """Hear what the embedders say; the parts of those that died wait again."""
        if not self._busy:
            time.sleep(STEP_SECONDS)
            return
        ready, _ = self._ray.wait(list(self._busy), timeout=STEP_SECONDS, fetch_local=False)
        for stream in ready:
            doing = self._busy[stream]
            try:
                step: Step = self._ray.get(next(stream))
            except self._ray.exceptions.RayTaskError:
                raise
            except (self._ray.exceptions.RayError, StopIteration):
                self._lost(stream, waiting)
                continue
            doing.begun = True
            if isinstance(step, KosearchError):
                raise step
            if isinstance(step, IndexReport):
                del self._busy[stream]
                self._idle.append((doing.actor, doing.node))
                self._reports.append(step)
            elif isinstance(step, IndexProgress):
                self._progress[doing.part] = step
                yield _summed(self._progress.values())
            elif step not in self._said:
                self._said.add(step)
                yield step

    def _lost(self, stream: Any, waiting: deque[str]) -> None:
        doing = self._busy.pop(stream)
        self._resting[doing.node] = time.monotonic()
        self._progress.pop(doing.part, None)
        self._died[doing.part] = self._died.get(doing.part, 0) + doing.begun
        if self._died[doing.part] >= TRIES:
            raise ResourcesError(
                f"{TRIES} nodes of the Ray cluster died of the same part, {doing.part}",
                f"see what happens with it on one machine: kosearch index PATH --part {doing.part}",
            )
        waiting.append(doing.part)


def _summed(states: Iterable[IndexProgress]) -> IndexProgress:
    """How far all are."""
    counted: dict[str, Any] = {"path": ""}
    for state in states:
        for field in fields(IndexProgress):
            value = getattr(state, field.name)
            if isinstance(value, int):
                counted[field.name] = counted.get(field.name, 0) + value
        counted["path"] = state.path or counted["path"]
    return IndexProgress(**{**counted, "walking": bool(counted["walking"])})


def _together(reports: Sequence[IndexReport]) -> IndexReport:
    """What all parts did. What none of them could look at, each of them says."""

    def all_of(name: str) -> tuple[Skipped, ...]:
        return tuple(dict.fromkeys(one for report in reports for one in getattr(report, name)))

    counts = ("added", "changed", "unchanged", "removed", "embedded", "reused")
    return IndexReport(
        **{name: sum(getattr(report, name) for report in reports) for name in counts},
        skipped=all_of("skipped"),
        warnings=all_of("warnings"),
        failed_roots=all_of("failed_roots"),
        seconds=0.0,
    )
