"""PowerPoint, since 2007 (ECMA-376 part 1, 19 and 20): a page a slide, its title a heading, notes after their slide."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from xml.etree.ElementTree import Element

from kosearch.extract import drawing
from kosearch.extract.builder import LINE, PARAGRAPH, TextBuilder, table_lines
from kosearch.extract.containers import Package, attribute, local, package_properties
from kosearch.extract.numerals import written
from kosearch.extract.opc import Parts
from kosearch.records import Extraction

_TITLES = frozenset(("title", "ctrTitle"))
_FURNITURE = frozenset(("sldNum", "dt", "hdr", "sldImg"))
_LONGEST_TITLE = 150
_LONGEST_SPAN = 60
_DEEPEST = 60
_ONE_HEIGHT = 360_000
"""EMU, one centimetre: shapes whose upper edges differ less stand at one height."""
_SCHEME = re.compile(r"(alphaLc|alphaUc|arabicDb|arabic|circleNum|romanLc|romanUc|ea1\w{3,6}?)(?:Db|Wd\w*)?"
                     r"(Period|ParenR|ParenBoth|Minus|Plain)?")  # fmt: skip
_STYLES = {
    "alphaLc": "lowerLetter", "alphaUc": "upperLetter", "arabic": "decimal", "arabicDb": "decimalFullWidth",
    "circleNum": "decimalEnclosedCircle", "romanLc": "lowerRoman", "romanUc": "upperRoman",
}  # fmt: skip
_FORMS = {"Period": "{}.", "ParenR": "{})", "ParenBoth": "({})", "Minus": "{}-"}


def read(data: bytes, path: str) -> Extraction:
    """A presentation."""
    package = Package(data)
    return read_parts(Parts(package), package_properties(package))


def read_parts(parts: Parts, stated: tuple[str, dict[str, str]]) -> Extraction:
    """A presentation in parts, with the title and fields that it states elsewhere."""
    main = parts.main("pptx")
    root = parts.whole(main)
    writer = _Writer(parts)
    writer.authors(main)
    number = 0
    for listing in root:
        if local(listing) == "sldIdLst":
            for entry in listing:
                number += 1
                writer.slide(parts.target(main, _relation(entry)), number)
    title, metadata = stated
    return Extraction((writer.builder.document("pptx", title=title, metadata=metadata),))


def _relation(element: Element) -> str:
    """The identifier of a relationship, which is the one with a namespace where there are two."""
    names = sorted(element.attrib, key=lambda key: not key.startswith("{"))
    return next((element.attrib[name] for name in names if name.rpartition("}")[2] == "id"), "")


class _Writer:
    def __init__(self, parts: Parts) -> None:
        self.builder = TextBuilder()
        self._parts = parts
        self._part = ""
        self._seen: set[str] = set()
        self._authors: dict[str, str] = {}

    def authors(self, main: str) -> None:
        """Learn who wrote the comments."""
        for kind in ("commentAuthors", "authors"):
            for name in self._parts.targets(main, kind):
                root = self._parts.optional(name)
                for author in root if root is not None else ():
                    self._authors[attribute(author, "id")] = attribute(author, "name")

    def slide(self, part: str, number: int) -> None:
        """A slide, its notes and its comments; one that is damaged or missing has no text."""
        root = self._parts.optional(part)
        tree = next((one for one in root.iter() if local(one) == "spTree"), None) if root is not None else None
        if tree is None:
            return
        self._part = part
        self.builder.page(number)
        shapes = self._in_order(list(_shapes(tree)))
        for shape in shapes:
            self._shape(shape, 0)
        for name in self._parts.targets(part, "notesSlide"):
            notes = self._parts.optional(name)
            for shape in notes.iter() if notes is not None else ():
                if local(shape) == "sp" and _placeholder(shape) == "body":
                    self._body(shape, "body")
        for name in self._parts.targets(part, "comments"):
            self._comments(self._parts.optional(name))

    def _in_order(self, shapes: Sequence[Element]) -> list[Element]:
        """The title, then from top to bottom, and from left to right what stands at one height."""
        layouts = (self._parts.optional(name) for name in self._parts.targets(self._part, "slideLayout"))
        inherited = {
            _identity(one): place
            for layout in layouts if layout is not None
            for one in layout.iter() if local(one) == "sp" and (place := _place(one))
        }  # fmt: skip
        placed = [(_place(shape) or inherited.get(_identity(shape)) or (0, 0), shape) for shape in shapes]

        def order(entry: tuple[tuple[int, int], Element]) -> tuple[bool, int, int]:
            (left, top), shape = entry
            return _placeholder(shape) not in _TITLES, top // _ONE_HEIGHT, left

        return [shape for _, shape in sorted(placed, key=order)]

    def _shape(self, shape: Element, depth: int) -> None:
        kind = local(shape)
        if depth > _DEEPEST:
            return
        if kind in ("sp", "cxnSp"):
            self._body(shape, _placeholder(shape))
        elif kind == "pic":
            self._described(shape)
        elif kind == "graphicFrame":
            self._frame(shape)
        elif kind in ("grpSp", "AlternateContent", "Choice"):
            inner = shape
            if kind == "AlternateContent":
                inner = next((one for one in shape if local(one) == "Choice" and len(one)), shape)
            for child in inner:
                if local(child) != "Fallback" or inner is shape:
                    self._shape(child, depth + 1)
        elif kind == "Fallback":
            for child in shape:
                self._shape(child, depth + 1)

    def _described(self, shape: Element) -> None:
        said = next((attribute(one, "descr") for one in shape.iter() if local(one) == "cNvPr"), "")
        self.builder.add(drawing.description(said))

    def _body(self, shape: Element, place: str) -> None:
        """The paragraphs of a shape: a title as heading, what repeats on every slide once."""
        if place in _FURNITURE:
            return
        if place == "ftr":
            text = " ".join("".join(_letters(shape)).split())
            if text not in self._seen:
                self._seen.add(text)
                self.builder.add(text)
            return
        for body in shape:
            if local(body) != "txBody":
                continue
            texts = [text for text in _paragraphs(body) if text.strip()]
            if place in _TITLES and (title := " ".join(" ".join(texts).split())) and len(title) <= _LONGEST_TITLE:
                self.builder.heading(title, 1)
                continue
            for text in texts:
                self.builder.add(text)

    def _frame(self, frame: Element) -> None:
        """A table, chart or diagram."""
        for element in frame.iter():
            kind = local(element)
            if kind == "tbl":
                self._rows([list(_cells(row)) for row in element if local(row) == "tr"])
                return
            if kind in ("chart", "relIds"):
                identifier = attribute(element, "id" if kind == "chart" else "dm")
                root = self._parts.optional(self._parts.target(self._part, identifier))
                if root is not None and kind == "chart":
                    caption, rows = drawing.chart(root)
                    self.builder.add(caption)
                    self._rows([[(cell, False) for cell in row] for row in rows])
                elif root is not None:
                    for text in drawing.diagram(root):
                        self.builder.add(text)
        self._described(frame)

    def _rows(self, rows: Sequence[Sequence[tuple[str, bool]]]) -> None:
        """Rows of cells, each with whether it is covered by the one above."""
        lines: list[list[str]] = []
        for row in rows:
            above = lines[-1] if lines else []
            lines.append(
                [
                    (above[at] if at < len(above) and len(above[at]) <= _LONGEST_SPAN else "") if covered else text
                    for at, (text, covered) in enumerate(row)
                ]
            )
        filled = [line for line in lines if any(line)]
        for number, line in enumerate(table_lines(filled, named_columns=False)):
            self.builder.add(line, gap=LINE if number else PARAGRAPH)

    def _comments(self, root: Element | None) -> None:
        for comment in root.iter() if root is not None else ():
            if local(comment) not in ("cm", "reply"):
                continue
            texts = []
            for child in comment:
                if local(child) == "text":
                    texts.append(child.text or "")
                elif local(child) == "txBody":
                    texts += _paragraphs(child)
            author = self._authors.get(attribute(comment, "authorId"), "")
            text = " ".join(" ".join(texts).split())
            self.builder.add(f"[{author}] {text}" if author and text else text)


def _shapes(tree: Element) -> Iterator[Element]:
    return (shape for shape in tree if local(shape) not in ("nvGrpSpPr", "grpSpPr"))


def _placeholder(shape: Element) -> str:
    """What a shape is a placeholder for: title, body, …; "" for a shape of its own."""
    for outer in shape:
        if local(outer) == "nvSpPr":
            for element in outer.iter():
                if local(element) == "ph":
                    return attribute(element, "type") or "obj"
    return ""


def _identity(shape: Element) -> tuple[str, str]:
    """By what a placeholder of a slide finds its own on the layout."""
    found = next((one for one in shape.iter() if local(one) == "ph"), None)
    return (attribute(found, "idx"), "") if found is not None and attribute(found, "idx") else ("", _placeholder(shape))


def _place(shape: Element) -> tuple[int, int] | None:
    """Where a shape's upper left corner lies, from the left and from the top."""
    for element in shape.iter():
        if local(element) == "off":
            try:
                return int(attribute(element, "x")), int(attribute(element, "y"))
            except ValueError:
                return None
    return None


