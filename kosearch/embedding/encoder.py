"""BERT's encoder over packed texts: the tokens of a whole step lie end to end, without padding.

The architecture is that of BERT (Devlin et al. 2019) and, with positions counted from the padding token's id
+ 1, of RoBERTa (Liu et al. 2019), XLM-RoBERTa and CamemBERT. Against transformers' own classes it saves their
import (seconds), the padding, passes over memory, and the copies of weights: a float32 tensor stays where it lies in
the mapped file. Every other architecture goes through transformers (`padded.py`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
import torch.nn.functional as F  # noqa: N812 — torch's own custom
from torch import Tensor

from kosearch.embedding import attention
from kosearch.embedding.attention import Packing, to_device
from kosearch.embedding.bert import LAYER_PARTS, first_position, without_prefix

Step = Callable[[Tensor], Tensor]
Sum = Callable[[Tensor, Tensor], Tensor]
"""Adds the product of the second tensor to the first, in place."""
_QKV = ("query", "key", "value")
Pair = tuple[Tensor, Tensor]
Layer = Mapping[str, Pair]

_ACTIVATIONS: dict[str, tuple[Step, tuple[str, str]]] = {
    "gelu": (F.gelu, ("gelu", "none")),
    "relu": (F.relu, ("relu", "")),
    "gelu_new": (partial(F.gelu, approximate="tanh"), ("gelu", "tanh")),
    "gelu_pytorch_tanh": (partial(F.gelu, approximate="tanh"), ("gelu", "tanh")),
}
"""Covers `bert.ACTIVATIONS`: torch's function, and oneDNN's name and algorithm for it."""


@dataclass(frozen=True, slots=True)
class _Products:
    """What a layer multiplies by its weights."""

    qkv: Sequence[Step]
    """Queries, keys and values: in one product, or each in its own."""
    output: Sum
    wide: Step
    """With the activation."""
    narrow: Sum

    def queries_keys_values(self, x: Tensor) -> list[Tensor]:
        return [part for product in self.qkv for part in product(x).chunk(len(_QKV) // len(self.qkv), dim=1)]


class PackedEncoder:
    """Token ids of several texts, end to end, to their hidden states, (tokens, hidden)."""

    def __init__(
        self, config: Mapping[str, Any], weights: Mapping[str, Tensor], device: torch.device, dtype: torch.dtype
    ) -> None:
        """Raises KeyError for a tensor that is missing."""
        named = {without_prefix(name): tensor for name, tensor in weights.items()}

        def there(tensor: Tensor) -> Tensor:
            # NVIDIA's GPUs convert sooner than the CPU; Apple's have no float64 to convert.
            return tensor.to(device).to(dtype) if device.type == "cuda" else tensor.to(device, dtype)

        def pair(name: str) -> Pair:
            return there(named[f"{name}.weight"]), there(named[f"{name}.bias"])

        # On the CPU the word vectors, most of all weights, are converted row by row as they are used.
        on_cpu = device.type == "cpu"
        words = named["embeddings.word_embeddings.weight"]
        self._words = words if on_cpu else there(words)
        self._positions = there(named["embeddings.position_embeddings.weight"])
        self._type = there(named["embeddings.token_type_embeddings.weight"][0])
        layers = [
            {part: pair(f"encoder.layer.{layer}.{name}") for part, name in LAYER_PARTS.items()}
            for layer in range(config["num_hidden_layers"])
        ]
        self._norm = _with_biases_in_the_norms(pair("embeddings.LayerNorm"), layers)
        self._activation, self._fused_activation = _ACTIVATIONS[config.get("hidden_act", "gelu")]
        self._wide = _gelu_within if _has_gelu_within(device, dtype, self._fused_activation) else self._wide_plain
        self._products = [self._plain(layer, join=not on_cpu) for layer in layers]
        self._norms = [(layer["norm"], layer["last_norm"]) for layer in layers]
        self._stored = layers if on_cpu else []
        self._heads = int(config["num_attention_heads"])
        self._attend = attention.choose(device, dtype, int(config["hidden_size"]) // self._heads)
        self._epsilon = float(config.get("layer_norm_eps", 1e-12))
        self._first_position = first_position(config)

    @property
    def gains_by_sorting(self) -> bool:
        """On a CPU and where attention pads, texts of equal length take less time together."""
        return self._attend in (attention.text_by_text, attention.padded)

    def tune(self, dtype: torch.dtype) -> None:
        """Lay the weights out for the CPU's matrix unit, as oneDNN wants them, in float32 or bfloat16.

        Worth it for more than some hundred tokens: it copies the weights. Against the layout in the file (MKL)
        on an AMD core with AVX-512: 2.3 times the speed in float32, 4.4 times in bfloat16.
        """
        self._products = [self._tuned(layer, dtype) for layer in self._stored]

    def _plain(self, layer: Layer, *, join: bool) -> _Products:
        """The products by torch's own means: on the CPU with each weight where it lies in the file."""
        return _Products(
            qkv=[_linear(one) for one in ([_joined(layer)] if join else [layer[part] for part in _QKV])],
            output=_adding(layer["output"]),
            wide=self._wide(layer["wide"]),
            narrow=_adding(layer["narrow"]),
        )

    def _wide_plain(self, pair: Pair) -> Step:
        product, activation = _linear(pair), self._activation
        return lambda x: activation(product(x))

    def _tuned(self, layer: Layer, dtype: torch.dtype) -> _Products:
        return _Products(
            qkv=[_onednn_linear(_joined(layer), dtype)],
            output=_onednn_adding(layer["output"], dtype),
            wide=_onednn_linear(layer["wide"], dtype, self._fused_activation),
            narrow=_onednn_adding(layer["narrow"], dtype),
        )

    def __call__(self, ids: Tensor, lengths: Sequence[int]) -> Tensor:
        device = self._words.device
        packing = Packing(lengths, device)
        x = self._words[to_device(ids, device)].to(self._positions.dtype)
        x += self._positions[packing.positions + self._first_position]
        x += self._type
        x = self._normalise(x, self._norm)
        for product, (norm, last_norm) in zip(self._products, self._norms, strict=True):
            context = self._attend(product.queries_keys_values(x), packing, self._heads)
            x = self._normalise(product.output(x, context), norm)
            x = self._normalise(product.narrow(x, product.wide(x)), last_norm)
        return x

    def _normalise(self, x: Tensor, weights: Pair) -> Tensor:
        return F.layer_norm(x, x.shape[-1:], *weights, self._epsilon)


