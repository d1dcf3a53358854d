"""JSON posted over HTTP: some requests at once, tried again where that may help, and never for ever."""

from __future__ import annotations

import contextlib
import email.utils
import http.client
import ipaddress
import json
import random
import socket
import ssl
import threading
import time
import urllib.parse
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from kosearch import __version__
from kosearch.errors import ModelError

_CONNECTING = 10.0
"""Seconds for a connection."""
_KEPT = 5.0
"""Seconds that a connection nobody uses is trusted: servers close theirs without a word."""
_LONGEST_WAIT = 120.0
"""Seconds that a server may ask for before the next try."""
_LONGEST_PAUSE = 30.0
"""Seconds between two tries where the server asks for nothing."""
_MOST_COMPLAINT = 1 << 16
"""Bytes of an answer that is no success: what is wrong is said in fewer."""
_BYTES_OF_A_NUMBER = 32
"""In JSON, with what stands between two."""
_ECHO = 6
"""How many times as long a request's text may come back: each of its bytes as `\\u0000`."""
_REFUSED = frozenset({400, 413, 422})
"""What servers answer to a request that is too long, too large, or has a field they do not know."""
_TRY_AGAIN = frozenset({408, 425, 429})
"""And all from 500 on."""
_WAYS_OUT = {
    401: "set {key} to a key that is valid there",
    403: "set {key} to a key that may use this model",
    404: "check the model's name and --endpoint (OpenAI-compatible URLs mostly end in /v1)",
}


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """How long a request may take."""

    tries: int
    seconds: float
    """For one answer."""
    pause: float = 0.5
    """Seconds before the second try; doubled for each further one, and shortened at random by up to a half."""


class Refused(Exception):
    """The server will not take this request, and perhaps a smaller one; what it says."""


