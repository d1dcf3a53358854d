"""Source code: the text as it is, with classes and functions as headings by light rules, without a parser."""

from __future__ import annotations

import re
from posixpath import splitext

from kosearch.extract.decoding import decode, normalise
from kosearch.records import Extracted, Extraction, Heading

_MODIFIERS = (
    r"(?:(?:public|private|protected|internal|static|final|abstract|sealed|async|export|default|override|open|virtual"
    r"|inline|extern|unsafe|const|pub(?:\([^)]*\))?|partial|data|suspend|declare)\s+)*"
)
_NAMED = re.compile(
    rf"^([ \t]*){_MODIFIERS}"
    r"(class|interface|enum|struct|trait|impl|namespace|module|object|record|protocol|extension|function|func|fun|fn|def"
    r"|defmodule|defp|sub|proc)\b\*?\s+((?:\([^)]*\)\s*)?[\w$.:<>?!]+)",
    re.MULTILINE,
)
# A function in C, C++, Java or C#: a type, a name, an argument list, and no semicolon behind it.
_TYPED = re.compile(
    rf"^([ \t]*){_MODIFIERS}(?!(?:return|else|new|throw|case|typedef|using|if|while|for|switch)\b)"
    r"[\w:<>,\[\]]+[ \t*&]+(?!(?:if|while|for|switch)\b)(~?[\w:]+)[ \t]*\([^;{}()]*\)[^;{}()=]*\{",
    re.MULTILINE,
)
_OTHERS = {
    ".sql": re.compile(
        r"^([ \t]*)create\s+(?:or\s+replace\s+)?(?:\w+\s+)?(table|view|function|procedure|trigger|index)\s+"
        r"(?:if\s+not\s+exists\s+)?([\w.\"`\[\]]+)",
        re.MULTILINE | re.IGNORECASE,
    ),
    ".r": re.compile(r"^([ \t]*)()([\w.]+)[ \t]*(?:<-|=)[ \t]*function\b", re.MULTILINE),
}
_SHELL = re.compile(r"^([ \t]*)(?:function[ \t]+)?()([\w:-]+)[ \t]*\(\)", re.MULTILINE)
_OTHERS |= dict.fromkeys((".sh", ".bash", ".zsh"), _SHELL)
_TYPED_SUFFIXES = frozenset(str.split(".c .cc .cpp .cxx .h .hh .hpp .hxx .java .cs .m .mm .dart"))
_NOT_CODE_STRUCTURE = frozenset((".css", ".scss", ".sass", ".less"))
_INDENT = 4


def read(data: bytes, path: str) -> Extraction:
    """Source code; a nested definition's level is its depth of indentation."""
    decoded = decode(data)
    text = normalise(decoded.text)
    headings = _definitions(text, splitext(path)[1].lower())
    return Extraction((Extracted(text, "code", headings=headings, warnings=decoded.warnings),))


def _definitions(text: str, suffix: str) -> tuple[Heading, ...]:
    if suffix in _NOT_CODE_STRUCTURE:
        return ()
    found: dict[int, Heading] = {}
    for match in _OTHERS.get(suffix, _NAMED).finditer(text):
        found[match.start()] = _heading(match.start(), match[1], f"{match[2]} {match[3]}".rstrip(":"))
    if suffix in _TYPED_SUFFIXES:
        for match in _TYPED.finditer(text):
            found.setdefault(match.start(), _heading(match.start(), match[1], match[2]))
    return tuple(found[start] for start in sorted(found))


def _heading(start: int, indent: str, title: str) -> Heading:
    depth = len(indent.expandtabs(_INDENT)) // _INDENT
    return Heading(start, depth + 1, " ".join(title.split()))
