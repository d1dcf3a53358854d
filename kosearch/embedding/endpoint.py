"""Embedding over HTTP: what an index must know of an endpoint, and an `Embedder` that asks it."""

from __future__ import annotations

import base64
import hashlib
import json
import os
import re
import threading
import urllib.parse
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from kosearch.embedding.head import Head
from kosearch.embedding.http_client import HttpClient, Refused, RetryPolicy, is_loopback
from kosearch.embedding.models import (
    KEY,
    PROVIDERS,
    SAME_COSINE,
    TOKENS_PER_PIECE,
    Endpoint,
    Prompts,
    cut_to_estimate,
    estimated_length,
)
from kosearch.embedding.tokens import encodable
from kosearch.errors import ConfigError, IndexDamaged, IndexMismatch, IndexStateError, ModelError

if TYPE_CHECKING:
    from kosearch.records import Vectors

_KNOWN_TEXT = "사용하지 않은 연차 휴가는 다음 해로 이월할 수 있다. Unused leave carries over."
"""What every endpoint is asked for before its vectors meet older ones."""
_ASSUMED_TOKENS = 512
"""The longest input of a model that nobody knows, unless the user asks for longer passages."""
_MOST_DIMENSIONS = 65_536
"""Of a vector whose length is not known yet: what settings allow."""
_AT_ONCE = 4
"""Requests under way at the same time."""
_MOST_PIECES = 6144
"""In one request, which is some 8,000 tokens."""

_MEETING = RetryPolicy(tries=3, seconds=60.0)
"""A server may have to load the model first."""
_ASKING = RetryPolicy(tries=3, seconds=20.0)
_FILING = RetryPolicy(tries=6, seconds=120.0, pause=1.0)
"""Half a minute of pauses in all: time for a server to start again."""


def meet(
    name: str,
    *,
    url: str | None = None,
    dimensions: int | None = None,
    prompts: Prompts | None = None,
    tokens: int | None = None,
) -> Endpoint:
    """Ask an endpoint for a known text, and learn from its answer all that an index must know of it.

    `url` defaults to the provider's own; `tokens` is how long texts will be, where the user knows better than to
    expect what is usual. Raises ModelError where the endpoint cannot be used, ConfigError for a key that is missing.
    """
    kind, model = split(name)
    url = _based(kind, url or PROVIDERS[kind].url)
    host = urllib.parse.urlsplit(url).hostname or ""
    length = PROVIDERS[kind].lengths.get(model)
    assumed = max(int(_ASSUMED_TOKENS / TOKENS_PER_PIECE), tokens or 0)
    longest = tokens or _ASSUMED_TOKENS
    first = Endpoint(
        name=name,
        url=url,
        dimensions=0,
        max_tokens=int(length / TOKENS_PER_PIECE) if length else assumed,
        prompts=prompts or Prompts(),
        asked_dimensions=dimensions,
        # OpenAI's own service knows no such field, and says so.
        typed=kind == "openai" and not host.endswith((".openai.com", ".openai.azure.com")),
        known=(b"", b""),
        origin=url,
        fingerprint="",
        why=_why(name, url),
    )
    try:
        return _met(first, longest)
    except Refused as refusal:
        if not first.typed:
            raise _refusal(first, str(refusal)) from refusal
    untyped = replace(first, typed=False)
    try:
        return _met(untyped, longest)
    except Refused as refusal:
        raise _refusal(untyped, str(refusal)) from refusal


