"""Questions → answers: corrected, embedded, ranked, and the best of them as hits for a person or a program.

What a question was meant to say is asked where its words stand in no passage: another keyboard mode, initials, a slip.
Only words that this index has take the place of others, and whoever asked is told.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import replace
from itertools import islice

import numpy as np

from kosearch.index import Snapshot, StoredPassage
from kosearch.passages import whereabouts
from kosearch.records import Answer, Hit, Place, Query, Score, Statistics, TokenCounter
from kosearch.scoring import NAMING, points
from kosearch.searching import snippet
from kosearch.searching.ranking import (
    Chosen,
    Embed,
    Ranking,
    Rescore,
    Side,
    Vectors,
    chosen_passages,
    file_state,
    rank,
    rerank,
)
from kosearch.terms import (
    BIGRAMS,
    CONTEXT,
    FORMS,
    MORPHEMES,
    PARTICLES,
    Analyzer,
    Question,
    has_doublet,
    matches,
    stem_of,
)
from kosearch.terms.dictionaries import Synonyms
from kosearch.terms.normal_forms import placed_forms
from kosearch.terms.scripts import (
    composed,
    exchanges,
    initials,
    is_syllables,
    read_hanja,
    slips,
    strokes,
    typed_as_hangul,
    typed_as_latin,
)

NO_SYNONYMS = Synonyms()
EXCERPT = 240
"""Characters of the part of a passage that is shown first: about six lines of Korean at 80 columns."""

_LATIN = re.compile("[A-Za-z]+")
_CONSONANTS = re.compile("[ㄱ-ㅎ]{2,}")
_HANGUL = re.compile("[ㄱ-ㅣ가-힣]+")
_SPACED = re.compile("[가-힣](?: [가-힣]){2,}")
"""A word written apart: 보 안 점 검."""
_VOWEL = re.compile("[ㅏ-ㅣ]")
_JAMO = re.compile("[ㄱ-ㅣ]")
_MARKS = "?!.,~…·'\"“”‘’()[]{}「」『』<>:;"
_LEAST_LATIN = 5
"""Letters of a word that may have a slip in it: shorter ones are one letter from too many others."""
_LEAST_PART, _MOST_PARTS, _MOST_JOINED = 2, 4, 40
"""Letters of each word that one was joined of (userid), how many such words, and letters in all."""
_LEAST_OF_TABLE = 4
"""Letters of each where it is the table of doublets that knows them, and no passage (userguide: 사용자 가이드)."""
_NAME = 3
"""Syllables of a name that is read as several words: 제갈현. Two pairs that stand side by side are no chance."""
_MOST_HANGUL = 12
"""Syllables of one."""
_CLEARLY = 10.0
"""How much likelier (in nats) a word has to be than what was typed: by 11 to 27 beside a word with a slip, by 5 to 9
beside one that is just not in this index (구입하여, 수입하여)."""
_RATHER = 7.0
"""The same where what was typed falls into more parts than the other word has: 빈환, 김치찌게."""
_READABLE = 7.0
"""At most so unlikely (in nats a syllable) is Korean that the other keyboard gives: words are by 2 to 7, what comes of
other Latin letters by 7 to 17."""
_BROKEN = 3
"""A word that falls into so many tokens is none that the model knows."""
_UNKNOWN = 2
"""Where there is nothing that knows words: a word may be one, or none."""
_LOOKED_AT = 50
"""Passages with a rare word among which its documents are counted."""
_TRIED = 60
_ALIKE = 24
"""So many words with the same initials are tried, the most frequent."""
Meant = dict[tuple[str, bool], str]
"""What a token was meant to be, and whether it might have been guessed: of one index, and empty where it may stay."""


class Read:
    """Reads questions by the passages, words and synonyms of an index: who asks it and who measures it have the same.

    A question is corrected where its words stand nowhere, and gets what its words mean here.
    """

    def __init__(
        self,
        snapshot: Snapshot,
        analyzer: Analyzer,
        synonyms: Synonyms = NO_SYNONYMS,
        pieces: TokenCounter | None = None,
    ) -> None:
        self._snapshot, self._analyzer, self._synonyms, self._pieces = snapshot, analyzer, synonyms, pieces
        self._meant: Meant = {}
        """What was found for the tokens of the questions so far."""

    def all(self, queries: Sequence[Query]) -> list[Question]:
        """Each of the questions."""
        turns = self._analyzer.in_turn([query.text for query in queries])
        return [self(query) for query, _ in zip(queries, turns, strict=True)]

    def __call__(self, query: Query) -> Question:
        analyzer, snapshot = self._analyzer, self._snapshot
        question = analyzer.question(query.text, exact=query.exact)
        if query.exact or not question.text:
            return question
        alone, statistics = _looked_up(question, analyzer, snapshot)
        others = self._synonyms.others(question.text)
        if not others and (text := corrected(question, statistics, analyzer, snapshot, self._pieces, self._meant)):
            note = f"no passage has every word of the question as it was typed: searched for {text}; --exact does not"
            question = replace(
                analyzer.question(text, operators=False),
                by_word=False,
                notes=(*question.notes, note),
                must=question.must,
                must_not=question.must_not,
                phrases=question.phrases,
            )
            others = self._synonyms.others(text)
            alone, statistics = _looked_up(question, analyzer, snapshot)
        if alone and not others:
            question = _bare(question, alone, statistics, snapshot)
        return analyzer.widened(question, others) if others else question


def answers(queries: Sequence[Query], snapshot: Snapshot, read: Read, embed: Embed, rescore: Rescore) -> list[Answer]:
    """The best passages of one generation for each question."""
    questions = read.all(queries)
    vectors = embed_questions(queries, questions, embed)
    found = []
    for query, question, vector in zip(queries, questions, vectors, strict=True):
        ranking = rank(query, question, vector, snapshot)
        if query.rerank:
            ranking = rerank(query, question, ranking, snapshot, rescore)
        noted = question if len(ranking.ids) else _without_demands(query, question, vector, snapshot)
        found.append(answer(query, noted, ranking, snapshot))
    return found


def _looked_up(question: Question, analyzer: Analyzer, snapshot: Snapshot) -> tuple[Question | None, Statistics]:
    """The question's one word that names something, as a question that demands it, and the counts of both's terms."""
    alone = analyzer.question(f'+"{question.sought}"') if question.sought else None
    wanted = {name: {*weights, *(alone.terms[name] if alone else ())} for name, weights in question.terms.items()}
    return alone, snapshot.statistics({name: list(terms) for name, terms in wanted.items()})


def _bare(question: Question, alone: Question, statistics: Statistics, snapshot: Snapshot) -> Question:
    """The question as its one word that names something, where hardly a document has that, or none has it together
    with the question's others: they would outvote it, by meaning and by word."""
    if not alone.must:
        return question
    ids = snapshot.lexical(points(alone.terms, statistics), _LOOKED_AT, required=[alone.must[0].alternatives])
    having = {number: terms for number, terms in zip(ids, snapshot.terms(ids), strict=True) if matches(alone, terms)}
    around = set(question.terms[MORPHEMES]).difference(alone.terms[MORPHEMES])
    apart = around and not any(around.issubset(terms[MORPHEMES]) for terms in having.values())
    documents = set(snapshot.owners(np.array(list(having), dtype=np.int64)).values())
    if not having or len(ids) == _LOOKED_AT or not (apart or len(documents) <= NAMING):
        return question
    return replace(
        question,
        terms=alone.terms,
        others=alone.others,
        latin=alone.latin,
        written=alone.written,
        called=alone.called,
        alone=True,
        meaning=question.sought,
    )


