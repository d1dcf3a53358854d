"""Word, Excel, PowerPoint, OpenDocument and RTF files."""

from __future__ import annotations

import io
import struct
import zipfile
from collections.abc import Mapping
from pathlib import Path
from xml.sax.saxutils import escape, quoteattr

from kosearch.records import Extraction

from . import case, has, lacks, only, read, same, whole

DATA = Path(__file__).resolve().parents[1] / "data" / "extract"
_W = "http://schemas.openxmlformats.org/wordprocessingml/2006/main"
_R = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
_STRICT = "http://purl.oclc.org/ooxml/wordprocessingml/main"


def package(main: str, content: str, parts: Mapping[str, str | bytes], related: dict[str, str]) -> bytes:
    """An Office package of this content type; `related` are the main part's relationships, name → type."""
    out = io.BytesIO()
    folder, _, name = main.rpartition("/")
    links = "".join(
        f'<Relationship Id="{target.partition(".")[0].rpartition("/")[2]}" Type="{_R}/{kind}" Target="{target}"/>'
        for target, kind in related.items()
    )
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as made:
        made.writestr("[Content_Types].xml", f'<Types><Override PartName="/{main}" ContentType="{content}"/></Types>')
        whole = f'<Relationships><Relationship Id="r" Type="{_R}/officeDocument" Target="{main}"/></Relationships>'
        made.writestr("_rels/.rels", whole)
        made.writestr(f"{folder}/_rels/{name}.rels", f"<Relationships>{links}</Relationships>")
        for part, inner in parts.items():
            made.writestr(part, inner)
    return out.getvalue()


def docx(body: str, main: str = "word/document.xml", content: str = "", **parts: str) -> bytes:
    """A Word document of this body; further parts by their names, each of the kind that its name says."""
    content = content or "application/vnd.openxmlformats-officedocument.wordprocessingml.document.main+xml"
    document = f'<w:document xmlns:w="{_W}" xmlns:r="{_R}"><w:body>{body}</w:body></w:document>'
    made = {main: document}
    related = {}
    for name, inner in parts.items():
        made[f"word/{name}.xml"] = inner.replace("<w:", f'<w:root xmlns:w="{_W}"><w:', 1) + "</w:root>"
        related[f"{name}.xml"] = name
    return package(main, content, made, related)


def p(inner: str, shape: str = "") -> str:
    return f"<w:p><w:pPr>{shape}</w:pPr><w:r>{inner}</w:r></w:p>"


def t(words: str) -> str:
    return f'<w:t xml:space="preserve">{escape(words)}</w:t>'


def numbered(level: int, words: str, number: int = 1) -> str:
    return p(t(words), f'<w:numPr><w:ilvl w:val="{level}"/><w:numId w:val="{number}"/></w:numPr>')


def level(place: int, form: str, shown: str, more: str = "") -> str:
    inner = f'<w:start w:val="1"/><w:numFmt w:val="{form}"/><w:lvlText w:val="{shown}"/>{more}'
    return f'<w:lvl w:ilvl="{place}">{inner}</w:lvl>'


def word(body: str, **parts: str) -> str:
    return whole(read(docx(body, **parts), "a.docx"))


# --- Word -----------------------------------------------------------------------------------------------------------


@case("headings by style name, base style and outline level", file="14-korean-word-headings.docx")
def _(found: Extraction) -> None:
    titles = ["제1장 총칙", "제1절 목적", "제2장 휴가", "직접 개요수준 지정 제목", "영문 스타일 제목"]
    same([one.title for one in only(found).headings], titles)
    same([one.level for one in only(found).headings], [1, 2, 1, 1, 1])
    same(only(found).title, "취업규칙")


@case("numbers as Word prints them", file="04-numbering.docx")
def _(found: Extraction) -> None:
    has(whole(found), "제1장 총칙", "1.1 목적", "1.2 정의", "가. 가나다첫째")
    has(whole(found), "나. 가나다둘째", "① 동그라미", "ㄱ) 초성")
    has(
        whole(found),
        "제2장 휴가",
        "2.1 연차",
        "\n번호 없는 제목",
        "제삼조 셋째 조",
        "제사조 넷째 조",
        "일. 한 둘",
        "一. 일 이",
    )
    has(whole(found), "I. 로마", "1.1 법식", "제7장 일곱째부터", "\n번호지움", "가. 셀안번호 | 값")


@case("hyphens that do not break stay, soft ones vanish; symbols and the base of ruby stay", file="08-breaks.docx")
def _(found: Extraction) -> None:
    has(whole(found), "02-123-4567", "외부감사", "cooperation", "기호 ☑체크 α", "漢字", "E=a/b", "소프트하이픈문자")


@case("notes and comments follow the paragraph that refers to them", file="05-notes.docx")
def _(found: Extraction) -> None:
    has(
        whole(found),
        "보험료는 매월 낸다.\n\n[1] 각주본문하나",
        "단어중간 각주\n\n[2] 각주둘",
        "미주가 있다.\n\n[i] 미주본문",
    )
    has(whole(found), "항목 | 셀각주\n\n[3] 셀각주본문", "주석달린 문장이 이어진다.\n\n[검토자] 이 조항은 삭제 검토")


