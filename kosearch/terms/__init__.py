"""Text → search terms, the same way for passages and questions.

Korean is read twice. As morphemes (by Kiwi), of which only those with a meaning of their own stay, so that particles
and endings neither hide a match nor make one. And as pairs of neighbouring syllables within runs of such morphemes,
white space passed over: these find a part of a compound, a name that the analysis cuts differently in the question,
and a word with a space too many. Hanja and kana become single characters and pairs of them. Other words stay whole,
English ones as their stems; a number also stands with its unit. Hanja are read as Hangul besides, and what can be
written in many ways has one form more (`normal_forms`). A file's name gives its pairs of syllables too.
"""

from __future__ import annotations

import hashlib
import json
import re
import threading
import unicodedata
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cache, lru_cache
from itertools import combinations, compress, islice, product, zip_longest

from kosearch.kiwi import Morpheme, Reader
from kosearch.terms import dictionaries
from kosearch.terms.loanwords import LEAST
from kosearch.terms.normal_forms import asked_forms, normal_forms, placed_forms
from kosearch.terms.operators import parse
from kosearch.terms.scripts import has_hanja, read_hanja

RULES = "10"
"""Changes whenever a text may give other terms than before: `kosearch index` then makes those of an index anew."""

MORPHEMES, BIGRAMS, CONTEXT, FORMS = "morphemes", "bigrams", "context", "forms"
FIELDS = (MORPHEMES, BIGRAMS, CONTEXT, FORMS)
"""The kinds of terms kept for a passage; `context` has the morphemes of title, headings and file name, and the name's
pairs of syllables and words again as terms of a name; `forms` has the normal forms of the passage and of what stands
above it."""
FIELD_WEIGHTS = {MORPHEMES: 1.0, BIGRAMS: 0.4, CONTEXT: 0.5, FORMS: 1.0}
"""Measured on five collections, Korean and English; .3 to .6 for pairs and .2 to .7 for context do as well."""
_OF_NAME = "/"
"""What a name's pairs and words begin with: beside the morphemes of headings they are terms of their own."""
SYNONYM = 0.8
"""What a synonym weighs beside the word that was typed."""
NAME_TERMS = 0.3
"""What a name's pairs of syllables and words weigh."""

# Kiwi's tags (https://github.com/bab2min/kiwipiepy#품사-태그), without what follows a hyphen.
_VERBS = frozenset(("VV", "VA"))
_TERMS = _VERBS | {"NNG", "NNP", "NR", "XR"}
"""Verbs, adjectives, nouns, numerals and roots are terms."""
_PAIRED = _TERMS | {"NNB", "MM", "MAG", "XPN", "XSN"}
"""These give pairs of syllables too: what stands inside compounds, and adverbs."""

