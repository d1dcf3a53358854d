"""Embedding with torch: which device, how many tokens a step, and which encoder."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from safetensors import safe_open
from torch import Tensor

from kosearch.embedding.directory import read_json, weight_files
from kosearch.embedding.encoder import PackedEncoder, fits
from kosearch.embedding.model import Model
from kosearch.embedding.pooling import Head
from kosearch.embedding.tokens import load_tokenizer
from kosearch.errors import ModelError

if TYPE_CHECKING:
    from kosearch.embedding import Vectors

Encoder = Callable[[Tensor, Sequence[int]], Tensor]
"""Token ids of several texts, end to end, and the texts' lengths → hidden states, (tokens, hidden)."""

_CPU_TOKENS = 1024
"""A step's activations then stay in the cache; more only costs (design.md, "Decisions already measured")."""
_GPU_TOKENS = 32_768
_TEXTS_AT_ONCE = 4096
"""How many texts are tokenised before they are sorted by length and embedded."""


class TorchEmbedder:
    """An `Embedder` on one device."""

    def __init__(self, model: Model, device: str = "auto", threads: int | None = None) -> None:
        self._model = model
        self._device = choose_device(device)
        on_cpu = self._device.type == "cpu"
        if on_cpu:
            torch.set_num_threads(threads or len(os.sched_getaffinity(0)))
        self._budget = _CPU_TOKENS if on_cpu else _GPU_TOKENS
        self._tokenizer = load_tokenizer(model)
        self._tokenizer.enable_truncation(model.max_tokens)
        self._encode = load_encoder(model, self._device, torch.float32 if on_cpu else torch.float16)
        self._head = Head(model, self._device)

    @property
    def model(self) -> Model:
        return self._model

    def embed_passages(self, texts: Sequence[str], progress: Callable[[int], None] | None = None) -> Vectors:
        return self._embed(texts, self._model.prompts.passage, progress)

    def embed_queries(self, texts: Sequence[str]) -> Vectors:
        return self._embed(texts, self._model.prompts.query, None)

    def _embed(self, texts: Sequence[str], prompt: str, progress: Callable[[int], None] | None) -> Vectors:
        vectors = np.empty((len(texts), self._model.dimensions), np.float32)
        skip = 0 if self._model.include_prompt else self._prompt_length(prompt)
        for first in range(0, len(texts), _TEXTS_AT_ONCE):
            ids = self._ids([prompt + text for text in texts[first : first + _TEXTS_AT_ONCE]])
            for step in self._steps(ids):
                rows = self._step([ids[i] for i in step], skip)
                vectors[[first + i for i in step]] = rows.cpu().numpy()
                if progress:
                    progress(len(step))
        return vectors

    def _ids(self, texts: list[str]) -> list[list[int]]:
        return [encoding.ids for encoding in self._tokenizer.encode_batch_fast(texts)]

    def _prompt_length(self, prompt: str) -> int:
        """The prompt's tokens, with a special token before and without one behind."""
        encoding = self._tokenizer.encode(prompt)
        return len(encoding.ids) - encoding.special_tokens_mask[-1] if prompt else 0

    def _steps(self, ids: list[list[int]]) -> Iterator[list[int]]:
        """Texts, longest first, in groups that hold at most the budget of tokens, or one text."""
        step: list[int] = []
        tokens = 0
        for i in sorted(range(len(ids)), key=lambda i: -len(ids[i])):
            if step and tokens + len(ids[i]) > self._budget:
                yield step
                step, tokens = [], 0
            step.append(i)
            tokens += len(ids[i])
        if step:
            yield step

    @torch.inference_mode()
    def _step(self, ids: list[list[int]], skip: int) -> Tensor:
        lengths = [len(one) for one in ids]
        packed = torch.tensor([token for one in ids for token in one], device=self._device)
        return self._head(self._encode(packed, lengths), torch.tensor(lengths, device=self._device), skip)


def choose_device(name: str) -> torch.device:
    """The device for `auto`, `cpu`, `cuda`, `cuda:N` or `mps`. Raises ModelError where it is not there."""
    kind, _, number = name.partition(":")
    there = {
        "cpu": True,
        "cuda": torch.cuda.is_available() and int(number or 0) < torch.cuda.device_count(),
        "mps": torch.backends.mps.is_available(),
    }
    if name == "auto":
        return torch.device("cuda" if there["cuda"] else "mps" if there["mps"] else "cpu")
    if not there.get(kind):
        found = ", ".join(kind for kind, is_there in there.items() if is_there)
        raise ModelError(f"the device {name} is not there; torch finds {found}", "use --device auto")
    return torch.device(name)


def load_encoder(model: Model, device: torch.device, dtype: torch.dtype) -> Encoder:
    """The transformer's weights on `device`; on the CPU as they lie in the mapped file, where they are float32."""
    config: dict[str, Any] = read_json(model.directory / "config.json")
    try:
        if not fits(config):
            from kosearch.embedding.padded import PaddedEncoder

            return PaddedEncoder(model.directory, device, dtype)
        weights = {}
        for file in weight_files(model.directory):
            with safe_open(file, "pt") as tensors:
                weights.update({name: tensors.get_tensor(name) for name in tensors.keys()})  # noqa: SIM118
        return PackedEncoder(config, weights, device, dtype)
    except KeyError as error:
        raise ModelError(
            f"{model.directory} lacks the tensor {error}", "fetch or copy the model again"
        ) from error
