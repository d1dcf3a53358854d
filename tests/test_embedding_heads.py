"""BGE-M3's sparse and multi-vector heads: the paper's arithmetic, the files they come in, and hits scored again."""

from __future__ import annotations

import json
import pickle
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pytest
import torch
from conftest import Program
from embedding_making import TEXTS, save_model

from kosearch.embedding import load_rescorer, resolve
from kosearch.errors import ModelError
from kosearch.scoring import combine_heads

pytestmark = pytest.mark.filterwarnings("ignore")  # those of other people's imports

WIDTH = 32
LENGTH = 160


def add_heads(directory: Path, width: int = WIDTH, vector: int = 24) -> Mapping[str, torch.nn.Linear]:
    """Random heads, saved as upstream has them."""
    torch.manual_seed(3)
    heads = {"sparse_linear": torch.nn.Linear(width, 1), "colbert_linear": torch.nn.Linear(width, vector)}
    for name, head in heads.items():
        torch.save(head.state_dict(), directory / f"{name}.pt")
    return heads


@pytest.fixture(scope="module")
def model_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    from sentence_transformers.models import Normalize

    directory = tmp_path_factory.mktemp("m3")
    return save_model(
        directory, "xlm-roberta", pooling="cls", after=[lambda _: Normalize()], length=LENGTH, positions=LENGTH + 2
    )


def by_the_paper(directory: Path, heads: Mapping[str, torch.nn.Linear], question: str, passage: str) -> list[float]:
    """The three scores in plain loops, from transformers' own hidden states."""
    from transformers import AutoModel, AutoTokenizer

    tokenizer, model = AutoTokenizer.from_pretrained(directory), AutoModel.from_pretrained(directory).eval()
    special = {tokenizer.cls_token_id, tokenizer.eos_token_id, tokenizer.pad_token_id, tokenizer.unk_token_id}
    sides = []
    with torch.no_grad():
        for text in (question, passage):
            inputs = tokenizer(text, return_tensors="pt", truncation=True, max_length=LENGTH)
            hidden = model(**inputs).last_hidden_state[0]
            weights: dict[int, float] = {}
            for token, state in zip(inputs["input_ids"][0].tolist(), hidden, strict=True):
                weight = max(0.0, float(heads["sparse_linear"](state)))
                if token not in special:
                    weights[token] = max(weight, weights.get(token, 0.0))
            vectors = [heads["colbert_linear"](state) for state in hidden[1:]]
            sides.append((hidden[0] / hidden[0].norm(), weights, [one / one.norm() for one in vectors]))
    (dense, weights, vectors), (other_dense, other_weights, other_vectors) = sides
    shared = weights.keys() & other_weights.keys()
    best = [max(float(one @ other) for other in other_vectors) for one in vectors]
    return [
        float(dense @ other_dense),
        sum(weights[token] * other_weights[token] for token in shared),
        sum(best) / len(best),
    ]


def test_the_scores_are_those_of_the_paper(model_dir: Path, cache_dir: Path) -> None:
    heads = add_heads(model_dir)
    rescorer = load_rescorer(resolve(str(model_dir), cache_dir=cache_dir), "cpu")
    for question in (TEXTS[0], TEXTS[2], "짧다 짧다 ☃", ""):
        expected = [by_the_paper(model_dir, heads, question, passage) for passage in TEXTS]
        assert rescorer.scores(question, TEXTS) == pytest.approx(np.array(expected), abs=2e-4)
    assert rescorer.scores("", []).shape == (0, 3)


def test_heads_as_safetensors_give_the_same(model_dir: Path, cache_dir: Path, tmp_path: Path) -> None:
    from safetensors.torch import save_file

    heads = add_heads(model_dir)
    expected = load_rescorer(resolve(str(model_dir), cache_dir=cache_dir), "cpu").scores(TEXTS[0], TEXTS)
    copy = tmp_path / "copy"
    copy.mkdir()
    for file in model_dir.iterdir():
        if file.suffix != ".pt":
            (copy / file.name).symlink_to(file)
    for name, head in heads.items():
        save_file(head.state_dict(), copy / f"{name}.safetensors")
    # Not to the last bit: how MKL sums up depends on where a head's weights lie in memory.
    np.testing.assert_allclose(
        load_rescorer(resolve(str(copy), cache_dir=cache_dir), "cpu").scores(TEXTS[0], TEXTS), expected, rtol=1e-6
    )


def test_the_mean_of_the_heads() -> None:
    scores = np.array([[0.5, 2.0, 0.25], [1.0, 0.0, 1.0]])
    expected = [(1 * 0.5 + 0.3 * 2 + 1 * 0.25) / 2.3, 2 / 2.3]
    assert combine_heads(scores) == pytest.approx(expected)


class _Planted:
    def __reduce__(self) -> tuple[object, ...]:
        return (Path.touch, (Path("planted"),))


@pytest.mark.parametrize(
    "content",
    [
        {"weight": torch.zeros(2, 5), "bias": torch.zeros(2)},
        {"weight": torch.zeros(1, WIDTH)},
        {"weight": "many", "bias": 0},
        [1, 2],
        pickle.dumps(_Planted()),
        b"no pickle",
    ],
    ids=["shape", "half", "types", "list", "code", "bytes"],
)
def test_a_head_that_is_none(
    model_dir: Path, cache_dir: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: object
) -> None:
    add_heads(model_dir)
    monkeypatch.chdir(tmp_path)
    path = model_dir / "colbert_linear.pt"
    path.write_bytes(content) if isinstance(content, bytes) else torch.save(content, path)
    with pytest.raises(ModelError, match=r"colbert_linear.pt is not a head of this model"):
        load_rescorer(resolve(str(model_dir), cache_dir=cache_dir), "cpu")
    assert not Path("planted").exists()


def test_hits_are_scored_again_by_the_program(model_dir: Path, program: Program) -> None:
    """The three best by all heads, fused with BM25; the others behind them."""
    add_heads(model_dir)
    docs = program.home / "docs"
    docs.mkdir()
    # Not the long one: its passages are near copies of each other, of which one is shown.
    for number, text in enumerate(text for text in TEXTS if len(text) < 200):
        (docs / f"{number}.txt").write_text(text, encoding="utf-8")
    result = program.run("index", docs, "--model", model_dir)
    assert result.returncode == 0, result.stderr
    plain, again = (
        json.loads(program.run("query", "날씨 좋은 오늘", "--json", *more).stdout)["hits"]
        for more in ([], ["--rerank", "3"])
    )
    assert {hit["id"] for hit in plain[:3]} == {hit["id"] for hit in again[:3]}
    assert [hit["id"] for hit in plain[3:]] == [hit["id"] for hit in again[3:]]
    assert all(hit["scores"]["multi_vector"] is not None for hit in again[:3])
    assert all(hit["scores"]["multi_vector"] is None for hit in [*again[3:], *plain])
    scores = [hit["score"] for hit in again]
    assert scores == sorted(scores, reverse=True)
    assert 0 <= scores[-1] <= scores[0] <= 1


def test_a_model_without_such_heads(indexed: Program) -> None:
    result = indexed.run("query", "연차 이월", "--rerank", "5")
    assert (result.returncode, result.stdout) == (3, "")
    assert "no sparse and multi-vector heads" in result.stderr
    assert indexed.run("query", "연차", "--rerank", "5", "--mode", "lexical").returncode == 2
