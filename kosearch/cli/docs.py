"""`kosearch docs`: the pages that come with the installation."""

from __future__ import annotations

from collections.abc import Mapping
from importlib.resources import files
from typing import Annotated

import typer

from kosearch.cli import options
from kosearch.errors import OK, UsageError

TOPICS = {
    "use": "Everyday use",
    "scripts": "In scripts: exit codes and JSON",
    "python": "From Python",
    "files": "Which files are read, and as what",
    "models": "Models, on this machine and over HTTP",
    "settings": "Settings and places",
    "quality": "How well it finds",
    "speed": "How fast it is",
    "privacy": "What it never does, and its limits",
    "threat-model": "Who could do harm, what is promised, and what holds it",
    "architecture": "For developers: rooms, ways, form on disk, promises, glossary",
    "changelog": "What changed",
}
"""A page's name → what it is about."""
_TOPICS_KO = {
    "use": "매일 쓰는 명령",
    "scripts": "스크립트에서: 종료 코드와 JSON",
    "files": "읽는 파일과 형식",
    "models": "모델: 이 컴퓨터에서, HTTP로",
    "settings": "설정과 저장 위치",
    "privacy": "하지 않는 일과 한계",
}


def _complete(incomplete: str) -> list[str]:
    return [name for name in TOPICS if name.startswith(incomplete)]


def command(
    context: typer.Context,
    topic: Annotated[
        str | None, typer.Argument(metavar="[TOPIC]", help="Which page.", autocompletion=_complete)
    ] = None,
) -> int:
    """Print a page of the documentation; without a topic, list them. In Korean where the locale is."""
    output = options.output_of(context)
    korean = is_korean(context.obj.environ)
    if topic is None:
        names = {**TOPICS, **(_TOPICS_KO if korean else {})}
        for name, about in names.items():
            output.line(f"{name:<14}{about}")
        return OK
    if topic not in TOPICS:
        raise UsageError(f"there is no page {topic!r}", "kosearch docs lists them")
    output.page(page(topic, korean=korean))
    return OK


def is_korean(environ: Mapping[str, str]) -> bool:
    """Whether messages are wanted in Korean: the first of the three variables that is set says so, as in POSIX."""
    language = next((environ[name] for name in ("LC_ALL", "LC_MESSAGES", "LANG") if environ.get(name)), "")
    return language == "ko" or language.startswith(("ko_", "ko."))


def page(topic: str, *, korean: bool) -> str:
    """A page's Markdown: the Korean one where it is wanted and there is one."""
    folder = files("kosearch") / "docs"
    wanted = folder / "ko" / f"{topic}.md"
    return (wanted if korean and wanted.is_file() else folder / f"{topic}.md").read_text(encoding="utf-8")