class HttpClient:
    """Posts to one URL. May be used by several threads at the same time."""

    def __init__(self, url: str, key: str | None, key_name: str) -> None:
        """`key_name` is the variable that a user is told to set."""
        self._url = url
        self._parts = urllib.parse.urlsplit(url)
        self._key = key
        self._key_name = key_name
        self._lock = threading.Lock()
        self._idle: list[tuple[_Connection, float]] = []
        """Open connections, and when each was used."""
        self._busy: dict[_Connection, threading.Event] = {}
        self._met = False
        """Whether the server ever answered."""
        self._resume = 0.0
        """Before that time the server wants no request."""

    def post(self, body: Mapping[str, Any], policy: RetryPolicy, stop: threading.Event, *, most_numbers: int) -> Any:
        """The answer's JSON. Raises Refused, and ModelError for all else that did not work out.

        `stop` is for `abandon`; `most_numbers` is how many the answer may hold.
        """
        content = json.dumps(body, ensure_ascii=False).encode()
        for number in range(1, policy.tries + 1):
            self._pause(self._resume - time.monotonic(), stop)
            try:
                largest = _BYTES_OF_A_NUMBER * most_numbers + _ECHO * len(content) + _MOST_COMPLAINT
                status, headers, answer = self._exchange(content, policy.seconds, stop, largest)
            except (OSError, http.client.HTTPException) as error:
                failure = self._no_answer(error)
                again = self._met or not isinstance(error, ConnectionRefusedError | socket.gaierror | ssl.SSLError)
                again = again and not isinstance(error, ssl.SSLCertVerificationError | _TooLarge)
            else:
                self._met = True
                if status == 200:
                    return self._read(answer)
                failure = self._failure(status, headers, answer)
                again = (status in _TRY_AGAIN or status >= 500) and b"insufficient_quota" not in answer
                self._wait_as_told(headers.get("Retry-After"), failure)
            if not again or number == policy.tries:
                raise failure
            pause = min(_LONGEST_PAUSE, policy.pause * 2 ** (number - 1))
            self._pause(pause * random.uniform(0.5, 1), stop)
        raise AssertionError("a request is tried at least once")

    def abandon(self, stop: threading.Event) -> None:
        """Make all requests that were given this event fail at once."""
        stop.set()
        with self._lock:
            for connection, event in self._busy.items():
                if event is stop:
                    connection.cut()

    def close(self) -> None:
        """Close the connections that nobody uses."""
        with self._lock:
            while self._idle:
                self._idle.pop()[0].close()

    def __del__(self) -> None:
        self.close()

    def _exchange(
        self, content: bytes, seconds: float, stop: threading.Event, largest: int
    ) -> tuple[int, http.client.HTTPMessage, bytes]:
        """Status, headers and body, all within these seconds. Raises OSError and HTTPException."""
        connection = self._taken(stop)
        deadline = _Deadline(connection, seconds)
        done = False
        try:
            with deadline:
                if connection.sock is None:
                    connection.connect()
                assert connection.sock is not None
                connection.sock.settimeout(seconds)
                if stop.is_set():
                    raise ConnectionAbortedError("stopped")
                connection.request("POST", self._target, content, self._headers)
                response = connection.getresponse()
                largest = largest if response.status == 200 else _MOST_COMPLAINT
                body = _read(response, largest)
                response.close()  # which leaves the connection open, unless the server will not
                done = len(body) <= largest and not response.will_close
            if deadline.passed or stop.is_set():
                raise ConnectionAbortedError("stopped")  # and what was cut may look whole
        except (OSError, http.client.HTTPException, ValueError) as error:
            if deadline.passed:  # what was cut fails in many ways
                raise TimeoutError(f"timed out after {seconds:.0f} seconds") from error
            if isinstance(error, OSError | http.client.HTTPException):
                raise
            raise http.client.HTTPException(str(error)) from error  # a name or number that http.client can't read
        finally:
            self._returned(connection, keep=done)
        return response.status, response.headers, body

    def _taken(self, stop: threading.Event) -> _Connection:
        """A connection for one request: one that was used just now, or a new one, not open yet."""
        with self._lock:
            while self._idle:
                connection, used = self._idle.pop()
                if time.monotonic() - used < _KEPT:
                    break
                connection.close()
            else:
                connection = self._new_connection()
            self._busy[connection] = stop
        return connection

    def _returned(self, connection: _Connection, *, keep: bool) -> None:
        with self._lock:
            del self._busy[connection]
            if keep:
                self._idle.append((connection, time.monotonic()))
            else:
                connection.close()

    def _new_connection(self) -> _Connection:
        secure, proxy = self._parts.scheme == "https", self._proxy
        host, port = (proxy or self._parts).hostname or "", (proxy or self._parts).port
        if not secure:
            return _Connection(host, port, timeout=_CONNECTING)
        connection = _TlsConnection(host, port, self._parts.hostname or "")
        if proxy:
            connection.set_tunnel(self._parts.hostname or "", self._parts.port)
        return connection

    @property
    def _proxy(self) -> urllib.parse.SplitResult | None:
        """The proxy that environment or system name for this URL (https://docs.python.org/3/library/urllib.request.html)."""
        proxy = urllib.request.getproxies().get(self._parts.scheme)
        if not proxy or is_loopback(self._url) or urllib.request.proxy_bypass(self._parts.hostname or ""):
            return None
        return urllib.parse.urlsplit(proxy if "//" in proxy else f"//{proxy}")

    @property
    def _target(self) -> str:
        return self._url if self._parts.scheme == "http" and self._proxy else self._parts.path

    @property
    def _headers(self) -> Mapping[str, str]:
        said = {"Content-Type": "application/json", "User-Agent": f"kosearch/{__version__}"}
        return said | ({"Authorization": f"Bearer {self._key}"} if self._key else {})

    def _pause(self, seconds: float, stop: threading.Event) -> None:
        if seconds > 0 and stop.wait(seconds):
            raise ModelError("stopped")

    def _wait_as_told(self, told: str | None, failure: ModelError) -> None:
        """Let no thread ask again before the server wants to be asked."""
        seconds = _seconds(told)
        if seconds > _LONGEST_WAIT:
            raise ModelError(
                f"{failure.message}; it wants to be left alone for {seconds:.0f} seconds", "try again then"
            )
        self._resume = max(self._resume, time.monotonic() + seconds)

    def _no_answer(self, error: Exception) -> ModelError:
        reason = self._plain(getattr(error, "strerror", None) or str(error) or type(error).__name__)
        what, hint = f"{self._url} does not answer: {reason}", "see that the server runs and --endpoint names it"
        if isinstance(error, ssl.SSLCertVerificationError):
            what = f"the certificate of {self._url} can't be trusted: {self._plain(error.verify_message or reason)}"
            hint = "see that the URL is right; SSL_CERT_FILE names a file with certificates that you trust"
        elif isinstance(error, ssl.SSLError):
            hint = "see that the URL is right, and that https is spoken there"
        elif isinstance(error, _TooLarge):
            what, hint = (
                f"{self._url} answers with more than was asked for: {reason}",
                "see that --endpoint names the server",
            )
        return ModelError(what, f"{hint}, then run the command again")

    def _failure(self, status: int, headers: http.client.HTTPMessage, body: bytes) -> ModelError:
        """What a status that is not 200 means. Raises Refused."""
        try:
            said = complaint(json.loads(body))
        except (ValueError, RecursionError):
            said = body[:400].decode("utf-8", "replace")
        if status in _REFUSED:
            raise Refused(f"{status} {self._plain(said)}".rstrip())
        if 300 <= status < 400:
            return ModelError(
                f"{self._url} answers from elsewhere: {self._plain(headers.get('Location', ''))}",
                "name that URL with --endpoint",
            )
        hint = _WAYS_OUT.get(status, "try again later, or see what the server's own log says")
        what = f"{status} {http.client.responses.get(status, '')}".rstrip()
        said = self._plain(said)
        return ModelError(f"{self._url} answers {what}{': ' if said else ''}{said}", hint.format(key=self._key_name))

    def _read(self, body: bytes) -> Any:
        try:
            return json.loads(body)
        except (ValueError, RecursionError) as error:
            said = self._plain(body[:80].decode("utf-8", "replace"))
            raise ModelError(
                f"{self._url} answers with something that is no JSON: {said}",
                "check --endpoint (OpenAI-compatible URLs mostly end in /v1)",
            ) from error

    def _plain(self, text: str) -> str:
        """What a stranger said, on one line and without the key."""
        if self._key:
            text = text.replace(self._key, "…")
        text = " ".join("".join(one if one.isprintable() else " " for one in text).split())
        return text if len(text) <= 200 else f"{text[:200]}…"


