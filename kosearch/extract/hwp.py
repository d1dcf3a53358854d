"""Hangul: HWP 5, HWPX and HWPML, the first two by dochan's parsers with what they leave out."""

from __future__ import annotations

import io
import re
import struct
import zlib
from bisect import bisect_right
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from contextvars import ContextVar
from functools import cache
from typing import Any
from xml.etree.ElementTree import Element

import numpy as np
import numpy.typing as npt

from kosearch.extract import numbers
from kosearch.extract.containers import (
    Package,
    attribute,
    compound_properties,
    local,
    package_properties,
    parse_xml,
    standard,
)
from kosearch.extract.dochan_model import Renderer, check, equation_script, named
from kosearch.extract.numbers import Definitions, Numbers, coded, numeral
from kosearch.extract.pictures import add_pictures, packaged
from kosearch.extract.text import ExtractError, TextBuilder
from kosearch.records import Extraction, Reason

# HWP 5 sections as Hangul shows them: what dochan drops or tears apart is put into its model as it reads.
#
# Captions stand before or after their object, automatic numbers are written out, and prompts of unfilled fields are
# left out (HWP 5.0 format, revision 1.3: 4.2.10 and 4.3). dochan is pinned, so its inner parts can be relied on.

PROMPTS: ContextVar[bool] = ContextVar("PROMPTS", default=False)
"""Whether the prompts of unfilled fields stay."""

_PARAGRAPH, _LIST = 66, 72
_NUMBER, _FIELD = b"onta", b"klc%"
_LEFT, _TOP = 0, 2
_NUMBERED = range(3, 6)
"""Pictures, tables and equations; what else is numbered (pages, notes) says nothing in its place."""
_DIRECTION = re.compile(r"Direction:wstring:\d+:(.*?)(?= HelpState:| Name:|$)", re.DOTALL)

Node = Mapping[str, Any]
"""A record and the records below it, as dochan builds them."""
Edit = tuple[int, int, str]
"""The text between two offsets, and what stands there instead."""


@cache
def section_parser() -> Any:
    """dochan's parser of sections, with what it leaves out."""
    from dochan.hwp.section import SectionParser

    class Sections(SectionParser):  # type: ignore[misc]
        _beside: tuple[list[Any], list[Any]] = ([], [])
        """What stands before and after the paragraph that is read: captions of its equations."""

        def _parse_paragraph_group_impl(self, node: Node) -> list[Any]:
            outer, self._beside = self._beside, ([], [])
            try:
                elements = super()._parse_paragraph_group_impl(node)
                before, after = self._beside
            finally:
                self._beside = outer
            return [*before, *elements, *after]

        def _form_text_result(self, result: dict[str, Any], controls: list[Node]) -> tuple[dict[str, Any], list[Node]]:
            result, controls = super()._form_text_result(result, controls)
            edits = [*_numbers(result, controls), *([] if PROMPTS.get() else _prompts(result, controls))]
            return _edited(result, edits) if edits else result, controls

        def _parse_equation(self, node: Node) -> Any:
            captions, above, bare = self._captions(node)
            self._beside[0 if above else 1].extend(captions)
            return super()._parse_equation(bare)

        def _parse_image(self, node: Node) -> list[Any]:
            captions, above, bare = self._captions(node)
            objects: list[Any] = super()._parse_image(bare)
            return captions + objects if above else objects + captions

        def _parse_table_caption(self, nodes: Sequence[Node]) -> tuple[list[Any], str] | None:
            captions, above, _ = self._captions({"record": None, "children": nodes})
            return (captions, "TOP" if above else "BOTTOM") if captions else None

        def _captions(self, node: Node) -> tuple[list[Any], bool, Node]:
            """The captions of an object, whether they stand before it, and the object without them."""
            captions: list[Any] = []
            above = False
            rest: list[Node] = []
            for child in node["children"]:
                if child["record"].tag_id != _LIST:
                    rest.append(child)
                    continue
                data = child["record"].data
                above = len(data) >= 12 and struct.unpack_from("<I", data, 8)[0] & 3 in (_LEFT, _TOP)
                for inner in child["children"]:
                    if inner["record"].tag_id == _PARAGRAPH:
                        captions += self._parse_paragraph_group(inner)
                    else:  # dochan hangs what follows a caption below it
                        rest.append(inner)
            for one in captions:
                if hasattr(one, "heading_level"):
                    one.heading_level = 0
                    one._heading_caption = True
            return captions, above, {**node, "children": rest}

    return Sections


