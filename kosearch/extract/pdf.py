"""PDF: text by pypdfium2; outline, page labels, metadata and encryption by pypdf, also the second opinion."""

from __future__ import annotations

import re
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Sequence
from functools import reduce
from itertools import pairwise

from kosearch.extract import ExtractError
from kosearch.extract.builder import LINE, PARAGRAPH, TextBuilder
from kosearch.extract.dochan_model import Renderer, parse
from kosearch.extract.pdf_layout import Before, Joiner, Line, Paragraph, paragraphs, without_leaders
from kosearch.extract.pdf_pages import Page, Structure, bare_lines, read_pages
from kosearch.records import Extraction, Reason

_DIGITS = re.compile(r"\d{1,9}")
_LETTER = re.compile(r"[^\W\d_]")
_RUNNING_PAGES = 3
_EDGE_LINES = 2
_NUMBERS = 3


def read(data: bytes, path: str) -> Extraction:
    """A PDF file: pages, headings from its outline, title, author and dates."""
    structure = Structure(data)
    pages = read_garbled_again(read_pages(data, structure), structure)
    if not any(page.lines for page in pages):
        if any(page.image for page in pages):
            raise ExtractError(Reason.SCANNED, f"no text, needs OCR (scanned pages: {len(pages)})")
        raise ExtractError(Reason.NO_TEXT, f"no page has text (pages: {len(pages)})")
    builder = TextBuilder()
    starts = _write(builder, _without_running([page.lines for page in pages]), structure.labels(len(pages)))
    text = builder.document("pdf").text
    builder.mark(structure.headings(text, starts))
    title, metadata = structure.metadata()
    textless = [number for number, page in enumerate(pages, 1) if not page.lines and page.image]
    warnings = (f"scanned pages without text, need OCR: {_ranges(textless)}",) if textless else ()
    return Extraction((builder.document("pdf", title=title, metadata=metadata, warnings=warnings),))


def _write(builder: TextBuilder, pages: Sequence[Sequence[Line]], labels: Sequence[str]) -> list[int]:
    """Adds the pages' paragraphs to the text; returns where each page starts in it."""
    joiner = Joiner(line.text for lines in pages for line in lines)
    found = paragraphs(pages)
    joiner.learn([wrap for page in found for paragraph in page for wrap in pairwise(paragraph.lines)])
    starts = []
    tail = ""
    for number, (page, label) in enumerate(zip(found, labels, strict=True), 1):
        builder.page(number, label)
        for position, paragraph in enumerate(page):
            gap = _gap(tail, paragraph, joiner)
            tail = without_leaders(reduce(joiner.join, paragraph.lines))
            start = builder.add(tail, gap=gap)
            if position == 0:
                starts.append(start)
        if not page:
            starts.append(builder.length)
    return starts


def _gap(tail: str, paragraph: Paragraph, joiner: Joiner) -> str:
    if paragraph.before is Before.NOTHING:
        return joiner.gap(tail, paragraph.lines[0])
    return LINE if paragraph.before is Before.LINE_END else PARAGRAPH


def _without_running(pages: Sequence[list[Line]]) -> list[list[Line]]:
    """The pages with each header and footer once: lines at the top or bottom that repeat, page numbers apart."""
    seen: defaultdict[str, list[tuple[int, str]]] = defaultdict(list)
    for number, lines in enumerate(pages):
        for shape, line in {_shape(line): line for line in _edges(lines)}.items():
            seen[shape].append((number, line.text))
    least = max(_RUNNING_PAGES, len(pages) // 5)
    running = {shape for shape, found in seen.items() if len(found) >= least and _runs_on(found)}
    # Lines of numbers alone have nothing to say even once.
    written = {shape for shape in running if not _LETTER.search(shape)}
    kept = []
    for lines in pages:
        repeated = [line for line in _edges(lines) if _shape(line) in running]
        dropped = {id(line) for line in repeated if _shape(line) in written}
        written.update(map(_shape, repeated))
        # A page of nothing else is made of these lines: they are its content.
        kept.append([line for line in lines if id(line) not in dropped] or lines)
    return kept


def _runs_on(found: Sequence[tuple[int, str]]) -> bool:
    """Whether lines of one shape are the same line, or count the pages; "제1조", "제2조" at page tops are neither."""
    same = Counter(text for _, text in found)
    steps = Counter(int(digits) - page for page, text in found for digits in _DIGITS.findall(text)[:_NUMBERS])
    return any(counted and max(counted.values()) * 2 > len(found) for counted in (same, steps))


def _edges(lines: Sequence[Line]) -> list[Line]:
    """The highest and the lowest lines of a page."""
    by_height = sorted(lines, key=lambda line: line.base)
    return by_height[:_EDGE_LINES] + by_height[_EDGE_LINES:][-_EDGE_LINES:]


def _shape(line: Line) -> str:
    return _DIGITS.sub("0", "".join(line.text.split()))


def _ranges(numbers: Sequence[int]) -> str:
    """1, 2, 3, 7 as "1-3, 7"."""
    runs: list[list[int]] = []
    for number in numbers:
        if runs and number == runs[-1][1] + 1:
            runs[-1][1] = number
        else:
            runs.append([number, number])
    return ", ".join(str(first) if first == last else f"{first}-{last}" for first, last in runs)


_EXPECTED = re.compile(r"[!-~\u00b7\u2010-\u2027\u2030-\u205e\u3000-\u303f\u3131-\u318e\uac00-\ud7a3\uff01-\uff5e]")
_LEAST_EXPECTED = 0.6
_FEWEST = 10
# Other scripts are not expected either, but garbage also holds characters that no text does.
_LEAST_ODD = 0.02
_ODD = frozenset(("Cn", "Cc", "Co"))
_MOST_PAGES = 300


def read_garbled_again(pages: Sequence[Page], structure: Structure) -> list[Page]:
    """The pages, those with garbage replaced where dochan makes more sense of them.

    Fonts that do not say what their glyphs mean give garbage. dochan looks into the embedded fonts themselves, which is
    slow, and right where pdfium has nothing to go by.
    """
    numbers = [number for number, page in enumerate(pages) if garbled(_page_text(page))][:_MOST_PAGES]
    subset = structure.subset(numbers) if numbers else b""
    result = list(pages)
    if subset:
        for section in parse(subset).sections:
            place = getattr(section.provenance, "page", None) or 0
            if not 0 < place <= len(numbers):
                continue
            builder = TextBuilder()
            Renderer(builder).write(section.elements)
            number = numbers[place - 1]
            if _share(builder.text) > _share(_page_text(pages[number])):
                result[number] = Page(bare_lines(builder.text), pages[number].image)
    return result


def garbled(text: str) -> bool:
    """Whether this is garbage: mostly not Hangul, ASCII or common punctuation, and some of it no text at all."""
    characters = "".join(text.split())
    if len(characters) < _FEWEST or _share(characters) >= _LEAST_EXPECTED:
        return False
    odd = sum(unicodedata.category(character) in _ODD or character == "\ufffd" for character in characters)
    return odd >= _LEAST_ODD * len(characters)


def _share(text: str) -> float:
    characters = "".join(text.split())
    return len(_EXPECTED.findall(characters)) / len(characters) if characters else 0.0


def _page_text(page: Page) -> str:
    return " ".join(line.text for line in page.lines)
