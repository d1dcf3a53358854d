"""Extracted text → passages: pieces of a document that fit a model, cut where the text itself pauses.

Every place where a passage may begin is a border with a price: a heading costs nothing, a paragraph
little, the middle of a sentence much. A shortest path over the borders, as in breaking a paragraph into
lines (Knuth and Plass 1981, "Breaking Paragraphs into Lines"), finds the cheapest cuts, so passages are
filled evenly and no tiny rest is left.

Every path goes through the anchors: the borders that are the cheapest far and wide. Where they are depends
on the text around them alone, so an edit changes the passages between two anchors and no others, and little
of a long document has to be embedded again.
"""

from __future__ import annotations

import math
import re
from array import array
from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator, Sequence, Set
from itertools import accumulate, pairwise
from operator import mul
from zlib import crc32

from kosearch.records import MAX_TITLE, Extracted, Heading, OcrSpan, PageStart, Passage, TokenOffsets

CONTEXT = 120
"""The most code points of title and headings that are put in front of a passage."""

# What it costs to begin a passage at each kind of border; 1 is the badness of a passage with nothing in it.
_HEADING, _PARAGRAPH, _ITEM, _LINE, _SENTENCE = 0.004, 0.05, 0.1, 0.12, 0.2
_WRAPPED, _CLAUSE, _WORD, _ANYWHERE = 0.8, 1.0, 1.4, 2.0
_TORN = 4.0
"""Added between a heading and its text."""
_DEEPER, _BESIDE, _HIGHER = 0.2, 0.6, 1.0
"""What a heading costs inside a passage, by its level against that of the heading before it: the whole price
where it ends a full passage, and less the less there is before it."""
_TIE = 0.02
"""How much of a price the border's own words decide, so that one of many equals is the cheapest."""
_REACH = 2
"""An anchor is the cheapest border within so many times a passage's size, before it and behind it."""
_GRAIN = 32
"""Borders nearer to each other than a passage's size over this are thinned out: it bounds the work."""
_BLOCK = 100_000
"""Code points given to the tokenizer at once, to bound its memory."""
_LONGEST_TOKEN = 16
"""Longer tokens count as several: an unknown word is one token, and a passage of it must not grow huge."""
_HEADING_LENGTH = 400
"""Code points within which a heading's text must begin to be kept with it."""
_WRAP_WIDTH = 20
"""A line shorter than this ends because its text ends (a title, a cell), not because the page does."""
_DEPTH = 16
"""Headings above a passage, the innermost: nobody reads more of them, and a made document nests thousands."""

_BY_PAGE = frozenset({"odp", "ods", "ppt", "pptx", "vsdx", "xls", "xlsx"})
"""Kinds whose pages (slides, sheets) are each of its own: no passage crosses from one into the next."""
_TINY = 8
"""Such pages are tiny below a passage's size over this; neighbours of one heading may share a passage."""
_BY_LINE = frozenset({"code", "csv", "json"})
"""Kinds whose lines are units, with no sentences to look for."""
_TEXT_LINE = re.compile(r"\S[^\n]*")
_ITEM_MARK = re.compile(
    r"[*+•●○■□▪▶►◆◇◦·ㆍ※☞❍❏✓|]|[-–.]\s|[①-⑳㉠-㉻⑴-⒛]|제\s?\d+\s?[조항장절편관]"
    r"|[(\[]?(?:\d{1,3}|[가-하]|[A-Za-z])[.)\]]\s"
)
_PAGE_NUMBER = re.compile(r"\W*\d{1,4}\W*\Z")
_SPACE = re.compile(r"\s+")
_CLAUSE_END = re.compile(r"(?<=[,;:)\]」』])\s+|(?<=[가-힣][고며나면서데만])\s+|(?<=[，；：、])\s*")
_KOREAN_END = "다요까죠음함임됨"


