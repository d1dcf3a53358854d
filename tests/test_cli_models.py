"""`kosearch models`, as a user runs it: a hub on loopback, its client's own cache, and files carried by hand."""

from __future__ import annotations

import hashlib
import io
import json
import shutil
import signal
import subprocess
import tarfile
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import json_schema
import pytest
from conftest import PROGRAM, Program
from embedding_making import write_model, write_small, write_weights
from hub_making import COMMIT, Hub

from kosearch import embedding
from kosearch.cli import main
from kosearch.embedding import archive, hub, resolve
from kosearch.embedding.models import CATALOG, HEAD_NAMES, known
from kosearch.errors import ModelError

LARGE = 24 * 1024**2


@pytest.fixture(scope="session")
def small(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model that can be loaded."""
    return write_small(tmp_path_factory.mktemp("small"))


@pytest.fixture
def fetching(tmp_path: Path, program: Program, small: Path) -> Iterator[tuple[Program, Hub]]:
    """The program with a hub that has one model, `team/small`."""
    with Hub({"team/small": small}) as server:
        environment = program.environment | server.environment(tmp_path / "cache")
        yield replace(program, environment=environment), server


def models(program: Program) -> dict[str, Any]:
    value = json.loads(program.run("models", "--json").stdout)
    assert not json_schema.problems(value, json_schema.MODELS)
    return {one["name"]: one for one in value["models"]}


def test_the_table_has_every_system_of_the_card(program: Program) -> None:
    rows = models(program)
    scored = [one for one in rows.values() if one["scores"]]
    assert len(scored) == 18
    assert all(list(one["scores"]) == ["Recall@1", "Recall@3", "Recall@5", "Recall@10"] for one in scored)
    assert rows["dragonkue/BGE-m3-ko"]["scores"] == {
        **{"Recall@1": 0.7456, "Recall@3": 0.9035, "Recall@5": 0.9298, "Recall@10": 0.9736}
    }
    assert rows["bundled"]["state"] == "here"
    assert rows["nlpai-lab/KoE5"]["prompts"] == {"query": "query: ", "passage": "passage: "}
    assert {one["state"] for one in scored} == {"absent", "service"}
    text = program.run("models").stdout.splitlines()
    assert [line for line in text[2:] if not line.startswith(" ")] == list(rows)
    assert "  before a query: 'query: '" in text


def test_nothing_known_is_without_its_size() -> None:
    for one in CATALOG:
        assert one.dimensions > 0
        assert known(one.name.upper()) is one


def test_pull_check_use_and_remove(fetching: tuple[Program, Hub], tmp_path: Path) -> None:
    program, server = fetching
    pulled = program.run("models", "pull", "team/small")
    assert (pulled.returncode, pulled.stdout) == (0, "")
    assert pulled.stderr.startswith(f"team/small at {COMMIT}, ")
    asked = len(server.requests)

    row = models(program)["team/small"]
    assert (row["state"], row["revision"]) == ("here", COMMIT)
    assert row["memory"]["cpu"] == 4 * row["parameters"] == 2 * row["memory"]["gpu"] > 0
    assert row["bytes"] == hub.size(tmp_path / "cache/models--team--small")

    checked = json.loads(program.run("models", "check", "team/small", "--json").stdout)
    assert not json_schema.problems(checked, json_schema.MODEL_CHECK)
    assert (checked["first"], checked["passed"], len(checked["texts"])) == (True, True, len(embedding.CHECK_TEXTS))
    assert len(server.requests) == asked  # only `pull` asks the hub

    removed = program.run("models", "rm", "team/small")
    assert removed.returncode == 0
    assert removed.stderr.endswith("are free now\n")
    assert "team/small" not in models(program)
    assert not list((tmp_path / "cache").glob("models--*"))
    assert program.run("models", "rm", "team/small").returncode == 3


def test_a_model_that_gives_other_vectors_fails_its_check(
    tmp_path: Path, cache_dir: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    small = write_small(tmp_path / "model", seed=8)
    monkeypatch.setattr(embedding, "_CHECK_SECONDS", 0.1)
    assert main(["models", "check", str(small)]) == 0
    assert "cosine of each text's vector with its own in float32, kept from now on:" in capsys.readouterr().out
    assert main(["models", "check", str(small)]) == 0
    shown = capsys.readouterr().out
    assert "cosine of each text's vector with the expected one:" in shown
    assert "tokens a second" in shown
    fingerprint = next(line.split()[1] for line in shown.splitlines() if line.startswith("fingerprint"))
    kept = cache_dir / "checks" / f"{fingerprint}.json"
    vectors = embedding._kept_vectors(kept, fingerprint)
    assert vectors is not None
    kept.write_text(embedding.encoded_vectors(fingerprint, vectors[:, ::-1]))
    assert main(["models", "check", str(small)]) == 3
    kept.unlink()
    captured = capsys.readouterr()
    assert "gives other vectors than expected" in captured.err
    assert len(captured.out.splitlines()) == 4 + len(embedding.CHECK_TEXTS)


def test_the_bundled_model_is_what_it_was_when_kosearch_was_made(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(embedding, "_CHECK_SECONDS", 0.1)
    assert main(["models", "check", "bundled", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert not found["first"]
    assert min(one["cosine"] for one in found["texts"]) > 0.9999


def test_a_pull_that_was_killed_goes_on_where_it_stopped(fetching: tuple[Program, Hub], tmp_path: Path) -> None:
    program, server = fetching
    model = write_model(tmp_path / "large")
    write_weights(model / "model.safetensors", {"embeddings.word_embeddings.weight": (5, 8), "x": (LARGE // 4,)})
    server.models = {"team/large": model}
    server.delay = 0.01
    process = subprocess.Popen([PROGRAM, "models", "pull", "team/large"], env=program.environment)
    part = tmp_path / "cache/models--team--large/blobs"
    deadline = time.monotonic() + 60
    while not any(file.stat().st_size for file in part.glob("*part")):
        assert time.monotonic() < deadline
        time.sleep(0.02)
    process.send_signal(signal.SIGKILL)
    process.wait()

    assert models(program)["team/large"]["state"] == "part"
    refused = program.run("index", ".", "--model", "team/large")
    assert refused.returncode == 3
    assert "only in part" in refused.stderr
    assert "kosearch models pull team/large" in refused.stderr
    server.delay = 0
    assert program.run("models", "pull", "team/large").returncode == 0
    first, second = server.sent("model.safetensors")
    assert first.start == 0 < second.start
    assert models(program)["team/large"]["state"] == "here"


def test_a_cut_connection_is_taken_up_again(fetching: tuple[Program, Hub]) -> None:
    program, server = fetching
    server.cut["model.safetensors"] = [1000]
    assert program.run("models", "pull", "team/small").returncode == 0
    assert len(server.sent("model.safetensors")) == 2


def test_a_snapshot_that_lacks_a_small_file_is_no_model(fetching: tuple[Program, Hub], tmp_path: Path) -> None:
    """Without `modules.json` it would load, and be pooled otherwise than its authors meant."""
    program, _ = fetching
    assert program.run("models", "pull", "team/small").returncode == 0
    (tmp_path / f"cache/models--team--small/snapshots/{COMMIT}/modules.json").unlink()
    result = program.run("models", "check", "team/small")
    assert result.returncode == 3
    assert "only in part" in result.stderr
    assert program.run("models", "pull", "team/small").returncode == 0
    assert models(program)["team/small"]["state"] == "here"


def test_weights_that_arrive_changed_are_not_kept(fetching: tuple[Program, Hub]) -> None:
    program, server = fetching
    server.flip.add("model.safetensors")
    result = program.run("models", "pull", "team/small")
    assert result.returncode == 3
    assert "did not arrive as the hub has it" in result.stderr
    server.flip.clear()
    assert program.run("models", "pull", "team/small").returncode == 0


@pytest.mark.parametrize(
    ("name", "variables", "message", "hint"),
    [
        ("team/none", {}, "the hub has no such model, or keeps it private", "check the name"),
        ("team/small", {"HF_ENDPOINT": "http://127.0.0.1:9"}, "could not be fetched", "check the network"),
        ("team/small", {"HF_HUB_OFFLINE": "1"}, "switched off by HF_HUB_OFFLINE", "name a directory"),
        ("../small", {}, "is no name on the hub", "OWNER/MODEL"),
    ],
)
def test_a_pull_that_fails_says_why(
    fetching: tuple[Program, Hub], name: str, variables: dict[str, str], message: str, hint: str
) -> None:
    program, _ = fetching
    result = replace(program, environment={**program.environment, **variables}).run("models", "pull", name)
    assert (result.returncode, result.stdout) == (3, "")
    first, rest = result.stderr.splitlines()
    assert message in first
    assert hint in rest


def test_a_model_with_pickled_weights_is_refused_when_it_is_fetched(
    fetching: tuple[Program, Hub], tmp_path: Path
) -> None:
    program, server = fetching
    model = write_model(tmp_path / "pickled")
    (model / "model.safetensors").rename(model / "pytorch_model.bin")
    server.models = {"team/pickled": model}
    result = program.run("models", "pull", "team/pickled")
    assert result.returncode == 3
    assert "lacks its weights" in result.stderr
    assert not server.sent("pytorch_model.bin")


class TestArchive:
    """Export on one machine, import on another. What is hostile is tried without starting the program each time."""

    @pytest.fixture
    def exported(self, tmp_path: Path, small: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
        """An exported model; then the cache is another, empty one."""
        monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "cache"))
        snapshot = tmp_path / f"cache/models--team--small/snapshots/{COMMIT}"
        shutil.copytree(small, snapshot)
        (snapshot.parents[1] / "refs").mkdir()
        (snapshot.parents[1] / "refs/main").write_text(COMMIT)
        archive.export("team/small", tmp_path / "small.tar", lambda *_: None)
        monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "other"))
        return tmp_path / "small.tar"

    def test_carries_the_model(self, exported: Path, program: Program, tmp_path: Path) -> None:
        offline = {"HF_HUB_CACHE": str(tmp_path / "other"), "HF_ENDPOINT": "http://127.0.0.1:9"}
        program = replace(program, environment={**program.environment, **offline})
        result = program.run("models", "import", exported)
        assert (result.returncode, result.stderr) == (0, f"team/small at {COMMIT}\n")
        row = models(program)["team/small"]
        assert (row["state"], row["revision"]) == ("here", COMMIT)
        assert program.run("models", "import", exported).returncode == 0  # once more changes nothing
        assert [path.name for path in (tmp_path / "other").iterdir()] == ["models--team--small"]
        again = program.run("models", "export", "team/small", tmp_path / "again.tar")
        assert again.returncode == 0, again.stderr
        assert (tmp_path / "again.tar").read_bytes() == exported.read_bytes()
        assert program.run("models", "export", "team/small", exported).returncode == 2  # nothing is overwritten

    def test_pickled_heads_are_carried_as_tensors(
        self, exported: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        import torch

        snapshot = tmp_path / f"cache/models--team--small/snapshots/{COMMIT}"
        for name in HEAD_NAMES:
            torch.save({"weight": torch.ones(1, 8), "bias": torch.zeros(1)}, snapshot / f"{name}.pt")
        monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "cache"))
        archive.export("team/small", tmp_path / "heads.tar", lambda *_: None)
        torch.save({"weight": Path("/")}, snapshot / "sparse_linear.pt")
        with pytest.raises(ModelError, match="holds more than tensors"):
            archive.export("team/small", tmp_path / "evil.tar", lambda *_: None)
        monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "other"))
        archive.load(tmp_path / "heads.tar", lambda *_: None, tmp_path / "ocr")
        model = resolve("team/small", cache_dir=tmp_path)
        assert model.heads is not None
        assert model.heads.sparse.suffix == ".safetensors"
        assert exported.exists()

    def test_any_changed_byte_is_noticed(self, exported: Path, tmp_path: Path) -> None:
        data = exported.read_bytes()
        bad = tmp_path / "bad.tar"
        with tarfile.open(exported) as tar:
            members = tar.getmembers()
        places = [
            place for one in members for place in (one.offset + 1, one.offset_data, one.offset_data + one.size - 1)
        ]
        for place in places:
            bad.write_bytes(data[:place] + bytes([data[place] ^ 4]) + data[place + 1 :])
            _refused(bad, tmp_path)
        for length in (0, 100, len(data) // 2):
            bad.write_bytes(data[:length])
            _refused(bad, tmp_path)

    @pytest.mark.parametrize(
        "name",
        [
            "../../evil.json",
            "/tmp/evil.json",
            "a\\evil.json",
            ".a/evil.json",
            "a/./evil.json",
            "evil.pt",
            "CONFIG.json",
        ],
    )
    @pytest.mark.usefixtures("exported")
    def test_names_that_lead_elsewhere_are_refused(self, tmp_path: Path, name: str) -> None:
        _write_archive(tmp_path / "bad.tar", {"config.json": b"{}", name: b"{}"})
        _refused(tmp_path / "bad.tar", tmp_path)
        assert not Path("/tmp/evil.json").exists()

    @pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.FIFOTYPE, tarfile.DIRTYPE])
    @pytest.mark.usefixtures("exported")
    def test_only_plain_files_are_taken(self, tmp_path: Path, kind: bytes) -> None:
        _write_archive(tmp_path / "bad.tar", {"config.json": b""}, kind=kind)
        _refused(tmp_path / "bad.tar", tmp_path)

    @pytest.mark.parametrize(
        "manifest",
        [{"name": "../../x"}, {"name": "a/.."}, {"revision": "../x"}, {"files": 3}, {"files": []}, {"format": "other"}],
    )
    @pytest.mark.usefixtures("exported")
    def test_a_manifest_that_makes_no_sense(self, tmp_path: Path, manifest: dict[str, Any]) -> None:
        _write_archive(tmp_path / "bad.tar", {"config.json": b"{}"}, manifest)
        _refused(tmp_path / "bad.tar", tmp_path)


def _write_archive(
    path: Path, files: dict[str, bytes], changed: dict[str, Any] | None = None, kind: bytes = tarfile.REGTYPE
) -> None:
    listed = [
        {"path": name, "size": len(data), "sha256": hashlib.sha256(data).hexdigest()} for name, data in files.items()
    ]
    manifest = {
        "format": "kosearch.model-archive/1",
        "name": "team/small",
        "revision": COMMIT,
        "files": listed,
        **(changed or {}),
    }
    with tarfile.open(path, "w") as tar:
        for name, data in {"manifest.json": json.dumps(manifest).encode(), **files}.items():
            member = tarfile.TarInfo(name)
            member.size = len(data)
            if name != "manifest.json":
                member.type, member.linkname = kind, "/etc/passwd"
            tar.addfile(member, io.BytesIO(data))


def _refused(source: Path, tmp_path: Path) -> None:
    with pytest.raises(ModelError) as caught:
        archive.load(source, lambda *_: None, tmp_path / "ocr")
    assert str(source) in caught.value.message
    assert caught.value.hint
    assert not list((tmp_path / "other").iterdir())
    assert not list(tmp_path.glob("**/evil*"))


MISTAKES = [
    (["models", "rm", "bundled"], 2, "part of the installation"),
    (["models", "rm", "team/none"], 3, "is not in the hub's cache"),
    (["models", "export", "bundled", "x.tar"], 2, "comes with every installation"),
    (["models", "export", ".", "x.tar"], 2, "is a folder"),
    (["models", "export", "team/none", "x.tar"], 3, "kosearch models pull team/none"),
    (["models", "import", "no-such-file.tar"], 3, "No such file or directory"),
    (["models", "check", "team/none"], 3, "nothing is downloaded unasked"),
    (["models", "check", "./nowhere"], 3, "there is no such directory"),
    (["models", "frobnicate"], 2, "No such command"),
]


@pytest.mark.parametrize(("arguments", "code", "message"), MISTAKES, ids=[" ".join(one[0]) for one in MISTAKES])
def test_mistakes(
    arguments: list[str], code: int, message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(arguments) == code
    captured = capsys.readouterr()
    assert captured.out == ""
    assert message in captured.err
    assert len(captured.err.splitlines()) <= 2
