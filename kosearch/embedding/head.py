"""A linear head: what turns a model's vectors into others without looking at a text again.

In a model's folder it is sentence-transformers' `Dense` without activation between two `Normalize` steps, the last
three of all. Whoever has the vectors of the model below it has its own by one product, so an index by the one becomes
an index by the other without embedding anything.

Behind an endpoint there is no folder of the model below: then a folder holds the `Dense` step alone, and says whose
vectors it is for; an index by it keeps the head itself.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kosearch.embedding.models import Layer
from kosearch.errors import ModelError

if TYPE_CHECKING:
    from kosearch.records import Vectors

IDENTITY = "torch.nn.modules.linear.Identity"
"""The activation of a step that has none."""
_BASE = "endpoint.json"
"""What says whose vectors a head alone is for."""
_DENSE = "Dense"
"""The folder of that head."""


@dataclass(frozen=True, slots=True)
class Head:
    """x → x·Wᵀ + b, brought to unit length: `weight` (d, d) and `bias` (d,), float32."""

    weight: Vectors
    bias: Vectors

    def __call__(self, vectors: Vectors) -> Vectors:
        """Unit vectors (n, d) or (d,) → the same of the head, float32."""
        import numpy as np

        made = vectors @ self.weight.T + self.bias
        made /= np.maximum(np.linalg.norm(made, axis=-1, keepdims=True), 1e-12)
        return made

    def packed(self) -> bytes:
        """What stands in an index: float16 of what the head adds, (d, d + 1), to leaving vectors as they are."""
        import numpy as np

        change = np.column_stack([self.weight - np.eye(len(self.bias)), self.bias])
        return change.astype("<f2").tobytes()

    @classmethod
    def unpacked(cls, packed: bytes, width: int) -> Head:
        """The head of so many numbers that was packed. Raises ValueError where it is none."""
        import numpy as np

        change = np.frombuffer(packed, "<f2").reshape(width, width + 1).astype(np.float32)
        if not np.isfinite(change).all():
            raise ValueError("it holds numbers that are none")
        return cls(change[:, :width] + np.eye(width, dtype=np.float32), np.ascontiguousarray(change[:, width]))

    def save(self, folder: Path) -> None:
        """Write it as sentence-transformers' `Dense` into a folder that is there and empty."""
        config = {
            "in_features": len(self.bias),
            "out_features": len(self.bias),
            "bias": True,
            "activation_function": IDENTITY,
        }
        (folder / "config.json").write_text(json.dumps(config), encoding="utf-8")
        tensors = {"linear.weight": self.weight, "linear.bias": self.bias}
        begin = weights_header((name, "F32", array.shape, array.nbytes) for name, array in tensors.items())
        parts = (array.astype("<f4").tobytes() for array in tensors.values())
        (folder / "model.safetensors").write_bytes(b"".join((begin, *parts)))


def weights_header(shapes: Iterable[tuple[str, str, Iterable[int], int]]) -> bytes:
    """What a file of tensors with these names, kinds, shapes and numbers of bytes, in this order, begins with.

    The format is safetensors (https://github.com/huggingface/safetensors).
    """
    entries: dict[str, Any] = {"__metadata__": {"format": "pt"}}
    end = 0
    for name, kind, shape, size in shapes:
        entries[name] = {"dtype": kind, "shape": list(shape), "data_offsets": [end, end + size]}
        end += size
    text = json.dumps(entries).encode()
    text += b" " * (-len(text) % 64)
    return struct.pack("<Q", len(text)) + text


def has_head(layers: Sequence[Layer], config: Any) -> bool:
    """Whether the last steps of a model are a head; `config` is that of the last but one."""
    if [layer.kind for layer in layers[-3:]] != ["normalize", "dense", "normalize"]:
        return False
    said = config if isinstance(config, dict) else {}
    width = said.get("in_features")
    plain = said.get("activation_function") == IDENTITY and not said.get("use_residual")
    return plain and width is not None and said.get("out_features") == width


def load_head(layers: Sequence[Layer]) -> Head:
    """The head that the last steps of a model are. Raises ModelError for a file that is none."""
    return _loaded(layers[-2].directory)


@dataclass(frozen=True, slots=True)
class HeadAlone:
    """A head behind an endpoint."""

    base: str
    """The name of the endpoint's model…"""
    fingerprint: str
    """…and the fingerprint of the endpoint, by an index of which it was learnt."""
    head: Head

    def save(self, folder: Path) -> None:
        """Write it into a folder that is there."""
        (folder / _DENSE).mkdir()
        self.head.save(folder / _DENSE)
        said = {"model": self.base, "fingerprint": self.fingerprint}
        (folder / _BASE).write_text(json.dumps(said, ensure_ascii=False, indent=1), encoding="utf-8")


def load_head_alone(name: str) -> HeadAlone | None:
    """The head behind an endpoint in the folder of that name; None where it is something else.

    Raises ModelError for a file that is none.
    """
    folder = Path(name).expanduser()
    try:
        said = json.loads((folder / _BASE).read_text(encoding="utf-8"))
        return HeadAlone(str(said["model"]), str(said["fingerprint"]), _loaded(folder / _DENSE))
    except (FileNotFoundError, NotADirectoryError):
        return None
    except (OSError, ValueError, LookupError, TypeError) as error:
        raise ModelError(f"{folder / _BASE} can't be read: {error}", "copy the folder again") from error


def _loaded(folder: Path) -> Head:
    import numpy as np
    from safetensors import SafetensorError
    from safetensors.numpy import load_file

    try:
        tensors = load_file(folder / "model.safetensors")
        weight = tensors["linear.weight"].astype(np.float32)
        bias = tensors["linear.bias"].astype(np.float32) if "linear.bias" in tensors else np.zeros(len(weight))
        head = Head(weight, bias.astype(np.float32))
    except (OSError, SafetensorError, KeyError, TypeError) as error:
        raise ModelError(f"{folder} can't be read: {error}", "copy the model again") from error
    if head.weight.ndim != 2 or head.weight.shape != (len(head.bias), len(head.bias)):
        raise ModelError(f"the weights in {folder} do not fit each other", "copy the model again")
    return head
