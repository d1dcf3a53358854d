"""A folder of every kind, indexed and asked through the installed program: each hit cites its heading and page."""

from __future__ import annotations

import io
import json
import shutil
from collections.abc import Callable
from email.message import EmailMessage
from pathlib import Path
from typing import Any

import pytest
from cases import packed
from conftest import DATA, Program, make_program
from docx import Document
from pptx import Presentation
from pptx.util import Pt
from reportlab.pdfbase.cidfonts import UnicodeCIDFont
from reportlab.pdfbase.pdfmetrics import registerFont
from reportlab.pdfgen.canvas import Canvas

FILLER = "총무팀은 사무실의 비품을 관리하고 회의실의 예약을 받는다."

QUESTIONS = {
    # question: file, member, page, the innermost heading
    "잔디밭의 스프링클러는 몇 시에 켜지나요?": ("정원.pdf", None, 2, "제2장 물 주기"),
    "북극성 망원경의 구경은 얼마인가요?": ("천문.pptx", None, 3, "망원경"),
    "김치 발효 온도": ("요리.docx", None, None, "김치 담그기"),
    "자전거 체인에 기름을 치는 주기": ("자전거.md", None, None, "체인"),
    "고래의 잠수 시간": ("바다.html", None, None, "고래"),
    "도예 가마의 소성 온도": ("편지.eml", "도예.txt", None, None),
    "등대지기의 교대 시간": ("책.epub", None, None, "제2장 등대"),
    "화산재 청소 방법": ("화산.tex", None, None, "화산재"),
    "합창단 연습 장소": ("일정.ics", None, None, "합창단 연습"),
    "양봉 벌통의 무게": ("양봉.xml", None, None, None),
    "홍길동 hong@example.com 서울에서 씁니다": ("letter.msg", None, None, "서울 소식"),
    "조직도 서울 본부": ("drawing.vsdx", None, 1, "조직도"),
    "총칙에서 목적을 정한다": ("numbered.hwp", None, None, None),
    "복지 2023 44조": ("plan.hwpx", None, None, None),
    "마을버스": ("numbers.doc", None, None, "교통"),
    "서울 교통의 비율 3.50%": ("sheet.xlsx", None, 1, None),
    "느티나무 둘레": ("나무.xls", None, 2, None),
    "왜가리의 날개 길이": ("새.fods", None, 2, None),
    "대패의 날을 가는 각도": ("목공.fodt", None, None, "대패"),
    "바둑의 덤은 몇 집인가요?": ("바둑.rtf", None, None, "덤"),
    "증기 기관차의 물탱크": ("기차.hml", None, None, None),
}


def pdf() -> bytes:
    out = io.BytesIO()
    registerFont(UnicodeCIDFont("HYGothic-Medium"))
    canvas = Canvas(out, pagesize=(595, 842))
    for title, text in (
        ("제1장 흙", "흙은 봄에 갈아엎는다."),
        ("제2장 물 주기", "잔디밭의 스프링클러는 새벽 다섯 시에 켜진다."),
    ):
        canvas.bookmarkPage(title)
        canvas.addOutlineEntry(title, title)
        canvas.setFont("HYGothic-Medium", 11)
        canvas.drawString(60, 780, title)
        canvas.drawString(60, 740, text)
        canvas.showPage()
    canvas.save()
    return out.getvalue()


def slides() -> bytes:
    deck = Presentation()
    for title, text in (
        ("인사", "천문 동아리에 온 것을 반깁니다."),
        ("별자리", "겨울에는 오리온자리가 보입니다."),
        ("망원경", "북극성 망원경의 구경은 80밀리미터입니다."),
    ):
        slide = deck.slides.add_slide(deck.slide_layouts[5])
        slide.shapes.title.text = title
        slide.shapes.add_textbox(Pt(50), Pt(150), Pt(400), Pt(100)).text_frame.text = text
    out = io.BytesIO()
    deck.save(out)
    return out.getvalue()


def word() -> bytes:
    document = Document()
    for heading, text in (
        ("밥 짓기", "쌀은 삼십 분 불린다."),
        ("김치 담그기", "김치의 발효 온도는 영상 4도가 알맞다."),
    ):
        document.add_heading(heading, 1)
        document.add_paragraph(text)
    out = io.BytesIO()
    document.save(out)
    return out.getvalue()


