"""What indexing costs beside embedding, whether its memory grows with the files, and what an unchanged folder costs.

    python -m tests.benchmarks pipeline [ratio] [memory] [unchanged] [--files 2000] [--many 100000] [--same 10000]

Without a part, all of them.

ratio       `kosearch index` over mixed files (pages of ../shared/eval as text, Markdown and HTML; ../shared/documents,
            and copies of them with other words; made sentences where those folders are missing), and in turn the
            embedding alone of the same passages by the same model in this process: wall and CPU seconds of both. The
            target for the ratio is 1.10. Then where the rest goes, step by step in one process, in CPU seconds: on
            few cores that embedding keeps busy, CPU seconds are what decides. With --float32 all is done as on a
            processor that does not multiply in bfloat16.
memory      Small files, read by the real workers, with vectors from a stub and no graph, which holds all vectors
            while it is made: the most memory that this process and its workers had of their own, for every tenth of
            the files.
unchanged   `kosearch index` again over files that have not changed, as a process. The target is 1.5 s.
"""

from __future__ import annotations

import argparse
import html
import itertools
import json
import os
import pickle
import random
import re
import resource
import shutil
import subprocess
import sys
import tempfile
import threading
import time
import zipfile
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import wraps
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from kosearch import config, embedding, processing
from kosearch.index import Writer, vectors
from kosearch.indexing import Run
from kosearch.library import Index
from kosearch.naming import canonical
from kosearch.processing import FileProcessor
from kosearch.reading import Job, OcrUse, Processed
from kosearch.records import Extracted, SourceFile
from kosearch.sources import WalkRules, find
from kosearch.terms import Analyzer
from tests.benchmarks.queries import COLLECTIONS, SHARED, WORDS, as_installed, cpu_name, known_words, random_vectors

PROGRAM = Path(sys.executable).with_name("kosearch")
FLOAT32_PROGRAM = (
    "import torch; torch.cpu._is_avx512_bf16_supported = lambda: False; from kosearch.__main__ import run; run()"
)
DOCUMENTS = SHARED.parent / "documents"
PARTS = ("ratio", "memory", "unchanged")
XML_TEXT = re.compile(rb">([^<>]*[\x80-\xff\w][^<>]*)</")
"""Text between tags, in the formats that are XML in a ZIP file."""


