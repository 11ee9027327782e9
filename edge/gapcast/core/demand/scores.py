"""Scores of demands: probabilities and alarms of billing windows that are over, against two simple rules.

A window is scored if a limit applied and its mean is known. The probability is scored once a window at each of three
times: its start, and after one and two thirds of it. The rules forecast 0 or 1: `held` extrapolates the mean so far
with the last reading, `so_far` takes the mean so far for that of the window. An alarm is the first minute of a window
at which the probability is at least one half. Only sums are stored.

The Brier score is the mean squared difference of probability and outcome (Brier 1950), the log score the mean of
``-ln`` of the probability of the outcome.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from gapcast.core.grid import DAY_MIN
from gapcast.core.window import I64

F64 = NDArray[np.float64]
#: Minutes of the longest window: demands wait for their outcome by minutes elapsed.
LONGEST_MIN = 60
#: What waits of a demand: its probability, its limit, and the forecasts of the two rules. Power in kW.
P_EXCEED, LIMIT, HELD, SO_FAR = range(4)
#: Who raises alarms: the demand, and the rules.
SOURCES = ("gapcast", "held", "so_far")
#: Probability from which there is an alarm.
ALARM_FROM = 0.5
#: An alarm announces a window above its limit if at least so many minutes of it are left.
ANNOUNCED_MIN = (3, 5)
#: Bins of the reliability: tenths of the probability.
N_BINS = 10
#: Days over which alarms are counted.
MONTH_DAYS = 30
N_THIRDS = 3
#: Probabilities are published with six decimals.
_LEAST_P = 1e-6

# Sums of each third: number, events, Brier score, log score, and those of the rules; the bins follow.
_N, _EVENTS, _BRIER, _LOG, _HELD_BRIER, _SO_FAR_N, _SO_FAR_BRIER = range(7)
_BINS = 7
_N_THIRD = _BINS + 3 * N_BINS  # number, sum of probabilities and events of each bin
# Sums of windows, and of the alarms of each source: number, false ones, and windows announced in time.
_WINDOWS, _ABOVE, _DAYS, _LAST_DAY = (N_THIRDS * _N_THIRD + i for i in range(4))
_ALARMS = _LAST_DAY + 1
_N_ALARMS = 2 + len(ANNOUNCED_MIN)
#: Number of sums of a device.
N_SUMS = _ALARMS + len(SOURCES) * _N_ALARMS


class ClosedWindows(NamedTuple):
    """N windows that are over, of distinct devices.

    ``start_minutes`` ``[N]``, ``window_min`` ``[N]``, ``actual_kw`` ``[N]`` (NaN: unknown), and ``demands``
    ``[N, 60, 4]``: what was published by minutes elapsed, as :func:`record` stored it.
    """

    start_minutes: I64
    window_min: I64
    actual_kw: F64
    demands: F64


@dataclass(frozen=True, slots=True)
class ReliabilityBin:
    """The ``n`` cases with a probability in a tenth: its mean ``mean_p``, and the ``share`` above the limit."""

    n: int
    mean_p: float | None
    share: float | None


@dataclass(frozen=True, slots=True)
class ThirdScore:
    """The scores of the probability when ``elapsed_min`` minutes of the window were over; None without a case.

    ``held_brier`` and ``so_far_brier`` are the Brier scores of the rules; ``so_far_brier`` is None at a window's start.
    """

    elapsed_min: int
    n: int
    n_events: int
    brier: float | None
    log_score: float | None
    held_brier: float | None
    so_far_brier: float | None
    bins: tuple[ReliabilityBin, ...]


@dataclass(frozen=True, slots=True)
class AlarmScore:
    """The alarms of one source. ``announced`` are the shares of windows above the limit announced in time.

    They belong to :data:`ANNOUNCED_MIN`; None without such a window. ``per_month`` is by 30 days on which a limit
    applied.
    """

    n: int
    n_false: int
    per_month: float | None
    announced: tuple[float | None, ...]


@dataclass(frozen=True, slots=True)
class DemandScores:
    """The scores of a device's demands: ``n_windows`` scored windows on ``n_days`` days, ``n_events`` above the limit.

    ``thirds`` are by minutes elapsed, ``alarms`` by source.
    """

    n_windows: int
    n_events: int
    n_days: int
    thirds: tuple[ThirdScore, ...]
    alarms: dict[str, AlarmScore]


def initial_sums() -> F64:
    """Return the first sums of a device, ``[N_SUMS]``."""
    sums = np.zeros(N_SUMS)
    sums[_LAST_DAY] = -1.0
    return sums


def initial_demands() -> F64:
    """Return the demands that wait in a window that has none yet, ``[60, 4]``."""
    return np.full((LONGEST_MIN, 4), np.nan)


def thirds_of(window_min: int) -> tuple[int, ...]:
    """Return the minutes elapsed at which the probability is scored.

    >>> thirds_of(15), thirds_of(10)
    ((0, 5, 10), (0, 3, 6))
    """
    return tuple(window_min * third // N_THIRDS for third in range(N_THIRDS))


def record(demands: F64, elapsed_min: I64, window_min: I64, p_exceed: F64, limit_kw: F64, power_kw: F64) -> None:
    """Store the demands of N running windows in ``demands`` ``[N, 60, 4]``, in place; all others as :func:`waiting`."""
    rows = waiting(elapsed_min, window_min, p_exceed, limit_kw, power_kw)
    demands[np.arange(len(demands)), elapsed_min] = rows


def waiting(elapsed_min: I64, window_min: I64, p_exceed: F64, limit_kw: F64, power_kw: F64) -> F64:
    """Return what waits of N demands, ``[N, 4]``.

    The first four are ``[N]``; ``limit_kw`` is NaN without a limit. ``power_kw`` ``[N, 2]`` are the mean so far (NaN at
    the start) and the last reading.
    """
    so_far_kw, last_kw = power_kw.T
    drawn_kw = np.where(np.isnan(so_far_kw), 0.0, elapsed_min * so_far_kw)
    found = np.empty((len(p_exceed), 4))
    found[:, P_EXCEED], found[:, LIMIT], found[:, SO_FAR] = p_exceed, limit_kw, so_far_kw
    found[:, HELD] = (drawn_kw + (window_min - elapsed_min) * last_kw) / window_min
    return found


def add(sums: F64, closed: ClosedWindows) -> None:
    """Add windows that are over to ``sums`` ``[N, N_SUMS]``, in place; those without limit or outcome do not count."""
    for one, start_minute, window_min, actual_kw, demands in zip(sums, *closed, strict=True):
        waiting = demands[:window_min].tolist()
        if not math.isnan(actual_kw) and _limited(waiting):
            changed = one.tolist()
            _add_window(changed, int(start_minute), float(actual_kw), waiting)
            one[:] = changed


def scores_of(sums: F64, window_min: int) -> DemandScores:
    """Return the scores for the ``sums`` ``[N_SUMS]`` of a device whose windows have ``window_min`` minutes."""
    n_windows, n_events, n_days = (round(float(sums[i])) for i in (_WINDOWS, _ABOVE, _DAYS))
    thirds = tuple(
        _third_score(elapsed_min, sums[third * _N_THIRD : (third + 1) * _N_THIRD])
        for third, elapsed_min in enumerate(thirds_of(window_min))
    )
    alarms = {
        source: _alarm_score(sums[_ALARMS + i * _N_ALARMS : _ALARMS + (i + 1) * _N_ALARMS].tolist(), n_events, n_days)
        for i, source in enumerate(SOURCES)
    }
    return DemandScores(n_windows, n_events, n_days, thirds, alarms)


def joined(parts: list[F64]) -> F64:
    """Return the sums over several devices; days of different devices count as different ones."""
    total = np.zeros(N_SUMS)
    for part in parts:
        total += part
    total[_LAST_DAY] = -1.0
    return total


def _add_window(sums: list[float], start_minute: int, actual_kw: float, demands: list[list[float]]) -> None:
    """Add a window with the ``demands`` by minutes elapsed, of which one at least has a limit."""
    window_min, limited = len(demands), _limited(demands)
    for third, elapsed_min in enumerate(thirds_of(window_min)):
        if elapsed_min in limited:
            _add_third(sums, third * _N_THIRD, demands[elapsed_min], actual_kw)
    is_above = actual_kw > demands[limited[-1]][LIMIT]
    day = start_minute // DAY_MIN
    sums[_WINDOWS] += 1
    sums[_ABOVE] += is_above
    sums[_DAYS] += day != sums[_LAST_DAY]
    sums[_LAST_DAY] = day
    for i, warns in enumerate(_WARNS):
        first = next((elapsed_min for elapsed_min in limited if warns(demands[elapsed_min])), None)
        if first is not None:
            at = _ALARMS + i * _N_ALARMS
            sums[at] += 1
            sums[at + 1] += not is_above
            for k, least in enumerate(ANNOUNCED_MIN):
                sums[at + 2 + k] += is_above and window_min - first >= least


#: Whether what waits of a demand is an alarm, by :data:`SOURCES`.
_WARNS: tuple[Callable[[list[float]], bool], ...] = (
    lambda demand: demand[P_EXCEED] >= ALARM_FROM,
    lambda demand: demand[HELD] > demand[LIMIT],
    lambda demand: demand[SO_FAR] > demand[LIMIT],
)


def _limited(demands: list[list[float]]) -> list[int]:
    """Return the minutes elapsed at which a limit applied."""
    return [elapsed_min for elapsed_min, demand in enumerate(demands) if not math.isnan(demand[LIMIT])]


def _add_third(sums: list[float], at: int, demand: list[float], actual_kw: float) -> None:
    """Add a ``demand`` to the sums of a third, from index ``at`` on."""
    p, limit_kw, held_kw, so_far_kw = demand
    event = float(actual_kw > limit_kw)
    likely = max(p if event else 1 - p, _LEAST_P)
    squared = [(float(kw > limit_kw) - event) ** 2 for kw in (held_kw, so_far_kw)]
    has_so_far = not math.isnan(so_far_kw)
    added = (1, event, (p - event) ** 2, -math.log(likely), squared[0], has_so_far, has_so_far * squared[1])
    of_bin = at + _BINS + 3 * min(int(p * N_BINS), N_BINS - 1)
    for i, value in (*enumerate(added, start=at), *enumerate((1, p, event), start=of_bin)):
        sums[i] += value


def _third_score(elapsed_min: int, sums: F64) -> ThirdScore:
    values = sums.tolist()
    n = values[_N]
    bins = tuple(
        ReliabilityBin(round(of_bin), _over(total, of_bin), _over(events, of_bin))
        for of_bin, total, events in sums[_BINS:].reshape(N_BINS, 3).tolist()
    )
    return ThirdScore(
        elapsed_min,
        round(n),
        round(values[_EVENTS]),
        _over(values[_BRIER], n),
        _over(values[_LOG], n),
        _over(values[_HELD_BRIER], n),
        _over(values[_SO_FAR_BRIER], values[_SO_FAR_N]),
        bins,
    )


def _alarm_score(sums: list[float], n_events: int, n_days: int) -> AlarmScore:
    n, n_false, *announced = sums
    per_month = _over(MONTH_DAYS * n, n_days)
    return AlarmScore(round(n), round(n_false), per_month, tuple(_over(one, n_events) for one in announced))


def _over(total: float, n: float) -> float | None:
    return total / n if n else None
