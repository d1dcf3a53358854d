"""The hub's local cache, and the one place that fetches from the hub.

The cache is the one that all of Hugging Face's libraries share, read by its layout alone, for importing their
client takes .3 s (https://huggingface.co/docs/huggingface_hub/guides/manage-cache):

    models--OWNER--NAME/
      blobs/HASH               the files, large ones by their SHA-256, the others by git's hash
      refs/main                the commit that a name means
      snapshots/COMMIT/…       links to the files of a commit
      trees/COMMIT.json        what a commit consists of, as newer clients note it
"""

from __future__ import annotations

import fnmatch
import hashlib
import importlib.util
import logging
import os
import re
import shutil
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from kosearch.embedding.checkpoint import read_json, sha256
from kosearch.embedding.models import HEAD_NAMES, RemoteCode
from kosearch.errors import ModelError

FILES = ("*.json", "*.safetensors", *(f"{name}.pt" for name in HEAD_NAMES))
"""What is fetched of a model; a star stands for folders too."""
NOT_NEEDED = ("onnx/*", "openvino/*", "*/openvino*", "*/model_*.safetensors")
_LARGE = 16 * 1024**2
"""From this size on a file that was fetched in part is gone on with by the next run."""
_PART = ".kosearch-part"
_SHA256 = re.compile(r"[0-9a-f]{64}")
_NAME = re.compile(r"[\w.-]+/[\w.-]+", re.ASCII)


def full_name(name: str) -> str:
    """A hub name with its owner; names without one are of sentence-transformers, as that library has it."""
    return name if "/" in name else f"sentence-transformers/{name}"


def is_name(name: str) -> bool:
    """Whether the hub could have a model of this name, owner included."""
    return bool(_NAME.fullmatch(name)) and not set(name.split("/")) & {".", ".."}


