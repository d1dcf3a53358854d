"""Embedding with torch: texts become steps of tokens, and every device takes the next one when it is free."""

from __future__ import annotations

import pickle
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from queue import SimpleQueue
from threading import Lock
from typing import TYPE_CHECKING, Any, Literal, TypeVar

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812 — torch's own custom
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file
from torch import Tensor

from kosearch.embedding.checkpoint import WRONG_FILES, is_bert, read_json, weight_files
from kosearch.embedding.models import Layer, Model, Pooling
from kosearch.embedding.tokens import encodable, load_tokenizer
from kosearch.embedding.torch_encoder import PackedEncoder, TransformersEncoder, pays_to_tune, to_device
from kosearch.errors import ModelError
from kosearch.system import usable_cores

if TYPE_CHECKING:
    from tokenizers import Tokenizer

    from kosearch.records import Vectors

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
        with _OwnThreads():
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
        skip = skipped_tokens(self._model, self._tokenizer, prompt)
        with _Workers(self._replicas[:1], self._threads, len(texts)) as workers:
            for _, ids in self._tokenised(texts, prompt):
                for group, done in workers.begin(ids, lambda replica, step: replica.states(step, skip), in_order=True):
                    step, (hidden, vectors) = [ids[i] for i in group], done.result()
                    yield from zip(step, torch.split(hidden.float(), list(map(len, step))), vectors, strict=True)

    def _embed(self, texts: Sequence[str], prompt: str, progress: Callable[[int], None] | None) -> Vectors:
        vectors = np.empty((len(texts), self._model.dimensions), np.float32)
        skip = skipped_tokens(self._model, self._tokenizer, prompt)
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


def skipped_tokens(model: Model, tokenizer: Tokenizer, prompt: str) -> int:
    """How many tokens at a text's beginning are not pooled: the prompt's, with a special token before them."""
    if model.include_prompt or not prompt:
        return 0
    encoding = tokenizer.encode(prompt)
    return len(encoding.ids) - int(encoding.special_tokens_mask[-1])


class _OwnThreads:
    """Within it each step sets torch's number of threads, which is the process's; the last to leave restores it."""

    _inside = 0
    _before = 1
    _lock = Lock()

    def __enter__(self) -> None:
        with _OwnThreads._lock:
            if not _OwnThreads._inside:
                _OwnThreads._before = torch.get_num_threads()
                torch.set_num_threads(1)
            _OwnThreads._inside += 1

    def __exit__(self, *_: object) -> None:
        with _OwnThreads._lock:
            _OwnThreads._inside -= 1
            if not _OwnThreads._inside:
                torch.set_num_threads(_OwnThreads._before)


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
        self._threads = _OwnThreads()

    def __enter__(self) -> _Workers:
        self._threads.__enter__()
        return self

    def __exit__(self, *_: object) -> None:
        self._pool.shutdown(cancel_futures=True)
        self._threads.__exit__()

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


# A model on one device: a step of token ids goes in, its vectors come out, and memory that runs out is met.

Pending = Callable[[], "Vectors"]
"""Vectors that a device may still be computing; calling it waits for them."""

_CPU_TOKENS = 1024
"""A step's activations then stay near the core's cache. 512 to 2048 measure alike, within a tenth."""
_GPU_TOKENS = 32_768
"""Enough to fill a large card; more only takes memory."""
_LEAST_TOKENS = 256
"""What a budget does not fall below, however little was asked for when memory ran out."""
_OUT_OF_MEMORY = ("out of memory", "ALLOC_FAILED", "can't allocate memory", "Cannot allocate memory")
_DEVICE_ERRORS = (torch.AcceleratorError,) if hasattr(torch, "AcceleratorError") else ()
"""What torch from 2.8 on raises where a device fails, such as one that it has no kernels for."""
_FEW_TOKENS = 1024
"""Below this, laying out the weights for the matrix unit costs more than it saves."""


class Replica:
    """Encoder and pooling on one device; `budget` is how many tokens a step should have there."""

    def __init__(self, model: Model, device: torch.device, precision: str) -> None:
        """Raises ModelError for weights that don't fit the architecture, and where the device has no room."""
        self.device = device
        self._model = model
        self._config: dict[str, Any] = read_json(model.directory / "config.json")
        self._matrix = matrix_dtype(device, precision, own_encoder=is_bert(self._config))
        try:
            self._encode = self._load_encoder()
            self._pool = Pooler(model, device)
            hidden, vectors = self.states([[0]], 0)  # one token through all of it: does it fit together?
            if device.type == "cuda":
                torch.cuda.synchronize(device)  # what is wrong there shows now
        except (*WRONG_FILES, RuntimeError, SafetensorError) as error:
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
        return hidden, self._pool(hidden, to_device(torch.tensor(lengths), self.device), skip)

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

    def _load_encoder(self) -> PackedEncoder | TransformersEncoder:
        """On the CPU the tensors stay as they are stored until `expect`; elsewhere they are converted."""
        dtype = torch.float32 if self.device.type == "cpu" else self._matrix
        directory = self._model.directory
        if not is_bert(self._config):
            return TransformersEncoder(directory, self.device, dtype, self._model.code)
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
    return isinstance(error, MemoryError | torch.OutOfMemoryError) or any(sign in said for sign in _OUT_OF_MEMORY)


