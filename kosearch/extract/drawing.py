"""What is drawn: charts, diagrams and equations of Office, and files that are drawn pages: slides, Visio, XPS."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from posixpath import dirname, join, normpath
from xml.etree.ElementTree import Element

from kosearch.extract.containers import Package, Parts, attribute, local, package_properties, parse_xml, relation
from kosearch.extract.numbers import PRIVATE, symbols, written
from kosearch.extract.pictures import add_picture
from kosearch.extract.text import LINE, PARAGRAPH, ExtractError, TextBuilder
from kosearch.records import Extraction, Reason

# What Office files draw: charts, diagrams, equations, and what is said about pictures.

# What programs write into the description of an object by themselves.
_MADE_DESCRIPTION = re.compile(
    r"(?:그림|사각형|타원|선|호|다각형|곡선|묶음 개체|표|수식|글상자|OLE 개체|차트|글맵시|개체|직선|연결선|동영상)"
    r"입니다\.?(?:\s*원본 그림의 이름:.*)?"
    r"|(?:\S+\.(?:png|jpe?g|gif|bmp|emf|wmf|tiff?)\s*)?(?:Picture|Image|그림)? ?\d*",
    re.IGNORECASE | re.DOTALL,
)
_MOST_POINTS = 5000


def description(text: str) -> str:
    """What a person wrote about a picture; "" for what a program did."""
    text = " ".join(text.split())
    return "" if _MADE_DESCRIPTION.fullmatch(text) else text


# --- charts -------------------------------------------------------------------------------------------------------


def chart(root: Element) -> tuple[str, list[list[str]]]:
    """A chart's title, and its table: the names of the series, then a row for each category."""
    title = next((" ".join(_texts(one)) for one in _titles(root)), "")
    rest = [" ".join(_texts(one)) for one in root.iter() if local(one) == "title"]
    axes = [text for text in rest if text and text != title]
    series = [_series(one) for one in root.iter() if local(one) in ("ser", "series") and len(one)]
    categories = max((names for _, names, _ in series), key=len, default=[])
    rows = [["", *(name for name, _, _ in series)]] if any(name for name, _, _ in series) else []
    for place in range(min(max((len(values) for _, _, values in series), default=0), _MOST_POINTS)):
        category = categories[place] if place < len(categories) else ""
        rows.append([category, *(values[place] if place < len(values) else "" for _, _, values in series)])
    return "\n".join([title, *axes] if title else axes), rows


def _titles(root: Element) -> Iterator[Element]:
    for element in root:
        if local(element) == "chart":
            yield from (child for child in element if local(child) == "title")


def _series(element: Element) -> tuple[str, list[str], list[str]]:
    name = ""
    categories: list[str] = []
    values: list[str] = []
    for child in element:
        kind = local(child)
        if kind == "tx":
            name = " ".join(_points(child)) or " ".join(_texts(child))
        elif kind in ("cat", "xVal"):
            categories = _points(child)
        elif kind in ("val", "yVal", "bubbleSize"):
            values = values or _points(child)
    return name, categories, values


def _points(element: Element) -> list[str]:
    """The cached points by their places; of several levels of names each point's path, outermost first."""
    levels: list[dict[int, str]] = []
    caches = [child for child in element.iter() if local(child) in ("lvl", "strCache", "numCache", "strLit", "numLit")]
    for cache in caches:
        points: dict[int, str] = {}
        for point in cache:
            if local(point) == "pt":
                text = next((value.text or "" for value in point if local(value) == "v"), "")
                index = attribute(point, "idx")
                points[int(index) if index.isdigit() else len(points)] = _plain_number(text.strip())
        levels.append(points)
    direct = [child.text or "" for child in element if local(child) == "v"]
    if not levels:
        return direct
    most = min(max((max(points, default=-1) for points in levels), default=-1), _MOST_POINTS) + 1
    paths: list[list[str]] = [[] for _ in range(most)]
    for points in reversed(levels):
        last = ""
        for place in range(most):
            last = points.get(place, last if points is not levels[0] else "")
            if last:
                paths[place].append(last)
    return [" ".join(path) for path in paths]


