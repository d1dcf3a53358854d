"""Pictures of text become text, offline: the engine, what stands where in a picture of a page, its lines in order.

Readers of files ask for the text of a picture through `Pictures`; who has a file read says what answers: nothing, an
engine at once, or what an engine has found before.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Protocol

from kosearch.ocr.engine import Engine, Missing, TooSlow, find
from kosearch.ocr.pictures import Unreadable
from kosearch.records import Recognised, RecognisedLine

if TYPE_CHECKING:
    from kosearch.ocr.layout import Grey

__all__ = [
    "PAGE_SECONDS",
    "RULES",
    "AtOnce",
    "Engine",
    "Found",
    "Missing",
    "Noted",
    "Nothing",
    "Picture",
    "Pictures",
    "TooSlow",
    "Unread",
    "Unreadable",
    "decoded",
    "encoded",
    "find",
    "pixel_hash",
    "recognised",
    "version",
]

RULES = 4
"""Raised when another text comes of the same picture, by the same engine."""
PAGE_SECONDS = 60.0
"""Of processor time, for one page."""

Picture = Callable[[], "Grey"]
"""Draws or decodes the picture when it is called: (height, width), 0 is black."""


@dataclass(frozen=True, slots=True)
class Unread:
    """Why there is no text of a picture; one that waits will be read later."""

    why: str
    waits: bool = False


class Pictures(Protocol):
    """What answers for the text of a picture."""

    @property
    def version(self) -> str:
        """By what pictures are read; "none" where they are not."""

    @property
    def force(self) -> bool:
        """Whether pages that have a text are read as pictures too."""

    def read(self, picture: Picture) -> Recognised | Unread:
        """The text of a picture. Readers ask in the same order whenever they read the same file."""


@dataclass(frozen=True, slots=True)
class Nothing:
    """Answers that nothing is read, and why."""

    why: str
    version: str = "none"
    force: bool = False

    def read(self, picture: Picture) -> Recognised | Unread:
        return Unread(self.why)


@dataclass(slots=True)
class AtOnce:
    """Reads each picture when it is asked for, in time of its own."""

    engine: Engine
    clock: Callable[[float], AbstractContextManager[None]]
    """What goes on inside is not counted as the file's; it ends the process after so many seconds."""
    force: bool = False

    @property
    def version(self) -> str:
        return version(self.engine)

    def read(self, picture: Picture) -> Recognised | Unread:
        with self.clock(2 * PAGE_SECONDS):
            found = recognised(picture(), self.engine)
        return Unread(found) if isinstance(found, str) else found


Found = Recognised | str
"""What came of a picture: its text, or why there is none."""


def recognised(picture: Grey, engine: Engine) -> Found:
    """The text of a picture, or why there is none."""
    from kosearch.ocr.reading import recognise

    try:
        return recognise(picture, engine, PAGE_SECONDS)
    except TooSlow:
        return f"it took longer than {PAGE_SECONDS:g} seconds"


def encoded(found: Found) -> str:
    """As JSON, to be kept."""
    return json.dumps(found if isinstance(found, str) else asdict(found), ensure_ascii=False)


def decoded(text: str) -> Found:
    """What `encoded` made a text of; raises ValueError, TypeError or KeyError for any other text."""
    found = json.loads(text)
    if isinstance(found, str):
        return found
    return Recognised(**found | {"lines": tuple(RecognisedLine(**line) for line in found["lines"])})


@dataclass(slots=True)
class Noted:
    """Answers with what was found before, in the order in which pictures are asked for; keeps those that wait."""

    engine: str
    """The version of what found it."""
    found: Sequence[Found] = ()
    force: bool = False
    asked: list[Picture] = field(default_factory=list)

    @property
    def waiting(self) -> int:
        """How many pictures there is no answer for yet."""
        return len(self.asked) - len(self.found)

    @property
    def version(self) -> str:
        return "waiting" if self.waiting > 0 else self.engine

    def read(self, picture: Picture) -> Recognised | Unread:
        number = len(self.asked)
        self.asked.append(picture)
        if number >= len(self.found):
            return Unread("they are read after all other files", waits=True)
        found = self.found[number]
        return Unread(found) if isinstance(found, str) else found


def version(engine: Engine) -> str:
    """What is kept of a file whose pictures this engine has read."""
    return f"{engine.version}-{RULES}"


def pixel_hash(picture: Grey) -> bytes:
    """What a picture is known by: 16 bytes."""
    return hashlib.blake2b(b"%d %d " % picture.shape + picture.tobytes(), digest_size=16).digest()
