"""What is written in tags: web pages, EPUB books, subtitles, drawings, places, and any other XML."""

from __future__ import annotations

import base64
import binascii
import re
import zlib
from collections.abc import Iterator, Sequence
from contextlib import suppress
from html import unescape
from html.entities import html5
from posixpath import dirname, join, normpath
from typing import Any
from urllib.parse import unquote, unquote_to_bytes
from xml.etree.ElementTree import Element

from kosearch.extract.containers import Package, Parts, attribute, element_properties, local, parse_xml, standard
from kosearch.extract.pictures import add_pictures, packaged
from kosearch.extract.text import LINE, PARAGRAPH, Decoded, ExtractError, TextBuilder, decode, normalise, row_line
from kosearch.records import MAX_TITLE, Extracted, Extraction, Heading, Reason

# HTML pages and EPUB books: title, headings and main text, without navigation; the tree comes from selectolax.

_INLINE = re.compile(r"\s*data:image/[\w.+-]+;base64,", re.IGNORECASE)
_CHARSET = re.compile(rb"""<(?:meta|\?xml)[^>]*?(?:charset|encoding)\s*=\s*["']?\s*([\w.:-]+)""", re.IGNORECASE)
_NEVER = frozenset(
    str.split(
        "script style template noscript svg math iframe object embed canvas audio video map head button"
        " select datalist input textarea dialog"
    )
)
_NAVIGATION = frozenset(("nav", "menu"))
_MARGINS = frozenset(("aside", "footer"))
"""Navigation beside and below a page; content where they belong to an article."""
_ARTICLES = frozenset(("main", "article", "blockquote"))
_NAVIGATION_ROLES = frozenset(str.split("navigation banner contentinfo search complementary menu menubar dialog"))
_BLOCKS = frozenset(
    str.split(
        "address article aside blockquote body caption center dd details div dl dt fieldset figcaption figure"
        " footer form h1 h2 h3 h4 h5 h6 header hgroup hr html legend li main menu nav ol p pre section"
        " summary table tbody tfoot thead tr ul"
    )
)
_HEADINGS = {f"h{level}": level for level in range(1, 7)}
_SPACES = re.compile(r"[ \t\r\n\f]+")
_HIDDEN_STYLE = re.compile(r"display\s*:\s*none|visibility\s*:\s*hidden", re.IGNORECASE)
_META = {
    "author": "author",
    "article:author": "author",
    "dc.creator": "author",
    "date": "created",
    "article:published_time": "created",
    "dc.date": "created",
    "article:modified_time": "modified",
    "last-modified": "modified",
}
_MOST_SPANNED = 1000
# Main text shorter than this share of the page's means that navigation was taken for more than it is.
_LEAST_SHARE = 0.2


def read_html(data: bytes, path: str) -> Extraction:
    """One HTML page."""
    return Extraction((page(data, pictures=True),))


def page(data: bytes, *, declared: str = "", whole: bool = False, pictures: bool = False) -> Extracted:
    """The page in these bytes, decoded by byte order mark, UTF-8, what is declared for it or in it, then the chain.

    The `whole` of a page is content where it is a chapter of a book. With `pictures`, those that stand in the markup
    itself are read.
    """
    found = _CHARSET.search(data[:4096])
    decoded = decode(data, declared=declared or (found[1].decode("ascii") if found else ""))
    return from_text(decoded.text, warnings=decoded.warnings, whole=whole, pictures=pictures)


def from_text(html: str, *, warnings: tuple[str, ...] = (), whole: bool = False, pictures: bool = False) -> Extracted:
    """The page in this markup."""
    from selectolax.lexbor import LexborHTMLParser

    tree: Any = LexborHTMLParser(html)
    everything = _render(tree.body or tree.root, skip_navigation=False)
    builder = everything if whole else _render(tree.body or tree.root, skip_navigation=True)
    if builder.length < everything.length * _LEAST_SHARE:
        builder = everything
    if pictures:
        add_pictures(builder, _inline(tree))
    title_node = tree.css_first("title")
    return builder.document(
        "html",
        title=title_node.text() if title_node else "",
        metadata=_metadata(tree),
        warnings=warnings,
    )


