"""Text → search terms, the same way for passages and questions.

Korean is read twice. As morphemes (by Kiwi), of which only those with a meaning of their own stay, so that particles
and endings neither hide a match nor make one. And as pairs of neighbouring syllables within runs of such morphemes,
white space passed over: these find a part of a compound, a name that the analysis cuts differently in the question,
and a word with a space too many. Hanja and kana become single characters and pairs of them. Other words stay whole,
English ones as their stems; a number also stands with its unit.
"""

from __future__ import annotations

import re
import threading
import unicodedata
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache, lru_cache
from itertools import compress
from typing import TYPE_CHECKING

from kosearch.terms import generic

if TYPE_CHECKING:
    from kiwipiepy import Kiwi, Token

RULES = "2"
"""Changes whenever a text may give other terms than before: `kosearch index` then makes those of an index anew."""

MORPHEMES, BIGRAMS, CONTEXT = "morphemes", "bigrams", "context"
FIELDS = (MORPHEMES, BIGRAMS, CONTEXT)
"""The kinds of terms kept for a passage; `context` has the morphemes of title, headings and file name."""
FIELD_WEIGHTS = {MORPHEMES: 1.0, BIGRAMS: 0.4, CONTEXT: 0.5}
"""Measured on five collections, Korean and English; .3 to .6 for pairs and .2 to .7 for context do as well."""

# Kiwi's tags (https://github.com/bab2min/kiwipiepy#품사-태그), without what follows a hyphen.
_VERBS = frozenset(("VV", "VA"))
_TERMS = _VERBS | {"NNG", "NNP", "NR", "XR"}
"""Verbs, adjectives, nouns, numerals and roots are terms."""
_PAIRED = _TERMS | {"NNB", "MM", "MAG", "XPN", "XSN"}
"""These give pairs of syllables too: what stands inside compounds, and adverbs."""

_HANGUL = re.compile("[가-힣]")
_CAPITALS = re.compile("[A-Z]{2}")
_IDEOGRAPHS = "\u3005-\u3007\u3041-\u30ff\u31f0-\u31ff\u3400-\u9fff\uf900-\ufaff\U00020000-\U0003ffff"
_IDEOGRAPH_RUN = re.compile(f"[{_IDEOGRAPHS}]+")
_OTHER_WORD = re.compile(
    rf"(?P<ideographs>[{_IDEOGRAPHS}]+)"
    # Of a Hangul unit its first syllable: 2024년에 is 2024년, and 3개월 is 3개, in the passage as in the question.
    r"|(?P<number>\d+(?:[.,]\d+)*)(?P<unit>[%‰°]C?|[가-힣]|[A-Za-zµ]{1,4}(?![^\W가-힣]))?"
    rf"|(?:(?![가-힣{_IDEOGRAPHS}])[^\W_])+"
)
_ALPHABETIC = re.compile(rf"(?![가-힣{_IDEOGRAPHS}])[^\W_]")
_COMPATIBLE = re.compile("[\u2100-\u214f\u2460-\u24ff\u3200-\u33ff\ufb00-\ufb06\uff01-\uff9f]+")
"""Characters that stand for others: ＡＢＣ, ㎏, ％, ﬁ. (Not the jamo among them: NFKC would glue ㅋㅏ to 카.)"""
_UNSEEN = re.compile("[\u00ad\u200b-\u200f\u2060\ufeff]")
_SURROGATE = re.compile("[\ud800-\udfff]")
_LONGEST = 64
"""Code points of a term that count: what is longer is no word."""

_OPERATOR = re.compile(r'(?<!\S)(?:(?P<sign>[+-]?)"(?P<phrase>[^"]*)"|(?P<mark>[+-])(?P<word>\w[^\s"]*))')


@dataclass(frozen=True, slots=True)
class Wanted:
    """A word or phrase of a question that a passage must have, or must not: its terms, side by side in a field."""

    text: str
    terms: Mapping[str, tuple[str, ...]]