@case("a main part of another name", file="10-otherpart.docx")
def _(found: Extraction) -> None:
    same(whole(found), "본문 부품 이름이 다른 문서")


def _once(found: Extraction) -> None:
    same([whole(found).count(one) for one in ("결재", "담당", "부장", "주식회사 한빛", "머리말글상자")], [1] * 5)
    has(whole(found), "결재 | 담당 | 부장")


@case("the table of a header, once", file="13-headers.docx")
def _(found: Extraction) -> None:
    _once(found)


@case("the table of a header, once", file="13-headers.odt")
def _(found: Extraction) -> None:
    _once(found)


@case("what a person typed stays, whatever it looks like", file="90-markers.docx")
def _(found: Extraction) -> None:
    has(
        whole(found),
        "<https://www.moel.go.kr/info?id=3>",
        "![설명](a.png)",
        "[comment 3: 검토의견]",
        "[bookmark: 절차]",
    )
    has(
        whole(found),
        "<mailto:help@a.kr>",
        "회사 조직도를 나타낸 그림입니다.",
        "<http://a.kr> | [comment: 사용자가 쓴 글]",
    )


@case("the texts of diagram and chart; the chart's title is no heading", file="07-smartart-chart.docx")
def _(found: Extraction) -> None:
    has(whole(found), "기획\n\n개발\n\n배포", "분기별 매출", "서울지점", "1분기 | 120", "본관 앞에서 찍은 단체 사진")
    same((only(found).title, only(found).headings), ("", ()))


@case("boxes are paragraphs of their own", file="03-textbox.odt")
def _(found: Extraction) -> None:
    has(whole(found), "본문 앞본문 뒤\n\nabcd\n\nabc\n\nabcd\n\nqqq", "상자표1 | 상자표2", "워드아트글")


@case("a row beside a deleted row stays", file="01-tracked.doc")
def _(found: Extraction) -> None:
    has(whole(found), "남은행 | 300원", "위약금은 20퍼센트로 한다.")


@case("a style is what its base style is, and says its level only where a paragraph does not")
def inherited_headings() -> None:
    styles = "".join(
        f'<w:style w:type="paragraph" w:styleId="{name}"><w:name w:val="{shown}"/>'
        f'<w:basedOn w:val="{base}"/><w:pPr>{shape}</w:pPr></w:style>'
        for name, shown, base, shape in (
            ("1", "heading 1", "", ""),
            ("a", "장", "1", ""),
            ("b", "절", "a", '<w:outlineLvl w:val="1"/>'),
            ("c", "제목 3", "", ""),
            ("d", "목차 제목", "1", '<w:outlineLvl w:val="9"/>'),
        )
    )
    body = "".join(p(t(one * 3), f'<w:pStyle w:val="{one}"/>') for one in "abcd")
    body += p(t("eee"), '<w:pStyle w:val="a"/><w:outlineLvl w:val="9"/>')
    found = only(read(docx(body, styles=styles), "a.docx"))
    same([(one.level, one.title) for one in found.headings], [(1, "aaa"), (2, "bbb"), (3, "ccc")])
    same(found.text.split("\n\n"), ["aaa", "bbb", "ccc", "ddd", "eee"])


@case("levels restart as lvlRestart says, a suffix may be nothing, pictures are bullets")
def restarts() -> None:
    levels = level(0, "decimal", "제%1조") + level(
        1, "ganada", "%2.", '<w:lvlRestart w:val="0"/><w:suff w:val="nothing"/>'
    )
    levels += level(2, "bullet", "")
    numbering = f'<w:abstractNum w:abstractNumId="0">{levels}</w:abstractNum>'
    numbering += '<w:num w:numId="1"><w:abstractNumId w:val="0"/></w:num>'
    body = numbered(0, "하나") + numbered(1, "둘") + numbered(0, "셋") + numbered(1, "넷") + numbered(2, "점")
    same(word(body, numbering=numbering), "제1조 하나\n\n가.둘\n\n제2조 셋\n\n나.넷\n\n• 점")


@case("lists of one definition count on, unless one starts anew; styles carry the level of their list")
def shared_lists() -> None:
    numbering = f'<w:abstractNum w:abstractNumId="0">{level(0, "decimal", "%1)")}'
    numbering += level(1, "decimalEnclosedCircle", "%2", '<w:pStyle w:val="n"/>') + "</w:abstractNum>"
    numbering += "".join(f'<w:num w:numId="{n}"><w:abstractNumId w:val="0"/></w:num>' for n in (1, 2))
    numbering += '<w:num w:numId="3"><w:abstractNumId w:val="0"/><w:lvlOverride w:ilvl="0">'
    numbering += '<w:startOverride w:val="1"/></w:lvlOverride></w:num>'
    styles = (
        '<w:style w:type="paragraph" w:styleId="n"><w:name w:val="항"/><w:pPr><w:numPr><w:numId w:val="1"/></w:numPr>'
    )
    styles += "</w:pPr></w:style>"
    body = numbered(0, "가") + numbered(0, "나", 2) + p(t("다"), '<w:pStyle w:val="n"/>') + numbered(0, "라", 3)
    same(word(body, numbering=numbering, styles=styles), "1) 가\n\n2) 나\n\n① 다\n\n1) 라")


