"""What was learnt as a model's folder: the base, the head behind it, and a card that says where it comes from.

And the folder for what is done before that, which the same command finds again where it was interrupted.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kosearch.embedding import Endpoint, Head, HeadAlone, Model
from kosearch.errors import ModelError, UsageError
from kosearch.system import make_private

if TYPE_CHECKING:
    from kosearch.embedding.upper_layers import UpperLayers

_MODULE = "sentence_transformers.models."
_LEFT_OUT = ("*.bin", "*.h5", "*.msgpack", "*.ot", "*.onnx", "onnx", "openvino", ".*", "README.md", "*.pt")
"""Weights in other forms than the one that is loaded, and the base's own card."""
_STALE = 7 * 24 * 3600
"""Seconds after which nobody comes back to what was interrupted."""


def check_target(target: Path) -> None:
    """See that nothing is there, and a folder around it. Raises UsageError."""
    if os.path.lexists(target):
        raise UsageError(f"{target} is there already", "name another folder with --out: nothing is written over")
    if not target.parent.is_dir():
        raise UsageError(f"{target.parent} is no folder", "name a folder in one that is there with --out")


@contextmanager
def scratch_beside(target: Path) -> Iterator[Path]:
    """A folder beside the target, gone afterwards; before anything is learnt it shows that one can be made there.

    Raises UsageError for that, and for what the system says meanwhile.
    """
    try:
        with tempfile.TemporaryDirectory(prefix=".kosearch-", dir=target.parent) as scratch:
            yield Path(scratch)
    except OSError as error:
        check_target(target)  # somebody else may have made it meanwhile
        hint = "name a folder where there is room with --out"
        raise UsageError(f"{target} cannot be written: {error.strerror}", hint) from error


@contextmanager
def room(place: Path) -> Iterator[None]:
    """A disk without room as a line for a person."""
    try:
        yield
    except OSError as error:
        hint = "make room there, or name another place with KOSEARCH_CACHE_DIR"
        raise UsageError(f"{place} cannot be written: {error}", hint) from error


def kept_between_runs(place: Path, said: object) -> Path:
    """The folder in `place` that belongs to all of `said`, which decides what is learnt: the same finds the same.

    What nobody came back to is removed from `place`. Raises UsageError where it has no room.
    """
    found = place / hashlib.sha256(repr(said).encode("utf-8", "surrogatepass")).hexdigest()[:32]
    with room(found):
        make_private(found)
        os.utime(found)
        for one in place.iterdir():
            with suppress(OSError):
                if time.time() - max(part.stat().st_mtime for part in (one, *one.rglob("*"))) > _STALE:
                    shutil.rmtree(one, ignore_errors=True)
    return found


def check_base(model: Model, dimensions: int) -> None:
    """See that a head can stand behind the model, which by itself gives so many dimensions. Raises ModelError."""
    if model.code is not None:
        raise ModelError(f"{model.name} runs its authors' code, and its folder alone is no model", "train another one")
    said = _read(model.directory / "config_sentence_transformers.json") or {}
    if model.dimensions != dimensions or said.get("truncate_dim"):
        raise ModelError(
            f"the index keeps {model.dimensions} numbers of the vectors of {model.name}, and a head needs all",
            "make an index without --dimensions: kosearch index --into NAME",
        )


def write_model(
    target: Path, base: Model, card: str, *, head: Head | None = None, layers: UpperLayers | None = None
) -> None:
    """The base with a head behind it or other last layers, in sentence-transformers' form: whole, or not at all.

    Raises UsageError.
    """
    with _made(target, card) as made:
        shutil.copytree(base.directory, made, ignore=shutil.ignore_patterns(*_LEFT_OUT), dirs_exist_ok=True)
        if layers is not None:
            layers.write(made)
        _describe(made, base, head)


def write_head(target: Path, base: Endpoint, card: str, head: Head) -> None:
    """A head alone, for whose base there are no files here: whole, or not at all. Raises UsageError."""
    with _made(target, card) as made:
        HeadAlone(base.name, base.fingerprint, head).save(made)


@contextmanager
def _made(target: Path, card: str) -> Iterator[Path]:
    """A folder to write to, that is at its target afterwards, with the card. Raises UsageError."""
    with scratch_beside(target) as scratch:
        made = scratch / "model"
        made.mkdir()
        yield made
        (made / "README.md").write_text(card, encoding="utf-8")
        for file in made.rglob("*"):
            if file.is_file():
                file.chmod(0o644)
                with file.open("rb+") as written:
                    os.fsync(written.fileno())
        os.rename(made, target)


def _describe(folder: Path, base: Model, head: Head | None) -> None:
    """Write the steps, and what else kosearch knew of the base by its name alone: the new folder has another."""
    modules = _read(folder / "modules.json") or _plain_modules(folder, base)
    kinds = [] if head is None else ["Normalize", "Dense", "Normalize"]
    if kinds and base.normalised and modules[-1]["type"].endswith(".Normalize"):
        del kinds[0]
    for kind in kinds:
        number = len(modules)
        place = folder / f"{number}_{kind}"
        place.mkdir()
        if head is not None and kind == "Dense":
            head.save(place)
        modules.append({"idx": number, "name": str(number), "path": place.name, "type": f"{_MODULE}{kind}"})
    _write(folder / "modules.json", modules)
    said = _read(folder / "config_sentence_transformers.json") or {}
    if base.prompts.query or base.prompts.passage:
        said["prompts"] = {**(said.get("prompts") or {}), "query": base.prompts.query, "document": base.prompts.passage}
    _write(folder / "config_sentence_transformers.json", {"similarity_fn_name": "cosine", **said})


def _plain_modules(folder: Path, base: Model) -> list[dict[str, Any]]:
    """The steps of a folder that does not say its own."""
    place = folder / "1_Pooling"
    place.mkdir()
    _write(place / "config.json", {"word_embedding_dimension": base.dimensions, "pooling_mode": base.pooling[0]})
    _write(folder / "sentence_bert_config.json", {"max_seq_length": base.max_tokens, "do_lower_case": base.lower_case})
    return [
        {"idx": 0, "name": "0", "path": "", "type": f"{_MODULE}Transformer"},
        {"idx": 1, "name": "1", "path": place.name, "type": f"{_MODULE}Pooling"},
    ]


def _read(file: Path) -> Any:
    return json.loads(file.read_text(encoding="utf-8")) if file.is_file() else None


def _write(file: Path, content: object) -> None:
    file.write_text(json.dumps(content, ensure_ascii=False, indent=1), encoding="utf-8")
