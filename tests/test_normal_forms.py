"""What is written in many ways has one form, and what only looks alike has not."""

from __future__ import annotations

import string
from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kosearch.terms import clean
from kosearch.terms.normal_forms import asked_forms, normal_forms, number
from kosearch.terms.scripts import read_hanja

ALIKE = [
    "2024년 3월 5일|2024.3.5|2024. 3. 5.|2024-03-05|2024/3/5|20240305|240305|'24.3.5|’24. 3. 5.|24.03.05|24년 3월 5일",
    "2024-03-05|5 March 2024|March 5, 2024|이천이십사년 삼월 오일|2024-03-05T09:00|시행일: 2024. 3. 5.|240305 회의록",
    "2024-03-05|20240305_회의록|240305_회의록|회의록(2024.03.05)",
    "2023_11_07|결재_2023_11_07_최종|23_11_07|2023년 11월 7일|7-Nov-2023|7th of November 2023|2023年 11月 7日|23.11.7",
    "二千二十四年三月五日|2024년 3월 5일",
    "2024-03-05|05-MAR-2024|5 March, 2024|2024 Mar 5|2024-Mar-05|3/5/2024|2024년 삼월 5일|二〇二四年 三月 五日",
    "2024-12-25|25/12/2024|12/25/2024",
    "2024년 3월|2024-03|2024/3|2024. 3.|'24.3월|2024.3월|2024. 3월|202403|회의록_202403.txt",
    "2024년 1분기|24년 1분기|2024 1분기|'24.1Q|1Q 2024|2024 Q1|Q1 2024|2024년 1/4분기|2024년 일사분기|1Q24",
    "3분기|Q3|3Q|3/4분기|Q3매출현황.txt",
    "2024년 상반기|24년 상반기|'24년 상반기|2024 상반기",
    "3월 5일|3월5일|삼월 오일|March 5|5 March|5th of March|三月 五日",
    "3만원|30,000원|삼만원|30000원|3만 원|₩30,000|삼만 원|금 삼만원정|KRW 30,000|30,000원을|₩30,000이다",
    "30,000원|KRW30,000|30,000won|30,000 won",
    "貳百萬圓|200만원|2,000,000원",
    "$1.2 million|120만 달러|$1.2M|1,200,000 dollars",
    "1,234.56|1234.56",
    "$1,200|1,200달러|US$1,200이며|천이백 달러|1200 dollars",
    "€30|30유로|30 euros|€30를",
    "1만3천원|13,000원|1만 3천 원|만삼천원|13000원",
    "3억 2천만원|320,000,000원|3억2,000만원|삼억 이천만원|3.2억원",
    "1억 2천만원|1억 2천|1.2억|120,000,000",
    "1조 5천억원|1.5조원|1조5000억 원|일조오천억원",
    "$220|220달러|USD 220|220 dollars",
    "30,000|30000|3만",
    "KS X 1001|KSX1001|KS-X-1001",
    "AB–1234|AB‐1234|AB1234",
    "AB-1234|AB1234|ab 1234|AB_1234|ab1234|품번 AB-1234의",
    "ISO-9001|ISO 9001|iso9001",
    "IMG_2034|img2034.txt",
    "제12조|12조|제 12 조|제십이조|Article 12|제12조에 따라",
    "제12조의2|제 12조의 2|제십이조의2|제십이조의이|제12條의2",
    "제1조제2항|제1조 제2항|1조 2항|제일조 제이항",
    "제12조|第十二條|§12|제十二조",
    "제51조|오십일조|오십일조에|五十一條|51조",
    "제12조의2|십이조의이|십이조의2",
    "제3조제2항|삼조 이항|삼조 제이항",
    "제17호 서식|십칠호 서식",
    "제13장|십삼장",
    "1588-1234|15881234|1588 1234|1588.1234|1588-1234번으로",
    "110-234-567890|110234567890|계좌110-234-567890으로",
    "900101-1234567|9001011234567이며|900101-1234567이며",
    "v2.3.1|V2.3.1|2.3.1|버전 2.3.1|ver 2.3.1|Ver.2.3.1|version 2.3.1|v.2.3.1|ReleaseNotes-v2.3.1.md|2.3.1버전",
    "v2|ver2|버전 2|version 2|보고서_v2",
    "제2장|제Ⅱ장|제II장",
    "제3조제2항|Article 3(2)|Article 3, paragraph 2",
    "별지 제3호서식|별지 3호 서식|3호서식",
    "02-123-4567|82-2-123-4567|(+82)2-123-4567|02 - 123 - 4567",
    "02-123-4567|02–123–4567|Tel.02-123-4567|(02) 123-4567|+82-2-123-4567|+82 2 123 4567|02 123 4567",
    "010-1234-5678|+82 10-1234-5678|01012345678|+82-(0)10-1234-5678|010.1234.5678",
    "123-45-67890|1234567890",
    "½|2분의 1|이분의 일|1/2",
    "4분의 1|¼|1/4|사분의 일",
    "3.5%|3.5퍼센트|3.5 %|3.50%|3.5프로|3.5 percent",
    "0.5%p|0.5퍼센트포인트|0.5%포인트",
    "10pt|10포인트|10 pt",
    "-18℃|영하 18도|-18도|-18°C|영하 18℃",
    "2℃|2도|2 ℃|2~8℃",
    "오후 3시 30분|15:30|15시 30분|오후 3시 반|3:30 PM|오후 세시 반",
    "15:30|15:30:00|오후 세 시 삼십 분|하오 3시 30분",
    "23:00|밤 11시|오후 11시",
    "06:30|아침 6시 반|새벽 여섯 시 반",
    "18:00|저녁 6시",
    "12:00|정오|낮 12시|noon|정오까지",
    "24:00|자정|0시|밤 12시|midnight|자정부터",
    "오후 2시|14시|14:00|2pm|2 PM|PM 2:00|오후 두 시",
    "3km|3킬로미터|3 km|3KM|3 KM",
    "80kg|80킬로그램|80 KG|팔십 킬로그램",
    "85㎡|85제곱미터|85 m²|85 ㎡|85 m2",
    "85㎥|85세제곱미터|85 m³",
    "220V|220볼트|220 V",
    "16GB|16기가|16 GB|16기가바이트|16gb",
    "25℃|25ºC|25˚C",
    "-5%|마이너스 5%|-5퍼센트",
    "5인치|5 inches",
    "Q-124|Q124|q 124",
    "2024. 3. 20.|2024. 3. 17.(일) ~ 3. 20.(수)|2024.3.17.~20.|2024년 3월 17일부터 20일까지|2024-03-17 ~ 03-20",
    "2025-01-03|2024. 12. 30.(월) ~ 1. 3.(금)",
    "3월 20일|3월 17일~20일|3. 17.(일)~3. 20.(수)",
    "3월 5일|3/5(화)|3. 5.(화)|3.5(화)|3/5(화요일)",
    "4월|2024. 4. 15.|견적서_240415|4월 견적서|2024-04",
    "별표 1|[별표1]|별표1(제12조 관련)|별표 제1",
    "별표 1의2|별표1의2|(별표 1의 2)",
    "백만불|100만 달러|1,000,000불|백만 불",
    "십만 유로|100,000유로",
]
APART = [
    ("2024. 3. 5.", "2024. 5. 3."),
    ("2024.3.5", "버전 2024.3.5"),
    ("2024.3.5", "PyCharm 2024.3.5"),
    ("2024.3.5", "2024.3.5.1"),
    ("2024-03-05", "2024-03-15"),
    ("1-2-3", "123"),
    ("3만원", "300,000원"),
    ("3만원", "3만큼"),
    ("45,000이다", "45"),
    ("30,000원", "3,000원"),
    ("2.8%", "2,8%"),
    ("AB-1234", "AB-1243"),
    ("AB-1234", "1,234"),
    ("제12조", "제12조의2"),
    ("제12조", "12조 원"),
    ("제51조", "오십일조 원"),
    ("제11조", "십일조 헌금"),
    ("제9조", "구조 조정"),
    ("제12조", "십이조각"),
    ("제4항", "제3조 사항"),
    ("제100호", "백호"),
    ("제5조의2", "제5조의 이유"),
    ("제1조", "1조 5천억"),
    ("제3조 2억원", "3조 2억원"),
    ("2024. 3. 5.", "v24.3.5"),
    ("한 시", "한시적 조치"),
    ("3시", "3 amps"),
    ("1억 2천 명", "1억 2천만 명"),
    ("제12조", "제21조"),
    ("-18℃", "18℃"),
    ("10-18℃", "-18℃"),
    ("1/2", "2/4"),
    ("3시", "3시간"),
    ("2024-03-05", "240305원"),
    ("이사 명단", "24명"),
    ("백만장자", "1000000"),
    ("2024-15호", "2024-03"),
    ("3.10", "3.1"),
    ("in 2024", "IN-2024"),
    ("v2.3.1", "v2.3.10"),
    ("v2.3", "v2.31"),
    ("v3.148.979", "3.148.979원"),
    ("2024.3.5", "2.3.5"),
    ("밤 1시", "13시"),
    ("0시 21분", "24:21"),
    ("자정", "자정의 노력"),
    ("5인치", "5명"),
    ("만 기가", "10000GB"),
    ("2016-2018년", "20162018"),
    ("2024년 1분기", "2024년 2분기"),
    ("1.5L", "5L"),
    ("3/5/2024", "2024-05-03"),
    ("별표 1", "별표 1의2"),
    ("별표 1", "별지 1"),
    ("3.5(일)", "3월 5일"),
    ("3월 17일부터 20% 할인", "3월 20일"),
    ("3월 17일 ~ 20명", "3월 20일"),
    ("3월 17일부터 20시까지", "3월 20일"),
    ("4월요일", "2024-04-15"),
    ("만불국사", "10000달러"),
]


