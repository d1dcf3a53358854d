"""Words of one meaning: the table agrees with how text is read, and a word of it never outranks the one asked for."""

from __future__ import annotations

import random
import re
from collections import Counter
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from kosearch.config import load
from kosearch.library import Index
from kosearch.records import Query
from kosearch.terms import MORPHEMES, Analyzer
from kosearch.terms.dictionaries import SAME, WEIGHTS, doublets

GROUPS = list(doublets())


@pytest.fixture(scope="module")
def analyzer() -> Analyzer:
    return Analyzer()


def written(parts: tuple[str, ...]) -> str:
    return "".join(parts)


def test_the_table_has_each_word_as_it_is_read(analyzer: Analyzer) -> None:
    for group in GROUPS:
        assert len(group) > 1
        read = {tuple(analyzer.question(written(parts)).terms[MORPHEMES]) for parts, _ in group}
        assert len(read) == len(group)
        for parts, weight in group:
            assert weight in WEIGHTS.values()
            if re.search("[가-힣]", written(parts)):
                assert analyzer.passage_terms(written(parts), ())[MORPHEMES] == list(parts)
            else:
                assert re.fullmatch("[A-Za-z]+", written(parts))


def test_what_else_might_be_said(analyzer: Analyzer) -> None:
    assert analyzer.question("비밀번호를 바꾸려면").others[("비밀", "번호")].keys() == {
        ("password",),
        ("패스워드",),
        ("암호",),
    }
    assert ("게이트웨이",) in analyzer.question("API gateway").others[("gateway",)]
    assert not analyzer.question("번호가 비밀이다").others.get(("비밀", "번호"))
    assert not analyzer.question("비밀번호", exact=True).others


def test_a_word_of_the_table_inside_a_compound_is_that_word(analyzer: Analyzer) -> None:
    """Kiwi takes it for several there; syllables that only happen to make one stay what they are."""
    for compound, word, other in (
        ("통합프레임워크", "프레임워크", "framework"),
        ("결제게이트웨이", "게이트웨이", "gateway"),
        ("게임스크린샷", "스크린샷", "screenshot"),
    ):
        others = analyzer.question(compound).others
        assert {"".join(asked): list(each) for asked, each in others.items()}[word][0] == (other,)
    for question in ("보충식품비 자부담", "희망사다리Ⅰ유형 장학금"):
        assert all(len(asked) == 1 for asked in analyzer.question(question).others)


@pytest.fixture(scope="module")
def pairs(
    tmp_path_factory: pytest.TempPathFactory, analyzer: Analyzer
) -> Iterator[tuple[Index, list[tuple[str, str]]]]:
    """An index of a document for each word of some groups, and the pairs (asked, other) that it has."""
    place = tmp_path_factory.mktemp("doublets")
    groups = random.Random(15).sample(GROUPS, 60)
    words = sorted({written(parts) for group in groups for parts, _ in group})
    (place / "docs").mkdir()
    for number, word in enumerate(words):
        (place / "docs" / f"{number:03}.txt").write_text(f"여기에는 {word} 하나만 있다.", encoding="utf-8")

    class NoModel:
        def embed_passages(self, texts: list[str], _progress: object = None) -> Any:
            return np.ones((len(texts), 384), np.float32)

    index = Index(load({"index": str(place / "index"), "resident": "off"}))
    vars(index)["embedder"] = NoModel()
    index.index(place / "docs")
    terms_of = {one: tuple(index.analyzer.question(one).terms[MORPHEMES]) for one in words}
    alike = Counter(terms_of.values())  # host and hosting have one stem: neither can come before the other
    parts = [part for each in terms_of.values() for part in each]
    with index.store.snapshot() as snapshot:
        known = snapshot.statistics({MORPHEMES: parts}).frequencies[MORPHEMES]
    drawn = {one for group in groups for one, _ in group if alike[terms_of[written(one)]] == 1}
    as_read = {one for one in drawn if all(known.get(part, 1) for part in one)}
    assert len(as_read) > 100  # some few are read otherwise amid a sentence
    both = [(one, other) for group in groups for one, w in group for other, v in group if min(w, v) == SAME]
    yield index, [(written(one), written(other)) for one, other in both if {one, other} <= as_read]
    index.close()


def test_the_word_itself_comes_first_and_the_others_behind_it(pairs: tuple[Index, list[tuple[str, str]]]) -> None:
    index, asked = pairs
    found: dict[str, list[str]] = {}
    for word in dict.fromkeys(one for one, _ in asked):
        hits = index.answer(Query(word, mode="lexical", k=50)).hits
        found[word] = [hit.text.removeprefix("여기에는 ").removesuffix(" 하나만 있다.") for hit in hits]
    for word, other in asked:
        assert found[word][0] == word
        assert other in found[word]
