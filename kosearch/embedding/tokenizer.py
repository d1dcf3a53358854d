"""Text to token ids with the `tokenizers` library alone."""

from __future__ import annotations

import contextlib
import json
import re
from collections.abc import Iterator, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kosearch.embedding.checkpoint import read_json
from kosearch.embedding.models import AnyModel, Endpoint, Model
from kosearch.errors import ModelError
from kosearch.records import TokenOffsets

if TYPE_CHECKING:
    from tokenizers import Tokenizer


def load_tokenizer(model: Model) -> Tokenizer:
    """The model's tokenizer; it cuts a text after the model's length, and pads nothing."""
    from tokenizers import Tokenizer

    path = model.directory / "tokenizer.json"
    with _readable(path):
        return _prepared(Tokenizer.from_file(str(path)), model)


@contextlib.contextmanager
def _readable(path: Path) -> Iterator[None]:
    """What a tokenizer.json leads to that is none, as a ModelError: the library raises plain Exception, or panics."""
    try:
        yield
    except ModelError:
        raise
    except BaseException as error:
        if not isinstance(error, Exception) and type(error).__name__ != "PanicException":
            raise
        raise ModelError(f"{path} can't be read: {error!r:.200}", "fetch or copy the model again") from error


def token_offsets(model: AnyModel) -> TokenOffsets:
    """A function from a text, however long, to the spans of its tokens, or of what stands in for an endpoint's."""
    if isinstance(model, Endpoint):
        return estimated_offsets
    tokenizer = load_tokenizer(model)
    tokenizer.no_truncation()

    def offsets(text: str) -> Sequence[tuple[int, int]]:
        spans: list[tuple[int, int]] = tokenizer.encode(encodable(text), add_special_tokens=False).offsets
        return spans

    return offsets


def encodable(text: str) -> str:
    """The text with a question mark for each lone surrogate (bytes that were no UTF-8), which have no encoding."""
    return text.encode("utf-8", "replace").decode("utf-8")


class FewTokens:
    """The token ids of short texts, special tokens included, without loading a large vocabulary.

    A unigram vocabulary of 250,000 pieces takes half a second to load, and 270 MB. Which pieces a text becomes
    depends only on those that occur in it, so a tokenizer with these alone gives the same. Raises ModelError.
    """

    def __init__(self, model: Model) -> None:
        self._model = model
        self._path = model.directory / "tokenizer.json"

    def ids(self, texts: Sequence[str]) -> list[list[int]]:
        """The ids of each text. The first texts take .2 s longer than the next."""
        with _readable(self._path):
            return self._ids([encodable(text) for text in texts])

    def _ids(self, texts: Sequence[str]) -> list[list[int]]:
        from tokenizers import Tokenizer

        if not self._fits or any(token["content"] in text for token in self._added for text in texts):
            return [encoding.ids for encoding in self._whole.encode_batch(texts)]
        kept = self._pieces_within(texts)
        content = _reduced(self._content, kept) | {"normalizer": None}
        tokenizer = _prepared(Tokenizer.from_str(json.dumps(content)), self._model)
        tokenizer.normalizer = self._splitter.normalizer
        return [[kept[token] for token in encoding.ids] for encoding in tokenizer.encode_batch(texts)]

    @cached_property
    def _content(self) -> dict[str, Any]:
        content: dict[str, Any] = read_json(self._path)
        return content

    @property
    def _added(self) -> list[dict[str, Any]]:
        added: list[dict[str, Any]] = self._content.get("added_tokens", [])
        return added

    @cached_property
    def _fits(self) -> bool:
        """Whether the tokenizer is of the kind for it."""
        return (
            self._content["model"].get("type") == "Unigram"
            and not self._content["model"].get("byte_fallback")
            and (self._content.get("post_processor") or {}).get("type") == "TemplateProcessing"
            and not any(token["normalized"] for token in self._added)
        )

    @cached_property
    def _whole(self) -> Tokenizer:
        return load_tokenizer(self._model)

    @cached_property
    def _splitter(self) -> Tokenizer:
        """What normalises a text and cuts it into words, without pieces."""
        from tokenizers import Tokenizer

        nothing: dict[str, Any] = {
            "model": {"type": "WordLevel", "vocab": {}, "unk_token": ""},
            "added_tokens": [],
            "post_processor": None,
        }
        return _prepared(Tokenizer.from_str(json.dumps(self._content | nothing)), self._model)

    @cached_property
    def _numbers(self) -> dict[str, int]:
        """The id of each piece."""
        return {piece: number for number, (piece, _) in enumerate(self._content["model"]["vocab"])}

    @cached_property
    def _longest(self) -> int:
        return max(map(len, self._numbers))

    @cached_property
    def _always(self) -> set[int]:
        """Special pieces, and the rarest: its score decides what an unknown character costs."""
        vocabulary = self._content["model"]["vocab"]
        rarest = min(range(len(vocabulary)), key=lambda i: vocabulary[i][1])
        return {rarest, self._content["model"]["unk_id"], *(token["id"] for token in self._added)}

    def _pieces_within(self, texts: Sequence[str]) -> list[int]:
        """The ids of the pieces that can occur in the texts, ascending."""
        normaliser, splitter = self._splitter.normalizer, self._splitter.pre_tokenizer
        words = {
            word
            for text in texts
            for word, _ in splitter.pre_tokenize_str(normaliser.normalize_str(text) if normaliser else text)
        }
        parts = {
            word[start:end]
            for word in words
            for start in range(len(word))
            for end in range(start + 1, min(len(word), start + self._longest) + 1)
        }
        return sorted(self._always | {self._numbers[part] for part in parts if part in self._numbers})


def _prepared(tokenizer: Tokenizer, model: Model) -> Tokenizer:
    from tokenizers import normalizers, pre_tokenizers

    tokenizer.no_padding()
    if model.splits_words:
        own = [tokenizer.pre_tokenizer] if tokenizer.pre_tokenizer else []
        tokenizer.pre_tokenizer = pre_tokenizers.Sequence([pre_tokenizers.WhitespaceSplit(), *own])
    tokenizer.enable_truncation(model.max_tokens)
    if model.lower_case:
        steps = [normalizers.Lowercase(), *([tokenizer.normalizer] if tokenizer.normalizer else [])]
        tokenizer.normalizer = normalizers.Sequence(steps)
    return tokenizer


def _reduced(content: dict[str, Any], kept: list[int]) -> dict[str, Any]:
    """The tokenizer with these pieces alone, numbered anew."""
    new = {old: number for number, old in enumerate(kept)}
    model, template = content["model"], content["post_processor"]
    special = {
        token: {**entry, "ids": [new[old] for old in entry["ids"]]}
        for token, entry in template["special_tokens"].items()
    }
    return {
        **content,
        "added_tokens": [{**token, "id": new[token["id"]]} for token in content["added_tokens"]],
        "post_processor": {**template, "special_tokens": special},
        "model": {**model, "unk_id": new[model["unk_id"]], "vocab": [model["vocab"][old] for old in kept]},
    }


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
