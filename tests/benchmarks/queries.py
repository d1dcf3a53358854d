"""How long a question takes: a process that loads everything, and one that asks the resident.

    python -m tests.benchmarks queries [--passages 10000] [--questions 100] [--cold 5] [--keep FOLDER]

Makes an index of so many passages, from ../shared/eval where that is (msmarco_ko, korquad1_dev, welfare_ko,
cranfield_en, autorag_ko_embed, in this order) and otherwise from random sentences. Its terms are real, its vectors
are random: what a question costs depends on how many there are, and embedding them would take an hour. `--keep`
names a folder where the index stays, and is used again if it is there.

Then the installed `kosearch query QUESTION --jsonl` is run, a process a question, measured from outside:

    cold       --no-resident: Python, Kiwi and the model start for each question; CPU with the process beside it
    first      the question that finds no resident, starts one and waits for it
    empty      Python that does nothing, in turn with the next: hosts differ by half, their ratio hardly
    resident   every further question
    loop       while read q; do kosearch query "$q" --jsonl; done
    inside     the same questions over one process's connections: what the resident itself takes

Wall time is what a person waits for, and on a busy machine mostly waiting for a core; CPU time (user and system,
of the process asked; for `inside` of the resident) hardly depends on others. The targets, on two quiet cores:
cold 1.2 s or 80 times an empty process, resident p50 60 ms or 4 times an empty process, inside 30 ms.
"""

from __future__ import annotations

import argparse
import ctypes
import hashlib
import importlib.metadata
import json
import os
import platform
import random
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from kosearch import config
from kosearch.evaluation import CollectionProcessor, index_collection
from kosearch.evaluation.collections import Collection, CollectionDocument
from kosearch.indexing import Run
from kosearch.library import Index
from kosearch.resident import launcher

SHARED = Path(__file__).resolve().parents[3] / "shared" / "eval"
COLLECTIONS = ("msmarco_ko", "korquad1_dev", "welfare_ko", "cranfield_en", "autorag_ko_embed")
PROGRAM = Path(sys.executable).with_name("kosearch")
_SUBREAPER = 36
WORDS = Path(__file__).resolve().parents[1] / "data" / "corpus"


@dataclass
class Times:
    """Seconds that runs took, and the CPU seconds of all of them."""

    wall: list[float]
    cpu: float

    @property
    def middle(self) -> float:
        return float(np.median(self.wall))

    @property
    def each(self) -> float:
        """CPU seconds of a run, in the mean."""
        return self.cpu / len(self.wall)

    def row(self, name: str) -> str:
        worst = np.percentile(self.wall, 99)
        return (
            f"{name:<10} {len(self.wall):>5} {self.middle * 1000:>9.0f} {worst * 1000:>9.0f} "
            f"{min(self.wall) * 1000:>9.0f} {self.each * 1000:>9.0f}"
        )


