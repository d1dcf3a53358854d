"""Word processor files, presentations and spreadsheets of Microsoft Office, new and old, through dochan."""

from __future__ import annotations

import io
from typing import Any

from kosearch.extract import calamine
from kosearch.extract.builder import TextBuilder
from kosearch.extract.containers import Package, compound_properties, package_properties
from kosearch.extract.dochan_model import Renderer, check, parse
from kosearch.records import Extraction

_SHEETS = ("xlsx", "xls")
_BINARY_WORKBOOK = "xl/workbook.bin"
# dochan needs half a second for a megabyte of sheets and stops at 200,000 cells; beyond, calamine reads bare values.
_LARGEST_SHEETS, _LARGEST_XLS = 8 << 20, 4 << 20


def read_pptx(data: bytes, path: str) -> Extraction:
    """PowerPoint, since 2007: a page a slide, notes after their slide."""
    from dochan.ooxml.pptx import PPTXReader

    return _package(data, "pptx", PPTXReader())


def read_doc(data: bytes, path: str) -> Extraction:
    """Word, to 2003."""
    return _extraction(parse(data), "doc", compound_properties(data))


def read_ppt(data: bytes, path: str) -> Extraction:
    """PowerPoint, to 2003."""
    return _extraction(parse(data), "ppt", compound_properties(data))


def read_xls(data: bytes, path: str) -> Extraction:
    """Excel, to 2003."""
    if len(data) > _LARGEST_XLS:
        return calamine.read(data, "xls", compound_properties(data))
    return _extraction(parse(data), "xls", compound_properties(data))


def _package(data: bytes, kind: str, reader: Any) -> Extraction:
    return _extraction(reader.read(io.BytesIO(data)), kind, package_properties(Package(data)))


def _extraction(document: Any, kind: str, stated: tuple[str, dict[str, str]]) -> Extraction:
    builder = TextBuilder()
    renderer = Renderer(builder, named_columns=kind in _SHEETS)
    for number, section in enumerate(document.sections, 1):
        place = section.provenance
        if kind in _SHEETS:
            builder.page(number, getattr(place, "sheet", "") or "")
        elif kind in ("pptx", "ppt"):
            builder.page(getattr(place, "slide", 0) or number)
        renderer.write(section.elements)
    warnings = check(document, builder.document(kind).text)
    title, metadata = stated
    return Extraction((builder.document(kind, title=title, metadata=metadata, warnings=warnings),))
