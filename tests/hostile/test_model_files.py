"""Files of a model that say something absurd: one error that names the model, never a mistake of ours, never a wait."""

from __future__ import annotations

import json
import os
import struct
import tarfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from conftest import Program
from embedding_making import write_model, write_small
from safetensors.numpy import load_file, save_file
from test_cli_models import models

from kosearch.embedding import archive, load, load_for_few, resolve, token_offsets
from kosearch.errors import ModelError

DEEP = b"[" * 100_000
ABSURD = {
    "nested": DEEP,
    "objects": b'{"a":' * 100_000,
    "empty": b"",
    "no-text": b"\xff\xfe\x00",
    "a-number": b"9" * 5000,
    "null": b"null",
    "a-list": b"[[], 1, null]",
    "infinite": b'{"model_type": "bert", "hidden_size": 1e999, "max_position_embeddings": -5, "vocab_size": "x"}',
    "other-types": b'{"model_type": 5, "model": 7, "added_tokens": 3, "weight_map": 1, "prompts": [1], "auto_map": 4}',
}
FILES = (
    *("config.json", "modules.json", "tokenizer.json", "tokenizer_config.json", "sentence_bert_config.json"),
    *("config_sentence_transformers.json", "1_Pooling/config.json", "model.safetensors.index.json"),
)


def used(directory: Path, cache_dir: Path) -> None:
    """All that is done with a model."""
    model = resolve(str(directory), cache_dir=cache_dir)
    token_offsets(model)("가 a")
    if few := load_for_few(model, "cpu"):
        few.embed_queries(["가 a", ""])
    load(model, "cpu").embed_passages(["가 a", ""])


@pytest.mark.parametrize("content", ABSURD.values(), ids=ABSURD)
@pytest.mark.parametrize("file", FILES)
def test_json_that_says_something_else(file: str, content: bytes, tmp_path: Path) -> None:
    directory = write_small(tmp_path / "model")
    (directory / file).write_bytes(content)
    if file == "model.safetensors.index.json":
        (directory / "model.safetensors").unlink()
    message = ""
    try:
        used(directory, tmp_path / "cache")
    except ModelError as error:
        message = error.message
    assert "\n" not in message
    if message or file in ("config.json", "tokenizer.json", "model.safetensors.index.json"):
        assert str(directory) in message


@pytest.mark.parametrize(
    "header",
    [
        DEEP,
        b'{"embeddings.word_embeddings.weight": {"dtype": "F32", "shape": [1e999], "data_offsets": [0, 8]}}',
        b'{"embeddings.word_embeddings.weight": {"dtype": "F32", "shape": [-1], "data_offsets": [0, 8]}}',
        b'{"embeddings.word_embeddings.weight": {"dtype": "F32", "shape": [], "data_offsets": [0, 4]}}',
        b'{"embeddings.word_embeddings.weight": {"dtype": 1, "shape": [99999999999], "data_offsets": [0, 999999999]}}',
        b'{"embeddings.word_embeddings.weight": []}',
        b"[]",
    ],
    ids=["nested", "infinite", "negative", "a-scalar", "beyond-its-end", "a-list", "no-object"],
)
def test_headers_of_weights(header: bytes, tmp_path: Path) -> None:
    directory = write_small(tmp_path / "model")
    (directory / "model.safetensors").write_bytes(struct.pack("<Q", len(header)) + header + bytes(16))
    with pytest.raises(ModelError, match="model"):
        used(directory, tmp_path / "cache")


def test_a_header_that_claims_to_be_endless(tmp_path: Path) -> None:
    directory = write_small(tmp_path / "model")
    with (directory / "model.safetensors").open("wb") as file:
        file.write(struct.pack("<Q", 40 << 30))
        file.truncate(50 << 30)  # a hole, which takes no room
    with pytest.raises(ModelError, match="header does not fit"):
        used(directory, tmp_path / "cache")


@pytest.mark.parametrize("file", ["config.json", "tokenizer.json", "model.safetensors", "modules.json"])
@pytest.mark.parametrize("kind", ["pipe", "folder"])
def test_what_is_no_plain_file_is_not_waited_for(file: str, kind: str, tmp_path: Path) -> None:
    directory = write_small(tmp_path / "model")
    (directory / file).unlink()
    if kind == "pipe":
        os.mkfifo(directory / file)
    else:
        (directory / file).mkdir()
    with pytest.raises(ModelError):
        used(directory, tmp_path / "cache")