def _with_biases_in_the_norms(first: Pair, layers: Sequence[dict[str, Pair]]) -> Pair:
    """The same network, in which what is added to x has no bias of its own; returns the first norm, changes the layers.

    x + (W c + b) = (x + b) + W c: the norm that makes x adds b to its shift, so that a product can be added to x as it
    stands there, without a pass over memory. What else reads x (A x + a) takes it out again: A (x + b) + (a − A b).
    """
    norms = [first, *(layer["last_norm"] for layer in layers)]
    for number, layer in enumerate(layers):
        _, bias = layer["output"]
        norms[number] = _shifted(norms[number], bias)
        layer.update((part, _without(layer[part], bias)) for part in _QKV)
        _, bias = layer["narrow"]
        layer["norm"] = _shifted(layer["norm"], bias)
        layer["wide"] = _without(layer["wide"], bias)
    for layer, norm in zip(layers, norms[1:], strict=True):
        layer["last_norm"] = norm
    return norms[0]


def _shifted(norm: Pair, bias: Tensor) -> Pair:
    scale, shift = norm
    return scale, shift + bias


def _without(reader: Pair, bias: Tensor) -> Pair:
    weight, own = reader
    return weight, (own.float() - weight.float() @ bias.float()).to(own.dtype)


def _joined(layer: Layer) -> Pair:
    weights, biases = zip(*(layer[part] for part in _QKV), strict=True)
    return torch.cat(weights), torch.cat(biases)


def _linear(pair: Pair) -> Step:
    return lambda x: F.linear(x, *pair)


def _gelu_within(pair: Pair) -> Step:
    """A product that ends with GELU, by its approximation with tanh, before anything is written to memory."""
    weight, bias = pair
    return lambda x: torch._addmm_activation(bias, x, weight.t(), use_gelu=True)


def _has_gelu_within(device: torch.device, dtype: torch.dtype, activation: tuple[str, str]) -> bool:
    """Whether a GPU and this torch have that, and half precision hides the difference.

    The two kinds of GELU differ by 5e-4 at most, which is half precision's step near 1: the bundled model's vectors of
    60 pages keep a cosine of .999998 by it. The function is the one of torch's own encoder layers.
    """
    if device.type != "cuda" or dtype == torch.float32 or activation[0] != "gelu":
        return False
    x = torch.linspace(-3, 3, 64, device=device, dtype=dtype).reshape(8, 8)
    one = torch.eye(8, device=device, dtype=dtype)
    try:
        found = _gelu_within((one, torch.zeros_like(x[0])))(x)
    except (AttributeError, RuntimeError, TypeError):
        return False
    return torch.allclose(found, F.gelu(x, approximate="tanh"), atol=1e-2)


def _adding(pair: Pair) -> Sum:
    weight, _ = pair
    return lambda x, y: x.addmm_(y, weight.t())


def _onednn_adding(pair: Pair, dtype: torch.dtype) -> Sum:
    product = _onednn_linear((pair[0], None), dtype)
    return lambda x, y: x.add_(product(y))


def _onednn_linear(
    pair: tuple[Tensor, Tensor | None], dtype: torch.dtype, activation: tuple[str, str] = ("none", "")
) -> Step:
    weight, bias = pair
    weight = torch.ops.mkldnn._reorder_linear_weight(weight.to(dtype))
    bias = None if bias is None else bias.to(dtype)
    linear = torch.ops.mkldnn._linear_pointwise
    kind, algorithm = activation
    return lambda x: linear(x.to(dtype), weight, bias, kind, [], algorithm)


def pays_to_tune(dtype: torch.dtype) -> bool:
    """Whether oneDNN multiplies sooner than torch's own way here, and this torch has its linear layer.

    Not in float32 where MKL has AVX2 and no more: on an AMD core of that kind MKL reaches 93 GFLOPS, oneDNN 83, and 55
    with GELU in it (`tests/benchmarks/speed.md`). The layer is the one that torch's own compiler uses.
    """
    has_mkl: bool = torch.backends.mkl.is_available()  # type: ignore[no-untyped-call]
    if dtype == torch.float32 and has_mkl and torch.backends.cpu.get_cpu_capability() == "AVX2":
        return False
    try:
        _onednn_linear((torch.zeros(2, 2), torch.zeros(2)), torch.float32)(torch.zeros(1, 2))
    except (AttributeError, RuntimeError):
        return False
    return True