@pytest.fixture(scope="module")
def forms() -> dict[str, frozenset[str]]:
    """A text → its forms, cleaned as the analysis cleans it."""
    return _Forms()


class _Forms(dict[str, frozenset[str]]):
    def __missing__(self, text: str) -> frozenset[str]:
        return frozenset(normal_forms(clean(text)))


@pytest.mark.parametrize("line", ALIKE)
def test_ways_to_write_one_thing_share_a_form(forms: dict[str, frozenset[str]], line: str) -> None:
    first, *others = line.split("|")
    assert forms[first]
    for other in others:
        assert forms[first] & forms[other], other


@pytest.mark.parametrize(("first", "second"), APART)
def test_what_only_looks_alike_shares_none(forms: dict[str, frozenset[str]], first: str, second: str) -> None:
    shared = forms[first] & forms[second]
    assert not {one for one in shared if not (one[0] == "d" and len(one) <= 8)}, shared


def test_a_month_of_any_year_is_asked_for_where_nothing_more_exact_is() -> None:
    assert asked_forms("4월 견적서") == ["d--04"]
    assert asked_forms("2024년 4월") == ["d2024-04", "d2024"]
    assert asked_forms("4월 15일") == ["d--04-15"]


@given(st.dates(date(1950, 1, 1), date(2049, 12, 31)))
def test_every_day_is_one_day_however_written(day: date) -> None:
    whole = f"d{day.isoformat()}"
    for text in (
        f"{day.year}년 {day.month}월 {day.day}일",
        f"{day.year}. {day.month}. {day.day}.",
        day.isoformat(),
        f"{day:%Y/%m/%d}",
        f"{day:%Y%m%d}",
        f"{day:%y%m%d}",
        f"'{day:%y}.{day.month}.{day.day}",
    ):
        assert whole in normal_forms(text), text


