"""Reading BEIR and TREC collections, and naming the line that is wrong."""

from __future__ import annotations

import json
import time
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from kosearch.errors import UsageError
from kosearch.evaluation.collections import Query, read_collection, read_corpus, read_qrels, read_queries

SHARED = Path(__file__).resolve().parents[2] / "shared" / "eval"


def beir(folder: Path, qrels: str = "q1\td1\t1\n") -> Path:
    (folder / "corpus.jsonl").write_text(
        '{"_id": "d1", "title": "제목", "text": "본문"}\n\n'
        '{"id": 2, "text": "둘"}\n{"id": "d 3", "title": null, "text": ""}\n',
        encoding="utf-8",
    )
    (folder / "queries.jsonl").write_text(
        '{"_id": "q1", "text": "첫째?"}\n{"id": "q2", "text": "둘째?"}\n', encoding="utf-8"
    )
    (folder / "qrels.tsv").write_text(qrels, encoding="utf-8")
    return folder


def test_a_beir_folder_gives_documents_answered_questions_and_grades(tmp_path: Path) -> None:
    collection = read_collection(beir(tmp_path, "query-id\tcorpus-id\tscore\nq1\td 3\t2\nq1\td1\t0\nq2\td1\t0\n"))
    assert collection.name == tmp_path.name
    assert [(document.id, document.title, document.text) for document in collection.documents] == [
        ("d1", "제목", "본문"),
        ("2", "", "둘"),
        ("d 3", "", ""),
    ]
    assert collection.queries == (Query("q1", "첫째?"),)
    assert collection.qrels == {"q1": {"d 3": 2, "d1": 0}, "q2": {"d1": 0}}


def test_qrels_may_lie_in_a_folder_and_be_trec(tmp_path: Path) -> None:
    beir(tmp_path)
    (tmp_path / "qrels.tsv").unlink()
    (tmp_path / "qrels").mkdir()
    (tmp_path / "qrels" / "test.tsv").write_text("q1 0 d1 1\nq1 0 2 -1\r\n", encoding="utf-8")
    assert read_collection(tmp_path).qrels == {"q1": {"d1": 1, "2": -1}}


@pytest.mark.parametrize(
    ("qrels", "line", "why"),
    [
        ("q1\td1\t1\nq9\td1\t1\n", 2, "no question has the id 'q9'"),
        ("q1\td1\t1\nq1\td9\t1\n", 2, "no document has the id 'd9'"),
        ("q1\td1\t1\n\nq1\td1\t1\n", 3, "'q1' with 'd1' stands on line 1 already"),
        ("query-id\tcorpus-id\tscore\nq1\td1\n", 2, "2 columns where 3 or 4 belong"),
        ("q1 0 d1 1 tag\n", 1, "5 columns where 3 or 4 belong"),
        ("q1\t\t1\n", 1, "an empty column"),
        ("q1\td1\tyes\n", 1, "the grade 'yes' is not a whole number"),
        ("query-id\tcorpus-id\tscore\nq1\td1\t0.5\n", 2, "the grade '0.5' is not a whole number"),
        ("q1\td1\t" + "9" * 5000 + "\n", 1, "is not a whole number"),
    ],
)
def test_a_fault_in_the_qrels_names_its_line(tmp_path: Path, qrels: str, line: int, why: str) -> None:
    with pytest.raises(UsageError) as caught:
        read_collection(beir(tmp_path, qrels))
    assert str(caught.value).startswith(f"{tmp_path / 'qrels.tsv'}, line {line}: ")
    assert why in caught.value.message


@pytest.mark.parametrize(
    ("content", "line", "why"),
    [
        (b'{"id": "a", "text": "x"}\n{"id": "a", "text": "y"}\n', 2, "'a' stands on line 1 already"),
        (b'{"id": "a", "text": "x"\n', 1, "not JSON"),
        (b'["a"]\n', 1, "not a JSON object"),
        (b"[" * 100_000 + b"\n", 1, "not JSON"),
        (b'{"text": "x"}\n', 1, 'no "id"'),
        (b'{"id": "", "text": "x"}\n', 1, '"id" is empty'),
        (b'{"id": true, "text": "x"}\n', 1, '"id" is not text'),
        (b'{"id": "a"}\n', 1, 'no "text"'),
        (b'{"id": "a", "text": 3}\n', 1, '"text" is not text'),
        (b'{"id": "a", "text": "\\ud800"}\n', 1, "surrogate"),
        (b'\n{"id": "a", "text": "\xbe\xc8"}\n', 2, "not UTF-8"),
    ],
)
def test_a_fault_in_a_json_file_names_its_line(tmp_path: Path, content: bytes, line: int, why: str) -> None:
    file = tmp_path / "corpus.jsonl"
    file.write_bytes(content)
    for read in (read_corpus, read_queries) if content.startswith(b"{") else (read_corpus,):
        with pytest.raises(UsageError) as caught:
            read(file)
        assert str(caught.value).startswith(f"{file}, line {line}: ")
        assert why in caught.value.message


