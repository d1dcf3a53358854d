"""Plain text in its many encodings, markup, XML and archives."""

from __future__ import annotations

import base64
import bz2
import gzip
import io
import lzma
import os
import quopri
import tarfile
import zlib
from urllib.parse import quote

from kosearch.records import Extracted, Extraction, Reason

from . import case, has, lacks, only, packed, read, refusal, same, whole


@case("Hangul instead of escape sequences", file="30-iso2022kr.txt")
def iso_2022_kr(found: Extraction) -> None:
    same(only(found).text, "한글 아이에스오 문서")


@case("a log with NULs is text", file="30-nul-log.txt")
def log_with_nuls(found: Extraction) -> None:
    has(only(found).text, "log start", "normal log line about failure")


@case("no tags, entities decoded", file="31-data.xml")
def korean_xml(found: Extraction) -> None:
    has(only(found).text, "휴무 안내", "쉽니다 & 정상 근무 한글")
    lacks(only(found).text, "<", "&#", "&amp;")


@case("summary, description and place as sentences", file="31-cal.ics")
def calendar(found: Extraction) -> None:
    has(only(found).text, "분기 예산 회의", "안건은 다음과 같습니다\n", "본관 3층", "2026-03-02")
    lacks(only(found).text, "\\n", "BEGIN:")


@case("ISO-2022-JP, UTF-7, and what only looks like them")
def escapes_of_plain_files() -> None:
    same(only(read("会議の資料です".encode("iso2022_jp"), "a.txt")).text, "会議の資料です")
    same(only(read("회의 자료를 보냅니다".encode("utf-7"), "a.txt")).text, "회의 자료를 보냅니다")
    for plain in ("1+1-2, a+bcd-e and +ABCD-", "\x1b[31mred\x1b[0m log"):
        same(only(read(plain, "a.txt")).text, plain.replace("\x1b", ""))


@case("lines of UTF-8 and of CP949 in one file")
def mixed_encodings() -> None:
    data = "접속 기록\n".encode() * 3 + "오류가 났다\n".encode("cp949") * 3 + b"plain\n"
    document = only(read(data, "a.log"))
    same(document.text, "접속 기록\n" * 3 + "오류가 났다\n" * 3 + "plain\n")
    same(document.warnings, ())


@case("logs in UTF-16 with zeros in them, cut in the middle, or begun in ASCII by another shell")
def logs_in_utf_16() -> None:
    line = "2026-03-02 오류: 연결이 끊겼다\r\n"
    gap = (line.encode("utf-16-le") * 20) + bytes(64) + line.encode("utf-16-le") * 20
    for data in (gap, gap[:-1], b"\xff\xfe" + gap):
        has(only(read(data, "a.log")).text, "연결이 끊겼다\n2026")
        lacks(only(read(data, "a.log")).text, "\0")
    begun = b"log start\r\n" + line.encode("utf-16-le") * 20
    has(only(read(begun, "a.log")).text, "log start\n2026-03-02 오류: 연결이")


@case("what has zeros and is no log stays binary")
def binary() -> None:
    for data in (b"\x7fELF\x02\x01" + bytes(200) + b"text\n" * 10, b"ab\0cd\0ef\0" * 50, bytes(range(256)) * 9):
        same(refusal(data, "a.log").reason, Reason.BINARY)


@case("XML: own and HTML's entities, markup in CDATA, attributes for people; broken XML as it stands")
def xml() -> None:
    markup = (
        '<?xml version="1.0"?><!DOCTYPE r [<!ENTITY co "한국상사">]><r xmlns="urn:a"><항목 이름="견적 담당자">'
        "<값>&co;&nbsp;본점</값><글><![CDATA[<p>굵은 <b>글</b>씨</p>]]></글></항목></r>"
    )
    document = only(read(markup, "a.xml"))
    same(document.text, "견적 담당자\n한국상사 본점\n굵은 글씨")
    has(only(read("<a><b>끊긴 글", "a.xml")).text, "<b>끊긴 글")
    bomb = '<!DOCTYPE l [<!ENTITY a "ha"><!ENTITY b "&a;&a;">]><l>웃음 &b;</l>'
    has(only(read(bomb, "a.xml")).text, "웃음")