@given(st.integers(1000, 10**12))
def test_amounts_are_one_with_and_without_commas_and_in_words(value: int) -> None:
    words, rest = "", value
    for unit, name in ((10**12, "조"), (10**8, "억"), (10**4, "만")):
        if rest >= unit:
            words, rest = f"{words}{rest // unit:,}{name} ", rest % unit
    words = f"{words}{rest:,}" if rest else words.strip()
    assert number(words) == value
    for text in (f"{value}원", f"{value:,}원", f"{words}원"):
        assert f"n{value}원" in normal_forms(text), text


@given(st.text(string.ascii_letters, min_size=1, max_size=6), st.integers(10, 10**6))
def test_a_code_is_one_with_and_without_its_mark(letters: str, digits: int) -> None:
    for mark in ("-", "_", ""):
        assert f"c{letters}{digits}".casefold() in normal_forms(f"{letters}{mark}{digits}")


@given(st.text("0123456789년월일.,-/~만원조억제의항%()+ 'AB_시:분반℃도십이삼", max_size=60))
def test_no_text_is_too_odd(text: str) -> None:
    for form in normal_forms(text):
        assert form
        assert not any(character.isspace() for character in form)


def test_a_line_of_digits_and_marks_without_end_takes_no_time() -> None:
    for piece in ("1-", "2024.", "a1-", "1,", "3만", "제1", "+82", "1/", "12:", "삼", "24.", "3/5(화)", "1. 2.~"):
        assert normal_forms(piece * 20_000) is not None


@pytest.mark.parametrize(
    ("hanja", "hangul"),
    [
        ("商法", "상법"),
        ("大韓民國 憲法", "대한민국 헌법"),
        ("女子와 男女", "여자와 남녀"),
        ("勞動", "노동"),
        ("法律 比率", "법률 비율"),
        ("音樂", "음악"),
        ("漢字かな", "漢字かな"),
        ("no hanja", "no hanja"),
    ],
)
def test_hanja_are_read_as_hangul(hanja: str, hangul: str) -> None:
    assert read_hanja(hanja) == hangul
