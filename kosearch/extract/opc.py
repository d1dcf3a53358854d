"""The parts of an Office package and how they name each other (ECMA-376 part 2), zipped or as one flat XML file."""

from __future__ import annotations

import posixpath
from collections.abc import Iterator
from urllib.parse import unquote
from xml.etree.ElementTree import Element, tostring

from kosearch.extract.containers import Package, attribute, local, parse_xml
from kosearch.extract.contract import ExtractError
from kosearch.records import Reason

_KINDS = {"wordprocessingml": "docx", "presentationml": "pptx", "spreadsheetml": "xlsx", "ms-excel": "xlsx"} | {
    "ms-word": "docx", "ms-powerpoint": "pptx"
}  # fmt: skip
_MAIN = {"docx": "word/document.xml", "pptx": "ppt/presentation.xml", "xlsx": "xl/workbook.xml"}


class Parts:
    """The parts of an Office document as XML, by name, and their relationships."""

    def __init__(self, package: Package | None, flat: Element | None = None) -> None:
        self.package = package
        self._flat = dict(_flat_parts(flat)) if flat is not None else {}
        self._related: dict[str, dict[str, tuple[str, str]]] = {}

    @classmethod
    def of_flat(cls, root: Element) -> Parts:
        """The parts of a flat OPC document."""
        return cls(None, root)

    def __contains__(self, name: str) -> bool:
        return name in self._flat or (self.package is not None and name in self.package)

    def xml(self, name: str) -> Element | None:
        """A part's root element; None where the package lacks it."""
        if name in self._flat:
            return self._flat[name]
        return parse_xml(self.package.read(name)) if self.package is not None and name in self.package else None

    def chunks(self, name: str) -> Iterator[bytes]:
        """A part's bytes piece by piece, for a part too large to be held as a tree."""
        if self.package is not None and name not in self._flat:
            return self.package.chunks(name)
        return iter((tostring(self._flat[name], encoding="utf-8"),))

    def whole(self, name: str) -> Element:
        """A part's root element, for a part that must be there."""
        root = self.xml(name)
        if root is None:
            raise ExtractError(Reason.BROKEN, f"{name} is missing in the container")
        return root

    def optional(self, name: str) -> Element | None:
        """A part's root element; None where it is missing or damaged, as what it adds is not worth the document."""
        try:
            return self.xml(name)
        except ExtractError:
            return None

    def main(self, kind: str) -> str:
        """The name of the part that the package begins with."""
        for target in self.targets("", "officeDocument"):
            if target in self:
                return target
        return _MAIN[kind]

    def related(self, part: str) -> dict[str, tuple[str, str]]:
        """A part's relationships: their identifiers → the last word of their type, and the part they point to."""
        if part not in self._related:
            folder, _, name = part.rpartition("/")
            root = self.optional(f"{folder}/_rels/{name}.rels".lstrip("/"))
            self._related[part] = dict(_relationships(folder, root)) if root is not None else {}
        return self._related[part]

    def target(self, part: str, identifier: str) -> str:
        """The part that a relationship points to, "" where there is none."""
        return self.related(part).get(identifier, ("", ""))[1]

    def targets(self, part: str, kind: str) -> list[str]:
        """The parts that a part's relationships of this type point to."""
        return [target for found, target in self.related(part).values() if found == kind]


def relation(element: Element) -> str:
    """The identifier of the relationship by which an element names a part."""
    for key, value in element.attrib.items():
        if key.rpartition("}")[2] in ("id", "dm") and key.startswith("{"):
            return value
    return attribute(element, "id")


def kind_of(package: Package) -> str:
    """Which kind of Office document a package says it is: docx, pptx, xlsx or ""."""
    if "[Content_Types].xml" not in package:
        return ""
    try:
        parts = Parts(package)
        mains = {f"/{target}" for target in parts.targets("", "officeDocument")}
        for stated in parts.whole("[Content_Types].xml"):
            if attribute(stated, "PartName") in mains:
                content = attribute(stated, "ContentType")
                return next((kind for mark, kind in _KINDS.items() if mark in content), "")
    except ExtractError:
        return ""
    return ""


def _relationships(folder: str, root: Element) -> Iterator[tuple[str, tuple[str, str]]]:
    for element in root:
        if local(element) == "Relationship" and attribute(element, "TargetMode") != "External":
            target = unquote(attribute(element, "Target"))
            whole = target.lstrip("/") if target.startswith("/") else posixpath.normpath(posixpath.join(folder, target))
            kind = attribute(element, "Type").rpartition("/")[2]
            yield attribute(element, "Id"), (kind, whole)


def _flat_parts(root: Element) -> Iterator[tuple[str, Element]]:
    for part in root:
        for data in part:
            if local(data) == "xmlData" and len(data):
                yield attribute(part, "name").lstrip("/"), data[0]


def is_xps(package: Package) -> bool:
    """Whether a package holds fixed pages."""
    return any(name.lower().endswith((".fpage", ".fdseq", ".fdseq/[0].piece")) for name in package)