def _other_place(device: torch.device) -> str:
    return "use a smaller model" if device.type == "cpu" else "use --device cpu"


# From the hidden states of packed texts to one vector each, as sentence-transformers defines it.


class Pooler:
    """Pooling, projection and unit length, computed in float32."""

    def __init__(self, model: Model, device: torch.device) -> None:
        """Raises ModelError for an activation that is not torch's, KeyError for a tensor that is missing."""
        self._pooling = model.pooling
        self._dimensions = model.dimensions
        self._layers = [_layer(layer, device) for layer in model.layers]

    def __call__(self, hidden: Tensor, lengths: Tensor, skip: int) -> Tensor:
        """(tokens, hidden) and the texts' lengths to (texts, dimensions).

        The first `skip` tokens of each text are not pooled.
        """
        x = torch.cat([_pool(mode, hidden.float(), lengths, skip) for mode in self._pooling], dim=1)
        for layer in self._layers:
            x = layer(x)
        return F.normalize(x[:, : self._dimensions])


def _pool(mode: Pooling, hidden: Tensor, lengths: Tensor, skip: int) -> Tensor:
    ends = lengths.cumsum(0)
    starts = ends - lengths
    if mode == "lasttoken":
        return hidden[ends - 1]
    if mode == "cls":
        return hidden[starts + torch.where(lengths > skip, skip, 0)]

    texts = len(lengths)
    # With the size known beforehand, nobody waits for a GPU to tell it.
    owner = torch.repeat_interleave(torch.arange(texts, device=hidden.device), lengths, output_size=len(hidden))
    position = torch.arange(len(hidden), device=hidden.device) - starts[owner]
    pooled = position >= skip
    if mode == "max":
        masked = hidden.masked_fill(~pooled[:, None], float("-inf"))
        lowest = hidden.new_full((texts, hidden.shape[1]), float("-inf"))
        return lowest.index_reduce(0, owner, masked, "amax")

    weight = pooled.to(hidden.dtype)
    if mode == "weightedmean":
        weight *= position + 1
    total = hidden.new_zeros(texts, hidden.shape[1]).index_add(0, owner, hidden * weight[:, None])
    share = hidden.new_zeros(texts).index_add(0, owner, weight).clamp(min=1e-9)[:, None]
    return total / (share.sqrt() if mode == "mean_sqrt_len_tokens" else share)


def _layer(layer: Layer, device: torch.device) -> Callable[[Tensor], Tensor]:
    if layer.kind == "normalize":
        return F.normalize
    weights = {
        name: tensor.to(device, torch.float32)
        for name, tensor in load_file(layer.directory / "model.safetensors").items()
    }
    if layer.kind == "layernorm":
        norm, shift = weights["norm.weight"], weights["norm.bias"]
        return lambda x: F.layer_norm(x, x.shape[-1:], norm, shift)
    config = read_json(layer.directory / "config.json") or {}
    linear, bias = weights["linear.weight"], weights.get("linear.bias")
    activation = _activation(layer, config.get("activation_function", "torch.nn.modules.activation.Tanh"))
    if not config.get("use_residual"):
        return lambda x: activation(F.linear(x, linear, bias))
    residual = weights.get("residual.weight")
    return lambda x: activation(F.linear(x, linear, bias)) + (x if residual is None else F.linear(x, residual))


def _activation(layer: Layer, name: str) -> Callable[[Tensor], Tensor]:
    """An activation out of torch, named by its class; nothing else is imported."""
    module, _, kind = name.rpartition(".")
    found = getattr(torch.nn, kind, None) if module.startswith("torch.nn") else None
    if not (isinstance(found, type) and issubclass(found, torch.nn.Module)):
        raise ModelError(f"{layer.directory} asks for an unknown activation, {name}", "choose another model")
    activation: Callable[[Tensor], Tensor] = found()
    return activation


# Which devices there are, and what each of them multiplies matrices in.


def choose_devices(names: str) -> list[torch.device]:
    """The devices for `auto`, `cpu`, `cuda`, `cuda:N`, `mps`, or several, with commas between them.

    Raises ModelError where one is not there.
    """
    return [_choose(name) for name in dict.fromkeys(names.split(","))]


def _choose(name: str) -> torch.device:
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


def matrix_dtype(device: torch.device, precision: str, *, own_encoder: bool) -> torch.dtype:
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


