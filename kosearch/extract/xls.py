"""Excel workbooks to 2003 ([MS-XLS]; BIFF 5 and 8), and the XML form of 2003: the cells that are there, as shown."""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from xml.etree.ElementTree import Element

from kosearch.extract import sheets
from kosearch.extract.containers import attribute, compound_properties, element_properties, local
from kosearch.extract.sheets import BUILT_IN, Sheet, compiled, general, is_date
from kosearch.extract.text import ExtractError, TextBuilder
from kosearch.records import Extraction, Reason

_BOF, _EOF, _BOUND_SHEET, _CONTINUE, _FILE_PASS = 0x809, 0x0A, 0x85, 0x3C, 0x2F
_CODE_PAGE, _DATE_MODE, _FORMAT, _XF, _STRINGS = 0x42, 0x22, 0x41E, 0xE0, 0xFC
_LABEL_SST, _NUMBER, _RK, _MANY_RK, _LABEL, _RICH_LABEL = 0xFD, 0x203, 0x27E, 0xBD, 0x204, 0xD6
_BOOL_ERROR, _FORMULA, _STRING, _MERGED, _NOTE = 0x205, 0x06, 0x207, 0xE5, 0x1C
_OBJECT, _TEXT_OBJECT, _HEADER, _FOOTER, _SERIES_TEXT = 0x5D, 0x1B6, 0x14, 0x15, 0x100D
_BIFF8 = 0x600
_LARGEST_STREAM = 256 << 20
_NOTE_OBJECT = 0x19
ERRORS = {0: "#NULL!", 7: "#DIV/0!", 15: "#VALUE!", 23: "#REF!", 29: "#NAME?", 36: "#NUM!", 42: "#N/A"}
_DAMAGE = (struct.error, IndexError, ValueError, OSError, LookupError)


def read(data: bytes, path: str) -> Extraction:
    """A workbook in a compound file: a page a sheet, a line a row."""
    from dochan import cfb

    compound = cfb.OleFileIO(data)
    name = "Workbook" if compound.exists("Workbook") else "Book"
    book = _Book(compound.openstream(name).read()[:_LARGEST_STREAM])
    builder = TextBuilder()
    for number, (title, place) in enumerate(book.places, 1):
        sheet = Sheet(title)
        _Cells(book, sheet).run(place)
        sheets.write(builder, sheet, number)
    title, metadata = compound_properties(data)
    return Extraction((builder.document("xls", title=title, metadata=metadata, warnings=book.warnings),))


def _records(stream: bytes, place: int) -> Iterator[tuple[int, bytes]]:
    """Number and content of each record from here on."""
    while place + 4 <= len(stream):
        kind, size = struct.unpack_from("<HH", stream, place)
        yield kind, stream[place + 4 : place + 4 + size]
        place += 4 + size


class _Book:
    """What the sheets of a workbook share."""

    def __init__(self, stream: bytes) -> None:
        self.stream = stream
        self.places: list[tuple[str, int]] = []
        self.strings: list[str] = []
        self.formats: list[Callable[[float], str]] = []
        self.warnings: list[str] = []
        self.room = sheets.Room()
        self.version = _BIFF8
        self.encoding = "cp949"
        self._codes = dict(BUILT_IN)
        self._styles: list[int] = []
        self._from_1904 = False
        self._globals()
        self.formats = [compiled(self._codes.get(style, "General"), self._from_1904) for style in self._styles]

    def _globals(self) -> None:
        pieces: list[bytes] = []
        names: list[tuple[int, bytes]] = []
        for kind, record in _records(self.stream, 0):
            if kind == _CONTINUE and pieces:
                pieces.append(record)
                continue
            if pieces:
                self.strings = list(_shared_strings(pieces))
                pieces = []
            if kind == _EOF:
                break
            if kind == _STRINGS:
                pieces = [record]
            elif kind == _BOF:
                self.version = struct.unpack_from("<H", record)[0]
            elif kind == _FILE_PASS:
                raise ExtractError(Reason.ENCRYPTED, "encrypted: opening it needs a password")
            elif kind == _CODE_PAGE:
                self.encoding = _encoding(struct.unpack_from("<H", record)[0])
            elif kind == _DATE_MODE:
                self._from_1904 = record[:1] == b"\1"
            elif kind == _FORMAT:
                self._codes[struct.unpack_from("<H", record)[0]] = self.text(record, 2, 2 if self.is_8 else 1)
            elif kind == _XF:
                self._styles.append(struct.unpack_from("<H", record, 2)[0])
            elif kind == _BOUND_SHEET:
                names.append((struct.unpack_from("<I", record)[0], record))
        self.places = [(self.text(record, 6, 1), place) for place, record in names]

    @property
    def is_8(self) -> bool:
        return self.version >= _BIFF8

    def text(self, record: bytes, place: int, width: int) -> str:
        """A string whose length takes so many bytes."""
        size = int.from_bytes(record[place : place + width], "little")
        place += width
        if not self.is_8:
            return record[place : place + size].decode(self.encoding, "replace")
        flags, place = record[place], place + 1
        place += 2 * bool(flags & 8) + 4 * bool(flags & 4)
        wide = flags & 1
        return record[place : place + size * (1 + wide)].decode("utf-16-le" if wide else "latin-1", "replace")


