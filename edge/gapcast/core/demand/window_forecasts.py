"""The mean of billing windows, from what was drawn so far and the distribution of the rest, and what may be added."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from gapcast.core.demand.demand import F64, WindowDemands
from gapcast.core.demand.distribution import LEVELS, PowerDistributions
from gapcast.core.demand.running_windows import WindowState
from gapcast.core.window import I64

_LOWER, _MEDIAN, _UPPER = (LEVELS.index(level) for level in (0.05, 0.5, 0.95))


class WindowColumns(NamedTuple):
    """N windows, ``[N]``: their minutes, what is known of them, and their limits. Power in kW, NaN for unknown.

    ``elapsed_min`` minutes are over, at least one is left. ``sum_kw`` is that of the ``n_known`` known ones, in kW
    minutes; ``sources`` are as in :class:`WindowDemands`, ``risk`` is what the headroom accepts.
    """

    start_minutes: I64
    end_minutes: I64
    elapsed_min: I64
    n_known: I64
    sum_kw: F64
    limit_kw: F64
    sources: I64
    risk: F64


def columns_of(states: F64, observed: I64) -> tuple[WindowColumns, WindowColumns, F64]:
    """Return the running and the next windows of ``states`` ``[N, 12]``, and their month's peaks and fuses ``[N, 2]``.

    The columns of ``states`` are those of :class:`WindowState`.
    """
    columns = dict(zip(WindowState._fields, states.T, strict=True))
    start, end, next_end, n_known, source, next_source = (
        columns[name].astype(np.int64)
        for name in ("start_minute", "end_minute", "next_end_minute", "n_known", "source", "next_source")
    )
    none, risk = np.zeros(len(states), dtype=np.int64), columns["risk"]
    running = WindowColumns(
        start, end, observed + 1 - start, n_known, columns["sum_kw"], columns["limit_kw"], source, risk
    )
    following = WindowColumns(
        end, next_end, none, none, np.zeros(len(states)), columns["next_limit_kw"], next_source, risk
    )
    return running, following, np.stack((columns["month_peak_kw"], columns["fuse_kw"]), axis=1)


def minutes_ahead(windows: WindowColumns, observed: I64) -> tuple[I64, I64]:
    """Return how far ahead of the newest minutes ``observed`` the rests of ``windows`` begin and end, both ``[N]``."""
    return np.maximum(windows.start_minutes - observed - 1, 0), windows.end_minutes - observed - 1


def allowed_kw(windows: WindowColumns) -> F64:
    """Return the mean of the minutes that are left with which ``windows`` reach their limit ``[N]``, NaN without one.

    Unknown minutes that are over count with the mean of the known ones.
    """
    length = windows.end_minutes - windows.start_minutes
    so_far_kw = windows.sum_kw / np.maximum(windows.n_known, 1)
    found: F64 = (length * windows.limit_kw - windows.elapsed_min * so_far_kw) / (length - windows.elapsed_min)
    return found


def forecast_windows(
    windows: WindowColumns, remaining: PowerDistributions, remaining_mean_kw: F64, highest_kw: float
) -> WindowDemands:
    """Return the demands of ``windows``; ``remaining`` are the means of their minutes that are left.

    Unknown minutes that are over count with the mean of the known ones. Without a limit the headroom is what is left
    of ``highest_kw``, the highest power of a reading.
    """
    length = windows.end_minutes - windows.start_minutes
    elapsed = windows.elapsed_min
    left = length - elapsed
    so_far_kw = np.where(windows.n_known > 0, windows.sum_kw / np.maximum(windows.n_known, 1), np.nan)
    drawn_kw = elapsed * np.nan_to_num(so_far_kw)
    share, added_kw = left / length, drawn_kw / length
    is_limited = ~np.isnan(windows.limit_kw)
    most_kw = np.where(is_limited, allowed_kw(windows), highest_kw)
    p_exceed = np.where(is_limited, remaining.exceedance(most_kw), 0.0)
    used_kw = np.where(is_limited, _quantiles(remaining, 1.0 - windows.risk), remaining.kw[:, _UPPER])
    lower_kw, median_kw, upper_kw = (added_kw + share * remaining.kw[:, level] for level in (_LOWER, _MEDIAN, _UPPER))
    return WindowDemands(
        start_minutes=windows.start_minutes,
        end_minutes=windows.end_minutes,
        elapsed_min=elapsed,
        n_known=windows.n_known,
        so_far_kw=so_far_kw,
        expected_kw=added_kw + share * remaining_mean_kw,
        lower_kw=lower_kw,
        median_kw=median_kw,
        upper_kw=upper_kw,
        limit_kw=windows.limit_kw,
        sources=windows.sources,
        p_exceed=p_exceed,
        headroom_kw=most_kw - used_kw,
    )


def _quantiles(powers: PowerDistributions, levels: F64) -> F64:
    """Return the quantile ``[N]`` of each of ``powers`` at its level, ``levels`` ``[N]``."""
    distinct = np.unique(levels)
    if distinct.size == 1:
        return powers.quantile(float(distinct[0]))
    found = np.empty(len(powers))
    for level in distinct.tolist():
        which: NDArray[np.bool_] = levels == level
        found[which] = PowerDistributions(powers.kw[which]).quantile(level)
    return found
