"""Word, since 2003: DOCX and its macro, template and strict forms, flat OPC, and WordML, by a walk over their XML.

Text is what Word shows with all changes accepted: deleted runs, rows and paragraph marks are left out, numbers stand
in front of their paragraphs, notes and comments follow the paragraph that refers to them.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from xml.etree.ElementTree import Element

from kosearch.extract import drawing, numbers
from kosearch.extract.containers import Package, Parts, attribute, element_properties, local, package_properties
from kosearch.extract.numbers import Counter, roman
from kosearch.extract.pictures import add_picture
from kosearch.extract.text import ExtractError, TextBuilder
from kosearch.records import Extraction, Reason

HEADING_NAME = re.compile(r"(?:heading|제목|개요|見出し|标题|標題|titre|überschrift)\s*([1-9])", re.IGNORECASE)
LONGEST_HEADING = 150
_TITLE_NAMES = frozenset(("title", "제목"))
_DEEPEST = 60
_LONG_CELL = 300
_LONGEST_SPAN = 60
_BODY_TEXT = 9
_DELETED = frozenset(("del", "moveFrom", "delText", "pPr", "rPr", "instrText", "delInstrText"))
_CHARACTERS = {"tab": "\t", "ptab": "\t", "br": "\n", "cr": "\n", "noBreakHyphen": "-", "softHyphen": ""}
_NO_BLOCKS = _DELETED | {"sectPr", "tblPr", "tcPr"}
_NOT_IN_TABLES = frozenset(("tblPr", "tblGrid", "trPr", "tblPrEx", "p", "tbl", "del", "moveFrom"))
_ANCHORED = frozenset(("drawing", "pict", "object", "txbxContent"))
_NOTES = {"footnoteReference": "footnotes", "endnoteReference": "endnotes", "commentReference": "comments"}
_PAGE_FIELD = re.compile(r"\s*(?:PAGE|NUMPAGES|SECTIONPAGES)\b", re.IGNORECASE)
_WORD = re.compile(r"[^\W\d]")
_ANY_WORD = re.compile(r"\w")
_OFF = frozenset(("0", "false", "off"))


def read(data: bytes, path: str) -> Extraction:
    """A Word package."""
    package = Package(data)
    return read_parts(Parts(package), package_properties(package))


def read_parts(parts: Parts, stated: tuple[str, dict[str, str]]) -> Extraction:
    """A Word document in parts, with the title and fields that it states elsewhere."""
    main = parts.main("docx")
    return _read(parts, main, parts.whole(main), stated)


def read_wordml(root: Element) -> Extraction:
    """A WordML document (Word 2003)."""
    return _read(Parts(None), "", root, element_properties(root))


def _read(parts: Parts, main: str, root: Element, stated: tuple[str, dict[str, str]]) -> Extraction:
    body = next((element for element in root.iter() if local(element) == "body"), None)
    if body is None:
        raise ExtractError(Reason.BROKEN, "a Word document without a body")
    writer = _Writer(parts, main, root)
    writer.document(body)
    title, metadata = stated
    return Extraction((writer.builder.document("docx", title=title or writer.title, metadata=metadata),))


@dataclass(frozen=True, slots=True)
class _Style:
    """What a paragraph style says, with all that it inherits."""

    level: int = 0
    list_name: str = ""
    list_level: int = 0
    is_title: bool = False


class _Styles:
    """The paragraph styles of a document by their identifiers."""

    def __init__(self, root: Element | None, lists: dict[str, numbers.List]) -> None:
        self._elements = (
            {attribute(one, "styleId"): one for one in root.iter() if local(one) == "style"} if root is not None else {}
        )
        self.default = next((name for name, one in self._elements.items() if _is_default(one)), "")
        self._lists = lists
        self._known: dict[str, _Style] = {}

    def __getitem__(self, name: str) -> _Style:
        if name not in self._known:
            self._known[name] = self._resolved(name)
        return self._known[name]

    def _resolved(self, name: str) -> _Style:
        level: int | None = None
        named = 0
        list_name, list_level, is_title = "", 0, False
        for depth, (identifier, element) in enumerate(self._chain(name)):
            title = _value(element, "name") if element is not None else identifier
            if depth == 0 and title.lower() in _TITLE_NAMES:
                is_title = True
            if not named and (found := HEADING_NAME.fullmatch(title)):
                named = int(found[1])
            shape = _child(element, "pPr") if element is not None else None
            if shape is None:
                continue
            outline = _child(shape, "outlineLvl")
            if level is None and outline is not None:
                level = _number(attribute(outline, "val"), _BODY_TEXT)
            numbered = _child(shape, "numPr")
            if numbered is not None and not list_name:
                list_name = _value(numbered, "numId")
                list_level = self._level_of(list_name, identifier, _number(_value(numbered, "ilvl"), 0))
        if level is None:
            level = named - 1 if named else _BODY_TEXT
        return _Style(level + 1 if level < _BODY_TEXT else 0, list_name, list_level, is_title)

    def _chain(self, name: str) -> Iterator[tuple[str, Element | None]]:
        seen: set[str] = set()
        while name and name not in seen:
            seen.add(name)
            element = self._elements.get(name)
            yield name, element
            name = _value(element, "basedOn") if element is not None else ""

    def _level_of(self, list_name: str, style: str, otherwise: int) -> int:
        """The level of the list that this style is tied to."""
        levels = self._lists[list_name].levels if list_name in self._lists else {}
        return next((place for place, one in levels.items() if one.paragraph_style == style), otherwise)


class _Writer:
    def __init__(self, parts: Parts, main: str, root: Element) -> None:
        self.builder = TextBuilder()
        self.title = ""
        self._parts = parts
        self._part = main
        lists = numbers.of_part(part) if (part := self._beside("numbering")) is not None else {}
        self._counter = Counter(lists)
        styles = self._beside("styles")
        self._styles = _Styles(styles if styles is not None else root, lists)
        self._notes = {kind: self._note_elements(kind) for kind in ("footnotes", "endnotes", "comments")}
        self._note_numbers = dict.fromkeys(self._notes, 0)
        self._waiting: list[tuple[str, Element, str]] = []
        self._fields: list[_Field] = []
        self._running = False
        self._seen: set[str] = set()
        self._joined = ""
        self._flat = 0
        self._depth = 0

    def document(self, body: Element) -> None:
        """The body, each section between its headers and footers."""
        self._sections = [one for one in body.iter() if local(one) == "sectPr"]
        self._section = 0
        self._furniture("header")
        self.blocks(body)
        self._furniture("footer")
        self._write_notes()
        for element in self._notes["comments"].values():  # those that nothing refers to
            self._write_note("", element, "comments")

    def blocks(self, parent: Element) -> None:
        """The paragraphs and tables directly in an element, and in what only wraps them."""
        self._depth += 1
        if self._depth > _DEEPEST:
            raise ExtractError(Reason.BROKEN, "nested too deeply to be read")
        for child in parent:
            kind = local(child)
            if kind == "p":
                self._paragraph(child)
            elif kind == "tbl":
                self._table(child)
            elif kind == "AlternateContent":
                self.blocks(_choice(child))
            elif kind == "altChunk":
                self._chunk(attribute(child, "id"))
            elif kind in ("oMath", "oMathPara"):
                self.builder.add(drawing.equation(child))
            elif kind not in _NO_BLOCKS and not (kind == "sdt" and _is_prompt(child)):
                self.blocks(child)
        self._depth -= 1

    # --- paragraphs ---------------------------------------------------------------------------------------------

    def _paragraph(self, paragraph: Element) -> None:
        shape = _child(paragraph, "pPr")
        anchored: list[Element] = []
        text = self._joined + "".join(self._inline(paragraph, anchored))
        self._joined = ""
        if shape is not None and _mark_deleted(shape):
            self._joined = text  # the mark between this paragraph and the next is gone
        else:
            self._add(shape, text)
        self._write_anchored(anchored)
        if not self._flat:
            self._write_notes()
        if shape is not None and _child(shape, "sectPr") is not None and self._section + 1 < len(self._sections):
            self._furniture("footer")
            self._section += 1
            self._furniture("header")

    def _add(self, shape: Element | None, text: str) -> None:
        style = self._styles[(_value(shape, "pStyle") if shape is not None else "") or self._styles.default]
        label = self._label(shape, style)
        if not text.strip():
            return
        level = style.level
        outline = _child(shape, "outlineLvl") if shape is not None else None
        if outline is not None:
            stated = _number(attribute(outline, "val"), _BODY_TEXT)
            level = stated + 1 if stated < _BODY_TEXT else 0
        whole = label + text.strip()
        if style.is_title and not self.title and not self._flat and len(whole) <= LONGEST_HEADING:
            self.title = whole
        if level and not self._flat and len(whole) <= LONGEST_HEADING:
            self.builder.heading(whole, level)
        else:
            self.builder.add(whole)

    def _label(self, shape: Element | None, style: _Style) -> str:
        """The number that Word draws in front of a paragraph of this shape, with what follows it."""
        if shape is not None and (listed := _child(shape, "listPr")) is not None:  # WordML states what it shows
            label = next((attribute(one, "val") for one in listed if local(one) == "t"), "")
            return f"{label} " if label else ""
        numbered = _child(shape, "numPr") if shape is not None else None
        name, level = style.list_name, style.list_level
        if numbered is not None:
            name = _value(numbered, "numId") or name
            level = _number(_value(numbered, "ilvl"), level if name == style.list_name else 0)
        return self._counter.label(name, level) if name else ""

    def _inline(self, element: Element, anchored: list[Element]) -> Iterator[str]:
        """The text of a paragraph; what is anchored in it, and its notes, are put aside."""
        for child in element:
            kind = local(child)
            if kind == "t":
                if not (self._fields and self._fields[-1].hides):
                    yield child.text or ""
            elif kind in _CHARACTERS:
                yield _CHARACTERS[kind]
            elif kind == "instrText":
                if self._fields:
                    self._fields[-1].code += child.text or ""
            elif kind in _ANCHORED:
                anchored.append(child)
            elif kind in _INLINE:
                yield from _INLINE[kind](self, child, anchored)
            elif kind not in _DELETED:
                yield from self._inline(child, anchored)

    def _control(self, control: Element, anchored: list[Element]) -> Iterator[str]:
        if not _is_prompt(control):
            yield from self._inline(control, anchored)

    def _alternatives(self, element: Element, anchored: list[Element]) -> Iterator[str]:
        yield from self._inline(_choice(element), anchored)

    def _symbol(self, symbol: Element, _: list[Element]) -> Iterator[str]:
        yield numbers.symbols(_character(attribute(symbol, "char")), attribute(symbol, "font"))

    def _equation(self, element: Element, _: list[Element]) -> Iterator[str]:
        yield drawing.equation(element)

    def _ruby(self, ruby: Element, anchored: list[Element]) -> Iterator[str]:
        base, above = (_child(ruby, name) for name in ("rubyBase", "rt"))
        if base is not None:
            yield from self._inline(base, anchored)
        said = "".join(self._inline(above, anchored)).strip() if above is not None else ""
        if said:
            yield f"({said})"

    def _simple_field(self, field: Element, anchored: list[Element]) -> Iterator[str]:
        if not (self._running and _PAGE_FIELD.match(attribute(field, "instr"))):
            yield from self._inline(field, anchored)

    def _field(self, mark: Element, _: list[Element]) -> Iterator[str]:
        """A field's beginning, middle or end; only what it shows is text, and page numbers in headers are not."""
        kind = attribute(mark, "fldCharType")
        if kind == "begin":
            self._fields.append(_Field(bool(self._fields and self._fields[-1].hides)))
            yield from _form_field(mark)
        elif kind == "separate" and self._fields:
            self._fields[-1].is_separated = True
            self._fields[-1].shows = not (self._running and _PAGE_FIELD.match(self._fields[-1].code))
        elif kind == "end" and self._fields:
            field = self._fields.pop()
            if not (field.is_separated or field.outer_hides):
                yield numbers.shown(field.code)

    # --- notes --------------------------------------------------------------------------------------------------

    def _note_elements(self, kind: str) -> dict[str, Element]:
        root = self._beside(kind)
        return {attribute(one, "id"): one for one in root if not _is_separator(one)} if root is not None else {}

    def _refer(self, reference: Element, _: list[Element]) -> Iterator[str]:
        kind = _NOTES[local(reference)]
        element = self._notes[kind].pop(attribute(reference, "id"), None)
        if element is None:
            return
        yield ""
        label = ""
        if kind != "comments" and attribute(reference, "customMarkFollows") in ("", *_OFF):
            self._note_numbers[kind] += 1
            number = self._note_numbers[kind]
            label = f"[{number if kind == 'footnotes' else roman(number).lower()}]"
        self._waiting.append((label, element, kind))

    def _note_in_place(self, note: Element, anchored: list[Element]) -> Iterator[str]:
        """WordML's notes and changes, which stand where they belong."""
        kind = local(note)
        if kind == "annotation":
            change = attribute(note, "type")
            if change == "Word.Comment":
                self._waiting.append(("", note, "comments"))
            elif not change.endswith("Deletion"):
                yield from self._inline(note, anchored)
            return
        if len(note):
            self._note_numbers[f"{kind}s"] += 1
            self._waiting.append((f"[{self._note_numbers[f'{kind}s']}]", note, f"{kind}s"))

    def _write_notes(self) -> None:
        while self._waiting:
            waiting, self._waiting = self._waiting, []
            for label, element, kind in waiting:
                self._write_note(label, element, kind)

    def _write_note(self, label: str, element: Element, kind: str) -> None:
        text = self._plain(element, part=next(iter(self._parts.targets(self._part, kind)), ""))
        author = attribute(element, "author").strip() if kind == "comments" else ""
        label = label or (f"[{author}]" if author else "")
        self.builder.add(f"{label} {text}".strip() if text else "")

    # --- what is anchored in a paragraph, headers ---------------------------------------------------------------

    def _write_anchored(self, anchored: Sequence[Element]) -> None:
        for element in anchored:
            self._drawn(element)

    def _drawn(self, element: Element) -> None:
        """The boxes, charts and diagrams in a drawing, and what is said about its pictures."""
        kind = local(element)
        if kind == "txbxContent":
            self.blocks(element)
        elif kind == "docPr":
            self.builder.add(drawing.description(attribute(element, "descr")))
        elif kind == "chart":
            self._chart(attribute(element, "id"))
        elif kind == "relIds":
            root = self._parts.optional(self._parts.target(self._part, attribute(element, "dm")))
            for text in drawing.diagram(root) if root is not None else ():
                self.builder.add(text)
        elif kind == "blip":
            self._picture(attribute(element, "embed"))
        elif kind == "textpath":  # WordArt, as Word drew it until 2007
            self.builder.add(attribute(element, "string"))
        elif kind == "AlternateContent":
            self._drawn(_choice(element))
        else:
            if kind in ("shape", "imagedata") and (said := attribute(element, "alt")):
                self.builder.add(drawing.description(said))
            if kind == "imagedata":
                self._picture(attribute(element, "id"))
            for child in element:
                self._drawn(child)

    def _picture(self, identifier: str) -> None:
        add_picture(self.builder, self._parts.data(self._parts.target(self._part, identifier)))

    def _chart(self, identifier: str) -> None:
        root = self._parts.optional(self._parts.target(self._part, identifier))
        if root is not None:
            caption, rows = drawing.chart(root)
            self.builder.add(caption)
            self.builder.table(rows)

    def _furniture(self, kind: str) -> None:
        """The headers or footers of the section that begins or ends here, each text once."""
        if self._section >= len(self._sections):
            return
        for reference in self._sections[self._section]:
            name = local(reference)
            inline = name in ("hdr", "ftr") and name == {"header": "hdr", "footer": "ftr"}[kind]
            if name != f"{kind}Reference" and not inline:
                continue
            part = self._parts.target(self._part, attribute(reference, "id"))
            root = reference if inline else self._parts.optional(part)
            if root is None:
                continue
            self._running, running = True, self._running
            text = self._plain(root, part=part)
            self._running = running
            text = "\n".join(line for line in text.split("\n") if _ANY_WORD.search(line))
            if text not in self._seen and _WORD.search(text):
                self._seen.add(text)
                self.builder.add(text)

    def _chunk(self, identifier: str) -> None:
        """A web page or text that was taken in as it is, which Word shows as a part of the document."""
        from kosearch.extract import detect, read

        name = self._parts.target(self._part, identifier)
        if self._parts.package is None or name not in self._parts:
            return
        data = self._parts.package.read(name)
        kind = detect(data, name)
        if kind in ("html", "mhtml", "text", "rtf"):
            for document in read(kind, data, name, lambda *_: Extraction(())).documents:
                self.builder.append(document)

    def _beside(self, kind: str) -> Element | None:
        """The part of this kind that belongs to the main part."""
        return next(
            (root for name in self._parts.targets(self._part, kind) if (root := self._parts.optional(name))), None
        )

    # --- tables -------------------------------------------------------------------------------------------------

    def _table(self, table: Element) -> None:
        rows = [list(_within(row, "tc", "cellDel")) for row in _within(table, "tr", "del")]
        one_column = max((len(row) for row in rows), default=0) <= 1
        lines: list[list[str]] = []
        above: dict[int, str] = {}
        for row in rows:
            if one_column or any(map(_holds_blocks, row)):
                self.builder.table(lines)
                lines, above = [], {}
                for cell in row:
                    self.blocks(cell)
                    if not self._flat:
                        self._write_notes()
                continue
            texts: list[str] = []
            for cell in row:
                shape = _child(cell, "tcPr")
                merge = _child(shape, "vMerge") if shape is not None else None
                place = len(texts)
                text = self._plain(cell, joint=" ")
                if merge is not None and attribute(merge, "val") != "restart":
                    text = above.get(place, "")
                elif len(text) <= _LONGEST_SPAN:
                    above[place] = text if merge is not None else ""
                texts += [text, *[""] * (min(_number(_value(shape, "gridSpan"), 1), 64) - 1)]
            lines.append(texts)
        self.builder.table(lines)
        if not self._flat:
            self._write_notes()

    def _plain(self, parent: Element, *, joint: str = "\n", part: str = "") -> str:
        """All text within an element, of another part where one is named, on lines or one line, without headings."""
        outer, self.builder, self._part = (self.builder, self._part), TextBuilder(), part or self._part
        self._flat += 1
        self.blocks(parent)
        self._flat -= 1
        text = self.builder.text
        self.builder, self._part = outer
        return joint.join(line for line in text.split("\n") if line.strip())


