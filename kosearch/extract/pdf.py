"""PDF: text by pypdfium2; outline, page labels, metadata and encryption by pypdf, also the second opinion."""

from __future__ import annotations

import ctypes
import io
import logging
import re
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial, reduce
from itertools import islice, pairwise
from statistics import median
from typing import Any, NamedTuple

from kosearch.extract.containers import standard
from kosearch.extract.dochan_model import Renderer, parse
from kosearch.extract.pdf_layout import (
    Before,
    Cell,
    Joiner,
    Line,
    Paragraph,
    in_columns,
    of_a_column,
    paragraphs,
    without_leaders,
)
from kosearch.extract.pictures import forced, headings_of, lines_of, read_picture
from kosearch.extract.text import LINE, PARAGRAPH, ExtractError, Inside, TextBuilder, decode, nfc, normalise, repaired
from kosearch.ocr import Unread
from kosearch.records import Extracted, Extraction, Heading, Reason, Recognised, Skipped

# What pdfium sees on PDF pages, line by line, and what pypdf knows of the file: outline, labels, metadata.

_DATE = re.compile(r"D?:?(\d{4})(\d\d)?(\d\d)?(\d\d)?(\d\d)?(\d\d)?([-+Z])?(\d\d)?'?(\d\d)?")
# Titles that programs leave behind and no author gave.
_NO_TITLE = re.compile(
    r"(?:untitled.*|제목 ?없음|document\s?\d*|문서\s?\d*|powerpoint.*|슬라이드 \d+|slide \d+"
    r"|.*\.(?:html?|docx?|hwpx?|pdf|tex|dvi|xlsx?|pptx?))",
    re.IGNORECASE,
)
_PROGRAM = re.compile(r"^Microsoft (?:Word|PowerPoint|Excel) - ")


class Structure:
    """pypdf's view of a file; whatever it cannot read of it is empty, and never an error."""

    def __init__(self, data: bytes) -> None:
        import pypdf

        logging.getLogger("pypdf").setLevel(logging.CRITICAL)
        self._reader: Any = None
        self.locked = False
        try:
            reader = pypdf.PdfReader(io.BytesIO(data), strict=False)
            self.locked = bool(reader.is_encrypted and not reader.decrypt(""))
        except Exception:  # noqa: BLE001 - broken files raise all kinds of errors here; pdfium may still read them
            return
        if not self.locked:
            self._reader = reader

    def texts(self) -> list[str]:
        """The text of each page; empty when the file cannot be read at all."""
        try:
            return [self.text(number) for number in range(len(self._reader.pages))] if self._reader else []
        except Exception:  # noqa: BLE001
            return []

    def text(self, number: int) -> str:
        """The text of one page, counted from 0."""
        try:
            return str(self._reader.pages[number].extract_text()) if self._reader else ""
        except Exception:  # noqa: BLE001
            return ""

    def subset(self, numbers: Sequence[int]) -> bytes:
        """A PDF of these pages alone, counted from 0; empty when it cannot be made."""
        import pypdf

        out = io.BytesIO()
        try:
            writer = pypdf.PdfWriter()
            for number in numbers:
                writer.add_page(self._reader.pages[number])
            writer.write(out)
        except Exception:  # noqa: BLE001
            return b""
        return out.getvalue()

    def labels(self, count: int) -> list[str]:
        """What the document calls each of its pages, "" where that is the plain number."""
        try:
            labels = list(self._reader.page_labels) if self._reader else []
        except Exception:  # noqa: BLE001
            labels = []
        if len(labels) != count:
            return [""] * count
        plain = [" ".join(normalise(label).split()) for label in labels]
        return ["" if label == str(number) else label for number, label in enumerate(plain, 1)]

    def headings(self, text: str, starts: Sequence[int]) -> list[Heading]:
        """The outline's entries where their titles stand in the text; `starts` are the pages' offsets."""
        try:
            entries = list(self._entries(self._reader.outline, 1)) if self._reader else []
        except Exception:  # noqa: BLE001
            return []
        headings = []
        for title, level, page in entries:
            if 0 <= page < len(starts) and starts[page] < len(text):  # not of blank pages at the end
                end = starts[page + 1] if page + 1 < len(starts) else len(text)
                headings.append(Heading(_find(title, text, starts[page], end), level, title))
        return headings

    def attachments(self, pages: Sequence[Page]) -> Iterator[tuple[str, bytes]]:
        """The files attached to the document, and those to places on its pages."""
        left = _LARGEST_FILES
        for number, (name, content) in enumerate(self._files(pages)):
            left -= len(content)
            if number >= _MOST_FILES or left < 0:
                return
            yield " ".join(normalise(name).replace("/", "_").split()) or f"attachment {number + 1}", content

    def _files(self, pages: Sequence[Page]) -> Iterator[tuple[str, bytes]]:
        if self._reader is None:
            return
        try:
            for name, contents in self._reader.attachments.items():
                yield from ((str(name), bytes(content)) for content in contents)
            for number in (number for number, page in enumerate(pages) if page.files):
                for note in self._reader.pages[number].get("/Annots") or ():
                    file = note.get_object().get("/FS")
                    if file is not None:
                        file = file.get_object()
                        yield str(file.get("/UF") or file.get("/F") or ""), file["/EF"]["/F"].get_object().get_data()
        except Exception:  # noqa: BLE001 - whatever is wrong with an attachment, the pages are there
            return

    def metadata(self) -> tuple[str, dict[str, str]]:
        """The title and the standard fields."""
        try:
            found = self._reader.metadata if self._reader else None
            info = (
                {key: _stated(found.get(key)) for key in ("/Title", "/Author", "/CreationDate", "/ModDate")}
                if found
                else {}
            )
        except Exception:  # noqa: BLE001
            info = {}
        title = _PROGRAM.sub("", info.get("/Title", "").strip())
        fields = {
            "author": info.get("/Author", ""),
            "created": _date(info.get("/CreationDate", "")),
            "modified": _date(info.get("/ModDate", "")),
            "language": self._language(),
        }
        return "" if _NO_TITLE.fullmatch(title) else title, standard(fields)

    def _language(self) -> str:
        try:
            return str(self._reader.root_object.get("/Lang") or "") if self._reader else ""
        except Exception:  # noqa: BLE001
            return ""

    def _entries(self, outline: Sequence[Any], level: int) -> Iterator[tuple[str, int, int]]:
        for entry in outline:
            if isinstance(entry, list):
                yield from self._entries(entry, level + 1)
                continue
            page = self._reader.get_destination_page_number(entry)
            if (title := " ".join(normalise(_stated(entry.title)).split())) and page is not None:
                yield title, level, page


