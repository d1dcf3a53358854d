"""A model whose architecture is its authors' own, as gte-multilingual-base: their code runs on request alone."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import Program
from embedding_making import TEXTS
from hub_making import Hub
from test_embedding_systems import assert_same, xlm_roberta_tokenizer

from kosearch.embedding import Model, load, resolve
from kosearch.errors import ModelError

pytestmark = pytest.mark.filterwarnings("ignore")  # those of other people's imports

COMMIT = "fedcba9876543210fedcba9876543210fedcba98"

CONFIGURATION = """
from transformers import PretrainedConfig


class NewConfig(PretrainedConfig):
    model_type = "new"

    def __init__(self, vocab_size=300, hidden_size=32, num_attention_heads=2, max_position_embeddings=8192, **more):
        self.vocab_size = vocab_size
        self.hidden_size = hidden_size
        self.num_attention_heads = num_attention_heads
        self.max_position_embeddings = max_position_embeddings
        super().__init__(**more)
"""

MODELING = '''
import os
import pathlib

import torch
from transformers import PreTrainedModel
from transformers.modeling_outputs import BaseModelOutput

from .configuration import NewConfig

if os.environ.get("MARK"):
    pathlib.Path(os.environ["MARK"]).touch()


class NewModel(PreTrainedModel):
    """A gated layer behind one round of attention; no position but what the mask says."""

    config_class = NewConfig

    def __init__(self, config):
        super().__init__(config)
        width = config.hidden_size
        self.words = torch.nn.Embedding(config.vocab_size, width)
        self.attention = torch.nn.MultiheadAttention(width, config.num_attention_heads, batch_first=True)
        self.gate = torch.nn.Linear(width, 2 * width)
        self.norm = torch.nn.LayerNorm(width)
        self.post_init()

    def _init_weights(self, module):
        pass

    def forward(self, input_ids, attention_mask=None, **_):
        x = self.words(input_ids)
        x = x + self.attention(x, x, x, key_padding_mask=attention_mask == 0, need_weights=False)[0]
        up, gate = self.gate(x).chunk(2, dim=-1)
        return BaseModelOutput(last_hidden_state=self.norm(x + up * torch.nn.functional.gelu(gate)))
'''


def write_model(folder: Path, repository: str = "") -> Path:
    """The directory, with its code inside, or in a repository that `auto_map` names."""
    import torch
    from safetensors.torch import save_file

    torch.manual_seed(3)
    tokenizer, tokenizer_config = xlm_roberta_tokenizer()
    words, width = tokenizer.get_vocab_size(), 32
    shapes = {
        "words.weight": (words, width),
        "attention.in_proj_weight": (3 * width, width),
        "attention.in_proj_bias": (3 * width,),
        "attention.out_proj.weight": (width, width),
        "attention.out_proj.bias": (width,),
        "gate.weight": (2 * width, width),
        "gate.bias": (2 * width,),
        "norm.weight": (width,),
        "norm.bias": (width,),
    }
    folder.mkdir(parents=True)
    weights = {name: torch.randn(shape) * 0.3 for name, shape in shapes.items()}
    save_file(weights, folder / "model.safetensors", {"format": "pt"})
    tokenizer.save(str(folder / "tokenizer.json"))
    prefix = f"{repository}--" if repository else ""
    steps = ("Transformer", "Pooling", "Normalize")
    files: dict[str, Any] = {
        "config.json": {
            "architectures": ["NewModel"],
            "auto_map": {"AutoConfig": f"{prefix}configuration.NewConfig", "AutoModel": f"{prefix}modeling.NewModel"},
            "model_type": "new",
            "vocab_size": words,
            "hidden_size": width,
            "num_attention_heads": 2,
            "max_position_embeddings": 8192,
        },
        "tokenizer_config.json": tokenizer_config,
        "modules.json": [
            {
                "idx": i,
                "name": str(i),
                "path": f"{i}_{step}" if i else "",
                "type": f"sentence_transformers.models.{step}",
            }
            for i, step in enumerate(steps)
        ],
        "1_Pooling/config.json": {"word_embedding_dimension": width, "pooling_mode_cls_token": True},
        "sentence_bert_config.json": {"max_seq_length": 512, "do_lower_case": False},
    }
    for name, content in files.items():
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text(json.dumps(content), encoding="utf-8")
    if not repository:
        write_code(folder)
    return folder


def write_code(folder: Path) -> None:
    (folder / "configuration.py").write_text(CONFIGURATION, encoding="utf-8")
    # The same code would be the same module, which a process runs once.
    (folder / "modeling.py").write_text(f"{MODELING}\n# {folder}\n", encoding="utf-8")


@pytest.fixture
def mark(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A file that is there once the code has run."""
    monkeypatch.setenv("MARK", str(tmp_path / "mark"))
    return tmp_path / "mark"