def guide(command: str) -> str:
    """What a field asks for while it is unfilled, from its command."""
    found = _DIRECTION.search(command)
    return found[1] if found else ""


def packed(text: str) -> str:
    """A text without its spaces, for comparing what an unfilled field shows with what it asks for."""
    return "".join(text.split())


def _numbers(result: Mapping[str, Any], controls: Sequence[Node]) -> Iterator[Edit]:
    """The numbers of captions, each in its place (4.3.10.4)."""
    records = iter(_records(controls)[_NUMBER])
    for start, _, identifier in result.get("inline_controls", ()):
        if identifier == _NUMBER and (record := next(records, b"")) and len(record) >= 16:
            properties, number, _, before, behind = struct.unpack_from("<IHHHH", record, 4)
            if properties & 15 in _NUMBERED:
                place = result["raw_to_text"][min(start, len(result["raw_to_text"]) - 1)]
                marks = [chr(one) if one >= 32 else "" for one in (before, behind)]
                yield place, place, coded(number, properties >> 4 & 255).join(marks)


def _prompts(result: Mapping[str, Any], controls: Sequence[Node]) -> Iterator[Edit]:
    """Fields that show no more than what they ask for (4.3.10.15)."""
    records = iter(_records(controls)[_FIELD])
    open_: list[tuple[int, str]] = []
    for place, kind, identifier in result.get("field_marks", ()):
        if kind == "start":
            open_.append((place, guide(_command(next(records, b""))) if identifier == _FIELD else ""))
        elif open_:
            start, prompt = open_.pop()
            if prompt and packed(result["text"][start:place]) == packed(prompt):
                yield start, place, ""


def _records(controls: Sequence[Node]) -> Mapping[bytes, list[bytes]]:
    """The records of controls by their identifiers, in the order in which the text names them."""
    records: defaultdict[bytes, list[bytes]] = defaultdict(list)
    for node in controls:
        records[node["record"].data[:4]].append(node["record"].data)
    return records


def _command(record: bytes) -> str:
    if len(record) < 11:
        return ""
    return record[11 : 11 + 2 * struct.unpack_from("<H", record, 9)[0]].decode("utf-16-le", "replace")


def _edited(result: Mapping[str, Any], edits: Sequence[Edit]) -> dict[str, Any]:
    """A paragraph's text with these changes, and all offsets into it."""
    text: str = result["text"]
    parts: list[str] = []
    starts: list[tuple[int, int, int]] = []
    shifts: list[int] = []
    done = shift = 0
    for start, end, new in sorted(edits):
        if start < done:  # within a field that is left out
            continue
        parts += (text[done:start], new)
        starts.append((start, end, start + shift + len(new)))
        done, shift = end, shift + len(new) - (end - start)
        shifts.append(shift)
    firsts = [start for start, _, _ in starts]

    def moved(place: int) -> int:
        at = bisect_right(firsts, place) - 1
        if at < 0:
            return place
        return max(place + shifts[at], starts[at][2]) if place >= starts[at][1] else starts[at][2]

    raw = result["raw_to_text"]
    return {
        **result,
        "text": "".join([*parts, text[done:]]),
        "raw_to_text": [moved(place) for place in raw],
        "field_marks": [(moved(place), kind, identifier) for place, kind, identifier in result["field_marks"]],
    }


# dochan's reader for HWP 5 with its three slow steps done quickly, to the same result.
#
# dochan is pinned, so its inner parts can be relied on: what is replaced here is named in `_quickened`. Tests hold each
# against the original.

_UNUSUAL = re.compile("[\\x00-\\x1f\\ud800-\\udfff\\U00010000-\\U0010ffff]")
_ROUNDS = 10
_BLOCK = 16
_DEEPEST = 32


def parse_compound(name: str, *, prompts: bool = False) -> Any:
    """dochan's document for the HWP 5 file of this name, changes accepted; with `prompts`, those of unfilled fields."""
    token = PROMPTS.set(prompts)
    try:
        return _quickened()(name, revision_mode="final").doc
    finally:
        PROMPTS.reset(token)


