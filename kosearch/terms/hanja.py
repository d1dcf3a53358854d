"""Hanja → Hangul as it is read, one syllable for each character: 商法 is 상법.

The readings are Unicode's (kHangul of the Unihan database; of several, the one that schools teach). Sounds change at
a word's beginning as the spelling rules have it (두음법칙): 勞動 is 노동.
"""

from __future__ import annotations

import re
from functools import cache
from importlib import resources

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
_LEADS, _VOWELS = "ㄱㄲㄴㄷㄸㄹㅁㅂㅃㅅㅆㅇㅈㅉㅊㅋㅌㅍㅎ", "ㅏㅐㅑㅒㅓㅔㅕㅖㅗㅘㅙㅚㅛㅜㅝㅞㅟㅠㅡㅢㅣ"
_NIEUN = 4
"""The place of ㄴ among the consonants that close a syllable, 0 being none."""


def has_hanja(text: str) -> bool:
    """Whether there is a character to be read."""
    return _RUN.search(text) is not None


def is_hanja(text: str) -> bool:
    """Whether there is nothing else: such a word is a part of one that is read as Hangul."""
    return _RUN.fullmatch(text) is not None


def in_hangul(text: str) -> str:
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