_HANGUL = re.compile("[가-힣]")
_HANGUL_RUN = re.compile("[가-힣]+")
_PARTICLE = re.compile("(?<=[가-힣]{2})(?:에서|으로|부터|까지|에게|[은는이가을를의에와과도로만])$")
_CAPITALS = re.compile("[A-Z]{2}")
_IN_ING = re.compile(r"(?<![^\W_])([a-z]+ing)s?(?![^\W_])")
_IDEOGRAPHS = "\u3005-\u3007\u3041-\u30ff\u31f0-\u31ff\u3400-\u9fff\uf900-\ufaff\U00020000-\U0003ffff"
_IDEOGRAPH_RUN = re.compile(f"[{_IDEOGRAPHS}]+")
_OTHER_WORD = re.compile(
    rf"(?P<ideographs>[{_IDEOGRAPHS}]+)"
    # Of a Hangul unit its first syllable: 2024년에 is 2024년, and 3개월 is 3개, in the passage as in the question.
    r"|(?P<number>\d+(?:[.,]\d+)*)(?P<unit>[%‰°]C?|[가-힣]|[A-Za-zµ]{1,4}(?![^\W가-힣]))?"
    rf"|(?:(?![가-힣{_IDEOGRAPHS}])[^\W_])+"
)
_ALPHABETIC = re.compile(rf"(?![가-힣{_IDEOGRAPHS}])[^\W_]")
_COMPATIBLE = re.compile("[\u2100-\u214f\u2160-\u217f\u2460-\u24ff\u3200-\u33ff\ufb00-\ufb06\uff01-\uff9f]+")
"""Characters that stand for others: ＡＢＣ, ㎏, Ⅲ, ％, ﬁ. (Not the jamo among them: NFKC would glue ㅋㅏ to 카.)"""
_DOTS = re.compile("[ㆍ・･‧∙⋅•ᆞ]")
"""Middle dots of every kind are one: between words, and no letter."""
_CONTROLS = re.compile("[\x00-\x09\x0b-\x1f\x7f]")
_UNREADABLE = re.compile("[\x00-\x08\x0b-\x1f\x7f]")
"""Controls without the tab, which parts the cells of a table."""
_CAMEL = re.compile(
    "(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])|(?<=[A-Za-z])(?=[가-힣])|(?<=[가-힣])(?=[A-Za-z])"
    r"|(?:(?<=[a-z]{2})|(?<=[A-Z]{2}))(?=\d)"
)
"""Where a file's name has words without a space between them."""
_LATIN = re.compile(rf"(?<![^\W가-힣])[A-Za-z]{{{LEAST},}}(?![^\W가-힣])")
_YEAR_FORM = re.compile(r"d\d{4}")
_MARKS = " ?!.,~…·'“”‘’()[]{}「」『』<>"
_ALL_JAMO = re.compile("[ㄱ-ㅣ\u1100-\u11ff\\s]+")
_NUMERIC = re.compile("[\\d영일이삼사오육칠팔구십백천만억조A-Za-z]")
_LONGER_PARTICLES = (
    "으로 에서 부터 까지 에게 한테 처럼 조차 마저 이나 께서 에는 에도 으로는 에서는 이며 이고 하고 라고 이라고"
)
PARTICLES = frozenset([*"은는이가을를의에와과도로만나랑께야여요다고지며면서든", *_LONGER_PARTICLES.split()])
_OVER_AND_OVER = 6
_FEW_WORDS = 6
_UNSEEN = re.compile("[\u00ad\u200b-\u200f\u2060\ufeff]")
_SURROGATE = re.compile("[\ud800-\udfff]")
_JOINING = " \t\n\r\f\v\xa0\u3000·"
_DIGIT = re.compile(r"\d")
_LATIN_WORD = re.compile("[A-Za-z]+")
_EXTENSION = re.compile(r"(?<=\w)\.[A-Za-z]\w{0,4}(?=[\s?!.,]|$)")
"""What a file's name has behind it, and nobody looks for."""
_SPLIT = 3
"""Words that one of the table of doublets may be taken for."""
_WAYS = 8
"""In so many ways one word may stand in a name."""
_LONGEST = 64
"""Code points of a term that count: what is longer is no word."""
_SHORT, _MOST_SHORT = 16, 1 << 12
"""Code points of a text that is no more than a word or two, and of so many what Kiwi found is kept, some 4 MB."""

Others = Mapping[tuple[str, ...], Mapping[tuple[str, ...], float]]


@dataclass(frozen=True, slots=True)
class Wanted:
    """A word or phrase of a question that a passage must have, or must not."""

    text: str
    alternatives: tuple[tuple[str, tuple[str, ...]], ...]
    """A field, and terms that stand in it side by side: any of these will do."""


@dataclass(frozen=True, slots=True)
class Question:
    """A question as both sides of the search take it."""

    text: str
    """For the embedder: without operators, and without what must not be there."""
    terms: Mapping[str, Mapping[str, float]]
    """Field → term → weight, the field's own weight included."""
    others: Others = field(default_factory=dict)
    """Morphemes of the question that stand side by side → others for them, with their weights: loanwords, doublets."""
    latin: Mapping[str, str] = field(default_factory=dict)
    """Stem → the word of Latin letters, which may be a loanword that passages write in Hangul."""
    written: Mapping[tuple[str, ...], tuple[str, ...]] = field(default_factory=dict)
    """Normal forms of one thing → the morphemes that write it: a passage with one of the forms has them, whatever it
    writes."""
    called: tuple[Mapping[frozenset[str], float], ...] = ()
    """For each of its words what the name of a file has that is called so, and what that counts: the terms of the word
    as it was typed, and those of other words for it."""
    alone: bool = False
    """Whether it is one word, whatever parts that has."""
    sought: str = ""
    """The one word beside those that ask and those for what is looked through: of 문서 번호 2034 찾아줘 it is 2034."""
    meaning: str = ""
    """For the embedder, where that is more than the text: with synonyms."""
    must: tuple[Wanted, ...] = ()
    must_not: tuple[Wanted, ...] = ()
    phrases: tuple[Wanted, ...] = ()
    notes: tuple[str, ...] = ()
    """What a person should know about how the question was read, a sentence each."""
    by_word: bool = False
    """Whether there is nothing in it but words: a lone syllable or letter means nothing that an embedder knows."""

    @property
    def meant(self) -> str:
        """For the embedder: the text, with synonyms."""
        return self.meaning or self.text


