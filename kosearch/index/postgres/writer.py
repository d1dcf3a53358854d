"""What writers do to an index in PostgreSQL: several at once, each document whole.

What a transaction is to do is gathered, and done in one transaction of the server at its end: whoever dies before has
done nothing, and where the server goes away meanwhile it is simply done again. Rows of files are locked in one order.
"""

from __future__ import annotations

import hashlib
import hmac
import json
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kosearch.errors import IndexMismatch, IndexMissing
from kosearch.index.contract import FileState, Globs, NewDocument, NewPassage, Terms, UnanalysedDocument
from kosearch.index.database import storable
from kosearch.index.lexical import decode_lines, encode_terms
from kosearch.index.postgres.rows import FILE, file_state, lines_of, placed, run_of, text_in
from kosearch.index.postgres.schema import (
    State,
    bigint,
    bigints,
    copied,
    from_half_vectors,
    half_vectors,
    hash_of,
    hashes_in,
    integer,
    is_taken,
    lock_in,
    lock_out,
    read_meta,
    read_state,
    write_identity,
    write_meta,
)
from kosearch.index.postgres.segments import drop_segments, lack_segments, make_segments
from kosearch.index.postgres.server import Result, Server, Session
from kosearch.index.tables import PART, STRUCTURE
from kosearch.index.writer import LEAVES
from kosearch.records import MAX_TITLE, Skipped, SourceFile

_ROWS = 4096
Change = Callable[["Transaction"], None]
_SEEN = "path, root, size, mtime_ns, ctime_ns, inode"
"""What a run sees of a file without reading it."""


