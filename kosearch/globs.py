"""Globs as in gitignore(5): which entries of a folder tree a list of patterns matches.

They are matched here and not by a library because a hostile pattern such as `*a*a*a*a*a*a*a*b` must not hang
a walk (pathspec 1.1 takes minutes for it): each becomes a regular expression that reads a path about once.
Unlike git, names are compared as code points in NFC: `?` is a Hangul syllable, and an NFC pattern finds an NFD
name.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from kosearch.errors import UsageError

_LONGEST = 4096
"""Code points of a pattern: no path is longer (PATH_MAX), and what an ignore file can cost stays bounded."""
_MOST_MATCHED = 2000
_SPECIAL = re.compile(r"[*?\[\\]")


class TooManyGlobs(UsageError):
    """So many patterns that matching them would take too long."""


class Globs:
    """The patterns of one ignore file, or of one option; of those that match an entry the last decides.

    They look at the entry itself, never at the folders it lies in: a walk does not enter what is ignored.

    Long ignore files are lists of names, of paths and of endings: such patterns are looked up, however many they are.
    Only those with wildcards elsewhere are matched one by one, at most 2,000.
    """

    __slots__ = ("_any_name", "_any_path", "_kinds", "_looked_up", "_matched", "_start")

    def __init__(self, lines: Iterable[str], start: int) -> None:
        """`start` is where, in an entry's path, the part below the rules' own folder begins. Raises TooManyGlobs."""
        self._start = start
        self._looked_up: dict[tuple[str, str], list[int]] = {}
        """What is looked up ("name", "path" or "ending", and its text) → numbers of patterns, ascending."""
        self._matched: list[tuple[int, _Glob, re.Pattern[str]]] = []
        self._kinds: list[_Glob] = [glob for line in lines if (glob := _parse(line)) is not None]
        for number, glob in enumerate(self._kinds):
            if (key := _key(glob)) is not None:
                self._looked_up.setdefault(key, []).append(number)
            elif (source := _translate(glob.text)) is not None:
                if len(self._matched) == _MOST_MATCHED:
                    raise TooManyGlobs(f"more than {_MOST_MATCHED:,} patterns with wildcards inside")
                self._matched.append((number, glob, re.compile(source, re.DOTALL)))
        self._any_name = _any_of(regex for _, glob, regex in self._matched if not glob.anchored)
        self._any_path = _any_of(regex for _, glob, regex in self._matched if glob.anchored)

    def verdict(self, path: str, name: str, is_folder: bool) -> bool | None:
        """True where a pattern matches, False where a `!` pattern does, None where none does."""
        below = path[self._start :]
        last = max(self._last_looked_up(below, name, is_folder), self._last_matched(below, name, is_folder))
        return None if last < 0 else not self._kinds[last].negated

    def _last_looked_up(self, below: str, name: str, is_folder: bool) -> int:
        """The number of the last pattern of those that are looked up; -1 where none matches."""
        if not self._looked_up:
            return -1
        keys = [("name", name), ("path", below), *(("ending", name[at:]) for at in range(len(name) + 1))]
        found = [number for key in keys for number in self._looked_up.get(key, ())]
        return max((one for one in found if is_folder or not self._kinds[one].folders_only), default=-1)

    def _last_matched(self, below: str, name: str, is_folder: bool) -> int:
        """The same of the others."""
        # Most entries match nothing: two tests tell, instead of one for each pattern.
        if (self._any_name is None or self._any_name.match(name) is None) and (
            self._any_path is None or self._any_path.match(below) is None
        ):
            return -1
        for number, glob, regex in reversed(self._matched):
            subject = below if glob.anchored else name
            if (is_folder or not glob.folders_only) and regex.match(subject):
                return number
        return -1


@dataclass(frozen=True, slots=True)
class _Glob:
    text: str
    """Without `!` in front, `/` in front and behind."""
    anchored: bool
    """Whether it speaks of the path below the rules' folder; otherwise of the name alone."""
    negated: bool
    folders_only: bool


def _key(glob: _Glob) -> tuple[str, str] | None:
    """Under what a pattern is looked up; None for one that has to be matched."""
    if not _SPECIAL.search(glob.text):
        return ("path" if glob.anchored else "name", glob.text) if glob.text else None
    ending = glob.text.removeprefix("*")
    return (
        ("ending", ending)
        if not glob.anchored and len(ending) < len(glob.text) and not _SPECIAL.search(ending)
        else None
    )


def _any_of(patterns: Iterable[re.Pattern[str]]) -> re.Pattern[str] | None:
    sources = [one.pattern for one in patterns]
    return re.compile("|".join(sources), re.DOTALL) if sources else None


