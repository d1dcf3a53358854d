"""What a model directory says, and which ones are refused. No torch here."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest
from embedding_making import write_model, write_weights

from kosearch.embedding import Model, Prompts, checkpoint, resolve
from kosearch.errors import ModelError

MODULES = "sentence_transformers.models."


def read(path: Path, cache_dir: Path) -> Model:
    return resolve(str(path), cache_dir=cache_dir)


def modules(*kinds: str) -> list[dict[str, Any]]:
    return [
        {"idx": i, "name": str(i), "path": f"{i}_{kind.rpartition('.')[2]}" if i else "", "type": kind}
        for i, kind in enumerate(kinds)
    ]


def test_a_plain_model(tmp_path: Path, cache_dir: Path) -> None:
    model = read(write_model(tmp_path), cache_dir)
    assert (model.name, model.directory, model.revision) == (str(tmp_path), tmp_path, "")
    assert (model.dimensions, model.max_tokens, model.pooling) == (8, 12, ("mean",))
    assert (model.layers, model.normalised, model.lower_case, model.include_prompt) == ((), False, False, True)
    assert model.prompts == Prompts("", "")
    assert model.why == f"{tmp_path}, a directory"


@pytest.mark.parametrize(
    ("content", "pooling"),
    [
        ({}, ("mean",)),
        ({"pooling_mode_cls_token": True}, ("cls",)),
        ({"pooling_mode_max_tokens": True, "pooling_mode_cls_token": True}, ("cls", "max")),
        ({"pooling_mode_lasttoken": True, "pooling_mode_mean_tokens": False}, ("lasttoken",)),
        ({"pooling_mode": "weightedmean"}, ("weightedmean",)),
        ({"pooling_mode": ["mean", "mean_sqrt_len_tokens"]}, ("mean", "mean_sqrt_len_tokens")),
    ],
)
def test_pooling_old_and_new(content: object, pooling: object, tmp_path: Path, cache_dir: Path) -> None:
    model = read(write_model(tmp_path, {"1_Pooling/config.json": content}), cache_dir)
    assert model.pooling == pooling
    assert model.dimensions == 8 * len(model.pooling)


@pytest.mark.parametrize(
    ("content", "prompts"),
    [
        (None, Prompts()),
        ({"prompts": {"query": "q: ", "document": "d: ", "passage": "p: "}}, Prompts("q: ", "d: ")),
        ({"prompts": {"query": "q: ", "document": "", "passage": "p: "}}, Prompts("q: ", "p: ")),
        ({"prompts": {"query": "q: ", "corpus": "c: "}}, Prompts("q: ", "c: ")),
        ({"prompts": {"s2s": "all: "}, "default_prompt_name": "s2s"}, Prompts("all: ", "all: ")),
        ({"prompts": {"s2s": "all: ", "query": ""}, "default_prompt_name": "s2s"}, Prompts("", "all: ")),
        ({"prompts": {"s2s": "all: "}, "default_prompt_name": None}, Prompts()),
        ({"prompts": {"query": None, "document": None}}, Prompts()),
    ],
)
def test_prompts(content: object, prompts: Prompts, tmp_path: Path, cache_dir: Path) -> None:
    files = {"config_sentence_transformers.json": content}
    assert read(write_model(tmp_path, files), cache_dir).prompts == prompts


def test_prompts_of_the_authors_where_the_files_have_none(tmp_path: Path, cache_dir: Path) -> None:
    bare = write_model(tmp_path / "KoE5")
    assert read(bare, cache_dir).prompts == Prompts("query: ", "passage: ")
    own = {"config_sentence_transformers.json": {"prompts": {"query": "own: "}}}
    assert read(write_model(tmp_path / "koe5", own), cache_dir).prompts == Prompts("own: ", "")


@pytest.mark.parametrize(
    ("files", "tokens"),
    [
        ({"sentence_bert_config.json": {"max_seq_length": 12}}, 12),
        ({"sentence_bert_config.json": {"max_seq_length": 900}}, 16),
        ({"sentence_bert_config.json": {"max_seq_length": None}, "tokenizer_config.json": {"model_max_length": 9}}, 9),
        ({"sentence_bert_config.json": None, "tokenizer_config.json": {"model_max_length": int(1e30)}}, 16),
        ({"sentence_bert_config.json": None}, 16),
        ({"sentence_bert_config.json": None, "sentence_roberta_config.json": {"max_seq_length": 7}}, 7),
    ],
)
def test_length(files: dict[str, object], tokens: int, tmp_path: Path, cache_dir: Path) -> None:
    assert read(write_model(tmp_path, files), cache_dir).max_tokens == tokens


def test_roberta_loses_positions_to_its_padding(tmp_path: Path, cache_dir: Path) -> None:
    config = {"model_type": "xlm-roberta", "hidden_size": 8, "max_position_embeddings": 514, "pad_token_id": 1}
    files = {"config.json": config, "sentence_bert_config.json": {"max_seq_length": 514}}
    assert read(write_model(tmp_path, files), cache_dir).max_tokens == 512


def test_layers(tmp_path: Path, cache_dir: Path) -> None:
    kinds = [MODULES + kind for kind in ("Transformer", "Pooling", "Dense", "Dropout", "Normalize")]
    files = {"modules.json": modules(*kinds), "2_Dense/config.json": {"in_features": 8, "out_features": 3}}
    write_model(tmp_path, files)
    write_weights(tmp_path / "2_Dense/model.safetensors", {"linear.weight": (3, 8), "linear.bias": (3,)})
    model = read(tmp_path, cache_dir)
    assert [layer.kind for layer in model.layers] == ["dense", "normalize"]
    assert (model.dimensions, model.normalised) == (3, True)


def test_truncated_dimensions(tmp_path: Path, cache_dir: Path) -> None:
    files = {"config_sentence_transformers.json": {"truncate_dim": 4}}
    assert read(write_model(tmp_path, files), cache_dir).dimensions == 4


def test_no_modules_json(tmp_path: Path, cache_dir: Path) -> None:
    model = read(write_model(tmp_path, {"modules.json": None}), cache_dir)
    assert (model.pooling, model.layers) == (("mean",), ())
    assert "mean pooling, because it has no modules.json" in model.why


def test_weights_in_several_files(tmp_path: Path, cache_dir: Path) -> None:
    write_model(tmp_path)
    (tmp_path / "model.safetensors").rename(tmp_path / "model-1.safetensors")
    write_weights(tmp_path / "model-2.safetensors", {"pooler.dense.weight": (8, 8)})
    weight_map = {"embeddings.word_embeddings.weight": "model-1.safetensors", "pooler": "model-2.safetensors"}
    (tmp_path / "model.safetensors.index.json").write_text(json.dumps({"weight_map": weight_map}))
    assert read(tmp_path, cache_dir).dimensions == 8
    (tmp_path / "model-2.safetensors").unlink()
    with pytest.raises(ModelError, match=r"lacks its weights: model-2\.safetensors"):
        read(tmp_path, cache_dir)


class TestRefused:
    """Before any document is read, with a way out."""

    def refused(self, path: Path, cache_dir: Path, match: str) -> ModelError:
        with pytest.raises(ModelError, match=match) as caught:
            read(path, cache_dir)
        assert caught.value.hint
        assert str(path) in caught.value.message
        return caught.value

    def test_pickled_weights(self, tmp_path: Path, cache_dir: Path) -> None:
        (write_model(tmp_path) / "model.safetensors").rename(tmp_path / "pytorch_model.bin")
        assert "save_pretrained" in self.refused(tmp_path, cache_dir, "only as pickle").hint

    def test_no_weights(self, tmp_path: Path, cache_dir: Path) -> None:
        (write_model(tmp_path) / "model.safetensors").unlink()
        self.refused(tmp_path, cache_dir, "lacks its weights")

    @pytest.mark.parametrize("content", [b"", b"\xff" * 40, b"\x02\0\0\0\0\0\0\0[]"])
    def test_weights_that_are_none(self, content: bytes, tmp_path: Path, cache_dir: Path) -> None:
        (write_model(tmp_path) / "model.safetensors").write_bytes(content)
        self.refused(tmp_path, cache_dir, "not a safetensors file")

    def test_the_tokenizer_of_another_model(self, tmp_path: Path, cache_dir: Path) -> None:
        tokenizer = {"model": {"vocab": [["a", 0.0]] * 6}, "added_tokens": []}
        write_model(tmp_path, {"tokenizer.json": tokenizer})
        self.refused(tmp_path, cache_dir, "6 tokens, 5 word vectors")

    @pytest.mark.parametrize("tokenizer", [None, "{", "[]", {"model": {}}])
    def test_no_tokenizer(self, tokenizer: object, tmp_path: Path, cache_dir: Path) -> None:
        self.refused(write_model(tmp_path, {"tokenizer.json": tokenizer}), cache_dir, "tokenizer")

    def test_code_of_its_own(self, tmp_path: Path, cache_dir: Path) -> None:
        config = {"model_type": "new", "auto_map": {"AutoModel": "Alibaba-NLP/new-impl--modeling.NewModel"}}
        self.refused(write_model(tmp_path, {"config.json": config}), cache_dir, "needs Python code")

    def test_a_step_of_its_own(self, tmp_path: Path, cache_dir: Path) -> None:
        files = {"modules.json": modules(MODULES + "Transformer", "custom_st.Pooling")}
        self.refused(write_model(tmp_path, files), cache_dir, "needs Python code")

    @pytest.mark.parametrize(
        "kinds", [["Transformer"], ["Transformer", "Normalize"], ["StaticEmbedding"], ["Transformer", "Pooling", "CNN"]]
    )
    def test_unknown_steps(self, kinds: list[str], tmp_path: Path, cache_dir: Path) -> None:
        files = {"modules.json": modules(*(MODULES + kind for kind in kinds))}
        self.refused(write_model(tmp_path, files), cache_dir, "does not (know|begin)")

    def test_an_unknown_pooling(self, tmp_path: Path, cache_dir: Path) -> None:
        files = {"1_Pooling/config.json": {"pooling_mode": "attention"}}
        self.refused(write_model(tmp_path, files), cache_dir, "unknown pooling: attention")

    def test_a_pickled_projection(self, tmp_path: Path, cache_dir: Path) -> None:
        kinds = [MODULES + kind for kind in ("Transformer", "Pooling", "Dense")]
        files = {"modules.json": modules(*kinds), "2_Dense/config.json": {"out_features": 3}}
        (write_model(tmp_path, files) / "2_Dense/pytorch_model.bin").touch()
        self.refused(tmp_path, cache_dir, r"2_Dense has no model\.safetensors")

    def test_an_adapter(self, tmp_path: Path, cache_dir: Path) -> None:
        self.refused(write_model(tmp_path, {"adapter_config.json": {}}), cache_dir, "an adapter")

    @pytest.mark.parametrize("name", ["config.json", "modules.json", "config_sentence_transformers.json"])
    def test_broken_json(self, name: str, tmp_path: Path, cache_dir: Path) -> None:
        self.refused(write_model(tmp_path, {name: "{broken"}), cache_dir, f"{name} can't be read")

    def test_no_model_at_all(self, tmp_path: Path, cache_dir: Path) -> None:
        self.refused(tmp_path, cache_dir, "no config.json")


class TestFingerprint:
    """Equal only for models that give the same vectors."""

    def test_it_does_not_depend_on_the_place(self, tmp_path: Path, cache_dir: Path) -> None:
        one, other = (read(write_model(tmp_path / name), cache_dir) for name in ("a", "b"))
        assert one.fingerprint == other.fingerprint

    @pytest.mark.parametrize(
        "files",
        [
            {"1_Pooling/config.json": {"pooling_mode_cls_token": True}},
            {"1_Pooling/config.json": {"include_prompt": False}},
            {"sentence_bert_config.json": {"max_seq_length": 11}},
            {"sentence_bert_config.json": {"max_seq_length": 12, "do_lower_case": True}},
            {"config_sentence_transformers.json": {"prompts": {"query": "query: "}}},
            {"config_sentence_transformers.json": {"truncate_dim": 4}},
            {"modules.json": modules(*(MODULES + kind for kind in ("Transformer", "Pooling", "Normalize")))},
            {"tokenizer.json": {"model": {"vocab": {"a": 0, "c": 1}}, "added_tokens": []}},
            {
                "config.json": {
                    "model_type": "bert",
                    "hidden_size": 8,
                    "max_position_embeddings": 16,
                    "hidden_act": "relu",
                }
            },
        ],
    )
    def test_it_changes_with_what_is_computed(self, files: dict[str, object], tmp_path: Path, cache_dir: Path) -> None:
        plain, changed = write_model(tmp_path / "plain"), write_model(tmp_path / "changed", files)
        assert read(plain, cache_dir).fingerprint != read(changed, cache_dir).fingerprint

    def test_it_changes_with_the_weights(self, tmp_path: Path, cache_dir: Path) -> None:
        before = read(write_model(tmp_path), cache_dir).fingerprint
        after = read(write_model(tmp_path, filling=b"\1"), cache_dir).fingerprint
        assert before != after

    def test_it_is_the_same_after_a_note_in_the_config(self, tmp_path: Path, cache_dir: Path) -> None:
        before = read(write_model(tmp_path), cache_dir).fingerprint
        config = json.loads((tmp_path / "config.json").read_text())
        (tmp_path / "config.json").write_text(json.dumps({**config, "transformers_version": "9", "dtype": "float16"}))
        assert read(tmp_path, cache_dir).fingerprint == before

    def test_weights_are_read_once_for_each_state(
        self, tmp_path: Path, cache_dir: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        hashed: list[str] = []
        whole = checkpoint.sha256

        def noted(path: Path) -> str:
            hashed.append(path.name)
            return whole(path)

        monkeypatch.setattr(checkpoint, "sha256", noted)
        write_model(tmp_path)
        read(tmp_path, cache_dir)
        assert hashed == ["model.safetensors", "tokenizer.json"]
        read(tmp_path, cache_dir)
        assert len(hashed) == 2
        os.utime(tmp_path / "model.safetensors", ns=(1, 1))
        read(tmp_path, cache_dir)
        assert hashed[2:] == ["model.safetensors"]

    def test_a_cache_that_cannot_be_written_costs_only_time(self, tmp_path: Path, cache_dir: Path) -> None:
        model = write_model(tmp_path / "model")
        (tmp_path / "file").touch()
        assert read(model, tmp_path / "file") == read(model, cache_dir)
