"""dochan's reader for HWP 5 with its three slow steps done quickly, to the same result.

dochan is pinned, so its inner parts can be relied on: what is replaced here is named in `_quickened`. Tests hold each
against the original.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from functools import cache
from typing import Any

import numpy as np
import numpy.typing as npt

from kosearch.extract import hwp_sections

_UNUSUAL = re.compile("[\\x00-\\x1f\\ud800-\\udfff\\U00010000-\\U0010ffff]")
_ROUNDS = 10
_BLOCK = 16
_DEEPEST = 32


def parse(name: str, *, prompts: bool = False) -> Any:
    """dochan's document for the HWP 5 file of this name, changes accepted; with `prompts`, those of unfilled fields."""
    token = hwp_sections.PROMPTS.set(prompts)
    try:
        return _quickened()(name, revision_mode="final").doc
    finally:
        hwp_sections.PROMPTS.reset(token)


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

    reader.SectionParser = hwp_sections.parser()
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
