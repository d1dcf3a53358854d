"""The program, loaded once and forked for each run, so that hundreds of runs cost minutes.

A run is `kosearch.cli.main` with its arguments in a process of its own: it has its own memory, locks and files, and
dies as the installed program does. What it shares is what takes seconds to load: imports, Kiwi, the tokenizer. Files
are read in the process itself and not in workers, and vectors are made from words by hashing: what is tried here is
what becomes of an index, and the installed program with its model is tried beside it.
"""

from __future__ import annotations

import ctypes
import errno
import hashlib
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
KILL, TORN, FULL, BROKEN = "kill", "torn", str(errno.ENOSPC), str(errno.EIO)
"""What happens at an operation on the index's files: see faults.c."""


@dataclass(frozen=True, slots=True)
class Fault:
    """What happens to a run."""

    mode: str = "0"
    at: int = 0
    """The operation below `root`, from 1; 0 for none."""
    more: bool = False
    """Whether all later operations that need room fail as well."""
    log: str = ""
    step: int = -1
    """The named step, from 0, at which the run kills itself; -1 for none."""
    largest: int = 0
    """The most bytes that a file may have; 0 for no limit."""
    clock: int = 0
    """Seconds by which the clock goes back whenever it is looked at."""
    signals: Mapping[int, int] = field(default_factory=dict)
    """Named step, as its number in a string → the signal that the run sends itself there."""


NO_FAULT = Fault()
_OUTPUTS = ("stdout", "stderr", "steps", "operations")


@dataclass(frozen=True, slots=True)
class Ended:
    """A run that is over."""

    code: int
    """As of subprocess: the exit code, or the negative number of the signal that ended it."""
    stdout: str
    stderr: str
    steps: list[str]
    """The named steps that it came to."""
    operations: int
    """On files below the index, where the run came to its end."""
    seconds: float


def compile_faults(folder: Path) -> Path | None:
    """The layer of faults.c, or None where there is no C compiler for Linux."""
    compiler = shutil.which("cc")
    if compiler is None or sys.platform != "linux":
        return None
    library = folder / "faults.so"
    command = [compiler, "-O1", "-shared", "-fPIC", "-o", library, HERE / "faults.c", "-ldl"]
    subprocess.run(command, check=True, capture_output=True)
    return library


class Forked:
    """A process in which the program is loaded, and which forks for each run."""

    def __init__(self, environment: Mapping[str, str], folder: Path, faults: Path) -> None:
        self.environment = environment
        self._folder = folder
        self.faults = faults
        self._process = subprocess.Popen(
            [sys.executable, HERE / "forked.py"],
            env={**environment, "LD_PRELOAD": str(faults), "OMP_NUM_THREADS": "1", "PYTHONPATH": _python_path()},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert self._answer() == "ready"

    def start(self, *arguments: str | os.PathLike[str], index: Path, fault: Fault = NO_FAULT) -> int:
        """Begin a run, and return its process id. One at a time."""
        request = {"argv": [*map(str, arguments), "--index", str(index)], "root": str(index), "fault": asdict(fault)}
        assert self._process.stdin
        self._process.stdin.write(json.dumps({**request, "out": str(self._folder)}) + "\n")
        self._process.stdin.flush()
        return int(self._answer())

    def wait(self) -> Ended:
        """The end of the run that was begun."""
        status, seconds = self._answer().split()
        stdout, stderr, steps, operations = ((self._folder / name).read_text(encoding="utf-8") for name in _OUTPUTS)
        code = os.waitstatus_to_exitcode(int(status))
        return Ended(code, stdout, stderr, steps.split("\n")[:-1], int(operations or 0), float(seconds))

    def run(self, *arguments: str | os.PathLike[str], index: Path, fault: Fault = NO_FAULT) -> Ended:
        """A whole run."""
        self.start(*arguments, index=index, fault=fault)
        return self.wait()

    def close(self) -> None:
        assert self._process.stdin
        self._process.stdin.close()
        self._process.wait()
        assert self._process.stdout
        self._process.stdout.close()

    def _answer(self) -> str:
        assert self._process.stdout
        line = self._process.stdout.readline()
        assert line, "the process that forks has ended"
        return line.strip()


def _python_path() -> str:
    return os.pathsep.join([str(HERE.parent), *filter(None, [os.environ.get("PYTHONPATH")])])


# The process that forks.


class _Here(AbstractContextManager["_Here"]):
    """The interface of a pool, in the process itself."""

    limits = "none"

    def __init__(self, task: Any) -> None:
        self._task = task

    def map(self, items: Any) -> Iterator[tuple[Any, Any]]:
        return ((item, self._task(item)) for item in items)

    def __exit__(self, *_: object) -> None:
        pass


class _Words:
    """An embedder: a text's vector is the sum of its words' vectors, which follow from their hashes."""

    def __init__(self, model: Any) -> None:
        self.model = model

    def embed_passages(self, texts: Sequence[str], progress: Callable[[int], None] = lambda _: None) -> Any:
        import numpy as np

        vectors = np.zeros((len(texts), self.model.dimensions), np.float32)
        for number, text in enumerate(texts):
            for word in text.lower().split():
                seed = int.from_bytes(hashlib.blake2b(word.encode(), digest_size=8).digest(), "little")
                vectors[number] += np.random.default_rng(seed).normal(size=vectors.shape[1]).astype(np.float32)
        progress(len(texts))
        return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)

    embed_queries = embed_passages


