"""Which hits were opened for a question: kept where the user turned that on (`log`), for `kosearch train`.

A line of `clicks.jsonl` among the user's data is a question in the form that `eval` and `train` take, and its answer:

    {"question": "…", "expected": "/home/me/규정.hwp", "page": 3, "click": "open", "time": "2026-01-31T12:00:00+09:00"}

The file is private to the user and stays on the machine; to forget, delete it.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable
from contextlib import suppress
from datetime import datetime
from pathlib import Path

from kosearch.config import Settings


def clicks_file(settings: Settings) -> Path:
    """Where they are kept."""
    return settings.data_dir / "clicks.jsonl"


def keep(settings: Settings, question: str, places: Iterable[tuple[str, int | None]], how: str) -> None:
    """Add what was opened or picked, as paths with pages; whatever goes wrong, it is opened all the same."""
    from kosearch.system import make_private

    now = datetime.now().astimezone().isoformat(timespec="seconds")
    with suppress(OSError):
        file = clicks_file(settings)
        make_private(file.parent)
        handle = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        with os.fdopen(handle, "a", encoding="utf-8") as stream:
            for path, page in places:
                row = {"question": question, "expected": path, **({"page": page} if page else {})}
                stream.write(json.dumps({**row, "click": how, "time": now}, ensure_ascii=False) + "\n")
