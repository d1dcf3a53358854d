"""What every reader stands on: bytes decoded, text built with exact offsets, and the one error that it raises.

Decoded text is as an Extracted record promises it: LF line ends, NFC, no control characters.
"""

from __future__ import annotations

import codecs
import importlib.util
import json
import math
import re
import unicodedata
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cache
from itertools import pairwise, zip_longest
from pathlib import Path
from typing import NamedTuple

from kosearch.records import MAX_TITLE, Extracted, Extraction, Heading, OcrSpan, PageStart, Reason

# What every reader is given, and what it raises.


class ExtractError(Exception):
    """Why a file gave no text: a machine-readable reason and one line for a person."""

    def __init__(self, reason: Reason, detail: str) -> None:
        super().__init__(reason, detail)
        self.reason = reason
        self.detail = detail
        self.readers: tuple[str, ...] = ()
        """The versions of the readers that were tried, as in Extraction."""

    def __str__(self) -> str:
        return f"{self.reason}: {self.detail}"


Inside = Callable[[str, bytes], Extraction]
"""Reads a file inside the file, by its name and its content; never raises."""


# Bytes to text as an Extracted record promises it: decoded, LF line ends, NFC, no control characters.

_BOMS = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF32_LE, "utf-32-le"),  # before UTF-16: its mark begins with that of UTF-16
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)
# What calls itself EUC-KR is its superset in practice, as the encoding standard of the web has it.
_KOREAN = dict.fromkeys(
    str.split(
        "euc-kr euckr euc_kr ks_c_5601-1987 ks_c_5601_1987 ks_c_5601-1989 ksc5601 ksc_5601 ksc5601-1987 ks_c_5601"
        " korean iso-ir-149 ms949 windows-949 x-windows-949 cp-949 uhc"
    ),
    "cp949",
)
# Bytes of these are ASCII, so that nothing but a declaration or their escapes tells.
_SEVEN_BIT = frozenset(("utf-7", "hz", "iso2022_kr", "iso2022_jp", "iso2022_jp_1", "iso2022_jp_2", "iso2022_jp_ext"))
_ESCAPES = (
    (b"\x1b$)C", "iso2022_kr"),
    (b"\x1b$B", "iso2022_jp_2"),
    (b"\x1b$@", "iso2022_jp_2"),
    (b"\x1b(J", "iso2022_jp_2"),
)
_SHIFTED = re.compile(rb"\+[A-Za-z0-9+/]{3,}-?")
"""How UTF-7 writes what is not ASCII."""
_LATIN = frozenset(("iso8859-1", "iso8859-15", "cp1252", "ascii"))
"""What programs declare that know nothing else; Korean text in them is CP949."""
_SAMPLE = 1 << 16
_MOST_LOST = 0.2
"""A text that loses more than this share of its characters was not read at all."""
_NON_ASCII = re.compile(r"[^\x00-\x7f]")
_PLAIN = re.compile(
    r"[\t\n\r -~\xa0-\u024f\u2000-\u206f\u3000-\u30ff\u3131-\u318e\u4e00-\u9fff\uac00-\ud7a3\uff00-\uffef]"
)
# Escape, shift-out and shift-in belong to ISO-2022; the rest of C0 but white space does not occur in text.
_NOT_TEXT = bytes(code for code in range(32) if code not in b"\t\n\v\f\r\b\x0e\x0f\x1b") + b"\x7f"
_LINE_END = re.compile(r"\r\n?")
# Characters that other programs may take for a line end: one definition of a line, "\n", holds everywhere. And spaces
# that only differ in where a line may be wrapped.
_OTHER_SPACE = re.compile("[\x0b\x0c\x1c-\x1e\x85\xa0\u2028\u2029\u202f]")
# Controls, byte order marks, soft hyphens, zero-width spaces: invisible, and they split words for a search.
_INVISIBLE = re.compile("[\x00-\x08\x0e-\x1b\x1f\x7f-\x84\x86-\x9f\xad\u200b\u2060\ufeff\ufff9-\ufffb\ufffe\uffff]")
# The program Hangul writes its name with an old vowel, in letters or as one character of its own; people write 한글.
_OLD_HANGUL = re.compile("(?:\u1112\u119e\u11ab|\uf53a)(?=\uae00|\u1100\u1173\u11af)")
_MOST_MARKS = 30
_MANY_MARKS = re.compile(rf"(?:[^\w\s\x00-\u02ff]|[\uff9e\uff9f]){{{_MOST_MARKS + 1},}}")
"""Where so many marks may stand, and no letters or digits do; the two are letters by name."""
_JOINER = "\u034f"
_HANGUL = re.compile("[가-힣]")
_ZEROS = re.compile(rb"\0+")
_TEXT = bytes(code for code in range(256) if code in b"\t\n\r\x1b" or (code >= 32 and code != 127))
_LONGEST_LINE = 2000
"""Bytes, on average: binary files have line ends by chance only."""
_SOFT_HYPHEN = re.compile("(?<=[\xb0-\xc8])[-\u2010]")
_SYMBOLS = dict.fromkeys(map(ord, "·•°±×÷§©®«»²³µ–—‘’“”…"))
"""Signs that stand in Latin text by themselves; two of them are a syllable in CP949."""
_FEWEST_SHIFTED, _MOSTLY = 4, 0.9
_SURROGATE = re.compile("[\ud800-\udfff]")


