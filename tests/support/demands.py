"""Demands made by hand."""

from __future__ import annotations

from gapcast.core.billing.options import LimitSource
from gapcast.core.billing.window_demands import WindowDemand
from gapcast.core.demand.demand import Demand

_START = 27_999_990

#: A demand 11 minutes into a window of 15, with a limit of the running window alone.
DEMAND = Demand(
    device="home",
    observed_minute=28_000_000,
    issued_at_ms=1_700_000_000_123,
    model="outlook",
    model_version="3",
    running=WindowDemand(
        start_minute=_START,
        end_minute=_START + 15,
        elapsed_min=11,
        n_known=11,
        so_far_kw=1.2,
        expected_kw=1.3000000001,
        lower_kw=1.1,
        median_kw=1.25,
        upper_kw=1.9,
        limit_kw=2.5,
        limit_source=LimitSource.FIXED,
        p_exceed=0.0123456,
        headroom_kw=1.2349,
    ),
    next=WindowDemand(
        start_minute=_START + 15,
        end_minute=_START + 30,
        elapsed_min=0,
        n_known=0,
        so_far_kw=None,
        expected_kw=2.6,
        lower_kw=0.8,
        median_kw=2.4,
        upper_kw=4.0,
        limit_kw=None,
        limit_source=LimitSource.NONE,
        p_exceed=0.0,
        headroom_kw=-0.1001,
    ),
    risk=0.05,
    month_peak_kw=3.4,
    fuse_kw=9.2,
    p_fuse=0.001,
    valid_until_minute=_START + 15,
)