def cache() -> Path:
    """Where the cache lies, by the variables that the hub's own client reads."""
    home = Path(os.environ.get("HF_HOME") or Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache") / "huggingface")
    return Path(os.environ.get("HF_HUB_CACHE") or home / "hub").expanduser().absolute()


def folder_of(name: str) -> Path:
    """The cache's folder for a model, which need not be there; upper and lower case are the same to the hub."""
    wanted = f"models--{full_name(name).replace('/', '--')}"
    found = (folder for folder in sorted(cache().glob("models--*")) if folder.name.lower() == wanted.lower())
    return next(found, cache() / wanted)


def names() -> list[str]:
    """The models of which something is in the cache."""
    folders = sorted(cache().glob("models--*--*"))
    return [folder.name.removeprefix("models--").replace("--", "/", 1) for folder in folders]


def cached(name: str) -> Path | None:
    """The newest snapshot of a model in the cache; None where there is none, or only a part of one."""
    snapshot = _snapshot(folder_of(name))
    return snapshot if snapshot and not missing(snapshot) else None


def begun(name: str) -> bool:
    """Whether a part of the model is in the cache, left by a download that did not end."""
    snapshot = _snapshot(folder_of(name))
    return (snapshot is not None and bool(missing(snapshot))) or any(folder_of(name).glob(f"blobs/*{_PART}"))


def missing(snapshot: Path) -> list[str]:
    """The files that a snapshot lacks, as far as can be told.

    A download leaves `refs/main` before it has any file, and its small files come in any order: without
    `modules.json`, say, a model would be pooled in another way than its authors meant.
    """
    folder = snapshot.parents[1]
    wanted = ["config.json"]
    with suppress(ModelError, AttributeError, TypeError):  # a listing that can't be read says nothing
        files = (read_json(folder / "trees" / f"{snapshot.name}.json") or {}).get("files")
        wanted = wanted if files is None else [name for name in files if _wanted(name)]
    return [name for name in wanted if not (snapshot / name).is_file()]


def pull(name: str) -> Path:
    """Fetch what is missing of a model, and return its snapshot. Raises ModelError."""
    full = full_name(name)
    if not is_name(full):
        raise ModelError(f"{name} is no name on the hub", "a name is OWNER/MODEL, such as dragonkue/BGE-m3-ko")
    _quiet_client()
    from huggingface_hub import HfApi, snapshot_download

    try:
        hub = HfApi()
        commit = str(hub.model_info(full).sha)
        for file in hub.list_repo_tree(full, recursive=True, revision=commit):
            large = getattr(file, "lfs", None)
            if large is not None and large.size >= _LARGE and _wanted(file.path):
                _fetch_large(full, file.path, commit, large.sha256)
        snapshot = Path(snapshot_download(full, allow_patterns=list(FILES), ignore_patterns=list(NOT_NEEDED)))
    except ModelError:
        raise
    except Exception as error:  # the client raises its own, its transport's and the system's
        raise _not_fetched(name, error) from error
    _verify(name, snapshot)
    return snapshot


def _quiet_client() -> None:
    """Load the hub's client so that it tells nobody about this machine, and draws only on a terminal."""
    os.environ["HF_HUB_DISABLE_TELEMETRY"] = "1"  # else it says what is installed, and who runs it
    from huggingface_hub import constants
    from huggingface_hub.utils import disable_progress_bars

    constants.HF_HUB_DISABLE_TELEMETRY = True  # where a program that uses kosearch has imported it already
    logging.getLogger("huggingface_hub").setLevel(logging.ERROR)
    if not sys.stderr.isatty():
        disable_progress_bars()


def pull_code(name: str) -> Path:
    """Fetch the Python files of a repository, and return its snapshot. Raises ModelError."""
    _quiet_client()
    from huggingface_hub import snapshot_download

    try:
        return Path(snapshot_download(full_name(name), allow_patterns=["*.py"]))
    except Exception as error:  # the client raises its own, its transport's and the system's
        raise _not_fetched(name, error) from error


def remove(name: str) -> int:
    """Remove all that the cache has of a model; returns the bytes that are free now."""
    folder = folder_of(name)
    freed = size(folder)
    shutil.rmtree(folder, ignore_errors=True)
    shutil.rmtree(cache() / ".locks" / folder.name, ignore_errors=True)
    return freed


def size(folder: Path) -> int:
    """The bytes of the files below a folder; a link counts nothing."""
    files = (path for path in folder.rglob("*") if not path.is_symlink() and path.is_file())
    return sum(path.stat().st_size for path in files)


def _snapshot(folder: Path) -> Path | None:
    reference = folder / "refs" / "main"
    if not reference.is_file():
        return None
    with suppress(OSError, ValueError):  # a reference that was written in part, or is not text
        snapshot = folder / "snapshots" / reference.read_text(encoding="utf-8").strip()
        return snapshot if snapshot.parent.name == "snapshots" and snapshot.is_dir() else None
    return None


def _wanted(name: str) -> bool:
    """Whether a file of a model is fetched."""
    return any(fnmatch.fnmatchcase(name, pattern) for pattern in FILES) and not any(
        fnmatch.fnmatchcase(name, pattern) for pattern in NOT_NEEDED
    )


def _fetch_large(name: str, file: str, commit: str, digest: str) -> None:
    """Fetch one large file into the cache's blobs, from where an earlier run was stopped.

    The client itself begins a file anew in every run. What lies there under its name, it takes as it is.
    """
    from huggingface_hub import get_hf_file_metadata, hf_hub_url
    from huggingface_hub.file_download import http_get
    from huggingface_hub.utils import WeakFileLock, build_hf_headers

    folder = folder_of(name)
    blob = folder / "blobs" / digest
    part = blob.with_name(f"{digest}{_PART}")
    lock = cache() / ".locks" / folder.name / f"{digest}.lock"
    blob.parent.mkdir(parents=True, exist_ok=True)
    lock.parent.mkdir(parents=True, exist_ok=True)
    with WeakFileLock(lock):
        if blob.exists():
            return
        url = hf_hub_url(name, file, revision=commit)
        about = get_hf_file_metadata(url)
        with part.open("ab") as stream:
            http_get(
                url=about.location,
                temp_file=stream,
                resume_size=stream.tell(),
                headers=build_hf_headers() if about.location == url else {},  # a token is for the hub alone
                expected_size=about.size,
            )
            stream.flush()
            os.fsync(stream.fileno())
        if sha256(part) != digest:
            part.unlink()
            raise ModelError(f"{file} of {name} did not arrive as the hub has it", f"run again: {_again(name)}")
        part.rename(blob)


def _verify(name: str, snapshot: Path) -> None:
    """See that the weights are what the hub says they are; a file that is not is removed."""
    for path in _links(snapshot):
        blob = path.resolve()
        if _SHA256.fullmatch(blob.name) and sha256(blob) != blob.name:
            blob.unlink()
            path.unlink()
            raise ModelError(f"{path.name} of {name} did not arrive as the hub has it", f"run again: {_again(name)}")


def _links(snapshot: Path) -> Iterator[Path]:
    return (path for path in sorted(snapshot.rglob("*")) if path.is_symlink())


def _again(name: str) -> str:
    return f"kosearch models pull {name}"


def _not_fetched(name: str, error: Exception) -> ModelError:
    """What went wrong, in a line, and the way out of it."""
    from huggingface_hub.errors import GatedRepoError, OfflineModeIsEnabled, RepositoryNotFoundError

    status = getattr(getattr(error, "response", None), "status_code", None)
    causes: list[BaseException] = [error]
    while (cause := causes[-1].__cause__ or causes[-1].__context__) is not None and cause not in causes:
        causes.append(cause)
    what = f"{name} could not be fetched"
    if any(isinstance(cause, OfflineModeIsEnabled) for cause in causes):
        return ModelError(f"{what}: the network is switched off by HF_HUB_OFFLINE", "unset it, or name a directory")
    if isinstance(error, GatedRepoError) or status == 403:
        return ModelError(f"{what}: its authors give it to those who ask", "ask on its page, then run `hf auth login`")
    if isinstance(error, RepositoryNotFoundError) or status in (401, 404):
        return ModelError(
            f"{what}: the hub has no such model, or keeps it private",
            "check the name: kosearch models lists the known ones",
        )
    if isinstance(error, OSError) and error.errno:
        return ModelError(f"{what}: {error.strerror}", f"make room in {cache()}, then run again: {_again(name)}")
    reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
    return ModelError(
        f"{what}: {reason}",
        f"check the network, then go on with it: {_again(name)}; or name a directory with --model",
    )


# Python code that a model brings along: run only when the user asked for it, and then exactly the code that was there.
#
# What `--trust-remote-code` was said about is copied into the cache under its own hash. From then on that copy is run,
# without the flag; code that differs in one byte is other code, and has to be asked for again.


@dataclass(frozen=True, slots=True)
class Consent:
    """What the user said about remote code in this run."""

    trust: bool = False
    pull: bool = False
    """Whether code that lies in another repository of the hub may be fetched."""


def remote_code(directory: Path, config: Mapping[str, Any], cache_dir: Path, consent: Consent) -> RemoteCode | None:
    """The code of a model, where the user has trusted it now or before; None where transformers has the architecture.

    Raises ModelError.
    """
    if "auto_map" not in config or _in_transformers(str(config["model_type"])):
        return None
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
    return RemoteCode(copy, config_class, model_class, origin)


def _source(directory: Path, repository: str, needs: str, consent: Consent) -> Path:
    """The folder with the code: the model's own, or that of a repository in the hub's cache."""
    if not repository:
        return directory
    if consent.trust and consent.pull:
        return pull_code(repository)
    snapshot = _snapshot(folder_of(repository))
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
