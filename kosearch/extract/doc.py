"""What dochan's reader of Word to 2003 leaves out: numbers of paragraphs and outline levels ([MS-DOC] 2.9).

dochan is pinned, so its inner parts can be relied on: three properties of paragraphs are read besides its own, and its
renderer puts the numbers in front.
"""

from __future__ import annotations

import re
import struct
from collections import Counter as Counts
from collections.abc import Iterator, Sequence
from functools import cache
from typing import Any

from kosearch.extract import word_fields
from kosearch.extract.numerals import BY_CODE, roman
from kosearch.extract.word_numbers import Counter, Level, List, bullet

_OUTLINE, _LEVEL, _LIST = 0x2640, 0x260A, 0x460B
_LISTS, _OVERRIDES = 73, 74
"""Places of PlfLst and PlfLfo among the parts of the table stream."""
_BULLET, _NO_NUMBER = 23, 255
_MOST_LISTS = 5000
_CONTROLS = re.compile(r"[\x00-\x1f]")
_BODY_TEXT = 9


def parse(name: str) -> Any:
    """dochan's document for the Word file of this name."""
    _extended()
    from dochan import Dochan

    return Dochan(name).doc


@cache
def _extended() -> None:
    from dochan.model.document import TextRun
    from dochan.office_binary import doc_binary, doc_stories, doc_structure

    class Renderer(doc_structure.StructureRenderer):  # type: ignore[misc]
        def __init__(self, binary: Any, *args: Any, **options: Any) -> None:
            super().__init__(binary, *args, **options)
            self._counter = Counter(_lists(binary))

        def paragraph(self, record: Any) -> list[Any]:
            properties = record.props
            if (outline := properties.get("outline")) is not None:
                properties["heading_level"] = outline + 1 if outline < _BODY_TEXT else 0
            blocks: list[Any] = super().paragraph(record)
            named = str(properties.get("list", 0))
            label = self._counter.label(named, properties.get("list_level", 0)) if named in self._counter.lists else ""
            first = next((one for one in blocks if type(one).__name__ == "Paragraph" and one.text.strip()), None)
            if label and first is not None:
                first.runs.insert(0, TextRun(text=label))
            return blocks

    class Stories(doc_stories.Stories):  # type: ignore[misc]
        def _read_fields(self, name: str, index: int) -> None:
            known = len(self.fields)
            super()._read_fields(name, index)
            for field in self.fields[known:]:
                result = self.binary.text[field.separator + 1 : field.end] if field.separator >= 0 else ""
                text = "" if _CONTROLS.sub("", result) else word_fields.shown(field.instruction)
                if text:
                    self._markers.setdefault(field.start, []).append(TextRun(text=text))

        def _read_notes(self) -> None:
            super()._read_notes()
            _count_apart([note for note, _, _ in self._notes], [run for runs in self._markers.values() for run in runs])

    doc_stories.Stories = Stories
    doc_binary._VALUE_SPRMS.update({_OUTLINE: "outline", _LEVEL: "list_level", _LIST: "list"})
    doc_structure.StructureRenderer = Renderer


def _count_apart(notes: Sequence[Any], references: Sequence[Any]) -> None:
    """Number endnotes by themselves, in the numerals that Word gives them."""
    counts: Counts[str] = Counts()
    numbers = {}
    for note in notes:
        if note.type in ("footnote", "endnote"):
            counts[note.type] += 1
            numbers[note.type, note.number] = note.number = counts[note.type]
            note.label = str(note.number) if note.type == "footnote" else roman(note.number).lower()
    for run in references:
        kind = run.note_reference_type
        run.note_reference_number = numbers.get((kind, run.note_reference_number), run.note_reference_number)


def _lists(binary: Any) -> dict[str, List]:
    """The lists of a document by the numbers by which its paragraphs name them; none where they are damaged."""
    try:
        return dict(_overrides(binary.blob(_OVERRIDES), dict(_definitions(binary))))
    except (struct.error, IndexError, ValueError):
        return {}


def _definitions(binary: Any) -> Iterator[tuple[int, dict[int, Level]]]:
    """Each list's identifier and its levels, which stand behind the table of the lists."""
    table = binary.blob(_LISTS)
    if len(table) < 2:
        return
    (count,) = struct.unpack_from("<H", table)
    offset, size = binary._pairs[_LISTS]
    place = offset + size
    for at in range(min(count, _MOST_LISTS)):
        identifier = struct.unpack_from("<i", table, 2 + 28 * at)[0]
        simple = table[2 + 28 * at + 26] & 1
        levels = {}
        for level in range(1 if simple else 9):
            levels[level], place = _level(binary.table, place)
        yield identifier, levels


def _level(table: bytes, place: int) -> tuple[Level, int]:
    """A level (LVL) and where the next one begins."""
    start, code, flags = struct.unpack_from("<iBB", table, place)
    follow = table[place + 15]
    characters, paragraphs, limit = table[place + 24], table[place + 25], table[place + 26]
    place += 28 + characters + paragraphs
    (length,) = struct.unpack_from("<H", table, place)
    text = table[place + 2 : place + 2 + 2 * length].decode("utf-16-le", "replace")
    shown = "".join(f"%{ord(one) + 1}" if one < "\t" else one for one in text)
    style = "bullet" if code == _BULLET else "none" if code == _NO_NUMBER else _style(code)
    level = Level(
        style=style,
        text=bullet("".join(one for one in text if one >= " "), "") if style == "bullet" else shown,
        start=start,
        legal=bool(flags & 4),
        gap="" if follow == 2 else " ",
        restart=limit if flags & 8 else None,
    )
    return level, place + 2 + 2 * length


def _style(code: int) -> str:
    return BY_CODE[code] if code < len(BY_CODE) else "decimal"


def _overrides(table: bytes, definitions: dict[int, dict[int, Level]]) -> Iterator[tuple[str, List]]:
    """The lists as paragraphs name them (PlfLfo), with the levels that begin anew."""
    if len(table) < 4:
        return
    count = min(struct.unpack_from("<I", table)[0], _MOST_LISTS)
    heads = [struct.unpack_from("<i8xB", table, 4 + 16 * at) for at in range(count)]
    place = 4 + 16 * count
    for number, (identifier, changed) in enumerate(heads, 1):
        levels, starts = dict(definitions.get(identifier, {})), {}
        place += 4
        for _ in range(changed):
            start, flags = struct.unpack_from("<iI", table, place)
            place += 8
            level = flags & 15
            if flags & 32:
                levels[level], place = _level(table, place)
                starts[level] = levels[level].start
            elif flags & 16:
                starts[level] = start
        yield str(number), List(str(identifier), levels, starts)
