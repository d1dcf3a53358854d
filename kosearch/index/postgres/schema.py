"""The tables of an index in PostgreSQL, and their versions. Each index has a schema of its own: `kosearch_NAME`.

Every commit is searchable at once. Counts of passages and terms stand in rows of whoever writes, one `slot` for each
transaction that goes on at the same time: no writer waits for another, and a reader adds the rows up.
"""

from __future__ import annotations

import json
import os
import struct
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import lru_cache
from hashlib import blake2b
from typing import Any

import numpy as np
from numpy.typing import NDArray

from kosearch.config import Database
from kosearch.errors import IndexMismatch
from kosearch.index.contract import Identity, Vectors
from kosearch.index.database import damaged, decoding
from kosearch.index.postgres.rows import identity_of
from kosearch.index.postgres.server import Bigints, Session
from kosearch.index.vectors import quantise, vectors_of

MIGRATIONS: tuple[tuple[str, ...], ...] = (
    (
        "CREATE TABLE meta (key text PRIMARY KEY, value text NOT NULL)",
        (
            "CREATE TABLE slot (number int PRIMARY KEY, generation bigint NOT NULL, documents bigint NOT NULL,"
            " passages bigint NOT NULL, totals bigint[] NOT NULL)"
        ),
        # What a user named stands under that user, sealed: nobody else's row makes this machine read or send anything.
        "CREATE TABLE owner (id text PRIMARY KEY, seal text NOT NULL)",
        (
            "CREATE TABLE root (owner text NOT NULL, raw bytea NOT NULL, globs text NOT NULL, seal text NOT NULL,"
            " PRIMARY KEY (owner, raw))"
        ),
        # Sizes and times are whatever a file system says.
        (
            "CREATE TABLE file (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, source text NOT NULL,"
            " raw bytea NOT NULL, path text NOT NULL, root bytea NOT NULL, size numeric NOT NULL,"
            " mtime_ns numeric NOT NULL, ctime_ns numeric NOT NULL, inode numeric NOT NULL, hash text NOT NULL,"
            " reader text NOT NULL, limits text NOT NULL, UNIQUE (source, raw))"
        ),
        (
            "CREATE TABLE problem (file bigint NOT NULL REFERENCES file ON DELETE CASCADE, whole boolean NOT NULL,"
            " member text NOT NULL, reason text NOT NULL, detail text NOT NULL)"
        ),
        "CREATE INDEX problem_file ON problem (file)",
        "CREATE SEQUENCE document_id",
        (
            "CREATE TABLE document (id bigint PRIMARY KEY, file bigint NOT NULL REFERENCES file ON DELETE CASCADE,"
            " source text NOT NULL, raw bytea NOT NULL, path text NOT NULL, member text NOT NULL, kind text NOT NULL,"
            ' title text NOT NULL, metadata text NOT NULL, text_hash text COLLATE "C" NOT NULL, length int NOT NULL,'
            " passages int NOT NULL, size numeric NOT NULL, mtime_ns numeric NOT NULL)"
        ),
        "CREATE INDEX document_file ON document (file)",
        "CREATE INDEX document_hash ON document (text_hash)",
        # Bytes, for PostgreSQL's text has no NUL; in parts, so that showing a passage of a book does not read the book.
        (
            "CREATE TABLE text (document bigint NOT NULL REFERENCES document ON DELETE CASCADE, part int NOT NULL,"
            " body bytea NOT NULL, PRIMARY KEY (document, part))"
        ),
        "CREATE SEQUENCE passage_id",
        (
            "CREATE TABLE passage (id bigint PRIMARY KEY, document bigint NOT NULL REFERENCES document"
            " ON DELETE CASCADE, place text NOT NULL, input_hash bytea NOT NULL, vector halfvec({dimensions}) NOT NULL)"
        ),
        "CREATE INDEX passage_document ON passage (document)",
        "CREATE INDEX passage_input ON passage (input_hash)",
        # Narrow rows, their arrays elsewhere: finding who has a term reads the rows of all that have it.
        (
            "CREATE TABLE lexicon (passage bigint PRIMARY KEY REFERENCES passage ON DELETE CASCADE,"
            " document bigint NOT NULL, terms bytea NOT NULL, hashed bigint[] NOT NULL) WITH (toast_tuple_target = 128)"
        ),
        "ALTER TABLE lexicon ALTER terms SET STORAGE EXTERNAL, ALTER hashed SET STORAGE EXTERNAL",
        "CREATE INDEX lexicon_hashed ON lexicon USING gin (hashed)",
        (
            "CREATE TABLE frequency (hash bigint NOT NULL, slot int NOT NULL, field smallint NOT NULL,"
            " term text NOT NULL, count bigint NOT NULL, PRIMARY KEY (hash, slot))"
        ),
        (
            "CREATE TABLE new_terms (passage bigint PRIMARY KEY REFERENCES passage ON DELETE CASCADE,"
            " terms bytea NOT NULL)"
        ),
        (
            "CREATE TABLE recognised (picture bytea NOT NULL, engine text NOT NULL, body text NOT NULL,"
            " PRIMARY KEY (picture, engine))"
        ),
    ),
    # What a list of what is to come into the index later would save a writer, each question would pay, once for each of
    # its terms, until somebody vacuums.
    ("ALTER INDEX lexicon_hashed SET (fastupdate = off)", "SELECT gin_clean_pending_list('lexicon_hashed')"),
    # It is seldom asked since there are segments, and a list of what is to come into it saves a third of the writing.
    (
        "ALTER INDEX lexicon_hashed SET (fastupdate = on, gin_pending_list_limit = 1024)",
        # What the passages with ids above `low` up to `high` have: see postings.py. `rules` made the terms.
        (
            "CREATE TABLE segment (low bigint PRIMARY KEY, high bigint NOT NULL, passages int NOT NULL,"
            " rules text NOT NULL)"
        ),
        (
            "CREATE TABLE posting (segment bigint NOT NULL, first bigint NOT NULL, body bytea NOT NULL,"
            " PRIMARY KEY (segment, first))"
        ),
        "ALTER TABLE posting ALTER body SET STORAGE EXTERNAL",
        # Whom rows of passages are hidden from would learn their words here.
        "ALTER TABLE segment ENABLE ROW LEVEL SECURITY",
        "ALTER TABLE posting ENABLE ROW LEVEL SECURITY",
        "CREATE POLICY whole ON segment USING (NOT row_security_active('lexicon'::regclass::oid))",
        "CREATE POLICY whole ON posting USING (NOT row_security_active('lexicon'::regclass::oid))",
        # Who may do something with the tables of an older version may do it with these.
        (
            "DO $$ DECLARE one record; BEGIN"
            " FOR one IN SELECT a.* FROM pg_class c, aclexplode(c.relacl) a WHERE c.oid = 'lexicon'::regclass LOOP"
            " EXECUTE 'GRANT ' || one.privilege_type || ' ON segment, posting TO '"
            " || CASE one.grantee WHEN 0 THEN 'PUBLIC' ELSE quote_ident(pg_get_userbyid(one.grantee)) END;"
            " END LOOP; END $$"
        ),
    ),
)
VERSION = len(MIGRATIONS)
MOST_SPAN = 1 << 16
"""A segment covers so many ids at most: a place in it has 16 bits."""
_SEGMENTS = "(SELECT json_agg(json_build_array(low, high, passages, rules) ORDER BY low) FROM segment)"
GRAPH = "passage_vector"
"""The name of the HNSW graph that an owner may have the server build: `kosearch docs server` says how."""


