"""XML files as what they say: books (FB2), drawings (SVG, draw.io), places (KML), and any other, without their tags."""

from __future__ import annotations

import base64
import re
import zlib
from collections.abc import Iterator
from html import unescape
from html.entities import html5
from urllib.parse import unquote
from xml.etree.ElementTree import Element

from kosearch.extract.builder import LINE, PARAGRAPH, TextBuilder
from kosearch.extract.containers import attribute, element_properties, local, parse_xml, standard
from kosearch.extract.contract import ExtractError
from kosearch.extract.decoding import Decoded, decode, normalise
from kosearch.extract.html import from_text
from kosearch.extract.opc import Parts
from kosearch.records import Extracted, Extraction

_DECLARATION = re.compile(r"\A\s*<\?xml[^>]*\?>")
_ENCODING = re.compile(rb"""<\?xml[^>]*?encoding\s*=\s*["']([\w.:-]+)""")
_DOCTYPE = re.compile(r"<!DOCTYPE[^\[>]*(?:\[.*?\]\s*)?>", re.DOTALL)
_ENTITY = re.compile(r"""<!ENTITY\s+([^\s%"']{1,60})\s+(?:"([^"&%]{0,1000})"|'([^'&%]{0,1000})')\s*>""")
_REFERENCE = re.compile(r"&([^\s;&#]{1,60});")
_XML_NAMES = frozenset(("amp", "lt", "gt", "quot", "apos"))
_MOST_GROWTH = 4
_MARKUP = re.compile(r"<(?:/?[a-zA-Z][\w-]*|!--)[^<>]*>")
_HUMAN = re.compile(r"[가-힣]|[^\W\d_]{2,} +[^\W\d_]{2,}")
_WORD = re.compile(r"[^\W\d_]{2}")
_DEEPEST_HEADING = 6
_LARGEST_DIAGRAM = 64 << 20


def read(data: bytes, path: str) -> Extraction:
    """An XML file; one that is not well-formed is text as it stands."""
    found = _ENCODING.search(data[:1024])
    decoded = decode(data, declared=found[1].decode("ascii") if found else "")
    try:
        root = parse_xml(_standing_alone(decoded.text).encode("utf-8", "surrogatepass"))
    except ExtractError:
        return Extraction((_as_it_stands(decoded),))
    builder = TextBuilder()
    title, metadata = {"FictionBook": _fiction, "svg": _svg, "mxfile": _diagrams, "kml": _places}.get(
        local(root), _any
    )(builder, root)
    if not builder.length:
        return Extraction((_as_it_stands(decoded),))
    return Extraction((builder.document("xml", title=title, metadata=metadata, warnings=decoded.warnings),))


def _as_it_stands(decoded: Decoded) -> Extracted:
    return Extracted(normalise(decoded.text), "xml", warnings=decoded.warnings)


def _standing_alone(text: str) -> str:
    """The document without what it declares: its encoding is read, its own short entities and those of HTML are put in
    their places. Entities made of others, which grow without end, stay what a parser refuses."""
    text = _DECLARATION.sub("", text, count=1)
    doctype = _DOCTYPE.search(text)
    own = {name: one or other for name, one, other in _ENTITY.findall(doctype[0])} if doctype else {}
    bare = _DOCTYPE.sub("", text, count=1) if doctype else text
    most = _MOST_GROWTH * len(text) + 10_000

    def put(match: re.Match[str]) -> str:
        nonlocal most
        name = match[1]
        value = own.get(name)
        if name in _XML_NAMES:
            return match[0]
        if value is None:
            value = html5.get(f"{name};", match[0])
        most -= len(value)
        return value if most > 0 else match[0]

    return _REFERENCE.sub(put, bare)


Stated = tuple[str, dict[str, str]]


def _any(builder: TextBuilder, root: Element) -> Stated:
    """Values and running text, a line each; what stands in attributes where it is written for people."""
    for text, gap in _values(root):
        builder.add(text, gap=gap)
    return "", {}


