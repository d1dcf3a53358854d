"""Servers that misbehave below JSON: answers that drip, have no end, or come with a certificate that nobody trusts."""

from __future__ import annotations

import contextlib
import itertools
import shutil
import socket
import ssl
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from conftest import Program
from endpoint_making import Reply, Server

from kosearch.embedding import connect, endpoint, load_for_queries
from kosearch.embedding.http_client import RetryPolicy
from kosearch.errors import ModelError

Talk = Callable[[socket.socket], None]
"""What a server does with a connection whose request it has read, or not."""
_SECONDS = 0.5


@pytest.fixture(autouse=True)
def _hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("OPENAI_API_KEY", "KOSEARCH_API_KEY", "http_proxy", "https_proxy"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(endpoint, "_MEETING", RetryPolicy(tries=1, seconds=_SECONDS))


@contextlib.contextmanager
def listening(talk: Talk) -> Iterator[str]:
    """The host and port of a server that does this with each connection."""
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            with contextlib.suppress(OSError):
                while True:
                    connection, _ = listener.accept()
                    threading.Thread(target=_talk, args=(connection, talk), daemon=True).start()

        threading.Thread(target=serve, daemon=True).start()
        yield f"127.0.0.1:{listener.getsockname()[1]}"


def _talk(connection: socket.socket, talk: Talk) -> None:
    with connection, contextlib.suppress(OSError):
        talk(connection)


def dripping(first: bytes, rest: bytes) -> Talk:
    """`first` at once, then `rest` for ever, byte by byte."""

    def talk(connection: socket.socket) -> None:
        connection.sendall(first)
        for byte in itertools.cycle(rest):
            connection.sendall(bytes([byte]))
            time.sleep(0.02)

    return talk


@pytest.mark.parametrize(
    ("first", "rest"),
    [
        (b"", b"H"),
        (b"HTTP/1.1 200 OK\r\nX-Long: ", b"a"),
        (b"HTTP/1.1 200 OK\r\n", b"X: y\r\n"),
        (b"", b"HTTP/1.1 100 Continue\r\n\r\n"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 5000\r\n\r\n", b" "),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", b"1\r\n \r\n"),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", b"0"),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n", b"X: y\r\n"),
        (b"HTTP/1.1 503 Busy\r\n\r\n", b" "),
    ],
    ids=["status", "header", "headers", "continue", "body", "chunks", "chunk-size", "trailers", "complaint"],
)
def test_one_deadline_for_all_of_an_answer(first: bytes, rest: bytes) -> None:
    with listening(dripping(first, rest)) as place:
        began = time.monotonic()
        with pytest.raises(ModelError, match="does not answer: timed out"):
            connect("openai:small", url=f"http://{place}/v1")
        assert time.monotonic() - began < 10 * _SECONDS


@pytest.mark.parametrize("first", [b"", b"\x16\x03\x03\x40\x00\x02"], ids=["nothing", "a-record-without-end"])
def test_the_deadline_holds_for_the_handshake_too(first: bytes) -> None:
    with listening(dripping(first, b"\x00" if first else b"\x16")) as place:
        began = time.monotonic()
        with pytest.raises(ModelError, match="does not answer"):
            connect("openai:small", url=f"https://{place}/v1")
        assert time.monotonic() - began < 10 * _SECONDS


def test_a_server_that_reads_nothing() -> None:
    with listening(lambda _: time.sleep(20 * _SECONDS)) as place:
        began = time.monotonic()
        with pytest.raises(ModelError, match="does not answer: timed out"):
            connect("openai:small", url=f"http://{place}/v1")
        assert time.monotonic() - began < 10 * _SECONDS


@pytest.fixture
def server() -> Iterator[Server]:
    one = Server()
    yield one
    one.stop()


