"""PDF: text by pypdfium2; outline, page labels, metadata and encryption by pypdf, also the second opinion."""

from __future__ import annotations

import re
import unicodedata
from collections import Counter, defaultdict
from collections.abc import Sequence
from functools import reduce
from itertools import pairwise

from kosearch.extract.builder import LINE, PARAGRAPH, TextBuilder
from kosearch.extract.contract import ExtractError, Inside
from kosearch.extract.dochan_model import Renderer, parse
from kosearch.extract.pdf_layout import Before, Joiner, Line, Paragraph, paragraphs, without_leaders
from kosearch.extract.pdf_pages import Page, Structure, bare_lines, read_pages
from kosearch.records import Extracted, Extraction, Reason, Skipped

_BARE_NUMBER = re.compile(
    r"\W*(?:p|pp|page|쪽|페이지)?\W*(?:(?P<digits>\d{1,4})|(?P<roman>[ivxlc]{1,7}))\W*"
    r"(?:(?:/|of|중|의)\W*\d{1,4}\W*)?(?:쪽|페이지|면|page|p)?\W*",
    re.IGNORECASE,
)
_ROMAN = {"i": 1, "v": 5, "x": 10, "l": 50, "c": 100}
_LETTER = re.compile(r"[^\W\d_]")
_RUNNING_PAGES = 3
_EDGE_LINES = 2


def read(data: bytes, path: str, inside: Inside) -> Extraction:
    """A PDF file: pages, headings from its outline, title, author and dates; and the files attached to it."""
    structure = Structure(data)
    pages = read_pages(data, structure)
    attached = [inside(name, content) for name, content in structure.attachments(pages)]
    documents = tuple(document for one in attached for document in one.documents)
    skipped = tuple(problem for one in attached for problem in one.skipped)
    try:
        body = _document(read_garbled_again(pages, structure), structure)
    except ExtractError as error:
        if not documents:
            raise
        return Extraction(documents, (Skipped(path, error.reason, error.detail), *skipped))
    return Extraction((body, *documents), skipped)


def _document(pages: Sequence[Page], structure: Structure) -> Extracted:
    scanned = [number for number, page in enumerate(pages, 1) if page.scanned]
    if all(page.scanned or not page.lines for page in pages) and (scanned or not pages) and _only_stamps(pages):
        raise ExtractError(Reason.SCANNED, f"no text, needs OCR (scanned pages: {len(scanned)})")
    if not any(page.lines for page in pages):
        raise ExtractError(Reason.NO_TEXT, f"no page has text (pages: {len(pages)})")
    builder = TextBuilder()
    starts = _write(builder, _without_running([page.lines for page in pages]), structure.labels(len(pages)))
    builder.mark(structure.headings(builder.text, starts))
    title, metadata = structure.metadata()
    warnings = (f"scanned pages without text, need OCR: {_ranges(scanned)}",) if scanned else ()
    return builder.document("pdf", title=title, metadata=metadata, warnings=warnings)


def _only_stamps(pages: Sequence[Page]) -> bool:
    """Whether all text on scans is what a program stamped on them: nothing, or the same on each but for numbers."""
    stamps = {re.sub(r"\d+", "0", "".join(map(_squeezed, page.lines))) for page in pages}
    return not any(stamps) or (len(pages) >= _RUNNING_PAGES and len(stamps - {""}) == 1)


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
    """The pages with each header and footer once: edge lines that repeat word for word; and without page numbers.

    Whatever else an edge says belongs to its page: the date of a daily report, the number of a form or a case.
    """
    pages_of: defaultdict[str, set[int]] = defaultdict(set)
    offsets: Counter[int] = Counter()
    for number, lines in enumerate(pages):
        for line in _edges(lines):
            pages_of[_squeezed(line)].add(number)
        offsets.update({stated - number for line in _edges(lines) for stated in _page_number(line)})
    least = max(_RUNNING_PAGES, len(pages) // 5)
    running = {text for text, found in pages_of.items() if len(found) >= least}
    counting = {offset for offset, count in offsets.items() if count >= max(least, len(pages) // 2)}
    written: set[str] = set()
    kept = []
    for number, lines in enumerate(pages):
        repeated = {id(line): _squeezed(line) for line in _edges(lines) if _squeezed(line) in running}
        # Lines of numbers alone have nothing to say even once.
        dropped = {name for name, text in repeated.items() if text in written or not _LETTER.search(text)}
        dropped |= {id(line) for line in _edges(lines) if any(n - number in counting for n in _page_number(line))}
        written.update(repeated.values())
        # A page of nothing else is made of these lines: they are its content.
        kept.append([line for line in lines if id(line) not in dropped] or lines)
    return kept


def _page_number(line: Line) -> tuple[int, ...]:
    """The number of a line that says nothing but its page's."""
    found = _BARE_NUMBER.fullmatch(line.text.strip())
    if not found:
        return ()
    return (int(found["digits"]),) if found["digits"] else (_roman(found["roman"]),)


def _roman(numeral: str) -> int:
    values = [_ROMAN[character] for character in numeral.lower()]
    return sum(-one if one < following else one for one, following in zip(values, [*values[1:], 0], strict=True))


def _edges(lines: Sequence[Line]) -> list[Line]:
    """The highest and the lowest lines of a page."""
    by_height = sorted(lines, key=lambda line: line.base)
    return by_height[:_EDGE_LINES] + by_height[_EDGE_LINES:][-_EDGE_LINES:]


def _squeezed(line: Line) -> str:
    return "".join(line.text.split())


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
                result[number] = Page(bare_lines(builder.text), pages[number].scanned)
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
