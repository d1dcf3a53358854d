"""Files that are text already: plain text, tables with separators, JSON, source code, notebooks, light markup."""

from __future__ import annotations

import csv
import json
import re
import tomllib
from collections.abc import Callable, Iterator, Sequence
from io import StringIO
from posixpath import splitext
from typing import Any

from kosearch.extract.containers import standard
from kosearch.extract.text import ExtractError, TextBuilder, decode, normalise, table_lines
from kosearch.records import Extracted, Extraction, Heading, Reason

# Files that are text already: plain text, tables with separators, JSON, source code, notebooks.

_DELIMITERS = ",\t;|"
_SAMPLE = 4096
_LONGEST_CELL = 50
"""Lines in one cell; more mean that a quotation mark was never closed."""
_ESCAPES = re.compile(r"(?:\\u[0-9a-fA-F]{4})+")


def read_text(data: bytes, path: str) -> Extraction:
    """Plain text, as it is."""
    decoded = decode(data)
    return Extraction((Extracted(text=normalise(decoded.text), kind="text", warnings=decoded.warnings),))


def read_csv(data: bytes, path: str) -> Extraction:
    """A table with separators: a line a row, each value with the name of its column; plain lines if it is no table."""
    decoded = decode(data)
    text = normalise(decoded.text)
    rows = _rows(text)
    table = "\n".join(table_lines(rows, named_columns=True)) if rows else text
    return Extraction((Extracted(text=table, kind="csv", warnings=decoded.warnings),))


def read_json(data: bytes, path: str) -> Extraction:
    """JSON or JSON Lines as written, but with \\uXXXX escapes read_text: Korean text is often stored so."""
    decoded = decode(data)
    text = _ESCAPES.sub(_unescaped, decoded.text)
    return Extraction((Extracted(text=normalise(text), kind="json", warnings=decoded.warnings),))


def _rows(text: str) -> list[list[str]]:
    """The rows of a table with separators; none where quotation marks or lengths say that it is not one."""
    delimiter = max(_DELIMITERS, key=text[:_SAMPLE].count)
    try:
        rows = list(csv.reader(StringIO(text), delimiter=delimiter))
    except csv.Error:
        return []
    open_quotes = any(cell.count("\n") > _LONGEST_CELL for row in rows for cell in row)
    return [] if open_quotes or max(map(len, rows), default=0) < 2 else rows


def _unescaped(match: re.Match[str]) -> str:
    units = bytes.fromhex(match.group().replace("\\u", ""))
    text = units.decode("utf-16-be", errors="replace")
    # A quotation mark or a control character has to stay escaped, or the line is no JSON any more.
    return text if all(character >= "\xa0" for character in text) else match.group()


_MODIFIERS = (
    r"(?:(?:public|private|protected|internal|static|final|abstract|sealed|async|export|default|override|open|virtual"
    r"|inline|extern|unsafe|const|pub(?:\([^)]*\))?|partial|data|suspend|declare)\s+)*"
)
_NAMED = re.compile(
    rf"^([ \t]*){_MODIFIERS}"
    r"(class|interface|enum|struct|trait|impl|namespace|module|object|record|protocol|extension|function|func|fun|fn|def"
    r"|defmodule|defp|sub|proc)\b\*?\s+((?:\([^)]*\)\s*)?[\w$.:<>?!]+)",
    re.MULTILINE,
)
# A function in C, C++, Java or C#: a type, a name, an argument list, and no semicolon behind it.
_TYPED = re.compile(
    rf"^([ \t]*){_MODIFIERS}(?!(?:return|else|new|throw|case|typedef|using|if|while|for|switch)\b)"
    r"[\w:<>,\[\]]+[ \t*&]+(?!(?:if|while|for|switch)\b)(~?[\w:]+)[ \t]*\([^;{}()]*\)[^;{}()=]*\{",
    re.MULTILINE,
)
_OTHERS = {
    ".sql": re.compile(
        r"^([ \t]*)create\s+(?:or\s+replace\s+)?(?:\w+\s+)?(table|view|function|procedure|trigger|index)\s+"
        r"(?:if\s+not\s+exists\s+)?([\w.\"`\[\]]+)",
        re.MULTILINE | re.IGNORECASE,
    ),
    ".r": re.compile(r"^([ \t]*)()([\w.]+)[ \t]*(?:<-|=)[ \t]*function\b", re.MULTILINE),
}
_SHELL = re.compile(r"^([ \t]*)(?:function[ \t]+)?()([\w:-]+)[ \t]*\(\)", re.MULTILINE)
_OTHERS |= dict.fromkeys((".sh", ".bash", ".zsh"), _SHELL)
_TYPED_SUFFIXES = frozenset(str.split(".c .cc .cpp .cxx .h .hh .hpp .hxx .java .cs .m .mm .dart"))
_NOT_CODE_STRUCTURE = frozenset((".css", ".scss", ".sass", ".less"))
_INDENT = 4