def _stated(value: Any) -> str:
    """A string of the file; bytes that are in none of PDF's own encodings are read as any others."""
    if isinstance(value, bytes):
        try:
            return decode(value).text
        except ExtractError:
            return ""
    return repaired(str(value or ""))


def _find(title: str, text: str, start: int, end: int) -> int:
    """Where the title stands on its page, however it is spaced there; else the page's start."""
    pattern = r"\s*".join(re.escape(character) for character in title if not character.isspace())
    match = re.compile(pattern).search(text, start, end)
    return match.start() if match else start


def _date(text: str) -> str:
    """A PDF date (ISO 32000-1, 7.9.4) as ISO 8601."""
    match = _DATE.match(text)
    if not match:
        return ""
    year, month, day, hour, minute, second, sign, zone_hour, zone_minute = match.groups()
    date = "-".join(part for part in (year, month, day) if part)
    if not (day and hour and minute):
        return date
    zone = "+00:00" if sign == "Z" else f"{sign}{zone_hour}:{zone_minute or '00'}" if sign and zone_hour else ""
    return f"{date}T{hour}:{minute}:{second or '00'}{zone}"


_HANGUL_WORD = re.compile(r"(?<!\S)[\uac00-\ud7a3]+")
_FEWEST_WORDS = 20
# A gap this much wider than the usual one, in parts of a character's height, is a space.
_SPACE = 0.15
# A gap of so many heights lies between a table's cells; behind so few characters it is that of a list marker.
_WIDE = 1.2
_MARKER = 5
_VISIBLE = re.compile(r"[^\x00-\x20\x7f-\xa0]")
_GAP = re.compile(r"[ \t]+")
_MOST_OBJECTS = 5000
# A page that an image covers so far, with fewer characters on it, is a scan with a stamp.
_SCAN, _STAMP, _MARGIN = 0.7, 120, 0.12
# So is one with so few characters and an image of that part of the page, or several of half of it.
_BARE, _QUARTER, _HALF = 16, 0.25, 0.5
# An image of that part of a page that has other text is a figure, where so few characters stand on it.
_FIGURE, _CAPTION = 0.1, 5
_MOST_FIGURES = 8
_INVISIBLE = 3
_MOST_FILES = 200
_LARGEST_FILES = 256 << 20
_MOST_NOTES = 1000
# Where annotations keep their text, by subtype (text, free text, highlight to strike-out, stamp; form fields).
_NOTE_TEXT = dict.fromkeys((1, 3, 9, 10, 11, 12, 13), b"Contents") | {20: b"V"}