def matches(question: Question, terms: Mapping[str, Sequence[str]]) -> bool:
    """Whether a passage, given as its terms by field, satisfies the question's operators."""
    if not (question.must or question.must_not or question.phrases):
        return True
    stored = {field: f" {' '.join(found)} " for field, found in terms.items()}
    return all(_has(stored, wanted) for wanted in (*question.must, *question.phrases)) and not any(
        _has(stored, unwanted) for unwanted in question.must_not
    )


def _has(stored: Mapping[str, str], wanted: Wanted) -> bool:
    return any(f" {' '.join(terms)} " in stored.get(field, "") for field, terms in wanted.alternatives)


def rules_with(words: tuple[str, ...]) -> str:
    """The name of the rules by which a text becomes terms where these words are known beside the dictionary's."""
    return f"{RULES}+{hashlib.sha256(json.dumps(words).encode()).hexdigest()[:16]}" if words else RULES


class Analyzer:
    """Turns text into terms. Kiwi is loaded (one to three seconds) with the first Hangul; threads may share it."""

    def __init__(self, words: tuple[str, ...] = (), *, is_careful: bool = False) -> None:
        """`words` are words of Hangul beside those that Kiwi knows, as `dictionaries.read_words` gives them.

        For one that is careful see `kiwi.Reader`.
        """
        self.words = words
        self._is_careful = is_careful
        self._forms = frozenset(word.replace(" ", "") for word in words)
        self._lock = threading.Lock()
        self._kiwi: Reader | None = None
        self._above: tuple[tuple[str, str], Sequence[str], Sequence[str]] = (("", ""), (), ())
        """The latest context, its terms and its forms: a document's passages mostly share it."""
        self._latest: tuple[str, Sequence[Morpheme]] = ("", ())
        """The latest text and what Kiwi finds in it: a question is gone through four times."""
        self._latest_placed: tuple[tuple[str, bool], tuple[Sequence[tuple[int, str]], Sequence[tuple[int, str]]]]
        self._latest_placed = ("", False), ((), ())
        self._short: dict[str, Sequence[Morpheme]] = {}
        """The same of short texts: a word that may have a slip in it is taken for many others, and comes again."""

    @property
    def is_coming(self) -> bool:
        """Whether Kiwi is being loaded beside this process: what else is to be loaded may be so meanwhile."""
        return self._reader().is_coming

    def load(self) -> None:
        """Load Kiwi now, so that the first text does not wait for it."""
        self._tokenize("가")

    def passage_terms(self, text: str, context: Sequence[str], name: str = "") -> Mapping[str, list[str]]:
        """Field → terms in the text's order, repeated as often as they stand there; none has white space in it.

        `context` is what stands above the passage, title and headings; `name` is its file's.
        """
        text = clean(text)
        morphemes, bigrams = self._read(text)
        above = "\n".join(dict.fromkeys(context)), name
        if self._above[0] != above:
            self._above = (above, *self._context_terms(*above))
        _, context_terms, context_forms = self._above
        forms = list(dict.fromkeys([*normal_forms(_UNREADABLE.sub(" ", text)), *context_forms]))
        return {MORPHEMES: morphemes, BIGRAMS: bigrams, CONTEXT: list(context_terms), FORMS: forms}

    def _context_terms(self, context: str, name: str) -> tuple[list[str], list[str]]:
        """The terms and the forms of what stands above a passage."""
        context, name = clean(context), clean(name)
        parts = _CAMEL.sub(" ", name)
        whole = "\n".join(dict.fromkeys(filter(None, (*context.split("\n"), name, parts if parts != name else ""))))
        morphemes, _ = self._read(whole)
        pairs = self._read(name)[1] if name else []
        words = dict.fromkeys((*_letters(f"{name} {parts}"), *_in_ing(f"{name} {parts}")))
        return [*morphemes, *(_OF_NAME + one for one in (*pairs, *words))], normal_forms(f"{context}\n{name}\n{parts}")

    def question(self, text: str, *, operators: bool = True, exact: bool = False) -> Question:
        """A question as it is searched for; see `operators` for what a person may demand in it.

        Without `operators` the text is taken as it is, as the questions of a test collection are. `exact` leaves
        out all forms but the written ones.
        """
        lines = clean(text, keep_lines=True)
        parsed = parse(lines) if operators else None
        plain = parsed.plain if parsed else _plain(lines)
        demands: dict[str, list[Wanted]] = {"+": [], "-": [], "": []}
        notes = list(parsed.notes if parsed else ())
        for demand in parsed.demands if parsed else ():
            wanted = self._wanted(demand.words, exact=exact)
            if wanted.alternatives:
                demands[demand.sign].append(wanted)
            else:
                notes.append(f"{demand.written} has no word that is kept in the index: it demands nothing")
        morphemes, bigrams = self._asked(plain)
        others: Others = {} if exact else _others(morphemes)
        called = self._called(plain, others)
        words = dict.fromkeys(word for word in _letters(plain) if word in morphemes)
        lone = plain.strip(_MARKS)
        if _is_syllable(lone):
            morphemes = bigrams = [lone]
        return Question(
            text=plain,
            terms={
                MORPHEMES: _weighed(morphemes, FIELD_WEIGHTS[MORPHEMES]),
                BIGRAMS: _weighed(bigrams, FIELD_WEIGHTS[BIGRAMS]),
                CONTEXT: _weighed(morphemes, FIELD_WEIGHTS[CONTEXT])
                | _weighed([_OF_NAME + one for one in (*bigrams, *words)], NAME_TERMS),
                FORMS: {} if exact else _weighed(asked_forms(plain), FIELD_WEIGHTS[FORMS]),
            },
            others=others,
            latin={}
            if exact
            else {stem: word for word in _LATIN.findall(plain) if (stem := stem_of(word.lower())) in morphemes},
            written={} if exact else self._written(plain),
            called=called,
            alone=len(plain.split()) == 1,
            sought=self._sought(plain),
            must=tuple(demands["+"]),
            must_not=tuple(demands["-"]),
            phrases=tuple(demands[""]),
            notes=tuple(notes),
            by_word=(bool(lone) and PARTICLES.issuperset(lone.split()))
            or _ALL_JAMO.fullmatch(lone) is not None
            or _says_one_thing(lone)
            or not _has_text(lone),
        )

    def in_turn(self, texts: Sequence[str]) -> Iterator[str]:
        """These questions or words: while one is read, Kiwi takes the next apart where it has a process of its own."""
        for text, coming in zip_longest(texts, texts[1:]):
            reader = self._reader()
            if coming is not None and coming not in self._short and reader.is_beside and _HANGUL.search(coming):
                reader.ahead(parse(clean(coming, keep_lines=True)).plain)
            yield text

    def question_morphemes(self, text: str) -> list[str]:
        """The morphemes of a question that is taken as it is, without what else is found for it: half of the time."""
        plain = _plain(clean(text, keep_lines=True))
        lone = plain.strip(_MARKS)
        return [lone] if _is_syllable(lone) else list(dict.fromkeys(self._asked(plain)[0]))

    def _asked(self, text: str) -> tuple[list[str], list[str]]:
        """As `_read` without the words that ask, unless there are no others."""
        morphemes, bigrams = self._read(text, asked=True)
        return (morphemes, bigrams) if morphemes else self._read(text)

    def _written(self, text: str) -> dict[tuple[str, ...], tuple[str, ...]]:
        """The exact forms of each span of a clean text, and the morphemes in that span."""
        spans: dict[tuple[int, int], list[str]] = {}
        longest_first = sorted(placed_forms(text), key=lambda placed: placed[1] - placed[2])  # 3:30pm before its 30pm
        for form, start, end in longest_first:
            if (start, end) in spans or not any(start < other and first < end for first, other in spans):
                exact = spans.setdefault((start, end), [])
                if all(form[0] != other[0] or form[0] == "n" for other in exact):  # the first of a kind says most
                    exact.append(form)
        words = self._placed(text)[0] if spans else []
        return {
            tuple(exact): found
            for (start, end), exact in spans.items()
            if not _YEAR_FORM.fullmatch(exact[0])  # every date of it has that: the year as a word says more
            if (found := tuple(dict.fromkeys(word for place, word in words if start <= place < end)))
        }

    def _called(self, text: str, others: Others) -> tuple[Mapping[frozenset[str], float], ...]:
        """What a file's name has that is called as a question; see `Question.called`.

        Words that ask or name what is looked through are in no name that is asked for, unless there are no others, and
        dates and other numbers have forms. Order and spaces are free.
        """
        plain = _EXTENSION.sub(lambda found: " " * len(found.group()), text)
        tokens = self._tokens(plain, asked=True) if _HANGUL.search(plain) else ()
        placed, _ = self._placed(plain, asked=True)
        found: list[tuple[str, bool, dict[frozenset[str], float]]] = []
        for token in re.finditer(r"\S+", plain):
            start, end = token.span()
            words = [word for place, word in placed if start <= place < end]
            runs = [run for _, run in _runs(plain, [one for one in tokens if start <= one[0] < end])]
            letters = [word for word in _letters(token.group()) if word in words]
            if _DIGIT.search(token.group()):
                runs = [run for run in runs if len(run) > 1]
            if runs or letters:
                ways = dict(_otherwise(words, others)) | {_of_name(runs, letters): 1.0}
                if len(in_ing := _in_ing(token.group())) == len(letters) == 1:
                    ways |= {_of_name(runs, letters): dictionaries.NEAR, _of_name(runs, in_ing): 1.0}
                written = re.sub("[-_]", "", token.group()).strip(_MARKS)
                found.append((written, LOOKED_THROUGH.issuperset(words), ways))
        latin = [_in_latin(token, ways) for token, _, ways in found[:_FEW_WORDS]]
        for start, end in combinations(range(len(latin) + 1), 2):
            if end - start == 1 and not _LATIN_WORD.fullmatch(found[start][0]):
                continue  # other words for one stand among its ways as they are
            in_latin = latin[start:end]
            if all(word for word, _ in in_latin):  # a name may have them without a space: loginpage
                joined = _of_name((), _letters("".join(word for word, _ in in_latin)))
                for _, _, ways in found[start:end]:
                    ways.setdefault(joined, min(worth for _, worth in in_latin))
        naming = [ways for _, looked_through, ways in found if not looked_through]
        return tuple(naming or (ways for _, _, ways in found))

    def _sought(self, text: str) -> str:
        """What a question of a few words looks for, where that is one of them and the others only ask or say where."""
        if not 1 < len(text.split()) <= _FEW_WORDS:
            return ""
        if any(" " in text[start:end] for _, start, end in placed_forms(text)):  # 오십일조 원 is one thing
            return ""
        words, _ = self._placed(text)
        only_asking = ASKING_KOREAN | LOOKED_THROUGH | _asking_stems()
        naming = [
            found.group()
            for found in re.finditer(r"\S+", text)
            if not only_asking.issuperset(word for place, word in words if found.start() <= place < found.end())
        ]
        return naming[0] if len(naming) == 1 else ""

    def widened(self, question: Question, others: Sequence[str]) -> Question:
        """The question with other words for what it says: each counts for a little less than what was typed."""
        terms = {name: dict(weights) for name, weights in question.terms.items()}
        for other in others:
            for name, weights in self.question(other, operators=False).terms.items():
                for term, weight in weights.items():
                    terms[name].setdefault(term, weight * SYNONYM)
        return replace(question, terms=terms, meaning=f"{question.text} ({', '.join(others)})")

    def words_of(self, text: str) -> list[list[str]]:
        """The words of each token of a question, one that white space ends, without those that ask."""
        words, _ = self._placed(text, asked=True)
        spans = (found.span() for found in re.finditer(r"\S+", text))
        return [[word for place, word in words if start <= place < end] for start, end in spans]

    def likelihood(self, word: str) -> float:
        """How likely a word is by Kiwi's model, as a logarithm: one with a slip in it is far less so."""
        return float(sum(token.score for token in self._tokenize(clean(word))))

    def parts(self, word: str) -> int:
        """How many morphemes Kiwi finds in a word, endings too."""
        return len(self._tokenize(clean(word)))

    def _wanted(self, words: str, *, exact: bool) -> Wanted:
        """Pairs hold Korean and Chinese characters only: where anything else is wanted too, they would not tell."""
        morphemes, bigrams = map(tuple, self._read(words))
        pairs = () if _ALPHABETIC.search(words) else bigrams
        # A name may be read as another word in a passage than by itself: 정도준, as 정도 and 줄다.
        name = words.strip() if morphemes else ""
        typed = tuple(pair for _, pair in _pairs(0, name)) if len(name) > 1 and _HANGUL_RUN.fullmatch(name) else ()
        forms = () if exact or not all(map(_NUMERIC.search, morphemes)) else tuple(normal_forms(words)[:1])
        alternatives = (
            (MORPHEMES, morphemes),
            (BIGRAMS, pairs),
            (BIGRAMS, typed),
            (CONTEXT, morphemes),
            (CONTEXT, tuple(_OF_NAME + pair for pair in pairs)),
            (FORMS, forms),
        )
        return Wanted(words.strip(), tuple(dict.fromkeys((field, terms) for field, terms in alternatives if terms)))

    def _read(self, text: str, *, asked: bool = False) -> tuple[list[str], list[str]]:
        """The morphemes and other words of a clean text, and its pairs of characters, each in its order.

        Of a question that is `asked`, without the words that ask.
        """
        words, pairs = self._placed(text, asked=asked)
        return [word for _, word in words], [pair for _, pair in pairs]

    def _placed(self, text: str, *, asked: bool = False) -> tuple[Sequence[tuple[int, str]], Sequence[tuple[int, str]]]:
        """The same, each with its place. The latest is kept, for a question asks for it three times."""
        (latest, latest_asked), found = self._latest_placed
        if latest != text or latest_asked != asked:
            found = self._placed_anew(text, asked=asked)
            self._latest_placed = (text, asked), found
        return found

    def _placed_anew(self, text: str, *, asked: bool) -> tuple[list[tuple[int, str]], list[tuple[int, str]]]:
        words = list(_other_words(text))
        if asked and not _HANGUL.search(text):
            named = [word not in _asking_stems() or _CAPITALS.match(text, start) for start, word in words]
            words = list(compress(words, named))
        pairs = [pair for run in _IDEOGRAPH_RUN.finditer(text) for pair in _pairs(run.start(), run.group())]
        if has_hanja(text):
            text = read_hanja(text)
        if _HANGUL.search(text):
            tokens = self._tokens(text, asked=asked)
            words += [
                (start, f"{form}다" if tag in _VERBS else form.casefold())
                for start, _, form, tag in tokens
                if tag in _TERMS
            ]
            words.sort(key=_place)
            pairs += [pair for start, run in _runs(text, tokens) for pair in _pairs(start, run)]
            pairs.sort(key=_place)
        return [(start, word[:_LONGEST]) for start, word in words], pairs

    def _tokens(self, text: str, *, asked: bool) -> list[tuple[int, int, str, str]]:
        """Start, end, form and tag of what Kiwi finds in a text and terms are made of."""
        return [
            (start, end, form, tag)
            for token in self._tokenize(text)
            if (tag := token.tag.partition("-")[0]) in _PAIRED
            for start, end, form in _without_dots(token)
            if _HANGUL.match(form) or form in self._forms
            if not asked or (f"{form}다" if tag in _VERBS else form) not in ASKING_KOREAN
        ]

    def _tokenize(self, text: str) -> Sequence[Morpheme]:
        latest, tokens = self._latest
        if latest == text:
            return tokens
        if (short := self._short.get(text)) is not None:
            return short
        tokens = self._found(text)
        self._latest = (text, tokens)
        if len(text) <= _SHORT:
            if len(self._short) == _MOST_SHORT:
                self._short = {}
            self._short[text] = tokens
        return tokens

    def _found(self, text: str) -> Sequence[Morpheme]:
        return self._reader()(text)

    def _reader(self) -> Reader:
        with self._lock:
            if self._kiwi is None:
                self._kiwi = Reader(self.words, is_careful=self._is_careful)
            return self._kiwi


