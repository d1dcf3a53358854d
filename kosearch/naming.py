"""Names of files: the one that a file has here, and how it is shown to people."""

from __future__ import annotations

import os
import unicodedata


def display_path(path_bytes: bytes) -> str:
    """A path for people and for matching: NFC, with undecodable bytes as U+FFFD."""
    if path_bytes.isascii():
        return path_bytes.decode("ascii")
    return unicodedata.normalize("NFC", path_bytes.decode("utf-8", "replace"))


def shown_path(path: str, cwd: str) -> str:
    """Such a path as its reader would type it: relative below the working folder, absolute elsewhere."""
    cwd = unicodedata.normalize("NFC", cwd).rstrip(os.sep) + os.sep
    return path[len(cwd) :] if path.startswith(cwd) else path


def canonical(path: bytes) -> bytes:
    """The name under which a walk knows a root: absolute and free of links, so that a file has one name."""
    return os.path.realpath(path)


def lies_under(path_bytes: bytes, folder: bytes) -> bool:
    """Whether `path_bytes` is `folder` or something below it."""
    return path_bytes == folder or path_bytes.startswith(folder.rstrip(b"/") + b"/")