def recall(
    name: str, kept: Mapping[str, Any], dimensions: int, url: str | None = None, *, own: bool = False
) -> Endpoint:
    """The endpoint that an index was made with, from what it kept; nothing is asked yet.

    With `url`, the same model is asked at another place, and the known text tells whether it is the same. Raises
    IndexStateError where only an index that is not the user's `own` says which place that is.
    """
    kind, _ = split(name)
    named = _based(kind, url) if url else None
    try:
        if not re.fullmatch(r"https?://[^\s/?#@]+(/[^\s?#]*)?", kept["url"]):
            raise ValueError("no URL")
        _based(kind, kept["url"])
        query, passage = (base64.b64decode(text) for text in kept["known"])
        prompts = Prompts(*kept["prompts"])
        asked = permitted(kept["url"], named, own=own)
        head = base64.b64decode(kept.get("head", ""))
        if head:
            Head.unpacked(head, dimensions)
        return _named(
            Endpoint(
                name=name,
                url=asked,
                dimensions=dimensions,
                max_tokens=kept["max_tokens"],
                prompts=prompts,
                asked_dimensions=kept["asked_dimensions"],
                typed=kept["typed"],
                known=(query, passage),
                origin=kept["url"],
                fingerprint="",
                why=_why(name, asked, head),
                head=head,
            )
        )
    except (ConfigError, LookupError, TypeError, ValueError) as error:
        raise IndexDamaged(f"what the index kept of {name} is no endpoint", "run: kosearch check") from error


def with_head(model: Endpoint, head: Head) -> Endpoint:
    """The endpoint with a head behind it: texts go where they went, and vectors are others."""
    packed = head.packed()
    why = _why(model.name, model.url, packed)
    return _named(replace(model, head=packed, bases=(model.fingerprint,), why=why))


class EndpointEmbedder:
    """An `Embedder` that asks an endpoint. The first texts of each kind go together with the known one."""

    def __init__(self, model: Endpoint) -> None:
        """Raises ConfigError for a key that is missing."""
        self.model = model
        kind, _ = split(model.name)
        self._most_texts = PROVIDERS[kind].most_texts
        self._head = Head.unpacked(model.head, model.dimensions) if model.head else None
        _, self._client = http_client(kind, model.url, PROVIDERS[kind].path)
        self._checked: set[Side] = set()

    def embed_passages(self, texts: Sequence[str], progress: Callable[[int], None] | None = None) -> Vectors:
        """float32, (len(texts), model.dimensions), unit length. Without texts, the known one alone is checked.

        Raises ModelError, and IndexMismatch where the known text has another vector than it had.
        """
        return self._embed("passage", [self.model.prompts.passage + text for text in texts], _FILING, progress)

    def embed_queries(self, texts: Sequence[str]) -> Vectors:
        """The same for questions; one longer than the model reads is cut off at its end."""
        cut = [cut_to_estimate(self.model.prompts.query + text, self.model.max_tokens) for text in texts]
        return self._embed("query", cut, _ASKING, None)

    def raw(
        self, texts: Sequence[str], side: Side, policy: RetryPolicy, stop: threading.Event | None = None
    ) -> Vectors:
        """The vectors of one request, of whatever width. Raises Refused and ModelError."""
        model = self.model
        body = request_body(
            model.name,
            [encodable(text) or " " for text in texts],  # an empty text is refused by most
            side,
            dimensions=model.asked_dimensions,
            typed=model.typed,
        )
        answer = self._client.post(
            body, policy, stop or threading.Event(), most_numbers=len(texts) * (model.dimensions or _MOST_DIMENSIONS)
        )
        try:
            vectors = np.array(answered_vectors(model.name, answer, len(texts)), dtype=np.float32)
            if vectors.ndim != 2 or not vectors.shape[1]:
                raise TypeError("not lists of numbers")
            if not np.isfinite(vectors).all():
                raise ValueError("it holds numbers that are none (NaN or infinite)")
            lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
            if not lengths.all():
                raise ValueError("it holds a vector of zeros")
        except (ValueError, TypeError, OverflowError) as error:
            raise ModelError(
                f"the answer of {model.url} is no use: {_reason(error)}", f"see that {model.name} embeds text there"
            ) from error
        unit: Vectors = vectors / lengths
        return unit

    def close(self) -> None:
        """Close the connections."""
        self._client.close()

    def _embed(
        self, side: Side, texts: Sequence[str], policy: RetryPolicy, progress: Callable[[int], None] | None
    ) -> Vectors:
        check = side not in self._checked
        asked = [_KNOWN_TEXT, *texts] if check else list(texts)
        groups = list(self._groups(asked))
        parts: list[Vectors] = []
        stop = threading.Event()

        def ask(group: list[str]) -> Vectors:
            return self._asked(group, side, policy, stop)

        with ThreadPoolExecutor(_AT_ONCE) as pool:
            try:
                for group, part in zip(groups, pool.map(ask, groups), strict=True):
                    if check and not parts:
                        self._check(side, part[0])
                    parts.append(part)
                    if progress:
                        progress(len(group) - (check and len(parts) == 1))
            except BaseException:
                self._client.abandon(stop)  # or leaving would wait for every answer
                raise
        together = np.concatenate(parts) if parts else np.empty((0, self.model.dimensions), np.float32)
        vectors = together[1:] if check else together
        return self._head(vectors) if self._head else vectors

    def _groups(self, texts: Sequence[str]) -> Iterator[list[str]]:
        """The texts in their order, as many at a time as one request takes."""
        group: list[str] = []
        size = 0
        for text in texts:
            length = estimated_length(text)
            if group and (len(group) == self._most_texts or size + length > _MOST_PIECES):
                yield group
                group, size = [], 0
            group.append(text)
            size += length
        if group:
            yield group

    def _asked(self, texts: list[str], side: Side, policy: RetryPolicy, stop: threading.Event) -> Vectors:
        """The vectors of one group; what is refused together is tried in halves, since a server may take fewer."""
        try:
            vectors = self.raw(texts, side, policy, stop)
        except Refused as refusal:
            if len(texts) == 1:
                raise _refusal(self.model, str(refusal), estimated_length(texts[0])) from refusal
            half = len(texts) // 2
            halves = [self._asked(part, side, policy, stop) for part in (texts[:half], texts[half:])]
            return np.concatenate(halves)
        if vectors.shape[1] != self.model.dimensions:
            raise IndexMismatch(
                f"{self.model.name} at {self.model.url} gives {vectors.shape[1]} dimensions, and the index was made "
                f"with {self.model.dimensions}",
                _ANEW,
            )
        return vectors

    def _check(self, side: Side, vector: Vectors) -> None:
        """See that the known text has the vector that it had."""
        then = _unpacked(self.model.known[side == "passage"])
        if (cosine := float(vector @ then)) < SAME_COSINE:
            raise IndexMismatch(
                f"{self.model.name} at {self.model.url} gives other vectors than those in the index: the same text has "
                f"cosine {cosine:.3f}, and {SAME_COSINE} is the least",
                _ANEW,
            )
        self._checked.add(side)