def _values(element: Element) -> Iterator[tuple[str, str]]:
    stack = [(element, PARAGRAPH)]
    while stack:
        one, gap = stack.pop()
        mixed = (one.text or "").strip() or any((child.tail or "").strip() for child in one)
        named = [
            value
            for key, value in one.attrib.items()
            if "xmlns" not in key and "schemaLocation" not in key
            if _HUMAN.search(value) or (not len(one) and not mixed and _WORD.search(value))
        ]
        for value in named:
            yield _readable(value), gap
            gap = LINE
        if mixed:
            yield _readable(" ".join("".join(one.itertext()).split()) if len(one) else (one.text or "").strip()), gap
        else:
            leaf = LINE if all(not len(child) for child in one) else PARAGRAPH
            stack += [(child, leaf if number else gap) for number, child in reversed(list(enumerate(one)))]


def _readable(value: str) -> str:
    """A value; one that is markup itself, as what that shows."""
    if not _MARKUP.search(value):
        return unescape(value) if "&" in value else value
    return from_text(value).text or value


def _svg(builder: TextBuilder, root: Element) -> Stated:
    """Its texts, and what it says of itself."""
    title = ""
    for element in root.iter():
        name = local(element)
        if name in ("title", "desc", "text"):
            text = " ".join("".join(element.itertext()).split())
            builder.add(text, gap=LINE if builder.length else PARAGRAPH)
            title = title or (text if name == "title" else "")
    return title, {}


def _diagrams(builder: TextBuilder, root: Element) -> Stated:
    """The pages of draw.io, packed or not; their cells hold HTML."""
    for number, diagram in enumerate((one for one in root.iter() if local(one) == "diagram"), 1):
        label = attribute(diagram, "name")
        builder.page(number, label)
        if label:
            builder.heading(label, 1)
        model = diagram if len(diagram) else _unpacked(diagram.text or "")
        for cell in model.iter() if model is not None else ():
            value = attribute(cell, "value") or attribute(cell, "label")
            if value:
                builder.add(_readable(value), gap=LINE)
    return "", {}


def _unpacked(text: str) -> Element | None:
    """What draw.io packs: base64 of raw deflate of a URL-encoded model."""
    try:
        stream = zlib.decompressobj(-15)
        packed = stream.decompress(base64.b64decode(text), _LARGEST_DIAGRAM)
        return parse_xml(unquote(packed.decode("utf-8", "replace")).encode())
    except (ValueError, zlib.error, ExtractError):
        return None


def _places(builder: TextBuilder, root: Element) -> Stated:
    """Names and descriptions of folders and places."""
    title = ""
    for element in root.iter():
        if local(element) not in ("Document", "Folder", "Placemark", "GroundOverlay"):
            continue
        fields = {local(child): (child.text or "").strip() for child in element}
        title = title or fields.get("name", "")
        if fields.get("name"):
            builder.heading(fields["name"], {"Document": 1, "Folder": 2}.get(local(element), 3))
        for name in ("address", "phoneNumber", "Snippet", "description"):
            if fields.get(name):
                builder.add(_readable(fields[name]), gap=LINE)
        for data in (one for one in element if local(one) == "ExtendedData"):
            for pair in data:
                value = " ".join("".join(pair.itertext()).split())
                builder.add(f"{attribute(pair, 'name')}: {value}" if value else "", gap=LINE)
    return title, {}


def _fiction(builder: TextBuilder, root: Element) -> Stated:
    """A book of FictionBook 2: sections with their titles; notes stand in a body of their own."""
    stated = next((one for one in root.iter() if local(one) == "title-info"), None)
    for body in (one for one in root if local(one) == "body"):
        _section(builder, body, 1)
    if stated is None:
        return element_properties(root)
    fields = {local(one): " ".join("".join(one.itertext()).split()) for one in stated}
    return fields.get("book-title", ""), standard(
        {"author": fields.get("author", ""), "date": fields.get("date", ""), "lang": fields.get("lang", "")}
    )


def _section(builder: TextBuilder, element: Element, level: int) -> None:
    for child in element:
        name = local(child)
        text = " ".join("".join(child.itertext()).split())
        if name == "title":
            builder.heading(text, min(level, _DEEPEST_HEADING))
        elif name in ("section", "poem", "cite", "epigraph", "stanza"):
            _section(builder, child, level + 1)
        elif name not in ("image", "empty-line"):
            builder.add(text)


def read_office(data: bytes, path: str) -> Extraction:
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
