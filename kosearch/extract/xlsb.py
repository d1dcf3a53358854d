"""Binary workbooks ([MS-XLSB]; BIFF 12): the cells that are there, as shown, however far apart they lie."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass

from kosearch.extract import sheets
from kosearch.extract.builder import TextBuilder
from kosearch.extract.contract import ExtractError
from kosearch.extract.number_formats import BUILT_IN, Format, compiled, general
from kosearch.extract.opc import Parts
from kosearch.extract.sheets import Sheet
from kosearch.extract.xls import ERRORS, unpacked
from kosearch.records import Extraction, Reason

_ROW, _SHARED_STRING, _FORMAT, _STYLE = 0, 19, 44, 47
_PROPERTIES, _SHEET, _MERGED, _HEADERS = 153, 156, 176, 479
_STYLES_BEGIN, _STYLES_END = 617, 618
_AUTHOR, _COMMENT, _COMMENT_TEXT = 632, 635, 637
_PACKED, _ERROR, _BOOL, _REAL, _TEXT, _SHARED, _RICH = 2, 3, 4, 5, 6, 7, 62
_KINDS = {kind: kind for kind in (_PACKED, _ERROR, _BOOL, _REAL, _TEXT, _SHARED, _RICH)} | {
    8: _TEXT, 9: _REAL, 10: _BOOL, 11: _ERROR
}  # fmt: skip
"""Records of cells, those of formulas with the result that they keep."""
_SHORT = {13: _PACKED, 14: _ERROR, 15: _BOOL, 16: _REAL, 17: _TEXT, 18: _SHARED}
"""Records of cells that stand right of the one before."""
_BLANK, _SHORT_BLANK = 1, 12
_NOTHING = 0xFFFFFFFF
_ROWS, _COLUMNS = 1 << 20, 1 << 14
_DAMAGE = (struct.error, IndexError)


def read(parts: Parts, stated: tuple[str, dict[str, str]]) -> Extraction:
    """A workbook in parts, with the title and fields that it states elsewhere: a page a sheet, a line a row."""
    try:
        book = _Book(parts)
    except _DAMAGE as error:
        raise ExtractError(Reason.BROKEN, "a broken workbook") from error
    builder = TextBuilder()
    for number, (name, part) in enumerate(book.sheets, 1):
        sheets.write(builder, book.sheet(name, part), number)
    if book.damaged and book.damaged == len(book.sheets) and not builder.text.strip():
        raise ExtractError(Reason.BROKEN, "a broken workbook")
    title, metadata = stated
    return Extraction((builder.document("xlsx", title=title, metadata=metadata, warnings=book.warnings),))


def _records(parts: Parts, name: str) -> Iterator[tuple[int, bytes]]:
    """Number and content of each record of a part (2.1.4)."""
    if parts.package is None or name not in parts.package:
        return
    data = parts.package.read(name)
    place = 0
    while place < len(data):
        kind, place = _packed(data, place, 2)
        size, place = _packed(data, place, 4)
        if place + size > len(data):
            raise IndexError
        yield kind, data[place : place + size]
        place += size


def _packed(data: bytes, place: int, most: int) -> tuple[int, int]:
    """A number in groups of seven bits, and where the next one begins."""
    number = 0
    for at in range(most):
        byte = data[place + at]
        number |= (byte & 127) << 7 * at
        if byte < 128:
            break
    return number, place + at + 1


def _text(record: bytes, place: int) -> tuple[str, int]:
    """A string with its length before it, "" where there is none, and where it ends."""
    (size,) = struct.unpack_from("<I", record, place)
    size = 0 if size == _NOTHING else size
    end = place + 4 + 2 * size
    if end > len(record):
        raise IndexError
    return record[place + 4 : end].decode("utf-16-le", "replace"), end


def _line(record: bytes, place: int) -> str:
    return " ".join(_text(record, place)[0].split())


class _Book:
    """What the sheets of a workbook share."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        self.warnings: list[str] = []
        self.damaged = 0
        self.room = sheets.Room()
        self.sheets: list[tuple[str, str]] = []
        from_1904 = False
        main = parts.main("xlsx")
        for kind, record in _records(parts, main):
            if kind == _PROPERTIES:
                from_1904 = bool(record[0] & 1)
            elif kind == _SHEET:
                identifier, end = _text(record, 8)
                self.sheets.append((_text(record, end)[0], parts.target(main, identifier)))
        self.strings = [
            _line(record, 1)
            for name in parts.targets(main, "sharedStrings")
            for kind, record in _records(parts, name)
            if kind == _SHARED_STRING
        ]
        self.formats = [
            compiled(code, from_1904) for name in parts.targets(main, "styles") for code in self._codes(name)
        ]

    def _codes(self, name: str) -> Iterator[str]:
        """The format of each style of cells."""
        codes = dict(BUILT_IN)
        of_cells = False
        for kind, record in _records(self._parts, name):
            if kind == _FORMAT:
                codes[struct.unpack_from("<H", record)[0]] = _text(record, 2)[0]
            elif kind in (_STYLES_BEGIN, _STYLES_END):
                of_cells = kind == _STYLES_BEGIN
            elif kind == _STYLE and of_cells:
                yield codes.get(struct.unpack_from("<H", record, 2)[0], "General")

    def sheet(self, name: str, part: str) -> Sheet:
        """A sheet; what is damaged in it costs the rest of it only."""
        sheet = Sheet(name)
        cells = _Cells(self, sheet)
        try:
            for kind, record in _records(self._parts, part):
                cells.record(kind, record)
                if cells.full:
                    self.warnings.append(self.room.warning(name))
                    break
            for target in self._parts.targets(part, "comments"):
                self._comments(sheet, target)
        except (*_DAMAGE, ExtractError) as error:
            if isinstance(error, ExtractError) and error.reason is not Reason.BROKEN:
                raise
            self.damaged += 1
            self.warnings.append(f"partly read: sheet {name} is damaged")
        for target in self._parts.targets(part, "drawing"):
            sheet.after += sheets.drawn(self._parts, target)
        return sheet

    def _comments(self, sheet: Sheet, name: str) -> None:
        authors: list[str] = []
        author, row = "", 0
        for kind, record in _records(self._parts, name):
            if kind == _AUTHOR:
                authors.append(_line(record, 0))
            elif kind == _COMMENT:
                place, row = struct.unpack_from("<II", record)
                author = authors[place] if place < len(authors) else ""
            elif kind == _COMMENT_TEXT:
                text = _line(record, 1).removeprefix(f"{author}:").strip()
                if text:
                    sheet.notes[row].append(f"[{author}] {text}" if author else text)


