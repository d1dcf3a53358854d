"""HTML pages: main text, structure, and never less than the page has."""

from __future__ import annotations

import pytest

from kosearch.extract import extract
from kosearch.records import Extracted


def read(html: str | bytes) -> Extracted:
    (document,) = extract(html.encode() if isinstance(html, str) else html, path="a.html").documents
    return document


def test_main_text_without_navigation() -> None:
    document = read(
        "<html lang=ko><head><title>휴가  안내</title><meta name=author content=김철수>"
        "<meta property=article:published_time content=2024-03-01><style>p{}</style></head><body>"
        "<nav><a href=/>홈</a></nav><header><h1>휴가 규정</h1></header><main><p>연차는 <b>이월</b>할 수\n 있다.</p>"
        "<h2>제1조 &amp; 목적</h2><p>목적을<br>정한다.</p><p hidden>숨김</p>"
        "<div style='display: none'>숨김</div></main>"
        "<footer>저작권</footer><script>var x</script></body></html>"
    )
    assert document.text == "휴가 규정\n\n연차는 이월할 수 있다.\n\n제1조 & 목적\n\n목적을\n정한다."
    assert [(h.level, h.title, document.text[h.start :][:3]) for h in document.headings] == [
        (1, "휴가 규정", "휴가 "),
        (2, "제1조 & 목적", "제1조"),
    ]
    assert document.title == "휴가 안내"
    assert document.metadata == {"author": "김철수", "created": "2024-03-01", "language": "ko"}


def test_lists_and_tables_are_lines() -> None:
    document = read(
        "<p>앞</p><ul><li>하나<li><p>둘</p><ul><li>둘의 하나</ul><li></ul>"
        "<table><tr><th>이름<th>나이<tr><td><p>김</p><p>철수</p><td>서른<tr></table><p>뒤</p>"
    )
    assert document.text == "앞\n\n- 하나\n- 둘\n- 둘의 하나\n\n이름 | 나이\n김 철수 | 서른\n\n뒤"


def test_a_nested_table_keeps_all_its_text() -> None:
    text = read("<table><tr><td>밖<table><tr><td>안 하나<td>안 둘</table>끝<td>옆</table>").text
    assert text == "밖\n\n안 하나 | 안 둘\n\n끝\n\n옆"


def test_preformatted_text_keeps_its_lines() -> None:
    assert read("<p>코드</p><pre>def f():\n    return 1\n</pre>").text == "코드\n\ndef f():\n    return 1"


def test_a_page_of_navigation_only_is_kept() -> None:
    assert "둘째 글" in read("<body><nav><a>첫째 글</a> <a>둘째 글</a></nav><p>.</p>").text


def test_text_outside_any_block_is_kept() -> None:
    assert read("맨 앞<div>가운데</div>맨 뒤").text == "맨 앞\n\n가운데\n\n맨 뒤"


@pytest.mark.parametrize(
    "data",
    [
        "<meta charset=euc-kr><p>한글 본문".encode("cp949"),
        "<meta http-equiv=Content-Type content='text/html; charset=ks_c_5601-1987'><p>한글 본문".encode("cp949"),
        "<p>한글 본문".encode("cp949"),
        "<p>한글 본문".encode("utf-16"),
        "<meta charset=euc-kr><p>한글 본문".encode(),
    ],
)
def test_encodings(data: bytes) -> None:
    assert read(data).text == "한글 본문"


def test_deep_nesting_ends() -> None:
    assert read("<div>" * 5000 + "바닥").text == "바닥"