_ANEW = "name the model that made it with --endpoint, or make another index: kosearch index --index NAME PATH"


def _met(model: Endpoint, longest: int) -> Endpoint:
    """The endpoint with what its first answers tell. Raises Refused, ModelError."""
    embedder = EndpointEmbedder(model)
    try:
        query = embedder.raw([_KNOWN_TEXT], "query", _MEETING)[0]
        passage = embedder.raw([_KNOWN_TEXT], "passage", _MEETING)[0]
        _send_long(embedder, min(model.max_tokens, longest))
    finally:
        embedder.close()
    if len(query) != len(passage):
        raise ModelError(
            f"{model.url} gives {len(query)} dimensions for questions and {len(passage)} for passages",
            "name a model whose questions and passages can be compared",
        )
    if model.asked_dimensions not in (None, len(query)):
        raise ModelError(
            f"{model.name} at {model.url} gives {len(query)} dimensions, whatever is asked for",
            "leave --dimensions out",
        )
    return _named(replace(model, dimensions=len(query), known=(_packed(query), _packed(passage))))


def _packed(vector: Vectors) -> bytes:
    return vector.astype("<f2").tobytes()


def _unpacked(stored: bytes) -> Vectors:
    vector = np.frombuffer(stored, "<f2").astype(np.float32)
    unit: Vectors = vector / np.linalg.norm(vector)
    return unit