class Decoded(NamedTuple):
    text: str
    encoding: str
    warnings: tuple[str, ...] = ()


def normalise(text: str) -> str:
    """The same text with LF line ends, in NFC, without control and invisible characters."""
    text = _LINE_END.sub("\n", text)
    text = _OTHER_SPACE.sub(" ", text)
    text = _INVISIBLE.sub("", text)
    text = _SURROGATE.sub("\ufffd", text)
    return nfc(_OLD_HANGUL.sub("한", text))


def nfc(text: str) -> str:
    """The same text in NFC, with a combining grapheme joiner after every 30 marks in a row.

    That is Unicode's stream-safe form (UAX #15), and no language needs so many. Python puts marks in order in quadratic
    time: a million of them would take an hour.
    """
    if unicodedata.is_normalized("NFC", text):
        return text
    return unicodedata.normalize("NFC", _MANY_MARKS.sub(_in_parts, text))


def _in_parts(marks: re.Match[str]) -> str:
    parts, count = [], 0
    for character in marks.group():
        is_mark = unicodedata.combining(unicodedata.normalize("NFKD", character)[0])
        count = count + 1 if is_mark else 0
        if count > _MOST_MARKS:
            parts.append(_JOINER)
            count = 1
        parts.append(character)
    return "".join(parts)


def decode(data: bytes, *, declared: str = "") -> Decoded:
    """Text of unknown encoding, not yet normalised; `declared` is the encoding that it names itself.

    Byte order mark, strict UTF-8, the declared encoding, CP949 when at least half of what is not ASCII is
    Hangul, else a guess. Whatever is not certain is named in the warnings. Raises ExtractError when it is no
    text at all.
    """
    for mark, encoding in _BOMS:
        if data.startswith(mark):
            return _forced(data[len(mark) :], encoding)
    if b"\0" in data[:_SAMPLE]:
        if appended := _utf16_appended(data):
            return appended
        if encoding := _utf16_without_mark(data):
            return _forced(data[: len(data) & ~1], encoding)
        data = _without_zeros(data)
    _refuse_binary(data)
    declared = _canonical(declared)
    return (
        _seven_bit(data, declared)
        or _certain(data, declared)
        or _mixed(data)
        or _slightly_damaged(data)
        or _guessed(data)
    )


def repaired(text: str) -> str:
    """Text whose CP949 was read as Latin-1 ("¼\xad¹ö") as it was meant; any other as it is."""
    if text.isascii() or _HANGUL.search(text) or text.translate(_SYMBOLS).isascii():
        return text
    # PDF readers show the soft hyphen, which is half of a syllable here, as a hyphen.
    softened = _SOFT_HYPHEN.sub("\xad", text)
    for shown, encoding in ((text, "latin-1"), (softened, "latin-1"), (text, "cp1252"), (softened, "cp1252")):
        try:
            meant = shown.encode(encoding).decode("cp949")
        except UnicodeError:
            continue
        if _hangul_share(meant) >= 0.5 and len(_HANGUL.findall(meant)) > 1:
            return meant
    return text


def _canonical(declared: str) -> str:
    """A declared encoding by one name, "" where nobody knows it."""
    declared = declared.strip().strip("\"'").lower()
    declared = _KOREAN.get(declared, declared)
    try:
        return codecs.lookup(declared).name if declared else ""
    except (LookupError, ValueError):
        return ""


