"""The server of the page: on loopback only, for whoever has the token, until nobody has the page open any more.

The token stands in the URL's fragment, which browsers send to nobody; the page's script sends it in a header, which no
other site can do. Requests by another name than this machine's own are turned away, so that no name that is bound to
127.0.0.1 gives another site a way in.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import json
import secrets
import socket
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import Any

import anyio.to_thread
import uvicorn
from starlette.applications import Starlette
from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response, StreamingResponse
from starlette.routing import Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from kosearch.config import Settings
from kosearch.errors import IndexBusy, IndexMissing, KosearchError, UsageError
from kosearch.library import Index
from kosearch.ui import asking, texts
from kosearch.ui.documents import Documents, here, shown
from kosearch.ui.pictures import WIDTHS, Drawer, Wanted, with_recognised
from kosearch.ui.refreshing import Refresher

TOKEN_HEADER = "x-kosearch-token"
LOOPBACK = "127.0.0.1"
_STATIC = Path(__file__).parent / "static"
_FILES = {"/ui.css": "text/css", "/ui.js": "text/javascript"}
_LARGEST = 64 * 1024
"""Bytes of what a request may bring."""
_TICK = 0.25
"""Seconds between looks at how far a run is, and at whether anybody is there."""
_AT_ONCE = 8
"""Requests that are worked on side by side; others wait."""
_MOST_PROBLEMS = 500
_HEADERS = {
    "cache-control": "no-store",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "referrer-policy": "no-referrer",
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
}
_POLICY = (
    "default-src 'none'; script-src 'nonce-{nonce}'; style-src 'nonce-{nonce}'; img-src data:; connect-src 'self';"
    " base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)


class Guard:
    """Lets a request through that is meant for this page: its host, its origin, its token, and how much it brings."""

    def __init__(self, app: ASGIApp, token: str, port: int) -> None:
        self._app = app
        self._token = token
        self._hosts = frozenset(f"{name}:{port}" for name in (LOOPBACK, "localhost"))
        self.seen = time.monotonic()
        """When somebody who has the token was last here."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        refusal = self._refusal(scope, Headers(scope=scope))
        app = self._app if refusal is None else PlainTextResponse(refusal[1], refusal[0])

        async def with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in _HEADERS.items():
                    headers.setdefault(name, value)
                headers.setdefault("content-security-policy", "default-src 'none'; frame-ancestors 'none'")
            await send(message)

        await app(scope, receive, with_headers)

    def _refusal(self, scope: Scope, headers: Headers) -> tuple[int, str] | None:
        """The status and the line with which a request is turned away."""
        if headers.getlist("host") != [headers.get("host")] or headers.get("host", "").lower() not in self._hosts:
            return 421, "this server answers to this machine's own name only"
        origin = headers.get("origin")
        if origin is not None and origin.lower() not in {f"http://{host}" for host in self._hosts}:
            return 403, "another site asks"
        # The page itself, which tells nothing, may be come to from elsewhere: from the file that opens a browser, say.
        is_visit = scope["path"] == "/" and headers.get("sec-fetch-mode") == "navigate"
        if headers.get("sec-fetch-site", "none") not in ("same-origin", "none") and not is_visit:
            return 403, "another site asks"
        if int(headers.get("content-length", "0") or "0") > _LARGEST or "transfer-encoding" in headers:
            return 413, "that is too much"
        if scope["path"].startswith("/api/"):
            given = headers.get(TOKEN_HEADER, "").encode("latin-1", "replace")
            if not secrets.compare_digest(given, self._token.encode()):
                return 401, "the token is missing or that of another run of kosearch ui"
            self.seen = time.monotonic()
        return None


Endpoint = Callable[[Request], Awaitable[Response]]


def answering(work: Callable[[Request], dict[str, Any]]) -> Endpoint:
    """An endpoint that works in a thread; what goes wrong is one line with what to do about it."""

    async def endpoint(request: Request) -> Response:
        body = await request.body()
        if await request.is_disconnected():  # whoever types asked something else meanwhile
            return Response(status_code=499)
        request.state.body = body
        return await _threaded(lambda: work(request))

    return endpoint


async def _threaded(work: Callable[[], dict[str, Any]]) -> Response:
    try:
        return JSONResponse(await anyio.to_thread.run_sync(work))
    except KosearchError as error:
        kinds = ((IndexMissing, 404), (IndexBusy, 409), (UsageError, 400))
        status = next((number for kind, number in kinds if isinstance(error, kind)), 500)
        return JSONResponse({"error": error.message, "hint": error.hint}, status)


