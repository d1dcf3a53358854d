"""Word processor files, presentations and spreadsheets of Microsoft Office, new and old, through dochan."""

from __future__ import annotations

from typing import Any

from kosearch.extract import doc
from kosearch.extract.builder import TextBuilder
from kosearch.extract.containers import compound_properties, element_properties, local, parse_xml
from kosearch.extract.dochan_model import Renderer, check, named, parse
from kosearch.extract.opc import Parts
from kosearch.records import Extraction


def read_doc(data: bytes, path: str) -> Extraction:
    """Word, to 2003."""
    with named(data) as name:
        document = doc.parse(name)
    return _extraction(document, "doc", compound_properties(data))


def read_ppt(data: bytes, path: str) -> Extraction:
    """PowerPoint, to 2003."""
    return _extraction(parse(data), "ppt", compound_properties(data))


def read_xml(data: bytes, path: str) -> Extraction:
    """Documents of Office and OpenDocument in a single XML file: flat OPC, WordML, SpreadsheetML, FODT, FODS, FODP."""
    from kosearch.extract import docx, opendocument, pptx, xls

    root = parse_xml(data)
    name = local(root)
    if name == "wordDocument":
        return docx.read_wordml(root)
    if name == "Workbook":
        return xls.read_xml(root)
    if name == "document":
        return opendocument.read_flat(root)
    parts = Parts.of_flat(root)
    stated = parts.xml("docProps/core.xml")
    fields = element_properties(stated) if stated is not None else ("", {})
    return (pptx.read_parts if "ppt/presentation.xml" in parts else docx.read_parts)(parts, fields)


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
