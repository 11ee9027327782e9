"""Batches for gradient descent: windows cut on demand, some of them shortened or scaled."""

from __future__ import annotations

import math
from dataclasses import KW_ONLY, dataclass

import keras
import numpy as np

from gapcast.core.arrays.array_types import F32, I64
from gapcast_trainer.data.windows import Examples
from gapcast_trainer.experiments.sections import Augment
from gapcast_trainer.families.parts.graph import MEAN, QUANTILES

#: Arrays by output name.
PerOutput = dict[str, F32]
#: Exponent of the scale in an output's loss.
LOSS_ORDER = {MEAN: 2, QUANTILES: 1}


@dataclass(frozen=True, slots=True)
class BatchOptions:
    """Batches of ``size`` windows, augmented by ``augment``.

    With ``redraw`` the order and the augmentation are redrawn for each epoch, for one window in ``every``; without it
    windows are only shortened, so that scores are comparable between epochs. ``outputs`` are the names of the outputs
    with targets.
    """

    size: int
    augment: Augment
    seed: int
    _: KW_ONLY
    redraw: bool
    every: int = 1
    outputs: tuple[str, ...] = (MEAN,)

    def n_windows(self, n_all: int) -> int:
        """Return the number of windows of an epoch, out of ``n_all``."""
        return math.ceil(n_all / self.every)

    def n_batches(self, n_all: int) -> int:
        """Return the number of batches of an epoch, given ``n_all`` windows."""
        return math.ceil(self.n_windows(n_all) / self.size)


class Batches(keras.utils.PyDataset):
    """Examples in batches. Without ``redraw`` windows are shortened once, and stay in order of time."""

    def __init__(self, examples: Examples, options: BatchOptions) -> None:
        """Draw the first epoch."""
        super().__init__()
        self._examples = examples
        self._options = options
        self._random = np.random.default_rng(options.seed)
        self._n = options.n_windows(len(examples))
        self._order: I64 = np.arange(self._n, dtype=np.int64)
        self._n_kept: I64 = self._order
        self._factor: F32 = np.ones(self._n, dtype=np.float32)
        self._draw()

    def __len__(self) -> int:
        """Return the number of batches per epoch."""
        return self._options.n_batches(len(self._examples))

    def __getitem__(self, index: int) -> tuple[F32, PerOutput, PerOutput]:
        """Return batch ``index``: inputs ``[n, context, features]``, and targets ``[n, K]`` and weights of each output.

        Power is in kW.
        """
        places = np.s_[index * self._options.size : (index + 1) * self._options.size]
        chosen, factor = self._order[places], self._factor[places]
        inputs = self._examples.inputs_at(chosen, self._n_kept[places])
        return scale_batch(inputs, self._examples.target_kw[chosen], factor, self._options.outputs)

    def on_epoch_end(self) -> None:
        """Redraw for the next epoch."""
        if self._options.redraw:
            self._draw()

    def _draw(self) -> None:
        kept, share = self._options.augment.lengths(self._examples.task.window.context)
        self._n_kept = self._random.choice(kept, self._n, p=share)
        if self._options.redraw:
            self._order = self._random.permutation(len(self._examples))[: self._n]
            self._factor = draw_factors(self._random, self._n, self._options.augment)


def draw_factors(random: np.random.Generator, n: int, augment: Augment) -> F32:
    """Return the factors of ``n`` windows, ``[n]``: 1 for unscaled ones."""
    chosen = random.random(n) < augment.scaled_share
    logarithm = random.normal(0, augment.scaled_sigma, n)
    return np.exp(np.where(chosen, logarithm, 0)).astype(np.float32)


def scale_batch(inputs: F32, target_kw: F32, factor: F32, outputs: tuple[str, ...]) -> tuple[F32, PerOutput, PerOutput]:
    """Return a batch with its power multiplied in place by ``factor`` ``[n]``; see :meth:`Batches.__getitem__`."""
    inputs[:, :, 0] *= factor[:, np.newaxis]
    weights = {output: factor ** -LOSS_ORDER[output] for output in outputs}
    return inputs, dict.fromkeys(outputs, target_kw * factor[:, np.newaxis]), weights
