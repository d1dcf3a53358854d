"""What an embedding model is to kosearch: a record, and what authors ask for beside their files."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeVar

from kosearch.errors import ModelError

if TYPE_CHECKING:
    from kosearch.embedding.foreign import Code

Value = TypeVar("Value")

Pooling = Literal["cls", "max", "mean", "mean_sqrt_len_tokens", "weightedmean", "lasttoken"]
LayerKind = Literal["dense", "layernorm", "normalize"]
"""Both as sentence-transformers means them."""


@dataclass(frozen=True, slots=True)
class Prompts:
    """What stands before a question and before a passage; empty where the model wants nothing."""

    query: str = ""
    passage: str = ""


@dataclass(frozen=True, slots=True)
class Layer:
    """A step after pooling: `dense` and `layernorm` have weights in `directory`."""

    kind: LayerKind
    directory: Path


@dataclass(frozen=True, slots=True)
class Heads:
    """Files of BGE-M3's heads beside the dense one, each with `weight` and `bias` of a linear layer."""

    sparse: Path
    multi_vector: Path


@dataclass(frozen=True, slots=True)
class Model:
    """An embedding model on this machine, ready to be loaded."""

    name: str
    directory: Path
    revision: str
    """The hub's commit, or empty."""
    dimensions: int
    max_tokens: int
    """The longest input in tokens, special tokens and prompt included; the rest is cut off."""
    pooling: tuple[Pooling, ...]
    """Several are joined end to end."""
    include_prompt: bool
    """Whether the prompt's tokens are pooled too."""
    layers: tuple[Layer, ...]
    normalised: bool
    """Whether the model itself gives unit length. (Vectors from an `Embedder` always have it.)"""
    lower_case: bool
    prompts: Prompts
    fingerprint: str
    """Equal for two models only if they give the same vectors: weights, architecture, tokenizer, steps, prompts."""
    why: str
    """One line for a person: which model this is and why it was chosen."""
    heads: Heads | None = None
    """Where the model can score a passage by its tokens too. No vector depends on them."""
    splits_words: bool = False
    """Whether words are separated at white space before the rules of tokenizer.json.

    XLM-RoBERTa's tokenizer class does, as SentencePiece did, whatever that file says: no token for a blank at the end.
    """
    code: Code | None = None
    """The authors' code, where the architecture is theirs alone and the user trusts it."""


@dataclass(frozen=True, slots=True)
class Endpoint:
    """An embedding model that answers over HTTP. What it shares with `Model` means the same."""

    name: str
    """The provider and the model's name there: `openai:text-embedding-3-small`."""
    url: str
    """The base URL that is asked, such as http://localhost:8000/v1."""
    dimensions: int
    max_tokens: int
    """In the pieces of `pieces.py`, since the model's own tokenizer is not here."""
    prompts: Prompts
    asked_dimensions: int | None
    """Sent with every request; None asks for all."""
    typed: bool
    """Whether a request says `input_type`: some servers need it, a few refuse it."""
    known: tuple[bytes, bytes]
    """What the model gave for a known text as a question and as a passage: float16 of unit length."""
    origin: str
    """The base URL when the vectors of its index were begun; it belongs to the fingerprint."""
    fingerprint: str
    why: str
    revision: str = ""

    def kept(self) -> Mapping[str, Any]:
        """What an index keeps to find this very model again, in JSON's types; never the key."""
        query, passage = (base64.b64encode(vector).decode() for vector in self.known)
        return {
            "url": self.origin,
            "asked_dimensions": self.asked_dimensions,
            "max_tokens": self.max_tokens,
            "typed": self.typed,
            "prompts": [self.prompts.query, self.prompts.passage],
            "known": [query, passage],
        }


AnyModel = Model | Endpoint


def truncated(model: Model, dimensions: int | None) -> Model:
    """The model with only the first numbers of its vectors; with all of them it is the same model.

    Raises ModelError where it has not so many.
    """
    if dimensions is None or dimensions == model.dimensions:
        return model
    if dimensions > model.dimensions:
        raise ModelError(
            f"{model.name} gives {model.dimensions} dimensions, fewer than {dimensions}",
            f"--dimensions {model.dimensions} is the most",
        )
    fingerprint = hashlib.sha256(f"{model.fingerprint} {dimensions}".encode()).hexdigest()
    return replace(model, dimensions=dimensions, fingerprint=fingerprint)


PROMPTS_BY_AUTHORS: dict[str, Prompts] = {
    **dict.fromkeys(
        (
            "intfloat/multilingual-e5-small",
            "intfloat/multilingual-e5-base",
            "intfloat/multilingual-e5-large",
            "intfloat/e5-small-v2",
            "intfloat/e5-base-v2",
            "intfloat/e5-large-v2",
            "dragonkue/multilingual-e5-small-ko",
            "nlpai-lab/KoE5",
            "KU-HIAI-ONTHEIT/ontheit-large-v1",
            "KU-HIAI-ONTHEIT/ontheit-large-v1_1",
        ),
        Prompts("query: ", "passage: "),
    ),
    "intfloat/multilingual-e5-large-instruct": Prompts(
        "Instruct: Given a web search query, retrieve relevant passages that answer the query\nQuery: "
    ),
}
"""Prompts that a model card asks for. They count only where the model's own files name none."""


POOLING_BY_AUTHORS: dict[str, Pooling] = dict.fromkeys(
    (
        "BM-K/KoSimCSE-bert",
        "BM-K/KoSimCSE-bert-multitask",
        "BM-K/KoSimCSE-roberta",
        "BM-K/KoSimCSE-roberta-multitask",
    ),
    "cls",
)
"""What a model card computes with, for models that come without `modules.json`."""


def pooling_by_authors(name: str) -> Pooling | None:
    """The table's pooling, found as `prompts_by_authors` finds prompts."""
    return _by_name(POOLING_BY_AUTHORS, name)


def prompts_by_authors(name: str) -> Prompts | None:
    """The table's prompts for a hub name, or for a directory that is called like the hub name's last part."""
    return _by_name(PROMPTS_BY_AUTHORS, name)


def _by_name(table: Mapping[str, Value], name: str) -> Value | None:
    wanted = name.lower()
    for known, value in table.items():
        if wanted in (known.lower(), known.lower().rpartition("/")[2]):
            return value
    return None
