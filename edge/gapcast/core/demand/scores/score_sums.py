"""Sums of the scores of demands: the contribution of a closed window, and the demands that wait until it is closed.

:mod:`gapcast.core.demand.scores.scores` describes the scores and the layout of their sums.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from gapcast.core.arrays.array_types import F64, I64
from gapcast.core.demand.scores.scores import (
    ABOVE,
    ALARM_FROM,
    ALARMS,
    ANNOUNCED_MIN,
    BINS,
    DAYS,
    LAST_DAY,
    LIMIT,
    N_BINS,
    N_OF_ALARMS,
    N_OF_THIRD,
    P_EXCEED,
    PERSISTENCE,
    SO_FAR,
    WINDOWS,
    elapsed_times_of,
)

#: Probabilities are published with six decimals.
_LEAST_P = 1e-6


class ClosedWindows(NamedTuple):
    """N windows that are over, of distinct devices.

    ``local_days`` ``[N]`` are the days of the local clock at the start, since 1970-01-01, ``window_min`` ``[N]`` the
    lengths, and ``actual_kw`` ``[N]`` the means (NaN: unknown). ``demands`` ``[N, 60, 4]`` are the published demands by
    minutes elapsed, the values of :func:`waiting`.
    """

    local_days: I64
    window_min: I64
    actual_kw: F64
    demands: F64


def waiting(elapsed_min: I64, window_min: I64, p_exceed: F64, limit_kw: F64, power_kw: F64) -> F64:
    """Return the values of N demands that are scored when their windows end, ``[N, 4]``.

    The first four arguments are ``[N]``; ``limit_kw`` is NaN without a limit. ``power_kw`` ``[N, 2]`` are the mean so
    far (NaN at the start) and the last reading.
    """
    so_far_kw, last_kw = power_kw.T
    drawn_kw = np.where(np.isnan(so_far_kw), 0.0, elapsed_min * so_far_kw)
    found = np.empty((len(p_exceed), 4))
    found[:, P_EXCEED], found[:, LIMIT], found[:, SO_FAR] = p_exceed, limit_kw, so_far_kw
    found[:, PERSISTENCE] = (drawn_kw + (window_min - elapsed_min) * last_kw) / window_min
    return found


def add(sums: F64, closed: ClosedWindows) -> None:
    """Add closed windows to ``sums`` ``[N, N_SUMS]``, in place; windows without a limit or an outcome do not count."""
    for one, local_day, window_min, actual_kw, demands in zip(sums, *closed, strict=True):
        waiting = demands[:window_min].tolist()
        if not math.isnan(actual_kw) and _limited(waiting):
            changed = one.tolist()
            _add_window(changed, int(local_day), float(actual_kw), waiting)
            one[:] = changed


def _add_window(sums: list[float], local_day: int, actual_kw: float, demands: list[list[float]]) -> None:
    """Add a window with the ``demands`` by minutes elapsed, of which at least one has a limit."""
    window_min, limited = len(demands), _limited(demands)
    for third, elapsed_min in enumerate(elapsed_times_of(window_min)):
        if elapsed_min in limited:
            _add_elapsed(sums, third * N_OF_THIRD, demands[elapsed_min], actual_kw)
    is_above = actual_kw > demands[limited[-1]][LIMIT]
    sums[WINDOWS] += 1
    sums[ABOVE] += is_above
    sums[DAYS] += local_day != sums[LAST_DAY]
    sums[LAST_DAY] = local_day
    for i, warns in enumerate(_WARNS):
        first = next((elapsed_min for elapsed_min in limited if warns(demands[elapsed_min])), None)
        if first is not None:
            at = ALARMS + i * N_OF_ALARMS
            sums[at] += 1
            sums[at + 1] += not is_above
            for k, least in enumerate(ANNOUNCED_MIN):
                sums[at + 2 + k] += is_above and window_min - first >= least


#: Whether a waiting demand is an alarm, by :data:`SOURCES`.
_WARNS: tuple[Callable[[list[float]], bool], ...] = (
    lambda demand: demand[P_EXCEED] >= ALARM_FROM,
    lambda demand: demand[PERSISTENCE] > demand[LIMIT],
    lambda demand: demand[SO_FAR] > demand[LIMIT],
)


def _limited(demands: list[list[float]]) -> list[int]:
    """Return the minutes elapsed at which a limit applied."""
    return [elapsed_min for elapsed_min, demand in enumerate(demands) if not math.isnan(demand[LIMIT])]


def _add_elapsed(sums: list[float], at: int, demand: list[float], actual_kw: float) -> None:
    """Add a ``demand`` to the sums of a third; they begin at index ``at``."""
    p, limit_kw, held_kw, so_far_kw = demand
    event = float(actual_kw > limit_kw)
    likely = max(p if event else 1 - p, _LEAST_P)
    squared = [(float(kw > limit_kw) - event) ** 2 for kw in (held_kw, so_far_kw)]
    has_so_far = not math.isnan(so_far_kw)
    added = (1, event, (p - event) ** 2, -math.log(likely), squared[0], has_so_far, has_so_far * squared[1])
    of_bin = at + BINS + 3 * min(int(p * N_BINS), N_BINS - 1)
    for i, value in (*enumerate(added, start=at), *enumerate((1, p, event), start=of_bin)):
        sums[i] += value