class HastyAnalyzer(Analyzer):
    """For questions that cannot wait until Kiwi is loaded: words of Hangul are nouns as they stand, without a particle.

    Finds less than the other: verbs, and nouns with anything else behind them, only by their pairs of syllables.
    """

    def _found(self, text: str) -> Sequence[Morpheme]:
        words = ((found.start(), _PARTICLE.sub("", found.group())) for found in _HANGUL_RUN.finditer(text))
        return [Morpheme(start, start + len(word), word) for start, word in words]


def _others(words: Sequence[str]) -> dict[tuple[str, ...], dict[tuple[str, ...], float]]:
    """What else might be said, by the table of doublets, for words that stand side by side.

    A word of the table that Kiwi takes for several, as 게이트웨이 inside a compound, is that word; 비 and 자 behind it
    are none.
    """
    table, whole = _doublets(), _whole_words()
    found: dict[tuple[str, ...], dict[tuple[str, ...], float]] = {}
    start = 0
    while start < len(words):
        ends = range(min(start + _SPLIT, len(words)), start + 1, -1)
        if len(words[start]) > 1 and (end := next((end for end in ends if "".join(words[start:end]) in whole), 0)):
            found[tuple(words[start:end])] = whole["".join(words[start:end])]
            start = end
            continue
        for expression in table.get(words[start], ()):
            if tuple(words[start : start + len(expression)]) == expression:
                found[expression] = table[words[start]][expression]
        start += 1
    return found


