"""Recall against k for one or more systems, drawn as SVG, which every browser and editor shows and turns into others.

k runs on a logarithmic scale, because the first few ranks matter most. Systems differ by dash, and by colour
(Okabe and Ito's, which people with any colour vision can tell apart). Points have (0, 0) at the top left, y grows
downwards.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import floor, log
from pathlib import Path
from typing import Literal
from unicodedata import east_asian_width
from xml.sax.saxutils import escape

from kosearch.errors import UsageError
from kosearch.evaluation.reports import DEPTH, Report, recall_curve

SUFFIX = ".svg"

_FONTS = "'Noto Sans', 'Apple SD Gothic Neo', 'Malgun Gothic', 'Noto Sans CJK KR', 'NanumGothic', sans-serif"
_INK = "#222222"
_NARROW, _WIDE = 0.56, 1.0
"""About the widths of a Latin and a Hangul character, in units of the font's size."""
_WIDTH, _HEIGHT = 720, 440
_LEFT, _RIGHT, _TOP, _BOTTOM = 64, 24, 52, 56
_TICKS = (1, 2, 3, 5, 10, 20, 50, 100)
_COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
_DASHES: tuple[tuple[int, ...], ...] = ((), (8, 4), (2, 3), (10, 3, 2, 3))
_PALE = "#dddddd"
_LEGEND_SIZE, _LEGEND_ROW = 13, 20


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


def write_plot(path: Path, reports: Sequence[Report], title: str) -> None:
    """Draw into an SVG file."""
    try:
        path.write_bytes(svg(recall_plot(reports, title)))
    except OSError as error:
        raise UsageError(f"{path} cannot be written: {error.strerror}.") from error


def recall_plot(reports: Sequence[Report], title: str) -> Drawing:
    """The reports are drawn, and listed in the legend, in their order."""
    curves = [recall_curve(report) for report in reports]
    # Round down to a tenth and leave room, so that the lowest curve does not lie on the axis.
    lowest = max(0.0, floor(min((curve[0] for curve in curves), default=0.0) * 10 - 0.5) / 10)
    lines = [
        _curve([(_x(k), _y(recall, lowest)) for k, recall in enumerate(curve, 1)], number)
        for number, curve in enumerate(curves)
    ]
    background = Box(0, 0, _WIDTH, _HEIGHT)
    heading = Label(_LEFT, 30, title, size=16, bold=True)
    legend = _legend([report.system for report in reports])
    return Drawing(title, _WIDTH, _HEIGHT, (background, heading, *_axes(lowest), *lines, *legend))


def _axes(lowest: float) -> Iterator[Line | Label]:
    right, bottom = _WIDTH - _RIGHT, _HEIGHT - _BOTTOM
    for tenth in range(round(lowest * 10), 11):
        y = _y(tenth / 10, lowest)
        yield Line(((_LEFT, y), (right, y)), _PALE)
        yield Label(_LEFT - 8, y + 4, f"{tenth / 10:.1f}", "end")
    for k in _TICKS:
        yield Line(((_x(k), bottom), (_x(k), bottom + 5)))
        yield Label(_x(k), bottom + 20, str(k), "middle")
    yield Line(((_LEFT, bottom), (right, bottom)))
    yield Label((_LEFT + right) / 2, _HEIGHT - 12, "k", "middle")
    yield Label(22, (_TOP + bottom) / 2, "Recall@k", "middle", upwards=True)


def _legend(systems: Sequence[str]) -> Iterator[Box | Line | Label]:
    """In the lower right corner, which rising curves leave free."""
    width = 52 + max((text_width(system, _LEGEND_SIZE) for system in systems), default=0)
    height = _LEGEND_ROW * len(systems) + 8
    left, top = _WIDTH - _RIGHT - width - 10, _HEIGHT - _BOTTOM - height - 10
    yield Box(left, top, width, height, stroke=_PALE)
    for number, system in enumerate(systems):
        y = top + _LEGEND_ROW * number + 14
        yield _curve(((left + 8, y), (left + 36, y)), number)
        yield Label(left + 42, y + 4, system, size=_LEGEND_SIZE)


def _curve(points: Sequence[tuple[float, float]], number: int) -> Line:
    return Line(points, _COLOURS[number % len(_COLOURS)], 2.5, _DASHES[number % len(_DASHES)])


def _x(k: int) -> float:
    return _LEFT + (_WIDTH - _LEFT - _RIGHT) * log(k) / log(DEPTH)


def _y(recall: float, lowest: float) -> float:
    bottom = _HEIGHT - _BOTTOM
    return bottom - (bottom - _TOP) * (recall - lowest) / (1 - lowest)


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