def _seven_bit(data: bytes, declared: str) -> Decoded | None:
    """Text in ASCII's bytes that is more than ASCII: as declared, by its escapes, or UTF-7 that makes Hangul."""
    if declared in _SEVEN_BIT and (text := _strict(data, declared)) is not None:
        return Decoded(text, declared)
    if b"\x1b" in data:
        for escape, encoding in _ESCAPES:
            if escape in data and (text := _strict(data, encoding)) is not None:
                return Decoded(text, encoding)
    if data.isascii() and _SHIFTED.search(data[:_SAMPLE]):
        text = _strict(data, "utf-7")
        foreign = _NON_ASCII.findall(text[:_SAMPLE]) if text else ()
        if text and len(foreign) >= _FEWEST_SHIFTED and _hangul_share(text) >= _MOSTLY:
            return Decoded(text, "utf-7")
    return None


def _certain(data: bytes, declared: str) -> Decoded | None:
    utf8, stated = _strict(data, "utf-8"), _strict(data, declared) if declared not in ("", "utf-8") else None
    if utf8 is not None and stated is not None and _hangul_share(utf8) < 0.5 <= _hangul_share(stated):
        return Decoded(stated, declared)  # bytes that are both; only one of the two is Korean
    if utf8 is not None:
        return Decoded(utf8, "utf-8")
    korean = _strict(data, "cp949")
    if (
        korean is not None
        and (declared == "cp949" or _hangul_share(korean) >= 0.5)
        and declared in ("cp949", "", *_LATIN)
    ):
        return Decoded(korean, "cp949")
    if stated is not None:
        return Decoded(stated, declared)
    if korean is not None and _hangul_share(korean) >= 0.5:
        return Decoded(korean, "cp949")
    return None


def _mixed(data: bytes) -> Decoded | None:
    """Text of several hands, line by line in UTF-8 or CP949, as logs and joined files are."""
    lines, encodings = [], set()
    for line in data.split(b"\n"):
        for encoding in ("utf-8", "cp949"):
            text = _strict(line, encoding)
            if text is not None and (encoding == "utf-8" or _hangul_share(text) >= 0.5):
                lines.append(text)
                encodings |= {encoding} if not text.isascii() else set()
                break
        else:
            return None
    return Decoded("\n".join(lines), "utf-8") if len(encodings) > 1 else None


def _slightly_damaged(data: bytes) -> Decoded | None:
    """A text mostly in one of our encodings: a cut last character, one foreign line in a log."""
    for encoding in ("utf-8", "cp949"):
        decoded = _forced(data, encoding)
        lost = decoded.text.count("\ufffd")
        readable = len(_NON_ASCII.findall(decoded.text)) - lost
        if lost * 20 <= readable and (encoding == "utf-8" or _hangul_share(decoded.text) >= 0.5):
            return decoded
    return None


def _guessed(data: bytes) -> Decoded:
    guess = _guess(data)
    text = _strict(data, guess) if guess else None
    if text is not None:
        return Decoded(text, guess, (f"encoding guessed: {guess}",))
    decoded = _forced(data, guess or "utf-8")
    if decoded.text.count("\ufffd") > _MOST_LOST * len(decoded.text):
        raise ExtractError(Reason.ENCODING, "in no encoding that is known here")
    return decoded


def _strict(data: bytes, encoding: str) -> str | None:
    try:
        return data.decode(encoding)
    except (UnicodeDecodeError, LookupError, ValueError):
        return None


def _forced(data: bytes, encoding: str) -> Decoded:
    text = data.decode(encoding, errors="replace")
    lost = text.count("\ufffd") - data.count(b"\xef\xbf\xbd") * (encoding == "utf-8")
    warnings = (f"not clean {encoding}: unreadable characters replaced: {lost}",) if lost > 0 else ()
    return Decoded(text, encoding, warnings)


def _hangul_share(text: str) -> float:
    """The share of Hangul in what is not ASCII, without the rare syllables that other encodings read as CP949 yield."""
    foreign = _NON_ASCII.findall(text[:_SAMPLE])
    common = _common_hangul()
    return sum(character in common for character in foreign) / len(foreign) if foreign else 0.0


@cache
def _common_hangul() -> frozenset[str]:
    """The letters of KS X 1001: 2350 syllables (rows 16 to 40) and single letters (row 4)."""
    rows = (0x24, *range(0x30, 0x49))
    codes = bytes(byte for row in rows for cell in range(0x21, 0x7F) for byte in (row | 0x80, cell | 0x80))
    return frozenset(codes.decode("cp949"))


