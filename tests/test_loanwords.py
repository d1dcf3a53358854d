"""English words in Hangul, by rule: most of what people write is among few spellings, and never costs much."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from kosearch.config import load
from kosearch.library import Index
from kosearch.records import Query
from kosearch.terms.loanwords import spellings

# None of these had a part in making the rules.
_WORDS = """
accordion 아코디언 alarm 알람 android 안드로이드 animation 애니메이션 antenna 안테나 balance 밸런스
banana 바나나 blanket 블랭킷 bonus 보너스 brand 브랜드 calendar 캘린더 camera 카메라 carbon 카본
catalog 카탈로그 center 센터 classic 클래식 coffee 커피 collection 컬렉션 comedy 코미디 computer 컴퓨터
concert 콘서트 container 컨테이너 contest 콘테스트 coupon 쿠폰 credit 크레딧 crystal 크리스털 digital 디지털
display 디스플레이 document 도큐먼트 drama 드라마 dynamic 다이내믹 elevator 엘리베이터 energy 에너지
festival 페스티벌 fiction 픽션 forum 포럼 gallery 갤러리 hammer 해머 helmet 헬멧 hotel 호텔 internet 인터넷
jacket 재킷 journal 저널 laser 레이저 lemon 레몬 license 라이선스 magazine 매거진 manual 매뉴얼 marketing 마케팅
medal 메달 member 멤버 mentor 멘토 model 모델 motor 모터 network 네트워크 notebook 노트북 online 온라인
partner 파트너 pattern 패턴 pension 펜션 piano 피아노 plastic 플라스틱 platform 플랫폼 poster 포스터
printer 프린터 project 프로젝트 radio 라디오 report 리포트 robot 로봇 sample 샘플 seminar 세미나 server 서버
signal 시그널 studio 스튜디오 system 시스템 technology 테크놀로지 tennis 테니스 ticket 티켓 traffic 트래픽
trend 트렌드 tunnel 터널 vitamin 비타민 volume 볼륨 workshop 워크숍 campaign 캠페인 captain 캡틴
chocolate 초콜릿 cushion 쿠션 dialog 다이얼로그 garage 개러지 guitar 기타 humor 유머 marathon 마라톤
orange 오렌지 package 패키지 quiz 퀴즈 recipe 레시피 sponge 스펀지
"""
WORDS = _WORDS.split()


def test_most_loanwords_are_among_the_spellings() -> None:
    pairs = list(zip(WORDS[::2], WORDS[1::2], strict=True))
    found = [hangul in spellings(word) for word, hangul in pairs]
    assert sum(found) >= 0.78 * len(pairs)


@pytest.mark.parametrize(
    "word", ["", "x", "qqqqq", "rhythm", "naïve", "ß", "aeiou" * 12, "strengths", "xylophones" * 5]
)
def test_any_word_has_few_spellings_and_soon(word: str) -> None:
    began = time.process_time()
    found = spellings(word)
    assert time.process_time() - began < 0.5
    assert len(found) <= 60
    assert all(len(one) > 1 and all("가" <= character <= "힣" for character in one) for one in found)


def test_a_word_that_no_passage_has_finds_its_hangul_and_one_that_stands_somewhere_does_not(
    tmp_path: Path, cache_dir: Path
) -> None:
    class NoModel:
        def embed_passages(self, texts: list[str], _progress: object = None) -> Any:
            return np.ones((len(texts), 384), np.float32)

    texts = {
        "a": "안드로이드 기기를 켠다.",
        "b": "마라톤 대회를 연다.",
        "c": "Tunnel 공사를 한다.",
        "d": "터널 점검을 한다.",
    }
    (tmp_path / "docs").mkdir()
    for name, text in texts.items():
        (tmp_path / "docs" / f"{name}.txt").write_text(text, encoding="utf-8")
    with Index(load({"index": str(tmp_path / "index"), "resident": "off"})) as index:
        vars(index)["embedder"] = NoModel()
        index.index(tmp_path / "docs")

        def found(question: str, **options: Any) -> list[str]:
            hits = index.answer(Query(question, mode="lexical", **options)).hits
            return [Path(hit.path).stem for hit in hits]

        assert found("android phones") == found("Android를 켜는 법")[:1] == ["a"]
        assert found("android phones", exact=True) == []
        assert found("tunnel") == ["c"]
