"""OpenDocument text, spreadsheets and presentations (ODF 1.3 part 3), read from their own XML."""

from __future__ import annotations

from collections.abc import Iterator
from xml.etree.ElementTree import Element

from kosearch.extract import ExtractError
from kosearch.extract.builder import LINE, PARAGRAPH, TextBuilder, table_lines
from kosearch.extract.containers import Package, attribute, element_properties, local, package_properties, parse_xml
from kosearch.records import Extraction, Reason

_LEFT_OUT = frozenset(
    str.split("tracked-changes annotation forms sequence-decls variable-decls desc title note-citation")
)
_PAGES = frozenset(("page", "table"))
_MOST_REPEATS = 64
"""A spreadsheet says "this row, a million times more" of its empty end; a row is repeated this often at most."""


def read(data: bytes, path: str) -> Extraction:
    """An OpenDocument package; sheets and slides are pages."""
    package = Package(data)
    if "META-INF/manifest.xml" in package and b"encryption-data" in package.read("META-INF/manifest.xml"):
        raise ExtractError(Reason.ENCRYPTED, "encrypted: opening it needs a password")
    return _read(parse_xml(package.read("content.xml")), package_properties(package))


def read_flat(root: Element) -> Extraction:
    """An OpenDocument file in a single XML file."""
    return _read(root, element_properties(root))


def _read(root: Element, stated: tuple[str, dict[str, str]]) -> Extraction:
    body = next((element for element in root.iter() if local(element) == "body"), None)
    if body is None or not len(body):
        raise ExtractError(Reason.NO_TEXT, "holds no text")
    kind = {"spreadsheet": "ods", "presentation": "odp"}.get(local(body[0]), "odt")
    writer = _Writer(kind)
    writer.write(body[0])
    title, metadata = stated
    return Extraction((writer.builder.document(kind, title=title, metadata=metadata),))


class _Writer:
    def __init__(self, kind: str) -> None:
        self.builder = TextBuilder()
        self._kind = kind
        self._page = 0
        self._in_list = False
        self._notes: list[str] = []

    def write(self, element: Element, bullet: str = "") -> None:
        for child in element:
            name = local(child)
            if name in _LEFT_OUT:
                continue
            if name == "h":
                self.builder.heading(self._inline(child), int(attribute(child, "outline-level") or 1))
            elif name == "p":
                text = self._inline(child).strip()
                self.builder.add(bullet + text if text else "", gap=LINE if bullet and self._in_list else PARAGRAPH)
                self._in_list = bool(bullet)
            elif name == "list-item":
                self.write(child, "- ")
            elif name == "table":
                self._table(child)
            else:
                if name == "page":
                    self._start_page(child)
                self.write(child, bullet)
            self._write_notes()

    def _start_page(self, element: Element) -> None:
        self._page += 1
        self.builder.page(self._page, attribute(element, "name") if self._kind == "ods" else "")

    def _table(self, table: Element) -> None:
        if self._kind == "ods":
            self._start_page(table)
        rows = [[self._cell(cell) for cell in _repeated(row, "table-cell")] for row in _rows(table)]
        lines = table_lines([row for row in rows if any(row)], named_columns=self._kind == "ods")
        for number, line in enumerate(lines):
            self.builder.add(line, gap=LINE if number else PARAGRAPH)

    def _cell(self, cell: Element) -> str:
        texts = (self._inline(part) for part in cell.iter() if local(part) in ("p", "h"))
        return " ".join(" ".join(texts).split())

    def _inline(self, element: Element) -> str:
        """The text of a paragraph; notes are put aside, boxes anchored in it follow their anchor."""
        parts = [element.text or ""]
        for child in element:
            name = local(child)
            if name == "note":
                body = (part for part in child if local(part) == "note-body")
                self._notes.append(" ".join(" ".join("".join(part.itertext()) for part in body).split()))
            elif name == "s":
                parts.append(" " * min(int(attribute(child, "c") or 1), _MOST_REPEATS))
            elif name in ("tab", "line-break"):
                parts.append("\t" if name == "tab" else "\n")
            elif name not in _LEFT_OUT:
                parts.append(self._inline(child))
            parts.append(child.tail or "")
        return "".join(parts)

    def _write_notes(self) -> None:
        notes, self._notes = self._notes, []
        for note in notes:
            self.builder.add(note)


def _rows(table: Element) -> Iterator[Element]:
    for child in table:
        if local(child) == "table-row":
            yield from [child] * min(int(attribute(child, "number-rows-repeated") or 1), _MOST_REPEATS)
        elif local(child) in ("table-header-rows", "table-rows", "table-row-group"):
            yield from _rows(child)


def _repeated(row: Element, name: str) -> Iterator[Element]:
    for cell in row:
        if local(cell) in (name, f"covered-{name}"):
            yield from [cell] * min(int(attribute(cell, "number-columns-repeated") or 1), _MOST_REPEATS)
