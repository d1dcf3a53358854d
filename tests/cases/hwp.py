"""HWP, HWPX and HWPML files."""

from __future__ import annotations

import io
import struct
import zipfile
from pathlib import Path

from kosearch.records import Extraction

from . import case, has, lacks, only, read, same, whole
from .compound import compound

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


def record(tag: int, level: int, data: bytes) -> bytes:
    """A record of HWP 5 (4.1)."""
    return struct.pack("<I", tag | level << 10 | len(data) << 20) + data


def paragraph(text: bytes, *controls: bytes, level: int = 0) -> bytes:
    """A paragraph of HWP 5: its text, in which `anchor`s stand for its controls."""
    return b"".join((record(66, level, bytes(24)), record(67, level + 1, text + b"\r\0"), *controls))


def anchor(code: int, identifier: bytes) -> bytes:
    """The characters that stand in a text for a control."""
    return struct.pack("<H4s8sH", code, identifier, b"", code)


def hwp5(*paragraphs: bytes) -> bytes:
    """An HWP 5 file of these paragraphs, not compressed."""
    header = b"HWP Document File".ljust(32, b"\0") + struct.pack("<II", 0x05000300, 0)
    return compound(
        {
            "FileHeader": header.ljust(256, b"\0"),
            "DocInfo": record(16, 0, bytes(26)),
            "BodyText/Section0": b"".join(paragraphs),
        }
    )


def caption(side: int, kind: int, name: str, number: int, style: int = 0, *, level: int) -> bytes:
    """The caption of an object: "name (number) 설명"."""
    stored = struct.pack("<4sIHHHH", b"onta", kind | style << 4, number, 0, ord("("), ord(")"))
    text = f"{name} ".encode("utf-16-le") + anchor(18, b"onta") + " 설명".encode("utf-16-le")
    head = record(72, level, struct.pack("<HHIIHI", 1, 0, 0, side, 0, 0))
    return head + paragraph(text, record(71, level + 1, stored), level=level)


def object_(identifier: bytes, *inner: bytes, in_line: bool = False) -> bytes:
    return record(71, 1, identifier + struct.pack("<I", in_line).ljust(44, b"\0")) + b"".join(inner)


def equation(script: str) -> bytes:
    return record(88, 2, struct.pack("<IH", 0, len(script)) + script.encode("utf-16-le"))


def box(text: str) -> bytes:
    return record(76, 2, bytes(8)) + record(72, 3, bytes(20)) + paragraph(text.encode("utf-16-le"), level=3)


@case("HWP 5: captions stand before or after their equation, box or picture, with the number that Hangul shows")
def hwp5_captions() -> None:
    left, right, top, bottom = range(4)
    between = "앞".encode("utf-16-le"), "뒤".encode("utf-16-le")
    formula = object_(b"deqe", caption(bottom, 5, "수식", 7, level=2), equation("a over b"), in_line=True)
    above = object_(b"deqe", caption(top, 5, "식", 3, style=8, level=2), equation("x+y"))
    boxed = object_(b" osg", caption(left, 3, "그림", 12, style=1, level=2), box("상자 속"))
    picture = object_(
        b" osg", caption(right, 3, "그림", 13, level=2), record(76, 2, bytes(8)), record(85, 3, bytes(80))
    )
    found = read(
        hwp5(
            paragraph(anchor(11, b"deqe").join(between), formula),
            paragraph(anchor(11, b"deqe"), above),
            paragraph(anchor(11, b" osg").join(between), boxed),
            paragraph(anchor(11, b" osg"), picture),
        ),
        "a.hwp",
    )
    same(
        whole(found),
        "앞a / b뒤\n\n수식 (7) 설명\n\n식 (다) 설명\n\nx+y\n\n앞뒤\n\n그림 (⑫) 설명\n\n상자 속\n\n그림 (13) 설명",
    )


@case(
    "HWP 5: what an unfilled field asks for is left out, what was filled in stays; a form of prompts alone keeps them"
)
def hwp5_fields() -> None:
    command = "Clickhere:set:40:Direction:wstring:5:주소 입력 HelpState:wstring:0:  "
    field = record(71, 1, b"klc%" + struct.pack("<IBH", 1, 9, len(command)) + command.encode("utf-16-le") + bytes(8))
    begin, end = anchor(3, b"klc%"), anchor(4, b"klc%")

    def form(before: str, filled: str, after: str) -> bytes:
        first, second, third = (one.encode("utf-16-le") for one in (before, filled, after))
        return paragraph(first + begin + second + end + third, field)

    filled = form("이름: ", "김하나", " 님"), form("주소: ", "주소 입력", " (도로명)")
    same(whole(read(hwp5(*filled), "a.hwp")), "이름: 김하나 님\n\n주소:  (도로명)")
    same(whole(read(hwp5(form("", "주소 입력", "")), "a.hwp")), "주소 입력")
    has(whole(read(hwp5(form("표 ", "주소 입력 란", "")), "a.hwp")), "표 주소 입력 란")


@case("HWP 5: a note and an equation in a table's caption are kept")
def hwp5_table_caption() -> None:
    note = (
        record(71, 3, b"  nf" + bytes(8)) + record(72, 4, bytes(8)) + paragraph("각주 글".encode("utf-16-le"), level=4)
    )
    text = "표 제목".encode("utf-16-le") + anchor(17, b"  nf")
    head = record(72, 2, struct.pack("<HHIIHI", 1, 0, 0, 2, 0, 0)) + paragraph(text, note, level=2)
    cell = record(72, 2, struct.pack("<HHIHHHH", 1, 0, 0, 0, 0, 1, 1) + bytes(16))
    table = record(77, 2, struct.pack("<IHH", 0, 1, 1) + bytes(10))
    inner = object_(b" lbt", head, table, cell, paragraph("칸".encode("utf-16-le"), level=2))
    same(whole(read(hwp5(paragraph(anchor(11, b" lbt"), inner)), "a.hwp")), "표 제목\n\n칸\n\n[1] 각주 글")


@case("HWP: footnotes and endnotes are counted apart, as Hangul numbers them")
def hwp5_notes() -> None:
    def note(identifier: bytes, text: str) -> bytes:
        inner = record(72, 2, bytes(8)) + paragraph(text.encode("utf-16-le"), level=2)
        return paragraph(
            "글".encode("utf-16-le") + anchor(17, identifier), record(71, 1, identifier + bytes(8)) + inner
        )

    found = read(hwp5(note(b"  nf", "각주 하나"), note(b"  ne", "미주 하나"), note(b"  nf", "각주 둘")), "a.hwp")
    same(whole(found), "글\n\n[1] 각주 하나\n\n글\n\n[1] 미주 하나\n\n글\n\n[2] 각주 둘")
