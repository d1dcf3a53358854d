"""The only place that prints. stdout is data, stderr is everything else; only a terminal gets colour and progress."""

from __future__ import annotations

import json
import math
import os
import sys
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any, TextIO

from kosearch.cli import render
from kosearch.errors import KosearchError

if TYPE_CHECKING:
    from rich.console import Console

    from kosearch.evaluation.measures import Comparison, Failure, Report
    from kosearch.records import Answer, IndexProgress, Shown
    from kosearch.resident.server import Ask, Consult, Open


class ClosedPipe(Exception):
    """Whoever read our output has stopped reading."""


class Output:
    """A command's two streams."""

    def __init__(
        self,
        stdout: TextIO,
        stderr: TextIO,
        *,
        quiet: bool = False,
        cwd: str = "",
        environ: Mapping[str, str] = os.environ,
    ) -> None:
        self.stdout = stdout
        self.stderr = stderr
        self.quiet = quiet
        self.cwd = cwd or os.getcwd()
        self._environ = environ

    def line(self, text: str) -> None:
        """A line of data."""
        self._write(text + "\n")

    def json(self, value: Mapping[str, Any]) -> None:
        """An object on one line: short for a pipe, and `jq` makes it pretty."""
        self.line(render.json_line(json.dumps(value, ensure_ascii=False, allow_nan=False)))

    def names(self, names: Iterable[bytes], end: bytes) -> None:
        """File names in their own bytes; on a terminal, which opens no files, as they can be shown."""
        if self.stdout.isatty():
            for name in names:
                self.line(render.one_line(os.fsdecode(name)))
            return
        self.flush()
        with _writing():
            for name in names:
                self.stdout.buffer.write(name + end)
            self.stdout.buffer.flush()

    def as_printed(self, stdout: bytes, stderr: bytes) -> None:
        """What another process has made of the command, byte by byte."""
        self._message_bytes(stderr)
        self.flush()
        with _writing():
            self.stdout.buffer.write(stdout)
            self.stdout.buffer.flush()

    def note(self, text: str) -> None:
        """Something to know, unless told to be quiet."""
        if not self.quiet:
            self._message(text)

    def confirmed(self, question: str) -> bool:
        """Whether a person says yes; where there is none to ask, no."""
        if not (sys.stdin.isatty() and self.stderr.isatty()):
            return False
        self._message_bytes(f"{render.block(question)} [y/N] ".encode("utf-8", "replace"))
        return sys.stdin.readline().strip().lower() in ("y", "yes", "예", "네", "ㅇ")

    def warning(self, text: str) -> None:
        """Something that is not as it should be."""
        self._message(f"kosearch: {text}")

    def error(self, error: KosearchError) -> None:
        """What happened, and what to run next."""
        self._message(f"kosearch: {render.one_line(error.message)}")
        if error.hint:
            self._message(f"  {render.one_line(error.hint)}")

    def answer(self, found: Answer, *, explain: bool, numbered: bool, named: Mapping[str, str] | None = None) -> None:
        """A question's hits for a person: wrapped and coloured on a terminal, a paragraph a line in a pipe.

        `named` has what is shown of each index that is asked, where a hit says in which it stands.
        """
        draw = self._draw if self.stdout.isatty() else self._plain
        if numbered:
            draw(0, render.one_line(found.question), "bold underline", "")
        for hit in found.hits:
            draw(
                0,
                f"{hit.rank:>2}  {render.headline(hit, self.cwd)}  {hit.score:.3f}{' weak' if hit.weak else ''}"
                + (f"  [{render.one_line(named[hit.index])}]" if named else ""),
                f"bold cyan{self._link(hit.path_bytes)}",
                "",
            )
            if path := render.heading_path(hit):
                draw(4, path, "italic", "")
            for text in render.body(hit):
                draw(4, text, "", found.searched or found.question)
            if explain:
                draw(4, render.explanation(hit), "dim", "")
            for aside in render.asides(hit, self.cwd):
                draw(4, aside, "dim", "")
            draw(0, "", "", "")
        self.flush()

    def _link(self, path_bytes: bytes) -> str:
        """rich's style of a link to a file (OSC 8), in terminals that are known to follow it."""
        environ = self._environ
        follows = any(environ.get(name) for name in ("DOMTERM", "KITTY_WINDOW_ID", "KONSOLE_VERSION", "WT_SESSION"))
        follows = follows or environ.get("TERM_PROGRAM", "") in ("iTerm.app", "WezTerm", "vscode", "ghostty", "Tabby")
        if not follows and not (environ.get("VTE_VERSION", "").isdigit() and int(environ["VTE_VERSION"]) >= 5000):
            return ""
        import socket
        from urllib.parse import quote

        return f" link file://{socket.gethostname()}{quote(path_bytes)}"

    def shown(self, passage: Shown) -> None:
        """A passage between the lines around it, which are dim on a terminal."""
        draw = self._draw if self.stdout.isatty() else self._plain
        draw(0, render.place(passage, self.cwd), "bold cyan", "")
        for text, style in ((passage.before, "dim"), (passage.text, ""), (passage.after, "dim")):
            if text.strip("\n"):
                draw(0, render.block(text.strip("\n")), style, "")
        self.flush()

    def text(self, text: str) -> None:
        """A document's text: as it is into a pipe, without control characters on a terminal."""
        self.line(render.block(text) if self.stdout.isatty() else text)

    def paragraph(self, text: str, *, indent: int = 0, style: str = "") -> None:
        """A line of a list: wrapped and styled on a terminal, as it is into a pipe."""
        (self._draw if self.stdout.isatty() else self._plain)(indent, text, style, "")

    def row(self, head: str, text: str, aside: str) -> None:
        """A line of a tree: on a terminal cut at its width, what is aside dim; as it is into a pipe."""
        line = render.one_line(f"{head}{text}{'  ' * bool(aside)}{aside}")
        if not self.stdout.isatty():
            self.line(line)
            return
        from rich.text import Text

        shown = Text(line)
        shown.stylize("dim", len(head) + len(text))
        shown.truncate(self._console.width, overflow="ellipsis")
        with _writing():
            self._console.print(shown)

    def changes(self, found: Iterable[tuple[str, str]], *, indent: int) -> None:
        """How two texts differ (`same`, `gone`, `new`, with the words): coloured on a terminal, as wdiff in a pipe."""
        marks = render.CHANGES if self.stdout.isatty() else render.PLAIN_CHANGES
        parts = [(render.change(kind, words, marks), marks[kind][2]) for kind, words in found]
        if not self.stdout.isatty():
            self._plain(indent, " ".join(text for text, _ in parts), "", "")
            return
        from rich.text import Text

        with _writing():
            for line in Text(" ").join(Text(*part) for part in parts).wrap(self._console, self._console.width - indent):
                line.rstrip()
                line.pad_left(indent)
                self._console.print(line)

    def page(self, markdown: str) -> None:
        """A page of the documentation: drawn on a terminal, as it is into a pipe."""
        if not self.stdout.isatty():
            self._write(markdown)
            return
        from rich.markdown import Markdown

        with _writing():
            self._console.print(Markdown(markdown))

    def progress(self) -> Progress:
        """A line that follows a run of indexing: on a terminal only, and never when quiet."""
        return Progress(self.stderr, shown=self.stderr.isatty() and not self.quiet)

    def counter(self, what: str, total: int) -> Counter:
        """A count that goes up, under the same conditions."""
        return Counter(self.stderr, what, total, shown=self.stderr.isatty() and not self.quiet)

    def steps(self) -> Steps:
        """The steps of an analysis, under the same conditions."""
        return Steps(self.stderr, shown=self.stderr.isatty() and not self.quiet)

    def amount(self, what: str) -> Amount:
        """Bytes that go up, under the same conditions."""
        return Amount(self.stderr, what, shown=self.stderr.isatty() and not self.quiet)

    def evaluation(
        self,
        name: str,
        measured: Sequence[Report],
        compared: Sequence[Comparison],
        failed: Mapping[str, Sequence[Failure]],
    ) -> None:
        """Measures as a table, comparisons with their p-values, and questions that went wrong."""
        for text in (*render.measures(name, measured), *render.comparisons(compared), *render.failed(failed)):
            self.line(render.one_line(text))

    def flush(self) -> None:
        """Hand everything on, so that a closed pipe is noticed here and not at exit."""
        with _writing():
            self.stdout.flush()

    def _plain(self, indent: int, text: str, _style: str, _question: str) -> None:
        self._write("".join(f"{' ' * indent}{line}".rstrip() + "\n" for line in text.split("\n")))

    def _draw(self, indent: int, text: str, style: str, question: str) -> None:
        """Wide Hangul is measured, lines wrap at the terminal's width, markup in the text means nothing."""
        lines = render.styled(text, style, question).wrap(self._console, self._console.width - indent)
        with _writing():
            for line in lines:
                line.rstrip()
                line.pad_left(indent)
                self._console.print(line)

    @cached_property
    def _console(self) -> Console:
        from rich.console import Console

        return Console(file=self.stdout, highlight=False, markup=False, emoji=False, _environ=self._environ)

    def _write(self, text: str) -> None:
        with _writing():
            self.stdout.write(text)

    def _message(self, text: str) -> None:
        self._message_bytes(f"{render.block(text)}\n".encode("utf-8", "replace"))

    def _message_bytes(self, text: bytes) -> None:
        try:
            self.stderr.flush()
            self.stderr.buffer.write(text)
            self.stderr.buffer.flush()
        except OSError:  # nobody can be told: the exit code has to say it all
            discard(self.stderr)


