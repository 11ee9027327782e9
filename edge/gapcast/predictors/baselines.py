"""Baselines that every model must beat: persistence and a linear trend."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from gapcast.core.arrays.array_types import F32
from gapcast.core.models.predictor import Prediction
from gapcast.core.windows.features import GAP
from gapcast.core.windows.window import WindowSpec


@dataclass(frozen=True, slots=True)
class Persistence:
    """Persistence: assumes no change, so it forecasts the last reading for every lead time."""

    spec: WindowSpec = WindowSpec()
    lead_times_min: tuple[int, ...] = (5,)
    name: str = "persistence"
    version: str = "1"
    quantile_levels: tuple[float, ...] | None = None
    features: tuple[str, ...] = (GAP,)

    def predict(self, windows: F32) -> Prediction:
        """Repeat the newest value of ``windows`` ``[N, context, features]``."""
        return Prediction(np.repeat(windows[:, -1, :1], len(self.lead_times_min), axis=1))


@dataclass(frozen=True, slots=True)
class Trend:
    """The least-squares line through the window, extrapolated to each lead time."""

    spec: WindowSpec = WindowSpec()
    lead_times_min: tuple[int, ...] = (5,)
    name: str = "trend"
    version: str = "1"
    quantile_levels: tuple[float, ...] | None = None
    features: tuple[str, ...] = (GAP,)

    def predict(self, windows: F32) -> Prediction:
        """Fit and extrapolate a line for each of ``windows`` ``[N, context, features]``."""
        gap_kw = windows[:, :, 0].astype(np.float64)
        minute = np.arange(gap_kw.shape[1], dtype=np.float64) - (gap_kw.shape[1] - 1)
        centred = minute - minute.mean()
        slope = gap_kw @ centred / (centred @ centred)
        lead = np.asarray(self.lead_times_min, dtype=np.float64)
        level = gap_kw.mean(axis=1)
        return Prediction((level[:, None] + slope[:, None] * (lead - minute.mean())).astype(np.float32))
