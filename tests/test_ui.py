"""The page's server: what it answers, and whom it turns away."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import zlib
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from conftest import PROGRAM, SHARED, Program, until

pytest.importorskip("starlette")
pytest.importorskip("uvicorn")
pytest.importorskip("httpx")

from index_making import make
from ui_making import SCRIPT, Server, served

from kosearch import ocr
from kosearch.cli import main
from kosearch.records import Recognised, RecognisedLine
from kosearch.ui import pictures
from kosearch.ui.server import listen


def asked(server: Server, question: str, **more: str) -> dict[str, Any]:
    with server.client() as client:
        reply = client.get("/api/search", params={"q": question, **more})
        assert reply.status_code == 200, reply.text
        found: dict[str, Any] = reply.json()
        return found


def named(hit: dict[str, Any], **more: object) -> dict[str, Any]:
    return {"index": hit["index"], "id": hit["id"], "key": hit["key"], **more}


def test_a_question_by_words_and_by_meaning(server: Server) -> None:
    for mode in ("lexical", "hybrid"):
        found = asked(server, "연차 이월", mode=mode)
        assert found["mode"] == mode
        first = found["hits"][0]
        assert first["name"].startswith("복무")
        assert first["shown"] == "~/문서/규정"
        assert len(first["also"]) == 1, "a near copy is folded"
        assert any(shared and "연차" in text for text, shared in first["excerpt"])
        assert first["scores"]["lexical"] is not None
        assert len(first["date"]) == 10


def test_filters_narrow(server: Server) -> None:
    assert {hit["type"] for hit in asked(server, "서울", type="csv")["hits"]} == {"csv"}
    folder = asked(server, "연차 이월")["hits"][0]["folder"]
    assert {hit["folder"] for hit in asked(server, "규정 문서", folder=folder)["hits"]} == {folder}
    assert {hit["name"] for hit in asked(server, "boundary layer", year="2014")["hits"]} == {"notes.txt"}
    assert asked(server, "연차", folder=folder + "[")["hits"] == []
    grouped = asked(server, "서울", group="1")["hits"]
    assert len({(hit["key"]) for hit in grouped}) == len(grouped)


def test_a_text_has_its_headings_and_the_passage_marked(server: Server) -> None:
    hit = asked(server, "연차 이월")["hits"][0]
    with server.client() as client:
        shown = client.get("/api/document", params=named(hit, at=hit["best"][0], to=hit["best"][1])).json()
    assert shown["view"] == "text"
    heads = ["".join(text for text, _ in one["runs"]) for one in shown["blocks"] if one["is"] == "heading"]
    assert "휴가" in " ".join(heads)
    marked = "".join(text for one in shown["blocks"] for line in one.get("lines", ()) for text, level in line if level)
    assert "연차" in marked


def test_sheets_are_grids_and_tables_tables(server: Server) -> None:
    with server.client() as client:
        for question, kind, expected in (("부산 인구", "csv", "grid"), ("2024 45조", "docx", "table")):
            hit = asked(server, question, type=kind)["hits"][0]
            blocks = client.get("/api/document", params=named(hit)).json()["blocks"]
            table = next(one for one in blocks if one["is"] == expected)
            cells = ["".join(text for text, _ in cell) for row in table["rows"] for cell in row]
            assert {"부산", "330만"} <= set(cells) if expected == "grid" else "45조" in cells


def test_a_page_of_a_pdf_has_the_passage_marked(server: Server) -> None:
    hit = asked(server, "서울", type="pdf")["hits"][0]
    with server.client() as client:
        shown = client.get("/api/document", params=named(hit, at=hit["best"][0], to=hit["best"][1])).json()
        assert shown["view"] == "pdf"
        drawn = client.get("/api/page", params=named(hit, n=shown["page"], width=600)).json()
        assert drawn["pages"] == 2
        assert drawn["covered"] > 0.98
        assert all(0 <= number <= 1 for box in drawn["boxes"] for number in box)
        other = client.get("/api/page", params=named(hit, n=3 - shown["page"], width=600)).json()
        assert other["jpeg"] != drawn["jpeg"]


def test_similar_documents(server: Server) -> None:
    hit = asked(server, "연차 이월")["hits"][0]
    with server.client() as client:
        found = client.get("/api/similar", params=named(hit))
    assert found.status_code == 200, found.text
    assert found.json()["hits"]


def test_documents_that_are_scripts_stay_text(server: Server) -> None:
    hit = asked(server, "비밀번호 규칙", type="text")["hits"][0]
    assert "<script>" in hit["name"]
    with server.client() as client:
        reply = client.get("/api/document", params=named(hit))
        front = client.get("/")
    assert reply.headers["content-type"] == "application/json"
    assert SCRIPT in json.dumps(reply.json(), ensure_ascii=False)
    policy = front.headers["content-security-policy"]
    nonce = policy.split("'nonce-")[1].split("'")[0]
    assert f'nonce="{nonce}"' in front.text
    assert "unsafe" not in policy
    assert "http" not in front.text.lower().replace("http-equiv", "")
    assert nonce not in httpx_get(server, "/").headers["content-security-policy"]


def httpx_get(server: Server, path: str) -> Any:
    with server.client() as client:
        return client.get(path)


@pytest.mark.parametrize("name", ["ui.js", "ui.css", "index.html"])
def test_nothing_comes_from_elsewhere(name: str) -> None:
    text = (Path(pictures.__file__).parent / "static" / name).read_text(encoding="utf-8")
    assert "//" not in text.replace("// ", "").replace("://", ":") or name == "ui.js"
    assert not any(one in text for one in ("http://", "https://", "@import", "innerHTML", "eval(", "document.write"))


def test_only_who_has_the_token_is_answered(server: Server) -> None:
    paths = ("search?q=a", "similar", "topics", "document", "page", "status", "progress", "ping")
    for token in ("", "wrong", server.token[:-1], server.token + "x"):
        with server.client() as client:
            client.headers["x-kosearch-token"] = token
            assert {client.get(f"/api/{path}").status_code for path in paths} == {401}
            assert client.post("/api/open", json={}).status_code == 401
            assert client.post("/api/index", json={}).status_code == 401
    head = b"GET /api/status HTTP/1.1\r\nHost: 127.0.0.1:%d\r\n" % server.port
    assert raw(server, head + b"\r\n")[0] == 401
    assert raw(server, head + b"x-kosearch-token: \xe9\r\n\r\n")[0] == 401


def test_no_name_but_this_machines_leads_here(server: Server) -> None:
    """DNS rebinding: a site's own name that is bound to 127.0.0.1."""
    mine = f"127.0.0.1:{server.port}"
    for host in ("evil.example", f"evil.example:{server.port}", "127.0.0.1", f"{mine}.evil.example", ""):
        with server.client(host=host) as client:
            assert client.get("/").status_code == 421, host
            assert client.get("/api/status").status_code == 421
    with server.client(host=f"localhost:{server.port}") as client:
        assert client.get("/api/ping").status_code == 200


