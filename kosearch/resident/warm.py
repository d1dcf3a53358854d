"""What a resident holds ready: Kiwi, models, and the indexes that were asked."""

from __future__ import annotations

import os
import threading
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from functools import cached_property
from pathlib import Path

from kosearch import embedding
from kosearch.config import Settings
from kosearch.index import database
from kosearch.library import Index
from kosearch.records import Answer, Query
from kosearch.terms import Analyzer

MOST = 8
"""Indexes held at the same time; the one that nobody asked for longest makes room."""


class Warm:
    """Answers from any index. Every method may be called from any thread."""

    def __init__(self, settings: Settings) -> None:
        self.analyzer = Analyzer()
        self._settings = settings
        self._embedders: dict[str, embedding.QueryEmbedder] = {}
        self._rescorers: dict[str, embedding.Rescorer] = {}
        self._indexes: dict[str, _Index] = {}
        self._holding = threading.Lock()
        self._loading = threading.Lock()

    @property
    def indexes(self) -> list[str]:
        """The directories of the indexes that are held, the latest asked last."""
        return list(self._indexes)

    def answers(self, directory: str, queries: Sequence[Query]) -> list[Answer]:
        """As Index.answers, and raises as it does."""
        library = self._library(directory)
        try:
            return library.answers(queries, warm=library.settled)
        except Exception:
            self._close(directory, library)  # whatever it was, the next question meets a new one
            raise

    def load(self, directory: str) -> None:
        """Load everything that a question takes, before there is one."""
        self.answers(directory, [Query("가")])
        self.settle()

    def settle(self) -> None:
        """Load what pays only from the second question on, of all indexes that were asked."""
        for library in list(self._indexes.values()):
            # What is wrong with one of them is for its next question to say.
            with suppress(Exception):
                if not library.settled:
                    with library.store.snapshot(warm=True):
                        library.settled = True

    def drop_gone(self) -> bool:
        """Close the indexes that are not there any more; whether that was all there were."""
        gone = [(name, library) for name, library in list(self._indexes.items()) if not library.there]
        for name, library in gone:
            self._close(name, library)
        return bool(gone) and not self._indexes

    def embedder(self, model: embedding.AnyModel) -> embedding.QueryEmbedder:
        """The model, loaded once whatever indexes it made."""
        with self._loading:
            if model.fingerprint not in self._embedders:
                self._embedders[model.fingerprint] = embedding.load_for_queries(model, self._settings.device)
            return self._embedders[model.fingerprint]

    def rescorer(self, model: embedding.AnyModel) -> embedding.Rescorer:
        """The same with all of the model's heads."""
        with self._loading:
            if model.fingerprint not in self._rescorers:
                self._rescorers[model.fingerprint] = embedding.load_rescorer(model, self._settings.device)
            return self._rescorers[model.fingerprint]

    def _library(self, directory: str) -> _Index:
        with self._holding:
            library = self._indexes.pop(directory, None)
            if library is not None and not library.there:
                library.store.close()
                library = None
            if library is None:
                library = _Index(replace(self._settings, index=directory), self)
            self._indexes[directory] = library
            unasked = list(self._indexes.items())[:-MOST]
        for name, old in unasked:
            self._close(name, old)
        return library

    def _close(self, name: str, library: _Index) -> None:
        """Close what nobody should be given any more; who uses it right now may go on."""
        with self._holding:
            if self._indexes.get(name) is library:
                del self._indexes[name]
        library.store.close()


class _Index(Index):
    """An index that shares what is loaded with others."""

    def __init__(self, settings: Settings, warm: Warm) -> None:
        super().__init__(settings)
        self.settled = False
        self._warm = warm
        self._identity = _identity(self.directory)
        self.store  # noqa: B018 - opened now: raises IndexMissing, IndexMismatch, IndexDamaged

    @property
    def there(self) -> bool:
        """Whether the index that was opened is still the one in its directory."""
        return _identity(self.directory) == self._identity

    @cached_property
    def analyzer(self) -> Analyzer:
        return self._warm.analyzer

    @cached_property
    def query_embedder(self) -> embedding.QueryEmbedder:
        return self._warm.embedder(self.model)

    @cached_property
    def rescorer(self) -> embedding.Rescorer:
        return self._warm.rescorer(self.model)


def _identity(directory: Path) -> tuple[int, int] | None:
    try:
        found = os.stat(directory / database.NAME)
    except OSError:
        return None
    return found.st_dev, found.st_ino