def embed_questions(queries: Sequence[Query], questions: Sequence[Question], embed: Embed) -> list[Vectors | None]:
    """A vector for each question that needs one; the model is not loaded when none does."""
    pairs = list(zip(queries, questions, strict=True))
    wanted = [query.mode != "lexical" and not question.by_word for query, question in pairs]
    asked = [question.meant for question, one in zip(questions, wanted, strict=True) if one]
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


def answer(query: Query, question: Question, ranking: Ranking, snapshot: Snapshot) -> Answer:
    """The hits that a ranking gives, as they are shown."""
    chosen = chosen_passages(query, ranking, snapshot)
    hits = tuple(_hit(place, one, query, question, ranking, snapshot) for place, one in enumerate(chosen, 1))
    return Answer(
        question=query.text,
        mode=query.mode,
        hits=hits,
        generation=snapshot.generation,
        warnings=(
            *snapshot.warnings,
            *question.notes,
            *_unknown(query, ranking),
            *(() if hits else _filters_without_documents(query, snapshot)),
        ),
        terms=() if hits else _counts(question, snapshot),
        searched=question.text,
    )


def _unknown(query: Query, ranking: Ranking) -> tuple[str, ...]:
    if query.mode == "hybrid" and ranking.lexical is None and len(ranking.ids):
        return ("no passage has a word of the question: these hits are by meaning alone",)
    return ()


