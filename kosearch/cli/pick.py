"""`kosearch pick`: type, see hits and a preview, open one or choose several. Alone knows the package prompt_toolkit."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

import typer

from kosearch.cli import clicks, options, render
from kosearch.errors import NO_HIT, OK, KosearchError, UsageError

if TYPE_CHECKING:
    from prompt_toolkit.application import Application
    from prompt_toolkit.formatted_text import StyleAndTextTuples
    from prompt_toolkit.key_binding.key_processor import KeyPressEvent

    from kosearch.records import Hit

_PAUSE = 0.25
"""Seconds without a key after which a question is asked."""
_SHOWN = 8
"""Hits in the list; the rest of the screen is the preview's."""
_HELP = "type a question · ↑↓ move · Tab mark · Enter open or print marked · Esc leave"


def pick(context: typer.Context, index: options.Index = None, device: options.Device = None) -> int:
    """Search while you type, and open hits or print their paths.

    Enter opens a hit; Tab marks several, and Enter prints their paths. Ends with 1 when nothing was chosen.
    """
    output = options.output_of(context)
    settings = options.settings(index=index, device=device)
    if find_spec("prompt_toolkit") is None:
        raise UsageError("picking needs the package prompt-toolkit", "pip install 'kosearch[pick]'")
    if not (sys.stdin.isatty() and sys.stderr.isatty()):
        raise UsageError("picking needs a terminal", "kosearch query TEXT --paths")
    from kosearch.cli.open import open_place
    from kosearch.library import Index

    with Index(settings, questions=1) as library:
        library.store  # noqa: B018 - opened now: where there is none, that is said before the screen changes
        picker = Picker(lambda text: library.search(text, k=_SHOWN).hits, output.cwd)
        chosen = picker.run()
    if settings.log and chosen:
        clicks.keep(settings, picker.question, [(hit.path, hit.page) for hit in chosen], "pick")
    if picker.opens and chosen:
        return open_place(output, settings, chosen[0])
    output.names(dict.fromkeys(hit.path_bytes for hit in chosen), b"\n")
    return OK if chosen else NO_HIT


class Picker:
    """The screen: a question, its hits, and the text of the one that is looked at."""

    def __init__(self, search: Callable[[str], Sequence[Hit]], cwd: str, **streams: Any) -> None:
        """`search` may raise KosearchError; `streams` are prompt_toolkit's `input` and `output`, for tests."""
        self._search = search
        self._cwd = cwd
        self._streams = streams
        self._hits: Sequence[Hit] = ()
        self._marked: dict[str, Hit] = {}
        self._row = 0
        self._said = _HELP
        self.question = ""
        """What the hits that are shown were found for."""
        self.opens = False
        """Whether what `run` returned is to be opened."""

    def run(self) -> list[Hit]:
        """Show it until somebody chooses; the hits that were chosen, in the order in which they were marked."""
        chosen: list[Hit] = self._application().run()
        return chosen

    def _application(self) -> Application[list[Hit]]:
        from prompt_toolkit.application import Application
        from prompt_toolkit.buffer import Buffer
        from prompt_toolkit.key_binding import KeyBindings
        from prompt_toolkit.layout import BufferControl, FormattedTextControl, HSplit, Layout, Window
        from prompt_toolkit.layout.processors import BeforeInput
        from prompt_toolkit.output import create_output

        keys = KeyBindings()
        keys.add("up")(lambda _: self._move(-1))
        keys.add("down")(lambda _: self._move(1))
        keys.add("tab")(lambda _: self._mark())
        keys.add("enter")(self._enter)
        keys.add("escape", eager=True)(lambda event: event.app.exit(result=[]))
        keys.add("c-c")(lambda event: event.app.exit(result=[]))
        question = Buffer(multiline=False, on_text_changed=self._typed)
        lines = HSplit(
            [
                Window(BufferControl(question, input_processors=[BeforeInput("> ")]), height=1),
                Window(FormattedTextControl(lambda: [("class:dim", self._said)]), height=1),
                Window(FormattedTextControl(self._list), height=_SHOWN),
                Window(height=1, char="─"),
                Window(FormattedTextControl(self._preview), wrap_lines=True),
            ]
        )
        streams = self._streams or {"output": create_output(stdout=sys.stderr)}  # stdout is for what is chosen
        return Application(Layout(lines), key_bindings=keys, full_screen=True, **streams)

    def _typed(self, question: Any) -> None:
        from prompt_toolkit.application import get_app

        get_app().create_background_task(self._ask(question, question.text))

    async def _ask(self, question: Any, text: str) -> None:
        import asyncio

        from prompt_toolkit.application import get_app

        await asyncio.sleep(_PAUSE)
        if text != question.text or not text.strip():
            return
        try:
            found = await asyncio.get_running_loop().run_in_executor(None, self._search, text)
        except KosearchError as error:
            found, self._said = (), render.one_line(error.message)
        else:
            self._said = _HELP if found else "no hit"
        if text == question.text:
            self._hits, self._row, self.question = found, 0, text
        get_app().invalidate()

    def _list(self) -> StyleAndTextTuples:
        rows: StyleAndTextTuples = []
        for row, hit in enumerate(self._hits):
            mark = "*" if hit.id in self._marked else " "
            rows.append(("reverse" if row == self._row else "", f"{mark} {render.headline(hit, self._cwd)}\n"))
        return rows

    def _preview(self) -> str:
        return "\n".join((render.heading_path(hit), render.excerpt(hit))) if (hit := self._here()) else ""

    def _here(self) -> Hit | None:
        return self._hits[self._row] if self._hits else None

    def _move(self, by: int) -> None:
        self._row = max(0, min(len(self._hits) - 1, self._row + by))

    def _mark(self) -> None:
        if hit := self._here():
            if self._marked.pop(hit.id, None) is None:
                self._marked[hit.id] = hit
            self._move(1)

    def _enter(self, event: KeyPressEvent) -> None:
        hit = self._here()
        self.opens = not self._marked
        event.app.exit(result=list(self._marked.values()) or ([hit] if hit else []))
