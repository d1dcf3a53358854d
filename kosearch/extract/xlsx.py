"""Excel workbooks since 2007, of XML (ECMA-376 part 1, 18) and binary: the cells that are there, as they are shown."""

from __future__ import annotations

import re
import struct
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from xml.etree.ElementTree import Element
from xml.parsers import expat

from kosearch.extract import sheets
from kosearch.extract.containers import Package, Parts, attribute, local, package_properties, relation
from kosearch.extract.pictures import add_pictures, packaged
from kosearch.extract.sheets import BUILT_IN, Format, Row, Sheet, Span, compiled, general
from kosearch.extract.text import ExtractError, TextBuilder
from kosearch.extract.xls import ERRORS, unpacked
from kosearch.records import Extraction, Reason

# Excel workbooks since 2007 (ECMA-376 part 1, 18), read as a stream: the cells that are there, as they are shown.

_REFERENCE = re.compile(r"\$?([A-Z]{1,3})\$?(\d{1,7})")
_THREADED = re.compile(r"\[[^\]]{1,40}\].{0,400}?(?:Comment|댓글|메모):\s*", re.DOTALL)
_MOST_SHOWN = 100_000
"""Numbers of a format whose text is kept, so that it is not made again."""
_FURNITURE = frozenset(("oddHeader", "oddFooter", "evenHeader", "evenFooter", "firstHeader", "firstFooter"))
_OFF = frozenset(("0", "false"))


def read(data: bytes, path: str) -> Extraction:
    """A workbook: a page a sheet, a line a row; in its binary form (.xlsb) too."""
    package = Package(data)
    stated = package_properties(package)
    parts = Parts(package)
    if parts.main("xlsx").endswith(".bin"):
        return read_binary(parts, stated)
    return read_parts(parts, stated)


def read_parts(parts: Parts, stated: tuple[str, dict[str, str]]) -> Extraction:
    """A workbook in parts, with the title and fields that it states elsewhere."""
    main = parts.main("xlsx")
    book = _Book(parts, main)
    builder = TextBuilder()
    for number, (name, part) in enumerate(book.sheets(), 1):
        sheet = book.sheet(name, part)
        sheets.write(builder, sheet, number)
    _add_pictures(builder, parts)
    title, metadata = stated
    return Extraction((builder.document("xlsx", title=title, metadata=metadata, warnings=book.warnings),))


def _add_pictures(builder: TextBuilder, parts: Parts) -> None:
    if parts.package is not None:
        add_pictures(builder, packaged(parts.package, ("xl/media/",)))


class _Book:
    """What the sheets of a workbook share."""

    def __init__(self, parts: Parts, main: str) -> None:
        self._parts = parts
        self._main = main
        self._root = parts.whole(main)
        self.warnings: list[str] = []
        self.room = sheets.Room()
        self.from_1904 = any(
            local(one) == "workbookPr" and attribute(one, "date1904") not in ("", *_OFF) for one in self._root
        )
        self.strings: list[str] = []
        for name in parts.targets(main, "sharedStrings"):
            if name in parts:
                _Strings(self.strings).parse(parts, name)
        self.formats = list(self._formats())

    def sheets(self) -> Iterator[tuple[str, str]]:
        for element in self._root.iter():
            if local(element) == "sheet":
                yield attribute(element, "name"), self._parts.target(self._main, relation(element))

    def sheet(self, name: str, part: str) -> Sheet:
        sheet = Sheet(name)
        if part not in self._parts:
            return sheet
        reader = _Cells(self, sheet)
        try:
            reader.parse(self._parts, part)
        except ExtractError as error:  # the other sheets are still worth reading
            if error.reason is not Reason.BROKEN or not (sheet.rows or self.warnings or self._count() > 1):
                raise
            self.warnings.append(f"partly read: sheet {name}: {error.detail}")
        if reader.finished:
            self.warnings.append(self.room.warning(name))
        self._notes(sheet, part)
        for target in self._parts.targets(part, "drawing"):
            sheet.after += sheets.drawn(self._parts, target)
        return sheet

    def _count(self) -> int:
        return sum(1 for _ in self.sheets())

    def _formats(self) -> Iterator[Callable[[float], str]]:
        """The function that shows a number, by number of style."""
        names = self._parts.targets(self._main, "styles")
        root = self._parts.optional(names[0]) if names else None
        if root is None:
            return
        codes = dict(BUILT_IN)
        for element in root.iter():
            if local(element) == "numFmt" and attribute(element, "numFmtId").isdigit():
                codes[int(attribute(element, "numFmtId"))] = attribute(element, "formatCode")
        for group in root:
            if local(group) == "cellXfs":
                for style in group:
                    number = attribute(style, "numFmtId")
                    code = codes.get(int(number) if number.isdigit() else 0, "General")
                    yield compiled(code, self.from_1904)

    def _notes(self, sheet: Sheet, part: str) -> None:
        people: dict[str, str] = {}
        threaded = set()
        for name in self._parts.targets(self._main, "person"):
            root = self._parts.optional(name)
            people |= {attribute(one, "id"): attribute(one, "displayName") for one in root} if root is not None else {}
        for name in self._parts.targets(part, "threadedComment"):
            root = self._parts.optional(name)
            for comment in root if root is not None else ():
                place = attribute(comment, "ref")
                threaded.add(place)
                text = "".join(one.text or "" for one in comment if local(one) == "text")
                _note(sheet, place, people.get(attribute(comment, "personId"), ""), text)
        for name in self._parts.targets(part, "comments"):
            root = self._parts.optional(name)
            if root is None:
                continue
            authors = [one.text or "" for one in root.iter() if local(one) == "author"]
            for comment in root.iter():
                place = attribute(comment, "ref") if local(comment) == "comment" else ""
                if place and place not in threaded:
                    author = attribute(comment, "authorId")
                    known = authors[int(author)] if author.isdigit() and int(author) < len(authors) else ""
                    _note(sheet, place, known, "".join(_string_text(comment)))