def _filters_without_documents(query: Query, snapshot: Snapshot) -> tuple[str, ...]:
    """A line for each filter that no document passes: a name that is wrong, or a folder that was never indexed."""
    days = " and ".join(f"{name} {day}" for name, day in (("after", query.after), ("before", query.before)) if day)
    found = (
        (f"a path that fits {' or '.join(query.paths)}", snapshot.find_documents(paths=query.paths)),
        (f"the type {' or '.join(query.kinds)}", snapshot.find_documents(kinds=query.kinds)),
        (f"a date {days}", snapshot.find_documents(after=query.after, before=query.before)),
    )
    return tuple(f"no document has {what}" for what, documents in found if documents is not None and not len(documents))


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
    start, end = _best(stored, (0, len(stored.text)), question, EXCERPT)
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
        path_bytes=document.path_bytes,
        member=document.member,
        kind=document.kind,
        title=document.title,
        metadata=document.metadata,
        passage=passage,
        text=stored.text,
        best=(passage.start + start, passage.start + end),
        cited=_place(stored, start, end, question, snapshot),
        state=file_state(document, snapshot),
        also=tuple(dict.fromkeys(chosen.also)),
        more=chosen.more,
        before=before,
        after=after,
    )


def _best(stored: StoredPassage, part: tuple[int, int], question: Question, size: int) -> tuple[int, int]:
    """Where in a part of a passage stands what shares most with a question, however either writes it.

    商法 is 상법, AB-1234 is AB1234, a requirement is what is required; and what stands in the place of a word that the
    passage has not, nor what stands above it, is that word.
    """
    text, forms = stored.text[slice(*part)], question.terms.get(FORMS, {})
    lower = "\n".join((stored.document.title, *stored.passage.headings, stored.text)).casefold()
    lacking = [others for asked, others in question.others.items() if not any(part in lower for part in asked)]
    instead = [part for others in lacking for other in others for part in other]
    same = [one for one in placed_forms(text) if one[0] in forms] if forms else []
    if any(map(str.isascii, (*question.terms[MORPHEMES], *instead))):
        asked, wanted = question.text.casefold(), {*question.terms[MORPHEMES], *instead}
        words = ((found.group().casefold(), *found.span()) for found in _LATIN.finditer(text))
        same += [(word, start, end) for word, start, end in words if word not in asked and stem_of(word) in wanted]
    return snippet(read_hanja(text), read_hanja(" ".join((question.meant, *instead))), size, same)


def _place(stored: StoredPassage, start: int, end: int, question: Question, snapshot: Snapshot) -> Place:
    """Where the passage's part [start:end] stands; its page and headings are those of the best sentence in it."""
    document, passage = stored.document, stored.passage
    first = passage.line_start + stored.text.count("\n", 0, start)
    last = first + stored.text.count("\n", start, end)
    structure = snapshot.structure(document.id)
    if structure is None:  # an earlier version kept only where passages begin
        return Place(first, last, passage.page, passage.page_label, passage.headings)
    best, ends = passage.start + start, passage.start + end
    starts = (one.start for part in structure for one in part)
    if any(best < start < ends for start in starts):
        best += _best(stored, (start, end), question, 1)[0]
    page, headings = whereabouts(document.kind, *structure, best)
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


def corrected(
    question: Question,
    statistics: Statistics,
    analyzer: Analyzer,
    snapshot: Snapshot,
    pieces: TokenCounter | None = None,
    meant: Meant | None = None,
) -> str:
    """The question's text as it was meant; empty where every word stands in a passage, or nothing better is known.

    Where none does, an English word may also be one that the model or the table of doublets knows; and one that the
    model knows has no slip in it.
    """
    if _SPACED.fullmatch(question.text):
        joined = question.text.replace(" ", "")
        return joined if snapshot.passages and _Corrector(analyzer, snapshot).has_all(joined) else ""
    counts = statistics.frequencies
    words = question.terms[MORPHEMES]
    known = {word for word in words if counts[MORPHEMES][word] + counts[CONTEXT][word] > 0}
    for forms, written in question.written.items():  # 오십일조 stands where 제51조 does
        if any(counts[FORMS].get(form) for form in forms):
            known.update(written)
    unknown = words.keys() - known
    if not (unknown or _JAMO.search(question.text)) or not snapshot.passages:
        return ""
    return _Corrector(analyzer, snapshot, pieces, meant).corrected(question.text, unknown, guess=not known)


