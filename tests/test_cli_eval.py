"""`kosearch eval`, as a user measures their own index and a collection."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from conftest import Program
from embedding_making import write_small
from index_making import set_identity, without_processes

import kosearch
from kosearch.cli import main

QUESTIONS = """\
{"question": "How do I keep the steam wand from clogging?", "expected": "espresso-machine.md"}
{"question": "How long do old keys stay valid?", "expected": "manuals/rotate_keys.py", "id": "keys"}
{"question": "restore drill", "expected": "manuals/rotate_keys.py", "id": "wrong on purpose"}
"""


@pytest.fixture
def questions(tmp_path: Path) -> Path:
    file = tmp_path / "questions.jsonl"
    file.write_text(QUESTIONS, encoding="utf-8")
    return file


def test_own_questions_side_by_side(indexed: Program, questions: Path, tmp_path: Path) -> None:
    run, plot = tmp_path / "found.run", tmp_path / "recall.svg"
    result = indexed.run(
        *("eval", questions, "--compare", "dense,lexical,hybrid", "--failures", "5", "--json"),
        *("--run", run, "--plot", plot),
    )
    assert (result.returncode, result.stderr) == (0, "")
    report = json.loads(result.stdout)
    assert report["questions"] == 3
    assert [one["system"] for one in report["systems"]] == ["dense", "lexical", "hybrid"]
    for system in report["systems"]:
        assert system["measures"]["information-retrieval"]["Accuracy@1"] == pytest.approx(2 / 3)
        assert set(system["measures"]) == {"information-retrieval", "autorag"}
    assert "wrong on purpose" in json.dumps(report["failures"])
    assert plot.read_text(encoding="utf-8").startswith("<")
    written = sorted(file.name for file in tmp_path.glob("found*.run"))
    assert written == ["found.dense.run", "found.hybrid.run", "found.lexical.run"]
    assert all(len(line.split()) == 6 for line in (tmp_path / written[0]).read_text(encoding="utf-8").splitlines())


def test_a_question_is_read_as_a_search_reads_it(indexed: Program, tmp_path: Path) -> None:
    """In another keyboard mode, with a slip, and with what must not be there: what a user gets is what is measured."""
    asked = {
        "개ㅅㅁㅅㄷ": "manuals/rotate_keys.py",  # rotate
        "vualt": "manuals/rotate_keys.py",
        "water keys -espresso": "manuals/rotate_keys.py",
    }
    file = tmp_path / "typed.jsonl"
    lines = [json.dumps({"question": question, "expected": name}) for question, name in asked.items()]
    file.write_text("\n".join(lines), encoding="utf-8")
    measured = indexed.run("eval", file, "--mode", "lexical", "--json")
    assert measured.returncode == 0, measured.stderr
    (system,) = json.loads(measured.stdout)["systems"]
    assert system["measures"]["information-retrieval"]["Accuracy@1"] == 1


def test_for_a_person(indexed: Program, questions: Path) -> None:
    plot = questions.with_name("recall.SVG")
    result = indexed.run("eval", questions, "--mode", "lexical", "--failures", "1", "--plot", plot)
    assert plot.read_bytes().startswith(b"<svg")
    assert (result.returncode, result.stderr) == (0, "")
    lines = result.stdout.splitlines()
    assert lines[0] == "questions.jsonl: 3 questions"
    assert "Accuracy@1                  0.6667" in lines
    assert any("wrong on purpose: restore drill" in line for line in lines)
    assert max(map(len, lines)) <= 120


@pytest.fixture
def collection(tmp_path: Path) -> Path:
    folder = tmp_path / "beir"
    (folder / "qrels").mkdir(parents=True)
    texts = ["The harbour crane lifts forty tonnes.", "The ferry leaves at nine.", "The lighthouse lamp turns."]
    documents = [json.dumps({"_id": f"d{number}", "title": "", "text": text}) for number, text in enumerate(texts)]
    (folder / "corpus.jsonl").write_text("\n".join(documents) + "\n")
    (folder / "queries.jsonl").write_text('{"_id": "q1", "text": "when does the ferry go"}\n')
    (folder / "qrels/test.tsv").write_text("query-id\tcorpus-id\tscore\nq1\td1\t1\n")
    return folder


def test_a_collection_is_indexed_once_when_kept(program: Program, collection: Path, tmp_path: Path) -> None:
    place = tmp_path / "kept"
    for _ in range(2):
        result = program.run("eval", collection, "--index", f"{place}/", "--json")
        assert result.returncode == 0, result.stderr
        measures = json.loads(result.stdout)["systems"][0]["measures"]["information-retrieval"]
        assert measures["Recall@1"] == 1
    assert "model: " not in result.stderr  # the second time it was there
    assert program.run("status").returncode == 4  # the default index was not touched


def test_what_an_interrupted_run_left_is_indexed_before_it_is_measured(
    collection: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """And while another process makes the index, or where it is one of something else, nothing is measured."""
    monkeypatch.setenv("KOSEARCH_MODEL", str(write_small(tmp_path / "model", width=32, length=128)))
    without_processes(monkeypatch)
    command = ["eval", str(collection), "--index", str(tmp_path / "kept"), "--json", "-q"]
    index = kosearch.open(tmp_path / "kept")
    index.prepare()
    with index.store.writer():
        assert main(command) == 5
    assert "is being written by" in capsys.readouterr().err
    assert main(command) == 0
    first = capsys.readouterr().out
    assert main(command) == 0
    assert capsys.readouterr().out == first
    assert len(index.documents()) == 3
    set_identity(index.directory, term_rules="0")
    assert main(command) == 0  # what an earlier version took apart is taken apart anew first
    assert capsys.readouterr().out == first
    other = tmp_path / "other"
    other.mkdir()
    (other / "a.md").write_text("something else", encoding="utf-8")
    kosearch.open(tmp_path / "another").index(other)
    assert main([*command[:3], str(tmp_path / "another"), "-q"]) == 2
    assert "it has 0 of the 3 documents of" in capsys.readouterr().err


def test_models_are_compared_without_reading_the_collection_twice(
    program: Program, collection: Path, tmp_path: Path
) -> None:
    small = [write_small(tmp_path / f"model-{seed}", length=128, seed=seed) for seed in (1, 2)]
    result = program.run("eval", collection, "--compare", f"{small[0]},{small[1]}", "--mode", "lexical", "--json")
    assert result.returncode == 0, result.stderr
    systems = json.loads(result.stdout)["systems"]
    assert [one["system"] for one in systems] == [str(one) for one in small]
    first, second = (one["measures"] for one in systems)
    assert first == second  # the same passages, and so the same words
    assert program.run("eval", collection, "--compare", f"{small[0]},{small[0]}").returncode == 2


@pytest.mark.parametrize(
    ("file", "text", "message"),
    [
        ("qrels/test.tsv", "query-id\tcorpus-id\tscore\nq1\n", "test.tsv"),
        ("qrels/test.tsv", "query-id\tcorpus-id\tscore\nq1\tnowhere\t1\n", "nowhere"),
        ("qrels/test.tsv", "query-id\tcorpus-id\tscore\nq9\td1\t1\n", "q9"),
        ("corpus.jsonl", '{"_id": "d1", "text": "a"}\n{"_id": "d1", "text": "b"}\n', "d1"),
        ("corpus.jsonl", '{"_id": "d1"\n', "corpus.jsonl"),
        ("queries.jsonl", '{"text": "no id"}\n', "queries.jsonl"),
    ],
)
def test_faults_in_a_collection_name_file_and_line(
    collection: Path, file: str, text: str, message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    (collection / file).write_text(text)
    assert main(["eval", str(collection)]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert message in captured.err
    assert any(f"{place}" in captured.err for place in ("line 1", "line 2", ":1", ":2"))


def test_mistakes(indexed: Program, questions: Path, tmp_path: Path) -> None:
    script = f"""
    kosearch eval {questions} --plot plot.pdf || echo "ended with $?"
    kosearch eval {questions} --compare dense,bundled || echo "ended with $?"
    kosearch eval {questions} --compare bundled,other/model || echo "ended with $?"
    echo '{{"question": "x", "expected": "no-such-file.txt"}}' > {tmp_path}/lost.jsonl
    kosearch eval {tmp_path}/lost.jsonl || echo "ended with $?"
    """
    result = indexed.shell(script, cwd=tmp_path)
    assert result.stdout == "ended with 2\n" * 4
    for message in ("plots are SVG", "mixes models and modes", "an index has one model", "no-such-file.txt"):
        assert message in result.stderr
