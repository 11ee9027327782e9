"""Batches for gradient descent: windows cut on demand, some of them shortened or scaled."""

from __future__ import annotations

import math

import keras
import numpy as np

from gapcast.core.window import F32, I64
from gapcast_trainer.experiment_sections import Augment
from gapcast_trainer.families.graph import MEAN, QUANTILES
from gapcast_trainer.windows import Examples

#: Arrays by name of the output.
PerOutput = dict[str, F32]
#: Exponent of the scale in an output's loss.
LOSS_ORDER = {MEAN: 2, QUANTILES: 1}


class Batches(keras.utils.PyDataset):
    """Examples in batches, augmented by ``augment``.

    With ``redraw`` the order and the augmentation are redrawn for each epoch, for one window in ``every``;
    without it windows are only shortened, once, and stay in order of time, so that scores are comparable
    between epochs. ``outputs`` names the outputs that have targets.
    """

    def __init__(  # noqa: PLR0913 - the last ones by keyword
        self,
        examples: Examples,
        size: int,
        augment: Augment,
        seed: int,
        *,
        redraw: bool,
        every: int = 1,
        outputs: tuple[str, ...] = (MEAN,),
    ) -> None:
        """Draw the first epoch."""
        super().__init__()
        self._examples = examples
        self._size = size
        self._augment = augment
        self._redraw = redraw
        self._outputs = outputs
        self._random = np.random.default_rng(seed)
        self._n = math.ceil(len(examples) / every)
        self._order: I64 = np.arange(self._n, dtype=np.int64)
        self._n_kept: I64 = self._order
        self._factor: F32 = np.ones(self._n, dtype=np.float32)
        self._draw()

    def __len__(self) -> int:
        """Return the number of batches per epoch."""
        return math.ceil(self._n / self._size)

    def __getitem__(self, index: int) -> tuple[F32, PerOutput, PerOutput]:
        """Return batch ``index``: inputs ``[n, context, features]``, and targets ``[n, K]`` and weights of each output.

        Power is in kW.
        """
        places = np.s_[index * self._size : (index + 1) * self._size]
        chosen, factor = self._order[places], self._factor[places]
        inputs = self._examples.inputs_at(chosen, self._n_kept[places])
        return scale_batch(inputs, self._examples.target_kw[chosen], factor, self._outputs)

    def on_epoch_end(self) -> None:
        """Redraw for the next epoch."""
        if self._redraw:
            self._draw()

    def _draw(self) -> None:
        kept, share = self._augment.lengths(self._examples.task.window.context)
        self._n_kept = self._random.choice(kept, self._n, p=share)
        if self._redraw:
            self._order = self._random.permutation(len(self._examples))[: self._n]
            self._factor = draw_factors(self._random, self._n, self._augment)


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
