"""The last layers of a model of BERT's kind, trained on what the layers below them give.

The lower layers stay as they are: what they make of a text is computed once and kept, in float16, in a file without a
name, so that a step costs the last layers alone. Vectors are computed and gradients taken some texts at a time (Gao et
al. 2021, "Scaling Deep Contrastive Learning Batch Size under Memory Limited Setup"): memory holds the graph of a few
texts, however many a batch has.
"""

from __future__ import annotations

import math
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812 — torch's own custom
from numpy.typing import NDArray
from safetensors import safe_open
from safetensors.torch import load_file, save
from torch import Tensor

from kosearch.embedding.checkpoint import (
    LAYER_PARTS,
    is_bert,
    read_json,
    tensors,
    weight_files,
    without_prefix,
)
from kosearch.embedding.head import weights_header
from kosearch.embedding.models import Model
from kosearch.embedding.tokens import encodable, load_tokenizer
from kosearch.embedding.torch_embedder import Pooler, choose_devices, skipped_tokens
from kosearch.embedding.torch_encoder import ACTIVATIONS, PackedEncoder, Packing, choose_attention
from kosearch.errors import ModelError, UsageError
from kosearch.system import replacing, usable_cores

Rows = NDArray[np.intp]
Vectors = NDArray[np.float32]
Asked = tuple["States", Rows, Vectors]
"""Texts by their numbers, and the loss's gradient by the vector of each, (n, d)."""

_CPU_TOKENS, _GPU_TOKENS = 1024, 16_384
"""Of the texts whose graph is in memory together."""
_COPIED = 1 << 24
"""Bytes of a file that are copied together."""
_FIRST, _SECOND, _TINY, _DECAY = 0.9, 0.999, 1e-8, 0.01
"""AdamW's usual numbers (Loshchilov and Hutter 2019)."""


@dataclass(frozen=True, slots=True)
class States:
    """What the lower layers made of texts."""

    tokens: NDArray[np.float16]
    """(tokens, width), text after text, mapped from a file."""
    ends: NDArray[np.int64]
    """Where each text ends in it."""
    skip: int
    """How many tokens at a text's beginning are not pooled."""

    @property
    def lengths(self) -> NDArray[np.int64]:
        """Tokens of each text."""
        return np.diff(self.ends, prepend=0)

    def of(self, rows: Rows) -> NDArray[np.float32]:
        """Those of some texts, end to end."""
        ends = zip(self.ends[rows].tolist(), self.lengths[rows].tolist(), strict=True)
        parts = [self.tokens[end - length : end] for end, length in ends]
        return np.concatenate(parts).astype(np.float32)


