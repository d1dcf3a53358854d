"""Words that ask and name nothing: 무엇, 어떻게, 알려 줘, what, how. A question's lexical side passes them over.

A passage that has them is no better answer: in a long question they outvote the words that name something. They stay
in passages and in what is quoted or demanded, and a question of nothing else keeps them. Measured in
`tests/benchmarks/fusion.md`: a longer Korean list (의미, 내용, 필요, 받다 …) loses.
"""

from __future__ import annotations

_INTERROGATIVES = "무엇 뭐 무슨 어느 어떤 어떻게 어떻다 어떠하다 어찌 왜 누구 언제 어디 얼마"
_REQUESTS = "알리다 가르치다 설명 설명하다 말하다 찾다 알다 궁금 궁금하다"
_AROUND = "방법 경우 대하다 관하다 하다 되다 있다"

KOREAN = frozenset(f"{_INTERROGATIVES} {_REQUESTS} {_AROUND}".split())
"""Dictionary forms: verbs and adjectives with their 다."""

_ENGLISH = """
what which who whom whose when where why how
is are was were be been am do does did done can could should would will shall might must has have had
the a an this that these those there some any such other
of in on at to for from by with and or if as into about than then so not
i you he she it we they me him her us them my your his its our their
tell explain describe find show know please
"""

ENGLISH = frozenset(_ENGLISH.split())
"""Passed over only in questions without Hangul, and not in capitals: IT, US and WHO are names."""
