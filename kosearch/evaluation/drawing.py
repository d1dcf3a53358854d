"""Lines, boxes and labels, written as SVG or as PNG. Points have (0, 0) at the top left, y grows downwards.

A PNG needs a font and a rasteriser, and pdfium, which reads PDF files here anyway, has both: the drawing becomes a
PDF page of PDF's standard fonts, and pdfium an image of it. Hangul in a PNG is drawn by a font of the system, where it
has one; SVG leaves that to the viewer.
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import TYPE_CHECKING, Literal
from unicodedata import east_asian_width
from xml.sax.saxutils import escape

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

_FONTS = "'Noto Sans', 'Apple SD Gothic Neo', 'Malgun Gothic', 'Noto Sans CJK KR', 'NanumGothic', sans-serif"
_INK = "#222222"
_NARROW, _WIDE = 0.56, 1.0
"""About the widths of a Latin and a Hangul character, in units of the font's size."""
_PIXELS = 2
"""Pixels of a PNG per unit of length."""


@dataclass(frozen=True, slots=True)
class Box:
    x: float
    y: float
    width: float
    height: float
    fill: str = "#ffffff"
    stroke: str = "none"


@dataclass(frozen=True, slots=True)
class Line:
    points: Sequence[tuple[float, float]]
    colour: str = _INK
    width: float = 1.0
    dashes: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class Label:
    """Text on a baseline that goes through (x, y); `upwards` turns it to read from bottom to top."""

    x: float
    y: float
    text: str
    anchor: Literal["start", "middle", "end"] = "start"
    size: int = 13
    bold: bool = False
    upwards: bool = False


@dataclass(frozen=True, slots=True)
class Drawing:
    """`shapes` lie upon each other in their order."""

    title: str
    width: int
    height: int
    shapes: Sequence[Box | Line | Label]


def text_width(text: str, size: int) -> float:
    """About how wide a label is."""
    return size * sum(_WIDE if east_asian_width(character) in "WF" else _NARROW for character in text)


def svg(drawing: Drawing) -> bytes:
    """The drawing as an SVG file."""
    head = (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {drawing.width} {drawing.height}" '
        f'width="{drawing.width}" height="{drawing.height}" role="img" font-family="{_FONTS}" fill="{_INK}">'
    )
    parts = [
        head,
        f"<title>{escape(_printable(drawing.title))}</title>",
        *map(_svg_shape, drawing.shapes),
        "</svg>",
        "",
    ]
    return "\n".join(parts).encode()


def png(drawing: Drawing) -> bytes:
    """The drawing as a PNG file, two pixels to a unit."""
    import numpy as np
    import pypdfium2

    document = pypdfium2.PdfDocument(_pdf(drawing))
    try:
        pixels = document[0].render(scale=_PIXELS, rev_byteorder=True).to_numpy()
        return _encode_png(np.ascontiguousarray(pixels[:, :, :3]))
    finally:
        document.close()


FORMATS: dict[str, Callable[[Drawing], bytes]] = {".svg": svg, ".png": png}
"""How a drawing is written, by the ending of the file's name."""


def _svg_shape(shape: Box | Line | Label) -> str:
    if isinstance(shape, Box):
        place = f'x="{shape.x:.1f}" y="{shape.y:.1f}" width="{shape.width:.1f}" height="{shape.height:.1f}"'
        return f'<rect {place} fill="{shape.fill}" stroke="{shape.stroke}"/>'
    if isinstance(shape, Line):
        points = " ".join(f"{x:.1f},{y:.1f}" for x, y in shape.points)
        dashes = " ".join(map(str, shape.dashes)) or "none"
        style = f'stroke="{shape.colour}" stroke-width="{shape.width}" stroke-dasharray="{dashes}"'
        return f'<polyline points="{points}" fill="none" {style} stroke-linejoin="round"/>'
    turned = f' transform="rotate(-90 {shape.x:.1f} {shape.y:.1f})"' if shape.upwards else ""
    bold = ' font-weight="bold"' if shape.bold else ""
    place = f'x="{shape.x:.1f}" y="{shape.y:.1f}" text-anchor="{shape.anchor}" font-size="{shape.size}"'
    return f"<text {place}{bold}{turned}>{escape(_printable(shape.text))}</text>"


def _printable(text: str) -> str:
    """Control characters, which XML forbids, become spaces."""
    return "".join(character if character.isprintable() else " " for character in text)


