"""Questions → answers: embedded, ranked, and the best of them as hits for a person or a program."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from kosearch.index import Snapshot, StoredPassage
from kosearch.passages import whereabouts
from kosearch.records import Answer, Hit, Place, Query, Score
from kosearch.searching.excerpts import best_part
from kosearch.searching.folding import Chosen, chosen_passages, file_state
from kosearch.searching.ranking import Embed, Ranking, Rescore, Side, Vectors, rank, rerank
from kosearch.searching.spelling import Pieces, corrected
from kosearch.terms import BIGRAMS, MORPHEMES, Analyzer, Question
from kosearch.terms.synonyms import Synonyms

NO_SYNONYMS = Synonyms()
EXCERPT = 240
"""Characters of the part of a passage that is shown first: about six lines of Korean at 80 columns."""


def answers(
    queries: Sequence[Query],
    snapshot: Snapshot,
    analyzer: Analyzer,
    embed: Embed,
    rescore: Rescore,
    synonyms: Synonyms = NO_SYNONYMS,
    pieces: Pieces | None = None,
) -> list[Answer]:
    """The best passages of one generation for each question."""
    questions = [_read(query, snapshot, analyzer, synonyms, pieces) for query in queries]
    vectors = embed_questions(queries, questions, embed)
    found = []
    for query, question, vector in zip(queries, questions, vectors, strict=True):
        ranking = rank(query, question, vector, snapshot)
        if query.rerank:
            ranking = rerank(query, question, ranking, snapshot, rescore)
        noted = question if len(ranking.ids) else _without_demands(query, question, vector, snapshot)
        found.append(_answer(query, noted, ranking, snapshot))
    return found


def _read(query: Query, snapshot: Snapshot, analyzer: Analyzer, synonyms: Synonyms, pieces: Pieces | None) -> Question:
    """The question, corrected where its words stand nowhere, and with what its words mean here."""
    question = analyzer.question(query.text, exact=query.exact)
    if query.exact or not question.text:
        return question
    statistics = snapshot.statistics({name: list(weights) for name, weights in question.terms.items()})
    others = synonyms.others(question.text)
    if not others and (text := corrected(question, statistics, analyzer, snapshot, pieces)):
        note = f"no passage has every word of the question as it was typed: searched for {text}; --exact does not"
        meant = analyzer.question(text, operators=False)
        question = replace(question, text=text, terms=meant.terms, by_word=False, notes=(*question.notes, note))
        others = synonyms.others(text)
    return analyzer.widened(question, others) if others else question


def embed_questions(queries: Sequence[Query], questions: Sequence[Question], embed: Embed) -> list[Vectors | None]:
    """A vector for each question that needs one; the model is not loaded when none does."""
    pairs = list(zip(queries, questions, strict=True))
    wanted = [query.mode != "lexical" and not question.by_word for query, question in pairs]
    asked = [question.meaning or question.text for question, one in zip(questions, wanted, strict=True) if one]
    vectors = iter(embed(asked) if asked else ())
    return [next(vectors) if one else None for one in wanted]


def _without_demands(query: Query, question: Question, vector: Vectors | None, snapshot: Snapshot) -> Question:
    """The question of a miss, with a note of what it demanded and of what there is without that."""
    demanded = [("", one) for one in question.phrases] + [("+", one) for one in question.must]
    demanded += [("-", one) for one in question.must_not]
    if not demanded:
        return question
    named = ", ".join(f'{sign}"{one.text}"' for sign, one in demanded)
    if not question.text:
        note = f"the question says only what is to be left out: {named}; add what to look for"
        return replace(question, notes=(*question.notes, note))
    ranking = rank(query, replace(question, must=(), must_not=(), phrases=()), vector, snapshot)
    found = snapshot.stored(ranking.ids[:1])
    there = f"without that, {found[0].document.path} comes first" if found else "without that there is none either"
    return replace(question, notes=(*question.notes, f"no passage fits what the question demands: {named}; {there}"))


def _answer(query: Query, question: Question, ranking: Ranking, snapshot: Snapshot) -> Answer:
    chosen = chosen_passages(query, ranking, snapshot)
    hits = tuple(_hit(place, one, query, question, ranking, snapshot) for place, one in enumerate(chosen, 1))
    return Answer(
        question=query.text,
        mode=query.mode,
        hits=hits,
        generation=snapshot.generation,
        warnings=(*snapshot.warnings, *question.notes, *_unknown(query, ranking)),
        terms=() if hits else _counts(question, snapshot),
        searched=question.text,
    )


def _unknown(query: Query, ranking: Ranking) -> tuple[str, ...]:
    if query.mode == "hybrid" and ranking.lexical is None and len(ranking.ids):
        return ("no passage has a word of the question: these hits are by meaning alone",)
    return ()


def _counts(question: Question, snapshot: Snapshot) -> tuple[tuple[str, int], ...]:
    """The question's words and in how many passages each stands."""
    words = {name: list(question.terms.get(name, ())) for name in (MORPHEMES, BIGRAMS)}
    frequencies = snapshot.statistics(words).frequencies
    counts: dict[str, int] = {}
    for name, terms in words.items():
        for term in terms:
            counts.setdefault(term, frequencies[name][term])
    return tuple(counts.items())