@dataclass(frozen=True, slots=True)
class Segment:
    """Passages whose terms stand in `posting`: those with ids above `low` up to `high`."""

    low: int
    high: int
    passages: int
    """So many there were when it was made."""


@dataclass(frozen=True, slots=True)
class State:
    """What a transaction sees of the index as a whole."""

    id: str
    """Of this index; another one of the same name has another."""
    identity: Identity
    generation: int
    documents: int
    passages: int
    totals: Mapping[str, int]
    mark: str = ""
    """Another one where anything may have changed, by a restored backup or a standby that took over as well."""
    has_graph: bool = False
    """Whether an index over the vectors finds the nearest, as its owner had the server make one."""
    segments: tuple[Segment, ...] = ()
    """By their ids; none where some have terms by other rules, and for whom rows of passages may be hidden from."""


def create(session: Session, identity: Identity) -> None:
    """Make the tables of an empty index."""
    _migrate(session, 0, identity.dimensions)
    write_meta(session, "id", os.urandom(16).hex())
    write_meta(session, "run", None)
    write_identity(session, identity)


def upgrade(session: Session) -> None:
    """Bring the tables of an older version to this one's; others write neither meanwhile nor by the older."""
    session.run("LOCK TABLE meta IN EXCLUSIVE MODE")
    version = read_version(session)
    if version is not None and version < VERSION:
        with decoding("its identity"):  # that of an older version; and a statement is made of this
            dimensions = int(read_meta(session, "identity")["dimensions"])
        _migrate(session, version, dimensions)


