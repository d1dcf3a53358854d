"""Recall against k for one or more systems, as an SVG image: no drawing library is needed.

k runs on a logarithmic scale, because the first few ranks matter most. Systems differ by dash, and by colour
(Okabe and Ito's, which people with any colour vision can tell apart). There is no PNG: it would need a font
and a rasteriser.
"""

from __future__ import annotations

from collections.abc import Sequence
from math import floor, log
from unicodedata import east_asian_width
from xml.sax.saxutils import escape

from kosearch.evaluation.reports import DEPTH, Report, recall_curve

_WIDTH, _HEIGHT = 720, 440
_LEFT, _RIGHT, _TOP, _BOTTOM = 64, 24, 52, 56
_TICKS = (1, 2, 3, 5, 10, 20, 50, 100)
_COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
_DASHES = ("none", "8 4", "2 3", "10 3 2 3")
_FONT = "'Noto Sans', 'Apple SD Gothic Neo', 'Malgun Gothic', 'Noto Sans CJK KR', 'NanumGothic', sans-serif"
_HEAD = (
    f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {_HEIGHT}" width="{_WIDTH}" '
    f'height="{_HEIGHT}" role="img" font-family="{_FONT}" font-size="13" fill="#222">'
)
_LEGEND_ROW = 20
_NARROW, _WIDE = 7.5, 13.0  # about a Latin and a Hangul character's width at the legend's size


def recall_plot(reports: Sequence[Report], title: str) -> str:
    """The image as SVG text; the reports are drawn, and listed in the legend, in their order."""
    curves = [recall_curve(report) for report in reports]
    # Round down to a tenth and leave room, so that the lowest curve does not lie on the axis.
    lowest = max(0.0, floor(min((curve[0] for curve in curves), default=0.0) * 10 - 0.5) / 10)
    parts = [
        _HEAD,
        f"<title>{_text(title)}</title>",
        f'<rect width="{_WIDTH}" height="{_HEIGHT}" fill="#fff"/>',
        f'<text x="{_LEFT}" y="30" font-size="16" font-weight="bold">{_text(title)}</text>',
        *_axes(lowest),
    ]
    for number, curve in enumerate(curves):
        points = " ".join(f"{_x(k):.1f},{_y(recall, lowest):.1f}" for k, recall in enumerate(curve, 1))
        parts.append(f'<polyline points="{points}" {_stroke(number)}/>')
    parts += [*_legend([report.system for report in reports]), "</svg>", ""]
    return "\n".join(parts)


def _axes(lowest: float) -> list[str]:
    right, bottom = _WIDTH - _RIGHT, _HEIGHT - _BOTTOM
    parts = []
    for tenth in range(round(lowest * 10), 11):
        y = _y(tenth / 10, lowest)
        parts.append(f'<line x1="{_LEFT}" y1="{y:.1f}" x2="{right}" y2="{y:.1f}" stroke="#ddd"/>')
        parts.append(f'<text x="{_LEFT - 8}" y="{y + 4:.1f}" text-anchor="end">{tenth / 10:.1f}</text>')
    for k in _TICKS:
        x = _x(k)
        parts.append(f'<line x1="{x:.1f}" y1="{bottom}" x2="{x:.1f}" y2="{bottom + 5}" stroke="#222"/>')
        parts.append(f'<text x="{x:.1f}" y="{bottom + 20}" text-anchor="middle">{k}</text>')
    parts.append(f'<line x1="{_LEFT}" y1="{bottom}" x2="{right}" y2="{bottom}" stroke="#222"/>')
    parts.append(f'<text x="{(_LEFT + right) / 2}" y="{_HEIGHT - 12}" text-anchor="middle">k</text>')
    middle = (_TOP + bottom) / 2
    parts.append(f'<text transform="translate(18 {middle}) rotate(-90)" text-anchor="middle">Recall@k</text>')
    return parts


def _legend(systems: Sequence[str]) -> list[str]:
    """In the lower right corner, which rising curves leave free."""
    width = 52 + max(map(_text_width, systems), default=0)
    height = _LEGEND_ROW * len(systems) + 8
    left, top = _WIDTH - _RIGHT - width - 10, _HEIGHT - _BOTTOM - height - 10
    box = f'x="{left:.1f}" y="{top}" width="{width:.1f}" height="{height}"'
    parts = [f'<rect {box} fill="#fff" fill-opacity=".85" stroke="#ddd"/>']
    for number, system in enumerate(systems):
        y = top + _LEGEND_ROW * number + 14
        parts.append(f'<line x1="{left + 8:.1f}" y1="{y}" x2="{left + 36:.1f}" y2="{y}" {_stroke(number)}/>')
        parts.append(f'<text x="{left + 42:.1f}" y="{y + 4}">{_text(system)}</text>')
    return parts


def _stroke(number: int) -> str:
    colour, dash = _COLOURS[number % len(_COLOURS)], _DASHES[number % len(_DASHES)]
    return f'fill="none" stroke="{colour}" stroke-width="2.5" stroke-dasharray="{dash}" stroke-linejoin="round"'


def _x(k: int) -> float:
    return _LEFT + (_WIDTH - _LEFT - _RIGHT) * log(k) / log(DEPTH)


def _y(recall: float, lowest: float) -> float:
    bottom = _HEIGHT - _BOTTOM
    return bottom - (bottom - _TOP) * (recall - lowest) / (1 - lowest)


def _text_width(text: str) -> float:
    return sum(_WIDE if east_asian_width(character) in "WF" else _NARROW for character in text)


def _text(given: str) -> str:
    """XML text; control characters, which XML forbids, become spaces."""
    return escape("".join(character if character.isprintable() else " " for character in given))
