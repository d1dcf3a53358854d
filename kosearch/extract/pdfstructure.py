"""What a PDF says about itself, by pypdf: outline, labels, metadata; and its text, where pdfium fails."""

from __future__ import annotations

import io
import logging
import re
from collections.abc import Iterator, Sequence
from typing import Any

from kosearch.extract.decoding import normalise
from kosearch.extract.metadata import standard
from kosearch.records import Heading

_DATE = re.compile(r"D?:?(\d{4})(\d\d)?(\d\d)?(\d\d)?(\d\d)?(\d\d)?([-+Z])?(\d\d)?'?(\d\d)?")
# Titles that programs leave behind and no author gave.
_NO_TITLE = re.compile(
    r"(?:untitled.*|제목 ?없음|document\s?\d*|문서\s?\d*|powerpoint.*|슬라이드 \d+|slide \d+"
    r"|.*\.(?:html?|docx?|hwpx?|pdf|tex|dvi|xlsx?|pptx?))",
    re.IGNORECASE,
)
_PROGRAM = re.compile(r"^Microsoft (?:Word|PowerPoint|Excel) - ")


class Structure:
    """pypdf's view of a file; whatever it cannot read of it is empty, and never an error."""

    def __init__(self, data: bytes) -> None:
        import pypdf

        logging.getLogger("pypdf").setLevel(logging.CRITICAL)
        self._reader: Any = None
        self.locked = False
        try:
            reader = pypdf.PdfReader(io.BytesIO(data), strict=False)
            self.locked = bool(reader.is_encrypted and not reader.decrypt(""))
        except Exception:  # noqa: BLE001 - broken files raise all kinds of errors here; pdfium may still read them
            return
        if not self.locked:
            self._reader = reader

    def texts(self) -> list[str]:
        """The text of each page; empty when the file cannot be read at all."""
        try:
            return [self.text(number) for number in range(len(self._reader.pages))] if self._reader else []
        except Exception:  # noqa: BLE001
            return []

    def text(self, number: int) -> str:
        """The text of one page, counted from 0."""
        try:
            return str(self._reader.pages[number].extract_text()) if self._reader else ""
        except Exception:  # noqa: BLE001
            return ""

    def subset(self, numbers: Sequence[int]) -> bytes:
        """A PDF of these pages alone, counted from 0; empty when it cannot be made."""
        import pypdf

        out = io.BytesIO()
        try:
            writer = pypdf.PdfWriter()
            for number in numbers:
                writer.add_page(self._reader.pages[number])
            writer.write(out)
        except Exception:  # noqa: BLE001
            return b""
        return out.getvalue()

    def labels(self, count: int) -> list[str]:
        """What the document calls each of its pages, "" where that is the plain number."""
        try:
            labels = list(self._reader.page_labels) if self._reader else []
        except Exception:  # noqa: BLE001
            labels = []
        if len(labels) != count:
            return [""] * count
        plain = [" ".join(normalise(label).split()) for label in labels]
        return ["" if label == str(number) else label for number, label in enumerate(plain, 1)]

    def headings(self, text: str, starts: Sequence[int]) -> list[Heading]:
        """The outline's entries where their titles stand in the text; `starts` are the pages' offsets."""
        try:
            entries = list(self._entries(self._reader.outline, 1)) if self._reader else []
        except Exception:  # noqa: BLE001
            return []
        headings = []
        for title, level, page in entries:
            if 0 <= page < len(starts) and starts[page] < len(text):  # not of blank pages at the end
                end = starts[page + 1] if page + 1 < len(starts) else len(text)
                headings.append(Heading(_find(title, text, starts[page], end), level, title))
        return headings

    def metadata(self) -> tuple[str, dict[str, str]]:
        """The title and the standard fields."""
        try:
            found = self._reader.metadata if self._reader else None
            info = (
                {key: str(found.get(key) or "") for key in ("/Title", "/Author", "/CreationDate", "/ModDate")}
                if found
                else {}
            )
        except Exception:  # noqa: BLE001
            info = {}
        title = _PROGRAM.sub("", info.get("/Title", "").strip())
        fields = {
            "author": info.get("/Author", ""),
            "created": _date(info.get("/CreationDate", "")),
            "modified": _date(info.get("/ModDate", "")),
            "language": self._language(),
        }
        return "" if _NO_TITLE.fullmatch(title) else title, standard(fields)

    def _language(self) -> str:
        try:
            return str(self._reader.root_object.get("/Lang") or "") if self._reader else ""
        except Exception:  # noqa: BLE001
            return ""

    def _entries(self, outline: Sequence[Any], level: int) -> Iterator[tuple[str, int, int]]:
        for entry in outline:
            if isinstance(entry, list):
                yield from self._entries(entry, level + 1)
                continue
            page = self._reader.get_destination_page_number(entry)
            if (title := " ".join(normalise(str(entry.title or "")).split())) and page is not None:
                yield title, level, page


def _find(title: str, text: str, start: int, end: int) -> int:
    """Where the title stands on its page, however it is spaced there; else the page's start."""
    pattern = r"\s*".join(re.escape(character) for character in title if not character.isspace())
    match = re.compile(pattern).search(text, start, end)
    return match.start() if match else start


def _date(text: str) -> str:
    """A PDF date (ISO 32000-1, 7.9.4) as ISO 8601."""
    match = _DATE.match(text)
    if not match:
        return ""
    year, month, day, hour, minute, second, sign, zone_hour, zone_minute = match.groups()
    date = "-".join(part for part in (year, month, day) if part)
    if not (day and hour and minute):
        return date
    zone = "+00:00" if sign == "Z" else f"{sign}{zone_hour}:{zone_minute or '00'}" if sign and zone_hour else ""
    return f"{date}T{hour}:{minute}:{second or '00'}{zone}"