def unwritable(error: OSError) -> KosearchError:
    """The error for output that has no room, or nowhere to go."""
    return KosearchError(f"the output cannot be written: {error.strerror}", "see where it goes, and how full that is")


def discard(stream: TextIO) -> None:
    """Nobody reads on: without this the interpreter would complain while it flushes at exit."""
    devnull = os.open(os.devnull, os.O_WRONLY)
    os.dup2(devnull, stream.fileno())
    os.close(devnull)


@contextmanager
def _writing() -> Iterator[None]:
    try:
        yield
    except BrokenPipeError as closed:
        raise ClosedPipe from closed
    except OSError as error:
        raise unwritable(error) from error


@dataclass(frozen=True, slots=True)
class Caller:
    """The process whose command is run: mostly this one, and for the resident one that asks it."""

    output: Output
    argv: Sequence[str] = ()
    environ: Mapping[str, str] = field(default_factory=lambda: os.environ)
    ask: Ask | None = None
    """Answers that are at hand. May raise anything: then the command ends with it."""
    opened: Open | None = None
    """An index with all that is loaded, where few files are to be indexed."""
    consulted: Consult | None = None
    """An index with all that is loaded, as up to date as it is for questions."""
    questions: Sequence[str] | None = None
    """What was read from its file or its input."""