@cache
def walked() -> Any:
    """dochan's document, walked through once for all kinds of elements and not once for each."""
    from dochan.model.document import Document

    class Walked(Document):  # type: ignore[misc]
        _elements: tuple[int, list[Any]] | None = None

        def find_all(self, element_type: str) -> list[Any]:
            kinds = {"paragraph": "Paragraph", "table": "Table", "image": "Image", "header_footer": "HeaderFooter"}
            name = kinds.get(element_type)
            if name is None and element_type != "note":
                return list(super().find_all(element_type))
            if self._elements is None or self._elements[0] != len(self.sections):
                self._elements = (len(self.sections), list(_walk(self.sections)))
            return [one for one in self._elements[1] if _is(one, name)]

    return Walked


@cache
def _quickened() -> Any:
    """dochan's reader; its decryption, its reading of plain paragraphs and its walks are replaced."""
    from dochan import reader
    from dochan.hwp import distdoc, section

    class Reader(reader.Dochan):  # type: ignore[misc]
        def _parse_hwp(self) -> None:
            self.doc = walked()()
            super()._parse_hwp()

        def _warn_preview_only_text(self, ole: Any, stream_budget: Any) -> None:
            """Only a warning, for which the whole text would be made."""

    reader.SectionParser = section_parser()
    distdoc.aes128_ecb_decrypt = decrypt
    original = section.parse_para_text
    section.parse_para_text = lambda data: plain_text(data) or original(data)
    return Reader


def _is(element: Any, name: str | None) -> bool:
    kind = type(element).__name__
    return kind == name if name else kind in ("Footnote", "Comment")


def _walk(sections: Sequence[Any]) -> Iterator[Any]:
    """All elements in their order, each once, as dochan's own walk finds them."""
    seen: set[int] = set()

    def walk(elements: Sequence[Any], depth: int) -> Iterator[Any]:
        if depth > _DEEPEST:
            return
        for element in elements:
            if id(element) in seen:
                continue
            seen.add(id(element))
            yield element
            kind = type(element).__name__
            if kind == "Table":
                for row in element.rows:
                    for cell in row:
                        yield from walk(cell.paragraphs, depth + 1)
            if kind in ("Table", "Image"):
                yield from walk(element.caption, depth + 1)
            elif kind in ("HeaderFooter", "Footnote", "Comment"):
                yield from walk(element.paragraphs, depth + 1)

    for section in sections:
        yield from walk(section.elements, 0)


def plain_text(data: bytes) -> dict[str, Any] | None:
    """A paragraph's text record as dochan's parser gives it; None where there is more than characters in it."""
    text = data[: len(data) & ~1].decode("utf-16-le", "surrogatepass").partition("\r")[0]
    if _UNUSUAL.search(text):
        return None
    return {
        "text": text,
        "ctrl_positions": [],
        "field_marks": [],
        "field_raw_marks": [],
        "inline_controls": [],
        "raw_to_text": list(range(len(text) + 1)),
    }


def decrypt(key: bytes, data: bytes) -> bytes:
    """AES-128 in ECB mode (FIPS 197, 5.3.5), all blocks at once; the length of `data` is a multiple of 16."""
    from dochan.utils import aes

    if len(key) != _BLOCK or len(data) % _BLOCK:
        return bytes(aes.aes128_ecb_decrypt(key, data))  # which says what is wrong
    round_keys = aes._key_expansion(key).decrypt
    tables = [np.array(table, np.uint32) for table in aes._DEC_TABLES]
    inverse = np.array(list(aes.INV_SBOX), np.uint32)
    words = np.frombuffer(data, ">u4").reshape(-1, 4).T.astype(np.uint32)
    state = [words[at] ^ np.uint32(round_keys[4 * _ROUNDS + at]) for at in range(4)]

    def mixed(lookup: Sequence[npt.NDArray[np.uint32]], shifts: Sequence[int], first: int) -> list[Any]:
        return [
            (lookup[0][state[at] >> 24] << shifts[0])
            ^ (lookup[1][(state[at - 1] >> 16) & 255] << shifts[1])
            ^ (lookup[2][(state[at - 2] >> 8) & 255] << shifts[2])
            ^ (lookup[3][state[at - 3] & 255] << shifts[3])
            ^ np.uint32(round_keys[first + at])
            for at in range(4)
        ]

    for number in range(_ROUNDS - 1, 0, -1):
        state = mixed(tables, (0, 0, 0, 0), 4 * number)
    state = mixed([inverse] * 4, (24, 16, 8, 0), 0)
    return np.stack(state, axis=1).astype(">u4").tobytes()


