"""A model double with the interface of the outlook's model: plain arithmetic, the same in any batch."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from gapcast.core.arrays.array_types import F32
from gapcast.core.models.predictor import Prediction
from gapcast.core.windows.features import GAP
from gapcast.core.windows.window import WindowSpec

#: Minutes in which the distance from the usual level falls to a third.
_DECAY_MIN = 20.0
_LEAD_TIMES_MIN = (1, 2, 3, 4, 5, 10, 15, 20, 30, 45, 60)
_LEVELS = (0.05, 0.25, 0.5, 0.75, 0.95)
#: Distances of the quantiles from the mean, in units of the spread.
_AWAY = np.array([-1.0, -0.5, -0.1, 0.4, 1.6])


@dataclass(frozen=True, slots=True)
class OutlookModel:
    """Decays from the last reading to the mean of the last hour and of the same hour yesterday."""

    spec: WindowSpec = WindowSpec(180)
    lead_times_min: tuple[int, ...] = _LEAD_TIMES_MIN
    name: str = "outlook"
    version: str = "1"
    quantile_levels: tuple[float, ...] | None = _LEVELS
    features: tuple[str, ...] = (GAP, "tod_sin", "tod_cos")
    #: Quarters of an hour of the second input; 0 for a model without it.
    history_steps: int = 672

    def predict(self, windows: F32, history: F32 | None = None) -> Prediction:
        """Forecast ``windows`` ``[N, context, features]``, kW, with ``history`` ``[N, 672]``, kW (None: not known)."""
        power_kw = np.ascontiguousarray(windows[:, -60:, 0], dtype=np.float64)
        last_kw, hour_kw, spread_kw = power_kw[:, -1], power_kw.mean(axis=1), 0.02 + power_kw.std(axis=1)
        yesterday_kw = hour_kw if history is None else history[:, -96:-92].astype(np.float64).mean(axis=1)
        usual_kw = 0.7 * hour_kw + 0.3 * yesterday_kw
        decay = np.exp(np.arange(-1, -self.lead_times_min[-1] - 1, -1) / _DECAY_MIN)
        minutes_kw = usual_kw[:, np.newaxis] + (last_kw - usual_kw)[:, np.newaxis] * decay
        means_to_kw = np.cumsum(minutes_kw, axis=1) / np.arange(1, decay.size + 1)
        at = np.array(self.lead_times_min) - 1
        mean, mean_to = minutes_kw[:, at], means_to_kw[:, at]
        growth = np.sqrt(1 - decay[at])
        away: NDArray[np.float64] = spread_kw[:, np.newaxis, np.newaxis] * growth[:, np.newaxis] * _AWAY
        return Prediction(
            mean.astype(np.float32),
            (mean[:, :, np.newaxis] + away).astype(np.float32),
            mean_to.astype(np.float32),
            (mean_to[:, :, np.newaxis] + np.where(at == 0, 1.0, 0.7)[:, np.newaxis] * away).astype(np.float32),
        )
