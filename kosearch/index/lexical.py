"""Tantivy beside SQLite: finds the passages that share terms with a question. Scoring is the caller's.

Terms come made: each field holds them between blanks, and nothing else is done to them. Tantivy's own scores are not
asked for, because they depend on the history of the index (deleted passages still count).
"""

from __future__ import annotations

import json
import os
import tempfile
import zlib
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from itertools import accumulate
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from kosearch.index.contract import Alternatives, Ids
from kosearch.index.database import bucket, storable
from kosearch.index.files import MAX_DEAD, Damaged, Entry, Manifest, link

if TYPE_CHECKING:
    import tantivy

FOLDER = "lexical"
_META = ("meta.json", ".managed.json")
_HEAP = 64_000_000
_MORE = 8
"""So many times more passages are asked for than are wanted: so equals of the last are found at once, which takes no
longer, and to search once more for them took as long again."""
_RARE = 20
"""Of so many times more passages than are wanted the rarest terms are looked at first: a second look is seldom
needed."""
_NESTED = 12
"""So many of a question's most frequent terms are looked up in what the others have found."""
_PASSAGE = "passage"
_DOCUMENT = "document"


class Lexical:
    """The terms of one generation."""

    def __init__(
        self,
        directory: Path,
        manifest: Manifest,
        fields: Sequence[str],
        check: Callable[[str], None] | None = None,
    ) -> None:
        """Raises Damaged where a file is not what was written, as `check` says or else all of its bytes."""
        import tantivy

        (check or partial(manifest.check, directory))(FOLDER)
        with _panics():
            self._schema = _schema(fields)
            with _lockable(directory / FOLDER) as place:
                self._searcher = tantivy.Index.open(str(place)).searcher()
            meta = json.loads((directory / FOLDER / _META[0]).read_bytes())
        self._dead = int(sum(segment["max_doc"] for segment in meta["segments"])) - self.passages
        self._files = manifest.files

    @property
    def linked(self) -> dict[str, Entry]:
        """Its files that never change, and what they are: the next generation has them too, as far as it needs them."""
        own = (one for one in self._files.items() if one[0].startswith(f"{FOLDER}/"))
        return {name: entry for name, entry in own if name.rpartition("/")[2] not in _META}

    @property
    def passages(self) -> int:
        """How many there are."""
        return int(self._searcher.num_docs)

    def worn(self, dead: int) -> bool:
        """Whether too much would be deleted passages, which cost space and blur the scores, with `dead` more."""
        return self._dead + dead > MAX_DEAD * (self._dead + self.passages)

    def search(
        self,
        points: Mapping[str, Mapping[str, int]],
        k: int,
        documents: Ids | None = None,
        required: Sequence[Alternatives] = (),
    ) -> tuple[Ids, Ids]:
        """Passages by the sum of the points (field → term → points) of the terms that they have.

        Returns those above the k-th best, and all that are equal to it, ascending ids both. `documents` and `required`
        narrow: a passage needs all terms of one of each requirement's alternatives. Raises Damaged.
        """
        with _panics():
            terms = self._rarest_first(points)
            if not self.passages or not (terms or required):
                return np.zeros(0, np.int64), np.zeros(0, np.int64)
            # The last are most of what there is to read; of more, one within the other, looking up costs more.
            least_rare = len(terms) if documents is not None or required else max(0, len(terms) - _NESTED)
            rare = max(least_rare, _few(terms, _RARE * k))
            found = self._best(self._query(terms, rare, documents, required), k)
            least = found[k - 1][0] if len(found) >= k else 0.0
            if (enough := _enough(terms, least)) > rare:
                found = self._best(self._query(terms, enough, documents, required), k)
            scores = np.array([score for score, _ in found], dtype=np.float64)
            addresses = [address for _, address in found]
            ids = np.array(self._searcher.fast_field_values(_PASSAGE, addresses), dtype=np.int64)
            last = scores[min(k, len(scores)) - 1] if len(scores) else 0.0
            return np.sort(ids[scores > last]), np.sort(ids[scores == last])

    def _rarest_first(self, points: Mapping[str, Mapping[str, int]]) -> list[_Term]:
        return sorted(
            _Term(self._searcher.doc_freq(_field(field), term), field, term, value)
            for field, values in points.items()
            for term, value in values.items()
        )

    def _best(self, query: tantivy.Query, k: int) -> list[tuple[float, tantivy.DocAddress]]:
        """The k best passages and more, by score, among them all that are equal to the k-th."""
        limit = _MORE * k + 1
        while True:
            found: list[Any] = self._searcher.search(query, min(limit, self.passages), count=False).hits
            if len(found) < limit or found[-1][0] < found[k - 1][0]:
                return found
            limit *= _MORE  # equals beyond what was asked for: which of them come first is not the engine's to say

    def _query(
        self, terms: Sequence[_Term], rare: int, documents: Ids | None, required: Sequence[Alternatives]
    ) -> tantivy.Query:
        """Passages that have one of the first so many terms, with the points of all that they have."""
        from tantivy import Occur, Query

        def has(field: str, term: str, score: float) -> tantivy.Query:
            # A constant for having the term: Tantivy's own scores depend on the index's history.
            return Query.const_score_query(Query.term_query(self._schema, _field(field), term, "basic"), score)

        clauses = [(Occur.Should, has(one.field, one.term, float(one.points))) for one in terms[:rare]]
        for alternatives in required:
            each = [
                (Occur.Should, Query.boolean_query([(Occur.Must, has(field, term, 0.0)) for term in terms]))
                for field, terms in alternatives
            ]
            clauses.append((Occur.Must, Query.boolean_query(each)))
        query = Query.boolean_query(clauses)
        for one in terms[rare:]:  # one within the other: of each only what the passages found so far have is looked up
            addition = has(one.field, one.term, float(one.points))
            query = Query.boolean_query([(Occur.Must, query), (Occur.Should, addition)])
        if documents is None:
            return query
        among = Query.const_score_query(Query.term_set_query(self._schema, _DOCUMENT, documents.tolist()), 0.0)
        return Query.boolean_query([(Occur.Must, query), (Occur.Must, among)])