def letter() -> bytes:
    mail = EmailMessage()
    mail["Subject"] = "공방 소식"
    mail["Date"] = "Mon, 2 Mar 2026 09:00:00 +0900"
    mail.set_content(FILLER)
    text = "도예 가마의 소성 온도는 1,250도이다."
    mail.add_attachment(text.encode("cp949"), maintype="text", subtype="plain", filename="도예.txt")
    return bytes(mail)


def book() -> bytes:
    chapter = "<html xmlns='http://www.w3.org/1999/xhtml'><body><p>{}</p><p>{}</p></body></html>"
    return packed(
        {
            "META-INF/container.xml": "<container><rootfiles><rootfile full-path='p.opf'/></rootfiles></container>",
            "p.opf": "<package><manifest><item id='n' href='t.ncx' media-type='application/x-dtbncx+xml'/>"
            "<item id='a' href='a.xhtml'/><item id='b' href='b.xhtml'/></manifest>"
            "<spine><itemref idref='a'/><itemref idref='b'/></spine></package>",
            "t.ncx": "<ncx><navMap>"
            "<navPoint><navLabel><text>제1장 섬</text></navLabel><content src='a.xhtml'/></navPoint>"
            "<navPoint><navLabel><text>제2장 등대</text></navLabel><content src='b.xhtml'/></navPoint></navMap></ncx>",
            "a.xhtml": chapter.format("제1장 섬", "섬에는 갈매기가 산다."),
            "b.xhtml": chapter.format("제2장 등대", "등대지기는 자정에 교대한다. 교대 시간은 바뀌지 않는다."),
        }
    )


def workbook() -> bytes:
    """Two sheets, in Excel's XML of 2003."""
    sheets = "".join(
        f"<Worksheet ss:Name='{name}'><Table><Row><Cell><Data ss:Type='String'>{text}</Data></Cell></Row></Table>"
        "</Worksheet>"
        for name, text in (("풀", "쑥은 봄에 캔다"), ("나무", "느티나무의 둘레는 육 미터"))
    )
    space = "urn:schemas-microsoft-com:office:spreadsheet"
    return f"<?xml version='1.0'?><Workbook xmlns='{space}' xmlns:ss='{space}'>{sheets}</Workbook>".encode()


def opendocument(kind: str, body: str) -> str:
    """A flat OpenDocument file."""
    spaces = "".join(
        f" xmlns:{name}='urn:oasis:names:tc:opendocument:xmlns:{name}:1.0'" for name in ("office", "text", "table")
    )
    mime = f"application/vnd.oasis.opendocument.{kind}"
    return (
        f"<?xml version='1.0' encoding='UTF-8'?><office:document{spaces} office:mimetype='{mime}'><office:body>"
        f"<office:{kind}>{body}</office:{kind}></office:body></office:document>"
    )


def escaped(text: str) -> str:
    """Text as RTF writes it."""
    return "".join(
        letter if letter.isascii() else rf"\u{(ord(letter) + 0x8000) % 0x10000 - 0x8000}?" for letter in text
    )


GO = ((r"\s1\outlinelevel0", "포석"), ("", FILLER), (r"\s1\outlinelevel0", "덤"), ("", "바둑의 덤은 여섯 집 반이다."))
"""Paragraphs of a file in RTF, and how they are styled."""

