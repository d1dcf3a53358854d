"""BERT's encoder over packed texts: the tokens of a whole step lie end to end, without padding.

The architecture is that of BERT (Devlin et al. 2019) and, with positions counted from the padding token's id
+ 1, of RoBERTa (Liu et al. 2019), XLM-RoBERTa and CamemBERT. Against transformers' own classes it saves their
import (seconds), the padding, passes over memory, and the copies of weights: a float32 tensor stays where it lies in
the mapped file. Every other architecture goes through transformers (`TransformersEncoder`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from itertools import groupby
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F  # noqa: N812 — torch's own custom
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from kosearch.embedding.checkpoint import LAYER_PARTS, first_position, without_prefix
from kosearch.embedding.models import RemoteCode
from kosearch.errors import ModelError

Step = Callable[[Tensor], Tensor]
Sum = Callable[[Tensor, Tensor], Tensor]
"""Adds the product of the second tensor to the first, in place."""
_QKV = ("query", "key", "value")
Pair = tuple[Tensor, Tensor]
Layer = Mapping[str, Pair]

ACTIVATIONS: dict[str, tuple[Step, tuple[str, str]]] = {
    "gelu": (F.gelu, ("gelu", "none")),
    "relu": (F.relu, ("relu", "")),
    "gelu_new": (partial(F.gelu, approximate="tanh"), ("gelu", "tanh")),
    "gelu_pytorch_tanh": (partial(F.gelu, approximate="tanh"), ("gelu", "tanh")),
}
"""Covers `checkpoint.ACTIVATIONS`: torch's function, and oneDNN's name and algorithm for it."""


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
        self._activation, self._fused_activation = ACTIVATIONS[config.get("hidden_act", "gelu")]
        self._wide = _gelu_within if _has_gelu_within(device, dtype, self._fused_activation) else self._wide_plain
        self._products = [self._plain(layer, join=not on_cpu) for layer in layers]
        self._norms = [(layer["norm"], layer["last_norm"]) for layer in layers]
        self._stored = layers if on_cpu else []
        self._heads = int(config["num_attention_heads"])
        self._attend = choose_attention(device, dtype, int(config["hidden_size"]) // self._heads)
        self._epsilon = float(config.get("layer_norm_eps", 1e-12))
        self._first_position = first_position(config)

    @property
    def gains_by_sorting(self) -> bool:
        """On a CPU and where attention pads, texts of equal length take less time together."""
        return self._attend in (attend_text_by_text, attend_padded)

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


# Attention within each text of a packed step: the same result three ways, each for its kind of device.
#
# An `Attention` takes the queries, keys and values of all tokens, each (tokens, hidden), the `Packing` that says
# which text each token belongs to, and the number of heads; it returns (tokens, hidden). None of them ever holds all
# scores of a text: torch's kernels take them block by block (Dao et al. 2022, "FlashAttention"), so that memory
# grows with the tokens, not with their square.

QKV = Sequence[Tensor]
Attention = Callable[[QKV, "Packing", int], Tensor]
Kernel = Callable[..., Any]
"""`torch.nn.attention.varlen.varlen_attn`, or what agrees with it."""


class Packing:
    """Where the texts of a step lie: end to end, or as rows of equal length. Computed on the CPU, copied once."""

    def __init__(self, lengths: Sequence[int], device: torch.device) -> None:
        self.lengths = list(lengths)
        self.longest = max(lengths)
        self._device = device
        self._sizes = torch.tensor(self.lengths)
        self._places = torch.arange(self.longest)
        self._inside = self._places < self._sizes[:, None]

    @cached_property
    def positions(self) -> Tensor:
        """(tokens): each token's place in its text."""
        return to_device(self._places.expand_as(self._inside)[self._inside], self._device)

    @cached_property
    def bounds(self) -> Tensor:
        """int32, (texts + 1): where each text begins, and where the last one ends."""
        return to_device(F.pad(self._sizes.cumsum(0), (1, 0)).int(), self._device)

    @cached_property
    def padded(self) -> Tensor:
        """(texts, longest): which token stands there."""
        ends = self._sizes.cumsum(0)
        places = (ends - self._sizes)[:, None] + self._places
        return to_device(places.clamp(max=int(ends[-1]) - 1), self._device)

    @cached_property
    def real(self) -> Tensor:
        """(tokens): which of the padded places, counted row by row, hold tokens."""
        return to_device(self._inside.flatten().nonzero().flatten(), self._device)

    @cached_property
    def mask(self) -> Tensor | None:
        """(texts, 1, 1, longest): what can be attended to; None where that is all."""
        if self._inside.all():
            return None
        return to_device(self._inside[:, None, None, :], self._device)


def to_device(tensor: Tensor, device: torch.device) -> Tensor:
    """A copy there, which nobody waits for: from pinned memory it goes on beside what the GPU computes."""
    if device.type == "cuda":
        return tensor.pin_memory().to(device, non_blocking=True)
    return tensor.to(device)


def choose_attention(device: torch.device, dtype: torch.dtype, head_width: int) -> Attention:
    """The fastest for a device: without padding, where this torch and the GPU have a kernel for that."""
    if device.type == "cpu":
        return attend_text_by_text
    if device.type == "cuda" and (kernel := _flash(device, dtype, head_width)):
        return partial(attend_packed, kernel=kernel)
    return attend_padded


