"""Training windows of several houses, and mixtures of them with each other and with simulated loads.

A mixture is a window of a house multiplied by a random factor, in a share of the mixtures plus a scaled window of
another house, plus windows of simulated loads and a constant base load; its time of day is random. Every window's loss
is divided by persistence's loss on its parts, so that a house counts by its weight and not by its consumption, and the
loss is one minus the mean skill.
"""

from __future__ import annotations

from dataclasses import dataclass

import keras
import numpy as np

from gapcast.core.arrays.array_types import F32, F64, I64
from gapcast.core.time_grid import DAY_MIN
from gapcast.core.windows.features import assemble
from gapcast_trainer.data.split import SplitPart
from gapcast_trainer.data.windows import Examples, WindowTask, shorten
from gapcast_trainer.experiments.sections import Mixing
from gapcast_trainer.training_data.batches import LOSS_ORDER, BatchOptions, PerOutput, draw_factors

#: Number of windows of a house from which persistence's error is computed.
_N_SAMPLED = 200_000
#: Added to persistence's error, so that a house without changes does not have an infinite weight, kW.
FLOOR_KW = 0.045


@dataclass(frozen=True, slots=True)
class HouseMix:
    """The windows of one part of several houses, the main house first, with their weights, and loads ``[L, T]``, kW.

    ``scale_kw`` is the unit of the loss. An epoch has as many windows as the main house.
    """

    houses: tuple[Examples, ...]
    weights: tuple[float, ...]
    loads: F32
    mixing: Mixing
    scale_kw: float

    @property
    def part(self) -> SplitPart:
        """The part of the split."""
        return self.houses[0].part

    @property
    def task(self) -> WindowTask:
        """The forecasting task."""
        return self.houses[0].task

    def __len__(self) -> int:
        """Return the number of windows of the main house."""
        return len(self.houses[0])


