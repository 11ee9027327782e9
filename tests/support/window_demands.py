"""Hand-made demands, by what a window has had, what is expected of its other minutes, and how sure that is."""

from __future__ import annotations

from gapcast.core.demand.demand import VALID_MIN, Demand, WindowDemand
from gapcast.core.demand.options import LimitSource

WINDOW_MIN = 15


def window_demand(
    elapsed_min: int, *, so_far_kw: float | None, rest_kw: float, reserve_kw: float, limit_kw: float = 2.5,
    start_minute: int = 0,
) -> WindowDemand:  # fmt: skip
    """Return a window of a quarter of an hour.

    ``rest_kw`` is the expected mean of its other minutes, and ``reserve_kw`` the distance of their upper quantile.
    """
    left_min, elapsed_kw = WINDOW_MIN - elapsed_min, elapsed_min * (so_far_kw or 0.0)
    expected_kw, spread_kw = (elapsed_kw + left_min * rest_kw) / WINDOW_MIN, left_min * reserve_kw / WINDOW_MIN
    return WindowDemand(
        start_minute=start_minute, end_minute=start_minute + WINDOW_MIN, elapsed_min=elapsed_min, n_known=elapsed_min,
        so_far_kw=so_far_kw, expected_kw=expected_kw, lower_kw=expected_kw - spread_kw, median_kw=expected_kw,
        upper_kw=expected_kw + spread_kw, limit_kw=limit_kw, limit_source=LimitSource.FIXED, p_exceed=0.01,
        headroom_kw=(WINDOW_MIN * limit_kw - elapsed_kw) / left_min - rest_kw - reserve_kw,
    )  # fmt: skip


def demand_at(
    elapsed_min: int, *, so_far_kw: float | None, rest_kw: float, reserve_kw: float, limit_kw: float = 2.5,
    following: WindowDemand | None = None,
) -> Demand:  # fmt: skip
    """Return the demand of ``home`` with so many minutes of the window over; the next window is as the running one."""
    running = window_demand(
        elapsed_min, so_far_kw=so_far_kw, rest_kw=rest_kw, reserve_kw=reserve_kw, limit_kw=limit_kw
    )  # fmt: skip
    after = following or window_demand(
        0, so_far_kw=None, rest_kw=rest_kw, reserve_kw=reserve_kw, limit_kw=limit_kw, start_minute=WINDOW_MIN
    )
    observed = elapsed_min - 1
    return Demand(
        device="home", observed_minute=observed, issued_at_ms=elapsed_min * 60_000, model="outlook", model_version="1",
        running=running, next=after, risk=0.05, month_peak_kw=None, fuse_kw=None, p_fuse=None,
        valid_until_minute=min(WINDOW_MIN, observed + VALID_MIN),
    )  # fmt: skip