def _parse(line: str) -> _Glob | None:
    """One line of an ignore file; None for blank lines, comments, and what is too long to match anything."""
    line = line.removesuffix("\r")
    kept = line.rstrip(" ")
    escaped = (len(kept) - len(kept.rstrip("\\"))) % 2 == 1
    line = kept + " " if escaped and kept != line else kept
    if not line or line.startswith("#") or len(line) > _LONGEST:
        return None
    negated = line.startswith("!")
    text = unicodedata.normalize("NFC", line.removeprefix("!"))
    folders_only = text.endswith("/")
    text = text.removesuffix("/")
    anchored = "/" in text
    return _Glob(text.removeprefix("/"), anchored, negated, folders_only)


def _translate(glob: str) -> str | None:
    """A regular expression for a whole path; None where git lets the glob match nothing.

    What stands between two `*`, or between two `**`, may be matched at the first place where it fits, since
    the second star takes any rest. Atomic groups say so, and keep the time linear.
    """
    segments = _split(glob)
    if segments is None:
        return None
    *groups, last = _groups(segments)
    source = ""
    for number, group in enumerate(groups):
        if group:
            path = "".join(f"{segment}/" for segment in group)
            source += f"(?>(?:[^/]++/)*?{path})" if number else path
    if not last:
        return source + r".+\Z"
    return source + ("(?:[^/]++/)*?" if groups else "") + "/".join(last) + r"\Z"


def _groups(segments: Sequence[str | None]) -> list[list[str]]:
    """The segments between the `**`, which are None."""
    groups: list[list[str]] = [[]]
    for segment in segments:
        if segment is None:
            groups.append([])
        else:
            groups[-1].append(segment)
    return groups


def _split(glob: str) -> list[str | None] | None:
    """A regular expression for each part between two `/`, None for a `**`; None for a broken glob."""
    pieces: list[list[str]] = [[""]]  # the text between the stars of each segment
    position = 0
    while position < len(glob):
        character = glob[position]
        position += 1
        if character == "\\":
            if position == len(glob):
                return None
            character = glob[position]
            position += 1
            if character != "/":
                pieces[-1][-1] += re.escape(character)
                continue
        if character == "/":
            pieces.append([""])
        elif character == "*":
            pieces[-1].append("")
        elif character == "?":
            pieces[-1][-1] += "[^/]"
        elif character == "[":
            bracket = _bracket(glob, position)
            if bracket is None:
                return None
            source, position = bracket
            pieces[-1][-1] += source
        else:
            pieces[-1][-1] += re.escape(character)
    return [_segment(piece) for piece in pieces]


def _segment(pieces: Sequence[str]) -> str | None:
    if len(pieces) > 2 and not any(pieces):
        return None
    first, *middle = pieces
    if not middle:
        return first
    *middle, last = middle
    return first + "".join(f"(?>[^/]*?{piece})" for piece in middle if piece) + "[^/]*" + last


_MEMBER = re.compile(
    r"\[:(?P<named>[^\]]{0,9}):\] | (?P<low>\\.|[^\\]) (?: - (?P<high>\\.|[^\]\\]))?", re.DOTALL | re.VERBOSE
)
_NAMED = {
    "alnum": "a-zA-Z0-9",
    "alpha": "a-zA-Z",
    "blank": r"\ \t",
    "cntrl": r"\x00-\x1f\x7f",
    "digit": "0-9",
    "graph": "!-~",
    "lower": "a-z",
    "print": r"\ -~",
    "punct": r"!-/:-@\[-`{-~",
    "space": r"\ \t\n\v\f\r",
    "upper": "A-Z",
    "xdigit": "0-9a-fA-F",
}


def _bracket(glob: str, position: int) -> tuple[str, int] | None:
    """From behind a `[`: the regular expression, and where the bracket ends; None where it does not."""
    negated = glob.startswith(("!", "^"), position)
    position += negated
    members = ""
    start = position
    while (member := _MEMBER.match(glob, position)) is not None:
        if glob[position] == "]" and position > start:
            source = f"[^/{members}]" if negated else f"(?!/)[{members}]" if members else "(?!)"
            return source, position + 1
        position = member.end()
        if (named := member["named"]) is not None:
            if named not in _NAMED:
                return None
            members += _NAMED[named]
            continue
        low = member["low"][-1]
        high = member["high"][-1] if member["high"] else low
        members += f"{re.escape(low)}-{re.escape(max(low, high))}"  # git reads `z-a` as `z`
    return None
