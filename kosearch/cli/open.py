"""`kosearch open`: from a hit of this terminal's last question to the place where it stands."""

from __future__ import annotations

import base64
import json
import os
import re
import shlex
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from kosearch.cli import clicks, options, render
from kosearch.errors import OK, KosearchError, UsageError

if TYPE_CHECKING:
    from kosearch.cli.output import Output
    from kosearch.config import Settings
    from kosearch.records import Hit

_LAST = "last-questions"
_MOST = 64
"""Terminals whose last hits are kept."""
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


def remember(question: str, hits: Sequence[Hit], settings: Settings, environ: Mapping[str, str]) -> None:
    """Keep where the hits stand for `kosearch open`, and what was asked where what is opened is to be kept.

    Whatever goes wrong, a question is answered all the same.
    """
    with suppress(OSError, ValueError):
        from kosearch.system import make_private

        file = _file(settings, environ)
        make_private(file.parent)
        for old in sorted(file.parent.iterdir(), key=lambda one: one.stat().st_mtime)[:-_MOST]:
            old.unlink(missing_ok=True)
        asked = {"question": question} if settings.log else {}
        rows = [{**_place_of(hit), **asked} for hit in hits]
        handle = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(handle, "w") as stream:
            json.dump(rows, stream)


def open_hit(
    context: typer.Context,
    number: Annotated[int, typer.Argument(metavar="[N]", min=1, help="Which hit of the last question.")] = 1,
    show: Annotated[bool, typer.Option("--print", help="Print the command instead of running it.")] = False,
    quiet: options.Quiet = False,
) -> int:
    """Open a hit of this terminal's last question at its place.

    That is its page or line, where the viewer can go to one. A file in a mail or an archive is taken out into a private
    folder, and is read only there.
    """
    output = options.output_of(context, quiet=quiet)
    settings = options.settings()
    place = _last(settings, number)
    code = _open(output, settings, place, show=show)
    if place.get("question") and not show:
        clicks.keep(settings, place["question"], [(place["shown"], place["page"])], "open")
    return code


def open_place(output: Output, settings: Settings, hit: Hit) -> int:
    """Open a hit at its page or line. Raises as the command does."""
    return _open(output, settings, _place_of(hit))


def _place_of(hit: Hit) -> dict[str, Any]:
    return {
        "path": base64.b64encode(hit.path_bytes).decode(),
        "shown": hit.path,
        "member": hit.member,
        "kind": hit.kind,
        "line": hit.cited.line_start,
        "page": hit.page,
    }


def _open(output: Output, settings: Settings, place: Mapping[str, Any], *, show: bool = False) -> int:
    path = os.fsdecode(base64.b64decode(place["path"]))
    if not os.path.exists(path):
        raise UsageError(f"{path} is not there any more", "kosearch index brings the index up to date")
    if place["member"]:
        path, inside = _taken_out(path, place["member"])
        if not inside:
            output.note(f"{place['member']} has no file of its own: this opens the file that it stands in")
    command = viewer(settings, {**place, "path": path})
    if show:
        output.line(shlex.join(command))
        return OK
    output.flush()
    return _run(command)


def viewer(settings: Settings, hit: Mapping[str, Any]) -> list[str]:
    """The command that shows a hit (path, kind, line, page): the user's for its type, or one that is there.

    Words are put together here and never by a shell. Raises UsageError where nothing is there to open it with.
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
    if hit["kind"] in _LINES:
        editor = _editor()
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


def _file(settings: Settings, environ: Mapping[str, str]) -> Path:
    session = environ.get("KOSEARCH_SESSION") or str(os.getsid(0))
    return settings.cache_dir / _LAST / f"{int(session)}.json"


def _last(settings: Settings, number: int) -> dict[str, Any]:
    try:
        rows: list[dict[str, Any]] = json.loads(_file(settings, os.environ).read_text())
    except (OSError, ValueError) as error:
        raise UsageError("no question was asked in this terminal yet", "kosearch query TEXT") from error
    if number > len(rows):
        raise UsageError(f"the last question had {render.counted(len(rows), 'hit')}", "kosearch open 1")
    return rows[number - 1]


def _taken_out(path: str, member: str) -> tuple[str, bool]:
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


def _run(command: Sequence[str]) -> int:
    """Run a viewer: in the terminal and waited for, or beside it."""
    import subprocess

    try:
        name = os.path.basename(command[0])
        if name in _IN_THE_TERMINAL or (command[0] == _editor()[0] and name not in _WINDOWS):
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
