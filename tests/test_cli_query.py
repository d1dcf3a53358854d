"""`kosearch query` and `show`, as a shell script meets them."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import unicodedata
from pathlib import Path
from typing import Any

import pytest
from conftest import CORPUS, PROGRAM, Program
from json_schema import BATCH, EXTRACT, HIT_LINE, QUERY, SHOW, problems

QUESTIONS = {
    "연차를 다음 해로 넘길 수 있나요?": "휴가규정.md",
    "How do I keep the steam wand from clogging?": "espresso-machine.md",
    "취약점은 누구에게 알려야 하나": "정보보안지침.txt",
    "소화기는 어떻게 쓰나요": "소방안전.pdf",
    "how long do old API keys stay valid": "rotate_keys.py",
    "광역시 숙박비 상한": "출장비.html",
    "restore drill": "backup-diary.rst",
}


@pytest.fixture(scope="session")
def asked(indexed: Program) -> list[dict[str, Any]]:
    """Every question's answer, by one process."""
    questions = indexed.home / "questions.txt"
    questions.write_text("\n\n".join(QUESTIONS) + "\n", encoding="utf-8")
    result = indexed.run("query", "--batch", questions, "--json", "-k", "3", cwd=CORPUS)
    assert (result.returncode, result.stderr) == (0, "")
    value = json.loads(result.stdout)
    assert problems(value, BATCH) == []
    assert value["schema"] == "kosearch.batch/1"
    return value["answers"]


def test_each_question_finds_its_file_first(asked: list[dict[str, Any]]) -> None:
    assert [answer["question"] for answer in asked] == list(QUESTIONS)
    found = [Path(answer["hits"][0]["path"]).name for answer in asked]
    assert found == list(QUESTIONS.values())


def test_hits_are_ranked_and_say_where_they_stand(asked: list[dict[str, Any]]) -> None:
    for answer in asked:
        hits = answer["hits"]
        assert [hit["rank"] for hit in hits] == [1, 2, 3]
        assert [hit["score"] for hit in hits] == sorted((hit["score"] for hit in hits), reverse=True)
        for hit in hits:
            assert hit["absolute_path"] == str(CORPUS / hit["path"])
            assert hit["id"] == f"{hit['document_hash']}:{hit['start']}:{hit['end']}"
            assert len(hit["text"]) == hit["end"] - hit["start"]
            assert hit["start"] <= hit["best"][0] < hit["best"][1] <= hit["end"]
            assert (hit["page"] is not None) == (hit["type"] == "pdf")
            assert -1 <= hit["scores"]["dense"] <= 1
            assert hit["state"] == "current"


def test_offsets_and_lines_count_in_the_text_that_extract_prints(asked: list[dict[str, Any]], indexed: Program) -> None:
    hits = {hit["path"]: hit for answer in asked for hit in answer["hits"]}
    for name in ("규정/휴가규정.md", "manuals/소방안전.pdf", "규정/출장비.html"):
        result = indexed.run("extract", CORPUS / name, "--json")
        document = json.loads(result.stdout)
        assert problems(document, EXTRACT) == []
        hit = hits[name]
        assert document["text"][hit["start"] : hit["end"]] == hit["text"]
        first, last = hit["lines"]
        assert hit["text"] in "\n".join(document["text"].split("\n")[first - 1 : last])


def test_a_question_from_standard_input_is_a_question_from_a_file(
    indexed: Program, asked: list[dict[str, Any]]
) -> None:
    question = next(iter(QUESTIONS))
    result = indexed.run("query", "--jsonl", "-k", "3", stdin=f"\n{question}\n", cwd=CORPUS)
    lines = [json.loads(line) for line in result.stdout.splitlines()]
    assert [problems(line, HIT_LINE) for line in lines] == [[], [], []]
    assert [{**hit, "schema": "kosearch.hit/1", "question": question} for hit in asked[0]["hits"]] == lines


@pytest.mark.skipif(shutil.which("jq") is None, reason="jq is not installed")
def test_jq_and_while_read(indexed: Program) -> None:
    script = r"""
    export KOSEARCH_MODE=lexical
    kosearch query vinegar --json | jq -r '.schema, .hits[0].title'
    kosearch query "key password" --exact --jsonl | while IFS= read -r line; do jq -r .path <<<"$line"; done | sort
    """
    result = indexed.shell(script, cwd=CORPUS)
    expected = [
        "kosearch.query/1",
        "Espresso machine: care and feeding",
        "manuals/rotate_keys.py",
        "notes/backup-diary.rst",
    ]
    assert (result.stdout.splitlines(), result.stderr) == (expected, "")


