"""The power that a whole house may draw: one number for controllers that measure the house themselves, such as evcc.

Such a controller adds to its load what the number leaves above the measured power, several times between two readings.
With the headroom alone it would count its own load twice: what it has switched on is part of the house's power.
"""

from __future__ import annotations

import numpy as np

from gapcast.core.demand.demand import Demands
from gapcast.core.demand.document import W_PER_KW
from gapcast.core.demand.window_demands import F64, WindowDemands
from gapcast.core.window import I64

#: Controllers apply a number with a delay, and until it is outdated: for so many minutes it may reach the next window.
HOLD_MIN = 2
#: In evcc, 0 is no limit, and so is a negative number in places.
LOWEST_W = 1


def max_powers_w(demands: Demands) -> I64:
    """Return the mean power that each house may draw until its running window ends, whole W ``[N]``, at least 1.

    It is the expected mean of the window's other minutes plus the headroom: what the limit leaves for them, less the
    distance of their upper quantile, at the accepted risk, from their mean. With :data:`HOLD_MIN` minutes or fewer
    left it is not above that of the next window, in which controllers may still apply it.
    """
    running, following = demands.running, demands.next
    allowed_kw = _allowed_kw(running)
    is_last = running.end_minutes - running.start_minutes - running.elapsed_min <= HOLD_MIN
    allowed_kw = np.where(is_last, np.minimum(allowed_kw, _allowed_kw(following)), allowed_kw)
    powers_w: I64 = np.maximum(np.floor(allowed_kw * W_PER_KW).astype(np.int64), LOWEST_W)
    return powers_w


def _allowed_kw(windows: WindowDemands) -> F64:
    n_minutes = windows.end_minutes - windows.start_minutes
    elapsed_min = np.where(np.isnan(windows.so_far_kw), 0, windows.elapsed_min)
    elapsed_kw = np.where(elapsed_min > 0, windows.so_far_kw, 0.0) * elapsed_min
    rest_kw: F64 = (n_minutes * windows.expected_kw - elapsed_kw) / (n_minutes - elapsed_min)
    return rest_kw + windows.headroom_kw
