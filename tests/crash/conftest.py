"""The program to be killed, and indexes to be broken."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from conftest import make_program
from index_making import quick_folder

from crash.folders import AFTER, BEFORE, QUESTIONS, Answers, answers_in, documents_in, lay
from crash.forked import Ended, Forked, compile_faults


@dataclass(frozen=True)
class Place:
    """An index of a folder that has changed since, and what it answers before and after the next run."""

    forked: Forked
    docs: Path
    base: Path
    """The index before; copied for each attempt."""
    index: Path
    questions: Path
    before: Answers
    after: Answers
    documents: set[tuple[str, str]]
    """All of before and after."""

    def reset(self) -> None:
        """The index as it was before."""
        shutil.rmtree(self.index, ignore_errors=True)
        shutil.copytree(self.base, self.index)

    def query(self) -> Ended:
        return self.forked.run("query", "--batch", self.questions, "--json", index=self.index)

    def answers(self) -> Answers:
        """What the program answers now, warnings included."""
        ended = self.query()
        assert ended.code == 0, ended.stderr
        return answers_in(ended.stdout)


@pytest.fixture(scope="session")
def forked(tmp_path_factory: pytest.TempPathFactory, cache_dir: Path) -> Iterator[Forked]:
    folder = tmp_path_factory.mktemp("forked")
    faults = compile_faults(folder)
    if faults is None:
        pytest.skip("needs Linux and a C compiler (cc)")
    program = Forked(make_program(folder, cache_dir).environment, folder, faults)
    yield program
    program.close()


@pytest.fixture(scope="session")
def place(forked: Forked) -> Iterator[Place]:
    with quick_folder() as folder:
        docs, base, index, questions = (folder / name for name in ("docs", "base", "index", "questions"))
        questions.write_text("\n".join(QUESTIONS), encoding="utf-8")

        def fresh(directory: Path) -> Answers:
            made = forked.run("index", docs, "--passage-tokens", "64", index=directory)
            assert made.code == 0, made.stderr
            asked = forked.run("query", "--batch", questions, "--json", index=directory)
            return answers_in(asked.stdout)

        lay(docs, AFTER)
        after = fresh(folder / "fresh")
        lay(docs, BEFORE)
        before = fresh(base)
        lay(docs, AFTER)
        assert before != after
        documents = documents_in(base) | documents_in(folder / "fresh")
        yield Place(forked, docs, base, index, questions, before, after, documents)
