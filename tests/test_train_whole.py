"""`kosearch train --recipe seed`: all of a model, learnt as the published one was; the architecture means nothing."""

from __future__ import annotations

import json
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from embedding_making import save_model

import kosearch
from kosearch import embedding
from kosearch.cli import main
from kosearch.embedding import whole_training
from kosearch.training import train
from kosearch.training.gains import folded

pytestmark = pytest.mark.filterwarnings("ignore")  # of the libraries that train
COUNT, BATCH = 70, 16
PROMPTS = {"query": "ask: ", "document": "tell: "}


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_model(tmp_path_factory.mktemp("model"), "xlm-roberta", prompts=PROMPTS)


@pytest.fixture
def asked(tmp_path: Path) -> Path:
    folder = tmp_path / "documents"
    folder.mkdir()
    for number in range(COUNT):
        (folder / f"{number}.md").write_text(f"Clause {number}: what number {number} says.\n", encoding="utf-8")
    file = tmp_path / "questions.jsonl"
    rows = [{"question": f"clause {number} in full", "expected": f"{number}.md"} for number in range(COUNT)]
    file.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return file


@pytest.fixture
def index(base: Path, asked: Path, monkeypatch: pytest.MonkeyPatch) -> kosearch.Index:
    monkeypatch.setenv("KOSEARCH_MODEL", str(base))
    monkeypatch.setenv("KOSEARCH_DEVICE", "cpu")
    monkeypatch.setenv("KOSEARCH_WORKERS", "1")
    monkeypatch.setattr(whole_training, "BATCH", BATCH)
    monkeypatch.setattr("kosearch.training.refusal", lambda *_: "")
    made = kosearch.open()
    made.index(asked.parent / "documents")
    return made


def weights(folder: Path) -> dict[str, np.ndarray]:
    from safetensors.numpy import load_file

    return load_file(folder / "model.safetensors")


def theirs(base: Path, pairs: Sequence[tuple[str, str]], place: Path) -> dict[str, np.ndarray]:
    """What a user's own script with the published recipe gives."""
    from datasets import Dataset
    from sentence_transformers import (
        SentenceTransformer,
        SentenceTransformerTrainer,
        SentenceTransformerTrainingArguments,
    )
    from sentence_transformers.sentence_transformer.losses import CachedMultipleNegativesRankingLoss
    from sentence_transformers.sentence_transformer.training_args import BatchSamplers

    model = SentenceTransformer(str(base), device="cpu")
    arguments = SentenceTransformerTrainingArguments(
        output_dir=str(place),
        num_train_epochs=3,
        per_device_train_batch_size=BATCH,
        learning_rate=3e-5,
        warmup_ratio=0.03333333333333333,
        batch_sampler=BatchSamplers.NO_DUPLICATES,
        prompts={"anchor": PROMPTS["query"], "positive": PROMPTS["document"]},
        use_cpu=True,
        seed=0,
        report_to="none",
        disable_tqdm=True,
        save_strategy="no",
    )
    texts, answers = zip(*pairs, strict=True)
    SentenceTransformerTrainer(
        model,
        arguments,
        train_dataset=Dataset.from_dict({"anchor": texts, "positive": answers}),
        loss=CachedMultipleNegativesRankingLoss(model),
    ).train()
    model.half().save_pretrained(str(place / "made"))
    return weights(place / "made")


def test_it_is_what_a_script_with_the_published_recipe_gives(
    index: kosearch.Index, asked: Path, base: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    steps: list[tuple[int, int]] = []

    def told(what: str, done: int, total: int) -> None:
        if what == "steps":
            steps.append((done, total))

    kept = index.settings.cache_dir / "training"
    others = set(kept.iterdir()) if kept.exists() else set()
    capfd.readouterr()
    found = train(index, asked, tmp_path / "made", recipe="seed", progress=told)
    assert capfd.readouterr() == ("", "")  # the libraries say nothing of themselves
    learnt = np.flatnonzero(folded(np.arange(COUNT), 0) != 0)
    total = 3 * -(-len(learnt) // BATCH)
    assert steps == [(number, total) for number in range(1, total + 1)]
    assert (found.taken, found.recipe, found.layers) == (True, "seed", 0)
    assert found.hybrid is not None

    numbers = learnt.tolist()
    pairs = [(f"clause {one} in full", f"Clause {one}: what number {one} says.") for one in numbers]
    expected, ours = theirs(base, pairs, tmp_path / "theirs"), weights(tmp_path / "made")
    assert expected.keys() == ours.keys()
    for name, one in expected.items():
        assert np.array_equal(one, ours[name]), name
    card = (tmp_path / "made" / "README.md").read_text(encoding="utf-8")
    assert "on 1 of 5 folds" in card
    assert "Clause" not in card
    made = embedding.resolve(str(tmp_path / "made"), cache_dir=tmp_path / "cache")
    assert (made.prompts.query, made.prompts.passage) == (PROMPTS["query"], PROMPTS["document"])
    assert set(kept.iterdir()) == others


def test_what_was_interrupted_goes_on_to_the_same_weights(index: kosearch.Index, asked: Path, tmp_path: Path) -> None:
    train(index, asked, tmp_path / "whole", recipe="seed")
    for after in (5, 9):

        def interrupt(what: str, done: int, _: int, after: int = after) -> None:
            if (what, done) == ("steps", after):
                raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            train(index, asked, tmp_path / "again", recipe="seed", progress=interrupt)
        assert not (tmp_path / "again").exists()
    steps: list[int] = []
    train(
        index,
        asked,
        tmp_path / "again",
        recipe="seed",
        progress=lambda what, done, _: steps.append(done) if what == "steps" else None,
    )
    assert steps[0] > 1
    one, other = weights(tmp_path / "whole"), weights(tmp_path / "again")
    assert all(np.array_equal(one[name], other[name]) for name in one)


def test_a_dry_run_reckons_and_learns_nothing(
    index: kosearch.Index, asked: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    command = ["train", "--from", str(asked), "--out", str(tmp_path / "made"), "--recipe", "seed", "--dry-run"]
    assert main([*command, "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["pairs"], found["steps"], found["batch"]) == (56, 12, BATCH)
    assert found["seconds"] > 0
    assert found["memory"] > 1 << 20
    assert main(command) == 0
    assert "56 pairs to learn from: 12 steps of 16 pairs" in capsys.readouterr().out
    assert not (tmp_path / "made").exists()
    assert main(["train", "--from", str(asked), "--out", str(tmp_path / "made"), "--dry-run"]) == 2
    assert "--recipe seed" in capsys.readouterr().err


def test_what_is_missing_is_named(
    index: kosearch.Index, asked: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Any
) -> None:
    monkeypatch.setattr(whole_training, "find_spec", lambda name: None if name == "accelerate" else find_spec(name))
    command = ["train", "--from", str(asked), "--out", str(tmp_path / "made"), "--recipe", "seed"]
    assert main([*command, "-q"]) == 2
    said = capsys.readouterr().err
    assert "accelerate" in said
    assert "pip install 'kosearch[train]'" in said
    assert main([*command, "--layers", "2", "-q"]) == 2
    assert "leave out --layers or --recipe" in capsys.readouterr().err