def _encoding(page: int) -> str:
    try:
        return {1200: "utf-16-le", 32768: "mac-roman"}.get(page) or "".encode(f"cp{page}").decode() or f"cp{page}"
    except LookupError:
        return "cp1252"


def _shared_strings(pieces: Sequence[bytes]) -> Iterator[str]:
    """The strings of a table that may break off anywhere, characters behind a break by a width of their own."""
    reader = _Pieces(pieces)
    try:
        count = struct.unpack("<II", reader.take(8))[1]
        for _ in range(count):
            yield " ".join(reader.text().split())
    except (struct.error, IndexError):
        return


class _Pieces:
    """Reads on from one piece into the next."""

    def __init__(self, pieces: Sequence[bytes]) -> None:
        self._pieces = pieces
        self._piece = 0
        self._place = 0

    def take(self, size: int) -> bytes:
        parts = []
        while size:
            here = self._pieces[self._piece][self._place : self._place + size]
            if here:
                parts.append(here)
                self._place += len(here)
                size -= len(here)
            else:
                self._piece += 1
                self._place = 0
        return b"".join(parts)

    def text(self) -> str:
        size, flags = struct.unpack("<HB", self.take(3))
        runs = struct.unpack("<H", self.take(2))[0] if flags & 8 else 0
        extra = struct.unpack("<I", self.take(4))[0] if flags & 4 else 0
        parts = []
        while size:
            if self._place >= len(self._pieces[self._piece]):
                self._piece += 1
                self._place = 1
                flags = self._pieces[self._piece][0]
            wide = 1 + (flags & 1)
            here = min(size, max((len(self._pieces[self._piece]) - self._place) // wide, 1))
            parts.append(self.take(here * wide).decode("utf-16-le" if wide == 2 else "latin-1", "replace"))
            size -= here
        self.take(4 * runs + extra)
        return "".join(parts)


class _Cells:
    """The cells, merged ranges, notes and boxes of a sheet."""

    def __init__(self, book: _Book, sheet: Sheet) -> None:
        self._book = book
        self._sheet = sheet
        self._waiting: tuple[int, int] | None = None
        self._object = (0, 0)
        self._texts: dict[int, str] = {}
        self._notes: list[tuple[int, int, str]] = []
        self._box: tuple[int, int] | None = None

    def run(self, place: int) -> None:
        """Read the sheet that begins here."""
        depth = 0
        try:
            for kind, record in _records(self._book.stream, place):
                depth += (kind == _BOF) - (kind == _EOF)
                if not depth:
                    break
                if depth == 1:
                    self._record(kind, record)
                elif kind == _SERIES_TEXT:  # the names in a chart
                    self._sheet.after.append(self._book.text(record, 2, 1))
                if self._full:
                    self._book.warnings.append(self._book.room.warning(self._sheet.name))
                    break
        except _DAMAGE:
            self._book.warnings.append(f"partly read: sheet {self._sheet.name} is damaged")
        for row, identifier, named in self._notes:
            author = named.strip()
            text = " ".join(self._texts.pop(identifier, "").split())
            if author and text.startswith(f"{author}:"):
                text = text[len(author) + 1 :].strip()
            if text:
                self._sheet.notes[row].append(f"[{author}] {text}" if author else text)
        self._sheet.after += self._texts.values()

    _full = False

    def _record(self, kind: int, record: bytes) -> None:
        if kind == _LABEL_SST:
            row, column, _, place = struct.unpack_from("<HHHI", record)
            self._put(row, column, self._book.strings[place] if place < len(self._book.strings) else "")
        elif kind == _NUMBER:
            row, column, style, value = struct.unpack_from("<HHHd", record)
            self._put(row, column, self._shown(style, value))
        elif kind == _RK:
            row, column, style, value = struct.unpack_from("<HHHI", record)
            self._put(row, column, self._shown(style, unpacked(value)))
        elif kind == _MANY_RK:
            row, column = struct.unpack_from("<HH", record)
            for at in range(4, len(record) - 7, 6):
                style, value = struct.unpack_from("<HI", record, at)
                self._put(row, column + (at - 4) // 6, self._shown(style, unpacked(value)))
        elif kind in (_LABEL, _RICH_LABEL):
            row, column = struct.unpack_from("<HH", record)
            self._put(row, column, self._book.text(record, 6, 2))
        else:
            self._other(kind, record)

    def _other(self, kind: int, record: bytes) -> None:
        if kind == _BOOL_ERROR:
            row, column, _, value, is_error = struct.unpack_from("<HHHBB", record)
            self._put(row, column, ERRORS.get(value, "") if is_error else ("TRUE" if value else "FALSE"))
        elif kind == _FORMULA:
            self._formula(record)
        elif kind == _STRING and self._waiting:
            self._put(*self._waiting, self._book.text(record, 0, 2))
            self._waiting = None
        elif kind == _MERGED:
            for at in range(2, len(record) - 7, 8):
                self._sheet.spans.append(struct.unpack_from("<HHHH", record, at))
        elif kind in (_HEADER, _FOOTER) and record:
            if text := sheets.furniture(self._book.text(record, 0, 2 if self._book.is_8 else 1)):
                self._sheet.header.append(text)
        else:
            self._note(kind, record)

    def _formula(self, record: bytes) -> None:
        """The result that was kept; a text follows in a record of its own."""
        row, column, style = struct.unpack_from("<HHH", record)
        if record[12:14] != b"\xff\xff":
            self._put(row, column, self._shown(style, struct.unpack_from("<d", record, 6)[0]))
        elif record[6] == 0:
            self._waiting = (row, column)
        elif record[6] == 1:
            self._put(row, column, "TRUE" if record[8] else "FALSE")
        elif record[6] == 2:
            self._put(row, column, ERRORS.get(record[8], ""))

    def _note(self, kind: int, record: bytes) -> None:
        """Notes and boxes: an object, its text in the records behind it, and for a note the cell that it is at."""
        if kind == _OBJECT and len(record) >= 8:
            self._object = struct.unpack_from("<HH", record, 4)
        elif kind == _TEXT_OBJECT and len(record) >= 12:
            self._box = (self._object[1], struct.unpack_from("<H", record, 10)[0])
        elif kind == _CONTINUE and self._box and record:
            identifier, left = self._box
            wide = 1 + (record[0] & 1)
            text = record[1 : 1 + left * wide].decode("utf-16-le" if wide == 2 else "latin-1", "replace")
            self._texts[identifier] = self._texts.get(identifier, "") + text
            left -= len(text)
            self._box = (identifier, left) if left > 0 else None
        elif kind == _NOTE and self._book.is_8 and len(record) >= 11:
            row, _, _, identifier = struct.unpack_from("<HHHH", record)
            self._notes.append((row, identifier, self._book.text(record, 8, 2)))

    def _put(self, row: int, column: int, text: str) -> None:
        text = " ".join(text.split())
        if text:
            self._sheet.rows.setdefault(row, {})[column] = text
            self._full = not self._book.room.take({column: text})

    def _shown(self, style: int, value: float) -> str:
        formats = self._book.formats
        return (formats[style] if style < len(formats) else general)(value)


def unpacked(value: int) -> float:
    """A number packed into 30 bits (2.5.122)."""
    number: float
    if value & 2:
        number = float((value >> 2) - (1 << 30 if value >> 31 else 0))
    else:
        number = struct.unpack("<d", bytes(4) + struct.pack("<I", value & 0xFFFFFFFC))[0]
    return number / 100 if value & 1 else number


# --- SpreadsheetML (2003) -------------------------------------------------------------------------------------------

_NAMED_FORMATS = {
    "General Number": "General", "General Date": "yyyy-mm-dd h:mm", "Long Date": 'yyyy"년" m"월" d"일"',
    "Medium Date": "d-mmm-yy", "Short Date": "yyyy-mm-dd", "Long Time": "h:mm:ss AM/PM", "Medium Time": "h:mm AM/PM",
    "Short Time": "h:mm", "Currency": "₩#,##0", "Euro Currency": "€#,##0.00", "Fixed": "0.00",
    "Standard": "#,##0.00", "Percent": "0.00%", "Scientific": "0.00E+00",
}  # fmt: skip


@dataclass(slots=True)
class _Place:
    row: int = -1
    column: int = -1
    covered: dict[int, int] = field(default_factory=dict)
    """Columns that cells above reach down into, and the last row of each."""


def read_xml(root: Element) -> Extraction:
    """A workbook in the XML form of Excel 2003."""
    builder = TextBuilder()
    codes = {
        attribute(style, "ID"): attribute(one, "Format")
        for style in root.iter() if local(style) == "Style"
        for one in style if local(one) == "NumberFormat"
    }  # fmt: skip
    number = 0
    for worksheet in root:
        if local(worksheet) == "Worksheet":
            number += 1
            sheet = Sheet(attribute(worksheet, "Name"))
            place = _Place()
            for row in worksheet.iter():
                if local(row) == "Row":
                    _xml_row(sheet, row, place, codes)
            sheets.write(builder, sheet, number)
    title, metadata = element_properties(root)
    return Extraction((builder.document("xls", title=title, metadata=metadata),))


def _xml_row(sheet: Sheet, row: Element, place: _Place, codes: dict[str, str]) -> None:
    place.row = _stated(row, "Index", place.row + 2) - 1
    place.column = -1
    for cell in row:
        if local(cell) != "Cell":
            continue
        place.column = _stated(cell, "Index", place.column + 2) - 1
        while place.covered.get(place.column, -1) >= place.row:
            place.column += 1
        right, down = _stated(cell, "MergeAcross", 0), _stated(cell, "MergeDown", 0)
        code = codes.get(attribute(cell, "StyleID"), "General")
        for child in cell:
            if local(child) == "Data":
                text = _xml_value(attribute(child, "Type"), "".join(child.itertext()), _NAMED_FORMATS.get(code, code))
                if text:
                    sheet.rows.setdefault(place.row, {})[place.column] = text
            elif local(child) == "Comment":
                author, text = attribute(child, "Author"), " ".join("".join(child.itertext()).split())
                sheet.notes[place.row].append(f"[{author}] {text}" if author else text)
        if right or down:
            sheet.spans.append((place.row, place.row + down, place.column, place.column + right))
            for column in range(place.column, place.column + min(right, 256) + 1):
                place.covered[column] = place.row + down
        place.column += right


def _xml_value(kind: str, text: str, code: str) -> str:
    text = " ".join(text.split())
    try:
        if kind == "Number":
            return compiled(code)(float(text))
        if kind == "DateTime":
            return _xml_date(text, code)
    except ValueError:
        return text
    return {"0": "FALSE", "1": "TRUE"}.get(text, text) if kind == "Boolean" else text


def _xml_date(text: str, code: str) -> str:
    from datetime import datetime

    moment = datetime.fromisoformat(text)
    if not is_date(code):
        code = "yyyy-mm-dd" if text.endswith("T00:00:00.000") else "yyyy-mm-dd h:mm"
    return compiled(code)((moment - datetime(1899, 12, 30)).total_seconds() / 86400)


def _stated(element: Element, name: str, otherwise: int) -> int:
    value = attribute(element, name)
    return int(value) if value.isdigit() and len(value) < 8 else otherwise