class PostgresWriter:
    """As `contract.Writer`: every commit is searchable, so `publish` has nothing to do."""

    def __init__(self, server: Server, state: State, secret: bytes | None) -> None:
        self._server = server
        self._state = state
        self._owner = Owner(state.id, secret) if secret is not None else None
        self._gathered: list[tuple[tuple[bytes, ...], Change]] | None = None
        self._recent: dict[bytes, NDArray[np.float32]] = {}
        """Vectors of the last commit: a document whose passage had one may be somebody else's by now."""

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """All that is written inside is committed together, or not at all. May be nested."""
        if self._gathered is not None:
            yield
            return
        self._gathered = []
        try:
            yield
            gathered = self._gathered
        finally:
            self._gathered = None
        if gathered:
            self._commit(gathered)

    def files(self) -> dict[bytes, FileState]:
        """Every file of this machine that a run has looked at, by its raw path."""
        known = self._read(lambda session: known_files(session, self._source))
        return {state.path_bytes: state for _, state in known}

    def vectors(self, input_hashes: Sequence[bytes]) -> dict[bytes, NDArray[np.float32]]:
        """Vectors (d,) that are stored for these inputs, by whomever."""
        wanted = list(dict.fromkeys(input_hashes))
        sql = (
            "SELECT DISTINCT ON (input_hash) input_hash, halfvec_send(vector) FROM passage"
            " WHERE input_hash = ANY(%s::bytea[])"
        )
        found = {bytes(key): blob for key, blob in self._read(lambda session: session.rows(sql, wanted))}
        vectors = from_half_vectors(list(found.values()), self._state.identity.dimensions)
        recent = {key: self._recent[key] for key in wanted if key in self._recent}
        return recent | dict(zip(found, vectors, strict=True))

    def put(
        self,
        source: SourceFile,
        content_hash: str,
        documents: Sequence[NewDocument],
        skipped: Sequence[Skipped] = (),
        *,
        reader: str = "",
    ) -> None:
        """Replace what the file had by these documents, and note the parts that gave none."""
        prepared = [Prepared(one, self._state) for one in documents]

        def change(transaction: Transaction) -> None:
            number = transaction.file(source, content_hash, reader)
            transaction.drop_documents(number)
            transaction.add_documents(number, source, prepared)
            transaction.note(number, skipped, whole=False)

        self._do((source.path_bytes,), change)
        stored = from_half_vectors([one for each in prepared for one in each.vectors], self._state.identity.dimensions)
        hashes = [one.input_hash for document in documents for one in document.passages]
        self._recent.update(zip(hashes, stored, strict=True))

    def skip(
        self, source: SourceFile, skipped: Skipped, content_hash: str = "", *, reader: str = "", limits: str = ""
    ) -> None:
        """Note that the file as it is now cannot be searched; what it had stays, unless it is empty or gone."""

        def change(transaction: Transaction) -> None:
            number = transaction.file(source, content_hash, reader, limits)
            if skipped.reason in LEAVES:
                transaction.drop_documents(number)
            transaction.note(number, [skipped], whole=True)

        self._do((source.path_bytes,), change)

    def touch(self, source: SourceFile) -> None:
        """The file has the content that the index knows, and perhaps other times or another root."""
        self._do((source.path_bytes,), lambda transaction: transaction.relocate(source.path_bytes, source))

    def move(self, old_raw: bytes, source: SourceFile) -> None:
        """A file that is known has another name now, and all that it had."""

        def change(transaction: Transaction) -> None:
            if old_raw != source.path_bytes and transaction.knows(old_raw):
                transaction.remove(source.path_bytes)
            transaction.relocate(old_raw, source)

        self._do((old_raw, source.path_bytes), change)

    def remove(self, raws: Sequence[bytes]) -> int:
        """Forget files and their documents; returns how many there were."""
        wanted = list(dict.fromkeys(raws))
        sql = "SELECT count(*) FROM file WHERE source = %s AND raw = ANY(%s::bytea[])"
        (count,) = self._read(lambda session: session.row(sql, self._source, wanted))

        def change(transaction: Transaction) -> None:
            for raw in wanted:
                transaction.remove(raw)

        if wanted:
            self._do(tuple(wanted), change)
        return int(count)

    def recognised(self, engine: str) -> dict[bytes, str]:
        """What this engine has found in pictures, by the hash of their pixels, as `keep_recognised` took it."""
        sql = "SELECT picture, body FROM recognised WHERE engine = %s"
        return {bytes(picture): body for picture, body in self._read(lambda session: session.rows(sql, engine))}

    def keep_recognised(self, engine: str, picture: bytes, found: str) -> None:
        """Keep what an engine has found in a picture; what others found on other machines stays."""
        sql = (
            "INSERT INTO recognised VALUES (%s, %s, %s)"
            " ON CONFLICT (picture, engine) DO UPDATE SET body = excluded.body"
        )
        self._do((), lambda transaction: transaction.run(sql, picture, engine, _text(found)))

    def roots(self) -> dict[bytes, Globs]:
        """The roots that this user named on this machine, and the globs they were indexed with."""
        return self._read(lambda session: roots_of(session, self._owner))

    def add_root(self, path_bytes: bytes, globs: Globs | None = None) -> None:
        """Remember a root, and its globs where some are given; without, those it had stay."""
        owner = self._owner
        if owner is None:
            return
        given = json.dumps(globs or {})
        clause = "NOTHING" if globs is None else "UPDATE SET (globs, seal) = (excluded.globs, excluded.seal)"
        sql = f"INSERT INTO root VALUES (%s, %s, %s, %s) ON CONFLICT (owner, raw) DO {clause}"
        seal = owner.seal(path_bytes.hex(), given)
        self._do((), lambda transaction: transaction.run(sql, owner.id, path_bytes, given, seal))

    def forget_root(self, path_bytes: bytes) -> None:
        """Forget a root; its files stay until they are removed."""
        if (owner := self._owner) is not None:
            sql = "DELETE FROM root WHERE owner = %s AND raw = %s"
            self._do((), lambda transaction: transaction.run(sql, owner.id, path_bytes))

    def last_run(self) -> Mapping[str, Any] | None:
        """What `record_run` kept."""
        return self._read(lambda session: run_of(read_meta(session, "run")))

    def record_run(self, run: Mapping[str, Any]) -> None:
        """Keep what a run did, for `status`."""
        self._do((), lambda transaction: write_meta(transaction.session, "run", run))

    def reanalysis(self, rules: str, fields: tuple[str, ...], words: tuple[str, ...] = ()) -> PostgresReanalysis:
        """Begin to give the passages terms by other rules, or go on with it; the rules' name tells the words, too."""
        return PostgresReanalysis(self._server, self._state, rules, fields, words)

    def publish(self) -> int:
        """The generation that answers: every commit was searchable at once."""
        make_segments(self._server, self._state, tidy=True)
        return self._read(lambda session: read_state(session, self._server.place)).generation

    def _read(self, work: Callable[[Session], Result]) -> Result:
        """What `work` reads: a run waits for the server, whatever it was about to do."""
        return self._server.again(work, reading=True)

    @property
    def _source(self) -> str:
        return self._server.place.source

    def _do(self, raws: tuple[bytes, ...], change: Change) -> None:
        """Have a change of these files done with the others of this transaction, or now."""
        with self.transaction():
            assert self._gathered is not None
            self._gathered.append((raws, change))

    def _commit(self, gathered: Sequence[tuple[tuple[bytes, ...], Change]]) -> None:
        raws = sorted({raw for names, _ in gathered for raw in names})

        def work(session: Session) -> bool:
            transaction = Transaction(session, self._server, self._state, raws)
            for _, change in gathered:
                change(transaction)
            return transaction.finish()

        if self._server.again(work):
            make_segments(self._server, self._state)
        self._recent = dict(list(self._recent.items())[-_ROWS:])


