"""`kosearch train` and `kosearch questions`: what is learnt, measured, refused and written."""

from __future__ import annotations

import csv
import io
import json
import os
import re
import shlex
import shutil
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any
from zlib import crc32

import numpy as np
import pytest
from embedding_making import save_model, write_small
from endpoint_making import Asked, Reply, Server
from index_making import without_processes
from postgres_making import TestServer

import kosearch
from kosearch import embedding
from kosearch.cli import main
from kosearch.cli.clicks import clicks_file
from kosearch.cli.open import remember
from kosearch.embedding import Head, load_head
from kosearch.errors import ModelError
from kosearch.evaluation import questions_task
from kosearch.evaluation.collections import locate, read_questions
from kosearch.evaluation.measures import evaluate
from kosearch.library import Index
from kosearch.opening import Opened
from kosearch.records import Query
from kosearch.searching.ranking import rank
from kosearch.training import Gain, gains, refusal, train
from kosearch.training.candidates import TOLD
from kosearch.training.examples import read_examples
from kosearch.training.folder import kept_between_runs, write_model
from kosearch.training.gains import Bench, folded, gain, grouped
from kosearch.training.head import Pairs, _gradient, fit

WIDTH = 32
SUBJECTS = 200
"""Documents of the planted collection, each with a question that shares no word with it."""


