"""Makes compound files (MS-CFB): folders of streams, for tests of what keeps its parts in one."""

from __future__ import annotations

import struct
from collections.abc import Mapping

SECTOR, MINI = 512, 64
FREE, END, FAT = 0xFFFFFFFF, 0xFFFFFFFE, 0xFFFFFFFD
CUTOFF = 4096


def compound(streams: Mapping[str, bytes]) -> bytes:  # noqa: PLR0915 - a file from its first byte to its last
    """A compound file with these streams, whose names may lie in folders ("folder/stream")."""
    entries: list[tuple[str, bool, bytes]] = [("Root Entry", True, b"")]
    children: dict[int, list[int]] = {0: []}
    places = {"": 0}
    for path, content in streams.items():
        parts = path.split("/")
        for depth in range(1, len(parts) + 1):
            name, here = "/".join(parts[: depth - 1]), "/".join(parts[:depth])
            if here not in places:
                places[here] = len(entries)
                children[places[name]].append(len(entries))
                children[len(entries)] = []
                entries.append((parts[depth - 1], depth < len(parts), content if depth == len(parts) else b""))
    mini, mini_fat, large, sectors = b"", [], b"", []
    starts: list[int] = []
    for _, folder, content in entries:
        if folder or not content:
            starts.append(END)
        elif len(content) < CUTOFF:
            starts.append(len(mini_fat))
            count = -(-len(content) // MINI)
            mini_fat += [*range(len(mini_fat) + 1, len(mini_fat) + count), END]
            mini += content.ljust(count * MINI, b"\0")
        else:
            starts.append(len(sectors))
            count = -(-len(content) // SECTOR)
            sectors += [*range(len(sectors) + 1, len(sectors) + count), END]
            large += content.ljust(count * SECTOR, b"\0")

    def chain(data: bytes) -> int:
        nonlocal large
        if not data:
            return END
        start, count = len(sectors), -(-len(data) // SECTOR)
        sectors.extend([*range(start + 1, start + count), END])
        large += data.ljust(count * SECTOR, b"\0")
        return start

    starts[0] = chain(mini)
    mini_fat_data = struct.pack(f"<{len(mini_fat)}I", *mini_fat)
    mini_fat_data += b"\xff" * (-len(mini_fat_data) % SECTOR)
    mini_fat_start = chain(mini_fat_data)
    following: dict[int, int] = {}
    first: dict[int, int] = {}
    for folder, inner in children.items():
        ordered = sorted(inner, key=lambda number: (len(entries[number][0]), entries[number][0].upper()))
        first[folder] = ordered[0] if ordered else FREE
        following |= dict(zip(ordered, [*ordered[1:], FREE], strict=False))
    directory = b""
    for number, (name, folder, content) in enumerate(entries):
        encoded = name.encode("utf-16-le") + b"\0\0"
        size = len(mini) if number == 0 else len(content)
        kind = 5 if number == 0 else 1 if folder else 2
        directory += struct.pack(
            "<64sHBBIII16sIQQIQ", encoded, len(encoded), kind, 1, FREE, following.get(number, FREE),
            first[number] if folder else FREE, b"", 0, 0, 0, starts[number], size,
        )  # fmt: skip
    directory += struct.pack("<64sHBBIII16sIQQIQ", b"", 0, 0, 0, FREE, FREE, FREE, b"", 0, 0, 0, 0, 0) * (
        -len(directory) % SECTOR // 128
    )
    directory_start = chain(directory)
    fats = 1
    while fats * SECTOR // 4 < len(sectors) + fats:
        fats += 1
    places_of_fats = list(range(len(sectors), len(sectors) + fats))
    table = [*sectors, *[FAT] * fats]
    table += [FREE] * (fats * SECTOR // 4 - len(table))
    header = struct.pack(
        "<8s16sHHHHH6sIIIIIIIIII", b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", b"", 0x3E, 3, 0xFFFE, 9, 6, b"", 0, fats,
        directory_start, 0, CUTOFF, mini_fat_start, -(-len(mini_fat_data) // SECTOR), END, 0, places_of_fats[0],
    )  # fmt: skip
    header += struct.pack(f"<{fats - 1}I", *places_of_fats[1:])
    return header.ljust(SECTOR, b"\xff") + large + struct.pack(f"<{len(table)}I", *table)