class Page:
    """What the page asks, each by its path. All work is done by the rooms below."""

    def __init__(self, settings: Sequence[Settings], as_json: asking.AsJson) -> None:
        self._indexes = {one.index: Index(one, questions=1) for one in settings}
        self._settings = settings[0]
        self._documents = Documents(self._indexes)
        self._drawer = Drawer(settings[0].max_file_size)
        self._refresher = Refresher()
        self._as_json = as_json
        self.asker = asking.Asker(self._indexes, as_json)

    def routes(self) -> list[Route]:
        """All that there is."""
        gets = {
            "ping": lambda _: {},
            "search": self.search,
            "similar": self.similar,
            "topics": self.topics,
            "document": self.document,
            "page": self.page,
            "status": self.status,
        }
        routes = [Route(f"/api/{name}", answering(work), methods=["GET"]) for name, work in gets.items()]
        routes += [
            Route("/api/open", answering(self.open), methods=["POST"]),
            Route("/api/index", answering(self.index), methods=["POST"]),
            Route("/api/progress", self.progress, methods=["GET"]),
            Route("/", _front, methods=["GET"]),
        ]
        return routes + [Route(path, partial(_file, path), methods=["GET"]) for path in _FILES]

    def search(self, request: Request) -> dict[str, Any]:
        """Hits of a question."""
        wish = asking.wish_of(request.query_params, request.query_params.getlist("type"))
        began = time.perf_counter()
        answer = self.asker.answer(wish)
        return {
            "hits": self._documents.hits(answer),
            "mode": answer["mode"],
            "searched": answer["searched"],
            "warnings": answer["warnings"],
            "terms": answer["terms"],
            "seconds": round(time.perf_counter() - began, 4),
        }

    def similar(self, request: Request) -> dict[str, Any]:
        """Documents like a hit's passage, or like a document."""
        name, id, key = _named(request.query_params)
        self._documents.stored(name, id, key)
        answer = self._documents.index(name).similar(id, k=20)
        found = self._as_json(answer) | {"searched": "", "question": ""}
        for hit in found["hits"]:
            hit["index"] = name
        return {"hits": self._documents.hits(found), "warnings": found["warnings"]}

    def topics(self, request: Request) -> dict[str, Any]:
        """What the documents of an index are about."""
        name = request.query_params.get("index", "")
        found = self._documents.index(name).topics(n=10, depth=1)
        return {
            "topics": [
                {
                    "words": list(one.words),
                    "title": one.title,
                    "count": len(one.documents),
                    "documents": [self._documents.summary(name, each) for each in one.documents[:20]],
                }
                for one in found.topics
            ]
        }

    def document(self, request: Request) -> dict[str, Any]:
        """A document's text around a passage, and how it can be seen."""
        name, id, key = _named(request.query_params)
        stored, full = self._documents.full(name, id, key)
        passage, best = _spans(request.query_params, id, len(full.text))
        part = texts.window(full.text, *passage)
        return {
            **self._documents.summary(name, stored),
            "state": "elsewhere" if stored.source else full.state,
            "view": stored.kind if stored.kind in ("pdf", "image") and not stored.source else "text",
            "page": texts.page_of(full, best[0]),
            "outline": [{"title": one.title, "level": one.level, "start": one.start} for one in full.headings[:200]],
            "blocks": texts.blocks(full, part, passage, best),
            "before": part[0] > 0,
            "after": part[1] < len(full.text),
            "length": len(full.text),
            "part": part,
        }

    def page(self, request: Request) -> dict[str, Any]:
        """A page as a picture, with the boxes of the passage on it."""
        name, id, key = _named(request.query_params)
        number = _number(request.query_params, "n", 1, 100_000)
        width = _number(request.query_params, "width", *WIDTHS)
        stored, full = self._documents.full(name, id, key)
        passage, best = _spans(request.query_params, id, len(full.text))
        text, inside = texts.on_page(full, number, passage, best) if ":" in id else ("", (0, 0))
        wanted = Wanted(here(stored), stored.member, stored.kind, number, width, text, inside)
        drawn = self._drawer.draw(wanted)
        if drawn.pixels and (read := self._documents.index(name).recognised(drawn.pixels)) is not None:
            drawn = with_recognised(drawn, read, wanted)
        picture = base64.b64encode(drawn.jpeg).decode("ascii")
        return {**asdict(drawn), "jpeg": picture, "pixels": None}

    def status(self, _: Request) -> dict[str, Any]:
        """What the indexes hold, and what of their folders is not searchable."""
        return {"indexes": [_status(name, one) for name, one in self._indexes.items()], "run": self._refresher.state}

    def open(self, request: Request) -> dict[str, Any]:
        """Have a document's own program show it."""
        asked = _body(request)
        name, id, key = _named(asked)
        self._documents.open(name, id, key, _number(asked, "at", 0, 10**9))
        return {}

    def index(self, request: Request) -> dict[str, Any]:
        """Bring an index up to date, or add a folder to it; `/api/progress` says how far that is."""
        asked = _body(request)
        index = self._documents.index(asked.get("index", ""))
        path = asked.get("path", "").strip()
        if not path and not index.exists:
            raise UsageError("nothing is indexed yet", "type a folder's path")
        if path and ("\0" in path or not Path(path).expanduser().is_absolute()):
            raise UsageError(f"{path!r} is no whole path", "one such as /home/me/Documents or ~/Documents")
        if path and not Path(path).expanduser().exists():
            raise UsageError(f"{path}: there is no such file or folder", "check the path")
        self._refresher.start(index, [path] if path else [])
        return {}

    async def progress(self, request: Request) -> Response:
        """How far the run is, as server-sent events, until it has ended."""

        async def events() -> AsyncIterator[str]:
            last: dict[str, Any] | None = None
            while True:
                state = self._refresher.state
                if state != last:
                    yield f"data: {json.dumps(state)}\n\n"
                    last = state
                if state["is"] != "running":
                    return
                await asyncio.sleep(_TICK)

        return StreamingResponse(events(), media_type="text/event-stream")

    @property
    def is_indexing(self) -> bool:
        """Whether a run goes on, which nobody need watch."""
        return bool(self._refresher.state["is"] == "running")

    def close(self) -> None:
        """Let go of all."""
        self._drawer.close()
        for one in self._indexes.values():
            one.close()


