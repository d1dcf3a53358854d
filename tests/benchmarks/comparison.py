"""The same job with kosearch and with what a user would pick instead: index 720 pages, ask, a process a question.

    python -m tests.benchmarks comparison [--pages 720] [--questions 114] [--only TOOL] [--venvs FOLDER]

The pages of ../shared/eval/autorag_ko_embed become text files. Each tool indexes them, and is then asked the
collection's questions from outside, as a shell script would ask: a process starts, answers, and ends. All have the same
weights: the directory that kosearch makes of its bundled multilingual-e5-small, which sentence-transformers and
transformers read too, and all get that model's prompts ("query: ", "passage: ").

    kosearch               as it is installed beside this Python: the first question starts the resident
    kosearch-no-resident   the same index, a cold process for each question
    txtai                  two short Python programs, as its documentation shows them; a vector a page
    llm                    `llm embed-multi --files`, `llm similar`, with llm-sentence-transformers; a vector a page
    semantra               `semantra FILES`; it answers in a browser only, so a server is started, asked and ended
    faiss                  two short programs over sentence-transformers and FAISS's flat index; a vector a page

qmd embeds by models that it fetches itself, in a form of their own, so it cannot be given these weights.
The others are installed by pip, each into its own virtual environment (several GB and minutes; `--venvs` keeps them for
the next time), and run in an empty folder with an empty HOME and HF_HUB_OFFLINE=1. A tool that cannot be installed or
does not work is named with its reason. A cold process takes seconds: `--questions 10` asks a sample of all tools but
of the resident, which is asked all; Recall@1 is over the questions asked. Beside the seconds on the clock stand those
of the processor, in which a busy machine shows little; of the resident they are the client's alone.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import resource
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from kosearch import config, embedding
from tests.benchmarks.main_job import PROGRAM, SHARED, read_lines, read_qrels, write_files

COLLECTION = SHARED / "eval" / "autorag_ko_embed"
CONSTRAINTS = "torch>=2.6,<2.14\nsetuptools<81\n"
"""Later releases of torch bring gigabytes of CUDA; semantra needs pkg_resources, which later setuptools leave out."""
QUERY, PASSAGE = "query: ", "passage: "
SECONDS = 7200
TXTAI_INDEX = """
import sys
from pathlib import Path
from txtai import Embeddings
model, docs = sys.argv[1:]
embeddings = Embeddings(path=model, instructions={"query": "query: ", "data": "passage: "})
embeddings.index((path.name, path.read_text("utf-8")) for path in sorted(Path(docs).iterdir()))
embeddings.save("index")
"""
TXTAI_QUERY = """
import sys
from txtai import Embeddings
embeddings = Embeddings()
embeddings.load("index")
print(embeddings.search(sys.argv[1], 1)[0][0])
"""

FAISS_INDEX = """
import json, sys
from pathlib import Path
import faiss
from sentence_transformers import SentenceTransformer
model, docs = sys.argv[1:]
paths = sorted(Path(docs).iterdir())
texts = ["passage: " + path.read_text("utf-8") for path in paths]
vectors = SentenceTransformer(model).encode(texts, normalize_embeddings=True)
index = faiss.IndexFlatIP(vectors.shape[1])
index.add(vectors)
faiss.write_index(index, "index")
Path("names").write_text(json.dumps([path.name for path in paths]), "utf-8")
"""
FAISS_QUERY = """
import json, sys
from pathlib import Path
import faiss
from sentence_transformers import SentenceTransformer
model, question = sys.argv[1:]
vectors = SentenceTransformer(model).encode(["query: " + question], normalize_embeddings=True)
_, places = faiss.read_index("index").search(vectors, 1)
print(json.loads(Path("names").read_text("utf-8"))[places[0][0]])
"""


class Unusable(Exception):
    """A tool that cannot be installed, or does not do what it is asked, and why."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where a tool works."""

    work: Path
    """Its working folder, empty at first, with its HOME beside it."""
    docs: Path
    model: Path
    bin: Path
    """Its programs."""

    @property
    def environment(self) -> Mapping[str, str]:
        """A new user's, offline."""
        home = self.work.with_name("home")
        home.mkdir(exist_ok=True, mode=0o700)
        kept = {name: os.environ[name] for name in ("LANG", "OMP_NUM_THREADS") if name in os.environ}
        return kept | {
            "HOME": str(home),
            "PATH": os.pathsep.join([str(self.bin), "/usr/local/bin", "/usr/bin", "/bin"]),
            "XDG_RUNTIME_DIR": str(home),
            "HF_HUB_OFFLINE": "1",
            "KOSEARCH_CACHE_DIR": str(self.model.parents[1]),
            "PYTHONUTF8": "1",
        }

    def run(self, *command: str | Path) -> str:
        """Run a program of the tool's; what it printed. Raises Unusable."""
        try:
            done = subprocess.run(
                [self.bin / command[0], *command[1:]], cwd=self.work, env=self.environment,
                capture_output=True, text=True, timeout=SECONDS, check=False,
            )  # fmt: skip
        except (OSError, subprocess.TimeoutExpired) as error:
            raise Unusable(str(error)) from error
        if done.returncode > 1 or (done.returncode and not done.stdout):
            raise Unusable(f"{command[0]} ended with {done.returncode}: {last_line(done.stderr)}")
        return done.stdout


