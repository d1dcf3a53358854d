"""Text → search terms, the same way for passages and questions.

Korean is read twice. As morphemes (by Kiwi), of which only those with a meaning of their own stay: so particles and
endings neither hide a match nor make one. And as pairs of neighbouring syllables within runs of such morphemes, white
space passed over: these find a part of a compound, a name that the analysis cuts differently in the question, and a
word with a space too many. Hanja and kana become single characters and pairs of them; other words stay whole.
"""

from __future__ import annotations

import re
import threading
import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from kiwipiepy import Kiwi

RULES = "1"
"""Changes whenever a text may give other terms than before: an index made by other rules has to be made anew."""

MORPHEMES, BIGRAMS, CONTEXT = "morphemes", "bigrams", "context"
FIELDS = (MORPHEMES, BIGRAMS, CONTEXT)
"""`context` holds the morphemes of what stands above a passage: title, headings, file name."""
FIELD_WEIGHTS = {MORPHEMES: 1.0, BIGRAMS: 0.4, CONTEXT: 0.4}

_TERMS = frozenset(("NNG", "NNP", "NR", "XR", "VV", "VA"))
"""Morphemes that are terms, by tag (https://github.com/bab2min/Kiwi#품사-태그): nouns, numerals, roots, verbs."""
_PAIRED = _TERMS | {"NNB", "MM", "MAG", "XPN", "XSN"}
"""Morphemes whose syllables are paired."""

_HANGUL = re.compile("[가-힣]")
_IDEOGRAPHS = "\u3005-\u3007\u3041-\u30ff\u31f0-\u31ff\u3400-\u9fff\uf900-\ufaff\U00020000-\U0003ffff"
_WORD = re.compile(
    rf"(?P<ideographs>[{_IDEOGRAPHS}]+)"
    r"|(?P<number>\d+(?:[.,]\d+)*)(?P<unit>[%‰°]C?|[가-힣]|[A-Za-zµ]{1,4}(?![^\W가-힣]))?"
    rf"|(?:(?![가-힣{_IDEOGRAPHS}])[^\W_])+"
)
_COMPATIBLE = re.compile("[\u2100-\u214f\u2460-\u24ff\u3200-\u33ff\ufb00-\ufb06\uff01-\uff9f]+")
"""Characters that stand for others: ＡＢＣ, ㎏, ％, ﬁ. (Not the jamo among them: NFKC would glue ㅋㅏ to 카.)"""
_UNSEEN = re.compile("[\u00ad\u200b-\u200f\u2060\ufeff]")
_SURROGATES = re.compile("[\ud800-\udfff]")

_QUOTES = str.maketrans("“”„‟", '""""')
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
    """Field → term → weight."""
    must: tuple[Wanted, ...] = ()
    must_not: tuple[Wanted, ...] = ()
    phrases: tuple[Wanted, ...] = ()
    notes: tuple[str, ...] = ()
    """What a person should know about how the question was read, a sentence each."""


def matches(question: Question, terms: Mapping[str, Sequence[str]]) -> bool:
    """Whether a passage, given as its stored terms by field, satisfies the question's operators."""
    if not (question.must or question.must_not or question.phrases):
        return True
    stored = {field: f" {' '.join(found)} " for field, found in terms.items()}
    return all(_has(stored, wanted) for wanted in (*question.must, *question.phrases)) and not any(
        _has(stored, unwanted) for unwanted in question.must_not
    )


def _has(stored: Mapping[str, str], wanted: Wanted) -> bool:
    return any(f" {' '.join(terms)} " in stored.get(field, "") for field, terms in wanted.terms.items())