def _migrate(session: Session, version: int, dimensions: int) -> None:
    for statements in MIGRATIONS[version:]:
        for statement in statements:
            session.run(statement.format(dimensions=dimensions))
    write_meta(session, "format", VERSION)


def write_identity(session: Session, identity: Identity) -> None:
    """Set what made the index."""
    write_meta(session, "identity", asdict(identity))


def write_meta(session: Session, key: str, value: Any) -> None:
    """Set a value of the table `meta`."""
    sql = "INSERT INTO meta VALUES (%s, %s) ON CONFLICT (key) DO UPDATE SET value = excluded.value"
    session.run(sql, key, json.dumps(value, ensure_ascii=False).replace("\\u0000", "\\ufffd"))


def read_meta(session: Session, key: str) -> Any:
    """A value of the table `meta`; None where there is none."""
    found = session.row("SELECT value FROM meta WHERE key = %s", key)
    with decoding(f"its {key}"):
        return None if found is None else json.loads(found[0])


def read_version(session: Session) -> int | None:
    """The format that the tables have; None where nothing says so."""
    version = read_meta(session, "format")
    with decoding("its format"):
        return None if version is None else int(version)


def read_state(session: Session, place: Database) -> State:
    """The index as this transaction sees it. Raises IndexMismatch where another version made its tables."""
    meta, slots, mark, made, has_graph = session.row(
        "SELECT (SELECT json_object_agg(key, value) FROM meta),"
        " (SELECT json_agg(json_build_array(generation, documents, passages, totals)) FROM slot),"
        # Who changes answers writes a slot's row; a row that is restored, and a server that takes over, are others.
        " (SELECT concat(pg_postmaster_start_time(), string_agg(concat_ws(',', '', number, generation, xmin), ''"
        " ORDER BY number)) FROM slot),"
        f" {_SEGMENTS},"
        f" coalesce((SELECT indisvalid FROM pg_index WHERE indexrelid = to_regclass('{GRAPH}')), false)"
    )
    with decoding("its table meta"):
        version, number, stored = (json.loads(meta[key]) for key in ("format", "id", "identity"))
        version, number = int(version), str(number)
    if version != VERSION:
        raise IndexMismatch(
            f"the index in {place} has format {version}, and this kosearch knows {VERSION}",
            "pip install --upgrade kosearch" if version > VERSION else "index the documents into another: ?index=NAME",
        )
    identity = identity_of(stored)
    generation, documents, passages, *totals = _summed(slots or (), 3 + len(identity.fields))
    segments = [Segment(*numbers) for *numbers, rules in made or () if rules == identity.term_rules]
    if not all(0 < one.high - one.low <= MOST_SPAN for one in segments):
        raise damaged("the table of segments")
    return State(
        number,
        identity,
        generation,
        documents,
        passages,
        dict(zip(identity.fields, totals, strict=True)),
        mark,
        has_graph,
        tuple(segments) if len(segments) == len(made or ()) else (),
    )


def _summed(slots: Sequence[Sequence[Any]], columns: int) -> list[int]:
    """Generation, documents, passages and the totals of the fields, over all slots."""
    with decoding("the table of counts"):
        sums = [0] * columns
        for *numbers, totals in slots:
            sums = [one + other for one, other in zip(sums, (*numbers, *totals), strict=True)]
        if min(sums) < 0:
            raise ValueError
        return sums


