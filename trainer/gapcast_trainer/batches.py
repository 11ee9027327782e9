"""Batches for gradient descent: windows cut when they are asked for, some of them shortened or scaled."""

from __future__ import annotations

import math

import keras
import numpy as np

from gapcast.core.window import F32, I64
from gapcast_trainer.experiment import Augment
from gapcast_trainer.families.graph import MEAN, QUANTILES
from gapcast_trainer.windows import Examples

Of = dict[str, F32]
#: Power of the scale that an output's loss grows with.
_ORDER = {MEAN: 2, QUANTILES: 1}


class Batches(keras.utils.PyDataset):
    """Examples in batches, changed as ``augment`` says.

    With ``redraw`` the order and the changes are drawn anew for each pass, of one window in ``every``;
    without it windows are cut short alone, once, and stay in order of time, so that scores compare from
    pass to pass. ``outputs`` names what the targets are for.
    """

    def __init__(  # noqa: PLR0913 - what a feed is made of
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
        """Draw the first pass."""
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
        """Return the number of batches in a pass."""
        return math.ceil(self._n / self._size)

    def __getitem__(self, index: int) -> tuple[F32, Of, Of]:
        """Return batch ``index``: inputs ``[n, context, features]``, and targets ``[n, K]`` and weights of each output.

        Power is in kW.
        """
        places = np.s_[index * self._size : (index + 1) * self._size]
        chosen, factor = self._order[places], self._factor[places]
        inputs = self._examples.inputs_at(chosen, self._n_kept[places])
        return scaled(inputs, self._examples.target_kw[chosen], factor, self._outputs)

    def on_epoch_end(self) -> None:
        """Draw anew for the next pass."""
        if self._redraw:
            self._draw()

    def _draw(self) -> None:
        kept, share = self._augment.lengths(self._examples.task.window.context)
        self._n_kept = self._random.choice(kept, self._n, p=share)
        if self._redraw:
            self._order = self._random.permutation(len(self._examples))[: self._n]
            self._factor = factors(self._random, self._n, self._augment)


def factors(random: np.random.Generator, n: int, augment: Augment) -> F32:
    """Return what ``n`` windows are multiplied by, ``[n]``: 1 for those that stay as they are."""
    chosen = random.random(n) < augment.scaled_share
    logarithm = random.normal(0, augment.scaled_sigma, n)
    return np.exp(np.where(chosen, logarithm, 0)).astype(np.float32)


def scaled(inputs: F32, target_kw: F32, factor: F32, outputs: tuple[str, ...]) -> tuple[F32, Of, Of]:
    """Return a batch with its power multiplied by ``factor`` ``[n]``, in place: see :meth:`Batches.__getitem__`."""
    inputs[:, :, 0] *= factor[:, np.newaxis]
    weights = {output: factor ** -_ORDER[output] for output in outputs}
    return inputs, dict.fromkeys(outputs, target_kw * factor[:, np.newaxis]), weights
