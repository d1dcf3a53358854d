"""Hangul documents: HWP 5 (distribution documents too) and HWPX through dochan."""

from __future__ import annotations

from collections import Counter
from typing import Any

from kosearch.extract import ExtractError, hwp_numbers, hwp_reader, hwpx
from kosearch.extract.builder import TextBuilder
from kosearch.extract.containers import Package, compound_properties, package_properties
from kosearch.extract.dochan_model import Renderer, check, named
from kosearch.extract.hwp_numbers import Definitions, Numbers
from kosearch.records import Extraction, Reason

_HWP3 = b"HWP Document File V"


def read(data: bytes, path: str) -> Extraction:
    """An HWP 5 or HWPX document."""
    if data.startswith(_HWP3):
        raise ExtractError(Reason.UNSUPPORTED, "HWP 3 or older: save it as HWPX or PDF with Hangul")
    if data.startswith(b"PK"):
        package = Package(data)
        stated = package_properties(package)
        definitions = hwp_numbers.of_package(package)
        builder, document = _written(hwpx.parse(data), definitions, markers=False)
        if not builder.text.strip():  # a form of nothing but fields: what they ask for is all it says
            builder, document = _written(hwpx.parse(data, prompts=True), definitions, markers=False)
    else:
        stated = compound_properties(data)
        definitions = hwp_numbers.of_compound(data)
        with named(data) as name:
            builder, document = _written(hwp_reader.parse(name), definitions)
            if not builder.text.strip():
                builder, document = _written(hwp_reader.parse(name, prompts=True), definitions)
    warnings = check(document, builder.text)
    title, metadata = stated
    return Extraction((builder.document("hwp", title=title, metadata=metadata, warnings=warnings),))


def _written(document: Any, definitions: Definitions, *, markers: bool = True) -> tuple[TextBuilder, Any]:
    """dochan's document as text, and the document itself."""
    counts: Counter[str] = Counter()
    for note in document.find_all("note"):  # dochan counts footnotes and endnotes as one
        if note.number and note.type in ("footnote", "endnote"):
            counts[note.type] += 1
            note.number = counts[note.type]
    builder = TextBuilder()
    numbers = Numbers(definitions)
    renderer = Renderer(builder, numbered=numbers.numbered, markers=markers)
    for place, section in enumerate(document.sections):
        numbers.section(place)
        renderer.write(section.elements)
    return builder, document
