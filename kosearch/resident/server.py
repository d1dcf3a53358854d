"""The warm process: what it holds ready, and how it takes requests, bounded in number, size and time, until its end."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import replace
from functools import cached_property
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import kosearch
from kosearch import config, embedding, resident, system
from kosearch.config import REFRESH_SECONDS, Settings
from kosearch.errors import KosearchError, UsageError
from kosearch.joined import join
from kosearch.library import Index, behind_by
from kosearch.processing import CuttingPool, DocumentProcessor, FileProcessor
from kosearch.records import Answer, Query
from kosearch.resident import Elsewhere, protocol
from kosearch.resident.fresh import Freshness, Reader
from kosearch.resident.watching import Watcher
from kosearch.terms import Analyzer

if TYPE_CHECKING:
    from kosearch.records import TokenOffsets, Vectors

_FOLDERS = ("KOSEARCH_CONFIG", "KOSEARCH_DATA_DIR", "KOSEARCH_CACHE_DIR")
MOST = 8
"""Indexes held at the same time; the one that nobody asked for longest makes room."""
MOST_ANALYZERS = 2
"""So many lists of words of the user's own: each takes a Kiwi of its own, some hundred megabytes."""


class Warm:
    """Answers from any index. Every method may be called from any thread."""

    def __init__(self, settings: Settings) -> None:
        self._analyzers: dict[tuple[str, ...], Analyzer] = {}
        self._settings = settings
        self._offsets: dict[str, TokenOffsets] = {}
        self._query_embedders: dict[str, embedding.Embedder] = {}
        self._embedders: dict[str, embedding.Embedder] = {}
        self._rescorers: dict[str, embedding.Rescorer] = {}
        self._indexes: dict[str, _Index] = {}
        self._holding = threading.Lock()
        self._loading = threading.Lock()
        self.reader = Reader(settings.timeout)
        self.watchers: list[Watcher] = []

    @property
    def indexes(self) -> list[str]:
        """The directories of the indexes that are held, the latest asked last."""
        return list(self._indexes)

    def answers(self, directories: Sequence[str], queries: Sequence[Query], refresh: float = 0.0) -> list[Answer]:
        """As Index.answers, or Joined.answers, and raises as they do. Hits name the directory as their index.

        Before, changes of up to `refresh` seconds of work are indexed.
        """
        libraries = [self._library(one) for one in directories]
        try:
            behind = sum(
                self._behind(one, library, refresh) for one, library in zip(directories, libraries, strict=True)
            )
            asked = libraries[0] if len(libraries) == 1 else join(*libraries)
            return behind_by(behind, asked.answers(queries, warm=all(one.settled for one in libraries)))
        except Exception:
            for directory, library in zip(directories, libraries, strict=True):
                self._close(directory, library)  # whatever it was, the next question meets a new one
            raise

    def _behind(self, directory: str, library: _Index, refresh: float) -> int:
        """How many files an index is behind, after it was brought up to date as far as that is wanted."""
        watcher = next((one for one in self.watchers if one.directory == directory and one.has_events), None)
        if watcher is not None:
            return watcher.behind
        return library.freshness.looked(refresh) if refresh and library.is_local else 0

    def load(self, directory: str) -> None:
        """Load everything that a question takes, before there is one."""
        self.answers([directory], [Query("가")])
        self.settle()

    def settle(self) -> None:
        """Load what pays only from the second question on, of all indexes that were asked."""
        for library in list(self._indexes.values()):
            # What is wrong with one of them is for its next question to say.
            with suppress(Exception):
                if not library.settled:
                    with library.store.snapshot(warm=True):
                        library.settled = True

    @contextmanager
    def indexing(self, directory: str) -> Iterator[Index]:
        """An index with all that is loaded, while no question has it brought up to date. Raises as opening one does."""
        library = self._library(directory)
        with library.freshness.paused():
            yield library

    @contextmanager
    def consulted(self, directory: str, refresh: float = 0.0) -> Iterator[tuple[Index, int]]:
        """An index with all that is loaded, for what is no question, and how many files it is behind.

        It is brought up to date as for a question, and raises as that does.
        """
        library = self._library(directory)
        try:
            yield library, self._behind(directory, library, refresh)
        except Exception:
            self._close(directory, library)
            raise

    def watch(self, directory: str) -> None:
        """Keep an index up to date from now on. Raises as opening one does, and UsageError where nothing can watch."""
        if find_spec("watchfiles") is None:
            raise UsageError("watching needs the package watchfiles", "pip install 'kosearch[watch]'")
        self._library(directory)
        if not any(one.directory == directory for one in self.watchers):
            own = [str(self._settings.data_dir), str(self._settings.cache_dir), directory]

            def update() -> int:
                library = self._library(directory)
                if not library.settled:  # the first save shall not wait for the model
                    with suppress(KosearchError):
                        self.load(directory)
                return library.freshness.updated(REFRESH_SECONDS)

            self.watchers.append(Watcher(directory, lambda: self._library(directory).roots(), update, own))

    def rest(self) -> None:
        """Let go of what was not used for a while."""
        self.reader.rest()

    def drop_gone(self) -> bool:
        """Close the indexes that are not there any more; whether that was all there were."""
        # Whether a server has one still is asked with the next question, not of the server once a second.
        held = [(name, one) for name, one in list(self._indexes.items()) if isinstance(one.place, Path)]
        gone = [(name, library) for name, library in held if not library.store.is_there()]
        for name, library in gone:
            self._close(name, library)
        return bool(gone) and not self._indexes

    def analyzer(self, words: tuple[str, ...]) -> Analyzer:
        """What reads questions by these words, loaded once whatever indexes were made with them."""
        with self._loading:
            if words not in self._analyzers:
                others = list(self._analyzers.items())[: MOST_ANALYZERS - 1]
                self._analyzers = {words: Analyzer(words), **dict(others)}
            return self._analyzers[words]

    def token_offsets(self, model: embedding.AnyModel) -> TokenOffsets:
        """The tokens of a text, by a tokenizer that is loaded for the first one, and once whatever indexes it cuts for.

        One of 250,000 pieces takes 280 MB.
        """

        def offsets(text: str) -> Sequence[tuple[int, int]]:
            with self._loading:
                if model.fingerprint not in self._offsets:
                    self._offsets[model.fingerprint] = embedding.token_offsets(model)
                of = self._offsets[model.fingerprint]
            return of(text)

        return offsets

    def query_embedder(self, model: embedding.AnyModel) -> embedding.Embedder:
        """The model, loaded once whatever indexes it made."""
        with self._loading:
            if model.fingerprint not in self._query_embedders:
                self._query_embedders[model.fingerprint] = embedding.load_for_queries(model, self._settings.device)
            return self._query_embedders[model.fingerprint]

    def embedder(self, model: embedding.AnyModel) -> embedding.Embedder:
        """The same for many questions at once; loaded when there are so many for the first time."""
        with self._loading:
            if model.fingerprint not in self._embedders:
                self._embedders[model.fingerprint] = embedding.load(model, self._settings.device)
            return self._embedders[model.fingerprint]

    def rescorer(self, model: embedding.AnyModel) -> embedding.Rescorer:
        """The same with all of the model's heads."""
        with self._loading:
            if model.fingerprint not in self._rescorers:
                self._rescorers[model.fingerprint] = embedding.load_rescorer(model, self._settings.device)
            return self._rescorers[model.fingerprint]

    def _library(self, directory: str) -> _Index:
        with self._holding:
            library = self._indexes.pop(directory, None)
            if library is not None and not library.store.is_there():
                library.store.close()
                library = None
            if library is None:
                library = _Index(replace(self._settings, index=directory), self)
            self._indexes[directory] = library
            unasked = list(self._indexes.items())[:-MOST]
        for name, old in unasked:
            self._close(name, old)
        return library

    def _close(self, name: str, library: _Index) -> None:
        """Close what nobody should be given any more; who uses it right now may go on."""
        with self._holding:
            if self._indexes.get(name) is library:
                del self._indexes[name]
        library.store.close()


