"""What words mean here, and which there are: two files that a person writes, in the settings' folder or an index's.

`synonyms.txt` has expressions that stand for each other, and is read for every question:

    법카 = 법인카드 = corporate card      # each of them finds the others

`words.txt` has words that no dictionary knows, one a line. Passages are taken apart by it, so an index keeps those that
it was made with, and questions are read by these.

    한걸음센터                            # a name, a product
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import TypeVar

from kosearch.errors import UsageError

Entry = TypeVar("Entry")

SYNONYMS, WORDS = "synonyms.txt", "words.txt"
MOST_WORDS = 5000
"""An index keeps them, and every process that reads Korean loads them."""
SAME, NEAR = 1.0, 0.6
WEIGHTS = {"=": SAME, "~": NEAR}
"""What a word of the table of doublets weighs in the place of one that was asked for and that no passage has."""
_LONGEST = 100
"""Characters of an expression."""
_LONGEST_WORD = 40
_COMMENT = re.compile(r"(?<!\S)#.*")
_EQUALS = re.compile("[=＝]")
_NO_PART = re.compile(r"""["“”;<>|→]|,(?!\d)""")
"""What stands between words, and in none: whoever writes it means a list, or a line of another form."""
_WORD = re.compile(r"(?=.*[가-힣])[^\W_]+(?: [^\W_]+)*")


@dataclass(frozen=True, slots=True)
class Synonyms:
    """Groups of expressions of one meaning."""

    groups: tuple[tuple[str, ...], ...] = ()

    def others(self, question: str) -> list[str]:
        """What a question might have said as well: the other expressions of each group that it has one of."""
        found: dict[str, None] = {}
        for group in self.groups:
            if any(_stands_in(one, question) for one in group):
                found.update(dict.fromkeys(one for one in group if not _stands_in(one, question)))
        return list(found)


def read_synonyms(folders: Iterable[Path]) -> Synonyms:
    """The synonyms of all these folders that have a file of them. Raises UsageError, with the line that is wrong."""
    return Synonyms(tuple(_read(folders, SYNONYMS, _group)))


def read_words(folders: Iterable[Path]) -> tuple[str, ...]:
    """The words of all these folders that have a file of them, each once, in the order of the alphabet.

    Raises UsageError, with the line that is wrong.
    """
    words = sorted(set(_read(folders, WORDS, _word)))
    if len(words) > MOST_WORDS:
        raise UsageError(f"{WORDS} has {len(words):,} words", f"{MOST_WORDS:,} are the most")
    return tuple(words)


def doublets() -> Iterator[list[tuple[tuple[str, ...], float]]]:
    """The table that comes with the program: groups of expressions, each in its parts, with what it weighs there."""
    table = (resources.files("kosearch.terms") / "doublets.txt").read_text(encoding="utf-8")
    for line in table.splitlines():
        if not line.startswith("#"):
            signs, words = re.findall(" ([=~]) ", f" = {line}"), re.split(" [=~] ", line)
            yield [(tuple(word.split("+")), WEIGHTS[sign]) for sign, word in zip(signs, words, strict=True)]


def _read(folders: Iterable[Path], name: str, entry: Callable[[str], Entry]) -> Iterator[Entry]:
    """An entry for each line of these files that has more than a comment, which # begins: not that of C#."""
    for path in (folder / name for folder in folders):
        try:
            lines = unicodedata.normalize("NFC", path.read_text(encoding="utf-8-sig")).splitlines()
        except (FileNotFoundError, NotADirectoryError):
            continue
        except (OSError, UnicodeDecodeError) as error:
            raise UsageError(f"cannot read {path}: {error}", "it is a text file in UTF-8") from error
        for number, line in enumerate(lines, 1):
            if content := " ".join(_COMMENT.sub("", line).split()):
                try:
                    yield entry(content)
                except _WrongLineError as error:
                    raise UsageError(f"{path}, line {number}: {content!r} {error}", error.hint) from None


class _WrongLineError(Exception):
    def __init__(self, what: str, hint: str) -> None:
        super().__init__(what)
        self.hint = hint


def _group(line: str) -> tuple[str, ...]:
    group = tuple(dict.fromkeys(" ".join(one.split()) for one in _EQUALS.split(line)))
    if wrong := _NO_PART.search(line):
        raise _WrongLineError(f"has {wrong.group()}, which no word has", "a line is: 법카 = 법인카드 = corporate card")
    if len(group) < 2 or not all(any(map(str.isalnum, one)) and len(one) <= _LONGEST for one in group):
        raise _WrongLineError("names no synonyms", "a line is: 법카 = 법인카드")
    return group


def _word(line: str) -> str:
    if "=" in line:
        raise _WrongLineError("is no word", f"what words mean stands in {SYNONYMS}; a line here is: 한걸음센터")
    if len(line) < 2 or len(line) > _LONGEST_WORD or not _WORD.fullmatch(line):
        raise _WrongLineError(
            "is no word of Hangul", f"a line is one name of 2 to {_LONGEST_WORD} letters and digits: 한걸음센터"
        )
    return line


def _stands_in(expression: str, question: str) -> bool:
    """Whether it begins a word there; Hangul may go on, with a particle, Latin letters may not."""
    pattern = r"\s?".join(map(re.escape, expression.split()))
    end = r"(?![^\W_가-힣])" if expression[-1].isascii() else ""
    return re.search(rf"(?<!\w){pattern}{end}", question, re.IGNORECASE) is not None
