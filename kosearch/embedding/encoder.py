"""BERT's encoder over packed texts: the tokens of a whole step lie end to end, without padding.

The architecture is that of BERT (Devlin et al. 2019) and, with positions counted from the padding token's id
+ 1, of RoBERTa (Liu et al. 2019), XLM-RoBERTa and CamemBERT. Against transformers' own classes it saves their
import (seconds), the padding, and the copies of weights: a float32 tensor stays where it lies in the mapped
file. Every other architecture goes through transformers (`padded.py`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
import torch.nn.functional as F  # noqa: N812 — torch's own custom
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from kosearch.embedding.bert import LAYER_PARTS, first_position, without_prefix

Step = Callable[[Tensor], Tensor]

_ACTIVATIONS: dict[str, Step] = {
    "gelu": F.gelu,
    "relu": F.relu,
    "gelu_new": lambda x: F.gelu(x, approximate="tanh"),
    "gelu_pytorch_tanh": lambda x: F.gelu(x, approximate="tanh"),
}
"""Must cover `bert.ACTIVATIONS`."""


class PackedEncoder:
    """Token ids of several texts, end to end, to their hidden states, (tokens, hidden)."""

    def __init__(
        self, config: Mapping[str, Any], weights: Mapping[str, Tensor], device: torch.device, dtype: torch.dtype
    ) -> None:
        """Raises KeyError for a tensor that is missing."""
        named = {without_prefix(name): tensor for name, tensor in weights.items()}

        def pair(name: str) -> tuple[Tensor, Tensor]:
            weight, bias = (named[f"{name}.{part}"].to(device, dtype) for part in ("weight", "bias"))
            return weight, bias

        # The word vectors, most of all weights, are converted row by row as they are used.
        self._words = named["embeddings.word_embeddings.weight"].to(device)
        self._positions = named["embeddings.position_embeddings.weight"].to(device, dtype)
        self._type = named["embeddings.token_type_embeddings.weight"][0].to(device, dtype)
        self._norm = pair("embeddings.LayerNorm")
        self._layers = [
            {part: pair(f"encoder.layer.{layer}.{name}") for part, name in LAYER_PARTS.items()}
            for layer in range(config["num_hidden_layers"])
        ]
        self._linear: list[dict[str, Step]] = [
            {part: _linear(*layer[part]) for part in layer if "norm" not in part} for layer in self._layers
        ]
        self._heads = int(config["num_attention_heads"])
        self._epsilon = float(config.get("layer_norm_eps", 1e-12))
        self._activation = _ACTIVATIONS[config.get("hidden_act", "gelu")]
        self._first_position = first_position(config)

    def tune(self, dtype: torch.dtype) -> None:
        """Lay the weights out for the CPU's matrix unit, as oneDNN wants them, in float32 or bfloat16.

        Worth it for more than a thousand tokens: it copies the weights. Against the layout in the file (MKL)
        on an AMD core with AVX-512: 2.3 times the speed in float32, 4.4 times in bfloat16.
        """
        self._linear = [
            {part: _onednn_linear(*layer[part], dtype) for part in layer if "norm" not in part}
            for layer in self._layers
        ]

    def __call__(self, ids: Tensor, lengths: Sequence[int]) -> Tensor:
        positions = torch.cat([torch.arange(length, device=ids.device) for length in lengths])
        x = self._words[ids].to(self._positions.dtype)
        x += self._positions[positions + self._first_position]
        x += self._type
        x = self._normalise(x, self._norm)
        attend = self._attend_alone if x.device.type == "cpu" else self._attend_padded
        for linear, layer in zip(self._linear, self._layers, strict=True):
            context = attend(linear["query"](x), linear["key"](x), linear["value"](x), lengths)
            x = self._normalise(linear["output"](context).add_(x), layer["norm"])
            wide = self._activation(linear["wide"](x))
            x = self._normalise(linear["narrow"](wide).add_(x), layer["last_norm"])
        return x

    def _normalise(self, x: Tensor, weights: tuple[Tensor, Tensor]) -> Tensor:
        return F.layer_norm(x, x.shape[-1:], *weights, self._epsilon)

    def _attend_alone(self, q: Tensor, k: Tensor, v: Tensor, lengths: Sequence[int]) -> Tensor:
        """Text after text: on a CPU there is nothing to gain from batches."""
        parts = []
        for text in zip(*(torch.split(x, list(lengths)) for x in (q, k, v)), strict=True):
            heads = (x.view(1, len(x), self._heads, -1).transpose(1, 2) for x in text)
            parts.append(F.scaled_dot_product_attention(*heads).transpose(1, 2).flatten(0, 1).flatten(1))
        return torch.cat(parts)

    def _attend_padded(self, q: Tensor, k: Tensor, v: Tensor, lengths: Sequence[int]) -> Tensor:
        """All texts at once, padded for the attention alone: texts of a step are of similar length."""
        padded = (pad_sequence(list(torch.split(x, list(lengths))), batch_first=True) for x in (q, k, v))
        q, k, v = (x.view(*x.shape[:2], self._heads, -1).transpose(1, 2) for x in padded)
        sizes = torch.tensor(lengths, device=q.device)
        inside = torch.arange(q.shape[2], device=q.device) < sizes[:, None]
        mask = None if min(lengths) == max(lengths) else inside[:, None, None, :]
        out = F.scaled_dot_product_attention(q, k, v, attn_mask=mask)
        return out.transpose(1, 2).flatten(2)[inside]


def _linear(weight: Tensor, bias: Tensor) -> Step:
    return lambda x: F.linear(x, weight, bias)


def _onednn_linear(weight: Tensor, bias: Tensor, dtype: torch.dtype) -> Step:
    weight, bias = torch.ops.mkldnn._reorder_linear_weight(weight.to(dtype)), bias.to(dtype)
    linear = torch.ops.mkldnn._linear_pointwise
    return lambda x: linear(x.to(dtype), weight, bias, "none", [], "").to(x.dtype)


def can_tune() -> bool:
    """Whether this torch has oneDNN's linear layer (the one that its own compiler uses) for this processor."""
    try:
        _onednn_linear(torch.zeros(2, 2), torch.zeros(2), torch.float32)(torch.zeros(1, 2))
    except (AttributeError, RuntimeError):
        return False
    return True