def _plain_number(text: str) -> str:
    """A number without the digits that binary fractions add."""
    if len(text) < 12:
        return text
    try:
        return f"{float(text):.12g}" if "e" not in text.lower() else text
    except ValueError:
        return text


# --- diagrams and other DrawingML text ------------------------------------------------------------------------------


def diagram(root: Element) -> list[str]:
    """The texts of a diagram's data model, one a shape."""
    points = (point for point in root.iter() if local(point) == "pt" and attribute(point, "type") != "pres")
    return [text for point in points if (text := "\n".join(_texts(point)))]


def _texts(element: Element) -> Iterator[str]:
    """The DrawingML paragraphs in an element."""
    for paragraph in element.iter():
        if local(paragraph) == "p" and (text := drawn_text(paragraph).strip()):
            yield text


def drawn_text(paragraph: Element) -> str:
    """The text of a DrawingML paragraph (ECMA-376 part 1, 21.1.2)."""
    parts = []
    for child in paragraph:
        kind = local(child)
        if kind in ("r", "fld"):
            font = next((attribute(one, "typeface") for one in child.iter() if local(one) == "sym"), "")
            text = "".join(one.text or "" for one in child if local(one) == "t")
            parts.append(symbols(text, font) if any(ord(character) in PRIVATE for character in text) else text)
        elif kind == "br":
            parts.append("\n")
        elif kind in ("m", "oMath", "oMathPara"):
            parts.append(equation(child))
        elif kind == "AlternateContent":
            parts.append(drawn_text(next((one for one in child if local(one) == "Choice"), child)))
    return "".join(parts)


# --- equations ------------------------------------------------------------------------------------------------------

_SIMPLE = re.compile(r"[^\W_]+|.?")


def equation(element: Element) -> str:
    """What an equation of Office shows, on one line: a/b, x^2, √(y) (ECMA-376 part 1, 22.1)."""
    kind = local(element)
    if kind == "t":
        return element.text or ""
    if kind.endswith("Pr") or kind in ("del", "ctrlPr"):
        return ""
    parts = {local(child): equation(child) for child in element}
    write = _EQUATIONS.get(kind)
    if kind == "d":
        inner = ", ".join(equation(child) for child in element if local(child) == "e")
        ends = {local(one): attribute(one, "val") for one in element.iter() if local(one) in ("begChr", "endChr")}
        return ends.get("begChr", "(") + inner + ends.get("endChr", ")")
    if kind == "nary":
        sign = next((attribute(one, "val") for one in element.iter() if local(one) == "chr"), "∫")
        limits = "".join(f"{mark}{_one(parts[end])}" for mark, end in (("_", "sub"), ("^", "sup")) if parts.get(end))
        return f"{sign}{limits} {parts.get('e', '')}"
    if kind == "mr":
        return " ".join(equation(child) for child in element if local(child) == "e")
    if kind in ("m", "eqArr"):
        return "; ".join(equation(child) for child in element if local(child) in ("mr", "e"))
    return write(parts) if write else "".join(equation(child) for child in element)


def _one(text: str) -> str:
    return text if _SIMPLE.fullmatch(text) else f"({text})"


_EQUATIONS: dict[str, Callable[[dict[str, str]], str]] = {
    "f": lambda part: f"{_one(part.get('num', ''))}/{_one(part.get('den', ''))}",
    "sSup": lambda part: f"{part.get('e', '')}^{_one(part.get('sup', ''))}",
    "sSub": lambda part: f"{part.get('e', '')}_{_one(part.get('sub', ''))}",
    "sSubSup": lambda part: f"{part.get('e', '')}_{_one(part.get('sub', ''))}^{_one(part.get('sup', ''))}",
    "rad": lambda part: f"{part.get('deg', '')}√{_one(part.get('e', ''))}",
    "func": lambda part: f"{part.get('fName', '')} {part.get('e', '')}",
    "limLow": lambda part: f"{part.get('e', '')}_{_one(part.get('lim', ''))}",
    "limUpp": lambda part: f"{part.get('e', '')}^{_one(part.get('lim', ''))}",
}


