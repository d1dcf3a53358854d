"""Names → models → vectors.

model = resolve("bundled", cache_dir=...)      # reads files, imports no torch
offsets = token_offsets(model)                 # for cutting passages, imports no torch
embedder = load(model, device="auto")          # imports torch
embedder.embed_passages(["..."])               # float32, (1, model.dimensions), unit length
load_for_queries(model).embed_queries(["..."])  # the same, soonest in a fresh process: imports no torch
load_for_few(model)                            # for a few passages, likewise
model = connect("openai:text-embedding-3-small")  # an endpoint, which can take the model's place in all of this
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal, Protocol

from kosearch.embedding.models import AnyModel, Endpoint, Model, Prompts, known, truncated
from kosearch.embedding.providers import is_remote
from kosearch.embedding.resolving import BUNDLED, default_model, names_here, resolve
from kosearch.embedding.resolving import require as require_memory
from kosearch.embedding.tokenizer import token_offsets
from kosearch.errors import ModelError

if TYPE_CHECKING:
    from kosearch.embedding.torch_embedder import TorchEmbedder
    from kosearch.records import Vectors

__all__ = [
    "BUNDLED",
    "AnyModel",
    "Embedder",
    "Endpoint",
    "FewEmbedder",
    "Model",
    "Prompts",
    "QueryEmbedder",
    "Rescorer",
    "connect",
    "default_model",
    "is_remote",
    "known",
    "load",
    "load_for_few",
    "load_for_queries",
    "load_rescorer",
    "names_here",
    "require_memory",
    "resolve",
    "token_offsets",
    "truncated",
]


class QueryEmbedder(Protocol):
    """Turns questions into vectors of unit length, in their order."""

    @property
    def model(self) -> AnyModel: ...

    def embed_queries(self, texts: Sequence[str]) -> Vectors:
        """float32, (len(texts), model.dimensions)."""
        ...


class Embedder(QueryEmbedder, Protocol):
    """Turns questions and passages into vectors of unit length, in their order.

    Unit length always, whether or not the model normalises: the index then needs one similarity, the dot
    product, which is the cosine. A text longer than the model reads is cut off at its end.
    """

    def embed_passages(self, texts: Sequence[str], progress: Callable[[int], None] | None = None) -> Vectors:
        """float32, (len(texts), model.dimensions). `progress` is told how many more texts are done."""
        ...


class FewEmbedder(Embedder, Protocol):
    """Embeds a few texts sooner than torch could."""

    def accept(self, texts: Sequence[str]) -> bool:
        """Whether these texts, with all that were accepted before, are few enough."""
        ...


class Rescorer(Protocol):
    """Reads passages anew beside a question, and scores them by more than one vector each."""

    def scores(self, question: str, passages: Sequence[str]) -> Vectors:
        """float32, (len(passages), 3): dense, sparse and multi-vector scores."""
        ...


def connect(
    name: str,
    *,
    url: str | None = None,
    kept: Mapping[str, Any] | None = None,
    own: bool = False,
    dimensions: int | None = None,
    prompts: Prompts | None = None,
    tokens: int | None = None,
) -> Endpoint:
    """The endpoint that a name such as `openai:text-embedding-3-small` stands for.

    With what an index `kept` of it, and that index's `dimensions`, nothing is asked before there is text to embed.
    Otherwise its model is asked for a known text, with prompts of ours, in so many `dimensions`, for texts of so many
    `tokens`, each where that is given. `url` is what the user names. It defaults to the one kept where the index is
    the user's `own`, for nobody else's decides where text and key go, else to the provider's own. Raises ModelError
    where the endpoint cannot be used, ConfigError for a key that is missing, IndexStateError for an index of another.
    """
    from kosearch.embedding import endpoint

    if kept is not None and dimensions is not None:
        return endpoint.recall(name, kept, dimensions, url, own=own)
    return endpoint.meet(name, url=url, dimensions=dimensions, prompts=prompts, tokens=tokens)


def load(
    model: AnyModel,
    device: str = "auto",
    threads: int | None = None,
    precision: Literal["auto", "float32"] = "auto",
) -> Embedder:
    """The model on `device` (auto, cpu, cuda, cuda:N, mps; `cuda:0,cuda:1` shares the work among several).

    `threads` are those on the CPU. `precision` auto multiplies matrices in float16 on a GPU and in bfloat16 on a CPU
    that has it in hardware.
    An endpoint is asked for a known text first. Raises ModelError for a device that is not there, for weights that
    don't fit the architecture and for an endpoint that cannot be used, IndexMismatch for one that changed.
    """
    if isinstance(model, Endpoint):
        from kosearch.embedding.endpoint import EndpointEmbedder

        remote = EndpointEmbedder(model)
        remote.embed_passages([])
        return remote
    return _with_torch(model, device, threads, precision)


def load_for_queries(model: AnyModel, device: str = "auto", questions: int = 1) -> QueryEmbedder:
    """What answers that many questions soonest in a process that has loaded nothing yet.

    For a few short ones that is numpy on the CPU, if the architecture allows; raises as `load` does. An endpoint is
    asked for the known text together with the first question.
    """
    if isinstance(model, Endpoint):
        from kosearch.embedding.endpoint import EndpointEmbedder

        return EndpointEmbedder(model)
    few = load_for_few(model, device)
    return few if few and few.accept([""] * questions) else load(model, _first(device))


def load_for_few(model: AnyModel, device: str = "auto") -> FewEmbedder | None:
    """What embeds a few texts before torch would be imported; None where model or device don't allow it."""
    if isinstance(model, Endpoint) or device not in ("auto", "cpu"):
        return None
    from kosearch.embedding import numpy_encoder

    return numpy_encoder.NumpyEmbedder(model) if numpy_encoder.supports(model) else None


def load_rescorer(model: AnyModel, device: str = "auto") -> Rescorer:
    """The model with BGE-M3's sparse and multi-vector heads. Raises ModelError where it has none."""
    if isinstance(model, Endpoint):
        raise ModelError(f"{model.name} answers over HTTP, with one vector a text", "leave --rerank out")
    embedder = _with_torch(model, _first(device))
    from kosearch.embedding.sparse_multi_vector import M3Rescorer

    return M3Rescorer(embedder)


def _with_torch(
    model: Model, device: str, threads: int | None = None, precision: Literal["auto", "float32"] = "auto"
) -> TorchEmbedder:
    try:
        from kosearch.embedding.torch_embedder import TorchEmbedder
    except (ImportError, OSError, MemoryError) as error:  # where memory is limited, libraries can't be mapped
        raise ModelError(
            f"torch can't be loaded: {str(error).partition(chr(10))[0]}", "free memory, or install kosearch again"
        ) from error
    return TorchEmbedder(model, device, threads, precision)


def _first(devices: str) -> str:
    """Of several devices one: it is enough for what a question needs."""
    return devices.partition(",")[0]
