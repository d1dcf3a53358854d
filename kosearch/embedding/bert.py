"""What the torch and the numpy encoder both know about models of BERT's kind: names, positions, limits."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

LAYER_PARTS = {
    "query": "attention.self.query",
    "key": "attention.self.key",
    "value": "attention.self.value",
    "output": "attention.output.dense",
    "norm": "attention.output.LayerNorm",
    "wide": "intermediate.dense",
    "narrow": "output.dense",
    "last_norm": "output.LayerNorm",
}
"""Our word for each pair of weight and bias in a layer, and its name in the file."""

ACTIVATIONS = frozenset({"gelu", "relu", "gelu_new", "gelu_pytorch_tanh"})
_KINDS = frozenset({"bert", "roberta", "xlm-roberta", "camembert"})


def fits(config: Mapping[str, Any]) -> bool:
    """Whether a model with this `config.json` is computed by our own encoders."""
    return (
        config["model_type"] in _KINDS
        and config.get("hidden_act", "gelu") in ACTIVATIONS
        and config.get("position_embedding_type", "absolute") in ("absolute", None)
        and not config.get("is_decoder")
    )


def first_position(config: Mapping[str, Any]) -> int:
    """The position of a text's first token: RoBERTa and its kin count from the padding token's id + 1."""
    return 0 if config["model_type"] == "bert" else int(config.get("pad_token_id", 1)) + 1


def without_prefix(name: str) -> str:
    """A tensor's name as of today, without what a task's head put in front (`bert.`, `roberta.`)."""
    bare = name.removeprefix("bert.").removeprefix("roberta.")
    return bare.replace("LayerNorm.gamma", "LayerNorm.weight").replace("LayerNorm.beta", "LayerNorm.bias")
