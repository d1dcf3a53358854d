"""What the page names by ids: it says which document it means, and never a path."""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Mapping
from pathlib import PurePath
from typing import Any

from kosearch import filters, viewers
from kosearch.errors import UsageError
from kosearch.index import FullDocument, StoredDocument
from kosearch.library import Index
from kosearch.naming import display_path
from kosearch.ui.asking import excerpt

_ID = re.compile(r"[0-9a-f]{8,64}(?::\d{1,12}:\d{1,12})?")
_GONE = "ask again: the index has changed meanwhile"


def key_of(path_bytes: bytes, member: str) -> str:
    """What tells documents with the same text apart."""
    return hashlib.blake2b(path_bytes + b"\0" + member.encode("utf-8", "surrogatepass"), digest_size=8).hexdigest()


class Documents:
    """The documents of the indexes that the page shows."""

    def __init__(self, indexes: Mapping[str, Index]) -> None:
        self._indexes = indexes

    def index(self, name: str) -> Index:
        """One of the indexes that are shown, by its name; raises UsageError for any other."""
        if name not in self._indexes:
            raise UsageError("that index is not shown here")
        return self._indexes[name]

    def stored(self, index: str, id: str, key: str) -> StoredDocument:
        """The document of a hit's id, of several with the same text the one with the key. Raises UsageError."""
        if not _ID.fullmatch(id):
            raise UsageError("a document is named by its id")
        alike = self.index(index).documents_with(id)
        found = [one for one in alike if key_of(one.path_bytes, one.member) == key]
        if not found:
            raise UsageError("the document is not in the index any more", _GONE)
        return min(found, key=lambda one: one.source != "")  # another machine may have one of that path, too

    def full(self, index: str, id: str, key: str) -> tuple[StoredDocument, FullDocument]:
        """The same with all of its text, which may be read from another document with the same one."""
        return self.stored(index, id, key), self.index(index).document(id)

    def hits(self, answer: Mapping[str, Any]) -> list[dict[str, Any]]:
        """The hits of an answer in the form of `query --json`, as the page shows them."""
        question = answer["searched"] or answer["question"]
        return [self._hit(hit, question) for hit in answer["hits"]]

    def _hit(self, hit: Mapping[str, Any], question: str) -> dict[str, Any]:
        member, path = hit["member"] or "", hit["absolute_path"]
        key = key_of(_path_bytes(hit), member)
        alike = self.index(hit["index"]).documents_with(hit["document_hash"])
        same = next((one for one in alike if key_of(one.path_bytes, one.member) == key), None)
        cited = hit["cited"]
        return {
            "index": hit["index"],
            "id": hit["id"],
            "key": key,
            "best": hit["best"],
            **names(path, member),
            "title": hit["title"] or "",
            "type": hit["type"],
            "date": date_of(same) if same else "",
            "page": cited["page"],
            "label": cited["page_label"] or "",
            "lines": cited["lines"],
            "headings": cited["heading"],
            "ocr": hit["ocr"],
            "state": hit["state"],
            "score": hit["score"],
            "confidence": hit["confidence"],
            "scores": hit["scores"],
            "ranks": hit["ranks"],
            "also": [shown(os.path.join(os.getcwd(), one)) for one in hit["also"]],
            "more": hit["more"],
            "excerpt": excerpt(hit, question),
        }

    def summary(self, index: str, one: StoredDocument) -> dict[str, Any]:
        """A document outside an answer."""
        return {
            "index": index,
            "id": one.text_hash,
            "key": key_of(one.path_bytes, one.member),
            **names(one.path, one.member),
            "title": one.title,
            "type": one.kind,
            "date": date_of(one),
        }

    def open(self, index: str, id: str, key: str, best: int) -> None:
        """Have the document's program show it at the page or line of an offset. Raises KosearchError."""
        library = self.index(index)
        stored, full = self.full(index, id, key)
        path = os.fsdecode(here(stored))
        if not os.path.exists(path):
            raise UsageError("the file is not there any more", "refresh the index")
        if stored.member:
            path, _ = viewers.taken_out(path, stored.member)
        page = max((one.number for one in full.pages if one.start <= best), default=None)
        place = {"path": path, "kind": stored.kind, "line": full.text.count("\n", 0, best) + 1, "page": page}
        viewers.run(viewers.viewer(library.settings, place, terminal=False), terminal=False)


def here(stored: StoredDocument) -> bytes:
    """The path of a document's file. Raises UsageError where that is another machine's, whatever lies there on this."""
    if stored.source:
        raise UsageError("the file lies on another machine", "what stands here is the text that was indexed there")
    return stored.path_bytes


def names(path: str, member: str) -> dict[str, str]:
    """How a document is called, and the folder that it lies in."""
    place = PurePath(display_path(os.fsencode(path)))
    return {"name": place.name, "folder": str(place.parent), "shown": shown(str(place.parent)), "member": member}


def shown(path: str) -> str:
    """A path as people read it: below their home, from there."""
    home = os.path.expanduser("~").rstrip(os.sep) + os.sep
    return "~/" + path[len(home) :] if path.startswith(home) else path


def date_of(document: StoredDocument) -> str:
    """The day that filters date a document by, in ISO 8601; empty where no calendar has it."""
    stated = document.metadata.get("modified") or document.metadata.get("created")
    days = filters.local_days(str(stated)) if stated else None
    day = days[0] if days else filters.day_of(document.mtime_ns / 1e9)
    return day.isoformat() if day else ""


def _path_bytes(hit: Mapping[str, Any]) -> bytes:
    import base64

    return base64.b64decode(hit["path_b64"]) if "path_b64" in hit else os.fsencode(hit["absolute_path"])