class Owner:
    """One user on one machine: whose roots are whose, and what that user took over."""

    def __init__(self, index: str, secret: bytes) -> None:
        self._key = secret
        self._index = index
        self.id = self.seal("owner")[:32]

    def seal(self, *values: str) -> str:
        """What only this user can have written about this index."""
        return hmac.digest(self._key, json.dumps([self._index, *values]).encode(), "sha256").hex()


def roots_of(session: Session, owner: Owner | None) -> dict[bytes, Globs]:
    """The roots of a user, as that user named them."""
    if owner is None:
        return {}
    rows = session.rows("SELECT raw, globs, seal FROM root WHERE owner = %s ORDER BY raw", owner.id)
    return {
        bytes(raw): {name: tuple(globs) for name, globs in json.loads(given).items()}
        for raw, given, seal in rows
        if hmac.compare_digest(seal.encode(), owner.seal(bytes(raw).hex(), given).encode())
    }


def known_files(session: Session, source: str) -> list[tuple[int, FileState]]:
    """Every file of a machine that a run has looked at, with its row's number."""
    sql = (
        f"SELECT {FILE} FROM file f LEFT JOIN problem p ON p.file = f.id AND p.whole WHERE f.source = %s ORDER BY f.id"
    )
    return [(row[0], file_state(row)) for row in session.rows(sql, source)]


class Prepared:
    """A document as it is stored, worked out before anything is locked."""

    def __init__(self, document: NewDocument, state: State) -> None:
        """Raises ValueError for vectors and terms that cannot be stored."""
        identity = state.identity
        extracted = document.extracted
        text = storable(extracted.text)
        metadata = {key: storable(value) for key, value in extracted.metadata.items()}
        self.length = len(text)
        self.row = (
            _text(extracted.member),
            extracted.kind,
            _text(extracted.title)[:MAX_TITLE],
            json.dumps(metadata, ensure_ascii=True).replace("\\u0000", "\\ufffd"),
            hashlib.sha256(text.encode()).hexdigest(),
            len(text),
            len(document.passages),
        )
        headings = [(one.start, one.level, storable(one.title)[:MAX_TITLE]) for one in extracted.headings]
        pages = [(one.start, one.number, storable(one.label)) for one in extracted.pages]
        ocr = [(one.start, one.end, one.confidence) for one in extracted.ocr]
        structure = json.dumps([headings, pages, *([ocr] if ocr else [])], ensure_ascii=False).encode()
        parts = [text[start : start + PART].encode() for start in range(0, len(text), PART)]
        self.texts = [(STRUCTURE, structure), *enumerate(parts)]
        self.places = [_place(number, one).encode() for number, one in enumerate(document.passages)]
        self.hashes = [one.input_hash for one in document.passages]
        self.vectors = _vectors(document.passages, state) if document.passages else []
        self.terms = [encode_terms(identity.fields, one.terms) for one in document.passages]
        self.hashed = [
            sorted({hash_of(name, term) for name in identity.fields for term in one.terms.get(name, ())})
            for one in document.passages
        ]