# HWPX sections as Hangul shows them, before dochan reads them: what it drops or tears apart is put into plain text.
#
# Changes are accepted, automatic numbers written out, equations set into their line, prompts of unfilled fields left
# out, and memos, hidden comments and captions made paragraphs after the one that they stand in (KS X 6101).

_OBJECTS = frozenset(
    str.split("tbl pic equation rect ellipse line connectLine curve polygon arc container ole chart textart video")
)
_HOLDERS = frozenset(("sec", "subList"))
"""What holds paragraphs."""
_CAPTIONED_BY_DOCHAN = frozenset(("tbl", "pic"))
_NUMBERED_OBJECTS = frozenset(("TABLE", "PICTURE", "EQUATION"))


def parse_package(data: bytes, *, prompts: bool = False) -> Any:
    """dochan's document for a HWPX package; with `prompts`, those of unfilled fields stay."""
    from dochan.hwpx import parser

    parser.Document = walked()

    class Parser(parser.HWPXParser):  # type: ignore[misc]
        def _limit_body_nodes(self, root: Element) -> None:
            shown(root, prompts=prompts)
            super()._limit_body_nodes(root)

    return Parser().parse(io.BytesIO(data), include_assets=False)


def shown(section: Element, *, prompts: bool = False) -> None:
    """Change a section into what Hangul shows of it."""
    _Changes(section).accept(section)
    for parent in [one for one in section.iter() if local(one) in _HOLDERS]:
        for paragraph in [child for child in parent if local(child) == "p"]:
            before, after = _plain(paragraph, prompts)
            place = list(parent).index(paragraph)
            for offset, one in enumerate(before):
                parent.insert(place + offset, one)
            place += len(before)
            for offset, one in enumerate(after, 1):
                parent.insert(place + offset, one)


class _Changes:
    """The deleted ranges of a section; one that never ends deletes nothing."""

    def __init__(self, section: Element) -> None:
        self._ends = {attribute(one, "Id") for one in section.iter() if local(one) == "deleteEnd"}
        self._open: set[str] = set()

    def accept(self, element: Element) -> None:
        """Take out what was deleted."""
        if not self._ends:
            return
        for child in list(element):
            name = local(child)
            if name == "deleteBegin" and attribute(child, "Id") in self._ends:
                self._open.add(attribute(child, "Id"))
            elif name == "deleteEnd":
                self._open.discard(attribute(child, "Id"))
            elif self._open and name in _OBJECTS:
                element.remove(child)
                continue
            else:
                if self._open and name == "t":
                    child.text = None
                self.accept(child)
            if self._open:
                child.tail = None


def _plain(paragraph: Element, prompts: bool) -> tuple[list[Element], list[Element]]:
    """Write out what is drawn in a paragraph; returns the paragraphs to stand before and after it."""
    before: list[Element] = []
    after: list[Element] = []
    field = _Field(prompts)
    for run in [one for one in paragraph if local(one) == "run"]:
        for child in list(run):
            name = local(child)
            if name == "ctrl":
                for control in list(child):
                    _control(run, child, control, field, after)
            elif name == "equation":
                _captions(child, before, after)
                _replace(run, child, equation_script(_text_of(child, "script")))
            elif name in _OBJECTS and name not in _CAPTIONED_BY_DOCHAN:
                _captions(child, before, after)
            elif name == "t":
                field.texts.append(child)
    return before, after


class _Field:
    """A field that waits for its text: the prompt, and the texts since it began."""

    def __init__(self, keeps_prompts: bool) -> None:
        self.prompt = ""
        self._keeps_prompts = keeps_prompts
        self.texts: list[Element] = []

    def begin(self, prompt: str) -> None:
        self.prompt = "" if self._keeps_prompts else packed(prompt)
        self.texts = []

    def end(self) -> None:
        if self.prompt and packed("".join("".join(one.itertext()) for one in self.texts)) == self.prompt:
            for one in self.texts:
                one.clear()
        self.prompt = ""


def _control(run: Element, outer: Element, control: Element, field: _Field, after: list[Element]) -> None:
    name = local(control)
    if name == "autoNum" and attribute(control, "numType") in _NUMBERED_OBJECTS:
        _replace(run, outer, _number(control))
    elif name == "bookmark":
        outer.remove(control)  # dochan would write its name into the text
    elif name == "hiddenComment":
        after += _paragraphs(control)
        outer.remove(control)
    elif name == "fieldBegin":
        kind = attribute(control, "type")
        if kind == "MEMO":
            after += _memo(control)
        field.begin(_prompt(control) if kind == "CLICK_HERE" else "")
    elif name == "fieldEnd":
        field.end()


