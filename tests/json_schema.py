"""What the program's JSON may hold: every key with its types. The README's tables and the tests read it from here."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

number = (int, float)
text_or_null = (str, type(None))
number_or_null = (int, float, type(None))

SIDES = dict.fromkeys(("dense", "lexical", "sparse", "multi_vector"), number_or_null)

HIT: Mapping[str, Any] = {
    "rank": int,
    "score": number,
    "confidence": number,
    "scores": SIDES,
    "ranks": SIDES,
    "id": str,
    "path": str,
    "absolute_path": str,
    "path_b64?": str,
    "member": text_or_null,
    "type": str,
    "title": text_or_null,
    "metadata": {"*": str},
    "page": (int, type(None)),
    "page_label": text_or_null,
    "page_end": (int, type(None)),
    "lines": [int],
    "start": int,
    "end": int,
    "heading": [str],
    "text": str,
    "best": [int],
    "cited": {"page": (int, type(None)), "page_label": text_or_null, "lines": [int], "heading": [str]},
    "ocr": bool,
    "ocr_confidence": number_or_null,
    "document_hash": str,
    "state": str,
    "index": str,
    "also": [str],
    "more": int,
}

QUERY: Mapping[str, Any] = {
    "schema": str,
    "question": str,
    "searched": str,
    "mode": str,
    "generation": int,
    "behind": int,
    "warnings": [str],
    "terms": [{"term": str, "passages": int}],
    "hits": [HIT],
}

BATCH: Mapping[str, Any] = {"schema": str, "answers": [QUERY]}

HIT_LINE: Mapping[str, Any] = {"schema": str, "question": str, **HIT}

BRIEF_HIT: Mapping[str, Any] = {
    "rank": int,
    "id": str,
    "path": str,
    "member?": str,
    "page?": int,
    "page_label?": str,
    "lines?": [int],
    "heading?": str,
    "score": number,
    "weak?": bool,
    "ocr?": bool,
    "state?": str,
    "excerpt": str,
}

BRIEF_ANSWER: Mapping[str, Any] = {
    "question": str,
    "searched?": str,
    "warnings?": [str],
    "terms?": {"*": int},
    "hits": [BRIEF_HIT],
}

BRIEF: Mapping[str, Any] = {"schema": str, **BRIEF_ANSWER, "next": (int, type(None))}

BRIEFS: Mapping[str, Any] = {"schema": str, "answers": [BRIEF_ANSWER], "next": (int, type(None))}

SIMILAR: Mapping[str, Any] = {"schema": str, "thing": str, "generation": int, "warnings": [str], "hits": [HIT]}

DOCUMENT: Mapping[str, Any] = {
    "path": str,
    "absolute_path": str,
    "path_b64?": str,
    "member": text_or_null,
    "type": str,
    "title": text_or_null,
    "document_hash": str,
}

DUPLICATE: Mapping[str, Any] = {
    **DOCUMENT,
    "date": text_or_null,
    "kind": text_or_null,
    "of": text_or_null,
    "share": number_or_null,
    "only_numbers": bool,
}

DUPLICATES: Mapping[str, Any] = {"schema": str, "groups": [{"kind": str, "documents": [DUPLICATE]}]}

PLACE: Mapping[str, Any] = {
    "page": (int, type(None)),
    "page_label": text_or_null,
    "page_end": (int, type(None)),
    "lines": [int],
    "start": int,
    "end": int,
    "heading": [str],
}

REPEATED_PASSAGES: Mapping[str, Any] = {
    "schema": str,
    "groups": [{"passages": [{"id": str, **DOCUMENT, **PLACE, "text": str}]}],
}

LEAF: Mapping[str, Any] = {"words": [str], "title": str, "count": int, "documents": [DOCUMENT], "topics": [dict]}

TOPICS: Mapping[str, Any] = {"schema": str, "documents": int, "topics": [{**LEAF, "topics": [LEAF]}]}

VECTOR: Mapping[str, Any] = {
    "schema": str,
    "id": str,
    "path": str,
    "member": text_or_null,
    "title": text_or_null,
    "page": (int, type(None)),
    "line_start": int,
    "line_end": int,
    "start": int,
    "end": int,
    "vector": [number],
}

SIMILARITY: Mapping[str, Any] = {"schema": str, "pairs": [{"first": str, "second": str, "cosine": number}]}

GRADED_PAIRS: Mapping[str, Any] = {
    "schema": str,
    "collection": str,
    "pairs": int,
    "Pearson": number,
    "Spearman": number,
}

SKIPPED: Mapping[str, Any] = {"path": str, "member": text_or_null, "reason": str, "detail": str}

INDEX: Mapping[str, Any] = {
    "schema": str,
    "index": str,
    "added": int,
    "changed": int,
    "unchanged": int,
    "removed": int,
    "skipped": [SKIPPED],
    "warnings": [SKIPPED],
    "failed_roots": [SKIPPED],
    "embedded": int,
    "reused": int,
    "documents": int,
    "passages": int,
    "generation": int,
    "seconds": number,
}

ROOT: Mapping[str, Any] = {"absolute_path": str, "path_b64?": str, "include": [str], "exclude": [str]}

STATUS: Mapping[str, Any] = {
    "schema": str,
    "index": str,
    "directory": str,
    "roots": [ROOT],
    "generation": int,
    "files": int,
    "documents": int,
    "passages": int,
    "pending": int,
    "bytes": int,
    "model": {
        "name": str,
        "revision": text_or_null,
        "fingerprint": str,
        "dimensions": int,
        "endpoint": text_or_null,
        "storage": str,
    },
    "passage_tokens": int,
    "passage_overlap": int,
    "graph": ({"width": int, "recall": number}, type(None)),
    "last_run": {"ended": str, "seconds": number, "embedded": int, "publishing?": number},
    "watched": ({"how": str, "behind": int, "looked": number}, type(None)),
    "not_searchable": {"*": int},
    "ocr": {"*": int},
    "problems?": [SKIPPED],
}

SHOW: Mapping[str, Any] = {
    "schema": str,
    "id": str,
    "path": str,
    "absolute_path": str,
    "path_b64?": str,
    "member": text_or_null,
    "title": text_or_null,
    "before": str,
    "text": str,
    "after": str,
    "state": str,
}

EXTRACT: Mapping[str, Any] = {
    "schema": str,
    "member": text_or_null,
    "type": str,
    "title": text_or_null,
    "metadata": {"*": str},
    "headings": [{"start": int, "level": int, "title": str}],
    "pages": [{"start": int, "number": int, "label": text_or_null}],
    "ocr": [{"start": int, "end": int, "confidence": number}],
    "warnings": [str],
    "text": str,
}

MODEL: Mapping[str, Any] = {
    "name": str,
    "state": str,
    "revision": text_or_null,
    "bytes": int,
    "parameters": (int, type(None)),
    "memory": ({"cpu": int, "gpu": int}, type(None)),
    "dimensions": (int, type(None)),
    "max_tokens": (int, type(None)),
    "licence": text_or_null,
    "languages": text_or_null,
    "prompts": ({"query": str, "passage": str}, type(None)),
    "matryoshka": (bool, type(None)),
    "scores": ({"*": number}, type(None)),
    "note": str,
}

MODELS: Mapping[str, Any] = {"schema": str, "models": [MODEL]}

MODEL_CHECK: Mapping[str, Any] = {
    "schema": str,
    "model": str,
    "fingerprint": str,
    "dimensions": int,
    "first": bool,
    "passed": bool,
    "texts": [{"text": str, "cosine": number}],
    "tokens_per_second": number,
}


def _kinds(schema: Any) -> tuple[type, ...]:
    return schema if isinstance(schema, tuple) else (schema,)


def problems(value: Any, schema: Any, where: str = "$") -> list[str]:
    """Where `value` is not what `schema` says: nothing missing, nothing more, every type right.

    A schema is a type, a tuple of types or schemas, a list of one schema, or an object by key; `key?` may be
    absent, and `*` is any key.
    """
    if isinstance(schema, tuple) and not all(isinstance(one, type) for one in schema):
        tried = [problems(value, one, where) for one in schema]
        return min(tried, key=len)
    if isinstance(schema, list):
        if not isinstance(value, list):
            return [f"{where} is no list"]
        return [one for i, item in enumerate(value) for one in problems(item, schema[0], f"{where}[{i}]")]
    if not isinstance(schema, Mapping):
        fits = isinstance(value, schema) and (not isinstance(value, bool) or bool in _kinds(schema))
        return [] if fits else [f"{where} is {value!r}"]
    if not isinstance(value, Mapping):
        return [f"{where} is no object"]
    if "*" in schema:
        return [one for key, item in value.items() for one in problems(item, schema["*"], f"{where}.{key}")]
    found = [f"{where}.{key} is missing" for key in schema if not key.endswith("?") and key not in value]
    for key, item in value.items():
        inner = schema.get(key, schema.get(f"{key}?"))
        found += [f"{where}.{key} is not documented"] if inner is None else problems(item, inner, f"{where}.{key}")
    return found
