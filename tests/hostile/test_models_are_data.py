"""A model is data: no pickle is opened, no code that it brings along runs, and nothing is asked of the network."""

from __future__ import annotations

import json
import os
import pickle
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
from conftest import CORPUS, PROGRAM, Program, Tally
from embedding_making import save_model, write_model, write_small
from hub_making import COMMIT, Hub

from kosearch import embedding
from kosearch.embedding import resolve
from kosearch.errors import ModelError

pytestmark = pytest.mark.filterwarnings("ignore")  # those of other people's imports

PICKLES = ("pytorch_model.bin", "training_args.bin", "model.bin", "1_Pooling/pytorch_model.bin", "optimizer.pt")


class Bait:
    """Opens a file for writing when it is unpickled."""

    def __init__(self, target: Path) -> None:
        self._target = target

    def __reduce__(self) -> tuple[object, ...]:
        return open, (str(self._target), "w")


@pytest.fixture(scope="module")
def mpnet(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model that transformers' own classes load: kosearch has no encoder of its own for it."""
    return save_model(tmp_path_factory.mktemp("model"), "mpnet")


@pytest.fixture
def sprung(tmp_path: Path) -> Path:
    """The file that is there once any bait was taken."""
    return tmp_path / "sprung"


def plant_pickles(directory: Path, sprung: Path) -> None:
    for name in PICKLES:
        (directory / name).parent.mkdir(exist_ok=True)
        (directory / name).write_bytes(pickle.dumps(Bait(sprung)))


def plant_code(directory: Path, sprung: Path, model_type: str) -> None:
    """Code that the configurations name for every part of the model."""
    (directory / "evil.py").write_text(f"open({str(sprung)!r}, 'w').close()\nclass Evil: pass\n")
    names = ("AutoConfig", "AutoModel", "AutoModelForTextEncoding", "AutoTokenizer")
    for name in ("config.json", "tokenizer_config.json"):
        file = directory / name
        config = json.loads(file.read_text()) if file.exists() else {}
        config["auto_map"] = dict.fromkeys(names, "evil.Evil")
        file.write_text(json.dumps(config | ({"model_type": model_type} if name == "config.json" else {})))


def test_the_bait_works(tmp_path: Path, sprung: Path, tally: Tally) -> None:
    tally.tried("models")
    plant_pickles(tmp_path, sprung)
    pickle.loads((tmp_path / PICKLES[0]).read_bytes()).close()
    assert sprung.exists()


def test_weights_that_are_pickles_only_are_refused_unopened(
    tmp_path: Path, cache_dir: Path, sprung: Path, tally: Tally
) -> None:
    tally.tried("models")
    directory = write_model(tmp_path / "model")
    (directory / "model.safetensors").unlink()
    plant_pickles(directory, sprung)
    with pytest.raises(ModelError, match="pickle") as caught:
        embedding.load(resolve(str(directory), cache_dir=cache_dir), "cpu")
    assert "safetensors" in caught.value.hint
    assert not sprung.exists()


def test_pickles_beside_the_weights_are_left_alone(
    mpnet: Path, tmp_path: Path, cache_dir: Path, sprung: Path, tally: Tally
) -> None:
    tally.tried("models")
    directory = shutil.copytree(mpnet, tmp_path / "model")
    plant_pickles(directory, sprung)
    model = resolve(str(directory), cache_dir=cache_dir)
    assert embedding.load(model, "cpu").embed_passages(["서울"]).shape == (1, 32)
    assert not sprung.exists()


@pytest.mark.parametrize("form", ["plain", "archive"])
def test_of_a_pickled_head_only_tensors_are_read(form: str, tmp_path: Path, sprung: Path, tally: Tally) -> None:
    """BGE-M3's heads exist as pickles alone: a restricted reader takes tensors from them, and nothing else."""
    import torch

    from kosearch.embedding.torch_embedder import _linear

    file = tmp_path / "sparse_linear.pt"
    file.write_bytes(pickle.dumps(Bait(sprung)))
    if form == "archive":
        torch.save({"weight": Bait(sprung), "bias": torch.zeros(1)}, file)
    with pytest.raises(ModelError, match="not a head"):
        _linear(file, 8, torch.device("cpu"))
    assert not sprung.exists()
    tally.tried("models")


def test_code_for_a_known_architecture_is_not_run(
    mpnet: Path, tmp_path: Path, cache_dir: Path, sprung: Path, tally: Tally
) -> None:
    tally.tried("models")
    directory = shutil.copytree(mpnet, tmp_path / "model")
    expected = embedding.load(resolve(str(directory), cache_dir=cache_dir), "cpu").embed_passages(["서울"])
    plant_code(directory, sprung, "mpnet")
    vectors = embedding.load(resolve(str(directory), cache_dir=cache_dir), "cpu").embed_passages(["서울"])
    assert (vectors == expected).all()
    assert not sprung.exists()


def test_an_architecture_that_needs_code_is_refused(
    tmp_path: Path, cache_dir: Path, sprung: Path, tally: Tally
) -> None:
    tally.tried("models")
    directory = write_model(tmp_path / "model")
    plant_code(directory, sprung, "evil")
    with pytest.raises(ModelError, match="needs Python code"):
        embedding.load(resolve(str(directory), cache_dir=cache_dir), "cpu")
    assert not sprung.exists()


def test_a_step_that_needs_code_is_refused(tmp_path: Path, cache_dir: Path, sprung: Path, tally: Tally) -> None:
    tally.tried("models")
    directory = write_model(tmp_path / "model")
    (directory / "evil.py").write_text(f"open({str(sprung)!r}, 'w').close()\nclass Evil: pass\n")
    steps = json.loads((directory / "modules.json").read_text())
    (directory / "modules.json").write_text(
        json.dumps([*steps, {"idx": 2, "name": "2", "path": "", "type": "evil.Evil"}])
    )
    with pytest.raises(ModelError):
        embedding.load(resolve(str(directory), cache_dir=cache_dir), "cpu")
    assert not sprung.exists()


def test_the_program_refuses_too_and_makes_no_index(
    program: Program, tmp_path: Path, sprung: Path, tally: Tally
) -> None:
    tally.tried("models")
    directory = write_model(tmp_path / "model")
    (directory / "model.safetensors").unlink()
    plant_pickles(directory, sprung)
    result = program.run("index", CORPUS, "--model", directory)
    assert result.returncode == 3
    assert "pickle" in result.stderr
    assert not sprung.exists()
    assert program.run("status").returncode == 4


def test_a_pull_that_is_cut_leaves_no_half_model_and_the_index_knows_the_commit(
    program: Program, tmp_path: Path, tally: Tally
) -> None:
    """Through `index --pull`, against a hub on loopback whose connection breaks, and breaks again."""
    docs = tmp_path / "docs"
    docs.mkdir()
    (docs / "lamp.txt").write_text("The lighthouse lamp turns all night.\n")
    flags = ("--model", "team/small", "--index", "small")
    with Hub({"team/small": write_small(tmp_path / "model", length=256)}) as server:
        fetching = replace(program, environment=program.environment | server.environment(tmp_path / "cache"))
        for name in ("model.safetensors", "tokenizer.json", "modules.json"):
            shutil.rmtree(tmp_path / "cache", ignore_errors=True)
            server.cut, server.status = {name: [100] * 20}, {name: [503] * 20}
            assert fetching.run("index", docs, *flags, "--pull").returncode == 3
            assert fetching.run("index", docs, *flags).returncode == 3
            assert fetching.run("status", "--index", "small").returncode == 4
        server.cut, server.status = {}, {}
        result = fetching.run("index", docs, *flags, "--pull")
        assert result.returncode == 0, result.stderr
        model = json.loads(fetching.run("status", "--index", "small", "--json").stdout)["model"]
        assert (model["name"], model["revision"]) == ("team/small", COMMIT)
        assert fetching.run("query", "lamp", "--index", "small").returncode == 0
        assert not any("torch" in one.agent or "agent/" in one.agent for one in server.requests)
    tally.tried("models", 3)


WATCHED = """
import os, socket, sys
def report(what):
    with open(os.environ["WATCH"], "a") as file:
        file.write(f"{what}\\n")
def hook(event, arguments):
    if event.startswith(("socket.connect", "socket.send", "socket.get")) and event != "socket.gethostname":
        if not (event == "socket.connect" and arguments[0].family == socket.AF_UNIX):
            report(f"{event} {arguments[1:]}")
sys.addaudithook(hook)
"""
"""An audit hook sees what any Python code asks of sockets; it is told to every process by `sitecustomize`."""


def test_nothing_tries_to_reach_the_network(program: Program, tmp_path: Path, tally: Tally) -> None:
    """Index, question, evaluation, status and the warm process, without the variables that keep libraries offline."""
    tally.tried("models")
    (tmp_path / "watch").mkdir()
    (tmp_path / "watch/sitecustomize.py").write_text(WATCHED)
    (tmp_path / "questions.jsonl").write_text('{"question": "boiler", "expected": "espresso-machine.md"}\n')
    loose = {name: value for name, value in program.environment.items() if not name.startswith("HF_HUB_")}
    modules = os.pathsep.join(filter(None, [str(tmp_path / "watch"), loose.get("PYTHONPATH")]))
    watched = {"PYTHONPATH": modules, "WATCH": str(tmp_path / "seen"), "KOSEARCH_RESIDENT": "off"}
    online = replace(program, environment={**loose, **watched})
    for arguments, code in (
        (("index", CORPUS), 0),
        (("query", "boiler", "-k", "1"), 0),
        (("eval", tmp_path / "questions.jsonl"), 0),
        (("status",), 0),
        (("index", CORPUS, "--index", "other", "--model", "someone/never-fetched"), 3),
    ):
        result = online.run(*arguments)
        assert result.returncode == code, result.stderr
    assert not (tmp_path / "seen").exists(), (tmp_path / "seen").read_text()
    script = "import socket; socket.socket().connect_ex(('127.0.0.1', 9))"
    subprocess.run([sys.executable, "-c", script], env=online.environment, check=True, timeout=60)
    assert "socket.connect" in (tmp_path / "seen").read_text()  # the watch works


@pytest.mark.skipif(shutil.which("unshare") is None, reason="needs Linux's unshare")
def test_it_works_without_any_network(program: Program, tmp_path: Path, tally: Tally) -> None:
    """In a network namespace that holds nothing, not even a loopback that is up, for libraries in C and Rust too."""
    tally.tried("models")
    alone = ["unshare", "--net", "--map-root-user", PROGRAM]
    if subprocess.run(["unshare", "--net", "--map-root-user", "true"], check=False, capture_output=True).returncode:
        pytest.skip("namespaces are not allowed here")
    environment = {name: value for name, value in program.environment.items() if not name.startswith("HF_HUB_")}
    (tmp_path / "docs").mkdir()
    (tmp_path / "docs/lamp.txt").write_text("The lighthouse lamp turns all night.\n")
    for arguments in (["index", tmp_path / "docs"], ["query", "lamp", "-k", "1"], ["status"]):
        result = subprocess.run(
            [*alone, *arguments], env=environment, capture_output=True, text=True, timeout=300, check=False
        )
        assert result.returncode == 0, result.stderr