@pytest.fixture
def model(tmp_path: Path) -> Path:
    pytest.importorskip("sentence_transformers")
    return write_model(tmp_path / "gte-small")


@pytest.fixture
def cache(tmp_path: Path) -> Path:
    """A cache of its own, in which nothing is trusted."""
    return tmp_path / "cache"


def trusted(model: Path, cache: Path) -> Model:
    return resolve(str(model), cache_dir=cache, trust_remote_code=True)


def test_without_the_flag_nothing_runs(model: Path, cache: Path, mark: Path) -> None:
    with pytest.raises(
        ModelError, match=r"'new', which needs Python code .*: configuration\.py, modeling\.py in"
    ) as caught:
        resolve(str(model), cache_dir=cache)
    assert "--trust-remote-code" in caught.value.hint
    assert not mark.exists()
    assert not list(model.rglob("*.pyc"))


def test_vectors_are_those_of_sentence_transformers(model: Path, cache: Path, mark: Path) -> None:
    from sentence_transformers import SentenceTransformer

    embedder = load(trusted(model, cache), "cpu", precision="float32")
    assert mark.exists()
    theirs = SentenceTransformer(str(model), device="cpu", trust_remote_code=True)
    vectors = embedder.embed_passages(TEXTS)
    assert_same(vectors, theirs.encode(TEXTS, normalize_embeddings=True))
    assert_same(np.concatenate([embedder.embed_passages([text]) for text in TEXTS]), vectors)


def test_the_flag_is_remembered_for_this_code_alone(model: Path, cache: Path, mark: Path) -> None:
    first = trusted(model, cache)
    assert not mark.exists(), "resolving runs nothing"
    again = resolve(str(model), cache_dir=cache)
    assert again == first
    assert again.revision.startswith("code sha256:")
    assert "runs its authors' code" in again.why
    with (model / "modeling.py").open("a") as file:
        file.write("# one line more\n")
    with pytest.raises(ModelError, match="needs Python code"):
        resolve(str(model), cache_dir=cache)
    assert trusted(model, cache).fingerprint != first.fingerprint


def test_what_runs_is_the_copy(model: Path, cache: Path, mark: Path) -> None:
    found = trusted(model, cache)
    (model / "modeling.py").write_text("raise SystemExit('changed meanwhile')")
    load(found, "cpu")
    assert mark.exists()


def test_a_copy_that_was_changed_is_not_trusted(model: Path, cache: Path) -> None:
    found = trusted(model, cache)
    assert found.code is not None
    (found.code.folder / "more.py").write_text("")
    with pytest.raises(ModelError, match="needs Python code"):
        resolve(str(model), cache_dir=cache)


def test_code_that_does_not_work(model: Path, cache: Path) -> None:
    (model / "modeling.py").write_text("import no_such_module_anywhere\n\nclass NewModel: ...\n")
    with pytest.raises(ModelError, match="no_such_module_anywhere"):
        load(trusted(model, cache), "cpu")
    (model / "modeling.py").write_text("1 / 0\n")
    with pytest.raises(ModelError, match="does not work here: ZeroDivisionError"):
        load(trusted(model, cache), "cpu")


def test_code_that_is_for_something_else(model: Path, cache: Path) -> None:
    config = json.loads((model / "config.json").read_text())
    for auto_map in (
        {},
        {"AutoModelForMaskedLM": "modeling.NewForMaskedLM"},
        {"AutoConfig": "a--b.C", "AutoModel": "b.C"},
    ):
        (model / "config.json").write_text(json.dumps({**config, "auto_map": auto_map}))
        with pytest.raises(ModelError, match="names none for embedding"):
            trusted(model, cache)


