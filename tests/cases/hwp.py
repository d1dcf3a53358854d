"""HWP, HWPX and HWPML files."""

from __future__ import annotations

import io
import zipfile
from pathlib import Path

from kosearch.records import Extraction

from . import case, has, lacks, only, read, same, whole

PLAN = Path(__file__).resolve().parents[1] / "data" / "extract" / "plan.hwpx"
_HP = 'xmlns:hp="http://www.hancom.co.kr/hwpml/2011/paragraph"'
_HS = 'xmlns:hs="http://www.hancom.co.kr/hwpml/2011/section"'


def hwpx(*paragraphs: str) -> bytes:
    """The sample document with these runs as its paragraphs."""
    body = "".join(f'<hp:p id="0" paraPrIDRef="0" styleIDRef="0">{one}</hp:p>' for one in paragraphs)
    section = f'<?xml version="1.0" encoding="UTF-8"?><hs:sec {_HP} {_HS}>{body}</hs:sec>'
    out = io.BytesIO()
    with zipfile.ZipFile(PLAN) as old, zipfile.ZipFile(out, "w") as new:
        for name in old.namelist():
            content = section.encode() if name.startswith("Contents/section0") else old.read(name)
            new.writestr(zipfile.ZipInfo(name), content)
    return out.getvalue()


def run(inner: str) -> str:
    return f'<hp:run charPrIDRef="0">{inner}</hp:run>'


def words(inner: str) -> str:
    return run(f"<hp:t>{inner}</hp:t>")


def sublist(inner: str) -> str:
    return f'<hp:subList><hp:p id="0" paraPrIDRef="0" styleIDRef="0">{words(inner)}</hp:p></hp:subList>'


def shown(*paragraphs: str) -> str:
    return whole(read(hwpx(*paragraphs), "a.hwpx"))


@case(
    "automatic numbers stand in captions, equations in their sentence, captions of boxes are kept",
    file="45-autonum.hwpx",
)
def _(found: Extraction) -> None:
    has(
        whole(found),
        "표 7. 직급별 수당",
        "그림 3. 조직도",
        "그림 4. 글상자 캡션",
        "식 (2)",
        "면적은 pi r 2이고 둘레는 2 pi r이다.",
    )


@case("changes are accepted", file="46-revisions.hwpx")
def _(found: Extraction) -> None:
    has(whole(found), "위약금은 20퍼센트로 한다.")
    lacks(whole(found), "10퍼센트")


@case("a memo follows its paragraph, the prompt of an unfilled field is left out", file="41-fields.hwpx")
def _(found: Extraction) -> None:
    has(
        whole(found),
        "메모 달린 말 뒤\n\n[검토자] 메모 내용: 다시 확인할 것",
        "성명: 홍길동",
        "앞 뒤\n\n숨은 설명 내용",
    )
    lacks(whole(found), "마우스로")


@case("the caption of a table and an equation in its line", file="80-doc.hml")
def _(found: Extraction) -> None:
    has(whole(found), "칸1 | 칸2 칸속글상자\n\n표 캡션", "a / b수식뒤")


@case("numbers in Hangul's formats, with what stands before and behind them")
def numbers_of_captions() -> None:
    def caption(number: int, style: str) -> str:
        form = f'<hp:autoNumFormat type="{style}" prefixChar="(" suffixChar=")"/>'
        number_ = f'<hp:ctrl><hp:autoNum num="{number}" numType="TABLE">{form}</hp:autoNum></hp:ctrl>'
        return run(f"<hp:t>표 </hp:t>{number_}<hp:t> 끝</hp:t>")

    same(
        shown(caption(3, "HANGUL_SYLLABLE"), caption(4, "CIRCLED_DIGIT"), caption(44, "ROMAN_CAPITAL")),
        "표 (다) 끝\n\n표 (④) 끝\n\n표 (XLIV) 끝",
    )


@case("a deletion over several paragraphs and its table goes; one that never ends takes nothing with it")
def deletions() -> None:
    cell = f"<hp:tbl><hp:tr><hp:tc>{sublist('지운 표')}</hp:tc></hp:tr></hp:tbl>"
    began = words('앞<hp:deleteBegin Id="1" TcId="1"/>지운 말')
    ended = words('지운 끝<hp:deleteEnd Id="1" TcId="1" paraend="0"/>뒤')
    same(shown(began, run(cell), ended), "앞\n\n뒤")
    same(shown(words('앞<hp:deleteBegin Id="7" TcId="1"/>남은 말'), words("끝")), "앞남은 말\n\n끝")


@case("a form of prompts alone keeps them: they are all that it says")
def prompts_alone() -> None:
    begin = '<hp:ctrl><hp:fieldBegin id="1" type="CLICK_HERE"><hp:parameters><hp:stringParam name="Command">'
    begin += "Clickhere:set:40:Direction:wstring:5:주소 입력 HelpState:wstring:0:  </hp:stringParam></hp:parameters>"
    begin += "</hp:fieldBegin></hp:ctrl>"
    field = run(begin) + words("주소 입력") + run('<hp:ctrl><hp:fieldEnd beginIDRef="1"/></hp:ctrl>')
    same(shown(field), "주소 입력")
    same(shown(words("주소: ") + field), "주소:")


@case("bookmarks leave nothing in the text, and what looks like dochan's markers stays")
def typed_text() -> None:
    typed = ["[bookmark: 절차] ", "![그림](a.png)", "문의 &lt;mailto:a@b.kr&gt; 끝", "[comment 3: 검토]", "[내장 개체]"]
    mark = run('<hp:ctrl><hp:bookmark name="숨은 이름"/></hp:ctrl>')
    found = shown(*(mark + words(one) for one in typed))
    has(found, "[bookmark: 절차]", "![그림](a.png)", "문의 <mailto:a@b.kr> 끝", "[comment 3: 검토]", "[내장 개체]")
    lacks(found, "숨은 이름")


@case("an HWP 3 document is turned away with the way out")
def old_hangul() -> None:
    from . import refusal

    has(refusal(b"HWP Document File V3.00 \x1a\1\2\3\4\5", "a.hwp").detail, "HWPX")
    has(refusal(b"\0\1Show", "a.show").detail, "Hancom Show", ".pptx")
    has(refusal(b"\0\1template", "a.hwt").detail, "HWPX")


@case("HWPML: the number of a caption, hidden comments and notes")
def hwpml_numbers() -> None:
    number = '<AUTONUM Number="7" NumberType="Table"/>'
    inner = f"<P><TEXT><CHAR>표 </CHAR>{number}<CHAR>. 수당</CHAR></TEXT></P>"
    table = f'<TABLE><SHAPEOBJECT><CAPTION Side="Top"><PARALIST>{inner}</PARALIST></CAPTION></SHAPEOBJECT>'
    table += "<ROW><CELL><PARALIST><P><TEXT><CHAR>칸</CHAR></TEXT></P></PARALIST></CELL></ROW></TABLE>"
    source = f"<?xml version='1.0'?><HWPML><BODY><SECTION><P><TEXT>{table}</TEXT></P></SECTION></BODY></HWPML>"
    same(only(read(source, "a.hml")).text, "표 7. 수당\n\n칸")