def chunk(document: Extracted, tokens: TokenOffsets, *, size: int, overlap: int) -> list[Passage]:
    """The document's passages in order, each at most `size` tokens by `tokens` unless one code point is more.

    Every character that is not white space lies in some passage; starts and ends ascend strictly, and no
    passage begins or ends with white space. Up to `overlap` tokens (at most half of `size`) are repeated from
    the passage before, from the start of a sentence where one fits, and never across a heading.
    """
    headings = sorted(document.headings, key=lambda heading: heading.start)
    cutter = _Cutter(document, headings, tokens, size, min(overlap, size // 2))
    return list(_placed(document, headings, cutter.spans()))


def context(title: str, passage: Passage, text: str, *, limit: int = CONTEXT) -> str:
    """What the model sees in front of a passage's `text`: title and headings, without what it begins with.

    At most `limit` code points with the line end; the innermost heading stays longest.
    """
    beginning = _plain(text[: 2 * limit + len(title)])
    names: list[str] = []
    for name in (title, *passage.headings):
        plain = _plain(name)
        if plain.strip() and not beginning.startswith(plain) and plain not in map(_plain, names):
            names.append(name)
    while len(names) > 1 and sum(map(len, names)) + 3 * len(names) > limit:
        del names[1 if len(names) > 2 else 0]
    line = " > ".join(names)[: limit - 1].rstrip()
    return f"{line}\n" if line else ""


def whereabouts(
    kind: str, headings: Iterable[Heading], pages: Sequence[PageStart], offset: int
) -> tuple[PageStart | None, tuple[str, ...]]:
    """The page that a place in the text lies on, and the path of headings above it, its own among them if it is one.

    Headings and pages ascend. What stands above one slide or sheet is not above the next.
    """
    at = bisect_right(pages, offset, key=lambda page: page.start) - 1
    page = pages[at] if at >= 0 else None
    since = page.start if page and kind in _BY_PAGE else 0
    path: list[Heading] = []
    for heading in headings:
        if heading.start > offset:
            break
        if heading.start >= since:
            _descend(path, heading)
    return page, _titles(path)


def _titles(path: Sequence[Heading], since: int = 0) -> tuple[str, ...]:
    return tuple(heading.title[:MAX_TITLE] for heading in path[-_DEPTH:] if heading.start >= since)


def _descend(path: list[Heading], heading: Heading) -> None:
    """Make the path to the section before one the path to this heading's section."""
    while path and path[-1].level >= heading.level:
        path.pop()
    path.append(heading)


def _plain(text: str) -> str:
    return " ".join([*re.findall(r"\w+", text), ""]).casefold()


class _Cutter:
    """The borders of one document, as parallel lists, and the path through them."""

    def __init__(
        self, document: Extracted, headings: Sequence[Heading], tokens: TokenOffsets, size: int, overlap: int
    ) -> None:
        self._text = document.text
        self._tokens = tokens
        self._size = size
        self._overlap = overlap
        self._least_room = max(1, size - overlap - 1)
        self._token_starts = _token_starts(document.text, tokens)
        self._fitted: tuple[int, int] | None = None
        # Headings at one place are one border; the last of them is the section that the text belongs to.
        sections = {_skip_space(self._text, heading.start): heading for heading in headings}
        self._walls = self._page_walls(document, headings)
        self._sections = sorted({*sections, *self._walls})
        prices = _prices(document)
        _price_headings(self._text, sections, prices)
        prices.update(dict.fromkeys(self._walls, 0.0))
        self._sentence_starts = sorted(place for place, price in prices.items() if price <= _SENTENCE)
        self._places = self._thinned(self._refined(prices), prices)
        self._prices = [prices[place] + self._tie(place) for place in self._places]
        self._weights = _heading_weights(self._places, sections)

    def spans(self) -> Iterator[tuple[int, int]]:
        """The passages' [start, end), white space trimmed."""
        before = -1
        for core, end in self._path():
            start = self._with_overlap(core, end, before)
            if start < core and not self._fits(start, end):
                start = core
            for span in self._fitting(start, end):
                yield span
                before = span[0]

    def _path(self) -> list[tuple[int, int]]:
        """The cheapest way through the borders, from anchor to anchor: the spans without overlap."""
        prices = self._prices
        counts = [bisect_left(self._token_starts, place) for place in self._places]
        counts.append(len(self._token_starts))
        rooms = [self._room(place) for place in self._places]
        anchors = _anchors(prices, counts, _REACH * self._size)
        anchors.update(border for border, place in enumerate(self._places) if place in self._walls)
        # With both sums, all that the headings between two borders cost is found in one step.
        weights = list(accumulate(self._weights))
        moments = list(accumulate(map(mul, self._weights, counts)))
        anchor = 0
        totals, origins = [0.0], [0]
        for end in range(1, len(counts)):
            best, origin = math.inf, end - 1
            for start in range(end - 1, anchor - 1, -1):
                used = counts[end] - counts[start]
                if used > rooms[start] and start < end - 1:
                    if used > self._size:
                        break
                    continue
                crossed = moments[end - 1] - moments[start] - counts[start] * (weights[end - 1] - weights[start])
                badness = max(0.0, 1.0 - used / rooms[start]) ** 3 + crossed / rooms[start]
                cost = totals[start] + prices[start] + badness
                if cost < best:
                    best, origin = cost, start
            totals.append(best)
            origins.append(origin)
            anchor = end if end in anchors else anchor
        return self._traced(origins)

    def _page_walls(self, document: Extracted, headings: Sequence[Heading]) -> set[int]:
        """Where slides and sheets begin that no passage may cross into."""
        walls: set[int] = set()
        if document.kind not in _BY_PAGE:
            return walls
        starts = [page.start for page in document.pages]
        paths = [whereabouts(document.kind, headings, document.pages, start)[1] for start in starts]
        room = self._size // _TINY
        for number, (before, start) in enumerate(pairwise(starts), 1):
            end = starts[number + 1] if number + 1 < len(starts) else len(self._text)
            if paths[number] != paths[number - 1] or max(self._count(before, start), self._count(start, end)) > room:
                walls.add(start)
        return walls

    def _traced(self, origins: Sequence[int]) -> list[tuple[int, int]]:
        """Each border's best border before it → the spans on the way to the text's end."""
        places = [*self._places, len(self._text)]
        spans: list[tuple[int, int]] = []
        end = len(self._places)
        while end:
            start = origins[end]
            spans.append((places[start], _trimmed(self._text, places[start], places[end])))
            end = start
        return spans[::-1]

    def _room(self, place: int) -> int:
        """The tokens left for a passage that begins here; half a word may take one more than it did."""
        torn = place > 0 and not self._text[place - 1].isspace()
        return max(1, self._size - torn - (self._overlap if place > self._section(place) else 0))

    def _section(self, place: int) -> int:
        """Where the section that `place` lies in begins."""
        at = bisect_right(self._sections, place)
        return self._sections[at - 1] if at else self._places[0]

    def _count(self, start: int, end: int) -> int:
        return bisect_left(self._token_starts, end) - bisect_left(self._token_starts, start)

    def _tie(self, place: int) -> float:
        """The same for the same words, whatever stands around them."""
        words = self._text[place : place + 24].encode("utf-8", "surrogatepass")
        return _TIE * crc32(words) / 2**32

    def _refined(self, prices: dict[int, float]) -> list[int]:
        """All borders; where two are too far apart for a passage, words between them too, then anything."""
        for finer in (self._word_prices, self._token_prices):
            for start, end in pairwise([*sorted(prices), len(self._text)]):
                if self._count(start, end) > self._least_room:
                    for place, price in finer(start, end):
                        prices.setdefault(place, price)
        return sorted(prices)

    def _word_prices(self, start: int, end: int) -> Iterator[tuple[int, float]]:
        end = _trimmed(self._text, start, end)
        for pattern, price in ((_CLAUSE_END, _CLAUSE), (_SPACE, _WORD)):
            for gap in pattern.finditer(self._text, start + 1, end):
                if gap.end() < end:
                    yield gap.end(), price

    def _token_prices(self, start: int, end: int) -> Iterator[tuple[int, float]]:
        first = bisect_right(self._token_starts, start)
        last = bisect_left(self._token_starts, end)
        for index in range(first, last, max(1, self._size // _GRAIN)):
            if not self._text[self._token_starts[index]].isspace():
                yield self._token_starts[index], _ANYWHERE

    def _thinned(self, places: Sequence[int], prices: dict[int, float]) -> list[int]:
        """The borders without the dearer of two near ones, as long as the gap left fits a passage."""
        grain, room = self._size // _GRAIN, self._least_room
        kept: list[int] = []
        for place, following in pairwise([*places, len(self._text)]):
            if len(kept) > 1 and self._count(kept[-1], place) < grain and not self._walls & {place, kept[-1]}:
                dearer = prices[place] >= prices[kept[-1]]
                if dearer and self._count(kept[-1], following) <= room:
                    continue
                if not dearer and self._count(kept[-2], place) <= room:
                    kept.pop()
            kept.append(place)
        return kept

    def _with_overlap(self, core: int, end: int, before: int) -> int:
        """Where the passage begins when it repeats the end of the one before, which begins at `before`."""
        wanted = min(self._overlap, self._size - self._count(core, end) - 1)
        section = self._section(core)
        if core == section or wanted <= 0:
            return core
        first = bisect_left(self._token_starts, core) - wanted
        earliest = max(section, before + 1, self._token_starts[max(0, first)])
        pauses = (place for place in self._pauses(earliest, core) if self._count(place, core) * 3 >= wanted)
        return next(pauses, core)

    def _pauses(self, start: int, end: int) -> Iterator[int]:
        """The first place to begin in text[start:end], by sentence, clause and word."""
        at = bisect_left(self._sentence_starts, start)
        if at < len(self._sentence_starts):
            yield self._sentence_starts[at]
        for pattern in (_CLAUSE_END, _SPACE):
            if gap := pattern.search(self._text, start, end):
                yield gap.end()

    def _fits(self, start: int, end: int) -> bool:
        """Whether the span fits a passage; one that was found to fit is not read again."""
        if self._fitted != (start, end) and len(self._tokens(self._text[start:end])) <= self._size:
            self._fitted = (start, end)
        return self._fitted == (start, end)

    def _fitting(self, start: int, end: int) -> Iterator[tuple[int, int]]:
        """The span; its halves in the rare case that it has more tokens alone than within its document."""
        if end - start < 2 or self._fits(start, end):
            yield start, end
            return
        middle = (start + end) // 2
        space = self._text.rfind(" ", start + 1, middle)
        middle = _skip_space(self._text, space if space > 0 else middle)
        yield from self._fitting(start, _trimmed(self._text, start, middle))
        yield from self._fitting(middle, end)


def _token_starts(text: str, tokens: TokenOffsets) -> array[int]:
    """Where each token begins, ascending."""
    starts = array("q")
    begin = 0
    while begin < len(text):
        end = _block_end(text, begin)
        for start, stop in tokens(text[begin:end]):
            starts.extend(range(begin + start, begin + max(stop, start + 1), _LONGEST_TOKEN))
        begin = end
    return starts


def _block_end(text: str, begin: int) -> int:
    """The end of a block of text: behind its last line, if need be its last word."""
    end = begin + _BLOCK
    if end >= len(text):
        return len(text)
    for space in ("\n", " "):
        if (found := text.rfind(space, begin + _BLOCK // 2, end)) > 0:
            return found + 1
    return end


def _prices(document: Extracted) -> dict[int, float]:
    """Each line's and each sentence's first character → what it costs to begin a passage there."""
    text = document.text
    ends = set() if document.kind in _BY_LINE else set(sentence_ends(text))
    places = (_skip_space(text, end) for end in ends)
    prices = {place: _SENTENCE for place in places if place < len(text)}
    pages = [page.start for page in document.pages]
    before = None
    for line in _TEXT_LINE.finditer(text):
        if before is None:
            prices[line.start()] = 0.0
        else:
            prices[line.start()] = _line_price(document, before, line, ends, pages)
        # A sentence goes on behind the number of its page.
        if before is None or not _PAGE_NUMBER.match(line.group()):
            before = line
    return prices


def _line_price(
    document: Extracted, before: re.Match[str], line: re.Match[str], ends: Set[int], pages: Sequence[int]
) -> float:
    text, start = document.text, line.start()
    end = _trimmed(text, before.start(), before.end())
    ended = end in ends or text[end - 1] in _KOREAN_END
    turned = bisect_right(pages, start) > bisect_right(pages, end - 1)
    # An empty line parts paragraphs, except where a page ends: there only a finished sentence shows it.
    if ended if turned else text.count("\n", _trimmed(text, end, start), start) > 1:
        return _PARAGRAPH if text[start - 1] == "\n" else _ITEM
    if _ITEM_MARK.match(text, start):
        return _ITEM
    width, next_width = end - before.start(), line.end() - start
    wrapped = width >= _WRAP_WIDTH and 4 * width >= 3 * next_width
    return _WRAPPED if wrapped and not ended and document.kind not in _BY_LINE else _LINE


def _price_headings(text: str, sections: dict[int, Heading], prices: dict[int, float]) -> None:
    """Make headings the cheapest borders, and those between a heading and its text the dearest."""
    for place, heading in sections.items():
        if place < len(text):
            prices[place] = _HEADING * min(heading.level, 10)
    order = sorted(prices)
    for place, heading in sections.items():
        body = _body_start(text, place)
        for border in order[bisect_right(order, place) : bisect_right(order, body)]:
            below = sections.get(border)
            if below is not None and below.level <= heading.level:
                break
            prices[border] += _TORN


def _body_start(text: str, place: int) -> int:
    """Where a heading's text begins: the next line with a letter or a digit in it."""
    limit = place + _HEADING_LENGTH
    title_end = text.find("\n", place, limit)
    if title_end < 0:
        return place
    word = re.compile(r"\w").search(text, title_end, limit)
    return _skip_space(text, text.rfind("\n", place, word.start()) + 1) if word else place


def _heading_weights(places: Sequence[int], sections: dict[int, Heading]) -> list[float]:
    """For each border, what a heading there costs behind a full passage; 0 where there is none."""
    weights, level = [], 0
    for place in places:
        heading = sections.get(place)
        if heading is None:
            weights.append(0.0)
            continue
        beside = heading.level == level or not level
        weights.append(_BESIDE if beside else _DEEPER if heading.level > level else _HIGHER)
        level = heading.level
    return weights


def _anchors(prices: Sequence[float], counts: Sequence[int], reach: int) -> set[int]:
    """The borders, by index, with no cheaper one within `reach` tokens; `counts` ends with the text's."""
    anchors: set[int] = set()
    rising: list[tuple[int, bool]] = []
    for border, price in enumerate(prices):
        while rising and prices[rising[-1][0]] > price:
            dearer, clear = rising.pop()
            if clear and counts[border] - counts[dearer] > reach:
                anchors.add(dearer)
        rising.append((border, counts[border] - (counts[rising[-1][0]] if rising else 0) > reach))
    anchors.update(border for border, clear in rising if clear and counts[-1] - counts[border] > reach)
    return anchors


def _placed(document: Extracted, headings: Sequence[Heading], spans: Iterable[tuple[int, int]]) -> Iterator[Passage]:
    """Spans, ascending → passages with their lines, pages and headings."""
    text, pages = document.text, document.pages
    page_starts = [page.start for page in pages]
    line, counted, at = 1, 0, 0
    path: list[Heading] = []
    for start, end in spans:
        line += text.count("\n", counted, start)
        counted = start
        while at < len(headings) and headings[at].start <= start:
            _descend(path, headings[at])
            at += 1
        page = bisect_right(page_starts, start) - 1
        since = page_starts[page] if page >= 0 and document.kind in _BY_PAGE else 0
        last = bisect_right(page_starts, end - 1) - 1
        yield Passage(
            start=start,
            end=end,
            line_start=line,
            line_end=line + text.count("\n", start, end),
            page=pages[page].number if page >= 0 else None,
            page_label=pages[page].label if page >= 0 else "",
            headings=_titles(path, since),
            page_end=pages[last].number if last >= 0 else None,
            ocr=_confidence(document.ocr, start, end),
        )


def _confidence(spans: Sequence[OcrSpan], start: int, end: int) -> float | None:
    """How sure it is of what it read in pictures here: the mean over their characters."""
    shared = [(min(one.end, end) - max(one.start, start), one.confidence) for one in spans]
    total = sum(length for length, _ in shared if length > 0)
    return round(sum(length * sure for length, sure in shared if length > 0) / total, 3) if total else None


def _skip_space(text: str, place: int) -> int:
    gap = _SPACE.match(text, place)
    return gap.end() if gap else place


def _trimmed(text: str, start: int, end: int) -> int:
    """`end` moved before the white space in front of it."""
    while end > start and text[end - 1].isspace():
        end -= 1
    return end


# Where sentences end, in Korean, English and what stands between them. The rules follow Unicode's sentence borders (UAX
# #29: a mark, its closing brackets, then white space) and add what that standard leaves to a language: abbreviations,
# numbering, dates, and Korean quotations that go on after the mark.
_CLOSERS = "\"'”’»」』》〉）)\\]】"
# Marks of a script without spaces end a sentence anywhere; the others need white space behind them, or a
# Korean ending in front and the next sentence right behind, as the web and PDF often have it. A run of marks is looked
# at once, from its beginning, and given back to none (++): a line of a million dots would take for ever.
_MARK = re.compile(
    rf"(?:[。！？｡][。！？｡…]*[{_CLOSERS}]*"
    rf"|(?<![.!?…‥])[.!?…‥]++[{_CLOSERS}]*+(?=\s|\Z)"
    rf"|(?<=[다요까죠])[.!?]++[{_CLOSERS}]*+(?=[가-힣“‘「『]))"
    r"(?=(?P<gap>\s*))"
)
_ABBREVIATION = re.compile(
    r"al|approx|art|ca|cf|ch|col|dept|dr|eds|eqs?|figs?|gen|gov|hon|jr|messrs|mrs?|ms|mt|nos?|op|par|pp|prof"
    r"|rep|rev|sec|sen|sr|st|tab|vols?|vs",
    re.IGNORECASE,
)
_LAST_WORD = re.compile(r"[^\W_]+\Z")
_QUOTED_ON = re.compile(r"(?:이?라(?:고|는|며|면서)|하고|하며|하는|고|며)(?![가-힣])|했|말했|밝혔|전했|と|って")
_CLAUSE_NUMBER = re.compile(r"제\s?\d+\s?(?:조|항|호|목|장|절|편|관|부)(?:의\s?\d+)?\Z")
_LONGEST_WORD = 24
"""How far back a mark looks for what it might belong to."""


def sentence_ends(text: str) -> Iterator[int]:
    """The offsets behind each sentence's last character, ascending; the text's end only after a mark."""
    for mark in _MARK.finditer(text):
        if _is_end(text, mark):
            yield mark.end()


def _is_end(text: str, mark: re.Match[str]) -> bool:
    start, end = mark.span()
    gap = mark["gap"]
    ahead = text[end + len(gap) : end + len(gap) + 1]
    goes_on = ahead.isascii() and ahead.islower()
    closed = text[end - 1] not in ".!?…‥。！？｡"
    if (closed or not gap) and _QUOTED_ON.match(text, end + len(gap)):
        return False  # “갔다.” 라고 말했다: the sentence goes on behind its quotation.
    if mark.group() != ".":
        return not goes_on or (text[start] != "." and not closed)
    behind = text[max(0, start - _LONGEST_WORD) : start]
    word = _LAST_WORD.search(behind)
    if word is None:
        # A dot at a line's start is a list's mark; one alone ends a sentence whatever follows it.
        return bool(behind) and not behind.endswith("\n") and (not goes_on or behind[-1].isspace())
    before = behind[: word.start()]
    return not (
        goes_on
        or _is_number(before, word.group(), gap, ahead)
        or _is_short_form(before, word.group())
        or _CLAUSE_NUMBER.search(behind)
    )


def _is_number(before: str, word: str, gap: str, ahead: str) -> bool:
    """3. at a line's start, 2024. 2. 15. and the like: numbering and dates, no ends."""
    before = before.rstrip(" ")
    opens = not before or before[-1] == "\n"
    if not word.isdigit() or ("\n" in gap and not opens):
        return False
    return ahead.isdigit() or (len(word) <= 3 and (opens or before[-1] in "([.:-"))


def _is_short_form(before: str, word: str) -> bool:
    """Initials, 가. 나. 다., and abbreviations."""
    if before and not before[-1].isspace() and before[-1] not in "(.[“\"'":
        return False
    return (len(word) == 1 and word.isalpha()) or _ABBREVIATION.fullmatch(word) is not None