class Counter:
    """`3120/5764 questions`, redrawn in place."""

    def __init__(self, stream: TextIO, what: str, total: int, *, shown: bool) -> None:
        self._stream = stream
        self._what = what
        self._total = total
        self._shown = shown
        self._done = 0
        self._drawn = 0.0

    def __enter__(self) -> Counter:
        return self

    def __exit__(self, *_: object) -> None:
        if self._drawn:
            self._stream.write("\r\x1b[K")
            self._stream.flush()

    def advance(self) -> None:
        """One more is done."""
        self._done += 1
        now = time.monotonic()
        if self._shown and now - self._drawn >= Progress.INTERVAL:
            self._drawn = now
            self._stream.write(f"\r{self._done}/{self._total} {self._what}\x1b[K")
            self._stream.flush()


class Steps:
    """`20480/30000 passages compared`, redrawn in place; each step begins anew."""

    def __init__(self, stream: TextIO, *, shown: bool) -> None:
        self._stream = stream
        self._shown = shown
        self._begun = time.monotonic()
        self._drawn = 0.0

    def __enter__(self) -> Steps:
        return self

    def __exit__(self, *_: object) -> None:
        self.clear()

    def __call__(self, what: str, done: int, total: int) -> None:
        """So much of a step is done. Nothing is drawn in the first second."""
        now = time.monotonic()
        if self._shown and now - self._begun >= 1 and now - self._drawn >= Progress.INTERVAL:
            self._drawn = now
            self._stream.write(f"\r{done:,}/{total:,} {what}\x1b[K")
            self._stream.flush()

    def clear(self) -> None:
        """Take the line away, before anything else is printed."""
        if self._drawn:
            self._drawn = 0.0
            self._stream.write("\r\x1b[K")
            self._stream.flush()