# PowerPoint, since 2007 (ECMA-376 part 1, 19 and 20): a page a slide, its title a heading, notes after their slide.

_TITLES = frozenset(("title", "ctrTitle"))
_FURNITURE = frozenset(("sldNum", "dt", "hdr", "sldImg"))
_LONGEST_TITLE = 150
_LONGEST_SPAN = 60
_DEEPEST = 60
_ONE_HEIGHT = 360_000
"""EMU, one centimetre: shapes whose upper edges differ less stand at one height."""
_SCHEME = re.compile(r"(alphaLc|alphaUc|arabicDb|arabic|circleNum|romanLc|romanUc|ea1\w{3,6}?)(?:Db|Wd\w*)?"
                     r"(Period|ParenR|ParenBoth|Minus|Plain)?")  # fmt: skip
_STYLES = {
    "alphaLc": "lowerLetter", "alphaUc": "upperLetter", "arabic": "decimal", "arabicDb": "decimalFullWidth",
    "circleNum": "decimalEnclosedCircle", "romanLc": "lowerRoman", "romanUc": "upperRoman",
}  # fmt: skip
_FORMS = {"Period": "{}.", "ParenR": "{})", "ParenBoth": "({})", "Minus": "{}-"}


def read_pptx(data: bytes, path: str) -> Extraction:
    """A presentation."""
    package = Package(data)
    return read_parts(Parts(package), package_properties(package))


def read_parts(parts: Parts, stated: tuple[str, dict[str, str]]) -> Extraction:
    """A presentation in parts, with the title and fields that it states elsewhere."""
    main = parts.main("pptx")
    root = parts.whole(main)
    writer = _Writer(parts)
    writer.authors(main)
    number = 0
    for listing in root:
        if local(listing) == "sldIdLst":
            for entry in listing:
                number += 1
                writer.slide(parts.target(main, relation(entry)), number)
    title, metadata = stated
    return Extraction((writer.builder.document("pptx", title=title, metadata=metadata),))