def attend_text_by_text(qkv: QKV, packing: Packing, heads: int) -> Tensor:
    """On a CPU there is nothing to gain from batches, but for equal lengths, which are together anyway."""
    parts = []
    first = 0
    for length, group in groupby(packing.lengths):
        texts = len(list(group))
        last = first + texts * length
        q, k, v = (one[first:last].view(texts, length, heads, -1).transpose(1, 2) for one in qkv)
        parts.append(F.scaled_dot_product_attention(q, k, v).transpose(1, 2).reshape(last - first, -1))
        first = last
    return parts[0] if len(parts) == 1 else torch.cat(parts)


def attend_padded(qkv: QKV, packing: Packing, heads: int) -> Tensor:
    """All texts at once, padded for the attention alone: texts of a step are of similar length."""
    texts, longest = packing.padded.shape
    q, k, v = (one[packing.padded].view(texts, longest, heads, -1).transpose(1, 2) for one in qkv)
    out = F.scaled_dot_product_attention(q, k, v, attn_mask=packing.mask)
    return out.transpose(1, 2).flatten(2).flatten(0, 1)[packing.real]


def attend_packed(qkv: QKV, packing: Packing, heads: int, *, kernel: Kernel) -> Tensor:
    """All texts at once, without padding."""
    q, k, v = (one.view(len(one), heads, -1) for one in qkv)
    out: Tensor = kernel(q, k, v, packing.bounds, packing.bounds, packing.longest, packing.longest)
    return out.flatten(1)


def _flash(device: torch.device, dtype: torch.dtype, head_width: int) -> Kernel | None:
    """torch's kernel for texts of different lengths, if it is there and works on this device.

    From torch 2.10 on (https://docs.pytorch.org/docs/stable/nn.attention.varlen.html), for float16 and bfloat16, on
    NVIDIA's GPUs from Ampere on. Which widths of a head it takes has changed: one token through it tells.
    """
    try:
        from torch.nn.attention.varlen import varlen_attn
    except ImportError:
        return None
    one = torch.zeros(1, 3, head_width, dtype=dtype, device=device)
    bounds = torch.tensor([0, 1], dtype=torch.int32, device=device)
    try:
        with torch.inference_mode():
            varlen_attn(one, one, one, bounds, bounds, 1, 1)
    except (RuntimeError, ValueError):  # NotImplementedError is a RuntimeError
        return None
    return varlen_attn


# Every architecture that transformers knows, one padded batch at a time.


class TransformersEncoder:
    """Token ids of several texts, end to end, to their hidden states, (tokens, hidden)."""

    gains_by_sorting = True

    def __init__(
        self, directory: Path, device: torch.device, dtype: torch.dtype, code: RemoteCode | None = None
    ) -> None:
        """Raises ModelError for what transformers can't load, KeyError for a tensor that is missing.

        `code` is the authors' own, and is run.
        """
        from transformers.utils import logging

        quiet: Any = logging  # its functions have no types
        quiet.set_verbosity_error()
        quiet.disable_progress_bar()
        try:
            config, kind = _classes(directory) if code is None else _remote_classes(directory, code)
            self._model, found = kind.from_pretrained(
                directory,
                config=config,
                dtype=dtype,
                local_files_only=True,
                use_safetensors=True,
                output_loading_info=True,
            )
        except Exception as error:  # transformers, and what it calls, raise of all kinds for files that are wrong
            what = "can't be loaded" if code is None else "brings code that does not work here"
            raise ModelError(
                f"{directory} {what}: {type(error).__name__}: {error!s:.400}", "choose another model"
            ) from error
        missing = sorted(name for name in found["missing_keys"] if "pooler." not in name)
        if missing:
            raise KeyError(missing[0])
        self._model.eval().to(device)

    def tune(self, dtype: torch.dtype) -> None:
        """Nothing to do: transformers' own modules are used as they are."""

    def __call__(self, ids: Tensor, lengths: Sequence[int]) -> Tensor:
        device: torch.device = self._model.device
        packing = Packing(lengths, device)
        padded = pad_sequence(list(torch.split(ids, list(lengths))), batch_first=True)
        mask = torch.arange(packing.longest) < torch.tensor(lengths)[:, None]
        hidden: Tensor = self._model(
            input_ids=to_device(padded, device), attention_mask=to_device(mask.long(), device)
        ).last_hidden_state
        return hidden.flatten(0, 1)[packing.real]


def _classes(directory: Path) -> tuple[Any, Any]:
    """The configuration, and transformers' class for it."""
    from transformers import AutoConfig, AutoModel, AutoModelForTextEncoding

    config = AutoConfig.from_pretrained(directory, local_files_only=True, trust_remote_code=False)
    # T5 and its kin are loaded without their decoders.
    kind = AutoModelForTextEncoding if type(config) in AutoModelForTextEncoding._model_mapping else AutoModel
    return config, kind


def _remote_classes(directory: Path, code: RemoteCode) -> tuple[Any, Any]:
    """The configuration and the class for it out of the authors' code, which is run by this."""
    from transformers.dynamic_module_utils import get_class_from_dynamic_module

    config: Any
    config, kind = (
        get_class_from_dynamic_module(name, str(code.folder), local_files_only=True)
        for name in (code.config, code.model)
    )
    return config.from_pretrained(directory, local_files_only=True), kind
