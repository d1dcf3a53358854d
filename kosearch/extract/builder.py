"""A document's text, block by block, so that the offsets of headings and pages are exact; tables as lines of it."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from itertools import zip_longest

from kosearch.extract.decoding import normalise
from kosearch.records import MAX_TITLE, Extracted, Heading, PageStart

PARAGRAPH = "\n\n"
LINE = "\n"


class TextBuilder:
    """Collects normalised blocks; headings and pages begin where the next block begins."""

    def __init__(self) -> None:
        self._parts: list[str] = []
        self._length = 0
        self._headings: list[Heading] = []
        self._pages: list[PageStart] = []
        self._waiting: list[tuple[int, str]] = []

    def add(self, text: str, *, gap: str = PARAGRAPH) -> int:
        """Append a block after `gap`, nothing when it is blank; returns where it starts."""
        text = normalise(text).strip("\n").rstrip()
        if not text.strip():
            return self._length
        if self._parts:
            self._push(gap)
        self._pages += [PageStart(self._length, number, label) for number, label in self._waiting]
        self._waiting.clear()
        start = self._length
        self._push(text)
        return start

    def heading(self, title: str, level: int, *, gap: str = PARAGRAPH) -> None:
        """Append a heading as a block of its own."""
        title = " ".join(normalise(title).split())
        if title:
            self._headings.append(Heading(self.add(title, gap=gap), level, _limited(title)))

    def mark(self, headings: Sequence[Heading]) -> None:
        """Note headings whose text is already there."""
        self._headings += [Heading(one.start, one.level, _limited(one.title)) for one in headings]

    def page(self, number: int, label: str = "") -> None:
        """The next block begins this page; a page without text has no place in the text."""
        self._waiting = [(number, label)]

    def append(self, document: Extracted) -> int:
        """Append a document as a part of this one, with its headings; returns where it starts."""
        start = self.add(document.text)
        self._headings += [Heading(start + part.start, part.level, part.title) for part in document.headings]
        return start

    @property
    def text(self) -> str:
        return "".join(self._parts)

    @property
    def length(self) -> int:
        return self._length

    def document(
        self,
        kind: str,
        *,
        title: str = "",
        metadata: Mapping[str, str] | None = None,
        warnings: Sequence[str] = (),
    ) -> Extracted:
        """The finished record; the title is the first heading unless the document states one."""
        title = _limited(" ".join(normalise(title).split()))
        return Extracted(
            text=self.text,
            kind=kind,
            title=title or (self._headings[0].title if self._headings else ""),
            headings=tuple(self._headings),
            pages=tuple(self._pages),
            metadata={key: value for key, value in (metadata or {}).items() if value},
            warnings=tuple(warnings),
        )

    def _push(self, text: str) -> None:
        self._parts.append(text)
        self._length += len(text)


def _limited(title: str) -> str:
    return title if len(title) <= MAX_TITLE else title[: MAX_TITLE - 1].rstrip() + "…"


_WORD = re.compile(r"[^\W\d]")
_AMOUNT = re.compile(r"[\d,.]+(?:원|%|명|개)?$")
# 업 체 명, 성 명 (인): labels are stretched to the width of their cell. Two syllables may be two words as well.
_SHORT_LABELS = (
    "결재 과장 구분 국장 규격 근거 금액 기간 나이 날짜 내용 단가 단위 담당 대상 대표 목적 방법 번호 부서"
    " 부장 분류 비고 사유 서명 성명 성별 소계 소속 수량 시간 연도 위치 이름 인원 일시 일자 장소 전공 전화"
    " 제목 주소 직급 직위 직책 총계 팀장 품명 품목 학교 학년 합계 항목 확인"
)
_SPACED_LABEL = re.compile(
    rf"\A(?:(?:[가-힣] ){{2,9}}[가-힣]|{'|'.join(f'{label[0]} {label[1]}' for label in _SHORT_LABELS.split())})"
    r"(?=\Z| ?[(:（：])"
)
_LONGEST_NAME = 40
_ROWS_TO_A_HEADER = 15


def row_line(cells: Sequence[str]) -> str:
    """A row: its cells that hold something, labels without the spaces that stretch them (업 체 명)."""
    return " | ".join(label for cell in cells if (label := together(" ".join(cell.split()))))


def together(text: str) -> str:
    """A short label written one syllable at a time, as one word; any other text as it is."""
    return _SPACED_LABEL.sub(lambda found: found[0].replace(" ", ""), text)


def table_lines(rows: Sequence[Sequence[str]], *, named_columns: bool) -> Iterator[str]:
    """A line a row; with names of columns, each value after its column's, else the header again every few rows."""
    header = _header(rows)
    names = rows[header] if header is not None else ()
    for number, row in enumerate(rows):
        if header is None or number < header or (named_columns and number == header):
            yield row_line(row)
        elif named_columns:
            cells = [" ".join(cell.split()) for cell in row]
            columns = zip_longest(map(together, names), cells, fillvalue="")
            yield " | ".join(f"{name}: {cell}" if name else cell for name, cell in columns if cell)
        else:
            if number > header and not (number - header) % _ROWS_TO_A_HEADER:
                yield row_line(names)
            yield row_line(row)


def _header(rows: Sequence[Sequence[str]]) -> int | None:
    """The row that names the columns: the first with more than one cell, if all of it are short words."""
    for number, row in enumerate(rows):
        names = [cell for cell in row if cell]
        if len(names) < 2:
            continue
        words = all(len(name) <= _LONGEST_NAME and _WORD.search(name) for name in names)
        distinct = len(set(names)) == len(names)
        return number if words and distinct and len(rows) - number > 2 and not any(map(_AMOUNT.match, names)) else None
    return None
