"""How costs grow with the size of an index, as an SVG image on two logarithmic scales."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import ceil, log10
from xml.sax.saxutils import escape

_WIDTH, _HEIGHT = 720, 440
_LEFT, _RIGHT, _TOP, _BOTTOM = 64, 24, 52, 56
_COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9")
"""Okabe and Ito's, which people with any colour vision can tell apart."""
_FONT = "'Noto Sans', 'Apple SD Gothic Neo', 'Malgun Gothic', sans-serif"
TITLE = "Costs of an index, as multiples of those of the smallest"


def growth_plot(sizes: Sequence[int], costs: Mapping[str, Sequence[float]], title: str = TITLE) -> str:
    """A line for each cost, divided by what it is at the first size; dashed, what grows as the index does."""
    lines = {name: [value / values[0] for value in values] for name, values in costs.items()}
    proportional = [size / sizes[0] for size in sizes]
    decades = max(1, ceil(log10(max(max(values) for values in [*lines.values(), proportional]))))
    lowest = min(0, *(log10(min(values)) for values in lines.values()))

    def point(size: int, value: float) -> tuple[float, float]:
        across = log10(size / sizes[0]) / (log10(sizes[-1] / sizes[0]) or 1)
        up = (log10(value) - lowest) / (decades - lowest)
        return _LEFT + (_WIDTH - _LEFT - _RIGHT) * across, _HEIGHT - _BOTTOM - (_HEIGHT - _TOP - _BOTTOM) * up

    def line(values: Sequence[float], stroke: str) -> str:
        points = " ".join("{:.1f},{:.1f}".format(*point(*pair)) for pair in zip(sizes, values, strict=True))
        return f'<polyline points="{points}" fill="none" {stroke}/>'

    head = (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {_HEIGHT}" width="{_WIDTH}" '
        f'height="{_HEIGHT}" role="img" font-family="{_FONT}" font-size="13" fill="#222">'
    )
    parts = [
        head,
        f"<title>{title}</title>",
        f'<rect width="{_WIDTH}" height="{_HEIGHT}" fill="#fff"/>',
        f'<text x="{_LEFT}" y="30" font-size="16" font-weight="bold">{title}</text>',
    ]
    for decade in range(decades + 1):
        _, y = point(sizes[0], 10.0**decade)
        parts.append(f'<line x1="{_LEFT}" y1="{y:.1f}" x2="{_WIDTH - _RIGHT}" y2="{y:.1f}" stroke="#ddd"/>')
        parts.append(f'<text x="{_LEFT - 8}" y="{y + 4:.1f}" text-anchor="end">{10**decade}×</text>')
    for size in sizes:
        x, _ = point(size, 1)
        parts.append(f'<text x="{x:.1f}" y="{_HEIGHT - _BOTTOM + 20}" text-anchor="middle">{size:,}</text>')
    parts.append(f'<text x="{_WIDTH / 2}" y="{_HEIGHT - 12}" text-anchor="middle">passages</text>')
    parts.append(line(proportional, 'stroke="#999" stroke-dasharray="4 4"'))
    for number, (name, values) in enumerate(lines.items()):
        colour, y = _COLOURS[number % len(_COLOURS)], _TOP + 20 * number + 10
        parts.append(line(values, f'stroke="{colour}" stroke-width="2.5"'))
        parts.append(
            f'<line x1="{_LEFT + 12}" y1="{y}" x2="{_LEFT + 40}" y2="{y}" stroke="{colour}" stroke-width="3"/>'
        )
        parts.append(f'<text x="{_LEFT + 48}" y="{y + 4}">{escape(name)}</text>')
    return "\n".join([*parts, "</svg>", ""])