def test_shell_scripts_read_names_and_exit_codes(indexed: Program) -> None:
    script = r"""
    export KOSEARCH_MODE=lexical
    kosearch query password key --exact --paths -0 | xargs -0 grep -c password
    kosearch query password --paths | head -1
    if kosearch query zzqqx --json; then echo found; else echo "none: $?"; fi
    kosearch query password > >(exec true) && echo "a closed pipe is success"
    """
    result = indexed.shell(script, cwd=CORPUS)
    first, second, name, miss, *last = result.stdout.splitlines()
    assert {first, second} == {f"{CORPUS}/notes/backup-diary.rst:2", f"{CORPUS}/manuals/rotate_keys.py:0"}
    assert name == str(CORPUS / "notes/backup-diary.rst")
    assert last == ["none: 1", "a closed pipe is success"]
    answer = json.loads(miss)
    assert problems(answer, QUERY) == []
    assert (answer["hits"], answer["terms"]) == ([], [{"term": "zzqqx", "passages": 0}])
    assert result.stderr == "kosearch: no hit; passages with each term: zzqqx 0\n"


@pytest.mark.parametrize("form", [["--json"], ["--jsonl"], ["--paths"], []])
def test_a_reader_that_went_away_is_no_error(indexed: Program, form: list[str]) -> None:
    process = subprocess.Popen(
        [PROGRAM, "query", "password", "--mode", "lexical", *form],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=indexed.environment,
    )
    assert process.stdout is not None
    process.stdout.close()
    assert process.stderr is not None
    with process.stderr as stderr:
        assert stderr.read() == b""
    assert process.wait(60) == 0


def ask(program: Program, question: str, *options: str) -> list[dict[str, Any]]:
    """The hits for a question asked by word, so that no model is loaded."""
    result = program.run("query", *options, "--mode", "lexical", "--json", "--", question, cwd=CORPUS)
    assert result.returncode in (0, 1), result.stderr
    value = json.loads(result.stdout)
    assert problems(value, QUERY) == []
    return value["hits"]


def paths_of(hits: list[dict[str, Any]]) -> set[str]:
    return {hit["path"] for hit in hits}


NUMBERS = "1 2 3 4 5 10 24 30 40"
"""Stand in every file but one, and need no analysis of Korean, which takes a second to load."""


def test_path_and_type_filter(indexed: Program) -> None:
    assert len(paths_of(ask(indexed, NUMBERS))) == 7
    inside = paths_of(ask(indexed, NUMBERS, "--path", "규정/"))
    assert len(inside) == 3
    assert all(path.startswith("규정/") for path in inside)
    decomposed = unicodedata.normalize("NFD", "규정/*.md")
    assert paths_of(ask(indexed, NUMBERS, "--path", decomposed)) == {"규정/휴가규정.md"}
    assert paths_of(ask(indexed, NUMBERS, "--type", "pdf", "--type", "html")) == {
        "manuals/소방안전.pdf",
        "규정/출장비.html",
    }
    assert ask(indexed, NUMBERS, "--path", "nowhere/") == []
    everything = paths_of(ask(indexed, NUMBERS))
    assert paths_of(ask(indexed, NUMBERS, "--path", ".")) == everything
    assert paths_of(ask(indexed, NUMBERS, "--path", "./")) == everything
    assert paths_of(ask(indexed, NUMBERS, "--path", "..")) == everything
    assert paths_of(ask(indexed, NUMBERS, "--path", "./규정")) == inside
    assert paths_of(ask(indexed, NUMBERS, "--path", "./manuals/../규정/*.md")) == {"규정/휴가규정.md"}
    assert ask(indexed, NUMBERS, "--path", "./휴가규정.md") == []


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--path", "nowhere/"), "a path that fits nowhere/"),
        (("--path", "./nowhere"), f"a path that fits {CORPUS}/nowhere"),
        (("--type", "hwp"), "the type hwp"),
        (("--after", "2090", "--before", "2091"), "a date after 2090 and before 2091"),
    ],
)
def test_a_filter_that_lets_nothing_through_is_named(indexed: Program, options: tuple[str, ...], said: str) -> None:
    result = indexed.run("query", NUMBERS, "--mode", "lexical", *options, cwd=CORPUS)
    assert result.returncode == 1
    assert result.stderr.splitlines()[0] == f"kosearch: no document has {said}"


