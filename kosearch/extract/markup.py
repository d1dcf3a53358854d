"""Markdown and reStructuredText: the text stays as it is, line by line; titles become headings."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator, Sequence

from kosearch.extract.containers import standard
from kosearch.extract.decoding import decode, normalise
from kosearch.records import Extracted, Extraction, Heading

_ATX = re.compile(r" {0,3}(#{1,6})(?:[ \t]+(.*?))?(?:[ \t]+#+)?[ \t]*$")
_FENCE = re.compile(r" {0,3}(`{3,}|~{3,})(.*)$")
_SETEXT = re.compile(r" {0,3}(=+|-+)[ \t]*$")
_NOT_A_PARAGRAPH = re.compile(r"[ \t]*$| {4}|\t| {0,3}(?:[-+*>|]|\d{1,9}[.)])(?:\s|$)| {0,3}[#|<]")
_INLINE = re.compile(r"!?\[([^\]]*)\]\([^)]*\)|(\*\*|__|`+)(.+?)\2|\s*\{#[\w-]+\}\s*$|<[^>]+>")
_YAML_LINE = re.compile(r"([\w-]+):[ \t]+(.*)")
_ADORNMENT = re.compile(r"([!-/:-@\[-`{-~])\1{2,}[ \t]*$")
_FIELD = re.compile(r":(\w+):[ \t]+(.*)")

_LONGEST_TITLE = 1000
"""Characters; a longer line is no title, and patterns would be slow on it."""

Lines = Sequence[tuple[int, str]]


def read_markdown(data: bytes, path: str) -> Extraction:
    """Markdown: ATX and setext headings, YAML or TOML front matter as metadata."""
    decoded = decode(data)
    text = normalise(decoded.text)
    lines = _lines(text)
    fields, body = _front_matter(lines)
    headings = tuple(_headings(body))
    title = fields.get("title") or (headings[0].title if headings else "")
    document = Extracted(
        text, "markdown", title, headings=headings, metadata=standard(fields), warnings=decoded.warnings
    )
    return Extraction((document,))


def read_rst(data: bytes, path: str) -> Extraction:
    """reStructuredText: section titles, whose level is the order in which their adornments first appear."""
    decoded = decode(data)
    text = normalise(decoded.text)
    lines = _lines(text)
    headings = tuple(_rst_headings(lines))
    fields = {match[1]: match[2] for _, line in lines[:40] if (match := _FIELD.match(line))}
    title = headings[0].title if headings else ""
    document = Extracted(text, "rst", title, headings=headings, metadata=standard(fields), warnings=decoded.warnings)
    return Extraction((document,))


def _lines(text: str) -> Lines:
    starts, start = [], 0
    for line in text.split("\n"):
        starts.append((start, line))
        start += len(line) + 1
    return starts


def _front_matter(lines: Lines) -> tuple[dict[str, str], Lines]:
    fence = lines[0][1].rstrip()
    if fence not in ("---", "+++"):
        return {}, lines
    closing = {"---": ("---", "..."), "+++": ("+++",)}[fence]
    end = next((row for row in range(1, len(lines)) if lines[row][1].rstrip() in closing), 0)
    block = [line for _, line in lines[1:end]]
    if fence == "+++":
        try:
            fields = {key: str(value) for key, value in tomllib.loads("\n".join(block)).items()}
        except tomllib.TOMLDecodeError:
            fields = {}
    else:
        fields = {
            match[1].lower(): match[2].rstrip().strip("\"'[]") for line in block if (match := _YAML_LINE.match(line))
        }
        # "---" also draws a line: without a single field it was no front matter.
        end = end if fields else 0
    return (fields, lines[end + 1 :]) if end else ({}, lines)


def markdown_headings(text: str) -> Iterator[Heading]:
    """The headings of a piece of Markdown without front matter."""
    return _headings(_lines(text))


def _headings(lines: Lines) -> Iterator[Heading]:
    fence = ""
    previous: tuple[int, str] | None = None
    for start, line in lines:
        paragraph = None
        if len(line) > _LONGEST_TITLE:
            previous = None
            continue
        if fence:
            closing = line.strip()
            if closing.startswith(fence) and not closing.strip(fence[0]):
                fence = ""
        elif match := _FENCE.match(line):
            fence = match[1]
        elif match := _ATX.match(line):
            if title := _plain_title(match[2] or ""):
                yield Heading(start, len(match[1]), title)
        elif previous and (match := _SETEXT.match(line)):
            if title := _plain_title(previous[1]):
                yield Heading(previous[0], 1 if match[1][0] == "=" else 2, title)
        elif not _NOT_A_PARAGRAPH.match(line):
            paragraph = (start, line)
        previous = paragraph


def _plain_title(title: str) -> str:
    return " ".join(_INLINE.sub(lambda match: match[1] or match[3] or "", title).split())


def _rst_headings(lines: Lines) -> Iterator[Heading]:
    levels: dict[tuple[str, bool], int] = {}
    row = 0
    while row + 1 < len(lines):
        (start, first), (_, second) = lines[row], lines[row + 1]
        third = lines[row + 2][1] if row + 2 < len(lines) else ""
        blank_before = row == 0 or not lines[row - 1][1].strip()
        over = _ADORNMENT.match(first)
        if over and second.strip() and third.rstrip() == first.rstrip() and not _ADORNMENT.match(second):
            style, title, size = (over[1], True), second.strip(), 3
        elif (
            (under := _ADORNMENT.match(second))
            and blank_before
            and first.strip()
            and not first[0].isspace()
            and not over
            and len(second.rstrip()) >= len(first.rstrip())
        ):
            style, title, size = (under[1], False), first.strip(), 2
        else:
            row += 1
            continue
        yield Heading(start, levels.setdefault(style, len(levels) + 1), title)
        row += size
