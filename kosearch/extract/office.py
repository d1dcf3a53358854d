"""Word and PowerPoint to 2003, through dochan."""

from __future__ import annotations

from typing import Any

from kosearch.extract import doc
from kosearch.extract.builder import TextBuilder
from kosearch.extract.containers import compound_properties
from kosearch.extract.dochan_model import Renderer, check, named, parse
from kosearch.records import Extraction


def read_doc(data: bytes, path: str) -> Extraction:
    """Word, to 2003."""
    with named(data) as name:
        document = doc.parse(name)
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
