"""The protocols that an endpoint may speak: where it answers, what a request says, and what its answer must hold."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from kosearch.errors import IndexStateError

Side = Literal["query", "passage"]


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


def split(name: str) -> tuple[str, str]:
    """The kind and the model's name there, without what tells Upstage's two models apart."""
    kind, _, model = name.partition(":")
    if kind == "upstage":
        model = model.removesuffix("-query").removesuffix("-passage")
    return kind, model


def permitted(stored: str, named: str | None, *, own: bool) -> str:
    """Where text and key may go: the URL that this user named, or the one stored in an index of their own.

    What stands in an index of somebody else's is that other's choice. Raises IndexStateError.
    """
    if named is None and not own:
        raise IndexStateError(
            f"nothing is sent to {stored}: it stands in an index that was not made by you on this machine",
            "take the index over, if you trust it: kosearch indexes adopt NAME",
        )
    return named or stored


def request(name: str, texts: Sequence[str], side: Side, *, dimensions: int | None, typed: bool) -> Mapping[str, Any]:
    """The body that asks for the texts' vectors."""
    kind, model = split(name)
    if kind == "cohere":
        size = {"output_dimension": dimensions} if dimensions else {}
        use = "search_query" if side == "query" else "search_document"
        body = {"model": model, "texts": list(texts), "input_type": use, "embedding_types": ["float"]}
        return {**body, "truncate": "END", **size}
    if kind == "upstage":
        model = f"{model}-{side}"
    said = {"input_type": side} if typed else {}
    size = {"dimensions": dimensions} if dimensions else {}
    return {"model": model, "input": list(texts), **said, **size}


def vectors(name: str, answer: Any, count: int) -> list[list[float]]:
    """The vectors of an answer, in the order of the texts. Raises ValueError, which says what is wrong with it."""
    try:
        if name.startswith("cohere:"):
            found = list(answer["embeddings"]["float"])
        else:
            placed = {one.get("index", place): one["embedding"] for place, one in enumerate(answer["data"])}
            if len(placed) != len(answer["data"]) or placed.keys() - range(len(placed)):
                raise ValueError("its indexes are not those of the texts")
            found = [placed[place] for place in range(len(placed))]
    except (KeyError, TypeError, AttributeError) as error:
        raise ValueError("it holds no embeddings") from error
    if len(found) != count:
        raise ValueError(f"it holds {len(found)} vectors for {count} texts")
    return found


def complaint(answer: Any) -> str:
    """What a server says is wrong, from the forms in which servers say it."""
    for key in ("error", "message", "detail"):
        if isinstance(answer, dict) and answer.get(key):
            return complaint(answer[key])
    return answer if isinstance(answer, str) else ""
