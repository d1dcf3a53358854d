"""Embedding with torch: texts become steps of tokens, and every device takes the next one when it is free."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from queue import SimpleQueue
from typing import TYPE_CHECKING, Literal, TypeVar

import numpy as np
import torch
from torch import Tensor

from kosearch.embedding.devices import choose_devices
from kosearch.embedding.model import Model
from kosearch.embedding.replica import Replica
from kosearch.embedding.tokens import encodable, load_tokenizer
from kosearch.system import usable_cores

if TYPE_CHECKING:
    from kosearch.embedding import Vectors

T = TypeVar("T")

_FIRST_TEXTS = 512
"""How many texts are tokenised and sorted by length together: few at first, so that computing begins soon.

Where nothing is gained by sorting, a quarter, which is about one step of a GPU: it waits for the first of them.
"""
_MOST_TEXTS = 4096
_LONG_TEXT = 1024
"""In tokens: what several cores compute sooner than one."""


class TorchEmbedder:
    """An `Embedder` on one device, or on several with a copy of the model on each."""

    def __init__(
        self,
        model: Model,
        device: str = "auto",
        threads: int | None = None,
        precision: Literal["auto", "float32"] = "auto",
    ) -> None:
        self._model = model
        self._threads = threads or usable_cores()
        self._tokenizer = load_tokenizer(model)
        torch.set_num_threads(1)  # each step sets its own; see `_Workers`
        self._replicas = [Replica(model, one, precision) for one in choose_devices(device)]

    @property
    def model(self) -> Model:
        return self._model

    @property
    def device(self) -> torch.device:
        """Where the hidden states lie."""
        return self._replicas[0].device

    @property
    def width(self) -> int:
        """How long a token's hidden state is."""
        return self._replicas[0].width

    def token_id(self, token: str) -> int | None:
        """The token's id, where the vocabulary has it."""
        found: int | None = self._tokenizer.token_to_id(token)
        return found

    def embed_passages(self, texts: Sequence[str], progress: Callable[[int], None] | None = None) -> Vectors:
        return self._embed(texts, self._model.prompts.passage, progress)

    def embed_queries(self, texts: Sequence[str]) -> Vectors:
        return self._embed(texts, self._model.prompts.query, None)

    @torch.inference_mode()
    def token_states(self, texts: Sequence[str], prompt: str) -> Iterator[tuple[list[int], Tensor, Tensor]]:
        """Each text's token ids, hidden states in float32, (tokens, width), and vector, (dimensions), in order."""
        skip = self._skipped(prompt)
        with _Workers(self._replicas[:1], self._threads, len(texts)) as workers:
            for _, ids in self._tokenised(texts, prompt):
                for group, done in workers.begin(ids, lambda replica, step: replica.states(step, skip), in_order=True):
                    step, (hidden, vectors) = [ids[i] for i in group], done.result()
                    yield from zip(step, torch.split(hidden.float(), list(map(len, step))), vectors, strict=True)

    def _embed(self, texts: Sequence[str], prompt: str, progress: Callable[[int], None] | None) -> Vectors:
        vectors = np.empty((len(texts), self._model.dimensions), np.float32)
        skip = self._skipped(prompt)
        with _Workers(self._replicas, self._threads, len(texts)) as workers:
            begun = (
                (first, workers.begin(self._expected(ids), lambda replica, step: replica.begin(step, skip)))
                for first, ids in self._tokenised(texts, prompt)
            )
            for first, steps in _one_ahead(begun):
                for group, done in steps:
                    vectors[[first + i for i in group]] = done.result()()
                    if progress:
                        progress(len(group))
        return vectors

    def _expected(self, ids: list[list[int]]) -> list[list[int]]:
        """The same, and every replica is ready for so many tokens."""
        for replica in self._replicas:
            replica.expect(sum(map(len, ids)))
        return ids

    def _tokenised(self, texts: Sequence[str], prompt: str) -> Iterator[tuple[int, list[list[int]]]]:
        """Some texts' token ids, and the place of the first; the next are made while the caller computes."""

        def ids(part: Sequence[str]) -> list[list[int]]:
            return [one.ids for one in self._tokenizer.encode_batch_fast([encodable(prompt + text) for text in part])]

        with ThreadPoolExecutor(1) as pool:
            first, size = 0, _FIRST_TEXTS if self._replicas[0].gains_by_sorting else _FIRST_TEXTS // 4
            coming = pool.submit(ids, texts[:size])
            while first < len(texts):
                current, at = coming, first
                first, size = first + size, min(2 * size, _MOST_TEXTS)
                coming = pool.submit(ids, texts[first : first + size])
                yield at, current.result()

    def _skipped(self, prompt: str) -> int:
        """How many tokens at a text's beginning are not pooled: the prompt's, with a special token before them."""
        if self._model.include_prompt or not prompt:
            return 0
        encoding = self._tokenizer.encode(prompt)
        return len(encoding.ids) - int(encoding.special_tokens_mask[-1])


class _Workers:
    """Threads that compute steps: one for each GPU, or one for each core of a CPU.

    On a CPU one core takes a step, not all cores each: nobody waits for the slowest core, which on a busy machine
    costs a multiple (measured: 6 times). Only long texts, when they are few, are shared among the cores.
    """

    def __init__(self, replicas: Sequence[Replica], cores: int, texts: int) -> None:
        self._replicas = replicas
        self._on_cpu = [one.device.type for one in replicas] == ["cpu"]
        self._count = max(1, min(cores, texts)) if self._on_cpu else len(replicas)
        self._cores_each = cores // self._count
        self._free: SimpleQueue[Replica] = SimpleQueue()
        for number in range(self._count):
            self._free.put(replicas[number % len(replicas)])
        self._pool = ThreadPoolExecutor(self._count)

    def __enter__(self) -> _Workers:
        return self

    def __exit__(self, *_: object) -> None:
        self._pool.shutdown(cancel_futures=True)

    def begin(
        self, ids: list[list[int]], compute: Callable[[Replica, list[list[int]]], T], *, in_order: bool = False
    ) -> list[tuple[list[int], Future[T]]]:
        """Steps of these texts, the longest first unless `in_order`: their places, and what is computed of them."""
        lengths = list(map(len, ids))
        share = sum(lengths) // self._count  # so that all have something to do
        budget = min(share, *(one.budget for one in self._replicas))
        order = range(len(ids)) if in_order else sorted(range(len(ids)), key=lambda i: -lengths[i])
        return [
            (group, self._pool.submit(self._compute, compute, [ids[i] for i in group]))
            for group in _grouped(order, lengths, budget)
        ]

    def _compute(self, compute: Callable[[Replica, list[list[int]]], T], ids: list[list[int]]) -> T:
        replica = self._free.get()
        try:
            if self._on_cpu:
                torch.set_num_threads(self._cores_each if sum(map(len, ids)) > _LONG_TEXT else 1)
            return compute(replica, ids)
        finally:
            self._free.put(replica)


def _grouped(order: Iterable[int], lengths: Sequence[int], budget: int) -> list[list[int]]:
    """Texts in this order, in groups that hold at most the budget of tokens, or one text."""
    groups: list[list[int]] = []
    tokens = 0
    for i in order:
        tokens += lengths[i]
        if not groups or tokens > budget:
            groups.append([])
            tokens = lengths[i]
        groups[-1].append(i)
    return groups


def _one_ahead(parts: Iterable[T]) -> Iterator[T]:
    """The same, each only when the next one has been begun."""
    before: list[T] = []
    for part in parts:
        yield from before
        before = [part]
    yield from before
