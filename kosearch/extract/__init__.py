"""A file's bytes become text with structure: one door, `extract`, and one reader a family of formats.

Readers are pure: bytes and a name in, records out; no network, no temporary files, nothing printed. They run
in a worker process with a time and a memory limit, so they may be slow on odd input, but must end.
"""

from __future__ import annotations

from dataclasses import replace

from kosearch.records import Extracted, Extraction, Reason

__all__ = ["ExtractError", "extract"]


class ExtractError(Exception):
    """Why a file gave no text: a machine-readable reason and one line for a person."""

    def __init__(self, reason: Reason, detail: str) -> None:
        super().__init__(reason, detail)
        self.reason = reason
        self.detail = detail

    def __str__(self) -> str:
        return f"{self.reason}: {self.detail}"


def extract(data: bytes, *, path: str) -> Extraction:
    """The documents in a file of this content; `path` is its NFC name, used where content leaves a choice.

    Raises ExtractError when no document in the file has any text, and nothing else for any input.
    """
    from kosearch.extract.formats import detect, reader

    if not data:
        raise ExtractError(Reason.EMPTY, "the file is empty")
    kind = "a document"
    try:
        kind = detect(data, path)
        extraction = reader(kind)(data, path)
    except (ExtractError, MemoryError):
        raise
    except RecursionError as error:
        raise ExtractError(Reason.BROKEN, "nested too deeply to be read") from error
    except Exception as error:  # a parser met input nobody foresaw: that costs this file, not the run
        detail = " ".join(f"cannot be read as {kind}: {type(error).__name__}: {error}".split())
        raise ExtractError(Reason.BROKEN, detail) from error
    return _with_text(extraction)


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
