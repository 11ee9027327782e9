"""Loss functions: squared error of the mean and pinball loss of the quantiles, in scaled units."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

from gapcast_trainer.experiments.sections import Loss
from gapcast_trainer.families.parts.base import Design


def _lead_weights(loss: Loss, n_leads: int) -> list[float]:
    weights = loss.lead_weights or (1.0,) * n_leads
    return [weight / sum(weights) for weight in weights]


class SquaredError(keras.losses.Loss):
    """Squared error of ``mean`` ``[N, K]``, weighted over lead times, in units of the squared scale."""

    def __init__(self, loss: Loss, design: Design) -> None:
        """Use the lead time weights of ``loss``."""
        super().__init__(name="squared_error")
        self._weights = _lead_weights(loss, len(design.task.lead_times_min))
        self._scale_kw = design.scale.scale_kw

    def call(self, y_true: Any, y_pred: Any) -> Any:
        """Return each window's loss ``[N]``."""
        return ops.sum(ops.square((y_true - y_pred) / self._scale_kw) * ops.array(self._weights), axis=-1)


class Pinball(keras.losses.Loss):
    """Pinball loss (Koenker and Bassett 1978) of ``quantiles`` ``[N, K, Q]``, averaged over levels, in scaled units."""

    def __init__(self, loss: Loss, design: Design) -> None:
        """Use the levels of ``design`` and the lead time weights of ``loss``."""
        super().__init__(name="pinball")
        self._weights = _lead_weights(loss, len(design.task.lead_times_min))
        self._levels = list(design.quantile_levels or ())
        self._scale_kw = design.scale.scale_kw

    def call(self, y_true: Any, y_pred: Any) -> Any:
        """Return each window's loss ``[N]``."""
        above = (ops.expand_dims(y_true, -1) - y_pred) / self._scale_kw
        levels = ops.array(self._levels)
        each = ops.mean(ops.maximum(levels * above, (levels - 1) * above), axis=-1)
        return ops.sum(each * ops.array(self._weights), axis=-1)


def squared_error_at_horizon(y_true: Any, y_pred: Any) -> Any:
    """Return the squared error of ``mean`` at the longest lead time, kW^2, ``[N]``."""
    return ops.square(y_true[:, -1] - y_pred[:, -1])