class _Writer:
    def __init__(self, parts: Parts) -> None:
        self.builder = TextBuilder()
        self._parts = parts
        self._part = ""
        self._seen: set[str] = set()
        self._authors: dict[str, str] = {}

    def authors(self, main: str) -> None:
        """Learn who wrote the comments."""
        for kind in ("commentAuthors", "authors"):
            for name in self._parts.targets(main, kind):
                root = self._parts.optional(name)
                for author in root if root is not None else ():
                    self._authors[attribute(author, "id")] = attribute(author, "name")

    def slide(self, part: str, number: int) -> None:
        """A slide, its notes and its comments; one that is damaged or missing has no text."""
        root = self._parts.optional(part)
        tree = next((one for one in root.iter() if local(one) == "spTree"), None) if root is not None else None
        if tree is None:
            return
        self._part = part
        self.builder.page(number)
        shapes = self._in_order(list(_shapes(tree)))
        for shape in shapes:
            self._shape(shape, 0)
        for name in self._parts.targets(part, "notesSlide"):
            notes = self._parts.optional(name)
            for shape in notes.iter() if notes is not None else ():
                if local(shape) == "sp" and _placeholder(shape) == "body":
                    self._body(shape, "body")
        for name in self._parts.targets(part, "comments"):
            self._comments(self._parts.optional(name))

    def _in_order(self, shapes: Sequence[Element]) -> list[Element]:
        """The title, then from top to bottom, and from left to right what stands at one height."""
        layouts = (self._parts.optional(name) for name in self._parts.targets(self._part, "slideLayout"))
        inherited = {
            _identity(one): place
            for layout in layouts if layout is not None
            for one in layout.iter() if local(one) == "sp" and (place := _place(one))
        }  # fmt: skip
        placed = [(_place(shape) or inherited.get(_identity(shape)) or (0, 0), shape) for shape in shapes]

        def order(entry: tuple[tuple[int, int], Element]) -> tuple[bool, int, int]:
            (left, top), shape = entry
            return _placeholder(shape) not in _TITLES, top // _ONE_HEIGHT, left

        return [shape for _, shape in sorted(placed, key=order)]

    def _shape(self, shape: Element, depth: int) -> None:
        kind = local(shape)
        if depth > _DEEPEST:
            return
        if kind in ("sp", "cxnSp"):
            self._body(shape, _placeholder(shape))
        elif kind == "pic":
            self._described(shape)
            for blip in (one for one in shape.iter() if local(one) == "blip"):
                add_picture(self.builder, self._parts.data(self._parts.target(self._part, attribute(blip, "embed"))))
        elif kind == "graphicFrame":
            self._frame(shape)
        elif kind in ("grpSp", "AlternateContent", "Choice"):
            inner = shape
            if kind == "AlternateContent":
                inner = next((one for one in shape if local(one) == "Choice" and len(one)), shape)
            for child in inner:
                if local(child) != "Fallback" or inner is shape:
                    self._shape(child, depth + 1)
        elif kind == "Fallback":
            for child in shape:
                self._shape(child, depth + 1)

    def _described(self, shape: Element) -> None:
        said = next((attribute(one, "descr") for one in shape.iter() if local(one) == "cNvPr"), "")
        self.builder.add(description(said))

    def _body(self, shape: Element, place: str) -> None:
        """The paragraphs of a shape: a title as heading, what repeats on every slide once."""
        if place in _FURNITURE:
            return
        if place == "ftr":
            text = " ".join("".join(_letters(shape)).split())
            if text not in self._seen:
                self._seen.add(text)
                self.builder.add(text)
            return
        for body in shape:
            if local(body) != "txBody":
                continue
            texts = [text for text in _paragraphs(body) if text.strip()]
            if place in _TITLES and (title := " ".join(" ".join(texts).split())) and len(title) <= _LONGEST_TITLE:
                self.builder.heading(title, 1)
                continue
            for text in texts:
                self.builder.add(text)

    def _frame(self, frame: Element) -> None:
        """A table, chart or diagram."""
        for element in frame.iter():
            kind = local(element)
            if kind == "tbl":
                self._rows([list(_cells(row)) for row in element if local(row) == "tr"])
                return
            if kind in ("chart", "relIds"):
                identifier = attribute(element, "id" if kind == "chart" else "dm")
                root = self._parts.optional(self._parts.target(self._part, identifier))
                if root is not None and kind == "chart":
                    caption, rows = chart(root)
                    self.builder.add(caption)
                    self._rows([[(cell, False) for cell in row] for row in rows])
                elif root is not None:
                    for text in diagram(root):
                        self.builder.add(text)
        self._described(frame)

    def _rows(self, rows: Sequence[Sequence[tuple[str, bool]]]) -> None:
        """Rows of cells, each with whether it is covered by the one above."""
        lines: list[list[str]] = []
        for row in rows:
            above = lines[-1] if lines else []
            lines.append(
                [
                    (above[at] if at < len(above) and len(above[at]) <= _LONGEST_SPAN else "") if covered else text
                    for at, (text, covered) in enumerate(row)
                ]
            )
        self.builder.table(lines)

    def _comments(self, root: Element | None) -> None:
        for comment in root.iter() if root is not None else ():
            if local(comment) not in ("cm", "reply"):
                continue
            texts = []
            for child in comment:
                if local(child) == "text":
                    texts.append(child.text or "")
                elif local(child) == "txBody":
                    texts += _paragraphs(child)
            author = self._authors.get(attribute(comment, "authorId"), "")
            text = " ".join(" ".join(texts).split())
            self.builder.add(f"[{author}] {text}" if author and text else text)


