"""What a disk may hold after a power cut, worked out from a log of what was done to it (see faults.c).

Until a file is made durable (fsync), any part of what was written to it may be lost; until a folder is, any entry
that came, went or changed may be as it was before. A disk may lose one and keep another in any combination.
"""

from __future__ import annotations

import os
import random
import struct
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

SECTOR = 512
_HEADER = struct.Struct("<cQQI")
_CREATED, _EMPTIED = 1, 2


@dataclass(frozen=True, slots=True)
class Operation:
    """A record of the log."""

    kind: str
    inode: int
    offset: int
    data: bytes


@dataclass(eq=False, slots=True)
class File:
    """What is on the disk for sure, and what was written since: offset and data, or a new size and None."""

    durable: bytes = b""
    pending: list[tuple[int, bytes | None]] = field(default_factory=list)

    def after(self, kept: Sequence[tuple[int, bytes | None]]) -> bytes:
        """The content when these writes, and no others, have reached the disk."""
        content = bytearray(self.durable)
        for offset, data in kept:
            if data is None:
                content = content[:offset].ljust(offset, b"\0")
            else:
                content = content.ljust(offset, b"\0")
                content[offset : offset + len(data)] = data
        return bytes(content)


_NOTHING = File()
"""Stands where a folder has no entry of a name."""
Entries = dict[str, File | None]
"""Name → file, or None for a folder."""


class Disk:
    """The files below a folder, in memory and on the disk."""

    def __init__(self, folder: Path) -> None:
        self._root = str(folder)
        self._at = 0
        self._files: dict[int, File] = {}
        self._now: dict[str, Entries] = {}
        for parent, folders, names in os.walk(folder):
            entries: Entries = dict.fromkeys(folders)
            for name in names:
                path = Path(parent, name)
                entries[name] = self._files.setdefault(path.stat().st_ino, File(path.read_bytes()))
            self._now[parent] = entries
        self._durable = {parent: dict(entries) for parent, entries in self._now.items()}

    def go_to(self, operations: Sequence[Operation], end: int) -> None:
        """Go on until `end` of all operations have happened."""
        for one in operations[self._at : end]:
            self._apply(one)
        self._at = end

    def _apply(self, one: Operation) -> None:
        if one.kind in "OWTS":
            self._apply_to_file(one)
        elif one.kind == "D":
            path, *rest = one.data.decode().split("\0")
            entries = zip(rest[::3], rest[1::3], rest[2::3], strict=False)
            self._durable[path] = {
                name: None if is_folder == "1" else self._files[int(inode)] for name, inode, is_folder in entries
            }
            self._now[path] = dict(self._durable[path])  # one rename is not in the log
        elif one.kind in "RLUM":
            self._apply_to_name(one.kind, *one.data.decode().split("\0"))

    def _apply_to_file(self, one: Operation) -> None:
        if one.kind == "O" and one.offset & _CREATED:
            parent, name = os.path.split(one.data.decode())
            self._now.setdefault(parent, {})[name] = self._files[one.inode] = File()
        file = self._files.get(one.inode)
        if file is None:  # a folder
            return
        if one.kind == "O" and one.offset & _EMPTIED:
            file.pending.append((0, None))
        elif one.kind == "W":
            file.pending.append((one.offset, one.data))
        elif one.kind == "T":
            file.pending.append((one.offset, None))
        elif one.kind == "S":
            file.durable = file.after(file.pending)
            file.pending.clear()

    def _apply_to_name(self, kind: str, path: str, target: str) -> None:
        parent, name = os.path.split(path)
        there, other = os.path.split(target)
        if kind == "M":
            self._now[parent][name] = None
            self._now[path], self._durable[path] = {}, {}
        elif kind == "L":
            self._now[there][other] = self._now[parent][name]
        elif kind == "R":
            self._now[there][other] = self._now[parent].pop(name)
        else:
            self._now[parent].pop(name, None)

    def cut(self, folder: Path, generator: random.Random) -> None:
        """Write what is found after a power cut now into a folder that is not there yet."""
        luck = generator.choice([0.0, 0.1, 0.5, 0.9, 1.0])
        contents: dict[File, bytes] = {}
        reached: dict[File | str, bool] = {}
        folders = [self._root]
        while folders:
            path = folders.pop()
            copy = folder / os.path.relpath(path, self._root)
            copy.mkdir()
            before, now = self._durable.get(path, {}), self._now.get(path, {})
            for name in sorted(before.keys() | now.keys()):
                entry, new = before.get(name, _NOTHING), now.get(name, _NOTHING)
                if entry is not new:
                    # A file's names change together: a rename is whole, or was not.
                    key = next(
                        (one for one in (new, entry) if isinstance(one, File) and one is not _NOTHING), path + name
                    )
                    if reached.setdefault(key, generator.random() < luck):
                        entry = new
                if entry is None:
                    folders.append(os.path.join(path, name))
                elif entry is not _NOTHING:
                    if entry not in contents:
                        contents[entry] = _survivors(entry, generator, luck)
                    (copy / name).write_bytes(contents[entry])


def _survivors(file: File, generator: random.Random, luck: float) -> bytes:
    """The content when some writes are lost, and one may be torn."""
    if generator.random() < 0.5:
        return file.after([one for one in file.pending if generator.random() < luck])
    count = round(len(file.pending) * luck)
    kept = file.pending[:count]
    if count < len(file.pending) and (torn := file.pending[count][1]):
        part = generator.randrange(-(-len(torn) // SECTOR)) * SECTOR
        kept.append((file.pending[count][0], torn[:part]))
    return file.after(kept)


def read_log(path: Path) -> list[Operation]:
    """All operations in their order."""
    return list(_records(path.read_bytes()))


def _records(log: bytes) -> Iterator[Operation]:
    place = 0
    while place < len(log):
        kind, inode, offset, size = _HEADER.unpack_from(log, place)
        place += _HEADER.size
        yield Operation(kind.decode(), inode, offset, log[place : place + size])
        place += size


def marks(operations: Sequence[Operation]) -> Mapping[int, str]:
    """The program's named steps among the operations."""
    return {number: one.data.decode() for number, one in enumerate(operations) if one.kind == "C"}