class _Term(NamedTuple):
    """A term of a question; the rarest come first."""

    passages: int
    """About so many have it: deleted ones still count."""
    field: str
    term: str
    points: int


def _few(terms: Sequence[_Term], passages: int) -> int:
    """The first so many terms are those of so many passages, or all."""
    for number, counted in enumerate(accumulate(one.passages for one in terms), 1):
        if counted >= passages:
            return number
    return len(terms)


def _enough(terms: Sequence[_Term], least: float) -> int:
    """Who has none of the first so many terms has less than `least` points (Turtle and Flood's MaxScore, 1995).

    The frequent terms that are left are most of what there is to read, and worth little.
    """
    left = 0
    for number in range(len(terms), 0, -1):
        left += terms[number - 1].points
        if left >= least:
            return number
    return 0


def write_lexical(
    old: Path | None,
    target: Path,
    fields: Sequence[str],
    dead: Ids,
    added: Iterable[tuple[int, int, Sequence[str]]],
) -> None:
    """Write a generation's terms into the folder `target`: the old ones less `dead`, and the added.

    `old` is the folder of a generation whose files are whole; `added` has passage id, document id and a line
    of terms for each field. Tantivy's files never change once written: the old ones are linked.
    """
    import tantivy

    place = target / FOLDER
    place.mkdir(mode=0o700)
    if old:
        for path in (old / FOLDER).iterdir():
            if path.name in _META:
                (place / path.name).write_bytes(path.read_bytes())
            elif path.suffix != ".lock":
                link(path, place / path.name)
    with _panics():
        index = tantivy.Index(_schema(fields), path=str(place))
        # One thread: the segments, and so the candidates, are the same for the same documents.
        writer = index.writer(heap_size=_HEAP, num_threads=1)
        for number in dead.tolist():
            writer.delete_documents_by_term(_PASSAGE, number)
        for number, document, lines in added:
            entry = tantivy.Document()
            entry.add_integer(_PASSAGE, number)
            entry.add_integer(_DOCUMENT, document)
            for field, line in zip(fields, lines, strict=True):
                entry.add_text(_field(field), line)
            writer.add_document(entry)
        writer.commit()
        writer.wait_merging_threads()


