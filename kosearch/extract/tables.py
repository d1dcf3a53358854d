"""Tables as text: a line a row, and the names of the columns where they are needed to understand it."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from itertools import zip_longest

_WORD = re.compile(r"[^\W\d]")
_AMOUNT = re.compile(r"[\d,.]+(?:원|%|명|개)?$")
_LONGEST_NAME = 40
_ROWS_TO_A_HEADER = 15


def table_lines(rows: Sequence[Sequence[str]], *, named_columns: bool) -> Iterator[str]:
    """A line a row; with names of columns, each value after its column's, else the header again every few rows."""
    header = _header(rows)
    names = rows[header] if header is not None else ()
    for number, row in enumerate(rows):
        cells = [" ".join(cell.split()) for cell in row]
        if header is None or number < header or (named_columns and number == header):
            yield " | ".join(cell for cell in cells if cell)
        elif named_columns:
            columns = zip_longest(names, cells, fillvalue="")
            yield " | ".join(f"{name}: {cell}" if name else cell for name, cell in columns if cell)
        else:
            if number > header and not (number - header) % _ROWS_TO_A_HEADER:
                yield " | ".join(names)
            yield " | ".join(cells).rstrip(" |")


def _header(rows: Sequence[Sequence[str]]) -> int | None:
    """The row that names the columns: the first with more than one cell, if all of it are short words."""
    for number, row in enumerate(rows):
        names = [cell for cell in row if cell]
        if len(names) < 2:
            continue
        words = all(len(name) <= _LONGEST_NAME and _WORD.search(name) for name in names)
        distinct = len(set(names)) == len(names)
        return number if words and distinct and len(rows) - number > 2 and not any(map(_AMOUNT.match, names)) else None
    return None