class Analyzer:
    """Turns text into terms. Kiwi is loaded (one to three seconds) when the first Hangul comes; threads may share it."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._kiwi: Kiwi | None = None

    def load(self) -> None:
        """Load Kiwi now, so that the first text need not wait."""
        self._loaded().tokenize("가")

    def passage_terms(self, text: str, context: Sequence[str]) -> Mapping[str, list[str]]:
        """Field → terms in the text's order, repeated as often as they stand there.

        `context` is what stands above the passage: title, headings, file name. A term has no white space in it.
        """
        morphemes, bigrams = self._read(text)
        above, _ = self._read("\n".join(dict.fromkeys(context)))
        return {MORPHEMES: morphemes, BIGRAMS: bigrams, CONTEXT: above}

    def question(self, text: str) -> Question:
        """Operators are read off: "a phrase", +must, -not, with white space in front and a word behind."""
        text = _clean(text).translate(_QUOTES)
        found: dict[str, list[Wanted]] = {"": [], "+": [], "-": []}
        notes = []
        plain, end = "", 0
        for operator in _OPERATOR.finditer(text):
            words = operator["phrase"] or operator["word"] or ""
            sign = operator["sign"] or operator["mark"] or ""
            plain += text[end : operator.start()] + ("" if sign == "-" else words)
            end = operator.end()
            wanted = self._wanted(words)
            if wanted.terms:
                found[sign].append(wanted)
            elif words.strip():
                notes.append(f"{operator.group()} has no word to look for, and is not looked for.")
        plain += text[end:]
        if plain.count('"') % 2:
            notes.append("A quotation mark is not closed: what follows it is not taken as a phrase.")
        plain = " ".join(plain.replace('"', " ").split())
        return Question(
            text=plain,
            terms=self._weights(plain),
            must=tuple(found["+"]),
            must_not=tuple(found["-"]),
            phrases=tuple(found[""]),
            notes=tuple(notes),
        )

    def _weights(self, text: str) -> dict[str, dict[str, float]]:
        morphemes, bigrams = self._read(text)
        weights: dict[str, dict[str, float]] = {field: {} for field in FIELDS}
        for field, terms in ((MORPHEMES, morphemes), (BIGRAMS, bigrams), (CONTEXT, morphemes)):
            for term in terms:
                weights[field][term] = weights[field].get(term, 0.0) + FIELD_WEIGHTS[field]
        return weights

    def _wanted(self, text: str) -> Wanted:
        morphemes, bigrams = map(tuple, self._read(text))
        fields = {MORPHEMES: morphemes, BIGRAMS: bigrams, CONTEXT: morphemes}
        return Wanted(text.strip(), {field: terms for field, terms in fields.items() if terms})

    def _read(self, text: str) -> tuple[list[str], list[str]]:
        """Morphemes with other words, and pairs of characters, each in the text's order."""
        text = _clean(text)
        words: list[tuple[int, str]] = []
        pairs: list[tuple[int, str]] = []
        for start, word, is_ideographs in _other_words(text):
            if is_ideographs:
                words.extend((start + i, character) for i, character in enumerate(word))
                pairs.extend(_pairs(start, word))
            else:
                words.append((start, word))
        if _HANGUL.search(text):
            run, run_start, run_end = "", 0, 0
            for token in self._loaded().tokenize(text):
                tag = token.tag.partition("-")[0]
                if not _HANGUL.match(token.form) or tag not in _PAIRED:
                    pairs.extend(_pairs(run_start, run))
                    run = ""
                    continue
                if tag in _TERMS:
                    words.append((token.start, token.form))
                if run and text[run_end : token.start].strip():
                    pairs.extend(_pairs(run_start, run))
                    run = ""
                if not run:
                    run_start = token.start
                run += token.form
                run_end = token.end
            pairs.extend(_pairs(run_start, run))
        return _in_order(words), _in_order(pairs)

    def _loaded(self) -> Kiwi:
        with self._lock:
            if self._kiwi is None:
                from kiwipiepy import Kiwi

                # The dictionary of foreign names takes two seconds more, and changed no figure.
                self._kiwi = Kiwi(num_workers=1, load_multi_dict=False)
            return self._kiwi


def _clean(text: str) -> str:
    """NFC, compatibility forms as what they stand for, and nothing that Kiwi stumbles over."""
    text = _SURROGATES.sub("\ufffd", unicodedata.normalize("NFC", text))
    text = _COMPATIBLE.sub(lambda found: unicodedata.normalize("NFKC", found.group()), text)
    return _UNSEEN.sub("", text)


def _other_words(text: str) -> Iterator[tuple[int, str, bool]]:
    """Start, word, and whether it is Hanja or kana, of everything but Hangul. A number stands alone and with its unit,
    of which one syllable is enough: 2024 and 2024년."""
    for found in _WORD.finditer(text):
        if found["number"]:
            yield found.start(), found["number"], False
            if found["unit"]:
                yield found.start(), found.group().casefold(), False
        else:
            yield found.start(), found.group().casefold(), bool(found["ideographs"])


def _pairs(start: int, run: str) -> Iterator[tuple[int, str]]:
    """Neighbouring characters of a run, two by two; a lone one is itself."""
    if len(run) == 1:
        yield start, run
    for i in range(len(run) - 1):
        yield start, run[i : i + 2]


def _in_order(found: list[tuple[int, str]]) -> list[str]:
    return [term for _, term in sorted(found, key=lambda item: item[0])]
