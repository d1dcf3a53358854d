"""A few texts in a fresh process: numpy instead of torch, whose import alone takes a second.

The same encoder as in `torch_encoder.py`, one text at a time on one core, over weights that stay in the mapped file;
the layers of the bundled model are onnxruntime's (`four_bits.py`).
"""

from __future__ import annotations

import contextlib
import math
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from kosearch.embedding import four_bits
from kosearch.embedding.bundled import layer_tensors
from kosearch.embedding.checkpoint import (
    LAYER_PARTS,
    WRONG_FILES,
    first_position,
    is_bert,
    read_json,
    tensors,
    weight_files,
    without_prefix,
)
from kosearch.embedding.head import load_head
from kosearch.embedding.models import Model, Pooling
from kosearch.embedding.tokens import few_tokens
from kosearch.errors import ModelError
from kosearch.system import blas_on_one_core, shortage

if TYPE_CHECKING:
    from kosearch.records import Vectors

Array = npt.NDArray[Any]


_FEW_OPERATIONS = 8e10
"""What takes a core about as long as importing torch and loading a model with it; 1,900 tokens of the bundled one."""
_CHARACTERS_IN_A_TOKEN = 2
"""Of Korean, about; of English there are twice as many."""
_LEAST_TOKENS = 25
"""A text of fewer takes as long: all weights pass through memory."""
_CALLS = 1e8
"""Operations in whose time Python has made a text's calls, some 3 ms."""
_CONVERSION = 150
"""Operations in whose time a weight that is stored in another width becomes float32, for each text: some 5 ns."""


def supports(model: Model) -> bool:
    """Whether the model's texts can be embedded here: BERT's kind, and after pooling nothing to compute but a head."""
    config = read_json(model.directory / "config.json")
    layers = model.layers[:-2] if model.bases else model.layers
    plain = model.include_prompt and all(layer.kind == "normalize" for layer in layers)
    return plain and is_bert(config)