@case("deleted runs, rows and paragraph marks are gone, instructions of fields are no text, prompts are left out")
def accepted_changes() -> None:
    mark = "<w:rPr><w:del/></w:rPr>"
    deleted = "<w:tr><w:trPr><w:del/></w:trPr><w:tc><w:p><w:r><w:t>지운행</w:t></w:r></w:p></w:tc></w:tr>"
    field = '<w:fldChar w:fldCharType="begin"/><w:instrText>IF 1</w:instrText><w:t>숨은</w:t>'
    field += '<w:fldChar w:fldCharType="separate"/><w:t>보임</w:t><w:fldChar w:fldCharType="end"/>'
    prompt = "<w:sdt><w:sdtPr><w:showingPlcHdr/></w:sdtPr>"
    prompt += "<w:sdtContent><w:r><w:t>누르세요</w:t></w:r></w:sdtContent></w:sdt>"
    body = p(t("앞"), mark) + p(t("뒤") + "<w:delText>지움</w:delText>")
    body += f"<w:tbl>{deleted}<w:tr><w:tc>{p(t('칸1'))}</w:tc><w:tc>{p(t('칸2'))}</w:tc></w:tr></w:tbl>"
    body += p(field) + f"<w:p><w:customXml><w:r><w:t>안</w:t></w:r></w:customXml>{prompt}</w:p>"
    same(word(body), "앞뒤\n\n칸1 | 칸2\n\n보임\n\n안")


@case("a box does not tear its sentence, is written once, and old WordArt is text")
def boxes() -> None:
    box = f"<w:txbxContent>{p(t('상자'))}</w:txbxContent>"
    choice = f"<w:drawing>{box}</w:drawing>"
    both = f"<mc:Choice>{choice}</mc:Choice><mc:Fallback><w:pict>{box}</w:pict></mc:Fallback>"
    body = p(t("앞") + f"<mc:AlternateContent xmlns:mc='m'>{both}</mc:AlternateContent>" + t("뒤"))
    body += p("<w:pict><v:shape xmlns:v='v'><v:textpath string='글맵시'/></v:shape></w:pict>")
    same(word(body), "앞뒤\n\n상자\n\n글맵시")


@case("strict, template and macro forms are Word")
def forms_of_word() -> None:
    kinds = (
        "application/vnd.ms-word.document.macroEnabled.main+xml",
        "application/vnd.openxmlformats-officedocument.wordprocessingml.template.main+xml",
        "application/vnd.ms-word.template.macroEnabledTemplate.main+xml",
    )
    for kind in kinds:
        same(whole(read(docx(p(t("글")), "doc/main2.xml", kind), "a.dotm")), "글")
    strict = docx(p(t("엄격")), content="").replace(_W.encode(), _STRICT.encode())
    same(whole(read(strict, "a.docx")), "엄격")


# --- Excel ----------------------------------------------------------------------------------------------------------


def xlsx(rows: str, styles: str = "", spans: str = "", strings: str = "") -> bytes:
    """A workbook of one sheet."""
    merged = "".join(f'<mergeCell ref="{one}"/>' for one in spans.split())
    sheet = f"<worksheet><sheetData>{rows}</sheetData><mergeCells>{merged}</mergeCells></worksheet>"
    codes = "".join(
        f'<numFmt numFmtId="{200 + at}" formatCode={quoteattr(code)}/>' for at, code in enumerate(styles.split("|"))
    )
    xfs = "".join(f'<xf numFmtId="{200 + at}"/>' for at in range(len(styles.split("|"))))
    parts = {
        "xl/workbook.xml": f'<workbook xmlns:r="{_R}"><sheets><sheet name="장" r:id="sheet1"/></sheets></workbook>',
        "xl/sheet1.xml": sheet,
        "xl/styles.xml": f"<styleSheet><numFmts>{codes}</numFmts><cellXfs><xf/>{xfs}</cellXfs></styleSheet>",
        "xl/strings.xml": f"<sst>{strings}</sst>",
    }
    kind = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet.main+xml"
    related = {"sheet1.xml": "worksheet", "styles.xml": "styles", "strings.xml": "sharedStrings"}
    return package("xl/workbook.xml", kind, parts, related)


def row(place: int, *cells: str | float | tuple[float, int]) -> str:
    """A row: texts, numbers, or numbers with the number of their style."""
    made = ""
    for at, cell in enumerate(cells):
        reference = f'r="{"ABCDEFGH"[at]}{place}"'
        if isinstance(cell, str):
            made += f'<c {reference} t="inlineStr"><is><t>{escape(cell)}</t></is></c>' if cell else ""
        else:
            value, style = cell if isinstance(cell, tuple) else (cell, 0)
            made += f'<c {reference} s="{style}"><v>{value}</v></c>'
    return f'<row r="{place}">{made}</row>'


def book(rows: str, styles: str = "", spans: str = "") -> str:
    return whole(read(xlsx(rows, styles, spans), "a.xlsx"))


