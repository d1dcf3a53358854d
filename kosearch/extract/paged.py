"""Pages drawn in packages: XPS documents (ECMA-388) and Visio drawings (.vsdx)."""

from __future__ import annotations

import re
from collections.abc import Iterator
from posixpath import dirname, join, normpath
from xml.etree.ElementTree import Element

from kosearch.extract.builder import LINE, PARAGRAPH, TextBuilder
from kosearch.extract.containers import Package, attribute, local, package_properties, parse_xml
from kosearch.extract.contract import ExtractError
from kosearch.records import Extraction, Reason

_NUMBER = re.compile(r"-?\d+(?:\.\d+)?")
_SAME_LINE = 0.5
"""Glyphs stand on one line when their bases differ by less than so many heights."""
_PARAGRAPH_STEP = 1.8
_SPACE = 0.3
_ADVANCE = 0.5
"""How wide a character is at least, in heights, where nothing says it."""


def read_xps(data: bytes, path: str) -> Extraction:
    """An XPS or OpenXPS document."""
    package = Package(data)
    pages = [page for page in _fixed_pages(package) if page in package] or sorted(
        (name for name in package if name.lower().endswith(".fpage")), key=_natural
    )
    if not pages:
        raise ExtractError(Reason.BROKEN, "an XPS document without pages")
    builder = TextBuilder()
    for number, name in enumerate(pages, 1):
        builder.page(number)
        _write_page(builder, parse_xml(package.read(name)))
    title, metadata = package_properties(package)
    return Extraction((builder.document("xps", title=title, metadata=metadata),))


def _fixed_pages(package: Package) -> Iterator[str]:
    """The pages in their order, through the sequence of documents and each document's list."""
    for sequence in (name for name in package if name.lower().endswith(".fdseq")):
        for document in _sources(package, sequence, "DocumentReference"):
            yield from _sources(package, document, "PageContent")


def _sources(package: Package, part: str, element: str) -> list[str]:
    if part not in package:
        return []
    places = (attribute(one, "Source") for one in parse_xml(package.read(part)).iter() if local(one) == element)
    return [place.lstrip("/") if place.startswith("/") else normpath(join(dirname(part), place)) for place in places]


def _write_page(builder: TextBuilder, root: Element) -> None:
    """The texts of a page, glyphs of one base line joined."""
    line, base, right, height = "", 0.0, 0.0, 0.0
    gap = PARAGRAPH
    for glyphs in (one for one in root.iter() if local(one) == "Glyphs"):
        text = attribute(glyphs, "UnicodeString").removeprefix("{}")
        size = _float(attribute(glyphs, "FontRenderingEmSize")) or 1.0
        x, y = _float(attribute(glyphs, "OriginX")), _float(attribute(glyphs, "OriginY"))
        if line and abs(y - base) < _SAME_LINE * max(size, height):
            line += (" " if x - right > _SPACE * size and not line.endswith(" ") else "") + text
        else:
            builder.add(line, gap=gap)
            gap = LINE if line and 0 < y - base < _PARAGRAPH_STEP * max(size, height) else PARAGRAPH
            line, base, height = text, y, size
        right = x + sum(size * (1.0 if character >= "\u1100" else _ADVANCE) for character in text)
    builder.add(line, gap=gap)


def read_vsdx(data: bytes, path: str) -> Extraction:
    """A drawing of Visio, since 2013: the texts of the shapes on each page."""
    package = Package(data)
    builder = TextBuilder()
    for number, (label, part) in enumerate(_drawing_pages(package), 1):
        builder.page(number, label)
        builder.heading(label, 1)
        for text in (one for one in parse_xml(package.read(part)).iter() if local(one) == "Text"):
            builder.add(" ".join("".join(text.itertext()).split()), gap=LINE)
    title, metadata = package_properties(package)
    return Extraction((builder.document("vsdx", title=title, metadata=metadata),))


def _drawing_pages(package: Package) -> list[tuple[str, str]]:
    """The names and parts of the pages in their order."""
    listing, relations = "visio/pages/pages.xml", "visio/pages/_rels/pages.xml.rels"
    if listing not in package or relations not in package:
        parts = sorted((one for one in package if re.fullmatch(r"visio/pages/page\d+\.xml", one)), key=_natural)
        return [("", part) for part in parts]
    targets = {
        attribute(one, "Id"): normpath(join("visio/pages", attribute(one, "Target")))
        for one in parse_xml(package.read(relations))
    }
    pages = []
    for page in parse_xml(package.read(listing)):
        reference = next((attribute(one, "id") for one in page if local(one) == "Rel"), "")
        if targets.get(reference, "") in package and attribute(page, "Background") != "1":
            pages.append((attribute(page, "Name"), targets[reference]))
    return pages


def _natural(name: str) -> list[tuple[int, str]]:
    """page2 before page10."""
    return [(int(digits) if digits else 0, letters) for letters, digits in re.findall(r"(\D*)(\d*)", name)]


def _float(text: str) -> float:
    found = _NUMBER.match(text.strip())
    return float(found[0]) if found else 0.0
