"""HWP, Office, OpenDocument, EPUB, RTF and notebooks: what of each format is kept, and what is refused."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Mapping
from pathlib import Path

import pytest

from kosearch.extract import ExtractError, extract
from kosearch.extract.text import table_lines
from kosearch.records import Extracted, Reason
from tests.cases.office import BINARY_ROWS, xlsb

DATA = Path(__file__).parent / "data" / "extract"


def read(name: str) -> Extracted:
    (document,) = extract((DATA / name).read_bytes(), path=name).documents
    return document


def changed(name: str, parts: Mapping[str, str]) -> bytes:
    """The sample package with these members in the place of its own."""
    out = io.BytesIO()
    with zipfile.ZipFile(DATA / name) as old, zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as new:
        for member in old.namelist():
            new.writestr(member, parts.get(member, old.read(member)))
    return out.getvalue()


def reason(data: bytes, path: str = "a") -> Reason:
    with pytest.raises(ExtractError) as caught:
        extract(data, path=path)
    return caught.value.reason


TEXTS = {
    "numbered.hwp": "서울시 예산안\n\n1. 총칙\n\n1.1. 목적을 정한다.\n\n1.2. 뜻을 정한다.\n\n2. 보칙\n\n"
    "교통과 복지 분야의 예산안이 늘었다.",
    "plan.hwpx": "서울시 예산안\n\n가. 교통\n\n○ 지하철\n\n나. 복지\n\n해 | 원\n2023 | 44조\n2024 | 45조",
    "old.hml": "서울시 예산안\t요약\n\n앞 뒤\n\n해 | 원\n\n각주의 글",
    "report.docx": "서울시 예산안\n\n교통 분야가 늘었다.\n\n[1] 각주의 글\n\n해 | 원\n2023 | 44조\n2024 | 45조",
    "slides.pptx": "서울시 예산안\n\n교통 분야\n\n말할 것\n\n둘째 장\n\n복지 분야",
    "sheet.xlsx": "분야 | 비율 | 날짜\n분야: 서울 교통 | 비율: 3.50% | 날짜: 2024-02-29\n"
    "분야: 복지 | 비율: 12.00% | 날짜: 2024-03-01\n\n한 칸",
    "old.doc": "서울시 예산안\n\n교통 분야가 늘었다.",
    "numbers.doc": "제1장 서울시 예산안\n\n교통\n\n가. 지하철\n\n나. 버스\n\n[1] 각주의 글\n\n① 마을버스\n\n"
    "제2장 보칙\n\n제7장 별표\n\n끝",
    "old.ppt": "서울시 예산안\n\n교통 분야",
    "old.xls": "분야 | 원\n분야: 서울 교통 | 원: 1조\n분야: 복지 | 원: 2조",
    "text.odt": "서울시 예산안\n\n교통  분야가 늘었다.\n\n[1] 각주의 글\n\n- 하나\n- 둘\n\n해 | 원\n2024 | 45조",
    "budget.xml": "분야 | 비율\n분야: 서울 교통 | 비율: 10.0%\n분야: 복지 | 비율: 20.0%",
    "table.ods": "분야 | 원\n분야: 서울 교통 | 원: 1조\n분야: 복지 | 원: 2조",
    "book.epub": "첫째 장\n\n서울에서 끝\n\n둘째 장\n\n부산에서 끝",
    "letter.rtf": "서울시 예산안\n\n교통 복지 link\n\n해 | 원\n2024 | 45조\n\n끝",
    "study.ipynb": "# 서울 인구\n\n설명\n\nprint(940)\n\n940",
}


@pytest.mark.parametrize("name", TEXTS)
def test_text_and_order(name: str) -> None:
    assert read(name).text == TEXTS[name]


@pytest.mark.parametrize(
    ("name", "kind", "stated"),
    [
        ("numbered.hwp", "hwp", {"author", "created"}),
        ("plan.hwpx", "hwp", {"author", "created", "language"}),
        ("old.hml", "hwp", {"author"}),
        ("report.docx", "docx", {"author", "created"}),
        ("old.doc", "doc", {"author", "created"}),
        ("text.odt", "odt", {"author", "created", "language"}),
        ("letter.rtf", "rtf", {"author", "created"}),
    ],
)
def test_title_author_and_dates(name: str, kind: str, stated: set[str]) -> None:
    document = read(name)
    assert document.kind == kind
    assert document.title == "예산 설명"
    assert document.metadata["author"] == "김철수"
    assert set(document.metadata) == stated
    assert document.metadata.get("created", "2024-01").startswith("2024-01")


def test_slides_and_sheets_are_pages() -> None:
    slides, sheets = read("slides.pptx"), read("sheet.xlsx")
    assert [(page.number, slides.text[page.start :][:2]) for page in slides.pages] == [(1, "서울"), (2, "둘째")]
    assert [(page.label, sheets.text[page.start :][:3]) for page in sheets.pages] == [
        ("예산", "분야 "),
        ("인구", "한 칸"),
    ]


def test_levels_of_old_word() -> None:
    """By the place of the style, and by the outline level of a style of the user's own."""
    found = [(heading.level, heading.title) for heading in read("numbers.doc").headings]
    assert found == [(1, "제1장 서울시 예산안"), (2, "교통"), (1, "제2장 보칙")]


def test_a_long_table_repeats_its_header() -> None:
    rows = [["이름", "뜻"], *([f"낱말 {number}", "풀이"] for number in range(20))]
    lines = list(table_lines(rows, named_columns=False))
    assert lines[0] == "이름 | 뜻"
    assert lines.count("이름 | 뜻") == 2
    assert len(lines) == len(rows) + 1


