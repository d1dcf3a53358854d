"""A model's last layers, learnt from questions: more than a head can say, for minutes instead of seconds.

What is kept at the end lies half way between the model and what was learnt (Wortsman et al. 2022, "Robust fine-tuning
of zero-shot models"): it forgets less. After each epoch, weights and what AdamW knows are kept among what can be made
anew, by all that decides them, so that the same command goes on where it was killed.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from kosearch.embedding import Model, upper_layers
from kosearch.system import replacing
from kosearch.training.examples import Example
from kosearch.training.folder import kept_between_runs, room, write_model
from kosearch.training.gains import FOLDS, Bench, Floats, Gain, Rows
from kosearch.training.head import NotFinite, Pairs, batches, by_vectors
from kosearch.training.manual import Manual

if TYPE_CHECKING:
    from kosearch.embedding.upper_layers import States

BATCH = 32
EPOCHS = 3
RATE = 2e-4
WARM = 0.1
"""Over so much of the steps the rate rises from 0; then it falls to 0 again."""
SHARE = 0.5
"""How far from the model's own weights towards those learnt."""


class LayerLearner:
    """Learns the last layers from the questions of a bench, fold by fold."""

    folds = FOLDS

    def __init__(
        self,
        model: Model,
        count: int,
        bench: Bench,
        examples: Sequence[Example],
        seed: int,
        place: Path,
        device: str,
        told: Callable[[str, int, int], object],
    ) -> None:
        """`place` is the folder for what is kept between runs. Raises UsageError where it has no room."""
        self._model, self._seed, self._told = model, seed, told
        self.recipe = f"""its last {count} layers learnt by what the others give, {EPOCHS} epochs of batches of {BATCH},
softmax over the other answers of a batch, AdamW with rate {RATE:g}, and {SHARE:g} of the way from the base taken"""
        self._layers = upper_layers(model, count, device)
        self.bench = bench.within(bench.nearby(), examples)
        texts = self.bench.texts()
        said = [model.fingerprint, count, seed, BATCH, EPOCHS, RATE, WARM, SHARE, texts]
        said += [(one.text, sorted(one.answers)) for one in examples]
        self.place = kept_between_runs(place, said)
        with room(self.place):
            self._asked = self._states([one.text for one in examples], model.prompts.query)
            self._given = self._states(texts, model.prompts.passage)

    def fold(self, number: int, learnt: Rows, held: Rows) -> Floats:
        """nDCG@10 of the questions `held` by what is learnt from the others: (len(held), 2)."""
        kept = self.place / f"fold-{number}.npy"
        with suppress(OSError, ValueError):
            found: Floats = np.load(kept, allow_pickle=False)
            return found
        self._fit(self.bench.numbers(learnt), f"fold-{number}")
        found = self.bench.measured(self._layers.vectors(self._given), self._layers.vectors(self._asked, held), held)
        with room(kept), replacing(kept) as stream:
            np.save(stream, found)
        (self.place / f"fold-{number}.safetensors").unlink(missing_ok=True)
        return found

    def whole(self) -> None:
        """Learn from all questions."""
        self._fit(self.bench.numbers(), "whole")

    def manual(self, manual: Manual) -> Gain:
        """What becomes of kosearch's manual."""
        with room(self.place):
            sides = [self._states(texts, prompt) for texts, prompt in zip(manual.texts, self._prompts, strict=True)]
        return manual.gain(*map(self._layers.vectors, sides))

    def write(self, target: Path, card: str) -> None:
        """The model with these layers as a folder."""
        write_model(target, self._model, card, layers=self._layers)

    def forget(self) -> None:
        """Drop what was kept between runs."""
        shutil.rmtree(self.place, ignore_errors=True)

    @property
    def _prompts(self) -> tuple[str, str]:
        return self._model.prompts.query, self._model.prompts.passage

    def _states(self, texts: Sequence[str], prompt: str) -> States:
        return self._layers.states(
            texts, prompt, self.place, lambda done: self._told("texts read by the lower layers", done, len(texts))
        )

    def _fit(self, pairs: Pairs, name: str) -> None:
        """Learn from these pairs, and go half of the way. Raises NotFinite."""
        file = self.place / f"{name}.safetensors"
        self._layers.reset()
        done = self._layers.load(file) if file.exists() else 0
        of_epoch = max(1, len(pairs.questions) // BATCH)
        steps = EPOCHS * of_epoch
        for number, rows in enumerate(batches(len(pairs.questions), BATCH, steps, self._seed)):
            if number < done * of_epoch:
                continue
            self._step(pairs.taken(rows), _rate(number, steps), f"step {number + 1} of {steps}")
            self._told(f"steps of {name}", number + 1, steps)
            if (number + 1) % of_epoch == 0:
                with room(file):
                    self._layers.save(file, (number + 1) // of_epoch)
        self._layers.average(SHARE)

    def _step(self, pairs: Pairs, rate: float, where: str) -> None:
        sides = ((self._asked, pairs.questions), (self._given, pairs.passages))
        asked, given = (self._layers.vectors(states, rows) for states, rows in sides)
        gradients = by_vectors(asked, given, pairs.others())
        if not all(np.isfinite(one).all() for one in gradients):
            raise NotFinite(where)
        self._layers.step([(*side, one) for side, one in zip(sides, gradients, strict=True)], rate)


def _rate(number: int, steps: int) -> float:
    warm = max(1, round(WARM * steps))
    return RATE * min((number + 1) / warm, (steps - number) / max(1, steps - warm))
