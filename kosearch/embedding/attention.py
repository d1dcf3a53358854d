"""Attention within each text of a packed step: the same result three ways, each for its kind of device.

An `Attention` takes the queries, keys and values of all tokens, each (tokens, hidden), the `Packing` that says
which text each token belongs to, and the number of heads; it returns (tokens, hidden). None of them ever holds all
scores of a text: torch's kernels take them block by block (Dao et al. 2022, "FlashAttention"), so that memory
grows with the tokens, not with their square.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cached_property, partial
from itertools import groupby
from typing import Any

import torch
import torch.nn.functional as F  # noqa: N812 — torch's own custom
from torch import Tensor

QKV = Sequence[Tensor]
Attention = Callable[[QKV, "Packing", int], Tensor]
Kernel = Callable[..., Any]
"""`torch.nn.attention.varlen.varlen_attn`, or what agrees with it."""


class Packing:
    """Where the texts of a step lie: end to end, or as rows of equal length. Computed on the CPU, copied once."""

    def __init__(self, lengths: Sequence[int], device: torch.device) -> None:
        self.lengths = list(lengths)
        self.longest = max(lengths)
        self._device = device
        self._sizes = torch.tensor(self.lengths)
        self._places = torch.arange(self.longest)
        self._inside = self._places < self._sizes[:, None]

    @cached_property
    def positions(self) -> Tensor:
        """(tokens): each token's place in its text."""
        return to_device(self._places.expand_as(self._inside)[self._inside], self._device)

    @cached_property
    def bounds(self) -> Tensor:
        """int32, (texts + 1): where each text begins, and where the last one ends."""
        return to_device(F.pad(self._sizes.cumsum(0), (1, 0)).int(), self._device)

    @cached_property
    def padded(self) -> Tensor:
        """(texts, longest): which token stands there."""
        ends = self._sizes.cumsum(0)
        places = (ends - self._sizes)[:, None] + self._places
        return to_device(places.clamp(max=int(ends[-1]) - 1), self._device)

    @cached_property
    def real(self) -> Tensor:
        """(tokens): which of the padded places, counted row by row, hold tokens."""
        return to_device(self._inside.flatten().nonzero().flatten(), self._device)

    @cached_property
    def mask(self) -> Tensor | None:
        """(texts, 1, 1, longest): what can be attended to; None where that is all."""
        if self._inside.all():
            return None
        return to_device(self._inside[:, None, None, :], self._device)


def to_device(tensor: Tensor, device: torch.device) -> Tensor:
    """A copy there, which nobody waits for: from pinned memory it goes on beside what the GPU computes."""
    if device.type == "cuda":
        return tensor.pin_memory().to(device, non_blocking=True)
    return tensor.to(device)


def choose(device: torch.device, dtype: torch.dtype, head_width: int) -> Attention:
    """The fastest for a device: without padding, where this torch and the GPU have a kernel for that."""
    if device.type == "cpu":
        return text_by_text
    if device.type == "cuda" and (kernel := _flash(device, dtype, head_width)):
        return partial(packed, kernel=kernel)
    return padded


def text_by_text(qkv: QKV, packing: Packing, heads: int) -> Tensor:
    """On a CPU there is nothing to gain from batches, but for equal lengths, which are together anyway."""
    parts = []
    first = 0
    for length, group in groupby(packing.lengths):
        texts = len(list(group))
        last = first + texts * length
        q, k, v = (one[first:last].view(texts, length, heads, -1).transpose(1, 2) for one in qkv)
        parts.append(F.scaled_dot_product_attention(q, k, v).transpose(1, 2).reshape(last - first, -1))
        first = last
    return parts[0] if len(parts) == 1 else torch.cat(parts)


def padded(qkv: QKV, packing: Packing, heads: int) -> Tensor:
    """All texts at once, padded for the attention alone: texts of a step are of similar length."""
    texts, longest = packing.padded.shape
    q, k, v = (one[packing.padded].view(texts, longest, heads, -1).transpose(1, 2) for one in qkv)
    out = F.scaled_dot_product_attention(q, k, v, attn_mask=packing.mask)
    return out.transpose(1, 2).flatten(2).flatten(0, 1)[packing.real]


def packed(qkv: QKV, packing: Packing, heads: int, *, kernel: Kernel) -> Tensor:
    """All texts at once, without padding."""
    q, k, v = (one.view(len(one), heads, -1) for one in qkv)
    out: Tensor = kernel(q, k, v, packing.bounds, packing.bounds, packing.longest, packing.longest)
    return out.flatten(1)


def _flash(device: torch.device, dtype: torch.dtype, head_width: int) -> Kernel | None:
    """torch's kernel for texts of different lengths, if it is there and works on this device.

    From torch 2.10 on (https://docs.pytorch.org/docs/stable/nn.attention.varlen.html), for float16 and bfloat16, on
    NVIDIA's GPUs from Ampere on. Which widths of a head it takes has changed: one token through it tells.
    """
    try:
        from torch.nn.attention.varlen import varlen_attn
    except ImportError:
        return None
    one = torch.zeros(1, 3, head_width, dtype=dtype, device=device)
    bounds = torch.tensor([0, 1], dtype=torch.int32, device=device)
    try:
        with torch.inference_mode():
            varlen_attn(one, one, one, bounds, bounds, 1, 1)
    except (RuntimeError, ValueError):  # NotImplementedError is a RuntimeError
        return None
    return varlen_attn
