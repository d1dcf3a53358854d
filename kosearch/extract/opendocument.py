"""OpenDocument text, spreadsheets and presentations (ODF 1.3 part 3), packed or in a single XML file."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Callable, Collection, Iterator
from dataclasses import replace
from xml.etree.ElementTree import Element

from kosearch.extract import drawing, sheets
from kosearch.extract.containers import Package, attribute, element_properties, local, package_properties, parse_xml
from kosearch.extract.dochan_model import equation_script
from kosearch.extract.docx import HEADING_NAME, LONGEST_HEADING
from kosearch.extract.numbers import Counter, Level, List
from kosearch.extract.pictures import add_pictures, packaged
from kosearch.extract.sheets import Sheet
from kosearch.extract.text import LINE, PARAGRAPH, ExtractError, TextBuilder
from kosearch.records import Extraction, Reason

_LEFT_OUT = frozenset(
    str.split(
        "tracked-changes forms sequence-decls variable-decls user-field-decls desc title note-citation number"
        " enhanced-geometry glue-point event-listeners"
    )
)
_SHAPES = frozenset(
    str.split(
        "frame custom-shape rect circle ellipse line polyline polygon regular-polygon path connector caption measure g"
        " a text-box control"
    )
)
_PAGE_FIELDS = frozenset(("page-number", "page-count"))
_SLIDE_FURNITURE = frozenset(("page-number", "date-time", "header", "footer", "page", "handout"))
_ROW_GROUPS = frozenset(("table-header-rows", "table-rows", "table-row-group"))
_MOST_REPEATS = 64
"""A spreadsheet says "this row, a million times more" of its empty end; a row is repeated this often at most."""
_LONGEST_SPAN = 60
_DEEPEST = 60
_ANY_WORD = re.compile(r"\w")
_WORD = re.compile(r"[^\W\d]")
_LENGTH = re.compile(r"(-?\d{1,9}(?:\.\d{1,9})?)(\w*)")
_UNITS = {"in": 2.54, "mm": 0.1, "pt": 0.0353, "pc": 0.423, "px": 0.0265}
_ENCODED = re.compile(r"_([0-9a-f]{2})_")
_FORMATS = {
    "1": "decimal", "i": "lowerRoman", "I": "upperRoman", "a": "lowerLetter", "A": "upperLetter", "": "none",
    "①": "decimalEnclosedCircle", "가": "ganada", "ㄱ": "chosung", "㉮": "circledGanada", "㉠": "circledChosung",
    "일": "koreanCounting", "하나": "koreanLegal", "一": "japaneseCounting", "壹": "ideographLegalTraditional",
    "甲": "ideographTraditional", "子": "ideographZodiac", "１": "decimalFullWidth", "ア": "aiueo", "イ": "iroha",
}  # fmt: skip
"""Formats of numbers by the first of their series."""


def read(data: bytes, path: str) -> Extraction:
    """An OpenDocument package; sheets and slides are pages."""
    package = Package(data)
    if "META-INF/manifest.xml" in package and b"encryption-data" in package.read("META-INF/manifest.xml"):
        raise ExtractError(Reason.ENCRYPTED, "encrypted: opening it needs a password")
    root = parse_xml(package.read("content.xml"))
    return _read(root, package_properties(package), package)


def read_flat(root: Element) -> Extraction:
    """An OpenDocument file in a single XML file."""
    return _read(root, element_properties(root), None)


def _read(root: Element, stated: tuple[str, dict[str, str]], package: Package | None) -> Extraction:
    body = next((element for element in root.iter() if local(element) == "body"), None)
    if body is None or not len(body):
        raise ExtractError(Reason.NO_TEXT, "holds no text")
    kind = {"spreadsheet": "ods", "presentation": "odp"}.get(local(body[0]), "odt")
    styles = root
    if package is not None and "styles.xml" in package:
        styles = parse_xml(package.read("styles.xml"))
    writer = _Writer(kind, root, styles, package)
    writer.document(body[0])
    if kind == "odt" and package is not None:
        add_pictures(writer.builder, packaged(package, ("Pictures/",)))
    title, metadata = stated
    return Extraction((writer.builder.document(kind, title=title or writer.title, metadata=metadata),))


class _Styles:
    """Paragraph styles with what they inherit, and list styles."""

    def __init__(self, *roots: Element) -> None:
        self._elements = {
            attribute(one, "name"): one
            for root in roots for one in root.iter()
            if local(one) == "style" and attribute(one, "family") == "paragraph"
        }  # fmt: skip
        lists = {
            attribute(one, "name"): List(attribute(one, "name"), dict(_levels(one)))
            for root in roots for one in root.iter() if local(one) == "list-style"
        }  # fmt: skip
        outline = next((one for root in roots for one in root.iter() if local(one) == "outline-style"), None)
        if outline is not None:
            lists[""] = List("", dict(_levels(outline)))
        self.lists = lists

    def level(self, name: str) -> int:
        """The level of the heading that a paragraph of this style is, by its outline level or by its name; else 0."""
        for element, shown in self._chain(name):
            stated = attribute(element, "default-outline-level") if element is not None else ""
            if stated.isdigit():
                return int(stated)
            if found := HEADING_NAME.fullmatch(shown):
                return int(found[1])
        return 0

    def is_title(self, name: str) -> bool:
        """Whether paragraphs of this style are the document's title."""
        return any(shown.lower() in ("title", "제목") for _, shown in self._chain(name))

    def is_numbered(self, name: str) -> bool:
        """Whether headings of this style have the numbers of outlines; a style may say that it has none."""
        for element, _ in self._chain(name):
            for key, value in element.attrib.items() if element is not None else ():
                if key.rpartition("}")[2] == "list-style-name":
                    return bool(value)
        return True

    def _chain(self, name: str) -> Iterator[tuple[Element | None, str]]:
        seen: set[str] = set()
        while name and name not in seen:
            seen.add(name)
            element = self._elements.get(name)
            shown = attribute(element, "display-name") if element is not None else ""
            yield element, shown or _ENCODED.sub(lambda found: chr(int(found[1], 16)), name)
            name = attribute(element, "parent-style-name") if element is not None else ""


