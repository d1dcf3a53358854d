"""From the hidden states of packed texts to one vector each, as sentence-transformers defines it."""

from __future__ import annotations

from collections.abc import Callable

import torch
import torch.nn.functional as F  # noqa: N812 — torch's own custom
from safetensors.torch import load_file
from torch import Tensor

from kosearch.embedding.directory import read_json
from kosearch.embedding.model import Layer, Model, Pooling
from kosearch.errors import ModelError


class Head:
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