def test_no_other_site_asks(server: Server) -> None:
    for origin in (
        "http://evil.example",
        "null",
        f"https://127.0.0.1:{server.port}",
        f"http://127.0.0.1:{server.port + 1}",
    ):
        with server.client(origin=origin) as client:
            assert client.get("/api/status").status_code == 403, origin
            assert client.post("/api/open", json={}).status_code == 403
    with server.client(**{"sec-fetch-site": "cross-site"}) as client:
        assert client.post("/api/index", json={}).status_code == 403
        assert client.get("/").status_code == 403
    with server.client(**{"sec-fetch-site": "cross-site", "sec-fetch-mode": "navigate"}) as client:
        assert client.get("/").status_code == 200, "the browser comes from the file that leads here"
        assert client.get("/api/status").status_code == 403


def test_forms_and_links_change_nothing(server: Server) -> None:
    """CSRF: what a page of another site can send without asking first is a form or a plain text."""
    with server.client() as client:
        assert client.get("/api/open").status_code == 405
        assert client.get("/api/index").status_code == 405
        for kind in ("text/plain", "application/x-www-form-urlencoded", "multipart/form-data"):
            assert client.post("/api/index", content="{}", headers={"content-type": kind}).status_code == 400
        assert client.post("/api/index", content="x" * 70_000).status_code == 413
        assert client.get("/api/status").json()["run"] == {"is": "idle"}


