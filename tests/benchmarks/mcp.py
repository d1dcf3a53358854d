"""What an agent waits for, and how much it has to read.

    python -m tests.benchmarks mcp [--files 400] [--rounds 5]

Small pages of ../shared/eval (made sentences where that is missing) are indexed with vectors from a stub, and the
installed `kosearch mcp` is started by the official client:

handshake   from the start of the process to the answer to `initialize`. The target is 2.5 s on a quiet machine.
cold        from there to the first answer, with no warm process: the target is 6 s, and never above 10.
warm        every further answer.
tokens      of an answer with 8 hits, of the same as `query --brief` and as `query --json`, by the tokenizer of the
            bundled model, and characters. The target is 1,500.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import anyio
import numpy as np
from mcp.client.session import ClientSession
from mcp.client.stdio import StdioServerParameters, stdio_client

from kosearch import config, embedding
from kosearch.library import Index
from tests.benchmarks.pipeline import PROGRAM, Stub, pages, put
from tests.benchmarks.queries import cpu_name

QUESTIONS = (
    "연차를 다음 해로 넘길 수 있나요?",
    "지원 대상과 신청 방법",
    "금리 인상의 영향",
    "How is a boundary layer measured?",
)


def main(arguments: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(prog="mcp", description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--files", type=int, default=400)
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args(arguments)
    print(f"machine    {cpu_name()}, {len(os.sched_getaffinity(0))} cores, load {os.getloadavg()[0]:.1f} at the start")
    with tempfile.TemporaryDirectory() as name:
        work = Path(name)
        os.environ |= {"KOSEARCH_DATA_DIR": str(work / "data"), "XDG_RUNTIME_DIR": name, "TMPDIR": name}
        library = Index(config.load({}))
        library.prepare()
        library.embedder = Stub(library.model)
        for number, (title, text) in zip(range(options.files), pages(), strict=False):
            put(work / "documents", number, "page.md", f"# {title}\n\n{text}\n".encode())
        library.index(work / "documents")
        tokens = embedding.token_offsets(library.model)
        library.close()
        handshakes, cold, warm, texts = [], [], [], []
        for _ in range(options.rounds):
            subprocess.run([PROGRAM, "serve", "--stop"], capture_output=True, check=True)
            seconds, answers = anyio.run(_asked, work)
            handshakes.append(seconds[0])
            cold.append(seconds[1])
            warm += seconds[2:]
            texts = answers
        print(f"\n{'seconds':<12} {'p50':>6} {'most':>6}")
        for what, times in (("handshake", handshakes), ("cold", cold), ("warm", warm)):
            print(f"{what:<12} {np.median(times):>6.2f} {max(times):>6.2f}")
        print(f"\n{'8 hits':<12} {'tokens':>8} {'most':>8} {'characters':>11}")
        _row("mcp", texts, lambda text: len(tokens(text)))
        for form in ("--brief", "--json"):
            command = [PROGRAM, "query", form, "-k", "8"]
            printed = [
                subprocess.run([*command, one], cwd=work, capture_output=True, text=True, check=True).stdout
                for one in QUESTIONS
            ]
            _row(form, printed, lambda text: len(tokens(text)))
        subprocess.run([PROGRAM, "serve", "--stop"], capture_output=True, check=True)
    print(f"load       {os.getloadavg()[0]:.1f} at the end")
    return 0


def _row(name: str, texts: Sequence[str], count: Callable[[str], int]) -> None:
    counts = [count(text) for text in texts]
    characters = np.mean([len(text) for text in texts])
    print(f"{name:<12} {np.mean(counts):>8.0f} {max(counts):>8} {characters:>11.0f}")


async def _asked(work: Path) -> tuple[list[float], list[str]]:
    """Seconds for the handshake and for each answer, and the answers."""
    seconds, texts = [], []
    began = time.perf_counter()
    server = StdioServerParameters(command=str(PROGRAM), args=["mcp"], env=dict(os.environ), cwd=work)
    async with stdio_client(server) as streams, ClientSession(*streams) as session:
        await session.initialize()
        seconds.append(time.perf_counter() - began)
        for question in QUESTIONS:
            began = time.perf_counter()
            found = await session.call_tool("search", {"questions": [question], "k": 8})
            seconds.append(time.perf_counter() - began)
            texts.append(str(json.loads(found.model_dump_json())["content"][0]["text"]))
    return seconds, texts


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
