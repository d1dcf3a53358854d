"""How fast passages become vectors: against the machine's limit, and against sentence-transformers.

    python -m tests.benchmarks engine [--pages 1000] [--rounds 2] [--busy] [--shape bge-m3]
    python -m tests.benchmarks engine --device cuda --shape bge-m3 [--pages 1000] [--rounds 10]
    python -m tests.benchmarks engine --shape bge-m3 --lengths 512,1024,2048,4096,8192 [--device cpu]

The pages are the same number from each collection of ../shared/eval, chosen by chance but alike in every run;
where that folder is missing, made sentences. kosearch in float32, kosearch in what it chooses by itself, and
sentence-transformers' `encode` with its defaults (on a GPU in kosearch's precision) embed them in turn, as often as
`--rounds` says. The floor is what the model must compute (see `_floor.operations`) at the speed of a large product of
matrices in the same precision, measured in the same run: on a CPU kosearch gets 200 pages at a time, and before and
after each such part the peak is looked at. The share is given of the best peak of the run and of the mean of the
contender's own looks: on a machine whose speed drifts, the best second of the run is no floor for its minutes. On a
GPU, where a round takes less than a second, each contender has one before that is not counted, and the peak is that of
float16 or of bfloat16, whichever is higher.

`--busy` keeps all cores but one busy with something else meanwhile, from after the first product on. `--shape`
measures a model with random weights (see `_shape`). `--lengths` measures one long text each instead: time, and
memory beyond what is held between texts.
"""

from __future__ import annotations

import argparse
import contextlib
import ctypes
import importlib.metadata
import json
import os
import platform
import random
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from statistics import fmean

import numpy as np
import numpy.typing as npt
import torch

from kosearch import config
from kosearch.embedding import Embedder, Model, load, resolve, token_offsets
from kosearch.embedding.torch_embedder import choose_devices, matrix_dtype
from kosearch.system import usable_cores
from tests.benchmarks import _floor, _shape
from tests.benchmarks.queries import SHARED, cpu_name, known_words

COLLECTIONS = ("autorag_ko_embed", "cranfield_en", "korquad1_dev", "msmarco_ko", "welfare_ko")
PART = 200
"""Pages between two looks at the peak: enough for the embedder to sort, and some ten seconds on two cores."""
Vectors = npt.NDArray[np.float32]


@dataclass
class Contender:
    """One way to embed, how long each round took, and what came out."""

    name: str
    dtype: torch.dtype
    embed: Callable[[Sequence[str]], Vectors]
    part: int
    """How many pages it is given at a time."""
    seconds: list[float] = field(default_factory=list)
    peaks: list[float] = field(default_factory=list)
    """Operations a second of the large product, before and after each part."""
    vectors: Vectors | None = None

    def run(self, pages: Sequence[str], look: Callable[[torch.dtype], float]) -> None:
        """One round; `look` finds the peak, and its time doesn't count."""
        taken, found = 0.0, []
        self.peaks.append(look(self.dtype))
        for first in range(0, len(pages), self.part):
            begun = time.perf_counter()
            found.append(self.embed(pages[first : first + self.part]))
            taken += time.perf_counter() - begun
            self.peaks.append(look(self.dtype))
        self.seconds.append(taken)
        self.vectors = np.concatenate(found)


