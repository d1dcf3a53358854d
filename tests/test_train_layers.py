"""`kosearch train --layers`: a model's last layers, learnt from questions."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F  # noqa: N812 — torch's own custom
from embedding_making import save_model, write_small

from kosearch import embedding
from kosearch.embedding.upper_layers import States, UpperLayers
from kosearch.errors import ModelError, UsageError
from kosearch.training.folder import write_model
from kosearch.training.head import SCALE, by_vectors

ASKED = (
    "연차를 다음 해로 넘길 수 있나요?",
    "When does the boiler need descaling?",
    "출장비는 언제 받나",
    "CVE 패치 방법",
)
GIVEN = (
    "사용하지 않은 연차는 다음 해 3월 말까지 이월할 수 있다.",
    "When the orange light blinks, the boiler needs descaling.",
    "출장비는 정산서를 낸 날부터 7일 안에 지급한다. " * 8,
    "보안취약점 CVE-2024-1234의 patch를 server에 적용하는 방법",
)


@pytest.fixture(scope="module")
def bundled(cache_dir: Path) -> embedding.Model:
    return embedding.resolve("bundled", cache_dir=cache_dir)


@pytest.fixture(params=["small", "bundled"])
def model(request: pytest.FixtureRequest, tmp_path: Path) -> embedding.Model:
    if request.param == "bundled":
        found: embedding.Model = request.getfixturevalue("bundled")
        return found
    place = write_small(tmp_path / "small", width=16, layers=3)
    return embedding.resolve(str(place), cache_dir=tmp_path / "cache")


def sides(layers: UpperLayers, model: embedding.Model, place: Path) -> tuple[States, States]:
    asked = layers.states(ASKED, model.prompts.query, place, lambda _: None)
    return asked, layers.states(GIVEN, model.prompts.passage, place, lambda _: None)


def learn(layers: UpperLayers, both: tuple[States, States], steps: int) -> Iterator[float]:
    """The loss before each step."""
    rows = np.arange(len(ASKED))
    for _ in range(steps):
        asked, given = (layers.vectors(one, rows) for one in both)
        yield float(F.cross_entropy(torch.from_numpy(SCALE * asked @ given.T), torch.from_numpy(rows)))
        gradients = by_vectors(asked, given, np.zeros((len(rows), len(rows)), bool))
        layers.step([(one, rows, gradient) for one, gradient in zip(both, gradients, strict=True)], 2e-4)


def test_they_begin_as_the_model_and_learn(model: embedding.Model, tmp_path: Path) -> None:
    layers = UpperLayers(model, 2, "cpu")
    both = sides(layers, model, tmp_path)
    embedder = embedding.load(model, "cpu", precision="float32")
    for states, expected in zip(both, (embedder.embed_queries(ASKED), embedder.embed_passages(GIVEN)), strict=True):
        assert (layers.vectors(states) * expected).sum(axis=1).min() > 0.9999
    losses = list(learn(layers, both, 8))
    assert losses[-1] < losses[0]


def test_their_gradient_is_that_of_the_loss(tmp_path: Path) -> None:
    """Taken some texts at a time, it is the one of all at once."""
    model = embedding.resolve(str(write_small(tmp_path / "small", width=16, layers=3)), cache_dir=tmp_path / "cache")
    layers = UpperLayers(model, 2, "cpu")
    both, rows = sides(layers, model, tmp_path), np.arange(len(ASKED))
    asked, given = (layers._forward(one, rows) for one in both)
    loss = F.cross_entropy(SCALE * asked @ given.T, torch.from_numpy(rows))
    expected = torch.autograd.grad(loss, list(layers._weights.values()))
    found: list[torch.Tensor] = []
    layers._move = lambda gradients, _: found.extend(gradients)  # type: ignore[method-assign]
    next(learn(layers, both, 1))
    list(learn(layers, both, 1))
    assert all(torch.allclose(one, other, atol=1e-5) for one, other in zip(found, expected, strict=True))


@pytest.mark.filterwarnings("ignore")
def test_sentence_transformers_reads_them_as_kosearch_does(model: embedding.Model, tmp_path: Path) -> None:
    from sentence_transformers import SentenceTransformer

    layers = UpperLayers(model, 2, "cpu")
    both = sides(layers, model, tmp_path)
    list(learn(layers, both, 3))
    learnt = layers.vectors(both[1])
    layers.average(0.5)
    averaged = layers.vectors(both[1])
    write_model(tmp_path / "made", model, "card", layers=layers)
    made = embedding.resolve(str(tmp_path / "made"), cache_dir=tmp_path / "cache")
    assert made.prompts == model.prompts
    assert made.fingerprint != model.fingerprint
    ours = embedding.load(made, "cpu", precision="float32").embed_passages(GIVEN)
    assert (ours * averaged).sum(axis=1).min() > 0.9999
    assert not np.allclose(learnt, averaged, atol=1e-6)
    few = embedding.load_for_few(made)
    assert few is not None
    assert (few.embed_passages(GIVEN) * ours).sum(axis=1).min() > 0.9999
    if model.name == "bundled":  # the other has no files that transformers asks for
        theirs = SentenceTransformer(str(tmp_path / "made"), device="cpu").encode_document(list(GIVEN))
        assert (ours * theirs).sum(axis=1).min() > 0.9999


def test_what_is_kept_goes_on_to_the_same_weights(tmp_path: Path) -> None:
    model = embedding.resolve(str(write_small(tmp_path / "small", width=16, layers=3)), cache_dir=tmp_path / "cache")
    whole, first, second = (UpperLayers(model, 2, "cpu") for _ in range(3))
    both = sides(whole, model, tmp_path)
    list(learn(whole, both, 6))
    list(learn(first, both, 3))
    first.save(tmp_path / "kept", 3)
    assert second.load(tmp_path / "kept") == 3
    list(learn(second, both, 3))
    assert all(torch.equal(one, second._weights[name]) for name, one in whole._weights.items())


def test_what_cannot_be_learnt_is_said(tmp_path: Path, bundled: embedding.Model) -> None:
    with pytest.raises(UsageError, match="has 12 layers: --layers 12 leaves none below"):
        UpperLayers(bundled, 12, "cpu")
    other = embedding.resolve(str(save_model(tmp_path, "mpnet")), cache_dir=tmp_path / "cache")
    with pytest.raises(ModelError, match="is a mpnet: only layers of BERT's kind"):
        UpperLayers(other, 1, "cpu")
