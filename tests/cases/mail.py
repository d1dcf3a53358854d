"""Mail, mailboxes and Outlook's files."""

from __future__ import annotations

from kosearch.records import Extraction

from . import case, has, lacks, only, same, text


@case("the HTML body's text", file="23-mixed-html-parts.eml")
def html_beside_plain(found: Extraction) -> None:
    has(only(found).text, "본문 HTML 내용", "백신으로 검사")


@case("the HTML body's text", file="23-alt-empty-plain.eml")
def html_with_a_plain_notice(found: Extraction) -> None:
    has(only(found).text, "청구금액 | 55,000원", "납부기한은 3월 25일")


@case("Hangul in headers and body", file="21-hdr-ks.eml")
def korean_headers(found: Extraction) -> None:
    document = only(found)
    same(document.title, "회의 자료 송부")
    has(document.text, "홍길동", "김철수", "안녕하세요. 회의 자료를 보냅니다.")
    lacks(document.text, "\x1b", "$)C")


@case("kanji and kana", file="21-iso2022jp.eml")
def japanese_mail(found: Extraction) -> None:
    same(only(found).title, "会議の件")
    has(only(found).text, "お世話になっております")


@case("inline CSV and invitation are documents; the CP949 file name is readable", file="22-names.eml")
def named_parts(found: Extraction) -> None:
    names = [one.member for one in found.documents]
    same(
        names[1:],
        [
            "보고서.txt",
            "요약.txt",
            "견적서.txt",
            "인건비.txt",
            "날것이름.txt",
            "inline-note.txt",
            "data.csv",
            "invite.ics",
        ],
    )
    has(text(found), "CSVVALUE", "주간 회의 초대", "INLINE NOTE")


@case("what winmail.dat holds", file="23-tnef.eml")
def winmail(found: Extraction) -> None:
    has(text(found), "TNEF body text 본문", "티넵첨부")


@case('a body line that begins with "From " splits no mail', file="24-from-split.mbox")
def from_in_a_body(found: Extraction) -> None:
    same(len(found.documents), 1)
    has(text(found), "From next week", "Monday: 회의")
