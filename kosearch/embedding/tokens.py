"""Texts into token ids, and the places of tokens in a text, with the `tokenizers` library alone: no numpy, no torch."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator, Sequence
from functools import cached_property, lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kosearch.embedding.checkpoint import cached_fact, read_json
from kosearch.embedding.models import AnyModel, Endpoint, Model, estimated_offsets
from kosearch.errors import ModelError
from kosearch.records import TokenCounter, TokenOffsets

if TYPE_CHECKING:
    from tokenizers import Tokenizer


def load_tokenizer(model: Model) -> Tokenizer:
    """The model's tokenizer; it cuts a text after the model's length, and pads nothing."""
    from tokenizers import Tokenizer

    path = model.directory / "tokenizer.json"
    with readable_tokenizer(path):
        return prepared_tokenizer(Tokenizer.from_file(str(path)), model)


@contextlib.contextmanager
def readable_tokenizer(path: Path) -> Iterator[None]:
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
    """A function from a text, however long, to the spans of its tokens, or of what stands in for an endpoint's.

    It loads nothing before the first text, and a large vocabulary as a whole only once that costs less.
    """
    return estimated_offsets if isinstance(model, Endpoint) else _Offsets(model)


def token_counter(model: AnyModel) -> TokenCounter:
    """The same for the number of tokens of each of a few short texts. A large vocabulary is never loaded as a whole.

    Raises ModelError where the tokenizer can't be read, at the first text.
    """
    if isinstance(model, Endpoint):
        return lambda texts: [len(estimated_offsets(text)) for text in texts]
    return few_tokens(model).counts


_FEW_CHARACTERS = 50_000
"""By the pieces that occur in it a text takes 5 ms longer for each 1,000 characters than by the whole vocabulary of
250,000, which takes half a second to a second to load, and 280 MB."""


class _Offsets:
    """The spans of a text's tokens; may be called from any thread."""

    def __init__(self, model: Model) -> None:
        self._few = few_tokens(model)
        self._seen = 0

    def __call__(self, text: str) -> Sequence[tuple[int, int]]:
        self._seen += len(text)
        return self._few.offsets(encodable(text), whole=self._seen > _FEW_CHARACTERS)


def encodable(text: str) -> str:
    """The text with a question mark for each lone surrogate (bytes that were no UTF-8), which have no encoding."""
    return text.encode("utf-8", "replace").decode("utf-8")


def prepared_tokenizer(tokenizer: Tokenizer, model: Model) -> Tokenizer:
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


# Token ids of few texts, without loading a large vocabulary.


@lru_cache(maxsize=2)
def few_tokens(model: Model) -> FewTokens:
    """The token ids of the model's short texts; kept, for embedding a question and mending its slips read the same."""
    return FewTokens(model)