class Box(NamedTuple):
    """A character's cell: its advance wide and its font's height high."""

    left: float
    right: float
    bottom: float
    top: float


Along = Callable[[Box], tuple[float, float]]
"""Where a box begins and ends in the direction of writing."""


class Bounds(NamedTuple):
    """A part of a page, in points from its lower left."""

    left: float
    bottom: float
    right: float
    top: float


@dataclass(frozen=True, slots=True)
class Page:
    """A page's lines in the order of its content."""

    lines: list[Line]
    scanned: bool = False
    """Whether the page is an image, with no text but what may be stamped on its margins."""
    found: Recognised | Unread | None = None
    """What came of reading it as a picture; None where it was not."""
    files: bool = False
    """Whether files are attached to places on it."""
    figures: tuple[Bounds, ...] = ()
    """Where images stand among its text that may have some of their own."""
    said: tuple[Recognised, ...] = ()
    """What came of reading them."""


def read_pages(data: bytes, structure: Structure) -> list[Page]:
    """All pages; raises ExtractError when the file needs a password or no reader can open it."""
    import pypdfium2

    try:
        document = pypdfium2.PdfDocument(data)
        count = len(document)
    except pypdfium2.PdfiumError as error:
        if structure.locked or "password" in str(error).lower():
            raise ExtractError(Reason.ENCRYPTED, "encrypted: opening it needs a password") from error
        if "security" in str(error).lower():
            raise ExtractError(Reason.DRM, "protected by DRM: only its own program opens it") from error
        return _second_opinion(structure, str(error))
    try:
        if count > len(data):  # a page takes more than a byte: its tree names the same one over and over
            raise ExtractError(Reason.BROKEN, f"a broken PDF: {count:,} pages in {len(data):,} bytes")
        pages = [_read_page(document, number, structure) for number in range(count)]
        return pages or _second_opinion(structure, "no pages")
    finally:
        document.close()


def _second_opinion(structure: Structure, error: str) -> list[Page]:
    texts = structure.texts()
    if not texts:
        raise ExtractError(Reason.BROKEN, f"a broken PDF: {error}")
    return [Page(bare_lines(text)) for text in texts]


def bare_lines(text: str) -> list[Line]:
    """Lines of which only the text is known; their made-up edges say that none goes on in the next."""
    lines = [line for line in text.split("\n") if _VISIBLE.search(line)]
    return [Line(line, 0.0, row % 2, -12.0 * row, 1.0) for row, line in enumerate(lines)]


def _read_page(document: Any, number: int, structure: Structure) -> Page:
    import pypdfium2

    try:
        page = document[number]
    except pypdfium2.PdfiumError:  # this page is damaged, the others may not be
        return Page(bare_lines(structure.text(number)))
    try:
        textpage = page.get_textpage()
        try:
            lines = in_columns(list(_PageReader(textpage).lines()))
            images = [] if not lines else _images(page)
            figures = tuple(one for one in images if _is_figure(one, page, textpage))[:_MOST_FIGURES]
        finally:
            textpage.close()
        written, files = _notes(page)
        notes = bare_lines(nfc("\n".join(written)))
        if not lines and not notes:
            return replace(_textless_page(page, number, structure), files=files)
        characters = sum(len(_squeezed(line)) for line in lines)
        bare = characters < _BARE and _is_covered(page, images) and not _is_cover(page, images, lines)
        scanned = not notes and (bare or (characters < _STAMP and _is_scan(page, lines)))
        return Page(lines + notes, scanned=scanned, files=files, figures=() if scanned else figures)
    except pypdfium2.PdfiumError:
        return Page(bare_lines(structure.text(number)))
    finally:
        page.close()


def _images(page: Any) -> list[Bounds]:
    """The images on a page, as far as they lie on it."""
    import pypdfium2.raw as pdfium

    width, height = page.get_size()
    found = []
    for item in islice(page.get_objects(filter=[pdfium.FPDF_PAGEOBJ_IMAGE], max_depth=3), _MOST_OBJECTS):
        left, bottom, right, top = item.get_bounds()
        bounds = Bounds(max(left, 0.0), max(bottom, 0.0), min(right, width), min(top, height))
        if bounds.left < bounds.right and bounds.bottom < bounds.top:
            found.append(bounds)
    return found


def _share_of(page: Any, image: Bounds) -> float:
    """An image's area in parts of the page's."""
    width, height = page.get_size()
    return float((image.right - image.left) * (image.top - image.bottom) / max(width * height, 1.0))


