"""The server for agents, as agents use it: by the official client, over its stdin and stdout."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from threading import Event
from typing import Any

import pytest
from conftest import CORPUS, PROGRAM, Program, until

pytest.importorskip("mcp")

from anyio import create_task_group, fail_after, sleep
from anyio.from_thread import start_blocking_portal
from mcp.client.session import ClientSession
from mcp.client.stdio import StdioServerParameters, stdio_client
from mcp.shared.exceptions import MCPError
from mcp_types import CallToolResult, PaginatedRequestParams

import kosearch
from kosearch import config
from kosearch.agents import asking, here, tools
from kosearch.cli import main
from kosearch.cli import mcp as cli_mcp
from kosearch.errors import ResourcesError
from kosearch.index import FullDocument, StoredDocument
from kosearch.records import PageStart

QUESTION = "연차를 다음 해로 넘길 수 있나요?"
RULES = "f3fac1200ab7"
"""The beginning of the hash of 규정/휴가규정.md."""
HIT = {"path": "a.md", "lines": [1, 1], "score": 0.5, "id": f"{RULES}:0:1", "excerpt": "…"}
NOISE = """
import os, sys, threading, time
def shout():
    while "kosearch.agents.server" not in sys.modules:
        time.sleep(0.01)
    while True:
        os.write(1, b'{"jsonrpc": "2.0", "id": 1, "result": "noise"}\\nnoise')
        print("noise", flush=True)
        os.system("echo noise; cat")
        time.sleep(0.05)
if sys.argv[1:2] == ["mcp"]:
    threading.Thread(target=shout, daemon=True).start()