@pytest.mark.parametrize(
    "change",
    [
        {"num_attention_heads": 0},
        {"num_attention_heads": 3},
        {"num_hidden_layers": 10**9},
        {"num_hidden_layers": "many"},
        {"layer_norm_eps": "x"},
        {"hidden_act": ["gelu"]},
        {"hidden_size": 10**12},
        {"max_position_embeddings": [1]},
        {"pad_token_id": "x", "model_type": "roberta"},
    ],
)
def test_a_configuration_of_the_wrong_kind(change: dict[str, object], tmp_path: Path) -> None:
    directory = write_small(tmp_path / "model")
    config = json.loads((directory / "config.json").read_bytes())
    (directory / "config.json").write_text(json.dumps(config | change))
    with pytest.raises(ModelError):
        used(directory, tmp_path / "cache")


def test_weights_of_another_shape(tmp_path: Path) -> None:
    for number, name in enumerate(("encoder.layer.0.output.dense.weight", "embeddings.LayerNorm.bias")):
        directory = write_small(tmp_path / f"model-{number}")
        weights = load_file(directory / "model.safetensors")
        save_file(weights | {name: np.zeros(3, np.float32)}, directory / "model.safetensors")
        with pytest.raises(ModelError, match="don't fit"):
            used(directory, tmp_path / "cache")


def test_another_architecture_with_settings_of_the_wrong_kind(tmp_path: Path) -> None:
    directory = write_small(tmp_path / "model")
    config = json.loads((directory / "config.json").read_bytes())
    change = {"model_type": "mpnet", "num_attention_heads": "x", "id2label": 4}
    (directory / "config.json").write_text(json.dumps(config | change))
    with pytest.raises(ModelError, match="can't be loaded"):
        used(directory, tmp_path / "cache")


def test_the_list_of_models_goes_on_after_one_that_cannot_be_used(program: Program, tmp_path: Path) -> None:
    """One with pickles only, one with a listing and a reference that are no such thing."""
    cache = tmp_path / "hub"
    program = replace(program, environment={**program.environment, "HF_HUB_CACHE": str(cache)})
    for name in ("models--jhgan--ko-sroberta-multitask", "models--team--other", "models--team--broken"):
        snapshot = cache / name / "snapshots" / ("a" * 40)
        write_model(snapshot)
        (cache / name / "refs").mkdir()
        (cache / name / "refs/main").write_text("a" * 40)
    pickled = cache / "models--jhgan--ko-sroberta-multitask" / "snapshots" / ("a" * 40)
    (pickled / "model.safetensors").rename(pickled / "pytorch_model.bin")
    (cache / "models--team--other/trees").mkdir()
    (cache / "models--team--other/trees" / f"{'a' * 40}.json").write_bytes(DEEP)
    (cache / "models--team--broken/refs/main").write_bytes(b"\xff/../..")
    rows = models(program)
    assert rows["jhgan/ko-sroberta-multitask"]["state"] == "unusable"
    assert "pickle" in rows["jhgan/ko-sroberta-multitask"]["note"]
    assert rows["team/other"]["state"] == "here"
    assert "pickle" in program.run("models").stdout
    assert "team/broken" not in rows


def test_torchs_threads_are_those_of_the_program_again(tmp_path: Path) -> None:
    before = torch.get_num_threads()
    torch.set_num_threads(3)
    try:
        embedder = load(resolve(str(write_small(tmp_path / "model")), cache_dir=tmp_path / "cache"), "cpu")
        assert torch.get_num_threads() == 3
        embedder.embed_passages(["가 a"] * 100)
        assert torch.get_num_threads() == 3
    finally:
        torch.set_num_threads(before)


@pytest.mark.parametrize("kind", [tarfile.XHDTYPE, tarfile.XGLTYPE, tarfile.GNUTYPE_LONGNAME])
def test_an_archive_whose_header_claims_30_gigabytes(
    kind: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "hub"))
    header = tarfile.TarInfo("x")
    header.size, header.type = 30 << 30, kind
    with (tmp_path / "model.tar").open("wb") as file:
        file.write(header.tobuf(tarfile.GNU_FORMAT))
        file.truncate(31 << 30)  # a hole, which takes no room
    with pytest.raises(ModelError, match=r"model\.tar"):
        archive.load(tmp_path / "model.tar", lambda *_: None, tmp_path / "ocr")
    assert list((tmp_path / "hub").iterdir()) == []


def test_an_archive_of_headers_in_headers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "hub"))
    header = tarfile.TarInfo("x")
    header.size, header.type = 512, tarfile.XHDTYPE
    record = b"12 path=a.b\n".ljust(512, b"\0")
    (tmp_path / "model.tar").write_bytes((header.tobuf(tarfile.USTAR_FORMAT) + record) * 20_000)
    with pytest.raises(ModelError, match="not a whole model archive"):
        archive.load(tmp_path / "model.tar", lambda *_: None, tmp_path / "ocr")
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(ModelError, match="pipe can't be imported"):
        archive.load(tmp_path / "pipe", lambda *_: None, tmp_path / "ocr")
