"""PDF files."""

from __future__ import annotations

import io
from collections.abc import Callable, Sequence

import pypdf
from PIL import Image
from reportlab.lib.utils import ImageReader
from reportlab.pdfbase.cidfonts import UnicodeCIDFont
from reportlab.pdfbase.pdfmetrics import registerFont
from reportlab.pdfgen.canvas import Canvas

from kosearch.extract import ExtractError
from kosearch.records import Extracted, Extraction, Reason

from . import case, has, lacks, only, read, same


def page_texts(document: Extracted) -> list[str]:
    """What each page holds, page by page."""
    starts = [page.start for page in document.pages]
    return [document.text[start:end] for start, end in zip(starts, [*starts[1:], None], strict=True)]


def reads_in_order(text: str, *parts: str) -> None:
    """Each part stands behind the one before."""
    place = 0
    for part in parts:
        has(text[place:], part)
        place = text.index(part, place) + len(part)


@case("left column, then right", file="50-columns-rowwise.pdf")
def columns_row_by_row(found: Extraction) -> None:
    text = only(found).text
    reads_in_order(text, "왼쪽 단의 첫째 줄", "왼쪽 단의 둘째 줄", "왼쪽 단의 다섯째", "오른쪽 단의 첫째")
    same(text.rindex("왼쪽 단의") < text.index("오른쪽 단의"), True)


@case("rows as lines", file="51-rotate.pdf")
def rotated_page(found: Extraction) -> None:
    reads_in_order(only(found).text, "돌린 쪽의 첫 줄", "\n", "돌린 쪽의 둘째 줄", "\n", "돌린 쪽의 셋째 줄")


@case("the attachment is read", file="55-attach.pdf")
def attachment(found: Extraction) -> None:
    same(len(found.documents) + len(found.skipped), 2)


@case("known as scanned although a stamp has text", file="56-scan-stamp.pdf", refused=True)
def scan_with_stamp(error: ExtractError) -> None:
    same(error.reason, Reason.SCANNED)


@case("each page keeps its title line", file="62-date.pdf")
def daily_reports(found: Extraction) -> None:
    for day, text in enumerate(page_texts(only(found)), 1):
        has(text, f"2026년 3월 {day}일 일일업무보고")


@case("each page keeps its title line", file="62-cases-per-page.pdf")
def cases_on_pages(found: Extraction) -> None:
    for number, text in enumerate(page_texts(only(found)), 1):
        has(text, f"사례 {number}")


def drawn(pages: Sequence[Callable[[Canvas], None]]) -> bytes:
    out = io.BytesIO()
    registerFont(UnicodeCIDFont("HYGothic-Medium"))
    canvas = Canvas(out, pagesize=(595, 842))
    for page in pages:
        canvas.setFont("HYGothic-Medium", 11)
        page(canvas)
        canvas.showPage()
    canvas.save()
    return out.getvalue()


def lines(*texts: str, x: float = 60, y: float = 780) -> Callable[[Canvas], None]:
    def draw(canvas: Canvas) -> None:
        for row, line in enumerate(texts):
            canvas.drawString(x, y - 16 * row, line)

    return draw


@case("numbers and dates at an edge are no running line; what repeats word for word, and page numbers are")
def titles_that_count() -> None:
    for title in (
        "[별지 제{n}호서식]",
        "제{n}차 이사회 회의록",
        "2026. 3. {n}. 일일보고",
        "{n}. 사업 개요",
        "사건번호 2026가단{n}",
    ):
        pages = [
            lines(title.format(n=n), f"{word} 이야기를 적는다.", "대외비 문서", f"- {n} -")
            for n, word in enumerate(["가을", "겨울", "봄날", "여름", "장마"], 1)
        ]
        texts = page_texts(only(read(drawn(pages), "a.pdf")))
        for n, text in enumerate(texts, 1):
            has(text, title.format(n=n))
            lacks(text, f"- {n} -")
    same(sum("대외비" in text for text in texts), 1)