def _utf16_without_mark(data: bytes) -> str:
    """UTF-16 shows by its zero bytes (every space and line end has one) and by reading as plain text."""
    sample = data[: min(_SAMPLE, len(data)) & ~1]
    for encoding in ("utf-16-le", "utf-16-be"):
        text = (_strict(sample, encoding) or "").replace("\0", "")
        enough = len(text) * 4 > len(sample)  # zeros in pairs are gaps in a log, not its text
        if enough and set(" \n") & set(text) and len(_PLAIN.findall(text)) >= 0.95 * len(text):
            return encoding
    return ""


def _utf16_appended(data: bytes) -> Decoded | None:
    """A file that a shell of Windows went on writing in UTF-16: each part is read as what it is."""
    place = data.index(b"\0") - 1
    marked = data.rfind(codecs.BOM_UTF16_LE, 0, place)
    place = marked if marked >= 0 else place
    before = _strict(data[:place], "utf-8") if b"\n" in data[: max(place, 0)] else None
    rest = data[place:].removeprefix(codecs.BOM_UTF16_LE)
    if before is None or not _utf16_without_mark(rest):
        return None
    after = _forced(rest[: len(rest) & ~1], "utf-16-le")
    return Decoded(before + after.text, "utf-16-le", after.warnings)


def _without_zeros(data: bytes) -> bytes:
    """A log without the zeros that a crash left in it; what has more than a few runs of them is binary."""
    text = data.translate(None, b"\0")
    lines = text.count(b"\n")
    gaps = sum(1 for _ in _ZEROS.finditer(data))
    printable = not text.translate(None, _TEXT).strip()
    return text if lines and gaps <= lines and printable and len(text) < _LONGEST_LINE * lines else data


def _refuse_binary(data: bytes) -> None:
    sample = data[:_SAMPLE]
    odd = len(sample) - len(sample.translate(None, _NOT_TEXT))
    if b"\0" in sample or odd > len(sample) * 0.02:
        raise ExtractError(Reason.BINARY, "a binary file, not text")


def _guess(data: bytes) -> str:
    """The likeliest encoding by statistics, or "": chardet stands behind this function alone."""
    import chardet

    found = chardet.detect(data[:_SAMPLE])["encoding"]
    return found.lower() if found else ""


# A document's text, block by block, so that the offsets of headings and pages are exact; tables as lines of it.

PARAGRAPH = "\n\n"
LINE = "\n"


class TextBuilder:
    """Collects normalised blocks; headings and pages begin where the next block begins."""

    def __init__(self) -> None:
        self._parts: list[str] = []
        self._length = 0
        self._headings: list[Heading] = []
        self._pages: list[PageStart] = []
        self._waiting: list[tuple[int, str]] = []
        self._ocr: list[OcrSpan] = []

    def add(self, text: str, *, gap: str = PARAGRAPH) -> int:
        """Append a block after `gap`, nothing when it is blank; returns where it starts."""
        text = normalise(text).strip("\n").rstrip()
        if not text.strip():
            return self._length
        if self._parts:
            self._push(gap)
        self._pages += [PageStart(self._length, number, label) for number, label in self._waiting]
        self._waiting.clear()
        start = self._length
        self._push(text)
        return start

    def heading(self, title: str, level: int, *, gap: str = PARAGRAPH) -> None:
        """Append a heading as a block of its own."""
        title = " ".join(normalise(title).split())
        if title:
            self._headings.append(Heading(self.add(title, gap=gap), level, _limited(title)))

    def table(self, rows: Sequence[Sequence[str]]) -> None:
        """Append a table as a block of a line a row; rows without any text are left out."""
        filled = [row for row in rows if any(row)]
        for number, line in enumerate(table_lines(filled, named_columns=False)):
            self.add(line, gap=LINE if number else PARAGRAPH)

    def mark(self, headings: Sequence[Heading]) -> None:
        """Note headings whose text is already there."""
        self._headings += [Heading(one.start, one.level, _limited(one.title)) for one in headings]

    def recognised(self, start: int, end: int, confidence: float) -> None:
        """This part of the text was read in a picture."""
        if start < end:
            self._ocr.append(OcrSpan(start, end, round(confidence, 3)))

    def page(self, number: int, label: str = "") -> None:
        """The next block begins this page; a page without text has no place in the text."""
        self._waiting = [(number, label)]

    def append(self, document: Extracted) -> int:
        """Append a document as a part of this one, with its headings; returns where it starts."""
        start = self.add(document.text)
        self._headings += [Heading(start + part.start, part.level, part.title) for part in document.headings]
        self._ocr += [OcrSpan(start + part.start, start + part.end, part.confidence) for part in document.ocr]
        return start

    @property
    def text(self) -> str:
        return "".join(self._parts)

    @property
    def length(self) -> int:
        return self._length

    def document(
        self,
        kind: str,
        *,
        title: str = "",
        metadata: Mapping[str, str] | None = None,
        warnings: Sequence[str] = (),
    ) -> Extracted:
        """The finished record; the title is the first heading unless the document states one."""
        title = _limited(" ".join(normalise(title).split()))
        return Extracted(
            text=self.text,
            kind=kind,
            title=title or (self._headings[0].title if self._headings else ""),
            headings=tuple(self._headings),
            pages=tuple(self._pages),
            metadata={key: value for key, value in (metadata or {}).items() if value},
            warnings=tuple(warnings),
            ocr=tuple(self._ocr),
        )

    def _push(self, text: str) -> None:
        self._parts.append(text)
        self._length += len(text)