def _shapes(tree: Element) -> Iterator[Element]:
    return (shape for shape in tree if local(shape) not in ("nvGrpSpPr", "grpSpPr"))


def _placeholder(shape: Element) -> str:
    """What a shape is a placeholder for: title, body, …; "" for a shape of its own."""
    for outer in shape:
        if local(outer) == "nvSpPr":
            for element in outer.iter():
                if local(element) == "ph":
                    return attribute(element, "type") or "obj"
    return ""


def _identity(shape: Element) -> tuple[str, str]:
    """By what a placeholder of a slide finds its own on the layout."""
    found = next((one for one in shape.iter() if local(one) == "ph"), None)
    return (attribute(found, "idx"), "") if found is not None and attribute(found, "idx") else ("", _placeholder(shape))


def _place(shape: Element) -> tuple[int, int] | None:
    """Where a shape's upper left corner lies, from the left and from the top."""
    for element in shape.iter():
        if local(element) == "off":
            try:
                return int(attribute(element, "x")), int(attribute(element, "y"))
            except ValueError:
                return None
    return None


def _letters(shape: Element) -> Iterator[str]:
    return (element.text or "" for element in shape.iter() if local(element) == "t")


def _cells(row: Element) -> Iterator[tuple[str, bool]]:
    for cell in row:
        if local(cell) == "tc":
            bodies = (_paragraphs(body) for body in cell if local(body) == "txBody")
            covered = attribute(cell, "vMerge") in ("1", "true")
            merged = attribute(cell, "hMerge") in ("1", "true")
            yield ("" if merged else " ".join(text for body in bodies for text in body if text.strip())), covered


def _paragraphs(body: Element) -> Iterator[str]:
    """The paragraphs of a text body, automatic numbers in front."""
    defaults = {local(one): one for style in body if local(style) == "lstStyle" for one in style}
    counts: dict[int, tuple[str, int]] = {}
    for paragraph in body:
        if local(paragraph) != "p":
            continue
        text = drawn_text(paragraph)
        shape = next((one for one in paragraph if local(one) == "pPr"), None)
        level = attribute(shape, "lvl") if shape is not None else ""
        depth = int(level) if level.isdigit() and len(level) == 1 else 0
        scheme, start = _numbering(shape, defaults.get(f"lvl{depth + 1}pPr"))
        for deeper in [one for one in counts if one > depth]:
            del counts[deeper]
        if not text.strip():
            continue
        if scheme:
            before, count = counts.get(depth, ("", 0))
            counts[depth] = (scheme, count + 1 if before == scheme else start)
            text = f"{_number(scheme, counts[depth][1])} {text}"
        else:
            counts.pop(depth, None)
        yield text


def _numbering(shape: Element | None, default: Element | None) -> tuple[str, int]:
    for source in (shape, default):
        for element in source if source is not None else ():
            if local(element) == "buAutoNum":
                start = attribute(element, "startAt")
                return attribute(element, "type"), int(start) if start.isdigit() and len(start) < 6 else 1
            if local(element) in ("buNone", "buChar", "buBlip"):
                return "", 1
    return "", 1


def _number(scheme: str, count: int) -> str:
    found = _SCHEME.match(scheme)
    if not found:
        return f"{count}."
    style = _STYLES.get(found[1], "japaneseCounting")
    return _FORMS.get(found[2] or "", "{}").format(written(count, style))


# Pages drawn in packages: XPS documents (ECMA-388) and Visio drawings (.vsdx).

_NUMBER = re.compile(r"-?\d+(?:\.\d+)?")
_SAME_LINE = 0.5
"""Glyphs stand on one line when their bases differ by less than so many heights."""
_PARAGRAPH_STEP = 1.8
_SPACE = 0.3
_ADVANCE = 0.5
"""How wide a character is at least, in heights, where nothing says it."""


