"""The passages that one snapshot was asked for latest: what ranks reads the first ones, and what shows them does again.

In one generation they never change.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from kosearch.index.contract import StoredPassage

MOST = 1 << 12
"""So many are kept, each some 2 KB; then it begins anew."""


class KeptPassages:
    """Passages with text and document, each read once as far as there is room."""

    def __init__(self, read: Callable[[Sequence[int]], Sequence[StoredPassage]]) -> None:
        self._read = read
        self._kept: dict[int, StoredPassage] = {}

    def stored(self, ids: Sequence[int]) -> list[StoredPassage]:
        """Passages in the order asked for."""
        found = {number: self._kept[number] for number in ids if number in self._kept}
        missing = [number for number in dict.fromkeys(ids) if number not in found]
        if missing:
            found.update(zip(missing, self._read(missing), strict=True))
        if len(self._kept) + len(missing) > MOST:
            self._kept.clear()
        if len(found) <= MOST:
            self._kept.update(found)
        return [found[number] for number in ids]
