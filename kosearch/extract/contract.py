"""What every reader is given, and what it raises."""

from __future__ import annotations

from collections.abc import Callable

from kosearch.records import Extraction, Reason


class ExtractError(Exception):
    """Why a file gave no text: a machine-readable reason and one line for a person."""

    def __init__(self, reason: Reason, detail: str) -> None:
        super().__init__(reason, detail)
        self.reason = reason
        self.detail = detail
        self.readers: tuple[str, ...] = ()
        """The versions of the readers that were tried, as in Extraction."""

    def __str__(self) -> str:
        return f"{self.reason}: {self.detail}"


Inside = Callable[[str, bytes], Extraction]
"""Reads a file inside the file, by its name and its content; never raises."""
