"""Text to token ids with the `tokenizers` library alone."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from kosearch.embedding.model import Model
from kosearch.errors import ModelError

if TYPE_CHECKING:
    from tokenizers import Tokenizer

TokenOffsets = Callable[[str], Sequence[tuple[int, int]]]
"""The code-point span of each of a text's tokens, without special tokens."""


def load_tokenizer(model: Model) -> Tokenizer:
    """The model's tokenizer, set to cut nothing and pad nothing."""
    from tokenizers import Tokenizer, normalizers

    path = model.directory / "tokenizer.json"
    try:
        tokenizer = Tokenizer.from_file(str(path))
    except Exception as error:  # the library raises plain Exception for a file it can't read
        raise ModelError(f"{path} can't be read: {error}", "fetch or copy the model again") from error
    tokenizer.no_truncation()
    tokenizer.no_padding()
    if model.lower_case:
        steps = [normalizers.Lowercase(), *([tokenizer.normalizer] if tokenizer.normalizer else [])]
        tokenizer.normalizer = normalizers.Sequence(steps)
    return tokenizer


def token_offsets(model: Model) -> TokenOffsets:
    """A function from a text to the spans of its tokens."""
    tokenizer = load_tokenizer(model)

    def offsets(text: str) -> Sequence[tuple[int, int]]:
        spans: list[tuple[int, int]] = tokenizer.encode(text, add_special_tokens=False).offsets
        return spans

    return offsets