class NumpyEmbedder:
    """Embeds questions, and passages while they are few, on the CPU."""

    def __init__(self, model: Model) -> None:
        """Raises ModelError for weights that can't be read or don't fit config.json."""
        self.model = model
        self._tokens = few_tokens(model)
        with _problems(model):
            config: dict[str, Any] = read_json(model.directory / "config.json")
            self._tensors: dict[str, Array] = {}
            for file in weight_files(model.directory):
                self._tensors.update((without_prefix(name), array) for name, array in _mapped(file))
            self._depth = int(config["num_hidden_layers"])
            self._heads = int(config["num_attention_heads"])
            self._epsilon = float(config.get("layer_norm_eps", 1e-12))
            self._activation = _ACTIVATIONS[config.get("hidden_act", "gelu")]
            self._first_position = first_position(config)
            self._head = load_head(model.layers) if model.bases else None
        weights = [array for name, array in self._tensors.items() if name.startswith("encoder.") and array.ndim == 2]
        self._operations = 2 * sum(array.size for array in weights)
        """For a token, without attention."""
        self._overhead = _CALLS + _CONVERSION * sum(array.size for array in weights if array.dtype != np.float32)
        """For a text, in operations."""
        self._operations_left = _FEW_OPERATIONS
        self._layers: four_bits.Layers | None = None

    def accept(self, texts: Sequence[str]) -> bool:
        """Whether these texts are still so few that torch would not be ready sooner. Then they count."""
        tokens = (min(len(text) // _CHARACTERS_IN_A_TOKEN, self.model.max_tokens) for text in texts)
        operations = self._operations * sum(max(one, _LEAST_TOKENS) for one in tokens) + self._overhead * len(texts)
        if operations > self._operations_left:
            return False
        self._operations_left -= operations
        return True

    def embed_queries(self, texts: Sequence[str]) -> Vectors:
        """float32, (len(texts), model.dimensions), unit length.

        Raises ModelError for weights that don't fit and a tokenizer that can't be read.
        """
        return self._embed([self.model.prompts.query + text for text in texts], None)

    def embed_passages(self, texts: Sequence[str], progress: Callable[[int], None] | None = None) -> Vectors:
        """The same for passages; `progress` is told of each."""
        return self._embed([self.model.prompts.passage + text for text in texts], progress)

    def _embed(self, texts: Sequence[str], progress: Callable[[int], None] | None) -> Vectors:
        model = self.model
        vectors = np.zeros((len(texts), model.dimensions), np.float32)
        ids = self._tokens.ids(texts)
        with _problems(model), blas_on_one_core():
            for row, one in enumerate(ids):
                hidden = self._hidden(one)
                vector = np.concatenate([_POOL[mode](hidden) for mode in model.pooling])[: model.dimensions]
                vectors[row] = vector / max(float(np.linalg.norm(vector)), 1e-12)
                if self._head:
                    vectors[row] = self._head(vectors[row])
                if progress:
                    progress(1)
        return vectors

    def _floats(self, name: str, rows: Any = ...) -> Array:
        """A tensor, or some rows of it, as float32; bfloat16 is the upper half of float32."""
        array: Array = self._tensors[name][rows]
        if array.dtype == np.uint16:
            return (array.astype(np.uint32) << 16).view(np.float32)
        return array.astype(np.float32, copy=False)

    def _linear(self, x: Array, name: str) -> Array:
        # In this order the large matrix is read as it lies there: x @ weight.T takes 1.5 times as long for a question.
        product: Array = (self._floats(f"{name}.weight") @ x.T).T
        return product + self._floats(f"{name}.bias")

    def _normalise(self, x: Array, name: str) -> Array:
        x = x - x.mean(axis=1, keepdims=True)
        x = x / np.sqrt((x * x).mean(axis=1, keepdims=True) + self._epsilon)
        return x * self._floats(f"{name}.weight") + self._floats(f"{name}.bias")

    def _hidden(self, ids: list[int]) -> Array:
        """Hidden states of one text, (tokens, hidden)."""
        if self._layers is None:
            self._layers = self._loaded(len(ids))
        return self._layers(self._embeddings(ids))

    def _loaded(self, tokens: int) -> four_bits.Layers:
        """The layers by onnxruntime, if it is there and the model's weights have four bits; else by NumPy."""
        # Whatever a damaged package or a processor that nobody tried raises: NumPy does the same.
        with contextlib.suppress(Exception):
            if four_bits.available() and (tensors := layer_tensors(self.model.directory)):
                return four_bits.layers(tensors, self._depth, self._heads, self._epsilon, tokens)
        return self._by_numpy

    def _embeddings(self, ids: list[int]) -> Array:
        """What the layers begin with, (tokens, hidden)."""
        places = slice(self._first_position, self._first_position + len(ids))
        x = self._floats("embeddings.word_embeddings.weight", ids)
        x = x + self._floats("embeddings.position_embeddings.weight", places)
        x = x + self._floats("embeddings.token_type_embeddings.weight", 0)
        return self._normalise(x, "embeddings.LayerNorm")

    def _by_numpy(self, x: Array) -> Array:
        """The layers, (tokens, hidden) → (tokens, hidden)."""
        tokens = len(x)
        for depth in range(self._depth):
            part = {short: f"encoder.layer.{depth}.{name}" for short, name in LAYER_PARTS.items()}
            q, k, v = (
                self._linear(x, part[name]).reshape(tokens, self._heads, -1).transpose(1, 0, 2)
                for name in ("query", "key", "value")
            )
            context = _softmax(q @ k.transpose(0, 2, 1) / math.sqrt(q.shape[2])) @ v
            context = context.transpose(1, 0, 2).reshape(tokens, -1)
            x = self._normalise(self._linear(context, part["output"]) + x, part["norm"])
            wide = self._activation(self._linear(x, part["wide"]))
            x = self._normalise(self._linear(wide, part["narrow"]) + x, part["last_norm"])
        return x


@contextlib.contextmanager
def _problems(model: Model) -> Iterator[None]:
    """What weights and config.json that don't fit each other lead to, as a ModelError."""
    try:
        yield
    except WRONG_FILES as error:
        what = f"{error} is missing" if isinstance(error, KeyError) else str(error)
        if what_to_do := shortage(error):
            raise ModelError(f"{model.name} can't be loaded: {what}", what_to_do) from error
        raise ModelError(
            f"the weights of {model.name} don't fit its config.json: {what}", "fetch or copy the model again"
        ) from error


def _mapped(file: Path) -> Iterator[tuple[str, Array]]:
    """The tensors of a safetensors file where they lie in it; bfloat16 as 16-bit integers."""
    kinds = {"F64": "<f8", "F32": "<f4", "F16": "<f2", "BF16": "<u2"}
    data = np.asarray(np.memmap(file, np.uint8, "r"))  # a plain array: each part taken of a memmap costs 3 µs more
    for name, one in tensors(file).items():
        if one.kind in kinds:
            yield name, data[one.begin : one.end].view(kinds[one.kind]).reshape(one.shape)


def _softmax(x: Array) -> Array:
    powers: Array = np.exp(x - x.max(axis=-1, keepdims=True))
    total: Array = powers.sum(axis=-1, keepdims=True)
    return powers / total


_POOL: dict[Pooling, Callable[[Array], Array]] = {
    "cls": lambda hidden: hidden[0],
    "lasttoken": lambda hidden: hidden[-1],
    "max": lambda hidden: hidden.max(axis=0),
    "mean": lambda hidden: hidden.mean(axis=0),
    "mean_sqrt_len_tokens": lambda hidden: hidden.sum(axis=0) / math.sqrt(len(hidden)),
    "weightedmean": lambda hidden: np.average(hidden, axis=0, weights=np.arange(1, len(hidden) + 1)),
}


def _erf(x: Array) -> Array:
    """Abramowitz and Stegun, "Handbook of Mathematical Functions", 7.1.26; the error is below 1.5e-7."""
    t = 1 / (1 + np.float32(0.3275911) * np.abs(x))
    series: Array = np.zeros_like(x)
    for factor in (1.061405429, -1.453152027, 1.421413741, -0.284496736, 0.254829592):
        series = (series + np.float32(factor)) * t
    series = 1 - series * np.exp(-x * x)
    return np.copysign(series, x)


def _gelu_by_tanh(x: Array) -> Array:
    half: Array = np.float32(0.5) * x
    half += half * np.tanh(np.float32(math.sqrt(2 / math.pi)) * (x + np.float32(0.044715) * x**3))
    return half


_ACTIVATIONS: dict[str, Callable[[Array], Array]] = {
    "gelu": lambda x: np.float32(0.5) * x * (1 + _erf(x * np.float32(math.sqrt(0.5)))),
    "relu": lambda x: np.maximum(x, 0),
    "gelu_new": _gelu_by_tanh,
    "gelu_pytorch_tanh": _gelu_by_tanh,
}
