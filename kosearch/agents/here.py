"""Questions of agents, answered in this process: where there is no warm one, or none in time."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from kosearch.agents import brief
from kosearch.config import Settings
from kosearch.joined import join
from kosearch.library import Index
from kosearch.terms import Analyzer, HastyAnalyzer

if TYPE_CHECKING:
    from kosearch.agents.asking import Wish


class Here:
    """Answers as `brief.answers` makes them. May be called from any thread; both raise KosearchError."""

    def __init__(self, settings: Settings, cwd: str, most: int) -> None:
        """`most` is the most bytes of an answer."""
        self._most = most
        self._settings = settings
        self._cwd = cwd
        self._indexes: dict[str, Index] = {}

    def by_meaning(self, indexes: Sequence[str], wish: Wish) -> dict[str, Any]:
        """As the wish says. What is loaded for it stays."""
        opened = [
            self._indexes.setdefault(one, Index(replace(self._settings, index=one), questions=1)) for one in indexes
        ]
        return self._asked(opened, wish)

    def by_words(self, indexes: Sequence[str], wish: Wish) -> dict[str, Any]:
        """By words as they are typed, without Kiwi: loading it would hold up every thread for seconds."""
        opened = [_Hasty(replace(self._settings, index=one)) for one in indexes]
        try:
            return self._asked(opened, replace(wish, mode="lexical"), exact=True)
        finally:
            for one in opened:
                one.close()

    def _asked(self, indexes: Sequence[Index], wish: Wish, *, exact: bool = False) -> dict[str, Any]:
        named = len(indexes) > 1
        asked = join(*indexes) if named else indexes[0]
        try:
            found = asked.search(
                list(wish.questions),
                k=wish.offset + wish.k,
                mode=wish.mode,
                path=wish.path,
                type=wish.type,
                after=wish.after,
                before=wish.before,
                exact=exact,
            )
        except Exception:
            asked.close()  # whatever it was, the next question opens it anew
            raise
        return brief.answers(found, wish.offset, wish.k, self._most, self._cwd, many=True, named=named)


class _Hasty(Index):
    """An index that is asked by words before Kiwi is loaded."""

    def _new_analyzer(self, words: tuple[str, ...]) -> Analyzer:
        return HastyAnalyzer(words)
