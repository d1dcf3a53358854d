"""A page of a PDF, or a picture, as a JPEG, and the boxes of a passage on it.

Files are read and drawn in processes of their own with limits, as they are when they are indexed. A passage is found
again on its page by its letters alone: spaces, hyphens and line ends are other ones in the extracted text.
"""

from __future__ import annotations

import ctypes
import io
import math
import threading
import unicodedata
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from difflib import SequenceMatcher
from queue import SimpleQueue
from typing import Any, NamedTuple

from kosearch import sources
from kosearch.errors import UsageError
from kosearch.extract import member
from kosearch.extract.pdf import garbled, page_picture
from kosearch.extract.text import ExtractError
from kosearch.naming import display_path
from kosearch.ocr import pixel_hash
from kosearch.records import Recognised, RecognisedLine
from kosearch.workers import Failure, Pool

WIDTHS = (200, 2400)
"""The least and the most pixels of a picture's width that can be asked for."""
_MOST_PIXELS = 12_000_000
_QUALITY = 88
_SECONDS = 10.0
"""Of processor time, for one page."""
_PROCESSES = 2
_FEWEST = 3
"""Letters in a row that are no chance…"""
_NEAR = 4
"""…unless so few letters lie between them and others."""


_FEWEST_GLYPHS = 12
"""Characters of a line by whose repetitions alone it is found."""


class Box(NamedTuple):
    """A part of a picture, from its upper left corner, in shares of its width and height."""

    left: float
    top: float
    width: float
    height: float


@dataclass(frozen=True, slots=True)
class Wanted:
    """A page, from 1, and the passage's text on it, of which [best] answers best."""

    path_bytes: bytes
    member: str
    kind: str
    number: int
    width: int
    text: str = ""
    best: tuple[int, int] = (0, 0)


@dataclass(frozen=True, slots=True)
class Drawn:
    jpeg: bytes
    width: int
    height: int
    pages: int
    boxes: tuple[Box, ...] = ()
    """Of the passage…"""
    best: tuple[Box, ...] = ()
    """…and of the part of it that answers best."""
    covered: float = 0.0
    """The share of the passage's letters that the boxes cover."""
    pixels: bytes = b""
    """Of what was read as a picture: by what its recognised text is known."""


class Drawer:
    """Draws in processes that stay for the next page. May be called from any thread."""

    def __init__(self, max_bytes: int) -> None:
        self._task = DrawTask(max_bytes)
        self._free: SimpleQueue[Pool[Wanted, Drawn | str]] = SimpleQueue()
        self._pools: list[Pool[Wanted, Drawn | str]] = []
        self._lock = threading.Lock()

    def draw(self, wanted: Wanted) -> Drawn:
        """The page. Raises UsageError, which says why there is none."""
        self._begin()
        pool = self._free.get()
        try:
            [(_, found)] = pool.map([wanted])
        finally:
            self._free.put(pool)
        if isinstance(found, Failure):
            raise UsageError(f"the page cannot be drawn: {found.detail}", "its text is there")
        if isinstance(found, str):
            raise UsageError(f"the page cannot be drawn: {found}", "its text is there")
        return found

    def _begin(self) -> None:
        with self._lock:
            if not self._pools:
                self._pools = [Pool(self._task, 1, deadline=_SECONDS) for _ in range(_PROCESSES)]
                for pool in self._pools:
                    self._free.put(pool)

    def close(self) -> None:
        """End the processes."""
        with self._lock:
            for pool in self._pools:
                pool.close()


@dataclass(slots=True)
class DrawTask:
    """The worker's task: read the file, draw the page, find the passage. The last file stays open."""

    max_bytes: int
    _last: tuple[object, bytes] | None = field(default=None, init=False)

    def warm(self) -> None:
        """Load what every page needs."""
        import PIL.Image
        import pypdfium2  # noqa: F401

        PIL.Image.init()

    def __call__(self, wanted: Wanted) -> Drawn | str:
        """The page, or a line that says why there is none."""
        try:
            data = self._content(wanted)
            return draw_image(data, wanted) if wanted.kind == "image" else draw_page(data, wanted)
        except (sources.ReadError, ExtractError) as error:
            return error.detail
        except Exception as error:  # noqa: BLE001 - broken files raise all kinds of errors in pdfium and Pillow
            return f"{type(error).__name__}: {error}"

    def _content(self, wanted: Wanted) -> bytes:
        import os

        status = os.stat(wanted.path_bytes)
        key = (wanted.path_bytes, wanted.member, status.st_mtime_ns, status.st_size, status.st_ino)
        if self._last is None or self._last[0] != key:
            data = sources.read(wanted.path_bytes, self.max_bytes).data
            if wanted.member:
                inside = member(data, display_path(wanted.path_bytes), wanted.member)
                data = b"" if inside is None else inside
            self._last = (key, data)
        return self._last[1]


