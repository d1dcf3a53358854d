"""HWP 5 sections as Hangul shows them: what dochan drops or tears apart is put into its model as it reads.

Captions stand before or after their object, automatic numbers are written out, and prompts of unfilled fields are left
out (HWP 5.0 format, revision 1.3: 4.2.10 and 4.3). dochan is pinned, so its inner parts can be relied on.
"""

from __future__ import annotations

import re
import struct
from bisect import bisect_right
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from contextvars import ContextVar
from functools import cache
from typing import Any

from kosearch.extract.hwp_numbers import coded

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
def parser() -> Any:
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
