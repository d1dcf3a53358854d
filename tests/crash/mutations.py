"""Damaged files: small real documents, changed at random, and what every reader owes them.

A reader gives documents that keep the promises of `Extracted`, or raises ExtractError; within a worker's limits on
time and memory. Anything else is a finding. Nothing here is random but by its seed.
"""

from __future__ import annotations

import io
import random
import re
import unicodedata
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from kosearch.extract import ExtractError, extract
from kosearch.records import Extracted, Reason

SAMPLES = Path(__file__).resolve().parents[1] / "data" / "extract"
SHARED = Path(__file__).resolve().parents[3] / "shared" / "documents"
LARGEST_SEED = 64 << 10
"""Bytes of a seed: small ones have their structure hit more often."""
_CONTROL = re.compile("[\x00-\x1f\x7f-\x9f]")
_ALLOWED = {ord("\n"): " ", ord("\t"): " "}
MEMBERS = {"author", "created", "modified", "language"}
# What parsers take for lengths, counts and offsets.
_TELLING = (b"\0" * 4, b"\xff" * 4, b"\xff\xff\xff\x7f", b"\0\0\0\x80", b"\x01\0\0\0", b"\0\x01", b"<", b"\n", b"[[")


@dataclass(frozen=True, slots=True)
class Damaged:
    """A changed copy, under the name of what it was."""

    name: str
    number: int
    data: bytes


def seeds() -> list[Path]:
    """A file of each kind, and small real ones where there are any."""
    shared = [file for file in sorted(SHARED.rglob("*.*")) if file.stat().st_size <= LARGEST_SEED]
    return sorted(SAMPLES.iterdir()) + [file for file in shared if file.is_file()]


def damaged(count: int, seed: int) -> Iterator[Damaged]:
    """So many changed copies, of all seeds in turn."""
    files = seeds()
    contents = [file.read_bytes() for file in files]
    for number in range(count):
        chance = random.Random(f"{seed} {number}")
        place = number % len(files)
        yield Damaged(files[place].name, number, mutate(contents[place], contents, chance))


def mutate(data: bytes, others: list[bytes], chance: random.Random) -> bytes:
    """A changed copy; in a package that is well packed, a member is changed and packed again half of the time."""
    if data.startswith(b"PK") and chance.random() < 0.5:
        return _repacked(data, others, chance)
    for _ in range(chance.choice((1, 1, 2, 8))):
        data = chance.choice((_flip, _cut, _splice, _repeat, _overwrite))(data, others, chance)
    return data


def _repacked(data: bytes, others: list[bytes], chance: random.Random) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(data)) as source, zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as target:
        names = [name for name in source.namelist() if not name.endswith("/")]
        chosen = set(chance.sample(names, min(len(names), chance.choice((1, 2)))))
        for name in names:
            content = source.read(name)
            if name in chosen:
                content = (
                    mutate(content, others, chance) if not content.startswith(b"PK") else _cut(content, [], chance)
                )
            target.writestr(name, content)
    return out.getvalue()


def _flip(data: bytes, _others: list[bytes], chance: random.Random) -> bytes:
    copy = bytearray(data)
    for _ in range(chance.choice((1, 4, 32)) if copy else 0):
        copy[chance.randrange(len(copy))] ^= 1 << chance.randrange(8)
    return bytes(copy)


def _cut(data: bytes, _others: list[bytes], chance: random.Random) -> bytes:
    start, end = sorted((chance.randrange(len(data) + 1), chance.randrange(len(data) + 1)))
    return chance.choice((data[:start], data[:start] + data[end:], data[start:]))


def _splice(data: bytes, others: list[bytes], chance: random.Random) -> bytes:
    other = chance.choice(others) if others else data
    start = chance.randrange(len(other) + 1)
    place = chance.randrange(len(data) + 1)
    return data[:place] + other[start : start + chance.choice((4, 64, 4096))] + data[place:]


def _repeat(data: bytes, _others: list[bytes], chance: random.Random) -> bytes:
    start = chance.randrange(len(data) + 1)
    part = data[start : start + chance.choice((1, 16, 256))]
    return data[:start] + part * chance.choice((2, 100, 2000)) + data[start:]


def _overwrite(data: bytes, _others: list[bytes], chance: random.Random) -> bytes:
    place, part = chance.randrange(len(data) + 1), chance.choice(_TELLING)
    return data[:place] + part + data[place + len(part) :]


def attempt(copy: Damaged) -> str:
    """Read one as a worker does, and hold the result against the promises; "" or the promise that was broken."""
    try:
        extraction = extract(copy.data, path=copy.name, archives=True)
    except ExtractError as error:
        return "" if error.reason in Reason and error.detail and "\n" not in error.detail else f"odd error: {error!r}"
    return next(filter(None, map(broken_promise, extraction.documents)), "")


def broken_promise(document: Extracted) -> str:
    """What an extracted document does not keep of what the record says; "" if it keeps all."""
    text = document.text
    try:
        text.encode()
    except UnicodeEncodeError:
        return "lone surrogates"
    if _CONTROL.search(text.translate(_ALLOWED)) or not unicodedata.is_normalized("NFC", text):
        return "text that is not normalised"
    starts = [[one.start for one in document.headings], [one.start for one in document.pages]]
    if any(found != sorted(found) or not all(0 <= one < len(text) for one in found) for found in starts):
        return "headings or pages out of order or of the text"
    lines = [document.title, *(one.title for one in document.headings), *document.metadata.values()]
    if any(line != " ".join(line.split()) or _CONTROL.search(line) for line in lines):
        return f"a title, heading or field of metadata that is no line: {lines!r}"[:300]
    if not set(document.metadata) <= MEMBERS or any("\n" in one for one in document.warnings):
        return "odd metadata or warnings"
    return ""
