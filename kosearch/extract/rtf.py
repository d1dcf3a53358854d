"""Rich Text Format (specification 1.9.1), read by walking through its control words once."""

from __future__ import annotations

import codecs
import re
from dataclasses import dataclass, field, replace

from kosearch.extract import numbers
from kosearch.extract.containers import standard
from kosearch.extract.numbers import roman
from kosearch.extract.text import ExtractError, TextBuilder
from kosearch.records import Extraction, Reason

_TOKEN = re.compile(
    r"\\'(?P<hex>[0-9a-fA-F]{2})|\\(?P<word>[a-zA-Z]{1,32})(?P<number>-?\d{1,10})? ?|\\(?P<symbol>.)"
    r"|(?P<brace>[{}])|(?P<end>[\r\n]+)|(?P<text>[^\\{}\r\n]+)",
    re.DOTALL,
)
_CHARSETS = {
    128: "cp932", 129: "cp949", 130: "johab", 134: "gbk", 136: "cp950", 161: "cp1253", 162: "cp1254", 163: "cp1258",
    177: "cp1255", 178: "cp1256", 186: "cp1257", 204: "cp1251", 222: "cp874", 238: "cp1250",
}  # fmt: skip
_CHARACTERS = {
    "tab": "\t", "line": "\n", "emdash": "—", "endash": "–", "lquote": "‘", "rquote": "’", "ldblquote": "“",
    "rdblquote": "”", "bullet": "•", "emspace": " ", "enspace": " ", "~": " ", "_": "-",
}  # fmt: skip
_LEFT_OUT = frozenset(
    str.split(
        "colortbl pict object sp themedata colorschememapping datastore listtable listoverridetable rsidtbl generator"
        " xmlnstbl bkmkstart bkmkend atnid atntime atndate atnref atnparent atrfstart atrfend revtbl"
        " latentstyles pgptbl filetbl shprslt nonshppict ftnsep ftnsepc aftnsep aftnsepc"
    )
)
_STORIES = {
    "footnote": "note", "annotation": "comment", "shptxt": "box", "dptxbxtext": "box",
    "header": "furniture", "headerl": "furniture", "headerr": "furniture", "headerf": "furniture",
    "footer": "furniture", "footerl": "furniture", "footerr": "furniture", "footerf": "furniture",
}  # fmt: skip
"""Groups whose text is not a part of the paragraph that they stand in."""
_READ_THOUGH_STARRED = frozenset((*_STORIES, "shpinst", "do", "atnauthor", "fldinst"))
_IN_CODE = frozenset(("f", "uc", "pict", "object", *_CHARACTERS))
"""What is heeded in the code of a field."""
_PAGE_NUMBER = re.compile(r"\W*\d*\W*")
_PARAGRAPH_ENDS = frozenset(("par", "sect", "page", "column"))
_INFO = {"title": "title", "author": "author", "creatim": "created", "revtim": "modified"}
_HEADING_STYLE = re.compile(r"(?:heading|제목|개요) ?([1-9])\b", re.IGNORECASE)
_DEEPEST = 500


@dataclass(frozen=True, slots=True)
class _State:
    """What a group inherits from the group around it."""

    target: str = "text"
    """Where its text goes: text, fonttbl, stylesheet, atnauthor, fldinst, a field of _INFO, or nowhere ("")."""
    encoding: str = "cp1252"
    fallback: int = 1
    """How many characters after a Unicode character stand for it in old programs."""
    hidden: bool = False
    in_label: bool = False
    """In the number of a paragraph, which has a shape of its own."""


@dataclass(slots=True)
class _Paragraph:
    level: int = 0
    in_table: bool = False
    parts: list[str] = field(default_factory=list)


@dataclass(slots=True)
class _Story:
    """A text apart, and what waits outside until it ends."""

    kind: str
    depth: int
    """How many groups are open around it."""
    builder: TextBuilder
    paragraph: _Paragraph
    cells: list[str]
    rows: list[list[str]]


@dataclass(slots=True)
class _Field:
    """A field that is open: its code so far, and whether it has a result."""

    depth: int
    code: str = ""
    has_result: bool = False


def read(data: bytes, path: str) -> Extraction:
    """An RTF document."""
    if not data.lstrip().startswith(b"{\\rtf"):
        raise ExtractError(Reason.BROKEN, "not RTF")
    reader = _Reader()
    reader.run(data.decode("latin-1"))
    fields = reader.info
    document = reader.builder.document("rtf", title=fields.get("title", ""), metadata=standard(fields))
    return Extraction((document,))


