"""The limit of a billing window: fixed, by the month's peak, or set while running."""

from __future__ import annotations

import math
from typing import Final

from gapcast.core.billing.billing_windows import BillingWindow
from gapcast.core.billing.month_peaks import MonthPeaks
from gapcast.core.billing.options import DemandOptions, LimitSource
from gapcast.core.billing.window_demands import SOURCES

#: A limit, kW (NaN: none), and the index of its source in :data:`.window_demands.SOURCES`.
WindowLimit = tuple[float, float]
_NO_LIMIT: Final[WindowLimit] = (math.nan, float(SOURCES.index(LimitSource.NONE)))


def limit_of(
    window: BillingWindow, options: DemandOptions, peaks: MonthPeaks, set_limit_kw: float | None
) -> WindowLimit:
    """Return the limit of ``window``; ``set_limit_kw`` was set while running (None: none was)."""
    if not window.is_active:
        return _NO_LIMIT
    if set_limit_kw is not None:
        return set_limit_kw, SOURCES.index(LimitSource.SET)
    if options.by_month_peak:
        peak_kw = peaks.peak_kw(options.n_peak_days) if window.month == peaks.month else None
        return max(options.floor_kw, peak_kw or 0.0), SOURCES.index(LimitSource.MONTH_PEAK)
    if options.limit_kw is not None:
        return options.limit_kw, SOURCES.index(LimitSource.FIXED)
    return _NO_LIMIT
