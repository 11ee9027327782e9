"""Demands of any minute, and the power of the coming minutes from which their headroom is computed."""

from __future__ import annotations

from dataclasses import replace
from statistics import NormalDist
from typing import Any

import numpy as np

from gapcast.core.arrays.array_types import F64, I64
from gapcast.core.billing.options import LimitSource
from gapcast.core.billing.window_demands import WindowDemand
from gapcast.core.demand.demand import Demand
from gapcast.core.demand.distributions.distribution import LEVELS, PowerDistributions

#: 2010-11-01T12:00:00Z, the first minute of a quarter of an hour.
NOON = 21_476_880
_AWAY = np.array([NormalDist().inv_cdf(level) for level in LEVELS])


def powers(mean_kw: float = 1.0, spread_kw: float = 0.2, *, later_kw: float = 0.0, from_min: int = 60) -> Any:
    """Normal powers of the same ``mean_kw`` at any time, and ``later_kw`` more after ``from_min`` minutes."""

    def of(ahead_from: I64, ahead_to: I64, planned_kw: F64) -> PowerDistributions:
        late = np.maximum(ahead_to - np.maximum(ahead_from, from_min), 0) / (ahead_to - ahead_from)
        means_kw = mean_kw + later_kw * late + planned_kw
        return PowerDistributions.from_quantiles(means_kw[:, np.newaxis] + spread_kw * _AWAY)

    return of


def window(start_minute: int, window_min: int = 15, **changes: Any) -> WindowDemand:
    """A window that has just started, with a fixed limit of 2.5 kW."""
    return WindowDemand(
        **{
            "start_minute": start_minute,
            "end_minute": start_minute + window_min,
            "elapsed_min": 0,
            "n_known": 0,
            "so_far_kw": None,
            "expected_kw": 1.0,
            "lower_kw": 0.7,
            "median_kw": 1.0,
            "upper_kw": 1.3,
            "limit_kw": 2.5,
            "limit_source": LimitSource.FIXED,
            "p_exceed": 0.01,
            "headroom_kw": 1.25,
        }
        | changes
    )


def demand(elapsed_min: int = 5, window_min: int = 15, so_far_kw: float | None = 1.0, **changes: Any) -> Demand:
    """A demand ``elapsed_min`` minutes after :data:`NOON`, where its running window starts."""
    running = window(
        NOON, window_min, elapsed_min=elapsed_min, n_known=elapsed_min, so_far_kw=so_far_kw if elapsed_min else None
    )
    observed = NOON + elapsed_min - 1
    found = Demand(
        device="home",
        observed_minute=observed,
        issued_at_ms=1_700_000_000_000,
        model="outlook",
        model_version="1",
        running=running,
        next=window(NOON + window_min, window_min),
        risk=0.05,
        month_peak_kw=2.2,
        fuse_kw=None,
        p_fuse=None,
        valid_until_minute=min(NOON + window_min, observed + 5),
    )
    return replace(found, **changes)
