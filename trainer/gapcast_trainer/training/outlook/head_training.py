"""Fits the head of an outlook model to rows of features."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import keras
import numpy as np
from keras import ops
from numpy.typing import NDArray

from gapcast_trainer.experiments.experiment import Experiment
from gapcast_trainer.families.outlook_parts.head import ABSOLUTE, BASE, RELATIVE, SPREAD
from gapcast_trainer.training.descent.epochs import EpochProgress, fit_epochs
from gapcast_trainer.training.descent.optimiser import LearningRate, make_optimiser
from gapcast_trainer.training.outlook.feature_rows import FeatureRows
from gapcast_trainer.training.run import Status

_VALIDATE_SIZE = 8_192


def fit_head(  # noqa: PLR0913 - the last ones by keyword
    head: keras.Model,
    train: FeatureRows,
    validate: FeatureRows,
    probability: NDArray[np.float64],
    experiment: Experiment,
    *,
    on_epoch: Callable[[EpochProgress], None],
    progress: bool,
) -> Status:
    """Fit ``head`` and set the best weights, like :func:`~gapcast_trainer.training.descent.epochs.fit_epochs`.

    ``probability`` ``[N]`` is the probability of drawing each training row.
    """
    descent = experiment.descent
    batches = FeatureBatches(train, descent.batch_size, experiment.seed, probability)
    rate = LearningRate(descent, descent.epochs * len(batches))
    head.compile(
        make_optimiser(descent, rate),
        loss=ColumnLoss(experiment),
        metrics=[keras.metrics.MeanMetricWrapper(squared_error_of_last, name="mse_kw2")],
        jit_compile=False,
    )
    validation_batches = FeatureBatches(validate, _VALIDATE_SIZE, experiment.seed)
    return fit_epochs(head, batches, validation_batches, experiment, rate, on_epoch=on_epoch, progress=progress)


def squared_error_of_last(y_true: Any, y_pred: Any) -> Any:
    """Return the squared error of the mean until the longest lead time, kW^2, ``[N]``."""
    return ops.square(y_true[:, -1, 0] - y_pred[:, -1, 0])


class FeatureBatches(keras.utils.PyDataset):
    """Batches of feature rows, sampled again in each epoch with their probabilities, or in order if none are given."""

    def __init__(self, rows: FeatureRows, size: int, seed: int, probability: NDArray[np.float64] | None = None) -> None:
        """Set the rows; an epoch has as many rows as ``rows``."""
        super().__init__()
        self._rows, self._size, self._seed, self._epoch = rows, size, seed, 0
        self._cumulative = None if probability is None else np.cumsum(probability)

    def __len__(self) -> int:
        """Return the number of batches per epoch."""
        return math.ceil(len(self._rows) / self._size)

    def __getitem__(self, index: int) -> tuple[dict[str, Any], Any]:
        """Return the inputs of the head, and targets with their weights."""
        rows, first = self._rows, index * self._size
        chosen = np.arange(first, min(first + self._size, len(rows)))
        if self._cumulative is not None:
            drawn = np.random.default_rng((self._seed, self._epoch, index)).random(chosen.size)
            chosen = np.sort(np.minimum(np.searchsorted(self._cumulative, drawn), len(rows) - 1))
        inputs = {
            ABSOLUTE: rows.absolute[chosen].astype(np.float32),
            RELATIVE: rows.relative[chosen].astype(np.float32),
            SPREAD: rows.spread_kw[chosen],
            BASE: rows.base_kw[chosen],
        }
        return inputs, rows.target[chosen]

    def on_epoch_end(self) -> None:
        """Redraw for the next epoch."""
        self._epoch += 1


class ColumnLoss(keras.losses.Loss):
    """Squared error of means and pinball loss of quantiles, with the weights of each column in the target."""

    def __init__(self, experiment: Experiment) -> None:
        """Use the levels of ``experiment``, and its weights of the two losses, of lead times and of single minutes."""
        super().__init__(name="column_loss")
        leads, n_body = experiment.outputs.lead_times_min, int(experiment.hyper["body_minutes"])
        by_lead = np.array(experiment.loss.lead_weights or [1.0] * len(leads))
        weights = np.concatenate([experiment.outlook.point_weight * by_lead[n_body:], by_lead[1:]])
        self._columns = (weights / weights.mean()).tolist()
        self._levels = list(experiment.outputs.quantile_levels or ())
        self._mean, self._quantiles = experiment.loss.mean, experiment.loss.quantiles

    def call(self, y_true: Any, y_pred: Any) -> Any:
        """Return each row's loss ``[N]``."""
        outcome, of_square, of_pinball = y_true[:, :, 0], y_true[:, :, 1], y_true[:, :, 2]
        square = ops.square(outcome - y_pred[:, :, 0]) * of_square
        above, levels = ops.expand_dims(outcome, 2) - y_pred[:, :, 1:], ops.array(self._levels)
        pinball = ops.mean(ops.maximum(levels * above, (levels - 1) * above), axis=2) * of_pinball
        return ops.mean((self._mean * square + self._quantiles * pinball) * ops.array(self._columns), axis=1)
