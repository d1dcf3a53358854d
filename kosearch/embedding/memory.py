"""What a model takes in memory, and what there is: looked at before any document is read."""

from __future__ import annotations

import math
from pathlib import Path

from kosearch.embedding.catalog import CATALOG
from kosearch.embedding.directory import tensor_shapes, weight_files
from kosearch.embedding.model import Model
from kosearch.embedding.resolving import has_gpu
from kosearch.errors import ModelError
from kosearch.system import available_memory

_FLOAT32, _FLOAT16 = 4, 2
_WORDS = ("word_embeddings.weight", "embed_tokens.weight", "tok_embeddings.weight")


def on_cpu(parameters: int) -> int:
    """Bytes of the weights on a CPU, where they are float32."""
    return _FLOAT32 * parameters


def on_gpu(parameters: int) -> int:
    """Bytes of the weights on a GPU, where they are float16."""
    return _FLOAT16 * parameters


def parameters(directory: Path) -> int:
    """How many weights a model's files hold, by their headers."""
    shapes = [shape for file in weight_files(directory) for shape in tensor_shapes(file).values()]
    return sum(map(math.prod, shapes))


def require(model: Model, device: str) -> None:
    """See that there is room for a model, where it will be on the CPU.

    The table of word vectors, in large vocabularies most of a model, does not count: it stays in the mapped file.
    Raises ModelError, saying what would fit.
    """
    if device not in ("auto", "cpu") or has_gpu(device):
        return
    shapes = [entry for file in weight_files(model.directory) for entry in tensor_shapes(file).items()]
    needed = on_cpu(sum(math.prod(shape) for name, shape in shapes if not name.endswith(_WORDS)))
    free = available_memory()
    if free is None or needed <= free:
        return
    fitting = [one.name for one in CATALOG if one.parameters and on_cpu(one.parameters * 10**6) <= free]
    smaller = f"or use a smaller model, such as --model {fitting[0]}" if fitting else "or use another machine"
    raise ModelError(
        f"{model.name} needs {_gib(needed)} of memory, and {_gib(free)} are free",
        f"free memory, {smaller}",
    )


def _gib(size: int) -> str:
    return f"{size / 1024**3:.1f} GiB"
