"""ZIP packages (Office, e-books, archives) opened with limits: on members, on their sizes, on how far they swell."""

from __future__ import annotations

import io
import zipfile
import zlib
from collections.abc import Iterator

from kosearch.extract import ExtractError
from kosearch.records import Reason

MOST_MEMBERS = 20_000
LARGEST_MEMBER = 64 << 20
LARGEST_TOTAL = 256 << 20
HIGHEST_RATIO = 200
"""Text packs to a tenth, at best to a hundredth; what swells more than this is made to fill memory."""
_ALWAYS_FINE = 1 << 20
_DAMAGE = (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, OSError, ValueError)


class Package:
    """A ZIP file in memory; reading what is missing, encrypted or too large raises ExtractError."""

    def __init__(self, data: bytes) -> None:
        try:
            self._zip = zipfile.ZipFile(io.BytesIO(data))
            self._members = {info.filename: info for info in self._zip.infolist() if not info.is_dir()}
        except _DAMAGE as error:
            raise ExtractError(Reason.BROKEN, f"a broken ZIP container: {error}") from error
        if len(self._members) > MOST_MEMBERS:
            raise ExtractError(Reason.TOO_LARGE, f"{len(self._members)} members; the limit is {MOST_MEMBERS}")
        self._total = 0

    def __contains__(self, name: str) -> bool:
        return name in self._members

    def __iter__(self) -> Iterator[str]:
        return iter(self._members)

    def size(self, folder: str) -> int:
        """What the members in a folder say they unpack to, in bytes."""
        return sum(info.file_size for name, info in self._members.items() if name.startswith(folder))

    def read(self, name: str) -> bytes:
        """A member's content."""
        info = self._members.get(name)
        if info is None:
            raise ExtractError(Reason.BROKEN, f"{name} is missing in the container")
        if info.flag_bits & 1:
            raise ExtractError(Reason.ENCRYPTED, "encrypted: opening it needs a password")
        room = min(LARGEST_MEMBER, LARGEST_TOTAL - self._total)
        if info.file_size > room:
            raise ExtractError(Reason.TOO_LARGE, f"{name} unpacks to {info.file_size} bytes")
        if info.file_size > max(_ALWAYS_FINE, HIGHEST_RATIO * info.compress_size):
            raise ExtractError(
                Reason.TOO_LARGE, f"{name} unpacks to {info.file_size // info.compress_size} times its size"
            )
        try:
            with self._zip.open(info) as member:
                data = member.read(info.file_size + 1)
        except _DAMAGE as error:
            raise ExtractError(Reason.BROKEN, f"{name} in the container is damaged: {error}") from error
        except RuntimeError as error:  # zipfile's word for a password
            raise ExtractError(Reason.ENCRYPTED, "encrypted: opening it needs a password") from error
        self._total += len(data)
        return data