class FewTokens:
    """The token ids of short texts, special tokens included, without loading a large vocabulary.

    A unigram vocabulary of 250,000 pieces takes half a second to load, and 270 MB. Which pieces a text becomes
    depends only on those that occur in it, so a tokenizer with these alone gives the same. They are found in a copy of
    the vocabulary on lines, made once, which is read in a tenth of the time that its JSON takes. Raises ModelError.
    """

    def __init__(self, model: Model) -> None:
        self._model = model
        self._path = model.directory / "tokenizer.json"

    def ids(self, texts: Sequence[str]) -> list[list[int]]:
        """The ids of each text. The first texts take some .05 s longer than the next."""
        with readable_tokenizer(self._path):
            return self._ids([encodable(text) for text in texts])

    def counts(self, texts: Sequence[str]) -> list[int]:
        """Into how many tokens each text falls, special tokens not counted."""
        *each, special = map(len, self.ids([*texts, ""]))
        return [one - special for one in each]

    def offsets(self, text: str, *, whole: bool) -> Sequence[tuple[int, int]]:
        """The spans of a text's tokens, however long, without special ones; `whole`: by the whole vocabulary.

        Of long texts that is soonest once it is loaded.
        """
        with readable_tokenizer(self._path):
            if whole or not self._serves([text]):
                tokenizer = self._whole_uncut
            else:
                tokenizer, _ = self._by_pieces([text])
                tokenizer.no_truncation()
            spans: list[tuple[int, int]] = tokenizer.encode(text, add_special_tokens=False).offsets
            return spans

    def _ids(self, texts: Sequence[str]) -> list[list[int]]:
        if not self._serves(texts):
            return [encoding.ids for encoding in self._whole.encode_batch(texts)]
        tokenizer, kept = self._by_pieces(texts)
        return [[kept[token] for token in encoding.ids] for encoding in tokenizer.encode_batch(texts)]

    def _serves(self, texts: Sequence[str]) -> bool:
        """Whether a tokenizer with the pieces of these texts gives the same."""
        return self._fits and not any(token["content"] in text for token in self._added for text in texts)

    def _by_pieces(self, texts: Sequence[str]) -> tuple[Tokenizer, list[int]]:
        """A tokenizer with the pieces that can occur in these texts, and the ids that its own stand for."""
        from tokenizers import Tokenizer

        kept = self._pieces_within(texts)
        vocabulary = [[self._pieces[number], float(self._scores[number])] for number in kept]
        content = _reduced(self._content, kept, vocabulary) | {"normalizer": None}
        tokenizer = prepared_tokenizer(Tokenizer.from_str(json.dumps(content)), self._model)
        tokenizer.normalizer = self._splitter.normalizer
        return tokenizer, kept

    @cached_property
    def _lines(self) -> list[str]:
        """What `_on_lines` says of the tokenizer."""
        lines = cached_fact("tokenizer on lines", self._path, self._model.cache_dir, _on_lines).split("\n")
        if len(lines) % 2 != 1:
            raise ValueError("its copy on lines was cut off")
        return lines

    @cached_property
    def _about(self) -> dict[str, Any]:
        about: dict[str, Any] = json.loads(self._lines[0])
        return about

    @property
    def _content(self) -> dict[str, Any]:
        """The tokenizer without its vocabulary."""
        content: dict[str, Any] = self._about["content"]
        return content

    @cached_property
    def _pieces(self) -> list[str]:
        return self._lines[1 : 1 + len(self._lines) // 2]

    @cached_property
    def _scores(self) -> list[str]:
        return self._lines[1 + len(self._lines) // 2 :]

    @property
    def _added(self) -> list[dict[str, Any]]:
        added: list[dict[str, Any]] = self._content.get("added_tokens", [])
        return added

    @cached_property
    def _fits(self) -> bool:
        """Whether the tokenizer is of the kind for it."""
        return (
            len(self._lines) > 1
            and not self._content["model"].get("byte_fallback")
            and (self._content.get("post_processor") or {}).get("type") == "TemplateProcessing"
            and not any(token["normalized"] for token in self._added)
        )

    @cached_property
    def _whole(self) -> Tokenizer:
        return load_tokenizer(self._model)

    @cached_property
    def _whole_uncut(self) -> Tokenizer:
        tokenizer = load_tokenizer(self._model)
        tokenizer.no_truncation()
        return tokenizer

    @cached_property
    def _splitter(self) -> Tokenizer:
        """What normalises a text and cuts it into words, without pieces."""
        from tokenizers import Tokenizer

        nothing: dict[str, Any] = {
            "model": {"type": "WordLevel", "vocab": {}, "unk_token": ""},
            "added_tokens": [],
            "post_processor": None,
        }
        return prepared_tokenizer(Tokenizer.from_str(json.dumps(self._content | nothing)), self._model)

    @cached_property
    def _numbers(self) -> dict[str, int]:
        """The id of each piece."""
        return dict(zip(self._pieces, range(len(self._pieces)), strict=True))

    @cached_property
    def _always(self) -> set[int]:
        """Special pieces, and the rarest: its score decides what an unknown character costs."""
        return {self._about["rarest"], self._content["model"]["unk_id"], *(token["id"] for token in self._added)}

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
            for end in range(start + 1, min(len(word), start + self._about["longest"]) + 1)
        }
        return sorted(self._always | {self._numbers[part] for part in parts if part in self._numbers})


def _on_lines(path: Path) -> str:
    """A tokenizer.json in lines: what it says beside its vocabulary, in JSON; its pieces; their scores.

    Of another kind than unigrams, or where a piece has a line's end in it, there is the first line alone.
    """
    content = read_json(path)
    model = content["model"]
    about: dict[str, Any] = {
        "content": {**content, "model": {key: model[key] for key in model if key not in ("vocab", "merges")}}
    }
    vocabulary = model["vocab"] if model.get("type") == "Unigram" else []
    pieces, scores = [piece for piece, _ in vocabulary], [float(score) for _, score in vocabulary]
    if not pieces or "\n" in "".join(pieces):
        return json.dumps(about)
    about |= {"longest": max(map(len, pieces)), "rarest": scores.index(min(scores))}
    return "\n".join([json.dumps(about), *pieces, *map(repr, scores)])


def _reduced(content: dict[str, Any], kept: list[int], vocabulary: list[list[Any]]) -> dict[str, Any]:
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
        "model": {**model, "unk_id": new[model["unk_id"]], "vocab": vocabulary},
    }
