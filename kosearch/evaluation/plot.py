"""Recall against k for one or more systems, as a drawing.

k runs on a logarithmic scale, because the first few ranks matter most. Systems differ by dash, and by colour
(Okabe and Ito's, which people with any colour vision can tell apart).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from math import floor, log
from pathlib import Path

from kosearch.errors import UsageError
from kosearch.evaluation.drawing import FORMATS, Box, Drawing, Label, Line, text_width
from kosearch.evaluation.reports import DEPTH, Report, recall_curve

_WIDTH, _HEIGHT = 720, 440
_LEFT, _RIGHT, _TOP, _BOTTOM = 64, 24, 52, 56
_TICKS = (1, 2, 3, 5, 10, 20, 50, 100)
_COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
_DASHES: tuple[tuple[int, ...], ...] = ((), (8, 4), (2, 3), (10, 3, 2, 3))
_PALE = "#dddddd"
_LEGEND_SIZE, _LEGEND_ROW = 13, 20


def write_plot(path: Path, reports: Sequence[Report], title: str) -> None:
    """Draw into a file whose ending is among `FORMATS`."""
    drawn = FORMATS[path.suffix.lower()](recall_plot(reports, title))
    try:
        path.write_bytes(drawn)
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
