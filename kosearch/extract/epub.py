"""EPUB: the chapters of the spine, one after the other, each read as the XHTML it is."""

from __future__ import annotations

from posixpath import dirname, join, normpath
from urllib.parse import unquote
from xml.etree.ElementTree import Element

from kosearch.extract import ExtractError, properties, web
from kosearch.extract.blocks import TextBuilder
from kosearch.extract.packages import Package
from kosearch.extract.safexml import attribute, local, parse_xml
from kosearch.records import Extraction, Reason

_CONTAINER = "META-INF/container.xml"


def read(data: bytes, path: str) -> Extraction:
    """An EPUB 2 or 3 book."""
    package = Package(data)
    opf = _package_document(package)
    root = parse_xml(package.read(opf))
    places = {
        attribute(item, "id"): normpath(join(dirname(opf), unquote(attribute(item, "href"))))
        for item in _named(root, "item")
        if "nav" not in attribute(item, "properties").split()
    }
    builder = TextBuilder()
    warnings = []
    for chapter in _named(root, "itemref"):
        place = places.get(attribute(chapter, "idref"), "")
        if place in package:
            builder.append(web.page(package.read(place)))
        elif place:
            warnings.append(f"a chapter is missing: {place}")
    if not builder.length and "META-INF/encryption.xml" in package:
        raise ExtractError(Reason.DRM, "protected by DRM: only its own program opens it")
    title, metadata = properties.of_elements(root)
    return Extraction((builder.document("epub", title=title, metadata=metadata, warnings=warnings),))


def _package_document(package: Package) -> str:
    for element in _named(parse_xml(package.read(_CONTAINER)), "rootfile"):
        if place := attribute(element, "full-path"):
            return place
    raise ExtractError(Reason.BROKEN, "an EPUB that does not name its contents")


def _named(root: Element, name: str) -> list[Element]:
    return [element for element in root.iter() if local(element) == name]
