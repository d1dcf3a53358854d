"""Bytes to text that keeps the promises of an Extracted record: decoded, LF line ends, NFC, no control characters."""

from __future__ import annotations

import codecs
import re
import unicodedata
from typing import NamedTuple

from kosearch.extract import ExtractError
from kosearch.records import Reason

_BOMS = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF32_LE, "utf-32-le"),  # before UTF-16: its mark begins with that of UTF-16
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)
_SAMPLE = 1 << 16
_NON_ASCII = re.compile(r"[^\x00-\x7f]")
_HANGUL = re.compile(r"[\uac00-\ud7a3\u3131-\u318e\u1100-\u11ff]")
_PLAIN = re.compile(
    r"[\t\n\r -~\xa0-\u024f\u2000-\u206f\u3000-\u30ff\u3131-\u318e\u4e00-\u9fff\uac00-\ud7a3\uff00-\uffef]"
)
# Escape, shift-out and shift-in belong to ISO-2022 text; the rest of C0 but white space does not occur in text.
_NOT_TEXT = bytes(code for code in range(32) if code not in b"\t\n\v\f\r\b\x0e\x0f\x1b") + b"\x7f"
_LINE_END = re.compile(r"\r\n?")
# Characters that other programs may take for a line end: one definition of a line, "\n", holds everywhere.
_OTHER_LINE_END = re.compile("[\x0b\x0c\x1c-\x1e\x85\u2028\u2029]")
# Controls, byte order marks, soft hyphens and zero-width spaces: invisible, and they split words for every search.
_INVISIBLE = re.compile(
    "[\x00-\x08\x0e-\x1b\x1f\x7f-\x84\x86-\x9f\xad\u200b\u2060\ufeff\ufff9-\ufffb\ufffe\uffff]"
)
_SURROGATE = re.compile("[\ud800-\udfff]")


class Decoded(NamedTuple):
    text: str
    encoding: str
    warnings: tuple[str, ...] = ()


def normalise(text: str) -> str:
    """The same text with LF line ends, in NFC, without control and invisible characters."""
    text = _LINE_END.sub("\n", text)
    text = _OTHER_LINE_END.sub(" ", text)
    text = _INVISIBLE.sub("", text)
    text = _SURROGATE.sub("\ufffd", text)
    return text if unicodedata.is_normalized("NFC", text) else unicodedata.normalize("NFC", text)


def decode(data: bytes, *, declared: str = "") -> Decoded:
    """Text of unknown encoding, not yet normalised; `declared` is what the document itself says its encoding is.

    Byte order mark, strict UTF-8, the declared encoding, CP949 when at least half of what is not ASCII is Hangul, else a
    guess. Whatever is not certain is named in the warnings. Raises ExtractError when the bytes are not text at all.
    """
    for mark, encoding in _BOMS:
        if data.startswith(mark):
            return _forced(data[len(mark) :], encoding)
    if encoding := _utf16_without_mark(data):
        return _forced(data, encoding)
    _refuse_binary(data)
    try:
        return Decoded(data.decode("utf-8"), "utf-8")
    except UnicodeDecodeError:
        pass
    if declared and (text := _strict(data, declared)) is not None:
        return Decoded(text, declared)
    text = _strict(data, "cp949")
    if text is not None and _hangul_share(text) >= 0.5:
        return Decoded(text, "cp949")
    for encoding in ("utf-8", "cp949"):
        if (damaged := _slightly_damaged(data, encoding)) is not None:
            return damaged
    guess = _guess(data)
    if guess and (text := _strict(data, guess)) is not None:
        return Decoded(text, guess, (f"encoding guessed: {guess}",))
    return _forced(data, guess or "utf-8")


def _strict(data: bytes, encoding: str) -> str | None:
    try:
        return data.decode(encoding)
    except (UnicodeDecodeError, LookupError, ValueError):
        return None


def _forced(data: bytes, encoding: str) -> Decoded:
    text = data.decode(encoding, errors="replace")
    lost = text.count("\ufffd") - data.count(b"\xef\xbf\xbd") * (encoding == "utf-8")
    warnings = (f"not clean {encoding}: {lost} unreadable characters replaced",) if lost > 0 else ()
    return Decoded(text, encoding, warnings)


def _slightly_damaged(data: bytes, encoding: str) -> Decoded | None:
    """A text mostly in this encoding: a cut last character, one foreign line in a log."""
    decoded = _forced(data, encoding)
    foreign = _NON_ASCII.findall(decoded.text)
    lost = decoded.text.count("\ufffd")
    fits = encoding == "utf-8" or _hangul_share(decoded.text) >= 0.5
    return decoded if fits and lost * 10 <= len(foreign) - lost else None


def _hangul_share(text: str) -> float:
    foreign = len(_NON_ASCII.findall(text))
    return len(_HANGUL.findall(text)) / foreign if foreign else 0.0


def _utf16_without_mark(data: bytes) -> str:
    """UTF-16 is recognised by its zero bytes (every space and line end has one) and by reading as plain text."""
    sample = data[: _SAMPLE & ~1]
    if b"\0" not in sample or len(data) % 2:
        return ""
    for encoding in ("utf-16-le", "utf-16-be"):
        text = _strict(sample, encoding)
        if text and "\0" not in text and len(_PLAIN.findall(text)) >= 0.95 * len(text):
            return encoding
    return ""


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
