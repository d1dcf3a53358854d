"""HTML pages, saved pages and books."""

from __future__ import annotations

from kosearch.records import Extracted, Extraction

from . import case, has, lacks, only, packed, read, same


@case("aside and the article's footer are there, the dialog is not", file="70-aside.html")
def aside(found: Extraction) -> None:
    has(only(found).text, "반드시 서면으로", "내선 1234", "법 제3조")
    lacks(only(found).text, "목차", "안내창")


@case("notes are there, and the titles of the table of contents are headings", file="71-book.epub")
def book(found: Extraction) -> None:
    document = only(found)
    has(document.text, "각주 내용이다.", "…")
    same([one.title for one in document.headings], ["제1장 시작", "제2장 끝"])


@case("the frame's text and the subject", file="19-mht-frames.mht")
def frames(found: Extraction) -> None:
    has(only(found).text, "바깥글", "안쪽글 iframe")
    same(only(found).title, "제목")


def page(body: str) -> Extracted:
    return only(read(f"<html><body>{body}</body></html>", "a.html"))


@case("lists have the numbers that a browser shows")
def list_numbers() -> None:
    document = page(
        "<ol start=3><li>셋<li>넷<li value=10>열<li>열하나</ol><ol type=a><li>가<li>나</ol>"
        "<ol reversed><li>둘<li>하나</ol>"
    )
    same(document.text, "3. 셋\n4. 넷\n10. 열\n11. 열하나\n\na. 가\nb. 나\n\n2. 둘\n1. 하나")


@case("a cell over several rows stands in each of them, one over several columns once")
def spans() -> None:
    document = page(
        "<table><tr><th>지점<th colspan=2>상반기<tr><td rowspan=2>본사<td>매출<td>10<tr><td>이익<td>3"
        "<tr><td>지사<td>매출<td>5</table>"
    )
    same(document.text, "지점 | 상반기\n본사 | 매출 | 10\n본사 | 이익 | 3\n지사 | 매출 | 5")


@case("no empty cells, and stretched labels are words")
def stretched_labels() -> None:
    document = page("<table><tr><td>업 체 명<td><td>대 표 자 (인)<td>성 명<tr><td>표 셀 둘<td>안 둘<td>가</table>")
    same(document.text, "업체명 | 대표자 (인) | 성명\n표 셀 둘 | 안 둘 | 가")


@case("asides and footers of the page itself are navigation, those of an article are not")
def margins() -> None:
    body = "근로자는 연차휴가를 쓸 수 있으며 쓰지 않은 휴가는 다음 해로 넘길 수 있다."
    document = page(
        f"<aside>인기 글</aside><article><p>{body}</p><aside>참고: 법 제60조</aside>"
        "<footer>담당 총무팀</footer></article><footer>저작권</footer>"
    )
    has(document.text, "참고: 법 제60조", "담당 총무팀")
    lacks(document.text, "인기 글", "저작권")


def book_of(nav: str) -> bytes:
    chapter = (
        '<html xmlns="http://www.w3.org/1999/xhtml" xmlns:epub="http://www.idpf.org/2007/ops"><body>{}</body></html>'
    )
    opf = (
        '<package xmlns="http://www.idpf.org/2007/opf"><manifest><item id="n" href="nav.xhtml" properties="nav"/>'
        '<item id="c" href="c.xhtml"/></manifest>'
        '<spine><itemref idref="n"/><itemref idref="c"/></spine></package>'
    )
    return packed(
        {
            "META-INF/container.xml": '<container><rootfiles><rootfile full-path="p.opf"/></rootfiles></container>',
            "p.opf": opf,
            "nav.xhtml": chapter.format(f'<nav epub:type="toc"><ol>{nav}</ol></nav>'),
            "c.xhtml": chapter.format(
                "<p>제1장 시작</p><p>본문이다.</p><p>제1절 배경</p><p>배경이다.</p>"
                '<footer>끝 글</footer><aside epub:type="endnote">미주다.</aside>'
            ),
        }
    )


@case("a book of EPUB 3: the titles of its nav, by their levels, where they stand; notes and footers of chapters")
def newer_book() -> None:
    nav = '<li><a href="c.xhtml">제1장 시작</a><ol><li><a href="c.xhtml#s">제1절 배경</a></li></ol></li>'
    document = only(read(book_of(nav), "a.epub"))
    same([(one.level, one.title, document.text[one.start :][:6]) for one in document.headings], [
        (1, "제1장 시작", "제1장 시작"), (2, "제1절 배경", "제1절 배경"),
    ])  # fmt: skip
    has(document.text, "끝 글", "미주다.")
    lacks(document.text, "제1절 배경제1절")


@case("a saved page without a title has the subject of its file; all its frames are read")
def saved_page() -> None:
    head = "--b\nContent-Type: text/html; charset=utf-8\n\n"
    mail = (
        "From: <Saved by Blink>\nSubject: =?utf-8?B?7KCc66qp?=\nMIME-Version: 1.0\n"
        "Content-Type: multipart/related; boundary=b\n\n"
        + "".join(f"{head}<p>{frame}</p>\n" for frame in ("바깥", "안 하나", "안 둘"))
        + "--b--\n"
    )
    document = only(read(mail, "a.mht"))
    same((document.title, document.text), ("제목", "바깥\n\n안 하나\n\n안 둘"))


@case("a heading or title without end is cut to 500 characters; its text stays")
def endless_heading() -> None:
    document = only(read(f"<title>{'가 ' * 9000}</title><h1>{'제목 ' * 9000}</h1>", "a.html"))
    same((len(document.title), len(document.headings[0].title)), (500, 500))
    same(document.text.count("제목"), 9000)