def _letters(shape: Element) -> Iterator[str]:
    return (element.text or "" for element in shape.iter() if local(element) == "t")


def _cells(row: Element) -> Iterator[tuple[str, bool]]:
    for cell in row:
        if local(cell) == "tc":
            bodies = (_paragraphs(body) for body in cell if local(body) == "txBody")
            covered = attribute(cell, "vMerge") in ("1", "true")
            merged = attribute(cell, "hMerge") in ("1", "true")
            yield ("" if merged else " ".join(text for body in bodies for text in body if text.strip())), covered


def _paragraphs(body: Element) -> Iterator[str]:
    """The paragraphs of a text body, automatic numbers in front."""
    defaults = {local(one): one for style in body if local(style) == "lstStyle" for one in style}
    counts: dict[int, tuple[str, int]] = {}
    for paragraph in body:
        if local(paragraph) != "p":
            continue
        text = drawing.drawn_text(paragraph)
        shape = next((one for one in paragraph if local(one) == "pPr"), None)
        level = attribute(shape, "lvl") if shape is not None else ""
        depth = int(level) if level.isdigit() and len(level) == 1 else 0
        scheme, start = _numbering(shape, defaults.get(f"lvl{depth + 1}pPr"))
        for deeper in [one for one in counts if one > depth]:
            del counts[deeper]
        if not text.strip():
            continue
        if scheme:
            before, count = counts.get(depth, ("", 0))
            counts[depth] = (scheme, count + 1 if before == scheme else start)
            text = f"{_number(scheme, counts[depth][1])} {text}"
        else:
            counts.pop(depth, None)
        yield text


def _numbering(shape: Element | None, default: Element | None) -> tuple[str, int]:
    for source in (shape, default):
        for element in source if source is not None else ():
            if local(element) == "buAutoNum":
                start = attribute(element, "startAt")
                return attribute(element, "type"), int(start) if start.isdigit() and len(start) < 6 else 1
            if local(element) in ("buNone", "buChar", "buBlip"):
                return "", 1
    return "", 1


def _number(scheme: str, count: int) -> str:
    found = _SCHEME.match(scheme)
    if not found:
        return f"{count}."
    style = _STYLES.get(found[1], "japaneseCounting")
    return _FORMS.get(found[2] or "", "{}").format(written(count, style))