def _reason(error: Exception) -> str:
    """Why an answer is no use; numpy's own words say nothing to a user."""
    own = isinstance(error, ValueError) and str(error).startswith("it")
    return str(error) if own else "its vectors are not lists of numbers, all of one length"


def _send_long(embedder: EndpointEmbedder, length: int) -> None:
    """See that the endpoint takes texts as long as passages will be. Raises ModelError."""
    text = cut_to_estimate(_KNOWN_TEXT * (1 + length // estimated_length(_KNOWN_TEXT)), length)
    try:
        embedder.raw([text], "passage", _MEETING)
    except Refused as refusal:
        raise _refusal(embedder.model, str(refusal), length) from refusal


def _named(model: Endpoint) -> Endpoint:
    """The endpoint with its fingerprint."""
    content = [model.name, model.origin, model.dimensions, model.asked_dimensions, model.typed]
    content += [model.prompts.query, model.prompts.passage]
    if model.head:
        content.append(hashlib.sha256(model.head).hexdigest())
    return replace(model, fingerprint=hashlib.sha256(json.dumps(content).encode()).hexdigest())


def _refusal(model: Endpoint, said: str, length: int = 0) -> ModelError:
    if length:
        return ModelError(
            f"{model.url} refuses a text of {length} pieces: {said}",
            "if it is too long, make an index with shorter passages: kosearch index --index NAME --passage-tokens N",
        )
    return ModelError(f"{model.url} refuses to embed: {said}", f"see that {model.name} is an embedding model there")


def http_client(kind: str, url: str | None, path: str) -> tuple[str, HttpClient]:
    """The base URL of a provider, or of who speaks its protocol at `url`, and what posts to a path of it.

    Raises ConfigError for a URL that is none and a key that is missing.
    """
    based = _based(kind, url or PROVIDERS[kind].url, path)
    return based, HttpClient(based + path, *_key(kind, based))


def _key(kind: str, url: str) -> tuple[str | None, str]:
    """The key for an endpoint, where there is one, and the variable that is meant to hold it.

    Raises ConfigError for a provider's own service without a key.
    """
    provider = PROVIDERS[kind]
    key = os.environ.get(KEY) or os.environ.get(provider.key)
    if key is None and url == provider.url:
        raise ConfigError(f"{url} needs a key, and {provider.key} is not set", f"export {provider.key}=…")
    if key is not None and not (key.isascii() and key.isprintable()):
        raise ConfigError("the key for the endpoint has characters that no key has", f"set {provider.key} again")
    return key, provider.key if url == provider.url else f"{provider.key} or {KEY}"


def _based(kind: str, url: str, path: str = "") -> str:
    """The base URL: without the path that the protocol appends itself, and with the usual /v1 where there is none."""
    url = url.rstrip("/").removesuffix(path or PROVIDERS[kind].path)
    try:
        parts = urllib.parse.urlsplit(url)
        parts.port  # noqa: B018 - raises for one that there is not
    except ValueError as error:
        raise ConfigError(f"{url} is no URL: {error}", "name one such as http://localhost:8000/v1") from error
    return url if parts.path else url + urllib.parse.urlsplit(PROVIDERS[kind].url).path


def _why(name: str, url: str, head: bytes = b"") -> str:
    kind, _ = split(name)
    behind = " with a head behind it" if head else ""
    why = f"{name} at {url}{behind}, where all text of passages and questions is sent"
    has_key = os.environ.get(KEY) or os.environ.get(PROVIDERS[kind].key)
    if has_key and url.startswith("http:") and not is_loopback(url):
        why += "; so is the key, unencrypted"
    return why


Side = Literal["query", "passage"]


# What a request says, and what its answer must hold.


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


def request_body(
    name: str, texts: Sequence[str], side: Side, *, dimensions: int | None, typed: bool
) -> Mapping[str, Any]:
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


def answered_vectors(name: str, answer: Any, count: int) -> list[list[float]]:
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
