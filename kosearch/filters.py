"""What a question may demand of its hits: a demand that nothing can meet is a mistake, and no miss."""

from __future__ import annotations

import os
import re
import unicodedata

from kosearch import dates
from kosearch.errors import UsageError
from kosearch.filetypes import FILES, GROUPS, KINDS, SUFFIXES, plain
from kosearch.records import Query

MODES = ("hybrid", "dense", "lexical")


def check(query: Query, flag: str = "") -> None:
    """See that what is demanded makes sense. Raises UsageError, in which `flag` stands before an option's name."""
    if query.mode not in MODES:
        raise UsageError(f"{flag}mode is {query.mode!r}; it must be hybrid, dense or lexical")
    if query.mode == "lexical" and query.min_score is not None:
        raise UsageError(
            f"{_named(flag, 'min_score')} is a cosine, and {flag}mode lexical computes none", "leave it out"
        )
    if query.mode == "lexical" and query.rerank:
        raise UsageError(f"{flag}rerank asks the model, and {flag}mode lexical does not", "leave one of them out")
    if query.k < 1 or not 0 <= query.weight <= 1 or query.context < 0 or query.rerank < 0:
        raise UsageError(f"{flag}k is at least 1, {flag}weight from 0 to 1, and other numbers are not below 0")
    for name, date in (("after", query.after), ("before", query.before)):
        if date is not None and dates.span(date) is None:
            raise UsageError(
                f"{flag}{name} {date!r} is not a date", "dates are 2024, 2024-02, 2024-02-01, 3d (days ago)"
            )
    if query.kinds:
        from kosearch.extract import KIND_OF_SUFFIX

        named = {*KINDS, *GROUPS, *FILES}
        for one in query.kinds:
            if plain(one) not in named | SUFFIXES and f".{plain(one)}" not in KIND_OF_SUFFIX:
                hint = f"types are {', '.join(sorted(named))}, and the suffixes of files, such as py and xlsm"
                raise UsageError(f"there is no type {one!r}", hint)


def check_text(text: str) -> None:
    """See that a question is one. Raises UsageError."""
    if not text.strip():
        raise UsageError("the question is empty", "kosearch query TEXT")
    if not any(map(str.isalnum, text)):
        raise UsageError("the question has neither a letter nor a digit", "kosearch query TEXT")
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise UsageError(f"the question is no text: a lone surrogate at character {error.start + 1}") from None


def glob(pattern: str, folder: str = "") -> str:
    """A glob as it is matched: one that begins with . or .. is below `folder`, by default the current one.

    `.`, `./notes` and `../*.md` are typed as for any other program, and no path in an index has such a part.
    """
    if pattern.partition("/")[0] not in (".", ".."):
        return pattern
    literal = re.sub(r"([*?\[\\])", r"\\\1", unicodedata.normalize("NFC", folder or os.getcwd()))
    path = os.path.normpath(f"{literal}/{pattern}")
    return "/**" if path == "/" else path + "/" * pattern.endswith("/")


def _named(flag: str, name: str) -> str:
    """An option's name as it is written in Python, or on the command line."""
    return flag + name.replace("_", "-") if flag else name