Ask = Callable[[Place, str], str]
"""A question → the name of the first file; empty where there is none."""


@dataclass(frozen=True, slots=True)
class Tool:
    """How a user works with it."""

    packages: tuple[str, ...]
    """What pip installs; nothing for what is here."""
    index: Callable[[Place], object]
    ask: Ask
    after: Callable[[Place], object] = lambda place: None


def main(arguments: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(prog="comparison", description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--questions", type=int, default=114, help="how many all but the resident are asked")
    parser.add_argument("--pages", type=int, default=720, help="the first so many, and questions that they answer")
    parser.add_argument("--only", choices=TOOLS, action="append", help="this tool; may be repeated")
    parser.add_argument("--venvs", type=Path, help="keep the virtual environments here")
    options = parser.parse_args(arguments)
    model = embedding.resolve(embedding.BUNDLED, cache_dir=config.load({}).cache_dir).directory
    expected = read_qrels(COLLECTION / "qrels.tsv")
    results: dict[str, Result] = {}
    with tempfile.TemporaryDirectory() as folder:
        docs = Path(folder) / "docs"
        names = write_files(COLLECTION, docs)
        for name in sorted(names)[options.pages :]:
            (docs / name).unlink()
            del names[name]
        known = set(names.values())
        questions = [one for one in read_lines(COLLECTION / "queries.jsonl") if expected.get(one["id"], set()) & known]
        sample = random.Random(1).sample(questions, min(options.questions, len(questions)))
        print(f"model {model.name}; load {os.getloadavg()[0]:.1f} at the start, {os.cpu_count()} cores")
        print(f"{len(names)} pages, {len(questions)} questions", flush=True)
        for name in options.only or TOOLS:
            asked = questions if name == "kosearch" else sample
            home = Path(folder) / ("kosearch" if name.startswith("kosearch") else name)
            (home / "work").mkdir(parents=True, exist_ok=True)
            try:
                programs = installed(name, (options.venvs or Path(folder) / "venvs").absolute())
                place = Place(home / "work", docs, model, programs)
                results[name] = measure(TOOLS[name], place, asked, expected, names)
                print(f"{name}: {results[name]}", file=sys.stderr, flush=True)
            except Unusable as error:
                print(f"{name}: left out, because {error}", flush=True)
    report(results)
    return 0


@dataclass(frozen=True, slots=True)
class Result:
    """Seconds, and the share of the questions whose first hit is a file that answers."""

    index: float
    index_cpu: float
    question: float
    """The median."""
    question_cpu: float
    """The mean."""
    asked: int
    recall: float


def measure(
    tool: Tool,
    place: Place,
    questions: Sequence[Mapping[str, str]],
    expected: Mapping[str, set[str]],
    names: Mapping[str, str],
) -> Result:
    """Index, then ask: whole processes, from outside. The first question is not timed: it warms the page cache."""
    begun, cpu = time.monotonic(), processor()
    tool.index(place)
    indexed, indexed_cpu = time.monotonic() - begun, processor() - cpu
    times, right = [], 0
    try:
        tool.ask(place, questions[0]["text"])
        cpu = processor()
        for one in questions:
            begun = time.monotonic()
            found = tool.ask(place, one["text"])
            times.append(time.monotonic() - begun)
            right += names.get(found) in expected[one["id"]]
        asked_cpu = (processor() - cpu) / len(questions)
    finally:
        tool.after(place)
    return Result(indexed, indexed_cpu, median(times), asked_cpu, len(questions), right / len(questions))


def processor() -> float:
    """Processor seconds of all programs that were run and have ended."""
    spent = resource.getrusage(resource.RUSAGE_CHILDREN)
    return spent.ru_utime + spent.ru_stime


def installed(name: str, venvs: Path) -> Path:
    """The folder of a tool's programs, after installing it where it is not there yet. Raises Unusable."""
    packages = TOOLS[name].packages
    if not packages:
        return PROGRAM.parent
    venv = venvs / name
    done = venv / "installed"
    if not done.exists():
        venvs.mkdir(parents=True, exist_ok=True)
        (venvs / "constraints.txt").write_text(CONSTRAINTS, encoding="utf-8")
        print(f"{name}: installing {' '.join(packages)}", file=sys.stderr, flush=True)
        subprocess.run([sys.executable, "-m", "venv", "--clear", venv], check=True)
        pip = [venv / "bin" / "python", "-m", "pip", "install", "-q", "-c", venvs / "constraints.txt", *packages]
        result = subprocess.run(pip, capture_output=True, text=True, check=False)
        if result.returncode:
            raise Unusable(f"pip cannot install it: {last_line(result.stderr)}")
        done.touch()
    return venv / "bin"


def kosearch_index(place: Place) -> None:
    data = place.work.with_name("home") / ".local/share/kosearch"
    if not data.exists():  # both rows of kosearch ask one index
        place.run("kosearch", "index", place.docs, "-q")


def kosearch_ask(place: Place, question: str, *flags: str) -> str:
    hits = json.loads(place.run("kosearch", "query", "-k", "1", "--json", *flags, "--", question))["hits"]
    return Path(hits[0]["absolute_path"]).name if hits else ""


def txtai_index(place: Place) -> None:
    place.run("python", "-c", TXTAI_INDEX, place.model, place.docs)


def txtai_ask(place: Place, question: str) -> str:
    return place.run("python", "-c", TXTAI_QUERY, question).strip()


def faiss_index(place: Place) -> None:
    place.run("python", "-c", FAISS_INDEX, place.model, place.docs)


def faiss_ask(place: Place, question: str) -> str:
    return place.run("python", "-c", FAISS_QUERY, place.model, question).strip()


def llm_index(place: Place) -> None:
    # Left to itself, llm 0.36 reads every file as UTF-8, then as Latin-1, and keeps the latter.
    place.run("llm", "sentence-transformers", "register", str(place.model), "--lazy", "--alias", "e5")
    place.run(
        "llm", "embed-multi", "docs", "--model", "e5", "--database", "index.db",
        "--prepend", PASSAGE, "--encoding", "utf-8", "--files", place.docs, "*.txt",
    )  # fmt: skip


def llm_ask(place: Place, question: str) -> str:
    lines = place.run("llm", "similar", "docs", "-d", "index.db", "-n", "1", "-c", QUERY + question).splitlines()
    return Path(json.loads(lines[0])["id"]).name


def semantra(place: Place, *flags: str) -> list[str | Path]:
    model = ["--transformer-model", place.model, "--doc-token-pre", PASSAGE, "--query-token-pre", QUERY]
    return ["semantra", *model, "--encoding", "utf-8", "--silent", *flags, *sorted(place.docs.iterdir())]


def semantra_index(place: Place) -> None:
    place.run(*semantra(place, "--no-server"))


def semantra_ask(place: Place, question: str) -> str:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    body = json.dumps({"queries": [{"query": question, "weight": 1}], "preferences": []}).encode()
    request = urllib.request.Request(
        f"http://127.0.0.1:{port}/api/query", body, {"Content-Type": "application/json"}
    )  # fmt: skip
    with serving(place, semantra(place, "--host", "127.0.0.1", "--port", str(port))) as server:
        while server.poll() is None:
            with suppress(OSError), urllib.request.urlopen(request, timeout=60) as answer:
                first = json.load(answer)["results"][0]
                return Path(first[0]).name
            time.sleep(0.05)
    raise Unusable(f"its server ended with {server.returncode}")


@contextmanager
def serving(place: Place, command: Sequence[str | Path]) -> Iterator[subprocess.Popen[bytes]]:
    """A program that runs inside."""
    server = subprocess.Popen(
        [place.bin / command[0], *command[1:]], cwd=place.work, env=place.environment,
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    try:
        yield server
    finally:
        server.terminate()
        server.wait()


def report(results: Mapping[str, Result]) -> None:
    """Figures, and how many times kosearch's they are."""
    own = results.get("kosearch")
    print("\n| tool | index, s | × | CPU s | × | a question, s | × | CPU s | questions | Recall@1 |")
    print(f"|---|{'---:|' * 9}")
    for name, one in results.items():
        first = own if own and name == "kosearch-no-resident" else one  # it asks the same index
        times = [f"{first.index:.0f}", ratio(first.index, own and own.index)]
        times += [f"{first.index_cpu:.0f}", ratio(first.index_cpu, own and own.index_cpu)]
        times += [f"{one.question:.2f}", ratio(one.question, own and own.question)]
        print(f"| {name} | {' | '.join(times)} | {one.question_cpu:.1f} | {one.asked} | {one.recall:.3f} |")


def ratio(value: float, own: float | None) -> str:
    return f"{value / own:.1f}" if own else ""


def last_line(text: str) -> str:
    return (text.strip().splitlines() or ["it said nothing"])[-1]


TOOLS = {
    "kosearch": Tool((), kosearch_index, kosearch_ask, lambda place: place.run("kosearch", "serve", "--stop")),
    "kosearch-no-resident": Tool((), kosearch_index, lambda place, text: kosearch_ask(place, text, "--no-resident")),
    "txtai": Tool(("txtai",), txtai_index, txtai_ask),
    "llm": Tool(("llm", "llm-sentence-transformers"), llm_index, llm_ask),
    "semantra": Tool(("semantra", "setuptools"), semantra_index, semantra_ask),
    "faiss": Tool(("sentence-transformers", "faiss-cpu"), faiss_index, faiss_ask),
}


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
