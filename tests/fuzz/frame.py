"""The fuzzer's loop: inputs are changed at random, tried in a worker, and kept where they reach lines not seen before.

A family of readers is a file `family_NAME.py` in this folder with a `FAMILY`: what to begin with, and how to try one
input. `attempt` runs in a worker process with the limits of indexing, so that a reader that hangs, crashes or eats
memory is a finding like any other. A finding is made smaller, kept and printed.
"""

from __future__ import annotations

import hashlib
import random
import re
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from importlib import import_module
from itertools import islice
from pathlib import Path
from types import FrameType
from typing import Any

from crash.mutations import mutate

from kosearch.workers import Failure, Pool

HERE = Path(__file__).parent
KEPT = HERE.parent / "data" / "fuzz"
"""Inputs that once broke a promise, a folder for each family: they are tried first, always."""
LARGEST = 256 << 10
"""Bytes of an input: small ones have their structure hit more often."""
_SHRINKING_SECONDS = 10.0
_TRACED = ("/kosearch/", "/dochan/", "/pypdf/")


@dataclass(frozen=True, slots=True)
class Input:
    """Bytes from outside, under a name that tells the reader what they are meant to be."""

    name: str
    data: bytes


@dataclass(frozen=True, slots=True)
class Family:
    """Readers of one sort of bytes."""

    seeds: Callable[[], Iterable[Input]]
    """Sound inputs to begin with, a few of each sort."""
    attempt: Callable[[Input], str]
    """Try one, in a worker: "" or the promise that was broken. A function of a module, so that it can be pickled."""
    words: tuple[bytes, ...] = ()
    """What the readers look for: inserted at random."""
    deadline: float = 30.0
    """Seconds of processor time for one input; what takes longer is a finding."""
    memory_limit: int = 2 << 30


@dataclass(slots=True)
class Result:
    """What a run of the fuzzer did."""

    tried: int = 0
    grown: int = 0
    """Inputs that reached lines not seen before."""
    lines: int = 0
    findings: dict[str, Path] = field(default_factory=dict)
    """A broken promise → the smallest input found for it."""


def families() -> dict[str, Family]:
    """Every family, by its name."""
    names = sorted(file.stem.removeprefix("family_") for file in HERE.glob("family_*.py"))
    return {name: import_module(f"fuzz.family_{name}").FAMILY for name in names}


@dataclass(frozen=True, slots=True)
class Traced:
    """The worker's task: an attempt, and the lines that it reached."""

    attempt: Callable[[Input], str]

    def __call__(self, one: Input) -> tuple[str, frozenset[int]]:
        """A broken promise or "", and the lines as hashes."""
        reached: set[int] = set()

        def lines(frame: FrameType, event: str, _: Any) -> Any:
            if event == "line":
                reached.add(hash((frame.f_code.co_filename, frame.f_lineno)))
            return lines

        def calls(frame: FrameType, _event: str, _: Any) -> Any:
            return lines if any(part in frame.f_code.co_filename for part in _TRACED) else None

        sys.settrace(calls)
        try:
            problem = self.attempt(one)
        except MemoryError:
            raise
        except BaseException as error:  # noqa: BLE001 - whatever a reader raises unasked is a finding
            sys.settrace(None)
            problem = _unasked(error)
        finally:
            sys.settrace(None)
        return problem, frozenset(reached)


def _unasked(error: BaseException) -> str:
    at = error.__traceback__
    place = "?"
    while at is not None:
        if "/kosearch/" in at.tb_frame.f_code.co_filename:
            place = f"{Path(at.tb_frame.f_code.co_filename).name}:{at.tb_lineno}"
        at = at.tb_next
    return f"{type(error).__name__} at {place}: {error}"[:300]


