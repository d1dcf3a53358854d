"""Documents that dochan reads (HWP, .doc, .ppt, and PDF pages nothing else can read), as text with structure."""

from __future__ import annotations

import os
import re
import struct
import tempfile
from collections import Counter as Counts
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from typing import Any

from kosearch.extract import drawing, numbers
from kosearch.extract.containers import compound_properties
from kosearch.extract.numbers import BY_CODE, Counter, Level, List, bullet, roman
from kosearch.extract.text import ExtractError, TextBuilder
from kosearch.records import Extraction, Reason

# Documents that dochan reads (HWP, HWPX, Office, and PDF pages nothing else can read), turned into text and structure.
#
# dochan is pinned: this module alone knows its document model. Its markers for pictures, bookmarks, comments and links
# are left out: they are words of the library, not of the document.

# dochan's own words in the place of a thing; each is a run of its own, and in no style of the document's.
_MARKER = re.compile(
    r"!\[[^\]]*\]\([^)]*\)|\[bookmark: [^\]]*\] |\[comment \d+(?:: [^\]]*)?\]"
    r"|\[(?:내장 개체|내장 수식|nested table omitted: [^\]]*)\]"
)
# Commands of Hangul's equations (한글 문서 파일 형식: 수식, revision 1.3).
_LAYOUT_WORDS = re.compile(
    r"\b(?:rm|it|bold|left|right|scale +\d+|size +\d+|from|to|under|[bpd]?matrix|[lr]?pile|cases|eqalign|sub|sup)\b"
    r"|[`~{}#&_^]",
    re.IGNORECASE,
)
_SIGNS = {
    "over": "/", "sqrt": "√", "sum": "∑", "int": "∫", "prod": "∏", "inf": "∞", "times": "×", "div": "÷", "union": "∪",
    "inter": "∩", "leq": "≤", "geq": "≥", "neq": "≠",
}  # fmt: skip
_SIGN_WORDS = re.compile(rf"\b(?:{'|'.join(_SIGNS)})\b", re.IGNORECASE)
_PROPERTY_PARTS = frozenset(("docProps/core.xml", "\x05SummaryInformation"))
_WORD = re.compile(r"[^\W\d]")
_CHART = "Chart type: "
_LONGEST_HEADING = 150
_LONG_CELL = 300
_DEEPEST = 32
_FAILED_SCRIPTS = frozenset(("[데이터 부족]", "[수식 파싱 실패]"))
_LOCKED = re.compile(r"암호|DRM|password|encrypt", re.IGNORECASE)
_MOST_WARNINGS = 3


def parse(data: bytes) -> Any:
    """dochan's document for a compound file or PDF, which it opens by name only."""
    from dochan import Dochan

    with named(data) as name:
        return Dochan(name).doc


@contextmanager
def named(data: bytes) -> Iterator[str]:
    """A name under which the bytes can be opened: in memory where the system can, else a temporary file."""
    if hasattr(os, "memfd_create") and os.path.isdir("/proc/self/fd"):
        with open(os.memfd_create("document"), "wb", closefd=True) as memory:
            memory.write(data)
            memory.flush()
            yield f"/proc/self/fd/{memory.fileno()}"
    else:
        with tempfile.NamedTemporaryFile() as file:
            file.write(data)
            file.flush()
            yield file.name


def check(document: Any, text: str) -> tuple[str, ...]:
    """Warnings about what dochan could not read; raises ExtractError when that is everything."""
    errors = [" ".join(error.removeprefix("ERR:").split()) for error in document.errors if error.startswith("ERR")]
    if text.strip():
        return tuple(f"partly read: {error}" for error in errors[:_MOST_WARNINGS])
    header = document.file_header
    if header is not None and getattr(header, "is_drm", False):
        raise ExtractError(Reason.DRM, "protected by DRM: only its own program opens it")
    if any(_LOCKED.search(error) for error in errors):
        raise ExtractError(Reason.ENCRYPTED, "encrypted: opening it needs a password")
    if errors:
        raise ExtractError(Reason.BROKEN, errors[0])
    raise ExtractError(Reason.NO_TEXT, "holds no text (drawings, equations in boxes and master pages are not read)")


Numbered = Callable[[Any, str], str]
"""A paragraph and its text to the text with the paragraph's number."""


def _as_it_is(paragraph: Any, text: str) -> str:
    return text