def _is_covered(page: Any, images: Sequence[Bounds]) -> bool:
    """Whether images make up so much of a page that has next to no text that they are what it has to say."""
    shares = [_share_of(page, one) for one in images]
    return max(shares, default=0.0) >= _QUARTER or sum(shares) >= _HALF


def _is_cover(page: Any, images: Sequence[Bounds], lines: Sequence[Line]) -> bool:
    """Whether text stands on an image amid the page: a title on its background."""
    height = page.get_size()[1]
    middle = [line for line in lines if _MARGIN * height < line.base < (1 - _MARGIN) * height]
    return any(
        one.left <= (line.left + line.right) / 2 <= one.right and one.bottom <= line.base <= one.top
        for line in middle
        for one in images
    )


def _is_figure(image: Bounds, page: Any, textpage: Any) -> bool:
    return _share_of(page, image) >= _FIGURE and len("".join(textpage.get_text_bounded(*image).split())) < _CAPTION


def _is_scan(page: Any, lines: Sequence[Line]) -> bool:
    """Whether an image covers the page, with nothing on it but in its margins: a cover has its title amid the page. And
    no text hides behind it, as the one that OCR leaves does."""
    import pypdfium2.raw as pdfium

    width, height = page.get_size()
    if any(_MARGIN * height < line.base < (1 - _MARGIN) * height for line in lines):
        return False
    covered = 0.0
    for item in islice(page.get_objects(max_depth=3), _MOST_OBJECTS):
        if item.type == pdfium.FPDF_PAGEOBJ_TEXT and pdfium.FPDFTextObj_GetTextRenderMode(item) == _INVISIBLE:
            return False
        if item.type == pdfium.FPDF_PAGEOBJ_IMAGE:
            left, bottom, right, top = item.get_bounds()
            covered += max(0.0, min(right, width) - max(left, 0)) * max(0.0, min(top, height) - max(bottom, 0))
    return bool(covered >= _SCAN * width * height)


def _notes(page: Any) -> tuple[list[str], bool]:
    """What was written on the page later (comments, text put on top, what was filled into its form); and whether files
    are attached to it."""
    import pypdfium2.raw as pdfium

    written, files = [], False
    for number in range(min(pdfium.FPDFPage_GetAnnotCount(page), _MOST_NOTES)):
        note = pdfium.FPDFPage_GetAnnot(page, number)
        if not note:
            continue
        subtype = pdfium.FPDFAnnot_GetSubtype(note)
        key = _NOTE_TEXT.get(subtype)
        files |= subtype == pdfium.FPDF_ANNOT_FILEATTACHMENT
        hidden = pdfium.FPDFAnnot_GetFlags(note) & pdfium.FPDF_ANNOT_FLAG_HIDDEN
        if key and not hidden and _note_entry(note, b"FT") != "Btn" and (text := _note_entry(note, key)) != "Off":
            written.append(text)
        pdfium.FPDFPage_CloseAnnot(note)
    return written, files


def _note_entry(note: Any, key: bytes) -> str:
    import pypdfium2.raw as pdfium

    size = pdfium.FPDFAnnot_GetStringValue(note, key, None, 0)
    buffer = ctypes.create_string_buffer(size)
    pdfium.FPDFAnnot_GetStringValue(note, key, ctypes.cast(buffer, ctypes.POINTER(pdfium.FPDF_WCHAR)), size)
    return buffer.raw.decode("utf-16-le", "ignore").rstrip("\0").replace("\r", "\n")


def _textless_page(page: Any, number: int, structure: Structure) -> Page:
    """pdfium drops single characters of fonts that are neither embedded nor installed; pypdf reads them."""
    import pypdfium2.raw as pdfium

    kinds = {item.type for item in islice(page.get_objects(max_depth=3), _MOST_OBJECTS)}
    text = structure.text(number) if pdfium.FPDF_PAGEOBJ_TEXT in kinds else ""
    return Page(bare_lines(text), scanned=not text.strip() and _is_covered(page, _images(page)))


def letter_spaced(text: str) -> bool:
    """Whether text falls apart into syllables: over half of its Hangul words are one syllable long."""
    words = _HANGUL_WORD.findall(text)
    return len(words) >= _FEWEST_WORDS and sum(len(word) == 1 for word in words) > len(words) / 2