def draw_page(data: bytes, wanted: Wanted) -> Drawn:
    """A page of a PDF with the passage's boxes. Raises what pdfium raises."""
    import pypdfium2

    document = pypdfium2.PdfDocument(data)
    try:
        count = len(document)
        page = document[min(max(wanted.number, 1), count) - 1]
        across, down = page.get_size()
        scale = min(wanted.width / max(across, 1.0), math.sqrt(_MOST_PIXELS / max(across * down, 1.0)))
        image = page.render(scale=scale, may_draw_forms=False, rev_byteorder=True).to_pil()
        drawn = _encoded(image, count)
        if not wanted.text:
            return drawn
        marked = found_on_page(page, wanted.text)
        if sum(at is not None for at in marked) < len(marked) / 2:  # it was read in a picture
            return replace(drawn, pixels=pixel_hash(page_picture(data, min(max(wanted.number, 1), count) - 1)))
        sure = [at for at in marked if at is not None]
        best = [at for at in marked[_letters_before(wanted, 0) : _letters_before(wanted, 1)] if at is not None]
        return Drawn(
            drawn.jpeg,
            drawn.width,
            drawn.height,
            count,
            tuple(_boxes(page, sure)),
            tuple(_boxes(page, best)),
            len(sure) / max(len(marked), 1),
        )
    finally:
        document.close()


def draw_image(data: bytes, wanted: Wanted) -> Drawn:
    """A picture, or a frame of one. Raises what Pillow raises."""
    import warnings

    from PIL import Image, ImageOps

    from kosearch.ocr.pictures import MOST_PIXELS, frame

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with Image.open(io.BytesIO(data)) as image:
            if image.size[0] * image.size[1] > MOST_PIXELS:
                return _encoded(Image.new("RGB", (1, 1), "white"), 1)
            frames = getattr(image, "n_frames", 1) if image.format == "TIFF" else 1
            image.seek(min(max(wanted.number, 1), frames) - 1)
            upright = ImageOps.exif_transpose(image).convert("RGB")
            upright.thumbnail((wanted.width, 4 * wanted.width))
            drawn = _encoded(upright, frames)
    if not wanted.text:
        return drawn
    return replace(drawn, pixels=pixel_hash(frame(data, min(max(wanted.number, 1), frames) - 1)))


def with_recognised(drawn: Drawn, found: Recognised, wanted: Wanted) -> Drawn:
    """The same with the boxes of the recognised lines that the passage's text stands in."""
    letters = [
        Letter(one.text, number, number) for number, line in enumerate(found.lines) for one in letters_of(line.text)
    ]
    marked = found_on(letters, wanted.text)
    best = marked[_letters_before(wanted, 0) : _letters_before(wanted, 1)]
    return replace(
        drawn,
        boxes=tuple(_of_lines(found, marked)),
        best=tuple(_of_lines(found, best)),
        covered=sum(at is not None for at in marked) / max(len(marked), 1),
    )


def _of_lines(found: Recognised, letters: Sequence[Letter | None]) -> Iterator[Box]:
    """The boxes of the lines that letters stand in, those of which hardly any does left out."""
    counts = Counter(one.first for one in letters if one is not None)
    for number, count in sorted(counts.items()):
        if count >= _FEWEST:
            yield _upright(found, found.lines[number])