class _Corrector:
    """The words of one index, for one question."""

    def __init__(
        self,
        analyzer: Analyzer,
        snapshot: Snapshot,
        pieces: TokenCounter | None = None,
        meant: Meant | None = None,
    ) -> None:
        self._pieces = pieces
        self._known_before: Meant = {} if meant is None else meant
        self._analyzer = analyzer
        self._snapshot = snapshot

    def corrected(self, text: str, unknown: AbstractSet[str], *, guess: bool) -> str:
        """The text with what was meant for the tokens that have any of these words; empty where that is the same.

        With a `guess` it may also be a word that no passage has.
        """
        tokens = text.split()
        words = self._analyzer.words_of(text)
        meant = [
            (_may_have_a_slip(token, own, unknown) and self._meant_before(token, guess=guess)) or token
            for token, own in zip(tokens, words, strict=True)
        ]
        meant = [self._without_vowels(one) or one for one in self._by_initials(self._in_one_mode(tokens, meant))]
        return " ".join(meant) if meant != tokens else ""

    def _in_one_mode(self, tokens: Sequence[str], meant: Sequence[str]) -> list[str]:
        """The same where one was typed in the other keyboard mode, and so the others that are no words."""
        latin = [bare if _LATIN.fullmatch(bare := token.strip(_MARKS)) else "" for token in tokens]
        if not any(bare and is_syllables(one) for bare, one in zip(latin, meant, strict=True)):
            return list(meant)
        return [
            (one == token and bare and not self.has_all(bare) and self._readable(bare, least=2)) or one
            for token, bare, one in zip(tokens, latin, meant, strict=True)
        ]

    def _readable(self, word: str, least: int) -> str:
        """The Korean that Latin letters are on the other keyboard, if it is likely, and they fall into `least` parts or
        more for the model; else nothing."""
        typed = typed_as_hangul(word.lower() if word.isupper() else word)
        if not is_syllables(typed) or min(self._broken((word, word.casefold()))) < least:
            return ""
        return typed if self._analyzer.likelihood(typed) >= -_READABLE * len(typed) else ""

    def _meant_before(self, token: str, *, guess: bool) -> str:
        key = token, guess
        if key not in self._known_before:
            self._known_before[key] = self._meant(token, guess=guess)
        return self._known_before[key]

    def _meant(self, token: str, *, guess: bool) -> str:
        """What one token was meant to be; empty where it may stay."""
        bare = token.strip(_MARKS)
        if _LATIN.fullmatch(bare):
            return self._latin(bare, guess=guess)
        if not _HANGUL.fullmatch(bare) or _CONSONANTS.fullmatch(bare):
            return ""
        return self._with_jamo(bare) if _JAMO.search(bare) else self._hangul(bare)

    def _with_jamo(self, word: str) -> str:
        """What a word was meant to be that has jamo by themselves, as none is written: 여ㄴ차, 연차ㅏ, ㅗ디ㅣㅐ."""
        if len(set(word)) == 1:
            return ""
        latin = typed_as_latin(word)
        for one in (composed(strokes(word)), _JAMO.sub("", word), latin):
            if (one is latin or (len(one) > 1 and is_syllables(one))) and self.has_all(one):
                return one
        laughs = not _JAMO.sub("", word)  # ㅠㅠㅋㅋ is no word of any keyboard
        return self._hangul(word) or ("" if laughs or not _VOWEL.search(word) else latin)

    def _without_vowels(self, token: str) -> str:
        """The Latin word of the index that consonants are on the other keyboard: ㄴㄷㄱㅍㄷㄱ is server."""
        latin = typed_as_latin(token) if _CONSONANTS.fullmatch(token) else ""
        return latin if len(latin) >= _LEAST_LATIN and self.has_all(latin) else ""

    def _latin(self, word: str, *, guess: bool) -> str:
        if self.has_all(word) or has_doublet(word):
            return ""
        for one in dict.fromkeys((word, word.lower() if word.isupper() else word)):  # or capitals are locked, too
            typed = typed_as_hangul(one)
            if len(word) > 2 and is_syllables(typed) and self.has_all(typed):
                return typed
        lower = word.casefold()
        if _LEAST_LATIN <= len(word) <= _MOST_JOINED and (apart := self._apart(lower)):
            return apart
        broken = min(self._broken((word, lower)))
        if len(word) < _LEAST_LATIN or broken == 1:
            return ""
        if is_syllables(typed := typed_as_hangul(lower)) and self._has_pairs(typed):
            return typed
        for ways in (exchanges, slips):
            near = [one for one in ways(lower) if one[0] == lower[0]]
            known = self._known(near)
            words = [
                one
                for one, parts in zip(known, self._broken(known), strict=True)
                if ways is exchanges or has_doublet(one) or parts < broken or (parts == broken and self._stands(one))
            ]
            if words:  # of authentation and authentication, whose stems are one, the one that is written somewhere
                return next(filter(self._stands, words), words[0])
            if guess and (found := self._word_of(near, broken)):
                return found
        return self._readable(word, _BROKEN) if guess else ""

    def _apart(self, word: str) -> str:
        """The words that one of Latin letters is joined of, if a passage or a file's name has them side by side, or has
        other words for them."""
        spans = {word[start:end] for start in range(len(word)) for end in range(start + _LEAST_PART, len(word) + 1)}
        known = frozenset(self._known(sorted(spans - {word})))
        ways = sorted(islice(_splits(word, known), _TRIED), key=len)
        if together := next((text for text in map(" ".join, ways) if self._stand_together(text)), ""):
            return together
        of_table = frozenset(one for one in spans if len(one) >= _LEAST_OF_TABLE and has_doublet(one))
        ways = sorted(islice(_splits(word, of_table), _TRIED), key=len)
        return next((" ".join(parts) for parts in ways if all(map(self._is_said, parts))), "")

    def _is_said(self, word: str) -> bool:
        """Whether the index has another word for one of the table of doublets."""
        others = self._analyzer.question(word, operators=False).others.values()
        return bool(self._known(["".join(other) for each in others for other in each]))

    def _stand_together(self, words: str) -> bool:
        """Whether a passage or a name has these words side by side."""
        wanted = self._analyzer.question(f'+"{words}"')
        statistics = self._snapshot.statistics({name: list(terms) for name, terms in wanted.terms.items()})
        required = [one.alternatives for one in wanted.must]
        ids = self._snapshot.lexical(points(wanted.terms, statistics), _LOOKED_AT, required=required)
        return any(matches(wanted, terms) for terms in self._snapshot.terms(ids))

    def _stands(self, word: str) -> bool:
        """Whether a word stands in a passage as it is: its stem may be that of another, and it no word at all."""
        even = {MORPHEMES: dict.fromkeys(self._analyzer.question_morphemes(word), 1)}
        ids = self._snapshot.lexical(even, _LOOKED_AT)
        whole = re.compile(rf"(?<![A-Za-z]){word}(?![A-Za-z])", re.IGNORECASE)
        return any(whole.search(one.text) for one in self._snapshot.stored(ids))

    def _word_of(self, near: Sequence[str], broken: int) -> str:
        """The first that is a word though no passage has it."""
        counts = self._broken(near) if broken >= _BROKEN else [broken] * len(near)
        return next((one for one, parts in zip(near, counts, strict=True) if parts == 1 or has_doublet(one)), "")

    def _broken(self, words: Sequence[str]) -> Sequence[int]:
        """Into how many parts each falls for the model, which knows words as one."""
        return self._pieces(words) if self._pieces and words else [_UNKNOWN] * len(words)

    def _hangul(self, word: str) -> str:
        if len(word) > _MOST_HANGUL or len(word) < 2 or self.has_all(word):
            return ""
        likelihood, parts = self._analyzer.likelihood(word), self._analyzer.parts(word)
        for ways in (exchanges, slips):
            pairs = {one: _pairs(one) for one in (word, *ways(word))}
            counts = self._counts(BIGRAMS, {pair for each in pairs.values() for pair in each})
            known = {one: sum(counts[pair] > 0 for pair in each) for one, each in pairs.items()}
            nearest = sorted((one for one in pairs if known[one] > known[word]), key=known.__getitem__)[-_TRIED:]
            there = {*self._known(nearest), *(one for one in nearest if 1 < known[one] == len(pairs[one]))}
            best = max(((self._analyzer.likelihood(one), one) for one in there), default=(0.0, ""))
            if best[1] and best[0] - likelihood >= (_RATHER if self._analyzer.parts(best[1]) < parts else _CLEARLY):
                return best[1]
        latin = typed_as_latin(word)
        return latin if len(latin) >= _LEAST_LATIN and self.has_all(latin) else ""

    def has_all(self, word: str) -> bool:
        """Whether the index has each of the word's terms."""
        return bool(self._known([word]))

    def _has_pairs(self, word: str) -> bool:
        """Whether passages have a word of Hangul by its pairs of syllables alone, as other words there: 이월은 is read
        as 이 월은, the second month."""
        if len(word) < _NAME and self._analyzer.question_morphemes(word) != [word]:
            return False
        counts = self._counts(BIGRAMS, _pairs(word))
        return all(counts[pair] for pair in _pairs(word)) and bool(_pairs(word))

    def _known(self, words: Sequence[str]) -> list[str]:
        """Those of which the index has each term."""
        terms = {word: self._analyzer.question_morphemes(word) for word in self._analyzer.in_turn(words)}
        wanted = {term for each in terms.values() for term in each}
        below, above = self._counts(MORPHEMES, wanted), self._counts(CONTEXT, wanted)
        return [word for word, each in terms.items() if each and all(below[one] or above[one] for one in each)]

    def _counts(self, field: str, terms: Iterable[str]) -> Mapping[str, int]:
        """How many passages have each of these terms: of these alone, for all of a large index take long to read."""
        return self._snapshot.statistics({field: list(terms)}).frequencies[field]

    def _by_initials(self, tokens: Sequence[str]) -> list[str]:
        """ㅇㅊ ㅎㄱ → 연차 휴가: of the words that begin so, those that stand in passages together."""
        wanted = {token: list(self._beginning_with(token)) for token in tokens if _CONSONANTS.fullmatch(token)}
        wanted = {token: words for token, words in wanted.items() if words and len(set(token)) > 1}
        if not wanted:
            return list(tokens)
        even = {MORPHEMES: {word: 1 for words in wanted.values() for one in words for word in one.split()}}
        found = Counter[str]()
        for place, terms in enumerate(self._snapshot.terms(self._snapshot.lexical(even, 20))):
            del place
            present = frozenset(terms[MORPHEMES])
            together = sum(any(present.issuperset(one.split()) for one in words) for words in wanted.values())
            found.update(
                {one: together**4 for words in wanted.values() for one in words if present >= set(one.split())}
            )
        chosen = {token: max(words, key=lambda one: (found[one], -words.index(one))) for token, words in wanted.items()}
        return [chosen.get(token, token) for token in tokens]

    def _beginning_with(self, consonants: str) -> Iterator[str]:
        """Words of the index with these initials, the most frequent first; or two of them, one behind the other."""
        starts: dict[str, list[str]] = {}
        (words,) = self._snapshot.vocabulary((MORPHEMES,))
        for word in sorted(words, key=words.__getitem__, reverse=True):
            if is_syllables(word):
                alike = starts.setdefault(initials(word), [])
                if len(alike) < _ALIKE:
                    alike.append(word)
        if consonants in starts:
            yield from starts[consonants]
            return
        for cut in range(2, len(consonants) - 1):
            first, second = starts.get(consonants[:cut], ()), starts.get(consonants[cut:], ())
            yield from (f"{one} {other}" for one in first[:5] for other in second[:5])


def _splits(word: str, known: AbstractSet[str], most: int = _MOST_PARTS) -> Iterator[list[str]]:
    """The ways to write a word as several that are known."""
    for end in range(_LEAST_PART, len(word) - _LEAST_PART + 1):
        first, rest = word[:end], word[end:]
        if first in known:
            if rest in known:
                yield [first, rest]
            if most > 2:
                yield from ([first, *parts] for parts in _splits(rest, known, most - 1))


def _may_have_a_slip(token: str, own: Sequence[str], unknown: AbstractSet[str]) -> bool:
    """Whether a token has unknown ones among its `own` words. A single syllable with a particle (을은, of 갑 and 을) is
    one jamo from too many others."""
    if _JAMO.search(token):
        return True
    if len(own) == 1 and len(own[0]) == 1 and is_syllables(own[0]):
        return token.strip(_MARKS).removeprefix(own[0]) not in PARTICLES | {""} and not unknown.isdisjoint(own)
    return not unknown.isdisjoint(own)


def _pairs(word: str) -> list[str]:
    return [word[i : i + 2] for i in range(len(word) - 1)]
