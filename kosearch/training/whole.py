"""All of a model, learnt from questions as dragonkue/bge-m3-ko was of BGE-M3: hours on a GPU, days without.

One fold of five is kept out and measured; what has learnt from the other four is the result.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from kosearch.embedding import Model, load, resolve, whole_training
from kosearch.embedding.whole_training import AT_ONCE, BATCH, EPOCHS, RATE, WARM, batch_of, steps_of
from kosearch.training.examples import Example
from kosearch.training.folder import kept_between_runs, room, write_model
from kosearch.training.gains import FOLDS, Bench, Floats, Gain, Rows
from kosearch.training.manual import Manual

if TYPE_CHECKING:
    from kosearch.embedding import Embedder


@dataclass(frozen=True, slots=True)
class Reckoning:
    """What learning all of a model takes on this machine."""

    pairs: int
    steps: int
    batch: int
    """Pairs of a step."""
    seconds: float
    """For all steps, reckoned from one that was measured."""
    memory: int
    """Bytes that the measured one took: of a GPU where there is one, else of the process."""


class WholeLearner:
    """Learns all layers from the questions of a bench, but for those of one fold."""

    folds = 1
    recipe = f"""all of it learnt, {EPOCHS} epochs of batches of {BATCH} in which no text stands twice, by
CachedMultipleNegativesRankingLoss of sentence-transformers ({AT_ONCE} at once), AdamW with rate {RATE:g}
that rises over {WARM:.3f} of the steps, from the questions of all folds but the measured one"""

    def __init__(
        self,
        model: Model,
        bench: Bench,
        examples: Sequence[Example],
        seed: int,
        place: Path,
        device: str,
        told: Callable[[str, int, int], object],
    ) -> None:
        """`place` is the folder for what is kept between runs. Raises UsageError where it has no room."""
        self._model, self._seed, self._device, self._told = model, seed, device, told
        self.bench = bench.within(bench.nearby(), examples)
        self._asked = [one.text for one in examples]
        self._given = self.bench.texts()
        said = [model.fingerprint, seed, BATCH, EPOCHS, RATE, WARM, self._given, self._asked]
        said += [sorted(one.answers) for one in examples]
        self.place = kept_between_runs(place, said)

    def fold(self, number: int, learnt: Rows, held: Rows) -> Floats:
        """nDCG@10 of the questions `held` by what is learnt from the others: (len(held), 2)."""
        made = self.place / "learnt"
        if not made.exists():
            base, scratch = self.place / "base", self.place / "saved"
            for one in (base, scratch):
                shutil.rmtree(one, ignore_errors=True)
            with room(self.place):
                write_model(base, self._model, "")
                whole_training.learn_whole(
                    base,
                    _pairs(self.bench, self._asked, self._given, learnt),
                    self._model.prompts,
                    scratch,
                    kept=self.place / "kept",
                    seed=self._seed,
                    device=self._device,
                    progress=lambda done, total: self._told("steps", done, total),
                )
                scratch.rename(made)
        self._made = resolve(str(made), cache_dir=self.place)
        self._embedder: Embedder = load(self._made, self._device)
        asked = self._embedder.embed_queries([self._asked[row] for row in held.tolist()])
        return self.bench.measured(self._embedder.embed_passages(self._given), asked, held)

    def whole(self) -> None:
        """Nothing: what is measured is what is written."""

    def manual(self, manual: Manual) -> Gain:
        """What becomes of kosearch's manual."""
        asked, given = manual.texts
        return manual.gain(self._embedder.embed_queries(asked), self._embedder.embed_passages(given))

    def write(self, target: Path, card: str) -> None:
        """What was learnt as a folder."""
        write_model(target, self._made, card)

    def forget(self) -> None:
        """Drop what was kept between runs."""
        shutil.rmtree(self.place, ignore_errors=True)


def reckoned(model: Model, bench: Bench, examples: Sequence[Example], device: str) -> Reckoning:
    """What it would take, by steps that are measured and thrown away. Raises UsageError without the extra."""
    near = bench.within(bench.nearby(), examples)
    pairs = _pairs(near, [one.text for one in examples], near.texts(), None)
    learnt = len(pairs) * (FOLDS - 1) // FOLDS
    with tempfile.TemporaryDirectory(prefix="kosearch-") as scratch, room(Path(scratch)):
        base = Path(scratch, "base")
        write_model(base, model, "")
        step = whole_training.measured_step(base, pairs[:learnt], model.prompts, Path(scratch, "kept"), device=device)
    steps = steps_of(learnt)
    return Reckoning(learnt, steps, batch_of(learnt), steps * step.seconds, step.memory)


def _pairs(bench: Bench, asked: Sequence[str], given: Sequence[str], learnt: Rows | None) -> list[tuple[str, str]]:
    """The questions of these rows, or of all, each with the best passage of each document that answers it."""
    found = bench.numbers(learnt)
    rows = zip(found.questions.tolist(), found.passages.tolist(), strict=True)
    return [(asked[question], given[passage]) for question, passage in rows]
