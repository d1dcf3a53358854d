"""Runs from vectors, and TREC run files there and back."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from run_making import Similarity, read_run, vector_run

from kosearch.errors import UsageError
from kosearch.evaluation.collections import write_run

ids = st.text(st.characters(exclude_categories=("Cs",)), min_size=1, max_size=6)
runs = st.dictionaries(
    ids,
    st.lists(
        st.tuples(ids, st.floats(allow_nan=False, allow_infinity=False)),
        min_size=1,
        max_size=4,
        unique_by=lambda found: found[0],
    ),
    max_size=4,
)


@given(run=runs)
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_a_run_file_is_read_as_it_was_written(tmp_path: Path, run: dict[str, list[tuple[str, float]]]) -> None:
    file = tmp_path / "run.trec"
    write_run(file, run, "hybrid 0.5")
    assert read_run(file) == run
    assert all(line.count(" ") == 5 for line in file.read_text(encoding="utf-8").split("\n")[:-1])


def test_a_run_file_has_trecs_columns_and_is_read_by_rank(tmp_path: Path) -> None:
    file = tmp_path / "run.trec"
    write_run(file, {"1": [("report - 1", np.float32(0.5)), ("b", 0.25)]}, "hybrid")
    assert file.read_text(encoding="utf-8") == "1 Q0 report%20-%201 1 0.5 hybrid\n1 Q0 b 2 0.25 hybrid\n"
    file.write_text("1 Q0 b 2 0.7 x\n1\tQ0\ta%2Fb%zz\t1\t0.7\tx\n", encoding="utf-8")
    assert read_run(file) == {"1": [("a%2Fb%zz", 0.7), ("b", 0.7)]}


@pytest.mark.parametrize(
    ("content", "line", "why"),
    [
        ("1 Q0 a 1 0.5\n", 1, "5 columns where 6 belong"),
        ("1 Q0 a 1 high x\n", 1, "not a number"),
        ("1 Q0 a 1 1.0 x\n1 Q0 a 2 0.5 x\n", 2, "earlier line"),
    ],
)
def test_a_faulty_run_file_names_its_line(tmp_path: Path, content: str, line: int, why: str) -> None:
    file = tmp_path / "run.trec"
    file.write_text(content, encoding="utf-8")
    with pytest.raises(UsageError, match=f"line {line}: .*{why}"):
        read_run(file)


def test_a_run_that_cannot_be_written_is_a_usage_error(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="cannot be written"):
        write_run(tmp_path / "nowhere" / "run", {}, "x")


@given(
    seed=st.integers(0, 1000),
    similarity=st.sampled_from(Similarity),
    depth=st.integers(1, 40),
    questions=st.integers(1, 300),
)
@settings(max_examples=25, deadline=None)
def test_the_nearest_are_those_of_a_full_sort(seed: int, similarity: Similarity, depth: int, questions: int) -> None:
    generator = np.random.default_rng(seed)
    # Small whole numbers make many ties, and some zero vectors.
    asked = generator.integers(-1, 2, size=(questions, 2)).astype(np.float32)
    documents = generator.integers(-1, 2, size=(30, 2)).astype(np.float32)
    names = [f"d{number}" for number in generator.permutation(30)]
    run = vector_run(
        [str(row) for row in range(questions)], asked, names, documents, similarity=similarity, depth=depth
    )
    if similarity is Similarity.COSINE:
        asked, documents = (
            vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), np.float32(1e-12))
            for vectors in (asked, documents)
        )
    scores = asked @ documents.T
    assert len(run) == questions
    for row in range(questions):
        order = sorted(range(30), key=lambda column: (-scores[row, column], names[column]))[:depth]
        assert run[str(row)] == [(names[column], float(scores[row, column])) for column in order]
