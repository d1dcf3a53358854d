"""A few questions in a fresh process: numpy instead of torch, whose import alone takes a second.

The same encoder as in `encoder.py`, one text at a time on one core, over weights that stay in the mapped
file. Documents are not embedded here.
"""

from __future__ import annotations

import contextlib
import ctypes
import json
import math
import struct
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from kosearch.embedding import bert
from kosearch.embedding.directory import read_json, weight_files
from kosearch.embedding.model import Model, Pooling
from kosearch.embedding.tokens import ids_of_few
from kosearch.errors import ModelError

if TYPE_CHECKING:
    from kosearch.embedding import Vectors

Array = npt.NDArray[Any]
Floats = npt.NDArray[np.float32]


def fits(model: Model) -> bool:
    """Whether the model's questions can be embedded here: BERT's kind, and nothing to compute after pooling."""
    config = read_json(model.directory / "config.json")
    return bert.fits(config) and all(layer.kind == "normalize" for layer in model.layers)


class LightEmbedder:
    """Embeds questions only."""

    def __init__(self, model: Model) -> None:
        """Raises ModelError for a tensor that is missing."""
        self.model = model
        self._config: dict[str, Any] = read_json(model.directory / "config.json")
        self._tensors: dict[str, Array] = {}
        for file in weight_files(model.directory):
            self._tensors.update((bert.without_prefix(name), array) for name, array in mapped(file))

    def embed_queries(self, texts: Sequence[str]) -> Vectors:
        """float32, (len(texts), model.dimensions), unit length."""
        model = self.model
        prompt = model.prompts.query
        vectors = np.zeros((len(texts), model.dimensions), np.float32)
        ids = ids_of_few(model, [prompt + text for text in texts])
        skip = 0
        if prompt and not model.include_prompt:
            (alone,) = ids_of_few(model, [prompt])
            (bare,) = ids_of_few(model, [""])
            skip = len(alone) - (1 if alone[-1] == bare[-1] else 0)
        try:
            with _blas_on_one_core():
                for row, one in zip(vectors, ids, strict=True):
                    hidden = self._hidden(one)
                    pooled = np.concatenate([_pool(mode, hidden, skip) for mode in model.pooling])
                    row[:] = pooled[: model.dimensions]
                    row /= max(float(np.linalg.norm(row)), 1e-12)
        except KeyError as error:
            raise ModelError(
                f"{model.directory} lacks the tensor {error}", "fetch or copy the model again"
            ) from error
        return vectors
