"""What an embedding model is to kosearch, what authors ask for beside their files, and who answers over HTTP."""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal, TypeVar

from kosearch.errors import ModelError

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


HEAD_NAMES = ("sparse_linear", "colbert_linear")
"""What BGE-M3's files for sparse and multi-vector scores are called, before `.safetensors` or, upstream, `.pt`."""
SAME_COSINE = 0.999
"""The least cosine between two vectors that one model gave for a text. Half precision and batching keep .9999; another
model, coarser weights, or a wrong pooling, prompt or tokenizer stay below .99."""


@dataclass(frozen=True, slots=True)
class Heads:
    """Files of BGE-M3's heads beside the dense one, each with `weight` and `bias` of a linear layer."""

    sparse: Path
    multi_vector: Path


@dataclass(frozen=True, slots=True)
class RemoteCode:
    """A model's Python code that may be run: where the copy lies, the classes in it, and where it came from."""

    folder: Path
    config: str
    """`module.Class`, as `auto_map` names it."""
    model: str
    origin: str
    """The hub's repository and commit, or the hash."""


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
    cache_dir: Path = field(compare=False)
    """Where what was found out about its files is kept."""
    heads: Heads | None = None
    """Where the model can score a passage by its tokens too. No vector depends on them."""
    splits_words: bool = False
    """Whether words are separated at white space before the rules of tokenizer.json.

    XLM-RoBERTa's tokenizer class does, as SentencePiece did, whatever that file says: no token for a blank at the end.
    """
    code: RemoteCode | None = None
    """The authors' code, where the architecture is theirs alone and the user trusts it."""
    bases: tuple[str, ...] = ()
    """Fingerprints of the model below, where the last steps are a head (`head.py`) on its vectors."""


@dataclass(frozen=True, slots=True)
class Endpoint:
    """An embedding model that answers over HTTP. What it shares with `Model` means the same."""

    name: str
    """The provider and the model's name there: `openai:text-embedding-3-small`."""
    url: str
    """The base URL that is asked, such as http://localhost:8000/v1."""
    dimensions: int
    max_tokens: int
    """In pieces (`tokenizer.estimated_offsets`), since the model's own tokenizer is not here."""
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
    head: bytes = b""
    """Of a head behind it (`Head.packed`), which makes other vectors of its own; empty without."""
    bases: tuple[str, ...] = ()
    """As a model's: the fingerprint of the endpoint without the head."""

    def kept(self) -> Mapping[str, Any]:
        """What an index keeps to find this very model again, in JSON's types; never the key."""
        query, passage, head = (base64.b64encode(one).decode() for one in (*self.known, self.head))
        kept = {
            "url": self.origin,
            "asked_dimensions": self.asked_dimensions,
            "max_tokens": self.max_tokens,
            "typed": self.typed,
            "prompts": [self.prompts.query, self.prompts.passage],
            "known": [query, passage],
        }
        return {**kept, "head": head} if head else kept


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
    return replace(model, dimensions=dimensions, fingerprint=fingerprint, bases=())


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


# The models that kosearch knows by name: facts about them, before anything is fetched.
#
# Scores are those of the AutoRAG benchmark (114 Korean questions, 720 pages) in the model card of
# https://huggingface.co/dragonkue/BGE-m3-ko. The other facts are those of each model's own card and files; what
# none of them states is None.


@dataclass(frozen=True, slots=True)
class Known:
    """A model that can be had, and what is known of it."""

    name: str
    """What `--model` takes."""
    dimensions: int
    max_tokens: int | None
    parameters: int | None = None
    """In millions, by the sizes in `config.json`."""
    licence: str | None = None
    languages: str | None = None
    prompts: Prompts | None = None
    """None where the model's own files decide, or the service."""
    scores: Mapping[str, float] = field(default_factory=dict)
    """Recall@k → the card's figure; empty where the card has none."""
    matryoshka: bool = False
    """Whether it was trained so that the first dimensions of a vector can stand for all."""
    note: str = ""
    """What else it takes to use it."""


def _recall(*values: float) -> dict[str, float]:
    return dict(zip(("Recall@1", "Recall@3", "Recall@5", "Recall@10"), values, strict=True))


