"""Nothing that a person typed is lost: any paragraph, cell or line on a slide comes back as it was."""

from __future__ import annotations

from collections.abc import Callable
from xml.sax.saxutils import escape

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from kosearch.extract import extract
from kosearch.extract.text import normalise
from tests.cases.hwp import hwpx, words
from tests.cases.office import docx, p, package, row, t, xlsx

LIKE_MARKERS = (
    "자세한 내용은 <https://www.moel.go.kr/info?id=3> 을 본다",
    "[comment 3: 검토의견] [comment: 글]",
    "![설명](a.png)",
    "[bookmark: 절차] ",
    "회사 조직도를 나타낸 그림입니다.",
    "[이미지: a.png] [내장 개체] [데이터 부족]",
    "<mailto:a@b.kr> &lt;b&gt; {{x}} %1 ^1 \\par",
    "표  제목 =SUM(A1) &P &[탭]",
)
TYPED = st.text(
    st.characters(exclude_categories=("C", "Z", "M"), include_characters=" "), min_size=1, max_size=60
).filter(lambda text: bool(text.strip()))


def slides(typed: str) -> bytes:
    """A presentation whose only slide holds this text in a box."""
    body = f"<p:txBody><a:p><a:r><a:t>{escape(typed)}</a:t></a:r></a:p></p:txBody>"
    slide = f"<p:sld xmlns:p='p' xmlns:a='a'><p:cSld><p:spTree><p:sp>{body}</p:sp></p:spTree></p:cSld></p:sld>"
    main = "<p:presentation xmlns:p='p' xmlns:r='r'><p:sldIdLst><p:sldId id='256' r:id='slide1'/></p:sldIdLst>"
    kind = "application/vnd.openxmlformats-officedocument.presentationml.presentation.main+xml"
    parts = {"ppt/presentation.xml": f"{main}</p:presentation>", "ppt/slide1.xml": slide}
    return package("ppt/presentation.xml", kind, parts, {"slide1.xml": "slide"})


MAKERS: dict[str, Callable[[str], bytes]] = {
    "docx": lambda typed: docx(p(t(typed))),
    "hwpx": lambda typed: hwpx(words(escape(typed))),
    "pptx": slides,
    "xlsx": lambda typed: xlsx(row(1, typed)),
}


def check(kind: str, typed: str) -> None:
    wanted = " ".join(normalise(typed).split())
    if wanted:
        (document,) = extract(MAKERS[kind](typed), path=f"a.{kind}").documents
        assert " ".join(document.text.split()) == wanted


@pytest.mark.parametrize("kind", MAKERS)
@pytest.mark.parametrize("typed", LIKE_MARKERS)
def test_what_looks_like_a_marker_stays(kind: str, typed: str) -> None:
    check(kind, typed)


@pytest.mark.parametrize("kind", MAKERS)
@settings(max_examples=60, deadline=None)
@example("=1+2")
@example("0001")
@given(TYPED)
def test_any_paragraph_comes_back(kind: str, typed: str) -> None:
    check(kind, typed)
