"""Hand-made demands: of columns, and of one house from its window so far and the expected rest with its uncertainty."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from gapcast.core.arrays.array_types import F64, I64
from gapcast.core.billing.options import LimitSource
from gapcast.core.billing.window_demands import SOURCES, WINDOW_COLUMNS, WindowDemands
from gapcast.core.demand.demand import ISSUED, N_COLUMNS, NEXT, OBSERVED, RISK, RUNNING, Demands
from gapcast.core.models.predictor import ModelIdentity
from tests.support.outlook_model import OutlookModel

WINDOW_MIN = 15


def demands_from_columns(
    model: ModelIdentity,
    issued_at_ms: int,
    devices: list[str],
    observed_minutes: I64,
    running: WindowDemands,
    following: WindowDemands,
    others: tuple[F64, F64, F64, F64],
) -> Demands:
    """Return demands with these columns, each ``[N]``; ``others`` are risk, month's peak, fuse and its probability."""
    columns = np.empty((len(devices), N_COLUMNS))
    columns[:, OBSERVED], columns[:, ISSUED] = observed_minutes, issued_at_ms
    for part, windows in ((RUNNING, running), (NEXT, following)):
        columns[:, part] = np.array([getattr(windows, name) for name in WINDOW_COLUMNS]).T
    columns[:, RISK:] = np.array(others).T
    return Demands(model, issued_at_ms, devices, columns)


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
    return demands_from_columns(
        OutlookModel(), running.elapsed_min * 60_000, ["home"], np.array([running.elapsed_min - 1]),
        running.columns(0), after.columns(WINDOW_MIN), (np.array([0.05]), none, none, none),
    )  # fmt: skip