def _schema(fields: Sequence[str]) -> tantivy.Schema:
    import tantivy

    builder = tantivy.SchemaBuilder()
    # Signed: the binding deletes by a number's signed term, and finds nothing in an unsigned field.
    builder.add_integer_field(_PASSAGE, indexed=True, fast=True)
    builder.add_integer_field(_DOCUMENT, indexed=True)
    for field in fields:
        builder.add_text_field(_field(field), tokenizer_name="whitespace", index_option="freq")
    return builder.build()


def _field(name: str) -> str:
    """A field's name in Tantivy, where it cannot meet ours."""
    return f"terms_{name}"


@contextmanager
def _lockable(directory: Path) -> Iterator[Path]:
    """A folder with these files in which Tantivy can make its lock, which it wants even of readers."""
    if os.access(directory, os.W_OK):
        yield directory
        return
    with tempfile.TemporaryDirectory(prefix="kosearch-") as place:
        for path in (one for one in directory.iterdir() if one.suffix != ".lock"):
            os.symlink(path.absolute(), os.path.join(place, path.name))
        yield Path(place)


@contextmanager
def _panics() -> Iterator[None]:
    """Turn Tantivy's errors, and the panics of Rust, which are no Exception, into Damaged."""
    try:
        yield
    except BaseException as error:
        if isinstance(error, OSError | ValueError) or type(error).__name__ == "PanicException":
            raise Damaged(f"the lexical index cannot be used: {error}") from error
        raise


# Terms as SQLite keeps them, and how many passages have each.

_COMPRESSION = 1
"""zlib's fastest: 25 µs and 45% of the size for a Korean passage; level 6 takes 3 times as long for 40%."""


def encode_terms(fields: Sequence[str], terms: Mapping[str, Sequence[str]]) -> bytes:
    """The terms of a passage → a compressed line for each field, terms between blanks."""
    lines = []
    for field in fields:
        line = storable(" ".join(terms.get(field, ())))
        if " ".join(line.split()) != line or len(line.split()) != len(terms.get(field, ())):
            raise ValueError(f"a term of the field {field!r} is empty or has white space in it")
        lines.append(line)
    return zlib.compress("\n".join(lines).encode(), _COMPRESSION)


def decode_lines(data: bytes) -> list[str]:
    """What `encode_terms` made → a line for each field."""
    return encoded_lines(data).decode().split("\n")


def encoded_lines(data: bytes) -> bytes:
    """The same as they were encoded, one after the other."""
    return zlib.decompress(data)


class Counts:
    """Passages, and how many of them have which term: what a generation adds to the one before."""

    def __init__(self, fields: Sequence[str]) -> None:
        self._fields = fields
        self._by_field: list[Counter[str]] = [Counter() for _ in fields]
        self.passages = 0
        self.totals = dict.fromkeys(fields, 0)

    def add(self, lines: Sequence[str]) -> None:
        """Count the terms of a passage in."""
        self._count(lines, 1, Counter.update)

    def subtract(self, lines: Sequence[str]) -> None:
        """Count the terms of a passage out."""
        self._count(lines, -1, Counter.subtract)

    def by_bucket(self) -> dict[int, dict[str, int]]:
        """Row of the table of term counts → field number, blank, term → passages.

        Hands the counts over: a large corpus has millions of terms, and they are not held twice.
        """
        rows: dict[int, dict[str, int]] = {}
        for number, counts in enumerate(self._by_field):
            while counts:
                term, count = counts.popitem()
                if count:
                    name = f"{number} {term}"
                    rows.setdefault(bucket(name), {})[name] = count
        return rows

    def _count(self, lines: Sequence[str], sign: int, change: Callable[[Counter[str], set[str]], None]) -> None:
        self.passages += sign
        for field, counts, line in zip(self._fields, self._by_field, lines, strict=True):
            terms = line.split()
            self.totals[field] += sign * len(terms)
            change(counts, set(terms))
