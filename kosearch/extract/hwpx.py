"""HWPX sections as Hangul shows them, before dochan reads them: what it drops or tears apart is put into plain text.

Changes are accepted, automatic numbers written out, equations set into their line, prompts of unfilled fields left out,
and memos, hidden comments and captions made paragraphs after the one that they stand in (KS X 6101).
"""

from __future__ import annotations

import io
from collections.abc import Iterator, Sequence
from typing import Any
from xml.etree.ElementTree import Element

from kosearch.extract.containers import attribute, local
from kosearch.extract.dochan_model import equation_script
from kosearch.extract.hwp_numbers import numeral
from kosearch.extract.hwp_reader import walked
from kosearch.extract.hwp_sections import guide, packed

_OBJECTS = frozenset(
    str.split("tbl pic equation rect ellipse line connectLine curve polygon arc container ole chart textart video")
)
_HOLDERS = frozenset(("sec", "subList"))
"""What holds paragraphs."""
_CAPTIONED_BY_DOCHAN = frozenset(("tbl", "pic"))
_NUMBERED = frozenset(("TABLE", "PICTURE", "EQUATION"))


def parse(data: bytes, *, prompts: bool = False) -> Any:
    """dochan's document for a HWPX package; with `prompts`, those of unfilled fields stay."""
    from dochan.hwpx import parser

    parser.Document = walked()

    class Parser(parser.HWPXParser):  # type: ignore[misc]
        def _limit_body_nodes(self, root: Element) -> None:
            shown(root, prompts=prompts)
            super()._limit_body_nodes(root)

    return Parser().parse(io.BytesIO(data), include_assets=False)


def shown(section: Element, *, prompts: bool = False) -> None:
    """Change a section into what Hangul shows of it."""
    _Changes(section).accept(section)
    for parent in [one for one in section.iter() if local(one) in _HOLDERS]:
        for paragraph in [child for child in parent if local(child) == "p"]:
            before, after = _plain(paragraph, prompts)
            place = list(parent).index(paragraph)
            for offset, one in enumerate(before):
                parent.insert(place + offset, one)
            place += len(before)
            for offset, one in enumerate(after, 1):
                parent.insert(place + offset, one)


class _Changes:
    """The deleted ranges of a section; one that never ends deletes nothing."""

    def __init__(self, section: Element) -> None:
        self._ends = {attribute(one, "Id") for one in section.iter() if local(one) == "deleteEnd"}
        self._open: set[str] = set()

    def accept(self, element: Element) -> None:
        """Take out what was deleted."""
        if not self._ends:
            return
        for child in list(element):
            name = local(child)
            if name == "deleteBegin" and attribute(child, "Id") in self._ends:
                self._open.add(attribute(child, "Id"))
            elif name == "deleteEnd":
                self._open.discard(attribute(child, "Id"))
            elif self._open and name in _OBJECTS:
                element.remove(child)
                continue
            else:
                if self._open and name == "t":
                    child.text = None
                self.accept(child)
            if self._open:
                child.tail = None


def _plain(paragraph: Element, prompts: bool) -> tuple[list[Element], list[Element]]:
    """Write out what is drawn in a paragraph; returns the paragraphs to stand before and after it."""
    before: list[Element] = []
    after: list[Element] = []
    field = _Field(prompts)
    for run in [one for one in paragraph if local(one) == "run"]:
        for child in list(run):
            name = local(child)
            if name == "ctrl":
                for control in list(child):
                    _control(run, child, control, field, after)
            elif name == "equation":
                _captions(child, before, after)
                _replace(run, child, equation_script(_text_of(child, "script")))
            elif name in _OBJECTS and name not in _CAPTIONED_BY_DOCHAN:
                _captions(child, before, after)
            elif name == "t":
                field.texts.append(child)
    return before, after


class _Field:
    """A field that waits for its text: the prompt, and the texts since it began."""

    def __init__(self, keeps_prompts: bool) -> None:
        self.prompt = ""
        self._keeps_prompts = keeps_prompts
        self.texts: list[Element] = []

    def begin(self, prompt: str) -> None:
        self.prompt = "" if self._keeps_prompts else packed(prompt)
        self.texts = []

    def end(self) -> None:
        if self.prompt and packed("".join("".join(one.itertext()) for one in self.texts)) == self.prompt:
            for one in self.texts:
                one.clear()
        self.prompt = ""


def _control(run: Element, outer: Element, control: Element, field: _Field, after: list[Element]) -> None:
    name = local(control)
    if name == "autoNum" and attribute(control, "numType") in _NUMBERED:
        _replace(run, outer, _number(control))
    elif name == "bookmark":
        outer.remove(control)  # dochan would write its name into the text
    elif name == "hiddenComment":
        after += _paragraphs(control)
        outer.remove(control)
    elif name == "fieldBegin":
        kind = attribute(control, "type")
        if kind == "MEMO":
            after += _memo(control)
        field.begin(_prompt(control) if kind == "CLICK_HERE" else "")
    elif name == "fieldEnd":
        field.end()


def _number(control: Element) -> str:
    form = next((one for one in control if local(one) == "autoNumFormat"), control)
    number = attribute(control, "num")
    count = int(number) if number.isdigit() and len(number) < 7 else 0
    return attribute(form, "prefixChar") + numeral(count, attribute(form, "type")) + attribute(form, "suffixChar")


def _memo(control: Element) -> list[Element]:
    paragraphs = list(_paragraphs(control))
    author = _parameter(control, "Author")
    first = next((one for paragraph in paragraphs for one in paragraph.iter() if local(one) == "t"), None)
    if first is not None and author:
        first.text = f"[{author}] {first.text or ''}"
    for child in list(control):
        if local(child) == "subList":
            control.remove(child)
    return paragraphs


def _prompt(control: Element) -> str:
    return _parameter(control, "Direction") or guide(_parameter(control, "Command"))


def _parameter(control: Element, name: str) -> str:
    return next((one.text or "" for one in control.iter() if attribute(one, "name") == name), "")


def _captions(shape: Element, before: list[Element], after: list[Element]) -> None:
    """Move the captions of a shape, and of shapes within it, out of it."""
    for outer in list(shape.iter()):
        for caption in [one for one in outer if local(one) == "caption"]:
            target = before if attribute(caption, "side") in ("TOP", "LEFT") else after
            target += _paragraphs(caption)
            outer.remove(caption)


def _paragraphs(element: Element) -> Iterator[Element]:
    for child in element:
        if local(child) == "subList":
            yield from (one for one in child if local(one) == "p")


def _replace(run: Element, child: Element, text: str) -> None:
    """Put a text in the place of an element."""
    written = Element(f"{child.tag.rpartition('}')[0]}}}t")
    written.text = text
    written.tail = child.tail
    children: Sequence[Element] = list(run)
    if child in children:
        place = children.index(child)
        run.remove(child)
        run.insert(place, written)


def _text_of(element: Element, name: str) -> str:
    return next((one.text or "" for one in element if local(one) == name), "")
