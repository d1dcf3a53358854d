"""HTML pages and EPUB books: title, headings and main text, without navigation; the tree comes from selectolax."""

from __future__ import annotations

import re
from collections.abc import Iterator
from posixpath import dirname, join, normpath
from typing import Any
from urllib.parse import unquote
from xml.etree.ElementTree import Element

from kosearch.extract import ExtractError
from kosearch.extract.builder import LINE, PARAGRAPH, TextBuilder
from kosearch.extract.containers import Package, attribute, element_properties, local, parse_xml, standard
from kosearch.extract.decoding import decode
from kosearch.records import Extracted, Extraction, Reason

_CHARSET = re.compile(rb"""<(?:meta|\?xml)[^>]*?(?:charset|encoding)\s*=\s*["']?\s*([\w.:-]+)""", re.IGNORECASE)
_NEVER = frozenset(
    str.split(
        "script style template noscript svg math iframe object embed canvas audio video map head button"
        " select datalist input textarea dialog"
    )
)
_NAVIGATION = frozenset(("nav", "aside", "footer", "menu"))
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
# Main text shorter than this share of the page's means that navigation was taken for more than it is.
_LEAST_SHARE = 0.2


def read_html(data: bytes, path: str) -> Extraction:
    """One HTML page."""
    return Extraction((page(data),))


def page(data: bytes, *, declared: str = "") -> Extracted:
    """The page in these bytes, decoded by byte order mark, UTF-8, what is declared for it or in it, then the chain."""
    found = _CHARSET.search(data[:4096])
    decoded = decode(data, declared=declared or (found[1].decode("ascii") if found else ""))
    return from_text(decoded.text, warnings=decoded.warnings)


def from_text(html: str, *, warnings: tuple[str, ...] = ()) -> Extracted:
    """The page in this markup."""
    from selectolax.lexbor import LexborHTMLParser

    tree: Any = LexborHTMLParser(html)
    builder = _render(tree.body or tree.root, skip_navigation=True)
    whole = _render(tree.body or tree.root, skip_navigation=False)
    if builder.length < whole.length * _LEAST_SHARE:
        builder = whole
    title_node = tree.css_first("title")
    return builder.document(
        "html",
        title=title_node.text() if title_node else "",
        metadata=_metadata(tree),
        warnings=warnings,
    )


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
        self._preformatted = 0
        self._lists = 0

    def enter(self, node: Any) -> None:
        tag = node.tag
        if tag in _BLOCKS or tag in ("td", "th"):
            self.flush()
        if tag == "li":
            self._bullet = "- "
        elif tag == "tr" and not _lays_out(node):
            self._cells = []
        elif tag == "pre":
            self._preformatted += 1
        elif tag == "br":
            self._inline.append("\n")
        elif tag in ("ul", "ol"):
            self._gap = LINE if self._lists else PARAGRAPH
            self._lists += 1
        elif tag == "table":
            self._gap = PARAGRAPH

    def leave(self, tag: str) -> None:
        if tag in ("td", "th"):
            self._leave_cell()
        elif tag == "tr" and self._cells is not None:
            cells, self._cells = self._cells, None
            if any(cells):
                self.builder.add(" | ".join(cells), gap=self._gap)
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
        elif tag in ("ul", "ol"):
            self._lists -= 1

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
        else:
            self._cells.append(" ".join("".join(self._inline).split()))
            self._inline.clear()


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
        or attributes.get("aria-hidden") == "true"
        or (attributes.get("role") or "").lower() in _NAVIGATION_ROLES
    )


_CONTAINER = "META-INF/container.xml"


def read_epub(data: bytes, path: str) -> Extraction:
    """An EPUB 2 or 3 book."""
    package = Package(data)
    opf = _package_document(package)
    root = parse_xml(package.read(opf))
    places = {
        attribute(item, "id"): normpath(join(dirname(opf), unquote(attribute(item, "href"))))
        for item in _named(root, "item")
        if "nav" not in attribute(item, "properties").split()
    }
    builder = TextBuilder()
    warnings = []
    for chapter in _named(root, "itemref"):
        place = places.get(attribute(chapter, "idref"), "")
        if place in package:
            builder.append(page(package.read(place)))
        elif place:
            warnings.append(f"a chapter is missing: {place}")
    if not builder.length and "META-INF/encryption.xml" in package:
        raise ExtractError(Reason.DRM, "protected by DRM: only its own program opens it")
    title, metadata = element_properties(root)
    return Extraction((builder.document("epub", title=title, metadata=metadata, warnings=warnings),))


def _package_document(package: Package) -> str:
    for element in _named(parse_xml(package.read(_CONTAINER)), "rootfile"):
        if place := attribute(element, "full-path"):
            return place
    raise ExtractError(Reason.BROKEN, "an EPUB that does not name its contents")


def _named(root: Element, name: str) -> list[Element]:
    return [element for element in root.iter() if local(element) == name]