def test_byte_order_mark_line_ends_and_line_separators_are_no_matter(
    tmp_path: Path,
) -> None:
    file = tmp_path / "corpus.jsonl"
    file.write_bytes('\ufeff{"id": "a", "text": "하나\u2028둘"}\r\n{"id": "b", "text": "x"}'.encode())
    assert [(document.id, document.text) for document in read_corpus(file)] == [
        ("a", "하나\u2028둘"),
        ("b", "x"),
    ]


def test_classic_topics_give_number_and_title(tmp_path: Path) -> None:
    file = tmp_path / "topics.txt"
    file.write_text(
        "\n<top>\n<num> Number: 301\n<title> International\n  Organized Crime\n\n"
        "<desc> Description:\nWhat?\n</top>\n"
        "<top><num>7</num><title> 휴가 이월 </title></top>\n",
        encoding="utf-8",
    )
    assert read_queries(file) == (Query("301", "International Organized Crime"), Query("7", "휴가 이월"))


def test_simple_topics_are_lines_of_id_tab_text(tmp_path: Path) -> None:
    file = tmp_path / "topics.tsv"
    file.write_text("1\t휴가는 며칠?\n2\ta\tb\n", encoding="utf-8")
    assert read_queries(file) == (Query("1", "휴가는 며칠?"), Query("2", "a\tb"))


@pytest.mark.parametrize(
    ("content", "line", "why"),
    [
        ("1\tx\n2 y\n", 2, "no tab"),
        ("1\tx\n1\ty\n", 2, "'1' stands on line 1 already"),
        ("1\tx\n2\t \n", 2, "question '2' is empty"),
        ("<top>\n<num> 1\n</top>\n", 1, "without <title>"),
        ("<top>\n<num> 1\n<title> a\n</top>\n<top>\n<title> b\n</top>\n", 5, "without <num>"),
        ("<top>\n<num> 1\n<title> a\n<top>\n<num> 2\n<title> b\n</top>\n", 1, "without </top>"),
    ],
)
def test_a_fault_in_the_topics_names_its_line(tmp_path: Path, content: str, line: int, why: str) -> None:
    file = tmp_path / "topics.txt"
    file.write_text(content, encoding="utf-8")
    with pytest.raises(UsageError, match=why) as caught:
        read_queries(file)
    assert str(caught.value).startswith(f"{file}, line {line}: ")


def test_empty_and_missing_files_are_said_so(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="is not a folder"):
        read_collection(tmp_path / "nowhere")
    with pytest.raises(UsageError, match="cannot be read"):
        read_collection(tmp_path)
    empty = tmp_path / "empty"
    empty.touch()
    for read, what in ((read_corpus, "document"), (read_queries, "question")):
        with pytest.raises(UsageError, match=f"holds no {what}"):
            read(empty)
    with pytest.raises(UsageError, match="holds no judgement"):
        read_qrels(empty, questions=(), documents=())
    with pytest.raises(UsageError, match="relevant to any question"):
        read_collection(beir(tmp_path, "q1\td1\t0\n"))
    (tmp_path / "qrels.tsv").unlink()
    with pytest.raises(UsageError, match=r"has none of qrels\.tsv"):
        read_collection(tmp_path)


names = st.text(st.characters(exclude_categories=("Cs", "Cc", "Zs", "Zl", "Zp")), min_size=1, max_size=8)


@given(grades=st.dictionaries(st.tuples(names, names), st.integers(-1, 4), min_size=1), trec=st.booleans())
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=50)
def test_qrels_of_either_form_are_read_as_written(
    tmp_path: Path, grades: dict[tuple[str, str], int], trec: bool
) -> None:
    file = tmp_path / "qrels"
    lines = [f"{q} 0 {d} {grade}" if trec else f"{q}\t{d}\t{grade}" for (q, d), grade in grades.items()]
    file.write_text("\n".join(lines), encoding="utf-8", newline="\n")
    read = read_qrels(file, questions={q for q, _ in grades}, documents=None)
    assert {(q, d): grade for q, found in read.items() for d, grade in found.items()} == grades


@given(garbage=st.binary(max_size=200))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=200)
def test_garbage_is_read_or_refused_with_a_usage_error(tmp_path: Path, garbage: bytes) -> None:
    file = tmp_path / "garbage"
    file.write_bytes(garbage)
    for read in (read_corpus, read_queries, lambda path: read_qrels(path, questions={"q"}, documents=None)):
        try:
            read(file)
        except UsageError:
            continue


@pytest.mark.parametrize(
    ("name", "documents", "questions"),
    [("msmarco_ko", 7279, 6980), ("korquad1_dev", 961, 5764), ("cranfield_en", 1398, 225)],
)
def test_the_shared_collections_are_read_whole_and_soon(name: str, documents: int, questions: int) -> None:
    if not (SHARED / name).is_dir():
        pytest.skip("the shared collections are not here")
    start = time.perf_counter()
    collection = read_collection(SHARED / name)
    assert time.perf_counter() - start < 5
    assert (len(collection.documents), len(collection.queries)) == (documents, questions)


def test_a_record_can_be_written_and_read_again(tmp_path: Path) -> None:
    file = tmp_path / "queries.jsonl"
    file.write_text(json.dumps({"_id": "x", "text": '따옴표 " 와 \\ 와 \n'}), encoding="utf-8")
    assert read_queries(file) == (Query("x", '따옴표 " 와 \\ 와 \n'),)