def _limited(title: str) -> str:
    return title if len(title) <= MAX_TITLE else title[: MAX_TITLE - 1].rstrip() + "…"


_WORD = re.compile(r"[^\W\d]")
_AMOUNT = re.compile(r"[\d,.]+(?:원|%|명|개)?$")
# 업 체 명, 성 명 (인): labels are stretched to the width of their cell.
_STRETCHED = re.compile(r"\A(?:[가-힣] ){1,9}[가-힣](?=\Z| ?[(:（：])")
_ONE_WORD = -1.0
"""Mean logarithm of the odds of a space between two syllables: below it they are one word."""
_TABLE_PRIOR = 0.25
_LONGEST_NAME = 40
_ROWS_TO_A_HEADER = 15


def row_line(cells: Sequence[str]) -> str:
    """A row: its cells that hold something, labels without the spaces that stretch them (업 체 명)."""
    return " | ".join(label for cell in cells if (label := together(" ".join(cell.split()))))


def together(text: str) -> str:
    """A label written one syllable at a time as one word, if it is one (표 셀 둘 is none); any other text as it is."""
    found = _STRETCHED.match(text)
    if not found:
        return text
    word = found[0].replace(" ", "")
    likely = sum(math.log(space_odds(last, first)) for last, first in pairwise(word)) / (len(word) - 1)
    return word + text[found.end() :] if likely < _ONE_WORD else text


def table_lines(rows: Sequence[Sequence[str]], *, named_columns: bool) -> Iterator[str]:
    """A line a row; with names of columns, each value after its column's, else the header again every few rows."""
    header = _header(rows)
    names = rows[header] if header is not None else ()
    for number, row in enumerate(rows):
        if header is None or number < header or (named_columns and number == header):
            yield row_line(row)
        elif named_columns:
            cells = [" ".join(cell.split()) for cell in row]
            columns = zip_longest(map(together, names), cells, fillvalue="")
            yield " | ".join(f"{name}: {cell}" if name else cell for name, cell in columns if cell)
        else:
            if number > header and not (number - header) % _ROWS_TO_A_HEADER:
                yield row_line(names)
            yield row_line(row)


def _header(rows: Sequence[Sequence[str]]) -> int | None:
    """The row that names the columns: the first with more than one cell, if all of it are short words."""
    for number, row in enumerate(rows):
        names = [cell for cell in row if cell]
        if len(names) < 2:
            continue
        words = all(len(name) <= _LONGEST_NAME and _WORD.search(name) for name in names)
        distinct = len(set(names)) == len(names)
        return number if words and distinct and len(rows) - number > 2 and not any(map(_AMOUNT.match, names)) else None
    return None


@cache
def _spacing() -> dict[str, dict[str, float]]:
    """dochan's table of Korean spacing: how often a space follows, by pair, last and first syllable."""
    package = importlib.util.find_spec("dochan")
    places = package.submodule_search_locations if package else None
    if not places:
        return {}
    table = Path(places[0], "pdf", "korean_spacing.json").read_text(encoding="utf-8")
    return {name: values for name, values in json.loads(table).items() if isinstance(values, dict)}


def space_odds(last: str, first: str) -> float:
    """The odds of a space between two characters; of the pair, else of each as if independent."""
    table = _spacing()
    if (pair := table.get("pairs", {}).get(last + first)) is not None:
        return odds_of(pair)
    before = odds_of(table.get("last", {}).get(last, _TABLE_PRIOR))
    after = odds_of(table.get("first", {}).get(first, _TABLE_PRIOR))
    return before * after / odds_of(_TABLE_PRIOR)


def odds_of(probability: float) -> float:
    bounded = min(max(probability, 0.005), 0.995)
    return bounded / (1 - bounded)