@dataclass(slots=True)
class _Cells:
    """The cells, merged ranges, headers and footers of a sheet."""

    book: _Book
    sheet: Sheet
    full: bool = False
    _row: int = 0
    _column: int = -1

    def record(self, kind: int, record: bytes) -> None:
        if kind == _ROW:
            (self._row,) = struct.unpack_from("<I", record)
            self._column = -1
        elif kind in _KINDS or kind == _BLANK:
            self._column, style = struct.unpack_from("<II", record)
            self._put(_KINDS.get(kind, _BLANK), style & 0xFFFFFF, record, 8)
        elif kind in _SHORT or kind == _SHORT_BLANK:
            self._column += 1
            self._put(_SHORT.get(kind, _BLANK), struct.unpack_from("<I", record)[0] & 0xFFFFFF, record, 4)
        elif kind == _MERGED:
            self.sheet.spans.append(struct.unpack_from("<IIII", record))
        elif kind == _HEADERS:
            place = 2
            while place + 4 <= len(record):
                text, place = _text(record, place)
                if shown := sheets.furniture(text):
                    self.sheet.header.append(shown)

    def _put(self, kind: int, style: int, record: bytes, place: int) -> None:
        text = self._shown(kind, style, record, place)
        if text and self._row < _ROWS and self._column < _COLUMNS:
            self.sheet.rows.setdefault(self._row, {})[self._column] = text
            self.full = not self.book.room.take({self._column: text})

    def _shown(self, kind: int, style: int, record: bytes, place: int) -> str:
        if kind == _SHARED:
            (at,) = struct.unpack_from("<I", record, place)
            return self.book.strings[at] if at < len(self.book.strings) else ""
        if kind in (_REAL, _PACKED):
            formats = self.book.formats
            show: Format = formats[style] if style < len(formats) else general
            value: float = (
                struct.unpack_from("<d", record, place)[0]
                if kind == _REAL
                else unpacked(struct.unpack_from("<I", record, place)[0])
            )
            return show(value)
        if kind in (_TEXT, _RICH):
            return _line(record, place + (kind == _RICH))
        if kind == _BOOL:
            return "TRUE" if record[place] else "FALSE"
        return ERRORS.get(record[place], "") if kind == _ERROR else ""