class _Connection(http.client.HTTPConnection):
    """HTTP, which another thread may cut."""

    _opened: socket.socket | None = None

    def connect(self) -> None:
        super().connect()
        self._opened = self.sock  # where the server will close the connection, http.client forgets it with the headers

    def cut(self) -> None:
        """End what is under way. It need not be open, and a TLS socket notices by itself."""
        if (sock := self.sock or self._opened) is not None:
            with contextlib.suppress(OSError):
                socket.socket.shutdown(sock, socket.SHUT_RDWR)


class _TlsConnection(_Connection):
    """HTTP over TLS, whose socket is known before the handshake, so that it can be cut there too."""

    default_port = http.client.HTTPS_PORT

    def __init__(self, host: str, port: int | None, name: str) -> None:
        """`name` is whose certificate is expected: behind a proxy, not that of `host`."""
        super().__init__(host, port, timeout=_CONNECTING)
        self._name = name

    def connect(self) -> None:
        super().connect()
        context = ssl.create_default_context()
        self.sock = self._opened = context.wrap_socket(
            self.sock, server_hostname=self._name, do_handshake_on_connect=False
        )
        self.sock.do_handshake()


class _Deadline:
    """Cuts a connection when its time is over, whatever it is doing: a server may send a byte now and then for ever."""

    def __init__(self, connection: _Connection, seconds: float) -> None:
        self.passed = False
        self._connection = connection
        self._seconds = seconds
        self._done = threading.Event()
        self._cutting = threading.Lock()

    def __enter__(self) -> None:
        threading.Thread(target=self._watch, daemon=True).start()

    def __exit__(self, *_: object) -> None:
        with self._cutting:  # afterwards the connection is for another request
            self._done.set()

    def _watch(self) -> None:
        self.passed = not self._done.wait(self._seconds)
        while not self._done.wait(0.1):  # again and again: it may not be open yet
            with self._cutting:
                if not self._done.is_set():
                    self._connection.cut()


class _TooLarge(http.client.HTTPException):
    """An answer has more bytes than its vectors can take."""


def _read(response: http.client.HTTPResponse, largest: int) -> bytes:
    """The body; of a complaint, its beginning. Raises _TooLarge and IncompleteRead."""
    body = bytearray()
    while len(body) <= largest and (part := response.read1(1 << 16)):
        body += part
    if len(body) > largest:
        if response.status == 200:
            raise _TooLarge(f"over {largest / 1024**2:.1f} MiB")
    elif response.length:
        raise http.client.IncompleteRead(bytes(body), response.length)
    return bytes(body)


def is_loopback(url: str) -> bool:
    """Whether a URL leads to this machine."""
    host = urllib.parse.urlsplit(url).hostname or ""
    with contextlib.suppress(ValueError):
        return ipaddress.ip_address(host).is_loopback
    return host == "localhost"


def _seconds(told: str | None) -> float:
    """What `Retry-After` says (RFC 9110, 10.2.3): seconds, or a date. 0 where it says nothing."""
    if told is None:
        return 0.0
    with contextlib.suppress(ValueError):
        return max(0.0, float(told))
    with contextlib.suppress(ValueError, TypeError, OverflowError):
        return max(0.0, email.utils.parsedate_to_datetime(told).timestamp() - time.time())
    return 0.0


def complaint(answer: Any) -> str:
    """What a server says is wrong, from the forms in which servers say it."""
    for key in ("error", "message", "detail"):
        if isinstance(answer, dict) and answer.get(key):
            return complaint(answer[key])
    return answer if isinstance(answer, str) else ""