class Amount:
    """`312.5 MiB of 2.1 GiB verified`, redrawn in place."""

    def __init__(self, stream: TextIO, what: str, *, shown: bool) -> None:
        self._stream = stream
        self._what = what
        self._shown = shown

    def __enter__(self) -> Amount:
        return self

    def __exit__(self, *_: object) -> None:
        if self._shown:
            self._stream.write("\r\x1b[K")
            self._stream.flush()

    def __call__(self, done: int, total: int) -> None:
        """So many bytes are done, of all."""
        if self._shown:
            self._stream.write(f"\r{render.size_of(done)} of {render.size_of(total)} {self._what}\x1b[K")
            self._stream.flush()


class Progress:
    """Files, bytes, passages a second and time left, on one line that is redrawn in place."""

    INTERVAL = 0.1

    def __init__(self, stream: TextIO, *, shown: bool) -> None:
        self._stream = stream
        self._shown = shown
        self._begun = time.monotonic()
        self._drawn = 0.0
        self._indexing, self._recognising = _Remaining(), _Remaining()
        self._first_picture = 0.0
        """When recognising began."""

    def __enter__(self) -> Progress:
        self._draw("starting …")
        return self

    def __exit__(self, *_: object) -> None:
        self.clear()

    def clear(self) -> None:
        """Make room for a line of its own."""
        if self._shown and self._drawn:
            self._stream.write("\r\x1b[K")
            self._stream.flush()

    def update(self, state: IndexProgress) -> None:
        """Redraw, at most ten times a second."""
        now = time.monotonic()
        if self._shown and now - self._drawn >= self.INTERVAL:
            self._draw(self._line(state, now))

    def _draw(self, line: str) -> None:
        if self._shown:
            self._drawn = time.monotonic()
            width = os.get_terminal_size(self._stream.fileno()).columns
            self._stream.write(f"\r{_fit(line, width - 1)}\x1b[K")
            self._stream.flush()

    def _line(self, state: IndexProgress, now: float) -> str:
        if state.pictures_total:
            self._first_picture = self._first_picture or now
            line = f"OCR page {state.pictures_done} of {state.pictures_total}"
            if state.pictures_done:
                pace = (now - self._first_picture) / state.pictures_done
                line += f", {self._recognising.said(pace * (state.pictures_total - state.pictures_done))}"
            return f"{line}  {render.one_line(os.path.basename(state.path))}"
        if not state.files_total:
            return "looking for files …"
        more = "+" if state.walking else ""
        line = f"{state.files_done}/{state.files_total}{more} files"
        if state.bytes_total:
            line += f", {render.size_of(state.bytes_done)} of {render.size_of(state.bytes_total)}{more}"
        line += f", {state.embedded + state.reused}/{render.counted(state.passages, 'passage')}"
        if state.embedded:
            line += f", {state.embedded / max(now - self._begun, 1e-6):.1f}/s"
        left = self._left(state, now)
        if left is not None:
            line += f", {self._indexing.said(left)}"
        return f"{line}  {render.one_line(os.path.basename(state.path))}"

    def _left(self, state: IndexProgress, now: float) -> float | None:
        """Seconds: passages that wait, and those that the bytes left will give, at the pace so far."""
        if state.walking or not state.embedded or not state.bytes_done:
            return None
        coming = state.passages * (state.bytes_total - state.bytes_done) / state.bytes_done
        waiting = state.passages - state.reused - state.embedded
        return (now - self._begun) / state.embedded * (max(waiting, 0) + coming)


class _Remaining:
    """Time left, in words. What is said never rises: a run that slows down says that it takes longer than it said."""

    def __init__(self) -> None:
        self._least = math.inf

    def said(self, seconds: float) -> str:
        """`1 min 15 s left`, or `over 40.0 s left` where 40 were said before and it will be well more."""
        self._least = min(self._least, seconds)
        return f"{'over ' if seconds > 1.2 * self._least else ''}{render.duration_of(self._least)} left"


def _fit(text: str, width: int) -> str:
    from rich.cells import set_cell_size

    return set_cell_size(text, width).rstrip()


def standard() -> Output:
    """The process's own streams, in UTF-8 whatever the locale says."""
    for stream in (sys.stdout, sys.stderr):
        reconfigure = getattr(stream, "reconfigure", None)
        if reconfigure is not None:
            reconfigure(encoding="utf-8", errors="replace")
    return Output(sys.stdout, sys.stderr)