def test_no_path_leads_anywhere(server: Server, shelf: Program) -> None:
    hit = asked(server, "연차 이월")["hits"][0]
    tries = ("/etc/passwd", "../../etc/passwd", str(shelf.home), "0" * 64, hit["id"] + "/../x", "", "%2e%2e")
    with server.client() as client:
        for wrong in tries:
            for field in ("id", "key", "index"):
                given = named(hit) | {field: wrong}
                for path in ("document", "similar"):
                    assert client.get(f"/api/{path}", params=given).status_code == 400, (path, field, wrong)
                assert client.get("/api/page", params={**given, "n": "1", "width": "600"}).status_code == 400
                assert client.post("/api/open", json={**given, "at": "0"}).status_code == 400
        for path in ("/../server.py", "/static/ui.js", "/%2e%2e/server.py", "/ui.js/../../server.py", "/index.html"):
            assert client.get(path).status_code == 404, path
    status, body = raw(server, b"GET /../../../etc/passwd HTTP/1.1\r\nHost: 127.0.0.1:%d\r\n\r\n" % server.port)
    assert (status, b"root:" in body) == (404, False)


def raw(server: Server, request: bytes) -> tuple[int, bytes]:
    with socket.create_connection(("127.0.0.1", server.port), 60) as connection:
        connection.sendall(request.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n", 1))
        found = b"".join(iter(lambda: connection.recv(65536), b""))
    return int(found.split()[1]), found


def test_odd_requests_are_one_line(server: Server) -> None:
    with server.client() as client:
        for parameters in ({}, {"q": " "}, {"q": "a", "k": "0"}, {"q": "a", "k": "9999"}, {"q": "a", "mode": "x"},
                           {"q": "a", "year": "24"}, {"q": "a", "type": "\0"}):  # fmt: skip
            reply = client.get("/api/search", params=parameters)  # type: ignore[arg-type]
            assert reply.status_code in (200, 400), parameters
            assert len(reply.json().get("error", "").splitlines()) <= 1
    host = b"Host: 127.0.0.1:%d\r\n" % server.port
    assert raw(server, b"GET / HTTP/1.1\r\n" + host + host + b"\r\n")[0] in (400, 421)
    assert raw(server, b"GET / HTTP/1.1\r\n\r\n")[0] in (400, 421)
    chunked = b"Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n"
    assert raw(server, b"POST /api/index HTTP/1.1\r\n" + host + chunked)[0] == 413
    assert raw(server, b"GET / HTTP/1.1\r\n" + host + b"Content-Length: x\r\n\r\n")[0] == 400


def test_fifty_at_once(server: Server) -> None:
    with server.client() as client, ThreadPoolExecutor(50) as threads:
        replies = list(threads.map(lambda n: client.get("/api/search", params={"q": f"연차 {n}"}), range(50)))
    assert {reply.status_code for reply in replies} == {200}
    hit = asked(server, "서울", type="pdf")["hits"][0]
    asks = [named(hit, n=n % 2 + 1, width=300 + n) for n in range(50)]
    with server.client() as client, ThreadPoolExecutor(50) as threads:
        replies = list(threads.map(lambda one: client.get("/api/page", params=one), asks))
    assert {reply.status_code for reply in replies} == {200}


def test_who_gives_up_is_not_waited_for(server: Server) -> None:
    for _ in range(20):
        with socket.create_connection(("127.0.0.1", server.port), 60) as connection:
            connection.sendall(b"GET /api/search?q=a HTTP/1.1\r\nHost: 127.0.0.1:%d\r\n" % server.port)
    assert asked(server, "연차")["hits"]


def test_a_page_that_is_a_bomb_costs_a_line(tmp_path: Path) -> None:
    import pypdfium2

    document = pypdfium2.PdfDocument.new()
    document.new_page(14_000, 1)
    document.new_page(1e7, 1e7)
    file = tmp_path / "bomb.pdf"
    document.save(file)
    (tmp_path / "broken.pdf").write_bytes(b"%PDF-1.7\nnothing")
    drawer = pictures.Drawer(1 << 26)
    try:
        for number in (1, 2):
            drawn = drawer.draw(pictures.Wanted(os.fsencode(file), "", "pdf", number, 2400))
            assert drawn.width * drawn.height <= 13_000_000
        for wrong in ("broken.pdf", "not there.pdf"):
            with pytest.raises(pictures.UsageError, match="cannot be drawn"):
                drawer.draw(pictures.Wanted(os.fsencode(tmp_path / wrong), "", "pdf", 1, 600))
    finally:
        drawer.close()


def test_bombs_inside_a_page_end_with_their_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A stream that unpacks to a quarter of a gigabyte, and forms that draw each other a thousand million times."""
    packed = zlib.compress(b"0 0 m 9 9 l S\n" * (1 << 24))
    (tmp_path / "stream.pdf").write_bytes(pdf_of(b"<</Length %d/Filter/FlateDecode>>" % len(packed), packed))
    forms = b"".join(
        b"%d 0 obj<</Type/XObject/Subtype/Form/BBox[0 0 9 9]/Resources<</XObject<</X %d 0 R>>>>/Length 60>>stream\n%s\n"
        b"endstream endobj\n" % (number, number + 1, (b"/X Do " * 10))
        for number in range(5, 14)
    )
    last = b"14 0 obj<</Type/XObject/Subtype/Form/BBox[0 0 9 9]/Length 14>>stream\n0 0 m 9 9 l S \nendstream endobj\n"
    (tmp_path / "forms.pdf").write_bytes(pdf_of(b"<</Length 5>>", b"/X Do", forms + last))
    (tmp_path / "plain.pdf").write_bytes(pdf_of(b"<</Length 13>>", b"0 0 m 9 9 l S"))
    monkeypatch.setattr(pictures, "_SECONDS", 1.0)
    drawer = pictures.Drawer(1 << 26)
    try:
        for name in ("stream.pdf", "forms.pdf"):
            with pytest.raises(pictures.UsageError, match="cannot be drawn"):
                drawer.draw(pictures.Wanted(os.fsencode(tmp_path / name), "", "pdf", 1, 600))
            drawn = drawer.draw(pictures.Wanted(os.fsencode(tmp_path / "plain.pdf"), "", "pdf", 1, 600))
            assert drawn.jpeg.startswith(b"\xff\xd8")
    finally:
        drawer.close()


def pdf_of(head: bytes, stream: bytes, more: bytes = b"") -> bytes:
    """A page with a content stream, and objects from number 5 on; readers find them without a table."""
    return (
        b"%PDF-1.7\n1 0 obj<</Type/Catalog/Pages 2 0 R>>endobj\n2 0 obj<</Type/Pages/Kids[3 0 R]/Count 1>>endobj\n"
        b"3 0 obj<</Type/Page/Parent 2 0 R/MediaBox[0 0 99 99]/Contents 4 0 R"
        b"/Resources<</XObject<</X 5 0 R>>>>>>endobj\n"
        b"4 0 obj" + head + b"stream\n" + stream + b"\nendstream endobj\n" + more + b"trailer<</Root 1 0 R>>\n%%EOF\n"
    )


def test_opening_runs_the_program_of_the_document(shelf: Program, tmp_path: Path) -> None:
    """By POST and id; what is run gets the file's name as it is, and no shell sees it."""
    opened = tmp_path / "opened"
    viewer = tmp_path / "bin" / "xdg-open"
    viewer.parent.mkdir()
    viewer.write_text(f'#!/bin/sh\nprintf %s "$1" > {opened}\n')
    viewer.chmod(0o755)
    path = f"{viewer.parent}{os.pathsep}{shelf.environment['PATH']}"
    program = Program(shelf.home, {**shelf.environment, "PATH": path, "EDITOR": "vim"})
    with served(program) as server, server.client() as client:
        hit = asked(server, "비밀번호 규칙", type="text")["hits"][0]
        assert client.post("/api/open", json=named(hit, at="0")).status_code == 200
        assert until(lambda: opened.is_file() and opened.read_text() != "", 30)
        assert opened.read_text() == os.path.join(hit["folder"], hit["name"])
        assert server.end() == 130


def test_an_empty_index_takes_a_folder_by_its_path(program: Program) -> None:
    folder = program.home / "새 문서"
    folder.mkdir()
    (folder / "a.txt").write_text("백신 프로그램은 자동으로 갱신된다.\n", "utf-8")
    with served(program) as server, server.client() as client:
        assert client.get("/api/search", params={"q": "백신"}).status_code == 404
        for wrong in ("", "relative", "/nowhere/at/all", "\0"):
            assert client.post("/api/index", json={"index": "default", "path": wrong}).status_code == 400, wrong
        assert client.post("/api/index", json={"index": "default", "path": str(folder)}).status_code == 200
        with client.stream("GET", "/api/progress") as stream:
            assert stream.headers["content-type"].startswith("text/event-stream")
            states = [json.loads(line.removeprefix("data: ")) for line in stream.iter_lines() if line]
        assert (states[-1]["is"], states[-1].get("added")) == ("done", 1), states[-1]
        assert asked(server, "백신")["hits"][0]["name"] == "a.txt"
        (folder / "b.txt").write_text("새 백신을 산다.\n", "utf-8")
        assert client.post("/api/index", json={"index": "default"}).status_code == 200
        with client.stream("GET", "/api/progress") as stream:
            assert json.loads(list(stream.iter_lines())[-2].removeprefix("data: "))["added"] == 1
        assert {hit["name"] for hit in asked(server, "백신")["hits"]} == {"a.txt", "b.txt"}


def test_it_ends_when_nobody_has_the_page_open(shelf: Program) -> None:
    program = Program(shelf.home, {**shelf.environment, "KOSEARCH_RESIDENT_IDLE": "1"})
    with served(program) as server:
        assert server.process.wait(60) == 0


def test_a_run_goes_on_when_nobody_looks(program: Program) -> None:
    folder = program.home / "docs"
    folder.mkdir()
    for number in range(60):
        (folder / f"{number}.txt").write_text(f"백신 {number}번은 자동으로 갱신된다. " * 5, "utf-8")
    with (
        served(Program(program.home, {**program.environment, "KOSEARCH_RESIDENT_IDLE": "2"})) as server,
        server.client() as client,
    ):
        assert client.post("/api/index", json={"index": "default", "path": str(folder)}).status_code == 200
        assert server.process.wait(300) == 0
    assert program.run("query", "백신", "--mode", "lexical", "-k", "200", "--paths").stdout.count(".txt") == 60


def test_another_user_sees_no_token(shelf: Program, tmp_path: Path) -> None:
    """What a program is started with, every user of the machine can read: the browser gets a file that leads there."""
    seen = tmp_path / "seen"
    browser = tmp_path / "browser"
    browser.write_text(f'#!/bin/sh\nprintf %s "$*" > {seen}\n')
    browser.chmod(0o755)
    environment = {**shelf.environment, "BROWSER": f"{browser} %s"}
    process = subprocess.Popen([PROGRAM, "ui"], stdout=subprocess.PIPE, text=True, env=environment, cwd=shelf.home)
    assert process.stdout
    url = process.stdout.readline().strip()
    try:
        assert until(lambda: seen.is_file() and seen.read_text() != "", 60)
        token = url.rpartition("=")[2]
        assert token not in seen.read_text()
        file = Path(seen.read_text().removeprefix("file://"))
        assert token in file.read_text()
        assert file.stat().st_mode & 0o077 == 0
    finally:
        process.send_signal(signal.SIGINT)
        process.wait(60)
        process.stdout.close()


@pytest.mark.skipif(os.name != "posix" or os.geteuid() != 0, reason="only root may be somebody else")
def test_another_user_of_the_machine_learns_nothing(server: Server) -> None:
    """Loopback is everybody's: who has no token gets the page's frame, and no process tells the token."""
    if not (shutil.which("curl") and shutil.which("setpriv")):
        pytest.skip("curl and setpriv are not installed")

    def as_nobody(*command: str) -> str:
        become = ("setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "--no-new-privs")
        done = subprocess.run([*become, *command], capture_output=True, text=True, cwd="/", timeout=60, check=False)
        return done.stdout

    status = ("curl", "--silent", "--output", "/dev/null", "--write-out", "%{http_code}")
    address = f"http://127.0.0.1:{server.port}"
    assert as_nobody(*status, f"{address}/") == "200"
    assert server.token not in as_nobody("curl", "--silent", f"{address}/", f"{address}/ui.js")
    for path in ("status", "search?q=a", "page", "progress"):
        assert as_nobody(*status, f"{address}/api/{path}") == "401"
    post = ("--request", "POST", "--header", "content-type: application/json", "--data", '{"path": "/etc"}')
    assert as_nobody(*status, *post, f"{address}/api/index") == "401"
    seen = f"cat /proc/{server.process.pid}/cmdline /proc/{server.process.pid}/environ; ps axww"
    assert server.token not in as_nobody("sh", "-c", seen)


def test_a_missing_extra_and_a_taken_port_are_one_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        assert main(["ui", "--no-browser", "--port", str(taken.getsockname()[1])]) == 2
    assert "cannot be used" in capsys.readouterr().err
    monkeypatch.setattr("kosearch.cli.ui.find_spec", lambda name: None if name == "uvicorn" else name)
    assert main(["ui"]) == 2
    assert "pip install 'kosearch[ui]'" in capsys.readouterr().err


def test_letters_are_found_again_however_they_are_written() -> None:
    import unicodedata

    there = pictures.letters_of(unicodedata.normalize("NFD", "제 1 조 (목적) 이 규정은 ﬁle 연-\n차를 정한다."))
    for text in ("제1조(목적) 이 규정은 file 연차를 정한다.", unicodedata.normalize("NFD", "연차를 정한다")):
        assert None not in pictures.found_on(there, text)
    assert set(pictures.found_on(there, "全然 다른 말")) == {None}


def test_glyphs_that_say_nothing_are_known_by_how_they_repeat() -> None:
    """As on a page whose fonts do not tell their characters: pdfium gives each glyph's number."""
    text = "연차는 다음 해 3월 말까지 이월할 수 있다.\n병가를 쓰려면 의사의 진단서를 내고 연차를 쓴다."
    page = "머리글이 앞에 있다. " + text.replace("\n", "\r\n") + " 1"
    garbage = "".join(one if one.isspace() else chr(ord(one) % 997 + 0x2400) for one in page)
    assert text.replace("\n", "\r\n") in pictures.deciphered(garbage, text)
    assert pictures.deciphered(garbage, "출장에서 돌아오면 보고서와 영수증을 낸다.") == garbage


@pytest.mark.parametrize("turned", [0, 90, 180, 270])
def test_what_was_read_in_a_picture_is_marked_however_it_lies(turned: int) -> None:
    """Two lines of a picture 1000 wide and 2000 high; the second one is sought."""
    import numpy as np

    sheet = np.zeros((2000, 1000), dtype=np.uint8)
    sheet[380:400, 100:600] = 1
    read = np.rot90(sheet, turned // 90)
    rows, columns = np.nonzero(read)
    low, high = int(rows.min()), int(rows.max()) + 1
    left, right = int(columns.min()), int(columns.max()) + 1
    size = {"height": read.shape[0], "width": read.shape[1]}
    lines = (
        RecognisedLine("제1조 목적", 0, 1, 1, 1, 0, False, 0.9),
        RecognisedLine("제2조 연차를 이월한다", left, right, high, high - low, 0, False, 0.9),
    )
    drawn = pictures.Drawn(b"", 500, 1000, 1)
    wanted = pictures.Wanted(b"", "", "pdf", 1, 500, "연차를 이월한다", (0, 3))
    marked = pictures.with_recognised(drawn, Recognised(lines, 0.9, turned, **size), wanted)
    [box] = marked.boxes
    assert marked.covered == 1
    assert marked.best == (box,)
    assert (box.left, box.left + box.width) == pytest.approx((0.1, 0.6), abs=0.13)
    assert (box.top, box.top + box.height) == pytest.approx((0.19, 0.2), abs=0.07)


@pytest.fixture
def warm(program: Program) -> Iterator[Program]:
    """Two indexes, and a warm process that questions go to."""
    runtime = Path(tempfile.mkdtemp(prefix="ks-", dir="/tmp"))
    environment = {**program.environment, "KOSEARCH_RESIDENT": "on", "XDG_RUNTIME_DIR": str(runtime)}
    one = Program(program.home, environment)
    for name, text in (("school", "연차는 교장이 승인한다."), ("office", "연차는 부서장이 승인한다.")):
        folder = one.home / name
        folder.mkdir()
        (folder / f"{name}.txt").write_text(text, "utf-8")
        assert one.run("index", folder, "--index", name).returncode == 0
    yield one
    one.run("serve", "--stop")
    shutil.rmtree(runtime)


def test_all_indexes_as_one_through_the_warm_process(warm: Program) -> None:
    with served(warm, "--all") as server, server.client() as client:
        assert {one["name"] for one in client.get("/api/status").json()["indexes"]} == {"school", "office"}
        hits = asked(server, "연차 승인", mode="hybrid")["hits"]
        assert {(hit["index"], hit["name"]) for hit in hits} == {("school", "school.txt"), ("office", "office.txt")}
        for hit in hits:
            shown = client.get("/api/document", params=named(hit, at=hit["best"][0], to=hit["best"][1])).json()
            assert shown["name"] == f"{hit['index']}.txt"
        assert client.get("/api/document", params=named(hits[0], index=hits[1]["index"])).status_code == 400
        assert "questions" in warm.run("serve", "--status").stdout, "the warm process answered"
        assert warm.run("serve", "--stop").returncode == 0
        assert len(asked(server, "부서장", mode="hybrid")["hits"]) == 2, "who answers may go and come"
    with served(warm, "--index", "office") as server:
        assert [hit["name"] for hit in asked(server, "승인")["hits"]] == ["office.txt"]


SCANS = SHARED / "cases" / "scans"
ENGINE = ocr.find()


@pytest.mark.skipif(not SCANS.is_dir(), reason="the shared scans are not here")
@pytest.mark.skipif(isinstance(ENGINE, ocr.Missing), reason=str(ENGINE))
def test_a_scan_is_marked_where_it_says_so(program: Program) -> None:
    """As a picture, and as a page of a PDF."""
    from PIL import Image

    folder = program.home / "scans"
    folder.mkdir()
    with Image.open(SCANS / "ko_table_150.png") as scan:
        scan.save(folder / "scan.png")
        scan.convert("RGB").save(folder / "scan.pdf", resolution=150)
    assert program.run("index", folder, timeout=300).returncode == 0
    with served(program) as server, server.client() as client:
        found = {hit["type"]: hit for hit in asked(server, "피치클락 규정", mode="lexical")["hits"]}
        assert set(found) == {"image", "pdf"}
        for hit in found.values():
            assert hit["ocr"]
            at, to = hit["best"]
            drawn = client.get("/api/page", params=named(hit, at=at, to=to, n=1, width=800)).json()
            assert drawn["covered"] > 0.95
            assert 0 < sum(wide * high for _, _, wide, high in drawn["boxes"]) < 0.9
            assert drawn["best"]


def test_what_an_engine_found_is_known_by_its_picture(tmp_path: Path) -> None:
    store = make(tmp_path / "index", ["가"])
    assert store.recognised(b"p" * 16) is None
    with store.writer() as writer:
        writer.keep_recognised("engine-1", b"p" * 16, '"nothing"')
    assert store.recognised(b"p" * 16) == '"nothing"'
    assert store.recognised(b"q" * 16) is None
    store.close()


def test_whoever_comes_before_the_first_answer_waits() -> None:
    """The address is printed when the server is about to listen: a script may be sooner."""
    with listen(0) as listener, socket.create_connection(listener.getsockname(), 5):
        pass
