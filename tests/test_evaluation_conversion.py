"""The program that turns published collections into BEIR folders, on small files of the published forms."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from kosearch.evaluation.collections import Collection, Query, read_collection

ROOT = Path(__file__).resolve().parents[1]


def convert(name: str, source: Path, folder: Path) -> Collection:
    command = [sys.executable, "-m", "tests.benchmarks.collections", name, str(source), str(folder)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return read_collection(folder)


def dump(file: Path, content: object) -> Path:
    file.write_text(json.dumps(content), encoding="utf-8")
    return file


def contents(collection: Collection) -> dict[str, tuple[str, str]]:
    return {document.id: (document.title, document.text) for document in collection.documents}


def test_korquad_merges_equal_paragraphs_and_questions(tmp_path: Path) -> None:
    def paragraph(context: str, **questions: str) -> object:
        answers = [{"answer_start": 0, "text": "답"}]
        rows = [{"id": id_, "question": text, "answers": answers} for id_, text in questions.items()]
        return {"context": context, "qas": rows}

    data = [
        {
            "title": "근세_프랑스",
            "paragraphs": [paragraph("가", a="누구?"), paragraph("나", b="언제?", c="누구?")],
        },
        {"title": "다른", "paragraphs": [paragraph("가", d="어디?")]},
    ]
    source = dump(tmp_path / "dev.json", {"version": "KorQuAD_v1.0_dev", "data": data})
    collection = convert("korquad1_dev", source, tmp_path / "out")
    assert contents(collection) == {"p0": ("근세 프랑스", "가"), "p1": ("근세 프랑스", "나")}
    assert collection.queries == (Query("a", "누구?"), Query("b", "언제?"), Query("d", "어디?"))
    assert collection.qrels == {"a": {"p0": 1, "p1": 1}, "b": {"p1": 1}, "d": {"p0": 1}}


def test_msmarco_numbers_its_passages(tmp_path: Path) -> None:
    rows = [
        {"id": 1, "query": "하나?", "positive": ["가", "나"]},
        {"id": 2, "query": "하나?", "positive": ["나"]},
    ]
    collection = convert("msmarco_ko", dump(tmp_path / "kor.json", rows), tmp_path / "out")
    assert contents(collection) == {"d0": ("", "가"), "d1": ("", "나")}
    assert collection.qrels == {"1": {"d0": 1, "d1": 1}, "2": {"d1": 1}}


def test_welfare_takes_the_first_line_for_the_title(tmp_path: Path) -> None:
    dump(tmp_path / "test_corpus.json", {"x": "고엽제 수당\n\n대상은 …"})
    dump(tmp_path / "test_queries.json", {"q": "누가?"})
    dump(tmp_path / "test_relevant_docs.json", {"q": ["x"]})
    collection = convert("welfare_ko", tmp_path, tmp_path / "out")
    assert contents(collection) == {"x": ("고엽제 수당", "고엽제 수당\n\n대상은 …")}
    assert collection.qrels == {"q": {"x": 1}}


def test_cranfield_numbers_questions_in_order_and_drops_grades_and_empty_texts(tmp_path: Path) -> None:
    (tmp_path / "cran.all.1400.xml").write_text(
        "<doc>\n<docno>1</docno>\n<title>wings\nin a slipstream .</title>\n"
        "<text>wings\n  lift &amp; drag .</text>\n</doc>\n"
        "<doc><docno>2</docno><title></title><text>\n</text></doc>\n",
        encoding="utf-8",
    )
    (tmp_path / "cran.qry.xml").write_text(
        "<top>\n<num> 1</num>\n<title>\nwhat\nlifts .</title>\n</top>\n<top><num>4</num><title>drag</title></top>\n",
        encoding="utf-8",
    )
    (tmp_path / "cranqrel.trec.txt").write_text("1 0 1 -1\n2 0 1 3\n2 0 2 1\n", encoding="utf-8")
    collection = convert("cranfield_en", tmp_path, tmp_path / "out")
    assert contents(collection) == {"1": ("wings in a slipstream .", "wings lift & drag .")}
    assert collection.queries == (Query("2", "drag"),)
    assert collection.qrels == {"2": {"1": 1}}


def test_autorag_reads_parquet(tmp_path: Path) -> None:
    pytest.importorskip("pyarrow")
    from pyarrow import Table, parquet

    pages = [{"doc_id": "finance - 보고서.pdf - 1", "contents": "본문", "metadata": {"page": 1}}]
    rows = [{"qid": "0_finance", "query": "?", "retrieval_gt": [[pages[0]["doc_id"]]], "generation_gt": ["답"]}]
    parquet.write_table(Table.from_pylist(pages), tmp_path / "ocr_corpus_v3.parquet")
    parquet.write_table(Table.from_pylist(rows), tmp_path / "qa_v4.parquet")
    collection = convert("autorag_ko_embed", tmp_path, tmp_path / "out")
    assert contents(collection) == {"finance - 보고서.pdf - 1": ("", "본문")}
    assert collection.qrels == {"0_finance": {"finance - 보고서.pdf - 1": 1}}


def write(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return path


def test_everyday_law_sets_answers_among_other_paragraphs(tmp_path: Path) -> None:
    write(tmp_path / "modelTrain_Test" / "QA.csv", '\ufeffQ,A,paragraph\n연금은?,답,"가, 나"\n언제?,답,"가, 나"\n')
    for name in ("노인복지", "치매 노인", "고령자 고용", "국민건강보험", "주택연금", "건강기능식품"):
        write(tmp_path / "Crawler" / "file_ver3" / f"{name}.csv", '\ufeffcate2,paragraph\n뜻,다\n뜻,"가, 나"\n')
    collection = convert("everyday_law_ko", tmp_path, tmp_path / "out")
    assert len(collection.documents) == 1 + 6
    assert contents(collection)["p0"] == ("", "가, 나")
    assert collection.qrels == {"q0": {"p0": 1}, "q1": {"p0": 1}}


def test_covid_takes_english_questions_and_merges_equal_answers(tmp_path: Path) -> None:
    source = write(tmp_path / "faq.tsv", "question\tanswer\tlang\nWie?\tSo.\tde\nHow?\tThus.\ten\nWhy?\tThus.\ten\n")
    collection = convert("covid_faq_en", source, tmp_path / "out")
    assert contents(collection) == {"a0": ("", "Thus.")}
    assert collection.qrels == {"q1": {"a0": 1}, "q2": {"a0": 1}}


def test_msmarco_across_languages_keeps_ids(tmp_path: Path) -> None:
    dump(tmp_path / "msmarco_kor.json", [{"id": 1, "query": "하나?", "positive": ["가"]}])
    dump(tmp_path / "msmarco_eng.json", [{"id": 1, "query": "one?", "positive": ["a"]}])
    collection = convert("msmarco_en_ko", tmp_path, tmp_path / "out")
    assert contents(collection) == {"d0": ("", "가")}
    assert collection.queries == (Query("1", "one?"),)
    assert collection.qrels == {"1": {"d0": 1}}


def test_koblex_asks_with_the_case(tmp_path: Path) -> None:
    other = {"index": "민법 1조", "hierarchy": "민법 1조 1항", "content": "①가"}
    wanted = {"index": "상법 2조", "hierarchy": "상법 2조 1항", "content": "①나"}
    write(tmp_path / "data_generation" / "sample" / "statute_sample.jsonl", json.dumps(other))
    row = {"id": "a", "question": "언제까지?", "background": "갑은 을에게", "contexts": [wanted]}
    write(tmp_path / "experiments" / "source" / "koblex.jsonl", json.dumps(row) + "\n")
    collection = convert("koblex_ko", tmp_path, tmp_path / "out")
    assert contents(collection) == {"민법 1조 1항": ("민법 1조", "①가"), "상법 2조 1항": ("상법 2조", "①나")}
    assert collection.queries == (Query("a", "갑은 을에게\n언제까지?"),)
    assert collection.qrels == {"a": {"상법 2조 1항": 1}}


def test_react_asks_for_a_korean_section_by_its_english_heading(tmp_path: Path) -> None:
    body = "상태는 컴포넌트의 기억이다. " * 10
    page = (
        "---\ntitle: '상태 관리'\n---\n\n## 상태를 나누는 법 {/*how-to-split-state*/}\n"
        f"```js\ncode();\n```\n{body}\n### 정리 {{/*recap*/}}\n{body}\n"
        "### 원문 {/*not-yet-translated-here*/}\nIn English.\n"
    )
    write(tmp_path / "src" / "content" / "learn" / "state.md", page)
    collection = convert("react_en_ko", tmp_path, tmp_path / "out")
    assert contents(collection) == {
        "state#how-to-split-state": ("상태 관리", f"상태를 나누는 법\n{body.strip()}"),
        "state#recap": ("상태 관리", f"정리\n{body.strip()}"),
    }
    assert collection.queries == (Query("state#how-to-split-state", "how to split state"),)


def test_medquad_merges_equal_answers_and_drops_empty_ones(tmp_path: Path) -> None:
    def pair(question: str, answer: str) -> str:
        return f'<QAPair pid="1"><Question qid="1" qtype="x">{question}</Question><Answer>{answer}</Answer></QAPair>'

    (tmp_path / "6_NINDS_QA").mkdir()
    pairs = pair("What is A?", "An &amp; B.") + pair("Who gets A?", "An &amp; B.") + pair("Why?", "")
    write(tmp_path / "9_CDC_QA" / "1.xml", f"<Document><QAPairs>{pairs}</QAPairs></Document>")
    collection = convert("medquad_en", tmp_path, tmp_path / "out")
    assert contents(collection) == {"a0": ("", "An & B.")}
    assert [query.text for query in collection.queries] == ["What is A?", "Who gets A?"]


def test_an_unknown_name_shows_what_there_is() -> None:
    command = [sys.executable, "-m", "tests.benchmarks.collections", "nothing"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (2, "")
    assert "korquad1_dev" in done.stderr