@case("merged headers stand with their values, spans in each row, numbers as shown", file="16-book.xlsx")
def _(found: Extraction) -> None:
    has(whole(found), "지역: 서울 | 2025년 상반기: 1 | 2025년 하반기: 2 | 2026년 상반기: 3 | 2026년 하반기: 4")
    same(whole(found).count("구분: 본사"), 3)
    has(whole(found), "비율: 5.0%", "사원번호: 0007", "일자: 2026년 3월 1일", "금액: 1,234,568원")
    same(whole(found).count("부가세가 빠져"), 1)


@case("merged headers stand with their values, spans in each row, numbers as shown", file="16-book.fods")
def _(found: Extraction) -> None:
    has(whole(found), "지역: 부산 | 2025년 상반기: 5 | 2025년 하반기: 6", "비율: 47.5%", "사원번호: 0012")
    same(whole(found).count("구분: 본사"), 3)
    same(whole(found).count("부가세가 빠져"), 1)


@case("values without the text of their formulas; a chart's title is no title", file="17-formulas.xlsx")
def _(found: Extraction) -> None:
    has(
        whole(found),
        "금액: 960,000원 | 비율: 80.0%",
        "대외비 정산표",
        "시트차트제목",
        "2026년 3월 1일 일요일",
        "△3,000",
    )
    lacks(whole(found), "VLOOKUP", "=B3/B2")
    same((only(found).title, only(found).headings), ("", ()))


def _good_rows(found: Extraction) -> None:
    has(whole(found), "열0: 값1-0", "열7: 343")


@case("the good rows beside a stray cell", file="18-stray.xlsx")
def _(found: Extraction) -> None:
    _good_rows(found)


@case("the good rows beside a stray cell", file="18-stray2.xlsx")
def _(found: Extraction) -> None:
    _good_rows(found)


@case("both sheets", file="18-twosheets.xlsx")
def _(found: Extraction) -> None:
    has(whole(found), "총계 | 99", "첫칸", "외톨이")


@case("cells at both ends of a sheet", file="18-sparse.xlsx")
def _(found: Extraction) -> None:
    has(whole(found), "첫칸", "마지막칸")


@case("cells far apart in a workbook of 2003", file="18-stray.xls")
def _(found: Extraction) -> None:
    has(whole(found), "항목", "총계", "첫칸", "외톨이")


@case("the XML form of 2003", file="19-spreadsheetml.xls")
def _(found: Extraction) -> None:
    same(only(found).text, "성명 | 기본급\n홍길동 | 3000000")
    same([one.label for one in only(found).pages], ["급여"])


@case("flat OPC", file="19-flatopc.xml")
def _(found: Extraction) -> None:
    same((only(found).text, only(found).kind), ("플랫 OPC 본문", "docx"))


@case("numbers, dates and times in the formats of Korean offices")
def formats_of_numbers() -> None:
    from kosearch.extract.sheets import compiled

    for value, code, shown in (
        (7, "0000", "0007"),
        (0.1, "0.0%", "10.0%"),
        (2.5, "0", "3"),
        (-0.4, "0", "0"),
        (-2500, '#,##0"원";[빨강]\\-#,##0"원"', "-2,500원"),
        (0, '_-* #,##0_-;\\-* #,##0_-;_-* "-"_-;_-@_-', "-"),
        (-3000, "#,##0;△#,##0", "△3,000"),
        (1012345678, "000-0000-0000", "010-1234-5678"),
        (123456789, "[<=999999]###-####;(0##) ###-####", "(012) 345-6789"),
        (9012151234567, "000000-0000000", "901215-1234567"),
        (46082, 'yyyy"년" m"월" d"일" aaaa', "2026년 3월 1일 일요일"),
        (46082.6, "[$-412]AM/PM h:mm", "오후 2:24"),
        (46082.6, "yy/mm/dd hh:mm", "26/03/01 14:24"),
        (1.25, "[h]:mm", "30:00"),
        (1234567, "#,##0,", "1,235"),
        (0.5, "# ?/?", "1/2"),
        (1e20, "General", "1E+20"),
        (0.1 + 0.2, "General", "0.3"),
    ):
        same((code, compiled(code)(value)), (code, shown))
    same(compiled("yyyy-mm-dd", True)(0.0), "1904-01-01")


@case("a second table on a sheet has names of its own; a blank row in a table takes none away")
def two_tables() -> None:
    rows = row(1, "품목", "수량") + row(2, "연필", 3) + row(3, "지우개", 4) + row(5, "공책", 5)
    rows += row(8, "부서", "인원") + row(9, "총무", 12) + row(10, "기획", 9)
    has(book(rows), "품목: 공책 | 수량: 5", "부서: 총무 | 인원: 12")


@case("names over several columns and rows, spans down the rows")
def spanned_names() -> None:
    rows = row(1, "지점", "매출", "", "비고") + row(2, "", "상반기", "하반기")
    rows += row(3, "서울", 1, 2, "가") + row(4, "", 3, 4, "나")
    found = book(rows, spans="A1:A2 B1:C1 D1:D2 A3:A4")
    same(found, "지점 | 매출 상반기 | 매출 하반기 | 비고\n지점: 서울 | 매출 상반기: 1 | 매출 하반기: 2 | 비고: 가\n"
                "지점: 서울 | 매출 상반기: 3 | 매출 하반기: 4 | 비고: 나")  # fmt: skip


