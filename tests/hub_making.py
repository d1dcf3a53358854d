"""A small hub on loopback: as much of huggingface.co's HTTP as its own client needs to fetch a model, and faults.

    with Hub({"owner/name": directory}) as hub:
        hub.cut["model.safetensors"] = [1000]  # the first answer ends after 1000 bytes of the file
        program.environment |= hub.environment(cache)

What the client asked for stands in `hub.requests`.
"""

from __future__ import annotations

import hashlib
import json
import re
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

COMMIT = "89abcdef0123456789abcdef0123456789abcdef"


@dataclass(frozen=True)
class Request:
    method: str
    path: str
    start: int
    """The first byte that was asked for."""
    agent: str
    """What the client said of itself."""


@dataclass
class Hub:
    """Serves directories as models, each at one commit; with a context manager, on a free port."""

    models: Mapping[str, Path]
    commit: str = COMMIT
    cut: dict[str, list[int]] = field(default_factory=dict)
    """File → after how many bytes of an answer the connection is cut, answer by answer."""
    status: dict[str, list[int]] = field(default_factory=dict)
    """File, or model → statuses of the next answers, in place of what was asked for."""
    chunk: int = 1 << 16
    delay: float = 0.0
    """Seconds between two chunks of a file."""
    flip: set[str] = field(default_factory=set)
    """Files whose last byte arrives changed."""
    requests: list[Request] = field(default_factory=list)

    def __enter__(self) -> Hub:
        hub = self

        class Handler(_Handler):
            pass

        Handler.hub = hub
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    def environment(self, cache: Path) -> dict[str, str]:
        """What makes the hub's client fetch from here, into that cache."""
        return {
            "HF_ENDPOINT": self.url,
            "HF_HUB_OFFLINE": "0",
            "HF_HUB_CACHE": str(cache),
            "HF_HUB_DISABLE_XET": "1",
        }

    def sent(self, name: str) -> list[Request]:
        """The requests for the content of a file."""
        return [one for one in self.requests if one.method == "GET" and one.path.endswith(f"/{name}")]


class _Handler(BaseHTTPRequestHandler):
    hub: Hub
    protocol_version = "HTTP/1.1"

    def log_message(self, *_: object) -> None:
        """Tests read what they want to know from `Hub.requests`."""

    def do_HEAD(self) -> None:
        self.do_GET()

    def do_GET(self) -> None:
        path = unquote(urlsplit(self.path).path)
        match = re.fullmatch(r"bytes=(\d+)-\d*", self.headers.get("Range", ""))
        start = int(match[1]) if match else 0
        self.hub.requests.append(Request(self.command, path, start, self.headers.get("User-Agent", "")))
        name = next((one for one in self.hub.models if f"/{one}/" in f"{path}/"), None)
        if name is None:
            self._json(404, {"error": "Repository not found"}, {"X-Error-Code": "RepoNotFound"})
        elif self._refused(name):
            return
        elif path.startswith("/api/models/"):
            tree = self._tree(name)
            siblings = [{"rfilename": one["path"]} for one in tree]
            about = {"id": name, "modelId": name, "sha": self.hub.commit, "private": False, "siblings": siblings}
            self._json(200, tree if f"/{name}/tree/" in path else about)
        else:
            self._file(self.hub.models[name], path.partition("/resolve/")[2].partition("/")[2], start)

    def _refused(self, what: str) -> bool:
        """Whether the next answer is a failure."""
        waiting = self.hub.status.get(what)
        if not waiting:
            return False
        self._json(waiting.pop(0), {"error": "as the test wanted"})
        return True

    def _tree(self, name: str) -> list[dict[str, Any]]:
        folder = self.hub.models[name]
        return [_entry(folder, path) for path in sorted(folder.rglob("*")) if path.is_file()]

    def _file(self, folder: Path, name: str, start: int) -> None:
        path = folder / name
        if not path.is_file():
            self._json(404, {"error": "Entry not found"}, {"X-Error-Code": "EntryNotFound"})
            return
        if self.command == "GET" and self._refused(name):
            return
        data = path.read_bytes()
        entry = _entry(folder, path)
        etag = entry["lfs"]["oid"] if "lfs" in entry else entry["oid"]
        if name in self.hub.flip:
            data = data[:-1] + bytes([data[-1] ^ 1])
        self.send_response(206 if start else 200)
        self.send_header("ETag", f'"{etag}"')
        self.send_header("X-Repo-Commit", self.hub.commit)
        self.send_header("Content-Length", str(len(data) - start))
        self.send_header("Accept-Ranges", "bytes")
        if start:
            self.send_header("Content-Range", f"bytes {start}-{len(data) - 1}/{len(data)}")
        self.end_headers()
        if self.command == "GET":
            self._send(data[start:], name)

    def _send(self, data: bytes, name: str) -> None:
        cuts = self.hub.cut.get(name)
        end = cuts.pop(0) if cuts else len(data)
        try:
            for place in range(0, min(end, len(data)), self.hub.chunk):
                self.wfile.write(data[place : min(place + self.hub.chunk, end)])
                self.wfile.flush()
                time.sleep(self.hub.delay)
        except OSError:  # the client has gone
            self.close_connection = True
        if end < len(data):
            self.close_connection = True
            self.connection.close()

    def _json(self, status: int, value: object, headers: Mapping[str, str] | None = None) -> None:
        body = json.dumps(value).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        for key, text in (headers or {}).items():
            self.send_header(key, text)
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(body)


def _entry(folder: Path, path: Path) -> dict[str, Any]:
    """A file as the hub lists it: large kinds are kept by their SHA-256, the others by git's hash."""
    data = path.read_bytes()
    blob = hashlib.sha1(b"blob %d\0" % len(data) + data).hexdigest()
    entry: dict[str, Any] = {
        "type": "file",
        "path": path.relative_to(folder).as_posix(),
        "size": len(data),
        "oid": blob,
    }
    if path.suffix in {".safetensors", ".pt", ".bin"}:
        entry["lfs"] = {"oid": hashlib.sha256(data).hexdigest(), "size": len(data), "pointerSize": 134}
    return entry
