"""Turn the published form of a test collection into a BEIR folder for `kosearch eval`.

    python -m tests.benchmarks.collections NAME SOURCE FOLDER

NAME and SOURCE are one of

    autorag_ko_embed  data (Parquet: needs `pip install pyarrow`) of
                      github.com/Marker-Inc-Korea/AutoRAG-example-korean-embedding-benchmark
    korquad1_dev      dataset/KorQuAD_v1.0_dev.json of
                      github.com/korquad/korquad.github.io
    msmarco_ko        data/msmarco_kor.json of
                      github.com/baba9811/msmarco_Kor
    welfare_ko        QA_generator/data/json of
                      github.com/ssisOneTeam/Korean-Embedding-Model-Performance-Benchmark-for-Retriever
    cranfield_en      the whole of
                      github.com/oussbenk/cranfield-trec-dataset

and these six, of which the first three helped to choose constants and the last three were only ever measured:

    everyday_law_ko   the whole of github.com/KW-SWTG/Chatbot_Dataset
    covid_faq_en      data/faqs/faq_200327.tsv of github.com/deepset-ai/COVID-QA
    msmarco_en_ko     data of github.com/baba9811/msmarco_Kor: English questions, Korean passages
    koblex_ko         the whole of github.com/daehuikim/KoBLEX: law
    react_en_ko       the whole of github.com/reactjs/ko.react.dev: English headings, Korean sections
    medquad_en        the whole of github.com/abachaa/MedQuAD

Nothing is downloaded. The collections have licences of their own, and some have none: see their repositories.
"""

from __future__ import annotations

import csv
import json
import re
import sys
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from html import unescape
from pathlib import Path
from typing import Any


