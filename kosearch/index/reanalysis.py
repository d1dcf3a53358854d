"""Terms by other rules than those that an index was made with, from its stored texts: no file is read.

New terms wait in a table of their own, document by document, and whoever is interrupted goes on where he was. Readers
see the old ones until the last commit, which is that of the generation that is built from the new.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from kosearch.index.codec import encode_terms, seal
from kosearch.index.publishing import publish
from kosearch.index.records import Identity, UnanalysedDocument
from kosearch.index.schema import read_optional_meta, transaction, write_meta
from kosearch.index.store import NEXT, Store

Terms = Mapping[str, Sequence[str]]
"""Field → terms."""
_LACKING = (
    f"{NEXT} AND EXISTS (SELECT 1 FROM passage p WHERE p.document_id = d.id"
    " AND NOT EXISTS (SELECT 1 FROM new_terms n WHERE n.passage_id = p.id))"
)
"""Documents of the next generation of which a passage has no new terms."""


class Reanalysis:
    """Begun, or gone on with, by whoever makes one; `finish` makes the new terms those of the index."""

    def __init__(self, directory: Path, store: Store, rules: str, fields: tuple[str, ...]) -> None:
        self._directory = directory
        self._store = store
        self._identity: Identity = replace(store.identity, term_rules=rules, fields=fields)
        made_by = {"rules": rules, "fields": list(fields)}
        if read_optional_meta(store.connection, "new terms") != made_by:
            with transaction(store.connection):
                store.connection.execute("DELETE FROM new_terms")
                write_meta(store.connection, "new terms", made_by)

    def __len__(self) -> int:
        """How many documents are left to be analysed."""
        return self._store.count_documents(_LACKING)

    def documents(self) -> Iterator[UnanalysedDocument]:
        """The documents that are left. Those that get terms meanwhile do not disturb."""
        for document in list(self._store.documents(_LACKING)):
            yield self._store.unanalysed(document)

    def put(self, analysed: Iterable[tuple[UnanalysedDocument, Sequence[Terms]]]) -> None:
        """Keep the terms of these documents' passages, in their order, in one transaction."""
        with transaction(self._store.connection):
            for document, rows in analysed:
                self._store.connection.executemany(
                    "INSERT OR REPLACE INTO new_terms VALUES (?, ?)",
                    (
                        (number, seal(encode_terms(self._identity.fields, one), number))
                        for number, one in zip(document.ids, rows, strict=True)
                    ),
                )

    def give_up(self, document: UnanalysedDocument) -> None:
        """The document has no terms, and the next run reads its file again."""
        with transaction(self._store.connection):
            self.put([(document, [{} for _ in document.ids])])
            sql = "UPDATE file SET hash = '' WHERE id = (SELECT file_id FROM document WHERE id = ?)"
            self._store.connection.execute(sql, (document.id,))

    def finish(self) -> int:
        """Make the new terms those of the index, and publish. Returns the generation that answers now."""
        return publish(self._directory, self._store, anew=self._identity)
