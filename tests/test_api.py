"""The public API: what it names, what it costs, and that it does what its page says."""

from __future__ import annotations

import ast
import importlib
import inspect
import pkgutil
import subprocess
import sys
import textwrap
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import date
from pathlib import Path

import numpy as np
import pytest
from conftest import CORPUS

import kosearch

QUESTION = "연차를 다음 해로 넘길 수 있나요?"
pytestmark = pytest.mark.filterwarnings("ignore")  # those of other people's imports


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory, cache_dir: Path) -> Iterator[kosearch.Index]:
    """An index of the small corpus, made by the API."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("KOSEARCH_CACHE_DIR", str(cache_dir))
        with kosearch.open(tmp_path_factory.mktemp("api") / "index") as index:
            seen: list[kosearch.IndexProgress] = []
            report = index.index(CORPUS, progress=seen.append)
            assert (report.added, report.skipped) == (8, ())
            assert next(one.note for one in seen if one.note).startswith("model: ")
            assert seen[-1].files_done == 8
            yield index


def test_a_question_has_hits_that_say_where_they_stand(corpus: kosearch.Index) -> None:
    answer = corpus.search(QUESTION, k=2)
    first, second = answer
    assert (len(answer), answer[0], bool(answer)) == (2, first, True)
    assert first.path.endswith("휴가규정.md")
    assert first.score > second.score
    assert (first.page, first.lines, first.headings[-1]) == (None, (19, 27), "제8조 (연차의 이월)")
    shown = corpus.show(first.id, context=0)
    assert (shown.text, shown.state) == (first.text, "current")


def test_documents_and_their_text(corpus: kosearch.Index) -> None:
    every = corpus.documents()
    assert [one.path for one in every] == sorted(one.path for one in every)
    [pdf] = corpus.documents(type="pdf", path="*소방*")
    assert pdf in every
    hit = corpus.search("소화기 사용법", k=1)[0]
    full = corpus.document(hit.id)
    assert (full.stored, full.pages[0].number) == (pdf, 1)
    assert hit.passage in full.passages
    assert full.text[hit.passage.start : hit.passage.end] == hit.text
    short = f"{hit.document_hash[:8]}:{hit.passage.start}:{hit.passage.end}"
    assert corpus.document(short) == full
    assert corpus.show(short) == corpus.show(hit.id)
    for unknown in ("ffffffff", hit.document_hash[:7], "../etc/passwd", "", "0" * 64, f"{hit.document_hash}0"):
        with pytest.raises(kosearch.UsageError):
            corpus.document(unknown)
    with pytest.raises(kosearch.UsageError):
        corpus.documents(type="pfd")


def test_several_questions_have_several_answers(corpus: kosearch.Index) -> None:
    answers = corpus.search([QUESTION, "restore drill"], k=1)
    assert [answer.question for answer in answers] == [QUESTION, "restore drill"]
    assert answers[1][0].path.endswith("backup-diary.rst")


def test_filters_and_what_makes_no_sense(corpus: kosearch.Index) -> None:
    assert {hit.kind for hit in corpus.search("소화기", type="pdf", after=date(2000, 1, 1))} == {"pdf"}
    assert {Path(hit.path).suffix for hit in corpus.search("휴가", path=["*.md", "*.html"])} <= {".md", ".html"}
    miss = corpus.search("zzqqx", mode="lexical")
    assert (list(miss), miss.terms) == ([], (("zzqqx", 0),))
    for options in ({"mode": "psychic"}, {"type": "pfd"}, {"after": "soon"}, {"k": 0}, {"weight": 2}, {"context": -1}):
        with pytest.raises(kosearch.UsageError):
            corpus.search("휴가", **options)  # type: ignore[call-overload]
    for text in ("", " ", "\udcb0"):
        with pytest.raises(kosearch.UsageError):
            corpus.search(text)


def test_vectors_are_read_only_mapped_and_those_that_answer(corpus: kosearch.Index) -> None:
    ids, vectors = corpus.vectors()
    assert vectors.shape == (len(ids), corpus.status().identity.dimensions)
    assert isinstance(vectors, np.memmap)
    assert (vectors.flags.writeable, ids.flags.writeable, vectors.dtype) == (False, False, np.float32)
    assert np.allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-3)
    nearest = corpus.passages([ids[np.argmax(vectors @ kosearch.embed([QUESTION], kind="query")[0])]])[0]
    best = corpus.search(QUESTION, k=1, mode="dense")[0]
    assert (nearest.text, nearest.document.path) == (best.text, best.path)


@pytest.mark.parametrize("storage", ["float16", "int8"])
def test_vectors_of_an_index_that_has_changed(tmp_path: Path, cache_dir: Path, storage: str) -> None:
    docs = tmp_path / "docs"
    docs.mkdir()
    index = kosearch.open(tmp_path / "index", storage=storage)
    for name in ("a", "b", "c", "d", "e"):
        (docs / f"{name}.txt").write_text(f"{name} keeps vinegar in the {name} cellar", encoding="utf-8")
        assert index.index(docs).added == 1
    (docs / "b.txt").unlink()
    kept = index.vectors()
    index.index()
    ids, vectors = index.vectors()
    assert (len(kept[0]), kept[1].shape[0], len(ids), vectors.shape[0]) == (5, 5, 4, 4)
    texts = [one.text for one in index.passages(ids)]
    assert [text[0] for text in texts] == ["a", "c", "d", "e"]
    # What the model sees of a passage is its title too; these have none.
    assert (np.einsum("nd,nd->n", vectors, kosearch.embed(texts)) > 0.99).all()
    assert index.remove(docs) == 4
    assert index.vectors()[1].shape == (0, vectors.shape[1])


def test_an_index_is_made_when_something_is_first_indexed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    notes = kosearch.open("notes")
    assert not notes.exists
    for ask in (lambda: notes.search("x"), notes.status, notes.check, lambda: notes.remove("x"), notes.vectors):
        with pytest.raises(kosearch.IndexMissing):
            ask()
    for nothing in ((), (tmp_path / "none",)):
        with pytest.raises(kosearch.UsageError):
            notes.index(*nothing)
    assert not notes.exists
    with pytest.raises(kosearch.UsageError):
        kosearch.open("..x")
    monkeypatch.setenv("KOSEARCH_INDEX", "others")
    assert kosearch.open().directory.name == "others"
    monkeypatch.chdir(tmp_path)
    assert kosearch.open(Path("notes")).directory == tmp_path / "notes"


def test_an_iterator_for_a_bar(tmp_path: Path, cache_dir: Path) -> None:
    for name in ("a.txt", "b.txt", "c.md"):
        (tmp_path / "docs" / name).parent.mkdir(exist_ok=True)
        (tmp_path / "docs" / name).write_text("vinegar", encoding="utf-8")
    index = kosearch.open(tmp_path / "index")
    run = index.indexing(tmp_path / "docs", exclude=["b.*"])
    with pytest.raises(kosearch.UsageError):
        _ = run.report
    assert list(run)[-1].files_done == 2
    assert run.report.added == 2
    assert index.index().unchanged == 2  # the globs are kept
    left = index.indexing(tmp_path / "docs", include=["*"])
    next(left)
    left.close()
    assert index.check() == index.repair() == []


def test_several_threads_may_ask_one_object(corpus: kosearch.Index, tmp_path: Path, cache_dir: Path) -> None:
    questions = [QUESTION, "restore drill", "소화기는 어떻게 쓰나요", "vinegar"] * 4
    alone = [[(hit.id, hit.score) for hit in answer] for answer in corpus.search(questions, k=3)]
    fresh = kosearch.open(corpus.directory)
    with ThreadPoolExecutor(8) as threads:
        together = list(threads.map(lambda text: fresh.search(text, k=3), questions))
    assert [[(hit.id, hit.score) for hit in answer] for answer in together] == alone
    # And while another one is indexing through the same object.
    docs = tmp_path / "docs"
    docs.mkdir()
    index = kosearch.open(tmp_path / "index")
    with ThreadPoolExecutor(3) as threads:
        for number in range(3):
            (docs / f"{number}.txt").write_text(f"vinegar number {number}", encoding="utf-8")
            indexing = threads.submit(index.index, docs)
            while number and not indexing.done():
                found = list(threads.map(lambda _: len(index.search("vinegar", mode="lexical")), range(2)))
                assert set(found) <= {number, number + 1}
            assert indexing.result().added == 1


def test_a_closed_index_opens_again(corpus: kosearch.Index) -> None:
    again = kosearch.open(corpus.directory)
    with again as index:
        assert len(index.search("vinegar", k=1, mode="lexical")) == 1
    assert len(again.search("vinegar", k=1, mode="lexical")) == 1


def test_reading_a_file(tmp_path: Path) -> None:
    extraction = kosearch.read(CORPUS / "규정/출장비.html")
    [document] = extraction.documents
    assert (document.kind, document.text) == ("html", extraction.text)
    assert extraction.text.startswith("국내외 출장비 안내\n")
    (tmp_path / "empty.txt").touch()
    for file, reason in ((tmp_path / "empty.txt", r"\[empty\]"), (tmp_path / "none", "No such file")):
        with pytest.raises(kosearch.FilesSkipped, match=reason):
            kosearch.read(file)


def test_embedding_texts(cache_dir: Path) -> None:
    texts = ["연차 휴가", "annual leave"]
    passages, queries = kosearch.embed(texts), kosearch.embed(texts, kind="query")
    assert passages.shape == queries.shape == (2, 384)
    assert np.allclose(np.linalg.norm(passages, axis=1), 1, atol=1e-5)
    assert not np.allclose(passages, queries)
    assert kosearch.embed([]).shape == (0, 384)
    with pytest.raises(kosearch.UsageError):
        kosearch.embed("a lone text")
    with pytest.raises(kosearch.ModelError):
        kosearch.embed(texts, model="./none")


class TestTheNames:
    def test_all_of_them_and_no_others_are_public(self) -> None:
        declared = {
            alias.asname
            for node in ast.walk(ast.parse(inspect.getsource(kosearch)))
            if isinstance(node, ast.ImportFrom) and node.module and node.module.startswith("kosearch.")
            for alias in node.names
        }
        assert declared == set(kosearch.__all__)
        assert len(set(kosearch.__all__)) == len(kosearch.__all__)
        assert set(kosearch.__all__) <= set(dir(kosearch))
        errors = importlib.import_module("kosearch.errors")
        kinds = {
            name
            for name, value in vars(errors).items()
            if isinstance(value, type) and value.__module__ == errors.__name__
        }
        assert kinds <= set(kosearch.__all__)

    def test_none_is_a_rooms_and_each_is_what_it_was_when_all_rooms_are_imported(self) -> None:
        rooms = {one.name for one in pkgutil.iter_modules(kosearch.__path__)}
        assert not rooms & set(kosearch.__all__)
        script = """
            import importlib, pkgutil, kosearch
            before = {name: getattr(kosearch, name) for name in kosearch.__all__}
            for one in pkgutil.walk_packages(kosearch.__path__, "kosearch."):
                if not one.name.endswith("__main__"):
                    importlib.import_module(one.name)
            assert all(getattr(kosearch, name) is value for name, value in before.items())
            assert kosearch.embed(["a"]).shape == (1, 384)
            assert kosearch.open("notes").exists is False
            try:
                kosearch.read("none")
            except kosearch.FilesSkipped:
                print("all are called")
        """
        assert _python(script) == "all are called\n"

    def test_each_says_what_it_is(self) -> None:
        for name in kosearch.__all__:
            value = getattr(kosearch, name)
            assert (inspect.getdoc(value) or "").strip(), name
            if inspect.isclass(value) and name in ("Index", "IndexRun"):
                for method, function in inspect.getmembers(value, inspect.isfunction):
                    assert method.startswith("_") or function.__doc__, f"{name}.{method}"

    def test_an_unknown_one_is_an_attribute_error(self) -> None:
        with pytest.raises(AttributeError, match="has no attribute 'search'"):
            _ = kosearch.search  # type: ignore[attr-defined]


def test_importing_it_costs_next_to_nothing() -> None:
    script = """
        import time
        begun = time.process_time()
        import kosearch
        spent = time.process_time() - begun
        import sys
        heavy = {"numpy", "torch", "typing", "dataclasses", "sqlite3", "pathlib"} & set(sys.modules)
        print(spent < 0.02, heavy)
    """
    assert _python(script, "-S", "-E", path=True) == "True set()\n"


def test_a_program_that_uses_it_is_typed(tmp_path: Path) -> None:
    program = tmp_path / "program.py"
    program.write_text(TYPED, encoding="utf-8")
    done = subprocess.run(
        [sys.executable, "-m", "mypy", "--strict", "--config-file=", f"--cache-dir={tmp_path}", program],
        capture_output=True,
        text=True,
        check=False,
        cwd=tmp_path,
    )
    assert done.stdout.splitlines()[-1].startswith("Success"), done.stdout


TYPED = """
from datetime import date
from pathlib import Path