def _pdf(drawing: Drawing) -> bytes:
    """A PDF file of one page (ISO 32000-1). Its y grows upwards, so every y is taken from the height."""
    content = " ".join(part for shape in drawing.shapes for part in _pdf_shape(shape, drawing.height)).encode()
    korean = (
        "/BaseFont /HYGoThic-Medium /CIDSystemInfo << /Registry (Adobe) /Ordering (Korea1) /Supplement 1 >> "
        "/FontDescriptor << /Type /FontDescriptor /FontName /HYGoThic-Medium /Flags 4 /StemV 80 /ItalicAngle 0 "
        "/FontBBox [0 -200 1000 900] /Ascent 880 /Descent -120 /CapHeight 700 >>"
    )
    fonts = (
        "/Latin << /Type /Font /Subtype /Type1 /BaseFont /Helvetica /Encoding /WinAnsiEncoding >> "
        "/Bold << /Type /Font /Subtype /Type1 /BaseFont /Helvetica-Bold /Encoding /WinAnsiEncoding >> "
        "/Korean << /Type /Font /Subtype /Type0 /BaseFont /HYGoThic-Medium /Encoding /UniKS-UCS2-H "
        f"/DescendantFonts [<< /Type /Font /Subtype /CIDFontType0 {korean} >>] >>"
    )
    objects = [
        b"<< /Type /Catalog /Pages 2 0 R >>",
        b"<< /Type /Pages /Kids [3 0 R] /Count 1 >>",
        f"<< /Type /Page /Parent 2 0 R /MediaBox [0 0 {drawing.width} {drawing.height}] /Contents 4 0 R "
        f"/Resources << /Font << {fonts} >> >> >>".encode(),
        b"<< /Length %d >> stream\n%b\nendstream" % (len(content), content),
    ]
    file, places = b"%PDF-1.7\n", []
    for number, body in enumerate(objects, 1):
        places.append(len(file))
        file += b"%d 0 obj\n%b\nendobj\n" % (number, body)
    table = b"".join(b"%010d 00000 n \n" % place for place in places)
    size, start = len(objects) + 1, len(file)
    return file + b"xref\n0 %d\n0000000000 65535 f \n%btrailer << /Size %d /Root 1 0 R >>\nstartxref\n%d\n%%%%EOF\n" % (
        size,
        table,
        size,
        start,
    )


def _pdf_shape(shape: Box | Line | Label, height: int) -> Iterator[str]:
    """Operators of a content stream."""
    if isinstance(shape, Box):
        stroked = shape.stroke != "none"
        yield f"{_rgb(shape.fill)} rg {_rgb(shape.stroke) if stroked else '0 0 0'} RG 1 w [] 0 d"
        yield f"{shape.x:.2f} {height - shape.y - shape.height:.2f} {shape.width:.2f} {shape.height:.2f} re"
        yield "B" if stroked else "f"
    elif isinstance(shape, Line):
        dashes = " ".join(map(str, shape.dashes))
        yield f"{_rgb(shape.colour)} RG {shape.width} w 1 j [{dashes}] 0 d"
        for number, (x, y) in enumerate(shape.points):
            yield f"{x:.2f} {height - y:.2f} {'l' if number else 'm'}"
        yield "S"
    else:
        yield from _pdf_label(shape, height)


def _pdf_label(label: Label, height: int) -> Iterator[str]:
    text = _printable(label.text)
    before = {"start": 0.0, "middle": 0.5, "end": 1.0}[label.anchor] * text_width(text, label.size)
    x, y = label.x, height - label.y
    turn, x, y = ("0 1 -1 0", x, y - before) if label.upwards else ("1 0 0 1", x - before, y)
    for latin, run in groupby(text, _is_latin):
        part = "".join(run)
        written = part.encode("cp1252" if latin else "utf-16-be", "replace").hex()
        font = "Korean" if not latin else "Bold" if label.bold else "Latin"
        yield f"BT {_rgb(_INK)} rg /{font} {label.size} Tf {turn} {x:.2f} {y:.2f} Tm <{written}> Tj ET"
        x, y = (x, y + text_width(part, label.size)) if label.upwards else (x + text_width(part, label.size), y)


def _is_latin(character: str) -> bool:
    """Whether PDF's standard fonts have it."""
    try:
        return bool(character.encode("cp1252"))
    except UnicodeEncodeError:
        return False


def _rgb(colour: str) -> str:
    """#rrggbb as three numbers from 0 to 1."""
    return " ".join(f"{int(colour[i : i + 2], 16) / 255:.3f}" for i in (1, 3, 5))


def _encode_png(pixels: npt.NDArray[np.uint8]) -> bytes:
    """Pixels of shape (height, width, 3) as a PNG file (https://www.w3.org/TR/png-3), lines unfiltered."""
    height, width, _ = pixels.shape
    lines = b"".join(b"\0" + line.tobytes() for line in pixels)
    chunks = (
        (b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)),
        (b"IDAT", zlib.compress(lines, 9)),
        (b"IEND", b""),
    )
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body)) for name, body in chunks
    )