class _Index(Index):
    """An index that shares what is loaded with others."""

    def __init__(self, settings: Settings, warm: Warm) -> None:
        super().__init__(settings)
        self.settled = False
        self.freshness = Freshness(self.refresh)
        self._cutting: DocumentProcessor | None = None
        self._warm = warm
        self.store  # noqa: B018 - opened now: raises IndexMissing, IndexMismatch, IndexDamaged

    def _new_analyzer(self, words: tuple[str, ...]) -> Analyzer:
        return self._warm.analyzer(words)

    @property
    def is_local(self) -> bool:
        """Whether looking at files costs nobody anything: texts are not sent anywhere for a question's sake."""
        return isinstance(self.place, Path) and self.store.identity.endpoint is None

    @property
    def processor(self) -> DocumentProcessor:
        found, words = self._cutting, self.store.identity.words
        if found is None or found.words != words:
            found = self._cutting = super().processor.sharing(self.analyzer, self._warm.token_offsets(self.model))
        return found

    def file_pool(self, processor: FileProcessor) -> AbstractContextManager[CuttingPool]:
        return self._warm.reader.pool(processor)

    def embed_passages(self, texts: Sequence[str], progress: Callable[[int], None] | None = None) -> Vectors:
        return self.query_embedder.embed_passages(texts, progress)

    @cached_property
    def query_embedder(self) -> embedding.Embedder:
        return self._warm.query_embedder(self.model)

    @cached_property
    def embedder(self) -> embedding.Embedder:
        return self._warm.embedder(self.model)

    @cached_property
    def rescorer(self) -> embedding.Rescorer:
        return self._warm.rescorer(self.model)


