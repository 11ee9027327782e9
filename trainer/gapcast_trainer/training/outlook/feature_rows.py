"""Rows of features: the outputs of an outlook model's frozen part for windows, computed once before the training."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, fields

import keras
import numpy as np
from numpy.typing import NDArray

from gapcast.core.arrays.array_types import F32, I64
from gapcast.core.streams.quarters import STEP_MIN, STEPS, fill_unknown
from gapcast.core.windows.features import assemble
from gapcast_trainer.data.split import SplitPart
from gapcast_trainer.data.windows import shorten
from gapcast_trainer.experiments.experiment import Experiment
from gapcast_trainer.families.parts.graph import MEAN, QUANTILES
from gapcast_trainer.training.outlook.house_windows import HouseWindows
from gapcast_trainer.training.outlook.series import TrainingSeries
from gapcast_trainer.training_data.batches import LOSS_ORDER, draw_factors
from gapcast_trainer.training_data.house_mix import FLOOR_KW

F16 = NDArray[np.float16]
_ROWS_AT_ONCE = 8_192
#: Minimum history of a device that has just begun, quarters.
_LEAST_KNOWN = 12


@dataclass(frozen=True, slots=True)
class FeatureRows:
    """The inputs of the head, float16 where that suffices, and targets.

    ``target`` ``[N, C, 3]`` holds, for each of C quantities, the outcome (kW), and the weights of its squared error
    (1/kW^2) and of its pinball loss (1/kW): the inverse of persistence's loss in the house, so that each house counts
    by its share of the batches.
    """

    absolute: F16
    relative: F16
    spread_kw: F32
    base_kw: F32
    target: F32

    def __len__(self) -> int:
        """Return the number of rows."""
        return len(self.target)


def join_rows(parts: Iterable[FeatureRows]) -> FeatureRows:
    """Return the rows of all ``parts``, concatenated."""
    found = list(parts)
    return FeatureRows(
        *(np.concatenate([getattr(part, field.name) for part in found]) for field in fields(FeatureRows))
    )


def feature_rows(
    features: keras.Model, series: TrainingSeries, part: SplitPart, experiment: Experiment, *, n_most: int
) -> FeatureRows | None:
    """Return at most ``n_most`` rows of ``part`` of ``series``, drawn with the seed of ``experiment``; None if none.

    Rows of the training part are augmented: scaled, shortened, and with less history. ``features`` is the frozen part.
    """
    task = experiment.task()
    house = HouseWindows.from_series(series.first_minute, series.gap_kw, task.window)
    rng = np.random.default_rng((experiment.seed, len(series.name), *series.name.encode()))
    rows = np.arange(len(house.windows))
    if series.split is not None:
        rows = np.flatnonzero(series.split.holds(part, house.observed_minute))
    rows = _complete(house, rows.astype(np.int64), task.lead_times_min)
    rows = np.sort(rng.choice(rows, min(n_most, rows.size), replace=False))
    if not rows.size:
        return None
    pieces = []
    for first in range(0, rows.size, _ROWS_AT_ONCE):
        at = rows[first : first + _ROWS_AT_ONCE]
        kw, history, factor = house.windows_kw(at), house.history_kw(at), np.ones(at.size, dtype=np.float32)
        if part is SplitPart.TRAIN:
            kw, history, factor = _augmented(rng, kw, history, experiment)
        outcome = _quantities(house, at, experiment) * factor[:, np.newaxis]
        windows = assemble(kw[:, :, np.newaxis], house.observed_minute[at], task.features, series.zone)
        found = features.predict_on_batch([windows, fill_unknown(history, kw.mean(axis=1))])
        absolute, relative, spread_kw, base_kw = (np.asarray(values) for values in found)
        pieces.append((absolute.astype(np.float16), relative.astype(np.float16), spread_kw, base_kw, outcome, factor))
    absolute, relative, spread_kw, base_kw, outcome, factor = (
        np.concatenate([piece[place] for piece in pieces]) for place in range(6)
    )
    last_kw = house.windows_kw(rows)[:, -1:]
    change = outcome / factor[:, np.newaxis] - last_kw
    weights = [
        (1 / np.sqrt(np.square(factor[:, np.newaxis]) * error + FLOOR_KW**2)) ** LOSS_ORDER[name]
        for name, error in ((MEAN, np.square(change).mean(axis=0)), (QUANTILES, np.abs(change).mean(axis=0) ** 2))
    ]
    target = np.stack([outcome, *weights], axis=2).astype(np.float32)
    return FeatureRows(absolute, relative, spread_kw, base_kw, target)


def _quantities(house: HouseWindows, rows: I64, experiment: Experiment) -> F32:
    """Return the outcomes of the head's columns: minutes later than the trunk's, and means until each lead time."""
    n_body = int(experiment.hyper["body_minutes"])
    point, until = house.outcomes_kw(rows, experiment.task().lead_times_min)
    return np.concatenate([point[:, n_body:], until[:, 1:]], axis=1)


def _complete(house: HouseWindows, rows: I64, lead_times_min: tuple[int, ...]) -> I64:
    """Return the ``rows`` for which each minute until the horizon was measured."""
    n_known = np.concatenate([[0], np.cumsum(~np.isnan(house.gap_kw))])
    origin = house.windows.origin[rows]
    end = np.minimum(origin + 1 + lead_times_min[-1], house.gap_kw.size)
    found: I64 = rows[n_known[end] - n_known[origin + 1] == lead_times_min[-1]]
    return found


def _augmented(rng: np.random.Generator, kw: F32, history: F32, experiment: Experiment) -> tuple[F32, F32, F32]:
    """Return windows, histories and their factors: scaled, shortened, and with the history of a new device.

    A shortened window has no more history than its own complete quarters.
    """
    task, n = experiment.task(), len(kw)
    factor = draw_factors(rng, n, experiment.augment)
    lengths, probability = experiment.augment.lengths(task.window.context)
    n_kept = rng.choice(lengths, n, p=probability)
    drawn = np.exp(rng.uniform(np.log(_LEAST_KNOWN), np.log(STEPS), n)).astype(np.int64)
    n_known = np.where(rng.random(n) < experiment.outlook.new_share, drawn, STEPS)
    n_known = np.where(n_kept < task.window.context, n_kept // STEP_MIN, n_known)
    kw = shorten(kw * factor[:, np.newaxis], n_kept, task.window)
    history = history * factor[:, np.newaxis]
    history[np.arange(STEPS) < (STEPS - n_known)[:, np.newaxis]] = np.nan
    return kw, history, factor