class _Reader:
    def __init__(self) -> None:
        self.builder = TextBuilder()
        self.info: dict[str, str] = {}
        self._state = _State()
        self._outer: list[_State] = []
        self._page = "cp1252"
        self._fonts: dict[int, str] = {}
        self._font = 0
        self._style = 0
        self._styles: dict[int, int] = {}
        self._bases: dict[int, int] = {}
        self._bytes = bytearray()
        self._units: list[int] = []
        self._skip = 0
        self._star = False
        self._paragraph = _Paragraph()
        self._cells: list[str] = []
        self._rows: list[list[str]] = []
        self._stories: list[_Story] = []
        self._waiting: list[str] = []
        self._seen: set[str] = set()
        self._notes = 0
        self._endnotes = 0
        self._fields: list[_Field] = []
        self._author = ""

    def run(self, text: str) -> None:
        place = 0
        while match := _TOKEN.match(text, place):
            place = match.end()
            if match["word"] == "bin":
                place += max(int(match["number"] or 0), 0)
            elif match["word"]:
                self._word(match["word"], int(match["number"]) if match["number"] else None)
            elif match["brace"]:
                self._brace(match["brace"])
            elif match["hex"]:
                self._byte(bytes.fromhex(match["hex"]))
            elif match["symbol"]:
                self._symbol(match["symbol"])
            elif match["text"]:
                self._plain(match["text"])
        self._flush()
        while self._stories:
            self._end_story()
        self._end_paragraph()
        self._end_table()
        self._write_waiting()

    def _brace(self, brace: str) -> None:
        self._flush()
        self._skip = 0
        self._star = False
        if brace == "{":
            self._outer.append(self._state)
            if len(self._outer) > _DEEPEST:
                raise ExtractError(Reason.BROKEN, "RTF is nested too deeply")
        elif self._outer:
            if self._stories and self._stories[-1].depth == len(self._outer):
                self._end_story()
            if self._fields and self._fields[-1].depth == len(self._outer):
                self._end_field()
            self._state = self._outer.pop()

    def _word(self, word: str, number: int | None) -> None:
        if word == "u" and number is not None:
            self._decode_bytes()
            self._units.append(number & 0xFFFF)
            self._skip = self._state.fallback
            return
        self._flush()
        star, self._star = self._star, False
        if not self._state.target:  # nothing in a group that is left out ends a paragraph or begins a text
            return
        if self._state.target == "fldinst" and not star and word not in _IN_CODE:
            return
        if self._begins(word, star=star):
            return
        if word in _CHARACTERS:
            self._emit(_CHARACTERS[word])
        elif word in _PARAGRAPH_ENDS:
            self._end_paragraph()
        elif word in ("cell", "nestcell"):
            self._end_cell()
        elif word == "row":
            self._rows.append(self._cells)
            self._cells = []
        elif word == "ftnalt" and self._stories and self._stories[-1].kind == "note":
            self._stories[-1].kind = "endnote"
        else:
            self._property(word, number)

    def _begins(self, word: str, *, star: bool) -> bool:
        """Begin what a group with this word is; False where the word begins nothing."""
        if word in _STORIES:
            self._begin_story(_STORIES[word])
        elif word in _LEFT_OUT or (star and word not in _READ_THOUGH_STARRED):
            self._state = replace(self._state, target="")
        elif word == "field":
            self._fields.append(_Field(len(self._outer)))
        elif word in ("fonttbl", "stylesheet", "atnauthor", "fldinst") or word in _INFO:
            self._author = "" if word == "atnauthor" else self._author
            self._state = replace(self._state, target=word)
        else:
            return False
        return True

    def _begin_story(self, kind: str) -> None:
        story = _Story(kind, len(self._outer), self.builder, self._paragraph, self._cells, self._rows)
        self._stories.append(story)
        self.builder, self._paragraph, self._cells, self._rows = TextBuilder(), _Paragraph(), [], []
        self._state = replace(self._state, target="text", hidden=False, in_label=False)

    def _end_story(self) -> None:
        """Note what a text apart says, to be written after the paragraph that it stands in."""
        self._flush()
        self._end_paragraph()
        self._end_table()
        story = self._stories.pop()
        lines = [line for line in self.builder.text.split("\n") if line.strip()]
        self.builder, self._paragraph, self._cells, self._rows = story.builder, story.paragraph, story.cells, story.rows
        if story.kind == "furniture":
            lines = [line for line in lines if not _PAGE_NUMBER.fullmatch(line)]
        text = "\n".join(lines)
        if not text or (story.kind == "furniture" and text in self._seen):
            return
        self._seen.add(text)
        if story.kind == "note":
            self._notes += 1
            text = f"[{self._notes}] {text}"
        elif story.kind == "endnote":
            self._endnotes += 1
            text = f"[{roman(self._endnotes).lower()}] {text}"
        elif story.kind == "comment" and self._author.strip():
            text = f"[{self._author.strip()}] {text}"
        self._waiting.append(text)
        begun = self._stories or self._paragraph.parts or self._rows or self._cells
        if story.kind in ("furniture", "box") and not begun:
            self._write_waiting()

    def _end_field(self) -> None:
        """Write what a field without a result shows."""
        field = self._fields.pop()
        if not field.has_result and (text := numbers.shown(field.code)):
            self._emit(text)
        elif field.has_result and self._fields:
            self._fields[-1].has_result = True

    def _write_waiting(self) -> None:
        waiting, self._waiting = self._waiting, []
        for text in waiting:
            self.builder.add(text)

    def _property(self, word: str, number: int | None) -> None:
        state = self._state
        if word == "ansicpg" and number:
            self._page = _known(f"cp{number}")
            self._state = replace(state, encoding=self._page)
        elif word == "f" and number is not None:
            self._font = number
            self._state = replace(state, encoding=self._fonts.get(number, self._page))
        elif word == "fcharset" and state.target == "fonttbl":
            self._fonts[self._font] = _CHARSETS.get(number or 0, self._page)
        elif word == "uc":
            self._state = replace(state, fallback=max(number if number is not None else 1, 0))
        elif word in ("v", "deleted"):
            self._state = replace(state, hidden=number != 0)
        elif word == "plain":
            self._state = replace(state, hidden=False)
        elif word in ("s", "sbasedon", "outlinelevel"):
            self._style_property(word, number or 0)
        elif word in ("listtext", "pntext"):
            self._state = replace(state, in_label=True)
        elif word == "pard" and not state.in_label:
            self._paragraph.level = 0
            self._paragraph.in_table = False
        elif word == "intbl":
            self._paragraph.in_table = True
        elif state.target in _INFO and word in ("yr", "mo", "dy"):
            self._emit(f"{number or 0:02}" + ("-" if word != "dy" else ""))

    def _style_property(self, word: str, number: int) -> None:
        in_sheet = self._state.target == "stylesheet"
        if word == "s":
            self._style = number
            self._paragraph.level = 0 if in_sheet else self._style_level(number)
        elif word == "sbasedon" and in_sheet:
            self._bases[self._style] = number
        elif word == "outlinelevel":
            level = number + 1 if number < 9 else 0
            if in_sheet:
                self._styles[self._style] = level
            else:
                self._paragraph.level = level

    def _style_level(self, style: int) -> int:
        """The level of headings in this style or in those that it is based on; 0 where it is no heading."""
        seen: set[int] = set()
        while style not in self._styles and style in self._bases and style not in seen:
            seen.add(style)
            style = self._bases[style]
        return self._styles.get(style, 0)

    def _symbol(self, symbol: str) -> None:
        if symbol == "*":
            self._star = True
        elif symbol in "\r\n":
            self._flush()
            self._end_paragraph()
        elif symbol in _CHARACTERS:
            self._flush()
            self._emit(_CHARACTERS[symbol])
        elif symbol in "{}\\":
            self._plain(symbol)

    def _byte(self, byte: bytes) -> None:
        if self._skip:
            self._skip -= 1
        else:
            self._decode_units()
            self._bytes += byte

    def _plain(self, text: str) -> None:
        kept = text[self._skip :]
        self._skip = max(self._skip - len(text), 0)
        if kept:
            self._decode_units()
            self._bytes += kept.encode("latin-1")

    def _flush(self) -> None:
        self._decode_units()
        self._decode_bytes()

    def _decode_units(self) -> None:
        if self._units:
            units = b"".join(unit.to_bytes(2, "little") for unit in self._units)
            self._units.clear()
            self._emit(units.decode("utf-16-le", "replace"))

    def _decode_bytes(self) -> None:
        if self._bytes:
            text = self._bytes.decode(self._state.encoding, "replace")
            self._bytes.clear()
            self._emit(text)

    def _emit(self, text: str) -> None:
        target = self._state.target
        if self._state.hidden or not target or target == "fonttbl":
            return
        if target == "stylesheet":
            if found := _HEADING_STYLE.search(text):
                self._styles.setdefault(self._style, int(found[1]))
        elif target == "atnauthor":
            self._author += text
        elif target == "fldinst":
            if self._fields:
                self._fields[-1].code += text
        elif target in _INFO:
            name = _INFO[target]
            self.info[name] = self.info.get(name, "") + text
        else:
            if self._rows and not self._paragraph.in_table and text.strip():
                self._end_table()
            if self._fields:
                self._fields[-1].has_result = True
            self._paragraph.parts.append(text)

    def _take(self) -> str:
        text = "".join(self._paragraph.parts)
        self._paragraph.parts.clear()
        return text

    def _end_paragraph(self) -> None:
        if self._paragraph.in_table:
            self._paragraph.parts.append(" ")
            return
        text = self._take().strip()
        if text:
            self._end_table()
            if self._paragraph.level and not self._stories:
                self.builder.heading(text, self._paragraph.level)
            else:
                self.builder.add(text)
        if not self._stories and not self._rows:
            self._write_waiting()

    def _end_cell(self) -> None:
        self._cells.append(" ".join(self._take().split()))

    def _end_table(self) -> None:
        rows = [row for row in [*self._rows, self._cells] if any(row)]
        self._rows, self._cells = [], []
        self.builder.table(rows)
        if rows and not self._stories:
            self._write_waiting()


def _known(encoding: str) -> str:
    try:
        codecs.lookup(encoding)
    except LookupError:
        return "cp1252"
    return encoding