def _note(sheet: Sheet, place: str, author: str, text: str) -> None:
    found = _REFERENCE.match(place)
    text = " ".join(text.split())
    if author and text.startswith(f"{author}:"):
        text = text[len(author) + 1 :].strip()
    if found and text:
        sheet.notes[int(found[2]) - 1].append(f"[{author}] {text}" if author else text)


def _string_text(element: Element) -> Iterator[str]:
    """The text of a rich string, without the readings above its characters."""
    for child in element:
        kind = local(child)
        if kind == "t":
            yield child.text or ""
        elif kind != "rPh":
            yield from _string_text(child)


# --- streams --------------------------------------------------------------------------------------------------------


class _Stream:
    """Reads a part event by event: names come without their prefixes, attributes as names and values in turn."""

    def parse(self, parts: Parts, name: str) -> None:
        parser = expat.ParserCreate()
        parser.buffer_text = True
        parser.ordered_attributes = True
        names: dict[str, str] = {}

        def start(tag: str, attributes: list[str]) -> None:
            known = names.get(tag)
            if known is None:
                known = names[tag] = tag.rpartition(":")[2]
            self.start(known, attributes)

        def end(tag: str) -> None:
            self.end(names[tag])

        parser.StartElementHandler = start
        parser.EndElementHandler = end
        parser.CharacterDataHandler = self.text
        parser.EntityDeclHandler = _refuse
        try:
            for chunk in parts.chunks(name):
                parser.Parse(chunk, False)
                if self.finished:
                    return
            parser.Parse(b"", True)
        except expat.ExpatError as error:
            raise ExtractError(Reason.BROKEN, f"broken XML: {error}") from error

    finished = False

    def start(self, tag: str, attributes: Sequence[str]) -> None:
        raise NotImplementedError

    def end(self, tag: str) -> None:
        raise NotImplementedError

    def text(self, text: str) -> None:
        raise NotImplementedError


def _refuse(*_: object) -> None:
    raise ExtractError(Reason.BROKEN, "XML with entities of its own, which are not expanded")


class _Strings(_Stream):
    """The shared strings."""

    def __init__(self, strings: list[str]) -> None:
        self._strings = strings
        self._parts: list[str] = []
        self._open = False
        self._reading = False

    def start(self, tag: str, attributes: Sequence[str]) -> None:
        if tag == "si":
            self._parts = []
        elif tag == "t":
            self._open = not self._reading
        elif tag == "rPh":
            self._reading = True

    def text(self, text: str) -> None:
        if self._open:
            self._parts.append(text)

    def end(self, tag: str) -> None:
        if tag == "si":
            self._strings.append(" ".join("".join(self._parts).split()))
        elif tag == "t":
            self._open = False
        elif tag == "rPh":
            self._reading = False