class MixedBatches(keras.utils.PyDataset):
    """Batches of a :class:`HouseMix`; with ``redraw`` they are augmented and redrawn for each epoch.

    Without it, windows of the houses are only shortened, and every pass is the same.
    """

    def __init__(self, mix: HouseMix, options: BatchOptions) -> None:
        """Measure persistence on each house and each load."""
        super().__init__()
        self._mix, self._options = mix, options
        self._n = options.n_windows(len(mix))
        self._epoch = 0
        self._share = np.array(mix.weights) / sum(mix.weights)
        self._house_error = np.array([_persistence_error(house) for house in mix.houses])
        change = mix.loads[:, mix.task.horizon_min :] - mix.loads[:, : -mix.task.horizon_min]
        self._load_error = np.column_stack([np.abs(change).mean(axis=1) ** 2, np.square(change).mean(axis=1)])

    def __len__(self) -> int:
        """Return the number of batches per epoch."""
        return self._options.n_batches(len(self._mix))

    def __getitem__(self, index: int) -> tuple[F32, PerOutput, PerOutput]:
        """Return batch ``index``, like :class:`gapcast_trainer.training_data.batches.Batches`."""
        options = self._options
        rng = np.random.default_rng([options.seed, self._epoch, index])
        drawn = self._draw(rng, min(options.size, self._n - index * options.size))
        if options.redraw:
            self._augment_windows(rng, drawn)
        task = self._mix.task
        kept, share = options.augment.lengths(task.window.context)
        measured = shorten(drawn.measured, rng.choice(kept, len(drawn.measured), p=share), task.window)
        inputs = np.empty((*measured.shape[:2], len(task.features)), dtype=np.float32)
        for place, house in enumerate(self._mix.houses):
            at = np.flatnonzero(drawn.house == place)
            inputs[at] = assemble(measured[at], drawn.observed_minute[at], task.features, house.zone)
        weights = {output: self._weights(drawn.error[:, LOSS_ORDER[output] - 1], output) for output in options.outputs}
        return inputs, dict.fromkeys(options.outputs, drawn.target_kw), weights

    def _weights(self, error_kw2: F64, output: str) -> F32:
        unit_kw = np.sqrt(error_kw2 + FLOOR_KW**2)
        weights: F32 = ((self._mix.scale_kw / unit_kw) ** LOSS_ORDER[output]).astype(np.float32)
        return weights

    def _draw(self, rng: np.random.Generator, n: int) -> _Drawn:
        """Return ``n`` windows as they were measured."""
        mix, task = self._mix, self._mix.task
        drawn = _Drawn(
            measured=np.empty((n, task.window.context, mix.houses[0].n_measured), np.float32),
            target_kw=np.empty((n, len(task.lead_times_min)), np.float32),
            house=rng.choice(len(mix.houses), n, p=self._share),
            observed_minute=np.empty(n, np.int64),
            error=np.empty((n, 2)),
        )
        for place, house in enumerate(mix.houses):
            at = np.flatnonzero(drawn.house == place)
            rows = rng.integers(0, len(house), at.size)
            drawn.measured[at] = house.measured_at(rows)
            drawn.target_kw[at] = house.target_kw[rows]
            drawn.observed_minute[at] = house.observed_minute[rows]
            drawn.error[at] = self._house_error[place]
        return drawn

    def _augment_windows(self, rng: np.random.Generator, drawn: _Drawn) -> None:
        """Scale windows, and turn a share of them into mixtures, in place."""
        mixing, augment, n = self._mix.mixing, self._options.augment, len(drawn.measured)
        mixed = np.flatnonzero(rng.random(n) < mixing.share)
        factor = draw_factors(rng, n, augment)
        factor[mixed] = np.exp(rng.normal(0, augment.scaled_sigma, mixed.size))
        drawn.multiply(factor)
        drawn.observed_minute[mixed] = rng.integers(0, DAY_MIN, mixed.size)
        at = mixed[rng.random(mixed.size) < mixing.second_share]
        second = self._draw(rng, at.size)
        second.multiply(np.exp(rng.normal(0, augment.scaled_sigma, at.size)).astype(np.float32))
        drawn.add(at, second.measured[:, :, 0], second.target_kw, second.error)
        n_loads = rng.choice(len(mixing.n_loads), mixed.size, p=np.array(mixing.n_loads) / sum(mixing.n_loads))
        for k in range(1, len(mixing.n_loads)):
            at = mixed[n_loads >= k]
            drawn.add(at, *self._draw_loads(rng, at.size))
        at = mixed[rng.random(mixed.size) < mixing.base_share]
        base_kw = rng.exponential(mixing.base_kw, (at.size, 1)).astype(np.float32)
        drawn.add(at, base_kw, base_kw, np.zeros((at.size, 2)))

    def _draw_loads(self, rng: np.random.Generator, n: int) -> tuple[F32, F32, F64]:
        """Return ``n`` windows of loads, scaled, with their targets and persistence's errors."""
        loads, task, mixing = self._mix.loads, self._mix.task, self._mix.mixing
        context = task.window.context
        which = rng.integers(0, len(loads), n)[:, np.newaxis]
        last = rng.integers(context - 1, loads.shape[1] - task.horizon_min, n)[:, np.newaxis]
        factor = np.exp(rng.normal(0, mixing.load_sigma, (n, 1))).astype(np.float32)
        window_kw = loads[which, last + np.arange(1 - context, 1)] * factor
        target_kw = loads[which, last + np.array(task.lead_times_min)] * factor
        return window_kw, target_kw, self._load_error[which[:, 0]] * np.square(factor)

    def on_epoch_end(self) -> None:
        """Redraw for the next epoch."""
        if self._options.redraw:
            self._epoch += 1


@dataclass(frozen=True, slots=True)
class _Drawn:
    """Windows ``measured`` ``[n, context, M]`` with their targets, kW.

    ``house`` ``[n]`` is the index of the house whose time zone applies. ``error`` ``[n, 2]`` has the square of
    persistence's mean absolute error and its mean squared error, kW^2.
    """

    measured: F32
    target_kw: F32
    house: I64
    observed_minute: I64
    error: F64

    def multiply(self, factor: F32) -> None:
        """Multiply the power by ``factor`` ``[n]``."""
        self.measured[:, :, 0] *= factor[:, np.newaxis]
        self.target_kw[:] *= factor[:, np.newaxis]
        self.error[:] *= np.square(factor)[:, np.newaxis]

    def add(self, at: I64, window_kw: F32, target_kw: F32, error: F64) -> None:
        """Add the power of independent parts to the windows at ``at``; squares of errors add up."""
        self.measured[at, :, 0] += window_kw
        self.target_kw[at] += target_kw
        self.error[at] += error


def _persistence_error(house: Examples) -> F64:
    """Return the square of persistence's mean absolute error, and its mean squared error, at the horizon, kW^2."""
    rows = np.linspace(0, len(house) - 1, min(len(house), _N_SAMPLED)).astype(np.int64)
    change = house.target_kw[rows, -1] - house.measured_at(rows)[:, -1, 0]
    return np.array([np.abs(change).mean() ** 2, np.square(change).mean()], dtype=np.float64)
