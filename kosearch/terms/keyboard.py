"""Hangul as it is typed: jamo by jamo, on the two-set keyboard. What a slip of the hand makes, and how to undo it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cache

_LEADS, _VOWELS = "ㄱㄲㄴㄷㄸㄹㅁㅂㅃㅅㅆㅇㅈㅉㅊㅋㅌㅍㅎ", "ㅏㅐㅑㅒㅓㅔㅕㅖㅗㅘㅙㅚㅛㅜㅝㅞㅟㅠㅡㅢㅣ"
_TAILS = " ㄱㄲㄳㄴㄵㄶㄷㄹㄺㄻㄼㄽㄾㄿㅀㅁㅂㅄㅅㅆㅇㅈㅊㅋㅌㅍㅎ"
_JOINED = {
    "ㅗㅏ": "ㅘ", "ㅗㅐ": "ㅙ", "ㅗㅣ": "ㅚ", "ㅜㅓ": "ㅝ", "ㅜㅔ": "ㅞ", "ㅜㅣ": "ㅟ", "ㅡㅣ": "ㅢ",
    "ㄱㅅ": "ㄳ", "ㄴㅈ": "ㄵ", "ㄴㅎ": "ㄶ", "ㄹㄱ": "ㄺ", "ㄹㅁ": "ㄻ", "ㄹㅂ": "ㄼ", "ㄹㅅ": "ㄽ",
    "ㄹㅌ": "ㄾ", "ㄹㅍ": "ㄿ", "ㄹㅎ": "ㅀ", "ㅂㅅ": "ㅄ",
}  # fmt: skip
_PARTS = {joined: parts for parts, joined in _JOINED.items()}
_KEYS = dict(
    zip(
        "qwertyuiopasdfghjklzxcvbnmQWERTOP",
        "ㅂㅈㄷㄱㅅㅛㅕㅑㅐㅔㅁㄴㅇㄹㅎㅗㅓㅏㅣㅋㅌㅊㅍㅠㅜㅡㅃㅉㄸㄲㅆㅒㅖ",
        strict=True,
    )
)
_LETTERS = {jamo: letter for letter, jamo in _KEYS.items()}
_CONSONANTS, _SOUNDS = frozenset("ㄱㄲㄴㄷㄸㄹㅁㅂㅃㅅㅆㅇㅈㅉㅊㅋㅌㅍㅎ"), frozenset("ㅏㅐㅑㅒㅓㅔㅕㅖㅗㅛㅜㅠㅡㅣ")
_ALL_JAMO = "".join(_LETTERS)
_ALPHABET = "abcdefghijklmnopqrstuvwxyz"
_SYLLABLE = re.compile("[가-힣]")
_TYPED_SYLLABLES = re.compile("(?:[{0}][{1}]{{1,2}}[{0}]{{0,2}})+".format("".join(_CONSONANTS), "".join(_SOUNDS)))
"""Jamo of which nothing but syllables may come."""
_TWO_SOUNDS = "|".join(parts for parts in _JOINED if parts[0] in _SOUNDS)
_TWO_TAILS = "|".join(parts for parts in _JOINED if parts[0] in _CONSONANTS)
_ONE_TAIL = "".join(sorted(_CONSONANTS & set(_TAILS)))
_TYPED_SYLLABLE = re.compile(
    f"[{''.join(_CONSONANTS)}](?:{_TWO_SOUNDS}|[{''.join(_SOUNDS)}])"
    f"(?:(?:{_TWO_TAILS}|[{_ONE_TAIL}])(?![{''.join(_SOUNDS)}]))?"
)
"""A consonant that a vowel follows begins the next syllable."""


def is_syllables(text: str) -> bool:
    """Whether there is nothing but whole syllables."""
    return bool(text) and all("가" <= character <= "힣" for character in text)


def strokes(text: str) -> str:
    """Syllables and jamo → the jamo that are typed for them, one by one; other characters stay."""
    return "".join(map(_strokes_of, text))


def _strokes_of(character: str) -> str:
    code = ord(character) - 0xAC00
    if not 0 <= code < 11172:
        return _PARTS.get(character, character)
    jamo = _LEADS[code // 588], _VOWELS[code % 588 // 28], _TAILS[code % 28].strip()
    return "".join(_PARTS.get(one, one) for one in jamo)


def composed(jamo: str) -> str:
    """Jamo one by one → syllables, as an input method joins them; what joins with nothing stays a jamo."""
    return _TYPED_SYLLABLE.sub(lambda found: _syllable(found[0]), jamo)


@cache
def _syllable(typed: str) -> str:
    """The jamo of one syllable → that syllable."""
    vowel = typed[1:3] if typed[1:3] in _JOINED else typed[1]
    tail = typed[1 + len(vowel) :]
    code = (_LEADS.index(typed[0]) * 21 + _VOWELS.index(_JOINED.get(vowel, vowel))) * 28
    return chr(0xAC00 + code + (_TAILS.index(_JOINED.get(tail, tail)) if tail else 0))


def in_hangul(typed: str) -> str:
    """Latin letters → the Hangul that the same keys give: dusck is 연차."""
    return composed("".join(_KEYS.get(letter, _KEYS.get(letter.lower(), letter)) for letter in typed))


def in_latin(typed: str) -> str:
    """Hangul → the Latin letters that the same keys give: ㅗ디ㅣㅐ is hello."""
    return "".join(_LETTERS.get(jamo, jamo) for jamo in strokes(typed)).lower()


def initials(word: str) -> str:
    """The consonants that syllables begin with: 연차 is ㅇㅊ."""
    return "".join(_LEADS[(ord(one) - 0xAC00) // 588] if _SYLLABLE.match(one) else one for one in word)


def slips(word: str) -> Iterator[str]:
    """Words that one slip makes of this one: a jamo or letter missing, too many, another, or two swapped.

    Swaps first, then missing and extra ones: these are the most usual.
    """
    hangul = any("ㄱ" <= character <= "힣" for character in word)
    typed = strokes(word) if hangul else word
    for one in dict.fromkeys(_edits(typed, _ALL_JAMO if hangul else _ALPHABET)):
        if hangul and not _TYPED_SYLLABLES.fullmatch(one):  # most are not, and joining takes long
            continue
        made = composed(one) if hangul else one
        if made != word and (not hangul or is_syllables(made)):
            yield made


def _edits(typed: str, alphabet: str) -> Iterator[str]:
    for place in range(len(typed) - 1):
        yield typed[:place] + typed[place + 1] + typed[place] + typed[place + 2 :]
    for place in range(len(typed)):
        yield typed[:place] + typed[place + 1 :]
    for place in range(len(typed) + 1):
        for one in alphabet:
            yield typed[:place] + one + typed[place:]
    for place in range(len(typed)):
        for one in alphabet:
            yield typed[:place] + one + typed[place + 1 :]
