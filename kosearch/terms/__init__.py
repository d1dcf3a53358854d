"""Text → search terms, the same way for passages and questions."""

from kosearch.terms.analysis import (
    BIGRAMS,
    CONTEXT,
    FIELD_WEIGHTS,
    FIELDS,
    FORMS,
    MORPHEMES,
    RULES,
    Analyzer,
    Question,
    Wanted,
    is_korean,
    is_name_pair,
    matches,
)
from kosearch.terms.hanja import is_hanja
from kosearch.terms.normal_forms import normal_forms

__all__ = [
    "BIGRAMS",
    "CONTEXT",
    "FIELDS",
    "FIELD_WEIGHTS",
    "FORMS",
    "MORPHEMES",
    "RULES",
    "Analyzer",
    "Question",
    "Wanted",
    "is_hanja",
    "is_korean",
    "is_name_pair",
    "matches",
    "normal_forms",
]
