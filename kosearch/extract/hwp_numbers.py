"""The numbers and bullets that Hangul draws in front of paragraphs and keeps nowhere in their text.

Numbers are counted here as Hangul counts them (HWP 5.0 format, revision 1.3: 4.2.8 to 4.2.10), from the definitions in
an HWP file's DocInfo stream or a HWPX file's header.
"""

from __future__ import annotations

import re
import struct
import zlib
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from kosearch.extract.containers import Package, attribute, local, parse_xml
from kosearch.extract.numerals import written

_NONE, _OUTLINE, _NUMBER, _BULLET = range(4)
_KINDS = {"NONE": _NONE, "OUTLINE": _OUTLINE, "NUMBER": _NUMBER, "BULLET": _BULLET}
_LEVELS = 10
_HEADS_IN_A_NUMBERING = 7
_TAG_NUMBERING, _TAG_BULLET, _TAG_PARA_SHAPE = 23, 24, 25
_TAG_CONTROL = 71
_COMPRESSED, _DISTRIBUTION = 1, 4
_LARGEST = 64 << 20


@dataclass(frozen=True, slots=True)
class _Level:
    template: str = ""
    """What stands in front, with ^1 to ^9 for the numbers of the levels."""
    style: str = "DIGIT"
    start: int = 1


@dataclass(frozen=True, slots=True)
class Definitions:
    """How paragraphs are numbered: by shape of paragraph, by numbering, by bullet; numbers of shapes count from 0."""

    shapes: Mapping[int, tuple[int, int, int]] = field(default_factory=dict)
    """Kind, level (from 0) and number of the numbering or bullet."""
    numberings: Mapping[int, Sequence[_Level]] = field(default_factory=dict)
    bullets: Mapping[int, str] = field(default_factory=dict)
    outlines: Sequence[int] = ()
    """The numbering of each section's outline paragraphs."""


class Numbers:
    """Counts through a document, paragraph by paragraph."""

    def __init__(self, definitions: Definitions) -> None:
        self._known = definitions
        self._outline = 1
        self._counts: defaultdict[int, list[int]] = defaultdict(lambda: [0] * _LEVELS)

    def section(self, place: int) -> None:
        """Go on with this section, counted from 0."""
        self._outline = self._known.outlines[place] if place < len(self._known.outlines) else self._outline

    def numbered(self, paragraph: Any, text: str) -> str:
        """The paragraph's text with its number or bullet in front."""
        label = self._label(paragraph.para_shape_id) if text.strip() else ""
        return f"{label} {text}" if label else text

    def _label(self, shape: int) -> str:
        kind, level, number = self._known.shapes.get(shape, (_NONE, 0, 0))
        if kind == _BULLET:
            bullet = self._known.bullets.get(number, "")
            return bullet if bullet.isprintable() and not "\ue000" <= bullet <= "\uf8ff" else "-"
        if kind == _NONE or level >= _LEVELS:
            return ""
        number = self._outline if kind == _OUTLINE else number
        levels = self._known.numberings.get(number, ())
        if level >= len(levels):
            return ""
        counts = self._counts[number]
        counts[level] = counts[level] + 1 if counts[level] else levels[level].start
        counts[level + 1 :] = [0] * (_LEVELS - level - 1)
        return _filled(levels, level, counts)


def _filled(levels: Sequence[_Level], level: int, counts: Sequence[int]) -> str:
    written = [numeral(max(count, 1), one.style) for one, count in zip(levels, counts, strict=False)]
    path = ".".join(written[: level + 1])
    text = levels[level].template.replace("^n", path).replace("^N", f"{path}.")
    return re.sub(r"\^(\d)", lambda found: written[int(found[1]) - 1] if int(found[1]) <= len(written) else "", text)


_STYLES = {
    "DIGIT": "decimal", "CIRCLED_DIGIT": "decimalEnclosedCircle", "ROMAN_CAPITAL": "upperRoman",
    "ROMAN_SMALL": "lowerRoman", "LATIN_CAPITAL": "upperLetter", "LATIN_SMALL": "lowerLetter",
    "CIRCLED_LATIN_CAPITAL": "circledUpperLetter", "CIRCLED_LATIN_SMALL": "circledLowerLetter",
    "HANGUL_SYLLABLE": "ganada", "CIRCLED_HANGUL_SYLLABLE": "circledGanada", "HANGUL_JAMO": "chosung",
    "CIRCLED_HANGUL_JAMO": "circledChosung", "HANGUL_PHONETIC": "koreanCounting", "IDEOGRAPH": "japaneseCounting",
}  # fmt: skip
"""The formats of numbers (table 41) by their names in HWPX, in the order of their codes in HWP 5."""
_CODES = list(_STYLES)
_ROUNDS = {"LATIN_CAPITAL": 26, "LATIN_SMALL": 26, "HANGUL_SYLLABLE": 14, "HANGUL_JAMO": 14}


def numeral(count: int, style: str) -> str:
    """A number in a format of Hangul's, whose letters begin again after the last; a rare one as plain digits."""
    round_ = _ROUNDS.get(style)
    return written((count - 1) % round_ + 1 if round_ and count > 0 else count, _STYLES.get(style, "decimal"))