"""
"""A library that prints whatever it likes, and has children that do."""


class Agent:
    """A client of its own, whose calls wait for the answer."""

    def __init__(self, environment: Mapping[str, str], cwd: Path, *arguments: str) -> None:
        self._server = StdioServerParameters(
            command=str(PROGRAM), args=["mcp", *arguments], env=dict(environment), cwd=cwd
        )
        self._open: list[AbstractContextManager[Any]] = []

    def __enter__(self) -> Agent:
        self._log = open(os.devnull, "w")
        self._open = [self._log, portal := start_blocking_portal()]
        self.portal = portal.__enter__()
        wire = self.portal.wrap_async_context_manager(stdio_client(self._server, self._log))
        streams = wire.__enter__()
        session = self.portal.wrap_async_context_manager(ClientSession(*streams))
        self.session = session.__enter__()
        self._open += [wire, session]
        self.hello = self.portal.call(self.session.initialize)
        return self

    def __exit__(self, *_: object) -> None:
        for one in reversed(self._open):
            one.__exit__(None, None, None)

    def result(self, tool: str, /, **arguments: object) -> CallToolResult:
        return self.portal.call(self.session.call_tool, tool, arguments)

    def text(self, tool: str, /, **arguments: object) -> str:
        found = self.result(tool, **arguments)
        assert not found.is_error, found.content
        assert found.structured_content is None  # the same payload is not sent twice
        [part] = found.content
        return str(part.text)  # type: ignore[union-attr]

    def error(self, tool: str, /, **arguments: object) -> str:
        found = self.result(tool, **arguments)
        assert found.is_error
        return str(found.content[0].text)  # type: ignore[union-attr]


@pytest.fixture(scope="module")
def agent(indexed: Program, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Agent]:
    """One that asks about the small corpus, beside a library that prints."""
    noisy = tmp_path_factory.mktemp("noisy")
    (noisy / "sitecustomize.py").write_text(NOISE)
    with Agent({**indexed.environment, "PYTHONPATH": str(noisy)}, CORPUS) as one:
        assert until(lambda: "warning" not in one.text("search", questions=["휴가"]), 100)  # the model is loaded
        yield one


def test_it_says_what_it_is_and_can_do(agent: Agent) -> None:
    assert agent.hello.server_info.name == "kosearch"
    assert "search" in (agent.hello.instructions or "")
    found = {one.name: one for one in agent.portal.call(agent.session.list_tools).tools}
    assert list(found) == ["search", "read", "list_files", "status", "refresh"]
    for name, one in found.items():
        assert one.annotations is not None
        assert (one.annotations.read_only_hint, one.annotations.destructive_hint) == (name != "refresh", False)
        assert one.description
    size = len(json.dumps([one.model_dump(by_alias=True, exclude_none=True) for one in found.values()]))
    assert size < 5000  # characters that every conversation begins with


def test_hits_are_lean_and_lead_on(agent: Agent) -> None:
    first = agent.text("search", questions=[QUESTION], k=2)
    assert re.match(rf"1 규정/휴가규정\.md:19-27 \[{RULES}:0:457\] 0\.\d\d\n", first)
    assert "다음 해 3월 말까지 이월할 수 있다" in first
    assert first.endswith("(to go on: offset 2)")
    second = agent.text("search", questions=[QUESTION], k=2, offset=2)
    assert [line[:2] for line in second.splitlines() if re.match(r"\d ", line)] == ["3 ", "4 "]
    both = agent.text("search", questions=[QUESTION, "restore drill"], k=1)
    assert both.startswith(f"# {QUESTION}\n1 ")
    assert "\n# restore drill\n1 notes/backup-diary.rst" in both
    assert "no hit; passages with each word: zzqqx 0" in agent.text("search", questions=["zzqqx"], mode="lexical")


def test_filters(agent: Agent) -> None:
    assert "소방안전.pdf p. 1 [" in agent.text("search", questions=["소화기"], type=["pdf"], after="2000")
    assert agent.text("list_files", path=["notes/*"]).count("\n") == 1
    assert agent.text("list_files", before="1999") == "no documents fit"


def test_a_hit_is_read_with_its_neighbours(agent: Agent) -> None:
    alone = agent.text("read", id=f"{RULES}:459:614", neighbours=0)
    assert alone.splitlines()[0] == "규정/휴가규정.md lines 29-38, characters 459-614 of 615"
    assert "제8조" not in alone
    assert "제8조" in agent.text("read", id=f"{RULES}:459:614")
    assert agent.text("read", id=RULES).splitlines()[0] == "규정/휴가규정.md lines 1-38"
    [pdf] = agent.text("list_files", type=["pdf"]).splitlines()
    assert agent.text("read", id=pdf.split()[0], pages="1").splitlines()[0].startswith("manuals/소방안전.pdf p. 1")


def test_status_and_refresh(agent: Agent) -> None:
    told = agent.text("status")
    assert "documents: 8 in 8 files; passages: 9" in told
    assert "brought up to date: " in told


def test_several_indexes_are_asked_as_one(indexed: Program, tmp_path: Path) -> None:
    (tmp_path / "trip.txt").write_text("Vacation days that are left move to March.\n")
    assert indexed.run("index", tmp_path, "--index", "trips", "--model", "bundled").returncode == 0
    try:
        with Agent(indexed.environment, CORPUS) as one:
            for index in ("all", ["default", "trips"]):
                found = one.text("search", questions=["휴가 vacation"], mode="lexical", index=index)
                assert re.search(r"trip\.txt:1 \[[0-9a-f]{12}:0:\d+\] 0\.\d\d (weak )?\(index trips\)", found)
                assert re.search(r"휴가규정\.md:\d+-\d+ \[.*\(index default\)", found)
            id = re.findall(r"trip\.txt:1 \[(.*?)\]", found)[0]
            assert "move to March" in one.text("read", id=id, index="trips")
            assert "trip.txt" in one.text("list_files", index="all", path=["trip*"])
            assert one.text("status", index="all").count("documents: ") == 2
            assert "(index trips)\nfiles: 0 added" in one.text("refresh", index=["trips", "default"])
            assert one.error("search", questions=["휴가"], index=["trips", "nothing"]).startswith("there is no index")
            assert one.error("search", questions=["휴가"], index=[]).startswith("no index is named")
    finally:
        assert indexed.run("indexes", "remove", "--yes", "trips").returncode == 0


def test_in_haste_words_find_without_kiwi(indexed: Program, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "kiwipiepy", None)  # importing it fails
    place = str(indexed.home / ".local/share/kosearch/indexes/default")
    found = here.Here(config.load({"resident": False}), "/", 12_000).by_words(
        [place], asking.Wish([QUESTION, "소화기 사용법은?"], k=1)
    )
    assert [Path(one["hits"][0]["path"]).name for one in found["answers"]] == ["휴가규정.md", "소방안전.pdf"]


def test_errors_say_what_to_do(agent: Agent) -> None:
    assert agent.error("search", questions=[" "]).startswith("the question is empty")
    assert agent.error("search", questions=["휴가"], k=99) == "k: Input should be less than or equal to 50"
    assert "wanted: Extra inputs" in agent.error("search", questions=["휴가"], wanted=1)
    assert agent.error("search", questions=["휴가"], after="soon") == (
        "after 'soon' is not a date\ndates are 2024, 2024-02, 2024-02-01, 3d (days ago)"
    )
    assert agent.error("read", id=RULES, pages="2") == "the document has no pages\nread it without `pages`"
    with pytest.raises(MCPError, match="there is no tool 'ask'; there are: search, read"):
        agent.result("ask")


@pytest.mark.parametrize("name", ["/etc/passwd", str(CORPUS), "../default", "nothing", "", "~", "./default"])
def test_no_path_opens_anything(agent: Agent, name: str) -> None:
    assert agent.error("search", questions=["휴가"], index=name).startswith("there is no index")
    assert "is not a hit's id" in agent.error("read", id=name)
    for uri in (f"file://{name}", f"kosearch://documents/default/{name}", f"kosearch://documents/{name}/{RULES}"):
        with pytest.raises(MCPError):
            agent.portal.call(agent.session.read_resource, uri)


def test_documents_are_resources(agent: Agent) -> None:
    found = agent.portal.call(agent.session.list_resources)
    assert (len(found.resources), found.next_cursor) == (8, None)
    uri = next(one.uri for one in found.resources if one.name == "휴가규정.md")
    assert uri == f"kosearch://documents/default/{RULES}"
    [content] = agent.portal.call(agent.session.read_resource, uri).contents
    assert "제8조 (연차의 이월)" in content.text
    assert (
        agent.portal.call(
            lambda: agent.session.list_resources(params=PaginatedRequestParams(cursor="9" * 5000))
        ).next_cursor
        is None
    )
    [template] = agent.portal.call(agent.session.list_resource_templates).resource_templates
    assert template.uri_template == "kosearch://documents/{index}/{id}"


def test_a_question_that_is_cancelled_holds_up_nothing(agent: Agent) -> None:
    async def cancel_one() -> None:
        async with create_task_group() as tasks:
            tasks.start_soon(agent.session.call_tool, "refresh", {})
            tasks.start_soon(agent.session.call_tool, "search", {"questions": [QUESTION]})
            await sleep(0.01)
            tasks.cancel_scope.cancel()
        with fail_after(60):
            await agent.session.call_tool("status", {})

    agent.portal.call(cancel_one)
    assert agent.text("status")


def test_whoever_waits_is_told(indexed: Program) -> None:
    told: list[float] = []

    async def told_of(done: float, _total: float | None, _message: str | None) -> None:
        told.append(done)

    with Agent(indexed.environment, CORPUS) as one:
        one.portal.call(lambda: one.session.call_tool("refresh", {}, progress_callback=told_of))
        assert "files: 0 added, 0 changed, 0 removed, 8 unchanged" in one.text("refresh")
    assert told[0] == 0


def test_without_an_index_it_says_how_to_make_one(program: Program) -> None:
    with Agent(program.environment, program.home) as one:
        expected = "there is no index 'default'\nmake it: kosearch index PATH"
        assert one.error("search", questions=["휴가"]) == expected
        assert one.error("status") == expected


def test_the_first_one_starts_the_warm_process_and_the_next_finds_it(indexed: Program) -> None:
    environment = {**indexed.environment, "KOSEARCH_RESIDENT": "on", "KOSEARCH_RESIDENT_IDLE": "60"}
    warm = Program(indexed.home, environment)
    try:
        with Agent(environment, CORPUS) as one:
            began = time.monotonic()
            first = one.result("search", questions=[QUESTION])  # on a very busy machine it says so instead
            assert time.monotonic() - began < 15
            assert "휴가규정.md" in str(first.content) or "the machine is busy" in str(first.content)

            def is_answered() -> bool:
                text = str(one.result("search", questions=[QUESTION]).content)
                return "휴가규정.md" in text and "warning" not in text

            assert until(is_answered, 100)
        assert json.loads(warm.run("serve", "--status", "--json").stdout)["residents"][0]["requests"] >= 2
    finally:
        warm.run("serve", "--stop")


@pytest.mark.parametrize("how", ["input", "output", "signal"])
def test_it_ends_when_its_client_is_gone(indexed: Program, how: str) -> None:
    process = subprocess.Popen(
        [PROGRAM, "mcp"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=indexed.environment, cwd=CORPUS
    )
    assert process.stdin is not None
    assert process.stdout is not None

    def say(method: str, **params: object) -> None:
        assert process.stdin is not None
        message = {"jsonrpc": "2.0", "id": 1, "method": method, "params": params}
        process.stdin.write(json.dumps(message).encode() + b"\n")
        process.stdin.flush()

    client = {"name": "test", "version": "1"}
    say("initialize", protocolVersion="2025-06-18", capabilities={}, clientInfo=client)
    assert b'"serverInfo"' in process.stdout.readline()
    if how == "input":
        process.stdin.close()
    elif how == "output":
        process.stdout.close()
        say("tools/list")
    else:
        process.terminate()
    assert process.wait(15) == (143 if how == "signal" else 0)
    process.stdout.close()
    process.stdin.close()


class _Slow(asking.Asker):
    """Answers by meaning come as late as it is told."""

    def __init__(self, meaning: Callable[[], None], words: Callable[[], None] = lambda: None) -> None:
        super().__init__(config.load({"resident": False}), "/")
        self._meaning, self._words = meaning, words

    def _by_meaning(self, indexes: Sequence[str], wish: asking.Wish) -> dict[str, Any]:
        self._meaning()
        return {"answers": [{"question": "", "hits": [], "by": "meaning"}], "next": None}

    def _by_words(self, indexes: Sequence[str], wish: asking.Wish) -> dict[str, Any]:
        self._words()
        return {"answers": [{"question": "", "hits": [], "by": "words"}], "next": None}


class TestPatience:
    @pytest.fixture(autouse=True)
    def _soon(self, monkeypatch: pytest.MonkeyPatch) -> None:
        for name in ("PREPARING", "WORDS_ONLY", "LONGEST"):
            monkeypatch.setattr(asking, name, getattr(asking, name) / 10)

    def test_the_limits(self) -> None:
        assert (asking.WORDS_ONLY, asking.LONGEST) == (0.5, 0.95)

    @pytest.mark.parametrize(("seconds", "by"), [(0.0, "meaning"), (0.4, "meaning"), (3.0, "words")])
    def test_what_takes_too_long_is_answered_by_words(self, seconds: float, by: str) -> None:
        began = time.monotonic()
        [found] = _Slow(lambda: time.sleep(seconds)).answers(["default"], asking.Wish(["휴가"]))["answers"]
        assert found["by"] == by
        assert ("warnings" in found) == (by == "words")
        assert time.monotonic() - began < 0.9

    def test_where_words_take_too_long_as_well_there_is_an_error(self) -> None:
        ends = Event()
        began = time.monotonic()
        with pytest.raises(ResourcesError, match="the machine is busy"):
            _Slow(ends.wait, ends.wait).answers(["default"], asking.Wish(["휴가"]))
        assert time.monotonic() - began < 2
        ends.set()

    def test_an_error_by_words_is_told_at_once(self) -> None:
        def fail() -> None:
            raise ResourcesError("no memory")

        with pytest.raises(ResourcesError, match="no memory"):
            _Slow(fail).answers(["default"], asking.Wish(["휴가"]))
        ends = Event()
        with pytest.raises(ResourcesError, match="no memory"):
            _Slow(ends.wait, fail).answers(["default"], asking.Wish(["휴가"]))
        ends.set()


class TestCap:
    def test_hits_beyond_it_are_left_out_and_the_offset_says_where_to_go_on(self) -> None:
        hits = [{**HIT, "rank": n, "excerpt": "가" * 300} for n in range(11, 61)]

        class Full(asking.Asker):
            def answers(self, indexes: Sequence[str], wish: asking.Wish) -> dict[str, Any]:
                return {"answers": [{"question": q, "hits": hits} for q in wish.questions], "next": None}

        settings = config.load({"resident": False})
        text = tools.Tools(settings, Full(settings, "/"), "/").search(
            tools.Search(questions=["one", "two"], k=50, offset=10)
        )
        assert len(text) <= tools.CAP
        [go_on] = re.findall(r"to go on: offset (\d+)", text)
        assert text.count(f"\n{go_on} a.md:1 ") == 2  # the offset is the rank of the last one that is shown
        assert f"\n{int(go_on) + 1} a.md" not in text

    def test_a_long_document_is_read_part_by_part_to_its_end(self, monkeypatch: pytest.MonkeyPatch) -> None:
        text = "\n".join(f"{n} {'말 ' * 50}" for n in range(400))
        stored = StoredDocument(1, b"/a.md", "/a.md", "", "markdown", "", {}, RULES + "0" * 52, len(text), 1, 1, 0)
        full = FullDocument(stored, text, (), (), (PageStart(0, 1), PageStart(text.index("\n300 "), 2)), "gone")
        settings = config.load({"resident": False})
        found = tools.Tools(settings, asking.Asker(settings, "/"), "/")
        monkeypatch.setattr(kosearch.Index, "document", lambda *_: full)
        parts, id = [], RULES
        while id:
            part = found.read(tools.Read(id=id))
            assert len(part) <= tools.CAP
            head, body = part.split("\n", 1)
            assert head.startswith("a.md p. ")
            body, _, rest = body.partition("\n(to go on: id ")
            parts.append(body)
            id = rest.removesuffix(")")
        assert "\n".join(parts).split() == text.split()
        second = found.read(tools.Read(id=RULES, pages="2"))
        assert second.splitlines()[0].startswith("a.md p. 2, lines 30")
        assert second.splitlines()[1].startswith("300 ")


def test_excerpts_have_no_control_characters() -> None:
    hit = {
        "path": "a\x1b[31m.md",
        "lines": [1, 1],
        "score": 0.5,
        "id": f"{RULES}:0:1",
        "rank": 1,
        "excerpt": "b\u202ec",
    }
    shown = tools._answer({"question": "", "hits": [hit]}, [hit], titled=False)
    assert "\x1b" not in shown
    assert "\u202e" not in shown


def test_a_long_folder_is_said_once() -> None:
    hits = [{**HIT, "rank": n, "path": f"/home/me/docs/{n}/a.md"} for n in (1, 2)]
    shown = tools._answer({"question": "", "hits": hits}, hits, titled=False)
    assert shown.splitlines()[:2] == ["below /home/me/docs/:", f"1 1/a.md:1 [{RULES}:0:1] 0.50"]


def test_without_the_package_it_names_the_extra(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(cli_mcp, "find_spec", lambda _: None)
    assert main(["mcp"]) == 2
    assert "pip install 'kosearch[mcp]'" in capsys.readouterr().err