@dataclass
class Collection:
    """Documents as id → (title, text), questions as id → text, answers as (question, document)."""

    documents: dict[str, tuple[str, str]] = field(default_factory=dict)
    questions: dict[str, str] = field(default_factory=dict)
    answers: dict[tuple[str, str], None] = field(default_factory=dict)

    def write(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        _write_lines(
            folder / "corpus.jsonl",
            ({"id": id_, "title": title, "text": text} for id_, (title, text) in self.documents.items()),
        )
        _write_lines(folder / "queries.jsonl", ({"id": id_, "text": text} for id_, text in self.questions.items()))
        rows = [
            "query-id\tcorpus-id\tscore",
            *(f"{question}\t{document}\t1" for question, document in self.answers),
        ]
        (folder / "qrels.tsv").write_text("\n".join(rows) + "\n", encoding="utf-8")


def autorag_ko_embed(source: Path) -> Collection:
    """Pages of reports; `retrieval_gt` lists groups of page ids, here always one group of one."""
    from pyarrow import parquet

    corpus = parquet.read_table(source / "ocr_corpus_v3.parquet", columns=["doc_id", "contents"]).to_pylist()
    qa = parquet.read_table(source / "qa_v4.parquet", columns=["qid", "query", "retrieval_gt"]).to_pylist()
    return Collection(
        documents={page["doc_id"]: ("", page["contents"]) for page in corpus},
        questions={row["qid"]: row["query"] for row in qa},
        answers={(row["qid"], page): None for row in qa for group in row["retrieval_gt"] for page in group},
    )


def korquad1_dev(source: Path) -> Collection:
    """SQuAD's form: each paragraph is a document; equal paragraphs, and equal questions, become one."""
    collection = Collection()
    paragraph_ids: dict[str, str] = {}
    question_ids: dict[str, str] = {}
    for article in _json(source)["data"]:
        for paragraph in article["paragraphs"]:
            text = paragraph["context"]
            document = paragraph_ids.setdefault(text, f"p{len(paragraph_ids)}")
            collection.documents.setdefault(document, (article["title"].replace("_", " "), text))
            for row in paragraph["qas"]:
                question = question_ids.setdefault(row["question"], row["id"])
                collection.questions[question] = row["question"]
                collection.answers[question, document] = None
    return collection


def msmarco_ko(source: Path) -> Collection:
    """Questions, each with the passages that answer it; equal passages become one."""
    collection = Collection()
    passage_ids: dict[str, str] = {}
    for row in _json(source):
        question = str(row["id"])
        collection.questions[question] = row["query"]
        for passage in row["positive"]:
            document = passage_ids.setdefault(passage, f"d{len(passage_ids)}")
            collection.documents[document] = ("", passage)
            collection.answers[question, document] = None
    return collection


def welfare_ko(source: Path) -> Collection:
    """Descriptions of welfare schemes, whose first line is the title; the test split."""
    corpus, answers = _json(source / "test_corpus.json"), _json(source / "test_relevant_docs.json")
    return Collection(
        documents={document: (text.strip().split("\n")[0].strip(), text) for document, text in corpus.items()},
        questions=dict(_json(source / "test_queries.json")),
        answers={(question, document): None for question, found in answers.items() for document in found},
    )


def cranfield_en(source: Path) -> Collection:
    """Abstracts. The judgements number the questions 1 to 225 in file order, whatever their <num> says.

    Grades run from 1, a complete answer, to 4, of minimum interest, and -1 is none: the smaller, the better.
    So they are not kept, and 1 to 4 count as relevant. Two documents have no text, and are left out.
    """
    collection = Collection()
    for match in re.finditer(r"<doc>.*?</doc>", _text(source / "cran.all.1400.xml"), re.DOTALL | re.IGNORECASE):
        if text := _element("text", match[0]):
            collection.documents[_element("docno", match[0])] = (_element("title", match[0]), text)
    topics = re.finditer(r"<top>.*?</top>", _text(source / "cran.qry.xml"), re.DOTALL | re.IGNORECASE)
    for number, match in enumerate(topics, 1):
        collection.questions[str(number)] = _element("title", match[0])
    for line in _text(source / "cranqrel.trec.txt").splitlines():
        question, _, document, grade = line.split()
        if int(grade) > 0 and document in collection.documents:
            collection.answers[question, document] = None
    return collection


def everyday_law_ko(source: Path) -> Collection:
    """Questions about old people's law, each with its paragraph, among paragraphs of the same and neighbouring law."""
    collection = Collection()
    paragraph_ids: dict[str, str] = {}
    for number, row in enumerate(_table(source / "modelTrain_Test" / "QA.csv", ",")):
        document = paragraph_ids.setdefault(row["paragraph"], f"p{len(paragraph_ids)}")
        collection.documents[document] = ("", row["paragraph"])
        collection.questions[f"q{number}"] = row["Q"]
        collection.answers[f"q{number}", document] = None
    for name in ("노인복지", "치매 노인", "고령자 고용", "국민건강보험", "주택연금", "건강기능식품"):
        for number, row in enumerate(_table(source / "Crawler" / "file_ver3" / f"{name}.csv", ",")):
            if row["paragraph"] not in paragraph_ids:
                collection.documents[f"{name} {number}"] = ("", row["paragraph"])
    return collection


def covid_faq_en(source: Path) -> Collection:
    """Questions to health offices and their answers, the English ones; equal answers become one."""
    collection = Collection()
    answer_ids: dict[str, str] = {}
    for number, row in enumerate(_table(source, "\t")):
        if row["lang"] == "en" and row["question"] and row["answer"]:
            document = answer_ids.setdefault(row["answer"], f"a{len(answer_ids)}")
            collection.documents[document] = ("", row["answer"])
            collection.questions[f"q{number}"] = row["question"]
            collection.answers[f"q{number}", document] = None
    return collection


def msmarco_en_ko(source: Path) -> Collection:
    """`msmarco_ko` with the questions that its own were translated from: the two files share ids."""
    collection = msmarco_ko(source / "msmarco_kor.json")
    collection.questions = {str(row["id"]): row["query"] for row in _json(source / "msmarco_eng.json")}
    return collection


def koblex_ko(source: Path) -> Collection:
    """A case and a question about it, and the provisions that decide it, among a sample of other statutes."""
    collection = Collection()
    for provision in _lines(source / "data_generation" / "sample" / "statute_sample.jsonl"):
        collection.documents[provision["hierarchy"]] = (provision["index"], provision["content"])
    for row in _lines(source / "experiments" / "source" / "koblex.jsonl"):
        collection.questions[row["id"]] = f"{row['background']}\n{row['question']}"
        for provision in row["contexts"]:
            collection.documents[provision["hierarchy"]] = (provision["index"], provision["content"])
            collection.answers[row["id"], provision["hierarchy"]] = None
    return collection


def react_en_ko(source: Path) -> Collection:
    """Sections of a Korean manual; a section is asked for by its English heading, which stands behind the Korean one.

    Headings of less than three words, or of two sections, ask for nothing. Code is left out, and so is what was not
    translated.
    """
    collection, headings = Collection(), Counter[str]()
    for page in sorted((source / "src" / "content" / "learn").rglob("*.md")):
        text = re.sub(r"^```.*?^```", "", _text(page), flags=re.DOTALL | re.MULTILINE)
        title = found[1] if (found := re.search(r"^title: *['\"]?(.*?)['\"]?$", text, re.MULTILINE)) else page.stem
        parts = re.split(r"^#{2,4} (.*?) *\{/\*(.*?)\*/\}", text, flags=re.MULTILINE)[1:]
        for korean, english, body in zip(parts[::3], parts[1::3], parts[2::3], strict=True):
            if len(re.findall("[가-힣]", body)) >= 50:
                document, question = f"{page.stem}#{english}", english.replace("-", " ")
                headings[question] += 1
                collection.documents[document] = (title, f"{korean}\n{body.strip()}")
                collection.questions[document] = question
    for document, question in list(collection.questions.items()):
        if headings[question] > 1 or len(question.split()) < 3:
            del collection.questions[document]
    collection.answers = {(document, document): None for document in collection.questions}
    return collection


def medquad_en(source: Path) -> Collection:
    """Answers of the disease centres (CDC) and of neurology (NINDS); equal ones become one."""
    collection = Collection()
    answer_ids: dict[str, str] = {}
    for folder in ("9_CDC_QA", "6_NINDS_QA"):
        for path in sorted((source / folder).glob("*.xml")):
            for pair in _blocks("QAPair", path):
                question, answer = _element("Question", pair), _element("Answer", pair)
                if question and answer:
                    identity = f"{folder} {path.stem} {len(collection.questions)}"
                    document = answer_ids.setdefault(answer, f"a{len(answer_ids)}")
                    collection.documents[document] = ("", answer)
                    collection.questions[identity] = question
                    collection.answers[identity, document] = None
    return collection


CONVERTERS: Mapping[str, Callable[[Path], Collection]] = {
    convert.__name__: convert
    for convert in (
        autorag_ko_embed,
        korquad1_dev,
        msmarco_ko,
        welfare_ko,
        cranfield_en,
        everyday_law_ko,
        covid_faq_en,
        msmarco_en_ko,
        koblex_ko,
        react_en_ko,
        medquad_en,
    )
}


def main(arguments: list[str]) -> int:
    if len(arguments) != 3 or arguments[0] not in CONVERTERS:
        sys.stderr.write(f"{__doc__}\n")
        return 2
    name, source, folder = arguments
    collection = CONVERTERS[name](Path(source))
    collection.write(Path(folder))
    counts = f"{len(collection.documents)} documents, {len(collection.questions)} questions"
    sys.stdout.write(f"{folder}: {counts}\n")
    return 0


def _blocks(name: str, path: Path) -> list[str]:
    return re.findall(rf"<{name}\b[^>]*>.*?</{name}>", _text(path), re.DOTALL | re.IGNORECASE)


def _element(name: str, block: str) -> str:
    found = re.search(rf"<{name}\b[^>]*>(.*?)</{name}>", block, re.DOTALL | re.IGNORECASE)
    return " ".join(unescape(found[1]).split()) if found else ""


def _text(path: Path) -> str:
    return path.read_text(encoding="utf-8")


def _json(path: Path) -> Any:
    return json.loads(_text(path))


def _lines(path: Path) -> list[Any]:
    return [json.loads(line) for line in path.read_bytes().split(b"\n") if line.strip()]


def _table(path: Path, delimiter: str) -> Iterator[dict[str, str]]:
    with path.open(encoding="utf-8-sig", newline="") as file:
        yield from csv.DictReader(file, delimiter=delimiter)


def _write_lines(path: Path, records: Iterable[Mapping[str, str]]) -> None:
    with path.open("w", encoding="utf-8", newline="\n") as file:
        file.writelines(json.dumps(record, ensure_ascii=False) + "\n" for record in records)


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
