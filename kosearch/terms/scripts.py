"""Hangul and what else its words are written in: the jamo and Latin letters of a keyboard, and Hanja.

Hangul is typed jamo by jamo on the two-set keyboard: what a slip of the hand makes, and how to undo it. Hanja become
Hangul as they are read, one syllable for each character: 商法 is 상법. The readings are Unicode's (kHangul of the
Unihan database; of several, the one that schools teach). Sounds change at a word's beginning as the spelling rules have
it (두음법칙): 勞動 is 노동.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from functools import cache
from importlib import resources

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

HANJA = "\u3400-\u9fff\uf900-\ufaff\U00020000-\U0003ffff"
_RUN = re.compile(f"[{HANJA}]+")
_KANA = re.compile("[\u3041-\u30fa\u30fc-\u30ff]")

_EXCEPTIONS = (
    "音樂 음악 樂器 악기 樂譜 악보 聲樂 성악 器樂 기악 國樂 국악 變更 변경 更迭 경질 敗北 패배 憎惡 증오 "
    "嫌惡 혐오 降伏 항복 投降 투항 相殺 상쇄 殺到 쇄도 遊說 유세 省略 생략 標識 표지 容易 용이 簡易 간이 "
    "難易 난이 一切 일체 自轉車 자전거 車馬 거마 復活 부활 復興 부흥 統率 통솔 率先 솔선 輕率 경솔 宅內 댁내 "
    "便所 변소 小便 소변 洞察 통찰 狀態 상태 狀況 상황 現狀 현상 症狀 증상 形狀 형상 原狀 원상 開拓 개척 "
    "干拓 간척 暴惡 포악 索引 색인 金浦 김포 金海 김해 行列 행렬 六月 유월 十月 시월 "
)
_OTHERWISE = dict(zip(_EXCEPTIONS.split()[::2], _EXCEPTIONS.split()[1::2], strict=True))
"""Words in which a character is read in its less common way."""

_LOST = frozenset("ㅑㅕㅖㅛㅠㅣ")
_NIEUN = 4
"""The place of ㄴ among the consonants that close a syllable, 0 being none."""


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


def _whole_syllables(jamo: str) -> str:
    """The same where nothing but syllables comes of them, else nothing."""
    if not _TYPED_SYLLABLES.fullmatch(jamo):  # most are none, and joining takes long
        return ""
    parts = _TYPED_SYLLABLE.findall(jamo)
    return "".join(map(_syllable, parts)) if sum(map(len, parts)) == len(jamo) else ""


@cache
def _syllable(typed: str) -> str:
    """The jamo of one syllable → that syllable."""
    vowel = typed[1:3] if typed[1:3] in _JOINED else typed[1]
    tail = typed[1 + len(vowel) :]
    code = (_LEADS.index(typed[0]) * 21 + _VOWELS.index(_JOINED.get(vowel, vowel))) * 28
    return chr(0xAC00 + code + (_TAILS.index(_JOINED.get(tail, tail)) if tail else 0))


def typed_as_hangul(typed: str) -> str:
    """Latin letters → the Hangul that the same keys give: dusck is 연차."""
    return composed("".join(_KEYS.get(letter, _KEYS.get(letter.lower(), letter)) for letter in typed))


def typed_as_latin(typed: str) -> str:
    """Hangul → the Latin letters that the same keys give: ㅗ디ㅣㅐ is hello."""
    return "".join(_LETTERS.get(jamo, jamo) for jamo in strokes(typed)).lower()


def initials(word: str) -> str:
    """The consonants that syllables begin with: 연차 is ㅇㅊ."""
    return "".join(_LEADS[(ord(one) - 0xAC00) // 588] if _SYLLABLE.match(one) else one for one in word)


def exchanges(word: str) -> Iterator[str]:
    """Words that this one becomes when two neighbouring jamo or letters change places: the most usual slip."""
    return _made(word, lambda typed, _: _exchanged(typed))


def slips(word: str) -> Iterator[str]:
    """Words that one slip makes of this one: a jamo or letter missing, too many, another, or two exchanged.

    Exchanges first, then missing and extra ones: these are the most usual.
    """
    return _made(word, _edited)


def _made(word: str, edits: Callable[[str, str], Iterator[str]]) -> Iterator[str]:
    """Whole words, made by edits of what was typed with the letters that there are."""
    hangul = any("ㄱ" <= character <= "힣" for character in word)
    typed = strokes(word) if hangul else word
    for one in dict.fromkeys(edits(typed, _ALL_JAMO if hangul else _ALPHABET)):
        made = _whole_syllables(one) if hangul else one
        if made and made != word:
            yield made


def _exchanged(typed: str) -> Iterator[str]:
    for place in range(len(typed) - 1):
        yield typed[:place] + typed[place + 1] + typed[place] + typed[place + 2 :]


def _edited(typed: str, alphabet: str) -> Iterator[str]:
    yield from _exchanged(typed)
    for place in range(len(typed)):
        yield typed[:place] + typed[place + 1 :]
    for place in range(len(typed) + 1):
        for one in alphabet:
            yield typed[:place] + one + typed[place:]
    for place in range(len(typed)):
        for one in alphabet:
            yield typed[:place] + one + typed[place + 1 :]


def has_hanja(text: str) -> bool:
    """Whether there is a character to be read."""
    return _RUN.search(text) is not None


def is_hanja(text: str) -> bool:
    """Whether there is nothing else: such a word is a part of one that is read as Hangul."""
    return _RUN.fullmatch(text) is not None


def read_hanja(text: str) -> str:
    """The text with its Hanja as they are read, and as long as before.

    Characters without a Korean reading stay, and so does a text with kana: that is Japanese.
    """
    if _KANA.search(text):
        return text
    return _RUN.sub(lambda run: _read(run.group()), text)


def _read(run: str) -> str:
    known = _readings()
    syllables = [known.get(character, character) for character in run]
    for length in (2, 3):
        for start in range(len(run) - length + 1):
            if other := _OTHERWISE.get(run[start : start + length]):
                syllables[start : start + length] = other
    for place, syllable in enumerate(syllables):
        if not place:
            syllables[place] = _at_the_beginning(syllable)
        elif syllable in "률렬" and _ends_open(syllables[place - 1]):
            syllables[place] = "율" if syllable == "률" else "열"  # 比率 비율, 分裂 분열
    return "".join(syllables)


def _at_the_beginning(syllable: str) -> str:
    """ㄹ and ㄴ at the beginning of a word: 녀 is 여, 량 is 양, 로 is 노."""
    code = ord(syllable) - 0xAC00
    if not 0 <= code < 11172:
        return syllable
    lead, vowel, tail = _LEADS[code // 588], _VOWELS[code % 588 // 28], code % 28
    if lead in "ㄴㄹ" and vowel in _LOST:
        lead = "ㅇ"
    elif lead == "ㄹ":
        lead = "ㄴ"
    return chr(0xAC00 + _LEADS.index(lead) * 588 + _VOWELS.index(vowel) * 28 + tail)


def _ends_open(syllable: str) -> bool:
    """Whether it ends with a vowel or ㄴ."""
    code = ord(syllable) - 0xAC00
    return 0 <= code < 11172 and code % 28 in (0, _NIEUN)


@cache
def _readings() -> dict[str, str]:
    """Character → syllable. The table has a line a reading: the syllable, and the characters that are read so."""
    table = (resources.files("kosearch.terms") / "hanja.txt").read_text(encoding="utf-8")
    return {character: line[0] for line in table.splitlines() for character in line[1:]}
