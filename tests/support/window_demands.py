"""Hand-made demands of one house, from its window so far, and the expected rest with its uncertainty."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from gapcast.core.billing.options import LimitSource
from gapcast.core.billing.window_demands import SOURCES, WindowDemands
from gapcast.core.demand.demand import Demands
from tests.support.outlook_model import OutlookModel

WINDOW_MIN = 15


class MadeWindow(NamedTuple):
    """A quarter of an hour after its first ``elapsed_min`` minutes, ``unmeasured_min`` of them unmeasured.

    ``rest_kw`` is the expected mean of its unknown minutes, and ``reserve_kw`` the distance of their upper quantile.
    Without ``so_far_kw`` all elapsed minutes are unmeasured.
    """

    elapsed_min: int
    so_far_kw: float | None
    rest_kw: float
    reserve_kw: float
    limit_kw: float = 2.5
    unmeasured_min: int = 0

    def columns(self, start_minute: int) -> WindowDemands:
        n_known = 0 if self.so_far_kw is None else self.elapsed_min - self.unmeasured_min
        open_min, known_kw = WINDOW_MIN - n_known, n_known * (self.so_far_kw or 0.0)
        expected_kw = (known_kw + open_min * self.rest_kw) / WINDOW_MIN
        spread_kw = open_min * self.reserve_kw / WINDOW_MIN
        added_kw = WINDOW_MIN * self.limit_kw - known_kw - open_min * (self.rest_kw + self.reserve_kw)
        headroom_kw = added_kw / (WINDOW_MIN - self.elapsed_min)
        so_far_kw = np.nan if self.so_far_kw is None else self.so_far_kw
        return WindowDemands(
            start_minutes=np.array([start_minute]), end_minutes=np.array([start_minute + WINDOW_MIN]),
            elapsed_min=np.array([self.elapsed_min]), n_known=np.array([n_known]),
            so_far_kw=np.array([so_far_kw]), expected_kw=np.array([expected_kw]),
            lower_kw=np.array([expected_kw - spread_kw]), median_kw=np.array([expected_kw]),
            upper_kw=np.array([expected_kw + spread_kw]), limit_kw=np.array([self.limit_kw]),
            sources=np.array([SOURCES.index(LimitSource.FIXED)]), p_exceed=np.array([0.01]),
            headroom_kw=np.array([headroom_kw]),
        )  # fmt: skip


def demands_of(running: MadeWindow, following: MadeWindow | None = None) -> Demands:
    """Return the demand of ``home``; the next window is expected as the rest of the running one."""
    after = following or running._replace(elapsed_min=0, so_far_kw=None)
    none = np.array([np.nan])
    return Demands.from_columns(
        model=OutlookModel(), issued_at_ms=running.elapsed_min * 60_000, devices=["home"],
        observed_minutes=np.array([running.elapsed_min - 1]), running=running.columns(0),
        next=after.columns(WINDOW_MIN), risk=np.array([0.05]), month_peak_kw=none, fuse_kw=none, p_fuse=none,
    )  # fmt: skip
