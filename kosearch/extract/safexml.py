"""XML that nobody vouches for: no entities, no external files, bounded depth."""

from __future__ import annotations

from xml.etree.ElementTree import Element, TreeBuilder
from xml.parsers import expat

from kosearch.extract import ExtractError
from kosearch.records import Reason

_DEEPEST = 400


def parse_xml(data: bytes) -> Element:
    """The root element, names as "{namespace}local"; raises ExtractError for broken or unsafe XML."""
    parser = expat.ParserCreate(namespace_separator="}")
    builder = TreeBuilder()
    depth = 0

    def start(name: str, attributes: dict[str, str]) -> None:
        nonlocal depth
        depth += 1
        if depth > _DEEPEST:
            raise ExtractError(Reason.BROKEN, "XML is nested too deeply")
        builder.start(_name(name), {_name(key): value for key, value in attributes.items()})

    def end(name: str) -> None:
        nonlocal depth
        depth -= 1
        builder.end(_name(name))

    parser.StartElementHandler = start
    parser.EndElementHandler = end
    parser.CharacterDataHandler = builder.data
    parser.EntityDeclHandler = _refuse
    parser.UnparsedEntityDeclHandler = _refuse
    parser.ExternalEntityRefHandler = lambda *_: 1  # left out
    try:
        parser.Parse(data, True)
    except expat.ExpatError as error:
        raise ExtractError(Reason.BROKEN, f"broken XML: {error}") from error
    return builder.close()


def local(element: Element) -> str:
    """The element's name without its namespace."""
    return element.tag.rpartition("}")[2]


def attribute(element: Element, name: str) -> str:
    """An attribute by its name without namespace, "" when it is not there."""
    for key, value in element.attrib.items():
        if key.rpartition("}")[2] == name:
            return value
    return ""


def _name(name: str) -> str:
    return f"{{{name}" if "}" in name else name


def _refuse(*_: object) -> None:
    raise ExtractError(Reason.BROKEN, "XML with entities of its own, which are not expanded")
