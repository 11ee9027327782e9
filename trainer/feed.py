"""Batches for gradient descent: windows cut when they are asked for, some of them shortened."""

from __future__ import annotations

import math

import keras
import numpy as np

from edge.core.window import F32, I64, MIN_OBSERVED
from trainer.windows import Examples, shorten


class Batches(keras.utils.PyDataset):
    """Examples in batches, each window cut short with a chance of ``short_share`` and padded again.

    A shortened window keeps 2 … context readings, each number with equal chance. With ``redraw`` the
    order and the lengths are drawn anew for each pass (windows, which are whole before they are put in
    another order; rows never are); without it they stay as they are, in order of time, so that scores
    compare from pass to pass.
    """

    def __init__(self, examples: Examples, size: int, short_share: float, seed: int, *, redraw: bool) -> None:
        """Draw the lengths, and the order of the first pass."""
        super().__init__()
        self._examples = examples
        self._size = size
        self._short_share = short_share
        self._redraw = redraw
        self._random = np.random.default_rng(seed)
        self._order: I64 = np.arange(len(examples), dtype=np.int64)
        self._n_kept: I64 = self._order
        self._draw()

    def __len__(self) -> int:
        """Return the number of batches in a pass."""
        return math.ceil(len(self._examples) / self._size)

    def __getitem__(self, index: int) -> tuple[F32, dict[str, F32]]:
        """Return batch ``index``: windows ``[n, context, 1]`` and the targets of ``mean`` ``[n, K]``, kW."""
        places = np.s_[index * self._size : (index + 1) * self._size]
        chosen, spec = self._order[places], self._examples.task.window
        windows = self._examples.windows[self._examples.rows[chosen]]
        short = shorten(windows, self._n_kept[places], spec)
        return short[:, :, np.newaxis], {"mean": self._examples.target_kw[chosen]}

    def on_epoch_end(self) -> None:
        """Draw anew for the next pass."""
        if self._redraw:
            self._draw()

    def _draw(self) -> None:
        n, context = len(self._examples), self._examples.task.window.context
        if self._redraw:
            self._order = self._random.permutation(n)
        short = self._random.random(n) < self._short_share
        self._n_kept = np.where(short, self._random.integers(MIN_OBSERVED, context + 1, n), context)
