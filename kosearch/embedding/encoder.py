"""BERT's encoder over packed texts: the tokens of a whole step lie end to end, without padding.

The architecture is that of BERT (Devlin et al. 2019) and, with positions counted from the padding token's id
+ 1, of RoBERTa (Liu et al. 2019), XLM-RoBERTa and CamemBERT. Against transformers' own classes it saves the
import of seconds, the padding, and the copies of weights: each tensor stays where it lies in the mapped file.
Every other architecture goes through transformers.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
import torch.nn.functional as F  # noqa: N812 — torch's own custom
from torch import Tensor

_ACTIVATIONS = {
    "gelu": lambda x: F.gelu(x),
    "relu": lambda x: F.relu(x),
    "gelu_new": lambda x: F.gelu(x, approximate="tanh"),
    "gelu_pytorch_tanh": lambda x: F.gelu(x, approximate="tanh"),
}
_PARTS = {
    "query": "attention.self.query",
    "key": "attention.self.key",
    "value": "attention.self.value",
    "output": "attention.output.dense",
    "norm": "attention.output.LayerNorm",
    "wide": "intermediate.dense",
    "narrow": "output.dense",
    "last_norm": "output.LayerNorm",
}
_Pair = tuple[Tensor, ...]
_PREFIXES = {"bert": "bert.", "roberta": "roberta.", "xlm-roberta": "roberta.", "camembert": "roberta."}


def fits(config: Mapping[str, Any]) -> bool:
    """Whether a model with this `config.json` is computed here."""
    return (
        config["model_type"] in _PREFIXES
        and config.get("hidden_act", "gelu") in _ACTIVATIONS
        and config.get("position_embedding_type", "absolute") in ("absolute", None)
        and not config.get("is_decoder")
        and config.get("embedding_size", config["hidden_size"]) == config["hidden_size"]
    )


class PackedEncoder:
    """Token ids of several texts, end to end, to their hidden states, (tokens, hidden)."""

    def __init__(
        self, config: Mapping[str, Any], weights: Mapping[str, Tensor], device: torch.device, dtype: torch.dtype
    ) -> None:
        """Raises KeyError for a tensor that is missing."""
        prefix = _PREFIXES[config["model_type"]]
        named = {
            name.removeprefix(prefix).replace(".gamma", ".weight").replace(".beta", ".bias"): tensor
            for name, tensor in weights.items()
        }

        def both(name: str) -> _Pair:
            return tuple(named[f"{name}.{part}"].to(device, dtype) for part in ("weight", "bias"))

        self._words = named["embeddings.word_embeddings.weight"].to(device)
        self._positions = named["embeddings.position_embeddings.weight"].to(device, dtype)
        self._type = named["embeddings.token_type_embeddings.weight"][0].to(device, dtype)
        self._norm = both("embeddings.LayerNorm")
        self._layers = [
            {part: both(f"encoder.layer.{layer}.{name}") for part, name in _PARTS.items()}
            for layer in range(config["num_hidden_layers"])
        ]
        self._heads = int(config["num_attention_heads"])
        self._epsilon = float(config.get("layer_norm_eps", 1e-12))
        self._activation = _ACTIVATIONS[config.get("hidden_act", "gelu")]
        counts_from_padding = config["model_type"] != "bert"
        self._first_position = int(config.get("pad_token_id", 1)) + 1 if counts_from_padding else 0

    def __call__(self, ids: Tensor, lengths: Sequence[int]) -> Tensor:
        positions = torch.cat([torch.arange(length, device=ids.device) for length in lengths])
        x = self._words[ids].to(self._positions.dtype)
        x += self._positions[positions + self._first_position]
        x += self._type
        x = self._normalise(x, self._norm)
        for layer in self._layers:
            q, k, v = (F.linear(x, *layer[part]) for part in ("query", "key", "value"))
            x = self._normalise(F.linear(self._attend(q, k, v, lengths), *layer["output"]).add_(x), layer["norm"])
            wide = self._activation(F.linear(x, *layer["wide"]))
            x = self._normalise(F.linear(wide, *layer["narrow"]).add_(x), layer["last_norm"])
        return x

    def _normalise(self, x: Tensor, weights: _Pair) -> Tensor:
        return F.layer_norm(x, x.shape[-1:], *weights, self._epsilon)

    def _attend(self, q: Tensor, k: Tensor, v: Tensor, lengths: Sequence[int]) -> Tensor:
        """Each text attends to itself alone; memory is linear in its length."""
        parts = []
        for one in zip(*(tensor.split(list(lengths)) for tensor in (q, k, v)), strict=True):
            heads = (part.view(1, len(part), self._heads, -1).transpose(1, 2) for part in one)
            parts.append(F.scaled_dot_product_attention(*heads).transpose(1, 2).flatten(0, 1).flatten(1))
        return torch.cat(parts)