@dataclass(frozen=True, slots=True)
class Question:
    """A question as both sides of the search take it."""

    text: str
    """For the embedder: without operators, and without what must not be there."""
    terms: Mapping[str, Mapping[str, float]]
    """Field → term → weight, the field's own weight included."""
    must: tuple[Wanted, ...] = ()
    must_not: tuple[Wanted, ...] = ()
    phrases: tuple[Wanted, ...] = ()
    notes: tuple[str, ...] = ()
    """What a person should know about how the question was read, a sentence each."""


def matches(question: Question, terms: Mapping[str, Sequence[str]]) -> bool:
    """Whether a passage, given as its terms by field, satisfies the question's operators."""
    if not (question.must or question.must_not or question.phrases):
        return True
    stored = {field: f" {' '.join(found)} " for field, found in terms.items()}
    return all(_has(stored, wanted) for wanted in (*question.must, *question.phrases)) and not any(
        _has(stored, unwanted) for unwanted in question.must_not
    )


def _has(stored: Mapping[str, str], wanted: Wanted) -> bool:
    return any(f" {' '.join(terms)} " in stored.get(field, "") for field, terms in wanted.terms.items())


class Analyzer:
    """Turns text into terms. Kiwi is loaded (one to three seconds) with the first Hangul; threads may share it."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._kiwi: Kiwi | None = None
        self._above: tuple[str, Sequence[str]] = ("", ())
        """The latest context and its terms: a document's passages mostly share it."""

    def load(self) -> None:
        """Load Kiwi now, so that the first text does not wait for it."""
        self._tokenize("가")

    def passage_terms(self, text: str, context: Sequence[str]) -> Mapping[str, list[str]]:
        """Field → terms in the text's order, repeated as often as they stand there; none has white space in it.

        `context` is what stands above the passage: title, headings, file name.
        """
        morphemes, bigrams = self._read(text)
        context_text = "\n".join(dict.fromkeys(context))
        above = self._above
        if above[0] != context_text:
            above = self._above = (context_text, self._read(context_text)[0])
        return {MORPHEMES: morphemes, BIGRAMS: bigrams, CONTEXT: list(above[1])}

    def question(self, text: str, *, operators: bool = True) -> Question:
        """Operators are "a phrase", +must and -not, with white space in front and a word behind.

        Without `operators` the text is taken as it is, as the questions of a test collection are.
        """
        text = _clean(text)
        demands: dict[str, list[Wanted]] = {"+": [], "-": [], "": []}
        notes: list[str] = []
        plain, end = "", 0
        for operator in _OPERATOR.finditer(text) if operators else ():
            sign = operator["sign"] or operator["mark"] or ""
            words = operator["phrase"] or operator["word"] or ""
            plain += text[end : operator.start()] + ("" if sign == "-" else words)
            end = operator.end()
            wanted = self._wanted(words)
            if wanted.terms:
                demands[sign].append(wanted)
            elif words.strip():
                notes.append(f"{operator.group()} has no word that is kept in the index: it demands nothing")
        plain += text[end:]
        if operators and plain.count('"') % 2:
            notes.append("a quotation mark is not closed: the words behind it are no phrase")
        plain = " ".join(plain.replace('"', " ").split())
        morphemes, bigrams = self._read(plain, asked=True)
        if not morphemes:
            morphemes, bigrams = self._read(plain)
        return Question(
            text=plain,
            terms={
                MORPHEMES: _weighed(morphemes, MORPHEMES),
                BIGRAMS: _weighed(bigrams, BIGRAMS),
                CONTEXT: _weighed(morphemes, CONTEXT),
            },
            must=tuple(demands["+"]),
            must_not=tuple(demands["-"]),
            phrases=tuple(demands[""]),
            notes=tuple(notes),
        )

    def _wanted(self, words: str) -> Wanted:
        """Pairs hold Korean and Chinese characters only: where anything else is wanted too, they would not tell."""
        morphemes, bigrams = map(tuple, self._read(words))
        terms = {MORPHEMES: morphemes, BIGRAMS: () if _ALPHABETIC.search(words) else bigrams, CONTEXT: morphemes}
        return Wanted(words.strip(), {field: found for field, found in terms.items() if found})

    def _read(self, text: str, *, asked: bool = False) -> tuple[list[str], list[str]]:
        """The text's morphemes and other words, and its pairs of characters, each in its order.

        Of a question that is `asked`, without the words that ask.
        """
        text = _clean(text)
        words = list(_other_words(text))
        if asked and not _HANGUL.search(text):
            named = [word not in _asking_stems() or _CAPITALS.match(text, start) for start, word in words]
            words = list(compress(words, named))
        pairs = [pair for run in _IDEOGRAPH_RUN.finditer(text) for pair in _pairs(run.start(), run.group())]
        if _HANGUL.search(text):
            tokens = [
                (token.start, token.end, token.form, tag)
                for token in self._tokenize(text)
                if (tag := token.tag.partition("-")[0]) in _PAIRED and _HANGUL.match(token.form)
                if not asked or (f"{token.form}다" if tag in _VERBS else token.form) not in generic.KOREAN
            ]
            words += [
                (start, f"{form}다" if tag in _VERBS else form) for start, _, form, tag in tokens if tag in _TERMS
            ]
            words.sort(key=_place)
            pairs += [pair for start, run in _runs(text, tokens) for pair in _pairs(start, run)]
            pairs.sort(key=_place)
        return [word[:_LONGEST] for _, word in words], [pair for _, pair in pairs]

    def _tokenize(self, text: str) -> Sequence[Token]:
        with self._lock:
            if self._kiwi is None:
                from kiwipiepy import Kiwi

                # The dictionary of foreign names takes two seconds more to load, and no figure was better for it.
                self._kiwi = Kiwi(num_workers=1, load_multi_dict=False)
        tokens: list[Token] = self._kiwi.tokenize(text)
        return tokens