_KOREAN, _BOTH, _HUNDRED = "Korean", "Korean, English", "more than 100"
_SERVICE = "an endpoint: texts leave this machine"
_NONE = Prompts()
_E5 = PROMPTS_BY_AUTHORS["intfloat/multilingual-e5-small"]
_INSTRUCT = PROMPTS_BY_AUTHORS["intfloat/multilingual-e5-large-instruct"]

CATALOG: tuple[Known, ...] = (
    Known("bundled", 384, 512, 118, "MIT", "94", _E5, note="multilingual-e5-small in 4 bits, comes with kosearch"),
    Known(
        *("dragonkue/BGE-m3-ko", 1024, 8192, 568, "Apache-2.0", _BOTH, _NONE),
        _recall(0.7456, 0.9035, 0.9298, 0.9736),
    ),
    Known("BAAI/bge-m3", 1024, 8192, 568, "MIT", _HUNDRED, _NONE, _recall(0.6578, 0.8508, 0.9123, 0.9386)),
    Known("upskyy/bge-m3-korean", 1024, 8192, 568, None, _KOREAN, _NONE, _recall(0.5351, 0.7368, 0.7982, 0.8684)),
    Known("nlpai-lab/KoE5", 1024, 512, 560, "MIT", _BOTH, _E5, _recall(0.7018, 0.8509, 0.8947, 0.9211)),
    Known(
        *("KU-HIAI-ONTHEIT/ontheit-large-v1", 1024, 512, 560, None, _KOREAN, _E5),
        _recall(0.7105, 0.8772, 0.9123, 0.9386),
    ),
    Known(
        *("KU-HIAI-ONTHEIT/ontheit-large-v1_1", 1024, 512, 560, None, _KOREAN, _E5),
        _recall(0.7193, 0.8860, 0.9298, 0.9474),
    ),
    Known(
        *("intfloat/multilingual-e5-large-instruct", 1024, 512, 560, "MIT", "94", _INSTRUCT),
        _recall(0.4649, 0.6667, 0.7632, 0.8158),
    ),
    Known(
        *("sentence-transformers/paraphrase-multilingual-mpnet-base-v2", 768, 128, 278, "Apache-2.0", "50", _NONE),
        _recall(0.3596, 0.4737, 0.5439, 0.6667),
    ),
    Known(
        *("sentence-transformers/paraphrase-multilingual-MiniLM-L12-v2", 384, 128, 118, "Apache-2.0", "50", _NONE),
        _recall(0.2982, 0.4123, 0.4912, 0.5789),
    ),
    Known("BM-K/KoSimCSE-roberta", 768, 512, 111, None, _KOREAN, _NONE, _recall(0.4298, 0.6053, 0.6491, 0.7281)),
    Known("jhgan/ko-sroberta-multitask", 768, 128, 111, None, _KOREAN, _NONE, _recall(0.4211, 0.5877, 0.6491, 0.7018)),
    Known(
        "upskyy/kf-deberta-multitask", 768, None, None, None, _KOREAN, _NONE, _recall(0.4561, 0.6316, 0.6842, 0.7632)
    ),
    Known(
        *("Alibaba-NLP/gte-multilingual-base", 768, 8192, 305, "Apache-2.0", "more than 70", _NONE),
        _recall(0.5877, 0.8070, 0.8772, 0.9211),
        matryoshka=True,
        note="runs its authors' code: needs --trust-remote-code",
    ),
    Known(
        *("openai:text-embedding-ada-002", 1536, 8191),
        scores=_recall(0.4737, 0.7105, 0.7807, 0.8596),
        note=_SERVICE,
    ),
    Known(
        *("openai:text-embedding-3-small", 1536, 8191),
        scores=_recall(0.5439, 0.7281, 0.8070, 0.8509),
        matryoshka=True,
        note=_SERVICE,
    ),
    Known(
        *("openai:text-embedding-3-large", 3072, 8191),
        scores=_recall(0.6053, 0.7895, 0.8421, 0.9035),
        matryoshka=True,
        note=_SERVICE,
    ),
    Known(
        *("upstage:solar-embedding-1-large", 4096, 4000),
        scores=_recall(0.6579, 0.8421, 0.8947, 0.9386),
        note=_SERVICE,
    ),
    Known(
        *("cohere:embed-multilingual-v3.0", 1024, 512),
        languages=_HUNDRED,
        scores=_recall(0.3596, 0.5702, 0.6491, 0.7281),
        note=_SERVICE,
    ),
)
"""In the order of the card's families; the first is the default."""


