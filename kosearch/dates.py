"""Days as people write them: what a filter means, and on which day a document's time falls here."""

from __future__ import annotations

import re
from calendar import monthrange
from datetime import date, datetime, timedelta

Days = tuple[date, date]
"""The first and the last of some days."""

_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_PARTS = re.compile(r"(\d{4})(?:\s?[-./년]\s?(\d{1,2})(?:\s?[-./월]\s?(\d{1,2}))?)?\s?[.년월일]?")
_COMPACT = re.compile(r"(\d{4})(\d\d)(\d\d)")
_ENGLISH = re.compile(
    r"(?:(\d{1,2})(?:st|nd|rd|th)?\s+)?([A-Za-z]{3,9})\.?\s*(?:(\d{1,2})(?:st|nd|rd|th)?,?)?\s+(\d{4})"
)
_AGO = re.compile(r"(\d{1,4})\s?([dwmy])")
_NAMED = {"today": 0, "오늘": 0, "yesterday": 1, "어제": 1}


def span(text: str, today: date | None = None) -> Days | None:
    """The first and the last day of what a text names, or None where it names none.

    2024, 2024-03, 2024-3-5, 2024/3/5, 2024.3.5, 20240305, 2024년 3월, 5 Mar 2024; `3d`, `2w`, `6m`, `1y` ago; today.
    """
    text = text.strip()
    if text.casefold() in _NAMED or _AGO.fullmatch(text):
        day = _ago(text.casefold(), today or date.today())
        return (day, day) if day else None
    parts = _COMPACT.fullmatch(text) or _PARTS.fullmatch(text)
    if parts:
        return _span(*(int(part) if part else 0 for part in parts.groups()))
    english = _ENGLISH.fullmatch(text)
    if english and english[2][:3].lower() in _MONTHS and not (english[1] and english[3]):
        return _span(int(english[4]), _MONTHS.index(english[2][:3].lower()) + 1, int(english[1] or english[3] or 0))
    return None


def local_span(stated: str) -> Days | None:
    """The same of what a document states: an instant (ISO 8601 with a zone) is a day of this machine's zone."""
    try:
        moment = datetime.fromisoformat(stated)
    except ValueError:
        return span(stated)
    if len(stated) <= len("2024-03-05"):
        return span(stated) or (moment.date(), moment.date())
    day = (moment.astimezone() if moment.tzinfo else moment).date()
    return day, day


def day_of(seconds: float) -> date | None:
    """The day of this machine's zone on which an instant falls; None for one that no calendar has."""
    try:
        return datetime.fromtimestamp(seconds).date()
    except (ValueError, OverflowError, OSError):
        return None


def iso(text: str) -> str:
    """A date that a document states as ISO 8601, as exact as it was given; "" when it is none."""
    text = text.strip()
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        found = span(text) or _leading(text)
        if found is None:
            return ""
        first, last = found
        if first == last:
            return first.isoformat()
        return first.isoformat()[: len("2024-03") if first.month == last.month else len("2024")]
    return moment.date().isoformat() if len(text) <= 10 else moment.isoformat()


def local_time(stated: str) -> str:
    """An instant as this machine's clock shows it: 2024-03-05 08:00:00."""
    return datetime.fromisoformat(stated).astimezone().strftime("%Y-%m-%d %H:%M:%S")


def _leading(text: str) -> Days | None:
    """The date that a longer text begins with: 2024년 3월 5일 (화) 09:00."""
    found = _PARTS.match(text)
    return span(found.group()) if found and found[2] else None


def _span(year: int, month: int = 0, day: int = 0) -> Days | None:
    try:
        if day:
            return date(year, month, day), date(year, month, day)
        if month:
            return date(year, month, 1), date(year, month, monthrange(year, month)[1])
        return date(year, 1, 1), date(year, 12, 31)
    except ValueError:
        return None


def _ago(text: str, today: date) -> date | None:
    if text in _NAMED:
        return today - timedelta(_NAMED[text])
    count, unit = int(text[:-1]), text[-1]
    if unit in "dw":
        return today - timedelta(count * (7 if unit == "w" else 1))
    months = today.year * 12 + today.month - 1 - count * (12 if unit == "y" else 1)
    year, month = divmod(months, 12)
    if year < 1:
        return None
    return date(year, month + 1, min(today.day, monthrange(year, month + 1)[1]))