@case("a formula is shown only where it has no value; readings above characters are no text")
def formulas() -> None:
    cells = '<row r="1"><c r="A1"><f>SUM(B1:B2)</f><v>3</v></c><c r="B1"><f>NOW()</f></c>'
    cells += '<c r="C1" t="s"><v>0</v></c><c r="D1" t="str"><f>A1</f><v>글</v></c>'
    cells += '<c r="E1" t="e"><v>#N/A</v></c></row>'
    strings = "<si><r><t>東京</t></r><rPh sb='0' eb='2'><t>トウキョウ</t></rPh></si>"
    same(whole(read(xlsx(cells, strings=strings), "a.xlsx")), "3 | =NOW() | 東京 | 글 | #N/A")


@case("cells at the far ends of a sheet beside good rows, and 210,000 cells")
def far_apart() -> None:
    rows = row(1, "품목", "수량") + "".join(row(place, f"물건{place}", place) for place in range(2, 12))
    stray = '<row r="200000"><c r="H200000"><v>7</v></c></row>'
    stray += '<row r="1048576"><c r="XFD1048576" t="inlineStr"><is><t>끝</t></is></c></row>'
    found = book(rows + stray)
    has(found, "품목: 물건11 | 수량: 11")
    same(found.split("\n")[-2:], ["7", "끝"])
    many = "".join(row(place, *range(place, place + 7)) for place in range(1, 30_001))
    same(book(many).count("\n"), 29_999)


@case("a million cells within ten seconds of CPU", slow=True)
def a_million_cells() -> None:
    from time import process_time

    many = "".join(row(place, *((place + at / 8, at % 3) for at in range(8))) for place in range(1, 125_001))
    data = xlsx(many, styles="#,##0.00|yyyy-mm-dd h:mm")
    began = process_time()
    same(whole(read(data, "a.xlsx")).count("\n"), 124_999)
    assert process_time() - began < 10, process_time() - began


# --- PowerPoint -----------------------------------------------------------------------------------------------------


@case("each slide has its number and title; shapes in the order of reading", file="15-slides.pptx")
def _(found: Extraction) -> None:
    document = only(found)
    starts = [(one.number, document.text[one.start :].partition("\n")[0]) for one in document.pages]
    same(starts[:4], [(1, "첫 슬라이드 제목"), (2, "숨긴 슬라이드"), (3, "목록 슬라이드"), (4, "월별 매출 추이")])
    has(document.text, "왼쪽 상자\n\n오른쪽 상자", "1. 번호첫째\n\n2. 번호둘째", "발표자 노트: 여기서 환율을 설명한다")
    lacks("\n".join(one.title for one in document.headings), "월별 매출 추이")


def pptx(*slides: str, **notes: str) -> bytes:
    """A presentation of these shapes; notes by the names of their slides."""
    listed = "".join(f'<p:sldId r:id="slide{at}"/>' for at in range(len(slides)))
    parts = {"ppt/presentation.xml": f"<p:presentation xmlns:p='p' xmlns:r='r'><p:sldIdLst>{listed}</p:sldIdLst>"}
    parts["ppt/presentation.xml"] += "</p:presentation>"
    for at, shapes in enumerate(slides):
        tree = f"<p:cSld><p:spTree>{shapes}</p:spTree></p:cSld>"
        parts[f"ppt/slide{at}.xml"] = f"<p:sld xmlns:p='p' xmlns:a='a'>{tree}</p:sld>"
    for name, words in notes.items():
        parts[f"ppt/_rels/{name}.xml.rels"] = (
            f'<Relationships><Relationship Id="n" Type="{_R}/notesSlide" Target="note_{name}.xml"/></Relationships>'
        )
        parts[f"ppt/note_{name}.xml"] = f"<p:notes xmlns:p='p' xmlns:a='a'>{box(words, 'body')}</p:notes>"
    kind = "application/vnd.openxmlformats-officedocument.presentationml.presentation.main+xml"
    return package("ppt/presentation.xml", kind, parts, {f"slide{at}.xml": "slide" for at in range(len(slides))})


def box(words: str, place: str = "", x: int = 0, y: int = 0, shape: str = "") -> str:
    """A shape with a paragraph a line, a placeholder for `place`."""
    lines = "".join(f"<a:p>{shape}<a:r><a:t>{escape(one)}</a:t></a:r></a:p>" for one in words.split("\n"))
    holder = f'<p:nvSpPr><p:nvPr><p:ph type="{place}"/></p:nvPr></p:nvSpPr>' if place else ""
    return f'<p:sp>{holder}<p:spPr><a:off x="{x}" y="{y}"/></p:spPr><p:txBody>{lines}</p:txBody></p:sp>'


@case(
    "shapes from top to bottom, title first; automatic numbers; notes behind their slide; no title where there is none"
)
def slides_in_order() -> None:
    numbers = '<a:pPr><a:buAutoNum type="circleNumDbPlain" startAt="3"/></a:pPr>'
    one = box("아래", y=5_000_000) + box("오른쪽", x=4_000_000, y=2_000_000) + box("왼쪽", y=2_100_000)
    one += box("제목", "title", y=9_000_000) + box("7", "sldNum")
    found = only(read(pptx(one, box("가\n나", shape=numbers), slide0="노트"), "a.pptx"))
    same(found.text, "제목\n\n왼쪽\n\n오른쪽\n\n아래\n\n노트\n\n③ 가\n\n④ 나")
    same([one.title for one in found.headings], ["제목"])
    same([(one.number, found.text[one.start]) for one in found.pages], [(1, "제"), (2, "③")])


