"""A model of the hub's cache, or those of OCR, as one file, for machines without a network.

The file is an uncompressed tar: `manifest.json` first (name, revision, and size and SHA-256 of every other
member), then the files in its order. Nothing of it is used before all of it is what the manifest says. Members
are plain files with plain names of the kinds that a model consists of: no links, no pickles, no code.
"""

from __future__ import annotations

import errno
import hashlib
import io
import json
import os
import re
import tarfile
import tempfile
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path, PurePosixPath
from typing import IO

from kosearch.embedding import hub
from kosearch.embedding.checkpoint import sha256
from kosearch.embedding.models import HEAD_NAMES
from kosearch.errors import ModelError, UsageError
from kosearch.ocr.engine import pulled_files
from kosearch.system import make_private, replacing

FORMAT = "kosearch.model-archive/1"
OCR = "ocr"
"""What `kosearch models` calls the models by which Tesseract reads pictures. No model of the hub has such a name."""
_MANIFEST = "manifest.json"
_KINDS = frozenset({".json", ".safetensors", ".txt", ".model"})
_LARGEST_MANIFEST = 1024**2
_REVISION = re.compile(r"[0-9a-f]{40}")
_CHUNK = 1 << 20
_SCRATCH = ".kosearch-import-"
Progress = Callable[[int, int], None]
"""Is told the bytes that are done, and all there are."""


@dataclass(frozen=True, slots=True)
class _File:
    path: str
    size: int
    sha256: str


def export(name: str, target: Path, progress: Progress) -> int:
    """Write the model into the file `target`, whole or not at all; returns its bytes.

    Raises ModelError where the cache does not have it, UsageError where there is such a file.
    """
    snapshot = hub.cached(name)
    if snapshot is None:
        raise ModelError(f"{name} is not in the hub's cache", f"fetch it: kosearch models pull {name}")
    _check_target(target)
    with tempfile.TemporaryDirectory(prefix="kosearch-export-") as scratch:
        return _write(hub.full_name(name), _sources(snapshot, Path(scratch)), snapshot.name, target, progress)


def export_ocr(folder: Path, target: Path, progress: Progress) -> int:
    """The same with the models that `kosearch models pull ocr` keeps in a folder."""
    sources = {name: folder / name for name in pulled_files()}
    if not all(path.is_file() for path in sources.values()):
        raise ModelError(f"{folder} does not have the models of OCR", f"fetch them: kosearch models pull {OCR}")
    _check_target(target)
    revision = hashlib.sha256("".join(pulled_files().values()).encode()).hexdigest()[:40]
    return _write(OCR, sources, revision, target, progress)


def _check_target(target: Path) -> None:
    if target.exists():
        raise UsageError(f"{target} exists", "name a file that is not there yet")


def _sources(snapshot: Path, scratch: Path) -> dict[str, Path]:
    """What goes into the archive, by its name there. BGE-M3's further heads, pickles upstream, go as safetensors."""
    found = {path.relative_to(snapshot).as_posix(): path for path in snapshot.rglob("*") if path.is_file()}
    for name in HEAD_NAMES:
        if f"{name}.pt" in found and f"{name}.safetensors" not in found:
            found[f"{name}.safetensors"] = converted(found[f"{name}.pt"], scratch / f"{name}.safetensors")
    return {name: path for name, path in sorted(found.items()) if path.suffix in _KINDS}


def converted(pickled: Path, target: Path) -> Path:
    """Write the tensors of a pickle, of which nothing else is read, as safetensors. Raises ModelError."""
    import pickle

    import torch
    from safetensors.torch import save_file

    try:
        tensors = torch.load(pickled, map_location="cpu", weights_only=True)
        save_file({name: tensor.contiguous() for name, tensor in tensors.items()}, target)
    except (OSError, ValueError, TypeError, AttributeError, RuntimeError, pickle.UnpicklingError) as error:
        first = str(error).partition("\n")[0]
        raise ModelError(f"{pickled} holds more than tensors: {first}", "fetch the model again") from error
    return target


def _write(name: str, sources: dict[str, Path], revision: str, target: Path, progress: Progress) -> int:
    files = [_File(path, source.stat().st_size, sha256(source)) for path, source in sources.items()]
    manifest = {
        "format": FORMAT,
        "name": name,
        "revision": revision,
        "files": [asdict(file) for file in files],
    }
    total, done = sum(file.size for file in files), 0
    try:
        with replacing(target) as stream, tarfile.open(fileobj=stream, mode="w", format=tarfile.PAX_FORMAT) as tar:
            data = json.dumps(manifest, indent=1).encode()
            tar.addfile(_member(_MANIFEST, len(data)), io.BytesIO(data))
            for file in files:
                with sources[file.path].open("rb") as source:
                    tar.addfile(_member(file.path, file.size), source)
                done += file.size
                progress(done, total)
    except OSError as error:
        raise ModelError(f"{target} can't be written: {error.strerror}", "make room there, or name another") from error
    return target.stat().st_size


def load(source: Path, progress: Progress, ocr_folder: Path) -> tuple[str, str]:
    """Put the model of an archive into the hub's cache, or those of OCR into their folder; returns name and revision.

    It appears there at once, after everything in the archive was verified. Raises ModelError.
    """
    cache = hub.cache()
    try:
        cache.mkdir(parents=True, exist_ok=True)
        with _open(source) as stream, tempfile.TemporaryDirectory(prefix=_SCRATCH, dir=cache) as scratch:
            made = Path(scratch) / "snapshot"
            name, revision = _unpack(source, stream, made, progress)
            if name == OCR:
                _place_ocr(made, ocr_folder)
            else:
                _place(made, hub.folder_of(name), revision)
            return name, revision
    except (tarfile.TarError, ArithmeticError, ValueError, RecursionError) as error:
        raise _damaged(source, f"it is no tar file ({error})") from error
    except OSError as error:
        raise ModelError(
            f"{source} can't be imported: {error.strerror or error}", f"check the file, and the room in {cache}"
        ) from error


