"""Named moments of a write, so that tests can stop the program at each of them."""

from __future__ import annotations

from collections.abc import Callable

hooks: list[Callable[[str], None]] = []


def step(name: str) -> None:
    """Say that a write has come to `name`; a hook may raise or kill the process there."""
    for hook in hooks:
        hook(name)