# --- OpenDocument ---------------------------------------------------------------------------------------------------


def flat(body: str, styles: str = "", kind: str = "text") -> bytes:
    """An OpenDocument file in a single XML file."""
    spaces = "".join(
        f' xmlns:{name}="urn:oasis:names:tc:opendocument:xmlns:{name}:1.0"'
        for name in ("office", "text", "table", "style", "draw", "presentation")
    )
    inner = f"<office:automatic-styles>{styles}</office:automatic-styles><office:body><office:{kind}>{body}"
    return f"<office:document{spaces}>{inner}</office:{kind}></office:body></office:document>".encode()


@case("numbers of lists and headings, headings by the names of styles")
def lists_of_opendocument() -> None:
    levels = '<text:list-level-style-number text:level="1" style:num-format="가, 나" style:num-suffix="."/>'
    levels += '<text:list-level-style-number text:level="2" style:num-format="1" text:display-levels="2"/>'
    styles = f'<text:list-style style:name="L">{levels}</text:list-style>'
    styles += '<style:style style:name="P1" style:family="paragraph" style:parent-style-name="Heading_20_2"/>'
    styles += '<text:outline-style><text:outline-level-style text:level="1" style:num-prefix="제" style:num-format="1"'
    styles += ' style:num-suffix="장"/></text:outline-style>'
    nested = "<text:list><text:list-item><text:p>둘</text:p></text:list-item></text:list>"
    item = f"<text:list-item><text:p>하나</text:p>{nested}</text:list-item>"
    body = '<text:h text:outline-level="1">머리</text:h><text:p text:style-name="P1">작은 머리</text:p>'
    body += f'<text:list text:style-name="L">{item}<text:list-item text:start-value="5"><text:p>다섯</text:p>'
    body += '</text:list-item></text:list><text:list text:style-name="L"><text:list-item><text:p>다시</text:p>'
    body += "</text:list-item></text:list>"
    found = only(read(flat(body, styles), "a.fodt"))
    same([(one.level, one.title) for one in found.headings], [(1, "제1장 머리"), (2, "작은 머리")])
    same(found.text, "제1장 머리\n\n작은 머리\n\n가. 하나\n가.1 둘\n마. 다섯\n가. 다시")


@case("cells far apart, merged cells, a note once, and slides by their titles")
def sheets_and_slides() -> None:
    cell = '<table:table-cell table:number-rows-spanned="2"><text:p>본사</text:p><office:annotation>'
    cell += "<text:p>메모</text:p></office:annotation></table:table-cell>"
    rows = f"<table:table-row>{cell}<table:table-cell><text:p>1</text:p></table:table-cell></table:table-row>"
    rows += "<table:table-row><table:covered-table-cell/><table:table-cell><text:p>2</text:p></table:table-cell>"
    rows += (
        '</table:table-row><table:table-row table:number-rows-repeated="1048000"><table:table-cell/></table:table-row>'
    )
    rows += '<table:table-row><table:table-cell table:number-columns-repeated="16000"/><table:table-cell>'
    rows += "<text:p>외톨이</text:p></table:table-cell></table:table-row>"
    table = f'<table:table table:name="장">{rows}</table:table>'
    same(only(read(flat(table, kind="spreadsheet"), "a.fods")).text, "본사 | 1\n메모\n본사 | 2\n외톨이")
    title = '<draw:frame presentation:class="title"><draw:text-box><text:p>제목</text:p></draw:text-box></draw:frame>'
    body = "<draw:frame><draw:text-box><text:p>글</text:p></draw:text-box></draw:frame>"
    notes = "<presentation:notes><draw:frame><draw:text-box><text:p>노트</text:p></draw:text-box></draw:frame>"
    page = f"<draw:page>{body}{title}{notes}</presentation:notes></draw:page>"
    found = only(read(flat(page, kind="presentation"), "a.fodp"))
    same((found.text, [one.title for one in found.headings]), ("제목\n\n글\n\n노트", ["제목"]))


# --- RTF ------------------------------------------------------------------------------------------------------------


@case("a note follows its paragraph", file="20-rtf-footnote.rtf")
def _(found: Extraction) -> None:
    has(whole(found), "보험료는 매월 납부한다.", "단어중간", "각주 내용은 별표에 따른다.")
    lacks(whole(found), "보험료는 각주")


@case("boxes, headers and comments are paragraphs of their own; groups left out end no paragraph")
def rtf_stories() -> None:
    source = (
        r"{\rtf1\ansi{\header\pard head {\field{\*\fldinst PAGE}{\fldrslt 3}}\par}{\footer - 3 -\par}"
        r"\pard one {\*\shppict\par x}{\shp{\*\shpinst\shpleft0{\sp{\sn a}{\sv 1}}{\shptxt\pard box\par two\par}}"
        r"{\shprslt\par box\par}}line{\*\atnid A}{\*\atnauthor Kim}\chatn{\*\annotation\pard note\par}\par"
        r"\trowd\pard\intbl a{\*\footnote\ftnalt\pard foot\par}\cell b\cell\row\pard end\par}"
    )
    same(whole(read(source, "a.rtf")), "head 3\n\none line\n\nbox\ntwo\n\n[Kim] note\n\na | b\n\n[i] foot\n\nend")


