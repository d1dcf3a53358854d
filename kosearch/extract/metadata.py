"""What documents say about themselves, in one form: author, created, modified (ISO 8601), language."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import datetime

from kosearch.extract.decoding import normalise

_NAMES = {
    "author": "author",
    "authors": "author",
    "creator": "author",
    "date": "created",
    "created": "created",
    "published": "created",
    "modified": "modified",
    "updated": "modified",
    "lastmod": "modified",
    "last_modified": "modified",
    "lang": "language",
    "language": "language",
}
_PARTIAL = re.compile(r"(\d{4})[-./년]\s*(\d{1,2})(?:[-./월]\s*(\d{1,2}))?")


def standard(found: Mapping[str, str]) -> dict[str, str]:
    """The fields under their standard names; dates that cannot be understood are left out."""
    result: dict[str, str] = {}
    for key, value in found.items():
        name = _NAMES.get(key.strip().lower())
        plain = " ".join(normalise(value).split())
        stated = iso_date(plain) if name in ("created", "modified") else plain
        if name and stated:
            result.setdefault(name, stated)
    return result


def iso_date(text: str) -> str:
    """A date as ISO 8601, as exact as it was given; "" when it is none."""
    text = text.strip()
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        match = _PARTIAL.match(text)
        if not match:
            return ""
        year, month, day = match.groups()
        if not (1 <= int(month) <= 12 and 1 <= int(day or 1) <= 31):
            return ""
        return f"{year}-{int(month):02}" + (f"-{int(day):02}" if day else "")
    return moment.date().isoformat() if len(text) <= 10 else moment.isoformat()