def planted(text: str) -> np.ndarray:
    """A vector that half tells the subject, which stands in the text as a number, and half tells nothing."""
    number = int((re.search(r"\d+", text) or ["0"])[0])
    subject = np.random.default_rng(number).normal(size=WIDTH // 2)
    rest = np.random.default_rng(crc32(text.encode())).normal(size=WIDTH // 2) * 1.3
    vector = np.concatenate([subject, rest])
    return (vector / np.linalg.norm(vector)).astype(np.float32)


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_small(tmp_path_factory.mktemp("model") / "base", width=WIDTH, length=128, layers=3)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Documents, and questions about them."""
    documents = tmp_path / "documents"
    documents.mkdir()
    for number in range(SUBJECTS):
        text = f"# Subject number{number}x\n\nWhat is said of it stands here, in so many words.\n"
        (documents / f"{number}.md").write_text(text, encoding="utf-8")
    return documents


@pytest.fixture
def asked(tmp_path: Path) -> Path:
    file = tmp_path / "questions.jsonl"
    rows = [{"question": f"about item{number}?", "expected": f"{number}.md"} for number in range(SUBJECTS)]
    file.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return file


@pytest.fixture
def index(small: Path, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Index:
    """The documents indexed by planted vectors, of which none is kept for another test."""
    monkeypatch.setenv("KOSEARCH_MODEL", str(small))
    monkeypatch.setenv("KOSEARCH_CACHE_DIR", str(tmp_path / "cache"))
    without_processes(monkeypatch)

    def embed(self: Opened, texts: Sequence[str], progress: Callable[[int], None] | None = None) -> np.ndarray:
        vectors = np.array([planted(text) for text in texts], np.float32).reshape(-1, WIDTH)
        if progress:
            progress(len(texts))
        model = self.model
        assert isinstance(model, embedding.Model)
        return load_head(model.layers)(vectors) if model.bases else vectors

    monkeypatch.setattr(Opened, "embed_passages", embed)
    monkeypatch.setattr(Opened, "embed_queries", embed)
    made = kosearch.open()
    made.index(folder)
    return made


def rotated(random: np.random.Generator, by: float = 0.1) -> Head:
    weight = np.eye(WIDTH) + random.normal(size=(WIDTH, WIDTH)) * by
    return Head(weight.astype(np.float32), (random.normal(size=WIDTH) * 0.05).astype(np.float32))


class TestTheHead:
    def pairs(self, count: int = 12, width: int = 5) -> Pairs:
        random = np.random.default_rng(1)
        asked, given = random.normal(size=(2, count, width))
        documents = random.integers(0, 6, count)
        answers = [{int(one), int(random.integers(0, 6))} for one in documents]
        return Pairs.of(asked, given, documents, answers)

    def test_its_gradient_is_that_of_the_loss(self) -> None:
        pairs, width = self.pairs(), 5
        random = np.random.default_rng(2)
        weight, bias = np.eye(width) + random.normal(size=(width, width)) * 0.1, random.normal(size=width) * 0.1

        def loss(weight: np.ndarray, bias: np.ndarray) -> float:
            asked, given = (one @ weight.T + bias for one in (pairs.questions, pairs.passages))
            asked, given = (one / np.linalg.norm(one, axis=1, keepdims=True) for one in (asked, given))
            logits = 20 * asked @ given.T
            logits[pairs.others()] = -np.inf
            return float(np.mean(np.log(np.exp(logits).sum(axis=1)) - np.diag(logits)))

        expected = np.zeros((width, width + 1))
        for row in range(width):
            for column in range(width + 1):
                found = []
                for step in (1e-5, -1e-5):
                    w, b = weight.copy(), bias.copy()
                    (w[row] if column < width else b)[column if column < width else row] += step
                    found.append(loss(w, b))
                expected[row, column] = (found[0] - found[1]) / 2e-5
        assert _gradient(pairs, Head(weight, bias)) == pytest.approx(expected, abs=1e-6)  # type: ignore[arg-type]

    def test_other_passages_of_what_answers_are_no_counterexamples(self) -> None:
        zeros = np.zeros((3, 2), np.float32)
        pairs = Pairs.of(zeros, zeros, np.array([4, 5, 4]), [{4, 5}, {5}, {4}])
        expected = [[False, True, True], [False, False, False], [True, False, False]]
        assert pairs.others().tolist() == expected

    def test_the_same_pairs_and_seed_give_the_same_head(self) -> None:
        pairs = self.pairs()
        first, again, other = fit(pairs, 3), fit(pairs, 3), fit(self.pairs(count=300), 4)
        assert np.array_equal(first.weight, again.weight)
        assert not np.array_equal(first.weight, other.weight)
        assert np.abs(first.weight - np.eye(5)).max() < 0.2

    def test_what_is_no_number_is_said(self) -> None:
        pairs = self.pairs()
        pairs.questions[0] = np.nan
        with pytest.raises(ArithmeticError, match="step 1 of"):
            fit(pairs)


class TestFolds:
    def test_no_document_answers_questions_of_two(self) -> None:
        random = np.random.default_rng(0)
        answers = [set(random.integers(0, 200, random.integers(1, 4)).tolist()) for _ in range(150)]
        groups = grouped(answers)
        for one, first in enumerate(answers):
            for other, second in enumerate(answers):
                assert not first & second or groups[one] == groups[other]
        apart = [{number} for number in range(100)]
        folds = folded(grouped(apart), seed=0)
        assert np.bincount(folds).tolist() == [20] * gains.FOLDS

    def test_the_interval_holds_what_is_there(self) -> None:
        random = np.random.default_rng(0)
        within = 0
        for _ in range(100):
            groups = np.repeat(np.arange(40), 3)
            after = 0.05 + np.repeat(random.normal(size=40), 3) * 0.1 + random.normal(size=120) * 0.05
            found = gain(np.zeros(120), after, groups)
            within += found.low <= 0.05 <= found.high
        assert 88 <= within <= 100


class TestReading:
    def test_every_form_says_the_same(self, index: Index, tmp_path: Path, asked: Path) -> None:
        pairs, table = tmp_path / "pairs.tsv", tmp_path / "table.tsv"
        pairs.write_text("".join(f"about item{n}?\t# Subject  number{n}x\n" for n in range(SUBJECTS)), encoding="utf-8")
        rows = ("\t".join((f"about item{n}?", f"{n}.md", "", "…")) for n in range(SUBJECTS))
        table.write_text("question\tpath\tpage\tpassage\n" + "\n".join(rows), encoding="utf-8")
        with index.store.snapshot() as snapshot:
            found = [read_examples(file, snapshot).examples for file in (asked, pairs, table)]
        assert found[0] == found[1] == found[2]
        assert len(found[0]) == SUBJECTS

    @pytest.mark.parametrize(
        ("name", "content", "said"),
        [
            ("q.jsonl", '{"question": "a", "expected": "1.md"}\n{"question": 3}', "line 2"),
            ("q.jsonl", '{"question": "a", "expected": "gone.md"}', "line 1: no document of the index fits"),
            ("q.tsv", "a\tstands here, in so many words.\nno tab", "line 2: no question and text"),
            ("q.tsv", "a\twhat nobody wrote", "line 1: no document of the index has this text"),
            ("q.tsv", "a\tstands here, in so many words.\tmuch", "line 1: the grade 'much' is not a number"),
            ("q.tsv", "a\tstands here, in so many words.\tnan", "line 1: the grade 'nan' is not a number"),
            ("q.tsv", "a" * 20_001 + "\tstands here", "line 1: the question has 20,001 characters"),
            ("q.tsv", "question\tpath\tpage\tpassage\na\t1.md", "line 2: 2 columns where 4 belong"),
            ("q.tsv", "question\tpath\tpage\tpassage\na\t1.md\tii\t", "line 2: the page 'ii' is not a whole number"),
            ("q.tsv", "question\tpath\tpage\tpassage\n\t1.md\t\ttext", "holds no question"),
        ],
    )
    def test_what_cannot_be_read_is_named_by_its_line(
        self, index: Index, tmp_path: Path, name: str, content: str, said: str
    ) -> None:
        file = tmp_path / name
        file.write_text(content, encoding="utf-8")
        with pytest.raises(kosearch.UsageError, match=re.escape(said)):
            train(index, file, tmp_path / "out")

    def test_questions_that_stand_twice_count_once(self, index: Index, tmp_path: Path) -> None:
        file = tmp_path / "q.jsonl"
        rows = [("a", "1.md"), ("a ", "2.md"), ("b", "1.md")]
        file.write_text("\n".join(json.dumps({"question": q, "expected": e}) for q, e in rows), encoding="utf-8")
        with index.store.snapshot() as snapshot:
            found = read_examples(file, snapshot)
        assert [len(one.answers) for one in found.examples] == [2, 1]
        assert found.notes == ("1 of 3 lines ask what another one asks: each question counts once",)

    def test_pages_where_no_passage_begins_are_left_out(
        self, index: Index, folder: Path, asked: Path, tmp_path: Path, capsys: Any
    ) -> None:
        """Also where that leaves nothing to learn from."""
        rows = [json.loads(line) for line in asked.read_text(encoding="utf-8").splitlines()]
        mixed, none = tmp_path / "mixed.jsonl", tmp_path / "none.jsonl"
        places = [{"path": "1.md", "page": 7}, ["1.md", {"path": "2.md", "page": 7}]]
        mixed.write_text("".join(json.dumps({"question": str(one), "expected": one}) + "\n" for one in places))
        with index.store.snapshot() as snapshot:
            found = read_examples(mixed, snapshot)
        assert [[Path(path).name for path in one.answers] for one in found.examples] == [["1.md"]]
        assert found.notes[0].startswith("1 of 2 questions are left out: no passage begins on the page they name")
        none.write_text("".join(json.dumps({**row, "page": 7}) + "\n" for row in rows), encoding="utf-8")
        assert main(["train", "--from", str(none), "--out", str(tmp_path / "out")]) == 1
        said = capsys.readouterr()
        assert "refused: 0 questions; at least 60 are needed" in said.out
        assert f"{SUBJECTS} of {SUBJECTS} questions are left out" in said.err

    def test_clicks_on_what_is_gone_are_left_out(self, index: Index, folder: Path, tmp_path: Path) -> None:
        file = tmp_path / "clicks.jsonl"
        rows = [{"question": "a", "expected": str(folder / name), "click": "open"} for name in ("1.md", "gone.md")]
        file.write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")
        with index.store.snapshot() as snapshot:
            found = read_examples(file, snapshot)
        assert len(found.examples) == 1
        assert found.notes[0].startswith("1 of 2 clicks are left out")


def test_clicks_are_kept_where_that_is_wanted(
    index: Index, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KOSEARCH_SESSION", "7")
    monkeypatch.setattr("kosearch.viewers.run", lambda _: 0)
    monkeypatch.setattr("kosearch.viewers.viewer", lambda *_: ["true"])
    hits = index.search("Subject number7x", k=2).hits
    file = clicks_file(index.settings)
    remember("about 7?", hits, index.settings, os.environ)
    assert main(["open", "1", "-q"]) == 0
    assert not file.exists()
    logging = replace(index.settings, log=True)
    remember("about 7?", hits, logging, os.environ)
    for number in ("1", "2"):
        assert main(["open", number, "-q"]) == 0
    assert main(["open", "1", "--print", "-q"]) == 0
    assert file.stat().st_mode & 0o077 == 0
    rows = [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()]
    assert [(row["question"], row["expected"], row["click"]) for row in rows] == [
        ("about 7?", hit.path, "open") for hit in hits
    ]
    with index.store.snapshot() as snapshot:
        assert [set(one.answers) for one in read_examples(file, snapshot).examples] == [{hit.path for hit in hits}]


def test_what_is_measured_before_is_what_eval_measures(index: Index, tmp_path: Path) -> None:
    """Demands, slips and what is left out are read as a search reads them."""
    asked = tmp_path / "questions.jsonl"
    forms = ["about {}?", "said of {} +number{}x", "subjcet {}", "{} -number{}x"]
    rows = [
        {"question": forms[number % len(forms)].format(number, number), "expected": f"{number}.md"}
        for number in range(SUBJECTS)
    ]
    asked.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    with index.store.snapshot() as snapshot:
        examples = read_examples(asked, snapshot).examples
        read = index.reader(snapshot)
        questions = [read(Query(one.text)) for one in examples]
        vectors = index.embed_queries([one.meant for one in questions])
        bench = Bench(snapshot, questions, examples, vectors, 0.5, lambda _: None)
        paths = [document.path for document in snapshot.documents()]
        task = questions_task("q", locate(read_questions(asked), paths), snapshot)
        for side, mode in enumerate(("dense", "hybrid")):
            run = {}
            for (question, text), vector, as_read in zip(task.texts.items(), vectors, questions, strict=True):
                ranking = rank(Query(text, mode=mode), as_read, vector, snapshot)
                run[question] = task.judged(question, ranking)
            found = bench.before[:, side]
            expected = next(iter(evaluate(run, task.qrels).values.values()))["nDCG@10"]
            if mode == "hybrid":
                assert (found[1 :: len(forms)] == 1).all()
                assert not found[3 :: len(forms)].any()
                assert found == pytest.approx(expected, abs=1e-9)
        unchanged = Head(np.eye(WIDTH, dtype=np.float32), np.zeros(WIDTH, np.float32))
        assert bench.after(unchanged, np.arange(len(examples))) == pytest.approx(bench.before, abs=1e-9)


def test_a_better_model_is_taken_and_is_one_product_away(
    index: Index, asked: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[tuple[str, int, int]] = []
    found = kosearch.train(index, asked, tmp_path / "better", progress=lambda *step: told.append(step))
    assert found.taken
    assert found.hybrid is not None
    assert found.hybrid.low > 0
    assert (found.questions, found.documents, found.pairs) == (SUBJECTS, SUBJECTS, SUBJECTS)
    assert {what for what, _, _ in told} == {"questions embedded", "questions ranked", "folds"}
    assert f"{SUBJECTS} questions" in (tmp_path / "better/README.md").read_text(encoding="utf-8")

    def refuse(*_: object) -> None:
        raise AssertionError("a passage was embedded")

    monkeypatch.setattr(Opened, "embed_passages", refuse)
    other = Index(kosearch.open("other", model=str(tmp_path / "better")).settings)
    run = other.take_over(index)
    notes = [step.note for step in run if step.note]
    assert "is a head behind" in notes[0]
    assert (run.report.embedded, run.report.reused) == (0, index.status().passages)
    assert other.check() == []
    head = load_head(other.model.layers)  # type: ignore[union-attr]
    (ids, before), (same, after) = index.vectors(), other.vectors()
    assert np.array_equal(ids, same)
    assert np.abs(head(before) - after).max() < 1e-3
    assert len(other.search("words", mode="lexical")) == len(index.search("words", mode="lexical"))
    assert not other.is_foreign
    assert [one.path for one in other.documents()] == [one.path for one in index.documents()]


def test_an_index_on_a_server_teaches_the_same_head(
    index: Index, folder: Path, asked: Path, tmp_path: Path, postgres: TestServer
) -> None:
    kept = kosearch.open(postgres.url("taught"))
    kept.index(folder)
    found, expected = (train(one, asked, tmp_path / name) for one, name in ((kept, "kept"), (index, "expected")))
    assert found.taken
    assert (found.questions, found.documents, found.pairs) == (expected.questions, expected.documents, expected.pairs)
    assert found.hybrid is not None
    assert expected.hybrid is not None
    assert found.hybrid.after == pytest.approx(expected.hybrid.after, abs=1e-3)


def test_where_a_server_keeps_one_of_them_texts_are_embedded_by_a_head_anew(
    index: Index, folder: Path, tmp_path: Path, postgres: TestServer
) -> None:
    """The same vectors as by the product, for each pair of a folder and a server."""
    head = rotated(np.random.default_rng(0))
    write_model(tmp_path / "made", index.model, "card", head=head)  # type: ignore[arg-type]
    kept = kosearch.open(postgres.url("head_before"))
    kept.index(folder)

    def by_path(one: Index) -> np.ndarray:
        ids, vectors = one.vectors()
        order = sorted(range(len(ids)), key=[passage.document.path for passage in one.passages(ids)].__getitem__)
        return vectors[order]

    for source, name in ((kept, "out"), (kept, postgres.url("head_after")), (index, postgres.url("head_in"))):
        other = kosearch.open(name, model=str(tmp_path / "made"))
        run = other.take_over(source)
        list(run)
        assert run.report.embedded == source.status().passages
        assert other.check() == []
        assert np.abs(head(by_path(source)) - by_path(other)).max() < 1e-2
        assert other.search("words")
        other.close()


def test_an_index_goes_on_after_it_was_derived(index: Index, folder: Path, tmp_path: Path) -> None:
    write_model(tmp_path / "made", index.model, "card", head=rotated(np.random.default_rng(0)))  # type: ignore[arg-type]
    other = kosearch.open("other", model=str(tmp_path / "made"))
    list(other.take_over(index))
    (folder / "1.md").write_text("# Changed 7\n\nAnd what is said is another thing, in other words.", encoding="utf-8")
    report = other.index()
    assert (report.changed, report.embedded, report.unchanged) == (1, 1, SUBJECTS - 1)
    assert other.check() == []


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    """An endpoint that gives planted vectors."""
    monkeypatch.setenv("KOSEARCH_CACHE_DIR", str(tmp_path / "cache"))
    without_processes(monkeypatch)

    def answer(asked: Asked) -> Reply:
        vectors = [planted(text).tolist() for text in asked.texts]
        return Reply(body={"data": [{"index": place, "embedding": one} for place, one in enumerate(vectors)]})

    one = Server()
    one.decide = answer
    yield one
    one.stop()


class TestBehindAnEndpoint:
    @pytest.fixture
    def base(self, server: Server, folder: Path) -> Index:
        made = kosearch.open("base", model="openai:small", endpoint=server.url)
        made.index(folder)
        return made

    def test_the_index_keeps_the_head(
        self, base: Index, server: Server, folder: Path, asked: Path, tmp_path: Path
    ) -> None:
        made = tmp_path / "head"
        assert train(base, asked, made).taken
        assert all(server.url not in file.read_text(errors="replace") for file in made.rglob("*") if file.is_file())
        server.asked.clear()
        other = kosearch.open("other", model=str(made))
        run = other.take_over(base)
        notes = [step.note for step in run if step.note]
        assert notes == [f"{made} is a head behind openai:small: stored vectors are turned into its own"]
        assert (run.report.embedded, run.report.reused) == (0, SUBJECTS)
        assert server.asked == []
        head = embedding.load_head_alone(str(made))
        assert head is not None
        assert np.abs(head.head(base.vectors()[1]) - other.vectors()[1]).max() < 2e-3
        assert [hit.path for hit in other.search("about item7?", mode="dense")] != []

        other.backup(tmp_path / "backup")
        shutil.rmtree(made)
        (folder / "1.md").write_text("# Changed 7\n\nAnd what is said is another thing.", encoding="utf-8")
        kept = kosearch.open("other")
        report = kept.index()
        assert (report.changed, report.embedded, report.unchanged) == (1, 1, SUBJECTS - 1)
        assert kept.check() == []
        question = kept.embed_queries(["about item7?"])
        assert np.abs(head.head(base.embed_queries(["about item7?"])) - question).max() < 2e-3
        restored = kosearch.open("restored")
        restored.restore(tmp_path / "backup")
        assert np.array_equal(restored.embed_queries(["about item7?"]), question)
        with pytest.raises(ModelError, match="has a head behind it already"):
            train(kept, asked, made)

    def test_it_is_for_no_other_index(self, base: Index, folder: Path, asked: Path, tmp_path: Path) -> None:
        made = tmp_path / "head"
        assert train(base, asked, made).taken
        with pytest.raises(ModelError, match=r"head is a head for the vectors of an index by openai:small"):
            kosearch.open("new", model=str(made)).index(folder)
        endpoint = kosearch.open("shorter", model="openai:large", endpoint=base.settings.endpoint)
        endpoint.index(folder)
        with pytest.raises(ModelError, match="and of no other"):
            list(kosearch.open("new", model=str(made)).take_over(endpoint))
        assert not kosearch.open("new").exists

    def test_passages_of_another_size_are_embedded_with_it(self, base: Index, asked: Path, tmp_path: Path) -> None:
        made = tmp_path / "head"
        assert train(base, asked, made).taken
        other = kosearch.open("other", model=str(made), passage_tokens=64)
        run = other.take_over(base)
        list(run)
        assert run.report.embedded == SUBJECTS
        head = embedding.load_head_alone(str(made))
        assert head is not None
        assert np.abs(head.head(base.vectors()[1]) - other.vectors()[1]).max() < 2e-3

    def test_its_layers_are_elsewhere(self, base: Index, asked: Path, tmp_path: Path) -> None:
        with pytest.raises(ModelError, match="its layers are not here"):
            train(base, asked, tmp_path / "out", layers=2)


def test_shuffled_answers_are_refused(index: Index, asked: Path, tmp_path: Path) -> None:
    rows = [json.loads(line) for line in asked.read_text(encoding="utf-8").splitlines()]
    file = tmp_path / "shuffled.jsonl"
    for seed in range(5):
        order = np.random.default_rng(seed).permutation(len(rows))
        shuffled = [{**row, "expected": rows[other]["expected"]} for row, other in zip(rows, order, strict=True)]
        file.write_text("\n".join(map(json.dumps, shuffled)), encoding="utf-8")
        found = train(index, file, tmp_path / "out", seed=seed)
        assert not found.taken
        assert "hardly any of the answers" in found.why
        assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("measured", "said"),
    [
        (Gain(0.5, 0.52, 0.001, 0.04), ""),
        (Gain(0.5, 0.52, -0.02, 0.06), "if it is none, about 400 questions would show it"),
        (Gain(0.5, 0.49, -0.03, 0.01), "answers no better with it"),
        (Gain(0.05, 0.06, 0.001, 0.02), "hardly any of the answers"),
    ],
)
def test_what_is_refused_says_what_is_needed(measured: Gain, said: str) -> None:
    why = refusal(measured, 100)
    assert bool(why) == bool(said)
    assert said in why


class TestLayers:
    """With planted vectors in the index, and a small model's own layers; what they learn is in test_train_layers.py."""

    @pytest.fixture(autouse=True)
    def _taken(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("kosearch.training.refusal", lambda *_: "")
        monkeypatch.setattr("kosearch.training.layers.EPOCHS", 2)

    def test_what_was_interrupted_goes_on_to_the_same_weights(
        self, index: Index, asked: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        kept = index.settings.cache_dir / "training"
        asked.write_text("".join(asked.read_text(encoding="utf-8").splitlines(keepends=True)[:70]), encoding="utf-8")
        whole = train(index, asked, tmp_path / "whole", layers=2)
        assert not any(kept.iterdir())
        for name, after in (("steps of fold-1", 2), ("folds", 3), ("steps of whole", 3)):

            def interrupt(what: str, done: int, _: int, name: str = name, after: int = after) -> None:
                if (what, done) == (name, after):
                    raise KeyboardInterrupt

            with pytest.raises(KeyboardInterrupt):
                train(index, asked, tmp_path / "again", layers=2, progress=interrupt)
            assert not (tmp_path / "again").exists()
            assert len(list(kept.iterdir())) == 1
        told: list[str] = []
        again = train(index, asked, tmp_path / "again", layers=2, progress=lambda what, *_: told.append(what))
        assert "steps of fold-3" not in told
        assert (again.dense, again.hybrid, again.manual) == (whole.dense, whole.hybrid, whole.manual)
        one, other = ((tmp_path / name / "model.safetensors").read_bytes() for name in ("whole", "again"))
        assert one == other
        assert one != (Path(index.model.name) / "model.safetensors").read_bytes()
        assert "its last 2 layers" in (tmp_path / "again/README.md").read_text(encoding="utf-8")
        assert not any(kept.iterdir())

    def test_a_full_disk_is_said(
        self, index: Index, asked: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any
    ) -> None:
        def full(*_: object) -> None:
            raise OSError(28, "No space left on device")

        monkeypatch.setattr("kosearch.embedding.upper_layers.UpperLayers.save", full)
        assert main(["train", "--from", str(asked), "--out", str(tmp_path / "out"), "--layers", "2", "-q"]) == 2
        said = capsys.readouterr().err
        assert "No space left on device" in said
        assert "KOSEARCH_CACHE_DIR" in said
        assert not (tmp_path / "out").exists()


def test_what_nobody_came_back_to_is_removed(tmp_path: Path) -> None:
    """Not what somebody comes back to after all, nor what is still written to."""
    old, gone, written = (kept_between_runs(tmp_path, name) for name in ("old", "gone", "written"))
    for one in (old, gone, written):
        (one / "deep").mkdir()
        (one / "deep" / "weights").touch()
        for part in (one / "deep" / "weights", one / "deep", one):
            os.utime(part, (0, 0))
    (written / "deep" / "weights").touch()
    assert kept_between_runs(tmp_path, "old") == old
    assert sorted(tmp_path.iterdir()) == sorted((old, written))
    assert (old / "deep" / "weights").exists()


class TestTheCommand:
    def test_too_few_questions(self, index: Index, asked: Path, tmp_path: Path, capsys: Any) -> None:
        few = tmp_path / "few.jsonl"
        few.write_text("".join(asked.read_text(encoding="utf-8").splitlines(keepends=True)[:59]), encoding="utf-8")
        assert main(["train", "--from", str(few), "--out", str(tmp_path / "out")]) == 1
        said = capsys.readouterr().out.splitlines()
        assert said == [
            "few.jsonl: 59 questions, answered by 59 documents",
            "refused: 59 questions; at least 60 are needed",
        ]
        assert not (tmp_path / "out").exists()

    def test_what_is_there_is_not_written_over(self, index: Index, asked: Path, tmp_path: Path, capsys: Any) -> None:
        assert main(["train", "--from", str(asked), "--out", str(tmp_path)]) == 2
        assert "is there already" in capsys.readouterr().err

    def test_where_nothing_can_be_written_is_said_before_anything_is_learnt(
        self, index: Index, asked: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any
    ) -> None:
        def full(*_: object, **__: object) -> None:
            raise OSError(28, "No space left on device", "a name that tells nobody anything")

        monkeypatch.setattr("kosearch.training.folder.tempfile.TemporaryDirectory", full)
        monkeypatch.setattr("kosearch.training.read_examples", lambda *_: pytest.fail("questions were read"))
        assert main(["train", "--from", str(asked), "--out", str(tmp_path / "out"), "-q"]) == 2
        first, hint = capsys.readouterr().err.splitlines()
        assert first == f"kosearch: {tmp_path / 'out'} cannot be written: No space left on device"
        assert "--out" in hint

    def test_what_somebody_else_made_meanwhile_is_not_written_over(
        self, index: Index, asked: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any
    ) -> None:
        made, again = tmp_path / "out", write_model

        def meanwhile(*given: Any, **named: Any) -> None:
            made.mkdir()
            (made / "theirs").touch()
            again(*given, **named)

        monkeypatch.setattr("kosearch.training.write_model", meanwhile)
        assert main(["train", "--from", str(asked), "--out", str(made), "-q"]) == 2
        assert f"{made} is there already" in capsys.readouterr().err
        assert [one.name for one in made.iterdir()] == ["theirs"]
        assert not list(tmp_path.glob(".kosearch-*"))

    def test_as_json(self, index: Index, asked: Path, tmp_path: Path, capsys: Any) -> None:
        assert main(["train", "--from", str(asked), "--out", str(tmp_path / "out"), "--json", "-q"]) == 0
        found = json.loads(capsys.readouterr().out)
        assert found["schema"] == "kosearch.train/1"
        assert found["taken"] is True
        assert found["folder"] == str(tmp_path / "out")
        assert set(found["hybrid"]) == {"before", "after", "low", "high"}

    def test_interrupted_nothing_is_written(
        self, index: Index, asked: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def interrupt(*_: object) -> None:
            raise KeyboardInterrupt

        monkeypatch.setattr("kosearch.training.folder._describe", interrupt)
        before = sorted(tmp_path.iterdir())
        assert main(["train", "--from", str(asked), "--out", str(tmp_path / "out"), "-q"]) == 130
        assert sorted(tmp_path.iterdir()) == before

    def test_vectors_that_are_no_numbers_are_said(
        self, index: Index, asked: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any
    ) -> None:
        monkeypatch.setattr(Opened, "embed_queries", lambda _, texts: np.full((len(texts), WIDTH), np.nan, np.float32))
        assert main(["train", "--from", str(asked), "--out", str(tmp_path / "out"), "-q"]) not in (0, 1, 70)
        said = capsys.readouterr()
        assert said.out == ""
        assert "no number" in said.err
        assert len(said.err.splitlines()) <= 2
        assert not (tmp_path / "out").exists()

    def test_passages_that_nothing_tells_apart_are_refused(
        self, index: Index, asked: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any
    ) -> None:
        """All counterexamples are as near as the answer: there is nothing to learn from."""
        same = np.full(WIDTH, WIDTH**-0.5, np.float32)
        documents = tmp_path / "same"
        documents.mkdir()
        for number in range(SUBJECTS):
            (documents / f"{number}.md").write_text(f"The same is said here.{chr(10) * number}", encoding="utf-8")
        monkeypatch.setattr(Opened, "embed_passages", lambda _, texts, *__: np.tile(same, (len(texts), 1)))
        monkeypatch.setattr(Opened, "embed_queries", lambda _, texts: np.tile(same, (len(texts), 1)))
        kosearch.open("same").index(documents)
        command = ["train", "--from", str(asked), "--out", str(tmp_path / "out"), "--index", "same", "-q"]
        assert main(command) == 1
        said = capsys.readouterr()
        assert "refused: hybrid search" in said.out
        assert said.err == ""
        assert not (tmp_path / "out").exists()

    def test_the_walk_of_the_page(
        self, index: Index, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any
    ) -> None:
        page = (Path(kosearch.__file__).parent / "docs/train.md").read_text(encoding="utf-8")
        commands = re.findall(r"```sh\n(.*?)```", page, re.DOTALL)[0].splitlines()
        assert len(commands) == 6
        monkeypatch.chdir(tmp_path)
        monkeypatch.delenv("KOSEARCH_MODEL")  # the index knows its own
        for line in commands:
            command, _, _ = line.replace("~/documents", str(folder)).partition("   #")
            words, _, target = command.partition(" > ")
            assert main([*shlex.split(words)[1:], "-q"]) == 0, line
            printed = capsys.readouterr().out
            if target:
                rows = [row.split("\t") for row in printed.splitlines()]
                assert len(rows) == SUBJECTS + 1
                written = [[f"about item{Path(row[1]).stem}?", *row[1:]] for row in rows[1:]]  # the person's hour
                (tmp_path / target).write_text(
                    "\n".join("\t".join(row) for row in (rows[0], *written)), encoding="utf-8"
                )


def test_a_table_goes_through_a_spreadsheet(index: Index, folder: Path, tmp_path: Path, capsys: Any) -> None:
    """It reads our quotes as its own, and so do we: else a question in quotes would demand the phrase."""
    (folder / "1.md").write_text(
        '"Words, said", and an "open quote with as many words as it takes.\n', encoding="utf-8"
    )
    index.index(folder)
    assert main(["questions", "--sample", "500", "-q"]) == 0
    rows = list(csv.reader(io.StringIO(capsys.readouterr().out), delimiter="\t"))
    assert {len(row) for row in rows} == {4}
    assert any('said", and an "open quote' in row[3] for row in rows)
    questions = [
        f'Who "said" {number}, and why?' if number % 2 else f"about {number}?" for number in range(len(rows) - 1)
    ]
    saved = tmp_path / "saved.tsv"
    for quoting in (csv.QUOTE_MINIMAL, csv.QUOTE_ALL):
        with saved.open("w", encoding="utf-8-sig", newline="") as stream:
            writer = csv.writer(stream, delimiter="\t", quoting=quoting, lineterminator="\r\n")
            writer.writerow([*rows[0], "notes"])
            writer.writerows([one, *row[1:], "mine"] for one, row in zip(questions, rows[1:], strict=True))
        found = read_questions(saved)
        assert [one.text for one in found] == questions
        assert [one.expected[0][0].path for one in found] == [row[1] for row in rows[1:]]


def test_candidates_have_headings_rare_words_and_sources(index: Index, folder: Path) -> None:
    found = kosearch.candidate_questions(index, 50)
    assert found == kosearch.candidate_questions(index, 50)
    assert len({one.path for one in found}) == 50
    assert all(Path(one.path).parent == folder for one in found)
    assert all(one.question.startswith("Subject number") for one in found)
    assert len({one.path for one in kosearch.candidate_questions(index, 500)}) == SUBJECTS


class TestAModelThatWrites:
    """Candidate questions by a model that the user names, at an endpoint of theirs."""

    COMMAND = ("questions", "--sample", "6", "--writer", "openai:tiny", "--endpoint")

    @pytest.fixture
    def writer(self) -> Iterator[Server]:
        one = Server()
        one.decide = self.answer
        yield one
        one.stop()

    def answer(self, asked: Asked) -> Reply:
        text = asked.body["messages"][-1]["content"]
        said = f"<think>\nhm</think>\nWhat is said\tof {text.split(chr(10))[0]}?\x1b[2J"
        return Reply(body={"choices": [{"message": {"role": "assistant", "content": said}}]})

    def test_it_is_sent_the_passages_and_nothing_else(self, index: Index, writer: Server, capsys: Any) -> None:
        assert main([*self.COMMAND, writer.url]) == 0
        printed = capsys.readouterr()
        rows = [line.split("\t") for line in printed.out.splitlines()]
        passages = {row[3] for row in rows[1:]}
        assert [len(row) for row in rows] == [4] * 7
        assert all(re.fullmatch(r"What is said of .*Subject number\d+x.*\?.*", row[0]) for row in rows[1:])
        assert "\x1b" not in printed.out
        assert len(writer.asked) == 6
        for asked in writer.asked:
            assert asked.path == "/v1/chat/completions"
            assert set(asked.body) == {"model", "messages"}
            assert asked.body["model"] == "tiny"
            told, given = (one["content"] for one in asked.body["messages"])
            assert told == TOLD
            assert any(passage in " ".join(given.split()) for passage in passages)
        assert f"6 passages at most are sent to {writer.url}, for openai:tiny" in printed.err

    def test_what_is_nothing_and_what_is_refused(self, index: Index, writer: Server) -> None:
        nothing = Reply(body={"choices": [{"message": {"content": " - "}}]})
        refused = Reply(status=400, body={"error": {"message": "not that"}})
        writer.decide = lambda asked: nothing if "1" in asked.body["messages"][-1]["content"] else refused
        found = kosearch.candidate_questions(index, 30, writer="openai:tiny", endpoint=writer.url)
        by_words = kosearch.candidate_questions(index, 30)
        assert [one.passage for one in found] == [one.passage for one in by_words]
        expected = ["" if "1" in one.question else one.question for one in by_words]
        assert [one.question for one in found] == expected
        assert len(set(expected)) > 2

    def test_nothing_is_sent_unasked(
        self, index: Index, writer: Server, monkeypatch: pytest.MonkeyPatch, capsys: Any
    ) -> None:
        monkeypatch.setenv("KOSEARCH_ENDPOINT", writer.url)
        assert main(["questions", "--sample", "3", "-q"]) == 0
        assert main(["questions", "--endpoint", writer.url]) == 2
        assert "--endpoint says where --writer answers" in capsys.readouterr().err
        assert writer.asked == []

    @pytest.mark.parametrize(
        ("name", "reply", "said"),
        [
            ("openai:tiny", Reply(body={"data": []}), "it holds no text"),
            ("openai:tiny", Reply(status=404, body={"error": "no such model"}), "404 Not Found: no such model"),
            ("cohere:tiny", Reply(), "no model that writes"),
            ("tiny", Reply(), "no model that writes"),
        ],
    )
    def test_what_goes_wrong_is_one_line(
        self, index: Index, writer: Server, capsys: Any, name: str, reply: Reply, said: str
    ) -> None:
        writer.decide = lambda _: reply
        command = ["questions", "--sample", "2", "--writer", name, "--endpoint", writer.url, "-q"]
        assert main(command) in (2, 3)
        printed = capsys.readouterr()
        assert printed.out == ""
        assert said in printed.err
        assert len(printed.err.splitlines()) <= 2


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("architecture", ["bert", "xlm-roberta", "mpnet"])
def test_sentence_transformers_reads_it_as_kosearch_does(architecture: str, tmp_path: Path) -> None:
    from sentence_transformers import SentenceTransformer

    base = save_model(tmp_path, architecture, prompts={"query": "query: ", "document": "passage: "})
    model = embedding.resolve(str(base), cache_dir=tmp_path / "cache")
    head = rotated(np.random.default_rng(0))
    write_model(tmp_path / "made", model, "card", head=head)
    made = embedding.resolve(str(tmp_path / "made"), cache_dir=tmp_path / "cache")
    assert model.fingerprint in made.bases
    assert made.prompts == model.prompts
    texts = ["한국어 문장입니다", "The quick brown fox", "짧다"]
    ours = embedding.load(made, "cpu", precision="float32").embed_passages(texts)
    assert np.abs(head(embedding.load(model, "cpu", precision="float32").embed_passages(texts)) - ours).max() < 1e-5
    theirs = SentenceTransformer(str(tmp_path / "made"), device="cpu").encode_document(texts)
    assert (ours * theirs).sum(axis=1) == pytest.approx(1, abs=1e-4)
    few = embedding.load_for_few(made)
    if few is not None:
        assert (few.embed_passages(texts) * theirs).sum(axis=1) == pytest.approx(1, abs=1e-4)
