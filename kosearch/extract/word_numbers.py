"""The numbers that Word draws in front of paragraphs and keeps nowhere in their text: 제1장, 1.1, 가., ①.

Definitions come from WordprocessingML's numbering part, from a binary file or from RTF; counting is the same for all
(ECMA-376 part 1, 17.9).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from xml.etree.ElementTree import Element

from kosearch.extract.containers import attribute, local
from kosearch.extract.numerals import written
from kosearch.extract.word_fields import symbols

_LEVELS = 9
_MOST_LISTS = 20_000


@dataclass(frozen=True, slots=True)
class Level:
    """How one level of a list is numbered."""

    style: str = "decimal"
    text: str = ""
    """What stands in front, with %1 to %9 for the numbers of the levels."""
    start: int = 1
    legal: bool = False
    """All numbers in it as plain digits."""
    gap: str = " "
    restart: int | None = None
    """The level (from 1) whose paragraphs make this one begin again; 0 for none; None for each above it."""
    paragraph_style: str = ""
    hidden: bool = False


@dataclass(frozen=True, slots=True)
class List:
    """A list as paragraphs name it: its definition's levels, which definition they count in, where they begin."""

    counter: str
    levels: Mapping[int, Level]
    starts: Mapping[int, int] = field(default_factory=dict)
    """Levels that begin anew, with their first number, where this list is used for the first time."""


class Counter:
    """Counts through a document, paragraph by paragraph."""

    def __init__(self, lists: Mapping[str, List]) -> None:
        self.lists = lists
        self._counts: dict[str, dict[int, int]] = {}
        self._begun: set[tuple[str, int]] = set()

    def restart(self, name: str, level: int, number: int) -> None:
        """Let the next paragraph of this list and level have this number."""
        if name in self.lists:
            self._counts.setdefault(self.lists[name].counter, {})[level] = number - 1

    def label(self, name: str, level: int) -> str:
        """The next number of this list at this level (from 0) with what follows it; "" where it has none."""
        numbered = self.lists.get(name)
        if numbered is None or level not in numbered.levels:
            return ""
        counts = self._counts.setdefault(numbered.counter, {})
        if level in numbered.starts and (name, level) not in self._begun:
            self._begun.add((name, level))
            counts[level] = numbered.starts[level]
        else:
            counts[level] = counts[level] + 1 if level in counts else numbered.levels[level].start
        for deeper in [deeper for deeper in counts if deeper > level]:
            restart = numbered.levels[deeper].restart if deeper in numbered.levels else None
            if restart is None or level < restart:
                del counts[deeper]
        return _label(numbered, level, counts)


def _label(numbered: List, level: int, counts: Mapping[int, int]) -> str:
    here = numbered.levels[level]
    if here.hidden:
        return ""
    if here.style == "bullet":
        return here.text + here.gap if here.text else ""

    def number(found: re.Match[str]) -> str:
        place = int(found[1]) - 1
        one = numbered.levels.get(place, Level())
        style = "decimal" if here.legal and one.style != "none" else one.style
        return written(counts.get(place, one.start), style)

    text = re.sub(r"%([1-9])", number, here.text)
    return text + here.gap if text.strip() else ""


# --- WordprocessingML ---------------------------------------------------------------------------------------------


def of_part(root: Element) -> dict[str, List]:
    """The lists of a numbering part, by the numbers by which paragraphs name them."""
    definitions: dict[str, dict[int, Level]] = {}
    links: dict[str, str] = {}
    styled: dict[str, str] = {}
    lists: dict[str, List] = {}
    for element in root:
        if local(element) == "abstractNum":
            name = attribute(element, "abstractNumId")
            definitions[name] = _levels(element)
            for child in element:
                if local(child) == "numStyleLink":
                    links[name] = attribute(child, "val")
                elif local(child) == "styleLink":
                    styled[attribute(child, "val")] = name
    for element in root:
        if local(element) == "num" and len(lists) < _MOST_LISTS:
            counter = next((attribute(child, "val") for child in element if local(child) == "abstractNumId"), "")
            counter = styled.get(links.get(counter, ""), counter)
            lists[attribute(element, "numId")] = _overridden(element, counter, definitions.get(counter, {}))
    return lists


def _overridden(num: Element, counter: str, levels: dict[int, Level]) -> List:
    starts: dict[int, int] = {}
    levels = dict(levels)
    for override in num:
        if local(override) == "lvlOverride":
            place = _int(attribute(override, "ilvl"), 0)
            own = _levels(override)
            levels |= own
            for child in override:
                if local(child) == "startOverride":
                    starts[place] = _int(attribute(child, "val"), 1)
            if place in own:
                starts.setdefault(place, own[place].start)
    return List(counter, levels, starts)


def _levels(parent: Element) -> dict[int, Level]:
    return {_int(attribute(child, "ilvl"), 0): _level(child) for child in parent if local(child) == "lvl"}


def _level(element: Element) -> Level:
    level = Level(start=0)  # a level that states no start begins with 0
    font = ""
    for child in element.iter():
        name, value = local(child), attribute(child, "val")
        if name == "start":
            level = replace(level, start=_int(value, 0))
        elif name == "numFmt":
            style = attribute(child, "format") if value == "custom" else value
            level = replace(level, style="decimalZero" if style.startswith("01") else style)
        elif name == "lvlText":
            level = replace(level, text=value)
        elif name == "isLgl":
            level = replace(level, legal=value not in ("0", "false", "off"))
        elif name == "suff":
            level = replace(level, gap="" if value.lower() == "nothing" else " ")
        elif name == "lvlRestart":
            level = replace(level, restart=_int(value, 0))
        elif name == "pStyle":
            level = replace(level, paragraph_style=value)
        elif name == "vanish":
            level = replace(level, hidden=value not in ("0", "false", "off"))
        elif name == "rFonts":
            font = attribute(child, "hAnsi") or attribute(child, "ascii")
    return replace(level, text=bullet(level.text, font)) if level.style == "bullet" else level


def bullet(text: str, font: str) -> str:
    """A bullet as a character that means something outside its font."""
    shown = symbols(text, font) or "•"  # without a character it is a picture
    return "".join("•" if "\ue000" <= character <= "\uf8ff" else character for character in shown)


def _int(text: str, otherwise: int) -> int:
    return int(text) if text.lstrip("-").isdigit() and len(text) < 10 else otherwise
