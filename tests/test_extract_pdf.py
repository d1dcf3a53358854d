"""PDFs made by hand: Korean text through a predefined character map, so that no font is embedded."""

from __future__ import annotations

import io
import zlib
from collections.abc import Sequence

import pytest

from kosearch.extract import ExtractError, extract
from kosearch.records import Extracted, Reason

SIZE = 10
# Every character of the font is as wide as it is high, so a line of n characters is n * SIZE points long.
FONT = (
    "<< /Type /Font /Subtype /Type0 /BaseFont /HYGothic /Encoding /UniKS-UTF16-H /DescendantFonts [<< /Type /Font"
    " /Subtype /CIDFontType0 /BaseFont /HYGothic /CIDSystemInfo << /Registry (Adobe) /Ordering (Korea1)"
    " /Supplement 1 >> /DW 1000 >>] >>"
)
Placed = tuple[float, float, str | list[str | int]]
"""Where a text starts, in points; a list holds texts and the widths between them, in thousandths of SIZE."""


def pdf(pages: Sequence[Sequence[Placed] | bytes], *, outline: Sequence[tuple[str, int]] = (), more: str = "") -> bytes:
    """A PDF whose pages show these texts at these places, or an image where a page is bytes of grey."""
    bodies: list[bytes] = [b"", b"", FONT.encode()]
    page_numbers = []
    for page in pages:
        if isinstance(page, bytes):
            bodies.append(
                _stream(
                    page,
                    "/Type /XObject /Subtype /Image /Width 4 /Height 4 /BitsPerComponent 8 /ColorSpace /DeviceGray",
                )
            )
            bodies.append(_stream(b"400 0 0 400 0 0 cm /I Do"))
            resources = f"/XObject << /I {len(bodies) - 1} 0 R >>"
        else:
            drawn = "\n".join(f"BT /F {SIZE} Tf {x} {y} Td [{_shown(text)}] TJ ET" for x, y, text in page)
            bodies.append(_stream(drawn.encode()))
            resources = "/Font << /F 3 0 R >>"
        bodies.append(
            f"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 600 800] /Contents {len(bodies)} 0 R"
            f" /Resources << {resources} >> >>".encode()
        )
        page_numbers.append(len(bodies))
    catalog = f"/Type /Catalog /Pages 2 0 R {more}"
    if outline:
        first = len(bodies) + 2
        bodies.append(f"<< /First {first} 0 R /Last {first + len(outline) - 1} 0 R >>".encode())
        catalog += f" /Outlines {len(bodies)} 0 R"
        for place, (title, page_number) in enumerate(outline):
            following = f"/Next {first + place + 1} 0 R" if place + 1 < len(outline) else ""
            bodies.append(
                f"<< /Title <feff{title.encode('utf-16-be').hex()}> /Parent {first - 1} 0 R {following}"
                f" /Dest [{page_numbers[page_number - 1]} 0 R /Fit] >>".encode()
            )
    bodies[0] = f"<< {catalog} >>".encode()
    kids = " ".join(f"{number} 0 R" for number in page_numbers)
    bodies[1] = f"<< /Type /Pages /Kids [{kids}] /Count {len(pages)} >>".encode()
    return _file(bodies)


def _shown(text: str | list[str | int]) -> str:
    parts = [text] if isinstance(text, str) else text
    return " ".join(str(-part) if isinstance(part, int) else f"<{part.encode('utf-16-be').hex()}>" for part in parts)


def _stream(data: bytes, entries: str = "") -> bytes:
    packed = zlib.compress(data)
    return f"<< {entries} /Filter /FlateDecode /Length {len(packed)} >> stream\n".encode() + packed + b"\nendstream"


def _file(bodies: Sequence[bytes]) -> bytes:
    info = "<< /Title (Budget) /Author (Kim) /CreationDate (D:20240229120000+09'00') >>"
    out = io.BytesIO()
    out.write(b"%PDF-1.7\n")
    places = []
    for number, body in enumerate([*bodies, info.encode()], 1):
        places.append(out.tell())
        out.write(f"{number} 0 obj\n".encode() + body + b"\nendobj\n")
    start = out.tell()
    out.write(f"xref\n0 {len(places) + 1}\n0000000000 65535 f \n".encode())
    out.write(b"".join(f"{place:010} 00000 n \n".encode() for place in places))
    out.write(f"trailer << /Root 1 0 R /Info {len(places)} 0 R /Size {len(places) + 1} >>\n".encode())
    out.write(f"startxref\n{start}\n%%EOF\n".encode())
    return out.getvalue()