def _upright(found: Recognised, line: RecognisedLine) -> Box:
    """A line's box on the picture as it lies, however that was turned to be read."""
    left, right = line.left / found.width, line.right / found.width
    top, bottom = (line.base - line.height) / found.height, (line.base + line.height / 4) / found.height
    for _ in range(found.turned // 90 % 4):
        left, top, right, bottom = 1 - bottom, left, 1 - top, right
    return Box(left, top, right - left, bottom - top)


def _encoded(image: Any, count: int) -> Drawn:
    jpeg = io.BytesIO()
    image.save(jpeg, "JPEG", quality=_QUALITY)  # a tenth of the time that a PNG takes
    return Drawn(jpeg.getvalue(), image.width, image.height, count)


class Letter(NamedTuple):
    """A letter or digit of a page, folded, and the characters of the page that make it."""

    text: str
    first: int
    last: int


def found_on_page(page: Any, text: str) -> list[Letter | None]:
    """For each letter of a text the one on a page of a PDF, None where it does not stand there."""
    there = page_text(page)
    return found_on(letters_of(deciphered(there, text) if garbled(there) else there), text)


def page_text(page: Any) -> str:
    """A page's characters, each by its number in pdfium."""
    import pypdfium2.raw as pdfium

    textpage = page.get_textpage()
    try:
        codes = [pdfium.FPDFText_GetUnicode(textpage, place) for place in range(textpage.count_chars())]
    finally:
        textpage.close()
    return "".join(chr(code) if code < 0x110000 else " " for code in codes)


def letters_of(text: str) -> list[Letter]:
    """Letters and digits, however they are composed or shaped."""
    found: list[Letter] = []
    place = 0
    while place < len(text):
        end = place + 1
        while end < len(text) and (unicodedata.combining(text[end]) or "\u1160" <= text[end] <= "\u11ff"):
            end += 1
        folded = unicodedata.normalize("NFKC", text[place:end]).casefold()
        found += [Letter(one, place, end - 1) for one in folded if one.isalnum()]
        place = end
    return found


def found_on(letters: Sequence[Letter], text: str) -> list[Letter | None]:
    """For each letter of a text the one on the page, None where it does not stand there."""
    sought, there = "".join(one.text for one in letters_of(text)), "".join(one.text for one in letters)
    found: list[Letter | None] = [None] * len(sought)
    whole = there.find(sought) if sought else -1
    if whole >= 0:
        return list(letters[whole : whole + len(sought)])
    before = (0, 0)
    for at, place, size in SequenceMatcher(None, sought, there, autojunk=False).get_matching_blocks():
        near = max(at - before[0], place - before[1]) <= _NEAR
        if size >= _FEWEST or (size and near):
            found[at : at + size] = letters[place : place + size]
            before = (at + size, place + size)
    return found


def deciphered(there: str, text: str) -> str:
    """A page's characters where fonts do not say what their glyphs mean, as a text that stands on it writes them.

    Each glyph stands for one character all through a page, and so a line lies where its characters repeat as the
    page's do. Longer lines come first: by what they tell, shorter ones are found.
    """
    glyphs = "".join(there.split())
    meanings: dict[str, str] = {}
    lines = {"".join(line.split()) for line in text.split("\n")}
    for line in sorted(lines, key=lambda line: (-len(line), line)):
        if len(line) < _FEWEST_GLYPHS:
            break
        for first in range(len(glyphs) - len(line) + 1):
            if (more := _meanings(meanings, glyphs[first : first + len(line)], line)) is not None:
                meanings |= more
                break
    return there.translate({ord(glyph): meaning for glyph, meaning in meanings.items()})


def _meanings(known: Mapping[str, str], glyphs: str, written: str) -> dict[str, str] | None:
    """What glyphs mean where they are these characters; None where one would mean two, or two the same."""
    found: dict[str, str] = {}
    taken: dict[str, str] = {}
    for glyph, character in zip(glyphs, written, strict=True):
        if known.get(glyph, character) != character or found.setdefault(glyph, character) != character:
            return None
        if taken.setdefault(character, glyph) != glyph:
            return None
    return found


def _letters_before(wanted: Wanted, edge: int) -> int:
    return len(letters_of(wanted.text[: wanted.best[edge]]))


def _boxes(page: Any, letters: Sequence[Letter]) -> list[Box]:
    """The boxes of characters, those that follow each other on a line as one."""
    found: list[Box] = []
    for box in _parts(page, letters):
        if found and _goes_on(found[-1], box):
            found[-1] = _around(found[-1], box)
        else:
            found.append(box)
    return found


def _goes_on(one: Box, other: Box) -> bool:
    height = max(one.height, other.height)
    level = min(one.top + one.height, other.top + other.height) - max(one.top, other.top)
    gap = max(one.left, other.left) - min(one.left + one.width, other.left + other.width)
    return level > height / 2 and gap < height


def _around(one: Box, other: Box) -> Box:
    left, top = min(one.left, other.left), min(one.top, other.top)
    right = max(one.left + one.width, other.left + other.width)
    bottom = max(one.top + one.height, other.top + other.height)
    return Box(left, top, right - left, bottom - top)


def _parts(page: Any, letters: Sequence[Letter]) -> Iterator[Box]:
    """The boxes of characters as pdfium gives them."""
    import pypdfium2.raw as pdfium

    textpage = page.get_textpage()
    try:
        values = [ctypes.c_double() for _ in range(4)]
        for first, last in _ranges(letters):
            for number in range(pdfium.FPDFText_CountRects(textpage, first, last - first + 1)):
                pdfium.FPDFText_GetRect(textpage, number, *(ctypes.byref(value) for value in values))
                left, top, right, bottom = (value.value for value in values)
                yield shares(page, left, top, right, bottom)
    finally:
        textpage.close()


def _ranges(letters: Sequence[Letter]) -> Iterator[tuple[int, int]]:
    """The characters of letters as ranges; what lies between two letters of a line goes with them."""
    first = last = -1
    for one in sorted(letters, key=lambda letter: letter.first):
        if first < 0:
            first, last = one.first, one.last
        elif one.first - last <= _NEAR:
            last = max(last, one.last)
        else:
            yield first, last
            first, last = one.first, one.last
    if first >= 0:
        yield first, last


_FINE = 100_000


def shares(page: Any, left: float, top: float, right: float, bottom: float) -> Box:
    """A box in the page's own points as shares of its picture, however the page is turned or cut."""
    import pypdfium2.raw as pdfium

    corners = []
    for x, y in ((left, top), (right, bottom)):
        across, down = ctypes.c_int(), ctypes.c_int()
        pdfium.FPDF_PageToDevice(page, 0, 0, _FINE, _FINE, 0, x, y, ctypes.byref(across), ctypes.byref(down))
        corners.append((across.value / _FINE, down.value / _FINE))
    (x0, y0), (x1, y1) = corners
    return Box(min(x0, x1), min(y0, y1), abs(x1 - x0), abs(y1 - y0))
