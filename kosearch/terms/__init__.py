"""Text → search terms, the same way for passages and questions."""

from kosearch.terms.analysis import (
    BIGRAMS,
    CONTEXT,
    FIELD_WEIGHTS,
    FIELDS,
    MORPHEMES,
    RULES,
    Analyzer,
    Question,
    Wanted,
    is_korean,
    matches,
)

__all__ = [
    "BIGRAMS",
    "CONTEXT",
    "FIELDS",
    "FIELD_WEIGHTS",
    "MORPHEMES",
    "RULES",
    "Analyzer",
    "Question",
    "Wanted",
    "is_korean",
    "matches",
]
