"""What makes an index (model, passages, terms), and whether it is what one that exists was made by."""

from __future__ import annotations

import shlex

from kosearch import embedding
from kosearch.config import Settings
from kosearch.errors import IndexMismatch, ModelError, UsageError
from kosearch.index import Identity

PASSAGE_TOKENS = 320
"""Well under the bundled model's 512: on 720 Korean pages dense Recall@1 rises from .61 (whole pages) to .72."""
CONTEXT_TOKENS = 96
"""Room for the prompt, special tokens, and title and headings in front of a passage (at most 120 characters)."""
LEAST_TOKENS = 16
PASSAGE_RULES = "1"
"""Changes whenever a text may be cut otherwise than before."""


def plan(settings: Settings, model: embedding.AnyModel) -> Identity:
    """What an index would be that were made now.

    Raises UsageError for passages that the model cannot read, ModelError for one that reads too little.
    """
    from kosearch.terms import FIELDS, RULES

    return Identity(
        model=model.name,
        fingerprint=model.fingerprint,
        revision=model.revision,
        dimensions=model.dimensions,
        passage_rules=PASSAGE_RULES,
        passage_tokens=_passage_tokens(settings, model),
        overlap=settings.passage_overlap,
        term_rules=RULES,
        fields=FIELDS,
        endpoint=model.kept() if isinstance(model, embedding.Endpoint) else None,
        storage=settings.storage,
    )


def context_tokens(model: embedding.AnyModel) -> int:
    """The room in front of a passage: less than usual in a model that reads little."""
    return min(CONTEXT_TOKENS, model.max_tokens // 2)


def check(identity: Identity, settings: Settings) -> None:
    """See that what this version and these settings would do is what the index was made with.

    Raises IndexMismatch. Whether the model is the same is another question, and terms can be made anew.
    """
    if identity.passage_rules != PASSAGE_RULES:
        raise IndexMismatch(
            f"the index {settings.index!r} has passages by rules {identity.passage_rules}, and this version of kosearch"
            f" makes them by rules {PASSAGE_RULES}",
            "make another index of the same folders: kosearch index --index NAME PATH",
        )
    if settings.dimensions not in (None, identity.dimensions):
        raise IndexMismatch(
            f"the index {settings.index!r} has vectors of {identity.dimensions} dimensions",
            "leave --dimensions out, or make another index of it: kosearch index --into NAME "
            f"--dimensions {settings.dimensions}",
        )
    if settings.passage_tokens not in (None, identity.passage_tokens):
        raise IndexMismatch(
            f"the index {settings.index!r} has passages of {identity.passage_tokens} tokens",
            f"leave --passage-tokens out, or make another index: kosearch index --index NAME "
            f"--passage-tokens {settings.passage_tokens} PATH",
        )


def check_terms(identity: Identity, settings: Settings) -> None:
    """See that questions are taken apart as the passages were: otherwise words would miss in silence."""
    from kosearch.terms import FIELDS, RULES

    if (identity.term_rules, identity.fields) != (RULES, FIELDS):
        raise IndexMismatch(
            f"the index {settings.index!r} has terms by rules {identity.term_rules}, and this version of kosearch"
            f" makes them by rules {RULES}",
            f"kosearch index --index {shlex.quote(settings.index)} makes them anew, without reading a file;"
            " --mode dense asks without them",
        )


def _passage_tokens(settings: Settings, model: embedding.AnyModel) -> int:
    """The size of passages; prompt and context must fit beside them."""
    room = model.max_tokens - context_tokens(model)
    wanted = settings.passage_tokens
    if room < LEAST_TOKENS:
        raise ModelError(f"{model.name} reads {model.max_tokens} tokens, too few for passages", "name another model")
    if wanted is not None and wanted > room:
        raise UsageError(
            f"{model.name} reads {model.max_tokens} tokens: passages of {wanted} do not fit beside their context",
            f"--passage-tokens {room} is the most",
        )
    return wanted or min(PASSAGE_TOKENS, room)