@case("drawings, places and books as what they show")
def drawings() -> None:
    words = "<tspan>총무</tspan> <tspan>부장</tspan>"
    svg = f'<svg xmlns="http://www.w3.org/2000/svg"><title>조직도</title><text x="1">{words}</text></svg>'
    same((only(read(svg, "a.svg")).title, only(read(svg, "a.svg")).text), ("조직도", "조직도\n총무 부장"))
    model = '<mxGraphModel><root><mxCell value="&lt;b&gt;결재&lt;/b&gt; 흐름"/></root></mxGraphModel>'
    packer = zlib.compressobj(9, zlib.DEFLATED, -15)
    raw = packer.compress(quote(model).encode()) + packer.flush()
    first = base64.b64encode(raw).decode()
    drawn = f'<mxfile><diagram name="1쪽">{first}</diagram><diagram name="2쪽">{model}</diagram></mxfile>'
    document = only(read(drawn, "a.drawio"))
    same([(one.number, one.label) for one in document.pages], [(1, "1쪽"), (2, "2쪽")])
    same(document.text, "1쪽\n결재 흐름\n\n2쪽\n결재 흐름")
    kml = (
        '<kml xmlns="http://www.opengis.net/kml/2.2"><Document><name>답사</name><Placemark><name>경복궁</name>'
        "<description><![CDATA[<p>정문은 광화문</p>]]></description></Placemark></Document></kml>"
    )
    same(only(read(kml, "a.kml")).text, "답사\n\n경복궁\n정문은 광화문")
    fb2 = (
        '<FictionBook xmlns="http://www.gribuser.ru/xml/fictionbook/2.0"><description><title-info><book-title>책</book-title>'
        "<author><first-name>길동</first-name></author></title-info></description><body><section><title><p>1장</p></title>"
        "<p>첫 글.</p></section></body><binary>AAAA</binary></FictionBook>"
    )
    book = only(read(fb2, "a.fb2"))
    same((book.title, book.text, book.metadata["author"]), ("책", "1장\n\n첫 글.", "길동"))


@case("cards of old phones, whose Hangul is quoted bytes of EUC-KR in several lines")
def old_cards() -> None:
    quoted = quopri.encodestring("홍길동".encode("cp949")).decode().strip()
    name = f"N;CHARSET=EUC-KR;ENCODING=QUOTED-PRINTABLE:{quoted[:12]}=\n{quoted[12:]};;;;"
    document = only(read(f"BEGIN:VCARD\n{name}\nTEL;CELL:010-1234-5678\nEND:VCARD\n", "a.vcf"))
    same(document.text, "홍길동\n010-1234-5678")
    summary = "SUMMARY;ENCODING=QUOTED-PRINTABLE;CHARSET=UTF-8:=ED=9A=8C=EC=9D=98"
    old = f"BEGIN:VCALENDAR\nBEGIN:VEVENT\n{summary}\nDTSTART:20260302T100000\n"
    has(only(read(f"{old}END:VEVENT\nEND:VCALENDAR\n", "a.vcs")).text, "회의\n2026-03-02 10:00")


@case("subtitles: what is said, without numbers, times and tags")
def subtitles() -> None:
    srt = (
        "1\n00:00:01,000 --> 00:00:02,500\n<i>어서</i> 오세요\n두 분이신가요?\n\n2\n00:00:03,000 --> 00:00:04,000\n네\n"
    )
    same(only(read(srt, "a.srt")).text, "어서 오세요\n두 분이신가요?\n네")
    vtt = "WEBVTT\n\nNOTE 만든 이\n\nintro\n00:01.000 --> 00:02.000 align:start\n<v 철수>안녕\n"
    same(only(read(vtt, "a.vtt")).text, "안녕")
    smi = (
        "<SAMI><HEAD><STYLE>P{}</STYLE></HEAD><BODY><SYNC Start=100><P Class=KRCC>비가<br>온다"
        "<SYNC Start=900><P Class=KRCC>&nbsp;"
        "<SYNC Start=2000><P Class=KRCC>집에 가자</BODY></SAMI>"
    )
    same(only(read(smi.encode("cp949"), "a.smi")).text, "비가 온다\n집에 가자")


