"""How an index names its files: absolutely, or from a folder that it moves with.

An index in `.kosearch` belongs to the folder around it. Names at or below that are stored as `.` and `./sub/notes.txt`,
and read as names of where that folder is now: nothing is written when it was moved, and of two copies each names its
own places. Names elsewhere are absolute, and so are all names of other indexes.

The last writer leaves a note of where that folder was, for an index that is no longer in it: a backup, or one that got
a name among the user's data.
"""

from __future__ import annotations

import os
import sqlite3
from dataclasses import replace
from pathlib import Path

from kosearch.config import PROJECT
from kosearch.index.database import Connection, read_optional_meta, write_meta
from kosearch.naming import canonical, display_path, lies_under
from kosearch.records import SourceFile

_HOME = b"."
_META = "home"


def folder_around(directory: Path) -> bytes | None:
    """The folder that an index in this directory moves with; None where it moves with none."""
    return canonical(os.fsencode(directory.parent)) if directory.name == PROJECT else None


def names_of(connection: Connection, around: bytes | None) -> Names:
    """The names of an index: from the folder around it, or else from the one that was around it once."""
    if around is None and (noted := read_optional_meta(connection, _META)):
        around = bytes.fromhex(noted)
    return Names(around)


def note(connection: sqlite3.Connection, around: bytes | None) -> None:
    """Leave a note of the folder around an index, where there is one."""
    if around is not None and read_optional_meta(connection, _META) != around.hex():
        write_meta(connection, _META, around.hex())


class Names:
    """Names as they are stored, and as they are here."""

    def __init__(self, home: bytes | None = None) -> None:
        self._home = home

    def stored(self, path_bytes: bytes) -> bytes:
        """The name to store for a name here."""
        if self._home is None or not isinstance(path_bytes, bytes) or not lies_under(path_bytes, self._home):
            return path_bytes
        return _HOME + path_bytes[len(self._home.rstrip(b"/")) :] if path_bytes != self._home else _HOME

    def here(self, raw: bytes) -> bytes:
        """The name here of a stored one."""
        if not self._moves(raw):
            return raw
        assert self._home is not None
        return self._home.rstrip(b"/") + raw[1:] or b"/"

    def shown(self, raw: bytes, path: str) -> str:
        """The name here for people, of a stored one for the file system and for people."""
        return display_path(self.here(raw)) if self._moves(raw) else path

    def of(self, source: SourceFile) -> SourceFile:
        """A file with the names that are to be stored."""
        return replace(
            source,
            path_bytes=self.stored(source.path_bytes),
            path=self.stored_path(source.path_bytes, source.path),
            root=self.stored(source.root),
        )

    def stored_path(self, path_bytes: bytes, path: str) -> str:
        """The name for people to store for a name here."""
        raw = self.stored(path_bytes)
        return display_path(raw) if self._moves(raw) else path

    def _moves(self, raw: bytes) -> bool:
        # What is no name any more, of a damaged row, is for its checksum to say.
        return self._home is not None and isinstance(raw, bytes) and (raw == _HOME or raw.startswith(b"./"))