def _vectors(passages: Sequence[NewPassage], state: State) -> list[bytes]:
    stacked = np.stack([one.vector for one in passages])
    if stacked.shape[1:] != (state.identity.dimensions,):
        raise ValueError(f"a vector has {stacked.shape[1:]} dimensions, the index has {state.identity.dimensions}")
    if not np.isfinite(stacked).all():
        raise ValueError("a vector is not finite")
    return half_vectors(stacked, state.identity.storage)


def _place(ordinal: int, new: NewPassage) -> str:
    one = new.passage
    values = [
        ordinal,
        one.start,
        one.end,
        one.line_start,
        one.line_end,
        one.page,
        storable(one.page_label),
        [storable(heading)[:MAX_TITLE] for heading in one.headings],
        one.page_end,
        *([] if one.ocr is None else [one.ocr]),
    ]
    return json.dumps(values, ensure_ascii=False)


def _text(text: str) -> str:
    """Text as PostgreSQL can hold it."""
    return storable(text).replace("\0", "\ufffd")


class Transaction:
    """Changes of files in one transaction of the server, and what they make of the counts."""

    def __init__(self, session: Session, server: Server, state: State, raws: Sequence[bytes]) -> None:
        """Locks the files' rows. Raises IndexMismatch where terms are by other rules by now, IndexMissing."""
        self.session = session
        self._source = server.place.source
        lock_in(session)
        now = read_state(session, server.place)
        if now.id != state.id:
            raise IndexMissing(f"the index in {server.place} is another one by now", "run the command again")
        if now.identity != state.identity:
            raise IndexMismatch(f"another run changed the rules of the index in {server.place}", "run it again")
        self._state = now
        self._fields = now.identity.fields
        self._slot = _free_slot(session)
        self._counts = Counted(self._fields)
        self._visible = False
        self._adds = False
        self._added: list[tuple[int, int, Prepared]] = []
        """Number of the file, number of the document, and what it is: not written yet."""
        sql = "SELECT 1 FROM file WHERE source = %s AND raw = ANY(%s::bytea[]) ORDER BY raw FOR UPDATE"
        if raws:
            session.rows(sql, self._source, list(raws))

    def run(self, sql: str, *parameters: object) -> None:
        """Anything else."""
        self.session.run(sql, *parameters)

    def knows(self, raw: bytes) -> bool:
        """Whether there is such a file."""
        return self._number(raw) is not None

    def file(self, source: SourceFile, content_hash: str, reader: str, limits: str = "") -> int:
        """The file's row, brought up to date, its problems forgotten."""
        values = (*_seen(source), content_hash, reader, limits)
        marks = ", ".join(["%s"] * 9)
        sql = (
            f"INSERT INTO file (source, raw, {_SEEN}, hash, reader, limits) VALUES (%s, %s, {marks})"
            f" ON CONFLICT (source, raw) DO UPDATE SET ({_SEEN}, hash, reader, limits) = ({marks}) RETURNING id"
        )
        (number,) = self.session.row(sql, self._source, source.path_bytes, *values, *values)
        self.session.run("DELETE FROM problem WHERE file = %s", number)
        return int(number)

    def note(self, file_number: int, problems: Sequence[Skipped], *, whole: bool) -> None:
        """Keep the problems of a whole file, or of parts of it."""
        rows = [(file_number, whole, _text(one.member), one.reason, _text(one.detail)) for one in problems]
        self.session.run_many("INSERT INTO problem VALUES (%s, %s, %s, %s, %s)", rows)

    def drop_documents(self, file_number: int) -> None:
        """A file's documents leave."""
        if any(number == file_number for number, _, _ in self._added):
            self._write_added()
        sql = "SELECT l.terms FROM lexicon l JOIN document d ON d.id = l.document WHERE d.file = %s"
        for (blob,) in self.session.rows(sql, file_number):
            self._counts.add(lines_of(blob, self._state.identity.fields), -1)
        gone = self.session.run("DELETE FROM document WHERE file = %s", file_number)
        self._counts.documents -= gone
        self._visible = self._visible or gone > 0

    def add_documents(self, file_number: int, source: SourceFile, documents: Sequence[Prepared]) -> None:
        """A file's documents come."""
        if not documents:
            return
        sql = "SELECT nextval('document_id') FROM generate_series(1, %s)"
        numbers = [number for (number,) in self.session.rows(sql, len(documents))]
        where = (self._source, source.path_bytes, _text(source.path))
        times = (source.size, source.mtime_ns)
        marks = ", ".join(["%s"] * 14)
        self.session.run_many(
            f"INSERT INTO document VALUES ({marks})",
            [(number, file_number, *where, *one.row, *times) for number, one in zip(numbers, documents, strict=True)],
        )
        self._added += [(file_number, number, one) for number, one in zip(numbers, documents, strict=True)]
        self._counts.documents += len(documents)
        self._visible = True

    def relocate(self, raw: bytes, source: SourceFile) -> None:
        """A file has another name, other times or another root; readers see the first two."""
        number = self._number(raw)
        if number is None:
            return
        path, root, size, mtime_ns, ctime_ns, inode = _seen(source)
        self.session.run(
            f"UPDATE file SET (raw, {_SEEN}) = (%s, %s, %s, %s, %s, %s, %s) WHERE id = %s",
            *(source.path_bytes, path, root, size, mtime_ns, ctime_ns, inode, number),
        )
        # The times of a file that cannot be read are not those of the text that it had.
        broken = self.session.row("SELECT 1 FROM problem WHERE file = %s AND whole", number)
        times, given = ("", ()) if broken else (", size, mtime_ns", (size, mtime_ns))
        marks = ", ".join(["%s"] * (2 + len(given)))
        seen = (source.path_bytes, path, *given)
        changed = self.session.run(
            f"UPDATE document SET (raw, path{times}) = ({marks}) WHERE file = %s AND (raw, path{times}) <> ({marks})",
            *(*seen, number, *seen),
        )
        self._visible = self._visible or changed > 0

    def remove(self, raw: bytes) -> None:
        """Forget a file."""
        if (number := self._number(raw)) is not None:
            self.drop_documents(number)
            self.session.run("DELETE FROM file WHERE id = %s", number)

    def finish(self) -> bool:
        """Write what was gathered, and the counts; whether many passages have no segment now."""
        self._write_added()
        self._counts.write(self.session, self._slot, visible=self._visible)
        return self._adds and lack_segments(self.session, self._state)

    def _number(self, raw: bytes) -> int | None:
        found = self.session.row("SELECT id FROM file WHERE source = %s AND raw = %s", self._source, raw)
        return None if found is None else int(found[0])

    def _write_added(self) -> None:
        added, self._added = self._added, []
        texts = [(bigint(number), integer(part), body) for _, number, one in added for part, body in one.texts]
        if texts:
            self.session.copy("text", copied(texts))
        flat = [
            (bigint(number), *values)
            for _, number, one in added
            for values in zip(one.places, one.hashes, one.vectors, one.terms, one.hashed, strict=True)
        ]
        if not flat:
            return
        self._adds = True
        sql = "SELECT nextval('passage_id') FROM generate_series(1, %s)"
        ids = [bigint(number) for (number,) in self.session.rows(sql, len(flat))]
        passages = [(number, *row[:4]) for number, row in zip(ids, flat, strict=True)]
        self.session.copy("passage (id, document, place, input_hash, vector)", copied(passages))
        lexicon = [(number, row[0], row[4], bigints(row[5])) for number, row in zip(ids, flat, strict=True)]
        self.session.copy("lexicon (passage, document, terms, hashed)", copied(lexicon))
        for row in flat:
            self._counts.add(decode_lines(row[4]), 1)