@case("RTF: endnotes are counted apart from footnotes")
def rtf_endnotes() -> None:
    note, endnote = r"{\*\footnote\pard %s\par}", r"{\*\footnote\ftnalt\pard %s\par}"
    source = rf"{{\rtf1\ansi a{endnote % 'e1'}\par b{note % 'f1'}\par c{note % 'f2'}{endnote % 'e2'}\par}}"
    same(whole(read(source, "a.rtf")), "a\n\n[i] e1\n\nb\n\n[1] f1\n\nc\n\n[2] f2\n\n[ii] e2")


_FIELDS = {
    r'EQ \* jc2 \* "Font:Batang" \* hps10 \o\ad(\s\up 9(とうきょう),東京)': "東京(とうきょう)",
    r"EQ \o\ac(○,甲)": "甲", r"EQ \o(ㅇ,ㅣ)": "ㅇㅣ", r"EQ \f(1,2)": "1/2", r"EQ \r(3,x)": "3√x",
    r"EQ \x(확인)": "확인", r"EQ \b\bc\[(a\,b)": "(a,b)", r"EQ \i\su(i=1,n,x)": "∑ i=1 n x", r"EQ \f(1": "1",
    r"EQ \s\up 4(위)": "위", r'SYMBOL 183 \f "Symbol" \s 10 \h': "•", r"SYMBOL 252 \f Wingdings": "✓",
    r"SYMBOL 8451 \u": "℃", r"SYMBOL 0xAE \a": "®", r'SYMBOL "한"': "한", r"PAGE": "", r"SYMBOL 99999999": "",
    r"SYMBOL 55296 \u": "",
}  # fmt: skip
"""Codes of Word's fields without a result, and what each shows."""


@case("fields that keep no result, in RTF and .docx: the characters under a reading, circled ones, symbols")
def fields_without_result() -> None:
    begin, end = (f'<w:r><w:fldChar w:fldCharType="{one}"/></w:r>' for one in ("begin", "end"))
    for code, right in _FIELDS.items():
        written = "".join(one if one.isascii() else f"\\u{ord(one)}?" for one in code.replace("\\", "\\\\"))
        source = rf"{{\rtf1\ansi\ansicpg949 a{{\field{{\*\fldinst {{\f1 {written}}}}}{{\fldrslt }}}}b\par}}"
        same(whole(read(source, "a.rtf")), f"a{right}b")
        field = f"{begin}<w:r><w:instrText>{escape(code)}</w:instrText></w:r>{end}"
        same(word(f"<w:p>{field}<w:r>{t('b')}</w:r></w:p>"), f"{right}b")


@case("RTF: a field with a result shows that alone, one within another too; its code ends no paragraph")
def rtf_results() -> None:
    inner = r"{\field{\*\fldinst EQ \\o(a,b)}{\fldrslt c}}"
    outer = rf"{{\field{{\*\fldinst SYMBOL 65\par {inner}}}{{\fldrslt {inner}}}}}"
    hidden = r"{\v{\field{\*\fldinst SYMBOL 65 \\a}}}"
    same(whole(read(rf"{{\rtf1\ansi x{outer}y\par {hidden}z\par}}", "a.rtf")), "xcy\n\nz")


@case(".doc: comments with their author, endnotes counted apart, fields that keep no result")
def binary_word() -> None:
    data = (DATA / "notes.doc").read_bytes()
    for typed in "<EQ", "9(to),base)>", "<SYMBOL", "s 10>":  # the marks that part a field from the text
        data = data.replace(
            typed.encode("utf-16-le"), typed.replace("<", "\x13").replace(">", "\x15").encode("utf-16-le")
        )
    same(
        whole(read(data, "a.doc")),
        "서울 guide\n\n[Kim Hana] check this\n\n[i] end one\n\nBeta base(to) after\n\n[1] foot one\n\n"
        "Sym • done\n\n[2] foot two\n\n[ii] end two",
    )


def biff(kind: int, content: bytes = b"") -> bytes:
    """A record of a binary workbook ([MS-XLSB] 2.1.4)."""

    def packed(number: int) -> bytes:
        return bytes([number & 127 | 128]) + packed(number >> 7) if number > 127 else bytes([number])

    return packed(kind) + packed(len(content)) + content


def wide(text: str) -> bytes:
    return struct.pack("<I", len(text)) + text.encode("utf-16-le")


def cell(kind: int, column: int, content: bytes, style: int = 0) -> bytes:
    return biff(kind, struct.pack("<II", column, style) + content)


def at(place: int) -> bytes:
    """The head of a row, counted from 0."""
    return biff(0, struct.pack("<IIHBBBI", place, 0, 300, 0, 0, 0, 0))