@cache
def _doublets() -> dict[str, dict[tuple[str, ...], dict[tuple[str, ...], float]]]:
    """First part → expression → others → weight."""
    table: dict[str, dict[tuple[str, ...], dict[tuple[str, ...], float]]] = {}
    for group in dictionaries.doublets():
        stemmed = [(tuple(stem_of(part.casefold()) for part in parts), weight) for parts, weight in group]
        for expression, weight in stemmed:
            others = table.setdefault(expression[0], {}).setdefault(expression, {})
            others |= {other: min(weight, its) for other, its in stemmed if other != expression}
    return table


@cache
def _whole_words() -> dict[str, dict[tuple[str, ...], float]]:
    """Hangul words of the table of doublets that are one there → others → weight."""
    return {
        expression[0]: others
        for expressions in _doublets().values()
        for expression, others in expressions.items()
        if len(expression) == 1 and _HANGUL.match(expression[0])
    }


def has_doublet(word: str) -> bool:
    """Whether there are other words for an English word, or for the one that it is the plural of: so it is one."""
    return not _english_doublets().isdisjoint((word.casefold(), word.casefold().removesuffix("s")))


@cache
def _english_doublets() -> frozenset[str]:
    words = (part.casefold() for group in dictionaries.doublets() for parts, _ in group for part in parts)
    return frozenset(filter(str.isascii, words))


