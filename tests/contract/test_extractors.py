"""What every reader promises, held against one small file of each format (`tests/data/extract`) and damaged copies."""

from __future__ import annotations

import random
import unicodedata
from pathlib import Path

import pytest

from kosearch.extract import ExtractError, extract
from kosearch.extract.formats import READERS
from kosearch.records import Extracted, Extraction, Reason

DATA = Path(__file__).resolve().parents[1] / "data" / "extract"
SAMPLES = sorted(DATA.iterdir())
DAMAGED_COPIES = 12


@pytest.fixture(scope="module")
def extractions() -> dict[str, Extraction]:
    return {sample.name: extract(sample.read_bytes(), path=sample.name) for sample in SAMPLES}


def test_every_kind_has_a_sample(extractions: dict[str, Extraction]) -> None:
    kinds = {document.kind for extraction in extractions.values() for document in extraction.documents}
    assert kinds >= set(READERS)


@pytest.mark.parametrize("sample", SAMPLES, ids=lambda sample: sample.name)
def test_promises(sample: Path, extractions: dict[str, Extraction]) -> None:
    extraction = extractions[sample.name]
    assert extraction.documents
    assert not extraction.skipped
    for document in extraction.documents:
        check(document)
        assert "서울" in document.text
        assert not document.warnings


@pytest.mark.parametrize("sample", SAMPLES, ids=lambda sample: sample.name)
def test_reading_twice_gives_the_same(sample: Path, extractions: dict[str, Extraction]) -> None:
    assert extract(sample.read_bytes(), path=sample.name) == extractions[sample.name]


@pytest.mark.parametrize("sample", SAMPLES, ids=lambda sample: sample.name)
def test_damage_costs_the_file_and_nothing_else(sample: Path) -> None:
    for copy in damaged(sample.read_bytes()):
        try:
            for document in extract(copy, path=sample.name).documents:
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
