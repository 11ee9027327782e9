"""May a load draw so many kW for so many minutes? The risk, the largest power that may be drawn, the earliest start.

A load of ``kw`` adds ``kw * overlap / W`` to the mean of a window of ``W`` minutes of which it covers ``overlap``. The
probability that a window then exceeds its limit follows from the distribution of its remaining minutes, and that of any
window touched by :func:`gapcast.core.demand.exceedances.any_window`. The largest power is found by bisection on the
same function, in whole watts, so that asking for it again gives the same answer.

The outlook ends an hour after the newest reading. Windows beyond it have the distribution of the last window of the
hour, as if the hour's end lasted: their power is marked as approximate.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from gapcast.core.demand.demand import Demand
from gapcast.core.demand.distribution import PowerDistributions
from gapcast.core.demand.exceedances import F64, any_minute, any_window
from gapcast.core.demand.headroom_request import HeadroomRequest

I64 = NDArray[np.int64]
#: Minutes ahead that the outlook covers, and within which the earliest start is searched.
HORIZON_MIN = 60
_W_PER_KW = 1_000
#: Returns the distributions of the means of the minutes ``ahead_from + 1`` to ``ahead_to`` ahead, both ``[N]``, at
#: most :data:`HORIZON_MIN`.
MeanPowers = Callable[[I64, I64], PowerDistributions]


@dataclass(frozen=True, slots=True)
class HeadroomWindow:
    """One window that the load touches, for ``load_min`` minutes. Power in kW, of the mean with the load.

    ``is_approximate``: the window ends after the outlook.
    """

    start_minute: int
    end_minute: int
    load_min: int
    limit_kw: float | None
    median_kw: float
    p_exceed: float
    is_approximate: bool


@dataclass(frozen=True, slots=True)
class Headroom:
    """The answer to a request, from the newest ``demand``: the load runs from ``start_minute`` on. Power in kW.

    ``p_exceed`` is the probability that any window touched exceeds its limit, ``p_exceed_without`` the same without the
    load, and ``p_fuse`` that any minute while it runs is above the fuse (None: there is none). ``is_allowed``: with the
    load neither is above the accepted risk. ``max_kw`` is the largest power that would be allowed for so long from now
    on, in whole watts, 0 if none; ``earliest_start_minute`` is the first within an hour at which the requested power is
    allowed, None if there is none.
    """

    demand: Demand
    request: HeadroomRequest
    start_minute: int
    p_exceed: float
    p_exceed_without: float
    p_fuse: float | None
    is_allowed: bool
    max_kw: float
    earliest_start_minute: int | None
    windows: tuple[HeadroomWindow, ...]


def headroom_of(
    demand: Demand,
    request: HeadroomRequest,
    powers: MeanPowers,
    limit_of: Callable[[int], float | None],
    highest_kw: float,
) -> Headroom:
    """Return the answer to ``request`` with the forecast of ``demand``.

    ``powers`` are those of the same outlook, ``limit_of`` returns the limit of the window that starts at a minute, None
    without one. No power above ``highest_kw`` is returned.
    """
    risks = _Risks(demand, request.minutes, powers, limit_of)
    now, starts = np.zeros(1, dtype=np.int64), np.arange(HORIZON_MIN + 1)
    allowed = np.flatnonzero(risks.are_allowed(request.kw, starts))
    p_fuse = risks.fuse(request.kw, now)
    return Headroom(
        demand=demand,
        request=request,
        start_minute=risks.first_minute,
        p_exceed=float(any_window(risks.windows(request.kw, now))[0]),
        p_exceed_without=float(any_window(risks.windows(0.0, now))[0]),
        p_fuse=None if p_fuse is None else float(p_fuse[0]),
        is_allowed=bool(allowed.size) and allowed[0] == 0,
        max_kw=_largest_w(risks, now, int(highest_kw * _W_PER_KW)) / _W_PER_KW,
        earliest_start_minute=risks.first_minute + int(allowed[0]) if allowed.size else None,
        windows=risks.touched(request.kw),
    )


def _largest_w(risks: _Risks, now: I64, highest_w: int) -> int:
    """Return the largest power that is allowed from now on, W, at most ``highest_w``; 0 if none is."""
    allowed_w, refused_w = 0, highest_w + 1
    while refused_w - allowed_w > 1:
        middle_w = (allowed_w + refused_w) // 2
        if risks.are_allowed(middle_w / _W_PER_KW, now)[0]:
            allowed_w = middle_w
        else:
            refused_w = middle_w
    return allowed_w


class _Risks:
    """The risks of loads that run for ``minutes``, by power and start: S starts, in minutes after the first one."""

    def __init__(
        self, demand: Demand, minutes: int, powers: MeanPowers, limit_of: Callable[[int], float | None]
    ) -> None:
        self._demand, self._minutes = demand, minutes
        self.first_minute = first = demand.observed_minute + 1
        running = demand.running
        self._window_min = window_min = running.end_minute - running.start_minute
        last = first + HORIZON_MIN + minutes
        starts = [running.start_minute, *range(running.end_minute, last, window_min)]
        self._starts = np.array(starts, dtype=np.int64)
        known = [running.limit_kw, demand.next.limit_kw, *(limit_of(start) for start in starts[2:])]
        self._limits_kw = np.array([np.inf if limit is None else limit for limit in known[: len(starts)]])
        self._drawn = np.zeros(len(starts))  # kW times minutes
        self._drawn[0] = running.elapsed_min * (running.so_far_kw or 0.0)
        ahead_from, ahead_to = np.maximum(self._starts - first, 0), self._starts + window_min - first
        self._left_min = ahead_to - ahead_from
        self._is_approximate = ahead_to > HORIZON_MIN
        self._powers_kw = _within_horizon(ahead_from, ahead_to, powers)
        self._minutes_kw: F64 | None = None
        if demand.fuse_kw is not None:
            ahead = np.arange(HORIZON_MIN + minutes)
            self._minutes_kw = _within_horizon(ahead, ahead + 1, powers)

    def _overlaps(self, starts: I64) -> I64:
        """Return the minutes ``[S, N]`` of each window in which the load runs."""
        from_minute = self.first_minute + starts[:, np.newaxis]
        ends = np.minimum(self._starts + self._window_min, from_minute + self._minutes)
        overlaps: I64 = np.maximum(ends - np.maximum(self._starts, from_minute), 0)
        return overlaps

    def windows(self, kw: float, starts: I64) -> F64:
        """Return the probability ``[S, N]`` that each window exceeds its limit; 0 if the load does not touch it."""
        overlaps = self._overlaps(starts)
        p_exceed = np.zeros(overlaps.shape)
        start, window = np.nonzero((overlaps > 0) & np.isfinite(self._limits_kw))
        left = self._window_min * self._limits_kw[window] - self._drawn[window] - kw * overlaps[start, window]
        power = PowerDistributions(self._powers_kw[window])
        p_exceed[start, window] = power.exceedance(left / self._left_min[window])
        return p_exceed

    def fuse(self, kw: float, starts: I64) -> F64 | None:
        """Return the probability ``[S]`` that any minute while the load runs is above the fuse; None without one."""
        fuse_kw = self._demand.fuse_kw
        if fuse_kw is None or self._minutes_kw is None:
            return None
        limit_kw = np.full(len(self._minutes_kw), fuse_kw - kw)
        p_above = PowerDistributions(self._minutes_kw).exceedance(limit_kw)
        return any_minute(np.lib.stride_tricks.sliding_window_view(p_above, self._minutes)[starts])

    def are_allowed(self, kw: float, starts: I64) -> NDArray[np.bool_]:
        """Return whether the load is within the accepted risk, ``[S]``."""
        risk = self._demand.risk
        allowed: NDArray[np.bool_] = any_window(self.windows(kw, starts)) <= risk
        p_fuse = self.fuse(kw, starts)
        return allowed if p_fuse is None else allowed & (p_fuse <= risk)

    def touched(self, kw: float) -> tuple[HeadroomWindow, ...]:
        """Return the windows that the load touches if it starts now."""
        now = np.zeros(1, dtype=np.int64)
        overlaps, p_exceed = self._overlaps(now)[0], self.windows(kw, now)[0]
        drawn = self._drawn + self._left_min * PowerDistributions(self._powers_kw).quantile(0.5) + kw * overlaps
        return tuple(
            HeadroomWindow(
                start_minute=int(self._starts[i]),
                end_minute=int(self._starts[i]) + self._window_min,
                load_min=int(overlaps[i]),
                limit_kw=float(self._limits_kw[i]) if np.isfinite(self._limits_kw[i]) else None,
                median_kw=float(drawn[i] / self._window_min),
                p_exceed=float(p_exceed[i]),
                is_approximate=bool(self._is_approximate[i]),
            )
            for i in np.flatnonzero(overlaps)
        )


def _within_horizon(ahead_from: I64, ahead_to: I64, powers: MeanPowers) -> F64:
    """Return the quantiles ``[N, J]`` of the mean of the minutes, those of the hour's last ones beyond the hour."""
    n_minutes = ahead_to - ahead_from
    until = np.minimum(ahead_to, HORIZON_MIN)
    ranges = np.stack([np.maximum(until - n_minutes, 0), until], axis=1)
    distinct, which = np.unique(ranges, axis=0, return_inverse=True)
    kw: F64 = powers(distinct[:, 0], distinct[:, 1]).kw[which.reshape(-1)]
    return kw
