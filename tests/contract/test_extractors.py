"""What every reader promises, held against one small file of each kind (`tests/data/extract`) and damaged copies.

The files were made by hand for this, from the formats' specifications; all tell of 서울.
"""

from __future__ import annotations

import random
import socket
import unicodedata
from pathlib import Path

import pytest

from kosearch.extract import READERS, ExtractError, detect, extract
from kosearch.ocr import Picture
from kosearch.records import Extracted, Extraction, Reason, Recognised, RecognisedLine

DATA = Path(__file__).resolve().parents[1] / "data" / "extract"
SAMPLES = sorted(DATA.iterdir())
DAMAGED_COPIES = 12

each_sample = pytest.mark.parametrize("sample", SAMPLES, ids=lambda sample: sample.name)


@pytest.fixture(scope="module")
def extractions() -> dict[str, Extraction]:
    return {sample.name: read(sample) for sample in SAMPLES}


class Answering:
    """Stands for an engine: whatever the picture, it says the same."""

    version = "test"
    force = False

    def read(self, picture: Picture) -> Recognised:
        picture()
        return Recognised((RecognisedLine("서울의 예산", 10, 200, 40, 20, 0, False, 0.9),), 0.9, 0, 300, 100)


def read(sample: Path) -> Extraction:
    return extract(sample.read_bytes(), path=sample.name, archives=True, pictures=Answering())


def test_every_kind_has_a_sample() -> None:
    assert {detect(sample.read_bytes(), sample.name) for sample in SAMPLES} == set(READERS)


@each_sample
def test_promises(sample: Path, extractions: dict[str, Extraction]) -> None:
    extraction = extractions[sample.name]
    assert extraction.documents
    assert not extraction.skipped
    for document in extraction.documents:
        check(document)
        assert "서울" in document.text
        assert not document.warnings


@each_sample
def test_content_decides_where_it_can(sample: Path, extractions: dict[str, Extraction]) -> None:
    """A file of a format with a signature is read as what it is, whatever its suffix says."""
    if sample.suffix not in (
        ".hwp",
        ".hwpx",
        ".hml",
        ".pdf",
        ".rtf",
        ".docx",
        ".pptx",
        ".xlsx",
        ".doc",
        ".epub",
        ".odt",
    ):
        return
    for suffix in (".txt", ".hwp", ".md", ".pdf", ""):
        assert extract(sample.read_bytes(), path=f"file{suffix}").documents == extractions[sample.name].documents


@each_sample
def test_reading_twice_gives_the_same(sample: Path, extractions: dict[str, Extraction]) -> None:
    assert read(sample) == extractions[sample.name]


@each_sample
def test_reading_leaves_the_network_alone(sample: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(*_: object, **__: object) -> None:
        raise AssertionError("a reader opened a socket")

    monkeypatch.setattr(socket, "socket", refused)
    monkeypatch.setattr(socket, "getaddrinfo", refused)
    assert read(sample).documents


@each_sample
def test_damage_costs_the_file_and_nothing_else(sample: Path) -> None:
    for copy in damaged(sample.read_bytes()):
        try:
            for document in extract(copy, path=sample.name, archives=True, pictures=Answering()).documents:
                check(document)
        except ExtractError as error:
            check_error(error)


def damaged(data: bytes) -> list[bytes]:
    """Cut short, and with bytes changed here and there, the same way every time."""
    chance = random.Random(len(data))
    copies = [data[: len(data) * part // 5] for part in range(1, 5)]
    for _ in range(DAMAGED_COPIES):
        copy = bytearray(data)
        for _ in range(chance.choice((1, 4, 40))):
            copy[chance.randrange(len(copy))] = chance.randrange(256)
        copies.append(bytes(copy))
    return copies


def check_error(error: ExtractError) -> None:
    assert error.reason in Reason
    assert error.detail
    assert "\n" not in error.detail


def check(document: Extracted) -> None:
    text = document.text
    assert text.strip()
    assert unicodedata.is_normalized("NFC", text)
    assert "\r" not in text
    assert "\0" not in text
    text.encode()
    for starts in ([heading.start for heading in document.headings], [page.start for page in document.pages]):
        assert starts == sorted(starts)
        assert all(0 <= start < len(text) for start in starts)
    for heading in document.headings:
        assert heading.title == " ".join(heading.title.split())
        assert heading.level >= 1
    if document.kind != "pdf":  # an outline may call a section otherwise than its page does
        for heading in document.headings:
            assert heading.title.split()[-1] in " ".join(text[heading.start : heading.start + 500].split())
    for page in document.pages:
        assert page.number >= 1
    assert document.title == " ".join(document.title.split())
    assert all(document.metadata.values())
    assert set(document.metadata) <= {"author", "created", "modified", "language"}