def main(arguments: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(prog="queries", description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--passages", type=int, default=10_000)
    parser.add_argument("--questions", type=int, default=100)
    parser.add_argument("--cold", type=int, default=5)
    parser.add_argument("--keep", type=Path)
    options = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory() as work:
        os.environ["XDG_RUNTIME_DIR"] = work
        folder = (options.keep or Path(work)).absolute() / f"index-{options.passages}"
        settings = config.load({"index": str(folder), "resident": "on"})
        library = Index(settings)
        if not library.exists:
            build(library, options.passages)
        describe(library)
        questions = ask_about(options.questions)
        try:
            measure(questions, settings, options.cold)
        finally:
            for path, _ in launcher.residents(settings):
                launcher.stop(path)
    return 0


def build(library: Index, passages: int) -> None:
    """An index of real documents with real terms and random vectors."""
    library.prepare()
    begun = time.monotonic()
    with library.store.writer() as writer, library.pool(CollectionProcessor(library.processor)) as pool:
        collection = Collection("queries", tuple(islice(documents(), passages)), (), {})
        dimensions = library.model.dimensions
        for _ in index_collection(collection, Run(writer, lambda texts, _: random_vectors(texts, dimensions)), pool):
            pass
    print(f"built in {time.monotonic() - begun:.0f} s")


def documents() -> Iterator[CollectionDocument]:
    """Documents of a passage or a little more each."""
    if not SHARED.is_dir():
        chance, words = random.Random(1), sorted(known_words())
        for number in range(1_000_000_000):
            yield CollectionDocument(f"made-{number}", "", " ".join(chance.choices(words, k=60)))
    for name in COLLECTIONS:
        for line in (SHARED / name / "corpus.jsonl").read_text(encoding="utf-8").splitlines():
            row = json.loads(line)
            yield CollectionDocument(f"{name}-{row['id']}", row["title"], row["text"])


def ask_about(count: int) -> list[str]:
    """Questions of the collections, the same in every run; or some words."""
    chance = random.Random(2)
    if not SHARED.is_dir():
        words = sorted(known_words())
        return [" ".join(chance.choices(words, k=5)) for _ in range(count)]
    rows = [
        json.loads(line)["text"]
        for name in COLLECTIONS
        for line in (SHARED / name / "queries.jsonl").read_text(encoding="utf-8").splitlines()
    ]
    return [" ".join(text.split()) for text in chance.sample(rows, count)]


def known_words() -> set[str]:
    return {word for path in WORDS.rglob("*.[mt][dx]*") for word in path.read_text(encoding="utf-8").split()}


def random_vectors(texts: Sequence[str], dimensions: int) -> NDArray[np.float32]:
    """A vector for each text, the same in every run."""
    seeds = [int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest()) for text in texts]
    rows = [np.random.default_rng(seed).standard_normal(dimensions) for seed in seeds]
    return np.array(rows, dtype=np.float32)


def describe(library: Index) -> None:
    """Machine, versions and index."""
    state = library.status()
    packages = ("kosearch", "typer", "kiwipiepy", "numpy", "tantivy", "tokenizers")
    print(f"machine    {cpu_name()}, {len(os.sched_getaffinity(0))} cores, load {os.getloadavg()[0]:.1f} at the start")
    print(f"versions   Python {platform.python_version()}, ", end="")
    print(", ".join(f"{name} {importlib.metadata.version(name)}" for name in packages))
    print(f"index      {state.documents} documents, {state.passages} passages, {state.bytes / 2**20:.0f} MiB")
    print(f"model      {state.identity.model}, {state.identity.dimensions} dimensions")


def cpu_name() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), platform.machine())


