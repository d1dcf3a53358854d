"""Bytes to text as an Extracted record promises it: decoded, LF line ends, NFC, no control characters."""

from __future__ import annotations

import codecs
import re
import unicodedata
from functools import cache
from typing import NamedTuple

from kosearch.extract.contract import ExtractError
from kosearch.records import Reason

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
    text = _OLD_HANGUL.sub("한", text)
    return text if unicodedata.is_normalized("NFC", text) else unicodedata.normalize("NFC", text)


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