CONNECTIONS = 64
"""Open at the same time; those beyond are closed at once."""
SENDING = 2.0
"""Seconds that a client has for its request…"""
TAKING = 10.0
"""…and for taking the reply."""
LONGEST = 600.0
"""Seconds for an answer, however patient the client."""
ENDING = 2.0
"""Seconds that those who have asked have left when it ends."""
WORKERS = 4
"""Questions answered side by side, on as many cores."""
TICK = 1.0
"""Seconds between looks at whether it is time to end."""

Result = TypeVar("Result")
Ask = Callable[[Sequence[Settings], Sequence[Query]], Sequence[Answer]]
"""Answers questions from an index, or from several, each with its settings. May raise anything."""
Open = Callable[[Settings], AbstractContextManager[Index]]
"""An index with all that is loaded, for whoever wants to write to it while no question does. Raises Elsewhere."""
Consult = Callable[[Settings], AbstractContextManager[tuple[Index, int]]]
"""The same for what is no question, as up to date as for one, and how many files it is behind. Raises Elsewhere."""
Print = Callable[
    [Sequence[str], str, Mapping[str, str], bool, Sequence[str] | None, Ask, Open, Consult], dict[str, Any]
]
"""Runs a command line for another process: `kosearch.cli.query.printed`, which is above this room."""


class Commands:
    """Runs questions' command lines for other processes of the same user. May be called from any thread."""

    def __init__(self, path: Path, warm: Warm, print_command: Print) -> None:
        self._path = path
        self._warm = warm
        self._print = print_command

    def accepts(self, argv: Sequence[str], environ: Mapping[str, str]) -> bool:
        """Whether it is a question, asked with the settings that this process was started for."""
        file = environ.get("KOSEARCH_CONFIG")
        if (
            not resident.may_run(argv)
            or any(environ.get(name) != os.environ.get(name) for name in protocol.HOMES)
            or any(environ.get(name) and not os.path.isabs(environ[name]) for name in _FOLDERS)
            or (file and not os.path.isfile(file))  # a pipe is the asking process's to read
        ):
            return False
        try:
            return self._is_for_me(config.load({}, environ), environ)
        except KosearchError:
            return False

    def run(
        self,
        argv: Sequence[str],
        cwd: str,
        environ: Mapping[str, str],
        *,
        terminal: bool,
        questions: Sequence[str] | None,
    ) -> dict[str, Any]:
        """stdout and stderr, as bytes, and code; or elsewhere: why only the asking process can run it.

        Raises what the command raises.
        """

        def ask(settings: Sequence[Settings], queries: Sequence[Query]) -> list[Answer]:
            return self._asked(settings, queries, environ, cwd)

        def opened(settings: Settings) -> AbstractContextManager[Index]:
            if config.is_database(settings.index):
                raise Elsewhere("a server keeps the index, and others may be writing to it")
            return self._warm.indexing(self._place(settings, environ, cwd))

        def consulted(settings: Settings) -> AbstractContextManager[tuple[Index, int]]:
            return self._warm.consulted(self._place(settings, environ, cwd), _refresh(settings))

        try:
            return self._print(argv, cwd, environ, terminal, questions, ask, opened, consulted)
        except Elsewhere as reason:
            return {"elsewhere": str(reason)}

    def _asked(
        self, settings: Sequence[Settings], queries: Sequence[Query], environ: Mapping[str, str], cwd: str
    ) -> list[Answer]:
        names = {self._place(one, environ, cwd): one.index for one in settings}
        if len(names) < len(settings):
            raise Elsewhere("an index is named twice")
        answers = self._warm.answers(list(names), queries, _refresh(settings[0]))
        return [replace(one, hits=tuple(replace(hit, index=names[hit.index]) for hit in one.hits)) for one in answers]

    def _place(self, settings: Settings, environ: Mapping[str, str], cwd: str) -> str:
        """The directory or URL of the index that is meant.

        Raises Elsewhere where it is not for this process, or not there.
        """
        if config.is_database(settings.index):
            if not self._is_for_me(settings, environ) or _to_servers(environ) != _to_servers(os.environ):
                raise Elsewhere("it is for another process, or the server is reached in another way")
            return config.database(settings.index).address
        name = os.path.expanduser(settings.index)
        if os.sep in name or name.startswith("."):
            name = os.path.join(cwd, name)
        directory = config.index_directory(name, settings)
        if not self._is_for_me(settings, environ) or not directory.is_dir():
            raise Elsewhere("it is for another process, or there is no index")
        return os.path.realpath(directory)

    def _is_for_me(self, settings: Settings, environ: Mapping[str, str]) -> bool:
        return settings.resident and protocol.socket_path(settings, environ) == self._path