@case("CP949 that a program took for Latin-1, in text and title")
def mojibake() -> None:
    def page(canvas: Canvas) -> None:
        canvas.setFont("Helvetica", 12)
        canvas.setTitle("서버 점검".encode("cp949").decode("latin-1"))
        canvas.drawString(60, 780, "서버 점검 안내".encode("cp949").decode("latin-1"))
        canvas.drawString(60, 700, "Café à côté, 20 °C ·· naïve")

    document = only(read(drawn([page]), "a.pdf"))
    has(document.text, "서버 점검 안내", "Café à côté, 20 °C ·· naïve")
    same(document.title, "서버 점검")


@case("a table on a page turned either way: rows are lines")
def turned_table() -> None:
    for angle in (90, 270):

        def page(canvas: Canvas, angle: int = angle) -> None:
            canvas.translate(300, 400)
            canvas.rotate(angle)
            for row, cells in enumerate(
                (("직급 이름", "본봉 합계"), ("사원 과장", "3,000,000"), ("대리 차장", "4,000,000"))
            ):
                canvas.drawString(-250, 100 - 16 * row, cells[0])
                canvas.drawString(-50, 100 - 16 * row, cells[1])

        same(only(read(drawn([page]), "a.pdf")).text, "직급 이름 본봉 합계\n사원 과장 3,000,000\n대리 차장 4,000,000")


@case("a table drawn row by row stays a table")
def table_is_no_column() -> None:
    def page(canvas: Canvas) -> None:
        for row in range(6):
            canvas.drawString(60, 780 - 16 * row, f"항목 {row}")
            canvas.drawString(300, 780 - 16 * row, f"{row},000원")

    reads_in_order(only(read(drawn([page]), "a.pdf")).text, "항목 0 0,000원", "항목 1 1,000원")


@case("files attached to the document and to a place on a page are documents")
def attached_files() -> None:
    writer = pypdf.PdfWriter(io.BytesIO(drawn([lines("본문")])))
    writer.add_attachment("규정.txt", "첨부한 규정".encode())
    file = pypdf.generic.StreamObject()
    file._data = "쪽에 붙인 글".encode()
    note = pypdf.generic.DictionaryObject()
    name = pypdf.generic.NameObject
    spec = pypdf.generic.DictionaryObject({
        name("/Type"): name("/Filespec"), name("/UF"): pypdf.generic.TextStringObject("쪽지.txt"),
        name("/EF"): pypdf.generic.DictionaryObject({name("/F"): writer._add_object(file)}),
    })  # fmt: skip
    note.update({
        name("/Type"): name("/Annot"), name("/Subtype"): name("/FileAttachment"), name("/FS"): spec,
        name("/Rect"): pypdf.generic.ArrayObject([pypdf.generic.NumberObject(9)] * 4),
    })  # fmt: skip
    writer.add_annotation(0, note)
    out = io.BytesIO()
    writer.write(out)
    found = read(out.getvalue(), "a.pdf").documents
    same(
        [(one.member, one.text) for one in found],
        [("", "본문"), ("규정.txt", "첨부한 규정"), ("쪽지.txt", "쪽에 붙인 글")],
    )


@case("a cover is no scan though a picture fills it; a scan with a stamp is named among other pages")
def covers_and_scans() -> None:
    picture = ImageReader(Image.new("L", (60, 80), 128))

    def cover(canvas: Canvas) -> None:
        canvas.drawImage(picture, 0, 0, 595, 842)
        canvas.drawString(200, 500, "연차보고서")

    def scan(canvas: Canvas) -> None:
        canvas.drawImage(picture, 0, 0, 595, 842)
        canvas.drawString(450, 20, "접수 2026-03-02")

    document = only(read(drawn([cover, scan, lines("본문이 있는 쪽이다.")]), "a.pdf"))
    same(document.warnings, ("1 scanned page not read (2): text in pictures was not asked for",))
    has(document.text, "연차보고서", "접수 2026-03-02")