def _seen(source: SourceFile) -> tuple[Any, ...]:
    """The values of the columns _SEEN."""
    return (_text(source.path), source.root, source.size, source.mtime_ns, source.ctime_ns, source.inode)


def _free_slot(session: Session) -> int:
    """The first number that no other transaction counts under: it is this one's until its end."""
    number = 0
    while is_taken(session, number):
        number += 1
    return number


class Counted:
    """What a transaction changes about the numbers of documents, passages and terms."""

    def __init__(self, fields: Sequence[str]) -> None:
        self._fields = fields
        self._terms: list[Counter[str]] = [Counter() for _ in fields]
        self._totals = [0] * len(fields)
        self.documents = 0
        self._passages = 0

    def add(self, lines: Sequence[str], sign: int) -> None:
        """Count the terms of a passage in, or out."""
        self._passages += sign
        for place, line in enumerate(lines):
            terms = line.split()
            self._totals[place] += sign * len(terms)
            for term in set(terms):
                self._terms[place][term] += sign

    def write(self, session: Session, slot: int, *, visible: bool) -> None:
        """Add them to the rows of a slot."""
        if visible:
            session.run(
                "INSERT INTO slot AS s VALUES (%s, 1, %s, %s, %s::bigint[]) ON CONFLICT (number) DO UPDATE SET"
                " generation = s.generation + 1, documents = s.documents + excluded.documents,"
                " passages = s.passages + excluded.passages,"
                " totals = ARRAY(SELECT a + b FROM unnest(s.totals, excluded.totals) AS u(a, b))",
                *(slot, self.documents, self._passages, self._totals),
            )
        rows = sorted(
            (hash_of(name, term), place, term, count)
            for place, name in enumerate(self._fields)
            for term, count in self._terms[place].items()
            if count
        )
        if not rows:
            return
        hashes, places, terms, counts = zip(*rows, strict=True)
        session.run(
            "INSERT INTO frequency AS f SELECT u.hash, %s, u.field, u.term, u.count"
            " FROM unnest(%s, %s, string_to_array(%s, ' '), %s) AS u(hash, field, term, count)"
            " ON CONFLICT (hash, slot) DO UPDATE SET count = f.count + excluded.count",
            *(slot, bigints(hashes), bigints(places), " ".join(terms), bigints(counts)),
        )
        if min(counts) < 0:
            session.run("DELETE FROM frequency WHERE slot = %s AND hash = ANY(%s) AND count = 0", slot, bigints(hashes))


