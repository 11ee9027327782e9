"""The headroom for a load of some kW and minutes: its risk, the largest power that fits, the earliest start.

A load of ``kw`` adds ``kw * overlap / W`` to the mean of a window of ``W`` minutes of which it covers ``overlap``. The
probability that the window then exceeds its limit follows from the distribution of its remaining minutes. The
probability that any touched window does follows from :func:`gapcast.core.demand.distributions.exceedances.any_window`.
A bisection on the same function, in whole watts, finds the largest power, so that a request for that power gets the
same answer.

The outlook ends an hour after the newest reading. Windows after the demand's two windows that end beyond the hour have
the distribution of the hour's last window, as if the end of the hour lasted: they are marked as approximate. Announced
loads are known by minute, and count in their own windows.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from gapcast.core.arrays.array_types import F64, I64
from gapcast.core.billing.options import WINDOW_MINUTES
from gapcast.core.demand.demand import Demand
from gapcast.core.demand.distributions.distribution import PowerDistributions
from gapcast.core.demand.distributions.exceedances import any_minute, any_window
from gapcast.core.demand.distributions.planned_power import means_between
from gapcast.core.demand.headroom.headroom_request import HeadroomRequest

#: Minutes ahead that the outlook covers, and within which the earliest start is searched.
HORIZON_MIN = 60
_W_PER_KW = 1_000
#: Returns the distributions of the means of the minutes ``ahead_from + 1`` to ``ahead_to`` ahead, both ``[N]``, with
#: planned loads of a mean ``[N]``, kW.
MeanPowers = Callable[[I64, I64, F64], PowerDistributions]
#: Returns the probability ``[M]`` that each of the next M minutes is above a power, kW: those of the outlook, at least.
MinutesAbove = Callable[[float], F64]
#: Returns the end of the window that starts at a minute, and its limit, kW; None without a limit.
WindowFrom = Callable[[int], tuple[int, float | None]]


@dataclass(frozen=True, slots=True)
class HeadroomWindow:
    """One window that the load touches, for ``load_min`` minutes. Power in kW, for the mean with the load.

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

    ``p_exceed`` is the probability that any touched window exceeds its limit, ``p_exceed_without`` the same without the
    load. ``p_fuse`` is the probability that any minute while the load runs is above the fuse (None: no fuse).
    ``is_allowed``: with the load neither ``p_exceed`` nor ``p_fuse`` is above the accepted risk. ``max_kw`` is the
    largest power that would be allowed for the same time from now on, in whole watts, 0 if none;
    ``earliest_start_minute`` is the first minute within an hour at which the requested power is allowed, None if there
    is none.
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