_INLINE: dict[str, Callable[[_Writer, Element, list[Element]], Iterator[str]]] = {
    "AlternateContent": _Writer._alternatives,
    "annotation": _Writer._note_in_place,
    "commentReference": _Writer._refer,
    "endnote": _Writer._note_in_place,
    "endnoteReference": _Writer._refer,
    "fldChar": _Writer._field,
    "fldSimple": _Writer._simple_field,
    "footnote": _Writer._note_in_place,
    "footnoteReference": _Writer._refer,
    "oMath": _Writer._equation,
    "oMathPara": _Writer._equation,
    "ruby": _Writer._ruby,
    "sdt": _Writer._control,
    "sym": _Writer._symbol,
}


@dataclass(slots=True)
class _Field:
    """A field that is open: its code so far, and whether text in it is shown."""

    outer_hides: bool
    code: str = ""
    shows: bool = False
    is_separated: bool = False
    """Whether its code has ended, and its result begun."""

    @property
    def hides(self) -> bool:
        return self.outer_hides or not self.shows


def _form_field(mark: Element) -> Iterator[str]:
    """What a check box or a list of an old form shows."""
    for data in mark.iter():
        kind = local(data)
        if kind == "checkBox":
            states = {local(one): attribute(one, "val") not in _OFF for one in data}
            yield "☒" if states.get("checked", states.get("default", False)) else "☐"
        elif kind == "ddList":
            entries = [attribute(one, "val") for one in data if local(one) == "listEntry"]
            chosen = _number(_value(data, "result"), 0)
            yield entries[chosen] if chosen < len(entries) else ""


