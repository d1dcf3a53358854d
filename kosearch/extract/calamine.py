"""Binary workbooks (.xlsb), read by calamine: the values as they are kept, without their formats."""

from __future__ import annotations

import io
from itertools import islice
from typing import Any

from kosearch.extract.builder import LINE, PARAGRAPH, TextBuilder, table_lines
from kosearch.extract.contract import ExtractError
from kosearch.records import Extraction, Reason

_MOST_ROWS = 200_000
"""In a sheet; a sheet can hold a million, and what lies beyond is named in a warning."""


def read(data: bytes, kind: str, stated: tuple[str, dict[str, str]]) -> Extraction:
    """A workbook, with the title and fields that it states elsewhere."""
    from python_calamine import CalamineError, CalamineWorkbook, PasswordError

    builder = TextBuilder()
    warnings = []
    try:
        workbook = CalamineWorkbook.from_filelike(io.BytesIO(data))
        for number, name in enumerate(workbook.sheet_names, 1):
            builder.page(number, name)
            rows = iter(workbook.get_sheet_by_name(name).iter_rows())
            shown = ([_shown(value) for value in row] for row in islice(rows, _MOST_ROWS))
            filled = [row for row in shown if any(row)]
            for place, line in enumerate(table_lines(filled, named_columns=True)):
                builder.add(line, gap=LINE if place else PARAGRAPH)
            if next(rows, None) is not None:
                warnings.append(f"only the first {_MOST_ROWS} rows of sheet {name} are read")
    except PasswordError as error:
        raise ExtractError(Reason.ENCRYPTED, "encrypted: opening it needs a password") from error
    except CalamineError as error:
        raise ExtractError(Reason.BROKEN, f"a broken workbook: {error}") from error
    except BaseException as error:
        # A panic in Rust is no Exception, but costs this file only.
        if type(error).__name__ == "PanicException":
            raise ExtractError(Reason.BROKEN, "a broken workbook") from error
        raise
    title, metadata = stated
    return Extraction((builder.document(kind, title=title, metadata=metadata, warnings=warnings),))


def _shown(value: Any) -> str:
    return str(int(value)) if isinstance(value, float) and value.is_integer() else str(value)