class LoadRisks:
    """The risks of loads with the duration of ``request``, by power and start: S starts, in minutes after the first.

    The object is independent of the engine's state, so that any thread may call :meth:`answer`.
    """

    def __init__(
        self,
        demand: Demand,
        request: HeadroomRequest,
        powers: MeanPowers,
        minutes_above: MinutesAbove,
        window_from: WindowFrom,
        planned_kw: F64 | None = None,
    ) -> None:
        """Prepare the windows that the load may touch.

        ``powers`` and ``minutes_above`` belong to the outlook of ``demand``; ``window_from`` returns the windows after
        the two of the demand. ``planned_kw`` ``[M]`` is the power of planned loads in each of the next M minutes, for
        which :func:`farthest_min` is enough; None without planned loads.
        """
        self._demand, self._request, self._minutes = demand, request, request.minutes
        self._minutes_above = minutes_above
        self._first_minute = first = demand.observed_minute + 1
        running, following = demand.running, demand.next
        starts, limits = [running.start_minute, following.start_minute], [running.limit_kw, following.limit_kw]
        ends = [running.end_minute, following.end_minute]
        while ends[-1] < first + HORIZON_MIN + request.minutes:
            end, limit_kw = window_from(ends[-1])
            starts.append(ends[-1])
            ends.append(end)
            limits.append(limit_kw)
        self._starts, self._ends = np.array(starts, dtype=np.int64), np.array(ends, dtype=np.int64)
        self._lengths_min = self._ends - self._starts
        self._limits_kw = np.array([np.inf if limit_kw is None else limit_kw for limit_kw in limits])
        self._drawn = np.zeros(len(starts))  # kW times minutes
        self._drawn[0] = running.n_known * (running.so_far_kw or 0.0)
        unmeasured_min = np.zeros(len(starts), dtype=np.int64)
        unmeasured_min[0] = running.unmeasured_min
        ahead_from, ahead_to = np.maximum(self._starts - first, 0), self._ends - first
        self._is_approximate = ahead_to > HORIZON_MIN
        #: The minutes of each window that are left or unmeasured.
        self._open_min = ahead_to - ahead_from + unmeasured_min
        of_plan = np.zeros(len(starts))
        if planned_kw is not None:
            minutes = (one[:, np.newaxis] for one in (ahead_from, ahead_to, unmeasured_min))
            of_plan = means_between(planned_kw[np.newaxis], *minutes)[:, 0]
        self._powers_kw = _quantiles(ahead_from, ahead_from + self._open_min, of_plan, powers)

    def answer(self, highest_kw: float) -> Headroom:
        """Return the answer to the request; its largest power is at most ``highest_kw``."""
        kw = self._request.kw
        now, starts = np.zeros(1, dtype=np.int64), np.arange(HORIZON_MIN + 1)
        allowed = np.flatnonzero(self.are_allowed(kw, starts))
        p_fuse = self.fuse(kw, now)
        return Headroom(
            demand=self._demand,
            request=self._request,
            start_minute=self._first_minute,
            p_exceed=float(any_window(self.windows(kw, now))[0]),
            p_exceed_without=float(any_window(self.windows(0.0, now))[0]),
            p_fuse=None if p_fuse is None else float(p_fuse[0]),
            is_allowed=bool(allowed.size and allowed[0] == 0),
            max_kw=self._largest_w(int(highest_kw * _W_PER_KW)) / _W_PER_KW,
            earliest_start_minute=self._first_minute + int(allowed[0]) if allowed.size else None,
            windows=self.touched(kw),
        )

    def _largest_w(self, highest_w: int) -> int:
        """Return the largest power that is allowed from now on, W, at most ``highest_w``; 0 if no power is."""
        now = np.zeros(1, dtype=np.int64)
        allowed_w, refused_w = 0, highest_w + 1
        while refused_w - allowed_w > 1:
            middle_w = (allowed_w + refused_w) // 2
            if self.are_allowed(middle_w / _W_PER_KW, now)[0]:
                allowed_w = middle_w
            else:
                refused_w = middle_w
        return allowed_w

    def _overlaps(self, starts: I64) -> I64:
        """Return the number of minutes ``[S, N]`` that the load runs in each window."""
        from_minute = self._first_minute + starts[:, np.newaxis]
        ends = np.minimum(self._ends, from_minute + self._minutes)
        overlaps: I64 = np.maximum(ends - np.maximum(self._starts, from_minute), 0)
        return overlaps

    def windows(self, kw: float, starts: I64) -> F64:
        """Return the probability ``[S, N]`` that each window exceeds its limit; 0 if the load does not touch it."""
        overlaps = self._overlaps(starts)
        p_exceed = np.zeros(overlaps.shape)
        start, window = np.nonzero((overlaps > 0) & np.isfinite(self._limits_kw))
        left = self._lengths_min[window] * self._limits_kw[window] - self._drawn[window] - kw * overlaps[start, window]
        power = PowerDistributions(self._powers_kw[window])
        p_exceed[start, window] = power.exceedance(left / self._open_min[window])
        return p_exceed

    def fuse(self, kw: float, starts: I64) -> F64 | None:
        """Return the probability ``[S]`` that any minute while the load runs is above the fuse; None without a fuse."""
        fuse_kw = self._demand.fuse_kw
        if fuse_kw is None:
            return None
        known = self._minutes_above(fuse_kw - kw)
        p_above = known[np.minimum(np.arange(HORIZON_MIN + self._minutes), len(known) - 1)]
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
        drawn = self._drawn + self._open_min * PowerDistributions(self._powers_kw).quantile(0.5) + kw * overlaps
        return tuple(
            HeadroomWindow(
                start_minute=int(self._starts[i]),
                end_minute=int(self._ends[i]),
                load_min=int(overlaps[i]),
                limit_kw=float(self._limits_kw[i]) if np.isfinite(self._limits_kw[i]) else None,
                median_kw=float(drawn[i] / self._lengths_min[i]),
                p_exceed=float(p_exceed[i]),
                is_approximate=bool(self._is_approximate[i]),
            )
            for i in np.flatnonzero(overlaps)
        )


def farthest_min(request: HeadroomRequest) -> int:
    """Return the number of minutes ahead until which windows end that a load of ``request`` may touch, at most."""
    return HORIZON_MIN + request.minutes + WINDOW_MINUTES[-1]


def _quantiles(ahead_from: I64, ahead_to: I64, planned_kw: F64, powers: MeanPowers) -> F64:
    """Return the quantiles ``[N, J]`` of the mean of each window's minutes, with planned loads ``planned_kw`` ``[N]``.

    Windows after the second one, the demand's next window, use the last minutes of the hour if they end beyond it, but
    have their own planned loads.
    """
    until = ahead_to.copy()
    until[2:] = np.minimum(until[2:], HORIZON_MIN)
    means = np.stack([np.maximum(until - (ahead_to - ahead_from), 0), until, planned_kw], axis=1)
    distinct, which = np.unique(means, axis=0, return_inverse=True)
    ranges = distinct[:, :2].astype(np.int64)
    kw: F64 = powers(ranges[:, 0], ranges[:, 1], distinct[:, 2]).kw[which.reshape(-1)]
    return kw
