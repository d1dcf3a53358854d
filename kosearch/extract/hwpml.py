"""HWPML documents: Hangul's XML format before HWPX, read from their own XML."""

from __future__ import annotations

from collections.abc import Iterator
from xml.etree.ElementTree import Element

from kosearch.extract.builder import LINE, PARAGRAPH, TextBuilder, table_lines
from kosearch.extract.containers import local, parse_xml, standard
from kosearch.extract.dochan_model import equation_script
from kosearch.records import Extraction


def read(data: bytes, path: str) -> Extraction:
    """An HWPML document: Hangul's XML format before HWPX."""
    root = parse_xml(data)
    builder = TextBuilder()
    for body in root.iter():
        if local(body) == "SECTION":
            for paragraph in body:
                _write(builder, paragraph)
    fields = {local(element): (element.text or "") for element in root.iter() if local(element) in ("TITLE", "AUTHOR")}
    metadata = standard({"author": fields.get("AUTHOR", "")})
    return Extraction((builder.document("hwp", title=fields.get("TITLE", ""), metadata=metadata),))


def _write(builder: TextBuilder, paragraph: Element) -> None:
    """A paragraph's own text, then the tables, boxes and notes anchored in it."""
    builder.add("".join(_own_text(paragraph)).strip())
    for anchored in _anchored(paragraph):
        if local(anchored) == "TABLE":
            captions = [one for one in anchored.iter() if local(one) == "CAPTION"]
            above = [one for one in captions if one.get("Side") in ("Top", "Left")]
            for caption in above:
                _anchored_text(builder, caption)
            rows = [
                [" ".join(_all_text(cell)) for cell in row if local(cell) == "CELL"]
                for row in anchored
                if local(row) == "ROW"
            ]
            lines = table_lines([row for row in rows if any(row)], named_columns=False)
            for number, line in enumerate(lines):
                builder.add(line, gap=LINE if number else PARAGRAPH)
            for caption in captions:
                if caption not in above:
                    _anchored_text(builder, caption)
        else:
            _anchored_text(builder, anchored)


def _anchored_text(builder: TextBuilder, anchored: Element) -> None:
    for inner in _outermost(anchored):
        _write(builder, inner)


_ANCHORED = frozenset(("TABLE", "FOOTNOTE", "ENDNOTE", "HEADER", "FOOTER", "DRAWTEXT", "CAPTION", "HIDDENCOMMENT"))


def _own_text(element: Element) -> Iterator[str]:
    for child in element:
        name = local(child)
        if name in _ANCHORED:
            continue
        if name == "EQUATION":
            yield equation_script("".join(one.text or "" for one in child if local(one) == "SCRIPT"))
            continue
        if name == "AUTONUM" and child.get("NumberType") in ("Table", "Figure", "Equation"):
            yield child.get("Number", "")
        if name == "CHAR":
            yield child.text or ""
        for control in child if name == "CHAR" else ():
            yield {"TAB": "\t", "LINEBREAK": "\n", "NBSPACE": " ", "FWSPACE": " ", "HYPHEN": "-"}.get(
                local(control), ""
            )
            yield control.tail or ""
        if name != "CHAR":
            yield from _own_text(child)


def _anchored(element: Element) -> Iterator[Element]:
    """What is anchored in an element, captions of tables left to their tables."""
    for child in element:
        if local(child) in _ANCHORED:
            yield child
        else:
            yield from _anchored(child)


def _outermost(element: Element) -> Iterator[Element]:
    """The paragraphs directly within an anchored element."""
    for child in element:
        if local(child) == "P":
            yield child
        else:
            yield from _outermost(child)


def _all_text(element: Element) -> Iterator[str]:
    for paragraph in element.iter():
        if local(paragraph) == "P" and (text := "".join(_own_text(paragraph)).strip()):
            yield text
