"""What readers do with pictures: ask for their text, and set it like lines of a page."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from contextvars import ContextVar
from dataclasses import dataclass
from functools import partial
from itertools import islice
from typing import TYPE_CHECKING

from kosearch.extract.containers import Package
from kosearch.extract.text import ExtractError, TextBuilder
from kosearch.ocr import Nothing, Picture, Pictures, Unread
from kosearch.records import Recognised

if TYPE_CHECKING:
    from kosearch.extract.pdf_layout import Line

_LARGE = 1.35
"""A line that is so much higher than the page's usual one is a heading…"""
_LONGEST_HEADING = 60
_FEWEST_LINES = 6
"""…on a page of so many lines."""
_MOST_PICTURES = 500
_SUFFIXES = (".png", ".jpg", ".jpeg", ".gif", ".bmp", ".tif", ".tiff", ".webp", ".heic")
SURE = 0.5
"""What is recognised with less confidence is dropped."""


@dataclass(slots=True)
class Asked:
    """Who answers for the pictures of a file, and whether one was asked about."""

    pictures: Pictures
    any: bool = False


ASKED: ContextVar[Asked] = ContextVar("ASKED", default=Asked(Nothing("text in pictures was not asked for")))  # noqa: B039


def read_picture(picture: Picture) -> Recognised | Unread:
    """The text of a picture, or why there is none."""
    asked = ASKED.get()
    asked.any = True
    found = asked.pictures.read(picture)
    if isinstance(found, Recognised) and 0 < found.confidence < SURE:
        why = f"what is recognised is unsure ({found.confidence:.0%}) and left out"
        return Unread(f"{why}; it looks like Hanja, which the model does not have" if found.hanja else why)
    return found


def forced() -> bool:
    """Whether pages that have a text are to be read as pictures too."""
    return ASKED.get().pictures.force


def lines_of(found: Recognised, points: float) -> list[Line]:
    """Lines as a text layer gives them, each of the picture's pixels so many points wide."""
    from kosearch.extract.pdf_layout import Line

    return [
        Line(line.text, line.left * points, line.right * points, -line.base * points, line.height * points, line.row)
        for line in found.lines
    ]


def headings_of(found: Recognised) -> Iterator[str]:
    """The lines that stand out by their size."""
    heights = sorted(line.height for line in found.lines)
    if len(heights) < _FEWEST_LINES:
        return
    usual = heights[len(heights) // 2]
    for line in found.lines:
        if line.height >= _LARGE * usual and not line.row and len(line.text) <= _LONGEST_HEADING:
            yield line.text


def add_picture(builder: TextBuilder, data: bytes) -> None:
    """Append the text of a picture that stands in a document; small ones are signs and ornaments, and have none."""
    from kosearch.ocr import pictures

    if not pictures.decodable():
        ASKED.get().any = True  # the file is read again when something decodes them
        return
    width, height = pictures.size(data)
    if width < pictures.LEAST_WIDTH or height < pictures.LEAST_HEIGHT:
        return
    try:
        found = read_picture(partial(pictures.frame, data, 0))
    except pictures.Unreadable:
        return
    if isinstance(found, Recognised):
        start = builder.add("\n".join(line.text for line in found.lines))
        builder.recognised(start, builder.length, found.confidence)


def add_pictures(builder: TextBuilder, pictures: Iterable[bytes]) -> None:
    """Append the texts of pictures of which it is not known where in the document they stand, each once."""
    seen: set[bytes] = set()
    for data in islice(pictures, _MOST_PICTURES):
        if data not in seen:
            seen.add(data)
            add_picture(builder, data)


def packaged(package: Package, folders: Sequence[str] = ("",)) -> Iterator[bytes]:
    """The pictures in folders of a package."""
    for name in package:
        if name.startswith(tuple(folders)) and name.lower().endswith(_SUFFIXES):
            with suppress(ExtractError):
                yield package.read(name)