def _inline(tree: Any) -> Iterator[bytes]:
    """The pictures whose bytes stand in the markup (RFC 2397)."""
    for node in tree.css("img"):
        if found := _INLINE.match(node.attributes.get("src") or ""):
            with suppress(ValueError):
                yield binascii.a2b_base64(unquote_to_bytes(found.string[found.end() :]))


def _metadata(tree: Any) -> dict[str, str]:
    fields: dict[str, str] = {}
    for node in tree.css("meta"):
        name = node.attributes.get("name") or node.attributes.get("property") or ""
        if key := _META.get(name.lower()):
            fields.setdefault(key, node.attributes.get("content") or "")
    root = tree.css_first("html")
    fields["language"] = (root.attributes.get("lang") or "") if root else ""
    return standard(fields)


class _Page:
    """Turns a walk through the tree into blocks: inline text gathers until a block begins or ends."""

    def __init__(self) -> None:
        self.builder = TextBuilder()
        self._inline: list[str] = []
        self._gap = PARAGRAPH
        self._bullet = ""
        self._cells: list[str] | None = None
        self._span = (1, 1)
        self._spanned: dict[int, tuple[int, str]] = {}
        """Column → in how many rows from this one on a cell from above goes on, and its text…"""
        self._below: dict[int, tuple[int, str]] = {}
        """…and the same from the next row on."""
        self._preformatted = 0
        self._lists: list[_List] = []

    def enter(self, node: Any) -> None:
        tag = node.tag
        if tag in _BLOCKS or tag in ("td", "th"):
            self.flush()
        if tag == "li":
            self._bullet = self._lists[-1].marker(node) if self._lists else "- "
        elif tag in ("td", "th"):
            self._span = (_number(node, "rowspan"), _number(node, "colspan"))
        elif tag == "tr" and not _lays_out(node):
            self._cells = []
            self._spanned, self._below = self._below, {}
        elif tag == "pre":
            self._preformatted += 1
        elif tag == "br":
            self._inline.append("\n")
        elif tag in ("ul", "ol"):
            self._gap = LINE if self._lists else PARAGRAPH
            self._lists.append(_List(node))
        elif tag == "table":
            self._gap = PARAGRAPH
            self._spanned, self._below = {}, {}

    def leave(self, tag: str) -> None:
        if tag in ("td", "th"):
            self._leave_cell()
        elif tag == "tr" and self._cells is not None:
            self._fill()
            cells, self._cells = self._cells, None
            if row := row_line(cells):
                self.builder.add(row, gap=self._gap)
                self._gap = LINE
        elif tag in _HEADINGS and self._cells is None:
            text = "".join(self._inline)
            self._inline.clear()
            self.builder.heading(text, _HEADINGS[tag])
            self._gap = PARAGRAPH
        elif tag in _BLOCKS:
            self.flush()
        if tag == "pre":
            self._preformatted -= 1
        elif tag == "li":
            self._bullet = ""
        elif tag in ("ul", "ol") and self._lists:
            self._lists.pop()

    def text(self, text: str) -> None:
        self._inline.append(text if self._preformatted else _SPACES.sub(" ", text))

    def flush(self) -> None:
        if self._cells is not None:  # blocks within a cell are one line, as its row is
            self._inline.append(" ")
            return
        text = "".join(self._inline)
        self._inline.clear()
        if not self._preformatted:
            text = "\n".join(line.strip() for line in text.split("\n")).strip()
        if text.strip():
            self.builder.add(self._bullet + text, gap=self._gap if self._bullet else PARAGRAPH)
            self._gap = LINE if self._bullet else PARAGRAPH
            self._bullet = ""

    def _leave_cell(self) -> None:
        if self._cells is None:
            self.flush()
            return
        text = " ".join("".join(self._inline).split())
        self._inline.clear()
        self._fill()
        down, across = self._span
        if down > 1:
            self._below |= {len(self._cells) + column: (down - 1, text * (not column)) for column in range(across)}
        self._cells += [text, *[""] * (across - 1)]

    def _fill(self) -> None:
        """Add the cells of rows above that go on in this one, up to the next free column."""
        while self._cells is not None and (found := self._spanned.pop(len(self._cells), None)):
            rows, text = found
            if rows > 1:
                self._below[len(self._cells)] = (rows - 1, text)
            self._cells.append(text)


