"""`kosearch index --ray`: the files of one run by several nodes, and nodes that are killed amid it.

The nodes are processes of this machine, each with a store of its own, which is all that Ray makes of a node.
"""

from __future__ import annotations

import os
import random
import subprocess
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
from conftest import PROGRAM
from postgres_making import TestServer, running
from ray_making import cluster, with_tokens, write_files

import kosearch
from kosearch.cli import main
from kosearch.records import IndexProgress, IndexReport

FILES = 320
KILLS = 20


def run_over(
    url: str, folder: Path, address: str, kill: Callable[[], None] | None = None, after: float = 0.0
) -> IndexReport:
    """A run by a cluster; a node is killed when so much of the files is done."""
    from kosearch.config import load
    from kosearch.library import Index
    from kosearch.over_ray import Work, indexing

    settings = load({"index": url, "workers": 1})
    with Index(settings) as index:
        run = indexing(index, address, Work(settings, [os.fsencode(folder)], {}, False, False, False))
        for state in run:
            if kill is not None and state.files_done >= after * FILES:
                kill()
                kill = None
        assert kill is None
        return run.report


def assert_all_there(server: TestServer, url: str, folder: Path) -> None:
    """Each file has one document, and everything that is stored is whole."""
    with kosearch.open(url) as index:
        found = [one.path for one in index.documents()]
        assert sorted(found) == sorted(str(one) for one in folder.rglob("*.txt"))
        assert index.check() == []
        assert [Path(hit.path).name for hit in index.search("Report 7 harbour", k=1, mode="lexical").hits] == ["7.txt"]


def test_it_is_for_a_server_and_for_folders_that_are_named(
    tmp_path: Path, postgres: TestServer, capsys: pytest.CaptureFixture[str]
) -> None:
    url = postgres.url("ray_refused")
    wrong: list[tuple[Sequence[str], str]] = [
        (["--ray", "auto", "--index", str(tmp_path / "folder"), str(tmp_path)], "an index that a server keeps"),
        (["--ray", "auto", "--index", url], "which folders"),
        (["--ray", "auto", "--part", "1/2", "--index", url, str(tmp_path)], "makes the parts itself"),
        (["--ray", "ray://localhost:1", "--index", url, str(tmp_path)], "HOST:PORT"),
    ]
    for arguments, what in wrong:
        assert main(["index", *arguments]) == 2
        assert what in capsys.readouterr().err
    assert "kosearch_ray_refused" not in postgres.sql("SELECT nspname FROM pg_namespace")


def test_a_node_says_that_a_part_is_done_and_keeps_its_workers(
    tmp_path: Path, postgres: TestServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """All files of a part are done when it is, however soon; and what a worker has loaded serves the next part, too."""
    from kosearch import workers
    from kosearch.config import load
    from kosearch.over_ray import Embedder, Work

    begun: list[subprocess.Popen[bytes]] = []
    start = workers._new_process

    def noted() -> subprocess.Popen[bytes]:
        begun.append(start())
        return begun[-1]

    monkeypatch.setattr(workers, "_new_process", noted)
    settings = load({"index": postgres.url("ray_part"), "workers": 1})
    embedder = Embedder(settings)
    for name in ("one", "two"):
        folder = tmp_path / name
        folder.mkdir()
        for number in range(4):
            (folder / f"{number}.txt").write_text(f"Report {number} of {name} harbour", encoding="utf-8")
        work = Work(settings, [os.fsencode(folder)], {}, False, False, False)
        *_, progress, report = embedder.run(work, "1/1")
        assert isinstance(progress, IndexProgress)
        assert isinstance(report, IndexReport)
        assert progress.files_done == report.added == 4
    assert len(begun) == 1
    begun[0].kill()
    begun[0].wait()


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_a_node_is_killed_and_all_files_are_there_once(tmp_path: Path) -> None:
    folder = write_files(tmp_path / "files", FILES)
    with running() as server, cluster(2) as nodes:
        url = server.url("ray")
        report = run_over(
            url, folder, nodes.address, lambda: nodes.remove_node(nodes.list_all_nodes()[1], allow_graceful=False), 0.3
        )
        assert report.added + report.unchanged == FILES
        assert_all_there(server, url, folder)
        (folder / "00" / "0.txt").unlink()
        again = run_over(url, folder, nodes.address)
        assert (again.removed, again.unchanged, again.embedded) == (1, FILES - 1, 0)


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_a_cluster_with_tokens_lets_in_who_has_the_right_one(tmp_path: Path, cache_dir: Path) -> None:
    """Whoever has none, or a wrong one, is told what to do, and nothing is written."""
    home, elsewhere = tmp_path / "home", tmp_path / "elsewhere"
    home.mkdir()
    elsewhere.mkdir()
    folder = write_files(tmp_path / "files", 10)
    with running() as server, with_tokens(home) as (address, environ):
        url = server.url("tokens")
        argv = [PROGRAM, "index", folder, "--quiet", "--ray", address, "--index", url]
        outsiders = {"HOME": str(elsewhere)}, {"RAY_AUTH_TOKEN": "0" * 64}, {"RAY_AUTH_MODE": "disabled"}
        for outsider in outsiders:
            done = subprocess.run(argv, env={**environ, **outsider}, capture_output=True, text=True, check=False)
            assert (done.returncode, done.stdout) == (2, ""), done.stderr
            what, instead = done.stderr.splitlines()[-2:]  # Ray's own code warns before, whatever it is told
            assert what.startswith(("kosearch: the Ray cluster at", "kosearch: there is no Ray cluster at"))
            assert ".ray/auth_token" in instead
        assert "kosearch_tokens" not in server.sql("SELECT nspname FROM pg_namespace")
        subprocess.run(argv, env=environ, check=True)
        assert_all_there(server, url, folder)


@pytest.mark.crash
@pytest.mark.timeout(7200)
def test_twenty_kills_of_nodes(tmp_path: Path) -> None:
    """One of two nodes dies at any moment of a run, and another joins for the next one."""
    folder, chance = write_files(tmp_path / "files", FILES), random.Random(1)
    with running() as server, cluster(2) as nodes:
        for number in range(KILLS):
            url = server.url(f"ray_{number}")
            victim = chance.choice(nodes.list_all_nodes()[1:])
            run_over(
                url,
                folder,
                nodes.address,
                lambda victim=victim: nodes.remove_node(victim, allow_graceful=False),
                chance.random() * 0.9,
            )
            assert_all_there(server, url, folder)
            nodes.add_node(num_cpus=1)
            nodes.wait_for_nodes()