def fuzz(name: str, family: Family, seconds: float, corpus: Path | None, seed: int) -> Result:
    """Try all that is there, then changed inputs, until so much time has passed.

    `corpus` is a folder that grows from run to run; without one nothing is kept but findings. What was kept of earlier
    findings is tried first, then the seeds as they are: a sound one breaks no promise.
    """
    chance = random.Random(seed)
    result = Result()
    seen: set[int] = set()
    pool: list[Input] = [*kept(KEPT / name), *family.seeds(), *(kept(corpus / name) if corpus else ())]
    begun_with = len(pool)
    findings = (corpus or Path("fuzz-findings")) / name / "findings"
    ends = time.monotonic() + seconds
    with Pool(Traced(family.attempt), 1, deadline=family.deadline, memory_limit=family.memory_limit) as workers:
        for one, outcome in workers.map(_inputs(pool, family.words, chance, ends)):
            result.tried += 1
            problem, reached = _judged(outcome)
            if problem:
                _keep(one, problem, findings, result)
            elif not reached <= seen:
                seen |= reached
                result.grown += 1
                pool.append(one)
                if corpus:
                    _write(one, corpus / name)
            if result.tried >= begun_with and time.monotonic() > ends:
                break
        for problem, file in result.findings.items():
            with suppress(StopIteration):
                file.write_bytes(_smaller(_read(file), problem, workers).data)
    result.lines = len(seen)
    return result


def replay(family: Family, inputs: Iterable[Input]) -> dict[str, str]:
    """Input's name → the promise that it breaks, for those that break one."""
    with Pool(Traced(family.attempt), 1, deadline=family.deadline, memory_limit=family.memory_limit) as workers:
        outcomes = [(one.name, _judged(outcome)[0]) for one, outcome in workers.map(inputs)]
    return {name: problem for name, problem in outcomes if problem}


def kept(folder: Path) -> list[Input]:
    """The inputs that lie in a folder, each under the name it had."""
    files = sorted(file for file in folder.iterdir() if file.is_file()) if folder.is_dir() else []
    return [_read(file) for file in files]


def _inputs(pool: Sequence[Input], words: Sequence[bytes], chance: random.Random, ends: float) -> Iterator[Input]:
    yield from list(pool)
    while time.monotonic() < ends:
        # The newest are tried more often: they stand where nobody has been.
        one = pool[max(chance.randrange(len(pool)), chance.randrange(len(pool)))]
        others = [pool[chance.randrange(len(pool))].data for _ in range(3)]
        try:
            data = mutate(one.data, others, chance)
        except Exception:  # noqa: BLE001 - a package that is damaged already cannot be packed again
            data = mutate(b" " + one.data, others, chance)
        for _ in range(chance.choice((0, 0, 1, 3)) if words else 0):
            place = chance.randrange(len(data) + 1)
            data = data[:place] + chance.choice(words) * chance.choice((1, 1, 2, 500)) + data[place:]
        yield Input(one.name, data[:LARGEST])


def _judged(outcome: tuple[str, frozenset[int]] | Failure) -> tuple[str, frozenset[int]]:
    return (f"{outcome.kind}: {outcome.detail}", frozenset()) if isinstance(outcome, Failure) else outcome


def _kind(problem: str) -> str:
    """Findings with the same cause mostly differ in numbers and names."""
    return re.sub(r"\d+|'[^']*'|b'.*", "", problem)[:80]


def _keep(one: Input, problem: str, folder: Path, result: Result) -> None:
    if _kind(problem) not in map(_kind, result.findings):
        result.findings[problem] = _write(one, folder)


def _write(one: Input, folder: Path) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / f"{hashlib.sha256(one.data).hexdigest()[:12]}~{one.name}"
    file.write_bytes(one.data)
    return file


def _read(file: Path) -> Input:
    return Input(file.name.partition("~")[2] or file.name, file.read_bytes())


def _smaller(one: Input, problem: str, workers: Pool[Input, Any]) -> Input:
    """The input without what its finding does not need, as far as a few seconds go."""
    ends = time.monotonic() + _SHRINKING_SECONDS
    part = len(one.data) // 2
    while part and time.monotonic() < ends:
        cuts = [Input(one.name, one.data[:at] + one.data[at + part :]) for at in range(0, len(one.data), part)]
        for cut, outcome in workers.map(islice(cuts, 64)):
            if time.monotonic() > ends:
                break
            if _kind(_judged(outcome)[0]) == _kind(problem):
                one = cut
                break
        else:
            part //= 2
    return one