STRINGS = ("분야", "금액", "비율", "날짜", "교통")
BINARY_ROWS = b"".join(
    (
        at(0), *(cell(7, column, struct.pack("<I", column)) for column in range(4)),
        at(1), cell(7, 0, struct.pack("<I", 4)), cell(5, 1, struct.pack("<d", 1234567), 1),
        cell(2, 2, struct.pack("<i", 35 << 2 | 3), 2), cell(5, 3, struct.pack("<d", 45351), 3),
        at(2), cell(6, 0, wide("합 계")), cell(9, 1, struct.pack("<dH", 12.5, 0) + bytes(8), 0),
        cell(10, 2, b"\1" + bytes(10)), cell(3, 3, b"\7"),
    )
)  # fmt: skip


def xlsb(rows: Mapping[str, bytes], **parts: bytes) -> bytes:
    """A binary workbook with these rows in its sheets; further parts of the first sheet by their kind."""
    sheets_ = {f"worksheets/sheet{number}.bin": content for number, content in enumerate(rows.values(), 1)}
    bundle = b"".join(
        biff(156, struct.pack("<II", 0, number) + wide(f"sheet{number}") + wide(name))
        for number, name in enumerate(rows, 1)
    )
    formats = biff(44, struct.pack("<H", 164) + wide("#,##0원")) + biff(44, struct.pack("<H", 165) + wide("yyyy-mm-dd"))
    styles = b"".join(biff(47, struct.pack("<HH12x", 0, code)) for code in (0, 164, 10, 165))
    strings = b"".join(biff(19, b"\0" + wide(one)) for one in STRINGS)
    made: dict[str, str | bytes] = {
        "xl/workbook.bin": biff(131) + biff(153, bytes(12)) + biff(143) + bundle + biff(144) + biff(132),
        "xl/styles.bin": biff(278) + biff(615, b"\2\0\0\0") + formats + biff(616)
        + biff(617, b"\4\0\0\0") + styles + biff(618) + biff(279),
        "xl/sharedStrings.bin": biff(159, struct.pack("<II", 5, len(STRINGS))) + strings + biff(160),
    }  # fmt: skip
    for name, content in sheets_.items():
        inner = content if content.startswith(b"\xff") else (
            biff(129) + biff(148, struct.pack("<IIII", 0, 2, 0, 3)) + biff(145) + content + biff(146) + biff(130)
        )  # fmt: skip
        made[f"xl/{name}"] = inner
    links = "".join(f'<Relationship Id="c" Type="{_R}/{kind}" Target="../{kind}.bin"/>' for kind in parts)
    made["xl/worksheets/_rels/sheet1.bin.rels"] = f"<Relationships>{links}</Relationships>"
    made |= {f"xl/{kind}.bin": content for kind, content in parts.items()}
    kind_of_content = "application/vnd.ms-excel.sheet.binary.macroEnabled.main"
    related = dict.fromkeys(sheets_, "worksheet") | {"styles.bin": "styles", "sharedStrings.bin": "sharedStrings"}
    return package("xl/workbook.bin", kind_of_content, made, related)


@case(
    "a binary workbook (.xlsb) as shown: formats, results of formulas, merged cells, notes; one damaged sheet is lost"
)
def binary_workbooks() -> None:
    author, note = (
        biff(632, wide("검토자")),
        biff(635, struct.pack("<IIIII16x", 0, 1, 1, 0, 0)) + biff(637, b"\0" + wide("확인")),
    )
    merged = biff(146) + biff(176, struct.pack("<IIII", 3, 4, 0, 0))
    below = (
        at(3) + cell(6, 0, wide("본사")) + cell(5, 1, struct.pack("<d", 1)) + at(4) + cell(5, 1, struct.pack("<d", 2))
    )
    found = only(read(xlsb({"예산": BINARY_ROWS + below + merged}, comments=author + note), "a.xlsb"))
    same(
        found.text,
        "분야 | 금액 | 비율 | 날짜\n분야: 교통 | 금액: 1,234,567원 | 비율: 35.00% | 날짜: 2024-02-29\n[검토자] 확인\n"
        "분야: 합 계 | 금액: 12.5 | 비율: TRUE | 날짜: #DIV/0!\n분야: 본사 | 금액: 1\n분야: 본사 | 금액: 2",
    )
    broken = only(read(xlsb({"좋은 시트": BINARY_ROWS, "깨진 시트": b"\xff\xff\xff\xff\xff\xff"}), "a.xlsb"))
    has(broken.text, "교통")
    has(str(broken.warnings), "partly read: sheet 깨진 시트 is damaged")


@case("far-apart cells of a binary workbook are read, other sheets too; what points outside of a sheet is left out")
def far_apart_binary_cells() -> None:
    far = at(0) + cell(6, 0, wide("처음")) + at(1_048_575) + cell(6, 16_383, wide("끝"))
    beyond = at(0xFFFFFFFE) + cell(6, 0xFFFFFFFE, wide("밖"))
    found = only(read(xlsb({"먼 셀": far + beyond, "예산": BINARY_ROWS}), "a.xlsb"))
    has(found.text, "처음\n끝", "분야: 교통")
    lacks(found.text, "밖")
    same([page.label for page in found.pages], ["먼 셀", "예산"])