def _letters(text: str) -> Iterator[str]:
    """The terms of words that have letters other than Hangul and ideographs: a name has them once more."""
    words = (word[:_LONGEST] for _, word in _other_words(text))
    return (word for word in words if _ALPHABETIC.search(word) and not word[0].isdigit())


def _in_ing(text: str) -> list[str]:
    """Words in -ing, which a name has besides as they are written: 설정 is called `settings`, and not `data_set`."""
    return _IN_ING.findall(text.casefold())


@cache
def _written_in_ing() -> dict[str, str]:
    """Stem → the word in -ing of the table of doublets that alone there has that stem."""
    words = {part.casefold() for group in dictionaries.doublets() for parts, _ in group for part in parts}
    sharing = Counter(map(stem_of, words))
    return {stem: word for word in words if _IN_ING.fullmatch(word) and sharing[stem := stem_of(word)] == 1}


def _of_name(runs: Iterable[str], letters: Iterable[str]) -> frozenset[str]:
    """Terms of a file's name that has these runs of syllables and these words."""
    pairs = (pair for run in runs for _, pair in _pairs(0, run))
    return frozenset(_OF_NAME + one for one in (*pairs, *letters))


def _otherwise(words: Sequence[str], others: Others) -> Iterator[tuple[frozenset[str], float]]:
    """Terms of names that have other words for some of these, which stand side by side, and what they count."""
    options: list[list[tuple[tuple[str, ...], float]]] = []
    written = _written_in_ing()
    while words:
        ends = (end for end in range(len(words), 0, -1) if tuple(words[:end]) in others)
        asked = tuple(words[: next(ends, 1)])
        options.append([(asked, 1.0), *others.get(asked, {}).items()])
        words = words[len(asked) :]
    for choice in islice(product(*options), 1, _WAYS):
        parts = [part for expression, _ in choice for part in expression]
        syllables = filter(_HANGUL.match, parts)
        letters = (written.get(part, part) for part in parts if not _HANGUL.match(part))
        yield _of_name(syllables, letters), min(weight for _, weight in choice)