class _PageReader:
    def __init__(self, textpage: Any) -> None:
        import pypdfium2.raw as pdfium

        self._pdfium = pdfium
        self._page = textpage
        self._text: str = textpage.get_text_range()
        self._exact = len(self._text) == textpage.count_chars()
        self._box = pdfium.FS_RECTF()

    def lines(self) -> Iterator[Line]:
        spaced = letter_spaced(self._text)
        start = 0
        for text in self._text.split("\r\n"):
            if _VISIBLE.search(text):
                first = start + len(text) - len(text.lstrip())
                last = start + len(text.rstrip()) - 1
                yield self._line(text, first, last, spaced)
            start += len(text) + 2

    def _line(self, text: str, first: int, last: int, spaced: bool) -> Line:
        begin, end = self._cell(first), self._cell(last)
        along, up = end.left - begin.left, end.bottom - begin.bottom
        across, high = self._origin(first)
        row = False
        cells: tuple[Cell, ...] = ()
        if abs(along) >= abs(up):
            left, right, base = begin.left, end.right, high
            height = max(begin.top - begin.bottom, end.top - end.bottom, 1.0)
            if spaced:
                text = self._respaced(first, last, horizontal=True)
            else:
                row, cells = self._parted(first, last, height, lambda box: (box.left, box.right))
        else:
            height = max(begin.right - begin.left, end.right - end.left, 1.0)
            left, right, base = begin.bottom, end.top, -across
            if up < 0:  # downwards: vertical writing, or a page turned clockwise; the next line stands to the left
                left, right, base = -begin.top, -end.bottom, across
                if self._turned(first, last):
                    row, cells = self._parted(first, last, height, lambda box: (-box.top, -box.bottom))
                else:
                    text = self._respaced(first, last, horizontal=False)
            else:
                row, cells = self._parted(first, last, height, lambda box: (box.bottom, box.top))
        return Line(repaired(nfc(text)), left, right, base, height, row, cells)

    def _parted(self, first: int, last: int, height: float, along: Along) -> tuple[bool, tuple[Cell, ...]]:
        """Whether wide gaps part the line, as in a table's row; and its parts, where it may be a line of columns."""
        cells: list[Cell] = []
        start = first
        for gap in _GAP.finditer(self._text, first + _MARKER, last):
            before, after = along(self._cell(gap.start() - 1))[1], along(self._cell(gap.end()))[0]
            if after - before > _WIDE * height:
                if not of_a_column(self._text[start : gap.start()]):
                    return True, ()
                cells.append(self._part(start, gap.start(), along))
                start = gap.end()
        return bool(cells), (*cells, self._part(start, last + 1, along)) if cells else ()

    def _part(self, start: int, end: int, along: Along) -> Cell:
        text = repaired(nfc(self._text[start:end]))
        return Cell(text, along(self._cell(start))[0], along(self._cell(end - 1))[1])

    def _origin(self, position: int) -> tuple[float, float]:
        across, high = ctypes.c_double(), ctypes.c_double()
        index = self._index(position)
        self._pdfium.FPDFText_GetCharOrigin(self._page, index, ctypes.byref(across), ctypes.byref(high))
        return across.value, high.value

    def _cell(self, position: int) -> Box:
        index = self._index(position)
        self._pdfium.FPDFText_GetLooseCharBox(self._page, index, ctypes.byref(self._box))
        box = self._box
        return Box(box.left, box.right, box.bottom, box.top)

    def _index(self, position: int) -> int:
        if self._exact:
            return position
        return int(self._pdfium.FPDFText_GetCharIndexFromTextIndex(self._page, position))

    def _turned(self, first: int, last: int) -> bool:
        """Whether the line is ordinary text on a turned page: in vertical writing Hangul stands upright."""
        for position in range(first, last + 1):
            if self._text[position] >= "\u1100":
                return bool(self._pdfium.FPDFText_GetCharAngle(self._page, self._index(position)) > 0.1)
        return True

    def _respaced(self, first: int, last: int, *, horizontal: bool) -> str:
        """The characters with a space wherever the gap to the next is wider than the usual gap."""
        characters: list[str] = []
        cells: list[Box] = []
        for position in range(first, last + 1):
            character = self._text[position]
            if character.isspace() and self._pdfium.FPDFText_IsGenerated(self._page, self._index(position)):
                continue
            characters.append(character)
            cells.append(self._cell(position))
        gaps = [
            after.left - before.right if horizontal else before.bottom - after.top for before, after in pairwise(cells)
        ]
        if not gaps:
            return "".join(characters)
        limit = median(gaps) + _SPACE * median(cell.top - cell.bottom for cell in cells)
        return characters[0] + "".join(
            f" {character}" if gap > limit else character for gap, character in zip(gaps, characters[1:], strict=True)
        )


