"""The powers that are published as plain numbers, in whole W: the headroom, and the power a whole house may draw.

The second is for controllers that measure the house themselves, such as evcc. Such a controller adds to its load the
difference between the number and the measured power, several times between two readings. With the headroom alone it
would count its own load twice: the load that it has switched on is part of the house's power.
"""

from __future__ import annotations

import math
from typing import Final

import numpy as np

from gapcast.core.billing.window_demands import WINDOW_COLUMNS
from gapcast.core.demand.demand import HEADROOM, NEXT, RUNNING, Demands
from gapcast.core.demand.documents.document import W_PER_KW, headroom_w

#: Controllers apply a number with a delay and until it is outdated: for these minutes it may reach the next window.
HOLD_MIN = 2
#: In evcc, 0 means no limit, and in places a negative number does, too.
LOWEST_W = 1
_OF_WINDOW: Final = (
    "start_minutes",
    "end_minutes",
    "n_known",
    "so_far_kw",
    "expected_kw",
    "headroom_kw",
    "elapsed_min",
)
_COLUMNS: Final = np.array(
    [window.start + WINDOW_COLUMNS.index(name) for window in (RUNNING, NEXT) for name in _OF_WINDOW]
)


def headrooms_w(demands: Demands) -> list[int]:
    """Return the headroom of each running window in whole W, rounded towards minus infinity."""
    return list(map(headroom_w, demands.columns[:, HEADROOM].tolist()))


def max_powers_w(demands: Demands) -> list[int]:
    """Return the mean power that each house may draw until its running window ends, whole W, at least 1.

    It is the expected mean of the window's remaining minutes plus the headroom: the power that the limit leaves for
    these minutes, less the distance of their upper quantile, at the accepted risk, from their mean. Unmeasured minutes
    are as uncertain as the remaining ones. With
    :data:`HOLD_MIN` minutes or fewer left, it is at most the value of the next window, in which controllers may still
    apply it.
    """
    powers_w = []
    for row in demands.columns.take(
        _COLUMNS, axis=1
    ).tolist():  # floats: of one demand, arrays would take several times as long
        running, following = row[: len(_OF_WINDOW)], row[len(_OF_WINDOW) :]
        start_minute, end_minute, *_, elapsed_min = running
        allowed_kw = _allowed_kw(*running[:-1])
        if end_minute - start_minute - elapsed_min <= HOLD_MIN:
            allowed_kw = min(allowed_kw, _allowed_kw(*following[:-1]))
        powers_w.append(max(math.floor(allowed_kw * W_PER_KW), LOWEST_W))
    return powers_w


def _allowed_kw(
    start_minute: float, end_minute: float, n_known: float, so_far_kw: float, expected_kw: float, headroom_kw: float
) -> float:
    """Return the power that may be drawn in the rest of a window; without a known minute, as if none had elapsed."""
    n_minutes = end_minute - start_minute
    known_min = 0.0 if math.isnan(so_far_kw) else n_known
    known_kw = so_far_kw * known_min if known_min else 0.0
    return (n_minutes * expected_kw - known_kw) / (n_minutes - known_min) + headroom_kw
