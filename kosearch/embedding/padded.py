"""Every architecture that transformers knows, one padded batch at a time."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from kosearch.embedding.attention import Packing, to_device
from kosearch.embedding.foreign import Code
from kosearch.errors import ModelError


class PaddedEncoder:
    """Token ids of several texts, end to end, to their hidden states, (tokens, hidden)."""

    gains_by_sorting = True

    def __init__(self, directory: Path, device: torch.device, dtype: torch.dtype, code: Code | None = None) -> None:
        """Raises ModelError for what transformers can't load, KeyError for a tensor that is missing.

        `code` is the authors' own, and is run.
        """
        from transformers.utils import logging

        quiet: Any = logging  # its functions have no types
        quiet.set_verbosity_error()
        quiet.disable_progress_bar()
        try:
            config, kind = _classes(directory) if code is None else _foreign_classes(directory, code)
            self._model, found = kind.from_pretrained(
                directory,
                config=config,
                dtype=dtype,
                local_files_only=True,
                use_safetensors=True,
                output_loading_info=True,
            )
        except (OSError, ValueError, RuntimeError, ImportError) as error:
            raise ModelError(f"{directory} can't be loaded: {error}", "choose another model") from error
        except Exception as error:
            if code is None:
                raise
            raise ModelError(
                f"the code of {directory} does not work here: {type(error).__name__}: {error}", "choose another model"
            ) from error
        missing = sorted(name for name in found["missing_keys"] if "pooler." not in name)
        if missing:
            raise KeyError(missing[0])
        self._model.eval().to(device)

    def tune(self, dtype: torch.dtype) -> None:
        """Nothing to do: transformers' own modules are used as they are."""

    def __call__(self, ids: Tensor, lengths: Sequence[int]) -> Tensor:
        device: torch.device = self._model.device
        packing = Packing(lengths, device)
        padded = pad_sequence(list(torch.split(ids, list(lengths))), batch_first=True)
        mask = torch.arange(packing.longest) < torch.tensor(lengths)[:, None]
        hidden: Tensor = self._model(
            input_ids=to_device(padded, device), attention_mask=to_device(mask.long(), device)
        ).last_hidden_state
        return hidden.flatten(0, 1)[packing.real]


def _classes(directory: Path) -> tuple[Any, Any]:
    """The configuration, and transformers' class for it."""
    from transformers import AutoConfig, AutoModel, AutoModelForTextEncoding

    config = AutoConfig.from_pretrained(directory, local_files_only=True, trust_remote_code=False)
    # T5 and its kin are loaded without their decoders.
    kind = AutoModelForTextEncoding if type(config) in AutoModelForTextEncoding._model_mapping else AutoModel
    return config, kind


def _foreign_classes(directory: Path, code: Code) -> tuple[Any, Any]:
    """The configuration and the class for it out of the authors' code, which is run by this."""
    from transformers.dynamic_module_utils import get_class_from_dynamic_module

    config: Any
    config, kind = (
        get_class_from_dynamic_module(name, str(code.folder), local_files_only=True)
        for name in (code.config, code.model)
    )
    return config.from_pretrained(directory, local_files_only=True), kind