# PDF: text by pypdfium2; outline, page labels, metadata and encryption by pypdf, also the second opinion.

_DOTS = 200
"""Pages are drawn with so many dots an inch to be recognised…"""
_LONGEST_SIDE = 4000
"""…but none of more dots than that on a side."""

_BARE_NUMBER = re.compile(
    r"\W*(?:p|pp|page|쪽|페이지)?\W*(?:(?P<digits>\d{1,4})|(?P<roman>[ivxlc]{1,7}))\W*"
    r"(?:(?:/|of|중|의)\W*\d{1,4}\W*)?(?:쪽|페이지|면|page|p)?\W*",
    re.IGNORECASE,
)
_ROMAN = {"i": 1, "v": 5, "x": 10, "l": 50, "c": 100}
_LETTER = re.compile(r"[^\W\d_]")
_RUNNING_PAGES = 3
_EDGE_LINES = 2


def read(data: bytes, path: str, inside: Inside) -> Extraction:
    """A PDF file: pages, headings from its outline, title, author and dates; and the files attached to it."""
    structure = Structure(data)
    pages = read_pages(data, structure)
    attached = [inside(name, content) for name, content in structure.attachments(pages)]
    documents = tuple(document for one in attached for document in one.documents)
    skipped = tuple(problem for one in attached for problem in one.skipped)
    try:
        body = _document(_read_pictures(data, read_garbled_again(pages, structure)), structure)
    except ExtractError as error:
        if not documents:
            raise
        return Extraction(documents, (Skipped(path, error.reason, error.detail), *skipped))
    return Extraction((body, *documents), skipped)


def read_image(data: bytes, path: str) -> Extraction:
    """A picture of text; each frame of a TIFF is a page."""
    from kosearch.ocr import pictures

    if command := pictures.decoder_missing(data):
        raise ExtractError(Reason.SCANNED, f"a picture, not read: nothing decodes it: {command}")
    try:
        found = [read_picture(partial(pictures.frame, data, number)) for number in range(pictures.count(data))]
    except pictures.Unreadable as error:
        raise ExtractError(Reason.BROKEN, str(error)) from error
    body = _document([Page(_lines_of(one), scanned=True, found=one) for one in found], None)
    return Extraction((body if len(found) > 1 else replace(body, pages=()),))


def _read_pictures(data: bytes, pages: Sequence[Page]) -> list[Page]:
    """The pages, those that are pictures with the text that is recognised in them."""
    result = list(pages)
    for number, page in enumerate(pages):
        if page.scanned or forced() or garbled(_page_text(page)):
            found = read_picture(partial(page_picture, data, number))
            lines = _lines_of(found)
            result[number] = replace(page, lines=lines or page.lines, found=found if lines or page.scanned else None)
        elif page.figures:
            read = [read_picture(partial(page_picture, data, number, figure)) for figure in page.figures]
            result[number] = replace(page, said=tuple(one for one in read if isinstance(one, Recognised) and one.lines))
    return result


def page_picture(data: bytes, number: int, part: Bounds | None = None) -> Any:
    """A page, counted from 0, or a part of it as the picture that is recognised, (height, width) of grey."""
    import pypdfium2

    document = pypdfium2.PdfDocument(data)
    try:
        page = document[number]
        scale = min(_DOTS / 72, _LONGEST_SIDE / max(*page.get_size(), 1.0))
        width, height = page.get_size()
        crop = (part.left, part.bottom, width - part.right, height - part.top) if part else (0, 0, 0, 0)
        drawn = page.render(scale=scale, grayscale=True, crop=crop).to_numpy()
        return drawn.reshape(drawn.shape[:2]).copy()
    finally:
        document.close()


def _lines_of(found: Recognised | Unread) -> list[Line]:
    return lines_of(found, 72 / _DOTS) if isinstance(found, Recognised) else []