def count_anew(session: Session, fields: Sequence[str]) -> None:
    """Replace all counts by those of what is stored. The caller has locked all others out."""
    counts = Counted(fields)
    (counts.documents,) = session.row("SELECT count(*) FROM document")
    for rows in session.stream("SELECT terms FROM lexicon ORDER BY passage", _ROWS):
        for (blob,) in rows:
            counts.add(lines_of(blob, fields), 1)
    (generation,) = session.row("SELECT coalesce(sum(generation), 0)::bigint FROM slot")
    session.run("DELETE FROM slot")
    session.run("DELETE FROM frequency")
    counts.write(session, 0, visible=True)
    session.run("UPDATE slot SET generation = %s", generation + 1)


_LACKING = (
    "EXISTS (SELECT 1 FROM passage p LEFT JOIN new_terms n ON n.passage = p.id WHERE p.document = d.id"
    " AND n.passage IS NULL)"
)
"""Documents of which a passage has no new terms."""


class PostgresReanalysis:
    """Begun, or gone on with, by whoever makes one; `finish` makes the new terms those of the index."""

    def __init__(
        self, server: Server, state: State, rules: str, fields: tuple[str, ...], words: tuple[str, ...]
    ) -> None:
        self._server = server
        self._identity = replace(state.identity, term_rules=rules, fields=fields, words=words)
        made_by = {"rules": rules, "fields": list(fields)}

        def begin(session: Session) -> None:
            lock_out(session)
            if read_meta(session, "new terms") != made_by:
                session.run("DELETE FROM new_terms")
                write_meta(session, "new terms", made_by)

        server.again(begin)

    def __len__(self) -> int:
        """How many documents are left to be analysed."""
        sql = f"SELECT count(*) FROM document d WHERE {_LACKING}"
        return int(self._server.again(lambda session: session.row(sql), reading=True)[0])

    def documents(self) -> Iterator[UnanalysedDocument]:
        """The documents that are left. Those that get terms meanwhile do not disturb."""
        sql = f"SELECT d.id FROM document d WHERE {_LACKING} ORDER BY 1"
        for (number,) in self._server.again(lambda session: session.rows(sql), reading=True):
            found = self._server.again(partial(_unanalysed, number=number), reading=True)
            if found is not None:  # else it has left meanwhile
                yield found

    def put(self, analysed: Iterable[tuple[UnanalysedDocument, Sequence[Terms]]]) -> None:
        """Keep the terms of these documents' passages, in their order, in one transaction."""
        fields = self._identity.fields
        rows = [
            (number, encode_terms(fields, one), number)
            for document, terms in analysed
            for number, one in zip(document.ids, terms, strict=True)
        ]
        sql = (
            "INSERT INTO new_terms SELECT %s, %s WHERE EXISTS (SELECT 1 FROM passage WHERE id = %s FOR KEY SHARE)"
            " ON CONFLICT (passage) DO UPDATE SET terms = excluded.terms"
        )
        self._server.again(lambda session: session.run_many(sql, rows))

    def give_up(self, document: UnanalysedDocument) -> None:
        """The document has no terms, and the next run reads its file again."""
        self.put([(document, [{} for _ in document.ids])])
        sql = "UPDATE file SET hash = '' WHERE id = (SELECT file FROM document WHERE id = %s)"
        self._server.again(lambda session: session.run(sql, document.id))

    def finish(self) -> int:
        """Make the new terms those of the index, in one commit; returns the generation that answers now.

        What others put meanwhile has terms by the old rules: its files are read again by the next run.
        """
        self._server.again(self._finish)
        state = self._server.again(lambda session: read_state(session, self._server.place), reading=True)
        make_segments(self._server, state, tidy=True)
        return state.generation

    def _finish(self, session: Session) -> None:
        lock_out(session)
        fields = self._identity.fields
        session.run(f"UPDATE file SET hash = '' WHERE id IN (SELECT d.file FROM document d WHERE {_LACKING})")
        nothing = encode_terms(fields, {})
        session.run(
            "INSERT INTO new_terms SELECT id, %s FROM passage ON CONFLICT (passage) DO NOTHING",
            nothing,
        )
        drop_segments(session)
        session.run("DELETE FROM lexicon")
        sql = "SELECT n.passage, p.document, n.terms FROM new_terms n JOIN passage p ON p.id = n.passage ORDER BY 1"
        for rows in session.stream(sql, _ROWS):
            session.copy(
                "lexicon (passage, document, terms, hashed)",
                copied(
                    (bigint(number), bigint(document), terms, bigints(hashes_in(fields, lines_of(terms, fields))))
                    for number, document, terms in rows
                ),
            )
        session.run("DELETE FROM new_terms")
        write_meta(session, "new terms", None)
        write_identity(session, self._identity)
        count_anew(session, fields)


def _unanalysed(session: Session, number: int) -> UnanalysedDocument | None:
    """What it takes to make the terms of a document anew; None where it has left."""
    sql = "SELECT d.title, d.path, d.member, f.root FROM document d JOIN file f ON f.id = d.file WHERE d.id = %s"
    row = session.row(sql, number)
    if row is None:
        return None
    title, path, member, root = row
    rows = session.rows("SELECT id, place FROM passage WHERE document = %s ORDER BY id", number)
    passages = [(one, placed(place)[1]) for one, place in rows]
    return UnanalysedDocument.of(number, title, path, member, root, passages, text_of(session, number))


def text_of(session: Session, number: int) -> str:
    """All of a document's text."""
    sql = "SELECT body FROM text WHERE document = %s AND part >= 0 ORDER BY part"
    return text_in([body for (body,) in session.rows(sql, number)])