def _in_latin(token: str, ways: Mapping[frozenset[str], float]) -> tuple[str, float]:
    """A question's word in Latin letters, as it was typed or else one for it in the table, and what that counts."""
    if _LATIN_WORD.fullmatch(token):
        return token, 1.0
    words = ((next(iter(way)).removeprefix(_OF_NAME), worth) for way, worth in ways.items() if len(way) == 1)
    return next(((word, worth) for word, worth in words if _LATIN_WORD.fullmatch(word)), ("", 0.0))


def is_of_name(term: str) -> bool:
    """Whether it is a pair of syllables or a word of a file's name."""
    return term.startswith(_OF_NAME)


def is_korean(text: str) -> bool:
    """Whether reading it needs Kiwi."""
    return _HANGUL.search(text) is not None or has_hanja(text)


def clean(text: str, *, keep_lines: bool = False) -> str:
    """NFC, compatibility forms as what they stand for, and nothing that Kiwi stumbles over."""
    text = _SURROGATE.sub("\ufffd", unicodedata.normalize("NFC", text))
    text = _COMPATIBLE.sub(lambda found: unicodedata.normalize("NFKC", found.group()), text)
    text = _DOTS.sub("·", _UNSEEN.sub("", text))
    return _CONTROLS.sub(" ", text) if keep_lines else text