def _within(element: Element, name: str, deleted: str) -> Iterator[Element]:
    """The rows of a table, or the cells of a row, without those that were deleted, whatever wraps them."""
    for child in element:
        kind = local(child)
        if kind == name:
            if _child(_child(child, f"{name}Pr"), deleted) is None:
                yield child
        elif kind not in _NOT_IN_TABLES:
            yield from _within(child, name, deleted)


def _holds_blocks(cell: Element) -> bool:
    """Whether the cell lays out a page rather than holding a value: a table within, or paragraphs of some length."""
    paragraphs = 0
    letters = 0
    for element in cell.iter():
        kind = local(element)
        if kind == "tbl":
            return True
        if kind == "p":
            paragraphs += 1
        elif kind == "t":
            letters += len(element.text or "")
    return paragraphs > 1 and letters > _LONG_CELL


def _choice(alternatives: Element) -> Element:
    """The newest form of what is written for several versions, unless it is empty."""
    for name in ("Choice", "Fallback"):
        for child in alternatives:
            if local(child) == name and len(child):
                return child
    return Element("nothing")


def _is_prompt(control: Element) -> bool:
    """Whether a content control shows the text that asks for one."""
    shape = _child(control, "sdtPr")
    shown = _child(shape, "showingPlcHdr") if shape is not None else None
    return shown is not None and attribute(shown, "val") not in _OFF


def _mark_deleted(shape: Element) -> bool:
    mark = _child(shape, "rPr")
    return mark is not None and any(local(one) in ("del", "moveFrom") for one in mark)


def _is_separator(note: Element) -> bool:
    return attribute(note, "type") not in ("", "normal")


def _is_default(style: Element) -> bool:
    return attribute(style, "type") == "paragraph" and attribute(style, "default") in ("1", "true", "on")


def _child(element: Element | None, name: str) -> Element | None:
    if element is not None:
        for child in element:
            if local(child) == name:
                return child
    return None


def _value(element: Element | None, name: str) -> str:
    """The `val` of a child."""
    child = _child(element, name)
    return attribute(child, "val") if child is not None else ""


def _number(text: str, otherwise: int) -> int:
    return int(text) if text.isdigit() and len(text) < 10 else otherwise


def _character(code: str) -> str:
    try:
        return chr(int(code, 16))
    except (ValueError, OverflowError):
        return ""