def lines(texts: Sequence[str], *, x: float = 50, top: float = 750) -> list[Placed]:
    """Texts below each other, at one and a half times their height."""
    return [(x, top - 15 * row, text) for row, text in enumerate(texts)]


def read(data: bytes) -> Extracted:
    (document,) = extract(data, path="a.pdf").documents
    return document


def reason(data: bytes) -> Reason:
    with pytest.raises(ExtractError) as caught:
        extract(data, path="a.pdf")
    return caught.value.reason


WRAPPED = [
    "서울시는 내년도 예산안을 확정하였다고 밝혔",
    "다. 교통 분야와 복지 분야의 예산안이 크게 늘",
    "었다고 한다.",
]


def test_wrapped_lines_are_joined_and_words_stay_whole() -> None:
    assert read(pdf([lines(WRAPPED)])).text == (
        "서울시는 내년도 예산안을 확정하였다고 밝혔다. 교통 분야와 복지 분야의 예산안이 크게 늘었다고 한다."
    )


def test_a_wider_step_parts_paragraphs() -> None:
    page = lines(WRAPPED) + lines(["다음 문단이 여기에서 시작된다."], top=660)
    assert read(pdf([page])).text.endswith("늘었다고 한다.\n\n다음 문단이 여기에서 시작된다.")


def test_a_document_that_keeps_spaces_at_line_ends_is_read_as_such() -> None:
    page = lines(
        [
            "계약을 맺은 회사가 보험 ",
            "금을 낸다고 한 사람에게 ",
            "약관에 따라서 돌려줄 것이",
            "라고 정하여 두고 있다.",
        ]
    )
    assert (
        read(pdf([page])).text
        == "계약을 맺은 회사가 보험 금을 낸다고 한 사람에게 약관에 따라서 돌려줄 것이라고 정하여 두고 있다."
    )


def test_hyphenated_words_are_joined() -> None:
    assert "information retrieval" in read(pdf([lines(["A study of modern infor-", "mation retrieval in text."])])).text


def test_pages_and_outline_have_exact_offsets() -> None:
    first = lines(["제1장 총칙", "이 규정은 목적을 정한다."])
    second = lines(["제2장 보칙", "그 밖의 일을 정한다."])
    document = read(pdf([first, second], outline=[("제1장 총칙", 1), ("제2장  보칙", 2)]))
    assert [(page.number, document.text[page.start :][:5]) for page in document.pages] == [
        (1, "제1장 총"),
        (2, "제2장 보"),
    ]
    assert [document.text[heading.start :][:6] for heading in document.headings] == [
        "제1장 총칙",
        "제2장 보칙",
    ]


LONG = (
    "도서관은 이용자가 원하는 자료를 쉽게 찾을 수 있도록 목록을 만들어 두어야 합니다. 이용자는 도서관의 목록에서"
    " 자료의 이름과 저작자를 찾아보고 자료가 있는 곳을 알아낼 수 있습니다. 도서관이 가지고 있지 않은 자료는 다른"
    " 도서관에서 빌려 올 수 있으며 이용자는 사서에게 그 방법을 물어볼 수 있습니다."
)


def test_a_word_that_a_page_cuts_stays_whole() -> None:
    wrapped = [LONG[at : at + 24].strip() for at in range(0, len(LONG), 24)]
    assert LONG[71:73] == "작자"
    document = read(pdf([lines(wrapped[:3]), lines(wrapped[3:])]))
    assert document.text == LONG
    assert document.pages[1].start == 72


def test_page_labels_are_kept_where_they_differ_from_the_number() -> None:
    labels = "/PageLabels << /Nums [0 << /S /r >> 1 << /S /D /St 2 >>] >>"
    document = read(pdf([lines(["머리말"]), lines(["본문"])], more=labels))
    assert [(page.number, page.label) for page in document.pages] == [(1, "i"), (2, "")]


def test_running_headers_and_footers_stand_once_and_content_stays() -> None:
    pages = [
        [
            (50, 780, "한국은행 연차보고서"),
            *lines([f"{word} 이야기를 적는다.", "날마다 같은 문장."], top=600),
            (300, 20, f"- {number} -"),
        ]
        for number, word in enumerate(["가을", "겨울", "봄날", "여름"], 1)
    ]
    text = read(pdf(pages)).text
    assert text.count("연차보고서") == 1
    assert "- 3 -" not in text
    assert text.count("이야기를 적는다.") == 4


