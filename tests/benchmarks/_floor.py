"""What a model must compute at the least, and how fast this machine multiplies matrices: together, the floor."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch


def operations(config: Mapping[str, Any], lengths: Sequence[int]) -> int:
    """Floating-point operations that an encoder of BERT's kind must do for texts of these lengths in tokens.

    With hidden size h, inner size f and L layers, counting a multiplication and its addition as two:

        a token in the products   L · 2 · (3h² for query, key and value + h² for the output + 2hf for the inner layer)
        a text in the attention   L · 2 · (n²h for the scores + n²h for the sum of values), n its tokens

    As in Hoffmann et al. 2022, "Training Compute-Optimal Large Language Models", appendix F, without what is small
    beside it: softmax, GELU, normalisation, word vectors and pooling. They cost time and are part of no floor. For
    one text, torch.utils.flop_counter finds the same number in transformers' own model.
    """
    hidden, inner = int(config["hidden_size"]), int(config["intermediate_size"])
    products = 2 * (4 * hidden**2 + 2 * hidden * inner) * sum(lengths)
    attention = 2 * 2 * hidden * sum(length**2 for length in lengths)
    return int(config["num_hidden_layers"]) * (products + attention)


def peak(dtype: torch.dtype, device: torch.device, cores: int) -> float:
    """Operations a second of a large product of square matrices: the best of several, on all cores.

    On a GPU the best of several times 20 products, after enough of them for its clock to have risen.
    """
    torch.set_num_threads(cores)
    on_gpu = device.type == "cuda"
    side = 8192 if on_gpu else 4096 if dtype == torch.float32 else 6144
    left, right = (torch.randn(side, side, device=device).to(dtype) for _ in range(2))
    times = 20 if on_gpu else 1

    def products() -> None:
        for _ in range(times):
            left @ right

    if on_gpu:
        for _ in range(10):
            products()
    return 2 * side**3 * times / min(_seconds(products, device) for _ in range(6))


def _seconds(run: Callable[[], object], device: torch.device) -> float:
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    begun = time.perf_counter()
    run()
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return time.perf_counter() - begun