def _document(pages: Sequence[Page], structure: Structure | None) -> Extracted:
    """The document of pages; without a structure they are pictures outside a PDF."""
    unread = [(number, page.found) for number, page in enumerate(pages, 1) if isinstance(page.found, Unread)]
    warning = _unread(unread, structure is None)
    read = [page for page in pages if isinstance(page.found, Recognised) and page.lines]
    scanned = sum(page.scanned for page in pages)
    if not read and all(page.scanned or not page.lines for page in pages) and _only_stamps(pages):
        if unread or not pages:
            raise ExtractError(Reason.SCANNED, warning or "no text, needs OCR (scanned pages: 0)")
        if scanned:
            raise ExtractError(Reason.NO_TEXT, f"no text was found in its pictures (pages: {scanned})")
    if not any(page.lines for page in pages):
        raise ExtractError(Reason.NO_TEXT, f"no page has text (pages: {len(pages)})")
    builder = TextBuilder()
    labels = structure.labels(len(pages)) if structure else [""] * len(pages)
    said = [page.said for page in pages]
    starts = _write(builder, _without_running([page.lines for page in pages]), labels, said)
    if structure:
        builder.mark(structure.headings(builder.text, starts))
    for page, start, end in zip(pages, starts, [*starts[1:], builder.length], strict=True):
        if isinstance(page.found, Recognised):
            builder.recognised(start, end, page.found.confidence)
            builder.mark(list(_large_lines(page.found, builder.text, start, end)))
    title, metadata = structure.metadata() if structure else ("", {})
    kind = "pdf" if structure else "image"
    warnings = tuple(filter(None, (warning, _hanja(pages))))
    return builder.document(kind, title=title, metadata=metadata, warnings=warnings)


def _unread(pages: Sequence[tuple[int, Unread]], is_image: bool) -> str:
    """What is said of pages that are pictures and have no text for now."""
    if not pages:
        return ""
    reasons = "; ".join(dict.fromkeys(found.why for _, found in pages))
    if is_image and len(pages) == 1:
        return f"a picture, not read: {reasons}"
    counted = "1 scanned page" if len(pages) == 1 else f"{len(pages)} scanned pages"
    return f"{counted} not read ({_ranges([number for number, _ in pages])}): {reasons}"


def _hanja(pages: Sequence[Page]) -> str:
    """What is said of pages that were read as pictures and have letters that come out as others."""
    found = [page.found if isinstance(page.found, Recognised) else None for page in pages]
    numbers = [number for number, one in enumerate(found, 1) if one and one.hanja]
    if not numbers:
        return ""
    counted = "1 scanned page has" if len(numbers) == 1 else f"{len(numbers)} scanned pages have"
    named = f"{counted} what looks like Hanja ({_ranges(numbers)})"
    return f"{named}, which the model does not have: other letters stand there"


def _large_lines(found: Recognised, text: str, start: int, end: int) -> Iterator[Heading]:
    """The headings of a page that was read as a picture: lines by themselves that stand out by their size."""
    for title in headings_of(found):
        if place := re.compile(rf"^{re.escape(title)}$", re.MULTILINE).search(text, start, end):
            yield Heading(place.start(), 1, title)


def _only_stamps(pages: Sequence[Page]) -> bool:
    """Whether all text on scans is what a program stamped on them: nothing, or the same on each but for numbers."""
    stamps = {re.sub(r"\d+", "0", "".join(map(_squeezed, page.lines))) for page in pages}
    return not any(stamps) or (len(pages) >= _RUNNING_PAGES and len(stamps - {""}) == 1)


def _write(
    builder: TextBuilder,
    pages: Sequence[Sequence[Line]],
    labels: Sequence[str],
    said: Sequence[Sequence[Recognised]],
) -> list[int]:
    """Adds the pages' paragraphs to the text, and what their figures say; returns where each page starts in it."""
    joiner = Joiner(line.text for lines in pages for line in lines)
    found = paragraphs(pages)
    joiner.learn([wrap for page in found for paragraph in page for wrap in pairwise(paragraph.lines)])
    starts = []
    tail = ""
    for number, (page, label, figures) in enumerate(zip(found, labels, said, strict=True), 1):
        builder.page(number, label)
        for position, paragraph in enumerate(page):
            gap = _gap(tail, paragraph, joiner) if position or number < 2 or not said[number - 2] else PARAGRAPH
            tail = without_leaders(reduce(joiner.join, paragraph.lines))
            start = builder.add(tail, gap=gap)
            if position == 0:
                starts.append(start)
        if not page:
            starts.append(builder.length)
        for figure in figures:
            start = builder.add("\n".join(line.text for line in figure.lines))
            builder.recognised(start, builder.length, figure.confidence)
    return starts


def _gap(tail: str, paragraph: Paragraph, joiner: Joiner) -> str:
    if paragraph.before is Before.NOTHING:
        return joiner.gap(tail, paragraph.lines[0])
    return LINE if paragraph.before is Before.LINE_END else PARAGRAPH


