"""A file's bytes become text with structure: one door, `extract`, and one reader a family of formats.

Readers are pure: bytes and a name in, records out; no network, no temporary files, nothing printed. They run
in a worker process with a time and a memory limit, so they may be slow on odd input, but must end.
"""

from __future__ import annotations

from dataclasses import replace

from kosearch.extract.contract import ExtractError, Inside
from kosearch.records import Extracted, Extraction, Reason, Skipped

__all__ = ["ExtractError", "Inside", "extract"]

_DEEPEST = 3
"""A mail in a mail in a mail."""


def extract(data: bytes, *, path: str, archives: bool = False) -> Extraction:
    """The documents in a file of this content; `path` is its NFC name, used where content leaves a choice.

    With `archives`, archives are opened, one level deep. Raises ExtractError when no document in the file has any
    text, and nothing else for any input.
    """
    readers: set[str] = set()
    try:
        found = _extract(data, path, archives, 1, readers)
    except ExtractError as error:
        error.readers = tuple(sorted(readers))
        raise
    return replace(found, readers=tuple(sorted(readers)))


def _extract(data: bytes, path: str, archives: bool, depth: int, readers: set[str]) -> Extraction:
    """The documents in a file; `readers` gathers the versions of all that have a part in it."""
    from kosearch.extract.formats import ARCHIVES, detect, read, version

    if not data:
        raise ExtractError(Reason.EMPTY, "the file is empty")
    kind = ""
    try:
        try:
            kind = detect(data, path)
        finally:
            readers.add(version(kind))
        if kind in ARCHIVES and not archives:
            raise ExtractError(Reason.UNSUPPORTED, "an archive; with --archives the documents in it are read")

        def inside(name: str, content: bytes) -> Extraction:
            return _member(content, path, name, archives and kind not in ARCHIVES, depth + 1, readers)

        return _with_text(read(kind, data, path, inside))
    except (ExtractError, MemoryError):
        raise
    except RecursionError as error:
        raise ExtractError(Reason.BROKEN, "nested too deeply to be read") from error
    except Exception as error:  # a parser met input nobody foresaw: that costs this file, not the run
        detail = " ".join(f"cannot be read as {kind or 'a document'}: {type(error).__name__}: {error}".split())
        raise ExtractError(Reason.BROKEN, detail) from error


def _member(data: bytes, path: str, member: str, archives: bool, depth: int, readers: set[str]) -> Extraction:
    """The documents in a file inside the file at `path`, under names that say where they are."""
    try:
        if depth > _DEEPEST:
            raise ExtractError(Reason.UNSUPPORTED, "a file in a file in a file: too deep")
        found = _extract(data, member, archives, depth, readers)
    except ExtractError as error:
        return Extraction((), (Skipped(path, error.reason, error.detail, member),))
    return Extraction(
        tuple(replace(one, member=_joined(member, one.member)) for one in found.documents),
        tuple(replace(one, path=path, member=_joined(member, one.member)) for one in found.skipped),
    )


def _joined(outer: str, inner: str) -> str:
    return f"{outer}/{inner}" if inner else outer


def _with_text(extraction: Extraction) -> Extraction:
    documents = tuple(_sorted(document) for document in extraction.documents if document.text.strip())
    if documents or extraction.skipped:
        return replace(extraction, documents=documents)
    raise ExtractError(Reason.NO_TEXT, "holds no text")


def _sorted(document: Extracted) -> Extracted:
    return replace(
        document,
        headings=tuple(sorted(document.headings, key=lambda heading: heading.start)),
        pages=tuple(sorted(document.pages, key=lambda page: page.start)),
    )
