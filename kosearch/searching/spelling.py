"""What a question was meant to say, where its words stand in no passage: another keyboard mode, initials, a slip.

Only words that this index has take the place of others, and whoever asked is told.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterator, Sequence

from kosearch.index import Snapshot
from kosearch.records import Statistics
from kosearch.terms import BIGRAMS, CONTEXT, MORPHEMES, Analyzer, Question
from kosearch.terms.keyboard import in_hangul, in_latin, initials, is_syllables, slips

_LATIN = re.compile("[A-Za-z]+")
_CONSONANTS = re.compile("[ㄱ-ㅎ]{2,}")
_HANGUL = re.compile("[ㄱ-ㅣ가-힣]+")
_VOWEL = re.compile("[ㅏ-ㅣ]")
_MARKS = "?!.,~…·'\"“”‘’()[]{}「」『』<>:;"
_LEAST_LATIN = 5
"""Letters of a word that may have a slip in it: shorter ones are one letter from too many others."""
_MOST_HANGUL = 12
"""Syllables of one."""
_CLEARLY = 4.0
"""How much likelier (in nats) a word has to be than what was typed; a word that is just not in this index is not."""
_BROKEN = 3
"""A word that falls into so many tokens is none that the model knows."""
_TRIED = 60
_ALIKE = 24
"""So many words with the same initials are tried, the most frequent."""


Pieces = Callable[[str], int]
"""Into how many tokens of the model a text falls: a usual word is one."""


def corrected(
    question: Question, statistics: Statistics, analyzer: Analyzer, snapshot: Snapshot, pieces: Pieces | None = None
) -> str:
    """The question's text as it was meant; empty where every word stands in a passage, or nothing better is known.

    Where none does, an English word may also be one that the model knows.
    """
    counts = statistics.frequencies
    words = question.terms[MORPHEMES]
    is_known = {word: counts[MORPHEMES][word] + counts[CONTEXT][word] > 0 for word in words}
    has_jamo = re.search("[ㄱ-ㅣ]", question.text) is not None
    if (all(is_known.values()) and not has_jamo) or not snapshot.passages:
        return ""
    return _Corrector(analyzer, snapshot, None if any(is_known.values()) else pieces).corrected(question.text)


class _Corrector:
    """The words of one index, for one question."""

    def __init__(self, analyzer: Analyzer, snapshot: Snapshot, pieces: Pieces | None) -> None:
        self._pieces = pieces
        self._analyzer = analyzer
        self._snapshot = snapshot
        self._words, self._pairs, above = snapshot.vocabulary((MORPHEMES, BIGRAMS, CONTEXT))
        self._known = self._words.keys() | above.keys()

    def corrected(self, text: str) -> str:
        tokens = text.split()
        meant = self._by_initials([self._meant(token) or token for token in tokens])
        return " ".join(meant) if meant != tokens else ""

    def _meant(self, token: str) -> str:
        """What one token was meant to be; empty where it may stay."""
        bare = token.strip(_MARKS)
        if _LATIN.fullmatch(bare):
            return self._latin(bare)
        if not _HANGUL.fullmatch(bare) or _CONSONANTS.fullmatch(bare):
            return ""
        if _VOWEL.search(bare):  # jamo by themselves: no word is written so
            latin = in_latin(bare)
            if self._has_all(latin) or len(set(bare)) > 1:
                return "" if len(set(bare)) == 1 else latin
        return self._hangul(bare)

    def _latin(self, word: str) -> str:
        if self._has_all(word):
            return ""
        typed = in_hangul(word)
        if len(word) > 2 and is_syllables(typed) and self._has_all(typed):
            return typed
        if len(word) < _LEAST_LATIN:
            return ""
        near = [one for one in slips(word.casefold()) if one[0] == word[0].casefold()]
        if found := next(filter(self._has_all, near), ""):
            return found
        if self._pieces is None or self._pieces(word) < _BROKEN:
            return ""
        return next((one for one in near if self._pieces(one) == 1), "")

    def _hangul(self, word: str) -> str:
        if len(word) > _MOST_HANGUL or len(word) < 2 or self._has_all(word):
            return ""
        pairs = self._pairs_known(word)
        near = sorted((one for one in slips(word) if self._pairs_known(one) > pairs), key=self._pairs_known)
        likelihood = self._analyzer.likelihood(word)
        best = max(
            ((self._analyzer.likelihood(one), one) for one in near[-_TRIED:] if self._has_all(one)), default=(0.0, "")
        )
        if best[1] and best[0] - likelihood >= _CLEARLY:
            return best[1]
        latin = in_latin(word)
        return latin if len(latin) >= _LEAST_LATIN and self._has_all(latin) else ""

    def _pairs_known(self, word: str) -> int:
        return sum(word[i : i + 2] in self._pairs for i in range(len(word) - 1))

    def _has_all(self, word: str) -> bool:
        """Whether the index has each of the word's terms."""
        terms = self._analyzer.question(word, operators=False).terms[MORPHEMES]
        return bool(terms) and all(term in self._known for term in terms)

    def _by_initials(self, tokens: Sequence[str]) -> list[str]:
        """ㅇㅊ ㅎㄱ → 연차 휴가: of the words that begin so, those that stand in passages together."""
        wanted = {token: list(self._beginning_with(token)) for token in tokens if _CONSONANTS.fullmatch(token)}
        wanted = {token: words for token, words in wanted.items() if words and len(set(token)) > 1}
        if not wanted:
            return list(tokens)
        points = {MORPHEMES: {word: 1 for words in wanted.values() for one in words for word in one.split()}}
        found = Counter[str]()
        for place, terms in enumerate(self._snapshot.terms(self._snapshot.lexical(points, 20))):
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
        for word in sorted(self._words, key=self._words.__getitem__, reverse=True):
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