# BGE-M3's three heads together: one vector a text, a weight a token, and a vector a token.
#
# Chen et al. 2024, "M3-Embedding: Multi-Linguality, Multi-Functionality, Multi-Granularity Text Embeddings Through
# Self-Knowledge Distillation", section 3.1. Which tokens count is as in its authors' FlagEmbedding.

_WITHOUT_WEIGHT = ("cls_token", "eos_token", "pad_token", "unk_token")
_LARGEST = 1 << 28
"""Bytes of a head's file: it holds a matrix of the model's width squared at most."""

_Linear = tuple[Tensor, Tensor]


@dataclass(frozen=True, slots=True)
class _Text:
    """A text as the heads see it."""

    dense: Tensor
    """(dimensions), of unit length."""
    tokens: Tensor
    """(n): its token ids, ascending, each once, without special ones…"""
    weights: Tensor
    """…and (n): the greatest weight that each has in the text, 0 or more."""
    vectors: Tensor
    """(m, width): one of unit length for each token but the first."""


class M3Rescorer:
    """A `Rescorer` by all heads of a model."""

    def __init__(self, embedder: TorchEmbedder) -> None:
        """Raises ModelError where the model has no such heads, or their files hold something else."""
        model = embedder.model
        if model.heads is None:
            raise ModelError(
                f"{model.name} has no sparse and multi-vector heads to score passages with",
                "leave --rerank out, or index with a model that has them, such as BAAI/bge-m3",
            )
        self._embedder = embedder
        self._sparse = _linear(model.heads.sparse, embedder.width, embedder.device)
        self._multi_vector = _linear(model.heads.multi_vector, embedder.width, embedder.device)
        if len(self._sparse[0]) != 1:
            raise ModelError(f"{model.heads.sparse} gives more than one weight a token", "fetch the model again")
        self._special = torch.tensor(_special_tokens(model, embedder), device=embedder.device)

    def scores(self, question: str, passages: Sequence[str]) -> Vectors:
        """float32, (passages, 3): the dense, sparse and multi-vector score of each passage for the question.

        Dense is the cosine. Sparse is the sum of w(question, t) · w(passage, t) over the tokens t that both have.
        Multi-vector is the mean, over the question's tokens, of the greatest cosine with one of the passage's.
        """
        prompts = self._embedder.model.prompts
        [asked] = self._read([question], prompts.query)
        rows = [_scores(asked, found) for found in self._read(passages, prompts.passage)]
        return np.array(rows, np.float32).reshape(-1, 3)

    @torch.inference_mode()
    def _read(self, texts: Sequence[str], prompt: str) -> Iterator[_Text]:
        for ids, hidden, dense in self._embedder.token_states(texts, prompt):
            weights = F.relu(F.linear(hidden, *self._sparse)).flatten()
            tokens, places = torch.unique(torch.tensor(ids, device=hidden.device), return_inverse=True)
            greatest = weights.new_zeros(len(tokens)).index_reduce_(0, places, weights, "amax")
            greatest[torch.isin(tokens, self._special)] = 0
            yield _Text(dense, tokens, greatest, F.normalize(F.linear(hidden[1:], *self._multi_vector)))


@torch.inference_mode()
def _scores(question: _Text, passage: _Text) -> tuple[float, float, float]:
    same = question.tokens[:, None] == passage.tokens
    sparse = question.weights @ same.to(question.weights.dtype) @ passage.weights
    cosines = question.vectors @ passage.vectors.T
    multi_vector = cosines.amax(dim=1).mean() if cosines.numel() else sparse.new_zeros(())
    return float(question.dense @ passage.dense), float(sparse), float(multi_vector)


def _linear(path: Path, width: int, device: torch.device) -> _Linear:
    """Weight (outputs, width) and bias. Of a pickle, as upstream has them, nothing but tensors is read."""
    try:
        if path.stat().st_size > _LARGEST:
            raise ValueError("it is too large")
        is_pickle = path.suffix == ".pt"
        found = torch.load(path, map_location="cpu", weights_only=True) if is_pickle else load_file(path)
        weight, bias = (found[name].to(device, torch.float32) for name in ("weight", "bias"))
        if weight.ndim != 2 or weight.shape[1] != width or bias.shape != weight.shape[:1]:
            raise ValueError(f"weights of shape {tuple(weight.shape)} for a model of width {width}")
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RuntimeError, pickle.UnpicklingError) as error:
        first = str(error).partition("\n")[0]
        raise ModelError(f"{path} is not a head of this model: {first}", "fetch or copy the model again") from error
    return weight, bias


def _special_tokens(model: Model, embedder: TorchEmbedder) -> list[int]:
    """The ids of the tokens that have no weight."""
    named = read_json(model.directory / "tokenizer_config.json") or {}
    entries = [named.get(kind) for kind in _WITHOUT_WEIGHT]
    names = [entry["content"] if isinstance(entry, dict) else entry for entry in entries if entry]
    ids = [embedder.token_id(name) for name in names]
    return [number for number in ids if number is not None]