MADE: dict[str, Callable[[], bytes] | str] = {
    "정원.pdf": pdf,
    "천문.pptx": slides,
    "요리.docx": word,
    "편지.eml": letter,
    "책.epub": book,
    "자전거.md": f"# 자전거\n\n## 바퀴\n\n{FILLER}\n\n## 체인\n\n자전거 체인에는 삼백 킬로미터마다 기름을 친다.\n",
    "바다.html": f"<h2>상어</h2><p>{FILLER}</p><h2>고래</h2><p>향유고래의 잠수 시간은 한 시간이 넘는다.</p>",
    "화산.tex": f"\\section{{용암}}\n{FILLER}\n\n\\section{{화산재}}\n화산재는 물을 뿌려 청소한다.\n",
    "일정.ics": "BEGIN:VCALENDAR\nBEGIN:VEVENT\nSUMMARY:합창단 연습\nLOCATION:음악관 연습 장소 2층\nEND:VEVENT\n",
    "나무.xls": workbook,
    "새.fods": opendocument(
        "spreadsheet",
        "<table:table table:name='이름'><table:table-row><table:table-cell><text:p>참새</text:p></table:table-cell>"
        "</table:table-row></table:table><table:table table:name='크기'><table:table-row><table:table-cell>"
        "<text:p>왜가리의 날개 길이는 46센티미터</text:p></table:table-cell></table:table-row></table:table>",
    ),
    "목공.fodt": opendocument(
        "text",
        f"<text:h text:outline-level='1'>톱</text:h><text:p>{FILLER}</text:p>"
        "<text:h text:outline-level='1'>대패</text:h><text:p>대패의 날은 25도로 간다.</text:p>",
    ),
    "바둑.rtf": r"{\rtf1\ansi\ansicpg949{\stylesheet{\s1\outlinelevel0 heading 1;}}"
    + "".join(rf"\pard{style} {escaped(text)}\par " for style, text in GO)
    + "}",
    "기차.hml": '<?xml version="1.0" encoding="UTF-8"?><HWPML Version="2.8"><HEAD/><BODY><SECTION><P><TEXT><CHAR>'
    "증기 기관차의 물탱크는 십 톤이다.</CHAR></TEXT></P></SECTION></BODY></HWPML>",
    "양봉.xml": '<?xml version="1.0"?><벌><통>벌통의 무게는 오십 킬로그램이다. 양봉을 한다.</통></벌>',
}


@pytest.fixture(scope="module")
def mixed(tmp_path_factory: pytest.TempPathFactory, cache_dir: Path) -> Program:
    home = tmp_path_factory.mktemp("mixed")
    folder = home / "docs"
    folder.mkdir()
    for name, made in MADE.items():
        (folder / name).write_bytes(made.encode() if isinstance(made, str) else made())
    for sample in (DATA / "extract").iterdir():
        shutil.copy(sample, folder)
    program = make_program(home, cache_dir)
    result = program.run("index", folder, "--json", timeout=600)
    assert result.returncode == 0, result.stderr
    skipped = {Path(one["path"]).name for one in json.loads(result.stdout)["skipped"]}
    assert skipped == {"several.zip", "several.tar", "packed.txt.gz"}  # opened with --archives only
    return program


def best(program: Program, question: str, *options: str) -> dict[str, Any]:
    result = program.run("query", question, "-k", "1", "--json", *options)
    assert result.returncode == 0, result.stderr
    hit: dict[str, Any] = json.loads(result.stdout)["hits"][0]
    return hit


@pytest.mark.parametrize("question", QUESTIONS)
def test_each_format_cites_its_heading_and_page(mixed: Program, question: str) -> None:
    file, member, page, heading = QUESTIONS[question]
    hit = best(mixed, question)
    assert (Path(hit["path"]).name, hit["member"]) == (file, member)
    assert hit["cited"]["page"] == page
    assert (hit["cited"]["heading"] or [None])[-1] == heading


def test_a_passage_over_pages_cites_the_page_of_its_best_part(mixed: Program) -> None:
    question = "잔디밭의 스프링클러는 몇 시에 켜지나요?"
    hit = best(mixed, question)
    assert (hit["page"], hit["page_end"], hit["cited"]["page"]) == (1, 2, 2)
    shown = mixed.run("query", question, "-k", "1").stdout
    assert "정원.pdf p. 2" in shown
    assert "제2장 물 주기" in shown.splitlines()[1]


@pytest.mark.parametrize(
    ("question", "place"),
    [
        ("김치 발효 온도", "요리.docx, 김치 담그기"),
        ("복지 2023 44조", "plan.hwpx"),
        ("서울 교통의 비율 3.50%", "sheet.xlsx, "),
        ("마을버스", "numbers.doc, 교통"),
        ("느티나무 둘레", "나무.xls, 나무"),
        ("북극성 망원경의 구경은 얼마인가요?", "천문.pptx p. 3"),
    ],
)
def test_where_no_editor_shows_lines_none_are_named(mixed: Program, question: str, place: str) -> None:
    first = mixed.run("query", question, "-k", "1").stdout.splitlines()[0]
    assert place in first
    assert ":" not in first


def test_an_attachment_has_the_date_of_its_mail(mixed: Program) -> None:
    question = "도예 가마의 소성 온도"
    assert best(mixed, question, "--after", "2026-03-02", "--before", "2026-03-02")["member"] == "도예.txt"