def test_a_table_without_a_header_invents_none() -> None:
    assert list(table_lines([["1", "2"], ["3", ""]], named_columns=True)) == ["1 | 2", "3"]


def test_binary_workbooks_have_the_cells_that_calamine_finds() -> None:
    """No program makes .xlsb here: what the tests make by hand is held against another reader of it."""
    from python_calamine import CalamineWorkbook

    workbook = CalamineWorkbook.from_filelike(io.BytesIO(xlsb({"예산": BINARY_ROWS, "빈 시트": b""})))
    assert workbook.sheet_names == ["예산", "빈 시트"]
    rows = workbook.get_sheet_by_name("예산").to_python()
    assert rows[0] == ["분야", "금액", "비율", "날짜"]
    assert rows[1][:3] == ["교통", 1234567.0, 0.35]
    assert rows[2][:3] == ["합 계", 12.5, True]


def test_a_workbook_has_its_limits(monkeypatch: pytest.MonkeyPatch) -> None:
    from kosearch.extract import sheets

    monkeypatch.setattr(sheets, "MOST_CELLS", 3)
    assert read("sheet.xlsx").warnings[0] == "only a part of sheet 예산 is read: the workbook is too large"
    monkeypatch.setattr(sheets, "MOST_CELLS", 100)
    monkeypatch.setattr(sheets, "MOST_CHARACTERS", 3)
    assert read("sheet.xlsx").warnings


ENTITIES = '<!DOCTYPE x [<!ENTITY a "서울">' + "".join(
    f'<!ENTITY {name} "&{inner};&{inner};&{inner};&{inner};">'
    for inner, name in zip("abcdefghijk", "bcdefghijkl", strict=True)
)


def test_entities_are_never_expanded() -> None:
    bomb = f"{ENTITIES}]><x ><body>&l;</body></x>"
    outside = '<!DOCTYPE x [<!ENTITY a SYSTEM "file:///etc/passwd">]><x><body><text><p>&a;</p></text></body></x>'
    for content in (bomb, outside):
        assert reason(changed("text.odt", {"content.xml": content})) is Reason.BROKEN
    assert reason(changed("report.docx", {"word/document.xml": bomb})) is Reason.BROKEN
    assert reason(bomb.replace("<x ", "<HWPML ").replace("</x>", "</HWPML>").encode(), "a.hml") is Reason.BROKEN


def test_what_swells_is_refused() -> None:
    assert reason(changed("text.odt", {"content.xml": " " * (80 << 20)})) is Reason.TOO_LARGE
    assert reason(changed("text.odt", {"content.xml": "<x>" + " " * (40 << 20)})) is Reason.TOO_LARGE


def test_deep_xml_ends() -> None:
    assert reason(changed("text.odt", {"content.xml": "<x>" * 100_000})) is Reason.BROKEN


def test_no_text_is_a_reason() -> None:
    empty = '<w:document xmlns:w="http://schemas.openxmlformats.org/wordprocessingml/2006/main"><w:body/></w:document>'
    assert reason(changed("report.docx", {"word/document.xml": empty, "word/footnotes.xml": empty})) is Reason.NO_TEXT


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (b"HWP Document File V3.00 \x1a\x01\x02\x03\x04\x05", Reason.UNSUPPORTED),
        (b"PK\x03\x04 and nothing more", Reason.BROKEN),
        (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(600), Reason.BROKEN),
        (b"{\\rtf1 ", Reason.NO_TEXT),
        (b"{" * 3, None),
    ],
)
def test_signatures_without_a_document(data: bytes, expected: Reason | None) -> None:
    if expected is None:
        assert extract(data, path="a.txt").documents
    else:
        assert reason(data, "a.hwp") is expected


def test_rtf_skips_what_stands_in_for_unicode_and_reads_surrogates() -> None:
    source = (
        rb"{\rtf1\ansi\ansicpg949\uc2 \u44032??\u-10179??\u-8704??"
        rb"\uc0\u45208 {\uc1 \u45796'}\'b0\'a1 {\*\unknown x}\emdash}"
    )
    (document,) = extract(source, path="a.rtf").documents
    assert document.text == "가😀나다가 —"


def test_distribution_documents_are_decrypted_as_dochan_does() -> None:
    from dochan.utils.aes import aes128_ecb_decrypt

    from kosearch.extract.hwp import decrypt

    key, data = bytes(range(16)), bytes(number * 7 % 256 for number in range(16 * 50))
    assert decrypt(key, data) == aes128_ecb_decrypt(key, data)
    assert decrypt(key, b"") == b""


@pytest.mark.parametrize("text", ["가나다 abc\r", "", "글", "끝\r더", "😀 글\r", "앞\t뒤\r", "한\x0b\x00뒤"])
def test_plain_paragraphs_are_read_as_dochan_does(text: str) -> None:
    from dochan.hwp.records.para_text import parse_para_text

    from kosearch.extract.hwp import plain_text

    data = text.encode("utf-16-le")
    assert plain_text(data) in (None, parse_para_text(data))
    assert (plain_text(data) is None) == any((letter < " " and letter != "\r") or letter > "\uffff" for letter in text)


def test_a_document_is_walked_as_dochan_does(tmp_path: Path) -> None:
    from dochan.model.document import Document

    from kosearch.extract.hwp import parse_compound

    document = parse_compound(str(DATA / "numbered.hwp"))
    for kind in ("paragraph", "table", "image", "header_footer", "note", "equation"):
        found, right = document.find_all(kind), Document.find_all(document, kind)
        assert list(map(id, found)) == list(map(id, right))
    assert document.find_all("paragraph")
