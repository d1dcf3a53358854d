"""Several indexes asked as one."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import replace
from typing import Self, Unpack, overload

from kosearch.errors import UsageError
from kosearch.index import Snapshot
from kosearch.index.merged import MergedSnapshot
from kosearch.library import Index, SearchOptions, queries_of
from kosearch.opening import check_terms
from kosearch.records import Answer, Hit, Query
from kosearch.scoring import RRF


def join(*indexes: Index) -> Joined:
    """Indexes that are asked as one. Raises UsageError where there is none, or one stands twice."""
    if not indexes:
        raise UsageError("there is no index to ask", "kosearch index PATH")
    if len({one.place for one in indexes}) < len(indexes):
        raise UsageError("an index is named twice", "name each once")
    return Joined(indexes)


class Joined:
    """Several indexes asked as one, by `kosearch.join`; each hit's `index` names its own.

    Those with vectors of one model rank exactly as a single index of all their files would: counts are added up. What
    indexes of different models (or made with different words.txt) find is fused by rank, since their scores do not
    compare, and a warning says so. A file that stands in two of them counts twice, and is shown once.
    """

    def __init__(self, indexes: Sequence[Index]) -> None:
        self.indexes = tuple(indexes)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close each."""
        for one in self.indexes:
            one.close()

    @overload
    def search(self, question: str, **options: Unpack[SearchOptions]) -> Answer: ...  # type: ignore[overload-overlap]

    @overload
    def search(self, question: Sequence[str], **options: Unpack[SearchOptions]) -> list[Answer]: ...

    def search(self, question: str | Sequence[str], **options: Unpack[SearchOptions]) -> Answer | list[Answer]:
        """As `Index.search`, of all."""
        answers = self.answers(queries_of(self.indexes[0].settings, question, **options))
        return answers[0] if isinstance(question, str) else answers

    def answers(self, queries: Sequence[Query], *, warm: bool = False) -> list[Answer]:
        """As `Index.answers`, of all."""
        by_model: dict[object, list[Index]] = {}
        for one in self.indexes:
            identity = one.store.identity
            alone = one.is_foreign and identity.endpoint is not None  # nothing is sent to its URL
            by_model.setdefault(
                one if alone else (identity.fingerprint, identity.dimensions, identity.words), []
            ).append(one)
        found = [_of_one_model(indexes, queries, warm=warm) for indexes in by_model.values()]
        if len(found) == 1:
            return found[0]
        models = "; ".join(
            f"{', '.join(one.settings.index for one in indexes)} ({indexes[0].store.identity.model})"
            for indexes in by_model.values()
        )
        note = f"indexes of different models or words are asked, and their hits fused by rank: {models}"
        return [_fused(query, parts, note) for query, parts in zip(queries, zip(*found, strict=True), strict=True)]


def _of_one_model(indexes: Sequence[Index], queries: Sequence[Query], *, warm: bool) -> list[Answer]:
    from kosearch.searching.answering import answers

    if len(indexes) == 1:
        return indexes[0].answers(queries, warm=warm)
    warnings: list[str] = []
    with ExitStack() as opened:
        full: list[tuple[Index, Snapshot]] = []
        for one in indexes:
            if one.is_foreign:  # usearch, which maps graphs, trusts what they say
                warnings.append(one.whose)
            snapshot = opened.enter_context(one.store.snapshot(warm=warm and not one.is_foreign))
            if any(query.mode != "dense" for query in queries):
                check_terms(snapshot.identity, one.settings)
                warnings += one.changed_words(snapshot.identity)
            if snapshot.passages:
                full.append((one, snapshot))
            else:
                warnings.append(f"{one.settings.index}: {one.why_empty()}")
        if not full:
            return [Answer(query.text, query.mode, (), 0, tuple(warnings)) for query in queries]
        merged, first = MergedSnapshot([snapshot for _, snapshot in full]), full[0][0]
        read = first.reader(merged, {folder: None for one, _ in full for folder in one.dictionaries})
        found = answers(queries, merged, read, first.embed_queries, first.rescore)
        names = [one.settings.index for one, _ in full]
        return [
            replace(
                answer,
                hits=tuple(replace(hit, index=names[merged.place_of(hit.document_id)]) for hit in answer.hits),
                warnings=(*warnings, *answer.warnings),
            )
            for answer in found
        ]


def _in_order(hit: Hit) -> tuple[int, bool, float, bytes, str, int, str]:
    return hit.rank, hit.weak, -hit.score, hit.path_bytes, hit.member, hit.passage.start, hit.index


def _fused(query: Query, answers: Sequence[Answer], note: str) -> Answer:
    """The hits of all by reciprocal rank, which is at most 1.

    Of equals those come first that are not weak, then those with the higher score, though it is of another model, then
    by path: in whatever order the indexes were named.
    """
    from kosearch.searching.ranking import are_copies, without_layout

    hits: list[Hit] = []
    said: list[str] = []
    for hit in sorted((hit for answer in answers for hit in answer.hits), key=_in_order):
        words = without_layout(hit.text)
        for place, one in enumerate(hits):
            if are_copies((said[place], words), (one, hit), (one.passage, hit.passage)):
                also = dict.fromkeys((*one.also, hit.path, *hit.also))
                hits[place] = replace(one, also=tuple(path for path in also if path != one.path))
                break
            if query.group and (one.path_bytes, one.member) == (hit.path_bytes, hit.member):
                break
        else:
            if len(hits) < query.k:
                hits.append(replace(hit, rank=len(hits) + 1, score=(RRF + 1) / (RRF + hit.rank)))
                said.append(words)
    warnings = dict.fromkeys(warning for answer in answers for warning in answer.warnings)
    counts: dict[str, int] = {}
    for answer in answers:
        for term, count in answer.terms:
            counts[term] = counts.get(term, 0) + count
    return Answer(
        question=query.text,
        mode=query.mode,
        hits=tuple(hits),
        generation=max(answer.generation for answer in answers),
        warnings=(note, *warnings),
        terms=() if hits else tuple(counts.items()),
        searched=answers[0].searched,
    )