class UpperLayers:
    """So many of a model's last layers. They begin as the model's own."""

    def __init__(self, model: Model, count: int, device: str = "auto") -> None:
        """Raises ModelError for another architecture or device than there is, UsageError for more layers than that."""
        config = read_json(model.directory / "config.json")
        if not is_bert(config):
            raise ModelError(
                f"{model.name} is a {config['model_type']}: only layers of BERT's kind are trained here",
                "leave --layers out: a head stands behind any model",
            )
        depth = int(config["num_hidden_layers"])
        if not 0 < count < depth:
            raise UsageError(f"{model.name} has {depth} layers: --layers {count} leaves none below", "--layers 2")
        self._numbers = range(depth - count, depth)
        self._model = model
        self._device = choose_devices(device)[0]
        self._heads = int(config["num_attention_heads"])
        self._epsilon = float(config.get("layer_norm_eps", 1e-12))
        self._activation = ACTIVATIONS[config.get("hidden_act", "gelu")][0]
        self._attend = choose_attention(self._device, torch.float32, int(config["hidden_size"]) // self._heads)
        self._pool = Pooler(model, self._device)
        self._tokenizer = load_tokenizer(model)
        stored = {}
        for file in weight_files(model.directory):
            with safe_open(file, "pt") as opened:
                stored.update({name: opened.get_tensor(name) for name in opened.keys()})  # noqa: SIM118
        self._lower = PackedEncoder({**config, "num_hidden_layers": depth - count}, stored, self._device, torch.float32)
        self._name_in_file = {without_prefix(name): name for name in stored}
        self._base = {
            f"{name}.{kind}": stored[self._name_in_file[f"{name}.{kind}"]].to(self._device, torch.float32)
            for name in (_name(number, part) for number in self._numbers for part in LAYER_PARTS)
            for kind in ("weight", "bias")
        }
        self._width = int(config["hidden_size"])
        self.reset()

    def reset(self) -> None:
        """Begin again with the model's own weights."""
        self._weights = {name: tensor.clone().requires_grad_() for name, tensor in self._base.items()}
        self._mean = {name: torch.zeros_like(one) for name, one in self._base.items()}
        self._square = {name: torch.zeros_like(one) for name, one in self._base.items()}
        self._steps = 0

    def states(self, texts: Sequence[str], prompt: str, place: Path, progress: Callable[[int], object]) -> States:
        """What the lower layers make of texts, kept in a file in the folder `place`; `progress` is told of each.

        Raises OSError where it has no room there.
        """

        def compute(text: str) -> NDArray[np.float16]:
            ids = self._tokenizer.encode(encodable(prompt + text)).ids
            with torch.inference_mode():
                return self._lower(torch.tensor(ids), [len(ids)]).half().cpu().numpy()

        lengths = []
        with tempfile.TemporaryFile(prefix="kosearch-", dir=place) as file:
            for hidden in self._each(compute, texts):
                file.write(hidden.data)
                lengths.append(len(hidden))
                progress(len(lengths))
            file.flush()
            ends = np.cumsum(lengths)
            tokens = np.memmap(file, np.float16, "r", shape=(int(ends[-1]), self._width))
        return States(tokens, ends, skipped_tokens(self._model, self._tokenizer, prompt))

    def vectors(self, states: States, rows: Rows | None = None) -> Vectors:
        """Unit vectors of all texts, or some, (n, d) float32, by the layers as they are now."""
        wanted = np.arange(len(states.ends)) if rows is None else rows
        found = np.empty((len(wanted), self._model.dimensions), np.float32)

        def compute(part: Rows) -> NDArray[np.float32]:
            with torch.no_grad():
                return self._forward(states, wanted[part]).cpu().numpy()

        groups = list(self._groups(states, wanted))
        for part, vectors in zip(groups, self._each(compute, groups), strict=True):
            found[part] = vectors
        return found

    def step(self, given: Sequence[Asked], rate: float) -> None:
        """One step of AdamW by the gradients of vectors."""

        def compute(one: tuple[States, Rows, Vectors]) -> Sequence[Tensor]:
            states, rows, gradient = one
            vectors = self._forward(states, rows)
            return torch.autograd.grad(vectors, list(self._weights.values()), torch.from_numpy(gradient).to(vectors))

        parts = [
            (states, rows[part], gradient[part])
            for states, rows, gradient in given
            for part in self._groups(states, rows)
        ]
        total = [torch.zeros_like(one) for one in self._base.values()]
        for gradients in self._each(compute, parts):  # in their order: the same sum in every run
            torch._foreach_add_(total, list(gradients))
        self._steps += 1
        self._move(total, rate)

    @torch.no_grad()
    def _move(self, gradients: Sequence[Tensor], rate: float) -> None:
        of_mean, of_square = 1 - _FIRST**self._steps, 1 - _SECOND**self._steps
        for (name, weight), gradient in zip(self._weights.items(), gradients, strict=True):
            mean = self._mean[name].lerp_(gradient, 1 - _FIRST)
            square = self._square[name].lerp_(gradient * gradient, 1 - _SECOND)
            weight.mul_(1 - rate * _DECAY)
            weight.sub_(rate * (mean / of_mean) / ((square / of_square).sqrt() + _TINY))

    @torch.no_grad()
    def average(self, share: float) -> None:
        """Go back to the model's own weights but for so much of the way, in the float16 that is written."""
        for name, weight in self._weights.items():
            weight.copy_(torch.lerp(self._base[name], weight, share).half().float())

    def save(self, file: Path, done: int) -> None:
        """Keep weights and what AdamW knows, and that so many epochs are done: whole, or as it was before."""
        kinds = {"weight": self._weights, "mean": self._mean, "square": self._square}
        tensors = {f"{kind} {name}": one.detach() for kind, some in kinds.items() for name, one in some.items()}
        counts = {"done": torch.tensor(done), "steps": torch.tensor(self._steps)}
        with replacing(file) as stream:
            stream.write(save({**tensors, **counts}))

    def load(self, file: Path) -> int:
        """Go on with what was kept; how many epochs are done."""
        kept = load_file(file, device=str(self._device))
        self._weights = {name: kept[f"weight {name}"].requires_grad_() for name in self._base}
        self._mean = {name: kept[f"mean {name}"] for name in self._base}
        self._square = {name: kept[f"square {name}"] for name in self._base}
        self._steps = int(kept["steps"])
        return int(kept["done"])

    def write(self, folder: Path) -> None:
        """Put these layers, in float16, into a copy of the model's folder."""
        changed = {
            self._name_in_file[name]: weight.detach().half().cpu().numpy() for name, weight in self._weights.items()
        }
        for file in weight_files(folder):
            _rewrite(file, changed)

    def _forward(self, states: States, rows: Rows) -> Tensor:
        lengths = states.lengths[rows]
        x = torch.from_numpy(states.of(rows)).to(self._device)
        packing = Packing(lengths.tolist(), self._device)
        for number in self._numbers:
            x = self._layer(x, packing, number)
        return self._pool(x, torch.from_numpy(lengths).to(self._device), states.skip)

    def _layer(self, x: Tensor, packing: Packing, number: int) -> Tensor:
        def pair(part: str) -> tuple[Tensor, Tensor]:
            name = _name(number, part)
            return self._weights[f"{name}.weight"], self._weights[f"{name}.bias"]

        qkv = [F.linear(x, *pair(part)) for part in ("query", "key", "value")]
        x = self._norm(x + F.linear(self._attend(qkv, packing, self._heads), *pair("output")), pair("norm"))
        wide = self._activation(F.linear(x, *pair("wide")))
        return self._norm(x + F.linear(wide, *pair("narrow")), pair("last_norm"))

    def _norm(self, x: Tensor, pair: tuple[Tensor, Tensor]) -> Tensor:
        return F.layer_norm(x, x.shape[-1:], *pair, self._epsilon)

    def _groups(self, states: States, rows: Rows) -> Iterator[Rows]:
        """Places in `rows` of texts that are computed together, of like lengths."""
        budget = _CPU_TOKENS if self._device.type == "cpu" else _GPU_TOKENS
        lengths = states.lengths[rows]
        group: list[int] = []
        tokens = 0
        for place in np.argsort(-lengths, kind="stable").tolist():
            if group and tokens + lengths[place] > budget:
                yield np.array(group)
                group, tokens = [], 0
            group.append(place)
            tokens += int(lengths[place])
        if group:
            yield np.array(group)

    def _each(self, compute: Callable[[Any], Any], parts: Iterable[Any]) -> Iterator[Any]:
        """What is computed of each, in order: on a CPU a core takes one, and nobody waits for the slowest core."""
        if self._device.type != "cpu":
            yield from map(compute, parts)
            return
        before = torch.get_num_threads()
        with ThreadPoolExecutor(usable_cores(), initializer=torch.set_num_threads, initargs=(1,)) as pool:
            try:
                yield from pool.map(compute, parts)
            finally:
                pool.shutdown(cancel_futures=True)
                torch.set_num_threads(before)


def _name(number: int, part: str) -> str:
    return f"encoder.layer.{number}.{LAYER_PARTS[part]}"


def _rewrite(file: Path, changed: Mapping[str, NDArray[np.float16]]) -> None:
    """Put other numbers, in float16, in the place of some tensors of a file; it is never in memory as a whole."""
    stored = tensors(file)
    shapes = (
        (name, "F16", one.shape, 2 * math.prod(one.shape))
        if name in changed
        else (name, one.kind, one.shape, one.end - one.begin)
        for name, one in stored.items()
    )
    with file.open("rb") as source, replacing(file) as target:
        target.write(weights_header(shapes))
        for name, one in stored.items():
            new = [changed[name].astype("<f2").tobytes()] if name in changed else _bytes(source, one.begin, one.end)
            for part in new:
                target.write(part)


def _bytes(source: Any, begin: int, end: int) -> Iterator[bytes]:
    source.seek(begin)
    for start in range(begin, end, _COPIED):
        yield source.read(min(_COPIED, end - start))