def _number(control: Element) -> str:
    form = next((one for one in control if local(one) == "autoNumFormat"), control)
    number = attribute(control, "num")
    count = int(number) if number.isdigit() and len(number) < 7 else 0
    return attribute(form, "prefixChar") + numeral(count, attribute(form, "type")) + attribute(form, "suffixChar")


def _memo(control: Element) -> list[Element]:
    paragraphs = list(_paragraphs(control))
    author = _parameter(control, "Author")
    first = next((one for paragraph in paragraphs for one in paragraph.iter() if local(one) == "t"), None)
    if first is not None and author:
        first.text = f"[{author}] {first.text or ''}"
    for child in list(control):
        if local(child) == "subList":
            control.remove(child)
    return paragraphs


def _prompt(control: Element) -> str:
    return _parameter(control, "Direction") or guide(_parameter(control, "Command"))


def _parameter(control: Element, name: str) -> str:
    return next((one.text or "" for one in control.iter() if attribute(one, "name") == name), "")


def _captions(shape: Element, before: list[Element], after: list[Element]) -> None:
    """Move the captions of a shape, and of shapes within it, out of it."""
    for outer in list(shape.iter()):
        for caption in [one for one in outer if local(one) == "caption"]:
            target = before if attribute(caption, "side") in ("TOP", "LEFT") else after
            target += _paragraphs(caption)
            outer.remove(caption)


def _paragraphs(element: Element) -> Iterator[Element]:
    for child in element:
        if local(child) == "subList":
            yield from (one for one in child if local(one) == "p")


def _replace(run: Element, child: Element, text: str) -> None:
    """Put a text in the place of an element."""
    written = Element(f"{child.tag.rpartition('}')[0]}}}t")
    written.text = text
    written.tail = child.tail
    children: Sequence[Element] = list(run)
    if child in children:
        place = children.index(child)
        run.remove(child)
        run.insert(place, written)


def _text_of(element: Element, name: str) -> str:
    return next((one.text or "" for one in element if local(one) == name), "")


# Hangul documents: HWP 5 (distribution documents too) and HWPX through dochan.

_HWP3 = b"HWP Document File V"
_LARGEST_PICTURE = 64 << 20


def read(data: bytes, path: str) -> Extraction:
    """An HWP 5 or HWPX document."""
    if data.startswith(_HWP3):
        raise ExtractError(Reason.UNSUPPORTED, "HWP 3 or older: save it as HWPX or PDF with Hangul")
    if data.startswith(b"PK"):
        package = Package(data)
        stated = package_properties(package)
        definitions = numbers.of_package(package)
        builder, document = _written(parse_package(data), definitions, markers=False)
        if not builder.text.strip():  # a form of nothing but fields: what they ask for is all it says
            builder, document = _written(parse_package(data, prompts=True), definitions, markers=False)
        pictures = packaged(package, ("BinData/",))
    else:
        stated = compound_properties(data)
        definitions = numbers.of_compound(data)
        with named(data) as name:
            builder, document = _written(parse_compound(name), definitions)
            if not builder.text.strip():
                builder, document = _written(parse_compound(name, prompts=True), definitions)
        pictures = _embedded(data)
    add_pictures(builder, pictures)
    warnings = check(document, builder.text)
    title, metadata = stated
    return Extraction((builder.document("hwp", title=title, metadata=metadata, warnings=warnings),))


def _embedded(data: bytes) -> Iterator[bytes]:
    """The pictures in an HWP 5 file; each is packed or not."""
    from dochan import cfb

    try:
        compound = cfb.OleFileIO(data)
        for place in compound.listdir():
            if place[0] == "BinData":
                stored = compound.openstream("/".join(place)).read()
                try:
                    yield zlib.decompressobj(-zlib.MAX_WBITS).decompress(stored, _LARGEST_PICTURE)
                except zlib.error:
                    yield stored
    except (OSError, ValueError, LookupError):
        return


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


# HWPML documents: Hangul's XML format before HWPX, read from their own XML.


def read_hwpml(data: bytes, path: str) -> Extraction:
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
            builder.table(
                [
                    [" ".join(_all_text(cell)) for cell in row if local(cell) == "CELL"]
                    for row in anchored
                    if local(row) == "ROW"
                ]
            )
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