def _levels(style: Element) -> Iterator[tuple[int, Level]]:
    for element in style:
        level = attribute(element, "level")
        if not level.isdigit() or not 1 <= int(level) <= 10:
            continue
        place = int(level) - 1
        if local(element) == "list-level-style-bullet":
            shown = attribute(element, "bullet-char")
            yield place, Level("bullet", "•" if not shown or "\ue000" <= shown[0] <= "\uf8ff" else shown)
            continue
        form = _FORMATS.get(attribute(element, "num-format").partition(",")[0].strip(), "decimal")
        start = attribute(element, "start-value")
        shown_levels = attribute(element, "display-levels")
        depth = min(int(shown_levels), place + 1) if shown_levels.isdigit() else 1
        numbers = ".".join(f"%{one + 1}" for one in range(place + 1 - depth, place + 1)) if form != "none" else ""
        text = attribute(element, "num-prefix") + numbers + attribute(element, "num-suffix")
        listed = attribute(element, "num-list-format")
        if listed and form != "none":
            text = re.sub(r"%(\d+)%", r"%\1", listed)
        yield place, Level(form, text, int(start) if start.isdigit() else 1)


class _Writer:
    def __init__(self, kind: str, root: Element, styles: Element, package: Package | None) -> None:
        self.builder = TextBuilder()
        self.title = ""
        self._kind = kind
        self._package = package
        self._roots = (root, styles)
        self._styles = _Styles(styles, root)
        self._counter = Counter(dict(self._styles.lists))
        self._lists: list[str] = []
        self._runs = 0
        self._page = 0
        self._in_list = False
        self._label = ""
        self._notes: list[str] = []
        self._running = False
        self._flat = 0
        self._depth = 0

    def document(self, body: Element) -> None:
        """The body between the headers and the footers of its pages."""
        if self._kind == "odt":
            self._furniture("header")
        self.blocks(body)
        if self._kind == "odt":
            self._furniture("footer")

    def blocks(self, parent: Element) -> None:
        """The paragraphs, lists, tables and shapes in an element."""
        self._depth += 1
        if self._depth > _DEEPEST:
            raise ExtractError(Reason.BROKEN, "nested too deeply to be read")
        for child in parent:
            name = local(child)
            write = _WRITERS.get(name)
            if write is not None:
                write(self, child)
            elif name in _SHAPES:
                self._shape(child)
            elif name not in _LEFT_OUT and name != "annotation":
                self.blocks(child)
        self._depth -= 1

    # --- paragraphs -------------------------------------------------------------------------------------------------

    def _paragraph(self, paragraph: Element) -> None:
        anchored: list[Element] = []
        text = "".join(self._inline(paragraph, anchored)).strip()
        style = attribute(paragraph, "style-name")
        level = self._styles.level(style)
        if local(paragraph) == "h":
            stated = attribute(paragraph, "outline-level")
            level = int(stated) if stated.isdigit() else level or 1
        label, self._label = self._label, ""
        outlined = local(paragraph) == "h" and not self._lists and attribute(paragraph, "is-list-header") != "true"
        if outlined and text and self._styles.is_numbered(style):
            label = self._counter.label("", level - 1)
        whole = label + text if text else ""
        if not self.title and not self._flat and text and self._styles.is_title(style):
            self.title = text
        if level and not self._flat and len(whole) <= LONGEST_HEADING:
            self.builder.heading(whole, level)
        else:
            self.builder.add(whole, gap=LINE if label and self._in_list else PARAGRAPH)
        if whole:
            self._in_list = bool(label) and not level
        for shape in anchored:
            self._shape(shape)
        self._write_notes()

    def _list(self, element: Element) -> None:
        outermost = not self._lists
        name = attribute(element, "style-name") or (self._lists[-1] if self._lists else "\0")
        continues = attribute(element, "continue-numbering") == "true" or attribute(element, "continue-list")
        if outermost and name in self._styles.lists and not continues:
            self._runs += 1
            begun = replace(self._styles.lists[name], counter=f"{name}\0{self._runs}")
            self._counter.lists = {**self._counter.lists, name: begun}
        self._lists.append(name)
        for item in element:
            if local(item) in ("list-item", "list-header"):
                if local(item) == "list-item":
                    self._item(item, name)
                self.blocks(item)
                self._label = ""
        self._lists.pop()

    def _item(self, item: Element, name: str) -> None:
        first = next((local(one) for one in item), "")
        if first not in ("p", "h"):
            return
        level = len(self._lists) - 1
        start = attribute(item, "start-value")
        if start.isdigit() and len(start) < 7:
            self._counter.restart(name, level, int(start))
        known = name in self._counter.lists and level in self._counter.lists[name].levels
        self._label = self._counter.label(name, level) if known else "- "

    def _inline(self, element: Element, anchored: list[Element]) -> Iterator[str]:
        """The text of a paragraph; notes and shapes in it are put aside."""
        yield (element.text or "").replace("\u2011", "-")  # LibreOffice's hyphen that does not break
        for child in element:
            name = local(child)
            if name == "note":
                self._notes.append(self._note(child))
            elif name == "annotation":
                self._notes.append(self._comment(child))
            elif name == "s":
                yield " " * min(int(count) if (count := attribute(child, "c")).isdigit() else 1, _MOST_REPEATS)
            elif name in ("tab", "line-break"):
                yield "\t" if name == "tab" else "\n"
            elif name == "frame" and (formula := self._formula(child)):
                yield formula
            elif name in _SHAPES and name != "a":
                anchored.append(child)
            elif name == "ruby-text":
                said = "".join(self._inline(child, anchored)).strip()
                yield f"({said})" if said else ""
            elif name not in _LEFT_OUT and not (self._running and name in _PAGE_FIELDS):
                yield from self._inline(child, anchored)
            yield (child.tail or "").replace("\u2011", "-")

    def _note(self, note: Element) -> str:
        label = next(("".join(one.itertext()).strip() for one in note if local(one) == "note-citation"), "")
        text = "\n".join(self._plain(one) for one in note if local(one) == "note-body")
        return f"[{label}] {text}" if label and text else text

    def _comment(self, comment: Element) -> str:
        author = next(("".join(one.itertext()).strip() for one in comment if local(one) == "creator"), "")
        text = self._plain(_only(comment, ("p", "list")))
        return f"[{author}] {text}" if author and text else text

    def _write_notes(self) -> None:
        if self._flat:
            return
        notes, self._notes = self._notes, []
        for note in notes:
            self.builder.add(note)

    def _furniture(self, kind: str) -> None:
        """The headers or footers of all page styles, each text once."""
        seen: set[str] = set()
        self._running = True
        for root in dict.fromkeys(self._roots):
            for master in [one for one in root.iter() if local(one) == "master-page"]:
                for part in master:
                    if local(part).startswith(kind) and attribute(part, "display") != "false":
                        lines = (line for line in self._plain(part).split("\n") if _ANY_WORD.search(line))
                        text = "\n".join(lines)
                        if text not in seen and _WORD.search(text):
                            seen.add(text)
                            self.builder.add(text)
        self._running = False

    # --- shapes, charts, slides -------------------------------------------------------------------------------------

    def _shape(self, shape: Element) -> None:
        """The text of a shape, its chart or table, or what is said about its picture."""
        said = "\n".join(
            text for one in shape
            if local(one) in ("title", "desc") and (text := drawing.description("".join(one.itertext())))
        )  # fmt: skip
        place = attribute(shape, "class")
        if place in _SLIDE_FURNITURE:
            return
        if place == "title" and self._kind == "odp":
            self.builder.heading(" ".join(self._plain(shape).split()), 1)
            return
        chart = next((one for one in shape if local(one) == "object"), None)
        if chart is not None and self._object(chart):
            return
        self.blocks(shape)
        self.builder.add(said)

    def _object(self, element: Element) -> bool:
        """Write the chart that is kept beside the document or in it; whether there is one."""
        root = self._object_root(element)
        charts = (one for one in root.iter() if local(one) == "chart") if root is not None else ()
        chart = next((one for one in charts if any(local(child) == "plot-area" for child in one)), None)
        if chart is None:
            return False
        for kind in ("title", "subtitle"):
            for one in chart:
                if local(one) == kind:
                    self.builder.add(" ".join(" ".join(one.itertext()).split()))
        for table in chart.iter():
            if local(table) == "table":
                self.builder.table(_text_rows(table, lambda cell: self._cell(_only(cell, ("p",)))))
                break
        return True

    def _object_root(self, element: Element) -> Element | None:
        """What is kept of an object beside the document or in it."""
        root: Element | None = next(iter(element), None)
        name = posixpath.normpath(posixpath.join(attribute(element, "href"), "content.xml"))
        if self._package is not None and name in self._package:
            try:
                return parse_xml(self._package.read(name))
            except ExtractError:
                return None
        return root

    def _formula(self, frame: Element) -> str:
        """What the equation in a frame shows, from the words that it was written in."""
        holder = next((one for one in frame if local(one) == "object"), None)
        root = self._object_root(holder) if holder is not None else None
        if root is None or local(root) not in ("math", "semantics"):
            return ""
        return equation_script(next((one.text or "" for one in root.iter() if local(one) == "annotation"), ""))

    def _slide(self, page: Element) -> None:
        self._page += 1
        self.builder.page(self._page)
        shapes = sorted(page, key=lambda shape: (attribute(shape, "class") != "title", *_corner(shape)))
        for shape in shapes:
            name = local(shape)
            if name in _SHAPES:
                self._shape(shape)
        for notes in page:
            if local(notes) == "notes":
                self.blocks(notes)
            elif local(notes) == "annotation":
                self.builder.add(self._comment(notes))

    # --- tables -----------------------------------------------------------------------------------------------------

    def _table(self, table: Element) -> None:
        if self._kind == "ods" and not self._flat:
            self._page += 1
            sheets.write(self.builder, self._sheet(table), self._page)
            return
        self.builder.table(_text_rows(table, self._cell))
        self._write_notes()

    def _cell(self, cell: Element) -> str:
        return " ".join(self._plain(cell).split())

    def _sheet(self, table: Element) -> Sheet:
        sheet = Sheet(attribute(table, "name"))
        place = 0
        room = sheets.Room()
        for row in _rows(table):
            repeats = _count(row, "number-rows-repeated")
            cells: dict[int, str] = {}
            column = 0
            for cell in row:
                if local(cell) not in ("table-cell", "covered-table-cell"):
                    continue
                times = _count(cell, "number-columns-repeated")
                text = (
                    self._cell(_only(cell, ("p", "h", "list")))
                    or attribute(cell, "string-value")
                    or attribute(cell, "value")
                )
                if text and local(cell) == "table-cell":
                    cells |= dict.fromkeys(range(column, column + min(times, _MOST_REPEATS)), text)
                self._spanned(sheet, cell, place, column)
                for one in cell:
                    if local(one) == "annotation" and (note := self._comment(one)):
                        sheet.notes[place].append(note)
                    elif local(one) in _SHAPES:
                        sheet.after.append(self._plain(_only(cell, _SHAPES)))
                        break
                column += times
            if cells:
                for offset in range(min(repeats, _MOST_REPEATS)):
                    sheet.rows[place + offset] = dict(cells)
                if not room.take(cells):
                    break
            place += repeats
        self._notes.clear()
        for shapes in table:
            if local(shapes) == "shapes":
                sheet.after.append(self._plain(shapes))
        return sheet

    def _spanned(self, sheet: Sheet, cell: Element, place: int, column: int) -> None:
        down, right = _count(cell, "number-rows-spanned"), _count(cell, "number-columns-spanned")
        if down > 1 or right > 1:
            sheet.spans.append((place, place + down - 1, column, column + right - 1))

    def _plain(self, parent: Element) -> str:
        """All text within an element, a line a paragraph, without headings."""
        outer, self.builder = self.builder, TextBuilder()
        lists, self._lists, label, self._label = self._lists, [], self._label, ""
        self._flat += 1
        self.blocks(parent)
        self._flat -= 1
        self._lists, self._label = lists, label
        text, self.builder = self.builder.text, outer
        return "\n".join(line for line in text.split("\n") if line.strip())