def load() -> None:
    """Load what every run needs, and put the substitutes in place."""
    import functools

    import tantivy  # noqa: F401

    from kosearch import config, embedding, indexing, library, processing, searching, terms  # noqa: F401
    from kosearch.cli import app  # noqa: F401

    settings = config.load({})
    analyzer = terms.Analyzer()
    analyzer.load()
    offsets = functools.cache(
        lambda: embedding.token_offsets(embedding.resolve("bundled", cache_dir=settings.cache_dir))
    )
    offsets()("가" * 60_000)  # so long a text loads the whole vocabulary, which a child would load for itself
    processing.token_offsets = lambda _: offsets()
    processing.Analyzer = terms.Analyzer = lambda *_, **__: analyzer  # type: ignore[assignment,misc]
    embedding.load = lambda model, *_: _Words(model)  # type: ignore[assignment]
    embedding.load_for_queries = lambda model, *_: _Words(model)  # type: ignore[assignment]
    embedding.load_for_few = lambda *_: None  # type: ignore[assignment]
    library.Index.pool = library.Index.file_pool = lambda _, task: _Here(task)  # type: ignore[assignment,method-assign]


@contextmanager
def _arranged(request: Mapping[str, Any]) -> Iterator[None]:
    """In the child: output to files, and the fault."""
    import resource

    from kosearch.index.files import hooks

    out, fault = Path(request["out"]), request["fault"]
    files = [os.open(out / name, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600) for name in _OUTPUTS]
    for number, file in enumerate([os.open(os.devnull, os.O_RDONLY), *files[:2]]):
        os.dup2(file, number)
    steps, operations = files[2:]
    layer = ctypes.CDLL(None)
    count = 0

    def note(name: str) -> None:
        nonlocal count
        os.write(steps, f"{name}\n".encode())
        layer.fault_mark(name.encode())
        at, count = count, count + 1  # first of all: a signal may raise, and is sent once
        if at == fault["step"]:
            os.kill(os.getpid(), signal.SIGKILL)
        if number := fault["signals"].get(str(at)):
            os.kill(os.getpid(), number)

    hooks.append(note)
    values = (request["root"], fault["log"], fault["mode"])
    layer.fault_arm(*(value.encode() for value in values), ctypes.c_long(fault["at"]), int(fault["more"]))
    layer.fault_clock(ctypes.c_long(fault["clock"]))
    if largest := fault["largest"]:
        resource.setrlimit(resource.RLIMIT_FSIZE, (largest, largest))
    yield
    os.write(operations, str(layer.fault_count()).encode())


def _child(request: Mapping[str, Any]) -> int:
    from kosearch.cli import main

    with _arranged(request):
        code = main(request["argv"])
        sys.stderr.flush()
    return code


def serve() -> None:
    """Fork for each request on standard input."""
    load()
    print("ready", flush=True)
    for line in sys.stdin:
        begun = time.monotonic()
        child = os.fork()
        if child == 0:
            code = 70
            try:
                code = _child(json.loads(line))
            finally:
                os._exit(code)
        print(child, flush=True)
        status = os.waitpid(child, 0)[1]
        print(status, time.monotonic() - begun, flush=True)


if __name__ == "__main__":
    serve()
