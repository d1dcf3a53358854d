"""Every architecture that transformers knows, one padded batch at a time."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from kosearch.errors import ModelError


class PaddedEncoder:
    """Token ids of several texts, end to end, to their hidden states, (tokens, hidden)."""

    def __init__(self, directory: Path, device: torch.device, dtype: torch.dtype) -> None:
        """Raises ModelError for an architecture or weights that transformers can't load."""
        from transformers import AutoModel

        try:
            self._model = AutoModel.from_pretrained(
                directory, dtype=dtype, local_files_only=True, trust_remote_code=False, use_safetensors=True
            )
        except (OSError, ValueError, RuntimeError, ImportError) as error:
            raise ModelError(f"{directory} can't be loaded: {error}", "choose another model") from error
        self._model.eval().to(device)

    def tune(self, dtype: torch.dtype) -> None:
        """Nothing to do: transformers' own modules are used as they are."""

    def __call__(self, ids: Tensor, lengths: Sequence[int]) -> Tensor:
        padded = pad_sequence(list(torch.split(ids, list(lengths))), batch_first=True)
        mask = pad_sequence(list(torch.split(torch.ones_like(ids), list(lengths))), batch_first=True)
        hidden: Tensor = self._model(input_ids=padded, attention_mask=mask).last_hidden_state
        return hidden[mask.bool()]