def _number(node: Any, name: str, default: int = 1) -> int:
    """A small number among a node's attributes."""
    found = re.match(r"\s*(-?\d{1,6})", node.attributes.get(name) or "")
    number = int(found[1]) if found else default
    return number if name in ("start", "value") else min(max(number, 1), _MOST_SPANNED)


class _List:
    """What stands before the items of a list: a hyphen, or numbers that count on from what an item states."""

    def __init__(self, node: Any) -> None:
        self._kind = (node.attributes.get("type") or "1") if node.tag == "ol" else ""
        self._step = -1 if "reversed" in node.attributes else 1
        items = sum(child.tag == "li" for child in node.iter()) if self._step < 0 else 1
        self._next = _number(node, "start", items)

    def marker(self, item: Any) -> str:
        if not self._kind:
            return "- "
        number = _number(item, "value", self._next)
        self._next = number + self._step
        return f"{_ordinal(number, self._kind)}. "


def _ordinal(number: int, kind: str) -> str:
    if kind in ("a", "A") and 0 < number <= 26:
        return chr(ord(kind) + number - 1)
    if kind in ("i", "I") and 0 < number < 40:
        roman = "X" * (number // 10) + ("", "I", "II", "III", "IV", "V", "VI", "VII", "VIII", "IX")[number % 10]
        return roman if kind == "I" else roman.lower()
    return str(number)


def _lays_out(row: Any) -> bool:
    """Whether the row's table only lays out the page: tables stand within its cells."""
    return row.css_first("table") is not None


def _render(root: Any, *, skip_navigation: bool) -> TextBuilder:
    page = _Page()
    for node, entering in _walk(root, skip_navigation):
        if node.tag == "-text":
            page.text(node.text_content or "")
        elif entering:
            page.enter(node)
        else:
            page.leave(node.tag)
    page.flush()
    return page.builder


def _walk(root: Any, skip_navigation: bool) -> Iterator[tuple[Any, bool]]:
    """Every node twice, on entering and on leaving; no recursion, since pages nest thousands deep."""
    stack = [(root, True)]
    while stack:
        node, entering = stack.pop()
        yield node, entering
        if not entering or node.tag == "-text":
            continue
        stack.append((node, False))
        child = node.last_child
        while child is not None:
            if not _left_out(child, skip_navigation):
                stack.append((child, True))
            child = child.prev


def _within_article(node: Any) -> bool:
    """Whether an aside or footer belongs to an article, or is a note of a book."""
    above = node.parent
    while above is not None:
        if above.tag in _ARTICLES:
            return True
        above = above.parent
    return "epub:type" in node.attributes or (node.attributes.get("role") or "").startswith("doc-")


def _left_out(node: Any, skip_navigation: bool) -> bool:
    tag = node.tag
    if tag == "-text":
        return False
    if tag in _NEVER or tag.startswith(("-", "!", "_")):
        return True
    attributes = node.attributes
    if "hidden" in attributes or _HIDDEN_STYLE.search(attributes.get("style") or ""):
        return True
    return skip_navigation and (
        tag in _NAVIGATION
        or (tag in _MARGINS and not _within_article(node))
        or attributes.get("aria-hidden") == "true"
        or (attributes.get("role") or "").lower() in _NAVIGATION_ROLES
    )


_CONTAINER = "META-INF/container.xml"


def read_epub(data: bytes, path: str) -> Extraction:
    """An EPUB 2 or 3 book; the titles of its table of contents are headings."""
    package = Package(data)
    opf = _package_document(package)
    root = parse_xml(package.read(opf))
    items = {attribute(item, "id"): item for item in _named(root, "item")}
    places = {name: _place_of(opf, attribute(item, "href"))[0] for name, item in items.items()}
    contents = _contents(package, [places[name] for name, item in items.items() if _holds_contents(item)])
    builder = TextBuilder()
    warnings = []
    for chapter in _named(root, "itemref"):
        name = attribute(chapter, "idref")
        place = places.get(name, "")
        if "nav" in attribute(items[name], "properties").split() if name in items else not place:
            continue
        if place in package:
            _add_chapter(builder, page(package.read(place), whole=True, pictures=True), contents.get(place, ()))
        else:
            warnings.append(f"a chapter is missing: {place}")
    if not builder.length and "META-INF/encryption.xml" in package:
        raise ExtractError(Reason.DRM, "protected by DRM: only its own program opens it")
    add_pictures(builder, packaged(package))
    title, metadata = element_properties(root)
    return Extraction((builder.document("epub", title=title, metadata=metadata, warnings=warnings),))


def _add_chapter(builder: TextBuilder, chapter: Extracted, titles: Sequence[tuple[int, str]]) -> None:
    """Add a chapter; titles that its own headings do not have stand where its text has them, else at its start."""
    start = builder.append(chapter)
    own = {_letters(heading.title) for heading in chapter.headings}
    after = start
    found = []
    for level, title in titles:
        if _letters(title) in own:
            continue
        pattern = r"\s*".join(map(re.escape, "".join(title.split())))
        match = re.compile(pattern).search(builder.text, after) if len(title) <= MAX_TITLE else None
        after = match.start() if match else after
        found.append(Heading(after, level, title))
    if builder.length > start:
        builder.mark(found)


def _letters(title: str) -> str:
    return "".join(title.split())


def _holds_contents(item: Element) -> bool:
    return "nav" in attribute(item, "properties").split() or attribute(item, "media-type") == "application/x-dtbncx+xml"


def _contents(package: Package, places: Sequence[str]) -> dict[str, list[tuple[int, str]]]:
    """By chapter, the levels and titles of the table of contents: the newer form, if it has any, else the older."""
    for place in sorted(places, key=lambda place: place.endswith(".ncx")):
        try:
            root = parse_xml(package.read(place))
        except ExtractError:
            continue
        found: dict[str, list[tuple[int, str]]] = {}
        for level, title, reference in _ncx(root, 0) if local(root) == "ncx" else _nav(root):
            target, _ = _place_of(place, reference)
            if title and title not in (known for _, known in found.get(target, ())):
                found.setdefault(target, []).append((level, title))
        if found:
            return found
    return {}


def _ncx(element: Element, level: int) -> Iterator[tuple[int, str, str]]:
    for point in element:
        if local(point) == "navPoint":
            label = next((one for one in point if local(one) == "navLabel"), None)
            content = next((one for one in point if local(one) == "content"), None)
            if label is not None and content is not None:
                yield level + 1, " ".join("".join(label.itertext()).split()), attribute(content, "src")
            yield from _ncx(point, level + 1)
        elif local(point) == "navMap":
            yield from _ncx(point, level)


def _nav(root: Element) -> Iterator[tuple[int, str, str]]:
    tables = [one for one in _named(root, "nav") if attribute(one, "type") in ("toc", "")]
    for table in tables[:1]:
        yield from _nav_items(table, 0)


def _nav_items(element: Element, level: int) -> Iterator[tuple[int, str, str]]:
    for child in element:
        if local(child) == "a":
            yield max(level, 1), " ".join("".join(child.itertext()).split()), attribute(child, "href")
        else:
            yield from _nav_items(child, level + (local(child) == "ol"))


def _place_of(base: str, reference: str) -> tuple[str, str]:
    """The file that a reference in another one leads to, and the place in it."""
    file, _, fragment = reference.partition("#")
    return normpath(join(dirname(base), unquote(file))), fragment


def _package_document(package: Package) -> str:
    for element in _named(parse_xml(package.read(_CONTAINER)), "rootfile"):
        if place := attribute(element, "full-path"):
            return place
    raise ExtractError(Reason.BROKEN, "an EPUB that does not name its contents")


def _named(root: Element, name: str) -> list[Element]:
    return [element for element in root.iter() if local(element) == name]


_TIMING = re.compile(r"\s*(?:\d+:)?\d{1,2}:\d\d[.,]\d{1,3}\s*-->\s*(?:\d+:)?\d{1,2}:\d\d[.,]\d{1,3}.*")
_TAG = re.compile(r"</?[a-zA-Z][^<>]{0,200}>|<\d[\d:.]*>|\{\\[^{}]*\}")
_SYNC = re.compile(r"<sync\b[^>]*>", re.IGNORECASE)
_LANGUAGE = re.compile(r"<p\b[^>]*\bclass\s*=\s*[\"']?(\w+)", re.IGNORECASE)
_SAMI = re.compile(r"\A\s*(?:<\?xml[^>]*>\s*)?<sami\b", re.IGNORECASE)


def read_subtitles(data: bytes, path: str) -> Extraction:
    """SubRip, WebVTT and SAMI: what is said, a line a cue, without numbers and times."""
    decoded = decode(data)
    if _SAMI.match(decoded.text):
        return Extraction((_sami(decoded),))
    cues = []
    for block in re.split(r"\n[ \t]*\n", normalise(decoded.text).strip()):
        lines = block.split("\n")
        timed = next((number for number, line in enumerate(lines) if _TIMING.fullmatch(line)), None)
        if timed is not None:
            cues.append("\n".join(_TAG.sub("", line).strip() for line in lines[timed + 1 :]))
        elif not re.match(r"WEBVTT|NOTE\b|STYLE\b|REGION\b", block):
            cues.append(block)
    return Extraction((_spoken(cues, decoded),))


def _sami(decoded: Decoded) -> Extracted:
    """Each language of the film by itself."""
    languages: dict[str, list[str]] = {}
    for cue in _SYNC.split(decoded.text)[1:]:
        starts = [found.start() for found in re.finditer(r"<p\b", cue, re.IGNORECASE)] or [0]
        for start, end in zip(starts, [*starts[1:], len(cue)], strict=True):
            language = found[1].lower() if (found := _LANGUAGE.match(cue[start:end])) else ""
            languages.setdefault(language, []).append(" ".join(from_text(cue[start:end]).text.split()))
    return _spoken([cue for cues in languages.values() for cue in [*cues, ""]], decoded)


def _spoken(cues: list[str], decoded: Decoded) -> Extracted:
    text = "\n".join(
        cue for number, cue in enumerate(cues) if cue.strip() and cue != (cues[number - 1] if number else "")
    )
    return Extracted(normalise(text), "subtitles", warnings=decoded.warnings)


# XML files as what they say: books (FB2), drawings (SVG, draw.io), places (KML), and any other, without their tags.

_DECLARATION = re.compile(r"\A\s*<\?xml[^>]*\?>")
_ENCODING = re.compile(rb"""<\?xml[^>]*?encoding\s*=\s*["']([\w.:-]+)""")
_DOCTYPE = re.compile(r"<!DOCTYPE[^\[>]*(?:\[.*?\]\s*)?>", re.DOTALL)
_ENTITY = re.compile(r"""<!ENTITY\s+([^\s%"']{1,60})\s+(?:"([^"&%]{0,1000})"|'([^'&%]{0,1000})')\s*>""")
_REFERENCE = re.compile(r"&([^\s;&#]{1,60});")
_XML_NAMES = frozenset(("amp", "lt", "gt", "quot", "apos"))
_MOST_GROWTH = 4
_MARKUP = re.compile(r"<(?:/?[a-zA-Z][\w-]*|!--)[^<>]*>")
_HUMAN = re.compile(r"[가-힣]|[^\W\d_]{2,} +[^\W\d_]{2,}")
_WORD = re.compile(r"[^\W\d_]{2}")
_DEEPEST_HEADING = 6
_LARGEST_DIAGRAM = 64 << 20


def read_xml(data: bytes, path: str) -> Extraction:
    """An XML file; one that is not well-formed is text as it stands."""
    found = _ENCODING.search(data[:1024])
    decoded = decode(data, declared=found[1].decode("ascii") if found else "")
    try:
        root = parse_xml(_standing_alone(decoded.text).encode("utf-8", "surrogatepass"))
    except ExtractError:
        return Extraction((_as_it_stands(decoded),))
    builder = TextBuilder()
    title, metadata = {"FictionBook": _fiction, "svg": _svg, "mxfile": _diagrams, "kml": _places}.get(
        local(root), _any
    )(builder, root)
    if not builder.length:
        return Extraction((_as_it_stands(decoded),))
    return Extraction((builder.document("xml", title=title, metadata=metadata, warnings=decoded.warnings),))


def _as_it_stands(decoded: Decoded) -> Extracted:
    return Extracted(normalise(decoded.text), "xml", warnings=decoded.warnings)


def _standing_alone(text: str) -> str:
    """The document without what it declares: its encoding is read, its own short entities and those of HTML are put in
    their places. Entities made of others, which grow without end, stay what a parser refuses."""
    text = _DECLARATION.sub("", text, count=1)
    doctype = _DOCTYPE.search(text)
    own = {name: one or other for name, one, other in _ENTITY.findall(doctype[0])} if doctype else {}
    bare = _DOCTYPE.sub("", text, count=1) if doctype else text
    most = _MOST_GROWTH * len(text) + 10_000

    def put(match: re.Match[str]) -> str:
        nonlocal most
        name = match[1]
        value = own.get(name)
        if name in _XML_NAMES:
            return match[0]
        if value is None:
            value = html5.get(f"{name};", match[0])
        most -= len(value)
        return value if most > 0 else match[0]

    return _REFERENCE.sub(put, bare)


Stated = tuple[str, dict[str, str]]


def _any(builder: TextBuilder, root: Element) -> Stated:
    """Values and running text, a line each; what stands in attributes where it is written for people."""
    for text, gap in _values(root):
        builder.add(text, gap=gap)
    return "", {}


def _values(element: Element) -> Iterator[tuple[str, str]]:
    stack = [(element, PARAGRAPH)]
    while stack:
        one, gap = stack.pop()
        mixed = (one.text or "").strip() or any((child.tail or "").strip() for child in one)
        named = [
            value
            for key, value in one.attrib.items()
            if "xmlns" not in key and "schemaLocation" not in key
            if _HUMAN.search(value) or (not len(one) and not mixed and _WORD.search(value))
        ]
        for value in named:
            yield _readable(value), gap
            gap = LINE
        if mixed:
            yield _readable(" ".join("".join(one.itertext()).split()) if len(one) else (one.text or "").strip()), gap
        else:
            leaf = LINE if all(not len(child) for child in one) else PARAGRAPH
            stack += [(child, leaf if number else gap) for number, child in reversed(list(enumerate(one)))]


def _readable(value: str) -> str:
    """A value; one that is markup itself, as what that shows."""
    if not _MARKUP.search(value):
        return unescape(value) if "&" in value else value
    return from_text(value).text or value


def _svg(builder: TextBuilder, root: Element) -> Stated:
    """Its texts, and what it says of itself."""
    title = ""
    for element in root.iter():
        name = local(element)
        if name in ("title", "desc", "text"):
            text = " ".join("".join(element.itertext()).split())
            builder.add(text, gap=LINE if builder.length else PARAGRAPH)
            title = title or (text if name == "title" else "")
    return title, {}


def _diagrams(builder: TextBuilder, root: Element) -> Stated:
    """The pages of draw.io, packed or not; their cells hold HTML."""
    for number, diagram in enumerate((one for one in root.iter() if local(one) == "diagram"), 1):
        label = attribute(diagram, "name")
        builder.page(number, label)
        if label:
            builder.heading(label, 1)
        model = diagram if len(diagram) else _unpacked(diagram.text or "")
        for cell in model.iter() if model is not None else ():
            value = attribute(cell, "value") or attribute(cell, "label")
            if value:
                builder.add(_readable(value), gap=LINE)
    return "", {}


def _unpacked(text: str) -> Element | None:
    """What draw.io packs: base64 of raw deflate of a URL-encoded model."""
    try:
        stream = zlib.decompressobj(-15)
        packed = stream.decompress(base64.b64decode(text), _LARGEST_DIAGRAM)
        return parse_xml(unquote(packed.decode("utf-8", "replace")).encode())
    except (ValueError, zlib.error, ExtractError):
        return None


def _places(builder: TextBuilder, root: Element) -> Stated:
    """Names and descriptions of folders and places."""
    title = ""
    for element in root.iter():
        if local(element) not in ("Document", "Folder", "Placemark", "GroundOverlay"):
            continue
        fields = {local(child): (child.text or "").strip() for child in element}
        title = title or fields.get("name", "")
        if fields.get("name"):
            builder.heading(fields["name"], {"Document": 1, "Folder": 2}.get(local(element), 3))
        for name in ("address", "phoneNumber", "Snippet", "description"):
            if fields.get(name):
                builder.add(_readable(fields[name]), gap=LINE)
        for data in (one for one in element if local(one) == "ExtendedData"):
            for pair in data:
                value = " ".join("".join(pair.itertext()).split())
                builder.add(f"{attribute(pair, 'name')}: {value}" if value else "", gap=LINE)
    return title, {}


def _fiction(builder: TextBuilder, root: Element) -> Stated:
    """A book of FictionBook 2: sections with their titles; notes stand in a body of their own."""
    stated = next((one for one in root.iter() if local(one) == "title-info"), None)
    for body in (one for one in root if local(one) == "body"):
        _section(builder, body, 1)
    if stated is None:
        return element_properties(root)
    fields = {local(one): " ".join("".join(one.itertext()).split()) for one in stated}
    return fields.get("book-title", ""), standard(
        {"author": fields.get("author", ""), "date": fields.get("date", ""), "lang": fields.get("lang", "")}
    )


def _section(builder: TextBuilder, element: Element, level: int) -> None:
    for child in element:
        name = local(child)
        text = " ".join("".join(child.itertext()).split())
        if name == "title":
            builder.heading(text, min(level, _DEEPEST_HEADING))
        elif name in ("section", "poem", "cite", "epigraph", "stanza"):
            _section(builder, child, level + 1)
        elif name not in ("image", "empty-line"):
            builder.add(text)


def read_office(data: bytes, path: str) -> Extraction:
    """Documents of Office and OpenDocument in a single XML file: flat OPC, WordML, SpreadsheetML, FODT, FODS, FODP."""
    from kosearch.extract import docx, drawing, opendocument, xls

    root = parse_xml(data)
    name = local(root)
    if name == "wordDocument":
        return docx.read_wordml(root)
    if name == "Workbook":
        return xls.read_xml(root)
    if name == "document":
        return opendocument.read_flat(root)
    parts = Parts.of_flat(root)
    stated = parts.xml("docProps/core.xml")
    fields = element_properties(stated) if stated is not None else ("", {})
    return (drawing.read_parts if "ppt/presentation.xml" in parts else docx.read_parts)(parts, fields)
