"""Which passages have a question's words, on a server: the lists of segments alone, among more than one would embed.

    python -m tests.benchmarks postgres_words [--passages 200000,1000000] [--questions N] [--gin]

Passages have the words of the made corpus of `scale` and no vectors. Printed for each size: seconds of processors of
making the segments, and their bytes a passage; how many passages have the terms of a question, all added up; and what
finding the 200 with the most points takes, median by the clock, and mean of processors, the server's included. With
--gin the server's own index of terms is built as well, asked the same, and has to find the same.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from statistics import mean, median

import numpy as np
from numpy.typing import NDArray

from kosearch.config import database
from kosearch.index.kept_terms import found_among
from kosearch.index.postgres import PostgresStore
from kosearch.index.postgres import snapshot as snapshots
from kosearch.index.postgres.schema import bigint, bigints, copied
from kosearch.index.postgres.segments import make_segments
from kosearch.records import Statistics
from kosearch.scoring import CANDIDATES, points
from kosearch.searching.by_words import with_others
from kosearch.terms import BIGRAMS, CONTEXT, FIELDS, MORPHEMES
from tests.benchmarks._synthetic import IDENTITY, PER_DOCUMENT, Asked, Corpus
from tests.benchmarks.postgres_scale import spent

sys.path.insert(0, str(Path(__file__).parents[1]))
from postgres_making import TestServer, running

Numbers = NDArray[np.int64]
Found = Callable[[Asked], Numbers]
_BLOCK = 1000


def main(arguments: Sequence[str]) -> None:
    parser = argparse.ArgumentParser(prog="postgres_words", description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--passages", default="200000,1000000", help="sizes, between commas")
    parser.add_argument("--questions", type=int, default=50)
    parser.add_argument("--gin", action="store_true", help="build and ask the server's own index, too")
    options = parser.parse_args(arguments)
    snapshots.hash_of = number_of  # numbers of words, made by NumPy instead of one by one
    with running("shared_buffers=1GB", "maintenance_work_mem=1GB", "max_wal_size=4GB") as server:
        for size in map(int, options.passages.split(",")):
            measure(server, Corpus(size), size, options.questions, gin=options.gin)


def measure(server: TestServer, corpus: Corpus, size: int, questions: int, *, gin: bool) -> None:
    place = database(server.url(f"words_{size}"))
    schema, store = place.schema, PostgresStore.create(place, IDENTITY)
    server.sql(f"DROP INDEX {schema}.lexicon_hashed; ALTER TABLE {schema}.lexicon DROP CONSTRAINT lexicon_passage_fkey")
    asked = corpus.questions(questions)
    wanted = [with_others(one.question) for one in asked]
    numbers = np.unique([number_of(name, term) for one in wanted for name in one for term in one[name]])
    counts = np.zeros(len(numbers), np.int64)
    passage = 0
    for words in blocks(corpus):
        rows = []
        for terms in words:
            passage += 1
            hashed = np.unique(terms)
            counts[found_among(hashed.view(np.uint64), numbers.view(np.uint64))[1]] += 1
            rows.append((bigint(passage), bigint(passage // PER_DOCUMENT), b"", bigints(hashed.tolist())))
        with store.server.writing() as session:
            session.copy("lexicon (passage, document, terms, hashed)", copied(rows))
    server.sql(
        f"INSERT INTO {schema}.slot VALUES (0, 1, {corpus.documents}, {size}, '{{{size},{size},{size},{size}}}')"
    )
    with store.writer() as writer:
        begun = spent(server)
        make_segments(store.server, writer._state, tidy=True)
        took = spent(server) - begun
    server.sql(f"VACUUM ANALYZE {schema}.lexicon, {schema}.posting")
    listed = server.sql(f"SELECT pg_total_relation_size('{schema}.posting')")
    print(f"{size:,} passages: segments made in {took:.0f} s CPU, {int(listed) / size:.0f} bytes a passage", flush=True)
    frequencies = dict(zip(numbers.tolist(), counts.tolist(), strict=True))
    worth = [
        points(
            one,
            Statistics(
                size,
                dict.fromkeys(FIELDS, size),
                {name: {term: frequencies[number_of(name, term)] for term in terms} for name, terms in one.items()},
            ),
        )
        for one in wanted
    ]
    has = [sum(frequencies[number_of(name, term)] for name in one for term in one[name]) for one in worth]
    print(f"  a question's terms stand {mean(has):,.0f} times")
    found = [told(server, store, worth, "lists")]
    if gin:
        begun = spent(server)
        server.sql(f"CREATE INDEX lexicon_hashed ON {schema}.lexicon USING gin (hashed)")
        print(f"  the server's index of terms built in {spent(server) - begun:.0f} s CPU", flush=True)
        server.sql(f"CREATE TABLE {schema}.aside AS TABLE {schema}.segment; DELETE FROM {schema}.segment")
        found.append(told(server, store, worth, "GIN"))
        assert all(map(np.array_equal, *found))
    store.close()
    server.sql(f"DROP SCHEMA {schema} CASCADE")


def told(
    server: TestServer, store: PostgresStore, worth: Sequence[dict[str, dict[str, int]]], how: str
) -> list[Numbers]:
    """What each question finds; prints what it takes."""
    found, seconds = [], []
    with store.snapshot() as snapshot:
        snapshot.lexical(worth[0], CANDIDATES)
        before = spent(server)
        for one in worth:
            begun = time.perf_counter()
            found.append(snapshot.lexical(one, CANDIDATES))
            seconds.append(time.perf_counter() - begun)
        used = (spent(server) - before) / len(worth)
    print(f"  {how:5} {1000 * median(seconds):.1f} ms, {1000 * used:.1f} CPU", flush=True)
    return found


def number_of(field: str, term: str) -> int:
    """As `hash_of`, from the code points of two or three syllables."""
    return int(_numbers(field, np.array([[ord(one) for one in term]], np.int64))[0])


def _numbers(field: str, points_: Numbers) -> Numbers:
    """Of terms (n, length)."""
    mixed = np.full(len(points_), 1 + FIELDS.index(field), np.uint64)
    for column in points_.T:
        mixed = (mixed ^ column.astype(np.uint64)) * np.uint64(0x9E3779B97F4A7C15)
        mixed ^= mixed >> np.uint64(29)
    return mixed.view(np.int64)


def blocks(corpus: Corpus) -> Iterator[Numbers]:
    """The numbers of the terms of some passages, (n, terms), as `Corpus.make` gives them their words."""
    for start in range(0, corpus.documents, _BLOCK):
        count = min(_BLOCK, corpus.documents - start)
        _, words = corpus._block(np.random.default_rng([1, 0, start]), count)
        flat = words.astype(np.int64).reshape(-1, 3)
        titles = np.repeat(words[::PER_DOCUMENT, :3], PER_DOCUMENT, axis=0).astype(np.int64).reshape(-1, 3)
        parts = (_numbers(MORPHEMES, flat), _numbers(BIGRAMS, flat[:, :2]), _numbers(BIGRAMS, flat[:, 1:]))
        yield np.concatenate(
            [*(one.reshape(len(words), -1) for one in parts), _numbers(CONTEXT, titles).reshape(len(words), -1)], axis=1
        )


if __name__ == "__main__":
    main(sys.argv[1:])