import kosearch


def tell(state: kosearch.IndexProgress) -> None:
    print(state.files_done, state.files_total, state.note)


def main() -> int:
    with kosearch.open("notes", model="bundled", dimensions=128) as notes:
        report: kosearch.IndexReport = notes.index("docs", Path("more"), progress=tell, include=["*.md"])
        skipped: tuple[kosearch.Skipped, ...] = report.skipped
        run: kosearch.IndexRun = notes.indexing("docs")
        for state in run:
            tell(state)
        answer: kosearch.Answer = notes.search("one", k=3, type=["pdf"], after=date(2024, 1, 1), path="notes/")
        for hit in answer:
            page: int | None = hit.page
            print(hit.path, page, hit.score, hit.text, hit.lines[0], hit.headings)
        answers: list[kosearch.Answer] = notes.search(["one", "two"], mode="dense")
        ids, vectors = notes.vectors()
        rows, columns = vectors.shape
        texts: list[str] = [one.text for one in notes.passages(ids[:10])]
        status: kosearch.Status = notes.status()
        shown: kosearch.Shown = notes.show(answer[0].id)
        wrong: list[str] = notes.check() or notes.repair()
        removed: int = notes.remove("docs/old")
        print(skipped, answers, rows, columns, texts, status.documents, shown.text, wrong, removed)
    extraction: kosearch.Extraction = kosearch.read("file.hwp")
    vectors = kosearch.embed(["a"], kind="passage")
    try:
        print(extraction.text, float(vectors[0] @ vectors[0]))
    except kosearch.KosearchError as error:
        print(error.message, error.hint)
        return error.exit_code
    return 0
"""


def _python(script: str, *flags: str, path: bool = False) -> str:
    """What a fresh interpreter prints; with `path`, one that has only kosearch beside the standard library."""
    text = textwrap.dedent(script)
    if path:
        text = f"import sys; sys.path.insert(0, {str(Path(kosearch.__file__).parents[1])!r})\n{text}"
    done = subprocess.run([sys.executable, *flags, "-c", text], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout
