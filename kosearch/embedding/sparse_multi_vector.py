"""BGE-M3's three heads together: one vector a text, a weight a token, and a vector a token.

Chen et al. 2024, "M3-Embedding: Multi-Linguality, Multi-Functionality, Multi-Granularity Text Embeddings Through
Self-Knowledge Distillation", section 3.1. Which tokens count is as in its authors' FlagEmbedding.
"""

from __future__ import annotations

import pickle
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812 — torch's own custom
from safetensors.torch import load_file
from torch import Tensor

from kosearch.embedding.checkpoint import read_json
from kosearch.embedding.models import Model
from kosearch.embedding.torch_embedder import TorchEmbedder
from kosearch.errors import ModelError

if TYPE_CHECKING:
    from kosearch.records import Vectors

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
