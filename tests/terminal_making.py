"""Draws what a terminal shows: the README's picture is a real run."""

from __future__ import annotations

import re
from html import unescape
from io import StringIO

from rich.cells import cell_len
from rich.console import Console
from rich.terminal_theme import NIGHT_OWLISH
from rich.text import Text

_FORMAT = """<svg class="rich-terminal" viewBox="0 0 {width} {height}" xmlns="http://www.w3.org/2000/svg">
<style>
.{unique_id}-matrix {{
  font-family: "D2Coding", "Noto Sans Mono CJK KR", "NanumGothicCoding", Menlo, Consolas, monospace;
  font-size: {char_height}px; line-height: {line_height}px; font-variant-east-asian: full-width;
}}
.{unique_id}-title {{ font-size: 18px; font-weight: bold; font-family: sans-serif; }}
{styles}
</style>
<defs>
<clipPath id="{unique_id}-clip-terminal">
<rect x="0" y="0" width="{terminal_width}" height="{terminal_height}" />
</clipPath>
{lines}
</defs>
{chrome}
<g transform="translate({terminal_x}, {terminal_y})" clip-path="url(#{unique_id}-clip-terminal)">
{backgrounds}
<g class="{unique_id}-matrix">
{matrix}
</g>
</g>
</svg>
"""
"""Rich's own form without its fonts, which it takes from another machine."""
_CELL = 12.2
"""A cell's width in the picture: rich's character height of 20 times its aspect ratio of .61."""


def picture(commands: list[tuple[str, str]], columns: int) -> str:
    """An SVG of commands and of what each one wrote to a terminal of that width, colours included."""
    console = Console(record=True, width=columns, file=StringIO(), force_terminal=True, color_system="truecolor")
    for command, written in commands:
        console.print(Text(f"$ {command}", style="bold"))
        console.print(Text.from_ansi(re.sub(r"\x1b\[K|[^\n]*\r(?!\n)", "", written)))
    svg = console.export_svg(title="kosearch", theme=NIGHT_OWLISH, code_format=_FORMAT, unique_id="terminal")
    svg = re.sub(r'textLength="[^"]*"([^>]*)>([^<]*)<', _measured, svg)
    return "\n".join(line.rstrip() for line in svg.splitlines()) + "\n"


def _measured(found: re.Match[str]) -> str:
    """A text with the width of its cells: rich counts letters, and a syllable of Hangul is two cells wide."""
    cells = cell_len(unescape(found[2]).rstrip("\n"))
    return f'textLength="{cells * _CELL:.1f}"{found[1]}>{found[2]}<'
