"""The JSON that scripts read. Every object names its schema and version; fields are added, never changed.

A change that breaks a reader gets a new version number. The README describes each field.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from kosearch.cli.render import shown_path
from kosearch.records import Answer, Hit, IndexReport, Passage, Score, Skipped

if TYPE_CHECKING:
    from kosearch.index import Globs, Status

QUERY = "kosearch.query/1"
HIT = "kosearch.hit/1"
BATCH = "kosearch.batch/1"
INDEX = "kosearch.index/1"
STATUS = "kosearch.status/1"
SIDES = ("dense", "lexical", "sparse", "multi_vector")


def answer(found: Answer, cwd: str) -> dict[str, Any]:
    """One question's answer."""
    return {
        "schema": QUERY,
        "question": found.question,
        "searched": found.searched,
        "mode": found.mode,
        "generation": found.generation,
        "warnings": list(found.warnings),
        "terms": [{"term": term, "passages": count} for term, count in found.terms],
        "hits": [hit(one, cwd) for one in found.hits],
    }


def batch(answers: list[Answer], cwd: str) -> dict[str, Any]:
    """The answers of many questions, in the order asked."""
    return {"schema": BATCH, "answers": [answer(one, cwd) for one in answers]}


def hit_line(found: Hit, question: str, cwd: str) -> dict[str, Any]:
    """A hit that stands alone on its line."""
    return {"schema": HIT, "question": question, **hit(found, cwd)}


def hit(found: Hit, cwd: str) -> dict[str, Any]:
    """A hit's fields. Offsets are code points in the document's extracted text."""
    return {
        "rank": found.rank,
        "score": round(found.score, 6),
        "confidence": round(found.confidence, 3),
        "scores": {side: _value(getattr(found, side)) for side in SIDES},
        "ranks": {side: _rank(getattr(found, side)) for side in SIDES},
        "id": found.id,
        "path": shown_path(found.path, cwd),
        **file_name(found.raw),
        "member": found.member or None,
        "type": found.kind,
        "title": found.title or None,
        "metadata": dict(found.metadata),
        **place(found.passage),
        "text": found.text,
        "best": list(found.best),
        "cited": {
            "page": found.cited.page,
            "page_label": found.cited.page_label or None,
            "lines": [found.cited.line_start, found.cited.line_end],
            "heading": list(found.cited.headings),
        },
        "document_hash": found.document_hash,
        "state": found.state,
        "also": [shown_path(path, cwd) for path in found.also],
        "more": found.more,
    }


def place(passage: Passage) -> dict[str, Any]:
    """Where a passage stands in its document."""
    return {
        "page": passage.page,
        "page_label": passage.page_label or None,
        "page_end": passage.page_end,
        "lines": [passage.line_start, passage.line_end],
        "start": passage.start,
        "end": passage.end,
        "heading": list(passage.headings),
    }


def file_name(raw: bytes) -> dict[str, str]:
    """`absolute_path`, and `path_b64` with the exact bytes where they are not UTF-8."""
    try:
        return {"absolute_path": raw.decode("utf-8")}
    except UnicodeDecodeError:
        return {
            "absolute_path": raw.decode("utf-8", "replace"),
            "path_b64": base64.b64encode(raw).decode("ascii"),
        }


def skipped(problem: Skipped) -> dict[str, Any]:
    """A file, or a member of one, that is not searchable."""
    return {
        "path": problem.path,
        "member": problem.member or None,
        "reason": str(problem.reason),
        "detail": problem.detail,
    }


def report(run: IndexReport, state: Status, name: str) -> dict[str, Any]:
    """What a run of `index` did, and what the index holds now."""
    return {
        "schema": INDEX,
        "index": name,
        "added": run.added,
        "changed": run.changed,
        "unchanged": run.unchanged,
        "removed": run.removed,
        "skipped": [skipped(one) for one in run.skipped],
        "warnings": [skipped(one) for one in run.warnings],
        "failed_roots": [skipped(one) for one in run.failed_roots],
        "embedded": run.embedded,
        "reused": run.reused,
        "documents": state.documents,
        "passages": state.passages,
        "generation": state.generation,
        "seconds": round(run.seconds, 3),
    }


def status(state: Status, roots: Mapping[bytes, Globs], name: str, directory: str) -> dict[str, Any]:
    """What an index holds."""
    return {
        "schema": STATUS,
        "index": name,
        "directory": directory,
        "generation": state.generation,
        "roots": [
            {**file_name(root), "include": list(globs.get("include", ())), "exclude": list(globs.get("exclude", ()))}
            for root, globs in roots.items()
        ],
        "files": state.files,
        "documents": state.documents,
        "passages": state.passages,
        "pending": state.pending,
        "bytes": state.bytes,
        "model": {
            "name": state.identity.model,
            "revision": state.identity.revision or None,
            "fingerprint": state.identity.fingerprint,
            "dimensions": state.identity.dimensions,
            "endpoint": state.identity.endpoint["url"] if state.identity.endpoint else None,
            "storage": state.identity.storage,
        },
        "passage_tokens": state.identity.passage_tokens,
        "passage_overlap": state.identity.overlap,
        "last_run": dict(state.last_run) if state.last_run else None,
        "not_searchable": dict(state.problems),
    }


def _value(score: Score | None) -> float | None:
    return None if score is None else round(score.value, 6)


def _rank(score: Score | None) -> int | None:
    return None if score is None else score.rank