def main(arguments: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(prog="pipeline", description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("parts", nargs="*", metavar="PART", help=", ".join(PARTS))
    parser.add_argument("--files", type=int, default=2000)
    parser.add_argument("--many", type=int, default=100_000)
    parser.add_argument("--same", type=int, default=10_000)
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--float32", action="store_true")
    options = parser.parse_args(arguments)
    if unknown := set(options.parts) - set(PARTS):
        parser.error(f"there is no part {unknown.pop()!r}; parts are {', '.join(PARTS)}")
    print(f"machine    {cpu_name()}, {len(os.sched_getaffinity(0))} cores, load {os.getloadavg()[0]:.1f} at the start")
    with tempfile.TemporaryDirectory() as folder:
        work = Path(folder)
        os.environ |= {"KOSEARCH_DATA_DIR": str(work / "data"), "KOSEARCH_RESIDENT": "off"}
        for part in options.parts or PARTS:
            if part == "ratio":
                ratio(work / part, options.files, options.rounds, float32=options.float32)
            elif part == "memory":
                memory(work / part, options.many)
            else:
                unchanged(work / part, options.same)
            shutil.rmtree(work / part)
    print(f"load       {os.getloadavg()[0]:.1f} at the end")
    return 0


# The whole against embedding alone


def ratio(work: Path, count: int, rounds: int, *, float32: bool) -> None:
    """Index and embed in turn, and say what the difference consists of."""
    program = [sys.executable, "-c", FLOAT32_PROGRAM] if float32 else [str(PROGRAM)]
    folder = work / "files"
    write_mixed_files(folder, count)
    sizes = [path.stat().st_size for path in folder.rglob("*") if path.is_file()]
    print(f"\nratio      {len(sizes)} files, {sum(sizes) / 2**20:.1f} MiB")
    run_index(program, write_one_file(work), "start")  # converts the bundled model, where nobody has yet
    start, _, _ = run_index(program, write_one_file(work), "start-again")
    steps, texts = one_by_one(folder)
    library = Index(config.load({"index": "start"}))
    if float32:
        library.embedder = embedding.load(library.model, precision="float32")
    library.embed_passages(texts[:64])
    print(f"           {len(texts)} passages, {library.model.name}, {library.embedder.__class__.__name__}\n")
    print(f"{'':<22} {'wall s':>8} {'CPU s':>8}")
    wholes, alones = [], []
    for number in range(rounds):
        wall, cpu, report = run_index(program, folder, f"round-{number}")
        assert report["embedded"] == len(texts), (report["embedded"], len(texts))
        print(f"{'kosearch index':<22} {wall:>8.1f} {cpu:>8.1f}", flush=True)
        begun, before = time.perf_counter(), time.process_time()
        library.embed_passages(texts)
        alones.append((time.perf_counter() - begun, time.process_time() - before))
        wholes.append((wall, cpu))
        print(f"{'embedding alone':<22} {alones[-1][0]:>8.1f} {alones[-1][1]:>8.1f}", flush=True)
    wall, cpu = (sum(one[i] for one in wholes) / sum(one[i] for one in alones) for i in (0, 1))
    print(f"{'ratio (target 1.10)':<22} {wall:>8.3f} {cpu:>8.3f}\n")
    share = sum(cpu for _, cpu in alones) / rounds / 100
    print(f"{'step':<22} {'CPU s':>8} {'% of embedding':>15}")
    for name, seconds in steps.items():
        print(f"{name:<22} {seconds:>8.1f} {seconds / share:>15.1f}")
    print(f"one file, whole process: {start:.1f} s of wall time\n", flush=True)


def one_by_one(folder: Path) -> tuple[dict[str, float], list[str]]:
    """CPU seconds of each step of indexing but embedding, in this process; and the texts to be embedded."""
    library = Index(config.load({"index": "steps"}))
    library.prepare()
    task = FileProcessor(library.processor, library.settings.max_file_size, False, OcrUse.of(library.settings))
    sources = [one for one in find({canonical(os.fsencode(folder)): WalkRules()}) if isinstance(one, SourceFile)]
    task.processor.process(Extracted("가", "text"), "")  # loads tokenizer and Kiwi
    texts: dict[bytes, str] = {}
    spent: dict[str, float] = {}
    with Clock(spent) as clock:
        clock.times(processing, "read", "reading")
        clock.times(processing, "extract", "extracting")
        clock.times(processing, "chunk", "cutting")
        clock.times(Analyzer, "passage_terms", "terms")
        clock.times(pickle, "dumps", "to and fro")
        clock.times(pickle, "loads", "to and fro")
        clock.times(Writer, "put", "SQLite")
        clock.times(Writer, "publish", "publishing")

        def processed() -> Iterator[Processed]:
            for source in sources:
                one = pickle.loads(pickle.dumps(task(Job(source, None))))
                for document in one.documents or ():
                    texts.update((passage.input_hash, passage.model_text) for passage in document.passages)
                yield one

        dimensions = library.model.dimensions
        with library.store.writer() as writer:
            begun = time.process_time()
            for _ in Run(writer, lambda some, _: random_vectors(some, dimensions)).take(processed()):
                pass
    spent["everything else"] = time.process_time() - begun - sum(spent.values())
    return spent, list(texts.values())


class Clock:
    """CPU seconds by name, of functions that are replaced by timed ones until the end."""

    def __init__(self, spent: dict[str, float]) -> None:
        self._spent = spent
        self._originals: list[tuple[Any, str, Any]] = []

    def __enter__(self) -> Clock:
        return self

    def __exit__(self, *_: object) -> None:
        for owner, name, original in self._originals:
            setattr(owner, name, original)

    def times(self, owner: Any, name: str, label: str) -> None:
        original = getattr(owner, name)
        self._originals.append((owner, name, original))
        setattr(owner, name, self._timed(original, label))

    def _timed(self, function: Callable[..., Any], label: str) -> Callable[..., Any]:
        @wraps(function)
        def timed(*arguments: Any, **named: Any) -> Any:
            begun = time.thread_time()
            try:
                return function(*arguments, **named)
            finally:
                self._spent[label] = self._spent.get(label, 0.0) + time.thread_time() - begun

        return timed


def run_index(program: Sequence[str], folder: Path, name: str) -> tuple[float, float, dict[str, Any]]:
    """The installed program over a folder: wall and CPU seconds, workers included, and its report."""
    command = [*program, "index", str(folder), "--index", name, "--json", "-q"]
    before, begun = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    done = subprocess.run(command, capture_output=True, text=True, check=True, env=as_installed())
    wall, after = time.perf_counter() - begun, resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime
    return wall, cpu, json.loads(done.stdout)


# Memory


def memory(work: Path, count: int) -> None:
    """Many small files; the most memory of this process and of its workers for every tenth of them."""
    folder = work / "files"
    write_small_files(folder, count)
    library = Index(config.load({"index": "memory"}))
    library.prepare()
    library.embedder = Stub(library.model)
    vectors.MIN_ROWS = sys.maxsize
    print(f"\nmemory     {count} files with vectors from a stub, MiB of their own at most\n")
    print(f"{'files':>8} {'this process':>13} {'workers':>8} {'seconds':>8}")
    begun, tenth, shown = time.monotonic(), max(1, count // 10), 0
    with Memory() as most:
        for progress in library.update([os.fsencode(folder)]):
            if not isinstance(progress, str) and progress.files_done >= shown + tenth:
                shown += tenth
                own, workers = most.take()
                print(f"{shown:>8} {own:>13.0f} {workers:>8.0f} {time.monotonic() - begun:>8.0f}", flush=True)
        own, workers = most.take()
    print(f"{'the end':>8} {own:>13.0f} {workers:>8.0f} {time.monotonic() - begun:>8.0f}")
    state = library.status()
    print(f"           {state.documents} documents, {state.passages} passages, {state.bytes / 2**20:.0f} MiB of index")


class Stub:
    """An embedder that costs nothing: the same vector for the same text."""

    def __init__(self, model: Any) -> None:
        self.model = model

    def embed_queries(self, texts: Sequence[str]) -> NDArray[Any]:
        return random_vectors(texts, self.model.dimensions)

    def embed_passages(self, texts: Sequence[str], progress: Callable[[int], None] | None = None) -> NDArray[Any]:
        vectors = random_vectors(texts, self.model.dimensions)
        if progress:
            progress(len(texts))
        return vectors


class Memory:
    """Looks, twenty times a second, at the memory that is this process's and its workers' own."""

    def __init__(self) -> None:
        self._most = [0.0, 0.0]
        self._over = threading.Event()
        self._thread = ThreadPoolExecutor(1)

    def __enter__(self) -> Memory:
        self._thread.submit(self._look)
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.shutdown()

    def take(self) -> tuple[float, float]:
        """MiB at most since the last time."""
        most, self._most = self._most, [0.0, 0.0]
        return most[0], most[1]

    def _look(self) -> None:
        while not self._over.wait(0.05):
            sizes = own_memory("self"), sum(map(own_memory, children_of_this_process()))
            self._most = [max(pair) for pair in zip(self._most, sizes, strict=True)]


def children_of_this_process() -> list[str]:
    """Their numbers; to Linux they are those of a thread."""
    children = []
    for thread in Path("/proc/self/task").iterdir():
        with suppress(OSError):  # it may be gone by now
            children += (thread / "children").read_text(encoding="ascii").split()
    return children


def own_memory(process: str) -> float:
    """MiB of a process that are no file's."""
    try:
        status = Path(f"/proc/{process}/status").read_text(encoding="utf-8")
    except OSError:
        return 0.0
    return sum(int(line.split()[1]) for line in status.splitlines() if line.startswith("RssAnon")) / 1024


# Nothing to do


def unchanged(work: Path, count: int) -> None:
    """The program over files that it knows."""
    folder = work / "files"
    write_small_files(folder, count)
    library = Index(config.load({"index": "unchanged"}))
    library.prepare()
    library.embedder = Stub(library.model)
    for _ in library.update([os.fsencode(folder)]):
        pass
    time.sleep(0.1)  # files that were touched this very moment are looked at once more
    wall, cpu = [], []
    for _ in range(6):
        seconds, spent, report = run_index([str(PROGRAM)], folder, "unchanged")
        assert report["unchanged"] == count, report
        wall.append(seconds)
        cpu.append(spent)
    print(f"\nunchanged  {count} files, wall s (target 1.5): {' '.join(f'{one:.2f}' for one in wall[1:])}")
    print(f"           CPU s: {' '.join(f'{one:.2f}' for one in cpu[1:])}")


# Files


def write_mixed_files(folder: Path, count: int) -> None:
    """Documents and changed copies of them, at most a tenth; the rest are pages in three formats in turn."""
    documents = itertools.islice(documents_and_copies(), count // 10)
    number = 0
    for name, data in documents:
        put(folder, number, name, data)
        number += 1
    for title, text in itertools.islice(pages(), count - number):
        suffix = ("txt", "md", "html")[number % 3]
        put(folder, number, f"page.{suffix}", written_as(suffix, title, text).encode())
        number += 1


def put(folder: Path, number: int, name: str, data: bytes) -> None:
    path = folder / f"{number // 100:03}" / f"{number:06}-{name}"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)


def documents_and_copies() -> Iterator[tuple[str, bytes]]:
    """Files of ../shared/documents that can be read, then the ZIP-based ones with a word more in each text run."""
    if not DOCUMENTS.is_dir():
        return
    paths = sorted(path for path in DOCUMENTS.rglob("*") if path.is_file() and "hostile" not in str(path))
    random.Random(1).shuffle(paths)
    yield from ((path.name, path.read_bytes()) for path in paths)
    packed = [path for path in paths if path.suffix in {".docx", ".pptx", ".xlsx", ".hwpx", ".odt", ".epub"}]
    for number in itertools.count() if packed else ():
        for path in packed:
            yield path.name, with_other_words(path, number)


def with_other_words(path: Path, number: int) -> bytes:
    """The file with a word added to every text between tags."""
    with tempfile.TemporaryFile() as stream:
        with zipfile.ZipFile(path) as old, zipfile.ZipFile(stream, "w") as new:
            for entry in old.infolist():
                data = old.read(entry)
                if entry.filename.endswith((".xml", ".xhtml", ".html")):
                    data = XML_TEXT.sub(rb">\1 %d</" % number, data)
                new.writestr(entry, data)
        stream.seek(0)
        return stream.read()


def pages() -> Iterator[tuple[str, str]]:
    """Titles and texts from all collections in turn, without end; or some made of words."""
    if SHARED.is_dir():
        collections = [
            [json.loads(line) for line in (SHARED / name / "corpus.jsonl").read_text(encoding="utf-8").splitlines()]
            for name in COLLECTIONS
        ]
        for number in itertools.count():
            for rows in collections:
                if number < len(rows):
                    yield rows[number]["title"], rows[number]["text"]
            if number > max(map(len, collections)):
                break
    yield from (("", text) for text in made_texts(200))


def made_texts(words: int) -> Iterator[str]:
    """Texts of so many words of the small corpus, no two alike, without end."""
    chance, known = random.Random(1), sorted(known_words())
    while True:
        yield f"{' '.join(chance.choices(known, k=words))}.\n"


def written_as(suffix: str, title: str, text: str) -> str:
    paragraphs = [one.strip() for one in text.split("\n") if one.strip()]
    if suffix == "html":
        body = "".join(f"<p>{html.escape(one)}</p>\n" for one in paragraphs)
        return f"<!doctype html><title>{html.escape(title)}</title>\n<h1>{html.escape(title)}</h1>\n{body}"
    heading = f"# {title}\n\n" if suffix == "md" and title else f"{title}\n\n" if title else ""
    return heading + "\n\n".join(paragraphs) + "\n"


def write_small_files(folder: Path, count: int) -> None:
    for number, text in enumerate(itertools.islice(made_texts(20), count)):
        put(folder, number, "note.txt", text.encode())


def write_one_file(work: Path) -> Path:
    folder = work / "one"
    folder.mkdir(exist_ok=True)
    shutil.copy(WORDS / "규정" / "휴가규정.md", folder)
    return folder


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
