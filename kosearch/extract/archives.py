"""ZIP archives: each member a document inside the archive."""

from __future__ import annotations

from kosearch.extract import ExtractError, Inside
from kosearch.extract.containers import Package
from kosearch.extract.decoding import decode
from kosearch.records import Extracted, Extraction, Reason, Skipped

_MOST_DOCUMENTS = 2000


def read_zip(data: bytes, path: str, inside: Inside) -> Extraction:
    """The members, without hidden files and what macOS adds."""
    package = Package(data)
    documents: list[Extracted] = []
    skipped: list[Skipped] = []
    for number, stored in enumerate(package):
        name = _name(stored)
        if any(part.startswith((".", "__MACOSX")) for part in name.split("/")):
            continue
        if number >= _MOST_DOCUMENTS:
            skipped.append(Skipped(path, Reason.TOO_LARGE, f"more than {_MOST_DOCUMENTS} members", name))
            break
        try:
            content = package.read(stored)
        except ExtractError as error:
            skipped.append(Skipped(path, error.reason, error.detail, name))
            continue
        found = inside(name, content)
        documents += found.documents
        skipped += found.skipped
    return Extraction(tuple(documents), tuple(skipped))


def _name(stored: str) -> str:
    """Old programs store names in the system's encoding, which zipfile reads as that of DOS."""
    try:
        raw = stored.encode("cp437")
    except UnicodeEncodeError:
        return stored
    return stored if stored.isascii() else decode(raw).text