def _to_servers(environ: Mapping[str, str]) -> dict[str, str]:
    """How libpq reaches servers, by the environment. A password is not sent, and so is never the same."""
    return {name: value for name, value in environ.items() if name.startswith("PG")}


def _refresh(settings: Settings) -> float:
    return REFRESH_SECONDS if settings.refresh is None else settings.refresh


def serve(listener: socket.socket, path: Path, warm: Warm, idle: float, commands: Commands) -> int | None:
    """Answer whoever connects, until nobody does for `idle` seconds, or for another of the reasons to end.

    The socket at `path` is removed at the end, unless another one lies there by then. Returns the signal that asked
    for the end (SIGINT, SIGTERM), if one did.
    """
    own = _made(path)

    def is_in_place() -> bool:
        return own is not None and _made(path) == own

    try:
        return asyncio.run(_Server(warm, idle, commands).run(listener, is_in_place))
    finally:
        listener.close()
        if is_in_place():
            path.unlink(missing_ok=True)


class _Server:
    def __init__(self, warm: Warm, idle: float, commands: Commands) -> None:
        self._warm = warm
        self._commands = commands
        self._idle = idle
        self._began = time.time()
        self._last = time.monotonic()
        self._asked = 0
        self._open = 0
        self._busy = 0
        self._told_to_end = asyncio.Event()
        self._signal: int | None = None
        self._pool = ThreadPoolExecutor(min(WORKERS, system.usable_cores()), "answer")

    async def run(self, listener: socket.socket, is_in_place: Callable[[], bool]) -> int | None:
        listener.setblocking(False)
        for number in (signal.SIGINT, signal.SIGTERM):
            with suppress(ValueError, RuntimeError):  # only the main thread hears them
                asyncio.get_running_loop().add_signal_handler(number, self._heard, number)
        program = _identity(Path(kosearch.__file__))
        server = await asyncio.start_unix_server(self._serve, sock=listener, backlog=protocol.BACKLOG)
        while not self._told_to_end.is_set():
            with suppress(TimeoutError):
                await asyncio.wait_for(self._told_to_end.wait(), TICK)
            if not (self._busy or self._warm.watchers) and time.monotonic() - self._last > self._idle:
                break
            if not is_in_place() or _identity(Path(kosearch.__file__)) != program:
                break
            if self._warm.drop_gone():
                break
            self._warm.rest()
        server.close()
        for watcher in self._warm.watchers:
            watcher.stop()
        ends = time.monotonic() + ENDING
        while self._open and time.monotonic() < ends:
            await asyncio.sleep(0.01)
        self._pool.shutdown(wait=False, cancel_futures=True)
        return self._signal

    def _heard(self, number: int) -> None:
        self._signal = number
        self._told_to_end.set()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        transport = writer.transport
        self._open += 1
        try:
            if self._open > CONNECTIONS or protocol.peer_uid(writer.get_extra_info("socket")) != os.geteuid():
                return
            async with asyncio.timeout(SENDING):
                head = await reader.readexactly(protocol.HEAD)
                body = await reader.readexactly(protocol.length(head, protocol.MAX_REQUEST))
            request = protocol.message(body)
            transport.set_write_buffer_limits(0)
            if request["do"] == "run":
                if not self._accepts(request):
                    writer.write(_framed({"cannot": "it is for another process"}))
                    await writer.drain()
                    return
                writer.write(_framed({"accepted": True}))
            reply = await self._reply(request)
            writer.write(reply)
            async with asyncio.timeout(TAKING):
                await writer.drain()
            if request["do"] == "run":
                await self._work(self._warm.settle)
        except Exception:  # noqa: BLE001 - a client that says nothing, or nonsense, or has gone
            pass
        finally:
            transport.abort()
            self._open -= 1

    def _accepts(self, request: Mapping[str, Any]) -> bool:
        try:
            return self._commands.accepts(request["argv"], request["environ"])
        except (KeyError, TypeError, AttributeError):  # no command at all
            return False

    async def _reply(self, request: dict[str, Any]) -> bytes:
        if request["do"] == "status":
            return _framed(self._status())
        if request["do"] == "watch":
            return await self._work(self._watched, request["index"])
        if request["do"] == "stop":
            self._told_to_end.set()
            return _framed({})
        if request["version"] != kosearch.__version__:
            self._told_to_end.set()
            return _framed({"cannot": "the resident is of another version, and ends"})
        if request["do"] != "run":
            return _framed({"cannot": "there is no such request"})
        self._busy += 1
        try:
            ends = time.monotonic() + min(LONGEST, float(request["seconds"]))
            async with asyncio.timeout(ends - time.monotonic()):
                reply = await self._work(self._run_command, request, ends)
            self._asked += 1
            return reply
        except Exception as error:  # noqa: BLE001 - the client finds out by itself what is wrong
            return _framed({"cannot": f"{type(error).__name__}: {error}"})
        finally:
            self._last, self._busy = time.monotonic(), self._busy - 1

    def _run_command(self, request: Mapping[str, Any], ends: float) -> bytes:
        if time.monotonic() > ends:
            raise TimeoutError("the question waited too long")
        argv, cwd, environ = request["argv"], request["cwd"], request["environ"]
        terminal, questions = request["terminal"], request["questions"]
        try:
            return _framed(self._commands.run(argv, cwd, environ, terminal=terminal, questions=questions))
        except SystemExit as end:  # a command's, not this process's
            raise RuntimeError("it ended") from end

    def _watched(self, directory: str) -> bytes:
        try:
            self._warm.watch(directory)
        except KosearchError as error:
            return _framed({"cannot": error.message, "hint": error.hint})
        return _framed({"pid": os.getpid()})

    def _status(self) -> dict[str, Any]:
        return {
            "pid": os.getpid(),
            "since": self._began,
            "idle": self._idle,
            "requests": self._asked,
            "indexes": list(self._warm.indexes),
            "watching": [one.state for one in self._warm.watchers],
        }

    async def _work(self, task: Callable[..., Result], *arguments: Any) -> Result:
        return await asyncio.get_running_loop().run_in_executor(self._pool, task, *arguments)


def _framed(reply: Mapping[str, Any]) -> bytes:
    return protocol.frame({"version": kosearch.__version__, **reply}, protocol.MAX_REPLY)


def _identity(path: Path) -> tuple[int, int] | None:
    with suppress(OSError):
        found = path.stat()
        return found.st_dev, found.st_ino
    return None


def _made(path: Path) -> tuple[int, int, int] | None:
    """Which socket lies there. When it was made tells it from one that got the number of one that is closed."""
    with suppress(OSError):
        found = path.stat()
        return found.st_dev, found.st_ino, found.st_mtime_ns
    return None


def main(path: str, print_command: Print) -> None:
    """Be a process of its own, apart from whoever began it, and serve at the socket that is its input until the end."""
    try:
        os.setsid()
        os.chdir("/")
        os.umask(0o077)
        system.lift_limits()
        settings = config.load({})
        warm = Warm(settings)
        place = Path(path)
        serve(socket.socket(fileno=0), place, warm, settings.resident_idle, Commands(place, warm, print_command))
    finally:
        os._exit(0)  # nothing waits for a thread that hangs
