"""Statistics of a series: coverage, gaps, distribution, daily and weekly profiles, and change over the horizon."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, tzinfo

import numpy as np

from gapcast.core.arrays.array_types import F64, I64
from gapcast.core.time_grid import DAY_MIN, EPOCH_WEEKDAY
from gapcast.core.windows.features import offset_min
from gapcast.recordings.minutes.series import Series, gaps

#: Shares of the readings whose quantiles are reported.
SHARES = (0.01, 0.05, 0.25, 0.5, 0.75, 0.95, 0.99)
#: Bin width of the daily profile.
DAY_STEP_MIN = 15
_DAY_SHARES = (0.05, 0.5, 0.95)
#: A file of fewer days than this is shown by day, a longer one by month.
_DAYS_SHOWN = 100


@dataclass(frozen=True, slots=True)
class Coverage:
    """The share of minutes that were read in each period ``[P]``: months, or days of a short file.

    ``starts`` and ``ends`` are local times (``datetime64``), cut to the file.
    """

    period: str
    starts: np.ndarray[tuple[int], np.dtype[np.datetime64]]
    ends: np.ndarray[tuple[int], np.dtype[np.datetime64]]
    share: F64


@dataclass(frozen=True, slots=True)
class Changes:
    """Persistence errors: power ``horizon_min`` minutes later minus power now, kW, ``[N]``, where both were read.

    The later minute must be a possible outcome: it is not filled.
    """

    horizon_min: int
    change_kw: F64
    mse_kw2: float
    mae_kw: float
    median_kw: float
    largest_from_kw: float
    largest_share_of_mse: float


@dataclass(frozen=True, slots=True)
class DataMeasures:
    """All statistics of one series; times are in the time zone ``zone``, power in kW.

    ``gap_from_minute`` and ``gap_min`` ``[G]`` are the starts and lengths of gaps, in order of time. ``day_kw``
    ``[3, D]`` holds the 5 %, 50 % and 95 % quantiles of each quarter of an hour, ``week_kw`` ``[7, 24]`` the mean of
    each hour, Monday first; both are NaN where nothing was read. ``n_at_top`` counts readings equal to the highest;
    ``still_min`` is the longest run of one value.
    """

    coverage: Coverage
    gap_from_minute: I64
    gap_min: I64
    quantiles_kw: F64
    std_kw: float
    daily_date: np.ndarray[tuple[int], np.dtype[np.datetime64]]
    daily_mean_kw: F64
    day_kw: F64
    week_kw: F64
    changes: Changes | None
    horizon_min: int
    n_at_top: int
    still_min: int
    still_from_minute: int
    still_kw: float


def measure(series: Series, horizon_min: int, zone: tzinfo = UTC) -> DataMeasures:
    """Measure ``series`` in the time zone ``zone``, and its changes over ``horizon_min`` minutes."""
    minutes = series.first_minute + np.arange(series.gap_kw.size, dtype=np.int64)
    local = minutes + offset_min(minutes, zone)
    missing = np.isnan(series.gap_kw)
    starts, lengths = gaps(missing)
    kw, at = series.gap_kw[~missing], local[~missing]
    still_from, still_min = _longest_still(series.gap_kw)
    date = at // DAY_MIN
    n_days = int(date[-1] - date[0]) + 1
    return DataMeasures(
        coverage=_coverage(local, missing),
        gap_from_minute=series.first_minute + starts,
        gap_min=lengths,
        quantiles_kw=np.quantile(kw, SHARES),
        std_kw=float(kw.std()),
        daily_date=np.arange(date[0], date[0] + n_days).astype("datetime64[D]"),
        daily_mean_kw=_means_by(date - date[0], kw, n_days),
        day_kw=_quantiles_by(at % DAY_MIN // DAY_STEP_MIN, kw, DAY_MIN // DAY_STEP_MIN),
        week_kw=_week(at, kw),
        changes=_changes(series, horizon_min),
        horizon_min=horizon_min,
        n_at_top=int((kw == kw.max()).sum()),
        still_min=still_min,
        still_from_minute=series.first_minute + still_from,
        still_kw=float(series.gap_kw[still_from]),
    )


def _means_by(group: I64, values: F64, n_groups: int) -> F64:
    """Return the mean of the values of each group ``[n_groups]``, NaN for an empty group."""
    count = np.bincount(group, minlength=n_groups)
    mean = np.full(n_groups, np.nan)
    np.divide(np.bincount(group, values, n_groups), count, out=mean, where=count > 0)
    return mean


def _coverage(local: I64, missing: np.ndarray[tuple[int], np.dtype[np.bool_]]) -> Coverage:
    by_day = local[-1] - local[0] < _DAYS_SHOWN * DAY_MIN
    kind = "datetime64[D]" if by_day else "datetime64[M]"
    stamps = np.array([local[0], local[-1]]).astype("datetime64[m]")
    edges = np.arange(stamps[0].astype(kind), stamps[1].astype(kind) + 2).astype("datetime64[m]")
    at = np.searchsorted(edges.astype(np.int64), local, side="right") - 1
    n_periods = edges.size - 1
    share = _means_by(at, (~missing).astype(float), n_periods)
    starts, ends = np.maximum(edges[:-1], stamps[0]), np.minimum(edges[1:], stamps[1] + 1)
    return Coverage("day" if by_day else "month", starts, ends, share)


def _quantiles_by(group: I64, values: F64, n_groups: int) -> F64:
    order = np.argsort(group, kind="stable")
    bounds = np.searchsorted(group[order], np.arange(n_groups + 1))
    found = np.full((len(_DAY_SHARES), n_groups), np.nan)
    for k in range(n_groups):
        part = values[order[bounds[k] : bounds[k + 1]]]
        if part.size:
            found[:, k] = np.quantile(part, _DAY_SHARES)
    return found


def _week(at: I64, kw: F64) -> F64:
    hour = (at + EPOCH_WEEKDAY * DAY_MIN) // 60 % (7 * 24)
    return _means_by(hour, kw, 7 * 24).reshape(7, 24)


def _changes(series: Series, horizon_min: int) -> Changes | None:
    change = series.outcome_kw[horizon_min:] - series.gap_kw[:-horizon_min]
    change = change[~np.isnan(change)]
    if not change.size:
        return None
    size, squared = np.abs(change), change**2
    largest_from_kw = float(np.quantile(size, 0.95))
    total = float(squared.sum())
    largest_share = float(squared[size >= largest_from_kw].sum()) / total if total else 0.0
    return Changes(
        horizon_min=horizon_min,
        change_kw=change,
        mse_kw2=float(squared.mean()),
        mae_kw=float(size.mean()),
        median_kw=float(np.median(size)),
        largest_from_kw=largest_from_kw,
        largest_share_of_mse=largest_share,
    )


def _longest_still(gap_kw: F64) -> tuple[int, int]:
    """Return where the longest run of one value starts and its length; a gap ends a run."""
    begins = np.flatnonzero(np.concatenate([[True], gap_kw[1:] != gap_kw[:-1]]))  # NaN differs from itself
    lengths = np.diff(begins, append=gap_kw.size)
    lengths[np.isnan(gap_kw[begins])] = 0
    longest = int(np.argmax(lengths))
    return int(begins[longest]), int(lengths[longest])
