"""Which devices there are, and what each of them multiplies matrices in."""

from __future__ import annotations

import torch

from kosearch.errors import ModelError


def choose_devices(names: str) -> list[torch.device]:
    """The devices for `auto`, `cpu`, `cuda`, `cuda:N`, `mps`, or several, with commas between them.

    Raises ModelError where one is not there.
    """
    return [_choose(name) for name in dict.fromkeys(names.split(","))]


def _choose(name: str) -> torch.device:
    kind, _, number = name.partition(":")
    there = {
        "cpu": True,
        "cuda": torch.cuda.is_available() and (number or "0") in map(str, range(torch.cuda.device_count())),
        "mps": torch.backends.mps.is_available(),
    }
    if name == "auto":
        return torch.device("cuda" if there["cuda"] else "mps" if there["mps"] else "cpu")
    if not there.get(kind):
        found = ", ".join(kind for kind, is_there in there.items() if is_there)
        raise ModelError(f"the device {name} is not there; torch finds {found}", "use --device auto")
    return torch.device(name)


def matrix_dtype(device: torch.device, precision: str, *, own_encoder: bool) -> torch.dtype:
    """What matrices are multiplied in.

    On a GPU float16, which BERT's kind stays within, and bfloat16 for what may not (T5, Gemma). On a CPU that
    has it in hardware bfloat16: the vectors of multilingual-e5-small keep a cosine of .99998 on Korean pages.
    """
    if precision == "float32":
        return torch.float32
    if device.type != "cpu":
        return torch.float16 if own_encoder else torch.bfloat16
    in_hardware = getattr(torch.cpu, "_is_avx512_bf16_supported", lambda: False)()
    return torch.bfloat16 if in_hardware else torch.float32
