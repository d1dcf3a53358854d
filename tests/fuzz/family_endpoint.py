"""What a server answers, from its status line to the numbers in its JSON: vectors, or one error in a line."""

from __future__ import annotations

import contextlib
import json
import socket
import threading
from collections.abc import Iterator
from functools import cache

import numpy as np
from endpoint_making import WIDTH, vector

from fuzz.frame import Family, Input
from kosearch.embedding import Endpoint, Prompts, endpoint
from kosearch.embedding.http_client import RetryPolicy
from kosearch.errors import IndexMismatch, ModelError

TEXTS = ["가", "나다"]
PROVIDERS = ("openai", "upstage", "cohere")


class _Answering:
    """A server on loopback whose every answer is these bytes, whatever is asked."""

    def __init__(self) -> None:
        self.answer = b""
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}/v1"
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        while True:
            connection, _ = self._listener.accept()
            with connection, contextlib.suppress(OSError):
                connection.settimeout(5)
                self._read(connection)
                connection.sendall(self.answer)

    @staticmethod
    def _read(connection: socket.socket) -> None:
        """One request, so that closing does not take the answer back."""
        seen = b""
        while b"\r\n\r\n" not in seen and (part := connection.recv(1 << 16)):
            seen += part
        head, _, body = seen.partition(b"\r\n\r\n")
        length = next(int(line.split(b":")[1]) for line in head.split(b"\r\n") if line.lower().startswith(b"content-l"))
        while len(body) < length and (part := connection.recv(1 << 16)):
            body += part


@cache
def _server() -> _Answering:
    return _Answering()


def attempt(one: Input) -> str:
    """Vectors of unit length, or an error that fits a line."""
    server = _server()
    server.answer = one.data
    known = np.ones(WIDTH, "<f2").tobytes()
    model = Endpoint(
        name=f"{one.name}:small",
        url=server.url,
        dimensions=WIDTH,
        max_tokens=320,
        prompts=Prompts(),
        asked_dimensions=None,
        typed=False,
        known=(known, known),
        origin=server.url,
        fingerprint="",
        why="",
    )
    embedder = endpoint.EndpointEmbedder(model)
    try:
        vectors = embedder.raw(TEXTS, "query", RetryPolicy(tries=1, seconds=10))
    except (endpoint.Refused, ModelError, IndexMismatch) as error:
        said = str(error)
        return "" if said.isprintable() and len(said) < 1000 else f"an error that is no line: {said!r:.200}"
    finally:
        embedder.close()
    if vectors.shape[0] != len(TEXTS) or not np.allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-3):
        return f"vectors of {vectors.shape} that have no unit length"
    return ""


def _http(body: bytes, status: str = "200 OK", headers: str = "") -> bytes:
    return f"HTTP/1.1 {status}\r\nContent-Length: {len(body)}\r\n{headers}\r\n".encode() + body


def _seeds() -> Iterator[Input]:
    rows = [vector(text) for text in TEXTS]
    openai = json.dumps({"data": [{"index": i, "embedding": row} for i, row in enumerate(rows)]}).encode()
    cohere = json.dumps({"embeddings": {"float": rows}}).encode()
    for name in PROVIDERS:
        body = cohere if name == "cohere" else openai
        yield Input(name, _http(body))
        half = len(body) // 2
        chunks = b"".join(b"%x\r\n%s\r\n" % (len(part), part) for part in (body[:half], body[half:]))
        yield Input(name, b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n" + chunks + b"0\r\nX: y\r\n\r\n")
        yield Input(name, b"HTTP/1.0 200 OK\r\n\r\n" + body)
    for status in ("400 Bad", "401 No", "404 Not Found", "429 Busy", "503 Away", "301 Moved"):
        yield Input(
            "openai", _http(b'{"error": {"message": "it is so"}}', status, "Retry-After: 1\r\nLocation: /x\r\n")
        )
    yield Input("openai", b"HTTP/1.1 100 Continue\r\n\r\n" + _http(openai))


FAMILY = Family(
    _seeds,
    attempt,
    words=(
        *(
            b"null",
            b"-1",
            b"1e999",
            b"-Infinity",
            b"NaN",
            b"9" * 5000,
            b"[" * 2000,
            b'{"error":' * 500,
            b"\\ud800",
            b"\x00",
        ),
        *(b"\r\n", b"\n", b"HTTP/1.1 ", b"HTTP/9.9 ", b"Content-Length: -5\r\n", b"Content-Length: 99999999999\r\n"),
        *(
            b"Transfer-Encoding: chunked\r\n",
            b"ffffffffffffffff\r\n",
            b"-1\r\n",
            b"Content-Encoding: gzip\r\n",
            b"X: y\r\n" * 200,
        ),
        *(
            b"Retry-After: nan\r\n",
            b"Retry-After: Sun, 31 Dec 999999 23:59:59 GMT\r\n",
            b"\xff\xfe",
            b'"index": ',
            b'"data": ',
        ),
    ),
    deadline=30.0,
)
