"""The main job on a collection, as a user would do it: files on disk, two commands, the right file first?

    python -m tests.benchmarks main_job [COLLECTION] [--mode dense]

Writes each document of a BEIR folder (default: ../shared/eval/autorag_ko_embed) as a text file, runs the installed
`kosearch index` and one `kosearch query --batch` in a data directory of their own, and prints Recall@1 and @10.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path

SHARED = Path(__file__).resolve().parents[3] / "shared"
PROGRAM = Path(sys.executable).with_name("kosearch")


def main(arguments: list[str]) -> None:
    parser = argparse.ArgumentParser(prog="main_job", description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("collection", nargs="?", type=Path, default=SHARED / "eval" / "autorag_ko_embed")
    parser.add_argument("--mode", default="dense")
    options = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory() as folder:
        work = Path(folder)
        names = write_files(options.collection, work / "docs")
        environment = {**os.environ, "KOSEARCH_DATA_DIR": str(work / "data"), "KOSEARCH_RESIDENT": "off"}
        begun = time.monotonic()
        index = subprocess.run(
            [PROGRAM, "index", work / "docs", "--json", "-q"], env=environment, capture_output=True, check=True
        )
        print(f"index: {json.loads(index.stdout)['documents']} documents in {time.monotonic() - begun:.1f} s")
        again = subprocess.run(
            [PROGRAM, "index", work / "docs", "--json", "-q"], env=environment, capture_output=True, check=True
        )
        print(f"index again: {json.loads(again.stdout)['embedded']} passages embedded")
        questions = read_lines(options.collection / "queries.jsonl")
        expected = read_qrels(options.collection / "qrels.tsv")
        questions = [one for one in questions if one["id"] in expected]
        asked = work / "questions.txt"
        asked.write_text("".join(" ".join(one["text"].split()) + "\n" for one in questions), encoding="utf-8")
        begun = time.monotonic()
        query = subprocess.run(
            [PROGRAM, "query", "--batch", asked, "--mode", options.mode, "--group", "--json"],
            env=environment,
            capture_output=True,
            check=True,
        )
        answers = json.loads(query.stdout)["answers"]
        print(
            f"query: {len(answers)} questions in {time.monotonic() - begun:.1f} s, one process, --mode {options.mode}"
        )
        report(questions, answers, expected, names)


def write_files(collection: Path, folder: Path) -> dict[str, str]:
    """One text file a document; returns file name → document id."""
    folder.mkdir()
    names = {}
    for number, document in enumerate(read_lines(collection / "corpus.jsonl")):
        label = re.sub(r"[^\w.-]+", "_", document["id"])[:80]
        name = f"{number:05}-{label}.txt"
        title = f"{document['title']}\n\n" if document.get("title") else ""
        (folder / name).write_text(title + document["text"], encoding="utf-8")
        names[name] = document["id"]
    return names


def report(
    questions: list[dict[str, str]],
    answers: list[dict[str, object]],
    expected: dict[str, set[str]],
    names: dict[str, str],
) -> None:
    """Recall over documents, averaged over questions."""
    for k in (1, 3, 5, 10):
        found = 0.0
        for question, answer in zip(questions, answers, strict=True):
            hits = [names[Path(hit["absolute_path"]).name] for hit in answer["hits"]]  # type: ignore[attr-defined]
            wanted = expected[question["id"]]
            found += len(wanted & set(hits[:k])) / len(wanted)
        print(f"Recall@{k:<2} {found / len(questions):.4f}")


def read_lines(path: Path) -> list[dict[str, str]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def read_qrels(path: Path) -> dict[str, set[str]]:
    expected: dict[str, set[str]] = {}
    for line in path.read_text(encoding="utf-8").splitlines()[1:]:
        question, document, grade = line.split("\t")
        if int(grade) > 0:
            expected.setdefault(question, set()).add(document)
    return expected


if __name__ == "__main__":
    main(sys.argv[1:])