def is_korean(text: str) -> bool:
    """Whether reading it needs Kiwi."""
    return _HANGUL.search(text) is not None


def _clean(text: str) -> str:
    """NFC, compatibility forms as what they stand for, and nothing that Kiwi stumbles over."""
    text = _SURROGATE.sub("\ufffd", unicodedata.normalize("NFC", text))
    text = _COMPATIBLE.sub(lambda found: unicodedata.normalize("NFKC", found.group()), text)
    return _UNSEEN.sub("", text)


def _weighed(terms: Sequence[str], field: str) -> dict[str, float]:
    """Each term's weight: its field's, as often as the question has the term."""
    weights: dict[str, float] = {}
    for term in terms:
        weights[term] = weights.get(term, 0.0) + FIELD_WEIGHTS[field]
    return weights


def _other_words(text: str) -> Iterator[tuple[int, str]]:
    """Place and term of everything but Hangul: 2024 and 2024년, a stem of English, a Chinese character."""
    for found in _OTHER_WORD.finditer(text):
        start, word = found.start(), found.group().casefold()
        if found["ideographs"]:
            yield from enumerate(word, start)
        elif found["number"]:
            yield start, found["number"]
            if found["unit"]:
                yield start, word
        else:
            yield start, _stem(word)


def _runs(text: str, tokens: Sequence[tuple[int, int, str, str]]) -> Iterator[tuple[int, str]]:
    """Morphemes with nothing but white space between them, joined; each run with its place."""
    run, run_start, run_end = "", 0, 0
    for start, end, form, _ in tokens:
        if run and text[run_end:start].strip():
            yield run_start, run
            run = ""
        if not run:
            run_start = start
        run, run_end = run + form, end
    if run:
        yield run_start, run


def _pairs(start: int, run: str) -> Iterator[tuple[int, str]]:
    """Neighbouring characters, two by two, all at the run's place; a lone one is itself."""
    if len(run) == 1:
        yield start, run
    for i in range(len(run) - 1):
        yield start, run[i : i + 2]


def _place(found: tuple[int, str]) -> int:
    return found[0]


@lru_cache(maxsize=1 << 16)
def _stem(word: str) -> str:
    """An English word's stem, by Porter's second algorithm (https://snowballstem.org/algorithms/english)."""
    if not (word.isascii() and word.isalpha()):
        return word
    return _stemmer()(word)[0]


@cache
def _asking_stems() -> frozenset[str]:
    return frozenset(map(_stem, generic.ENGLISH))


@cache
def _stemmer() -> Callable[[str], list[str]]:
    from tantivy import Filter, TextAnalyzerBuilder, Tokenizer

    return TextAnalyzerBuilder(Tokenizer.raw()).filter(Filter.stemmer("english")).build().analyze