def _plain(lines: str) -> str:
    """A question that is taken as it is, on one line."""
    return " ".join(lines.replace('"', " ").split())


def _is_syllable(text: str) -> bool:
    return len(text) == 1 and _HANGUL.match(text) is not None


def _weighed(terms: Sequence[str], weight: float) -> dict[str, float]:
    """Each term's weight: the one given, as often as the question has the term."""
    weights: dict[str, float] = {}
    for term in terms:
        weights[term] = weights.get(term, 0.0) + weight
    return weights


def _has_text(text: str) -> bool:
    """Whether there is a letter or a digit."""
    return any(map(str.isalnum, text))


def _says_one_thing(text: str) -> bool:
    """Whether a question repeats a word or a syllable over and over: 가가가가가가, word word word word word word."""
    words = text.split()
    return (len(words) >= _OVER_AND_OVER and len(set(words)) == 1) or (
        len(words) == 1 and len(text) >= _OVER_AND_OVER and len(set(text)) == 1 and not text.isdigit()
    )


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
            yield start, stem_of(word)


def _without_dots(token: Morpheme) -> Iterator[tuple[int, int, str]]:
    """Start, end and form of a token; of one that Kiwi takes for a noun with a dot in it (시·도지사), of its parts.

    A word of several words, which words.txt may have, is one without spaces.
    """
    if "·" not in token.form:
        yield token.start, token.end, token.form.replace(" ", "")
        return
    for part in re.finditer("[^·]+", token.form):
        yield token.start + part.start(), token.start + part.end(), part.group()


def _runs(text: str, tokens: Sequence[tuple[int, int, str, str]]) -> Iterator[tuple[int, str]]:
    """Morphemes with nothing but white space or middle dots between them, joined; each run with its place."""
    run, run_start, run_end = "", 0, 0
    for start, end, form, _ in tokens:
        if run and text[run_end:start].strip(_JOINING):
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
def stem_of(word: str) -> str:
    """An English word's stem, by Porter's second algorithm (https://snowballstem.org/algorithms/english)."""
    if not (word.isascii() and word.isalpha()):
        return word
    return _stemmer()(word)[0]


@cache
def _asking_stems() -> frozenset[str]:
    return frozenset(map(stem_of, ASKING_ENGLISH))


@cache
def _stemmer() -> Callable[[str], list[str]]:
    from tantivy import Filter, TextAnalyzerBuilder, Tokenizer

    return TextAnalyzerBuilder(Tokenizer.raw()).filter(Filter.stemmer("english")).build().analyze


# Words that ask and name nothing: a question's lexical side passes them over. A passage that has them is no better
# answer: in a long question they outvote the words that name something. They stay in passages and in what is quoted or
# demanded, and a question of nothing else keeps them. Measured in `tests/benchmarks/fusion.md`: a longer Korean list
# (의미, 내용, 필요, 받다 …) loses.
_INTERROGATIVES = "무엇 뭐 무슨 어느 어떤 어떻게 어떻다 어떠하다 어찌 왜 누구 언제 어디 얼마"
_REQUESTS = "알리다 가르치다 설명 설명하다 말하다 찾다 알다 궁금 궁금하다"
_AROUND = "방법 경우 대하다 관하다 하다 되다 있다"

ASKING_KOREAN = frozenset(f"{_INTERROGATIVES} {_REQUESTS} {_AROUND}".split())
"""Dictionary forms: verbs and adjectives with their 다."""

_ENGLISH = """
what which who whom whose when where why how
is are was were be been am do does did done can could should would will shall might must has have had
the a an this that these those there some any such other
of in on at to for from by with and or if as into about than then so not
i you he she it we they me him her us them my your his its our their
tell explain describe find show know please
"""

_WHERE = "문서 번호 파일 자료 서류 문건 기록 항목 내용 관련 검색"
_STANDS = "나오다 나타나다 들다 들어가다 적히다 쓰이다 보이다 보다 열다"

LOOKED_THROUGH = frozenset(f"{_WHERE} {_STANDS} document file text number page record search".split())
"""Words for what is looked through. Beside one word that hardly a document has they say nothing else."""

ASKING_ENGLISH = frozenset(_ENGLISH.split())
"""Passed over only in questions without Hangul, and not in capitals: IT, US and WHO are names."""
