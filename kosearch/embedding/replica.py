"""A model on one device: a step of token ids goes in, its vectors come out, and memory that runs out is met."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import chain
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from kosearch.embedding import bert, devices
from kosearch.embedding.attention import to_device
from kosearch.embedding.directory import read_json, weight_files
from kosearch.embedding.encoder import PackedEncoder, pays_to_tune
from kosearch.embedding.head import Head
from kosearch.embedding.model import Model
from kosearch.embedding.padded import PaddedEncoder
from kosearch.errors import ModelError

if TYPE_CHECKING:
    from kosearch.embedding import Vectors

Pending = Callable[[], "Vectors"]
"""Vectors that a device may still be computing; calling it waits for them."""

_CPU_TOKENS = 1024
"""A step's activations then stay near the core's cache. 512 to 2048 measure alike, within a tenth."""
_GPU_TOKENS = 32_768
"""Enough to fill a large card; more only takes memory."""
_LEAST_TOKENS = 256
"""What a budget does not fall below, however little was asked for when memory ran out."""
_OUT_OF_MEMORY = ("out of memory", "ALLOC_FAILED", "can't allocate memory")
_DEVICE_ERRORS = (torch.AcceleratorError,) if hasattr(torch, "AcceleratorError") else ()
"""What torch from 2.8 on raises where a device fails, such as one that it has no kernels for."""
_FEW_TOKENS = 1024
"""Below this, laying out the weights for the matrix unit costs more than it saves."""


class Replica:
    """Encoder and head on one device; `budget` is how many tokens a step should have there."""

    def __init__(self, model: Model, device: torch.device, precision: str) -> None:
        """Raises ModelError for weights that don't fit the architecture, and where the device has no room."""
        self.device = device
        self._model = model
        self._config: dict[str, Any] = read_json(model.directory / "config.json")
        self._matrix = devices.matrix_dtype(device, precision, own_encoder=bert.fits(self._config))
        try:
            self._encode = self._load_encoder()
            self._head = Head(model, device)
            hidden, vectors = self.states([[0]], 0)  # one token through all of it: does it fit together?
            if device.type == "cuda":
                torch.cuda.synchronize(device)  # what is wrong there shows now
        except (RuntimeError, KeyError, IndexError, SafetensorError) as error:
            if _is_out_of_memory(error):
                raise ModelError(f"{model.name} has no room on {device}", _other_place(device)) from error
            if isinstance(error, _DEVICE_ERRORS) and "device-side assert" not in str(error):
                raise ModelError(f"the device {device} can't be used: {error}", "use --device cpu") from error
            raise ModelError(
                f"the weights of {model.name} don't fit its config.json: {error}", "fetch or copy the model again"
            ) from error
        if vectors.shape[1] != model.dimensions:
            raise ModelError(
                f"{model.name} gives {vectors.shape[1]} dimensions, and its files say {model.dimensions}",
                "fetch or copy the model again",
            )
        self.width = hidden.shape[1]
        """How long a token's hidden state is."""
        self.gains_by_sorting = self._encode.gains_by_sorting
        """Whether steps of texts of equal length take less time."""
        self._to_tune = device.type == "cpu" and pays_to_tune(self._matrix)
        self._tokens_so_far = 0
        self.budget = self._first_budget()
        self._last_step: Pending | None = None

    def expect(self, tokens: int) -> None:
        """Get ready for so many more tokens: from some hundred on, a CPU gets its weights laid out, where that pays."""
        self._tokens_so_far += tokens
        if self._to_tune and self._tokens_so_far > _FEW_TOKENS:
            self._encode.tune(self._matrix)
            self._to_tune = False

    @torch.inference_mode()
    def states(self, ids: Sequence[list[int]], skip: int) -> tuple[Tensor, Tensor]:
        """The texts' hidden states, (tokens, width), end to end, and their vectors, (texts, dimensions)."""
        lengths = [len(one) for one in ids]
        tokens = np.fromiter(chain.from_iterable(ids), np.int64, sum(lengths))  # a tenth of torch.tensor's time
        hidden = self._encode(torch.from_numpy(tokens), lengths)
        return hidden, self._head(hidden, to_device(torch.tensor(lengths), self.device), skip)

    def begin(self, ids: Sequence[list[int]], skip: int) -> Pending:
        """Have the device compute a step while the caller goes on; at most this one and the one before it wait there.

        Where memory runs out, the step is computed in two halves, and `budget` is what a half holds from then on. The
        first `skip` tokens of each text are not pooled. Raises ModelError for a text that doesn't fit alone.
        """
        step = self._begin_or_halve(ids, skip)
        before, self._last_step = self._last_step, step
        if before:
            before()
        return step

    def _begin_or_halve(self, ids: Sequence[list[int]], skip: int) -> Pending:
        tokens = sum(map(len, ids))
        if len(ids) == 1 or tokens <= self.budget:
            try:
                return self._copied_back(self.states(ids, skip)[1])
            except RuntimeError as error:
                if not _is_out_of_memory(error):
                    raise
                if len(ids) == 1:
                    raise ModelError(
                        f"{self._model.name} has no room on {self.device} for a text of {len(ids[0])} tokens",
                        f"free memory there, or {_other_place(self.device)}",
                    ) from error
            if self.device.type == "cuda":
                torch.cuda.empty_cache()
            self.budget = min(self.budget, max(tokens // 2, _LEAST_TOKENS))
        half = len(ids) // 2
        halves = [self._begin_or_halve(part, skip) for part in (ids[:half], ids[half:])]
        return lambda: np.concatenate([wait() for wait in halves])

    def _copied_back(self, vectors: Tensor) -> Pending:
        """The vectors in the host's memory, copied when the GPU has come so far."""
        if self.device.type != "cuda":
            there = vectors.cpu().numpy()
            return lambda: there
        host = torch.empty(vectors.shape, dtype=vectors.dtype, pin_memory=True)
        host.copy_(vectors, non_blocking=True)
        copied: Any = torch.cuda.Event(blocking=True)  # type: ignore[no-untyped-call]
        copied.record(torch.cuda.current_stream(self.device))

        def wait() -> Vectors:
            copied.synchronize()
            return host.numpy()

        return wait

    def _load_encoder(self) -> PackedEncoder | PaddedEncoder:
        """On the CPU the tensors stay as they are stored until `expect`; elsewhere they are converted."""
        dtype = torch.float32 if self.device.type == "cpu" else self._matrix
        directory = self._model.directory
        if not bert.fits(self._config):
            return PaddedEncoder(directory, self.device, dtype, self._model.code)
        weights = {}
        for file in weight_files(directory):
            with safe_open(file, "pt") as tensors:
                weights.update({name: tensors.get_tensor(name) for name in tensors.keys()})  # noqa: SIM118
        return PackedEncoder(self._config, weights, self.device, dtype)

    def _first_budget(self) -> int:
        """On a GPU, tokens that surely fit: one takes about 16 activations of the hidden size in a layer."""
        if self.device.type == "cpu":
            return _CPU_TOKENS
        if self.device.type != "cuda":
            return _GPU_TOKENS // 4
        free, _ = torch.cuda.mem_get_info(self.device)
        return max(self._model.max_tokens, min(_GPU_TOKENS, free // 2 // (self.width * 16 * 4)))


def _is_out_of_memory(error: Exception) -> bool:
    """Only a GPU's own allocator has a class for it: Apple's devices, CUDA's libraries and the CPU just say so."""
    said = str(error)
    return isinstance(error, torch.OutOfMemoryError) or any(sign in said for sign in _OUT_OF_MEMORY)


def _other_place(device: torch.device) -> str:
    return "use a smaller model" if device.type == "cpu" else "use --device cpu"
