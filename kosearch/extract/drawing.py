"""What Office files draw: charts, diagrams, equations, and what is said about pictures."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from xml.etree.ElementTree import Element

from kosearch.extract.containers import attribute, local
from kosearch.extract.word_fields import PRIVATE, symbols

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