class _Bounded(io.FileIO):
    """A file of which little is read at a time: tarfile takes headers into memory whole, whatever size they claim."""

    def read(self, size: int | None = -1) -> bytes:
        if size is None or not 0 <= size <= _CHUNK:
            raise tarfile.ReadError("a header of absurd size")
        return super().read(size) or b""


def _open(source: Path) -> IO[bytes]:
    """The archive; a pipe would be waited for without end. Raises OSError."""
    if source.exists() and not source.is_file():
        raise OSError(errno.EINVAL, "it is no plain file")
    return _Bounded(source)


def _member(name: str, size: int) -> tarfile.TarInfo:
    member = tarfile.TarInfo(name)
    member.size, member.mode = size, 0o644
    return member


def _unpack(source: Path, stream: IO[bytes], target: Path, progress: Progress) -> tuple[str, str]:
    """Write what the archive holds into `target`, comparing it with the manifest on the way."""
    with tarfile.open(fileobj=stream, mode="r:") as tar:
        name, revision, files = _read_manifest(source, tar)
        total, done = sum(file.size for file in files), 0
        for file in files:
            member = tar.next()
            if member is None or member.name != file.path or member.size != file.size or not _plain(member):
                raise _damaged(source, f"{file.path} is not where the manifest says")
            content = tar.extractfile(member)
            assert content is not None
            path = target / file.path
            path.parent.mkdir(parents=True, exist_ok=True)
            if _copy(content, path) != file.sha256:
                raise _damaged(source, f"{file.path} is not what was exported")
            done += file.size
            progress(done, total)
        if tar.next() is not None:
            raise _damaged(source, "it holds more than its manifest says")
    return name, revision


def _read_manifest(source: Path, tar: tarfile.TarFile) -> tuple[str, str, list[_File]]:
    member = tar.next()
    if member is None or member.name != _MANIFEST or not _plain(member) or member.size > _LARGEST_MANIFEST:
        raise _damaged(source, "it does not begin with a manifest")
    content = tar.extractfile(member)
    assert content is not None
    try:
        manifest = json.loads(content.read())
        if manifest["format"] != FORMAT:
            raise ModelError(
                f"{source} has the format {manifest['format']!r}, and this kosearch knows {FORMAT}",
                "pip install --upgrade kosearch",
            )
        name, revision = str(manifest["name"]), str(manifest["revision"])
        files = [_File(str(one["path"]), int(one["size"]), str(one["sha256"])) for one in manifest["files"]]
    except (ArithmeticError, ValueError, LookupError, TypeError, AttributeError, RecursionError) as error:
        raise _damaged(source, "its manifest can't be read") from error
    if name == OCR:
        if {file.path: file.sha256 for file in files} != pulled_files():
            raise ModelError(
                f"{source} holds other models of OCR than this kosearch knows", "export them with the same version"
            )
        return name, revision, files
    if not hub.is_name(name) or not _REVISION.fullmatch(revision):
        raise _damaged(source, f"it names no model of the hub: {name!r} at {revision!r}")
    for file in files:
        if not _safe(file.path):
            raise _damaged(source, f"it holds a file that no model has: {file.path!r}")
    if len({file.path.lower() for file in files}) != len(files) or "config.json" not in {file.path for file in files}:
        raise _damaged(source, "its manifest is not that of a model")
    return name, revision, files


def _plain(member: tarfile.TarInfo) -> bool:
    return member.type in (tarfile.REGTYPE, tarfile.AREGTYPE) and not member.issparse()


def _safe(path: str) -> bool:
    """Whether a member's path stays inside, means the same everywhere, and is of a kind that models have."""
    parts = PurePosixPath(path).parts
    plain = all(re.fullmatch(r"\w[\w.-]*", part, re.ASCII) for part in parts)
    return plain and "/".join(parts) == path and PurePosixPath(path).suffix in _KINDS


def _copy(content: IO[bytes], target: Path) -> str:
    """Write the content and see it on the disk; returns its SHA-256."""
    digest = hashlib.sha256()
    with target.open("xb") as stream:
        while chunk := content.read(_CHUNK):
            digest.update(chunk)
            stream.write(chunk)
        stream.flush()
        os.fsync(stream.fileno())
    return digest.hexdigest()


def _place(made: Path, folder: Path, revision: str) -> None:
    """Make a verified snapshot the one that the name means."""
    snapshot, reference = folder / "snapshots" / revision, folder / "refs" / "main"
    for place in (snapshot.parent, reference.parent):
        place.mkdir(parents=True, exist_ok=True)
    if snapshot.exists():
        snapshot.rename(made.with_name("replaced"))
    made.rename(snapshot)
    (folder / "trees" / f"{revision}.json").unlink(missing_ok=True)  # it may name files that were left out
    with replacing(reference) as file:
        file.write(revision.encode())


def _place_ocr(made: Path, folder: Path) -> None:
    make_private(folder)
    for name in pulled_files():
        with replacing(folder / name) as file:  # which may be on another disk than the cache
            file.write((made / name).read_bytes())


def _damaged(source: Path, what: str) -> ModelError:
    return ModelError(f"{source} is not a whole model archive: {what}", "export or copy it again")
