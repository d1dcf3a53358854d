"""Embedding with torch: which device, how many tokens a step, and which encoder."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import torch
from safetensors import safe_open
from torch import Tensor

from kosearch.embedding import bert
from kosearch.embedding.directory import read_json, weight_files
from kosearch.embedding.encoder import PackedEncoder, can_tune
from kosearch.embedding.head import Head
from kosearch.embedding.model import Model
from kosearch.embedding.padded import PaddedEncoder
from kosearch.embedding.tokens import encodable, load_tokenizer
from kosearch.errors import ModelError

if TYPE_CHECKING:
    from kosearch.embedding import Vectors

_CPU_TOKENS = 1024
"""A step's activations then stay near the core's cache. 512 to 2048 measure alike, within a tenth."""
_GPU_TOKENS = 32_768
"""Enough to fill a large card; more only takes memory."""
_FEW_TOKENS = 1024
"""Below this, laying out the weights for the matrix unit costs more than it saves."""
_TEXTS_AT_ONCE = 4096
"""How many texts are tokenised and sorted by length together."""


class TorchEmbedder:
    """An `Embedder` on one device."""

    def __init__(
        self,
        model: Model,
        device: str = "auto",
        threads: int | None = None,
        precision: Literal["auto", "float32"] = "auto",
    ) -> None:
        self._model = model
        self._device = choose_device(device)
        self._threads = threads or available_cores()
        self._tokenizer = load_tokenizer(model)
        self._config: dict[str, Any] = read_json(model.directory / "config.json")
        self._matrix = _matrix_dtype(self._device, precision, own_encoder=bert.fits(self._config))
        stored = torch.float32 if self._on_cpu else self._matrix
        torch.set_num_threads(1)  # each step sets its own; see `_run`
        try:
            self._encode = _load_encoder(model, self._config, self._device, stored)
            self._head = Head(model, self._device)
            width = self._vectors([[0]], 0).shape[1]  # one token through all of it: does it fit together?
        except torch.OutOfMemoryError as error:
            raise ModelError(f"{model.name} has no room on {self._device}", "use --device cpu") from error
        except (RuntimeError, KeyError, IndexError) as error:
            raise ModelError(
                f"the weights of {model.name} don't fit its config.json: {error}", "fetch or copy the model again"
            ) from error
        if width != model.dimensions:
            raise ModelError(
                f"{model.name} gives {width} dimensions, and its files say {model.dimensions}",
                "fetch or copy the model again",
            )
        self._tuned = not (self._on_cpu and can_tune())
        self._tokens_so_far = 0
        self._budget = _CPU_TOKENS if self._on_cpu else self._gpu_budget()

    @property
    def model(self) -> Model:
        return self._model

    @property
    def device(self) -> torch.device:
        """Where the hidden states lie."""
        return self._device

    @property
    def width(self) -> int:
        """How long a token's hidden state is."""
        return int(self._config["hidden_size"])

    def token_id(self, token: str) -> int | None:
        """The token's id, where the vocabulary has it."""
        found: int | None = self._tokenizer.token_to_id(token)
        return found

    @property
    def _on_cpu(self) -> bool:
        return self._device.type == "cpu"

    def embed_passages(self, texts: Sequence[str], progress: Callable[[int], None] | None = None) -> Vectors:
        return self._embed(texts, self._model.prompts.passage, progress)

    def embed_queries(self, texts: Sequence[str]) -> Vectors:
        return self._embed(texts, self._model.prompts.query, None)

    @torch.inference_mode()
    def token_states(self, texts: Sequence[str], prompt: str) -> Iterator[tuple[list[int], Tensor, Tensor]]:
        """Each text's token ids, hidden states in float32, (tokens, width), and vector, (dimensions), in order."""
        skip = 0 if self._model.include_prompt else self._prompt_length(prompt)
        for _, ids in self._tokenised(texts, prompt):
            for step in self._steps(range(len(ids)), ids):
                lengths = [len(ids[i]) for i in step]
                hidden = self._encode(torch.tensor([token for i in step for token in ids[i]]), lengths).float()
                vectors = self._head(hidden, torch.tensor(lengths, device=self._device), skip)
                yield from zip((ids[i] for i in step), torch.split(hidden, lengths), vectors, strict=True)

    def _embed(self, texts: Sequence[str], prompt: str, progress: Callable[[int], None] | None) -> Vectors:
        vectors = np.empty((len(texts), self._model.dimensions), np.float32)
        skip = 0 if self._model.include_prompt else self._prompt_length(prompt)
        for first, ids in self._tokenised(texts, prompt):
            for rows, part in self._run(ids, skip):
                vectors[[first + row for row in rows]] = part
                if progress:
                    progress(len(rows))
        return vectors

    def _tokenised(self, texts: Sequence[str], prompt: str) -> Iterator[tuple[int, list[list[int]]]]:
        """Token ids of some thousand texts at a time; the next are made while the caller computes."""

        def ids(first: int) -> list[list[int]]:
            chunk = [encodable(prompt + text) for text in texts[first : first + _TEXTS_AT_ONCE]]
            return [encoding.ids for encoding in self._tokenizer.encode_batch_fast(chunk)]

        with ThreadPoolExecutor(1) as pool:
            coming = pool.submit(ids, 0)
            for first in range(0, len(texts), _TEXTS_AT_ONCE):
                current, coming = coming, pool.submit(ids, first + _TEXTS_AT_ONCE)
                yield first, current.result()

    def _prompt_length(self, prompt: str) -> int:
        """The prompt's tokens, with a special token before and without one behind."""
        encoding = self._tokenizer.encode(prompt)
        return len(encoding.ids) - encoding.special_tokens_mask[-1] if prompt else 0

    def _run(self, ids: list[list[int]], skip: int) -> Iterator[tuple[list[int], Vectors]]:
        """The texts' vectors, some at a time, each with the texts' places in `ids`."""
        longest_first = sorted(range(len(ids)), key=lambda i: -len(ids[i]))
        if not self._on_cpu:
            done = [self._vectors_or_less(step, ids, skip) for step in self._steps(longest_first, ids)]
            yield longest_first, torch.cat(done).cpu().numpy()
            return

        tokens = sum(map(len, ids))
        self._tokens_so_far += tokens
        if not self._tuned and self._tokens_so_far > _FEW_TOKENS:
            self._encode.tune(self._matrix)
            self._tuned = True
        self._budget = min(_CPU_TOKENS, tokens // self._threads)  # so that a short file, too, busies all cores
        steps = list(self._steps(longest_first, ids))
        # One core a step, not all cores on each: nobody waits for the slowest core, which on a busy machine
        # costs a multiple (measured: 6 times). Only a single long text is shared among the cores.
        workers = min(self._threads, len(steps))
        share = self._threads // workers if tokens > _FEW_TOKENS else 1
        with ThreadPoolExecutor(workers, initializer=lambda: torch.set_num_threads(share)) as pool:
            results = pool.map(lambda step: self._vectors([ids[i] for i in step], skip).numpy(), steps)
            yield from zip(steps, results, strict=True)

    def _steps(self, order: Sequence[int], ids: list[list[int]]) -> Iterator[list[int]]:
        """Groups that hold at most the budget of tokens, or one text."""
        step: list[int] = []
        tokens = 0
        for i in order:
            if step and tokens + len(ids[i]) > self._budget:
                yield step
                step, tokens = [], 0
            step.append(i)
            tokens += len(ids[i])
        if step:
            yield step

    def _vectors_or_less(self, step: list[int], ids: list[list[int]], skip: int) -> Tensor:
        """The step's vectors; where memory runs out, in two halves, and in smaller steps from then on."""
        try:
            return self._vectors([ids[i] for i in step], skip)
        except torch.OutOfMemoryError as error:
            if len(step) == 1:
                raise ModelError(
                    f"{self._model.name} has no room on {self._device} for a text of {len(ids[step[0]])} tokens",
                    "free memory there, or use --device cpu",
                ) from error
        if self._device.type == "cuda":
            torch.cuda.empty_cache()
        self._budget = max(self._budget // 2, self._model.max_tokens)
        half = len(step) // 2
        return torch.cat([self._vectors_or_less(part, ids, skip) for part in (step[:half], step[half:])])

    @torch.inference_mode()
    def _vectors(self, ids: list[list[int]], skip: int) -> Tensor:
        lengths = [len(one) for one in ids]
        hidden = self._encode(torch.tensor([token for one in ids for token in one]), lengths)
        return self._head(hidden, torch.tensor(lengths, device=self._device), skip)

    def _gpu_budget(self) -> int:
        """Tokens that surely fit: a token takes about 16 activations of the hidden size in a layer."""
        if self._device.type != "cuda":
            return _GPU_TOKENS // 4
        free, _ = torch.cuda.mem_get_info(self._device)
        width = int(self._config.get("hidden_size", 1024)) * 16 * 4
        return max(self._model.max_tokens, min(_GPU_TOKENS, free // 2 // width))


def choose_device(name: str) -> torch.device:
    """The device for `auto`, `cpu`, `cuda`, `cuda:N` or `mps`. Raises ModelError where it is not there."""
    kind, _, number = name.partition(":")
    there = {
        "cpu": True,
        "cuda": torch.cuda.is_available() and (number or "0") in map(str, range(torch.cuda.device_count())),
        "mps": torch.backends.mps.is_available(),
    }
    if name == "auto":
        return torch.device("cuda" if there["cuda"] else "mps" if there["mps"] else "cpu")
    if not there.get(kind):
        found = ", ".join(kind for kind, is_there in there.items() if is_there)
        raise ModelError(f"the device {name} is not there; torch finds {found}", "use --device auto")
    return torch.device(name)


def available_cores() -> int:
    """The cores this process may use: its affinity, and no more than its control group's quota."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    try:
        quota, period = Path("/sys/fs/cgroup/cpu.max").read_text(encoding="ascii").split()
        return max(1, min(cores, int(quota) // int(period)))
    except (OSError, ValueError):  # no control groups, or no quota ("max")
        return cores


def _matrix_dtype(device: torch.device, precision: str, *, own_encoder: bool) -> torch.dtype:
    """What matrices are multiplied in.

    On a GPU float16, which BERT's kind stays within, and bfloat16 for what may not (T5, Gemma). On a CPU that
    has it in hardware bfloat16: the vectors of multilingual-e5-small keep a cosine of .99998 on Korean pages.
    """
    if precision == "float32":
        return torch.float32
    if device.type != "cpu":
        return torch.float16 if own_encoder else torch.bfloat16
    in_hardware = getattr(torch.cpu, "_is_avx512_bf16_supported", lambda: False)()
    return torch.bfloat16 if in_hardware else torch.float32


def _load_encoder(
    model: Model, config: dict[str, Any], device: torch.device, dtype: torch.dtype
) -> PackedEncoder | PaddedEncoder:
    if not bert.fits(config):
        return PaddedEncoder(model.directory, device, dtype)
    weights = {}
    for file in weight_files(model.directory):
        with safe_open(file, "pt") as tensors:
            weights.update({name: tensors.get_tensor(name) for name in tensors.keys()})  # noqa: SIM118
    return PackedEncoder(config, weights, device, dtype)
