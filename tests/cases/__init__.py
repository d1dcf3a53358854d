"""Small inputs that readers are known to get wrong, what is right for each, and an assertion that says so.

A family of formats is a module; a case is a function in it, marked with `case`. It asserts by `has`, `lacks` and
`same`, whose messages tell what came instead. `python -m tests.cases` prints them all; `tests/test_cases.py` runs them.
"""

from __future__ import annotations

import io
import zipfile
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

from kosearch.extract import ExtractError, extract
from kosearch.records import Extracted, Extraction

FAMILIES = ("office", "hwp", "pdf", "mail", "web", "text", "questions")
SHARED = Path(__file__).resolve().parents[3] / "shared" / "cases"
_SHOWN = 200


@dataclass(frozen=True)
class Case:
    """One input and what is right for it."""

    family: str
    name: str
    right: str
    check: Callable[[], None]
    """Raises AssertionError with what came instead."""
    file: Path | None = None
    """The shared file that it needs; None where the input is made by the case itself."""
    slow: bool = False

    @property
    def present(self) -> bool:
        return self.file is None or self.file.exists()


_CASES: list[Case] = []


def case(
    right: str, *, file: str = "", refused: bool = False, slow: bool = False
) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Marks a function as a case: `right` says what it asserts.

    With `file`, a shared one, the function is given its Extraction, or the ExtractError where it must be refused.
    """

    def mark(function: Callable[..., None]) -> Callable[..., None]:
        family = function.__module__.rpartition(".")[2]
        shared = SHARED / "files" / file if file else None

        def check() -> None:
            if shared is None:
                function()
            elif refused:
                function(refusal(shared.read_bytes(), shared.name))
            else:
                function(extract(shared.read_bytes(), path=shared.name, archives=True))

        name = file or function.__name__.replace("_", " ").strip()
        _CASES.append(Case(family, name, right, check, shared, slow))
        return function

    return mark


def cases(*families: str) -> list[Case]:
    """The cases of these families, of all without a name."""
    for family in families or FAMILIES:
        import_module(f".{family}", __package__)
    return [one for one in _CASES if not families or one.family in families]


def read(data: bytes | str, path: str, *, archives: bool = False) -> Extraction:
    """What is in a file of this content and name."""
    return extract(data.encode() if isinstance(data, str) else data, path=path, archives=archives)


def only(found: Extraction) -> Extracted:
    """The only document, which is the file itself."""
    same([one.member for one in found.documents], [""])
    return found.documents[0]


def whole(found: Extraction) -> str:
    """The texts of all documents."""
    return "\n".join(one.text for one in found.documents)


def refusal(data: bytes, path: str, *, archives: bool = False) -> ExtractError:
    """The error with which a file is turned away."""
    try:
        found = read(data, path, archives=archives)
    except ExtractError as error:
        return error
    raise AssertionError(f"read as {[one.kind for one in found.documents]}")


def packed(members: Mapping[str, str | bytes]) -> bytes:
    """A ZIP file of these members."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as package:
        for name, content in members.items():
            package.writestr(name, content)
    return out.getvalue()


def has(text: str, *parts: str) -> None:
    """Each part stands in the text."""
    for part in parts:
        if part not in text:
            raise AssertionError(f"no {part!r} in {_shortened(text)}")


def lacks(text: str, *parts: str) -> None:
    """No part stands in the text."""
    for part in parts:
        if part in text:
            place = text.index(part)
            raise AssertionError(f"{part!r} in {_shortened(text[max(0, place - 60) :])}")


def same(came: Any, right: Any) -> None:
    """Both are equal."""
    if came != right:
        raise AssertionError(f"{_shortened(came)} instead of {_shortened(right)}")


def outcomes(chosen: list[Case]) -> Iterator[tuple[Case, str]]:
    """Each case and "passed", "absent" or what came."""
    for one in chosen:
        if not one.present:
            yield one, "absent"
            continue
        try:
            one.check()
        except (AssertionError, ExtractError) as error:
            yield one, f"came: {error}"
        else:
            yield one, "passed"


def _shortened(value: Any) -> str:
    shown = repr(value)
    return shown if len(shown) <= _SHOWN else f"{shown[:_SHOWN]}…"