def test_articles_at_page_tops_are_no_running_header() -> None:
    pages = [lines([f"제{article}조", "내용을 적는다."]) for article in (1, 4, 9, 15, 16)]
    assert "제9조" in read(pdf(pages)).text


def test_a_page_of_nothing_but_running_lines_is_kept() -> None:
    assert read(pdf([lines([f"{number}쪽"]) for number in range(1, 5)])).text == "1쪽\n\n2쪽\n\n3쪽\n\n4쪽"


def test_table_rows_stay_lines() -> None:
    page = [
        (x, y, cell)
        for y, row in [(700, "이름 나이 사는곳"), (685, "철수 서른 서울시"), (670, "영희 마흔 부산시")]
        for x, cell in zip((50, 200, 400), row.split(), strict=True)
    ]
    assert read(pdf([page])).text == "이름 나이 사는곳\n철수 서른 서울시\n영희 마흔 부산시"


def test_letter_spaced_text_has_its_words_back() -> None:
    sentence = "서울시는 내년도 예산안을 확정하였다고 오늘 아침에 밝혔으며 시민 단체는 이를 환영하였다"
    shown: list[str | int] = []
    for character in sentence:
        shown += [400] if character == " " else [character, 320]
    page: list[Placed] = [(20, 700, shown)]
    assert read(pdf([page])).text == sentence


def test_leader_dots_are_dropped() -> None:
    assert (
        read(pdf([lines(["제1장 총칙 ················ 3", "제2장 보칙 ················ 9"])])).text
        == "제1장 총칙 3\n제2장 보칙 9"
    )


def test_metadata() -> None:
    document = read(pdf([lines(["본문"])]))
    assert document.title == "Budget"
    assert document.metadata == {"author": "Kim", "created": "2024-02-29T12:00:00+09:00"}


def test_a_scanned_file_says_so() -> None:
    assert reason(pdf([bytes(16), bytes(16)])) is Reason.SCANNED


def test_scanned_pages_among_others_are_named() -> None:
    document = read(pdf([lines(["본문"]), bytes(16), bytes(16), [], bytes(16)]))
    assert document.warnings == ("3 scanned pages not read (2-3, 5): text in pictures was not asked for",)


def test_blank_pages_are_no_scan() -> None:
    assert reason(pdf([[], []])) is Reason.NO_TEXT


def encrypted(password: str) -> bytes:
    import pypdf

    writer = pypdf.PdfWriter(io.BytesIO(pdf([lines(["비밀 문서의 본문"])])))
    writer.encrypt(password, owner_password="owner", algorithm="RC4-128")
    out = io.BytesIO()
    writer.write(out)
    return out.getvalue()


def test_an_empty_password_opens_and_another_does_not() -> None:
    assert "비밀 문서의 본문" in read(encrypted("")).text
    assert reason(encrypted("secret")) is Reason.ENCRYPTED


def test_text_that_pdfium_cannot_place_is_read_by_the_second_reader() -> None:
    assert read(pdf([[(50, 700, "가")], lines(["본문이 여기 있다."])])).text == "가\n\n본문이 여기 있다."


def test_what_is_no_pdf_inside_is_broken() -> None:
    assert reason(b"%PDF-1.7\nnothing follows") is Reason.BROKEN


def test_comments_and_filled_fields_are_text() -> None:
    import pypdf
    from pypdf.annotations import FreeText, Text
    from pypdf.generic import DictionaryObject, NameObject, TextStringObject

    writer = pypdf.PdfWriter(io.BytesIO(pdf([lines(["본문"])])))
    writer.add_annotation(0, Text(rect=(0, 0, 9, 9), text="고치라는 메모"))
    writer.add_annotation(0, FreeText(rect=(0, 0, 9, 9), text="덧붙인 글"))
    for kind, value in (("/Tx", "김철수"), ("/Btn", "Yes")):
        field = DictionaryObject({NameObject("/FT"): NameObject(kind), NameObject("/V"): TextStringObject(value)})
        field[NameObject("/Type")] = NameObject("/Annot")
        field[NameObject("/Subtype")] = NameObject("/Widget")
        writer.add_annotation(0, field)
    out = io.BytesIO()
    writer.write(out)
    assert read(out.getvalue()).text == "본문\n\n고치라는 메모\n\n덧붙인 글\n\n김철수"