def test_an_answer_has_no_more_bytes_than_its_vectors_take(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(endpoint, "_MEETING", RetryPolicy(tries=3, seconds=20))
    model = connect("openai:small", url=server.url)
    server.asked.clear()
    server.decide = lambda _: Reply(body=b" " * 200_000)
    with pytest.raises(ModelError, match=r"answers with more than was asked for: over 0\.1 MiB"):
        load_for_queries(model).embed_queries(["가"])
    assert len(server.asked) == 1, "there is no use in asking again"
    server.decide = lambda _: Reply(body=b" " * 5_000_000)
    with pytest.raises(ModelError, match="answers with more than was asked for"):
        connect("openai:small", url=server.url)
    server.decide = lambda _: Reply(404, body=b"x" * 200_000)
    with pytest.raises(ModelError, match=r"answers 404 Not Found: x{200}…$"):
        connect("openai:small", url=server.url)


def test_a_complaint_that_is_nested_deep(server: Server) -> None:
    server.decide = lambda _: Reply(404, body=b'{"error":' * 100_000)
    with pytest.raises(ModelError, match="404"):
        connect("openai:small", url=server.url)
    server.decide = lambda _: Reply(404, body=b'{"error":' * 300 + b"{}" + b"}" * 300)
    with pytest.raises(ModelError, match="404"):
        connect("openai:small", url=server.url)


@pytest.fixture(scope="module")
def certificates(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """`own.pem` for 127.0.0.1 and `other.pem` for a.example, each signed by itself, with its key in the same file."""
    if shutil.which("openssl") is None:
        pytest.skip("no openssl")
    folder = tmp_path_factory.mktemp("certificates")
    for name, subject in (("own", "IP:127.0.0.1"), ("other", "DNS:a.example")):
        request = ["req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=test"]
        more = ["-addext", f"subjectAltName={subject}", "-keyout", f"{name}.key", "-out", f"{name}.crt"]
        subprocess.run(["openssl", *request, *more], cwd=folder, check=True, capture_output=True)
        (folder / f"{name}.pem").write_bytes(
            (folder / f"{name}.key").read_bytes() + (folder / f"{name}.crt").read_bytes()
        )
    return folder


def secure(server: Server, certificate: Path) -> str:
    """The server's URL, with TLS from now on."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    assert server._http is not None
    server._http.socket = context.wrap_socket(server._http.socket, server_side=True, do_handshake_on_connect=False)
    return server.url.replace("http:", "https:")


@pytest.mark.parametrize(
    ("name", "trusted", "match"),
    [
        ("own", False, r"the certificate of https://127.0.0.1:\d+/v1/embeddings can't be trusted: self.signed cert"),
        ("other", True, "can't be trusted: IP address mismatch, certificate is not valid for '127.0.0.1'"),
    ],
)
def test_a_certificate_that_nobody_trusts(
    name: str, trusted: bool, match: str, server: Server, certificates: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if trusted:
        monkeypatch.setenv("SSL_CERT_FILE", str(certificates / f"{name}.crt"))
    monkeypatch.setattr(endpoint, "_MEETING", RetryPolicy(tries=3, seconds=20, pause=60))
    with pytest.raises(ModelError, match=match) as caught:
        connect("openai:small", url=secure(server, certificates / f"{name}.pem"))
    assert "SSL_CERT_FILE" in caught.value.hint
    assert not server.asked


def test_a_certificate_of_ones_own(server: Server, certificates: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(certificates / "own.crt"))
    monkeypatch.setattr(endpoint, "_MEETING", RetryPolicy(tries=1, seconds=20))
    assert connect("openai:small", url=secure(server, certificates / "own.pem")).dimensions == server.width


def test_the_program_says_so_in_a_line_and_ends_with_3(
    program: Program, server: Server, certificates: Path, tmp_path: Path
) -> None:
    (tmp_path / "a.txt").write_text("a lamp\n")
    url = secure(server, certificates / "own.pem")
    result = program.run("index", "--model", "openai:small", "--endpoint", url, tmp_path / "a.txt")
    assert result.returncode == 3
    first, *_ = result.stderr.splitlines()
    assert "can't be trusted: self" in first
    assert "Traceback" not in result.stderr
    mended = replace(program, environment={**program.environment, "SSL_CERT_FILE": str(certificates / "own.crt")})
    result = mended.run("index", "--model", "openai:small", "--endpoint", url, tmp_path / "a.txt")
    assert result.returncode == 0, result.stderr


def test_https_where_http_is_spoken(server: Server) -> None:
    with pytest.raises(ModelError, match="does not answer") as caught:
        connect("openai:small", url=server.url.replace("http:", "https:"))
    assert "https is spoken" in caught.value.hint
