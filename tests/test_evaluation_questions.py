"""A user's own questions: which document, or page, is meant, and what counts as finding it."""

from __future__ import annotations

import json
import unicodedata
from pathlib import Path

import pytest

from kosearch.errors import UsageError
from kosearch.evaluation.collections import (
    Place,
    judgements,
    locate,
    ranked_places,
    read_questions,
    read_trec_questions,
)

PATHS = (
    "/home/김/규정/취업규칙.hwp",
    "/home/김/옛/취업규칙.hwp",
    "/home/김/report.pdf",
    "/home/김/a-report.pdf",
)


def written(folder: Path, *records: object) -> Path:
    file = folder / "questions.jsonl"
    file.write_text("".join(json.dumps(record) + "\n" for record in records), encoding="utf-8")
    return file


def test_every_form_of_expectation_is_read(tmp_path: Path) -> None:
    questions = read_questions(
        written(
            tmp_path,
            {"question": "하나?", "expected": "규정/취업규칙.hwp"},
            {"question": "둘?", "expected": "report.pdf", "page": 12},
            {"question": "셋?", "expected": ["report.pdf", {"path": "a-report.pdf", "page": 3}], "id": "q7"},
        )
    )
    assert [(question.id, question.expected) for question in questions] == [
        ("1", ((Place("규정/취업규칙.hwp"), 1),)),
        ("2", ((Place("report.pdf", 12), 1),)),
        ("q7", ((Place("report.pdf"), 1), (Place("a-report.pdf", 3), 1))),
    ]


def test_paths_fit_by_whole_components_from_the_end_in_nfc(tmp_path: Path) -> None:
    decomposed = unicodedata.normalize("NFD", "./규정//취업규칙.hwp")
    file = written(
        tmp_path,
        {"question": "?", "expected": decomposed},
        {"question": "?", "expected": "report.pdf"},
        {"question": "?", "expected": PATHS[1], "page": 2},
    )
    located = locate(read_questions(file), [unicodedata.normalize("NFD", PATHS[0]), *PATHS[1:]])
    assert judgements(located) == {
        "1": {unicodedata.normalize("NFD", PATHS[0]): 1},
        "2": {PATHS[2]: 1},
        "3": {f"{PATHS[1]}#page=2": 1},
    }


@pytest.mark.parametrize(
    ("expected", "why"),
    [
        ("nowhere.pdf", "no document of the index fits 'nowhere.pdf'"),
        ("eport.pdf", "no document of the index fits"),
        ("/report.pdf", "no document of the index fits"),
        ("취업규칙.hwp", r"fits 2 documents \(/home/김/규정/취업규칙.hwp, /home/김/옛/취업규칙.hwp"),
        (["report.pdf", "김/report.pdf"], "expected twice"),
        (["report.pdf", {"path": "김/report.pdf", "page": 3}], "expected twice"),
    ],
)
def test_an_expectation_that_fits_none_or_several_names_its_line(tmp_path: Path, expected: object, why: str) -> None:
    ok = {"question": "?", "expected": "report.pdf"}
    questions = read_questions(written(tmp_path, ok, {"question": "?", "expected": expected}))
    with pytest.raises(UsageError, match=why) as caught:
        locate(questions, PATHS)
    assert f"{tmp_path / 'questions.jsonl'}, line 2: " in caught.value.message


@pytest.mark.parametrize(
    ("record", "why"),
    [
        ({"expected": "a"}, 'no "question"'),
        ({"question": " ", "expected": "a"}, "the question is empty"),
        ({"question": "?"}, 'no "expected" path'),
        ({"question": "?", "expected": []}, '"expected" is empty'),
        ({"question": "?", "expected": "."}, '"expected" names no file'),
        ({"question": "?", "expected": 3}, '"path" is not text'),
        ({"question": "?", "expected": [{"page": 3}]}, 'no "expected" path'),
        ({"question": "?", "expected": "a", "page": 0}, '"page" is 0'),
        ({"question": "?", "expected": "a", "page": "3"}, "\"page\" is '3'"),
        ({"question": "?", "expected": "a", "page": True}, '"page" is True'),
        ({"question": "?", "expected": ["a", "b"], "page": 1}, "beside several"),
        ({"question": "?", "expected": "a", "id": "1"}, "'1' stands on line 1 already"),
        ("text", "not a JSON object"),
    ],
)
def test_a_faulty_question_names_its_line(tmp_path: Path, record: object, why: str) -> None:
    with pytest.raises(UsageError) as caught:
        read_questions(written(tmp_path, {"question": "?", "expected": "a"}, record))
    assert caught.value.message.startswith(f"{tmp_path / 'questions.jsonl'}, line 2: ")
    assert why in caught.value.message


def test_passages_of_one_place_count_once_and_pages_only_where_asked_for(tmp_path: Path) -> None:
    file = written(
        tmp_path,
        {"question": "document?", "expected": "b.pdf"},
        {"question": "page?", "expected": "b.pdf", "page": 2},
        {"question": "either?", "expected": ["a.pdf", {"path": "b.pdf", "page": 2}]},
    )
    document, page, either = locate(read_questions(file), ["/a.pdf", "/b.pdf", "/c.txt"])
    hits = [
        ("/a.pdf", 1, 0.9),
        ("/a.pdf", 2, 0.8),
        ("/b.pdf", 1, 0.7),
        ("/b.pdf", 2, 0.6),
        ("/b.pdf", 2, 0.5),
        ("/c.txt", None, 0.4),
    ]
    assert ranked_places(document, hits) == (("/a.pdf", 0.9), ("/b.pdf", 0.7), ("/c.txt", 0.4))
    assert ranked_places(page, hits) == (
        ("/a.pdf#page=1", 0.9),
        ("/a.pdf#page=2", 0.8),
        ("/b.pdf#page=1", 0.7),
        ("/b.pdf#page=2", 0.6),
        ("/c.txt", 0.4),
    )
    assert ranked_places(either, hits)[:3] == (
        ("/a.pdf", 0.9),
        ("/b.pdf#page=1", 0.7),
        ("/b.pdf#page=2", 0.6),
    )


def test_trec_judgements_over_files_keep_their_grades(tmp_path: Path) -> None:
    topics, qrels = tmp_path / "topics", tmp_path / "qrels"
    topics.write_text("1\t휴가?\n2\t급여?\n", encoding="utf-8")
    qrels.write_text("1 0 report.pdf 2\n1 0 a-report.pdf 0\n2 0 a-report.pdf 0\n", encoding="utf-8")
    questions = read_trec_questions(topics, qrels)
    assert judgements(locate(questions, PATHS)) == {"1": {"/home/김/report.pdf": 2}}
    qrels.write_text("1 0 nowhere.pdf 1\n", encoding="utf-8")
    with pytest.raises(UsageError, match=r"topic 1: no document of the index fits 'nowhere\.pdf'"):
        locate(read_trec_questions(topics, qrels), PATHS)
