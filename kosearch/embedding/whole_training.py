"""All of a model's weights, learnt from pairs by sentence-transformers' own trainer (`kosearch[train]`).

The recipe is the published one of dragonkue/bge-m3-ko: CachedMultipleNegativesRankingLoss (Gao et al. 2021), batches of
32,768 in which no text stands twice, three epochs, AdamW with rate 3e-5 that rises over a thirtieth of the steps,
float16 where there is a GPU. It is a GPU's work: `measured_step` says what a step takes on this machine.
"""

from __future__ import annotations

import logging
import math
import resource
import sys
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kosearch.embedding.models import Prompts
from kosearch.errors import UsageError

if TYPE_CHECKING:
    import torch
    from sentence_transformers import SentenceTransformer

BATCH = 32_768
EPOCHS = 3
RATE = 3e-5
WARM = 1 / 30
"""Of the steps, over which the rate rises from 0; then it falls to 0 again."""
AT_ONCE = 32
"""Pairs whose graph is in memory together; the others of a batch are computed twice."""
_ASKED, _GIVEN = "anchor", "positive"

Pairs = Sequence[tuple[str, str]]
"""Questions, and what answers them."""


@dataclass(frozen=True, slots=True)
class Step:
    """What a step takes on this machine."""

    seconds: float
    memory: int
    """Bytes, of a GPU's memory where there is one, else of this process, model and optimiser included."""


def batch_of(pairs: int) -> int:
    """How many pairs a step has, of so many in all."""
    return max(1, min(BATCH, pairs))


def steps_of(pairs: int) -> int:
    """How many steps there are."""
    return EPOCHS * math.ceil(pairs / batch_of(pairs))


def learn_whole(
    folder: Path,
    pairs: Pairs,
    prompts: Prompts,
    out: Path,
    *,
    kept: Path,
    seed: int,
    device: str,
    progress: Callable[[int, int], object],
) -> None:
    """Learn from pairs all that is in a folder in sentence-transformers' form, and save it in another, in float16.

    After each epoch it is kept in the folder `kept`, from where the same call goes on. `progress` is told how many
    steps of how many are done. Raises UsageError where the extra is missing.
    """
    with _quietly():
        model = _loaded(folder, device)
        arguments = _arguments(kept, prompts, model.device, batch_of(len(pairs)), seed, keep=True)
        _trainer(model, pairs, arguments, progress).train(resume_from_checkpoint=_last(kept))
        model.half().save_pretrained(str(out), create_model_card=False)


def measured_step(folder: Path, pairs: Pairs, prompts: Prompts, scratch: Path, *, device: str) -> Step:
    """What a step with all its pairs takes, reckoned from one with few; nothing is left in the folder `scratch`.

    Raises UsageError as `learn_whole` does.
    """
    few = list(pairs[:AT_ONCE])
    begun: list[float] = []
    with _quietly():
        model = _loaded(folder, device)
        arguments = _arguments(scratch, prompts, model.device, len(few), 0, keep=False)
        _trainer(model, few, arguments, lambda *_: begun.append(time.perf_counter())).train()
        memory = _peak(model.device)
    return Step((begun[-1] - begun[0]) / (len(begun) - 1) * batch_of(len(pairs)) / len(few), memory)


def _loaded(folder: Path, device: str) -> SentenceTransformer:
    for name in ("accelerate", "datasets", "sentence_transformers"):
        if find_spec(name) is None:
            raise UsageError(f"--recipe seed needs {name}, which is not installed", "pip install 'kosearch[train]'")
    from sentence_transformers import SentenceTransformer

    return SentenceTransformer(
        str(folder),
        device=None if device == "auto" else device,
        local_files_only=True,
        model_kwargs={"dtype": "float32"},
    )


def _arguments(place: Path, prompts: Prompts, device: torch.device, batch: int, seed: int, *, keep: bool) -> Any:
    """What the trainer is told; `keep`: in `place`, after each epoch."""
    from sentence_transformers import SentenceTransformerTrainingArguments
    from sentence_transformers.sentence_transformer.training_args import BatchSamplers

    on_gpu = device.type == "cuda"
    return SentenceTransformerTrainingArguments(
        output_dir=str(place),
        num_train_epochs=EPOCHS,
        per_device_train_batch_size=batch,
        learning_rate=RATE,
        warmup_steps=WARM,
        fp16=on_gpu,
        use_cpu=device.type == "cpu",
        batch_sampler=BatchSamplers.NO_DUPLICATES,
        prompts={_ASKED: prompts.query, _GIVEN: prompts.passage},
        save_strategy="epoch" if keep else "no",
        save_total_limit=1,
        seed=seed,
        report_to="none",
        logging_strategy="no",
        disable_tqdm=True,
        dataloader_pin_memory=on_gpu,
    )


def _trainer(model: SentenceTransformer, pairs: Pairs, arguments: Any, progress: Callable[[int, int], object]) -> Any:
    from datasets import Dataset
    from sentence_transformers import SentenceTransformerTrainer
    from sentence_transformers.sentence_transformer.losses import CachedMultipleNegativesRankingLoss
    from transformers import PrinterCallback, TrainerCallback

    class Trainer(SentenceTransformerTrainer):
        def add_model_card_callback(self, default_args_dict: object) -> None:
            """The card is kosearch's: theirs shows the texts."""

    class Told(TrainerCallback):
        def on_step_end(self, args: object, state: Any, control: object, **_: object) -> None:
            progress(state.global_step, state.max_steps)

    asked, given = zip(*pairs, strict=True)
    trainer = Trainer(
        model,
        arguments,
        train_dataset=Dataset.from_dict({_ASKED: asked, _GIVEN: given}),
        loss=CachedMultipleNegativesRankingLoss(model, mini_batch_size=AT_ONCE),
        callbacks=[Told()],
    )
    trainer.remove_callback(PrinterCallback)  # standard output is data
    return trainer


def _last(kept: Path) -> str | None:
    """What was kept last."""
    found = sorted(kept.glob("checkpoint-*/trainer_state.json"), key=lambda one: int(one.parent.name.split("-")[1]))
    return str(found[-1].parent) if found else None


def _peak(device: torch.device) -> int:
    if device.type == "cuda":
        import torch

        return int(torch.cuda.max_memory_allocated(device))
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return most if sys.platform == "darwin" else most * 1024


@contextmanager
def _quietly() -> Iterator[None]:
    """Without what the libraries say of themselves."""
    from transformers.utils import logging as transformers_logging

    before = logging.root.manager.disable
    transformers_logging.disable_progress_bar()  # type: ignore[no-untyped-call]
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(before)
