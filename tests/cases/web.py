"""HTML pages, saved pages and books."""

from __future__ import annotations

from kosearch.records import Extraction

from . import case, has, lacks, only, same


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