class Renderer:
    """Writes dochan's elements into a text: paragraphs, headings, tables row by row, notes after their paragraph."""

    def __init__(self, builder: TextBuilder, *, numbered: Numbered = _as_it_is, markers: bool = True) -> None:
        self._builder = builder
        self._markers = markers
        self._numbered = numbered
        self._seen: set[str] = set()
        self._notes: list[tuple[str, str]] = []
        self._apart: dict[tuple[str, int], Any] = {}

    def set_apart(self, elements: Sequence[Any]) -> list[Any]:
        """The elements without the notes at their end, which are to follow the paragraphs that refer to them."""
        kept = []
        for element in elements:
            if type(element).__name__ in ("Footnote", "Comment") and element.number:
                self._apart[element.type, element.number] = element
            else:
                kept.append(element)
        return kept

    def write_rest(self) -> None:
        """Add the notes that nothing referred to."""
        self.write(list(self._apart.values()))
        self._apart.clear()

    def write(self, elements: Sequence[Any], depth: int = 0) -> None:
        """Add these elements in their order."""
        if depth > _DEEPEST:
            return
        for element in elements:
            kind = type(element).__name__
            if kind == "Paragraph":
                self._paragraph(element)
            elif kind == "Table":
                self._table(element, depth)
            elif kind == "HeaderFooter":
                self._once(self._plain(element.paragraphs))
            elif kind in ("Footnote", "Comment"):
                self._notes.append((_label(element), self._plain(element.paragraphs)))
            elif kind == "Equation":
                self._builder.add(equation_text(element))
            elif kind == "Image":
                self._builder.add(self._picture(element))
            self._write_notes()

    def _paragraph(self, paragraph: Any) -> None:
        path = getattr(paragraph.provenance, "path", "")
        if path in _PROPERTY_PARTS:
            return
        text = self._text(paragraph)
        if paragraph.heading_level and len(text) <= _LONGEST_HEADING:
            self._builder.heading(text, paragraph.heading_level)
        else:
            self._builder.add(text.strip())

    def _text(self, paragraph: Any) -> str:
        """A paragraph's text with its number; the notes that it refers to are put aside."""
        for run in paragraph.runs if self._apart else ():
            note = self._apart.pop((run.note_reference_type, run.note_reference_number), None)
            if note is not None:
                self._notes.append((_label(note), self._plain(note.paragraphs)))
        return self._numbered(paragraph, paragraph_text(paragraph, markers=self._markers))

    def _table(self, table: Any, depth: int) -> None:
        caption = self._plain(table.caption)
        if chart := caption.startswith(_CHART):
            caption = ""
        above = getattr(table, "caption_side", "") in ("TOP", "LEFT")
        if above:
            self._builder.add(caption)
        rows: list[list[str]] = []
        one_column = table.col_count <= 1
        for row in table.rows:
            if one_column or any(_holds_blocks(cell) for cell in row):
                self._builder.table(rows)
                rows = []
                for cell in row:
                    self.write(cell.paragraphs, depth + 1)
            else:
                cells = [cell for cell in row if not cell.is_merged_away]
                rows.append([self._plain(cell.paragraphs, joint=" ") for cell in cells])
        if chart and rows:
            rows[0][0] = ""  # dochan's own word for the column of categories
        self._builder.table(rows)
        if not above:
            self._builder.add(caption)

    def _once(self, text: str) -> None:
        """Headers and footers: the first time only, and never a page number alone."""
        if text not in self._seen and _WORD.search(text):
            self._seen.add(text)
            self._builder.add(text)

    def _plain(self, blocks: Sequence[Any], *, joint: str = "\n", depth: int = 0) -> str:
        """All text within these blocks; notes in it are put aside."""
        if depth > _DEEPEST:
            return ""
        parts = []
        for block in blocks:
            kind = type(block).__name__
            if kind == "Paragraph":
                parts.append(self._text(block).strip())
            elif kind == "Table":
                parts += [self._plain(cell.paragraphs, joint=joint, depth=depth + 1) for cell in _cells(block)]
            elif kind in ("Footnote", "Comment"):
                self._notes.append((_label(block), self._plain(block.paragraphs, depth=depth + 1)))
            elif kind == "Equation":
                parts.append(equation_text(block))
            elif kind == "Image":
                parts.append(self._picture(block))
        return joint.join(part for part in parts if part)

    def _picture(self, image: Any) -> str:
        """What the document says about a picture: its caption, and a description that a person wrote."""
        description = " ".join((image.alt_text or "").split())
        description = "" if description == image.filename else drawing.description(description)
        return "\n".join(text for text in (description, self._plain(image.caption)) if text)

    def _write_notes(self) -> None:
        notes, self._notes = self._notes, []
        for label, text in notes:
            if text.strip():
                self._builder.add(f"{label} {text}".strip())