def read_code(data: bytes, path: str) -> Extraction:
    """Source code; a nested definition's level is its depth of indentation."""
    decoded = decode(data)
    text = normalise(decoded.text)
    headings = _definitions(text, splitext(path)[1].lower())
    return Extraction((Extracted(text, "code", headings=headings, warnings=decoded.warnings),))


def _definitions(text: str, suffix: str) -> tuple[Heading, ...]:
    if suffix in _NOT_CODE_STRUCTURE:
        return ()
    found: dict[int, Heading] = {}
    for match in _OTHERS.get(suffix, _NAMED).finditer(text):
        found[match.start()] = _heading(match.start(), match[1], f"{match[2]} {match[3]}".rstrip(":"))
    if suffix in _TYPED_SUFFIXES:
        for match in _TYPED.finditer(text):
            found.setdefault(match.start(), _heading(match.start(), match[1], match[2]))
    return tuple(found[start] for start in sorted(found))


def _heading(start: int, indent: str, title: str) -> Heading:
    depth = len(indent.expandtabs(_INDENT)) // _INDENT
    return Heading(start, depth + 1, " ".join(title.split()))


_LONGEST_OUTPUT = 2000
"""Characters of what a cell printed: enough for a result, too little for a log or a dump of data."""


def read_notebook(data: bytes, path: str) -> Extraction:
    """A notebook of format 3 or 4."""
    decoded = decode(data)
    try:
        notebook = json.loads(decoded.text)
    except ValueError as error:
        raise ExtractError(Reason.BROKEN, f"a broken notebook: {error}") from error
    sheets = notebook.get("worksheets") or [notebook]
    builder = TextBuilder()
    for cell in (cell for sheet in sheets for cell in sheet.get("cells", ())):
        source = _joined(cell.get("source", cell.get("input", "")))
        start = builder.add(source)
        if cell.get("cell_type") == "markdown":
            written = builder.text[start:]
            builder.mark([Heading(start + h.start, h.level, h.title) for h in markdown_headings(written)])
        for output in cell.get("outputs", ()):
            builder.add(_printed(output))
    return Extraction((builder.document("notebook", warnings=decoded.warnings),))


def _printed(output: dict[str, Any]) -> str:
    text = output.get("text") or output.get("data", {}).get("text/plain", "")
    return _joined(text)[:_LONGEST_OUTPUT]


def _joined(lines: Any) -> str:
    return "".join(lines) if isinstance(lines, list) else str(lines)


# Markdown, reStructuredText, AsciiDoc, Org, LaTeX: the text stays as it is, line by line; titles become headings.

_ATX = re.compile(r" {0,3}(#{1,6})(?:[ \t]+(.*?))?(?:[ \t]+#+)?[ \t]*$")
_FENCE = re.compile(r" {0,3}(`{3,}|~{3,})(.*)$")
_SETEXT = re.compile(r" {0,3}(=+|-+)[ \t]*$")
_NOT_A_PARAGRAPH = re.compile(r"[ \t]*$| {4}|\t| {0,3}(?:[-+*>|]|\d{1,9}[.)])(?:\s|$)| {0,3}[#|<]")
_INLINE = re.compile(r"!?\[([^\]]*)\]\([^)]*\)|(\*\*|__|`+)(.+?)\2|\s*\{#[\w-]+\}\s*$|<[^>]+>")
_YAML_LINE = re.compile(r"([\w-]+):[ \t]+(.*)")
_ADORNMENT = re.compile(r"([!-/:-@\[-`{-~])\1{2,}[ \t]*$")
_FIELD = re.compile(r":(\w+):[ \t]+(.*)")