def outline(document: Extracted) -> list[tuple[int, str]]:
    return [(one.level, one.title) for one in document.headings]


@case("headings of LaTeX, Org and AsciiDoc")
def markup_headings() -> None:
    tex = "\\title{연구 \\\\ 보고}\n\\section{서론}\n글\n\\subsection*{\\textbf{배경}}\n%\\section{아님}\n"
    document = only(read(tex, "a.tex"))
    same(
        (document.title, [(one.level, one.title) for one in document.headings]),
        ("연구 보고", [(3, "서론"), (4, "배경")]),
    )
    org = "#+TITLE: 할 일\n* TODO 보고서 :일:\n글\n** DONE [#A] 초안\n"
    document = only(read(org, "a.org"))
    same(
        (document.title, [(one.level, one.title) for one in document.headings]), ("할 일", [(1, "보고서"), (2, "초안")])
    )
    adoc = "= 안내서\n\n== 첫째\n\n----\n== 코드\n----\n\n=== 둘째\n"
    document = only(read(adoc, "a.adoc"))
    same(outline(document), [(1, "안내서"), (2, "첫째"), (3, "둘째")])


def tarred(mode: str) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode=mode) as archive:  # type: ignore[call-overload]
        for name, content in (("./안/글.txt", "서울".encode("cp949")), (".숨김", b"x"), ("겹.tar.gz", b"\x1f\x8b\x08")):
            member = tarfile.TarInfo(name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    return out.getvalue()


@case("tar, packed in every way, and single packed files, are opened when asked")
def archives() -> None:
    for name, mode in (
        ("a.tar", "w"),
        ("a.tar.gz", "w:gz"),
        ("a.tgz", "w:gz"),
        ("a.tar.bz2", "w:bz2"),
        ("a.tar.xz", "w:xz"),
    ):
        has(refusal(tarred(mode), name).detail, "--archives")
        found = read(tarred(mode), name, archives=True)
        same([(one.member, one.text) for one in found.documents], [("안/글.txt", "서울")])
        same([one.member for one in found.skipped], ["겹.tar.gz"])
    for name, pack in (("기록.log.gz", gzip.compress), ("기록.log.bz2", bz2.compress), ("기록.log.xz", lzma.compress)):
        found = read(pack("접속 기록\n".encode()), name, archives=True)
        same([(one.member, one.text) for one in found.documents], [("기록.log", "접속 기록\n")])
    two = gzip.compress("하나 ".encode()) + gzip.compress("둘".encode())
    same(whole(read(two, "a.txt.gz", archives=True)), "하나 둘")


@case("what swells without end costs its file, and what is cut off says so")
def bombs() -> None:
    for name, pack in (("a.gz", gzip.compress), ("a.bz2", bz2.compress), ("a.xz", lzma.compress)):
        same(refusal(pack(bytes(32 << 20)), name, archives=True).reason, Reason.TOO_LARGE)
        same(refusal(pack(os.urandom(5000))[:-40], name, archives=True).reason, Reason.BROKEN)


@case("what is not read says what it is and the way out")
def refusals() -> None:
    for data, name, words in (
        (b"\x89PNG\r\n\x1a\n" + bytes(20), "a.png", "a picture"),
        (b"\xff\xd8\xff\xe0" + bytes(20), "사진.jpg", "a picture"),
        (b"7z\xbc\xaf\x27\x1c" + bytes(20), "a.7z", "an archive"),
        (b"Rar!\x1a\x07\x01" + bytes(20), "a.rar", "an archive"),
        (b"ALZ\x01" + bytes(20), "a.alz", "an archive"),
        (b"EGGA" + bytes(20), "a.egg", "an archive"),
        (b"AT&TFORM" + bytes(20), "a.djvu", "PDF"),
        (b"!BDN" + bytes(20), "a.pst", ".eml"),
        (b"ID3\x04" + bytes(20), "a.mp3", "transcript"),
        (b"\0\0\0\x18ftypmp42" + bytes(20), "a.mp4", "transcript"),
        (packed({"Index/Document.iwa": "x"}), "a.pages", "export it as PDF"),
    ):
        has(refusal(data, name).detail, words)