def coded(count: int, code: int) -> str:
    """A number in the format of this code (table 41)."""
    return numeral(count, _CODES[code] if code < len(_CODES) else "DIGIT")


# --- HWPX ---------------------------------------------------------------------------------------------------------

_SECTION = re.compile(r"Contents/section\d+\.xml")


def of_package(package: Package) -> Definitions:
    """The definitions in a HWPX file."""
    root = parse_xml(package.read("Contents/header.xml"))
    shapes: dict[int, tuple[int, int, int]] = {}
    numberings: dict[int, Sequence[_Level]] = {}
    bullets: dict[int, str] = {}
    outlines = []
    for name in sorted((name for name in package if _SECTION.fullmatch(name)), key=lambda name: (len(name), name)):
        found = re.search(rb'outlineShapeIDRef="(\d+)"', package.read(name))
        outlines.append(int(found[1]) if found else 1)
    for element in root.iter():
        name = local(element)
        if name == "numbering":
            numberings[_int(attribute(element, "id"))] = [
                _Level(
                    head.text or "",
                    attribute(head, "numFormat"),
                    _int(attribute(head, "start"), 1),
                )
                for head in element
                if local(head) == "paraHead"
            ]
        elif name == "bullet":
            bullets[_int(attribute(element, "id"))] = attribute(element, "char")
        elif name == "paraPr":
            for heading in element.iter():
                if local(heading) == "heading":
                    kind = _KINDS.get(attribute(heading, "type"), _NONE)
                    place = _int(attribute(heading, "level")), _int(attribute(heading, "idRef"))
                    shapes[_int(attribute(element, "id"))] = (kind, *place)
    return Definitions(shapes, numberings, bullets, outlines)


def _int(text: str, otherwise: int = 0) -> int:
    return int(text) if text.isdigit() else otherwise


# --- HWP 5 --------------------------------------------------------------------------------------------------------


def of_compound(data: bytes) -> Definitions:
    """The definitions in an HWP 5 file; none where its streams cannot be read."""
    from dochan import cfb
    from dochan.hwp.distdoc import decode_distribution_section

    try:
        compound = cfb.OleFileIO(data)
        properties = compound.openstream("FileHeader").read()[36]
        packed, distributed = bool(properties & _COMPRESSED), bool(properties & _DISTRIBUTION)
        info = _unpacked(compound.openstream("DocInfo").read(), packed)
        names = ["/".join(name) for name in compound.listdir()]
        folder = "ViewText/Section" if distributed else "BodyText/Section"
        sections = sorted((int(name[len(folder) :]), name) for name in names if re.fullmatch(rf"{folder}\d+", name))
        bodies = (compound.openstream(name).read() for _, name in sections)
        if distributed:
            bodies = (decode_distribution_section(body, max_size=_LARGEST) for body in bodies)
        return _definitions(info, [_outline(_unpacked(body, packed)) for body in bodies])
    except (OSError, ValueError, LookupError, struct.error, zlib.error):
        return Definitions()


def _unpacked(data: bytes, packed: bool) -> bytes:
    return zlib.decompressobj(-zlib.MAX_WBITS).decompress(data, _LARGEST) if packed else data


def _outline(section: bytes) -> int:
    """The numbering of outlines, from the section's definition (table 129)."""
    for tag, record in _records(section):
        if tag == _TAG_CONTROL and record.startswith(b"dces"):
            return int(struct.unpack_from("<H", record, 18)[0])
    return 1


def _definitions(info: bytes, outlines: Sequence[int]) -> Definitions:
    shapes: dict[int, tuple[int, int, int]] = {}
    numberings: dict[int, Sequence[_Level]] = {}
    bullets: dict[int, str] = {}
    for tag, record in _records(info):
        if tag == _TAG_PARA_SHAPE:
            (properties,) = struct.unpack_from("<I", record, 0)
            (number,) = struct.unpack_from("<H", record, 30)
            shapes[len(shapes)] = ((properties >> 23) & 3, (properties >> 25) & 7, number)
        elif tag == _TAG_NUMBERING:
            numberings[len(numberings) + 1] = _levels(record)
        elif tag == _TAG_BULLET:
            bullets[len(bullets) + 1] = record[12:14].decode("utf-16-le", "replace")
    return Definitions(shapes, numberings, bullets, outlines)


def _levels(record: bytes) -> list[_Level]:
    levels, place = [], 0
    for _ in range(_HEADS_IN_A_NUMBERING):
        (properties,) = struct.unpack_from("<I", record, place)
        (length,) = struct.unpack_from("<H", record, place + 12)
        template = record[place + 14 : place + 14 + 2 * length].decode("utf-16-le", "replace")
        levels.append(_Level(template, _CODES[min((properties >> 5) & 15, len(_CODES) - 1)]))
        place += 14 + 2 * length
    return levels


def _records(stream: bytes) -> Iterator[tuple[int, bytes]]:
    """Tag and content of each record (4.1)."""
    place = 0
    while place + 4 <= len(stream):
        (head,) = struct.unpack_from("<I", stream, place)
        size, place = head >> 20, place + 4
        if size == 0xFFF:
            (size,) = struct.unpack_from("<I", stream, place)
            place += 4
        yield head & 0x3FF, stream[place : place + size]
        place += size