def measure(questions: Sequence[str], settings: config.Settings, cold: int) -> None:
    """Every way to ask, a line each."""
    print(f"\n{'ms':<10} {'runs':>5} {'wall p50':>9} {'p99':>9} {'least':>9} {'CPU':>9}")
    alone = asked(questions[:cold], settings, "--no-resident")
    print(alone.row("cold"))
    print(asked(questions[:1], settings).row("first"))
    empty, resident = in_turn(questions, settings)
    print(empty.row("empty"))
    print(resident.row("resident"))
    print(loop(questions, settings).row("loop"))
    within = inside(questions, settings)
    print(within.row("inside"))
    print(f"\nof an empty process: cold {alone.middle / empty.middle:.0f} times", end="")
    print(f" (CPU {alone.each / empty.each:.0f}), resident {resident.middle / empty.middle:.1f}", end="")
    print(f" (CPU, with what it takes inside, {(resident.each + within.each) / empty.each:.1f})")
    _, state = next(launcher.residents(settings))
    if state and Path("/proc").is_dir():
        status = Path(f"/proc/{state['pid']}/status").read_text(encoding="utf-8")
        memory = {line.split()[0]: int(line.split()[1]) // 1024 for line in status.splitlines() if "kB" in line}
        print(f"\nresident   {memory['RssAnon:']} MiB of its own, {memory['RssFile:']} MiB of mapped files")
    print(f"load       {os.getloadavg()[0]:.1f} at the end")


def asked(questions: Sequence[str], settings: config.Settings, *flags: str) -> Times:
    """A process a question."""
    wall = []
    with children() as cpu, adopting() if flags else nullcontext():
        for question in questions:
            begun = time.perf_counter()
            run([str(PROGRAM), "query", "--jsonl", *flags, "--", question], settings)
            wall.append(time.perf_counter() - begun)
    return Times(wall, sum(cpu))


@contextmanager
def adopting() -> Iterator[None]:
    """Wait in the end for what the programs run have started and left behind, so that its CPU time counts (Linux).

    See PR_SET_CHILD_SUBREAPER in prctl(2).
    """
    prctl = getattr(ctypes.CDLL(None), "prctl", lambda *_: None)
    prctl(_SUBREAPER, 1, 0, 0, 0)
    try:
        yield
        with suppress(ChildProcessError):
            while True:
                os.wait()
    finally:
        prctl(_SUBREAPER, 0, 0, 0, 0)


def in_turn(questions: Sequence[str], settings: config.Settings) -> tuple[Times, Times]:
    """An empty Python process and one that asks the resident, one after the other for each question."""
    pairs = []
    for question in questions:
        begun = time.perf_counter()
        with children() as cpu:
            subprocess.run([sys.executable, "-c", "pass"], env=as_installed(), check=True)
        pairs.append((Times([time.perf_counter() - begun], sum(cpu)), asked([question], settings)))
    empty, resident = zip(*pairs, strict=True)
    return together(empty), together(resident)


def together(runs: Iterable[Times]) -> Times:
    """The times of several runs."""
    several = list(runs)
    return Times([wall for one in several for wall in one.wall], sum(one.cpu for one in several))


def loop(questions: Sequence[str], settings: config.Settings) -> Times:
    """The shell's loop; its time is shared evenly among the questions."""
    script = f'while read -r q; do "{PROGRAM}" query "$q" --jsonl; done'
    begun = time.perf_counter()
    with children() as cpu:
        run(["bash", "-c", script], settings, "".join(f"{question}\n" for question in questions))
    return Times([(time.perf_counter() - begun) / len(questions)] * len(questions), sum(cpu))


def inside(questions: Sequence[str], settings: config.Settings) -> Times:
    """The resident alone: this process connects, asks, and reads."""
    _, state = next(launcher.residents(settings))
    assert state is not None
    environ = {**os.environ, "KOSEARCH_INDEX": settings.index}
    wall, before = [], cpu_of(state["pid"])
    for question in questions:
        begun = time.perf_counter()
        launcher.run(settings, ["query", question], environ, terminal=False)
        wall.append(time.perf_counter() - begun)
    return Times(wall, cpu_of(state["pid"]) - before)


def run(command: list[str], settings: config.Settings, text: str | None = None) -> None:
    environment = {**as_installed(), "KOSEARCH_INDEX": settings.index, "KOSEARCH_RESIDENT": "on"}
    done = subprocess.run(command, env=environment, input=text, capture_output=True, text=True, check=False)
    if done.returncode > 1:
        raise SystemExit(f"{command} ended with {done.returncode}: {done.stderr}")


def as_installed() -> dict[str, str]:
    """The environment in which byte code is kept from run to run, as a user's is."""
    return {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}


@contextmanager
def children() -> Iterator[list[float]]:
    """CPU seconds of the processes that end inside; the list is filled at the end."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    spent: list[float] = []
    yield spent
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    spent += [after.ru_utime - before.ru_utime, after.ru_stime - before.ru_stime]


def cpu_of(pid: int) -> float:
    """CPU seconds of a running process; not a number where the system has no /proc."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rpartition(")")[2].split()
    except OSError:
        return float("nan")
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