def lock_out(session: Session) -> None:
    """Let no other transaction write until this one has ended."""
    session.run("SELECT pg_advisory_xact_lock(hashtextextended(current_schema(), 0))")


def lock_in(session: Session) -> None:
    """Write beside others, and not beside who locks all out."""
    session.run("SELECT pg_advisory_xact_lock_shared(hashtextextended(current_schema(), 0))")


def is_taken(session: Session, number: int) -> bool:
    """Whether another transaction has this number; else it is this one's until its end."""
    sql = "SELECT NOT pg_try_advisory_xact_lock(hashtext(current_schema()), %s)"
    return bool(session.row(sql, number)[0])


@lru_cache(maxsize=1 << 17)
def hash_of(field: str, term: str) -> int:
    """The number that stands for a term of a field: 64 bits, so that two of a billion terms hardly ever share one."""
    return int.from_bytes(blake2b(f"{field} {term}".encode(), digest_size=8).digest(), "big", signed=True)


def hashes_in(fields: Sequence[str], lines: Sequence[str]) -> list[int]:
    """The numbers of a passage's terms, given as a line for each field: once each, ascending."""
    return sorted({hash_of(name, term) for name, line in zip(fields, lines, strict=True) for term in line.split()})


# Rows in the form that COPY takes.

_HEADER = b"PGCOPY\n\xff\r\n\0" + struct.pack(">ii", 0, 0)
_END = struct.pack(">h", -1)
_ITEM = np.dtype([("length", ">i4"), ("value", ">i8")])
_BIGINT = 20
"""The type's number in PostgreSQL."""


def copied(rows: Iterable[Sequence[bytes]]) -> bytes:
    """Rows of values in PostgreSQL's binary forms, as COPY takes them."""
    parts = [_HEADER]
    for row in rows:
        parts.append(struct.pack(">h", len(row)))
        for value in row:
            parts += (struct.pack(">i", len(value)), value)
    parts.append(_END)
    return b"".join(parts)


def bigint(number: int) -> bytes:
    """A bigint's binary form."""
    return struct.pack(">q", number)


def integer(number: int) -> bytes:
    """An int's binary form."""
    return struct.pack(">i", number)


def bigints(numbers: Sequence[int]) -> Bigints:
    """A bigint[]'s binary form."""
    if not numbers:
        return Bigints(struct.pack(">iii", 0, 0, _BIGINT))
    items = np.empty(len(numbers), _ITEM)
    items["length"], items["value"] = 8, numbers
    return Bigints(struct.pack(">iiiii", 1, 0, _BIGINT, len(numbers), 1) + items.tobytes())


def hashes_of(arrays: Sequence[bytes]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """What `bigints` made, many → all of their numbers, one after the other, and how many each has."""
    with decoding("the terms of a passage"):
        counts = np.array([int.from_bytes(one[12:16], "big") for one in arrays], np.int64)  # none of an empty one
        items = np.frombuffer(b"".join(one[20:] for one in arrays), _ITEM)
        if len(items) != counts.sum():
            raise ValueError
        return items["value"].astype(np.int64), counts


def half_vectors(vectors: Vectors, storage: str) -> list[bytes]:
    """Rows of (n, d) as the binary forms of halfvec: 16 bits hold what float16 and int8 storage hold, to the bit."""
    stored = quantise(vectors, storage).astype(">f2")
    head = struct.pack(">hh", stored.shape[1], 0)
    return [head + row.tobytes() for row in stored]


def from_half_vectors(blobs: Sequence[bytes], dimensions: int) -> Vectors:
    """What `half_vectors` made → (n, d) float32 of length 1."""
    data = b"".join(blob[4:] for blob in blobs)
    with decoding("the vectors of passages"):
        return vectors_of(np.frombuffer(data, dtype=">f2").reshape(len(blobs), dimensions))


def in_text(vector: Vectors) -> str:
    """A vector as pgvector reads it."""
    return "[" + ",".join(map(repr, vector.tolist())) + "]"