class _Cells(_Stream):
    """The cells and merged ranges of a sheet."""

    def __init__(self, book: _Book, sheet: Sheet) -> None:
        self._book = book
        self._sheet = sheet
        self._shown: dict[tuple[int, str], str] = {}
        self._columns: dict[str, int] = {}
        self._row: Row = {}
        self._place = -1
        self._column = -1
        self._type = ""
        self._style = 0
        self._value = ""
        self._formula = ""
        self._target = ""
        self._reading = False

    def start(self, tag: str, attributes: Sequence[str]) -> None:
        if tag == "c":
            self._begin(attributes)
        elif tag in ("v", "f"):
            self._target = tag
        elif tag == "t":
            self._target = "" if self._reading else "v"
        elif tag == "rPh":
            self._reading = True
        elif tag in _FURNITURE:
            self._target, self._value = "v", ""
        elif tag == "row":
            stated = dict(zip(attributes[::2], attributes[1::2], strict=True)).get("r", "")
            self._place = int(stated) - 1 if stated.isdigit() and 0 < len(stated) < 9 else self._place + 1
            self._column = -1
            self._row = {}
        elif tag == "mergeCell" and len(self._sheet.spans) < sheets.MOST_CELLS:
            for name, value in zip(attributes[::2], attributes[1::2], strict=True):
                if name == "ref" and (span := _span(value)):
                    self._sheet.spans.append(span)

    def _begin(self, attributes: Sequence[str]) -> None:
        self._type, self._style, self._value, self._formula, self._target = "", 0, "", "", ""
        self._column += 1
        for at in range(0, len(attributes), 2):
            name, value = attributes[at], attributes[at + 1]
            if name == "r":
                letters = value.rstrip("0123456789")
                column = self._columns.get(letters)
                if column is None:
                    column = self._columns[letters] = _column(letters)
                self._column = column
            elif name == "s":
                self._style = int(value) if value.isdigit() and len(value) < 8 else 0
            elif name == "t":
                self._type = value

    def text(self, text: str) -> None:
        if self._target == "v":
            self._value += text
        elif self._target == "f":
            self._formula += text

    def end(self, tag: str) -> None:
        if tag in ("v", "f", "t"):
            self._target = ""
        elif tag == "c":
            shown = self._text()
            if shown:
                self._row[self._column] = shown
        elif tag in _FURNITURE:
            self._target = ""
            if text := sheets.furniture(self._value):
                self._sheet.header.append(text)
        elif tag == "row":
            if self._row:
                self._sheet.rows.setdefault(self._place, {}).update(self._row)
                self.finished = not self._book.room.take(self._row)
        elif tag == "rPh":
            self._reading = False

    def _text(self) -> str:
        """What the cell shows; its formula only where it has no value."""
        value, kind = self._value, self._type
        if not value:
            return f"={self._formula}" if self._formula else ""
        if kind == "s":
            place = int(value) if value.isdigit() and len(value) < 9 else -1
            return self._book.strings[place] if 0 <= place < len(self._book.strings) else ""
        if kind in ("", "n"):
            key = (self._style, value)
            shown = self._shown.get(key)
            if shown is None:
                shown = self._number(value)
                if len(self._shown) < _MOST_SHOWN:
                    self._shown[key] = shown
            return shown
        if kind == "b":
            return "FALSE" if value in _OFF else "TRUE"
        return " ".join(value.split())

    def _number(self, value: str) -> str:
        try:
            number = float(value)
        except ValueError:
            return " ".join(value.split())
        formats = self._book.formats
        return (formats[self._style] if self._style < len(formats) else general)(number)


def _column(letters: str) -> int:
    column = 0
    for letter in letters.upper()[:3]:
        column = column * 26 + ord(letter) - 64
    return column - 1


def _span(reference: str) -> Span | None:
    first, _, last = reference.partition(":")
    one, two = _REFERENCE.fullmatch(first), _REFERENCE.fullmatch(last or first)
    if not one or not two:
        return None
    return int(one[2]) - 1, int(two[2]) - 1, _column(one[1]), _column(two[1])


# Binary workbooks ([MS-XLSB]; BIFF 12): the cells that are there, as shown, however far apart they lie.

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


def read_binary(parts: Parts, stated: tuple[str, dict[str, str]]) -> Extraction:
    """A workbook in parts, with the title and fields that it states elsewhere: a page a sheet, a line a row."""
    try:
        book = _BinaryBook(parts)
    except _DAMAGE as error:
        raise ExtractError(Reason.BROKEN, "a broken workbook") from error
    builder = TextBuilder()
    for number, (name, part) in enumerate(book.sheets, 1):
        sheets.write(builder, book.sheet(name, part), number)
    _add_pictures(builder, parts)
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


class _BinaryBook:
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
        cells = _BinaryCells(self, sheet)
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
class _BinaryCells:
    """The cells, merged ranges, headers and footers of a sheet."""

    book: _BinaryBook
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
