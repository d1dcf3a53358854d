"""Programs that show a document at its place: `kosearch open` and the page of `kosearch ui` stand on them."""

from __future__ import annotations

import os
import re
import shlex
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kosearch.errors import OK, KosearchError, UsageError

if TYPE_CHECKING:
    from kosearch.config import Settings

_PDF = (
    ("evince", "--page-index={page} {path}"),
    ("okular", "--page {page} {path}"),
    ("zathura", "--page={page} {path}"),
    ("xreader", "--page-index={page} {path}"),
    ("SumatraPDF.exe", "-page {page} {path}"),
)
"""Viewers that go to a page, the first that is there is taken."""
_SKIM = (
    "on run argv",
    'tell application "Skim"',
    "activate",
    "open POSIX file (item 1 of argv)",
    "tell document 1 to go to page ((item 2 of argv) as integer)",
    "end tell",
    "end run",
)
"""What goes to a page on a Mac. Preview, which is there by itself, has nothing to be told a page by."""
_APPLICATIONS = ("/Applications", "~/Applications")
_EDITORS = {
    **dict.fromkeys(
        ("vi", "vim", "nvim", "nano", "emacs", "emacsclient", "gedit", "less", "micro", "kak"), "+{line} {path}"
    ),
    **dict.fromkeys(("code", "codium", "cursor"), "--goto {path}:{line}"),
    **dict.fromkeys(("subl", "zed", "hx"), "{path}:{line}"),
    "kate": "--line {line} {path}",
}
"""How editors are told a line."""
_IN_THE_TERMINAL = frozenset(("vi", "vim", "nvim", "nano", "emacs", "less", "micro", "kak", "hx"))
_WINDOWS = frozenset(("code", "codium", "cursor", "subl", "zed", "kate", "gedit", "emacsclient"))
"""Editors with a window of their own, for which nobody waits."""
_LINES = frozenset(("text", "markdown", "code", "csv", "json", "rst", "org", "asciidoc", "latex", "xml", "subtitles"))
"""Types whose lines an editor shows as they are counted here."""
_LONGEST_NAME = 200
"""Bytes; file systems allow 255."""
_FIELD = re.compile(r"\{(\w+)\}")


def viewer(settings: Settings, hit: Mapping[str, Any], *, terminal: bool = True) -> list[str]:
    """The command that shows a hit (path, kind, line, page): the user's for its type, or one that is there.

    Without a `terminal`, editors that want one are passed over. Words are put together here and never by a shell.
    Raises UsageError where nothing is there to open it with.
    """
    import shutil

    values = {"path": hit["path"], "line": str(hit["line"]), "page": str(hit["page"] or 1)}
    chosen = dict(settings.viewers).get(hit["kind"]) or dict(settings.viewers).get("other")
    if chosen:
        words = shlex.split(chosen)
        named = words if any("{path}" in word for word in words) else [*words, "{path}"]
        return [_FIELD.sub(lambda found: values.get(found[1], found[0]), word) for word in named]
    if hit["kind"] == "pdf":
        for program, template in _PDF:
            if found := shutil.which(program):
                return [found, *(word.format(**values) for word in template.split(" "))]
        if sys.platform == "darwin" and any(Path(one, "Skim.app").expanduser().exists() for one in _APPLICATIONS):
            script = [word for line in _SKIM for word in ("-e", line)]
            return ["/usr/bin/osascript", *script, values["path"], values["page"]]
    editor = _editor()
    if hit["kind"] in _LINES and (terminal or os.path.basename(editor[0]) in _WINDOWS):
        template = _EDITORS.get(os.path.basename(editor[0]), "{path}")
        if shutil.which(editor[0]):
            return [*editor, *(word.format(**values) for word in template.split(" "))]
    for program in ("xdg-open", "open") if sys.platform != "darwin" else ("open",):
        if found := shutil.which(program):
            return [found, hit["path"]]
    raise UsageError(
        f"there is no program to open {hit['path']} with",
        f'name one in the settings: viewers = {{ {hit["kind"]} = "PROGRAM {{path}}" }}',
    )


def _editor() -> list[str]:
    return shlex.split(os.environ.get("VISUAL") or os.environ.get("EDITOR") or "") or ["less"]


def taken_out(path: str, member: str) -> tuple[str, bool]:
    """A file inside another as a file of its own, read only, in a folder for its user alone; or the outer one."""
    import tempfile

    from kosearch.library import attachment

    content = attachment(path, member)
    if content is None:
        return path, False
    folder = Path(tempfile.mkdtemp(prefix="kosearch-"))  # of mode 0700
    name = os.path.basename(member).replace("\0", "").lstrip(".-") or "attachment"
    while len(os.fsencode(name)) > _LONGEST_NAME:
        name = name[1:]
    file = folder / name
    file.write_bytes(content)
    file.chmod(0o400)
    return str(file), True


def run(command: Sequence[str], *, terminal: bool = True) -> int:
    """Run a viewer: in the terminal and waited for, or beside it. Raises KosearchError."""
    import subprocess

    try:
        name = os.path.basename(command[0])
        if terminal and (name in _IN_THE_TERMINAL or (command[0] == _editor()[0] and name not in _WINDOWS)):
            return subprocess.run(command, check=False).returncode
        subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
    except OSError as error:
        raise KosearchError(f"{command[0]} cannot be run: {error.strerror}", "kosearch open --print") from error
    return OK
