"""What client and resident say: a length of four bytes, big-endian, and as many bytes of JSON, in both directions.

Request: version, do (answer, status or stop); to answer also index (a directory), queries, seconds (patience).
Reply: version, and answers, or cannot (why there are none), or what `status` tells.

Nothing is lost on the way: floats are written so that they read the same, bytes as text with surrogates.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from typing import Any

from kosearch.records import Answer, Hit, Passage, Query, Score

MAX_REQUEST = 1 << 20
MAX_REPLY = 16 << 20
MAX_QUESTIONS = 32
"""More are worth loading the model for where they are asked."""
HEAD = struct.Struct(">I")
_SIDES = ("dense", "lexical", "sparse", "multi_vector")


class TooLong(ValueError):
    """A message beyond its bound."""


def frame(message: Mapping[str, Any], most: int) -> bytes:
    """A message as it is sent. Raises TooLong."""
    body = json.dumps(message, ensure_ascii=False, default=_plain, check_circular=False).encode(
        "utf-8", "surrogatepass"
    )
    if len(body) > most:
        raise TooLong(f"a message of {len(body)} bytes")
    return HEAD.pack(len(body)) + body


def length(head: bytes, most: int) -> int:
    """How many bytes follow the head. Raises TooLong."""
    (count,) = HEAD.unpack(head)
    if count > most:
        raise TooLong(f"a message of {count} bytes")
    return int(count)


def message(body: bytes) -> dict[str, Any]:
    """What was sent. Raises ValueError for what is no JSON object."""
    try:
        found = json.loads(body.decode("utf-8", "surrogatepass"))
    except RecursionError as error:
        raise ValueError("nested too deep") from error
    if not isinstance(found, dict):
        raise ValueError("not an object")
    return found


def query(value: Mapping[str, Any]) -> Query:
    """A query as it was sent. Raises TypeError or KeyError for anything else."""
    return Query(**{**value, "paths": tuple(value["paths"]), "kinds": tuple(value["kinds"])})


def answer(value: Mapping[str, Any]) -> Answer:
    """An answer as it was sent."""
    return Answer(
        **{
            **value,
            "hits": tuple(_hit(hit) for hit in value["hits"]),
            "warnings": tuple(value["warnings"]),
            "terms": tuple((term, count) for term, count in value["terms"]),
        }
    )


def _hit(value: Mapping[str, Any]) -> Hit:
    passage = value["passage"]
    return Hit(
        **{
            **value,
            **{side: value[side] and Score(**value[side]) for side in _SIDES},
            "raw": value["raw"].encode("utf-8", "surrogateescape"),
            "passage": Passage(**{**passage, "headings": tuple(passage["headings"])}),
            "best": tuple(value["best"]),
            "also": tuple(value["also"]),
        }
    )


def _plain(value: object) -> object:
    """Records as objects and bytes as text: what `json` does not know by itself."""
    if isinstance(value, bytes):
        return value.decode("utf-8", "surrogateescape")
    if isinstance(value, Mapping):
        return dict(value)
    if is_dataclass(value):
        return {field.name: getattr(value, field.name) for field in fields(value)}
    raise TypeError(f"{type(value).__name__} cannot be sent")
