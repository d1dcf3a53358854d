"""Text to token ids with the `tokenizers` library alone."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from kosearch.embedding.model import Model
from kosearch.errors import ModelError
from kosearch.records import TokenOffsets

if TYPE_CHECKING:
    from tokenizers import Tokenizer


def load_tokenizer(model: Model) -> Tokenizer:
    """The model's tokenizer; it cuts a text after the model's length, and pads nothing."""
    from tokenizers import Tokenizer

    path = model.directory / "tokenizer.json"
    try:
        tokenizer = Tokenizer.from_file(str(path))
    except Exception as error:  # the library raises plain Exception for a file it can't read
        raise ModelError(f"{path} can't be read: {error}", "fetch or copy the model again") from error
    return _prepared(tokenizer, model)


def token_offsets(model: Model) -> TokenOffsets:
    """A function from a text, however long, to the spans of its tokens."""
    tokenizer = load_tokenizer(model)
    tokenizer.no_truncation()

    def offsets(text: str) -> Sequence[tuple[int, int]]:
        spans: list[tuple[int, int]] = tokenizer.encode(encodable(text), add_special_tokens=False).offsets
        return spans

    return offsets


def encodable(text: str) -> str:
    """The text with a question mark for each lone surrogate (bytes that were no UTF-8), which have no encoding."""
    return text.encode("utf-8", "replace").decode("utf-8")


def ids_of_few(model: Model, texts: Sequence[str]) -> list[list[int]]:
    """The token ids of some short texts, special tokens included, without loading a large vocabulary.

    A unigram vocabulary of 250,000 pieces takes half a second to load. Which pieces a text becomes depends
    only on those that occur in it, so a tokenizer with these alone gives the same.
    """
    from tokenizers import Tokenizer

    try:
        content = json.loads((model.directory / "tokenizer.json").read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ModelError(
            f"{model.directory / 'tokenizer.json'} can't be read: {error}", "fetch or copy the model again"
        ) from error
    texts = [encodable(text) for text in texts]
    kept = _pieces_within(content, model, texts)
    if kept is None:
        return [encoding.ids for encoding in load_tokenizer(model).encode_batch(texts)]
    tokenizer = _prepared(Tokenizer.from_str(json.dumps(_reduced(content, kept))), model)
    return [[kept[token] for token in encoding.ids] for encoding in tokenizer.encode_batch(texts)]


def _prepared(tokenizer: Tokenizer, model: Model) -> Tokenizer:
    from tokenizers import normalizers

    tokenizer.no_padding()
    tokenizer.enable_truncation(model.max_tokens)
    if model.lower_case:
        steps = [normalizers.Lowercase(), *([tokenizer.normalizer] if tokenizer.normalizer else [])]
        tokenizer.normalizer = normalizers.Sequence(steps)
    return tokenizer


def _pieces_within(content: dict[str, Any], model: Model, texts: Sequence[str]) -> list[int] | None:
    """The ids of the pieces that can occur in the texts; None where the tokenizer is not of the kind for it."""
    from tokenizers import Tokenizer

    vocabulary, added = content["model"].get("vocab"), content.get("added_tokens", [])
    if (
        content["model"].get("type") != "Unigram"
        or content["model"].get("byte_fallback")
        or (content.get("post_processor") or {}).get("type") != "TemplateProcessing"
        or any(token["content"] in text or token["normalized"] for token in added for text in texts)
    ):
        return None
    without_pieces = {**content, "model": {"type": "WordLevel", "vocab": {}, "unk_token": ""}, "added_tokens": []}
    splitter = _prepared(Tokenizer.from_str(json.dumps(without_pieces | {"post_processor": None})), model)
    words = {
        word
        for text in texts
        for word, _ in splitter.pre_tokenizer.pre_tokenize_str(
            splitter.normalizer.normalize_str(text) if splitter.normalizer else text
        )
    }
    longest = max(len(piece) for piece, _ in vocabulary)
    parts = {
        word[start:end]
        for word in words
        for start in range(len(word))
        for end in range(start + 1, min(len(word), start + longest) + 1)
    }
    # The rarest piece's score decides what an unknown character costs.
    rarest = min(range(len(vocabulary)), key=lambda i: vocabulary[i][1])
    always = {rarest, content["model"]["unk_id"], *(token["id"] for token in added)}
    return sorted(always | {i for i, (piece, _) in enumerate(vocabulary) if piece in parts})


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