def read_xps(data: bytes, path: str) -> Extraction:
    """An XPS or OpenXPS document."""
    package = Package(data)
    pages = [page for page in _fixed_pages(package) if page in package] or sorted(
        (name for name in package if name.lower().endswith(".fpage")), key=_natural
    )
    if not pages:
        raise ExtractError(Reason.BROKEN, "an XPS document without pages")
    builder = TextBuilder()
    for number, name in enumerate(pages, 1):
        builder.page(number)
        _write_page(builder, parse_xml(package.read(name)))
    title, metadata = package_properties(package)
    return Extraction((builder.document("xps", title=title, metadata=metadata),))


def _fixed_pages(package: Package) -> Iterator[str]:
    """The pages in their order, through the sequence of documents and each document's list."""
    for sequence in (name for name in package if name.lower().endswith(".fdseq")):
        for document in _sources(package, sequence, "DocumentReference"):
            yield from _sources(package, document, "PageContent")


def _sources(package: Package, part: str, element: str) -> list[str]:
    if part not in package:
        return []
    places = (attribute(one, "Source") for one in parse_xml(package.read(part)).iter() if local(one) == element)
    return [place.lstrip("/") if place.startswith("/") else normpath(join(dirname(part), place)) for place in places]


def _write_page(builder: TextBuilder, root: Element) -> None:
    """The texts of a page, glyphs of one base line joined."""
    line, base, right, height = "", 0.0, 0.0, 0.0
    gap = PARAGRAPH
    for glyphs in (one for one in root.iter() if local(one) == "Glyphs"):
        text = attribute(glyphs, "UnicodeString").removeprefix("{}")
        size = _float(attribute(glyphs, "FontRenderingEmSize")) or 1.0
        x, y = _float(attribute(glyphs, "OriginX")), _float(attribute(glyphs, "OriginY"))
        if line and abs(y - base) < _SAME_LINE * max(size, height):
            line += (" " if x - right > _SPACE * size and not line.endswith(" ") else "") + text
        else:
            builder.add(line, gap=gap)
            gap = LINE if line and 0 < y - base < _PARAGRAPH_STEP * max(size, height) else PARAGRAPH
            line, base, height = text, y, size
        right = x + sum(size * (1.0 if character >= "\u1100" else _ADVANCE) for character in text)
    builder.add(line, gap=gap)


def read_vsdx(data: bytes, path: str) -> Extraction:
    """A drawing of Visio, since 2013: the texts of the shapes on each page."""
    package = Package(data)
    builder = TextBuilder()
    for number, (label, part) in enumerate(_drawing_pages(package), 1):
        builder.page(number, label)
        builder.heading(label, 1)
        for text in (one for one in parse_xml(package.read(part)).iter() if local(one) == "Text"):
            builder.add(" ".join("".join(text.itertext()).split()), gap=LINE)
    title, metadata = package_properties(package)
    return Extraction((builder.document("vsdx", title=title, metadata=metadata),))


def _drawing_pages(package: Package) -> list[tuple[str, str]]:
    """The names and parts of the pages in their order."""
    listing, relations = "visio/pages/pages.xml", "visio/pages/_rels/pages.xml.rels"
    if listing not in package or relations not in package:
        parts = sorted((one for one in package if re.fullmatch(r"visio/pages/page\d+\.xml", one)), key=_natural)
        return [("", part) for part in parts]
    targets = {
        attribute(one, "Id"): normpath(join("visio/pages", attribute(one, "Target")))
        for one in parse_xml(package.read(relations))
    }
    pages = []
    for page in parse_xml(package.read(listing)):
        reference = next((attribute(one, "id") for one in page if local(one) == "Rel"), "")
        if targets.get(reference, "") in package and attribute(page, "Background") != "1":
            pages.append((attribute(page, "Name"), targets[reference]))
    return pages


def _natural(name: str) -> list[tuple[int, str]]:
    """page2 before page10."""
    return [(int(digits) if digits else 0, letters) for letters, digits in re.findall(r"(\D*)(\d*)", name)]


def _float(text: str) -> float:
    found = _NUMBER.match(text.strip())
    return float(found[0]) if found else 0.0