_WRITERS: dict[str, Callable[[_Writer, Element], None]] = {
    "h": _Writer._paragraph,
    "p": _Writer._paragraph,
    "list": _Writer._list,
    "table": _Writer._table,
    "page": _Writer._slide,
}


def _corner(shape: Element) -> tuple[int, float]:
    """Where a shape begins, in centimetres: from the top, as a whole number, and from the left."""
    placed = next((one for one in shape.iter() if attribute(one, "y")), shape)
    top, left = (
        float(found[1]) * _UNITS.get(found[2], 1.0) if (found := _LENGTH.match(attribute(placed, name))) else 0.0
        for name in ("y", "x")
    )
    return int(top), left


def _only(element: Element, names: Collection[str]) -> Element:
    """An element with those of its children alone that have these names."""
    chosen = Element(element.tag)
    chosen.extend([child for child in element if local(child) in names])
    return chosen


def _text_rows(table: Element, text_of: Callable[[Element], str]) -> list[list[str]]:
    """A table's rows, short texts in merged cells repeated in each of their rows."""
    rows: list[list[str]] = []
    above: dict[int, tuple[str, int]] = {}
    for row in _rows(table):
        texts: list[str] = []
        for cell in row:
            kind = local(cell)
            if kind not in ("table-cell", "covered-table-cell"):
                continue
            at = len(texts)
            if kind == "covered-table-cell":
                text, left = above.get(at, ("", 0))
                above[at] = (text, left - 1)
                shown = text if left > 0 else ""
            else:
                shown = text_of(cell)
                below = _count(cell, "number-rows-spanned") - 1
                above[at] = (shown if len(shown) <= _LONGEST_SPAN else "", below)
            texts += [shown] * min(_count(cell, "number-columns-repeated"), _MOST_REPEATS)
        rows += [texts] * min(_count(row, "number-rows-repeated"), _MOST_REPEATS)
    return rows


def _rows(table: Element) -> Iterator[Element]:
    for child in table:
        if local(child) == "table-row":
            yield child
        elif local(child) in _ROW_GROUPS:
            yield from _rows(child)


def _count(element: Element, name: str) -> int:
    value = attribute(element, name)
    return max(int(value), 1) if value.isdigit() and len(value) < 9 else 1
