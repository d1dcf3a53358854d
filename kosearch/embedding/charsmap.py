"""Writes SentencePiece's compiled normalisation table from plain rules.

The `tokenizers` library's `Precompiled` normaliser reads it: a length, a double-array trie in the layout of
darts-clone (https://github.com/s-yata/darts-clone) that maps UTF-8 keys to positions, and the replacement
strings, each ended by a zero byte.
"""

from __future__ import annotations

import struct
import unicodedata
from collections.abc import Mapping

_LEAF = 1 << 31
_HAS_LEAF = 1 << 8
_LONGEST_CLUSTER = 6
"""`Precompiled` looks up whole grapheme clusters only below this many bytes of UTF-8."""


def with_compositions(single: Mapping[str, str]) -> dict[str, str]:
    """The rules for single code points, and those for a letter followed by a combining mark.

    SentencePiece's NFKC table also holds sequences. Of these the normaliser can only ever apply the pairs
    that compose to one letter and whose first character has no rule of its own, because it takes the shortest
    key that matches.
    """
    variants: dict[str, list[str]] = {}
    for source, target in single.items():
        variants.setdefault(target, []).append(source)
    rules = dict(single)
    for code in range(0x80, 0x10000):
        composed = chr(code)
        parts = unicodedata.normalize("NFD", composed)
        if len(parts) == 2 and parts[0] not in single and composed not in single:
            for mark in (parts[1], *variants.get(parts[1], ())):
                if len((parts[0] + mark).encode()) < _LONGEST_CLUSTER:
                    rules[parts[0] + mark] = composed
    return rules


def compile_rules(rules: Mapping[str, str]) -> bytes:
    """The table for these rules, as `tokenizers` expects it before base64."""
    replacements = bytearray()
    positions: dict[str, int] = {}
    for target in sorted(set(rules.values())):
        positions[target] = len(replacements)
        replacements += target.encode() + b"\0"
    units = _double_array({source.encode(): positions[target] for source, target in rules.items()})
    return struct.pack(f"<I{len(units)}I", 4 * len(units), *units) + bytes(replacements)


class _Node:
    __slots__ = ("children", "value")

    def __init__(self) -> None:
        self.children: dict[int, _Node] = {}
        self.value: int | None = None


def _trie(entries: Mapping[bytes, int]) -> _Node:
    root = _Node()
    for key, value in entries.items():
        node = root
        for byte in key:
            node = node.children.setdefault(byte, _Node())
        node.value = value
    return root


def _double_array(entries: Mapping[bytes, int]) -> list[int]:
    """One unit a node: bits 0-7 its byte, 8 whether a key ends here, 10-30 the way to its children.

    A node at position p keeps its children at b ^ byte and its value at b ^ 0, where b = p ^ (unit >> 10).
    No two nodes share b, or one would find the other's children.
    """
    units = [0] * 256
    taken = {0}
    bases: set[int] = set()
    tried: dict[int, int] = {}  # by number of children: where the search for such a node goes on
    waiting = [(0, 0, _trie(entries))]
    while waiting:
        position, byte, node = waiting.pop()
        slots = [*([0] if node.value is not None else []), *node.children]
        base = tried.get(len(slots), 1)
        while base in bases or any(base ^ slot in taken for slot in slots):
            base += 1
        tried[len(slots)] = base
        bases.add(base)
        taken.update(base ^ slot for slot in slots)
        units += [0] * ((base | 255) + 1 - len(units))
        units[position] = byte | (position ^ base) << 10
        if node.value is not None:
            units[position] |= _HAS_LEAF
            units[base] = _LEAF | node.value
        waiting += [(base ^ label, label, child) for label, child in node.children.items()]
    return units