def _hit(place: int, chosen: Chosen, query: Query, question: Question, ranking: Ranking, snapshot: Snapshot) -> Hit:
    stored, row = chosen.stored, chosen.row
    document, passage = stored.document, stored.passage
    start, end = best_part(stored.text, question.text, EXCERPT)
    before, after = "", ""
    if query.context:
        text = snapshot.document_text(document.id)
        first, last = surroundings(text, passage.start, passage.end, query.context)
        before, after = text[first : passage.start], text[passage.end : last]
    return Hit(
        rank=place,
        score=float(ranking.scores[row]),
        confidence=float(ranking.confidence[row]),
        dense=_score(ranking.dense, row),
        lexical=_score(ranking.lexical, row),
        sparse=_score(ranking.sparse, row),
        multi_vector=_score(ranking.multi_vector, row),
        document_id=document.id,
        document_hash=document.text_hash,
        path=document.path,
        raw=document.raw,
        member=document.member,
        kind=document.kind,
        title=document.title,
        metadata=document.metadata,
        passage=passage,
        text=stored.text,
        best=(passage.start + start, passage.start + end),
        cited=_place(stored, start, end, question.text, snapshot),
        state=file_state(document),
        also=tuple(dict.fromkeys(chosen.also)),
        more=chosen.more,
        before=before,
        after=after,
    )


def _place(stored: StoredPassage, start: int, end: int, question: str, snapshot: Snapshot) -> Place:
    """Where the passage's part [start:end] stands; its page and headings are those of the best sentence in it."""
    document, passage = stored.document, stored.passage
    first = passage.line_start + stored.text.count("\n", 0, start)
    last = first + stored.text.count("\n", start, end)
    structure = snapshot.structure(document.id)
    if structure is None:  # an earlier version kept only where passages begin
        return Place(first, last, passage.page, passage.page_label, passage.headings)
    sentence, _ = best_part(stored.text[start:end], question, 1)
    page, headings = whereabouts(document.kind, *structure, passage.start + start + sentence)
    return Place(first, last, page.number if page else None, page.label if page else "", headings)


def _score(side: Side | None, row: int) -> Score | None:
    return side.score(row) if side and row < len(side.values) else None


def surroundings(text: str, start: int, end: int, lines: int) -> tuple[int, int]:
    """The span from `lines` lines before `start` to as many after `end`, whole lines at both sides."""
    first, last = start, end - 1
    for _ in range(lines + 1):
        first = text.rfind("\n", 0, first) if first > 0 else -1
    for _ in range(lines + 1):
        last = text.find("\n", last + 1) if last < len(text) else len(text)
        last = len(text) if last < 0 else last
    return first + 1, last
