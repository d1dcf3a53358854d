"""What questions claim, and what passages say to it."""

from __future__ import annotations

import pytest

from kosearch.searching.claims import AGREES, DENIES, SILENT, claims

ALLOWED = [
    "반려동물의 출입을 허용한다.",
    "반려동물 출입이 가능합니다.",
    "반려동물이 들어올 수 있다.",
    "출입을 금지하지 않는다.",
]
FORBIDDEN = [
    "반려동물의 출입을 허용하지 않는다.",
    "반려동물 출입을 허용하지 아니한다.",
    "반려동물 출입은 허용 안 됨.",
    "반려동물 출입 금지.",
    "반려동물은 들어올 수 없다.",
    "반려동물을 데려오면 안 됩니다.",
    "반려동물 출입 허용 불가.",
]
CONTRACT = "임대인 김철수와 임차인 박영희는 계약을 맺는다."
SWAPPED = "임대인 박영희와 임차인 김철수는 계약을 맺는다."
DEFINED = '한빛전자 주식회사(이하 "갑"이라 한다)와 푸른물산 주식회사(이하 "을"이라 한다)는 계약을 맺는다.'


@pytest.mark.parametrize(
    "question", ["반려동물 출입 허용", "반려동물 출입이 가능한 곳", "반려동물 출입을 허용하는 규정"]
)
def test_what_is_allowed_is_not_what_is_forbidden(question: str) -> None:
    made = claims(question)
    assert made is not None
    assert {one: made.judged(one) for one in ALLOWED} == dict.fromkeys(ALLOWED, AGREES)
    assert {one: made.judged(one) for one in FORBIDDEN} == dict.fromkeys(FORBIDDEN, DENIES)
    assert made.judged("반려동물은 목줄을 맨다.") == SILENT


@pytest.mark.parametrize(
    "question", ["반려동물 출입 금지", "반려동물 출입 불가", "반려동물 출입을 허용하지 않는 곳", "반려동물 미허용"]
)
def test_and_the_other_way_round(question: str) -> None:
    made = claims(question)
    assert made is not None
    assert {made.judged(one) for one in FORBIDDEN} == {AGREES}
    assert {made.judged(one) for one in ALLOWED} == {DENIES}


@pytest.mark.parametrize(
    ("question", "agrees", "denies"),
    [
        ("면세 대상 주택 임대 포함", "면세 대상에는 주택 임대가 포함된다.", "면세 대상에서 주택 임대는 제외된다."),
        ("주말 미개방", "주말에 개방하지 않는다.", "주말에 개방한다."),
        ("smoking not allowed", "Smoking is not allowed here.", "Smoking is allowed here."),
        (
            "smoking permitted in the garden",
            "Smoking is allowed in the garden.",
            "Smoking is prohibited in the garden.",
        ),
        ("임대인이 박영희인 계약", SWAPPED, CONTRACT),
        ("수신 부산지사", "발신: 서울지사, 수신: 부산지사", "발신: 부산지사, 수신: 서울지사"),
        ("박영희가 임차인인 계약", CONTRACT, SWAPPED),
        ("임차인 김철수", SWAPPED, CONTRACT),
        ("을이 푸른물산인 계약", DEFINED, "갑: 푸른물산 주식회사\n을: 한빛전자 주식회사"),
        ("갑 한빛전자 을 푸른물산", DEFINED, "갑: 푸른물산 주식회사\n을: 한빛전자 주식회사"),
        ("부가가치세 미포함", "부가가치세가 포함되어 있지 않습니다.", "부가가치세가 포함되어 있습니다."),
        ("환불이 안 되는 상품", "이 상품은 환불이 불가합니다.", "이 상품은 환불이 가능합니다."),
        ("환불 가능", "환불 안내\n이 상품은 환불할 수 있다.", "환불 안내\n이 상품은 환불이 안 됩니다."),
        ("받는 사람 박서준", "보낸 사람: 최지우\n받는 사람: 박서준", "보낸 사람: 박서준\n받는 사람: 최지우"),
        ("보낸사람 박서준", "보낸 사람: 박서준\n받는 사람: 최지우", "보낸 사람: 최지우\n받는 사람: 박서준"),
        ("인수자 정우성", "인계자: 이정재\n인수자: 정우성", "인계자: 정우성\n인수자: 이정재"),
        ("공급받는자 한빛", "공급자: 푸른\n공급받는자: 한빛", "공급자: 한빛\n공급받는자: 푸른"),
        (
            "buyer is Acme",
            "Between the seller, Beta, and the buyer, Acme.",
            "Between the seller, Acme, and the buyer, Beta.",
        ),
    ],
)
def test_opposites_and_parties(question: str, agrees: str, denies: str) -> None:
    made = claims(question)
    assert made is not None
    assert (made.judged(agrees), made.judged(denies)) == (AGREES, DENIES)


@pytest.mark.parametrize(
    "question",
    [
        "반려동물 출입이 가능한가요?",
        "환불할 수 있나요",
        "출입 허용 여부",
        "is smoking allowed",
        "연차 휴가 이월",
        "허가증 발급 서류",
    ],
)
def test_what_only_asks_claims_nothing(question: str) -> None:
    assert claims(question) is None


def test_what_goes_with_a_role_is_not_denied_by_what_goes_with_none() -> None:
    made = claims("임대인 의무")
    assert made is not None
    assert made.judged("임대인은 물건을 고칠 의무가 있다.") == SILENT