class TestCodeInAnotherRepository:
    """As gte-multilingual-base has it: `Alibaba-NLP/new-impl--modeling.NewModel`."""

    @pytest.fixture
    def other(self, tmp_path: Path) -> Path:
        pytest.importorskip("sentence_transformers")
        return write_model(tmp_path / "gte", "Alibaba-NLP/new-impl")

    @pytest.fixture
    def hub(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
        monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "hub-cache"))
        return tmp_path / "hub-cache"

    def test_it_is_not_here(self, other: Path, cache: Path, hub: Path) -> None:
        with pytest.raises(ModelError, match="lies in Alibaba-NLP/new-impl, which is not on this machine") as caught:
            resolve(str(other), cache_dir=cache)
        assert "--trust-remote-code --pull" in caught.value.hint
        with pytest.raises(ModelError, match="Alibaba-NLP/new-impl could not be fetched"):
            resolve(str(other), cache_dir=cache, trust_remote_code=True, pull=True)

    def test_its_commit_is_part_of_the_revision(self, other: Path, cache: Path, hub: Path, mark: Path) -> None:
        folder = hub / "models--Alibaba-NLP--new-impl"
        (folder / "refs").mkdir(parents=True)
        (folder / "refs" / "main").write_text(COMMIT)
        (folder / "snapshots" / COMMIT).mkdir(parents=True)
        write_code(folder / "snapshots" / COMMIT)
        with pytest.raises(ModelError, match="needs Python code"):
            resolve(str(other), cache_dir=cache)
        found = trusted(other, cache)
        assert found.revision == f"code Alibaba-NLP/new-impl@{COMMIT}"
        assert not mark.exists()
        assert load(found, "cpu").embed_passages(TEXTS).shape == (len(TEXTS), 32)
        assert mark.exists()

    def test_fetching_it_tells_nothing_and_draws_nothing(
        self, other: Path, program: Program, tmp_path: Path, mark: Path
    ) -> None:
        code = tmp_path / "code"
        code.mkdir()
        write_code(code)
        (code / "config.json").write_text("{}")
        (tmp_path / "a.txt").write_text("연차 휴가는 이월할 수 있다.\n", encoding="utf-8")
        with Hub({"Alibaba-NLP/new-impl": code}) as server:
            cache = str(tmp_path / "cache")
            own = {**server.environment(tmp_path / "hub-cache"), "KOSEARCH_CACHE_DIR": cache, "MARK": str(mark)}
            fetching = replace(program, environment={**program.environment, **own})
            flags = ("--model", other, "--trust-remote-code", "--pull")
            result = fetching.run("index", tmp_path / "a.txt", *flags)
            assert result.returncode == 0, result.stderr
            assert any(one.path.endswith(".py") for one in server.requests)
            assert not any("torch" in one.agent or "agent/" in one.agent for one in server.requests)
        assert not any(sign in result.stderr for sign in ("%|", "Fetching", "Downloading")), result.stderr


def test_through_the_installed_program(program: Program, tmp_path: Path) -> None:
    pytest.importorskip("sentence_transformers")
    model = write_model(tmp_path / "models" / "gte-small")
    docs = tmp_path / "docs"
    docs.mkdir()
    (docs / "휴가.txt").write_text("연차 휴가는 이월할 수 있다.\n", encoding="utf-8")
    mark = tmp_path / "mark"
    own = {**program.environment, "KOSEARCH_CACHE_DIR": str(tmp_path / "cache"), "MARK": str(mark)}
    program = replace(program, environment=own)
    refused = program.run("index", "--model", model, docs)
    assert refused.returncode == 3
    assert "needs Python code from its authors" in refused.stderr
    assert "--trust-remote-code" in refused.stderr
    assert not mark.exists()
    allowed = program.run("index", "--model", model, "--trust-remote-code", docs)
    assert allowed.returncode == 0, allowed.stderr
    assert mark.exists()
    assert program.run("query", "휴가", "--mode", "dense").returncode == 0, "once was enough"
    assert json.loads(program.run("status", "--json").stdout)["model"]["revision"].startswith("code sha256:")
    shutil.rmtree(tmp_path / "cache")
    assert program.run("query", "휴가", "--mode", "dense").returncode == 3, "and is forgotten with the cache"