_ORG = re.compile(
    r"(\*+)[ \t]+(?:(?:TODO|DONE|NEXT|WAIT(?:ING)?|CANCELL?ED)[ \t]+)?(?:\[#\w\][ \t]+)?"
    r"(.*?)[ \t]*(?::[\w@#%:]+:)?[ \t]*$"
)
_ORG_TITLE = re.compile(r"^#\+title:[ \t]*(\S.*)$", re.IGNORECASE | re.MULTILINE)
_ASCIIDOC = re.compile(r"(={1,6})[ \t]+(\S.*?)(?:[ \t]+=+)?[ \t]*")
_ASCIIDOC_FENCE = re.compile(r"(-{4,}|\.{4,}|={4,}|\*{4,}|_{4,}|\+{4,}|/{4,}|`{3,})[ \t]*")
_LATEX_LEVELS = {"part": 1, "chapter": 2, "section": 3, "subsection": 4, "subsubsection": 5, "paragraph": 6}
_BRACED = r"\{((?:[^{}]|\{(?:[^{}]|\{[^{}]{0,300}\}){0,300}\}){0,1000})\}"
_LATEX = re.compile(rf"^[ \t]*\\({'|'.join(_LATEX_LEVELS)})\*?(?:\[[^\]]{{0,300}}\])?\s*{_BRACED}", re.MULTILINE)
_LATEX_TITLE = re.compile(rf"^[ \t]*\\title(?:\[[^\]]{{0,300}}\])?\s*{_BRACED}", re.MULTILINE)

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


def read_org(data: bytes, path: str) -> Extraction:
    """Org mode: headlines by their stars, without keywords and tags."""
    return _marked(data, "org", _org_headings, _ORG_TITLE)


def read_asciidoc(data: bytes, path: str) -> Extraction:
    """AsciiDoc: section titles; the document's own is its title."""
    return _marked(data, "asciidoc", _asciidoc_headings, None)


def read_latex(data: bytes, path: str) -> Extraction:
    """LaTeX: the commands of its sections; the text stays as it is."""
    return _marked(data, "latex", _latex_headings, _LATEX_TITLE)


def _marked(
    data: bytes, kind: str, find: Callable[[str, Lines], Iterator[Heading]], stated: re.Pattern[str] | None
) -> Extraction:
    decoded = decode(data)
    text = normalise(decoded.text)
    headings = tuple(find(text, _lines(text)))
    own = stated.search(text) if stated else None
    title = _latex_plain(own[1]) if own else headings[0].title if headings else ""
    return Extraction((Extracted(text, kind, title, headings=headings, warnings=decoded.warnings),))


def _org_headings(text: str, lines: Lines) -> Iterator[Heading]:
    for start, line in lines:
        found = _ORG.match(line) if len(line) <= _LONGEST_TITLE else None
        if found and (title := " ".join(found[2].split())):
            yield Heading(start, len(found[1]), title)


def _asciidoc_headings(text: str, lines: Lines) -> Iterator[Heading]:
    fence = ""
    for start, line in lines:
        if found := _ASCIIDOC_FENCE.fullmatch(line):
            fence = "" if fence == found[1] else fence or found[1]
        elif not fence and len(line) <= _LONGEST_TITLE and (found := _ASCIIDOC.fullmatch(line)):
            yield Heading(start, len(found[1]), _plain_title(found[2]))


def _latex_headings(text: str, lines: Lines) -> Iterator[Heading]:
    for found in _LATEX.finditer(text):
        if title := _latex_plain(found[2]):
            yield Heading(found.start(), _LATEX_LEVELS[found[1]], title)


def _latex_plain(title: str) -> str:
    """A title without commands and braces."""
    return " ".join(re.sub(r"\\[a-zA-Z]+\*?|[{}~]", " ", title.replace("\\\\", " ")).split())[:_LONGEST_TITLE]


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
