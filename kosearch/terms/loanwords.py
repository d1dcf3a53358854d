"""How an English word may be written in Hangul, by rule: gateway → 게이트웨이, and much that nobody writes.

Letters become sounds, each with what else it may be, and sounds become syllables as the rules for loanwords have it
(외래어 표기법): a consonant without a vowel closes a syllable or has ㅡ. Which of it is a word an index tells.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import lru_cache
from itertools import islice, product

_LEADS, _VOWELS = "ㄱㄲㄴㄷㄸㄹㅁㅂㅃㅅㅆㅇㅈㅉㅊㅋㅌㅍㅎ", "ㅏㅐㅑㅒㅓㅔㅕㅖㅗㅘㅙㅚㅛㅜㅝㅞㅟㅠㅡㅢㅣ"
_TAILS = " ㄱㄲㄳㄴㄵㄶㄷㄹㄺㄻㄼㄽㄾㄿㅀㅁㅂㅄㅅㅆㅇㅈㅊㅋㅌㅍㅎ"
LEAST = 5
"""Letters of a word that is tried: shorter ones sound like too many Korean words."""
_MOST = 60
"""Spellings of one word, the plainest first."""
_TRIED = 3000

_ENDINGS = {
    "tion": "션", "sion": "션", "ture": "처", "dge": "지", "age": "이지", "cle": "클", "ble": "블", "ple": "플",
    "tle": "틀", "dle": "들", "gle": "글", "ism": "이즘",
}  # fmt: skip
_VOWEL_SOUNDS = (
    "eigh:ㅔㅣ igh:ㅏㅣ eau:ㅗ ee:ㅣ ea:ㅣ/ㅔ oo:ㅜ ou:ㅏㅜ/ㅓ/ㅜ ow:ㅏㅜ/ㅗ oa:ㅗ oi:ㅗㅣ oy:ㅗㅣ ai:ㅔㅣ "
    "ay:ㅔㅣ ey:ㅣ/ㅔㅣ au:ㅗ aw:ㅗ ew:ㅠ/ㅜ eu:ㅠ ie:ㅣ ue:ㅠ/ㅜ ui:ㅜㅣ io:ㅣㅗ/ㅣㅓ ia:ㅣㅏ/ㅣㅓ eo:ㅣㅗ "
    "ar:ㅏ/ㅓ er:ㅓ ir:ㅓ or:ㅗ/ㅓ ur:ㅓ a:ㅏ/ㅐ/ㅔㅣ/ㅓ e:ㅔ/ㅣ/ㅓ/ㅡ i:ㅣ/ㅏㅣ o:ㅗ/ㅏ/ㅓ u:ㅓ/ㅜ/ㅠ "
    "y:ㅣ/ㅏㅣ "
)
_CONSONANT_SOUNDS = (
    "sch:ㅅㅋ tch:ㅊ sh:S ch:ㅊ/ㅋ ph:ㅍ th:ㅅ/ㄷ ck:ㅋ kn:ㄴ wr:ㄹ qu:ㅋW wh:W ng:N nk:Nㅋ b:ㅂ c:ㅋ d:ㄷ f:ㅍ "
    "g:ㄱ h:ㅎ j:ㅈ k:ㅋ l:ㄹ m:ㅁ n:ㄴ p:ㅍ r:ㄹ s:ㅅ t:ㅌ v:ㅂ w:W x:X z:ㅈ "
)
_SOUNDS = {
    letters: heard.split("/")
    for letters, heard in (one.split(":") for one in (_VOWEL_SOUNDS + _CONSONANT_SOUNDS).split())
}
"""Letters → what they may sound like, the likeliest first: jamo, and S for sh, W for w, N for ng, X for ks; Y is y."""
_GRAPHEMES = sorted(_SOUNDS, key=len, reverse=True)
_GLIDES = {
    "W": dict(zip("ㅏㅐㅔㅣㅓㅗㅜ", "ㅘㅙㅞㅟㅝㅝㅜ", strict=True)),
    "Y": dict(zip("ㅏㅐㅓㅔㅗㅜㅣ", "ㅑㅒㅕㅖㅛㅠㅣ", strict=True)),
}
_GLIDES["S"] = _GLIDES["Y"]
_CLOSING = dict(zip("ㅋㅌㅍㄱㅂㄷㅁㄴㄹN", "ㄱㅅㅂㄱㅂㅅㅁㄴㄹㅇ", strict=True))
_Syllables = tuple[tuple[str, str, str], ...]
"""Lead, vowel and tail of each."""


@lru_cache(maxsize=1024)
def spellings(word: str) -> tuple[str, ...]:
    """What a word of Latin letters may be in Hangul, of two syllables at least."""
    alternatives, ending = _sounds(word)
    if not alternatives:
        return ()
    ranked = sorted(islice(product(*(range(len(one)) for one in alternatives)), _TRIED), key=sum)
    found: dict[str, None] = {}
    for choice in ranked:
        sounds = "".join(one[rank] for one, rank in zip(alternatives, choice, strict=True))
        found.update(dict.fromkeys(text for each in _syllables(sounds) if len(text := each + ending) > 1))
        if len(found) >= _MOST:
            break
    return tuple(found)[:_MOST]


def _sounds(word: str) -> tuple[list[list[str]], str]:
    """What each letter or group may sound like, and syllables at the end that are always the same."""
    word = re.sub(r"([b-df-hj-np-tv-z])\1", r"\1", word.lower())
    found: list[list[str]] = []
    place = 0
    while place < len(word):
        rest = word[place:]
        if place and rest in _ENDINGS:
            return found, _ENDINGS[rest]
        if rest == "e" and found and word[place - 1] not in "aeiou":  # is not heard
            return found, ""
        letters = next((one for one in _GRAPHEMES if rest.startswith(one)), "")
        if not letters:
            return [], ""
        if len(letters) == 2 and letters[1] == "r" and letters[0] in "aeiou" and rest[2:3] in tuple("aeiouy"):
            letters = letters[0]  # r begins the next syllable
        found.append(_heard(letters, rest[len(letters) : len(letters) + 1], first=place == 0))
        place += len(letters)
    return found, ""


def _heard(letters: str, following: str, *, first: bool) -> list[str]:
    """What letters may sound like before the next one."""
    soft = following in tuple("eiy")
    if letters == "c" and soft:
        return ["ㅅ"]
    if letters == "g" and soft:
        return ["ㅈ", "ㄱ"]
    if letters == "s" and not first and (not following or following in "aeiou"):
        return ["ㅅ", "ㅈ"]
    if letters == "y" and following in tuple("aeiou"):
        return ["Y"]
    return _SOUNDS[letters]


def _syllables(sounds: str) -> Iterator[str]:
    variants: list[_Syllables] = [()]
    place = 0
    while place < len(sounds):
        sound = sounds[place]
        vowel = sounds[place + 1] if sounds[place + 1 : place + 2] in tuple(_VOWELS) else ""
        variants = [longer for one in variants for longer in _with(one, sound, vowel)][:64]
        place += 2 if vowel and sound not in _VOWELS else 1
    for one in variants:
        yield "".join(
            chr(0xAC00 + (_LEADS.index(lead) * 21 + _VOWELS.index(vowel)) * 28 + _TAILS.index(tail or " "))
            for lead, vowel, tail in one
        )


def _with(before: _Syllables, sound: str, vowel: str) -> Iterator[_Syllables]:
    """Syllables and one more sound, with the vowel behind it if there is one."""
    is_open = bool(before) and not before[-1][2]
    if sound in _VOWELS:
        yield (*before, ("ㅇ", sound, ""))
    elif sound in _GLIDES:
        lead = "ㅅ" if sound == "S" else "ㅇ"
        yield (*before, (lead, _GLIDES[sound].get(vowel, vowel) or ("ㅣ" if sound == "S" else "ㅜ"), ""))
    elif sound == "X":
        if is_open:
            yield (*_closed(before, "ㄱ"), ("ㅅ", vowel or "ㅡ", ""))
    elif sound == "N":
        if is_open:
            yield (*_closed(before, "ㅇ"), *([("ㄱ", vowel, "")] if vowel else []))
    elif vowel:
        if sound == "ㄹ" and is_open:
            yield (*_closed(before, "ㄹ"), ("ㄹ", vowel, ""))
        yield (*before, (sound, vowel, ""))
    else:
        if sound in _CLOSING and is_open and (sound in "ㅁㄴㄹ" or before[-1][1] != "ㅡ"):
            yield _closed(before, _CLOSING[sound])
        if sound == "ㄹ" and before:
            yield before  # r before a consonant is not heard
        if sound not in "ㅁㄴ" or not is_open:
            yield (*before, (sound, "ㅣ" if sound in "ㅊㅈ" else "ㅡ", ""))


def _closed(before: _Syllables, tail: str) -> _Syllables:
    lead, vowel, _ = before[-1]
    return (*before[:-1], (lead, vowel, tail))