def paragraph_text(paragraph: Any, *, markers: bool = True) -> str:
    """A paragraph's text; without dochan's markers, where there can be any."""
    runs = [run for run in paragraph.runs if not run.note_ref and run.note_reference_type != "comment"]
    return "".join(
        equation_text(run.equation) if run.equation is not None else run.text
        for run in runs
        if not (markers and _is_marker(run))
    )


def _is_marker(run: Any) -> bool:
    if run.text[:1] not in ("[", "!"):
        return False
    return getattr(run, "_bookmark_annotation", False) or (
        run.char_shape_id == -1 and _MARKER.fullmatch(run.text) is not None
    )


def equation_text(equation: Any) -> str:
    """What an equation shows, without the words that lay it out; LaTeX as it is."""
    if equation.script in _FAILED_SCRIPTS:
        return ""
    return equation_script(equation.script) or str(equation.latex or "")


def equation_script(script: str) -> str:
    """What an equation in Hangul's own words shows."""
    script = _LAYOUT_WORDS.sub(" ", script)
    return " ".join(_SIGN_WORDS.sub(lambda found: _SIGNS[found[0].lower()], script).split())


def _label(note: Any) -> str:
    """Who made a comment, else the number of a note."""
    stated = getattr(note, "author", "").strip() or getattr(note, "label", "") or note.number
    return f"[{stated}]" if stated else ""


def _cells(table: Any) -> Iterator[Any]:
    return (cell for row in table.rows for cell in row if not cell.is_merged_away)


def _holds_blocks(cell: Any) -> bool:
    """Whether the cell lays out a page rather than holding a value: a table within, or paragraphs of some length."""
    paragraphs = cell.paragraphs
    if any(type(block).__name__ == "Table" for block in paragraphs):
        return True
    return len(paragraphs) > 1 and sum(len(getattr(block, "text", "")) for block in paragraphs) > _LONG_CELL


# What dochan's reader of Word to 2003 leaves out: numbers of paragraphs and outline levels ([MS-DOC] 2.9).
#
# dochan is pinned, so its inner parts can be relied on: three properties of paragraphs are read besides its own, and
# its renderer puts the numbers in front.

_OUTLINE, _LEVEL, _LIST = 0x2640, 0x260A, 0x460B
_LISTS, _OVERRIDES = 73, 74
"""Places of PlfLst and PlfLfo among the parts of the table stream."""
_BULLET, _NO_NUMBER = 23, 255
_MOST_LISTS = 5000
_CONTROLS = re.compile(r"[\x00-\x1f]")
_BODY_TEXT = 9


def parse_doc(name: str) -> Any:
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
                text = "" if _CONTROLS.sub("", result) else numbers.shown(field.instruction)
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


# Word and PowerPoint to 2003, through dochan.


def read_doc(data: bytes, path: str) -> Extraction:
    """Word, to 2003."""
    with named(data) as name:
        document = parse_doc(name)
    return _extraction(document, "doc", compound_properties(data))


def read_ppt(data: bytes, path: str) -> Extraction:
    """PowerPoint, to 2003."""
    return _extraction(parse(data), "ppt", compound_properties(data))


def _extraction(document: Any, kind: str, stated: tuple[str, dict[str, str]]) -> Extraction:
    builder = TextBuilder()
    renderer = Renderer(builder)
    sections = [(section, renderer.set_apart(section.elements)) for section in document.sections]
    for number, (section, elements) in enumerate(sections, 1):
        if kind == "ppt":
            builder.page(getattr(section.provenance, "slide", 0) or number)
        renderer.write(elements)
    renderer.write_rest()
    warnings = check(document, builder.document(kind).text)
    title, metadata = stated
    return Extraction((builder.document(kind, title=title, metadata=metadata, warnings=warnings),))