def _without_running(pages: Sequence[list[Line]]) -> list[list[Line]]:
    """The pages with each header and footer once: edge lines that repeat word for word; and without page numbers.

    Whatever else an edge says belongs to its page: the date of a daily report, the number of a form or a case.
    """
    pages_of: defaultdict[str, set[int]] = defaultdict(set)
    offsets: Counter[int] = Counter()
    for number, lines in enumerate(pages):
        for line in _edges(lines):
            pages_of[_squeezed(line)].add(number)
        offsets.update({stated - number for line in _edges(lines) for stated in _page_number(line)})
    least = max(_RUNNING_PAGES, len(pages) // 5)
    running = {text for text, found in pages_of.items() if len(found) >= least}
    counting = {offset for offset, count in offsets.items() if count >= max(least, len(pages) // 2)}
    written: set[str] = set()
    kept = []
    for number, lines in enumerate(pages):
        repeated = {id(line): _squeezed(line) for line in _edges(lines) if _squeezed(line) in running}
        # Lines of numbers alone have nothing to say even once.
        dropped = {name for name, text in repeated.items() if text in written or not _LETTER.search(text)}
        dropped |= {id(line) for line in _edges(lines) if any(n - number in counting for n in _page_number(line))}
        written.update(repeated.values())
        # A page of nothing else is made of these lines: they are its content.
        kept.append([line for line in lines if id(line) not in dropped] or lines)
    return kept


def _page_number(line: Line) -> tuple[int, ...]:
    """The number of a line that says nothing but its page's."""
    found = _BARE_NUMBER.fullmatch(line.text.strip())
    if not found:
        return ()
    return (int(found["digits"]),) if found["digits"] else (_roman(found["roman"]),)


def _roman(numeral: str) -> int:
    values = [_ROMAN[character] for character in numeral.lower()]
    return sum(-one if one < following else one for one, following in zip(values, [*values[1:], 0], strict=True))


def _edges(lines: Sequence[Line]) -> list[Line]:
    """The highest and the lowest lines of a page."""
    by_height = sorted(lines, key=lambda line: line.base)
    return by_height[:_EDGE_LINES] + by_height[_EDGE_LINES:][-_EDGE_LINES:]


def _squeezed(line: Line) -> str:
    return "".join(line.text.split())


def _ranges(numbers: Sequence[int]) -> str:
    """1, 2, 3, 7 as "1-3, 7"."""
    runs: list[list[int]] = []
    for number in numbers:
        if runs and number == runs[-1][1] + 1:
            runs[-1][1] = number
        else:
            runs.append([number, number])
    return ", ".join(str(first) if first == last else f"{first}-{last}" for first, last in runs)


_EXPECTED = re.compile(r"[!-~\u00b7\u2010-\u2027\u2030-\u205e\u3000-\u303f\u3131-\u318e\uac00-\ud7a3\uff01-\uff5e]")
_LEAST_EXPECTED = 0.6
_FEWEST = 10
# Other scripts are not expected either, but garbage also holds characters that no text does.
_LEAST_ODD = 0.02
_ODD = frozenset(("Cn", "Cc", "Co"))
_MOST_PAGES = 300


def read_garbled_again(pages: Sequence[Page], structure: Structure) -> list[Page]:
    """The pages, those with garbage replaced where dochan makes more sense of them.

    Fonts that do not say what their glyphs mean give garbage. dochan looks into the embedded fonts themselves, which is
    slow, and right where pdfium has nothing to go by.
    """
    numbers = [number for number, page in enumerate(pages) if garbled(_page_text(page))][:_MOST_PAGES]
    subset = structure.subset(numbers) if numbers else b""
    result = list(pages)
    if subset:
        for section in parse(subset).sections:
            place = getattr(section.provenance, "page", None) or 0
            if not 0 < place <= len(numbers):
                continue
            builder = TextBuilder()
            Renderer(builder).write(section.elements)
            number = numbers[place - 1]
            if _share(builder.text) > _share(_page_text(pages[number])):
                result[number] = Page(bare_lines(builder.text), pages[number].scanned)
    return result


def garbled(text: str) -> bool:
    """Whether this is garbage: mostly not Hangul, ASCII or common punctuation, and some of it no text at all."""
    characters = "".join(text.split())
    if len(characters) < _FEWEST or _share(characters) >= _LEAST_EXPECTED:
        return False
    odd = sum(unicodedata.category(character) in _ODD or character == "\ufffd" for character in characters)
    return odd >= _LEAST_ODD * len(characters)


def _share(text: str) -> float:
    characters = "".join(text.split())
    return len(_EXPECTED.findall(characters)) / len(characters) if characters else 0.0


def _page_text(page: Page) -> str:
    return " ".join(line.text for line in page.lines)