def main(arguments: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(prog="engine", description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--pages", type=int, default=1000)
    parser.add_argument("--rounds", type=int, default=2, help="on a GPU rather 10")
    parser.add_argument("--busy", action="store_true")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--shape", choices=sorted(_shape.SHAPES))
    parser.add_argument("--lengths", type=lambda text: [int(part) for part in text.split(",")])
    options = parser.parse_args(arguments)
    quieten()
    cache_dir = config.load({}).cache_dir
    with tempfile.TemporaryDirectory() as folder:
        model = resolve("bundled", cache_dir=cache_dir)
        if options.shape:
            made = _shape.make(options.shape, model.directory, Path(folder))
            model = resolve(str(made), cache_dir=cache_dir)
        describe(options.shape or model.name, options.device)
        if options.lengths:
            long_texts(model, options.device, options.lengths)
        else:
            compare(model, options)
    return 0


def quieten() -> None:
    """No warnings, notes or progress of other people's libraries among the figures."""
    from transformers.utils import logging

    warnings.simplefilter("ignore")
    logging.set_verbosity_error()
    logging.disable_progress_bar()


def describe(model: str, device: str) -> None:
    """Machine, versions and model."""
    packages = ("kosearch", "torch", "transformers", "sentence-transformers", "tokenizers")
    print(f"machine    {cpu_name()}, {usable_cores()} cores, load {os.getloadavg()[0]:.1f} at the start")
    for one in choose_devices(device):
        if one.type == "cuda":
            print(f"GPU        {torch.cuda.get_device_name(one)}")
    print(f"versions   Python {platform.python_version()}, ", end="")
    print(", ".join(f"{name} {importlib.metadata.version(name)}" for name in packages))
    print(f"model      {model}, on {device}")


def compare(model: Model, options: argparse.Namespace) -> None:
    """All contenders on the same pages, in turn."""
    texts = pages(options.pages)
    read = token_offsets(model)
    prompt = model.prompts.passage
    lengths = [min(len(read(prompt + text)) + 2, model.max_tokens) for text in texts]
    settings = json.loads((model.directory / "config.json").read_text(encoding="utf-8"))
    needed = _floor.operations(settings, lengths)
    print(f"pages      {len(texts)}, {sum(lengths)} tokens; a page has, at the quartiles, ", end="")
    print(", ".join(f"{value:.0f}" for value in np.percentile(lengths, [0, 25, 50, 75, 100])))
    print(f"needed     {needed / 1e12:.2f} TFLOP for all pages")

    contenders = contenders_of(model, options.device, texts)
    look: Callable[[torch.dtype], float] = partial(peak_of, options.device)
    if options.busy:
        look = {one.dtype: look(one.dtype) for one in contenders}.__getitem__  # while the cores are still free
    with spinning() if options.busy else contextlib.nullcontext():
        for _ in range(options.rounds):
            for contender in contenders:
                contender.run(texts, look)
    report(contenders, sum(lengths), needed)


def peak_of(device: str, dtype: torch.dtype) -> float:
    """How fast a large product is now; the sum of all devices'."""
    devices = choose_devices(device)
    dtypes = {dtype} if devices[0].type == "cpu" else {dtype, torch.bfloat16}
    return sum(max(_floor.peak(kind, one, usable_cores()) for kind in dtypes) for one in devices)


def contenders_of(model: Model, device: str, texts: Sequence[str]) -> list[Contender]:
    """kosearch in float32 (on a CPU) and by default, each ready, and sentence-transformers last."""
    first = choose_devices(device)[0]
    cores = usable_cores()
    part, warming = (PART, 32) if first.type == "cpu" else (len(texts), len(texts))
    own = matrix_dtype(first, "auto", own_encoder=True)
    found = []
    for precision, dtype in (("float32", torch.float32), ("auto", own)):
        if precision == "float32" and (first.type != "cpu" or own == torch.float32):
            continue
        embedder = load(model, device, precision=precision)  # type: ignore[arg-type]
        embedder.embed_passages(texts[:warming])
        found.append(Contender(f"kosearch, {shown(dtype)}", dtype, embedder.embed_passages, part))
    theirs = torch.float32 if first.type == "cpu" else own
    encode = encoder_of_others(model, first, theirs, cores)
    encode(texts[:warming])
    found.append(Contender(f"sentence-transformers, {shown(theirs)}", theirs, encode, len(texts)))
    return found


def encoder_of_others(
    model: Model, device: torch.device, dtype: torch.dtype, cores: int
) -> Callable[[Sequence[str]], Vectors]:
    """sentence-transformers' own `encode` with its defaults, on all cores."""
    from sentence_transformers import SentenceTransformer

    theirs = SentenceTransformer(str(model.directory), device=str(device), model_kwargs={"dtype": dtype})

    def encode(texts: Sequence[str]) -> Vectors:
        torch.set_num_threads(cores)  # kosearch has set one
        vectors: Vectors = theirs.encode(list(texts), prompt=model.prompts.passage, normalize_embeddings=True)
        return vectors

    return encode


@contextlib.contextmanager
def spinning() -> Iterator[None]:
    """Something else on every core but one."""
    count = max(1, usable_cores() - 1)
    others = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(count)]
    try:
        yield
    finally:
        for one in others:
            one.kill()
            one.wait()


def report(contenders: Sequence[Contender], tokens: int, needed: int) -> None:
    """Speed, shares of the peak, ratio, and how far apart the vectors are."""
    *_, theirs = contenders
    best: dict[torch.dtype, float] = {}
    for one in contenders:
        best[one.dtype] = max([best.get(one.dtype, 0), *one.peaks])
        print(f"peaks      {one.name}: {', '.join(f'{peak / 1e9:.0f}' for peak in one.peaks)} GFLOPS")
    print(
        f"\n{'':<32} {'tokens/s':>9} {'GFLOPS':>7} {'of the best peak':>17} {'of the mean':>12} {'times':>6}  rounds, s"
    )
    for one in contenders:
        mean = sum(one.seconds) / len(one.seconds)
        print(
            f"{one.name:<32} {tokens / mean:>9.0f} {needed / mean / 1e9:>7.0f} "
            f"{needed / mean / best[one.dtype]:>17.1%} {needed / mean / fmean(one.peaks):>12.1%} "
            f"{sum(theirs.seconds) / sum(one.seconds):>6.2f}  {', '.join(f'{s:.1f}' for s in one.seconds)}"
        )
    print(f"\ncosine with sentence-transformers in {shown(theirs.dtype)}: least, median")
    for one in contenders[:-1]:
        assert one.vectors is not None
        assert theirs.vectors is not None
        cosines = (one.vectors * theirs.vectors).sum(axis=1)
        print(f"{one.name:<32} {cosines.min():.6f} {np.median(cosines):.6f}")


def long_texts(model: Model, device: str, lengths: Sequence[int]) -> None:
    """A text of each length alone: seconds, and memory at its peak beyond what was held before."""
    embedder = load(model, device)
    where = choose_devices(device)[0]
    embedder.embed_passages(["word " * 2000])  # weights are laid out, libraries warm
    print(f"\n{'tokens':>7} {'seconds':>8} {'tokens/s':>9} {'MiB':>7} {'KiB a token':>12}")
    for length in sorted(lengths):
        text, tokens = text_of(length, model)
        seconds, memory = measured(embedder, text, where)
        print(f"{tokens:>7} {seconds:>8.2f} {tokens / seconds:>9.0f} {memory / 2**20:>7.0f} ", end="")
        print(f"{memory / 2**10 / tokens:>12.1f}")


def measured(embedder: Embedder, text: str, device: torch.device) -> tuple[float, float]:
    """Seconds and bytes for one text; no number where the system doesn't tell its peak."""
    before = held(device)
    begun = time.perf_counter()
    embedder.embed_passages([text])
    seconds = time.perf_counter() - begun
    if device.type == "cuda":
        return seconds, torch.cuda.max_memory_allocated(device) - before
    return seconds, _status("VmHWM:") - before


def held(device: torch.device) -> float:
    """Bytes in use; the count of the peak begins anew."""
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
        return torch.cuda.memory_allocated(device)
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL("libc.so.6").malloc_trim(0)  # what is held for reuse would hide what is used
        Path("/proc/self/clear_refs").write_text("5", encoding="ascii")  # proc_pid_clear_refs(5)
    return _status("VmRSS:")


def _status(name: str) -> float:
    with contextlib.suppress(OSError):
        for line in Path("/proc/self/status").read_text(encoding="utf-8").splitlines():
            if line.startswith(name):
                return int(line.split()[1]) * 1024.0
    return float("nan")


def text_of(length: int, model: Model) -> tuple[str, int]:
    """A text of so many tokens, prompt and special ones included, or of as many as the model reads."""
    wanted = min(length, model.max_tokens)
    read = token_offsets(model)
    text = " ".join(pages(200) * (1 + wanted // 20_000))
    kept = wanted - 2 - len(read(model.prompts.passage))
    return text[: read(text)[kept - 1][1]], wanted


def pages(count: int) -> list[str]:
    """Texts of mixed length, the same in every run."""
    chance = random.Random(1)
    if not SHARED.is_dir():
        words = sorted(known_words())
        return [" ".join(chance.choices(words, k=chance.randint(5, 250))) for _ in range(count)]
    texts = []
    for number, name in enumerate(COLLECTIONS):
        lines = (SHARED / name / "corpus.jsonl").read_text(encoding="utf-8").splitlines()
        share = count * (number + 1) // len(COLLECTIONS) - count * number // len(COLLECTIONS)
        texts += [json.loads(line)["text"] for line in chance.sample(lines, share)]
    chance.shuffle(texts)
    return texts


def shown(dtype: torch.dtype) -> str:
    return str(dtype).removeprefix("torch.")


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
