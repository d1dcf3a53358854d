"""Python code that a model brings along: run only when the user asked for it, and then exactly the code that was there.

What `--trust-remote-code` was said about is copied into the cache under its own hash. From then on that copy is run,
without the flag; code that differs in one byte is other code, and has to be asked for again.
"""

from __future__ import annotations

import hashlib
import importlib.util
import shutil
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kosearch.embedding import hub
from kosearch.errors import ModelError


@dataclass(frozen=True, slots=True)
class Code:
    """Code that may be run: where the copy lies, the classes in it, and where it came from."""

    folder: Path
    config: str
    """`module.Class`, as `auto_map` names it."""
    model: str
    origin: str
    """The hub's repository and commit, or the hash."""


@dataclass(frozen=True, slots=True)
class Consent:
    """What the user said about foreign code in this run."""

    trust: bool = False
    pull: bool = False
    """Whether code that lies in another repository of the hub may be fetched."""


def is_needed(config: Mapping[str, Any]) -> bool:
    """Whether a model with this `config.json` is of an architecture that transformers does not have."""
    return "auto_map" in config and not _in_transformers(str(config["model_type"]))


def code(directory: Path, config: Mapping[str, Any], cache_dir: Path, consent: Consent) -> Code:
    """The code of a model, where the user has trusted it now or before. Raises ModelError."""
    classes = [str(config["auto_map"].get(kind, "")) for kind in ("AutoConfig", "AutoModel")]
    repositories = {name.rpartition("--")[0] for name in classes}
    needs = f"{directory} is of the architecture {config['model_type']!r}, which needs Python code from its authors"
    if not all(classes) or len(repositories) > 1:
        raise ModelError(f"{needs}, and names none for embedding", "choose another model")
    repository = repositories.pop()
    source = _source(directory, repository, needs, consent)
    files = {path.name: path.read_bytes() for path in sorted(source.glob("*.py"))}
    digest = _digest(files)
    copy = cache_dir / "code" / digest
    if not _is_copy(copy, digest):
        if not consent.trust:
            raise ModelError(
                f"{needs}: {', '.join(files) or 'which is not there'} in {source}",
                "it could do whatever you can. To run it, once you have read it, add --trust-remote-code to "
                "`kosearch index`: exactly this code is then remembered",
            )
        _keep(files, copy)
    config_class, model_class = (name.rpartition("--")[2] for name in classes)
    origin = f"{repository}@{source.name}" if repository else f"sha256:{digest}"
    return Code(copy, config_class, model_class, origin)


def _source(directory: Path, repository: str, needs: str, consent: Consent) -> Path:
    """The folder with the code: the model's own, or that of a repository in the hub's cache."""
    if not repository:
        return directory
    if consent.trust and consent.pull:
        return hub.pull_code(repository)
    snapshot = hub.snapshot(repository)
    if snapshot is None or not any(snapshot.glob("*.py")):
        raise ModelError(
            f"{needs}; it lies in {repository}, which is not on this machine",
            "--trust-remote-code --pull, with `kosearch index`, fetches it and lets it run",
        )
    return snapshot


def _keep(files: Mapping[str, bytes], copy: Path) -> None:
    """Write the copy beside its place and rename it: it is whole, or not there."""
    copy.parent.mkdir(parents=True, exist_ok=True)
    shutil.rmtree(copy, ignore_errors=True)
    with tempfile.TemporaryDirectory(dir=copy.parent) as scratch:
        made = Path(scratch) / copy.name
        made.mkdir()
        for name, content in files.items():
            (made / name).write_bytes(content)
        made.rename(copy)


def _is_copy(copy: Path, digest: str) -> bool:
    return copy.is_dir() and _digest({path.name: path.read_bytes() for path in sorted(copy.glob("*.py"))}) == digest


def _digest(files: Mapping[str, bytes]) -> str:
    whole = hashlib.sha256()
    for name, content in files.items():
        whole.update(f"{name}\0{len(content)}\0".encode() + content)
    return whole.hexdigest()


def _in_transformers(kind: str) -> bool:
    """Whether the installed transformers has this architecture, found out without importing it."""
    spec = importlib.util.find_spec("transformers")
    return any(
        (Path(folder) / "models" / kind.replace("-", "_")).is_dir()
        for folder in (spec.submodule_search_locations or () if spec else ())
    )