async def _front(_: Request) -> Response:
    nonce = secrets.token_urlsafe(16)
    text = (_STATIC / "index.html").read_text(encoding="utf-8").replace("{nonce}", nonce)
    headers = {"content-security-policy": _POLICY.format(nonce=nonce)}
    return Response(text, media_type="text/html", headers=headers)


async def _file(path: str, _: Request) -> Response:
    return Response((_STATIC / path[1:]).read_bytes(), media_type=_FILES[path])


def _status(name: str, index: Index) -> dict[str, Any]:
    if not index.exists:
        return {"name": name, "exists": False, "roots": [], "problems": []}
    state = index.status()
    problems = index.problems()
    return {
        "name": name,
        "exists": True,
        "documents": state.documents,
        "passages": state.passages,
        "files": state.files,
        "bytes": state.bytes,
        "model": state.identity.model,
        "generation": state.generation,
        "last": state.last_run["ended"] if state.last_run else "",
        "roots": [shown(root.decode("utf-8", "replace")) for root in index.roots()],
        "problem_count": len(problems),
        "problems": [
            {"path": shown(one.path), "member": one.member, "reason": str(one.reason), "detail": one.detail}
            for one in problems[:_MOST_PROBLEMS]
        ],
    }


def _named(parameters: Mapping[str, str]) -> tuple[str, str, str]:
    return parameters.get("index", ""), parameters.get("id", ""), parameters.get("key", "")


def _body(request: Request) -> dict[str, str]:
    """The body's JSON object, its values as text. Raises UsageError."""
    if request.headers.get("content-type", "").partition(";")[0] != "application/json":
        raise UsageError("a request brings JSON")
    try:
        found = json.loads(request.state.body)
    except ValueError as error:
        raise UsageError("a request brings JSON") from error
    if not isinstance(found, dict):
        raise UsageError("a request brings an object")
    return {str(name): value for name, value in found.items() if isinstance(value, str)}


def _number(parameters: Mapping[str, str], name: str, least: int, most: int) -> int:
    value = parameters.get(name, "")
    if not (value.isascii() and value.isdigit() and len(value) < 12):
        raise UsageError(f"{name} is a number")
    return min(max(int(value), least), most)


def _spans(parameters: Mapping[str, str], id: str, length: int) -> tuple[texts.Span, texts.Span]:
    """The passage that an id names, and the part of it that answers best; empty ones for a whole document."""
    _, *place = id.split(":")
    start, end = (min(int(one), length) for one in place) if place else (0, 0)
    at = _number(parameters, "at", 0, length) if "at" in parameters else start
    to = _number(parameters, "to", at, length) if "to" in parameters else at
    return (start, max(start, end)), (at, to)


def url_of(port: int, token: str) -> str:
    """Where the page is."""
    return f"http://{LOOPBACK}:{port}/#t={token}"


def listen(port: int) -> socket.socket:
    """A socket on loopback that callers find at once; port 0 is a free one. Raises UsageError."""
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((LOOPBACK, port))
        listener.listen()
    except OSError as error:
        listener.close()
        raise UsageError(f"port {port} cannot be used: {error.strerror}", "kosearch ui takes a free one") from error
    return listener


def serve(
    settings: Sequence[Settings],
    as_json: asking.AsJson,
    listener: socket.socket,
    token: str,
    *,
    ready: Callable[[], object] = lambda: None,
) -> None:
    """Serve until a signal ends it, or nothing is indexed and nobody has had the page open for as long as a warm
    process waits."""
    port = listener.getsockname()[1]
    page = Page(settings, as_json)
    idle = settings[0].resident_idle

    @contextlib.asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        anyio.to_thread.current_default_thread_limiter().total_tokens = _AT_ONCE
        watch = asyncio.create_task(watched())
        page.asker.begin()
        ready()
        yield
        watch.cancel()

    async def watched() -> None:
        while time.monotonic() - guard.seen < idle or page.is_indexing:
            await asyncio.sleep(_TICK)
        server.should_exit = True

    guard = Guard(Starlette(routes=page.routes(), lifespan=lifespan), token, port)
    config = uvicorn.Config(
        guard,
        log_config=None,
        access_log=False,
        server_header=False,
        date_header=False,
        proxy_headers=False,
        timeout_graceful_shutdown=1,
        ws="none",
        loop="asyncio",
        http="h11",
        h11_max_incomplete_event_size=_LARGEST,
    )
    server = uvicorn.Server(config)
    try:
        server.run(sockets=[listener])
    finally:
        page.close()