def test_a_question_that_only_leaves_out_says_so(indexed: Program) -> None:
    result = indexed.run("query", "--", '-"dried milk"')
    assert (result.returncode, result.stdout) == (1, "")
    assert "the question says only what is to be left out" in result.stderr
    assert "without that" not in result.stderr


def test_dates_filter_by_what_a_document_says_of_itself(indexed: Program) -> None:
    assert paths_of(ask(indexed, NUMBERS, "--before", "2024-02")) == {"규정/휴가규정.md", "manuals/소방안전.pdf"}
    assert "규정/휴가규정.md" not in paths_of(ask(indexed, NUMBERS, "--after", "2024-02-02"))


def test_k_group_and_context(indexed: Program) -> None:
    hits = ask(indexed, NUMBERS, "--group")
    assert len(paths_of(hits)) == len(hits) == 7
    assert [hit["more"] for hit in hits] == [int(hit["path"] == "규정/휴가규정.md") for hit in hits]
    assert len(ask(indexed, NUMBERS, "-k", "2")) == 2
    text = indexed.run("query", "vinegar", "--mode", "lexical", "--explain", "-C", "3", cwd=CORPUS).stdout
    assert re.search(r"^    lexical \d+\.\d{4} \(#1, scaled 1\.00\)$", text, re.MULTILINE)
    assert text.startswith(
        " 1  manuals/espresso-machine.md:12-17  1.000\n    Espresso machine: care and feeding › Descaling\n"
    )


def test_operators_narrow(indexed: Program) -> None:
    diary = {"notes/backup-diary.rst"}
    assert paths_of(ask(indexed, "key password", "--exact")) == diary | {"manuals/rotate_keys.py"}
    assert paths_of(ask(indexed, "key +password", "--exact")) == diary
    assert paths_of(ask(indexed, "-password key", "--exact")) == {"manuals/rotate_keys.py"}
    assert paths_of(ask(indexed, '"password manager" key', "--exact")) == diary


def test_min_score_is_the_raw_cosine(indexed: Program, asked: list[dict[str, Any]]) -> None:
    first, second = (hit["scores"]["dense"] for hit in asked[6]["hits"][:2])
    between = (first + second) / 2
    result = indexed.run("query", "restore drill", "--json", "--explain", "--min-score", str(between), cwd=CORPUS)
    value = json.loads(result.stdout)
    assert result.returncode == 0
    assert [hit["scores"]["dense"] for hit in value["hits"]] == [pytest.approx(first, abs=1e-6)]
    nothing = indexed.run("query", "restore drill", "--mode", "dense", "--min-score", "0.99", "--paths")
    assert (nothing.returncode, nothing.stdout) == (1, "")
    assert nothing.stderr.startswith("kosearch: no hit")


def test_show_prints_a_hit_in_its_surroundings(indexed: Program, asked: list[dict[str, Any]]) -> None:
    hit = next(hit for hit in asked[0]["hits"] if hit["path"] == "규정/휴가규정.md" and hit["start"] > 0)
    document = json.loads(indexed.run("extract", CORPUS / hit["path"], "--json").stdout)["text"]
    for lines in (0, 2):
        result = indexed.run("show", hit["id"], "-C", str(lines), "--json")
        shown = json.loads(result.stdout)
        assert problems(shown, SHOW) == []
        assert shown["text"] == hit["text"]
        assert shown["before"] + shown["text"] + shown["after"] in document
        assert (shown["before"].count("\n"), shown["after"].count("\n")) == (
            lines,
            min(lines, shown["after"].count("\n")),
        )
    whole = indexed.run("show", hit["document_hash"], "--json")
    assert json.loads(whole.stdout)["text"] == document
    text = indexed.run("show", hit["id"], "-C", "0", cwd=CORPUS)
    assert text.stdout == f"{hit['path']}:{hit['lines'][0]}\n{hit['text']}\n"


def test_equal_scores_come_in_the_order_of_paths_whatever_was_indexed_first(program: Program) -> None:
    docs = program.home / "docs"
    docs.mkdir()
    for name, text in {"b.txt": "lighthouse apples", "c.txt": "lighthouse pears", "a.txt": "lighthouse plums"}.items():
        (docs / name).write_text(text, encoding="utf-8")
        assert program.run("index", docs, "-q").returncode == 0
    hits = json.loads(program.run("query", "lighthouse", "--mode", "lexical", "--json").stdout)["hits"]
    assert len({hit["score"] for hit in hits}) == 1
    assert [Path(hit["path"]).name for hit in hits] == ["a.txt", "b.txt", "c.txt"]
