"""Names → models → vectors.

    model = resolve("bundled", cache_dir=...)      # reads files, imports no torch
    offsets = token_offsets(model)                 # for cutting passages, imports no torch
    embedder = load(model, device="auto")          # imports torch
    embedder.embed_passages(["..."])               # float32, (1, model.dimensions), unit length
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Protocol

from kosearch.embedding.model import Layer, Model, Pooling, Prompts
from kosearch.embedding.resolve import BUNDLED, default_model, resolve
from kosearch.embedding.tokens import TokenOffsets, token_offsets

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    Vectors = npt.NDArray[np.float32]

__all__ = [
    "BUNDLED",
    "Embedder",
    "Layer",
    "Model",
    "Pooling",
    "Prompts",
    "TokenOffsets",
    "default_model",
    "load",
    "resolve",
    "token_offsets",
]


class Embedder(Protocol):
    """Turns texts into vectors of unit length, in the order of the texts.

    Unit length always, whether or not the model normalises: the index then needs one similarity, the dot
    product, which is the cosine. A text longer than the model reads is cut off at its end.
    """

    @property
    def model(self) -> Model: ...

    def embed_passages(
        self, texts: Sequence[str], progress: Callable[[int], None] | None = None
    ) -> Vectors:
        """float32, (len(texts), model.dimensions). `progress` is told how many more texts are done."""
        ...

    def embed_queries(self, texts: Sequence[str]) -> Vectors:
        """float32, (len(texts), model.dimensions)."""
        ...


def load(model: Model, device: str = "auto", threads: int | None = None) -> Embedder:
    """The model on `device` (auto, cpu, cuda, cuda:N, mps); `threads` are those on the CPU.

    Raises ModelError for a device that is not there and for weights that don't fit the architecture.
    """
    from kosearch.embedding.engine import TorchEmbedder

    return TorchEmbedder(model, device, threads)
