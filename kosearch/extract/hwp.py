"""Hangul documents: HWP 5 (distribution documents too) and HWPX through dochan."""

from __future__ import annotations

from kosearch.extract import ExtractError, hwp_numbers, hwpx
from kosearch.extract.builder import TextBuilder
from kosearch.extract.containers import Package, compound_properties, package_properties
from kosearch.extract.dochan_model import Renderer, check, parse
from kosearch.extract.hwp_numbers import Numbers
from kosearch.records import Extraction, Reason

_HWP3 = b"HWP Document File V"


def read(data: bytes, path: str) -> Extraction:
    """An HWP 5 or HWPX document."""
    if data.startswith(_HWP3):
        raise ExtractError(Reason.UNSUPPORTED, "HWP 3 or older: save it as HWPX or PDF with Hangul")
    if data.startswith(b"PK"):
        package = Package(data)
        title, metadata = package_properties(package)
        numbers = Numbers(hwp_numbers.of_package(package))
        document = hwpx.parse(data)
    else:
        title, metadata = compound_properties(data)
        numbers = Numbers(hwp_numbers.of_compound(data))
        document = parse(data)
    builder = TextBuilder()
    renderer = Renderer(builder, numbered=numbers.numbered)
    for place, section in enumerate(document.sections):
        numbers.section(place)
        renderer.write(section.elements)
    warnings = check(document, builder.document("hwp").text)
    return Extraction((builder.document("hwp", title=title, metadata=metadata, warnings=warnings),))
