"""PDF files."""

from __future__ import annotations

from kosearch.extract import ExtractError
from kosearch.records import Extracted, Extraction, Reason

from . import case, has, only, same


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