def known(name: str) -> Known | None:
    """What is known of a model, by any name that finds it: upper and lower case are the same to the hub."""
    wanted = {name.lower(), f"sentence-transformers/{name}".lower()}
    return next((one for one in CATALOG if one.name.lower() in wanted), None)


# Who answers over HTTP, and where.


@dataclass(frozen=True, slots=True)
class Provider:
    """One protocol, and who is known to speak it."""

    url: str
    """Where its inventor answers."""
    path: str
    """What follows the base URL."""
    key: str
    """The environment variable that holds the key."""
    most_texts: int
    """Texts in one request."""
    lengths: Mapping[str, int] = field(default_factory=dict)
    """Known models and the tokens of their longest input, as a multilingual tokenizer counts them."""


PROVIDERS: Mapping[str, Provider] = {
    # https://platform.openai.com/docs/api-reference/embeddings. OpenAI takes 2,048 texts, but text-embeddings-inference
    # takes 32, and so many are enough. OpenAI's tokenizer makes twice as many tokens of Korean as those of others.
    "openai": Provider(
        "https://api.openai.com/v1",
        "/embeddings",
        "OPENAI_API_KEY",
        32,
        dict.fromkeys(("text-embedding-3-small", "text-embedding-3-large", "text-embedding-ada-002"), 8191 // 2),
    ),
    # https://console.upstage.ai/docs/capabilities/embed: OpenAI's protocol, and one model for each side.
    "upstage": Provider(
        "https://api.upstage.ai/v1",
        "/embeddings",
        "UPSTAGE_API_KEY",
        32,
        dict.fromkeys(("embedding", "solar-embedding-1-large"), 4000),
    ),
    # https://docs.cohere.com/reference/embed
    "cohere": Provider(
        "https://api.cohere.com/v2",
        "/embed",
        "COHERE_API_KEY",
        96,
        {
            **dict.fromkeys(("embed-multilingual-v3.0", "embed-multilingual-light-v3.0"), 512),
            **dict.fromkeys(("embed-english-v3.0", "embed-english-light-v3.0"), 512),
            "embed-v4.0": 128_000,
        },
    ),
}

KEY = "KOSEARCH_API_KEY"
"""The variable whose key goes to any endpoint, before the provider's own."""


def is_remote(name: str) -> bool:
    """Whether a model's name stands for an endpoint."""
    kind, colon, model = name.partition(":")
    return bool(colon and model) and kind in PROVIDERS


# Lengths of texts where the model's tokenizer is not at hand: pieces that stand in for tokens.
#
# A piece is two syllables of Hangul, two digits, four Latin letters, or one other character. On the five collections of
# the README a text of 320 pieces has 1.1 to 1.2 tokens of XLM-RoBERTa's tokenizer a piece in Korean, .8 in English, and
# 1.51 at most (`python -m tests.benchmarks.pieces`).

TOKENS_PER_PIECE = 1.6
"""The bound for tokenizers made for many languages, which those of Korean models stay below too."""

_PIECE = re.compile(r"[가-힣]{1,2}|[0-9]{1,2}|[A-Za-z]{1,4}|\S")


def estimated_offsets(text: str) -> Sequence[tuple[int, int]]:
    """The span of each piece, in order."""
    return [piece.span() for piece in _PIECE.finditer(text)]


def estimated_length(text: str) -> int:
    """How many pieces a text has."""
    return sum(1 for _ in _PIECE.finditer(text))


def cut_to_estimate(text: str, most: int) -> str:
    """The text up to the end of its last piece that is allowed."""
    for number, piece in enumerate(_PIECE.finditer(text), 1):
        if number == most:
            return text[: piece.end()]
    return text
